"""With a secret, addresses and numbers are known behind decoding by their pseudonyms only, and by what those were."""

import hmac
import re
from typing import Any

import msgspec
import pytest

from connectors.formats import decode_batch
from connectors.formats.common import SourceRules
from connectors.formats.pseudonyms import PSEUDONYMS_KEPT, Pseudonyms
from operators.event import Event

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
SECRET, FORMER, OLDEST = "1" * 32, "2" * 32, "3" * 32
HIDING = SourceRules(region="DE", pseudonyms=Pseudonyms(SECRET, (FORMER, OLDEST)))


def ours(**fields: object) -> bytes:
    return msgspec.json.encode({"kind": "page_viewed", "occurred_at": NOON, "event_id": "e1"} | fields)


def decode(raw: bytes, rules: SourceRules = HIDING) -> Event:
    (event,) = decode_batch([raw], partition="p", first_position=0, read_at=None, rules=rules).events
    return event


def named(text: str, secret: str = SECRET) -> str:
    """The pseudonym, as anybody with the secret makes it: 32 digits of HMAC-SHA-256."""
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()[:32]


@pytest.mark.parametrize("told", ["mara@bücher.example", " Mara@XN--BCHER-KVA.example ", "Mara <mara@bücher.example>"])
def test_a_pseudonym_is_made_of_the_one_spelling(told: str) -> None:
    """
    Of an address as of a number, however they were written; the event names what they were before, too.
    """
    event = decode(ours(anonymous_id="d1", email=told, phone="0151 23456789"))
    email, phone = "mara@xn--bcher-kva.example", "+4915123456789"
    assert (event.email, event.phone) == (named(email), named(phone))
    assert event.also == (
        *[f"e:{named(email, former)}" for former in (FORMER, OLDEST)],
        *[f"p:{named(phone, former)}" for former in (FORMER, OLDEST)],
    )
    segment = {"type": "identify", "timestamp": "2026-03-01T12:00:00Z", "anonymousId": "d1", "userId": "u1"}
    call = decode(msgspec.json.encode(segment | {"traits": {"email": told, "phone": "+49 151 23456789"}}))
    assert (call.email, call.phone, call.also) == (event.email, event.phone, event.also)


@pytest.mark.parametrize(
    ("fields", "visitor"),
    [
        ({"email": "m@x.de"}, named("m@x.de")),
        ({"email": "m@x.de", "phone": "+49301234567", "kind": "call_ringing"}, named("+49301234567")),
        ({"email": "m@x.de", "user_id": "u1"}, "u1"),
        ({"email": "m@x.de", "user_id": "m@x.de"}, "m@x.de"),
        ({"email": "m@x.de", "anonymous_id": "d1"}, "d1"),
    ],
)
def test_who_stands_for_the_visitor_is_hidden_too(fields: dict[str, Any], visitor: str) -> None:
    """
    The number of a caller, the address of an event of a server; ids are no address, whatever they look like.
    """
    assert decode(ours(**fields)).visitor_id == visitor


def test_nothing_of_it_is_left_in_the_event() -> None:
    """
    Of what it keeps, nothing has the address or the digits of the number.
    """
    raw = ours(email="mara@x.de", phone="+49 151 23456789")
    assert re.search(r"mara|151.?2345", repr(decode(raw, SourceRules())))
    assert not re.search(r"mara|151.?2345", repr(decode(raw)))


def test_what_is_blocked_is_blocked_by_what_it_is() -> None:
    """
    Before it has a pseudonym.
    """
    rules = SourceRules(blocked=["info@x.de"], pseudonyms=HIDING.pseudonyms)
    event = decode(ours(anonymous_id="d1", email="Info@x.de"), rules)
    assert (event.email, event.also) == ("", ())


def test_without_former_secrets_an_event_says_no_more() -> None:
    """
    And what it asks for itself stays in front.
    """
    rules = SourceRules(pseudonyms=Pseudonyms(SECRET))
    asks = ours(user_id="u1", email="m@x.de", also={"user_id": ["u0"]})
    assert decode(asks, rules).also == ("u:u0",)
    assert decode(asks).also == ("u:u0", f"e:{named('m@x.de', FORMER)}", f"e:{named('m@x.de', OLDEST)}")


def test_more_people_than_are_remembered_have_pseudonyms_too() -> None:
    """
    The same ones, also when they come again.
    """
    pseudonyms = Pseudonyms(SECRET)
    for _ in range(2):
        for number in range(0, PSEUDONYMS_KEPT + 10, 7):
            assert pseudonyms.of(f"m{number}@x.de") == [named(f"m{number}@x.de")]
        for number in range(PSEUDONYMS_KEPT):
            pseudonyms.of(str(number))
