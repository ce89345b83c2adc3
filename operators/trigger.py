"""Triggers and their opposite, suppressed decisions, with ids that depend on the cause only."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from operators.event import rfc3339
from operators.ids import digest
from operators.wire import Instant, Name

Action = Literal["cart_abandoned", "checkout_abandoned", "browse_abandoned", "returning_visitor", "offer_prompt"]
Outlet = Literal["email", "onsite"]
Suppression = Literal[
    "consent",
    "ineligible",
    "not_applicable",
    "unsuitable",
    "cap",
    "cooldown",
    "declined",
    "quiet_hours",
    "excluded",
    "outranked",
    "holdout",
    "no_channel",
    "expired",
]
"""Why a decision was not acted upon: the closed set of contracts section 4."""

FAMILIES: dict[str, str] = {
    "cart_abandoned": "cart",
    "checkout_abandoned": "cart",
    "browse_abandoned": "cart",
    "returning_visitor": "journey",
    "offer_prompt": "offer",
}


class Cause(msgspec.Struct, gc=False):
    """What a decision is about."""

    type: Name
    """What kind of thing: a cart's timer, a product, a visit, ..."""
    id: Name
    """Names the cart, product or visit."""
    time: Instant
    """When it came about: of a timer when it was due, else when the event happened."""
    event_id: str = ""
    """The event that it came about by, "" of a timer."""


class Trigger(msgspec.Struct, gc=False):
    """A next best action for one profile on one channel, for one cause."""

    stream: ClassVar[str] = "triggers"

    trigger_id: Name
    """The hash of action and cause: never of a clock, an offset, a rule version or the profile id, all of which may
    differ in a replay or after a merge. Whoever has acted on it once must not act on it again."""
    slot_key: Name
    """Shared by actions that exclude each other: at most one of them is to be acted upon."""
    profile_id: Name
    """Whom it is for."""
    anonymous_ids: list[str]
    """Their devices, on which a site or app knows them."""
    action: Action
    """What to do."""
    family: Name
    """The topic of triggers that it is on."""
    channel: Outlet
    """Where to do it."""
    address_ref: Name
    """To what address, by reference: a type and the hash of an e-mail address or number, or "profile:" and the id."""
    cause: Cause
    """Why."""
    context: dict[str, Any]
    """What to say: the cart with its lines, the product, the visit, as they were at the cause; by the action."""
    expires_at: Instant
    """From this instant on it is no longer to be acted upon."""
    emitted_at: Instant = ""
    """When it was published, by the wall clock."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return self.trigger_id, f"io.nextmove.nba.{self.action}.v1", self.profile_id, self.cause.time


class Suppressed(msgspec.Struct, gc=False):
    """A decision not to act, with its one reason."""

    stream: ClassVar[str] = "suppressed"

    trigger_id: Name
    """What the trigger's would have been."""
    profile_id: Name
    """Whom it would have been for."""
    action: Action
    """What was not done."""
    reason: Suppression
    """Why not, in one word."""
    detail: str
    """Why not, in other words; "" where there is nothing to add."""
    cause: Cause
    """What it would have been about."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent.

        One trigger may be held back more than once, so the cause's event and time are in the id.
        """
        cause = self.cause
        return (
            f"{self.trigger_id}/{cause.event_id or cause.time}",
            f"io.nextmove.suppressed.{self.action}.v1",
            self.profile_id,
            cause.time,
        )


def trigger_id(action: str, cause_key: str, occurrence: int = 1) -> str:
    """Return the id of the trigger for the n-th occurrence of a cause."""
    return digest("trigger", action, cause_key, occurrence)


def slot_key(family: str, cause_key: str, occurrence: int = 1) -> str:
    """Return the key of the slot that the actions of one family compete for, at most one winner a cause."""
    return digest("slot", family, cause_key, occurrence)


def cause(type_: str, id_: str, at: int, event_id: str = "") -> Cause:
    """Return the cause of that type and id at the instant `at` (ms)."""
    return Cause(type_, id_, rfc3339(at), event_id)
