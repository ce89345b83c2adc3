"""What the formats of telephone exchanges share: whose leg it is, which ids join legs, and the event of a leg.

An exchange knows channels and numbers, not customers and agents. Whose leg it is shows in the number at its end: an
extension is one of ours, a number of the public network is the customer's. That fails where an agent is reached on a
mobile phone; where a record says that the leg is a queue member's, that outranks the number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from connectors.formats.common import Reading, Unusable, content_id, settled
from connectors.formats.fields import amount
from connectors.formats.made import instant_of, made_leg
from operators.event import INSTANT_MAX, INSTANT_MIN, Event
from operators.leg import Leg

EXTENSION_DIGITS_MAX: Final = 6
"""More digits are a number of the public network: extensions have two to six, subscribers' numbers seven and more."""

DIAL_REASONS: Final = {
    "BUSY": "busy",
    "NOANSWER": "no_answer",
    "CANCEL": "no_answer",  # who rings cannot tell why the ringing ended; for the caller's own leg it is "abandoned"
    "CONGESTION": "failed",
    "CHANUNAVAIL": "failed",
    "INVALIDARGS": "failed",
}
"""Why the leg that was dialled ended, by Asterisk's word for the outcome of dialling."""

_NUMBER: Final = re.compile(r"(tel:)?\+?[0-9 ()./-]+")
_SIP_USER: Final = re.compile(r"^[^<]*<?\s*(?:sips?:|tel:)([^@;>]*)", re.IGNORECASE)
_WHOLE: Final = msgspec.json.Encoder(order="sorted").encode
_MICROS_CHARS_MAX: Final = 20
_USER_DIGITS_MIN: Final = 5  # fewer digits stand in too many texts by chance


def user_of(address: str) -> str:
    """Return the user of a SIP or tel address, with or without a name before it; other text as it is."""
    found = _SIP_USER.match(address)
    return found[1] if found else address


def is_external(number: str) -> bool:
    """Tell whether a number is one of the public network."""
    if _NUMBER.fullmatch(number) is None:
        return False
    return "+" in number or sum(map(str.isdigit, number)) > EXTENSION_DIGITS_MAX


def is_extension(number: str) -> bool:
    """Tell whether a number is an extension."""
    return number.isascii() and number.isdigit() and 2 <= len(number) <= EXTENSION_DIGITS_MAX


def party_at(number: str) -> str:
    """Tell who is at the end of a leg with this number; "" for a name or a number withheld."""
    if is_external(number):
        return "customer"
    return "agent" if is_extension(number) else ""


def seconds_ms(told: object) -> int:
    """Return a time span told in seconds as ms, -1 where there is none."""
    span = amount(told)
    return -1 if span is None else int(span * 1000)


def micros_ms(told: object) -> int | None:
    """Return an instant told in µs as ms; None for none, and for 0, which says that it has not been."""
    digits = str(told) if isinstance(told, int) and not isinstance(told, bool) else told
    if not isinstance(digits, str) or len(digits) > _MICROS_CHARS_MAX or not (digits.isascii() and digits.isdigit()):
        return None
    at = int(digits) // 1000
    return at if INSTANT_MIN <= at <= INSTANT_MAX else None


def settled_instant(told: object, reading: Reading, unit: str = "ms") -> int:
    """Settle the instant of a record; one that has none happened when it was read.

    Raises:
        Unusable: `bad_time`, where it is told and none, or nobody knows when it was read.
    """
    if told is not None and told != "":
        return instant_of(told, reading, unit)
    if reading.read_at is None:
        raise Unusable("bad_time", "the record has no time of its own, and when it was read is not known")
    return settled(reading.read_at, None, reading)


def whole(told: Mapping[str, Any]) -> bytes:
    """Return all that a record says, the same for the same fields in another order."""
    return _WHOLE(told)


def leg_event(
    leg: Leg,
    at: int,
    key: bytes | str,
    told: Mapping[str, Any],
    used: Iterable[str],
    reading: Reading,
    position: int,
) -> Event:
    """Make the event of a leg from a record.

    `key` is what tells the record from others of this leg, so that a repeat has the same id. What the record says
    stays in the properties, save the fields in `used` and those that repeat the customer's number.
    """
    named_by = key.encode() if isinstance(key, str) else key
    event_id = content_id(b"\0".join([leg.provider.encode(), leg.leg_id.encode(), named_by]))
    digits = re.sub(r"\D", "", leg.customer)
    left_out = set(used)
    said = {
        name: value
        for name, value in told.items()
        if name not in left_out and (len(digits) < _USER_DIGITS_MIN or digits.encode() not in _WHOLE(value))
    }
    return made_leg(leg, at, event_id, reading, position, said)
