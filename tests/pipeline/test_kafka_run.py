"""
Kafka to Kafka, as an operator runs it: a process of its own, real servers, a plain consumer.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from config.durations import SECOND
from config.settings import CartSettings, CheckpointSettings, Settings, SourceSettings
from config.visits import SessionSettings
from connectors.cloudevents import STREAMS
from connectors.formats import event_times
from pipeline.run import run
from tests.pipeline.helpers import ROOT
from tests.pipeline.kafka_job import Job, until
from tests.pipeline.test_acceptance import (
    decisions_on_timers,
    highest,
    ordered,
    published,
    sessions_and_carts,
    split_by_person,
    timeless,
    traffic_lines,
    triggers_on_events,
)
from tests.services.kafka import KafkaServer
from tests.services.process import free_ports
from tests.services.redis import RedisServer

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000


def event(kind: str, at: int, person: str, **more: Any) -> bytes:  # noqa: ANN401 -- fields of an event
    return msgspec.json.encode({"kind": kind, "occurred_at": at, "anonymous_id": person} | more)


def item(product: str, cart: str) -> dict[str, Any]:
    return {"cart_id": cart, "items": [{"product_id": product, "quantity": 1, "price": 10.0}], "currency": "EUR"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def streams(job: Job) -> dict[str, list[Any]]:
    """What was published, each record once, in the form of the files' records."""
    found = {}
    for stream, events in job.consumed().items():
        kept = {event["id"]: timeless({"data": event["data"], "id": event["id"]}) for event in events}
        found[stream] = ordered(kept.values())
    return {stream: found.get(stream, []) for stream in STREAMS}


def without_the_last(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Leave out those who only came to let time go on: a file ends, a topic does not."""
    return {
        stream: ordered(
            timeless({"data": event["data"], "id": event["id"]})
            for event in events
            if "last-" not in str(event["data"])
        )
        for stream, events in found.items()
    }


def trigger_ids(job: Job) -> list[str]:
    return [event["id"] for event in job.consumed()["triggers"]]


@pytest.mark.parametrize("kills", [0, 4])
def test_the_same_records_as_from_files(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer, kills: int
) -> None:
    """
    A made-up day through Kafka and Redis gives the sessions, carts and decisions of the run from files; also when it
    is killed time and again, and then a plain consumer still sees each trigger once.
    """
    parts = split_by_person(traffic_lines(), 3)
    over_at = max(at for at in event_times(traffic_lines()) if at) + DAY_MS
    for number, lines in enumerate(parts.values()):
        lines.append(event("page_viewed", over_at, f"last-{number}"))
    settings = Settings(
        source=SourceSettings(batch_records=500), checkpoint=CheckpointSettings(interval_ms=300), key_groups=12
    )
    job = Job(tmp_path, kafka, settings, redis=redis_server)
    job.produce((number, line) for number, lines in enumerate(parts.values()) for line in lines)
    for name, lines in parts.items():
        (tmp_path / name).write_bytes(b"\n".join(lines))
    run(settings, [str(tmp_path / name) for name in parts], tmp_path / "out")
    expected = without_the_last(published(tmp_path / "out"))

    chance = random.Random(kills)
    for _ in range(kills):
        process = job.start()
        time.sleep(1.2 + 1.5 * chance.random())
        process.kill()
        process.communicate()
    with job.running():
        until(lambda: len(without_the_last(streams(job))["sessions"]) >= len(expected["sessions"]))
    found = without_the_last(streams(job))
    for kind in (sessions_and_carts, decisions_on_timers, triggers_on_events):
        assert kind(found) == kind(expected), kind.__name__
    ids = trigger_ids(job)
    assert len(ids) == len(set(ids)) > 100


@pytest.mark.parametrize("crowded", ["carts", "orders"])
def test_a_backlog_abandons_no_cart_that_was_bought(tmp_path: Path, kafka: KafkaServer, crowded: str) -> None:
    """
    While it is stopped, 200 carts are filled and half of them bought on another topic during two hours. Whichever of
    both is read first, for the other one has far more records to be read, only the other half is abandoned.
    """
    job = Job(tmp_path, kafka, Settings(source=SourceSettings(batch_records=200)), more={"kafka": {}})
    orders = f"{job.prefix}orders"
    job.create(orders)
    job.config.write_text(job.config.read_text().replace(f"- {job.topic}\n", f"- {job.topic}\n  - {orders}\n"))
    began_at = now_ms() - 150 * MINUTE_MS
    job.produce((i % 3, event("page_viewed", began_at, f"shopper-{i}")) for i in range(200))
    job.produce([(0, event("page_viewed", began_at, "clerk"))], orders)
    with job.running():
        until(lambda: job.lag() == 0)

    def crowd(at: int) -> list[bytes]:
        return [event("page_viewed", at + i, f"crowd-{i % 50}") for i in range(20)]

    web: list[tuple[int, bytes]] = []
    shop: list[bytes] = []
    for minute in range(120):
        at = began_at + (minute + 5) * MINUTE_MS
        for i in [i for i in range(200) if i % 100 == minute]:
            web.append(
                (i % 3, event("product_added", at, f"shopper-{i}", user_id=f"user-{i}", **item("p", f"cart-{i}")))
            )
            if i % 2:
                bought = at + 29 * MINUTE_MS
                shop.append(
                    event(
                        "order_completed", bought, "", user_id=f"user-{i}", order_id=f"o-{i}", **item("p", f"cart-{i}")
                    )
                )
        if crowded == "carts":
            web += [(i % 3, line) for i, line in enumerate(crowd(at) * 10)]
        else:
            shop += crowd(at) * 10
    job.produce(web)
    job.produce([(0, line) for line in shop], orders)
    with job.running():
        until(lambda: job.lag() == 0)
        # The last carts were left more than half an hour ago: they fall due as soon as all has been read.
        until(lambda: sum(e["data"]["state"] == "abandoned" for e in job.consumed()["carts"]) >= 100)
    carts = highest(job.consumed()["carts"], "cart_id")
    states = {number: carts[f"cart-{number}"]["state"] for number in range(200)}
    assert states == {number: "purchased" if number % 2 else "abandoned" for number in range(200)}


def test_timers_that_fell_due_while_it_was_stopped_fire_at_once(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    Nothing has come since, yet the topic has been read to its end: time has gone on there.
    """
    settings = Settings(
        source=SourceSettings(lateness_ms=SECOND),
        session=SessionSettings(),
        cart=CartSettings(cart_delay_ms=6 * SECOND),
    )
    job = Job(tmp_path, kafka, settings)
    at = now_ms()
    job.produce([(0, event("product_added", at, "mara", user_id="u1", **item("p", "cart-1")))])
    with job.running():
        until(lambda: job.consumed()["carts"] != [])
    time.sleep(max(0.0, at / 1000 + 8 - time.time()))
    with job.running():
        until(lambda: any(e["data"]["state"] == "abandoned" for e in job.consumed()["carts"]), wait_s=8)


def test_lag_tools_see_what_is_left(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    `kafka-consumer-groups` shows nothing left after a stop, and then what has come since.
    """
    job = Job(tmp_path, kafka, Settings())
    job.produce((i % 3, event("page_viewed", now_ms(), f"v{i}")) for i in range(30))
    with job.running():
        until(lambda: job.lag() == 0)
    job.produce((0, event("page_viewed", now_ms(), f"v{i}")) for i in range(7))
    rows = [row.split() for row in kafka.consumer_groups("--describe", "--group", job.group).splitlines()]
    assert sorted((row[2], row[5]) for row in rows if len(row) > 5 and row[1] == job.topic) == [
        ("0", "7"),
        ("1", "0"),
        ("2", "0"),
    ]


def test_it_stops_in_time_while_the_broker_hangs(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    SIGTERM ends it within ten seconds whatever happens; here nothing was left to be published.
    """
    job = Job(tmp_path, kafka, Settings())
    job.produce([(0, event("page_viewed", now_ms(), "mara"))])
    process = job.start()
    until(lambda: job.lag() == 0)
    kafka.pause()
    process.send_signal(signal.SIGTERM)
    try:
        _, err = process.communicate(timeout=10)
    finally:
        kafka.resume()
        process.kill()
        process.communicate()
    assert process.returncode == 0, err


def test_it_stops_in_time_while_it_is_still_connecting(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    Nobody answers at the start, and it is told to stop: it ends within ten seconds and says why nothing began.
    """
    job = Job(tmp_path, kafka, Settings())
    process = job.start(NEXTMOVE_KAFKA_SERVERS="127.0.0.1:1")
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    try:
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 1
    assert err.startswith("nextmove: 127.0.0.1:1: ")
    assert err.endswith("; check the address, and that the broker is up\n")


def test_two_runs_on_one_folder_are_refused(tmp_path: Path, kafka: KafkaServer) -> None:
    job = Job(tmp_path, kafka, Settings())
    with job.running():
        until((tmp_path / "state" / "nextmove.json").exists)
        assert job.fails() == (
            1,
            f"nextmove: {tmp_path / 'state'} is in use by another run; wait for it to end or name another folder\n",
        )


def test_an_expired_offset_is_told(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    Records that were deleted before they were read are lost: it says which, and starts no more.
    """
    job = Job(tmp_path, kafka, Settings())
    job.produce((0, event("page_viewed", now_ms(), f"v{i}")) for i in range(10))
    with job.running():
        until(lambda: job.lag() == 0)
    job.produce((0, event("page_viewed", now_ms(), f"w{i}")) for i in range(10))
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for deleted in admin.delete_records([TopicPartition(job.topic, 0, 15)]).values():
        deleted.result(10)
    code, said = job.fails()
    assert code == 1
    assert said == (
        f"nextmove: {job.topic}/0: the checkpoint goes on at offset 10, but the broker has 15 to 20;"
        " what lies between is lost: restore the topic, or start with a new recovery folder\n"
    )


def test_what_is_missing_is_named(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    An unknown topic, one of our own, a setting that librdkafka does not know, a Redis that is not there: one line
    each, exit code 1.
    """
    job = Job(tmp_path, kafka, Settings())
    code, said = job.fails(NEXTMOVE_KAFKA_TOPICS="nowhere")
    assert (code, said) == (
        1,
        f"nextmove: {job.servers}: there is no topic nowhere; create it, or mend its name\n",
    )
    code, said = job.fails(NEXTMOVE_KAFKA_PREFIX="none.")
    assert code == 1
    assert said.startswith(f"nextmove: {job.servers}: there is no topic none.sessions.v1, none.")
    code, said = job.fails(NEXTMOVE_KAFKA_TOPICS=f"^{job.prefix}")
    assert (code, said) == (
        1,
        f"nextmove: kafka.topics would read {job.prefix}answers.v1, which is published to; narrow the pattern\n",
    )
    code, said = job.fails(NEXTMOVE_KAFKA_CLIENT="{socket.keepalive: 1}")
    assert code == 1
    assert said.startswith('nextmove: kafka.client: No such configuration property: "socket.keepalive"')
    code, said = job.fails(NEXTMOVE_IDENTITY_REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert code == 1
    assert said.startswith("nextmove: redis://127.0.0.1:1/0: Error 111 connecting to 127.0.0.1:1")
    assert said.count("\n") == 1
    assert "secret" not in said


def test_a_full_disk_stops_it_with_the_reason(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    No room for the state: one line, and after room is made the next run goes on.
    """
    job = Job(tmp_path, kafka, Settings(checkpoint=CheckpointSettings(interval_ms=500)))
    job.produce(
        (i % 3, event("page_viewed", now_ms(), f"v{i}", url="https://x.example/" + "y" * 500)) for i in range(9_000)
    )
    command = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536)); "
    (tmp_path / "sitecustomize.py").write_text(command)
    code, said = job.fails(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert code == 1, said
    assert said.count("\n") == 1
    assert "File too large" in said
    with job.running():
        until(lambda: job.lag() == 0)


def test_a_login_is_checked_at_once(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    With the right password topics are made; with a wrong one it says so in one line, without the password and
    without waiting for what will not come.
    """
    kafka.needs_control()  # a broker of the same kind can be started here
    ports = free_ports(3)
    listeners = zip(("PLAINTEXT", "SASL_PLAINTEXT", "CONTROLLER"), (ports[0], ports[2], ports[1]), strict=True)
    places = [f"{name}://127.0.0.1:{port}" for name, port in listeners]
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    settings = {
        "listeners": ",".join(places),
        "advertised.listeners": ",".join(places[:2]),
        "listener.security.protocol.map": ("PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{login} user_nextmove="the-right-one";',
    }
    broker = KafkaServer(tmp_path / "broker", ports=(ports[0], ports[1]), settings=settings)
    (tmp_path / "broker").mkdir()
    broker.start()
    try:
        secret = tmp_path / "password"

        def command(password: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            secret.write_text(password)
            environment = {
                "NEXTMOVE_KAFKA_SERVERS": f"127.0.0.1:{ports[2]}",
                "NEXTMOVE_KAFKA_USERNAME": "nextmove",
                "NEXTMOVE_KAFKA_PASSWORD_FILE": str(secret),
                "NEXTMOVE_KAFKA_CLIENT": "{security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN}",
                "PYTHONPATH": str(ROOT),
            }
            return subprocess.run(
                [sys.executable, "-m", "pipeline.cli", *arguments],
                cwd=tmp_path,
                env=os.environ | environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        made = command("the-right-one", "topics", "create", "--partitions", "1")
        began_at = time.monotonic()
        refused = command("a-wrong-one", "run", "--recovery", "state")
        took_s = time.monotonic() - began_at
    finally:
        broker.stop()
    assert (made.returncode, made.stderr) == (0, "")
    assert refused.returncode == 1
    assert refused.stderr.endswith("; check the user, the password and the access rights\n")
    assert refused.stderr.count("\n") == 1
    assert "wrong-one" not in refused.stderr
    assert took_s < 15
