"""Laws of deciding: whatever the rules say, whatever people do, in whatever order it is told.

Each law is held against an obvious, slow reckoning over all that was told.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from config.durations import parse_duration
from config.zones import rules_of
from operators.caps import Cap
from operators.cart_record import CartRecord
from operators.event import FOREVER, rfc3339
from operators.rule_book import Book, Rule
from operators.trigger import Retraction, Suppressed, Trigger
from tests.operators import decided, traffic
from tests.operators.decided import Said, Watched
from tests.operators.traffic import ms

LIVES = 4
"""Under one book of rules: to read it costs as much as ten lives."""

Sent = tuple[int, Trigger]
"""A trigger, and how many records were told before it."""


def told_of(data: st.DataObject, rules: Book, delay_ms_max: int = traffic.LATENESS) -> Watched:
    """Any life under these rules, told in any order that lateness allows, with answers to what was sent."""
    log = data.draw(decided.lives())
    log = decided.answered(log, decided.triggers(decided.run(log, rules)))
    return decided.run(data.draw(traffic.arrivals(log, delay_ms_max)), rules)


# --- slots and ids ---------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.data())
def test_no_slot_has_two_winners(data: st.DataObject) -> None:
    """
    No two triggers that are alive at one time share a slot key, and no two records of decisions an id.
    """
    rules = decided.book(data.draw(decided.books()))
    for _ in range(LIVES):
        loop = told_of(data, rules)
        alive: dict[str, Trigger] = {}
        for one in loop.records:
            if isinstance(one, Retraction):
                del alive[one.slot_key]
            elif isinstance(one, Trigger):
                rival = alive.get(one.slot_key)
                assert rival is None or rival.expires_at <= one.not_before or one.expires_at <= rival.not_before
                alive[one.slot_key] = one
        ids = Counter(one.cloud_event[0] for one in loop.records if isinstance(one, Trigger | Suppressed | Retraction))
        assert [id_ for id_, count in ids.items() if count > 1] == []


# --- caps ------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.data())
def test_no_cap_is_exceeded(data: st.DataObject) -> None:
    """
    No span of a cap's length and no local day has more of what it counts, of all that the person was sent whom a
    trigger was for as far as was known, save what is exempt and what had bounced.
    """
    rules = decided.book(data.draw(decided.books()))
    zone = rules_of(rules.policy.zones.of("", "")[0].name)
    for _ in range(LIVES):
        loop = told_of(data, rules)
        has_zones = any(event.phone or b"timezone" in event.properties for _, event in loop.taken)
        sent = [(i, one) for i, one in enumerate(loop.records) if isinstance(one, Trigger)]
        for place, (i, one) in enumerate(sent):
            rule = rules.rules[one.rule.id]
            if rule.is_exempt:
                continue
            before = counted(loop, rules, sent[:place], i, one)
            for cap in [*rules.policy.caps, *rule.caps]:
                if cap.period == "rolling" or not has_zones:
                    assert crowd(before, one, cap, zone) <= cap.limit


def counted(loop: Watched, rules: Book, before: Sequence[Sent], i: int, one: Trigger) -> list[Trigger]:
    """What the same person had been sent that counts."""
    persons = loop.persons(one.profile_id, ms(one.not_before), i)
    bounced = {e.told().get("trigger_id") for told, e in loop.taken if e.kind == "email_bounced" and told <= i}
    return [
        other
        for _, other in before
        if other.profile_id in persons and other.trigger_id not in bounced and not rules.rules[other.rule.id].is_exempt
    ]


def crowd(before: Sequence[Trigger], one: Trigger, cap: Cap, zone: tzinfo) -> int:
    """How many that a cap counts lie in one span with the trigger, at the most, itself included."""
    if cap.scope != "all":
        name = getattr(one, cap.scope)
        if cap.name not in ("", name):
            return 0
        before = [other for other in before if getattr(other, cap.scope) == name]
    at, instants = ms(one.not_before), [ms(other.not_before) for other in before]
    if cap.period != "rolling":
        return 1 + sum(day(other, zone) == day(at, zone) for other in instants)
    instants.append(at)
    starts = [start for start in instants if start <= at < start + cap.per_ms]
    return max(sum(start <= other < start + cap.per_ms for other in instants) for start in starts)


def day(at: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).date().isoformat()


# --- consent ---------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.data())
def test_nothing_is_sent_without_consent(data: st.DataObject) -> None:
    """
    The newest word of the person on channel or purpose allows each trigger, or there is none and the policy does.

    What was decided as it came goes by all that was known, what a timer or the end of quiet hours brought by what was
    said up to its instant. (Told in the order of time: whose a straggler is takes more than a slow reckoning.)
    """
    said = data.draw(decided.books())
    rules = decided.book(said)
    for _ in range(LIVES):
        loop = told_of(data, rules, 0)
        for i, one in enumerate(loop.records):
            if isinstance(one, Trigger):
                assert may(said["policy"]["consent"], words(loop, one, i), rules.rules[one.rule.id], one)


def words(loop: Watched, one: Trigger, i: int) -> list[tuple[int, str, bool]]:
    """What the person had said by then: when, of what, and whether they agreed."""
    at = ms(one.not_before)
    until = at if one.cause.type.endswith(".timer") or one.not_before != one.cause.time else FOREVER
    persons = loop.persons(one.profile_id, until, i)
    found: list[tuple[int, str, bool]] = []
    for told, event in loop.taken:
        if told <= i and event.at <= until and event.profile_id in persons:
            found += [(event.at, name, given) for name, given in (event.consents or {}).items()]
            if event.kind == "email_complained":
                found.append((event.at, "email", False))
    return found


def may(policy: Said, said: list[tuple[int, str, bool]], rule: Rule, one: Trigger) -> bool:
    """Whether one may; at one instant a refusal counts, and of what is exempt only what names the purpose."""
    channel, purpose, is_exempt = one.channel, rule.purpose, rule.purpose in policy.get("exempt", EXEMPT)
    about = {f"{channel}:{purpose}", purpose} | (set() if is_exempt else {channel, "all"})
    heard = [(at, not given) for at, name, given in said if name in about]
    if not heard:
        return is_exempt or policy["defaults"][channel]
    since, is_refused = max(heard)
    valid_ms = parse_duration(policy["valid"]) if "valid" in policy else FOREVER
    return not is_refused and ms(one.not_before) - since < valid_ms


EXEMPT = ("transactional", "service")
"""Purposes that need no consent where the policy does not say which."""


# --- each candidate has one end ------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.data())
def test_each_candidate_has_one_end(data: st.DataObject) -> None:
    """
    A rule has at most one record for one cause; exactly one for each cart that is abandoned, and for each event of the
    kind that it decides on at once. At any time what is sent, suppressed and held has no more than that.
    """
    rules = decided.book(data.draw(decided.books()))
    for _ in range(LIVES):
        loop = told_of(data, rules)
        ends = Counter(end_of(one) for one in decided.decisions(loop))
        assert [end for end, count in ends.items() if count > 1] == []
        causes = [(f"{one.intent}.timer", one.cart_id, one.changed_at, "") for one in abandoned(loop)]
        causes += [(event.kind, "", rfc3339(event.at), event.event_id) for _, event in loop.taken]
        for kind, id_, time, event_id in causes:
            for rule in rules.at_once.get(kind, []):
                mine = [e for e in ends if e[0] == rule.id and e[1] == kind and e[3:] == (time, event_id)]
                assert len([e for e in mine if not id_ or e[2] == id_]) == 1


def end_of(one: Trigger | Suppressed) -> tuple[str, str, str, str, str]:
    return one.rule.id, one.cause.type, one.cause.id, one.cause.time, one.cause.event_id


def abandoned(loop: Watched) -> list[CartRecord]:
    return [one for one in loop.records if isinstance(one, CartRecord) and one.state == "abandoned"]


# --- taking back ---------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.data())
def test_a_trigger_is_taken_back_once_and_after_it_was_sent(data: st.DataObject) -> None:
    """
    However much undoes it; by what came after its cause, and before it has expired.
    """
    rules = decided.book(data.draw(decided.books()))
    for _ in range(LIVES):
        alive: dict[str, Trigger] = {}
        for one in told_of(data, rules).records:
            if isinstance(one, Trigger):
                alive[one.trigger_id] = one
            elif isinstance(one, Retraction):
                sent = alive.pop(one.trigger_id)
                assert one.cause.time < sent.expires_at == one.expires_at
                assert (one.slot_key, one.action, one.channel) == (sent.slot_key, sent.action, sent.channel)


# --- order, batches, rest ------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.data())
def test_what_is_decided_in_order_does_not_depend_on_arrival(data: st.DataObject) -> None:
    """
    Rules of carts and rules that wait send and suppress the same, field by field, in any order that lateness allows and
    in any batches; save the id of the profile where two leads become one, which is that of the one heard of first.
    """
    rules = decided.book(data.draw(decided.ordered_books()))
    for _ in range(LIVES):
        log = data.draw(decided.lives())
        log = decided.answered(log, decided.triggers(decided.run(log, rules)))
        arrived = data.draw(traffic.arrivals(log))
        shuffled = decided.run(arrived, rules, data.draw(traffic.batchings(len(log))))
        straight = decided.run(log, rules)
        assert in_any_order(map(nameless, decided.decisions(shuffled))) == in_any_order(
            map(nameless, decided.decisions(straight))
        )


@settings(max_examples=30)
@given(st.data())
def test_what_is_decided_at_once_by_its_event_alone_has_the_same_ids(data: st.DataObject) -> None:
    """
    In any order that lateness allows and in any batches, where no rule shares a limit with another.
    """
    rules = decided.book(data.draw(decided.free_books()))
    for _ in range(LIVES):
        log = data.draw(decided.lives())
        arrived = data.draw(traffic.arrivals(log))
        shuffled = decided.run(arrived, rules, data.draw(traffic.batchings(len(log))))
        ids = [one.trigger_id for one in decided.triggers(decided.run(log, rules))]
        assert sorted(one.trigger_id for one in decided.triggers(shuffled)) == sorted(ids)


@settings(max_examples=30)
@given(st.data())
def test_batches_change_no_decision(data: st.DataObject) -> None:
    """
    One order of arrival, any rules: every decision is the same, however the input is cut.
    """
    rules = decided.book(data.draw(decided.books()))
    for _ in range(LIVES):
        arrived = data.draw(traffic.arrivals(data.draw(decided.lives())))
        cut = decided.run(arrived, rules, data.draw(traffic.batchings(len(arrived))))
        assert in_any_order(cut.records) == in_any_order(decided.run(arrived, rules).records)


@settings(max_examples=30)
@given(st.data())
def test_what_rests_goes_on_as_if_it_had_not(data: st.DataObject) -> None:
    """
    States that rest as bytes between any two events, and those that never do, lead to the same records in the same
    order: so does a run that is taken up again at any point.
    """
    rules = decided.book(data.draw(decided.books()))
    for _ in range(LIVES):
        arrived = data.draw(traffic.arrivals(data.draw(decided.lives())))
        assert decided.run(arrived, rules, is_awake=True).records == decided.run(arrived, rules).records


def nameless(one: Trigger | Suppressed) -> Trigger | Suppressed:
    """A decision without the id of its profile."""
    if isinstance(one, Trigger) and one.address_ref.startswith("profile:"):
        one = msgspec.structs.replace(one, address_ref="")
    return msgspec.structs.replace(one, profile_id="")


def in_any_order(records: Iterable[Any]) -> list[tuple[str, bytes]]:
    return sorted((type(record).__name__, msgspec.json.encode(record)) for record in records)
