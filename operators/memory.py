"""What deciding must remember of a person, and how it is learnt from events.

All of it merges by union, by maximum or by the newest word, in any order. Addresses and numbers stay here, in state;
records refer to them by hash.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import mypyc_attr

from operators import attribution, consent, contacts, plans
from operators.attribution import Orders
from operators.consent import Consents
from operators.contacts import Contacts
from operators.event import Event
from operators.packing import Row, ago, instant, padded, trim
from operators.plans import Plans
from operators.rule_book import Book

OUTCOMES: Final[dict[str, str]] = {
    "email_delivered": "delivered",
    "message_delivered": "delivered",
    "offer_shown": "shown",
    "email_opened": "opened",
    "email_clicked": "clicked",
    "offer_clicked": "clicked",
    "offer_accepted": "accepted",
    "offer_declined": "declined",
    "email_complained": "declined",
}
"""What comes of a trigger, by the kind of event that tells of it; the event's property `trigger_id` says of which."""

FAILURES: Final = frozenset({"email_bounced", "message_failed"})
"""Kinds by which a trigger turns out not to have reached anybody."""

MAIL_ARRIVES: Final = frozenset({"email_delivered", "email_opened", "email_clicked"})
"""Kinds by which an address that had bounced turns out to be good again."""

CALL_GOES_ON: Final = frozenset(
    {"call_ringing", "call_queued", "call_answered", "call_held", "call_resumed", "call_transferred"}
)
CALL_IS_OVER: Final = frozenset({"call_ended", "call_closed"})

TELLING_KINDS: Final = (
    frozenset(OUTCOMES)
    | FAILURES
    | CALL_GOES_ON
    | CALL_IS_OVER
    | {"identified", "consent_given", "consent_withdrawn", "order_completed", "order_cancelled"}
)
"""Kinds of events that memory learns from in their order, beside all that tell an address, a number or a consent."""

# A call of which no end was heard is over after this, as by calls.length_max.
CALL_MS_MAX: Final = 4 * 3_600_000
CALLS_MAX: Final = 8


@mypyc_attr(acyclic=True)
class Memory:
    """What is remembered of one profile.

    `email`, `phone` and `zone` are the newest told and when; `bounced` is the address at which no mail arrives, as far
    as was told at `bounced_at`. `calls` are those under way by id, and since when. `came` is when what ends waits or
    undoes triggers came last, by kind: two who turn out to be one ask it of each other.
    """

    email: str = ""
    email_at: int = -1
    phone: str = ""
    phone_at: int = -1
    zone: str = ""
    zone_at: int = -1
    bounced: str = ""
    bounced_at: int = -1
    orders: Orders | None = None
    plans: Plans | None = None

    def __init__(self) -> None:
        self.contacts = Contacts()
        self.consents = Consents()
        self.calls: dict[str, int] = {}
        self.came: dict[str, int] = {}

    def pack(self, base: int) -> Row:
        """Return the memory as a row; instants count back from `base`."""
        orders, plans_ = self.orders, self.plans
        return trim(
            [
                self.contacts.pack(base),
                self.email,
                ago(base, self.email_at),
                self.consents.pack(base),
                self.phone,
                ago(base, self.phone_at),
                self.zone,
                ago(base, self.zone_at),
                None if orders is None else orders.pack(base),
                None if plans_ is None or plans_.is_empty else plans_.pack(base),
                {call_id: base - at for call_id, at in self.calls.items()},
                {kind: base - at for kind, at in self.came.items()},
                self.bounced,
                ago(base, self.bounced_at),
            ],
            _EMPTY,
        )


_EMPTY: Final[Row] = [[], "", None, [], "", None, "", None, None, None, {}, {}, "", None]


def unpack(row: Row, base: int) -> Memory:
    """Make a memory of the row that its `pack` gave, or that of version 0.1."""
    if row and isinstance(row[0], dict):
        return _unpack_first(row, base)
    told = padded(row, _EMPTY)
    memory = Memory()
    memory.contacts = contacts.unpack(told[0], base)
    memory.email, memory.email_at = told[1], instant(base, told[2], -1)
    memory.consents = consent.unpack(told[3], base)
    memory.phone, memory.phone_at = told[4], instant(base, told[5], -1)
    memory.zone, memory.zone_at = told[6], instant(base, told[7], -1)
    memory.orders = None if told[8] is None else attribution.unpack(told[8], base)
    memory.plans = None if told[9] is None else plans.unpack(told[9], base)
    for call_id in told[10]:
        memory.calls[call_id] = base - told[10][call_id]
    for kind in told[11]:
        memory.came[kind] = base - told[11][kind]
    memory.bounced, memory.bounced_at = told[12], instant(base, told[13], -1)
    return memory


def _unpack_first(row: Row, base: int) -> Memory:
    """Take over what version 0.1 kept: when which action was taken, consents by channel, the last decline."""
    fired, email, email_at, consents, declined_at = padded(row, [{}, "", None, {}, None])
    memory = Memory()
    memory.email, memory.email_at = email, instant(base, email_at, -1)
    book = contacts.Book(400 * 86_400_000, contacts.KEPT_MIN)
    for key in fired:
        action, _, about = key.partition("|")
        book.fire(memory.contacts, action, about, base - fired[key])
    if declined_at is not None:
        book.touch(memory.contacts, "declined", "", base - declined_at)
    for channel in consents:
        since, given = consents[channel]
        memory.consents.words[f"{channel}:"] = base - since, not given
    return memory


def learn(memory: Memory, event: Event, book: Book) -> None:
    """Take in what `event` says of its person; the newest word counts, at one instant the later in the alphabet."""
    at, kind = event.at, event.kind
    # A failure may be of a letter to an address that the person has given up since.
    if event.email and kind not in FAILURES and (at, event.email) >= (memory.email_at, memory.email):
        memory.email, memory.email_at = event.email, at
    if event.phone and (at, event.phone) >= (memory.phone_at, memory.phone):
        memory.phone, memory.phone_at = event.phone, at
    if event.consents:
        for name, given in event.consents.items():
            book.policy.consent.learn(memory.consents, name, at, given)
    if kind in CALL_GOES_ON or kind in CALL_IS_OVER:
        _call(memory, event)
    elif kind in OUTCOMES or kind in FAILURES:
        _answer(memory, event, book)
    elif kind == "identified":
        zone = event.told().get("timezone")
        if isinstance(zone, str) and zone and (at, zone) >= (memory.zone_at, memory.zone):
            memory.zone, memory.zone_at = zone, at


def note(memory: Memory, event: Event) -> None:
    """Take in that something has come that rules want not to."""
    memory.came[event.kind] = max(event.at, memory.came.get(event.kind, event.at))


def _answer(memory: Memory, event: Event, book: Book) -> None:
    """Take in what came of a trigger, and what that says of the address."""
    at, kind = event.at, event.kind
    if kind in FAILURES:
        book.contacts.forget(memory.contacts, outcome_of(event), at, at)
        if kind == "email_bounced" and at >= memory.bounced_at:
            memory.bounced, memory.bounced_at = event.email or memory.email, at
        return
    book.contacts.touch(memory.contacts, OUTCOMES[kind], outcome_of(event), at, at)
    if kind == "email_complained":
        book.policy.consent.learn(memory.consents, "email", at, False)
    elif kind in MAIL_ARRIVES and memory.bounced and at > memory.bounced_at:
        memory.bounced, memory.bounced_at = "", at


def _call(memory: Memory, event: Event) -> None:
    """Take in that somebody is on the telephone, or is not any more."""
    if event.kind in CALL_IS_OVER:
        memory.calls.pop(event.call_id, None)
    elif event.call_id and event.call_id not in memory.calls:
        memory.calls[event.call_id] = event.at
        if len(memory.calls) > CALLS_MAX:
            del memory.calls[min(memory.calls, key=lambda one: (memory.calls[one], one))]


def outcome_of(event: Event) -> str:
    """Return the id of the trigger that an event tells an outcome of; its own where it names none."""
    told: Any = event.told().get("trigger_id")
    return told if isinstance(told, str) and told else event.event_id


def tells(event: Event) -> bool:
    """Whether memory learns from `event`."""
    return bool(event.email or event.phone or event.consents) or event.kind in TELLING_KINDS


def union(memory: Memory, other: Memory, book: Book, now: int) -> None:
    """Add what is remembered, by `now`, of a profile that turned out to be the same person."""
    book.contacts.union(memory.contacts, other.contacts, now)
    book.policy.consent.union(memory.consents, other.consents)
    if (other.email_at, other.email) > (memory.email_at, memory.email):
        memory.email, memory.email_at = other.email, other.email_at
    if (other.phone_at, other.phone) > (memory.phone_at, memory.phone):
        memory.phone, memory.phone_at = other.phone, other.phone_at
    if (other.zone_at, other.zone) > (memory.zone_at, memory.zone):
        memory.zone, memory.zone_at = other.zone, other.zone_at
    if (other.bounced_at, other.bounced) > (memory.bounced_at, memory.bounced):
        memory.bounced, memory.bounced_at = other.bounced, other.bounced_at
    for call_id, at in other.calls.items():
        memory.calls[call_id] = min(at, memory.calls.get(call_id, at))
    for kind, at in other.came.items():
        memory.came[kind] = max(at, memory.came.get(kind, at))
    if other.orders is not None:
        if memory.orders is None:
            memory.orders = Orders()
        book.policy.attribution.union(memory.orders, other.orders)
    if other.plans is not None:
        if memory.plans is None:
            memory.plans = Plans()
        memory.plans.add(other.plans)
