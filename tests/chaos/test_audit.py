"""The auditor of the chaos runs finds what it is there for: each kind of fault, planted into a run without any."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

import msgspec
import pytest

from operators.ids import murmur2
from pipeline.run import run
from tests.chaos.aftermath import balances, processes
from tests.chaos.audit import Verdict, audit, instant
from tests.chaos.evidence import Entered, Evidence, Expected, Letter, Told, written
from tests.chaos.faults import Happened, following, kinds, schedule
from tests.chaos.lives import broken
from tests.chaos.load import Town
from tests.chaos.rules import FULL, SHORT
from tests.chaos.run import RECORDS_MAX, Plan, paced, suffered
from tests.chaos.stage import Job
from tests.chaos.supervisor import Exit

BEGIN_AT = 1_700_000_000_000

SUMMARY = "Stopped: 9 records\n\nRecords       1,009 read: 1,000 accepted, 7 duplicates, 2 dead letters\n"


class Sound(NamedTuple):
    """
    A run in which nothing went wrong: its log, and what is to be audited of it.
    """

    partition: str
    lines: list[bytes]
    evidence: Evidence


def entered(partition: str, log: list[bytes], lines: list[bytes]) -> Entered:
    """
    Have these records come in.
    """
    found = Entered(log)
    found.add(partition, 1, lines)
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """What there is of a run in which nothing went wrong: a minute of households, without servers."""
    folder = tmp_path_factory.mktemp("sound")
    town = Town(1, SHORT, 40, BEGIN_AT)
    lines = [sent.line for sent in town.until(BEGIN_AT + 60_000)]
    for number in range(8):
        lines.insert(number * 50, broken(number))
    path = folder / "log.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    run(SHORT.settings, [str(path)], folder / "out")
    told, known = written(folder / "out", Told()), written(folder / "out", Expected())
    return Sound(str(path), lines, Evidence(lines, entered(str(path), lines, lines), told, known))


def test_nothing_is_found_where_nothing_is_wrong(sound: Sound) -> None:
    """
    The truth of the model, the quiet run and what was seen agree, and there is something of everything.
    """
    verdict = audit(sound.evidence, SHORT)
    assert verdict.faults == []
    seen = sound.evidence.seen
    assert {trigger.action for trigger in seen.triggers} == {
        "cart_abandoned",
        "checkout_abandoned",
        "returning_visitor",
        "offer_prompt",
    }
    assert {cart.state for cart in seen.carts} == {"open", "abandoned", "recovered", "purchased", "emptied"}
    assert dict(verdict.rows)["dead letters"] == "8 of 8, 8 with repeats"


Plant = Callable[[Sound], Evidence]


def with_seen(stream: str, change: Callable[[list[Any]], list[Any]]) -> Plant:
    """Have other records in a stream."""

    def plant(sound: Sound) -> Evidence:
        evidence = sound.evidence
        seen = replace(evidence.seen, **{stream: change(list(getattr(evidence.seen, stream)))})
        return replace(evidence, seen=seen)

    return plant


def without_first(stream: str) -> Plant:
    """Lose the first record of a stream."""
    return with_seen(stream, lambda records: records[1:])


def changed(stream: str, **changes: object) -> Plant:
    """Have the first record of a stream say something else."""
    return with_seen(stream, lambda records: [msgspec.structs.replace(records[0], **changes), *records[1:]])


def with_input(change: Callable[[list[bytes]], list[bytes]]) -> Plant:
    """Have other records come in."""

    def plant(sound: Sound) -> Evidence:
        return replace(sound.evidence, entered=entered(sound.partition, sound.lines, change(sound.lines)))

    return plant


def with_false_abandonment(sound: Sound) -> Evidence:
    """Remind somebody of a cart that was bought a millisecond before it was due, in both runs alike."""
    evidence = sound.evidence
    bought = next(cart for cart in evidence.seen.carts if cart.state == "purchased")
    like = next(trigger for trigger in evidence.seen.triggers if trigger.action == "cart_abandoned")
    cause = msgspec.structs.replace(like.cause, id=bought.cart_id, time=bought.changed_at)
    false = msgspec.structs.replace(like, id="false", cause=cause, anonymous_ids=[bought.visitor_id])
    triggers = {**evidence.expected.triggers, "false": false}
    found = with_seen("triggers", lambda records: [*records, false])(sound)
    return replace(found, expected=replace(evidence.expected, triggers=triggers))


def with_wrong_letter(sound: Sound) -> Evidence:
    """Call a sound record broken."""
    letter = Letter(id="d", partition=sound.partition, position=len(sound.lines))
    return with_seen("dead_letters", lambda records: [*records, letter])(sound)


@pytest.mark.parametrize(
    ("plant", "complaints"),
    [
        pytest.param(without_first("triggers"), {"triggers lost"}, id="trigger lost"),
        pytest.param(
            with_seen("triggers", lambda records: [records[0], *records]),
            {"triggers duplicated"},
            id="trigger duplicated",
        ),
        pytest.param(
            changed("triggers", profile_id="lead-of-somebody-else"),
            {"triggers that say something else"},
            id="trigger for somebody else",
        ),
        pytest.param(with_false_abandonment, {"false abandonments"}, id="false abandonment"),
        pytest.param(
            without_first("sessions"), {"sessions missing", "sessions lost", "records are not"}, id="session lost"
        ),
        pytest.param(
            changed("sessions", events=99),
            {"sessions missing", "sessions wrong", "records are not"},
            id="session with other events",
        ),
        pytest.param(without_first("carts"), {"changes of carts missing", "carts lost"}, id="cart lost"),
        pytest.param(
            changed("carts", value=0.5), {"changes of carts missing", "changes of carts wrong"}, id="cart worth less"
        ),
        pytest.param(without_first("dead_letters"), {"broken records without a dead letter"}, id="dead letter lost"),
        pytest.param(with_wrong_letter, {"dead letters of sound records"}, id="dead letter of a sound record"),
        pytest.param(without_first("suppressed"), {"suppressed lost"}, id="suppressed lost"),
        pytest.param(without_first("identity"), {"identity lost"}, id="identity lost"),
        pytest.param(
            with_input(lambda lines: lines[:-1]),
            {"records sent that did not arrive", "records are not"},
            id="record lost on its way in",
        ),
        pytest.param(
            with_input(lambda lines: [*lines, lines[-1]]),
            {"records that nobody sent", "records are not"},
            id="record out of nowhere",
        ),
    ],
)
def test_what_is_planted_is_found(sound: Sound, plant: Plant, complaints: set[str]) -> None:
    """
    A trigger lost, said twice or said wrongly, a false abandonment, a lost session: each is found, and nothing else.
    """
    faults = audit(plant(sound), SHORT).faults
    assert len(faults) == len(complaints)
    assert all(any(complaint in fault for fault in faults) for complaint in complaints), faults


def test_a_visitor_who_is_not_at_home_is_found(sound: Sound) -> None:
    """
    Each visitor belongs into the partition that Kafka's hash of its id says; all of them in one of four are strays.
    """
    found = Entered(sound.lines)
    found.add("events/3", 0, sound.lines, 4)
    visitors = {cart.visitor_id for cart in sound.evidence.seen.carts}
    assert {name for name in visitors if murmur2(name.encode()) % 4 != 3} == visitors & set(found.strays) != set()
    faults = audit(replace(sound.evidence, entered=found), SHORT).faults
    assert any("events in another partition than their visitor's" in fault for fault in faults)


def test_a_trigger_that_should_not_be_is_found(sound: Sound) -> None:
    """
    A trigger that the quiet run does not know.
    """
    evidence = sound.evidence
    known = replace(evidence.expected, triggers=dict(list(evidence.expected.triggers.items())[1:]))
    assert [fault.split(":")[0] for fault in audit(replace(evidence, expected=known), SHORT).faults] == [
        "1 triggers that should not be"
    ]


def test_a_repeat_is_no_fault_where_at_least_once_is_promised(sound: Sound) -> None:
    """
    A session told twice is counted and shown.
    """
    verdict = audit(with_seen("sessions", lambda records: [*records, records[0]])(sound), SHORT)
    assert verdict.faults == []
    assert dict(verdict.rows)["sessions"].endswith("1 repeats")


class Ended(NamedTuple):
    """
    What is known of processes that have ended.
    """

    exits: list[Exit]
    stops_s: list[float]
    told: list[str]

    def outputs(self) -> list[str]:
        return self.told


@pytest.mark.parametrize(
    ("exits", "complaint"),
    [
        ([Exit(0, 50, -9, True, ""), Exit(50, 99, 0, True, "")], None),
        ([Exit(0, 50, 1, False, "a bug")], "unexpected exits"),
        ([Exit(0, 105, 1, False, "gave up while the broker was away")], "unexpected exits"),
        ([Exit(101, 105, 1, False, "no broker answers")], None),
        ([Exit(101, 105, -11, False, "")], "unexpected exits"),
        ([Exit(0, 50, 1, True, "could not stop")], "unexpected exits"),
    ],
)
def test_only_a_start_without_a_server_may_fail(exits: list[Exit], complaint: str | None) -> None:
    """
    A process that ends by itself is a fault, unless it had just been started and a server was away (here from 100 to
    110); and so is a stop that ends with an error.
    """
    verdict = Verdict()
    ended = Ended(exits, [0.5], [SUMMARY])
    processes(verdict, [ended], [Happened("broker killed", 100, 110, has_recovered=True)])
    assert [complaint in fault for fault in verdict.faults if complaint] == [True] * bool(complaint)
    assert bool(verdict.faults) == bool(complaint)


@pytest.mark.parametrize(
    ("exit_", "faults"),
    [
        (Exit(101, 103, 2, False, "unknown key famly"), 0),
        (Exit(108, 110, 2, False, "unknown key famly"), 0),
        (Exit(90, 99, 2, False, "unknown key famly"), 1),
        (Exit(111, 113, 2, False, "unknown key famly"), 1),
        (Exit(50, 103, 2, False, "unknown key famly"), 1),
        (Exit(101, 103, 1, False, "a bug"), 1),
    ],
)
def test_only_a_start_under_broken_rules_may_be_refused(exit_: Exit, faults: int) -> None:
    """
    With exit code 2, while the rules are broken (here from 100 to 110); a process that runs does not end for them.
    """
    verdict = Verdict()
    processes(verdict, [Ended([exit_], [0.5], [SUMMARY])], [], [(100, 110)])
    assert len(verdict.faults) == faults
    assert dict(verdict.rows)["starts refused while the rules were broken"] == str(1 - faults)


def test_slow_stops_unbalanced_books_and_a_flow_that_stays_behind_are_found() -> None:
    """
    Eleven seconds for a stop, a summary that does not add up, a fault without recovery.
    """
    verdict = Verdict()
    unbalanced = SUMMARY.replace("7 duplicates", "6 duplicates")
    ended = Ended([], [11.0], [unbalanced])
    processes(verdict, [Ended([], [0.5], [SUMMARY]), ended], [Happened("Redis killed", 1, 2, has_recovered=False)])
    assert len(verdict.faults) == 3
    assert balances(SUMMARY)
    assert not balances(unbalanced)
    assert balances("killed before it could say anything")


def test_a_schedule_is_its_seed_and_has_each_kind() -> None:
    """
    The same seed plays the same faults at the same moments, another one others; as many in a row as there are kinds
    are of all kinds, with those among shards where there are several.
    """
    assert schedule(1, 30, FULL) == schedule(1, 30, FULL) != schedule(2, 30, FULL)
    for shards in (1, 2):
        known = kinds(shards)
        assert {fault.kind for fault in schedule(3, len(known), FULL, known)} == set(known)
    assert set(kinds(2)) - set(kinds(1)) == {
        "one shard killed",
        "one shard stopped",
        "one shard paused",
        "savepoint, other number of shards",
    }


def test_a_savepoint_of_shards_is_gone_on_from_by_another_number() -> None:
    """
    By three after two, by one after three, by two after one; four fall in with that.
    """
    assert [following(shards) for shards in (2, 3, 1, 4)] == [3, 1, 2, 2]


def test_outages_of_a_shard_are_longer_than_patience_and_shorter() -> None:
    """
    Of the times that a shard may be away some end before the others stop waiting for it, and some do not.
    """
    for rules in (FULL, SHORT):
        assert rules.away[0] < rules.patience < rules.away[1]
        assert rules.settings.source.patience_ms == rules.patience * 1000


def test_the_load_is_its_seed_and_comes_late_and_twice() -> None:
    """
    The same seed sends the same, in order of sending; some of it late, less than the lateness, and some of it twice.
    """
    sent = list(Town(5, FULL, 50, BEGIN_AT).until(BEGIN_AT + 120_000))
    assert sent == list(Town(5, FULL, 50, BEGIN_AT).until(BEGIN_AT + 120_000))
    assert [s.sent_at for s in sent] == sorted(s.sent_at for s in sent)
    delays = [s.sent_at - s.at for s in sent if not s.is_resent]
    assert 0 < max(delays) < FULL.lateness * 1000
    assert any(s.is_resent for s in sent)
    assert len({s.line for s in sent}) == len([s for s in sent if not s.is_resent])


@pytest.mark.parametrize(
    ("faults", "asked", "capacity", "rate", "reason"),
    [
        (100, 0.0, 4_000.0, RECORDS_MAX / 100 / FULL.fault, "8,000,000 records in all are the most"),
        (10, 0.0, 4_000.0, 2_000.0, "half of what the machine carries"),
        (10, 300.0, 4_000.0, 300.0, "as asked for"),
        (10, 300.0, 0.0, 300.0, "as asked for"),
    ],
)
def test_a_run_sends_no_more_than_can_be_audited(
    faults: int, asked: float, capacity: float, rate: float, reason: str
) -> None:
    """
    The rate is half of what the machine carries, what is asked for, or what comes to 8,000,000 records in all,
    whichever is least; and it is told which.
    """
    assert paced(Plan(FULL, faults, 1, asked), capacity) == (rate, reason)


class Tired:
    """
    A job that keeps up for so many looks, and then no more.
    """

    def __init__(self, looks: int) -> None:
        self.looks, self.kills = looks, 0
        self.nextmove, self.shards = self, [self]

    def kill(self) -> None:
        self.kills += 1

    def lag(self) -> int:
        return 12_345

    def wait_until_committed(self, _wait_s_max: float) -> bool:
        self.looks -= 1
        return self.looks >= 0


@pytest.mark.parametrize(("looks", "kills"), [(0, 0), (1, 2), (3, 4), (6, 5)])
def test_a_run_that_falls_behind_is_given_up(looks: int, kills: int) -> None:
    """
    It ends before any fault where nextmove does not keep up, and after two in a row from which it has not recovered.
    """
    job, happened = Tired(looks), list[Happened]()
    plan = Plan(SHORT._replace(rest=(0, 0)), 5, 1, 100, kinds=("nextmove killed",))
    complaint = suffered(cast("Job", job), plan, happened, lambda _: None)
    assert job.kills == len(happened) == kills
    assert ("12,345 records behind" in complaint) == (kills < 5)


def test_instants_are_read_as_they_are_written() -> None:
    """
    To the millisecond.
    """
    assert instant("2023-11-14T22:13:20.001Z") == BEGIN_AT + 1
