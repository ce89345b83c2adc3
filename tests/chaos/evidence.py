"""What the auditor goes by: the log of what was sent, the topics as a plain consumer reads them, and a quiet run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from config.load import describe
from connectors.cloudevents import STREAMS
from connectors.kafka_sink import header
from tests.chaos.rules import Rules
from tests.chaos.stage import Job, run_ours

READ_S_MAX: Final = 900.0
ALIASES: Final = {"dlq": "dead_letters"}


class Seen(NamedTuple):
    """A record in a topic: its id, when it was there (s since the epoch), and its data."""

    id: str
    at: float
    data: dict[str, Any]


class Input(NamedTuple):
    """A record of the input: where it lies, and its bytes."""

    partition: str
    offset: int
    line: bytes


@dataclass
class Evidence:
    """All of it; `expected` is what a run from file to file says of the log."""

    log: list[bytes]
    input: list[Input]
    seen: dict[str, list[Seen]]
    expected: dict[str, list[Seen]]


def collect(job: Job, rules: Rules) -> Evidence:
    """Read everything there is to read."""
    log = job.log.read_bytes().splitlines()
    out = job.stage.folder / "quiet"
    config = job.stage.folder / "quiet.yaml"
    config.write_text(describe(rules.settings), encoding="utf-8")
    run_ours([sys.executable, "-m", "pipeline.cli", "run", str(job.log), "--out", str(out), "--config", str(config)])
    entered: list[Input] = []
    seen: dict[str, list[Seen]] = {stream: [] for stream in STREAMS}
    for message in read(job.servers, job.ends()):
        topic, value = message.topic() or "", message.value() or b""
        if topic == job.topic:
            entered.append(Input(f"{topic}/{message.partition()}", message.offset() or 0, value))
            continue
        name = topic.removeprefix(f"{job.name}.").split(".")[0]
        id_ = header(message, "ce_id").decode()
        seen[ALIASES.get(name, name)].append(Seen(id_, message.timestamp()[1] / 1000, msgspec.json.decode(value)))
    return Evidence(log, entered, seen, {stream: published(out / f"{stream}.jsonl") for stream in STREAMS})


def read(servers: str, ends: dict[str, int]) -> Iterator[Message]:
    """Yield every message of partitions, as any consumer reads them."""
    ours = {"group.id": "audit", "enable.auto.commit": False, "isolation.level": "read_uncommitted"}
    consumer = Consumer({"bootstrap.servers": servers} | ours)
    places = {}
    for name, end in ends.items():
        topic, _, number = name.rpartition("/")
        if end:
            places[topic, int(number)] = end
    consumer.assign([TopicPartition(topic, number, 0) for topic, number in places])
    left, end_at = dict(places), time.monotonic() + READ_S_MAX
    while left:
        assert time.monotonic() < end_at, f"not read to their end: {left}"
        for message in consumer.consume(10_000, 0.5):
            assert message.error() is None, message.error()
            yield message
            where = str(message.topic()), int(message.partition() or 0)
            if (message.offset() or 0) + 1 >= left.get(where, sys.maxsize):
                del left[where]
    consumer.close()


def published(path: Path) -> list[Seen]:
    """Return what a run has written to a file, if there is one."""
    if not path.exists():
        return []
    events = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    return [Seen(event["id"], 0.0, event["data"]) for event in events]
