"""What a chaos run plays on: a Kafka and a durable Redis of its own, topics, settings, nextmove and the load."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are there, untyped
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

from config.identity import IdentitySettings
from config.kafka import KafkaSettings
from config.load import describe
from config.settings import CheckpointSettings, Settings
from connectors.kafka_topics import exchange_topic
from tests.chaos.deployment import Deployment
from tests.chaos.load import Counts
from tests.chaos.rules import Rules, ms
from tests.pipeline.helpers import ROOT
from tests.services.kafka import KafkaServer
from tests.services.redis import RedisServer

PARTITIONS: Final = 4
ANSWER_S: Final = 10.0
POLL_S: Final = 0.25
STATE: Final = "state"
"""The recovery folder of a deployment, in its own."""
REFUSED: Final = "start it once more, and stop it then"
"""What `nextmove stop` says of a shard that was killed: others have heard of more than it can save."""


class Stage:
    """Servers, and what runs between them."""

    def __init__(self, folder: Path, rules: Rules, seed: int) -> None:
        """Everything is written below `folder`."""
        self.folder, self.rules, self.seed = folder, rules, seed
        self.kafka = KafkaServer(folder / "kafka")
        self.redis = RedisServer(folder / "redis", is_durable=True)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Have the servers run."""
        try:
            self.kafka.start()
            self.redis.start()
            yield
        finally:
            for server in (self.kafka, self.redis):
                server.resume()
                server.kill()
            shutil.rmtree(self.kafka.folder / "data", ignore_errors=True)  # the logs are worth keeping, this is not

    def job(self, name: str, shards: int, journeys: str = "") -> Job:
        """Make topics and settings of that name, and what runs with them: so many processes at first.

        They decide by the rules of a folder `journeys`, if one is named in place of their own.
        """
        kafka = KafkaSettings(
            servers=self.kafka.bootstrap_servers, topics=(f"{name}.events.v1",), group=name, prefix=f"{name}."
        )
        changes: dict[str, Any] = {
            "kafka": kafka,
            "identity": IdentitySettings(redis_url=self.redis.url, redis_prefix=f"{{{name}}}:"),
        }
        if journeys:
            changes["decision"] = msgspec.structs.replace(self.rules.settings.decision, journeys=journeys)
        settings = msgspec.structs.replace(self.rules.settings, **changes)
        return Job(self, name, settings, shards)


class Job:
    """One deployment of nextmove with topics of its own, and its load."""

    def __init__(self, stage: Stage, name: str, settings: Settings, shards: int) -> None:
        """Create the topics and write the settings."""
        self.stage, self.name, self._settings = stage, name, settings
        self.servers, self.topic = settings.kafka.servers, settings.kafka.topics[0]
        self.exchange = exchange_topic(settings.kafka.prefix).name
        self.log = stage.folder / f"{name}.jsonl"
        self.deployments: list[Deployment] = []
        """All that there were, the one that runs last."""
        self._savepoints = 0
        config = self.deploy(shards).config
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        quiet = {"enable.auto.commit": False, "log_level": 0}
        self._reader = Consumer({"bootstrap.servers": self.servers, "group.id": name} | quiet)
        self._admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)])[self.topic].result(ANSWER_S)
        command = [sys.executable, "-m", "pipeline.cli", "topics", "create"]
        run_ours([*command, "--config", str(config), "--partitions", str(PARTITIONS)])
        self._stamp_triggers()
        self._load: subprocess.Popen[bytes] | None = None

    @property
    def nextmove(self) -> Deployment:
        """The deployment of now."""
        return self.deployments[-1]

    def deploy(self, shards: int, *arguments: str) -> Deployment:
        """Make ready as many processes, with settings and a recovery folder of their own; nothing is started yet.

        Whoever calls this in a run has stopped those before, and says with `arguments` of `nextmove run` what the new
        ones are to go on from.
        """
        folder = self.stage.folder / f"{self.name}-{len(self.deployments)}"
        checkpoint = CheckpointSettings(interval_ms=ms(self.stage.rules.checkpoint), folder=str(folder / STATE))
        settings = msgspec.structs.replace(self._settings, checkpoint=checkpoint)
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "nextmove.yaml"
        config.write_text(describe(settings), encoding="utf-8")
        self.deployments.append(Deployment(config, folder, shards, arguments))
        return self.nextmove

    def saved(self) -> Path | None:
        """Have all shards stopped that still run, and their state saved; return the savepoint, None if it is refused.

        Whoever calls this has seen to it that none is started again. With a savepoint nobody needs the recovery
        folders any more, nor the savepoint before: they are removed.
        """
        for path in self.stage.folder.glob(f"{self.name}-saved-*"):
            shutil.rmtree(path)
        self._savepoints += 1
        savepoint = self.stage.folder / f"{self.name}-saved-{self._savepoints}"
        command = [sys.executable, "-m", "pipeline.cli", "stop", "--config", str(self.nextmove.config)]
        done = run([*command, "--savepoint", str(savepoint)])
        (self.nextmove.folder / f"{savepoint.name}.err").write_text(done.stderr, encoding="utf-8")
        assert not done.returncode or REFUSED in done.stderr, done.stderr[-2000:]
        self.nextmove.join()
        if done.returncode:
            return None
        shutil.rmtree(self.nextmove.folder / STATE)
        return savepoint

    def start_load(self, rate: float, *, is_burst: bool = False) -> None:
        """Let the households live, in real time or as fast as it is read, and tell all of it to the topic."""
        options = {"--servers": self.servers, "--topic": self.topic, "--rules": self.stage.rules.name}
        options |= {"--rate": str(rate), "--seed": str(self.stage.seed)}
        options |= {"--burst": self.name} if is_burst else {"--log": str(self.log)}
        command = [sys.executable, "-m", "tests.chaos.load", *(word for pair in options.items() for word in pair)]
        self._load = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE)

    def end_load(self) -> Counts:
        """Let it end, and return what it has sent."""
        assert self._load is not None, "it was started"
        self._load.send_signal(signal.SIGTERM)
        told, _ = self._load.communicate(timeout=300)
        assert self._load.returncode == 0, f"the load ended with {self._load.returncode}"
        return msgspec.json.decode(told, type=Counts)

    def abandon(self) -> None:
        """Leave no process behind."""
        for deployment in self.deployments:
            deployment.abandon()
        if self._load is not None and self._load.poll() is None:
            self._load.kill()
            self._load.wait()

    def ends(self) -> dict[str, int]:
        """Return where each partition of this job's topics ends, but for what shards tell each other."""
        found: dict[str, int] = {}
        for name, topic in self._admin.list_topics(timeout=ANSWER_S).topics.items():
            if name.startswith(f"{self.name}.") and name != self.exchange:
                found |= self._ends(TopicPartition(name, number) for number in topic.partitions)
        return found

    def entered(self) -> dict[str, int]:
        """Return where all ends that is to be read: the input, and what shards tell each other."""
        return self._ends(self._read())

    def committed(self) -> dict[str, int]:
        """Return how far nextmove has committed that, which it does two checkpoints after reading."""
        found = self._reader.committed(self._read(), timeout=ANSWER_S)
        return {f"{place.topic}/{place.partition}": max(0, place.offset) for place in found}

    def done(self) -> int:
        """Return how many records of the input it has committed."""
        return sum(offset for name, offset in self.committed().items() if name.startswith(self.topic))

    def lag(self) -> int:
        """Return how many records there are that it has not committed."""
        done = self.committed()
        return sum(end - done[name] for name, end in self.entered().items())

    def has_committed(self, ends: dict[str, int]) -> bool:
        """Whether nextmove has come so far."""
        done = self.committed()
        return all(done[name] >= end for name, end in ends.items())

    def wait_until_committed(self, wait_s_max: float) -> bool:
        """Wait until nextmove has done all that is there now, something at least; tell whether it came to that."""
        end_at, ends = time.monotonic() + wait_s_max, dict[str, int]()
        while time.monotonic() < end_at:
            with suppress(KafkaException):  # a broker that has just come back
                ends = ends or self.entered()
                if not all(end for name, end in ends.items() if name.startswith(self.topic)):
                    ends = {}
                elif self.has_committed(ends):
                    return True
            time.sleep(POLL_S)
        return False

    def _read(self) -> list[TopicPartition]:
        topics = [self.topic, self.exchange] if len(self.nextmove.shards) > 1 else [self.topic]
        return [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]

    def _ends(self, places: Iterable[TopicPartition]) -> dict[str, int]:
        return {
            f"{place.topic}/{place.partition}": self._reader.get_watermark_offsets(place, timeout=ANSWER_S)[1]
            for place in places
        }

    def _stamp_triggers(self) -> None:
        """Have the broker say when a trigger was there for consumers to see."""
        entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
        topics = [name for name in self._admin.list_topics(timeout=ANSWER_S).topics if f"{self.name}.triggers" in name]
        asked = [ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry]) for name in topics]
        for future in self._admin.incremental_alter_configs(asked).values():
            future.result(ANSWER_S)


def environment() -> dict[str, str]:
    """Return the environment of a process of this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of this checkout to its end."""
    return subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, check=False, text=True)


def run_ours(command: list[str]) -> None:
    """Run a command of this checkout to its end; it must end well."""
    done = run(command)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
