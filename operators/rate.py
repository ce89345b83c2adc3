"""The rule of rates: whoever does more within a minute than a person does is a bot, for a while.

Theory of operation
-------------------
Events are counted by the minute of event time, in the minute of the profile's latest event and the one before: more
than disorder within the allowed lateness reaches. So in whatever order they come, the same minutes go over the limit. A
minute that does makes its visitor a bot from now until `ban_ms` after the minute's start; who goes on like that stays
one. A bot's events do not count, save for the consents they tell, and what was open of it is dropped: its
sessions, its carts, what it has looked at, and what waited for the watermark. What it had told of itself stays,
addresses, consents and refusals: a rule may be wrong about somebody, who must not be written to for it.
"""

from __future__ import annotations

from operators.cart import CART_KINDS
from operators.cart_state import Carts
from operators.event import FOREVER
from operators.footprint import Footprint
from operators.profile_state import MINUTE_MS, Guest, Profile, Track


class RateRule:
    """Tells whose events come too fast."""

    def __init__(self, events_max: int, ban_ms: int) -> None:
        """Allow `events_max` events of one profile a minute, 0: any number."""
        self._events_max, self._ban_ms = events_max, ban_ms

    def is_bot(self, profile: Profile, at: int) -> bool:
        """Count an event of a profile that is there already; return whether it is a bot's and does not count."""
        if not self._events_max:
            return False
        minute, latest = at // MINUTE_MS, profile.minute
        count = 0
        if minute == latest:
            count = profile.count = profile.count + 1
        elif minute > latest:
            profile.count_before = profile.count if minute == latest + 1 else 0
            count = profile.count = 1
            profile.minute = minute
        elif minute == latest - 1:
            count = profile.count_before = profile.count_before + 1
        if count > self._events_max:
            if at >= profile.bot_until:
                _forget_doings(profile)
            profile.bot_until = max(profile.bot_until, minute * MINUTE_MS + self._ban_ms)
        if at >= profile.bot_until:
            return False
        if at > profile.last_at:
            profile.last_at = at
        return True


def _forget_doings(profile: Profile) -> None:
    """Drop what a profile has done; what else it is comes to be anew with its next event that counts."""
    _empty(profile.track)
    profile.footprint = Footprint()
    profile.visits = 0
    profile.due_at = FOREVER
    _forget_doings_of(profile.guests)
    for guest in profile.guests:
        profile.due_at = min(profile.due_at, guest.at)


def _forget_doings_of(guests: list[Guest]) -> None:
    for guest in guests:
        _empty(guest.track)
        _forget_doings_of(guest.guests)


def _empty(track: Track) -> None:
    track.sessions = []
    track.carts = Carts()
    track.past = None
    track.pending = [one for one in track.pending if one.kind not in CART_KINDS and one.kind != "product_viewed"]
