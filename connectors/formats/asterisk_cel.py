"""Asterisk's channel event log: rows of CSV in the order of `cel_custom.conf.sample`, or objects of named fields.

Objects are AMI's `Event: CEL`, or rows of a database table; names differ in case and underscores only. The order is
sure within a channel only. What each event says of its channel's leg:

| event | leg |
|---|---|
| CHAN_START | offered, where the channel began the call; else it was dialled: ringing |
| APP_START of Queue, ANSWER in it | queued |
| APP_START of VoiceMail | no state: reason voicemail |
| ANSWER | no state: an announcement answers too |
| BRIDGE_ENTER | answered; with two in the mix before it, a conference |
| PARK_START, PARK_END | held, resumed; given up, nothing |
| BLINDTRANSFER, ATTENDEDTRANSFER | transferring, of the channel that transfers |
| HANGUP, CHAN_END | ended; abandoned, where nobody has answered, if the customer's `hangupsource` is its own channel |
| LINKEDID_END | ended with its whole call, on the customer's channel that began it. On others nothing: the linked id \
of a channel ends too when it takes on an older one, and goes on talking |
| PICKUP, LOCAL_OPTIMIZE, FORWARD, BRIDGE_EXIT, APP_END, USER_DEFINED | no state; ids that join |
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from typing import Any, Final

from connectors.formats.asterisk import (
    Channel,
    cause_reason,
    device_of,
    dial_reason,
    directed,
    is_holding,
    joined,
    leg_of,
    queued,
)
from connectors.formats.common import Reading, Unusable
from connectors.formats.fields import json_value
from connectors.formats.pbx import leg_event, settled_instant, whole
from connectors.formats.phones import named, word
from operators.event import Event
from operators.leg import Leg

EVENTS: Final = frozenset(
    {
        "CHAN_START",
        "CHAN_END",
        "ANSWER",
        "HANGUP",
        "APP_START",
        "APP_END",
        "BRIDGE_ENTER",
        "BRIDGE_EXIT",
        "BLINDTRANSFER",
        "ATTENDEDTRANSFER",
        "PARK_START",
        "PARK_END",
        "PICKUP",
        "FORWARD",
        "LOCAL_OPTIMIZE",
        "LOCAL_OPTIMIZE_BEGIN",
        "STREAM_BEGIN",
        "STREAM_END",
        "DTMF",
        "LINKEDID_END",
        "USER_DEFINED",
    }
)
COLUMNS: Final = (
    "eventname",
    "eventtime",
    "calleridname",
    "calleridnum",
    "calleridani",
    "calleridrdnis",
    "calleriddnid",
    "exten",
    "context",
    "channel",
    "application",
    "appdata",
    "amaflags",
    "accountcode",
    "uniqueid",
    "linkedid",
    "peer",
    "userfield",
    "userdeftype",
    "extra",
)
_OTHER_NAMES: Final = {
    "eventtype": "eventname",
    "cidname": "calleridname",
    "cidnum": "calleridnum",
    "cidani": "calleridani",
    "cidrdnis": "calleridrdnis",
    "ciddnid": "calleriddnid",
    "channame": "channel",
    "appname": "application",
    "eventextra": "extra",
}
_KNOWN: Final = b"|".join(b'"?' + name.encode() for name in sorted(EVENTS))
_EVENT_NAMES: Final = ("eventname", "EventName", "eventtype", "EventType")
_ROW: Final = re.compile(rb'\s*(?:"[A-Za-z_][^"]{0,79}"\s*,\s*"\d{9,11}(?:\.\d+)?"|(?:%b)"?)\s*,' % _KNOWN)
_NUMBERS: Final = ("calleridnum", "calleridani", "calleridrdnis", "calleriddnid", "calleridname", "exten")
_USED: Final = (*_NUMBERS, "eventtime", "uniqueid", "linkedid", "extra")
_JOINING: Final = (
    "bridge_id",
    "bridge1_id",
    "bridge2_id",
    "channel2_uniqueid",
    "transferee_channel_uniqueid",
    "transfer_target_channel_uniqueid",
    "pickup_channel_uniqueid",
    "local_two",
)
_MAILBOXES: Final = frozenset({"voicemail", "minivmrecord"})
_GIVEN_UP: Final = ("giveup", "timeout", "failed")
"""How parking ends without somebody to talk to; a time-out rings whoever parked the call."""


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is a row of the log."""
    is_event = any(isinstance(told.get(name), str) and told[name] in EVENTS for name in _EVENT_NAMES)
    return is_event and any(name.lower().replace("_", "") in ("uniqueid", "linkedid") for name in told)


def claims_text(raw: bytes) -> bool:
    """Tell whether a record begins as a row of the log does: with an event's name, or any name and an instant in s."""
    return _ROW.match(raw) is not None


def told_of(raw: bytes) -> dict[str, Any]:
    """Return a row as an object.

    Raises:
        Unusable: `not_json`, where it is no row of CSV either, or more than one; `missing_field` for a short one.
    """
    try:
        rows = [row for row in csv.reader(raw.decode(errors="replace").splitlines(keepends=True)) if row]
    except csv.Error as error:
        raise Unusable("not_json", f"no row of CSV either: {error}") from None
    if len(rows) != 1:
        raise Unusable("not_json", f"{len(rows)} rows of CSV in one record")
    if len(rows[0]) <= COLUMNS.index("linkedid"):
        raise Unusable("missing_field", f"a row of {len(rows[0])} columns, without the id of a channel")
    row = dict(zip(COLUMNS, rows[0], strict=False))
    if row["eventname"] not in EVENTS:  # one that the dialplan has made, under its own name
        row |= {"eventname": "USER_DEFINED", "userdeftype": row["eventname"]}
    return row


def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    """Make the event of a row.

    Raises:
        Unusable: `missing_field`, `bad_time`, `wrong_type`.
    """
    row = _row(told)
    name, extra = word(row, "eventname"), _extra(row.get("extra"))
    channel = Channel(
        word(row, "channel"),
        named(row, "uniqueid"),
        named(row, "linkedid"),
        word(row, "calleridnum", "calleridani"),
        word(row, "context"),
        word(row, "calleriddnid", "exten"),
    )
    if not name or not channel.uniqueid:
        raise Unusable("missing_field", "the name of the event or the unique id of the channel is absent")
    at = settled_instant(row.get("eventtime"), reading, "s")
    waits = is_holding(word(extra, "bridge_technology"))
    ids = [named(extra, one) for one in _JOINING if not (waits and one == "bridge_id")]
    leg = leg_of(channel, (), *ids, party="agent" if word(row, "application") == "AppQueue" else "")
    make = _STATES.get(name)
    if make is not None and not (waits and name == "BRIDGE_ENTER"):
        make(leg, at, channel, row, extra)
    said = {key: value for key, value in row.items() if value not in ("", None)} | extra
    return [leg_event(leg, at, whole(row), said, _USED, reading, position)]


def _row(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields by the names in `COLUMNS`; others keep theirs."""
    row: dict[str, Any] = {}
    for name, value in told.items():
        plain = name.lower().replace("_", "")
        plain = _OTHER_NAMES.get(plain, plain)
        row[plain if plain in COLUMNS else name] = value
    return row


def _extra(told: object) -> dict[str, Any]:
    if isinstance(told, str) and told:
        try:
            told = json_value(told.encode(errors="replace"))
        except Unusable:
            return {}
    return told if isinstance(told, dict) else {}


def _started(leg: Leg, at: int, channel: Channel, row: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    del row, extra
    leg.steps = (("offered" if channel.begins or leg.party == "system" else "ringing", at),)
    directed(leg, channel, begins=channel.begins)


def _in_application(leg: Leg, at: int, channel: Channel, row: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    del channel, extra
    application = word(row, "application").lower()
    if application == "queue":
        leg.steps = (("queued", at),)
        queued(leg, word(row, "appdata").partition(",")[0])
    elif application in _MAILBOXES and word(row, "eventname") == "APP_START":
        leg.reason = "voicemail"


def _entered(leg: Leg, at: int, channel: Channel, row: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    del channel
    # One that takes the place of another is in the bridge with it for a moment; only in a mix there is room for more.
    peers = [peer for peer in word(row, "peer").split(",") if peer]
    joined(leg, at, 1 + len(peers) if word(extra, "bridge_technology") == "softmix" else 1)


def _parked(leg: Leg, at: int, channel: Channel, row: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    del channel
    if word(row, "eventname") == "PARK_START":
        leg.steps = (("held", at),)
    elif not any(how in word(extra, "reason").lower() for how in _GIVEN_UP):
        leg.steps = (("resumed", at),)


def _transferred(leg: Leg, at: int, channel: Channel, row: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    del channel
    leg.steps = (("transferring", at),)
    if word(row, "eventname") == "BLINDTRANSFER":
        leg.transfer_kind, leg.transfer_to = "blind", word(extra, "extension")
    else:
        leg.transfer_kind = "attended"
        leg.transfer_to = device_of(word(extra, "transfer_target_channel_name")) or word(extra, "app")


def _ended(leg: Leg, at: int, channel: Channel, row: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    leg.steps = (("ended", at),)
    if word(row, "eventname") != "HANGUP":
        return
    leg.reason = dial_reason(word(extra, "dialstatus"), leg.party) or cause_reason(extra.get("hangupcause"), leg.party)
    if leg.party != "customer" or not channel.begins:
        return
    if word(row, "application").lower() in _MAILBOXES:
        leg.reason = "voicemail"
    elif not leg.reason and word(extra, "hangupsource") == channel.name:
        # So it is where nobody has answered; a call that was answered is done, whoever hangs up.
        leg.reason = "abandoned"


def _call_ended(leg: Leg, at: int, channel: Channel, row: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    del row, extra
    if channel.begins and leg.party == "customer":
        leg.steps = (("ended", at),)
        leg.ends_call = True


_STATES: Final = {
    "CHAN_START": _started,
    "APP_START": _in_application,
    "ANSWER": _in_application,
    "BRIDGE_ENTER": _entered,
    "PARK_START": _parked,
    "PARK_END": _parked,
    "BLINDTRANSFER": _transferred,
    "ATTENDEDTRANSFER": _transferred,
    "HANGUP": _ended,
    "CHAN_END": _ended,
    "LINKEDID_END": _call_ended,
}
