"""What every format shares: limits, faults as values, what counts as an identifier, and the clock rule.

Pure: no I/O and no clock; the instant of reading is an argument.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

from operators.event import INSTANT_MAX, INSTANT_MIN, Channel, Kind
from operators.rejected import Reason

RECORD_BYTES_MAX: Final = 1 << 20
"""What Kafka lets pass by default (`message.max.bytes`); Segment stops at 32 KB an event."""

PAYLOAD_BYTES_MAX: Final = 1024
"""How much of a rejected record is kept: enough to recognise it, too little to fill a disk."""

FUTURE_SKEW_MS: Final = 300_000
"""How far past its receive time an event is believed: five minutes (design section 4)."""

IDENTIFIER_CHARS_MAX: Final = 256
"""Longer identifiers are refused and never cut: two of them could become one."""

TEXT_CHARS_MAX: Final = 1024
"""Longer texts are cut: a URL or a title is still of use without its tail."""

ITEMS_MAX: Final = 100
"""Items of one event; what lies beyond is dropped."""

CONSENTS_MAX: Final = 32
"""Consents of one event: several times the channels there are."""

AMOUNT_MAX: Final = 1e15
"""Prices, quantities and totals above are broken; sums and products of those below stay finite."""

DWELL_MS_MAX: Final = 86_400_000
"""A day, the longest that a session can be."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS: Final = 86_400_000

# What trackers send for "nobody": taken for an identifier, each would make one person of many. In lower case.
# The union of what Segment and PostHog refuse (domain.md row 22).
NOBODY: Final = frozenset(
    {
        "null",  # a missing value, printed by Java, JavaScript or SQL
        "undefined",  # the same, by JavaScript
        "none",  # the same, by Python
        "nan",  # the same, by a data frame
        "[object object]",  # a JavaScript object, printed
        "true",  # the outcome of a check, sent in place of what was checked
        "false",
        "anonymous",  # words for someone who has not signed in
        "guest",
        "0",  # the unset number of a database; longer runs of 0 and - are refused with it, as Segment does
        "-1",
    }
)
_NOBODY_CHARS_MAX: Final = max(map(len, NOBODY))
_ONE: Final = ord("1")
_NOT_DIGITS: Final = re.compile(r"[^0-9]+")

COMMERCE_KINDS: Final[frozenset[Kind]] = frozenset(
    {
        "product_list_viewed",
        "product_clicked",
        "product_viewed",
        "product_added",
        "product_removed",
        "cart_viewed",
        "cart_updated",
        "checkout_started",
        "checkout_progressed",
        "order_completed",
        "order_cancelled",
        "order_refunded",
    }
)
"""The kinds that say something of products, a cart or an order. Their events always have a `Commerce`."""

CHANNEL_OF_KIND: Final[dict[Kind, Channel]] = {
    "call_ringing": "phone",
    "call_answered": "phone",
    "call_ended": "phone",
    "email_delivered": "email",
    "email_opened": "email",
    "email_clicked": "email",
    "message_received": "chat",
    "screen_viewed": "app",
}
"""The channel of an event that names none, where its kind tells."""


class Unusable(Exception):  # noqa: N818 - a verdict on a record of others, no error of ours
    """A record that cannot become an event. It never leaves this package: `decode_batch` makes it a value.

    `detail` says what is wrong without repeating values of the record.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail


class Reading:
    """What the records of a batch have in common, and what was counted while they were decoded.

    `read_at` (ms) stands in for the receive time of records that name none; None where nobody knows it.
    `clamped` counts the events whose time was moved back to their receive time.
    """

    def __init__(self, partition: str, read_at: int | None = None) -> None:
        self.partition = partition
        self.read_at = read_at
        self.clamped = 0


def milliseconds(span: timedelta) -> int:
    """Count the whole milliseconds of `span`, rounded down and exact (floats lose microseconds)."""
    return span.days * DAY_MS + span.seconds * 1000 + span.microseconds // 1000


def settled(at: int, received_at: int | None, reading: Reading) -> int:
    """Move an instant back that lies too far past its receive time, and count that (design section 4).

    All instants are in ms. Exactly `FUTURE_SKEW_MS` past the receive time is still believed.

    Raises:
        Unusable: `bad_time`, where the outcome lies outside the years that an event can have.
    """
    from_the_future = received_at is not None and at > received_at + FUTURE_SKEW_MS
    if from_the_future:
        assert received_at is not None, "it was compared with"
        at = received_at
    if not INSTANT_MIN <= at <= INSTANT_MAX:
        raise Unusable("bad_time", "the event's time lies outside the years 2000 to 2099")
    reading.clamped += from_the_future
    return at


def identifier(text: str | None) -> str:
    """Trim an identifier; "" where it names nobody (`NOBODY`, or nothing but zeros and dashes)."""
    if not text:
        return ""
    text = text.strip()
    if len(text) > _NOBODY_CHARS_MAX and ord(text[0]) >= _ONE:
        return text  # most end here: too long for a word of the list, and no zero or dash in front
    if text.lower() in NOBODY:
        return ""
    return text if text.strip("0-") else ""


def email_address(text: str | None) -> str:
    """Give an e-mail address trimmed and in lower case; "" where there is none."""
    text = identifier(text).lower()
    return text if "@" in text else ""


def phone_number(text: str | None) -> str:
    """Give a telephone number as a leading + (where it has one) and digits; "" where there is none."""
    text = identifier(text)
    digits = _NOT_DIGITS.sub("", text)
    if not digits.strip("0"):
        return ""
    return f"+{digits}" if text[0] == "+" else digits


def visitor_of(channel: Channel, user_id: str, email: str, phone: str) -> str:
    """Name who stands for the visitor of an event without an anonymous id.

    On the phone it is the number, elsewhere what is known of the person; then any number.

    Raises:
        Unusable: `no_identity`.
    """
    visitor_id = (phone if channel == "phone" else "") or user_id or email or phone
    if not visitor_id:
        raise Unusable("no_identity", "no anonymous id, user id, e-mail or phone number that names somebody")
    return visitor_id


def content_id(raw: bytes) -> str:
    """Name a record that has no message id by its bytes, so that a repeat of it has the same name."""
    return blake2b(raw, digest_size=16).hexdigest()
