"""Candidates: a rule that fires on a moment, and what names the occasion."""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from operators.case import Case
from operators.facts import Facts
from operators.moment import Moment
from operators.priority import Priority
from operators.reach import Reach
from operators.rule_book import ONCE, RETURNED, Rule
from operators.trigger import (
    Cause,
    Factors,
    RuleRef,
    Suppressed,
    Suppression,
    cause,
    slot_key,
    trigger_id,
)
from operators.undoing import scope_of


@mypyc_attr(acyclic=True)
class Claim:
    """A candidate on its way: a rule, the moment that it fires on, and what is found out about it."""

    priority: Priority | None = None
    found: Reach | None = None
    _slot: str = ""

    def __init__(self, rule: Rule, moment: Moment, facts: Facts, case: Case) -> None:
        self.rule = rule
        self.moment = moment
        self.facts = facts
        self.cause_id, key, self.about, self.cooldown_ms = _occasion(rule, moment, case)
        self.trigger_id = trigger_id(rule.action, key)
        self._key = key
        self.expires_at = moment.at + rule.expires_ms

    @property
    def slot_key(self) -> str:
        """What at most one rule acts on."""
        if not self._slot:  # most are refused, and have no need of it
            self._slot = slot_key(self.rule.exclusion_group or self.rule.slot, self._key)
        return self._slot

    @property
    def cause(self) -> Cause:
        """What it is about, as records say it."""
        moment = self.moment
        event_id = "" if moment.event is None else moment.event.event_id
        kind = f"{moment.kind}.timer" if moment.is_wait and not moment.kind.endswith(".timer") else moment.kind
        return cause(kind, self.cause_id, moment.at, event_id)


def factors(priority: Priority) -> Factors:
    """Return a priority as records say it."""
    return Factors(priority.p, priority.c, priority.v, priority.l, priority.score)


def suppressed(case: Case, claim: Claim, reason: Suppression, detail: str) -> Suppressed:
    """Return the decision not to act on a candidate."""
    rule, priority, found = claim.rule, claim.priority, claim.found
    return Suppressed(
        claim.trigger_id,
        case.person.profile_id,
        rule.action,
        rule.family,
        reason,
        detail,
        claim.cause,
        RuleRef(rule.id, rule.version, case.book.id),
        None if priority is None else factors(priority),
        {} if found is None else found.channels,
    )


def _occasion(rule: Rule, moment: Moment, case: Case) -> tuple[str, str, str, int]:
    """Return what names the cause, the key that its ids are made of, what its cool-down is about, and how long that is.

    Of what happens once (an order, a call) the cool-down is as long as anything is remembered.
    """
    kind, cooldown_ms, assignment = moment.kind, rule.cooldown_ms, case.person.assignment_id
    if moment.is_wait:
        scope = scope_of(rule.per, moment, case)
        return scope or assignment, moment.key, scope if rule.per == "product" else "", cooldown_ms
    if moment.cart is not None:
        return moment.cart.cart_id, moment.key, "", cooldown_ms
    event = moment.event
    if kind == RETURNED:
        # Two on one device are two; by another visit nothing that came late can change any more when each came first.
        first = f"{assignment}@{case.person.first_at}"
        return f"{assignment}/{moment.count}", f"{first}|visit|{moment.count}", "", cooldown_ms
    assert event is not None, f"{kind} is an event's"
    scope = scope_of(rule.per, moment, case)
    # Two occasions of one product or person lie at least a cool-down apart, so in different ones of these spans; and
    # whichever event of an occasion comes first, nearly always in the same.
    span = moment.at // max(cooldown_ms, 1)
    if rule.per == "product":
        return scope or event.event_id, f"{assignment}|{scope}|{span}", scope, max(cooldown_ms, 1)
    if rule.per == "profile":
        return assignment, f"{assignment}|{kind}|{span}", "", max(cooldown_ms, 1)
    if rule.per == "session":
        visit = case.visit(event)
        if visit is not None:  # its beginning may yet turn out to be earlier
            about = f"{visit.visitor_id}|{visit.channel}"
            return scope, f"{kind}|{scope}", about, max(cooldown_ms, moment.at - visit.started_at + 1)
    if rule.per in ONCE and scope:
        return scope, f"{kind}|{scope}", scope, case.book.once_ms
    return event.event_id or assignment, f"{kind}|{event.event_id}|{event.at}", "", cooldown_ms
