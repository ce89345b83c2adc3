"""Timestamps and durations of CEL: read as RFC 3339 and as `1h30m`, in milliseconds, within CEL's bounds."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from operators.expression_values import EvaluationError, type_name

TIMESTAMP_MIN: Final = -62_135_596_800_000
"""0001-01-01T00:00:00Z; CEL has no earlier one."""
TIMESTAMP_MAX: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z."""
DURATION_MAX: Final = 9_223_372_036_854
"""292 years: what 64 bits of nanoseconds hold, as in the implementations of CEL."""

_UNITS_NS: Final = {"h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1_000, "ns": 1}
_DURATION: Final = re.compile(r"([+-]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:h|ms|m|s|us|ns))+|0)")
_SPAN: Final = re.compile(r"([0-9]*)\.?([0-9]*)(h|ms|m|s|us|ns)")
_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def instant(at: int) -> int:
    """Return a timestamp of the years 1 to 9999, in ms."""
    if TIMESTAMP_MIN <= at <= TIMESTAMP_MAX:
        return at
    raise EvaluationError("timestamp overflow")


def span(ms: int) -> int:
    """Return a duration of up to 292 years, in ms."""
    if -DURATION_MAX <= ms <= DURATION_MAX:
        return ms
    raise EvaluationError("duration overflow")


def to_timestamp(value: Any) -> int:  # noqa: ANN401
    """Read RFC 3339, or whole seconds since the epoch, as ms; what is finer than a millisecond is dropped."""
    if type(value) is int:
        return instant(value * 1_000)
    found = _INSTANT.fullmatch(value) if type(value) is str else None
    if found is None:
        raise EvaluationError(f"this {type_name(value)} is no timestamp such as 2026-01-31T12:00:00Z")
    day, minute, second, fraction, zone = found.groups()
    leap = second == "60"  # the second after 59 is the next minute's first
    read = datetime.fromisoformat(f"{day}T{minute}:{'59' if leap else second}{zone.upper()}")
    return instant(int(read.timestamp() + leap) * 1_000 + int((fraction or "").ljust(3, "0")[:3]))


def to_duration(value: Any) -> int:  # noqa: ANN401
    """Read `1h30m`, `1.5h` or `250ms` as ms; what is finer than a millisecond is dropped."""
    ns = duration_ns(value)
    return ns // 1_000_000 if ns >= 0 else -(-ns // 1_000_000)


def duration_ns(value: Any) -> int:  # noqa: ANN401
    """Read a duration in nanoseconds, exactly."""
    found = _DURATION.fullmatch(value) if type(value) is str else None
    if found is None:
        raise EvaluationError(f"this {type_name(value)} is no duration such as 1h30m")
    sign, spans = found.groups()
    total = 0
    for whole, part, unit in _SPAN.findall(spans):
        total += int(f"{whole}{part}") * _UNITS_NS[unit] // 10 ** len(part)
    span(total // 1_000_000)
    return -total if sign == "-" else total
