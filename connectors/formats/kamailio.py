"""Kamailio: accounting of SIP transactions (`acc_json`), and events of dialogs that a configuration publishes.

A proxy sees one dialog between two ends, not legs. Each record gives the legs of the ends that it tells of, named
after the SIP call id and the end: the caller's and the callee's. A caller with a number of the public network is a
customer, and the callee then an agent; a caller with an extension is an agent, and the callee a customer if its number
is of the public network. Of callees that are tried in turn, the one that answers is named.

Accounting has whole seconds in `time`; next to other records of the same calls it wants `time_exact=$TV(Sn)` among its
extra fields, lest it order them wrongly. It knows no ringing, and cannot tell a request that changes a dialog from one
that begins it: leave re-INVITEs out of it, as the configuration that comes with Kamailio does. Extra fields that are
understood: `src_user`, `dst_ouser` (who was called), `dst_user` (where it went), `refer_to`, `replaces`, `session_id`.

| accounted | legs |
|---|---|
| INVITE 2xx | answered, both |
| INVITE 486, 600, 603 | ended, both: busy |
| INVITE 408, 480; 487 | ended, both: no_answer; abandoned by a customer, no_answer by an agent |
| INVITE 401, 407, 422, 491 | no state: it is tried again |
| INVITE with another fault | ended, both: failed |
| BYE | ended, both: completed |
| REFER 2xx | transferring |
| CANCEL, ACK, PRACK, INFO, UPDATE, NOTIFY | no state |
| REGISTER and others outside of dialogs | refused |

Dialog events are objects with an `event`, a `callid` and a `time` in s, with the fields above; `side` says who did it,
`caller` or `callee`. tests/sip/kamailio.cfg publishes them.

| `event` | legs |
|---|---|
| dialog_created | offered, the caller's |
| dialog_ringing | ringing, the callee's |
| dialog_start | answered, both |
| dialog_hold, dialog_resume | held, resumed, of who does it |
| dialog_transfer | transferring, of who asks for it |
| dialog_failed | as an INVITE that fails, by `sip_code` |
| dialog_end | ended, both |

What joins legs: the SIP call id, the one that a `Replaces` names, and both ids of a `Session-ID` (RFC 7989), which
stay the same when a customer who was transferred calls somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from connectors.formats.common import Reading, Unusable
from connectors.formats.pbx import is_external, leg_event, settled_instant, user_of, whole
from connectors.formats.phones import named, shared_ids, word
from operators.event import Event
from operators.leg import Leg

Told: TypeAlias = dict[str, Any]

PROVIDER: Final = "kamailio"
BOTH: Final = ("caller", "callee")

_EVENTS: Final = {
    "dialog_created": ("offered", ("caller",)),
    "dialog_ringing": ("ringing", ("callee",)),
    "dialog_start": ("answered", BOTH),
    "dialog_end": ("ended", BOTH),
    "dialog_failed": ("ended", BOTH),
    "dialog_hold": ("held", ()),
    "dialog_resume": ("resumed", ()),
    "dialog_transfer": ("transferring", ()),
}
"""The state that an event of a dialog tells, and of which ends; () is whoever did it."""

_OF_DIALOGS: Final = frozenset({"INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY"})
_TRIED_AGAIN: Final = frozenset({401, 407, 422, 491})
_REASONS: Final = {
    408: "no_answer",
    480: "no_answer",
    486: "busy",
    487: "no_answer",  # the caller's own leg is abandoned
    600: "busy",
    603: "busy",  # somebody is there and does not take it
}
_REPLACED: Final = re.compile(r"^\s*([^\s;]+)")
_REPLACES: Final = re.compile(r"[?&]replaces=([^&>]+)", re.IGNORECASE)
_SESSION: Final = re.compile(r"\b[0-9a-f]{32}\b", re.IGNORECASE)
_CALLERS: Final = ("src_user", "from_user", "from_uri")
_CALLED: Final = ("dst_ouser", "to_user", "to_uri")
_TARGETS: Final = ("dst_user", "req_user", "req_uri")
_USED: Final = (
    *_CALLERS,
    *_CALLED,
    *_TARGETS,
    "time",
    "time_exact",
    "callid",
    "from_tag",
    "to_tag",
    "refer_to",
    "replaces",
)


def claims(told: Told) -> bool:
    """Tell whether an object is of a transaction or a dialog."""
    if not isinstance(told.get("callid"), str):
        return False
    return ("sip_code" in told and isinstance(told.get("method"), str)) or _is_of_dialog(told)


def _is_of_dialog(told: Told) -> bool:
    return isinstance(told.get("event"), str) and told["event"] in _EVENTS


def events(told: Told, position: int, reading: Reading) -> list[Event]:
    """Make the events of the ends that a record tells of.

    Raises:
        Unusable: `missing_field`, `bad_time`, `wrong_type`; `unknown_format` for a request outside of dialogs.
    """
    callid = named(told, "callid")
    if not callid:
        raise Unusable("missing_field", "`callid` is absent")
    at = settled_instant(told.get("time_exact") or told.get("time"), reading, "s")
    if _is_of_dialog(told):
        state, ends = _EVENTS[told["event"]]
        ends = ends or ((told["side"] if told.get("side") in BOTH else "callee"),)
    else:
        state, ends = _accounted(word(told, "method").upper(), _code(told))
    key = whole(told)
    legs = [_leg(callid, end, told) for end in ends]
    for leg in legs:
        if state:
            leg.steps = ((state, at),)
        _explain(leg, state, told)
    return [leg_event(leg, at, key, told, _USED, reading, position) for leg in legs]


def _accounted(method: str, code: int) -> tuple[str, tuple[str, ...]]:
    """Return the state that a transaction tells, "" for none, and of which ends."""
    if method not in _OF_DIALOGS:
        raise Unusable("unknown_format", "the method of the request belongs to no call")
    if method == "BYE":
        return "ended", BOTH
    if method == "REFER" and 200 <= code < 300:
        return "transferring", ("callee",)
    if method == "INVITE" and 200 <= code < 300:
        return "answered", BOTH
    if method == "INVITE" and code >= 400 and code not in _TRIED_AGAIN:
        return "ended", BOTH
    return "", ("caller",)


def _code(told: Mapping[str, Any]) -> int:
    code = word(told, "sip_code")
    return int(code) if code.isascii() and code.isdigit() and len(code) == 3 else 0


def _leg(callid: str, end: str, told: Told) -> Leg:
    """Make the leg of one end; whose it is, only the request that begins the dialog tells."""
    session = [one for one in _SESSION.findall(word(told, "session_id").lower()) if one.strip("0")]
    calls = shared_ids("sip", callid, *_replaced(told)) + shared_ids("sip-session", *session[:2])
    leg = Leg(PROVIDER, f"{PROVIDER}:{callid}:{end}", calls)
    if not (_is_of_dialog(told) or word(told, "method").upper() == "INVITE"):
        return leg
    caller, called = user_of(word(told, *_CALLERS)), user_of(word(told, *_CALLED, *_TARGETS))
    target = user_of(word(told, *_TARGETS, *_CALLED))
    is_inbound = is_external(caller)
    if not caller or (not is_inbound and not is_external(called)):
        return leg
    leg.direction, leg.called = "inbound" if is_inbound else "outbound", called
    leg.customer, agent = (caller, target) if is_inbound else (called, caller)
    leg.party = "customer" if (end == "caller") == is_inbound else "agent"
    # While it rings nobody knows which of several callees will take it.
    if leg.party == "agent" and not (is_external(agent) or told.get("event") in ("dialog_created", "dialog_ringing")):
        leg.agent = agent
    return leg


def _explain(leg: Leg, state: str, told: Told) -> None:
    if state == "transferring":
        is_attended = _REPLACES.search(word(told, "refer_to")) is not None
        leg.transfer_kind = "attended" if is_attended else "blind"
        leg.transfer_to = user_of(word(told, "refer_to"))
    if state == "ended":
        if word(told, "method").upper() == "BYE" or told.get("event") == "dialog_end":
            leg.reason = "completed"
            return
        code = _code(told)
        leg.reason = _REASONS.get(code, "failed") if code else ""
        if code == 487 and leg.party == "customer" and leg.direction == "inbound":
            leg.reason = "abandoned"


def _replaced(told: Told) -> list[str]:
    """Return the call ids of dialogs that this one takes over, or is to take over."""
    found = _REPLACED.match(word(told, "replaces"))
    asked = _REPLACES.search(word(told, "refer_to"))
    ids = [found[1]] if found else []
    return ids + ([unquote(asked[1]).partition(";")[0].strip()] if asked else [])
