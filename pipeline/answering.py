"""What is said to a request: what a key group or the store knows of somebody, and what was done."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from operators.answer import Answer, Outcome
from operators.event import rfc3339
from operators.portrait import portrait, summary
from operators.profile_record import Tombstone
from operators.profile_state import HandOver, Profile
from operators.request import Request
from operators.unmerge import STAYED


def said(request: Request, outcome: Outcome, profile_id: str = "") -> Answer:
    """Say how it went."""
    facts = msgspec.json.decode(request.facts)
    return Answer(request.request_id, request.what, outcome, rfc3339(request.at), profile_id, identity=facts)


def shown(request: Request, state: Profile | None) -> Answer:
    """Say what is kept of a profile: in full where it is to be exported."""
    answer = said(request, "done" if state is not None or request.facts != "{}" else "unknown", request.profile_id)
    if state is not None:
        answer.state = portrait(state) if request.what == "export" else summary(state)
    return answer


def split_off(handover: HandOver, moved: Mapping[str, int]) -> Answer:
    """Say what has left a lead with its identifiers, and what has not."""
    whose = handover.profile_id, handover.to
    return Answer(handover.part, "unmerge", "done", rfc3339(handover.at), *whose, {}, {}, dict(moved), STAYED)


def tombstones(request: Request, state: Profile | None) -> list[Tombstone]:
    """Return what has compacted topics forget a profile, and the visitors that it was; once for each request."""
    if not request.request_id:
        return []
    keys = [request.profile_id, *([] if state is None else sorted(state.anonymous_ids))]
    return [Tombstone(key, request.request_id, rfc3339(request.at)) for key in dict.fromkeys(keys)]
