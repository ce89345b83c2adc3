"""Dead letters: what was rejected, why, and where it lies, so that it can be found and fed back."""

from __future__ import annotations

from base64 import b64encode
from typing import ClassVar, Literal

import msgspec

from operators.ids import digest
from operators.rejected import Reason, Rejected


class DeadLetter(msgspec.Struct):
    """A rejected record as published. `payload` is its head, as text or, where it is none, in base64."""

    stream: ClassVar[str] = "dead_letters"

    reason: Reason
    detail: str
    stage: str
    partition: str
    position: int
    event_id: str
    payload: str
    payload_encoding: Literal["utf-8", "base64"]
    rejected_at: str

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            digest("dead", self.partition, self.position, self.stage, self.event_id),
            f"io.nextmove.dead_letter.{self.reason}.v1",
            f"{self.partition}:{self.position}",
            self.rejected_at,
        )


def dead_letter(rejected: Rejected, rejected_at: str) -> DeadLetter:
    """Return `rejected` as published at the wall-clock time `rejected_at`."""
    payload_encoding: Literal["utf-8", "base64"] = "utf-8"
    try:
        payload = rejected.payload.decode()
    except UnicodeDecodeError:
        payload, payload_encoding = b64encode(rejected.payload).decode(), "base64"
    return DeadLetter(
        rejected.reason,
        rejected.detail,
        rejected.stage,
        rejected.partition,
        rejected.position,
        rejected.event_id,
        payload,
        payload_encoding,
        rejected_at,
    )
