"""Blocks: how bytes stand in a file that is only ever appended to, so that a torn end is found.

A block is the length of its payload, the CRC-32 of it, and the payload.
"""

from __future__ import annotations

from struct import Struct
from typing import Final
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
