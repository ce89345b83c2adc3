"""
Savepoints of a deployment on Kafka and Redis: it goes on elsewhere, and a plain consumer sees each trigger once.
"""

import shutil
from pathlib import Path

from config.settings import CheckpointSettings, Settings, SourceSettings
from connectors.formats import event_times
from pipeline.run import run
from tests.pipeline.kafka_job import Job, until
from tests.pipeline.test_acceptance import (
    decisions_on_timers,
    published,
    sessions_and_carts,
    split_by_person,
    traffic_lines,
    triggers_on_events,
)
from tests.pipeline.test_cli import nextmove
from tests.pipeline.test_kafka_run import DAY_MS, event, streams, trigger_ids, without_the_last
from tests.services.kafka import KafkaServer
from tests.services.redis import RedisServer

SETTINGS = Settings(
    source=SourceSettings(batch_records=20), checkpoint=CheckpointSettings(interval_ms=300), key_groups=12
)


def test_a_deployment_goes_on_from_its_savepoints(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    """
    Stopped with a savepoint midway, gone on in another folder, killed there before its first checkpoint and later, and
    moved once more: the records are those of the run from files, and each trigger is published once.
    """
    parts = split_by_person(traffic_lines(), 3)
    over_at = max(at for at in event_times(traffic_lines()) if at) + DAY_MS
    for number, lines in enumerate(parts.values()):
        lines.append(event("page_viewed", over_at, f"last-{number}"))
    for name, lines in parts.items():
        (tmp_path / name).write_bytes(b"\n".join(lines))
    run(SETTINGS, [str(tmp_path / name) for name in parts], tmp_path / "out")
    expected = without_the_last(published(tmp_path / "out"))
    job = Job(tmp_path, kafka, SETTINGS, redis=redis_server)

    job.produce((number, line) for number, lines in enumerate(parts.values()) for line in lines)

    def more_is_told() -> None:
        before = len(trigger_ids(job))
        until(lambda: len(trigger_ids(job)) > before)

    def stopped(*where: str) -> None:
        result = nextmove("stop", *where, cwd=tmp_path)
        assert result.returncode == 0, result.stderr

    process = job.start()
    more_is_told()
    stopped("--config", str(job.config), "--savepoint", "first")
    assert process.communicate(timeout=10)[1] == ""
    shutil.rmtree(tmp_path / "state")
    second = ("--recovery", str(tmp_path / "second"), "--from-savepoint", str(tmp_path / "first"))
    for interval in ("60s", "300ms"):
        process = job.start(*second, NEXTMOVE_CHECKPOINT_INTERVAL=interval)
        more_is_told()
        process.kill()
        process.communicate()
    stopped("--recovery", "second", "--savepoint", "third")
    with job.running("--recovery", str(tmp_path / "fourth"), "--from-savepoint", str(tmp_path / "third")):
        until(lambda: len(without_the_last(streams(job))["sessions"]) >= len(expected["sessions"]))
    found = without_the_last(streams(job))

    for kind in (sessions_and_carts, decisions_on_timers, triggers_on_events):
        assert kind(found) == kind(expected), kind.__name__
    ids = trigger_ids(job)
    assert len(ids) == len(set(ids)) > 100


def test_another_number_of_processes_goes_on(tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer) -> None:
    """
    Two shards, then three, then one process, each from the savepoint of those before, midway through a day that is
    spread over partitions by person: the records are those of the run from files, and each trigger is published once.
    Stopped one by one, each but the last says that parts are still to come.
    """
    parts = split_by_person(traffic_lines(), 4)
    over_at = max(at for at in event_times(traffic_lines()) if at) + DAY_MS
    for number, lines in enumerate(parts.values()):
        lines.append(event("page_viewed", over_at, f"last-{number}"))
    for name, lines in parts.items():
        (tmp_path / name).write_bytes(b"\n".join(lines))
    run(SETTINGS, [str(tmp_path / name) for name in parts], tmp_path / "out")
    expected = without_the_last(published(tmp_path / "out"))
    job = Job(tmp_path, kafka, SETTINGS, redis=redis_server, partitions=4)
    job.produce((number, line) for number, lines in enumerate(parts.values()) for line in lines)

    savepoint: list[str] = []
    for count in (2, 3, 1):
        before, folder = len(trigger_ids(job)), str(tmp_path / f"state-{count}")
        options = ("--recovery", folder, *savepoint)
        processes = [job.start(*options, "--shard", f"{index}/{count}") for index in range(count)]
        try:
            until(lambda before=before: len(trigger_ids(job)) > before)  # type: ignore[misc]
            if count == 1:
                until(lambda: len(without_the_last(streams(job))["sessions"]) >= len(expected["sessions"]))
            wheres = [f"{folder}/{index}-of-3" for index in range(3)] if count == 3 else [folder]
            said = [
                nextmove("stop", "--recovery", where, "--savepoint", f"saved-{count}", cwd=tmp_path) for where in wheres
            ]
            assert [one.returncode for one in said] == [0] * len(said), said
            assert [b"still lacks" in one.stderr for one in said] == [True] * (len(said) - 1) + [False]
            assert len(list((tmp_path / f"saved-{count}").iterdir())) == count
        finally:
            for process in processes:
                process.kill()
                process.communicate()
        savepoint = ["--from-savepoint", str(tmp_path / f"saved-{count}")]
    found = without_the_last(streams(job))

    for kind in (sessions_and_carts, decisions_on_timers):
        assert kind(found) == kind(expected), kind.__name__
    ids = trigger_ids(job)
    assert len(ids) == len(set(ids)) > 100
