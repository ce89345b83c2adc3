"""Segment's calls as the libraries send them, each beside the event that it must become."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.formats import Decoded, decode_batch, event_times
from connectors.formats.common import EPOCH, FUTURE_SKEW_MS, content_id
from connectors.formats.identifiers import NOBODY
from operators.event import Commerce, Event, Item, Kind

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
SNOWPLOW = Path(__file__).parents[3] / "shared" / "data" / "snowplow-ecommerce" / "segment_events.jsonl"


def decode(*calls: object, read_at: int | None = None) -> Decoded:
    raws = [msgspec.json.encode(call) for call in calls]
    return decode_batch(raws, partition="day.jsonl", first_position=7, read_at=read_at)


def call(type_: str = "track", **fields: object) -> dict[str, Any]:
    """A call of Ann's browser at noon."""
    told = {"type": type_, "messageId": "m-1", "anonymousId": "ann", "timestamp": "2026-03-01T12:00:00Z"}
    return told | fields


def event(kind: Kind, **fields: object) -> Event:
    """The event of such a call."""
    told: dict[str, Any] = {"event_id": "m-1", "channel": "web", "visitor_id": "ann", "anonymous_id": "ann"}
    told |= {"partition": "day.jsonl", "position": 7} | fields
    return Event(kind, NOON, **told)


def only(decoded: Decoded) -> Event:
    assert decoded.rejected == []
    (found,) = decoded.events
    return found


def reason(*calls: object, read_at: int | None = None) -> str:
    decoded = decode(*calls, read_at=read_at)
    assert decoded.events == []
    return decoded.rejected[0].reason


# --- one story a kind ---------------------------------------------------------------------------------------

KETTLE = {"product_id": "k1", "name": "Kettle", "category": "kitchen", "price": 18.99}
KETTLE_ITEM = Item("k1", 1.0, 18.99, "Kettle", "kitchen")
CART = {"cart_id": "c1", "currency": "EUR"}


@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("Products Searched", {"query": "kettle"}, event("searched", query="kettle")),
        (
            "Product List Viewed",
            {"products": [KETTLE]},
            event("product_list_viewed", commerce=Commerce((KETTLE_ITEM,))),
        ),
        ("Product Clicked", KETTLE, event("product_clicked", commerce=Commerce((KETTLE_ITEM,)))),
        (
            "Product Viewed",
            KETTLE | {"currency": "EUR"},
            event("product_viewed", commerce=Commerce((KETTLE_ITEM,), currency="EUR")),
        ),
        (
            "Product Added",
            KETTLE | CART | {"quantity": 2, "cart_total": 37.98, "cart_url": "https://shop/c1"},
            event(
                "product_added",
                commerce=Commerce(
                    (Item("k1", 2.0, 18.99, "Kettle", "kitchen"),),
                    cart_id="c1",
                    currency="EUR",
                    cart_value=37.98,
                    url="https://shop/c1",
                ),
            ),
        ),
        (
            "Product Removed",
            {"sku": "k1", "cart_id": "c1"},
            event("product_removed", commerce=Commerce((Item("k1"),), cart_id="c1")),
        ),
        (
            "Cart Viewed",
            CART | {"id": "c1", "products": [KETTLE]},
            event("cart_viewed", commerce=Commerce((KETTLE_ITEM,), cart_id="c1", currency="EUR")),
        ),
        ("ecommerce.cart_updated", CART, event("cart_updated", commerce=Commerce((), "c1", currency="EUR"))),
        (
            "Checkout Started",
            {"checkout_id": "k", "value": 20, "checkout_url": "https://shop/k"},
            event("checkout_started", commerce=Commerce(checkout_id="k", value=20.0, url="https://shop/k")),
        ),
        (
            "Checkout Step Viewed",
            {"checkout_id": "k"},
            event("checkout_progressed", commerce=Commerce(checkout_id="k")),
        ),
        ("Payment Info Entered", {}, event("checkout_progressed", commerce=Commerce())),
        (
            "Order Completed",
            {"order_id": "o1", "total": 25, "revenue": 20, "value": 1, "products": [KETTLE]},
            event("order_completed", commerce=Commerce((KETTLE_ITEM,), order_id="o1", value=25.0)),
        ),
        (
            "Order Completed",
            {"order_id": "o1", "revenue": 20, "value": 1},
            event("order_completed", commerce=Commerce(order_id="o1", value=20.0)),
        ),
        ("Order Cancelled", {}, event("order_cancelled", commerce=Commerce())),
        (
            "Order Refunded",
            {"order_id": "o1"},
            event("order_refunded", commerce=Commerce(order_id="o1")),
        ),
        ("Order Updated", {"order_id": "o1"}, event("other")),
        ("Coupon Applied", {}, event("other")),
        ("Promotion Viewed", {}, event("other")),
        ("Product Added to Wishlist", KETTLE, event("other")),
        (
            "Wishlist Product Added to Cart",
            KETTLE | {"cart_id": "c1", "wishlist_id": "w1"},
            event("product_added", commerce=Commerce((KETTLE_ITEM,), cart_id="c1")),
        ),
        ("Application Opened", {"from_background": False}, event("other", channel="app")),
        ("Push Notification Tapped", {"campaign": {"name": "spring"}}, event("other", channel="app")),
        ("Wheel Spun", {"query": "x"}, event("other", query="x")),
        ("Page Left", {"dwell_ms": 1500}, event("page_left", dwell_ms=1500)),
        ("page_left", {"time_on_page": 2.5}, event("page_left", dwell_ms=2500)),
        ("Subscribed", {"channel": "SMS"}, event("consent_given", consents={"sms": True})),
        ("Unsubscribed", {}, event("consent_withdrawn", consents={"email": False})),
        ("Offer Declined", {}, event("offer_declined")),
        # The spec speaks as the customer, we as the shop.
        ("Live Chat Message Sent", {}, event("message_received", channel="chat")),
        ("Live Chat Message Received", {}, event("message_sent", channel="chat")),
        ("Live Chat Conversation Started", {}, event("chat_started", channel="chat")),
        ("Live Chat Conversation Ended", {}, event("chat_ended", channel="chat")),
        ("Experiment Viewed", {"experiment_id": "e"}, event("experiment_viewed")),
        (
            "Email Opened",
            {"email": " Ann@Example.com"},
            event("email_opened", channel="email", email="ann@example.com"),
        ),
        ("Email Delivered", {}, event("email_delivered", channel="email")),
        ("Email Bounced", {}, event("email_bounced", channel="email")),
        (
            "Email Marked as Spam",
            {"email": "ann@example.com"},
            event("email_complained", channel="email", email="ann@example.com"),
        ),
        (
            "Unsubscribed",
            {"list_id": "1425", "email": "ann@example.com"},
            event("consent_withdrawn", consents={"email": False}, email="ann@example.com"),
        ),
        ("Email Link Clicked", {}, event("email_clicked", channel="email")),
    ],
)
def test_a_track_call_tells_by_its_name_what_happened(name: str, properties: dict[str, Any], expected: Event) -> None:
    """
    Each name of the specs becomes its kind, with what that kind carries and nothing else.
    """
    expected.name = name
    assert only(decode(call(event=name, properties=properties))) == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Added Product", "product_added"),
        ("Removed Product", "product_removed"),
        ("Viewed Product", "product_viewed"),
        ("Viewed Product Category", "product_list_viewed"),
        ("Viewed Checkout Step", "checkout_progressed"),
        ("Completed Checkout Step", "checkout_progressed"),
        ("Started Order", "checkout_started"),
        ("Viewed Cart", "cart_viewed"),
        ("Clicked Product", "product_clicked"),
        ("Completed Order", "order_completed"),
        ("ecommerce.checkout_started", "checkout_started"),
        ("ecommerce.order_placed", "order_completed"),
        ("ecommerce.order_cancelled", "order_cancelled"),
        ("product_added", "product_added"),
        ("PRODUCT ADDED", "product_added"),
        ("productAdded", "product_added"),
    ],
)
def test_an_older_name_or_another_spelling_means_the_same(name: str, kind: Kind) -> None:
    """
    The names of Segment's first e-commerce spec, Braze's names, and any case and separators.
    """
    assert only(decode(call(event=name))) == event(kind, name=name, commerce=Commerce())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("call_started", "call_ringing"),
        ("Call Ringing", "call_ringing"),
        ("call_answered", "call_answered"),
        ("call_ended", "call_ended"),
    ],
)
def test_a_telephone_call_belongs_to_the_number_it_comes_from(name: str, kind: Kind) -> None:
    """
    Telephony knows a number and no browser, so the number stands for the visitor.
    """
    told = call(event=name, properties={"callId": "call-9", "phone": "+1 (555) 000-7"})
    del told["anonymousId"]
    phone = "+15550007"
    assert only(decode(told)) == event(
        kind, name=name, channel="phone", visitor_id=phone, anonymous_id="", phone=phone, call_id="call-9"
    )


def test_a_page_view_keeps_where_it_was_and_where_it_came_from() -> None:
    """
    URL, referrer, campaign and the client's own session come from the context.
    """
    context = {
        "page": {"url": "https://shop/a", "referrer": "https://search/"},
        "campaign": {"name": "spring", "source": "newsletter"},
        "sessionId": 1772366400,
    }
    expected = event("page_viewed", name="A", url="https://shop/a", referrer="https://search/")
    expected.campaign, expected.client_session_id = "spring", "1772366400"
    assert only(decode(call("page", name="A", context=context))) == expected


def test_a_screen_is_seen_in_the_app() -> None:
    """
    A screen view needs no `channel` to be one of the app.
    """
    assert only(decode(call("screen", name="Home"))) == event("screen_viewed", name="Home", channel="app")


@pytest.mark.parametrize("place", ["traits", "context"])
def test_identify_tells_who_someone_is_and_what_they_allow(place: str) -> None:
    """
    Traits lie at the top with Segment and in the context with RudderStack; a refusal outranks a permission.
    """
    traits = {"email": " Ann@Example.COM ", "phone": "+49 (0)151/23", "email_opt_in": True}
    traits |= {"email_opt_out": True, "sms_opt_in": True, "push_opt_in": False}
    where: dict[str, Any] = {"traits": traits} if place == "traits" else {"context": {"traits": traits}}
    told = call("identify", userId="u1", **where)
    expected = event("identified", user_id="u1", email="ann@example.com", phone="+4915123")
    expected.consents = {"email": False, "sms": True, "push": False}
    assert only(decode(told)) == expected


def test_an_alias_asks_that_the_previous_id_be_the_persons() -> None:
    """
    A user's or a device's: nobody says which. Alone it is a device's.
    """
    told = call("alias", userId="u1", previousId=" old ", anonymousId=None)
    expected = event("identified", user_id="u1", channel="server", anonymous_id="", visitor_id="u1")
    expected.also = ("u:old", "a:old")
    assert only(decode(told)) == expected
    told = call("alias", previousId="old", anonymousId=None)
    assert only(decode(told)) == event("identified", channel="server", anonymous_id="old", visitor_id="old")


@pytest.mark.parametrize("previous", ["ann", "u1", "guest", "", None])
def test_an_alias_of_whom_it_is_anyway_asks_for_nothing(previous: str | None) -> None:
    """
    Browsers send the device's own id; and nobody is nobody here too.
    """
    assert only(decode(call("alias", userId="u1", previousId=previous))) == event("identified", user_id="u1")


def test_only_an_alias_has_a_previous_id() -> None:
    """
    Elsewhere the spec has none.
    """
    assert only(decode(call("identify", userId="u1", previousId="old"))) == event("identified", user_id="u1")


def test_a_group_call_is_kept_as_something_else() -> None:
    """
    Companies are not people: the traits of a group name nobody.
    """
    assert only(decode(call("group", traits={"email": "info@acme.example"}))) == event("other")


# --- who and where ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nobody",
    [
        *sorted(NOBODY),
        "",
        "  ",
        "NULL",
        "NaN",
        "[object Object]",
        "--",
        "00000000-0000-0000-0000-000000000000",
        None,
        [],
        {},
        True,
    ],
)
def test_a_word_for_nobody_names_nobody(nobody: object) -> None:
    """
    What trackers send for want of an identifier would make one person of many.
    """
    assert reason(call("page", anonymousId=nobody, userId=nobody)) == "no_identity"
    found = only(decode(call("page", anonymousId=nobody, userId="u1")))
    assert found == event("page_viewed", visitor_id="u1", anonymous_id="", user_id="u1", channel="server")


def test_the_visitor_is_the_best_that_is_known() -> None:
    """
    Anonymous id, else user id, else e-mail, else a number; on the phone the number comes before the user id.
    """
    traits = {"email": "a@b.example", "phone": "+4915"}
    server = {"type": "page", "timestamp": "2026-03-01T12:00:00Z", "channel": "server"}
    known = server | {"context": {"traits": traits}}
    assert only(decode(known | {"anonymousId": "ann", "userId": "u1"})).visitor_id == "ann"
    assert only(decode(known | {"userId": "u1"})).visitor_id == "u1"
    assert only(decode(known)).visitor_id == "a@b.example"
    assert only(decode(server | {"context": {"traits": {"phone": "+4915"}}})).visitor_id == "+4915"
    assert only(decode(known | {"userId": "u1", "channel": "phone"})).visitor_id == "+4915"


@pytest.mark.parametrize(
    ("fields", "channel"),
    [
        ({"channel": "browser"}, "web"),
        ({"channel": "mobile"}, "app"),
        ({"channel": "Email"}, "email"),
        ({"channel": "social"}, "social"),
        ({"channel": "sources"}, "web"),
        ({"channel": "server"}, "server"),
        ({"context": {"device": {"id": "d"}}}, "app"),
        ({"context": {"app": {"name": "js"}, "page": {"url": "/"}}}, "web"),
        ({"anonymousId": None, "userId": "u1"}, "server"),
    ],
)
def test_the_channel_is_told_or_guessed(fields: dict[str, Any], channel: str) -> None:
    """
    A known `channel` counts; else the kind, a device without a page, and at last a browser's cookie.
    """
    assert only(decode(call("page", **fields))).channel == channel


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("Email Opened", "email"),
        ("Live Chat Message Sent", "chat"),
        ("Deep Link Opened", "app"),
        ("Searched", "server"),
    ],
)
def test_a_server_that_tells_of_a_touchpoint_is_not_the_touchpoint(name: str, channel: str) -> None:
    """
    RudderStack's libraries say by `channel` where they run, not where the customer was.
    """
    assert only(decode(call(event=name, channel="server"))).channel == channel


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"properties": {"a": 1}}, {"a": 1}),
        ({"properties": {"a": 1}, "category": "shop"}, {"a": 1, "category": "shop"}),
        ({"properties": {"category": "own"}, "category": "shop"}, {"category": "own"}),
        ({"properties": None, "category": None, "groupId": "g1"}, {"groupId": "g1"}),
        ({"traits": {"tier": "gold"}}, {"tier": "gold"}),
        ({"context": {"traits": {"tier": "gold"}}}, {"tier": "gold"}),
        ({"properties": {}, "context": {"traits": {"tier": "gold"}}}, {}),
        ({"properties": [], "context": []}, {}),
        ({"properties": 7, "context": {"traits": "gold"}}, {}),
        ({"context": {"page": {"url": "/"}}}, {}),
    ],
)
def test_what_the_source_said_stays_with_its_event(fields: dict[str, Any], told: dict[str, Any]) -> None:
    """
    Properties, or traits wherever they lie, with the category of a page and the id of a group.
    """
    assert only(decode(call("group", **fields))).told() == told


def test_a_record_without_a_message_id_is_named_by_its_bytes() -> None:
    """
    The same bytes have the same name, so that a repeat can be recognised; an id over its limit is no id.
    """
    unnamed_as: list[object] = [None, "", "m" * 257, []]
    for unnamed in unnamed_as:
        told = call("page", messageId=unnamed)
        assert only(decode(told)).event_id == content_id(msgspec.json.encode(told))
    assert only(decode(call("page", messageId="m" * 256))).event_id == "m" * 256


# --- when ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SNOWPLOW.exists(), reason="needs ../shared")
def test_a_lying_clock_is_corrected_in_832_of_832_records() -> None:
    """
    receivedAt - (sentAt - originalTimestamp) is what the real shop's collector computed, to the millisecond.
    """
    raws = SNOWPLOW.read_bytes().splitlines()
    decoded = decode_batch(raws, partition="p", first_position=0, read_at=None)
    told = [msgspec.json.decode(raw)["timestamp"] for raw in raws]
    millisecond = timedelta(milliseconds=1)
    expected = [(datetime.fromisoformat(timestamp) - EPOCH) // millisecond for timestamp in told]
    assert [found.at for found in decoded.events] == expected
    assert event_times(raws) == expected
    assert (len(expected), decoded.rejected, decoded.clamped) == (832, [], 0)


T = "2026-03-01T12:00:{}Z"


@pytest.mark.parametrize(
    ("clocks", "at"),
    [
        # The client is an hour slow: 2 s passed between the event and the sending, whatever its clock said.
        (
            {"originalTimestamp": "2026-03-01T11:00:00Z", "sentAt": "2026-03-01T11:00:02Z"}
            | {"receivedAt": T.format("05"), "timestamp": T.format("04")},
            3000,
        ),
        # To the microsecond and rounded down: 5.0000 - 2.0001 = 2.9999.
        (
            {
                "originalTimestamp": T.format("00"),
                "sentAt": T.format("02.0001"),
                "receivedAt": T.format("05"),
            },
            2999,
        ),
        ({"timestamp": T.format("03.999999"), "receivedAt": T.format("05")}, 3999),
        ({"originalTimestamp": T.format("01"), "sentAt": T.format("02")}, 1000),
        ({"sentAt": T.format("02"), "receivedAt": T.format("05")}, 2000),
        ({"receivedAt": T.format("05")}, 5000),
        ({"timestamp": "soon", "sentAt": T.format("02")}, 2000),
        ({"timestamp": 12, "sentAt": T.format("02")}, 2000),
        ({"timestamp": "2026-03-01T12:00:01"}, 1000),
        ({"timestamp": "2026-03-01T13:00:01.5+01:00"}, 1500),
        ({"timestamp": "20260301T120001"}, 1000),
    ],
)
def test_the_time_is_the_best_that_the_clocks_tell(clocks: dict[str, object], at: int) -> None:
    """
    All three clocks: corrected. Else timestamp, original timestamp, sending, receipt. Without an offset, UTC.
    """
    told = call("page") | {"timestamp": None} | clocks
    expected = event("page_viewed")
    expected.at = NOON + at
    assert only(decode(told)) == expected
    assert event_times([msgspec.json.encode(told)]) == [NOON + at]


def test_the_time_of_reading_is_no_time_of_an_event() -> None:
    """
    A record without a time that can be read is refused, live or not: it would drag the watermark along.
    """
    told = call("page", timestamp="soon")
    assert reason(told, read_at=NOON + 9) == "bad_time"
    assert reason(told) == "bad_time"
    assert event_times([msgspec.json.encode(told)]) == [None]


@pytest.mark.parametrize(("past_ms", "clamped"), [(FUTURE_SKEW_MS, 0), (FUTURE_SKEW_MS + 1, 1)])
@pytest.mark.parametrize("by_reading", [False, True])
def test_an_event_from_the_future_is_moved_to_its_receipt(past_ms: int, clamped: int, *, by_reading: bool) -> None:
    """
    Five minutes past the receipt are believed; a millisecond more is clamped to the receipt and counted.
    """
    received = "2026-03-01T11:55:00Z" if past_ms == FUTURE_SKEW_MS else "2026-03-01T11:54:59.999Z"
    told = call("page") if by_reading else call("page", receivedAt=received)
    read_at = NOON - past_ms if by_reading else None
    decoded = decode(told, read_at=read_at)
    expected = NOON - past_ms if clamped else NOON
    assert (only(decoded).at, decoded.clamped) == (expected, clamped)
    assert event_times([msgspec.json.encode(told)], read_at=read_at) == [expected]


@pytest.mark.parametrize(
    ("timestamp", "fits"),
    [
        ("1999-12-31T23:59:59.999Z", False),
        ("2000-01-01T00:00:00Z", True),
        ("2100-01-01T00:00:00Z", True),
        ("2100-01-01T00:00:00.001Z", False),
        ("0001-01-01T00:00:00+14:00", False),
    ],
)
def test_an_absurd_time_is_no_time(timestamp: str, *, fits: bool) -> None:
    """
    Outside the years 2000 to 2099 a clock is broken or a unit is mistaken.
    """
    told = call("page", timestamp=timestamp)
    assert [bad.reason for bad in decode(told).rejected] == ([] if fits else ["bad_time"])
    assert (event_times([msgspec.json.encode(told)]) == [None]) is not fits


# --- what is not quite as it should be ----------------------------------------------------------------------


def test_numbers_as_texts_and_identifiers_as_numbers_are_put_right() -> None:
    """
    A shop's own code sends what its templates print.
    """
    products = [{"product_id": 7, "price": "12.00", "quantity": "2", "name": 5}, None, "x", {"price": 1}]
    properties = {"products": products, "cart_id": 5, "cart_total": " 24.5", "currency": ["EUR"]}
    told = call(event="Product Added", anonymousId=77, userId=8, properties=properties, context="none")
    commerce = Commerce((Item("7", 2.0, 12.0, "5"),), cart_id="5", cart_value=24.5)
    expected = event("product_added", name="Product Added", visitor_id="77", anonymous_id="77", user_id="8")
    expected.commerce = commerce
    assert only(decode(told)) == expected


@pytest.mark.parametrize("amount", ["-1", "NaN", "inf", "1e999", "1e16", '"nan"', '"x"', "null", "[]", "true"])
def test_an_amount_that_makes_no_sense_is_left_out(amount: str) -> None:
    """
    Not a number, infinite, negative or absurd: a price is 0, a quantity 1, a total unsaid.
    """
    text = amount if amount not in {"NaN", "inf"} else f'"{amount}"'
    raw = msgspec.json.encode(call(event="Order Completed", properties={"product_id": "k", "price": "@"}))
    raw = raw.replace(b'"@"', f'{text},"quantity":{text},"total":{text}'.encode())
    decoded = decode_batch([raw], partition="day.jsonl", first_position=7, read_at=None)
    assert only(decoded).commerce == Commerce((Item("k"),))


def test_what_exceeds_its_limit_is_cut_but_never_an_identifier() -> None:
    """
    A hundred items, 1,024 characters, a day of dwelling; a longer identifier could be someone else's if cut.
    """
    many = [{"product_id": f"p{number}"} for number in range(101)]
    found = only(decode(call(event="Cart Viewed", properties={"products": many})))
    assert found.commerce == Commerce(tuple(Item(f"p{number}") for number in range(100)))
    assert only(decode(call("page", name="n" * 1025))).name == "n" * 1024
    assert only(decode(call(event="Page Left", properties={"dwell_ms": 1e12}))).dwell_ms == 86_400_000
    assert only(decode(call("page", anonymousId="a" * 256))).anonymous_id == "a" * 256
    assert reason(call("page", anonymousId="a" * 257)) == "wrong_type"


def test_objects_of_the_wrong_type_count_as_absent() -> None:
    """
    Context, properties and traits that are null, lists or texts take nothing away from the rest.
    """
    odds: list[object] = [None, [], "x", 1, True]
    for odd in odds:
        assert only(decode(call("page", context=odd, properties=odd, traits=odd))) == event("page_viewed")
        found = only(decode(call(event="Cart Viewed", properties={"products": odd})))
        assert found == event("cart_viewed", name="Cart Viewed", commerce=Commerce())


@pytest.mark.parametrize("name", [None, "", [], {}])
def test_a_track_call_without_a_name_says_nothing(name: object) -> None:
    """
    What happened cannot be guessed.
    """
    assert reason(call(event=name)) == "missing_field"
