"""Resolving: each batch's duplicates, watermark and profiles, and its share for each key group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec

from connectors.batches import RawBatch
from connectors.changelog import ENTRY_OVERHEAD, Changelog
from connectors.journal import Journal
from operators.duplicates import Duplicates, Place
from operators.erasure import ERASED, erased_at
from operators.event import FOREVER, Event
from operators.identity import is_erased, settled
from operators.planning import Plan, learn, plan
from operators.profile_state import HandOver
from operators.request import Request
from operators.rules import DuplicateRules, IdentityRules
from pipeline.deal import Dealer
from pipeline.desk import Desk
from pipeline.messages import Await, Decoded, Marker, Parcel, Resolved
from pipeline.ports import IdentityStore
from pipeline.resolver_snapshot import IDS, ResolverSnapshot, ids_key, ids_of, place_of, read_snapshot, write_snapshot
from pipeline.tally import REPEATED, Tally, source_of
from pipeline.watermark import Watermark

# Devices that are remembered with where their events go: a limit on memory.
MEMBERS_MAX: Final = 300_000


class Member:
    """Where the events of an anonymous id go."""

    def __init__(self, profile_id: str, place: int, *, is_lead: bool) -> None:
        self.profile_id = profile_id
        self.place = place
        self.is_lead = is_lead


class Resolver:
    """Drops duplicates, sets marks, asks who each event belongs to, and deals events out to key groups."""

    def __init__(  # noqa: PLR0913, PLR0917 -- all that it needs is brought here
        self,
        time: Watermark,
        duplicates: DuplicateRules,
        rules_of: Callable[[str], IdentityRules],
        dealer: Dealer,
        changelog: Changelog | None,
        tally: Tally,
        store: IdentityStore,
        resume: bytes | None,
        journal: Journal | None = None,
    ) -> None:
        """Start with what `store` knows, or from the checkpoint `resume`; note in the `journal` what is taken in.

        `rules_of` says by which rules events of a partition are who they are.
        """
        self._time, self._dealer, self._rules_of = time, dealer, rules_of
        self._changelog, self.tally = changelog, tally
        self.is_kept = changelog is not None
        """Whether anything outlives the process."""
        self._store = store
        self._duplicates = Duplicates(duplicates)
        self._drops_duplicates = duplicates.enabled
        # Nearly every event comes from a device that is known; this saves it all other look-ups. It holds for a
        # store in which nobody else links, else for one batch.
        self._members: dict[str, Member] = {}
        self._live_bytes = 0
        self._logged: dict[Place, dict[str, int]] = {}
        self._journal = journal
        self._life = uuid4().hex if journal is None else ""
        self._taken = self._clock = 0
        self._last: dict[str, tuple[int, int]] = {}
        self._desk = Desk(store, dealer, self._life)
        self._is_purge = False
        if changelog is not None:
            if resume is None:
                changelog.start()
            else:
                self._resume(changelog, resume)

    def take(self, decoded: Decoded) -> Resolved:
        """Work through one batch."""
        raw, time = decoded.raw, self._time
        records: list[Any] = list(decoded.rejected)
        self._dealer.begin()
        self._taken += 1
        if raw.read_at is not None:
            time.live(raw.read_at, is_first=raw.is_first)
        known = self._asked(raw, decoded)
        as_of = self._clock
        for request in decoded.requests:
            self._perform(request, source_of(raw.partition), as_of, records)
            as_of = max(as_of, self._store.linked_at)  # the next one sees what this one has done
        if raw.is_sent:
            self._receive(decoded.parcels)
            time.received(raw.partition, raw.first_position + len(raw.raws))
        else:
            self._read(raw, decoded.events, known, records)
        here = elsewhere = None
        if raw.is_marked:
            here = Marker(time.reached, time.leads_reached, time.top_at, time.clock, time.leads_clock)
            self.tally.leads_reached = time.leads_reached
            through = min(self._clock, time.clock)
            elsewhere = Marker(time.own_reached, time.through, time.top_at, self._clock, through)
            time.marked()
        return Resolved(self._dealer.deal(here, elsewhere, self._taken), records)

    def _perform(self, request: Request, source: str, as_of: int, records: list[Any]) -> None:
        if not self._duplicates.of(source).is_new(request.request_id, request.at):
            self.tally.answers[request.what, REPEATED] += 1
            return
        records += self._desk.perform(request, as_of)
        self._members.clear()
        self._is_purge = self._is_purge or request.what == "erase"

    def _asked(self, raw: RawBatch, decoded: Decoded) -> dict[str, str]:
        """Ask the store, once a batch, and note what a run that goes on must find again.

        Other shards are told how far the store's clock had come, also by one that has nothing to ask. Requests are
        about what is known now, which may be more than events were last asked for.
        """
        store, events = self._store, decoded.events
        if not store.is_private:
            self._members.clear()
        known = store.look_up(events, raw.as_of)
        if raw.as_of is not None:
            self._clock = raw.as_of
            return known
        self._clock = store.clock
        if decoded.requests or (self._journal is not None and raw.is_marked and not events):
            self._clock = store.read_clock()
        if self._journal is not None:
            self._journal.note(raw, self._clock)
        return known

    def _read(self, raw: RawBatch, events: list[Event], known: dict[str, str], records: list[Any]) -> None:
        """Deal out a batch of the source."""
        partition = raw.partition
        visitors, leads, time = self._dealer.visitors, self._dealer.leads, self._time
        seen = self._duplicates.of(source_of(partition))
        top, mark = time.tops.get(partition, -1), time.marks.get(partition, -1)
        lateness_ms, drops = time.lateness_ms + 1, self._drops_duplicates
        copies = late = sum_at = 0
        stream_top = top if raw.complete_before is None else FOREVER
        if raw.complete_before is not None:
            mark = max(mark, raw.complete_before)
        others, leads_limit = time.others(partition), time.leads_limit
        reached = time.at(mark, others)
        rules, erased_to = self._rules_of(partition), int(known.get(ERASED, -1))
        for event in events:
            at = event.at
            event.mark = reached
            if at > top and not event.is_clamped and not event.is_moment:
                top = at
                if at > stream_top and at - lateness_ms > mark:
                    mark = at - lateness_ms
                    reached = time.at(mark, others)
            if drops and not seen.is_new(event.event_id, at):
                copies += 1
                continue
            if at <= erased_to and is_erased(event, known):
                self.tally.erased += 1
                continue
            sum_at += at
            late += at <= mark and not event.is_moment
            if event.leg is not None:
                continue  # `calls` has made of it what there is to be known of anybody
            if event.user_id or event.email or event.phone or event.also:
                found = self._identify(event, known, rules, leads_limit, records)
                if ERASED in known:
                    erased_to = int(known[ERASED])
                if found is None:
                    continue
                is_lead, place = found, self._dealer.place_of(event.profile_id)
            else:
                member = self._members.get(event.anonymous_id) or self._recognise(event.anonymous_id, known)
                event.profile_id = member.profile_id
                is_lead, place = member.is_lead, member.place
            if is_lead:
                event.mark = min(event.mark, leads_limit)
                leads[place].append(event)
            else:
                visitors[place].append(event)
        time.advance(raw, mark, top)
        self._count(raw, len(events) - copies, copies, late, sum_at)

    def _receive(self, parcels: Sequence[Parcel]) -> None:
        """Deal out what other shards have sent: it is resolved already.

        What a marker says to leads holds behind the batch only: the states of visitors come to them in the order of the
        key groups that let them go, so one that was sent before the marker may come behind one that was sent after it.
        """
        dealer, time = self._dealer, self._time
        leads_reached = time.leads_reached
        for parcel in parcels:
            way, place = parcel.way, (parcel.number, parcel.part)
            if place <= self._last.get(way, (-1, -1)):
                self.tally.repeated += len(parcel.items)
                continue
            self._last[way] = place
            is_first = parcel.step == "visitors"
            by_place, mark = (dealer.visitors, time.reached) if is_first else (dealer.leads, leads_reached)
            for item in parcel.items:
                if isinstance(item, Event):
                    item.mark = mark
                    whose = item.profile_id
                elif isinstance(item, Request):
                    whose = item.profile_id
                else:
                    handover = item if isinstance(item, HandOver) else item.handover
                    handover.mark, handover.lead_mark = mark, leads_reached
                    whose = handover.profile_id if isinstance(item, HandOver) else handover.to
                by_place[dealer.place_of(whose)].append(item)
            if parcel.marker is not None:
                time.hear(parcel.sender, parcel.slot, parcel.marker, is_first=is_first)

    def _count(self, raw: RawBatch, new: int, copies: int, late: int, sum_at: int) -> None:
        """Tell the tally of a batch; `sum_at` adds up the times of its `new` events."""
        partition = raw.partition
        top, source = self._time.tops[partition], self.tally.source(partition)
        source.duplicates += copies
        source.late += late
        if raw.read_at is not None:
            source.aged += new
            source.age_ms += max(0, raw.read_at * new - sum_at)
        self.tally.top_at = max(self.tally.top_at, top)
        source.tops[partition] = top
        source.marks[partition] = FOREVER if raw.complete == FOREVER else self._time.marks[partition]

    def _recognise(self, anonymous_id: str, known: dict[str, str]) -> Member:
        """Find the profile of events with no more than this anonymous id."""
        lead = known.get("a:" + anonymous_id)
        profile_id = anonymous_id if lead is None else lead
        if len(self._members) >= MEMBERS_MAX:
            self._members.clear()
        if lead is None and ERASED in known:
            self._forget_first("a:" + anonymous_id, profile_id, known)
        place = self._dealer.place_of(profile_id)
        member = self._members[anonymous_id] = Member(profile_id, place, is_lead=lead is not None)
        return member

    def _identify(
        self, event: Event, known: dict[str, str], rules: IdentityRules, leads_limit: int, records: list[Any]
    ) -> bool | None:
        """Find the profile of an event with more than an anonymous id, and link; whether it is a lead, None: erased."""
        lead = settled(event, known)
        if lead is not None:
            event.profile_id = lead
            return True
        found = self._linked(event, known, rules)
        if found is None:
            return None
        event.profile_id = found.profile_id
        if not found.is_lead and ERASED in known:
            self._forget_first("p:" + event.phone, found.profile_id, known)
        for order, (profile_id, visitor_id) in enumerate(found.handed_over):
            if ERASED in known:
                self._forget_first(("a:" if profile_id == visitor_id else "p:") + visitor_id, profile_id, known)
            handover = HandOver(
                profile_id,
                visitor_id,
                found.profile_id,
                event.at,
                event.event_id,
                order,
                self._store.linked_at,
                event.mark,
                min(event.mark, leads_limit),
            )
            self._dealer.visitors[self._dealer.place_of(profile_id)].append(handover)
        if found.merged:
            self._merge(event, found, min(event.mark, leads_limit))
        records += found.records
        return found.is_lead

    def _linked(self, event: Event, known: dict[str, str], rules: IdentityRules) -> Plan | None:
        """Plan what an event means, and store its links; None where somebody was erased meanwhile whom it names."""
        found = plan(event, known, rules)
        while found.links:
            changed = self._store.link(found.links, event, known)
            if not changed:
                if not self._store.is_private:
                    learn(known, found)
                for name in found.links:
                    if name[0] == "a":
                        self._members.pop(name[2:], None)
                break
            for name, owner in changed.items():  # another process was faster: plan on what it has made of them
                if owner:
                    known[name] = owner
                else:
                    known.pop(name, None)
            if is_erased(event, known):
                self.tally.erased += 1
                return None
            found = plan(event, known, rules)
        return found

    def _forget_first(self, name: str, visitor: str, known: dict[str, str]) -> None:
        """Have a visitor's group forget who was erased before it takes what comes after that.

        Where another process was requested to, its word may come later than ours.
        """
        at = erased_at(name, known)
        if at >= 0 and not self._store.is_private:
            request = Request("erase", "", at, [], profile_id=visitor, clock=self._clock)
            self._dealer.visitors[self._dealer.place_of(visitor)].append(request)

    def _merge(self, event: Event, found: Plan, mark: int) -> None:
        """Have leads who have become another one hand their states over, and that one wait for them."""
        dealer, clock, lead = self._dealer, self._store.linked_at, found.profile_id
        for order, loser in enumerate(found.merged, len(found.handed_over)):
            handover = HandOver(loser, "", lead, event.at, event.event_id, order, clock, mark, mark, self._life)
            dealer.leads[dealer.place_of(loser)].append(handover)
            dealer.leads[dealer.place_of(lead)].append(Await(handover))
        self._members.clear()

    def snapshot(self) -> bytes:
        """Checkpoint new links and ids."""
        entries = [(name, 0, lead.encode()) for name, lead in self._store.changes()]
        self._live_bytes += sum(len(name) + len(raw) + ENTRY_OVERHEAD for name, _, raw in entries)
        entries += self._forget()
        for source, seen in self._duplicates.sources.items():
            for span, ids in seen.fresh.items():
                if ids:
                    entries.append(self._log_ids((source, span), ids))
                    ids.clear()
        generation = length = 0
        if self._changelog is not None:
            if entries:
                self._changelog.append(entries)
            self._changelog.compact(self._live(), self._live_bytes, is_purge=self._is_purge)
            self._is_purge = False
            generation, length = self._changelog.checkpoint()
        if self._journal is not None:
            self._journal.checkpoint(self._taken)
        time = self._time
        return write_snapshot(
            ResolverSnapshot(generation, length, time.marks, time.tops, self._taken, self._last, time.heard)
        )

    def _log_ids(self, place: Place, ids: list[str]) -> tuple[str, int, bytes]:
        """Return the entry that adds `ids` to a source's generation of those in the changelog."""
        sizes = self._logged.setdefault(place, {})
        key, raw = ids_key(place, len(sizes)), msgspec.msgpack.encode(ids)
        sizes[key] = len(key) + len(raw) + ENTRY_OVERHEAD
        self._live_bytes += sizes[key]
        return key, 0, raw

    def _forget(self) -> list[tuple[str, int, bytes]]:
        """Drop the ids that are no longer asked for; return the entries that say so."""
        watermark = min(self._time.marks.values(), default=-1)
        gone: dict[str, int] = {}
        for place in self._duplicates.forget(watermark):
            gone |= self._logged.pop(place, {})
        self._live_bytes -= sum(gone.values())
        self.tally.forgotten_early = self._duplicates.forgotten_early
        return [(key, 0, b"") for key in gone]

    def _live(self) -> Iterable[tuple[str, int, bytes]]:
        """Give all that is live, for a rewrite; ids come together, an entry a source and generation."""
        for name, lead in self._store.live():
            yield name, 0, lead.encode()
        for source, seen in self._duplicates.sources.items():
            for generation, ids in seen.generations.items():
                self._live_bytes -= sum(self._logged.pop((source, generation), {}).values())
                yield self._log_ids((source, generation), list(ids))

    def _resume(self, changelog: Changelog, snapshot: bytes) -> None:
        told = read_snapshot(snapshot)
        self._time.resume(told.marks, told.tops, told.heard)
        self._taken, self._last = told.taken, told.last
        found: dict[str, bytes] = {}
        for block in changelog.load(told.generation, told.length):
            found.update((key, raw) for key, _, raw in block)
        for key, raw in found.items():
            if not raw:
                continue
            size = len(key) + len(raw) + ENTRY_OVERHEAD
            self._live_bytes += size
            if key.startswith(IDS):
                place = self._duplicates.restore(place_of(key), ids_of(raw))
                self._logged.setdefault(place, {})[key] = size
            else:
                self._store.restore(key, raw.decode())
