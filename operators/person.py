"""One person behind a profile: which devices, and which tracks are theirs."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from operators.event import FOREVER, Event
from operators.identity import names_person
from operators.profile_state import Guest, Profile, Track

# Nobody has so many devices; what clears its cookies at every visit is listed by its first twenty.
ANONYMOUS_IDS_MAX: Final = 20


@mypyc_attr(acyclic=True)
class Person:
    """Who a decision is for: `assignment_id` is the first anonymous id, kept through merges.

    Two who share a device from their first day on have the same one. `first_at`, when each was first seen there (-1:
    on no device), tells them apart.
    """

    def __init__(self, profile_id: str, anonymous_ids: list[str], assignment_id: str, first_at: int) -> None:
        self.profile_id = profile_id
        self.anonymous_ids = anonymous_ids
        self.assignment_id = assignment_id
        self.first_at = first_at


def tracks(profile: Profile) -> list[Track]:
    """Return all tracks of a person, its own first."""
    if not profile.guests:
        return [profile.track]
    return [profile.track, *[guest.track for guest in guests_of(profile.guests)]]


def track_of(profile: Profile, event: Event, watermark: int) -> tuple[Track, dict[str, int]]:
    """Return the guest's track and ids for what a visitor did before becoming known, else the profile's own.

    If `event` itself names the person, before what came first did, the visitor is known from it on.
    """
    if event.at > watermark and names_person(event):
        _link_sooner(profile, event)
    for guest in guests_of(profile.guests):
        if event.at < guest.at and is_of(guest, event, profile.anonymous_ids):
            return guest.track, guest.anonymous_ids
    return profile.track, profile.anonymous_ids


def guests_of(guests: list[Guest]) -> list[Guest]:
    """Return the guests and theirs, these first."""
    found: list[Guest] = []
    for guest in guests:
        if guest.guests:
            found += guests_of(guest.guests)
        found.append(guest)
    return found


def is_of(guest: Guest, event: Event, anonymous_ids: dict[str, int]) -> bool:
    """Whether `event` was the guest's, had it come in time. A lead is known by its devices and its address.

    A device that its host, who has the `anonymous_ids`, had too was of whom it came to last.
    """
    if guest.visitor_id:
        return event.visitor_id == guest.visitor_id
    since = guest.anonymous_ids.get(event.anonymous_id)
    if since is not None:
        host_since = anonymous_ids.get(event.anonymous_id, FOREVER)
        return host_since > event.at or host_since <= since <= event.at
    track, email = guest.track, event.email
    return bool(email) and email in {track.memory.email, *[held.email for held in track.pending]}


def _link_sooner(profile: Profile, event: Event) -> None:
    """Have a visitor be known from `event` on, which names the person: what came first told of a later link."""
    for guest in guests_of(profile.guests):
        if guest.visitor_id and guest.visitor_id == event.visitor_id and event.at < guest.at:
            guest.at, guest.event_id = event.at, event.event_id
            profile.due_at = min(profile.due_at, event.at)


def _first(anonymous_ids: dict[str, int]) -> str:
    if len(anonymous_ids) < 2:
        return next(iter(anonymous_ids), "")
    return min(anonymous_ids, key=lambda i: (anonymous_ids[i], i))


def person(profile_id: str, anonymous_ids: dict[str, int]) -> Person:
    """Return whom decisions are for; without an anonymous id the profile id stands in for the first one."""
    first = _first(anonymous_ids)
    return Person(profile_id, sorted(anonymous_ids), first or profile_id, anonymous_ids.get(first, -1))


def everyone(key: str, profile: Profile) -> Person:
    """Return the person with all devices known so far, guests included."""
    ids = dict(profile.anonymous_ids)
    for guest in guests_of(profile.guests):
        for anonymous_id, first_at in guest.anonymous_ids.items():
            add_anonymous_id(ids, anonymous_id, first_at)
    return person(key, ids)


def add_anonymous_id(anonymous_ids: dict[str, int], anonymous_id: str, at: int) -> None:
    """Note that a device was seen at `at`."""
    known_at = anonymous_ids.get(anonymous_id)
    if known_at is not None:
        anonymous_ids[anonymous_id] = min(at, known_at)
    elif len(anonymous_ids) < ANONYMOUS_IDS_MAX:
        anonymous_ids[anonymous_id] = at
