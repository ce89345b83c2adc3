"""
Dead letters between real topics: fed back byte for byte, each once, whatever breaks off.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from config.load import describe
from config.settings import CheckpointSettings, Settings, SourceSettings
from connectors.cloudevents import MessageEncoder
from connectors.kafka_client import Brokers, KafkaFault
from connectors.kafka_dead_letters import Feed, LetterTopic
from connectors.kafka_topics import exchange_topic, output_topics
from operators.rejected import Rejected
from pipeline.replaying import Replay, TopicWay, Wanted, own_topic
from tests.pipeline.kafka_job import WAIT_S, Job, until
from tests.pipeline.test_cli import ENVIRONMENT, nextmove
from tests.pipeline.test_deadletters import login
from tests.services.kafka import KafkaServer

AT: Final = 1_790_000_000_000
SMALL: Final = Settings(checkpoint=CheckpointSettings(interval_ms=200), source=SourceSettings(batch_records=200))
STRICT: Final = SourceSettings(batch_records=200, format="canonical")


class Sent(NamedTuple):
    """A record as a producer sends it."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    partition: int = 0


def produce(job: Job, records: Iterable[Sent], topic: str = "") -> None:
    producer = Producer({"bootstrap.servers": job.servers, "message.max.bytes": 2 << 20, "compression.type": "none"})
    for one in records:
        headers: Any = one.headers
        producer.produce(topic or job.topic, one.value, one.key, one.partition, headers=headers)
        producer.poll(0)
    assert producer.flush(WAIT_S) == 0


def there(job: Job, topic: str = "") -> dict[int, list[Sent]]:
    """What a consumer of committed records sees in a topic, by partition."""
    options = {"bootstrap.servers": job.servers, "group.id": uuid4().hex, "enable.partition.eof": True, "log_level": 2}
    consumer = Consumer(options)
    name = topic or job.topic
    count = len(consumer.list_topics(name, timeout=WAIT_S).topics[name].partitions)
    consumer.assign([TopicPartition(name, number, 0) for number in range(count)])
    found: dict[int, list[Sent]] = {number: [] for number in range(count)}
    ends = 0
    while ends < count:
        for message in consumer.consume(1_000, 0.1):
            if message.error() is not None:
                ends += 1
                continue
            key: Any = message.key()
            told: Any = message.headers()
            number = message.partition() or 0
            found[number].append(Sent(key, message.value(), told or [], number))
    consumer.close()
    return found


def set_source(job: Job, source: SourceSettings) -> None:
    job.config.write_text(describe(msgspec.structs.replace(job.settings, source=source)))


def shown(job: Job, *more: str) -> dict[str, Any]:
    result = nextmove("deadletters", "show", "--config", job.config, "--json", *more, cwd=job.folder)
    assert (result.returncode, result.stderr) == (0, b"")
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def replayed(job: Job, *more: str) -> list[str]:
    result = nextmove("deadletters", "replay", "--config", job.config, *more, cwd=job.folder)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout.decode().splitlines()


def without_the_last_header(record: Sent) -> Sent:
    *others, (name, value) = record.headers
    assert name == "nextmove-replayed"
    assert set(msgspec.json.decode(value or b"")) == {"id", "count", "came_at"}
    return record._replace(headers=others)


def test_records_come_back_byte_for_byte_and_are_accepted_once(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    Text and bytes, empty values, any key and none, headers of one name, records larger than their letters may be, to
    the partition that they came from; a tombstone is none of them. After the fix those that are sound are accepted,
    once, and the others are rejected again, and say so.
    """
    job = Job(tmp_path, kafka, msgspec.structs.replace(SMALL, source=STRICT))
    large = login(7)[:-1] + b', "context": {"pad": "' + b"x" * 950_000 + b'"}}'
    sound = [
        Sent(b"k1", login(1), []),
        Sent(None, login(2), [("h", b"1"), ("h", b"\xfe"), ("n", None), ("h", b"")], 1),
        Sent(b"\xff\x00", b" " + login(3) + b"\n", [], 2),
        Sent(b"", login(4), [("ce_specversion", b"1.0"), ("ce_id", b"7")], 2),
        Sent(b"k7", large, [("h", b"x")], 1),
    ]
    broken = [
        Sent(b"k5", b"\x80\x00\xff", [("\u00fc", b"\x00")], 1),
        Sent(b"k6", b"", [], 0),
        Sent(None, b"\xff" * 800_000, [], 2),
    ]
    tombstone = Sent(b"k8", None, [("h", b"x")], 0)
    with job.running():
        produce(job, [*sound, tombstone, *broken])
        until(lambda: job.lag() == 0)
    before = there(job)

    found = shown(job, "--source", job.topic)
    assert {(one["stage"], one["reason"]): one["letters"] for one in found["counts"]} == {
        ("decode", "missing_field"): 5,
        ("decode", "not_json"): 3,
    }
    assert Counter(one["is_cut"] for one in found["letters"]) == {False: 6, True: 2}
    set_source(job, SMALL.source)
    assert replayed(job, "--dry-run") == [f"8 would be fed back: 8 to {job.topic}"]
    assert there(job) == before
    assert replayed(job) == [f"8 fed back: 8 to {job.topic}"]
    assert replayed(job) == ["0 fed back", "8 were fed back before; --again does so once more"]

    after = there(job)
    for number, records in after.items():
        back = [without_the_last_header(record) for record in records[len(before[number]) :]]
        assert back == [record for record in before[number] if record.value is not None]
    with job.running():
        until(lambda: job.lag() == 0)
    told = job.consumed()
    assert Counter(one["data"]["what"] for one in told["identity"])["created"] == len(sound)
    again = [one for one in shown(job)["letters"] if one["replays"]]
    assert {one["reason"] for one in again} == {"not_json"}
    assert [one["replays"] for one in again] == [1, 1, 1]
    (counted,) = [one for one in shown(job)["counts"] if one["reason"] == "not_json"]
    assert (counted["letters"], counted["fed_back"], counted["rejected_again"]) == (6, 3, 3)

    assert replayed(job, "--limit", "3")[0] == f"3 fed back: 3 to {job.topic}", "those that came of it"
    headers = [dict(record.headers)["nextmove-replayed"] for part in there(job).values() for record in part[-1:]]
    assert {msgspec.json.decode(header or b"")["count"] for header in headers} == {2}
    assert len(shown(job)["letters"]) == 10


def test_a_run_that_was_stopped_goes_on_without_loss(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    A topic turns bad: the run stops with one line. What it had taken in is in the dead letters, the rest it takes in
    when it goes on after the fix; with the letters fed back everybody is there, and once.
    """
    job = Job(tmp_path, kafka, msgspec.structs.replace(SMALL, source=STRICT))
    produce(job, [Sent(b"%d" % n, login(n), [], n % 3) for n in range(6_000)])

    code, said = job.fails()

    assert code == 3
    assert said.startswith(f"nextmove: {job.topic}: 1,")
    assert " as missing_field; that is 100%, and dead_letters.ratio_max is 0.5; " in said
    assert said.count("\n") == 1
    letters = {(one["data"]["partition"], one["data"]["position"]) for one in job.consumed()["dead_letters"]}
    assert 1_000 <= len(letters) < 6_000
    assert job.lag() == 6_000 - len(letters), "what is committed is a dead letter, and the rest is not"

    set_source(job, SMALL.source)
    assert replayed(job) == [f"{len(letters):,} fed back: {len(letters):,} to {job.topic}"]
    with job.running():
        until(lambda: job.lag() == 0)

    told = job.consumed()
    assert Counter(one["data"]["what"] for one in told["identity"]) == {"created": 6_000, "linked": 12_000}
    assert sum("letter_id" not in one["data"] for one in told["dead_letters"]) == len(letters)


def test_a_killed_run_tells_again_what_its_records_came_with(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    What a former life had taken in after its last checkpoint is taken in again with key and headers: its letters are
    the same.
    """
    slow = msgspec.structs.replace(SMALL, checkpoint=CheckpointSettings(interval_ms=60_000))
    job = Job(tmp_path, kafka, slow)
    process = job.start()
    try:
        produce(job, [Sent(b"\xffk", b"{%d" % n, [("h", b"\xff"), ("h", b"2")], n % 3) for n in range(30)])
        until(lambda: len(job.consumed()["dead_letters"]) == 30)
    finally:
        process.kill()
        process.communicate()
    with job.running():
        until(lambda: len(job.consumed()["dead_letters"]) == 60)

    letters = job.consumed()["dead_letters"]
    assert set(Counter(one["id"] for one in letters).values()) == {2}
    assert {one["data"]["key"] for one in letters} == {"/2s="}
    assert all([header["value"] for header in one["data"]["headers"]] == ["/w==", "2"] for one in letters)
    assert [one["letters"] for one in shown(job)["counts"]] == [30]
    assert replayed(job)[0] == f"30 fed back: 30 to {job.topic}"


# --- without a run --------------------------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path: Path, kafka: KafkaServer) -> Job:
    return Job(tmp_path, kafka, SMALL)


def publish(job: Job, letters: Iterable[Rejected]) -> None:
    """Publish letters as a run does."""
    encoder = MessageEncoder("/test", lambda: AT, {})
    told = encoder.encode([(-1, list(letters))])["dead_letters"]
    topic = output_topics(job.prefix)["dead_letters"].name
    producer = Producer({"bootstrap.servers": job.servers, "message.max.bytes": 2 << 20})
    for message in told:
        producer.produce(topic, message.value, message.key, headers=message.headers)
    assert producer.flush(WAIT_S) == 0


def letter(partition: str, position: int, value: bytes = b"{", **more: Any) -> Rejected:  # noqa: ANN401 -- the fields of a rejection
    return Rejected("not_json", "broken", partition, position, value, **more)


def test_where_a_record_goes(job: Job) -> None:
    """
    To its partition where that is still there, else by key; to no topic that is not there, nor between shards; or all
    of it to a topic that is named.
    """
    exchange = exchange_topic(job.prefix).name
    publish(
        job,
        [
            letter(f"{job.topic}/2", 1, b"stays"),
            letter(f"{job.topic}/9", 1, b"by key", key=b"k"),
            letter("gone/0", 1),
            letter("day.jsonl", 1),
            letter(f"{exchange}/0", 1),
        ],
    )
    assert sorted(replayed(job)) == sorted(
        [f"2 fed back: 2 to {job.topic}"]
        + [
            f"1 cannot be fed back: {source} is no topic to feed back to; name another one, or a file, by --to"
            for source in ("gone", "day.jsonl", exchange)
        ]
    )
    found = there(job)
    assert [record.value for record in found[2] if record.key is None] == [b"stays"]
    assert [record.value for records in found.values() for record in records if record.key == b"k"] == [b"by key"]

    job.create(f"{job.prefix}other", 1)
    told = replayed(job, "--to", f"{job.prefix}other", "--again")
    assert told[0] == f"4 fed back: 4 to {job.prefix}other; 2 of them not for the first time"
    assert sorted(record.value or b"" for record in there(job, f"{job.prefix}other")[0]) == [
        b"by key",
        b"stays",
        b"{",
        b"{",
    ]


def test_a_topic_of_letters_goes_to_a_file_too(job: Job) -> None:
    """
    And is noted in the topic: neither a file nor the topic gets them again.
    """
    publish(job, [letter(f"{job.topic}/0", n, b"%d" % n) for n in (2, 1, 3)])
    assert replayed(job, "--to", "m.jsonl") == ["3 fed back: 3 to m.jsonl"]
    assert (job.folder / "m.jsonl").read_bytes() == b"1\n2\n3\n"
    assert replayed(job) == ["0 fed back", "3 were fed back before; --again does so once more"]


def test_letters_of_a_file_go_to_topics_too(job: Job) -> None:
    """
    Of a run that reads topics and writes files; noted beside the file.
    """
    encoder = MessageEncoder("/test", lambda: AT, {})
    (message,) = encoder.encode([(-1, [letter(f"{job.topic}/1", 5, b"\xff", key=b"k")])])["dead_letters"]
    ids = {name.removeprefix("ce_"): bytes(raw or b"").decode() for name, raw in message.headers}  # type: ignore[arg-type]  # ours are bytes
    line = {"id": ids["id"], "type": ids["type"], "data": msgspec.Raw(message.value)}
    (job.folder / "dead_letters.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")
    assert replayed(job, "--input", ".") == [f"1 fed back: 1 to {job.topic}"]
    assert replayed(job, "--input", ".")[0] == "0 fed back"
    (record,) = there(job)[1]
    assert without_the_last_header_of_unknown_time(record) == Sent(b"k", b"\xff", [], 1)


def without_the_last_header_of_unknown_time(record: Sent) -> Sent:
    assert set(msgspec.json.decode(record.headers[-1][1] or b"")) == {"id", "count"}
    return record._replace(headers=record.headers[:-1])


def test_a_record_that_the_brokers_refuse_holds_up_no_other(job: Job) -> None:
    """
    It came with as many bytes as they take, and the header is more: it is told, the others go.
    """
    size = 1_048_588 - 100
    produce(job, [Sent(None, b"\xff" * size, [])])
    publish(job, [letter(f"{job.topic}/0", n, b"%d" % n) for n in range(1, 6)])
    publish(job, [letter(f"{job.topic}/0", 0, b"\xff" * 1024, is_cut=True)])

    told = replayed(job)

    assert told[0] == f"5 fed back: 5 to {job.topic}"
    assert told[1].startswith("1 cannot be fed back: refused by the brokers: Broker: Message size too large")
    assert [record.value for record in there(job)[0]][1:] == [b"%d" % n for n in range(1, 6)]
    assert replayed(job)[1] == "5 were fed back before; --again does so once more"


@pytest.mark.parametrize("head", [b"\xff" * 1024, b"x"], ids=["position", "value"])
def test_what_is_no_longer_where_it_came_from_is_not_made_up(job: Job, head: bytes) -> None:
    """
    The topic has been made anew: no record at that offset, or another one.
    """
    produce(job, [Sent(None, b"another", [])])
    offset = 0 if head == b"x" else 17
    publish(job, [letter(f"{job.topic}/0", offset, head, is_cut=True)])
    assert replayed(job) == [
        "0 fed back",
        "1 cannot be fed back: too large to be kept whole, and no longer to be found where it came from",
    ]


def test_a_replay_that_is_killed_has_fed_back_all_or_nothing(job: Job) -> None:
    """
    Killed at whatever moment, with others at it again: each record is there once for who reads what is committed.
    """
    letters = [letter(f"{job.topic}/{n % 3}", n, b"%d" % n + b"x" * 1_000) for n in range(3_000)]
    publish(job, letters)
    command = [sys.executable, "-m", "pipeline.cli", "deadletters", "replay", "--config", str(job.config)]
    for _ in range(4):
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        fed = sum(map(len, there(job).values()))
        try:
            until(lambda: sum(map(len, there(job).values())) > fed or process.poll() is not None, 30)  # noqa: B023 -- it is over before the next
        finally:
            process.kill()
            process.communicate()
    replayed(job)

    counts = Counter(record.value for records in there(job).values() for record in records)
    assert counts == Counter(one.payload for one in letters)
    assert set(counts.values()) == {1}


def test_of_two_replays_the_later_one_goes_on(job: Job) -> None:
    """
    The former one says so, and what it had not committed is fed back by the other.
    """
    publish(job, [letter(f"{job.topic}/0", n, b"%d" % n) for n in range(3)])
    brokers = Brokers(job.servers, {})
    brokers.topics_with([job.topic])  # it has just been made
    encoder = MessageEncoder("/test", lambda: AT, {})

    def begun() -> tuple[Replay, LetterTopic]:
        feed = Feed(brokers, {}, job.prefix, encoder)
        way = TopicWay(feed, own_topic(feed.partitions, exchange_topic(job.prefix).name))
        return Replay(way, None, lambda: AT), LetterTopic(brokers, {}, job.prefix, None)

    former, its_letters = begun()
    later, letters = begun()

    with pytest.raises(KafkaFault, match="another replay has begun since"):
        former.run(its_letters, Wanted())
    assert later.run(letters, Wanted()).fed == {job.topic: 3}
    assert [record.value for record in there(job)[0]] == [b"0", b"1", b"2"]


def test_since_reads_no_more_than_it_must(job: Job) -> None:
    """
    Letters of before are left out; the last hour is in, whatever the clocks say.
    """
    publish(job, [letter(f"{job.topic}/0", n, b"{") for n in range(3)])
    assert [one["letters"] for one in shown(job, "--since", "2026-09-21T00:00:00Z")["counts"]] == [3]
    assert shown(job, "--since", "2100-01-01T00:00:00Z")["counts"] == []


def test_a_missing_topic_is_told_in_a_line(job: Job) -> None:
    """
    Of letters, and to feed back to.
    """
    result = nextmove("deadletters", "replay", "--config", job.config, "--to", "nowhere", cwd=job.folder)
    assert (result.returncode, result.stderr.count(b"\n")) == (2, 1)
    assert b"there is no topic nowhere; a file has a / in its name" in result.stderr
    result = nextmove("deadletters", "show", "--config", job.config, cwd=job.folder, NEXTMOVE_KAFKA_PREFIX="none.")
    assert (result.returncode, result.stderr.count(b"\n")) == (1, 1)
    assert b"there is no topic none.dlq.v1; check kafka.prefix" in result.stderr
