"""Recorded events as a source: what topics held, kept in files of a folder, and read once more as it came.

Theory of operation
-------------------
Each partition has a file of records with all that they came with: offset, the time that the broker has of it, key and
headers. They are read by one part, in the order in which they came to their topics, and told with those times as the
clock: so a replay sees what a live run has seen, whatever lies in between. Time goes on for partitions that are silent,
as it does when they are read live; at the end it stands where the recording was made, which is not the end of time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Any, Final, NamedTuple, overload

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.batches import RawBatch, Stop

# Written and read at once, for each partition: there may be hundreds.
CHUNK_BYTES: Final = 1 << 18
# What came within this counts as read at once: a third of the lateness that timers wait for by default, and a quiet
# night takes not too many steps.
SLICE_MS: Final = 10_000
_SIZE: Final = Struct("<I")


class Recorded(NamedTuple):
    """A record with what it came with; `came_at` is -1 where the broker does not say."""

    offset: int
    came_at: int
    key_bytes: bytes | None
    told: list[tuple[str, bytes | None]]
    value: bytes

    def key(self) -> bytes | None:
        """Return the key it was produced with, None for none."""
        return self.key_bytes

    def headers(self) -> list[tuple[str, bytes | None]]:
        """Return its headers in their order."""
        return self.told


class Recording(Sequence[str]):
    """The names of partitions, and in a folder the records of each up to the instant `made_at` (ms)."""

    def __init__(self, folder: Path, partitions: Sequence[str], made_at: int) -> None:
        """Begin with no records."""
        self._folder, self._names, self.made_at = folder, sorted(partitions), made_at
        self._waiting: dict[str, bytearray] = {name: bytearray() for name in self._names}
        self.size = 0
        """How many records there are."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        """Return the name of a partition."""
        return self._names[index]

    def __len__(self) -> int:
        """Return how many partitions there are."""
        return len(self._names)

    def add(self, partition: str, record: Recorded) -> None:
        """Add the next record of a partition."""
        packed, waiting = msgspec.msgpack.encode(record), self._waiting[partition]
        waiting += _SIZE.pack(len(packed)) + packed
        self.size += 1
        if len(waiting) > CHUNK_BYTES:
            self._write(partition)

    def finish(self) -> None:
        """Have all of it in the files."""
        for name in self._names:
            self._write(name)

    def records(self, partition: str) -> Iterator[Recorded]:
        """Return the records of a partition."""
        path, position, rest = self._path(partition), 0, b""
        while True:
            if not path.exists():
                return
            with path.open("rb") as file:  # not kept open: there may be more of them than a process may open
                file.seek(position)
                chunk = file.read(CHUNK_BYTES)
            if not chunk:
                return
            position += len(chunk)
            rest, at = rest + chunk, 0
            while len(rest) - at >= _SIZE.size:
                end = at + _SIZE.size + _SIZE.unpack_from(rest, at)[0]
                if end > len(rest):
                    break
                yield _decode(rest[at + _SIZE.size : end])
                at = end
            rest = rest[at:]

    def _write(self, partition: str) -> None:
        with self._path(partition).open("ab") as file:
            file.write(self._waiting[partition])
        self._waiting[partition].clear()

    def _path(self, partition: str) -> Path:
        return self._folder / f"{self._names.index(partition)}.records"


_decode: Final = msgspec.msgpack.Decoder(Recorded).decode

PART: Final = "recorded"


class RecordedSource(FixedPartitionedSource[RawBatch, int]):
    """Reads a recording."""

    def __init__(self, recording: Recording, batch_records: int, idle_after_ms: int, stop: Stop) -> None:
        """Read so many records at once at most; who is silent for longer than `idle_after_ms` does not hold time up."""
        self.partitions = list(recording)
        self._recording, self._batch_records, self._idle_after_ms = recording, batch_records, idle_after_ms
        self._stop = stop

    def list_parts(self) -> list[str]:
        """Return the one part (bytewax calls this)."""
        return [PART]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> RecordedPart:  # noqa: ARG002 -- the engine's signature
        """Begin (bytewax calls this)."""
        assert resume_state is None, "a recording is replayed as a whole"
        return RecordedPart(self._recording, self._batch_records, self._idle_after_ms, self._stop)


class RecordedPart(StatefulSourcePartition[RawBatch, int]):
    """All partitions of a recording."""

    def __init__(self, recording: Recording, batch_records: int, idle_after_ms: int, stop: Stop) -> None:
        """Begin at the first record of each partition."""
        self._recording, self._batch_records, self._idle_after_ms = recording, batch_records, idle_after_ms
        self._stop = stop
        self._rows = heapq.merge(*(_rows(number, recording.records(name)) for number, name in enumerate(recording)))
        self._next = next(self._rows, None)
        self._places: dict[str, tuple[int, int]] = dict.fromkeys(recording, (0, -1))
        self._began_at = recording.made_at if self._next is None else self._next[0]
        self._is_ended = False

    def next_batch(self) -> list[RawBatch]:
        """Return what came next, with a word on the time of what is silent (bytewax calls this)."""
        if self._is_ended or self._stop.is_set():
            raise StopIteration
        if self._next is None:
            self._is_ended = True
            batches, now = list[RawBatch](), self._recording.made_at
        else:
            batches, now = self._slice()
        heard = {batch.partition for batch in batches}
        for name, (offset, came_at) in self._places.items():
            idle_ms = now - (self._began_at if came_at < 0 else came_at)
            if name not in heard and idle_ms >= self._idle_after_ms:
                batches.append(RawBatch(name, [], offset, read_at=now, idle_ms=idle_ms))
        if batches:
            batches[-1].is_marked = True
        return batches

    def snapshot(self) -> int:
        """Return nothing of use: a replay is not gone on with (bytewax calls this at the end of an epoch)."""
        return 0

    def _slice(self) -> tuple[list[RawBatch], int]:
        """Return what came within a moment, and when that was over."""
        assert self._next is not None, "something is left"
        until, count = self._next[0] + SLICE_MS, 0
        last: dict[int, RawBatch] = {}
        batches: list[RawBatch] = []
        now = self._next[0]
        while self._next is not None and self._next[0] < until and count < self._batch_records:
            now, number, record = self._next
            batch = last.get(number)
            if batch is None or batch.first_position + len(batch.raws) != record.offset:
                name = self._recording[number]
                batch = last[number] = RawBatch(name, [], record.offset, came_at=[], origins=[])
                batches.append(batch)
            batch.raws.append(record.value)
            batch.origins.append(record)
            batch.came_at.append(record.came_at if record.came_at >= 0 else now)
            self._places[batch.partition] = record.offset + 1, now
            count += 1
            self._next = next(self._rows, None)
        for batch in batches:
            batch.read_at = now
        return batches, now


Row = tuple[int, int, Any]
"""When a record came, the number of its partition, and the record."""


def _rows(number: int, records: Iterator[Recorded]) -> Iterator[Row]:
    """Return the rows of a partition: its records came one after another, whatever their producers' clocks say."""
    came_at = 0
    for record in records:
        came_at = max(came_at, record.came_at)
        yield came_at, number, record
