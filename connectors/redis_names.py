"""Names and what they stand for, as Redis keeps them: `redis_buckets.lua` says the layout."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import blake2b
from typing import Final, NamedTuple

from mypy_extensions import mypyc_attr

_VERSION: Final = struct.Struct(">H6sHII")
"""How long what a name stands for is, partition, position in two parts, clock; that follows."""
_FIRST: Final = struct.Struct(">IH6sHII")
"""The same with what stands before the first version: when (s) somebody last asked for the name."""
DIGEST_BYTES: Final = 16
ASKED_BYTES: Final = 4
# Nearly all that names stand for are leads: their ids are packed into half.
_LEAD: Final = "lead-"
_LEAD_BYTES: Final = 10
# What is kept of leads, and whoever shares a telephone number.
_OF_LEADS: Final = ("r", "q")
_FIRST_BIT: Final = 0x80
_IS_LEAD: Final = b"\0"
_IS_TEXT: Final = b"\1"


@mypyc_attr(acyclic=True)
class Newest:
    """The newest version of what a name stands for: that, and partition, position and clock of the link.

    `asked_at` is when (s) somebody last asked for the name, to a tenth of the time that it is kept.
    """

    def __init__(self, value: str, partition: bytes, position: int, clock: int, asked_at: int) -> None:
        self.value = value
        self.partition = partition
        self.position = position
        self.clock = clock
        self.asked_at = asked_at


Answer = tuple[str, bytes, Newest | None]
"""A name that was asked for, its digest, and its newest version."""


class Seen(NamedTuple):
    """What an event at `position` of `partition` sees: what was linked before it, up to the clock's `as_of`."""

    partition: str
    position: int
    as_of: int | None


def value_of(raw: bytes, seen: Seen, over_at: float, full_at: int = 0) -> str | None:
    """Return what somebody sees a name stand for; None for nothing, and where nobody has asked since `over_at` (s).

    Where there are `full_at` versions and none is seen, it is the oldest: what was seen before is gone.
    """
    if int.from_bytes(raw[:ASKED_BYTES], "big") < over_at:
        return None
    mine, at, count, length = partition_digest(seen.partition), ASKED_BYTES, 0, 0
    while at < len(raw):
        count += 1
        length, partition, high, low, clock = _VERSION.unpack_from(raw, at)
        at += _VERSION.size + length
        if (seen.as_of is None or clock <= seen.as_of) and (partition != mine or (high << 32 | low) < seen.position):
            return unpacked(raw[at - length : at])
    return unpacked(raw[at - length : at]) if count == full_at > 0 else None


def newest_of(raw: bytes, over_at: float) -> Newest | None:
    """Return the newest version; None as `value_of`."""
    asked_at, length, partition, high, low, clock = _FIRST.unpack_from(raw)
    if asked_at < over_at:
        return None
    value = unpacked(raw[_FIRST.size : _FIRST.size + length])
    return Newest(value, partition, high << 32 | low, clock, asked_at)


def answers(
    names: Sequence[str], digests: Sequence[bytes], values: Sequence[bytes | None], over_at: float
) -> list[Answer]:
    """Return names that were asked for with their digests and newest versions."""
    return [
        (name, its_digest, None if raw is None else newest_of(raw, over_at))
        for name, its_digest, raw in zip(names, digests, values, strict=True)
    ]


def due_of(found: Sequence[Answer], due_at: float) -> list[str]:
    """Return the names for which nobody has asked since `due_at` (s)."""
    return [name for name, _, newest in found if newest is not None and newest.asked_at < due_at]


def digests_of(names: Iterable[str]) -> list[bytes]:
    """Return what names are called in the store."""
    return [digest(name) for name in names]


def digest(name: str) -> bytes:
    """Return what a name is called in the store: of what is kept of a lead, the first bit is set.

    So it lies in other hashes than identifiers do: it is longer, and one long value in a hash makes Redis keep all of
    that hash unpacked.
    """
    raw = blake2b(name.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()
    first, is_of_lead = raw[0], name[:1] in _OF_LEADS
    if (first >= _FIRST_BIT) == is_of_lead:
        return raw
    return bytes((first ^ _FIRST_BIT,)) + raw[1:]


def place_of(lead: bytes) -> int:
    """Return which hash has the digests of the identifiers of a lead, as that is `packed`: `redis_buckets.lua`."""
    return (int.from_bytes(lead[1:4], "big") | _FIRST_BIT << 16) >> 6


@cache
def partition_digest(name: str) -> bytes:
    """Return what a partition is called in the store."""
    return blake2b(name.encode(errors="surrogatepass"), digest_size=6).digest()


def packed(value: str) -> bytes:
    """Return what a name stands for as it is kept; `unpacked` is its inverse."""
    if value.startswith(_LEAD):
        try:
            lead = bytes.fromhex(value[len(_LEAD) :])
        except ValueError:
            lead = b""
        if len(lead) == _LEAD_BYTES and _LEAD + lead.hex() == value:
            return _IS_LEAD + lead
    return _IS_TEXT + value.encode(errors="surrogatepass")


def unpacked(raw: bytes) -> str:
    """Return what `packed` was given; "" for nothing."""
    if raw[:1] == _IS_LEAD:
        return _LEAD + raw[1:].hex()
    return raw[1:].decode(errors="surrogatepass")
