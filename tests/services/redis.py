"""
One Redis, from the redis-server of the path, else from Debian's packages unpacked into .services/redis.

Unpacking needs no root and changes nothing of the machine; installing would, and would start a server on port 6379.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.services.process import HOST, STATE, Server, UnavailableError, free_ports

# Where redis-tools is installed and redis-server is not, the latter is a link to the former's program.
PACKAGES: Final = ("redis-server", "redis-tools")
FETCH_S_MAX: Final = 120  # each step


class Program(NamedTuple):
    """A redis-server that starts here: its path, and the environment that it needs."""

    path: str
    environment: Mapping[str, str]


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
    """
    Return the redis-server of the path, else the one in .services/redis, fetched when it is not there.

    Raises:
        UnavailableError: there is none, and no Debian to get it from.
    """
    installed = shutil.which("redis-server")
    if installed is not None:
        return Program(installed, os.environ)
    folder = STATE / "redis"
    STATE.mkdir(exist_ok=True)
    with (STATE / "redis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs in one checkout
        if not folder.exists():
            if shutil.which("apt-get") is None:
                raise UnavailableError("no redis-server, and no apt-get to fetch it with")
            say("Fetching Debian's redis-server into .services/redis, once")
            _unpack_packages(folder)
    libraries = [str(path) for path in folder.glob("**/lib/*-linux-*") if path.is_dir()]
    search = ":".join([*libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    return Program(str(folder / "usr/bin/redis-server"), {**os.environ, "LD_LIBRARY_PATH": search})


def _unpack_packages(folder: Path) -> None:
    """Fetch redis-server and what of its dependencies the machine lacks; unpack all of it into `folder`."""
    apt_folder = STATE / "apt"
    shutil.rmtree(apt_folder, ignore_errors=True)
    for inner in ("lists/partial", "cache/archives/partial"):
        (apt_folder / inner).mkdir(parents=True)
    # Its own lists, always new: the machine's may be missing or name versions that are gone, and are root's to renew.
    apt = ["apt-get", "--quiet", "--yes"]
    options = {"Dir::State::lists": f"{apt_folder}/lists", "Dir::Cache": f"{apt_folder}/cache"}
    options |= {"Debug::NoLocking": "true", "APT::Sandbox::User": ""}
    apt += [f"--option={name}={value}" for name, value in options.items()]
    _run([*apt, "update"], apt_folder)
    plan = _run([*apt, "--simulate", "--no-install-recommends", "install", *PACKAGES], apt_folder)
    missing = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    _run([*apt, "download", *sorted({*missing, *PACKAGES})], apt_folder)
    for package in apt_folder.glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(package), str(apt_folder / "root")], apt_folder)
    (apt_folder / "root").rename(folder)  # whole or not at all
    shutil.rmtree(apt_folder)


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, check=True, text=True, timeout=FETCH_S_MAX, env=_in_english()
        )
    except FileNotFoundError:
        raise UnavailableError(f"no redis-server, and no {command[0]} to fetch it with") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"no redis-server, and apt did not get it in {FETCH_S_MAX} s") from None
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"no redis-server, and apt did not get it: {error.stderr[-500:].strip()}") from None
    return done.stdout


def _in_english() -> Mapping[str, str]:
    return {**os.environ, "LC_ALL": "C"}
