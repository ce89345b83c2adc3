"""What a chaos run found, as a table for people, and as a page to keep."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import confluent_kafka
import redis

from benchmarks.measure import facts
from tests.chaos.faults import AMONG_SHARDS, MOVES
from tests.chaos.run import Result
from tests.pipeline.helpers import ROOT

RESULTS: Final = ROOT / "benchmarks" / "results"


def rows(result: Result) -> list[tuple[str, str]]:
    """Return all that is worth telling."""
    kinds, counts = Counter(done.kind for done in result.happened), result.counts
    first = [
        ("rules, seed, shards", f"{result.plan.rules.name}, {result.plan.seed}, {result.plan.shards}"),
        ("capacity", f"{result.capacity:,.0f} records a second" if result.capacity else "not measured"),
        ("load", f"{counts.sent:,} records in {result.seconds:,.0f} s, {result.rate:,.0f} a second: {result.reason}"),
        ("of these", f"{counts.resent:,} sent again, {counts.late:,} late, {counts.broken} broken"),
        ("faults", f"{len(result.happened)}"),
    ]
    for kind, count in kinds.items():
        later = result.recoveries.get(kind)
        told = f", {min(later):.1f}-{max(later):.1f} s to the next trigger on what came later" if later else ""
        first.append((f"  {kind}", f"{count} times{told}"))
    numbers = Counter(done.shards for done in result.happened if done.kind in MOVES)
    if numbers:
        told = ", ".join(f"{number} {count} times" for number, count in sorted(numbers.items()))
        first.append(("shards after a savepoint", told))
    away_s = [d.ended_at - d.began_at for d in result.happened if d.kind in AMONG_SHARDS and d.shards > 1]
    if away_s:
        patience = result.plan.rules.patience
        long = sum(seconds > patience for seconds in away_s)
        first.append(("one shard away", f"{long} times for longer than the patience of {patience:g} s"))
    return [*first, *result.verdict.rows, ("wrong", str(len(result.verdict.faults)))]


def table(result: Result) -> str:
    """Return it for a terminal."""
    told = rows(result)
    width = max(len(name) for name, _ in told)
    lines = [f"{name:{width}}  {value}" for name, value in told]
    return "\n".join([*lines, *(f"WRONG: {fault}" for fault in result.verdict.faults)])


def record(result: Result, arguments: list[str]) -> Path:
    """Write it down."""
    what = f"chaos with {result.plan.shards} shards" if result.plan.shards > 1 else "chaos"
    return keep(what, ["python", "-m", "tests.chaos", *arguments], rows(result), result.verdict.faults)


def keep(what: str, command: list[str], told: Sequence[tuple[str, str]], faults: Sequence[str]) -> Path:
    """Write a page of what was found, with what the figures are worth nothing without."""
    known = facts(shlex.join(command))
    client, library = confluent_kafka.version()[0], confluent_kafka.libversion()[0]
    known["clients"] = f"confluent-kafka {client}, librdkafka {library}, redis {redis.__version__}"
    day = datetime.now(UTC).date().isoformat()
    path = RESULTS / f"{day}-{what.replace(' ', '-')}-{known['commit'].replace('+', '-changed')}.md"
    title = f"# {what.capitalize()} on {day} at {known['commit']}"
    lines = [title, "", *(f"- {name}: {value}" for name, value in known.items())]
    lines += ["", "| what | found |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in told)]
    lines += ["", *(f"- WRONG: {fault}" for fault in faults)] if faults else []
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
