"""Durations as people write them, `30m` or `1h30m`, and as the program counts them, in milliseconds.

Why our own parser: the ones on PyPI take what a settings file must refuse. durationpy reads `30mm` as
thirty months and `30m30m` as an hour, humanfriendly and pytimeparse2 a bare `30` as seconds, pytimeparse
knows no `ms`; none has bounds, and all go through floats (docs/decisions/0003-configuration.md).
"""

from __future__ import annotations

import re
from typing import Final

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

# Ten years: longer than any record of a shop's customer may be kept, short enough to add to any instant.
DURATION_MS_MAX: Final = 3_650 * DAY

UNITS_MS: Final = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}

# Each unit at most once and the largest first, so that `30m1h` is noticed as the slip that it is.
# Twelve digits hold ten years in milliseconds.
_DURATION: Final = re.compile("".join(rf"(?:([0-9]{{1,12}}){unit})?" for unit in UNITS_MS))


def parse_duration(text: str) -> int:
    """Read `7d`, `1h30m` or `500ms` as milliseconds.

    Raises:
        ValueError: The text is no such duration, or is over ten years.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{text!r} is no duration such as 30m, 1h30m or 500ms")
    counts = match.groups(default="0")
    duration_ms = sum(int(count) * ms for count, ms in zip(counts, UNITS_MS.values(), strict=True))
    if duration_ms > DURATION_MS_MAX:
        raise ValueError(f"{text!r} is over {format_duration(DURATION_MS_MAX)}")
    return duration_ms


def format_duration(duration_ms: int) -> str:
    """Write milliseconds as `parse_duration` reads them; days from the second on: people say 24h, not 1d."""
    assert duration_ms >= 0, "no setting is a negative duration"
    parts = []
    for unit, ms in UNITS_MS.items():
        if unit == "d" and duration_ms < 2 * DAY:
            continue
        count, duration_ms = divmod(duration_ms, ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
