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

from bisect import insort
from typing import Final

from operators.answer import Answer
from operators.call_record import CallRecord
from operators.callers import called_by
from operators.cart import CART_KINDS, CartTracker
from operators.cart_record import CartRecord
from operators.decision import ONSITE_CHANNELS, Decider
from operators.event import FOREVER, Event, rfc3339
from operators.footprint import FootprintTracker
from operators.held import application_order, take_along
from operators.identity_record import StitchedRecord
from operators.person import add_anonymous_id, everyone, memories, person, track_of
from operators.profile_record import ProfileRecord, Tombstone
from operators.profile_state import Guest, HandOver, Profile, Track, link_order
from operators.rate import RateRule
from operators.rejected import too_late
from operators.rules import ProfileRules
from operators.screened import LeftOut, ScreenedEvent
from operators.session import Session, SessionTracker
from operators.session_record import SessionRecord
from operators.stitching import Stitcher
from operators.trigger import Suppressed, Trigger

ORDERED_KINDS: Final = CART_KINDS | {
    "product_viewed",
    "identified",
    "consent_given",
    "consent_withdrawn",
    "offer_declined",
    "call_closed",
}

# A profile holds this many events back at most; beyond it the oldest is applied early. Within the
# lateness bound nobody does five hundred things that change a cart; a robot does.
PENDING_MAX: Final = 500

Fact = SessionRecord | CallRecord | CartRecord | ProfileRecord | Tombstone | StitchedRecord
Output = Fact | Trigger | Suppressed | Answer | LeftOut


class ProfileOperator:
    """The pure operator of both steps, visitors and profiles; see the module's theory of operation."""

    def __init__(self, rules: ProfileRules) -> None:
        """Compose the trackers of `rules`."""
        self.retention_ms = rules.retention_ms
        """A profile is over this long after its last event."""
        self._sessions = SessionTracker(rules.sessions)
        self._stitcher = Stitcher(rules.sessions)
        self._carts = CartTracker(rules.carts)
        self._footprint = FootprintTracker(rules.footprint)
        self._decider = Decider(rules.decisions)
        self._rate = RateRule(rules.rate_max, rules.rate_ban_ms)
        self._gap_ms = dict(rules.sessions.gap_ms)
        self._gap_ms_max = max(self._gap_ms.values(), default=0)
        self._memory_ms, self._is_lead = rules.sessions.memory_ms, rules.is_lead
        self._lateness_ms, self._late_ms_max = rules.lateness_ms, rules.late_ms_max
        self._browse_delay_ms, self._delay_ms_min = rules.carts.browse_delay_ms, rules.carts.delay_ms_min
        self._views_min = rules.carts.browse_views_min
        self._has_ticks = rules.carts.restart_on_activity
        self._has_footprint, self._decides = rules.footprint.enabled, rules.decisions.enabled
        self._offer_views = rules.decisions.offer_views if self._decides else FOREVER
        self._ordered_kinds = ORDERED_KINDS if rules.carts.browse_views_min else ORDERED_KINDS - {"product_viewed"}

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
        if gap is not None and at > profile.visited_at:
            pause_ms, profile.visited_at = at - profile.visited_at, at
            if pause_ms > gap + self._lateness_ms:
                self._return(key, profile, event, out)
        track, anonymous_id, ids = profile.track, event.anonymous_id, profile.anonymous_ids
        if profile.guests:
            track, ids = track_of(profile, event)
        # A visitor's own id is among them since the visitor's first event.
        if anonymous_id and (anonymous_id != key or not ids) and anonymous_id not in ids:
            add_anonymous_id(ids, anonymous_id, at)
        if gap is not None:
            self._sessions.join(track.sessions, event, gap, out)
            if at + gap < profile.due_at:
                profile.due_at = at + gap
        if self._has_ticks and event.call is None:
            self._carts.touch(track.carts, at)
        if self._has_footprint:
            views = self._footprint.add(profile.footprint, event)
            if views >= self._offer_views:
                out.append(self._decider.viewed(memories(profile, event.at), everyone(key, profile), event, views))
        pending = profile.track.pending
        if pending and pending[0].at <= watermark:
            self._settle(key, profile.track, watermark, out)
        if event.kind in self._ordered_kinds or event.email or event.consents:
            self._hold(profile, track, event)
        return profile, out

    def on_timer(self, key: str, profile: Profile, now: int) -> tuple[Profile | None, list[Output]]:
        """Do all that is due up to `now`, that instant included, in event-time order."""
        out: list[Output] = []
        now = min(now, FOREVER - 1)  # what is due at FOREVER is due never
        track, ids, due_at = profile.track, profile.anonymous_ids, FOREVER
        if profile.guests:
            due_at = self._advance_guests(track, key, ids, profile.guests, now, out)
        profile.due_at = min(due_at, self._advance(track, key, ids, now, out))
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
        take_along(profile.track, guest)
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

    def _advance_guests(
        self,
        own: Track,
        key: str,
        anonymous_ids: dict[str, int],
        guests: list[Guest],
        now: int,
        out: list[Output],
    ) -> int:
        """Advance the guests' tracks, join those whose link is reached; return when the next guest is due."""
        due_at, left = FOREVER, sorted(guests, key=link_order)
        while left:
            guest = left.pop(0)
            track, ids, until = guest.track, guest.anonymous_ids, min(now, guest.at - 1)
            guest_due_at = FOREVER
            if guest.guests:
                guest_due_at = self._advance_guests(track, guest.profile_id, ids, guest.guests, until, out)
            guest_due_at = min(guest_due_at, self._advance(track, guest.profile_id, ids, until, out))
            if guest.at > now:
                due_at = min(due_at, guest.at, guest_due_at)
                continue
            self._advance(own, key, anonymous_ids, guest.at - 1, out)
            self._stitcher.stitch(own, key, anonymous_ids, guest, out)
            self._join(own, track, key, guest.at, out)
            for anonymous_id, first_at in ids.items():
                add_anonymous_id(anonymous_ids, anonymous_id, first_at)
            guests.remove(guest)
            for theirs in guest.guests:  # linked no sooner than their host
                guests.append(theirs)
                insort(left, theirs, key=link_order)
        return due_at

    def _advance(
        self, track: Track, profile_id: str, anonymous_ids: dict[str, int], until: int, out: list[Output]
    ) -> int:
        """Apply held events and fire timers of one track in event-time order; return when it is next due."""
        pending, carts = track.pending, track.carts
        fires_at = FOREVER
        if pending or carts.carts or carts.browse is not None:
            fires_at, is_exact = self._carts.due_at(carts), True
            while True:
                held_at = pending[0].at if pending else FOREVER
                if held_at <= until and held_at <= fires_at:
                    self._apply(track, profile_id, pending.pop(0), out)
                    # What it has set going fires no sooner than this; when exactly is asked if it matters.
                    fires_at, is_exact = min(fires_at, held_at + self._delay_ms_min), False
                elif not is_exact:
                    fires_at, is_exact = self._carts.due_at(carts), True
                elif fires_at <= until:
                    self._fire(track, profile_id, anonymous_ids, fires_at, out)
                    is_exact = False
                else:
                    break
        self._carts.settle(carts, until)
        forgotten: list[Session] = []
        told = len(out)
        closes_at = self._sessions.close(track.sessions, profile_id, until, out, forgotten)
        if forgotten or (track.past is not None and len(out) > told):
            self._stitcher.keep(track, forgotten, until)
        if pending:
            fires_at = min(fires_at, self._wakes_at(track))
        return min(closes_at, fires_at)

    def _wakes_at(self, track: Track) -> int:
        """Return the first instant at which something held back makes a difference."""
        wakes_at, browse = FOREVER, track.carts.browse
        views = browse.views if browse is not None else 0
        for event in track.pending:
            if event.kind in CART_KINDS or event.call is not None:
                return min(wakes_at, event.at)
            if event.kind == "product_viewed":
                views += 1
                if views >= self._views_min:
                    wakes_at = min(wakes_at, event.at + self._browse_delay_ms)
        return wakes_at

    def _apply(self, track: Track, profile_id: str, event: Event, out: list[Output]) -> None:
        if event.kind == "product_viewed":
            self._carts.view(track.carts, event)
            return
        if event.call is not None:
            out.append(called_by(event.call, profile_id, track.sessions, self._gap_ms))
            return
        self._decider.learn(track.memory, event)
        if event.kind in CART_KINDS:
            self._carts.apply(track.carts, event, profile_id, out)

    def _fire(self, track: Track, profile_id: str, anonymous_ids: dict[str, int], now: int, out: list[Output]) -> None:
        """Abandon what is due and decide on it; the cart's record names the trigger."""
        for fact in self._carts.fire(track.carts, profile_id, now):
            record = fact.record
            out.append(record)
            if record.state != "abandoned" or not self._decides:
                continue
            whom = person(profile_id, {i: at for i, at in anonymous_ids.items() if at <= fact.due_at})
            is_onsite = self._is_onsite(track.sessions, fact.due_at)
            decision = self._decider.abandonment(track.memory, whom, fact, is_onsite=is_onsite)
            if isinstance(decision, Trigger):
                record.trigger_id = decision.trigger_id
                for cart in track.carts.carts:
                    if cart.cart_id == record.cart_id:
                        cart.trigger_id = decision.trigger_id
            out.append(decision)

    def _join(self, track: Track, other: Track, profile_id: str, now: int, out: list[Output]) -> None:
        """Make `track` the union of both, each advanced to just before `now`."""
        self._sessions.union(track.sessions, other.sessions)
        self._carts.union(track.carts, other.carts, profile_id, now, out)
        self._decider.union(track.memory, other.memory)
        track.pending = sorted(track.pending + other.pending, key=application_order)

    def _return(self, key: str, profile: Profile, event: Event, out: list[Output]) -> None:
        """Note a new visit."""
        profile.visits += 1
        if self._decides:
            whom = everyone(key, profile)
            out.append(self._decider.returning(memories(profile, event.at), whom, event, profile.visits))

    def _hold(self, profile: Profile, track: Track, event: Event) -> None:
        """Keep `event` until the watermark has passed it."""
        pending, kind = track.pending, event.kind
        if not pending or event.at > pending[-1].at:
            pending.append(event)
        else:
            insort(pending, event, key=application_order)
        if kind in CART_KINDS:
            # What only adds to an open cart can wait until that cart is due, or anything else happens to it.
            wait_ms = self._delay_ms_min if len(pending) == 1 and self._carts.goes_on(track.carts, event) else 0
            profile.due_at = min(profile.due_at, event.at + wait_ms)
        elif event.call is not None:
            profile.due_at = min(profile.due_at, event.at)
        elif kind == "product_viewed" and event.at + self._browse_delay_ms < profile.due_at:
            profile.due_at = min(profile.due_at, self._wakes_at(track))

    def _left_out(self, key: str, profile: Profile, event: Event, watermark: int) -> list[Output]:
        """Leave out an event of somebody too fast, save for consents: a refusal counts, whoever it is."""
        out: list[Output] = [ScreenedEvent("rate", event.partition)]
        if event.consents:
            self._hold(profile, profile.track, event)
        self._settle(key, profile.track, watermark, out)
        return out

    def _settle(self, key: str, track: Track, watermark: int, out: list[Output]) -> None:
        """Apply held events that the watermark has passed, and those over the limit.

        Timers due before them have fired: they wake the profile before any event does.
        """
        pending = track.pending
        while pending and (pending[0].at <= watermark or len(pending) > PENDING_MAX):
            self._apply(track, key, pending.pop(0), out)

    def _is_onsite(self, sessions: list[Session], at: int) -> bool:
        return any(
            s.channel in ONSITE_CHANNELS and s.started_at <= at < s.ended_at + self._gap_ms[s.channel] for s in sessions
        )

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
