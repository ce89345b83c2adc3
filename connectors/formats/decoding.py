"""A batch of records in any of the formats: to events, or to the times of their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connectors.batches import Origin
from connectors.formats import canonical, segment
from connectors.formats.common import DEFAULT_RULES, Fault, Reading, SourceRules, Unusable
from connectors.formats.others import CALLS, Format, otherwise
from connectors.formats.screening import Screened
from operators.event import Event
from operators.rejected import Rejected

_NONE: Final[tuple[Origin, ...]] = ()


class Decoded:
    """The outcome of a batch: each record is among `events` or `rejected`, both in input order, or it is `screened`.

    `clamped` counts the events whose time lay too far in the future and was moved to their receive time, `blocked` by
    type the identifiers left out because they name nobody, `screened` by rule the events that do not count.
    """

    def __init__(
        self,
        events: list[Event],
        rejected: list[Rejected],
        clamped: int,
        blocked: Mapping[str, int],
        screened: Mapping[str, int],
    ) -> None:
        self.events = events
        self.rejected = rejected
        self.clamped = clamped
        self.blocked = blocked
        self.screened = screened


def decode_batch(  # noqa: PLR0913 -- all that is known of a batch
    raws: Sequence[bytes],
    *,
    partition: str,
    first_position: int,
    read_at: int | None,
    came_at: Sequence[int] | None = None,
    rules: SourceRules = DEFAULT_RULES,
    format: Format = "auto",  # noqa: A002 - the word that the settings use
    origins: Sequence[Origin] = _NONE,
) -> Decoded:
    """Turn records into events; what cannot become one is told in `rejected`, whatever the bytes are.

    The i-th record has position `first_position + i`. `read_at` (ms) is when the batch was read; None where
    that says nothing of when its records were received, as in a replay. `came_at` says for each record when it came
    to where it was read from, which is the same when it is read again. `rules` are those of the source. `origins` has
    for each record its key and headers, where there are any. Never raises for what a record holds, and the same bytes
    always give the same outcome. A blank record is `not_json`. A record that is an envelope gives an event for each
    part, or a rejection.
    """
    reading = Reading(partition, read_at, rules)
    bytes_max, pseudonyms = rules.bytes_max, rules.pseudonyms
    is_calls = format in CALLS
    events, rejected = list[Event](), list[Rejected]()
    for position, raw in enumerate(raws, first_position):
        if came_at is not None:
            reading.read_at = came_at[position - first_position]
        fault: Fault | None = None
        event: Event | None = None
        clamped = reading.clamped
        try:
            if len(raw) > bytes_max or not raw.isascii():
                _check(raw, bytes_max)
            event = _first(raw, position, reading, is_calls, format)
        except Unusable as found:
            fault = found.reason, found.detail
        except Screened as verdict:
            reading.screened[verdict.rule] += 1
            continue
        if event is None:
            origin = origins[position - first_position] if origins else None
            others = otherwise(raw, position, reading, format, fault, origin)
            events += others.events
            rejected += others.rejected
        else:
            if reading.clamped != clamped:
                event.is_clamped = True
            if pseudonyms is not None:
                pseudonyms.hide(event)
            events.append(event)
    return Decoded(events, rejected, reading.clamped, reading.blocked, reading.screened)


def event_times(
    raws: Sequence[bytes],
    *,
    read_at: int | None = None,
    format: Format = "auto",  # noqa: A002 - the word that the settings use
) -> list[int | None]:
    """Tell the instant (ms) that `decode_batch` would give each record, in a third of its time.

    For a record that `decode_batch` accepts, or screens, it is the `at` of its event. For one that it rejects it is
    None, except for a Segment call with a good time and another fault, such as the want of an identifier: to find
    that out would take as long as to decode it; and for one of ours whose identifiers are all blocked by its source.
    Such a call that is of another format as well, and by that accepted, is told the call's time.
    """
    reading = Reading("", read_at)
    time_of = segment.time_of
    is_calls = format in CALLS
    times: list[int | None] = []
    for raw in raws:
        try:
            at = time_of(raw, reading) if is_calls else None
        except Unusable:
            times.append(None)
            continue
        times.append(_time_by_decoding(raw, read_at, format) if at is None else at)
    return times


def _time_by_decoding(raw: bytes, read_at: int | None, format: Format) -> int | None:  # noqa: A002 - as above
    """Return the earliest event of a record: later records reach back that far."""
    decoded = decode_batch([raw], partition="", first_position=0, read_at=read_at, format=format)
    return min([event.at for event in decoded.events], default=None)


def _first(raw: bytes, position: int, reading: Reading, is_calls: bool, format: Format) -> Event | None:  # noqa: A002, FBT001 -- as above
    """Make the event of a record as most are, and see whether it counts; None where it is none of these."""
    event = segment.decode(raw, position, reading) if is_calls else None
    if event is None and format in ("auto", "canonical"):
        event = canonical.decode(raw, position, reading)
    screening = reading.screening
    if screening is not None and screening.asks_events and event is not None:
        screening.screen(event)
    return event


def _check(raw: bytes, bytes_max: int) -> None:
    """Look at what the parsers do not: the size, and the texts that they skip."""
    if len(raw) > bytes_max:
        raise Unusable("too_large", f"the record has {len(raw)} bytes; {bytes_max} are the limit")
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise Unusable("not_json", "the bytes are not valid UTF-8") from None
