"""Records as CloudEvents 1.0 in structured JSON, one a line (contracts section 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from connectors.dead_letter import DeadLetter, dead_letter
from operators.cart_record import CartRecord
from operators.event import rfc3339
from operators.identity_record import IdentityRecord
from operators.profile_record import ProfileRecord
from operators.rejected import Rejected
from operators.session_record import SessionRecord
from operators.trigger import Suppressed, Trigger

Record = SessionRecord | CartRecord | Trigger | Suppressed | IdentityRecord | ProfileRecord | Rejected

STREAMS: Final = (
    "sessions",
    "carts",
    "triggers",
    "suppressed",
    "identity",
    "profiles",
    "dead_letters",
)
"""What is published, in the order of the journey: one file or topic each."""


class CloudEvent(msgspec.Struct, gc=False):
    """The attributes of contracts section 5 around a record's data."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: Any


class Encoder:
    """Encodes records for one dataflow, whose `source` attribute they all bear.

    `now` gives the wall-clock instant (ms) that triggers bear as `emitted_at`.
    """

    def __init__(self, source: str, now: Callable[[], int]) -> None:
        """Keep the source and the clock."""
        self._source, self._now = source, now
        self._encode = msgspec.json.Encoder().encode

    def encode(self, records: list[Record]) -> dict[str, bytes]:
        """Return the lines of `records` by stream, in their order."""
        lines: dict[str, list[bytes]] = {}
        emitted_at = ""
        for record in records:
            data: Any = record
            if type(record) is Trigger:
                emitted_at = emitted_at or rfc3339(self._now())
                record.emitted_at = emitted_at
            elif type(record) is Rejected:
                data = dead_letter(record, rfc3339(self._now()))
            id_, type_, subject, time = data.cloud_event
            event = CloudEvent("1.0", id_, self._source, type_, subject, time, "application/json", data)
            lines.setdefault(data.stream, []).append(self._encode(event))
        return {stream: b"\n".join(parts) + b"\n" for stream, parts in lines.items()}


__all__ = ["STREAMS", "CloudEvent", "DeadLetter", "Encoder", "Record"]
