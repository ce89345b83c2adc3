"""A profile as state: what is kept of one person, and how it travels and rests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from mypy_extensions import mypyc_attr

from operators import cart_state, event, footprint, past, session
from operators import memory as memories
from operators.cart_state import Carts
from operators.event import FOREVER, Event
from operators.footprint import Footprint
from operators.ids import digest
from operators.memory import Memory
from operators.packing import Row, ago, instant, long_name, padded, short_name, trim
from operators.past import Past
from operators.session import Session

MINUTE_MS: Final = 60_000

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode
# The first field alone, all that a sweep for what is over has to read.
_Header: Final[Any] = msgspec.defstruct("_Header", [("last_at", int)], array_like=True, gc=False)
_decode_header: Final = msgspec.msgpack.Decoder(_Header).decode


@mypyc_attr(acyclic=True)
class Track:
    """The half of a profile that depends on the order of events."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.carts = Carts()
        self.memory = Memory()
        self.pending: list[Event] = []
        self.past: Past | None = None

    def pack(self, base: int, names: dict[str, int]) -> Row:
        """Return the track as a row; instants count back from `base`, a visitor among `names` is a number."""
        return trim(
            [
                [one.pack(base, names) for one in self.sessions],
                self.carts.pack(base, names),
                self.memory.pack(base),
                [one.pack() for one in self.pending],
                [] if self.past is None else self.past.pack(),
            ],
            _NO_TRACK,
        )


_NO_TRACK: Final[Row] = [[], [], [], [], []]


def _unpack_track(row: Row, base: int, names: Sequence[str]) -> Track:
    sessions, carts, memory, pending, kept = padded(row, _NO_TRACK)
    track = Track()
    for told in sessions:
        track.sessions.append(session.unpack(told, base, names))
    if carts:
        track.carts = cart_state.unpack(carts, base, names)
    if memory:
        track.memory = memories.unpack(memory, base)
    for told in pending:
        track.pending.append(event.unpack(told))
    if kept:
        track.past = past.unpack(kept)
    return track


@mypyc_attr(acyclic=True)
class Guest:
    """A visitor's track until the watermark reaches `at`, the instant the visitor became known.

    Or a lead's, until it became another one: its `visitor_id` is empty, and it may have guests itself. `event_id` is
    the event that made the link.
    """

    def __init__(
        self,
        at: int,
        profile_id: str,
        visitor_id: str,
        anonymous_ids: dict[str, int],
        track: Track,
        guests: list[Guest],
        event_id: str,
    ) -> None:
        self.at = at
        self.profile_id = profile_id
        self.visitor_id = visitor_id
        self.anonymous_ids = anonymous_ids
        self.track = track
        self.guests = guests
        self.event_id = event_id

    def pack(self, base: int, names: dict[str, int]) -> Row:
        """Return the guest as a row; instants count back from `base`, a visitor among `names` is a number."""
        row: Row = [
            base - self.at,
            short_name(self.profile_id, names),
            short_name(self.visitor_id, names),
            {key: base - at for key, at in self.anonymous_ids.items()},
            self.track.pack(base, names),
            [guest.pack(base, names) for guest in self.guests],
            self.event_id,
        ]
        return trim(row, _NO_GUEST)


def link_order(guest: Guest) -> tuple[int, str]:
    """Return the order in which guests are linked."""
    return guest.at, guest.profile_id


_NO_GUEST: Final[Row] = [None, None, None, None, None, [], ""]


def _unpack_guest(row: Row, base: int, names: Sequence[str]) -> Guest:
    at, profile_id, visitor_id, devices, track, guests, event_id = padded(row, _NO_GUEST)
    anonymous_ids: dict[str, int] = {}
    for key in devices:
        anonymous_ids[key] = base - devices[key]
    guest = Guest(
        base - at,
        long_name(profile_id, names),
        long_name(visitor_id, names),
        anonymous_ids,
        _unpack_track(track, base, names),
        [],
        event_id,
    )
    for told in guests:
        guest.guests.append(_unpack_guest(told, base, names))
    return guest


@mypyc_attr(acyclic=True)
class HandOver:
    """The state of profile `profile_id` goes to the lead `to`, as of the link at `at`.

    `visitor_id` is what the visitor's own events name it by, `event_id` the event that makes the link: the state
    arrives just before it, `order` tells in which order where there are several. `linked_at` is the store's clock with
    the link, `mark` the visitor's watermark then, `lead_mark` the lead's. `life` is that of the process that has read
    the event, where it would not read just so again: what one life has left in a store is not for another one.

    With a `part`, the id of a request, not all goes but what `names`, identifiers, have brought.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- as the one who makes it has it
        self,
        profile_id: str,
        visitor_id: str,
        to: str,
        at: int,
        event_id: str = "",
        order: int = 0,
        linked_at: int = 0,
        mark: int = -1,
        lead_mark: int = -1,
        life: str = "",
        part: str = "",
        names: Sequence[str] = (),
    ) -> None:
        self.profile_id = profile_id
        self.visitor_id = visitor_id
        self.to = to
        self.at = at
        self.event_id = event_id
        self.order = order
        self.linked_at = linked_at
        self.mark = mark
        self.lead_mark = lead_mark
        self.life = life
        self.part = part
        self.names = names

    @property
    def tag(self) -> str:
        """What tells it from any other; before the @ stands who is erased with it: of a part, who it is by now."""
        if self.part:
            return f"{self.to}@{self.linked_at}{self.life}{digest('part', self.part)[:16]}"
        return f"{self.profile_id}@{self.linked_at}{self.life}"


@mypyc_attr(acyclic=True)
class Profile:
    """All that is known of one person.

    `due_at` is a lower bound: nothing happens before it, and something may at it. `visited_at` is the last event
    on a channel that people visit, and `visits` counts pauses longer than the session gap and the allowed
    lateness together: of those no straggler in time makes one visit, save one in the very middle.
    `anonymous_ids` has the instant at which each was first seen. `timer_at` is when the host will wake it: the
    host's own note, which is not packed. `count` are the events of the `minute` (since the epoch) of its latest one,
    `count_before` those of the minute before; until `bot_until` the profile is a bot's (`operators/rate.py`).
    """

    due_at: int = FOREVER
    timer_at: int = FOREVER
    visits: int = 1
    count: int = 1
    count_before: int = 0
    bot_until: int = -1

    def __init__(self, at: int) -> None:
        self.last_at = at
        self.minute = at // MINUTE_MS
        self.first_at = at
        self.visited_at = at
        self.anonymous_ids: dict[str, int] = {}
        self.track = Track()
        self.footprint = Footprint()
        self.guests: list[Guest] = []


_NO_PROFILE: Final[Row] = [0, 0, 0, 0, [], [], [], None, [], 1, 0, 0, None]


def pack(key: str, profile: Profile) -> bytes:
    """Return the profile `key` as it rests and travels: msgpack, its last instant first."""
    base = profile.last_at
    names = {key: 0}
    devices: Row = []
    for anonymous_id, first_at in profile.anonymous_ids.items():
        devices += (short_name(anonymous_id, names), base - first_at)
        names.setdefault(anonymous_id, len(names))
    row: Row = [
        base,
        base - profile.first_at,
        base - profile.visited_at,
        profile.visits,
        devices,
        profile.track.pack(base, names),
        profile.footprint.pack(base),
        ago(base, profile.due_at),
        [guest.pack(base, names) for guest in profile.guests],
        profile.count,
        profile.count_before,
        base // MINUTE_MS - profile.minute,
        ago(base, profile.bot_until),
    ]
    raw: bytes = _encode(trim(row, _NO_PROFILE))
    return raw


def unpack(key: str, raw: bytes) -> Profile:
    """Make a profile of the bytes that `pack` gave."""
    told: Any = _decode(raw)
    base, first, visited, visits, devices, track, seen, due, guests, *rate = padded(told, _NO_PROFILE)
    profile = Profile(base)
    profile.first_at = base - first
    profile.visited_at = base - visited
    profile.visits = visits
    names = [key]
    for i in range(0, len(devices), 2):
        anonymous_id = long_name(devices[i], names)
        profile.anonymous_ids[anonymous_id] = base - devices[i + 1]
        if anonymous_id != key:
            names.append(anonymous_id)
    profile.track = _unpack_track(track, base, names)
    if seen:
        profile.footprint = footprint.unpack(seen, base)
    profile.due_at = instant(base, due, FOREVER)
    for guest in guests:
        profile.guests.append(_unpack_guest(guest, base, names))
    profile.count, profile.count_before, back, until = rate
    profile.minute -= back
    profile.bot_until = instant(base, until, -1)
    return profile


def last_at(raw: bytes) -> int:
    """Return when the packed profile had its last event, without unpacking it."""
    at: int = _decode_header(raw).last_at
    return at
