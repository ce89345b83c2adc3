"""What the pipeline asks of its stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from operators.event import Event


class IdentityStore(Protocol):
    """Who is who: identifiers to leads. Linking is idempotent, so a replay is harmless."""

    is_private: bool
    """Whether nobody else links: what was read stays true until the next link."""

    def look_up(self, events: Sequence[Event]) -> dict[str, str]:
        """Return all that is known of the identifiers of `events`, in one round trip.

        The events are of one partition, in order; what that partition itself has linked after the first of them, in a
        run that was cut off, is not known yet.
        """

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:
        """Store identifiers and their leads as `event` says, all or none.

        `known` is what they were planned on. Returns what others have made of these identifiers since, "" where there
        is nothing any more; empty where the links are stored.
        """

    def changes(self) -> list[tuple[str, str]]:
        """Return what has changed since the last call, if a checkpoint is to hold it."""

    def live(self) -> Iterator[tuple[str, str]]:
        """Iterate over all that a checkpoint is to hold."""

    def restore(self, name: str, lead: str) -> None:
        """Take back a link from a checkpoint."""
