"""Google Analytics 4: rows of its BigQuery export, and payloads of its Measurement Protocol as envelopes of such rows.

A row is one event: `event_name`, `event_timestamp` (microseconds, as text where it comes from BigQuery) and its
parameters, a list of keys with values of one of four types. The Measurement Protocol has them as an object, several
events a request, for one device. Sources: Google's BigQuery export schema, its lists of recommended and of
automatically collected events, its Measurement Protocol reference.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.formats.common import COMMERCE_KINDS, DWELL_MS_MAX, ITEMS_MAX, Reading, Unusable, content_id, encoded
from connectors.formats.fields import Product, amount, identifier_text, text
from connectors.formats.identifiers import identifier
from connectors.formats.made import instant_of, made
from connectors.formats.products import items_of
from operators.event import Channel, Commerce, Event, Item, Kind

KINDS: Final[dict[str, Kind]] = {
    "page_view": "page_viewed",
    "screen_view": "screen_viewed",
    "user_engagement": "page_left",  # sent as a page or screen is left, with how long it was looked at
    "search": "searched",
    "view_search_results": "searched",
    "view_item": "product_viewed",
    "view_item_list": "product_list_viewed",
    "select_item": "product_clicked",
    "add_to_cart": "product_added",
    "remove_from_cart": "product_removed",
    "view_cart": "cart_viewed",
    "begin_checkout": "checkout_started",
    "add_shipping_info": "checkout_progressed",
    "add_payment_info": "checkout_progressed",
    "purchase": "order_completed",
    "ecommerce_purchase": "order_completed",  # as apps said it before 2020
    "refund": "order_refunded",
    "login": "identified",
    "sign_up": "identified",
}
"""What the names of events mean here; any other is "other", session_start among them."""

_LOOKING: Final[frozenset[Kind]] = frozenset({"product_list_viewed", "product_clicked", "product_viewed"})
_UNSET: Final = frozenset({"(not set)", "(direct)", "(none)", "(organic)", "(referral)", "(other)"})
"""What Google writes where there is nothing to say."""
_VALUES: Final = ("string_value", "int_value", "double_value", "float_value")
_READ: Final = frozenset(
    {"event_name", "event_timestamp", "event_params", "user_pseudo_id", "client_id", "user_id", "user_properties"}
)


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is a row of the export; others have an `event_name`, too, but no such time beside it."""
    return isinstance(told.get("event_name"), str) and "event_timestamp" in told


def claims_request(told: dict[str, Any]) -> bool:
    """Tell whether an object is a payload of the Measurement Protocol: events of one device or app."""
    return isinstance(told.get("events"), list) and ("client_id" in told or "app_instance_id" in told)


def parts(told: dict[str, Any], _: str) -> tuple[str, list[Any]]:
    """Make a row of each event of a payload, with what the payload says of all of them."""
    is_app = "app_instance_id" in told
    shared = {
        "user_pseudo_id": told.get("app_instance_id" if is_app else "client_id"),
        "user_id": told.get("user_id"),
        "platform": "APP" if is_app else "WEB",
        **{name: told[name] for name in told if name not in _SHARED},
    }
    return "ga4", [_row(event, number, told, shared) for number, event in enumerate(told["events"])]


_SHARED: Final = frozenset({"events", "client_id", "app_instance_id", "user_id", "platform", "timestamp_micros"})


def _row(event: Any, number: int, told: dict[str, Any], shared: dict[str, Any]) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Make a row of one event; what is no event stays what it is, to be rejected as that."""
    if not isinstance(event, dict):
        return event
    params = event.get("params")
    params = dict(params) if isinstance(params, dict) else {}
    items = params.pop("items", None)
    at = event.get("timestamp_micros")
    return {
        **shared,
        "event_name": event.get("name"),
        "event_timestamp": told.get("timestamp_micros") if at is None else at,
        "batch_event_index": number,  # so that two equal events of a request are two
        "event_params": params,
        **({} if items is None else {"items": items}),
    }


def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    """Make the event of a row.

    One of the Measurement Protocol may have no time: then it is from when it was read.

    Raises:
        Unusable: `missing_field`, `bad_time`, `no_identity`, `wrong_type`.
    """
    name = text(told.get("event_name"))
    if not name:
        raise Unusable("missing_field", "`event_name` is absent")
    params = _values(told.get("event_params"))
    kind = KINDS.get(name, "other")
    if kind == "page_left" and not _said(params, "page_location"):
        kind = "other"
    told_at = told.get("event_timestamp")
    at = instant_of(reading.read_at, reading) if told_at is None else instant_of(told_at, reading, "us")
    told_id = told.get("user_pseudo_id")
    device = identifier_text(told.get("client_id") if told_id is None else told_id)
    event = made(
        kind,
        at,
        content_id(encoded(told)),
        _channel(told),
        reading,
        position,
        anonymous_id=device,
        user_id=identifier_text(told.get("user_id")),
        name=name,
        properties=_properties(told, params),
    )
    event.url, event.referrer = _said(params, "page_location"), _said(params, "page_referrer")
    event.campaign = _campaign(told, params)
    event.query = _said(params, "search_term")
    session = identifier_text(params.get("ga_session_id", params.get("session_id")))
    if session and device:  # a session's number is the second it began, so it is one device's only
        event.client_session_id = identifier(identifier_text(f"{device}.{session}"))
    if kind in COMMERCE_KINDS:
        event.commerce = _commerce(kind, told, params)
    elif kind == "page_left":
        event.dwell_ms = min(int(amount(params.get("engagement_time_msec")) or 0), DWELL_MS_MAX)
    return [event]


def _values(told: object) -> dict[str, Any]:
    """Return parameters or user properties by their names, whether they come as a list or as an object."""
    if isinstance(told, dict):
        return {key: _value(value) for key, value in told.items()}
    if not isinstance(told, list):
        return {}
    pairs = [one for one in told if isinstance(one, dict) and isinstance(one.get("key"), str)]
    return {one["key"]: _value(one.get("value")) for one in pairs}


def _value(told: object) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Return the one value that is set of those that there is room for."""
    if not isinstance(told, dict) or not any(name in told for name in (*_VALUES, "value")):
        return told
    return next((told[name] for name in (*_VALUES, "value") if told.get(name) is not None), None)


def _said(told: object, *path: str) -> str:
    """Return a text at a path, "" where there is none or only what stands for none."""
    for step in path:
        told = told.get(step) if isinstance(told, dict) else None
    found = text(told) or ""
    return "" if found in _UNSET else found


def _channel(told: dict[str, Any]) -> Channel:
    platform = text(told.get("platform"))
    if platform:
        return "web" if platform.upper() == "WEB" else "app"
    return "app" if isinstance(told.get("app_info"), dict) else "web"


def _campaign(told: dict[str, Any], params: dict[str, Any]) -> str:
    """Name the campaign of the event; `traffic_source` is that of the person's first visit ever, and stays out."""
    own = "collected_traffic_source"
    return (
        _said(told, own, "manual_campaign_name")
        or _said(params, "campaign")
        or _said(told, own, "manual_source")
        or _said(params, "source")
    )


def _commerce(kind: Kind, told: dict[str, Any], params: dict[str, Any]) -> Commerce:
    ecommerce = told.get("ecommerce")
    sums: dict[str, Any] = ecommerce if isinstance(ecommerce, dict) else {}
    order_id = next(filter(None, map(_order_id, (sums.get("transaction_id"), params.get("transaction_id")))), "")
    items, currency = _items(told.get("items")), _said(params, "currency")
    if kind in _LOOKING:
        return Commerce(items, currency=currency)
    value = amount(params.get("value"))
    total = sums.get({"order_completed": "purchase_revenue", "order_refunded": "refund_value"}.get(kind, ""))
    if kind == "cart_viewed":
        return Commerce(items, currency=currency, cart_value=value)
    exact = amount(total)
    return Commerce(items, order_id=order_id, currency=currency, value=value if exact is None else exact)


def _order_id(told: object) -> str:
    found = identifier(identifier_text(told))
    return "" if found in _UNSET else found


def _items(told: object) -> tuple[Item, ...]:
    lines = [one for one in told[:ITEMS_MAX] if isinstance(one, dict)] if isinstance(told, list) else []
    return items_of([_product(line) for line in lines])


def _product(line: dict[str, Any]) -> Product:
    """Read an item; Google wants either an id or a name of it."""
    return Product(
        product_id=_order_id(line.get("item_id")) or _said(line, "item_name") or None,
        name=_said(line, "item_name"),
        category=_said(line, "item_category"),
        price=amount(line.get("price")),
        quantity=amount(line.get("quantity")),
    )


def _properties(told: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Gather all else that a row says: its parameters by their names, and the groups of columns."""
    rest = {name: value for name, value in told.items() if name not in _READ and value not in (None, [], {})}
    users = _values(told.get("user_properties"))
    return {**rest, **({"user_properties": users} if users else {}), **params}
