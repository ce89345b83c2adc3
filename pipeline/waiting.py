"""Leads who wait for the state of another one that turned out to be them.

Two leads become one; the younger one's state goes to the other's key group by way of the store, which takes a moment.
What comes for the lead meanwhile queues up behind it, and is worked off in that order, each item as of the watermark
at which it came: so it makes no difference how long that took.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from connectors.changelog import check_version
from operators.profile_state import HandOver, Profile, pack, unpack
from pipeline.exchange import Item, handover_of, handover_row, item_of, row_of
from pipeline.messages import Await

VERSION: Final = 1
"""Of the layout of a state on its way."""

Queue = list[tuple[int, Item]]
"""What a lead is to take in, first a state that is awaited, each with the watermark at which it came."""


def packed(handover: HandOver, state: Profile | None) -> bytes:
    """Return a lead's state as it travels, with the hand-over: a row whose first number is its version."""
    raw = None if state is None else pack(handover.profile_id, state)
    return msgspec.msgpack.encode([VERSION, handover_row(handover), raw])


def unpacked(raw: bytes) -> tuple[HandOver, Profile | None]:
    """Return what `packed` was given.

    Raises:
        ChangelogError: a later version wrote it.
    """
    check_version(raw, VERSION)
    _, row, state = msgspec.msgpack.decode(raw)
    handover = handover_of(row)
    return handover, None if state is None else unpack(handover.profile_id, state)


def rows_of(queue: Queue) -> list[Any]:
    """Return a queue as rows of plain values."""
    return [[reached, row_of(item)] for reached, item in queue]


def queue_of(rows: list[Any]) -> Queue:
    """Return the queue that `rows_of` was given."""
    found: Queue = []
    for reached, row in rows:
        found.append((reached, item_of(row)))
    return found


def heads(queues: dict[str, Queue]) -> dict[str, str]:
    """Return what is waited for: the lead by the tag of its hand-over."""
    found = {}
    for lead, queue in queues.items():
        first = queue[0][1]
        assert isinstance(first, Await), "a queue begins with what is awaited"
        found[first.handover.tag] = lead
    return found
