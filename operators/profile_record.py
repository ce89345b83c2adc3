"""Profiles as they are published."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from operators.ids import digest
from operators.wire import Count, Instant, Name


class ProfileRecord(msgspec.Struct):
    """A profile as published when it expires."""

    stream: ClassVar[str] = "profiles"

    profile_id: Name
    """Who it was."""
    state: Literal["expired"]
    """It was forgotten, for nothing was heard of them for the time that profiles are kept."""
    anonymous_ids: list[str]
    """Their devices."""
    known: bool
    """Whether they were a lead."""
    first_seen_at: Instant
    """When they were first heard of."""
    last_seen_at: Instant
    """When they were last heard of."""
    visits: Count
    """How many visits they made."""
    top_category: str
    """The product category that they were most interested in of late, "" for none."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            digest("profile", self.profile_id, self.state, self.last_seen_at),
            f"io.nextmove.profile.{self.state}.v1",
            self.profile_id,
            self.last_seen_at,
        )


class Tombstone(msgspec.Struct):
    """Has compacted topics forget a profile that was erased: in Kafka a record without a value."""

    stream: ClassVar[str] = "profiles"

    profile_id: Name
    """Who is to be forgotten."""
    request_id: Name
    """The request by which they were erased."""
    erased_at: Instant
    """When that was asked."""
    state: Literal["erased"] = "erased"
    """All of it is gone."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        id_ = digest("profile", self.profile_id, self.state, self.request_id)
        return id_, "io.nextmove.profile.erased.v1", self.profile_id, self.erased_at
