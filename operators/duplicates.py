"""Duplicates: an event id seen before within the window is one event told twice.

Ids are kept in generations of half a window of event time. A duplicate has the time of its
original, or nearly (a retry may be corrected by another receive time), so it is looked for in its
own generation and the two beside it. Memory is bounded by a number of ids: beyond it the oldest
generation goes early, counted.
"""

from __future__ import annotations

import msgspec


class DuplicateRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long an id is remembered, in ms of event time, and how many at most."""

    window_ms: int
    ids_max: int


class Duplicates:
    """The ids seen within the window."""

    def __init__(self, rules: DuplicateRules) -> None:
        """Start with none."""
        self._rules = rules
        self._span_ms = max(1, rules.window_ms // 2)
        self.generations: dict[int, set[str]] = {}
        self.fresh: dict[int, list[str]] = {}
        """Ids new since the last checkpoint, by generation."""
        self.forgotten_early = 0
        self._count = 0

    def is_new(self, event_id: str, at: int) -> bool:
        """Return whether this id has not been seen, and remember it."""
        generation = at // self._span_ms
        generations = self.generations
        ids = generations.get(generation)
        if ids is None:
            ids = generations[generation] = set()
            self.fresh.setdefault(generation, [])
        if event_id in ids:
            return False
        for near in (generation - 1, generation + 1):
            others = generations.get(near)
            if others is not None and event_id in others:
                return False
        ids.add(event_id)
        self.fresh[generation].append(event_id)
        self._count += 1
        return True

    def restore(self, generation: int, ids: list[str]) -> None:
        """Take back ids from a checkpoint."""
        known = self.generations.setdefault(generation, set())
        self._count += len(ids)
        known.update(ids)
        self.fresh.setdefault(generation, [])

    def forget(self, watermark: int) -> list[int]:
        """Drop the generations that no event in time can ask for, and the oldest over the limit."""
        horizon = (watermark - self._rules.window_ms) // self._span_ms
        gone = [g for g in self.generations if g < horizon]
        for generation in gone:
            self._drop(generation)
        while self._count > self._rules.ids_max and len(self.generations) > 1:
            oldest = min(self.generations)
            self.forgotten_early += len(self.generations[oldest])
            self._drop(oldest)
            gone.append(oldest)
        return gone

    def _drop(self, generation: int) -> None:
        self._count -= len(self.generations.pop(generation))
        self.fresh.pop(generation, None)
