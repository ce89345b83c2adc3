"""Duplicates: an event id seen before within the window is one event told twice.

Ids are kept in generations of half a window of event time. A duplicate has the time of its
original, or nearly (a retry may be corrected by another receive time), so it is looked for in its
own generation and the two beside it. Memory is bounded by a number of ids: beyond it the oldest
generation goes early, counted.
"""

from __future__ import annotations

from operators.rules import DuplicateRules


class Duplicates:
    """The ids seen within the window."""

    def __init__(self, rules: DuplicateRules) -> None:
        """Start with none."""
        self._window_ms = rules.window_ms
        self._ids_max = rules.ids_max
        self._span_ms = max(1, rules.window_ms // 2)
        self.generations: dict[int, set[str]] = {}
        self.fresh: dict[int, list[str]] = {}
        """Ids new since the last checkpoint, by generation."""
        self.forgotten_early = 0
        self._ids: set[str] = set()
        self._fresh: list[str] = []
        self._beside: list[set[str]] = []
        self._from_at = self._until_at = 0

    def is_new(self, event_id: str, at: int) -> bool:
        """Return whether this id has not been seen, and remember it."""
        if not self._from_at <= at < self._until_at:
            self._turn_to(at // self._span_ms)
        if event_id in self._ids:
            return False
        for others in self._beside:
            if event_id in others:
                return False
        self._ids.add(event_id)
        self._fresh.append(event_id)
        return True

    def _turn_to(self, generation: int) -> None:
        """Make `generation` the one that is asked for, as nearly every next event asks for the same."""
        self._ids = self.generations.setdefault(generation, set())
        self._fresh = self.fresh.setdefault(generation, [])
        beside = (self.generations.get(generation - 1), self.generations.get(generation + 1))
        self._beside = [ids for ids in beside if ids]
        self._from_at = generation * self._span_ms
        self._until_at = self._from_at + self._span_ms

    def restore(self, generation: int, ids: list[str]) -> None:
        """Take back ids from a checkpoint."""
        self.generations.setdefault(generation, set()).update(ids)
        self.fresh.setdefault(generation, [])

    def forget(self, watermark: int) -> list[int]:
        """Drop the generations that no event in time can ask for, and the oldest over the limit."""
        horizon = (watermark - self._window_ms) // self._span_ms
        gone = [g for g in self.generations if g < horizon]
        for generation in gone:
            self._drop(generation)
        while len(self.generations) > 1 and sum(map(len, self.generations.values())) > self._ids_max:
            oldest = min(self.generations)
            self.forgotten_early += len(self.generations[oldest])
            self._drop(oldest)
            gone.append(oldest)
        return gone

    def _drop(self, generation: int) -> None:
        del self.generations[generation]
        self.fresh.pop(generation, None)
        self._from_at = self._until_at = 0  # ask anew which generations there are
