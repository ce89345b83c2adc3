"""Rules on what does not come: `after`, `without`, and for what it is waited (`per`)."""

from collections.abc import Callable

import pytest

from operators.event import Commerce, Item
from tests.stories.rules import PHONE, Yaml, rule, sent, shop_of, strict
from tests.story import ANON, Held, Moment, Story


def waiting(on: str, without: str | list[str], per: str = "profile", **keys: Yaml) -> Story:
    """A shop that says hello half an hour after something, unless another thing has come for the same."""
    return shop_of(rule(on=on, after="30m", without=without, per=per, **keys))


@pytest.mark.parametrize(
    ("ordered", "told"),
    [("10:29:59.999", []), ("10:30", []), ("10:30:00.001", [sent("10:30")])],
)
def test_what_comes_by_the_instant_has_come(ordered: str, told: list[object]) -> None:
    """
    An order up to 30:00 after the search ends the wait, that instant included; a millisecond later it is too late.
    """
    shop = waiting("searched", "order_completed")
    shop.at("10:00").searches("sofa")
    shop.at(ordered).orders("sofa")
    shop.time("12:00")
    assert [one for one in shop.news() if one.at == "10:30"] == told


def test_what_has_not_come_is_decided_at_its_instant() -> None:
    """
    29:59.999 after the search nothing is decided, at 30:00 it is, once.
    """
    shop = waiting("searched", "order_completed")
    shop.at("10:00").searches("sofa")
    shop.at("10:29:59.999").expects_nothing()
    shop.at("10:30").expects(sent("10:30"))
    shop.at("day 3 10:00").expects_nothing()


def test_a_wait_restarts() -> None:
    """
    The second search 29:59.999 after the first, or exactly 30:00, begins the wait anew: of an event and a timer of one
    instant the event is first. One a millisecond later begins another wait.
    """
    for again, told in (
        ("10:29:59.999", ["10:59:59.999"]),
        ("10:30", ["11:00"]),
        ("10:30:00.001", ["10:30", "11:00:00.001"]),
    ):
        shop = waiting("searched", "order_completed")
        shop.at("10:00").searches("sofa")
        shop.at(again).searches("sofa")
        shop.time("12:00")
        assert shop.news() == [sent(at) for at in told], again


def test_what_began_before_is_no_answer() -> None:
    """
    An order before the search does not end the wait that the search begins.
    """
    shop = waiting("searched", "order_completed")
    shop.at("09:59:59.999").orders("sofa")
    shop.at("10:00").searches("sofa")
    shop.at("11:00").expects(sent("10:30"))


def test_a_kind_may_end_and_begin() -> None:
    """
    Half an hour without another page: each page ends one wait and begins the next.
    """
    shop = waiting("page_viewed", "page_viewed")
    shop.at("10:00").reads()
    shop.at("10:29:59.999").reads()
    shop.at("10:59:59.999").reads()
    shop.at("12:00").expects(sent("11:29:59.999"))


def test_disorder_within_the_lateness_changes_nothing() -> None:
    """
    The order that comes in before its search, and a page later told than a later one.
    """
    shop = waiting("searched", "order_completed")
    shop.at("10:00:20").orders("sofa")
    shop.at("10:00").searches("sofa")
    shop.at("11:00").expects_nothing()
    shop.at("11:30").expects_nothing()


def test_at_once_when_time_is_complete() -> None:
    """
    After 0 s a rule decides by all that came up to that instant, whenever it came in; here a refusal at that very one.
    """
    shop = shop_of(rule(on="searched", after="0s"))
    shop.at("10:00").searches("sofa")
    assert shop.news() == []
    shop.at("10:00").opts_out()
    shop.at("10:01").searches("sofa")
    shop.at("10:01").opts_in()
    shop.at("10:02").expects(Held("mara", "hello", "10:00", "consent"), sent("10:01"))


def test_a_wait_for_nothing_just_waits() -> None:
    """
    Without `without` it is a delay: the first flight a day after (mission row 9), whatever comes.
    """
    shop = shop_of(rule(on="consent_given", after="24h", per="profile"))
    shop.at("10:00").opts_in()
    shop.at("11:00").orders("sofa").searches("sofa")
    shop.at("day 2 09:59:59.999").expects_nothing()
    shop.at("day 2 10:00").expects(sent("day 2 10:00"))


def test_each_event_has_its_wait() -> None:
    """
    Per event two searches are two waits, and one order ends both.
    """
    shop = waiting("searched", "order_completed", per="event")
    shop.at("10:00").searches("sofa")
    shop.at("10:01").searches("lamp")
    shop.at("10:29").expects_nothing()
    shop.at("10:31").expects(sent("10:30"), sent("10:31"))
    shop = waiting("searched", "order_completed", per="event")
    shop.at("11:00").searches("sofa")
    shop.at("11:01").searches("lamp")
    shop.at("11:02").orders("sofa")
    shop.at("12:00").expects_nothing()


def test_each_product_has_its_wait() -> None:
    """
    The sofa put into a cart ends the wait for the sofa, not that for the lamp; an order without products ends both.
    """
    keys: Yaml = {"on": "product_viewed", "per": "product", "payload": {"id": "event.product.id"}}
    shop = waiting(without=["product_added", "order_completed"], **keys)
    shop.at("10:00").views("sofa").views("lamp")
    shop.at("10:29:59.999").adds("sofa")
    shop.at("11:00").expects(sent("10:30"))
    assert shop.triggers()[0].context == {"id": "lamp"}
    shop = waiting(without=["product_added", "order_completed"], **keys)
    shop.at("12:00").views("sofa").views("lamp")
    shop.at("12:01").orders()
    shop.at("13:00").expects_nothing()


def test_two_products_of_one_instant_are_two_triggers() -> None:
    """
    Two waits that end at one instant are two candidates of one action: one wins, and the other says so.
    """
    shop = waiting("product_viewed", "product_added", per="product")
    shop.at("10:00").views("sofa").views("lamp")
    shop.at("10:30").expects(Held("mara", "hello", "10:30", "excluded"), sent("10:30"))


def test_each_order_has_its_wait() -> None:
    """
    Cancelled is one order; the survey of the other is still due.
    """
    shop = waiting("order_completed", "order_cancelled", per="order", payload={"order": "event.order.id"})
    shop.at("10:00").orders("sofa", order="o1")
    shop.at("10:10").orders("lamp", order="o2")
    shop.at("10:30").happens("order_cancelled", "anon-7", commerce=Commerce(order_id="o1"))
    shop.at("10:39:59.999").expects_nothing()
    shop.at("10:40").expects(sent("10:40"))
    assert shop.triggers()[0].context == {"order": "o2"}


def added(shop: Story, **ended: Yaml) -> list[object]:
    """What is said of a cart of 10:00 when at 10:20, with another one of 10:15 there, an order comes."""
    shop.at("10:00").adds("sofa", cart="c1")
    shop.at("10:10").checks_out("c1", checkout="k1")
    shop.at("10:15").adds("lamp", cart="c2").checks_out("c2", checkout="k2")
    shop.at("10:20").happens("order_completed", "anon-7", **ended)
    shop.time("10:30")
    return list(shop.news())


CART: Yaml = {"on": "product_added", "without": "order_completed", "per": "cart"}


@pytest.mark.parametrize(
    ("commerce", "told"),
    [
        (Commerce(cart_id="c1"), []),
        (Commerce(order_id="o1"), []),
        (None, []),
        (Commerce(checkout_id="k1"), []),
        (Commerce(cart_id="c2"), [sent("10:30")]),
        (Commerce(checkout_id="k2"), [sent("10:30")]),
        (Commerce((Item("sofa"),), cart_id="c2"), []),
        (Commerce(cart_id="c9"), []),
    ],
)
def test_the_order_of_another_cart_ends_no_wait(commerce: Commerce | None, told: list[object]) -> None:
    """
    Its own cart's does, by its name or that of its checkout, and one that names none; and of another cart one that has
    bought all that is in this one, or of one that nobody has heard of: shops give a guest's cart a new id.
    """
    assert added(waiting(**CART), commerce=commerce) == told


def test_each_call_has_its_wait() -> None:
    """
    Nobody answers call-1 for half an hour; call-2, answered, does not end its wait.
    """
    for answered, told in (("call-1", []), ("call-2", [sent("10:30")])):
        shop = waiting("call_queued", "call_answered", per="call")
        shop.at("10:00").happens("call_queued", "", phone=PHONE, channel="phone", call_id="call-1")
        shop.at("10:05").happens("call_answered", "", phone=PHONE, channel="phone", call_id=answered)
        shop.time("11:00")
        assert shop.news() == told, answered


Does = Callable[[Moment], Moment]

ENDS: list[tuple[str, str, str, Does, Does]] = [
    ("event", "searched", "order_completed", lambda at: at.searches("sofa"), lambda at: at.orders("sofa")),
    ("product", "product_viewed", "product_added", lambda at: at.views("sofa"), lambda at: at.adds("sofa")),
    (
        "order",
        "order_completed",
        "order_cancelled",
        lambda at: at.orders("sofa", order="o1"),
        lambda at: at.happens("order_cancelled", ANON, commerce=Commerce(order_id="o1")),
    ),
    ("cart", "product_added", "order_completed", lambda at: at.adds("sofa"), lambda at: at.orders("sofa", cart="c1")),
    ("call", "call_ringing", "call_ended", lambda at: at.calls(PHONE), lambda at: at.hangs_up(PHONE)),
    ("session", "searched", "page_left", lambda at: at.searches("sofa"), lambda at: at.leaves()),
    ("profile", "searched", "order_completed", lambda at: at.searches("sofa"), lambda at: at.orders("sofa")),
]


@pytest.mark.parametrize(("per", "on", "without", "begin", "end"), ENDS, ids=[one[0] for one in ENDS])
def test_every_wait_has_both_sides(per: str, on: str, without: str, begin: Does, end: Does) -> None:
    """
    For whatever it is waited: what comes 29:59.999 after, or exactly 30:00, ends the wait; a millisecond later, what
    was said is taken back.
    """
    for at, count in (("10:29:59.999", 0), ("10:30", 0), ("10:30:00.001", 2)):
        shop = waiting(on, without, per=per)
        begin(shop.at("10:00"))
        if per == "session":
            shop.at("10:15").reads()  # the visit goes on
        end(shop.at(at))
        shop.time("12:00")
        assert len(shop.news()) == count, at
        assert len(shop.triggers()) == count / 2


def test_the_next_visit_ends_no_wait() -> None:
    """
    A page that is left 30:00 after the last event of the visit is of that, a millisecond later of the next one.
    """
    for left, told in (("10:30", []), ("10:30:00.001", [sent("10:40")])):
        shop = shop_of(rule(on="searched", after="40m", without="page_left", per="session"))
        shop.at("10:00").searches("sofa")
        shop.at(left).leaves()
        shop.time("12:00")
        assert shop.news() == told, left


def test_two_devices_are_two_visits() -> None:
    """
    What comes on the phone does not end what is waited for on the laptop; per profile it does.
    """
    for per, told in (("session", [sent("10:30")]), ("profile", [])):
        shop = waiting("searched", "page_viewed", per=per)
        shop.at("09:00").identifies("phone-1", as_="mara")
        shop.at("10:00").searches("sofa")
        shop.at("10:10").reads(by="phone-1", channel="app")
        shop.time("11:00")
        assert shop.news() == told, per


def test_a_straggler_that_begins_the_visit_earlier_changes_nothing() -> None:
    """
    The wait is that visit's, wherever it turns out to have begun.
    """
    shop = waiting("searched", "order_completed", per="session")
    shop.at("10:00").searches("sofa")
    shop.at("10:05").reads()
    shop.at("09:45").reads()
    shop.at("10:20").orders("sofa")
    shop.at("11:00").expects_nothing()


def test_conditions_are_asked_when_it_begins_and_when_it_is_due() -> None:
    """
    `when` of the cause at its time, the filters as things stand at the end.
    """
    keys: Yaml = {"when": "profile.visits == 1", "eligibility": "profile.cart.value >= 50.0"}
    shop = shop_of(rule(on="page_viewed", after="2h", per="profile", payload={"cart": "profile.cart.value"}, **keys))
    shop.at("08:10").reads()
    shop.time("08:11")
    shop.at("09:00").adds("kettle", price=30.0)
    shop.at("10:09").adds("pot", price=20.0)
    shop.at("10:10").expects(sent("10:10"))
    assert shop.triggers()[0].context == {"cart": 50.0}


def test_a_wait_says_what_it_is_about() -> None:
    """
    The cause is the timer of its kind at the due instant, the event that began it, and how long was waited.
    """
    keys: Yaml = {
        "payload": {"waited": "event.waited", "query": "event.query", "since": "event.at", "kind": "event.kind"}
    }
    shop = waiting("searched", "order_completed", **keys)
    shop.at("10:00").searches("sofa")
    shop.time("11:00")
    (trigger,) = shop.triggers()
    assert trigger.context == {
        "waited": 1_800_000,
        "query": "sofa",
        "since": "2026-11-21T10:00:00.000Z",
        "kind": "searched",
    }
    cause = trigger.cause
    assert (cause.type, cause.time, cause.event_id) == ("searched.timer", "2026-11-21T10:30:00.000Z", "e0002")


def test_after_an_abandoned_cart_one_may_wait_on() -> None:
    """
    A second letter a day after the first, unless the cart has changed: 23:59:59.999 later it is in time.
    """
    for changed, told in (("day 2 10:30", []), ("day 2 10:30:00.001", [sent("day 2 10:30")])):
        shop = shop_of(rule(on="cart.timer", after="24h"), settings=strict())
        shop.at("10:00").adds("sofa")
        shop.at(changed).adds("lamp")
        shop.time("day 2 10:45")
        assert [one for one in shop.news() if one == sent("day 2 10:30")] == told, changed


@pytest.mark.parametrize(("told", "reason"), [("22:29:59.999", ""), ("22:30", "expired")])
def test_a_wait_that_begins_too_late_to_be_of_use_is_for_nothing(told: str, reason: str) -> None:
    """
    A search of 10:00, waited for until 10:30, is worth a letter for twelve hours: told a millisecond before they are
    over it still is, then no more.
    """
    shop = waiting("searched", "order_completed", expires_after="12h")
    shop.at("10:00").reads()
    shop.time(told)
    shop.at("10:00").searches("sofa")
    shop.time("23:00")
    assert shop.news() == [Held("mara", "hello", "10:30", reason) if reason else sent("10:30")]


def test_a_late_event_still_begins_its_wait() -> None:
    """
    A search of 10:00 told at 10:20, after time had passed it, is waited for until 10:30; so is what ends it.
    """
    shop = waiting("searched", "order_completed")
    shop.time("10:20")
    shop.at("10:00").searches("sofa")
    shop.at("10:30").expects(sent("10:30"))
    shop = waiting("searched", "order_completed")
    shop.at("11:00").searches("sofa")
    shop.time("11:20")
    shop.at("11:10").orders("sofa")
    shop.at("12:00").expects_nothing()
