"""Sessions as they are published."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from operators.wire import Count, Instant, Name, Ordinal


class SessionRecord(msgspec.Struct, gc=False):
    """A session as published. Of several revisions of one `session_id` the highest counts."""

    stream: ClassVar[str] = "sessions"

    session_id: Name
    """Names the visit through all its revisions."""
    visitor_id: Name
    """Whose visit: the anonymous id, or what stands for one (a caller's number as a hash, a user id)."""
    profile_id: Name
    """Whose it is by now: the lead's, or the visitor's as long as nobody knows them."""
    channel: Name
    """Where they were: web, app, phone, sms, chat, email, social or server."""
    state: Literal["closed", "merged"]
    """"closed", or "merged": it turned out to be part of another visit and has no events of its own any more."""
    started_at: Instant
    """Instant of the first event."""
    ended_at: Instant
    """Instant of the last event, not of the time-out after it."""
    duration_ms: Count
    """From the first event to the last, in milliseconds."""
    events: Count
    """How many events it has."""
    pages: Count
    """How many of them are pages and screens viewed."""
    products: Count
    """How many of them are products viewed."""
    entry_url: str
    """The first address of the visit as the client told it, "" where none was told."""
    exit_url: str
    """The last one."""
    referrer: str
    """Where the first page was come to from, as the client told it; "" where it did not."""
    campaign: str
    """The first campaign that an event named, "" for none."""
    bounced: bool
    """Whether it was shorter than ten seconds, with less than two pages and no order."""
    converted: bool
    """Whether something was ordered."""
    orders: Count
    """How many orders were completed."""
    order_value: float
    """What they were worth together, in `currency`."""
    currency: str
    """ISO 4217 code as the shop told it, "" where it did not."""
    client_session_id: str
    """The client's own id of the session, "" where it has none."""
    merged_into: str
    """The `session_id` of the visit that it is part of, of a merged one; else ""."""
    revision: Ordinal
    """Counts how often it was published."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"{self.session_id}.{self.revision}",
            f"io.nextmove.session.{self.state}.v1",
            self.profile_id,
            self.ended_at,
        )
