"""A batch of records in any of the formats: to events, or to the times of their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from connectors.formats import canonical, segment
from connectors.formats.common import DEFAULT_RULES, PAYLOAD_BYTES_MAX, Reading, SourceRules, Unusable
from operators.event import Event
from operators.rejected import Reason, Rejected

Format: TypeAlias = Literal["auto", "segment", "canonical"]
"""How records are to be read; "auto" tells each record by its fields (`type` of Segment, `kind` of ours)."""

_UNCLAIMED: Final[dict[Format, tuple[Reason, str]]] = {
    "auto": ("unknown_format", "no Segment call by its `type`, no record of our own by its `kind`"),
    "segment": ("missing_field", "`type` is absent, or none of the types of Segment's calls"),
    "canonical": ("missing_field", "`kind` is absent"),
}


class Decoded:
    """The outcome of a batch: each record is either among `events` or among `rejected`, both in input order.

    `clamped` counts the events whose time lay too far in the future and was moved to their receive time, `blocked` by
    type the identifiers left out because they name nobody.
    """

    def __init__(self, events: list[Event], rejected: list[Rejected], clamped: int, blocked: Mapping[str, int]) -> None:
        self.events = events
        self.rejected = rejected
        self.clamped = clamped
        self.blocked = blocked


def decode_batch(
    raws: Sequence[bytes],
    *,
    partition: str,
    first_position: int,
    read_at: int | None,
    came_at: Sequence[int] | None = None,
    rules: SourceRules = DEFAULT_RULES,
    format: Format = "auto",  # noqa: A002 - the word that the settings use
) -> Decoded:
    """Turn records into events; what cannot become one is told in `rejected`, whatever the bytes are.

    The i-th record has position `first_position + i`. `read_at` (ms) is when the batch was read; None where
    that says nothing of when its records were received, as in a replay. `came_at` says for each record when it came
    to where it was read from, which is the same when it is read again. `rules` are those of the source. Never raises
    for what a record holds, and the same bytes always give the same outcome. A blank record is `not_json`.
    """
    reading = Reading(partition, read_at, rules)
    bytes_max, pseudonyms = rules.bytes_max, rules.pseudonyms
    is_ours = format == "canonical"
    events: list[Event] = []
    rejected: list[Rejected] = []
    for position, raw in enumerate(raws, first_position):
        if came_at is not None:
            reading.read_at = came_at[position - first_position]
        try:
            if len(raw) > bytes_max or not raw.isascii():
                _check(raw, bytes_max)
            clamped = reading.clamped
            event = canonical.decode(raw, position, reading) if is_ours else segment.decode(raw, position, reading)
            if event is None:
                event = _otherwise(raw, position, reading, format)
            if reading.clamped != clamped:
                event.is_clamped = True
            if pseudonyms is not None:
                pseudonyms.hide(event)
            events.append(event)
        except Unusable as fault:
            head = raw[:PAYLOAD_BYTES_MAX]
            rejected.append(Rejected(fault.reason, fault.detail, partition, position, head))
    return Decoded(events, rejected, reading.clamped, reading.blocked)


def event_times(
    raws: Sequence[bytes],
    *,
    read_at: int | None = None,
    format: Format = "auto",  # noqa: A002 - the word that the settings use
) -> list[int | None]:
    """Tell the instant (ms) that `decode_batch` would give each record, in a third of its time.

    For a record that `decode_batch` accepts it is the `at` of its event. For one that it rejects it is None,
    except for a Segment call with a good time and another fault, such as the want of an identifier: to find
    that out would take as long as to decode it; and for one of ours whose identifiers are all blocked by its source.
    """
    reading = Reading("", read_at)
    time_of = segment.time_of
    first_is_ours = format == "canonical"
    times: list[int | None] = []
    for raw in raws:
        try:
            at = None if first_is_ours else time_of(raw, reading)
        except Unusable:
            times.append(None)
            continue
        times.append(_time_by_decoding(raw, read_at, format) if at is None else at)
    return times


def _time_by_decoding(raw: bytes, read_at: int | None, format: Format) -> int | None:  # noqa: A002 - as above
    decoded = decode_batch([raw], partition="", first_position=0, read_at=read_at, format=format)
    return decoded.events[0].at if decoded.events else None


def _otherwise(raw: bytes, position: int, reading: Reading, format: Format) -> Event:  # noqa: A002 - as above
    """Try the formats that come after the first one."""
    event = canonical.decode(raw, position, reading) if format == "auto" else None
    if event is None:
        raise Unusable(*_UNCLAIMED[format])
    return event


def _check(raw: bytes, bytes_max: int) -> None:
    """Look at what the parsers do not: the size, and the texts that they skip."""
    if len(raw) > bytes_max:
        raise Unusable("too_large", f"the record has {len(raw)} bytes; {bytes_max} are the limit")
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise Unusable("not_json", "the bytes are not valid UTF-8") from None
