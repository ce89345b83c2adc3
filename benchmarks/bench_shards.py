"""One process and several that share its work, from Kafka to Kafka with Redis: what that gains, and what it costs.

A topic of eight partitions is filled once, keyed by visitor as producers do it, so a visitor's events are read where
its state lives. What crosses to the other shard is counted in the internal topic: above all events of leads, and
visitors on their way to be leads, for these live where the hash of the *lead's* id says.

The variants take turns, and their order is turned round from round to round. The pace is that of the whole deployment:
from the first record that any process published to the last. CPU is told of each side: ours (all processes together,
start and end included), Kafka's and Redis' (while the run published), for they share the machine's cores with what is
measured. What goes through at most with all cores busy follows from that: where a second process gains less than it
should for want of cores, it shows. So both variants run again with half a core for each process (`cores.py`): the
servers then have cores to themselves, as they have in production.

Each variant must give the sessions, carts and triggers of timers of a run of the same events from a file, and each
trigger once. What an event itself causes may differ by a few: which of a lead's events comes first, the one in this
partition or the one in that, depends on how they are read.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks.brokers import Lent, read
from benchmarks.cores import NoSharesError, shares
from benchmarks.deployed import OUT_PARTITIONS, Checked, Cost, Topic, checked, deployed, exchange, filled
from benchmarks.measure import CACHE, spread
from operators.event import Event
from operators.profile_state import HandOver
from pipeline.exchange import unpacked

FOLDER: Final = CACHE / "shards"
ONE: Final = "one process"
TWO: Final = "two shards"
# For each process of a variant what its command has on top.
VARIANTS: Final[dict[str, list[list[str]]]] = {
    ONE: [[]],
    TWO: [["--shard", "0/2"], ["--shard", "1/2"]],
}
SHARE: Final = 0.5
"""Of a core, for each process, where the servers are to have cores to themselves."""
GAIN_MIN: Final = 1.7
COST_MAX: Final = 1.15
_WHO: Final = re.compile(rb'"anonymousId":"([^"]*)"')


class ShardsRow(msgspec.Struct, kw_only=True):
    """One variant's figures."""

    name: str
    costs: list[Cost]
    """A round each."""
    crossed: dict[str, int]
    """What was sent to another process, by kind, in the last round."""
    checked: Checked
    """In the last round."""


class Shards(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    events: int
    known_share: float
    """Of the events: those of devices of which somebody said who it is at some time."""
    rows: list[ShardsRow]
    halved: list[ShardsRow]
    """The same with half a core for each process; none where that cannot be had."""
    cores: int
    is_kafka_seen: bool
    """Whether Kafka's CPU could be seen."""

    @property
    def is_equal(self) -> bool:
        """Whether every variant published what it had to."""
        return all(row.checked.is_right for row in self.rows + self.halved)


def run(servers: Lent, events: int, rounds: int, tell: Callable[[str], None]) -> Shards:
    """Measure all variants `rounds` times. `tell` hears of progress."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    topic = filled(servers, "shards-events", events, OUT_PARTITIONS, FOLDER)
    halved: list[ShardsRow] = []
    try:
        with shares(len(VARIANTS[TWO]), SHARE) as before:
            halved = _rows(servers, topic, rounds, before, tell)
    except NoSharesError as error:
        tell(f"LEFT OUT: {error}")
    return Shards(
        events=topic.events,
        known_share=_known_share(FOLDER / "events.jsonl"),
        rows=_rows(servers, topic, rounds, [], tell),
        halved=halved,
        cores=os.cpu_count() or 1,
        is_kafka_seen=servers.kafka_pid > 0,
    )


def _rows(
    servers: Lent, topic: Topic, rounds: int, before: list[list[str]], tell: Callable[[str], None]
) -> list[ShardsRow]:
    """Measure both variants; `before` has what goes before the commands of their processes."""
    limited = "-halved" if before else ""
    names = {variant: f"{variant.replace(' ', '-')}{limited}" for variant in VARIANTS}
    costs: dict[str, list[Cost]] = {variant: [] for variant in VARIANTS}
    for number in range(rounds):
        for variant in list(VARIANTS)[:: -1 if number % 2 else 1]:
            cost = deployed(servers, topic, f"{names[variant]}-{number}", FOLDER, VARIANTS[variant], before)
            costs[variant].append(cost)
            tell(f"round {number + 1} of {rounds}: {names[variant]}, {cost.events_a_second:,.0f} events a second")
    last = {variant: f"{name}-{rounds - 1}" for variant, name in names.items()}
    return [
        ShardsRow(
            name=variant,
            costs=costs[variant],
            crossed=dict(_crossed(servers, last[variant])),
            checked=checked(servers, topic, last[variant], FOLDER),
        )
        for variant in VARIANTS
    ]


def _crossed(servers: Lent, name: str) -> Counter[str]:
    """Count what the processes of a run have sent each other."""
    found: Counter[str] = Counter()
    for message in read(servers, [exchange(name)]):
        raw = message.value() or b""
        parcel = unpacked(raw)
        found["parcels"] += 1
        found["bytes"] += len(raw)
        for item in parcel.items:
            kind = "events" if isinstance(item, Event) else "logins" if isinstance(item, HandOver) else "states"
            found[f"{kind} of visitors" if kind == "events" and parcel.step == "visitors" else kind] += 1
    return found


def _known_share(path: Path) -> float:
    """Return the share of events that are of a device on which somebody signs in."""
    known, of = set(), Counter[bytes]()
    with path.open("rb") as lines:
        for line in lines:
            found = _WHO.search(line)
            who = found[1] if found else b""
            of[who] += 1
            if b'"type":"identify"' in line:
                known.add(who)
    return sum(of[who] for who in known) / of.total()


def sections(found: Shards) -> Iterator[tuple[str, list[list[str]], list[str]]]:
    """Yield a title, a table whose first row has the headings, and sentences below it, for each pair of variants."""
    events = f"{found.events:,} events from Kafka to Kafka, by several processes"
    wanted = f"Wanted of {TWO}: {GAIN_MIN} times the events a second, at no more than {COST_MAX} times our CPU"
    known = f"{found.known_share:.1%} of the events are of devices on which somebody signs in"
    said = [known, wanted, *(_limit(found, row) for row in found.rows)]
    yield f"{events}, middle (lowest-highest)", _table(found, found.rows), [*said, *_told(found.rows)]
    if found.halved:
        title = f"{events}, {SHARE} cores for each, middle (lowest-highest)"
        yield title, _table(found, found.halved), [wanted, *_told(found.halved)]


def _table(found: Shards, of: list[ShardsRow]) -> list[list[str]]:
    """Return the rows to print, the first with the headings."""
    headings = ["variant", "events a second", "of one", "our CPU s a million", "of one", "Kafka's", "Redis'"]
    rows = [[*headings, "cores busy", "peak MB", "crossed"]]
    first, million = of[0], found.events / 1e6
    for row in of:
        pairs = list(zip(row.costs, first.costs, strict=True))
        kafka_s = median(cost.kafka_s for cost in row.costs) / million
        rows.append(
            [
                row.name,
                spread([cost.events_a_second for cost in row.costs]).told(",.0f"),
                spread([cost.events_a_second / one.events_a_second for cost, one in pairs]).told(),
                spread([cost.ours_s / million for cost in row.costs]).told(),
                spread([cost.ours_s / one.ours_s for cost, one in pairs]).told(),
                f"{kafka_s:.2f}" if found.is_kafka_seen else "not seen",
                f"{median(cost.redis_s for cost in row.costs) / million:.2f}",
                f"{median(cost.busy for cost in row.costs):.0%}",
                f"{max(cost.rss_mb for cost in row.costs):,.0f}",
                f"{_events_crossed(row) / found.events:.1%}" if row.crossed else "nothing",
            ]
        )
    return rows


def _events_crossed(row: ShardsRow) -> int:
    return sum(number for kind, number in row.crossed.items() if kind.startswith("events"))


def _told(rows: list[ShardsRow]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        lines += [f"{row.name}: {line}" for line in row.checked.told()]
        if row.crossed:
            kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(row.crossed.items()))
            lines.append(f"{row.name} sent each other: {kinds}")
    return lines


def _limit(found: Shards, row: ShardsRow) -> str:
    """Say what the machine's cores would let through at most."""
    costs, first = row.costs, found.rows[0].costs
    sides = "our CPU, Kafka's and Redis'" if found.is_kafka_seen else "our CPU and Redis' (Kafka's is not seen)"
    all_s = median(cost.ours_s + cost.kafka_s + cost.redis_s for cost in costs) / found.events * 1e6
    most, one = found.cores / all_s * 1e6, median(cost.events_a_second for cost in first)
    return (
        f"{row.name}: {sides} are {all_s:.1f} s a million events; {found.cores} cores with nothing else to do let at"
        f" most {most:,.0f} events a second through, {most / one:.2f} times what one process reached"
    )
