"""
What becomes of captured requests, in words short enough to read a table of them.
"""

from collections.abc import Sequence
from typing import Any

from connectors.formats import decode_batch
from operators.event import Event
from tests.sdk.capture import Sent

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z, when the clients say that everything happened


def events_of(sent: Sequence[Sent], format: str) -> list[Event]:  # noqa: A002 - the word of decode_batch
    """Return the events of the bodies, each a record of its own; nothing may be rejected."""
    bodies = [one.body for one in sent if one.body]
    decoded = decode_batch(bodies, partition="sdk", first_position=0, read_at=None, format=format)
    assert decoded.rejected == []
    assert len({event.event_id for event in decoded.events}) == len(decoded.events), "two events have one id"
    return decoded.events


def rows(events: Sequence[Event]) -> list[tuple[str, ...]]:
    """Return kind, name, channel, user id, anonymous id, e-mail address and the ids that are the person's too."""
    return [(one.kind, one.name, one.channel, one.user_id, one.anonymous_id, one.email, *one.also) for one in events]


def told(events: Sequence[Event], name: str) -> dict[str, Any]:
    """Return the properties of the one event that has this name, in the source's words."""
    (event,) = [one for one in events if one.name == name]
    return event.told()
