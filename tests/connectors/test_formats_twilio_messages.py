"""Twilio's messages: who they are from, what has become of them, and consent in one word."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import Format
from connectors.formats.cloudevents import WHOLE
from tests.connectors.telephones import TEN, check_is_told_or_refused, decode, event_of, reason_of, sample, spoilt

ANN = "+4915112345678"
SHOP = "+18005550100"

Record = dict[str, Any]


def webhook(**more: str) -> Record:
    return {"MessageSid": "SM1", "SmsStatus": "received", "From": ANN, "To": SHOP, "Body": "Hello", **more}


def status(name: str, **more: str) -> Record:
    return {"MessageSid": "SM1", "MessageStatus": name, "From": SHOP, "To": ANN, **more}


def streamed(type_: str, **data: object) -> Record:
    told = {"messageSid": "SM1", "timestamp": "2026-11-21T10:00:05Z", "from": SHOP, "to": ANN, **data}
    return {"specversion": "1.0", "type": f"com.twilio.messaging.{type_}", "id": "NO1", "data": told}


def test_the_sample_is_a_message_of_the_customer() -> None:
    """
    Its text lies in the properties only, its id is that of the event.
    """
    event = event_of(sample("twilio_sms_inbound_cloudevent.json"))
    assert (event.kind, event.channel, event.event_id) == ("message_received", "sms", "NO02")
    assert (event.phone, event.visitor_id, event.at) == (ANN, ANN, TEN + 300_000)
    assert event.told() == {"accountSid": "AC01", "numMedia": 0, "text": "Please send my invoice"}


@pytest.mark.parametrize("read", [lambda told: told, lambda told: urlencode(told).encode()])
def test_a_webhook_is_read_as_form_and_as_object(read: Callable[[Record], object]) -> None:
    """
    It has no time, so it happened when it came; a long text stays whole.
    """
    event = event_of(read(webhook(Body="Für mich? " * 300, NumMedia="0")), read_at=TEN)
    assert (event.kind, event.phone, event.at) == ("message_received", ANN, TEN)
    assert event.told() == {"SmsStatus": "received", "NumMedia": "0", "text": "Für mich? " * 300}
    assert reason_of(read(webhook())) == "bad_time"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("queued", "other"),
        ("sending", "other"),
        ("sent", "message_sent"),
        ("delivered", "message_delivered"),
        ("undelivered", "message_failed"),
        ("failed", "message_failed"),
        ("read", "other"),
    ],
)
def test_a_status_says_what_became_of_a_message_to_the_customer(name: str, kind: str) -> None:
    """
    Of both forms; of an event its type counts, not the status that it happened to have.
    """
    event = event_of(status(name, ErrorCode="30003"), read_at=TEN)
    assert (event.kind, event.phone, event.name) == (kind, ANN, f"message_{name}" if kind == "other" else "")
    assert event.told()["ErrorCode"] == "30003"
    assert event_of(streamed(f"message.{name}", messageStatus="QUEUED")).kind == kind


@pytest.mark.parametrize(
    ("address", "channel", "phone", "visitor_id"),
    [
        (ANN, "sms", ANN, ANN),
        (f"rcs:{ANN}", "sms", ANN, ANN),
        (f"whatsapp:{ANN}", "chat", ANN, ANN),
        ("messenger:1234567890123456789012345678901234567890123", "social", "", None),
        ("line:ann", "chat", "", None),
    ],
)
def test_an_address_says_by_which_channel(address: str, channel: str, phone: str, visitor_id: str | None) -> None:
    """
    WhatsApp is a chat with a number; who has none is known by the address.
    """
    event = event_of(webhook(From=address), read_at=TEN)
    assert (event.channel, event.phone, event.visitor_id) == (channel, phone, visitor_id or address)


@pytest.mark.parametrize(
    ("told", "agreed"),
    [
        ({"Body": "STOP"}, False),
        ({"Body": " stop. "}, False),
        ({"Body": "Unsubscribe"}, False),
        ({"Body": "START"}, True),
        ({"Body": "please", "OptOutType": "STOP"}, False),
        ({"Body": "YES", "OptOutType": "START"}, True),
        ({"Body": "YES"}, None),
        ({"Body": "HELP", "OptOutType": "HELP"}, None),
        ({"Body": "stop sending me sofas"}, None),
        ({"Body": ""}, None),
    ],
)
def test_one_word_is_consent(told: dict[str, str], agreed: bool | None) -> None:  # noqa: FBT001
    """
    A message that says only STOP or START, or that Twilio took for that; any other is a message.
    """
    event = event_of(webhook(**told), read_at=TEN)
    kinds = {None: "message_received", True: "consent_given", False: "consent_withdrawn"}
    assert (event.kind, event.consents) == (kinds[agreed], None if agreed is None else {"sms": agreed})
    assert event_of(status("sent", **told), read_at=TEN).kind == "message_sent"


def test_repeats_have_one_id() -> None:
    """
    A webhook that comes again later is the same one; each status is another.
    """
    first, again = event_of(status("sent"), read_at=TEN), event_of(status("sent"), read_at=TEN + 9000)
    assert first.event_id == again.event_id
    assert event_of(status("delivered"), read_at=TEN).event_id != first.event_id


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (webhook(From="266696687"), "no_identity"),
        (webhook(From=""), "no_identity"),
        (webhook(MessageSid=""), "missing_field"),
        (streamed("message.sent", timestamp="soon"), "bad_time"),
        (streamed("message.sent", messageSid="S" * 300), "wrong_type"),
    ],
)
def test_what_cannot_be_a_message_says_why(record: Record, reason: str) -> None:
    """
    A message of nobody, or without its id or time.
    """
    if record.get("From") == "266696687":
        record["From"] = "+266696687"
    assert reason_of(record, read_at=TEN) == reason


def test_events_of_twilio_are_not_unwrapped_and_others_are() -> None:
    """
    Only those types whose formats read the envelope; whatever has nothing in it says so.
    """
    inside = {"kind": "searched", "occurred_at": TEN, "anonymous_id": "ann"}
    envelope = {"specversion": "1.0", "data": inside}
    assert event_of({**envelope, "type": "com.twilio.studio.flow"}).kind == "searched"
    for type_ in WHOLE:
        assert reason_of({**envelope, "type": type_ + "x"}) == "missing_field"
    assert reason_of({"specversion": "1.0", "data": None}) == "missing_field"


GOOD = [
    webhook(OptOutType="STOP"),
    status("sent"),
    streamed("message.sent", body="Hi"),
    streamed("inbound-message.received"),
]


@settings(max_examples=200)
@given(
    record=spoilt(GOOD),
    read_at=st.sampled_from([None, TEN]),
    format_=st.sampled_from(["auto", "twilio_messages", "cloudevents"]),
)
def test_no_value_of_any_field_is_too_much(record: object, read_at: int | None, format_: Format) -> None:
    """
    Whatever a field holds, there is an event or a reason.
    """
    check_is_told_or_refused(record, read_at, format_)


def test_a_batch_of_events_is_read_one_by_one() -> None:
    """
    Event Streams send arrays; what is broken in one is refused alone.
    """
    decoded = decode([streamed("message.sent"), streamed("message.sent", timestamp=None, messageSid=None)])
    assert [event.kind for event in decoded.events] == ["message_sent"]
    assert [bad.reason for bad in decoded.rejected] == ["missing_field"]
