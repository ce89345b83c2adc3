"""Segment's calls (track, page, screen, identify, group, alias) as JSON objects, to events.

The way through: `decode` reads the record (`segment_call.py`), settles its time, names its kind
(`segment_names.py`), its visitor and its channel, and adds what that kind alone carries.
Sources: Segment's spec, RudderStack's differences to it (reference/domain.md part C), design section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from sys import intern
from typing import Any, Final

import msgspec

from connectors.formats.common import (
    CHANNEL_OF_KIND,
    COMMERCE_KINDS,
    DWELL_MS_MAX,
    EPOCH,
    Reading,
    Unusable,
    content_id,
    milliseconds,
    settled,
)
from connectors.formats.fields import TYPED_FAULTS, converter, json_object
from connectors.formats.identifiers import either, email_address, identifier, personal, phone_number, visitor_of
from connectors.formats.products import item_of, items_of
from connectors.formats.screening import screened
from connectors.formats.segment_call import Call, ClientCall, ClientContext, Clocks, Context, Properties, Traits
from connectors.formats.segment_names import CHANNEL_OF, KIND_OF, is_of_app, kind_of
from connectors.formats.segment_rows import (
    ANONYMOUS_ID,
    CHANNEL,
    CONTEXT,
    EVENT,
    MESSAGE_ID,
    NAME,
    ORIGINAL_TIMESTAMP,
    PREVIOUS_ID,
    PROPERTIES,
    RECEIVED_AT,
    SENT_AT,
    TIMESTAMP,
    TRAITS,
    TYPE,
    USER_ID,
)
from operators.event import INSTANT_MAX, INSTANT_MIN, Channel, Commerce, Event, Item, Kind

TYPES: Final[tuple[str, ...]] = ("track", "page", "screen", "identify", "group", "alias")
"""What makes an object a call."""

_KIND_OF_TYPE: Final[dict[str, Kind]] = {
    "page": "page_viewed",
    "screen": "screen_viewed",
    "identify": "identified",
    # An alias asks that two identifiers be one person's, which identify says of its own.
    "alias": "identified",
    "group": "other",
}
_ONE_PRODUCT_KINDS: Final[frozenset[Kind]] = frozenset(
    {"product_clicked", "product_viewed", "product_added", "product_removed"}
)
_LOOKING_KINDS: Final[frozenset[Kind]] = frozenset({"product_list_viewed", "product_clicked", "product_viewed"})
_ADDRESSED_KINDS: Final[frozenset[Kind]] = frozenset(
    {
        "email_delivered",
        "email_opened",
        "email_clicked",
        "email_bounced",
        "email_complained",
        "consent_given",
        "consent_withdrawn",
    }
)
"""Kinds whose properties may name the person's address."""
_CALL_KINDS: Final[frozenset[Kind]] = frozenset({"call_ringing", "call_answered", "call_ended"})
_CONTACT_KINDS: Final = _ADDRESSED_KINDS | _CALL_KINDS

_astuple: Final = msgspec.structs.astuple
_decode: Final = msgspec.json.Decoder(Call).decode
_decode_client: Final = msgspec.json.Decoder(ClientCall).decode
_decode_clocks: Final = msgspec.json.Decoder(Clocks).decode
_convert: Final = converter(ClientCall)


def decode(raw: bytes, position: int, reading: Reading) -> Event | None:
    """Make the event of a record; None for a JSON object that is no Segment call.

    Raises:
        Unusable: the record is broken, or lacks what an event cannot do without.
    """
    screening = reading.screening
    asks_clients = screening is not None and screening.asks_clients
    row = _read(raw, asks_clients)
    type_: str | None = row[TYPE]
    if type_ is None:
        return None
    context: Context | None = row[CONTEXT]
    if asks_clients and context is not None:
        client: ClientContext = row[CONTEXT]
        screened(client.user_agent, client.ip, screening)
    at = happened_at(row[TIMESTAMP], row[ORIGINAL_TIMESTAMP], row[SENT_AT], row[RECEIVED_AT], reading)
    name: str
    if type_ == "track":
        name = intern(row[EVENT] or "")
        kind = KIND_OF.get(name) or kind_of(name)
    else:
        name, kind = row[NAME] or "", _KIND_OF_TYPE[type_]
    told_id: str | None = row[ANONYMOUS_ID]
    previous_id: str | None = row[PREVIOUS_ID] if type_ == "alias" else None
    user_id = personal(row[USER_ID], "user_id", reading)
    anonymous_id = personal(told_id if told_id or user_id else previous_id, "anonymous_id", reading)
    known: Traits | None = None if context is None else context.traits
    told_channel: str | None = row[CHANNEL]
    channel: Channel = "web"
    if told_channel != "web":  # most are, and a look-up costs more
        channel = CHANNEL_OF.get(told_channel) or _channel(
            kind, name, told_channel, context, has_device=bool(told_id and anonymous_id)
        )
    properties: Properties | None = row[PROPERTIES]
    traits: Traits | None = row[TRAITS]
    email = phone = ""
    if traits is not None or known is not None or kind in _CONTACT_KINDS:
        email, phone = _contacts(kind, traits if type_ == "identify" else None, known, properties, reading)
    visitor_id = anonymous_id or visitor_of(channel, user_id, email, phone)
    event_id: str = row[MESSAGE_ID] or content_id(raw)
    event = Event(kind, at, event_id, channel, visitor_id, anonymous_id, user_id, email, phone)
    if previous_id:  # a user's or a device's: the spec does not say
        event.also = either(personal(previous_id, "anonymous_id", reading), anonymous_id, user_id)
    event.name, event.partition, event.position, event.record = name, reading.partition, position, raw
    if context is not None:
        _add_context(event, context)
    if properties is not None:
        _add_properties(event, properties)
    if kind in COMMERCE_KINDS:
        event.commerce = Commerce() if properties is None else _commerce(kind, properties)
    elif (complete := _COMPLETE.get(kind)) is not None:
        complete(event, traits, known, properties)
    return event


def _read(raw: bytes, asks_clients: bool) -> tuple[Any, ...]:  # noqa: FBT001 -- by position, which is faster
    """Return the fields of a call, as `segment_rows.py` numbers them.

    Raises:
        Unusable: the record is broken.
    """
    try:
        return _astuple(_decode_client(raw) if asks_clients else _decode(raw))
    except TYPED_FAULTS:
        return _astuple(_convert(json_object(raw)))


def _add_context(event: Event, context: Context) -> None:
    page = context.page
    if page is not None:
        event.url = page.url or ""
        event.referrer = page.referrer or ""
    campaign = context.campaign
    if campaign is not None:
        event.campaign = campaign.name or campaign.source or ""
    session_id = context.session_id
    if session_id is not None:
        event.client_session_id = identifier(str(session_id))


def _add_properties(event: Event, properties: Properties) -> None:
    event.query = properties.query or ""
    if not event.url:
        event.url = properties.url or ""


def time_of(raw: bytes, reading: Reading) -> int | None:
    """Tell the instant (ms) that `decode` would give the event of this record, without the rest of the work.

    It is told also for a record that `decode` refuses for another reason than its time. None for a record
    that is no call at first sight: only `decode` can tell then.

    Raises:
        Unusable: no timestamp of the call is one, or the time is out of bounds.
    """
    try:
        told = _decode_clocks(raw)
    except TYPED_FAULTS:
        return None
    if told.type is None:
        return None
    return happened_at(told.timestamp, told.original_timestamp, told.sent_at, told.received_at, reading)


def happened_at(
    timestamp: datetime | None,
    original: datetime | None,
    sent: datetime | None,
    received: datetime | None,
    reading: Reading,
) -> int:
    """Settle when an event happened, in ms.

    The client's clock is corrected by what it showed when it sent: `receivedAt - (sentAt -
    originalTimestamp)`, computed to the microsecond and rounded down to the ms. Where one of the three is
    missing, the first of `timestamp`, `originalTimestamp`, `sentAt` and `receivedAt` is taken as it is
    (design section 4). When the record was read says nothing of when it happened: an archive is read years later.

    Raises:
        Unusable: `bad_time`, where there is no usable time or it is out of bounds.
    """
    if sent is not None and received is not None and original is not None:
        # Spans, for an instant beyond the years of `datetime` raises and a span does not.
        at = milliseconds((received - EPOCH) - (sent - original))
    else:
        shown = timestamp or original or sent or received
        if shown is None:
            raise Unusable("bad_time", "no field of the record holds a timestamp")
        at = milliseconds(shown - EPOCH)
        if received is not None and shown <= received and INSTANT_MIN <= at <= INSTANT_MAX:
            return at  # most end here: nothing to correct, nothing to clamp
    received_at = reading.read_at if received is None else milliseconds(received - EPOCH)
    return settled(at, received_at, reading)


def _channel(kind: Kind, name: str, told: str | None, context: Context | None, *, has_device: bool) -> Channel:
    """Guess the channel of a call that names none we know, or says only that a server made it."""
    word = (told or "").strip().lower()
    known = CHANNEL_OF.get(word)
    if known is not None:
        return known
    if kind in CHANNEL_OF_KIND:
        return CHANNEL_OF_KIND[kind]
    if kind == "other" and is_of_app(name):
        return "app"
    if word == "server":
        return "server"
    # RudderStack's browser library fills `context.app` too, but then there is a page.
    if context is not None and context.page is None and (context.device is not None or context.app is not None):
        return "app"
    return "web" if has_device else "server"


def _contacts(
    kind: Kind, traits: Traits | None, known: Traits | None, properties: Properties | None, reading: Reading
) -> tuple[str, str]:
    """Find the e-mail address and the telephone number of the person."""
    email = phone = ""
    if traits is not None:
        email, phone = email_address(traits.email, reading), phone_number(traits.phone, reading)
    if known is not None:
        email, phone = email or email_address(known.email, reading), phone or phone_number(known.phone, reading)
    if properties is not None:
        if kind in _ADDRESSED_KINDS:
            email = email_address(properties.email, reading) or email
        elif kind in _CALL_KINDS:
            phone = phone_number(properties.phone, reading) or phone
    return email, phone


def _commerce(kind: Kind, told: Properties) -> Commerce:
    """Gather what a call says of products, a cart or an order."""
    items: tuple[Item, ...] = ()
    products = told.products
    if products:
        items = items_of(products)
    # Outside calls about one product, `id` alone may name a cart or an order.
    elif kind in _ONE_PRODUCT_KINDS or told.product_id or told.sku:
        item = item_of(told)
        if item is not None:
            items = (item,)
    currency = told.currency or ""
    if kind in _LOOKING_KINDS:
        return Commerce(items, "", "", "", currency)
    value = told.total
    if value is None:
        revenue = told.revenue
        value = told.value if revenue is None else revenue
    cart_total = told.cart_total
    return Commerce(
        items,
        identifier(told.cart_id),
        identifier(told.checkout_id),
        identifier(told.order_id),
        currency,
        value,
        told.cart_value if cart_total is None else cart_total,
        told.cart_url or told.checkout_url or "",
    )


def _consents(traits: Traits) -> dict[str, bool]:
    """Read the flags for each channel; where two of them disagree, the refusal counts."""
    flags = (
        ("email", traits.email_opt_in, traits.email_opt_out),
        ("sms", traits.sms_opt_in, traits.sms_opt_out),
        ("push", traits.push_opt_in, traits.push_opt_out),
    )
    return {
        channel: opted_in is not False and not opted_out
        for channel, opted_in, opted_out in flags
        if opted_in is not None or opted_out is not None
    }


def _add_traits(event: Event, traits: Traits | None, known: Traits | None, _: Properties | None) -> None:
    told: dict[str, bool] = {}
    for flags in (known, traits):
        if flags is not None:
            told.update(_consents(flags))
    event.consents = told or None


def _add_subscription(event: Event, _: Traits | None, __: Traits | None, properties: Properties | None) -> None:
    # Segment has the two names in its e-mail spec, whose calls name no channel.
    channel = "" if properties is None else (properties.channel or "").strip().lower()
    event.consents = {channel or "email": event.kind == "consent_given"}


def _add_dwell(event: Event, _: Traits | None, __: Traits | None, properties: Properties | None) -> None:
    if properties is None:
        return
    dwell_ms = properties.dwell_ms
    if dwell_ms is None:
        dwell_ms = (properties.time_on_page or 0.0) * 1000
    event.dwell_ms = min(int(dwell_ms), DWELL_MS_MAX)


def _add_call_id(event: Event, _: Traits | None, __: Traits | None, properties: Properties | None) -> None:
    if properties is not None:
        event.call_id = identifier(properties.call_id or properties.call_id_camel)


_COMPLETE: Final[dict[Kind, Callable[[Event, Traits | None, Traits | None, Properties | None], None]]] = {
    "identified": _add_traits,
    "consent_given": _add_subscription,
    "consent_withdrawn": _add_subscription,
    "page_left": _add_dwell,
    "call_ringing": _add_call_id,
    "call_answered": _add_call_id,
    "call_ended": _add_call_id,
}
"""What only some kinds carry is added to their events afterwards, lest the many others look for it."""
