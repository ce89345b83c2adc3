"""What it costs to ask fifty conditions of an event, all of them: CEL made into Python beside Python by hand.

The rules are ten conditions, five thresholds each. By hand they are lambdas that say the same and check nothing: what a
rule may not be written as, for then it could do anything. Both are asked in the same process, round by round, of the
same facts, and must agree on each. A missing fact costs more, for an exception is raised and the exact code decides;
so a second event has no order and no properties, for which ten rules in fifty ask. CPU is that of this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from config.expressions import compile_condition
from operators.expression_types import BOOL, DOUBLE, DYN, INT, STRING, TIMESTAMP, Schema, list_of, map_of

TARGET_US: Final = 25.0
"""For fifty rules, on top of what the event costs anyway."""
EVENTS: Final = 20_000
THRESHOLDS: Final = (1, 2, 3, 5, 8)

Facts: TypeAlias = dict[str, Any]
Rule: TypeAlias = Callable[[Facts], bool | None]

SCHEMA: Final[Schema] = {
    "event.kind": STRING,
    "event.channel": STRING,
    "event.at": TIMESTAMP,
    "event.url": STRING,
    "event.order.value": DOUBLE,
    "event.properties": map_of(DYN),
    "profile.known": BOOL,
    "profile.visits": INT,
    "profile.risk": DOUBLE,
    "profile.seen_at": TIMESTAMP,
    "profile.cart.value": DOUBLE,
    "profile.cart.lines": list_of(map_of(DYN)),
    "profile.consents": map_of(BOOL),
    "now": TIMESTAMP,
}

RULES: Final[dict[str, Callable[[int], Rule]]] = {
    'event.kind == "product_viewed" && profile.visits >= {n}': lambda n: (
        lambda f: f["event.kind"] == "product_viewed" and f["profile.visits"] >= n
    ),
    "profile.cart.value >= {n}0.0 && !profile.consents.email": lambda n: (
        lambda f: f["profile.cart.value"] >= n * 10.0 and not f["profile.consents"]["email"]
    ),
    'event.channel in ["web", "app"] && profile.known && profile.risk < 0.{n}': lambda n: (
        lambda f: f["event.channel"] in {"web", "app"} and f["profile.known"] and f["profile.risk"] < n / 10
    ),
    'now - profile.seen_at > duration("{n}h")': lambda n: lambda f: f["now"] - f["profile.seen_at"] > n * 3_600_000,
    'event.url.contains("/checkout") || profile.visits * 2 > {n}': lambda n: (
        lambda f: "/checkout" in f["event.url"] or f["profile.visits"] * 2 > n
    ),
    "size(profile.cart.lines) > {n}": lambda n: lambda f: len(f["profile.cart.lines"]) > n,
    "profile.cart.lines.exists(line, line.quantity >= {n})": lambda n: (
        lambda f: any(line["quantity"] >= n for line in f["profile.cart.lines"])
    ),
    "has(event.order.value) && event.order.value > {n}.0": lambda n: (
        lambda f: "event.order.value" in f and f["event.order.value"] > n
    ),
    'event.properties.colour == "red" && profile.visits > {n}': lambda n: (
        lambda f: f["event.properties"]["colour"] == "red" and f["profile.visits"] > n
    ),
    "profile.known ? profile.visits > {n} : profile.cart.value > 1{n}.0": lambda n: (
        lambda f: f["profile.visits"] > n if f["profile.known"] else f["profile.cart.value"] > 10 + n
    ),
}

EVENT: Final[Facts] = {
    "event.kind": "product_viewed",
    "event.channel": "web",
    "event.at": 1_795_255_200_000,
    "event.url": "https://shop.example/product/kettle",
    "event.order.value": 49.9,
    "event.properties": {"colour": "red", "size": 3},
    "profile.known": True,
    "profile.visits": 4,
    "profile.risk": 0.25,
    "profile.seen_at": 1_795_240_000_000,
    "profile.cart.value": 35.0,
    "profile.cart.lines": [{"product_id": "p1", "quantity": 1}, {"product_id": "p2", "quantity": 4}],
    "profile.consents": {"email": False, "sms": True},
    "now": 1_795_255_200_000,
}
ABSENT: Final = ("event.order.value", "event.properties")


class Asked(msgspec.Struct, kw_only=True):
    """What one event costs, a value a round: µs of CPU for all rules."""

    name: str
    rules: int
    without: int
    """Rules that have no value."""
    true: int
    hand_us: list[float] = []
    ours_us: list[float] = []
    fault: str = ""

    @property
    def ratio(self) -> float:
        """How often the cost by hand goes into ours, the best round of each: noise only ever adds."""
        return min(self.ours_us) / min(self.hand_us)


class Expressions(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    events: int
    asked: list[Asked]
    compile_us: float
    """To make one condition of its text, the first one, which makes the parser, apart."""

    @property
    def faults(self) -> list[str]:
        """Where the two do not agree."""
        return [f"{asked.name}: {asked.fault}" for asked in self.asked if asked.fault]


def run(events: int, rounds: int, tell: Callable[[str], None]) -> Expressions:
    """Ask all rules of each event `events` times in each round."""
    texts = [text.replace("{n}", str(n)) for text in RULES for n in THRESHOLDS]
    compile_condition("profile.known", SCHEMA)
    began_s = time.process_time()
    ours = [compile_condition(text, SCHEMA).matches for text in texts]
    compile_us = (time.process_time() - began_s) * 1e6 / len(texts)
    hand = [_guarded(make(n)) for make in RULES.values() for n in THRESHOLDS]
    found = Expressions(events=events, asked=[], compile_us=compile_us)
    for name, facts in _events():
        answers = [rule(facts) for rule in ours]
        # By hand a missing fact ends it; in CEL the other side of `&&` may still say no.
        differing = [
            text
            for text, one, other in zip(texts, answers, [rule(facts) for rule in hand], strict=True)
            if one is not other and (one, other) != (False, None)
        ]
        asked = Asked(name=name, rules=len(texts), without=answers.count(None), true=answers.count(True))
        asked.fault = f"not the same by hand: {differing[0]}" if differing else ""
        for _ in range(rounds):
            asked.hand_us.append(_timed(hand, facts, events))
            asked.ours_us.append(_timed(ours, facts, events))
        found.asked.append(asked)
        tell(f"{name}: {min(asked.ours_us):.1f} µs for {len(texts)} rules, {asked.ratio:.1f} times those by hand")
    return found


def title(found: Expressions) -> str:
    """Say what the table is of."""
    rules, rounds = found.asked[0].rules, len(found.asked[0].ours_us)
    return f"{rules} conditions of each of {found.events:,} events, best (to worst) of {rounds} rounds"


def table(found: Expressions) -> list[list[str]]:
    """Lay the costs out: of each the best round and, behind it, the worst."""
    rows = [["event", "true", "no value", "by hand, µs an event", "CEL, µs an event", "times by hand"]]
    for asked in found.asked:
        costs = [f"{min(us):.1f} (to {max(us):.1f})" for us in (asked.hand_us, asked.ours_us)]
        rows.append([asked.name, str(asked.true), str(asked.without), *costs, f"{asked.ratio:.1f}"])
    return rows


def told(found: Expressions) -> list[str]:
    """Say whether the target is held, and what is wrong."""
    worst = max(min(asked.ours_us) for asked in found.asked)
    said = f"At most {worst:.1f} µs an event, where {TARGET_US:.0f} is the most that fifty rules may cost"
    return [said, f"{found.compile_us:,.0f} µs to make one condition of its text", *found.faults]


def _events() -> Iterator[tuple[str, Facts]]:
    yield "with all facts", EVENT
    yield "without order and properties", {path: value for path, value in EVENT.items() if path not in ABSENT}


def _guarded(rule: Rule) -> Rule:
    """Let a rule by hand say None where a fact is missing."""

    def guarded(facts: Facts) -> bool | None:
        try:
            return rule(facts)
        except KeyError:
            return None

    return guarded


def _timed(rules: Sequence[Rule], facts: Facts, events: int) -> float:
    began_s = time.process_time()
    for _ in range(events):
        for rule in rules:
            rule(facts)
    return (time.process_time() - began_s) * 1e6 / events
