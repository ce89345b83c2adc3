"""Kafka topics as a sink: one idempotent producer, and triggers exactly once as a consumer sees them.

Theory of operation
-------------------
The engine sees a part for each stream, and for triggers one for each Kafka partition. A checkpoint waits for the
parts that were written to since the last one, and they wait until the brokers have acknowledged every record: what
follows from events before a checkpoint is published before it. A crash after that makes the next run decide again
what the checkpoint does not hold, and so publish again what the dead run had published already.

For **triggers**, and what takes them back, that must not be seen. A part's snapshot is an offset of its partition,
before which every trigger is in a checkpoint. On resume the part reads its own partition from there to the end: these
are the triggers of the epoch that was lost. When the replay comes upon one of them (ids depend on the cause only), it
is left out. Until it has come upon all of them the snapshot stays before the first that is missing.

A producer that was killed may have sent what a broker has not read yet, so the partition is read only a second after
the broker of each partition has answered this process.

**Other records** may come twice after a crash, with the same id.

Waiting is librdkafka's: while the brokers are away its queue fills up, then the flow stands still. A record that is
refused for good stops the flow. A record that is larger than a topic takes goes to the dead letters.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from confluent_kafka import Consumer, KafkaError
from confluent_kafka import Message as KafkaMessage

from connectors.batches import Stop
from connectors.cloudevents import GROUP_HEADER, Message
from connectors.kafka_client import Brokers, KafkaFault, assigned, made, settings, split
from connectors.kafka_outbox import PAUSE_S, Outbox, SinkOptions, Waiting
from connectors.kafka_topics import EXCHANGE, checked, exchange_topic, output_topics

# How long what a dead producer had sent may take to be written, once the broker answers.
SETTLE_S: Final = 1.0
# A trigger that a replay has not come upon after this is none of ours, or no longer decided so.
REPLAY_S_MAX: Final = 3_600.0

TRIGGERS: Final = "triggers."


class KafkaSink(FixedPartitionedSink[list[Message], int]):
    """Publishes to topics; its parts are named `carts` and, for triggers, `triggers.FAMILY/PARTITION`."""

    def __init__(
        self,
        options: SinkOptions,
        known: Mapping[str, int] | None,
        stop: Stop,
        tell: Callable[[str], None],
        observe: Callable[[str, float], None] = lambda _family, _seconds: None,
        owns: Callable[[bytes, bytes], bool] = lambda _group, _key: True,
    ) -> None:
        """Connect and check the topics.

        `known` is where the partitions of triggers ended when the recovery folder was made (`ends`), None where it is
        made now. `observe` hears of each trigger its family and the seconds from when it was due until acknowledged.
        Of triggers that other processes of ours publish to the same topics, `owns` is false by the key group that has
        decided it, b"" where the message does not say, and by the key.

        Raises:
            KafkaFault: no broker answers, or a topic is missing or not as it must be.
        """
        self._brokers = Brokers(options.servers, options.client, stop)
        self._topics = output_topics(options.prefix)
        counts = checked(self._brokers, self._topics)
        self._internal = exchange_topic(options.prefix).name
        self.partitions = {
            stream.removeprefix(TRIGGERS): self._count(stream, count, known or {}, tell)
            for stream, count in counts.items()
            if stream.startswith(TRIGGERS)
        }
        """How many partitions the triggers of each family go to: as many as there were when the folder was made."""
        self._names = {
            f"{TRIGGERS}{family}/{number}": f"{self._topics[TRIGGERS + family].name}/{number}"
            for family, count in self.partitions.items()
            for number in range(count)
        }
        self.ends = self._brokers.ends(self._names.values()) | dict(known or {})
        """Where each partition of triggers ended when the recovery folder was made."""
        settled_at = time.monotonic() + (SETTLE_S if known else 0.0)
        self._tails = Tails(self._brokers, options, stop, settled_at, owns)
        self.outbox = Outbox(options, stop, tell, observe)
        streams = [stream for stream in counts if not stream.startswith(TRIGGERS)]
        slots = [f"{EXCHANGE}/{slot}" for slot in range(options.slots)]
        self._parts = sorted([*self._names, *streams, *slots])

    def list_parts(self) -> list[str]:
        """Return the parts (bytewax calls this)."""
        return self._parts

    def part_fn(self, item_key: str) -> int:
        """Return the index of the part `item_key` (bytewax calls this)."""
        return self._parts.index(item_key)

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 -- the engine's signature
        for_part: str,
        resume_state: int | None,
    ) -> TopicPart | TriggerPart:
        """Open a part when the first record for it is there (bytewax calls this)."""
        name = self._names.get(for_part)
        if for_part.startswith(f"{EXCHANGE}/"):
            return TopicPart(self.outbox, self._internal, split(for_part)[1])
        if name is None:
            return TopicPart(self.outbox, self._topics[for_part].name)
        floor = self.ends[name] if resume_state is None else resume_state
        return TriggerPart(self.outbox, name, *self._tails.read(name, floor))

    def _count(self, stream: str, count: int, known: Mapping[str, int], tell: Callable[[str], None]) -> int:
        """Return the number of partitions that were there when the recovery folder was made.

        What a dead run has published is looked for in one partition, so a profile must not change its own.
        """
        topic = self._topics[stream].name
        before = sum(split(name)[0] == topic for name in known) or count
        if before > count:
            raise KafkaFault(
                f"{topic} has {count} partitions, but had {before}; restore it, or start with a new folder"
            )
        if before < count:
            tell(f"{topic} has {count - before} new partitions; they are used from a new recovery folder on")
        return before


def floors_of(prefix: str, known: Mapping[str, int], parts: Mapping[str, int]) -> dict[str, int]:
    """Return the offset of each partition of triggers before which all are in a checkpoint.

    `known` is where they ended when its folder was made, `parts` what the parts' snapshots in it say.
    """
    topics = output_topics(prefix)
    floors = dict(known)
    for part, offset in parts.items():
        if part.startswith(TRIGGERS):
            stream, number = split(part)
            floors[f"{topics[stream].name}/{number}"] = offset
    return floors


class TopicPart(StatefulSinkPartition[list[Message], int]):
    """One stream's topic: each record at least once."""

    def __init__(self, outbox: Outbox, topic: str, partition: int = -1) -> None:
        """Publish to `topic`, to one partition of it, or to those that the producer chooses by key."""
        self._outbox, self._topic, self._partition = outbox, topic, partition

    def write_batch(self, items: list[list[Message]]) -> None:
        """Publish records (bytewax calls this)."""
        for messages in items:
            for message in messages:
                self._outbox.send(message, self._topic, self._partition, self._outbox.published)
        self._outbox.poll()

    def snapshot(self) -> int:
        """Wait until all is acknowledged (bytewax calls this at the end of an epoch); there is nothing to keep."""
        self._outbox.flush()
        return 0


class TriggerPart(StatefulSinkPartition[list[Message], int]):
    """One partition of triggers: each once."""

    def __init__(self, outbox: Outbox, name: str, tail: dict[str, int], next_offset: int) -> None:
        """Publish to the partition `name`, but not what is in its `tail`: offsets by trigger id."""
        self._outbox, (self._topic, self._partition) = outbox, split(name)
        self._tail, self._next = tail, next_offset
        self._read_at = time.monotonic()

    def write_batch(self, items: list[list[Message]]) -> None:
        """Publish triggers (bytewax calls this)."""
        for messages in items:
            for message in messages:
                if self._tail and self._tail.pop(message.id, None) is not None:
                    continue  # a dead run has published it already
                self._outbox.send(message, self._topic, self._partition, partial(self._delivered, message))
        self._outbox.poll()

    def snapshot(self) -> int:
        """Return the offset before which all is in the checkpoint, once it is acknowledged (bytewax calls this)."""
        self._outbox.flush()
        if self._tail and time.monotonic() - self._read_at > REPLAY_S_MAX:
            self._tail.clear()
        return min(self._tail.values(), default=self._next)

    def _delivered(self, message: Message, error: KafkaError | None, sent: KafkaMessage) -> None:
        self._outbox.triggered(message, error, sent)
        offset = sent.offset()
        if error is None and offset is not None:
            self._next = max(self._next, offset + 1)


class Tails:
    """Reads what lies at the end of a partition of triggers: the epoch that a crash has lost."""

    def __init__(
        self,
        brokers: Brokers,
        options: SinkOptions,
        stop: Stop,
        settled_at: float,
        owns: Callable[[bytes, bytes], bool],
    ) -> None:
        """Read from `settled_at` (monotonic) on; `stop` ends waiting for a broker that is away."""
        self._brokers, self._options, self._stop, self._settled_at = brokers, options, stop, settled_at
        self._owns = owns
        self._reader: Consumer | None = None

    def read(self, name: str, floor: int) -> tuple[dict[str, int], int]:
        """Return the offsets by id of the triggers from `floor` on, and the offset after them.

        Raises:
            KafkaFault: the partition ends before `floor`, or cannot be read.
        """
        time.sleep(max(0.0, self._settled_at - time.monotonic()))
        end = self._brokers.ends([name], wait_s=math.inf)[name]
        if end < floor:
            raise KafkaFault(
                f"{name}: {floor} triggers were published to it, but it has {end}; restore the topic, or start with a"
                " new recovery folder"
            )
        low = self._brokers.firsts([name], wait_s=math.inf)[name]
        if end <= max(low, floor):
            return {}, end
        return self._ids(name, max(low, floor), end), end

    def _ids(self, name: str, start: int, end: int) -> dict[str, int]:
        reader = self._reader = self._reader or made(Consumer, self._settings())
        reader.assign([assigned(name, start)])
        found: dict[str, int] = {}
        next_offset = start
        waiting = Waiting(self._stop)
        while next_offset < end:
            if waiting.is_over:
                raise KafkaFault(f"{name}: stopped while no broker answered; the next run goes on from the checkpoint")
            for message in reader.consume(10_000, PAUSE_S):
                error, offset = message.error(), message.offset()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 -- as in kafka_client
                    raise KafkaFault(f"{name}: {error.str()}; mend that and start again")
                assert offset is not None, "a message has an offset"
                next_offset = max(next_offset, offset if error else offset + 1)
                id_ = b"" if error else header(message, "ce_id")
                if id_ and self._owns(header(message, GROUP_HEADER), message.key() or b""):
                    found[id_.decode(errors="surrogatepass")] = offset
        reader.unassign()
        return found

    def _settings(self) -> dict[str, Any]:
        ours = {"group.id": "nextmove-tail", "fetch.wait.max.ms": 20}
        exact = {
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_uncommitted",
        }
        return settings(self._options.servers, self._options.client, lambda _: None, **ours) | exact


def header(message: KafkaMessage, name: str) -> bytes:
    """Return the header `name` of a message, empty where it has none."""
    told: Any = message.headers() or []  # typed as a mapping too, which it never is when read
    return next((bytes(value) for key, value in told if key == name and value is not None), b"")
