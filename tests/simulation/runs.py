"""
Many runs, on all cores, and one line on what came of them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from time import monotonic
from typing import Final, TypeVar

from tests.simulation.faults import FAULTS
from tests.simulation.planted import PLANTED
from tests.simulation.play import Outcome, play

T = TypeVar("T")

# Runs that a worker is given at a time: some seconds of work.
SHARE: Final = 50
WRONG_SHOWN: Final = 600
PLANTED_RUNS_MAX: Final = 500
"""By then a planted bug must have been found."""


@dataclass
class Summary:
    """What came of runs; they end with the first in which something is wrong."""

    runs: int = 0
    seconds: float = 0.0
    events: int = 0
    triggers: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failed: Outcome | None = None

    def __str__(self) -> str:
        """Tell it in a line."""
        return "; ".join(f"{name}: {told}" for name, told in self.rows)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is worth telling."""
        faults = ", ".join(f"{self.counts[kind]:,} {kind}" for kind in FAULTS if self.counts[kind])
        return [
            ("runs", f"{self.runs:,} in {self.seconds:,.1f} s"),
            ("records, triggers", f"{self.events:,}, {self.triggers:,}"),
            ("requests", f"{self.counts['requests']:,}"),
            ("faults", faults),
            ("processes killed", f"{self.counts['kills']:,}, {self.counts['torn files']:,} files torn"),
            ("processes ended by a fault of the world", f"{self.counts['ends for a fault of the world']:,}"),
        ]

    @property
    def complaint(self) -> str:
        """What is wrong, in a line that reproduces it; "" where nothing is."""
        if self.failed is None:
            return ""
        return f"make simulate SEED={self.failed.seed}: {'; '.join(self.failed.wrong)[:WRONG_SHOWN]}"


def simulate(first: int, runs: int, workers: int | None = None) -> Summary:
    """Play `runs` seeds from `first` on, until one fails: that with the least seed of those that were played."""
    began_at = monotonic()
    summary = Summary()
    for outcome in outcomes(play, first, runs, SHARE, workers):
        summary.runs += 1
        summary.events += outcome.events
        summary.triggers += outcome.triggers
        summary.counts.update(outcome.counts)
        if outcome.wrong:
            summary.failed = outcome
            break
    summary.seconds = monotonic() - began_at
    return summary


def planted() -> list[tuple[str, str]]:
    """Return by which run each planted bug is found."""
    told = []
    for name, bug in PLANTED.items():
        with bug():
            found = simulate(1, PLANTED_RUNS_MAX, workers=1)
        told.append((f"planted: {name}", f"found by run {found.runs}" if found.failed else "NOT FOUND"))
    return told


def outcomes(play: Callable[[int], T], first: int, runs: int, share: int, workers: int | None = None) -> Iterator[T]:
    """Play seeds from `first` on, in their order; `share` of them at a time in as many processes as there are cores."""
    workers = workers or os.cpu_count() or 1
    if workers == 1 or runs <= share:
        yield from map(play, range(first, first + runs))
        return
    # Forked workers would share locks with threads of this process.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield from pool.map(play, range(first, first + runs), chunksize=share)
    finally:
        pool.shutdown(cancel_futures=True)
