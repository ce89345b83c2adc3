"""What the pipeline asks of its parts: pure operators on one side, stores on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from operators.event import Event
from operators.profile import Output
from operators.profile_state import HandOver, Profile


class Operator(Protocol):
    """A pure operator on profiles: no clock, no randomness, no I/O, no engine.

    Its methods may change the state they are given and return it. A state of None means: forget the key.
    """

    retention_ms: int
    """A profile is over this long after its last event."""

    def on_event(
        self, key: str, profile: Profile | None, event: Event, watermark: int
    ) -> tuple[Profile | None, list[Output]]:
        """Take in one event; `watermark` is the instant up to which event time is complete."""

    def on_timer(self, key: str, profile: Profile, now: int) -> tuple[Profile | None, list[Output]]:
        """Do all that is due up to the instant `now`, that included."""

    def due_at(self, profile: Profile) -> int:
        """Return the instant, or an earlier one, at which `on_timer` next has something to do."""

    def absorb(self, profile: Profile | None, visitor: Profile | None, handover: HandOver) -> Profile:
        """Join a visitor's state into a lead's; commutative with events and other hand-overs."""

    def expire(self, key: str, profile: Profile) -> list[Output]:
        """Return the last records of a profile that is over."""


class IdentityStore(Protocol):
    """Who is who: identifiers to leads. Linking is idempotent, so a replay is harmless."""

    def look_up(self, events: Sequence[Event]) -> Mapping[str, str]:
        """Return all that is known of the identifiers of `events`, in one round trip.

        The mapping also shows what `link` stores while the batch is worked on.
        """

    def link(self, links: Mapping[str, str]) -> None:
        """Store identifiers and their leads, all or none."""
