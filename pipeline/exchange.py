"""The exchange: what shards send each other, and how it travels.

A shard owns some key groups. What it finds for a group that another shard owns, an event in the wrong partition of the
source, an event of a lead, a visitor's state on its way to a lead, it sends there in a `Parcel`, by an internal topic
with a partition for each *slot*: a group belongs to slot `group % slots`, a slot to shard `slot % shards`.

A shard that is killed takes in again what its last checkpoint does not hold, batch by batch as before
(`connectors/journal.py`), and so it sends the same parcels again. Each has the number of its batch: on one way these
only grow, so whoever receives them keeps the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from operators import event, request
from operators.event import Event
from operators.profile_state import HandOver, pack, unpack
from operators.request import Request
from pipeline.messages import Absorb, Await, GroupBatch, GroupOutput, Marker, Parcel

VERSION: Final = 1
"""Of the layout of a parcel."""
BYTES_MAX: Final = 800_000
"""What is larger travels in several parcels: a broker takes messages of 1 MiB by default."""

_EVENT: Final = 0
_HANDOVER: Final = 1
_ABSORB: Final = 2
_AWAIT: Final = 3
_REQUEST: Final = 4

Item = Event | HandOver | Absorb | Await | Request
"""What travels between key groups."""

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
            output.parcel = Parcel(
                self._timeline, self._sender, self._slot, self._step, batch.number, batch.items, batch.marker
            )
        return output

    def snapshot(self) -> bytes:
        """Keep nothing."""
        return b""


class Former:
    """What counts of all that lies in the internal topic: what this life has sent, and of a former one what it kept.

    `lives` has for each former life, by its timeline, how many batches each of its shards had taken in when it ended
    with a savepoint. What one sent after that, for it went on, is of a life that this one does not come from.
    """

    def __init__(
        self,
        timeline: str,
        lives: Mapping[str, Mapping[str, int]],
        ends: Mapping[str, int],
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Know this life's `timeline`, and the `lives` that it comes from; `tell` hears once of what is of neither.

        `ends` says up to where the topic held something when this life began.
        """
        self.ends = ends
        self._timeline, self._lives, self._tell = timeline, lives, tell
        self._is_told = False

    def kept(self, parcel: Parcel) -> Parcel:
        """Return what counts of a parcel: what a former life knew of time is no longer so."""
        if parcel.timeline == self._timeline:
            return parcel
        items = parcel.items
        if parcel.number > self._lives.get(parcel.timeline, {}).get(str(parcel.sender), -1):
            items = []
            if not self._is_told:
                self._is_told = True
                self._tell(
                    f"shard {parcel.sender} has sent something in another life of this deployment, which is left out;"
                    " shards begin anew together, or from one savepoint"
                )
        return Parcel(parcel.timeline, parcel.sender, parcel.slot, parcel.step, parcel.number, items, None, parcel.part)


def packed(parcel: Parcel) -> list[bytes]:
    """Return a parcel as it travels: in several messages if it is large, the marker in the last."""
    messages: list[bytes] = []
    rows: list[bytes] = []
    size = 0
    for item in parcel.items:
        row = _encode(row_of(item))
        if rows and size + len(row) > BYTES_MAX:
            messages.append(_message(parcel, parcel.part + len(messages), rows, None))
            rows, size = [], 0
        rows.append(row)
        size += len(row)
    messages.append(_message(parcel, parcel.part + len(messages), rows, parcel.marker))
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
        timeline, sender, slot, step, number, part, rows, marked = told
        items = [item_of(_decode(row)) for row in rows]
        return Parcel(timeline, sender, slot, step, number, items, None if marked is None else Marker(*marked), part)
    except (msgspec.MsgspecError, TypeError, IndexError, KeyError) as error:
        raise ValueError(f"no parcel: {error}") from None


def _message(parcel: Parcel, part: int, rows: list[bytes], marker: Marker | None) -> bytes:
    whose = [parcel.timeline, parcel.sender, parcel.slot, parcel.step]
    return _encode([VERSION, *whose, parcel.number, part, rows, marker_row(marker)])


def marker_row(one: Marker | None) -> list[int] | None:
    """Return a marker as a row of plain values, of which it can be made."""
    return None if one is None else [one.watermark, one.next_watermark, one.top_at, one.clock, one.next_clock]


def row_of(item: Item) -> list[Any]:
    """Return an item as a row of plain values."""
    if isinstance(item, Event):
        return [_EVENT, item.pack()]
    if isinstance(item, Request):
        return [_REQUEST, item.pack()]
    if isinstance(item, HandOver):
        return [_HANDOVER, handover_row(item)]
    if isinstance(item, Await):
        return [_AWAIT, handover_row(item.handover)]
    state = None if item.state is None else pack(item.handover.profile_id, item.state)
    return [_ABSORB, handover_row(item.handover), state]


def handover_row(one: HandOver) -> list[Any]:
    """Return a hand-over as a row of plain values; the marks are not for others."""
    row = [one.profile_id, one.visitor_id, one.to, one.at, one.event_id, one.order, one.linked_at, one.life]
    return [*row, one.part, list(one.names)] if one.part else row


def handover_of(row: Sequence[Any]) -> HandOver:
    """Make a hand-over of the row that `handover_row` gave."""
    handover = HandOver(*row[:7])
    handover.life = row[7] if len(row) > 7 else ""
    if len(row) > 8:
        handover.part, handover.names = row[8], row[9]
    return handover


def item_of(row: Sequence[Any]) -> Item:
    """Make an item of the row that `row_of` gave; what a row has beyond that is left alone."""
    kind = row[0]
    if kind == _EVENT:
        return event.unpack(row[1])
    if kind == _REQUEST:
        return request.unpack(row[1])
    handover = handover_of(row[1])
    if kind == _HANDOVER:
        return handover
    if kind == _AWAIT:
        return Await(handover)
    state = None if row[2] is None else unpack(handover.profile_id, row[2])
    return Absorb(handover, state)
