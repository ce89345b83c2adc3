"""Paths into records: JMESPath expressions, made ready once.

Most are chains of names, such as `customer.email`, or such chains with others to fall back on (`phone || mobile`).
Those are walked here, which tells which value was taken; every other expression is the library's.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import jmespath

Step: TypeAlias = str | int
Steps: TypeAlias = tuple[Step, ...]
"""The names and indices on the way to a value."""

_FALSE_LIKE: Final[tuple[object, ...]] = (None, False, "", [], {})
"""What `||` passes over, as JMESPath has it. 0 is a value."""


class Path:
    """A path into a record; `compiled` is what the library makes of it."""

    def __init__(self, expression: str) -> None:
        """Make it ready.

        Raises:
            jmespath.exceptions.JMESPathError: it is no JMESPath expression.
        """
        self.compiled = jmespath.compile(expression)
        self._chains = _chains(self.compiled.parsed)

    def find(self, told: object) -> tuple[Any, Steps | None]:
        """Return the value at the path, None where there is none, and the way to it; None where that is not known.

        Never raises: an expression that cannot do with the record what it is to do has no value.
        """
        if self._chains is None:
            try:
                return self.compiled.search(told), None
            except Exception:  # noqa: BLE001 -- what functions raise is theirs: of types, of infinities, of depth
                return None, None
        *first, last = self._chains
        for steps in first:
            found = _walked(told, steps)
            if not any(found is one or (found == one and type(found) is type(one)) for one in _FALSE_LIKE):
                return found, steps
        return _walked(told, last), last


def _walked(told: Any, steps: Steps) -> Any:  # noqa: ANN401 -- JSON of any kind
    for step in steps:
        if isinstance(step, str):
            told = told.get(step) if isinstance(told, dict) else None
        elif isinstance(told, list) and -len(told) <= step < len(told):
            told = told[step]
        else:
            return None
    return told


def _chains(node: Any) -> list[Steps] | None:  # noqa: ANN401 -- a tree of the library's
    """Return the chains that an expression is made of, in their order; None where it is more than that."""
    if node["type"] != "or_expression":
        steps = _steps(node)
        return None if steps is None else [steps]
    sides = [_chains(side) for side in node["children"]]
    return None if None in sides else [steps for side in sides if side is not None for steps in side]


def _steps(node: Any) -> Steps | None:  # noqa: ANN401 -- as above
    match node:
        case {"type": "current" | "identity"}:
            return ()
        case {"type": "field", "value": str(name)}:
            return (name,)
        case {"type": "index", "value": int(number)}:
            return (number,)
        case {"type": "subexpression" | "index_expression", "children": children}:
            parts = [_steps(child) for child in children]
            return None if None in parts else tuple([step for part in parts if part is not None for step in part])
        case _:
            return None


def without(told: Any, taken: list[Steps]) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Return a record without the values at the ends of some ways, and without what has nothing left in it then."""
    below: dict[Step, list[Steps]] = {}
    for steps in taken:
        if steps:
            below.setdefault(steps[0], []).append(steps[1:])
    if isinstance(told, dict):
        return {name: one for name, value in told.items() if not _is_gone(one := _kept(value, below.get(name)))}
    if isinstance(told, list):
        kept = [_kept(value, below.get(number)) for number, value in enumerate(told)]
        return [{} if _is_gone(one) else one for one in kept] if any(not _is_gone(one) for one in kept) else _GONE
    return told


class _Gone:
    """What nothing is left of."""


_GONE: Final = _Gone()


def _is_gone(value: object) -> bool:
    return value is _GONE


def _kept(value: Any, taken: list[Steps] | None) -> Any:  # noqa: ANN401 -- JSON of any kind
    if taken is None:
        return value
    if () in taken:
        return _GONE
    left = without(value, taken)
    return _GONE if left in ({}, []) and left is not value else left
