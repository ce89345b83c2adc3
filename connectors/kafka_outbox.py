"""The producer behind a `KafkaSink`: what waits for an acknowledgement, and what happens where none comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from connectors.batches import Stop
from connectors.cloudevents import Message
from connectors.kafka_client import KafkaFault, is_hopeless, made, settings

# How long to wait for the brokers once the run is told to stop: it must end within ten seconds.
STOP_S_MAX: Final = 6.0
# From then on waiting is worth a line.
LONG_S: Final = 5.0
PAUSE_S: Final = 0.1


class SinkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where records go and how.

    `client` are librdkafka's own settings; they outrank these, save what exactness depends on. `slots` is how many
    partitions the internal topic has, 0 where a process has no other to send anything to.
    """

    servers: str
    prefix: str
    compression: str
    linger_ms: int
    queue_max: int
    client: dict[str, str]
    slots: int = 0


class Outbox:
    """The producer, with what is waiting for an acknowledgement."""

    def __init__(
        self,
        options: SinkOptions,
        stop: Stop,
        tell: Callable[[str], None],
        observe: Callable[[str, float], None],
    ) -> None:
        """Begin to connect."""
        self._servers, self._stop, self._tell, self._observe = options.servers, stop, tell, observe
        self._failure: KafkaError | None = None
        self._heard_at = 0.0
        self.errors = 0
        """Errors that librdkafka has told of, transient ones included."""
        self.is_away = False
        """Whether no broker takes records."""
        ours = {
            "compression.type": options.compression,
            "linger.ms": options.linger_ms,
            "queue.buffering.max.messages": options.queue_max,
            "partitioner": "murmur2_random",  # Kafka's own, where librdkafka's default is another
            "message.timeout.ms": 0,  # for as long as it takes
        }
        exact = {"enable.idempotence": True}
        self._producer = made(Producer, settings(options.servers, options.client, self._on_error, **ours) | exact)

    @property
    def queued(self) -> int:
        """Records that are not yet acknowledged."""
        return len(self._producer)

    def send(
        self, message: Message, topic: str, partition: int, delivered: Callable[[KafkaError | None, Any], None]
    ) -> None:
        """Hand a record to the producer; wait where its queue is full.

        Raises:
            KafkaFault: a record was refused, or the run is to stop while no broker takes any.
        """
        waiting = None
        while True:
            try:
                self._producer.produce(
                    topic, message.value or None, message.key, partition, delivered, headers=message.headers
                )
            except BufferError:
                waiting = waiting or Waiting(self._stop)
                self._wait(waiting)
            except KafkaException as error:
                raise KafkaFault(f"{topic}: {error.args[0].str()}; mend that and start again") from None
            else:
                return

    def poll(self) -> None:
        """Hear of acknowledgements.

        Raises:
            KafkaFault: a record was refused.
        """
        self._producer.poll(0)
        self._check()

    def flush(self) -> None:
        """Wait until every record is acknowledged.

        Raises:
            KafkaFault: one was refused, or the run is to stop while no broker takes any.
        """
        waiting = Waiting(self._stop)
        while self._producer.flush(PAUSE_S):
            self._wait(waiting)
        self._check()

    def published(self, error: KafkaError | None, _message: KafkaMessage) -> None:
        """Hear that a record was acknowledged, or refused."""
        if error is not None:
            self.errors += 1
            self._failure = self._failure or error
            return
        self._heard_at = time.monotonic()
        if self.is_away:
            self.is_away = False
            self._tell(f"{self._servers}: Kafka takes records again")

    def triggered(self, message: Message, error: KafkaError | None, sent: KafkaMessage) -> None:
        """Hear the same of a trigger, and tell how long that was after it was due; of one taken back it is not told."""
        self.published(error, sent)
        if error is None and message.caused_at:
            self._observe(message.family, max(0.0, time.time() - datetime.fromisoformat(message.caused_at).timestamp()))

    def _wait(self, waiting: Waiting) -> None:
        silent_s = time.monotonic() - max(waiting.began_at, self._heard_at)
        if silent_s > LONG_S and not self.is_away:
            self.is_away = True
            self._tell(f"{self._servers}: no broker takes records; waiting for Kafka")
        if waiting.is_over:
            raise KafkaFault(
                f"{self._servers}: stopped while no broker took records; the next run goes on from the checkpoint"
            )
        self._producer.poll(PAUSE_S)
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise KafkaFault(
                f"{self._servers}: a record could not be published: {self._failure.str()}; mend that and start again,"
                " the next run goes on from the checkpoint"
            )

    def _on_error(self, error: KafkaError) -> None:
        """Hear what librdkafka has to tell; it mends by itself what can be mended."""
        self.errors += 1
        if is_hopeless(error):
            self._failure = self._failure or error


class Waiting:
    """Since when something has been waited for, and whether that is enough now that the run is to stop."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self.began_at = time.monotonic()
        self._told_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is: enough for a server that works, and too little for one that hangs to hold up the end."""
        if self._told_at is None and self._stop.is_set():
            self._told_at = time.monotonic()
        return self._told_at is not None and time.monotonic() - self._told_at > STOP_S_MAX
