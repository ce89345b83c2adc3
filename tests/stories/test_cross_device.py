"""
A cart on one device, the order by another way: nobody is reminded of what they have bought. Issue 5, complaint 1.

Each story has its counterpart in which the order does not come: then there is one reminder. Each is told in its order;
with the event that links told after the order; and with all events in any order that lateness allows.
"""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.event import Event
from tests.stories.people import MARA, PHONE
from tests.story import Held, Nudge, Story, clock, instant, replaced

LINKED_AT = "10:05:10"


class Journey:
    """What people do, written down to be told in any order; `link` and `order` number the events that matter."""

    def __init__(self, write: Callable[["Script"], None], abandoned: str) -> None:
        script = Script()
        write(script)
        self.events, self.link, self.order = script.written, script.link, script.order
        self.abandoned = abandoned
        """What the reminder is about where nobody orders."""


class Script(Story):
    """A story that is not told yet."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Event] = []
        self.link = self.order = -1

    def tell(self, event: Event) -> None:
        """Write an event down."""
        event.event_id = f"e{len(self.written):04d}"
        if event.kind == "order_completed":
            self.order = len(self.written)
        if event.kind == "identified" and clock(event.at) == LINKED_AT:
            self.link = len(self.written)
        self.written.append(event)


def phone_then_laptop(shop: Script) -> None:
    """The cart is on the phone, known by address; the order on the laptop, known by user id until it names both."""
    shop.at("10:00").identifies("phone-1", email=MARA).adds("kettle", by="phone-1")
    shop.at("10:05").identifies("laptop-1", as_="mara")
    shop.at("10:05:10").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:05:20").orders("kettle", by="laptop-1")


def guest_then_account(shop: Script) -> None:
    """Filled as a guest, registered during checkout, ordered by the account."""
    shop.at("10:00").adds("kettle").checks_out()
    shop.at("10:05:10").identifies(as_="mara", email=MARA)
    shop.at("10:05:20").orders("kettle", by="", user_id="mara", channel="server")


def online_then_telephone(shop: Script) -> None:
    """Filled on the laptop; Mara gives her number while she calls, and the agent orders for whoever has that number."""
    shop.at("10:00").identifies("laptop-1", as_="mara", email=MARA).adds("kettle", by="laptop-1")
    shop.at("10:05").calls(PHONE)
    shop.at("10:05:10").identifies("laptop-1", as_="mara", phone=PHONE)
    shop.at("10:05:20").orders("kettle", by="", phone=PHONE, channel="phone")


def online_then_agent_by_user(shop: Script) -> None:
    """The same where the agent knows the user id, and the browser only the address."""
    shop.at("10:00").identifies("laptop-1", email=MARA).adds("kettle", by="laptop-1")
    shop.at("10:05").calls(PHONE)
    shop.at("10:05:10").identifies("", as_="mara", email=MARA, phone=PHONE, channel="phone")
    shop.at("10:05:20").orders("kettle", by="", user_id="mara", channel="phone")


def online_then_agent_by_address(shop: Script) -> None:
    """The same where the caller says the address, which the browser has told with the user id."""
    shop.at("10:00").identifies("laptop-1", as_="mara").adds("kettle", by="laptop-1")
    shop.at("10:05").calls(PHONE)
    shop.at("10:05:10").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:05:20").orders("kettle", by="", email=MARA, channel="phone")


JOURNEYS = {
    "cart on the phone, order on the laptop": Journey(phone_then_laptop, "cart_abandoned"),
    "cart as a guest, order by the account": Journey(guest_then_account, "checkout_abandoned"),
    "cart online, order by telephone": Journey(online_then_telephone, "cart_abandoned"),
    "cart online, order by an agent who knows the user": Journey(online_then_agent_by_user, "cart_abandoned"),
    "cart online, order by an agent who knows the address": Journey(online_then_agent_by_address, "cart_abandoned"),
}
every_journey = pytest.mark.parametrize("journey", JOURNEYS.values(), ids=JOURNEYS.keys())


def decided(events: list[Event]) -> tuple[list[Nudge | Held], list[str]]:
    """What was decided for carts once all is told, and what became of each cart in the end."""
    shop = Story()
    for event in events:
        shop.tell(replaced(event))
    shop.ends()
    news = shop.carts()
    last = {one.cart: one.state for one in news}
    told = [one for one in shop.news() if isinstance(one, Nudge | Held)]
    return [one for one in told if one.action.endswith("abandoned")], sorted(last.values())


@every_journey
def test_an_order_by_another_way_buys_the_cart(journey: Journey) -> None:
    """
    Nobody is reminded, and nothing is held back either: the cart is bought.
    """
    assert decided(journey.events) == ([], ["purchased"])


@every_journey
def test_without_the_order_there_is_one_reminder(journey: Journey) -> None:
    """
    Half an hour after the last that was done on any of the ways; exactly one, and by name.
    """
    events = [event for event in journey.events if event.kind != "order_completed"]
    assert decided(events) == ([Nudge("mara", journey.abandoned, clock_after(events[-1]))], ["abandoned"])


def clock_after(event: Event) -> str:
    """Half an hour after an event, as the stories write it."""
    return clock(event.at + 30 * 60_000)


@every_journey
@pytest.mark.parametrize("is_ordered", [True, False])
def test_the_link_may_be_told_after_the_order(journey: Journey, is_ordered: bool) -> None:  # noqa: FBT001
    """
    Within the lateness: as if it had been told in time.
    """
    events = [event for at, event in enumerate(journey.events) if at != journey.link]
    events.append(journey.events[journey.link])
    if not is_ordered:
        events = [event for event in events if event.kind != "order_completed"]
    in_time = [event for event in journey.events if is_ordered or event.kind != "order_completed"]
    assert decided(events) == decided(in_time)


@every_journey
@settings(max_examples=200)
@given(data=st.data(), is_ordered=st.booleans())
def test_any_order_that_lateness_allows_comes_to_the_same(
    journey: Journey,
    data: st.DataObject,
    is_ordered: bool,  # noqa: FBT001
) -> None:
    """
    Each event comes up to thirty seconds after its time: the same reminders, and the same carts bought.
    """
    in_time = [event for event in journey.events if is_ordered or event.kind != "order_completed"]
    delays = [(event.at + data.draw(st.integers(0, 30_000)), at) for at, event in enumerate(in_time)]
    assert decided([in_time[at] for _, at in sorted(delays)]) == decided(in_time)


@pytest.mark.parametrize(
    ("linked_at", "state"),
    [
        ("10:05:20", "purchased"),
        ("10:05:20.001", "purchased"),
        ("10:30", "purchased"),
        ("10:30:00.001", "recovered"),
    ],
)
def test_an_order_buys_what_turns_out_to_be_the_persons(linked_at: str, state: str) -> None:
    """
    Cart on the phone, order on the laptop at 10:05:20. Whether they are known to be one person before it or after: what
    has been paid is not to be reminded of. At 10:30 the cart is due; until then, that instant included, it is in time.
    """
    shop = Script()
    phone_then_laptop(shop)
    events = [replaced(event) for event in shop.written]
    events[shop.link].at = instant(linked_at)
    reminders, carts = decided(sorted(events, key=lambda event: event.at))
    assert carts == [state]
    assert len(reminders) == (state == "recovered")


def test_what_was_put_in_after_the_order_is_not_paid() -> None:
    """
    Nor is what was ordered another thing.
    """
    for product, again in (("kettle", "teapot"), ("sofa", "")):
        shop = Story()
        shop.at("10:00").identifies("phone-1", email=MARA).adds("kettle", by="phone-1")
        shop.at("10:05").identifies("laptop-1", as_="mara").orders(product, by="laptop-1")
        if again:
            shop.at("10:06").adds(again, by="phone-1")
        shop.at("10:10").identifies("laptop-1", as_="mara", email=MARA)
        shop.ends()
        assert [trigger.action for trigger in shop.triggers()] == ["cart_abandoned"]
