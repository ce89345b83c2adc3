"""Running the flow: folders, locks, signals, and what the engine says when something breaks."""

from __future__ import annotations

import fcntl
import gc
import re
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Final, Literal, NamedTuple

import msgspec
from bytewax.dataflow import Dataflow
from bytewax.recovery import (
    InconsistentPartitionsError,
    MissingPartitionsError,
    NoPartitionsError,
    RecoveryConfig,
    init_db_dir,
)
from bytewax.run import cli_main

from config.settings import Settings
from connectors.changelog import ChangelogError
from connectors.cloudevents import STREAMS
from connectors.file_sink import FileSink, SinkError
from connectors.file_source import FileSource, SourceError, SourceOptions
from connectors.formats import event_times
from connectors.redis_identity import RedisIdentity, RedisRules, StoreError
from pipeline import flow
from pipeline.parts import Parts
from pipeline.telemetry import Tally

STATE_FILE: Final = "nextmove.json"
# Of fewer records no share is told: one bad line among the first ten says nothing.
RATIO_RECORDS_MIN: Final = 1_000
# What the engine raises, and in what words, for a recovery folder that it cannot read.
RECOVERY_ERRORS: Final = (NoPartitionsError, MissingPartitionsError, InconsistentPartitionsError)
SQLITE_WORDS: Final = re.compile(r'SqliteFailure\(.*Some\("(.*)"\)')
# How the engine says whose partition raised.
PARTITION_IN_ERROR: Final = re.compile(r'in step "nextmove\.(source|sink)" for partition "(.*)"')


class RunError(Exception):
    """Why a run cannot start or go on: one line with cause and cure."""


class TooManyRejectedError(RunError):
    """So much was rejected that something else must be wrong, by `dead_letters.ratio_max`."""


class Outcome(NamedTuple):
    """How a run ended: its counts, whether it was told to stop, and how long it took."""

    tally: Tally
    is_stopped: bool
    seconds: float


class _Stop:
    """Tells sources to end: for a signal, or because too large a share of the records was rejected."""

    def __init__(self, tally: Tally, ratio_max: float) -> None:
        self._tally, self._ratio_max = tally, ratio_max
        self.is_told = False

    def is_set(self) -> bool:
        return self.is_told or self.is_too_much

    @property
    def is_too_much(self) -> bool:
        read, rejected = self._tally.read, self._tally.rejected.total()
        return read >= RATIO_RECORDS_MIN and rejected > self._ratio_max * read

    def check(self) -> None:
        if self.is_too_much:
            read, rejected = self._tally.read, self._tally.rejected.total()
            msg = (
                f"{rejected} of {read} records were rejected, more than dead_letters.ratio_max"
                f" {self._ratio_max:g}; see dead_letters.jsonl for the reasons, mend the input or raise the limit"
            )
            raise TooManyRejectedError(msg)


class RecoveryFacts(msgspec.Struct, kw_only=True):
    """What a recovery folder was made with and must be used with."""

    version: int = 1
    key_groups: int
    inputs: list[str]
    out: str
    identity: Literal["embedded", "redis"] = "embedded"


def run(
    settings: Settings,
    inputs: Sequence[str],
    out: Path,
    *,
    recovery: Path | None = None,
    speed: float = 0.0,
    watch: Callable[[Tally], None] | None = None,
) -> Outcome:
    """Run `inputs` through the flow into files in `out`, until their end or a signal to stop.

    With a `recovery` folder the state survives: a later run with the same folder goes on where this
    one was, whether it ended, was stopped or was killed. `watch` is called twice a second, from a thread
    of its own, and once at the end.

    Raises:
        RunError: it cannot start, or could not go on.
        TooManyRejectedError: of the records read, more than `dead_letters.ratio_max` were rejected; what had
            been handled by then is published and, with a `recovery` folder, saved.
    """
    tally = Tally()
    stop = _Stop(tally, settings.dead_letters.ratio_max)
    source = _source(settings, inputs, speed, stop)
    _make_folder(out)
    started_at = time.monotonic()
    with _recovery(recovery, settings, inputs, out) as recovery_config, _stopping(stop):
        parts = Parts(settings, inputs, recovery, tally, _now, _store(settings, stop))
        sink = FileSink(out, STREAMS, fsync=settings.checkpoint.fsync)
        with _watching(watch, tally), _quiet_collector():
            _execute(flow.build(source, parts, sink), settings, recovery_config, out)
    seconds = time.monotonic() - started_at
    if tally.imbalance:
        msg = f"{tally.imbalance} of {tally.read} records read are unaccounted for; please report this"
        raise RunError(msg)
    stop.check()
    return Outcome(tally, stop.is_told, seconds)


def _store(settings: Settings, stop: _Stop) -> RedisIdentity | None:
    """Connect to the shared store of identities, where one is set."""
    identity = settings.identity
    if not identity.redis_url:
        return None
    rules = RedisRules(
        url=identity.redis_url, prefix=identity.redis_prefix, ttl_ms=identity.ttl_ms, timeout_ms=identity.timeout_ms
    )
    try:
        return RedisIdentity(rules, stop, _warn)
    except StoreError as error:
        raise RunError(str(error)) from None


def _warn(line: str) -> None:
    print(f"nextmove: {line}", file=sys.stderr, flush=True)  # noqa: T201 -- a word to whoever operates it


def _now() -> int:
    return time.time_ns() // 1_000_000


def _source(settings: Settings, inputs: Sequence[str], speed: float, stop: _Stop) -> FileSource:
    options = SourceOptions(
        batch_records=settings.source.batch_records,
        is_exact=settings.source.file_watermark == "exact",
        idle_after_ms=settings.source.idle_after_ms,
        record_bytes_max=settings.source.record_bytes_max,
        speed=speed,
    )
    format_ = settings.source.format
    try:
        return FileSource(inputs, options, lambda raws: event_times(raws, format=format_), stop)
    except SourceError as error:
        raise RunError(str(error)) from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: {error.strerror}; name a folder that can be written"
        raise RunError(msg) from None


@contextmanager
def _recovery(
    folder: Path | None, settings: Settings, inputs: Sequence[str], out: Path
) -> Iterator[RecoveryConfig | None]:
    """Prepare the recovery folder and hold its lock; without one, or with a new one, start anew."""
    if folder is None:
        _start_anew(out)
        yield None
        return
    _make_folder(folder)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = f"{folder} is in use by another run; wait for it to end or name another folder"
            raise RunError(msg) from None
        facts = RecoveryFacts(
            key_groups=settings.key_groups,
            inputs=sorted(inputs),
            out=str(out.resolve()),
            identity="redis" if settings.identity.redis_url else "embedded",
        )
        known = _known_facts(folder)
        if known is None:
            _start_anew(out)
            init_db_dir(folder, 1)  # type: ignore[no-untyped-call]  # bytewax has no types here
            (folder / STATE_FILE).write_bytes(msgspec.json.encode(facts))
        else:
            _check_facts(folder, known, facts)
        yield RecoveryConfig(folder)  # type: ignore[no-untyped-call]  # bytewax has no types here


def _known_facts(folder: Path) -> RecoveryFacts | None:
    try:
        return msgspec.json.decode((folder / STATE_FILE).read_bytes(), type=RecoveryFacts)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        msg = f"{folder / STATE_FILE}: {error}; restore it, or start with an empty folder"
        raise RunError(msg) from None


def _check_facts(folder: Path, known: RecoveryFacts, facts: RecoveryFacts) -> None:
    if known.key_groups != facts.key_groups:
        msg = (
            f"{folder} was made with key_groups: {known.key_groups}, not {facts.key_groups};"
            " the number is fixed for the life of the state: set it back, or start with an empty folder"
        )
        raise RunError(msg)
    if known.out != facts.out:
        msg = f"{folder} belongs to the output {known.out}; name that, or start with an empty folder"
        raise RunError(msg)
    if known.identity != facts.identity:
        msg = (
            f"{folder} was made with the {known.identity} store of identities, not the {facts.identity} one:"
            " who is who is in the other; set identity.redis_url as it was, or start with an empty folder"
        )
        raise RunError(msg)
    gone = [name for name in known.inputs if name not in facts.inputs]
    if gone:
        msg = f"{folder} was made with the input {gone[0]}; name it too, as it was, or start with an empty folder"
        raise RunError(msg)


def _start_anew(out: Path) -> None:
    """Remove what an earlier run wrote: a run without a past writes its outputs from the start."""
    for stream in STREAMS:
        (out / f"{stream}.jsonl").unlink(missing_ok=True)


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
    """Collect seldom: states hold no cycles, and a full collection walks every one of them."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1_000)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def _execute(dataflow: Dataflow, settings: Settings, recovery_config: RecoveryConfig | None, out: Path) -> None:
    try:
        cli_main(  # type: ignore[no-untyped-call]  # bytewax has no types here
            dataflow,
            workers_per_process=1,
            epoch_interval=timedelta(milliseconds=settings.checkpoint.interval_ms),
            recovery_config=recovery_config,
        )
    except Exception as error:
        told = _told(error, out)
        if told is None:
            raise
        raise RunError(told) from None


def _told(error: Exception, out: Path) -> str | None:
    """Put what the world did to a run in one line; None for what is no fault of the world."""
    cause = _cause(error)
    if isinstance(cause, (SourceError, SinkError, StoreError, ChangelogError)):
        return str(cause)
    if isinstance(cause, RECOVERY_ERRORS) or "SqliteFailure" in str(cause):
        words = SQLITE_WORDS.search(str(cause))
        return (
            f"the recovery folder cannot be used: {words[1] if words else cause};"
            " restore it, or start with an empty one"
        )
    found = PARTITION_IN_ERROR.search(str(error))
    step, partition = found.groups() if found else ("", "an output")
    place = f"{out / partition}.jsonl" if step == "sink" else partition
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
