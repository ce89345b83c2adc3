"""The exchange: what shards send each other, and how it travels.

A shard owns some key groups. What it finds for a group that another shard owns, an event in the wrong partition of the
source, an event of a lead, a visitor's state on its way to a lead, it sends there in a `Parcel`, by an internal topic
with a partition for each *slot*: a group belongs to slot `group % slots`, a slot to shard `slot % shards`.

A shard that is killed sends some parcels again. What is in them is known by where the event lies that it comes from:
on one way from a partition of the source to a group of a step they only grow, so the group keeps the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from operators import event
from operators.event import FOREVER, Event
from operators.profile_state import HandOver, pack, unpack
from pipeline.messages import Absorb, GroupBatch, GroupOutput, Marker, Parcel

VERSION: Final = 1
"""Of the layout of a parcel."""
BYTES_MAX: Final = 800_000
"""What is larger travels in several parcels: a broker takes messages of 1 MiB by default."""

# One event makes at most two hand-overs: of the device, and of the caller.
_ORDERS: Final = 4
_EVENT: Final = 0
_HANDOVER: Final = 1
_ABSORB: Final = 2

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class Elsewhere:
    """Stands for all key groups of a slot that another shard owns: what they are given is sent there."""

    def __init__(self, timeline: str, sender: int, slot: int, step: str) -> None:
        """Send in the name of `sender`, for the groups of `step`."""
        self._timeline, self._sender, self._slot, self._step = timeline, sender, slot, step

    def take(self, batch: GroupBatch) -> GroupOutput:
        """Make a parcel of a batch's share."""
        output = GroupOutput(batch, [], [])
        if batch.items or batch.marker is not None:
            output.parcel = Parcel(self._timeline, self._sender, self._slot, self._step, batch.items, batch.marker)
        return output

    def snapshot(self) -> bytes:
        """Keep nothing."""
        return b""


class Former(NamedTuple):
    """What shards of a former life have left: up to where the internal topic is theirs, and where the source goes on.

    What they had sent of records from there on, before they were killed, is read again: it is sent or dealt again.
    """

    ends: Mapping[str, int]
    starts: Mapping[str, int]

    def kept(self, parcel: Parcel, partition: str, position: int) -> Parcel:
        """Return what counts of a parcel that lies there: what its life knew of time is no longer so."""
        if position >= self.ends.get(partition, 0):
            return parcel
        items = [item for item in parcel.items if self._is_kept(item)]
        return Parcel(parcel.timeline, parcel.sender, parcel.slot, parcel.step, items)

    def _is_kept(self, item: Event | HandOver | Absorb) -> bool:
        where = item.handover if isinstance(item, Absorb) else item
        return where.position < self.starts.get(where.partition, FOREVER)


NO_FORMER: Final = Former({}, {})


def origin(item: Event | HandOver | Absorb) -> tuple[str, int]:
    """Return the way that an item came, and where on it: on one way the place only grows.

    A visitor's state comes by way of the key group that it was in.
    """
    if isinstance(item, Event):
        return item.partition, item.position * _ORDERS
    if isinstance(item, HandOver):
        return item.partition + "+", item.position * _ORDERS + item.order
    handover = item.handover
    return f"{handover.partition}@{item.group}", handover.position * _ORDERS + handover.order


def packed(parcel: Parcel) -> list[bytes]:
    """Return a parcel as it travels: in several messages if it is large, the marker in the last."""
    messages: list[bytes] = []
    rows: list[bytes] = []
    size = 0
    for item in parcel.items:
        row = _encode(_row(item))
        if rows and size + len(row) > BYTES_MAX:
            messages.append(_message(parcel, rows, None))
            rows, size = [], 0
        rows.append(row)
        size += len(row)
    messages.append(_message(parcel, rows, parcel.marker))
    return messages


def unpacked(raw: bytes) -> Parcel:
    """Return the parcel of one message.

    Raises:
        ValueError: it is none, or of a version that is not known here.
    """
    try:
        version, *told = _decode(raw)
        if version != VERSION:
            raise ValueError(f"a parcel of version {version}")
        timeline, sender, slot, step, rows, marked = told
        items = [_item(_decode(row)) for row in rows]
        return Parcel(timeline, sender, slot, step, items, None if marked is None else Marker(*marked))
    except (msgspec.MsgspecError, TypeError, IndexError, KeyError) as error:
        raise ValueError(f"no parcel: {error}") from None


def _message(parcel: Parcel, rows: list[bytes], marker: Marker | None) -> bytes:
    marked = None if marker is None else [marker.watermark, marker.next_watermark, marker.top_at]
    return _encode([VERSION, parcel.timeline, parcel.sender, parcel.slot, parcel.step, rows, marked])


def _row(item: Event | HandOver | Absorb) -> list[Any]:
    if isinstance(item, Event):
        return [_EVENT, item.pack()]
    if isinstance(item, HandOver):
        return [_HANDOVER, _handover_row(item)]
    state = None if item.state is None else pack(item.handover.profile_id, item.state)
    return [_ABSORB, _handover_row(item.handover), state, item.group]


def _handover_row(one: HandOver) -> list[Any]:
    return [one.profile_id, one.visitor_id, one.to, one.at, one.event_id, one.order, one.partition, one.position]


def _item(row: Sequence[Any]) -> Event | HandOver | Absorb:
    kind = row[0]
    if kind == _EVENT:
        return event.unpack(row[1])
    handover = HandOver(*row[1])
    if kind == _HANDOVER:
        return handover
    state = None if row[2] is None else unpack(handover.profile_id, row[2])
    return Absorb(handover, state, row[3], is_sent=True)
