"""Kafka topics as a source: one consumer for all partitions that this process reads.

Theory of operation
-------------------
The engine sees one part; its snapshot is the next offset of every partition, and that is the truth: on
resume each partition is read from there, and an offset that the broker no longer has stops the run
(`auto.offset.reset=error`), for what lay in between would be lost without a word. The offsets of the checkpoint
before are also committed to the consumer group, for tools that show lag; nothing is read from there.

Each batch of messages is cut into runs of one partition with consecutive offsets. A partition that has been read to
its end and is silent says so now and then, so that time goes on without it; one that lags says nothing, and so
holds time back: a backlog never makes a cart look abandoned whose order is still in it.

Transient errors are librdkafka's business: it reconnects by itself. That the brokers are away is told, once, and so
is their return. Patterns (`^shop-.*`) and partitions that are added are looked for now and then; a partition
that is gone is told and no longer waited for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.batches import MARKER_INTERVAL_S, RawBatch, Stop
from operators.event import FOREVER

Offsets = dict[str, int]
"""The next offset of each partition, by its name: `topic/3`."""

PART: Final = "kafka"
# How soon to look again when there is nothing: short beside the 20 ms that a trigger may take.
POLL: Final = timedelta(milliseconds=5)
# For an answer at the start, and for metadata later: a broker that is restarting takes some seconds.
START_S_MAX: Final = 30.0
ANSWER_S_MAX: Final = 1.0
RETRY_S: Final = 3.0

FATAL: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 -- how confluent-kafka names what librdkafka itself says
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


class KafkaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is read and how.

    `start` is for partitions without a checkpoint: their first record, what comes after the start of this run, or an
    instant in ms. `client` are librdkafka's own settings; they outrank what is set here, save what
    exactness depends on.
    """

    servers: str
    topics: tuple[str, ...]
    group: str
    start: Literal["earliest", "latest"] | int
    batch_records: int
    idle_after_ms: int
    discover_s: float
    client: dict[str, str]


class KafkaSourceError(Exception):
    """An input that cannot be read: one line with cause and cure."""


class KafkaSource(FixedPartitionedSource[RawBatch, Offsets]):
    """Reads topics, all partitions of them by one consumer."""

    def __init__(self, options: KafkaOptions, stop: Stop, tell: Callable[[str], None]) -> None:
        """Find the partitions; `tell` hears in a line when the brokers are away and when they are back.

        Raises:
            KafkaSourceError: no broker answers, or a topic is not there.
        """
        self._options, self._stop, self._tell = options, stop, tell
        client = Consumer(_settings(options, lambda _: None))
        try:
            self.partitions = sorted(_found(client, options.topics, START_S_MAX))
        except KafkaException as error:
            raise KafkaSourceError(
                f"{options.servers}: {error.args[0].str()}; check the address, and that the broker is up"
            ) from None
        finally:
            client.close()
        for topic in options.topics:
            if not topic.startswith("^") and not any(name.rpartition("/")[0] == topic for name in self.partitions):
                raise KafkaSourceError(f"{options.servers}: there is no topic {topic}; create it, or mend its name")

    def list_parts(self) -> list[str]:
        """Return the one part (bytewax calls this)."""
        return [PART]

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 -- the engine's signature
        for_part: str,  # noqa: ARG002 -- there is but one
        resume_state: Offsets | None,
    ) -> KafkaPart:
        """Start where the checkpoint left it (bytewax calls this)."""
        return KafkaPart(self._options, self.partitions, self._stop, self._tell, resume_state)


class KafkaPart(StatefulSourcePartition[RawBatch, Offsets]):
    """All partitions that this process reads."""

    def __init__(
        self,
        options: KafkaOptions,
        partitions: Sequence[str],
        stop: Stop,
        tell: Callable[[str], None],
        resume: Offsets | None,
    ) -> None:
        """Assign the partitions.

        Raises:
            KafkaSourceError: the checkpoint names an offset that the broker does not have (any more).
        """
        self._options, self._stop, self._tell = options, stop, tell
        self._failure: KafkaError | None = None
        self._is_away = False
        self.errors = 0
        """Errors that librdkafka has told of, transient ones included."""
        self._consumer = Consumer(_settings(options, self._on_error))
        self._offsets: Offsets = {}
        self._saved: Offsets = {}
        self._gone: list[str] = []
        self._heard_at: dict[str, float] = {}
        self._marked_at: dict[str, float] = {}
        self._discovered_at = time.monotonic()
        self._add(partitions, resume or {}, is_start=True)

    def next_batch(self) -> list[RawBatch]:
        """Return what has come, and now and then a word on the time of what is silent (bytewax calls this)."""
        if self._stop.is_set():
            raise StopIteration
        if self._failure is not None:
            raise KafkaSourceError(f"{self._options.servers}: {self._failure.str()}; mend that and start again")
        now = time.monotonic()
        if now - self._discovered_at > (RETRY_S if self._is_away else self._options.discover_s):
            self._discover(now)
        messages = self._consumer.consume(self._options.batch_records, 0)
        read_at = time.time_ns() // 1_000_000
        batches = self._batches(messages, read_at, now) if messages else []
        gone, self._gone = self._gone, []
        batches += [RawBatch(name, [], 0, complete=FOREVER, is_marked=True) for name in gone]
        return batches + self._silent(now, read_at)

    def next_awake(self) -> datetime | None:
        """Return when to look again (bytewax calls this)."""
        return datetime.now(UTC) + POLL

    def snapshot(self) -> Offsets:
        """Return the next offsets; those of the last time are in a checkpoint by now, and committed for lag tools."""
        if self._saved and not self._is_away:
            self._consumer.commit(
                offsets=[_assigned(name, self._saved[name]) for name in self._saved], asynchronous=True
            )
        self._saved = dict(self._offsets)
        return dict(self._offsets)

    def close(self) -> None:
        """Leave the brokers (bytewax calls this)."""
        self._consumer.close()

    def _batches(self, messages: Sequence[Message], read_at: int, now: float) -> list[RawBatch]:
        """Cut messages into runs of one partition with consecutive offsets."""
        batches: list[RawBatch] = []
        last: dict[str, RawBatch] = {}
        for message in messages:
            error = message.error()
            if error is not None:
                self._on_message_error(message, error)
                continue
            name = f"{message.topic()}/{message.partition()}"
            offset, value = message.offset(), message.value()
            assert offset is not None, "a message has an offset"
            self._offsets[name] = offset + 1
            if value is None:
                continue  # a tombstone of a compacted topic says nothing of what happened
            batch = last.get(name)
            if batch is None or batch.first_position + len(batch.raws) != offset:
                batch = last[name] = RawBatch(name, [], offset, read_at=read_at)
                batches.append(batch)
            batch.raws.append(value)
        for name, batch in last.items():
            self._heard_at[name] = now
            if now - self._marked_at[name] >= MARKER_INTERVAL_S:
                batch.is_marked = True
                self._marked_at[name] = now
        return batches

    def _silent(self, now: float, read_at: int) -> list[RawBatch]:
        """Let time go on for partitions that have been read to their end."""
        batches = []
        for name, offset in self._offsets.items():
            idle_ms = int((now - self._heard_at[name]) * 1000)
            if idle_ms < self._options.idle_after_ms or now - self._marked_at[name] < MARKER_INTERVAL_S:
                continue
            _, high = self._consumer.get_watermark_offsets(_assigned(name, offset), cached=True)
            if self._is_away or high < 0 or offset < high:
                continue  # it lags, or nobody knows
            self._marked_at[name] = now
            batches.append(RawBatch(name, [], offset, read_at=read_at, idle_ms=idle_ms, is_marked=True))
        return batches

    def _discover(self, now: float) -> None:
        """Take up partitions that were added."""
        self._discovered_at = now
        try:
            found = _found(self._consumer, self._options.topics, ANSWER_S_MAX)
        except KafkaException:
            return  # the brokers are away: `_on_error` has told
        if self._is_away:
            self._is_away = False
            self._tell(f"{self._options.servers}: Kafka is back")
        new = sorted(set(found) - self._offsets.keys())
        if new:
            self._tell(f"new partitions: {', '.join(new)}")
            self._add(new, {}, is_start=False)

    def _add(self, partitions: Sequence[str], resume: Mapping[str, int], *, is_start: bool) -> None:
        """Read `partitions` too, from the checkpoint, else from where new ones begin."""
        now = time.monotonic()
        starts = self._starts([name for name in partitions if name not in resume], is_start=is_start)
        for name in partitions:
            low, high = self._bounds(name)
            offset = resume.get(name, starts.get(name, low))
            if not low <= offset <= high:
                raise KafkaSourceError(
                    f"{name}: the checkpoint goes on at offset {offset}, but the broker has {low} to {high};"
                    " what lies between is lost: restore the topic, or start with a new recovery folder"
                )
            self._offsets[name] = offset
            self._heard_at[name] = now
            self._marked_at[name] = 0.0
        self._consumer.assign([_assigned(name, offset) for name, offset in self._offsets.items()])

    def _starts(self, partitions: Sequence[str], *, is_start: bool) -> Offsets:
        """Return where partitions without a checkpoint begin; one added later always at its first record."""
        start = self._options.start
        if not is_start or start == "earliest" or not partitions:
            return {}
        if start == "latest":
            return {name: self._bounds(name)[1] for name in partitions}
        asked = [_assigned(name, int(start)) for name in partitions]
        found = self._consumer.offsets_for_times(asked, timeout=START_S_MAX)
        return {
            f"{one.topic}/{one.partition}": one.offset
            if one.offset >= 0
            else self._bounds(f"{one.topic}/{one.partition}")[1]
            for one in found
        }

    def _bounds(self, name: str) -> tuple[int, int]:
        """Return the first offset that the broker has of a partition, and the one that it will give next."""
        try:
            return self._consumer.get_watermark_offsets(_assigned(name, OFFSET_BEGINNING), timeout=START_S_MAX)
        except KafkaException as error:
            raise KafkaSourceError(f"{name}: {error.args[0].str()}; check that the broker is up") from None

    def _on_error(self, error: KafkaError) -> None:
        """Hear what librdkafka has to tell; it mends by itself what can be mended."""
        self.errors += 1
        if error.fatal() or error.code() in FATAL:
            self._failure = error
        elif error.code() == KafkaError._ALL_BROKERS_DOWN and not self._is_away:  # noqa: SLF001 -- see FATAL
            self._is_away = True
            self._tell(f"{self._options.servers}: no broker answers; waiting for Kafka")

    def _on_message_error(self, message: Message, error: KafkaError) -> None:
        self.errors += 1
        name = f"{message.topic()}/{message.partition()}"
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 -- see FATAL
            raise KafkaSourceError(
                f"{name}: the broker no longer has offset {self._offsets.get(name)}; what lies between is lost:"
                " restore the topic, or start with a new recovery folder"
            )
        if error.code() in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION}:  # noqa: SLF001
            if self._offsets.pop(name, None) is not None:
                self._tell(f"{name} is gone; it is no longer waited for")
                self._gone.append(name)
        elif error.fatal() or error.code() in FATAL:
            self._failure = error


def _settings(options: KafkaOptions, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    exact = {
        "bootstrap.servers": options.servers,
        "group.id": options.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "error_cb": on_error,
    }
    ours = {"fetch.wait.max.ms": 20, "client.id": "nextmove", "log_level": 2}
    return ours | options.client | exact


def _found(client: Consumer, topics: Sequence[str], timeout_s: float) -> list[str]:
    """Return the names of the partitions of `topics`; one that begins with ^ is a pattern, as in librdkafka."""
    patterns = [re.compile(topic) for topic in topics if topic.startswith("^")]
    metadata = client.list_topics(timeout=timeout_s)
    return [
        f"{name}/{partition}"
        for name, told in metadata.topics.items()
        if told.error is None and (name in topics or any(pattern.search(name) for pattern in patterns))
        for partition in told.partitions
    ]


def _assigned(name: str, offset: int) -> TopicPartition:
    topic, _, partition = name.rpartition("/")
    return TopicPartition(topic, int(partition), offset)
