"""What the pipeline asks of its stores, and of all that it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from operators.event import Event


class HandOvers(Protocol):
    """What a lead who has become another one leaves to it, by a tag that is never used again."""

    def give(self, tag: str, state: bytes) -> None:
        """Leave a state there for some days, if anything outlives the process; giving it again is harmless."""

    def take(self, tags: Sequence[str]) -> dict[str, bytes]:
        """Return the states of those tags that are there, in one round trip."""

    def forget(self, lead: str) -> None:
        """Let go of all that a lead has left to others: its tags begin with it and an @."""


class IdentityStore(HandOvers, Protocol):
    """Who is who: identifiers to leads. Linking is idempotent, so a replay is harmless."""

    is_private: bool
    """Whether nobody else links: what was read stays true until the next link."""
    clock: int
    """How many links there were when it was last asked who is who; 0 where it is private."""
    linked_at: int
    """What the clock was with the last link."""

    def look_up(self, events: Sequence[Event], as_of: int | None = None) -> dict[str, str]:
        """Return all that is known of the identifiers of `events`, in one round trip.

        The events are of one partition, in order; what that partition itself has linked after the first of them, in a
        run that was cut off, is not known yet. With `as_of`, nothing is that was linked when the clock stood higher.
        """

    def find(self, names: Sequence[str], event: Event, as_of: int | None = None) -> dict[str, str]:
        """Return what is known of some names, whatever they are, as `event` sees it; as `look_up` otherwise."""

    def identifiers_of(self, lead: str) -> list[str]:
        """Return what is kept of a lead's identifiers: themselves, or their digests."""

    def erase(self, names: Sequence[str], known: Mapping[str, str], lead: str, event: Event) -> list[str] | None:
        """Forget a lead, "" for none, with all identifiers that it was given, and `names`, all or none.

        What was `known` of the lead is what it was planned on. For some days it is remembered of each identifier, by a
        digest, up to when it was erased: that is when `event` was. Returns the lead and all who had become it, the same
        for the same event; None where another process has changed the lead since.
        """

    def read_clock(self) -> int:
        """Return how many links there are now; 0 where it is private."""

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:
        """Store identifiers and their leads as `event` says, all or none.

        An identifier linked to "" is nobody's from then on. `known` is what they were planned on. Returns what others
        have made of these identifiers since, "" where there is nothing any more, with what `erasure.marked` says of
        those that were erased; empty where the links are stored.
        """

    def changes(self) -> list[tuple[str, str]]:
        """Return what has changed since the last call, if a checkpoint is to hold it."""

    def live(self) -> Iterator[tuple[str, str]]:
        """Iterate over all that a checkpoint is to hold."""

    def restore(self, name: str, lead: str) -> None:
        """Take back a link from a checkpoint."""


class Dependency(Protocol):
    """What a run needs and cannot start by itself; read from another thread, and never to raise."""

    @property
    def is_away(self) -> bool:
        """Whether it does not answer now, and the flow waits for it."""

    @property
    def errors(self) -> int:
        """Errors so far, those included that a retry has mended."""


class LiveSource(Dependency, Protocol):
    """Where records come from."""

    def lags(self) -> Mapping[str, int]:
        """Return how many records each partition has that are not read yet, by its name: `topic/3`."""

    def lag_seconds(self) -> Mapping[str, float]:
        """Return for how long the oldest record that is not read yet has waited, by topic; 0 where all are read."""


class LiveSink(Dependency, Protocol):
    """Where records go."""

    @property
    def queued(self) -> int:
        """Records handed over and not acknowledged yet."""


class SharedStore(Dependency, Protocol):
    """The identity store that processes share."""

    @property
    def resets(self) -> int:
        """Times that it was found empty after it had held something."""
