"""The half of a profile that depends on the order of events: carts, what deciding remembers, and what is decided later.

Events wait in a track's `pending` until the watermark has passed them. `advance` applies them and fires what is due, in
event-time order; where an event and a timer fall on one instant, the event is first. Guests go their own way up to
their link, and join there (`operators/profile.py` has the whole theory).
"""

from __future__ import annotations

from bisect import insort
from typing import Any, Final

from mypy_extensions import mypyc_attr

from operators import decision
from operators import memory as memories
from operators.callers import called_by
from operators.cart import CART_KINDS, CartTracker
from operators.case import Case, Tools
from operators.decision import Decider
from operators.event import FOREVER, Event
from operators.footprint import FootprintTracker
from operators.held import application_order
from operators.memory import TELLING_KINDS
from operators.moment import Moment
from operators.person import add_anonymous_id
from operators.profile_state import Guest, Profile, Track, link_order
from operators.rules import ProfileRules
from operators.session import Session, SessionTracker
from operators.stitching import Stitcher
from operators.trigger import Trigger
from operators.undoing import can_undo

ORDERED_KINDS: Final = CART_KINDS | TELLING_KINDS | {"product_viewed"}

# A profile holds this many events back at most; beyond it the oldest is applied early. Within the
# lateness bound nobody does five hundred things that change a cart; a robot does.
PENDING_MAX: Final = 500


@mypyc_attr(acyclic=True)
class Side:
    """A track of `profile` and whose it is: the profile's own, or that of a guest of it, known or not."""

    def __init__(
        self,
        profile: Profile,
        track: Track,
        profile_id: str,
        anonymous_ids: dict[str, int],
        is_known: bool,  # noqa: FBT001
    ) -> None:
        self.profile = profile
        self.track = track
        self.profile_id = profile_id
        self.anonymous_ids = anonymous_ids
        self.is_known = is_known


class Ordered:
    """The rules at work on tracks, in event-time order."""

    def __init__(
        self,
        rules: ProfileRules,
        sessions: SessionTracker,
        carts: CartTracker,
        footprint: FootprintTracker,
        decider: Decider,
    ) -> None:
        """Keep the trackers; there is no state."""
        self._sessions = sessions
        self._carts = carts
        self._decider = decider
        self._stitcher = Stitcher(rules.sessions)
        self._gap_ms = dict(rules.sessions.gap_ms)
        self._browse_delay_ms, self._delay_ms_min = rules.carts.browse_delay_ms, rules.carts.delay_ms_min
        self._views_min = rules.carts.browse_views_min
        self._kinds = ORDERED_KINDS if rules.carts.browse_views_min else ORDERED_KINDS - {"product_viewed"}
        self.tools = Tools(carts, footprint, self._gap_ms)

    def hold(self, profile: Profile, track: Track, event: Event) -> None:
        """Keep `event` until the watermark has passed it, if it has to wait for its turn."""
        pending, kind = track.pending, event.kind
        tells = bool(event.email or event.consents or event.phone)
        if not (tells or kind in self._kinds or kind in self._decider.book.heard):
            return
        if not pending or event.at > pending[-1].at:
            pending.append(event)
        else:
            insort(pending, event, key=application_order)
        if kind in CART_KINDS and track.memory.plans is None and kind not in self._decider.book.starts:
            # What only adds to an open cart can wait until that cart is due, or anything else happens to it.
            wait_ms = self._delay_ms_min if len(pending) == 1 and self._carts.goes_on(track.carts, event) else 0
            profile.due_at = min(profile.due_at, event.at + wait_ms)
            return
        profile.due_at = min(profile.due_at, self._matters_at(track, event))
        if kind == "product_viewed" and event.at + self._browse_delay_ms < profile.due_at:
            profile.due_at = min(profile.due_at, self.wakes_at(track))

    def settle(self, side: Side, watermark: int, out: list[Any]) -> None:
        """Apply held events that the watermark has passed, and those over the limit.

        Timers due before them have fired: they wake the profile before any event does.
        """
        pending = side.track.pending
        while pending and (pending[0].at <= watermark or len(pending) > PENDING_MAX):
            self._apply(side, pending.pop(0), out)

    def advance_guests(self, own: Side, guests: list[Guest], now: int, out: list[Any]) -> int:
        """Advance the guests' tracks, join those whose link is reached; return when the next guest is due."""
        due_at, left = FOREVER, sorted(guests, key=link_order)
        while left:
            guest = left.pop(0)
            until, guest_due_at = min(now, guest.at - 1), FOREVER
            side = Side(own.profile, guest.track, guest.profile_id, guest.anonymous_ids, not guest.visitor_id)
            if guest.guests:
                guest_due_at = self.advance_guests(side, guest.guests, until, out)
            guest_due_at = min(guest_due_at, self.advance(side, until, out))
            if guest.at > now:
                due_at = min(due_at, guest.at, guest_due_at)
                continue
            self.advance(own, guest.at - 1, out)
            self._stitcher.stitch(own.track, own.profile_id, own.anonymous_ids, guest, out)
            for anonymous_id, first_at in guest.anonymous_ids.items():
                add_anonymous_id(own.anonymous_ids, anonymous_id, first_at)
            self._join(own, guest, out)
            guests.remove(guest)
            for theirs in guest.guests:  # linked no sooner than their host
                guests.append(theirs)
                insort(left, theirs, key=link_order)
        return due_at

    def advance(self, side: Side, until: int, out: list[Any]) -> int:
        """Apply held events and fire timers of one track in event-time order; return when it is next due."""
        track = side.track
        pending, carts = track.pending, track.carts
        fires_at = FOREVER
        if pending or carts.carts or carts.browse is not None or track.memory.plans is not None:
            fires_at, is_exact = self._fires_at(track), True
            after_ms = min(self._delay_ms_min, self._decider.book.after_ms_min)
            while True:
                held_at = pending[0].at if pending else FOREVER
                if held_at <= until and held_at <= fires_at:
                    self._apply(side, pending.pop(0), out)
                    # What it has set going fires no sooner than this; when exactly is asked if it matters.
                    fires_at, is_exact = min(fires_at, held_at + after_ms), False
                elif not is_exact:
                    fires_at, is_exact = self._fires_at(track), True
                elif fires_at <= until:
                    self._fire(side, fires_at, out)
                    is_exact = False
                else:
                    break
        self._carts.settle(carts, until)
        forgotten: list[Session] = []
        told = len(out)
        closes_at = self._sessions.close(track.sessions, side.profile_id, until, out, forgotten)
        if forgotten or (track.past is not None and len(out) > told):
            self._stitcher.keep(track, forgotten, until)
        if pending:
            fires_at = min(fires_at, self.wakes_at(track))
        return min(closes_at, fires_at)

    def case(self, side: Side, now: int) -> Case:
        """Return a track as it stands at `now`, when time is complete up to there."""
        ids = {i: at for i, at in side.anonymous_ids.items() if at <= now}
        book, profile, track = self._decider.book, side.profile, side.track
        return Case(book, self.tools, profile, [track], side.profile_id, ids, now, now, side.is_known)

    def _fires_at(self, track: Track) -> int:
        """Return when the next cart is abandoned, wait over or trigger released."""
        return min(self._carts.due_at(track.carts), decision.due_at(track.memory))

    def wakes_at(self, track: Track) -> int:
        """Return the first instant at which something held back makes a difference."""
        wakes_at, browse = FOREVER, track.carts.browse
        views = browse.views if browse is not None else 0
        for event in track.pending:
            if event.at >= wakes_at:
                break
            wakes_at = min(wakes_at, self._matters_at(track, event))
            if event.kind == "product_viewed":
                views += 1
                if views >= self._views_min:
                    wakes_at = min(wakes_at, event.at + self._browse_delay_ms)
        return wakes_at

    def _matters_at(self, track: Track, event: Event) -> int:
        """Return when an event that is held back makes a difference at the latest, leaving browse intents aside."""
        kind, book, memory = event.kind, self._decider.book, track.memory
        if kind in CART_KINDS or event.call is not None:
            return event.at
        if (memory.plans is not None and can_undo(book, event)) or (memory.orders is not None and _earns(kind)):
            return event.at
        if kind in book.asked:
            return event.at  # facts that come in any order, as visits, are not to grow on in the meantime
        return event.at + book.after_ms_min if kind in book.starts else FOREVER

    def _apply(self, side: Side, event: Event, out: list[Any]) -> None:
        track, kind, book = side.track, event.kind, self._decider.book
        memory = track.memory
        if memories.tells(event):
            memories.learn(memory, event, book)
        if kind == "product_viewed":
            self._carts.view(track.carts, event)
        elif event.call is not None:
            out.append(called_by(event.call, side.profile_id, track.sessions, self._gap_ms))
        elif kind in CART_KINDS:
            self._carts.apply(track.carts, event, side.profile_id, out)
        if kind in book.undoes:
            memories.note(memory, event)
        if (memory.plans is not None and can_undo(book, event)) or kind in book.starts or _earns(kind):
            self._decider.take_in(self.case(side, event.at), event, out)

    def _fire(self, side: Side, now: int, out: list[Any]) -> None:
        """Abandon and decide what is due, and what is waited for or held; a cart's record names its trigger."""
        carts = side.track.carts
        for fact in self._carts.fire(carts, side.profile_id, now):
            record = fact.record
            out.append(record)
            if record.state != "abandoned":
                continue
            moment = Moment(f"{record.intent}.timer", fact.due_at, record.visitor_id, fact.cause_key)
            moment.cart = record
            told, case = len(out), self.case(side, fact.due_at)
            self._decider.decide(case, moment, out)
            self._decider.begin(case, moment, out)
            for output in out[told:]:
                if isinstance(output, Trigger):
                    record.trigger_id = output.trigger_id
                    for cart in carts.carts:
                        if cart.cart_id == record.cart_id:
                            cart.trigger_id = output.trigger_id
        if decision.due_at(side.track.memory) <= now:
            self._decider.fire(self.case(side, now), out)

    def _join(self, own: Side, guest: Guest, out: list[Any]) -> None:
        """Make the own track the union of both, each advanced to just before the guest's link."""
        track, other, now = own.track, guest.track, guest.at
        self._sessions.union(track.sessions, other.sessions)
        self._carts.union(track.carts, other.carts, own.profile_id, now, out)
        case = self.case(own, now)
        link = Event("identified", now, guest.event_id, "server", guest.visitor_id)
        self._decider.union(case, track.memory, other.memory, link, out)
        track.pending = sorted(track.pending + other.pending, key=application_order)


def _earns(kind: str) -> bool:
    """Whether a kind of event can change what an order is credited to."""
    return kind == "order_completed" or kind == "order_cancelled" or kind in memories.OUTCOMES
