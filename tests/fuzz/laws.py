"""
What must hold of records, whatever bytes they are. Each law says in a line what is broken, "" where nothing is.
"""

from __future__ import annotations

import math
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any, Final, NamedTuple, get_args

import msgspec

from connectors.batches import Origin
from connectors.dead_letter import dead_letter, original
from connectors.formats import Decoded, Format, decode_batch, event_times, segment
from connectors.formats.common import (
    DEFAULT_RULES,
    DWELL_MS_MAX,
    IDENTIFIER_CHARS_MAX,
    TEXT_CHARS_MAX,
    Reading,
    SourceRules,
    Unusable,
)
from connectors.formats.others import CALLS, names_of, told_of
from operators import leg as legs
from operators.event import CHANNELS, INSTANT_MAX, INSTANT_MIN, KINDS, Event, rfc3339, unpack
from operators.rejected import REASONS, Rejected, too_late
from operators.screened import RULES
from tests.fuzz.hostile import CANARY

SECONDS_MAX: Final = 5.0
"""Of CPU for a batch: a thousand times what it takes."""

PARTITION: Final = "p"
FIRST: Final = 7
_RULES: Final = frozenset[str](RULES)
_PARTIES: Final = frozenset(get_args(legs.Party))
_DIRECTIONS: Final = frozenset(get_args(legs.Direction))
_TRANSFERS: Final = frozenset(get_args(legs.TransferKind))


class Came:
    """What a record came with: its key and headers."""

    def __init__(self, key: bytes | str | None, headers: Sequence[tuple[str, bytes | None]] | None) -> None:
        self._key, self._headers = key, headers

    def key(self) -> bytes | str | None:
        return self._key

    def headers(self) -> Any:  # noqa: ANN401 -- a value may be None, whatever the client's library says of it
        return self._headers

    def __repr__(self) -> str:
        return f"Came({self._key!r}, {self._headers!r})"


class Reader(NamedTuple):
    """How records are read: the arguments of `decode_batch` that are one source's."""

    format: Format = "auto"
    read_at: int | None = None
    rules: SourceRules = DEFAULT_RULES
    told: str = ""
    """The reader in words, to read so again."""

    def decode(self, raws: Sequence[bytes], first: int, came_at: Sequence[int], origins: Sequence[Origin]) -> Decoded:
        return decode_batch(
            raws,
            partition=PARTITION,
            first_position=first,
            read_at=self.read_at,
            came_at=came_at or None,
            rules=self.rules,
            format=self.format,
            origins=origins,
        )


class Batch(NamedTuple):
    """Records, with when each came and what with; the latter are empty where the source tells no such thing."""

    reader: Reader
    raws: list[bytes]
    came_at: list[int]
    origins: list[Came]

    def one(self, number: int) -> Batch:
        """Return a batch of one of its records."""
        here = slice(number, number + 1)
        return self._replace(raws=self.raws[here], came_at=self.came_at[here], origins=self.origins[here])

    def decoded(self) -> Decoded:
        return self.reader.decode(self.raws, FIRST, self.came_at, self.origins)


class Fate(NamedTuple):
    """What became of one record."""

    events: list[Event]
    rejected: list[Rejected]


def fates(batch: Batch, decoded: Decoded) -> list[Fate]:
    """Return by record what became of it."""
    events, rejected = defaultdict[int, list[Event]](list), defaultdict[int, list[Rejected]](list)
    for event in decoded.events:
        events[event.position - FIRST].append(event)
    for letter in decoded.rejected:
        rejected[letter.position - FIRST].append(letter)
    return [Fate(events[number], rejected[number]) for number in range(len(batch.raws))]


def broken(batch: Batch) -> tuple[int, str]:
    """Return the number of the first record of which something does not hold, and what; -1 and "" where all holds."""
    began_s = process_time()
    try:
        decoded = batch.decoded()
    except Exception:  # noqa: BLE001 -- that there is none is the law
        if len(batch.raws) == 1:
            return 0, _raised()
        for number in range(len(batch.raws)):
            if wrong := broken(batch.one(number))[1]:
                return number, wrong
        return 0, f"only as a batch: {_raised()}"
    if process_time() - began_s > SECONDS_MAX:
        return 0, f"a batch takes more than {SECONDS_MAX} s of CPU"
    screened = Counter[str]()
    for number, fate in enumerate(fates(batch, decoded)):
        try:
            wrong = of_one(batch.one(number), fate, number, screened)
        except Exception:  # noqa: BLE001 -- as above
            wrong = _raised()
        if wrong:
            return number, wrong
    if screened != decoded.screened:
        return 0, f"screened one by one {screened}, in a batch {decoded.screened}"
    return -1, ""


def of_one(batch: Batch, fate: Fate, number: int, screened: Counter[str]) -> str:
    """Say what does not hold of one record, the `number`-th of a batch that gave `fate`; count what is screened."""
    (raw,) = batch.raws
    again = batch.reader.decode(batch.raws, FIRST + number, batch.came_at, batch.origins)
    if not fate.events and not fate.rejected and not again.screened:
        return "neither an event nor a rejection"
    if not set(again.screened) <= _RULES:
        return f"screened by a rule that there is not: {again.screened}"
    screened.update(again.screened)
    if (again.events, again.rejected) != (fate.events, fate.rejected):
        return f"read twice it is two things: {fate} and {again.events, again.rejected}"
    for event, other in zip(fate.events, again.events, strict=True):
        if event.pack() != other.pack():
            return f"read twice it has two properties: {event} and {other}"
    for letter in fate.rejected:
        if wrong := _of_letter(letter, batch, raw):
            return f"{wrong}: {letter}"
    for event in fate.events:
        if wrong := _of_event(event) or (_hidden(event) if batch.reader.rules.pseudonyms is not None else ""):
            return f"{wrong}: {event}"
    return _of_times(batch, fate) or _of_names(batch, raw)


def _raised() -> str:
    """Say what was raised, and where."""
    lines = traceback.format_exc().strip().splitlines()
    where = [line.strip() for line in lines if line.strip().startswith("File")]
    return f"raised {lines[-1][:200]} at {where[-1] if where else '?'}"


def _of_letter(letter: Rejected, batch: Batch, raw: bytes) -> str:
    """A rejection has one of the reasons, the record or the part of it, and repeats nothing of it in words."""
    if letter.reason not in REASONS or letter.stage != "decode" or letter.partition != PARTITION:
        return "no reason, stage or partition that there is"
    if not letter.detail or CANARY in letter.detail:
        return "nothing said, or what the record says repeated"
    if not letter.part and letter.payload != raw:
        return "not the record as it came"
    if batch.came_at and letter.came_at != batch.came_at[0] and not letter.replays:
        return "not when it came"
    told = dead_letter(letter, "2026-11-21T10:00:00.000Z")
    msgspec.json.encode(told)
    whole = original(told)
    if not told.is_cut and whole.value != letter.payload:
        return "the dead letter holds another record"
    return ""


def _of_event(event: Event) -> str:
    """An event has words that there are, instants that there are, and is the same after a journey."""
    if event.kind not in KINDS or event.channel not in CHANNELS:
        return "no such kind or channel"
    if not INSTANT_MIN <= event.at <= INSTANT_MAX or not rfc3339(event.at):
        return "out of time"
    if not event.event_id or not event.visitor_id or event.partition != PARTITION:
        return "no id, no visitor or no place"
    if wrong := _of_texts(event) or _of_commerce(event) or _of_leg(event):
        return wrong
    row = event.pack()
    back = unpack(msgspec.msgpack.decode(msgspec.msgpack.encode(row)))
    if back != event or (back.told() != event.told() and "nan" not in repr(event.told())):
        return "other after a journey"
    if not isinstance(event.told(), dict):
        return "properties that are no object"
    too_late(event)
    return ""


_TEXTS: Final[tuple[tuple[Callable[[Event], Any], int], ...]] = (
    (lambda event: event.event_id, IDENTIFIER_CHARS_MAX),
    (lambda event: event.anonymous_id, IDENTIFIER_CHARS_MAX),
    (lambda event: event.user_id, IDENTIFIER_CHARS_MAX),
    (lambda event: event.email, IDENTIFIER_CHARS_MAX),
    (lambda event: event.phone, IDENTIFIER_CHARS_MAX),
    (lambda event: event.client_session_id, IDENTIFIER_CHARS_MAX),
    (lambda event: event.call_id, IDENTIFIER_CHARS_MAX),
    (lambda event: event.url, TEXT_CHARS_MAX),
    (lambda event: event.referrer, TEXT_CHARS_MAX),
    (lambda event: event.campaign, TEXT_CHARS_MAX),
    (lambda event: event.query, TEXT_CHARS_MAX),
    (lambda event: event.name, TEXT_CHARS_MAX),
)


def _of_texts(event: Event) -> str:
    if len(event.visitor_id) > IDENTIFIER_CHARS_MAX and event.leg is None:  # that of a leg has its system before it
        return "a visitor with too many characters"
    for of, chars_max in _TEXTS:
        value = of(event)
        if type(value) is not str or len(value) > chars_max:
            return f"a field with {type(value).__name__} or too many characters"
    if type(event.dwell_ms) is not int or not 0 <= event.dwell_ms <= DWELL_MS_MAX:
        return "a dwell time that cannot be"
    if any(one[:2] not in {"u:", "a:", "e:", "p:"} or len(one) > IDENTIFIER_CHARS_MAX + 2 for one in event.also):
        return "also what is no identifier"
    if any(type(name) is not str or type(said) is not bool for name, said in (event.consents or {}).items()):
        return "a consent that is none"
    return ""


def _of_commerce(event: Event) -> str:
    commerce = event.commerce
    if commerce is None:
        return ""
    amounts = [amount for item in commerce.items for amount in (item.quantity, item.price)]
    amounts += [amount for amount in (commerce.value, commerce.cart_value) if amount is not None]
    if any(not math.isfinite(amount) for amount in amounts):
        return "an amount without bounds"
    texts = [text for item in commerce.items for text in (item.product_id, item.name, item.category)]
    texts += [commerce.cart_id, commerce.checkout_id, commerce.order_id, commerce.currency, commerce.url]
    if any(type(text) is not str or len(text) > TEXT_CHARS_MAX for text in texts):
        return "a text of commerce that is none or too long"
    return ""


def _of_leg(event: Event) -> str:
    leg = event.leg
    if (leg is not None) != (event.kind == "call_leg"):
        return "a leg without its kind, or the kind without one"
    if leg is None:
        return ""
    if leg.reason not in legs.REASONS or leg.party not in _PARTIES or leg.direction not in _DIRECTIONS:
        return "a leg with words that there are not"
    if leg.transfer_kind not in _TRANSFERS or {state for state, _ in leg.steps} - legs.LEG_STATES:
        return "a leg with states that there are not"
    if any(not INSTANT_MIN <= at <= event.at for _, at in leg.steps):
        return "a leg with steps out of its time"
    if not leg.leg_id.partition(":")[2] or not leg.calls or not all(one.partition(":")[2] for one in leg.calls):
        return "a leg or call without id"
    texts = (leg.leg_id, *leg.calls, leg.customer, leg.called, leg.agent, leg.queue, leg.transfer_to)
    if any(type(text) is not str or len(text) > TEXT_CHARS_MAX for text in texts):
        return "a text of a leg that is none or too long"
    if any(type(n) is not int or not -1 <= n < 1 << 63 for n in (leg.seq, leg.wait_ms, leg.talk_ms, leg.hold_ms)):
        return "a number of a leg that cannot be"
    return ""


def _hidden(event: Event) -> str:
    """Under pseudonyms no address or number is left where addresses and numbers stand."""
    found = [event.email, event.phone]
    if event.leg is not None:
        found += [event.leg.customer, event.leg.called]
    if any(one and (len(one) != 32 or one.strip("0123456789abcdef")) for one in found):
        return "an address or number that is no pseudonym"
    return ""


def _of_times(batch: Batch, fate: Fate) -> str:
    """What tells times without the rest tells the same."""
    if batch.origins or batch.came_at or batch.reader.rules is not DEFAULT_RULES or not fate.events:
        return ""
    (at,) = event_times(batch.raws, read_at=batch.reader.read_at, format=batch.reader.format)
    earliest = min(event.at for event in fate.events)
    return "" if at == earliest or _is_refused_call(batch) else f"event_times says {at}, the event {earliest}"


def _is_refused_call(batch: Batch) -> bool:
    """Whether a record has the type and the times of a call, of nobody or of no event, and is of another format too."""
    try:
        segment.decode(batch.raws[0], 0, Reading("", batch.reader.read_at))
    except Unusable:
        return batch.reader.format in CALLS
    return False


def _of_names(batch: Batch, raw: bytes) -> str:
    """What names formats (`nextmove check`) names some of any record that is read."""
    try:
        told = told_of(raw, batch.reader.format)
    except Unusable:
        return ""
    names_of(told, batch.reader.format)
    return ""
