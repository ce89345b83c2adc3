"""What is read from Kafka, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from connectors.kafka_client import split


class KafkaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is read and how.

    `start` is for partitions without a checkpoint: their first record, what comes after the start of this run, or an
    instant in ms. `client` are librdkafka's own settings; they outrank what is set here, save what
    exactness depends on. Of `internal`, if there is one, what other processes of ours have sent is read. Of all
    topics only the partitions that `owns` names are read.
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
    internal: str = ""
    owns: Callable[[str], bool] = lambda _name: True

    @property
    def wanted(self) -> tuple[str, ...]:
        """What to look for: topics, and patterns that begin with ^."""
        return (*self.topics, self.internal) if self.internal else self.topics

    def is_sent(self, name: str) -> bool:
        """Whether a partition holds what other processes of ours send."""
        return bool(self.internal) and split(name)[0] == self.internal
