"""What every format shares: limits, faults as values, what a source's records are read by, and the clock rule.

Pure: no I/O and no clock; the instant of reading is an argument.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

import msgspec

from connectors.formats.pseudonyms import Pseudonyms
from connectors.formats.screening import Screening
from operators.event import INSTANT_MAX, INSTANT_MIN, Channel, Kind
from operators.rejected import Reason

RECORD_BYTES_MAX: Final = 1 << 20
"""What Kafka lets pass by default (`message.max.bytes`); Segment stops at 32 KB an event."""

PAYLOAD_BYTES_MAX: Final = 1024
"""How much is kept of a rejected record that cannot be kept whole: enough to recognise it."""

FUTURE_SKEW_MS: Final = 300_000
"""How far past its receive time an event is believed: five minutes (design section 4)."""

IDENTIFIER_CHARS_MAX: Final = 256
"""Longer identifiers are refused and never cut: two of them could become one."""

TEXT_CHARS_MAX: Final = 1024
"""Longer texts are cut: a URL or a title is still of use without its tail."""

ITEMS_MAX: Final = 100
"""Items of one event; what lies beyond is dropped."""

ALSO_MAX: Final = 10
"""Ids of a kind that one event says are its person's too; what lies beyond is dropped."""

CONSENTS_MAX: Final = 32
"""Consents of one event: several times the channels there are."""

AMOUNT_MAX: Final = 1e15
"""Prices, quantities and totals above are broken; sums and products of those below stay finite."""

DWELL_MS_MAX: Final = 86_400_000
"""A day, the longest that a session can be."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS: Final = 86_400_000

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
    "call_queued": "phone",
    "call_answered": "phone",
    "call_held": "phone",
    "call_resumed": "phone",
    "call_transferred": "phone",
    "call_ended": "phone",
    "email_delivered": "email",
    "email_opened": "email",
    "email_clicked": "email",
    "email_bounced": "email",
    "email_complained": "email",
    "chat_started": "chat",
    "chat_ended": "chat",
    "message_received": "chat",
    "message_sent": "chat",
    "screen_viewed": "app",
}
"""The channel of an event that names none, where its kind tells."""


_encode: Final = msgspec.json.Encoder().encode


class Unusable(Exception):  # noqa: N818 - a verdict on a record of others, no error of ours
    """A record that cannot become an event. It never leaves this package: `decode_batch` makes it a value.

    `detail` says what is wrong without repeating values of the record.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail


Fault = tuple[Reason, str]
"""What an `Unusable` says. The exception itself is not kept: it holds the frames that hold it."""


class SourceRules:
    """What the records of one source are read by.

    One of more than `bytes_max` bytes is refused. A telephone number without a country code is one of `region`, "" for
    none. `blocked` are values in any case, and `patterns` match whole values, that name nobody here. With `pseudonyms`
    addresses and numbers are known by those only. By `screening` events of bots and of our own people do not count.
    """

    def __init__(
        self,
        bytes_max: int = RECORD_BYTES_MAX,
        region: str = "",
        blocked: Iterable[str] = (),
        patterns: Iterable[re.Pattern[str]] = (),
        pseudonyms: Pseudonyms | None = None,
        screening: Screening | None = None,
    ) -> None:
        self.bytes_max = bytes_max
        self.screening = screening
        self.pseudonyms = pseudonyms
        self.region = region
        self._blocked = frozenset(value.strip().lower() for value in blocked)
        self._patterns = tuple(patterns)
        self.blocks_any = bool(self._blocked or self._patterns)

    def blocks(self, text: str) -> bool:
        """Tell whether a value names nobody here. It has `IDENTIFIER_CHARS_MAX` characters at most."""
        if text.lower() in self._blocked:
            return True
        for pattern in self._patterns:  # noqa: SIM110 -- compiled, a loop is twice as fast as a generator
            if pattern.fullmatch(text) is not None:
                return True
        return False


DEFAULT_RULES: Final = SourceRules()


class Reading:
    """What the records of a batch have in common, and what was counted while they were decoded.

    `read_at` (ms) stands in for the receive time of records that name none; None where nobody knows it.
    `clamped` counts the events whose time was moved back to their receive time, `blocked` by type the identifiers left
    out because they name nobody, `screened` by rule the events that do not count.
    """

    def __init__(self, partition: str, read_at: int | None = None, rules: SourceRules = DEFAULT_RULES) -> None:
        self.partition = partition
        self.read_at = read_at
        self.rules = rules
        self.blocks_any = rules.blocks_any
        self.clamped = 0
        self.blocked: Counter[str] = Counter()
        self.screening = rules.screening
        self.screened: Counter[str] = Counter()


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


def content_id(raw: bytes) -> str:
    """Name a record that has no message id by its bytes, so that a repeat of it has the same name."""
    return blake2b(raw, digest_size=16).hexdigest()


def encoded(value: object) -> bytes:
    """Return a JSON value as text.

    Raises:
        Unusable: `not_json`, where it is nested deeper than the encoder goes, which is less deep than the parser does.
    """
    try:
        return _encode(value)
    except RecursionError:
        raise Unusable("not_json", "arrays or objects are nested deeper than the encoder goes") from None
