"""Every format but the fastest two: by the topic's setting, or found out from the record.

Each format is a module with two functions, listed here in the order in which they are asked:

* `claims(told)` tells by the names of a JSON object's fields whether it is of this format;
* `events(told, position, reading)` makes its events, and raises `Unusable` where it cannot.

A format that is text and no JSON has `claims_text(raw)` and `told_of(raw)`, which makes the object of it that `events`
takes. An envelope around other records has `parts(told, format)`: the format of what is in it, and that, each part
looked at as a record of its own. So a part that is broken is rejected alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from connectors.batches import Origin
from connectors.formats import (
    canonical,
    cloudevents,
    connect,
    genesys,
    posthog,
    rudderstack,
    segment,
    segment_batch,
    snowplow,
    snowplow_columns,
    snowplow_tracker,
    telephony,
    twilio,
    twilio_messages,
)
from connectors.formats.common import Reading, Unusable, encoded
from connectors.formats.fields import json_value
from connectors.formats.rejecting import came_with, rejected, replayed
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


def _of_rudderstack(told: Told, position: int, reading: Reading) -> list[Event]:
    is_merge = rudderstack.claims(told)
    return rudderstack.events(told, position, reading) if is_merge else _of_segment(told, position, reading)


def _of_ours(told: Told, position: int, reading: Reading) -> list[Event]:
    event = canonical.decode(encoded(told), position, reading)
    if event is None:
        raise Unusable("missing_field", "`kind` is absent")
    return [event]


WAYS: Final[dict[str, Way]] = {
    "canonical": Way(lambda told: told.get("kind") is not None, _of_ours),
    # Before Segment's, whose `type` some of PostHog's libraries send too.
    "posthog": Way(posthog.claims, posthog.events),
    "segment": Way(lambda told: told.get("type") in segment.TYPES, _of_segment),
    "rudderstack": Way(rudderstack.claims, _of_rudderstack),
    "twilio": Way(twilio.claims, twilio.events),
    "twilio_messages": Way(twilio_messages.claims, twilio_messages.events),
    "genesys": Way(genesys.claims, genesys.events),
    "connect": Way(connect.claims, connect.events),
    "telephony": Way(telephony.claims, telephony.events),
    "snowplow": Way(snowplow.claims, snowplow.events),
}
"""The formats that are JSON objects, by their names, in the order in which they are asked."""

TRIED: Final = (_of_segment, _of_rudderstack, _of_ours)
"""The formats that a record has been tried for before it comes here."""

TEXTS: Final[dict[str, Text]] = {
    "snowplow": Text(snowplow_columns.claims_text, snowplow_columns.told_of),
    "twilio": Text(twilio.claims_form, twilio.form),
    "twilio_messages": Text(twilio_messages.claims_form, twilio.form),
}
"""The formats that are no JSON, by their names: the objects that they become are read as `WAYS` says."""

TELEPHONES: Final = frozenset(
    {"telephony", "twilio", "genesys", "connect", "asterisk", "freeswitch", "kamailio", "baresip"}
)
"""The formats whose records tell of legs of calls: one process has to read all that tell of one call."""

ENVELOPES: Final[dict[str, Envelope]] = {
    "cloudevents": Envelope(cloudevents.claims, cloudevents.parts),
    "posthog": Envelope(posthog.claims_batch, posthog.parts),
    "segment": Envelope(segment_batch.claims, segment_batch.parts),
    "snowplow_payload": Envelope(snowplow_tracker.claims, snowplow_tracker.parts),
}
"""The envelopes, by their names, in the order in which they are asked. A topic's format need not name the envelope."""

FORMATS: Final = tuple(dict.fromkeys(["auto", *ENVELOPES, *WAYS]))
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
        replay = replayed(headers)
        if replay is not None and replay.came_at is not None:
            reading.read_at = replay.came_at
        if cloudevents.is_binary(headers):
            told = cloudevents.structured(headers, told)
        _take(told, position, reading, format_, outcome, fault, ())
    except Unusable as found:
        outcome.rejected.append(rejected(found, raw, position, reading))
    if outcome.rejected and origin is not None:
        came_with(origin, outcome.rejected)
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
    place: tuple[int, ...],
) -> None:
    """Add the events of one record, or of the part of it that lies at `place`."""
    parts, inner = _parts(told, format_)
    if parts and len(place) < DEPTH_MAX:
        if len(parts) == 1:  # is rejected together with its envelope, for so it came
            _take(parts[0], position, reading, inner, outcome, None, (*place, 0))
            return
        for number, part in enumerate(parts):
            here = (*place, number)
            try:
                _take(part, position, reading, inner, outcome, None, here)
            except Unusable as found:
                outcome.rejected.append(rejected(found, encoded(part), position, reading, here))
        return
    if not isinstance(told, dict):
        raise fault or Unusable("not_an_object", "the record is JSON, but not an object")
    way = _way(told, format_)
    if way is None or (fault is not None and way.events in TRIED):
        raise fault or _unclaimed(format_)
    clamped = reading.clamped
    events = way.events(told, position, reading)
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


def headers_of(origin: Origin | None) -> Mapping[str, bytes]:
    """Return the headers of a record; of several with one name the last."""
    told = None if origin is None else origin.headers()
    return {} if not told else dict(told)
