"""Every metric that a run shows: its name, its labels, what it means, and where its value comes from.

Labels hold names from closed sets or from the settings (topics), never an id. Series with labels from a closed set
are there from the start, at 0, for Prometheus sees no increase in what was not there before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from typing import Final, Literal, NamedTuple, get_args

from operators.cart_record import State
from operators.identity_record import Rule, What
from operators.rejected import REASONS
from operators.trigger import FAMILIES, Action, Outlet, Suppression
from pipeline.ports import Dependency, LiveSink, LiveSource, SharedStore
from pipeline.tally import MERGING, SourceTally, Tally, source_of

# The objectives (a trigger within 250 ms, 5 s at the worst) are bounds of buckets: else a quantile there is a guess.
DELAY_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300)
# From a look-up on the same host to the last attempt before the store counts as away.
COMMAND_BUCKETS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

Values = Mapping[tuple[str, ...], float | tuple[int, float]]
"""By the values of the labels: a number, or for a summary count and sum."""


@dataclass(eq=False)
class Watched:
    """What metrics are read from: the counts of the flow, and what it depends on, where that is known."""

    tally: Tally
    config_hash: str = ""
    source: LiveSource | None = None
    sink: LiveSink | None = None
    store: SharedStore | None = None
    clock: Callable[[], float] = time.monotonic

    def dependencies(self) -> dict[str, Dependency]:
        """Return what this run depends on, by what it is to the run."""
        known: dict[str, Dependency | None] = {"source": self.source, "sink": self.sink, "store": self.store}
        return {name: one for name, one in known.items() if one is not None}


class Meter(NamedTuple):
    """One metric. A counter, gauge or summary is read, a histogram is told what happens and has bounds."""

    name: str
    kind: Literal["counter", "gauge", "summary", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    read: Callable[[Watched], Values] | None = None
    bounds: tuple[float, ...] = ()


# --- where values come from ---------------------------------------------------------------------------------


def _one(read: Callable[[Tally], float]) -> Callable[[Watched], Values]:
    """Read one number."""
    return lambda watched: {(): read(watched.tally)}


def _by(names: Iterable[str], read: Callable[[Tally], Mapping[str, int]]) -> Callable[[Watched], Values]:
    """Read counts by one label, whose values are `names`."""
    zeros: dict[tuple[str, ...], float] = {(name,): 0 for name in sorted(names)}
    return lambda watched: zeros | {(name,): count for name, count in dict(read(watched.tally)).items()}


def _by_source(read: Callable[[SourceTally], float]) -> Callable[[Watched], Values]:
    return lambda watched: {(name,): read(source) for name, source in dict(watched.tally.sources).items()}


def families() -> list[str]:
    """Return the families of triggers."""
    return sorted(set(FAMILIES.values()))


def _dead_letters(watched: Watched) -> Values:
    tally = watched.tally
    return {("decode",): tally.rejected.total() - tally.too_late, ("profile",): tally.too_late}


def _dropped(watched: Watched) -> Values:
    tally = watched.tally
    counts = dict.fromkeys(sorted(REASONS), 0) | dict(tally.rejected) | {"duplicate": tally.duplicates}
    return {(reason,): count for reason, count in counts.items()}


def _triggers(watched: Watched) -> Values:
    pairs = product(get_args(Action), get_args(Outlet))
    zeros: dict[tuple[str, ...], float] = {(FAMILIES[action], action, outlet): 0 for action, outlet in pairs}
    return zeros | dict(watched.tally.outlets)


def _suppressed(watched: Watched) -> Values:
    zeros: dict[tuple[str, ...], float] = dict.fromkeys(product(families(), get_args(Suppression)), 0)
    return zeros | dict(watched.tally.held_back)


def _watermarks(watched: Watched) -> Values:
    """Read watermarks; while a partition has said nothing yet, time does not move, whatever the others say."""
    sources = dict(watched.tally.sources)
    heard = {partition for source in sources.values() for partition in list(source.marks)}
    expected = [] if watched.source is None else watched.source.lags()
    silent = {source_of(partition) for partition in expected if partition not in heard}
    marks = {name: source.watermark for name, source in sources.items() if name not in silent}
    return {(name,): mark / 1000 for name, mark in marks.items() if mark >= 0}


def _last_events(watched: Watched) -> Values:
    sources = dict(watched.tally.sources)
    return {(name,): source.top_at / 1000 for name, source in sources.items() if source.top_at >= 0}


def _event_ages(watched: Watched) -> Values:
    sources = dict(watched.tally.sources)
    return {(name,): (source.aged, source.age_ms / 1000) for name, source in sources.items() if source.aged}


def _steps(watched: Watched) -> Values:
    return {(name,): (step.calls, step.seconds) for name, step in watched.tally.steps.items() if step.calls}


def _snapshot_age(watched: Watched) -> Values:
    at = watched.tally.snapshot_at
    return {} if at is None else {(): watched.clock() - at}


def _lags(watched: Watched) -> Values:
    lags = {} if watched.source is None else watched.source.lags()
    cut = {name.rpartition("/"): lag for name, lag in lags.items()}
    return {(topic, partition): lag for (topic, _, partition), lag in cut.items()}


def _lag_seconds(watched: Watched) -> Values:
    lags = {} if watched.source is None else watched.source.lag_seconds()
    return {(topic,): lag for topic, lag in lags.items()}


def _up(watched: Watched) -> Values:
    return {(name,): not one.is_away for name, one in watched.dependencies().items()}


def _errors(name: str) -> Callable[[Watched], Values]:
    def read(watched: Watched) -> Values:
        found = watched.dependencies().get(name)
        return {} if found is None else {(): found.errors}

    return read


def _queued(watched: Watched) -> Values:
    return {} if watched.sink is None else {(): watched.sink.queued}


def _resets(watched: Watched) -> Values:
    return {} if watched.store is None else {(): watched.store.resets}


def _build(_watched: Watched) -> Values:
    try:
        return {(version("nextmove"),): 1}
    except PackageNotFoundError:
        return {("unknown",): 1}  # run from a checkout without installing


# --- the metrics --------------------------------------------------------------------------------------------

METERS: Final = (
    # Flow.
    Meter(
        "nextmove_events_ingested_total",
        "counter",
        ("source",),
        "Records read, whatever became of them.",
        _by_source(lambda t: t.read),
    ),
    Meter(
        "nextmove_events_dropped_total",
        "counter",
        ("reason",),
        "Records read that do not count: duplicates, and dead letters by reason. The rest of those ingested counts.",
        _dropped,
    ),
    Meter(
        "nextmove_events_duplicate_total",
        "counter",
        ("source",),
        "Records dropped because their event id had been seen within the window.",
        _by_source(lambda t: t.duplicates),
    ),
    Meter(
        "nextmove_events_late_total",
        "counter",
        ("source",),
        "Events that came when the watermark of their partition had passed them, those too late for anything included.",
        _by_source(lambda t: t.late),
    ),
    Meter(
        "nextmove_events_clamped_total",
        "counter",
        (),
        "Events from the future, set to the time at which they were received.",
        _one(lambda t: t.clamped),
    ),
    Meter(
        "nextmove_dlq_records_total",
        "counter",
        ("stage",),
        "Dead letters: of records that could not be read (decode), of events that came too late (profile).",
        _dead_letters,
    ),
    Meter(
        "nextmove_duplicate_ids_forgotten_total",
        "counter",
        (),
        "Ids for recognising duplicates given up before their window was over, for there were more than may be kept.",
        _one(lambda t: t.forgotten_early),
    ),
    Meter("nextmove_step_duration_seconds", "summary", ("step",), "Time spent in a step, a call a batch.", _steps),
    # Latency.
    Meter(
        "nextmove_trigger_latency_seconds",
        "histogram",
        ("family",),
        "From a trigger's cause, or the instant its timer was due, until the output had acknowledged it.",
        bounds=DELAY_BUCKETS,
    ),
    Meter(
        "nextmove_timer_delay_seconds",
        "histogram",
        ("kind",),
        "From the instant a timer was due until the trigger it caused was handed to the output; only of live input.",
        bounds=DELAY_BUCKETS,
    ),
    Meter(
        "nextmove_event_age_seconds",
        "summary",
        ("source",),
        "How long ago events had happened when they were read; only of live input.",
        _event_ages,
    ),
    # Decisions and facts.
    Meter("nextmove_triggers_total", "counter", ("family", "action", "channel"), "Triggers published.", _triggers),
    Meter("nextmove_triggers_suppressed_total", "counter", ("family", "reason"), "Decisions not to act.", _suppressed),
    Meter("nextmove_sessions_total", "counter", (), "Sessions closed, each once.", _one(lambda t: t.sessions)),
    Meter(
        "nextmove_session_revisions_total",
        "counter",
        (),
        "Sessions published anew after they had been closed: late events, or two that turned out to be one.",
        _one(lambda t: t.session_revisions),
    ),
    Meter(
        "nextmove_cart_changes_total",
        "counter",
        ("state",),
        "Changes of carts and checkouts to that state.",
        _by(get_args(State), lambda t: t.carts),
    ),
    # Time and lag.
    Meter(
        "nextmove_watermark_timestamp_seconds",
        "gauge",
        ("source",),
        "Event time up to which the source is complete; absent while one of its partitions has said nothing yet.",
        _watermarks,
    ),
    Meter(
        "nextmove_last_event_timestamp_seconds",
        "gauge",
        ("source",),
        "Event time of the latest event read.",
        _last_events,
    ),
    Meter(
        "nextmove_source_lag_records",
        "gauge",
        ("topic", "partition"),
        "Records that the partition has and that are not read yet.",
        _lags,
    ),
    Meter(
        "nextmove_source_lag_seconds",
        "gauge",
        ("topic",),
        "How long the oldest record not read yet has been waiting.",
        _lag_seconds,
    ),
    # State.
    Meter("nextmove_profiles", "gauge", (), "Profiles held, visitors and leads.", _one(lambda t: t.profiles)),
    Meter(
        "nextmove_pending_timers",
        "gauge",
        (),
        "Profiles with something due at a known instant: an open session or cart, a visitor about to join a lead.",
        _one(lambda t: t.awake),
    ),
    Meter(
        "nextmove_profiles_expired_total",
        "counter",
        (),
        "Profiles that ended because nothing was heard of them for their retention time.",
        _one(lambda t: t.profiles_expired),
    ),
    Meter(
        "nextmove_identity_records_total",
        "counter",
        ("what",),
        "Leads created, and identifiers linked, moved to another lead, or refused.",
        _by(get_args(What), lambda t: t.identity),
    ),
    Meter(
        "nextmove_identity_merges_total",
        "counter",
        ("rule",),
        "Anonymous visitors who became part of a lead: when their device was linked (anonymous_id), or their number as"
        " a caller (phone).",
        _by(MERGING, lambda t: t.merges),
    ),
    Meter(
        "nextmove_identity_conflicts_total",
        "counter",
        ("rule",),
        "Identifiers that were not linked, by the rule that forbade it.",
        _by(filter(None, get_args(Rule)), lambda t: t.conflicts),
    ),
    Meter(
        "nextmove_snapshot_age_seconds",
        "gauge",
        (),
        "Time since the state was last checkpointed; absent before the first time, and where it is not kept.",
        _snapshot_age,
    ),
    # Dependencies.
    Meter(
        "nextmove_dependency_up",
        "gauge",
        ("dependency",),
        "1 while the source, the sink or the store answers, 0 while the flow waits for it.",
        _up,
    ),
    Meter(
        "nextmove_source_errors_total",
        "counter",
        (),
        "Errors in reading, those included that mended themselves.",
        _errors("source"),
    ),
    Meter(
        "nextmove_producer_queue_messages",
        "gauge",
        (),
        "Records handed to the producer and not acknowledged yet.",
        _queued,
    ),
    Meter(
        "nextmove_produce_errors_total",
        "counter",
        (),
        "Errors in writing, those included that mended themselves.",
        _errors("sink"),
    ),
    Meter(
        "nextmove_redis_command_duration_seconds",
        "histogram",
        ("command",),
        "Time that the identity store took to answer.",
        bounds=COMMAND_BUCKETS,
    ),
    Meter(
        "nextmove_redis_errors_total",
        "counter",
        (),
        "Times that the identity store was away when it was asked.",
        _errors("store"),
    ),
    Meter(
        "nextmove_redis_resets_total",
        "counter",
        (),
        "Times that the identity store was found empty after it had held something.",
        _resets,
    ),
    # Meta.
    Meter("nextmove_build_info", "gauge", ("version",), "Always 1; tells the version that runs.", _build),
    Meter(
        "nextmove_config_info",
        "gauge",
        ("hash",),
        "Always 1; tells which settings are in force.",
        lambda watched: {(watched.config_hash,): 1} if watched.config_hash else {},
    ),
)
"""All of them; `docs/reference/metrics.md` shows the same table."""
