"""
confluent-kafka's clients on a simulated broker, as far as the connectors use them.

What librdkafka promises holds: an idempotent producer keeps the order of a partition and writes nothing twice,
however often the way to the broker and back fails; a callback is called from `poll` and `flush` only. Of a
process that dies is written what was on its way, or the beginning of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.simulation.broker import SETTLED_S, Broker, Heard, Record, Where
from tests.simulation.clock import Answer

# Of the times that a consumer asks for what cannot be reached: it is mostly told nothing.
ERROR_SHARE: Final = 0.05

Delivered = Callable[[KafkaError | None, Heard], None]
Options = dict[str, Any]


class Host(Protocol):
    """The process that a client is part of."""

    broker: Broker

    def step(self) -> None:
        """Come to an instruction at which the process may die."""

    def joined(self, client: Client) -> None:
        """Hear of a client that dies with the process."""


def of(where: TopicPartition) -> Where:
    """Return a partition without its offset."""
    return where.topic, where.partition


class Client:
    """What all of them share."""

    def __init__(self, host: Host, options: Options) -> None:
        """Belong to a process."""
        self._host, self._options, self._broker, self._clock = host, options, host.broker, host.broker.clock
        self._random = self._clock.random
        self._has_told = False
        host.joined(self)

    def die(self) -> None:
        """Be gone with the process."""

    def _look(self) -> None:
        """Tell, once an outage, that no broker is there."""
        is_away = self._broker.is_away(None)
        if is_away and not self._has_told:
            self._options["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))  # noqa: SLF001 -- its name there
        self._has_told = is_away


class Admin(Client):
    """The administrator."""

    def poll(self, _timeout: float) -> int:
        """Hear of errors."""
        return 0

    def list_topics(self, timeout: float) -> Any:  # noqa: ANN401 -- what is used of it
        """Return the topics."""
        self._host.step()
        answer = Answer(self._clock)
        self._broker.ask(None, timeout, lambda: answer.set_result(None), lambda: answer.set_exception(_timed_out()))
        answer.result(timeout + 1)
        found = {
            name: SimpleNamespace(partitions=dict.fromkeys(range(n)), error=None)
            for name, n in self._broker.topics.items()
        }
        return SimpleNamespace(topics=found)

    def list_offsets(self, asked: dict[TopicPartition, Any], request_timeout: float) -> dict[TopicPartition, Answer]:
        """Ask where partitions begin, end, or were at an instant."""
        self._host.step()
        return {where: self._offset(of(where), spec, request_timeout) for where, spec in asked.items()}

    def describe_configs(self, asked: list[Any], request_timeout: float) -> dict[Any, Answer]:
        """Say how topics are cleaned up."""
        assert request_timeout > 0
        found = {}
        for resource in asked:
            found[resource] = Answer(self._clock)
            policy = SimpleNamespace(value=self._broker.policies[resource.name])
            found[resource].set_result({"cleanup.policy": policy})
        return found

    def _offset(self, where: Where, spec: Any, timeout_s: float) -> Answer:  # noqa: ANN401 -- specs have no public base
        answer = Answer(self._clock)

        def look() -> None:
            offset = len(self._broker.logs[where]) if type(spec).__name__ == "LatestSpec" else 0
            self._clock.after(self._broker.delay(), lambda: answer.set_result(SimpleNamespace(offset=offset)))

        self._broker.ask(where, timeout_s, look, lambda: answer.set_exception(_timed_out()))
        return answer


class Consumer(Client):
    """A consumer that is told its partitions."""

    def __init__(self, host: Host, options: Options) -> None:
        """Read nothing yet."""
        super().__init__(host, options)
        self._places: dict[Where, int] = {}
        self._fetched: dict[Where, int] = {}
        self._ended: set[Where] = set()

    def assign(self, places: list[TopicPartition]) -> None:
        """Read from there."""
        self._places = {of(place): place.offset for place in places}
        self._fetched = dict(self._places)
        self._ended = set()

    def unassign(self) -> None:
        """Read nothing more."""
        self.assign([])

    def consume(self, most: int, timeout: float) -> list[Heard]:
        """Return what has come, partitions in any order, each from where it was left."""
        self._host.step()
        self._look()
        found = self._take(most)
        if not found and timeout > 0:
            self._clock.run(self._clock.now + timeout)
            found = self._take(most)
        return found

    def commit(self, offsets: Sequence[TopicPartition], *, asynchronous: bool) -> None:
        """Tell the group where we are; nothing is read from there."""
        assert offsets
        self._host.step()
        if not asynchronous and self._random.random() < 0.1:
            raise _timed_out()

    def close(self) -> None:
        """Leave."""
        self._host.step()

    def _take(self, most: int) -> list[Heard]:
        found: list[Heard] = []
        places = list(self._places)
        self._random.shuffle(places)
        for where in places:
            found += self._take_of(where, most - len(found))
        return found

    def _take_of(self, where: Where, most: int) -> list[Heard]:
        log, place = self._broker.logs[where], self._places[where]
        is_away = self._broker.is_away(where)
        if is_away and most > 0 and self._random.random() < ERROR_SHARE:
            return [Heard(where, None, error=KafkaError(KafkaError._TRANSPORT))]  # noqa: SLF001 -- as above
        if not is_away and self._fetched[where] < len(log):
            few = self._random.randint(self._fetched[where], len(log))
            self._fetched[where] = few if self._random.random() < 0.3 else len(log)
        end = min(self._fetched[where], place + most)
        found = [Heard(where, offset, log[offset]) for offset in range(place, end)]
        self._places[where] = end
        if found:
            self._ended.discard(where)
        if end == len(log) and where not in self._ended and len(found) < most and not is_away:
            self._ended.add(where)
            found.append(Heard(where, end, error=KafkaError(KafkaError._PARTITION_EOF)))  # noqa: SLF001 -- as above
        return found


class Producer(Client):
    """An idempotent producer."""

    def __init__(self, host: Host, options: Options) -> None:
        """Have nothing to send yet."""
        super().__init__(host, options)
        self._most = options["queue.buffering.max.messages"]
        self._linger_s = options["linger.ms"] / 1000
        self._waiting: dict[Where, deque[tuple[Record, Delivered]]] = {}
        self._sending: set[Where] = set()
        self._reports: deque[tuple[Delivered, KafkaError | None, Heard]] = deque()
        self._count = 0
        self._is_dead = False

    def __len__(self) -> int:
        """How many are not yet reported on."""
        return self._count

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        partition: int,
        delivered: Delivered,
        headers: list[tuple[str, bytes]],
    ) -> None:
        """Take a record over."""
        self._host.step()
        if self._count >= self._most:
            raise BufferError
        self._count += 1
        where = topic, self._broker.partition(topic, key) if partition < 0 else partition
        waiting = self._waiting.setdefault(where, deque())
        waiting.append((Record(key, value, headers, 0), delivered))
        if where not in self._sending:
            self._sending.add(where)
            self._clock.after(self._linger_s, lambda: self._broker.reach(where, lambda: self._write(where)))

    def poll(self, timeout: float) -> int:
        """Report on what was delivered."""
        self._host.step()
        self._look()
        if timeout > 0 and not self._reports:
            self._clock.run(self._clock.now + timeout, lambda: bool(self._reports))
        return self._report()

    def flush(self, timeout: float) -> int:
        """Wait until all is reported on, or for so long; return how many are not."""
        self._host.step()
        over_at = self._clock.now + timeout
        while self._count and self._clock.now < over_at:
            self._clock.run(over_at, lambda: bool(self._reports))
            self._report()
        return self._count

    def die(self) -> None:
        """Be gone; what was on its way is written, as far as it had come."""
        self._is_dead = True
        for where, waiting in self._waiting.items():
            on_its_way = 0 if self._broker.is_killed(where) else self._random.randint(0, len(waiting))
            sent = [record for record, _ in waiting][:on_its_way]
            waiting.clear()
            delay_s = self._random.uniform(0, SETTLED_S)
            if sent:
                self._clock.at(self._broker.back_at(where) + delay_s, partial(self._late, where, sent))

    def _late(self, where: Where, sent: list[Record]) -> None:
        for record in sent:
            self._broker.append(where, record._replace(came_at=self._clock.true_ms))

    def _write(self, where: Where) -> None:
        """Have the broker write what waits, and send its answer."""
        self._sending.discard(where)
        reports: list[tuple[Delivered, KafkaError | None, Heard]] = []
        waiting = self._waiting[where]
        while waiting:
            record, delivered = waiting.popleft()
            if where[0] in self._broker.refuses:
                error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
                reports.append((delivered, error, Heard(where, None, record, error)))
            else:
                offset = self._broker.append(where, record._replace(came_at=self._clock.true_ms))
                reports.append((delivered, None, Heard(where, offset, record)))
        self._broker.reach(where, lambda: self._reports.extend(reports))

    def _report(self) -> int:
        count = 0
        while self._reports and not self._is_dead:
            delivered, error, heard = self._reports.popleft()
            self._count -= 1
            count += 1
            delivered(error, heard)
        return count


def _timed_out() -> KafkaException:
    return KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 -- as above
