"""What speaks against a candidate: the first of all that is asked, for each decision not to act has one reason."""

from __future__ import annotations

from typing import Any

from operators.case import Case
from operators.claim import Claim
from operators.event import rfc3339
from operators.expression import Expression
from operators.expression_values import EvaluationError
from operators.moment import Moment
from operators.priority import Priority, context_factor, lever_factor
from operators.reach import reach
from operators.refractory import cooling_until, paused
from operators.rule_book import Rule
from operators.trigger import RuleFault, Suppression
from operators.undoing import is_moot

Refusal = tuple[Suppression, str]
"""The reason, and in other words."""


def refusal_of(case: Case, claim: Claim, out: list[Any]) -> Refusal | None:
    """Return the first thing that speaks against a candidate, None where nothing does: then it has a priority."""
    rule, moment = claim.rule, claim.moment
    if _reached(case, moment) >= claim.expires_at:
        return "expired", f"expired {rfc3339(claim.expires_at)}"
    why = is_moot(case, moment)
    if why:
        return "not_applicable", f"the cart is {why}"
    if rule.unless is not None:
        holds = rule.unless.matches(claim.facts)
        if holds is None:
            out.append(RuleFault(rule.id, "unless", ""))
        if holds is not False:
            return "not_applicable", f"unless {rule.unless.source}{'' if holds else ' (no value)'}"
    for part, reason, conditions in _filters(rule):
        for condition in conditions:
            holds = condition.matches(claim.facts)
            if holds is None:
                out.append(RuleFault(rule.id, part, ""))
            if not holds:
                return reason, f"{condition.source}{'' if holds is False else ' (no value)'}"
    busy = _busy(case, rule)
    if busy is not None:
        return busy
    refusal = _too_soon(case, claim)
    if refusal is not None:
        return refusal
    refusal = _worth(claim, out)
    return channel_of(case, claim) if refusal is None else refusal


def _reached(case: Case, moment: Moment) -> int:
    """Return up to when time had come: at an event's decision, or when it began a wait, as late as it may have come."""
    event = moment.event
    if event is None:
        return case.now
    return max(case.now, event.mark if moment.is_wait else case.watermark)


def _filters(rule: Rule) -> list[tuple[str, Suppression, list[Expression]]]:
    return [
        ("eligibility", "ineligible", rule.eligibility),
        ("applicability", "not_applicable", rule.applicability),
        ("suitability", "unsuitable", rule.suitability),
    ]


def _busy(case: Case, rule: Rule) -> Refusal | None:
    """Say that a person is not to be disturbed now."""
    if "call" in rule.not_while and case.is_in_call():
        return "unsuitable", "on the telephone"
    if "onsite" in rule.not_while and case.is_onsite():
        return "unsuitable", "on the site"
    return None


def _too_soon(case: Case, claim: Claim) -> Refusal | None:
    """Say that an action rests after it was taken, or after somebody has said no."""
    rule, now, contacts = claim.rule, case.now, case.memory().contacts
    if claim.cooldown_ms:
        until = cooling_until(contacts, rule.action, claim.about, claim.cooldown_ms, now)
        if until is not None:
            return "cooldown", f"last sent {rfc3339(until - claim.cooldown_ms)}"
    if not rule.is_exempt:
        for pause in case.book.policy.pauses:
            rest = paused(contacts, pause, rule.action, rule.family, now)
            if rest is not None:
                return "declined", f"declined {rfc3339(rest.negatives[-1])}"
    return None


def _worth(claim: Claim, out: list[Any]) -> Refusal | None:
    """Find out a candidate's priority; say where it has none."""
    rule, value, weights = claim.rule, claim.rule.value, list[float]()
    try:
        if rule.value_of is not None:
            value = rule.value_of(claim.facts)
    except EvaluationError as error:
        out.append(RuleFault(rule.id, "value", str(error)))
        return "not_applicable", "its value cannot be told"
    for weight in rule.weights:
        holds = weight.condition.matches(claim.facts)
        if holds is None:
            out.append(RuleFault(rule.id, "weight", ""))
        if holds:
            weights.append(weight.weight)
    levers = lever_factor(rule.issue, rule.group, rule.lever)
    try:
        claim.priority = Priority(rule.propensity, context_factor(weights), float(value), levers)
    except ValueError as error:
        out.append(RuleFault(rule.id, "value", str(error)))
        return "not_applicable", str(error)
    return None


def refused_by_now(case: Case, claim: Claim) -> Refusal | None:
    """Return what speaks against a winner since another one was sent, and choose its channel anew."""
    refusal = _too_soon(case, claim)
    return channel_of(case, claim) if refusal is None else refusal


def channel_of(case: Case, claim: Claim) -> Refusal | None:
    """Choose a candidate's channel; say where there is none."""
    found = claim.found = reach(case, claim.rule, claim.trigger_id, claim.expires_at)
    if found.channel:
        return None
    reason: Suppression = "no_channel"
    if found.reason == "consent":
        reason = "consent"
    elif found.reason == "cap":
        reason = "cap"
    elif found.reason == "quiet_hours":
        reason = "quiet_hours"
    return reason, found.detail
