"""Profiles as they are published."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from operators.ids import digest


class ProfileRecord(msgspec.Struct):
    """A profile as published when it expires."""

    stream: ClassVar[str] = "profiles"

    profile_id: str
    state: Literal["expired"]
    anonymous_ids: list[str]
    known: bool
    first_seen_at: str
    last_seen_at: str
    visits: int
    top_category: str

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

    profile_id: str
    request_id: str
    erased_at: str
    state: Literal["erased"] = "erased"

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        id_ = digest("profile", self.profile_id, self.state, self.request_id)
        return id_, "io.nextmove.profile.erased.v1", self.profile_id, self.erased_at
