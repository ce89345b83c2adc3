"""E-mail addresses and telephone numbers in one spelling each, so that two records of one person meet.

Pure functions of the text and, for a number, of the region that it belongs to. Doing it twice changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import idna
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

NUMBERS_KEPT: Final = 16_384
"""Numbers whose spelling is remembered, for to read one takes longer than to decode the rest of its event."""

NORTH_AMERICA: Final = 1
"""The country code whose numbers are all of one length, so that letters of a keypad are told from words."""

# No white space, no control characters, and of punctuation not what only quotes or lists of addresses have. Dotless
# domains are an intranet's.
_ADDRESS: Final = re.compile(r"[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]+@(?:[a-z0-9_-]+\.)*[a-z0-9_-]+")
_NAMED: Final = re.compile(r"[^<]*<([^<>]*)>\s*")
_MAILTO: Final = "mailto:"
_AROUND: Final = " \t'\""

_PLUSES: Final = "+\uff0b"
_PLUS_OR_DIGIT: Final = re.compile(rf"[{_PLUSES}\d]")


def email(text: str) -> str:
    """Give an address in lower case with its domain as the DNS writes it; "" where it can be none.

    A display name, `mailto:` and the dot of the root are taken off. Dots and +tags of the local part stay, though some
    providers ignore them: which ones do is theirs to change, on their customers' domains nobody can know, and an
    address folded wrongly is somebody else's.
    """
    address = text.lower()
    if address.isascii() and _ADDRESS.fullmatch(address):
        return address  # most end here
    named = _NAMED.fullmatch(text)
    if named is not None:
        text = named[1]
    text = text.strip(_AROUND)
    if text[: len(_MAILTO)].lower() == _MAILTO:
        text = unquote(text[len(_MAILTO) :].partition("?")[0])
    local, _, domain = unicodedata.normalize("NFC", text.lower()).strip(_AROUND).rpartition("@")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except UnicodeError:
            return ""
    address = f"{local}@{domain.removesuffix('.')}"
    return address if _ADDRESS.fullmatch(address) else ""


@lru_cache(maxsize=NUMBERS_KEPT)
def phone(text: str, region: str) -> str:
    """Give a number as E.164, with `;ext=` where it has an extension; "" where there are no digits but zeros.

    A number without a country code is one of `region`; "" is none. What has no length that a number of its country can
    have stays as its digits, with a + in front where it had one, and so does what cannot be told without a region.
    """
    text = text.partition("@")[0]  # sip:+4930...@host
    number = _e164(text, region)
    if number:
        return number
    digits = phonenumbers.normalize_digits_only(text)
    if not digits.strip("0"):
        return ""
    first = _PLUS_OR_DIGIT.search(text)
    if first is not None and first[0] in _PLUSES:
        digits = f"+{digits}"
    return _e164(digits, region) or digits


def _e164(text: str, region: str) -> str:
    """Read a number; "" where it is none that could be dialled from abroad, or not read to its end."""
    number = _parsed(text, region)
    if number in ("", text):
        return number
    # What reads differently the second time, as +49 00 151 ..., still has a prefix.
    return number if _parsed(number, "") == number else ""


def _parsed(text: str, region: str) -> str:
    try:
        number = phonenumbers.parse(text, region or None)
    except NumberParseException:
        return ""
    length = phonenumbers.is_possible_number_with_reason(number)
    if length != ValidationResult.IS_POSSIBLE or not number.national_number:
        return ""
    if number.country_code != NORTH_AMERICA and phonenumbers.is_alpha_number(text):
        return ""  # 030 123456 (office)
    written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return f"{written};ext={number.extension}" if number.extension else written
