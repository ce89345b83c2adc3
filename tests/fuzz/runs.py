"""
Many batches, on all cores, and what came of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from tests.fuzz.laws import broken, fates
from tests.fuzz.plan import RECORDS, batch_of
from tests.fuzz.shrink import smallest
from tests.simulation.runs import outcomes

SHARE: Final = 100
"""Batches that a worker is given at a time: a second of work."""


@dataclass
class Outcome:
    """What came of one batch."""

    seed: int
    counts: Counter[str]
    wrong: str = ""


@dataclass
class Summary:
    """What came of batches; they end with the first in which something is wrong."""

    first: int
    records: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    complaint: str = ""
    """What is wrong, with what replays it; "" where nothing is."""

    def __str__(self) -> str:
        return "; ".join(f"{name}: {told}" for name, told in self.rows)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is worth telling."""
        counts = self.counts
        return [
            ("records", f"{self.records:,} in {self.seconds:,.1f} s, seeds from {self.first}"),
            ("accepted", f"{counts['accepted']:,} as {counts['events']:,} events"),
            ("rejected", f"{counts['rejected']:,}, of {counts['in part']:,} more a part"),
            ("events screened", f"{counts['screened']:,}"),
            ("for", self._told("for ")),
            ("set to", self._told("set to ")),
            ("with headers, under pseudonyms", f"{counts['with headers']:,}, {counts['under pseudonyms']:,}"),
            ("of", ", ".join(self._shares())),
            ("raised, lost, told twice otherwise", self.complaint or "none"),
        ]

    def _told(self, what: str) -> str:
        found = sorted((name.removeprefix(what), n) for name, n in self.counts.items() if name.startswith(what))
        return ", ".join(f"{n:,} {name}" for name, n in found)

    def _shares(self) -> list[str]:
        """Say of each format how many records there were, and how many of them were still accepted."""
        names = sorted(name.removeprefix("of ") for name in self.counts if name.startswith("of "))
        shares = [(name, self.counts[f"of {name}"], self.counts[f"accepted of {name}"]) for name in names]
        return [f"{total:,} {name} ({good / total:.0%} accepted)" for name, total, good in shares]


def play(seed: int) -> Outcome:
    """Decode the batch of a seed, and hold what becomes of it against the laws."""
    families, batch = batch_of(seed)
    number, wrong = broken(batch)
    if wrong:
        one = batch.one(number)
        least = smallest(one.raws[0], lambda raw: broken(one._replace(raws=[raw]))[1])
        came = f", {one.origins[0]}, came_at {one.came_at[0]}" if one.origins else ""
        told = f"{batch.reader.told}{came}: {wrong[:600]}\nthe least such record: {least[:2000]!r}"
        return Outcome(seed, Counter(), f"make fuzz SEED={seed}: record {number}, {told}")
    counts = Counter[str]({f"set to {batch.reader.told.split(',')[0].removeprefix('format ')}": len(families)})
    counts["with headers"] = len(batch.origins)
    counts["under pseudonyms"] = len(families) * (batch.reader.rules.pseudonyms is not None)
    decoded = batch.decoded()
    counts["screened"] = sum(decoded.screened.values())
    for family, fate in zip(families, fates(batch, decoded), strict=True):
        counts[f"of {family}"] += 1
        counts["events"] += len(fate.events)
        counts.update(f"for {letter.reason}" for letter in fate.rejected)
        counts["rejected"] += bool(fate.rejected and not fate.events)
        counts["in part"] += bool(fate.events and fate.rejected)
        if fate.events:
            counts["accepted"] += 1
            counts[f"accepted of {family}"] += 1
    return Outcome(seed, counts)


def fuzz(first: int, records: int, workers: int | None = None) -> Summary:
    """Play seeds from `first` on until there were so many records, or one breaks a law."""
    began_at = monotonic()
    summary = Summary(first)
    for outcome in outcomes(play, first, -(-records // RECORDS), SHARE, workers):
        summary.records += RECORDS
        summary.counts.update(outcome.counts)
        if outcome.wrong:
            summary.complaint = outcome.wrong
            break
    summary.seconds = monotonic() - began_at
    return summary
