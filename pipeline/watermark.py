"""Time as a process knows it: how far each partition of the source has come, and so how far all of them have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from connectors.batches import RawBatch
from operators.event import FOREVER
from operators.rules import TimeRules
from pipeline.messages import Marker

EMPTY: Final = FOREVER - 1
"""The mark of a partition that has no events and has been read to its end: it holds nobody up, and outruns nobody."""

# More slots than any topic has partitions.
_SLOTS_MAX: Final = 1 << 20


def channel(sender: int, slot: int) -> int:
    """Return the number of the way by which shard `sender` tells those who read `slot` of time."""
    return sender * _SLOTS_MAX + slot


def _leftover(partition: str, end: int) -> str:
    """Name what lies in a partition up to there, as if it were a partition itself: no partition has such a name."""
    return f"{partition}@{end}"


class Heard(NamedTuple):
    """What one of several shards knows of time beside its own marks: as it is kept, so that it goes on just so.

    `channels` has for each way by which others tell: its number, the instants that they have told, for the first step
    and for the second, when, and the store's clock then. `empty` and `empty_beyond` are those of shards that have no
    events yet. The rest are the fields of `Watermark`.
    """

    channels: list[tuple[int, int, int, int, int, int]]
    empty: list[int]
    empty_beyond: list[int]
    awaited: dict[str, int]
    now_ms: int
    top_at: int
    reached: int
    floor: int


NOTHING_HEARD: Final = Heard([], [], [], {}, 0, -1, -1, -1)


class Watermark:
    """The marks of all partitions, and the least of them: the instant up to which event time is complete.

    A partition's mark comes with its events: its latest one less the allowed lateness. It goes on with the wall clock
    where the partition is silent and has been read to its end. A partition not heard of yet holds time at its start;
    one that has ended for good holds nobody up. What has once been reached stays reached, whatever is added later.

    **Other shards** read other partitions. A lead's events come from everywhere, in two stages: straight from the
    shard that has read them, or as a visitor's state by way of the shard that has it. So a shard tells the others how
    far its own partitions have come (for their visitors' step), and how far all have that the visitors' step here has
    heard of (for their profiles' step); leads wait for the least of all that, however long.

    A visitor's events are all in one partition, save what producers key otherwise. So visitors wait for the other
    shards too, but not for one that has said nothing for `patience_ms`: it is down, and the others go on.
    """

    def __init__(
        self,
        partitions: Iterable[str],
        rules: TimeRules,
        channels: Iterable[int] = (),
        patience_ms: int = 0,
        leftovers: Mapping[str, int] | None = None,
        readers: int = 1,
    ) -> None:
        """Know the `partitions` that are waited for from the beginning, and nothing of them.

        `channels` are those by which other shards tell how far they are (`channel`), `leftovers` says up to where
        partitions of the internal topic hold what the shards of a former life have sent: time waits for that.
        `readers` share the partitions, and each gives markers.
        """
        self.lateness_ms = rules.lateness_ms
        self._live_within_ms = rules.live_within_ms
        self.marks: dict[str, int] = {}
        """How far each partition has come, as a checkpoint keeps it."""
        self.tops: dict[str, int] = {}
        """The latest event of each partition."""
        self._awaited: dict[str, int] = dict.fromkeys(partitions, -1)
        self._leftovers: dict[str, int] = dict(leftovers or {})
        for partition, end in self._leftovers.items():
            self._awaited[_leftover(partition, end)] = -1
        self._reached = self._floor = -1
        self._patience_ms = patience_ms
        self._now_ms = 0
        self._heard_at: dict[int, int] = {}
        self._before: dict[int, int] = dict.fromkeys(channels, -1)
        self._beyond: dict[int, int] = dict(self._before)
        self._clocks: dict[int, int] = dict.fromkeys(self._before, 0)
        self._clocks_beyond: dict[int, int] = dict(self._clocks)
        self._readers = readers
        self._markers = 0
        self._said_empty: dict[str, int] = {}
        self._empty: set[int] = set()
        self._empty_beyond: set[int] = set()
        self._top_heard = -1

    def received(self, partition: str, position: int) -> None:
        """Note that a partition of the internal topic has been read up to that position."""
        end = self._leftovers.get(partition, FOREVER)
        if position >= end:
            del self._leftovers[partition]
            self.marks[_leftover(partition, end)] = self._awaited[_leftover(partition, end)] = FOREVER

    def hear(self, sender: int, slot: int, marker: Marker, *, is_first: bool) -> None:
        """Take in what another shard says of time, for the first of the two steps or for the second.

        One that has no events yet holds nobody up when it says so, but nobody goes on from there without hearing of it
        again: it may be dead by then, and its first events there.
        """
        heard, empty = (self._before, self._empty) if is_first else (self._beyond, self._empty_beyond)
        key, mark = channel(sender, slot), marker.watermark
        if mark == EMPTY:
            empty.add(key)
            told = [others for other, others in heard.items() if other not in empty]
            mark = min([*told, self.own_reached])
        else:
            empty.discard(key)
        if mark != EMPTY:
            heard[key] = max(heard.get(key, -1), mark)
        self._heard_at[key] = self._now_ms
        clocks = self._clocks if is_first else self._clocks_beyond
        clocks[key] = max(clocks.get(key, 0), marker.clock)
        self._top_heard = max(self._top_heard, marker.top_at)

    def resume(self, marks: dict[str, int], tops: dict[str, int], heard: Heard = NOTHING_HEARD) -> None:
        """Go on from what a checkpoint has kept; of a savepoint's partitions other shards may read some."""
        self.marks = {partition: mark for partition, mark in marks.items() if partition in self._awaited}
        self.tops = {partition: top for partition, top in tops.items() if partition in self._awaited}
        self._awaited |= self.marks
        self._reached = min(self._awaited.values(), default=-1)
        if heard.channels:
            self._awaited |= {name: mark for name, mark in heard.awaited.items() if name in self._awaited}
            for key, before, beyond, heard_at, clock, clock_beyond in heard.channels:
                self._before[key], self._beyond[key], self._heard_at[key] = before, beyond, heard_at
                self._clocks[key], self._clocks_beyond[key] = clock, clock_beyond
            self._empty, self._empty_beyond = set(heard.empty), set(heard.empty_beyond)
            self._now_ms, self._top_heard = heard.now_ms, heard.top_at
            self._reached, self._floor = heard.reached, heard.floor
        else:
            self._floor = min(self._reached, self._heard())

    @property
    def heard(self) -> Heard:
        """What a checkpoint keeps beside marks and tops."""
        channels = [
            (
                key,
                before,
                self._beyond[key],
                self._heard_at.get(key, 0),
                self._clocks[key],
                self._clocks_beyond[key],
            )
            for key, before in self._before.items()
        ]
        awaited = self._awaited if channels else {}
        empty, beyond = sorted(self._empty), sorted(self._empty_beyond)
        return Heard(channels, empty, beyond, awaited, self._now_ms, self._top_heard, self._reached, self._floor)

    @property
    def clock(self) -> int:
        """How far the store's clock had come when any of the other shards last asked it, as far as it has told."""
        return 0 if self._leftovers else min(self._clocks.values(), default=FOREVER)

    @property
    def leads_clock(self) -> int:
        """The same for what comes for leads: other shards pass on what they were sent for visitors."""
        return min(self.clock, min(self._clocks_beyond.values(), default=FOREVER))

    @property
    def top_at(self) -> int:
        """The latest event of all."""
        return max(self._top_heard, max(self.tops.values(), default=-1))

    @property
    def leads_limit(self) -> int:
        """How far other shards have come, as far as leads wait for them; FOREVER where there is no other."""
        return min(min(self._before.values(), default=FOREVER), min(self._beyond.values(), default=FOREVER))

    def live(self, now_ms: int, *, is_first: bool = False) -> None:
        """Note what time it is by the wall clock; patience begins anew where a process does, with its first batch."""
        if is_first or not self._heard_at:
            self._heard_at = dict.fromkeys(self._before, now_ms)
        if is_first:
            self._doubt()
        self._now_ms = now_ms

    def marked(self) -> None:
        """Note that a marker has been given: what has not been said to be empty since the last one may be so no more.

        Its leader may be away, and its first events with a producer that waits for it. Of several readers each has its
        turn in between.
        """
        self._doubt()
        self._markers += 1

    def _doubt(self) -> None:
        since = self._markers - self._readers
        for name, mark in self._awaited.items():
            if mark == EMPTY and self._said_empty.get(name, since) <= since:
                self._awaited[name] = self.marks.get(name, -1)

    def _heard(self) -> int:
        """Return how far the shards have come that visitors wait for."""
        least, since = FOREVER, self._now_ms - self._patience_ms
        for key, mark in self._before.items():
            if mark < least and (not self._now_ms or self._heard_at[key] >= since):
                least = mark
        return least

    def others(self, partition: str) -> int:
        """Return how far all partitions but one have come, those of other shards too."""
        least = self._heard()
        for name, mark in self._awaited.items():
            if mark < least and name != partition:
                least = mark
        return least

    def at(self, mark: int, others: int) -> int:
        """Return the instant that is reached where one partition is at `mark` and the `others` at theirs."""
        return max(min(mark, others), self._floor)

    def advance(self, raw: RawBatch, mark: int, top: int) -> None:
        """Take in where a batch has left its partition."""
        partition = raw.partition
        self.tops[partition] = top
        self.marks[partition] = mark = self._after(raw, mark, top)
        is_empty = raw.idle_ms > 0 and top < 0
        if is_empty:
            self._said_empty[partition] = self._markers
        self._awaited[partition] = FOREVER if raw.complete == FOREVER else EMPTY if is_empty else mark
        reached = self.own_reached
        if reached < EMPTY:
            self._reached = reached
        floor = self.reached
        if floor < EMPTY:
            self._floor = max(self._floor, floor)

    @property
    def own_reached(self) -> int:
        """The instant up to which event time is complete in the partitions read here.

        FOREVER where all have ended: that is the end of time for timers, but not a mark to keep, for the input may
        grow. `EMPTY` where there is nothing in any of them.
        """
        return max(self._reached, min(self._awaited.values(), default=FOREVER))

    @property
    def through(self) -> int:
        """The same of all partitions that the visitors' step here has heard of."""
        return min(self.own_reached, min(self._before.values(), default=FOREVER))

    @property
    def reached(self) -> int:
        """The instant up to which event time is complete for visitors."""
        least = min(self.own_reached, self._heard())
        return self._floor if least == EMPTY else least

    @property
    def leads_reached(self) -> int:
        """The instant up to which event time is complete for leads."""
        least = min(self.own_reached, self.leads_limit)
        return -1 if least == EMPTY else least

    def _after(self, raw: RawBatch, mark: int, top: int) -> int:
        """Return the mark of the batch's partition once the batch is done."""
        if raw.complete is not None:
            return mark if raw.complete == FOREVER else max(mark, raw.complete)
        if raw.idle_ms and raw.read_at is not None:
            # Silent and read to its end: time goes on. Where old data is played that paused, it goes on from the
            # latest event. A partition without any event yet holds nobody up, and outruns nobody.
            if top < 0:
                return max(mark, min((self.marks[p] for p, at in self.tops.items() if at >= 0), default=-1))
            is_live = raw.read_at - top <= self._live_within_ms
            now = raw.read_at if is_live else top + raw.idle_ms
            return max(mark, now - self.lateness_ms - 1)
        return mark
