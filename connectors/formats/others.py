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
from typing import Any, Final, NamedTuple, TypeAlias

from connectors.batches import Origin
from connectors.formats import (
    asterisk_ami,
    asterisk_ari,
    asterisk_cel,
    baresip,
    braze,
    canonical,
    cloudevents,
    connect,
    freeswitch,
    ga4,
    genesys,
    kamailio,
    posthog,
    rasa,
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
from connectors.formats.common import Fault, Reading, Unusable, encoded
from connectors.formats.fields import json_value
from connectors.formats.rejecting import came_with, rejected, replayed
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


Format: TypeAlias = str | Way
"""How records are to be read: one of `FORMATS`, "auto" to tell each record by its fields, or the way of a mapping."""


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
    "snowplow": Way(snowplow.claims, snowplow.events),
    "ga4": Way(ga4.claims, ga4.events),
    "braze": Way(braze.claims, braze.events),
    "rasa": Way(rasa.claims, rasa.events),
    "twilio": Way(twilio.claims, twilio.events),
    "twilio_messages": Way(twilio_messages.claims, twilio_messages.events),
    "genesys": Way(genesys.claims, genesys.events),
    "connect": Way(connect.claims, connect.events),
    "telephony": Way(telephony.claims, telephony.events),
    "asterisk_cel": Way(asterisk_cel.claims, asterisk_cel.events),
    "asterisk_ami": Way(asterisk_ami.claims, asterisk_ami.events),
    "asterisk_ari": Way(asterisk_ari.claims, asterisk_ari.events),
    "freeswitch": Way(freeswitch.claims, freeswitch.events),
    "kamailio": Way(kamailio.claims, kamailio.events),
    "baresip": Way(baresip.claims, baresip.events),
}
"""The formats that are JSON objects, by their names, in the order in which they are asked."""

TRIED: Final = (_of_segment, _of_rudderstack, _of_ours)
"""The formats that a record has been tried for before it comes here."""

TEXTS: Final[dict[str, Text]] = {
    "snowplow": Text(snowplow_columns.claims_text, snowplow_columns.told_of),
    "twilio": Text(twilio.claims_form, twilio.form),
    "twilio_messages": Text(twilio_messages.claims_form, twilio.form),
    "asterisk_cel": Text(asterisk_cel.claims_text, asterisk_cel.told_of),
    "asterisk_ami": Text(asterisk_ami.claims_text, asterisk_ami.told_of),
}
"""The formats that are no JSON, by their names: the objects that they become are read as `WAYS` says."""

TELEPHONES: Final = frozenset(
    {
        "twilio",
        "genesys",
        "connect",
        "telephony",
        "asterisk_cel",
        "asterisk_ami",
        "asterisk_ari",
        "freeswitch",
        "kamailio",
        "baresip",
    }
)
"""The formats whose records tell of legs of calls: one process has to read all that tell of one call."""

ENVELOPES: Final[dict[str, Envelope]] = {
    "cloudevents": Envelope(cloudevents.claims, cloudevents.parts),
    "posthog": Envelope(posthog.claims_batch, posthog.parts),
    "segment": Envelope(segment_batch.claims, segment_batch.parts),
    "snowplow_payload": Envelope(snowplow_tracker.claims, snowplow_tracker.parts),
    "ga4": Envelope(ga4.claims_request, ga4.parts),
    "braze": Envelope(braze.claims_request, braze.parts),
}
"""The envelopes, by their names, or that of what is in them, in the order in which they are asked.

A topic's format need not name the envelope.
"""

FORMATS: Final = tuple(dict.fromkeys(("auto", *ENVELOPES, *WAYS)))
"""What a topic's format may be set to, beside the names of mappings."""


def otherwise(
    raw: bytes, position: int, reading: Reading, format_: Format, fault: Fault | None, origin: Origin | None
) -> Outcome:
    """Make what can be made of a record that is no single call of Segment's, or none that is whole: `fault` says why.

    Never raises for what a record holds.
    """
    outcome = Outcome([], [])
    try:
        _take(_whole(raw, reading, format_, fault, origin), position, reading, format_, outcome, fault, ())
    except Unusable as found:
        outcome.rejected.append(rejected(found, raw, position, reading))
    except RecursionError:
        # What the parser has just taken may be too deep to be written again, from a few calls further down.
        deep = Unusable("not_json", "arrays or objects are nested deeper than the parser goes")
        outcome.rejected.append(rejected(deep, raw, position, reading))
    if outcome.rejected and origin is not None:
        came_with(origin, outcome.rejected)
    return outcome


def _whole(raw: bytes, reading: Reading, format_: Format, fault: Fault | None, origin: Origin | None) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Return the value of a record with what its headers say of it."""
    if fault is not None and fault[0] not in OTHERWISE:
        raise Unusable(*fault)
    told, headers = told_of(raw, format_), headers_of(origin)
    replay = replayed(headers)
    if replay is not None and replay.came_at is not None:
        reading.read_at = replay.came_at
    return cloudevents.structured(headers, told) if cloudevents.is_binary(headers) else told


def outcome_of(told: object, position: int, reading: Reading, format_: Format) -> Outcome:
    """Make what can be made of the value of a record, as `told_of` gives it. Never raises for what it holds."""
    outcome = Outcome([], [])
    try:
        _take(told, position, reading, format_, outcome, None, ())
    except Unusable as found:
        outcome.rejected.append(rejected(found, encoded(told), position, reading))
    return outcome


def names_of(told: object, format_: Format) -> list[str]:
    """Name the formats that a value is taken for, envelopes first; of a list, or of what is in one, the first's."""
    if isinstance(format_, Way):
        return []
    if isinstance(told, list):
        return names_of(told[0], format_) if told else []
    if not isinstance(told, dict):
        return []
    for name, envelope in ENVELOPES.items():
        if envelope.claims(told):
            try:
                inner, parts = envelope.parts(told, format_)
            except Unusable:
                return [name]
            below = names_of(parts[0], inner) if parts else []
            return [name, *(one for one in below if one != name)]
    if format_ in WAYS:
        return [format_]
    if WAYS["segment"].claims(told):  # the first that a record is tried for
        return ["segment"]
    return [name for name, way in WAYS.items() if way.claims(told)][:1]


def told_of(raw: bytes, format_: Format) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Return the value of a record: JSON, or an object made of another text.

    Raises:
        Unusable: `not_json` and what else the text of a format may be.
    """
    for name, text in TEXTS.items():
        if format_ in ("auto", name) and text.claims(raw):
            return text.told(raw)
    return json_value(raw)


def _take(
    told: Any,  # noqa: ANN401 -- JSON of any kind
    position: int,
    reading: Reading,
    format_: Format,
    outcome: Outcome,
    fault: Fault | None,
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
        raise Unusable(*(fault or ("not_an_object", "the record is JSON, but not an object")))
    way = _way(told, format_)
    if way is None or (fault is not None and way.events in TRIED):
        raise Unusable(*(fault or _unclaimed(format_)))
    outcome.events.extend(_events(way, told, position, reading))


def _events(way: Way, told: Told, position: int, reading: Reading) -> list[Event]:
    """Make the events of a record that is known for what it is."""
    clamped, screening, pseudonyms = reading.clamped, reading.screening, reading.rules.pseudonyms
    try:
        events = way.events(told, position, reading)
    except Screened as found:
        reading.screened[found.rule] += 1
        return []
    if screening is not None and screening.asks_events:
        events = screening.left(events, reading.screened)
    for event in events:
        if reading.clamped != clamped:
            event.is_clamped = True
        if pseudonyms is not None:
            pseudonyms.hide(event)
    return events


def _parts(told: Any, format_: Format) -> tuple[list[Any], Format]:  # noqa: ANN401 -- JSON of any kind
    """Return the parts of an envelope or a list, and their format."""
    parts = told if isinstance(told, list) and any(isinstance(part, dict | list) for part in told) else []
    if isinstance(format_, Way):  # a mapping has its own word on what its records are, save what carries them
        if isinstance(told, dict) and cloudevents.claims(told):
            _, parts = cloudevents.parts(told, "")
    elif isinstance(told, dict):
        for envelope in ENVELOPES.values():
            if envelope.claims(told):
                format_, parts = envelope.parts(told, format_)
                break
    if len(parts) > PARTS_MAX:
        raise Unusable("too_large", f"the record has {len(parts)} parts; {PARTS_MAX} are the limit")
    return parts, format_


def _way(told: Told, format_: Format) -> Way | None:
    if isinstance(format_, Way):
        return format_
    if format_ in WAYS:
        return WAYS[format_]
    for way in WAYS.values():
        if way.claims(told):
            return way
    return None


def _unclaimed(format_: Format) -> Fault:
    if isinstance(format_, Way) or format_ not in WAYS:
        return "unknown_format", "no format claims its fields"
    return "missing_field", f"the fields of a record of the format {format_} are absent"


def headers_of(origin: Origin | None) -> Mapping[str, bytes]:
    """Return the headers of a record; of several with one name the last."""
    told = None if origin is None else origin.headers()
    return {} if not told else dict(told)
