"""Google Analytics 4: rows of the export and requests of the Measurement Protocol become the events they tell of."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import ga4
from operators.event import Commerce, Item, Kind
from operators.rejected import REASONS
from tests.connectors.formats import NOON, decoded, event_of, events_of, mutated, reasons


def param(key: str, **value: object) -> dict[str, Any]:
    return {"key": key, "value": value}


def row(name: str, *params: dict[str, Any], **more: object) -> dict[str, Any]:
    """
    A row as BigQuery exports it to JSON: integers are text.
    """
    return {
        "event_date": "20261121",
        "event_timestamp": f"{NOON}123",
        "event_name": name,
        "event_params": [param("ga_session_id", int_value="1795255000"), *params],
        "user_pseudo_id": "1166526666.1617691776",
        "platform": "WEB",
        "device": {"category": "mobile", "language": "de"},
        "items": [],
        **more,
    }


ITEM = {
    "item_id": "sku-1",
    "item_name": "Sofa",
    "item_category": "seats",
    "price": 499.5,
    "quantity": "2",
    "coupon": "x",
}
LINE = Item("sku-1", 2.0, 499.5, "Sofa", "seats")
PURCHASE = row(
    "purchase",
    param("currency", string_value="EUR"),
    param("value", double_value=990.0),
    param("transaction_id", string_value="T1"),
    items=[ITEM],
    ecommerce={"transaction_id": "T1", "purchase_revenue": 999.0, "total_item_quantity": "2"},
    user_id="u1",
)
REQUEST = {
    "client_id": "c.1",
    "user_id": "u1",
    "timestamp_micros": NOON * 1000,
    "user_properties": {"tier": {"value": "gold"}},
    "events": [
        {"name": "add_to_cart", "params": {"currency": "EUR", "value": 999, "session_id": "77", "items": [ITEM]}},
        {"name": "search", "params": {"search_term": "lamp"}, "timestamp_micros": str((NOON + 1000) * 1000)},
    ],
}


def test_a_purchase_is_an_order() -> None:
    """
    The revenue of the e-commerce column outranks the parameter; items keep their price, quantity and category.
    """
    event = event_of(PURCHASE)
    assert (event.kind, event.at, event.channel, event.name) == ("order_completed", NOON, "web", "purchase")
    assert (event.anonymous_id, event.user_id) == ("1166526666.1617691776", "u1")
    assert event.commerce == Commerce((LINE,), order_id="T1", currency="EUR", value=999.0)


def test_a_session_is_a_devices_own() -> None:
    """
    Its number is the second that it began in, so that two devices can have the same one.
    """
    event = event_of(row("page_view"))
    assert event.client_session_id == "1166526666.1617691776.1795255000"


@pytest.mark.parametrize(("name", "kind"), sorted(ga4.KINDS.items()))
def test_each_name_has_its_kind(name: str, kind: Kind) -> None:
    """
    Google's names of recommended and of automatic events.
    """
    page = param("page_location", string_value="https://shop.example/a")
    assert event_of(row(name, page)).kind == kind


def test_a_name_of_ones_own_is_another_event() -> None:
    """
    So is the beginning of a session, which is found out here.
    """
    assert [event_of(row(name)).kind for name in ("session_start", "first_visit", "my_event")] == ["other"] * 3


def test_an_engagement_is_the_time_that_a_page_was_looked_at() -> None:
    """
    Without a page, as in an app, there is nothing that was left.
    """
    time, page = param("engagement_time_msec", int_value="4200"), param("page_location", string_value="https://s/a")
    event = event_of(row("user_engagement", time, page))
    assert (event.kind, event.dwell_ms, event.url) == ("page_left", 4200, "https://s/a")
    assert event_of(row("user_engagement", time, platform="IOS")).kind == "other"


def test_where_somebody_comes_from_is_the_events_own_campaign() -> None:
    """
    `traffic_source` is that of the person's first visit ever, and what Google writes for nothing is nothing.
    """
    first = {"name": "old", "medium": "cpc", "source": "google"}
    own = {"manual_campaign_name": "spring", "manual_source": "mail"}
    assert event_of(row("page_view", traffic_source=first)).campaign == ""
    assert event_of(row("page_view", traffic_source=first, collected_traffic_source=own)).campaign == "spring"
    assert event_of(row("page_view", param("campaign", string_value="(direct)"))).campaign == ""


def test_what_else_a_row_says_survives() -> None:
    """
    Parameters by their names, user properties by theirs, columns as they are.
    """
    users = [{"key": "tier", "value": {"string_value": "gold", "set_timestamp_micros": "1"}}]
    told = event_of(row("page_view", param("theme", string_value="dark"), user_properties=users)).told()
    assert told["theme"] == "dark"
    assert told["user_properties"] == {"tier": "gold"}
    assert told["device"] == {"category": "mobile", "language": "de"}
    assert event_of(PURCHASE).told()["items"] == [ITEM]


def test_an_app_is_an_app() -> None:
    """
    A phone's browser is the web: only the platform tells.
    """
    assert event_of(row("screen_view", platform="ANDROID")).channel == "app"
    assert event_of(row("page_view", platform="WEB")).channel == "web"


def test_a_staged_row_names_the_device_by_client_id() -> None:
    """
    As dbt packages over the export do.
    """
    staged = {
        "event_timestamp": "1617691790431476",
        "event_name": "first_visit",
        "event_params": [{"key": "ga_session_id", "value": {"int_value": "1617691775"}}],
        "client_id": "1166526666.1617691776",
        "items": [],
    }
    event = event_of(staged)
    assert (event.at, event.anonymous_id) == (1617691790431, "1166526666.1617691776")
    assert event.client_session_id == "1166526666.1617691776.1617691775"


def test_a_request_of_the_measurement_protocol_is_its_events() -> None:
    """
    Each has what the request says of all, and its own time where it has one.
    """
    added, searched = events_of(REQUEST)
    assert (added.kind, added.at, added.anonymous_id, added.user_id) == ("product_added", NOON, "c.1", "u1")
    assert added.commerce == Commerce((LINE,), currency="EUR", value=999.0)
    assert added.client_session_id == "c.1.77"
    assert added.told()["user_properties"] == {"tier": "gold"}
    assert (searched.kind, searched.at, searched.query) == ("searched", NOON + 1000, "lamp")


def test_a_request_without_a_time_is_from_when_it_was_read() -> None:
    """
    As Google takes it; in a replay nobody knows it.
    """
    request = {"client_id": "c.1", "events": [{"name": "page_view", "params": {}}]}
    assert event_of(request, read_at=NOON).at == NOON
    assert reasons(request) == ["bad_time"]


def test_two_equal_events_of_a_request_are_two() -> None:
    """
    And the same request sent again is the same events.
    """
    twice = REQUEST | {"events": [{"name": "scroll"}, {"name": "scroll"}]}
    ids = [event.event_id for event in events_of(twice)]
    assert len(set(ids)) == 2
    assert ids == [event.event_id for event in events_of(twice)]


def test_a_broken_event_of_a_request_is_rejected_alone() -> None:
    """
    The others are taken.
    """
    outcome = decoded(REQUEST | {"events": [{"params": {}}, 7, {"name": "scroll"}]})
    assert [event.name for event in outcome.events] == ["scroll"]
    assert [rejected.reason for rejected in outcome.rejected] == ["missing_field", "not_an_object"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"event_timestamp": "soon"}, "bad_time"),
        ({"event_timestamp": str(NOON)}, "bad_time"),  # milliseconds, taken for microseconds, are in 1970
        ({"user_pseudo_id": None}, "no_identity"),
        ({"user_pseudo_id": "a" * 300}, "wrong_type"),
        ({"event_name": ""}, "missing_field"),
    ],
)
def test_a_row_that_cannot_be_an_event_says_why(changes: dict[str, Any], reason: str) -> None:
    """
    By the closed set of reasons.
    """
    assert reasons(row("page_view") | changes) == [reason]


@settings(max_examples=300, deadline=None)
@given(
    mutated([PURCHASE, row("page_view", param("page_location", string_value="https://s/a")), REQUEST]),
    st.sampled_from(["auto", "ga4"]),
)
def test_whatever_stands_in_a_field_there_is_an_outcome(record: object, format_: str) -> None:
    """
    An event or a rejection with its reason, and never an exception.
    """
    outcome = decoded(record, format=format_, read_at=NOON)
    assert {rejected.reason for rejected in outcome.rejected} <= REASONS
    for event in outcome.events:
        assert event.visitor_id
        event.told()
