"""Segment's calls (track, page, screen, identify, group, alias) as JSON objects, to events.

The way through: `decode` reads the record (`segment_call.py`), settles its time, names its kind
(`segment_names.py`), its visitor and its channel, and adds what that kind alone carries.
Sources: Segment's spec, RudderStack's differences to it (reference/domain.md part C), design section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from connectors.formats.common import (
    CHANNEL_OF_KIND,
    COMMERCE_KINDS,
    DWELL_MS_MAX,
    EPOCH,
    Reading,
    Unusable,
    content_id,
    email_address,
    identifier,
    milliseconds,
    phone_number,
    settled,
    visitor_of,
)
from connectors.formats.fields import TYPED_FAULTS, converter, json_object
from connectors.formats.products import item_of, items_of
from connectors.formats.segment_call import Call, Campaign, Clocks, Context, Page, Properties, Traits
from connectors.formats.segment_names import CHANNEL_OF, KIND_OF, kind_of
from operators.event import INSTANT_MAX, INSTANT_MIN, Channel, Commerce, Event, Kind

_KIND_OF_TYPE: Final[dict[str, Kind]] = {
    "page": "page_viewed",
    "screen": "screen_viewed",
    "identify": "identified",
    # An alias links two identifiers of one person, which is what identify does with its own.
    "alias": "identified",
    "group": "other",
}
_ONE_PRODUCT_KINDS: Final[frozenset[Kind]] = frozenset(
    {"product_clicked", "product_viewed", "product_added", "product_removed"}
)
_LOOKING_KINDS: Final[frozenset[Kind]] = frozenset({"product_list_viewed", "product_clicked", "product_viewed"})
_EMAIL_KINDS: Final[frozenset[Kind]] = frozenset({"email_delivered", "email_opened", "email_clicked"})
_CALL_KINDS: Final[frozenset[Kind]] = frozenset({"call_ringing", "call_answered", "call_ended"})
_CONTACT_KINDS: Final = _EMAIL_KINDS | _CALL_KINDS

# What stands for an object that a call lacks; never written to.
_NO_CONTEXT: Final = Context()
_NO_PAGE: Final = Page()
_NO_CAMPAIGN: Final = Campaign()
_NO_PROPERTIES: Final = Properties()
_NO_TRAITS: Final = Traits()

# A timestamp has whole microseconds; as a float of ms it is off by less than a quarter of one until the year 2100.
# So half of one more, rounded down, is the exact ms, in half the time of adding up days and seconds.
HALF_A_MICROSECOND: Final = 0.0005

_decode: Final = msgspec.json.Decoder(Call).decode
_decode_clocks: Final = msgspec.json.Decoder(Clocks).decode
_convert: Final = converter(Call)


def decode(raw: bytes, position: int, reading: Reading) -> Event | None:
    """Make the event of a record; None for a JSON object that is no Segment call.

    Raises:
        Unusable: the record is broken, or lacks what an event cannot do without.
    """
    try:
        call = _decode(raw)
    except TYPED_FAULTS:
        call = _convert(json_object(raw))
    if call.type is None:
        return None
    at, received_at = clocks(call, reading)
    if call.type == "track":
        name = call.event or ""
        kind = KIND_OF.get(name) or kind_of(name)
    else:
        name = call.name or ""
        kind = _KIND_OF_TYPE[call.type]
    properties = call.properties or _NO_PROPERTIES
    context = call.context or _NO_CONTEXT
    anonymous_id = identifier(call.anonymous_id or call.previous_id)
    user_id = identifier(call.user_id) if call.user_id else ""
    channel = CHANNEL_OF.get(call.channel) or _channel(kind, call, context)
    personal = call.traits is not None or context.traits is not None or kind in _CONTACT_KINDS
    email, phone = _contacts(kind, call, context, properties) if personal else ("", "")
    page = context.page or _NO_PAGE
    campaign = context.campaign or _NO_CAMPAIGN
    event = Event(
        kind,
        at,
        call.message_id or content_id(raw),
        channel,
        anonymous_id or visitor_of(channel, user_id, email, phone),
        anonymous_id,
        user_id,
        email,
        phone,
        "",
        0,
        page.url or properties.url or "",
        page.referrer or "",
        campaign.name or campaign.source or "",
        "" if context.session_id is None else identifier(str(context.session_id)),
        _commerce(kind, properties) if kind in COMMERCE_KINDS else None,
        properties.query or "",
        name=name,
        received_at=received_at,
        partition=reading.partition,
        position=position,
    )
    if (complete := _COMPLETE.get(kind)) is not None:
        complete(event, call, context, properties)
    return event


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
    shown, received = told.timestamp, told.received_at
    if told.sent_at is None and shown is not None and received is not None and shown <= received:
        # Nothing to correct and nothing to clamp, as in most records: only the bounds are left to check.
        at = milliseconds(shown - EPOCH)
        if INSTANT_MIN <= at <= INSTANT_MAX:
            return at
    return clocks(told, reading)[0]


def clocks(told: Call | Clocks, reading: Reading) -> tuple[int, int]:
    """Settle when an event happened and when it was received, both in ms; 0 for a receive time nobody knows.

    The client's clock is corrected by what it showed when it sent: `receivedAt - (sentAt -
    originalTimestamp)`, computed to the microsecond and rounded down to the ms. Where one of the three is
    missing, the first of `timestamp`, `originalTimestamp`, `sentAt` and `receivedAt` is taken as it is
    (design section 4). When the record was read says nothing of when it happened: an archive is read years later.

    Raises:
        Unusable: `bad_time`, where there is no usable time or it is out of bounds.
    """
    received, sent, original = told.received_at, told.sent_at, told.original_timestamp
    received_at = reading.read_at if received is None else int(received.timestamp() * 1000 + HALF_A_MICROSECOND)
    if sent is not None and received is not None and original is not None:
        # Spans, for an instant beyond the years of `datetime` raises and a span does not.
        at = milliseconds((received - EPOCH) - (sent - original))
    elif (shown := told.timestamp or original or sent or received) is not None:
        at = int(shown.timestamp() * 1000 + HALF_A_MICROSECOND)
    else:
        raise Unusable("bad_time", "no field of the record holds a timestamp")
    if received_at is None:
        return settled(at, None, reading), 0
    if not INSTANT_MIN <= at <= received_at or at > INSTANT_MAX:
        at = settled(at, received_at, reading)
    return at, received_at


def _channel(kind: Kind, call: Call, context: Context) -> Channel:
    """Guess the channel of a call that names none we know."""
    told = CHANNEL_OF.get((call.channel or "").strip().lower())
    if told is not None:
        return told
    if kind in CHANNEL_OF_KIND:
        return CHANNEL_OF_KIND[kind]
    # RudderStack's browser library fills `context.app` too, but then there is a page.
    if context.page is None and (context.device is not None or context.app is not None):
        return "app"
    return "web" if identifier(call.anonymous_id) else "server"


def _contacts(kind: Kind, call: Call, context: Context, properties: Properties) -> tuple[str, str]:
    """Find the e-mail address and the telephone number of the person."""
    traits = (call.traits if call.type == "identify" else None) or _NO_TRAITS
    known = context.traits or _NO_TRAITS
    email = email_address(traits.email) or email_address(known.email)
    phone = phone_number(traits.phone) or phone_number(known.phone)
    if kind in _EMAIL_KINDS:
        email = email_address(properties.email) or email
    elif kind in _CALL_KINDS:
        phone = phone_number(properties.phone) or phone
    return email, phone


def _commerce(kind: Kind, told: Properties) -> Commerce:
    """Gather what a call says of products, a cart or an order."""
    if told.products:
        items = items_of(told.products)
    # Outside calls about one product, `id` alone may name a cart or an order.
    elif kind in _ONE_PRODUCT_KINDS or told.product_id or told.sku:
        item = item_of(told)
        items = () if item is None else (item,)
    else:
        items = ()
    if kind in _LOOKING_KINDS:
        return Commerce(items, "", "", "", told.currency or "")
    value = told.total
    if value is None:
        value = told.value if told.revenue is None else told.revenue
    return Commerce(
        items,
        identifier(told.cart_id),
        identifier(told.checkout_id),
        identifier(told.order_id),
        told.currency or "",
        value,
        told.cart_value if told.cart_total is None else told.cart_total,
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


def _add_traits(event: Event, call: Call, context: Context, _: Properties) -> None:
    told = {**_consents(context.traits or _NO_TRAITS), **_consents(call.traits or _NO_TRAITS)}
    event.consents = told or None


def _add_subscription(event: Event, _: Call, __: Context, properties: Properties) -> None:
    # Segment has the two names in its e-mail spec, whose calls name no channel.
    channel = (properties.channel or "").strip().lower() or "email"
    event.consents = {channel: event.kind == "consent_given"}


def _add_dwell(event: Event, _: Call, __: Context, properties: Properties) -> None:
    dwell_ms = properties.dwell_ms
    if dwell_ms is None:
        dwell_ms = (properties.time_on_page or 0.0) * 1000
    event.dwell_ms = min(int(dwell_ms), DWELL_MS_MAX)


def _add_call_id(event: Event, _: Call, __: Context, properties: Properties) -> None:
    event.call_id = identifier(properties.call_id or properties.call_id_camel)


_COMPLETE: Final[dict[Kind, Callable[[Event, Call, Context, Properties], None]]] = {
    "identified": _add_traits,
    "consent_given": _add_subscription,
    "consent_withdrawn": _add_subscription,
    "page_left": _add_dwell,
    "call_ringing": _add_call_id,
    "call_answered": _add_call_id,
    "call_ended": _add_call_id,
}
"""What only some kinds carry is added to their events afterwards, lest the many others look for it."""
