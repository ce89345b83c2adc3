"""
What is held against a run in which there are requests: who was erased does not come back, and nothing else is lost.

When a request is taken in, between which events, depends on who is faster; what follows from it does not. An event is
surely later than an erasure where it happened after it and came when all was done that the erasure is about: then it
counts, once. One that happened before never counts from then on. Of what happened after and came before all was done,
each may have gone with the rest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from operators.event import Event
from operators.identity import alias_key, record_key
from tests import model
from tests.chaos.audit import Verdict, events, instant
from tests.chaos.rules import ms
from tests.pipeline.helpers import Line, reference
from tests.simulation.affairs import Affair, Erasure, Remains, Told, answered, published
from tests.simulation.people import in_order
from tests.simulation.requests import Wishes
from tests.simulation.rules import RULES
from tests.simulation.world import World


def judge_requests(verdict: Verdict, world: World, wished: Wishes) -> None:
    """Hold against a run what must be true of its requests."""
    told = [
        Told(stream, id_, msgspec.json.decode(one.value or b"{}"), (one.key or b"").decode(), one.came_at)
        for stream, id_, one in published(world)
    ]
    found = answered(world)
    verdict.none_of("requests without an answer", [one.id for one in wished.asked if one.id not in found])
    outcomes: defaultdict[str, set[str]] = defaultdict(set)
    for one in told:
        if one.stream == "answers" and one.data["request"] in {"erase", "unmerge"}:
            outcomes[one.data["request_id"]].add(one.data["outcome"])
    verdict.none_of(
        "requests with several outcomes", [f"{id_} {what}" for id_, what in outcomes.items() if len(what) > 1]
    )
    # Who comes back after an erasure may be told again what was told before it: nobody remembers that.
    twice = Counter((one.id, one.data["cause"]["time"]) for one in told if one.stream == "triggers")
    verdict.none_of("triggers told twice", [id_ for id_, count in twice.items() if count > 1])
    what_is_left = Remains(world)
    for case in wished.cases:
        affair = Affair(world, case, told)
        if not affair.answers:
            continue
        if case.asked.what == "erase":
            if affair.is_whole and affair.outcome == "done":
                _erased(verdict, Erasure(affair, told), what_is_left, world)
        else:
            _parted(verdict, affair, what_is_left)


def _erased(verdict: Verdict, erasure: Erasure, left: Remains, world: World) -> None:
    verdict.none_of("profiles of whose erasure compacted topics hear nothing", erasure.missing)
    _gone(verdict, erasure, left)
    _old_visits(verdict, erasure)
    _new_visits(verdict, erasure)
    _decisions(verdict, erasure)
    if not erasure.maybe:
        _as_if_new(verdict, erasure, world)


def _gone(verdict: Verdict, erasure: Erasure, left: Remains) -> None:
    """Nothing is kept of those who were erased, under any name; who has come back is somebody new."""
    case, leads = erasure.affair.case, erasure.leads
    kept = [f"{case.name}: {key}" for key in (left.states.keys() | left.awaited) & leads]
    kept += [
        f"{case.name}: {key}" for lead in leads for key in (record_key(lead), alias_key(lead)) if key in left.names
    ]
    kept += [f"{case.name}: given {tag}" for tag in left.given if tag.partition("@")[0] in leads]
    kept += [f"{case.name}: {name}" for name in case.names if left.names.get(name) in leads]
    if not erasure.later:
        kept += [f"{case.name}: {name} of {left.names[name]}" for name in sorted(case.names) if left.names.get(name)]
        kept += [f"{case.name}: a state of {key}" for key in left.of(f"{case.name}.")]
    kept += [
        f"{case.name}: a state of {key} since {erasure.at - state.first_at} ms before it"
        for key, state in left.of(f"{case.name}.").items()
        if state.first_at <= erasure.at
    ]
    verdict.none_of("things kept of who was erased", kept)


def _old_visits(verdict: Verdict, erasure: Erasure) -> None:
    """A visit that began before it is told only where it was over before all was done."""
    found = [
        f"{one['visitor_id']} {one['started_at']} to {one['ended_at']} of {one['profile_id']}"
        for one in erasure.affair.sessions
        if instant(one["started_at"]) <= erasure.at
        and not erasure.may_be_over(instant(one["ended_at"]) + ms(RULES.gap))
    ]
    verdict.none_of("visits told of who was erased", found)


def _new_visits(verdict: Verdict, erasure: Erasure) -> None:
    """What happened after it and surely came after it is in one visit."""
    new = [
        one for one in erasure.affair.sessions if instant(one["started_at"]) > erasure.at and not erasure.is_old(one)
    ]
    wrong = []
    for event in erasure.sure:
        count = sum(_holds(one, event) for one in new)
        if count != 1:
            wrong.append(f"{event.event_id} in {count} visits")
    for one in new:
        least, most = (sum(_holds(one, event) for event in which) for which in (erasure.sure, erasure.later))
        if not least <= one["events"] <= most:
            wrong.append(f"{one['visitor_id']} {one['started_at']}: {one['events']}, not {least} to {most}")
    verdict.none_of("visits after an erasure that are not as they should be", wrong)


def _holds(session: Mapping[str, Any], event: Event) -> bool:
    is_there = (session["visitor_id"], session["channel"]) == (event.visitor_id, event.channel)
    return is_there and instant(session["started_at"]) <= event.at <= instant(session["ended_at"])


def _decisions(verdict: Verdict, erasure: Erasure) -> None:
    """Nothing comes about for who was erased once all is done, and nothing old for who has come back."""
    affair, wrong = erasure.affair, []
    carts = {event.commerce.cart_id for event in erasure.later if event.commerce}
    for one in affair.of("triggers") + affair.of("suppressed"):
        cause = one["cause"]
        event = affair.events.get(cause["event_id"])
        happened_at = instant(cause["time"])
        if event is not None and event.at == happened_at:
            is_over = affair.arrived[event.event_id] <= erasure.done_at
        else:
            is_over = erasure.may_be_over(happened_at)
        is_new = happened_at > erasure.at and not erasure.is_old(one)
        is_new = is_new and (event is None or event.at > erasure.at)
        is_new = is_new and (cause["type"].partition(".")[0] not in {"cart", "checkout"} or cause["id"] in carts)
        if not is_over and not is_new:
            wrong.append(f"{one['action']} of {one['profile_id']} for {cause}")
    for one in affair.of("carts"):
        is_new = not erasure.is_old(one) and (one["cart_id"] in carts or one["intent"] == "browse")
        is_new = is_new and instant(one["opened_at"]) > erasure.at
        changed_at = instant(one["changed_at"])
        is_over = erasure.may_be_over(changed_at) or changed_at in {
            event.at for event in affair.events.values() if affair.arrived[event.event_id] <= erasure.done_at
        }
        if not is_over and not is_new:
            wrong.append(f"{one['cart_id']} {one['state']} at {one['changed_at']} of {one['profile_id']}")
    verdict.none_of("decisions on who was erased", wrong)


def _as_if_new(verdict: Verdict, erasure: Erasure, world: World) -> None:
    """Where it is sure what came after it, all that is told of that is what is told of somebody who is new."""
    affair, sure = erasure.affair, {event.event_id for event in erasure.sure}
    decoded = events(one.line for one in affair.case.log)
    log = [
        Line(0, one.at, one.sent_at, one.line)
        for one, event in sorted(zip(affair.case.log, decoded, strict=True), key=lambda pair: in_order(pair[0]))
        if event.event_id in sure
    ]
    true = {
        (one.visitor, one.channel, one.started_at, one.ended_at, one.events)
        for one in model.sessions([affair.events[id_] for id_ in sorted(sure)], RULES.settings.lead_rules().sessions)
    }
    seen = {
        (one["visitor_id"], one["channel"], instant(one["started_at"]), instant(one["ended_at"]), one["events"])
        for one in affair.sessions
        if instant(one["started_at"]) > erasure.at
    }
    verdict.none_of("visits of who has come back that are not told", true - seen)
    verdict.none_of("visits of who has come back that are none", seen - true)
    quietly = reference(world.settings, log) if log else []
    for stream in ("triggers", "carts", "suppressed"):
        rows = {_row(one) for one in affair.of(stream) if not erasure.is_old(one)}
        expected = {_row(event["data"]) for name, event in quietly if name == stream}
        verdict.none_of(f"{stream} of who has come back that are missing", expected - rows)
        strange = {row for row in rows - expected if row[-1] > erasure.at and not erasure.may_be_over(row[-1])}
        verdict.none_of(f"{stream} of who has come back that should not be", strange)


def _row(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what is told, whoever it is told of: last, when it came about."""
    if "cause" in one:
        cause = one["cause"]
        return one["action"], one.get("reason", ""), cause["type"], cause["event_id"], instant(cause["time"])
    return one["visitor_id"], one["intent"], one["state"], one["value"], instant(one["changed_at"])


def _parted(verdict: Verdict, affair: Affair, left: Remains) -> None:
    """Nothing is lost or told twice of people who are taken apart, and each name leads where it was said to."""
    name, wrong = affair.case.name, []
    counted: Counter[tuple[str, str]] = Counter()
    for one in affair.sessions:
        counted[one["visitor_id"], one["channel"]] += one["events"]
    sent = Counter[tuple[str, str]]((event.visitor_id, event.channel) for event in affair.events.values())
    wrong += [f"{key}: {counted[key]} of {sent[key]} events" for key in counted | sent if counted[key] != sent[key]]
    verdict.none_of("visits of people taken apart that are not as they should be", wrong)
    if affair.outcome == "done" and affair.is_known:
        verdict.none_of("names that lead elsewhere", list(_strays(affair, left)))
    verdict.none_of("carts of people taken apart that are not as they should be", list(_carts(affair)))
    verdict.none_of("people taken apart who wait for ever", [key for key in left.awaited if key.startswith(f"{name}.")])


def _strays(affair: Affair, left: Remains) -> Iterator[str]:
    asked = affair.asked
    answer = affair.answers[0].data
    owner, other = answer["profile_id"], answer.get("other_profile_id", "")
    if any(_is_together(event) and event.at > affair.at for event in affair.events.values()):
        return
    for name in sorted(affair.case.names):
        if name.endswith(".b") and name not in asked.names:
            continue  # it follows who logs in on it
        wanted = other if name in asked.names else owner
        found = left.names.get(name, "")
        if found != wanted:
            yield f"{affair.case.name}: {name} leads to {found or 'nobody'}, not to {wanted or 'nobody'}"


def _is_together(event: Event) -> bool:
    """Whether an event names people of both sides."""
    return bool(event.user_id) and event.email.endswith("-2@example.com")


def _carts(affair: Affair) -> Iterator[str]:
    """A cart is opened once, and is abandoned once or bought."""
    told: defaultdict[str, list[str]] = defaultdict(list)
    for one in affair.of("carts"):
        if one["intent"] != "browse":
            told[one["cart_id"]].append(one["state"])
    named = [(event.kind, event.commerce.cart_id) for event in affair.events.values() if event.commerce]
    filled = {cart for kind, cart in named if kind == "product_added"}
    bought = {cart for kind, cart in named if kind == "order_completed"}
    if affair.outcome == "done" and len(affair.asked.names) == 1:
        return  # a device alone leaves what it has done, and an address alone leaves its device
    for cart in sorted(filled):
        states = sorted(told[cart])
        over = [["open", "purchased"]] if cart in bought else [["abandoned", "open"]]
        if bought and cart not in bought:  # what an order covers is bought with it
            over += [["open", "purchased"], ["abandoned", "open", "recovered"]]
        if states not in over:
            yield f"{cart}: {', '.join(states)}, not {', '.join(over[0])}"
