"""
`nextmove identity` asks running processes, between a real Kafka and a real Redis.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from confluent_kafka import Consumer, TopicPartition

from config.durations import MINUTE
from config.settings import CheckpointSettings, Settings, SourceSettings
from connectors.kafka_client import Brokers
from connectors.kafka_topics import control_topic, create
from operators.ids import murmur2
from tests.pipeline.helpers import ROOT
from tests.pipeline.kafka_job import Job, until
from tests.pipeline.test_kafka_run import event, item, now_ms, streams
from tests.pipeline.test_kafka_shards import ended, shard
from tests.services.kafka import KafkaServer
from tests.services.redis import RedisServer

SETTINGS: Final = Settings(
    source=SourceSettings(lateness_ms=100, idle_after_ms=100),
    checkpoint=CheckpointSettings(interval_ms=300),
    key_groups=12,
)
MAIL: Final = "mara@example.org"
NAMES: Final = ("device-one", "device-two", "user-mara", MAIL, "15112345678")


def identity(job: Job, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run `nextmove identity` as an operator does.
    """
    command = [sys.executable, "-m", "pipeline.cli", "identity", *arguments, "--config", str(job.config)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, cwd=job.folder, capture_output=True, text=True, check=False)


def asked(job: Job, *arguments: str) -> list[dict[str, Any]]:
    done = identity(job, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def tombstones(job: Job) -> set[str]:
    """
    Return the keys of the records without a value in the compacted topic.
    """
    consumer = Consumer({"bootstrap.servers": job.servers, "group.id": "t", "enable.partition.eof": True})
    topic = f"{job.prefix}profiles.v1"
    numbers = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
    keys, ends = set(), 0
    while ends < len(numbers):
        message = consumer.poll(30)
        assert message is not None
        if message.error() is not None:
            ends += 1
        elif message.value() is None:
            keys.add((message.key() or b"").decode())
    consumer.close()
    return keys


def on_disk(folder: Path) -> bytes:
    """
    Return all that lies in the recovery folders, of a run that goes on.
    """
    found = []
    for path in sorted((folder / "state").rglob("*")):
        try:
            found.append(path.read_bytes())
        except (FileNotFoundError, IsADirectoryError):
            continue
    return b"".join(found)


def in_redis(job: Job, server: RedisServer) -> bytes:
    """
    Return all keys of the deployment with all that they hold, as Redis dumps them.
    """
    client = redis.Redis.from_url(server.url)
    keys = list(client.scan_iter(match=f"{job.settings.identity.redis_prefix}*", count=1_000))
    return b"".join(key + (client.dump(key) or b"") for key in keys)


def play(job: Job, at: int, device: str, **more: Any) -> None:  # noqa: ANN401 -- fields of an event
    """
    Somebody does something, in the partition that is the device's.
    """
    kind = more.pop("kind", "page_viewed")
    job.produce([(murmur2(device.encode()) % 4, event(kind, at, device, **more))])


@pytest.mark.parametrize("count", [1, 2])
def test_somebody_is_shown_and_erased_while_it_runs(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer, count: int
) -> None:
    """
    In one process and in two: what is known is shown; after the erasure nothing is, consumers of the compacted topic
    see tombstones, and neither Redis nor the recovery folders have any of the names, nor after a kill -9. What comes
    later is somebody new's.
    """
    job = Job(tmp_path, kafka, SETTINGS, redis=redis_server, partitions=4)
    create(Brokers(job.servers, {}), [control_topic(job.prefix)], 1, 1)
    at = now_ms() - MINUTE
    processes = [shard(job, index, count) for index in range(count)]
    try:
        play(job, at, "device-one")
        play(job, at + 1, "device-one", kind="identified", user_id="user-mara", email=MAIL)
        play(job, at + 2, "device-two", kind="identified", user_id="user-mara", phone="+4915112345678")
        play(job, at + 3, "device-two", kind="product_added", **item("kettle", "cart-1"))
        until(lambda: asked(job, "show", MAIL)[0].get("state", {}).get("anonymous_ids") == ["device-one", "device-two"])
        (shown,) = asked(job, "show", "phone:+49 151 12345678")
        assert len(shown["identity"]["identifiers"]) == 5
        (exported,) = asked(job, "export", "user:user-mara")
        assert exported["profile_id"] == shown["profile_id"]
        until(lambda: b"user-mara" in on_disk(tmp_path) or b"device-two" in on_disk(tmp_path))

        (erased,) = asked(job, "erase", "device:device-two")
        assert (erased["outcome"], erased["profile_id"]) == ("done", shown["profile_id"])
        assert asked(job, "show", MAIL)[0]["outcome"] == "unknown"
        play(job, at + 4, "device-two", kind="product_added", **item("teapot", "cart-1"))
        dead = NAMES if count == 1 else NAMES[2:]  # a visitor's dead entry in another shard's file goes in its time
        until(lambda: not any(name.encode() in on_disk(tmp_path) for name in dead))
        assert not any(name.encode() in in_redis(job, redis_server) for name in NAMES)
        for process in processes:
            process.kill()
            process.communicate()
        processes = [shard(job, index, count) for index in range(count)]
        play(job, now_ms(), "device-two", kind="product_added", **item("cup", "cart-2"))
        until(lambda: asked(job, "show", "device:device-two")[0]["outcome"] == "done")
        (again,) = asked(job, "export", "device:device-two")
        assert again["profile_id"] == "device-two"
        assert asked(job, "show", MAIL)[0]["outcome"] == "unknown"
        assert [code for code, _ in ended(*processes)] == [0] * count
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert tombstones(job) >= {shown["profile_id"], "device-one", "device-two"}
    kettles = [cart for cart in streams(job)["carts"] if "kettle" in json.dumps(cart)]
    assert {cart["data"]["state"] for cart in kettles} <= {"open"}
    assert not [one for one in streams(job)["carts"] if "teapot" in json.dumps(one)]


def test_a_request_that_nobody_answers_is_said_so(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    Without a topic of requests, and without a running pipeline: each with what to do.
    """
    job = Job(tmp_path, kafka, SETTINGS)
    refused = identity(job, "show", MAIL)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is no topic" in refused.stderr
    assert "create it with `nextmove topics create`" in refused.stderr
    create(Brokers(job.servers, {}), [control_topic(job.prefix)], 1, 1)
    unheard = identity(job, "erase", MAIL, "--timeout", "1")
    assert unheard.returncode == 1
    assert "no answer within 1 s; the request " in unheard.stderr
