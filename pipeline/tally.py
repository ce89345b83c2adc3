"""What a run counts, and the books that must balance at its end.

The flow adds up plain numbers, by the batch or the record. Other threads read them without a lock: numbers,
and copies that C code makes of a container in one go.
"""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from connectors.cloudevents import Record
from operators.answer import Answer
from operators.attribution_record import AttributionRecord
from operators.call_record import CallRecord
from operators.cart_record import CartRecord
from operators.event import FOREVER
from operators.identity_record import IdentityRecord, StitchedRecord
from operators.profile import Output
from operators.profile_record import ProfileRecord
from operators.rejected import Rejected
from operators.rule_book import Book
from operators.screened import ScreenedEvent
from operators.session_record import SessionRecord
from operators.trigger import Retraction, RuleFault, Suppressed, Trigger
from pipeline.cap import Cap

RECENT_TRIGGERS: Final = 12
TIMER: Final = ".timer"
"""What the type of a cause ends with that is no event: a cart, or what has not come after an event."""
# Delays are counted in steps of this many ms: fine beside the seconds that they are made of.
DELAY_STEP_MS: Final = 100
STEPS: Final = ("decode", "calls", "resolve", "visitors", "profiles", "publish")
"""The steps whose time is taken."""

# How connectors name a partition of a topic; the characters are those that Kafka allows in a topic's name.
TOPIC_PARTITION: Final = re.compile(r"([A-Za-z0-9._-]+)/\d+")

MERGING: Final = ("anonymous_id", "phone")
"""Identifiers under which a visitor has a profile of its own, which a lead absorbs once they are linked."""


@dataclass(slots=True)
class SourceTally:
    """Counts of one source: a topic with all its partitions, or a file."""

    read: int = 0
    duplicates: int = 0
    late: int = 0
    """Events at or before the watermark of their partition when they came; duplicates are not looked at."""
    screened: Counter[str] = field(default_factory=Counter)
    """Events that do not count, by rule: of bots, and of our own people."""
    aged: int = 0
    """Events read live, of which `age_ms` sums up how long ago they had happened."""
    age_ms: int = 0
    marks: dict[str, int] = field(default_factory=dict)
    """The watermark of each partition heard of, FOREVER where it has ended."""
    tops: dict[str, int] = field(default_factory=dict)
    """The latest event time of each, -1 before the first."""

    @property
    def watermark(self) -> int:
        """The instant up to which all partitions are complete: the latest event where all have ended, -1 for none."""
        mark = min(list(self.marks.values()), default=-1)
        return self.top_at if mark == FOREVER else mark

    @property
    def top_at(self) -> int:
        """The latest event time."""
        return max(list(self.tops.values()), default=-1)


HELD_OUT: Final = "holdout"
"""The variant of those to whom nothing is sent, for comparison."""

REPEATED: Final = "repeated"
"""The outcome of a request that came again."""


@dataclass(slots=True)
class StepTally:
    """How often a step was called, once a batch or activation, and how long that took in all."""

    calls: int = 0
    seconds: float = 0.0

    def took(self, began: float) -> None:
        """Count a call that began at that reading of `time.perf_counter`."""
        self.calls += 1
        self.seconds += time.perf_counter() - began


def source_of(partition: str) -> str:
    """Return the source that a partition is part of: its topic, or the file that it is."""
    found = TOPIC_PARTITION.fullmatch(partition)
    return found[1] if found else "stdin" if partition == "-" else partition


@dataclass
class Tally:
    """Counts of one process since it started.

    Every record read is accepted, rejected, a duplicate or screened; `imbalance` says by how much it is not.
    """

    read: int = 0
    decoded: int = 0
    more: int = 0
    """What was found in records beyond one thing each: an envelope holds several events, or parts that are none."""
    unreadable: int = 0
    """Records that were rejected as they were decoded, in this process."""
    sources: dict[str, SourceTally] = field(default_factory=dict)
    steps: dict[str, StepTally] = field(default_factory=lambda: {name: StepTally() for name in STEPS})
    forgotten_early: int = 0
    """Ids for recognising duplicates that went before their time, for there were too many."""
    clamped: int = 0
    blocked: Counter[str] = field(default_factory=Counter)
    """Identifiers left out because they name nobody, by their type."""
    erased: int = 0
    """Events that came after somebody was erased whom they name, and had happened before."""
    erased_since: int = 0
    """The same of those that another process had taken in before it could know."""
    sent: Counter[str] = field(default_factory=Counter)
    """Items sent to other shards, by the step that they are for."""
    leads_reached: int = -1
    """The instant up to which timers of leads have fired."""
    repeated: int = 0
    """Items that other shards have sent again after a crash, and that were left out."""
    visitors: int = 0
    awake: int = 0
    """Profiles with a timer; each has one, for the first thing that is due."""
    profiles: int = 0
    """Profiles held, visitors and leads."""
    waiting: int = 0
    """Leads who wait for the state of another one, who turned out to be the same."""
    top_at: int = -1
    """The latest event time read: the clock that the input runs by, in ms."""
    rejected: Counter[str] = field(default_factory=Counter)
    letters: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Dead letters by source, stage and reason; those of the stage `publish` by the stream that they were for."""
    too_late: int = 0
    cap: Cap = field(default_factory=Cap)
    """Whether a source is still worth reading."""
    sessions: int = 0
    session_revisions: int = 0
    orders: int = 0
    calls: int = 0
    """Telephone calls that are held: those under way, and those that a late record may still revise."""
    calls_closed: Counter[str] = field(default_factory=Counter)
    """Calls that are over, each once, by why they ended."""
    waited_ms: int = 0
    """How long they waited for an agent, all of them together."""
    carts: Counter[str] = field(default_factory=Counter)
    browses: int = 0
    triggers: Counter[str] = field(default_factory=Counter)
    outlets: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Triggers by family, action and channel."""
    suppressed: Counter[str] = field(default_factory=Counter)
    held_back: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Suppressed decisions by family and reason."""
    retracted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Triggers that were taken back, by family and reason."""
    matches: Counter[str] = field(default_factory=Counter)
    """Decisions, to act or not to, by the rule that they were taken by."""
    faults: Counter[str] = field(default_factory=Counter)
    """Times that a part of a rule had no value, by rule."""
    exposures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Decisions on people of an experiment, by its rule and their variant, HELD_OUT that of the control group."""
    credits: Counter[str] = field(default_factory=Counter)
    """Orders credited to a trigger, by action; one that is credited anew counts again."""
    book: str = ""
    """Which rules are in force, by their digest."""
    reloads: Counter[str] = field(default_factory=Counter)
    """Times that files of rules were read anew, by what became of it: `taken` or `refused`."""
    is_reloaded: bool = True
    """Whether the files of rules are in force as they were read last."""
    withdrawn: int = 0
    """Credits taken back, for the order was cancelled."""
    identity: Counter[str] = field(default_factory=Counter)
    merges: Counter[str] = field(default_factory=Counter)
    """Visitors who became part of a lead, by the type of the identifier that they were known by."""
    conflicts: Counter[str] = field(default_factory=Counter)
    """Identifiers that were not linked, by the rule that forbade it."""
    stitched: int = 0
    """Sessions that are published again as a lead's."""
    left_behind: int = 0
    """Those that are not, for they ended too long before the link or are too many."""
    profiles_expired: int = 0
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Answers to requests, by what was requested and the outcome; as "repeated" those that were not answered again."""
    recent: deque[Trigger] = field(default_factory=lambda: deque(maxlen=RECENT_TRIGGERS))
    delays: Counter[int] = field(default_factory=Counter)
    """Triggers by delay from when they were due to emission on the input's clock, in steps of DELAY_STEP_MS."""
    snapshot_at: float | None = None
    """When the state was last checkpointed, by the monotonic clock as the next two; None where it is not kept."""
    heard_at: float | None = None
    """When records were last read live, None before that and where only files are read."""
    still_since: float | None = None
    """Since when records have been read live without any source's watermark moving; None when it has moved since."""
    timer_fired: Callable[[str, float], None] | None = None
    """Hears of each trigger that a timer caused live: what timed out, and seconds from due until published."""

    @property
    def duplicates(self) -> int:
        """Records that were told before."""
        return sum(source.duplicates for source in list(self.sources.values()))

    @property
    def late(self) -> int:
        """Events that came after the watermark, those that came too late included."""
        return sum(source.late for source in list(self.sources.values()))

    @property
    def screened(self) -> Counter[str]:
        """Events that do not count, by rule."""
        return sum((source.screened for source in list(self.sources.values())), Counter())

    @property
    def accepted(self) -> int:
        """Records that became events and counted."""
        return self.decoded - self.duplicates - self.too_late - self.erased - self.screened["rate"]

    @property
    def imbalance(self) -> int:
        """Records read that are neither accepted nor rejected, duplicates or screened: 0, or something was lost."""
        left_out = self.duplicates + self.erased + self.screened.total()
        return self.read + self.more - self.accepted - self.rejected.total() - left_out

    def source(self, partition: str) -> SourceTally:
        """Return the counts of the source that `partition` is part of."""
        name = source_of(partition)
        found = self.sources.get(name)
        if found is None:
            found = self.sources[name] = SourceTally()
        return found

    def arrived(self, partition: str, count: int, *, is_live: bool) -> None:
        """Count records as they are read."""
        self.read += count
        self.source(partition).read += count
        if count and is_live:
            self.heard_at = time.monotonic()

    def rules(self, book: Book) -> None:
        """Know the rules that decide from now on: what they may bring is counted from 0, what others brought stays.

        Another thread than the flow's may call this: nothing is set that is there.
        """
        self.book = book.id
        for rule in book.rules.values():
            for channel in rule.channels:
                self.outlets.setdefault((rule.family, rule.action, channel), 0)
            self.matches.setdefault(rule.id, 0)
            self.faults.setdefault(rule.id, 0)
            self.credits.setdefault(rule.action, 0)

    def published(self, records: Sequence[Output]) -> Sequence[Record]:
        """Count what is not published: events that do not count, faults of rules. Return the rest."""
        rest: list[Record] = []
        for record in records:
            if isinstance(record, ScreenedEvent):
                self.source(record.partition).screened[record.rule] += 1
            elif isinstance(record, RuleFault):
                self.faults[record.rule] += 1
            else:
                rest.append(record)
        return rest

    def record(self, record: Record) -> None:
        """Count one record that is being published, and so complete."""
        if isinstance(record, SessionRecord):
            self._session(record)
        elif isinstance(record, CallRecord):
            self._call(record)
        elif isinstance(record, CartRecord):
            if record.intent == "browse":
                self.browses += 1
            else:
                self.carts[record.state] += 1
        elif isinstance(record, Trigger | Suppressed | Retraction | AttributionRecord):
            self._decision(record)
        elif isinstance(record, IdentityRecord):
            self._identity(record)
        elif isinstance(record, Rejected):
            self.rejected[record.reason] += 1
            self.letters[source_of(record.partition), record.stage, record.reason] += 1
            self.too_late += record.stage == "profile"
        elif isinstance(record, ProfileRecord):
            self.profiles_expired += 1
        elif isinstance(record, Answer):
            self.answers[record.request, record.outcome] += 1

    def delay_ms(self, share: float) -> int | None:
        """Return the delay (ms) that `share` of all triggers stayed below, None without triggers."""
        wanted, seen = share * self.delays.total(), 0
        for step, count in sorted(self.delays.items()):
            seen += count
            if seen >= wanted:
                return step * DELAY_STEP_MS
        return None

    def _session(self, record: SessionRecord) -> None:
        if record.revision > 1 or record.state == "merged":
            self.session_revisions += 1
        else:
            self.sessions += 1
            self.orders += record.orders

    def _call(self, record: CallRecord) -> None:
        if record.state == "closed" and record.revision == 1:
            self.calls_closed[record.reason] += 1
            self.waited_ms += record.wait_ms

    def _identity(self, record: IdentityRecord) -> None:
        self.identity[record.what] += 1
        if isinstance(record, StitchedRecord):
            self.stitched += len(record.sessions)
            self.left_behind += record.left_behind
        elif record.what == "refused":
            self.conflicts[record.rule] += 1
        elif record.what == "linked" and record.identifier_type in MERGING:
            self.merges[record.identifier_type] += 1

    def _decision(self, record: Trigger | Suppressed | Retraction | AttributionRecord) -> None:
        if isinstance(record, Suppressed):
            self._suppressed(record)
        elif isinstance(record, Trigger):
            self._trigger(record)
        elif isinstance(record, Retraction):
            self.retracted[record.family, record.reason] += 1
        elif record.state == "credited":
            self.credits[record.action] += 1
        else:
            self.withdrawn += 1

    def _trigger(self, record: Trigger) -> None:
        self.triggers[record.action] += 1
        self.outlets[record.family, record.action, record.channel] += 1
        self.matches[record.rule.id] += 1
        if record.variant:
            self.exposures[record.rule.id, record.variant] += 1
        self.recent.append(record)
        due_at = datetime.fromisoformat(record.not_before)
        self.delays[max(0, self.top_at - round(due_at.timestamp() * 1000)) // DELAY_STEP_MS] += 1
        what = record.cause.type.removesuffix(TIMER)
        if what != record.cause.type and self.timer_fired is not None and self.heard_at is not None:
            self.timer_fired(what, (datetime.fromisoformat(record.emitted_at) - due_at).total_seconds())

    def _suppressed(self, record: Suppressed) -> None:
        self.suppressed[record.reason] += 1
        self.held_back[record.family, record.reason] += 1
        self.matches[record.rule.id] += 1
        if record.reason == "holdout":
            self.exposures[record.rule.id, HELD_OUT] += 1
