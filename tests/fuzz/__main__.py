"""
Spoilt records of every format, held against what decoding promises: `make fuzz`.

    make fuzz                                   100,000 records, some ten seconds
    make fuzz RECORDS=1000000 RECORD=1          also writes benchmarks/results/DATE-fuzz-COMMIT.md
    make fuzz SEED=1116                         the fifty records of one seed again
    make fuzz SEED=1 RECORDS=5000               those of a hundred seeds

Chance is `random.Random(seed)` and no Hypothesis, which takes a millisecond to draw a record: a million take minutes.
Hypothesis has its own laws for each format (tests/connectors/test_formats_*.py).
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from tests.chaos.report import keep
from tests.fuzz.plan import RECORDS as BATCH
from tests.fuzz.runs import fuzz

RECORDS: Final = 100_000


def main() -> int:
    """Play batches; print what came of them, or the record that breaks a law and what reproduces it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seed", type=int, help="the first, or the only one where --records is not given")
    parser.add_argument("--records", type=int)
    parser.add_argument("--record", action="store_true", help="write down what was found")
    arguments = parser.parse_args()
    summary = fuzz(arguments.seed or 1, arguments.records or (RECORDS if arguments.seed is None else BATCH))
    print(summary.complaint or summary)  # noqa: T201 -- what it is for
    if arguments.record:
        command = ["python", "-m", "tests.fuzz", *sys.argv[1:]]
        faults = [summary.complaint] if summary.complaint else []
        print(f"recorded in {keep('fuzz', command, summary.rows, faults)}")  # noqa: T201 -- as above
    return 1 if summary.complaint else 0


if __name__ == "__main__":
    sys.exit(main())
