"""The identity store that processes share: identifiers and their leads, in Redis.

Theory of operation
-------------------
An identifier is a key, its value the versions of its lead, the newest first: `[[lead, partition, position, clock],
...]`. Partition and position are those of the event that made the link, and the clock counts all links. Redis does not
roll back with a checkpoint. So a link is hidden from events of its own partition that lie before it: a run that resumes
decides as the first one did, and makes the link again (design section 5). What other partitions have linked counts
from when it is there; where the run has noted what the clock was then (`connectors/journal.py`), it asks as of that.

Look-ups are one MGET a batch, and one more where an event names a user and the user of that lead is not known
here yet: that never changes. A link is one script call, which links all or nothing, and nothing where
another process has changed one of the identifiers since it was read: whoever planned plans again.

All keys have one hash tag in their prefix, so that a script may touch several of them in a cluster. They
expire when nobody has asked for them for long; who is asked for is renewed now and then.

Where Redis is away, or can take no writes, the store asks again with growing, jittered pauses until it is back. The
flow stands still meanwhile: nothing is lost, and nothing is decided on a guess.

Two more keys never expire. `#clock` is the clock. `#store` holds a random id, and both are read with every MGET: where
the id is gone or another, Redis has come back empty, and what this process remembers of it is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from uuid import uuid4

import msgspec
import redis
from redis import exceptions
from redis.backoff import DecorrelatedJitterBackoff
from redis.retry import Retry

from connectors.batches import Stop
from connectors.redis_client import client_of, shown
from operators.event import Event
from operators.identity import born_key, identifiers, index_key, user_key

Version = tuple[str, str, int, int]
T = TypeVar("T")

# A device that changes hands more often within what a crash makes a run do again is a till, not a person.
VERSIONS_MAX: Final = 4
# Names whose expiry has been renewed, and users of leads, that are remembered: a limit on memory.
NAMES_MAX: Final = 200_000
# Between two questions to a Redis that is away: at first hardly noticed, then not noticed beside the outage.
PAUSE_S_MIN: Final = 0.05
PAUSE_S_MAX: Final = 1.0
# The expiry is renewed this many times in its span.
RENEWALS: Final = 10
# No identifier: those begin with a letter.
MARKER: Final = "#store"
CLOCK: Final = "#clock"
LIFE: Final = "#life:"
GIVEN: Final = "#given:"
# The longest that a deployment may be away and still find what one lead has handed to another (design section 5).
GIVEN_MS: Final = 7 * 86_400_000

SCRIPT: Final = Path(__file__).with_suffix(".lua")
LIFE_SCRIPT: Final = Path(__file__).with_name("redis_life.lua")
_versions: Final = msgspec.json.Decoder(list[Version]).decode

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


class StoreError(Exception):
    """A store that cannot be used: one line with cause and cure."""


class _Seen(NamedTuple):
    """What an event at `position` of `partition` sees: what was linked before it, up to the clock's `as_of`."""

    partition: str
    position: int
    as_of: int | None


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

    def __init__(
        self,
        rules: RedisRules,
        stop: Stop,
        tell: Callable[[str], None],
        observe: Callable[[str, float], None] = lambda _command, _seconds: None,
    ) -> None:
        """Connect, and try what a run needs of Redis.

        `tell` hears in a line when Redis is away, back, or back empty; `observe` of each round trip what it was for,
        "mget", "link", "renew" or "hand_over", and how many seconds it took.

        Raises:
            StoreError: the URL is none, or Redis refuses the login or a command, or is not there.
        """
        self._rules, self._stop, self._tell, self._observe = rules, stop, tell, observe
        # Of the library's kinds of back-off the one that grows by its last pause: the others overflow after 1,024.
        self._retry = Retry(DecorrelatedJitterBackoff(PAUSE_S_MAX, PAUSE_S_MIN), -1, ASKED_AGAIN)
        self._renewed: set[str] = set()
        self._renewed_at = time.monotonic()
        self._users: dict[str, str] = {}
        self._marker, self._clock = rules.prefix + MARKER, rules.prefix + CLOCK
        self.clock = 0
        """How many links there were when it was last asked who is who."""
        self.linked_at = 0
        """What the clock was with the last link, 0 where it did not come about."""
        self.errors = 0
        """Times that Redis was away when it was asked."""
        self.resets = 0
        """Times that Redis came back empty."""
        self.is_away = False
        """Whether Redis is being waited for."""
        try:
            self._client = client_of(rules.url, rules.timeout_ms)
            self._link = self._client.register_script(SCRIPT.read_text(encoding="utf-8"))
            self._join = self._client.register_script(LIFE_SCRIPT.read_text(encoding="utf-8"))
            self.store_id = self._claim_at_start()
            """Who compares it with what it was in an earlier run sees whether Redis was emptied since."""
            self._try_rights()
        except (ValueError, TypeError) as error:
            raise StoreError(f"{shown(rules.url)}: {error}; see `identity.redis_url` in reference.yaml") from None
        except ASKED_AGAIN as error:
            raise self._refusal(error, _cure(error) or "check the address, the user and the password") from None
        self._warn_of_eviction()

    def look_up(self, events: Sequence[Event], as_of: int | None = None) -> dict[str, str]:
        """Return what was known of the identifiers of `events`, all of one partition, before the first of them.

        That is what is known now, or was when the clock stood at `as_of`.
        """
        if not events:
            return {}
        seen = _Seen(events[0].partition, events[0].position, as_of)
        known = self._leads(dict.fromkeys(name for event in events for name in identifiers(event)), seen)
        self._renew(known)
        leads = {known[name] for event in events if event.user_id for name in identifiers(event) if name in known}
        names = [key(lead) for lead in leads for key in (user_key, born_key)]
        users = {name: self._users[name] for name in names if name in self._users}
        missing = [name for name in names if name not in users]
        found = self._leads(missing, seen._replace(as_of=self.clock)) if missing else {}
        if len(self._users) > NAMES_MAX:
            self._users.clear()
        self._users |= found
        return known | users | found

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:
        """Link identifiers to leads, as `event` says, all or none.

        `known` is what the links were planned on. Returns what another process has made of these identifiers
        since, "" for nothing; empty where all is linked: `linked_at` is then the clock of the link.
        """
        names = list(links)
        rules = self._rules
        arguments: list[str | int] = [event.partition, event.position, rules.ttl_ms, VERSIONS_MAX, rules.prefix]
        for name in names:
            arguments += (name, links[name], known.get(name, ""))
        keys = [*(self._rules.prefix + name for name in names), self._clock]
        self.linked_at, *changed = self._ask("link", lambda: self._link(keys=keys, args=arguments))
        return {names[number - 1]: lead.decode() for number, lead in zip(changed[::2], changed[1::2], strict=True)}

    def give(self, tag: str, state: bytes) -> None:
        """Keep a state for whoever takes it, as often as they do, for some days."""
        key = f"{self._rules.prefix}{GIVEN}{tag}"
        self._ask("hand_over", lambda: self._client.set(key, state, px=GIVEN_MS))

    def take(self, tags: Sequence[str]) -> dict[str, bytes]:
        """Return which of the states are there."""
        keys = [f"{self._rules.prefix}{GIVEN}{tag}" for tag in tags]
        states: list[bytes | None] = self._ask("hand_over", lambda: self._client.mget(keys))
        return {tag: state for tag, state in zip(tags, states, strict=True) if state is not None}

    def read_clock(self) -> int:
        """Return how many links there are now."""
        self._leads([], _Seen("", 0, None))
        return self.clock

    def life(self, deployment: str, member: str, token: str, members: int) -> int:
        """Return which life of a deployment this member is of, from 1 on.

        A life has each of its `members` once. Whoever comes again with another `token`, or when all are there, begins
        the next one.
        """
        key = f"{self._rules.prefix}{LIFE}{deployment}"
        found: int = self._ask("link", lambda: self._join(keys=[key], args=[member, token, members]))
        return found

    def changes(self) -> list[tuple[str, str]]:
        """Return nothing: what Redis holds is no part of a checkpoint."""
        return []

    def live(self) -> Iterator[tuple[str, str]]:
        """Return nothing, as `changes`."""
        return iter(())

    def restore(self, name: str, lead: str) -> None:
        """Refuse: no checkpoint made with this store holds links."""
        raise AssertionError(f"a link of {lead} ({name[:1]}) in the checkpoint of a store that keeps none there")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _leads(self, names: Sequence[str] | Mapping[str, Any], seen: _Seen) -> dict[str, str]:
        """Return the leads of `names` that somebody sees."""
        keys = [self._marker, self._clock, *(self._rules.prefix + name for name in names)]
        held, clock, *values = self._ask("mget", lambda: self._client.mget(keys))
        if held is None or held.decode() != self.store_id:
            self._start_anew()
        self.clock = int(clock or 0) if seen.as_of is None else seen.as_of
        found = {}
        for name, raw in zip(names, values, strict=True):
            if raw is not None:
                for lead, partition, position, linked_at in _versions(raw):
                    if (partition != seen.partition or position < seen.position) and linked_at <= self.clock:
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
        names += {key(known[name]) for name in names for key in (user_key, born_key, index_key)}

        def renew() -> None:
            with self._client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.pexpire(self._rules.prefix + name, self._rules.ttl_ms)
                # Raised by the library, an error would hold the command, and so the identifier.
                answers = pipeline.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer

        self._ask("renew", renew)
        self._renewed.update(names)

    def _claim(self) -> str:
        """Return the id that the store has; one that has none is given one."""
        held: bytes | None = None
        while held is None:
            self._client.set(self._marker, uuid4().hex, nx=True)
            held = self._client.get(self._marker)
        return held.decode()

    def _claim_at_start(self) -> str:
        """Claim, and wait for a Redis that still reads its file: what is started together with it need not end."""
        try:
            return self._claim()
        except exceptions.BusyLoadingError:
            return self._ask("mget", self._claim)

    def _try_rights(self) -> None:
        """Do what a run does and `_claim` has not, to no effect: a right that is missing is to be said at the start."""
        self._client.mget([self._marker])
        self._client.sadd(self._marker + "?", "")
        self._client.smembers(self._marker + "?")
        self._client.pexpire(self._marker + "?", 1)
        self._link(keys=[self._clock + "?"], args=["", 0, 0, 0, ""])

    def _start_anew(self) -> None:
        """Forget what Redis has forgotten."""
        self.store_id = self._ask("mget", self._claim)
        self.resets += 1
        self._users.clear()
        self._renewed.clear()
        self._tell(f"{shown(self._rules.url)}: came back empty; who is who is learnt anew as events come")

    def _warn_of_eviction(self) -> None:
        """Say so where Redis throws away what it likes when its memory is full. One that does not tell is trusted."""
        try:
            policy = self._client.info("memory").get("maxmemory_policy", "noeviction")
        except ASKED_AGAIN:
            return
        if policy != "noeviction":
            self._tell(
                f"{shown(self._rules.url)}: maxmemory-policy is {policy}: where memory is full, people are forgotten"
                " without a word; set it to noeviction"
            )

    def _ask(self, command: str, what: Callable[[], T]) -> T:
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
            self._tell(f"{shown(self._rules.url)}: Redis is back")
        return answer

    def _failed(self, error: Exception) -> None:
        """Return where the question may be asked again."""
        if isinstance(error, REFUSED):
            raise self._refusal(error, _cure(error) or "check the user and the password") from None
        if not isinstance(error, AWAY) and not str(error).startswith(AWAY_CODES):
            raise self._refusal(error) from None
        self.errors += 1
        if isinstance(error, exceptions.ReadOnlyError) and isinstance(self._client, redis.Redis):
            self._client.connection_pool.disconnect()  # the name may point to the new master by now
        if not self.is_away:
            self.is_away = True
            told = [f"{shown(self._rules.url)}: {self._line(error)}", _cure(error), "waiting for Redis"]
            self._tell("; ".join(filter(None, told)))

    def _line(self, error: Exception) -> str:
        """Return what is wrong, up to where a key is named: it holds an identifier."""
        return " ".join(str(error).partition(self._rules.prefix)[0].split()).rstrip(".")

    def _refusal(self, error: Exception, cure: str = "") -> StoreError:
        return StoreError("; ".join(filter(None, [f"{shown(self._rules.url)}: {self._line(error)}", cure])))


def _cure(error: Exception) -> str:
    if isinstance(error, exceptions.OutOfMemoryError):
        return "give it more memory (maxmemory) or free some"
    if isinstance(error, exceptions.NoPermissionError):
        return "give the user the rights in docs/how-to/redis.md"
    if isinstance(error, exceptions.ReadOnlyError):
        return "it is a replica: name the master"
    return ""
