"""
Redis as people run it, for tests: a sentinel, a master with its replica, a cluster.
"""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.services.process import free_ports
from tests.services.redis import RedisServer

MASTER: Final = "people"
UNTIL_S_MAX: Final = 20
POLL_S: Final = 0.02


class Start(Protocol):
    """Starts one more server, which ends with the test run."""

    def __call__(
        self, *options: str, kind: type[RedisServer] = RedisServer, url: str = "", is_durable: bool = False
    ) -> RedisServer: ...


class Sentinel(RedisServer):
    """A sentinel: a Redis that writes what it finds out into its file of settings, and so needs one."""

    name = "Sentinel"

    def _command(self) -> list[str]:
        program, *options = super()._command()
        settings = self.folder / "sentinel.conf"
        settings.touch()
        return [program, str(settings), "--sentinel", *options[: options.index("--dir")]]


class Watched:
    """A master, its replica, and the sentinel that says which is which."""

    def __init__(self, start: Start) -> None:
        master = start("--repl-diskless-sync-delay", "0")
        host, port = address(master)
        self.nodes = [master, start("--replicaof", f"{host} {port}")]
        # A sentinel looks at a replica every ten seconds: it had better be ready at the first look.
        until(lambda: "connected" in str(ask(self.nodes[1], "ROLE")))
        self._sentinel = start(kind=Sentinel)
        self.ask("MONITOR", MASTER, host, port, "1")
        self.url = f"redis+sentinel://{':'.join(address(self._sentinel))}/{MASTER}/0"

    def ask(self, *command: str) -> Any:  # noqa: ANN401 -- as `ask`
        """Ask the sentinel."""
        return ask(self._sentinel, "SENTINEL", *command)


class Clustered:
    """Three nodes that share the slots."""

    def __init__(self, start: Start) -> None:
        # By itself a node takes its port and 10,000 for the others, where outgoing connections have theirs.
        buses = free_ports(3)
        options = "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port"
        self.nodes = [start(*options, str(bus)) for bus in buses]
        for number, node in enumerate(self.nodes):
            ask(node, "CLUSTER", "ADDSLOTSRANGE", number * 5_500, min(number * 5_500 + 5_499, 16_383))
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            ask(self.nodes[0], "CLUSTER", "MEET", *address(node), buses[self.nodes.index(node)])
        until(lambda: all("cluster_state:ok" in str(ask(node, "CLUSTER", "INFO")) for node in self.nodes))
        self.url = f"redis+cluster://{','.join(':'.join(address(node)) for node in self.nodes[:2])}"

    def of(self, key: str) -> RedisServer:
        """Return the node that holds `key`."""
        slot: int = ask(self.nodes[0], "CLUSTER", "KEYSLOT", key)
        return self.nodes[slot // 5_500]


def ask(server: RedisServer, *command: object) -> Any:  # noqa: ANN401 -- each command has an answer of its own kind
    """Send one command, as whoever operates the server would."""
    with Redis.from_url(server.url, retry=Retry(NoBackoff(), 0)) as client:
        return client.execute_command(*command)


def address(server: RedisServer) -> tuple[str, str]:
    """Host and port of a server."""
    host, _, port = server.url.split("//")[1].partition("/")[0].partition(":")
    return host, port


def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; fail when that takes too long."""
    end_at = time.monotonic() + UNTIL_S_MAX
    while not condition():
        assert time.monotonic() < end_at, f"not within {UNTIL_S_MAX} s"
        time.sleep(POLL_S)
