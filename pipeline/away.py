"""Whose state is not in a key group any more, and what becomes of events that were meant for it."""

from __future__ import annotations

from operators.event import Event
from operators.profile_state import HandOver
from operators.request import Request
from pipeline.messages import Absorb, Await


class Away:
    """Profiles that have left a key group, until nobody can send it anything of theirs.

    Other shards may have asked the store who is who before it knew; each is known with the store's clock by then.
    """

    def __init__(self, *, is_of_leads: bool, forwards: bool) -> None:
        """Know of nobody; visitors come back as themselves, leads never do; `forwards` where there are others."""
        self._is_of_leads, self._forwards = is_of_leads, forwards
        self.gone: dict[str, tuple[str, int]] = {}
        """Visitors who have been handed over, each with the lead."""
        self.erased: dict[str, tuple[int, int]] = {}
        """Profiles that were erased, each with up to when (ms)."""
        self.dropped = 0
        """Events of those."""

    def hand_over(self, handover: HandOver) -> None:
        """Note that a visitor is a lead by now."""
        if self._forwards:
            self.gone[handover.profile_id] = handover.to, handover.linked_at

    def erase(self, request: Request) -> None:
        """Note that a profile was erased; who it had become by then is no more either."""
        key = request.profile_id
        at, clock = self.erased.get(key, (-1, -1))
        self.erased[key] = max(at, request.at), max(clock, request.clock)
        if key in self.gone and self.gone[key][1] <= request.clock:
            del self.gone[key]

    def takes(self, event: Event, forwarded: list[Event]) -> bool:
        """Whether an event is of somebody who was erased, or has followed its visitor, who is a lead by now."""
        key = event.profile_id
        if key in self.erased and (self._is_of_leads or event.at <= self.erased[key][0]):
            self.dropped += 1
            return True
        if key in self.gone:
            event.profile_id, event.mark = self.gone[key][0], -1  # it comes after whatever has been reached there
            forwarded.append(event)
            return True
        return False

    def has_erased(self, item: HandOver | Await | Absorb) -> bool:
        """Whether a state is of or for somebody who was erased since: it goes nowhere."""
        if isinstance(item, HandOver):
            return self._is_of_leads and item.profile_id in self.erased
        return item.handover.to in self.erased

    def reached(self, clock: int) -> None:
        """Forget those of whom nothing can come any more: every shard has asked the store since."""
        for key in [key for key, (_, linked_at) in self.gone.items() if linked_at <= clock]:
            del self.gone[key]
        for key in [key for key, (_, erased_at) in self.erased.items() if erased_at <= clock]:
            del self.erased[key]

    def told(self) -> int:
        """Return how many events were dropped since it was last asked."""
        dropped, self.dropped = self.dropped, 0
        return dropped
