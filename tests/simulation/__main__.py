"""
Seeded runs of the whole pipeline with faults: `make simulate`.

    make simulate                               200 of them, some ten seconds
    make simulate RUNS=10000                    before a release
    make simulate RUNS=10000 RECORD=1           also writes benchmarks/results/DATE-simulation-COMMIT.md
    make simulate SEED=1116                     one of them again, with all that happened where something is wrong
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from tests.chaos.report import keep
from tests.simulation.runs import planted, simulate

RUNS: Final = 200


def main() -> int:
    """Play runs; print a line on them, or one that reproduces what is wrong. Where it was one, tell what happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="the first, or the only one where --runs is not given")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--record", action="store_true", help="write down what was found, planted bugs too")
    arguments = parser.parse_args()
    runs = arguments.runs or (RUNS if arguments.seed is None else 1)
    summary = simulate(arguments.seed or 1, runs)
    if summary.failed and runs == 1:
        print("\n".join(summary.failed.diary))  # noqa: T201 -- what it is for
    print(summary.complaint or summary)  # noqa: T201 -- as above
    if arguments.record:
        command = ["python", "-m", "tests.simulation", *sys.argv[1:]]
        faults = [summary.complaint] if summary.failed else []
        print(f"recorded in {keep('simulation', command, summary.rows + planted(), faults)}")  # noqa: T201 -- as above
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
