"""
The identity store that processes share, without a server: what `connectors/redis_identity.py` promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from connectors.redis_identity import VERSIONS_MAX
from operators.event import Event
from operators.identity import TYPES, alias_key, born_key, identifiers, merged_lead, user_key

Version = tuple[str, str, int, int]
STORE_ID: Final = "simulated"


class SharedStore:
    """What the server holds: the versions of each identifier's lead, the newest first. It never rolls back."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.versions: dict[str, list[Version]] = {}
        self.clock = 0
        self._lives: dict[str, tuple[int, dict[str, str]]] = {}
        self.given: dict[str, bytes] = {}
        """What leads have left to others."""

    def seen(self, name: str, partition: str, position: int, as_of: int) -> str:
        """Return the lead that an event at `position` of `partition` sees, "" for none."""
        for lead, its_partition, its_position, linked_at in self.versions.get(name, ()):
            if (its_partition != partition or its_position < position) and linked_at <= as_of:
                return lead
        return ""

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
        names = {name for event in events for name in identifiers(event)}
        known = self._known(names, partition, position)
        named = {known[name] for event in events if event.user_id for name in identifiers(event) if name in known}
        about = {key(lead) for lead in named for key in (user_key, born_key)}
        found = known | self._known(about, partition, position)
        self._ask()
        return found

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
        return {name: lead for name, lead in found.items() if lead}
