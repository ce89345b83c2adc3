"""
Holds what a consumer saw against the truth: a slow model of the log, and a quiet run from file to file.

Nothing here asks nextmove how it did; what is found wrong is told with an example.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from connectors.formats import decode_batch
from operators.event import Event
from tests import model
from tests.chaos.evidence import Evidence, Seen
from tests.chaos.lives import household
from tests.chaos.rules import Rules

ABANDONMENTS: Final = frozenset({"cart_abandoned", "checkout_abandoned"})
CHANGES: Final = frozenset({"product_added", "checkout_started", "cart_updated"})
SHOWN: Final = 3

Row = tuple[Any, ...]


@dataclass
class Verdict:
    """What was counted, and what is wrong."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    details: dict[str, list[str]] = field(default_factory=dict)
    """All that is wrong, by kind, for whoever looks for the cause."""

    def count(self, what: str, told: str) -> None:
        """Note a figure."""
        self.rows.append((what, told))

    def none_of(self, what: str, found: Collection[object]) -> int:
        """Complain of each kind of thing that must not be, with examples; return how many there are."""
        if found:
            examples = "; ".join(str(thing) for thing in list(found)[:SHOWN])
            self.faults.append(f"{len(found)} {what}: {examples}")
            self.details[what] = [str(thing) for thing in found]
        return len(found)


@dataclass
class Truth:
    """What the log means, by the model: sessions, news of carts, and the events it was made of."""

    events: list[Event]
    sessions: set[Row]
    carts: set[Row]
    repeated: int
    rejected: set[tuple[str, int]]


def audit(evidence: Evidence, rules: Rules) -> Verdict:
    """Hold everything against the truth."""
    verdict = Verdict()
    truth = true_of(evidence, rules)
    _triggers(verdict, evidence)
    verdict.count("false abandonments", str(verdict.none_of("false abandonments", false_ones(evidence, truth))))
    _sessions(verdict, evidence, truth)
    _carts(verdict, evidence, truth)
    _books(verdict, evidence, truth)
    _others(verdict, evidence)
    return verdict


def true_of(evidence: Evidence, rules: Rules) -> Truth:
    """Recompute sessions and carts from the log, a household at a time."""
    every = decode_batch(evidence.log, partition="", first_position=0, read_at=None).events
    unique = {event.event_id: event for event in reversed(every)}
    households: defaultdict[str, list[Event]] = defaultdict(list)
    for event in unique.values():
        households[household(event.anonymous_id)].append(event)
    profile = rules.settings.lead_rules()
    sessions: set[Row] = set()
    carts: set[Row] = set()
    for events in households.values():
        sessions.update(
            (visit.visitor, visit.channel, visit.started_at, visit.ended_at, visit.events)
            for visit in model.sessions(events, profile.sessions)
        )
        if any(event.kind in CHANGES for event in events):
            news = model.carts(events, profile.carts)
            carts.update((item.cart, item.at, item.state, item.intent, item.value) for item in news)
    rejected = {
        (entry.partition, entry.offset)
        for entry in evidence.input
        if decode_batch([entry.line], partition="", first_position=0, read_at=None).rejected
    }
    return Truth(list(unique.values()), sessions, carts, len(every) - len(unique), rejected)


def _triggers(verdict: Verdict, evidence: Evidence) -> None:
    """Each trigger once, none more, and each says what it should."""
    expected = {record.id: record.data for record in evidence.expected["triggers"]}
    counts = Counter(record.id for record in evidence.seen["triggers"])
    known = {record.id: record.data for record in evidence.seen["triggers"]}
    lost = [f"{id_} {_about(data)}" for id_, data in expected.items() if id_ not in counts]
    twice = [f"{id_} {_about(known[id_])}" for id_, count in counts.items() if count > 1]
    unknown = [f"{id_} {_about(known[id_])}" for id_ in counts if id_ not in expected]
    other = [
        f"{id_} {_about(data)} instead of {_about(expected[id_])}"
        for id_, data in known.items()
        if id_ in expected and _about(data) != _about(expected[id_])
    ]
    verdict.count("triggers expected", f"{len(expected):,}: {_by(expected.values(), 'action')}")
    verdict.count("triggers seen", f"{counts.total():,}")
    verdict.count("triggers lost", str(verdict.none_of("triggers lost", lost)))
    verdict.count("triggers duplicated", str(verdict.none_of("triggers duplicated", twice)))
    verdict.count("triggers that should not be", str(verdict.none_of("triggers that should not be", unknown)))
    verdict.count("triggers that say something else", str(verdict.none_of("triggers that say something else", other)))


def false_ones(evidence: Evidence, truth: Truth) -> list[str]:
    """Return the triggers on abandoned carts that an order had bought before they were due."""
    orders: defaultdict[str, list[Event]] = defaultdict(list)
    changes: defaultdict[str, list[int]] = defaultdict(list)
    for event in truth.events:
        if event.kind == "order_completed":
            orders[household(event.anonymous_id)].append(event)
        elif event.kind in CHANGES and event.commerce:
            changes[event.commerce.cart_id].append(event.at)
    found = []
    for record in evidence.seen["triggers"]:
        if record.data["action"] not in ABANDONMENTS:
            continue
        cause = record.data["cause"]
        due_at, cart = instant(cause["time"]), cause["id"]
        changed_at = max((at for at in changes[cart] if at <= due_at), default=0)
        for order in orders[household(record.data["anonymous_ids"][0])]:
            names = order.commerce.cart_id if order.commerce else ""
            if changed_at <= order.at <= due_at and names in ("", cart):
                found.append(f"{cart} due {cause['time']} was bought {(due_at - order.at) / 1000:.3f} s before")
    return found


def _sessions(verdict: Verdict, evidence: Evidence, truth: Truth) -> None:
    last: dict[str, dict[str, Any]] = {}
    for record in evidence.seen["sessions"]:
        data = record.data
        if data["revision"] >= last.get(data["session_id"], data)["revision"]:
            last[data["session_id"]] = data
    closed = [
        (d["visitor_id"], d["channel"], instant(d["started_at"]), instant(d["ended_at"]), d["events"])
        for d in last.values()
        if d["state"] == "closed"
    ]
    _compare(verdict, "sessions", closed, truth.sessions)
    counted = sum(events for *_, events in closed)
    events, repeated, rejected = len(truth.events), truth.repeated, len(truth.rejected)
    if counted + rejected + repeated != len(evidence.input):
        verdict.faults.append(
            f"{len(evidence.input)} records are not {counted} in sessions + {rejected} rejected + {repeated} repeated"
        )
    verdict.count(
        "records",
        f"{len(evidence.input):,} = {counted:,} accepted ({events:,} sent) + {rejected:,} rejected"
        f" + {repeated:,} duplicates",
    )


def _carts(verdict: Verdict, evidence: Evidence, truth: Truth) -> None:
    unique = {record.id: record.data for record in evidence.seen["carts"] if record.data["intent"] != "browse"}
    found = [(d["cart_id"], instant(d["changed_at"]), d["state"], d["intent"], d["value"]) for d in unique.values()]
    _compare(verdict, "changes of carts", found, truth.carts)


def _compare(verdict: Verdict, what: str, found: list[Row], true: set[Row]) -> None:
    missing, wrong = sorted(true - set(found)), sorted(set(found) - true)
    twice = [row for row, count in Counter(found).items() if count > 1]
    bad = verdict.none_of(f"{what} missing", missing) + verdict.none_of(f"{what} wrong", wrong)
    bad += verdict.none_of(f"{what} told under two ids", twice)
    verdict.count(f"{what} right / wrong", f"{len(true & set(found)):,} / {bad}")


def _books(verdict: Verdict, evidence: Evidence, truth: Truth) -> None:
    """What was sent is what arrived, and of that only what is broken is a dead letter."""
    sent, arrived = Counter(evidence.log), Counter(entry.line for entry in evidence.input)
    verdict.none_of("records sent that did not arrive", sent - arrived)
    verdict.none_of("records that nobody sent", arrived - sent)
    letters = Counter((r.data["partition"], r.data["position"]) for r in evidence.seen["dead_letters"])
    verdict.none_of("broken records without a dead letter", truth.rejected - letters.keys())
    verdict.none_of("dead letters of sound records", letters.keys() - truth.rejected)
    verdict.count("dead letters", f"{len(letters):,} of {len(truth.rejected):,}, {letters.total():,} with repeats")


def _others(verdict: Verdict, evidence: Evidence) -> None:
    """Of the other streams each record at least once, and none that should not be."""
    for stream in ("sessions", "carts", "suppressed"):
        expected = {record.id for record in evidence.expected[stream]}
        _at_least_once(verdict, stream, expected, Counter(record.id for record in evidence.seen[stream]))
    # Which of a person's events names an identifier first depends on which partition is read first.
    links = {_link(record) for record in evidence.expected["identity"]}
    ids = len({record.id for record in evidence.seen["identity"]})
    _at_least_once(verdict, "identity", links, Counter(_link(record) for record in evidence.seen["identity"]), ids)


def _at_least_once(
    verdict: Verdict, stream: str, expected: set[Any], seen: Counter[Any], ids: int | None = None
) -> None:
    verdict.none_of(f"{stream} lost", expected - seen.keys())
    verdict.none_of(f"{stream} that should not be", seen.keys() - expected)
    repeats = seen.total() - (len(seen) if ids is None else ids)
    verdict.count(stream, f"{len(expected):,} expected, {len(seen.keys() & expected):,} seen, {repeats:,} repeats")


def _link(record: Seen) -> Row:
    data = record.data
    return data["what"], data["profile_id"], data["identifier_type"], data["identifier"]


def _about(data: dict[str, Any]) -> Row:
    cause = data["cause"]
    return data["action"], data["profile_id"], cause["type"], cause["id"], cause["time"], cause["event_id"]


def _by(records: Iterable[dict[str, Any]], key: str) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in Counter(r[key] for r in records).most_common())


def instant(text: str) -> int:
    """Read an instant as ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
