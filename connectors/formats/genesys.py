"""Genesys Cloud's conversations: the detail events that EventBridge brings, to legs of calls and to chats.

`v2.detail.events.conversation.{id}.{customer|acd|user|flow|...}.{start|end}`: a leg is a participant, of the call that
the conversation is, whoever it is handed to. `acd` is a queue, `user` an agent. What is told at the end of a leg has
the spans of what came before, so one whose beginning was lost is still known. Notifications (`genesys_live.py`) name
the same participants, so both sources make one call; only they tell of holds.

The queue's own leg always ends with a transfer, to the agent; that counts as none. A caller whom a menu has taken has
not been answered. Chats, messages and e-mails are not calls: their customer's beginning and end is a chat's.
Sources: reference/contracts.md section 2; the models of Genesys' platform client SDK.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.formats import genesys_live
from connectors.formats.common import Reading, Unusable
from connectors.formats.genesys_words import FAILED, add_numbers, party_of, transfer_kind, written
from connectors.formats.made import made_leg
from connectors.formats.phones import (
    before,
    code,
    happened_at,
    id_or,
    in_order,
    inner,
    named,
    rest,
    shared_ids,
    span_ms,
    word,
)
from operators.event import Event
from operators.leg import Leg

_TOPIC: Final = "v2.detail.events.conversation."
_WHERE: Final = 5  # in v2.detail.events.conversation.{id}.customer.start, what comes after the conversation
_VOICE: Final = frozenset({"", "voice", "unknown"})

_USED: Final = frozenset(
    [
        "eventTime",
        "conversationId",
        "participantId",
        "sessionId",
        "direction",
        "ani",
        "dnis",
        "queueId",
        "userId",
        "addressFrom",
        "addressTo",
    ]
)


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is an event of a conversation, as EventBridge or a notification channel brings it."""
    topic, body = _parts(told)
    if not body or not topic.startswith("v2."):
        return False
    return topic.startswith(_TOPIC) or genesys_live.claims(topic, body)


def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    """Make the event of a detail event, or one for each participant of a notification.

    Raises:
        Unusable: `missing_field`, where no conversation is named; `bad_time`.
    """
    topic, body = _parts(told)
    detail = inner(told, "detail")
    conversation = named(body, "conversationId") or named(body, "id")
    if not conversation:
        raise Unusable("missing_field", "a conversation without its id")
    if not topic.startswith(_TOPIC):
        return genesys_live.events(told, body, conversation, position, reading)
    at = happened_at(reading, body.get("eventTime"), detail.get("timestamp"), told.get("time"))
    who, what = _of_topic(topic)
    leg_id = named(body, "participantId", "sessionId") or conversation
    event_id = id_or(told.get("id"), "genesys", leg_id, at, who, what)
    properties = rest(body, _USED)
    media = code(body, "mediaType")
    if media not in _VOICE:
        kind = ("customer.start", "customer.end").count(f"{who}.{what}") and f"chat_{what}ed"
        return [written(kind or "other", body, conversation, media, at, event_id, properties, position, reading)]
    leg = Leg("genesys", f"genesys:{leg_id}", shared_ids("genesys", conversation), _steps(who, what, body, at))
    add_numbers(leg, code(body, "direction"), word(body, "ani", "addressFrom"), word(body, "dnis", "addressTo"))
    leg.party = party_of(who, code(body, "direction"))
    leg.queue, leg.agent = named(body, "queueId"), named(body, "userId")
    if what == "end" and leg.party:
        _add_end(leg, who, body)
    return [made_leg(leg, at, event_id, reading, position, properties)]


def _parts(told: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return topic and body, with EventBridge's envelope or without."""
    inside = inner(told, "detail") or told
    return word(inside, "topicName") or word(told, "detail-type"), inner(inside, "eventBody")


def _of_topic(topic: str) -> tuple[str, str]:
    """Return whose leg a topic is about, and whether of its start or end; "" for neither."""
    names = topic.lower().split(".")[_WHERE:]
    who = names[0] if names else ""
    return who, names[1] if len(names) > 1 else ""


def _steps(who: str, what: str, body: dict[str, Any], at: int) -> tuple[tuple[str, int], ...]:
    """Return the states that a detail event tells of, those before it by their spans."""
    party = party_of(who, code(body, "direction"))
    if not party:  # what is left to do after a leg (acw, wrapup) is no part of it
        return ()
    if what == "start":
        is_rung = party == "agent" and code(body, "direction") != "outbound"
        return ((("queued" if who == "acd" else "ringing" if is_rung else "offered"), at),)
    if what != "end":
        return ()
    if who == "acd":
        began_at = before(at, span_ms(body.get("connectedDurationMs"), 1))
        return in_order(at, ("queued", began_at), ("ended", at))
    if party != "agent":
        return in_order(at, ("ended", at))
    talked_ms, held_ms = span_ms(body.get("interactingDurationMs"), 1), span_ms(body.get("heldDurationMs"), 1)
    answered_at = before(at, talked_ms, held_ms) if talked_ms > 0 else None
    alerted_ms = span_ms(body.get("alertingDurationMs"), 1)
    rung_at = before(at if answered_at is None else answered_at, alerted_ms) if alerted_ms > 0 else None
    moved = ("transferring", at if transfer_kind(code(body, "disconnectType")) else None)
    return in_order(at, ("ringing", rung_at), ("answered", answered_at), moved, ("ended", at))


def _add_end(leg: Leg, who: str, body: dict[str, Any]) -> None:
    """Add why a leg ended, and how long what took."""
    ended_by = code(body, "disconnectType")
    if who == "acd":
        leg.wait_ms = span_ms(body.get("connectedDurationMs"), 1)
        leg.reason = "abandoned" if code(body, "acdOutcome").startswith("abandon") else ""
        return
    if ended_by in FAILED:
        leg.reason = "failed"
    elif leg.party == "customer":
        leg.reason = "completed"
    elif who == "voicemail":
        leg.reason = "voicemail"
    if leg.party == "agent":
        talked_ms = leg.talk_ms = span_ms(body.get("interactingDurationMs"), 1)
        leg.hold_ms = span_ms(body.get("heldDurationMs"), 1)
        leg.transfer_kind = transfer_kind(ended_by)
        if not leg.reason and talked_ms > 0:
            leg.reason = "completed"
        elif not leg.reason and (span_ms(body.get("alertingDurationMs"), 1) > 0 or "no-answer" in ended_by):
            leg.reason = "no_answer"
