"""The host of a pure operator: all profiles of one key group, their timers, watermark and checkpoint.

Theory of operation
-------------------
bytewax keeps one logic object, one timer and one recovery row a key, and pays for each at every batch,
every epoch and at resume. Here state is kept by *key group*, one of a fixed number of slices of all
profiles; a `KeyGroup` does the rest itself, and a few lanes of groups are what bytewax has as keys:

* **States.** `pipeline/states.py` has them, in use as objects, at rest as bytes.
* **Timers.** `pipeline/timers.py` has them. The operator only says `due_at(state)`, a lower bound.
* **Watermark.** It comes with each event (how far event time was complete just before it) and, for groups that
  get no events, in markers in band. Before an event is handled, timers due by then fire: what an event finds done
  depends on the order of the input alone, not on batches.
* **Checkpoint.** `snapshot` appends what has changed to the group's changelog and returns its name and length; the
  engine stores that with the source's offsets and the sinks' lengths of the same epoch.
* **Hand-over.** A visitor who becomes known leaves the group: its state goes out as an `Absorb` for the
  lead's group, in the next step. State moves forward through the flow, never in a circle. Another shard may have read
  an event of the visitor before it could know; that is forwarded, until every shard has asked the store since.
* **Leads who become one.** `pipeline/lead_groups.py` has them.
* **Requests.** Who is erased is gone at once, with all that is under way for it; what other shards had sent before they
  could know is dropped.
* **Expiry.** Once a day of event time the group is swept; a state's first field says when it is over.

Order inside `take`: items in the order given, each after the timers its mark lets fire; then markers.
"""

from __future__ import annotations

from typing import Final

from connectors.changelog import Changelog
from operators.event import FOREVER, Event
from operators.profile import Output, ProfileOperator
from operators.profile_state import HandOver, Profile
from operators.request import Request
from pipeline import answering, waiting
from pipeline.away import Away
from pipeline.exchange import handover_of, handover_row
from pipeline.group_snapshot import GroupSnapshot, read_snapshot, write_snapshot
from pipeline.messages import Absorb, Await, GroupBatch, GroupOutput, Marker
from pipeline.purges import Purges
from pipeline.states import States
from pipeline.timers import Timers

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
        is_of_leads: bool = False,
        purges: Purges | None = None,
    ) -> None:
        """Start empty, or from the snapshot `resume`; without a `changelog` nothing survives the process.

        It `forwards` what comes too late for a visitor where others, too, say whose events are whose. By `purges` a
        group of leads tells those of visitors what was erased.
        """
        self.number = number
        self._operator = operator
        self.states = States(changelog)
        self._timers = Timers(self.states.due)
        self._watermark = -1
        self._top_at = -1
        self._swept_at = -1
        self._away = Away(is_of_leads=is_of_leads, forwards=forwards)
        self._is_of_leads, self._purges = is_of_leads, purges
        self._leaving: dict[str, HandOver] = {}
        self._splits: list[HandOver] = []
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
        gone, erased, queues = self._away.gone, self._away.erased, self._queues
        states, operator, timers = self.states, self._operator, self._timers
        hot, touched = states.hot, states.touched
        watermark = self._watermark
        next_due_at = timers.next_at
        for item in batch.items:
            if not isinstance(item, Event):
                if not isinstance(item, Request):
                    watermark = max(watermark, item.mark if isinstance(item, HandOver) else item.handover.lead_mark)
                    self._fire(watermark, records)
                created += self._move(item, watermark, records, absorbed)
                next_due_at = timers.next_at
                continue
            if item.mark > watermark:
                watermark = item.mark
                if watermark >= next_due_at:
                    self._fire(watermark, records)
                    next_due_at = timers.next_at
            key = item.profile_id
            if ((gone and key in gone) or (queues and key in queues) or (erased and key in erased)) and self._detour(
                item, watermark, forwarded
            ):
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
                self._timers.schedule(key, state)
                next_due_at = min(next_due_at, state.due_at)
        self._watermark = watermark
        self._conclude(batch.marker, records)
        return self._told(batch, records, absorbed, created, forwarded)

    def _conclude(self, marker: Marker | None, records: list[Output]) -> None:
        """Do what comes after the items of a batch."""
        if marker is not None:
            self._advance(marker, records)
            if self._queues or self._leaving or self._splits:
                self._work_off(records)
        self.states.pack_touched()
        if marker is not None:
            self.states.tidy()

    def _work_off(self, records: list[Output]) -> None:
        """Do nothing: no visitor waits for another one."""

    def _told(
        self, batch: GroupBatch, records: list[Output], absorbed: list[Absorb], created: int, forwarded: list[Event]
    ) -> GroupOutput:
        awake, self._awake = len(self.states.due) - self._awake, len(self.states.due)
        held, self._held_told = self._held - self._held_told, self._held
        output = GroupOutput(batch, records, absorbed, created, awake, held, forwarded)
        waits = len(self._queues)
        output.waiting, self._waits_told = waits - self._waits_told, waits
        output.erased = self._away.told()
        return output

    def snapshot(self) -> bytes:
        """Checkpoint what has changed; what is returned names and measures the changelog."""
        if not self._is_of_leads and self._purges is not None and self._purges.take(self.number):
            self.states.is_purge = True
        generation, length = self.states.checkpoint()
        now = self._watermark, self._top_at, self._swept_at
        leaving = [handover_row(handover) for handover in [*self._splits, *self._leaving.values()]]
        queues = {key: waiting.rows_of(queue) for key, queue in self._queues.items()}
        told = GroupSnapshot(self.number, generation, length, *now, self._away.gone, leaving, queues, self._away.erased)
        return write_snapshot(told)

    def _detour(self, event: Event, watermark: int, forwarded: list[Event]) -> bool:
        """Have an event follow whoever is not here any more, or wait for a lead's state; False where it need not."""
        if self._away.takes(event, forwarded):
            return True
        queue = self._queues.get(event.profile_id)
        if queue is not None:
            queue.append((watermark, event))
        return queue is not None

    def _move(
        self,
        item: HandOver | Await | Absorb | Request,
        watermark: int,  # noqa: ARG002 -- leads who wait ask for it
        records: list[Output],
        absorbed: list[Absorb],
    ) -> int:
        """Let a state go, or take one in; return how many visitors that shows for the first time."""
        if isinstance(item, Request):
            self._perform(item, records)
            return 0
        assert isinstance(item, HandOver), "what comes for leads comes to a group of leads"
        return self._hand_over(item, records, absorbed)

    def _perform(self, request: Request, records: list[Output]) -> None:
        if request.what == "erase":
            self._erase(request, records)
        else:
            self._show(request, records)

    def _hand_over(self, item: HandOver, records: list[Output], absorbed: list[Absorb]) -> int:
        """Let a visitor's state go; return how many visitors that shows for the first time."""
        key = item.profile_id
        state = self.states.load(key)
        is_known = state is not None
        state = self._let_go(item, state, records)
        self._away.hand_over(item)
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
            self._timers.cancel(key)
            self._held -= 1
        return state

    def _erase(self, request: Request, records: list[Output]) -> None:
        """Forget a profile, whatever is under way for it; a visitor who has come back since stays."""
        key, states = request.profile_id, self.states
        self._away.erase(request)
        state = states.load(key)
        if state is not None and not self._is_of_leads and state.first_at > request.at:
            states.put(key, state)
            records += answering.tombstones(request, None)
            return
        if state is not None:
            self._held -= 1
        states.put(key, None)
        self._timers.cancel(key)
        states.is_purge = True
        self._queues.pop(key, None)
        self._leaving.pop(key, None)
        records += answering.tombstones(request, state)
        if state is not None and self._purges is not None:
            self._purges.add(state.anonymous_ids)

    def _show(self, request: Request, records: list[Output]) -> None:
        state = self.states.load(request.profile_id)
        if state is not None:
            self.states.put(request.profile_id, state)
        records.append(answering.shown(request, state))

    def _advance(self, marker: Marker, records: list[Output]) -> None:
        """Take in a marker; fire what is due, sweep what is over."""
        self._top_at = max(self._top_at, marker.top_at)
        self._away.reached(marker.clock)
        watermark = marker.watermark
        if watermark > self._watermark:
            # The end of the input is the end of time for timers, but not a mark to keep: the input may grow.
            self._fire(watermark, records)
            if watermark < FOREVER:
                self._watermark = watermark
        self._sweep(min(watermark, self._top_at), records)
        self._clock = marker.clock

    def _fire(self, watermark: int, records: list[Output]) -> None:
        leaving, queues = self._leaving, self._queues
        self._fired_to = watermark
        while (key := self._timers.pop(watermark)) is not None:
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
                self._timers.schedule(key, state)

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
        self._timers.cancel(key)
        self._held -= 1

    def _resume(self, snapshot: bytes) -> None:
        told, states = read_snapshot(snapshot), self.states
        states.resume(told.generation, told.length)
        self._held = len(states.rest)
        self._timers.resume()
        self._watermark, self._top_at, self._swept_at = told.watermark, told.top_at, told.swept_at
        self._away.gone, self._away.erased = told.gone, told.erased
        leaving = [handover_of(row) for row in told.leaving]
        self._splits = [handover for handover in leaving if handover.part]
        self._leaving = {handover.profile_id: handover for handover in leaving if not handover.part}
        self._queues = {key: waiting.queue_of(rows) for key, rows in told.queues.items()}
