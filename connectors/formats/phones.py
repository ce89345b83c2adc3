"""What the formats of telephone systems share: their fields, times and ids, and whose number is a number.

Hosted systems name callers as numbers, `tel:` and `sip:` addresses, and agents as devices ("client:ann") in the same
fields. Only what can be dialled from outside names a customer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import unquote

from connectors.formats.common import (
    DAY_MS,
    EPOCH,
    IDENTIFIER_CHARS_MAX,
    Reading,
    Unusable,
    content_id,
    milliseconds,
    settled,
)
from connectors.formats.fields import amount, identifier_text, moment_or_ms, text
from operators.event import INSTANT_MAX, INSTANT_MIN

SPAN_MS_MAX: Final = 7 * DAY_MS
"""A call, a hold or a wait that is said to have been longer is a broken number."""

ABSENT: Final = frozenset({"", "N/A", "<unknown>", "<none>", "<null>", "_undef_"})
"""What Asterisk, Kamailio and FreeSWITCH write for no value. Taken for an id, one would join all calls."""

_SCHEME: Final = re.compile(r"^\s*(tel|sips?|client)\s*:\s*", re.IGNORECASE)
_DIALLED: Final = re.compile(r"\+?[\d\s().\-/]{5,40}")
_DATE_CHARS_MAX: Final = 64


def word(told: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that holds a text or an integer, "" where none does."""
    for name in names:
        found = (text(told.get(name)) or "").strip()
        if found not in ABSENT:
            return found
    return ""


def code(told: Mapping[str, Any], *names: str) -> str:
    """Return a field that holds one word of a closed set, in lower case, with - between its parts."""
    return word(told, *names).lower().replace("_", "-").replace(" ", "-")


def named(told: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that holds an identifier, "" where none does.

    Raises:
        Unusable: `wrong_type`, where it is too long.
    """
    for name in names:
        found = (identifier_text(told.get(name)) or "").strip()
        if found not in ABSENT:
            return found
    return ""


def inner(told: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the first of these fields that holds an object, an empty one where none does."""
    for name in names:
        found = told.get(name)
        if isinstance(found, dict):
            return found
    return {}


def rest(told: Mapping[str, Any], used: frozenset[str]) -> dict[str, Any]:
    """Return the fields that the event has no other place for."""
    return {name: value for name, value in told.items() if name not in used and value is not None}


def number(address: str) -> str:
    """Return what can be dialled of a number or a `tel:` or `sip:` address, "" for a name or a device."""
    scheme = _SCHEME.match(address)
    if scheme is not None and scheme[1].lower() == "client":
        return ""
    dialled = unquote(address[scheme.end() :] if scheme else address).partition("@")[0].partition(";")[0].strip()
    return dialled if _DIALLED.fullmatch(dialled) else ""


def is_device(address: str) -> bool:
    """Tell whether an address is a softphone or a desk phone: a `client:` or `sip:` one that is no number."""
    return _SCHEME.match(address) is not None and not number(address)


def span_ms(told: object, unit_ms: int = 1000) -> int:
    """Return a time span told in seconds, or in another unit, as ms; -1 where there is none."""
    span = amount(told)
    ms = -1.0 if span is None else span * unit_ms
    return int(ms) if ms <= SPAN_MS_MAX else -1


def count(told: object) -> int:
    """Return a sequence number, -1 where there is none."""
    found = amount(told)
    return int(found) if found is not None and found == int(found) else -1


def instant(told: object) -> int | None:
    """Read an instant: RFC 3339 or RFC 2822 text, or ms since the epoch. None where it is none that events can have."""
    shown = moment_or_ms(told)
    if shown is None and isinstance(told, str) and len(told) <= _DATE_CHARS_MAX:
        try:
            shown = parsedate_to_datetime(told)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    if shown is None:
        return None
    if not isinstance(shown, int):
        # "-0000" says UTC of a clock whose zone is not known; Python gives it no zone at all.
        shown = milliseconds(shown - (EPOCH if shown.tzinfo else EPOCH.replace(tzinfo=None)))
    return shown if INSTANT_MIN <= shown <= INSTANT_MAX else None


def happened_at(reading: Reading, *told: object) -> int:
    """Settle when a record happened, by the first of these fields that is told; without any, when it was read.

    Raises:
        Unusable: `bad_time`, where that is no time, or nobody knows when the record was read.
    """
    for one in told:
        if one is not None and one != "":
            at = instant(one)
            if at is None:
                raise Unusable("bad_time", "the record's time is none, or lies outside the years 2000 to 2099")
            return settled(at, reading.read_at, reading)
    if reading.read_at is None:
        raise Unusable("bad_time", "the record has no time of its own, and when it was read is not known")
    return settled(reading.read_at, None, reading)


def in_order(at: int, *steps: tuple[str, int | None]) -> tuple[tuple[str, int], ...]:
    """Return the steps that have a time, in its order; none is later than `at`, when the record happened."""
    known = [(state, min(when, at)) for state, when in steps if when is not None and when >= INSTANT_MIN]
    return tuple(sorted(known, key=_when))


def before(at: int | None, *spans: int) -> int | None:
    """Return the instant that lies these spans (ms) before another one; unknown spans are -1."""
    return None if at is None or all(span < 0 for span in spans) else at - sum(max(0, span) for span in spans)


def shared_ids(provider: str, *names: str) -> tuple[str, ...]:
    """Return the ids of a system as they count among all systems, each once; an empty one names nothing."""
    return tuple(dict.fromkeys(f"{provider}:{name}" for name in names if name))


def made_id(*parts: object) -> str:
    """Name an event by what tells it from the others of its system, so that a repeat has the same name."""
    return content_id("\0".join(map(str, parts)).encode(errors="surrogatepass"))


def id_or(told: object, *parts: object) -> str:
    """Return the id that a system gave, or else one made of these parts."""
    return told if isinstance(told, str) and 0 < len(told) <= IDENTIFIER_CHARS_MAX else made_id(*parts)


def _when(step: tuple[str, int]) -> int:
    return step[1]
