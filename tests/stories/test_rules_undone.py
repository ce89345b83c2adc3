"""What takes a trigger back after it was sent, within its life. Mission table, domain rows 42, 46 and 60."""

import pytest

from operators.event import Commerce, Event, Item, Kind
from operators.trigger import Retraction
from tests.stories.rules import JOE, MARA, Yaml, book_of, last, rule, sent, shop_of, strict
from tests.story import Held, Nudge, Story, Taken, instant

LEFT = rule(on="cart.timer", expires_after="12h")


def taken(at: str, reason: str, to: str = "mara") -> Taken:
    """What is taken back."""
    return Taken(to, "hello", at, reason)


def left(**keys: Yaml) -> Story:
    """A shop that has reminded of a cart of 10:00 at 10:30."""
    shop = shop_of(LEFT | keys, settings=strict())
    shop.at("10:00").adds("sofa", cart="c1")
    shop.at("10:30").expects(sent("10:30"))
    return shop


def test_a_cart_that_is_bought_after_all() -> None:
    """
    Purchased: as it comes; the record says of what trigger, by what, and until when that would have lived.
    """
    shop = left()
    shop.at("10:31").orders("sofa", cart="c1", event_id="bought")
    assert shop.news() == [taken("10:31", "purchased")]
    (retraction,), (trigger,) = shop.of(Retraction), shop.triggers()
    assert (retraction.trigger_id, retraction.slot_key) == (trigger.trigger_id, trigger.slot_key)
    assert (retraction.channel, retraction.family, retraction.rule) == (trigger.channel, trigger.family, trigger.rule)
    assert retraction.expires_at == trigger.expires_at
    assert (retraction.cause.type, retraction.cause.event_id) == ("order_completed", "bought")
    assert retraction.cloud_event[0] == f"{trigger.trigger_id}/retracted"


def test_a_cart_that_is_emptied() -> None:
    """
    Emptied: there is nothing to come back to.
    """
    shop = left()
    shop.at("10:31").removes("sofa", cart="c1")
    assert shop.news() == [taken("10:31", "emptied")]


def test_a_cart_that_is_taken_up_again() -> None:
    """
    Changed; looking at it is no change.
    """
    shop = left()
    shop.at("10:31").happens("cart_viewed", "anon-7", commerce=Commerce(cart_id="c1"))
    assert shop.news() == []
    shop.at("10:32").adds("lamp", cart="c1")
    assert shop.news() == [taken("10:32", "changed")]


def test_what_happens_to_another_cart_takes_nothing_back() -> None:
    """
    Bought, emptied and changed are c2.
    """
    shop = left()
    shop.at("10:31").adds("lamp", cart="c2").removes("lamp", cart="c2").adds("cup", cart="c2").orders(cart="c2")
    shop.at("10:40").expects_nothing()


@pytest.mark.parametrize(
    ("bought", "told"), [("22:29:59.999", [taken("22:29:59.999", "purchased")]), ("22:30", []), ("22:30:00.001", [])]
)
def test_only_what_is_alive_is_taken_back(bought: str, told: list[object]) -> None:
    """
    For twelve hours, end excluded: what has expired is acted upon no longer anyway.
    """
    shop = left()
    shop.at(bought).orders("sofa", cart="c1")
    shop.time("23:00")
    assert shop.news() == told


def test_it_is_taken_back_once() -> None:
    """
    By the first that undoes it, also when its turn in time comes, and again when more does.
    """
    shop = left()
    shop.at("10:31").adds("lamp", cart="c1")
    shop.at("10:32").removes("lamp", cart="c1").orders("sofa", cart="c1")
    shop.at("10:33").opts_out().declines(to=last(shop).trigger_id)
    shop.time("12:00")
    assert shop.news() == [taken("10:31", "changed")]


def test_an_order_that_comes_in_late_takes_back() -> None:
    """
    Ordered at 10:29, told at 10:31, after time had passed it: the reminder has left, and is taken back.
    """
    shop = left()
    shop.time("10:31")
    shop.at("10:29").orders("sofa", cart="c1")
    shop.time("10:32")
    assert shop.news() == [taken("10:29", "purchased")]


def test_an_order_that_was_there_when_the_reminder_left() -> None:
    """
    Ordered at 10:30:10, known before time has come to 10:30: by then it is the future, the cart is left all the same;
    the order takes it back when its turn comes.
    """
    shop = shop_of(LEFT, settings=strict())
    shop.at("10:00").adds("sofa", cart="c1")
    shop.at("10:30:10").orders("sofa", cart="c1")
    assert shop.news() == []
    shop.time("10:31")
    assert shop.news() == [sent("10:30"), taken("10:30:10", "purchased")]


@pytest.mark.parametrize("kind", ["order_completed", "product_added"])
def test_a_browse_intent_is_over_once_something_is_picked(kind: Kind) -> None:
    """
    Ordered or put into a cart, whatever it is.
    """
    shop = shop_of(rule(on="browse.timer"), settings=strict())
    for second in range(3):
        shop.at(f"10:00:{second}").views("sofa")
    shop.time("11:01")
    assert len(shop.news()) == 1
    at = shop.at("11:02")
    at.happens(kind, "anon-7", commerce=Commerce((Item("lamp", price=5.0),), cart_id="c5", order_id="o5"))
    told = "purchased" if kind == "order_completed" else "changed"
    assert shop.news() == [taken("11:02", told)]


def test_a_checkout_too() -> None:
    """
    Left at the till, and paid.
    """
    shop = shop_of(rule(on="checkout.timer"), settings=strict())
    shop.at("10:00").adds("sofa", cart="c1").checks_out("c1", checkout="k1")
    shop.time("11:00")
    assert len(shop.news()) == 1
    shop.at("11:02").orders("sofa", checkout="k1")
    assert shop.news() == [taken("11:02", "purchased")]


@pytest.mark.parametrize("name", ["email", "marketing", "email:marketing", "all"])
def test_who_withdraws_consent_is_not_to_be_written_to(name: str) -> None:
    """
    To the channel, the purpose, both or all.
    """
    shop = left()
    shop.at("10:31").opts_out(channel="sms").opts_out(channel="research")
    assert shop.news() == []
    shop.at("10:31").opts_out(channel=name)
    assert shop.news() == [taken("10:31", "consent")]


def test_a_complaint_takes_back_what_has_not_been_read() -> None:
    """
    All letters that are alive; what was declined by it is one of them.
    """
    shop = shop_of(rule("one", slot="one"), rule("two", slot="two"), rule("text", slot="three", channels=["sms"]))
    shop.at("10:00").reads()
    shop.at("10:05").complains(shop.triggers()[0].trigger_id)
    assert shop.news()[3:] == [
        Taken("mara", "one", "10:05", "declined"),
        Taken("mara", "two", "10:05", "consent"),
    ]


def test_who_declines_declines_this_one() -> None:
    """
    Other triggers live on.
    """
    shop = shop_of(rule("one", slot="one"), rule("two", slot="two"))
    shop.at("10:00").reads()
    one, _ = shop.triggers()
    shop.at("10:05").accepts(one.trigger_id)
    assert len(shop.news()) == 2
    shop.at("10:05").declines(to=one.trigger_id)
    assert shop.news() == [Taken("mara", "one", "10:05", "declined")]


def test_what_a_rule_says_takes_back() -> None:
    """
    An event of `undone_by`, for the same; an order's word is purchased, of all others it is cancelled.
    """
    delay = rule(on="searched", undone_by=["chat_started", "order_completed"])
    shop = shop_of(delay)
    shop.at("10:00").searches("sofa")
    shop.at("10:01").reads().happens("chat_started", "anon-7")
    shop.at("10:02").searches("sofa")
    shop.at("10:03").orders("sofa")
    assert shop.news() == [sent("10:00"), taken("10:01", "cancelled"), sent("10:02"), taken("10:03", "purchased")]


def test_what_has_not_come_in_time_takes_back_when_it_comes() -> None:
    """
    A wait of half an hour without an order: one a millisecond too late undoes what was said.
    """
    shop = shop_of(rule(on="searched", after="30m", without="order_completed", per="profile"))
    shop.at("10:00").searches("sofa")
    shop.at("10:30:00.001").orders("sofa")
    shop.time("10:31")
    assert shop.news() == [sent("10:30"), taken("10:30:00.001", "purchased")]


def test_only_the_same_is_undone() -> None:
    """
    Per order and per product: another one's leaves it alone.
    """
    confirm = rule(on="order_completed", undone_by="order_cancelled")
    shop = shop_of(confirm)
    shop.at("10:00").orders("sofa", order="o1")
    shop.at("10:01").happens("order_cancelled", "anon-7", commerce=Commerce(order_id="o2"))
    assert shop.news() == [sent("10:00")]
    shop.at("10:02").happens("order_cancelled", "anon-7", commerce=Commerce(order_id="o1"))
    assert shop.news() == [taken("10:02", "cancelled")]
    offer = rule(on="product_viewed", undone_by="product_added")
    shop = shop_of(offer)
    shop.at("10:00").views("sofa")
    shop.at("10:01").adds("lamp")
    assert shop.news() == [sent("10:00")]
    shop.at("10:02").adds("sofa")
    assert shop.news() == [taken("10:02", "cancelled")]


def test_nothing_is_taken_back_by_its_own_event() -> None:
    """
    Nor when that event's turn in time comes, or it is told again; by the next one of its kind it is.
    """
    shop = shop_of(rule(on="searched", undone_by="searched", cooldown="1h"))
    shop.at("10:00").searches("sofa")
    shop.time("10:05")
    assert shop.news() == [sent("10:00")]
    shop.at("10:06").searches("lamp")
    assert shop.news() == [taken("10:06", "cancelled"), Held("mara", "hello", "10:06", "cooldown")]


def test_a_visit_is_the_same_wherever_it_turns_out_to_have_begun() -> None:
    """
    A page of 10:00:05 that is told after the first one of 10:00:10 makes the visit longer, and no other.
    """
    shop = shop_of(rule(per="session", undone_by="searched"))
    shop.at("10:00:10").reads()
    shop.at("10:00:05").leaves()
    shop.at("10:01").searches("sofa")
    shop.time("10:05")
    assert shop.news() == [sent("10:00:10"), taken("10:01", "cancelled")]


def test_what_came_before_undoes_nothing() -> None:
    """
    A chat of 10:00:05, told after the search of 10:00:10, is before it.
    """
    for chat, told in (("10:00:05", []), ("10:00:10", [taken("10:00:10", "cancelled")])):
        shop = shop_of(rule(on="searched", undone_by="chat_started"))
        shop.at("10:00:10").searches("sofa")
        shop.at(chat).happens("chat_started", "anon-7")
        shop.time("10:05")
        assert shop.news() == [sent("10:00:10"), *told], chat


def test_what_comes_first_undoes_what_is_told_later() -> None:
    """
    The chat of 10:00:20 is known when the search of 10:00:10 is: what is said is taken back when the turn comes.
    """
    shop = shop_of(rule(on="searched", undone_by="chat_started"))
    shop.at("10:00:20").happens("chat_started", "anon-7")
    shop.at("10:00:10").searches("sofa")
    shop.time("10:05")
    assert shop.news() == [sent("10:00:10"), taken("10:00:20", "cancelled")]


def test_an_order_on_another_device_takes_back_when_they_meet() -> None:
    """
    Reminded as a visitor at 10:30, bought as a customer at 10:35, known to be one at 10:40.
    """
    shop = shop_of(LEFT | {"channels": ["push"]}, settings=strict())
    shop.at("10:00").adds("sofa", cart="c1", by="phone-1")
    shop.at("10:30").expects(Nudge("phone-1", "hello", "10:30", "push"))
    shop.at("10:35").orders("sofa")
    shop.at("10:40").identifies("phone-1", as_="mara")
    shop.time("10:41")
    assert shop.news() == [taken("10:40", "purchased")]


def test_a_refusal_on_another_device_takes_back_when_they_meet() -> None:
    """
    Said by the customer before, heard when the visitor turns out to be them.
    """
    shop = shop_of(rule(channels=["push"]))
    shop.at("10:00").opts_out(channel="push")
    shop.at("10:05").reads(by="phone-1")
    shop.at("10:10").identifies("phone-1", as_="mara")
    shop.time("10:11")
    assert shop.news() == [Nudge("phone-1", "hello", "10:05", "push"), taken("10:10", "consent")]


def test_what_came_to_another_device_takes_back_when_they_meet() -> None:
    """
    What a rule says undoes it, too.
    """
    shop = shop_of(rule(on="searched", channels=["push"], undone_by="chat_started"))
    shop.at("10:00").searches("sofa", by="phone-1")
    shop.at("10:05").happens("chat_started", "anon-7")
    shop.at("10:10").identifies("phone-1", as_="mara")
    shop.time("10:11")
    assert shop.news() == [Nudge("phone-1", "hello", "10:00", "push"), taken("10:10", "cancelled")]


def test_what_was_sent_to_a_visitor_is_taken_back_from_the_customer() -> None:
    """
    After the link, and while it waits for its turn; from two leads who became one as well.
    """
    for at in ("10:40:10", "10:45"):
        shop = shop_of(LEFT | {"channels": ["push"]}, settings=strict())
        shop.at("10:00").adds("sofa", cart="c1", by="phone-1")
        shop.at("10:40").identifies("phone-1", as_="mara")
        shop.at(at).orders("sofa", cart="c1")
        shop.time("10:46")
        assert shop.news() == [Nudge("phone-1", "hello", "10:30", "push"), taken(at, "purchased")], at
    shop = shop_of(LEFT, settings=strict())
    shop.at("09:00").identifies("tablet-1", email=JOE)
    shop.at("10:00").adds("sofa", cart="c1", by="tablet-1")
    shop.time("10:30")
    shop.at("10:40").identifies("tablet-1", as_="mara", email=JOE)
    shop.at("10:45").orders("sofa", cart="c1")
    shop.time("10:46")
    assert [type(one).__name__ for one in shop.news()] == ["Nudge", "Taken"]


def test_a_rule_that_is_gone_takes_back_what_it_can_tell() -> None:
    """
    The cart's own end does, though nobody knows the rule any more; what the rule said would does not.
    """
    shop = left(undone_by="chat_started")
    shop.loop.decider.book = book_of(rule("another", "searched"))
    shop.at("10:31").happens("chat_started", "anon-7")
    assert shop.news() == []
    shop.at("10:32").orders("sofa", cart="c1")
    assert shop.news() == [taken("10:32", "purchased")]
    assert shop.of(Retraction)[0].rule.id == "hello"


def test_who_is_held_out_has_nothing_to_be_taken_back() -> None:
    """
    Nothing was sent, so nothing is taken back.
    """
    shop = shop_of(LEFT | {"holdout": 1.0}, settings=strict())
    shop.at("10:00").adds("sofa", cart="c1")
    shop.at("10:31").orders("sofa", cart="c1")
    shop.time("11:00")
    assert shop.news() == [Held("mara", "hello", "10:30", "holdout")]


def test_mara_keeps_what_joe_undoes() -> None:
    """
    Two customers, two carts of one name: each is their own.
    """
    shop = left()
    shop.at("10:31").identifies("tablet-1", as_="joe", email=JOE)
    shop.at("10:32").orders("sofa", cart="c1", by="tablet-1")
    shop.time("10:40")
    assert shop.news() == []
    assert MARA not in repr(shop.loop.records)


@pytest.mark.parametrize(("refused", "is_taken_back"), [("10:39:59.999", True), ("10:40", False)])
def test_a_word_of_later_does_not_count_for_one_of_before(refused: str, *, is_taken_back: bool) -> None:
    """
    Read in one batch: reminded at 10:30 for ten minutes, of another channel there is a word in that time, and then no
    more letters, please. It takes the reminder back if it comes before the end, as of its own instant.
    """
    shop = shop_of(LEFT | {"expires_after": "10m"}, settings=strict())
    added = Commerce(items=(Item("sofa", 1.0, 30.0),), cart_id="c1")
    shop.loop.take(
        [
            Event("product_added", instant("10:00"), "a", "web", "anon-7", "anon-7", commerce=added),
            Event("consent_given", instant("10:35"), "b", "web", "anon-7", "anon-7", consents={"sms": True}),
            Event("consent_withdrawn", instant(refused), "c", "web", "anon-7", "anon-7", consents={"email": False}),
        ]
    )
    shop.ends()
    assert shop.news() == [sent("10:30"), *([taken(refused, "consent")] if is_taken_back else [])]
