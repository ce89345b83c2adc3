"""The envelope in which libraries send calls: `{"batch": [...], "sentAt": ..., "context": ..., "writeKey": ...}`.

Source: Segment's HTTP tracking API; RudderStack's is the same. What the envelope says once holds for each call that
does not say it itself.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.formats.segment import TYPES

_CLOCKS: Final = ("sentAt", "receivedAt")
_OWN: Final = ("writeKey", "sentAt")
"""What Segment's libraries send beside the batch; RudderStack's send the key as a header."""


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is a batch of calls."""
    batch = told.get("batch")
    if not isinstance(batch, list):
        return False
    return any(name in told for name in _OWN) or any(
        isinstance(one, dict) and one.get("type") in TYPES for one in batch
    )


def parts(told: dict[str, Any], format_: str) -> tuple[str, list[Any]]:
    """Return the format of the calls, and them, completed by what the envelope says."""
    return format_, [_completed(one, told) if isinstance(one, dict) else one for one in told["batch"]]


def _completed(call: dict[str, Any], envelope: dict[str, Any]) -> dict[str, Any]:
    """Return a call with the clocks and the context of its envelope.

    Where a server has noted on the envelope when it received it, a call's `timestamp` is as the client's clock showed
    it: what Segment hands on as `originalTimestamp`.
    """
    whole = dict(call)
    if envelope.get("receivedAt") is not None and call.get("receivedAt") is None:
        _set(whole, "originalTimestamp", call.get("timestamp"))
    for name in _CLOCKS:
        _set(whole, name, envelope.get(name))
    context = envelope.get("context")
    if isinstance(context, dict):
        own = call.get("context")
        whole["context"] = context | own if isinstance(own, dict) else context
    return whole


def _set(call: dict[str, Any], name: str, value: object) -> None:
    if call.get(name) is None and value is not None:
        call[name] = value
