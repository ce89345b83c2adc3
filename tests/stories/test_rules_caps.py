"""Caps: how often somebody may be contacted, by channel, action, family and in all. Contracts section 4, Caps."""

import pytest

from tests.stories.rules import Yaml, last, rule, sent, shop_of
from tests.story import Held, Nudge, Story

BERLIN = {"time_zone": "Europe/Berlin"}
READ, SEARCH = rule("read", "page_viewed"), rule("search", "searched", slot="other")


def held(at: str, action: str = "hello", to: str = "mara") -> Held:
    """A decision that a cap has held back."""
    return Held(to, action, at, "cap")


def capped(limit: int, per: str, **policy: Yaml) -> Story:
    """A shop that says hello at every page, so often."""
    return shop_of(rule(), caps=[{"scope": "all", "limit": limit, "per": per}], **policy)


def decisions(shop: Story, *times: str) -> list[object]:
    """What is said to who reads at these times."""
    for time in times:
        shop.at(time).reads()
    return list(shop.news())


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_cap_has_its_last_and_its_next(limit: int) -> None:
    """
    The last one that it allows is sent, the next one is not.
    """
    times = [f"10:0{minute}" for minute in range(limit + 1)]
    assert decisions(capped(limit, "1d"), *times) == [*map(sent, times[:-1]), held(times[-1])]


def test_a_rolling_span_ends_at_its_instant() -> None:
    """
    59:59.999 after the first of two in an hour is too soon, 60:00 is not; what was held back counts for nothing.
    """
    shop = capped(2, "1h")
    assert decisions(shop, "10:00", "10:30", "10:59:59.999", "11:00", "11:29:59.999", "11:30") == [
        sent("10:00"),
        sent("10:30"),
        held("10:59:59.999"),
        sent("11:00"),
        held("11:29:59.999"),
        sent("11:30"),
    ]
    assert [one.detail for one in shop.suppressed()] == ["email: 2 per 60 min of all"] * 2


def test_no_span_of_that_length_has_more_in_whatever_order() -> None:
    """
    An event that comes in later than one after it is held back as close to it as one after it would be.
    """
    shop = capped(1, "10s")
    assert decisions(shop, "10:00:10", "10:00:00.001", "10:00:20") == [
        sent("10:00:10"),
        held("10:00:00.001"),
        sent("10:00:20"),
    ]
    assert decisions(capped(1, "10s"), "10:00:10", "10:00") == [sent("10:00:10"), sent("10:00")]


@pytest.mark.parametrize(
    ("first", "before", "at"),
    [
        ("22:00", "22:59:59.999", "23:00"),  # UTC + 1
        ("day 127 23:00", "day 128 21:59:59.999", "day 128 22:00"),  # put forward, 28 March 2027: 23 hours
        ("day 344 22:00", "day 345 22:59:59.999", "day 345 23:00"),  # put back, 31 October 2027: 25 hours
    ],
)
def test_a_day_is_the_persons_own(first: str, before: str, at: str) -> None:
    """
    From midnight to midnight by their own clock, however many hours lie between.
    """
    shop = capped(1, "local_day", **BERLIN)
    assert decisions(shop, first, before, at) == [sent(first), held(before), sent(at)]
    assert shop.suppressed()[0].detail == "email: 1 per local day of all"


def test_a_week_begins_on_monday() -> None:
    """
    The letter of Saturday holds until Sunday, 23:59:59.999 by their clock.
    """
    times = ("10:00", "day 2 22:59:59.999", "day 2 23:00", "day 9 22:59:59.999", "day 9 23:00")
    assert decisions(capped(1, "local_week", **BERLIN), *times) == [
        sent(times[0]),
        held(times[1]),
        sent(times[2]),
        held(times[3]),
        sent(times[4]),
    ]


def test_a_week_may_begin_in_another_time_of_the_year() -> None:
    """
    The clocks go forward on a Sunday: the week has an hour less.
    """
    times = ("day 127 10:00", "day 128 21:59:59.999", "day 128 22:00")
    assert decisions(capped(1, "local_week", **BERLIN), *times) == [sent(times[0]), held(times[1]), sent(times[2])]


def both(cap: Yaml, *rules: Yaml) -> list[object]:
    """What is said to who reads, searches, reads and searches."""
    shop = shop_of(*(rules or (READ, SEARCH)), caps=[{"limit": 1, "per": "1d"} | cap])
    shop.at("10:00").reads().searches("sofa")
    shop.at("10:01").reads().searches("sofa")
    return list(shop.news())


def test_a_cap_on_all_counts_all() -> None:
    """
    One contact a day, whatever its action, family and channel.
    """
    rules = READ, SEARCH | {"family": "offer", "channels": ["sms"]}
    assert both({"scope": "all"}, *rules) == [
        sent("10:00", "read"),
        held("10:00", "search"),
        held("10:01", "read"),
        held("10:01", "search"),
    ]


def test_a_cap_on_an_action_counts_that() -> None:
    """
    Each action has its own one a day; by name, one of them has.
    """
    firsts = [sent("10:00", "read"), sent("10:00", "search")]
    assert both({"scope": "action"}) == [*firsts, held("10:01", "read"), held("10:01", "search")]
    assert both({"scope": "action", "name": "read"}) == [*firsts, held("10:01", "read"), sent("10:01", "search")]


def test_a_cap_on_a_family_counts_that() -> None:
    """
    Two actions of one family are counted together, of two apart.
    """
    assert both({"scope": "family"}) == [
        sent("10:00", "read"),
        held("10:00", "search"),
        held("10:01", "read"),
        held("10:01", "search"),
    ]
    rules = READ, SEARCH | {"family": "offer"}
    firsts = [sent("10:00", "read"), sent("10:00", "search")]
    assert both({"scope": "family"}, *rules) == [*firsts, held("10:01", "read"), held("10:01", "search")]
    assert both({"scope": "family", "name": "offer"}, *rules) == [
        *firsts,
        sent("10:01", "read"),
        held("10:01", "search"),
    ]


def test_a_cap_on_a_channel_counts_that() -> None:
    """
    One e-mail a day and one message, or of one of them only.
    """
    rules = READ, SEARCH | {"channels": ["sms"]}
    firsts = [sent("10:00", "read"), sent("10:00", "search", "sms")]
    assert both({"scope": "channel"}, *rules) == [*firsts, held("10:01", "read"), held("10:01", "search")]
    assert both({"scope": "channel", "name": "email"}, *rules) == [
        *firsts,
        held("10:01", "read"),
        sent("10:01", "search", "sms"),
    ]


def test_a_rule_may_have_a_cap_of_its_own() -> None:
    """
    Beside the policy's; it binds that rule only, and counts what others have sent.
    """
    own = {"caps": [{"scope": "channel", "limit": 1, "per": "1d"}]}
    shop = shop_of(READ | own, SEARCH)
    shop.at("10:00").searches("sofa").reads()
    shop.at("10:01").searches("sofa")
    assert shop.news() == [sent("10:00", "search"), held("10:00", "read"), sent("10:01", "search")]


def test_what_is_due_by_contract_is_never_capped_nor_counted() -> None:
    """
    A transactional letter goes out beyond any cap, and uses none of it up.
    """
    confirm = rule("confirm", "order_completed", purpose="transactional", slot="other")
    shop = shop_of(READ, confirm, caps=[{"scope": "all", "limit": 1, "per": "1d"}])
    shop.at("10:00").orders("sofa", order="o1")
    shop.at("10:01").reads()
    shop.at("10:02").orders("sofa", order="o2").reads()
    assert shop.news() == [
        sent("10:00", "confirm"),
        sent("10:01", "read"),
        sent("10:02", "confirm"),
        held("10:02", "read"),
    ]


@pytest.mark.parametrize("bounced", ["10:00:30", "10:05"])
def test_what_has_bounced_does_not_count(bounced: str) -> None:
    """
    It has reached nobody: from the bounce on there is room for another, to an address that is good, which counts; other
    outcomes change nothing.
    """
    shop = capped(1, "1d")
    shop.at("10:00").reads()
    shop.at("10:00:29").receives(last(shop).trigger_id).reads()
    shop.at(bounced).bounces(last(shop).trigger_id)
    shop.at("10:05:30").identifies(as_="mara", email="mara.new@shop.example")
    shop.at("10:06").reads()
    shop.at("10:07").reads()
    assert shop.news() == [sent("10:00"), held("10:00:29"), sent("10:06"), held("10:07")]


def test_a_message_that_failed_does_not_count() -> None:
    """
    As a letter that has bounced.
    """
    shop = shop_of(rule(channels=["sms"]), caps=[{"scope": "channel", "limit": 1, "per": "1d"}])
    shop.at("10:00").reads()
    failed = {"trigger_id": last(shop).trigger_id}
    shop.at("10:01").happens("message_failed", "anon-7", channel="sms", properties=failed)
    shop.at("10:02").reads()
    assert shop.news() == [sent("10:00", channel="sms"), sent("10:02", channel="sms")]


def onsite(limit: int) -> Story:
    """A shop that greets on its pages, so often a day."""
    return shop_of(rule(channels=["onsite"]), caps=[{"scope": "all", "limit": limit, "per": "1d"}])


@pytest.mark.parametrize(("limit", "room"), [(2, False), (3, True)])
@pytest.mark.parametrize("asked", ["10:02", "10:02:10", "10:04"])
def test_a_cap_holds_through_a_link(limit: int, *, room: bool, asked: str) -> None:
    """
    What the visitor was shown and what the customer was shown is what one person was shown: at once, while the link
    waits for its turn, and after.
    """
    shop = onsite(limit)
    shop.at("10:00").reads(by="phone-1")
    shop.at("10:01").reads()
    shop.at("10:02").identifies("phone-1", as_="mara")
    shop.at(asked).reads()
    assert shop.news() == [
        Nudge("phone-1", "hello", "10:00", "onsite"),
        sent("10:01", channel="onsite"),
        sent(asked, channel="onsite") if room else held(asked),
    ]
    shop.at("10:05").reads(by="phone-1")
    assert shop.news() == [held("10:05")]


def test_a_cap_holds_when_two_customers_are_one() -> None:
    """
    The lead that goes takes along what it was sent.
    """
    shop = shop_of(rule(), caps=[{"scope": "all", "limit": 2, "per": "1d"}])
    shop.at("09:00").identifies("tablet-1", email="joe@example.org")
    shop.at("10:00").reads(by="tablet-1")
    shop.at("10:01").reads()
    shop.at("10:02").identifies("tablet-1", as_="mara", email="joe@example.org")
    shop.at("10:02:01").reads()
    shop.at("10:05").reads(by="tablet-1")
    shop.time("11:00")
    assert [type(one) for one in shop.news()] == [Nudge, Nudge, Held, Held]
    assert [one.reason for one in shop.suppressed()] == ["cap", "cap"]


def test_nothing_is_counted_twice() -> None:
    """
    What was sent while a link waits for its turn is entered once: of three, three are sent.
    """
    shop = onsite(3)
    shop.at("10:00").reads(by="phone-1")
    shop.at("10:01").identifies("phone-1", as_="mara")
    shop.at("10:01:05").reads()
    shop.time("10:03")
    shop.at("10:03").reads()
    shop.at("10:04").reads()
    assert [type(one) for one in shop.news()] == [Nudge, Nudge, Nudge, Held]


def test_of_two_winners_the_first_counts_for_the_second() -> None:
    """
    Two slots of one page view, and one letter left: the one of more value goes.
    """
    rules = rule("story", slot="one", value=25), rule("offer", slot="two", value=40)
    shop = shop_of(*rules, caps=[{"scope": "channel", "limit": 1, "per": "1d"}])
    shop.at("10:00").reads()
    assert shop.news() == [sent("10:00", "offer"), held("10:00", "story")]


def test_a_cap_forgets_nothing_over_a_long_time() -> None:
    """
    One in 29 days: a millisecond less is too soon.
    """
    shop = capped(1, "29d")
    times = ("10:00", "day 30 09:59:59.999", "day 30 10:00")
    assert decisions(shop, *times) == [sent(times[0]), held(times[1]), sent(times[2])]
