"""FreeSWITCH: events of its socket (ESL) as JSON, and the records that `mod_json_cdr` posts, one a leg.

Every value is a text, instants are µs since the epoch, 0 for never. `Event-Sequence` orders the events of a core. A
leg names its own id, its call's (`Channel-Call-UUID`), the other leg's and those of a bridge, and its SIP call id.

Who is at the end of a leg is told by the number there: the caller's of a leg that came in, the callee's of one that
went out; `cc_side` of the queue outranks it. Whoever answers first may be an announcement, so a leg is answered once
it is bridged: by CHANNEL_BRIDGE, and in the times of the whole leg by `Bridged-Time` (`Answered-Time` where a record
has no such field and there is another leg).

| event | leg |
|---|---|
| CHANNEL_CREATE | offered |
| CHANNEL_PROGRESS, CHANNEL_PROGRESS_MEDIA, call state RINGING | ringing |
| CHANNEL_BRIDGE | answered, both legs |
| CHANNEL_HOLD, CHANNEL_UNHOLD, call states HELD and UNHELD | held, resumed |
| callcenter::info member-queue-start | queued |
| member-queue-end, cancelled by the caller | ended: abandoned, with the wait |
| bridge-agent-start | answered, of the agent's leg; bridge-agent-fail: ended |
| conference::maintenance add-member | answered; with two in it before, a conference |
| valet_parking::info hold, bridge | held, resumed |
| any with `Caller-Transfer-Source` | transferring at its instant, whole seconds, of the leg that moves |
| CHANNEL_HANGUP, CHANNEL_HANGUP_COMPLETE, a CDR | all that the leg's times tell, ended, `hold_ms` |
| CHANNEL_ANSWER, CHANNEL_UNBRIDGE, CHANNEL_PARK and others | no state; ids that join |

A menu that sends a caller on looks as an agent who does: a transfer counts only once an agent has answered, which the
record of one leg cannot tell.

Source: developer.signalwire.com (FreeSWITCH event list, mod_callcenter, mod_json_cdr).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from connectors.formats.asterisk import CONFERENCE_CHANNELS_MIN, count_of
from connectors.formats.common import Reading, Unusable
from connectors.formats.freeswitch_cdr import flat, is_cdr
from connectors.formats.made import instant_of
from connectors.formats.pbx import is_external, leg_event, micros_ms, party_at, settled_instant, user_of, whole
from connectors.formats.phones import named, shared_ids, word
from operators.event import INSTANT_MAX, INSTANT_MIN, Event
from operators.leg import Leg

Told: TypeAlias = dict[str, Any]

PROVIDER: Final = "freeswitch"

_IDS: Final = (
    "Unique-ID",
    "Channel-Call-UUID",
    "Other-Leg-Unique-ID",
    "Bridge-A-Unique-ID",
    "Bridge-B-Unique-ID",
    "CC-Member-Session-UUID",
    "CC-Agent-UUID",
    "Bridge-To-UUID",
    "variable_call_uuid",
    "variable_bridge_uuid",
    "variable_signal_bond",
    "variable_originating_leg_uuid",
    "variable_cc_member_session_uuid",
    "Conference-Unique-ID",
)
_REASONS: Final = {
    "NONE": "",
    "NORMAL_CLEARING": "completed",
    "NORMAL_UNSPECIFIED": "completed",
    "SUCCESS": "completed",
    "ATTENDED_TRANSFER": "completed",  # the leg that transferred is done
    "BLIND_TRANSFER": "completed",
    "MANAGER_REQUEST": "completed",
    "ALLOTTED_TIMEOUT": "completed",
    "USER_BUSY": "busy",
    "CALL_REJECTED": "busy",  # somebody is there and does not take it
    "NO_ANSWER": "no_answer",
    "NO_USER_RESPONSE": "no_answer",
    "LOSE_RACE": "no_answer",  # another phone that rang was faster
    "PICKED_OFF": "no_answer",
    "ORIGINATOR_CANCEL": "no_answer",  # of the leg that was called; the caller's own has abandoned
    "PROGRESS_TIMEOUT": "no_answer",
    "MEDIA_TIMEOUT": "failed",
}
_TRANSFERS: Final = {"bl_xfer": "blind", "att_xfer": "attended", "uuid_br": "attended"}
_STAMP_CHARS_MAX: Final = 20
_SEQUENCE_CHARS_MAX: Final = 18  # fits 64 bits
_MAILBOX: Final = "voicemail"
_CONTACTS: Final = ("Number", "Name", "ANI", "Username", "RDNIS", "Time", "Unique-ID", "Source", "UUID")
_USED: Final = ("Event-Sequence", "Event-Date-Timestamp", "Core-UUID", "Hangup-Cause", "variable_sip_call_id")


def claims(told: Told) -> bool:
    """Tell whether an object is an event or a record of a leg."""
    return (isinstance(told.get("Event-Name"), str) and "Core-UUID" in told) or is_cdr(told)


def events(told: Told, position: int, reading: Reading) -> list[Event]:
    """Make the events of the legs that an event or a record is about.

    Raises:
        Unusable: `missing_field`, `bad_time`, `wrong_type`.
    """
    if is_cdr(told):
        told = flat(told)
    name = word(told, "Event-Subclass") or word(told, "Event-Name")
    micros = micros_ms(told.get("Event-Date-Timestamp"))
    at = settled_instant(told.get("Event-Date-Timestamp") if micros is None else micros, reading)
    legs = [leg for leg in _legs(name, told, at) if leg.leg_id != f"{PROVIDER}:"]
    if not legs:
        raise Unusable("missing_field", "an event about no leg")
    seq = word(told, "Event-Sequence")
    if seq.isascii() and seq.isdigit() and len(seq) <= _SEQUENCE_CHARS_MAX:
        key = f"{word(told, 'Core-UUID')} {seq} {name}".encode()
        for leg in legs:
            leg.seq = int(seq)
    else:
        key = whole(told)
    for leg in legs:  # the times of a summary are the switch's too, and no more to be believed than the event's own
        leg.steps = tuple([(state, min(when, at)) for state, when in leg.steps])
    used = [*_USED, *_IDS, *(field for field in told if field.endswith(_CONTACTS))]
    return [leg_event(leg, at, key, told, used, reading, position) for leg in legs]


def _legs(name: str, told: Told, at: int) -> list[Leg]:
    if name == "callcenter::info":
        return [_QUEUE.get(word(told, "CC-Action"), _member)(told, at)]
    leg = _leg(told)
    _STATES.get(name, _as_it_is)(leg, told, at)
    _transferred(leg, told)
    if name != "CHANNEL_BRIDGE":
        return [leg]
    # The event is told once, of the leg that was there first.
    other = _other_leg(told, leg)
    other.steps = (("answered", at),)
    return [leg, other]


def _calls(told: Told) -> tuple[str, ...]:
    ids = shared_ids(PROVIDER, *[named(told, name) for name in _IDS])
    return ids + shared_ids("sip", named(told, "variable_sip_call_id"))


def _leg(told: Told) -> Leg:
    leg = Leg(PROVIDER, f"{PROVIDER}:{named(told, 'Unique-ID')}", _calls(told))
    caller = user_of(word(told, "Caller-Caller-ID-Number", "Caller-ANI", "variable_sip_from_user"))
    callee = user_of(word(told, "Caller-Destination-Number", "Caller-Callee-ID-Number"))
    is_out = word(told, "Call-Direction") == "outbound"
    leg.party = {"agent": "agent", "member": "customer"}.get(word(told, "variable_cc_side"), "")
    leg.party = leg.party or party_at(callee if is_out else caller)
    leg.queue = word(told, "CC-Queue", "variable_cc_queue").partition("@")[0]
    if leg.party == "customer":
        leg.customer = callee if is_out else caller
        leg.direction = "outbound" if is_out else "inbound"
        leg.called = callee
    elif leg.party == "agent":
        leg.agent = word(told, "variable_cc_agent") or (callee if is_out else caller)
        far = caller if is_out else callee
        if is_external(far):
            leg.customer = far
        if is_external(far) and not is_out:
            leg.direction, leg.called = "outbound", far
    return leg


def _other_leg(told: Told, leg: Leg) -> Leg:
    """Make the leg that this one is bridged to, of what the event says of it."""
    ids = [named(told, "Bridge-A-Unique-ID"), named(told, "Bridge-B-Unique-ID"), named(told, "Other-Leg-Unique-ID")]
    name = next((one for one in ids if one and f"{PROVIDER}:{one}" != leg.leg_id), "")
    other = Leg(PROVIDER, f"{PROVIDER}:{name}", tuple(one for one in leg.calls if not one.startswith("sip:")))
    is_out = word(told, "Other-Leg-Direction") != "inbound"
    end = "Destination-Number" if is_out else "Caller-ID-Number"
    number = user_of(word(told, f"Other-Leg-{end}", "Other-Leg-Callee-ID-Number"))
    other.party = party_at(number)
    if leg.party == other.party == "customer":
        # A customer was put through to a number of the public network: an agent's mobile phone.
        other.party = "agent"
    if other.party == "agent":
        other.agent = number
    elif other.party == "customer":
        other.customer = number
    return other


def _as_it_is(leg: Leg, told: Told, at: int) -> None:
    """Tell no state."""
    del leg, told, at


def _in(state: str) -> Callable[[Leg, Told, int], None]:
    def make(leg: Leg, told: Told, at: int) -> None:
        del told
        leg.steps = ((state, at),)

    return make


def _call_state(leg: Leg, told: Told, at: int) -> None:
    state = {"RINGING": "ringing", "HELD": "held", "UNHELD": "resumed", "HANGUP": "ended"}.get(
        word(told, "Channel-Call-State")
    )
    if state is not None:
        leg.steps = ((state, at),)


def _ended(leg: Leg, told: Told, at: int) -> None:
    times = {
        "offered": micros_ms(told.get("Caller-Channel-Created-Time")),
        "ringing": micros_ms(told.get("Caller-Channel-Progress-Time"))
        or micros_ms(told.get("Caller-Channel-Progress-Media-Time")),
        "answered": _answered(told),
        "ended": micros_ms(told.get("Caller-Channel-Hangup-Time")) or at,
    }
    leg.steps = tuple((state, when) for state, when in times.items() if when is not None)
    held_us = word(told, "Caller-Channel-Hold-Accum")
    if held_us.isascii() and held_us.isdigit() and len(held_us) <= _STAMP_CHARS_MAX:
        leg.hold_ms = min(int(held_us) // 1000, INSTANT_MAX)
    cause = word(told, "Hangup-Cause", "variable_hangup_cause")
    leg.reason = _REASONS.get(cause, "failed") if cause else ""
    if leg.party == "customer" and leg.direction == "inbound":
        application = word(told, "variable_current_application", "variable_last_app")
        if application == _MAILBOX:
            leg.reason = "voicemail"
        elif cause == "ORIGINATOR_CANCEL":
            leg.reason = "abandoned"
        elif leg.reason == "completed" and times["answered"] is None:
            # Somebody hung up before anybody talked; the caller, where the other side has sent the BYE.
            is_callers = word(told, "variable_sip_hangup_disposition").startswith("recv")
            leg.reason = "abandoned" if is_callers else ""


def _answered(told: Told) -> int | None:
    """Return when the two ends first talked."""
    if "Caller-Channel-Bridged-Time" in told:
        return micros_ms(told["Caller-Channel-Bridged-Time"])
    is_alone = not word(told, "Other-Leg-Unique-ID", "variable_bridge_uuid", "variable_signal_bond")
    return None if is_alone else micros_ms(told.get("Caller-Channel-Answered-Time"))


def _transferred(leg: Leg, told: Told) -> None:
    """Read `1795255220:id:bl_xfer:3000/default/XML`: when, how and to whom the leg was transferred.

    A dialplan that sends a call on before anybody has picked up writes the same; that is no transfer.
    """
    source = unquote(word(told, "Caller-Transfer-Source", "variable_transfer_source"))
    when, _, rest = source.partition(":")
    how, _, to = rest.partition(":")[2].partition(":")
    if how not in _TRANSFERS or not (when.isascii() and when.isdigit()) or len(when) > _STAMP_CHARS_MAX:
        return
    at, answered_at = int(when) * 1000, micros_ms(told.get("Caller-Channel-Answered-Time", ""))
    is_answered = "Caller-Channel-Answered-Time" not in told or (
        answered_at is not None and answered_at // 1000 * 1000 <= at
    )
    if is_answered and INSTANT_MIN <= at <= INSTANT_MAX:
        leg.steps = (*leg.steps, ("transferring", at))
        leg.transfer_kind, leg.transfer_to = _TRANSFERS[how], to.partition("/")[0].partition("@")[0]


def _conference(leg: Leg, told: Told, at: int) -> None:
    if word(told, "Action") != "add-member":
        return
    leg.steps = (("answered", at),)
    if count_of(told.get("Conference-Size")) >= CONFERENCE_CHANNELS_MIN:
        leg.transfer_kind, leg.transfer_to = "conference", leg.agent or leg.customer


def _parked(leg: Leg, told: Told, at: int) -> None:
    state = {"hold": "held", "bridge": "resumed"}.get(word(told, "Action"))
    if state is not None:
        leg.steps = ((state, at),)


def _member(told: Told, at: int) -> Leg:
    """Make the leg of who waits in a queue."""
    del at
    name = named(told, "CC-Member-Session-UUID")
    leg = Leg(PROVIDER, f"{PROVIDER}:{name}", _calls(told))
    leg.party, leg.direction = "customer", "inbound"
    leg.customer = word(told, "CC-Member-CID-Number")
    leg.queue = word(told, "CC-Queue").partition("@")[0]
    return leg


def _joined(told: Told, at: int) -> Leg:
    leg = _member(told, at)
    leg.steps = (("queued", at),)
    return leg


def _left(told: Told, at: int) -> Leg:
    leg = _member(told, at)
    if word(told, "CC-Cause") == "Cancel" and word(told, "CC-Cancel-Reason") == "BREAK_OUT":
        leg.steps, leg.reason = (("ended", at),), "abandoned"
    leg.wait_ms = _waited(told, "CC-Agent-Answered-Time", "CC-Member-Leaving-Time")
    return leg


def _agent(told: Told, *steps: tuple[str, int]) -> Leg:
    leg = Leg(PROVIDER, f"{PROVIDER}:{named(told, 'CC-Agent-UUID')}", _calls(told), steps)
    leg.party, leg.agent = "agent", word(told, "CC-Agent")
    leg.customer = word(told, "CC-Member-CID-Number")
    leg.queue = word(told, "CC-Queue").partition("@")[0]
    return leg


def _agent_connected(told: Told, at: int) -> Leg:
    leg = _agent(told, ("answered", at))
    leg.wait_ms = _waited(told, "CC-Agent-Answered-Time")
    return leg


def _agent_done(told: Told, at: int) -> Leg:
    del at
    return _agent(told)


def _agent_failed(told: Told, at: int) -> Leg:
    leg = _agent(told, ("ended", at))
    leg.reason = _REASONS.get(word(told, "CC-Hangup-Cause"), "failed")
    return leg


def _waited(told: Mapping[str, Any], *until: str) -> int:
    """Return how long the caller was in the queue, from instants in whole seconds; -1 where they are not told."""
    joined, left = _second(told.get("CC-Member-Joined-Time")), _second(next((told[n] for n in until if n in told), ""))
    return -1 if joined is None or left is None or left < joined else left - joined


def _second(told: object) -> int | None:
    try:
        return instant_of(told, Reading(""), "s")
    except Unusable:
        return None


_STATES: Final[dict[str, Callable[[Leg, Told, int], None]]] = {
    "CHANNEL_CREATE": _in("offered"),
    "CHANNEL_PROGRESS": _in("ringing"),
    "CHANNEL_PROGRESS_MEDIA": _in("ringing"),
    "CHANNEL_BRIDGE": _in("answered"),
    "CHANNEL_HOLD": _in("held"),
    "CHANNEL_UNHOLD": _in("resumed"),
    "CHANNEL_CALLSTATE": _call_state,
    "CHANNEL_HANGUP": _ended,
    "CHANNEL_HANGUP_COMPLETE": _ended,
    "CDR": _ended,
    "conference::maintenance": _conference,
    "valet_parking::info": _parked,
}
_QUEUE: Final[dict[str, Callable[[Told, int], Leg]]] = {
    "member-queue-start": _joined,
    "member-queue-end": _left,
    "bridge-agent-start": _agent_connected,
    "bridge-agent-end": _agent_done,
    "bridge-agent-fail": _agent_failed,
}
