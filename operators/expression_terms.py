"""What operators and functions of conditions are there, for which types, and what Python each becomes.

A table in the shape of functions: the types of the operands go in, the type of the result and a line of Python come
out, with a place for each operand; None where CEL has no such operator for them. Where types are known Python's own
operators are used, for they do the same then; else the functions of `operators/expression_values.py`, which look first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from operators.expression_types import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NOTHING,
    NULL,
    ORDERED,
    STRING,
    TIMESTAMP,
    Type,
    common,
    is_timely,
    list_of,
)

Made: TypeAlias = tuple[Type, str]
"""The type of what comes out, and Python with `{}` for each operand."""

_ORDERS: Final = {"<": "less", "<=": "at_most", ">": "more", ">=": "at_least"}
_DYN_ORDERED: Final = frozenset({BOOL, INT, DOUBLE, STRING, DYN})
_SUMS: Final = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "rest"}
_OF_INTS: Final = {
    "+": "int64({} + {})",
    "-": "int64({} - {})",
    "*": "int64({} * {})",
    "/": "divide_ints({}, {})",
    "%": "rest_of_ints({}, {})",
}
_OF_DOUBLES: Final = {"+": "({} + {})", "-": "({} - {})", "*": "({} * {})", "/": "divide_doubles({}, {})"}
_OF_TIMES: Final[Mapping[tuple[str, Type, Type], Made]] = {
    ("+", TIMESTAMP, DURATION): (TIMESTAMP, "instant({} + {})"),
    ("+", DURATION, TIMESTAMP): (TIMESTAMP, "instant({} + {})"),
    ("+", DURATION, DURATION): (DURATION, "span({} + {})"),
    ("-", TIMESTAMP, DURATION): (TIMESTAMP, "instant({} - {})"),
    ("-", TIMESTAMP, TIMESTAMP): (DURATION, "span({} - {})"),
    ("-", DURATION, DURATION): (DURATION, "span({} - {})"),
}
_TEXTS: Final = {
    "startsWith": ("{}.startswith({})", "starts({}, {})"),
    "endsWith": ("{}.endswith({})", "ends({}, {})"),
    "contains": ("({1} in {0})", "contains({}, {})"),
}
_CONVERSIONS: Final[Mapping[tuple[str, Type], Made]] = {
    ("int", INT): (INT, "{}"),
    ("int", DOUBLE): (INT, "to_int({})"),
    ("int", STRING): (INT, "to_int({})"),
    ("int", DYN): (INT, "to_int({})"),
    ("int", TIMESTAMP): (INT, "({} // 1000)"),
    ("double", DOUBLE): (DOUBLE, "{}"),
    ("double", INT): (DOUBLE, "float({})"),
    ("double", STRING): (DOUBLE, "to_double({})"),
    ("double", DYN): (DOUBLE, "to_double({})"),
    ("string", STRING): (STRING, "{}"),
    ("string", INT): (STRING, "str({})"),
    ("string", BOOL): (STRING, "to_string({})"),
    ("string", DYN): (STRING, "to_string({})"),
    ("timestamp", TIMESTAMP): (TIMESTAMP, "{}"),
    ("timestamp", INT): (TIMESTAMP, "to_timestamp({})"),
    ("timestamp", STRING): (TIMESTAMP, "to_timestamp({})"),
    ("timestamp", DYN): (TIMESTAMP, "to_timestamp({})"),
    ("duration", DURATION): (DURATION, "{}"),
    ("duration", STRING): (DURATION, "to_duration({})"),
    ("duration", DYN): (DURATION, "to_duration({})"),
}


def _equality(sign: str, one: Type, other: Type) -> Made | None:
    if common(one, other) is None and {one, other} != {DYN, NULL}:
        return None
    # A str equals nothing but a str, so that Python needs no help where one side is known to be one.
    if STRING in (one, other) or (one == other and one in ORDERED):
        return BOOL, f"({{}} {sign} {{}})"
    return BOOL, "equal({}, {})" if sign == "==" else "unequal({}, {})"


def _order(sign: str, one: Type, other: Type) -> Made | None:
    if one == other and one in ORDERED:
        return BOOL, f"({{}} {sign} {{}})"
    if DYN in (one, other) and one in _DYN_ORDERED and other in _DYN_ORDERED:
        return BOOL, f"{_ORDERS[sign]}({{}}, {{}})"
    return None


def _sum(sign: str, one: Type, other: Type) -> Made | None:
    if one == other == INT:
        return INT, _OF_INTS[sign]
    if one == other == DOUBLE and sign in _OF_DOUBLES:
        return DOUBLE, _OF_DOUBLES[sign]
    if made := _OF_TIMES.get((sign, one, other)):
        return made
    if sign == "+" and one == other == STRING:
        return STRING, "({} + {})"
    lists = [type_ for type_ in (one, other) if type_.name == "list"]
    if sign == "+" and len(lists) == 2:
        both = common(one, other)
        return None if both is None else (both, "({} + {})")
    if DYN not in (one, other):
        return None
    known = other if one == DYN else one
    if lists and sign == "+" and not is_timely(known):
        return list_of(DYN), "add({}, {})"  # what the other one holds is not known
    if known in (DYN, INT) or (known == DOUBLE and sign != "%") or (known == STRING and sign == "+"):
        return known, f"{_SUMS[sign]}({{}}, {{}})"
    return None


def _membership(one: Type, other: Type) -> Made | None:
    if other == DYN:
        return None if is_timely(one) else (BOOL, "among({}, {})")
    if other.name == "map":
        if one == STRING:
            return BOOL, "({} in {})"
        return (BOOL, "among({}, {})") if one == DYN else None
    if other.name != "list" or other.of is None or (common(one, other.of) is None and {one, other.of} != {DYN, NULL}):
        return None
    # Python's `in` finds what is the same object before it compares, which for NaN is wrong.
    alike = one == other.of and one in ORDERED and one != DOUBLE
    return BOOL, "({} in {})" if alike else "among({}, {})"


def _indexing(one: Type, other: Type) -> Made | None:
    if one.of == NOTHING:
        return None
    if one.name == "map" and one.of is not None:
        if other == STRING:
            return one.of, "{}[{}]"
        return (one.of, "index({}, {})") if other == DYN else None
    if one.name == "list" and one.of is not None:
        if other == INT:
            return one.of, "element({}, {})"
        return (one.of, "index({}, {})") if other == DYN else None
    if one == DYN and other in (DYN, INT, STRING, DOUBLE, BOOL):
        return DYN, "index({}, {})"
    return None


def _text(name: str, one: Type, other: Type) -> Made | None:
    known, unknown = _TEXTS[name]
    if one == other == STRING:
        return BOOL, known
    return (BOOL, unknown) if {one, other} <= {STRING, DYN} else None


def _size(one: Type) -> Made | None:
    if one == STRING or one.of is not None:
        return INT, "len({})"
    return (INT, "size({})") if one == DYN else None


def _negative(one: Type) -> Made | None:
    made: dict[Type, Made] = {INT: (INT, "int64(-{})"), DOUBLE: (DOUBLE, "(-{})"), DYN: (DYN, "negative({})")}
    return made.get(one)


def _opposite(one: Type) -> Made | None:
    return (BOOL, "(not {})") if one == BOOL else None


_BINARY: Final[Mapping[str, Callable[[str, Type, Type], Made | None]]] = {
    **dict.fromkeys(("==", "!="), _equality),
    **dict.fromkeys(_ORDERS, _order),
    **dict.fromkeys(_SUMS, _sum),
    **dict.fromkeys(_TEXTS, _text),
    "in": lambda _, one, other: _membership(one, other),
    "[]": lambda _, one, other: _indexing(one, other),
}
_UNARY: Final[Mapping[str, Callable[[Type], Made | None]]] = {"size": _size, "-": _negative, "!": _opposite}

METHODS: Final = frozenset({*_TEXTS, "size"})
"""What is written `a.name(b)`."""
FUNCTIONS: Final = frozenset({"size", *(name for name, _ in _CONVERSIONS)})
"""What is written `name(a)`."""
MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map"})
"""What is written `list.name(x, condition of x)`."""
ELSEWHERE: Final = frozenset(
    {"bool", "bytes", "dyn", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours"}
    | {"getMilliseconds", "getMinutes", "getMonth", "getSeconds", "matches", "type", "uint"}
)
"""What CEL has and conditions have not."""


def made_of(name: str, operands: list[Type]) -> Made | None:
    """Return what an operator or a function makes of operands of these types; None where CEL has none for them."""
    if len(operands) == 2 and name in _BINARY:
        return _BINARY[name](name, operands[0], operands[1])
    if len(operands) == 1:
        return _UNARY[name](operands[0]) if name in _UNARY else _CONVERSIONS.get((name, operands[0]))
    return None


def hint(name: str, operands: list[Type]) -> str:
    """Say what to write instead, "" where that cannot be guessed."""
    some = set(operands)
    if some == {INT, DOUBLE}:
        return "; nothing is converted by itself: write 3.0 for 3, or double(...)"
    if len(some) == 2 and some & {TIMESTAMP, DURATION}:
        if STRING in some or DYN in some:
            kind = "timestamp" if TIMESTAMP in some else "duration"
            return f"; make it a {kind} first: {kind}(...)"
        if INT in some:
            return '; write a span of time as duration("30m")'
    if NULL in some:
        return "; whether there is a fact says has(...)"
    if name == "string" and some == {DOUBLE}:
        return "; how a double is written is not the same everywhere: string(int(...)) is"
    return ""
