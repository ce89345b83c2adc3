"""Gathering: what the key groups of the first half made of a batch, brought together for the second."""

from __future__ import annotations

from typing import Any

from pipeline.messages import Absorb, GroupBatch, GroupOutput


class Gather:
    """Brings together what the groups of the first half made of a batch, and deals it out to the second.

    A lead's group may hear of a batch's watermark only after every visitor whom that batch made known
    has arrived, from whatever group. So a batch is dealt on when all its shares are in, each hand-over
    just before the event that caused it, which is in the same batch. Batches go on in their order. All
    shares of a batch are in one epoch, so there is nothing to keep in a checkpoint.
    """

    def __init__(self, key_groups: int) -> None:
        """Start with no batch under way."""
        self._count = key_groups
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
        parts.sort(key=_group)
        arriving: dict[str, list[Absorb]] = {}
        for part in parts:
            for absorb in part.absorbed:
                arriving.setdefault(absorb.handover.event_id, []).append(absorb)
        for absorbs in arriving.values():
            absorbs.sort(key=lambda absorb: absorb.handover.order)
        items: dict[int, list[Any]] = {part.batch.group: part.batch.passing for part in parts if part.batch.passing}
        if arriving:
            for group, events in items.items():
                items[group] = [item for event in events for item in (*arriving.get(event.event_id, ()), event)]
        groups = range(self._count) if first.marker is not None else sorted(items)
        return [GroupBatch(group, first.batch, 0, items.get(group, []), [], first.marker) for group in groups]


def _group(output: GroupOutput) -> int:
    return output.batch.group
