"""Blocks: how bytes stand in a file that is only ever appended to, so that a torn end is found.

A block is the length of its payload, the CRC-32 of it, and the payload.
"""

from __future__ import annotations

from contextlib import suppress
from struct import Struct
from typing import BinaryIO, Final
from zlib import crc32

_HEAD: Final = Struct("<II")
OVERHEAD: Final = _HEAD.size
"""Bytes that a block has beside its payload."""


def framed(payload: bytes) -> bytes:
    """Return a payload as it stands in a file."""
    return _HEAD.pack(len(payload), crc32(payload)) + payload


def payload_at(data: bytes, position: int) -> bytes | None:
    """Return the payload of the block that begins there, None where it is cut short or damaged."""
    start = position + OVERHEAD
    if start > len(data):
        return None
    size, checksum = _HEAD.unpack_from(data, position)
    payload = data[start : start + size]
    return payload if len(payload) == size and crc32(payload) == checksum else None


class Appender:
    """Whoever has a file of blocks open for appending."""

    _file: BinaryIO | None = None

    def close(self) -> None:
        """Close the file; nothing is written after the last checkpoint."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def __del__(self) -> None:
        # The engine never tells anybody that its run is over. On a full disk there is nothing more to say here:
        # what the file lacks is in no checkpoint.
        with suppress(OSError):
            self.close()
