"""Rasa's events, as its event broker puts them on Kafka: what people and the assistant say, and what it does.

Each is an object with the conversation in `sender_id`, the type in `event` and the instant in `timestamp` (s). Sources:
Rasa's documentation of event brokers and of events; reference/contracts.md section 2.
"""

from __future__ import annotations

import re
from typing import Any, Final

from connectors.formats.common import Reading, Unusable
from connectors.formats.fields import amount, identifier_text, text
from connectors.formats.made import id_of, instant_of, made
from operators.event import Channel, Event, Kind

KINDS: Final[dict[str, Kind]] = {
    "user": "message_received",
    "bot": "message_sent",
    "agent": "message_sent",  # a person of ours has taken over
    "session_started": "chat_started",
    "session_ended": "chat_ended",
}
"""What the types of events mean here; what the assistant does between messages is "other"."""

TYPES: Final = frozenset(
    {
        *KINDS,
        *("action", "action_execution_rejected", "slot", "reset_slots", "restart", "undo", "rewind", "export"),
        *("reminder", "cancel_reminder", "pause", "resume", "followup", "user_featurization", "entities"),
        *("form", "form_validation", "active_loop", "loop_interrupted", "routing_session_ended"),
        *("flow_started", "flow_completed", "flow_cancelled", "flow_interrupted", "flow_resumed", "stack"),
    }
)

NOBODY: Final = "default"
"""What Rasa calls the sender where a channel names none: everybody's."""

_PHONE: Final = re.compile(r"(?:whatsapp:|tel:|sms:)?(\+[0-9]{6,15})")
_READ: Final = frozenset({"sender_id", "event", "timestamp"})


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is an event of Rasa's."""
    type_ = told.get("event")
    return isinstance(type_, str) and type_ in TYPES and "sender_id" in told and "timestamp" in told


def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    """Make the event of a record.

    Raises:
        Unusable: `missing_field`, `bad_time`, `no_identity`, `wrong_type`.
    """
    type_ = text(told.get("event"))
    if not type_:
        raise Unusable("missing_field", "`event` is absent")
    sender = (identifier_text(told.get("sender_id")) or "").strip()
    number = _PHONE.fullmatch(sender)
    event = made(
        KINDS.get(type_, "other"),
        instant_of(told.get("timestamp"), reading, "s"),
        id_of(told.get("message_id"), told),
        _channel(told, sender, is_number=number is not None),
        reading,
        position,
        anonymous_id=None if number is not None or sender == NOBODY else sender,
        phone=None if number is None else number[1],
        name=type_,
        properties=_properties(told),
    )
    return [event]


def _channel(told: dict[str, Any], sender: str, *, is_number: bool) -> Channel:
    """Tell the channel; only what a user says names it, so that a number stands for Twilio's where none is named."""
    told_channel = text(told.get("input_channel")) or ("twilio" if is_number else "")
    return "sms" if told_channel == "twilio" and not sender.startswith("whatsapp:") else "chat"


def _properties(told: dict[str, Any]) -> dict[str, Any]:
    """Gather what the event says, with what was meant and how sure Rasa is of it at hand."""
    rest = {name: value for name, value in told.items() if name not in _READ and value is not None}
    parsed = told.get("parse_data")
    intent = parsed.get("intent") if isinstance(parsed, dict) else None
    if not isinstance(intent, dict):
        return rest
    meant = {"intent": text(intent.get("name")), "confidence": amount(intent.get("confidence"))}
    return rest | {name: value for name, value in meant.items() if value is not None}
