"""The host of calls: all that this process hears of, their timers, and what a checkpoint keeps of them.

Records of a call's legs come with the numbers of agents as well as the customer's, so they are assembled before anybody
asks whose they are. What is told of a call is put among the events of the batch, just before the event that moved time
there or just behind the record that told of it, and takes the way of all events from then on. A record of a leg goes on
too, for its time counts.

Time here is that of all partitions which this process reads, from the beginning: any of them may tell of a call next.
All records of one call are to be in the partitions of one process; a topic that is set to a telephone format is read by
one (`connect.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from connectors.batches import RawBatch
from connectors.changelog import ENTRY_OVERHEAD, Changelog, Entry, check_version
from operators import call as calls
from operators.call import LEGS_MAX, Call
from operators.call_assembly import CallAssembler
from operators.event import FOREVER, Event
from operators.leg import Leg
from operators.rules import CallRules, TimeRules
from pipeline.messages import Decoded
from pipeline.tally import Tally
from pipeline.watermark import EMPTY, Watermark

VERSION: Final = 1

_STEP_OF: Final = {"call_ringing": "ringing", "call_answered": "answered", "call_ended": "ended"}
"""What other systems than telephones say of calls, as states of a leg."""

_Row: Final[Any] = tuple[int, int, int, dict[str, int], dict[str, int]]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


def read_snapshot(raw: bytes) -> tuple[int, int, dict[str, int], dict[str, int]]:
    """Read a snapshot: where the changelog ends (generation, length), marks and latest event times by partition.

    Raises:
        ChangelogError: a later version wrote it.
    """
    check_version(raw, VERSION)
    _, generation, length, marks, tops = msgspec.msgpack.decode(raw, type=_Row)
    return generation, length, marks, tops


def write_snapshot(generation: int, length: int, marks: dict[str, int], tops: dict[str, int]) -> bytes:
    """Return a snapshot: a row whose first number is its version."""
    return _encode([VERSION, generation, length, marks, tops])


class Calls:
    """Takes the records of legs out of batches, and puts what is to be told of calls in."""

    def __init__(
        self,
        rules: CallRules,
        time: TimeRules,
        changelog: Changelog | None,
        resume: bytes | None,
        partitions: Collection[str],
        tally: Tally,
    ) -> None:
        """Start with no calls, or with those of the snapshot `resume` that are of these `partitions`."""
        self._assembler = CallAssembler(rules)
        self._changelog, self._tally = changelog, tally
        self._calls: dict[str, Call] = {}
        self._key_of: dict[str, str] = {}
        """By each id that a call has, the key of the call."""
        self._timers: list[tuple[int, str]] = []
        self._awake_at: dict[str, int] = {}
        """When each call is to be looked at next, or sooner: its one valid entry among the timers."""
        self._touched: dict[str, None] = {}
        self._sizes: dict[str, int] = {}
        self._is_purge = False
        told = (0, 0, {}, {}) if resume is None else read_snapshot(resume)
        self._time = Watermark(partitions, time)
        self._time.resume(told[2], told[3])
        if changelog is None:
            return
        if resume is None:
            changelog.start()
        else:
            self._load(changelog.load(told[0], told[1]), partitions)

    def take(self, decoded: Decoded) -> Decoded:
        """Work through one batch."""
        raw = decoded.raw
        for request in decoded.requests:
            if request.what == "erase":
                self._erase(set(request.names))
        if raw.is_sent:
            return decoded
        decoded.events = self._through(raw, decoded.events)
        self._tally.calls = len(self._calls)
        return decoded

    def _through(self, raw: RawBatch, events: list[Event]) -> list[Event]:
        """Go through a batch as `Resolver` does: timers fire as soon as time has come so far, whatever the batches."""
        partition, time = raw.partition, self._time
        top, mark = time.tops.get(partition, -1), time.marks.get(partition, -1)
        stream_top = top if raw.complete_before is None else FOREVER
        if raw.complete_before is not None:
            mark = max(mark, raw.complete_before)
        others, lateness_ms = time.others(partition), time.lateness_ms + 1
        out: list[Event] = []
        for event in events:
            at = event.at
            if at > top and not event.is_clamped:
                top = at
                if at > stream_top and at - lateness_ms > mark:
                    mark = at - lateness_ms
                    out += _placed(self._fired(time.at(mark, others)), partition, event.position)
            out.append(event)
            if _is_of_call(event):
                self._note(event, out)
        time.advance(raw, mark, top)
        reached = time.own_reached
        if reached != EMPTY:
            out += _placed(self._fired(reached), partition, raw.first_position + max(0, len(raw.raws) - 1))
        return out

    def _note(self, event: Event, out: list[Event]) -> None:
        """Take in what an event says of a call."""
        leg = event.leg
        is_told = leg is None  # the event itself tells of its moment
        if leg is None:
            leg = Leg("", f"call:{event.call_id}", (event.call_id,), ((_STEP_OF[event.kind], event.at),))
            leg.party, leg.direction, leg.customer = "customer", "inbound", event.phone
        call, key = self._call_of(leg)
        if is_told:
            call.who = [event.visitor_id, event.anonymous_id, event.user_id, event.email, event.phone]
            call.call_id = call.call_id or event.call_id
        call.take(leg, event.at, event.partition)
        for name in call.ids:
            self._key_of[name] = key
        if not is_told:
            out += _placed(self._assembler.tell(call, event), event.partition, event.position)
        self._touched[key] = None
        self._wake(key, self._assembler.due_at(call))

    def _wake(self, key: str, due_at: int) -> None:
        if due_at < self._awake_at.get(key, FOREVER):
            self._awake_at[key] = due_at
            heappush(self._timers, (due_at, key))

    def _call_of(self, leg: Leg) -> tuple[Call, str]:
        """Find the call that a leg is part of, or begin one; calls that it joins become one."""
        keys: dict[str, None] = {}
        for name in (leg.leg_id, *leg.calls):
            key = self._key_of.get(name)
            if key is not None and (leg.leg_id in self._calls[key].legs or len(self._calls[key].legs) < LEGS_MAX):
                keys[key] = None
        if not keys:
            key = min((leg.leg_id, *leg.calls))
            if key in self._calls:  # it is full: this one begins anew
                key = leg.leg_id
            call = self._calls.get(key)
            if call is None:
                call = self._calls[key] = Call()
            return call, key
        first, *others = sorted(keys, key=self._age)
        call = self._calls[first]
        for key in others:
            other = self._calls[key]
            if len(call.legs) + len(other.legs) > LEGS_MAX:
                continue
            call.absorb(other)
            self._drop(key)
        return call, first

    def _age(self, key: str) -> tuple[int, str]:
        """Order calls by when they began; the oldest remains."""
        return min([track.began_at for track in self._calls[key].legs.values()], default=FOREVER), key

    def _fired(self, reached: int) -> list[Event]:
        """Do what is due by then, in the order of time; return what is to be told."""
        timers, out = self._timers, list[Event]()
        while timers and timers[0][0] <= reached:
            due_at, key = heappop(timers)
            if self._awake_at.get(key) != due_at:
                continue
            del self._awake_at[key]
            call = self._calls[key]
            if self._assembler.due_at(call) <= reached:
                told, is_over = self._assembler.fire(call)
                out += told
                self._touched[key] = None
                if is_over:
                    self._drop(key)
                    continue
            self._wake(key, self._assembler.due_at(call))
        return out

    def _drop(self, key: str) -> None:
        call = self._calls.pop(key)
        self._awake_at.pop(key, None)
        for name in call.ids:
            if self._key_of.get(name) == key:
                del self._key_of[name]
        self._touched[key] = None

    def _erase(self, names: set[str]) -> None:
        """Forget the calls of somebody who is to be erased, and what lies of them in the changelog."""
        for key, call in list(self._calls.items()):
            numbers = {f"p:{track.customer}" for track in call.legs.values() if track.customer}
            told = {f"{type_}:{text}" for type_, text in zip("aauep", call.who, strict=False) if text}
            if names & (numbers | told):
                self._drop(key)
                self._is_purge = True

    def snapshot(self) -> bytes:
        """Checkpoint the calls that have changed."""
        generation = length = 0
        if self._changelog is not None:
            entries = [self._entry(key) for key in self._touched]
            if entries:
                self._changelog.append(entries)
            live = (self._entry(key) for key in list(self._calls))
            self._changelog.compact(live, sum(self._sizes.values()), is_purge=self._is_purge)
            self._is_purge = False
            generation, length = self._changelog.checkpoint()
        self._touched.clear()
        return write_snapshot(generation, length, self._time.marks, self._time.tops)

    def _entry(self, key: str) -> Entry:
        call = self._calls.get(key)
        if call is None:
            self._sizes.pop(key, None)
            return key, 0, b""
        raw = _encode(call.pack())
        self._sizes[key] = len(key) + len(raw) + ENTRY_OVERHEAD
        return key, 0, raw

    def _load(self, blocks: Iterable[list[Entry]], partitions: Collection[str]) -> None:
        found: dict[str, bytes] = {}
        for block in blocks:
            found.update((key, raw) for key, _, raw in block)
        for key, call in _live(found):
            if call.source not in partitions:
                continue
            self._calls[key] = call
            self._sizes[key] = len(key) + len(found[key]) + ENTRY_OVERHEAD
            for name in call.ids:
                self._key_of[name] = key
            self._wake(key, self._assembler.due_at(call))


def _live(found: dict[str, bytes]) -> Iterator[tuple[str, Call]]:
    for key, raw in found.items():
        if raw:
            yield key, calls.unpack(_decode(raw))


def _placed(told: list[Event], partition: str, position: int) -> list[Event]:
    """Say of what is told where the record lies that caused it, or moved time there.

    By that a store that several processes share knows which links it may see (design section 5): the first event of a
    batch stands for all of it.
    """
    for event in told:
        event.partition, event.position = partition, position
    return told


def _is_of_call(event: Event) -> bool:
    return event.leg is not None or (bool(event.call_id) and event.kind in _STEP_OF)
