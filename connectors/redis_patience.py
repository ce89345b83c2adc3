"""Asking Redis until it answers: what passes is waited for, all else ends the run with cause and cure."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import redis
from redis import exceptions
from redis.backoff import DecorrelatedJitterBackoff
from redis.retry import Retry

from connectors.batches import Stop
from connectors.redis_client import client_of, shown

T = TypeVar("T")

# Between two questions to a Redis that is away: at first hardly noticed, then not noticed beside the outage.
PAUSE_S_MIN: Final = 0.05
PAUSE_S_MAX: Final = 1.0

ASKED_AGAIN: Final = (exceptions.RedisError, exceptions.RedisClusterException)  # the latter is none of the former
REFUSED: Final = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
AWAY: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,  # a replica that has not heard yet that it is not the master any more
    exceptions.OutOfMemoryError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.RedisClusterException,
)
"""What passes: Redis is restarting, unreachable, full or changing its master."""
AWAY_CODES: Final = ("MISCONF ", "NOREPLICAS ", "BUSY ")
"""The same, where the library has no class for it: its disk is full, it has lost its replicas, a script holds it."""


# What Redis says of a command in a script that the user may not give; and before where in which script.
_NO_RIGHT: Final = "The user executing the script can't run this command"
_WHERE: Final = " script: "


class StoreError(Exception):
    """A store that cannot be used: one line with cause and cure."""


class RedisRules(msgspec.Struct, frozen=True, kw_only=True):
    """Where the store is and how it is used; spans in ms. `prefix` must contain a hash tag, as in `{nextmove}`."""

    url: str
    prefix: str
    ttl_ms: int
    timeout_ms: int


def pauses() -> DecorrelatedJitterBackoff:
    """Return how long to wait after each failure.

    Of the library's kinds of back-off the one that grows by its last pause: the others overflow after 1,024.
    """
    return DecorrelatedJitterBackoff(PAUSE_S_MAX, PAUSE_S_MIN)


class PatientRedis:
    """A Redis that is asked again, with growing, jittered pauses, while it is away; nothing else is done meanwhile."""

    def __init__(
        self, rules: RedisRules, stop: Stop, tell: Callable[[str], None], observe: Callable[[str, float], None]
    ) -> None:
        """Connect; `tell` and `observe` are as those of a store.

        Raises:
            StoreError: the URL is none, or no node of a cluster answers.
        """
        self._rules, self._stop, self._tell, self._observe = rules, stop, tell, observe
        self._retry = Retry(pauses(), -1, ASKED_AGAIN)
        self.name = shown(rules.url)
        """What it is called in messages."""
        self.errors = 0
        """Times that it was away when it was asked."""
        self.is_away = False
        """Whether it is being waited for."""
        try:
            self.client: Any = client_of(rules.url, rules.timeout_ms)
        except (ValueError, TypeError) as error:
            raise self.bad_address(error) from None
        except ASKED_AGAIN as error:
            raise self.refusal_at_start(error) from None

    def ask(self, command: str, what: Callable[[], T]) -> T:
        """Ask Redis, and wait until it answers.

        Raises:
            StoreError: Redis refuses, or the run is to stop while Redis is away.
        """

        def attempt() -> T:
            if self.is_away and self._stop.is_set():
                raise StoreError("stopped while Redis was away; the next run goes on from the checkpoint")
            asked_at = time.perf_counter()
            answer = what()
            self._observe(command, time.perf_counter() - asked_at)
            return answer

        answer = self._retry.call_with_retry(attempt, self._failed)
        if self.is_away:
            self.is_away = False
            self._tell(f"{self.name}: Redis is back")
        return answer

    def _failed(self, error: Exception) -> None:
        """Return where the question may be asked again."""
        if isinstance(error, REFUSED):
            raise self._refusal(error, _cure(error) or "check the user and the password") from None
        if not isinstance(error, AWAY) and not str(error).startswith(AWAY_CODES):
            raise self._refusal(error, _cure(error)) from None
        self.errors += 1
        if isinstance(error, exceptions.ReadOnlyError) and isinstance(self.client, redis.Redis):
            self.client.connection_pool.disconnect()  # the name may point to the new master by now
        if not self.is_away:
            self.is_away = True
            told = [f"{self.name}: {self._line(error)}", _cure(error), "waiting for Redis"]
            self._tell("; ".join(filter(None, told)))

    def _line(self, error: Exception) -> str:
        """Return what is wrong, up to where a key is named, which may hold an identifier, or a line of a script."""
        said = str(error).partition(self._rules.prefix)[0].partition(_WHERE)[0]
        return " ".join(said.split()).rstrip(".")

    def _refusal(self, error: Exception, cure: str = "") -> StoreError:
        return StoreError("; ".join(filter(None, [f"{self.name}: {self._line(error)}", cure])))

    def bad_address(self, error: Exception) -> StoreError:
        """Say that the URL, or an option in it, is none."""
        return StoreError(f"{self.name}: {error}; see `identity.redis_url` in reference.yaml")

    def refusal_at_start(self, error: Exception) -> StoreError:
        """Say why a run cannot begin."""
        return self._refusal(error, _cure(error) or "check the address, the user and the password")

    def warn_of_eviction(self) -> None:
        """Say so where Redis throws away what it likes when its memory is full. One that does not tell is trusted."""
        try:
            policy = self.client.info("memory").get("maxmemory_policy", "noeviction")
        except ASKED_AGAIN:
            return
        if policy != "noeviction":
            self._tell(
                f"{self.name}: maxmemory-policy is {policy}: where memory is full, people are forgotten"
                " without a word; set it to noeviction"
            )


def _cure(error: Exception) -> str:
    if isinstance(error, exceptions.OutOfMemoryError):
        return "give it more memory (maxmemory) or free some"
    if isinstance(error, exceptions.NoPermissionError) or _NO_RIGHT in str(error):
        return "give the user the rights in docs/how-to/redis.md"
    if isinstance(error, exceptions.ReadOnlyError):
        return "it is a replica: name the master"
    return ""


def try_rights(client: Any, marker: str) -> None:  # noqa: ANN401 -- the clients of redis-py have no common base
    """Do what a run does to no effect, with keys that begin with `marker`: a right that is missing is to be said."""
    hashed, text, absent = (marker + mark for mark in ("?", "??", "???"))
    client.hset(hashed, "name", "")
    client.hget(hashed, "name")
    client.hrandfield(hashed, 1)
    client.lrange(absent, 0, 0)
    client.ltrim(absent, 0, 0)
    client.rpush(absent, "")
    client.pexpire(absent, 1)
    client.zadd(absent + "?", {"name": 0})
    client.zscore(absent + "?", "name")
    client.zremrangebyscore(absent + "?", "-inf", "+inf")
    client.exists(absent)
    client.delete(text)
    client.hdel(hashed, "name")
