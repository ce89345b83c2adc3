"""
nextmove as a process of its own between a real Kafka and a real Redis, and what a plain consumer sees of it.
"""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it has it

from config.load import describe
from config.settings import Settings
from connectors.kafka_client import Brokers
from connectors.kafka_topics import create, exchange_topic, output_topics
from tests.pipeline.helpers import ROOT
from tests.records import check_message
from tests.services.kafka import KafkaServer
from tests.services.redis import RedisServer

WAIT_S: Final = 60.0


class Job:
    """A deployment with topics, keys and a folder of its own."""

    def __init__(
        self,
        folder: Path,
        kafka: KafkaServer,
        settings: Settings,
        *,
        redis: RedisServer | None = None,
        partitions: int = 3,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the topics and the settings file; `more` are settings of the sections `kafka` and `telemetry`."""
        name = uuid4().hex[:12]
        self.folder, self.servers = folder, kafka.bootstrap_servers
        self.topic, self.prefix, self.group = f"{name}.events", f"{name}.", f"{name}-group"
        own = {"servers": self.servers, "topics": (self.topic,), "prefix": self.prefix, "group": self.group}
        options: dict[str, Any] = {
            "kafka": msgspec.structs.replace(settings.kafka, **(own | dict((more or {}).get("kafka", {}))))
        }
        if redis is not None:
            options["identity"] = msgspec.structs.replace(
                settings.identity, redis_url=redis.url, redis_prefix=f"{{{name}}}:"
            )
        if more and "telemetry" in more:
            options["telemetry"] = msgspec.structs.replace(settings.telemetry, **more["telemetry"])
        options["checkpoint"] = msgspec.structs.replace(settings.checkpoint, folder=str(folder / "state"))
        self.settings = msgspec.structs.replace(settings, **options)
        self.config = folder / "prod.yaml"
        self.config.write_text(describe(self.settings))
        topics = [*output_topics(self.prefix).values(), exchange_topic(self.prefix)]
        create(Brokers(self.servers, {}), topics, partitions, 1)
        self.create(self.topic, partitions)

    def create(self, topic: str, partitions: int = 1) -> None:
        admin = AdminClient({"bootstrap.servers": self.servers})
        for made in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
            made.result(WAIT_S)
        end_at = time.monotonic() + WAIT_S
        while topic not in Brokers(self.servers, {}).topics_with([topic]):  # brokers hear of it a moment later
            assert time.monotonic() < end_at, f"{topic} does not appear"

    def produce(self, lines: Iterable[tuple[int, bytes]], topic: str = "") -> None:
        """Send records to partitions of a topic, that of the events if none is named."""
        producer = Producer({"bootstrap.servers": self.servers, "linger.ms": 5, "enable.idempotence": True})
        for partition, line in lines:
            while True:
                try:
                    producer.produce(topic or self.topic, line, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(WAIT_S) == 0

    def start(self, *more: str, **environment: str) -> subprocess.Popen[str]:
        """Start nextmove; `more` are options."""
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "run", "--config", str(self.config), *more],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "NEXTMOVE_DEBUG": ""} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def running(self, *more: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Run nextmove for the block, then stop it: it must end well within ten seconds."""
        process = self.start(*more, **environment)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=10)
            (self.folder / "out.txt").write_text(out)
            assert process.returncode == 0, f"{process.returncode}: {err}"
        finally:
            process.kill()
            process.communicate()

    def fails(self, *more: str, **environment: str) -> tuple[int, str]:
        """Run nextmove until it ends; return its exit code and what it said."""
        process = self.start(*more, **environment)
        try:
            _, err = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
            process.communicate()
        return process.returncode, err

    def lag(self) -> int:
        """How many records the group has yet to commit; -1 while nobody can say."""
        asked = Consumer({"bootstrap.servers": self.servers, "group.id": self.group, "log_level": 2})
        try:
            count = len(asked.list_topics(self.topic, timeout=WAIT_S).topics[self.topic].partitions)
            committed = asked.committed([TopicPartition(self.topic, i) for i in range(count)], timeout=WAIT_S)
            highs = [asked.get_watermark_offsets(place, timeout=WAIT_S)[1] for place in committed]
        except KafkaException:
            return -1
        finally:
            asked.close()
        return sum(high - max(0, place.offset) for high, place in zip(highs, committed, strict=True))

    def consumed(self) -> dict[str, list[Any]]:
        """Return what lies in the output topics: by stream CloudEvents as the files have them."""
        consumer = Consumer(
            {"bootstrap.servers": self.servers, "group.id": uuid4().hex, "enable.partition.eof": True, "log_level": 2}
        )
        topics = {topic.name: stream.partition(".")[0] for stream, topic in output_topics(self.prefix).items()}
        there = consumer.list_topics(timeout=WAIT_S).topics
        places = [TopicPartition(name, number, 0) for name in topics for number in there[name].partitions]
        consumer.assign(places)
        found: defaultdict[str, list[Any]] = defaultdict(list)
        ends, deadline = 0, time.monotonic() + WAIT_S
        while ends < len(places):
            assert time.monotonic() < deadline
            for message in consumer.consume(10_000, 0.1):
                if message.error() is not None:
                    ends += 1
                    continue
                value, topic, key = message.value(), message.topic(), message.key()
                assert topic is not None
                assert key is not None
                told: Any = message.headers()
                check_message(key, value, dict(told))
                if value is None:
                    continue  # a tombstone
                headers = {key.removeprefix("ce_"): raw.decode(errors="surrogatepass") for key, raw in told}
                found[topics[topic]].append(headers | {"data": msgspec.json.decode(value)})
        consumer.close()
        return {stream: found[stream] for stream in topics.values()}


def until(is_so: Callable[[], bool], wait_s: float = WAIT_S) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + wait_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.05)
