"""
The Kafka source against a real broker: every record once, from where it was left, and time that waits for what lags.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]  # it has them
from msgspec.structs import replace

from connectors.batches import RawBatch
from connectors.journal import Journal
from connectors.kafka_client import KafkaFault
from connectors.kafka_options import KafkaOptions
from connectors.kafka_part import MEMORY, TAKEN, KafkaPart, Places
from connectors.kafka_source import KafkaSource
from operators.event import FOREVER
from tests.services.kafka import KafkaServer

WAIT_S: Final = 30.0
ASKED_S: Final = 5.0


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    """A topic of three partitions."""
    name = f"events-{uuid4().hex[:12]}"
    create(kafka, name, 3)
    return name


@pytest.fixture
def options(kafka: KafkaServer, topic: str) -> KafkaOptions:
    return KafkaOptions(
        servers=kafka.bootstrap_servers,
        topics=(topic,),
        group=f"{topic}-group",
        start="earliest",
        batch_records=100,
        idle_after_ms=200,
        lateness_ms=1_000,
        discover_s=0.5,
        client={},
    )


def create(kafka: KafkaServer, name: str, partitions: int) -> None:
    """Make a topic; a broker that another test has just let go on may have to be asked again."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    until = time.monotonic() + WAIT_S
    while name not in admin.list_topics(timeout=WAIT_S).topics:
        assert time.monotonic() < until, f"{name} was not made"
        for made in admin.create_topics([NewTopic(name, partitions, 1)], request_timeout=ASKED_S).values():
            with suppress(KafkaException, TimeoutError):
                made.result(2 * ASKED_S)


def produce(kafka: KafkaServer, topic: str, partition: int, *values: bytes | None) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(WAIT_S) == 0


def read(part: KafkaPart, until: Callable[[list[RawBatch]], bool]) -> list[RawBatch]:
    """Ask for batches until there is enough."""
    batches: list[RawBatch] = []
    deadline = time.monotonic() + WAIT_S
    while not until(batches):
        assert time.monotonic() < deadline, f"{len(batches)} batches, the last {batches[-3:]}"
        batches += part.next_batch()
        time.sleep(0.005)
    return batches


def offsets(part: KafkaPart) -> dict[str, int]:
    return {name: offset for name, (offset, _) in part.snapshot().items() if name not in (MEMORY, TAKEN)}


def count(batches: list[RawBatch]) -> int:
    return sum(len(batch.raws) for batch in batches)


@pytest.fixture
def opened(options: KafkaOptions) -> Iterator[Callable[..., KafkaPart]]:
    """Open a part, as a new process would."""
    parts: list[KafkaPart] = []

    def start(resume: Places | None = None, journal: Journal | None = None, **more: object) -> KafkaPart:
        source = KafkaSource(msgspec.structs.replace(options, **more), threading.Event(), print, journal=journal)
        source.begin({})
        parts.append(source.build_part("source", "kafka", resume))
        return parts[-1]

    yield start
    for part in parts:
        part.close()


def test_what_a_dead_run_had_taken_in_comes_again_as_it_was(
    kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart], tmp_path: Path
) -> None:
    """
    The same batches in the same order, with what was known then, records and words on the time; more has come since,
    and follows. A tombstone in between is read over.
    """
    for partition in range(3):
        produce(kafka, topic, partition, *[f"{partition}-{i}".encode() for i in range(50)], None, b"more")
    journal = Journal(tmp_path, fsync=False)
    first = opened(journal=journal, batch_records=7)
    before = read(first, lambda found: count(found) >= 60)
    saved = first.snapshot()
    for raw in before:
        journal.note(raw, 5)
    journal.checkpoint(len(before))
    taken = read(first, lambda found: count(before + found) == 153 and not found[-1].raws)
    for number, raw in enumerate(taken):
        journal.note(raw, number)
        raw.as_of = number
    journal.close()
    first.close()
    for partition in range(3):
        produce(kafka, topic, partition, b"later")

    second = opened(saved, journal=Journal(tmp_path, fsync=False))
    again = read(second, lambda found: len(found) >= len(taken))
    assert [replace(raw, origins=()) for raw in again[: len(taken)]] == [replace(raw, origins=()) for raw in taken]
    after = again[len(taken) :] + read(second, lambda found: count(again[len(taken) :] + found) == 3)
    assert sorted(raw for batch in after for raw in batch.raws) == [b"later"] * 3
    assert [batch.is_first for batch in after if batch.raws][:1] == [True]
    assert all(batch.as_of is None for batch in after)


def test_a_record_that_is_to_be_taken_in_again_and_is_gone_stops_the_start(
    kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart], tmp_path: Path
) -> None:
    """
    Whatever was decided upon it, others know.
    """
    produce(kafka, topic, 0, b"0", b"1", b"2", None, b"4")
    journal = Journal(tmp_path, fsync=False)
    journal.resume(0)
    journal.note(RawBatch(f"{topic}/0", [b""] * 5, 0), 0)
    journal.close()

    part = opened(journal=Journal(tmp_path, fsync=False))
    with pytest.raises(KafkaFault, match=f"{topic}/0: the broker no longer has offset 3; what lies between is lost"):
        read(part, bool)


def test_each_record_comes_once_with_its_coordinates(
    kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart]
) -> None:
    """
    Runs have one partition and consecutive offsets; a tombstone is no record, but counts as read.
    """
    for partition in range(3):
        produce(kafka, topic, partition, *[f"{partition}-{i}".encode() for i in range(50)])
    produce(kafka, topic, 1, None, b"after")
    part = opened()
    batches = read(part, lambda found: count(found) == 151)

    seen = {(b.partition, b.first_position + i): raw for b in batches for i, raw in enumerate(b.raws)}
    expected = {(f"{topic}/{p}", i): f"{p}-{i}".encode() for p in range(3) for i in range(50)}
    assert seen == expected | {(f"{topic}/1", 51): b"after"}
    assert offsets(part) == {f"{topic}/0": 50, f"{topic}/1": 52, f"{topic}/2": 50}


def test_a_record_keeps_the_time_at_which_it_came(
    kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart]
) -> None:
    """
    The broker's, not ours: read again after a crash, an event from the future is set back to the same instant.
    """
    began_at = time.time_ns() // 1_000_000
    produce(kafka, topic, 0, b"a", b"b")
    ended_at = time.time_ns() // 1_000_000
    time.sleep(0.05)
    first, again = (read(opened(), lambda found: count(found) == 2)[0] for _ in range(2))
    assert first.came_at == again.came_at
    assert began_at <= min(first.came_at) <= max(first.came_at) <= ended_at
    assert first.read_at is not None
    assert first.read_at > max(first.came_at)


def test_a_resumed_source_goes_on_with_the_next_record(
    kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart], options: KafkaOptions
) -> None:
    """
    From the offsets of the snapshot, whatever the group has committed; which is what the snapshot before held.
    """
    produce(kafka, topic, 0, b"a", b"b")
    first = opened()
    read(first, lambda found: count(found) == 2)
    snapshot = first.snapshot()
    produce(kafka, topic, 0, b"c", b"d")
    read(first, lambda found: count(found) == 2)
    first.snapshot()

    assert [raw for b in read(opened(snapshot), lambda found: count(found) == 2) for raw in b.raws] == [b"c", b"d"]
    asked = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": options.group})
    deadline = time.monotonic() + WAIT_S
    while asked.committed([TopicPartition(topic, 0)], timeout=WAIT_S)[0].offset != 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    asked.close()


def test_only_what_is_read_to_its_end_lets_time_go_on(
    kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart]
) -> None:
    """
    Silent partitions say so again and again, in markers; one with records that have yet to be read does not.
    """
    produce(kafka, topic, 2, *[b"x" * 1_000] * 1_000)
    part = opened(batch_records=1, client={"fetch.message.max.bytes": "1000", "queued.min.messages": "1"})
    batches = read(part, lambda found: sum(b.partition.endswith("/0") for b in found) >= 3)

    assert {b.partition[-1] for b in batches if b.idle_ms} == {"0", "1"}
    assert all(b.idle_ms >= 200 for b in batches if not b.raws)
    assert sum(b.is_marked for b in batches if not b.raws) >= 3


def test_added_partitions_and_topics_are_found(
    kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart]
) -> None:
    """
    A fourth partition, and a topic that the pattern names, are read from their first records.
    """
    part = opened(topics=(f"^{topic}",))
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for made in admin.create_partitions([NewPartitions(topic, 4)]).values():
        made.result(WAIT_S)
    create(kafka, f"{topic}-more", 1)
    produce(kafka, topic, 3, b"fourth")
    produce(kafka, f"{topic}-more", 0, b"other")
    batches = read(part, lambda found: count(found) == 2)
    assert {(b.partition, raw) for b in batches for raw in b.raws} == {
        (f"{topic}/3", b"fourth"),
        (f"{topic}-more/0", b"other"),
    }


def test_a_topic_that_is_removed_holds_nobody_up(kafka: KafkaServer, topic: str, options: KafkaOptions) -> None:
    """
    It is told, its partition counts as ended, and the others are read on.
    """
    create(kafka, f"{topic}-more", 1)
    produce(kafka, f"{topic}-more", 0, b"last words")
    told: list[str] = []
    source = KafkaSource(msgspec.structs.replace(options, topics=(f"^{topic}",)), threading.Event(), told.append)
    source.begin({})
    part = source.build_part("source", "kafka", None)
    read(part, lambda found: count(found) == 1)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for gone in admin.delete_topics([f"{topic}-more"]).values():
        gone.result(WAIT_S)
    batches = read(part, lambda found: any(b.complete == FOREVER for b in found))
    produce(kafka, topic, 0, b"others")
    batches += read(part, lambda found: count(found) == 1)
    part.close()
    assert told == [f"{topic}-more/0 is gone; it is no longer waited for"]
    assert [b.partition for b in batches if b.complete == FOREVER] == [f"{topic}-more/0"]
    assert f"{topic}-more/0" not in offsets(part)


def test_marks_of_transactions_do_not_hold_time_up(
    kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart]
) -> None:
    """
    A committed and an aborted transaction end in offsets that no record has; the partition is at its end all the same,
    and what was aborted is not read.
    """
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(WAIT_S)
    for value, is_committed in ((b"committed", True), (b"aborted", False)):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(WAIT_S)
        (producer.commit_transaction if is_committed else producer.abort_transaction)(WAIT_S)
    part = opened()
    batches = read(part, lambda found: any(b.idle_ms and b.partition == f"{topic}/0" for b in found))
    assert [raw for b in batches for raw in b.raws] == [b"committed"]
    assert offsets(part)[f"{topic}/0"] == 4


@pytest.mark.parametrize("start", ["latest", "instant"])
def test_it_can_start_later_than_at_the_beginning(
    kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart], start: str
) -> None:
    """
    With what comes after the start, or from an instant on; of a partition with nothing since, at its end.
    """
    produce(kafka, topic, 0, b"before")
    time.sleep(0.05)
    instant = time.time_ns() // 1_000_000
    part = opened(start="latest" if start == "latest" else instant)
    produce(kafka, topic, 0, b"after")
    assert [raw for b in read(part, lambda found: count(found) == 1) for raw in b.raws] == [b"after"]


def test_the_latest_is_that_of_the_first_start(kafka: KafkaServer, topic: str, options: KafkaOptions) -> None:
    """
    A run that died before its first checkpoint is followed by one that begins where it did; a partition that was added
    since begins at its first record.
    """
    produce(kafka, topic, 0, b"before")
    latest = msgspec.structs.replace(options, start="latest")
    starts = KafkaSource(latest, threading.Event(), print).begin({})
    produce(kafka, topic, 0, b"read by the dead")
    again = KafkaSource(latest, threading.Event(), print)
    del starts[f"{topic}/1"]
    produce(kafka, topic, 1, b"added")
    assert again.begin(starts) == {f"{topic}/0": 1, f"{topic}/1": 0, f"{topic}/2": 0}
    part = again.build_part("source", "kafka", None)
    batches = read(part, lambda found: count(found) == 2)
    part.close()
    assert sorted(raw for b in batches for raw in b.raws) == [b"added", b"read by the dead"]


def test_an_offset_that_is_gone_stops_the_run(kafka: KafkaServer, topic: str, opened: Callable[..., KafkaPart]) -> None:
    """
    It never jumps: the line says what the checkpoint wants and what there is.
    """
    produce(kafka, topic, 0, b"a")
    with pytest.raises(KafkaFault, match=f"{topic}/0: the checkpoint goes on at offset 7, but the broker has 0 to 1"):
        opened({f"{topic}/0": (7, -1), f"{topic}/1": (0, -1), f"{topic}/2": (0, -1)})


def test_a_topic_that_is_not_there_is_named(options: KafkaOptions) -> None:
    with pytest.raises(KafkaFault, match="there is no topic nowhere; create it, or mend its name"):
        KafkaSource(msgspec.structs.replace(options, topics=("nowhere",)), threading.Event(), print)


def test_a_broker_that_dies_is_told_and_waited_for(kafka: KafkaServer, topic: str, options: KafkaOptions) -> None:
    """
    Killed and started again: two lines, nothing lost, nothing twice.
    """
    told: list[str] = []
    source = KafkaSource(options, threading.Event(), told.append)
    source.begin({})
    part = source.build_part("source", "kafka", None)
    produce(kafka, topic, 0, b"a")
    read(part, lambda found: count(found) == 1)
    kafka.kill()
    read(part, lambda _: bool(told))
    kafka.start()
    produce(kafka, topic, 0, b"b")
    assert [raw for b in read(part, lambda found: count(found) == 1) for raw in b.raws] == [b"b"]
    read(part, lambda _: len(told) > 1)
    part.close()
    assert [line.partition(": ")[2] for line in told] == ["no broker answers; waiting for Kafka", "Kafka is back"]
