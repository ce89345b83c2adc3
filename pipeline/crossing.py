"""Crossing: what the members of a cluster hand to each other, as bytes.

Items that stay in their process are handed on as they are. The engine pickles those that leave it, one by one; here
each batch, and each key group's share of one, becomes a single run of msgpack, which is a fraction of what pickle
would do event by event. What the next step does not look at stays behind.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any, Final

import msgspec

from connectors.batches import RawBatch
from operators import event, request
from operators.event import Event
from operators.profile_state import HandOver
from operators.rejected import Rejected
from operators.request import Request
from pipeline.exchange import Item, item_of, marker_row, packed, row_of, unpacked
from pipeline.messages import Decoded, GroupBatch, GroupOutput, Marker

_Decoded: Final[Any] = tuple[RawBatch, list[Any], list[Rejected], list[bytes], list[Any]]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode
_decode_decoded: Final = msgspec.msgpack.Decoder(_Decoded).decode

Reduced = tuple[Callable[[bytes], Any], tuple[bytes]]
"""What pickle makes of an object: who makes it anew, and of what."""


def prepare() -> None:
    """Let pickle know how; without this nothing of ours can be pickled."""
    copyreg.pickle(Decoded, _reduce_decoded)
    copyreg.pickle(GroupBatch, _reduce_share)
    copyreg.pickle(GroupOutput, _reduce_output)


def _reduce_decoded(decoded: Decoded) -> Reduced:
    """Pack a batch on its way to `resolve`; of the raw records it is only asked how many they are."""
    raw = msgspec.structs.replace(decoded.raw, raws=[b""] * len(decoded.raw.raws), came_at=[], origins=())
    parcels = [message for parcel in decoded.parcels for message in packed(parcel)]
    requests = [one.pack() for one in decoded.requests]
    return _decoded, (_encode([raw, [one.pack() for one in decoded.events], decoded.rejected, parcels, requests]),)


def _decoded(raw: bytes) -> Decoded:
    batch, events, rejected, parcels, requests = _decode_decoded(raw)
    sent, asked = [unpacked(one) for one in parcels], [request.unpack(one) for one in requests]
    return Decoded(batch, [event.unpack(row) for row in events], rejected, sent, asked)


def _reduce_share(share: GroupBatch) -> Reduced:
    """Pack a key group's share of a batch."""
    return _share, (_encode(_share_row(share, share.items)),)


def _share(raw: bytes) -> GroupBatch:
    return _share_of(_decode(raw))


def _reduce_output(output: GroupOutput) -> Reduced:
    """Pack what a key group made of a batch on its way to `gather`; its records are published where they are."""
    absorbed = [_row(item) for item in output.absorbed]
    forwarded = [_row(event) for event in output.forwarded]
    return _output, (_encode([_share_row(output.batch, []), absorbed, output.created, forwarded]),)


def _output(raw: bytes) -> GroupOutput:
    share, absorbed, created, forwarded = _decode(raw)
    states, events = [_item(row) for row in absorbed], [_item(row) for row in forwarded]
    return GroupOutput(_share_of(share), [], states, created, forwarded=events)


def _share_row(share: GroupBatch, items: list[Any]) -> list[Any]:
    return [
        share.group,
        share.batch,
        share.groups,
        [_row(item) for item in items],
        [_row(item) for item in share.passing],
        marker_row(share.marker),
        share.number,
    ]


def _share_of(row: list[Any]) -> GroupBatch:
    group, batch, groups, items, passing, marked, number = row
    marker = None if marked is None else Marker(*marked)
    mine, theirs = [_item(one) for one in items], [_item(one) for one in passing]
    return GroupBatch(group, batch, groups, mine, theirs, marker, number)


def _row(item: Item) -> list[Any]:
    """Return a row as shards send it, and for a hand-over the marks, which shards do not share."""
    if isinstance(item, Event | Request):
        return row_of(item)
    handover = item if isinstance(item, HandOver) else item.handover
    return [*row_of(item), handover.mark, handover.lead_mark]


def _item(row: list[Any]) -> Any:  # noqa: ANN401 -- an event, or a hand-over on either side of its way
    item = item_of(row)
    if not isinstance(item, Event | Request):
        handover = item if isinstance(item, HandOver) else item.handover
        handover.mark, handover.lead_mark = row[-2:]
    return item
