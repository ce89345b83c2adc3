"""Packing: how state becomes rows of plain values, small enough that a million people fit a laptop.

Instants are kept as distances from a base that is close to them, for small numbers are short in msgpack; what is
empty at the end of a row is left out, and a name that the profile has anyway is a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from operators.event import FOREVER

Row = list[Any]

_HEX_CHARS: Final = 32


def ago(base: int, at: int) -> int | None:
    """Return how long before `base` an instant lies; None for never: `FOREVER` and what is negative."""
    return None if at == FOREVER or at < 0 else base - at


def instant(base: int, before: int | None, never: int) -> int:
    """Return the instant that `ago` was given; `never` is what stands for none there."""
    return never if before is None else base - before


def trim(row: Row, empty: Row) -> Row:
    """Drop from the end of `row` what is as in `empty`, a row of which nothing is set."""
    count = len(row)
    while count and row[count - 1] == empty[count - 1]:
        count -= 1
    return row[:count]


def padded(row: Row, empty: Row) -> Row:
    """Return `row` with what `trim` dropped."""
    return row + empty[len(row) :]


def short_name(name: str, names: dict[str, int]) -> str | int:
    """Return the number of `name` among `names`, itself where it is none of them."""
    return names.get(name, name)


def long_name(name: str | int, names: Sequence[str]) -> str:
    """Return the name that `short_name` was given."""
    return names[name] if isinstance(name, int) else name


def short_id(digest: str) -> bytes | str:
    """Return a digest of ours in half its size; what is none is left as it is."""
    return bytes.fromhex(digest) if len(digest) == _HEX_CHARS else digest


def long_id(told: bytes | str) -> str:
    """Return the digest that `short_id` was given."""
    return told.hex() if isinstance(told, bytes) else told


def short_number(number: float) -> float | int:
    """Return a whole number as an integer, which is shorter."""
    whole = int(number)
    return whole if whole == number else number
