"""What counts as an identifier, and what names nobody."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from connectors.formats import contacts
from connectors.formats.common import IDENTIFIER_CHARS_MAX, Reading, Unusable
from operators.event import Channel

PersonalType: TypeAlias = Literal["anonymous_id", "user_id", "email", "phone"]
"""The identifiers of a person. What names a cart or a call is none: nobody becomes somebody else by it."""

# What trackers send for "nobody": taken for an identifier, each would make one person of many. In lower case, and
# without the quotes that some wrap them in. The union of what Segment and PostHog refuse (domain.md row 22; PostHog's
# rust/capture/src/v1/analytics/constants.rs).
NOBODY: Final = frozenset(
    {
        "null",  # a missing value, printed by Java, JavaScript or SQL
        "undefined",  # the same, by JavaScript
        "none",  # the same, by Python
        "nan",  # the same, by a data frame
        "[object object]",  # a JavaScript object, printed
        "true",  # the outcome of a check, sent in place of what was checked
        "false",
        "anonymous",  # words for someone who has not signed in
        "anonymous-user",
        "guest",
        "not_authenticated",
        "user",  # words for anybody, and for nobody
        "system",
        "backend",
        "id",  # the name of a field, in place of what is in it
        "distinct_id",
        "distinctid",
        "email",
        "0",  # the unset number of a database; longer runs of 0 and - are refused with it, as Segment does
        "-1",
    }
)

WITHHELD: Final = frozenset(
    {
        "+266696687",  # ANONYMOUS
        "+7378742833",  # RESTRICTED
        "+2562533",  # BLOCKED
        "+8656696",  # UNKNOWN
        "+86282452253",  # UNAVAILABLE
    }
)
"""What Twilio gives as the number of a caller who withholds it: a word, by the letters of a keypad."""

_QUOTES: Final = "'\""
_LONGEST: Final = max(map(len, NOBODY))
_LONG: Final = max(len(word) for word in NOBODY if len(word) < _LONGEST)
_ONE: Final = ord("1")


def identifier(text: str | None) -> str:
    """Trim an identifier; "" where it names nobody (`NOBODY`, or nothing but zeros and dashes)."""
    if not text:
        return ""
    text = text.strip()
    return "" if _names_nobody(text) else text


def personal(text: str | None, type_: PersonalType, reading: Reading) -> str:
    """Trim an identifier of a person; "" where it names nobody, anywhere or by the rules of its source."""
    if not text:
        return ""
    text = text.strip()
    size = len(text)
    if size > _LONG and size != _LONGEST and ord(text[0]) >= _ONE and not reading.blocks_any:
        return text  # most end here: as long as no word of the list, and no zero, dash or quote in front
    if not text:
        return ""
    if _names_nobody(text) or (reading.blocks_any and reading.rules.blocks(text)):
        reading.blocked[type_] += 1
        return ""
    return text


def email_address(text: str | None, reading: Reading) -> str:
    """Give an e-mail address in its one spelling; "" where there is none. Blocked is what was told or what is given."""
    if text and len(text) > IDENTIFIER_CHARS_MAX:
        return ""
    told = personal(text, "email", reading)
    return _unless_blocked(contacts.email(told), told, "email", reading) if told else ""


def phone_number(text: str | None, reading: Reading) -> str:
    """Give a telephone number in its one spelling; "" where there is none, or it is withheld. Blocked is as above."""
    if text and len(text) > IDENTIFIER_CHARS_MAX:
        return ""
    told = personal(text, "phone", reading)
    if not told:
        return ""
    number = contacts.phone(told, reading.rules.region)
    if number in WITHHELD:
        reading.blocked["phone"] += 1
        return ""
    return _unless_blocked(number, told, "phone", reading)


def either(id_: str, *own: str) -> tuple[str, ...]:
    """Name an id that is this person's too and may be a user's or a device's, unless it is one of the event's `own`."""
    return () if not id_ or id_ in own else (f"u:{id_}", f"a:{id_}")


def visitor_of(channel: Channel, user_id: str, email: str, phone: str) -> str:
    """Name who stands for the visitor of an event without an anonymous id.

    On the phone it is the number, elsewhere what is known of the person; then any number.

    Raises:
        Unusable: `no_identity`.
    """
    visitor_id = (phone if channel == "phone" else "") or user_id or email or phone
    if not visitor_id:
        raise Unusable("no_identity", "no anonymous id, user id, e-mail or phone number that names somebody")
    return visitor_id


def _names_nobody(text: str) -> bool:
    word = text.lower().strip(_QUOTES)
    return word in NOBODY or not word.strip("0-")


def _unless_blocked(given: str, told: str, type_: PersonalType, reading: Reading) -> str:
    if reading.blocks_any and given != told and given and reading.rules.blocks(given):
        reading.blocked[type_] += 1
        return ""
    return given
