"""Kafka topics as a source: which partitions this process reads, and where it begins with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bytewax.inputs import FixedPartitionedSource

from connectors.batches import RawBatch, Stop
from connectors.journal import Journal
from connectors.kafka_client import Brokers, KafkaFault
from connectors.kafka_options import KafkaOptions
from connectors.kafka_part import KafkaPart, Places
from connectors.kafka_topics import partitions_of


class KafkaSource(FixedPartitionedSource[RawBatch, Places]):
    """Reads topics, all partitions of them by one consumer."""

    def __init__(
        self,
        options: KafkaOptions,
        stop: Stop,
        tell: Callable[[str], None],
        beat: Callable[[KafkaPart], None] = lambda _part: None,
        journal: Journal | None = None,
    ) -> None:
        """Find the partitions; `tell` hears what is worth a line, `beat` is called each time that the part is asked.

        With a `journal`, what it tells of is handed on first, as it was the first time.

        Raises:
            KafkaFault: no broker answers, or a topic is not there.
        """
        self.options, self._stop, self._tell, self._beat = options, stop, tell, beat
        self._journal = journal
        self._brokers = Brokers(options.servers, options.client, stop)
        topics = self._brokers.topics_with(
            topic for topic in options.wanted if not topic.startswith("^") and topic != options.control
        )
        for topic in options.wanted:
            if not topic.startswith("^") and topic not in (*topics, options.control):
                raise KafkaFault(f"{options.servers}: there is no topic {topic}; create it, or mend its name")
        there = partitions_of(topics, options.wanted)
        if not any(not options.is_sent(name) for name in there):
            raise KafkaFault(f"{options.servers}: no topic is named as kafka.topics wants; create one, or mend those")
        self._all = sorted(filter(options.owns, there))
        self.partitions = [name for name in self._all if not options.is_sent(name)]
        """What time depends on: the partitions of what is read, without those of the internal topic."""
        self._starts: dict[str, int] = {}
        self.first: Mapping[str, int] = {}
        """Which partitions are to be read up to where before all others."""

    def begin(self, known: Mapping[str, int]) -> dict[str, int]:
        """Settle where partitions without a checkpoint begin; return that, to be `known` to the runs that go on.

        A run that dies before its first checkpoint would else begin at another "latest". A partition that is not
        among those known was added since, and begins at its first record.

        Raises:
            KafkaFault: no broker answers.
        """
        new = [name for name in self._all if name not in known]
        start = "earliest" if known else self.options.start
        found = self._brokers.firsts(name for name in new if self.options.is_internal(name))
        new = [name for name in new if name not in found]
        if start == "earliest":
            found |= self._brokers.firsts(new)
        elif start == "latest":
            found |= self._brokers.ends(new)
        else:
            ends = self._brokers.ends(new)
            found |= {
                name: offset if offset >= 0 else ends[name] for name, offset in self._brokers.since(new, start).items()
            }
        self._starts = dict(known) | found
        return self._starts

    def leftovers(self) -> dict[str, int]:
        """Return where the partitions of the internal topic end that hold something to be read, once begun."""
        ends = self._brokers.ends(name for name in self._all if self.options.is_internal(name))
        return {name: end for name, end in ends.items() if end > self._starts[name]}

    def list_parts(self) -> list[str]:
        """Return the parts (bytewax calls this)."""
        return self.options.parts

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 -- the engine's signature
        for_part: str,
        resume_state: Places | None,
    ) -> KafkaPart:
        """Start where the checkpoint left it (bytewax calls this)."""
        options = self.options.of(for_part)
        partitions = list(filter(options.owns, self._all))
        places = {name: (self._starts[name], -1) for name in partitions} | (resume_state or {})
        part = KafkaPart(options, self._brokers, partitions, self._stop, self._tell, places)
        part.beat = self._beat
        part.read_first(self.first)
        if self._journal is not None:
            part.take_again(self._journal)
        return part
