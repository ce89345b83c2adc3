"""A profile as state: what is kept of one person, and how it travels."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from operators.cart import Carts
from operators.decision import Memory
from operators.event import Event
from operators.footprint import Footprint
from operators.ids import digest
from operators.session import Session


class Track(msgspec.Struct, array_like=True, gc=False):
    """The half of a profile that depends on the order of events."""

    sessions: list[Session] = []
    carts: Carts = msgspec.field(default_factory=Carts)
    memory: Memory = msgspec.field(default_factory=Memory)
    pending: list[Event] = []


class Guest(msgspec.Struct, array_like=True, gc=False):
    """A visitor's track until the watermark reaches `at`, the instant the visitor became known."""

    at: int
    profile_id: str
    visitor_id: str
    anonymous_ids: dict[str, int]
    track: Track


class HandOver(msgspec.Struct, array_like=True, gc=False):
    """The state of profile `profile_id` goes to the lead `to`, as of the link at `at`.

    `visitor_id` is what the visitor's own events name it by, `event_id` the event that makes the link and `mark`
    that event's: the state arrives just before it, `order` tells in which order where there are several.
    """

    profile_id: str
    visitor_id: str
    to: str
    at: int
    event_id: str = ""
    mark: int = -1
    order: int = 0


class Profile(msgspec.Struct, array_like=True, gc=False):
    """All that is known of one person. `last_at` comes first: a sweep for what is over reads no further.

    `due_at` is a lower bound: nothing happens before it, and something may at it. `visited_at` is the last event
    on a channel that people visit, and `visits` counts pauses longer than the session gap and the allowed
    lateness together: of those no straggler in time makes one visit, save one in the very middle.
    `anonymous_ids` has the instant at which each was first seen.
    """

    last_at: int
    due_at: int
    first_at: int
    visited_at: int
    visits: int
    anonymous_ids: dict[str, int]
    track: Track
    footprint: Footprint
    guests: list[Guest] = []


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
