"""Whether a condition can be true at all: a rule that can never fire is a slip, and is told at load.

Found is what follows from two parts of one `&&`: two values of one place, a value outside of what another part allows,
bounds with nothing between them, something asked of a fact that another part wants absent. More is not looked for.
What is found holds for all facts, for a part that has no value is not true either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, Final

import msgspec

from operators import expression_values as values
from operators.expression_check import Term
from operators.expression_syntax import Node
from operators.expression_types import DURATION, INT, TIMESTAMP

_TURNED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": values.equal,
    "!=": values.unequal,
    "<": values.less,
    "<=": values.at_most,
    ">": values.more,
    ">=": values.at_least,
    "in": values.among,
    "not in": lambda value, container: not values.among(value, container),
}
_OPPOSITES: Final = {"==": "!=", "!=": "==", "in": "not in"}
_SHOWN_MAX: Final = 60


class Never(msgspec.Struct, frozen=True):
    """Why a condition is never true, and by which part of it."""

    message: str
    node: Node


class _Claim(msgspec.Struct, frozen=True):
    """What a part says of a place, which is known by its Python: `test` holds of what is there and `value`."""

    place: str
    test: str
    value: Any
    term: Term
    is_whole: bool
    absent: frozenset[str] = frozenset()


def never(term: Term, source: str) -> Never | None:
    """Say why a condition is never true; None where nothing speaks against it."""
    if term.is_fixed:
        return Never("never true", term.node) if term.value is False else None
    if term.op in ("exists", "exists_one"):
        return never(term.parts[1], source)
    if term.op == "||":
        found = [never(part, source) for part in term.parts]
        return found[0] if all(found) else None
    if term.op != "&&":
        return None
    for part in term.parts:
        if inner := never(part, source):
            return inner
    claims = [claim for part in term.parts for claim in _claims(part)]
    if pair := _contradiction(claims, claims):
        return _told(*pair, source)
    for part in term.parts:
        if part.op == "||":
            pairs = [_contradiction(list(_claims(branch)), claims) for branch in part.parts]
            if pairs[0] is not None and all(pairs):
                return _told(*pairs[0], source)
    return None


def _told(one: Term, other: Term, source: str) -> Never:
    first, second = sorted((one.node, other.node), key=lambda node: node.at)
    shown = [" ".join(source[node.at : node.end].split())[:_SHOWN_MAX] for node in (first, second)]
    return Never(f"never true: `{shown[1]}` contradicts `{shown[0]}`", second)


def _claims(term: Term, *, denied: bool = False, whole: Term | None = None) -> Iterator[_Claim]:
    """Yield what a part that is true says, or one that is false (`denied`); `whole` is the part with its `!`."""
    whole = whole or term
    if term.op == "!":
        yield from _claims(term.parts[0], denied=not denied, whole=whole)
        return
    if term.op == "&&" and not denied:
        for part in term.parts:
            yield from _claims(part)
        return
    absent = term.parts[0].reads if term.op == "has" and denied else frozenset[str]()
    yield _Claim(term.code, "==", not denied, whole, is_whole=False, absent=absent)
    if term.op not in (*_TURNED, "in") or len(term.parts) != 2 or (denied and term.op not in _OPPOSITES):
        return
    test = _OPPOSITES[term.op] if denied else term.op
    left, right = term.parts
    if right.is_fixed:
        yield _Claim(left.code, test, right.value, whole, is_whole=left.type in (INT, TIMESTAMP, DURATION))
    elif left.is_fixed and test in _TURNED:
        yield _Claim(right.code, _TURNED[test], left.value, whole, is_whole=right.type in (INT, TIMESTAMP, DURATION))


def _contradiction(some: list[_Claim], others: list[_Claim]) -> tuple[Term, Term] | None:
    """Return two parts that cannot both be true."""
    pairs = combinations(some, 2) if some is others else ((one, other) for one in some for other in others)
    for one, other in pairs:
        if one.absent & other.term.reads or other.absent & one.term.reads:
            return one.term, other.term
        if one.place == other.place and one.term is not other.term and _excludes(one, other):
            return one.term, other.term
    return None


def _excludes(one: _Claim, other: _Claim) -> bool:
    for first, second in ((one, other), (other, one)):
        if first.test in ("==", "in"):
            some = first.value if first.test == "in" else [first.value]
            return not any(_holds(second, value) for value in some)
    if {one.test[0], other.test[0]} != {"<", ">"}:
        return False
    low, high = (one, other) if one.test[0] == ">" else (other, one)
    if low.is_whole:
        return bool(high.value - low.value < (low.test == ">") + (high.test == "<"))
    return not (_holds(high, low.value) and (low.test == ">=" or _holds(_strict(high), low.value)))


def _strict(claim: _Claim) -> _Claim:
    return msgspec.structs.replace(claim, test=claim.test[0])


def _holds(claim: _Claim, value: object) -> bool:
    """Tell whether a value is what a claim allows; one that cannot be compared is not."""
    try:
        return _TESTS[claim.test](value, claim.value)
    except values.EvaluationError:
        return False
