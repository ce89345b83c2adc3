"""Braze: requests to /users/track and records of Currents become the events they tell of."""

from typing import Any

import pytest
from hypothesis import given, settings

from connectors.formats.braze_names import KIND_OF_RECORD
from operators.event import Commerce, Item
from operators.rejected import REASONS
from tests.connectors.formats import NOON, decoded, event_of, events_of, mutated, reasons

SHOE: dict[str, Any] = {
    "product_id": "SHOE-1",
    "product_name": "Running shoe",
    "variant_id": "SHOE-1-42",
    "quantity": 1,
    "price": 189.99,
    "metadata": {"color": "black"},
}
LINE = Item("SHOE-1", 1.0, 189.99, "Running shoe")


def said(name: str, **properties: object) -> dict[str, Any]:
    """
    One event as a request has it.
    """
    properties = {"source": "web", "currency": "EUR"} | properties
    return {"external_id": "u1", "name": name, "time": "2026-11-21T10:00:00Z", "properties": properties}


ORDER = said("ecommerce.order_placed", order_id="o1", cart_id="c1", total_value=200.5, products=[SHOE], tax=9)
REQUEST: dict[str, Any] = {
    "events": [
        ORDER,
        {"user_alias": {"alias_name": "a-7", "alias_label": "web"}, "name": "Quiz Done", "time": 1795255200},
    ],
    "purchases": [
        {
            "external_id": "u1",
            "product_id": "gift",
            "currency": "EUR",
            "price": 5,
            "quantity": 2,
            "time": "2026-11-21T10:00:00Z",
        }
    ],
    "attributes": [
        {"external_id": "u1", "email": "Ann@shop.example", "email_subscribe": "unsubscribed", "shoe_size": 42}
    ],
}
CLICK: dict[str, Any] = {
    "event_type": "users.messages.email.Click",
    "id": "a1234567",
    "time": 1795255200,
    "user": {"user_id": "0123456789abcdef", "external_user_id": "u1", "timezone": "Europe/Berlin"},
    "properties": {"email_address": "ann@shop.example", "url": "https://shop.example/a", "campaign_name": "Spring"},
}


def record(type_: str, **fields: object) -> dict[str, Any]:
    """
    A flat record of Currents, as storage has it.
    """
    user = {"user_id": "0123456789abcdef", "external_user_id": "u1"}
    return {"event_type": type_, "id": "e1", "time": 1795255200, **user, **fields}


def test_an_order_says_what_was_bought() -> None:
    """
    By Braze's recommended event; what the event has no field for survives.
    """
    event = event_of(ORDER)
    assert (event.kind, event.at, event.channel, event.user_id) == ("order_completed", NOON, "web", "u1")
    assert event.commerce == Commerce((LINE,), "c1", "", "o1", "EUR", 200.5)
    assert event.told()["tax"] == 9
    assert event.told()["products"][0]["metadata"] == {"color": "black"}


@pytest.mark.parametrize(
    ("action", "kind", "value"),
    [
        (None, "cart_updated", 189.99),
        ("replace", "cart_updated", 189.99),
        ("add", "product_added", None),
        ("remove", "product_removed", None),
    ],
)
def test_a_cart_is_replaced_or_changed(action: str | None, kind: str, value: float | None) -> None:
    """
    With `add` and `remove` the products are only those that changed, so the cart must not be taken for these.
    """
    more = {} if action is None else {"action": action}
    event = event_of(said("ecommerce.cart_updated", cart_id="c1", total_value=189.99, products=[SHOE], **more))
    assert event.kind == kind
    assert event.commerce is not None
    assert (event.commerce.cart_id, event.commerce.items, event.commerce.cart_value) == ("c1", (LINE,), value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ecommerce.product_viewed", "product_viewed"),
        ("ecommerce.checkout_started", "checkout_started"),
        ("ecommerce.order_cancelled", "order_cancelled"),
        ("ecommerce.order_refunded", "order_refunded"),
        ("Ecommerce.Order_Placed", "other"),
    ],
)
def test_names_are_exact(name: str, kind: str) -> None:
    """
    To Braze any other spelling is an event of one's own, and so it is here.
    """
    assert event_of(said(name, products=[SHOE])).kind == kind


def test_a_product_that_is_viewed_stands_beside_the_other_properties() -> None:
    """
    With the address of its page.
    """
    event = event_of(said("ecommerce.product_viewed", **SHOE, product_url="https://shop.example/shoe", source="ios"))
    assert (event.url, event.channel) == ("https://shop.example/shoe", "app")
    assert event.commerce == Commerce((LINE,), currency="EUR")


def test_a_request_is_its_events_purchases_and_attributes() -> None:
    """
    Attributes have no time: they are from when they were read.
    """
    order, quiz, purchase, known = events_of(REQUEST, read_at=NOON + 5)
    assert order.commerce == Commerce((LINE,), "c1", "", "o1", "EUR", 200.5)
    assert (quiz.kind, quiz.name, quiz.anonymous_id, quiz.at) == ("other", "Quiz Done", "web:a-7", NOON)
    assert (purchase.kind, purchase.commerce) == (
        "order_completed",
        Commerce((Item("gift", 2.0, 5.0),), currency="EUR", value=10.0),
    )
    assert (known.kind, known.at, known.user_id, known.email) == ("identified", NOON + 5, "u1", "ann@shop.example")
    assert known.consents == {"email": False}
    assert known.told()["shoe_size"] == 42


def test_a_list_of_somebody_elses_events_is_no_request() -> None:
    """
    Nobody but Braze is claimed, unless the topic is set to it.
    """
    assert reasons({"events": [{"email": "a@b.example", "action": "open"}]}) == ["unknown_format"]
    assert reasons({"attributes": [], "events": []}) == ["unknown_format"]


def test_attributes_of_a_replay_have_no_time() -> None:
    """
    They are rejected alone.
    """
    outcome = decoded(REQUEST)
    assert len(outcome.events) == 3
    assert [(one.reason, one.detail[:7]) for one in outcome.rejected] == [("bad_time", "part 3:")]


def test_a_click_in_an_email_is_its_recipients() -> None:
    """
    As a connector sends it, in a batch, and flat, as storage has it, it is the same.
    """
    flat = record(
        "users.messages.email.Click",
        id="a1234567",
        timezone="Europe/Berlin",
        email_address="ann@shop.example",
        url="https://shop.example/a",
        campaign_name="Spring",
    )
    alone, batched, stored = event_of(CLICK), event_of({"events": [CLICK]}), event_of(flat)
    assert (alone.kind, alone.channel, alone.at, alone.event_id) == ("email_clicked", "email", NOON, "a1234567")
    assert (alone.user_id, alone.anonymous_id, alone.email) == ("u1", "0123456789abcdef", "ann@shop.example")
    assert (alone.url, alone.campaign) == ("https://shop.example/a", "Spring")
    assert alone.told()["timezone"] == "Europe/Berlin"
    assert alone == batched == stored


@pytest.mark.parametrize(("type_", "meaning"), sorted(KIND_OF_RECORD.items()))
def test_each_record_has_its_kind_and_channel(type_: str, meaning: tuple[str, str]) -> None:
    """
    By the glossary of Currents.
    """
    event = event_of(record(type_))
    assert (event.kind, event.channel) == meaning


def test_other_records_are_other_events() -> None:
    """
    Campaigns, canvases, sessions and what else there is.
    """
    event = event_of(record("users.behaviors.app.SessionStart", session_id="s-1"))
    assert (event.kind, event.name, event.client_session_id) == ("other", "users.behaviors.app.SessionStart", "s-1")


def test_who_unsubscribes_wants_no_more_emails() -> None:
    """
    By the link, or by any way that changes the state of the subscription.
    """
    clicked = event_of(record("users.messages.email.Unsubscribe"))
    assert (clicked.kind, clicked.consents) == ("consent_withdrawn", {"email": False})
    type_ = "users.behaviors.subscription.GlobalStateChange"
    opted = event_of(record(type_, channel="push", subscription_status="Opted-In"))
    assert (opted.kind, opted.consents) == ("consent_given", {"push": True})


def test_an_sms_is_its_recipients_or_its_senders() -> None:
    """
    The other number is the shop's.
    """
    ours = {"from_phone_number": "+12123470922"}
    sent = event_of(record("users.messages.sms.Delivery", to_phone_number="+4915112345678", **ours))
    received = event_of(record("users.messages.sms.InboundReceive", user_phone_number="+4915112345678"))
    assert (sent.kind, sent.phone) == ("message_delivered", "+4915112345678")
    assert (received.kind, received.phone) == ("message_received", "+4915112345678")


def test_a_custom_event_of_currents_is_what_its_name_says() -> None:
    """
    With what its sender said of it.
    """
    inner = {"order_id": "o1", "products": [SHOE], "currency": "EUR", "total_value": 9.5}
    event = event_of(
        record("users.behaviors.CustomEvent", name="ecommerce.order_placed", platform="ios", custom_properties=inner)
    )
    assert (event.kind, event.name, event.channel) == ("order_completed", "ecommerce.order_placed", "app")
    assert event.commerce == Commerce((LINE,), "", "", "o1", "EUR", 9.5)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({**ORDER, "external_id": None}, "no_identity"),
        ({**ORDER, "time": "soon"}, "bad_time"),
        ({**ORDER, "external_id": "a" * 300}, "wrong_type"),
        (record("users.messages.email.Open", time=None), "bad_time"),
    ],
)
def test_a_part_that_cannot_be_an_event_says_why(told: dict[str, Any], reason: str) -> None:
    """
    By the closed set of reasons.
    """
    assert reasons(told) == [reason]


@settings(max_examples=400, deadline=None)
@given(mutated([REQUEST, ORDER, CLICK, {"events": [CLICK]}, record("users.behaviors.Purchase", product_id="x")]))
def test_whatever_stands_in_a_field_there_is_an_outcome(record: object) -> None:
    """
    An event or a rejection with its reason, and never an exception.
    """
    for format_ in ("auto", "braze"):
        outcome = decoded(record, format=format_, read_at=NOON)
        assert {rejected.reason for rejected in outcome.rejected} <= REASONS
        for event in outcome.events:
            assert event.visitor_id
            event.told()
