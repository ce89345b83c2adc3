"""Local time: what a person's clock reads, when it is quiet there, and when their day and week begin.

Theory of operation
-------------------
A zone's rules are a `tzinfo` that is handed in (`config/zones.py` reads them): data, as pure as a table. What they say
of an instant is remembered by spans of 2**33 ms (99 days), each with the instants at which the offset changes, so that
to ask again is arithmetic. To ask in another order, or to forget, changes no answer.

| clock | what is said of it |
|---|---|
| put forward, so that an hour is left out | what would end in it ends with it, at the instant of the change |
| put back, so that an hour is there twice | it is quiet in both where the hour is, and not in either where it is not |
| put back over midnight | the new day has begun with the first midnight, and goes on |
| a day left out (Samoa, 30 December 2011) | there is no such day; its week has six |
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from mypy_extensions import mypyc_attr

from operators.event import FOREVER

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
MINUTES_A_DAY: Final = 1_440

LATEST_AT: Final = 7_258_118_400_000
"""The year 2200: from then on, and before 1970, offsets are as they are there."""

_SPAN_BITS: Final = 33
_SPANS_LAST: Final = LATEST_AT >> _SPAN_BITS
# How far apart a zone is looked at for changes, three days: the shortest time between two has been a week, in Brazil in
# the year 2000, when parts of it thought better of summer time (tests/config/test_zones.py).
_STEP_MS: Final = 1 << 28

# More than any offset there has been: the clocks of Manila and of Metlakatla were 16 hours apart from Greenwich's.
_OFFSET_MS_MAX: Final = 17 * HOUR_MS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)

# 1 January 1970 was a Thursday, the fourth day of its week.
_DAYS_BEFORE: Final = 3
_DAYS_A_WEEK: Final = 7


class _Span:
    """From when on which offset holds: `starts` in order, `offsets` in ms; the last holds until `end`."""

    def __init__(self, starts: list[int], offsets: list[int], end: int) -> None:
        self.starts = starts
        self.offsets = offsets
        self.end = end


@mypyc_attr(acyclic=True)
class Zone:
    """A time zone by its IANA name."""

    def __init__(self, name: str, rules: tzinfo) -> None:
        self.name = name
        self._rules = rules
        self._spans: dict[int, _Span] = {}

    def offset_at(self, at: int) -> int:
        """Return by how much the local clock is ahead of UTC at the instant `at`, in ms."""
        span = self._span(at)
        if len(span.starts) == 1:
            return span.offsets[0]
        return span.offsets[bisect_right(span.starts, at) - 1]

    def until(self, at: int) -> int:
        """Return an instant after `at` up to which the offset does not change; it may change there."""
        span = self._span(at)
        place = bisect_right(span.starts, at)
        return span.starts[place] if place < len(span.starts) else span.end

    def first_at(self, local: int) -> int:
        """Return the first instant at which the local clock reads `local` or later.

        `local` are ms as the clock counts them, since it read midnight of 1 January 1970.
        """
        at = local - _OFFSET_MS_MAX
        while True:
            reached_at = max(at, local - self.offset_at(at))
            until = self.until(at)
            if reached_at < until:
                return reached_at
            at = until

    def _span(self, at: int) -> _Span:
        index = at >> _SPAN_BITS
        index = 0 if index < 0 else min(index, _SPANS_LAST)
        span = self._spans.get(index)
        if span is None:
            span = self._spans[index] = self._looked_up(index)
        return span

    def _looked_up(self, index: int) -> _Span:
        start = index << _SPAN_BITS
        end = (index + 1) << _SPAN_BITS
        starts, offsets = [start if index else -FOREVER], [self._ask(start)]
        for before in range(start, end, _STEP_MS):
            last = min(before + _STEP_MS, end) - 1
            offset = self._ask(last)
            if offset == offsets[-1]:
                continue
            low, high = before, last  # the change lies after `low` and at `high` at the latest
            if self._ask(before) == offset:
                high = before
            while high - low > 1:
                middle = (low + high) // 2
                if self._ask(middle) == offset:
                    high = middle
                else:
                    low = middle
            starts.append(high)
            offsets.append(offset)
        return _Span(starts, offsets, end if index < _SPANS_LAST else FOREVER)

    def _ask(self, at: int) -> int:
        offset = (_EPOCH + timedelta(milliseconds=at)).astimezone(self._rules).utcoffset()
        assert offset is not None, f"{self.name} has no offset"
        return offset // _MS


def quiet_until(at: int, zone: Zone, from_minute: int, to_minute: int) -> int | None:
    """Return when it is no longer quiet, None where it is not quiet at `at`.

    It is quiet while the local clock reads from `from_minute` of the day, included, to `to_minute`, excluded; over
    midnight where that is the smaller. The two differ, so that it is not quiet for ever.
    """
    assert 0 <= from_minute < MINUTES_A_DAY, f"{from_minute} is no minute of a day"
    assert 0 <= to_minute < MINUTES_A_DAY, f"{to_minute} is no minute of a day"
    assert from_minute != to_minute, "quiet hours end"
    begin, end = from_minute * MINUTE_MS, to_minute * MINUTE_MS
    local = at + zone.offset_at(at)
    if not _is_within(local % DAY_MS, begin, end):
        return None
    while True:
        over_at = at + (end - local) % DAY_MS
        until = zone.until(at)
        if over_at < until:
            return over_at
        at = until
        local = at + zone.offset_at(at)
        if not _is_within(local % DAY_MS, begin, end):
            return at


def local_day(at: int, zone: Zone) -> tuple[int, int]:
    """Return the instants at which the local day that `at` lies in begins and at which the next one does."""
    return _between_midnights((at + zone.offset_at(at)) // DAY_MS, 1, at, zone)


def local_week(at: int, zone: Zone) -> tuple[int, int]:
    """Return the same of the local week; it begins on Monday, as ISO 8601 has it."""
    day = (at + zone.offset_at(at)) // DAY_MS
    return _between_midnights(day - (day + _DAYS_BEFORE) % _DAYS_A_WEEK, _DAYS_A_WEEK, at, zone)


def _between_midnights(day: int, days: int, at: int, zone: Zone) -> tuple[int, int]:
    """Return from when until when the `days` from the local `day` on are; of the next ones if `at` is in these."""
    start, end = zone.first_at(day * DAY_MS), zone.first_at((day + days) * DAY_MS)
    while at >= end:  # the clock was put back over midnight
        day += days
        start, end = end, zone.first_at((day + days) * DAY_MS)
    return start, end


def _is_within(time: int, begin: int, end: int) -> bool:
    if begin < end:
        return begin <= time < end
    return time >= begin or time < end


class Zones:
    """Whose clock reads what: by the zone that somebody has told, else by their number's country, else the default."""

    def __init__(
        self, names: frozenset[str], rules_of: Callable[[str], tzinfo], default: str, phones: dict[str, str]
    ) -> None:
        """Know zones by `names`, whose rules `rules_of` gives.

        `phones` has the zone's name by the beginning of a number in E.164, of which the longest counts: "+1", "+1808".
        All names in it and `default` are among `names`.
        """
        self._names = names
        self._rules_of = rules_of
        self._known: dict[str, Zone] = {}
        self._phones = phones
        self._prefix_chars_max = max([len(prefix) for prefix in phones], default=0)
        default_zone = self.named(default)
        assert default_zone is not None, f"{default} is no zone"
        self._default = default_zone

    def named(self, name: str) -> Zone | None:
        """Return the zone of that name, None where there is none; names are spelled as IANA does."""
        zone = self._known.get(name)
        if zone is None and name in self._names:
            zone = self._known[name] = Zone(name, self._rules_of(name))
        return zone

    def of(self, told: str, phone: str) -> tuple[Zone, str]:
        """Return the zone of who `told` one's name and has that `phone`; and by what: profile, phone or default.

        Both may be "", and neither need be what it should: a pseudonym has no country.
        """
        zone = self.named(told) if told else None
        if zone is not None:
            return zone, "profile"
        for length in range(min(len(phone), self._prefix_chars_max), 1, -1):
            name = self._phones.get(phone[:length])
            if name is not None:
                zone = self.named(name)
                assert zone is not None, f"{name} is no zone"
                return zone, "phone"
        return self._default, "default"
