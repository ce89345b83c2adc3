"""Topics: which are read, which are published to, whether these are as they must be, and making them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # it is there, untyped

from connectors.cloudevents import STREAMS, TRIGGER_FAMILIES
from connectors.kafka_client import START_S_MAX, Brokers, KafkaFault

# Whoever has a state per profile reads them to the end: the last word on each is enough.
COMPACTED: Final = frozenset({"profiles"})
EXCHANGE: Final = "exchange"
"""The internal topic by which shards send each other what is the other's."""
NAMES: Final[Mapping[str, str]] = {"dead_letters": "dlq"}


class Topic(NamedTuple):
    """A topic that is published to."""

    name: str
    is_compacted: bool


def output_topics(prefix: str) -> dict[str, Topic]:
    """Return the topic of each stream, and of each family of triggers as `triggers.FAMILY` (contracts section 1)."""
    streams = [stream for stream in STREAMS if stream != "triggers"]
    streams += [f"triggers.{family}" for family in TRIGGER_FAMILIES]
    return {
        stream: Topic(f"{prefix}{NAMES.get(stream, stream)}.v1", is_compacted=stream in COMPACTED) for stream in streams
    }


def exchange_topic(prefix: str) -> Topic:
    """Return the internal topic; one process alone does without it."""
    return Topic(f"{prefix}{EXCHANGE}.v1", is_compacted=False)


def control_topic(prefix: str) -> Topic:
    """Return the topic of requests, which has one partition: they are performed in their order."""
    return Topic(f"{prefix}control.v1", is_compacted=False)


def checked(brokers: Brokers, topics: Mapping[str, Topic]) -> dict[str, int]:
    """Return the number of partitions of each topic, by stream.

    Raises:
        KafkaFault: one is missing, or is not compacted and must be, or the other way round.
    """
    there = brokers.topics_with(topic.name for topic in topics.values())
    missing = [topic.name for topic in topics.values() if topic.name not in there]
    if missing:
        raise KafkaFault(
            f"{brokers.servers}: there is no topic {', '.join(missing)}; create what is missing with"
            " `nextmove topics create`, or set kafka.prefix"
        )
    policies = brokers.cleanup_policies([topic.name for topic in topics.values()])
    for topic in topics.values():
        policy = policies[topic.name]
        if policy and topic.is_compacted != ("compact" in policy):
            wanted = "compact" if topic.is_compacted else "delete"
            reason = "the last word on each profile must stay" if topic.is_compacted else "each of its records counts"
            raise KafkaFault(
                f"{topic.name} has cleanup.policy={policy}, but {reason}; set it to {wanted},"
                " or delete the topic and have `nextmove topics create` make it"
            )
    return {stream: there[topic.name] for stream, topic in topics.items()}


def create(brokers: Brokers, topics: Sequence[Topic], partitions: int, replication: int) -> list[str]:
    """Create those that are missing; return their names. A `replication` of -1 is the brokers' default.

    Raises:
        KafkaFault: the brokers refuse.
    """
    there = brokers.topics()
    wanted = [topic for topic in topics if topic.name not in there]
    news = [
        NewTopic(
            topic.name,
            partitions,
            replication,
            config={"cleanup.policy": "compact" if topic.is_compacted else "delete"},
        )
        for topic in wanted
    ]
    made = []
    for name, future in brokers.admin.create_topics(news, request_timeout=START_S_MAX).items() if news else []:
        try:
            future.result(START_S_MAX)
        except KafkaException as error:
            told = error.args[0]
            if told.code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was faster
                raise KafkaFault(f"{name}: {told.str()}; the topic cannot be created") from None
        else:
            made.append(name)
    return made


def partitions_of(topics: Mapping[str, int], wanted: Sequence[str]) -> list[str]:
    """Return the names of the partitions of `wanted` topics; one that begins with ^ is a pattern, as in librdkafka.

    No pattern means Kafka's own topics, which begin with two underscores.
    """
    patterns = [re.compile(topic) for topic in wanted if topic.startswith("^")]
    return [
        f"{name}/{partition}"
        for name, count in topics.items()
        if name in wanted or (not name.startswith("__") and any(pattern.search(name) for pattern in patterns))
        for partition in range(count)
    ]
