"""Shards: which partitions and key groups one of several processes owns."""

from __future__ import annotations

import re
import socket
from typing import Final

import msgspec

ORDINAL: Final = "ordinal"
"""In place of a shard's index: the number at the end of the host's name, as a Kubernetes StatefulSet gives it."""


class ShardError(Exception):
    """Which shard this is cannot be said: one line with cause and cure."""


class Shard(msgspec.Struct, frozen=True):
    """One of `count` processes that share the work, the `index`-th from 0 on.

    Partition p of any topic is read by shard `p % count`. A key group g belongs to slot `g % slots`, which is a
    partition of the internal topic, and so to the shard that reads it. With as many slots as the source has
    partitions, a visitor whose events are keyed as Kafka does it has its state where its events are read. `timeline`
    is that of all shards of one life of a deployment.
    """

    index: int = 0
    count: int = 1
    slots: int = 1
    timeline: str = ""

    @property
    def name(self) -> str:
        """What the shard is called: 0-of-2."""
        return f"{self.index}-of-{self.count}"

    def owns_number(self, number: int) -> bool:
        """Whether the partition or slot of that number is this shard's."""
        return number % self.count == self.index

    def owns_partition(self, name: str) -> bool:
        """Whether a partition, `topic/3`, is this shard's."""
        return self.owns_number(int(name.rpartition("/")[2]))

    def owns_group(self, group: int) -> bool:
        """Whether a key group is this shard's."""
        return self.owns_number(group % self.slots)

    def places(self, key_groups: int) -> list[int]:
        """Return for each key group where its items go: itself if it is owned, else `key_groups` + its slot."""
        return [group if self.owns_group(group) else key_groups + group % self.slots for group in range(key_groups)]


ALONE: Final = Shard()
"""The one process of a deployment that has no other."""


def shard_of(told: str) -> tuple[int, int]:
    """Return index and count of what settings say: 0/2, or ordinal/2.

    Raises:
        ShardError: the host's name does not end in a number, or in one that is too large.
    """
    which, _, count = told.partition("/")
    if which != ORDINAL:
        return int(which), int(count)
    host = socket.gethostname()
    found = re.search(r"-(\d+)$", host.partition(".")[0])
    if found is None or int(found[1]) >= int(count):
        raise ShardError(
            f"shard: {told}: the host's name, {host}, does not end in a number below {count}, as that of a pod of a"
            " StatefulSet does; name the shard itself, as in 0/2"
        )
    return int(found[1]), int(count)
