"""
The servers that other tests rely on do what those tests will do to them.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from redis import Redis
from redis.exceptions import RedisError

from tests.services import kafka as kafka_module
from tests.services import process
from tests.services.kafka import KafkaServer, kafka_jars
from tests.services.plugin import translated
from tests.services.process import NotOursError, UnavailableError
from tests.services.redis import RedisServer, redis_program

WAIT_S_MAX = 20.0


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    """A topic of one partition that no other test uses."""
    name = f"services-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])[name].result(WAIT_S_MAX)
    return name


@pytest.fixture
def own_redis(tmp_path: Path, redis_server: RedisServer) -> Iterator[RedisServer]:
    """A durable Redis of the test's own."""
    redis_server.needs_control()
    server = RedisServer(tmp_path / "redis", is_durable=True)
    server.start()
    yield server
    server.stop()


def produce(kafka: KafkaServer, topic: str, *values: str) -> None:
    """Send values, and return when the broker has acknowledged each."""
    faults: list[KafkaError] = []
    # An unknown topic is an error at once, not only when it has had half a minute to become known.
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "topic.metadata.propagation.max.ms": 0})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: faults.append(error) if error else None)
    assert producer.flush(WAIT_S_MAX) == 0
    if faults:
        raise KafkaException(faults[0])


def consume(kafka: KafkaServer, topic: str, count: int, group: str = "services") -> list[str]:
    """Read so many values from the beginning, and commit behind them."""
    options: dict[str, str | int | bool] = {"auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group, **options})
    consumer.subscribe([topic])
    try:
        messages = consumer.consume(count, WAIT_S_MAX)
        consumer.commit(asynchronous=False)
        return [(message.value() or b"").decode() for message in messages]
    finally:
        consumer.close()


def is_gone(pid: int) -> bool:
    """Whether there is no such process, or only what is left until its parent has asked for its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def await_gone(pid: int) -> bool:
    """Wait for a process to end."""
    end_at = time.monotonic() + WAIT_S_MAX
    while not is_gone(pid) and time.monotonic() < end_at:
        time.sleep(0.02)
    return is_gone(pid)


# --- Kafka --------------------------------------------------------------------------------------------------


def test_a_message_outlives_a_killed_broker(kafka: KafkaServer, topic: str) -> None:
    """
    What was acknowledged before a SIGKILL is read after the restart, at the same address, with what came later.
    """
    kafka.needs_control()
    produce(kafka, topic, "before")
    pid = kafka.pid

    kafka.kill()
    assert is_gone(pid)
    assert not kafka.answers()

    kafka.restart()
    produce(kafka, topic, "after")
    assert consume(kafka, topic, 2, group=topic) == ["before", "after"]


def test_a_paused_broker_answers_again(kafka: KafkaServer, topic: str) -> None:
    """
    While it is paused nobody gets an answer; afterwards it takes messages as if nothing had been.
    """
    kafka.needs_control()

    kafka.pause()
    assert kafka.is_running
    assert not kafka.answers()

    kafka.resume()
    produce(kafka, topic, "hello")
    assert consume(kafka, topic, 1, group=topic) == ["hello"]


def test_a_topic_is_not_created_by_being_named(kafka: KafkaServer) -> None:
    """
    Producing to a misspelt topic is an error, as it is in production.
    """
    kafka.needs_control()  # somebody else's may be set up otherwise
    with pytest.raises(KafkaException) as caught:
        produce(kafka, "no-such-topic", "lost")
    assert caught.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_kafkas_own_tools_see_what_we_do(kafka: KafkaServer, topic: str) -> None:
    """
    The console consumer prints the messages; the group that has read two of three lags by one.
    """
    produce(kafka, topic, "one", "two", "three")
    assert consume(kafka, topic, 2, group=topic) == ["one", "two"]

    printed = kafka.console_consumer("--topic", topic, "--from-beginning", "--max-messages", "3")
    assert printed.split() == ["one", "two", "three"]

    header, row = [line.split() for line in kafka.consumer_groups("--describe", "--group", topic).splitlines() if line]
    told = dict(zip(header, row, strict=False))
    assert (told["CURRENT-OFFSET"], told["LOG-END-OFFSET"], told["LAG"]) == ("2", "3", "1")


# --- Redis --------------------------------------------------------------------------------------------------


def test_a_restarted_redis_is_empty(redis_server: RedisServer) -> None:
    """
    It keeps nothing on disk: whoever uses it must live with that, and shows so in tests.
    """
    redis_server.needs_control()
    with Redis.from_url(redis_server.url) as client:
        client.set("services:key", "value")
        assert client.get("services:key") == b"value"

        redis_server.restart()
        assert client.dbsize() == 0


def test_a_paused_redis_keeps_what_it_has(redis_server: RedisServer) -> None:
    """
    While it is paused a client runs into its time-out; afterwards everything is there.
    """
    redis_server.needs_control()
    with Redis.from_url(redis_server.url, socket_timeout=0.2) as client:
        client.set("services:paused", "value")

        redis_server.pause()
        with pytest.raises(RedisError):
            client.get("services:paused")

        redis_server.resume()
        assert client.get("services:paused") == b"value"


def test_a_durable_redis_keeps_what_it_answered(own_redis: RedisServer) -> None:
    """
    With `is_durable` a write survives a SIGKILL.
    """
    with Redis.from_url(own_redis.url) as client:
        client.set("key", "value")
        own_redis.restart()
        assert client.get("key") == b"value"


# --- whatever the server ------------------------------------------------------------------------------------


def test_stop_leaves_no_process(own_redis: RedisServer) -> None:
    """
    Also when it was paused, and a second time does no harm.
    """
    pid = own_redis.pid
    own_redis.pause()

    own_redis.stop()
    own_redis.stop()

    assert is_gone(pid)
    assert not own_redis.answers()


def test_what_a_failed_test_left_is_put_right(own_redis: RedisServer) -> None:
    """
    A server found paused or killed runs again before the next test.
    """
    own_redis.pause()
    own_redis.heal()
    assert own_redis.answers()

    own_redis.kill()
    own_redis.heal()
    assert own_redis.answers()


def test_a_server_outlives_the_thread_that_restarted_it(own_redis: RedisServer) -> None:
    """
    Faults may be played from a thread beside the test.
    """
    thread = threading.Thread(target=own_redis.restart)
    thread.start()
    thread.join()
    pid = own_redis.pid

    own_redis.heal()  # gives a signal on its way the time to arrive
    assert (own_redis.pid, own_redis.answers()) == (pid, True)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv to tell the kernel")
def test_a_killed_run_leaves_no_process(tmp_path: Path, redis_server: RedisServer) -> None:
    """
    Even SIGKILL, which nobody can prepare for, takes the servers along, and a paused one too.
    """
    redis_server.needs_control()
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.services.redis import RedisServer\n"
        "server = RedisServer(Path(sys.argv[1]))\n"
        "server.start()\n"
        "server.pause()\n"
        "print(server.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "redis")]
    with subprocess.Popen(command, cwd=process.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        assert not is_gone(pid)
        run.send_signal(signal.SIGKILL)
    assert await_gone(pid)


def test_lent_servers_end_with_whoever_borrowed_them(kafka: KafkaServer, redis_server: RedisServer) -> None:
    """
    `lend` names both in a line each; once its standard input is closed neither answers, and their folder is gone.
    """
    kafka.needs_control()
    redis_server.needs_control()
    command = [sys.executable, "-m", "tests.services", "lend"]
    with subprocess.Popen(
        command, cwd=process.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as lender:
        assert lender.stdout is not None
        told = dict(lender.stdout.readline().strip().split("=", 1) for _ in range(4))
        lent = KafkaServer.elsewhere(told["KAFKA_BOOTSTRAP_SERVERS"]), RedisServer.elsewhere(told["REDIS_URL"])
        assert [server.answers() for server in lent] == [True, True]
        assert Path(told["KAFKA_DATA"], "meta.properties").is_file()
    assert lender.returncode == 0
    assert [server.answers() for server in lent] == [False, False]
    assert not Path(told["KAFKA_DATA"]).exists()
    assert not Path("/proc", told["KAFKA_PID"]).exists()


def test_somebody_elses_server_is_not_touched() -> None:
    """
    A server that an environment variable names is used, never killed, paused or started.
    """
    for server in (KafkaServer.elsewhere("broker:9092"), RedisServer.elsewhere("redis://store:6379")):
        for action in (server.start, server.stop, server.kill, server.restart, server.pause, server.needs_control):
            with pytest.raises(NotOursError):
                action()
        server.heal()


def test_a_server_that_cannot_start_says_why(tmp_path: Path, redis_server: RedisServer) -> None:
    """
    The end of its log is in the error.
    """
    redis_server.needs_control()
    server = RedisServer(tmp_path / "redis", options=["--maxmemory", "plenty"])
    with pytest.raises(RuntimeError, match=r"(?s)Redis has ended.*maxmemory"):
        server.start()
    assert not server.is_running


def test_a_machine_without_the_means_skips_loudly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    No Maven, no Redis and no apt: the tests that need them are skipped with a line, and fail under CI=true.
    """
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(kafka_module, "STATE", tmp_path)
    monkeypatch.setattr("tests.services.debian.STATE", tmp_path)
    with pytest.raises(UnavailableError, match="no Maven"):
        kafka_jars()
    with pytest.raises(UnavailableError, match="no redis-server, and no apt-get"):
        redis_program()

    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="NO SERVER, SO NOT TESTED: no Maven"), translated():
        kafka_jars()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="NO SERVER, SO NOT TESTED: no Maven"), translated():
        kafka_jars()
