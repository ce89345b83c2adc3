"""
What moves when two turn out to be one: carts, visits, consents and what was sent already. Domain row 28.
"""

import pytest

from tests.journeys import book
from tests.stories.people import MARA, people
from tests.story import ANON, CartNews, Held, Nudge, Story, Visit

DAY = 86_400_000


def two_leads(shop: Story, oldest: str = "laptop-1") -> None:
    """Mara by user id on the laptop, by address on the phone; either may be the older lead."""
    by_user, by_email = ("09:50", "09:51") if oldest == "laptop-1" else ("09:51", "09:50")
    for time in ("09:50", "09:51"):
        if time == by_user:
            shop.at(time).identifies("laptop-1", as_="mara")
        if time == by_email:
            shop.at(time).identifies("phone-1", email=MARA)


def they_are_one(shop: Story, time: str) -> None:
    """Mara names both on the laptop."""
    shop.at(time).identifies("laptop-1", as_="mara", email=MARA)


either = pytest.mark.parametrize("oldest", ["laptop-1", "phone-1"])

# --- carts ----------------------------------------------------------------------------------------------------


def test_a_guest_who_registers_during_checkout_keeps_the_cart(shop: Story) -> None:
    """
    Filled and checked out as a guest, registered half way, and then gone: the checkout is the lead's, one reminder.
    """
    shop.at("10:00").adds("kettle")
    shop.at("10:05").checks_out()
    shop.at("10:10").identifies(as_="mara", email=MARA)
    shop.at("10:39:59.999").expects_nothing()
    shop.at("10:40").expects(Nudge("mara", "checkout_abandoned", "10:40"))
    shop.ends()
    assert people(shop) == [{"u:mara", f"e:{MARA}", f"a:{ANON}"}]
    assert shop.sessions() == [Visit(ANON, "10:00", "10:10", events=3, of="mara")]
    assert shop.carts()[-1] == CartNews("c1", "abandoned", "10:40", 30.0, "checkout", of="mara")


def test_a_guest_who_gives_an_address_and_registers_later_is_one_lead(shop: Story) -> None:
    """
    The address at the checkout makes the lead, the account joins it: one cart, bought by the order of the account.
    """
    shop.at("10:00").adds("kettle").checks_out(email=MARA)
    shop.at("10:10").identifies(as_="mara", email=MARA)
    shop.at("10:15").orders(by="", user_id="mara", channel="server")
    shop.ends()
    assert people(shop) == [{f"e:{MARA}", f"a:{ANON}", "u:mara"}]
    assert [news.state for news in shop.carts()][-1] == "purchased"
    assert shop.triggers() == []


def test_a_visitor_with_a_cart_becomes_a_lead_with_a_cart(shop: Story) -> None:
    """
    Both carts are the lead's from then on, and neither is counted twice: each is published once when it is abandoned.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara", email=MARA).adds("kettle", cart="c1", by="laptop-1")
    shop.at("10:01").adds("lamp", cart="c2", by="phone-1")
    shop.at("10:05").identifies("phone-1", as_="mara")
    shop.at("10:35").expects(
        Nudge("mara", "cart_abandoned", "10:35"), Held("mara", "cart_abandoned", "10:35", "cooldown")
    )
    abandoned = sorted((news.cart, news.value, news.of) for news in shop.carts() if news.state == "abandoned")
    assert abandoned == [("c1", 30.0, "mara"), ("c2", 30.0, "mara")]


@either
def test_two_leads_with_a_cart_each_have_both(shop: Story, oldest: str) -> None:
    """
    Whichever is the older: an order that names one cart buys that one, the other is abandoned once.
    """
    two_leads(shop, oldest)
    shop.at("10:00").adds("kettle", cart="c1", by="laptop-1")
    shop.at("10:01").adds("lamp", cart="c2", by="phone-1")
    they_are_one(shop, "10:05")
    shop.at("10:10").orders("lamp", cart="c2", by="laptop-1")
    shop.at("10:40").expects(Nudge("mara", "cart_abandoned", "10:40"))
    closed = sorted((news.cart, news.state, news.of) for news in shop.carts() if news.state != "open")
    assert closed == [("c1", "abandoned", "mara"), ("c2", "purchased", "mara")]


@either
def test_visits_open_on_both_sides_go_on(shop: Story, oldest: str) -> None:
    """
    Each is the device's own, published once, as the one person's, with all that came before and after.
    """
    two_leads(shop, oldest)
    shop.at("09:55").reads(by="laptop-1").reads(by="phone-1")
    they_are_one(shop, "10:00")
    shop.at("10:05").reads(by="laptop-1").reads(by="phone-1")
    shop.ends()
    visits = sorted((visit.by, visit.end, visit.events, visit.revision, visit.of) for visit in shop.sessions())
    assert visits == [("laptop-1", "10:05", 4, 1, "mara"), ("phone-1", "10:05", 3, 1, "mara")]


# --- what was agreed and sent ---------------------------------------------------------------------------------


@either
@pytest.mark.parametrize("by", ["laptop-1", "phone-1"])
def test_who_opted_out_as_one_has_opted_out_as_both(shop: Story, oldest: str, by: str) -> None:
    """
    Whichever lead said so and whichever survives: the cart of the other is not reminded of by e-mail.
    """
    two_leads(shop, oldest)
    other = {"laptop-1": "phone-1", "phone-1": "laptop-1"}[by]
    shop.at("10:00").opts_out(by)
    shop.at("10:01").adds("kettle", by=other)
    they_are_one(shop, "10:05")
    shop.at("11:00").expects(Held("mara", "cart_abandoned", "10:35", "consent"))


@either
def test_the_newest_word_on_consent_counts_for_both(shop: Story, oldest: str) -> None:
    """
    Out as one at ten, in again as the other at a minute past: the reminder is sent.
    """
    two_leads(shop, oldest)
    shop.at("10:00").opts_out("laptop-1")
    shop.at("10:01").opts_in("phone-1").adds("kettle", by="phone-1")
    they_are_one(shop, "10:05")
    shop.at("11:00").expects(Nudge("mara", "cart_abandoned", "10:35"))


def test_a_visitor_who_opted_out_stays_so_when_known(shop: Story) -> None:
    """
    A refusal before the login is the lead's refusal; of one lead who had consented before, too.
    """
    shop.at("09:55").identifies("laptop-1", as_="mara", email=MARA).opts_in("laptop-1")
    shop.at("10:00").opts_out("phone-1")
    shop.at("10:01").adds("kettle", by="phone-1")
    shop.at("10:05").identifies("phone-1", as_="mara")
    shop.at("11:00").expects(Held("mara", "cart_abandoned", "10:35", "consent"))


@either
@pytest.mark.parametrize(("again", "is_sent"), [("day 2 10:29:59.999", False), ("day 2 10:30", True)])
def test_nobody_is_written_to_twice_for_having_been_two(oldest: str, again: str, is_sent: bool) -> None:  # noqa: FBT001
    """
    The cool-down after a reminder to the one holds for a cart of the other, up to the instant at which it ends.
    """
    shop = Story(book=book(abandonment_cooldown="1d", returning_cooldown="1d"))
    two_leads(shop, oldest)
    shop.at("10:00").adds("kettle", cart="c1", by="phone-1")
    shop.at("10:30").expects(Nudge(MARA, "cart_abandoned", "10:30"))
    they_are_one(shop, "10:35")
    half_an_hour_before = again.replace("10:29", "09:59").replace("10:30", "10:00")
    shop.at(half_an_hour_before).adds("lamp", cart="c2", by="laptop-1")
    shop.time(again)
    decided = [one for one in shop.news() if one.action == "cart_abandoned"]
    assert decided == [
        Nudge("mara", "cart_abandoned", again) if is_sent else Held("mara", "cart_abandoned", again, "cooldown")
    ]


@either
def test_who_comes_back_as_both_is_greeted_once(shop: Story, oldest: str) -> None:
    """
    Greeted on the phone, then found to be who is on the laptop: the next visit there is not, within the cool-down.
    """
    two_leads(shop, oldest)
    shop.at("day 2 09:00").reads(by="phone-1")
    shop.at("day 2 09:05").identifies("phone-1", as_="mara", email=MARA)
    shop.at("day 2 20:59:59.999").reads(by="laptop-1")
    shop.at("day 3 09:00").reads(by="laptop-1")
    decided = shop.news()
    assert [one.at for one in decided if isinstance(one, Nudge)] == ["day 2 09:00", "day 3 09:00"]
    assert {one.reason for one in decided if isinstance(one, Held)} == {"cooldown"}


@either
def test_an_order_by_address_alone_buys_what_the_user_put_in(shop: Story, oldest: str) -> None:
    """
    The shop's server knows the address only; the cart is on the laptop, where the user is known by id.
    """
    two_leads(shop, oldest)
    shop.at("10:00").adds("kettle", by="laptop-1")
    they_are_one(shop, "10:05")
    shop.at("10:10").orders(by="", email=MARA, channel="server")
    shop.ends()
    assert [news.state for news in shop.carts()] == ["open", "purchased"]
    assert shop.triggers() == []


def test_a_device_that_has_moved_on_is_not_taken_along(shop: Story) -> None:
    """
    The younger lead's old phone is Joe's by now: when that lead becomes the older one, the phone stays Joe's. (The
    embedded store lists what each lead was given from the first merge on: Zoe's.)
    """
    shop.at("09:00").identifies("", as_="zoe")
    shop.at("09:01").identifies("", email="zoe@example.org")
    shop.at("09:02").identifies("", as_="zoe", email="zoe@example.org")
    two_leads(shop)
    shop.at("10:00").identifies("phone-1", as_="joe")
    they_are_one(shop, "10:05")
    shop.at("10:10").reads(by="phone-1")
    assert people(shop)[1:] == [{"u:mara", "a:laptop-1", f"e:{MARA}"}, {"u:joe", "a:phone-1"}]
    shop.ends()
    assert sorted((v.by, v.start, v.of) for v in shop.sessions() if v.by == "phone-1") == [
        ("phone-1", "09:51", "mara"),
        ("phone-1", "10:00", "joe"),
    ]
