"""What RudderStack's calls have and Segment's have not: `merge`, by which two identifiers become one person's.

`{"type": "merge", "mergeProperties": [{"type": "email", "value": ...}, {"type": "mobile", "value": ...}]}`. Source:
RudderStack's event specification; deprecated there since May 2025, and still in topics. All other calls are read as
Segment's, which takes RudderStack's `context.traits`, `context.sessionId` and `channel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors.formats.common import ALSO_MAX, Reading
from connectors.formats.fields import identifier_text, moment
from connectors.formats.identifiers import personal
from connectors.formats.made import id_of, made
from connectors.formats.segment import happened_at
from operators.event import Event

_FIELD_OF: Final[Mapping[str, str]] = {
    "userid": "user_id",
    "anonymousid": "anonymous_id",
    "email": "email",
    "phone": "phone",
    "mobile": "phone",
}
"""What a type of identifier is here, written small and without separators."""

_CLOCKS: Final = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is a merge."""
    return told.get("type") == "merge" and isinstance(told.get("mergeProperties"), list)


def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    """Make the event of a merge: a person who has all these identifiers.

    Of addresses and numbers the first of each counts: a person has more of them, but an event has not. All that was
    told is in its properties, by type: where contacts are to be hidden, they are known by such names.

    Raises:
        Unusable: `bad_time`, `no_identity`; `wrong_type`, where an identifier is too long.
    """
    shown, original, sent, received = (moment(told.get(name)) for name in _CLOCKS)
    at = happened_at(shown, original, sent, received, reading)
    named = _named(told["mergeProperties"])
    users = [user for one in named["user_id"] if (user := personal(one, "user_id", reading))]
    devices = [device for one in named["anonymous_id"] if (device := personal(one, "anonymous_id", reading))]
    event = made(
        "identified",
        at,
        id_of(told.get("messageId"), told),
        "server",
        reading,
        position,
        anonymous_id=devices[0] if devices else None,
        user_id=users[0] if users else None,
        email=named["email"][0] if named["email"] else None,
        phone=named["phone"][0] if named["phone"] else None,
        properties={"mergeProperties": _by_type(told["mergeProperties"])},
    )
    also = [f"u:{user}" for user in users[1:] if user != users[0]]
    also += [f"a:{device}" for device in devices[1:] if device != devices[0]]
    event.also = tuple(dict.fromkeys(also))
    return [event]


def _named(told: list[Any]) -> dict[str, list[str]]:
    """Return the identifiers of each type that is one of ours."""
    named: dict[str, list[str]] = {field: [] for field in _FIELD_OF.values()}
    for type_, values in _by_type(told).items():
        field = _FIELD_OF.get(type_.lower().replace("_", ""))
        if field is not None:
            named[field] += [name for one in values if (name := identifier_text(one))]
    return {field: names[:ALSO_MAX] for field, names in named.items()}


def _by_type(told: list[Any]) -> dict[str, list[Any]]:
    """Return the values of each type, in their order."""
    found: dict[str, list[Any]] = {}
    for one in told:
        if isinstance(one, dict) and isinstance(one.get("type"), str):
            found.setdefault(one["type"], []).append(one.get("value"))
    return found
