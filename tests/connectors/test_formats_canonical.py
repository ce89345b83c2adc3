"""Our own format: every field once, what is required, and what is put right."""

from typing import Any

import msgspec
import pytest

from connectors.formats import Decoded, Format, decode_batch, event_times
from connectors.formats.common import SourceRules
from operators.event import KINDS, Commerce, Event, Item, unpack

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z


def decode(record: object, format: Format = "auto") -> Decoded:  # noqa: A002 - the word of decode_batch
    return decode_batch([msgspec.json.encode(record)], partition="p", first_position=3, read_at=None, format=format)


def record(**fields: object) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": "page_viewed",
        "occurred_at": NOON,
        "event_id": "e-1",
        "anonymous_id": "ann",
    }
    return told | fields


FULL = record(
    kind="product_added",
    occurred_at="2026-03-01T12:00:00Z",
    received_at=NOON + 5,
    channel="app",
    user_id="u1",
    email=" Ann@Example.com",
    phone="+49 151",
    url="https://shop/a",
    referrer="https://search/",
    campaign="spring",
    session_id=12,
    items=[{"product_id": "k1", "quantity": 2, "price": 3.5, "name": "Kettle", "category": "kitchen"}],
    cart_id="c1",
    checkout_id="k1",
    order_id="o1",
    currency="EUR",
    value=1,
    cart_value=7,
    cart_url="https://shop/c1",
    query="kettle",
    dwell_ms=12,
    consents={"email": True, "sms": False},
    call_id="call-1",
    name="Kettle",
)
FULL_EVENT = Event(
    "product_added",
    NOON,
    "e-1",
    "app",
    "ann",
    anonymous_id="ann",
    user_id="u1",
    email="ann@example.com",
    phone="+49151",
    url="https://shop/a",
    referrer="https://search/",
    campaign="spring",
    client_session_id="12",
    commerce=Commerce(
        (Item("k1", 2.0, 3.5, "Kettle", "kitchen"),), "c1", "k1", "o1", "EUR", 1.0, 7.0, "https://shop/c1"
    ),
    query="kettle",
    dwell_ms=12,
    consents={"email": True, "sms": False},
    call_id="call-1",
    name="Kettle",
    partition="p",
    position=3,
)


@pytest.mark.parametrize("format_", ["auto", "canonical"])
def test_every_field_has_its_place(format_: Format) -> None:
    """
    A record with everything becomes an event with everything, whether the format is told or found out.
    """
    decoded = decode(FULL, format_)
    assert (decoded.events, decoded.rejected, decoded.clamped) == ([FULL_EVENT], [], 0)
    assert event_times([msgspec.json.encode(FULL)], format=format_) == [NOON]


def test_what_is_not_quite_of_its_type_is_put_right() -> None:
    """
    Numbers as texts, identifiers as numbers, the other name of the session, flags as words.
    """
    odd = FULL | {"user_id": 5, "value": "1", "dwell_ms": "12", "client_session_id": "12", "channel": "APP"}
    odd |= {"consents": {"email": "true", "sms": 0, "fax": "?"}, "session_id": None, "query": "kettle"}
    expected = unpack(FULL_EVENT.pack())
    expected.user_id = "5"
    decoded = decode(odd)
    assert (decoded.events, decoded.rejected, decoded.clamped) == ([expected], [], 0)


@pytest.mark.parametrize(
    ("also", "names"),
    [
        ({"user_id": ["u2", " u3 "], "anonymous_id": ["bob"]}, ("u:u2", "u:u3", "a:bob")),
        ({"user_id": ["x"], "anonymous_id": ["x"]}, ("u:x", "a:x")),
        ({"user_id": "u2", "anonymous_id": 7}, ("u:u2", "a:7")),
        ({"user_id": ["u2", "u2", "u1", "guest", None, {}], "anonymous_id": ["ann"]}, ("u:u2",)),
        ({"user_id": [f"u{number}" for number in range(2, 20)]}, tuple(f"u:u{number}" for number in range(2, 12))),
        ({"email": ["m@x.de"]}, ()),
        ({"user_id": None}, ()),
        (["u2"], ()),
        (None, ()),
    ],
)
def test_a_record_says_what_is_its_persons_too(also: object, names: tuple[str, ...]) -> None:
    """
    By the kind of id, one or a list; its own ids, nobody's and what is beyond the limit are left out.
    """
    (event,) = decode(record(user_id="u1", also=also)).events
    assert event.also == names


def test_an_id_that_is_the_persons_too_is_never_cut() -> None:
    """
    It could be somebody else's.
    """
    assert [one.reason for one in decode(record(also={"user_id": ["u" * 257]})).rejected] == ["wrong_type"]


def test_consents_that_are_no_object_are_left_out() -> None:
    """
    A list gives no consent.
    """
    (event,) = decode(record(consents=["email"])).events
    assert event.consents is None


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_accepted(kind: str) -> None:
    """
    The vocabulary is closed, and all of it can be sent.
    """
    assert [event.kind for event in decode(record(kind=kind)).events] == [kind]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "sneezed"}, "wrong_type"),
        ({"kind": 5}, "wrong_type"),
        ({"kind": None}, "missing_field"),
        ({"occurred_at": None}, "missing_field"),
        ({"occurred_at": "soon"}, "bad_time"),
        ({"occurred_at": -5}, "bad_time"),
        ({"occurred_at": 1 << 70}, "bad_time"),
        ({"occurred_at": NOON // 1000}, "bad_time"),
        ({"anonymous_id": None}, "no_identity"),
        ({"user_id": "u" * 257}, "wrong_type"),
    ],
)
def test_what_an_event_cannot_do_without_is_required(fields: dict[str, Any], reason: str) -> None:
    """
    A kind of the vocabulary, a time and an identifier.
    """
    decoded = decode(record(**fields), "canonical")
    assert ([bad.reason for bad in decoded.rejected], decoded.events) == ([reason], [])
    assert event_times([msgspec.json.encode(record(**fields))], format="canonical") == [None]


def test_the_future_is_clamped_here_too() -> None:
    """
    One millisecond over five minutes past the receipt.
    """
    decoded = decode(record(received_at=NOON - 300_001))
    assert ([event.at for event in decoded.events], decoded.clamped) == ([NOON - 300_001], 1)


def test_each_record_has_a_receipt_of_its_own() -> None:
    """
    Where it is known when each came, as in a topic, that is what an event from the future is moved back to.
    """
    raws = [msgspec.json.encode(record(event_id=str(number))) for number in range(3)]
    came_at = [NOON - 600_000, NOON - 300_000, NOON - 400_000]
    decoded = decode_batch(raws, partition="p", first_position=7, read_at=NOON, came_at=came_at)
    assert [event.at for event in decoded.events] == [NOON - 600_000, NOON, NOON - 400_000]
    assert decoded.clamped == 2


@pytest.mark.parametrize(("more", "reasons"), [(0, []), (1, ["too_large"])])
def test_how_large_a_record_may_be_can_be_set(more: int, reasons: list[str]) -> None:
    """
    As many bytes as are set are taken, one more is not.
    """
    raw = msgspec.json.encode(record())
    raw = raw.ljust(2_000 + more)
    decoded = decode_batch([raw], partition="p", first_position=7, read_at=NOON, rules=SourceRules(bytes_max=2_000))
    assert [rejected.reason for rejected in decoded.rejected] == reasons
