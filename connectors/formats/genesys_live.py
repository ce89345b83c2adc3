"""Genesys Cloud's notifications (`v2.users.{id}.conversations`, `v2.conversations.calls` and their like), to legs.

Each has the whole conversation as it is now: every participant with its state and times. So there is an event for each
participant, and one that says nothing new of it has the same id. That a call is no longer held has no time of its own:
it is that of the notification.
Sources: reference/contracts.md section 2; the models of Genesys' platform client SDK.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.formats.common import Reading, Unusable
from connectors.formats.fields import amount, flag
from connectors.formats.genesys_words import FAILED, add_numbers, party_of, transfer_kind, written
from connectors.formats.made import made_leg
from connectors.formats.phones import (
    code,
    happened_at,
    in_order,
    inner,
    instant,
    made_id,
    named,
    rest,
    shared_ids,
    word,
)
from operators.event import Event
from operators.leg import Leg

PARTICIPANTS_MAX: Final = 100
"""Participants of a conversation that are looked at; what lies beyond is dropped."""

_ENDED: Final = frozenset({"disconnected", "terminated"})
_BUSY: Final = frozenset({486, 600, 17})
_NO_ANSWER: Final = frozenset({408, 480, 18, 19})
_GAVE_UP: Final = 487
_SIP_ERRORS: Final = 400
_MEDIA: Final = {"chats": "chat", "messages": "message", "emails": "email", "callbacks": "callback"}
_USED: Final = frozenset(
    [
        "id",
        "state",
        "held",
        "direction",
        "self",
        "other",
        "startHoldTime",
        "connectedTime",
        "disconnectedTime",
        "endTime",
        "startTime",
        "ani",
        "dnis",
        "address",
        "name",
        "calls",
        "queue",
        "user",
        "queueId",
        "userId",
    ]
)

Told = dict[str, Any]


def claims(topic: str, body: Told) -> bool:
    """Tell whether a notification is of conversations."""
    return ".conversations" in topic and isinstance(body.get("participants"), list)


def events(told: Told, body: Told, conversation: str, position: int, reading: Reading) -> list[Event]:
    """Make an event for each leg of a notification.

    Raises:
        Unusable: `missing_field`, where nobody takes part; `bad_time`.
    """
    found: list[Event] = []
    stamp = told.get("time") or inner(told, "detail").get("timestamp")
    for participant in _objects(body.get("participants")):
        calls = _objects(participant.get("calls"))
        if not calls and word(participant, "state"):
            calls = [participant]
        found += [_leg_event(participant, call, conversation, stamp, position, reading) for call in calls]
        if not calls and code(participant, "purpose") in ("customer", "external"):
            found += _in_writing(participant, conversation, stamp, position, reading)
    if not found:
        raise Unusable("missing_field", "no participant with a state")
    return found


def _objects(told: object) -> list[Told]:
    return [one for one in told[:PARTICIPANTS_MAX] if isinstance(one, dict)] if isinstance(told, list) else []


def _leg_event(
    participant: Told, call: Told, conversation: str, stamp: object, position: int, reading: Reading
) -> Event:
    purpose, state, direction = code(participant, "purpose"), code(call, "state"), code(call, "direction")
    held, steps = flag(call.get("held")), _steps(participant, call, purpose, direction)
    known = [at for _, at in steps]
    if held is False and state == "connected":
        at = happened_at(reading, stamp) if stamp or reading.read_at is not None else max(known, default=None)
        steps += [] if at is None or at in known else [("resumed", at)]
    at = max([when for _, when in steps], default=None)
    at = happened_at(reading, stamp if at is None else at)
    leg_id = named(participant, "id") or named(call, "id") or conversation
    leg = Leg("genesys", f"genesys:{leg_id}", shared_ids("genesys", conversation), in_order(at, *steps))
    leg.party = party_of(purpose, direction)
    leg.queue = named(participant, "queueId") or named(inner(participant, "queue"), "id")
    if leg.party == "agent":
        leg.agent = named(participant, "userId") or named(inner(participant, "user"), "id")
        leg.agent = leg.agent or word(participant, "address")
    theirs, ours = _addresses(participant, call, leg.party)
    if leg.party == "customer":
        add_numbers(leg, direction, *((ours, theirs) if direction == "outbound" else (theirs, ours)))
    if state in _ENDED:
        leg.reason = _reason(call, purpose, leg)
        leg.transfer_kind = transfer_kind(code(call, "disconnectType")) if leg.party == "agent" else ""
    event_id = made_id("genesys", leg.leg_id, state, held, leg.steps)
    return made_leg(leg, at, event_id, reading, position, rest(call, _USED))


def _addresses(participant: Told, call: Told, party: str) -> tuple[str, str]:
    """Return the number of the participant and the one at the other end."""
    mine, other = inner(call, "self"), inner(call, "other")
    theirs = word(mine, "addressNormalized", "addressRaw") or word(participant, "address")
    ours = word(other, "addressNormalized", "addressRaw")
    if party == "customer" and not ours:
        is_outbound = code(call, "direction") == "outbound"
        ours = word(participant, "ani" if is_outbound else "dnis")
        theirs = theirs or word(participant, "dnis" if is_outbound else "ani")
    return theirs, ours


def _steps(participant: Told, call: Told, purpose: str, direction: str) -> list[tuple[str, int]]:
    """Return the states that have a time of their own."""
    state = code(call, "state")
    is_agent = party_of(purpose, direction) == "agent"
    # A caller whom a menu or a queue has taken has been answered by nobody; a queue's own leg waits.
    connected = "queued" if purpose == "acd" else "answered" if is_agent or direction == "outbound" else "offered"
    told = [
        ("ringing" if is_agent and direction != "outbound" else "offered", _first(participant, call, "startTime")),
        (connected, _first(call, participant, "connectedTime")),
        ("held", _first(call, participant, "startHoldTime") if flag(call.get("held")) else None),
    ]
    if state in _ENDED:
        ended_at = _first(call, participant, "disconnectedTime") or _first(participant, call, "endTime")
        if is_agent and transfer_kind(code(call, "disconnectType")):
            told.append(("transferring", ended_at))
        told.append(("ended", ended_at))
    return [(step, at) for step, at in told if at is not None]


def _first(told: Told, otherwise: Told, name: str) -> int | None:
    at = instant(told.get(name))
    return instant(otherwise.get(name)) if at is None else at


def _reason(call: Told, purpose: str, leg: Leg) -> str:
    """Tell why a leg ended: by the codes of SIP or Q.850, else by who ended it."""
    if purpose == "voicemail":
        return "voicemail"
    codes = {amount(one.get("code")) for one in _objects(call.get("disconnectReasons"))}
    if codes & _BUSY:
        return "busy"
    if codes & _NO_ANSWER:
        return "no_answer"
    if _GAVE_UP in codes:
        return "abandoned" if leg.party == "customer" else "no_answer"
    if code(call, "disconnectType") in FAILED or any(one is not None and one >= _SIP_ERRORS for one in codes):
        return "failed"
    if leg.party == "agent" and not any(state == "answered" for state, _ in leg.steps):
        return "no_answer"
    return "completed" if leg.party in ("agent", "customer") else ""


def _in_writing(participant: Told, conversation: str, stamp: object, position: int, reading: Reading) -> list[Event]:
    """Make the events of a customer's chats, messages and e-mails: one at their beginning, one at their end."""
    found: list[Event] = []
    for field, media in _MEDIA.items():
        for one in _objects(participant.get(field)):
            has_ended = code(one, "state") in _ENDED
            at = instant(one.get("disconnectedTime" if has_ended else "connectedTime"))
            event_id = made_id("genesys", conversation, named(one, "id"), media, has_ended)
            kind = "chat_ended" if has_ended else "chat_started"
            body = {**participant, **one, "addressFrom": participant.get("address")}
            settled_at = happened_at(reading, stamp if at is None else at)
            told = rest(one, _USED)
            found.append(written(kind, body, conversation, media, settled_at, event_id, told, position, reading))
    return found
