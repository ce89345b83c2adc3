"""Where the values of metrics come from: the counts of the flow, and what it depends on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from typing import get_args

from operators.answer import Outcome
from operators.event import FOREVER
from operators.rejected import REASONS
from operators.request import What
from operators.screened import RULES
from operators.trigger import FAMILIES, Suppression, Undone
from pipeline.ports import Dependency, LiveSink, LiveSource, SharedStore
from pipeline.tally import REPEATED, SourceTally, Tally, source_of

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


def one(read: Callable[[Tally], float]) -> Callable[[Watched], Values]:
    """Read one number."""
    return lambda watched: {(): read(watched.tally)}


def by(names: Iterable[str], read: Callable[[Tally], Mapping[str, int]]) -> Callable[[Watched], Values]:
    """Read counts by one label, whose values are `names`."""
    zeros: dict[tuple[str, ...], float] = {(name,): 0 for name in sorted(names)}
    return lambda watched: zeros | {(name,): count for name, count in dict(read(watched.tally)).items()}


def by_source(read: Callable[[SourceTally], float]) -> Callable[[Watched], Values]:
    """Read a number of each source."""
    return lambda watched: {(name,): read(source) for name, source in dict(watched.tally.sources).items()}


def screened(watched: Watched) -> Values:
    """Read events that do not count, by source and rule."""
    counts: dict[tuple[str, ...], float] = {}
    for name, source in dict(watched.tally.sources).items():
        counts |= {(name, rule): source.screened[rule] for rule in RULES}
    return counts


def dead_letters(watched: Watched) -> Values:
    """Read dead letters by source, stage and reason; of each source those of records and events from the start."""
    tally = watched.tally
    stages = [*(("decode", reason) for reason in sorted(REASONS - {"too_late"})), ("profile", "too_late")]
    zeros: dict[tuple[str, ...], float] = {(source, *at): 0 for source in dict(tally.sources) for at in stages}
    return zeros | dict(tally.letters)


def dropped(watched: Watched) -> Values:
    """Read what does not count, by reason."""
    tally = watched.tally
    counts = dict.fromkeys(sorted(REASONS), 0) | dict(tally.rejected)
    counts |= {"duplicate": tally.duplicates, "erased": tally.erased, "screened": tally.screened.total()}
    return {(reason,): count for reason, count in counts.items()}


def answers(watched: Watched) -> Values:
    """Read answers to requests, by what was requested and the outcome."""
    zeros: dict[tuple[str, ...], float] = dict.fromkeys(product(get_args(What), [*get_args(Outcome), REPEATED]), 0)
    return zeros | dict(watched.tally.answers)


def triggers(watched: Watched) -> Values:
    """Read triggers by family, action and channel."""
    none: dict[tuple[str, ...], float] = {}
    return none | dict(watched.tally.outlets)


def suppressed(watched: Watched) -> Values:
    """Read decisions not to act, by family and reason."""
    zeros: dict[tuple[str, ...], float] = dict.fromkeys(product(FAMILIES, get_args(Suppression)), 0)
    return zeros | dict(watched.tally.held_back)


def retracted(watched: Watched) -> Values:
    """Read triggers that were taken back, by family and reason."""
    zeros: dict[tuple[str, ...], float] = dict.fromkeys(product(FAMILIES, get_args(Undone)), 0)
    return zeros | dict(watched.tally.retracted)


def exposures(watched: Watched) -> Values:
    """Read decisions on people of experiments, by rule and variant."""
    none: dict[tuple[str, ...], float] = {}
    return none | dict(watched.tally.exposures)


def book(watched: Watched) -> Values:
    """Read which rules are in force."""
    return {(watched.tally.book,): 1} if watched.tally.book else {}


def watermarks(watched: Watched) -> Values:
    """Read watermarks; while a partition has said nothing yet, time does not move, whatever the others say."""
    sources = dict(watched.tally.sources)
    heard = {partition for source in sources.values() for partition in list(source.marks)}
    expected = [] if watched.source is None else watched.source.lags()
    silent = {source_of(partition) for partition in expected if partition not in heard}
    marks = {name: source.watermark for name, source in sources.items() if name not in silent}
    return {(name,): mark / 1000 for name, mark in marks.items() if mark >= 0}


def leads_watermark(watched: Watched) -> Values:
    """Read how far timers of leads have come."""
    reached = watched.tally.leads_reached
    return {(): reached / 1000} if 0 <= reached < FOREVER else {}


def last_events(watched: Watched) -> Values:
    """Read the latest event time of each source."""
    sources = dict(watched.tally.sources)
    return {(name,): source.top_at / 1000 for name, source in sources.items() if source.top_at >= 0}


def event_ages(watched: Watched) -> Values:
    """Read how old events were when they were read."""
    sources = dict(watched.tally.sources)
    return {(name,): (source.aged, source.age_ms / 1000) for name, source in sources.items() if source.aged}


def steps(watched: Watched) -> Values:
    """Read how often each step was called, and how long that took."""
    return {(name,): (step.calls, step.seconds) for name, step in watched.tally.steps.items() if step.calls}


def snapshot_age(watched: Watched) -> Values:
    """Read how old the last checkpoint is."""
    at = watched.tally.snapshot_at
    return {} if at is None else {(): watched.clock() - at}


def lags(watched: Watched) -> Values:
    """Read the records that are still to be read, by topic and partition."""
    lags = {} if watched.source is None else watched.source.lags()
    cut = {name.rpartition("/"): lag for name, lag in lags.items()}
    return {(topic, partition): lag for (topic, _, partition), lag in cut.items()}


def lag_seconds(watched: Watched) -> Values:
    """Read for how long the oldest of them has waited, by topic."""
    lags = {} if watched.source is None else watched.source.lag_seconds()
    return {(topic,): lag for topic, lag in lags.items()}


def up(watched: Watched) -> Values:
    """Read which dependencies answer."""
    return {(name,): not one.is_away for name, one in watched.dependencies().items()}


def errors(name: str) -> Callable[[Watched], Values]:
    """Read the errors of one dependency."""

    def read(watched: Watched) -> Values:
        found = watched.dependencies().get(name)
        return {} if found is None else {(): found.errors}

    return read


def queued(watched: Watched) -> Values:
    """Read the records that are not acknowledged yet."""
    return {} if watched.sink is None else {(): watched.sink.queued}


def resets(watched: Watched) -> Values:
    """Read how often the store came back empty."""
    return {} if watched.store is None else {(): watched.store.resets}


def build(_watched: Watched) -> Values:
    """Read the version."""
    try:
        return {(version("nextmove"),): 1}
    except PackageNotFoundError:
        return {("unknown",): 1}  # run from a checkout without installing
