"""The types that conditions are checked with at load, CEL's names for them, and which may meet.

What may meet is what CEL lets meet, less two things. A timestamp or a duration never mixes with `dyn`, a value whose
type is known only when it is there: both are whole milliseconds inside, and where the type is not known they could not
be told from an int. And null is compared, but not put beside other values, where implementations of CEL differ about
what comes of it. So everything that passes here means what CEL says (docs/decisions/0021).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec


class Type(msgspec.Struct, frozen=True):
    """A type: its name and, of a list or a map, what it holds. The keys of maps are strings."""

    name: str
    of: Type | None = None

    def __str__(self) -> str:
        if self.of is None:
            return self.name
        return f"{self.name}({'string, ' if self.name == 'map' else ''}{self.of})"


BOOL: Final = Type("bool")
INT: Final = Type("int")
"""64 bits with a sign, as CEL has it."""
DOUBLE: Final = Type("double")
STRING: Final = Type("string")
TIMESTAMP: Final = Type("timestamp")
"""An int of milliseconds since the epoch, UTC."""
DURATION: Final = Type("duration")
"""An int of milliseconds."""
NULL: Final = Type("null")
DYN: Final = Type("dyn")
"""Whatever JSON can hold: null, bool, int, float, str, and lists and dicts of these."""
NOTHING: Final = Type("nothing")
"""What an empty list holds: it meets every type."""

ORDERED: Final = frozenset({BOOL, INT, DOUBLE, STRING, TIMESTAMP, DURATION})

Schema: TypeAlias = Mapping[str, Type]
"""Facts by their whole dotted path. What lies between, `event.order` of `event.order.value`, is no fact itself."""


def list_of(held: Type) -> Type:
    """Return the type of lists of something."""
    return Type("list", held)


def map_of(held: Type) -> Type:
    """Return the type of maps from strings to something."""
    return Type("map", held)


def is_timely(type_: Type) -> bool:
    """Tell whether a timestamp or a duration is in it."""
    return type_ in (TIMESTAMP, DURATION) or (type_.of is not None and is_timely(type_.of))


def common(one: Type, other: Type) -> Type | None:
    """Return the type that holds the values of both, None where they may not meet."""
    if one == other or other == NOTHING:
        return one
    if one == NOTHING:
        return other
    if DYN in (one, other):
        known = other if one == DYN else one
        return None if known == NULL or is_timely(known) else DYN
    if one.name == other.name and one.of is not None and other.of is not None:
        held = common(one.of, other.of)
        return None if held is None else Type(one.name, held)
    return None
