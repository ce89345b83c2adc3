"""Calls: the legs that telephone systems tell of, assembled; one call of one customer, whatever was done with it.

Theory of operation
-------------------
A call is a set of legs that share ids (`operators/leg.py`). What is known of a leg (`operators/leg_track.py`) merges by
minimum, maximum and union, so the call that follows from it (`operators/call_course.py`) is the same for every order of
the records, repeats included. `operators/call_assembly.py` says what is told of it, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mypy_extensions import mypyc_attr

from operators import leg_track
from operators.event import FOREVER
from operators.leg import Leg
from operators.leg_track import Track, either

LEGS_MAX: Final = 100
"""Legs of one call; what would have more is another one. An id that systems use again would make all calls one."""


@mypyc_attr(acyclic=True)
class Call:
    """A call as state.

    `ids` are all that its legs share. `call_id` is what it is called outside, from the first that is told of it on;
    `told` are the moments of it that were told. `closed_at` is up to when it lasted as it was published last, -1
    before that; `published` that record as a row, to see whether a late one says anything new. `changed` says that
    something came since. Its records are of the instants from `first_at` to `top_at`; `source` is the partition of the
    last one. `who` names the customer where another system than a telephone one has told of the call: visitor,
    anonymous id, user id, address and number.
    """

    call_id: str = ""
    provider: str = ""
    source: str = ""
    revision: int = 0
    closed_at: int = -1
    first_at: int = FOREVER
    top_at: int = -1
    changed: bool = True

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.legs: dict[str, Track] = {}
        self.told: set[str] = set()
        self.published: list[Any] = []
        self.who: list[str] = []
        self.merged: list[tuple[str, int]] = []
        """Calls that were told of and are part of this one, to be taken back, with their last revisions."""

    def take(self, leg: Leg, at: int, source: str) -> None:
        """Take in a record on one leg, of the instant `at`."""
        self.ids.update(leg.calls)
        self.ids.add(leg.leg_id)
        track = self.legs.get(leg.leg_id)
        if track is None:
            track = self.legs[leg.leg_id] = Track(leg.leg_id)
        track.take(leg, at)
        self.provider, self.source = either(self.provider, leg.provider), source
        self.first_at, self.top_at = min(self.first_at, at), max(self.top_at, at)
        self.changed = True

    def absorb(self, other: Call) -> None:
        """Take in a call that turned out to be part of this one."""
        self.ids |= other.ids
        for leg_id, track in other.legs.items():
            mine = self.legs.get(leg_id)
            if mine is None:
                self.legs[leg_id] = track
            else:
                mine.merge(track)
        self.provider = either(self.provider, other.provider)
        self.first_at, self.top_at = min(self.first_at, other.first_at), max(self.top_at, other.top_at)
        self.changed = True
        self.who = self.who or other.who
        self.merged += other.merged
        if other.call_id and other.call_id != self.call_id:
            if self.call_id:
                self.merged.append((other.call_id, other.revision))
            else:
                self.call_id, self.told = other.call_id, other.told
                self.revision, self.published = other.revision, other.published
                self.closed_at = other.closed_at

    def ordered(self) -> list[Track]:
        """Return its legs by when they began."""
        return sorted(self.legs.values(), key=_by_beginning)

    def pack(self) -> list[Any]:
        """Return the call as a row."""
        return [
            sorted(self.ids),
            [track.pack() for track in self.legs.values()],
            sorted(self.told),
            self.call_id,
            self.provider,
            self.source,
            self.revision,
            self.closed_at,
            self.first_at,
            self.top_at,
            self.changed,
            self.published,
            [list(one) for one in self.merged],
            self.who,
        ]


def unpack(row: Sequence[Any]) -> Call:
    """Make a call of the row that its `pack` gave."""
    call = Call()
    call.ids = set(row[0])
    for told in row[1]:
        track = leg_track.unpack(told)
        call.legs[track.leg_id] = track
    call.told = set(row[2])
    call.call_id, call.provider, call.source = row[3:6]
    call.revision, call.closed_at, call.first_at, call.top_at, call.changed = row[6:11]
    call.published, call.who = list(row[11]), list(row[13])
    call.merged = [(one[0], one[1]) for one in row[12]]
    return call


def _by_beginning(track: Track) -> tuple[int, str]:
    return track.began_at, track.leg_id
