"""What the made-up traffic promises to those who measure and demonstrate with it."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

import pytest

from benchmarks.traffic import TrafficPlan, generate

DAY = TrafficPlan(events=30_000, visitors=1_500, seed=7, malformed_share=0.01)

Event = dict[str, Any]


@cache
def lines_of(plan: TrafficPlan) -> list[bytes]:
    return list(generate(plan))


def sound(lines: Iterable[bytes]) -> list[Event]:
    """Events of the well-formed lines, repeated ones included."""
    events = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event["messageId"].startswith("m-"):
            events.append(event)
    return events


@cache
def day() -> list[Event]:
    return sound(lines_of(DAY))


def ms(text: str) -> int:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 1000 + int(fraction)


def happened_at(event: Event) -> int:
    """Event time as Segment's specification corrects it."""
    if "sentAt" in event:
        return ms(event["receivedAt"]) - (ms(event["sentAt"]) - ms(event["originalTimestamp"]))
    return ms(event["timestamp"])


def by_name(events: Iterable[Event], *names: str) -> list[Event]:
    return [event for event in events if event.get("event", event["type"]) in names]


def test_the_same_plan_gives_the_same_bytes_everywhere() -> None:
    """A plan names its bytes, on every machine and Python; a change of this hash is a new generator."""
    plan = TrafficPlan(events=3_000, visitors=200, seed=11, malformed_share=0.02)

    digest = hashlib.sha256(b"".join(generate(plan))).hexdigest()

    assert digest == "3ca12fb6b29e4b1374e79198be6df303b8a12522fdf7df50b4bc3ae2fb64341a"


def test_another_seed_gives_another_day() -> None:
    """Seeds share no messages and no anonymous ids."""
    first, second = (
        {
            (e["messageId"], e.get("anonymousId"))
            for e in sound(generate(TrafficPlan(events=500, visitors=50, seed=seed)))
        }
        for seed in (1, 2)
    )

    assert first.isdisjoint(second)


@pytest.mark.parametrize(("events", "visitors"), [(1, 1), (7, 7), (1_000, 990), (1_001, 3), (20_000, 1_000)])
def test_there_are_exactly_as_many_lines_as_asked_for(events: int, visitors: int) -> None:
    """Crowds of one line each and a few busy visitors alike; every line ends in one line end."""
    lines = list(generate(TrafficPlan(events=events, visitors=visitors, seed=3, duplicate_share=0.0)))

    assert len(lines) == events
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)


@pytest.mark.parametrize("delay_ms_max", [1, 5_000, 30_000])
def test_lines_come_in_order_of_arrival_and_disorder_is_bounded(delay_ms_max: int) -> None:
    """No line, repeated or skewed, comes `delay_ms_max` or more behind one that happened later."""
    plan = TrafficPlan(events=20_000, visitors=1_000, seed=5, delay_ms_max=delay_ms_max, skewed_share=0.5)
    events = sound(generate(plan))
    latest_at = behind_ms = 0
    for event in events:
        latest_at = max(latest_at, happened_at(event))
        behind_ms = max(behind_ms, latest_at - happened_at(event))

    assert len(events) == plan.events
    assert behind_ms < delay_ms_max
    firsts: dict[str, int] = {}
    for event in events:
        firsts.setdefault(event["messageId"], ms(event["receivedAt"]))
    assert list(firsts.values()) == sorted(firsts.values())


def test_corrected_time_is_true_to_the_millisecond_for_wrong_clocks() -> None:
    """The same day with right clocks says when each event happened; wrong ones are minutes to hours off."""
    right, wrong = (
        {
            e["messageId"]: e
            for e in sound(generate(TrafficPlan(events=5_000, visitors=300, seed=9, skewed_share=share)))
        }
        for share in (0.0, 1.0)
    )
    clients = {key for key, event in right.items() if "anonymousId" in event}

    assert {key: happened_at(event) for key, event in wrong.items()} == {
        key: ms(event["timestamp"]) for key, event in right.items()
    }
    off = [abs(ms(wrong[key]["timestamp"]) - ms(right[key]["timestamp"])) for key in clients]
    assert 2 * 60_000 <= min(off) <= max(off) < 6 * 3_600_000
    assert {key for key, event in wrong.items() if "sentAt" in event} == clients


def test_shares_are_what_the_plan_says() -> None:
    """A fifth of the visitors identify, 3 % of the clients have a wrong clock, 3 % of the visitors call."""
    clients = {e["anonymousId"]: e for e in day() if "anonymousId" in e}
    wrong = [c for c in clients.values() if happened_at(c) != ms(c["timestamp"])]
    leads = {e["userId"] for e in by_name(day(), "identify")}
    callers = {e["properties"]["phone"] for e in by_name(day(), "call_started")}

    assert len(leads) / DAY.visitors == pytest.approx(0.20, abs=0.03)
    assert len(wrong) / len(clients) == pytest.approx(0.03, abs=0.015)
    assert len(callers) / DAY.visitors == pytest.approx(0.03, abs=0.015)
    assert len(clients) >= DAY.visitors


def test_every_visitor_comes_and_some_come_much_more_than_others() -> None:
    """Activity follows Zipf's law: the busiest tenth makes more than a third of the lines."""
    plan = TrafficPlan(events=10_000, visitors=500, seed=1, known_share=0.0)
    counts: defaultdict[str, int] = defaultdict(int)
    for event in sound(generate(plan)):
        if "anonymousId" in event:
            counts[event["anonymousId"]] += 1

    assert len(counts) == plan.visitors
    assert sum(sorted(counts.values())[-50:]) > plan.events / 3


def test_repeated_lines_come_later_with_the_same_bytes() -> None:
    """Exactly the share asked for, each within five seconds of its original's arrival."""
    originals: dict[bytes, int] = {}
    repeated, clock_at = [], 0
    for line in lines_of(DAY):
        if event := next(iter(sound([line])), None):
            if line in originals:
                repeated.append(clock_at - originals[line])
            clock_at = max(clock_at, ms(event["receivedAt"]))
            originals.setdefault(line, ms(event["receivedAt"]))

    assert len(repeated) == round(DAY.events * DAY.duplicate_share)
    assert 0 <= min(repeated) <= max(repeated) <= 5_000
    assert len({e["messageId"] for e in day()}) == len(originals)


def test_malformed_lines_are_as_many_as_asked_for() -> None:
    """Whatever is not well-formed was ordered; some of it is no UTF-8 and some is no object."""
    bad = round(DAY.events * DAY.malformed_share)

    assert len(lines_of(DAY)) - len(day()) == bad == 300
    assert any(b"\xff" in line for line in lines_of(DAY))
    assert b'["Product Viewed"]\n' in lines_of(DAY)


def test_a_cart_filled_in_the_browser_is_bought_in_the_app() -> None:
    """Some leads fill a cart on the web and order it in the app: two anonymous ids, one user id."""
    filled: defaultdict[str, set[str]] = defaultdict(set)
    for event in by_name(day(), "Product Added"):
        if event["channel"] == "web":
            filled[event["properties"]["cart_id"]].add(event["anonymousId"])
    stories = [
        (cart, order)
        for order in by_name(day(), "Order Completed")
        if order["channel"] == "mobile"
        and (cart := order["properties"]["checkout_id"].replace("chk", "cart")) in filled
    ]
    users = {e["anonymousId"]: e["userId"] for e in by_name(day(), "identify")}

    assert stories
    assert all(order["anonymousId"] not in filled[cart] for cart, order in stories)
    assert all({users.get(web) for web in filled[cart]} == {order["userId"]} for cart, order in stories)


def test_carts_are_left_bought_and_emptied() -> None:
    """Of the carts filled, some are ordered and some are not; about half of the orders name their cart."""
    filled = {e["properties"]["cart_id"].removeprefix("cart-") for e in by_name(day(), "Product Added")}
    orders = by_name(day(), "Order Completed")
    bought = {e["properties"]["checkout_id"].removeprefix("chk-") for e in orders}
    unnamed = [e for e in orders if "cart_id" not in e["properties"]]

    assert bought <= filled
    assert 0.3 < len(filled - bought) / len(filled) < 0.9
    assert 0.3 < len(unnamed) / len(orders) < 0.7
    assert by_name(day(), "Product Removed")
    assert by_name(day(), "Order Refunded")


def test_calls_come_from_known_and_unknown_numbers_and_some_are_given_up() -> None:
    """Telephony knows the number and not the browser; a call that nobody answered lasted no second."""
    known = {e["traits"]["phone"] for e in by_name(day(), "identify")}
    calls: defaultdict[str, dict[str, Event]] = defaultdict(dict)
    for event in by_name(day(), "call_started", "call_answered", "call_ended"):
        calls[event["properties"]["callId"]][event["event"]] = event["properties"]
    answered = {"call_answered" in call: call["call_ended"]["duration"] > 0 for call in calls.values()}

    assert answered == {True: True, False: False}
    assert {call["call_started"]["phone"] in known for call in calls.values()} == {True, False}
    assert all("anonymousId" not in e for e in day() if e["channel"] == "phone")


def test_an_email_follows_a_cart_its_reader_left() -> None:
    """Who opens one opted in and put something into a cart in the six hours before; some come back."""
    leads = by_name(day(), "identify")
    reader_of = {lead["traits"]["email"]: lead for lead in leads}
    user_of = {lead["anonymousId"]: lead["userId"] for lead in leads}
    added = [(user_of.get(e["anonymousId"]), happened_at(e)) for e in by_name(day(), "Product Added")]
    mails = by_name(day(), "Email Opened", "Email Link Clicked")

    assert {mail["event"] for mail in mails} == {"Email Opened", "Email Link Clicked"}
    for mail in mails:
        reader, at = reader_of[mail["properties"]["email"]], happened_at(mail)
        assert reader["traits"]["email_opt_in"] is True
        assert any(user == reader["userId"] and at - 6 * 3_600_000 < added_at < at for user, added_at in added)
    assert any(event["context"].get("campaign", {}).get("name") == "reminder" for event in day())


def test_lines_are_as_long_as_real_ones() -> None:
    """About 400 to 700 bytes on average, so that a benchmark on them means something."""
    mean = sum(map(len, lines_of(DAY))) / DAY.events

    assert 400 < mean < 700


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"visitors": 101}, "visitors is 101 but must lie between 1 and 99"),
        ({"duplicate_share": 0.3}, "duplicate_share is 0.3 but must lie between 0 and 0.25"),
        ({"days": 0}, "days is 0 but must lie between 1 and 400"),
    ],
)
def test_a_plan_that_cannot_be_met_is_refused(change: dict[str, Any], cause: str) -> None:
    """At once, not in the middle of the day, with the limit that it breaks."""
    with pytest.raises(ValueError, match=cause):
        TrafficPlan(**{"events": 100, "visitors": 10, "seed": 1} | change)
