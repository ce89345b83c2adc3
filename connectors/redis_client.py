"""The Redis client that an address asks for: one server, a master that sentinels name, or a cluster.

The client never tries again by itself: libraries do so at several levels, whose waits multiply. Who uses it does.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379


def client_of(url: str, timeout_ms: int) -> Any:  # noqa: ANN401 -- redis.Redis and RedisCluster have no common base
    """Make the client that the scheme of `url` asks for.

    `redis://` and `rediss://` (TLS) one server, `unix://` a socket, `redis+sentinel://HOST:PORT,HOST:PORT/MASTER`
    the master that sentinels name, `redis+cluster://HOST:PORT,HOST:PORT` a cluster; with `rediss+...` all of
    these, the sentinels too, are asked over TLS. Options of the library follow a `?`; `sentinel_username` and
    `sentinel_password` are the login at the sentinels.

    Raises:
        ValueError: the address is none; no login is in the message.
        redis.exceptions.RedisError, redis.exceptions.RedisClusterException: no node of the cluster answers.
    """
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(
            "its login or an option has a character that must be percent-encoded, as %2F for / and %40 for @"
        )
    options: dict[str, Any] = {
        "socket_timeout": timeout_ms / 1000,
        "socket_connect_timeout": timeout_ms / 1000,
        "retry": Retry(NoBackoff(), 0),
    }
    kind = parts.scheme.partition("+")[2]
    if kind == "cluster":
        nodes = [ClusterNode(*host) for host in _hosts(parts, REDIS_PORT)]  # type: ignore[no-untyped-call]  # as below
        return redis.RedisCluster(startup_nodes=nodes, **_of_url(parts), **options)
    if kind == "sentinel":
        return _master(parts, options)
    return redis.Redis.from_url(url, **options)


def shown(url: str) -> str:
    """Return `url` without login and options: it goes into messages."""
    scheme, is_url, rest = url.partition("://")
    if not is_url or "@" in rest.partition("?")[2]:
        return "identity.redis_url"  # none of its parts can be told from the login
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def _master(parts: SplitResult, options: dict[str, Any]) -> Any:  # noqa: ANN401 -- as client_of
    name, _, database = parts.path.strip("/").partition("/")
    if not name:
        raise ValueError("the path names no master, as in redis+sentinel://HOST:26379/mymaster")
    of_master = _of_url(parts)
    login = {"username": of_master.pop("sentinel_username", None), "password": of_master.pop("sentinel_password", None)}
    tls = {option: value for option, value in of_master.items() if option.startswith("ssl")}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # as redis ships it
        _hosts(parts, SENTINEL_PORT), sentinel_kwargs=options | tls | login, **options, **of_master
    )
    return sentinel.master_for(name, db=int(database or 0))  # type: ignore[no-untyped-call]  # the same


def _hosts(parts: SplitResult, port: int) -> list[tuple[str, int]]:
    """Return the hosts and ports of an address with several."""
    several = [urlsplit(f"//{one}") for one in parts.netloc.rpartition("@")[2].split(",")]
    if not all(one.hostname for one in several):
        raise ValueError("it names no host, as in redis+cluster://HOST:6379")
    return [(one.hostname or "", one.port or port) for one in several]


def _of_url(parts: SplitResult) -> dict[str, Any]:
    """Return login and options of an address with several hosts, read by the library as from one with one host."""
    scheme = parts.scheme.partition("+")[0]
    login, at, _ = parts.netloc.rpartition("@")
    single = parts._replace(scheme=scheme, netloc=f"{login}{at}host", path="").geturl()
    found: dict[str, Any] = parse_url(single)  # type: ignore[no-untyped-call]  # as above
    del found["host"]
    if found.pop("connection_class", None):
        found["ssl"] = True
    return found
