"""
A record that breaks a law, made as small as it can be while it breaks the same law.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from connectors.formats.common import Unusable
from connectors.formats.fields import json_value
from tests.fuzz.hostile import Json

TRIES_MAX: Final = 3_000

_VALUES: Final = re.compile(r"\d+")


def kind_of(wrong: str) -> str:
    """Return what is wrong without the values that differ from record to record, and where it was raised."""
    head, _, where = wrong.partition(" at File ")
    return f"{_VALUES.sub('', head.partition(': ')[0])} {where}"


def smallest(raw: bytes, wrong_of: Callable[[bytes], str]) -> bytes:
    """Return a smaller record of which `wrong_of` says the same kind of thing."""
    kind, left = kind_of(wrong_of(raw)), [TRIES_MAX]

    def is_wrong(candidate: bytes) -> bool:
        left[0] -= 1
        return left[0] > 0 and kind_of(wrong_of(candidate)) == kind

    try:
        told = json_value(raw)
        again = msgspec.json.encode(told)
    except (Unusable, UnicodeError, OverflowError, RecursionError):
        return _of_bytes(raw, is_wrong)
    return _of_bytes(_of_told(told, is_wrong) if is_wrong(again) else raw, is_wrong)


def _of_told(told: Json, is_wrong: Callable[[bytes], bool]) -> bytes:
    """Leave out names and items, and put the least of its kind in the place of values."""
    goes_on = True
    while goes_on:
        goes_on = False
        for smaller in _smaller(told):
            if is_wrong(msgspec.json.encode(smaller)):
                told, goes_on = smaller, True
                break
    return msgspec.json.encode(told)


def _smaller(told: Json) -> Iterator[Json]:
    """Yield the value with one thing less in it."""
    if isinstance(told, dict):
        for name in list(told):
            yield {other: value for other, value in told.items() if other != name}
        for name, value in told.items():
            for less in _smaller(value):
                yield {**told, name: less}
    elif isinstance(told, list):
        for number in range(len(told)):
            yield told[:number] + told[number + 1 :]
        for number, value in enumerate(told):
            for less in _smaller(value):
                yield [*told[:number], less, *told[number + 1 :]]
    elif isinstance(told, str) and len(told) > 1:
        yield told[: len(told) // 2]
        yield told[len(told) // 2 :]


def _of_bytes(raw: bytes, is_wrong: Callable[[bytes], bool]) -> bytes:
    """Cut out ever shorter pieces."""
    step = len(raw) // 2
    while step:
        start = 0
        while start < len(raw):
            less = raw[:start] + raw[start + step :]
            if is_wrong(less):
                raw = less
            else:
                start += step
        step //= 2
    return raw
