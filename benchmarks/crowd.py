"""Invented people, what they are called, and the events by which they are heard of: for `bench_identity`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, NamedTuple

from benchmarks.measure import SEED
from operators.event import Event, Kind

PARTITION: Final = "bench.identity/0"
# What a person has on average, by the shares in `person`.
IDENTIFIERS_EACH: Final = 3.1
# As many as a session of the shared generator's has, on average.
VISIT_EVENTS: Final = 8
START_MS: Final = 1_760_000_000_000
# Of visits, more than the generator has: those who are known cost more.
KNOWN_SHARE: Final = 1 / 3
# Of those; each of their events says who it is.
SIGNED_IN_SHARE: Final = 1 / 2
DEVICES_MAX: Final = 3


class Person(NamedTuple):
    """Somebody invented; "" for what they do not have."""

    user: str
    email: str
    phone: str
    devices: list[str]

    @property
    def names(self) -> list[str]:
        """What a store calls them."""
        said = ("u:", self.user), ("e:", self.email), ("p:", self.phone)
        return [*[type_ + value for type_, value in said if value], *[f"a:{device}" for device in self.devices]]


def person(number: int) -> Person:
    """Invent somebody: one to three devices, a user id or an address or both, some with a telephone."""
    drawn = blake2b(number.to_bytes(8, "big"), digest_size=4).digest()
    has_user = drawn[1] < 154
    devices = 1 + (drawn[0] >= 128) + (drawn[0] >= 217)
    return Person(
        f"user-{number}" if has_user else "",
        f"somebody.{number}@example.com" if not has_user or drawn[2] < 128 else "",
        f"+4915{number:09d}" if drawn[3] < 38 else "",
        [_uuid(blake2b(b"%d/%d" % (number, device), digest_size=16).hexdigest()) for device in range(devices)],
    )


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{text[16:20]}-{text[20:]}"


class Crowd:
    """Invents events: of the people there are, and of nobody."""

    def __init__(self, people: int) -> None:
        self.people, self._random = people, random.Random(SEED)
        self.identifiers = self._count = 0

    def event(self, device: str, user: str = "", email: str = "", phone: str = "") -> Event:
        """Return the next event of a device, and who it says to use it."""
        self._count += 1
        at, event_id = START_MS + 10 * self._count, f"m{self._count}"
        kind: Kind = "identified" if phone else "page_viewed"
        event = Event(kind, at, event_id, "web", device, device, user, email, phone)
        event.partition, event.position = PARTITION, self._count
        return event

    def logins(self) -> Iterator[Event]:
        """Yield what makes all links: everybody signs in on their first device, then whoever has one on the second."""
        for order in range(DEVICES_MAX):
            for number in range(self.people):
                one = person(number)
                self.identifiers += 0 if order else len(one.names)
                if order < len(one.devices):
                    is_first = order == 0 or not one.user
                    email, phone = one.email if is_first else "", one.phone if order == 0 else ""
                    yield self.event(one.devices[order], one.user, email, phone)

    def live(self, visits: int) -> Iterator[Event]:
        """Yield events of so many visits at a time."""
        open_, draw = [self._visit() for _ in range(visits)], self._random.random
        while True:
            place = int(draw() * visits)
            yield self.event(*open_[place])
            if draw() < 1 / VISIT_EVENTS:
                open_[place] = self._visit()

    def among(self, devices: int) -> Iterator[Event]:
        """Yield events of so many known devices, drawn once, each in its turn."""
        drawn = [self._device() for _ in range(devices)]
        while True:
            for device in drawn:
                yield self.event(device)

    def cold(self) -> Iterator[Event]:
        """Yield events of known devices, drawn from all."""
        while True:
            yield self.event(self._device())

    def unknown(self) -> Iterator[Event]:
        """Yield events of devices that are new."""
        while True:
            yield self.event(self.new_device())

    def _visit(self) -> tuple[str, str, str]:
        if self._random.random() > KNOWN_SHARE:
            return self.new_device(), "", ""
        one = person(self._random.randrange(self.people))
        device = self._random.choice(one.devices)
        if self._random.random() > SIGNED_IN_SHARE:
            return device, "", ""
        return device, one.user, "" if one.user else one.email

    def _device(self) -> str:
        return self._random.choice(person(self._random.randrange(self.people)).devices)

    def new_device(self) -> str:
        """Return a device that nobody has ever seen."""
        return _uuid(f"{self._random.getrandbits(128):032x}")
