"""What cannot become an event, and why: the closed set of reasons of the dead-letter lane."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from operators.event import Event

Reason = Literal[
    "not_json",  # broken JSON, invalid UTF-8, nesting deeper than the parser goes
    "not_an_object",  # JSON, but an array, a number, a text
    "unknown_format",  # an object that none of the known formats claims
    "wrong_type",  # a field the event cannot do without has a value of another type
    "missing_field",  # a field the event cannot do without is absent or empty
    "no_identity",  # no anonymous id, user id, e-mail or phone number
    "bad_time",  # a timestamp that is no timestamp, or lies outside the years 2000-2099
    "too_large",  # a record over the size limit
    "too_late",  # an event older than what its profile remembers
]
REASONS: Final = frozenset(get_args(Reason))

Stage = Literal["decode", "profile", "publish"]
"""Where something was rejected: a record as it was read, an event by its profile, a record of ours as it was sent."""

_encode: Final = msgspec.json.Encoder().encode


class Rejected(msgspec.Struct, gc=False):
    """A record that stays out, with its coordinates, so that it can be found, mended and fed back.

    `payload` holds the raw record; of several things in one record the one that is rejected, and `part` says which:
    "2", or "2.0" where envelopes lie in each other. Where `is_cut` it is only the head of it. `detail` says in words
    what is wrong, without repeating values of the record (they may be personal). `key` and `headers` are those that
    the record came with, `came_at` (ms) is when it came. `replays` counts how often it has been fed back.
    """

    reason: Reason
    detail: str
    partition: str
    position: int
    payload: bytes = b""
    stage: Stage = "decode"
    event_id: str = ""
    part: str = ""
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    came_at: int | None = None
    is_cut: bool = False
    replays: int = 0


def too_late(event: Event) -> Rejected:
    """Say of an event that it is older than what its profile remembers."""
    return Rejected(
        "too_late",
        "older than what its profile remembers",
        event.partition,
        event.position,
        _encode(event.pack()),
        "profile",
        event.event_id,
    )
