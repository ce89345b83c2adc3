"""Triggers and their opposite, suppressed decisions, with ids that depend on the cause only."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal, get_args

import msgspec

from operators.event import rfc3339
from operators.ids import digest
from operators.wire import Instant, Name, Ordinal, one_of

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
Undone = Literal["purchased", "emptied", "changed", "cancelled", "consent", "declined"]
"""Why a trigger is taken back: the cart was bought, emptied or taken up again, what must not come has come, or the
person does not want it."""

Family = Literal["cart", "cti", "journey", "lead", "nurture", "offer", "order", "service", "social"]
FAMILIES: Final[tuple[str, ...]] = get_args(Family)
"""What triggers are about; those of each family have a topic of their own."""


class Cause(msgspec.Struct, gc=False):
    """What a decision is about."""

    type: Name
    """What kind of thing: an event's kind, a cart's timer, a visit, ..."""
    id: Name
    """Names the cart, product, order, call, visit or event that it is about."""
    time: Instant
    """When it came about: of a timer when it was due, else when the event happened."""
    event_id: str = ""
    """The event that it came about by, "" of a timer."""


class Factors(msgspec.Struct, gc=False):
    """A priority, P x C x V x L, with all its factors."""

    p: float
    """Propensity, 0 to 1: how likely it is to be accepted."""
    c: float
    """Context: 1 and a hundredth of the weights of what holds now."""
    v: float
    """Value in the shop's currency."""
    l: float  # noqa: E741 -- the formula's own name
    """Levers of the business: 1 and a hundredth of its weights."""
    score: float
    """Their product. In each slot the greatest wins."""


class RuleRef(msgspec.Struct, gc=False):
    """The rule that it was decided by."""

    id: Name
    """Names the rule."""
    version: Ordinal
    """Its version, as its author counts."""
    book: Name
    """A digest of all the rules that were in force together."""


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
    action: Name
    """What to do."""
    family: Annotated[str, one_of(Family)]
    """The topic of triggers that it is on."""
    channel: Name
    """Where to do it."""
    address_ref: Name
    """To what address, by reference: a type and the hash of an e-mail address or number, or "profile:" and the id."""
    cause: Cause
    """Why."""
    context: dict[str, Any]
    """What to say: the cart with its lines, the product, the visit as they were at the cause, or the rule's payload."""
    priority: Factors
    """What it was worth beside others."""
    rule: RuleRef
    """By which rule."""
    assignment: Name
    """By what the person is in the arms of experiments: the first anonymous id, kept through merges."""
    variant: str
    """The arm of the rule's experiment that the person is in, "" where it has none."""
    channels: dict[str, str]
    """The channels that were looked at, in order of preference, and what spoke against each; "" of the chosen one."""
    not_before: Instant
    """From this instant on it may be acted upon: its cause's, or the end of quiet hours that it was held for."""
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
    action: Name
    """What was not done."""
    family: Annotated[str, one_of(Family)]
    """The family of the action."""
    reason: Suppression
    """Why not, in one word."""
    detail: str
    """Why not, in other words; "" where there is nothing to add."""
    cause: Cause
    """What it would have been about."""
    rule: RuleRef
    """By which rule."""
    priority: Factors | None = None
    """What it was worth beside others, null where it was held back before that was asked."""
    channels: dict[str, str] = {}
    """The channels that were looked at, in order of preference, and what spoke against each; "" of a free one."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent.

        One trigger may be held back more than once, so rule and the cause's event or time are in the id.
        """
        cause = self.cause
        return (
            f"{self.trigger_id}/{self.rule.id}/{cause.event_id or cause.time}",
            f"io.nextmove.suppressed.{self.action}.v1",
            self.profile_id,
            cause.time,
        )


class Retraction(msgspec.Struct, gc=False):
    """A trigger is taken back: what it was about has been undone within its life. Who has not acted on it need not."""

    stream: ClassVar[str] = "triggers"

    trigger_id: Name
    """The trigger that is taken back."""
    slot_key: Name
    """Its slot's."""
    profile_id: Name
    """Whom it was for, as they are known by now."""
    action: Name
    """What was to be done."""
    family: Annotated[str, one_of(Family)]
    """The topic of triggers that both are on."""
    channel: Name
    """Where it was to be done."""
    reason: Undone
    """Why, in one word."""
    cause: Cause
    """What has undone it."""
    expires_at: Instant
    """When the trigger would have expired."""
    rule: RuleRef
    """By which rule it was sent."""
    emitted_at: Instant = ""
    """When this was published, by the wall clock."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return f"{self.trigger_id}/retracted", "io.nextmove.trigger.retracted.v1", self.profile_id, self.cause.time


class RuleFault(msgspec.Struct, gc=False):
    """A part of a rule had no value for somebody. It is counted and not published."""

    rule: str
    part: str
    """"when", "unless", "eligibility", "applicability", "suitability", "weight", "value" or "payload"."""
    detail: str


def trigger_id(action: str, cause_key: str, occurrence: int = 1) -> str:
    """Return the id of the trigger for the n-th occurrence of a cause."""
    return digest("trigger", action, cause_key, occurrence)


def slot_key(slot: str, cause_key: str, occurrence: int = 1) -> str:
    """Return the key of a slot, or of actions that exclude each other: at most one of them wins, for each cause."""
    return digest("slot", slot, cause_key, occurrence)


def cause(type_: str, id_: str, at: int, event_id: str = "") -> Cause:
    """Return the cause of that type and id at the instant `at` (ms)."""
    return Cause(type_, id_, rfc3339(at), event_id)
