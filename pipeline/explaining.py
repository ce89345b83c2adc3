"""Finding out why something was sent, or was not: what was published is read, stream by stream.

Streams are read through, and of what they hold only what is about one person stays in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from connectors.published import Published
from operators.attribution_record import AttributionRecord
from operators.explanation import Explanation, Key, Occasion, occasion_of
from operators.identity_record import IdentityRecord, StitchedRecord
from operators.known_as import KnownAs
from operators.trigger import Retraction, Suppressed, Trigger

T = TypeVar("T")

RETRACTED: Final = "io.nextmove.trigger.retracted.v1"
# Where somebody is told of about whom nothing was decided.
OF_ANYBODY: Final = ("sessions", "calls", "profiles")


class Outputs(Protocol):
    """Where a run has published."""

    name: str

    def told(self, stream: str, ids: Collection[str] | None, since: int | None = None) -> Iterator[Published]:
        """Return the records of a stream that name any of `ids`, None for all; not those from long before `since`."""


class Window(NamedTuple):
    """Which decisions are meant: those whose cause came about from `since` on and before `until`.

    Both are RFC 3339, "" for none.
    """

    since: str = ""
    until: str = ""
    since_at: int | None = None
    """`since` in ms, None where there is none."""

    def takes(self, time: str) -> bool:
        """Tell whether an instant is one of them."""
        return self.since <= time and (not self.until or time < self.until)


class Why(msgspec.Struct):
    """An explanation, as programs get it."""

    profile_id: str
    """Who it is now."""
    ids: list[str]
    """By what they were known."""
    erased_at: str
    occasions: list[Occasion]
    is_cut: bool
    """Whether older occasions are left out."""
    unreadable: int
    """Records about them that are not as this version has them."""


class Explainer:
    """Reads what there is."""

    def __init__(self, outputs: Outputs, window: Window, limit: int) -> None:
        """Explain the latest `limit` occasions of a window."""
        self._outputs, self._window, self._limit = outputs, window, limit
        self._unreadable = 0

    def of_profile(self, asked: str) -> Why | None:
        """Explain what was decided for somebody; None where nobody is known by that id."""
        known = self._known(asked)
        why = self._why(known, lambda _: True)
        if why.occasions or known.is_known or self._is_heard_of(known):
            return why
        return None

    def of_trigger(self, trigger_id: str) -> Why | None:
        """Explain a trigger, sent or not, with the others that its causes led to; None where there is none."""
        keys, profiles = set[Key](), list[str]()
        for record in self._decisions([trigger_id]):
            if record.trigger_id == trigger_id:
                profiles.append(record.profile_id)
                if not isinstance(record, Retraction):
                    keys.add(occasion_of(record.cause))
        if not keys:
            return None
        return self._why(self._known(profiles[-1]), lambda key: key in keys)

    def _known(self, asked: str) -> KnownAs:
        """Find out by what somebody was known; each of their ids may lead to another one."""
        known, ids = KnownAs(asked), list[str]()
        while ids != known.ids:
            ids = known.ids
            known.take(self._read("identity", ids, _identity, since=None))
        return known

    def _why(self, known: KnownAs, is_wanted: Callable[[Key], bool]) -> Why:
        ids, names = known.ids, frozenset(known.ids)
        found, self._unreadable = Explanation(self._limit), 0
        for record in self._decisions(ids):
            if record.profile_id in names and (
                isinstance(record, Retraction)
                or (self._window.takes(record.cause.time) and is_wanted(occasion_of(record.cause)))
            ):
                found.take(record)
        for credit in self._read("attribution", ids, _credit, self._window.since_at):
            if credit.profile_id in names:
                found.take(credit)
        return Why(known.profile_id, ids, known.erased_at, found.occasions(), found.is_cut, self._unreadable)

    def _decisions(self, ids: Collection[str]) -> Iterator[Trigger | Suppressed | Retraction]:
        yield from self._read("triggers", ids, _trigger, self._window.since_at)
        yield from self._read("suppressed", ids, _suppressed, self._window.since_at)

    def _is_heard_of(self, known: KnownAs) -> bool:
        return any(next(self._outputs.told(stream, known.ids), None) is not None for stream in OF_ANYBODY)

    def _read(
        self, stream: str, ids: Collection[str], decode: Callable[[Published], T], since: int | None
    ) -> Iterator[T]:
        """Return records; those that cannot be read are counted."""
        for one in self._outputs.told(stream, ids, since):
            try:
                yield decode(one)
            except msgspec.ValidationError:
                self._unreadable += 1


def _trigger(one: Published) -> Trigger | Retraction:
    return _decoded(one, Retraction) if one.type == RETRACTED else _decoded(one, Trigger)


def _suppressed(one: Published) -> Suppressed:
    return _decoded(one, Suppressed)


def _credit(one: Published) -> AttributionRecord:
    return _decoded(one, AttributionRecord)


def _identity(one: Published) -> IdentityRecord:
    return _decoded(one, StitchedRecord)  # which has all that any of them has


def _decoded(one: Published, kind: type[T]) -> T:
    return msgspec.json.decode(one.data, type=kind)
