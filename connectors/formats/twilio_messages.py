"""Twilio's messages: SMS, WhatsApp and the like, received or sent, as webhooks and as Event Streams tell of them.

A webhook is a form or a JSON object of its texts (`MessageSid`, `SmsStatus`, `Body`); it has no time, so it happened
when it was read. Event Streams send CloudEvents. A message that only says STOP or START is consent, as Twilio takes it.
Sources: reference/contracts.md section 2; Twilio's pages on messaging webhooks, message status events and opt-outs.
"""

from __future__ import annotations

import re
from typing import Any, Final

from connectors.formats.common import Reading, Unusable
from connectors.formats.made import made
from connectors.formats.phones import code, happened_at, id_or, inner, named, number, rest, word
from connectors.formats.twilio import is_form
from operators.event import Channel, Event, Kind

TYPES: Final[tuple[str, ...]] = ("com.twilio.messaging.inbound-message.", "com.twilio.messaging.message.")

_KINDS: Final[dict[str, Kind]] = {
    "received": "message_received",
    "sent": "message_sent",
    "delivered": "message_delivered",
    "undelivered": "message_failed",
    "failed": "message_failed",
}
"""What a status means; others (queued, sending, read) are told as `other`, for they are none of these."""

_CHANNELS: Final[dict[str, Channel]] = {"": "sms", "rcs": "sms", "whatsapp": "chat", "messenger": "social"}
"""By what stands before the address: nothing before a number."""

_STOP: Final = frozenset({"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "optout", "revoke"})
_START: Final = frozenset({"start", "unstop"})
"""Twilio takes YES for consent too; it can answer any question, so it counts only with Twilio's own word for it."""
_AROUND: Final = " \t\r\n.!\"'"
_KEYWORD_CHARS_MAX: Final = 20

_USED: Final = frozenset(
    [
        "Body",
        "body",
        "From",
        "from",
        "To",
        "to",
        "MessageSid",
        "messageSid",
        "SmsSid",
        "SmsMessageSid",
        "timestamp",
        "Timestamp",
        "eventName",
    ]
)
_NAMES_A_MESSAGE: Final = re.compile(rb"(?:^|&)(?:MessageSid|SmsSid|SmsMessageSid)=")


def claims_form(raw: bytes) -> bool:
    """Tell whether a text is a webhook as Twilio posts it."""
    return is_form(raw, _NAMES_A_MESSAGE)


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is a webhook, or an event of Event Streams about a message."""
    if isinstance(type_ := told.get("type"), str) and type_.startswith(TYPES) and "specversion" in told:
        return True
    if "messageSid" in told:
        return isinstance(name := told.get("eventName"), str) and name.startswith(TYPES)
    return ("MessageSid" in told or "SmsSid" in told) and any(
        name in told for name in ("SmsStatus", "MessageStatus", "Body")
    )


def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    """Make the event of a message.

    Raises:
        Unusable: `missing_field`; `no_identity`, where no number or address names the customer; `bad_time`.
    """
    data = inner(told, "data") if "specversion" in told else told
    sid = named(data, "messageSid", "MessageSid", "SmsSid")
    status = _status(told, data)
    if not sid or not status:
        raise Unusable("missing_field", "a message without its id or its status")
    is_theirs = status in ("received", "receiving")
    address = word(data, "from", "From") if is_theirs else word(data, "to", "To")
    prefix, _, bare = address.rpartition(":")
    channel = _CHANNELS.get(prefix.lower(), "chat")
    kind: Kind = _KINDS.get(status, "other")
    body = data.get("body", data.get("Body"))
    text = body if isinstance(body, str) else ""
    agreed = _consent(data, text) if is_theirs else None
    if agreed is not None:
        kind = "consent_given" if agreed else "consent_withdrawn"
    properties = rest(data, _USED) | ({"text": text} if text else {})
    at = happened_at(reading, data.get("timestamp"), data.get("Timestamp"), told.get("time"))
    event_id = id_or(told.get("id") if data is not told else None, "twilio", sid, status)
    phone = number(bare)
    event = made(
        kind,
        at,
        event_id,
        channel,
        reading,
        position,
        anonymous_id="" if phone or not prefix else address[:256],
        phone=phone,
        name=f"message_{status}" if kind == "other" else "",
        properties=properties,
    )
    if agreed is not None:
        event.consents = {channel: agreed}
    return [event]


def _status(told: dict[str, Any], data: dict[str, Any]) -> str:
    """Return what has happened to the message, in Twilio's word; the type of an event outranks its snapshot."""
    type_ = word(told, "type") if data is not told else word(data, "eventName")
    if type_.startswith(TYPES):
        return type_.rpartition(".")[2].lower()
    return code(data, "MessageStatus", "SmsStatus") or ("received" if "Body" in data else "")


def _consent(data: dict[str, Any], text: str) -> bool | None:
    """Tell whether the customer agreed to messages or forbade them; None where they said neither."""
    told = code(data, "OptOutType", "optOutType")
    if told in ("stop", "start"):
        return told == "start"
    said = text[:_KEYWORD_CHARS_MAX].lower().strip(_AROUND) if len(text) <= _KEYWORD_CHARS_MAX else ""
    if said in _STOP:
        return False
    return True if said in _START else None
