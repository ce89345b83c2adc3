"""What a source says beyond the fields of an event: its `properties`, kept as the JSON text that they came as.

Nobody pays for them who does not ask: a record that is an object with its properties in it is kept as it is.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

_NONE: Final = msgspec.Raw(b"")
_NOTHING: Final = (_NONE, msgspec.Raw(b"null"))


class _Told(msgspec.Struct, gc=False, rename="camel"):
    """The fields in which Segment's calls have them: an identify call has traits, RudderStack's in its context."""

    properties: msgspec.Raw = _NONE
    traits: msgspec.Raw = _NONE
    context: msgspec.Raw = _NONE
    category: msgspec.Raw = _NONE
    group_id: msgspec.Raw = _NONE


class _Context(msgspec.Struct, gc=False):
    traits: msgspec.Raw = _NONE


_told: Final = msgspec.json.Decoder(_Told).decode
_context: Final = msgspec.json.Decoder(_Context).decode
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode
_any: Final = msgspec.json.Decoder(float_hook=float).decode


def cut_out(record: bytes) -> bytes:
    """Return the properties of a record that has them in it, as JSON text; b"" where there are none.

    The category of a page and the id of a group, which stand beside them, are among them.
    """
    try:
        told = _told(record)
        raw = bytes(told.properties) or bytes(told.traits)
        context = bytes(told.context)
        if raw[:1] != b"{" and context[:1] == b"{":
            raw = bytes(_context(context).traits)
        raw = raw if raw[:1] == b"{" else b""
        beside = {"category": told.category, "groupId": told.group_id}
        beside = {name: value for name, value in beside.items() if value not in _NOTHING}
        return _encode(beside | (_fields(raw) if raw else {})) if beside else raw
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""


def read(properties: bytes) -> dict[str, Any]:
    """Return properties as an object; an empty one where they have a number that no machine holds."""
    try:
        found: dict[str, Any] = _any(properties) if properties else {}
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found


def written(told: dict[str, Any]) -> bytes:
    """Return an object as properties."""
    return _encode(told) if told else b""
