"""FreeSWITCH's `mod_json_cdr`: the record of a whole leg, as an event that has all its times."""

from __future__ import annotations

from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from connectors.formats.fields import text
from connectors.formats.phones import inner

Told: TypeAlias = dict[str, Any]

_VARIABLES: Final = {
    "uuid": "Unique-ID",
    "call_uuid": "Channel-Call-UUID",
    "bridge_uuid": "Other-Leg-Unique-ID",
    "direction": "Call-Direction",
    "hangup_cause": "Hangup-Cause",
    "start_uepoch": "Caller-Channel-Created-Time",
    "progress_uepoch": "Caller-Channel-Progress-Time",
    "progress_media_uepoch": "Caller-Channel-Progress-Media-Time",
    "answer_uepoch": "Caller-Channel-Answered-Time",
    "bridge_uepoch": "Caller-Channel-Bridged-Time",
    "end_uepoch": "Caller-Channel-Hangup-Time",
    "hold_accum_useconds": "Caller-Channel-Hold-Accum",
}
_TIMES: Final = {
    "created_time": "Caller-Channel-Created-Time",
    "progress_time": "Caller-Channel-Progress-Time",
    "progress_media_time": "Caller-Channel-Progress-Media-Time",
    "answered_time": "Caller-Channel-Answered-Time",
    "bridged_time": "Caller-Channel-Bridged-Time",
    "hangup_time": "Caller-Channel-Hangup-Time",
    "hold_accum_time": "Caller-Channel-Hold-Accum",
}
_PROFILE: Final = {
    "uuid": "Unique-ID",
    "caller_id_number": "Caller-Caller-ID-Number",
    "ani": "Caller-ANI",
    "callee_id_number": "Caller-Callee-ID-Number",
    "destination_number": "Caller-Destination-Number",
    "transfer_source": "Caller-Transfer-Source",
}


def is_cdr(told: Told) -> bool:
    """Tell whether an object is a record of a leg."""
    return isinstance(told.get("variables"), dict) and ("core-uuid" in told or "channel_data" in told)


def flat(told: Told) -> Told:
    """Return a record under the names of the socket's events.

    Values are percent-encoded unless configured otherwise. The call flow's part that is the latest comes first; times
    that its parts have and the variables lack are taken from the first part that has them.
    """
    variables = {name: _plain(value) for name, value in inner(told, "variables").items()}
    event: Told = {f"variable_{name}": value for name, value in variables.items() if name not in _VARIABLES}
    event |= {name: value for name, value in told.items() if name not in ("variables", "callflow", "core-uuid")}
    event |= {"Event-Name": "CDR", "Core-UUID": told.get("core-uuid"), "Event-Sequence": None}
    for name, plain in _VARIABLES.items():
        if name in variables:
            event[plain] = variables[name]
    for part in _parts(told):
        for group, names in (("times", _TIMES), ("caller_profile", _PROFILE)):
            said = inner(part, group)
            for name, plain in names.items():
                if event.get(plain) in (None, "", "0") and _plain(said.get(name)):
                    event[plain] = _plain(said[name])
    # Each transfer begins a part of its own: the first bridge of all is when the two ends first talked.
    bridged = [at for at in map(_bridged, _parts(told)) if at] + [event.get("Caller-Channel-Bridged-Time") or "0"]
    if "Caller-Channel-Bridged-Time" in event:
        event["Caller-Channel-Bridged-Time"] = min(bridged, key=lambda at: (at == "0", len(at), at))
    ended = event.get("Caller-Channel-Hangup-Time")
    event["Event-Date-Timestamp"] = ended if ended not in (None, "0") else event.get("Caller-Channel-Created-Time")
    return event


def _parts(told: Told) -> list[Told]:
    """Return the parts of the call flow; older versions have one, and no list."""
    flow = told.get("callflow")
    return [part for part in (flow if isinstance(flow, list) else [flow]) if isinstance(part, dict)]


def _bridged(part: Told) -> str:
    at = _plain(inner(part, "times").get("bridged_time"))
    return "" if at == "0" else at


def _plain(value: object) -> str:
    return unquote(text(value) or "")
