"""Genesys Cloud's words and what they mean here, and the events of its conversations in writing.

The detail events write CONSULT_TRANSFER, the notifications transfer.consult: both are read alike.
Source: the models of Genesys' platform client SDK.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.formats.common import Reading
from connectors.formats.made import made
from connectors.formats.phones import named, number, word
from operators.event import Channel, Event, Kind
from operators.leg import Leg

AGENT_PURPOSES: Final = frozenset({"user", "agent", "manager", "station", "group"})
SYSTEM_PURPOSES: Final = frozenset(
    {"acd", "ivr", "workflow", "botflow", "flow", "voicemail", "fax", "dialer", "campaign"}
)
FAILED: Final = frozenset({"error", "transport-failure", "transport.failure", "uncallable"})
"""What `disconnectType` a leg that failed has."""

_CHANNELS: Final[dict[str, Channel]] = {
    "chat": "chat",
    "webchat": "chat",
    "webmessaging": "chat",
    "message": "chat",
    "email": "email",
    "sms": "sms",
    "facebook": "social",
    "instagram": "social",
    "twitter": "social",
    "voice": "phone",
    "callback": "phone",
}
"""By `messageType`, or else `mediaType`; any other is a chat."""


def transfer_kind(ended_by: str) -> str:
    """Return how a leg was handed on, by its `disconnectType`; "" where it was not, or only because nobody came."""
    if "transfer" not in ended_by or "answer" in ended_by or "available" in ended_by:
        return ""
    if "consult" in ended_by:
        return "attended"
    return "conference" if "conference" in ended_by else "blind"


def party_of(purpose: str, direction: str) -> str:
    """Tell who takes part: an outside party is the customer of an outbound call, else somebody asked for help."""
    if purpose == "customer" or (purpose == "external" and direction == "outbound"):
        return "customer"
    if purpose in AGENT_PURPOSES or purpose == "external":
        return "agent"
    return "system" if purpose in SYSTEM_PURPOSES else ""


def add_numbers(leg: Leg, direction: str, ani: str, dnis: str) -> None:
    """Add who calls whom: the company's number is the one that an inbound call is for and an outbound one is from."""
    if direction == "inbound":
        leg.direction, leg.customer, leg.called = "inbound", number(ani), number(dnis) or dnis
    elif direction == "outbound":
        leg.direction, leg.customer = "outbound", number(dnis)


def written(  # noqa: PLR0913, PLR0917 -- all that such an event is made of
    kind: str,
    body: dict[str, Any],
    conversation: str,
    media: str,
    at: int,
    event_id: str,
    properties: dict[str, Any],
    position: int,
    reading: Reading,
) -> Event:
    """Make the event of a conversation that is no call. Who it is with is known by contact, or by conversation."""
    is_outbound = word(body, "direction").lower() == "outbound"
    address = word(body, "dnis", "addressTo") if is_outbound else word(body, "ani", "addressFrom")
    channel = _CHANNELS.get(word(body, "messageType").lower()) or _CHANNELS.get(media, "chat")
    told: Kind = "chat_started" if kind == "chat_started" else "chat_ended" if kind == "chat_ended" else "other"
    if channel in ("email", "phone"):
        told = "other"
    contact = named(body, "externalContactId") or conversation
    return made(
        told,
        at,
        event_id,
        channel,
        reading,
        position,
        anonymous_id=f"genesys:{contact}"[:256],
        email=address if "@" in address and channel == "email" else "",
        phone=number(address),
        name=f"genesys {media}" if told == "other" else "",
        properties={**properties, "conversationId": conversation},
    )
