"""What is read from Kafka, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from connectors.kafka_client import split

PART: Final = "kafka"
"""What a part of the source is called that reads all partitions of a process; those of a cluster: kafka/0."""


class KafkaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is read and how.

    `start` is for partitions without a checkpoint: their first record, what comes after the start of this run, or an
    instant in ms. `client` are librdkafka's own settings; they outrank what is set here, save what exactness depends
    on. Of `internal`, if there is one, what other processes of ours have sent is read, of `control`, if it is there,
    what people request: time does not depend on either. Of all topics only the partitions that `owns` names are read;
    `readers` is how many parts share them, each a consumer.
    """

    servers: str
    topics: tuple[str, ...]
    group: str
    start: Literal["earliest", "latest"] | int
    batch_records: int
    idle_after_ms: int
    lateness_ms: int
    discover_s: float
    client: dict[str, str]
    readers: int = 1
    internal: str = ""
    control: str = ""
    owns: Callable[[str], bool] = lambda _name: True

    @property
    def parts(self) -> list[str]:
        """The parts of the source: one, or as many as a cluster has members."""
        return [PART] if self.readers == 1 else [f"{PART}/{reader}" for reader in range(self.readers)]

    def of(self, part: str) -> KafkaOptions:
        """Return what one of the parts reads, and how."""
        if self.readers == 1:
            return self
        reader, readers = split(part)[1], self.readers
        return msgspec.structs.replace(self, owns=lambda name: split(name)[1] % readers == reader)

    @property
    def wanted(self) -> tuple[str, ...]:
        """What to look for: topics, and patterns that begin with ^."""
        return (*self.topics, *(topic for topic in (self.internal, self.control) if topic))

    def is_sent(self, name: str) -> bool:
        """Whether a partition holds what other processes of ours send, or what people request: no events."""
        return split(name)[0] in (self.internal, self.control)

    def is_internal(self, name: str) -> bool:
        """Whether a partition holds what other processes of ours send."""
        return split(name)[0] == self.internal


def is_of_topics(part: str) -> bool:
    """Whether a part of a source has that name that reads topics."""
    return part.partition("/")[0] == PART
