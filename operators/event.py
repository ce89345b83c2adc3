"""The canonical event: one thing that happened, whatever format told of it.

Instants are integer milliseconds since the epoch, UTC. A decoder fills an event once and
nothing changes it afterwards, save that `resolve` writes `profile_id`.

Event structs are `gc=False` (they hold no cycles) and `array_like`, so that one crosses a
process or a checkpoint as a short msgpack array.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, get_args

import msgspec

Kind = Literal[
    "page_viewed",
    "page_left",
    "screen_viewed",
    "searched",
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
    "identified",
    "consent_given",
    "consent_withdrawn",
    "email_delivered",
    "email_opened",
    "email_clicked",
    "call_ringing",
    "call_answered",
    "call_ended",
    "message_received",
    "offer_declined",
    "other",
]
KINDS: Final = frozenset(get_args(Kind))

Channel = Literal["web", "app", "phone", "sms", "chat", "email", "social", "server"]
CHANNELS: Final = frozenset(get_args(Channel))

# An instant outside these years is a broken clock or a unit mistaken (s or µs for ms), never a visit.
INSTANT_MIN: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1000
INSTANT_MAX: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 1000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

FOREVER: Final = 1 << 62
"""Later than every instant: the watermark of a source at its end, the due time of nothing."""


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One product in an event. `price` is for one piece, in the event's currency."""

    product_id: str
    quantity: float = 1.0
    price: float = 0.0
    name: str = ""
    category: str = ""


class Commerce(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an event says of products, a cart or an order. Amounts are in `currency`, "" where unsaid."""

    items: tuple[Item, ...] = ()
    cart_id: str = ""
    checkout_id: str = ""
    order_id: str = ""
    currency: str = ""
    value: float | None = None
    """The amount the event itself names: an order's revenue, a checkout's value."""
    cart_value: float | None = None
    """The whole cart's value after this event, where the shop says it; it outranks the sum of the lines."""
    url: str = ""
    """Where the cart can be taken up again, where the shop says it."""


class Event(msgspec.Struct, array_like=True, gc=False):
    """One event in canonical form.

    `event_id` is the provider's message id; a record without one has a hash of its content.
    `visitor_id` is the anonymous id, or what stands for one: the phone number of a caller, the
    user id or e-mail of a server-side event that names no device.
    `mark` is the watermark of the event's own source partition just before the event was read;
    it makes what is late depend on the order of the input only, never on how it was batched.
    `is_clamped` says that `at` is the receive time because the client's lay too far in the future; such
    an event moves no watermark.
    `partition` and `position` say where the record lies (file and line, topic-partition and offset).
    """

    kind: Kind
    at: int
    event_id: str
    channel: Channel
    visitor_id: str
    anonymous_id: str = ""
    user_id: str = ""
    email: str = ""
    phone: str = ""
    profile_id: str = ""
    mark: int = 0
    url: str = ""
    referrer: str = ""
    campaign: str = ""
    client_session_id: str = ""
    commerce: Commerce | None = None
    query: str = ""
    dwell_ms: int = 0
    consents: dict[str, bool] | None = None
    call_id: str = ""
    name: str = ""
    received_at: int = 0
    partition: str = ""
    position: int = 0
    is_clamped: bool = False


_DAY_MS: Final = 86_400_000
_MINUTES: Final = tuple(f"T{m // 60:02d}:{m % 60:02d}:" for m in range(1440))


@lru_cache(maxsize=1_000)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d")


def rfc3339(instant: int) -> str:
    """`instant` (ms) as RFC 3339 in UTC with milliseconds, as every record shows it on the wire."""
    day, rest = divmod(instant, _DAY_MS)
    minute, ms = divmod(rest, 60_000)
    return f"{_date(day)}{_MINUTES[minute]}{ms // 1000:02d}.{ms % 1000:03d}Z"
