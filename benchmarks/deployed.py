"""A deployment of one process or several between Kafka and Redis, measured as a whole, beside the servers.

A topic is filled before. The run is told to stop when as many sessions and carts are there as a run of the same events
from a file gave, and nothing more comes. Then what it published is held against what that run wrote.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import orjson

from benchmarks.bench_kafka import ids_of_files, ids_of_topics, ours_found, records, with_last, without_last
from benchmarks.bench_output import Comparison, Output, compared, our_output
from benchmarks.bench_throughput import EVERYTHING, SETTINGS
from benchmarks.brokers import PREFIX, WAIT_S_MAX, Lent, configured, ends, fill, headers, read, topics_of
from benchmarks.measure import BenchmarkError, events_file, measured, measured_together
from config.load import describe
from connectors.kafka_client import KafkaFault
from connectors.kafka_topics import exchange_topic

OUT_PARTITIONS: Final = 8
"""Of each topic that is published to; as many slots there are for key groups."""
LOOK_S: Final = 0.25
SETTLED_S: Final = 1.0
"""A run is over when what is known to come is there and nothing more has come for so long."""
ON_TIMER: Final = re.compile(rb'"cause":{"type":"[^"]*\.timer"')


class Cost(msgspec.Struct, kw_only=True):
    """What a run of one variant took."""

    events_a_second: float
    ours_s: float
    """CPU seconds of our processes, all together, start and end included."""
    kafka_s: float
    """Those of Kafka while the run published."""
    redis_s: float
    busy: float
    """Share of all the machine's cores that was busy, with whatever, while the run published."""
    rss_mb: float
    """Of all processes, each at its most."""


class Checked(msgspec.Struct, kw_only=True):
    """What a run published, beside what the run from a file wrote."""

    comparison: Comparison
    on_timers: int
    """Triggers that timers caused."""
    on_timers_other: int
    """Those of them that only one of both has."""
    triggers: int
    """All triggers."""
    twice: int
    """Those that are there more than once."""
    others: int
    """Triggers of events, and other records, of which only one of both has the id."""

    @property
    def is_right(self) -> bool:
        """Whether it is what it must be; what events themselves cause depends on how partitions are read."""
        return self.comparison.is_equal and not self.on_timers_other and not self.twice

    def told(self) -> list[str]:
        """Say it in a line, and show what is different."""
        one = self.comparison
        same = "equal" if one.is_equal else "DIFFERENT from"
        line = (
            f"{one.sessions:,} sessions and {one.carts:,} carts with their values {same} the file run's ({one.digest});"
            f" of {self.triggers:,} triggers {self.twice:,} are there twice; of {self.on_timers:,} that timers caused"
            f" {self.on_timers_other:,} are not the same; {self.others:,} other records have ids that only one gave"
        )
        return [line, *one.examples]


class Topic(NamedTuple):
    """A topic that is filled, and what a run from a file made of the same events."""

    name: str
    events: int
    output: Output
    ids: dict[str, Counter[str]]
    on_timers: set[str]


def filled(servers: Lent, name: str, events: int, partitions: int, folder: Path) -> Topic:
    """Fill a topic, and run its events from a file."""
    source = with_last(events_file(events), folder / "events.jsonl", partitions)
    count = fill(servers, f"{PREFIX}{name}", records(source), partitions)
    out = folder / f"file-{partitions}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    (out / "settings.yaml").write_text(describe(SETTINGS[EVERYTHING]), encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-m", "pipeline.cli", "run", source, "--out", out]
    measured([*command, "--config", out / "settings.yaml"])
    with (out / "triggers.jsonl").open("rb") as lines:
        on_timers = {str(orjson.loads(line)["id"]) for line in lines if ON_TIMER.search(line)}
    return Topic(f"{PREFIX}{name}", count, without_last(our_output(out)), ids_of_files(out), on_timers)


def deployed(
    servers: Lent,
    topic: Topic,
    name: str,
    folder: Path,
    processes: list[list[str]],
    before: Sequence[Sequence[str]] = (),
) -> Cost:
    """Run one process or several until all is published that is to come; return what that took.

    `processes` has what goes behind the command of each, `before` what goes before it, for as many or more.
    """
    settings = SETTINGS[EVERYTHING]
    settings = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, topics=(topic.name,)))
    command = configured(servers, name, folder / name, settings, OUT_PARTITIONS)
    watch = _Watch(servers, name, sum(topic.ids[stream].total() for stream in ("sessions", "carts")))
    commands = [[*first, *command, *more] for first, more in zip(before or [()] * len(processes), processes)]  # noqa: B905 -- there may be more of the first
    usages = measured_together(commands, is_done=watch.is_done)
    names = [*topics_of(name).values(), exchange(name)]
    stamps = [message.timestamp()[1] for message in read(servers, names)]
    first_ms, last_ms = min(stamps), max(stamps)
    kafka_s, redis_s, busy = watch.took(first_ms, last_ms)
    return Cost(
        events_a_second=topic.events / (last_ms - first_ms) * 1000,
        ours_s=sum(usage.cpu_s for usage in usages),
        kafka_s=kafka_s,
        redis_s=redis_s,
        busy=busy,
        rss_mb=sum(usage.rss_mb for usage in usages),
    )


def checked(servers: Lent, topic: Topic, name: str, folder: Path) -> Checked:
    """Hold what the run `name` published against what the run from a file wrote."""
    ours, ids = ours_found(servers, name, folder), ids_of_topics(servers, name)
    triggers = [one for stream, one in topics_of(name).items() if stream.startswith("triggers")]
    found = (message for message in read(servers, triggers) if ON_TIMER.search(message.value() or b""))
    on_timers = {headers(message)["ce_id"].decode() for message in found}
    others = sum(((of - topic.ids[kind]) + (topic.ids[kind] - of)).total() for kind, of in ids.items())
    return Checked(
        comparison=compared(ours, topic.output, set(topic.output.carts)),
        on_timers=len(on_timers),
        on_timers_other=len(on_timers ^ topic.on_timers),
        triggers=ids["triggers"].total(),
        twice=ids["triggers"].total() - len(ids["triggers"]),
        others=others - len(on_timers ^ topic.on_timers),
    )


def exchange(name: str) -> str:
    """Return the internal topic of the run `name`."""
    return exchange_topic(f"{PREFIX}{name}.").name


class _Watch:
    """Tells when a run has published everything, and how busy the machine was meanwhile."""

    def __init__(self, servers: Lent, name: str, wanted: int) -> None:
        """Wait for so many sessions and carts; what else comes, comes before them or at once after."""
        topics = topics_of(name)
        self._servers, self._brokers, self._wanted = servers, servers.brokers, wanted
        self._waited_for = [topics["sessions"], topics["carts"]]
        self._topics = list(topics.values())
        self._looked_s = self._changed_s = time.monotonic()
        self._held = 0
        self._seen: list[tuple[float, float, float, float, float]] = []

    def is_done(self) -> bool:
        """Look, now and then: asking takes CPU from what is measured."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return False
        self._looked_s = now_s
        self._seen.append((time.time() * 1000, *self._servers.cpu_s(), *_ticks()))
        try:
            held = ends(self._brokers, self._topics)
            is_there = ends(self._brokers, self._waited_for) >= self._wanted
        except KafkaFault:
            return False  # topics have just been made, and not every broker has heard of it
        if held != self._held:
            self._held, self._changed_s = held, now_s
        if now_s - self._changed_s > WAIT_S_MAX:
            raise BenchmarkError(f"{', '.join(self._waited_for)}: not yet {self._wanted:,} records, and nothing comes")
        return is_there and now_s - self._changed_s > SETTLED_S

    def took(self, first_ms: float, last_ms: float) -> tuple[float, float, float]:
        """Return between two instants: the CPU seconds of Kafka and of Redis, the share of all cores that was busy."""
        # From the last look before them to the first one after, and of that their share.
        first = max((one for one in self._seen if one[0] <= first_ms), default=self._seen[0])
        last = min((one for one in self._seen if one[0] >= last_ms), default=self._seen[-1])
        kafka_s, redis_s, busy, every = (late - early for early, late in zip(first[1:], last[1:], strict=True))
        scale = (last_ms - first_ms) / max(1.0, last[0] - first[0])
        return kafka_s * scale, redis_s * scale, busy / max(1.0, every)


def _ticks() -> tuple[int, int]:
    """Return how long all cores were busy since the start, and how long there were cores, in the kernel's ticks."""
    with Path("/proc/stat").open(encoding="utf-8") as file:
        told = [int(field) for field in file.readline().split()[1:9]]  # guests' are counted as user's already
    return sum(told) - told[3] - told[4], sum(told)
