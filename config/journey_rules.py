"""One rule as journeys' files write it, into a `Rule` of `operators/rule_book.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from config.durations import DAY, SECOND, format_duration
from config.expressions import compile_condition
from config.journey_policy import (
    NAME,
    NAME_WORDS,
    SPAN_MS_MAX,
    PolicyRead,
    beyond,
    caps_of,
    experiment_of,
    quiet_of,
)
from config.marked import Marked
from operators.consent import PURPOSES
from operators.event import KINDS
from operators.expression import Expression
from operators.expression_syntax import ExpressionError
from operators.expression_types import BOOL, DOUBLE, Type
from operators.facts import SCHEMA
from operators.rule_book import BUSY, CART_TIMERS, CHANNELS, MOMENTS, PER, Rule, Weight
from operators.trigger import FAMILIES

HEARD: Final = KINDS - {"call_leg"}
"""Kinds of events that rules may name. Legs become events of their call before anybody decides."""

VERSION_MAX: Final = 1_000_000
VALUE_MAX: Final = 1e12
WEIGHT_MAX: Final = 10_000.0
CONDITIONS_MAX: Final = 20
"""Of one filter, and weights of one rule: each is asked in every decision."""
PAYLOAD_MAX: Final = 50

_PRODUCT: Final = frozenset({"product_viewed", "product_clicked", "product_added", "product_removed"})
_ORDER: Final = frozenset(kind for kind in HEARD if kind.startswith("order_"))
_CALL: Final = frozenset(kind for kind in HEARD if kind.startswith("call_"))
_CART: Final = frozenset(kind for kind in HEARD if kind.startswith(("cart_", "checkout_"))) | {
    "product_added",
    "product_removed",
}
_NAMED: Final[Mapping[str, frozenset[str]]] = {
    "product": _PRODUCT,
    "order": _ORDER,
    "cart": _CART | _ORDER | CART_TIMERS,
    "call": _CALL,
}
"""What kinds and moments name one of what a rule acts on once; whose all are is known, and in which visit."""
_PAYLOAD_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def condition(raw: Marked, result: Type | None = BOOL, *, reachable: bool = True) -> Expression:
    """Make a condition or formula of the text that stands there; a fault is shown in its line."""
    text = raw.text("a condition in quotes")
    try:
        return compile_condition(text, SCHEMA, result=result, reachable=reachable)
    except ExpressionError as error:
        raise raw.within(error) from None


def _possible(raw: Marked) -> Expression:
    """Make a condition that may turn out never to be true: then nothing is held back."""
    return condition(raw, reachable=False)


def _conditions(raw: Marked) -> list[Expression]:
    found = []
    for one in _at_most(CONDITIONS_MAX, raw, raw.several()):
        with raw.source.noting():
            found.append(condition(one))
    return found


def _at_most(limit: int, raw: Marked, found: list[Marked]) -> list[Marked]:
    if len(found) > limit:
        raise raw.fault(f"{raw.what} has {len(found)} but may have {limit}")
    return found


def _name(raw: Marked) -> str:
    return raw.matching(NAME, NAME_WORDS)


def _on(raw: Marked) -> tuple[str, ...]:
    return raw.words(sorted(HEARD | MOMENTS), "kind")


def _kinds(raw: Marked) -> frozenset[str]:
    return frozenset(raw.words(sorted(HEARD), "kind"))


def _propensity(raw: Marked) -> float:
    """Return a probability, or what so many successes and failures make of it."""
    if isinstance(raw.plain, int | float):
        return raw.number(0, 1)
    if not isinstance(raw.plain, dict):
        raise raw.must("a number from 0 to 1, or {prior: [successes, failures]}")
    prior = raw.table(("prior",), ("prior",))["prior"]
    counts = [one.number(0, 1e9) for one in prior.items()]
    if len(counts) != 2 or not sum(counts):
        raise prior.fault("prior must be [successes, failures], one of them above 0, as in [2, 38]")
    return counts[0] / sum(counts)


def _weights(raw: Marked) -> list[Weight]:
    found = []
    for one in _at_most(CONDITIONS_MAX, raw, raw.items()):
        with raw.source.noting():
            table = one.table(("if", "weight"), ("if", "weight"))
            found.append(Weight(condition(table["if"]), table["weight"].number(-100, WEIGHT_MAX)))
    return found


def _payload(raw: Marked) -> dict[str, Expression]:
    found = {}
    table = raw.table()
    _at_most(PAYLOAD_MAX, raw, list(table.values()))
    for name, one in table.items():
        with raw.source.noting():
            if not _PAYLOAD_NAME.fullmatch(name):
                raise one.fault(f"{name} is no name for a payload: letters, digits and _, a letter or _ first")
            found[name] = _constant(one) if isinstance(one.plain, bool | int | float | None) else condition(one, None)
    return found


def _constant(raw: Marked) -> Expression:
    """Make a formula of a value that YAML has without quotes; it says itself."""
    value = raw.plain
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    try:
        return compile_condition(text, SCHEMA, result=None)
    except ExpressionError:
        raise raw.must("a number of 64 bits, true, false, null, or a formula in quotes") from None


def _span(low_ms: int, high_ms: int) -> Callable[[Marked], int]:
    return lambda raw: raw.duration_ms(low_ms, high_ms)


_FIELDS: Final[Mapping[str, tuple[str, Callable[[Marked], Any]]]] = {
    "id": ("id", _name),
    "version": ("version", lambda raw: raw.count(1, VERSION_MAX)),
    "action": ("action", _name),
    "family": ("family", lambda raw: raw.word(FAMILIES)),
    "on": ("on", _on),
    "after": ("after_ms", _span(0, SPAN_MS_MAX)),
    "without": ("without", _kinds),
    "per": ("per", lambda raw: raw.word(PER)),
    "when": ("when", condition),
    "unless": ("unless", _possible),
    "eligibility": ("eligibility", _conditions),
    "applicability": ("applicability", _conditions),
    "suitability": ("suitability", _conditions),
    "not_while": ("not_while", lambda raw: raw.words(BUSY)),
    "purpose": ("purpose", lambda raw: raw.word(sorted(PURPOSES))),
    "channels": ("channels", lambda raw: raw.words(CHANNELS, "channel")),
    "propensity": ("propensity", _propensity),
    "context_weights": ("weights", _weights),
    "cooldown": ("cooldown_ms", _span(0, SPAN_MS_MAX)),
    "quiet": ("quiet", quiet_of),
    "expires_after": ("expires_ms", _span(SECOND, 30 * DAY)),
    "exclusion_group": ("exclusion_group", _name),
    "slot": ("slot", _name),
    "undone_by": ("undone_by", _kinds),
    "payload": ("payload", _payload),
}
"""The attribute of a rule by its key, and what reads it; some keys more are read by `rule_of`."""

KEYS: Final = (*_FIELDS, "value", "weights", "caps", "holdout", "variants", "experiment")
_REQUIRED: Final = ("id", "family", "on", "channels")


def rule_of(raw: Marked, policy: PolicyRead) -> tuple[Rule, dict[str, Marked]]:
    """Make a rule and return what it was made of, by key; what is wrong with it is noted, or raised."""
    raw.what = "an action"
    table = raw.table(KEYS, _REQUIRED)
    rule = Rule("", 1, "", "", ())
    rule.quiet = policy.policy.quiet
    for key, (attribute, read) in _FIELDS.items():
        if key in table:
            with raw.source.noting():
                setattr(rule, attribute, read(table[key]))
    rule.action = rule.action if "action" in table else rule.id
    rule.slot = rule.slot if "slot" in table else rule.family
    rule.is_exempt = rule.purpose in policy.exempt
    if rule.is_exempt and "quiet" not in table:  # who waits for it is not disturbed by it
        rule.quiet = None
    if "value" in table:
        with raw.source.noting():
            _value(rule, table["value"])
    if "weights" in table:
        with raw.source.noting():
            _levers(rule, table["weights"])
    if "caps" in table:
        with raw.source.noting():
            rule.caps = caps_of(table["caps"], policy)
    with raw.source.noting():
        _experiment(rule, table)
    with raw.source.noting():
        _occasion(rule, table)
    with raw.source.noting():
        _remembered(rule, raw, table, policy)
    return rule, table


def _value(rule: Rule, raw: Marked) -> None:
    if isinstance(raw.plain, str):
        rule.value_of = condition(raw, DOUBLE)
    else:
        rule.value = raw.number(0, VALUE_MAX)


def _levers(rule: Rule, raw: Marked) -> None:
    table = raw.table(("issue", "group", "action"))
    found = {name: one.number(-100, WEIGHT_MAX) for name, one in table.items()}
    rule.issue, rule.group, rule.lever = (found.get(name, 0.0) for name in ("issue", "group", "action"))


def _experiment(rule: Rule, table: Mapping[str, Marked]) -> None:
    named = table.get("experiment")
    name = _name(named) if named is not None else rule.id
    if not name:
        return  # the id has a fault
    rule.experiment = experiment_of(table.get("holdout"), name, table.get("variants"))
    if named is not None and rule.experiment is None:
        raise named.fault("an experiment without holdout and variants; give one of them")


def _occasion(rule: Rule, table: Mapping[str, Marked]) -> None:
    """Set what the rule acts on once, and refuse what is named by nothing that it hears of."""
    if not rule.on or ("per" in table and table["per"].plain != rule.per):
        return  # one has a fault
    if "per" not in table:
        defaults = {kind: _per(kind) for kind in rule.on}
        if len(set(defaults.values())) > 1:
            listed = ", ".join(f"{kind} per {per}" for kind, per in defaults.items())
            raise table["on"].fault(f"on has kinds that differ in what they are about ({listed}); say it by per")
        rule.per = defaults[rule.on[0]]
    named = _NAMED.get(rule.per)
    for kind in rule.on:
        if kind in CART_TIMERS and rule.per != "cart":
            raise table.get("per", table["on"]).fault(f"per {rule.per} does not go with {kind}, which is about a cart")
        if named is not None and kind not in named:
            raise table.get("per", table["on"]).fault(
                f"per {rule.per} does not go with {kind}, which names none or several; it goes with"
                f" {', '.join(sorted(named))}"
            )
    if rule.without and "after" not in table:
        raise table["without"].fault("without needs after: how long it is waited for what must not come")


def _per(kind: str) -> str:
    """Return what a kind or moment is about where the rule does not say it."""
    if kind in CART_TIMERS:
        return "cart"
    return next((per for per in ("product", "order", "call") if kind in _NAMED[per]), "event")


def _remembered(rule: Rule, raw: Marked, table: Mapping[str, Marked], policy: PolicyRead) -> None:
    """Refuse what is to be remembered for longer than a profile is."""
    retention_ms = policy.retention_ms
    if rule.cooldown_ms > retention_ms:
        raise table["cooldown"].fault(beyond("cooldown", rule.cooldown_ms, retention_ms))
    if rule.after_ms >= retention_ms:
        raise table["after"].fault(
            f"after is {format_duration(rule.after_ms)} but must be less than the {format_duration(retention_ms)} that"
            " profiles are kept: one forgotten sooner forgets what it waits for"
        )
    reach_ms = policy.policy.attribution.reach_ms
    if reach_ms <= retention_ms < reach_ms + rule.expires_ms:
        where = table.get("expires_after", raw)
        told = "expires_after, with attribution after it,"
        raise where.fault(beyond(told, reach_ms + rule.expires_ms, retention_ms))
