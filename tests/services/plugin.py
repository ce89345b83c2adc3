"""
The fixtures `kafka` and `redis_server`: started when a test first asks for one, once a run, stopped by process id.

KAFKA_BOOTSTRAP_SERVERS and REDIS_URL name servers to use instead; tests that kill or pause theirs are then skipped.
Where a server cannot be had, the tests that need it are skipped and say so; under CI=true they fail.
"""

import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import pytest

from tests.services.kafka import KafkaServer, java, kafka_jars
from tests.services.process import NotOursError, Server, UnavailableError
from tests.services.redis import RedisServer, redis_program

AnyServer = TypeVar("AnyServer", bound=Server)

FIXTURES: Final = ("kafka", "redis_server")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]) -> Iterator[KafkaServer]:
    """A Kafka that the whole run shares: take topics and groups of your own."""
    address = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if address:
        yield _answering(KafkaServer.elsewhere(address), f"KAFKA_BOOTSTRAP_SERVERS={address}")
        return
    java()
    kafka_jars(say)
    yield from _running(KafkaServer(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]) -> Iterator[RedisServer]:
    """A Redis that the whole run shares: take a key prefix of your own. A restarted one is empty."""
    url = os.environ.get("REDIS_URL")
    if url:
        yield _answering(RedisServer.elsewhere(url), "the Redis of REDIS_URL")
        return
    redis_program(say)
    yield from _running(RedisServer(tmp_path_factory.mktemp("redis")))


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Write a line to stderr for whoever waits, although pytest captures what tests write."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", file=sys.stderr, flush=True)  # noqa: T201 - it is for a person

    return write


@pytest.fixture(autouse=True)
def _running_again(request: pytest.FixtureRequest) -> None:
    """A test that failed while it had a server killed or paused does not fail the tests after it."""
    for name in FIXTURES:
        if name in request.fixturenames:
            server: Server = request.getfixturevalue(name)
            server.heal()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    """Translate what a fixture raises."""
    with translated():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Translate what a test raises."""
    with translated():
        return (yield)


@contextmanager
def translated() -> Iterator[None]:
    """Skip a test whose server cannot be had or is not ours; raised here, tests with one reason share one line."""
    try:
        yield
    except NotOursError as error:
        raise pytest.skip.Exception(str(error)) from None
    except UnavailableError as error:
        line = f"NO SERVER, SO NOT TESTED: {error}"
        if os.environ.get("CI") == "true":  # where it must not go unnoticed
            raise pytest.fail.Exception(line, pytrace=False) from None
        raise pytest.skip.Exception(line) from None


def _running(server: AnyServer) -> Iterator[AnyServer]:
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.folder / "data", ignore_errors=True)  # the log is worth keeping, a million records are not


def _answering(server: AnyServer, what: str) -> AnyServer:
    if not server.answers():
        pytest.fail(f"{what} does not answer", pytrace=False)
    return server
