"""The host of a pure operator: all profiles of one key group, their timers, watermark and checkpoint.

Theory of operation
-------------------
bytewax keeps one logic object, one timer and one recovery row a key, and pays for each at every batch,
every epoch and at resume. Here state is kept by *key group*, one of a fixed number of slices of all
profiles; a `KeyGroup` does the rest itself, and a few lanes of groups are what bytewax has as keys:

* **States.** `hot` has the states touched since the last checkpoint, as objects, `warm` a limited number of
  those touched last before it; `rest` has all others as msgpack bytes.
* **Timers.** One heap of (due, key) for the group. The operator only says `due_at(state)`, a lower bound.
  An entry whose key has since been given another due instant is stale and skipped.
* **Watermark.** It comes with each event (how far event time was complete just before it) and, for groups that
  get no events, in markers in band. Before an event is handled, timers due by then fire: what an event finds done
  depends on the order of the input alone, not on batches.
* **Checkpoint.** `snapshot` appends what has changed to the group's changelog and returns its name and length; the
  engine stores that with the source's offsets and the sinks' lengths of the same epoch. In quiet times, that
  is live, states are packed already at the end of the batch that touched them, so that the flow hardly stops
  for a checkpoint. In a replay a state is touched many times an epoch, and packed once.
* **Hand-over.** A visitor who becomes known leaves the group: its state goes out as an `Absorb` for the
  lead's group, in the next step. State moves forward through the flow, never in a circle. Another shard may have read
  an event of the visitor before it could know; that is forwarded, until every shard has asked the store since.
* **Expiry.** Once a day of event time the group is swept; a state's first field says when it is over.

Order inside `take`: items in the order given, each after the timers its mark lets fire; then markers.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from connectors.changelog import ENTRY_OVERHEAD, Changelog, check_version
from operators.event import FOREVER, Event
from operators.profile import Output, ProfileOperator
from operators.profile_state import HandOver, Profile, last_at, pack, unpack
from pipeline.messages import Absorb, GroupBatch, GroupOutput, Marker

DAY_MS: Final = 86_400_000

# States a group keeps as objects though nothing has changed in them: who clicks every half minute is then not
# unpacked and packed anew for each click. A limit on memory.
WARM_MAX: Final = 256
# The same with those who have a timer: an open session, a cart. Beyond it they rest as bytes until it fires.
AWAKE_MAX: Final = 1_024
# How many of them a group looks at, at a marker.
RESTED_MAX: Final = 64
# Batches an epoch, on average, in which a state may be touched for it to be packed each time.
TOUCHES_MAX: Final = 2


STATE_VERSION: Final = 3
"""The version of the layout of what a snapshot and the changelog hold."""

_Row: Final[Any] = tuple[int, int, int, int, int, int, int, dict[str, tuple[str, int]]]
# A group knew how far what other shards send had come, by the way that it took.
_Row2: Final[Any] = tuple[int, int, int, int, int, int, int, Any]
# It knew the marks of partitions in place of their minimum, the watermark, and of no other shards.
_Row1: Final[Any] = tuple[int, int, int, int, dict[str, int], int, int]


class GroupSnapshot(NamedTuple):
    """What a checkpoint has of a key group, beside its changelog."""

    group: int
    generation: int
    """Of the changelog, and its length."""
    length: int
    watermark: int
    top_at: int
    swept_at: int
    gone: dict[str, tuple[str, int]]
    """Visitors that have been handed over, each with the lead and the store's clock with the link."""


def read_snapshot(raw: bytes) -> GroupSnapshot:
    """Return what a `KeyGroup.snapshot` says, of this version or an older one.

    Raises:
        ChangelogError: a later version wrote it.
    """
    version = check_version(raw, STATE_VERSION)
    if version == 1:
        _, group, generation, length, marks, top_at, swept_at = msgspec.msgpack.decode(raw, type=_Row1)
        return GroupSnapshot(group, generation, length, min(marks.values(), default=-1), top_at, swept_at, {})
    if version == 2:
        _, group, generation, length, watermark, top_at, swept_at, _ = msgspec.msgpack.decode(raw, type=_Row2)
        return GroupSnapshot(group, generation, length, watermark, top_at, swept_at, {})
    return GroupSnapshot(*msgspec.msgpack.decode(raw, type=_Row)[1:])


def write_snapshot(snapshot: GroupSnapshot) -> bytes:
    """Return what `read_snapshot` reads."""
    return msgspec.msgpack.encode([STATE_VERSION, *snapshot])


class KeyGroup:
    """One key group of one step; see the module's theory of operation."""

    def __init__(
        self,
        number: int,
        operator: ProfileOperator,
        changelog: Changelog | None,
        resume: bytes | None,
        *,
        forwards: bool = False,
    ) -> None:
        """Start empty, or from the snapshot `resume`; without a `changelog` nothing survives the process.

        It `forwards` what comes too late for a visitor where others, too, say whose events are whose.
        """
        self.number = number
        self._operator = operator
        self._changelog = changelog
        self.hot: dict[str, Profile | None] = {}
        self._touched: dict[str, Profile | None] = {}
        self._touches = 0
        self._is_calm = True
        self.warm: dict[str, Profile] = {}
        self.rest: dict[str, bytes] = {}
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._watermark = -1
        self._top_at = -1
        self._swept_at = -1
        self._forwards = forwards
        self._gone: dict[str, tuple[str, int]] = {}
        self._live_bytes = 0
        self._awake = 0
        self._held = self._held_told = 0
        if resume is not None:
            self._resume(resume)
        elif changelog is not None:
            changelog.start()

    def take(self, batch: GroupBatch) -> GroupOutput:
        """Work through one batch: its items, each after the timers that its mark lets fire, then its marker."""
        records: list[Output] = []
        absorbed: list[Absorb] = []
        forwarded: list[Event] = []
        created = 0
        gone = self._gone
        hot, touched, operator, heap = self.hot, self._touched, self._operator, self._heap
        watermark = self._watermark
        next_due_at = heap[0][0] if heap else FOREVER
        for item in batch.items:
            if not isinstance(item, Event):
                mark = item.mark if isinstance(item, HandOver) else item.handover.lead_mark
                watermark = max(watermark, mark)
                self._fire(watermark, records)
                created += self._move(item, records, absorbed)
                next_due_at = heap[0][0] if heap else FOREVER
                continue
            if item.mark > watermark:
                watermark = item.mark
                if watermark >= next_due_at:
                    self._fire(watermark, records)
                    next_due_at = heap[0][0] if heap else FOREVER
            key = item.profile_id
            if gone and key in gone:
                forwarded.append(_forwarded(item, gone[key][0]))
                continue
            known = hot.get(key)
            if known is None:
                known = None if key in hot else self._wake(key)
                created += known is None
                hot[key] = known
            state, outputs = operator.on_event(key, known, item, watermark)
            if state is not known:
                hot[key] = state
                self._held += known is None
            touched[key] = state
            if outputs:
                records += outputs
            if state is not None and state.due_at < state.timer_at:
                self._schedule(key, state)
                next_due_at = min(next_due_at, state.due_at)
        self._watermark = watermark
        if batch.marker is not None:
            self._advance(batch.marker, records)
        self._pack_touched()
        if batch.marker is not None:
            self._tidy()
        awake, self._awake = len(self._due) - self._awake, len(self._due)
        held, self._held_told = self._held - self._held_told, self._held
        return GroupOutput(batch, records, absorbed, created, awake, held, forwarded)

    def snapshot(self) -> bytes:
        """Checkpoint what has changed, and cool it; what is returned names and measures the changelog."""
        generation = length = 0
        rest, due = self.rest, self._due
        if self._changelog is not None:
            if self.hot:
                if not self._is_calm:
                    for key, state in self.hot.items():
                        self._pack(key, state)
                self._is_calm = self._touches <= TOUCHES_MAX * len(self.hot)
                self._touches = 0
                entries = [(key, due.get(key, FOREVER), rest.get(key, b"")) for key in self.hot]
                self._changelog.append(entries)
            generation, length = self._changelog.checkpoint()
        for key, state in self.hot.items():
            if state is not None:
                self.warm[key] = state
        self.hot.clear()
        told = GroupSnapshot(self.number, generation, length, self._watermark, self._top_at, self._swept_at, self._gone)
        return write_snapshot(told)

    def _pack_touched(self) -> None:
        """Pack what a batch has touched, unless it pays to wait for the checkpoint."""
        is_now = self._is_calm and self._changelog is not None
        for key, state in self._touched.items():
            if is_now or state is None:
                self._pack(key, state)
        self._touches += len(self._touched)
        self._touched.clear()

    def _tidy(self) -> None:
        """Let go of what need not be kept: dead entries of the changelog, objects that have not been used for long."""
        if self._changelog is not None:
            self._changelog.compact(self._live(), self._live_bytes)
        self.lay_to_rest(max(WARM_MAX, len(self.warm) - RESTED_MAX))

    def lay_to_rest(self, warm_max: int = 0) -> None:
        """Let go of the objects that have been warm for longest, down to `warm_max`: their bytes are enough.

        Who has a timer will be needed soon, and stays while there are not too many of them.
        """
        warm = self.warm
        keeps = warm_max > 0 and len(warm) < AWAKE_MAX
        for key in list(islice(warm, max(len(warm) - warm_max, 0))):
            state = warm.pop(key)
            if keeps and state.timer_at < FOREVER:
                warm[key] = state
            elif self._changelog is None:
                self._pack(key, state)

    def _move(self, item: HandOver | Absorb, records: list[Output], absorbed: list[Absorb]) -> int:
        """Let a visitor's state go, or take one in; return how many visitors that shows for the first time."""
        if isinstance(item, HandOver):
            state = self._load(item.profile_id)
            is_known = state is not None
            if state is not None:
                if item.at - state.last_at > self._operator.retention_ms:
                    records += self._operator.expire(item.profile_id, state)
                    state = None
                self._put(item.profile_id, None)
                self._due.pop(item.profile_id, None)
                self._held -= 1
            if self._forwards:
                self._gone[item.profile_id] = item.to, item.linked_at
            absorbed.append(Absorb(item, state))
            return int(not is_known)  # made known by its first event
        key = item.handover.to
        lead = self._load(key)
        self._held += lead is None
        if lead is not None and item.handover.at - lead.last_at > self._operator.retention_ms:
            records += self._operator.expire(key, lead)
            lead = None
        lead = self._operator.absorb(lead, item.state, item.handover)
        self._put(key, lead)
        self._schedule(key, lead)
        return 0

    def _advance(self, marker: Marker, records: list[Output]) -> None:
        """Take in a marker; fire what is due, sweep what is over."""
        self._top_at = max(self._top_at, marker.top_at)
        for key in [key for key, (_, linked_at) in self._gone.items() if linked_at <= marker.clock]:
            del self._gone[key]
        watermark = marker.watermark
        if watermark > self._watermark:
            # The end of the input is the end of time for timers, but not a mark to keep: the input may grow.
            self._fire(watermark, records)
            if watermark < FOREVER:
                self._watermark = watermark
        self._sweep(min(watermark, self._top_at), records)

    def _fire(self, watermark: int, records: list[Output]) -> None:
        heap, due = self._heap, self._due
        while heap and heap[0][0] <= watermark:
            due_at, key = heappop(heap)
            if due.get(key) != due_at:
                continue
            del due[key]
            state = self._load(key)
            assert state is not None, f"a timer of {key!r}, which has no state"
            state.timer_at = FOREVER
            state, outputs = self._operator.on_timer(key, state, watermark)
            self._put(key, state)
            records += outputs
            self._held -= state is None
            if state is not None:
                self._schedule(key, state)

    def _schedule(self, key: str, state: Profile) -> None:
        """See to it that `state` wakes no later than it is due."""
        due_at = state.due_at
        if due_at < state.timer_at:
            state.timer_at = self._due[key] = due_at
            heappush(self._heap, (due_at, key))

    def _sweep(self, now: int, records: list[Output]) -> None:
        """Expire what is over, once a day of event time; the groups take turns over the day."""
        day_at = now - (now - self.number * 675_000) % DAY_MS  # 675 s: 128 groups fill a day
        if day_at <= self._swept_at or now < 0:
            return
        self._swept_at = day_at
        horizon = day_at - self._operator.retention_ms
        awake: dict[str, Profile | None] = {**self.warm, **self.hot}
        over = [key for key, state in awake.items() if state is not None and state.last_at <= horizon]
        over += [key for key, raw in self.rest.items() if key not in awake and last_at(raw) <= horizon]
        for key in over:
            state = self._load(key)
            assert state is not None
            records += self._operator.expire(key, state)
            self._put(key, None)
            self._due.pop(key, None)
        self._held -= len(over)

    def _put(self, key: str, state: Profile | None) -> None:
        self.hot[key] = self._touched[key] = state

    def _load(self, key: str) -> Profile | None:
        return self.hot[key] if key in self.hot else self._wake(key)

    def _wake(self, key: str) -> Profile | None:
        """Return a state that is not hot; whoever asks makes it hot."""
        if key in self.warm:
            return self.warm.pop(key)
        raw = self.rest.get(key)
        if raw is None:
            return None
        state = unpack(key, raw)
        state.timer_at = self._due.get(key, FOREVER)
        return state

    def _pack(self, key: str, state: Profile | None) -> None:
        old = self.rest.get(key)
        if old is not None:
            self._live_bytes -= len(old) + len(key) + ENTRY_OVERHEAD
        if state is None:
            self.rest.pop(key, None)
        else:
            raw = self.rest[key] = pack(key, state)
            self._live_bytes += len(raw) + len(key) + ENTRY_OVERHEAD

    def _live(self) -> Iterator[tuple[str, int, bytes]]:
        for key, raw in self.rest.items():
            yield key, self._due.get(key, FOREVER), raw

    def _resume(self, snapshot: bytes) -> None:
        told = read_snapshot(snapshot)
        changelog = self._changelog
        assert changelog is not None, "a snapshot without a recovery folder"
        rest, due = self.rest, self._due
        for block in changelog.load(told.generation, told.length):
            for key, due_at, raw in block:
                rest[key] = raw
                due[key] = due_at
        for key in [key for key, raw in rest.items() if not raw]:
            del rest[key], due[key]
        self._held = len(rest)
        self._due = {key: due_at for key, due_at in due.items() if due_at < FOREVER}
        self._heap = sorted([(due_at, key) for key, due_at in self._due.items()])
        self._live_bytes = sum(map(len, rest.values())) + sum(map(len, rest)) + ENTRY_OVERHEAD * len(rest)
        self._watermark, self._top_at, self._swept_at = told.watermark, told.top_at, told.swept_at
        self._gone = told.gone


def _forwarded(event: Event, lead: str) -> Event:
    """Make an event one of the lead's; it comes after whatever has been reached there."""
    event.profile_id, event.mark = lead, -1
    return event
