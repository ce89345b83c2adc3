"""
Our conditions beside Google's: `cel-expr-python`, the C++ implementation.

What we accept must mean what CEL says: the same type check, the same value, an error where that has one. We may refuse
what CEL takes, for the reasons in REFUSALS only. And what we call never true must never be true.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from random import Random
from time import monotonic
from typing import Any, Final, NamedTuple

from config.expressions import compile_condition
from operators.expression import Expression
from operators.expression_syntax import ExpressionError
from operators.expression_types import DURATION, TIMESTAMP, Type
from operators.expression_values import EvaluationError
from tests.expressions.generate import SCHEMA, Maker, facts_of
from tests.simulation.runs import outcomes

BATCH: Final = 100
"""Expressions of one seed."""
ASKED: Final = 4
"""Sets of facts that each is asked of."""
DEPTH_MAX: Final = 4
SHARE: Final = 5

# The library ships its types without saying so (no py.typed), and nothing here shall be told to ignore it.
cel: Any = import_module("cel_expr_python.cel")

REFUSALS: Final = (
    "always fails",
    "always the same choice",
    "among their own only",
    "inside another one",
    "more than 32 deep",
    "not for .*(timestamp|duration).*(dyn|null)",
    "not for .*(dyn|null).*(timestamp|duration)",
    "one type must come of both.*(timestamp|duration).*(dyn|null)",
    "one type must come of both.*(dyn|null).*(timestamp|duration)",
    "not for .*null",
    "one type must come of both.*null",
    "not for .*nothing|not (list|map)\\(.*nothing|map\\(string, nothing\\) has no fields",
    "`(int|string)` is not for (double|timestamp|duration)",
    "`\\[...\\]` is not for dyn and (list|map)",
)
RUNTIME_REFUSALS: Final = ("no string for double", "no elements for map")
"""Errors of ours alone, where a type is known only then."""

_TIMES: Final = ("event.at", "profile.idle")
_ABSENT = object()
_HAS: Final = re.compile(r"\bhas\(([a-z.]+)\)")


class Compiled(NamedTuple):
    """An expression of the library's, and whether it wants facts in maps."""

    expression: Any
    is_nested: bool


class Oracle:
    """Google's implementation, with our schema."""

    def __init__(self) -> None:
        kinds = {path: self.type_of(type_) for path, type_ in SCHEMA.items()}
        presence = {self.presence(path): cel.Type.BOOL for path in SCHEMA}
        anything = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        # With each fact declared by its path types are checked as ours are; but has() wants fields, so that what
        # is evaluated are maps in maps, except where there are times: the library takes none in a map.
        self._typed = cel.NewEnv(variables={**kinds, **presence})
        self._nested = cel.NewEnv(variables={"event": anything, "profile": anything, "now": cel.Type.TIMESTAMP})

    def type_of(self, type_: Type) -> Any:  # noqa: ANN401 -- the library's
        """Name a type of ours as the library does."""
        if type_.of is not None:
            held = self.type_of(type_.of)
            return cel.Type.List(held) if type_.name == "list" else cel.Type.Map(cel.Type.STRING, held)
        return getattr(cel.Type, type_.name.upper())

    def presence(self, path: str) -> str:
        """Name a variable that stands for has()."""
        return f"has_{path.replace('.', '_')}"

    def compiled(self, text: str) -> Compiled | None:
        """Return the expression, None where its types are wrong."""
        typed = _HAS.sub(lambda found: self.presence(found[1]) if found[1] in SCHEMA else found[0], text)
        try:
            checked = self._typed.compile(typed)
        except RuntimeError:
            return None
        return (
            Compiled(checked, is_nested=False)
            if any(path in text for path in _TIMES)
            else Compiled(self._nested.compile(text, disable_check=True), is_nested=True)
        )

    def value(self, compiled: Compiled, facts: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return the value, _ABSENT where there is none."""
        try:
            found = compiled.expression.eval(data=self._nest(facts) if compiled.is_nested else self._flat(facts))
        except RuntimeError:
            return _ABSENT
        return _ABSENT if found.type() == cel.Type.ERROR else found.plain_value()

    def _flat(self, facts: dict[str, Any]) -> dict[str, Any]:
        flat: dict[str, Any] = {self.presence(path): path in facts for path in SCHEMA}
        return flat | {path: _timed(value, SCHEMA[path]) for path, value in facts.items()}

    def _nest(self, facts: dict[str, Any]) -> dict[str, Any]:
        nested: dict[str, Any] = {"event": {"order": {}}, "profile": {"cart": {}}}
        for path, value in facts.items():
            if path in _TIMES:
                continue
            *groups, last = path.split(".")
            into = nested
            for group in groups:
                into = into[group]
            into[last] = _timed(value, SCHEMA[path])
        return nested


def _timed(value: Any, type_: Type) -> Any:  # noqa: ANN401
    if type_ == TIMESTAMP:
        return datetime.fromtimestamp(value / 1000, UTC)
    return timedelta(milliseconds=value) if type_ == DURATION else value


@cache
def oracle() -> Oracle:
    """Return the oracle, made once a process."""
    return Oracle()


@dataclass
class Outcome:
    """What came of the expressions of one seed."""

    seed: int
    counts: Counter[str]
    wrong: str = ""


@dataclass
class Summary:
    """What came of many; they end with the first difference."""

    first: int
    expressions: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    complaint: str = ""

    def __str__(self) -> str:
        return "; ".join(f"{name}: {told}" for name, told in self.rows)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is worth telling."""
        counts = self.counts
        refused = ", ".join(
            f"{n:,} {name[8:]}".replace("|", " or ")
            for name, n in sorted(counts.items())
            if name.startswith("refused ")
        )
        return [
            ("expressions", f"{self.expressions:,} in {self.seconds:,.1f} s, seeds from {self.first}"),
            ("with wrong types for both", f"{counts['ill-typed']:,}"),
            ("asked of facts", f"{counts['value'] + counts['error']:,} times"),
            ("of these a value from both", f"{counts['value']:,}"),
            ("an error from both", f"{counts['error']:,}"),
            ("never true, said at load", f"{counts['never true']:,}"),
            ("refused by ours alone", refused or "none"),
            ("differences", self.complaint or "none"),
        ]


def play(seed: int) -> Outcome:
    """Compare the expressions of a seed."""
    random = Random(seed)
    counts = Counter[str]()
    for number in range(BATCH):
        maker = Maker(random)
        type_ = random.choice([*SCHEMA.values()]) if random.random() < 0.3 else SCHEMA["profile.known"]
        text = maker.expression(type_, random.randint(1, DEPTH_MAX))
        asked = [facts_of(random) for _ in range(ASKED)]
        if wrong := difference(text, asked, counts):
            return Outcome(seed, counts, f"make fuzz-expressions SEED={seed}: expression {number}, {text!r}: {wrong}")
    return Outcome(seed, counts)


def difference(text: str, asked: list[dict[str, Any]], counts: Counter[str]) -> str:
    """Say what differs, "" where nothing does."""
    compiled = oracle().compiled(text.replace("@(", "dyn("))
    text = text.replace("@(", "(")
    try:
        ours = compile_condition(text, SCHEMA, result=None)
    except ExpressionError as error:
        if compiled is None:
            counts["ill-typed"] += 1
            return ""
        if oracle().compiled(text) is None:  # with `dyn(` it asks less than it would
            counts["ill-typed"] += 1
            return ""
        reason = next((reason for reason in REFUSALS if re.search(reason, error.message)), None)
        if reason is None:
            return f"refused by ours alone: {error.message}"
        counts[f"refused {reason}"] += 1
        return ""
    if compiled is None:
        return "accepted by ours alone"
    is_never = ours.type.name == "bool" and _is_never(text)
    counts["never true"] += is_never
    for facts in asked:
        if wrong := _asked(ours, compiled, facts, counts, is_never=is_never):
            return f"{wrong}, of {facts!r}"
    return ""


def _is_never(text: str) -> bool:
    try:
        compile_condition(text, SCHEMA)
    except ExpressionError:
        return True  # it was accepted as an expression, so that this is all it can be
    return False


def _asked(ours: Expression, compiled: Compiled, facts: dict[str, Any], counts: Counter[str], *, is_never: bool) -> str:
    theirs = oracle().value(compiled, facts)
    try:
        value = ours(facts)
    except EvaluationError as error:
        if theirs is not _ABSENT and str(error) in RUNTIME_REFUSALS:
            counts[f"refused {error}"] += 1
            return ""
        if theirs is not _ABSENT:
            return f"an error ({error}) where {theirs!r} was to come"
        counts["error"] += 1
        return "" if ours.matches(facts) is None else "matches() where it has no value"
    if theirs is _ABSENT:
        return f"{value!r} where an error was to come"
    counts["value"] += 1
    if not same(value, theirs, ours.type):
        return f"{value!r} where {theirs!r} was to come"
    if ours.type.name == "bool" and ours.matches(facts) is not value:
        return f"matches() is {ours.matches(facts)}"
    return "true, and said to be never true" if is_never and value is True else ""


def same(value: Any, theirs: Any, type_: Type) -> bool:  # noqa: ANN401
    """Compare values, their types too; NaN is NaN, and ms are instants or spans."""
    if isinstance(theirs, datetime):
        return type_ == TIMESTAMP and (theirs - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) == value
    if isinstance(theirs, timedelta):
        return type_ == DURATION and theirs // timedelta(milliseconds=1) == value
    if isinstance(theirs, list) and isinstance(value, list):
        held = type_.of or type_
        return len(value) == len(theirs) and all(same(a, b, held) for a, b in zip(value, theirs, strict=True))
    if isinstance(theirs, dict) and isinstance(value, dict):
        held = type_.of or type_
        return value.keys() == theirs.keys() and all(same(one, theirs[key], held) for key, one in value.items())
    if isinstance(theirs, float) and isinstance(value, float):
        return (math.isnan(value) and math.isnan(theirs)) or value == theirs
    return type(value) is type(theirs) and bool(value == theirs)


def compare(first: int, expressions: int, workers: int | None = None) -> Summary:
    """Play seeds from `first` on until there were so many expressions, or there is a difference."""
    began_at = monotonic()
    summary = Summary(first)
    for outcome in outcomes(play, first, -(-expressions // BATCH), SHARE, workers):
        summary.expressions += BATCH
        summary.counts.update(outcome.counts)
        if outcome.wrong:
            summary.complaint = outcome.wrong
            break
    summary.seconds = monotonic() - began_at
    return summary
