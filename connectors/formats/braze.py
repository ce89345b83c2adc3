"""Braze: requests to its /users/track endpoint, and the records of its Currents as JSON.

A request is an envelope of events, purchases and attributes, each of one user. A record of Currents has its name in
`event_type`; a connector gets them in an envelope, with what is known of the user and of the event in objects of their
own, and storage has them flat. Sources: Braze's documentation of /users/track, of its recommended e-commerce events, of
the custom Currents connector, and its glossary of Currents.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.formats.braze_names import CONSENT_OF, KIND_OF_RECORD, KIND_OF_WORD, OPTED
from connectors.formats.common import COMMERCE_KINDS, ITEMS_MAX, Reading, Unusable
from connectors.formats.fields import Product, amount, identifier_text, text
from connectors.formats.identifiers import identifier
from connectors.formats.made import id_of, instant_of, made
from connectors.formats.products import items_of
from operators.event import Channel, Commerce, Event, Kind

Told = dict[str, Any]

LISTS: Final = {"events": "event", "purchases": "purchase", "attributes": "attribute"}
"""The lists of a request, and what one of each is called here."""

_NEEDED: Final = {"events": ("name", "time"), "purchases": ("product_id", "time"), "attributes": ()}
"""What one of each must have: others have lists of events, too."""

WHO: Final = ("external_id", "user_alias", "braze_id", "email", "phone")
"""How Braze's API names a user."""

_CHANNEL_OF: Final[dict[str, Channel]] = {"web": "web", "ios": "app", "android": "app"}
_READ: Final = frozenset({"external_id", "braze_id", "email", "phone", "name", "time", "properties"})


def claims(told: Told) -> bool:
    """Tell whether an object is a record of Currents, or one event or purchase as a request has it."""
    if _is_record(told):
        return True
    who = any(name in told for name in WHO[:3])
    return who and "time" in told and (isinstance(told.get("name"), str) or _is_purchase(told))


def claims_request(told: Told) -> bool:
    """Tell whether an object is a request to /users/track, or a batch of Currents."""
    parts = [(one, needed) for name, needed in _NEEDED.items() for one in _listed(told, name)]
    return bool(parts) and all(
        _is_record(one) or (any(name in one for name in WHO) and all(name in one for name in needed))
        for one, needed in parts
    )


def parts(told: Told, _: str) -> tuple[str, list[Any]]:
    """Return each event, purchase and set of attributes of a request, with the name of what it is."""
    found = [
        one if isinstance(one, dict) and _is_record(one) else {what: one}
        for name, what in LISTS.items()
        if isinstance(told.get(name), list)
        for one in told[name]
    ]
    return "braze", found


def events(told: Told, position: int, reading: Reading) -> list[Event]:
    """Make the event of one part of a request, or of one record.

    Attributes have no time: they are from when they were read.

    Raises:
        Unusable: `missing_field`, `bad_time`, `no_identity`, `wrong_type`, `not_an_object`.
    """
    if _is_record(told):
        return [_recorded(told, position, reading)]
    what = next((what for what in LISTS.values() if what in told), "purchase" if _is_purchase(told) else "event")
    part = told.get(what, told)
    if not isinstance(part, dict):
        raise Unusable("not_an_object", f"the {what} is not an object")
    if what == "attribute":
        return [_attributes(part, position, reading)]
    properties = part.get("properties")
    said: Told = properties if isinstance(properties, dict) else {}
    if what == "purchase":
        return [_purchase(part, said, position, reading)]
    name = text(part.get("name"))
    if not name:
        raise Unusable("missing_field", "`name` of the event is absent")
    kind = _kind(name, said)
    event = _made(kind, part, position, reading, _channel(said), name, said | _rest(part))
    return [_with_commerce(event, said)]


def _is_record(told: Told) -> bool:
    type_ = told.get("event_type")
    return isinstance(type_, str) and type_.startswith("users.")


def _is_purchase(told: Told) -> bool:
    return "product_id" in told and "price" in told and "currency" in told


def _listed(told: Told, name: str) -> list[Told]:
    listed = told.get(name)
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _kind(name: str, said: Told) -> Kind:
    """Tell what an event means; a cart is replaced, unless the event says that it is added to or removed from."""
    if name == "ecommerce.cart_updated":
        action = said.get("action")
        return "product_added" if action == "add" else "product_removed" if action == "remove" else "cart_updated"
    return KIND_OF_WORD.get(name, "other")


def _rest(part: Told) -> Told:
    return {name: value for name, value in part.items() if name not in _READ}


def _channel(said: Told) -> Channel:
    source = text(said.get("source")) or text(said.get("platform")) or ""
    return _CHANNEL_OF.get(source.lower(), "server")


def _alias(told: object) -> str | None:
    """Name a user by an alias, which means something only under its label."""
    if not isinstance(told, dict):
        return None
    name, label = identifier_text(told.get("alias_name")), identifier_text(told.get("alias_label"))
    return identifier_text(f"{label}:{name}") if name and label else name


def _made(  # noqa: PLR0913, PLR0917 -- all that is known of a part
    kind: Kind, part: Told, position: int, reading: Reading, channel: Channel, name: str, said: Told, at: int = -1
) -> Event:
    """Make the event of a part of a request; `at` (ms) is when it was where the part does not say."""
    return made(
        kind,
        instant_of(part.get("time"), reading, "s") if at < 0 else at,
        id_of(None, {"name": name, **part}),
        channel,
        reading,
        position,
        anonymous_id=_alias(part.get("user_alias")) or identifier_text(part.get("braze_id")),
        user_id=identifier_text(part.get("external_id")),
        email=identifier_text(part.get("email")),
        phone=identifier_text(part.get("phone")),
        name=name,
        properties=said,
    )


def _with_commerce(event: Event, said: Told) -> Event:
    """Add what an event says of products, a cart or an order."""
    if event.kind not in COMMERCE_KINDS:
        return event
    products = said.get("products")
    lines = products if isinstance(products, list) else [said]
    items = items_of([_product(line) for line in lines[:ITEMS_MAX] if isinstance(line, dict)])
    currency = text(said.get("currency")) or ""
    more = said.get("metadata")
    links: Told = more if isinstance(more, dict) else {}
    if event.kind == "product_viewed":
        event.url = text(said.get("product_url")) or ""
        event.commerce = Commerce(items, currency=currency)
        return event
    total = amount(said.get("total_value"))
    is_cart = event.kind == "cart_updated"
    event.commerce = Commerce(
        items,
        identifier(identifier_text(said.get("cart_id"))),
        identifier(identifier_text(said.get("checkout_id"))),
        identifier(identifier_text(said.get("order_id"))),
        currency,
        None if is_cart else total,
        total if is_cart else None,
        text(links.get("checkout_url")) or "",
    )
    return event


def _product(line: Told) -> Product:
    return Product(
        product_id=identifier_text(line.get("product_id")),
        sku=identifier_text(line.get("variant_id")),
        name=text(line.get("product_name")),
        price=amount(line.get("price")),
        quantity=amount(line.get("quantity")),
    )


def _purchase(part: Told, said: Told, position: int, reading: Reading) -> Event:
    """Make an order of a purchase, which is one product of one."""
    event = _made("order_completed", part, position, reading, _channel(said), "purchase", said | _rest(part))
    quantity = amount(part.get("quantity"))
    price = amount(part.get("price"))
    event.commerce = Commerce(
        items_of([_product(part)]),
        order_id=identifier(identifier_text(said.get("order_id"))),
        currency=text(part.get("currency")) or "",
        value=None if price is None else price * (1.0 if quantity is None else quantity),
    )
    return event


def _attributes(part: Told, position: int, reading: Reading) -> Event:
    """Make an `identified` of what is told of a user."""
    at = instant_of(reading.read_at, reading)
    event = _made("identified", part, position, reading, "server", "attributes", _rest(part), at)
    flags = {channel: OPTED.get(text(part.get(f"{channel}_subscribe")) or "") for channel in ("email", "push")}
    event.consents = {channel: flag for channel, flag in flags.items() if flag is not None} or None
    return event


def _recorded(told: Told, position: int, reading: Reading) -> Event:
    """Make the event of a record of Currents: flat, or with objects for the user and for what happened."""
    record = dict(told)
    for group in ("user", "properties"):
        inner = record.get(group)
        if isinstance(inner, dict):
            record.pop(group)
            record = inner | record
    type_ = str(record["event_type"])
    kind, channel = KIND_OF_RECORD.get(type_, ("other", "server"))
    name, said = type_, record
    if type_ == "users.behaviors.CustomEvent":
        name, said = text(record.get("name")) or type_, _inner(record, "custom_properties")
        kind, channel = _kind(name, said), _channel(said | record)
    elif type_ == "users.behaviors.Purchase":
        said, channel = _inner(record, "purchase_properties"), _channel(record)
    event = made(
        kind,
        instant_of(record.get("time"), reading, "s"),
        id_of(record.get("id"), told),
        channel,
        reading,
        position,
        anonymous_id=identifier_text(record.get("user_id")),
        user_id=identifier_text(record.get("external_user_id")),
        email=identifier_text(record.get("email_address")),
        phone=_number(record, is_inbound=kind == "message_received"),
        name=name,
        properties={key: value for key, value in record.items() if key not in _READ_OF_RECORD} | said,
    )
    event.client_session_id = identifier(identifier_text(record.get("session_id")))
    return _with_what_it_says(event, type_, record, said)


_READ_OF_RECORD: Final = frozenset({"id", "user_id", "external_user_id", "email_address", "time"})


def _inner(record: Told, name: str) -> Told:
    """Return the properties that somebody has given an event: an object, or in storage the text of one."""
    inner = record.get(name)
    return inner if isinstance(inner, dict) else {}


def _number(record: Told, *, is_inbound: bool) -> str | None:
    """Return the user's number: who sends it, where the message comes from them."""
    names = ("user_phone_number", "from_phone_number") if is_inbound else ("to_phone_number", "user_phone_number")
    return next(filter(None, [identifier_text(record.get(name)) for name in names]), None)


def _with_what_it_says(event: Event, type_: str, record: Told, said: Told) -> Event:
    """Add what only some of the records of Currents have."""
    event.url = text(record.get("url")) or ""
    event.campaign = text(record.get("campaign_name")) or text(record.get("canvas_name")) or ""
    if type_ in CONSENT_OF:
        event.consents = {CONSENT_OF[type_]: False}
    elif type_ == "users.behaviors.subscription.GlobalStateChange":
        flag = OPTED.get((text(record.get("subscription_status")) or "").lower().replace("-", "_"))
        if flag is not None:
            event.kind = "consent_given" if flag else "consent_withdrawn"
            event.consents = {(text(record.get("channel")) or "email").lower(): flag}
    elif type_ == "users.behaviors.Purchase":
        price = amount(record.get("price"))
        order_id = identifier(identifier_text(said.get("order_id")))
        currency = text(record.get("currency")) or ""
        event.commerce = Commerce(items_of([_product(record)]), order_id=order_id, currency=currency, value=price)
    return _with_commerce(event, said) if event.commerce is None else event
