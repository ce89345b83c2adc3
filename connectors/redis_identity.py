"""The identity store that processes share: identifiers and their leads, in Redis.

Theory of operation
-------------------
An identifier is a key, its value the versions of its lead, the newest first: `[[lead, partition, position], ...]`.
Partition and position are those of the event that made the link. Redis does not roll back with a
checkpoint, so a link is hidden from events of its own partition that lie before it: a run that resumes
decides as the first one did, and makes the link again (design section 5). What other partitions have
linked counts from when it is there.

Look-ups are one MGET a batch, and one more where an event names a user and the user of that lead is not known
here yet: that never changes. A link is one script call, which links all or nothing, and nothing where
another process has changed one of the identifiers since it was read: whoever planned plans again.

All keys have one hash tag in their prefix, so that a script may touch several of them in a cluster. They
expire when nobody has asked for them for long; who is asked for is renewed now and then.

Where Redis is away, the library tries again a few times, with jitter; then the store waits until it is back. The
flow stands still meanwhile: nothing is lost, and nothing is decided on a guess.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from connectors.batches import Stop
from operators.event import Event
from operators.identity import identifiers, user_key

Version = tuple[str, str, int]
T = TypeVar("T")

# A device that changes hands more often within what a crash makes a run do again is a till, not a person.
VERSIONS_MAX: Final = 4
# Names whose expiry has been renewed, and users of leads, that are remembered: a limit on memory.
NAMES_MAX: Final = 200_000
# Attempts of the library before the store says that Redis is away; with these pauses it takes two seconds.
ATTEMPTS: Final = 5
PAUSE_S_MIN: Final = 0.05
PAUSE_S_MAX: Final = 1.0
# Then it is asked again this often: soon enough not to be noticed beside the outage.
WAIT_S: Final = 0.5
# The expiry is renewed this many times in its span.
RENEWALS: Final = 10

SCRIPT: Final = Path(__file__).with_suffix(".lua")
_versions: Final = msgspec.json.Decoder(list[Version]).decode

AWAY: Final = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ReadOnlyError,  # a replica that has not heard yet that it is not the master any more
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)
"""What passes: Redis is restarting, unreachable or changing its master."""


class StoreError(Exception):
    """A store that cannot be used: one line with cause and cure."""


class RedisRules(msgspec.Struct, frozen=True, kw_only=True):
    """Where the store is and how it is used; spans in ms. `prefix` must contain a hash tag, as in `{nextmove}`."""

    url: str
    prefix: str
    ttl_ms: int
    timeout_ms: int


class RedisIdentity:
    """Identifiers and their leads, in Redis; see the module's theory of operation."""

    is_private = False
    """Others link too: what was read may have changed."""

    def __init__(self, rules: RedisRules, stop: Stop, tell: Callable[[str], None]) -> None:
        """Connect; `tell` hears in a line when Redis is away and when it is back.

        Raises:
            StoreError: the URL is none, or Redis refuses the login, or is not there.
        """
        self._rules, self._stop, self._tell = rules, stop, tell
        self._client = _client(rules)
        self._link = self._client.register_script(SCRIPT.read_text(encoding="utf-8"))
        self._renewed: set[str] = set()
        self._renewed_at = time.monotonic()
        self._users: dict[str, str] = {}
        self.errors = 0
        """Times that Redis was away when it was asked."""
        try:
            self._client.ping()
        except redis.exceptions.RedisError as error:
            raise StoreError(f"{shown(rules.url)}: {error}; check the address, the user and the password") from None

    def look_up(self, events: Sequence[Event]) -> dict[str, str]:
        """Return what was known of the identifiers of `events`, all of one partition, before the first of them."""
        if not events:
            return {}
        partition, position = events[0].partition, events[0].position
        known = self._leads(dict.fromkeys(name for event in events for name in identifiers(event)), partition, position)
        self._renew(known)
        leads = {known[name] for event in events if event.user_id for name in identifiers(event) if name in known}
        names = [user_key(lead) for lead in leads]
        users = {name: self._users[name] for name in names if name in self._users}
        found = self._leads([name for name in names if name not in users], partition, position)
        if len(self._users) > NAMES_MAX:
            self._users.clear()
        self._users |= found
        return known | users | found

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:
        """Link identifiers to leads, as `event` says, all or none.

        `known` is what the links were planned on. Returns what another process has made of these identifiers
        since, "" for nothing; empty where all is linked.
        """
        names = list(links)
        arguments: list[str | int] = [event.partition, event.position, self._rules.ttl_ms, VERSIONS_MAX]
        for name in names:
            arguments += (links[name], known.get(name, ""))
        keys = [self._rules.prefix + name for name in names]
        changed: list[Any] = self._ask(lambda: self._link(keys=keys, args=arguments))
        return {names[number - 1]: lead.decode() for number, lead in zip(changed[::2], changed[1::2], strict=True)}

    def changes(self) -> list[tuple[str, str]]:
        """Return nothing: what Redis holds is no part of a checkpoint."""
        return []

    def live(self) -> Iterator[tuple[str, str]]:
        """Return nothing, as `changes`."""
        return iter(())

    def restore(self, name: str, lead: str) -> None:
        """Refuse: no checkpoint made with this store holds links."""
        raise AssertionError(f"a link of {lead} ({name[:1]}) in the checkpoint of a store that keeps none there")

    def _leads(self, names: Sequence[str] | Mapping[str, Any], partition: str, position: int) -> dict[str, str]:
        """Return the leads of `names` that an event at `position` of `partition` sees."""
        if not names:
            return {}
        keys = [self._rules.prefix + name for name in names]
        values: list[bytes | None] = self._ask(lambda: self._client.mget(keys))
        found = {}
        for name, raw in zip(names, values, strict=True):
            if raw is not None:
                for lead, its_partition, its_position in _versions(raw):
                    if its_partition != partition or its_position < position:
                        found[name] = lead
                        break
        return found

    def _renew(self, known: Mapping[str, str]) -> None:
        """Put off the expiry of identifiers that are still asked for."""
        now = time.monotonic()
        if now - self._renewed_at > self._rules.ttl_ms / 1000 / RENEWALS or len(self._renewed) > NAMES_MAX:
            self._renewed.clear()
            self._renewed_at = now
        names = [name for name in known if name not in self._renewed]
        if not names:
            return
        names += {user_key(known[name]) for name in names}

        def renew() -> None:
            with self._client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.pexpire(self._rules.prefix + name, self._rules.ttl_ms)
                pipeline.execute()

        self._ask(renew)
        self._renewed.update(names)

    def _ask(self, what: Callable[[], T]) -> T:
        """Ask Redis, and wait until it answers.

        Raises:
            StoreError: Redis refuses, or the run is to stop while Redis is away.
        """
        is_away = False
        while True:
            try:
                answer = what()
            except (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError) as error:
                raise StoreError(f"{shown(self._rules.url)}: {error}; check the user and the password") from None
            except AWAY as error:
                self.errors += 1
                if self._stop.is_set():
                    raise StoreError("stopped while Redis was away; the next run goes on from the checkpoint") from None
                if not is_away:
                    self._tell(f"{shown(self._rules.url)}: {error}; waiting for Redis")
                is_away = True
                time.sleep(WAIT_S)
            except redis.exceptions.RedisError as error:
                raise StoreError(f"{shown(self._rules.url)}: {error}") from None
            else:
                if is_away:
                    self._tell(f"{shown(self._rules.url)}: Redis is back")
                return answer


def shown(url: str) -> str:
    """Return `url` without user and password: it goes into messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _client(rules: RedisRules) -> Any:  # noqa: ANN401 -- redis.Redis and RedisCluster have no common base
    """Make the client that the scheme of the URL asks for.

    `redis://` and `rediss://` (TLS) one server, `unix://` a socket, `redis+sentinel://HOST:PORT,HOST:PORT/MASTER`
    the master that sentinels name, `redis+cluster://` a cluster; with `rediss+...` these use TLS.

    Raises:
        StoreError: the URL is none of these.
    """
    scheme, _, kind = urlsplit(rules.url).scheme.partition("+")
    options: dict[str, Any] = {
        "socket_timeout": rules.timeout_ms / 1000,
        "socket_connect_timeout": rules.timeout_ms / 1000,
        "retry": Retry(ExponentialWithJitterBackoff(base=PAUSE_S_MIN, cap=PAUSE_S_MAX), ATTEMPTS),
    }
    try:
        if kind == "cluster":
            return redis.RedisCluster.from_url(rules.url.replace("+cluster", "", 1), **options)
        if kind == "sentinel":
            return _sentinel(rules.url, options, is_tls=scheme == "rediss")
        return redis.Redis.from_url(rules.url, **options)
    except (ValueError, redis.exceptions.RedisError) as error:
        raise StoreError(f"{shown(rules.url)}: {error}; see `identity.redis_url` in reference.yaml") from None


def _sentinel(url: str, options: dict[str, Any], *, is_tls: bool) -> Any:  # noqa: ANN401 -- as _client
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    master, _, database = parts.path.strip("/").partition("/")
    if not master:
        raise ValueError("the path names no master, as in redis+sentinel://HOST:26379/mymaster")
    sentinels = [(host, int(port or 26379)) for host, _, port in (one.rpartition(":") for one in hosts.split(","))]
    own = options | {"ssl": is_tls}
    asked = {"socket_timeout": options["socket_timeout"]}
    sentinel = Sentinel(sentinels, sentinel_kwargs=asked, **own)  # type: ignore[no-untyped-call]  # as redis ships it
    return sentinel.master_for(  # type: ignore[no-untyped-call]  # the same
        master, db=int(database or 0), username=user or None, password=password or None
    )
