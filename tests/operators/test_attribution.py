"""Attribution: which touch an order is credited to, for how long, and when a credit is taken back."""

import pytest

from operators.attribution import HOUR_MS, ORDERS_MAX, WINDOWS, Attribution, Credit, Orders
from operators.contacts import Book, Contacts, Send
from tests.story import DAY_1, DAY_MS

RULES = Attribution(WINDOWS)
BOOK = Book(30 * DAY_MS, 50)
ORDER_AT = DAY_1 + 10 * DAY_MS


class Person:
    """Somebody who is sent something, does something about it, and buys."""

    def __init__(self) -> None:
        self.contacts, self.orders = Contacts(), Orders()

    def gets(self, id_: str, channel: str = "email") -> "Person":
        BOOK.send(self.contacts, Send(DAY_1, id_, channel, "cart", f"cart_{channel}"))
        return self

    def does(self, what: str, id_: str, before_ms: int) -> "Person":
        BOOK.touch(self.contacts, what, id_, ORDER_AT - before_ms)
        return self

    def buys(self, id_: str = "o1", at: int = ORDER_AT) -> list[str]:
        RULES.order(self.orders, id_, at, 129.9, "EUR")
        return self.told()

    def told(self) -> list[str]:
        return [
            f"{one.order_id}: {one.trigger_id} {one.touch}".strip() for one in RULES.settle(self.orders, self.contacts)
        ]


@pytest.mark.parametrize(("channel", "touch"), sorted(WINDOWS))
def test_an_order_is_credited_within_the_window_of_its_touch(channel: str, touch: str) -> None:
    """
    A millisecond less than the window after the touch it is, at the window's end not; nor to a touch after it.
    """
    window_ms = WINDOWS[channel, touch]
    for before_ms, credited in ((window_ms - 1, True), (window_ms, False), (0, True), (-1, False)):
        mara = Person().gets("t1", channel).does(touch, "t1", before_ms)
        assert mara.buys() == ([f"o1: t1 {touch}"] if credited else [])


def test_a_credit_says_what_has_brought_what() -> None:
    """
    Order, value and currency; trigger, action, family, channel; which touch, and when.
    """
    mara = Person().gets("t1").does("clicked", "t1", HOUR_MS)
    RULES.order(mara.orders, "o1", ORDER_AT, 129.9, "EUR")
    (credit,) = RULES.settle(mara.orders, mara.contacts)
    assert vars_of(credit) == {
        "order_id": "o1",
        "value": 129.9,
        "currency": "EUR",
        "trigger_id": "t1",
        "channel": "email",
        "family": "cart",
        "action": "cart_email",
        "touch": "clicked",
        "touched_at": ORDER_AT - HOUR_MS,
    }


def vars_of(credit: Credit) -> dict[str, object]:
    names = ("order_id", "value", "currency", "trigger_id", "channel", "family", "action", "touch", "touched_at")
    return {name: getattr(credit, name) for name in names}


def test_the_last_touch_counts() -> None:
    """
    An opening an hour ago outranks a click of yesterday; of the same instant the click does.
    """
    mara = Person().gets("t1").gets("t2").does("clicked", "t1", DAY_MS).does("opened", "t2", HOUR_MS)
    assert mara.buys() == ["o1: t2 opened"]
    once = Person().gets("t1").does("opened", "t1", HOUR_MS).does("clicked", "t1", HOUR_MS)
    assert once.buys() == ["o1: t1 clicked"]


def test_a_touch_that_is_too_old_gives_way_to_an_earlier_one_of_a_longer_window() -> None:
    """
    A message delivered 13 hours ago earns nothing, a letter opened two days ago does.
    """
    mara = (
        Person().gets("sms1", "sms").gets("t1").does("delivered", "sms1", 13 * HOUR_MS).does("opened", "t1", 2 * DAY_MS)
    )
    assert mara.buys() == ["o1: t1 opened"]


def test_what_earns_nothing_has_no_credit() -> None:
    """
    A letter delivered, an offer shown, a touch of a trigger that nobody knows; an order of itself.
    """
    mara = Person().gets("t1").gets("p1", "onsite")
    mara.does("delivered", "t1", 1).does("shown", "p1", 1).does("clicked", "stranger", 1)
    assert mara.buys() == []


def test_each_order_has_its_own() -> None:
    """
    One touch may bring two orders, and a repeated order changes nothing.
    """
    mara = Person().gets("t1").does("clicked", "t1", HOUR_MS)
    assert mara.buys("o1") == ["o1: t1 clicked"]
    assert mara.buys("o2") == ["o2: t1 clicked"]
    assert mara.buys("o1") == []


def test_a_cancelled_order_gives_its_credit_back() -> None:
    """
    Once; and an order whose cancellation is known first is never credited.
    """
    mara = Person().gets("t1").does("clicked", "t1", HOUR_MS)
    mara.buys("o1")
    RULES.cancel(mara.orders, "o1", ORDER_AT + 1)
    assert mara.told() == ["o1:"]
    assert mara.told() == []
    assert mara.buys("o1") == []
    RULES.cancel(mara.orders, "o2", ORDER_AT + 1)
    assert mara.buys("o2") == []


def test_a_touch_that_comes_late_is_told() -> None:
    """
    The click becomes known after the order: the credit goes to it; one after the order changes nothing.
    """
    mara = Person().gets("t1").gets("t2").does("opened", "t1", 2 * HOUR_MS)
    assert mara.buys() == ["o1: t1 opened"]
    assert mara.does("clicked", "t2", HOUR_MS).told() == ["o1: t2 clicked"]
    assert mara.does("opened", "t1", -HOUR_MS).told() == []


def test_what_was_sent_may_be_known_last() -> None:
    """
    The click is known here, its trigger on the other half of the person: credited when they are one.
    """
    mara, half = Person().does("clicked", "t1", HOUR_MS), Person().gets("t1")
    assert mara.buys() == []
    BOOK.union(mara.contacts, half.contacts)
    assert mara.told() == ["o1: t1 clicked"]


def test_a_credit_stays_when_its_touch_is_forgotten() -> None:
    """
    A year later nobody knows of the click; the order was brought by it all the same.
    """
    mara = Person().gets("t1").does("clicked", "t1", HOUR_MS)
    mara.buys()
    mara.does("opened", "t9", -365 * DAY_MS)
    assert mara.contacts.of("clicked") == []
    assert mara.told() == []


def test_of_two_credits_for_one_order_the_later_stays() -> None:
    """
    Each half of a person has told one; when they are one, whichever takes in the other, nothing is told that is older.
    """
    for is_first in (True, False):
        mara = Person().gets("t1").does("clicked", "t1", HOUR_MS)
        half = Person().gets("t2").does("clicked", "t2", 2 * HOUR_MS)
        assert (mara.buys(), half.buys()) == (["o1: t1 clicked"], ["o1: t2 clicked"])
        whole, other = (mara, half) if is_first else (half, mara)
        RULES.union(whole.orders, other.orders)
        assert whole.told() == []
        assert whole.orders.told["o1"][2] == "t1"


def test_orders_are_bounded() -> None:
    """
    The newest twenty of a person can still be credited or cancelled.
    """
    mara = Person().gets("t1").does("clicked", "t1", HOUR_MS)
    for n in range(ORDERS_MAX + 5):
        mara.buys(f"o{n}", ORDER_AT + n)
        RULES.cancel(mara.orders, f"x{n}", ORDER_AT + n)
    assert sorted(mara.orders.made.values()) == [(ORDER_AT + n, 129.9, "EUR") for n in range(5, ORDERS_MAX + 5)]
    assert mara.orders.told.keys() == mara.orders.made.keys()
    assert len(mara.orders.cancelled.entries) == ORDERS_MAX


def test_what_is_no_window_is_said() -> None:
    """
    With what was told and what it should be.
    """
    with pytest.raises(ValueError, match="email/read has a window but a touch is one of delivered, shown, opened"):
        Attribution({("email", "read"): 1})
    with pytest.raises(ValueError, match="email/opened has a window of 0 ms but it must be above 0"):
        Attribution({("email", "opened"): 0})
    assert Attribution({}).reach_ms == 0
    assert RULES.reach_ms == 5 * DAY_MS
