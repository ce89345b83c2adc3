"""Files and standard input as a source: JSON Lines, plain or gzip, one partition a file.

A file is read twice where its watermark is to be exact (`file_watermark: exact`): the first pass finds, for
each stretch of the file, the earliest event time that comes after it. With that nothing in a
file is late, however it was put together. A pipe is read once, as it comes.

Position is the line number, from 1. What a checkpoint holds is the offset in bytes (of the
decompressed text) and the line, so a resumed run goes on with the very next line. A pipe
cannot be read again: what had been read after the last checkpoint is gone with a crash.
"""

from __future__ import annotations

import gzip
import os
import select
import stat
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final, cast

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.batches import MARKER_INTERVAL_S, RawBatch, Stop
from connectors.lines import LineSplitter
from operators.event import FOREVER

# Small enough for the allocator to use the same memory again, which a megabyte is not.
CHUNK_BYTES: Final = 1 << 16
# Lines of one stretch of the first pass: short enough that the watermark moves often, long enough that a file of
# a billion lines needs ten million numbers only.
STRETCH_LINES: Final = 100
# How soon to look again at a pipe that has nothing: long enough to cost nothing, short beside a second.
POLL: Final = timedelta(milliseconds=20)

EventTimes = Callable[[Sequence[bytes], str], list[int | None]]


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to read; `speed` paces a replay at so many seconds of event time a second, 0 as fast as it goes."""

    batch_records: int
    is_exact: bool
    idle_after_ms: int
    record_bytes_max: int
    speed: float = 0.0


class SourceError(Exception):
    """An input that cannot be read: one line with cause and cure."""


Position = tuple[int, int]
"""Bytes and lines read: what a checkpoint holds of a partition."""


class FileSource(FixedPartitionedSource[RawBatch, Position]):
    """Reads `paths`, each a partition of its own; "-" is standard input."""

    def __init__(self, paths: Sequence[str], options: SourceOptions, event_times: EventTimes, stop: Stop) -> None:
        """Check that every path can be read.

        `event_times` gives the event time of each of some raw records of a file.

        Raises:
            SourceError: a path is missing, unreadable, a folder or named twice.
        """
        self.partitions = list(paths)
        self._options, self._event_times, self._stop = options, event_times, stop
        self._pace = _Pace(options.speed) if options.speed else None
        if len(set(self.partitions)) < len(self.partitions):
            msg = "an input is named twice; name each file once"
            raise SourceError(msg)
        for path in self.partitions:
            _check(path)

    def list_parts(self) -> list[str]:
        """Return the paths (bytewax calls this)."""
        return self.partitions

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 -- the engine's signature
        for_part: str,
        resume_state: Position | None,
    ) -> StatefulSourcePartition[RawBatch, Position]:
        """Open one path where the checkpoint left it (bytewax calls this)."""
        position = resume_state or (0, 0)
        if _is_pipe(for_part):
            return PipePartition(for_part, self._options, self._stop, position)
        return FilePartition(for_part, self._options, self._event_times, self._stop, position, self._pace)


class FilePartition(StatefulSourcePartition[RawBatch, Position]):
    """A file that can be read twice."""

    def __init__(
        self,
        path: str,
        options: SourceOptions,
        event_times: EventTimes,
        stop: Stop,
        position: Position,
        pace: _Pace | None = None,
    ) -> None:
        """Open `path` at `position`, after the first pass where that is asked for; `pace` is that of all files."""
        self._path, self._options, self._event_times, self._stop = path, options, event_times, stop
        self._offset, self._line = position
        self._horizon = self._first_pass() if options.is_exact else None
        self._file = _open(path, self._offset)
        self._lines = LineSplitter(options.record_bytes_max)
        self._is_read = self._is_ended = False
        self._marked_at = 0.0
        self._pace = pace or (_Pace(options.speed) if options.speed else None)
        self._times: list[int | None] = []

    def next_batch(self) -> list[RawBatch]:
        """Return the next batch, and at the end of the file one that says so (bytewax calls this)."""
        if self._is_ended or self._stop.is_set():
            raise StopIteration
        wanted = self._options.batch_records
        while len(self._lines) < wanted and not self._is_read:
            chunk = self._file.read(CHUNK_BYTES)
            if chunk:
                self._lines.feed(chunk)
            else:
                self._lines.end()
                self._is_read = True
        if self._pace is not None:
            if len(self._times) < wanted:
                self._times += self._event_times(self._lines.peek(wanted)[len(self._times) :], self._path)
            wanted = self._pace.ready(self._times[:wanted])
            del self._times[:wanted]
        return self._batches(wanted)

    def next_awake(self) -> datetime | None:
        """Return when to ask again (bytewax calls this)."""
        return None if self._pace is None else datetime.now(UTC) + POLL

    def snapshot(self) -> Position:
        """Return how far the file has been handed on (bytewax calls this at the end of an epoch)."""
        return self._offset, self._line

    def close(self) -> None:
        """Close the file (bytewax calls this)."""
        self._file.close()

    def _batches(self, wanted: int) -> list[RawBatch]:
        first = self._line + 1
        before = self._complete(first)
        lines, size = self._lines.take(wanted)
        self._offset += size
        self._line += len(lines)
        self._is_ended = self._is_read and not len(self._lines)
        complete = FOREVER if self._is_ended else self._complete(self._line + 1)
        now = time.monotonic()
        is_marked = self._is_ended or now - self._marked_at >= MARKER_INTERVAL_S
        if is_marked:
            self._marked_at = now
        batches = [RawBatch(self._path, run, position, before, before) for position, run in _runs(lines, first)] or [
            RawBatch(self._path, [], first, before, before)
        ]
        batches[-1].complete, batches[-1].is_marked = complete, is_marked
        return batches

    def _complete(self, line: int) -> int | None:
        """Return the instant before which no event lies from `line` to the end of the file."""
        if self._horizon is None:
            return None
        lines, earliest = self._horizon
        stretch = bisect_right(lines, line) - 1
        if not 0 <= stretch < len(earliest) or earliest[stretch] == FOREVER:
            return -1  # nothing that can be read follows: only the end itself says more
        return earliest[stretch] - 1

    def _first_pass(self) -> tuple[list[int], list[int]]:
        """Return the first line of each stretch, and the earliest event time from there to the end."""
        splitter = LineSplitter(self._options.record_bytes_max)
        first_lines: list[int] = []
        earliest: list[int] = []
        line = self._line + 1
        with _open(self._path, self._offset) as file:
            is_read = False
            while not is_read or len(splitter):
                if self._stop.is_set():
                    break
                while len(splitter) < STRETCH_LINES and not is_read:
                    chunk = file.read(CHUNK_BYTES)
                    if chunk:
                        splitter.feed(chunk)
                    else:
                        splitter.end()
                        is_read = True
                lines = splitter.take(STRETCH_LINES).lines
                times = [at for at in self._event_times(lines, self._path) if at is not None]
                first_lines.append(line)
                earliest.append(min(times, default=FOREVER))
                line += len(lines)
        for i in range(len(earliest) - 2, -1, -1):
            earliest[i] = min(earliest[i], earliest[i + 1])
        return first_lines, earliest


class PipePartition(StatefulSourcePartition[RawBatch, Position]):
    """Standard input or a named pipe: read once, as it comes, and silent at times."""

    def __init__(self, path: str, options: SourceOptions, stop: Stop, position: Position) -> None:
        """Open the pipe; `position` goes on counting where the checkpoint left it."""
        self._path, self._options, self._stop = path, options, stop
        self._offset, self._line = position
        self._fd = 0 if path == "-" else os.open(path, os.O_RDONLY)
        self._lines = LineSplitter(options.record_bytes_max)
        self._is_read = self._is_ended = False
        self._heard_at = self._marked_at = time.monotonic()

    def next_batch(self) -> list[RawBatch]:
        """Return what has come, or in silence now and then a word on the time (bytewax calls this)."""
        if self._is_ended or self._stop.is_set():
            raise StopIteration
        wanted = self._options.batch_records
        while len(self._lines) < wanted and not self._is_read:
            if not select.select([self._fd], [], [], 0)[0]:
                break
            chunk = os.read(self._fd, CHUNK_BYTES)
            if chunk:
                self._lines.feed(chunk)
            else:
                self._lines.end()
                self._is_read = True
        now = time.monotonic()
        first = self._line + 1
        lines, size = self._lines.take(wanted)
        self._offset += size
        self._line += len(lines)
        self._is_ended = self._is_read and not len(self._lines)
        if lines:
            self._heard_at = now
        idle_ms = int((now - self._heard_at) * 1000)
        is_marked = self._is_ended or now - self._marked_at >= MARKER_INTERVAL_S
        if not lines and not self._is_ended and not (is_marked and idle_ms >= self._options.idle_after_ms):
            return []
        if is_marked:
            self._marked_at = now
        read_at = time.time_ns() // 1_000_000
        batches = [RawBatch(self._path, run, position, read_at=read_at) for position, run in _runs(lines, first)] or [
            RawBatch(self._path, [], first, read_at=read_at)
        ]
        last = batches[-1]
        last.is_marked, last.idle_ms = is_marked, 0 if lines else idle_ms
        last.complete = FOREVER if self._is_ended else None
        return batches

    def next_awake(self) -> datetime | None:
        """Return when to look again (bytewax calls this)."""
        return None if len(self._lines) or self._is_read else datetime.now(UTC) + POLL

    def snapshot(self) -> Position:
        """Return how much has been handed on (bytewax calls this at the end of an epoch)."""
        return self._offset, self._line


class _Pace:
    """Holds a replay of all its files back to `speed` seconds of event time a second."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._origin: tuple[float, int] | None = None

    def ready(self, times: list[int | None]) -> int:
        """Return how many of the records with these event times may go now."""
        now = time.monotonic()
        known = [at for at in times if at is not None]
        if self._origin is None and known:
            self._origin = now, known[0]
        if self._origin is None:
            return len(times)
        virtual_at = self._origin[1] + (now - self._origin[0]) * 1000 * self._speed
        for i, at in enumerate(times):
            if at is not None and at > virtual_at:
                return i
        return len(times)


def _runs(lines: list[bytes], first: int) -> list[tuple[int, list[bytes]]]:
    """Return the runs of lines that are not blank, each with the number of its first line."""
    if b"" not in lines and b"\r" not in lines:
        return [(first, lines)] if lines else []
    runs: list[tuple[int, list[bytes]]] = []
    is_open = False
    for i, line in enumerate(lines):
        if not line.strip():
            is_open = False
        elif is_open:
            runs[-1][1].append(line)
        else:
            runs.append((first + i, [line]))
            is_open = True
    return runs


def _is_pipe(path: str) -> bool:
    mode = os.fstat(0).st_mode if path == "-" else Path(path).stat().st_mode
    return not stat.S_ISREG(mode)


def _check(path: str) -> None:
    if path == "-":
        return
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            msg = f"{path} is a folder; name the files in it, as in {path}/*.jsonl"
            raise SourceError(msg)
        if not os.access(path, os.R_OK):
            msg = f"{path} cannot be read; check its permissions"
            raise SourceError(msg)
        if path.endswith(".gz"):
            with gzip.open(path) as file:
                file.read(1)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{path}: {reason}; check the name"
        raise SourceError(msg) from None


def _open(path: str, offset: int) -> IO[bytes]:
    file: IO[bytes]
    if path == "-":
        file = os.fdopen(os.dup(0), "rb")
    elif path.endswith(".gz"):
        file = cast("IO[bytes]", gzip.open(path, "rb"))  # noqa: SIM115 -- the partition closes it
    else:
        file = Path(path).open("rb")  # noqa: SIM115 -- the partition closes it
    reached = file.seek(offset)
    if not path.endswith(".gz"):  # which stops seeking at its end by itself
        reached = min(offset, os.fstat(file.fileno()).st_size)
    if reached < offset - 1:  # a last line without an end counts as one with
        file.close()
        raise SourceError(f"{path} ends at byte {reached}, but {offset} bytes of it have been read; restore it whole")
    return file
