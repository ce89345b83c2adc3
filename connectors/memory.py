"""The embedded identity store: a dictionary that is part of the checkpoint and rolls back with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from operators.event import Event


class MemoryIdentity:
    """Identifiers and their leads, in this process; the same contract as every other identity store."""

    is_private = True
    """Nobody else links."""
    clock = 0
    linked_at = 0

    def __init__(self) -> None:
        """Start knowing nobody."""
        self._links: dict[str, str] = {}
        self._changed: dict[str, str] = {}

    def __len__(self) -> int:
        """How many identifiers are known."""
        return len(self._links)

    def look_up(self, events: Sequence[Event], as_of: int | None = None) -> dict[str, str]:  # noqa: ARG002 -- all is at hand
        """Return all that is known, as it changes."""
        return self._links

    def read_clock(self) -> int:
        """Return 0: it rolls back with the checkpoint, so nobody asks as of when."""
        return 0

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002 -- nobody else links
        """Store identifiers and their leads; nothing is ever in the way."""
        self._links.update(links)
        self._changed.update(links)
        return {}

    def changes(self) -> list[tuple[str, str]]:
        """Return what has changed since the last call: what a checkpoint must add."""
        changed = list(self._changed.items())
        self._changed.clear()
        return changed

    def restore(self, name: str, lead: str) -> None:
        """Take back a link from a checkpoint."""
        self._links[name] = lead

    def live(self) -> Iterator[tuple[str, str]]:
        """Iterate over all links."""
        return iter(self._links.items())
