"""
Random conditions, most of them well-typed, and facts to ask them of, some of them absent.

Chance is `random.Random(seed)`, as in tests/fuzz: Hypothesis takes too long to draw tens of thousands.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from operators.expression_types import BOOL, DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, Type, list_of, map_of

LINES: Final = list_of(map_of(DYN))
SCHEMA: Final[dict[str, Type]] = {
    "event.kind": STRING,
    "event.at": TIMESTAMP,
    "event.order.value": DOUBLE,
    "event.order.count": INT,
    "event.properties": map_of(DYN),
    "event.tags": list_of(STRING),
    "profile.visits": INT,
    "profile.risk": DOUBLE,
    "profile.known": BOOL,
    "profile.cart.lines": LINES,
    "profile.counts": list_of(INT),
    "profile.scores": list_of(DOUBLE),
    "profile.anything": list_of(DYN),
    "profile.consents": map_of(BOOL),
    "profile.idle": DURATION,
    "now": TIMESTAMP,
}
NOW: Final = 1_795_255_200_000
ABSENT_SHARE: Final = 0.15
WRONG_SHARE: Final = 0.02
"""Of the operands, which are of any type instead of the right one: some tenth of the conditions."""

_INTS: Final = (0, 1, 2, 3, 7, -1, -7, 10, 2**31, 2**53 + 1, 2**63 - 1, -(2**63))
_DOUBLES: Final = (0.0, -0.0, 1.0, 2.0, 1.5, -2.5, 0.1, 1e308, 9007199254740992.0, 2.0**63, 1e-300)
_TEXTS: Final = ("", "a", "ab", "b", "Z", "é", "😀", "￿", "a'\"\\b", "12", " 7", "-3", "1.5", "x\ny")
_KEYS: Final = ("n", "x", "text", "flag", "items", "inner", "nothing", "for", "absent")
_KINDS: Final = ("page_viewed", "order_completed", "a", "")
_DURATIONS: Final = ("30m", "1h", "1h30m", "-15m", "250ms", "0", "1.5h", "2562047h")
_INSTANTS: Final = (
    "2026-11-21T10:00:00Z",
    "2026-11-21T11:00:00.500+01:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
)
_TYPES: Final = (
    BOOL,
    INT,
    DOUBLE,
    STRING,
    TIMESTAMP,
    DURATION,
    DYN,
    list_of(INT),
    list_of(STRING),
    list_of(DYN),
    LINES,
)


def facts_of(random: Random) -> dict[str, Any]:
    """Draw facts; instants and spans are ms."""
    drawn: dict[str, Callable[[], Any]] = {
        "event.kind": lambda: random.choice(_KINDS),
        "event.at": lambda: NOW - random.choice((0, 1, 1_800_000, 3_600_000)),
        "event.order.value": lambda: random.choice((*_DOUBLES, float("inf"), float("nan"))),
        "event.order.count": lambda: random.choice(_INTS),
        "event.properties": lambda: {key: value_of(random) for key in _KEYS[:-1] if random.random() < 0.8},
        "event.tags": lambda: random.choices(_TEXTS, k=random.randrange(4)),
        "profile.visits": lambda: random.choice(_INTS),
        "profile.risk": lambda: random.choice(_DOUBLES),
        "profile.known": lambda: random.random() < 0.5,
        "profile.cart.lines": lambda: [
            {"id": random.choice(_TEXTS), "price": random.choice((1, 2.5, 7, "7", None)), "flag": random.random() < 0.5}
            for _ in range(random.randrange(4))
        ],
        "profile.counts": lambda: random.choices(_INTS, k=random.randrange(4)),
        "profile.scores": lambda: random.choices((*_DOUBLES, float("nan")), k=random.randrange(4)),
        "profile.anything": lambda: [value_of(random) for _ in range(random.randrange(4))],
        "profile.consents": lambda: {"email": random.random() < 0.5, "sms": True},
        "profile.idle": lambda: random.choice((0, 60_000, 1_800_000, -900_000)),
        "now": lambda: NOW,
    }
    return {path: draw() for path, draw in drawn.items() if random.random() >= ABSENT_SHARE}


def value_of(random: Random, depth: int = 1) -> Any:  # noqa: ANN401 -- whatever JSON holds
    """Draw a value as JSON has them."""
    kind = random.randrange(10)
    if kind == 9 and depth:
        return [value_of(random, depth - 1) for _ in range(random.randrange(3))]
    if kind == 8 and depth:
        return {key: value_of(random, depth - 1) for key in random.sample(("a", "b", "n"), random.randrange(3))}
    if kind >= 5:  # alike for Python, and not for CEL
        return random.choice((1, 1.0, True, "1"))
    return (None, random.random() < 0.5, random.choice(_INTS), random.choice(_DOUBLES), random.choice(_TEXTS))[kind]


class Maker:
    """Writes expressions of a type.

    What is looked up in something of unknown type is of unknown type. Google's checker leaves that open until the first
    use and then holds it to that; there `@(` stands, which for it becomes `dyn(` and for us a bracket.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self._loop: Type | None = None

    def expression(self, type_: Type, depth: int) -> str:
        """Write an expression that comes to a type, or now and then to another."""
        if self.random.random() < WRONG_SHARE:
            type_ = self.random.choice(_TYPES)
        if self._loop is not None and self.random.random() < 0.4:
            if self._loop == type_:
                return "it"
            if type_ == DYN and self._loop == map_of(DYN):
                return f"it.{self.random.choice(('id', 'price', 'flag', 'none'))}"
        if depth <= 0 or self.random.random() < 0.15:
            return self.leaf(type_)
        if self.random.random() < 0.08:
            return (
                f"({self.truth(depth - 1)} ? {self.expression(type_, depth - 1)} : {self.expression(type_, depth - 1)})"
            )
        if type_.name in ("list", "map"):
            return self._list(type_, depth - 1) if type_.name == "list" else self._map(type_, depth - 1)
        ways: dict[str, Callable[[int], str]] = {
            "bool": self._bool,
            "int": self._int,
            "double": self._double,
            "string": self._string,
            "dyn": self._dyn,
            "timestamp": self._timestamp,
            "duration": self._duration,
        }
        return ways[type_.name](depth - 1)

    def truth(self, depth: int) -> str:
        """Write something true or false, or dyn."""
        return self.expression(DYN if self.random.random() < 0.1 else BOOL, depth)

    def leaf(self, type_: Type) -> str:
        """Write a fact or a literal."""
        paths = [path for path, held in SCHEMA.items() if held == type_]
        if paths and self.random.random() < 0.6:
            return self.random.choice(paths)
        if type_ == DYN:
            key = self.random.choice(_KEYS)
            some = (f"event.properties.{key}", f'event.properties["{key}"]', "event.properties.inner.a")
            return self.random.choice((*some, "profile.anything[0]", "profile.cart.lines[0].price", "null"))
        return self.literal(type_)

    def literal(self, type_: Type) -> str:
        """Write a constant."""
        choose = self.random.choice
        if type_.name == "list" and type_.of is not None:
            return f"[{', '.join(self.leaf(type_.of) for _ in range(self.random.randrange(4)))}]"
        if type_.name == "map" and type_.of is not None:
            return f'{{"a": {self.leaf(type_.of)}, "n": {self.leaf(type_.of)}}}'
        ways: dict[str, Callable[[], str]] = {
            "bool": lambda: choose(("true", "false")),
            "int": lambda: choose((str(choose(_INTS)), "0x1F", "-0x1")),
            "double": lambda: choose((repr(choose(_DOUBLES)), "1e3", ".5", "2.5E-1")),
            "string": lambda: quoted(choose((*_TEXTS, *_KINDS)), self.random),
            "timestamp": lambda: f'timestamp("{choose(_INSTANTS)}")',
            "duration": lambda: f'duration("{choose(_DURATIONS)}")',
        }
        return ways[type_.name]()

    def _bool(self, depth: int) -> str:
        random = self.random
        way = random.randrange(12)
        if way < 3:
            sign = random.choice((" && ", " || "))
            return f"({sign.join(self.truth(depth) for _ in range(random.randint(2, 3)))})"
        if way == 3:
            return f"!({self.truth(depth)})"
        if way < 7:
            type_ = random.choice((INT, INT, DOUBLE, STRING, TIMESTAMP, DURATION, BOOL, DYN))
            other = DYN if random.random() < 0.15 else type_
            sign = random.choice(("<", "<=", ">", ">=", "==", "!="))
            return f"({self.expression(type_, depth)} {sign} {self.expression(other, depth)})"
        if way == 7:
            type_ = random.choice((list_of(DYN), list_of(INT), LINES, map_of(DYN), DYN, BOOL, INT, DOUBLE))
            other = random.choice((type_, DYN))
            return f"({self.expression(type_, depth)} {random.choice(('==', '!='))} {self.expression(other, depth)})"
        if way == 8:
            type_ = random.choice((INT, STRING, DYN, DOUBLE))
            among = random.choice((list_of(type_), list_of(DYN), map_of(DYN) if type_ == STRING else list_of(type_)))
            return f"({self.expression(type_, depth)} in {self.expression(among, depth)})"
        if way == 9:
            path = random.choice(("event.order.value", "event.kind", "now", "profile.cart.lines"))
            key = random.choice(_KEYS)
            return random.choice((f"has({path})" if "." in path else "true", f"has(event.properties.{key})"))
        if way == 10:
            name = random.choice(("startsWith", "endsWith", "contains"))
            texts = [self.expression(DYN if random.random() < 0.1 else STRING, depth) for _ in "ab"]
            return f"{texts[0]}.{name}({texts[1]})"
        return self._macro(random.choice(("all", "exists", "exists", "exists_one")), BOOL, depth)

    def _macro(self, name: str, said: Type, depth: int) -> str:
        if self._loop is not None:
            return self.leaf(said) if name != "map" else "[]"
        lists = (LINES, list_of(INT), list_of(DYN), list_of(STRING))
        over = self.random.choice(lists if name == "map" else (*lists, DYN, map_of(DYN)))
        through = self.expression(over, depth)
        self._loop = STRING if over.name == "map" else over.of or DYN
        body = self.truth(depth) if said == BOOL else self.expression(said, depth)
        self._loop = None
        return f"{through}.{name}(it, {body})"

    def _int(self, depth: int) -> str:
        random = self.random
        way = random.randrange(8)
        if way < 5:
            other = DYN if random.random() < 0.1 else INT
            return f"({self.expression(INT, depth)} {random.choice('+-*/%')} {self.expression(other, depth)})"
        if way == 5:
            return f"-({self.expression(INT, depth)})"
        if way == 6:
            sized = self.expression(random.choice((STRING, list_of(DYN), LINES, map_of(DYN), DYN)), depth)
            return random.choice((f"size({sized})", f"{sized}.size()"))
        return f"int({self.expression(random.choice((INT, DOUBLE, STRING, DYN, TIMESTAMP)), depth)})"

    def _double(self, depth: int) -> str:
        random = self.random
        if random.random() < 0.7:
            other = DYN if random.random() < 0.1 else DOUBLE
            return f"({self.expression(DOUBLE, depth)} {random.choice('+-*/')} {self.expression(other, depth)})"
        if random.random() < 0.5:
            return f"-({self.expression(DOUBLE, depth)})"
        return f"double({self.expression(random.choice((INT, DOUBLE, STRING)), depth)})"

    def _string(self, depth: int) -> str:
        if self.random.random() < 0.6:
            other = DYN if self.random.random() < 0.1 else STRING
            return f"({self.expression(STRING, depth)} + {self.expression(other, depth)})"
        return f"string({self.expression(self.random.choice((INT, STRING, BOOL)), depth)})"

    def _dyn(self, depth: int) -> str:
        random = self.random
        way = random.randrange(6)
        if way == 0:
            return f"({self.expression(DYN, depth)} {random.choice('+-*/%')} {self.expression(DYN, depth)})"
        if way == 1:
            return f"@({self.expression(list_of(DYN), depth)}[{self.expression(random.choice((INT, DYN)), depth)}])"
        if way == 2:
            return f"@({self.expression(map_of(DYN), depth)}[{self.expression(random.choice((STRING, DYN)), depth)}])"
        if way == 3:
            return f"{self.expression(DYN, depth)}.{random.choice(('a', 'n', 'b'))}"
        if way == 4:
            return f"@({self.expression(DYN, depth)}[{self.expression(random.choice((STRING, DYN, INT)), depth)}])"
        return f"-({self.expression(DYN, depth)})"

    def _timestamp(self, depth: int) -> str:
        if self.random.random() < 0.8:
            sides = [self.expression(TIMESTAMP, depth), self.expression(DURATION, depth)]
            return f"({' + '.join(sides)})" if self.random.random() < 0.5 else f"({' - '.join(sides)})"
        return f"timestamp({self.expression(self.random.choice((TIMESTAMP, INT)), depth)})"

    def _duration(self, depth: int) -> str:
        if self.random.random() < 0.4:
            return f"({self.expression(TIMESTAMP, depth)} - {self.expression(TIMESTAMP, depth)})"
        return f"({self.expression(DURATION, depth)} {self.random.choice('+-')} {self.expression(DURATION, depth)})"

    def _list(self, type_: Type, depth: int) -> str:
        random = self.random
        held = type_.of or DYN
        way = random.randrange(5)
        if way == 0:
            return f"({self.expression(type_, depth)} + {self.expression(type_, depth)})"
        if way == 1 and self._loop is None:
            return self._macro("map", held, depth)
        if way == 2 and self._loop is None:
            through = self.expression(type_, depth)
            self._loop = held
            body = self.truth(depth)
            self._loop = None
            return f"{through}.filter(it, {body})"
        return f"[{', '.join(self.expression(held, depth) for _ in range(random.randrange(3)))}]"

    def _map(self, type_: Type, depth: int) -> str:
        held = type_.of or DYN
        return f'{{"a": {self.expression(held, depth)}, "n": {self.expression(held, depth)}}}'


def quoted(text: str, random: Random) -> str:
    """Write a text in one of the ways that CEL has."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    coded = "".join(f"\\U{ord(char):08x}" for char in text)
    ways = [f'"{plain}"', f'"""{plain}"""', f"'{coded}'"]
    if not {"'", "\\", "\n"} & set(text):
        ways += [f"r'{text}'", f"'{text}'"]
    return random.choice(ways)
