"""
Durations read as people write them, and nothing else does.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.durations import DAY, DURATION_MS_MAX, HOUR, MINUTE, SECOND, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("0s", 0),
        ("1ms", 1),
        ("500ms", 500),
        ("30s", 30_000),
        ("30m", 1_800_000),
        ("90m", 5_400_000),
        ("1h30m", 5_400_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("1d2h3m4s5ms", 93_784_005),
        ("3650d", 315_360_000_000),
    ],
)
def test_a_duration_reads_as_milliseconds(text: str, duration_ms: int) -> None:
    """
    Units from days to milliseconds, alone or together.
    """
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",  # of what?
        "m",
        "30M",
        "30 m",
        " 30m",
        "30m\n",
        "-5m",
        "+5m",
        "1.5h",
        "30min",
        "30mm",
        "30m1h",
        "30m30m",
        "1:30",
        "PT30M",
        "1w",
        "٣٠m",  # noqa: RUF001 - digits of another script
        "9999999999999d",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """
    Missing, unknown, repeated and misplaced units, signs, fractions and spaces are told, not guessed.
    """
    with pytest.raises(ValueError, match="is no duration such as 30m, 1h30m or 500ms"):
        parse_duration(text)


def test_a_duration_has_a_limit() -> None:
    """
    Ten years pass, a millisecond more does not, in whatever units.
    """
    assert parse_duration("315360000000ms") == DURATION_MS_MAX
    for text in ("3650d1ms", "315360000001ms", "999999999999d"):
        with pytest.raises(ValueError, match=f"^'{text}' is over 3650d$"):
            parse_duration(text)


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (0, "0s"),
        (1_500, "1s500ms"),
        (HOUR + 30 * MINUTE, "1h30m"),
        (DAY, "24h"),
        (2 * DAY - SECOND, "47h59m59s"),
        (2 * DAY, "2d"),
        (400 * DAY, "400d"),
    ],
)
def test_a_duration_is_written_as_people_do(duration_ms: int, text: str) -> None:
    """
    The largest units first, and hours up to two days.
    """
    assert format_duration(duration_ms) == text


@given(st.integers(min_value=0, max_value=DURATION_MS_MAX))
def test_what_is_written_reads_back(duration_ms: int) -> None:
    """
    No millisecond is lost on the way to text and back.
    """
    assert parse_duration(format_duration(duration_ms)) == duration_ms


@given(st.tuples(*[st.none() | st.integers(min_value=0, max_value=700)] * 5).filter(any))
def test_a_duration_is_the_sum_of_its_parts(counts: tuple[int | None, ...]) -> None:
    """
    Any choice of units in their order counts each of them once.
    """
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
    given_parts = [(count, *unit) for count, unit in zip(counts, units, strict=True) if count is not None]
    text = "".join(f"{count}{name}" for count, name, _ in given_parts)
    assert parse_duration(text) == sum(count * ms for count, _, ms in given_parts)


@given(st.text(max_size=12) | st.text("0123456789dhms.- ", max_size=12))
def test_any_text_is_a_bounded_duration_or_refused(text: str) -> None:
    """
    No text makes the parser do anything but answer within bounds or raise ValueError.
    """
    try:
        assert 0 <= parse_duration(text) <= DURATION_MS_MAX
    except ValueError as error:
        assert repr(text) in str(error)  # noqa: PT017 - one of two answers, both right
