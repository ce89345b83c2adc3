"""
Nightmares 1 to 20: who has bought is asked to buy, or is counted twice. Each has happened to customers of a product
that is in use; where that is told in public, the story says where.
"""

import pytest

from config.durations import HOUR
from config.settings import CartSettings, Settings
from operators.attribution_record import AttributionRecord
from operators.cart_record import CartRecord
from operators.event import Event
from operators.trigger import Retraction, Suppressed, Trigger
from tests.journeys import book
from tests.story import ANON, Story, instant

MARA = "mara@example.org"
PHONE = "+4915112345678"

CONFIRMATION = """
actions:
- {id: confirmation, family: order, on: order_completed, purpose: transactional, channels: [email]}
"""
NIGHT = 'quiet: {from: "21:00", to: "08:00", channels: [email], on: hold}'


def mailed(shop: Story) -> list[tuple[str, str]]:
    """Who got which letter."""
    return [(shop.name(one.profile_id), one.action) for one in shop.triggers() if one.channel == "email"]


def taken_back(shop: Story) -> list[tuple[str, str]]:
    return [(one.action, one.reason) for one in shop.of(Retraction)]


def known(shop: Story, time: str = "09:50") -> Story:
    """Mara is known on her laptop."""
    shop.at(time).identifies(as_="mara", email=MARA)
    return shop


# --- the race between order and timer ------------------------------------------------------------------------------


@pytest.mark.parametrize("bought", ["10:29:59.999", "10:30"])
def test_01_bought_just_before_the_timer(shop: Story, bought: str) -> None:
    """
    A millisecond before the reminder is due, and at its very instant. (mailchimp/mc-magento#403)
    """
    known(shop).at("10:00").adds("kettle")
    shop.at(bought).orders("kettle", cart="c1")
    shop.ends()
    assert mailed(shop) == []
    assert [news.state for news in shop.carts()] == ["open", "purchased"]


def test_02_bought_just_after_the_timer(shop: Story) -> None:
    """
    A millisecond after it: the reminder has left, and is taken back while it is alive. (mailchimp/mc-magento2#495)
    """
    known(shop).at("10:00").adds("kettle")
    shop.time("10:30")
    assert mailed(shop) == [("mara", "cart_abandoned")]
    shop.at("10:30:00.001").orders("kettle", cart="c1")
    assert taken_back(shop) == [("cart_abandoned", "purchased")]


def test_03_the_order_is_told_late(shop: Story) -> None:
    """
    The shop's order comes in after the instant of the reminder, but no later than lateness allows.
    """
    known(shop).at("10:00").adds("kettle")
    shop.at("10:30:29.999").reads(by="somebody else")
    shop.at("10:29:59.999").orders("kettle", cart="c1")
    shop.ends()
    assert mailed(shop) == []


def test_04_the_order_is_told_too_late(shop: Story) -> None:
    """
    Later than that: what has been sent is taken back at once, once. (mailchimp/mc-magento2#982)
    """
    known(shop).at("10:00").adds("kettle")
    shop.at("10:45").reads(by="somebody else")
    assert mailed(shop) == [("mara", "cart_abandoned")]
    shop.at("10:20").orders("kettle", cart="c1").orders("kettle", cart="c1")
    shop.ends()
    assert taken_back(shop) == [("cart_abandoned", "purchased")]


def test_05_bought_while_the_backlog_was_read(shop: Story) -> None:
    """
    After an outage a day's input is read in a minute: a cart whose order is in it is not abandoned, whatever the clock
    on the wall says. (TycheSoftwares/woocommerce-abandoned-cart#477: a plugin switched on mails for old carts)
    """
    known(shop).at("10:00").adds("kettle", cart="c1")
    shop.at("10:20").orders("kettle", cart="c1")
    shop.at("11:00").adds("sofa", cart="c2")
    shop.at("11:29").empties(cart="c2")
    shop.at("day 2 10:00").reads(by="somebody else")
    assert mailed(shop) == []


def test_06_a_cart_of_last_year() -> None:
    """
    Somebody who is always there, and a cart that nobody has touched: when they leave at last it is too old to be
    reminded of. (TycheSoftwares/woocommerce-abandoned-cart#453)
    """
    for hours, state, letters in ((2, "expired", 0), (3, "abandoned", 1)):
        shop = known(Story(Settings(cart=CartSettings(age_ms_max=hours * HOUR))))
        shop.at("10:00").adds("kettle")
        for time in ("10:20", "10:40", "11:00", "11:20", "11:40", "12:00"):
            shop.at(time).reads()
        shop.ends()
        assert [news.state for news in shop.carts()] == ["open", state]
        assert len(mailed(shop)) == letters


# --- bought another way --------------------------------------------------------------------------------------------


def test_07_the_guest_who_registered_at_the_checkout(shop: Story) -> None:
    """
    The cart is a guest's, the order the new user's. (TycheSoftwares/woocommerce-abandoned-cart#166)
    """
    shop.at("10:00").adds("kettle").checks_out(email=MARA)
    shop.at("10:02").identifies(as_="mara", email=MARA)
    shop.at("10:03").orders("kettle", by="", user_id="mara", channel="server")
    shop.ends()
    assert mailed(shop) == []


def test_08_the_cart_had_a_new_id_after_registration(shop: Story) -> None:
    """
    The shop gives the cart another id as its owner registers: the order is of that one, and has bought both.
    """
    shop.at("10:00").adds("kettle", cart="guest-1").checks_out("guest-1", email=MARA)
    shop.at("10:02").identifies(as_="mara", email=MARA).adds("kettle", cart="user-1")
    shop.at("10:03").orders("kettle", cart="user-1")
    shop.ends()
    assert mailed(shop) == []
    assert {news.cart: news.state for news in shop.carts()} == {"guest-1": "purchased", "user-1": "purchased"}


def test_09_bought_as_a_guest_with_the_same_address(shop: Story) -> None:
    """
    On the phone, without logging in. (TycheSoftwares/woocommerce-abandoned-cart#874)
    """
    known(shop).at("10:00").adds("kettle")
    shop.at("10:10").orders("kettle", by="phone-1", email=MARA)
    shop.ends()
    assert mailed(shop) == []


def test_10_bought_by_telephone(shop: Story) -> None:
    """
    An agent took the order; who it is for is known by the number alone.
    """
    shop.at("09:50").identifies(as_="mara", email=MARA, phone=PHONE)
    shop.at("10:00").adds("kettle")
    shop.at("10:20").calls(PHONE)
    shop.at("10:25").orders("kettle", by="", phone=PHONE, channel="phone")
    shop.ends()
    assert mailed(shop) == []


def test_11_bought_on_a_device_that_is_linked_after_the_reminder(shop: Story) -> None:
    """
    Who has bought comes to be known an hour later: what was sent is taken back then.
    """
    known(shop).at("10:00").adds("kettle")
    shop.at("10:10").orders("kettle", by="phone-1")
    shop.time("10:30")
    assert mailed(shop) == [("mara", "cart_abandoned")]
    shop.at("11:30").identifies("phone-1", as_="mara", email=MARA)
    shop.time("11:31")
    assert taken_back(shop) == [("cart_abandoned", "purchased")]


def test_12_the_same_products_in_two_browsers(shop: Story) -> None:
    """
    One address, a cart in each: what is bought in one is not asked for in the other; what is not bought still is.
    (TycheSoftwares/woocommerce-abandoned-cart#168, #455)
    """
    known(shop).at("10:00").adds("kettle", cart="c1")
    shop.at("10:01").identifies("anon-8", as_="mara", email=MARA)
    shop.at("10:02").adds("kettle", cart="c2", by="anon-8").adds("sofa", cart="c3", by="anon-8")
    shop.at("10:05").orders("kettle", cart="c1")
    shop.ends()
    assert [one.cause.id for one in shop.triggers() if one.channel == "email"] == ["c3"]
    assert {news.cart: news.state for news in shop.carts()} == {"c1": "purchased", "c2": "purchased", "c3": "abandoned"}


def test_13_bought_while_the_letter_waited_for_the_morning() -> None:
    """
    Abandoned at night and held, bought before the morning.
    """
    shop = known(Story(book=book(policy=NIGHT)), "20:30")
    shop.at("21:00").adds("kettle")
    shop.at("day 2 02:00").orders("kettle", cart="c1")
    shop.ends()
    assert mailed(shop) == []
    assert [(one.action, one.reason) for one in shop.suppressed() if one.action == "cart_abandoned"] == [
        ("cart_abandoned", "not_applicable")
    ]


@pytest.mark.parametrize(("bought", "letters"), [("day 2 08:00", 0), ("day 2 08:00:00.001", 1)])
def test_14_bought_as_the_morning_came(bought: str, letters: int) -> None:
    """
    At the very instant at which held letters leave; a millisecond later it has left, and is taken back.
    """
    shop = known(Story(book=book(policy=NIGHT)), "20:30")
    shop.at("21:00").adds("kettle")
    shop.at("day 2 08:00").reads(by="somebody else")
    shop.at(bought).orders("kettle", cart="c1")
    shop.ends()
    assert len(mailed(shop)) == len(taken_back(shop)) == letters


def test_15_browsed_here_and_bought_there(shop: Story) -> None:
    """
    Looked at on the laptop, bought on the phone: no letter on what was looked at.
    """
    known(shop).at("10:00").views("kettle").views("pot").views("pan")
    shop.at("10:30").identifies("phone-1", as_="mara", email=MARA).orders("kettle", by="phone-1")
    shop.ends()
    assert mailed(shop) == []


def test_16_the_cart_was_emptied(shop: Story) -> None:
    """
    Emptied is not abandoned, and what was sent before that is taken back.
    """
    known(shop).at("10:00").adds("kettle", cart="c1")
    shop.at("10:29").empties(cart="c1")
    shop.at("12:00").adds("sofa", cart="c2")
    shop.time("12:30")
    assert [one.cause.id for one in shop.triggers() if one.channel == "email"] == ["c2"]
    shop.at("12:31").removes("sofa", cart="c2")
    assert taken_back(shop) == [("cart_abandoned", "emptied")]


# --- counted twice -------------------------------------------------------------------------------------------------


def test_17_one_order_told_by_two_sources() -> None:
    """
    By the browser and by the shop's server, with other event ids, times and identifiers: one confirmation.
    """
    shop = known(Story(book=book(extra=CONFIRMATION)))
    shop.at("10:00").orders("kettle", order="o1")
    shop.at("10:07").orders("kettle", order="o1", by="", user_id="mara", channel="server")
    shop.at("day 3 10:00").orders("kettle", order="o1", by="", email=MARA, channel="server")
    assert mailed(shop) == [("mara", "confirmation")]
    assert [one.reason for one in shop.suppressed() if one.action == "confirmation"] == ["cooldown", "cooldown"]


def test_18_one_order_told_by_two_devices_that_turn_out_to_be_one() -> None:
    """
    A webhook and a browser that nobody knew to be one person's: both say the same trigger, so it is acted upon once.
    (nozzlegear/ShopifySharp#919)
    """
    shop = Story(book=book(extra=CONFIRMATION))
    shop.at("10:00").identifies("anon-8", email=MARA).orders("kettle", order="o1", by="anon-8")
    shop.at("10:01").identifies(as_="mara").orders("kettle", order="o1")
    shop.at("10:02").identifies(as_="mara", email=MARA)
    shop.at("10:03").orders("kettle", order="o1")
    shop.ends()
    ids = [one.trigger_id for one in shop.triggers() + shop.suppressed() if one.action == "confirmation"]
    assert len(ids) == 3
    assert len(set(ids)) == 1


def test_19_one_sale_credited_twice() -> None:
    """
    An order told twice, after a letter that was clicked twice: one credit, of its value once.
    """
    shop = known(Story())
    shop.at("10:00").adds("kettle")
    shop.time("10:30")
    for time in ("10:40", "10:41"):
        click = Event("email_clicked", instant(time), "", "email", ANON, ANON)
        click.properties = f'{{"trigger_id":"{shop.triggers()[0].trigger_id}"}}'.encode()
        shop.tell(click)
    shop.at("10:45").orders("kettle", cart="c1", order="o1", value=30.0)
    shop.at("10:46").orders("kettle", cart="c1", order="o1", value=30.0)
    shop.ends()
    found = {one.order_id: (one.value, one.action) for one in shop.of(AttributionRecord)}
    assert found == {"o1": (30.0, "cart_abandoned")}
    assert len({one.cloud_event[0] for one in shop.of(AttributionRecord)}) == len(shop.of(AttributionRecord)) == 1


def test_20_the_same_input_read_again(shop: Story) -> None:
    """
    What a crash has read twice says the same ids, so that nobody acts on them twice. (mautic/mautic#8802)
    """
    ids = []
    for again in (shop, Story()):
        known(again).at("10:00").adds("kettle").views("pot").views("pot").views("pot")
        again.at("11:00").reads()
        again.ends()
        ids.append([one.cloud_event[0] for one in again.of(Trigger) + again.of(Suppressed) + again.of(CartRecord)])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0]) >= 4
