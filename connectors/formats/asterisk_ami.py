"""Asterisk's manager events: blocks of `Key: value` lines as they come from the socket, or objects of the same fields.

With `timestampevents=yes` an event has a `Timestamp`; one that has none happened when it was read. An event that is
about two legs (who dials and who is dialled, a queue's caller and its member) gives an event for each that it tells
something new of. What each tells:

| event | leg |
|---|---|
| Newchannel | offered |
| Newstate Ringing, DialBegin, AgentCalled | ringing; of the two, the dialled one |
| QueueCallerJoin | queued |
| QueueCallerAbandon | ended: abandoned, with the caller's wait |
| BridgeEnter | answered; with two in the bridge before it, a conference |
| AgentConnect | answered, with the caller's wait; AgentComplete has the time talked |
| AgentRingNoAnswer, DialEnd but for ANSWER | ended, of the leg that rang |
| Hold, ParkedCall; Unhold, UnParkedCall | held; resumed |
| BlindTransfer, AttendedTransfer | transferring, of the channel that transfers |
| Hangup | ended, its cause the reason |

Any other event about a channel gives a leg without a state, for its ids may join; one about no channel is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from connectors.formats import asterisk_cel
from connectors.formats.asterisk import (
    Channel,
    cause_reason,
    count_of,
    device_of,
    dial_reason,
    directed,
    is_holding,
    joined,
    leg_of,
    queued,
)
from connectors.formats.common import Reading, Unusable
from connectors.formats.pbx import leg_event, seconds_ms, settled_instant, whole
from connectors.formats.phones import named, word
from operators.event import Event
from operators.leg import Leg

Told: TypeAlias = dict[str, Any]
Make: TypeAlias = Callable[[Told, int], list[Leg]]

LINES_MAX: Final = 1_000
"""Lines of a block: the largest events have two hundred."""

_BLOCK: Final = re.compile(rb"\s*Event:", re.IGNORECASE)
_IDS: Final = (
    "Uniqueid",
    "Linkedid",
    "DestUniqueid",
    "DestLinkedid",
    "TransfererUniqueid",
    "OrigTransfererUniqueid",
    "ParkeeUniqueid",
)
_NUMBER_ENDS: Final = ("CallerIDNum", "CallerIDName", "ConnectedLineNum", "ConnectedLineName", "Exten", "Uniqueid")
_USED: Final = ("Timestamp", "timestamp", "Linkedid", "Privilege", "DestLinkedid", "DialString")


def claims(told: Told) -> bool:
    """Tell whether an object is a manager event about a channel."""
    return isinstance(told.get("Event"), str) and any(name in told for name in _IDS)


def claims_text(raw: bytes) -> bool:
    """Tell whether a record begins as a manager event does."""
    return _BLOCK.match(raw) is not None


def told_of(raw: bytes) -> Told:
    """Return the fields of a block; of one that comes several times, a list.

    Raises:
        Unusable: `too_large`; `not_json`, where it holds more than one event.
    """
    lines = raw.decode(errors="replace").strip().splitlines()
    if len(lines) > LINES_MAX:
        raise Unusable("too_large", f"the block has {len(lines)} lines; {LINES_MAX} are the limit")
    told: Told = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            continue
        name, value = name.strip(), value.strip()
        if name.lower() == "event" and told:
            raise Unusable("not_json", "more than one event in a record")
        before = told.get(name)
        told[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return {("Event" if name.lower() == "event" else name): value for name, value in told.items()}


def events(told: Told, position: int, reading: Reading) -> list[Event]:
    """Make the events of the legs that a manager event is about.

    Raises:
        Unusable: `missing_field`, `bad_time`, `wrong_type`.
    """
    name = word(told, "Event")
    if name == "CEL":
        return asterisk_cel.events({key: told[key] for key in told if key != "Event"}, position, reading)
    # AMI's own timestamps are s since the epoch; adapters write RFC 3339.
    at = settled_instant(told.get("Timestamp") or told.get("timestamp"), reading, "s")
    legs = [leg for leg in _STATES.get(name, _other)(told, at) if leg.leg_id != "asterisk:"]
    if not legs:
        raise Unusable("missing_field", "a manager event about no channel")
    used = [*_USED, *(key for key in told if key.endswith(_NUMBER_ENDS))]
    key = whole(told) + str(at).encode()
    return [leg_event(leg, at, key, told, used, reading, position) for leg in legs]


def _channel(told: Told, prefix: str = "", name: str = "Channel") -> Channel:
    """Return what the fields with this prefix say of a channel; the linked id is the call's where it has none."""
    return Channel(
        word(told, f"{prefix}{name}"),
        named(told, f"{prefix}Uniqueid"),
        named(told, f"{prefix}Linkedid") or ("" if not prefix else named(told, "Linkedid", "Uniqueid")),
        word(told, f"{prefix}CallerIDNum"),
        word(told, f"{prefix}Context"),
        word(told, f"{prefix}Exten"),
    )


def _other(told: Told, at: int) -> list[Leg]:
    del at
    prefix = next((one[: -len("Uniqueid")] for one in _IDS if one.endswith("Uniqueid") and word(told, one)), "")
    return [leg_of(_channel(told, prefix), (), *_bridges(told))]


def _bridges(told: Told) -> list[str]:
    return [] if is_holding(word(told, "BridgeTechnology")) else [named(told, "BridgeUniqueid")]


def _began(told: Told, at: int) -> list[Leg]:
    channel = _channel(told)
    leg = leg_of(channel, (("offered", at),))
    directed(leg, channel, begins=channel.begins)
    return [leg]


def _changed(told: Told, at: int) -> list[Leg]:
    is_ringing = word(told, "ChannelStateDesc") == "Ringing" or word(told, "ChannelState") == "5"
    return [leg_of(_channel(told), (("ringing", at),) if is_ringing else ())]


def _dialled(told: Told) -> tuple[Channel, list[str]]:
    """Return the channel that is dialled, and the ids of who dials."""
    return _channel(told, "Dest"), [named(told, "Uniqueid"), named(told, "Linkedid")]


def _dials(told: Told, at: int) -> list[Leg]:
    channel, ids = _dialled(told)
    leg = leg_of(channel, (("ringing", at),), *ids)
    directed(leg, channel, begins=False)
    return [leg]


def _dialled_in_vain(told: Told, at: int) -> list[Leg]:
    channel, ids = _dialled(told)
    reason = dial_reason(word(told, "DialStatus"))
    leg = leg_of(channel, (("ended", at),) if reason else (), *ids)
    leg.reason = reason
    return [leg]


def _member(told: Told, at: int, *states: str) -> Leg:
    """Make the leg of a queue's member: an agent, whatever the number."""
    channel, ids = _dialled(told)
    steps = tuple((state, at) for state in states)
    leg = leg_of(channel, steps, *ids, party="agent")
    leg.agent = device_of(word(told, "Interface")) or leg.agent
    leg.queue = word(told, "Queue")
    leg.wait_ms = seconds_ms(told.get("HoldTime"))
    return leg


def _member_called(told: Told, at: int) -> list[Leg]:
    return [_member(told, at, "ringing")]


def _member_connected(told: Told, at: int) -> list[Leg]:
    return [_member(told, at, "answered")]


def _member_done(told: Told, at: int) -> list[Leg]:
    leg = _member(told, at)
    leg.talk_ms = seconds_ms(told.get("TalkTime"))
    return [leg]


def _member_silent(told: Told, at: int) -> list[Leg]:
    leg = _member(told, at, "ended")
    leg.reason = "no_answer"
    return [leg]


def _queue(told: Told, at: int) -> list[Leg]:
    leg = leg_of(_channel(told))
    queued(leg, word(told, "Queue"))
    name = word(told, "Event")
    if name == "QueueCallerJoin":
        leg.steps = (("queued", at),)
    elif name == "QueueCallerAbandon":
        leg.steps, leg.reason = (("ended", at),), "abandoned"
        leg.wait_ms = seconds_ms(told.get("HoldTime"))
    return [leg]


def _entered(told: Told, at: int) -> list[Leg]:
    leg = leg_of(_channel(told), (), *_bridges(told))
    if not is_holding(word(told, "BridgeTechnology")):
        # One that takes the place of another (`SwapUniqueid`) is in the bridge with it for a moment.
        joined(leg, at, 1 if word(told, "SwapUniqueid") else count_of(told.get("BridgeNumChannels")))
    return [leg]


def _held(told: Told, at: int) -> list[Leg]:
    return [leg_of(_channel(told), (("held" if word(told, "Event") == "Hold" else "resumed", at),))]


def _parked(told: Told, at: int) -> list[Leg]:
    state = {"ParkedCall": "held", "UnParkedCall": "resumed"}.get(word(told, "Event"))
    channel = _channel(told, "Parkee")
    return [leg_of(channel, () if state is None else ((state, at),), named(told, "RetrieverUniqueid"))]


def _transferred(told: Told, at: int) -> list[Leg]:
    is_blind = word(told, "Event") == "BlindTransfer"
    channel = _channel(told, "Transferer" if is_blind else "OrigTransferer")
    ids = [
        named(told, name)
        for name in told
        if name.endswith("Uniqueid") and not (name == "BridgeUniqueid" and is_holding(word(told, "BridgeTechnology")))
    ]
    leg = leg_of(channel, (), *ids)
    if word(told, "Result") in ("", "Success"):
        leg.steps = (("transferring", at),)
        if is_blind:
            leg.transfer_kind, leg.transfer_to = "blind", word(told, "Extension")
        else:
            leg.transfer_kind = "conference" if word(told, "DestType") == "Threeway" else "attended"
            target = _channel(told, "TransferTarget")
            leg.transfer_to = target.device or target.number or word(told, "DestApp")
    return [leg]


def _hung_up(told: Told, at: int) -> list[Leg]:
    leg = leg_of(_channel(told), (("ended", at),))
    leg.reason = cause_reason(told.get("Cause"), leg.party)
    return [leg]


_STATES: Final[dict[str, Make]] = {
    "Newchannel": _began,
    "Newstate": _changed,
    "DialBegin": _dials,
    "DialEnd": _dialled_in_vain,
    "BridgeEnter": _entered,
    "Hold": _held,
    "Unhold": _held,
    "QueueCallerJoin": _queue,
    "QueueCallerLeave": _queue,
    "QueueCallerAbandon": _queue,
    "AgentCalled": _member_called,
    "AgentConnect": _member_connected,
    "AgentComplete": _member_done,
    "AgentRingNoAnswer": _member_silent,
    "BlindTransfer": _transferred,
    "AttendedTransfer": _transferred,
    "ParkedCall": _parked,
    "UnParkedCall": _parked,
    "ParkedCallTimeOut": _parked,
    "ParkedCallGiveUp": _parked,
    "Hangup": _hung_up,
}
