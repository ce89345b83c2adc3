"""Splitting a byte stream into lines, with a limit on how long one may be."""

from __future__ import annotations

from typing import Final, NamedTuple

# Lines already taken are let go of in bulk: moving the list at every take would cost more.
LINES_KEPT: Final = 50_000


class Taken(NamedTuple):
    """Consecutive lines without their line ends, and how many bytes of the stream they take up."""

    lines: list[bytes]
    size: int


class LineSplitter:
    """Takes bytes in, gives whole lines out.

    A line of more than `line_bytes_max` bytes comes out cut to one byte more than that, so that
    whoever decodes it sees that it is too large; the rest of it is skipped.
    """

    def __init__(self, line_bytes_max: int) -> None:
        """Start with nothing."""
        self._line_bytes_max = line_bytes_max
        self._lines: list[bytes] = []
        self._next = 0
        self._tail = b""
        self._skipping = 0
        self._cut: dict[int, int] = {}  # line number since the start -> bytes skipped of it
        self._taken = 0

    def __len__(self) -> int:
        """How many whole lines wait to be taken."""
        return len(self._lines) - self._next

    def feed(self, data: bytes) -> None:
        """Add bytes of the stream."""
        if self._skipping:
            end = data.find(b"\n")
            if end < 0:
                self._skipping += len(data)
                return
            self._lines.append(self._tail)
            self._cut[self._taken + len(self._lines) - self._next - 1] = self._skipping + end
            self._skipping, self._tail, data = 0, b"", data[end + 1 :]
        parts = (self._tail + data).split(b"\n")
        self._tail = parts.pop()
        for line in parts:
            if len(line) > self._line_bytes_max + 1:
                cut = len(line) - self._line_bytes_max - 1
                self._cut[self._taken + len(self._lines) - self._next] = cut
                self._lines.append(line[: self._line_bytes_max + 1])
            else:
                self._lines.append(line)
        if len(self._tail) > self._line_bytes_max + 1:
            self._skipping = len(self._tail) - self._line_bytes_max - 1
            self._tail = self._tail[: self._line_bytes_max + 1]

    def end(self) -> None:
        """Make a last line without a line end a whole one."""
        if self._tail:
            if self._skipping:
                self._cut[self._taken + len(self._lines) - self._next] = self._skipping
            self._lines.append(self._tail)
            self._tail, self._skipping = b"", 0

    def peek(self, count: int) -> list[bytes]:
        """Return up to `count` lines without taking them."""
        return self._lines[self._next : self._next + count]

    def take(self, count: int) -> Taken:
        """Take up to `count` lines; the size counts a line end for each of them."""
        lines = self._lines[self._next : self._next + count]
        self._next += len(lines)
        if self._next == len(self._lines):
            self._lines, self._next = [], 0
        elif self._next > LINES_KEPT:
            self._lines, self._next = self._lines[self._next :], 0
        size = sum(map(len, lines)) + len(lines)
        if self._cut:
            numbers = [n for n in self._cut if n < self._taken + len(lines)]
            size += sum(self._cut.pop(n) for n in numbers)
        self._taken += len(lines)
        return Taken(lines, size)
