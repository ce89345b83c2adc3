"""What is told of a call, and when: each moment of it once, as an event of the customer, and in the end the whole.

A moment is told as soon as it is known whose it is: a call rings before anybody knows how it will end. It is an event
of its own instant, so what follows from it does not depend on when its record came. Moments of a call that closes
without anybody knowing its customer are those of a visitor who is known by this call alone.

A call closes a grace after its end, for systems tell of the end of one leg before the beginning of the next, and
records overtake each other; or when it has lasted for longer than any call does. It is remembered for a while after
that, and published again with the next revision where a late record says anything new.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import astuple

from operators.call import Call
from operators.call_course import Course
from operators.call_record import CallRecord
from operators.event import FOREVER, Event, Kind, rfc3339
from operators.ids import digest
from operators.properties import written
from operators.rules import CallRules

TOLD_MAX: Final = 200
"""Moments told of one call."""

Moment = tuple[Kind, str, int]
"""The kind of event that tells of it, what it is among those of its call, and when (ms)."""


class CallAssembler:
    """The rules at work on one call."""

    def __init__(self, rules: CallRules) -> None:
        """Keep `rules`; the assembler itself has no state."""
        self._rules = rules

    def tell(self, call: Call, cause: Event) -> list[Event]:
        """Return what is to be told of a call now that the record of `cause` has been taken in."""
        course = Course(call, self._rules)
        if not (course.customer or call.who):
            return []
        out = self._take_back(call, cause.at)
        return out if call.closed_at >= 0 else out + self._tell(call, course, _moments(course))

    def due_at(self, call: Call) -> int:
        """Return when the call is to be looked at next."""
        if call.changed:
            return Course(call, self._rules).closes_at
        return max(call.closed_at, call.top_at) + self._rules.memory_ms

    def fire(self, call: Call) -> tuple[list[Event], bool]:
        """Do what is due; return what is to be told, and whether the call is to be forgotten."""
        if not call.changed:
            return [], True
        call.changed = False
        course = Course(call, self._rules)
        out = self._take_back(call, course.closes_at)
        if call.closed_at < 0 and not call.who:  # else its moments are events already
            out += self._tell(call, course, [*_moments(course), ("call_ended", "ended", course.ended_at)])
        call.closed_at = course.closes_at
        record = self._record(call, course)
        row = [*astuple(record)]  # without its revision, which is given below
        if row != call.published:
            call.published = row
            call.revision += 1
            record.revision = call.revision
            out.append(self._closed(call, course, record))
        return out, False

    def _tell(self, call: Call, course: Course, moments: list[Moment]) -> list[Event]:
        out: list[Event] = []
        for kind, what, at in moments:
            if what in call.told or at == FOREVER or len(call.told) >= TOLD_MAX:
                continue
            self._name(call, course)
            call.told.add(what)
            out.append(_event(call, course, kind, at, digest("call", call.call_id, what)))
        return out

    def _name(self, call: Call, course: Course) -> None:
        """Call it what its first leg says that it is part of."""
        if not call.call_id:
            call.call_id = course.legs[0].call

    def _take_back(self, call: Call, at: int) -> list[Event]:
        """Say of calls that were told of that they are part of this one."""
        out: list[Event] = []
        course = Course(call, self._rules)
        for call_id, revision in call.merged:
            record = _merged(call_id, revision + 1, call, course)
            event = _event(call, course, "call_closed", at, digest("call", call_id, "merged"))
            event.call_id, event.call = call_id, record
            out.append(event)
        call.merged = []
        return out

    def _closed(self, call: Call, course: Course, record: CallRecord) -> Event:
        event_id = digest("call", call.call_id, "closed", call.revision)
        event = _event(call, course, "call_closed", course.closes_at, event_id)
        event.call = record
        return event

    def _record(self, call: Call, course: Course) -> CallRecord:
        self._name(call, course)
        answered_at = rfc3339(course.answered_at) if course.is_answered else ""
        queues = [leg.queue for leg in course.legs if leg.queue]
        queued = course.at("queued") < FOREVER
        reason = course.reason()
        return CallRecord(
            call_id=call.call_id,
            provider=call.provider,
            state="closed",
            direction=course.direction,
            customer_ref=digest("phone", course.customer) if course.customer else "",
            called="" if course.direction == "outbound" else course.called,
            started_at=rfc3339(course.started_at),
            answered_at=answered_at,
            ended_at=rfc3339(course.ended_at),
            duration_ms=course.ended_at - course.started_at,
            wait_ms=course.wait_ms(),
            talk_ms=course.talk_ms(),
            hold_ms=course.hold_ms(),
            holds=len(course.hold_spans()),
            legs=len([leg for leg in course.legs if leg.party != "system"]),
            agents=[*dict.fromkeys([leg.agent for leg in course.agents() if leg.agent])],
            queues=[*dict.fromkeys(queues)],
            transfers=[f"{kind} {to}".strip() for _, kind, to in course.transfers()],
            reason=reason,
            ended_by="limit" if course.is_cut_off else "system",
            abandoned_in_queue=reason == "abandoned" and (queued or bool(queues)),
            merged_into="",
            revision=0,
        )


def _moments(course: Course) -> list[Moment]:
    """Return what has happened in the call so far, as far as nothing can take it back."""
    begins = min([course.at(state) for state in ("offered", "ringing", "queued", "answered")])
    found: list[Moment] = [("call_ringing", "ringing", begins), ("call_queued", "queued", course.at("queued"))]
    if course.is_answered:
        found.append(("call_answered", "answered", course.answered_at))
    for leg in course.legs:
        for at, is_held in leg.holds():
            kind: Kind = "call_held" if is_held else "call_resumed"
            found.append((kind, f"{kind} {at}", at))
    for at, _, _ in course.transfers():
        found.append(("call_transferred", f"transferred {at}", at))
    if course.is_surely_over:
        found.append(("call_ended", "ended", course.ended_at))
    return found


def _event(call: Call, course: Course, kind: Kind, at: int, event_id: str) -> Event:
    """Make an event of the call's customer."""
    if call.who:
        visitor_id, anonymous_id, user_id, email, phone = call.who
    else:
        phone = course.customer
        user_id = email = ""
        anonymous_id = "" if phone else "call-" + digest(call.call_id)[:20]
        visitor_id = phone or anonymous_id
    event = Event(kind, at, event_id, "phone", visitor_id, anonymous_id, user_id, email, phone)
    event.call_id, event.partition, event.is_moment = call.call_id, call.source, True
    told: dict[str, Any] = {"direction": course.direction, "queue": _last([leg.queue for leg in course.legs])}
    told |= {"agent": _last([leg.agent for leg in course.agents()]), "called": course.called}
    event.properties = written({name: text for name, text in told.items() if text})
    return event


def _last(texts: list[str]) -> str:
    found = [text for text in texts if text]
    return found[-1] if found else ""


def _merged(call_id: str, revision: int, into: Call, course: Course) -> CallRecord:
    """Return the last revision of a call that is part of another one: it has nothing of its own any more."""
    instant = rfc3339(course.started_at)
    return CallRecord(
        call_id=call_id,
        provider=into.provider,
        state="merged",
        direction=course.direction,
        customer_ref="",
        called="",
        started_at=instant,
        answered_at="",
        ended_at=instant,
        duration_ms=0,
        wait_ms=0,
        talk_ms=0,
        hold_ms=0,
        holds=0,
        legs=0,
        agents=[],
        queues=[],
        transfers=[],
        reason="",
        ended_by="",
        abandoned_in_queue=False,
        merged_into=into.call_id,
        revision=revision,
    )
