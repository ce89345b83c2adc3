"""What the shared identity store costs: memory an identifier, a link, and asking who the events of a batch are of.

Invented people, each with some identifiers, sign in on one device after the other: the product's own resolve step
reads, plans and links, event by event, in batches of a thousand. Then the same step resolves events that link nothing:

- **live**: so many visits at a time, of eight events each (the shared generator's mean); one in three is of somebody
  who is known, and half of those are signed in. Long enough for the memory of names to be emptied and filled again.
  This is the mix that the target is about.
- **warm**: known devices that were all asked for before.
- **cold**: a known device each, drawn from all there are: none that the process remembers.
- **unknown**: a device each that nobody has ever seen.

CPU is that of this process, in the step and in the part of it that is the store's; what goes on in between, inventing
events, is not in it. The step also keeps event time and deals events out to key groups, which is counted; it drops
duplicates only where it is said. What has been asked for in the last tenth of the time that a name is kept is not
renewed; the last mix is of names of which all are.

The bare loop asks for a thousand plain keys at a time, one for each identifier, of the same names.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Final

import msgspec
from redis import Redis

from benchmarks.brokers import PREFIX, Lent, with_servers
from benchmarks.crowd import IDENTIFIERS_EACH, Crowd, person
from benchmarks.measure import SEED, BenchmarkError, spread
from benchmarks.resolving import BATCH, NAME, Resolving, Taken, TimedIdentity
from config.settings import Settings
from connectors.redis_identity import MARKER, RENEWALS
from operators.identity import record_key

RESOLVE_US_MAX: Final = 1.5
BYTES_MAX: Final = 200
VISITS: Final = 20_000
"""At a time: at a page in twenty seconds, a thousand events a second."""
EVENTS_MAX: Final = 400_000
"""Of a round of a mix."""
LIVE_EVENTS_MAX: Final = 2_000_000
CHECKED_MAX: Final = 300_000
PLAIN_MAX: Final = 200_000
FAULTS_SHOWN: Final = 10

LIVE: Final = "live"
ALL: Final = "live, duplicates dropped"
WARM: Final = "warm"
COLD: Final = "cold"
UNKNOWN: Final = "unknown"
RENEWED: Final = "cold, all renewed"
MIXES: Final = (LIVE, ALL, WARM, COLD, UNKNOWN)

PLAIN: Final = f"{{{PREFIX}plain}}:"


class Mix(msgspec.Struct, kw_only=True):
    """What a kind of event costs, a value a round: µs an event."""

    name: str
    events: int
    """In all rounds."""
    step_us: list[float] = []
    """Our CPU of the step."""
    store_us: list[float] = []
    """Our CPU of asking the store; part of that is `renew_us`."""
    renew_us: list[float] = []
    """Our CPU of putting off the expiry of what nobody has asked for in a tenth of its span."""
    redis_us: list[float] = []
    wall_us: list[float] = []


class Linked(msgspec.Struct, kw_only=True):
    """What it took to make all links, on average."""

    people: int
    links: int
    identifiers: int
    step_us: float
    """Our CPU a link: reading, planning, linking."""
    link_us: float
    """Our CPU a link: the call that links."""
    redis_us: float
    wall_us: float
    bytes_each: float
    """Of memory that Redis uses, an identifier."""
    rss_bytes_each: float
    keys: int


class Bare(msgspec.Struct, kw_only=True):
    """The bare loop: plain keys."""

    identifiers: int
    bytes_each: float
    cpu_us: list[float] = []
    redis_us: list[float] = []
    wall_us: list[float] = []


class Identity(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    linked: Linked
    mixes: list[Mix]
    bare: Bare
    redis_version: str
    checked: int
    """Identifiers that were asked for by a new connection."""
    faults: list[str]

    @property
    def is_equal(self) -> bool:
        """Whether every identifier was found to be whose it is."""
        return not self.faults and self.checked > 0


def run(servers: Lent, identifiers: int, rounds: int, tell: Callable[[str], None]) -> Identity:
    """Link about so many identifiers and resolve each mix `rounds` times. `tell` hears of progress."""
    was_enabled = gc.isenabled()
    gc.disable()  # as a run of the product does
    try:
        return _run(servers, identifiers, rounds, tell)
    finally:
        if was_enabled:
            gc.enable()


def _run(servers: Lent, identifiers: int, rounds: int, tell: Callable[[str], None]) -> Identity:
    crowd = Crowd(max(1, round(identifiers / IDENTIFIERS_EACH)))
    with Redis.from_url(servers.redis) as redis:
        if redis.exists(with_servers(servers, NAME, Settings()).identity.redis_prefix + MARKER):
            raise BenchmarkError("this Redis holds what an earlier benchmark of identities has left there")
        bare = _bare(servers, redis, min(identifiers, PLAIN_MAX), rounds)
        tell(f"identity: bare loop, {spread(bare.cpu_us).told()} µs of CPU a key")
        linked, faults = link_all(servers, redis, crowd)
        linked_at = time.time()
        tell(f"identity: {linked.identifiers:,} identifiers in {linked.links:,} links, {linked.step_us:.0f} µs each")
        checked = check(servers, crowd, faults)
        tell(f"identity: {checked:,} asked for by a new connection, {len(faults)} faults")
        mixes = [_mix(servers, crowd, name, identifiers, rounds, tell) for name in MIXES]
        mixes.append(_renewed(servers, crowd, linked_at, min(identifiers, EVENTS_MAX), tell))
        return Identity(
            linked=linked,
            mixes=mixes,
            bare=bare,
            redis_version=redis.info("server")["redis_version"],
            checked=checked,
            faults=faults,
        )


def link_all(servers: Lent, redis: Redis, crowd: Crowd) -> tuple[Linked, list[str]]:
    """Make all links; return what they took, and what is wrong with them."""
    before = redis.info("memory")
    with Resolving(servers) as bench:
        taken, store = bench.take(crowd.logins()), bench.store
        after, keys = redis.info("memory"), redis.dbsize()
        count = crowd.identifiers
        linked = Linked(
            links=store.links,
            identifiers=count,
            people=crowd.people,
            step_us=taken.cpu_s / store.links * 1e6,
            link_us=store.link_s / store.links * 1e6,
            redis_us=taken.redis_s / store.links * 1e6,
            wall_us=taken.wall_s / store.links * 1e6,
            bytes_each=(after["used_memory"] - before["used_memory"]) / count,
            rss_bytes_each=(after["used_memory_rss"] - before["used_memory_rss"]) / count,
            keys=keys,
        )
        wrong = store.identifiers != count or taken.events != store.links
        told = f"{store.identifiers:,} identifiers by {store.links:,} links, of {count:,} by {taken.events:,} logins"
        return linked, [told] if wrong else []


def check(servers: Lent, crowd: Crowd, faults: list[str]) -> int:
    """Ask a new connection for the identifiers of people from all over; return how many, and add what is wrong.

    All identifiers of somebody stand for one lead, who is nobody else's and of whom the store has kept something; a
    device that nobody ever had stands for nobody.
    """
    leads, checked = set[str](), 0
    sample = range(0, crowd.people, max(1, round(crowd.people * IDENTIFIERS_EACH / CHECKED_MAX)))
    with Resolving(servers) as bench:
        for start in range(0, len(sample), BATCH // 4):
            asked = {number: person(number) for number in sample[start : start + BATCH // 4]}
            strangers = {number: crowd.new_device() for number in asked}
            events = [crowd.event(device) for one in asked.values() for device in one.devices]
            # All that names them with a device that they never had: something is to be planned, so their lead is read.
            events += [crowd.event(strangers[n], one.user, one.email, one.phone) for n, one in asked.items()]
            known = bench.store.look_up(events)
            for number, one in asked.items():
                found = {known.get(name, "") for name in one.names}
                lead = found.pop() if len(found) == 1 else ""
                is_right = lead and lead not in leads and record_key(lead) in known
                if not is_right or f"a:{strangers[number]}" in known:
                    faults.append(f"somebody, {number}, is not who they are")
                leads.add(lead)
                checked += len(one.names)
    return checked


def _mix(servers: Lent, crowd: Crowd, name: str, identifiers: int, rounds: int, tell: Callable[[str], None]) -> Mix:
    """Resolve a mix of events in a process that has just started; what it does to begin with is not counted."""
    visits = max(1, min(VISITS, identifiers // 10))
    events = max(1, (LIVE_EVENTS_MAX if name in {LIVE, ALL} else EVENTS_MAX) // rounds)
    events = min(events, 2 * identifiers)
    source = {WARM: crowd.among(visits), COLD: crowd.cold(), UNKNOWN: crowd.unknown()}.get(name) or crowd.live(visits)
    found = Mix(name=name, events=events * rounds)
    with Resolving(servers, drops_duplicates=name == ALL) as bench:
        bench.take(islice(source, 4 * visits if name in {LIVE, ALL, WARM} else BATCH))
        for _ in range(rounds):
            _add(found, bench.take(islice(source, events)), bench.store)
    tell(f"identity: {name}, {spread(found.step_us).told()} µs of CPU an event")
    return found


def _renewed(servers: Lent, crowd: Crowd, linked_at: float, events: int, tell: Callable[[str], None]) -> Mix:
    """Resolve known devices for whom nobody has asked since they were linked, as if that were long ago."""
    age_s = max(1, int(time.time() - linked_at) - 1)
    found = Mix(name=RENEWED, events=events)
    with Resolving(servers, drops_duplicates=False, ttl_ms=RENEWALS * 1_000 * age_s) as bench:
        _add(found, bench.take(islice(crowd.cold(), events)), bench.store)
    tell(f"identity: {RENEWED}, {spread(found.step_us).told()} µs of CPU an event")
    return found


def _add(mix: Mix, taken: Taken, store: TimedIdentity) -> None:
    mix.step_us.append(taken.cpu_s / taken.events * 1e6)
    mix.store_us.append(store.look_up_s / taken.events * 1e6)
    mix.renew_us.append(store.renew_s / taken.events * 1e6)
    mix.redis_us.append(taken.redis_s / taken.events * 1e6)
    mix.wall_us.append(taken.wall_s / taken.events * 1e6)


def _bare(servers: Lent, redis: Redis, count: int, rounds: int) -> Bare:
    """Ask for plain keys, a thousand at a time: all of them are asked for once a round."""
    names = list(islice((name for number in range(count) for name in person(number).names), count))
    before = redis.info("memory")["used_memory"]
    for start in range(0, count, BATCH):
        redis.mset({PLAIN + name: _lead(name) for name in names[start : start + BATCH]})
    found = Bare(identifiers=count, bytes_each=(redis.info("memory")["used_memory"] - before) / count)
    draw = random.Random(SEED)
    for _ in range(rounds):
        draw.shuffle(names)
        redis_s, wall_s, cpu_s = -servers.cpu_s()[1], -time.perf_counter(), -time.process_time()
        for start in range(0, count, BATCH):
            asked = names[start : start + BATCH]
            answered = dict(zip(asked, redis.mget([PLAIN + name for name in asked]), strict=True))
            if None in answered.values():
                raise BenchmarkError("a plain key is not there")
        found.cpu_us.append((cpu_s + time.process_time()) / count * 1e6)
        found.wall_us.append((wall_s + time.perf_counter()) / count * 1e6)
        found.redis_us.append((redis_s + servers.cpu_s()[1]) / count * 1e6)
    for start in range(0, count, BATCH):
        redis.unlink(*[PLAIN + name for name in names[start : start + BATCH]])
    return found


def _lead(name: str) -> str:
    return f"lead-{blake2b(name.encode(), digest_size=10).hexdigest()}"


def sections(found: Identity) -> Iterator[tuple[str, list[list[str]], list[str]]]:
    """Yield a title, a table whose first row has the headings, and sentences below it, for each table."""
    linked, bare = found.linked, found.bare
    yield "Who is who: claims", _claims(found), _told(found)
    count = f"{linked.identifiers:,} identifiers in Redis"
    title = f"Resolving in batches of {BATCH:,} with {count}, middle (lowest-highest)"
    yield title, _mix_table(found), []
    rows = [["variant", "identifiers", "bytes an identifier", "of plain keys", "keys"]]
    ratio = linked.bytes_each / bare.bytes_each
    rows.append(["ours", f"{linked.identifiers:,}", f"{linked.bytes_each:.0f}", f"{ratio:.2f}", f"{linked.keys:,}"])
    rows.append(["plain keys", f"{bare.identifiers:,}", f"{bare.bytes_each:.0f}", "1.00", f"{bare.identifiers:,}"])
    said = [
        "Ours has versions, an expiry, what is kept of each lead, and its identifiers; plain keys have none of that",
        f"Redis {found.redis_version}; resident memory grew by {linked.rss_bytes_each:.0f} bytes an identifier",
    ]
    yield "Memory of Redis", rows, said


def _claims(found: Identity) -> list[list[str]]:
    linked, costs = found.linked, {mix.name: spread(mix.step_us) for mix in found.mixes}
    resolve = costs[LIVE]
    return [
        ["what", "target", "found", "met"],
        [
            "our CPU an event, live",
            f"{RESOLVE_US_MAX} µs",
            f"{resolve.told()} µs",
            _met(resolve.middle, RESOLVE_US_MAX),
        ],
        ["memory an identifier", f"{BYTES_MAX} bytes", f"{linked.bytes_each:.0f}", _met(linked.bytes_each, BYTES_MAX)],
        ["our CPU an event, live, duplicates dropped", "none", f"{costs[ALL].told()} µs", ""],
        ["our CPU a link: read, plan, link", "none", f"{linked.step_us:.0f} µs", ""],
    ]


def _met(found: float, most: float) -> str:
    return "yes" if found <= most else "NO"


def _told(found: Identity) -> list[str]:
    linked = found.linked
    people = f"{linked.people:,} people with {linked.identifiers / linked.people:.1f} identifiers each"
    links = f"{linked.links:,} links of {linked.identifiers / linked.links:.1f} identifiers"
    ours = f"{linked.step_us:.1f} µs of our CPU a link, {linked.link_us:.1f} of that in the call that links"
    theirs = f"{linked.redis_us:.1f} µs of Redis', {linked.wall_us:.1f} µs on the clock"
    asked = f"{found.checked:,} identifiers asked for by a new connection, and a stranger for each person"
    return [
        f"{people}, {links}: {ours}; {theirs}",
        f"{asked}: {len(found.faults):,} faults",
        *found.faults[:FAULTS_SHOWN],
    ]


def _mix_table(found: Identity) -> list[list[str]]:
    """Return the rows to print, the first with the headings."""
    bare = found.bare
    base = spread(bare.cpu_us).middle
    rows = [["mix", "events", "our CPU µs an event", "of it the store's", "of a bare MGET", "renewing", "Redis' CPU"]]
    rows[0].append("µs on the clock")
    for mix in found.mixes:
        store = spread(mix.store_us)
        rows.append(
            [
                mix.name,
                f"{mix.events:,}",
                spread(mix.step_us).told(),
                store.told(),
                f"{store.middle / base:.2f}",
                spread(mix.renew_us).told(),
                spread(mix.redis_us).told(),
                spread(mix.wall_us).told(),
            ]
        )
    said = [spread(of).told() for of in (bare.cpu_us, bare.redis_us, bare.wall_us)]
    return [*rows, ["bare MGET of plain keys", f"{bare.identifiers:,}", said[0], said[0], "1.00", "", *said[1:]]]
