"""Stitching: the sessions of a profile that turns out to be a lead's become the lead's, those told already too.

A session is told by its id and a revision; the highest counts. When a visitor joins a lead, or a lead another one, each
of its sessions that ended at most `stitch_ms` before the link is told once more, as the lead's. It says the same, and
who was there. What has been forgotten by then for late events is told from what a `Past` keeps.

All that happens as the watermark passes the link, so it is the same in whatever order events come.
"""

from __future__ import annotations

from typing import Any, Final

from operators.event import FOREVER, rfc3339
from operators.identity_record import StitchedRecord
from operators.past import Past
from operators.profile_state import Guest, Track
from operators.rules import SessionRules
from operators.session import Session, record_of

_END: Final = FOREVER - 1
"""The end of the input is the end of time for timers, and nothing is older for that."""


class Stitcher:
    """The rules at work on a track's past."""

    def __init__(self, rules: SessionRules) -> None:
        """Keep `rules`; the stitcher itself has no state."""
        self._stitch_ms = rules.stitch_ms
        self._stitched_max = rules.stitched_max

    def keep(self, track: Track, forgotten: list[Session], now: int) -> None:
        """Keep what is forgotten for late events; give up what is too old by `now`, or too much."""
        if not self._stitch_ms:
            track.past = None
            return
        past = track.past
        if past is None:
            past = track.past = Past()
        for session in forgotten:
            past.add(session)
        past.shorten(self._stitched_max, (now if now < _END else past.latest_at) - self._stitch_ms)

    def stitch(self, own: Track, profile_id: str, anonymous_ids: dict[str, int], guest: Guest, out: list[Any]) -> None:
        """Tell the guest's sessions as those of `profile_id`, whose track is `own`, just before the guest joins it."""
        track, past = guest.track, guest.track.past
        if not self._stitch_ms or not _was_there(own, anonymous_ids, guest):
            return
        remembered = [session for session in track.sessions if session.session_id]
        every = remembered if past is None else remembered + past.sessions()
        since = guest.at - self._stitch_ms
        recent = sorted([one for one in every if one.ended_at >= since], key=_order)[-self._stitched_max :]
        left = len(every) - len(recent)
        aliases = [guest.profile_id, *guest.anonymous_ids]
        if past is not None:
            left += past.left
            aliases += past.aliases
        out.append(
            StitchedRecord(
                "stitched",
                profile_id,
                "",
                "",
                "",
                guest.profile_id,
                guest.event_id,
                rfc3339(guest.at),
                aliases=sorted(set(aliases)),
                sessions=[session.session_id for session in recent],
                left_behind=left,
            )
        )
        for session in recent:
            if session.closed:  # else it is told when it closes, once more
                session.revision += 1
                out.append(record_of(session, profile_id))
        self._move(own, guest, [session for session in recent if session not in remembered], left)

    def _move(self, own: Track, guest: Guest, sessions: list[Session], left: int) -> None:
        """Make part of a track's past what a guest brings, and all that the guest is known by beside its devices."""
        past = guest.track.past
        aliases: list[str] = [] if past is None else [*past.aliases]
        if guest.profile_id not in guest.anonymous_ids:
            aliases = [guest.profile_id, *aliases]
        if not (sessions or left or aliases):
            return
        if own.past is None:
            own.past = Past()
        for session in sessions:
            own.past.add(session)
        own.past.left += left
        own.past.shorten(self._stitched_max, 0)
        for alias in aliases:
            own.past.alias(alias)


def _was_there(own: Track, anonymous_ids: dict[str, int], guest: Guest) -> bool:
    """Whether anything was known of a guest; what another shard has read of it came to the lead's own track."""
    track, visitor_id = guest.track, guest.visitor_id
    if guest.anonymous_ids or track.sessions or track.past is not None:
        return True
    if not visitor_id:
        return False
    if anonymous_ids.get(visitor_id, FOREVER) < guest.at:
        return True
    return any(one.visitor_id == visitor_id and one.started_at < guest.at for one in own.sessions)


def _order(session: Session) -> tuple[int, int, str]:
    return session.ended_at, session.started_at, session.session_id
