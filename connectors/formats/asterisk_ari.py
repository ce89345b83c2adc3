"""Asterisk's REST interface: the events of its WebSocket, JSON objects with a `type` and the channel in full.

A channel there has no linked id: legs are joined by bridges, by who dials whom, by the linked id where it is among the
`channelvars` that the configuration adds, and by `protocol_id`, the SIP call id, which other systems on the way know
too. A channel in the state Ring called in; one in the state Ringing is being called.

| event | leg |
|---|---|
| StasisStart, ChannelCreated | offered |
| ChannelStateChange Ringing, Dial without an outcome | ringing; of the two, the dialled one |
| ChannelEnteredBridge | answered; with two in the bridge before it, a conference |
| ChannelHold, ChannelUnhold | held, resumed |
| BridgeBlindTransfer, BridgeAttendedTransfer | transferring, of the channel that transfers |
| Dial with an outcome other than ANSWER | ended, of the dialled leg |
| ChannelDestroyed | ended, its cause the reason |
| StasisEnd, ChannelLeftBridge, ChannelHangupRequest and others | no state; ids that join |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from connectors.formats.asterisk import (
    Channel,
    cause_reason,
    count_of,
    dial_reason,
    directed,
    is_holding,
    joined,
    leg_of,
)
from connectors.formats.common import Reading, Unusable
from connectors.formats.pbx import leg_event, settled_instant, whole
from connectors.formats.phones import inner, named, shared_ids, word
from operators.event import Event
from operators.leg import Leg

Told: TypeAlias = dict[str, Any]

_CHANNELS: Final = ("channel", "peer", "transferer_first_leg", "caller", "transferee", "transfer_target")
_BRIDGES: Final = ("bridge", "transferer_first_leg_bridge", "transferer_second_leg_bridge")
_JOINING: Final = (*_CHANNELS, "transferer_second_leg", "replace_channel")
_USED: Final = ("timestamp", "asterisk_id", "exten", *_JOINING, *_BRIDGES)


def claims(told: Told) -> bool:
    """Tell whether an object is an event about a channel."""
    return (
        isinstance(told.get("type"), str)
        and isinstance(told.get("application"), str)
        and any(isinstance(told.get(name), dict) for name in _CHANNELS)
    )


def events(told: Told, position: int, reading: Reading) -> list[Event]:
    """Make the event of the leg that an event is about.

    Raises:
        Unusable: `missing_field`, `bad_time`, `wrong_type`.
    """
    name = word(told, "type")
    about = _ABOUT.get(name) or next((one for one in _CHANNELS if inner(told, one)), "channel")
    channel = inner(told, about)
    if not name or not named(channel, "id"):
        raise Unusable("missing_field", "the type of the event or the id of its channel is absent")
    at = settled_instant(told.get("timestamp"), reading)
    leg = _leg(told, channel)
    make = _STATES.get(name)
    if make is not None:
        make(leg, at, told, channel)
    # Every application that watches a channel is told: the same event, but for the application's name.
    key = whole({field: value for field, value in told.items() if field != "application"})
    said = told | {f"channel_{field}": value for field, value in channel.items() if field in _KEPT}
    return [leg_event(leg, at, key, said, _USED, reading, position)]


_KEPT: Final = ("accountcode", "language", "dialplan", "channelvars", "tenantid")


def _leg(told: Told, channel: Told) -> Leg:
    others = [inner(told, name) for name in _JOINING]
    bridges = [inner(told, name) for name in _BRIDGES]
    ids = [named(one, "id") for one in others]
    ids += [named(one, "id") for one in bridges if not _is_holding(one)]
    leg = leg_of(_channel(channel), (), *ids)
    leg.calls += shared_ids("sip", *[named(one, "protocol_id") for one in (channel, *others)])
    leg.calls = tuple(dict.fromkeys(leg.calls))
    return leg


def _channel(told: Told) -> Channel:
    plan = inner(told, "dialplan")
    return Channel(
        word(told, "name"),
        named(told, "id"),
        named(inner(told, "channelvars"), "CHANNEL(linkedid)") or named(told, "linkedid"),
        word(inner(told, "caller"), "number"),
        word(plan, "context"),
        word(plan, "exten"),
    )


def _is_holding(bridge: Told) -> bool:
    return is_holding(word(bridge, "technology")) or is_holding(word(bridge, "bridge_type"))


def _began(leg: Leg, at: int, told: Told, channel: Told) -> None:
    del told
    leg.steps = (("offered", at),)
    directed(leg, _channel(channel), begins=word(channel, "state") == "Ring")


def _changed(leg: Leg, at: int, told: Told, channel: Told) -> None:
    del told
    if word(channel, "state") == "Ringing":
        leg.steps = (("ringing", at),)


def _dialled(leg: Leg, at: int, told: Told, channel: Told) -> None:
    outcome = word(told, "dialstatus")
    if outcome in ("", "RINGING", "PROGRESS"):
        leg.steps = (("ringing", at),)
        directed(leg, _channel(channel), begins=False)
        return
    leg.reason = dial_reason(outcome)
    if leg.reason:
        leg.steps = (("ended", at),)


def _entered(leg: Leg, at: int, told: Told, channel: Told) -> None:
    del channel
    bridge = inner(told, "bridge")
    if not _is_holding(bridge):
        joined(leg, at, count_of(bridge.get("channels")))


def _held(leg: Leg, at: int, told: Told, channel: Told) -> None:
    del channel
    leg.steps = (("held" if word(told, "type") == "ChannelHold" else "resumed", at),)


def _transferred(leg: Leg, at: int, told: Told, channel: Told) -> None:
    del channel
    if word(told, "result") not in ("", "Success"):
        return
    leg.steps = (("transferring", at),)
    if word(told, "type") == "BridgeBlindTransfer":
        leg.transfer_kind, leg.transfer_to = "blind", word(told, "exten")
        return
    is_threeway = word(told, "destination_type") == "threeway"
    leg.transfer_kind = "conference" if is_threeway else "attended"
    target = _channel(inner(told, "transfer_target"))
    leg.transfer_to = target.device or target.number or word(told, "destination_application")


def _destroyed(leg: Leg, at: int, told: Told, channel: Told) -> None:
    del channel
    leg.steps = (("ended", at),)
    leg.reason = cause_reason(told.get("cause"), leg.party)


_ABOUT: Final = {"Dial": "peer", "BridgeAttendedTransfer": "transferer_first_leg"}
_STATES: Final[dict[str, Callable[[Leg, int, Told, Told], None]]] = {
    "StasisStart": _began,
    "ChannelCreated": _began,
    "ChannelStateChange": _changed,
    "Dial": _dialled,
    "ChannelEnteredBridge": _entered,
    "ChannelHold": _held,
    "ChannelUnhold": _held,
    "BridgeBlindTransfer": _transferred,
    "BridgeAttendedTransfer": _transferred,
    "ChannelDestroyed": _destroyed,
}
