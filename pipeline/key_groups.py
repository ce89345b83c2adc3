"""The host of a pure operator: all profiles of one key group, their timers, watermark and checkpoint.

Theory of operation
-------------------
bytewax keeps one logic object, one timer and one recovery row a key, and pays for each at every batch,
every epoch and at resume. Here state is kept by *key group*, one of a fixed number of slices of all
profiles; a `KeyGroup` does the rest itself, and a few lanes of groups are what bytewax has as keys:

* **States.** `pipeline/states.py` has them, in use as objects, at rest as bytes.
* **Timers.** One heap of (due, key) for the group. The operator only says `due_at(state)`, a lower bound.
  An entry whose key has since been given another due instant is stale and skipped.
* **Watermark.** It comes with each event (how far event time was complete just before it) and, for groups that
  get no events, in markers in band. Before an event is handled, timers due by then fire: what an event finds done
  depends on the order of the input alone, not on batches.
* **Checkpoint.** `snapshot` appends what has changed to the group's changelog and returns its name and length; the
  engine stores that with the source's offsets and the sinks' lengths of the same epoch.
* **Hand-over.** A visitor who becomes known leaves the group: its state goes out as an `Absorb` for the
  lead's group, in the next step. State moves forward through the flow, never in a circle. Another shard may have read
  an event of the visitor before it could know; that is forwarded, until every shard has asked the store since.
* **Leads who become one.** The younger one's state goes to the other's group, in the same step, by way of the store.
  It leaves when nothing can come for it any more: every shard has asked the store since. The other waits for it, and
  what comes queues up (`pipeline/waiting.py`). The timers of both stand still meanwhile: neither is known whole.
* **Expiry.** Once a day of event time the group is swept; a state's first field says when it is over.

Order inside `take`: items in the order given, each after the timers its mark lets fire; then markers.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

from connectors.changelog import Changelog
from operators.event import FOREVER, Event
from operators.profile import Output, ProfileOperator
from operators.profile_state import HandOver, Profile
from pipeline import waiting
from pipeline.exchange import handover_of, handover_row
from pipeline.group_snapshot import GroupSnapshot, read_snapshot, write_snapshot
from pipeline.messages import Absorb, Await, GroupBatch, GroupOutput, Marker
from pipeline.ports import HandOvers
from pipeline.states import States

DAY_MS: Final = 86_400_000


class KeyGroup:
    """One key group of one step; see the module's theory of operation."""

    def __init__(
        self,
        number: int,
        operator: ProfileOperator,
        changelog: Changelog | None,
        resume: bytes | None,
        *,
        forwards: bool = False,
        store: HandOvers | None = None,
    ) -> None:
        """Start empty, or from the snapshot `resume`; without a `changelog` nothing survives the process.

        It `forwards` what comes too late for a visitor where others, too, say whose events are whose. A group of leads
        has a `store` by which they hand over what they are to each other.
        """
        self.number = number
        self._operator = operator
        self.states = States(changelog)
        self._heap: list[tuple[int, str]] = []
        self._watermark = -1
        self._top_at = -1
        self._swept_at = -1
        self._forwards = forwards
        self._gone: dict[str, tuple[str, int]] = {}
        self._store = store
        self._leaving: dict[str, HandOver] = {}
        self._queues: dict[str, waiting.Queue] = {}
        self._clock = self._fired_to = -1
        self._awake = 0
        self._held = self._held_told = self._waits_told = 0
        if resume is not None:
            self._resume(resume)
        elif changelog is not None:
            changelog.start()

    def take(self, batch: GroupBatch) -> GroupOutput:
        """Work through one batch: its items, each after the timers that its mark lets fire, then its marker."""
        records: list[Output] = []
        absorbed: list[Absorb] = []
        forwarded: list[Event] = []
        created = 0
        gone, queues = self._gone, self._queues
        states, operator, heap = self.states, self._operator, self._heap
        hot, touched = states.hot, states.touched
        watermark = self._watermark
        next_due_at = heap[0][0] if heap else FOREVER
        for item in batch.items:
            if not isinstance(item, Event):
                watermark = max(watermark, item.mark if isinstance(item, HandOver) else item.handover.lead_mark)
                self._fire(watermark, records)
                created += self._move(item, watermark, records, absorbed)
                next_due_at = heap[0][0] if heap else FOREVER
                continue
            if item.mark > watermark:
                watermark = item.mark
                if watermark >= next_due_at:
                    self._fire(watermark, records)
                    next_due_at = heap[0][0] if heap else FOREVER
            key = item.profile_id
            if (gone and key in gone) or (queues and key in queues):
                self._detour(item, watermark, forwarded)
                continue
            known = hot.get(key)
            if known is None:
                known = None if key in hot else states.wake(key)
                created += known is None
                hot[key] = known
            state, outputs = operator.on_event(key, known, item, watermark)
            if state is not known:
                hot[key] = state
                self._held += known is None
            touched[key] = state
            if outputs:
                records += outputs
            if state is not None and state.due_at < state.timer_at:
                self._schedule(key, state)
                next_due_at = min(next_due_at, state.due_at)
        self._watermark = watermark
        self._conclude(batch.marker, records)
        return self._told(batch, records, absorbed, created, forwarded)

    @property
    def pending(self) -> int:
        """How much is left to be done about leads who wait for another one's state, or are to leave."""
        return len(self._leaving) + sum([len(queue) for queue in self._queues.values()])

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

    def _conclude(self, marker: Marker | None, records: list[Output]) -> None:
        """Do what comes after the items of a batch."""
        if marker is not None:
            self._advance(marker, records)
            if self._queues or self._leaving:
                self._work_off(records)
        self.states.pack_touched()
        if marker is not None:
            self.states.tidy()

    def _told(
        self, batch: GroupBatch, records: list[Output], absorbed: list[Absorb], created: int, forwarded: list[Event]
    ) -> GroupOutput:
        awake, self._awake = len(self.states.due) - self._awake, len(self.states.due)
        held, self._held_told = self._held - self._held_told, self._held
        output = GroupOutput(batch, records, absorbed, created, awake, held, forwarded)
        waits = len(self._queues)
        output.waiting, self._waits_told = waits - self._waits_told, waits
        return output

    def snapshot(self) -> bytes:
        """Checkpoint what has changed; what is returned names and measures the changelog."""
        generation, length = self.states.checkpoint()
        now = self._watermark, self._top_at, self._swept_at
        leaving = [handover_row(handover) for handover in self._leaving.values()]
        queues = {key: waiting.rows_of(queue) for key, queue in self._queues.items()}
        told = GroupSnapshot(self.number, generation, length, *now, self._gone, leaving, queues)
        return write_snapshot(told)

    def _detour(self, event: Event, watermark: int, forwarded: list[Event]) -> None:
        """Have an event follow a visitor who is a lead by now, or wait for a lead's state."""
        key = event.profile_id
        if key in self._gone:
            forwarded.append(_forwarded(event, self._gone[key][0]))
        else:
            self._queues[key].append((watermark, event))

    def _move(
        self, item: HandOver | Await | Absorb, watermark: int, records: list[Output], absorbed: list[Absorb]
    ) -> int:
        """Let a state go, or take one in; return how many visitors that shows for the first time."""
        if isinstance(item, HandOver):
            if self._store is None:
                return self._hand_over(item, records, absorbed)
            self._leaving[item.profile_id] = item
            return 0
        handover, queues = item.handover, self._queues
        if isinstance(item, Await) or handover.to in queues:
            queues.setdefault(handover.to, []).append((watermark, item))
        else:
            self._take_in(handover.to, handover, item.state, records)
        return 0

    def _hand_over(self, item: HandOver, records: list[Output], absorbed: list[Absorb]) -> int:
        """Let a visitor's state go; return how many visitors that shows for the first time."""
        key = item.profile_id
        state = self.states.load(key)
        is_known = state is not None
        state = self._let_go(item, state, records)
        if self._forwards:
            self._gone[key] = item.to, item.linked_at
        absorbed.append(Absorb(item, state))
        return int(not is_known)  # made known by its first event

    def _let_go(self, item: HandOver, state: Profile | None, records: list[Output]) -> Profile | None:
        """Return a state that is kept here no longer, unless it is over."""
        key = item.profile_id
        if state is not None:
            if item.at - state.last_at > self._operator.retention_ms:
                records += self._operator.expire(key, state)
                state = None
            self.states.put(key, None)
            self.states.due.pop(key, None)
            self._held -= 1
        return state

    def _take_in(self, key: str, handover: HandOver, state: Profile | None, records: list[Output]) -> None:
        """Add somebody's state to a lead's."""
        lead = self.states.load(key)
        self._held += lead is None
        if lead is not None and handover.at - lead.last_at > self._operator.retention_ms:
            records += self._operator.expire(key, lead)
            lead = None
        lead = self._operator.absorb(lead, state, handover)
        self.states.put(key, lead)
        self._schedule(key, lead)

    def _work_off(self, records: list[Output]) -> None:
        """Take in the states that have come, and what has queued up behind them; let go who need not stay."""
        assert self._store is not None
        is_more = True
        while is_more:
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
            assert self._store is not None
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
            if isinstance(item, Event):
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
        self.states.due.pop(key, None)
        if state.due_at <= watermark:
            state, outputs = self._operator.on_timer(key, state, watermark)
            records += outputs
        self.states.put(key, state)
        self._held -= state is None
        if state is not None:
            self._schedule(key, state)

    def _advance(self, marker: Marker, records: list[Output]) -> None:
        """Take in a marker; fire what is due, sweep what is over."""
        self._top_at = max(self._top_at, marker.top_at)
        for key in [key for key, (_, linked_at) in self._gone.items() if linked_at <= marker.clock]:
            del self._gone[key]
        watermark = marker.watermark
        if watermark > self._watermark:
            # The end of the input is the end of time for timers, but not a mark to keep: the input may grow.
            self._fire(watermark, records)
            if watermark < FOREVER:
                self._watermark = watermark
        self._sweep(min(watermark, self._top_at), records)
        self._clock = marker.clock

    def _fire(self, watermark: int, records: list[Output]) -> None:
        heap, due, leaving, queues = self._heap, self.states.due, self._leaving, self._queues
        self._fired_to = watermark
        while heap and heap[0][0] <= watermark:
            due_at, key = heappop(heap)
            if due.get(key) != due_at:
                continue
            del due[key]
            if (leaving and key in leaving) or (queues and key in queues):
                continue
            state = self.states.load(key)
            assert state is not None, f"a timer of {key!r}, which has no state"
            state.timer_at = FOREVER
            state, outputs = self._operator.on_timer(key, state, watermark)
            self.states.put(key, state)
            records += outputs
            self._held -= state is None
            if state is not None:
                self._schedule(key, state)

    def _schedule(self, key: str, state: Profile) -> None:
        """See to it that `state` wakes no later than it is due."""
        due_at = state.due_at
        if due_at < state.timer_at:
            state.timer_at = self.states.due[key] = due_at
            heappush(self._heap, (due_at, key))

    def _sweep(self, now: int, records: list[Output]) -> None:
        """Expire what is over, once a day of event time; the groups take turns over the day."""
        day_at = now - (now - self.number * 675_000) % DAY_MS  # 675 s: 128 groups fill a day
        if day_at <= self._swept_at or now < 0:
            return
        self._swept_at = day_at
        for key in self.states.idle_since(day_at - self._operator.retention_ms):
            if key in self._leaving or key in self._queues:
                continue
            self._expire(key, records)

    def _expire(self, key: str, records: list[Output]) -> None:
        state = self.states.load(key)
        assert state is not None
        records += self._operator.expire(key, state)
        self.states.put(key, None)
        self.states.due.pop(key, None)
        self._held -= 1

    def _resume(self, snapshot: bytes) -> None:
        told, states = read_snapshot(snapshot), self.states
        states.resume(told.generation, told.length)
        self._held = len(states.rest)
        self._heap = sorted([(due_at, key) for key, due_at in states.due.items()])
        self._watermark, self._top_at, self._swept_at = told.watermark, told.top_at, told.swept_at
        self._gone = told.gone
        self._leaving = {handover.profile_id: handover for handover in map(handover_of, told.leaving)}
        self._queues = {key: waiting.queue_of(rows) for key, rows in told.queues.items()}


def _forwarded(event: Event, lead: str) -> Event:
    """Make an event one of the lead's; it comes after whatever has been reached there."""
    event.profile_id, event.mark = lead, -1
    return event
