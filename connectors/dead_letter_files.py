"""Dead letters in the file of an embedded run, and their records as JSON Lines that `nextmove run` takes.

The file is the run's: with a checkpoint it is cut back to what that holds. So what was fed back is noted in a file
beside it, `dead_letters.replayed.jsonl`, which no run touches. Ids are those of what the letters hold: where the same
broken lines are read again, by a run that starts anew, their letters count as fed back still.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final, cast

import msgspec

from connectors.cloudevents import Encoder
from connectors.dead_letter import DeadLetter, Letter, Original, ReplayedLetter, understood
from connectors.file_source import SourceError

STREAM: Final = DeadLetter.stream


class _Line(msgspec.Struct):
    id: str
    type: str
    data: msgspec.Raw


_decode: Final = msgspec.json.Decoder(_Line).decode


class LetterFile:
    """The letters of a file, or of the folder that a run has written to."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        """Look where the file ends now: what comes later is not read.

        Raises:
            SourceError: there is no such file.
        """
        self.path = path / f"{STREAM}.jsonl" if path.is_dir() else path
        self.name = str(self.path)
        self._notes = self.path.with_name(f"{self.path.stem}.replayed.jsonl")
        self._encoder = encoder
        try:
            self._size = self.path.stat().st_size
        except OSError as error:
            raise SourceError(
                f"{self.path}: {error.strerror}; name the folder or file that a run has written"
            ) from None
        self.unreadable = 0
        """Lines that are neither a letter nor a note, of the last time that they were read."""

    def told(self) -> Iterator[Letter | ReplayedLetter]:
        """Return the letters, then the notes of those that were fed back."""
        self.unreadable = 0
        yield from self._read(self.path, self._size)
        if self._notes.exists():
            yield from self._read(self._notes, self._notes.stat().st_size)

    def note(self, replayed: Sequence[ReplayedLetter]) -> None:
        """Note that letters were fed back."""
        with self._notes.open("ab") as file:
            file.write(self._encoder.encode([(-1, replayed)])[STREAM])
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path, size: int) -> Iterator[Letter | ReplayedLetter]:
        with path.open("rb") as file:
            while file.tell() < size and (line := file.readline()).endswith(b"\n"):
                try:
                    event = _decode(line)
                    found = understood(event.id, event.type, event.data)
                except msgspec.DecodeError:
                    found = None
                if found is None:
                    self.unreadable += 1
                else:
                    yield found


class LineFile:
    """A new file of records, which takes its name when it is whole."""

    def __init__(self, path: Path) -> None:
        """Begin.

        Raises:
            SourceError: it is there already, perhaps half read by a run.
        """
        if path.exists():
            raise SourceError(f"{path} is there already; name a new file")
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._file = self._part.open("wb")

    def add(self, value: bytes) -> None:
        """Write a record."""
        self._file.write(value + b"\n")

    def finish(self) -> None:
        """Give the file its name, all of it on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)

    def drop(self) -> None:
        """Leave nothing of it, unless it is finished."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def is_line(record: Original) -> bool:
    """Tell whether a record can be a line of a file: sources skip blank ones."""
    return b"\n" not in record.value and bool(record.value.strip())


def line_of(path: str, number: int, head: bytes) -> Original | None:
    """Return the line with that number, from 1; None where it is not there, or no longer begins with `head`."""
    try:
        with _opened(path) as file:
            for count, line in enumerate(file, 1):
                if count == number:
                    value = line.removesuffix(b"\n")
                    return Original(None, value, ()) if value.startswith(head) else None
    except (OSError, EOFError):
        pass
    return None


def _opened(path: str) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.endswith(".gz") else Path(path).open("rb")
