"""
A world of simulated processes, brokers and a store, and the product's modules made to live in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import connectors.changelog
import connectors.kafka_client
import connectors.kafka_ends
import connectors.kafka_outbox
import connectors.kafka_part
import connectors.kafka_sink
import pipeline.connect
import pipeline.recovery
import pipeline.run
import pipeline.steps
import pipeline.tally
from config.settings import Settings
from connectors.kafka_topics import control_topic, exchange_topic, output_topics
from tests.chaos.lives import Sent
from tests.simulation.broker import Broker, Record, Where
from tests.simulation.clients import Admin, Consumer, Producer
from tests.simulation.clock import Calendar, Clock, InlineThread
from tests.simulation.process import Process, Surroundings
from tests.simulation.rules import PAUSE_SHARE
from tests.simulation.store import SharedStore

CLOCKED: Final = (
    connectors.kafka_client,
    connectors.kafka_ends,
    connectors.kafka_outbox,
    connectors.kafka_sink,
    connectors.kafka_part,
    pipeline.connect,
    pipeline.run,
    pipeline.steps,
    pipeline.tally,
)
"""Modules that ask for the time."""


SMALL_LIMITS: Final = {"GARBAGE_BYTES_MIN": 200, "BLOCK_ENTRIES": 3}
"""What is reached in an hour of real traffic is reached here in a minute of few people."""

# Between two attempts of a shop's producer to send, after an outage long enough to be noticed.
PAUSE_S_MAX: Final = 3.0
OUTAGE_S: Final = 6.0


class World:
    """Everything that a run is about; `processes` share the brokers and the store, each has a folder of its own."""

    def __init__(self, random: Random, settings: Callable[[], Settings], partitions: int, *, is_shared: bool) -> None:
        """Make the topics: that of the input has so many `partitions`. `is_shared` says where identities are kept."""
        self.random, self._settings, self.settings = random, settings, settings()
        self.clock = Clock(random)
        self.broker = Broker(self.clock)
        self.around = Surroundings(self.clock, self.broker, SharedStore() if is_shared else None)
        (self.topic,) = self.settings.kafka.topics
        self.broker.create(self.topic, partitions)
        for stream, topic in output_topics(self.settings.kafka.prefix).items():
            count = random.choice((1, 1, 2)) if stream.startswith("triggers.") else 1
            self.broker.create(topic.name, count, "compact" if topic.is_compacted else "delete")
        self.internal = exchange_topic(self.settings.kafka.prefix).name
        self.broker.create(self.internal, partitions)
        self.control = control_topic(self.settings.kafka.prefix).name
        self.processes: list[Process] = []
        self.said: list[str] = []
        """What processes have told their operators."""
        self._held: dict[Where, list[Sent]] = {}

    def add_process(self, folder: Path, pace_s: float, shard: str = "0/1") -> None:
        """Start a process."""
        self.processes.append(Process(self.around, self._settings, folder, pace_s, shard))
        self.clock.at(0, self.processes[-1].turn)

    def listen(self) -> None:
        """Have a topic of requests."""
        self.broker.create(self.control, 1)

    @property
    def watermark(self) -> int:
        """Return the instant up to which all processes know all that they read to be complete, -1 for none.

        There is none while one of them is dead, or nobody has heard of a partition of the input.
        """
        known = [process.marks for process in self.processes]
        wanted = {f"{self.topic}/{number}" for number in range(self.broker.topics[self.topic])}
        if not all(known) or not wanted <= {name for marks in known for name in marks}:
            return -1
        return min(mark for marks in known for mark in marks.values())

    def send(self, sent: Sent, topic: str = "") -> None:
        """Have a shop's producer send a record; what it cannot send it holds back, and sends later in its order."""
        topic = topic or self.topic
        where = topic, self.broker.partition(topic, sent.key.encode())
        held = self._held.setdefault(where, [])
        held.append(sent)
        if len(held) > 1:
            return

        def deliver() -> None:
            if self.broker.is_away(where):
                back_at = self.broker.back_at(where)
                away_s = back_at - self.clock.now
                # A producer's pauses between attempts grow meanwhile.
                pause_s = self.random.uniform(0, PAUSE_S_MAX if away_s > OUTAGE_S else away_s * PAUSE_SHARE)
                self.clock.at(back_at + pause_s, deliver)
                return
            for one in held:
                self.broker.append(where, Record(one.key.encode(), one.line, [], self.clock.true_ms))
            held.clear()

        self.clock.after(self.broker.delay(), deliver)

    def _hear(self, line: str) -> None:
        self.said.append(line)
        self.around.note(f"said: {line}")

    @contextmanager
    def inhabited(self) -> Iterator[None]:
        """Have the product's modules live here: its clock, its clients, no engine's folder."""
        around, time = self.around, self.around.time
        replaced: list[tuple[Any, dict[str, Any]]] = [(module, {"time": time}) for module in CLOCKED]
        replaced += [
            (connectors.kafka_client, {"AdminClient": lambda options: Admin(around.worker, options)}),
            (connectors.kafka_part, {"Consumer": lambda options: Consumer(around.worker, options)}),
            (connectors.kafka_part, {"datetime": Calendar(time), "threading": SimpleNamespace(Thread=InlineThread)}),
            (connectors.kafka_sink, {"Consumer": lambda options: Consumer(around.worker, options)}),
            (connectors.kafka_outbox, {"Producer": lambda options: Producer(around.worker, options)}),
            (connectors.changelog, SMALL_LIMITS),
            (pipeline.connect, {"warn": self._hear}),
            (pipeline.recovery, {"init_db_dir": lambda *_: None, "RecoveryConfig": lambda *_: None}),
        ]
        with ExitStack() as stack:
            for module, names in replaced:
                stack.enter_context(patch.multiple(module, **names))
            yield
