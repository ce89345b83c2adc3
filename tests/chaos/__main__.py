"""
A chaos run: load, faults, and an audit of what a consumer saw.

    make chaos FAULTS=30 SEED=1                 at half of what this machine carries; 40 minutes
    make chaos FAULTS=30 SEED=1 RATE=300        at no more than 300 records a second
    make chaos SHARDS=2 FAULTS=100              two processes that share the work, faults of one of them, and savepoints
                                                from which three go on, then one, then two; more than an hour
    make chaos EDITS=60                         somebody edits the rules meanwhile, as often, some edits are broken
    python -m tests.chaos --short               short rules and pauses
    python -m tests.chaos --record              also writes benchmarks/results/DATE-chaos-COMMIT.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.chaos.report import record, table
from tests.chaos.rules import FULL, SHORT
from tests.chaos.run import Plan, play
from tests.services.process import UnavailableError


def main(arguments: list[str]) -> int:
    """Run as the arguments say; return 1 where something was found wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.splitlines()[1])
    parser.add_argument("--faults", type=int, default=30, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="another number, another run")
    parser.add_argument("--shards", type=int, default=1, help="processes that share the work")
    parser.add_argument("--rate", type=float, default=0.0, help="records a second at most; 0: no limit but half of all")
    parser.add_argument("--edits", type=int, default=0, help="how often somebody edits the rules meanwhile, at most")
    parser.add_argument("--short", action="store_true", help="short rules and pauses")
    parser.add_argument("--folder", type=Path, help="keep logs, and all that is wrong, here")
    parser.add_argument("--record", action="store_true", help="write down what was found")
    options = parser.parse_args(arguments)
    if options.folder and options.folder.exists() and any(options.folder.iterdir()):
        parser.error(f"{options.folder} is not empty: what another run has left there would be gone on from")
    rules = SHORT if options.short else FULL
    plan = Plan(rules, options.faults, options.seed, options.rate, shards=options.shards, edits=options.edits)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            result = play(plan, options.folder or Path(temporary), tell)
        except UnavailableError as error:
            tell(f"chaos: {error}")
            return 2
    sys.stdout.write(table(result) + "\n")
    if options.folder:
        wrong = {"happened": result.happened, **result.verdict.details}
        (options.folder / "wrong.json").write_bytes(msgspec.json.format(msgspec.json.encode(wrong), indent=1))
    if options.record:
        tell(f"recorded in {record(result, arguments)}")
    return bool(result.verdict.faults)


def tell(line: str) -> None:
    """Write a line for whoever waits."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
