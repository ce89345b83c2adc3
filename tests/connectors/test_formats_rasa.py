"""Rasa: what people and the assistant say to each other."""

from typing import Any

import pytest
from hypothesis import given, settings

from connectors.formats import rasa
from operators.rejected import REASONS
from tests.connectors.formats import NOON, decoded, event_of, mutated, reasons

USER: dict[str, Any] = {
    "sender_id": "+4915112345678",
    "event": "user",
    "timestamp": 1795255500.12,
    "text": "Please send my invoice",
    "input_channel": "twilio",
    "message_id": "m-1",
    "parse_data": {"intent": {"name": "request_invoice", "confidence": 0.97}, "entities": []},
    "metadata": {},
}
BOT: dict[str, Any] = {
    "sender_id": "c-17",
    "event": "bot",
    "timestamp": 1795255501.5,
    "text": "Here it is",
    "data": {"buttons": None},
    "metadata": {"utter_action": "utter_invoice"},
}


def test_a_text_message_is_its_senders_number() -> None:
    """
    By Twilio's channel it is an SMS, with what was meant and how sure the assistant is of it.
    """
    event = event_of(USER)
    assert (event.kind, event.channel, event.phone, event.anonymous_id) == (
        "message_received",
        "sms",
        "+4915112345678",
        "",
    )
    assert (event.at, event.event_id) == (1795255500120, "m-1")
    told = event.told()
    assert (told["text"], told["intent"], told["confidence"]) == ("Please send my invoice", "request_invoice", 0.97)


def test_what_the_assistant_answers_is_sent() -> None:
    """
    In a chat the sender is a visitor.
    """
    event = event_of(BOT)
    assert (event.kind, event.channel, event.anonymous_id, event.phone) == ("message_sent", "chat", "c-17", "")
    assert event.told() == {
        "text": "Here it is",
        "data": {"buttons": None},
        "metadata": {"utter_action": "utter_invoice"},
    }


@pytest.mark.parametrize(
    ("type_", "kind"),
    [*rasa.KINDS.items(), ("action", "other"), ("slot", "other"), ("restart", "other"), ("flow_started", "other")],
)
def test_each_type_has_its_kind(type_: str, kind: str) -> None:
    """
    What the assistant does between messages is kept as other events.
    """
    assert event_of({"sender_id": "c", "event": type_, "timestamp": 1795255500}).kind == kind


@pytest.mark.parametrize(
    ("sender", "told_channel", "channel", "phone", "anonymous_id"),
    [
        ("whatsapp:+4915112345678", "twilio", "chat", "+4915112345678", ""),
        ("+4915112345678", None, "sms", "+4915112345678", ""),
        ("+4915112345678", "rest", "chat", "+4915112345678", ""),
        ("8f1c", "socketio", "chat", "", "8f1c"),
        ("4915112345678", "telegram", "chat", "", "4915112345678"),
    ],
)
def test_a_number_is_a_number_and_all_else_a_visitor(
    sender: str, told_channel: str | None, channel: str, phone: str, anonymous_id: str
) -> None:
    """
    Only with its country code: the ids of other messengers are digits, too.
    """
    event = event_of({**USER, "sender_id": sender, "input_channel": told_channel})
    assert (event.channel, event.phone, event.anonymous_id) == (channel, phone, anonymous_id)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sender_id": "default"}, "no_identity"),
        ({"sender_id": None}, "no_identity"),
        ({"timestamp": "later"}, "bad_time"),
        ({"sender_id": "a" * 300}, "wrong_type"),
    ],
)
def test_a_record_that_cannot_be_an_event_says_why(changes: dict[str, Any], reason: str) -> None:
    """
    `default` is everybody whom a channel does not name.
    """
    assert reasons(BOT | changes) == [reason]


@settings(max_examples=300, deadline=None)
@given(mutated([USER, BOT]))
def test_whatever_stands_in_a_field_there_is_an_outcome(record: object) -> None:
    """
    An event or a rejection with its reason, and never an exception.
    """
    for format_ in ("auto", "rasa"):
        outcome = decoded(record, format=format_, read_at=NOON)
        assert len(outcome.events) + len(outcome.rejected) == 1
        assert {rejected.reason for rejected in outcome.rejected} <= REASONS
