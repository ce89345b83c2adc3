"""Files as a sink: one JSON Lines file a stream, exactly once on resume.

A checkpoint holds each file's length. On resume the file is cut back to it, so what an uncommitted
epoch had written is not there twice when the replay writes it again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition


class SinkError(Exception):
    """An output that cannot be written: one line with cause and cure."""


class FileSink(FixedPartitionedSink[bytes, int]):
    """Writes the lines of each of `streams` to a file of its name in `folder`."""

    def __init__(self, folder: Path, streams: Sequence[str], *, fsync: bool) -> None:
        """Keep where to write; files are opened with the first line for them."""
        # The engine numbers partitions in alphabetical order.
        self._folder, self._streams, self._fsync = folder, sorted(streams), fsync

    def list_parts(self) -> list[str]:
        """Return the streams (bytewax calls this)."""
        return self._streams

    def part_fn(self, item_key: str) -> int:
        """Return the index of the stream `item_key` (bytewax calls this)."""
        return self._streams.index(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> FilePart:  # noqa: ARG002 -- the engine's
        """Open one stream's file at the length a checkpoint gave it (bytewax calls this)."""
        return FilePart(self._folder / f"{for_part}.jsonl", resume_state or 0, fsync=self._fsync)


class FilePart(StatefulSinkPartition[bytes, int]):
    """One stream's file."""

    def __init__(self, path: Path, length: int, *, fsync: bool) -> None:
        """Open `path` and cut it back to `length`.

        Raises:
            SinkError: the file is shorter than that: something else has written to it.
        """
        self._fsync = fsync
        is_there = path.exists()
        size = path.stat().st_size if is_there else 0
        if size < length:
            msg = f"{path} has {size} bytes where the checkpoint has {length}; restore it or start anew"
            raise SinkError(msg)
        self._file = path.open("r+b" if is_there else "w+b")
        self._file.truncate(length)
        self._file.seek(length)
        self._length = length

    def write_batch(self, items: list[bytes]) -> None:
        """Append encoded lines (bytewax calls this)."""
        try:
            for lines in items:
                self._length += self._file.write(lines)
            self._file.flush()
        except OSError as error:
            msg = f"{self._file.name}: {error.strerror}; make room and run again"
            raise SinkError(msg) from None

    def snapshot(self) -> int:
        """Return the file's length, all of it flushed (bytewax calls this at the end of an epoch)."""
        if self._fsync:
            os.fsync(self._file.fileno())
        return self._length

    def close(self) -> None:
        """Close the file (bytewax calls this)."""
        self._file.close()
