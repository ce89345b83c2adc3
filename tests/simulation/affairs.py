"""
What is known of requests at the end of a run: what was told of them, when all came, and what is left in the processes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from connectors.kafka_sink import header
from connectors.memory import MemoryIdentity
from operators.event import Event
from operators.identity import TYPES, identifiers
from operators.profile_state import Profile, pack, unpack
from pipeline.key_groups import KeyGroup
from pipeline.steps import LaneStep, ResolveStep
from tests.chaos.audit import events
from tests.chaos.evidence import ALIASES
from tests.chaos.rules import ms
from tests.simulation.broker import Heard, Record
from tests.simulation.requests import Case, Wishes
from tests.simulation.rules import AHEAD_S_MAX, RULES
from tests.simulation.world import World

APART: Final = re.compile(rb'"q\d+[.-]')
"""What names somebody of whom something is asked, or a request: as a value begins."""
SLACK_MS: Final = ms(AHEAD_S_MAX) + 100
"""How far a process's clock may be ahead, and some."""


class Told(NamedTuple):
    """A published record: its stream and id, what it says, its key, and when it was there (ms)."""

    stream: str
    id: str
    data: dict[str, Any]
    key: str
    came_at: int


def published(world: World) -> Iterator[tuple[str, str, Record]]:
    """Yield what was published: its stream, its id, and the record."""
    for (topic, number), records in world.broker.logs.items():
        if topic in (world.topic, world.internal, world.control):
            continue
        name = topic.removeprefix(world.settings.kafka.prefix).split(".")[0]
        for offset, one in enumerate(records):
            told: Any = Heard((topic, number), offset, one)
            yield ALIASES.get(name, name), header(told, "ce_id").decode(), one


def answered(world: World) -> set[str]:
    """Return which requests have an answer."""
    found = [record for stream, _, record in published(world) if stream == "answers"]
    return {msgspec.json.decode(record.value)["request_id"] for record in found}


def whose(world: World, wished: Wishes) -> Callable[[Record], bool]:
    """Return what tells whether a record is about somebody of whom something is asked."""
    if not wished.asked:
        return lambda _record: False
    leads = set()
    for stream, _, record in published(world):
        if stream == "identity" and APART.search(record.value):
            told = msgspec.json.decode(record.value)
            leads |= {told["profile_id"], told["other_profile_id"], *told["leads"]}

    def is_apart(record: Record) -> bool:
        return bool(APART.search(record.value)) or msgspec.json.decode(record.value).get("profile_id") in leads

    return is_apart


class Remains:
    """What there is at the end: states, by their profiles, what is due or waited for, and the store's names."""

    def __init__(self, world: World) -> None:
        self.states: dict[str, Profile] = {}
        self.awaited: set[str] = set()
        self.names: dict[str, str] = {}
        self.given: list[str] = []
        shared = world.around.store
        if shared is not None:
            self.names = {name: versions[0][0] for name, versions in shared.versions.items() if versions}
            self.given = list(shared.given)
        for process in world.processes:
            assert process.latest is not None, "nobody was started"
            for logic in process.latest.logics:
                self._add(logic)

    def _add(self, logic: object) -> None:
        if isinstance(logic, ResolveStep):
            store: Any = logic.resolver._store  # noqa: SLF001 -- what is left there
            if isinstance(store, MemoryIdentity):
                self.names |= dict(store.live())
        if isinstance(logic, LaneStep):
            for group in logic.groups.values():
                if isinstance(group, KeyGroup):
                    self._group(group)

    def _group(self, group: KeyGroup) -> None:
        states = group.states
        packed = {key: unpack(key, raw) for key, raw in states.rest.items()}
        mine: dict[str, Profile | None] = {**packed, **states.warm, **states.hot}
        self.states |= {key: state for key, state in mine.items() if state is not None}
        self.awaited |= states.due.keys() | group._queues.keys() | group._leaving.keys()  # noqa: SLF001 -- as above

    def of(self, name: str) -> dict[str, Profile]:
        """Return the states that mention somebody."""
        word = name.encode()
        return {key: state for key, state in self.states.items() if word in pack(key, state) or word in key.encode()}


class Affair:
    """A request about a household, and what is known of it."""

    def __init__(self, world: World, case: Case, told: list[Told]) -> None:
        self.case, self.asked = case, case.asked
        self.came_at = _first(world, world.control, {one.line for one in case.asked.records})
        self.at = min(self.asked.at, self.came_at) if self.asked.is_dated else self.came_at
        self.events = {event.event_id: event for event in events(one.line for one in case.log)}
        whose_line = {one.line: event for one, event in zip(case.log, events(s.line for s in case.log), strict=True)}
        arrived: dict[str, int] = {}
        for (topic, _), records in world.broker.logs.items():
            if topic == world.topic:
                for one in records:
                    event = whose_line.get(one.value)
                    if event is not None:
                        arrived[event.event_id] = min(one.came_at, arrived.get(event.event_id, one.came_at))
        self.arrived = arrived
        self.leads = {
            one.data["profile_id"]
            for one in told
            if one.stream == "identity" and one.data["event_id"].startswith(f"{case.name}-")
        }
        self.told = [one for one in told if self._is_mine(one)]
        self.answers = [one for one in told if one.stream == "answers" and one.data["request_id"] == self.asked.id]
        self.outcome = self.answers[0].data["outcome"] if self.answers else ""
        self.identity = [one for one in self.told if one.stream == "identity"]

    def _is_mine(self, one: Told) -> bool:
        name, data = self.case.name, one.data
        mine = [one.key, *(data.get(field, "") for field in ("visitor_id", "event_id", "request_id", "cart_id"))]
        mine += [*data.get("anonymous_ids", ()), data.get("cause", {}).get("event_id", "")]
        return data.get("profile_id") in self.leads or any(word.startswith((f"{name}.", f"{name}-")) for word in mine)

    @property
    def is_whole(self) -> bool:
        """
        Whether the request is about all of the household: it names all, or all was known to be one person's in time.
        """
        early = [event for event in self.events.values() if event.at <= self.at]
        return {name for event in early for name in identifiers(event)} <= set(self.asked.names) or self.is_known

    @property
    def is_known(self) -> bool:
        """Whether it was known in time that all of the household are one person, who is the one that was found."""
        early = [event for event in self.events.values() if event.at <= self.at]
        names = {name for event in early for name in identifiers(event)}
        known = [one.data for one in self.identity if one.came_at < self.came_at]
        linked = {(one["identifier_type"], one["event_id"]) for one in known if one["what"] == "linked"}
        linked_names = {
            name for event in early for name in identifiers(event) if (TYPES[name[0]], event.event_id) in linked
        }
        made = {one["profile_id"] for one in known if one["what"] == "created"}
        merged = {one["other_profile_id"] for one in known if one["what"] == "merged"}
        return names <= linked_names and made - merged == {one.data["profile_id"] for one in self.answers}

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """The last word on each visit that is over."""
        last: dict[str, dict[str, Any]] = {}
        for one in self.told:
            if one.stream == "sessions":
                other = last.get(one.data["session_id"], one.data)
                if one.data["revision"] >= other["revision"]:
                    last[one.data["session_id"]] = one.data
        return [one for one in last.values() if one["state"] == "closed"]

    def of(self, stream: str) -> list[dict[str, Any]]:
        """Return what was published in a stream."""
        unique = {one.id: one.data for one in self.told if one.stream == stream}
        return list(unique.values())


def _first(world: World, topic: str, lines: set[bytes]) -> int:
    """Return when the first of some lines came."""
    return min(
        one.came_at
        for (name, _), records in world.broker.logs.items()
        if name == topic
        for one in records
        if one.value in lines
    )


class Erasure:
    """An erasure that was done: what it took, by when it was surely done, and what may have come before that."""

    def __init__(self, affair: Affair, told: list[Told]) -> None:
        self.affair, self.at = affair, affair.at
        taken = {one.data["profile_id"]: None for one in affair.identity if one.data["what"] == "erased"}
        for one in affair.identity:
            if one.data["what"] == "erased":
                taken |= dict.fromkeys(one.data["leads"])
        for one in affair.identity:
            if one.data["what"] == "merged" and one.came_at < affair.came_at and one.data["profile_id"] in taken:
                taken[one.data["other_profile_id"]] = None
        self.leads = {lead for lead in taken if lead.startswith("lead-")}
        visitors = {name[2:] for name in affair.asked.names if name[0] == "a"}
        done: dict[str, int] = {}
        for one in told:
            if one.stream == "profiles" and not one.data:
                done[one.key] = min(one.came_at, done.get(one.key, one.came_at))
        self.missing = sorted((self.leads | visitors) - done.keys())
        by = [done[key] for key in self.leads | visitors if key in done]
        self.done_at = max([*by, min(one.came_at for one in affair.answers)])
        later = [event for event in affair.events.values() if event.at > self.at]
        self.sure = [event for event in later if affair.arrived[event.event_id] > self.done_at]
        self.maybe = [event for event in later if affair.arrived[event.event_id] <= self.done_at]

    @property
    def later(self) -> list[Event]:
        """What happened after it."""
        return self.sure + self.maybe

    def may_be_over(self, due_at: int) -> bool:
        """Whether what was due at an instant may have come about before all was done: time runs behind the clock."""
        return due_at <= self.done_at - ms(RULES.lateness) + SLACK_MS

    def is_old(self, data: Mapping[str, Any]) -> bool:
        """Whether a record is of somebody who was erased; of visitors that cannot be told."""
        return data["profile_id"] in self.leads
