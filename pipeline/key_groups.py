"""The host of a pure operator: all profiles of one key group, their timers, watermark and checkpoint.

Theory of operation
-------------------
bytewax keeps one logic object, one timer and one recovery row a key, and pays for each at every batch,
every epoch and at resume. Here its key is the *key group*, one of a fixed number of slices of all
profiles, and a `KeyGroup` does the rest itself, with one item a (batch, group):

* **States.** `hot` has the states touched since the last checkpoint, as structs, and `warm` those touched in
  the epoch before; `rest` has the others as msgpack bytes. A checkpoint encodes what is hot, makes it
  warm, and lets go of what stayed warm: who is active is not decoded again at every epoch.
* **Timers.** One heap of (due, key) for the group. The operator only says `due_at(state)`, a lower bound.
  An entry whose key has since been given another due instant is stale and skipped.
* **Watermark.** The minimum over source partitions of their marks. A mark comes with each event (the
  partition's watermark just before it) and, for groups that get no events, in markers in
  band. Before an event is handled, timers due by then fire: what an event finds done depends on the
  order of the input alone, not on batches. A partition not heard of yet holds the group at the start of time.
* **Checkpoint.** `snapshot` appends what has changed to the group's changelog and returns its name and
  length; the engine stores that with the source's offsets and the sinks' lengths of the same epoch.
* **Hand-over.** A visitor who becomes known leaves the group: its state goes out as an `Absorb` for the
  lead's group, in the next step. State moves forward through the flow, never in a circle.
* **Expiry.** Once a day of event time the group is swept; a state's first field says when it is over.

Order inside `take`: items in the order given, each after the timers its mark lets fire; then markers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Any, Final

import msgspec
from bytewax.operators import StatefulBatchLogic

from connectors.changelog import ENTRY_OVERHEAD, Changelog
from operators.event import FOREVER, Event
from operators.profile import Output
from operators.profile_state import HandOver, Profile
from pipeline.ports import Operator

DAY_MS: Final = 86_400_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Profile).decode


class _Header(msgspec.Struct, array_like=True, gc=False):
    """The first field of a `Profile`, all that a sweep needs to read."""

    last_at: int


_decode_header = msgspec.msgpack.Decoder(_Header).decode


class Absorb(msgspec.Struct, gc=False):
    """A visitor's whole state on its way to a lead."""

    handover: HandOver
    state: Profile | None


class Marker(msgspec.Struct, gc=False):
    """What a source partition says of time: complete up to `watermark`, latest event seen at `top_at`."""

    partition: str
    watermark: int
    top_at: int


class GroupBatch(msgspec.Struct):
    """What one batch of the source has for the key group `group`.

    `passing` are the events for the same group of the next step; they travel through this one, so
    that no marker overtakes them. `batch` numbers the source batch, `groups` says for how many
    groups it has items: whoever gathers knows when it has them all.
    """

    group: int
    partition: str
    batch: int
    groups: int
    items: list[Any]
    passing: list[Any] = []
    markers: tuple[Marker, ...] = ()


class GroupOutput(msgspec.Struct):
    """What a key group made of a `GroupBatch`."""

    group: int
    partition: str
    batch: int
    groups: int
    records: list[Output]
    absorbed: list[Absorb]
    passing: list[Any]
    markers: tuple[Marker, ...]
    created: int
    """Profiles seen for the first time."""
    awake: int
    """Profiles with a timer, that is with an open session or cart: how many more than last time."""


class Checkpoint(msgspec.Struct, array_like=True):
    """What the engine's own snapshot holds of a group; `version` is that of the states' layout."""

    version: int
    group: int
    generation: int
    length: int
    marks: dict[str, int]
    top_at: int
    swept_at: int


STATE_VERSION: Final = 1


class KeyGroup(StatefulBatchLogic[GroupBatch, GroupOutput, bytes]):
    """One key group of one step; see the module's theory of operation."""

    def __init__(
        self,
        operator: Operator,
        partitions: Iterable[str],
        changelog_of: Callable[[int], Changelog | None],
        resume: bytes | None,
    ) -> None:
        """Start empty, or from the checkpoint `resume`.

        `changelog_of` opens the changelog of a group by its number; where it returns None,
        nothing survives the process. A new group learns its number from its first batch.
        """
        self._operator = operator
        self._changelog_of = changelog_of
        self._changelog: Changelog | None = None
        self._group = -1
        self.hot: dict[str, Profile | None] = {}
        self.warm: dict[str, Profile | None] = {}
        self.rest: dict[str, bytes] = {}
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._marks = dict.fromkeys(partitions, -1)
        self._is_one = len(self._marks) == 1
        self._watermark = -1
        self._top_at = -1
        self._swept_at = -1
        self._live_bytes = 0
        self._awake = 0
        if resume is not None:
            self._resume(msgspec.msgpack.decode(resume, type=Checkpoint))

    def on_batch(self, values: list[GroupBatch]) -> tuple[Iterable[GroupOutput], bool]:
        """Work through the batches (bytewax calls this)."""
        return [self.take(batch) for batch in values], StatefulBatchLogic.RETAIN

    def take(self, batch: GroupBatch) -> GroupOutput:
        """Work through one batch: its items, each after the timers that its mark lets fire, then its markers."""
        if self._group < 0:
            self._start(batch.group)
        records: list[Output] = []
        absorbed: list[Absorb] = []
        created = 0
        hot, due, heap, on_event = self.hot, self._due, self._heap, self._operator.on_event
        watermark = self._watermark
        next_due_at = heap[0][0] if heap else FOREVER
        for item in batch.items:
            if type(item) is not Event:
                handover = item if type(item) is HandOver else item.handover
                watermark = self._reach(batch.partition, handover.mark, records)
                created += self._move(item, records, absorbed)
                next_due_at = heap[0][0] if heap else FOREVER
                continue
            mark = item.mark
            if mark >= next_due_at or item.at <= mark:
                watermark = self._reach(batch.partition, mark, records)
                next_due_at = heap[0][0] if heap else FOREVER
            elif self._is_one:
                watermark = mark
            key = item.profile_id
            state = hot[key] if key in hot else self._wake(key)
            if state is None:
                created += 1
            state, outputs = on_event(key, state, item, watermark)
            hot[key] = state
            if outputs:
                records += outputs
            if state is not None:
                due_at = state.due_at
                if due_at < due.get(key, FOREVER):
                    due[key] = due_at
                    heappush(heap, (due_at, key))
                    next_due_at = min(next_due_at, due_at)
        for marker in batch.markers:
            self._advance(marker, records)
        awake, self._awake = len(due) - self._awake, len(due)
        return GroupOutput(
            batch.group,
            batch.partition,
            batch.batch,
            batch.groups,
            records,
            absorbed,
            batch.passing,
            batch.markers,
            created,
            awake,
        )

    def snapshot(self) -> bytes:
        """Checkpoint what has changed; cool it (bytewax calls this at the end of an epoch)."""
        generation = length = 0
        if self._changelog is not None:
            entries = [self._cool(key, state) for key, state in self.hot.items()]
            if entries:
                self._changelog.append(entries)
            generation, length = self._changelog.checkpoint(self._live(), self._live_bytes)
        else:
            for key, state in self.warm.items():
                self._cool(key, state)
        self.warm, self.hot = self.hot, {}
        marks = {partition: mark for partition, mark in self._marks.items() if mark < FOREVER}
        return _encode(Checkpoint(STATE_VERSION, self._group, generation, length, marks, self._top_at, self._swept_at))

    def _move(self, item: HandOver | Absorb, records: list[Output], absorbed: list[Absorb]) -> int:
        """Let a visitor's state go, or take one in; return how many visitors that shows for the first time."""
        if isinstance(item, HandOver):
            state = self._load(item.profile_id)
            is_known = state is not None
            if state is not None:
                if item.at - state.last_at > self._operator.retention_ms:
                    records += self._operator.expire(item.profile_id, state)
                    state = None
                self.hot[item.profile_id] = None
                self._due.pop(item.profile_id, None)
            absorbed.append(Absorb(item, state))
            return int(not is_known)  # made known by its first event
        key = item.handover.to
        lead = self._load(key)
        if lead is not None and item.handover.at - lead.last_at > self._operator.retention_ms:
            records += self._operator.expire(key, lead)
            lead = None
        lead = self._operator.absorb(lead, item.state, item.handover)
        self.hot[key] = lead
        self._schedule(key, lead)
        return 0

    def _advance(self, marker: Marker, records: list[Output]) -> None:
        """Take in a marker; fire what is due, sweep what is over."""
        self._marks[marker.partition] = max(self._marks[marker.partition], marker.watermark)
        self._top_at = max(self._top_at, marker.top_at)
        watermark = min(self._marks.values())
        if watermark > self._watermark:
            # The end of the input is the end of time for timers, but not a mark to keep: the input may grow.
            self._fire(watermark, records)
            if watermark < FOREVER:
                self._watermark = watermark
        self._sweep(min(watermark, self._top_at), records)

    def _reach(self, partition: str, mark: int, records: list[Output]) -> int:
        """Take in an event's mark; fire what is due by the group's watermark, and return that."""
        if mark > self._marks[partition]:
            self._marks[partition] = mark
            self._watermark = max(self._watermark, min(self._marks.values()))
        self._fire(self._watermark, records)
        return self._watermark

    def _fire(self, watermark: int, records: list[Output]) -> None:
        heap, due = self._heap, self._due
        while heap and heap[0][0] <= watermark:
            due_at, key = heappop(heap)
            if due.get(key) != due_at:
                continue
            del due[key]
            state = self._load(key)
            assert state is not None, f"a timer of {key!r}, which has no state"
            state, outputs = self._operator.on_timer(key, state, watermark)
            self.hot[key] = state
            records += outputs
            if state is not None:
                self._schedule(key, state)

    def _schedule(self, key: str, state: Profile) -> None:
        due_at = self._operator.due_at(state)
        if due_at < self._due.get(key, FOREVER):
            self._due[key] = due_at
            heappush(self._heap, (due_at, key))

    def _sweep(self, now: int, records: list[Output]) -> None:
        """Expire what is over, once a day of event time; the groups take turns over the day."""
        day_at = now - (now - self._group * 675_000) % DAY_MS  # 675 s: 128 groups fill a day
        if day_at <= self._swept_at or now < 0:
            return
        self._swept_at = day_at
        horizon = day_at - self._operator.retention_ms
        awake = self.warm | self.hot
        over = [key for key, state in awake.items() if state is not None and state.last_at <= horizon]
        over += [key for key, raw in self.rest.items() if key not in awake and _decode_header(raw).last_at <= horizon]
        for key in over:
            state = self._load(key)
            assert state is not None
            records += self._operator.expire(key, state)
            self.hot[key] = None
            self._due.pop(key, None)

    def _load(self, key: str) -> Profile | None:
        return self.hot[key] if key in self.hot else self._wake(key)

    def _wake(self, key: str) -> Profile | None:
        """Return a state that is not hot; whoever asks makes it hot."""
        if key in self.warm:
            return self.warm.pop(key)
        raw = self.rest.get(key)
        return None if raw is None else _decode(raw)

    def _cool(self, key: str, state: Profile | None) -> tuple[str, int, bytes]:
        old = self.rest.get(key)
        if old is not None:
            self._live_bytes -= len(old) + len(key) + ENTRY_OVERHEAD
        if state is None:
            self.rest.pop(key, None)
            return key, 0, b""
        raw = self.rest[key] = _encode(state)
        self._live_bytes += len(raw) + len(key) + ENTRY_OVERHEAD
        return key, self._due.get(key, FOREVER), raw

    def _live(self) -> Iterator[tuple[str, int, bytes]]:
        due = self._due
        return ((key, due.get(key, FOREVER), raw) for key, raw in self.rest.items())

    def _start(self, group: int) -> None:
        self._group = group
        self._changelog = self._changelog_of(group)
        if self._changelog is not None:
            self._changelog.start()

    def _resume(self, checkpoint: Checkpoint) -> None:
        self._group = checkpoint.group
        self._changelog = changelog = self._changelog_of(checkpoint.group)
        assert changelog is not None, "a checkpoint without a recovery folder"
        rest, due = self.rest, self._due
        for block in changelog.load(checkpoint.generation, checkpoint.length):
            for key, due_at, raw in block:
                rest[key] = raw
                due[key] = due_at
        for key in [key for key, raw in rest.items() if not raw]:
            del rest[key], due[key]
        self._due = {key: due_at for key, due_at in due.items() if due_at < FOREVER}
        self._heap = sorted((due_at, key) for key, due_at in self._due.items())
        self._live_bytes = sum(map(len, rest.values())) + sum(map(len, rest)) + ENTRY_OVERHEAD * len(rest)
        self._marks.update((p, mark) for p, mark in checkpoint.marks.items() if p in self._marks)
        self._watermark = min(checkpoint.marks.values(), default=-1)
        self._top_at, self._swept_at = checkpoint.top_at, checkpoint.swept_at


def key_groups(
    operator: Operator,
    partitions: Iterable[str],
    changelog_of: Callable[[int], Changelog | None],
) -> Callable[[bytes | None], KeyGroup]:
    """Return what bytewax builds each key group of a step with."""
    names = list(partitions)
    return lambda resume: KeyGroup(operator, names, changelog_of, resume)
