"""What Asterisk's three ways of telling (CEL, AMI, ARI) share: channels, their ids, causes, and whose leg a channel is.

A channel is a leg, named by its unique id. `linkedid` names the call, but changes: once two channels are bridged, the
older one's counts for both, and an attended transfer joins calls that shared none. So a leg names every id that it
shares with others: unique id, linked id, bridge, and the SIP call id where that is told; whoever assembles calls makes
the union.

Whose leg it is, in this order:

* a Local channel, an announcer, a recorder: the system's;
* a channel whose device is an extension (`PJSIP/2001-00000002`): an agent's, whatever number it shows;
* a channel with a number of the public network: the customer's, incoming or dialled;
* a channel that began a call in a context of the trunks (`from-pstn`): the customer's, with the number withheld;
* a channel with an extension for a number: an agent's.

The direction shows only in the record of a channel's beginning, before linked ids change. A channel that begins its own
call is incoming: the customer's is an inbound call, an agent's an outbound one if a number of the public network is
dialled. Any other is dialled: the customer's is outbound.

Source: docs.asterisk.org (CEL specification, AMI and ARI events, hangup causes); reference/contracts.md section 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from connectors.formats.pbx import DIAL_REASONS, is_extension, is_external, party_at
from connectors.formats.phones import shared_ids
from operators.leg import Leg

PROVIDER: Final = "asterisk"

HOLDING: Final = "holding"
"""How the technology of a bridge begins in which channels wait: a parking lot's holds calls that are none of each
other's business."""

CONFERENCE_CHANNELS_MIN: Final = 3

# ITU-T Q.850 by number; what is not listed is a failure of some network.
_CAUSES: Final = {
    0: "",  # not set
    16: "completed",  # normal clearing
    17: "busy",
    18: "no_answer",  # no user responding
    19: "no_answer",  # alerting, but no answer
    21: "busy",  # rejected: somebody is there and does not take it
    26: "no_answer",  # taken by another phone that rang
    31: "completed",  # normal, unspecified
}
_CHANNEL: Final = re.compile(r"(?P<technology>[^/]*)/(?P<device>.*?)(?:-[0-9a-f]{4,})?(?:;[12])?")
_SYSTEM: Final = frozenset(
    {
        "announcer",
        "audiosocket",
        "bridge",
        "cbann",
        "cbrec",
        "local",
        "message",
        "multicastrtp",
        "recorder",
        "snoop",
        "surrogate",
        "unicastrtp",
        "websocket",
    }
)
_TRUNKS: Final = re.compile(r"pstn|trunk|\bdid\b|external|inbound|incoming", re.IGNORECASE)
_CAUSE_DIGITS_MAX: Final = 3


class Channel(NamedTuple):
    """What a record says of one channel. `number` is the one at its own end; `dialled` is what it asked for."""

    name: str
    uniqueid: str
    linkedid: str = ""
    number: str = ""
    context: str = ""
    dialled: str = ""

    @property
    def begins(self) -> bool:
        """Whether it began a call of its own, as far as its linked id tells."""
        return bool(self.uniqueid) and self.uniqueid == self.linkedid

    @property
    def device(self) -> str:
        """What it goes to: 2001 of `PJSIP/2001-00000002`, of `Local/2001@agents-00000003;1` too."""
        return device_of(self.name)


def device_of(name: str) -> str:
    """Return the device of a channel's or an interface's name, "" where there is none."""
    found = _CHANNEL.fullmatch(name)
    return found["device"].partition("@")[0] if found else ""


def party_of(channel: Channel) -> str:
    """Tell whose leg a channel is; "" where that cannot be told."""
    if channel.name.partition("/")[0].lower() in _SYSTEM:
        return "system"
    if is_extension(channel.device):
        return "agent"
    party = party_at(channel.number)
    if party != "customer" and channel.begins and _TRUNKS.search(channel.context):
        return "customer"
    return party


def leg_of(channel: Channel, steps: Iterable[tuple[str, int]] = (), *ids: str, party: str = "") -> Leg:
    """Make the leg of a channel that shares `ids` with others; `party` is whose it is, where the record tells."""
    calls = shared_ids(PROVIDER, channel.uniqueid, channel.linkedid, *ids)
    leg = Leg(PROVIDER, f"{PROVIDER}:{channel.uniqueid}", calls, tuple(steps))
    leg.party = party or party_of(channel)
    if leg.party == "agent":
        leg.agent = channel.device or channel.number
    elif leg.party == "customer":
        leg.customer = channel.number
    return leg


def directed(leg: Leg, channel: Channel, *, begins: bool) -> None:
    """Tell the direction and who was called, for the record of a channel's beginning."""
    if leg.party == "customer":
        leg.direction = "inbound" if begins else "outbound"
        leg.called = channel.dialled if begins else channel.number
    elif leg.party == "agent" and begins and is_external(channel.dialled):
        leg.direction = "outbound"
        leg.customer = leg.called = channel.dialled


def queued(leg: Leg, queue: str) -> None:
    """Say that a leg waits in a queue: it is a customer's who calls, unless it is one of ours."""
    leg.queue = queue
    leg.party = leg.party or "customer"
    if leg.party == "customer":
        leg.direction = "inbound"


def is_holding(technology: str) -> bool:
    """Tell whether channels in a bridge of this technology wait, and do not talk."""
    return technology.lower().startswith(HOLDING)


def joined(leg: Leg, at: int, count: int) -> None:
    """Say that a leg has come into a bridge that now has `count` channels; three make a conference."""
    if leg.party == "system":
        return
    leg.steps = (("answered", at),)
    if count >= CONFERENCE_CHANNELS_MIN:
        leg.transfer_kind, leg.transfer_to = "conference", leg.agent or leg.customer


def cause_reason(cause: object, party: str) -> str:
    """Return the reason of a hangup cause, a number or the text of one, on the leg of `party`; "" where there is none.

    Normal clearing says that somebody hung up. Only of an agent's leg that means that the call is done: a customer may
    have been in a queue.
    """
    text = str(cause) if isinstance(cause, int) and not isinstance(cause, bool) else cause
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > _CAUSE_DIGITS_MAX:
        return ""
    reason = _CAUSES.get(int(text), "failed")
    return "" if reason == "completed" and party != "agent" else reason


def dial_reason(outcome: str, party: str = "") -> str:
    """Return the reason of an outcome of dialling, as the leg of `party` sees it that has dialled; "" for an answer."""
    outcome = outcome.upper()
    return "abandoned" if outcome == "CANCEL" and party == "customer" else DIAL_REASONS.get(outcome, "")


def count_of(told: object) -> int:
    """Return how many channels a record counts, 0 where it does not."""
    if isinstance(told, list):
        return len(told)
    text: Any = str(told) if isinstance(told, int) and not isinstance(told, bool) else told
    short = isinstance(text, str) and len(text) <= _CAUSE_DIGITS_MAX and text.isascii()
    return int(text) if short and text.isdigit() else 0
