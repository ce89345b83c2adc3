"""
Calls by their state: what is told of them while they last, and the record in the end.
"""

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.batches import RawBatch
from operators.call import LEGS_MAX
from operators.event import FOREVER, Event, Kind
from operators.request import Request
from pipeline.messages import Decoded
from tests.pipeline.phone import ANN, BEGAN_AT, HOUR, PBX, SECOND, Exchange, agent, ann, leg, record, records, told

QUEUED = leg("queue", 3, "queued", queue="support", party="system")
ANSWERED = [
    ann(0, "offered"),
    QUEUED,
    agent("2001", 6, "ringing"),
    agent("2001", 10, "answered"),
    ann(15, "held", seq=4),
    ann(20, "resumed", seq=5),
    agent("2001", 42, "ended", reason="completed"),
    ann(42.5, "ended", reason="completed", seq=9),
]


def test_each_moment_is_told_once_and_the_whole_when_it_is_over() -> None:
    """
    Ringing is told before anybody knows how it ends; the record comes a grace after the end.
    """
    exchange = Exchange()
    heard = exchange.hear(ANSWERED)
    assert told(heard) == [
        ("call_ringing", 0),
        ("call_queued", 3),
        ("call_answered", 10),
        ("call_held", 15),
        ("call_resumed", 20),
        ("call_ended", 42.5),
    ]
    assert {(event.phone, event.visitor_id, event.call_id, event.channel) for event in heard} == {
        (ANN, ANN, "c-1", "phone")
    }
    assert heard[0].told() == {"direction": "inbound"}
    assert heard[-1].told() == {"direction": "inbound", "queue": "support", "agent": "2001"}
    (closed,) = exchange.end()
    assert (closed.kind, closed.at) == ("call_closed", BEGAN_AT + 72_500)
    call = closed.call
    assert call is not None
    assert (call.wait_ms, call.talk_ms, call.hold_ms, call.duration_ms) == (7_000, 27_000, 5_000, 42_500)
    assert (call.reason, call.agents, call.queues, call.legs, call.holds) == ("completed", ["2001"], ["support"], 2, 1)
    assert (call.ended_by, call.abandoned_in_queue, call.revision) == ("system", False, 1)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 12), max_size=4))
def test_any_order_and_any_repeats_give_the_same_call(seed: int, cuts: list[int]) -> None:
    """
    Records within the lateness may come in any order and more than once, in any batches.
    """
    random = Random(seed)
    events = ANSWERED + random.choices(ANSWERED, k=4)
    random.shuffle(events)
    exchange, heard, bounds = Exchange(), [], sorted({0, *cuts, len(events)})
    for begin, end in pairwise(bounds):
        heard += exchange.hear(events[begin:end])
    heard += exchange.end()
    whole = Exchange()
    expected = whole.hear(ANSWERED) + whole.end()
    assert records(heard) == records(expected)
    # A moment is told with the instant that is known by then; what it is called is the same.
    assert sorted(event.event_id for event in heard) == sorted(event.event_id for event in expected)


@settings(max_examples=50, deadline=None)
@given(cut=st.integers(0, len(ANSWERED)))
def test_a_run_that_goes_on_from_a_checkpoint_tells_the_rest(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    """
    Nothing is told twice, nothing is lost, wherever the run was cut.
    """
    folder = tmp_path_factory.mktemp("calls")
    first = Exchange(folder)
    heard = first.hear(ANSWERED[:cut])
    second = Exchange(folder, first.calls.snapshot())
    second.line = first.line
    heard += second.hear(ANSWERED[cut:]) + second.end()
    whole = Exchange()
    assert heard == whole.hear(ANSWERED) + whole.end()


def test_callbacks_in_a_mess() -> None:
    """
    3, 0, 2, 2, 1: the last callback first, one twice (contracts section 2).
    """
    callbacks = {
        0: ann(0, "offered", seq=0),
        1: ann(2, "ringing", seq=1),
        2: ann(5, "answered", seq=2),
        3: ann(42, "ended", seq=3, reason="completed"),
    }
    expected = record(*callbacks.values())
    assert (expected.reason, expected.wait_ms, expected.talk_ms) == ("completed", 5_000, 37_000)
    assert record(*(callbacks[number] for number in (3, 0, 2, 2, 1))) == expected


@pytest.mark.parametrize(("second", "is_one"), [(72.4, 0), (72.5, 1)])
def test_a_call_closes_a_grace_after_its_end(second: float, is_one: int) -> None:
    exchange = Exchange()
    exchange.hear(ANSWERED)
    later = exchange.hear([leg("else", second + 30.001, "offered", call="c-2")])
    assert len(records(later)) == is_one


@pytest.mark.parametrize(("second", "is_one"), [(4 * 3600 - 0.001, 0), (4 * 3600, 1)])
def test_a_call_without_an_end_is_over_after_four_hours(second: float, is_one: int) -> None:
    exchange = Exchange()
    exchange.hear(ANSWERED[:4])
    found = records(exchange.hear([leg("else", second + 30.001, "offered", call="c-2")]))
    assert len(found) == is_one
    if found:
        assert (found[0].ended_by, found[0].duration_ms, found[0].reason) == ("limit", 4 * HOUR, "completed")


@pytest.mark.parametrize(
    ("end", "direction", "reason", "in_queue"),
    [
        ([QUEUED, ann(35, "ended", reason="completed")], "inbound", "abandoned", True),
        ([agent("2001", 4, "ringing"), ann(35, "ended")], "inbound", "abandoned", False),
        ([ann(9, "ended", reason="busy", direction="outbound")], "outbound", "busy", False),
        ([ann(9, "ended", reason="no_answer", direction="outbound")], "outbound", "no_answer", False),
        ([ann(9, "ended", reason="failed", direction="outbound")], "outbound", "failed", False),
        ([ann(9, "ended", direction="outbound")], "outbound", "no_answer", False),
        ([ann(9, "ended", reason="voicemail", direction="outbound")], "outbound", "voicemail", False),
    ],
)
def test_why_a_call_ended(end: list[Event], direction: str, reason: str, *, in_queue: bool) -> None:
    found = record(ann(0, "offered", direction=direction), *end)
    assert (found.reason, found.abandoned_in_queue) == (reason, in_queue)
    if reason != "voicemail":
        assert (found.answered_at, found.talk_ms, found.agents) == ("", 0, [])


def test_a_menu_that_takes_the_call_has_not_answered_it() -> None:
    """
    The customer's leg is up while they listen to the menu; the agent answers later.
    """
    found = record(*ANSWERED, ann(1, "answered"))
    assert (found.answered_at, found.wait_ms) == ("2026-11-21T10:00:10.000Z", 7_000)


@pytest.mark.parametrize(
    ("first_left", "second_left", "kind"),
    [(20, 60, "blind"), (19, 60, "blind"), (25, 60, "attended"), (60, 60, "conference")],
)
def test_how_a_call_was_transferred_follows_from_its_legs(first_left: int, second_left: int, kind: str) -> None:
    """
    The next agent rings when the last has left, or both are there for a while, or to the end.
    """
    found = record(
        ann(0, "offered"),
        agent("2001", 5, "answered"),
        agent("3000", 20, "answered"),
        agent("2001", first_left, "ended"),
        agent("3000", second_left, "ended"),
        ann(60, "ended"),
    )
    assert (found.transfers, found.agents, found.legs) == ([f"{kind} 3000"], ["2001", "3000"], 3)
    assert found.talk_ms == 55_000 - 1_000 * (20 - min(first_left, 20))


def test_a_transfer_that_is_told_counts_as_told() -> None:
    moved = agent("2001", 20, "transferring", transfer_kind="blind", transfer_to="3000")
    heard = Exchange().hear([*ANSWERED[:4], moved])
    assert told(heard)[-1] == ("call_transferred", 20)
    found = record(*ANSWERED[:4], moved, agent("3000", 25, "answered"), ann(60, "ended"))
    assert found.transfers == ["blind 3000"]


def test_a_late_record_revises_the_call_and_not_its_state() -> None:
    """
    An hour after it is over nothing is known of it any more.
    """
    exchange = Exchange()
    exchange.hear(ANSWERED)
    exchange.hear([leg("else", 200, "offered", call="c-2")])
    assert records(exchange.hear([agent("2001", 10, "answered")])) == [], "nothing new"
    late = exchange.hear([agent("2001", 9, "answered"), leg("else", 201, "ringing", call="c-2")])
    assert told(late) == [("call_closed", 72.5)]
    (found,) = records(late)
    assert (found.revision, found.wait_ms, found.reason) == (2, 6_000, "completed")
    exchange.hear([leg("else", 201 + 3600 + 31, "ended", call="c-2")])
    (again,) = records(exchange.hear([agent("2001", 8, "answered")]) + exchange.end())[:1]
    assert (again.call_id, again.revision) != ("c-1", 3)


def test_two_calls_that_turn_out_to_be_one() -> None:
    """
    Bridging gives two channels one call: the older one remains, the other is taken back.
    """
    exchange = Exchange()
    heard = exchange.hear(
        [
            ann(0, "offered", call="1795.1"),
            leg("bob", 2, "offered", call="1795.2", party="customer", customer="+4915100000002"),
            leg("bob", 5, "answered", call=("1795.2", "1795.1"), party="customer"),
        ]
    )
    (gone,) = records(heard)
    assert (gone.call_id, gone.state, gone.merged_into) == ("1795.2", "merged", "1795.1")
    (found,) = records(exchange.hear([ann(9, "ended"), leg("bob", 9, "ended", call="1795.2")]) + exchange.end())
    assert (found.call_id, found.legs, found.duration_ms) == ("1795.1", 2, 9_000)


def test_a_caller_whom_nobody_knows_is_a_visitor_of_this_call_alone() -> None:
    exchange = Exchange()
    assert exchange.hear([ann(0, "offered", customer=""), ann(9, "ended", customer="")]) == []
    heard = exchange.end()
    assert [event.kind for event in heard] == ["call_ringing", "call_ended", "call_closed"]
    assert {event.phone for event in heard} == {""}
    assert len({event.anonymous_id for event in heard}) == 1
    assert all(event.anonymous_id.startswith("call-") for event in heard)


def test_a_number_that_comes_late_is_told_with_all_that_was() -> None:
    """
    The agent's leg may be heard of first.
    """
    exchange = Exchange()
    assert exchange.hear([agent("2001", 6, "ringing")]) == []
    assert told(exchange.hear([ann(0, "offered")])) == [("call_ringing", 0)]


def test_an_id_that_is_used_again_does_not_make_all_calls_one() -> None:
    """
    What would have more legs than any call has is another one.
    """
    exchange = Exchange()
    for number in range(3 * LEGS_MAX):
        exchange.hear([leg(f"leg-{number}", 0, "offered", call="room", customer=ANN, party="customer")])
    found = records(exchange.end())
    assert max(call.legs for call in found) == LEGS_MAX
    assert sum(call.legs for call in found) == 3 * LEGS_MAX


def test_whoever_is_erased_leaves_no_call(tmp_path: Path) -> None:
    """
    Neither in memory nor in the file.
    """
    exchange = Exchange(tmp_path)
    exchange.hear(ANSWERED[:4])
    exchange.calls.snapshot()
    request = Request("erase", "r-1", BEGAN_AT + 60 * SECOND, [f"p:{ANN}"])
    exchange.calls.take(Decoded(RawBatch("control/0", []), [], [], (), [request]))
    exchange.calls.snapshot()
    exchange.calls.snapshot()
    exchange.calls.snapshot()
    assert all(ANN.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert exchange.end() == []


def test_a_call_of_which_only_the_wrap_up_is_told() -> None:
    """
    Records that say nothing of where a leg has come make no call that lasts for ever.
    """
    found = record(agent("2001", 60))
    assert (found.started_at, found.ended_by, found.duration_ms) == ("2026-11-21T10:01:00.000Z", "limit", 4 * HOUR)


def test_a_machine_that_was_told_of_first_is_not_forgotten() -> None:
    """
    What comes asynchronously has no number; the last callback says that the call was completed.
    """
    heard = [ann(0, "offered", direction="outbound", seq=0), ann(5, "answered", direction="outbound", seq=1)]
    machine = ann(7, direction="outbound", reason="voicemail")
    assert (
        record(*heard, machine, ann(9, "ended", direction="outbound", reason="completed", seq=2)).reason == "voicemail"
    )


def test_a_hold_that_is_told_with_every_record_is_told_once() -> None:
    heard = Exchange().hear([ann(0, "offered"), ann(5, "resumed"), ann(6, "held"), ann(7, "held"), ann(8, "resumed")])
    assert told(heard) == [("call_ringing", 0), ("call_held", 6), ("call_resumed", 8)]


def test_events_that_tell_of_a_call_themselves_are_not_told_again() -> None:
    """
    They pass, and the record is all that comes of them.
    """
    moments: list[tuple[Kind, int]] = [("call_ringing", 0), ("call_answered", 4), ("call_ended", 30)]
    events = [
        Event(kind, BEGAN_AT + second * SECOND, kind, "phone", ANN, phone=ANN, call_id="k-1", partition=PBX)
        for kind, second in moments
    ]
    calls = Exchange().calls
    assert calls.take(Decoded(RawBatch(PBX, [b""] * 3), events, [])).events == events
    (closed,) = calls.take(Decoded(RawBatch(PBX, [], 3, complete=FOREVER), [], [])).events
    assert (closed.kind, closed.phone, closed.call_id) == ("call_closed", ANN, "k-1")


def test_a_partition_that_is_read_later_has_time_for_its_calls() -> None:
    """
    Another one that has been read for hours closes no call of it: what it says next may belong there.
    """
    other = "pbx/1"
    exchange = Exchange(partitions=(PBX, other))
    later = [leg("bob", 5 * 3_600, "offered", call="c-2", party="customer", customer="+4915199999999")]
    assert told(exchange.hear(later, partition=other)) == [("call_ringing", 5 * 3_600)]
    assert told(exchange.hear(ANSWERED[:4])) == [("call_ringing", 0), ("call_queued", 3), ("call_answered", 10)]
    assert records(exchange.hear(ANSWERED[4:])) == []
    (found,) = records(exchange.hear([leg("eve", 120, "offered", call="c-3")]))
    assert (found.call_id, found.duration_ms, found.revision) == ("c-1", 42_500, 1)


def test_what_is_told_stands_where_the_batch_does() -> None:
    """
    A call of one partition that closes as a record of another one moves time is told where that record lies: by where a
    batch begins a store knows what links all of it may see.
    """
    other = "pbx/1"
    exchange = Exchange(partitions=(PBX, other))
    exchange.hear(ANSWERED)
    exchange.hear([leg("eve", 600, "offered", call="c-3")])
    moves_time = leg("bob", 601, "offered", call="c-2")
    moves_time.position = 41
    (closed,) = exchange.hear([moves_time], partition=other)
    assert (closed.kind, closed.partition, closed.position) == ("call_closed", other, 41)
