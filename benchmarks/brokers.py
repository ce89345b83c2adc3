"""A Kafka and a Redis for benchmarks, and what is asked of them.

`KAFKA_BOOTSTRAP_SERVERS` and `REDIS_URL` name servers to use. Without them those of the tests are lent, by a process of
their own (`python -m tests.services lend`): benchmarks do not import tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # it is there, untyped
from redis import Redis

from benchmarks.measure import ROOT, BenchmarkError, cpu_seconds, environment
from config.identity import IdentitySettings
from config.load import describe
from config.settings import Settings
from connectors.kafka_client import Brokers, KafkaFault, assigned
from connectors.kafka_topics import create, exchange_topic, output_topics

NAMES: Final = ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL")
LENT: Final = (*NAMES, "KAFKA_DATA", "KAFKA_PID")
# Long enough for a slow machine's broker; a benchmark that stands still for longer has failed.
WAIT_S_MAX: Final = 120.0
PREFIX: Final = "bench."


class NoServersError(BenchmarkError):
    """There is no Kafka or no Redis to measure with."""


class Lent(NamedTuple):
    """Where both servers are."""

    kafka: str
    redis: str
    data: str = ""
    """The folder in which Kafka has its topics; "" where that is not ours to see."""
    kafka_pid: int = 0
    """Kafka's process; 0 where that is not ours to see."""

    @property
    def brokers(self) -> Brokers:
        """Ask Kafka as an administrator."""
        return Brokers(self.kafka, {})

    def cpu_s(self) -> tuple[float, float]:
        """Return the CPU seconds that Kafka and Redis have taken; 0 where that is not ours to see."""
        with Redis.from_url(self.redis) as redis:
            told: dict[str, Any] = redis.info("cpu")
        redis_s = told["used_cpu_user"] + told["used_cpu_sys"]
        return cpu_seconds(self.kafka_pid) if self.kafka_pid else 0.0, redis_s


@contextmanager
def lent() -> Iterator[Lent]:
    """Give two servers, and take away afterwards what a benchmark has left there.

    Raises:
        NoServersError: there are none to be had.
    """
    kafka, redis = (os.environ.get(name, "") for name in NAMES)
    if kafka and redis:
        servers = Lent(kafka, redis, os.environ.get("KAFKA_DATA", ""), int(os.environ.get("KAFKA_PID", "0")))
        try:
            yield servers
        finally:
            _clear(servers)
        return
    command = [sys.executable, "-m", "tests.services", "lend"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None, "it was asked for"
        assert child.stdout is not None, "it was asked for"
        told = dict(child.stdout.readline().strip().partition("=")[::2] for _ in LENT)
        if not all(told.get(name) for name in LENT):
            raise NoServersError(f"no Kafka and Redis to measure with: set {' and '.join(NAMES)}, or see above")
        kafka, redis, data, pid = (told[name] for name in LENT)
        yield Lent(kafka, redis, data, int(pid))


def _clear(servers: Lent) -> None:
    brokers = servers.brokers
    ours = [name for name in brokers.topics() if name.startswith(PREFIX)]
    for future in brokers.admin.delete_topics(ours).values() if ours else []:
        future.result(WAIT_S_MAX)
    with Redis.from_url(servers.redis) as redis:
        keys = redis.scan_iter(match=f"{{{PREFIX}*", count=10_000)
        while some := list(islice(keys, 10_000)):
            redis.unlink(*some)


def configured(servers: Lent, name: str, folder: Path, settings: Settings, partitions: int) -> list[str | Path]:
    """Make the topics and the configuration of a run called `name`; return the command that runs it."""
    prefix = f"{PREFIX}{name}."
    create(servers.brokers, [*output_topics(prefix).values(), exchange_topic(prefix)], partitions, 1)
    settings = with_servers(servers, name, settings)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(describe(settings), encoding="utf-8")
    return command_of(folder)


def command_of(folder: Path) -> list[str | Path]:
    """Return the command that runs what is configured in `folder`, from its last checkpoint if there is one."""
    command: list[str | Path] = [sys.executable, "-m", "pipeline.cli", "run", "--config", folder / "settings.yaml"]
    return [*command, "--recovery", folder / "recovery"]


def with_servers(servers: Lent, name: str, settings: Settings) -> Settings:
    """Return `settings` with the servers, and names of the run's own for all that it writes."""
    kafka = msgspec.structs.replace(
        settings.kafka, servers=servers.kafka, prefix=f"{PREFIX}{name}.", group=PREFIX + name
    )
    identity = IdentitySettings(redis_url=servers.redis, redis_prefix=f"{{{PREFIX}{name}}}:")
    return msgspec.structs.replace(settings, kafka=kafka, identity=identity)


def topics_of(name: str) -> dict[str, str]:
    """Return the topics of the run `name` by stream; those of triggers as `triggers.FAMILY`."""
    return {stream: topic.name for stream, topic in output_topics(f"{PREFIX}{name}.").items()}


def fill(servers: Lent, topic: str, records: Iterable[tuple[bytes, str]], partitions: int = 1) -> int:
    """Make a topic of records, put where Kafka's own hash of their keys puts them; return how many."""
    for future in servers.brokers.admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        future.result(WAIT_S_MAX)
    options: dict[str, Any] = {"bootstrap.servers": servers.kafka, "linger.ms": 50, "batch.size": 1_000_000}
    producer = Producer(options | {"partitioner": "murmur2_random"})
    count = 0
    for value, key in records:
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
    if producer.flush(WAIT_S_MAX):
        raise BenchmarkError(f"{topic}: could not be filled in {WAIT_S_MAX:.0f} s")
    return count


def ends(brokers: Brokers, topics: Iterable[str]) -> int:
    """Return how many records topics hold, all together."""
    wanted, there = set(topics), brokers.topics()
    return sum(brokers.ends(f"{name}/{n}" for name in wanted for n in range(there[name])).values())


def reached(brokers: Brokers, topics: Iterable[str], count: int) -> Callable[[], bool]:
    """Return what tells whether topics hold `count` records by now; it raises if they never do."""
    names = list(topics)
    end_at = time.monotonic() + WAIT_S_MAX

    def look() -> bool:
        try:
            found = ends(brokers, names)
        except KafkaFault:
            found = 0  # topics have just been made, and not every broker has heard of it
        if time.monotonic() > end_at:
            raise BenchmarkError(f"{', '.join(names)}: {found:,} records after {WAIT_S_MAX:.0f} s, but not {count:,}")
        return found >= count

    return look


def read(servers: Lent, topics: Iterable[str]) -> Iterator[Message]:
    """Read topics to their ends."""
    brokers = servers.brokers
    there = brokers.topics()
    names = [f"{name}/{number}" for name in topics for number in range(there[name])]
    left = {name: end for name, end in brokers.ends(names).items() if end}
    options: dict[str, Any] = {"bootstrap.servers": servers.kafka, "group.id": f"{PREFIX}read"}
    consumer = Consumer(options | {"enable.auto.commit": False, "auto.offset.reset": "error"})
    consumer.assign([assigned(name, 0) for name in left])
    end_at = time.monotonic() + WAIT_S_MAX
    while left:
        for message in consumer.consume(10_000, 0.1):
            if message.error() is not None or time.monotonic() > end_at:
                raise BenchmarkError(f"{message.topic()}: cannot be read: {message.error()}")
            offset, name = message.offset(), f"{message.topic()}/{message.partition()}"
            assert offset is not None, "a message has an offset"
            if offset + 1 >= left[name]:
                del left[name]
            yield message
    consumer.close()


def headers(message: Message) -> Mapping[str, bytes]:
    """Return the headers of a message."""
    told: Any = message.headers() or []  # typed as a mapping too, which it never is when read
    return dict(told)
