"""Duplicates: a source's event id seen before within the window is one event told twice.

Two sources may use one id for different events, so each has its own ids. They are kept in generations of half a
window of event time. A duplicate has the time of its original, or nearly (a retry may be corrected by another receive
time), so it is looked for in its own generation and the two beside it. Memory is bounded by a number of ids of all
sources together: beyond it the oldest generation goes early, counted.
"""

from __future__ import annotations

from typing import Final

from operators.rules import DuplicateRules

Place = tuple[str, int]
"""A source, and one of its generations."""

ANY: Final = ""
"""Stands for all sources: of what was noted before sources were, and where they share their ids."""


class Seen:
    """The ids seen of one source. Those of `elsewhere` are taken for its own."""

    def __init__(self, span_ms: int, elsewhere: Seen | None) -> None:
        """Start with none."""
        self._span_ms, self._elsewhere = span_ms, elsewhere
        self.generations: dict[int, set[str]] = {}
        self.fresh: dict[int, list[str]] = {}
        """Ids new since the last checkpoint, by generation."""
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
        beside = [self.generations.get(generation - 1), self.generations.get(generation + 1)]
        if self._elsewhere is not None:
            beside += [self._elsewhere.generations.get(one) for one in (generation - 1, generation, generation + 1)]
        self._beside = [ids for ids in beside if ids]
        self._from_at = generation * self._span_ms
        self._until_at = self._from_at + self._span_ms

    def restore(self, generation: int, ids: list[str]) -> None:
        """Take back ids from a checkpoint."""
        self.generations.setdefault(generation, set()).update(ids)
        self.fresh.setdefault(generation, [])

    def drop(self, generation: int) -> None:
        """Forget a generation."""
        self.generations.pop(generation, None)
        self.fresh.pop(generation, None)

    def ask_anew(self) -> None:
        """Have the next event ask which generations there are."""
        self._from_at = self._until_at = 0


class Duplicates:
    """The ids seen within the window, of all sources."""

    def __init__(self, rules: DuplicateRules) -> None:
        """Start with none."""
        self._window_ms = rules.window_ms
        self._ids_max = rules.ids_max
        self._is_shared = rules.across_sources
        self._span_ms = max(1, rules.window_ms // 2)
        self._anywhere = Seen(self._span_ms, None)
        self.sources: dict[str, Seen] = {ANY: self._anywhere}
        self.forgotten_early = 0

    def of(self, source: str) -> Seen:
        """Return the ids of a source; they stay its own until the next `forget`."""
        if self._is_shared:
            return self._anywhere
        seen = self.sources.get(source)
        if seen is None:
            seen = self.sources[source] = Seen(self._span_ms, self._anywhere)
        return seen

    def restore(self, place: Place, ids: list[str]) -> Place:
        """Take back ids from a checkpoint; return where they are now."""
        source, generation = place if not self._is_shared else (ANY, place[1])
        (self._anywhere if source == ANY else self.of(source)).restore(generation, ids)
        return source, generation

    def forget(self, watermark: int) -> list[Place]:
        """Drop the generations that no event in time can ask for, and the oldest over the limit."""
        horizon = (watermark - self._window_ms) // self._span_ms
        gone = [
            (source, generation)
            for source, seen in self.sources.items()
            for generation in seen.generations
            if generation < horizon
        ]
        self._drop(gone)
        sizes: dict[int, int] = {}
        for seen in self.sources.values():
            for generation, ids in seen.generations.items():
                sizes[generation] = sizes.get(generation, 0) + len(ids)
        while len(sizes) > 1 and sum(sizes.values()) > self._ids_max:
            oldest = min(sizes)
            self.forgotten_early += sizes.pop(oldest)
            early = [(source, oldest) for source, seen in self.sources.items() if oldest in seen.generations]
            self._drop(early)
            gone += early
        return gone

    def _drop(self, places: list[Place]) -> None:
        for source, generation in places:
            self.sources[source].drop(generation)
        if not places:
            return
        for seen in self.sources.values():
            seen.ask_anew()
        for source in [one for one, seen in self.sources.items() if not seen.generations and one != ANY]:
            del self.sources[source]
