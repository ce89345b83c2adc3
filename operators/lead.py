"""What is kept of a lead beside its identifiers: since when it is one, who it is, and how much it was given."""

from __future__ import annotations

from typing import Any, Final

import msgspec

HOUR_MS: Final = 3_600_000

_EMPTY: Final[list[Any]] = [0, [], 0, {}, [], [], {}]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Lead:
    """One lead: when (ms) the event was that made it one, its users, and the leads who have become one with it.

    `linked` has for each type of identifier that is limited, by its letter, the hours at which the latest were linked;
    `count` is that of all identifiers that it was given and still has. `shared` has the telephone numbers that it has
    given and that another lead had given before. `parted` has, of leads and identifiers that were split off it, until
    when (ms) what happened does not bring them back. Users, numbers and such identifiers are digests: who reads a store
    learns no name from it.
    """

    def __init__(self, born_at: int) -> None:
        self.born_at = born_at
        self.users: list[str] = []
        self.merged: list[str] = []
        self.count = 0
        self.linked: dict[str, list[int]] = {}
        self.shared: list[str] = []
        self.parted: dict[str, int] = {}

    def know(self, user: str) -> None:
        """Note that the lead is a user, by what that is called here."""
        if user not in self.users:
            self.users.append(user)

    def link(self, type_: str, at: int, kept: int) -> None:
        """Note that one more identifier of that type was linked at an instant (ms); the latest are kept, so many."""
        self.count += 1
        if kept:
            self.linked[type_] = sorted([*self.linked.get(type_, []), at // HOUR_MS])[-kept:]

    def let_go(self, type_: str) -> None:
        """Note that an identifier of that type is another lead's from now on: there is room for one more."""
        self.count = max(self.count - 1, 0)
        if self.linked.get(type_):
            self.linked[type_].pop()

    def since(self, type_: str, instant: int) -> int:
        """Return how many identifiers of that type have been linked after an instant (ms), as far as they are kept."""
        return sum([hour * HOUR_MS > instant for hour in self.linked.get(type_, [])])

    def add(self, name: str, other: Lead) -> None:
        """Take in what the lead of that name was given, who is no more."""
        self.merged.append(name)
        self.users += [user for user in other.users if user not in self.users]
        self.merged += other.merged
        self.count += other.count
        self.shared += [phone for phone in other.shared if phone not in self.shared]
        for one, at in other.parted.items():
            self.parted[one] = max(at, self.parted.get(one, at))
        for type_, hours in other.linked.items():
            self.linked[type_] = sorted([*self.linked.get(type_, []), *hours])

    def pack(self) -> str:
        """Return it as a text."""
        born = self.born_at // HOUR_MS
        linked: dict[str, list[int]] = {}
        for type_, hours in self.linked.items():  # each as how long after the one before it came, short numbers
            linked[type_] = [hour - (hours[at - 1] if at else born) for at, hour in enumerate(hours)]
        row: list[Any] = [self.born_at, self.users, self.count, linked, self.merged, self.shared, self.parted]
        while len(row) > 1 and not row[-1]:
            row.pop()
        return _encode(row).decode()


def unpack(text: str) -> Lead:
    """Make a lead of the text that its `pack` gave."""
    row: list[Any] = _decode(text)
    born_at, users, count, linked, merged, shared, parted = [*row, *_EMPTY[len(row) :]]
    lead = Lead(born_at)
    lead.users, lead.count, lead.merged, lead.shared, lead.parted = [*users], count, [*merged], [*shared], {**parted}
    for type_, gaps in linked.items():
        hour = born_at // HOUR_MS
        hours = lead.linked[type_] = []
        for gap in gaps:
            hour += gap
            hours.append(hour)
    return lead
