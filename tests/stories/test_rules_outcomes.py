"""What comes of triggers: outcomes that come back as events, and the orders that are credited to them (row 21)."""

import pytest

from operators.attribution_record import AttributionRecord
from operators.event import Commerce
from tests.stories.rules import MARA, Yaml, book_of, last, rule, sent, shop_of
from tests.story import Credit, Nudge, Story

TOUCH: Yaml = {
    "delivered": "message_delivered",
    "shown": "offer_shown",
    "opened": "email_opened",
    "clicked": "offer_clicked",
    "accepted": "offer_accepted",
}


def touched(channel: str = "email", touch: str = "opened", at: str = "10:05", **policy: Yaml) -> Story:
    """A shop that has said hello at 10:00, and somebody who has answered."""
    shop = shop_of(rule(channels=[channel]), **policy)
    shop.at("10:00").reads()
    shop.at(at).happens(TOUCH[touch], "anon-7", properties={"trigger_id": last(shop).trigger_id})
    return shop


@pytest.mark.parametrize(
    ("channel", "touch", "inside", "outside"),
    [
        ("email", "opened", "day 6 10:04:59.999", "day 6 10:05"),
        ("email", "clicked", "day 6 10:04:59.999", "day 6 10:05"),
        ("email", "accepted", "day 6 10:04:59.999", "day 6 10:05"),
        ("sms", "delivered", "22:04:59.999", "22:05"),
        ("sms", "clicked", "day 6 10:04:59.999", "day 6 10:05"),
        ("push", "opened", "day 2 10:04:59.999", "day 2 10:05"),
        ("push", "clicked", "day 2 10:04:59.999", "day 2 10:05"),
        ("onsite", "clicked", "day 2 10:04:59.999", "day 2 10:05"),
        ("onsite", "accepted", "day 6 10:04:59.999", "day 6 10:05"),
    ],
)
def test_each_channel_and_touch_has_its_window(channel: str, touch: str, inside: str, outside: str) -> None:
    """
    The last millisecond is in, the next is not.
    """
    for at, told in ((inside, [Credit("o1", "hello", touch, "10:05")]), (outside, [])):
        shop = touched(channel, touch)
        shop.at(at).orders("sofa", value=12.0)
        shop.ends()
        assert shop.credits() == told, at


@pytest.mark.parametrize(("channel", "touch"), [("email", "delivered"), ("email", "shown"), ("crm", "clicked")])
def test_not_every_touch_earns_an_order(channel: str, touch: str) -> None:
    """
    A letter in the box has brought nobody.
    """
    shop = touched(channel, touch)
    shop.at("10:06").orders("sofa")
    shop.ends()
    assert shop.credits() == []


def test_windows_are_the_policys() -> None:
    """
    An hour for a shown prompt, and none for anything else.
    """
    policy: Yaml = {"attribution": {"onsite": {"shown": "1h"}}}
    for channel, touch, at, count in (
        ("onsite", "shown", "11:04:59.999", 1),
        ("onsite", "shown", "11:05", 0),
        ("email", "opened", "10:06", 0),
    ):
        shop = touched(channel, touch, **policy)
        shop.at(at).orders("sofa")
        shop.ends()
        assert len(shop.credits()) == count, (channel, at)


def test_a_credit_says_what_it_is_worth() -> None:
    """
    Order, value, who, by what touch of which trigger, and when.
    """
    shop = touched()
    shop.at("10:06").orders("sofa", order="o7", value=149.9)
    shop.time("10:06")
    (record,) = shop.of(AttributionRecord)
    trigger = last(shop)
    assert record == AttributionRecord(
        order_id="o7",
        profile_id=trigger.profile_id,
        state="credited",
        value=149.9,
        currency="EUR",
        ordered_at="2026-11-21T10:06:00.000Z",
        trigger_id=trigger.trigger_id,
        action="hello",
        family="nurture",
        channel="email",
        touch="opened",
        touched_at="2026-11-21T10:05:00.000Z",
    )


def test_an_order_at_the_touchs_own_instant_is_its() -> None:
    """
    And one a millisecond before is not: nobody is moved by what comes after.
    """
    for at, told in (("10:05", [Credit("o1", "hello", "opened", "10:05")]), ("10:04:59.999", [])):
        shop = touched()
        shop.at(at).orders("sofa")
        shop.ends()
        assert shop.credits() == told, at


def two(second: str = "10:10") -> Story:
    """Two triggers: a is opened at 10:05, b is clicked later."""
    shop = shop_of(rule("a", slot="one"), rule("b", slot="two"))
    shop.at("10:00").reads()
    first, other = shop.triggers()
    shop.at("10:05").opens(first.trigger_id)
    shop.at(second).clicks(other.trigger_id)
    return shop


def test_the_last_touch_counts() -> None:
    """
    Before the order, that is; and of one instant the one that tells more of the person's mind.
    """
    for second, told in (
        ("10:10", Credit("o1", "b", "clicked", "10:10")),
        ("10:20", Credit("o1", "b", "clicked", "10:20")),
        ("10:20:00.001", Credit("o1", "a", "opened", "10:05")),
        ("10:05", Credit("o1", "b", "clicked", "10:05")),
    ):
        shop = two(second)
        shop.at("10:20").orders("sofa")
        shop.ends()
        assert shop.credits() == [told], second


def test_a_touch_that_is_told_late_is_credited_anew() -> None:
    """
    The letter program is slow: the click of 10:10 is told at 10:30. The later touch takes the order over, an earlier
    one does not.
    """
    shop = two("10:10")
    late, early = shop.triggers()[1], shop.triggers()[0]
    shop.at("10:20").orders("sofa")
    shop.time("10:30")
    shop.at("10:15").clicks(early.trigger_id)
    shop.time("10:31")
    shop.at("10:12").clicks(late.trigger_id)
    shop.time("10:32")
    assert shop.credits() == [Credit("o1", "b", "clicked", "10:10"), Credit("o1", "a", "clicked", "10:15")]


def test_a_cancelled_order_is_nobodys() -> None:
    """
    What was credited is withdrawn, once; an order that was cancelled before it was told is not credited at all.
    """
    shop = touched()
    shop.at("10:06").orders("sofa", order="o1").orders("lamp", order="o2")
    cancelled = Commerce(order_id="o1")
    shop.at("10:30").happens("order_cancelled", "anon-7", commerce=cancelled)
    shop.at("10:31").happens("order_cancelled", "anon-7", commerce=cancelled)
    shop.ends()
    credited = [Credit(order, "hello", "opened", "10:05") for order in ("o1", "o2")]
    assert shop.credits() == [*credited, Credit("o1")]
    assert [record.state for record in shop.of(AttributionRecord)] == ["credited", "credited", "withdrawn"]
    shop = touched()
    shop.at("10:06:10").happens("order_cancelled", "anon-7", commerce=cancelled)
    shop.time("10:10")
    shop.at("10:06").orders("sofa", order="o1")
    shop.ends()
    assert shop.credits() == []


def test_an_order_is_credited_once() -> None:
    """
    However often it is told.
    """
    shop = touched()
    shop.at("10:06").orders("sofa")
    shop.at("10:07").orders("sofa", event_id="again")
    shop.ends()
    assert shop.credits() == [Credit("o1", "hello", "opened", "10:05")]


@pytest.mark.parametrize("ordered", ["10:06", "10:11"])
def test_a_customer_is_credited_for_what_the_visitor_has_clicked(ordered: str) -> None:
    """
    Whether the order comes before the link or after it.
    """
    shop = shop_of(rule(channels=["push"]))
    shop.at("10:00").reads(by="phone-1")
    shop.at("10:05").clicks(last(shop).trigger_id, by="phone-1")
    events = {"10:10": lambda: shop.at("10:10").identifies("phone-1", as_="mara")}
    events[ordered] = lambda: shop.at(ordered).orders("sofa")
    for at in sorted(events):
        events[at]()
    shop.time("10:12")
    assert shop.credits() == [Credit("o1", "hello", "clicked", "10:05")]
    assert shop.name(shop.of(AttributionRecord)[0].profile_id) == "mara"


def test_an_outcome_told_by_the_server_finds_its_trigger() -> None:
    """
    The letter program knows the address only; the trigger was a visitor's.
    """
    shop = Story(book=book_of(rule(channels=["push"])))
    shop.at("10:00").reads(by="phone-1")
    trigger_id = last(shop).trigger_id
    shop.at("10:01").identifies("phone-1", email=MARA)
    shop.at("10:05").clicks(trigger_id, by="", email=MARA)
    shop.at("10:06").orders("sofa", by="phone-1")
    shop.ends()
    assert shop.credits() == [Credit("o1", "hello", "clicked", "10:05")]


def test_what_nobody_has_sent_earns_nothing() -> None:
    """
    A click that names another's trigger, or none; and what is due by contract.
    """
    for keys, trigger_id in (({}, "unknown"), ({}, ""), ({"purpose": "transactional"}, "its own")):
        shop = shop_of(rule(**keys))
        shop.at("10:00").reads()
        shop.at("10:05").clicks(last(shop).trigger_id if trigger_id == "its own" else trigger_id)
        shop.at("10:06").orders("sofa")
        shop.ends()
        assert shop.credits() == [], trigger_id


def test_what_is_held_back_earns_nothing() -> None:
    """
    The control group's orders are nobody's.
    """
    shop = shop_of(rule(holdout=1.0))
    shop.at("10:00").reads()
    shop.at("10:05").clicks(shop.suppressed()[0].trigger_id)
    shop.at("10:06").orders("sofa")
    shop.ends()
    assert shop.credits() == []


def test_a_letter_that_was_read_is_no_less_an_answer_after_the_rules_have_changed() -> None:
    """
    The trigger's names are its own: the order is credited to an action that there is no more.
    """
    shop = touched()
    shop.loop.decider.book = book_of(rule("another", "searched"))
    shop.at("10:06").orders("sofa")
    shop.ends()
    assert shop.credits() == [Credit("o1", "hello", "opened", "10:05")]
    assert shop.news() == [sent("10:00")]


def test_outcomes_may_come_before_what_they_are_of() -> None:
    """
    A click of 10:00:20 that comes in before the order of 10:00:10 is its future; before that of 10:00:30 it earns it.
    """
    for ordered, told in (("10:00:10", []), ("10:00:30", [Credit("o1", "hello", "clicked", "10:00:20")])):
        shop = shop_of(rule())
        shop.at("10:00").reads()
        shop.at("10:00:20").clicks(last(shop).trigger_id)
        shop.at(ordered).orders("sofa")
        shop.ends()
        assert shop.credits() == told, ordered
        assert shop.news()[0] == Nudge("mara", "hello", "10:00")
