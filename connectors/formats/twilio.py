"""Twilio's calls: status callbacks, conferences, queues and Event Streams, to legs.

A callback is a form (`CallSid=CA1&CallStatus=ringing`) or a JSON object of the same texts. Event Streams send it as a
CloudEvent whose `data.request.parameters` are those fields. A leg is a `CallSid`; it is of the call of its parent, and
of each conference that it joins. A queue is a leg of its own, for being in one is another thing than the caller's line.

Whose leg it is shows in the direction: an inbound call is a customer's unless a softphone placed it, an `outbound-api`
one goes to a customer unless to a softphone, and what `<Dial>` adds is an agent's. Whose number such a leg shows as its
caller is not told, so it names no customer. Requests for TwiML have no time: they happened when they were read.
Sources: reference/contracts.md section 2; Twilio's pages on status callbacks, conferences, Enqueue and Event Streams.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from connectors.formats.common import Reading, Unusable
from connectors.formats.made import made_leg
from connectors.formats.phones import (
    before,
    code,
    count,
    happened_at,
    id_or,
    in_order,
    inner,
    is_device,
    made_id,
    named,
    number,
    rest,
    shared_ids,
    span_ms,
    word,
)
from operators.event import Event
from operators.leg import Leg

_CALL_FIELDS: Final = frozenset(
    {"CallStatus", "Direction", "StatusCallbackEvent", "QueueSid", "QueueResult", "AnsweredBy", "DialCallStatus"}
)
TYPES: Final[tuple[str, ...]] = (
    "com.twilio.voice.status-callback.",
    "com.twilio.voice.webhook.",
    "com.twilio.voice.twiml.",
)
"""How the types of the events begin that tell of a callback, or of a request for TwiML."""

_STATES: Final = {
    # Waiting to be dialled by Twilio, which is no queue that a caller waits in.
    "queued": ("offered", ""),
    "initiated": ("offered", ""),
    "ringing": ("ringing", ""),
    "in-progress": ("answered", ""),
    "answered": ("answered", ""),
    "completed": ("ended", "completed"),
    "busy": ("ended", "busy"),
    "no-answer": ("ended", "no_answer"),
    "failed": ("ended", "failed"),
    # Whoever called gave up before anybody answered.
    "canceled": ("ended", "abandoned"),
}
"""What a call's status means: the state of its leg, and why it ended."""

_IN_CONFERENCE: Final = {
    "participant-join": "answered",
    "participant-hold": "held",
    "participant-unhold": "resumed",
    "conference-start": "offered",
    "conference-end": "ended",
}
_LEFT_BY_HAND: Final = frozenset({"participant-updated-via-api", "updated-via-api", "redirected"})
"""Why a participant left who was led elsewhere, and has not hung up."""

_INBOUND: Final = frozenset({"inbound", "trunking-originating"})
_OUTBOUND: Final = frozenset({"outbound-api", "trunking-terminating"})

_USED: Final = frozenset(
    [
        "CallSid",
        "ParentCallSid",
        "CallStatus",
        "Direction",
        "From",
        "To",
        "Caller",
        "Called",
        "SequenceNumber",
        "Timestamp",
        "ForwardedFrom",
    ]
)
"""What an event has other places for; Caller and Called are From and To again."""

_FORM: Final = re.compile(rb"[A-Za-z][\w.%-]*=[^&\s]*(?:&[\w.%-]+=[^&\s]*)*\s*")
_FORM_FIELDS_MAX: Final = 500
_NAMES_A_CALL: Final = re.compile(rb"(?:^|&)(?:CallSid|ConferenceSid)=")


def is_form(raw: bytes, names: re.Pattern[bytes]) -> bool:
    """Tell whether a text is a form with a field of one of these names."""
    # JSON, as most are, ends at its first character.
    return raw[:1].isalpha() and names.search(raw) is not None and _FORM.fullmatch(raw) is not None


def form(raw: bytes) -> dict[str, Any]:
    """Return the fields of a form; of two with one name the last.

    Raises:
        Unusable: `not_json`, where it is no UTF-8; `too_large`.
    """
    try:
        return dict(parse_qsl(raw.decode().strip(), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX))
    except UnicodeDecodeError:
        raise Unusable("not_json", "the bytes are not valid UTF-8") from None
    except ValueError:
        raise Unusable("too_large", f"a form of more than {_FORM_FIELDS_MAX} fields") from None


def claims_form(raw: bytes) -> bool:
    """Tell whether a text is a callback as Twilio posts it."""
    return is_form(raw, _NAMES_A_CALL)


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is a callback, or an event of Event Streams about a call."""
    if isinstance(type_ := told.get("type"), str) and type_.startswith(TYPES) and "specversion" in told:
        return True
    if "CallSid" in told:
        return not _CALL_FIELDS.isdisjoint(told)
    return ("ConferenceSid" in told and "StatusCallbackEvent" in told) or "CallSid" in _parameters(told)


def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    """Make the event of a callback, and one of the leg whose dialling it tells the end of.

    Raises:
        Unusable: `missing_field`, where no call is named; `bad_time`.
    """
    said, event_id = _callback(told)
    sid = named(said, "CallSid")
    conference = named(said, "ConferenceSid")
    if not (sid or conference):
        raise Unusable("missing_field", "neither `CallSid` nor `ConferenceSid`")
    at = happened_at(reading, said.get("Timestamp"))
    what = code(said, "StatusCallbackEvent")
    if conference and what:
        leg = _in_conference(said, sid, conference, what, at)
    elif sid and ("QueueSid" in said or "QueueResult" in said):
        leg = _in_queue(said, sid, at)
    elif sid:
        leg = _on_the_phone(said, sid, at)
    else:
        raise Unusable("missing_field", "a conference without `StatusCallbackEvent`")
    what = "|".join((what, code(said, "CallStatus"), code(said, "QueueResult"), word(said, "AnsweredBy")))
    told_at = word(said, "SequenceNumber") or word(said, "Timestamp")
    event_id = id_or(event_id, "twilio", leg.leg_id, conference, told_at, what)
    found = [made_leg(leg, at, event_id, reading, position, rest(said, _USED))]
    dialled = _dialled(said, sid, at)
    if dialled is not None:
        status = code(said, "DialCallStatus")
        found.append(made_leg(dialled, at, made_id("twilio", dialled.leg_id, "dial", status), reading, position))
    return found


def _parameters(told: dict[str, Any]) -> dict[str, Any]:
    return inner(inner(inner(told, "data") or told, "request"), "parameters")


def _callback(told: dict[str, Any]) -> tuple[dict[str, Any], object]:
    """Return the fields of a callback, with what its envelope knows where it does not say so itself; and its id."""
    if "CallSid" in told or "ConferenceSid" in told:
        return told, None
    data = inner(told, "data") or told
    said = dict(_parameters(told))
    type_ = word(told, "type")
    said.setdefault("Timestamp", data.get("timestamp") or told.get("time"))
    if "ConferenceSid" not in said:
        said.setdefault("CallSid", data.get("sid"))
    if ".call." in type_:
        said.setdefault("CallStatus", type_.rpartition(".")[2])
    return said, named(data, "eventSid") or told.get("id")


def _on_the_phone(said: dict[str, Any], sid: str, at: int) -> Leg:
    """Read a status callback, or a request for TwiML."""
    state, reason = _STATES.get(code(said, "CallStatus"), ("", ""))
    seq = count(said.get("SequenceNumber"))
    talked_ms = span_ms(said.get("CallDuration"))
    steps: list[tuple[str, int | None]] = [(state, at)] if state else []
    if reason == "completed" and seq <= 0 and talked_ms > 0:
        # The first that is heard of it: nobody asked for the other statuses. Elsewhere they are more exact.
        steps.append(("answered", before(at, talked_ms)))
    if word(said, "ReferTransferTarget"):
        steps.append(("transferring", at))
    parent = named(said, "ParentCallSid")
    leg = Leg("twilio", f"twilio:{sid}", shared_ids("twilio", parent or sid), in_order(at, *steps))
    leg.seq = seq
    leg.reason = "voicemail" if code(said, "AnsweredBy").startswith("machine") else reason
    if word(said, "ReferTransferTarget"):
        leg.transfer_kind, leg.transfer_to = "blind", word(said, "ReferTransferTarget")
    _add_parties(leg, code(said, "Direction"), word(said, "From", "Caller"), word(said, "To", "Called"))
    if leg.party == "agent" and reason == "completed":
        leg.talk_ms = talked_ms
    return leg


def _add_parties(leg: Leg, direction: str, caller: str, called: str) -> None:
    if direction in _INBOUND and not is_device(caller):
        leg.direction, leg.party = "inbound", "customer"
        leg.customer, leg.called = number(caller), called
    elif direction in _INBOUND:  # an agent calls, by the softphone
        leg.direction, leg.party, leg.agent = "outbound", "agent", caller
        leg.customer = number(called)
    elif direction in _OUTBOUND and not is_device(called):
        leg.direction, leg.party, leg.customer = "outbound", "customer", number(called)
    elif direction.startswith("outbound"):
        leg.party, leg.agent = "agent", called


def _dialled(said: dict[str, Any], sid: str, at: int) -> Leg | None:
    """Read what is told at the end of `<Dial>` of the leg that it added."""
    child = named(said, "DialCallSid")
    state, reason = _STATES.get(code(said, "DialCallStatus"), ("", ""))
    if not child or child == sid or state not in ("ended", "answered"):
        return None
    talked_ms = span_ms(said.get("DialCallDuration"))
    # "answered" is the outcome of dialling into a conference or a queue, which has ended by now.
    leg = Leg("twilio", f"twilio:{child}", shared_ids("twilio", sid or child), in_order(at, ("ended", at)))
    leg.party, leg.reason, leg.talk_ms = "agent", reason or "completed", talked_ms
    return leg


def _in_conference(said: dict[str, Any], sid: str, conference: str, what: str, at: int) -> Leg:
    """Read what happens to a conference or to a participant of it. Its numbers count the events of the conference."""
    state, reason = _left(said) if what == "participant-leave" else (_IN_CONFERENCE.get(what, ""), "")
    steps = in_order(at, (state, at)) if state else ()
    if what.startswith("conference-"):
        leg = Leg(
            "twilio",
            f"twilio:{conference}",
            shared_ids("twilio", conference, named(said, "CallSidEndingConference")),
            steps,
        )
        leg.party = "system"
        return leg
    if not sid:
        raise Unusable("missing_field", "a participant without `CallSid`")
    leg = Leg("twilio", f"twilio:{sid}", shared_ids("twilio", sid, conference), steps)
    leg.reason = reason
    return leg


def _left(said: dict[str, Any]) -> tuple[str, str]:
    """Tell whether a participant who left a conference has hung up, and why."""
    state, reason = _STATES.get(code(said, "ParticipantCallStatus"), ("ended", ""))
    if state != "ended" or code(said, "ReasonParticipantLeft") in _LEFT_BY_HAND:
        return "", ""
    return state, reason


def _in_queue(said: dict[str, Any], sid: str, at: int) -> Leg:
    """Read what is told of a caller in a queue: while they wait, and when that has ended."""
    queue = named(said, "QueueSid")
    result = code(said, "QueueResult")
    waited_ms = span_ms(said.get("QueueTime"))
    # Of a caller who was put through, the end of the talk is told, not of the wait.
    began_at = None if result == "bridged" else before(at, waited_ms)
    if not result:
        began_at = at if began_at is None else began_at
    has_left = result in ("hangup", "leave", "redirected")
    agents = shared_ids("twilio", named(said, "DequeingCallSid", "DequeuingCallSid", "DequeuedCallSid"))
    leg = Leg(
        "twilio",
        f"twilio:{sid}/{queue}",
        (*shared_ids("twilio", sid), *agents),
        in_order(at, ("queued", began_at), ("ended", at if has_left else None)),
    )
    leg.party, leg.queue, leg.wait_ms = "system", queue or "queue", waited_ms
    leg.reason = "abandoned" if result == "hangup" else ""
    caller, called = word(said, "From", "Caller"), word(said, "To", "Called")
    if code(said, "Direction") in _INBOUND and not is_device(caller):
        leg.direction, leg.customer, leg.called = "inbound", number(caller), called
    return leg
