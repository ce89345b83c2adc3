"""What is told of a record that is rejected: all that it takes to find it, to mend what is wrong, and to feed it back.

A record that was fed back (`nextmove deadletters replay`) has the header `REPLAYED`, which says of which dead letter it
was made, for the how-many-th time, and when the record first came: a format whose records tell no time goes by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from connectors.batches import Origin
from connectors.formats.common import Reading, Unusable
from operators.event import INSTANT_MAX, INSTANT_MIN
from operators.rejected import Rejected

REPLAYED: Final = "nextmove-replayed"


class Replayed(msgspec.Struct, omit_defaults=True):
    """The value of the header: JSON."""

    id: Annotated[str, Meta(max_length=64)]
    count: Annotated[int, Meta(ge=1, le=1_000_000)]
    came_at: Annotated[int, Meta(ge=INSTANT_MIN, le=INSTANT_MAX)] | None = None


_replayed: Final = msgspec.json.Decoder(Replayed).decode


def rejected(fault: Unusable, raw: bytes, position: int, reading: Reading, place: tuple[int, ...] = ()) -> Rejected:
    """Say of a record, or of the part of one that lies at `place`, why it stays out.

    What a source hands on of a line that is too long is its head only, and more than the limit.
    """
    part = ".".join(map(str, place))
    return Rejected(
        fault.reason,
        f"part {part}: {fault.detail}" if place else fault.detail,
        reading.partition,
        position,
        raw,
        part=part,
        came_at=_believed(reading.read_at),
        is_cut=not place and len(raw) > reading.rules.bytes_max,
    )


def came_with(origin: Origin, letters: Iterable[Rejected]) -> None:
    """Add what the record came with beside its value; that value is whole, however long."""
    key, told = origin.key(), tuple((name, value) for name, value in origin.headers() or ())
    replay = replayed(dict(told))
    for letter in letters:
        letter.key = key.encode() if isinstance(key, str) else key
        letter.headers = told
        letter.is_cut = False
        if replay is not None:
            letter.replays = replay.count
            letter.came_at = letter.came_at if replay.came_at is None else replay.came_at


def _believed(at: int | None) -> int | None:
    """Return an instant (ms) that can be told: what a producer calls its time may be any number."""
    return at if at is not None and INSTANT_MIN <= at <= INSTANT_MAX else None


def replayed(headers: Mapping[str, bytes | None]) -> Replayed | None:
    """Return what the header of a record that was fed back says; None without one, or where it says nothing."""
    told = headers.get(REPLAYED)
    if not isinstance(told, bytes):
        return None
    try:
        return _replayed(told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
