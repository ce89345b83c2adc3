"""Requests of people who look after data, as they lie in the control topic: JSON objects, one a record.

`{"request": "erase", "id": "...", "requested_at": "...", "identifiers": {"email": ["mara@example.org"]}}`. `request` is
show, export, erase or unmerge; `identifiers` has user_id, anonymous_id, email, phone and profile_id, each a list. They
are spelt as those of events are, so that both meet. `requested_at` is RFC 3339 text or ms since the epoch; without one
it is when the record came.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from connectors.batches import Origin
from connectors.formats.common import (
    DEFAULT_RULES,
    EPOCH,
    IDENTIFIER_CHARS_MAX,
    Reading,
    SourceRules,
    Unusable,
    content_id,
    milliseconds,
)
from connectors.formats.fields import ZonedMoment, json_object
from connectors.formats.identifiers import email_address, identifier, phone_number
from connectors.formats.rejecting import came_with
from connectors.formats.rejecting import rejected as rejected_as
from operators.event import INSTANT_MAX, INSTANT_MIN
from operators.rejected import Reason, Rejected
from operators.request import Request, What

# More of one person's identifiers than a lead is ever given at once is a mistake.
NAMES_MAX: Final = 100

_Value = Annotated[str, Meta(min_length=1, max_length=IDENTIFIER_CHARS_MAX)]
_Values = Annotated[list[_Value], Meta(max_length=NAMES_MAX)]


class Identifiers(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Whom a request is about."""

    user_id: _Values = []
    email: _Values = []
    phone: _Values = []
    anonymous_id: _Values = []
    profile_id: _Values = []


class RequestRecord(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The object on the wire."""

    request: What
    identifiers: Identifiers
    id: Annotated[str, Meta(min_length=1, max_length=IDENTIFIER_CHARS_MAX)] | None = None
    requested_at: ZonedMoment | Annotated[int, Meta(ge=INSTANT_MIN, le=INSTANT_MAX)] | None = None


_decode: Final = msgspec.json.Decoder(RequestRecord).decode


def decode_requests(
    raws: Sequence[bytes],
    *,
    partition: str,
    first_position: int,
    came_at: Sequence[int],
    rules: SourceRules = DEFAULT_RULES,
    origins: Sequence[Origin] = (),
) -> tuple[list[Request], list[Rejected]]:
    """Turn records into requests; what cannot become one is told, as `decode_batch` does of events.

    `came_at` (ms) has when each came; a request is never from later than that.
    """
    reading = Reading(partition, None, rules)
    requests: list[Request] = []
    rejected: list[Rejected] = []
    for number, raw in enumerate(raws):
        position = first_position + number
        try:
            requests.append(_request(raw, position, came_at[number], reading))
        except Unusable as fault:
            reading.read_at = came_at[number]
            rejected.append(rejected_as(fault, raw, position, reading))
            if origins:
                came_with(origins[number], rejected[-1:])
    return requests, rejected


def _request(raw: bytes, position: int, came_at: int, reading: Reading) -> Request:
    try:
        record = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = json_object(raw)
        missing = [name for name in ("request", "identifiers") if told.get(name) is None]
        reason: Reason = "missing_field" if missing else "wrong_type"
        raise Unusable(reason, f"a request without `{missing[0]}`" if missing else str(error)) from None
    at = record.requested_at
    if isinstance(at, datetime):
        at = milliseconds(at - EPOCH)
    whose = record.identifiers
    names = ["l:" + profile for one in whose.profile_id if (profile := one.strip())]
    names += ["u:" + user for one in whose.user_id if (user := identifier(one))]
    emails = [email for one in whose.email if (email := email_address(one, reading))]
    phones = [phone for one in whose.phone if (phone := phone_number(one, reading))]
    names += ["e:" + spelling for email in emails for spelling in _spellings(email, reading)]
    names += ["p:" + spelling for phone in phones for spelling in _spellings(phone, reading)]
    names += ["a:" + device for one in whose.anonymous_id if (device := identifier(one))]
    if not names:
        raise Unusable("no_identity", "no identifier that names somebody")
    at = came_at if at is None else min(at, came_at)
    if not INSTANT_MIN <= at <= INSTANT_MAX:
        raise Unusable("bad_time", "the request's time lies outside the years 2000 to 2099")
    return Request(record.request, record.id or content_id(raw), at, names, reading.partition, position)


def _spellings(text: str, reading: Reading) -> list[str]:
    """Return what an address or number may be known as: itself, or its pseudonyms, also those of former secrets."""
    pseudonyms = reading.rules.pseudonyms
    return [text] if pseudonyms is None else pseudonyms.of(text)
