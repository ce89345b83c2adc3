"""Sessions: maximal runs of one visitor's events on one channel.

Theory of operation
-------------------
A session is an interval [started_at, ended_at]. An event joins a session of its visitor, channel and
client session id if it lies at most the channel's gap before its start or after its end; a gap of
exactly the timeout joins (RudderStack, Snowplow, dbt-segment: `<=`). No session grows beyond
`length_ms_max`: what would make it longer opens the next one. Intervals do not care in which order
their events come, so disorder within the lateness bound changes nothing, and an event that fits
two sessions makes one of them.

A session is due when the watermark reaches `ended_at + gap`: from then on no event in time can
join it. It is then published and remembered for `memory_ms`. A late event that fits a remembered
session opens it again, and as it is due at once, publishes it again with the next revision. When a
late event bridges two published sessions, the earlier one goes on and the later one's last revision
has the state "merged" and no events.

A client session id is honoured both ways: events with different ids never share a session, and a
run of events whose id was published before is that session's next revision, however long the
pause. (The pause still publishes: how long a client will pause cannot be known.)

One corner is given up: where disorder meets the maximum length. A straggler that would join two runs into
one that is too long goes to the earlier; had it come in time, the cut might lie half a minute later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mypy_extensions import mypyc_attr

from operators.event import FOREVER, Event, rfc3339
from operators.ids import digest
from operators.packing import Row, ago, instant, long_id, long_name, padded, short_id, short_name, trim
from operators.rules import SessionRules
from operators.session_record import SessionRecord

# Engaged visits last this long, convert, or see two pages (Google Analytics 4); the others bounced.
ENGAGED_MS: Final = 10_000


@mypyc_attr(acyclic=True)
class Session:
    """One visit as state. Sums and extremes only, so that events and sessions merge in any order."""

    events: int = 0
    pages: int = 0
    products: int = 0
    entry_at: int = FOREVER
    entry_url: str = ""
    exit_at: int = -1
    exit_url: str = ""
    referrer: str = ""
    campaign_at: int = FOREVER
    campaign: str = ""
    orders: int = 0
    order_value: float = 0.0
    currency: str = ""
    session_id: str = ""
    revision: int = 0
    closed: bool = False

    def __init__(self, visitor_id: str, channel: str, client_session_id: str, started_at: int, ended_at: int) -> None:
        self.visitor_id = visitor_id
        self.channel = channel
        self.client_session_id = client_session_id
        self.started_at = started_at
        self.ended_at = ended_at

    def pack(self, base: int, names: dict[str, int]) -> Row:
        """Return the session as a row; instants count back from `base`, a visitor among `names` is a number."""
        entry_url, exit_url = self.entry_url, self.exit_url
        in_common = shared(entry_url, exit_url)
        return trim(
            [
                short_name(self.visitor_id, names),
                self.channel,
                base - self.started_at,
                self.ended_at - self.started_at,
                self.events,
                short_id(self.session_id),
                self.revision,
                self.closed,
                self.pages,
                ago(self.ended_at, self.entry_at),
                entry_url,
                ago(self.ended_at, self.exit_at),
                in_common,
                exit_url[in_common:],
                ago(self.ended_at, self.campaign_at),
                self.campaign,
                self.products,
                self.referrer,
                self.orders,
                self.order_value,
                self.currency,
                self.client_session_id,
            ],
            _EMPTY,
        )


_EMPTY: Final[Row] = [0, "", 0, 0, 0, "", 0, False, 0, None, "", None, 0, "", None, "", 0, "", 0, 0.0, "", ""]


def unpack(row: Row, base: int, names: Sequence[str]) -> Session:
    """Make a session of the row that its `pack` gave."""
    told = padded(row, _EMPTY)
    started_at: int = base - told[2]
    ended_at: int = started_at + told[3]
    session = Session(long_name(told[0], names), told[1], told[21], started_at, ended_at)
    session.events = told[4]
    session.session_id = long_id(told[5])
    session.revision = told[6]
    session.closed = bool(told[7])
    session.pages = told[8]
    session.entry_at = instant(ended_at, told[9], FOREVER)
    session.entry_url = told[10]
    session.exit_at = instant(ended_at, told[11], -1)
    session.exit_url = session.entry_url[: told[12]] + told[13]
    session.campaign_at = instant(ended_at, told[14], FOREVER)
    session.campaign = told[15]
    session.products = told[16]
    session.referrer = told[17]
    session.orders = told[18]
    session.order_value = float(told[19])
    session.currency = told[20]
    return session


def id_of(session: Session) -> str:
    """Return the id of a session, or the one that it will have if it begins no sooner."""
    visit = session.visitor_id, session.channel, session.client_session_id
    return session.session_id or digest(*visit, session.started_at)


def shared(entry_url: str, exit_url: str) -> int:
    """Return how much of the entry page's URL that of the exit page begins with: all of it or its origin."""
    if exit_url == entry_url:
        return len(entry_url)
    end = entry_url.find("/", 8)
    return end if end > 0 and exit_url.startswith(entry_url[:end]) else 0


class SessionTracker:
    """The rules at work on a list of sessions, open and remembered, of one profile."""

    def __init__(self, rules: SessionRules) -> None:
        """Keep `rules`; the tracker itself has no state."""
        self._gap_ms = dict(rules.gap_ms)
        self._length_ms_max = rules.length_ms_max
        self._memory_ms = rules.memory_ms
        self._remembered_max = rules.remembered_max

    def join(self, sessions: list[Session], event: Event, gap: int, out: list[Any]) -> None:
        """Put `event` into the session it belongs to; `gap` is that of its channel.

        `out` receives the last revision of a published session that the event merges into another.
        """
        at = event.at
        if sessions:
            last = sessions[-1]
            # Nearly every event goes on with the latest session, and then no earlier one is near.
            if (
                last.started_at <= at <= last.ended_at + gap
                and event.visitor_id == last.visitor_id
                and event.channel == last.channel
                and event.client_session_id == last.client_session_id
                and at - last.started_at <= self._length_ms_max
            ):
                _add(last, event)
                return
        near = self._near(sessions, event, gap)
        if not near:
            session = Session(event.visitor_id, event.channel, event.client_session_id, at, at)
            _add(session, event)
            sessions.append(session)
            if len(sessions) > 1:
                sessions.sort(key=_order)
            return
        session = near[0]
        _add(session, event)
        for other in near[1:]:
            if self._spans(session, other):
                if session.session_id and other.session_id:
                    out.append(_merged_record(other, session.session_id, event.profile_id))
                _merge(session, other)
                sessions.remove(other)
        sessions.sort(key=_order)

    def remembers(self, sessions: list[Session], event: Event) -> bool:
        """Whether `event` belongs to a session that is still held."""
        gap = self._gap_ms.get(event.channel)
        return gap is not None and bool(self._near(sessions, event, gap))

    def close(
        self, sessions: list[Session], profile_id: str, now: int, out: list[Any], forgotten: list[Session]
    ) -> int:
        """Publish the sessions due at `now`, that instant included; return when the next is due.

        What is too old to be revised is forgotten on the occasion, and put among `forgotten`.
        """
        due: list[Session] = []
        next_at = FOREVER
        for session in sessions:
            if not session.closed:
                closes_at = session.ended_at + self._gap_ms.get(session.channel, 0)
                if closes_at <= now:
                    due.append(session)
                elif closes_at < next_at:
                    next_at = closes_at
        if not due:
            return next_at
        due.sort(key=_close_order)
        for run in due:
            session = self._published_before(sessions, run) if run.client_session_id else run
            if session is not run:
                _merge(session, run)
                sessions.remove(run)
            session.closed = True
            session.revision += 1
            session.session_id = id_of(session)
            out.append(record_of(session, profile_id))
        if len(sessions) > 1:
            self._forget(sessions, now, forgotten)
        return next_at

    def union(self, sessions: list[Session], others: list[Session]) -> None:
        """Join the sessions of a profile that turned out to be the same person into `sessions`."""
        together = sorted(sessions + others, key=_order)
        sessions.clear()
        for other in together:
            for session in sessions:
                if self._are_one(session, other):
                    _merge(session, other)
                    break
            else:
                sessions.append(other)

    def _are_one(self, a: Session, b: Session) -> bool:
        """Whether two sessions, neither or one of them published, are one visit."""
        gap = self._gap_ms.get(a.channel, 0)
        return (
            _same_visit(a, b)
            and (not a.session_id or not b.session_id)
            and b.started_at <= a.ended_at + gap
            and a.started_at <= b.ended_at + gap
            and self._spans(a, b)
        )

    def _near(self, sessions: list[Session], event: Event, gap: int) -> list[Session]:
        at, length_ms_max = event.at, self._length_ms_max
        return [
            s
            for s in sessions
            if s.started_at - gap <= at <= s.ended_at + gap
            and s.visitor_id == event.visitor_id
            and s.channel == event.channel
            and s.client_session_id == event.client_session_id
            and max(s.ended_at, at) - min(s.started_at, at) <= length_ms_max
        ]

    def _spans(self, a: Session, b: Session) -> bool:
        """Whether both together stay within the maximum length."""
        length_ms = max(a.ended_at, b.ended_at) - min(a.started_at, b.started_at)
        return length_ms <= self._length_ms_max

    def _published_before(self, sessions: list[Session], run: Session) -> Session:
        for session in sessions:
            if session.closed and _same_visit(session, run) and self._spans(session, run):
                return session
        return run

    def _kept_ms(self, session: Session) -> int:
        """How long after its last event a session may still be asked for: by an event a gap later, that late.

        One with a client session id goes on after a pause, up to the length that any session may have.
        """
        if session.client_session_id:
            return self._length_ms_max + self._memory_ms
        return self._gap_ms.get(session.channel, 0) + self._memory_ms

    def _forget(self, sessions: list[Session], now: int, forgotten: list[Session]) -> None:
        kept = [s for s in sessions if not s.closed or s.ended_at + self._kept_ms(s) >= now]
        over = sum(s.closed for s in kept) - self._remembered_max
        if over > 0:
            oldest = [s for s in kept if s.closed][:over]
            kept = [s for s in kept if s not in oldest]
        if len(kept) < len(sessions):
            forgotten += [s for s in sessions if s not in kept]
            sessions[:] = kept


def _order(session: Session) -> tuple[int, int, str, str, str]:
    return (
        session.started_at,
        session.ended_at,
        session.visitor_id,
        session.channel,
        session.client_session_id,
    )


def _close_order(session: Session) -> tuple[int, int, str]:
    return session.ended_at, session.started_at, session.channel


def _same_visit(a: Session, b: Session) -> bool:
    return a.visitor_id == b.visitor_id and a.channel == b.channel and a.client_session_id == b.client_session_id


def _add(session: Session, event: Event) -> None:
    at, kind = event.at, event.kind
    session.closed = False
    session.events += 1
    if at > session.ended_at:
        session.ended_at = at
    elif at < session.started_at:
        session.started_at = at
    if kind == "page_viewed" or kind == "screen_viewed":
        session.pages += 1
    elif kind == "product_viewed":
        session.products += 1
    elif kind == "order_completed":
        session.orders += 1
        commerce = event.commerce
        if commerce is not None:
            session.order_value += commerce.value or 0.0
            session.currency = max(session.currency, commerce.currency)
    url = event.url
    if url:
        if at > session.exit_at or (at == session.exit_at and url > session.exit_url):
            session.exit_at, session.exit_url = at, url
        if at < session.entry_at or (at == session.entry_at and url < session.entry_url):
            session.entry_at, session.entry_url, session.referrer = at, url, event.referrer
    campaign_at = session.campaign_at
    if at <= campaign_at and event.campaign and (at < campaign_at or event.campaign < session.campaign):
        session.campaign_at, session.campaign = at, event.campaign


def _merge(session: Session, other: Session) -> None:
    """Make `session` the union of both; a published one keeps its id, the earlier if both have one."""
    session.closed = False
    session.started_at = min(session.started_at, other.started_at)
    session.ended_at = max(session.ended_at, other.ended_at)
    session.events += other.events
    session.pages += other.pages
    session.products += other.products
    if (other.entry_at, other.entry_url) < (session.entry_at, session.entry_url):
        session.entry_at, session.entry_url = other.entry_at, other.entry_url
        session.referrer = other.referrer
    session.exit_at, session.exit_url = max((session.exit_at, session.exit_url), (other.exit_at, other.exit_url))
    session.campaign_at, session.campaign = min(
        (session.campaign_at, session.campaign), (other.campaign_at, other.campaign)
    )
    session.orders += other.orders
    session.order_value += other.order_value
    session.currency = max(session.currency, other.currency)
    if not session.session_id:
        session.session_id, session.revision = other.session_id, other.revision


def _merged_record(session: Session, merged_into: str, profile_id: str) -> SessionRecord:
    """The last word on a published session whose events now count in another one."""
    gone = Session(session.visitor_id, session.channel, session.client_session_id, session.started_at, session.ended_at)
    gone.session_id, gone.revision = session.session_id, session.revision + 1
    record = record_of(gone, profile_id)
    record.state, record.merged_into = "merged", merged_into
    return record


def record_of(session: Session, profile_id: str) -> SessionRecord:
    """Return what is told of a closed session."""
    duration_ms = session.ended_at - session.started_at
    return SessionRecord(
        session.session_id,
        session.visitor_id,
        profile_id,
        session.channel,
        "closed",
        rfc3339(session.started_at),
        rfc3339(session.ended_at),
        duration_ms,
        session.events,
        session.pages,
        session.products,
        session.entry_url,
        session.exit_url,
        session.referrer,
        session.campaign,
        duration_ms < ENGAGED_MS and session.pages < 2 and not session.orders,
        session.orders > 0,
        session.orders,
        round(session.order_value, 2),
        session.currency,
        session.client_session_id,
        "",
        session.revision,
    )
