"""Amazon Connect's contacts: the events that EventBridge brings, and contact records, to legs of calls and to chats.

A transfer makes a new contact, so a call is what the first contact is; the others name it. An event has all times of
its contact so far, and they all are steps. A contact with an agent is two legs: the contact's own, which is the
customer's, and the agent's. Connect's menu answers every inbound call at once: that counts only for one that was for
nobody else.

Names are matched in any case: samples have `agentInfo` and `AgentInfo`, records `AgentARN` and `Agent.ARN`.
Sources: reference/contracts.md section 2; Connect's pages on contact events and contact records.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.formats.common import Reading, Unusable
from connectors.formats.made import made, made_leg
from connectors.formats.phones import (
    code,
    happened_at,
    id_or,
    in_order,
    inner,
    instant,
    made_id,
    named,
    number,
    rest,
    shared_ids,
    span_ms,
    word,
)
from operators.event import Channel, Event, Kind
from operators.leg import Leg

_DETAIL_TYPE: Final = "amazon connect contact event"
_INBOUND: Final = frozenset({"inbound", "webrtc-api"})
_OUTBOUND: Final = frozenset({"outbound", "callback", "api", "campaign-preview"})
_THIRD_PARTY: Final = "external-outbound"

_TIME_OF: Final = {
    "initiated": "initiationtimestamp",
    "connected-to-system": "connectedtosystemtimestamp",
    "queued": "enqueuetimestamp",
    "connected-to-agent": "connectedtoagenttimestamp",
    "disconnected": "disconnecttimestamp",
}
_HOLD: Final = {"paused": "held", "resumed": "resumed"}

_MACHINES: Final = {
    "voicemail-beep": "voicemail",
    "voicemail-no-beep": "voicemail",
    "sit-tone-busy": "busy",
    "sit-tone-invalid-number": "failed",
    "sit-tone-detected": "failed",
    "fax-machine-detected": "failed",
    "amd-unanswered": "no_answer",
}
"""What answered an outbound call where it was no person."""
_FAILED: Final = frozenset(
    {
        "telecom-problem",
        "outbound-destination-endpoint-error",
        "outbound-resource-error",
        "outbound-attempt-failed",
    }
)
_CHANNELS: Final[dict[str, Channel]] = {"chat": "chat", "email": "email", "sms": "sms", "voice": "phone"}

_USED: Final = frozenset(
    [
        "contactid",
        "initialcontactid",
        "previouscontactid",
        "relatedcontactid",
        "eventtype",
        "channel",
        "initiationmethod",
        "initiationtimestamp",
        "connectedtosystemtimestamp",
        "disconnecttimestamp",
        "agentinfo",
        "queueinfo",
        "agent",
        "queue",
        "customerendpoint",
        "systemendpoint",
    ]
)

Told = dict[str, Any]


def claims(told: Told) -> bool:
    """Tell whether an object is a contact event, with EventBridge's envelope or without, or a contact record."""
    if word(told, "detail-type").lower() == _DETAIL_TYPE:
        return True
    lowered = {name.lower() for name in told}
    return "contactid" in lowered and not lowered.isdisjoint(
        {"initiationmethod", "eventtype", "awscontacttracerecordformatversion"}
    )


def events(told: Told, position: int, reading: Reading) -> list[Event]:
    """Make the event of a contact, and that of its agent's leg where it has one.

    Raises:
        Unusable: `missing_field`, where no contact is named; `bad_time`.
    """
    contact = _lowered(inner(told, "detail") or told)
    contact_id = named(contact, "contactid")
    if not contact_id:
        raise Unusable("missing_field", "a contact without its id")
    agent = _lowered(inner(contact, "agentinfo", "agent"))
    queue = _lowered(inner(contact, "queueinfo", "queue"))
    times = {name: instant({**contact, **agent, **queue}.get(name)) for name in _TIME_OF.values()}
    what = code(contact, "eventtype")
    at = _at(what, times, contact, told.get("time"), reading)
    event_id = id_or(told.get("id"), "connect", contact_id, what, sorted(times.items(), key=str), at)
    properties = {**rest(contact, _USED), **_more(agent, queue)}
    if code(contact, "channel") not in ("", "voice"):
        return [_in_writing(contact, what, at, event_id, properties, position, reading)]
    legs = [_contact_leg(contact, contact_id, what, times, queue, has_agent=bool(agent), at=at)]
    if agent:
        legs.append(_agent_leg(contact, legs[0], times, agent, at))
    found = [made_leg(legs[0], at, event_id, reading, position, properties)]
    found += [made_leg(leg, at, made_id("connect", event_id, leg.leg_id), reading, position) for leg in legs[1:]]
    return found


def _lowered(told: Told) -> Told:
    return {name.lower(): value for name, value in told.items()}


def _more(agent: Told, queue: Told) -> Told:
    """Return what is told of agent and queue beyond their ids and times."""
    of_agent = rest(agent, frozenset({"agentarn", "arn", "connectedtoagenttimestamp"}))
    of_queue = rest(queue, frozenset({"queuearn", "arn", "enqueuetimestamp"}))
    return {name: told for name, told in (("agent", of_agent), ("queue", of_queue)) if told}


def _at(what: str, times: dict[str, int | None], contact: Told, sent: object, reading: Reading) -> int:
    """Settle when what the record is about happened: an event by its type, a record by its latest time."""
    at = times.get(_TIME_OF.get(what, ""))
    if at is None and (what or not any(times.values())):
        return happened_at(
            reading, sent, contact.get("lastupdatetimestamp"), max(filter(None, times.values()), default=None)
        )
    return happened_at(reading, max(filter(None, times.values())) if at is None else at)


def _calls(contact: Told, contact_id: str) -> tuple[str, ...]:
    """Name the contacts that are one call, the first of them first."""
    first = named(contact, "initialcontactid") or contact_id
    return shared_ids(
        "connect", first, contact_id, named(contact, "previouscontactid"), named(contact, "relatedcontactid")
    )


def _contact_leg(
    contact: Told, contact_id: str, what: str, times: dict[str, int | None], queue: Told, *, has_agent: bool, at: int
) -> Leg:
    method = code(contact, "initiationmethod")
    is_outbound = method in _OUTBOUND
    queued_at, ended_at = times["enqueuetimestamp"], times["disconnecttimestamp"]
    # The first person: for an outbound call the customer, else the agent, else the menu where it was all there was.
    answered_at = times["connectedtoagenttimestamp"]
    is_menus = ended_at is not None and not (has_agent or queue or queued_at) and method in _INBOUND
    if is_outbound or is_menus:
        answered_at = times["connectedtosystemtimestamp"] or answered_at
    leg = Leg(
        "connect",
        f"connect:{contact_id}",
        _calls(contact, contact_id),
        in_order(
            at,
            ("offered", times["initiationtimestamp"]),
            ("queued", queued_at),
            ("answered", answered_at),
            (_HOLD.get(what, ""), at if what in _HOLD else None),
            ("ended", ended_at),
        ),
    )
    leg.direction = "outbound" if is_outbound else "inbound" if method in _INBOUND else ""
    leg.queue = named(queue, "queuearn", "arn")
    leg.wait_ms = span_ms(queue.get("duration"))
    address = word(_lowered(inner(contact, "customerendpoint")), "address")
    if method == _THIRD_PARTY:
        leg.party, leg.agent = "agent", address
    elif method == "monitor":
        leg.party = "system"
    else:
        leg.party, leg.customer = "customer", number(address)
        leg.called = "" if is_outbound else word(_lowered(inner(contact, "systemendpoint")), "address")
    if ended_at is not None:
        leg.reason = _reason(contact, answered_at, bool(queue or queued_at), is_outbound=is_outbound)
    return leg


def _reason(contact: Told, answered_at: int | None, was_queued: bool, *, is_outbound: bool) -> str:  # noqa: FBT001 -- a fact
    """Tell why a contact ended."""
    machine = _MACHINES.get(code(contact, "answeringmachinedetectionstatus"))
    if machine is not None:
        return machine
    why = code(_lowered(inner(contact, "disconnectreason")), "code", "reasoncode") or code(contact, "disconnectreason")
    if why in _FAILED:
        return "failed"
    if answered_at is not None:
        return "completed"
    if is_outbound:
        return "no_answer"
    return "abandoned" if was_queued and why in ("", "customer-disconnect") else "completed"


def _agent_leg(contact: Told, of: Leg, times: dict[str, int | None], agent: Told, at: int) -> Leg:
    moved_at, to = _handed_out(contact)
    leg = Leg(
        "connect",
        f"{of.leg_id}/agent",
        of.calls,
        in_order(
            at,
            ("answered", times["connectedtoagenttimestamp"]),
            ("transferring", moved_at),
            ("ended", times["disconnecttimestamp"]),
        ),
    )
    leg.party, leg.agent = "agent", named(agent, "agentarn", "arn", "username")
    leg.queue = of.queue
    leg.talk_ms = span_ms(agent.get("agentinteractionduration"))
    leg.hold_ms = span_ms(agent.get("customerholdduration"))
    if moved_at is not None:
        leg.transfer_kind, leg.transfer_to = "attended", to
    if times["disconnecttimestamp"] is not None and times["connectedtoagenttimestamp"] is not None:
        leg.reason = "completed"
    return leg


def _handed_out(contact: Told) -> tuple[int | None, str]:
    """Tell when an agent has put the customer through to a number outside, where no other contact tells of it.

    The agent is on the line until the other one has answered.
    """
    endpoint = _lowered(inner(contact, "transferredtoendpoint"))
    to = number(word(endpoint, "address"))
    return (instant(contact.get("transfercompletedtimestamp")), to) if to else (None, "")


def _in_writing(
    contact: Told, what: str, at: int, event_id: str, properties: Told, position: int, reading: Reading
) -> Event:
    """Make the event of a contact that is no call. Who it is with is known by the first contact."""
    medium = code(contact, "channel")
    channel = _CHANNELS.get(medium, "server")
    kind: Kind = "other"
    if channel == "chat" and what in ("initiated", "disconnected"):
        kind = "chat_started" if what == "initiated" else "chat_ended"
    address = word(_lowered(inner(contact, "customerendpoint")), "address")
    first = named(contact, "initialcontactid", "contactid")
    return made(
        kind,
        at,
        event_id,
        channel,
        reading,
        position,
        anonymous_id=f"connect:{first}"[:256],
        email=address if "@" in address else "",
        phone=number(address),
        name=f"connect {medium} {what}".strip() if kind == "other" else "",
        properties={**properties, "contactid": named(contact, "contactid")},
    )
