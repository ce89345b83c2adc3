"""The changelog of one key group: an append-only file of changed states, the heart of a checkpoint.

A file is a header and blocks (`connectors/blocks.py`), each a msgpack list of [key, due_at, state]. The last entry of a
key counts; an empty state says that the key is gone.

A checkpoint is (file name, length): on resume the file is read to that length and the rest, written
after the checkpoint, is cut off. When too much of a file is dead entries it is rewritten under the
next generation's name. The old generation stays until the third checkpoint after that is asked
for: by then the engine has committed the first, which names the new file.

How much is rewritten follows how much was appended (`Rewrites`), so that the flow never stands still for
long and the folder stays below twice the live state.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec

from connectors.blocks import OVERHEAD, Appender, framed, payload_at

HEADER: Final = b"nextmove changelog 1\n"
# Entries a block holds at most: bounds the memory of reading one, and what a broken block loses.
BLOCK_ENTRIES: Final = 2_000
# A file may hold three quarters as much again as is live, and something for the framing, before it is rewritten:
# then four bytes are rewritten for three appended, and the folder stays under twice the live state.
GARBAGE_RATIO: Final = 0.75
GARBAGE_BYTES_MIN: Final = 4_096
# What may be rewritten at a time: a megabyte; each of a few hundred changelogs that has a
# look at itself lets a little more of it be used, up to what was earned since long ago.
ALLOWED_MAX: Final = 1 << 20
GIVEN_OUT: Final = 1 << 13
EARNED_MAX: Final = 1 << 26

# What an entry takes up beside its key and state: the due instant and msgpack's framing.
ENTRY_OVERHEAD: Final = 16

Entry = tuple[str, int, bytes]
_encode: Final = msgspec.msgpack.Encoder().encode
_Version: Final[Any] = msgspec.defstruct("_Version", [("version", int)], array_like=True, gc=False)
_decode_version: Final = msgspec.msgpack.Decoder(_Version).decode
_decode: Final = msgspec.msgpack.Decoder(list[tuple[str, int, bytes]]).decode


class ChangelogError(Exception):
    """A changelog that does not hold what its checkpoint says: one line with cause and cure."""


class Rewrites:
    """How many bytes may still be rewritten: in proportion to those appended, by all changelogs of a process.

    What is earned is given out bit by bit, so that the flow never stops for many rewrites at a time. A rewrite may
    overdraw, for a file is rewritten whole; then the others wait until that is made up for.
    """

    def __init__(self) -> None:
        """Start with nothing allowed."""
        self._earned = 0
        self._allowed = 0

    def appended(self, size: int) -> None:
        """Allow rewriting in proportion to `size` appended bytes."""
        self._earned = min(self._earned + int(size / GARBAGE_RATIO), EARNED_MAX)

    def give_out(self) -> None:
        """Let a little of what is earned be used."""
        size = min(self._earned, GIVEN_OUT, ALLOWED_MAX - self._allowed)
        self._earned -= size
        self._allowed += size

    def take(self, size: int) -> bool:
        """Whether `size` bytes may be rewritten now; if so they are used up."""
        if self._allowed <= 0:
            return False
        self._allowed -= size
        return True


class Changelog(Appender):
    """The changelog files of one key group in `folder`; see the module for the format."""

    def __init__(self, folder: Path, name: str, rewrites: Rewrites, *, fsync: bool) -> None:
        """Prepare; no file is touched before `start` or `load`."""
        self._folder, self._name, self._rewrites, self._fsync = folder, name, rewrites, fsync
        self._generation = 0
        self._length = 0
        self._retired: list[tuple[int, Path]] = []
        self._checkpoints = 0

    def start(self) -> None:
        """Begin an empty changelog: what an uncommitted run left behind is not part of it."""
        for path in self._folder.glob(f"{self._name}.*.log"):
            path.unlink()
        self._open_new(0)

    def load(self, generation: int, length: int) -> Iterable[list[Entry]]:
        """Yield the blocks up to `length` of that generation, cut the rest off, and go on from there.

        Raises:
            ChangelogError: the file is missing, shorter than the checkpoint, or damaged.
        """
        path = self._path(generation)
        with _opened(path, "r+b") as file:
            data = _whole(file, path, length)
            file.truncate(length)
        for other in self._folder.glob(f"{self._name}.*.log"):
            if other != path:
                other.unlink()
        self._generation, self._length = generation, length
        self._file = path.open("ab")
        yield from _blocks(data, path)

    def append(self, entries: list[Entry]) -> None:
        """Add changed states; they are part of the next checkpoint."""
        file = self._file
        assert file is not None, "append before start or load"
        for i in range(0, len(entries), BLOCK_ENTRIES):
            size = _write_block(file, entries[i : i + BLOCK_ENTRIES])
            self._length += size
            self._rewrites.appended(size)

    def compact(self, live: Iterable[Entry], live_bytes: int, *, is_purge: bool = False) -> None:
        """Rewrite the file if too much of it is dead. `live` is every live entry, read only for that.

        For a purge it is rewritten in any case: what is dead is not to be found there any more.
        """
        self._rewrites.give_out()
        garbage = self._length - live_bytes
        if is_purge or (garbage > GARBAGE_BYTES_MIN + live_bytes * GARBAGE_RATIO and self._rewrites.take(live_bytes)):
            self._rewrite(live)

    def checkpoint(self) -> tuple[int, int]:
        """Flush; return (generation, length)."""
        self._checkpoints += 1
        self._remove_retired()
        file = self._file
        assert file is not None, "checkpoint before start or load"
        file.flush()
        if self._fsync:
            os.fsync(file.fileno())
        return self._generation, self._length

    def _rewrite(self, live: Iterable[Entry]) -> None:
        self.close()
        self._retired.append((self._checkpoints + 1, self._path(self._generation)))
        self._open_new(self._generation + 1)
        file = self._file
        assert file is not None
        entries = list(live)
        for i in range(0, len(entries), BLOCK_ENTRIES):
            self._length += _write_block(file, entries[i : i + BLOCK_ENTRIES])

    def _remove_retired(self) -> None:
        # Retired before checkpoint n: that one names the new file, and is committed before n + 2 is asked for.
        while self._retired and self._retired[0][0] + 2 <= self._checkpoints:
            self._retired.pop(0)[1].unlink(missing_ok=True)

    def _open_new(self, generation: int) -> None:
        self._generation = generation
        self._file = self._path(generation).open("wb")
        self._file.write(HEADER)
        self._length = len(HEADER)

    def _path(self, generation: int) -> Path:
        return path_of(self._folder, self._name, generation)


def path_of(folder: Path, name: str, generation: int) -> Path:
    """Return where a generation of a changelog is."""
    return folder / f"{name}.{generation}.log"


def live(path: Path, length: int) -> dict[str, tuple[int, bytes]]:
    """Return the live entries of a changelog up to `length`, due and state by key; the file stays as it is.

    Raises:
        ChangelogError: the file is missing, shorter than that, or damaged.
    """
    with _opened(path, "rb") as file:
        data = _whole(file, path, length)
    found: dict[str, tuple[int, bytes]] = {}
    for block in _blocks(data, path):
        for key, due_at, state in block:
            found[key] = due_at, state
    return {key: (due_at, state) for key, (due_at, state) in found.items() if state}


def write(folder: Path, name: str, entries: Iterable[Entry]) -> int:
    """Write a changelog of these live entries, its first generation, down to the disk; return its length."""
    changelog = Changelog(folder, name, Rewrites(), fsync=True)
    changelog.start()
    changelog.append(list(entries))
    _, length = changelog.checkpoint()
    changelog.close()
    return length


def check_version(row: bytes, known: int) -> int:
    """Return the version in front of a packed row.

    Raises:
        ChangelogError: a later version of nextmove wrote it than one that `known` is the last of.
    """
    version: int = _decode_version(row).version
    if version > known:
        raise ChangelogError(
            f"a state of version {version}, of which this nextmove knows {known}; use the later one that made it"
        )
    return version


def _opened(path: Path, mode: Literal["rb", "r+b"]) -> BinaryIO:
    try:
        return path.open(mode)
    except OSError as error:
        raise ChangelogError(f"{path}: {error.strerror}: the checkpoint names it; restore its folder whole") from None


def _whole(file: BinaryIO, path: Path, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise ChangelogError(f"{path}: {len(data)} bytes where the checkpoint has {length}; restore its folder")
    if not data.startswith(HEADER):
        raise ChangelogError(f"{path}: not a changelog of this version; restore its folder")
    return data


def _write_block(file: BinaryIO, entries: list[Entry]) -> int:
    return file.write(framed(_encode(entries)))


def _blocks(data: bytes, path: Path) -> Iterable[list[Entry]]:
    position = len(HEADER)
    while position < len(data):
        payload = payload_at(data, position)
        entries = None if payload is None else _entries(payload)
        if payload is None or entries is None:
            msg = f"{path}: damaged at byte {position}; restore its folder from a copy"
            raise ChangelogError(msg)
        yield entries
        position += OVERHEAD + len(payload)


def _entries(payload: bytes) -> list[Entry] | None:
    """Return the entries of a block, None where they are none."""
    try:
        return _decode(payload)
    except msgspec.MsgspecError:
        return None
