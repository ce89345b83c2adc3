"""PostHog's captures: `{"event": ..., "distinct_id": ..., "properties": {...}, "timestamp": ..., "uuid": ...}`.

A capture becomes a call of Segment's, for both tell of the same things under the same names: what a call can say is
read in one place. Sources: PostHog's API reference and its documents on identifying users; posthog-js, whose captures
have `distinct_id` among the properties; the libraries that tests/sdk runs.

Who a `distinct_id` is. Libraries in browsers and apps make one up until somebody identifies; from then on it is the id
that the shop gave. On a server it is that id from the start ("by default events captured via the API are identified
events"). So it is a user's unless the capture says otherwise, in this order:

* `$is_identified`, which libraries in browsers and apps send with every capture;
* `$user_id`, which posthog-js keeps from `identify` to `reset`: a user's;
* `$process_person_profile: false`, PostHog's way to capture without a person: anonymous;
* a `$device_id` of the same value, what posthog-js calls a proxy for an anonymous user.

`$device_id` is nobody's identifier: `reset` keeps it, so that two people at one browser have the same. A device and a
user are linked where PostHog links them: `$identify` with `$anon_distinct_id`. `$create_alias` and
`$merge_dangerously` ask for `properties.alias` to be that person's too: a user's or a device's, no field tells, and of
`$create_alias` not even which of the two is the one that asks (`_is_turned`).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from connectors.formats import segment
from connectors.formats.common import DWELL_MS_MAX, EPOCH, Reading, Unusable, encoded, milliseconds
from connectors.formats.fields import amount, identifier_text, json_value, moment, text
from connectors.formats.made import id_of
from operators.event import INSTANT_MAX, INSTANT_MIN, Event, Kind

_CALLS: Final = ("anonymousId", "userId", "messageId")
"""Fields by which a record is a call of Segment's, whatever its properties hold."""

_TYPES: Final[dict[str, str]] = {
    "$pageview": "page",
    "$screen": "screen",
    "$identify": "identify",
    "$set": "identify",
    "$set_once": "identify",
    "$create_alias": "alias",
    "$merge_dangerously": "alias",
}
"""The captures that are no `track` call."""

_NAMES: Final[dict[str, str]] = {"$pageleave": "Page Left"}

_TITLES: Final[dict[str, str]] = {"$pageview": "title", "$screen": "$screen_name"}
"""The properties that name what was seen."""

_BESIDE: Final = ("$set", "$set_once")
"""What captures have beside their properties, or among them."""

_COOKIELESS: Final = "$posthog_cookieless"
"""The `distinct_id` of everybody whom a browser without cookies tells of: PostHog makes ids of what came with it."""

_APPS: Final = ("ios", "android", "react-native", "flutter", "unity")
_MADE_UP: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""A UUID, as libraries make them up for people who have no id yet."""


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is a capture."""
    return (
        isinstance(told.get("event"), str)
        and _distinct_id(told, _object(told.get("properties"))) is not None
        and not any(name in told for name in _CALLS)
    )


def claims_batch(told: dict[str, Any]) -> bool:
    """Tell whether an object is a batch of captures, or a capture as PostHog's own topics have it."""
    if isinstance(told.get("batch"), list):
        return "api_key" in told or "historical_migration" in told
    return isinstance(told.get("data"), str) and "distinct_id" in told and "now" in told


def parts(told: dict[str, Any], format_: str) -> tuple[str, list[Any]]:
    """Return the format of the captures of a batch, and them, with the clock of whoever sent them.

    Raises:
        Unusable: `not_json`, where the capture in a record of PostHog's own topics is none.
    """
    batch: Any = told.get("batch")
    if not isinstance(batch, list):
        batch = [json_value(told["data"].encode())]
    shared = {name: told[name] for name in ("uuid", "distinct_id", "now", "sent_at") if told.get(name) is not None}
    inner = "posthog" if format_ == "auto" else format_
    return inner, [shared | one if isinstance(one, dict) else one for one in batch]


def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    """Make the event of a capture.

    Raises:
        Unusable: `missing_field` without a name; as `segment.decode` does.
    """
    name = told.get("event")
    if not isinstance(name, str) or not name:
        raise Unusable("missing_field", "a capture without the name of its event")
    properties = _properties(told)
    user_id, anonymous_id, previous_id = _who(name, told, properties)
    call = {
        "type": _TYPES.get(name, "track"),
        "messageId": id_of(told.get("uuid"), told),
        "event": _NAMES.get(name, name),
        "userId": user_id,
        "anonymousId": anonymous_id,
        "previousId": previous_id,
        "channel": _channel(properties),
        "properties": properties,
        "context": _context(properties),
    }
    event = segment.decode(encoded(call | _clocks(told, properties, reading)), position, reading)
    assert event is not None, "it has a type"
    event.record, event.properties = b"", encoded(properties)
    _complete(event, name, properties)
    return [event]


def _complete(event: Event, name: str, properties: dict[str, Any]) -> None:
    """Add what calls of Segment's have no field for."""
    event.name = text(properties.get(_TITLES.get(name, ""))) or text(name) or ""
    if name == "$pageleave":
        seconds = amount(properties.get("$prev_pageview_duration")) or 0.0
        event.dwell_ms = min(int(seconds * 1000), DWELL_MS_MAX)
    elif name == "$feature_flag_called" and properties.get("$feature_flag_has_experiment") is True:
        kind: Kind = "experiment_viewed"
        event.kind = kind


def _who(name: str, told: dict[str, Any], properties: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Return the user id, the anonymous id and the id that is to be that person's too; the rule is above."""
    distinct_id = identifier_text(_distinct_id(told, properties))
    if distinct_id == _COOKIELESS or (name == "$groupidentify" and _is_group(distinct_id, properties)):
        return None, None, None
    if name == "$identify":
        return distinct_id, identifier_text(properties.get("$anon_distinct_id")), None
    if name in ("$create_alias", "$merge_dangerously"):
        alias = identifier_text(properties.get("alias"))
        is_turned = name == "$create_alias" and _is_turned(distinct_id or "", alias or "")
        return (alias, None, distinct_id) if is_turned else (distinct_id, None, alias)
    return (None, distinct_id, None) if _is_anonymous(distinct_id, properties) else (distinct_id, None, None)


def _is_anonymous(distinct_id: str | None, properties: dict[str, Any]) -> bool:
    is_identified = properties.get("$is_identified")
    if isinstance(is_identified, bool):
        return not is_identified
    if properties.get("$user_id"):
        return False
    return properties.get("$process_person_profile") is False or properties.get("$device_id") == distinct_id


def _is_group(distinct_id: str | None, properties: dict[str, Any]) -> bool:
    """Tell whether the id is the one that libraries make of a group, for want of a person."""
    return distinct_id == f"${properties.get('$group_type')}_{properties.get('$group_key')}"


def _is_turned(distinct_id: str, alias: str) -> bool:
    """Tell whether the alias is the user of a `$create_alias`, and the `distinct_id` what they were known as before.

    So it is in the examples of PostHog's libraries: `alias({distinctId: 'anonymous_123', alias: 'user_456'})`, and
    posthog-python's `alias(previous_id, distinct_id)`. Who does it the other way round is known by an alias that only a
    library can have made up.
    """
    return _MADE_UP.fullmatch(alias) is None or _MADE_UP.fullmatch(distinct_id) is not None


def _channel(properties: dict[str, Any]) -> str | None:
    """Return what the library says of where it runs, in words that calls have; None where it says nothing."""
    lib = text(properties.get("$lib")) or ""
    if lib in ("web", "js", "posthog-js-lite"):
        return "web"
    if lib.removeprefix("posthog-") in _APPS:
        return "mobile"
    return "server" if properties.get("$is_server") is True or lib.startswith("posthog-") else None


def _context(properties: dict[str, Any]) -> dict[str, Any]:
    """Return what a call has beside its properties."""
    referrer = properties.get("$referrer")
    return {
        "page": {"url": properties.get("$current_url"), "referrer": None if referrer == "$direct" else referrer},
        "campaign": {"name": properties.get("utm_campaign"), "source": properties.get("utm_source")},
        "sessionId": properties.get("$session_id"),
        "userAgent": properties.get("$raw_user_agent") or properties.get("$useragent"),
        "ip": properties.get("$ip"),
        "traits": _object(properties.get("$set_once")) | _object(properties.get("$set")),
    }


def _clocks(told: dict[str, Any], properties: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """Return the clocks of a call: `timestamp`, corrected by `sent_at` and `now`, else when it came less `offset`.

    posthog-js sends no instant but how many ms ago it was; a capture without either happened when it came.

    Raises:
        Unusable: `bad_time`.
    """
    sent, received = told.get("sent_at"), told.get("now")
    shown = moment(told.get("timestamp"))
    if shown is not None:
        is_corrected = properties.get("$ignore_sent_at") is not True and moment(sent) is not None
        original = told["timestamp"] if is_corrected else None
        return {"timestamp": told["timestamp"], "originalTimestamp": original, "sentAt": sent, "receivedAt": received}
    came = moment(received) or moment(sent)
    came_at = reading.read_at if came is None else milliseconds(came - EPOCH)
    if came_at is None:
        raise Unusable("bad_time", "a capture without `timestamp`, and nobody knows when it came")
    at = came_at - int(amount(told.get("offset")) or 0)
    if not INSTANT_MIN <= at <= INSTANT_MAX:
        raise Unusable("bad_time", "the event's time lies outside the years 2000 to 2099")
    return {"timestamp": (EPOCH + timedelta(milliseconds=at)).isoformat()}


def _properties(told: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of a capture, with what libraries send beside them."""
    properties = _object(told.get("properties"))
    beside = {
        name: _object(properties.get(name)) | value for name in _BESIDE if isinstance(value := told.get(name), dict)
    }
    return properties | beside


def _distinct_id(told: dict[str, Any], properties: dict[str, Any]) -> object:
    for place in (told, properties):
        for name in ("distinct_id", "$distinct_id"):
            if place.get(name) is not None:
                return place[name]
    return None


def _object(told: object) -> dict[str, Any]:
    return told if isinstance(told, dict) else {}
