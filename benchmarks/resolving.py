"""The resolve step of the product on its shared store, driven by itself, and what it takes: for `bench_identity`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, NamedTuple, Self

import msgspec

from benchmarks.brokers import Lent, with_servers
from benchmarks.crowd import PARTITION
from benchmarks.measure import BenchmarkError
from config.settings import Settings
from connectors.batches import RawBatch
from connectors.redis_identity import RedisIdentity
from connectors.redis_patience import RedisRules
from operators.event import Event
from operators.identity import TYPES
from pipeline.messages import Decoded
from pipeline.parts import Parts
from pipeline.tally import Tally

BATCH: Final = 1_000
NAME: Final = "identity"


class Taken(NamedTuple):
    """What it took to resolve some events."""

    events: int
    cpu_s: float
    wall_s: float
    redis_s: float


class TimedIdentity(RedisIdentity):
    """The store of the product, which counts CPU seconds and calls."""

    look_up_s = renew_s = link_s = 0.0
    links = identifiers = 0

    def look_up(self, events: Any, as_of: int | None = None) -> dict[str, str]:  # noqa: ANN401 -- as it is
        """Look up, timed."""
        began = time.process_time()
        known = super().look_up(events, as_of)
        self.look_up_s += time.process_time() - began
        return known

    def link(self, links: Any, event: Event, known: Any) -> dict[str, str]:  # noqa: ANN401 -- as it is
        """Link, timed and counted."""
        began = time.process_time()
        changed = super().link(links, event, known)
        self.link_s += time.process_time() - began
        self.links += 1
        self.identifiers += sum(name[0] in TYPES for name in links)
        return changed

    def _renew(self, known: Any) -> None:  # noqa: ANN401 -- as it is
        began = time.process_time()
        super()._renew(known)
        self.renew_s += time.process_time() - began


def _gone(line: str) -> None:
    raise BenchmarkError(f"Redis went away: {line}")


class Resolving:
    """A process that resolves, and what it takes."""

    def __init__(self, servers: Lent, *, drops_duplicates: bool = True, ttl_ms: int = 0) -> None:
        settings = with_servers(servers, NAME, Settings())
        duplicates = msgspec.structs.replace(settings.duplicates, enabled=drops_duplicates)
        settings = msgspec.structs.replace(settings, duplicates=duplicates)
        told = settings.identity
        rules = RedisRules(
            url=told.redis_url,
            prefix=told.redis_prefix,
            ttl_ms=ttl_ms or told.ttl_ms,
            timeout_ms=told.timeout_ms,
        )
        self.servers, self.store = servers, TimedIdentity(rules, threading.Event(), _gone)
        step = Parts(settings, [PARTITION], None, Tally(), lambda: 0, self.store).resolve(None)
        self._resolver = step.resolver

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def take(self, events: Iterable[Event]) -> Taken:
        """Resolve events, in batches."""
        store, events = self.store, iter(events)
        store.look_up_s = store.renew_s = store.link_s = 0.0
        redis_s, cpu_s, wall_s, count = -self.servers.cpu_s()[1], 0.0, 0.0, 0
        while batch := list(islice(events, BATCH)):
            raw = RawBatch(PARTITION, [b""] * len(batch), batch[0].position)
            wall_began, cpu_began = time.perf_counter(), time.process_time()
            resolved = self._resolver.take(Decoded(raw, batch, []))
            cpu_s += time.process_time() - cpu_began
            wall_s += time.perf_counter() - wall_began
            count += len(batch)
            del resolved, batch
        redis_s += self.servers.cpu_s()[1]
        return Taken(count, cpu_s, wall_s, redis_s)
