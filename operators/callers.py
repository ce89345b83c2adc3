"""Whose a call was, and in which visit of theirs it was made: what an agent asks first."""

from __future__ import annotations

from operators.call_record import CallRecord
from operators.case import ONSITE_CHANNELS
from operators.event import instant_of
from operators.session import Session, id_of


def called_by(call: CallRecord, profile_id: str, sessions: list[Session], gap_ms: dict[str, int]) -> CallRecord:
    """Return the call as that of a profile, with the visit of the site or app that was open when it began, if any.

    `gap_ms` has by channel how long a visit is open after its last event.
    """
    at = instant_of(call.started_at)
    call.profile_id = profile_id
    for session in sessions:
        is_open = session.started_at <= at <= session.ended_at + gap_ms.get(session.channel, 0)
        if is_open and session.channel in ONSITE_CHANNELS:
            call.session_id = id_of(session)
    return call
