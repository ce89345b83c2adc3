"""nextmove's own format: a flat JSON object, keys named as the fields of `Event`, `Commerce` and `Item`.

`kind` and `occurred_at` are required, and one identifier. Instants are RFC 3339 text or integer ms since the epoch.
`session_id` is `Event.client_session_id`, `cart_url` is `Commerce.url`; `also` has a list for each kind of id, and
`properties` whatever else there is to say. What is not a record's to say (`visitor_id`, `profile_id`, `mark`,
`partition`, `position`) is not taken from it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from connectors.formats.canonical_record import Also, Record
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
from connectors.formats.identifiers import email_address, identifier, personal, phone_number, visitor_of
from connectors.formats.products import items_of
from connectors.formats.screening import screened
from operators.event import Commerce, Event

_decode: Final = msgspec.json.Decoder(Record).decode
_convert: Final = converter(Record)


def decode(raw: bytes, position: int, reading: Reading) -> Event | None:
    """Make the event of a record; None for a JSON object without a `kind`.

    Raises:
        Unusable: the record is broken, or lacks what an event cannot do without.
    """
    record = _read(raw)
    if record is None or (kind := record.kind) is None:
        return None
    screened(record.user_agent, record.ip, reading.screening)
    at = _time(record, reading)
    anonymous_id = personal(record.anonymous_id, "anonymous_id", reading)
    user_id = personal(record.user_id, "user_id", reading)
    email = email_address(record.email, reading)
    phone = phone_number(record.phone, reading)
    channel = record.channel or CHANNEL_OF_KIND.get(kind) or ("web" if anonymous_id else "server")
    session_id = record.client_session_id if record.session_id is None else record.session_id
    event = Event(
        kind=kind,
        at=at,
        event_id=record.event_id or content_id(raw),
        channel=channel,
        visitor_id=anonymous_id or visitor_of(channel, user_id, email, phone),
        anonymous_id=anonymous_id,
        user_id=user_id,
        email=email,
        phone=phone,
        url=record.url or "",
        referrer=record.referrer or "",
        campaign=record.campaign or "",
        client_session_id="" if session_id is None else identifier(str(session_id)),
        commerce=_commerce(record) if kind in COMMERCE_KINDS else None,
        query=record.query or "",
        dwell_ms=min(int(record.dwell_ms or 0), DWELL_MS_MAX),
        consents=record.consents or None,
        call_id=identifier(record.call_id),
        name=record.name or "",
        partition=reading.partition,
        position=position,
        also=() if record.also is None else _also(record.also, user_id, anonymous_id, reading),
    )
    event.record = raw
    return event


def _also(told: Also, user_id: str, anonymous_id: str, reading: Reading) -> tuple[str, ...]:
    """Name the ids that are this person's too, each once."""
    users = [personal(one, "user_id", reading) for one in told.user_id or ()]
    devices = [personal(one, "anonymous_id", reading) for one in told.anonymous_id or ()]
    names = [f"u:{one}" for one in users if one not in ("", user_id)]
    names += [f"a:{one}" for one in devices if one not in ("", anonymous_id)]
    return tuple(dict.fromkeys(names))


def _read(raw: bytes) -> Record | None:
    """Decode a record; None for an object that has no `kind`."""
    try:
        record = _decode(raw)
    except TYPED_FAULTS:
        told = json_object(raw)
        if told.get("kind") is None:
            return None
        record = _convert(told)
        if record.kind is None:
            raise Unusable("wrong_type", "`kind` is none of the kinds of events") from None
        if record.occurred_at is None and told.get("occurred_at") is not None:
            raise Unusable("bad_time", "`occurred_at` is neither RFC 3339 text nor integer ms") from None
    return record


def _time(record: Record, reading: Reading) -> int:
    """Settle when an event happened, in ms.

    Raises:
        Unusable: `missing_field` or `bad_time`, where `occurred_at` is no usable time.
    """
    if record.occurred_at is None:
        raise Unusable("missing_field", "a record without `occurred_at`")
    received_at = reading.read_at if record.received_at is None else _instant(record.received_at)
    return settled(_instant(record.occurred_at), received_at, reading)


def _instant(told: datetime | int) -> int:
    return told if isinstance(told, int) else milliseconds(told - EPOCH)


def _commerce(record: Record) -> Commerce:
    return Commerce(
        items_of(record.items or ()),
        identifier(record.cart_id),
        identifier(record.checkout_id),
        identifier(record.order_id),
        record.currency or "",
        record.value,
        record.cart_value,
        record.cart_url or "",
    )
