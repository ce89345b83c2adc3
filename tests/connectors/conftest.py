"""
Redis as people run it: behind TLS, a login, a socket, sentinels, in a cluster. Each starts when it is first asked for.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import trustme

from tests.connectors.identity import ACL_RULES, Told
from tests.services.process import HOST, free_ports
from tests.services.redis import RedisServer, redis_program
from tests.services.redis_kinds import Clustered, Start, Watched, ask


@pytest.fixture(scope="session")
def start_redis(tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]) -> Iterator[Start]:
    """Start one more server; all are stopped at the end."""
    redis_program(say)
    with ExitStack() as stack:

        def start(
            *options: str, kind: type[RedisServer] = RedisServer, url: str = "", is_durable: bool = False
        ) -> RedisServer:
            server = kind(tmp_path_factory.mktemp("redis"), options=options, is_durable=is_durable)
            server.url = url or server.url
            server.start()
            stack.callback(server.kill)
            return server

        yield start


@pytest.fixture(scope="session")
def redis_over_tls(start_redis: Start, tmp_path_factory: pytest.TempPathFactory) -> RedisServer:
    """It speaks TLS only; its certificate is signed by an authority that nobody else knows."""
    folder, port = tmp_path_factory.mktemp("tls"), free_ports(1)[0]
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert(HOST)
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    # fmt: off
    return start_redis(
        "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", f"{folder}/ca.pem",
        "--tls-cert-file", f"{folder}/server.pem", "--tls-key-file", f"{folder}/server.pem",
        url=f"rediss://{HOST}:{port}/0?ssl_ca_certs={folder}/ca.pem",
    )
    # fmt: on


@pytest.fixture(scope="session")
def redis_with_login(start_redis: Start) -> RedisServer:
    """It lets in nobody but `mara`, who may do what the store needs; her password needs percent-encoding."""
    server = start_redis()
    ask(server, "ACL", "SETUSER", "mara", "on", ">p@ss/word", *ACL_RULES)
    ask(server, "ACL", "SETUSER", "default", "off")
    server.url = server.url.replace("//", "//mara:p%40ss%2Fword@")
    return server


@pytest.fixture(scope="session")
def redis_socket(start_redis: Start, tmp_path_factory: pytest.TempPathFactory) -> RedisServer:
    """It listens on a socket of the file system only."""
    path = tmp_path_factory.mktemp("socket") / "redis.sock"
    return start_redis("--port", "0", "--unixsocket", str(path), url=f"unix://{path}")


@pytest.fixture(scope="session")
def redis_watched(start_redis: Start) -> Watched:
    """A master with one replica, watched by one sentinel."""
    return Watched(start_redis)


@pytest.fixture(scope="session")
def redis_cluster(start_redis: Start) -> Clustered:
    """Three nodes, each with a third of the keys."""
    return Clustered(start_redis)


@pytest.fixture
def told() -> Iterator[Told]:
    """What the stores of one test are told with."""
    told = Told()
    yield told
    told.close()
