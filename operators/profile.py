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
whether the hand-over comes before or after other events of the lead. It is the same with a lead who turns out to be
another one, and who may have guests too. At that instant the guest's sessions are told again, as the lead's
(`operators/stitching.py`).

A profile without events for its retention time is over: its last record says so, and what
comes later is a new profile. The rule looks at the gap between events, so it does not matter when
the sweep comes by.
"""

from __future__ import annotations

from operators import decision
from operators.answer import Answer
from operators.attribution_record import AttributionRecord
from operators.call_record import CallRecord
from operators.cart import CartTracker
from operators.cart_record import CartRecord
from operators.case import Case
from operators.decision import Decider
from operators.event import FOREVER, Event, rfc3339
from operators.footprint import FootprintTracker
from operators.held import take_along
from operators.identity_record import StitchedRecord
from operators.moment import Moment
from operators.ordered import Ordered, Side
from operators.person import add_anonymous_id, guests_of, track_of, tracks
from operators.profile_record import ProfileRecord, Tombstone
from operators.profile_state import Guest, HandOver, Profile, Track
from operators.rate import RateRule
from operators.rejected import too_late
from operators.rule_book import RETURNED
from operators.rules import ProfileRules
from operators.screened import LeftOut, ScreenedEvent
from operators.session import SessionTracker
from operators.session_record import SessionRecord
from operators.trigger import Retraction, RuleFault, Suppressed, Trigger
from operators.undoing import can_undo

Fact = SessionRecord | CallRecord | CartRecord | ProfileRecord | Tombstone | StitchedRecord
Decision = Trigger | Suppressed | Retraction | AttributionRecord | RuleFault
Output = Fact | Decision | Answer | LeftOut


class ProfileOperator:
    """The pure operator of both steps, visitors and profiles; see the module's theory of operation."""

    def __init__(self, rules: ProfileRules, decider: Decider) -> None:
        """Compose the trackers of `rules`, and decide by `decider`."""
        self.retention_ms = rules.retention_ms
        """A profile is over this long after its last event."""
        self._sessions = SessionTracker(rules.sessions)
        self._carts = CartTracker(rules.carts)
        self._footprint = FootprintTracker(rules.footprint)
        self._ordered = Ordered(rules, self._sessions, self._carts, self._footprint, decider)
        self._decider = decider
        self._rate = RateRule(rules.rate_max, rules.rate_ban_ms)
        self._gap_ms = dict(rules.sessions.gap_ms)
        self._gap_ms_max = max(self._gap_ms.values(), default=0)
        self._memory_ms, self._is_lead = rules.sessions.memory_ms, rules.is_lead
        self._lateness_ms, self._late_ms_max = rules.lateness_ms, rules.late_ms_max
        self._has_ticks, self._has_footprint = rules.carts.restart_on_activity, rules.footprint.enabled

    def on_event(  # noqa: C901 -- one event's whole way, kept flat: it is taken for each of them
        self, key: str, profile: Profile | None, event: Event, watermark: int
    ) -> tuple[Profile | None, list[Output]]:
        """Take in one event; return the profile's new state and what is to be published at once.

        `watermark` is the instant up to which event time was complete when the event came.
        """
        out: list[Output] = []
        at = event.at
        if at <= watermark and not event.is_moment and self._is_too_late(profile, event, watermark):
            out.append(too_late(event))
            return profile, out
        gap = None if event.is_moment else self._gap_ms.get(event.channel)
        if profile is not None and at - profile.last_at > self.retention_ms:
            out += self.expire(key, profile)
            profile = None
        if profile is None:
            profile = Profile(at)
        elif self._rate.is_bot(profile, at):
            return profile, self._left_out(key, profile, event, watermark)
        elif not profile.visits:
            profile.visits = 1
            profile.last_at = max(profile.last_at, at)
            profile.first_at = profile.visited_at = at
        elif at > profile.last_at:
            profile.last_at = at
        elif at < profile.first_at:
            profile.first_at = at
        visit = views = 0
        if gap is not None and at > profile.visited_at:
            pause_ms, profile.visited_at = at - profile.visited_at, at
            if pause_ms > gap + self._lateness_ms:
                profile.visits += 1
                visit = profile.visits
        track, anonymous_id, ids = profile.track, event.anonymous_id, profile.anonymous_ids
        if profile.guests:
            track, ids = track_of(profile, event, watermark)
        if anonymous_id and at < ids.get(anonymous_id, FOREVER):
            add_anonymous_id(ids, anonymous_id, at)
        if gap is not None:
            self._sessions.join(track.sessions, event, gap, out)
            if at + gap < profile.due_at:
                profile.due_at = at + gap
        if self._has_ticks and event.call is None:
            self._carts.touch(track.carts, at)
        if self._has_footprint:
            views = self._footprint.add(profile.footprint, event)
        if profile.track.pending and profile.track.pending[0].at <= watermark:
            self._ordered.settle(self._own(key, profile), watermark, out)
        self._ordered.hold(profile, track, event)
        if visit or event.kind in self._decider.book.at_once or track.memory.plans is not None or profile.guests:
            self._decide(key, profile, event, watermark, visit, views, out)
        return profile, out

    def on_timer(self, key: str, profile: Profile, now: int) -> tuple[Profile | None, list[Output]]:
        """Do all that is due up to `now`, that instant included, in event-time order."""
        out: list[Output] = []
        now = min(now, FOREVER - 1)  # what is due at FOREVER is due never
        own, due_at = self._own(key, profile), FOREVER
        if profile.guests:
            due_at = self._ordered.advance_guests(own, profile.guests, now, out)
        profile.due_at = min(due_at, self._ordered.advance(own, now, out))
        return profile, out

    def absorb(self, profile: Profile | None, visitor: Profile | None, handover: HandOver) -> Profile:
        """Add the state of a visitor who became known; commutative with events and other hand-overs.

        Or that of a lead who became this one. A visitor of whom nothing is known yet (None) leaves a guest all the
        same: for the stragglers from before the link. A lead of whom there is nothing else has no visit yet; its first
        event, or a visitor's, is the first.
        """
        if visitor is None:
            visitor = Profile(handover.at)
            visitor.visits = 0
        ids = visitor.anonymous_ids
        named = handover.profile_id, handover.visitor_id
        guest = Guest(handover.at, *named, ids, visitor.track, visitor.guests, handover.event_id)
        due_at = min(handover.at, visitor.due_at)
        if profile is None or (not profile.visits and profile.bot_until < 0):
            guests = [] if profile is None else profile.guests
            due_at = due_at if profile is None else min(due_at, profile.due_at)
            timer_at = FOREVER if profile is None else profile.timer_at
            profile = Profile(visitor.last_at)
            profile.minute, profile.count = -1, 0  # it has no event of its own yet
            profile.due_at, profile.timer_at = due_at, timer_at
            profile.first_at, profile.visited_at = visitor.first_at, visitor.visited_at
            profile.visits = visitor.visits
            profile.footprint = visitor.footprint
            profile.guests = [*guests, guest]
            return profile
        # A visit that goes on through the login is counted by the lead's own events, the linking one first;
        # they also tell when the lead was last here.
        goes_on = handover.at - visitor.visited_at <= self._gap_ms_max + self._lateness_ms
        profile.visits += max(visitor.visits - goes_on, 0)
        profile.guests.append(guest)
        profile.due_at = min(profile.due_at, due_at)
        if visitor.visits:
            profile.first_at = min(profile.first_at, visitor.first_at)
        self._footprint.union(profile.footprint, visitor.footprint)
        take_along(profile, guest)
        return profile

    def expire(self, key: str, profile: Profile) -> list[Output]:
        """Return the last records of a profile that has had no event for its retention time."""
        _, out = self.on_timer(key, profile, FOREVER)
        if not profile.visits and profile.bot_until >= 0:  # a bot's, of whom nothing was said
            return out
        out.append(
            ProfileRecord(
                key,
                "expired",
                sorted(profile.anonymous_ids),
                self._is_lead,
                rfc3339(profile.first_at),
                rfc3339(profile.last_at),
                profile.visits,
                self._footprint.top_category(profile.footprint),
            )
        )
        return out

    def _decide(
        self, key: str, profile: Profile, event: Event, watermark: int, visit: int, views: int, out: list[Output]
    ) -> None:
        """Decide on what an event causes, and take back what it undoes, as it comes."""
        decider, book = self._decider, self._decider.book
        if can_undo(book, event):
            self._undo(key, profile, watermark, out)
        if not visit and event.kind not in book.at_once:
            return
        every = tracks(profile)
        case = Case(book, self._ordered.tools, profile, every, key, None, event.at, watermark, self._is_lead)
        had_plans = profile.track.memory.plans is not None
        if visit:
            moment = Moment(RETURNED, event.at, event.visitor_id)
            moment.event, moment.count = event, visit
            decider.decide(case, moment, out)
            decider.begin(case, moment, out)
            profile.due_at = min(profile.due_at, decision.due_at(profile.track.memory))
        if event.kind in book.at_once:
            decider.decide(case, decision.event_moment(event, views), out)
        plans = profile.track.memory.plans
        if plans is None:
            return
        if plans.held:
            profile.due_at = min(profile.due_at, plans.due_at)
        if not had_plans:  # from now on what is held back can undo something
            profile.due_at = min(profile.due_at, self._ordered.wakes_at(profile.track))

    def _undo(self, key: str, profile: Profile, watermark: int, out: list[Output]) -> None:
        """Take back, as events come, what is undone by what is still held back; each track's by the first of its own.

        What one track undoes of another one is told where they join.
        """
        self._undo_in(profile.track, key, profile, watermark, out)
        for guest in guests_of(profile.guests):  # whose own it is up to the link
            self._undo_in(guest.track, guest.profile_id, profile, watermark, out)

    def _undo_in(self, track: Track, key: str, profile: Profile, watermark: int, out: list[Output]) -> None:
        decider, plans = self._decider, track.memory.plans
        for event in track.pending:
            if plans is None or not plans.can_change:
                return
            if can_undo(decider.book, event):
                tools, is_known = self._ordered.tools, self._is_lead
                case = Case(decider.book, tools, profile, [track], key, None, event.at, watermark, is_known)
                case.until = event
                decider.undo(case, track.memory, event, out)

    def _left_out(self, key: str, profile: Profile, event: Event, watermark: int) -> list[Output]:
        """Leave out an event of somebody too fast, save for consents: a refusal counts, whoever it is."""
        out: list[Output] = [ScreenedEvent("rate", event.partition)]
        if event.consents:
            self._ordered.hold(profile, profile.track, event)
        self._ordered.settle(self._own(key, profile), watermark, out)
        return out

    def _own(self, key: str, profile: Profile) -> Side:
        return Side(profile, profile.track, key, profile.anonymous_ids, self._is_lead)

    def _is_too_late(self, profile: Profile | None, event: Event, watermark: int) -> bool:
        """Whether a late event can belong only to what has been forgotten.

        Sessions are remembered for `memory_ms`. An event older than that may still begin a session of
        its own, up to `late_ms_max`, where the profile was not yet there at the time.
        """
        at = event.at
        if at >= watermark - self._memory_ms:
            return False
        if profile is not None and self._sessions.remembers(profile.track.sessions, event):
            return False
        if at < watermark - self._late_ms_max:
            return True
        gap = self._gap_ms.get(event.channel, 0)
        return profile is not None and at >= profile.first_at - gap
