"""
A clock that goes when it is told to, what happens by it, and the one thread that everything takes turns on.

Time passes only here: whoever waits lets happen what comes first, the turns of other processes included. So a run
is what its seed makes of it, whatever the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, tzinfo
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Final

# 2023-11-14: when runs begin, by a clock that is right.
BEGIN_S: Final = 1_700_000_000.0
# The monotonic clock begins elsewhere, so that nobody takes one for the other.
MONOTONIC_S: Final = 50_000.0


class Clock:
    """What happens when; `now` is the true time in seconds since the run began."""

    def __init__(self, random: Random) -> None:
        """Begin with nothing to come."""
        self.random = random
        self.now = 0.0
        self.skew_s = 0.0
        """By how much the processes' wall clock is wrong; brokers and people have clocks of their own."""
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()

    @property
    def true_ms(self) -> int:
        """The instant by a clock that is right."""
        return round((BEGIN_S + self.now) * 1000)

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen at an instant."""
        heappush(self._coming, (max(when, self.now), next(self._number), what))

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something happen in a while."""
        self.at(self.now + seconds, what)

    def run(self, until: float, is_done: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, until an instant or until something is so."""
        while not is_done():
            if not self._coming or self._coming[0][0] > until:
                self.now = max(self.now, until)
                return
            when, _, what = heappop(self._coming)
            self.now = max(self.now, when)
            what()


class Time:
    """What the module `time` says to processes."""

    def __init__(self, clock: Clock) -> None:
        """Say what `clock` says."""
        self._clock = clock

    def monotonic(self) -> float:
        """Return the seconds since whenever."""
        return MONOTONIC_S + self._clock.now

    perf_counter = monotonic

    def time(self) -> float:
        """Return the wall clock's seconds."""
        return BEGIN_S + self._clock.now + self._clock.skew_s

    def time_ns(self) -> int:
        """Return the same in nanoseconds."""
        return round(self.time() * 1e9)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._clock.run(self._clock.now + seconds)


class Calendar:
    """What the class `datetime` says to processes of now."""

    def __init__(self, time: Time) -> None:
        """Say what `time` says."""
        self._time = time

    def now(self, zone: tzinfo = UTC) -> datetime:
        """Return the wall clock's instant."""
        return datetime.fromtimestamp(self._time.time(), zone)


class Answer(Future[Any]):
    """A future whose waiting lets time pass."""

    def __init__(self, clock: Clock) -> None:
        """Wait by `clock`."""
        super().__init__()
        self._clock = clock

    def result(self, timeout: float | None = None) -> Any:  # noqa: ANN401 -- as its base has it
        """Return the answer once it is there."""
        if not self.done():
            self._clock.run(self._clock.now + (3600.0 if timeout is None else timeout), self.done)
        if not self.done():
            raise TimeoutError
        return super().result(0)


class InlineThread:
    """A thread that does its work when it is waited for: there is only one here."""

    def __init__(self, target: Callable[[], None], **_: object) -> None:
        """Keep what is to be done."""
        self._target = target

    def start(self) -> None:
        """Begin, later."""

    def join(self, _timeout: float) -> None:
        """Do it."""
        self._target()
