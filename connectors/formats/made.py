"""Making events of what a format has found in a record: one spelling of identifiers, one clock rule for all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from connectors.formats.common import (
    EPOCH,
    TEXT_CHARS_MAX,
    Reading,
    Unusable,
    content_id,
    encoded,
    milliseconds,
    settled,
)
from connectors.formats.fields import amount, moment
from connectors.formats.identifiers import email_address, personal, phone_number, visitor_of
from operators.event import Channel, Event, Kind
from operators.leg import Leg

_UNITS: Final = {"s": 1e6, "ms": 1e3, "us": 1.0}
"""Microseconds in one: floats of seconds are exact to these, so that 0.12 s is 120 ms and not 119."""

_INSTANT_MAX: Final = 10**17
"""Larger numbers are no instants in any of the units: ten times the year 2100 in microseconds.

An integer, for compiled code makes a float of what it compares with one, and there are integers that no float holds.
"""


def made(  # noqa: PLR0913 -- an event says so much
    kind: Kind,
    at: int,
    event_id: str,
    channel: Channel,
    reading: Reading,
    position: int,
    *,
    anonymous_id: str | None = None,
    user_id: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    name: str = "",
    properties: Mapping[str, Any] | None = None,
) -> Event:
    """Make an event of identifiers as they were told; `at` (ms) is as `instant_of` gives it.

    `properties` are what the record says beyond what an event has fields for. The caller adds the rest.

    Raises:
        Unusable: `no_identity`.
    """
    anonymous = personal(anonymous_id, "anonymous_id", reading)
    user = personal(user_id, "user_id", reading)
    address, number = email_address(email or "", reading), phone_number(phone or "", reading)
    visitor_id = anonymous or visitor_of(channel, user, address, number)
    event = Event(kind, at, event_id, channel, visitor_id, anonymous, user, address, number)
    return _placed(event, name, reading, position, properties)


def made_leg(
    leg: Leg, at: int, event_id: str, reading: Reading, position: int, properties: Mapping[str, Any] | None = None
) -> Event:
    """Make the event of a leg of a call, with `leg.customer` and `leg.called` in their one spelling.

    It needs no identity: another leg may know the customer.
    """
    leg.customer = phone_number(leg.customer, reading)
    leg.called = phone_number(leg.called, reading) or leg.called
    event = Event("call_leg", at, event_id, "phone", leg.customer or leg.leg_id, phone=leg.customer)
    event.leg = leg
    return _placed(event, "", reading, position, properties)


def _placed(event: Event, name: str, reading: Reading, position: int, properties: Mapping[str, Any] | None) -> Event:
    event.name = name[:TEXT_CHARS_MAX]
    event.partition, event.position = reading.partition, position
    if properties:
        event.properties = encoded(properties)
    return event


def instant_of(told: object, reading: Reading, unit: str = "ms", received: object = None) -> int:
    """Settle an instant told as text (RFC 3339 or like it), or as a number of that unit, "s", "ms" or "us".

    `received` is when the first server had the record, told likewise; else when it was read counts.

    Raises:
        Unusable: `bad_time`.
    """
    at = milliseconds_in(told, unit)
    if at is None:
        raise Unusable("bad_time", "no field of the record holds a timestamp")
    received_at = milliseconds_in(received, unit)
    return settled(at, reading.read_at if received_at is None else received_at, reading)


def milliseconds_in(told: object, unit: str) -> int | None:
    """Read an instant that is told as for `instant_of`, in ms; None where it is none."""
    if isinstance(told, datetime):
        return milliseconds(told - EPOCH)
    number = _number(told)
    if number is not None:
        return round(number * _UNITS[unit]) // 1000
    shown = moment(told)
    return None if shown is None else milliseconds(shown - EPOCH)


def _number(told: object) -> float | None:
    """Take a number as `amount` does, up to what microseconds since the epoch need."""
    if isinstance(told, str) and len(told) <= _NUMBER_CHARS_MAX and told.isascii() and told.strip().isdigit():
        told = int(told)
    if isinstance(told, int) and not isinstance(told, bool):
        return float(told) if 0 <= told <= _INSTANT_MAX else None
    return amount(told)


_NUMBER_CHARS_MAX: Final = 40


def id_of(told: object, whole: Mapping[str, Any]) -> str:
    """Return the id that a record has, or one made of all that it says."""
    if isinstance(told, str) and 0 < len(told) <= _ID_CHARS_MAX:
        return told
    return content_id(encoded(whole))


_ID_CHARS_MAX: Final = 256
