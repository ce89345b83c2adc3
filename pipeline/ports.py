"""What the pipeline asks of its stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from operators.event import Event


class IdentityStore(Protocol):
    """Who is who: identifiers to leads. Linking is idempotent, so a replay is harmless."""

    def look_up(self, events: Sequence[Event]) -> dict[str, str]:
        """Return all that is known of the identifiers of `events`, in one round trip.

        The mapping also shows what `link` stores while the batch is worked on.
        """

    def link(self, links: Mapping[str, str]) -> None:
        """Store identifiers and their leads, all or none."""
