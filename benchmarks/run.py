"""What `make bench` runs: events through the flow beside bare loops, and a million profiles in state.

    python -m benchmarks.run                     everything, some twenty-five minutes
    python -m benchmarks.run --quick             the same in small, to see that it works
    python -m benchmarks.run --only kafka        one part; "tuning", "shards", "growth", "identity", "decode",
                                                 "expressions", "decisions" only so
    python -m benchmarks.run --record            also writes benchmarks/results/<date>-[PART-]<commit>.md and .json,
                                                 and of growth a picture, .svg

The machine should have nothing else to do. Where it has, only ratios mean something.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import (
    bench_cluster,
    bench_decisions,
    bench_decode,
    bench_expressions,
    bench_groups,
    bench_growth,
    bench_identity,
    bench_kafka,
    bench_latency,
    bench_shards,
    bench_state,
    bench_throughput,
    bench_tuning,
    plot,
)
from benchmarks.brokers import NoServersError, lent
from benchmarks.measure import ROOT, BenchmarkError, facts, missing_shared
from config.settings import Settings

PARTS: Final = (
    "throughput",
    "kafka",
    "latency",
    "tuning",
    "state",
    "cluster",
    "shards",
    "growth",
    "identity",
    "decode",
    "expressions",
    "decisions",
)
# Of what Kafka to Kafka takes at most: the load at which latency is promised.
LOAD_SHARE: Final = 0.5
RESULTS: Final = ROOT / "benchmarks" / "results"
EVENTS: Final = 1_000_000
PROFILES: Final = 1_000_000
IDENTIFIERS: Final = 5_000_000
RECORDS: Final = bench_decode.RECORDS
ROUNDS: Final = 3
SIZES: Final = (10_000, 100_000, 1_000_000, 3_000_000)
PARTITIONS: Final = (1, 8, 64)
# Of a hundred probes a second, of which each has two triggers, and some seconds at the start that do not count.
SECONDS: Final = 60.0
LIVE_EPOCHS: Final = 20
LIVE_EPOCH_MS: Final = Settings().checkpoint.interval_ms
GROUP_EPOCHS: Final = 200
# Small enough for a look, large enough that every part has something to do.
QUICK: Final = {
    "events": 50_000,
    "profiles": 50_000,
    "identifiers": 100_000,
    "records": 1_000,
    "rounds": 1,
    "sizes": (1_000, 10_000, 100_000),
    "seconds": 15.0,
    "live_epochs": 4,
    "group_epochs": 40,
}


class Findings(msgspec.Struct, kw_only=True):
    """All that a run of the benchmarks found; None where a part was left out."""

    facts: dict[str, str]
    throughput: bench_throughput.Throughput | None = None
    cluster: bench_cluster.ClusterFound | None = None
    state: bench_state.State | None = None
    filled: bench_groups.Filled | None = None
    resumed: bench_groups.Resumed | None = None
    kafka: bench_kafka.KafkaFound | None = None
    latency: bench_latency.Latency | None = None
    tuning: bench_tuning.Tuning | None = None
    shards: bench_shards.Shards | None = None
    growth: bench_growth.Growth | None = None
    identity: bench_identity.Identity | None = None
    decode: bench_decode.Decode | None = None
    expressions: bench_expressions.Expressions | None = None
    decisions: bench_decisions.Decisions | None = None


Section = tuple[str, list[list[str]], list[str]]
"""A title, a table whose first row has the headings, and sentences below it."""


def main(arguments: list[str]) -> int:
    """Run what is asked for; return the exit code, 1 where an output was wrong."""
    options = _options(arguments)
    shown = Console(stderr=True, highlight=False)
    found = Findings(facts=facts(shlex.join(["python", "-m", "benchmarks.run", *arguments])))

    def tell(line: str) -> None:
        shown.print(line, style="dim", markup=False, soft_wrap=True)

    try:
        _by_itself(options, found, tell)
        if options.only in (None, "throughput"):
            found.throughput = bench_throughput.run(options.events, options.rounds, tell)
        if options.only in (None, "cluster"):
            found.cluster = bench_cluster.run(options.events, options.rounds, tell)
        if options.only in (None, "kafka", "latency", "tuning", "shards", "growth", "identity"):
            try:
                _on_kafka(options, found, tell)
            except NoServersError as error:
                if options.only not in (None, "growth"):
                    raise
                tell(f"LEFT OUT: {error}")
        if options.only in (None, "state"):
            found.filled, found.resumed = bench_groups.run(options.profiles, options.group_epochs, tell)
            found.state = bench_state.run(options.profiles, options.live_epochs, options.live_epoch_ms, tell)
    except BenchmarkError as error:
        tell(f"benchmarks: {error}")
        return 1
    _print(found)
    if options.record:
        tell(f"recorded in {_record(found, options.results, options.only)}")
    return int(not all(_are_right(found)))


def _on_kafka(options: argparse.Namespace, found: Findings, tell: Callable[[str], None]) -> None:
    """Run the parts that need servers; the load of latency and tuning comes from what was found to be possible."""
    if options.only != "identity" and (gone := missing_shared()):
        tell(f"LEFT OUT: {gone}")
        return
    with lent() as servers:
        if options.only == "identity":
            found.identity = bench_identity.run(servers, options.identifiers, options.rounds, tell)
            return
        if options.only == "shards":
            found.shards = bench_shards.run(servers, options.events, options.rounds, tell)
            return
        if found.growth is not None:
            counts = options.partitions
            try:
                found.growth.parted = bench_growth.partitions(servers, counts, options.events, options.rounds, tell)
            except BenchmarkError as error:  # what was measured before took a quarter of an hour
                found.growth.failure = str(error)
            return
        if not options.rate or options.only in (None, "kafka"):
            found.kafka = bench_kafka.run(servers, options.events, options.rounds, tell)
        rate = options.rate or LOAD_SHARE * found.kafka.capacity if found.kafka else options.rate
        if options.only in (None, "latency"):
            plan = bench_latency.Plan("latency", Settings(), rate, options.seconds)
            found.latency = bench_latency.run(servers, plan, tell)
        if options.only == "tuning":
            found.tuning = bench_tuning.run(servers, rate, options.seconds, options.profiles, tell)


def _are_right(found: Findings) -> Iterator[bool]:
    """Tell of each part that can be wrong whether what it put out is right."""
    if found.throughput is not None:
        yield from (comparison.is_equal for comparison in found.throughput.comparisons.values())
    if found.cluster is not None:
        yield found.cluster.is_equal
    if found.kafka is not None:
        yield found.kafka.is_equal
    if found.shards is not None:
        yield found.shards.is_equal
    if found.growth is not None:
        yield found.growth.is_equal
    if found.identity is not None:
        yield found.identity.is_equal
    if found.decode is not None:
        yield not found.decode.faults
    if found.expressions is not None:
        yield not found.expressions.faults
    if found.decisions is not None:
        yield not found.decisions.faults
    if found.latency is not None:
        yield not found.latency.faults
    if found.tuning is not None:
        yield not bench_tuning.faults(found.tuning)


def _by_itself(options: argparse.Namespace, found: Findings, tell: Callable[[str], None]) -> None:
    """Run the parts that are measured only when they are asked for, without servers."""
    if options.only == "growth":
        found.growth = bench_growth.Growth(sizes=bench_growth.profiles(options.sizes, options.rounds, tell))
    if options.only == "decode":
        found.decode = bench_decode.run(options.records, options.rounds, tell)
    if options.only == "expressions":
        found.expressions = bench_expressions.run(bench_expressions.EVENTS, options.rounds, tell)
    if options.only == "decisions":
        found.decisions = bench_decisions.run(bench_decisions.EVENTS, options.rounds, tell)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measure nextmove.")
    parser.add_argument("--only", choices=PARTS, help="one part of the benchmarks")
    parser.add_argument("--events", type=int, default=EVENTS, help="events through the flow")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each variant runs")
    parser.add_argument("--rate", type=float, default=0.0, help="events a second of the load; 0: half of what goes")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the load lasts")
    parser.add_argument("--profiles", type=int, default=PROFILES, help="profiles in state")
    parser.add_argument("--identifiers", type=int, default=IDENTIFIERS, help="in the store, for identity")
    parser.add_argument("--records", type=int, default=RECORDS, help="of each format, for decode")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="profiles, for growth")
    parser.add_argument("--partitions", type=int, nargs="+", default=PARTITIONS, metavar="N", help="for growth")
    parser.add_argument("--live-epochs", type=int, default=LIVE_EPOCHS, help="epochs of a whole run")
    parser.add_argument("--live-epoch-ms", type=int, default=LIVE_EPOCH_MS, help="how long each of them is")
    parser.add_argument("--group-epochs", type=int, default=GROUP_EPOCHS, help="epochs of key groups alone")
    parser.add_argument("--quick", action="store_true", help="all of it in small; other numbers are ignored")
    parser.add_argument("--record", action="store_true", help="write down what was found")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where to write it down")
    options = parser.parse_args(arguments)
    if options.quick:
        vars(options).update(QUICK)
    return options


def sections(found: Findings) -> Iterator[Section]:
    """Yield what there is to say, a table at a time."""
    through = found.throughput
    if through is not None:
        said = [f"{name}: {comparison.told()}" for name, comparison in through.comparisons.items()]
        title = f"{through.events:,} events (sha256 {through.input_sha256}), middle (lowest-highest)"
        yield title, bench_throughput.table(through), [*said, f"At rest: {through.resting.told()}"]
    if found.cluster is not None:
        title = f"{found.cluster.events:,} events from files, middle (lowest-highest)"
        yield title, bench_cluster.table(found.cluster), [bench_cluster.told(found.cluster)]
    if found.kafka is not None:
        title = f"{found.kafka.events:,} events from Kafka to Kafka, middle (lowest-highest)"
        yield title, bench_kafka.table(found.kafka), bench_kafka.told(found.kafka)
    if found.latency is not None:
        rows = [bench_latency.HEADINGS, bench_latency.row(found.latency)]
        title = "From an event to its trigger, at a steady load"
        yield title, rows, found.latency.faults or ["Each trigger that was to come came once, and no other"]
    if found.tuning is not None:
        title = f"Choices, at a steady load; epochs with {found.tuning.profiles:,} more profiles in state"
        yield title, bench_tuning.table(found.tuning), bench_tuning.faults(found.tuning)
    if found.shards is not None:
        yield from bench_shards.sections(found.shards)
    if found.growth is not None:
        yield from bench_growth.sections(found.growth)
    if found.identity is not None:
        yield from bench_identity.sections(found.identity)
    yield from _sections_by_itself(found)
    if found.state is not None:
        title = f"A whole run with {found.state.profiles:,} profiles in state"
        yield title, [["what", "target", "found"], *bench_state.table(found.state)], _asides(found.state)
    if found.filled is not None and found.resumed is not None:
        rows = [["what", "target", "found"], *_group_rows(found.filled, found.resumed)]
        yield f"Key groups and changelogs alone, {found.filled.profiles:,} profiles", rows, []


def _sections_by_itself(found: Findings) -> Iterator[Section]:
    if found.decode is not None:
        yield bench_decode.title(found.decode), bench_decode.table(found.decode), bench_decode.told(found.decode)
    if found.expressions is not None:
        asked = found.expressions
        yield bench_expressions.title(asked), bench_expressions.table(asked), bench_expressions.told(asked)
    if found.decisions is not None:
        costs = found.decisions
        yield bench_decisions.title(costs), bench_decisions.table(costs), bench_decisions.told(costs)


def _asides(state: bench_state.State) -> list[str]:
    filling = f"{state.load_cpu_us:.1f} µs of CPU an event and at most {state.load_rss_mb:,.0f} MB"
    return [f"Filling took {filling}; live it took {state.live_rss_mb:,.0f} MB."]


def _group_rows(filled: bench_groups.Filled, resumed: bench_groups.Resumed) -> Iterator[list[str]]:
    times, ratios = filled.snapshot_ms, filled.folder_ratio
    yield [
        f"checkpoints of an epoch in which 1 % changed ({len(times)} epochs)",
        "50 ms",
        f"{median(times):.0f} ms, at worst {max(times):.0f}",
    ]
    yield [
        "folder over live state, first, worst and last epoch",
        "under 2",
        f"{ratios[0]:.2f}, {max(ratios):.2f}, {ratios[-1]:.2f}",
    ]
    yield ["resume", "part of 3 s", f"{resumed.seconds:.2f} s, {resumed.rss_bytes:,.0f} bytes of memory a profile"]
    ends = f"{max(resumed.folder_ratio):.2f}, {resumed.folder_ratio[-1]:.2f}"
    yield [
        f"folder over live state after {resumed.expired:,} expired and {resumed.active:,} stayed, worst and last epoch",
        "does not grow",
        f"{ends} ({resumed.folder_bytes / 1e6:,.1f} MB)",
    ]


def _print(found: Findings) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    for name, value in found.facts.items():
        console.print(f"{name:>12}  {value}", markup=False)
    for title, (headings, *rows), said in sections(found):
        table = Table(*headings, title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        for sentence in said:
            console.print(sentence, markup=False)


def _record(found: Findings, folder: Path, only: str | None) -> Path:
    """Write the findings as a page to read and as JSON with every single measurement; a part has a page of its own."""
    day = datetime.now(UTC).date().isoformat()
    path = folder / f"{day}-{f'{only}-' if only else ''}{found.facts['commit'].replace('+', '-changed')}.md"
    lines = [f"# Measured on {day} at {found.facts['commit']}", ""]
    lines += [f"- {name}: {value}" for name, value in found.facts.items()]
    for title, (headings, *rows), said in sections(found):
        lines += ["", f"## {title}", "", _row(headings), _row(["---"] * len(headings)), *map(_row, rows)]
        lines += ["", *(f"- {sentence}" for sentence in said)] if said else []
    folder.mkdir(exist_ok=True)
    if found.growth is not None:
        plot.draw(found.growth, path.with_suffix(".svg"))
        lines += ["", f"![pace and memory]({path.with_suffix('.svg').name})"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    told: dict[str, Any] = msgspec.to_builtins(found)
    path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n")
    return path


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
