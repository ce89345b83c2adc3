"""What a source says beyond the fields of an event: its `properties`, kept as the JSON text that they came as.

Nobody pays for them who does not ask: a record that is an object with its properties in it is kept as it is.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

_NONE: Final = msgspec.Raw(b"")


class _Told(msgspec.Struct, gc=False):
    """The two fields in which Segment's calls have them: an identify call has traits."""

    properties: msgspec.Raw = _NONE
    traits: msgspec.Raw = _NONE


_told: Final = msgspec.json.Decoder(_Told).decode
_encode: Final = msgspec.json.Encoder().encode
_any: Final = msgspec.json.Decoder(float_hook=float).decode


def cut_out(record: bytes) -> bytes:
    """Return the properties of a record that has them in it, as JSON text; b"" where there are none."""
    try:
        told = _told(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""
    raw = bytes(told.properties) or bytes(told.traits)
    return raw if raw[:1] == b"{" else b""


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
