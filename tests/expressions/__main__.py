"""
Random conditions, ours beside Google's: `make fuzz-expressions`.

    make fuzz-expressions                                  50,000 expressions, about two minutes on two cores
    make fuzz-expressions EXPRESSIONS=50000 RECORD=1       also writes benchmarks/results/DATE-expressions-COMMIT.md
    make fuzz-expressions SEED=252                         the hundred expressions of one seed again
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from tests.chaos.report import keep
from tests.expressions.compare import BATCH, compare

EXPRESSIONS: Final = 50_000


def main() -> int:
    """Compare; print what came of it, or the expression that differs and what reproduces it."""
    parser = argparse.ArgumentParser(prog="python -m tests.expressions")
    parser.add_argument("--seed", type=int, help="the first, or the only one where --expressions is not given")
    parser.add_argument("--expressions", type=int)
    parser.add_argument("--record", action="store_true", help="write down what was found")
    arguments = parser.parse_args()
    count = arguments.expressions or (EXPRESSIONS if arguments.seed is None else BATCH)
    summary = compare(arguments.seed or 1, count)
    print(summary.complaint or summary)  # noqa: T201 -- what it is for
    if arguments.record:
        command = ["python", "-m", "tests.expressions", *sys.argv[1:]]
        faults = [summary.complaint] if summary.complaint else []
        print(f"recorded in {keep('expressions', command, summary.rows, faults)}")  # noqa: T201 -- as above
    return 1 if summary.complaint else 0


if __name__ == "__main__":
    sys.exit(main())
