"""Every fact that conditions may ask, of real events; and those that are known before their turn in time."""

from typing import Any, Final

import pytest

from operators.call_record import CallRecord
from operators.event import Commerce, Item
from operators.facts import FACTS
from tests.stories.rules import MARA, PHONE, Yaml, book_of, last, rule, shop_of, strict
from tests.story import ANON, Story

MORNING: Final = "2026-11-21T10:00:00.000Z"

SOFA: Final = Item("sofa", quantity=2.0, price=450.0, name="Big sofa", category="living")
BOUGHT: Final = Commerce(
    (SOFA, Item("lamp")), cart_id="c1", order_id="o1", currency="EUR", value=920.0, cart_value=950.0
)

CALL: Final = CallRecord(
    call_id="call-1",
    provider="twilio",
    state="closed",
    direction="inbound",
    customer_ref="",
    called="",
    started_at=MORNING,
    answered_at="",
    ended_at=MORNING,
    duration_ms=35_000,
    wait_ms=35_000,
    talk_ms=1_000,
    hold_ms=0,
    holds=0,
    legs=1,
    agents=[],
    queues=["support"],
    transfers=[],
    reason="abandoned",
    ended_by="system",
    abandoned_in_queue=True,
    merged_into="",
    revision=1,
)


def asked(shop: Story) -> dict[str, Any]:
    """What the last trigger has found the facts to be, by path."""
    return {name.replace("__", "."): value for name, value in last(shop).context.items()}


def asking(on: str, *paths: str, **keys: Yaml) -> Yaml:
    """A rule that tells these facts."""
    return rule(on=on, channels=["crm"], payload={path.replace(".", "__"): path for path in paths}, **keys)


EVENT: Final[list[tuple[str, dict[str, Any], dict[str, Any]]]] = [
    (
        "page_viewed",
        {
            "url": "/cups",
            "referrer": "https://search.example/",
            "campaign": "spring",
            "name": "Cups",
            "event_id": "m1",
            "properties": {"depth": 3, "tags": ["a"]},
        },
        {
            "now": MORNING,
            "event.kind": "page_viewed",
            "event.at": MORNING,
            "event.id": "m1",
            "event.channel": "web",
            "event.url": "/cups",
            "event.referrer": "https://search.example/",
            "event.campaign": "spring",
            "event.name": "Cups",
            "event.properties": {"depth": 3, "tags": ["a"]},
        },
    ),
    ("searched", {"query": "sofa"}, {"event.query": "sofa"}),
    (
        "product_viewed",
        {"commerce": BOUGHT},
        {
            "event.product.id": "sofa",
            "event.product.name": "Big sofa",
            "event.product.category": "living",
            "event.product.price": 450.0,
            "event.product.quantity": 2.0,
            "event.product.views": 1,
            "event.products": ["sofa", "lamp"],
            "event.currency": "EUR",
        },
    ),
    (
        "order_completed",
        {"commerce": BOUGHT},
        {"event.order.id": "o1", "event.order.value": 920.0, "event.cart.id": "c1", "event.cart.value": 950.0},
    ),
    (
        "call_closed",
        {"call": CALL, "phone": PHONE, "channel": "phone", "call_id": "call-1"},
        {
            "event.call.id": "call-1",
            "event.call.reason": "abandoned",
            "event.call.direction": "inbound",
            "event.call.wait": 35_000,
            "event.call.talk": 1_000,
            "event.call.abandoned": True,
        },
    ),
]


@pytest.mark.parametrize(("kind", "told", "facts"), EVENT, ids=[one[0] for one in EVENT])
def test_facts_of_an_event(kind: Any, told: dict[str, Any], facts: dict[str, Any]) -> None:  # noqa: ANN401 -- a kind
    """
    Each is what the source has told.
    """
    shop = shop_of(asking(kind, *facts))
    shop.at("10:00").happens(kind, "" if "phone" in told else ANON, **told)
    assert asked(shop) == facts


LEFT: Final = {
    "event.kind": "checkout.timer",
    "event.at": "2026-11-21T10:30:00.000Z",
    "event.stage": "checkout",
    "event.cart.id": "c1",
    "event.cart.value": 950.0,
    "event.products": ["sofa", "lamp"],
    "event.currency": "EUR",
}


def test_facts_of_a_cart_that_is_left() -> None:
    """
    The moment is the cart's, at its due instant.
    """
    shop = shop_of(asking("checkout.timer", *LEFT), settings=strict())
    shop.at("10:00").happens("checkout_started", ANON, commerce=BOUGHT)
    shop.time("10:30")
    assert asked(shop) == LEFT


OF_MOMENTS: Final = {"event.visit": 2, "event.waited": 3_600_000}


def test_facts_of_other_moments() -> None:
    """
    The how-many-th visit it is, and how long was waited.
    """
    shop = Story(book=book_of(asking("visit.returned", "event.visit")))
    shop.at("10:00").reads()
    shop.at("11:00").reads()
    assert asked(shop) == {"event.visit": OF_MOMENTS["event.visit"]}
    shop = shop_of(asking("searched", "event.waited", after="1h"))
    shop.at("10:00").searches("sofa")
    shop.time("11:00")
    assert asked(shop) == {"event.waited": OF_MOMENTS["event.waited"]}


NOBODY: Final = {
    "profile.known": False,
    "profile.visits": 1,
    "profile.first_at": MORNING,
    "profile.last_at": MORNING,
    "profile.on_site": True,
    "profile.in_call": False,
    "profile.has_email": False,
    "profile.has_phone": False,
    "profile.consent.email": True,
    "profile.consent.sms": True,
    "profile.consent.push": True,
    "profile.consent.phone": False,
    "profile.interest.scores": {},
    "profile.products": {},
    "profile.pages": {"/": 1},
    "profile.searches": [],
    "profile.zone": "UTC",
    "profile.local_hour": 10,
    "profile.local_weekday": 6,
}

ABSENT: Final = frozenset(path for path in FACTS if path.startswith("profile.")) - frozenset(NOBODY)


def test_facts_of_nobody() -> None:
    """
    Of who is seen for the first time; what is not known has no value.
    """
    shop = Story(book=book_of(asking("page_viewed", *NOBODY, *ABSENT)))
    shop.at("10:00").reads("/")
    assert asked(shop) == NOBODY
    assert len(shop.faults()) == len(ABSENT) == 9


def test_facts_of_somebody() -> None:
    """
    Of a customer with a history, all of it told in the last seconds: what is held back for its turn is known.
    """
    paths = [path for path in FACTS if path.startswith("profile.")]
    shop = Story(book=book_of(asking("chat_started", *paths)))
    shop.at("09:00").reads("/")
    shop.at("10:00").identifies(as_="mara", email=MARA, phone=PHONE, properties={"timezone": "Pacific/Auckland"})
    shop.at("10:00:01").views("sofa", category="living").searches("lamp").searches("sofa")
    shop.at("10:00:02").orders("cup", cart="c0")
    shop.at("10:00:03").happens("checkout_started", ANON, commerce=Commerce((SOFA,), cart_id="c1", currency="EUR"))
    shop.at("10:00:04").opts_out().opts_out(channel="push").opts_in(channel="phone").opts_out(channel="sms:marketing")
    shop.at("10:00:05").declines()
    shop.at("10:00:06").calls(PHONE)
    shop.at("10:00:10").happens("chat_started", ANON)
    found = asked(shop)
    score = found.pop("profile.interest.scores")["living"]
    assert score == pytest.approx(1.0, rel=1e-3)
    assert found == {
        "profile.known": True,
        "profile.visits": 2,
        "profile.first_at": "2026-11-21T09:00:00.000Z",
        "profile.last_at": "2026-11-21T10:00:10.000Z",
        "profile.on_site": True,
        "profile.in_call": True,
        "profile.has_email": True,
        "profile.has_phone": True,
        "profile.consent.email": False,
        "profile.consent.sms": False,
        "profile.consent.push": False,
        "profile.consent.phone": True,
        "profile.declined_at": "2026-11-21T10:00:05.000Z",
        "profile.order.at": "2026-11-21T10:00:02.000Z",
        "profile.cart.value": 900.0,
        "profile.cart.currency": "EUR",
        "profile.cart.stage": "checkout",
        "profile.cart.state": "open",
        "profile.cart.changed_at": "2026-11-21T10:00:03.000Z",
        "profile.cart.lines": [{"product_id": "sofa", "quantity": 2.0, "price": 450.0, "name": "Big sofa"}],
        "profile.interest.top": "living",
        "profile.products": {"sofa": 1},
        "profile.pages": {"/": 1},
        "profile.searches": ["lamp", "sofa"],
        "profile.zone": "Pacific/Auckland",
        "profile.local_hour": 23,
        "profile.local_weekday": 6,
    }
    assert shop.faults() == []


def test_no_fact_is_untested() -> None:
    """
    A new one needs its story here.
    """
    asked_for = {path for _, _, facts in EVENT for path in facts} | set(LEFT) | set(OF_MOMENTS)
    assert asked_for | {path for path in FACTS if path.startswith("profile.")} == set(FACTS)


@pytest.mark.parametrize(("price", "sent"), [(49.99, 0), (50.0, 1)])
def test_a_cart_is_worth_what_was_just_put_into_it(price: float, sent: int) -> None:
    """
    By the very event that is answered.
    """
    shop = shop_of(rule(on="product_added", eligibility="profile.cart.value >= 50.0"))
    shop.at("10:00").adds("sofa", price=price)
    assert len(shop.triggers()) == sent


def test_a_cart_is_worth_nothing_once_it_is_bought() -> None:
    """
    By the order that is answered: then there is none.
    """
    kinds = ["order_completed", "page_viewed"]
    shop = shop_of(rule(on=kinds, per="event", unless="profile.cart.value > 0.0"))
    shop.at("10:00").adds("sofa").reads()
    shop.at("10:00:10").orders("sofa", cart="c1")
    assert [one.detail for one in shop.suppressed()] == [
        "unless profile.cart.value > 0.0",
        "unless profile.cart.value > 0.0 (no value)",
    ]
    shop = shop_of(rule(on="order_completed", unless="has(profile.cart.value)"))
    shop.at("10:00").adds("sofa")
    shop.at("10:00:10").orders("sofa", cart="c1")
    assert len(shop.triggers()) == 1


def test_consent_just_withdrawn_is_withdrawn() -> None:
    """
    In conditions as in channels, by the very event that is answered; and just given is given.
    """
    shop = shop_of(
        rule(on=["consent_withdrawn", "consent_given"], channels=["crm"], payload={"may": "profile.consent.email"})
    )
    shop.at("10:00").opts_out()
    shop.at("10:00:01").opts_in()
    assert [one.context["may"] for one in shop.triggers()] == [False, True]


def test_what_a_guest_has_is_the_persons() -> None:
    """
    The cart of the other device is known from the link's event on, before its turn has come.
    """
    shop = shop_of(asking("chat_started", "profile.cart.value", "profile.known"))
    shop.at("10:00").adds("sofa", price=70.0, by="phone-1")
    shop.at("10:00:10").identifies("phone-1", as_="mara")
    shop.at("10:00:20").happens("chat_started", ANON)
    assert asked(shop) == {"profile.cart.value": 70.0, "profile.known": True}


def test_the_local_hour_is_the_clocks() -> None:
    """
    23:59:59.999 of Saturday is 23, midnight is 0 of Sunday; in Berlin an hour ahead.
    """
    shop = shop_of(asking("page_viewed", "profile.local_hour", "profile.local_weekday", "profile.zone"))
    for at, told in (("22:59:59.999", (23, 6)), ("23:00", (0, 7)), ("day 2 23:00", (0, 1))):
        shop.at(at).reads()
        found = asked(shop)
        assert (found["profile.local_hour"], found["profile.local_weekday"]) == told
        assert found["profile.zone"] == "Europe/Berlin"
