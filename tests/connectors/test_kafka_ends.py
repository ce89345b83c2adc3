"""
When a source may let time go on: as of an answer of the brokers, and after an outage not at once.
"""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors import kafka_ends
from connectors.kafka_ends import ASK_S, Ends

LATENESS_S = 15.0
AWAY_S = 5.0


class FakeBrokers:
    """Brokers that answer when they are told to."""

    servers = "broker:9092"

    def __init__(self) -> None:
        self.asked: list[Future[Any]] = []

    def ask_ends(self, names: list[str], timeout_s: float) -> dict[str, Future[Any]]:
        assert timeout_s > 0
        futures: dict[str, Future[Any]] = {name: Future() for name in names}
        self.asked += futures.values()
        return futures

    def answer(self, end: int) -> None:
        self.asked[-1].set_result(SimpleNamespace(offset=end))

    def fail(self) -> None:
        self.asked[-1].set_exception(KafkaException(KafkaError(KafkaError._TRANSPORT)))  # noqa: SLF001 -- its name there


class Clock:
    """What `time` says in `kafka_ends`."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


class Watch:
    """Ends with brokers and a clock to play with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.brokers, self.told = Clock(), FakeBrokers(), list[str]()
        monkeypatch.setattr(kafka_ends, "time", self.clock)
        self.ends = Ends(self.brokers, LATENESS_S, self.told.append)  # type: ignore[arg-type]  # all of it that is used

    def look(self, after_s: float = 0.0) -> None:
        self.clock.now += after_s
        self.ends.look(["t/0"], self.clock.now)

    def is_held(self) -> bool:
        return self.ends.is_time_held(self.clock.now)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch(monkeypatch)
    watch.look()
    return watch


def test_an_answer_holds_for_the_instant_of_its_question(watch: Watch) -> None:
    """
    However late it comes; and before it there is none.
    """
    assert not watch.ends.is_at_end("t/0", 7)
    asked_at = watch.clock.now
    watch.brokers.answer(7)
    watch.look(1.0)
    assert watch.ends.asked_at == (int(asked_at * 1000), asked_at)
    assert (watch.ends.is_at_end("t/0", 6), watch.ends.is_at_end("t/0", 7)) == (False, True)
    assert (watch.ends.lag("t/0", 4), watch.ends.lag("t/0", 9), watch.ends.lag("t/1", 4)) == (3, 0, 0)


def test_it_asks_one_question_at_a_time(watch: Watch) -> None:
    watch.look(ASK_S)
    assert len(watch.brokers.asked) == 1
    watch.brokers.answer(7)
    watch.look(ASK_S / 2)
    assert len(watch.brokers.asked) == 2


def test_brokers_that_do_not_answer_are_away_and_time_stands_still(watch: Watch) -> None:
    """
    From five seconds on, until as long as the lateness after their return: exactly.
    """
    watch.look(AWAY_S)
    assert (watch.ends.is_away, watch.is_held()) == (False, False)
    watch.look(0.001)
    assert (watch.ends.is_away, watch.is_held()) == (True, True)
    watch.brokers.answer(7)
    watch.look(60.0)
    assert (watch.ends.is_away, watch.is_held()) == (False, True)
    watch.clock.now += LATENESS_S - 0.001
    assert watch.is_held()
    watch.clock.now += 0.001
    assert not watch.is_held()
    assert watch.told == ["broker:9092: no broker answers; waiting for Kafka", "broker:9092: Kafka is back"]


def test_brokers_that_refuse_are_away_too(watch: Watch) -> None:
    watch.brokers.fail()
    watch.look(AWAY_S)
    assert not watch.ends.is_away
    watch.brokers.fail()
    watch.look(ASK_S)
    assert watch.ends.is_away


@pytest.mark.parametrize(("still_s", "held_s"), [(AWAY_S, 0.0), (AWAY_S + 0.001, LATENESS_S), (60.0, LATENESS_S)])
def test_a_flow_that_stood_still_may_have_missed_an_outage(watch: Watch, still_s: float, held_s: float) -> None:
    """
    Whatever it waited for: nobody has asked meanwhile, though what was asked before was answered at once. Found by
    simulation: the process was stopped for twenty seconds, and in these the leader of a partition was away.
    """
    watch.brokers.answer(7)
    watch.look(still_s)
    assert (watch.ends.is_away, watch.is_held()) == (False, bool(held_s))
    watch.clock.now += held_s
    assert not watch.is_held()
    assert watch.told == []


def test_who_begins_has_missed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    However long it takes to start.
    """
    watch = Watch(monkeypatch)
    watch.look(60.0)
    assert not watch.is_held()


@pytest.mark.parametrize(("still_s", "held_s"), [(AWAY_S, 0.0), (AWAY_S + 0.001, LATENESS_S)])
def test_who_goes_on_may_have_missed_an_outage_while_it_started(
    monkeypatch: pytest.MonkeyPatch, watch: Watch, still_s: float, held_s: float
) -> None:
    """
    Found by simulation: the brokers went away again while the sink looked for what had been published.
    """
    watch.brokers.answer(7)
    watch.look()
    memory, another = watch.ends.memory(), Watch(monkeypatch)
    another.ends.go_on(memory)
    another.look(still_s)
    assert another.is_held() == bool(held_s)
    another.clock.now += held_s
    assert not another.is_held()


def ask_of_two(watch: Watch, after_s: float, takes_s: float, *, is_answered: bool) -> None:
    """Ask of two partitions; the leader of one answers, that of the other may not."""
    watch.brokers.asked.clear()
    watch.clock.now += after_s
    watch.ends.look(["t/0", "t/1"], watch.clock.now)
    watch.clock.now += takes_s
    first, second = watch.brokers.asked
    first.set_result(SimpleNamespace(offset=7))
    if is_answered:
        second.set_result(SimpleNamespace(offset=7))
    else:
        second.set_exception(KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE)))
    watch.ends.look([], watch.clock.now)
    watch.brokers.asked.clear()


@pytest.mark.parametrize(("away_s", "held_s"), [(AWAY_S, 0.0), (AWAY_S + 0.001, LATENESS_S)])
def test_a_leader_that_was_away_holds_time_on_its_return(watch: Watch, away_s: float, held_s: float) -> None:
    """
    The other brokers answered all the while, but its producers have yet to send what they could not. Found by
    simulation: a cart was called abandoned whose order was held back so.
    """
    watch.brokers.answer(7)
    watch.look()
    ask_of_two(watch, ASK_S, 0.0, is_answered=True)
    left_at = watch.clock.now + ASK_S
    ask_of_two(watch, ASK_S, 1.0, is_answered=False)
    ask_of_two(watch, ASK_S, 1.0, is_answered=False)
    assert watch.ends.memory()[0] == int(left_at * 1000)
    ask_of_two(watch, ASK_S, left_at + away_s - watch.clock.now - ASK_S, is_answered=True)
    assert not watch.ends.is_away
    assert watch.is_held() == bool(held_s)
    watch.clock.now += held_s
    assert not watch.is_held()


@pytest.mark.parametrize(("gone_s", "held_s"), [(AWAY_S, 0.0), (AWAY_S + 0.001, LATENESS_S), (3_600.0, LATENESS_S)])
def test_who_goes_on_after_a_process_that_died_in_an_outage_holds_time(
    monkeypatch: pytest.MonkeyPatch, watch: Watch, gone_s: float, held_s: float
) -> None:
    """
    From the last answer that a checkpoint remembers on: gone for longer than an outage goes unnoticed, it was one.
    """
    watch.brokers.answer(7)
    watch.look()
    memory, another = watch.ends.memory(), Watch(monkeypatch)
    another.clock.now = watch.clock.now + gone_s
    another.ends.go_on(memory)
    assert another.is_held() == bool(held_s)
    another.clock.now += held_s
    assert not another.is_held()


def test_who_goes_on_after_a_process_that_held_time_holds_it_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, watch: Watch
) -> None:
    """
    Killed two seconds after the brokers were back: the lateness counts from their return.
    """
    watch.look(AWAY_S + 0.001)
    watch.brokers.answer(7)
    watch.look()
    back_at = watch.clock.now
    watch.look(2.0)
    watch.brokers.answer(7)
    watch.look()
    memory, another = watch.ends.memory(), Watch(monkeypatch)
    another.clock.now = back_at + 4.0
    another.ends.go_on(memory)
    another.clock.now = back_at + LATENESS_S - 0.01
    assert another.is_held()
    another.clock.now = back_at + LATENESS_S + 0.01
    assert not another.is_held()


@pytest.mark.parametrize(("lateness_s", "away_s"), [(0.0, 0.5), (3.0, 1.0), (600.0, 5.0)])
def test_with_little_lateness_an_outage_begins_sooner(
    monkeypatch: pytest.MonkeyPatch, lateness_s: float, away_s: float
) -> None:
    monkeypatch.setitem(globals(), "LATENESS_S", lateness_s)
    watch = Watch(monkeypatch)
    watch.look()
    watch.look(away_s)
    assert not watch.ends.is_away
    watch.look(0.001)
    assert watch.ends.is_away
