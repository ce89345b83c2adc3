"""
One Apache Kafka node, broker and controller in one, from the packages that pom.xml names.

    server = KafkaServer(folder)
    server.start()
    Producer({"bootstrap.servers": server.bootstrap_servers})
    server.consumer_groups("--describe", "--group", "nextmove")

Topics are not created by being named. Records stay whatever their timestamps say, for tests play days of the past.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.services.process import HOST, STATE, Server, UnavailableError, free_ports

POM: Final = Path(__file__).with_name("pom.xml")
JAVA_MIN: Final = 17  # what Kafka 4 asks of a broker's machine
FETCH_S_MAX: Final = 240  # below the time-out of a test, so that the reason is told
TOOL_S_MAX: Final = 60

HEAP_MB: Final = 256
# One node has one replica of everything. One partition each is enough for the internal topics, and quick to open.
SETTINGS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",  # nobody else is about to join
    # Until a killed broker's session is over it may not come back: with the default of 9 s a restart takes 13 s, not 5.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.retention.ms": "-1",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),  # the default is half of our heap
}


class KafkaServer(Server):
    """A Kafka to produce to and to consume from, and its command-line tools."""

    name = "Kafka"

    def __init__(
        self,
        folder: Path | None,
        *,
        ports: tuple[int, int] | None = None,
        settings: Mapping[str, str] | None = None,
        heap_mb: int = HEAP_MB,
        is_kept: bool = False,
    ) -> None:
        """`ports` are the broker's and the controller's; `settings` go over ours, as in server.properties."""
        super().__init__(folder, is_kept=is_kept)
        self._broker_port, self._controller_port = ports or free_ports(2)
        self._settings = dict(settings or {})
        self._heap_mb = heap_mb
        self._jars: Path | None = None
        self._admin: AdminClient | None = None
        self.bootstrap_servers = f"{HOST}:{self._broker_port}"

    @classmethod
    def elsewhere(cls, bootstrap_servers: str) -> Self:
        """Stand for a Kafka that someone else runs."""
        server = cls(None)
        server.bootstrap_servers = bootstrap_servers
        return server

    def answers(self) -> bool:
        """Ask for the brokers; one that is starting is not among them before it takes requests."""
        if self._admin is None:
            # What librdkafka logs while nobody listens is what we are waiting to be over.
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            return bool(self._admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def console_consumer(self, *arguments: str) -> str:
        """Return what kafka-console-consumer prints; tell it when to end (--max-messages, --timeout-ms)."""
        return self._tool("org.apache.kafka.tools.consumer.ConsoleConsumer", arguments)

    def consumer_groups(self, *arguments: str) -> str:
        """Return what kafka-consumer-groups prints."""
        return self._tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", arguments)

    def topics(self, *arguments: str) -> str:
        """Return what kafka-topics prints."""
        return self._tool("org.apache.kafka.tools.TopicCommand", arguments)

    def tool_command(self, class_name: str, *arguments: str) -> list[str]:
        """Return the command that runs a class of the packages on this server, for a test that runs it alongside."""
        bootstrap = ["--bootstrap-server", self.bootstrap_servers]
        return [*self._java(128), "-XX:TieredStopAtLevel=1", class_name, *bootstrap, *arguments]

    def _tool(self, class_name: str, arguments: tuple[str, ...]) -> str:
        command = self.tool_command(class_name, *arguments)
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=TOOL_S_MAX)
        if done.returncode:
            raise RuntimeError(f"{class_name} failed: {(done.stderr or done.stdout)[-2000:]}")
        return done.stdout

    def _java(self, heap_mb: int) -> list[str]:
        if self._jars is None:
            self._jars = kafka_jars()
        return [java(), f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-Dlog4j2.level=WARN", "-cp", f"{self._jars}/*"]

    def _command(self) -> list[str]:
        properties = self.folder / "server.properties"
        listeners = f"PLAINTEXT://{HOST}:{self._broker_port}"
        controller = f"{HOST}:{self._controller_port}"
        settings = {
            **SETTINGS,
            "listeners": f"{listeners},CONTROLLER://{controller}",
            "advertised.listeners": listeners,
            "controller.quorum.bootstrap.servers": controller,
            "log.dirs": str(self.folder / "data"),
            **self._settings,
        }
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(properties)
        return [*self._java(self._heap_mb), "-XX:+ExitOnOutOfMemoryError", "kafka.Kafka", str(properties)]

    def _format(self, properties: Path) -> None:
        # From the address, so that no two of a machine's nodes take each other's clients for their own.
        cluster_id = hashlib.sha256(f"{self.folder}{self.bootstrap_servers}".encode()).hexdigest()[:22]
        arguments = ["format", "--cluster-id", cluster_id, "--config", str(properties), "--standalone"]
        command = [*self._java(128), "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", *arguments]
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=TOOL_S_MAX)
        if done.returncode:
            raise RuntimeError(f"Kafka's folder cannot be formatted: {(done.stderr or done.stdout)[-2000:]}")


def java() -> str:
    """Find a Java that runs Kafka: JAVA_HOME's, else the one on the path."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        raise UnavailableError(f"no Java; Kafka needs {JAVA_MIN} or later")
    told = subprocess.run([found, "-version"], capture_output=True, check=False, text=True).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < JAVA_MIN:
        raise UnavailableError(f"Java {version[1] if version else 'of no version'}; Kafka needs {JAVA_MIN} or later")
    return found


def kafka_jars(say: Callable[[str], None] = lambda _: None) -> Path:
    """
    Return the folder of Kafka's packages; Maven fills it when pom.xml is not what it was filled from.

    Raises:
        UnavailableError: there is no Maven, or it could not get them.
    """
    folder, filled_from = STATE / "kafka", STATE / "kafka" / "pom.xml"
    STATE.mkdir(exist_ok=True)
    with (STATE / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs in one checkout
        if filled_from.exists() and filled_from.read_bytes() == POM.read_bytes():
            return folder
        maven = shutil.which("mvn")
        if maven is None:
            raise UnavailableError("no Maven to fetch Kafka with (mvn)")
        say("Fetching Apache Kafka with Maven into .services/kafka; once, until tests/services/pom.xml changes")
        shutil.rmtree(folder, ignore_errors=True)
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
        try:
            subprocess.run(
                [maven, "--batch-mode", "--quiet", "-Dstyle.color=never", "--file", str(POM), *copy],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                text=True,
                timeout=FETCH_S_MAX,
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"Maven did not get Kafka's packages in {FETCH_S_MAX} s") from None
        except subprocess.CalledProcessError as error:
            raise UnavailableError(f"Maven did not get Kafka's packages: {error.stdout[:500].strip()}") from None
        shutil.copy(POM, filled_from)  # last, so that a copy cut short is begun anew
        return folder
