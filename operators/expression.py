"""A condition that is ready to be asked: conditions of rules are CEL, made into Python once, when rules are read.

`config/expressions.py` makes one of text. What a condition is asked about are facts by their whole dotted path,
`facts["event.order.value"]`, KeyError where one is absent: a dict, or one that fills itself in as it is asked
(`__missing__`). Their values have the types that the schema declares: bool, int, float, str, timestamps and durations
as int of ms, lists and dicts of these; within `dyn` what JSON holds. docs/reference/conditions.md is the language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from operators.expression_check import Checking, Term
from operators.expression_code import functions, matching
from operators.expression_reach import never
from operators.expression_syntax import Node
from operators.expression_types import BOOL, DYN, Schema, Type
from operators.expression_values import FAULTS, SCALARS, EvaluationError

Facts: TypeAlias = Mapping[str, Any]


class Expression:
    """A condition, or a formula.

    Attributes:
        source: its text.
        type: what comes of it.
        paths: the facts that it may ask for.
        matches: tells of facts whether it is true, None where it has no value (something absent, out of range, of
            another type than it is used as). Of an expression that is not true or false it is None, too.
    """

    __slots__ = ("_evaluate", "_exact", "matches", "paths", "source", "type")

    def __init__(self, checking: Checking, term: Term) -> None:
        self.source = checking.source
        self.type: Type = term.type
        self.paths = frozenset(checking.paths)
        text = f"def evaluate(f):\n    return {term.code}\n"
        if term.type == BOOL:
            parts = term.parts if term.op in ("&&", "||") else (term,)
            text += matching(term.op, [(part.code, part.exact) for part in parts])
        if term.exact != term.code:
            text += f"def exact(f):\n    return {term.exact}\n"
        made = functions(text, checking.constants)
        self._evaluate: Callable[[Facts], Any] = made["evaluate"]
        self._exact: Callable[[Facts], Any] | None = made.get("exact")
        self.matches: Callable[[Facts], bool | None] = made.get("matches", _never_matches)

    def __call__(self, facts: Facts) -> Any:  # noqa: ANN401 -- any type of CEL's
        """Return the value for these facts.

        Raises:
            EvaluationError: it has none.
        """
        try:
            return self._evaluate(facts)
        except FAULTS as fault:
            if self._exact is None:
                raise _error(fault) from fault
        try:
            return self._exact(facts)
        except FAULTS as fault:
            raise _error(fault) from fault

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def expression_of(source: str, node: Node, schema: Schema, *, result: Type | None, reachable: bool) -> Expression:
    """Make an expression of what has been read.

    Args:
        source: the text, for errors to show.
        node: what the text says.
        schema: the facts that there are.
        result: what must come of it, None for anything.
        reachable: whether a condition that is never true is an error.

    Raises:
        ExpressionError: it makes no sense with these facts, comes to another type, or is never true.
    """
    checking = Checking(source, schema)
    term = checking.term(node)
    if result == BOOL:
        term = checking.truth(term)
    elif result is not None and term.type == DYN and result.name in SCALARS:
        code, exact = (f"of_type({python}, {result.name!r})" for python in (term.code, term.exact))
        term = msgspec.structs.replace(term, type=result, code=code, exact=exact)
    elif result is not None and term.type != result:
        raise checking.fault(f"must be {result}, and is {term.type}", node.at, node.end)
    if reachable and result == BOOL and (found := never(term, source)) is not None:
        raise checking.fault(found.message, found.node.at, found.node.end)
    return Expression(checking, term)


def _never_matches(_: Facts) -> bool | None:
    return None


def _error(fault: Exception) -> EvaluationError:
    """Say what was wrong: of Python's errors only a missing key comes here as itself."""
    if isinstance(fault, EvaluationError):
        return fault
    if isinstance(fault, KeyError):
        return EvaluationError(f"no such key: {fault.args[0] if fault.args else ''}")
    return EvaluationError(f"{type(fault).__name__}: {fault}")
