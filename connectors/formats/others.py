"""Every format but the fastest two: by the topic's setting, or found out from the record.

Each format is a module with two functions, listed here in the order in which they are asked:

* `claims(told)` tells by the names of a JSON object's fields whether it is of this format;
* `events(told, position, reading)` makes its events, and raises `Unusable` where it cannot. It asks `screened` about
  the user agent and the address of the visitor, where the record tells them.

A format that is text and no JSON has `claims_text(raw)` and `told_of(raw)`, which makes the object of it that `events`
takes. An envelope around other records has `parts(told, format)`: the format of what is in it, and that, each part
looked at as a record of its own. So a part that is broken is rejected alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from connectors.batches import Origin
from connectors.formats import canonical, cloudevents, segment
from connectors.formats.common import PAYLOAD_BYTES_MAX, Reading, Unusable, encoded
from connectors.formats.fields import json_value
from connectors.formats.screening import Screened
from operators.event import Event
from operators.rejected import Reason, Rejected

Told = dict[str, Any]

CALLS: Final = frozenset({"auto", "segment", "rudderstack"})
"""The formats whose records are Segment's calls, or may be."""

OTHERWISE: Final[frozenset[Reason]] = frozenset({"not_json", "not_an_object", "no_identity", "missing_field"})
"""Why a record may be no call of Segment's, and yet one of another format."""

DEPTH_MAX: Final = 4
"""How deep envelopes may lie in each other; more is an attack."""

PARTS_MAX: Final = 5_000
"""Parts of one record: ten times what the largest batch of Segment's holds."""


class Way(NamedTuple):
    """How the records of one format are read."""

    claims: Callable[[Told], bool]
    events: Callable[[Told, int, Reading], list[Event]]


class Text(NamedTuple):
    """How the records of a format that is no JSON become objects."""

    claims: Callable[[bytes], bool]
    told: Callable[[bytes], Told]


class Envelope(NamedTuple):
    """How what lies in an envelope is found: `parts` takes the object and the format that its topic is set to."""

    claims: Callable[[Told], bool]
    parts: Callable[[Told, str], tuple[str, list[Any]]]


class Outcome(NamedTuple):
    """What became of one record."""

    events: list[Event]
    rejected: list[Rejected]


def _of_segment(told: Told, position: int, reading: Reading) -> list[Event]:
    event = segment.decode(encoded(told), position, reading)
    if event is None:
        raise Unusable("missing_field", "`type` is absent, or none of the types of Segment's calls")
    return [event]


def _of_ours(told: Told, position: int, reading: Reading) -> list[Event]:
    event = canonical.decode(encoded(told), position, reading)
    if event is None:
        raise Unusable("missing_field", "`kind` is absent")
    return [event]


WAYS: Final[dict[str, Way]] = {
    "canonical": Way(lambda told: told.get("kind") is not None, _of_ours),
    "segment": Way(lambda told: told.get("type") in segment.TYPES, _of_segment),
    "rudderstack": Way(lambda _: False, _of_segment),
}
"""The formats that are JSON objects, by their names, in the order in which they are asked."""

TRIED: Final = (_of_segment, _of_ours)
"""The formats that a record has been tried for before it comes here."""

TEXTS: Final[dict[str, Text]] = {}
"""The formats that are no JSON, by their names: the objects that they become are read as `WAYS` says."""

ENVELOPES: Final[dict[str, Envelope]] = {"cloudevents": Envelope(cloudevents.claims, cloudevents.parts)}
"""The envelopes, by their names."""

FORMATS: Final = ("auto", *ENVELOPES, *WAYS)
"""What a topic's format may be set to, beside the names of mappings."""


def otherwise(
    raw: bytes, position: int, reading: Reading, format_: str, fault: Unusable | None, origin: Origin | None
) -> Outcome:
    """Make what can be made of a record that is no single call of Segment's, or none that is whole: `fault` says why.

    Never raises for what a record holds.
    """
    outcome = Outcome([], [])
    try:
        if fault is not None and fault.reason not in OTHERWISE:
            raise fault
        told = _told(raw, format_)
        headers = headers_of(origin)
        if cloudevents.is_binary(headers):
            told = cloudevents.structured(headers, told)
        _take(told, position, reading, format_, outcome, fault, 0)
    except Unusable as found:
        outcome.rejected.append(_rejected(found, raw, position, reading))
    return outcome


def _told(raw: bytes, format_: str) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Return the value of a record: JSON, or an object made of another text."""
    for name, text in TEXTS.items():
        if format_ in ("auto", name) and text.claims(raw):
            return text.told(raw)
    return json_value(raw)


def _take(
    told: Any,  # noqa: ANN401 -- JSON of any kind
    position: int,
    reading: Reading,
    format_: str,
    outcome: Outcome,
    fault: Unusable | None,
    depth: int,
) -> None:
    """Add the events of one record, or of one part of it."""
    parts, inner = _parts(told, format_)
    if parts and depth < DEPTH_MAX:
        for number, part in enumerate(parts):
            try:
                _take(part, position, reading, inner, outcome, None, depth + 1)
            except Unusable as found:
                outcome.rejected.append(_rejected(found, encoded(part), position, reading, number))
        return
    if not isinstance(told, dict):
        raise fault or Unusable("not_an_object", "the record is JSON, but not an object")
    way = _way(told, format_)
    if way is None or (fault is not None and way.events in TRIED):
        raise fault or _unclaimed(format_)
    clamped, screening = reading.clamped, reading.screening
    try:
        events = way.events(told, position, reading)
    except Screened as found:
        reading.screened[found.rule] += 1
        return
    if screening is not None and screening.asks_events:
        events = screening.left(events, reading.screened)
    if reading.clamped != clamped:
        for event in events:
            event.is_clamped = True
    if reading.rules.pseudonyms is not None:
        for event in events:
            reading.rules.pseudonyms.hide(event)
    outcome.events.extend(events)


def _parts(told: Any, format_: str) -> tuple[list[Any], str]:  # noqa: ANN401 -- JSON of any kind
    """Return the parts of an envelope or a list, and their format."""
    parts = told if isinstance(told, list) and any(isinstance(part, dict | list) for part in told) else []
    if isinstance(told, dict):
        for envelope in ENVELOPES.values():
            if envelope.claims(told):
                format_, parts = envelope.parts(told, format_)
                break
    if len(parts) > PARTS_MAX:
        raise Unusable("too_large", f"the record has {len(parts)} parts; {PARTS_MAX} are the limit")
    return parts, format_


def _way(told: Told, format_: str) -> Way | None:
    if format_ in WAYS:
        return WAYS[format_]
    for way in WAYS.values():
        if way.claims(told):
            return way
    return None


def _unclaimed(format_: str) -> Unusable:
    if format_ not in WAYS:
        return Unusable("unknown_format", "no format claims its fields")
    return Unusable("missing_field", f"the fields of a record of the format {format_} are absent")


def _rejected(fault: Unusable, raw: bytes, position: int, reading: Reading, part: int = -1) -> Rejected:
    detail = fault.detail if part < 0 else f"part {part}: {fault.detail}"
    return Rejected(fault.reason, detail, reading.partition, position, raw[:PAYLOAD_BYTES_MAX])


def headers_of(origin: Origin | None) -> Mapping[str, bytes]:
    """Return the headers of a record; of several with one name the last."""
    told = None if origin is None else origin.headers()
    return {} if not told else dict(told)
