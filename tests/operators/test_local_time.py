"""What a person's clock reads: quiet hours, days and weeks, held against a clock that is read minute by minute."""

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.zones import rules_of
from operators.local_time import DAY_MS, HOUR_MS, LATEST_AT, MINUTE_MS, Zone, local_day, local_week, quiet_until

# Half and quarter hours, changes by half an hour, by two, at midnight, at one minute past it, in Ramadan, of a day.
PLACES = [
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Santiago",
    "America/Asuncion",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kwajalein",
]
NIGHT = (21 * 60, 8 * 60)


@cache
def zone(name: str) -> Zone:
    return Zone(name, rules_of(name))


def at(text: str) -> int:
    """The instant of a text in UTC, as 2026-03-29T01:00."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def clock(name: str, instant: int) -> str:
    """What the clock of a place reads, by the standard library."""
    local = datetime.fromtimestamp(instant / 1_000, UTC).astimezone(rules_of(name))
    return local.strftime("%Y-%m-%d %H:%M:%S")


def minute_of(name: str, instant: int) -> int:
    read = clock(name, instant)
    return int(read[11:13]) * 60 + int(read[14:16])


def is_quiet(minute: int, hours: tuple[int, int]) -> bool:
    begin, end = hours
    return begin <= minute < end if begin < end else minute >= begin or minute < end


def told(name: str, instant: str, hours: tuple[int, int] = NIGHT) -> str:
    """Until when it is quiet at an instant, as the clock of the place reads then; "" where it is not quiet."""
    until = quiet_until(at(instant), zone(name), *hours)
    return "" if until is None else clock(name, until)


# Instants from 1970 to 2037, half of them within two days of a change of one of the places.
changes = sorted(
    {
        start
        for name in PLACES
        for year in range(1990, 2031)
        for month in (1, 4, 7, 10)
        for start in zone(name)._span(at(f"{year}-{month:02}-15T00:00")).starts  # noqa: SLF001 -- where to look
        if start > 0
    }
)
instants = st.one_of(
    st.integers(0, at("2037-12-31T00:00")),
    st.builds(lambda change, by: change + by, st.sampled_from(changes), st.integers(-2 * DAY_MS, 2 * DAY_MS)),
    st.builds(lambda change, by: change + by, st.sampled_from(changes), st.sampled_from([-MINUTE_MS, -1, 0, 1])),
)
minutes = st.integers(0, 1_439)


def test_at_2059_one_may_call_and_at_2100_no_more() -> None:
    """
    To the millisecond; and again from 08:00 on.
    """
    assert told("Europe/Berlin", "2026-07-01T18:59:59.999") == ""
    assert told("Europe/Berlin", "2026-07-01T19:00:00") == "2026-07-02 08:00:00"
    assert told("Europe/Berlin", "2026-07-02T05:59:59.999") == "2026-07-02 08:00:00"
    assert told("Europe/Berlin", "2026-07-02T06:00:00") == ""


@pytest.mark.parametrize(
    ("instant", "until"),
    [
        ("2026-03-28T19:59", ""),  # 20:59 on the eve of summer time
        ("2026-03-28T20:00", "2026-03-29 08:00:00"),  # 21:00: eleven hours less one of the night are left out
        ("2026-03-29T18:59", ""),  # 20:59 the day after, an hour earlier by UTC
        ("2026-03-29T19:00", "2026-03-30 08:00:00"),
        ("2026-10-24T18:59", ""),  # and back
        ("2026-10-24T19:00", "2026-10-25 08:00:00"),
        ("2026-10-25T19:59", ""),
        ("2026-10-25T20:00", "2026-10-26 08:00:00"),
    ],
)
def test_the_evening_begins_by_the_clock_across_a_change(instant: str, until: str) -> None:
    """
    20:59 and 21:00 in Berlin on both sides of both changes of 2026.
    """
    assert told("Europe/Berlin", instant) == until


def test_an_end_that_does_not_exist_is_the_change() -> None:
    """
    Quiet until 02:30 in the night whose clock goes from 02:00 to 03:00: over when it reads 03:00.
    """
    assert told("Europe/Berlin", "2026-03-29T00:59", (21 * 60, 150)) == "2026-03-29 03:00:00"
    assert told("Europe/Berlin", "2026-03-29T01:00", (21 * 60, 150)) == ""


def test_quiet_hours_that_do_not_exist_are_none() -> None:
    """
    Quiet from 02:00 to 03:00: not in that night. From 02:30 to 04:00: from the change on, which reads 03:00.
    """
    assert told("Europe/Berlin", "2026-03-29T00:59:59.999", (120, 180)) == ""
    assert told("Europe/Berlin", "2026-03-29T01:00", (120, 180)) == ""
    assert told("Europe/Berlin", "2026-03-29T00:59:59.999", (150, 240)) == ""
    assert told("Europe/Berlin", "2026-03-29T01:00", (150, 240)) == "2026-03-29 04:00:00"


def test_an_hour_that_is_there_twice_is_as_quiet_twice() -> None:
    """
    Quiet until 02:30: over at the first one, quiet again when the clock is back at 02:00, over at the second one.
    """
    first = quiet_until(at("2026-10-24T23:00"), zone("Europe/Berlin"), 21 * 60, 150)
    assert first == at("2026-10-25T00:30")
    assert quiet_until(first, zone("Europe/Berlin"), 21 * 60, 150) is None
    again = at("2026-10-25T01:00")
    assert quiet_until(again - 1, zone("Europe/Berlin"), 21 * 60, 150) is None
    assert quiet_until(again, zone("Europe/Berlin"), 21 * 60, 150) == at("2026-10-25T01:30")


def test_lord_howe_changes_by_half_an_hour() -> None:
    """
    At 02:00 on the first Sunday of October its clock goes to 02:30; quiet until 02:15 is over then.
    """
    assert clock("Australia/Lord_Howe", at("2026-10-03T15:29")) == "2026-10-04 01:59:00"
    assert told("Australia/Lord_Howe", "2026-10-03T15:29", (21 * 60, 135)) == "2026-10-04 02:30:00"


def test_kathmandu_is_a_quarter_of_an_hour_off() -> None:
    """
    21:00 there is 15:15 by UTC.
    """
    assert told("Asia/Kathmandu", "2026-05-05T15:14:59") == ""
    assert told("Asia/Kathmandu", "2026-05-05T15:15") == "2026-05-06 08:00:00"


def test_samoa_left_out_a_day() -> None:
    """
    After Thursday, 29 December 2011, came Saturday: a night like others, a day that nothing lies in, a week of six.
    """
    assert told("Pacific/Apia", "2011-12-30T08:00") == "2011-12-31 08:00:00"
    assert quiet_until(at("2011-12-30T08:00"), zone("Pacific/Apia"), *NIGHT) == at("2011-12-30T18:00")
    thursday = local_day(at("2011-12-30T09:59"), zone("Pacific/Apia"))
    saturday = local_day(at("2011-12-30T10:00"), zone("Pacific/Apia"))
    assert [clock("Pacific/Apia", one)[:10] for one in (thursday[0], saturday[0], saturday[1])] == [
        "2011-12-29",
        "2011-12-31",
        "2012-01-01",
    ]
    assert thursday[1] == saturday[0]
    start, end = local_week(at("2011-12-30T10:00"), zone("Pacific/Apia"))
    assert (clock("Pacific/Apia", start), end - start) == ("2011-12-26 00:00:00", 6 * DAY_MS)


def test_a_day_may_be_longer_or_shorter() -> None:
    """
    25 hours in October, 23 in March, 24 and a half at Lord Howe; each ends when the next one begins.
    """
    lengths = []
    for name, instant in (
        ("Europe/Berlin", "2026-10-25T12:00"),
        ("Europe/Berlin", "2026-03-29T12:00"),
        ("Australia/Lord_Howe", "2026-04-05T00:00"),
        ("Europe/Berlin", "2026-07-01T12:00"),
    ):
        start, end = local_day(at(instant), zone(name))
        lengths.append((end - start) / HOUR_MS)
    assert lengths == [25, 23, 24.5, 24]


def test_a_day_without_midnight_begins_with_its_first_instant() -> None:
    """
    In Santiago summer time begins at midnight: the clock goes from 23:59:59 to 01:00.
    """
    start, _ = local_day(at("2026-09-06T12:00"), zone("America/Santiago"))
    assert clock("America/Santiago", start - 1) == "2026-09-05 23:59:59"
    assert clock("America/Santiago", start) == "2026-09-06 01:00:00"


def test_a_day_that_has_begun_goes_on_when_the_clock_is_put_back_over_midnight() -> None:
    """
    In St John's it was put back by an hour one minute past midnight: the rest of the night is of the new day.
    """
    midnight = at("2010-11-07T02:30")
    assert clock("America/St_Johns", midnight) == "2010-11-07 00:00:00"
    assert clock("America/St_Johns", midnight + MINUTE_MS) == "2010-11-06 23:01:00"
    day = local_day(midnight, zone("America/St_Johns"))
    assert day[0] == midnight
    assert local_day(midnight + MINUTE_MS, zone("America/St_Johns")) == day
    assert local_day(midnight - 1, zone("America/St_Johns"))[1] == midnight


def test_a_week_begins_on_monday() -> None:
    """
    Sunday's last millisecond is of the old one.
    """
    start, end = local_week(at("2026-11-23T12:00"), zone("Europe/Berlin"))
    assert (clock("Europe/Berlin", start), clock("Europe/Berlin", end)) == (
        "2026-11-23 00:00:00",
        "2026-11-30 00:00:00",
    )
    assert local_week(start - 1, zone("Europe/Berlin"))[1] == start


@given(st.sampled_from(PLACES), instants)
def test_offsets_are_those_of_the_standard_library(name: str, instant: int) -> None:
    """
    At any instant from 1970 to 2037, and in whatever order one asks.
    """
    local = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=instant)
    offset = local.astimezone(rules_of(name)).utcoffset()
    assert offset is not None
    assert zone(name).offset_at(instant) == offset // timedelta(milliseconds=1)
    assert Zone(name, rules_of(name)).offset_at(instant) == zone(name).offset_at(instant)


@settings(max_examples=150)
@given(st.sampled_from(PLACES), instants, minutes, minutes)
@example("Pacific/Apia", 1_325_239_200_000 - 1, 600, 599)
@example("Pacific/Apia", 1_325_239_200_000 - 1, 0, 1_439)
@example("Antarctica/Troll", 1_774_746_000_000 - 1, 180, 60)
def test_quiet_is_what_a_clock_says_that_is_read_each_minute(name: str, instant: int, begin: int, end: int) -> None:
    """
    From the instant on minute by minute: quiet up to the one that is told, and not in it.
    """
    if begin == end:
        end = (end + 1) % 1_440
    until = quiet_until(instant, zone(name), begin, end)
    if until is None:
        assert not is_quiet(minute_of(name, instant), (begin, end))
        return
    # A change of the offset, and a minute by the clock, are at whole minutes by UTC since 1972.
    minute = instant - instant % MINUTE_MS
    while is_quiet(minute_of(name, minute), (begin, end)):
        minute += MINUTE_MS
    assert until == minute


@given(st.sampled_from(PLACES), instants)
def test_days_and_weeks_follow_each_other_without_a_gap(name: str, instant: int) -> None:
    """
    An instant lies in its day, and its day in its week; the next begins where it ends; with its first instant the clock
    reads another date, and with its last one a week's reads Sunday.
    """
    place = zone(name)
    for window, step in ((local_day, 1), (local_week, 7)):
        start, end = window(instant, place)
        assert start <= instant < end
        assert window(start, place) == window(end - 1, place) == (start, end)
        assert window(end, place)[0] == end
        assert clock(name, start - 1)[:10] < clock(name, start)[:10]
        assert 0 < end - start <= step * DAY_MS + 2 * HOUR_MS
    day, week = local_day(instant, place), local_week(instant, place)
    assert week[0] <= day[0] < day[1] <= week[1]
    assert datetime.fromisoformat(clock(name, week[1] - 1)[:10]).isoweekday() == 7


@given(st.sampled_from(PLACES), instants)
def test_the_first_instant_of_a_local_time_is_the_first(name: str, instant: int) -> None:
    """
    The clock reads that time or a later one then, and has read neither at any minute of the day before.
    """
    place = zone(name)
    local = instant + place.offset_at(instant)
    first = place.first_at(local)
    assert first <= instant
    assert first + place.offset_at(first) >= local
    for before in range(first - 1, first - DAY_MS, -10 * MINUTE_MS):
        assert before + place.offset_at(before) < local


@pytest.mark.parametrize("instant", [-(10**15), -1, LATEST_AT, LATEST_AT + 10**15])
def test_before_1970_and_after_2200_clocks_go_on_as_they_are_there(instant: int) -> None:
    """
    However far: a day is a day, and quiet hours end.
    """
    place = zone("Europe/Berlin")
    start, end = local_day(instant, place)
    assert start <= instant < end
    until = quiet_until(start + 22 * HOUR_MS, place, *NIGHT)
    assert until == start + 32 * HOUR_MS
