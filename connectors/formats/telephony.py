"""Our own events of legs of calls and of messages, for telephone systems that no other format here speaks of.

Flat JSON objects. A leg's has `type` (`call_ringing`, `call_ended`, ...), `provider`, `call_id`, `leg_id`; a message's
has `type` (`message_received`, `message_sent`, `message_status`), `conversation_id`, `from` and `to`. Spans are in
seconds.
Source: reference/contracts.md section 2, where the fields are listed.
"""

from __future__ import annotations

from typing import Any, Final, cast

from connectors.formats.common import Reading, Unusable
from connectors.formats.made import made, made_leg
from connectors.formats.phones import (
    code,
    count,
    happened_at,
    id_or,
    in_order,
    inner,
    named,
    number,
    rest,
    shared_ids,
    span_ms,
    word,
)
from operators.event import CHANNELS, Channel, Event, Kind
from operators.leg import LEG_STATES, REASONS, Leg

_CALL: Final = "call_"
_MESSAGES: Final = frozenset({"message_received", "message_sent", "message_status"})
_KINDS: Final[dict[str, Kind]] = {
    "received": "message_received",
    "sent": "message_sent",
    "delivered": "message_delivered",
    "undelivered": "message_failed",
    "failed": "message_failed",
}
_STATES: Final = {
    "held": "held",
    "hold": "held",
    "unheld": "resumed",
    "initiated": "offered",
    "transferred": "transferring",
}
"""Other words for the states of legs."""
_REASONS: Final = {"canceled": "abandoned", "cancelled": "abandoned", "noanswer": "no_answer"}
_KINDS_OF_TRANSFER: Final = frozenset({"blind", "attended", "conference"})
_PARTIES: Final = frozenset({"customer", "agent", "system"})

_USED: Final = frozenset(
    [
        "event_id",
        "type",
        "occurred_at",
        "received_at",
        "provider",
        "call_id",
        "leg_id",
        "parent_leg_id",
        "seq",
        "direction",
        "from_e164",
        "to_e164",
        "party",
        "agent_id",
        "queue",
        "state",
        "reason",
        "transfer",
        "talk_s",
        "hold_s",
        "wait_s",
        "from",
        "to",
    ]
)


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is one of ours about a leg or a message."""
    type_ = told.get("type")
    if not isinstance(type_, str):
        return False
    if type_.startswith(_CALL):
        return "call_id" in told and "leg_id" in told
    return type_ in _MESSAGES and ("conversation_id" in told or "from" in told)


def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    """Make the event of a leg or of a message.

    Raises:
        Unusable: `missing_field`; `bad_time`; of a message `no_identity`.
    """
    type_ = word(told, "type")
    if not (type_.startswith(_CALL) or type_ in _MESSAGES):
        raise Unusable("missing_field", "`type` names no leg of a call, and no message")
    at = happened_at(reading, told.get("occurred_at"), told.get("received_at"))
    if type_.startswith(_CALL):
        return [_leg_event(told, at, position, reading)]
    return [_message(told, at, position, reading)]


def _leg_event(told: dict[str, Any], at: int, position: int, reading: Reading) -> Event:
    provider, call_id = named(told, "provider") or "telephony", named(told, "call_id")
    leg_id = named(told, "leg_id") or call_id
    if not leg_id:
        raise Unusable("missing_field", "neither `leg_id` nor `call_id` names anything")
    state = _state(told)
    parent = named(told, "parent_leg_id")
    step = in_order(at, (state, at)) if state else ()
    leg = Leg(provider, f"{provider}:{leg_id}", shared_ids(provider, call_id or leg_id, parent), step)
    leg.seq = count(told.get("seq"))
    direction, party = code(told, "direction"), code(told, "party")
    leg.direction = direction if direction in ("inbound", "outbound") else ""
    leg.party = party if party in _PARTIES else ""
    caller, called = word(told, "from_e164"), word(told, "to_e164")
    if leg.direction == "inbound":
        leg.customer, leg.called = number(caller), called
    elif leg.direction == "outbound":
        leg.customer = number(called)
    leg.agent, leg.queue = named(told, "agent_id"), named(told, "queue")
    why = code(told, "reason").replace("-", "_")
    why = _REASONS.get(why, why)
    leg.reason = why if why in REASONS else ""
    transfer = inner(told, "transfer")
    kind = code(transfer, "kind")
    leg.transfer_kind = kind if kind in _KINDS_OF_TRANSFER else ""
    leg.transfer_to = word(transfer, "to")
    leg.talk_ms, leg.hold_ms = span_ms(told.get("talk_s")), span_ms(told.get("hold_s"))
    leg.wait_ms = span_ms(told.get("wait_s"))
    told_as = leg.seq if leg.seq >= 0 else at
    event_id = id_or(told.get("event_id"), provider, leg.leg_id, told_as, word(told, "type"), state)
    return made_leg(leg, at, event_id, reading, position, rest(told, _USED))


def _state(told: dict[str, Any]) -> str:
    """Return the state of a leg, or else the one that its type names."""
    for name in (code(told, "state"), code(told, "type").removeprefix("call-")):
        state = _STATES.get(name, name)
        if state in LEG_STATES:
            return state
    return ""


def _message(told: dict[str, Any], at: int, position: int, reading: Reading) -> Event:
    type_, status = word(told, "type"), code(told, "status")
    is_theirs = type_ == "message_received" and code(told, "direction") != "outbound"
    address = word(told, "from") if is_theirs else word(told, "to")
    phone, email = number(address), address if "@" in address else ""
    kind: Kind = _KINDS.get(status, "other") if type_ == "message_status" else _KINDS[type_.removeprefix("message_")]
    if kind == "message_received" and not is_theirs:
        kind = "message_sent"
    event_id = id_or(told.get("event_id"), "message", named(told, "conversation_id"), address, at, type_, status)
    return made(
        kind,
        at,
        event_id,
        _channel(told, phone, email),
        reading,
        position,
        anonymous_id="" if phone or email else named(told, "from" if is_theirs else "to"),
        email=email,
        phone=phone,
        name=f"message_{status}" if kind == "other" else "",
        properties=rest(told, _USED),
    )


def _channel(told: dict[str, Any], phone: str, email: str) -> Channel:
    name = code(told, "channel")
    if name in CHANNELS:
        return cast("Channel", name)
    return "sms" if phone else "email" if email else "chat"
