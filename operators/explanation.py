"""Why this was sent and why that was not: published decisions, by what they were about.

A candidate has passed what the engine asks before the one thing that spoke against it, and was not asked what comes
after that. So its one reason tells all the verdicts, in the order of `operators/decision.py`.

What one event causes is one occasion, by whatever part of it each rule acts (product, order, the event itself); else
the cause's type, id and time are.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from operators.attribution_record import AttributionRecord
from operators.trigger import Cause, Factors, Retraction, RuleRef, Suppressed, Suppression, Trigger

Verdict = Literal["passed", "failed", "not_asked"]

CHECKS: Final = (
    "expiry",
    "cause",
    "eligibility",
    "applicability",
    "suitability",
    "cooldown",
    "declines",
    "value",
    "channel",
    "exclusion",
    "slot",
    "holdout",
)
"""What a candidate is asked, in this order. `cause` is whether that still stands, and `unless`."""

_BY_REASON: Final[dict[str, str]] = {
    "expired": "expiry",
    "ineligible": "eligibility",
    "unsuitable": "suitability",
    "cooldown": "cooldown",
    "declined": "declines",
    "quiet_hours": "channel",
    "cap": "channel",
    "consent": "channel",
    "no_channel": "channel",
    "excluded": "exclusion",
    "outranked": "slot",
    "holdout": "holdout",
}
# `not_applicable` is said of three checks. Which it was, its detail tells: none of these begins a condition.
_OF_CAUSE: Final = ("unless ", "the cart is ")
_UNASKED: Final = ("cancelled by ", "more than ", "there is no such rule")
_UNDONE: Final = frozenset({"purchased", "emptied", "changed"})
_OF_VALUE: Final = ("its value cannot be told", "propensity is ", "context is ", "value is ", "levers is ")
_TOO_LARGE: Final = "is too large to compare"


class Check(msgspec.Struct):
    """What a candidate was asked, and what came of it."""

    check: str
    verdict: Verdict
    detail: str = ""


class Order(msgspec.Struct):
    """An order that was credited to a trigger: it is so still, or to a later touch, or was cancelled."""

    order_id: str
    state: Literal["credited", "passed_on", "withdrawn"]
    value: float
    currency: str
    ordered_at: str
    touch: str
    touched_at: str


class Undoing(msgspec.Struct):
    """Why a trigger was taken back."""

    reason: str
    cause: Cause


class Told(msgspec.Struct, kw_only=True):
    """What became of one candidate. What only triggers have is empty in one that was not sent."""

    outcome: Literal["sent", "suppressed"]
    reason: Suppression | Literal[""] = ""
    detail: str = ""
    trigger_id: str
    profile_id: str
    action: str
    family: str
    rule: RuleRef
    cause: Cause
    checks: list[Check]
    priority: Factors | None
    channels: dict[str, str]
    channel: str = ""
    address_ref: str = ""
    slot_key: str = ""
    assignment: str = ""
    variant: str = ""
    not_before: str = ""
    expires_at: str = ""
    retracted: Undoing | None = None
    orders: list[Order] = []


class Occasion(msgspec.Struct):
    """Something that candidates were of: sent ones first, then by what they were worth."""

    type: str
    id: str
    time: str
    candidates: list[Told]


Key = tuple[str, str, str]
"""Time, type and id of an occasion."""


def occasion_of(cause: Cause) -> Key:
    """Return what a cause is an occasion of."""
    return cause.time, cause.type, cause.event_id or cause.id


class Explanation:
    """Gathers decisions; each counts once, however often it is told. Of more than `limit` occasions the latest stay."""

    def __init__(self, limit: int) -> None:
        """Begin with nothing."""
        assert limit >= 1, "there is something to explain"
        self._limit = limit
        self._occasions: dict[Key, dict[str, Told]] = {}
        self._retracted: dict[str, Undoing] = {}
        self._credits: dict[str, list[AttributionRecord]] = {}
        self.is_cut = False
        """Whether occasions were left out, older than those that stay."""

    def take(self, record: Trigger | Suppressed | Retraction | AttributionRecord) -> None:
        """Take in what was published, in any order."""
        if isinstance(record, Trigger | Suppressed):
            key = occasion_of(record.cause)
            told = _sent(record) if isinstance(record, Trigger) else _suppressed(record)
            self._occasions.setdefault(key, {}).setdefault(record.cloud_event[0], told)
            if len(self._occasions) > 2 * self._limit:  # not each time: that would sort them each time
                self._shorten()
        elif isinstance(record, Retraction):
            self._retracted.setdefault(record.trigger_id, Undoing(record.reason, record.cause))
        elif record not in self._credits.setdefault(record.order_id, []):
            self._credits[record.order_id].append(record)

    def occasions(self) -> list[Occasion]:
        """Return them in the order in which they came about."""
        self._shorten()
        orders = _orders(self._credits)
        found = []
        for (time, type_, id_), told in sorted(self._occasions.items()):
            candidates = sorted(told.values(), key=_order)
            for one in candidates:
                if one.outcome == "sent":
                    one.retracted = self._retracted.get(one.trigger_id)
                    one.orders = orders.get(one.trigger_id, [])
            found.append(Occasion(type_, id_, time, candidates))
        return found

    def _shorten(self) -> None:
        over = sorted(self._occasions)[: -self._limit]
        self.is_cut = self.is_cut or bool(over)
        for key in over:
            del self._occasions[key]


def checks_of(reason: Suppression | Literal[""], detail: str = "") -> list[Check]:
    """Return what a candidate was asked, by the reason that it was held back for; "" for none."""
    failed = _BY_REASON.get(reason, _not_applicable(detail) if reason else "")
    is_unasked = reason == "not_applicable" and _is_given_up(detail)
    checks, verdict = [], "not_asked" if is_unasked else "passed"
    for name in CHECKS:
        if name == failed:
            checks.append(Check(name, "failed", detail))
            verdict = "not_asked"
        else:
            checks.append(Check(name, "passed" if verdict == "passed" else "not_asked"))
    return checks


def _not_applicable(detail: str) -> str:
    """Return which check it was that found a candidate not applicable."""
    if detail.startswith(_OF_CAUSE) or _is_given_up(detail):
        return "cause"
    if detail.startswith(_OF_VALUE) or detail.endswith(_TOO_LARGE):
        return "value"
    return "applicability"


def _is_given_up(detail: str) -> bool:
    """Whether a candidate came to its end before it was asked anything (more): it was waited for, or held."""
    return detail in _UNDONE or detail.startswith(_UNASKED)


def _sent(record: Trigger) -> Told:
    return Told(
        outcome="sent",
        trigger_id=record.trigger_id,
        profile_id=record.profile_id,
        action=record.action,
        family=record.family,
        rule=record.rule,
        cause=record.cause,
        checks=checks_of(""),
        priority=record.priority,
        channels=record.channels,
        channel=record.channel,
        address_ref=record.address_ref,
        slot_key=record.slot_key,
        assignment=record.assignment,
        variant=record.variant,
        not_before=record.not_before,
        expires_at=record.expires_at,
    )


def _suppressed(record: Suppressed) -> Told:
    return Told(
        outcome="suppressed",
        reason=record.reason,
        detail=record.detail,
        trigger_id=record.trigger_id,
        profile_id=record.profile_id,
        action=record.action,
        family=record.family,
        rule=record.rule,
        cause=record.cause,
        checks=checks_of(record.reason, record.detail),
        priority=record.priority,
        channels=record.channels,
    )


def _order(told: Told) -> tuple[bool, float, str, str]:
    score = -1.0 if told.priority is None else told.priority.score
    return told.outcome != "sent", -score, told.action, told.rule.id


def _orders(credits_: dict[str, list[AttributionRecord]]) -> dict[str, list[Order]]:
    """Return the orders that triggers were credited with: of an order's credits that with the latest touch counts."""
    found: dict[str, list[Order]] = {}
    for order_id in sorted(credits_):
        told = credits_[order_id]
        given = sorted([one for one in told if one.state == "credited"], key=lambda one: one.touched_at)
        is_withdrawn = len(given) < len(told)
        by_trigger = {one.trigger_id: one for one in given}
        for trigger_id, one in by_trigger.items():
            state: Literal["credited", "passed_on", "withdrawn"] = "credited"
            if is_withdrawn:
                state = "withdrawn"
            elif trigger_id != given[-1].trigger_id:
                state = "passed_on"
            touched = one.touch, one.touched_at
            order = Order(order_id, state, one.value, one.currency, one.ordered_at, *touched)
            found.setdefault(trigger_id, []).append(order)
    return found
