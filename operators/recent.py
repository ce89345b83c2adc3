"""A bounded set of what happened when, for the memory of a profile: of too much the oldest goes, and how old is told.

Two sets of one person unite in any order to the same. What is given up is always what is oldest, so whoever asks about
a span after `dropped_at` has all of it, and whoever asks further back can be told that something is missing.
"""

from __future__ import annotations

from bisect import bisect_left

from mypy_extensions import mypyc_attr

from operators.packing import Row, ago, instant

_HEX_CHARS = 32


@mypyc_attr(acyclic=True)
class Recent:
    """Pairs of instant (ms) and text in order, each once; `dropped_at` is the latest that was given up, -1 for none."""

    dropped_at: int = -1

    def __init__(self) -> None:
        self.entries: list[tuple[int, str]] = []

    def add(self, at: int, text: str) -> None:
        """Note that `text` happened at `at`; to note it again changes nothing."""
        entries, entry = self.entries, (at, text)
        if not entries or entries[-1] < entry:
            entries.append(entry)
            return
        place = bisect_left(entries, entry)
        if entries[place] != entry:
            entries.insert(place, entry)

    def union(self, other: Recent) -> None:
        """Add all that `other` has."""
        for at, text in other.entries:
            self.add(at, text)
        self.dropped_at = max(self.dropped_at, other.dropped_at)

    def shorten(self, count_max: int, since: int) -> None:
        """Give up what is before `since`, and the oldest of more than `count_max`.

        Nobody asks about what is before `since`: what was dropped there is not told of either.
        """
        entries, dropped_at = self.entries, self.dropped_at
        if len(entries) > count_max:
            dropped_at = max(dropped_at, entries[-count_max - 1][0])
            entries = self.entries = entries[-count_max:]
        if entries and entries[0][0] < since:
            self.entries = [entry for entry in entries if entry[0] >= since]
        self.dropped_at = dropped_at if dropped_at >= since else -1

    @property
    def latest_at(self) -> int:
        """When the last of it happened, -1 for none."""
        return self.entries[-1][0] if self.entries else -1

    def pack(self, base: int) -> Row:
        """Return the set as a flat row; instants count back from `base`."""
        row: Row = [ago(base, self.dropped_at)]
        for at, text in self.entries:
            row += (base - at, _short(text))
        return row


def unpack(row: Row, base: int) -> Recent:
    """Make a set of the row that its `pack` gave."""
    recent = Recent()
    recent.dropped_at = instant(base, row[0], -1)
    for i in range(1, len(row), 2):
        told = row[i + 1]
        recent.entries.append((base - row[i], told.hex() if isinstance(told, bytes) else told))
    return recent


def _short(text: str) -> bytes | str:
    """Return a digest in half its size; ids may come from outside, and may look like one without being one."""
    if len(text) != _HEX_CHARS:
        return text
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return text
    return raw if raw.hex() == text else text
