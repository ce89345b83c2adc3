"""
Who is asked about while they go on living: people who are forgotten, and people who are taken apart again.

Each has a household to itself, and no identifier of anybody else's. Of others one may be shown what is known: that
changes nothing. What happened before a request may be sent long after it, and whoever was forgotten may come back at
any instant.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from operators.identity import TYPES
from operators.request import What
from tests.chaos.lives import Diary, Sent, product
from tests.chaos.rules import Rules, ms
from tests.simulation.rules import LATE_MAX

RUNS_SHARE: Final = 1 / 3
"""Of all runs, in how many there are requests."""
HOUSEHOLDS_MAX: Final = 3
SHOWN_MAX: Final = 2
ARRIVAL_S: Final = 8.0
STRAGGLES_S: Final = 15.0
"""How late may be sent what an erasure is to stop."""
TWICE_SHARE: Final = 0.2
PHONE: Final = "+49309%06d"


class Asked(NamedTuple):
    """A request: what, of whom, and the record by which it is made, sent once or twice; its `at` is when (ms)."""

    id: str
    what: What
    names: list[str]
    records: list[Sent]

    @property
    def is_dated(self) -> bool:
        """Whether it says itself when it was asked; else that is when it came."""
        return b'"requested_at"' in self.records[0].line

    @property
    def at(self) -> int:
        """When it was asked."""
        return self.records[0].at


class Case(NamedTuple):
    """A household, what is asked of it, what it sends, and all its identifiers."""

    name: str
    asked: Asked
    log: list[Sent]
    names: frozenset[str]


class Wishes(NamedTuple):
    """What is asked in a run."""

    cases: list[Case]
    shown: list[Asked]
    """Of other households."""

    @property
    def asked(self) -> list[Asked]:
        """All requests."""
        return [case.asked for case in self.cases] + self.shown

    @property
    def records(self) -> list[Sent]:
        """What goes to the topic of requests."""
        return [sent for one in self.asked for sent in one.records]

    @property
    def log(self) -> list[Sent]:
        """What the households send."""
        return [sent for case in self.cases for sent in case.log]


def wishes(random: Random, rules: Rules, begin_at: int) -> Wishes:
    """Draw whom a run has requests about: in most, about nobody."""
    cases: list[Case] = []
    shown: list[Asked] = []
    if random.random() < RUNS_SHARE:
        for number in range(random.randint(1, HOUSEHOLDS_MAX)):
            at = begin_at + random.randint(0, ms(ARRIVAL_S))
            cases.append(random.choice(CASES)(random, rules, f"q{number}", at))
        for number in range(random.randint(0, SHOWN_MAX)):
            at = begin_at + random.randint(0, ms(2 * ARRIVAL_S))
            name = random.choice(("a:h0.a", "a:h1.b", "u:h0-user", "e:h0-user@example.com", "e:q0-user@example.com"))
            what: What = random.choice(("show", "export"))
            shown.append(_asked(random, f"q-shown-{number}", what, [name], at))
    return Wishes(cases, shown)


def _asked(random: Random, id_: str, what: What, names: list[str], at: int) -> Asked:
    """Ask at an instant; the record is sent a little later, perhaps twice."""
    identifiers: dict[str, list[str]] = {}
    for name in names:
        identifiers.setdefault(TYPES[name[0]], []).append(name[2:])
    told: dict[str, Any] = {"request": what, "id": id_, "identifiers": identifiers}
    sent_at = at
    if random.random() < 0.8:
        told["requested_at"] = at
        sent_at = at + ms(random.choice((0.0, random.uniform(0, 1), random.uniform(0, 4))))
    sent = Sent(sent_at, at, id_, msgspec.json.encode(told))
    again = [sent._replace(sent_at=sent_at + ms(random.uniform(0, 5)))] if random.random() < TWICE_SHARE else []
    return Asked(id_, what, names, [sent, *again])


class _Life:
    """A household of people who are told apart by what they call themselves."""

    def __init__(self, random: Random, rules: Rules, name: str, begin_at: int) -> None:
        self.random, self.rules, self.name = random, rules, name
        self.diary = Diary(random, rules, name, begin_at)
        self.user, self.email = self.diary.user, f"{self.diary.user}@example.com"
        self.other = f"{self.diary.user}-2@example.com"
        self.phone = PHONE % int(name.removeprefix("q"))
        self.names: dict[str, None] = {}

    def do(self, pause_s: float, device: str, kind: str, **told: Any) -> None:  # noqa: ANN401 -- as a diary has it
        """Do something on a device."""
        self.diary.do(pause_s, device, kind, **told)
        self.names[f"a:{self.name}.{device}"] = None
        for type_, field in (("u", "user_id"), ("e", "email"), ("p", "phone")):
            if field in told:
                self.names[f"{type_}:{told[field]}"] = None

    def look(self, device: str, count: int) -> None:
        """Look at things."""
        for _ in range(count):
            self.do(self.random.uniform(0.2, 1.5), device, "product_viewed", items=product(self.random.randrange(2)))

    def fill(self, device: str, cart: str, *, is_bought: bool, pause_s: float = 0.5) -> None:
        """Fill a cart, and buy it at once or not at all."""
        named = {"cart_id": f"{self.diary.user}-{cart}"}
        for _ in range(self.random.randint(1, 2)):
            self.do(pause_s, device, "product_added", items=product(1), **named)
            pause_s = self.random.uniform(0.2, 1)
        if is_bought:
            order = f"{self.diary.user}-{cart}-order"
            self.do(self.random.uniform(0.2, 2), device, "order_completed", order_id=order, **named)

    def case(self, asked: Asked, *, is_together: bool, late_s: float) -> Case:
        """Send all; of what happened before the request some comes up to `late_s` late, most of it behind that."""
        random, log = self.random, []
        for sent in self.diary.sent():
            late_ms = sent.sent_at - sent.at
            sent_at = sent.sent_at if sent.is_resent else sent.at + int(late_ms * LATE_MAX / 0.5)
            if asked.at - ms(late_s) < sent.at <= asked.at and random.random() < 0.3:
                sent_at = sent.at + ms(random.uniform(0, late_s))
            log.append(sent._replace(sent_at=sent_at, key=self.name if is_together else sent.key))
        return Case(self.name, asked, log, frozenset(self.names))


def forgotten(random: Random, rules: Rules, name: str, begin_at: int) -> Case:
    """Be somebody, known or not, on one device or two; be forgotten; perhaps come back, at once or later."""
    life = _Life(random, rules, name, begin_at)
    _live(life)
    at = life.diary.now + ms(random.choice((0.0, 0.02, random.uniform(0, 3), random.uniform(0, 12))))
    names = list(life.names)
    if random.random() < 0.5:
        naming = [one for one in names if one[0] != "a"]
        names = [random.choice(names)] if naming else names
    asked = _asked(random, f"{name}-erase", "erase", names, at)
    match random.choice(("gone", "gone", "soon", "later")):
        case "soon":
            _return(life, at, random.choice((0.001, random.uniform(0, 2))))
        case "later":
            _return(life, at, random.uniform(5, 20))
        case _:
            pass
    return life.case(asked, is_together=random.random() < 0.7, late_s=STRAGGLES_S if random.random() < 0.5 else 2.0)


def _live(life: _Life) -> None:
    """Look, say who it is or not, fill a cart: on one device, or on another one too."""
    random = life.random
    life.look("a", random.randint(1, 3))
    how = random.choice(("unknown", "user", "email", "both", "halves", "halves"))
    if how == "halves":
        life.do(0.5, "a", "identified", email=life.email)
        life.do(0.5, "b", "identified", user_id=life.user)
        if random.random() < 0.5:
            life.fill("b", "cart-b", is_bought=False)
        life.do(random.uniform(0.1, 2), random.choice(("a", "b")), "identified", user_id=life.user, email=life.email)
    elif how != "unknown":
        told = {"user": {"user_id": life.user}, "email": {"email": life.email}}.get(how)
        told = told or {"user_id": life.user, "email": life.email, "phone": life.phone}
        for device in ("a", "b")[: random.randint(1, 2)]:
            life.do(random.uniform(0.1, 2), device, "identified", **told)
    if random.random() < 0.7:
        life.fill("a", "cart", is_bought=random.random() < 0.2)
    if random.random() < 0.3:
        life.look("a", 1)


def _return(life: _Life, at: int, pause_s: float) -> None:
    """Do things again after an instant, on the same devices."""
    random = life.random
    pause_s += (at - life.diary.now) / 1000
    device = random.choice([one[-1] for one in life.names if one[0] == "a"])
    life.do(pause_s, device, "page_viewed")
    known = [{"user_id": life.user}, {"email": life.email}, {"user_id": life.user, "email": life.email}]
    if random.random() < 0.6:
        life.do(random.uniform(0.2, 2), device, "identified", **random.choice(known))
    if random.random() < 0.6:
        life.fill(device, "new-cart", is_bought=random.random() < 0.3)
    life.look(device, random.randint(0, 2))


def parted(random: Random, rules: Rules, name: str, begin_at: int) -> Case:
    """Be two people who were taken for one, until somebody says so; go on as two, or be named together again."""
    life = _Life(random, rules, name, begin_at)
    if random.random() < 0.4:
        life.do(0.5, "b", "identified", email=life.other)
    life.do(random.uniform(0.2, 1), "a", "identified", user_id=life.user, email=life.email)
    life.do(random.uniform(0.2, 1), "b", "identified", user_id=life.user, email=life.other)
    for device in random.sample(("a", "b"), random.randint(0, 2)):
        life.fill(device, f"cart-{device}", is_bought=random.random() < 0.4)
    if random.random() < 0.4:
        life.do(random.uniform(0.1, 1), "b", "identified", user_id=life.user, email=life.other)
    at = life.diary.now + ms(random.choice((0.0, 0.02, random.uniform(0, 3), random.uniform(0, 12))))
    device, email = f"a:{name}.b", f"e:{life.other}"
    names = random.choice(([email, device], [email, device], [email], [device]))
    asked = _asked(random, f"{name}-unmerge", "unmerge", names, at)
    pause_s = (at - life.diary.now) / 1000 + random.choice((0.001, random.uniform(0, 2), random.uniform(5, 20)))
    for step in random.sample(("a", "b", "fill b", "login a", "login b", "again"), random.randint(0, 5)):
        if step in {"a", "b"}:
            life.do(pause_s, step, "page_viewed")
        elif step == "fill b":
            life.fill("b", "new-cart", is_bought=random.random() < 0.4, pause_s=pause_s)
        elif step == "login a":
            life.do(pause_s, "a", "identified", user_id=life.user, email=life.email)
        elif step == "login b" and len(names) > 1:
            life.do(pause_s, "b", "identified", email=life.other)
        elif step == "again" and random.random() < 0.3:
            life.do(pause_s, "b", "identified", user_id=life.user, email=life.other)
        else:
            continue
        pause_s = random.uniform(0.2, 3)
    return life.case(asked, is_together=True, late_s=2.0)


CASES: Final[tuple[Callable[[Random, Rules, str, int], Case], ...]] = (forgotten, forgotten, parted)
