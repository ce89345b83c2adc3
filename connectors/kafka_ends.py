"""Where partitions end, as the brokers last said, and whether they answer at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaException

from connectors.kafka_client import Brokers

# How often to ask; as often as markers go, for a due timer waits for both.
ASK_S: Final = 0.1
# One question that a broker has lost is not asked again before this.
ANSWER_S_MAX: Final = 10.0
# Without an answer for this long the brokers count as away; less where the allowed lateness is small.
AWAY_S_MAX: Final = 5.0
AWAY_S_MIN: Final = 0.5


class Ends:
    """Asks for the ends of partitions, over and over, and never waits for an answer."""

    def __init__(self, brokers: Brokers, lateness_s: float, tell: Callable[[str], None]) -> None:
        """Know nothing yet; `tell` hears when the brokers are away, and when they are back."""
        self._brokers, self._lateness_s, self._tell = brokers, lateness_s, tell
        self._away_s = min(AWAY_S_MAX, max(AWAY_S_MIN, lateness_s / 3))
        self._ends: dict[str, int] = {}
        self._asked: dict[str, Future[Any]] = {}
        self._asking_at = 0, 0.0
        # The first question since its last answer that a partition has not answered: its leader is away.
        self._unanswered: dict[str, tuple[int, float]] = {}
        self._looked_at: float | None = None
        self._answered_at = time.monotonic()
        self._held_until = 0.0
        self.asked_at = 0, 0.0
        """When the question was put whose answer is known: by the wall clock (ms) and the monotonic one (s)."""
        self.is_away = False
        """Whether no broker answers."""

    def look(self, names: Iterable[str], now: float) -> None:
        """Take the answer if it is there, and ask again when it is time to."""
        stood_still = self._looked_at is not None and now - self._looked_at > self._away_s
        self._looked_at = now
        if self._asked and all(future.done() for future in self._asked.values()):
            self._take(now)
        if not self._asked and now - self._asking_at[1] >= ASK_S:
            self._asking_at = time.time_ns() // 1_000_000, now
            self._asked = self._brokers.ask_ends(names, ANSWER_S_MAX)
        if stood_still:
            # For the sink, the store or the machine: nobody has asked meanwhile, so there may have been an outage.
            self._held_until = now + self._lateness_s
        # The question may have been answered long ago while the flow was held up elsewhere.
        if self._asked and now - max(self._answered_at, self._asking_at[1]) > self._away_s and not self.is_away:
            self.is_away = True
            self._tell(f"{self._brokers.servers}: no broker answers; waiting for Kafka")

    def is_at_end(self, name: str, offset: int) -> bool:
        """Tell whether a partition had nothing after `offset` when the brokers were asked."""
        return offset >= self._ends.get(name, offset + 1)

    def lag(self, name: str, offset: int) -> int:
        """Return how many records follow, as far as known."""
        return max(0, self._ends.get(name, offset) - offset)

    def is_time_held(self, now: float) -> bool:
        """Tell whether time stands still: producers have yet to send what they could not."""
        return self.is_away or now < self._held_until

    def memory(self) -> tuple[int, int]:
        """Return when the brokers last answered for all, and until when time stands still, by the wall clock (ms)."""
        held_s = max(0.0, self._held_until - time.monotonic())
        answered_at = min([self.asked_at[0], *(at for at, _ in self._unanswered.values())])
        return answered_at, time.time_ns() // 1_000_000 + round(held_s * 1000)

    def go_on(self, memory: tuple[int, int]) -> None:
        """Go on after a process that remembered this: where it died in an outage, or soon after, nobody has held time.

        One that has been gone for as long as an outage takes to notice may have died in one.
        """
        answered_at, held_until = memory
        now_ms = time.time_ns() // 1_000_000
        was_away = now_ms - answered_at > self._away_s * 1000
        held_s = self._lateness_s if was_away else (held_until - now_ms) / 1000
        self._looked_at = time.monotonic()
        self._held_until = self._looked_at + held_s

    def _take(self, now: float) -> None:
        found: dict[str, int] = {}
        unanswered: dict[str, tuple[int, float]] = {}
        for name, future in self._asked.items():
            try:
                found[name] = int(future.result().offset)
            except (KafkaException, TimeoutError):  # a partition without a leader, a broker that is away
                unanswered[name] = self._unanswered.get(name, self._asking_at)
        silent_since = min(
            (at for name, (_, at) in self._unanswered.items() if name in found), default=self._asking_at[1]
        )
        self._asked, self._unanswered = {}, unanswered
        self._ends = found
        if not found:
            self._asked_again(now)
            return
        self.asked_at = self._asking_at
        self._answered_at = now
        if self.is_away:
            self.is_away = False
            self._held_until = now + self._lateness_s
            self._tell(f"{self._brokers.servers}: Kafka is back")
        elif now - silent_since > self._away_s:
            self._held_until = now + self._lateness_s  # an outage too: of one partition's leader

    def _asked_again(self, now: float) -> None:
        """Note that an answer was none: they all failed."""
        if not self.is_away and now - self._answered_at > self._away_s:
            self.is_away = True
            self._tell(f"{self._brokers.servers}: no broker answers; waiting for Kafka")
