"""
One Redis, from the redis-server of the path, else from Debian's packages (debian.py).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.services.debian import Program, program
from tests.services.process import HOST, Server, free_ports

# Where redis-tools is installed and redis-server is not, the latter is a link to the former's program.
PACKAGES: Final = ("redis-server", "redis-tools")


class RedisServer(Server):
    """A Redis that forgets everything when it ends, unless it is told to be durable."""

    name = "Redis"

    def __init__(
        self,
        folder: Path | None,
        *,
        port: int | None = None,
        is_durable: bool = False,
        options: Sequence[str] = (),
        is_kept: bool = False,
    ) -> None:
        """`is_durable`: every answered write is on disk; `options`: more of redis.conf, as `--name value`."""
        super().__init__(folder, is_kept=is_kept)
        self._port = port or free_ports(1)[0]
        self._is_durable = is_durable
        self._options = list(options)
        self._program: Program | None = None
        self.url = f"redis://{HOST}:{self._port}/0"

    @classmethod
    def elsewhere(cls, url: str) -> Self:
        """Stand for a Redis that someone else runs."""
        server = cls(None)
        server.url = url
        return server

    def answers(self) -> bool:
        """Ping it; one that still reads its file does not count."""
        once = Retry(NoBackoff(), 0)
        with Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1, retry=once) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    def _environment(self) -> Mapping[str, str]:
        return self._installed().environment

    def _command(self) -> list[str]:
        address = ["--bind", HOST, "--port", str(self._port)]
        durable = ["--appendonly", "yes", "--appendfsync", "always"] if self._is_durable else []
        kept = ["--dir", str(self.folder), "--save", "", *durable]
        return [self._installed().path, *address, *kept, *self._options]

    def _installed(self) -> Program:
        if self._program is None:
            self._program = redis_program()
        return self._program


def redis_program(say: Callable[[str], None] = lambda _: None) -> Program:
    """Return a redis-server that starts here; raises as `debian.program`."""
    return program("redis-server", PACKAGES, say)
