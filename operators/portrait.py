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
        "phones": sorted({track.memory.phone for track in tracks if track.memory.phone}),
        "zones": sorted({track.memory.zone for track in tracks if track.memory.zone}),
        "consents": {
            name: {"given": not refused, "since": rfc3339(since)}
            for track in tracks
            for name, (since, refused) in track.memory.consents.words.items()
        },
        "contacts": [
            {"what": kind, "channel": channel, "family": family, "action": action, "id": id_, "at": rfc3339(at)}
            for track in tracks
            for (kind, channel, family, action), line in track.memory.contacts.lines.items()
            for at, id_ in line.entries
        ],
        "calls": [call_id for track in tracks for call_id in track.memory.calls],
        "orders": [
            {"order_id": id_, "at": rfc3339(at), "value": value, "currency": currency}
            for track in tracks
            if track.memory.orders is not None
            for id_, (at, value, currency) in track.memory.orders.made.items()
        ],
        **_plans(tracks),
        "pages": [
            {"path": one.path, "visits": one.visits, "dwell_ms": one.dwell_ms, "last_at": rfc3339(one.last_at)}
            for one in seen.pages.values()
        ],
        "products": {id_: {"views": one.views, "last_at": rfc3339(one.last_at)} for id_, one in seen.products.items()},
        "categories": {name: round(one.score, 3) for name, one in seen.categories.items()},
        "searches": {query: rfc3339(at) for query, at in seen.searches.items()},
    }


def _plans(tracks: list[Track]) -> dict[str, Any]:
    plans = [track.memory.plans for track in tracks if track.memory.plans is not None]
    return {
        "waits": [{"rule": one.rule[0], "due_at": rfc3339(one.due_at)} for some in plans for one in some.waits],
        "triggers_held": [{"rule": one.rule[0], "until": rfc3339(one.due_at)} for some in plans for one in some.held],
        "triggers_alive": [one.trigger_id for some in plans for one in some.sent],
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
