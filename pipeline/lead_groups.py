"""The key group of leads: what a `KeyGroup` does, and what leads give to each other.

Theory of operation
-------------------
* **Leads who become one.** The younger one's state goes to the other's group, in the same step, by way of the store.
  It leaves when nothing can come for it any more: every shard has asked the store since. The other waits for it, and
  what comes queues up (`pipeline/waiting.py`). The timers of both stand still meanwhile: neither is known whole.
* **Leads who are split.** One goes on, and gives the store what the identifiers that leave have brought when nothing
  of theirs can come for it any more; who they are by now waits for it in the same way.
"""

from __future__ import annotations

from connectors.changelog import Changelog
from operators.event import FOREVER, Event
from operators.profile import Output, ProfileOperator
from operators.profile_state import HandOver, Profile
from operators.request import Request
from operators.unmerge import split
from pipeline import answering, waiting
from pipeline.key_groups import KeyGroup
from pipeline.messages import Absorb, Await, GroupBatch, GroupOutput
from pipeline.ports import HandOvers
from pipeline.purges import Purges


class LeadGroup(KeyGroup):
    """One key group of leads; see the module's theory of operation."""

    def __init__(
        self,
        number: int,
        operator: ProfileOperator,
        changelog: Changelog | None,
        resume: bytes | None,
        store: HandOvers,
        purges: Purges | None = None,
    ) -> None:
        """Start as any group does; by the `store` leads hand over what they are to each other."""
        super().__init__(number, operator, changelog, resume, is_of_leads=True, purges=purges)
        self._store = store

    @property
    def pending(self) -> int:
        """How much is left to be done about leads who wait for another one's state, or are to leave."""
        return len(self._leaving) + len(self._splits) + sum([len(queue) for queue in self._queues.values()])

    @property
    def is_at_end(self) -> bool:
        """Whether the input has ended for good."""
        return self._fired_to == FOREVER

    def finish(self) -> GroupOutput:
        """Work off, at the end of the input, what leads have been waiting for, as far as it is there."""
        records: list[Output] = []
        self._work_off(records)
        self.states.pack_touched()
        return self._told(GroupBatch(self.number, 0, 0, [], []), records, [], 0, [])

    def _move(
        self,
        item: HandOver | Await | Absorb | Request,
        watermark: int,
        records: list[Output],
        absorbed: list[Absorb],  # noqa: ARG002 -- visitors give theirs to the next step
    ) -> int:
        """Let a state go, take one in or wait for it, or do what is requested."""
        queues = self._queues
        if isinstance(item, Request):
            if item.what != "erase" and item.profile_id in queues:
                queues[item.profile_id].append((watermark, item))
            else:
                self._perform(item, records)
        elif isinstance(item, HandOver) and item.part:  # also of who was erased since: it is somebody else's by now
            if item.profile_id in queues:
                queues[item.profile_id].append((watermark, item))
            else:
                self._split_in_time(item, records)
        elif self._away.has_erased(item):
            pass  # it goes nowhere
        elif isinstance(item, HandOver):
            self._leaving[item.profile_id] = item
        elif isinstance(item, Await) or item.handover.to in queues:
            queues.setdefault(item.handover.to, []).append((watermark, item))
        else:
            self._take_in(item.handover.to, item.handover, item.state, records)
        return 0

    def _erase(self, request: Request, records: list[Output]) -> None:
        """Forget a lead; what has left it before is somebody else's, who waits for it."""
        key = request.profile_id
        for _, item in self._queues.get(key, []):
            if isinstance(item, HandOver):
                self._split(item, records)
            elif isinstance(item, Request):
                records.append(answering.said(item.to("", 0, "{}"), "unknown"))
        for handover in [one for one in self._splits if one.profile_id == key]:
            self._splits.remove(handover)
            self._split(handover, records)
        super()._erase(request, records)
        self._store.forget(key)

    def _split_in_time(self, handover: HandOver, records: list[Output]) -> None:
        """Split a lead, once every shard has asked the store since: what they sent before that has come by then."""
        if handover.linked_at <= self._clock:
            self._split(handover, records)
        else:
            self._splits.append(handover)

    def _split(self, handover: HandOver, records: list[Output]) -> None:
        """Give the store what some identifiers have brought to a lead, for the lead that they are by now."""
        key, moved, other = handover.profile_id, dict[str, int](), None
        state = self.states.load(key)
        if state is not None:
            other, moved = split(state, handover.names)
            self.states.put(key, state)
            self._timers.schedule(key, state)
        self._store.give(handover.tag, waiting.packed(handover, other))
        records.append(answering.split_off(handover, moved))

    def _take_in(self, key: str, handover: HandOver, state: Profile | None, records: list[Output]) -> None:
        """Add somebody's state to a lead's."""
        lead = self.states.load(key)
        self._held += lead is None
        if lead is not None and handover.at - lead.last_at > self._operator.retention_ms:
            records += self._operator.expire(key, lead)
            lead = None
        lead = self._operator.absorb(lead, state, handover)
        self.states.put(key, lead)
        self._timers.schedule(key, lead)

    def _work_off(self, records: list[Output]) -> None:
        """Take in the states that have come, and what has queued up behind them; let go who need not stay."""
        is_more = True
        while is_more:
            for handover in [one for one in self._splits if one.linked_at <= self._clock]:
                self._splits.remove(handover)
                self._split(handover, records)
            for handover in [one for one in self._leaving.values() if one.linked_at <= self._clock]:
                self._leave(handover, records)
            leads = waiting.heads(self._queues)
            given = self._store.take(list(leads)) if leads else {}
            for tag, state in given.items():
                self._go_on(leads[tag], state, records)
            is_more = bool(given)

    def _leave(self, handover: HandOver, records: list[Output]) -> None:
        """Give the state of a lead who has become another one to the store: nothing can come for it any more.

        Unless it is waiting itself. Who waits for whom follows the order of the links, so there is no circle.
        """
        key = handover.profile_id
        if key not in self._queues:
            del self._leaving[key]
            state = self._let_go(handover, self.states.load(key), records)
            self._store.give(handover.tag, waiting.packed(handover, state))

    def _go_on(self, key: str, state: bytes, records: list[Output]) -> None:
        """Take in one state, and what is behind it up to the next that has not come yet."""
        queue = self._queues[key]
        reached, _ = queue.pop(0)
        self._catch_up(key, reached, records)
        self._take_in(key, *waiting.unpacked(state), records)
        while queue:
            reached, item = queue[0]
            if isinstance(item, Await):
                return
            del queue[0]
            self._catch_up(key, reached, records)
            if isinstance(item, Request):
                self._show(item, records)
            elif isinstance(item, HandOver):
                self._splits.append(item)  # behind it may be what had been on its way
            elif isinstance(item, Event):
                known = self.states.load(key)
                profile, outputs = self._operator.on_event(key, known, item, reached)
                self._held += (known is None) - (profile is None)
                self.states.put(key, profile)
                records += outputs
            else:
                self._take_in(key, item.handover, item.state, records)
        del self._queues[key]
        self._catch_up(key, max(self._watermark, self._fired_to), records)
        profile, horizon = self.states.load(key), self._swept_at - self._operator.retention_ms
        if profile is not None and profile.last_at <= horizon and key not in self._leaving:
            self._expire(key, records)

    def _catch_up(self, key: str, watermark: int, records: list[Output]) -> None:
        """Let the timers of a lead who has waited fire that were due by then."""
        state = self.states.load(key)
        if state is None or key in self._leaving:
            return
        state.timer_at = FOREVER
        self._timers.cancel(key)
        if state.due_at <= watermark:
            state, outputs = self._operator.on_timer(key, state, watermark)
            records += outputs
        self.states.put(key, state)
        self._held -= state is None
        if state is not None:
            self._timers.schedule(key, state)
