"""
The subscribers that docs/how-to/subscribers.md shows, as processes of their own on a real Kafka.
"""

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is there, untyped

from connectors.cloudevents import Headers, MessageEncoder
from operators.ids import digest
from operators.trigger import Cause, Factors, Retraction, RuleRef, Trigger
from tests.services.kafka import KafkaServer, java, kafka_jars
from tests.services.process import ROOT, UnavailableError

PROGRAMS: Final = ROOT / "docs" / "subscribers"
WAIT_S: Final = 30.0
AT: Final = "2026-11-21T10:00:00.000Z"
RULE: Final = RuleRef("welcome", 1, "0f")


class Sent(NamedTuple):
    """A message to send."""

    key: bytes | None
    value: bytes | None
    headers: Headers | None = None


class Program(NamedTuple):
    """A subscriber: what starts it, what reads the ids that it has handled, and its exit code when told to stop."""

    command: list[str]
    handled: Callable[[Path], list[str]]
    exit_code: int


def of_table(path: Path) -> list[str]:
    """Ids of tasks, in their order."""
    if not path.exists():
        return []
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [id_ for (id_,) in database.execute("SELECT trigger_id FROM tasks ORDER BY number")]
    except sqlite3.OperationalError:  # the table is not there yet
        return []
    finally:
        database.close()


def of_lines(path: Path) -> list[str]:
    """Ids of whole lines, in their order, save those that were taken back: by a line of three fields."""
    text = path.read_text() if path.exists() else ""
    lines = [line[:-1].split("\t") for line in text.splitlines(keepends=True) if line.endswith("\n")]
    retracted = {fields[0] for fields in lines if len(fields) == 3}
    return [fields[0] for fields in lines if fields[0] not in retracted]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]) -> dict[str, Callable[[], Program]]:
    """Return what makes each ready to start."""
    classes = tmp_path_factory.mktemp("classes")

    def of_java() -> Program:
        compiler = shutil.which("javac", path=str(Path(java()).parent)) or shutil.which("javac")
        if compiler is None:
            raise UnavailableError("no javac; the subscriber in Java needs a JDK")
        jars = f"{kafka_jars(say)}/*"
        source = PROGRAMS / "java" / "Subscriber.java"
        subprocess.run(
            [compiler, "-Xlint:all,-classfile,-processing", "-Werror", "-cp", jars, "-d", classes, source], check=True
        )
        options = ["-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.level=WARN"]
        return Program([java(), *options, "-cp", f"{classes}:{jars}", "Subscriber"], of_lines, 143)

    def of_python() -> Program:
        return Program([sys.executable, str(PROGRAMS / "python" / "subscriber.py")], of_table, 0)

    return {"java": of_java, "python": of_python}


class Deployment:
    """A subscriber with a topic, a group and a memory of its own."""

    def __init__(self, program: Program, kafka: KafkaServer, folder: Path) -> None:
        self.program, self._servers = program, kafka.bootstrap_servers
        self.topic = self.group = f"subscribed-{uuid4().hex[:8]}"
        self.memory = folder / "memory"
        admin = AdminClient({"bootstrap.servers": self._servers})
        admin.create_topics([NewTopic(self.topic, 1, 1)])[self.topic].result(WAIT_S)

    def start(self) -> subprocess.Popen[str]:
        arguments = [self._servers, self.topic, str(self.memory), self.group, "one"]
        return subprocess.Popen([*self.program.command, *arguments], stderr=subprocess.PIPE, text=True)

    def send(self, messages: Iterable[Sent]) -> None:
        producer = Producer({"bootstrap.servers": self._servers})
        for key, value, headers in messages:
            producer.produce(self.topic, value, key, headers=headers or [])
        assert producer.flush(WAIT_S) == 0

    def handled(self) -> list[str]:
        return self.program.handled(self.memory)

    def lag(self) -> int:
        """How many messages are not committed."""
        consumer = Consumer({"bootstrap.servers": self._servers, "group.id": self.group})
        try:
            (place,) = consumer.committed([TopicPartition(self.topic, 0)], timeout=WAIT_S)
            return int(consumer.get_watermark_offsets(place, timeout=WAIT_S)[1]) - max(0, place.offset)
        finally:
            consumer.close()


def until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)


def ends_with(deployment: Deployment, id_: str) -> bool:
    return deployment.handled()[-1:] == [id_]


def trigger(name: str, expires_in: timedelta = timedelta(hours=1), **changed: Any) -> Sent:  # noqa: ANN401 -- as it may be
    """A trigger as nextmove publishes it; `changed` are fields, more than there are too."""
    told = Trigger(
        trigger_id=digest("trigger", name),
        slot_key=digest("slot", name),
        profile_id="p1",
        anonymous_ids=["d1"],
        action="returning_visitor",
        family="journey",
        channel="onsite",
        address_ref="profile:p1",
        cause=Cause("visit", name, AT),
        context={},
        priority=Factors(1.0, 1.0, 1.0, 1.0, 1.0),
        rule=RULE,
        assignment="d1",
        variant="",
        channels={"onsite": ""},
        not_before=AT,
        expires_at=hence(expires_in),
    )
    return message_of(told, changed)


def retraction(name: str, **changed: Any) -> Sent:  # noqa: ANN401 -- as it may be
    """The same of what takes it back."""
    told = Retraction(
        trigger_id=digest("trigger", name),
        slot_key=digest("slot", name),
        profile_id="p1",
        action="returning_visitor",
        family="journey",
        channel="onsite",
        reason="cancelled",
        cause=Cause("order_completed", "o1", AT),
        expires_at=hence(timedelta(hours=1)),
        rule=RULE,
    )
    return message_of(told, changed)


def message_of(told: Trigger | Retraction, changed: dict[str, Any]) -> Sent:
    """A message as nextmove publishes it, but for the fields that are `changed`."""
    ((_, (message,)),) = MessageEncoder("/test", lambda: 0, {"journey": 1}).encode([(1, [told])]).items()
    value = message.value
    if changed:
        value = msgspec.json.encode(msgspec.json.decode(value) | changed)
    return Sent(message.key, value, message.headers)


def hence(span: timedelta) -> str:
    """An instant so long from now."""
    return (datetime.now(UTC) + span).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def garbage() -> list[Sent]:
    """What nobody should send, and what others may."""
    sound = trigger("garbage")
    type_: Headers = [("ce_type", b"io.nextmove.nba.returning_visitor.v1")]
    values = [b"", b"{", b"\xff\xfe", b"[]", b"null", b"7", b'"text"', b"{}", b"[" * 100_000]
    faults: list[dict[str, Any]] = [
        {"trigger_id": 7},
        {"slot_key": None},
        {"action": ["a"]},
        {"expires_at": "soon"},
        {"expires_at": "2999-01-01T00:00:00"},
        {"expires_at": 7},
        {"expires_at": None},
        {"not_before": "soon"},
        {"not_before": None},
    ]
    faults_of_both: list[dict[str, Any]] = [{"trigger_id": 7}, {"slot_key": None}, {"expires_at": "soon"}]
    return [
        *(Sent(b"p1", value, type_) for value in values),
        *(trigger(f"fault {number}", **fault) for number, fault in enumerate(faults)),
        *(retraction("t0", **fault) for fault in faults_of_both),
        Sent(b"p1", b"{", [("ce_type", b"io.nextmove.trigger.retracted.v1")]),
        Sent(b"p1", sound.value, [("ce_type", b"io.nextmove.trigger.retracted.v2")]),
        Sent(b"p1", sound.value),
        Sent(None, sound.value, [("ce_type", None)]),
        Sent(b"p1", sound.value, [("ce_type", b"io.nextmove.nba.returning_visitor.v2")]),
        Sent(b"p1", sound.value, [("ce_type", b"io.nextmove.whatever.comes.v1")]),
        Sent(b"\xff", None, type_),
        Sent(b"p0", None),
    ]


@pytest.mark.parametrize("language", ["python", "java"])
def test_each_trigger_is_handled_once(
    language: str, programs: dict[str, Callable[[], Program]], kafka: KafkaServer, tmp_path: Path
) -> None:
    """
    Whatever is on the topic beside it, sent three times, with the process killed in the middle; neither an expired one
    nor a second one for its slot. On SIGTERM it ends well, with all committed, and remembers when it starts again.
    """
    deployment = Deployment(programs[language](), kafka, tmp_path)
    sound = [trigger(f"t{number}") for number in range(300)]
    first = deployment.start()
    try:
        sent = 0
        while not deployment.handled():
            deployment.send(sound[sent : min(sent + 5, 250)])
            sent = min(sent + 5, 250)
            time.sleep(0.05)
    finally:
        first.kill()  # SIGKILL, while more is coming
        first.communicate()
    before = deployment.handled()
    assert 0 < len(before) <= sent < len(sound)

    slot = digest("slot", "t3")
    expired = [trigger("late", timedelta(seconds=-1)), trigger("long ago", timedelta(days=-400))]
    deployment.send([*garbage(), *sound, *expired, *garbage(), *sound, trigger("other", slot_key=slot)])
    deployment.send([trigger("last", added_in_a_later_version={"x": 1})])
    expected = [digest("trigger", name) for name in [*(f"t{number}" for number in range(300)), "last"]]
    for news in ([], [trigger("once more")]):
        deployment.send(news)
        expected += [digest("trigger", "once more") for _ in news]
        process = deployment.start()
        try:
            until(partial(ends_with, deployment, expected[-1]), process)
            until(lambda: deployment.lag() == 0, process)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=10)
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == deployment.program.exit_code, said
        assert deployment.handled() == expected
        deployment.send(sound[:10])  # what it has to remember the next time


@pytest.mark.parametrize("language", ["python", "java"])
def test_what_is_taken_back_is_not_done(
    language: str, programs: dict[str, Callable[[], Program]], kafka: KafkaServer, tmp_path: Path
) -> None:
    """
    A trigger whose retraction comes behind it, or before it, as it may from another partition; told twice it is the
    same, and when the trigger comes once more too, also after the program was killed. Others stay.
    """
    deployment = Deployment(programs[language](), kafka, tmp_path)
    names = ("first", "behind", "before", "later", "last", "once more")
    first, behind, before, later, last, more = (digest("trigger", name) for name in names)
    deployment.send([trigger("first"), trigger("behind"), trigger("later")])
    deployment.send([retraction("behind"), retraction("behind"), retraction("before"), trigger("before")])
    deployment.send([trigger("last")])
    process = deployment.start()
    try:
        until(partial(ends_with, deployment, last), process)
        assert deployment.handled() == [first, later, last]
    finally:
        process.kill()
        process.communicate()
    deployment.send([retraction("later"), retraction("behind"), trigger("behind"), trigger("before"), trigger("later")])
    deployment.send([trigger("once more")])
    process = deployment.start()
    try:
        until(partial(ends_with, deployment, more), process)
        assert deployment.handled() == [first, last, more]
    finally:
        process.kill()
        process.communicate()
    assert before not in deployment.handled()
    assert behind not in deployment.handled()


def test_a_task_is_due_in_its_time_and_stays_done(
    programs: dict[str, Callable[[], Program]], kafka: KafkaServer, tmp_path: Path
) -> None:
    """
    Whoever does the tasks finds in `due` those whose `not_before` has come and whose `expires_at` has not. What they
    have done is not due again, and no retraction undoes it.
    """
    deployment = Deployment(programs["python"](), kafka, tmp_path)
    soon, hour = hence(timedelta(seconds=3)), timedelta(hours=1)
    deployment.send([trigger("now"), trigger("done"), trigger("short", timedelta(seconds=3))])
    deployment.send([trigger("soon", not_before=soon), trigger("later", not_before=hence(hour))])

    def due() -> list[str]:
        database = sqlite3.connect(f"file:{deployment.memory}?mode=ro", uri=True)
        try:
            return [id_ for (id_,) in database.execute("SELECT trigger_id FROM due ORDER BY number")]
        finally:
            database.close()

    now, done, then, never = (digest("trigger", name) for name in ("now", "done", "soon", "later"))
    process = deployment.start()
    try:
        until(partial(ends_with, deployment, never), process)
        early = due()
        database = sqlite3.connect(deployment.memory)
        with database:
            database.execute("UPDATE tasks SET done_at = '2026-11-21' WHERE trigger_id = ?", [done])
        database.close()
        deployment.send([retraction("done"), trigger("done"), trigger("end", not_before=hence(hour))])
        until(partial(ends_with, deployment, digest("trigger", "end")), process)
        until(lambda: due() == [now, then], process)
        assert done in deployment.handled()
    finally:
        process.kill()
        process.communicate()
    assert early[:2] == [now, done]
    assert never not in early


def test_who_is_erased_is_forgotten(
    programs: dict[str, Callable[[], Program]], kafka: KafkaServer, tmp_path: Path
) -> None:
    """
    By a tombstone on the topic of profiles, which the subscriber in Python reads: what it was to do for them is gone;
    the other keeps nothing of them. That a trigger was handled it remembers all the same.
    """
    deployment = Deployment(programs["python"](), kafka, tmp_path)
    mine, other = trigger("mine"), trigger("other", profile_id="p2")
    deployment.send([mine, other])
    process = deployment.start()
    try:
        until(lambda: len(deployment.handled()) == 2, process)
        deployment.send([Sent(b"p1", None), mine, trigger("last", profile_id="p3")])
        until(lambda: digest("trigger", "last") in deployment.handled(), process)
    finally:
        process.kill()
        process.communicate()
    assert deployment.handled() == [digest("trigger", "other"), digest("trigger", "last")]


def test_an_id_is_forgotten_when_it_no_longer_matters(
    programs: dict[str, Callable[[], Program]], kafka: KafkaServer, tmp_path: Path
) -> None:
    """
    A day after its trigger expired; until then it is known. In Java when the program starts.
    """
    deployment = Deployment(programs["java"](), kafka, tmp_path)
    now = datetime.now(UTC)
    lines = {
        name: f"{name}\tslot-{name}\t{(now - timedelta(hours=hours)).isoformat()[:19]}Z\t{AT}\ta\tb\tc\n"
        for name, hours in (("kept", 23), ("gone", 25))
    }
    deployment.memory.write_text(lines["gone"] + lines["kept"] + "cut off")
    deployment.send([trigger("new")])
    process = deployment.start()
    try:
        until(lambda: digest("trigger", "new") in deployment.handled(), process)
    finally:
        process.kill()
        process.communicate()
    assert deployment.handled() == ["kept", digest("trigger", "new")]


def test_the_page_names_what_the_subscriber_in_java_is_tested_with(say: Callable[[str], None]) -> None:
    """
    The versions in its pom.xml are those of the packages that the tests run it on.
    """
    told = (PROGRAMS / "java" / "pom.xml").read_text()
    wanted = re.findall(r"<artifactId>([\w-]+)</artifactId>\s*<version>([\d.]+)</version>\s*</dependency>", told)
    assert {name for name, _ in wanted} == {"kafka-clients", "jackson-databind"}
    jars = {path.name for path in kafka_jars(say).glob("*.jar")}
    assert {f"{name}-{version}.jar" for name, version in wanted} <= jars
