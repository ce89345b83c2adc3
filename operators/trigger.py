"""Triggers and their opposite, suppressed decisions, with ids that depend on the cause only."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from operators.event import rfc3339
from operators.ids import digest

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
    """What a decision is about: `id` names the cart, product or visit, `time` when it came about."""

    type: str
    id: str
    time: str
    event_id: str = ""


class Trigger(msgspec.Struct, gc=False):
    """A next best action for one profile on one channel, for one cause.

    `trigger_id` is the hash of action and cause: never of a clock, an offset, a rule version or the
    profile id, all of which may differ in a replay or after a merge. `slot_key` is shared by actions
    that exclude each other. `emitted_at` is wall-clock time, set by the step that publishes.
    """

    stream: ClassVar[str] = "triggers"

    trigger_id: str
    slot_key: str
    profile_id: str
    anonymous_ids: list[str]
    action: Action
    family: str
    channel: Outlet
    address_ref: str
    cause: Cause
    context: dict[str, Any]
    expires_at: str
    emitted_at: str = ""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return self.trigger_id, f"io.nextmove.nba.{self.action}.v1", self.profile_id, self.cause.time


class Suppressed(msgspec.Struct, gc=False):
    """A decision not to act, with its one reason; `trigger_id` is what the trigger's would have been."""

    stream: ClassVar[str] = "suppressed"

    trigger_id: str
    profile_id: str
    action: Action
    reason: Suppression
    detail: str
    cause: Cause

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
