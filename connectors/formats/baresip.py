"""baresip, a softphone: the events of its `ctrl_tcp` module, objects with `event: true` and a `class` of `call`.

The phone is an agent's, `accountaor` names its account; `peeruri` is the other end, a customer where it is a number of
the public network. `id` is the SIP call id, the same at both ends. An event has no time: it happened when it was read.

| `type` | leg |
|---|---|
| CALL_INCOMING | ringing |
| CALL_OUTGOING | offered |
| CALL_RINGING, CALL_PROGRESS | ringing |
| CALL_ANSWERED, CALL_ESTABLISHED | answered |
| CALL_HOLD, CALL_RESUME | held, resumed |
| CALL_TRANSFER | transferring, blind, to `param` |
| CALL_CLOSED | ended; `param` tells the reason where it begins with a SIP code |
| others | no state |
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

from connectors.formats.common import Reading, Unusable
from connectors.formats.pbx import is_external, leg_event, settled_instant, user_of, whole
from connectors.formats.phones import named, shared_ids, word
from operators.event import Event
from operators.leg import Leg

Told: TypeAlias = dict[str, Any]

PROVIDER: Final = "baresip"

_STATES: Final = {
    "CALL_INCOMING": "ringing",
    "CALL_OUTGOING": "offered",
    "CALL_RINGING": "ringing",
    "CALL_PROGRESS": "ringing",
    "CALL_ANSWERED": "answered",
    "CALL_ESTABLISHED": "answered",
    "CALL_HOLD": "held",
    "CALL_RESUME": "resumed",
    "CALL_TRANSFER": "transferring",
    "CALL_CLOSED": "ended",
}
_REASONS: Final = {
    "408": "no_answer",
    "480": "no_answer",
    "486": "busy",
    "487": "no_answer",
    "600": "busy",
    "603": "busy",
}
_CODE: Final = re.compile(r"\s*([3-6]\d\d)\b")
_USED: Final = ("event", "class", "accountaor", "peeruri", "id", "direction")


def claims(told: Told) -> bool:
    """Tell whether an object is an event of a call."""
    return told.get("event") is True and told.get("class") == "call" and isinstance(told.get("type"), str)


def events(told: Told, position: int, reading: Reading) -> list[Event]:
    """Make the event of the phone's leg.

    Raises:
        Unusable: `missing_field`, `bad_time`, `wrong_type`.
    """
    name, call, account = word(told, "type"), named(told, "id"), named(told, "accountaor")
    if not name or not call:
        raise Unusable("missing_field", "the type of the event or the id of its call is absent")
    at = settled_instant(None, reading)
    leg = Leg(PROVIDER, f"{PROVIDER}:{call}:{account}", shared_ids("sip", call))
    leg.party, leg.agent = "agent", user_of(account)
    peer = user_of(word(told, "peeruri"))
    if is_external(peer):
        leg.customer = peer
        leg.direction = "outbound" if word(told, "direction") == "outgoing" else "inbound"
        leg.called = peer if leg.direction == "outbound" else ""
    state = _STATES.get(name)
    if state is not None:
        leg.steps = ((state, at),)
    if state == "ended":
        found = _CODE.match(word(told, "param"))
        leg.reason = _REASONS.get(found[1], "failed") if found else ""
    elif state == "transferring":
        leg.transfer_kind, leg.transfer_to = "blind", user_of(word(told, "param"))
    key = whole(told) + str(at).encode()
    return [leg_event(leg, at, key, told, _USED, reading, position)]
