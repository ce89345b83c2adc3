"""
The identity store that processes share, without a server: what `connectors/redis_identity.py` promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from connectors.redis_identity import VERSIONS_MAX
from operators.event import Event
from operators.identity import identifiers, user_key

Version = tuple[str, str, int]
STORE_ID: Final = "simulated"


class SharedStore:
    """What the server holds: the versions of each identifier's lead, the newest first. It never rolls back."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.versions: dict[str, list[Version]] = {}

    def seen(self, name: str, partition: str, position: int) -> str:
        """Return the lead that an event at `position` of `partition` sees, "" for none."""
        for lead, its_partition, its_position in self.versions.get(name, ()):
            if its_partition != partition or its_position < position:
                return lead
        return ""

    def link(self, name: str, lead: str, partition: str, position: int) -> None:
        """Put a version where it belongs: before what other partitions have linked, after this one's later ones."""
        versions = self.versions.setdefault(name, [])
        later = [n for n, (_, whose, at) in enumerate(versions) if whose == partition and at >= position]
        if (lead, partition, position) not in versions:
            versions.insert(later[-1] + 1 if later else 0, (lead, partition, position))
            del versions[VERSIONS_MAX:]


class SimulatedIdentity:
    """One process's way to it; `ask` lets time pass, as a round trip does, and may find that the process dies."""

    is_private = False
    store_id = STORE_ID
    resets = 0

    def __init__(self, store: SharedStore, ask: Callable[[], None] = lambda: None) -> None:
        """Connect."""
        self._store, self._ask = store, ask

    def look_up(self, events: Sequence[Event]) -> dict[str, str]:
        """Return what was known of the identifiers of `events` before the first of them."""
        if not events:
            return {}
        partition, position = events[0].partition, events[0].position
        self._ask()
        names = {name for event in events for name in identifiers(event)}
        known = self._known(names, partition, position)
        named = {known[name] for event in events if event.user_id for name in identifiers(event) if name in known}
        found = known | self._known({user_key(lead) for lead in named}, partition, position)
        self._ask()
        return found

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:
        """Link all or nothing; return what others have made of these identifiers since."""
        partition, position, store = event.partition, event.position, self._store
        self._ask()
        seen = {name: store.seen(name, partition, position) for name in links}
        changed = {name: lead for name, lead in seen.items() if lead != known.get(name, "")}
        if not changed:
            for name, lead in links.items():
                store.link(name, lead, partition, position)
        self._ask()
        return changed

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
        found = {name: self._store.seen(name, partition, position) for name in sorted(names)}
        return {name: lead for name, lead in found.items() if lead}
