"""
One process of a run: nextmove as `pipeline/run.py` puts it together, and what becomes of it when it dies.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from config.settings import Settings
from connectors.kafka_client import KafkaFault
from connectors.redis_identity import RedisIdentity
from connectors.redis_patience import StoreError
from pipeline import connect, flow, run
from pipeline.cap import Cap
from pipeline.parts import Parts
from pipeline.recovery import Recovery as Folder
from pipeline.tally import Tally
from pipeline.telemetry import Telemetry
from tests.simulation.broker import Broker
from tests.simulation.clients import Client
from tests.simulation.clock import Clock, Time
from tests.simulation.disk import Disk
from tests.simulation.engine import Engine, Host, Recovery
from tests.simulation.store import SharedStore, SimulatedIdentity

FAULTS: Final = (KafkaFault, StoreError)
"""What ends a process well: it says what is wrong with the world, and is started again."""
FATAL: Final = ("what lies between is lost", "restore")
"""What it may not say here."""

STORE_LATENCY_S: Final = 0.001
LEADS: Final = "leads"


class Crash(BaseException):
    """The process is killed at this instruction."""


class Surroundings:
    """What processes share: the clock, the brokers, the store, and what happened."""

    def __init__(self, clock: Clock, broker: Broker, store: SharedStore | None) -> None:
        """Begin; without a `store` each process has one of its own."""
        self.clock, self.broker, self.store = clock, broker, store
        self.time = Time(clock)
        self.store_back_at = 0.0
        self.store_latency_s = STORE_LATENCY_S
        self.working: list[Process] = []
        """Who is at work: the last of them; the others wait for an answer."""
        self.are_safe = False
        """Whether nobody is killed any more."""
        self.counts: dict[str, int] = {}
        self.diary: list[str] = []

    def count(self, what: str, by: int = 1) -> None:
        """Count what has happened."""
        self.counts[what] = self.counts.get(what, 0) + by

    def note(self, words: str) -> None:
        """Note what has happened, for whoever looks for a cause."""
        self.diary.append(f"{self.clock.now:9.3f} {words}")

    @property
    def worker(self) -> Process:
        """Who is at work."""
        return self.working[-1]


class Process:
    """A process that is started, killed and started again on one folder."""

    def __init__(
        self, around: Surroundings, settings: Callable[[], Settings], folder: Path, pace_s: float, shard: str
    ) -> None:
        """Prepare; it is started with new `settings` each time, always as the same `shard`, I/N.

        `pace_s` is how often the machine finds time for it when there is nothing to do.
        """
        self.broker, self._around, self._settings, self._pace_s = around.broker, around, settings, pace_s
        self._shard = shard
        self._clock = around.clock
        self.recovery = Recovery()
        self._tally = Tally()
        self._disk = Disk(folder, around.clock.random, self.step)
        self._engine: Engine | None = None
        self.latest: Engine | None = None
        """The engine that was started last, also where it is over."""
        self._clients: list[Client] = []
        self._stop = run._Stop(self._tally)  # noqa: SLF001 -- the real one
        self.steps_left = 0
        """After so many instructions it is killed; 0: not."""
        self.steps_after_commit = 0
        """After so many instructions from its next checkpoint on it is killed; 0: not."""
        self.paused_until = 0.0
        self.is_held = False
        """Whether nobody starts it."""

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._engine is not None or self in self._around.working

    @property
    def marks(self) -> dict[str, int]:
        """The instants up to which it knows partitions, and all that leads wait for, to be complete; none if dead."""
        if self._engine is None:
            return {}
        sources = self._tally.sources.values()
        return {name: mark for source in sources for name, mark in source.marks.items()} | {LEADS: self.leads_reached}

    @property
    def leads_reached(self) -> int:
        """The instant up to which timers of leads have fired."""
        return self._tally.leads_reached

    def stop(self) -> None:
        """Tell it to end well."""
        self._stop.is_told = True

    def step(self) -> None:
        """Come to an instruction at which the process may die."""
        assert self._around.worker is self, "somebody else's instruction"
        if self.steps_left and not self._around.are_safe:
            self.steps_left -= 1
            if not self.steps_left:
                raise Crash

    def joined(self, client: Client) -> None:
        """Hear of a client that dies with the process."""
        self._clients.append(client)

    def turn(self) -> None:
        """Do what is to be done next, and come back."""
        random, clock = self._clock.random, self._clock
        if clock.now < self.paused_until:
            clock.at(self.paused_until, self.turn)
            return
        if self.is_held and self._engine is None:
            clock.after(self._pace_s, self.turn)
            return
        ended = self._work()
        if ended:
            clock.after(random.choice((0.1, 1.0, 10.0)) * random.uniform(0.5, 1.5), self.turn)
            return
        clock.after(self._pace_s * random.uniform(0.1, 2.0), self.turn)

    def _work(self) -> bool:
        """Start, or take a turn; return whether that was the end of the process."""
        around = self._around
        around.working.append(self)
        try:
            with self._disk.mounted():
                if self._engine is None:
                    self._engine = self.latest = self._started()
                else:
                    self._engine.turn()
                is_over = self._engine.is_over
                self._check_books(is_over=is_over)
        except Crash:
            around.note("killed")
            around.count("torn files", self._disk.die())
            around.count("kills")
            is_over = True
        except FAULTS as error:
            self._refused(error)
            is_over = True
        finally:
            assert around.working.pop() is self
        if is_over:
            self._end()
        return is_over

    def _refused(self, error: Exception) -> None:
        """Hear why it ends; of what it may say, some cannot be here, where nothing is ever lost."""
        if any(words in str(error) for words in FATAL):
            raise error
        self._around.note(f"ended: {error}")
        self._close()
        self._disk.die()
        self._around.count("ends for a fault of the world")

    def _close(self) -> None:
        """Close what is open, as the engine does when a flow raises; one may be killed there too."""
        try:
            if self._engine is not None:
                self._engine.close()
        except Crash:
            self._around.count("kills")

    def _end(self) -> None:
        for client in self._clients:
            client.die()
        self._clients.clear()
        self._engine = None
        self.steps_left = 0

    def _check_books(self, *, is_over: bool) -> None:
        if is_over:
            self._around.note("stopped")
            self._around.count("stops")
            self._disk.die()
            assert self._tally.imbalance == 0, f"{self._tally.imbalance} records unaccounted for"

    def _started(self) -> Engine:
        """Put the parts together, as `pipeline.run.run` does."""
        settings, around = msgspec.structs.replace(self._settings(), shard=self._shard), self._around
        around.note("started")
        tally = self._tally = Tally(cap=Cap(settings.dead_letters.ratio_max))
        stop = self._stop = run._Stop(tally)  # noqa: SLF001 -- the real one
        telemetry = cast("Telemetry", _Unwatched())
        state = Folder(self._disk.root)
        beat = run._Beat(telemetry)  # noqa: SLF001 -- the real one
        shard = connect.which_shard(settings, [], None)
        journal = connect.journal(settings, [], state)
        source = connect.kafka_source(settings, shard, state, stop, beat, journal)
        shard = connect.with_slots(settings, shard, state, stop)
        shared = None if around.store is None else SimulatedIdentity(around.store, self._ask_store)
        store = cast("RedisIdentity | None", shared)
        shard = connect.on_timeline(settings, shard, state, store)
        sink, encoder = connect.outputs(settings, None, state, shard, stop, telemetry)
        run._begun(settings, [], None, state, (source, sink), store, shard)  # noqa: SLF001 -- the real one
        beat.sink = cast("Any", sink).outbox
        former, control = connect.former(shard, state), connect.control(settings, None)
        known = shared, encoder, shard, former, journal, control
        parts = Parts(settings, source.partitions, self._disk.root, tally, self._now, *known)
        host = Host(self._clock.random, around.time.time, self.step, self._committed)
        interval_s = settings.checkpoint.interval_ms / 1000
        return Engine(flow.build(source, parts, sink), self.recovery, interval_s, host)

    def _committed(self) -> None:
        self._disk.committed()
        self.steps_left, self.steps_after_commit = self.steps_after_commit or self.steps_left, 0

    def _now(self) -> int:
        return self._around.time.time_ns() // 1_000_000

    def _ask_store(self) -> None:
        """Wait for the store's answer, however long it is away."""
        self.step()
        around = self._around
        clock = around.clock
        wait_s = around.store_latency_s * clock.random.uniform(0.0, 2.0)
        while around.store_back_at > clock.now:
            clock.run(min(around.store_back_at, clock.now + 1.0))
            if self._stop.is_set():
                raise StoreError("stopped while Redis was away; the next run goes on from the checkpoint")
        clock.run(clock.now + wait_s)
        self.step()


class _Unwatched:
    """Telemetry that nobody reads."""

    source: object = None
    is_ready = False

    def beat(self) -> None:
        """Hear that the flow is alive."""

    def trigger_delivered(self, family: str, seconds: float) -> None:
        """Hear of a trigger."""

    def store_asked(self, command: str, seconds: float) -> None:
        """Hear of a question."""
