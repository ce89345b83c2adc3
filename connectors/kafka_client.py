"""What everything that talks to Kafka shares: how to log in, what is fatal, and what the brokers say of topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec  # type: ignore[attr-defined]  # they are there

from connectors.batches import Stop

T = TypeVar("T")

# For an answer at the start: a broker that is restarting takes some seconds.
START_S_MAX: Final = 30.0
# For an answer while the flow stands still for it.
ANSWER_S_MAX: Final = 1.0

# How long a broker may take to hear of a topic that another one has made.
NEWS_S_MAX: Final = 3.0
# Between two attempts at the start.
RETRY_S: Final = 0.2
# Where the leaders of partitions are is asked anew this often: librdkafka does not on its own when one has moved.
LEADERS_MS: Final = 2_000

FATAL: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 -- how confluent-kafka names what librdkafka itself says
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
"""What waiting does not cure."""


class KafkaFault(Exception):  # noqa: N818 -- a fault of the world: of a broker, a topic, a login
    """What Kafka cannot or will not do: one line with cause and cure."""


def settings(
    servers: str, client: Mapping[str, str], on_error: Callable[[KafkaError], None], **ours: object
) -> dict[str, Any]:
    """Return a configuration for librdkafka: `client` outranks `ours`, save what exactness depends on."""
    base = {"client.id": "nextmove", "log_level": 2, "reconnect.backoff.max.ms": 1_000}
    return base | ours | dict(client) | {"bootstrap.servers": servers, "error_cb": on_error}


def made(kind: Callable[[dict[str, Any]], T], options: dict[str, Any]) -> T:
    """Make a client of librdkafka.

    Raises:
        KafkaFault: it does not know a setting, or not what it is set to.
    """
    try:
        return kind(options)
    except KafkaException as error:
        raise KafkaFault(f"kafka.client: {error.args[0].str()}; see librdkafka's CONFIGURATION.md") from None


def is_hopeless(error: KafkaError) -> bool:
    """Tell whether waiting will not cure `error`."""
    return error.fatal() or error.code() in FATAL


def split(name: str) -> tuple[str, int]:
    """Return topic and number of a partition's name, `topic/3`."""
    topic, _, number = name.rpartition("/")
    return topic, int(number)


def assigned(name: str, offset: int) -> TopicPartition:
    """Return the partition `name` at `offset`, as confluent-kafka has it."""
    return TopicPartition(*split(name), offset)


class Brokers:
    """The brokers as an administrator sees them."""

    def __init__(self, servers: str, client: Mapping[str, str], stop: Stop | None = None) -> None:
        """Begin to connect; what fails is told by the first question. `stop` ends all waiting."""
        self.servers, self._stop = servers, stop
        self._failure: KafkaError | None = None
        ours = {"metadata.max.age.ms": LEADERS_MS}
        self._client: AdminClient = made(AdminClient, settings(servers, client, self.on_error, **ours))

    def topics(self, timeout_s: float = START_S_MAX) -> dict[str, int]:
        """Return the number of partitions of each topic.

        Raises:
            KafkaFault: no broker answers in time, or they refuse us.
        """
        end_at = time.monotonic() + timeout_s
        while True:
            try:
                told = self._client.list_topics(timeout=min(ANSWER_S_MAX, timeout_s))
            except KafkaException as error:
                self._client.poll(0)
                is_over = self._is_stopped() or time.monotonic() > end_at
                reason = self._failure or (error.args[0] if is_over else None)
                if reason is not None:
                    raise self.fault(reason) from None
            else:
                return {name: len(topic.partitions) for name, topic in told.topics.items() if topic.error is None}

    def topics_with(self, names: Iterable[str]) -> dict[str, int]:
        """Return the same, and wait a little for `names`: a broker hears late of topics that have just been made."""
        wanted = set(names)
        end_at = time.monotonic() + NEWS_S_MAX
        while True:
            there = self.topics()
            if wanted <= there.keys() or time.monotonic() > end_at:
                return there
            time.sleep(RETRY_S)

    def ask_ends(self, names: Iterable[str], timeout_s: float) -> dict[str, Future[Any]]:
        """Ask where partitions end, without waiting for the answer."""
        return self._ask(names, OffsetSpec.latest(), timeout_s)  # type: ignore[no-untyped-call]  # as it is shipped

    def ends(self, names: Iterable[str], wait_s: float = START_S_MAX) -> dict[str, int]:
        """Return the offset after the last record of partitions.

        Raises:
            KafkaFault: no broker answers in time, or one does not have a partition; or the run is to stop.
        """
        return self._answered(names, OffsetSpec.latest(), wait_s)  # type: ignore[no-untyped-call]  # as it is shipped

    def firsts(self, names: Iterable[str], wait_s: float = START_S_MAX) -> dict[str, int]:
        """Return the offset of the first record that partitions still have; raises as `ends`."""
        spec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # as it is shipped
        return self._answered(names, spec, wait_s)

    def since(self, names: Iterable[str], at: int) -> dict[str, int]:
        """Return the offset of the first record that came at `at` (ms) or later, -1 for none; raises as `ends`."""
        spec = OffsetSpec.for_timestamp(at)
        return self._answered(names, spec)

    def cleanup_policies(self, topics: Sequence[str]) -> dict[str, str]:
        """Return how topics are cleaned up: delete, compact or both; "" where the brokers do not tell us."""
        asked = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
        found = {}
        for resource, future in self._client.describe_configs(asked, request_timeout=START_S_MAX).items():
            try:
                found[resource.name] = str(future.result(START_S_MAX)["cleanup.policy"].value)
            except (KafkaException, TimeoutError):
                found[resource.name] = ""  # not everybody may read configurations
        return found

    def fault(self, error: KafkaError) -> KafkaFault:
        """Make one line of what librdkafka says."""
        if error.code() in FATAL:
            return KafkaFault(f"{self.servers}: {error.str()}; check the user, the password and the access rights")
        return KafkaFault(f"{self.servers}: {error.str()}; check the address, and that the broker is up")

    @property
    def admin(self) -> AdminClient:
        """The client itself, for what changes topics."""
        return self._client

    def _ask(self, names: Iterable[str], spec: Any, timeout_s: float) -> dict[str, Future[Any]]:  # noqa: ANN401 -- specs have no public base
        asked = {assigned(name, 0): spec for name in names}
        if not asked:
            return {}
        futures = self._client.list_offsets(asked, request_timeout=timeout_s)
        return {f"{one.topic}/{one.partition}": future for one, future in futures.items()}

    def _answered(
        self,
        names: Iterable[str],
        spec: Any,  # noqa: ANN401 -- as above
        wait_s: float = START_S_MAX,
    ) -> dict[str, int]:
        """Ask until every partition's leader has answered: one that has just been made or moved has none."""
        found: dict[str, int] = {}
        missing = list(names)
        end_at = time.monotonic() + wait_s
        while missing:
            for name, future in self._ask(missing, spec, ANSWER_S_MAX).items():
                try:
                    found[name] = int(future.result(2 * ANSWER_S_MAX).offset)
                except (KafkaException, TimeoutError) as error:
                    if self._is_stopped() or time.monotonic() > end_at:
                        told = error.args[0].str() if isinstance(error, KafkaException) else "no answer"
                        raise KafkaFault(f"{name}: {told}; check that the broker is up") from None
            missing = [name for name in missing if name not in found]
            if missing:
                time.sleep(RETRY_S)
        return found

    def _is_stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def on_error(self, error: KafkaError) -> None:
        """Note what waiting will not cure."""
        if is_hopeless(error):
            self._failure = error
