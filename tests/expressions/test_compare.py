"""
Random conditions beside Google's CEL; `make fuzz-expressions` compares more of them.
"""

from __future__ import annotations

import pytest

from operators import expression_terms
from operators.expression_types import Type
from tests.expressions import compare
from tests.expressions.compare import BATCH

FEW = 2_000
PLANTED_MAX = 3_000
"""By then a planted bug must have been found."""


def test_conditions_mean_what_cel_says() -> None:
    """
    The same values, errors for the same facts, wrong types for the same texts; each of these often, and what is called
    never true never is.
    """
    summary = compare.compare(1, FEW, workers=1)
    assert summary.complaint == ""
    assert summary.expressions == FEW
    counts = summary.counts
    assert counts["value"] > FEW
    assert counts["error"] > FEW / 2
    assert counts["ill-typed"] > FEW / 50
    assert counts["never true"] > FEW / 100


@pytest.mark.parametrize(
    ("kind", "known", "bug"),
    [
        ("bool is a number", "equal({}, {})", "({} == {})"),
        ("division floors", "divide_ints({}, {})", "int64({} // {})"),
        ("no overflow", "int64({} + {})", "({} + {})"),
    ],
)
def test_a_planted_bug_is_found(kind: str, known: str, bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each of the traps that Python sets is found when it is fallen into.
    """
    real = expression_terms.made_of

    def planted(name: str, operands: list[Type]) -> expression_terms.Made | None:
        made = real(name, operands)
        return (made[0], bug) if made is not None and made[1] == known else made

    monkeypatch.setattr("operators.expression_check.made_of", planted)
    assert "was to come" in compare.compare(1, PLANTED_MAX, workers=1).complaint, kind


def test_a_seed_finds_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What is told reproduces the difference: the hundred expressions of its seed.
    """
    monkeypatch.setattr("operators.expression_check.made_of", lambda *_: None)
    told = compare.compare(5, PLANTED_MAX, workers=1).complaint
    seed = int(told.removeprefix("make fuzz-expressions SEED=").partition(":")[0])
    assert compare.compare(seed, BATCH, workers=1).complaint == told
