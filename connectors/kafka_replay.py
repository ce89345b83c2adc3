"""Taking in once more what a former life of this process had taken in: the same batches in the same order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Message

from connectors.batches import RawBatch
from connectors.journal import Taken
from connectors.kafka_client import KafkaFault


class Replay:
    """The batches that a journal tells of, while their records are read again."""

    def __init__(self, taken: Sequence[Taken], is_sent: Callable[[str], bool]) -> None:
        """Begin; `is_sent` says which partitions hold what other processes of ours have sent."""
        self._taken, self._is_sent = taken, is_sent
        self.ends: dict[str, int] = {}
        """The partitions that have to be read, and up to where."""
        self._missing: dict[str, set[int]] = {}
        for one in taken:
            if one.count:
                end = one.first_position + one.count
                self.ends[one.partition] = max(end, self.ends.get(one.partition, 0))
                self._missing.setdefault(one.partition, set()).update(range(one.first_position, end))
        self._found: dict[str, dict[int, tuple[bytes, int, Message]]] = {name: {} for name in self.ends}
        self.came_at: dict[str, int] = {}
        """When the last record of each partition came."""

    @property
    def is_whole(self) -> bool:
        """Whether all records are there."""
        return not any(self._missing.values())

    @property
    def missing(self) -> str:
        """Name a record that is not there yet: `topic/3 at offset 17`."""
        return next(f"{name} at offset {min(offsets)}" for name, offsets in self._missing.items() if offsets)

    def add(self, name: str, message: Message) -> None:
        """Keep a record, if it is one of those."""
        offset, value = message.offset(), message.value()
        assert offset is not None, "a message has an offset"
        if value is not None and offset in self._missing[name]:
            self._missing[name].remove(offset)
            self.came_at[name] = message.timestamp()[1]
            self._found[name][offset] = value, self.came_at[name], message

    def reached(self, name: str, position: int) -> None:
        """Hear that a partition has been read up to there.

        Raises:
            KafkaFault: not all has come that was there before.
        """
        missing = self._missing.get(name)
        if missing and position >= self.ends[name]:
            raise KafkaFault(
                f"{name}: the broker no longer has offset {min(missing)}; what lies between is lost:"
                " restore the topic, or start with a new recovery folder"
            )

    def batches(self) -> list[RawBatch]:
        """Return the batches, all of them."""
        batches: list[RawBatch] = []
        for one in self._taken:
            found = self._found.get(one.partition, {})
            rows = [found[offset] for offset in range(one.first_position, one.first_position + one.count)]
            read_at = one.read_at or 0
            came_at = [came_at if came_at >= 0 else read_at for _, came_at, _ in rows]
            raws = [value for value, _, _ in rows]
            origins: list[Any] = [message for _, _, message in rows]  # its types want to know those of its key
            batches.append(one.batch(raws, came_at, is_sent=self._is_sent(one.partition), origins=origins))
        return batches
