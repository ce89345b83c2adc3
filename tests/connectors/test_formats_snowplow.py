"""Snowplow's events: as enriched lines, as JSON of Snowplow's SDKs, and as trackers post them."""

from base64 import b64encode, urlsafe_b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.formats import Decoded, decode_batch, event_times
from connectors.formats.common import FUTURE_SKEW_MS, ITEMS_MAX
from connectors.formats.snowplow_columns import NAMES, TABS_MIN
from operators.event import KINDS, Commerce, Event, Item
from operators.rejected import REASONS
from tests.connectors.test_formats import anything, short

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
IGLU = "iglu:com.snowplowanalytics.snowplow"
SHOP = f"{IGLU}.ecommerce"
OURS = "com_snowplowanalytics_snowplow"
KETTLE = {"id": "k1", "name": "Kettle", "category": "Kitchen", "price": 18.99, "quantity": 2, "currency": "EUR"}
MUG = {"id": "m1", "category": "Kitchen", "price": 4.5, "currency": "EUR", "brand": "Clay"}


def described(schema: str, data: object) -> dict[str, Any]:
    """Self-describing JSON; a schema without a version is 1-0-0."""
    return {"schema": schema if "jsonschema" in schema else f"{schema}/jsonschema/1-0-0", "data": data}


def about(schema: str, data: object) -> str:
    """The text in the column `unstruct_event`."""
    return msgspec.json.encode(described(f"{IGLU}/unstruct_event", described(schema, data))).decode()


def entities(*told: tuple[str, object]) -> str:
    """The text in the column `contexts`."""
    inner = [described(schema, data) for schema, data in told]
    return msgspec.json.encode(described(f"{IGLU}/contexts", inner)).decode()


def action(type_: object) -> str:
    return about(f"{SHOP}/snowplow_ecommerce_action", {"type": type_})


def columns(**told: str) -> dict[str, str]:
    """An enriched event's columns: a page view at noon, or what is told."""
    return {
        "app_id": "shop",
        "platform": "web",
        "event": "page_view",
        "event_id": "e1",
        "domain_userid": "ann",
        "domain_sessionid": "s1",
        "collector_tstamp": "2026-03-01 12:00:05.000",
        "derived_tstamp": "2026-03-01 12:00:00.000",
    } | told


def line(told: dict[str, str]) -> bytes:
    """An enriched event as a line."""
    assert set(told) <= set(NAMES)
    return "\t".join(told.get(name, "") for name in NAMES).encode()


def decode(*raws: bytes, read_at: int | None = None) -> Decoded:
    return decode_batch(raws, partition="p", first_position=5, read_at=read_at)


def only(decoded: Decoded) -> Event:
    assert decoded.rejected == []
    (event,) = decoded.events
    return event


def event(**told: str) -> Event:
    """The event of an enriched line."""
    return only(decode(line(columns(**told))))


def refused(*raws: bytes) -> list[tuple[str, str]]:
    decoded = decode(*raws)
    assert decoded.events == []
    return [(bad.reason, bad.detail) for bad in decoded.rejected]


def posted(*told: dict[str, Any]) -> bytes:
    """What a tracker posts."""
    common = {"tv": "py-1.1.0", "p": "web", "duid": "ann", "dtm": str(NOON)}
    schema = f"{IGLU}/payload_data/jsonschema/1-0-4"
    return msgspec.json.encode({"schema": schema, "data": [common | one for one in told]})


# --- what is read -------------------------------------------------------------------------------------------


def test_a_line_of_131_columns_is_an_event() -> None:
    """
    Page, campaign, session and ids have their fields; every other column is kept, in its type.
    """
    found = event(
        page_url="https://shop.example/a",
        page_title="A",
        page_referrer="https://search.example/",
        mkt_campaign="spring",
        mkt_source="letter",
        user_id="u1",
        domain_sessionidx="3",
        geo_latitude="52.5",
        br_cookies="1",
        dvce_ismobile="0",
        refr_device_tstamp="2026-02-01 10:00:00.000",
        true_tstamp="",
    )
    expected = Event("page_viewed", NOON, "e1", "web", "ann", "ann", "u1")
    expected.url, expected.referrer = "https://shop.example/a", "https://search.example/"
    expected.campaign, expected.client_session_id, expected.name = "spring", "s1", "A"
    expected.partition, expected.position = "p", 5
    assert found == expected
    assert found.told() == {
        "app_id": "shop",
        "platform": "web",
        "event": "page_view",
        "page_title": "A",
        "mkt_campaign": "spring",
        "mkt_source": "letter",
        "domain_sessionidx": 3,
        "geo_latitude": 52.5,
        "br_cookies": True,
        "dvce_ismobile": False,
        "refr_device_tstamp": "2026-02-01T10:00:00.000Z",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("domain_sessionidx", "many"),
        ("domain_sessionidx", "9" * 5_000),
        ("geo_latitude", "north"),
        ("geo_latitude", "nan"),
        ("geo_latitude", "1e999"),
        ("br_cookies", "yes"),
    ],
)
def test_a_column_that_is_none_of_its_type_stays_text(name: str, text: str) -> None:
    """
    What nobody can read as a number or a flag is kept as it was told.
    """
    assert event(**{name: text}).told()[name] == text


def test_a_line_of_windows_ends_with_its_last_column() -> None:
    """
    A carriage return is no part of the true time.
    """
    found = only(decode(line(columns(true_tstamp="2026-03-01 11:00:00.000")) + b"\r"))
    assert found.at == NOON - 3_600_000


@pytest.mark.parametrize(
    ("count", "reason"), [(TABS_MIN + 1, "missing_field"), (130, "missing_field"), (132, "wrong_type")]
)
def test_a_line_of_another_count_says_so(count: int, reason: str) -> None:
    """
    Too few and too many columns are told apart, and how many there were.
    """
    detail = f"{count} fields, and an enriched event of Snowplow has 131"
    assert refused(b"a" + b"\t" * (count - 1)) == [(reason, detail)]


def test_a_text_with_few_tabs_and_json_indented_with_many_are_no_lines() -> None:
    """
    The one is no record of any format, the other is read as JSON.
    """
    assert [reason for reason, _ in refused(b"a" + b"\t" * (TABS_MIN - 1))] == ["not_json"]
    indented = (
        b"\n\t\t{" + b"\n\t\t\t" * TABS_MIN + b'"kind":"searched","occurred_at":1772366400000,"anonymous_id":"a"}'
    )
    assert only(decode(indented)).kind == "searched"


def test_bytes_that_are_no_text_are_refused() -> None:
    """
    A line with a byte that UTF-8 does not have.
    """
    raw = line(columns(page_title="?")).replace(b"?", b"\xff")
    assert [reason for reason, _ in refused(raw)] == ["not_json"]


def test_a_line_with_nothing_in_it_is_nobodys() -> None:
    """
    131 empty columns claim no format; where it is set, they lack what happened.
    """
    assert [reason for reason, _ in refused(b"\t" * 130)] == ["not_json"]
    decoded = decode_batch([b"\t" * 130], partition="p", first_position=0, read_at=None, format="snowplow")
    assert [bad.reason for bad in decoded.rejected] == ["missing_field"]


def test_json_may_have_the_entities_as_texts_objects_or_by_their_names() -> None:
    """
    The columns as they are, the same decoded, and as Snowplow's SDKs name them give one event.
    """
    unstruct, contexts = action("product_view"), entities((f"{SHOP}/product", KETTLE))
    named = {
        f"unstruct_event_{OURS}_ecommerce_snowplow_ecommerce_action_1": {"type": "product_view"},
        f"contexts_{OURS}_ecommerce_product_1": [KETTLE],
    }
    told = columns(event="unstruct")
    forms: list[dict[str, Any]] = [
        {"unstruct_event": unstruct, "contexts": contexts},
        {"unstruct_event": msgspec.json.decode(unstruct), "contexts": msgspec.json.decode(contexts)},
        named | {"event_name": "snowplow_ecommerce_action"},
        named,
    ]
    found = [only(decode(msgspec.json.encode(told | form))) for form in forms]
    assert found == [found[0]] * 4
    assert (found[0].kind, found[0].name) == ("product_viewed", "product_view")
    assert found[0].commerce == Commerce((Item("k1", 2.0, 18.99, "Kettle", "Kitchen"),), currency="EUR")
    assert [one.told() for one in found[:2]] == [{**found[2].told(), **VERSIONED}] * 2


VERSIONED = {
    "event_vendor": "com.snowplowanalytics.snowplow.ecommerce",
    "event_name": "snowplow_ecommerce_action",
    "event_format": "jsonschema",
    "event_version": "1-0-0",
}


# --- what happened ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "kind", "name"),
    [
        ({"event": "page_view", "page_title": "A"}, "page_viewed", "A"),
        ({"event": "page_view"}, "page_viewed", ""),
        ({"event": "page_ping", "event_name": "page_ping"}, "other", "page_ping"),
        ({"event": "struct", "event_name": "event", "se_action": "spin"}, "other", "spin"),
        ({"event": "struct"}, "other", "struct"),
        ({"event": "unstruct", "event_name": "wheel_spun"}, "other", "wheel_spun"),
        ({"event": "unstruct"}, "other", "unstruct"),
        ({"event": "", "event_name": "wheel_spun"}, "other", "wheel_spun"),
        ({"event": "transaction_item"}, "other", "transaction_item"),
        (
            {"event": "unstruct", "unstruct_event": about("iglu:a.b/wheelSpun/jsonschema/2-0-1", {})},
            "other",
            "wheelSpun",
        ),
        ({"event": "unstruct", "unstruct_event": about(f"{IGLU}/link_click", {"u": 1})}, "other", "link_click"),
        (
            {"event": "unstruct", "unstruct_event": about(f"{IGLU}/submit_form", {"formId": "f"})},
            "other",
            "submit_form",
        ),
        (
            {
                "event": "unstruct",
                "unstruct_event": about("iglu:com.snowplowanalytics.mobile/screen_view", {"name": "B"}),
            },
            "screen_viewed",
            "B",
        ),
        ({"event": "unstruct", "unstruct_event": about(f"{IGLU}/screen_view", {"id": "1"})}, "screen_viewed", ""),
        *[
            ({"event": "unstruct", "unstruct_event": action(type_)}, kind, type_)
            for type_, kind in [
                ("product_view", "product_viewed"),
                ("list_view", "product_list_viewed"),
                ("list_click", "product_clicked"),
                ("add_to_cart", "product_added"),
                ("remove_from_cart", "product_removed"),
                ("checkout_step", "checkout_started"),
                ("transaction", "order_completed"),
                ("refund", "order_refunded"),
                ("promo_view", "other"),
                ("promo_click", "other"),
                ("trns_error", "other"),
            ]
        ],
    ],
)
def test_each_type_of_event_has_its_kind_and_name(told: dict[str, str], kind: str, name: str) -> None:
    """
    Pages, screens, searches and the shop's plugin are known; of the rest the name is.
    """
    found = event(**told)
    assert (found.kind, found.name) == (kind, name)


def test_an_event_of_no_type_is_refused() -> None:
    """
    Nothing says what happened.
    """
    assert refused(line(columns(event=""))) == [("missing_field", "`event` is absent")]


def test_a_search_says_its_words() -> None:
    """
    Terms are one query; what is no word is none of it.
    """
    assert (
        event(unstruct_event=about(f"{IGLU}/site_search", {"terms": ["red", 7, None, "kettle"]})).query
        == "red 7 kettle"
    )
    assert not event(unstruct_event=about(f"{IGLU}/site_search", {"terms": {"a": 1}})).query


def test_a_cart_changes_by_its_products_and_has_a_value_after_that() -> None:
    """
    Adding names the products that were added; the cart's entity its id and what it is worth now.
    """
    cart = (f"{SHOP}/cart", {"cart_id": "c1", "total_value": 42.48, "currency": "EUR"})
    found = event(
        unstruct_event=action("add_to_cart"),
        contexts=entities((f"{SHOP}/product", KETTLE), (f"{SHOP}/product", MUG), cart),
    )
    items = (Item("k1", 2.0, 18.99, "Kettle", "Kitchen"), Item("m1", 1.0, 4.5, "", "Kitchen"))
    assert found.commerce == Commerce(items, "c1", currency="EUR", cart_value=42.48)
    assert found.told()[f"contexts_{OURS}_ecommerce_product_1"] == [KETTLE, MUG]


@pytest.mark.parametrize(
    ("step", "kind"), [(1, "checkout_started"), (2, "checkout_progressed"), (None, "checkout_started")]
)
def test_a_checkout_starts_with_its_first_step(step: int | None, kind: str) -> None:
    """
    Every later one is progress; one without a number starts it.
    """
    contexts = entities((f"{SHOP}/checkout_step", {"step": step}))
    assert event(unstruct_event=action("checkout_step"), contexts=contexts).kind == kind


def test_an_order_and_what_is_given_back() -> None:
    """
    A transaction has its id, its revenue and its products, a refund the amount; so has an order of the older kind.
    """
    order = (f"{SHOP}/transaction", {"transaction_id": "o1", "revenue": 23.49, "currency": "EUR"})
    found = event(unstruct_event=action("transaction"), contexts=entities(order, (f"{SHOP}/product", MUG)))
    assert found.commerce == Commerce(
        (Item("m1", 1.0, 4.5, "", "Kitchen"),), order_id="o1", currency="EUR", value=23.49
    )
    refund = (f"{SHOP}/refund", {"transaction_id": "o1", "refund_amount": 4.5, "currency": "EUR"})
    found = event(unstruct_event=action("refund"), contexts=entities(refund))
    assert found.commerce == Commerce(order_id="o1", currency="EUR", value=4.5)
    found = event(event="transaction", tr_orderid="o2", tr_total="30.0", tr_currency="EUR")
    assert (found.kind, found.commerce) == ("order_completed", Commerce(order_id="o2", currency="EUR", value=30.0))


@pytest.mark.parametrize(("name", "kind"), [("add_to_cart", "product_added"), ("remove_from_cart", "product_removed")])
def test_the_older_events_of_carts_name_one_product(name: str, kind: str) -> None:
    """
    By its SKU, with the price of a piece.
    """
    told = {"sku": "k2", "name": "Pot", "category": "Kitchen", "unitPrice": 30, "quantity": 2, "currency": "EUR"}
    found = event(event="unstruct", unstruct_event=about(f"{IGLU}/{name}", told))
    assert (found.kind, found.name) == (kind, name)
    assert found.commerce == Commerce((Item("k2", 2.0, 30.0, "Pot", "Kitchen"),), currency="EUR")


def test_products_beyond_the_limit_are_dropped() -> None:
    """
    And what cannot be recognised again is none.
    """
    many = [(f"{SHOP}/product", {"id": f"p{number}"}) for number in range(ITEMS_MAX + 1)]
    found = event(unstruct_event=action("list_view"), contexts=entities((f"{SHOP}/product", {"price": 1.0}), *many))
    assert found.commerce is not None
    assert len(found.commerce.items) == ITEMS_MAX - 1
    odd = entities((f"{SHOP}/product", {"id": 12, "price": "4.5", "name": ["x"]}), (f"{SHOP}/product", "x"))
    found = event(unstruct_event=action("list_view"), contexts=odd)
    assert found.commerce == Commerce((Item("12", 1.0, 4.5),))


# --- when ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clocks", "after_ms"),
    [
        ({"true_tstamp": "12:00:07.000"}, 7_000),
        ({"true_tstamp": "soon"}, 0),
        ({"derived_tstamp": ""}, 5_000),
        # The device is an hour slow: 2 s passed between the event and the sending, whatever its clock said.
        ({"derived_tstamp": "", "dvce_created_tstamp": "11:00:00.000", "dvce_sent_tstamp": "11:00:02.000"}, 3_000),
        ({"derived_tstamp": "", "dvce_created_tstamp": "12:00:01.000"}, 1_000),
        ({"derived_tstamp": "", "dvce_sent_tstamp": "12:00:02.000"}, 2_000),
    ],
)
def test_the_time_is_the_best_that_the_clocks_tell(clocks: dict[str, str], after_ms: int) -> None:
    """
    The true time, else the derived one, else received - (sent - created), else the first of the three that there is.
    """
    told = columns(**{name: f"2026-03-01 {clock}" if clock else "" for name, clock in clocks.items()})
    assert only(decode(line(told))).at == NOON + after_ms
    assert event_times([line(told)]) == [NOON + after_ms]


def test_an_event_without_a_time_is_refused() -> None:
    """
    When it was read says nothing of when it happened.
    """
    told = columns(derived_tstamp="soon", collector_tstamp="", v_tracker="js-3.7.0")
    assert [reason for reason, _ in refused(line(told))] == ["bad_time"]


def test_an_event_from_the_future_is_moved_to_its_receipt() -> None:
    """
    More than five minutes past the collector's clock nothing is believed.
    """
    clocks = {"collector_tstamp": "2026-03-01 11:55:00.000"}
    assert FUTURE_SKEW_MS == 300_000
    assert event(**clocks).at == NOON
    clocks = {"collector_tstamp": "2026-03-01 11:54:59.999"}
    decoded = decode(line(columns(**clocks)))
    assert (only(decoded).at, only(decoded).is_clamped, decoded.clamped) == (NOON - 300_001, True, 1)


# --- who ----------------------------------------------------------------------------------------------------

APP = entities((f"{IGLU}/client_session", {"userId": "phone", "sessionId": "s9"}))


@pytest.mark.parametrize(
    ("told", "anonymous_id", "session"),
    [
        ({}, "ann", "s1"),
        ({"contexts": APP}, "ann", "s1"),
        ({"domain_userid": "", "domain_sessionid": "", "contexts": APP, "network_userid": "n1"}, "phone", "s9"),
        ({"domain_userid": "", "domain_sessionid": "", "network_userid": "n1"}, "n1", ""),
        ({"domain_userid": "", "network_userid": "n1", "platform": "srv"}, "n1", "s1"),
    ],
)
def test_a_device_is_known_by_its_own_id_else_by_the_collectors(
    told: dict[str, str], anonymous_id: str, session: str
) -> None:
    """
    The browser's id, else the app's, else the collector's cookie; the session's id likewise.
    """
    found = event(**told)
    assert (found.anonymous_id, found.client_session_id) == (anonymous_id, session)


def test_an_app_that_names_no_device_is_known_by_its_address_until_somebody_signs_in() -> None:
    """
    Its first requests have a cookie each; whoever signs in is known by the cookie, never by the address.
    """
    anonymous = {"domain_userid": "", "domain_sessionid": "", "platform": "mob", "user_ipaddress": "10.0.0.7"}
    first, second = event(**anonymous, network_userid="n1"), event(**anonymous, network_userid="n2")
    assert first.anonymous_id == second.anonymous_id
    assert first.anonymous_id.startswith("app-")
    assert event(**(anonymous | {"user_ipaddress": "10.0.0.8"})).anonymous_id != first.anonymous_id
    assert event(**anonymous, app_id="other").anonymous_id != first.anonymous_id
    assert event(**anonymous, network_userid="n1", user_id="u1").anonymous_id == "n1"


def test_a_servers_cookie_is_no_device_of_its_user() -> None:
    """
    Servers keep no cookies: each of their requests would be a device of the user.
    """
    found = event(domain_userid="", network_userid="n1", platform="srv", user_id="u1")
    assert (found.channel, found.visitor_id, found.anonymous_id, found.user_id) == ("server", "u1", "", "u1")


def test_the_shops_plugin_tells_the_user_and_a_guests_address() -> None:
    """
    The entity's id is the user's unless it is a guest's; what the tracker was told outranks it.
    """
    user = {"id": "u2", "email": "Ann@Example.org"}
    found = event(contexts=entities((f"{SHOP}/user", user)))
    assert (found.user_id, found.email) == ("u2", "ann@example.org")
    found = event(contexts=entities((f"{SHOP}/user", user | {"is_guest": True})))
    assert (found.user_id, found.email) == ("", "ann@example.org")
    assert event(contexts=entities((f"{SHOP}/user", user)), user_id="u1").user_id == "u1"


def test_an_event_of_nobody_is_refused() -> None:
    """
    Without any id, and with one that names nobody.
    """
    assert [reason for reason, _ in refused(line(columns(domain_userid="")))] == ["no_identity"]
    anonymised = columns(domain_userid="", network_userid="00000000-0000-0000-0000-000000000000")
    assert [reason for reason, _ in refused(line(anonymised))] == ["no_identity"]


@pytest.mark.parametrize(
    ("told", "channel"),
    [
        ({"platform": "web"}, "web"),
        ({"platform": "mob"}, "app"),
        ({"platform": "app"}, "app"),
        ({"platform": "srv"}, "server"),
        ({"platform": "pc"}, "web"),
        ({"platform": "pc", "domain_userid": "", "user_id": "u1"}, "server"),
        ({"platform": "pc", "domain_userid": "", "user_id": "u1", "page_url": "https://shop.example/"}, "web"),
        ({"platform": "", "unstruct_event": about(f"{IGLU}/screen_view", {"name": "B"})}, "app"),
    ],
)
def test_the_platform_tells_the_channel(told: dict[str, str], channel: str) -> None:
    """
    `pc` is what trackers say that were told nothing: then the page, the device or the kind tell.
    """
    assert event(**told).channel == channel


# --- what is broken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["contexts", "derived_contexts", "unstruct_event"])
@pytest.mark.parametrize(
    "text",
    [
        "{",
        "12",
        "[]",
        "{}",
        '{"data":12}',
        '{"data":[12]}',
        '{"data":{"schema":"a","data":{}}}',
        '{"data":[{"schema":"a","data":{}}]}',
        '{"data":[{"schema":"iglu:a/b/jsonschema/1-0-0"}]}',
        '{"data":{"schema":"iglu:a/b/jsonschema/1-0-0"}}',
        '{"data":[{"schema":["a"],"data":{}}]}',
        "[" * 100_000,
    ],
)
def test_a_column_that_is_no_self_describing_json_is_refused(column: str, text: str) -> None:
    """
    Without it the event could be another one.
    """
    assert refused(line(columns(**{column: text}))) == [("wrong_type", f"`{column}` holds no self-describing JSON")]


def test_an_event_has_a_name_whatever_its_id_is() -> None:
    """
    A hash of what it says where it has none.
    """
    told = columns(event_id="")
    assert only(decode(line(told))).event_id == only(decode(line(told))).event_id
    assert only(decode(line(told))).event_id != event(event_id="", page_title="B").event_id
    assert len(only(decode(line(told))).event_id) == 32


# --- as trackers post it ------------------------------------------------------------------------------------


def test_a_post_is_an_envelope_of_events() -> None:
    """
    Each is an event of its own; one that is broken is refused alone.
    """
    decoded = decode(posted({"e": "pv", "eid": "1"}, {"e": "ue", "ue_px": "%"}, {"e": "pp", "eid": "3"}))
    assert [(event.kind, event.name, event.event_id) for event in decoded.events] == [
        ("page_viewed", "", "1"),
        ("other", "page_ping", "3"),
    ]
    (bad,) = decoded.rejected
    assert (bad.reason, bad.detail) == ("wrong_type", "part 1: `ue_px` is not base64")


def test_short_names_become_the_columns_names() -> None:
    """
    What no enrichment has made is told as one would have it; unknown fields keep their names.
    """
    found = only(
        decode(
            posted(
                {"e": "pv", "url": "https://shop.example/?utm_campaign=spring&utm_source=letter&a=%ff", "page": "A"}
                | {"uid": "u1", "sid": "s1", "vid": "2", "nuid": "n1", "res": "1280x800", "tna": "sp", "x": [1]}
            )
        )
    )
    assert (found.kind, found.name, found.campaign, found.user_id) == ("page_viewed", "A", "spring", "u1")
    assert (found.client_session_id, found.at) == ("s1", NOON)
    assert found.told() == {
        "event": "page_view",
        "v_tracker": "py-1.1.0",
        "platform": "web",
        "page_title": "A",
        "domain_sessionidx": 2,
        "network_userid": "n1",
        "res": "1280x800",
        "name_tracker": "sp",
        "x": [1],
        "mkt_campaign": "spring",
        "mkt_source": "letter",
    }


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode, lambda raw: urlsafe_b64encode(raw).rstrip(b"=")])
def test_what_is_encoded_is_read_in_either_alphabet(encode: Any) -> None:  # noqa: ANN401 -- of three
    """
    Padded or not; the same is taken where it is not encoded.
    """
    body, contexts = about(f"{IGLU}/site_search", {"terms": ["ÿ~?>"]}), entities((f"{SHOP}/user", {"id": "ü?"}))
    hidden = {"ue_px": encode(body.encode()).decode(), "cx": encode(contexts.encode()).decode()}
    found = only(decode(posted({"e": "ue", "eid": "1"} | hidden)))
    assert (found.kind, found.query, found.user_id) == ("searched", "ÿ~?>", "ü?")
    assert found == only(decode(posted({"e": "ue", "eid": "1", "ue_pr": body, "co": contexts})))


def test_a_tracker_that_says_when_it_sent_is_corrected_where_the_receipt_is_known() -> None:
    """
    The collector's time is in the record only where who collects has put it there.
    """
    clocks: dict[str, Any] = {"e": "pv", "dtm": str(NOON - 3_600_000), "stm": str(NOON - 3_598_000)}
    assert only(decode(posted(clocks))).at == NOON - 3_600_000
    assert only(decode(posted(clocks | {"collector_tstamp": "2026-03-01T12:00:05Z"}))).at == NOON + 3_000
    assert only(decode(posted(clocks | {"ttm": NOON + 1}))).at == NOON + 1


def test_a_format_that_is_set_reads_all_three() -> None:
    """
    `snowplow` is lines, JSON and posts.
    """
    raws = [line(columns()), msgspec.json.encode(columns()), posted({"e": "pv"})]
    decoded = decode_batch(raws, partition="p", first_position=0, read_at=None, format="snowplow")
    assert [event.kind for event in decoded.events] == ["page_viewed"] * 3
    assert decode_batch([b"{}"], partition="p", first_position=0, read_at=None, format="snowplow").rejected


# --- anything at all ----------------------------------------------------------------------------------------

FIELDS = st.sampled_from(
    [
        *NAMES,
        *VERSIONED,
        f"unstruct_event_{OURS}_ecommerce_snowplow_ecommerce_action_1",
        f"unstruct_event_{OURS}_screen_view_1",
    ]
    + [
        f"contexts_{OURS}_ecommerce_{name}_1"
        for name in ("product", "cart", "transaction", "refund", "user", "checkout_step")
    ]
    + [f"unstruct_event_{OURS}_{name}_1" for name in ("site_search", "add_to_cart")]
    + [f"contexts_{OURS}_client_session_1"]
    + [
        "e",
        "p",
        "tv",
        "dtm",
        "stm",
        "ttm",
        "duid",
        "uid",
        "sid",
        "url",
        "ue_px",
        "cx",
        "ue_pr",
        "co",
        "eid",
        "se_ac",
        "tr_tt",
    ]
)
INNER = st.dictionaries(
    st.sampled_from(
        ["type", "terms", "name", "id", "price", "quantity", "currency", "step", "userId", "sessionId", "email"]
    )
    | short,
    anything,
    max_size=4,
)
SELF_DESCRIBING = st.builds(
    lambda name, data: about(name, data) if isinstance(data, dict) else entities(*[(name, one) for one in data]),
    st.sampled_from(
        [f"{SHOP}/snowplow_ecommerce_action", f"{SHOP}/product", f"{SHOP}/cart", f"{IGLU}/site_search", "x"]
    ),
    INNER | st.lists(INNER, max_size=3),
)
BASE64 = SELF_DESCRIBING.map(lambda told: urlsafe_b64encode(told.encode()).decode())
VALUES = anything | INNER | st.lists(INNER, max_size=2) | SELF_DESCRIBING | BASE64
WORDS = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), max_size=12)


@given(told=st.dictionaries(FIELDS, VALUES, max_size=6), is_post=st.booleans())
def test_json_of_any_values_is_an_event_or_refused(told: dict[str, Any], *, is_post: bool) -> None:
    """
    No exception, and what is accepted can be told and sent on.
    """
    base = {"e": "pv", "p": "web", "dtm": str(NOON), "duid": "ann"} if is_post else dict(columns())
    assert_sound(msgspec.json.encode(base | told))


@given(told=st.dictionaries(st.sampled_from(NAMES), WORDS | SELF_DESCRIBING, max_size=8))
def test_a_line_of_any_columns_is_an_event_or_refused(told: dict[str, str]) -> None:
    """
    The same for lines.
    """
    assert_sound(line(columns(**told)))


def assert_sound(raw: bytes) -> None:
    for format_ in ("auto", "snowplow"):
        decoded = decode_batch([raw], partition="p", first_position=0, read_at=None, format=format_)
        assert len(decoded.events) + len(decoded.rejected) == 1
        assert {bad.reason for bad in decoded.rejected} <= REASONS
        for found in decoded.events:
            assert found.kind in KINDS
            assert isinstance(found.told(), dict)
            msgspec.msgpack.encode(found.pack())


@given(told=st.dictionaries(st.sampled_from(NAMES), WORDS, max_size=8), empty=st.sampled_from(NAMES))
def test_lines_and_json_of_the_same_columns_are_the_same_event(told: dict[str, str], empty: str) -> None:
    """
    Whatever the columns say, and whichever of them are empty.
    """
    texts = columns(**told | {empty: ""}) | {"event_id": "e1"}
    zoned = {n: f"{v.replace(' ', 'T')}Z" if n.endswith("_tstamp") and v else v for n, v in texts.items()}
    as_line, as_json = (
        decode_batch([raw], partition="p", first_position=0, read_at=None, format="snowplow")
        for raw in (line(texts), msgspec.json.encode(zoned))
    )
    assert as_line.events == as_json.events
    reasons = [[(bad.reason, bad.detail) for bad in found.rejected] for found in (as_line, as_json)]
    assert reasons[0] == reasons[1]
