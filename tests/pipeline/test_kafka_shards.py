"""
Two processes share the work, between a real Kafka and a real Redis.
"""

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from config.durations import MINUTE
from config.settings import CartSettings, CheckpointSettings, Settings, SourceSettings
from connectors.formats import event_times
from operators.ids import murmur2
from pipeline.run import run
from tests.pipeline.kafka_job import Job, until
from tests.pipeline.test_acceptance import (
    decisions_on_timers,
    published,
    sessions_and_carts,
    split_by_person,
    traffic_lines,
)
from tests.pipeline.test_kafka_run import DAY_MS, event, item, now_ms, streams, trigger_ids, without_the_last
from tests.services.kafka import KafkaServer
from tests.services.redis import RedisServer

PARTITIONS: Final = 4


def shard(job: Job, index: int, count: int = 2) -> subprocess.Popen[str]:
    """
    Start one of several processes.
    """
    return job.start(NEXTMOVE_SHARD=f"{index}/{count}")


@contextmanager
def shards(job: Job) -> Iterator[list[subprocess.Popen[str]]]:
    """
    Start two processes; whoever of them, or of those put in their place, is left at the end is killed.
    """
    processes = [shard(job, index) for index in range(2)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def ended(*processes: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """
    Stop processes, all at once; return what they ended with, and what they said.
    """
    for process in processes:
        process.send_signal(signal.SIGTERM)
    found = []
    for process in processes:
        _, err = process.communicate(timeout=10)
        found.append((process.returncode, err))
    return found


@pytest.mark.parametrize("kills", [0, 4])
def test_two_shards_publish_what_one_process_does(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer, kills: int
) -> None:
    """
    A made-up day, spread over partitions by person so that most visitors live in the other shard, gives the sessions,
    carts and decisions of timers of the run from files, each trigger once; also where one shard after the other is
    killed.

    The end of the day comes after the last kill: what it closes needs both shards, so by then both are there to be
    told to stop. No shard loses patience with another, however slow the machine is, and time may stand still for its
    lateness more than once.
    """
    parts = split_by_person(traffic_lines(), PARTITIONS)
    over_at = max(at for at in event_times(traffic_lines()) if at) + DAY_MS
    over = [event("page_viewed", over_at, f"last-{number}") for number in range(PARTITIONS)]
    settings = Settings(
        source=SourceSettings(batch_records=500, patience_ms=DAY_MS),
        checkpoint=CheckpointSettings(interval_ms=300),
        key_groups=12,
    )
    job = Job(tmp_path, kafka, settings, redis=redis_server, partitions=PARTITIONS)
    job.produce((number, line) for number, lines in enumerate(parts.values()) for line in lines)
    for (name, lines), last in zip(parts.items(), over, strict=True):
        (tmp_path / name).write_bytes(b"\n".join([*lines, last]))
    run(settings, [str(tmp_path / name) for name in parts], tmp_path / "out")
    expected = without_the_last(published(tmp_path / "out"))

    with shards(job) as processes:
        chance = random.Random(kills)
        for number in range(kills):
            time.sleep(0.6 + chance.random())
            processes[number % 2].kill()
            processes[number % 2].communicate()
            processes[number % 2] = shard(job, number % 2)
        job.produce(enumerate(over))
        until(lambda: len(without_the_last(streams(job))["sessions"]) >= len(expected["sessions"]), wait_s=180)
        assert [code for code, _ in ended(*processes)] == [0, 0]
    found = without_the_last(streams(job))
    for kind in (sessions_and_carts, decisions_on_timers):
        assert kind(found) == kind(expected), kind.__name__
    ids = trigger_ids(job)
    assert len(ids) == len(set(ids)) > 100


def test_what_was_told_of_leads_as_visitors_is_told_once(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    """
    A cart is due before its visitor is known, and late enough that a lead's key group, which another shard may have,
    tells of it by the visitor's key: also where all are killed before a checkpoint, each trigger comes once.
    """
    settings = Settings(
        source=SourceSettings(lateness_ms=10 * MINUTE),
        cart=CartSettings(cart_delay_ms=20 * MINUTE),
        checkpoint=CheckpointSettings(interval_ms=MINUTE),
        key_groups=12,
    )
    job = Job(tmp_path, kafka, settings, redis=redis_server, partitions=PARTITIONS)
    names, begin_at = [f"visitor-{number}" for number in range(40)], now_ms() - 2 * DAY_MS
    known_at = begin_at + settings.cart.cart_delay_ms + MINUTE
    lines = [(name, event("product_added", begin_at, name, **item("kettle", f"cart-of-{name}"))) for name in names]
    lines += [(name, event("identified", known_at, name, user_id=f"user-of-{name}")) for name in names]
    job.produce((murmur2(name.encode()) % PARTITIONS, line) for name, line in lines)
    job.produce((number, event("page_viewed", begin_at + DAY_MS, f"last-{number}")) for number in range(PARTITIONS))

    with shards(job) as processes:
        until(lambda: len(trigger_ids(job)) >= len(names))
        for index, process in enumerate(processes):
            process.kill()
            process.communicate()
            processes[index] = job.start(NEXTMOVE_SHARD=f"{index}/2", NEXTMOVE_CHECKPOINT_INTERVAL="300ms")
        until(lambda: job.lag() == 0)
        assert [code for code, _ in ended(*processes)] == [0, 0]
    triggers = job.consumed()["triggers"]
    assert {trigger["subject"] for trigger in triggers} == set(names)
    assert len(triggers) == len(names)
    elsewhere = [one for one in triggers if int(one["nextmove-group"]) != murmur2(one["subject"].encode()) % 12]
    assert len(elsewhere) > len(names) / 2


def test_leads_of_two_shards_who_turn_out_to_be_one_are_one(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    """
    Twenty people fill a cart known by address, and sign in by name on another device; then both are told together, and
    half of them buy. Wherever either lead lives, the others are reminded and nobody else; a shard is killed meanwhile.
    """
    settings = Settings(
        source=SourceSettings(patience_ms=DAY_MS), checkpoint=CheckpointSettings(interval_ms=300), key_groups=12
    )
    job = Job(tmp_path, kafka, settings, redis=redis_server, partitions=PARTITIONS)
    begin_at, lines, buyers = now_ms() - 2 * DAY_MS, list[tuple[str, bytes]](), set[str]()
    for number in range(20):
        home, phone, email = f"home-{number}", f"phone-{number}", f"{number}@example.com"
        told = [
            event("identified", begin_at, phone, email=email),
            event("product_added", begin_at + 1_000, phone, **item("kettle", f"cart-{number}")),
            event("identified", begin_at + 2_000, home, user_id=f"user-{number}"),
            event("identified", begin_at + 3_000, home, user_id=f"user-{number}", email=email),
        ]
        if number % 2:
            buyers.add(f"cart-{number}")
            told.append(event("order_completed", begin_at + 4_000, home, order_id=f"order-{number}"))
        lines += [(home, line) for line in told]  # one after another: who is one depends on what is read first
    job.produce((murmur2(name.encode()) % PARTITIONS, line) for name, line in lines)

    with shards(job) as processes:
        until(lambda: len(job.consumed()["identity"]) > 0)
        processes[0].kill()
        processes[0].communicate()
        processes[0] = shard(job, 0)
        job.produce((number, event("page_viewed", begin_at + DAY_MS, f"last-{number}")) for number in range(PARTITIONS))
        until(lambda: len(trigger_ids(job)) >= 10)
        until(lambda: job.lag() == 0)
        assert [code for code, _ in ended(*processes)] == [0, 0]
    found = job.consumed()
    reminded = Counter(one["data"]["cause"]["id"] for one in found["triggers"])
    assert reminded == {f"cart-{number}": 1 for number in range(0, 20, 2)}
    merged = {one["id"]: one["data"] for one in found["identity"] if one["data"]["what"] == "merged"}
    assert len(merged) == 20
    crossing = [
        one
        for one in merged.values()
        if len({murmur2(one[name].encode()) % 12 % PARTITIONS % 2 for name in ("profile_id", "other_profile_id")}) > 1
    ]
    assert crossing, "each lead has become one of its own shard"
    assert {one["data"]["cart_id"] for one in found["carts"] if one["data"]["state"] == "purchased"} == buyers
