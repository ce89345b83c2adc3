"""Caps: how often somebody may be contacted, by channel, action, family or in all.

A rolling cap of `limit` per `per_ms` means that no span of that length holds more, ends excluded: what was sent exactly
`per_ms` ago counts no more. As events come in any order, so may decisions: what was sent shortly *after* the instant of
one that is decided later counts too. A cap per local day or week counts in that of the person's own zone.

Where what a cap would have to count is not all remembered any more, the cap holds: it is never exceeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mypy_extensions import mypyc_attr

from operators.contacts import KEPT_MIN, Contacts, Key, Send
from operators.event import FOREVER
from operators.local_time import Zone, local_day, local_week

SCOPES: Final = ("channel", "action", "family", "all")
PERIODS: Final = ("rolling", "local_day", "local_week")

LIMIT_MAX: Final = 100
"""More in any period is no limit that a person would notice, and each is remembered."""

DAY_MS: Final = 86_400_000

# Of one action on one channel within the period of a cap; who has so many bounces may wait.
_FAILED_MAX: Final = 8

# Longer than any local day and week: clocks have been put back by some hours at a time, never by a day since 1970.
_LOCAL_MS: Final = {"local_day": 2 * DAY_MS, "local_week": 9 * DAY_MS}


@mypyc_attr(acyclic=True)
class Cap:
    """At most `limit` per `period`; of rolling ones `per_ms` is the length, of local ones it is 0.

    `name` is the channel, action or family that is counted; "" is that of the candidate, and all for scope "all".
    """

    def __init__(self, scope: str, name: str, limit: int, period: str = "rolling", per_ms: int = 0) -> None:
        """Make a cap.

        Raises:
            ValueError: There is no such scope or period, or the numbers make no cap.
        """
        if scope not in SCOPES:
            raise ValueError(f"a cap's scope is {scope!r} but must be one of {', '.join(SCOPES)}")
        if scope == "all" and name:
            raise ValueError(f"a cap on all has the name {name!r} but must have none")
        if period not in PERIODS:
            raise ValueError(f"a cap's period is {period!r} but must be one of {', '.join(PERIODS)}")
        if not 1 <= limit <= LIMIT_MAX:
            raise ValueError(f"a cap's limit is {limit} but must be 1 to {LIMIT_MAX}; to send nothing, switch it off")
        if (per_ms > 0) != (period == "rolling"):
            raise ValueError(
                f"a cap's duration is {per_ms} ms but must be above 0 if it is rolling, and 0 if it is local"
            )
        self.scope = scope
        self.name = name
        self.limit = limit
        self.period = period
        self.per_ms = per_ms

    @property
    def reach_ms(self) -> int:
        """How far from an instant lies what it can have to count."""
        return _LOCAL_MS.get(self.period, self.per_ms)

    def counts(self, key: Key, send: Send) -> bool:
        """Whether what lies in the line `key` is counted for `send`."""
        kind, channel, family, action = key
        if kind != "sent":
            return False
        scope, name = self.scope, self.name
        if scope == "channel":
            return channel == (name or send.channel)
        if scope == "action":
            return action == (name or send.action)
        return scope == "all" or family == (name or send.family)

    def concerns(self, send: Send) -> bool:
        """Whether `send` is of what the cap counts."""
        return self.counts(("sent", send.channel, send.family, send.action), send)


def kept(caps: Sequence[Cap]) -> int:
    """Return how many sends of one action on one channel must be remembered so that no cap has to hold for less.

    A few more than the highest limit, for those that failed take places; and what outcomes need in any case.
    """
    return max([cap.limit + _FAILED_MAX for cap in caps] + [KEPT_MIN])


def exceeded(
    contacts: Contacts, caps: Sequence[Cap], send: Send, zone: Zone, keep_ms: int, reached: int = FOREVER
) -> Cap | None:
    """Return the first cap that sending it would exceed, None where there is none.

    `zone` is where the person's day begins, `keep_ms` how long contacts are remembered (`Book.keep_ms`) before the
    instant that is `reached`, or the newest of them. What was entered of the same trigger before does not count against
    it.
    """
    if send.exempt:
        return None
    since, failed = min(reached, contacts.latest_at) - keep_ms, {id_ for _, id_ in contacts.of("failed")}
    for cap in caps:
        if cap.concerns(send) and _is_exceeded(contacts, cap, send, _window(cap, send.at, zone), since, failed):
            return cap
    return None


def _window(cap: Cap, at: int, zone: Zone) -> tuple[int, int]:
    """Return from when until when, both included, what was sent is counted."""
    if cap.period == "rolling":
        return at - cap.per_ms + 1, at + cap.per_ms - 1
    start, end = local_day(at, zone) if cap.period == "local_day" else local_week(at, zone)
    return start, end - 1


def _is_exceeded(
    contacts: Contacts, cap: Cap, send: Send, window: tuple[int, int], since: int, failed: set[str]
) -> bool:
    start, last = window
    if start < since:
        return True  # so late that what it would have to be counted with is forgotten
    sent_at: dict[str, int] = {}
    for key, line in contacts.lines.items():
        if not cap.counts(key, send):
            continue
        if line.dropped_at >= start:
            return True
        for at, id_ in line.entries:
            if start <= at <= last and id_ not in failed and id_ != send.trigger_id:
                sent_at[id_] = max(at, sent_at.get(id_, -FOREVER))
    if len(sent_at) < cap.limit:
        return False
    return cap.period != "rolling" or _crowded(sorted(sent_at.values()), send.at, cap.limit, cap.per_ms)


def _crowded(instants: list[int], at: int, limit: int, per_ms: int) -> bool:
    """Whether some span of less than `per_ms` holds `at` and `limit` of the instants, which are in order."""
    for i in range(len(instants) - limit + 1):
        if max(instants[i + limit - 1], at) - min(instants[i], at) < per_ms:
            return True
    return False
