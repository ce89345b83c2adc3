"""CEL's operations on values as Python has them, where Python alone would do something else.

A bool is no number here: `true == 1` is false and `true < 2` an error. Ints have 64 bits, division truncates, `%` has
the sign of what is divided. A number of JSON is an int or a float as it was written; they compare as doubles.
Nothing converts by itself. Lists and maps compare by what they hold, so that what is not equal to itself (NaN) is not.

Each function is for operands whose types are known only now, unless its name says which they have.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from operators.expression_syntax import ELEMENTS_MAX

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
SCALARS: Final[Mapping[str, type]] = {"bool": bool, "int": int, "double": float, "string": str}
"""The types of JSON's that are not made of others, as Python has them."""

_NUMBERS: Final = frozenset({int, float})
_ORDERED: Final = frozenset({int, float, str, bool})
_INT: Final = re.compile(r"\s*[+-]?[0-9]{1,19}\s*", re.ASCII)
_DOUBLE: Final = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)


class EvaluationError(Exception):
    """A condition that has no value for these facts: something is absent, of another type, or out of its range."""


FAULTS: Final = (EvaluationError, LookupError, TypeError, AttributeError, ArithmeticError, ValueError, RecursionError)
"""What an evaluation may raise; of Python's own, only what stands for an error of CEL's."""


def _none(what: str, *operands: object) -> EvaluationError:
    return EvaluationError(f"no {what} for {', '.join(type_name(operand) for operand in operands)}")


def type_name(value: object) -> str:
    """Name the type of a value as CEL does."""
    names = {bool: "bool", int: "int", float: "double", str: "string", list: "list", dict: "map", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def of_type(value: Any, name: str) -> Any:  # noqa: ANN401 -- whatever JSON holds, as below
    """Return a scalar as it is if it is of the type that is named; an int is a double, too."""
    if type(value) is SCALARS[name] or (name == "double" and type(value) is int):
        return value
    raise _none(name, value)


def flag(value: Any) -> bool:  # noqa: ANN401
    """Return a bool as it is."""
    if value is True or value is False:
        return value
    raise _none("truth", value)


def equal(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Compare: values of different types differ, ints and doubles compare as numbers."""
    kind = type(one)
    if kind is type(other):
        if kind is list:
            return len(one) == len(other) and all(map(equal, one, other))
        if kind is dict:
            return len(one) == len(other) and all(key in other and equal(one[key], other[key]) for key in one)
        return bool(one == other)
    return kind in _NUMBERS and type(other) in _NUMBERS and float(one) == float(other)


def unequal(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Compare."""
    return not equal(one, other)


def _pair(one: Any, other: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return two values that Python orders as CEL does."""
    kind = type(one)
    if kind is type(other):
        if kind in _ORDERED:
            return one, other
    elif kind in _NUMBERS and type(other) in _NUMBERS:
        return float(one), float(other)
    raise _none("order", one, other)


def less(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Order two numbers, strings (by code point) or bools (false first)."""
    one, other = _pair(one, other)
    return bool(one < other)


def at_most(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Order, see `less`."""
    one, other = _pair(one, other)
    return bool(one <= other)


def more(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Order, see `less`."""
    one, other = _pair(one, other)
    return bool(one > other)


def at_least(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Order, see `less`."""
    one, other = _pair(one, other)
    return bool(one >= other)


def int64(number: int) -> int:
    """Return an int that 64 bits hold."""
    if INT_MIN <= number <= INT_MAX:
        return number
    raise EvaluationError("integer overflow")


def divide_ints(one: int, other: int) -> int:
    """Divide, and drop the rest: -7 / 2 is -3."""
    if other == 0:
        raise EvaluationError("division by zero")
    quotient = abs(one) // abs(other)
    return int64(quotient if (one < 0) == (other < 0) else -quotient)


def rest_of_ints(one: int, other: int) -> int:
    """Return the rest, with the sign of what is divided: -7 % 2 is -1."""
    if other == 0:
        raise EvaluationError("modulus by zero")
    if one == INT_MIN and other == -1:
        raise EvaluationError("integer overflow")
    rest = abs(one) % abs(other)
    return -rest if one < 0 else rest


def divide_doubles(one: float, other: float) -> float:
    """Divide as IEEE 754 does: by zero gives an infinity, or NaN."""
    if other != 0:
        return one / other
    if one == 0 or math.isnan(one):
        return math.nan
    return math.copysign(math.inf, one) * math.copysign(1.0, other)


def _arithmetic(
    sign: str, of_ints: Callable[[int, int], int] | None, of_doubles: Callable[[float, float], float] | None
) -> Callable[[Any, Any], Any]:
    """Make an operation on two ints or two doubles."""

    def operation(one: Any, other: Any) -> Any:  # noqa: ANN401
        kind = type(one)
        if kind is type(other):
            if kind is int and of_ints is not None:
                return of_ints(one, other)
            if kind is float and of_doubles is not None:
                return of_doubles(one, other)
            if sign == "+" and kind in (str, list):
                return one + other
        raise _none(sign, one, other)

    return operation


add: Final = _arithmetic("+", lambda one, other: int64(one + other), lambda one, other: one + other)
subtract: Final = _arithmetic("-", lambda one, other: int64(one - other), lambda one, other: one - other)
multiply: Final = _arithmetic("*", lambda one, other: int64(one * other), lambda one, other: one * other)
divide: Final = _arithmetic("/", divide_ints, divide_doubles)
rest: Final = _arithmetic("%", rest_of_ints, None)


def negative(value: Any) -> Any:  # noqa: ANN401
    """Return the number with the other sign."""
    if type(value) is int:
        return int64(-value)
    if type(value) is float:
        return -value
    raise _none("-", value)


def element(container: Sequence[Any], place: int) -> Any:  # noqa: ANN401
    """Return an element of a list, from 0; there is none before the first."""
    if 0 <= place < len(container):
        return container[place]
    raise EvaluationError(f"no element {place} in a list of {len(container)}")


def index(container: Any, place: Any) -> Any:  # noqa: ANN401
    """Return an element of a list by a whole number, or of a map by its key."""
    if type(container) is list and type(place) in _NUMBERS and place == place // 1:
        return element(container, int(place))
    if type(container) is dict and type(place) is str:
        return container[place]
    raise _none("element", container, place)


def select(container: Any, field: str) -> Any:  # noqa: ANN401
    """Return a field of a map."""
    if type(container) is dict:
        return container[field]
    raise _none(f"field {field}", container)


def has_field(container: Any, field: str) -> bool:  # noqa: ANN401
    """Tell whether a map has a field."""
    if type(container) is dict:
        return field in container
    raise _none(f"field {field}", container)


def present(facts: Mapping[str, Any], path: str) -> bool:
    """Tell whether there is a fact. `in` would not ask a dict that fills itself in when asked."""
    if type(facts) is dict:
        return path in facts
    try:
        facts[path]
    except KeyError:
        return False
    return True


def among(value: Any, container: Any) -> bool:  # noqa: ANN401
    """Tell whether a list has an element that equals a value, or a map such a key."""
    if type(container) is list:
        return any(equal(value, one) for one in container)
    if type(container) is dict:
        return type(value) is str and value in container
    raise _none("`in`", container)


def among_strings(value: Any, strings: frozenset[str]) -> bool:  # noqa: ANN401
    """Tell whether a value is one of these strings."""
    return type(value) is str and value in strings


def size(value: Any) -> int:  # noqa: ANN401
    """Count code points, elements or entries."""
    if type(value) in (str, list, dict):
        return len(value)
    raise _none("size", value)


def starts(text: Any, part: Any) -> bool:  # noqa: ANN401
    """Tell whether a string starts with another."""
    if type(text) is type(part) is str:
        return text.startswith(part)
    raise _none("startsWith", text, part)


def ends(text: Any, part: Any) -> bool:  # noqa: ANN401
    """Tell whether a string ends with another."""
    if type(text) is type(part) is str:
        return text.endswith(part)
    raise _none("endsWith", text, part)


def contains(text: Any, part: Any) -> bool:  # noqa: ANN401
    """Tell whether a string contains another."""
    if type(text) is type(part) is str:
        return part in text
    raise _none("contains", text, part)


def each(container: Any) -> Any:  # noqa: ANN401
    """Return what a macro looks through: the elements of a list, the keys of a map; 1,000 at most."""
    if type(container) is not list and type(container) is not dict:
        raise _none("elements", container)
    if len(container) > ELEMENTS_MAX:
        raise EvaluationError(f"{len(container):,} elements; {ELEMENTS_MAX:,} are looked through at most")
    return container


def elements(container: Any) -> Any:  # noqa: ANN401
    """Return what a list is made of: the elements of a list, no map's keys."""
    if type(container) is not list:
        raise _none("elements", container)
    return each(container)


def to_int(value: Any) -> int:  # noqa: ANN401
    """Make an int: a double is cut to its whole part, a string read in base ten; true is 1 (as in Google's)."""
    if type(value) is int or type(value) is bool:
        return int(value)
    if type(value) is float and math.isfinite(value) and -(2.0**63) < value < 2.0**63:
        return int(value)
    if type(value) is str and _INT.fullmatch(value):
        return int64(int(value))
    raise EvaluationError(f"this {type_name(value)} is no int")


def to_double(value: Any) -> float:  # noqa: ANN401
    """Make a double: of an int the nearest, a string is read."""
    if type(value) in _NUMBERS:
        return float(value)
    if type(value) is str and (_DOUBLE.fullmatch(value) or value.lower() in ("nan", "inf", "-inf", "+inf")):
        return float(value)
    raise EvaluationError(f"this {type_name(value)} is no double")


def to_string(value: Any) -> str:  # noqa: ANN401
    """Write an int or a bool as CEL does. How a double is written differs between implementations: an error here."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    raise _none("string", value)


def all_of(*operands: Callable[[], Any]) -> bool:
    """`&&` as CEL has it: one false makes it false, whatever the others are, an error included."""
    return _decided(operands, deciding=False)


def any_of(*operands: Callable[[], Any]) -> bool:
    """`||` as CEL has it: one true makes it true, whatever the others are, an error included."""
    return _decided(operands, deciding=True)


def all_in(container: Any, test: Callable[[Any], Any]) -> bool:  # noqa: ANN401
    """`all`: as `&&` of what the test says of each element."""
    return _decided([partial(test, one) for one in each(container)], deciding=False)


def any_in(container: Any, test: Callable[[Any], Any]) -> bool:  # noqa: ANN401
    """`exists`: as `||` of what the test says of each element."""
    return _decided([partial(test, one) for one in each(container)], deciding=True)


def _decided(operands: Sequence[Callable[[], Any]], *, deciding: bool) -> bool:
    """Return `deciding` where an operand is that; else raise where one raised; else the opposite."""
    raised: Exception | None = None
    for operand in operands:
        try:
            if flag(operand()) is deciding:
                return deciding
        except FAULTS as fault:
            raised = raised or fault
    if raised is not None:
        raise raised
    return not deciding
