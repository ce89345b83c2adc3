"""The journal: which batches a process has taken in, in which order, and what it knew then.

Theory of operation
-------------------
A process that is killed goes on from its last checkpoint and takes in once more what came after that. Other processes
have heard of that part of its first life, and so it must be the same again: the same batches in the same order, as of
the same instants of the wall clock, with the same answers of the store that they share. All else follows from
these. So each batch has an entry here before anything comes of it, and whoever goes on takes in first what the
entries say (`connectors/kafka_replay.py`).

An entry is in the system's hands once it is noted: it outlives the process, and with `fsync` the machine. A torn end is
cut off: nothing has come of that batch. With each checkpoint a new file begins, named by how many batches came before
it; files from before the last three are removed, for by then the engine has committed one of those.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from connectors.batches import Origin, RawBatch
from connectors.blocks import OVERHEAD, Appender, framed, payload_at

PATTERN: Final = "journal.*"
"""The names of its files."""
HEADER: Final = b"nextmove journal 1\n"
# The checkpoint before last may be the one that is gone on from.
KEPT: Final = 3


class Taken(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A batch as it was taken in; the fields are those of `RawBatch`, `count` is how many records it has.

    `as_of` is how many links the shared store had seen when it was asked for this batch.
    """

    partition: str
    first_position: int
    count: int
    complete_before: int | None
    complete: int | None
    read_at: int | None
    idle_ms: int
    is_marked: bool
    is_first: bool
    as_of: int

    def batch(
        self, raws: list[bytes], came_at: list[int], *, is_sent: bool, origins: Sequence[Origin] = ()
    ) -> RawBatch:
        """Return it with its records, to be taken in again."""
        return RawBatch(
            self.partition,
            raws,
            self.first_position,
            complete_before=self.complete_before,
            complete=self.complete,
            read_at=self.read_at,
            came_at=came_at,
            idle_ms=self.idle_ms,
            is_marked=self.is_marked,
            is_sent=is_sent,
            is_first=self.is_first,
            as_of=self.as_of,
            origins=origins,
        )


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Taken).decode


class Journal(Appender):
    """The journal's files in `folder`; see the module's theory of operation."""

    def __init__(self, folder: Path, *, fsync: bool) -> None:
        """Prepare; no file is touched before `resume`."""
        self._folder, self._fsync = folder, fsync
        self._checkpoints: list[int] = []
        self._first = -1
        self.count = 0
        """Batches that have an entry, those of all files together."""

    def resume(self, number: int) -> list[Taken]:
        """Go on from a checkpoint that holds the first `number` batches; return those that were taken in after them."""
        files, taken = _files(self._folder), list[Taken]()
        start = max((first for first in files if first <= number), default=number)
        while (path := files.pop(start + len(taken), None)) is not None:
            entries, size = _read(path)
            self._reopen(path, size)
            taken += entries
        for path in files.values():
            path.unlink()
        self._checkpoints, self.count = [start], start + len(taken)
        if self._file is None:
            self._begin(number)
        return taken[number - start :]

    def note(self, raw: RawBatch, as_of: int) -> None:
        """Note that a batch is about to be taken in."""
        file = self._file
        assert file is not None, "a note before resume"
        entry = Taken(
            raw.partition,
            raw.first_position,
            len(raw.raws),
            raw.complete_before,
            raw.complete,
            raw.read_at,
            raw.idle_ms,
            raw.is_marked,
            raw.is_first,
            as_of,
        )
        try:
            file.write(framed(_encode(entry)))
            file.flush()
            if self._fsync:
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._folder / f"journal.{self._first}")) from None
        self.count += 1

    def checkpoint(self, number: int) -> None:
        """Hear that the next checkpoint holds the first `number` batches."""
        self._checkpoints.append(number)
        if number == self.count and number != self._first:
            self._begin(number)
        if len(self._checkpoints) > KEPT:
            del self._checkpoints[:-KEPT]
            self._forget(self._checkpoints[0])

    def _begin(self, number: int) -> None:
        self.close()
        self._file, self._first = (self._folder / f"journal.{number}").open("wb"), number
        self._file.write(HEADER)
        self._file.flush()

    def _reopen(self, path: Path, size: int) -> None:
        """Cut off a torn end, and go on there."""
        self.close()
        if not size:
            with path.open("wb") as file:
                size = file.write(HEADER)
        with path.open("r+b") as file:
            file.truncate(size)
        self._file, self._first = path.open("ab"), int(path.name.rpartition(".")[2])

    def _forget(self, number: int) -> None:
        """Remove the files that end before the first `number` batches do."""
        files = _files(self._folder)
        for first, following in pairwise(sorted(files)):
            if following <= number:
                files[first].unlink()


def entries_after(folder: Path, number: int) -> int:
    """Return how many batches were taken in after the first `number`, without touching anything."""
    files = _files(folder)
    count = max((first for first in files if first <= number), default=number)
    while (path := files.pop(count, None)) is not None:
        count += len(_read(path)[0])
    return max(0, count - number)


def _files(folder: Path) -> dict[int, Path]:
    """Return the files by how many batches came before each."""
    return {int(path.name.rpartition(".")[2]): path for path in folder.glob(PATTERN)}


def _read(path: Path) -> tuple[list[Taken], int]:
    """Return the entries of a file, and the length up to which it is whole; 0 where not even its head is."""
    with path.open("rb") as file:
        data = file.read()
    if not data.startswith(HEADER):
        return [], 0
    position, entries = len(HEADER), list[Taken]()
    while (payload := payload_at(data, position)) is not None:
        entries.append(_decode(payload))
        position += OVERHEAD + len(payload)
    return entries, position
