"""Reading what lies in topics between two offsets of each partition, and nothing that comes later.

No consumer group is joined and no offset committed, so nobody else notices.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaError
from confluent_kafka import Message as KafkaMessage

from connectors.kafka_client import START_S_MAX, Brokers, KafkaFault, assigned, made, settings

POLL_S: Final = 0.1


def consumer(brokers: Brokers, client: Mapping[str, str], name: str) -> Consumer:
    """Return a consumer of committed records; `name` is that of a group, which librdkafka wants to know."""
    ours = {"group.id": name, "fetch.wait.max.ms": 20}
    exact = {
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
    }
    return made(Consumer, settings(brokers.servers, client, brokers.on_error, **ours) | exact)


def between(
    starts: Mapping[str, int], ends: Mapping[str, int], brokers: Brokers, client: Mapping[str, str], name: str
) -> Iterator[KafkaMessage]:
    """Return the records from `starts` up to `ends`, by the names of partitions; of each in their order.

    Raises:
        KafkaFault: the brokers do not answer, or not with this.
    """
    waiting = {one for one, end in ends.items() if starts[one] < end}
    reader = consumer(brokers, client, name)
    reader.assign([assigned(one, starts[one]) for one in sorted(waiting)])
    heard_at = time.monotonic()
    try:
        while waiting:
            messages = reader.consume(1_000, POLL_S)
            if not messages and time.monotonic() - heard_at > START_S_MAX:
                raise KafkaFault(f"{min(waiting)}: no answer; check that the brokers are up")
            for message in messages:
                place, offset = f"{message.topic()}/{message.partition()}", message.offset() or 0
                if _is_end(message, place) or offset + 1 >= ends.get(place, 0):
                    waiting.discard(place)
                if message.error() is None and offset < ends[place]:
                    yield message
            if messages:  # after whoever takes them, who may be slow
                heard_at = time.monotonic()
    finally:
        reader.close()


def _is_end(message: KafkaMessage, place: str) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- as in kafka_client
        return True
    raise KafkaFault(f"{place}: {error.str()}; mend that and try again")
