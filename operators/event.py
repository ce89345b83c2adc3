"""The canonical event: one thing that happened, whatever format told of it.

Instants are integer milliseconds since the epoch, UTC. A decoder fills an event once and
nothing changes it afterwards, save that `resolve` writes `profile_id`.

Plain classes, for this module is compiled (docs/decisions/0007); `pack` and `unpack` turn an event into a row of
plain values and back, so that it can rest in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, get_args

from msgspec.structs import astuple
from mypy_extensions import mypyc_attr

from operators import leg as legs
from operators.call_record import CallRecord
from operators.leg import Leg
from operators.properties import cut_out, read

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
    "email_bounced",
    "email_complained",
    "call_leg",
    "call_ringing",
    "call_queued",
    "call_answered",
    "call_held",
    "call_resumed",
    "call_transferred",
    "call_ended",
    "call_closed",
    "chat_started",
    "chat_ended",
    "message_received",
    "message_sent",
    "message_delivered",
    "message_failed",
    "experiment_viewed",
    "offer_shown",
    "offer_clicked",
    "offer_accepted",
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

FOREVER: Final = 4611686018427387903
"""Later than every instant: the watermark of a source at its end, the due time of nothing.

The largest integer that compiled code holds without a Python object around it, 2**62 - 1.
"""


@mypyc_attr(acyclic=True)
class Item:  # noqa: PLW1641 -- it may change
    """One product in an event. `price` is for one piece, in the event's currency."""

    def __init__(
        self, product_id: str, quantity: float = 1.0, price: float = 0.0, name: str = "", category: str = ""
    ) -> None:
        self.product_id = product_id
        self.quantity = quantity
        self.price = price
        self.name = name
        self.category = category

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self.pack() == other.pack()

    def __repr__(self) -> str:
        return f"Item{self.pack()}"

    def pack(self) -> list[Any]:
        """Return the fields as a row, in their order."""
        return [self.product_id, self.quantity, self.price, self.name, self.category]


@mypyc_attr(acyclic=True)
class Commerce:  # noqa: PLW1641 -- it may change
    """What an event says of products, a cart or an order. Amounts are in `currency`, "" where unsaid.

    `value` is the amount the event itself names: an order's revenue, a checkout's value. `cart_value` is the
    whole cart's value after this event, where the shop says it; it outranks the sum of the lines.
    `url` is where the cart can be taken up again, where the shop says it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- an event says so much
        self,
        items: tuple[Item, ...] = (),
        cart_id: str = "",
        checkout_id: str = "",
        order_id: str = "",
        currency: str = "",
        value: float | None = None,
        cart_value: float | None = None,
        url: str = "",
    ) -> None:
        self.items = items
        self.cart_id = cart_id
        self.checkout_id = checkout_id
        self.order_id = order_id
        self.currency = currency
        self.value = value
        self.cart_value = cart_value
        self.url = url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Commerce) and self.pack() == other.pack()

    def __repr__(self) -> str:
        return f"Commerce{self.pack()}"

    def pack(self) -> list[Any]:
        """Return the fields as a row, in their order."""
        return [
            [item.pack() for item in self.items],
            self.cart_id,
            self.checkout_id,
            self.order_id,
            self.currency,
            self.value,
            self.cart_value,
            self.url,
        ]


@mypyc_attr(acyclic=True)
class Event:  # noqa: PLW1641 -- it may change
    """One event in canonical form.

    `event_id` is the provider's message id; a record without one has a hash of its content.
    `visitor_id` is the anonymous id, or what stands for one: the phone number of a caller, the
    user id or e-mail of a server-side event that names no device.
    `mark` is the watermark just before the event was read;
    it makes what is late depend on the order of the input only, never on how it was batched.
    `is_clamped` says that `at` is the receive time because the client's lay too far in the future; such
    an event moves no watermark.
    `partition` and `position` say where the record lies (file and line, topic-partition and offset).
    `also` are more identifiers, as `operators/identity.py` writes them. A user id ("u:") or an anonymous id ("a:")
    there is this person's too, as the source says: who asks so wants two users to be one. An id in both forms is one
    or the other. An address ("e:") or number ("p:") there is how the event's own was spelled before.

    `record` is the raw record where that has its properties in it, until somebody asks for them (`told`), and
    `properties` is what was asked for, or what the format has made of the record's other fields: a JSON object, b"" for
    none. `leg` is what the event says of a leg of a call; only the step `calls` takes it. `call` is what that step has
    found out of a whole call, in the last event of it. `is_moment` says that the event is that step's: in no visit,
    for a call has a record of its own.
    """

    record: bytes = b""
    properties: bytes = b""
    leg: Leg | None = None
    call: CallRecord | None = None
    is_moment: bool = False

    def __init__(  # noqa: PLR0913, PLR0917 -- an event says so much
        self,
        kind: Kind,
        at: int,
        event_id: str,
        channel: Channel,
        visitor_id: str,
        anonymous_id: str = "",
        user_id: str = "",
        email: str = "",
        phone: str = "",
        profile_id: str = "",
        mark: int = 0,
        url: str = "",
        referrer: str = "",
        campaign: str = "",
        client_session_id: str = "",
        commerce: Commerce | None = None,
        query: str = "",
        dwell_ms: int = 0,
        consents: dict[str, bool] | None = None,
        call_id: str = "",
        name: str = "",
        partition: str = "",
        position: int = 0,
        is_clamped: bool = False,  # noqa: FBT001, FBT002 -- by position where events are unpacked
        also: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.at = at
        self.event_id = event_id
        self.channel = channel
        self.visitor_id = visitor_id
        self.anonymous_id = anonymous_id
        self.user_id = user_id
        self.email = email
        self.phone = phone
        self.profile_id = profile_id
        self.mark = mark
        self.url = url
        self.referrer = referrer
        self.campaign = campaign
        self.client_session_id = client_session_id
        self.commerce = commerce
        self.query = query
        self.dwell_ms = dwell_ms
        self.consents = consents
        self.call_id = call_id
        self.name = name
        self.partition = partition
        self.position = position
        self.is_clamped = is_clamped
        self.also = also

    def __eq__(self, other: object) -> bool:
        """Whether both say the same; in what words does not matter."""
        return isinstance(other, Event) and self._row(b"") == other._row(b"")

    def __repr__(self) -> str:
        return f"Event{self._row(self._properties())}"

    def told(self) -> dict[str, Any]:
        """Return what the source said in its own words: an object of names and JSON values."""
        return read(self._properties())

    def _properties(self) -> bytes:
        if self.record:
            self.properties, self.record = cut_out(self.record), b""
        return self.properties

    def pack(self) -> list[Any]:
        """Return the fields as a row, in their order; the last ones are left out where none of them is set."""
        return self._row(self._properties())

    def _row(self, told: bytes) -> list[Any]:
        commerce, leg, call = self.commerce, self.leg, self.call
        row: list[Any] = [
            self.kind,
            self.at,
            self.event_id,
            self.channel,
            self.visitor_id,
            self.anonymous_id,
            self.user_id,
            self.email,
            self.phone,
            self.profile_id,
            self.mark,
            self.url,
            self.referrer,
            self.campaign,
            self.client_session_id,
            None if commerce is None else commerce.pack(),
            self.query,
            self.dwell_ms,
            self.consents,
            self.call_id,
            self.name,
            self.partition,
            self.position,
            self.is_clamped,
        ]
        if leg is not None or self.is_moment:
            row += [self.also, told, leg and leg.pack(), call and list(astuple(call)), self.is_moment]
        elif told:
            row += [self.also, told]
        elif self.also:
            row.append(self.also)
        return row


_COMMERCE: Final = 15
"""Where the commerce lies in the row of an event."""
_ALSO: Final = 24
"""Where the identifiers that are the person's too lie, if there are any; properties, leg and call come after them."""


def unpack(row: Sequence[Any]) -> Event:
    """Make an event of the row that its `pack` gave."""
    fields = list(row)
    if fields[_COMMERCE] is not None:
        items, *rest = fields[_COMMERCE]
        fields[_COMMERCE] = Commerce(tuple([Item(*item) for item in items]), *rest)
    more = fields[_ALSO:]
    if not more:
        return Event(*fields)
    fields[_ALSO:] = [tuple(more[0])]
    event = Event(*fields)
    if len(more) > 1:
        event.properties = more[1]
    if len(more) > 2:
        event.leg = None if more[2] is None else legs.unpack(more[2])
        event.call = None if more[3] is None else CallRecord(*more[3])
        event.is_moment = more[4]
    return event


_DAY_MS: Final = 86_400_000
_DATES_MAX: Final = 1_000
_MINUTES: Final = tuple([f"T{m // 60:02d}:{m % 60:02d}:" for m in range(1440)])
_SECONDS: Final = tuple([f"{second:02d}" for second in range(60)])
_MS: Final = tuple([f".{ms:03d}Z" for ms in range(1000)])
_dates: Final[dict[int, str]] = {}


def _date(day: int) -> str:
    date = _dates.get(day)
    if date is None:
        if len(_dates) >= _DATES_MAX:
            _dates.clear()
        date = _dates[day] = (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d")
    return date


def rfc3339(instant: int) -> str:
    """`instant` (ms) as RFC 3339 in UTC with milliseconds, as every record shows it on the wire."""
    of_day_ms = instant % _DAY_MS
    minute, of_minute_ms = of_day_ms // 60_000, of_day_ms % 60_000
    return _date(instant // _DAY_MS) + _MINUTES[minute] + _SECONDS[of_minute_ms // 1000] + _MS[of_minute_ms % 1000]


def instant_of(text: str) -> int:
    """Return the instant (ms) that `rfc3339` wrote."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
