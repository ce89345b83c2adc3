"""A part of a Kafka source, which reads: one consumer for all partitions of this process.

Theory of operation
-------------------
The engine sees one part, or one a member of a cluster; its snapshot is the next offset of every partition, and that
is the truth: on resume each partition is read from there, and an offset that the broker no longer has stops the run
(`auto.offset.reset=error`), for what lay in between would be lost without a word. The offsets of the checkpoint
before are also committed to the consumer group, for tools that show lag; nothing is read from there.

Each batch of messages is cut into runs of one partition with consecutive offsets.

**Time** goes on without a partition that is silent, if it has been read to its end; one that lags holds time
back: a backlog never makes a cart look abandoned whose order is still in it. Where a partition ends is asked of the
broker, over and over (`Ends`); an answer holds for the instant of its question. No answer, no time.

**An outage** of the brokers is one of the producers too: what happened meanwhile is still to come. So time stands
still while nobody answers, and as long as the allowed lateness after that; also in a process that goes on after one
that died meanwhile.

Transient errors are librdkafka's business: it reconnects by itself. That the brokers are away is told, once, and so
is their return. Patterns (`^shop-.*`) and partitions that are added are looked for now and then; a partition
that is gone is told and no longer waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from bytewax.inputs import StatefulSourcePartition
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from connectors.batches import MARKER_INTERVAL_S, RawBatch, Stop
from connectors.journal import Journal
from connectors.kafka_client import (
    ANSWER_S_MAX,
    START_S_MAX,
    Brokers,
    KafkaFault,
    assigned,
    is_hopeless,
    made,
    settings,
    split,
)
from connectors.kafka_ends import Ends
from connectors.kafka_options import KafkaOptions
from connectors.kafka_replay import Replay
from connectors.kafka_topics import partitions_of
from operators.event import FOREVER

Place = tuple[int, int]
"""The next offset of a partition, and when (ms) the broker or producer says that the record before came; -1: none."""

Places = dict[str, Place]
"""Places by the names of partitions: `topic/3`."""

MEMORY: Final = ""
"""What a snapshot has the brokers' answers by, among the places: no partition has an empty name."""
TAKEN: Final = "#"
"""What it has by the number of batches that were handed on: nor such a one."""

# How soon to look again when there is nothing: short beside the 20 ms that a trigger may take.
POLL: Final = timedelta(milliseconds=5)
# How far librdkafka reads ahead. What other shards send queues up behind it, and holds time back meanwhile: with the
# library's own 64 MiB, and a second between looks, every shard of a backlog is more than a second behind the others.
READ_AHEAD: Final = {
    "fetch.wait.max.ms": 20,
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 16_384,
    "fetch.queue.backoff.ms": 10,
}
# From then on waiting for what is to be read again is worth a line.
LONG_S: Final = 10.0
# How long the brokers may take to hear that we leave.
LEAVE_S_MAX: Final = 2.0


class KafkaPart(StatefulSourcePartition[RawBatch, Places]):
    """All partitions that this process reads."""

    def __init__(
        self,
        options: KafkaOptions,
        brokers: Brokers,
        partitions: Sequence[str],
        stop: Stop,
        tell: Callable[[str], None],
        resume: Places,
    ) -> None:
        """Assign the partitions; `resume` says where to begin with each.

        Raises:
            KafkaFault: the checkpoint names an offset that the broker does not have (any more).
        """
        self._options, self._brokers, self._stop, self._tell = options, brokers, stop, tell
        self._failure: KafkaError | None = None
        self.errors = 0
        """Errors that librdkafka has told of, transient ones included."""
        self.beat: Callable[[KafkaPart], None] = lambda _part: None
        self._ends = Ends(brokers, options.lateness_ms / 1000, tell)
        self._consumer = made(Consumer, _settings(options, self._on_error))
        self._places: Places = {}
        self._first: dict[str, int] = {}
        self._saved: Places = {}
        self._gone: list[str] = []
        self._missing: set[str] = set()
        self._heard_at: dict[str, float] = {}
        self._marked_at = 0.0
        self._discovered_at = time.monotonic()
        self._names: dict[tuple[str | None, int | None], str] = {}
        resume = dict(resume)
        memory = resume.pop(MEMORY, None)
        self._taken = resume.pop(TAKEN, (0, -1))[0]
        self._has_begun = self._is_waiting = False
        self._replay: Replay | None = None
        gone = sorted(resume.keys() - set(partitions))
        if gone:
            tell(f"{', '.join(gone)}: gone since the checkpoint; no longer waited for")
        self._add(partitions, resume, is_start=True)
        if memory is not None:
            self._ends.go_on(memory)

    def read_first(self, ends: Mapping[str, int]) -> None:
        """Read partitions up to there before all others."""
        self._first = {name: end for name, end in ends.items() if self._places[name][0] < end}
        self._assign()

    def take_again(self, journal: Journal) -> None:
        """Hand on first what a former life had taken in after the checkpoint."""
        taken = journal.resume(self._taken)
        # What a partition held that is gone cannot be had again.
        taken = [one if one.partition in self._places else msgspec.structs.replace(one, count=0) for one in taken]
        if taken:
            self._replay = Replay(taken, self._options.is_sent)
            self._assign()

    @property
    def is_away(self) -> bool:
        """Whether no broker answers."""
        return self._ends.is_away

    def lags(self) -> dict[str, int]:
        """Return how many records of each partition are still to be read, as far as known."""
        return {name: self._ends.lag(name, place[0]) for name, place in list(self._places.items())}

    def lag_seconds(self) -> dict[str, float]:
        """Return for each topic for how long the oldest record has waited at most; 0 where nothing is left to read.

        Of the next record only the one before is known, which came no later.
        """
        now_ms = _now_ms()
        ages: dict[str, float] = {}
        for name, (offset, came_at) in list(self._places.items()):
            age_ms = max(0, now_ms - came_at) if self._ends.lag(name, offset) and came_at >= 0 else 0
            topic = split(name)[0]
            ages[topic] = max(ages.get(topic, 0.0), age_ms / 1000)
        return ages

    def next_batch(self) -> list[RawBatch]:
        """Return what has come, and now and then a word on the time of what is silent (bytewax calls this)."""
        if self._stop.is_set():
            raise StopIteration
        self.beat(self)
        if self._failure is not None:
            raise self._brokers.fault(self._failure)
        now = time.monotonic()
        messages = self._consumer.consume(self._options.batch_records, 0)
        self._ends.look(self._places, now)
        if self._replay is not None:
            return self._again(self._replay, messages)
        if now - self._discovered_at > self._options.discover_s and not self.is_away:
            self._discover(now)
        is_marked = now - self._marked_at >= MARKER_INTERVAL_S
        batches = self._batches(messages, now) if messages else []
        if self._first and all(self._places[name][0] >= end for name, end in self._first.items()):
            self.read_first({})
        gone, self._gone = self._gone, []
        batches += [RawBatch(name, [], 0, complete=FOREVER) for name in gone]
        if is_marked:
            batches += self._silent(now)
        if batches and (is_marked or gone):
            batches[-1].is_marked = True
            self._marked_at = now
        if not self._has_begun and batches:
            batches[0].is_first = self._has_begun = True
        self._taken += len(batches)
        return batches

    def next_awake(self) -> datetime | None:
        """Return when to look again (bytewax calls this)."""
        return datetime.now(UTC) + POLL

    def snapshot(self) -> Places:
        """Return the next offsets; those of the last time are in a checkpoint by now, and committed for lag tools."""
        if self._saved and not self.is_away:
            self._commit(is_awaited=False)
        self._saved = dict(self._places)
        return self._places | {MEMORY: self._ends.memory(), TAKEN: (self._taken, -1)}

    def close(self) -> None:
        """Leave the brokers (bytewax calls this); a broker that hangs is not waited for."""
        leaving = threading.Thread(target=self._leave, name="leaving Kafka", daemon=True)
        leaving.start()
        leaving.join(LEAVE_S_MAX)

    def _leave(self) -> None:
        if self._saved and not self.is_away and self._stop.is_set():  # else the last checkpoint did not come about
            self._commit(is_awaited=True)
        self._consumer.close()

    def _commit(self, *, is_awaited: bool) -> None:
        offsets = [assigned(name, offset) for name, (offset, _) in self._saved.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=not is_awaited)  # type: ignore[call-overload]  # its overloads want a literal
        except KafkaException:
            self.errors += 1  # it is for show: the truth is in the checkpoint

    def _again(self, replay: Replay, messages: Sequence[Message]) -> list[RawBatch]:
        """Return what a former life had taken in once all of it has been read, and go on from there."""
        for message in messages:
            name = f"{message.topic()}/{message.partition()}"
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- as in kafka_client
                replay.reached(name, message.offset() or 0)
            elif error is not None:
                self._on_message_error(message)
            elif name in replay.ends:
                replay.add(name, message)
                replay.reached(name, (message.offset() or 0) + 1)
        if not replay.is_whole:
            if not self._is_waiting and time.monotonic() - self._discovered_at > LONG_S:
                self._is_waiting = True
                self._tell(f"{replay.missing}: waiting for it, to take it in again as before")
            return []
        self._replay = None
        for name, end in replay.ends.items():
            self._places[name] = end, replay.came_at[name]
        batches = replay.batches()
        self._taken += len(batches)
        self._assign()
        return batches

    def _batches(self, messages: Sequence[Message], now: float) -> list[RawBatch]:
        """Cut messages into runs of one partition with consecutive offsets."""
        batches: list[RawBatch] = []
        last: dict[str, RawBatch] = {}
        names, read_at = self._names, _now_ms()
        for message in messages:
            if message.error() is not None:
                self._on_message_error(message)
                continue
            at = message.topic(), message.partition()
            name = names.get(at)
            if name is None:
                name = names[at] = f"{at[0]}/{at[1]}"
            offset, value = message.offset(), message.value()
            assert offset is not None, "a message has an offset"
            came_at = message.timestamp()[1]
            self._places[name] = offset + 1, came_at
            if value is None:
                continue  # a tombstone of a compacted topic says nothing of what happened
            batch = last.get(name)
            if batch is None or batch.first_position + len(batch.raws) != offset:
                is_sent = self._options.is_sent(name)
                batch = last[name] = RawBatch(
                    name, [], offset, read_at=read_at, came_at=[], is_sent=is_sent, origins=[]
                )
                batches.append(batch)
                self._heard_at[name] = now
            batch.raws.append(value)
            batch.origins.append(message)
            batch.came_at.append(came_at if came_at >= 0 else read_at)
        if self._ends.is_time_held(now):
            for batch in batches:
                batch.complete_before = batch.complete = -1
        return batches

    def _silent(self, now: float) -> list[RawBatch]:
        """Let time go on for partitions that had been read to their end when the brokers were asked."""
        asked_at_ms, asked_at = self._ends.asked_at
        if self._ends.is_time_held(now) or self._first:
            return []
        batches = []
        for name, (offset, came_at) in self._places.items():
            if self._options.is_sent(name):
                continue
            quiet_ms = int((asked_at - self._heard_at[name]) * 1000)
            if quiet_ms < self._options.idle_after_ms or not self._ends.is_at_end(name, offset):
                continue
            idle_ms = max(quiet_ms, asked_at_ms - came_at if came_at >= 0 else 0)
            batches.append(RawBatch(name, [], offset, read_at=asked_at_ms, idle_ms=idle_ms))
        return batches

    def _discover(self, now: float) -> None:
        """Take up partitions that were added, and let go of what is gone."""
        self._discovered_at = now
        try:
            topics = self._brokers.topics(ANSWER_S_MAX)
            there = set(filter(self._options.owns, partitions_of(topics, self._options.wanted)))
            new = sorted(there - self._places.keys())
            if new:
                self._add(new, {}, is_start=False)
                self._tell(f"new partitions: {', '.join(new)}")
        except KafkaFault:
            return  # `Ends` tells when they are away; they are asked again
        missing = self._places.keys() - there
        for name in sorted(missing & self._missing):  # twice: a broker that has just started may not know all yet
            del self._places[name]
            self._gone.append(name)
            self._tell(f"{name} is gone; it is no longer waited for")
        self._missing = missing - set(self._gone)
        if self._gone:
            self._assign()

    def _add(self, partitions: Sequence[str], resume: Mapping[str, Place], *, is_start: bool) -> None:
        """Read `partitions` too, from where they are to be resumed, else from their first records."""
        now = time.monotonic()
        wait_s = START_S_MAX if is_start else ANSWER_S_MAX
        lows, highs = self._brokers.firsts(partitions, wait_s), self._brokers.ends(partitions, wait_s)
        for name in partitions:
            offset, came_at = resume.get(name, (lows[name], -1))
            if not lows[name] <= offset <= highs[name]:
                raise KafkaFault(
                    f"{name}: the checkpoint goes on at offset {offset}, but the broker has {lows[name]} to"
                    f" {highs[name]}; what lies between is lost: restore the topic, or start with a new recovery folder"
                )
            self._places[name] = offset, came_at
            self._heard_at[name] = now
        self._assign()

    def _assign(self) -> None:
        names = self._first or self._places if self._replay is None else self._replay.ends
        self._consumer.assign([assigned(name, self._places[name][0]) for name in names])

    def _on_error(self, error: KafkaError) -> None:
        """Hear what librdkafka has to tell; it mends by itself what can be mended."""
        self.errors += 1
        if is_hopeless(error):
            self._failure = error

    def _on_message_error(self, message: Message) -> None:
        error = message.error()
        assert error is not None, "it has been asked before"
        name = f"{message.topic()}/{message.partition()}"
        before, came_at = self._places.get(name, (-1, -1))
        if before < 0:
            return  # a last word on what is gone
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- as in kafka_client
            offset = message.offset()
            if offset is not None and offset > before:  # what lies between were marks of transactions
                self._places[name] = offset, came_at
            return
        self.errors += 1
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 -- as in kafka_client
            raise KafkaFault(
                f"{name}: the broker no longer has offset {before}; what lies between is lost:"
                " restore the topic, or start with a new recovery folder"
            )
        if is_hopeless(error):
            self._failure = error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _settings(options: KafkaOptions, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    exact = {
        "group.id": options.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
    }
    return settings(options.servers, options.client, on_error, **READ_AHEAD) | exact
