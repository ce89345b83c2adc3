"""Time as a process knows it: how far each partition of the source has come, and so how far all of them have."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.batches import RawBatch
from operators.event import FOREVER
from operators.rules import TimeRules


class Watermark:
    """The marks of all partitions, and the least of them: the instant up to which event time is complete.

    A partition's mark comes with its events: its latest one less the allowed lateness. It goes on with the wall clock
    where the partition is silent and has been read to its end. A partition not heard of yet holds time at its start;
    one that has ended for good holds nobody up. What has once been reached stays reached, whatever is added later.
    """

    def __init__(self, partitions: Iterable[str], rules: TimeRules) -> None:
        """Know the `partitions` that are waited for from the beginning, and nothing of them."""
        self.lateness_ms = rules.lateness_ms
        self._live_within_ms = rules.live_within_ms
        self.marks: dict[str, int] = {}
        """How far each partition has come, as a checkpoint keeps it."""
        self.tops: dict[str, int] = {}
        """The latest event of each partition."""
        self._awaited: dict[str, int] = dict.fromkeys(partitions, -1)
        self._reached = -1

    def resume(self, marks: dict[str, int], tops: dict[str, int]) -> None:
        """Go on from what a checkpoint has kept."""
        self.marks, self.tops = marks, tops
        for partition, mark in marks.items():
            if partition in self._awaited:
                self._awaited[partition] = mark
        self._reached = min(self._awaited.values(), default=-1)

    @property
    def top_at(self) -> int:
        """The latest event of all."""
        return max(self.tops.values(), default=-1)

    def others(self, partition: str) -> int:
        """Return how far all partitions but one have come; FOREVER where there is no other."""
        least = FOREVER
        for name, mark in self._awaited.items():
            if mark < least and name != partition:
                least = mark
        return least

    def at(self, mark: int, others: int) -> int:
        """Return the instant that is reached where one partition is at `mark` and the `others` at theirs."""
        least = min(mark, others)
        return max(least, self._reached)

    def advance(self, raw: RawBatch, mark: int, top: int) -> None:
        """Take in where a batch has left its partition."""
        partition = raw.partition
        self.tops[partition] = top
        self.marks[partition] = mark = self._after(raw, mark, top)
        self._awaited[partition] = FOREVER if raw.complete == FOREVER else mark
        reached = self.reached
        if reached < FOREVER:
            self._reached = reached

    @property
    def reached(self) -> int:
        """The instant up to which event time is complete; FOREVER where all input has ended.

        That is the end of time for timers, but not a mark to keep: the input may grow.
        """
        return max(self._reached, min(self._awaited.values(), default=FOREVER))

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
