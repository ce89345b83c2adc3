"""Events held back until the watermark has passed them: in which order they are applied, and whose they are."""

from __future__ import annotations

from typing import Final

from operators.event import Event
from operators.person import is_of
from operators.profile_state import Guest, Profile


def take_along(profile: Profile, guest: Guest) -> None:
    """Give a guest what came before it and is still held: what it did before the link, and another shard read."""
    track = profile.track
    early: list[Event] = []
    others: list[Event] = []
    for event in track.pending:
        if event.at < guest.at and is_of(guest, event, profile.anonymous_ids):
            early.append(event)
        else:
            others.append(event)
    if early:
        track.pending = others
        guest.track.pending = sorted(guest.track.pending + early, key=application_order)


# Of one instant, what fills a cart comes first and what buys it last: a swap of the only line, told with one
# timestamp, does not empty the cart, and an order buys what was added with it.
_RANK: Final = {"product_added": 0, "order_completed": 2}


def application_order(event: Event) -> tuple[int, int, str]:
    """Return the order of application: by time, then by rank, then by id."""
    return event.at, _RANK.get(event.kind, 1), event.event_id
