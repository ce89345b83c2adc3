"""Time zones: where their rules come from, and which one a number's country is in."""

import struct
from datetime import UTC, datetime
from itertools import pairwise

import phonenumbers
import pytest

from config.zones import MAIN_ZONES, names, rules_of, zones, zones_of_countries
from connectors.formats.contacts import phone
from operators.local_time import HOUR_MS

NOT_INHABITED = {"AQ", "UM"}
WINTER, SUMMER = (round(datetime(2026, month, 1, tzinfo=UTC).timestamp() * 1_000) for month in (1, 7))


def changes(name: str) -> list[int]:
    """When the offset of a zone changes, in s since 1970, as its file lists it (RFC 9636)."""
    raw = rules_of.__globals__["_TZDATA"].joinpath("zoneinfo", *name.split("/")).read_bytes()
    isut, isstd, leap, times, types, chars = struct.unpack(">6l", raw[20:44])
    start = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    times, types = struct.unpack(">2l", raw[start + 32 : start + 40])
    start += 44
    instants = struct.unpack(f">{times}q", raw[start : start + 8 * times])
    kinds = raw[start + 8 * times : start + 9 * times]
    start += 9 * times
    offsets = [struct.unpack(">l", raw[start + 6 * kind : start + 6 * kind + 4])[0] for kind in range(types)]
    told = list(zip(instants, [offsets[kind] for kind in kinds], strict=True))
    return [at for (_, before), (at, after) in pairwise(told) if before != after and at >= 0]


def test_no_zone_changes_twice_within_six_days() -> None:
    """
    Which lets `Zone` look every three days, and miss nothing.
    """
    shortest = min(after - before for name in names() for before, after in pairwise(changes(name)))
    assert shortest > 6 * 86_400


def test_every_zone_can_be_read() -> None:
    """
    All names have rules, and nothing is a name that only some machines know.
    """
    summer = datetime(2026, 7, 1, tzinfo=UTC)
    assert [name for name in names() if summer.astimezone(rules_of(name)).utcoffset() is None] == []
    assert {"Europe/Berlin", "Asia/Kolkata", "US/Eastern", "UTC"} <= names()
    assert not {"localtime", "posixrules", "Factory"} & names()


def test_each_country_with_several_zones_has_a_main_one() -> None:
    """
    It is one of the country's own; what zone.tab has first is not taken for the most populous.
    """
    several = {country: found for country, found in zones_of_countries().items() if len(found) > 1}
    assert several.keys() - NOT_INHABITED <= MAIN_ZONES.keys()
    assert [
        country for country in several if country in MAIN_ZONES and MAIN_ZONES[country] not in several[country]
    ] == []
    assert set(MAIN_ZONES.values()) <= names()


@pytest.mark.parametrize(
    ("number", "zone"),
    [
        ("030 2093 0", "Europe/Berlin"),
        ("+44 20 7946 0018", "Europe/London"),
        ("+1 212 555 0123", "America/New_York"),
        ("+1 310 555 0123", "America/New_York"),  # Los Angeles: the country's main zone, unless settings say more
        ("+1 808 555 0123", "Pacific/Honolulu"),  # which they do here
        ("+1 876 555 0123", "America/Jamaica"),
        ("+1 787 555 0123", "America/Puerto_Rico"),
        ("+7 495 123 4567", "Europe/Moscow"),
        ("+7 727 123 4567", "Asia/Almaty"),
        ("+383 44 123 456", "Europe/Belgrade"),
        ("+91 98765 43210", "Asia/Kolkata"),
        ("+977 984 123 4567", "Asia/Kathmandu"),
    ],
)
def test_a_number_has_the_clock_of_its_country(number: str, zone: str) -> None:
    """
    By its calling code, and where countries share one by the digits behind it.
    """
    found, by = zones("UTC", {"+1808": "Pacific/Honolulu"}).of("", phone(number, "DE"))
    assert (found.name, by) == (zone, "phone")


@pytest.mark.parametrize(
    "number", ["", "+", "49301234", "+883510001234567", "+999123456", "0123456789abcdef" * 2, "+١٢٣"]
)
def test_what_has_no_country_has_the_default(number: str) -> None:
    """
    Nothing, no number in E.164, one of no country, a pseudonym.
    """
    found, by = zones("Australia/Lord_Howe", {}).of("", number)
    assert (found.name, by) == ("Australia/Lord_Howe", "default")


def test_what_somebody_tells_outranks_their_number() -> None:
    """
    If it is a zone; names that are none, or that would lead out of the folder of zones, are as if nothing was told.
    """
    known = zones("UTC", {})
    found, by = known.of("Asia/Tokyo", "+4930209300")
    assert (found.name, by) == ("Asia/Tokyo", "profile")
    for told in ("CET+1", "asia/tokyo", "../../etc/passwd", "Europe", "Europe/", "\0", "x" * 10_000):
        found, by = known.of(told, "+4930209300")
        assert (found.name, by) == ("Europe/Berlin", "phone")
        assert known.named(told) is None
    assert known.named("Asia/Tokyo") is known.of("Asia/Tokyo", "")[0]


def test_regions_that_share_a_code_are_told_apart() -> None:
    """
    Wherever libphonenumber tells them apart: its example of a number of any country has the clock of that country, save
    for three islands whose numbers it does not tell from those of Australia and Reunion.
    """
    known, wrong = zones("UTC", {}), []
    for country in phonenumbers.SUPPORTED_REGIONS:
        number = phonenumbers.example_number(country)
        assert number is not None
        own = MAIN_ZONES.get(country) or zones_of_countries()[country][0]
        found, _ = known.of("", phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
        expected = known.named(own)
        assert expected is not None
        if any(found.offset_at(at) != expected.offset_at(at) for at in (WINTER, SUMMER)):
            wrong.append(country)
    assert sorted(wrong) == ["CC", "CX", "YT"]


def test_what_is_no_zone_is_said() -> None:
    """
    With what was told and what it should be, of the default and of a beginning of numbers.
    """
    with pytest.raises(ValueError, match=r"the default zone is Berlin but must be one of IANA's, as Europe/Berlin"):
        zones("Berlin", {})
    with pytest.raises(ValueError, match=r"the zone of [+]1808 is Hawaii but must be one of IANA's"):
        zones("UTC", {"+1808": "Hawaii"})
    with pytest.raises(ValueError, match=r"1808 has a zone but must be the beginning of a number, as [+]49"):
        zones("UTC", {"1808": "Pacific/Honolulu"})


def test_a_zone_is_read_once() -> None:
    """
    Its rules are looked up when it is first asked for, and hold at once.
    """
    known = zones("UTC", {})
    tokyo = known.named("Asia/Tokyo")
    assert tokyo is not None
    assert tokyo is known.named("Asia/Tokyo")
    assert tokyo.offset_at(0) == 9 * HOUR_MS
