"""The auditor of the chaos runs finds what it is there for: each kind of fault, planted into a run without any."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest

from connectors.cloudevents import STREAMS
from pipeline.run import run
from tests.chaos.aftermath import balances, processes
from tests.chaos.audit import Verdict, audit, instant
from tests.chaos.evidence import Evidence, Input, Seen, published
from tests.chaos.faults import Happened, kinds, schedule
from tests.chaos.lives import broken
from tests.chaos.load import Town
from tests.chaos.rules import FULL, SHORT
from tests.chaos.supervisor import Exit

BEGIN_AT = 1_700_000_000_000

SUMMARY = "Stopped: 9 records\n\nRecords       1,009 read: 1,000 accepted, 7 duplicates, 2 dead letters\n"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What there is of a run in which nothing went wrong: a minute of households, without servers."""
    folder = tmp_path_factory.mktemp("sound")
    town = Town(1, SHORT, 40, BEGIN_AT)
    lines = [sent.line for sent in town.until(BEGIN_AT + 60_000)]
    for number in range(8):
        lines.insert(number * 50, broken(number))
    path = folder / "log.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    run(SHORT.settings, [str(path)], folder / "out")
    told = {stream: published(folder / "out" / f"{stream}.jsonl") for stream in STREAMS}
    entered = [Input(str(path), number, line) for number, line in enumerate(lines, 1)]
    return Evidence(lines, entered, told, told)


def test_nothing_is_found_where_nothing_is_wrong(sound: Evidence) -> None:
    """
    The truth of the model, the quiet run and what was seen agree, and there is something of everything.
    """
    verdict = audit(sound, SHORT)
    assert verdict.faults == []
    actions = {record.data["action"] for record in sound.seen["triggers"]}
    assert actions == {"cart_abandoned", "checkout_abandoned", "returning_visitor", "offer_prompt"}
    states = {record.data["state"] for record in sound.seen["carts"]}
    assert states == {"open", "abandoned", "recovered", "purchased", "emptied"}
    assert dict(verdict.rows)["dead letters"] == "8 of 8, 8 with repeats"


def without_first(stream: str) -> Callable[[Evidence], Evidence]:
    """Lose the first record of a stream."""
    return lambda e: replace(e, seen={**e.seen, stream: e.seen[stream][1:]})


def with_more(stream: str, *records: Seen) -> Callable[[Evidence], Evidence]:
    """Add records to a stream."""
    return lambda e: replace(e, seen={**e.seen, stream: [*e.seen[stream], *records]})


def twice(evidence: Evidence) -> Evidence:
    """Publish a trigger again."""
    return with_more("triggers", evidence.seen["triggers"][0])(evidence)


def changed(stream: str, **changes: object) -> Callable[[Evidence], Evidence]:
    """Have the first record of a stream say something else."""

    def change(evidence: Evidence) -> Evidence:
        first, *others = evidence.seen[stream]
        other = first._replace(data={**first.data, **changes})
        return replace(evidence, seen={**evidence.seen, stream: [other, *others]})

    return change


def with_false_abandonment(evidence: Evidence) -> Evidence:
    """Remind somebody of a cart that was bought a millisecond before it was due, in both runs alike."""
    bought = next(r.data for r in evidence.seen["carts"] if r.data["state"] == "purchased")
    like = next(r for r in evidence.seen["triggers"] if r.data["action"] == "cart_abandoned")
    cause = {**like.data["cause"], "id": bought["cart_id"], "time": bought["changed_at"]}
    false = Seen("false", 0, {**like.data, "cause": cause, "anonymous_ids": [bought["visitor_id"]]})
    seen = with_more("triggers", false)(evidence).seen
    return replace(evidence, seen=seen, expected={**evidence.expected, "triggers": seen["triggers"]})


def with_wrong_letter(evidence: Evidence) -> Evidence:
    """Call a sound record broken."""
    where = {"partition": evidence.input[-1].partition, "position": evidence.input[-1].offset}
    return with_more("dead_letters", Seen("d", 0, where))(evidence)


@pytest.mark.parametrize(
    ("plant", "complaints"),
    [
        pytest.param(without_first("triggers"), {"triggers lost"}, id="trigger lost"),
        pytest.param(twice, {"triggers duplicated"}, id="trigger duplicated"),
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
            lambda e: replace(e, input=e.input[:-1]),
            {"records sent that did not arrive", "records are not"},
            id="record lost on its way in",
        ),
        pytest.param(
            lambda e: replace(e, input=[*e.input, e.input[-1]]),
            {"records that nobody sent", "records are not"},
            id="record out of nowhere",
        ),
    ],
)
def test_what_is_planted_is_found(sound: Evidence, plant: Callable[[Evidence], Evidence], complaints: set[str]) -> None:
    """
    A trigger lost, said twice or said wrongly, a false abandonment, a lost session: each is found, and nothing else.
    """
    faults = audit(plant(sound), SHORT).faults
    assert len(faults) == len(complaints)
    assert all(any(complaint in fault for fault in faults) for complaint in complaints), faults


def test_a_trigger_that_should_not_be_is_found(sound: Evidence) -> None:
    """
    A trigger that the quiet run does not know.
    """
    expected = {**sound.expected, "triggers": sound.expected["triggers"][1:]}
    assert [fault.split(":")[0] for fault in audit(replace(sound, expected=expected), SHORT).faults] == [
        "1 triggers that should not be"
    ]


def test_a_repeat_is_no_fault_where_at_least_once_is_promised(sound: Evidence) -> None:
    """
    A session told twice is counted and shown.
    """
    verdict = audit(with_more("sessions", sound.seen["sessions"][0])(sound), SHORT)
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
        assert {fault.kind for fault in schedule(3, len(known), FULL, shards)} == set(known)
    assert set(kinds(2)) - set(kinds(1)) == {"one shard killed", "one shard stopped", "one shard paused"}


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


def test_instants_are_read_as_they_are_written() -> None:
    """
    To the millisecond.
    """
    assert instant("2023-11-14T22:13:20.001Z") == BEGIN_AT + 1
