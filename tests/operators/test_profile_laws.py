"""Laws of a person's profile: what may not depend on order of arrival, on batches, or on when a device logs in."""

from collections import Counter
from datetime import datetime
from itertools import pairwise

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from config.traffic import TrafficSettings
from operators.cart_record import CartRecord
from operators.decision import Decider
from operators.event import FOREVER, Event
from operators.identity_record import IdentityRecord, StitchedRecord
from operators.profile import ProfileOperator
from operators.profile_state import HandOver, Profile, pack, unpack
from operators.session_record import SessionRecord
from operators.trigger import Suppressed, Trigger
from tests.operators import traffic
from tests.operators.traffic import HOUR
from tests.story import DAY_1, Half, Loop, Record, instant, replaced

RULES = {mode: traffic.settings(mode) for mode in ("activity", "cart_change")}
modes = st.sampled_from(sorted(RULES))


def told(records: list[Record]) -> list[tuple[str, bytes]]:
    """Records without the order in which they were told."""
    return sorted((type(record).__name__, msgspec.json.encode(record)) for record in records)


def timed(loop: Loop) -> list[Record]:
    """
    What the watermark brings about: sessions, carts, the decisions of timers, and what links bring. (Of two logins on a
    device within the lateness it is the first to arrive that links.)
    """
    kept: list[Record] = [r for r in loop.records if isinstance(r, SessionRecord | CartRecord)]
    links = [msgspec.structs.replace(r, event_id="", at="") for r in loop.records if isinstance(r, StitchedRecord)]
    return [*kept, *links, *traffic.timer_decisions(loop)]


# --- any order that lateness allows ---------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.data(), modes, st.booleans())
@pytest.mark.parametrize("has_logins", [False, True])
def test_disorder_within_the_lateness_changes_nothing(
    has_logins: bool,  # noqa: FBT001
    data: st.DataObject,
    mode: str,
    are_carts_named: bool,  # noqa: FBT001
) -> None:
    """
    The same sessions, carts and timer decisions, field by field, in any order of arrival and in any batches.
    """
    log = data.draw(traffic.days(are_carts_named=are_carts_named, has_logins=has_logins))
    arrived = data.draw(traffic.arrivals(log))
    shuffled = traffic.run(arrived, RULES[mode], data.draw(traffic.batchings(len(log))))
    assert told(timed(shuffled)) == told(timed(traffic.run(log, RULES[mode])))


@settings(max_examples=200)
@given(st.data(), modes)
@pytest.mark.parametrize("delay_ms_max", [traffic.LATENESS, traffic.HOUR])
def test_batches_change_nothing(delay_ms_max: int, data: st.DataObject, mode: str) -> None:
    """
    One order of arrival, late or not: every record is the same, those that events themselves cause included.
    """
    log = data.draw(traffic.days())
    arrived = data.draw(traffic.arrivals(log, delay_ms_max=delay_ms_max))
    batched = traffic.run(arrived, RULES[mode], [(size, True) for size in (3, 5, len(log))])
    assert told(batched.records) == told(traffic.run(arrived, RULES[mode]).records)


def test_a_late_login_finds_what_had_closed_by_then_in_any_batch() -> None:
    """
    The visit closed an hour before its visitor logs in, late: it is published as the visitor's and then mended as
    the lead's, whether or not the login is in one batch with the event that moved the watermark.
    """
    ten = instant("10:00")
    arrived = [
        Event("page_viewed", ten, "e1", "web", "d1", "d1"),
        Event("page_viewed", ten + traffic.HOUR, "e2", "web", "d4", "d4"),
        Event("identified", ten + 1, "e3", "web", "d1", "d1", user_id="mara"),
    ]
    together = traffic.run(arrived, RULES["activity"], [(3, True)])
    assert told(together.records) == told(traffic.run(arrived, RULES["activity"]).records)


@settings(max_examples=100)
@given(st.data(), modes)
def test_ids_are_the_same_in_every_run(data: st.DataObject, mode: str) -> None:
    """
    The same input gives the same records in the same order.
    """
    log = data.draw(traffic.days())
    assert traffic.run(log, RULES[mode]).records == traffic.run(log, RULES[mode]).records


# --- sessions -------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.data())
def test_no_two_visits_are_within_the_gap(data: st.DataObject) -> None:
    """
    Of the last revisions, however late their events came. (In a log shorter than the maximum length.)
    """
    rules = RULES["activity"]
    log = data.draw(traffic.days(has_logins=False))
    assume(log[-1].at - log[0].at <= rules.session.length_ms_max)
    arrived = data.draw(traffic.arrivals(log, delay_ms_max=90 * traffic.MINUTE))
    visits = traffic.last_sessions(traffic.run(arrived, rules))
    for before, after in pairwise(visits):
        if (before.visitor_id, before.channel) == (after.visitor_id, after.channel):
            gap_ms = rules.lead_rules().sessions.gap_ms[before.channel]
            assert _ms(after.started_at) - _ms(before.ended_at) > gap_ms


@settings(max_examples=200)
@given(st.data(), st.booleans())
def test_revisions_rise_and_the_last_word_is_one(data: st.DataObject, has_logins: bool) -> None:  # noqa: FBT001
    """
    Each id is published with revisions 1, 2, 3, in that order; a session that was merged says nothing more.
    """
    log = data.draw(traffic.days(has_logins=has_logins))
    arrived = data.draw(traffic.arrivals(log, delay_ms_max=90 * traffic.MINUTE))
    records = [r for r in traffic.run(arrived, RULES["activity"]).records if isinstance(r, SessionRecord)]
    for session_id in {record.session_id for record in records}:
        mine = [record for record in records if record.session_id == session_id]
        assert [record.revision for record in mine] == list(range(1, len(mine) + 1))
        assert "merged" not in [record.state for record in mine[:-1]]


# --- carts ----------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.data(), modes)
def test_nobody_is_reminded_of_what_was_bought_in_time(data: st.DataObject, mode: str) -> None:
    """
    No cart is abandoned with an order for it at or before its due instant.
    """
    log = data.draw(traffic.days())
    loop = traffic.run(data.draw(traffic.arrivals(log)), RULES[mode])
    for record in loop.records:
        if not isinstance(record, CartRecord) or record.state != "abandoned":
            continue
        orders = [
            event
            for event in log
            if event.kind == "order_completed"
            and event.visitor_id == record.visitor_id
            and event.commerce is not None
            and event.commerce.cart_id in ("", record.cart_id)
        ]
        left_at, due_at = _ms(record.last_activity_at), _ms(record.changed_at)
        assert [event.at for event in orders if left_at < event.at <= due_at] == []


@settings(max_examples=200)
@given(st.data(), modes, st.booleans())
def test_a_cause_has_one_trigger(data: st.DataObject, mode: str, are_carts_named: bool) -> None:  # noqa: FBT001
    """
    However late, in whatever batches: no trigger id twice, and each abandonment decided exactly once.
    """
    log = data.draw(traffic.days(are_carts_named=are_carts_named))
    arrived = data.draw(traffic.arrivals(log, delay_ms_max=traffic.HOUR))
    loop = traffic.run(arrived, RULES[mode], data.draw(traffic.batchings(len(log))))
    sent = Counter(record.trigger_id for record in loop.records if isinstance(record, Trigger))
    assert [id_ for id_, count in sent.items() if count > 1] == []
    abandoned = [r for r in loop.records if isinstance(r, CartRecord) and r.state == "abandoned"]
    assert len(traffic.timer_decisions(loop)) == len(abandoned)


@settings(max_examples=200)
@given(st.data(), modes)
def test_revisions_of_a_cart_rise(data: st.DataObject, mode: str) -> None:
    """
    Through logins and lateness, each revision of a cart id is published once, higher than the one before.
    """
    log = data.draw(traffic.days())
    arrived = data.draw(traffic.arrivals(log, delay_ms_max=traffic.HOUR))
    records = [r for r in traffic.run(arrived, RULES[mode]).records if isinstance(r, CartRecord)]
    for cart_id in {record.cart_id for record in records}:
        revisions = [record.revision for record in records if record.cart_id == cart_id]
        assert revisions == list(range(1, len(revisions) + 1))


@settings(max_examples=200)
@given(st.data(), modes)
def test_every_record_of_a_run_has_its_own_id(data: st.DataObject, mode: str) -> None:
    """
    Two records with one CloudEvents id and one source would be one to whoever reads them.
    """
    log = data.draw(traffic.days())
    arrived = data.draw(traffic.arrivals(log, delay_ms_max=traffic.HOUR))
    ids: Counter[tuple[str, str]] = Counter()
    for record in traffic.run(arrived, RULES[mode]).records:
        if isinstance(record, SessionRecord | CartRecord | Trigger | Suppressed | IdentityRecord):
            ids[record.stream, record.cloud_event[0]] += 1
    assert [id_ for id_, count in ids.items() if count > 1] == []


# --- absorbing ------------------------------------------------------------------------------------------------


def visitor(events: list[Event], operator: ProfileOperator) -> Profile:
    """A visitor's state after these events, in order."""
    half = Half(operator)
    for event in events:
        mark = max(half.watermark, event.at - traffic.LATENESS - 1)
        half.take(replaced(event, profile_id="v", mark=mark))
    state = half.let_go("v")
    assert state is not None
    return state


def lead(
    operator: ProfileOperator, log: list[Event], guests: list[tuple[HandOver, Profile]], places: list[int]
) -> tuple[list[Record], Profile]:
    """A lead's records and last state, each guest taken in before the event of the given number."""
    half = Half(operator)
    records: list[Record] = []
    for number in range(len(log) + 1):
        for place, (handover, state) in zip(places, guests, strict=True):
            if place == number:
                half.take_in(unpack("lead", pack("lead", state)), handover)
        if number < len(log):
            event = replaced(log[number], profile_id="lead")
            event.mark = max(half.watermark, event.at - traffic.LATENESS - 1)
            records += half.take(event)
    records += half.advance(FOREVER)
    last = half.state("lead")
    assert last is not None
    return records, last


@settings(max_examples=200)
@given(st.data(), modes)
def test_a_guest_may_come_before_or_after_events_and_other_guests(data: st.DataObject, mode: str) -> None:
    """
    Two devices log in at noon. Whether their states arrive before, between or after the lead's own events of
    the next half minute, and those from shortly before the login that were late, and in which order: no session, cart
    or timer decision differs.

    Save a session that such a late event makes one of two: where the event came first, it is told in two revisions. And
    save a delay that starts again with any activity: a late event that only shows that somebody was there, and came
    before its visitor's state, counts for the lead, whose state does not say whose activity was whose.
    """
    operator = ProfileOperator(RULES[mode].lead_rules(), Decider(traffic.BOOK))
    noon = instant("12:00")
    guests = []
    for number, device in enumerate(("d1", "d2")):
        log = data.draw(traffic.days([device], has_logins=False, count_max=5))
        late = noon - number - log[-1].at - 1
        log = [replaced(event, at=event.at + late) for event in log]
        guests.append((HandOver("v-" + device, device, "lead", noon - number), visitor(log, operator)))
    own = data.draw(traffic.days(["d1", "d2", "d3"], has_logins=False, count_max=8))
    begins = noon - (0 if mode == "activity" else data.draw(st.sampled_from([0, 10_000])))
    own = [replaced(e, event_id="own-" + e.event_id, at=e.at - own[0].at + begins) for e in own]
    soon = sum(event.at < noon + traffic.LATENESS for event in own)
    places = [data.draw(st.integers(0, soon)) for _ in guests]
    if data.draw(st.booleans()):
        guests.reverse()
    outcomes = []
    for where in (places, [0, 0]):
        records, _ = lead(operator, own, guests, where)
        kept: list[Record] = [r for r in records if isinstance(r, CartRecord)]
        if begins == noon:
            kept += [r for r in records if isinstance(r, SessionRecord | StitchedRecord)]
        decisions = [r for r in records if isinstance(r, Trigger | Suppressed) and r.action in traffic.ABANDONMENTS]
        outcomes.append(told([*kept, *decisions]))
    assert outcomes[0] == outcomes[1]


def test_visits_add_up_whether_the_guest_comes_before_or_after() -> None:
    """
    A visit that goes on through the login is one visit, whichever of state and event arrives first.
    """
    operator = ProfileOperator(RULES["activity"].lead_rules(), Decider(traffic.BOOK))
    noon = DAY_1 + 12 * traffic.HOUR
    before, after = (Event("page_viewed", at, f"e{at}", "web", "d1", "d1") for at in (noon - 1, noon))
    state = visitor([before], operator)
    guests = [(HandOver("v", "d1", "lead", noon), state)]
    visits = [lead(operator, [after], guests, [place])[1].visits for place in (0, 1)]
    assert visits == [1, 1]


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@settings(max_examples=200)
@given(st.data(), modes)
def test_a_state_at_rest_is_the_state_that_was(data: st.DataObject, mode: str) -> None:
    """
    Packed, unpacked and packed again, the profile of any visitor or lead is the same bytes.
    """
    loop = Loop(RULES[mode], traffic.BOOK)
    log = data.draw(traffic.days(["d1", "d2"], has_logins=True))
    for event in log:
        loop.take([replaced(event)])
        for half in (loop.visitors, loop.leads):
            for key, profile in half.profiles():
                raw = pack(key, profile)
                assert pack(key, unpack(key, raw)) == raw


# --- robots ---------------------------------------------------------------------------------------------------


def robots(loop: Loop) -> dict[str, int]:
    """Until when whose profile is a bot's."""
    states = [*loop.visitors.profiles(), *loop.leads.profiles()]
    return {key: state.bot_until for key, state in states if state.bot_until >= 0}


@settings(max_examples=200)
@given(st.data(), st.integers(1, 4))
def test_disorder_within_the_lateness_finds_the_same_robots(data: st.DataObject, rate_max: int) -> None:
    """
    The same visitors are robots until the same instants, in any order of arrival.
    """
    rules = msgspec.structs.replace(RULES["activity"], traffic=TrafficSettings(rate_max=rate_max, rate_ban_ms=HOUR))
    log = data.draw(traffic.days(has_logins=False))
    assert robots(traffic.run(data.draw(traffic.arrivals(log)), rules)) == robots(traffic.run(log, rules))


@settings(max_examples=200)
@given(st.data(), st.integers(1, 4))
def test_batches_make_no_difference_to_robots(data: st.DataObject, rate_max: int) -> None:
    """
    In one order of arrival the same is published and left out, however it is cut into batches.
    """
    rules = msgspec.structs.replace(RULES["activity"], traffic=TrafficSettings(rate_max=rate_max, rate_ban_ms=HOUR))
    arrived = data.draw(traffic.arrivals(data.draw(traffic.days())))
    cut = traffic.run(arrived, rules, data.draw(traffic.batchings(len(arrived))))
    assert told(cut.records) == told(traffic.run(arrived, rules).records)
