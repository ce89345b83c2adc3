"""The same events from Kafka to Kafka, beside a bare loop that does a part of the work there, and beside a file run.

One topic of one partition is filled once: the bare loop reads no more. Then bare loop, file run and the runs on Kafka
take turns, as in `bench_throughput`. A stream has no end, so a last event two hours on closes what is open; it is
in everybody's input, and what follows of it is left out. A run is told to stop when its topics hold as many
records as the file run wrote, so nothing that it waits for is in its CPU; what it takes while nothing comes is
measured apart, in a run that goes on from the last checkpoint.

What is compared: sessions and abandoned carts with the bare loop's, see `bench_output`, and with the file run the
ids of all that was published, each once.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import orjson

from benchmarks.bench_output import Comparison, Output, bare_output, compared, our_output, same_rule
from benchmarks.bench_throughput import ALONE, BASE, EVERYTHING, SETTINGS
from benchmarks.brokers import PREFIX, Lent, command_of, configured, fill, headers, reached, read, topics_of
from benchmarks.measure import (
    CACHE,
    PEERS,
    BenchmarkError,
    Usage,
    cpu_seconds,
    environment,
    events_file,
    measured,
    spread,
)
from config.load import describe
from connectors.cloudevents import STREAMS
from operators.ids import murmur2

FOLDER: Final = CACHE / "kafka"
LAST: Final = "the-last-one"
"""Who sends the last events, with a number behind it."""
LAST_AFTER: Final = timedelta(hours=2)
SETTLE_S: Final = 4.0
IDLE_S: Final = 10.0
_ID: Final = re.compile(rb'"id":"([^"]*)"')
_KEY: Final = re.compile(rb'"anonymousId":"([^"]*)"|"phone":"([^"]*)"')


class KafkaRow(msgspec.Struct, kw_only=True):
    """One variant's figures, a value a round."""

    name: str
    cpu_us: list[float]
    """CPU an event, in microseconds: of the process with all its threads, start and end included."""
    ratio: list[float]
    """CPU over that of the bare loop of the same round."""
    events_a_second: list[float]
    """From the first record published to the last; for bare loop and file, from start to end."""
    rss_mb: list[float]


class KafkaFound(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    events: int
    rows: list[KafkaRow]
    comparison: Comparison
    """Of everything on Kafka with the bare loop on Kafka."""
    same_ids: dict[str, int]
    """By stream, how many records have the ids of the file run's, each once."""
    other_ids: dict[str, int]
    """By stream, how many ids only one side has, or has twice."""
    idle_cpu: float
    """Share of a core that everything takes while nothing comes."""

    @property
    def is_equal(self) -> bool:
        """Whether all that was found is what the others found."""
        return self.comparison.is_equal and not any(self.other_ids.values())

    @property
    def capacity(self) -> float:
        """Events a second that everything on Kafka takes."""
        return next(spread(row.events_a_second).middle for row in self.rows if row.name == _on_kafka(EVERYTHING))


def run(servers: Lent, events: int, rounds: int, tell: Callable[[str], None]) -> KafkaFound:
    """Measure all variants `rounds` times. `tell` hears of progress."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    source, topic = with_last(events_file(events), FOLDER / "events.jsonl"), f"{PREFIX}events"
    count = fill(servers, topic, records(source))
    found: dict[str, list[tuple[Usage, float]]] = {}
    for number in range(rounds):
        for name, usage, pace in _round(servers, source, topic, count, number):
            found.setdefault(name, []).append((usage, pace))
            tell(f"round {number + 1} of {rounds}: {name}, {usage.cpu_s:.2f} CPU s, {pace:,.0f} events a second")
    last = rounds - 1
    theirs, ours = _bare_found(servers, f"{PREFIX}bare-{last}"), ours_found(servers, _name(EVERYTHING, last), FOLDER)
    wanted, ids = ids_of_files(_file_folder(EVERYTHING)), ids_of_topics(servers, _name(EVERYTHING, last))
    return KafkaFound(
        events=events,
        rows=[_row(name, of, [usage for usage, _ in found[BASE]], count) for name, of in found.items()],
        comparison=compared(ours, theirs, same_rule(source, theirs.carts)),
        same_ids={stream: (of & wanted[stream]).total() for stream, of in ids.items()},
        other_ids={stream: ((of - wanted[stream]) + (wanted[stream] - of)).total() for stream, of in ids.items()},
        idle_cpu=_idle(_name(EVERYTHING, last)),
    )


def _round(servers: Lent, source: Path, topic: str, count: int, number: int) -> Iterator[tuple[str, Usage, float]]:
    """Run each variant once; yield its name, what it took, and events a second."""
    usage = _bare(servers, topic, f"{PREFIX}bare-{number}", count)
    yield BASE, usage, count / usage.wall_s
    for rules in (EVERYTHING, ALONE):
        usage = measured(_file_command(source, rules))
        yield f"{rules}, file to file", usage, count / usage.wall_s
        usage, seconds = _ours(servers, topic, rules, number)
        yield _on_kafka(rules), usage, count / seconds


def _on_kafka(rules: str) -> str:
    return f"{rules}, Kafka and Redis"


def _name(rules: str, number: int) -> str:
    """Name the run of a round, and with it its topics."""
    return f"{rules.partition(' ')[0]}-{number}"


def _row(name: str, found: list[tuple[Usage, float]], bases: list[Usage], count: int) -> KafkaRow:
    return KafkaRow(
        name=name,
        cpu_us=[usage.cpu_s / count * 1e6 for usage, _ in found],
        ratio=[usage.cpu_s / base.cpu_s for (usage, _), base in zip(found, bases, strict=True)],
        events_a_second=[pace for _, pace in found],
        rss_mb=[usage.rss_mb for usage, _ in found],
    )


def with_last(path: Path, copy: Path, partitions: int = 1) -> Path:
    """Return a copy of a file of events with one more for each partition of a topic, that closes what is open."""
    shutil.copy(path, copy)
    with copy.open("rb+") as file:
        file.seek(-10_000, 2)
        newest = max(orjson.loads(line)["receivedAt"] for line in file.read().splitlines()[1:])
        at = f"{datetime.fromisoformat(newest) + LAST_AFTER:%Y-%m-%dT%H:%M:%S.000Z}"
        for who in _last_ones(partitions):
            file.write(
                b'{"messageId":"%(who)s","type":"page","timestamp":"%(at)s","receivedAt":"%(at)s",'
                b'"anonymousId":"%(who)s","channel":"web","properties":{},"context":{}}\n'
                % {b"who": who.encode(), b"at": at.encode()}
            )
    return copy


def _last_ones(partitions: int) -> list[str]:
    """Return for each partition somebody whose events Kafka's own hash puts there."""
    names = (f"{LAST}-{number}" for number in range(64 * partitions))
    found = {murmur2(who.encode()) % partitions: who for who in names}
    assert len(found) == partitions, "among so many names there is one for each"
    return list(found.values())


def records(path: Path) -> Iterator[tuple[bytes, str]]:
    """Yield a file's events and whom they are of, their keys in a topic."""
    with path.open("rb") as lines:
        for line in lines:
            key = _KEY.search(line)
            yield line[:-1], (key[1] or key[2]).decode() if key else ""


def _bare(servers: Lent, topic: str, out: str, count: int) -> Usage:
    fill(servers, out, [])
    script = PEERS / "bare" / "bare_kafka.py"
    return measured([sys.executable, script, servers.kafka, topic, out, str(count)])


def _file_folder(rules: str) -> Path:
    return FOLDER / f"file-{rules.partition(' ')[0]}"


def _file_command(source: Path, rules: str) -> list[str | Path]:
    folder = _file_folder(rules)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(describe(SETTINGS[rules]), encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-m", "pipeline.cli", "run", source, "--out", folder]
    return [*command, "--config", folder / "settings.yaml", "--recovery", folder / "state"]


def _ours(servers: Lent, topic: str, rules: str, number: int) -> tuple[Usage, float]:
    """Run on Kafka until as much is published as the file run wrote; return the seconds from first record to last."""
    name, settings = _name(rules, number), SETTINGS[rules]
    settings = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, topics=(topic,)))
    command = configured(servers, name, FOLDER / name, settings, partitions=1)
    topics, wanted = topics_of(name).values(), ids_of_files(_file_folder(rules))
    usage = measured(command, is_done=reached(servers.brokers, topics, sum(ids.total() for ids in wanted.values())))
    stamps = [message.timestamp()[1] for message in read(servers, topics)]
    return usage, (max(stamps) - min(stamps)) / 1000


def _bare_found(servers: Lent, topic: str) -> Output:
    path = FOLDER / "bare.jsonl"
    with path.open("wb") as file:
        file.writelines(message.value() or b"" for message in read(servers, [topic]))
    return without_last(bare_output(path))


def ours_found(servers: Lent, name: str, folder: Path) -> Output:
    """Return what the run `name` published, as far as it is compared; copies of it are left in `folder`."""
    topics = topics_of(name)
    for stream in ("sessions", "carts"):
        with (folder / f"{stream}.jsonl").open("wb") as file:
            file.writelines(b'{"data":%b}\n' % (message.value() or b"") for message in read(servers, [topics[stream]]))
    return without_last(our_output(folder))


def without_last(found: Output) -> Output:
    """Return what was found without what the last events are about."""
    return Output([one for one in found.sessions if not one[0].startswith(LAST)], found.carts)


def ids_of_files(folder: Path) -> dict[str, Counter[str]]:
    """Count the ids that a file run wrote, by stream: all but the last event's session, that a stream leaves open."""
    found: dict[str, Counter[str]] = {stream: Counter() for stream in STREAMS}
    for path in folder.glob("*.jsonl"):
        with path.open("rb") as lines:
            found[path.stem] = Counter(_id(line) for line in lines if LAST.encode() not in line)
    return found


def ids_of_topics(servers: Lent, name: str) -> dict[str, Counter[str]]:
    """Count the ids of what a run published, by stream as files have them."""
    found: dict[str, Counter[str]] = {}
    for stream, topic in topics_of(name).items():
        ids = Counter(headers(message)["ce_id"].decode() for message in read(servers, [topic]))
        found[stream.partition(".")[0]] = found.get(stream.partition(".")[0], Counter()) + ids
    return found


def _id(line: bytes) -> str:
    found = _ID.search(line)
    return found[1].decode() if found else ""


def _idle(name: str) -> float:
    """Let a run go on from its checkpoint, with nothing to do; return the share of a core that it takes."""
    child = subprocess.Popen(command_of(FOLDER / name), env=environment(), stdout=subprocess.DEVNULL)
    time.sleep(SETTLE_S)
    before_s = cpu_seconds(child.pid)
    time.sleep(IDLE_S)
    after_s = cpu_seconds(child.pid)
    child.terminate()
    if child.wait():
        raise BenchmarkError(f"a run with nothing to do ended with {child.returncode}")
    return (after_s - before_s) / IDLE_S


def table(found: KafkaFound) -> list[list[str]]:
    """Return the rows to print, the first with the headings."""
    rows = [["variant", "CPU µs an event", "of the bare loop", "events a second", "peak MB"]]
    for row in found.rows:
        ratio, cpu_us, pace = spread(row.ratio), spread(row.cpu_us), spread(row.events_a_second)
        rows.append([row.name, cpu_us.told(), ratio.told(), pace.told(",.0f"), f"{max(row.rss_mb):,.0f}"])
    return rows


def told(found: KafkaFound) -> list[str]:
    """Return what there is to say below the table."""
    same, other = sum(found.same_ids.values()), sum(found.other_ids.values())
    kinds = ", ".join(f"{count:,} {stream}" for stream, count in found.same_ids.items() if count)
    return [
        f"Everything on Kafka: {found.comparison.told()}",
        f"{same:,} records have the ids that the file run gave, each once ({kinds}); {other:,} have not",
        f"With nothing to do, everything takes {found.idle_cpu:.1%} of a core",
    ]
