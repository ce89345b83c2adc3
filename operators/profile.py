"""One profile, visitor or lead: composes sessions, carts, footprint and decisions.

Theory of operation
-------------------
What may be added up in any order (sessions, footprint, visits) is taken in as an event arrives, and so
are the decisions an event causes itself: they must leave within seconds. What depends on order
(carts, addresses, consents, and the decisions that timers cause) waits in `pending` until
the watermark has passed it, and is applied in event-time order by `on_timer`. So disorder within
the lateness bound, batching and interleaving change nothing.

When a visitor becomes known, the lead absorbs the visitor's whole state, but *as of the link's own event
time*: until the watermark reaches it, the visitor's order-dependent half stays apart as a
guest. Timers due before the link fire as the anonymous visitor's, stragglers from before the link
go to the guest, and at the link's instant the guest's half joins the lead's. So it makes no difference
whether the hand-over comes before or after other events of the lead.

A profile without events for its retention time is over: its last record says so, and what
comes later is a new profile. The rule looks at the gap between events, so it does not matter when
the sweep comes by.
"""

from __future__ import annotations

from bisect import insort
from typing import ClassVar, Final, Literal

import msgspec

from operators.cart import CART_KINDS, CartRecord, CartRules, Carts, CartTracker
from operators.decision import ONSITE_CHANNELS, Decider, DecisionRules, Memory, Person
from operators.event import FOREVER, Event, rfc3339
from operators.footprint import Footprint, FootprintRules, FootprintTracker
from operators.ids import digest
from operators.rejected import Rejected
from operators.session import Session, SessionRecord, SessionRules, SessionTracker
from operators.trigger import Suppressed, Trigger

ORDERED_KINDS: Final = CART_KINDS | {
    "product_viewed",
    "identified",
    "consent_given",
    "consent_withdrawn",
    "offer_declined",
}

# A profile holds this many events back at most; beyond it the oldest is applied early. Within the
# lateness bound nobody does five hundred things that change a cart; a robot does.
PENDING_MAX: Final = 500
PENDING_DRAINED: Final = 8
ANONYMOUS_IDS_MAX: Final = 20


class ProfileRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of all parts, and how long a profile without events is kept (ms)."""

    sessions: SessionRules
    carts: CartRules
    footprint: FootprintRules
    decisions: DecisionRules
    retention_ms: int
    lateness_ms: int
    late_ms_max: int
    """How far behind the watermark an event may come that belongs to no remembered session."""


class Track(msgspec.Struct, array_like=True):
    """The half of a profile that depends on the order of events."""

    sessions: list[Session] = []
    carts: Carts = msgspec.field(default_factory=Carts)
    memory: Memory = msgspec.field(default_factory=Memory)
    pending: list[Event] = []


class Guest(msgspec.Struct, array_like=True):
    """A visitor's track until the watermark reaches `at`, the instant the visitor became known."""

    at: int
    profile_id: str
    visitor_id: str
    anonymous_ids: dict[str, int]
    track: Track


class HandOver(msgspec.Struct, array_like=True, gc=False):
    """The state of profile `profile_id` goes to the lead `to`, as of the link at `at`.

    `visitor_id` is what the visitor's own events name it by.
    """

    profile_id: str
    visitor_id: str
    to: str
    at: int


class Profile(msgspec.Struct, array_like=True):
    """All that is known of one person. `expires_at` comes first: a sweep reads no further.

    `due_at` is a lower bound: nothing happens before it, and something may at it. `visits` counts pauses
    longer than the session gap and the allowed lateness together: of those no straggler can make
    one visit. `anonymous_ids` has the instant at which each was first seen.
    """

    expires_at: int
    due_at: int
    first_at: int
    last_at: int
    visits: int
    anonymous_ids: dict[str, int]
    track: Track
    footprint: Footprint
    guests: list[Guest] = []


class ProfileRecord(msgspec.Struct):
    """A profile as published when it expires."""

    stream: ClassVar[str] = "profiles"

    profile_id: str
    state: Literal["expired"]
    anonymous_ids: list[str]
    known: bool
    first_seen_at: str
    last_seen_at: str
    visits: int
    top_category: str

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            digest("profile", self.profile_id, self.state, self.last_seen_at),
            f"io.nextmove.profile.{self.state}.v1",
            self.profile_id,
            self.last_seen_at,
        )


Output = SessionRecord | CartRecord | Trigger | Suppressed | ProfileRecord | Rejected


class ProfileOperator:
    """The pure operator of both steps, visitors and profiles; see the module's theory of operation."""

    state_type = Profile

    def __init__(self, rules: ProfileRules) -> None:
        """Compose the trackers of `rules`."""
        self._rules = rules
        self._sessions = SessionTracker(rules.sessions)
        self._carts = CartTracker(rules.carts)
        self._footprint = FootprintTracker(rules.footprint)
        self._decider = Decider(rules.decisions)
        self._gap_ms = rules.sessions.gap_ms
        self._browse_delay_ms = rules.carts.browse_delay_ms
        self._has_ticks = rules.carts.restart_on_activity
        self._has_footprint = rules.footprint.enabled
        self._offer_views = rules.decisions.offer_views

    def on_event(
        self, key: str, profile: Profile | None, event: Event, watermark: int
    ) -> tuple[Profile | None, list[Output]]:
        """Take in one event; return the profile's new state and what is to be published at once.

        `watermark` is the instant up to which event time was complete when the event came.
        """
        out: list[Output] = []
        at = event.at
        if at <= watermark and self._is_too_late(profile, event, watermark):
            out.append(_too_late(event))
            return profile, out
        if profile is not None and at - profile.last_at > self._rules.retention_ms:
            out += self.expire(key, profile)
            profile = None
        gap = self._gap_ms.get(event.channel)
        if profile is None:
            profile = Profile(at + self._rules.retention_ms, FOREVER, at, at, 1, {}, Track(), Footprint())
        else:
            self._see_again(key, profile, event, gap, out)
        anonymous_id = event.anonymous_id
        if anonymous_id and anonymous_id not in profile.anonymous_ids:
            _add_anonymous_id(profile.anonymous_ids, anonymous_id, at)
        track = profile.track if not profile.guests else _track_of(profile, event)
        if gap is not None:
            records: list[SessionRecord] = []
            self._sessions.join(track.sessions, event, gap, records)
            if records:
                out += records
            if at + gap < profile.due_at:
                profile.due_at = at + gap
        if self._has_ticks:
            self._carts.touch(track.carts, at)
        if self._has_footprint:
            views = self._footprint.add(profile.footprint, event)
            if views >= self._offer_views:
                out.append(self._decider.viewed(_memories(profile), _person(key, profile), event, views))
        if event.kind in ORDERED_KINDS or event.email or event.consents:
            self._hold(profile, track, event)
            if len(track.pending) > PENDING_DRAINED:
                self._drain(key, profile, track, watermark, out)
        return profile, out

    def on_timer(self, key: str, profile: Profile, now: int) -> tuple[Profile | None, list[Output]]:
        """Do all that is due up to `now`, that instant included, in event-time order."""
        out: list[Output] = []
        own = profile.track
        for guest in sorted(profile.guests, key=_link_order) if profile.guests else ():
            person = Person(guest.profile_id, sorted(guest.anonymous_ids), _first(guest.anonymous_ids))
            self._advance(guest.track, person, min(now, guest.at - 1), out)
            if guest.at <= now:
                self._advance(own, _person(key, profile), guest.at - 1, out)
                self._join(own, guest.track)
                profile.guests.remove(guest)
        self._advance(own, _person(key, profile), now, out)
        due_at = self._due_at(own)
        for guest in profile.guests:
            due_at = min(due_at, guest.at, self._due_at(guest.track))
        profile.due_at = due_at
        return profile, out

    def due_at(self, profile: Profile) -> int:
        """Return the instant, or an earlier one, at which `on_timer` next has something to do."""
        return profile.due_at

    def absorb(self, profile: Profile | None, visitor: Profile, handover: HandOver) -> Profile:
        """Add the state of a visitor who became known; commutative with events and other guests."""
        at = handover.at
        guest = Guest(at, handover.profile_id, handover.visitor_id, visitor.anonymous_ids, visitor.track)
        due_at = min(at, visitor.due_at)
        if profile is None:
            return Profile(
                visitor.last_at + self._rules.retention_ms,
                due_at,
                visitor.first_at,
                visitor.last_at,
                visitor.visits,
                dict(visitor.anonymous_ids),
                Track(),
                visitor.footprint,
                [guest],
            )
        profile.guests.append(guest)
        profile.due_at = min(profile.due_at, due_at)
        profile.first_at = min(profile.first_at, visitor.first_at)
        profile.last_at = max(profile.last_at, visitor.last_at)
        profile.expires_at = profile.last_at + self._rules.retention_ms
        profile.visits += visitor.visits
        for anonymous_id, first_at in visitor.anonymous_ids.items():
            _add_anonymous_id(profile.anonymous_ids, anonymous_id, first_at)
        self._footprint.union(profile.footprint, visitor.footprint)
        return profile

    def expires_at(self, profile: Profile) -> int:
        """Return the instant from which on a profile without further events is over."""
        return profile.expires_at

    def expire(self, key: str, profile: Profile) -> list[Output]:
        """Return the last records of a profile that has had no event for its retention time."""
        _, out = self.on_timer(key, profile, FOREVER)
        categories = profile.footprint.categories
        top = max(categories, key=lambda c: (categories[c].score, c)) if categories else ""
        out.append(
            ProfileRecord(
                key,
                "expired",
                sorted(profile.anonymous_ids),
                bool(profile.track.memory.email),
                rfc3339(profile.first_at),
                rfc3339(profile.last_at),
                profile.visits,
                top,
            )
        )
        return out

    def _advance(self, track: Track, person: Person, until: int, out: list[Output]) -> None:
        """Apply held events and fire timers of one track in event-time order, up to `until`."""
        pending, carts = track.pending, track.carts
        while True:
            held_at = pending[0].at if pending else FOREVER
            fires_at = self._carts.due_at(carts)
            if held_at <= fires_at:
                if held_at > until or not pending:
                    break
                self._apply(track, person, pending.pop(0), out)
            else:
                if fires_at > until:
                    break
                self._fire(track, person, fires_at, out)
        self._carts.settle(carts, until)
        records: list[SessionRecord] = []
        self._sessions.close(track.sessions, person.profile_id, until, records)
        out += records

    def _apply(self, track: Track, person: Person, event: Event, out: list[Output]) -> None:
        self._decider.learn(track.memory, event)
        if event.commerce is not None or event.kind == "order_completed":
            records: list[CartRecord] = []
            self._carts.apply(track.carts, event, person.profile_id, records)
            out += records

    def _fire(self, track: Track, person: Person, now: int, out: list[Output]) -> None:
        """Abandon what is due and decide on it; the cart's record names the trigger."""
        for fact in self._carts.fire(track.carts, person.profile_id, now):
            out.append(fact.record)
            if fact.record.state != "abandoned":
                continue
            decision = self._decider.abandonment(
                track.memory, person, fact, self._is_onsite(track.sessions, fact.due_at)
            )
            if isinstance(decision, Trigger):
                fact.record.trigger_id = decision.trigger_id
                for cart in track.carts.carts:
                    if cart.cart_id == fact.record.cart_id:
                        cart.trigger_id = decision.trigger_id
            out.append(decision)

    def _join(self, track: Track, other: Track) -> None:
        """Make `track` the union of both, each advanced to the same instant."""
        self._sessions.union(track.sessions, other.sessions)
        self._carts.union(track.carts, other.carts)
        self._decider.union(track.memory, other.memory)
        track.pending = sorted(track.pending + other.pending, key=_application_order)

    def _see_again(
        self, key: str, profile: Profile, event: Event, gap: int | None, out: list[Output]
    ) -> None:
        """Note an event of a known profile; one after a long enough pause is a new visit."""
        pause_ms = event.at - profile.last_at
        if pause_ms > 0:
            profile.last_at = event.at
            profile.expires_at = event.at + self._rules.retention_ms
            if gap is not None and pause_ms > gap + self._rules.lateness_ms:
                profile.visits += 1
                person = _person(key, profile)
                out.append(self._decider.returning(_memories(profile), person, event, profile.visits))
        elif event.at < profile.first_at:
            profile.first_at = event.at

    def _hold(self, profile: Profile, track: Track, event: Event) -> None:
        """Keep `event` until the watermark has passed it."""
        pending, kind = track.pending, event.kind
        if not pending or _application_order(pending[-1]) < _application_order(event):
            pending.append(event)
        else:
            insort(pending, event, key=_application_order)
        if kind in CART_KINDS:
            profile.due_at = min(profile.due_at, event.at)
        elif kind == "product_viewed":
            profile.due_at = min(profile.due_at, event.at + self._browse_delay_ms)

    def _drain(
        self, key: str, profile: Profile, track: Track, watermark: int, out: list[Output]
    ) -> None:
        """Apply held events ahead of the timers: those passed already, and those over the limit."""
        if track.pending[0].at <= watermark:
            out += self.on_timer(key, profile, watermark)[1]
        if len(track.pending) > PENDING_MAX:
            self._apply(track, _person(key, profile), track.pending.pop(0), out)

    def _due_at(self, track: Track) -> int:
        due = min(self._sessions.due_at(track.sessions), self._carts.due_at(track.carts))
        for event in track.pending:
            if event.kind in CART_KINDS:
                return min(due, event.at)
            if event.kind == "product_viewed":
                due = min(due, event.at + self._browse_delay_ms)
        return due

    def _is_onsite(self, sessions: list[Session], at: int) -> bool:
        return any(
            s.channel in ONSITE_CHANNELS and s.started_at <= at < s.ended_at + self._gap_ms[s.channel]
            for s in sessions
        )

    def _is_too_late(self, profile: Profile | None, event: Event, watermark: int) -> bool:
        if event.at >= watermark - self._rules.late_ms_max:
            return False
        return profile is None or not self._sessions.remembers(profile.track.sessions, event)


def _memories(profile: Profile) -> list[Memory]:
    return [profile.track.memory, *(guest.track.memory for guest in profile.guests)]


def _track_of(profile: Profile, event: Event) -> Track:
    """The guest's track for what a visitor did before becoming known, else the profile's own."""
    for guest in profile.guests:
        if event.at < guest.at and event.visitor_id == guest.visitor_id:
            return guest.track
    return profile.track


def _first(anonymous_ids: dict[str, int]) -> str:
    if not anonymous_ids:
        return ""
    return min(anonymous_ids, key=lambda i: (anonymous_ids[i], i))


def _person(key: str, profile: Profile) -> Person:
    return Person(key, sorted(profile.anonymous_ids), _first(profile.anonymous_ids) or key)


def _add_anonymous_id(anonymous_ids: dict[str, int], anonymous_id: str, at: int) -> None:
    known_at = anonymous_ids.get(anonymous_id)
    if known_at is not None:
        anonymous_ids[anonymous_id] = min(at, known_at)
    elif len(anonymous_ids) < ANONYMOUS_IDS_MAX:
        anonymous_ids[anonymous_id] = at


def _link_order(guest: Guest) -> tuple[int, str]:
    return guest.at, guest.profile_id


def _application_order(event: Event) -> tuple[int, bool, str]:
    """Return the order of application: by time; of one instant the order of a shop comes last, then by id."""
    return event.at, event.kind == "order_completed", event.event_id


def _too_late(event: Event) -> Rejected:
    return Rejected(
        "too_late",
        "older than what its profile remembers",
        event.partition,
        event.position,
        msgspec.json.encode(event),
        "profile",
        event.event_id,
    )
