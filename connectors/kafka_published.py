"""What a deployment has published, read back: from its topics, up to where they ended when they were asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from connectors.cloudevents import STREAMS
from connectors.kafka_client import Brokers, KafkaFault
from connectors.kafka_range import between
from connectors.kafka_sink import header
from connectors.kafka_topics import output_topics
from connectors.published import Published, needles

# A record is published when what it is about has come about; by a clock that goes before or after the brokers'.
CLOCKS_MS: Final = 3_600_000


class PublishedTopics:
    """The streams of a deployment's topics."""

    def __init__(self, brokers: Brokers, client: Mapping[str, str], prefix: str) -> None:
        """Look which topics there are, and where they end now.

        Raises:
            KafkaFault: no broker answers, or none of the topics is there.
        """
        self.name = f"{prefix}*.v1 at {brokers.servers}"
        self._brokers, self._client = brokers, client
        there, topics = brokers.topics(), output_topics(prefix)
        self._partitions: dict[str, list[str]] = {stream: [] for stream in STREAMS}
        for stream, topic in topics.items():
            names = [f"{topic.name}/{number}" for number in range(there.get(topic.name, 0))]
            self._partitions[stream.partition(".")[0]] += names
        every = [name for names in self._partitions.values() for name in names]
        if not every:
            raise KafkaFault(f"{brokers.servers}: there is no topic {prefix}triggers.*.v1; check kafka.prefix")
        self._firsts, self._ends = brokers.firsts(every), brokers.ends(every)

    def told(self, stream: str, ids: Collection[str] | None, since: int | None = None) -> Iterator[Published]:
        """Return the records of a stream that name any of `ids`, None for all; of each partition in their order.

        What came to its topic long before `since` (ms) is not read.

        Raises:
            KafkaFault: the brokers do not answer.
        """
        names, wanted = self._partitions[stream], None if ids is None else needles(ids)
        starts, ends = {name: self._firsts[name] for name in names}, {name: self._ends[name] for name in names}
        if since is not None:
            found = self._brokers.since(names, max(0, since - CLOCKS_MS))
            starts = {name: ends[name] if at < 0 else at for name, at in found.items()}
        for message in between(starts, ends, self._brokers, self._client, "nextmove-explain"):
            value = message.value()
            if value and (wanted is None or any(needle in value for needle in wanted)):
                yield Published(header(message, "ce_type").decode(errors="replace"), value)
