"""The steps of the flow: how batches are carried from one operator to the next. No rules here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from bytewax.operators import StatefulBatchLogic

from connectors.batches import RawBatch
from connectors.changelog import ENTRY_OVERHEAD, Changelog
from connectors.cloudevents import Encoder, Record
from connectors.formats import Format, decode_batch
from connectors.memory import MemoryIdentity
from operators.duplicates import DuplicateRules, Duplicates
from operators.event import FOREVER, Event
from operators.identity import plan, settled
from operators.ids import murmur2
from operators.profile_state import HandOver
from operators.rejected import Rejected
from pipeline.key_groups import GroupBatch, GroupOutput, Marker
from pipeline.telemetry import Tally

ONE: Final = "resolve"
"""The one key of the resolve step: the embedded identity store is one, in one process."""

# Groups of profile ids are remembered, since a hash costs as much as a decode; a million ids are 100 MB.
GROUPS_REMEMBERED: Final = 500_000


class Decoded(msgspec.Struct):
    """A raw batch with its records decoded."""

    raw: RawBatch
    events: list[Event]
    rejected: list[Rejected]


class Resolved(msgspec.Struct):
    """A batch with each event's profile known: its share for each key group, and records to publish."""

    groups: list[GroupBatch]
    records: list[Record]


def decode(format_: Format, tally: Tally) -> Callable[[RawBatch], tuple[str, Decoded]]:
    """Return the step that turns raw records into events, or rejects them; it never raises."""

    def step(raw: RawBatch) -> tuple[str, Decoded]:
        result = decode_batch(
            raw.raws,
            partition=raw.partition,
            first_position=raw.first_position,
            read_at=raw.read_at,
            format=format_,
        )
        tally.read += len(raw.raws)
        tally.decoded += len(result.events)
        tally.clamped += result.clamped
        return ONE, Decoded(raw, result.events, result.rejected)

    return step


class _Groups:
    """Which key group a profile id belongs to."""

    def __init__(self, key_groups: int) -> None:
        self.count = key_groups
        self.known: dict[str, int] = {}

    def of(self, profile_id: str) -> int:
        group = self.known.get(profile_id)
        if group is None:
            if len(self.known) >= GROUPS_REMEMBERED:
                self.known.clear()
            group = murmur2(profile_id.encode(errors="surrogatepass")) % self.count
            self.known[profile_id] = group
        return group


class TimeRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the watermark of a partition follows its events, in ms; see `config/settings.py`, source."""

    lateness_ms: int
    live_within_ms: int


class ResolveSnapshot(msgspec.Struct, array_like=True):
    """What the engine's own snapshot holds of the resolve step."""

    version: int
    generation: int
    length: int
    marks: dict[str, int]
    tops: dict[str, int]


class Resolve(StatefulBatchLogic[Decoded, Resolved, bytes]):
    """Drops duplicates, sets marks, asks who each event belongs to, and deals events out to key groups."""

    def __init__(
        self,
        time: TimeRules,
        duplicates: DuplicateRules,
        key_groups: int,
        changelog: Changelog | None,
        tally: Tally,
        resume: bytes | None,
    ) -> None:
        """Start knowing nothing, or from the checkpoint `resume`."""
        self._time, self._changelog, self._tally = time, changelog, tally
        self._store = MemoryIdentity()
        self._duplicates = Duplicates(duplicates)
        self._drops_duplicates = duplicates.enabled
        self._groups = _Groups(key_groups)
        self._marks: dict[str, int] = {}
        self._tops: dict[str, int] = {}
        self._batch = 0
        self._live_bytes = 0
        self._logged: dict[int, dict[str, int]] = {}
        if changelog is not None:
            if resume is None:
                changelog.start()
            else:
                self._resume(changelog, msgspec.msgpack.decode(resume, type=ResolveSnapshot))

    def on_batch(self, values: list[Decoded]) -> tuple[Iterable[Resolved], bool]:
        """Work through the batches (bytewax calls this)."""
        return [self._take(decoded) for decoded in values], StatefulBatchLogic.RETAIN

    def _take(self, decoded: Decoded) -> Resolved:
        raw, events = decoded.raw, decoded.events
        partition = raw.partition
        records: list[Record] = list(decoded.rejected)
        visitors: list[list[Any]] = [[] for _ in range(self._groups.count)]
        leads: list[list[Any]] = [[] for _ in range(self._groups.count)]
        known = self._store.look_up(events)
        is_new, lead_of = self._duplicates.is_new, known.get
        groups, group_of = self._groups.known, self._groups.of
        top, mark = self._tops.get(partition, -1), self._marks.get(partition, -1)
        lateness_ms, drops = self._time.lateness_ms + 1, self._drops_duplicates
        stream_top = top if raw.complete_before is None else FOREVER
        if raw.complete_before is not None:
            mark = max(mark, raw.complete_before)
        for event in events:
            at = event.at
            event.mark = mark
            if at > top and not event.is_clamped:
                top = at
                if at > stream_top and at - lateness_ms > mark:
                    mark = at - lateness_ms
            if drops and not is_new(event.event_id, at):
                self._tally.duplicates += 1
                continue
            if event.user_id or event.email or event.phone:
                shares = leads if self._identify(event, known, visitors, records) else visitors
                profile_id = event.profile_id
            else:
                profile_id = event.anonymous_id
                lead = lead_of("a:" + profile_id)
                if lead is None:
                    shares = visitors
                else:
                    shares, profile_id = leads, lead
                event.profile_id = profile_id
            group = groups.get(profile_id)
            if group is None:
                group = group_of(profile_id)
            shares[group].append(event)
        self._tops[partition], self._tally.top_at = top, max(self._tally.top_at, top)
        mark = self._marks[partition] = self._mark_after(raw, mark, top)
        markers: tuple[Marker, ...] = ()
        if raw.is_marked:
            markers = (Marker(partition, FOREVER if raw.complete == FOREVER else mark, top),)
        batch = self._batch + 1
        shared = [
            GroupBatch(group, partition, batch, 0, items, passing, markers)
            for group, (items, passing) in enumerate(zip(visitors, leads, strict=True))
            if items or passing or markers
        ]
        if shared:
            self._batch = batch
        for share in shared:
            share.groups = len(shared)
        return Resolved(shared, records)

    def _identify(
        self,
        event: Event,
        known: Mapping[str, str],
        visitors: list[list[Any]],
        records: list[Record],
    ) -> bool:
        """Find the profile of an event with more than an anonymous id, and link; whether it is a lead."""
        lead = settled(event, known)
        if lead is not None:
            event.profile_id = lead
            return True
        found = plan(event, known)
        event.profile_id = found.profile_id
        if found.links:
            self._store.link(found.links)
        for order, (profile_id, visitor_id) in enumerate(found.handed_over):
            handover = HandOver(profile_id, visitor_id, found.profile_id, event.at, event.event_id, event.mark, order)
            visitors[self._groups.of(profile_id)].append(handover)
        records += found.records
        return found.is_lead

    def _mark_after(self, raw: RawBatch, mark: int, top: int) -> int:
        """Return the watermark of the batch's partition once the batch is done."""
        if raw.complete is not None:
            return mark if raw.complete == FOREVER else max(mark, raw.complete)
        if raw.idle_ms and raw.read_at is not None:
            # Silent and read to its end: time goes on. A pipe that paused amid old data is not at its
            # end, though; there time goes on from the latest event.
            is_live = top < 0 or raw.read_at - top <= self._time.live_within_ms
            now = raw.read_at if is_live else top + raw.idle_ms
            return max(mark, now - self._time.lateness_ms - 1)
        return mark

    def snapshot(self) -> bytes:
        """Checkpoint new links and ids (bytewax calls this at the end of an epoch)."""
        entries = [(name, 0, lead.encode()) for name, lead in self._store.changes()]
        self._live_bytes += sum(len(name) + len(raw) + ENTRY_OVERHEAD for name, _, raw in entries)
        entries += self._forget()
        for generation, ids in self._duplicates.fresh.items():
            if ids:
                entries.append(self._log_ids(generation, ids))
                ids.clear()
        generation = length = 0
        if self._changelog is not None:
            if entries:
                self._changelog.append(entries)
            generation, length = self._changelog.checkpoint(self._live(), self._live_bytes)
        snapshot = ResolveSnapshot(1, generation, length, self._marks, self._tops)
        return msgspec.msgpack.encode(snapshot)

    def _log_ids(self, generation: int, ids: list[str]) -> tuple[str, int, bytes]:
        """Return the entry that adds `ids` to a generation of those in the changelog."""
        sizes = self._logged.setdefault(generation, {})
        key, raw = f"#{generation}/{len(sizes)}", msgspec.msgpack.encode(ids)
        sizes[key] = len(key) + len(raw) + ENTRY_OVERHEAD
        self._live_bytes += sizes[key]
        return key, 0, raw

    def _forget(self) -> list[tuple[str, int, bytes]]:
        """Drop the ids that are no longer asked for; return the entries that say so."""
        watermark = min(self._marks.values(), default=-1)
        gone: dict[str, int] = {}
        for generation in self._duplicates.forget(watermark):
            gone |= self._logged.pop(generation, {})
        self._live_bytes -= sum(gone.values())
        return [(key, 0, b"") for key in gone]

    def _live(self) -> Iterable[tuple[str, int, bytes]]:
        """Give all that is live, for a rewrite; ids come together, an entry a generation."""
        for name, lead in self._store.live():
            yield name, 0, lead.encode()
        for generation, ids in self._duplicates.generations.items():
            self._live_bytes -= sum(self._logged.pop(generation, {}).values())
            yield self._log_ids(generation, list(ids))

    def _resume(self, changelog: Changelog, snapshot: ResolveSnapshot) -> None:
        found: dict[str, bytes] = {}
        for block in changelog.load(snapshot.generation, snapshot.length):
            found.update((key, raw) for key, _, raw in block)
        for key, raw in found.items():
            if not raw:
                continue
            size = len(key) + len(raw) + ENTRY_OVERHEAD
            self._live_bytes += size
            if key.startswith("#"):
                generation = int(key[1 : key.index("/")])
                self._logged.setdefault(generation, {})[key] = size
                self._duplicates.restore(generation, msgspec.msgpack.decode(raw, type=list[str]))
            else:
                self._store.restore(key, raw.decode())
        self._marks, self._tops = snapshot.marks, snapshot.tops


def deal(resolved: tuple[str, Resolved]) -> Iterable[tuple[str, GroupBatch]]:
    """Give each key group its share of a batch."""
    return [(str(share.group), share) for share in resolved[1].groups]


class Gather:
    """Brings together what the groups of the first half made of a batch, and deals it out to the second.

    A lead's group may hear of a batch's watermark only after every visitor whom that batch made known
    has arrived, from whatever group. So a batch is dealt on when all its shares are in, each hand-over
    just before the event that caused it, which is in the same batch. Batches go on in their order. All
    shares of a batch are in one epoch, so there is nothing to keep in a checkpoint.
    """

    def __init__(self, key_groups: int, tally: Tally) -> None:
        """Start with no batch under way."""
        self._groups = _Groups(key_groups)
        self._tally = tally
        self._waiting: dict[int, list[GroupOutput]] = {}
        self._next = 1

    def __call__(self, outputs: list[tuple[str, GroupOutput]]) -> list[tuple[str, GroupBatch]]:
        """Take in outputs; return the shares of the batches that they complete."""
        dealt: list[tuple[str, GroupBatch]] = []
        for _, output in outputs:
            self._tally.visitors += output.created
            self._waiting.setdefault(output.batch, []).append(output)
        while (parts := self._waiting.get(self._next)) and len(parts) == parts[0].groups:
            del self._waiting[self._next]
            self._next += 1
            dealt += self._deal(parts)
        return dealt

    def _deal(self, parts: list[GroupOutput]) -> list[tuple[str, GroupBatch]]:
        first = parts[0]
        parts.sort(key=lambda part: part.group)
        arriving: dict[str, list[Any]] = {}
        for part in parts:
            for absorb in part.absorbed:
                arriving.setdefault(absorb.handover.event_id, []).append(absorb)
        for absorbs in arriving.values():
            absorbs.sort(key=lambda absorb: absorb.handover.order)
        items = {part.group: part.passing for part in parts if part.passing}
        if arriving:
            for group, events in items.items():
                items[group] = [item for event in events for item in (*arriving.get(event.event_id, ()), event)]
        groups = range(self._groups.count) if first.markers else sorted(items)
        return [
            (
                str(group),
                GroupBatch(group, first.partition, first.batch, 0, items.get(group, []), [], first.markers),
            )
            for group in groups
        ]


def publish(
    encoder: Encoder, tally: Tally
) -> Callable[[Sequence[tuple[str, Resolved] | tuple[str, GroupOutput]]], list[tuple[str, bytes]]]:
    """Return the step that counts records and encodes them, by stream."""

    def step(outputs: Sequence[tuple[str, Resolved] | tuple[str, GroupOutput]]) -> list[tuple[str, bytes]]:
        records: list[Record] = []
        for _, output in outputs:
            records += output.records
            if isinstance(output, GroupOutput):
                tally.awake += output.awake
        for record in records:
            tally.record(record)
        return list(encoder.encode(records).items()) if records else []

    return step
