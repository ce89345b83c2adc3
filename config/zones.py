"""Time zones: their rules, and which one a telephone number's country is in.

Rules are those of the package tzdata, never the machine's: so all processes of a deployment reckon with the same ones,
and an image needs none of its own. Countries come from tzdata's zone.tab, beginnings of numbers from libphonenumber.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from config.shown import shown
from operators.local_time import Zones

_TZDATA: Final = files("tzdata")
_PREFIX: Final = re.compile(r"\+[1-9][0-9]{0,14}")

# Not a place: what is set where nobody has set one.
_NO_ZONES: Final = frozenset({"Factory"})

# Regions that share a calling code are told apart by up to so many digits more: all whose clock reads something else.
_LEADING_DIGITS_MAX: Final = 3

_ISO_3166_CHARS: Final = 2

MAIN_ZONES: Final[dict[str, str]] = {
    # Countries with several zones: that of the most people. Where these differ by hours a number of one end of the
    # country is judged by the clock of another; `by_prefix` of `zones` takes longer beginnings.
    "AR": "America/Argentina/Buenos_Aires",
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "CY": "Asia/Nicosia",
    "DE": "Europe/Berlin",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "FM": "Pacific/Chuuk",
    "GL": "America/Nuuk",
    "ID": "Asia/Jakarta",
    "KI": "Pacific/Tarawa",
    "KZ": "Asia/Almaty",
    "MH": "Pacific/Majuro",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "MY": "Asia/Kuala_Lumpur",
    "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby",
    "PS": "Asia/Hebron",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "US": "America/New_York",
    "UZ": "Asia/Tashkent",
    # Regions with a calling code that zone.tab has not.
    "AC": "Atlantic/St_Helena",
    "TA": "Atlantic/St_Helena",
    "XK": "Europe/Belgrade",
}


@cache
def names() -> frozenset[str]:
    """Read the names of all zones."""
    return frozenset(_TZDATA.joinpath("zones").read_text(encoding="utf-8").split()) - _NO_ZONES


def rules_of(name: str) -> tzinfo:
    """Read the rules of the zone `name`, which is one of `names`."""
    with _TZDATA.joinpath("zoneinfo", *name.split("/")).open("rb") as raw:
        return ZoneInfo.from_file(raw, key=name)


@cache
def zones_of_countries() -> dict[str, tuple[str, ...]]:
    """Read which zones each country has, by its ISO 3166 code, as zone.tab orders them."""
    found: dict[str, tuple[str, ...]] = {}
    for line in _TZDATA.joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            found[country] = (*found.get(country, ()), name)
    return found


@cache
def zones_of_phones() -> dict[str, str]:
    """Return the zone's name by the beginning of a number in E.164: calling code, or more where regions share one."""
    found: dict[str, str] = {}
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions:  # the first is the main one, and has what none of the others has
            name = _main_zone(region)
            if name is None:
                continue
            if region == regions[0]:
                found[f"+{code}"] = name
            else:
                found |= {f"+{code}{digits}": name for digits in _leading_digits(region)}
    return found


def zones(default: str, by_prefix: Mapping[str, str]) -> Zones:
    """Make what tells a person's zone.

    Args:
        default: The zone of who has told none and has no number.
        by_prefix: Zones by beginnings of numbers, beside or instead of those of the calling codes: `{"+1808":
            "Pacific/Honolulu"}`.

    Raises:
        ValueError: A name is no zone, or a beginning none of a number.
    """
    for what, name in (("the default zone", default), *((f"the zone of {key}", one) for key, one in by_prefix.items())):
        if name not in names():
            raise ValueError(f"{what} is {shown(name)} but must be one of IANA's, as Europe/Berlin")
    for prefix in by_prefix:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(f"{shown(prefix)} has a zone but must be the beginning of a number, as +49 or +1808")
    return Zones(names(), rules_of, default, zones_of_phones() | dict(by_prefix))


def _main_zone(region: str) -> str | None:
    """Return the zone of a region, None for what is none, as satellites' and freephone codes."""
    name = MAIN_ZONES.get(region)
    if name is None and len(region) == _ISO_3166_CHARS:
        name = zones_of_countries()[region][0]
    return name


def _leading_digits(region: str) -> list[str]:
    """Return what numbers of a region begin with that others of the same calling code do not; none for some."""
    metadata = PhoneMetadata.metadata_for_region(region)
    if metadata is None or not metadata.leading_digits:
        return []
    pattern = re.compile(metadata.leading_digits)
    lengths = range(1, _LEADING_DIGITS_MAX + 1)
    return [f"{n:0{length}}" for length in lengths for n in range(10**length) if pattern.fullmatch(f"{n:0{length}}")]
