"""What is kept of a profile, in words and numbers that people and their programs can read."""

from __future__ import annotations

from typing import Any

from operators.cart_state import Cart
from operators.event import rfc3339
from operators.person import guests_of
from operators.profile_state import Profile, Track
from operators.session import Session


def summary(profile: Profile) -> dict[str, Any]:
    """Say in numbers what is kept of a profile, and name its devices."""
    tracks = _tracks(profile)
    return {
        "first_seen_at": rfc3339(profile.first_at),
        "last_seen_at": rfc3339(profile.last_at),
        "visits": profile.visits,
        "anonymous_ids": _devices(profile),
        "emails": sorted({track.memory.email for track in tracks if track.memory.email}),
        "sessions": sum([len(track.sessions) for track in tracks]),
        "carts": sum([len(track.carts.carts) for track in tracks]),
        "events_held": sum([len(track.pending) for track in tracks]),
        "products_seen": len(profile.footprint.products),
    }


def portrait(profile: Profile) -> dict[str, Any]:
    """Say all that is kept of a profile."""
    tracks, seen = _tracks(profile), profile.footprint
    return summary(profile) | {
        "sessions": [_session(one) for track in tracks for one in track.sessions],
        "carts": [_cart(one) for track in tracks for one in track.carts.carts],
        "browsing": [
            {"product_id": one.product_id, "name": one.name, "views": one.views, "at": rfc3339(one.changed_at)}
            for track in tracks
            if (one := track.carts.browse) is not None
        ],
        "events_held": [one.event_id for track in tracks for one in track.pending],
        "consents": {
            channel: {"given": given, "since": rfc3339(since)}
            for track in tracks
            for channel, (since, given) in track.memory.consents.items()
        },
        "contacted": {what: rfc3339(at) for track in tracks for what, at in track.memory.fired.items()},
        "declined_at": [rfc3339(track.memory.declined_at) for track in tracks if track.memory.declined_at >= 0],
        "pages": [
            {"path": one.path, "visits": one.visits, "dwell_ms": one.dwell_ms, "last_at": rfc3339(one.last_at)}
            for one in seen.pages.values()
        ],
        "products": {id_: {"views": one.views, "last_at": rfc3339(one.last_at)} for id_, one in seen.products.items()},
        "categories": {name: round(one.score, 3) for name, one in seen.categories.items()},
        "searches": {query: rfc3339(at) for query, at in seen.searches.items()},
    }


def _tracks(profile: Profile) -> list[Track]:
    return [profile.track, *[guest.track for guest in guests_of(profile.guests)]]


def _devices(profile: Profile) -> list[str]:
    ids = set(profile.anonymous_ids)
    for guest in guests_of(profile.guests):
        ids.update(guest.anonymous_ids)
    return sorted(ids)


def _session(one: Session) -> dict[str, Any]:
    return {
        "visitor_id": one.visitor_id,
        "channel": one.channel,
        "started_at": rfc3339(one.started_at),
        "ended_at": rfc3339(one.ended_at),
        "events": one.events,
        "pages": one.pages,
        "entry_url": one.entry_url,
        "exit_url": one.exit_url,
        "referrer": one.referrer,
        "campaign": one.campaign,
        "orders": one.orders,
        "closed": one.closed,
    }


def _cart(one: Cart) -> dict[str, Any]:
    return {
        "cart_id": one.cart_id,
        "visitor_id": one.visitor_id,
        "state": one.state,
        "value": one.value,
        "currency": one.currency,
        "changed_at": rfc3339(one.changed_at),
        "lines": [
            {"product_id": line.product_id, "quantity": line.quantity, "price": line.price, "name": line.name}
            for line in one.lines
        ],
    }
