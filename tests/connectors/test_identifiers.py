"""What names nobody is left out and counted, in both formats; the event stays as long as something names somebody."""

import re
from typing import Any

import msgspec
import pytest

from connectors.formats import Decoded, decode_batch
from connectors.formats.common import SourceRules
from connectors.formats.identifiers import NOBODY, WITHHELD, identifier
from operators.event import Event

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
FIELDS = ("anonymous_id", "user_id", "email", "phone")
PLAIN = SourceRules()


def ours(**ids: object) -> bytes:
    return msgspec.json.encode({"kind": "page_viewed", "occurred_at": NOON} | ids)


def segments(**ids: object) -> bytes:
    """The same as an identify call."""
    told: dict[str, Any] = {"type": "identify", "timestamp": "2026-03-01T12:00:00Z"}
    told |= {"anonymousId": ids.pop("anonymous_id", None), "userId": ids.pop("user_id", None), "traits": ids}
    return msgspec.json.encode(told)


def decode(raw: bytes, rules: SourceRules = PLAIN) -> Decoded:
    return decode_batch([raw], partition="p", first_position=0, read_at=None, rules=rules)


def names(event: Event) -> dict[str, str]:
    told = {field: getattr(event, field) for field in FIELDS}
    return {field: value for field, value in told.items() if value}


both = pytest.mark.parametrize("record", [ours, segments])


@both
@pytest.mark.parametrize("word", [*sorted(NOBODY), "NULL", " Guest ", '"null"', "'Undefined'", "00-00", "--", '""'])
def test_a_word_for_nobody_is_left_out_and_counted(record: Any, word: str) -> None:  # noqa: ANN401 - one of two makers
    """
    Whichever identifier it stands in, once for each; the event is told of who else it names.
    """
    for field in FIELDS:
        other = "user_id" if field == "anonymous_id" else "anonymous_id"
        decoded = decode(record(**{field: word, other: "mara"}))
        assert [names(event) for event in decoded.events] == [{other: "mara"}]
        assert decoded.blocked == {field: 1}


@both
@pytest.mark.parametrize("absent", ["", "  ", None])
def test_what_is_not_there_is_not_counted(record: Any, absent: str | None) -> None:  # noqa: ANN401 - as above
    """
    Libraries send null and empty texts for the identifiers they do not have; an address without @ and a number without
    digits name nobody either.
    """
    decoded = decode(record(anonymous_id=absent, user_id="mara", email=absent, phone=absent))
    assert [names(event) for event in decoded.events] == [{"user_id": "mara"}]
    assert decoded.blocked == {}
    assert decode(record(user_id="mara", email="none given", phone="n/a")).blocked == {}


@pytest.mark.parametrize(
    "word",
    ["nulls", "guest1", "-2", "1", "00a", "a0", "anonymous-users", "not_authenticates", "0x", "1" * 17, "n" * 15],
)
def test_what_only_looks_like_such_a_word_is_somebody(word: str) -> None:
    """
    One character more, less or other than a word of the list.
    """
    decoded = decode(ours(anonymous_id=word))
    assert [event.anonymous_id for event in decoded.events] == [word]
    assert identifier(word) == word


@both
@pytest.mark.parametrize("number", [*sorted(WITHHELD), "+266 69 6687"])
def test_a_withheld_number_is_nobodys(record: Any, number: str) -> None:  # noqa: ANN401 - as above
    """
    Twilio spells ANONYMOUS on a keypad: all who withhold their number would be one person. Next to it is somebody.
    """
    decoded = decode(record(anonymous_id="ann", phone=number))
    assert [names(event) for event in decoded.events] == [{"anonymous_id": "ann"}]
    assert decoded.blocked == {"phone": 1}
    assert decode(record(phone=number + "1")).blocked == {}


SHOP = SourceRules(
    region="DE",
    blocked=["House-Account", "till-of-the-house-in-berlin", "info@shop.example", "+49301234567", " kiosk "],
    patterns=[re.compile(r"test-\d+"), re.compile(r"(?i).*@spam\.example"), re.compile(r"\+?(\d)\1{8,}")],
)


@both
@pytest.mark.parametrize(
    ("field", "value", "is_blocked"),
    [
        ("user_id", "house-account", True),
        ("user_id", " HOUSE-ACCOUNT ", True),
        ("user_id", "house-accounts", False),
        ("user_id", "Till-of-the-house-in-Berlin", True),
        ("user_id", "till-of-the-house-in-bonn", False),
        ("anonymous_id", "kiosk", True),
        ("anonymous_id", "test-42", True),
        ("anonymous_id", "Test-42", False),
        ("anonymous_id", "test-42a", False),
        ("anonymous_id", "a-test-42", False),
        ("anonymous_id", "test-4200000000000000000", True),
        ("email", "info@shop.example", True),
        ("email", "The Shop <Info@Shop.example>", True),
        ("email", "info2@shop.example", False),
        ("email", "Ann@SPAM.example", True),
        ("email", "Ann <ann@spam.example>", True),
        ("phone", "+49301234567", True),
        ("phone", "030 1234567", True),
        ("phone", "030 12345678", False),
        ("phone", "999999999", True),
        ("phone", "99999999", False),
    ],
)
def test_what_is_blocked_here_is_left_out_and_counted(
    record: Any,  # noqa: ANN401 - as above
    field: str,
    value: str,
    is_blocked: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """
    Values in any case and patterns of whole values; addresses and numbers as they came or as they are kept.
    """
    other = "user_id" if field == "anonymous_id" else "anonymous_id"
    decoded = decode(record(**{field: value, other: "mara"}), SHOP)
    (event,) = decoded.events
    assert (decoded.blocked, sorted(names(event))) == (
        ({field: 1}, [other]) if is_blocked else ({}, sorted([field, other]))
    )
    assert decode(record(**{field: value, other: "mara"})).blocked == {}, "elsewhere it is somebody"


@both
def test_an_event_of_nobody_is_a_dead_letter(record: Any) -> None:  # noqa: ANN401 - as above
    """
    Where all that it names is blocked, its reason is `no_identity`, and what was left out is counted all the same.
    """
    decoded = decode(record(anonymous_id="kiosk", user_id="null", email="a@spam.example", phone="030 1234567"), SHOP)
    assert [bad.reason for bad in decoded.rejected] == ["no_identity"]
    assert decoded.blocked == dict.fromkeys(FIELDS, 1)


def test_a_blocked_device_is_no_browser() -> None:
    """
    The channel is guessed of what is left: without a device of its own, the call is a server's.
    """
    raw = segments(anonymous_id="kiosk", user_id="mara")
    assert [event.channel for event in decode(raw, SHOP).events] == ["server"]
    assert [event.channel for event in decode(raw).events] == ["web"]


def test_carts_and_calls_are_nobody() -> None:
    """
    What is blocked names no person; a cart may bear the name, and a word for nothing names no cart and is not counted.
    """
    raw = ours(user_id="mara", cart_id="kiosk", order_id="null").replace(b"page_viewed", b"cart_viewed")
    decoded = decode(raw, SHOP)
    (event,) = decoded.events
    assert event.commerce is not None
    assert (event.commerce.cart_id, event.commerce.order_id, decoded.blocked) == ("kiosk", "", {})
