"""
Holds what a consumer saw against the truth: a slow model of the log, and a quiet run from file to file.

Nothing here asks nextmove how it did; what is found wrong is told with an example.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final

from connectors.formats import decode_batch
from operators.event import Event
from operators.rules import ProfileRules
from tests import model
from tests.chaos.evidence import Evidence, Session, Trigger
from tests.chaos.lives import household
from tests.chaos.rules import Rules

ABANDONMENTS: Final = frozenset({"cart_abandoned", "checkout_abandoned"})
CHANGES: Final = frozenset({"product_added", "checkout_started", "cart_updated"})
SHOWN: Final = 3
CHUNK: Final = 5_000

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
    """What the log means, by the model: sessions, news of carts, and how many events it was made of."""

    events: int = 0
    repeated: int = 0
    sessions: set[Row] = field(default_factory=set)
    carts: set[Row] = field(default_factory=set)
    false: list[str] = field(default_factory=list)
    """The triggers on abandoned carts that an order had bought before they were due."""


def audit(evidence: Evidence, rules: Rules) -> Verdict:
    """Hold everything against the truth."""
    verdict = Verdict()
    truth = true_of(evidence, rules)
    _triggers(verdict, evidence)
    verdict.count("false abandonments", str(verdict.none_of("false abandonments", truth.false)))
    _sessions(verdict, evidence, truth)
    _carts(verdict, evidence, truth)
    _books(verdict, evidence)
    _others(verdict, evidence)
    return verdict


def true_of(evidence: Evidence, rules: Rules) -> Truth:
    """Recompute sessions and carts from the log, a household at a time: when its last event has been read."""
    truth, profile = Truth(), rules.settings.lead_rules()
    left = Counter(household(event.anonymous_id) for event in events(evidence.log))
    suspects: defaultdict[str, list[Trigger]] = defaultdict(list)
    for trigger in evidence.seen.triggers:
        if trigger.action in ABANDONMENTS and not trigger.reason:
            suspects[household(trigger.anonymous_ids[0])].append(trigger)
    waiting: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events(evidence.log):
        name = household(event.anonymous_id)
        waiting[name].append(event)
        left[name] -= 1
        if not left[name]:
            del left[name]
            _household(truth, waiting.pop(name), suspects.get(name, ()), profile)
    return truth


def events(log: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a log."""
    every = iter(log)
    while chunk := list(islice(every, CHUNK)):
        yield from decode_batch(chunk, partition="", first_position=0, read_at=None).events


def _household(truth: Truth, every: list[Event], suspects: Iterable[Trigger], profile: ProfileRules) -> None:
    """Add what is true of a household."""
    unique = list({event.event_id: event for event in reversed(every)}.values())
    truth.events += len(unique)
    truth.repeated += len(every) - len(unique)
    truth.sessions.update(
        (visit.visitor, visit.channel, visit.started_at, visit.ended_at, visit.events)
        for visit in model.sessions(unique, profile.sessions)
    )
    if any(event.kind in CHANGES for event in unique):
        news = model.carts(unique, profile.carts)
        truth.carts.update((item.cart, item.at, item.state, item.intent, item.value) for item in news)
    truth.false += false_ones(suspects, unique)


def _triggers(verdict: Verdict, evidence: Evidence) -> None:
    """Each trigger once, none more, and each says what it should."""
    expected = evidence.expected.triggers
    counts = Counter(record.id for record in evidence.seen.triggers)
    known = {record.id: record for record in evidence.seen.triggers}
    lost = [f"{id_} {_about(record)}" for id_, record in expected.items() if id_ not in counts]
    twice = [f"{id_} {_about(known[id_])}" for id_, count in counts.items() if count > 1]
    unknown = [f"{id_} {_about(known[id_])}" for id_ in counts if id_ not in expected]
    other = [
        f"{id_} {_about(record)} instead of {_about(expected[id_])}"
        for id_, record in known.items()
        if id_ in expected and _about(record) != _about(expected[id_])
    ]
    by = ", ".join(f"{n:,} {name}" for name, n in Counter(r.action for r in expected.values()).most_common())
    verdict.count("triggers expected", f"{len(expected):,}: {by}")
    verdict.count("triggers seen", f"{counts.total():,}")
    verdict.count("triggers lost", str(verdict.none_of("triggers lost", lost)))
    verdict.count("triggers duplicated", str(verdict.none_of("triggers duplicated", twice)))
    verdict.count("triggers that should not be", str(verdict.none_of("triggers that should not be", unknown)))
    verdict.count("triggers that say something else", str(verdict.none_of("triggers that say something else", other)))


def false_ones(triggers: Iterable[Trigger], events: Sequence[Event]) -> list[str]:
    """Return which of a household's triggers are on abandoned carts that an order had bought before they were due."""
    orders = [event for event in events if event.kind == "order_completed"]
    changes = [(event.commerce.cart_id, event.at) for event in events if event.kind in CHANGES and event.commerce]
    found = []
    for trigger in triggers:
        cart, due_at = trigger.cause.id, instant(trigger.cause.time)
        changed_at = max((at for name, at in changes if name == cart and at <= due_at), default=0)
        for order in orders:
            names = order.commerce.cart_id if order.commerce else ""
            if changed_at <= order.at <= due_at and names in ("", cart):
                found.append(f"{cart} due {trigger.cause.time} was bought {(due_at - order.at) / 1000:.3f} s before")
    return found


def _sessions(verdict: Verdict, evidence: Evidence, truth: Truth) -> None:
    last: dict[str, Session] = {}
    for record in evidence.seen.sessions:
        if record.revision >= last.get(record.session_id, record).revision:
            last[record.session_id] = record
    closed = [
        (one.visitor_id, one.channel, instant(one.started_at), instant(one.ended_at), one.events)
        for one in last.values()
        if one.state == "closed"
    ]
    _compare(verdict, "sessions", closed, truth.sessions)
    links = [link for link in evidence.seen.identity if link.what == "stitched"]
    brought = [(id_, link) for link in links for id_ in link.sessions]
    left = [id_ for id_, link in brought if id_ in last and last[id_].profile_id in link.aliases]
    verdict.count("sessions stitched", f"{len(set(left) ^ {id_ for id_, _ in brought}):,}")
    verdict.none_of("sessions that are not the lead's who they were brought to", left)
    # Sessions come from all processes: that they and what was left out make up the input is the balance of all books.
    counted = sum(events for *_, events in closed)
    entered, repeated, rejected = evidence.entered.count, truth.repeated, len(evidence.entered.rejected)
    if counted + rejected + repeated != entered:
        verdict.faults.append(
            f"{entered} records are not {counted} in sessions + {rejected} rejected + {repeated} repeated"
        )
    verdict.count(
        "records",
        f"{entered:,} = {counted:,} accepted ({truth.events:,} sent) + {rejected:,} rejected + {repeated:,} duplicates",
    )


def _carts(verdict: Verdict, evidence: Evidence, truth: Truth) -> None:
    unique = {record.id: record for record in evidence.seen.carts if record.intent != "browse"}
    found = [(r.cart_id, instant(r.changed_at), r.state, r.intent, r.value) for r in unique.values()]
    _compare(verdict, "changes of carts", found, truth.carts)


def _compare(verdict: Verdict, what: str, found: list[Row], true: set[Row]) -> None:
    unique = set(found)
    missing, wrong = sorted(true - unique), sorted(unique - true)
    twice = [row for row, count in Counter(found).items() if count > 1] if len(found) > len(unique) else []
    bad = verdict.none_of(f"{what} missing", missing) + verdict.none_of(f"{what} wrong", wrong)
    bad += verdict.none_of(f"{what} told under two ids", twice)
    verdict.count(f"{what} right / wrong", f"{len(true & unique):,} / {bad}")


def _books(verdict: Verdict, evidence: Evidence) -> None:
    """What was sent is what arrived, and of that only what is broken is a dead letter."""
    entered = evidence.entered
    verdict.none_of("records sent that did not arrive", entered.missing())
    verdict.none_of("records that nobody sent", entered.strangers)
    verdict.none_of("events in another partition than their visitor's", entered.strays)
    letters = Counter((letter.partition, letter.position) for letter in evidence.seen.dead_letters)
    verdict.none_of("broken records without a dead letter", entered.rejected - letters.keys())
    verdict.none_of("dead letters of sound records", letters.keys() - entered.rejected)
    verdict.count("dead letters", f"{len(letters):,} of {len(entered.rejected):,}, {letters.total():,} with repeats")


def _others(verdict: Verdict, evidence: Evidence) -> None:
    """Of the other streams each record at least once, and none that should not be."""
    seen, ids = evidence.seen, evidence.expected.ids
    for stream, records in (("sessions", seen.sessions), ("carts", seen.carts), ("suppressed", seen.suppressed)):
        _at_least_once(verdict, stream, ids[stream], Counter(record.id for record in records))
    # Which of a person's events names an identifier first depends on which partition is read first.
    links, told = Counter(record.link for record in seen.identity), len({record.id for record in seen.identity})
    _at_least_once(verdict, "identity", evidence.expected.links, links, told)


def _at_least_once(
    verdict: Verdict, stream: str, expected: AbstractSet[Any], seen: Counter[Any], ids: int | None = None
) -> None:
    verdict.none_of(f"{stream} lost", expected - seen.keys())
    verdict.none_of(f"{stream} that should not be", seen.keys() - expected)
    repeats = seen.total() - (len(seen) if ids is None else ids)
    verdict.count(stream, f"{len(expected):,} expected, {len(seen.keys() & expected):,} seen, {repeats:,} repeats")


def _about(trigger: Trigger) -> Row:
    cause = trigger.cause
    return trigger.action, trigger.reason, trigger.profile_id, cause.type, cause.id, cause.time, cause.event_id


def instant(text: str) -> int:
    """Read an instant as ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
