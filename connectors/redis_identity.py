"""The identity store that processes share: identifiers and their leads, in Redis.

Theory of operation
-------------------
A name, as `e:ADDRESS`, stands for a lead; `r:LEAD` says what is kept of a lead itself. What a name stands for is kept
in versions, the newest first, each with partition and position of the event that made the link, and the clock, which
counts all links. Redis does not roll back with a checkpoint. So a link is hidden from events of its own partition that
lie before it: a run that resumes decides as the first one did, and makes the link again (design section 5). What other
partitions have linked counts from when it is there; where the run has noted what the clock was then
(`connectors/journal.py`), it asks as of that.

A look-up is one script call a batch, which tells what others have changed since the last one: what has not been
changed is remembered (`connectors/redis_recent.py`). One more asks about leads who are new here. A link is one call,
too, which links all or nothing, and nothing where another process has changed one of the names since it was read:
whoever planned plans again.

A name keeps its last few versions. What is kept of a lead changes with each identifier that it is given, so a run that
does much again may find none that it saw: then the oldest that is left counts, lest the lead have no user.

Names are kept as digests in many small hashes (`redis_buckets.lua`): in memory that is what counts. All keys have one
hash tag in their prefix, so that a script may touch several of them in a cluster. A name
expires when nobody has asked for it for long. Its value says when somebody has; who finds that a tenth of the span ago
says so anew.

Where Redis is away, or can take no writes, the store asks again with growing, jittered pauses until it is back. The
flow stands still meanwhile: nothing is lost, and nothing is decided on a guess.

Two more keys never expire. `#clock` is the clock. `#store` holds a random id, and both are read with every look-up:
where the id is gone or another, Redis has come back empty, and what this process remembers of it is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

from redis import exceptions

from connectors.batches import Stop
from connectors.redis_handovers import RedisHandOvers
from connectors.redis_names import (
    ASKED_BYTES,
    DIGEST_BYTES,
    Seen,
    answers,
    digest,
    digests_of,
    due_of,
    packed,
    partition_digest,
    place_of,
    unpacked,
    value_of,
)
from connectors.redis_patience import ASKED_AGAIN, PatientRedis, RedisRules, try_rights
from connectors.redis_recent import Recent
from operators.erasure import ERASED, ERASED_KEPT_MS, erased_at, marked, unheard
from operators.event import Event
from operators.identity import TYPES, all_asked, lead_of, record_key, shared_keys, to_be_known

# A device that changes hands more often within what a crash makes a run do again is a till, not a person.
VERSIONS_MAX: Final = 4
# Names that are remembered: a limit on memory.
NAMES_MAX: Final = 200_000
# The expiry is renewed this many times in its span.
RENEWALS: Final = 10
# No identifier: those begin with a letter.
MARKER: Final = "#store"
CLOCK: Final = "#clock"
LIFE: Final = "#life:"

_SCRIPTS: Final = Path(__file__).parent

Erasures = list[int | None]
"""Up to when (ms) each of some names was erased, None for never."""

_KINDS: Final = {"r": "of", "q": "of", "m": "as"}
"""What the script calls that which a name is; all others are identifiers."""


class RedisIdentity(RedisHandOvers):
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
        "look_up", "link", "renew" or "hand_over", and how many seconds it took.

        Raises:
            StoreError: the URL is none, or Redis refuses the login or a command, or is not there.
        """
        super().__init__(PatientRedis(rules, stop, tell, observe), rules.prefix)
        self._rules, self._tell = rules, tell
        self._client, self._ask = self._redis.client, self._redis.ask
        self._recent = Recent(NAMES_MAX)
        self._remembers_since = time.monotonic()
        self._marker, self._clock = rules.prefix + MARKER, rules.prefix + CLOCK
        self.clock = 0
        """How many links there were when it was last asked who is who."""
        self.linked_at = 0
        """What the clock was with the last link, 0 where it did not come about."""
        self.resets = 0
        """Times that Redis came back empty."""
        try:
            writing = _script("redis_buckets") + _script("redis_versions")
            self._look, self._extend = (
                self._client.register_script(_script("redis_buckets") + _script(name))
                for name in ("redis_look_up", "redis_renew")
            )
            self._link, self._forget = (
                self._client.register_script(writing + _script(name)) for name in ("redis_identity", "redis_erase")
            )
            self._join = self._client.register_script(_script("redis_life"))
            self.store_id = self._claim_at_start()
            """Who compares it with what it was in an earlier run sees whether Redis was emptied since."""
            try_rights(self._client, self._marker)
            self._look(keys=[self._marker, self._clock], args=[rules.prefix, b"", -1])
        except (ValueError, TypeError) as error:
            raise self._redis.bad_address(error) from None
        except ASKED_AGAIN as error:
            raise self._redis.refusal_at_start(error) from None
        self._redis.warn_of_eviction()

    @property
    def errors(self) -> int:
        """Times that Redis was away when it was asked."""
        return self._redis.errors

    @property
    def is_away(self) -> bool:
        """Whether Redis is being waited for."""
        return self._redis.is_away

    def look_up(self, events: Sequence[Event], as_of: int | None = None) -> dict[str, str]:
        """Return what was known of the identifiers of `events`, all of one partition, before the first of them.

        That is what is known now, or was when the clock stood at `as_of`.
        """
        if not events:
            return {}
        seen = Seen(events[0].partition, events[0].position, as_of)
        names = all_asked(events)
        if as_of is None:
            known = self._now(names, seen)
            more, marks = self._also, self._recent.erased(names)
        else:
            known, marks = self._then(names, seen)
            more = self._before
        if about := to_be_known(events, known):
            told = more(about, seen)
            if shared := shared_keys(told):
                told |= more(shared, seen)
            known |= told
        return known | marked(marks) if marks else known

    def find(self, names: Sequence[str], event: Event, as_of: int | None = None) -> dict[str, str]:
        """Return what `event` sees some names stand for."""
        known, erased = self._then(names, Seen(event.partition, event.position, as_of))
        return known | marked(erased)

    def identifiers_of(self, lead: str) -> list[str]:
        """Return the digests of all identifiers that a lead was given."""
        field = packed(lead)
        key = f"{self._rules.prefix}#{place_of(field)}"
        raw: bytes = self._ask("look_up", lambda: self._client.hget(key, field)) or b""
        return [raw[at : at + DIGEST_BYTES].hex() for at in range(ASKED_BYTES, len(raw), DIGEST_BYTES)]

    def erase(self, names: Sequence[str], known: Mapping[str, str], lead: str, event: Event) -> list[str] | None:
        """Forget a lead, "" for none, with all that it was given, and `names`; see the port."""
        rules, about, told = self._rules, record_key(lead), lead_of(dict(known), lead)
        seen = known.get(about, "")
        arguments: list[bytes | str | int] = [rules.prefix, partition_digest(event.partition), event.position]
        arguments += (rules.ttl_ms, int(time.time()), event.at, ERASED_KEPT_MS)
        arguments += (lead and packed(lead), lead, digest(about), seen and packed(seen))
        arguments += (b"".join(map(digest, names)), b"".join(map(digest, told.shared)))
        for other in told.merged:
            arguments += (packed(other), other, digest(record_key(other)))
        clock, *leads = self._ask("link", lambda: self._forget(keys=[self._clock], args=arguments))
        if clock == 0:
            return None
        self.linked_at = clock
        return [one.decode() for one in leads]

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:
        """Link identifiers to leads, as `event` says, all or none.

        `known` is what the links were planned on. Returns what another process has made of these identifiers
        since, "" for nothing, and which it has erased; empty where all is linked: `linked_at` is then the clock of the
        link.
        """
        names, heard = list(links), dict(known) if ERASED in known else {}
        rules = self._rules
        arguments: list[bytes | str | int] = [rules.prefix, partition_digest(event.partition), event.position]
        arguments += (rules.ttl_ms, int(time.time()), VERSIONS_MAX)
        for name in names:
            kind, was = _KINDS.get(name[0], "id"), known.get(name, "")
            arguments += (kind, packed(name[2:]) if kind == "as" else digest(name))
            arguments += (packed(links[name]), was and packed(was), erased_at(name, heard))
        self.linked_at, *changed = self._ask("link", lambda: self._link(keys=[self._clock], args=arguments))
        told = list(zip(changed[::2], changed[1::2], strict=True))
        erased = {names[-number - 1]: int(at) for number, at in told if number < 0}
        return {names[number - 1]: unpacked(value) for number, value in told if number > 0} | unheard(erased, heard)

    def read_clock(self) -> int:
        """Return how many links there are now."""
        self._now({}, Seen("", 0, None))
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

    def _now(self, names: Mapping[str, None], seen: Seen) -> dict[str, str]:
        """Return what somebody sees these names stand for now, and put off the expiry of those who are asked for."""
        recent, of = self._recent, (partition_digest(seen.partition), seen.position)
        over_at, due_at = self._over_at(), self._due_at()
        known, hidden, missing = recent.known(names, *of)
        due = list[str]()
        while True:
            digests = digests_of(missing)
            self.clock, changed, values, erased = self._asked(digests, recent.clock)
            found = answers(missing, digests, values, over_at)
            due += due_of(found, due_at)
            gone = recent.learn(self.clock, changed, found)
            if erased:
                recent.mark(missing, erased)
            if gone is None:
                known, hidden, missing = recent.known(names, *of)
            else:
                again = [name for name in gone if name in names]
                for name in again:
                    known.pop(name, None)
                more, also_hidden, missing = recent.known([*missing, *again], *of)
                known |= more
                hidden += also_hidden
            if not missing:
                break
        known = self._with_hidden(known, hidden, seen)
        self._renew({name: known[name] for name in due if name in known})
        return known

    def _also(self, names: Sequence[str], seen: Seen) -> dict[str, str]:
        """Return what somebody sees more names stand for, as of when it last asked for some."""
        recent, of = self._recent, (partition_digest(seen.partition), seen.position)
        known, hidden, missing = recent.known(names, *of)
        if missing:
            digests = digests_of(missing)
            _, _, values, _ = self._asked(digests, -1)
            recent.add(answers(missing, digests, values, self._over_at()))
            more, also_hidden, changed = recent.known(missing, *of)
            known |= more
            hidden += also_hidden + changed
        return self._with_hidden(known, hidden, seen)

    def _with_hidden(self, known: dict[str, str], hidden: Sequence[str], seen: Seen) -> dict[str, str]:
        """Return what is known, and of names whose newest version is hidden, or too new, what they stood for before."""
        return known | self._before(hidden, seen._replace(as_of=self.clock)) if hidden else known

    def _before(self, names: Sequence[str], seen: Seen) -> dict[str, str]:
        """Return what somebody saw names stand for."""
        return self._then(names, seen)[0]

    def _then(self, names: Iterable[str], seen: Seen) -> tuple[dict[str, str], dict[str, int]]:
        """Return what somebody saw these names stand for when the clock stood at `as_of`.

        And, as of now, up to when (ms) those were erased that were.
        """
        names, over_at = list(names), self._over_at()
        now, _, values, erased = self._asked(list(map(digest, names)), -1)
        self.clock = now if seen.as_of is None else seen.as_of
        found = {
            name: value_of(raw, seen, over_at, VERSIONS_MAX if _KINDS.get(name[0]) == "of" else 0)
            for name, raw in zip(names, values, strict=True)
            if raw is not None
        }
        known = {name: value for name, value in found.items() if value}
        marks = zip(names, erased, strict=True) if erased else ()
        return known, {name: at for name, at in marks if at is not None}

    def _asked(self, digests: Sequence[bytes], since: int) -> tuple[int, bytes | None, list[bytes | None], Erasures]:
        """Return the clock, which names have been linked since it stood at `since`, and the values of some names.

        And up to when each of them was erased; nothing where none was.
        """
        arguments = [self._rules.prefix, b"".join(digests), since]
        keys = [self._marker, self._clock]
        held, clock, changed, *values = self._ask("look_up", lambda: self._look(keys=keys, args=arguments))
        if held is None or held.decode() != self.store_id:
            self._start_anew()
            changed = None
        count = len(digests)
        if len(values) == count:  # nobody was erased of late
            return clock, changed, values, []
        return clock, changed, values[:count], [None if at is None else int(float(at)) for at in values[count:]]

    def _over_at(self) -> float:
        """Return since when (s) somebody must have asked for a name, else it is over."""
        return time.time() - self._rules.ttl_ms / 1000

    def _due_at(self) -> float:
        """Return since when (s) somebody must have asked for a name, else its expiry is put off.

        What is remembered is forgotten as often, for what is remembered is not read.
        """
        now, span_s = time.monotonic(), self._rules.ttl_ms / 1000 / RENEWALS
        if now - self._remembers_since > span_s:
            self._recent.forget()
            self._remembers_since = now
        return time.time() - span_s

    def _renew(self, known: Mapping[str, str]) -> None:
        """Put off the expiry of identifiers that are still asked for."""
        if not known:
            return
        leads = {lead for name, lead in known.items() if name[0] in TYPES}
        digests = b"".join(digests_of([*known, *map(record_key, leads)]))
        arguments = [self._rules.prefix, digests, int(time.time()), self._rules.ttl_ms, *map(packed, leads)]
        self._ask("renew", lambda: self._extend(keys=[self._clock], args=arguments))

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
            return self._ask("look_up", self._claim)

    def _start_anew(self) -> None:
        """Forget what Redis has forgotten."""
        self.store_id = self._ask("look_up", self._claim)
        self.resets += 1
        self._recent.forget()
        self._tell(f"{self._redis.name}: came back empty; who is who is learnt anew as events come")


def _script(name: str) -> str:
    return (_SCRIPTS / f"{name}.lua").read_text(encoding="utf-8")
