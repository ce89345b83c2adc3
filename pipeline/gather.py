"""Gathering: what the key groups of the first half made of a batch, brought together for the second."""

from __future__ import annotations

from typing import Any

from operators.event import Event
from pipeline.deal import Dealer
from pipeline.messages import Absorb, GroupBatch, GroupOutput, Marker


class Gather:
    """Brings together what the groups of the first half made of a batch, and deals it out to the second.

    A lead's group may hear of a batch's watermark only after every visitor whom that batch made known
    has arrived, from whatever group. So a batch is dealt on when all its shares are in, each hand-over
    just before the event that caused it, which is in the same batch. Batches go on in their order. All
    shares of a batch are in one epoch, so there is nothing to keep in a checkpoint.
    """

    def __init__(self, dealer: Dealer) -> None:
        """Start with no batch under way; `dealer` knows where leads are."""
        self._dealer = dealer
        self.created = 0
        """Visitors seen for the first time, in all."""
        self._waiting: dict[int, list[GroupOutput]] = {}
        self._next = 1

    def take(self, outputs: list[GroupOutput]) -> list[list[GroupBatch]]:
        """Take in outputs; return the shares of each batch that they complete."""
        dealt: list[list[GroupBatch]] = []
        for output in outputs:
            self.created += output.created
            self._waiting.setdefault(output.batch.batch, []).append(output)
        while (parts := self._waiting.get(self._next)) and len(parts) == parts[0].batch.groups:
            del self._waiting[self._next]
            self._next += 1
            dealt.append(self._deal(parts))
        return dealt

    def _deal(self, parts: list[GroupOutput]) -> list[GroupBatch]:
        first = parts[0].batch
        parts.sort(key=_place)
        items: dict[int, list[Any]] = {part.batch.group: part.batch.passing for part in parts if part.batch.passing}
        absorbed = [absorb for part in parts for absorb in part.absorbed]
        if absorbed:
            self._insert(absorbed, items)
        for part in parts:
            for event in part.forwarded:
                items.setdefault(self._dealer.place_of(event.profile_id), []).append(event)
        marks: dict[int, Marker] = {}
        for part in parts:
            marker = part.batch.marker
            if marker is not None:
                watermark, clock = marker.next_watermark, marker.next_clock
                marks[part.batch.group] = Marker(watermark, watermark, marker.top_at, clock, clock)
        return [
            GroupBatch(place, first.batch, 0, items.get(place, []), [], marks.get(place), first.number)
            for place in sorted({*items, *marks})
        ]

    def _insert(self, absorbed: list[Absorb], items: dict[int, list[Any]]) -> None:
        """Put each state that arrives just before the event that made it known, where that is in the same batch.

        It is not where the state comes from another shard's visitor, or the event has gone to another shard.
        """
        arriving: dict[str, list[Absorb]] = {}
        for absorb in absorbed:
            arriving.setdefault(absorb.handover.event_id, []).append(absorb)
        for absorbs in arriving.values():
            absorbs.sort(key=_order)
        for place, passing in items.items():
            items[place] = [
                item
                for one in passing
                for item in ((*arriving.pop(one.event_id, ()), one) if isinstance(one, Event) else (one,))
            ]
        for absorb in absorbed:  # as they came: who is sent them knows them by their order
            if absorb.handover.event_id in arriving:
                items.setdefault(self._dealer.place_of(absorb.handover.to), []).append(absorb)


def _place(output: GroupOutput) -> int:
    return output.batch.group


def _order(absorb: Absorb) -> int:
    return absorb.handover.order
