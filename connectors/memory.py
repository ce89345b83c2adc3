"""The embedded identity store: a dictionary that is part of the checkpoint and rolls back with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from operators.erasure import ERASED, ERASED_KEPT_MS, marked
from operators.event import Event
from operators.identity import TYPES, alias_key, lead_of, merged_lead, record_key


class MemoryIdentity:
    """Identifiers and their leads, in this process; the same contract as every other identity store."""

    is_private = True
    """Nobody else links."""
    clock = 0
    linked_at = 0

    def __init__(self) -> None:
        """Start knowing nobody."""
        self._links: dict[str, str] = {}
        self._names: defaultdict[str, list[str]] | None = None
        """By lead, the identifiers that it was given, of which some may be another's by now; once that is asked."""
        self._changed: dict[str, str] = {}
        self._given: dict[str, bytes] = {}

    def __len__(self) -> int:
        """How many identifiers are known."""
        return len(self._links)

    def look_up(self, events: Sequence[Event], as_of: int | None = None) -> dict[str, str]:  # noqa: ARG002 -- all is at hand
        """Return all that is known, as it changes."""
        return self._links

    def read_clock(self) -> int:
        """Return 0: it rolls back with the checkpoint, so nobody asks as of when."""
        return 0

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002 -- nobody else links
        """Store identifiers and their leads; nothing is ever in the way."""
        for name, lead in links.items():
            if not lead:
                self._links.pop(name, None)
                self._changed[name] = ""
                continue
            self._put(name, lead)
            if loser := merged_lead(name):
                for its in self._named().pop(loser, ()):
                    if self._links.get(its) == loser:
                        self._put(its, lead)
        return {}

    def find(self, names: Sequence[str], event: Event, as_of: int | None = None) -> dict[str, str]:  # noqa: ARG002 -- all is at hand
        """Return what is known of some names."""
        return {name: self._links[name] for name in names if name in self._links}

    def identifiers_of(self, lead: str) -> list[str]:
        """Return the identifiers of a lead."""
        return sorted(name for name in self._named().get(lead, ()) if self._links.get(name) == lead)

    def erase(self, names: Sequence[str], known: Mapping[str, str], lead: str, event: Event) -> list[str]:  # noqa: ARG002 -- all is at hand
        """Forget a lead, "" for none, with all that it was given, and `names`; see the port."""
        told = lead_of(self._links, lead)
        gone = dict.fromkeys([*names, *self.identifiers_of(lead)])
        self._named().pop(lead, None)
        for key in told.shared:  # the others who share a number still do
            self._put(key, " ".join(one for one in self._links.get(key, "").split() if one != lead))
        for name in [*gone, *map(record_key, [lead, *told.merged]), *map(alias_key, told.merged)]:
            if self._links.pop(name, None) is not None:
                self._changed[name] = ""
        over = [
            key for key, at in self._links.items() if key.startswith(ERASED) and int(at) < event.at - ERASED_KEPT_MS
        ]
        for key in over:
            del self._links[key]
            self._changed[key] = ""
        for key, at in marked(dict.fromkeys(gone, event.at)).items():
            self._put(key, str(max(int(at), int(self._links.get(key, -1)))))
        return [lead, *told.merged] if lead else []

    def give(self, tag: str, state: bytes) -> None:
        """Keep a state until somebody takes it."""
        self._given[tag] = state

    def take(self, tags: Sequence[str]) -> dict[str, bytes]:
        """Return what is there, and keep it no longer."""
        return {tag: self._given.pop(tag) for tag in tags if tag in self._given}

    def forget(self, lead: str) -> None:
        """Let go of what a lead has left to others."""
        self._given = {tag: state for tag, state in self._given.items() if not tag.startswith(f"{lead}@")}

    def changes(self) -> list[tuple[str, str]]:
        """Return what has changed since the last call: what a checkpoint must add."""
        changed = list(self._changed.items())
        self._changed.clear()
        return changed

    def restore(self, name: str, lead: str) -> None:
        """Take back a link from a checkpoint."""
        if self._names is not None and name[0] in TYPES and self._links.get(name) != lead:
            self._names[lead].append(name)
        self._links[name] = lead

    def live(self) -> Iterator[tuple[str, str]]:
        """Iterate over all links."""
        return iter(self._links.items())

    def _named(self) -> dict[str, list[str]]:
        if self._names is None:
            self._names = defaultdict(list)
            for name, lead in self._links.items():
                if name[0] in TYPES:
                    self._names[lead].append(name)
        return self._names

    def _put(self, name: str, lead: str) -> None:
        self.restore(name, lead)
        self._changed[name] = lead
