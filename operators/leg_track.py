"""What is known of one leg of a call: extremes and unions only, so that records may come in any order, and twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from mypy_extensions import mypyc_attr

from operators.event import FOREVER
from operators.leg import Leg

HOPS_MAX: Final = 100
"""Holds and transfers remembered of one leg."""

_TOGGLES: Final = ("held", "resumed")

Spans = list[tuple[int, int]]


@mypyc_attr(acyclic=True)
class Track:
    """What is known of one leg: extremes and unions only, so that records merge in any order."""

    call: str = ""
    direction: str = ""
    party: str = ""
    customer: str = ""
    called: str = ""
    agent: str = ""
    queue: str = ""
    ended_at: int = FOREVER
    wait_ms: int = -1
    talk_ms: int = -1
    hold_ms: int = -1
    ends_call: bool = False

    def __init__(self, leg_id: str) -> None:
        self.leg_id = leg_id
        self.first: dict[str, int] = {}
        """The first instant of each state but the last."""
        self.toggles: set[tuple[int, int, bool]] = set()
        """Sequence number, instant, and whether it was put on hold."""
        self.transfers: set[tuple[int, str, str]] = set()
        """Instant, kind and to whom."""
        self.reasons: set[tuple[int, str]] = set()
        """Why it ended, each with the sequence number of the record that said so."""

    @property
    def began_at(self) -> int:
        """The first that was heard of it, FOREVER for nothing."""
        return min(min(self.first.values(), default=FOREVER), self.ended_at)

    def take(self, leg: Leg, at: int) -> None:
        """Take in one record's word, of the instant `at`."""
        self.call = either(self.call, leg.calls[0] if leg.calls else leg.leg_id)
        self.direction = either(self.direction, leg.direction)
        self.party = either(self.party, leg.party)
        self.customer, self.called = either(self.customer, leg.customer), either(self.called, leg.called)
        self.agent, self.queue = either(self.agent, leg.agent), either(self.queue, leg.queue)
        self.wait_ms, self.talk_ms = max(self.wait_ms, leg.wait_ms), max(self.talk_ms, leg.talk_ms)
        self.hold_ms = max(self.hold_ms, leg.hold_ms)
        self.ends_call = self.ends_call or leg.ends_call
        if leg.reason:
            self.reasons.add((leg.seq, leg.reason))
        for state, instant in leg.steps:
            if state == "ended":
                self.ended_at = min(self.ended_at, instant)
            elif state in _TOGGLES:
                if len(self.toggles) < HOPS_MAX:
                    self.toggles.add((leg.seq, instant, state == "held"))
            elif state == "transferring":
                self.hop(instant, leg.transfer_kind, leg.transfer_to)
            else:
                self.first[state] = min(instant, self.first.get(state, instant))
        if leg.transfer_kind and not any(state == "transferring" for state, _ in leg.steps):
            self.hop(at, leg.transfer_kind, leg.transfer_to)

    def hop(self, at: int, kind: str, to: str) -> None:
        """Note a transfer."""
        if len(self.transfers) < HOPS_MAX:
            self.transfers.add((at, kind, to))

    def merge(self, other: Track) -> None:
        """Take in what is known of the same leg elsewhere."""
        self.call = either(self.call, other.call)
        self.direction = either(self.direction, other.direction)
        self.party = either(self.party, other.party)
        self.customer, self.called = either(self.customer, other.customer), either(self.called, other.called)
        self.agent, self.queue = either(self.agent, other.agent), either(self.queue, other.queue)
        self.wait_ms, self.talk_ms = max(self.wait_ms, other.wait_ms), max(self.talk_ms, other.talk_ms)
        self.hold_ms = max(self.hold_ms, other.hold_ms)
        self.ends_call = self.ends_call or other.ends_call
        self.reasons |= other.reasons
        self.ended_at = min(self.ended_at, other.ended_at)
        for state, at in other.first.items():
            self.first[state] = min(at, self.first.get(state, at))
        self.toggles |= other.toggles
        self.transfers |= other.transfers

    @property
    def reason(self) -> str:
        """Why it ended, by the last record that said so; who left word on a machine did so, whatever is said later."""
        said = [reason for _, reason in self.reasons]
        return "voicemail" if "voicemail" in said else max(self.reasons, default=(0, ""))[1]

    def holds(self) -> Iterable[tuple[int, bool]]:
        """Give what its hold was changed to, in order: by number where the system numbers its records, else by time.

        Some say with every record whether a leg is on hold; what says nothing new is left out.
        """
        numbered = all(seq >= 0 for seq, _, _ in self.toggles)
        order = sorted(self.toggles) if numbered else sorted(self.toggles, key=_by_time)
        found: list[tuple[int, bool]] = []
        was_held = False
        for _, at, is_held in order:
            if is_held != was_held:
                found.append((at, is_held))
                was_held = is_held
        return found

    def hold_spans(self, end: int) -> Spans:
        """Return when it was on hold, up to its end or the call's."""
        end = min(end, self.ended_at)
        spans: Spans = []
        since = -1
        for at, is_held in self.holds():
            if is_held and since < 0:
                since = at
            elif not is_held and since >= 0:
                spans.append((since, max(since, min(at, end))))
                since = -1
        if since >= 0:
            spans.append((since, max(since, end)))
        return spans

    def pack(self) -> list[Any]:
        """Return the track as a row."""
        return [
            self.leg_id,
            self.first,
            sorted(self.toggles),
            sorted(self.transfers),
            self.direction,
            self.party,
            self.customer,
            self.called,
            self.agent,
            self.queue,
            self.ended_at,
            sorted(self.reasons),
            self.wait_ms,
            self.talk_ms,
            self.hold_ms,
            self.ends_call,
            self.call,
        ]


def either(told: str, new: str) -> str:
    """Return one of two texts, the same whichever comes first: the shorter one that says anything."""
    if not told or not new:
        return told or new
    return min(told, new, key=_length)


def _length(text: str) -> tuple[int, str]:
    return len(text), text


def _by_time(toggle: tuple[int, int, bool]) -> tuple[int, int, bool]:
    return toggle[1], toggle[0], toggle[2]


def unpack(row: Sequence[Any]) -> Track:
    """Make a track of the row that its `pack` gave."""
    track = Track(row[0])
    for state in row[1]:
        track.first[state] = row[1][state]
    for toggle in row[2]:
        track.toggles.add((toggle[0], toggle[1], bool(toggle[2])))
    for hop in row[3]:
        track.transfers.add((hop[0], hop[1], hop[2]))
    track.direction, track.party, track.customer, track.called, track.agent, track.queue = row[4:10]
    track.ended_at = row[10]
    for reason in row[11]:
        track.reasons.add((reason[0], reason[1]))
    track.wait_ms, track.talk_ms, track.hold_ms, track.ends_call, track.call = row[12:17]
    return track
