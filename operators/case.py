"""A case: a person at an instant, as a decision sees them. What costs something is looked up when it is asked for."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from operators import cart_state
from operators import memory as memories
from operators.cart import CART_KINDS, CartTracker
from operators.cart_state import LIVE, Cart, Carts
from operators.consent import Consents
from operators.event import Event
from operators.footprint import FootprintTracker
from operators.held import application_order
from operators.local_time import Zone
from operators.memory import CALL_MS_MAX, Memory
from operators.person import Person, everyone, person, tracks
from operators.plans import Sent
from operators.profile_state import Profile, Track
from operators.rule_book import Book
from operators.session import Session

ONSITE_CHANNELS: Final = frozenset({"web", "app"})
CHAT_CHANNELS: Final = frozenset({"chat"})


@mypyc_attr(acyclic=True)
class Tools:
    """What a case asks the rules of carts, footprints and visits by; `gap_ms` is when a visit ends, by channel."""

    def __init__(self, carts: CartTracker, footprint: FootprintTracker, gap_ms: dict[str, int]) -> None:
        self.carts = carts
        self.footprint = footprint
        self.gap_ms = gap_ms


@mypyc_attr(acyclic=True)
class Case:
    """A person at the instant `now`.

    What is decided as it comes is decided by all that is known: the state of the profile and its guests (`tracks`, its
    own first) and what is still held back. What waits for time to be complete goes by one track alone with the
    `anonymous_ids` seen by then, as it stood at that instant. `watermark` is up to when time was complete. With an
    event `until`, what is held back after it is not known.
    """

    _memory: Memory | None = None
    _carts: Carts | None = None
    _zone: Zone | None = None
    _person: Person | None = None

    def __init__(  # noqa: PLR0913, PLR0917 -- what a decision needs to know
        self,
        book: Book,
        tools: Tools,
        profile: Profile,
        tracks: list[Track],
        profile_id: str,
        anonymous_ids: dict[str, int] | None,
        now: int,
        watermark: int,
        is_known: bool,  # noqa: FBT001
    ) -> None:
        self.book = book
        self.profile = profile
        self.now = now
        self.watermark = watermark
        self.is_known = is_known
        self._profile_id = profile_id
        self._anonymous_ids = anonymous_ids
        self._tools = tools
        self._tracks = tracks
        self._is_at_once = anonymous_ids is None
        self.until: Event | None = None

    @property
    def person(self) -> Person:
        """Who it is about, with all devices known so far, guests included, or those of the one track."""
        found = self._person
        if found is None:
            ids = self._anonymous_ids
            found = self._person = (
                everyone(self._profile_id, self.profile) if ids is None else person(self._profile_id, ids)
            )
        return found

    @property
    def own(self) -> Memory:
        """The memory in which is entered what is decided."""
        return self._tracks[0].memory

    def memory(self) -> Memory:
        """Return all that is remembered, and known of what is still held back."""
        found = self._memory
        if found is None:
            found = self._memory = self._remembered()
        return found

    def said(self, until: int) -> Consents:
        """Return what the whole person has said up to `until`, as far as it is known by now.

        Guests may be ahead: of a word of theirs from after it, what they had said before is not known any more.
        """
        every, found = tracks(self.profile), Memory()
        words = found.consents.words
        for track in every:
            for key, word in track.memory.consents.words.items():
                if word[0] <= until:
                    words[key] = max(word, words.get(key, word))
        held = [event for track in every for event in track.pending if event.at <= until and memories.tells(event)]
        for event in sorted(held, key=application_order):
            memories.learn(found, event, self.book)
        return found.consents

    def sent_in(self, slot_key: str) -> Sent | None:
        """Return the trigger of a slot that is alive, None where there is none."""
        for track in self._tracks:
            plans = track.memory.plans
            if plans is not None:
                for sent in plans.sent:
                    if sent.slot_key == slot_key and sent.expires_at > self.now:
                        return sent
        return None

    def carts(self) -> Carts:
        """Return the carts, with what is still held back of them."""
        found = self._carts
        if found is None:
            found = self._carts = self._filled()
        return found

    def cart(self, cart_id: str) -> Cart | None:
        """Return the cart of that id, None where it is forgotten."""
        for cart in self.carts().carts:
            if cart.cart_id == cart_id:
                return cart
        return None

    def live_cart(self) -> Cart | None:
        """Return the cart changed last of those that are not bought or emptied."""
        live = [cart for cart in self.carts().carts if cart.state in LIVE]
        return max(live, key=_changed) if live else None

    def is_onsite(self) -> bool:
        """Whether the person is in an open visit of site or app."""
        return self._is_on(ONSITE_CHANNELS)

    def is_in_chat(self) -> bool:
        """Whether the person is in an open chat."""
        return self._is_on(CHAT_CHANNELS)

    def is_in_call(self) -> bool:
        """Whether the person is on the telephone."""
        now = self.now
        return any(at <= now < at + CALL_MS_MAX for at in self.memory().calls.values())

    def visit(self, event: Event) -> Session | None:
        """Return the visit that an event is part of."""
        at = event.at
        for track in self._tracks:
            for session in track.sessions:
                if (
                    session.started_at <= at <= session.ended_at
                    and session.visitor_id == event.visitor_id
                    and session.channel == event.channel
                    and session.client_session_id == event.client_session_id
                ):
                    return session
        return None

    def zone(self) -> Zone:
        """Return the zone by which the person's clock goes."""
        found = self._zone
        if found is None:
            memory = self.memory()
            found = self._zone = self.book.policy.zones.of(memory.zone, memory.phone)[0]
        return found

    def top_interest(self) -> str:
        """Return the category of most interest, "" for none."""
        return self._tools.footprint.top_category(self.profile.footprint)

    def interests(self) -> dict[str, float]:
        """Return the interest in each category as it stands now."""
        return self._tools.footprint.interests(self.profile.footprint, self.now)

    def _is_on(self, channels: frozenset[str]) -> bool:
        now, gap_ms = self.now, self._tools.gap_ms
        for track in self._tracks:
            for one in track.sessions:
                if one.channel in channels and one.started_at <= now < one.ended_at + gap_ms.get(one.channel, 0):
                    return True
        return False

    def _held(self, of: list[Track]) -> list[Event]:
        """Return what tracks hold back, up to the last event that is looked at."""
        held = [event for track in of for event in track.pending]
        if self.until is None:
            return held
        last = application_order(self.until)
        return [event for event in held if application_order(event) <= last]

    def _remembered(self) -> Memory:
        """Return what the tracks remember together, with what they hold back learnt in its order."""
        of = self._tracks
        if not self._is_at_once:
            return of[0].memory
        held = [event for event in self._held(of) if memories.tells(event)]
        if not held and len(of) == 1:
            return of[0].memory
        found = Memory()
        for track in of:
            memories.union(found, track.memory, self.book, min(self.now, self.watermark))
        for event in sorted(held, key=application_order):
            memories.learn(found, event, self.book)
        return found

    def _filled(self) -> Carts:
        tracks, now = self._tracks, self.now
        held = [event for event in self._held(tracks) if event.kind in CART_KINDS]
        if not self._is_at_once or (not held and len(tracks) == 1):
            return tracks[0].carts
        found = _copied(tracks[0].carts, now)
        for track in tracks[1:]:
            self._tools.carts.union(found, _copied(track.carts, now), "", now, [])
        for event in sorted(held, key=application_order):
            self._tools.carts.apply(found, event, "", [])
        return found


def _copied(carts: Carts, now: int) -> Carts:
    return cart_state.unpack(carts.pack(now, {}), now, [])


def _changed(cart: Cart) -> tuple[int, str]:
    return cart.changed_at, cart.cart_id
