"""Running the flow: folders, locks, signals, and what the engine says when something breaks."""

from __future__ import annotations

import gc
import re
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

from bytewax.recovery import (
    InconsistentPartitionsError,
    MissingPartitionsError,
    NoPartitionsError,
    RecoveryConfig,
)
from bytewax.run import cli_main

from config.journeys import book_of, journeys_of
from config.load import describe
from config.settings import Settings
from connectors.changelog import ChangelogError
from connectors.cloudevents import STREAMS
from connectors.file_sink import FileSink, SinkError
from connectors.file_source import SourceError
from connectors.kafka_client import KafkaFault
from connectors.kafka_outbox import Outbox
from connectors.kafka_part import KafkaPart
from connectors.kafka_sink import KafkaSink
from connectors.kafka_source import KafkaSource
from connectors.redis_identity import RedisIdentity
from connectors.redis_patience import StoreError
from operators.ids import digest
from pipeline import connect, flow
from pipeline.cap import Cap
from pipeline.cluster import ALONE, Cluster, member, which_cluster
from pipeline.health import ServeError, serve
from pipeline.parts import Parts
from pipeline.recovery import Recovery, RecoveryFacts, RunError, locked
from pipeline.rulebooks import RuleBooks, watched
from pipeline.savepoint import take_up, told_of
from pipeline.shards import Shard
from pipeline.telemetry import Tally, Telemetry

# What the engine raises, and in what words, for a recovery folder that it cannot read.
RECOVERY_ERRORS: Final = (NoPartitionsError, MissingPartitionsError, InconsistentPartitionsError)
SQLITE_WORDS: Final = re.compile(r'SqliteFailure\(.*Some\("(.*)"\)')
# How the engine says whose partition raised.
PARTITION_IN_ERROR: Final = re.compile(r'in step "nextmove\.(source|sink)" for partition "(.*)"')


class TooManyRejectedError(RunError):
    """So much of a source was rejected that something else must be wrong, by `dead_letters.ratio_max`."""


class Outcome(NamedTuple):
    """How a run ended: its counts, whether it was told to stop, how long it took, and what member of a cluster it was.

    A member counts what it has done itself.
    """

    tally: Tally
    is_stopped: bool
    seconds: float
    cluster: Cluster = ALONE

    @property
    def role(self) -> str:
        """What to say before all else: whose counts these are."""
        member = self.cluster
        return "" if member.is_alone else f"Member {member.process} of {member.members}, which counts its own work. "


class _Stop:
    """Tells sources to end: for a signal, or because too large a share of what came of one was rejected."""

    def __init__(self, tally: Tally) -> None:
        self._cap = tally.cap
        self.is_told = False

    def is_set(self) -> bool:
        return self.is_told or bool(self._cap.verdict)

    def check(self) -> None:
        if self._cap.verdict:
            raise TooManyRejectedError(self._cap.verdict)


class _Run(NamedTuple):
    settings: Settings
    out: Path | None
    cluster: Cluster
    stop: _Stop


def run(  # noqa: PLR0913 -- as the command line has it
    settings: Settings,
    inputs: Sequence[str],
    out: Path | None,
    *,
    recovery: Path | None = None,
    savepoint: Path | None = None,
    requests: Path | None = None,
    speed: float = 0.0,
    watch: Callable[[Tally], None] | None = None,
) -> Outcome:
    """Run `inputs` through the flow into files in `out`, until their end or a signal to stop.

    Without inputs it reads the topics of the settings, without `out` it publishes to topics. With a `recovery` folder
    (else that of the settings) the state survives: a later run with the same folder goes on where this one was, whether
    it ended, was stopped or was killed; a new one may go on from a `savepoint`. A file of `requests` is one more input,
    in place of the topic of requests. `watch` is called twice a second, from a thread of its own, and once at the end.

    Raises:
        RunError: it cannot start, or could not go on.
        TooManyRejectedError: of the last records of a source, more than `dead_letters.ratio_max` were rejected; what
            had been handled by then is published and, with a `recovery` folder, saved.
    """
    inputs = [*inputs, str(requests)] if requests is not None else inputs
    cluster = which_cluster(settings, inputs, speed)
    shard = connect.which_shard(settings, inputs, out)
    recovery = _folder(settings, recovery, shard, cluster, is_needed=not inputs, is_wanted=savepoint is not None)
    tally, decider = Tally(cap=Cap(settings.dead_letters.ratio_max)), connect.decider(settings)
    books = RuleBooks(decider, journeys_of(settings), partial(book_of, settings), tally, connect.warn)
    stop, started_at = _Stop(tally), time.monotonic()
    telemetry = Telemetry(tally, config_hash=digest(describe(settings)))
    try:
        with ExitStack() as stack:
            stack.enter_context(_stopping(stop))
            if settings.telemetry.port:
                stack.enter_context(serve(telemetry, settings.telemetry.host, settings.telemetry.port))
            beat = _Beat(telemetry)
            state = stack.enter_context(locked(recovery, *cluster)) if recovery is not None else None
            taken = None if state is None or savepoint is None else take_up(state, savepoint, out, shard.name)
            files = connect.file_source(settings, inputs, speed, stop) if inputs else None
            journal = connect.journal(settings, inputs, state, cluster.members)
            source = files or connect.kafka_source(settings, shard, state, stop, beat, journal, cluster.members)
            shard = connect.with_slots(settings, shard, state, stop)
            store = connect.store(settings, stop, telemetry)
            shard = connect.on_timeline(settings, shard, state, store)
            sink, encoder = connect.outputs(settings, out, state, shard, stop, telemetry)
            config = _begun(settings, inputs, out, state, (source, sink), store, shard)
            if taken is not None:
                connect.warn(f"going on from the savepoint {savepoint}, {told_of(taken)}")
            beat.sink = telemetry.sink = sink.outbox if isinstance(sink, KafkaSink) else None
            telemetry.store, telemetry.is_ready = store, bool(inputs)
            former, control = connect.former(shard, state), connect.control(settings, requests)
            known = store, encoder, shard, former, journal, control, decider
            parts = Parts(settings, source.partitions, recovery, tally, connect.now, *known)
            with watched(books, settings.decision.reload_ms), _watching(watch, tally), _quiet_collector():
                _execute((source, sink), parts, config, _Run(settings, out, cluster, stop))
    except (SourceError, KafkaFault, StoreError, ServeError) as error:
        raise RunError(str(error)) from None
    if tally.imbalance and cluster.is_alone:
        raise RunError(f"{tally.imbalance} of {tally.read} records read are unaccounted for; please report this")
    stop.check()
    return Outcome(tally, stop.is_told, time.monotonic() - started_at, cluster)


def _folder(
    settings: Settings, recovery: Path | None, shard: Shard, cluster: Cluster, *, is_needed: bool, is_wanted: bool
) -> Path | None:
    """Return where the state survives; each of several shards has a folder of its own there."""
    if recovery is None and settings.checkpoint.folder:
        recovery = Path(settings.checkpoint.folder)
    if recovery is None and is_needed:
        raise RunError("reading from Kafka needs checkpoint.folder or --recovery: a restart would forget everybody")
    if recovery is None and is_wanted:
        raise RunError("--from-savepoint needs checkpoint.folder or --recovery: the state goes on there")
    if recovery is None and cluster.members > 1 and not settings.identity.redis_url:
        raise RunError("the members of a cluster need --recovery, a folder that they share, or identity.redis_url")
    return recovery if recovery is None or shard.count == 1 else recovery / shard.name


class _Beat:
    """What happens each time that a live source is asked: the flow is alive, and acknowledgements are heard."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.sink: Outbox | None = None

    def __call__(self, part: KafkaPart) -> None:
        self._telemetry.source = part
        self._telemetry.beat()
        self._telemetry.is_ready = True
        if self.sink is not None:
            self.sink.poll()


def _begun(
    settings: Settings,
    inputs: Sequence[str],
    out: Path | None,
    state: Recovery | None,
    ends: tuple[connect.Source, FileSink | KafkaSink],
    store: RedisIdentity | None,
    shard: Shard,
) -> RecoveryConfig | None:
    """Return the engine's handle on the recovery folder; a run without a past writes its files from the start."""
    if out is not None and (state is None or state.known is None):
        for stream in STREAMS:
            (out / f"{stream}.jsonl").unlink(missing_ok=True)
    if state is None:
        return None
    source, sink = ends
    starts: dict[str, int] = {}
    leftovers = {} if state.known is None else state.known.leftovers
    if isinstance(source, KafkaSource):
        starts = source.begin(state.starts)
        if state.is_new and state.known is not None:
            leftovers = source.leftovers()
        if leftovers and len(source.list_parts()) > 1:
            raise RunError(
                "the savepoint is of shards, and some of it is on its way between them: a cluster cannot go on from it;"
                " let one process do that, and stop it with a savepoint of its own"
            )
        source.first = leftovers
    facts = RecoveryFacts(
        key_groups=settings.key_groups,
        inputs=sorted(inputs or settings.kafka.topics),
        out=settings.kafka.prefix if out is None else str(out.resolve()),
        identity="redis" if settings.identity.redis_url else "embedded",
        starts=starts,
        trigger_ends=sink.ends if isinstance(sink, KafkaSink) else {},
        store_id="" if store is None else store.store_id,
        shard=shard.name,
        slots=shard.slots,
        timeline=shard.timeline,
        lives={} if state.known is None else state.known.lives,
        leftovers=leftovers,
        readers=len(source.list_parts()) if isinstance(source, KafkaSource) else 1,
    )
    if state.known is not None and store is not None and state.known.store_id not in ("", store.store_id):
        store.resets += 1
        connect.warn("Redis was emptied since the last run; who is who is learnt anew as events come")
    return state.begin(facts, shard.owns_group)


@contextmanager
def _stopping(stop: _Stop) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C set `stop`: sources end, the epoch closes, and the run ends well."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.is_told = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _watching(watch: Callable[[Tally], None] | None, tally: Tally) -> Iterator[None]:
    if watch is None:
        yield
        return
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(0.5):
            watch(tally)

    thread = threading.Thread(target=loop, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        watch(tally)


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Collect no cycles: a run makes none, and looking for them walks what it holds, half a second at a time."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def _execute(
    ends: tuple[connect.Source, FileSink | KafkaSink],
    parts: Parts,
    config: RecoveryConfig | None,
    run: _Run,
) -> None:
    cluster = run.cluster
    source, sink = parts.seeds.source(ends[0]), parts.seeds.sink(ends[1])
    try:
        with member(cluster, run.stop, source, parts, sink):
            cli_main(  # type: ignore[no-untyped-call]  # bytewax has no types here
                flow.build(source, parts, sink),
                workers_per_process=1,
                process_id=cluster.process,
                addresses=None if cluster.is_alone else [*cluster.addresses],
                epoch_interval=timedelta(milliseconds=run.settings.checkpoint.interval_ms),
                recovery_config=config,
            )
    except Exception as error:
        told = _told(error, run.out)
        if told is None:
            raise
        raise RunError(told) from None


def _told(error: Exception, out: Path | None) -> str | None:
    """Put what the world did to a run in one line; None for what is no fault of the world."""
    cause = _cause(error)
    if isinstance(cause, (RunError, SourceError, SinkError, StoreError, ChangelogError, KafkaFault)):
        return str(cause)
    if isinstance(cause, RECOVERY_ERRORS) or "SqliteFailure" in str(cause):
        words = SQLITE_WORDS.search(str(cause))
        return (
            f"the recovery folder cannot be used: {words[1] if words else cause};"
            " restore it, or start with an empty one"
        )
    found = PARTITION_IN_ERROR.search(str(error))
    step, partition = found.groups() if found else ("", "an output")
    place = f"{out / partition}.jsonl" if step == "sink" and out is not None else partition
    # What gzip raises for a file cut short or with bytes changed; BadGzipFile is an OSError without a number.
    if isinstance(cause, (EOFError, zlib.error)) or (isinstance(cause, OSError) and not cause.errno):
        return f"{place} is damaged: {cause}; restore it, or unpack what is left of it"
    if isinstance(cause, OSError):
        return f"{cause.filename or place}: {cause.strerror}; see to that and run again"
    return None


def _cause(error: BaseException) -> BaseException:
    """Return the innermost cause: the engine wraps what went wrong in errors of its own."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
