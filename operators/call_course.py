"""What follows from all that is known of a call: where it has come, how long that took, and why it ended.

**Answered** is a call when an agent and the customer talk. A queue or a menu that takes the customer's leg has answered
nobody: where there are agents' legs, the first of them that is answered counts. Of an outbound call the customer has
to answer too.

**Ended** is a call with the customer's legs, or with a record that says so of the whole call, or once all legs have
ended.

Sources: reference/contracts.md section 2 (states, reasons, transfers, what closes a call).
"""

from __future__ import annotations

from itertools import pairwise

from operators.call import Call
from operators.event import FOREVER
from operators.leg_track import Spans, Track
from operators.rules import CallRules


class Course:
    """What follows from all that is known of a call; instants are FOREVER where they have not come."""

    def __init__(self, call: Call, rules: CallRules) -> None:
        """Work it out."""
        legs = call.ordered()
        self.legs = legs
        self.direction = _told([leg.direction for leg in legs])
        self._customers = [leg for leg in legs if leg.party == "customer"]
        self._agents = [leg for leg in legs if leg.party == "agent"]
        self.customer = _told([leg.customer for leg in [*self._customers, *legs]])
        self.called = _told([leg.called for leg in [*self._customers, *legs]])
        # Some records say nothing of where a leg has come; that there was a call they say.
        began_at = min([leg.began_at for leg in legs], default=FOREVER)
        self.started_at = call.first_at if began_at == FOREVER else began_at
        self.answered_at = self._answered()
        end = self._ended()
        self.limit_at = self.started_at + rules.length_ms_max
        self.is_cut_off = end > self.limit_at
        self.ended_at = min(end, self.limit_at)
        self.closes_at = self.limit_at if self.is_cut_off else self.ended_at + rules.grace_ms

    def at(self, state: str) -> int:
        """Return the first instant of a state on any leg."""
        return min([leg.first.get(state, FOREVER) for leg in self.legs], default=FOREVER)

    def _answered(self) -> int:
        theirs = min([leg.first.get("answered", FOREVER) for leg in self._customers], default=FOREVER)
        ours = min([leg.first.get("answered", FOREVER) for leg in self._agents], default=FOREVER)
        if self.direction == "outbound" and self._customers:
            return theirs if ours == FOREVER or theirs == FOREVER else max(theirs, ours)
        if self._agents:
            return ours
        return self.at("answered")

    def _ended(self) -> int:
        told = [leg.ended_at for leg in self.legs if leg.ends_call and leg.ended_at < FOREVER]
        if told:
            return max(told)
        counted = self._customers or self.legs
        return max([leg.ended_at for leg in counted], default=FOREVER)

    @property
    def is_answered(self) -> bool:
        """Whether an agent and the customer have talked."""
        return self.answered_at < FOREVER and self.answered_at <= self.ended_at

    @property
    def is_surely_over(self) -> bool:
        """Whether the customer has left, or the system has said of the whole call that it is over."""
        is_known = bool(self._customers) or any(leg.ends_call for leg in self.legs)
        return is_known and not self.is_cut_off

    def agents(self) -> list[Track]:
        """Return the agents' legs that were answered, in that order."""
        found = [leg for leg in self._agents if leg.first.get("answered", FOREVER) < FOREVER]
        return sorted(found, key=_by_answer)

    def talk_spans(self) -> Spans:
        """Return when an agent and the customer were connected."""
        if not self.is_answered:
            return []
        spans: Spans = []
        for leg in self.agents():
            begin = max(leg.first["answered"], self.answered_at)
            spans.append((begin, max(begin, min(leg.ended_at, self.ended_at))))
        return united(spans or [(self.answered_at, self.ended_at)])

    def hold_spans(self) -> Spans:
        """Return when anybody was on hold."""
        return united([span for leg in self.legs for span in leg.hold_spans(self.ended_at)])

    def transfers(self) -> list[tuple[int, str, str]]:
        """Return the transfers: those told of, or where none was, what the agents' legs show.

        The next agent after the last one has left: blind. Both for a while, then the new one alone: attended; both to
        the end: a conference.
        """
        told = sorted({hop for leg in self.legs for hop in leg.transfers})
        if told:
            return told
        found: list[tuple[int, str, str]] = []
        agents = self.agents()
        for before, after in pairwise(agents):
            begin, left = after.first["answered"], min(before.ended_at, self.ended_at)
            kind = (
                "blind" if left <= begin else "attended" if left < min(after.ended_at, self.ended_at) else "conference"
            )
            found.append((begin, kind, after.agent))
        return found

    def wait_ms(self) -> int:
        """Return how long the customer waited for an agent, or for nobody: from the queue on, if there was one."""
        end = self.answered_at if self.is_answered else self.ended_at
        queued_at = self.at("queued")
        if queued_at <= end:
            return end - queued_at
        told = max([leg.wait_ms for leg in self.legs], default=-1)
        return told if told >= 0 else max(0, end - self.started_at)

    def hold_ms(self) -> int:
        """Return how long the customer was on hold: as seen, or as told where that is more."""
        return max(length(self.hold_spans()), max([leg.hold_ms for leg in self.legs], default=0), 0)

    def talk_ms(self) -> int:
        """Return how long both talked, less what was on hold; as told where nothing of it was seen."""
        spans = self.talk_spans()
        seen = length(spans)
        if not seen:
            return max([leg.talk_ms for leg in self.legs], default=0) if self.is_answered else 0
        held = length(common(spans, self.hold_spans()))
        told = max([leg.hold_ms for leg in self.legs], default=0)
        return max(0, seen - max(held, told))

    def reason(self) -> str:
        """Return why it ended."""
        told = [leg.reason for leg in [*self._customers, *self.legs] if leg.reason]
        if "voicemail" in told:
            return "voicemail"
        if self.is_answered:
            return "completed"
        for reason in told:
            if reason in ("busy", "no_answer", "failed"):
                return reason if self.direction == "outbound" or not self._gave_up(told) else "abandoned"
        return "no_answer" if self.direction == "outbound" else "abandoned"

    def _gave_up(self, told: list[str]) -> bool:
        """Whether the customer hung up first, whatever became of the agents' legs."""
        return "abandoned" in told


def _by_answer(track: Track) -> tuple[int, str]:
    return track.first["answered"], track.leg_id


def _told(texts: list[str]) -> str:
    for text in texts:
        if text:
            return text
    return ""


def united(spans: Spans) -> Spans:
    """Return the union of spans as spans that do not touch."""
    found: Spans = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found


def common(some: Spans, others: Spans) -> Spans:
    """Return what lies in both; neither has spans that overlap."""
    return [(max(a[0], b[0]), min(a[1], b[1])) for a in some for b in others if max(a[0], b[0]) < min(a[1], b[1])]


def length(spans: Spans) -> int:
    """Return how long they are together."""
    return sum([end - begin for begin, end in spans])
