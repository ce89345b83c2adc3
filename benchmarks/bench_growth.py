"""How pace and memory change as profiles become more, and as the partitions of the topic that is read do.

**Profiles.** A few thousand visitors, the *returning* ones, have two days of traffic. A run is filled with their first
day amid the one-time visitors that make up the number of profiles, and ends; its folder is what one would find after
months. The run that is measured goes on from there with the second day of the returning ones: the same events, byte by
byte, whatever lies behind them. So what differs is due to the profiles alone. Input comes through a pipe as fast as it
is taken; times are taken from inside, from the first call of the source to the last. "A day" is a whole day of event
time played in seconds: what is done once a day for all profiles (looking for those that are over) weighs more there
than it ever does live.

**Partitions.** One process from Kafka to Kafka with Redis, the same events in a topic of one, eight, sixty-four
partitions, keyed by visitor; checked as shards are (`bench_shards`).
"""

from __future__ import annotations

import heapq
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.bench_state import EVENTS_A_VISITOR, Epoch, Watch, around
from benchmarks.brokers import Lent
from benchmarks.deployed import Checked, Cost, checked, deployed, filled
from benchmarks.measure import CACHE, SEED, BenchmarkError, Spread, environment, memory_mb, spread
from benchmarks.traffic import DAY_MS, TrafficPlan, generate
from config.load import describe, load
from config.settings import Settings, SourceSettings
from connectors.file_source import PipePartition
from pipeline.run import run as run_flow

FOLDER: Final = CACHE / "growth"
RETURNING_EVENTS: Final = 50
"""Of a returning visitor on each of two days."""
_RECEIVED: Final = re.compile(rb'"receivedAt":"([^"]*)"')


class Grown(msgspec.Struct, kw_only=True):
    """What a run found, seen from inside."""

    profiles: int
    events: int
    seconds: float
    """From the first call of the source to the last."""
    cpu_s: float
    """Of the process in that time, all threads."""
    resume_s: float
    """From the start of the flow to the first call of the source."""
    rss_resumed_mb: float
    """At the first call of the source."""
    rss_mb: float
    """The most."""
    epochs: list[Epoch]


class Size(msgspec.Struct, kw_only=True):
    """A number of profiles, and what was found with so many."""

    fill: Grown
    live: list[Grown]
    """A round each."""

    @property
    def profiles(self) -> int:
        """How many there are in the end."""
        return self.live[-1].profiles

    @property
    def rss_mb(self) -> float:
        """What the process takes after a restart."""
        return median(one.rss_resumed_mb for one in self.live)

    @property
    def events_a_second(self) -> Spread:
        """The pace of the live part."""
        return spread([one.events / one.seconds for one in self.live])


class Parted(msgspec.Struct, kw_only=True):
    """A number of partitions, and what was found with so many."""

    partitions: int
    events: int
    costs: list[Cost]
    """A round each."""
    checked: Checked
    """In the last round."""

    @property
    def events_a_second(self) -> Spread:
        """The pace of the deployment."""
        return spread([cost.events_a_second for cost in self.costs])


class Growth(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    sizes: list[Size]
    parted: list[Parted] = []
    failure: str = ""
    """Why the partitions could not be measured; empty where they were."""

    @property
    def is_equal(self) -> bool:
        """Whether what was published is right."""
        return not self.failure and all(one.checked.is_right for one in self.parted)


def profiles(sizes: Iterable[int], rounds: int, tell: Callable[[str], None]) -> list[Size]:
    """Measure with so many profiles, `rounds` times each. `tell` hears of progress."""
    wanted = sorted(sizes)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    config = FOLDER / "settings.yaml"
    config.write_text(describe(Settings(source=SourceSettings(file_watermark="lateness"))), encoding="utf-8")
    days = _two_days(wanted[0])
    found = []
    for size in wanted:
        fill = _run(config, "filled", _lines(days[0], size - wanted[0]))
        tell(f"growth: filled with {fill.profiles:,} profiles, at most {fill.rss_mb:,.0f} MB")
        live = []
        for number in range(rounds):
            shutil.rmtree(FOLDER / "live", ignore_errors=True)
            shutil.copytree(FOLDER / "filled", FOLDER / "live")
            with days[1].open("rb") as lines:
                live.append(_run(config, "live", lines))
            pace = live[-1].events / live[-1].seconds
            tell(f"round {number + 1} of {rounds}: {size:,} profiles, {pace:,.0f} events a second")
        found.append(Size(fill=fill, live=live))
        for name in ("filled", "live", "out"):
            shutil.rmtree(FOLDER / name)
    return found


def partitions(
    servers: Lent, counts: Iterable[int], events: int, rounds: int, tell: Callable[[str], None]
) -> list[Parted]:
    """Measure with so many partitions, `rounds` times each, in turn. `tell` hears of progress."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    topics = {count: filled(servers, f"growth-{count}", events, count, FOLDER) for count in counts}
    costs: dict[int, list[Cost]] = {count: [] for count in topics}
    for number in range(rounds):
        for count, topic in topics.items():
            cost = deployed(servers, topic, f"growth-{count}-{number}", FOLDER, [[]])
            costs[count].append(cost)
            tell(f"round {number + 1} of {rounds}: {count} partitions, {cost.events_a_second:,.0f} events a second")
    last = rounds - 1
    return [
        Parted(
            partitions=count,
            events=topics[count].events,
            costs=of,
            checked=checked(servers, topics[count], f"growth-{count}-{last}", FOLDER),
        )
        for count, of in costs.items()
    ]


def _two_days(visitors: int) -> tuple[Path, Path]:
    """Write the returning visitors' first and second day to a file each."""
    plan = TrafficPlan(events=2 * RETURNING_EVENTS * visitors, visitors=visitors, seed=SEED, days=2)
    midnight = datetime.fromtimestamp((plan.start_at + DAY_MS) / 1000, UTC).isoformat()[:19].encode()
    days = FOLDER / "day-1.jsonl", FOLDER / "day-2.jsonl"
    with days[0].open("wb") as first, days[1].open("wb") as second:
        for line in generate(plan):
            (first if _received(line) < midnight else second).write(line)
    return days


def _lines(day: Path, others: int) -> Iterator[bytes]:
    """Yield a day of the returning visitors amid so many one-time visitors, in order of arrival."""
    with day.open("rb") as returning:
        if not others:
            yield from returning
            return
        plan = TrafficPlan(events=int(others * EVENTS_A_VISITOR), visitors=others, seed=SEED + 1)
        yield from heapq.merge(returning, generate(plan), key=_received)


def _received(line: bytes) -> bytes:
    found = _RECEIVED.search(line)
    assert found is not None, "every line says when it was received"
    return found[1]


def _run(config: Path, recovery: str, lines: Iterable[bytes]) -> Grown:
    """Run `lines` through a process of its own; return what it saw."""
    report = FOLDER / "report.json"
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.bench_growth", config, FOLDER / recovery, report]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment()) as child:
        assert child.stdin is not None, "it was asked for"
        child.stdin.writelines(lines)
    if child.returncode:
        raise BenchmarkError(f"the run ended with {child.returncode}; it said why above")
    return msgspec.json.decode(report.read_bytes(), type=Grown)


class _Clock:
    """Takes the time whenever the source is called."""

    def __init__(self) -> None:
        self.began_s = time.perf_counter()
        self.rss_resumed_mb = 0.0
        self.first: tuple[float, float] | None = None
        self.last = (0.0, 0.0)

    def called(self, method: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the method returns
        """Take the time, and go on."""
        self.last = time.perf_counter(), time.process_time()
        if self.first is None:
            self.first, self.rss_resumed_mb = self.last, memory_mb("self", "VmRSS")
        return method()


def _seen(config: Path, recovery: Path) -> Grown:
    """Run standard input through the flow, watched."""
    watch = Watch()
    watch.install()
    settings = load(config)
    clock = _Clock()
    around(PipePartition, "next_batch", clock.called)
    outcome = run_flow(settings, ["-"], FOLDER / "out", recovery=recovery)
    assert clock.first is not None, "the source has been called"
    return Grown(
        profiles=outcome.tally.profiles,
        events=outcome.tally.read,
        seconds=clock.last[0] - clock.first[0],
        cpu_s=clock.last[1] - clock.first[1],
        resume_s=clock.first[0] - clock.began_s,
        rss_resumed_mb=clock.rss_resumed_mb,
        rss_mb=memory_mb("self"),
        epochs=watch.epochs[1:],  # before the first nothing has happened
    )


def sections(found: Growth) -> Iterator[tuple[str, list[list[str]], list[str]]]:
    """Yield a title, a table whose first row has the headings, and sentences below it, for each of both."""
    events = f"{found.sizes[0].live[0].events:,} events"
    failed = [f"FAILED, so that nothing is told of partitions: {found.failure}"] if found.failure else []
    yield (
        f"The same {events} with more and more profiles, middle (lowest-highest)",
        _profiles_table(found.sizes),
        failed,
    )
    if found.parted:
        title = f"{found.parted[0].events:,} events from Kafka to Kafka, by partitions, middle (lowest-highest)"
        said = [f"{one.partitions} partitions: {line}" for one in found.parted for line in one.checked.told()]
        yield title, _partitions_table(found.parted), said


def _profiles_table(found: list[Size]) -> list[list[str]]:
    """Return the rows to print, the first with the headings."""
    headings = ["profiles", "events a second", "CPU µs an event", "restart s", "MB after it", "bytes a profile more"]
    rows = [[*headings, "peak MB live", "peak MB filling", "checkpoints of an epoch, ms"]]
    for size in found:
        live = size.live
        more_mb, more = size.rss_mb - found[0].rss_mb, size.fill.profiles - found[0].fill.profiles
        rows.append(
            [
                f"{size.profiles:,}",
                size.events_a_second.told(",.0f"),
                spread([one.cpu_s / one.events * 1e6 for one in live]).told(),
                f"{median(one.resume_s for one in live):.2f}",
                f"{size.rss_mb:,.0f}",
                f"{more_mb / more * 1e6:,.0f}" if more else "",
                f"{max(one.rss_mb for one in live):,.0f}",
                f"{size.fill.rss_mb:,.0f}",
                _checkpoints(live),
            ]
        )
    return rows


def _checkpoints(live: list[Grown]) -> str:
    taken = [epoch.snapshot_ms for one in live for epoch in one.epochs]
    return f"{median(taken):.0f}, at worst {max(taken):.0f}" if taken else "none"


def _partitions_table(found: list[Parted]) -> list[list[str]]:
    """Return the rows to print, the first with the headings."""
    rows = [["partitions", "events a second", "our CPU µs an event", "Kafka's", "cores busy", "peak MB"]]
    for one in found:
        costs = one.costs
        rows.append(
            [
                f"{one.partitions:,}",
                one.events_a_second.told(",.0f"),
                spread([cost.ours_s / one.events * 1e6 for cost in costs]).told(),
                f"{median(cost.kafka_s for cost in costs) / one.events * 1e6:.2f}",
                f"{median(cost.busy for cost in costs):.0%}",
                f"{max(cost.rss_mb for cost in costs):,.0f}",
            ]
        )
    return rows


if __name__ == "__main__":
    Path(sys.argv[3]).write_bytes(msgspec.json.encode(_seen(Path(sys.argv[1]), Path(sys.argv[2]))))
