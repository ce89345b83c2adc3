"""When a cart counts as abandoned, and what keeps it from that. Mission table, row 19."""

import pytest

from config.settings import CartSettings, Settings, SourceSettings
from operators.cart_record import CartLine, CartRecord
from tests.journeys import book
from tests.story import ANON, CartNews, Held, Nudge, Story, Taken

MARA = "mara@example.org"
MINUTE = 60_000


@pytest.fixture
def known_shop(shop: Story) -> Story:
    """A shop to which the usual visitor is known, with an address."""
    shop.at("09:59").identifies(as_="mara", email=MARA)
    return shop


@pytest.fixture
def known_strict_shop(strict_shop: Story) -> Story:
    """The same where only a change of the cart restarts its delay."""
    strict_shop.at("09:59").identifies(as_="mara", email=MARA)
    return strict_shop


def test_a_shopper_who_wanders_off_is_reminded_once(known_strict_shop: Story) -> None:
    """
    Added at 10:00, checkout at 10:02, half an hour's delay: one reminder, at 10:32.
    """
    shop = known_strict_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:02").checks_out()
    shop.at("10:31:59.999").expects_nothing()
    shop.at("10:32").expects(Nudge("mara", "checkout_abandoned", "10:32"))
    shop.at("day 5 23:00").expects_nothing()


def test_an_order_before_the_delay_is_over_needs_no_reminder(known_strict_shop: Story) -> None:
    """
    Ordered at 10:20: nothing, for ever, and the cart is purchased.
    """
    shop = known_strict_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:02").checks_out()
    shop.at("10:20").orders("kettle", cart="c1")
    shop.ends()
    shop.at("10:20").expects_nothing()
    assert shop.carts() == [
        CartNews("c1", "open", "10:00", 30.0, of="mara"),
        CartNews("c1", "purchased", "10:20", 30.0, "checkout", of="mara"),
    ]


def test_an_edit_restarts_the_delay(known_strict_shop: Story) -> None:
    """
    Edited at 10:25: the reminder leaves at 10:55.
    """
    shop = known_strict_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:02").checks_out()
    shop.at("10:25").adds("cup", price=5.0)
    shop.at("10:54:59.999").expects_nothing()
    shop.at("10:55").expects(Nudge("mara", "checkout_abandoned", "10:55"))


def test_looking_restarts_nothing_where_only_changes_do(known_strict_shop: Story) -> None:
    """
    With `restart_on: cart_change`, neither a page nor a look into the cart is a change.
    """
    shop = known_strict_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:20").reads("/cups").happens("cart_viewed", ANON)
    shop.at("10:30").expects(Nudge("mara", "cart_abandoned", "10:30"))


def test_an_order_at_exactly_the_due_instant_cancels(known_strict_shop: Story) -> None:
    """
    What happens at one instant: first the shopper, then the timer.
    """
    shop = known_strict_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:30").orders("kettle", cart="c1")
    shop.at("11:00").expects_nothing()
    assert [news.state for news in shop.carts()] == ["open", "purchased"]


def test_an_order_a_millisecond_later_recovers_the_cart(known_strict_shop: Story) -> None:
    """
    The reminder has left and is taken back; the cart's record names it.
    """
    shop = known_strict_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:30:00.001").orders("kettle", cart="c1", order="o-9")
    shop.at("11:00").expects(
        Nudge("mara", "cart_abandoned", "10:30"), Taken("mara", "cart_abandoned", "10:30:00.001", "purchased")
    )
    (trigger,) = shop.triggers()
    opened, abandoned, recovered = shop.of(CartRecord)
    assert recovered == CartRecord(
        cart_id="c1",
        visitor_id=ANON,
        profile_id=abandoned.profile_id,
        intent="cart",
        state="recovered",
        value=30.0,
        currency="EUR",
        lines=(CartLine("kettle", 1.0, 30.0, ""),),
        opened_at="2026-11-21T10:00:00.000Z",
        last_activity_at="2026-11-21T10:00:00.000Z",
        changed_at="2026-11-21T10:30:00.001Z",
        resume_url="",
        order_id="o-9",
        trigger_id=trigger.trigger_id,
        abandonments=1,
        revision=3,
    )
    assert (opened.trigger_id, abandoned.trigger_id) == ("", trigger.trigger_id)


def test_who_still_browses_has_not_left(known_shop: Story) -> None:
    """
    With `restart_on: activity` each activity within the delay restarts it, and the delay runs from the last.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:20").reads("/cups")
    shop.at("10:50").reads("/pots")  # exactly the delay later
    shop.at("11:19:59.999").expects_nothing()
    shop.at("11:20").expects(Nudge("mara", "cart_abandoned", "11:20"))


def test_who_still_browses_has_not_left_however_time_is_told(known_shop: Story) -> None:
    """
    Whether the watermark takes one step or many from the first activity to the last makes no difference.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:20").reads("/cups")
    shop.at("10:45").reads("/pots")
    shop.at("10:50").expects_nothing()
    shop.at("11:10").reads("/lids")
    shop.at("11:15").expects_nothing()
    shop.at("11:40").expects(Nudge("mara", "cart_abandoned", "11:40"))


def test_activity_after_the_delay_comes_too_late(known_shop: Story) -> None:
    """
    A millisecond past the delay the cart is abandoned, and who comes back has been reminded.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:30:00.001").reads("/cups")
    shop.at("11:30").expects(Nudge("mara", "cart_abandoned", "10:30"))


def test_activity_counts_in_whatever_order_it_is_told(known_shop: Story) -> None:
    """
    A page view at the due instant itself, told after a later one: the shopper had not left.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:30:10").reads("/pots")
    shop.at("10:30").reads("/cups")
    shop.at("11:00:09.999").expects_nothing()
    shop.at("11:00:10").expects(Nudge("mara", "cart_abandoned", "11:00:10"))


def test_what_is_told_before_its_time_does_not_bend_the_delay_of_a_checkout() -> None:
    """
    A checkout has its own shorter delay, also where what came after it is told while time still stands before it: as
    when one partition is read far ahead of another.
    """
    source = SourceSettings(lateness_ms=45 * MINUTE)
    shop = Story(Settings(source=source, cart=CartSettings(checkout_delay_ms=20 * MINUTE)))
    shop.at("09:29").identifies(as_="mara", email=MARA)
    shop.at("09:45").reads("/cups")
    shop.at("09:55").adds("kettle")
    shop.at("10:02").checks_out()
    shop.at("10:22:00.001").orders("kettle", cart="c1")
    shop.at("09:56").expects_nothing()
    shop.at("10:30").expects(
        Nudge("mara", "checkout_abandoned", "10:22"), Taken("mara", "checkout_abandoned", "10:22:00.001", "purchased")
    )
    assert [news.state for news in shop.carts()] == ["open", "abandoned", "recovered"]


def test_activity_on_another_device_is_activity(known_shop: Story) -> None:
    """
    A page view on the phone of the same person restarts the delay of the cart on the laptop.
    """
    shop = known_shop
    shop.at("09:59:30").identifies("phone-1", as_="mara")
    shop.at("10:00").adds("kettle")
    shop.at("10:20").reads("/cups", by="phone-1", channel="app")
    shop.at("10:49:59.999").expects_nothing()
    shop.at("10:50").expects(Nudge("mara", "cart_abandoned", "10:50"))


def test_activity_of_others_is_not(known_shop: Story) -> None:
    """
    What a stranger does restarts nothing.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:20").reads("/cups", by="anon-8")
    shop.at("10:30").expects(Nudge("mara", "cart_abandoned", "10:30"))


def test_emptying_the_cart_cancels(known_shop: Story) -> None:
    """
    Removing the last line, or all at once, leaves nothing to be reminded of.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle").adds("sofa", cart="c2")
    shop.at("10:10").removes("kettle").empties("c2")
    shop.ends()
    shop.at("10:10").expects_nothing()
    assert [(news.cart, news.state, news.value) for news in shop.carts()] == [
        ("c1", "open", 30.0),
        ("c2", "open", 30.0),
        ("c1", "emptied", 0.0),
        ("c2", "emptied", 0.0),
    ]


def test_a_cart_total_of_nothing_cancels(known_shop: Story) -> None:
    """
    A shop that only says what the cart is worth says that it is empty with a total of 0.
    """
    shop = known_shop
    shop.at("10:00").updates(total=30.0)
    shop.at("10:10").updates(total=0)
    shop.ends()
    shop.at("10:10").expects_nothing()
    assert [news.state for news in shop.carts()] == ["open", "emptied"]


def test_removing_one_line_of_two_cancels_nothing(known_shop: Story) -> None:
    """
    The other side: what is left in the cart is what the reminder is about.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle").adds("cup", price=5.0)
    shop.at("10:10").removes("kettle")
    shop.at("10:40").expects(Nudge("mara", "cart_abandoned", "10:40"))
    (trigger,) = shop.triggers()
    assert (trigger.context["value"], trigger.context["lines"]) == (5.0, (CartLine("cup", 1.0, 5.0, ""),))


def test_swapping_the_only_line_at_one_instant_leaves_a_cart(known_shop: Story) -> None:
    """
    A client that sends both halves of a swap with one timestamp has not given up its cart.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:10").removes("kettle").adds("cup", price=5.0)
    shop.at("10:40").expects(Nudge("mara", "cart_abandoned", "10:40"))


def test_carts_side_by_side_have_their_own_timers() -> None:
    """
    By cart_id; the order of one leaves the other. (No cool-down here, so that both may be told of.)
    """
    shop = Story(book=book(abandonment_cooldown="0s"))
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").adds("kettle", cart="c1")
    shop.at("10:00").adds("sofa", cart="c2")
    shop.at("10:00").adds("lamp", cart="c3")
    shop.at("10:10").orders("sofa", cart="c2")
    shop.at("10:40").expects(Nudge("mara", "cart_abandoned", "10:40"), Nudge("mara", "cart_abandoned", "10:40"))
    assert sorted(trigger.context["cart_id"] for trigger in shop.triggers()) == ["c1", "c3"]


def test_a_guest_cart_made_anew_at_registration_and_bought_is_bought(shop: Story) -> None:
    """
    The shop gives the guest's cart another id when the guest registers; its order pays for both
    (woocommerce-abandoned-cart #166).
    """
    shop.at("10:00").adds("kettle", cart="guest-1")
    shop.at("10:05").identifies(as_="mara", email=MARA)
    shop.at("10:05:01").adds("kettle", cart="c-77")
    shop.at("10:10").orders("kettle", cart="c-77")
    shop.ends()
    shop.at("10:10").expects_nothing()
    assert [(news.cart, news.state) for news in shop.carts()] == [
        ("guest-1", "open"),
        ("c-77", "open"),
        ("guest-1", "purchased"),
        ("c-77", "purchased"),
    ]


def test_an_order_of_something_else_leaves_the_other_cart(known_shop: Story) -> None:
    """
    A cart whose products were not all bought is another cart.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle", cart="c1").adds("cup", cart="c1")
    shop.at("10:00").adds("kettle", cart="c2")
    shop.at("10:10").orders("kettle", cart="c2")
    shop.at("10:40").expects(Nudge("mara", "cart_abandoned", "10:40"))


def test_an_order_finds_its_cart_by_checkout_id(known_shop: Story) -> None:
    """
    Segment's orders name no cart: the checkout id joins them, and other carts stay.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle", cart="c1").adds("sofa", cart="c2")
    shop.at("10:05").checks_out("c2", checkout="k-1")
    shop.at("10:10").orders(checkout="k-1")
    shop.ends()
    assert [(n.cart, n.state) for n in shop.carts()][2:] == [("c2", "purchased"), ("c1", "abandoned")]


def test_an_order_that_names_no_cart_buys_all_of_the_person(known_shop: Story) -> None:
    """
    Better no reminder than one of what was just paid.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle", cart="c1").adds("sofa", cart="c2")
    shop.at("10:10").orders()
    shop.ends()
    shop.at("10:10").expects_nothing()
    assert [(n.cart, n.state) for n in shop.carts()][2:] == [("c1", "purchased"), ("c2", "purchased")]


def test_a_purchase_on_another_device_cancels_once_both_are_known(shop: Story) -> None:
    """
    Filled anonymously on the phone, logged in there, bought on the laptop.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:00").adds("kettle", by="phone-1", channel="app")
    shop.at("10:05").identifies("phone-1", as_="mara", channel="app")
    shop.at("10:20").orders("kettle", by="laptop-1")
    shop.ends()
    shop.at("10:20").expects_nothing()
    assert shop.carts() == [
        CartNews("c1", "open", "10:00", 30.0, of="phone-1"),
        CartNews("c1", "purchased", "10:20", 30.0, of="mara"),
    ]


def test_one_reminder_a_week(known_shop: Story) -> None:
    """
    A second cart abandoned within the cool-down is held back, with the reason; exactly a week later is no
    longer within it.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle", cart="c1")
    shop.at("10:30").expects(Nudge("mara", "cart_abandoned", "10:30"))
    shop.at("day 8 09:59:59.999").adds("sofa", cart="c2")
    shop.at("day 8 12:00").expects(
        Nudge("mara", "returning_visitor", "day 8 09:59:59.999", "onsite"),
        Held("mara", "cart_abandoned", "day 8 10:29:59.999", "cooldown"),
    )
    shop.at("day 8 12:00").orders(cart="c2")
    shop.at("day 9 10:00").adds("lamp", cart="c3")
    shop.at("day 9 10:30").expects(
        Held("mara", "returning_visitor", "day 8 12:00", "cooldown"),
        Nudge("mara", "returning_visitor", "day 9 10:00", "onsite"),
        Nudge("mara", "cart_abandoned", "day 9 10:30"),
    )


def test_exactly_a_week_later_a_reminder_may_leave_again(known_shop: Story) -> None:
    """
    The cool-down ends at its instant.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle", cart="c1")
    shop.at("10:30").expects(Nudge("mara", "cart_abandoned", "10:30"))
    shop.at("day 8 10:00").adds("sofa", cart="c2")
    shop.at("day 8 10:30").expects(
        Nudge("mara", "returning_visitor", "day 8 10:00", "onsite"),
        Nudge("mara", "cart_abandoned", "day 8 10:30"),
    )


def test_a_cart_taken_up_again_and_left_again_is_a_new_cause() -> None:
    """
    The second abandonment of one cart has its own trigger id, or a reminder of it would be taken for a repeat.
    """
    shop = Story(book=book(abandonment_cooldown="0s"))
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").adds("kettle")
    shop.at("10:40").adds("cup", price=5.0)
    shop.ends()
    assert [(news.state, news.at) for news in shop.carts()] == [
        ("open", "10:00"),
        ("abandoned", "10:30"),
        ("open", "10:40"),
        ("abandoned", "11:10"),
    ]
    reminders = [trigger for trigger in shop.triggers() if trigger.action == "cart_abandoned"]
    assert len({trigger.trigger_id for trigger in reminders}) == 2


def test_a_held_reminder_is_not_named_by_the_cart(known_shop: Story) -> None:
    """
    The record of an abandonment that was not told to anybody names no trigger.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:40").adds("cup", price=5.0)
    shop.ends()
    shop.at("11:10").expects(
        Nudge("mara", "returning_visitor", "10:40", "onsite"),
        Nudge("mara", "cart_abandoned", "10:30"),
        Taken("mara", "cart_abandoned", "10:40", "changed"),
        Held("mara", "cart_abandoned", "11:10", "cooldown"),
    )
    assert [bool(record.trigger_id) for record in shop.of(CartRecord)][-1] is False


@pytest.mark.parametrize(
    ("last", "state"),
    [("10:40", "abandoned"), ("10:40:00.001", "expired")],
)
def test_a_cart_unchanged_for_too_long_expires(last: str, state: str) -> None:
    """
    A maximum age of seventy minutes, delay and all: exactly that old is still worth a reminder; a millisecond
    more and the cart expires without one.
    """
    shop = Story(Settings(cart=CartSettings(age_ms_max=70 * MINUTE)))
    shop.at("09:59").identifies(as_="mara", email=MARA)
    shop.at("10:00").adds("kettle")
    shop.at("10:20").reads()
    shop.at(last).reads()
    shop.ends()
    assert [news.state for news in shop.carts()] == ["open", state]
    assert len(shop.triggers()) == (state == "abandoned")


def test_the_reminder_says_what_was_left(known_shop: Story) -> None:
    """
    Items, value, currency and the way back, as they stood when it left.
    """
    shop = known_shop
    shop.at("10:00").adds("kettle", url="https://shop/cart/c1")
    shop.at("10:01").adds("kettle").adds("cup", price=5.0)
    shop.ends()
    (trigger,) = shop.triggers()
    assert trigger.context == {
        "cart_id": "c1",
        "intent": "cart",
        "value": 65.0,
        "currency": "EUR",
        "lines": (CartLine("kettle", 2.0, 30.0, ""), CartLine("cup", 1.0, 5.0, "")),
        "resume_url": "https://shop/cart/c1",
        "last_activity_at": "2026-11-21T10:01:00.000Z",
    }
    assert (trigger.expires_at, trigger.anonymous_ids) == ("2026-11-21T22:31:00.000Z", [ANON])
