"""
Kafka's side of a run: the logs of partitions, who can reach them, and when an answer comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError

from operators.ids import murmur2
from tests.simulation.clock import Clock

Where = tuple[str, int]
"""A partition: its topic and number."""

LATENCY_S: Final = 0.005
"""How long a word to a broker or back takes, up to twice."""
# What a killed producer had sent is written by then once the broker answers; the product counts on a second.
SETTLED_S: Final = 0.8


class Record(NamedTuple):
    """A record as it lies in a log; `came_at` is the broker's time (ms)."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    came_at: int


class Broker:
    """All brokers at once: what is written, and what of it can be reached."""

    def __init__(self, clock: Clock) -> None:
        """Begin with no topic."""
        self.clock = clock
        self.topics: dict[str, int] = {}
        self.logs: dict[Where, list[Record]] = {}
        self.policies: dict[str, str] = {}
        self.latency_s = LATENCY_S
        self.refuses: set[str] = set()
        """Topics to which nothing may be written for now."""
        self.once_written: Callable[[], None] | None = None
        """Who hears of the next record that is published."""
        self._back_at: dict[Where | None, float] = {}
        self._are_lost: dict[Where | None, bool] = {}

    def create(self, topic: str, partitions: int, policy: str = "delete") -> None:
        """Make a topic."""
        self.topics[topic], self.policies[topic] = partitions, policy
        self.logs |= {(topic, number): [] for number in range(partitions)}

    def leave(self, where: Where | None, seconds: float, *, is_killed: bool) -> None:
        """Be away for a while, all brokers or the leader of one partition; a killed one forgets what was on its way."""
        self._back_at[where] = max(self._back_at.get(where, 0.0), self.clock.now + seconds)
        self._are_lost[where] = is_killed

    def back_at(self, where: Where | None) -> float:
        """Return when a partition can be reached, which may be now."""
        return max(self._back_at.get(None, 0.0), self._back_at.get(where, 0.0), self.clock.now)

    def is_away(self, where: Where | None) -> bool:
        """Tell whether a partition, or all, cannot be reached."""
        return self.back_at(where) > self.clock.now

    def is_killed(self, where: Where | None) -> bool:
        """Tell whether it is away and knows nothing of what was sent to it."""
        return any(self._back_at.get(who, 0.0) > self.clock.now and self._are_lost[who] for who in (None, where))

    def delay(self) -> float:
        """Draw how long a word takes."""
        return self.latency_s * self.clock.random.uniform(0.2, 2.0)

    def reach(self, where: Where | None, what: Callable[[], None]) -> None:
        """Have something done by a partition's leader once a word has come to it, however long it is away."""
        clock = self.clock

        def arrive() -> None:
            if self.is_away(where):
                clock.at(self.back_at(where) + self.delay(), arrive)
            else:
                what()

        clock.after(self.delay(), arrive)

    def ask(self, where: Where | None, timeout_s: float, what: Callable[[], None], fail: Callable[[], None]) -> None:
        """Have a question answered: `what` when a partition's leader does, `fail` if that takes too long."""
        clock, over_at, is_over = self.clock, self.clock.now + timeout_s, False

        def answer() -> None:
            nonlocal is_over
            if not is_over and clock.now < over_at:
                is_over = True
                what()

        def give_up() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                fail()

        if self.is_killed(where):
            clock.after(self.delay(), give_up)  # the others know that there is no leader
        self.reach(where, answer)
        clock.at(over_at, give_up)

    def append(self, where: Where, record: Record) -> int:
        """Write a record; return its offset."""
        log = self.logs[where]
        log.append(record)
        if record.headers and self.once_written is not None:
            hear, self.once_written = self.once_written, None
            hear()
        return len(log) - 1

    def partition(self, topic: str, key: bytes) -> int:
        """Return where Kafka's own hash puts a key."""
        return murmur2(key) % self.topics[topic]


class Heard:
    """A message of a consumer, a report to a producer, or an error, as confluent-kafka has them."""

    def __init__(
        self, where: Where, offset: int | None, record: Record | None = None, error: KafkaError | None = None
    ) -> None:
        """Tell of `record`, or of `error`."""
        self._where, self._offset, self._record, self._error = where, offset, record, error

    def topic(self) -> str:
        return self._where[0]

    def partition(self) -> int:
        return self._where[1]

    def offset(self) -> int | None:
        return self._offset

    def error(self) -> KafkaError | None:
        return self._error

    def key(self) -> bytes | None:
        return self._record and self._record.key

    def value(self) -> bytes | None:
        return self._record and self._record.value

    def headers(self) -> Any:  # noqa: ANN401 -- as confluent-kafka has it
        return self._record and self._record.headers

    def timestamp(self) -> tuple[int, int]:
        assert self._record is not None
        return 1, self._record.came_at
