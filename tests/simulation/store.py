"""
The identity store that processes share, without a server: what `connectors/redis_identity.py` promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from connectors.redis_identity import VERSIONS_MAX
from operators.erasure import marked, unheard
from operators.event import Event
from operators.identity import TYPES, alias_key, asked, lead_of, merged_lead, record_key, shared_keys, to_be_known

Version = tuple[str, str, int, int]
STORE_ID: Final = "simulated"


class SharedStore:
    """What the server holds: the versions of each identifier's lead, the newest first. It never rolls back."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.versions: dict[str, list[Version]] = {}
        self.clock = 0
        self._lives: dict[str, tuple[int, dict[str, str]]] = {}
        self.erased: dict[str, int] = {}
        """Up to when identifiers were erased."""
        self.erasures: dict[tuple[str, int], list[str]] = {}
        self.given: dict[str, bytes] = {}
        """What leads have left to others."""

    def seen(self, name: str, partition: str, position: int, as_of: int) -> str:
        """Return the lead that an event at `position` of `partition` sees, "" for none."""
        versions = self.versions.get(name, ())
        for lead, its_partition, its_position, linked_at in versions:
            if (its_partition != partition or its_position < position) and linked_at <= as_of:
                return lead
        # What is kept of a lead, beside who it is: what was seen before is gone.
        return versions[-1][0] if name[0] in "rq" and len(versions) == VERSIONS_MAX else ""

    def linked_by(self, names: Iterable[str], partition: str, position: int) -> int:
        """Return when an event has linked any of these names before, 0 where it has not."""
        versions = [version for name in names for version in self.versions.get(name, ())]
        return next((at for _, whose, place, at in versions if (whose, place) == (partition, position)), 0)

    def link(self, name: str, lead: str, partition: str, position: int, linked_at: int) -> None:
        """Put a version where it belongs, in the order of the links; who has become another lead is that one."""
        lead = self.survivor(lead, linked_at) if name[0] in TYPES else lead
        others = [one for one in self.versions.get(name, ()) if one[3] != linked_at]
        versions = sorted([*others, (lead, partition, position, linked_at)], key=lambda one: -one[3])
        self.versions[name] = versions[:VERSIONS_MAX]
        if loser := merged_lead(name):
            for its, (newest, *_) in list(self.versions.items()):
                if its[0] in TYPES and newest[0] == loser:
                    self.link(its, loser, partition, position, linked_at)

    def survivor(self, lead: str, as_of: int) -> str:
        """Return whom a lead had become when the clock stood there."""
        for other, _, _, linked_at in self.versions.get(alias_key(lead), ()):
            if linked_at <= as_of:
                return self.survivor(other, as_of)
        return lead

    def erase(self, names: Sequence[str], lead: str, place: tuple[str, int], at: int) -> list[str]:
        """Forget a lead and all identifiers that are its; the same again for the same place."""
        if place in self.erasures:
            return self.erasures[place]
        told = lead_of({name: versions[0][0] for name, versions in self.versions.items()}, lead)
        its = [name for name, versions in self.versions.items() if name[0] in TYPES and versions[0][0] == lead]
        for name in {*names, *its} if lead else names:
            self.erased[name] = max(at, self.erased.get(name, -1))
        for name in [*(its if lead else ()), *map(record_key, [lead, *told.merged]), *map(alias_key, told.merged)]:
            self.versions.pop(name, None)
        for key in told.shared:
            others = self.versions.get(key, [("", "", 0, 0)])[0]
            left = " ".join(one for one in others[0].split() if one != lead)
            self.versions[key] = [(left, *others[1:])]
        gone = [lead, *told.merged] if lead else []
        self.clock += 1
        self.erasures[place] = [str(self.clock), *gone]
        return self.erasures[place]

    def life(self, deployment: str, member: str, token: str, members: int) -> int:
        """Return which life of a deployment a member is of."""
        number, known = self._lives.setdefault(deployment, (1, {}))
        if known.get(member) != token:
            if member in known or len(known) == members:
                number, known = self._lives[deployment] = number + 1, {}
            known[member] = token
        return number


class SimulatedIdentity:
    """One process's way to it; `ask` lets time pass, as a round trip does, and may find that the process dies."""

    is_private = False
    store_id = STORE_ID
    resets = 0
    clock = 0
    linked_at = 0

    def __init__(self, store: SharedStore, ask: Callable[[], None] = lambda: None) -> None:
        """Connect."""
        self._store, self._ask = store, ask

    def look_up(self, events: Sequence[Event], as_of: int | None = None) -> dict[str, str]:
        """Return what was known of the identifiers of `events` before the first of them."""
        if not events:
            return {}
        partition, position = events[0].partition, events[0].position
        self._ask()
        self.clock = self._store.clock if as_of is None else as_of
        names = {name for event in events for name in asked(event)}
        known = self._known(names, partition, position)
        about = self._known(set(to_be_known(events, known)), partition, position)
        shared = self._known(set(shared_keys(about)), partition, position)
        self._ask()
        return known | about | shared

    def find(self, names: Sequence[str], event: Event, as_of: int | None = None) -> dict[str, str]:
        """Return what is known of some names."""
        self._ask()
        self.clock = self._store.clock if as_of is None else as_of
        found = self._known(set(names), event.partition, event.position)
        self._ask()
        return found

    def identifiers_of(self, lead: str) -> list[str]:
        """Return the identifiers of a lead."""
        return sorted(name for name, versions in self._store.versions.items() if versions[0][0] == lead)

    def erase(self, names: Sequence[str], known: Mapping[str, str], lead: str, event: Event) -> list[str] | None:
        """Forget a lead, unless it has changed since."""
        self._ask()
        about = record_key(lead)
        now = self._store.versions.get(about, [("", "", 0, 0)])[0][0]
        place = event.partition, event.position
        if lead and now != known.get(about, "") and place not in self._store.erasures:
            return None
        clock, *leads = self._store.erase(names, lead, place, event.at)
        self.linked_at = int(clock)
        self._ask()
        return leads

    def read_clock(self) -> int:
        """Return how many links there are now."""
        self._ask()
        self.clock = self._store.clock
        self._ask()
        return self.clock

    def life(self, deployment: str, member: str, token: str, members: int) -> int:
        """Return which life of a deployment this member is of."""
        self._ask()
        number = self._store.life(deployment, member, token, members)
        self._ask()
        return number

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:
        """Link all or nothing; return what others have made of these identifiers since."""
        partition, position, store = event.partition, event.position, self._store
        self._ask()
        before = store.linked_by(links, partition, position)
        seen = {name: store.seen(name, partition, position, before - 1 if before else store.clock) for name in links}
        changed = {name: lead for name, lead in seen.items() if lead != known.get(name, "")}
        changed |= unheard({name: at for name, at in store.erased.items() if name in links}, dict(known))
        if not changed:
            if not before:
                store.clock += 1
            self.linked_at = before or store.clock
            for name, lead in links.items():
                store.link(name, lead, partition, position, self.linked_at)
        self._ask()
        return changed

    def give(self, tag: str, state: bytes) -> None:
        """Keep a state for whoever takes it, as often as they do."""
        self._ask()
        self._store.given[tag] = state
        self._ask()

    def take(self, tags: Sequence[str]) -> dict[str, bytes]:
        """Return which of the states are there."""
        self._ask()
        found = {tag: self._store.given[tag] for tag in tags if tag in self._store.given}
        self._ask()
        return found

    def forget(self, lead: str) -> None:
        """Let go of what a lead has left to others."""
        self._ask()
        self._store.given = {tag: state for tag, state in self._store.given.items() if not tag.startswith(f"{lead}@")}
        self._ask()

    def changes(self) -> list[tuple[str, str]]:
        """Return nothing: what the store holds is no part of a checkpoint."""
        return []

    def live(self) -> Iterator[tuple[str, str]]:
        """Return nothing, as `changes`."""
        return iter(())

    def restore(self, name: str, lead: str) -> None:
        """Refuse: no checkpoint made with this store holds links."""
        raise AssertionError(f"a link of {lead} ({name[:1]}) in the checkpoint of a store that keeps none there")

    def _known(self, names: set[str], partition: str, position: int) -> dict[str, str]:
        found = {name: self._store.seen(name, partition, position, self.clock) for name in sorted(names)}
        erased = {name: at for name, at in self._store.erased.items() if name in names}
        return {name: lead for name, lead in found.items() if lead} | marked(erased)
