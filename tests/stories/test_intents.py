"""Browse, cart, checkout: the furthest step counts, and the ones before it are silent."""

from config.settings import CartSettings, Settings
from tests.journeys import book
from tests.story import ANON, CartNews, Nudge, Story

MARA = "mara@example.org"
MINUTE = 60_000


def test_who_only_looks_is_reminded_of_the_last_product(shop: Story) -> None:
    """
    Three products viewed and none picked is a browse intent; an hour after the last activity it is abandoned.
    """
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").views("kettle").views("pot").views("cup")
    shop.at("10:59:59.999").expects_nothing()
    shop.at("11:00").expects(Nudge("mara", "browse_abandoned", "11:00"))
    (news,) = shop.carts()
    assert (news.state, news.intent, news.of) == ("abandoned", "browse", "mara")


def test_two_glances_are_no_intent(shop: Story) -> None:
    """
    One product less, and nothing is said.
    """
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").views("kettle").views("pot")
    shop.ends()
    shop.at("10:00").expects_nothing()
    assert shop.carts() == []


def test_a_cart_silences_the_browsing(shop: Story) -> None:
    """
    Whether products were viewed before or after something was picked: one cause, one reminder.
    """
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").views("kettle").views("pot").views("cup")
    shop.at("10:05").adds("kettle")
    shop.at("10:10").views("lid").views("spoon").views("fork")
    shop.ends()
    shop.at("10:10").expects(Nudge("mara", "cart_abandoned", "10:40"))
    assert [news.intent for news in shop.carts()] == ["cart", "cart"]


def test_a_checkout_silences_the_cart(shop: Story) -> None:
    """
    One cart has one intent, the furthest: with a checkout's own delay the cart's no longer counts.
    """
    settings = CartSettings(checkout_delay_ms=20 * MINUTE, restart_on="cart_change")
    shop = Story(Settings(cart=settings))
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").adds("kettle")
    shop.at("10:05").checks_out()
    shop.at("10:24:59.999").expects_nothing()
    shop.at("10:25").expects(Nudge("mara", "checkout_abandoned", "10:25"))
    shop.ends()
    shop.at("10:25").expects_nothing()


def test_a_cart_filled_after_the_checkout_began_is_still_a_checkout(shop: Story) -> None:
    """
    Going back for one thing more is no step back.
    """
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").adds("kettle")
    shop.at("10:05").checks_out()
    shop.at("10:06").adds("cup", price=5.0)
    shop.at("10:36").expects(Nudge("mara", "checkout_abandoned", "10:36"))


def test_a_cart_bought_and_filled_again_starts_from_the_beginning(shop: Story) -> None:
    """
    The id comes back, the checkout does not.
    """
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").adds("kettle").checks_out()
    shop.at("10:05").orders(cart="c1")
    shop.at("10:06").adds("cup", price=5.0)
    shop.ends()
    assert shop.carts() == [
        CartNews("c1", "open", "10:00", 30.0, of="mara"),
        CartNews("c1", "purchased", "10:05", 30.0, "checkout", of="mara"),
        CartNews("c1", "open", "10:06", 5.0, of="mara"),
        CartNews("c1", "abandoned", "10:36", 5.0, of="mara"),
    ]


def test_an_order_ends_the_browsing(shop: Story) -> None:
    """
    Who has bought was not only looking.
    """
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").views("kettle").views("pot").views("cup")
    shop.at("10:05").orders("kettle")
    shop.ends()
    shop.at("10:05").expects_nothing()


def test_a_second_browse_is_a_second_cause(shop: Story) -> None:
    """
    Views before an abandonment do not count towards the next.
    """
    shop = Story(book=book(abandonment_cooldown="0s"))
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").views("kettle").views("pot").views("cup")
    shop.at("11:10").views("lid").views("spoon")
    shop.at("14:10").views("fork").views("knife").views("plate")
    shop.ends()
    abandoned = [trigger for trigger in shop.triggers() if trigger.action == "browse_abandoned"]
    assert [trigger.cause.time[11:16] for trigger in abandoned] == ["11:00", "15:10"]
    assert len({trigger.trigger_id for trigger in abandoned}) == 2


def test_a_checkout_of_nothing_is_no_cart(shop: Story) -> None:
    """
    A checkout page opened on nothing opens nothing.
    """
    shop.at("10:00").checks_out("")
    shop.ends()
    assert shop.carts() == []


def test_looking_into_a_bought_cart_opens_nothing(shop: Story) -> None:
    """
    The shop's thank-you page shows the cart once more; nobody is reminded of what was just paid.
    """
    shop.at("10:00").adds("kettle").orders(cart="c1")
    shop.at("10:01").happens("cart_viewed", ANON)
    shop.ends()
    assert [news.state for news in shop.carts()] == ["open", "purchased"]


def test_glances_of_two_days_on_two_devices_are_no_intent(shop: Story) -> None:
    """
    Two products on the laptop on day 1 were left long ago; one on the phone on day 3, which logs in then, makes
    no third.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:01").views("kettle", by="laptop-1").views("pot", by="laptop-1")
    shop.at("day 3 10:00").views("cup", by="phone-1")
    shop.at("day 3 10:05").identifies("phone-1", as_="mara")
    shop.ends()
    assert [trigger for trigger in shop.triggers() if trigger.action == "browse_abandoned"] == []
