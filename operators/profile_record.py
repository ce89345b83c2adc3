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
