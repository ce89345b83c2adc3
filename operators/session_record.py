"""Sessions as they are published."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec


class SessionRecord(msgspec.Struct, gc=False):
    """A session as published. Of several revisions of one `session_id` the highest counts."""

    stream: ClassVar[str] = "sessions"

    session_id: str
    visitor_id: str
    profile_id: str
    channel: str
    state: Literal["closed", "merged"]
    started_at: str
    ended_at: str
    duration_ms: int
    events: int
    pages: int
    products: int
    entry_url: str
    exit_url: str
    referrer: str
    campaign: str
    bounced: bool
    converted: bool
    orders: int
    order_value: float
    currency: str
    client_session_id: str
    merged_into: str
    revision: int

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"{self.session_id}.{self.revision}",
            f"io.nextmove.session.{self.state}.v1",
            self.profile_id,
            self.ended_at,
        )
