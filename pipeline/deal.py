"""Dealing: each batch's items by the key group, here or elsewhere, that they are for."""

from __future__ import annotations

from typing import Any

from operators.ids import murmur2
from pipeline.messages import GroupBatch, Marker
from pipeline.shards import Shard


class Dealer:
    """Deals items out to places: the key groups that this shard owns, and for all others the slot that they are in."""

    def __init__(self, key_groups: int, shard: Shard) -> None:
        """Begin with the first batch."""
        self._key_groups = key_groups
        self.timeline = shard.timeline
        self._place_of_group = shard.places(key_groups)
        self._places = sorted(set(self._place_of_group))
        self._count = self._places[-1] + 1
        self._batch = 0
        self.visitors: list[list[Any]] = []
        """By place, what is for the first of the two steps."""
        self.leads: list[list[Any]] = []
        """The same for the second."""
        self.begin()

    def begin(self) -> None:
        """Begin a batch."""
        self.visitors = [[] for _ in range(self._count)]
        self.leads = [[] for _ in range(self._count)]

    def place_of(self, profile_id: str) -> int:
        """Return a profile's place; its key group is Kafka's hash of its id, modulo the number of groups."""
        return self._place_of_group[murmur2(profile_id.encode(errors="surrogatepass")) % self._key_groups]

    def deal(self, here: Marker | None, elsewhere: Marker | None, number: int) -> list[GroupBatch]:
        """Give each place that the source's batch of that number has something for its share of it."""
        batch = self._batch + 1
        shares: list[GroupBatch] = []
        for place in self._places:
            items, passing = self.visitors[place], self.leads[place]
            if items or passing or here is not None:
                marker = here if place < self._key_groups else elsewhere
                shares.append(GroupBatch(place, batch, 0, items, passing, marker, number))
        if shares:
            self._batch = batch
        for share in shares:
            share.groups = len(shares)
        return shares
