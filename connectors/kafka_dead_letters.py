"""Dead letters in their topic, and feeding them back to where they came from.

Theory of operation
-------------------
What was fed back is noted in the topic of the letters itself, by a record beside each: so the notes live as long as
the letters do, and need no place of their own. Records and notes go out in one **transaction**: either both are there
for a consumer of committed records, as nextmove is one, or neither. The transaction's id is that of the deployment: a
replay that begins ends another one that is still at it, with what that has not committed, before it looks at the
notes. So a letter is fed back once, whoever tries how often, and wherever it breaks off.

Readers of the topics wait for a transaction that is open, and for one that was left open by a process that was killed
until the brokers give it up. So each is small, and may last for `OPEN_MS_MAX`.

Letters that come while a replay goes on are not part of it: a record that is rejected again would be fed back for ever.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from connectors.cloudevents import MessageEncoder
from connectors.dead_letter import DeadLetter, Letter, Original, ReplayedLetter, understood
from connectors.kafka_client import START_S_MAX, Brokers, KafkaFault, assigned, made, settings
from connectors.kafka_range import POLL_S, between, consumer
from connectors.kafka_sink import header
from connectors.kafka_topics import output_topics

STREAM: Final = DeadLetter.stream

OPEN_MS_MAX: Final = 15_000
# What a client may have sent that has larger limits than ours; the brokers have the last word.
MESSAGE_BYTES_MAX: Final = 16 << 20
# A letter may bear the time of a clock that goes before or after the brokers'.
CLOCKS_MS: Final = 3_600_000
# For one record whose place is known.
RECORD_S_MAX: Final = 10.0
GROUP: Final = "nextmove-deadletters"


class LetterTopic:
    """The letters of a deployment's topic."""

    def __init__(self, brokers: Brokers, client: Mapping[str, str], prefix: str, since: int | None) -> None:
        """Look where the topic ends now: what comes later is not read, nor what came long before `since` (ms).

        Raises:
            KafkaFault: no broker answers, or there is no such topic.
        """
        self._brokers, self._client = brokers, client
        self.name = output_topics(prefix)[STREAM].name
        count = brokers.topics().get(self.name)
        if count is None:
            raise KafkaFault(f"{brokers.servers}: there is no topic {self.name}; check kafka.prefix")
        names = [f"{self.name}/{number}" for number in range(count)]
        self._starts, self._ends = brokers.firsts(names), brokers.ends(names)
        if since is not None:
            found = brokers.since(names, max(0, since - CLOCKS_MS))
            self._starts = {name: self._ends[name] if at < 0 else at for name, at in found.items()}
        self.unreadable = 0
        """Records that are neither a letter nor a note, of the last time that they were read."""

    def told(self) -> Iterator[Letter | ReplayedLetter]:
        """Return letters, and notes of those that were fed back; a note comes after its letter.

        Raises:
            KafkaFault: the brokers do not answer, or not with this.
        """
        self.unreadable = 0
        for message in between(self._starts, self._ends, self._brokers, self._client, GROUP):
            yield from self._understood(message)

    def _understood(self, message: KafkaMessage) -> Iterator[Letter | ReplayedLetter]:
        id_, type_ = (
            header(message, "ce_id").decode(errors="replace"),
            header(message, "ce_type").decode(errors="replace"),
        )
        found = understood(id_, type_, message.value() or b"")
        if found is None:
            self.unreadable += 1
        else:
            yield found


class Outgoing(NamedTuple):
    """A record on its way back; `partition` is -1 where its key says which."""

    record: Original
    topic: str
    partition: int
    note: ReplayedLetter


class RefusedError(Exception):
    """The brokers do not take a record, and so none of its transaction: one line."""


class Feed:
    """The producer by which letters are fed back."""

    def __init__(self, brokers: Brokers, client: Mapping[str, str], prefix: str, encoder: MessageEncoder) -> None:
        """End whoever else is at it.

        Raises:
            KafkaFault: the brokers do not answer, or do not let us.
        """
        self._brokers, self._encoder, self._notes = brokers, encoder, output_topics(prefix)[STREAM].name
        self.partitions = brokers.topics()
        """How many partitions each topic has."""
        ours = {"partitioner": "murmur2_random", "message.max.bytes": MESSAGE_BYTES_MAX}
        exact = {"transactional.id": f"{prefix}deadletters", "transaction.timeout.ms": OPEN_MS_MAX}
        options = settings(brokers.servers, client, brokers.on_error, **ours) | exact
        options.pop("message.timeout.ms", None)  # a transaction's end is that of its records
        self._producer: Producer = made(Producer, options)
        try:
            self._producer.init_transactions(START_S_MAX)
        except KafkaException as error:
            raise self._fault(error.args[0]) from None

    def send(self, records: Sequence[Outgoing], noted: Sequence[ReplayedLetter]) -> None:
        """Send records, and the notes that letters were fed back: all of it, or nothing.

        Raises:
            RefusedError: one is refused. What is told may be sent again without it.
            KafkaFault: nothing can be sent any more.
        """
        notes = self._encoder.encode([(-1, noted)])[STREAM] if noted else []
        try:
            self._producer.begin_transaction()
            for one in records:
                record = one.record
                self._produce(one.topic, record.value, record.key, one.partition, [*record.headers])
            for note in notes:
                self._produce(self._notes, note.value, note.key, -1, note.headers)
            self._commit()
        except KafkaException as error:
            self._abort(error.args[0])

    def _produce(self, topic: str, value: bytes, key: bytes | None, partition: int, headers: Any) -> None:  # noqa: ANN401 -- its types know no null values
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=headers)
            except BufferError:
                self._producer.poll(POLL_S)
            else:
                return

    def _commit(self) -> None:
        end_at = time.monotonic() + OPEN_MS_MAX / 1000
        while True:
            try:
                self._producer.commit_transaction(START_S_MAX)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > end_at:
                    raise
            else:
                return

    def _abort(self, reason: KafkaError) -> None:
        if reason.fatal() or reason.code() in GONE:
            raise self._fault(reason)
        try:
            self._producer.abort_transaction(START_S_MAX)
        except KafkaException as error:
            raise self._fault(error.args[0]) from None
        raise RefusedError(
            KafkaError(reason.code()).str()
        )  # ours is that of the whole transaction, with its inner names

    def _fault(self, error: KafkaError) -> KafkaFault:
        if error.code() in FENCED:
            return KafkaFault("another replay has begun since, and goes on in place of this one")
        return self._brokers.fault(error)


FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}  # noqa: SLF001 -- as in kafka_client
)
GONE: Final = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001 -- as above


class Originals:
    """Records where they were read."""

    def __init__(self, brokers: Brokers, client: Mapping[str, str]) -> None:
        """Connect with the first question."""
        self._brokers, self._client = brokers, client
        self._consumer: Consumer | None = None

    def record_of(self, name: str, offset: int, head: bytes) -> Original | None:
        """Return a record of the partition `name`; None where it is not there, or no longer begins with `head`."""
        reader = self._consumer = self._consumer or consumer(self._brokers, self._client, GROUP)
        reader.assign([assigned(name, offset)])
        end_at = time.monotonic() + RECORD_S_MAX
        while time.monotonic() < end_at:
            message = reader.poll(POLL_S)
            if message is None:
                continue
            if message.error() is not None or message.offset() != offset:
                return None
            key: Any = message.key()
            value: Any = message.value()
            told: Any = message.headers() or []  # typed as a mapping too, which it never is when read
            if value is None or not value.startswith(head):
                return None
            return Original(key, value, told)
        return None

    def close(self) -> None:
        """Leave the brokers."""
        if self._consumer is not None:
            self._consumer.close()
