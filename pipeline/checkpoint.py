"""Reading the last checkpoint of a recovery folder, without touching it: also while a run goes on there.

Theory of operation
-------------------
The engine keeps rows in SQLite. An execution goes on from its resume epoch; each epoch that is complete moves its
frontier, the epoch that a next one would resume from. Of each step and key the last row *before* that counts; later
ones are of an epoch that was cut off. What it keeps are pickles: here they are read by a reader that makes plain
values and nothing else.

SQLite's own locks make a reader beside a writer safe, in *another* process: a file that is closed takes the locks of
all of its own process with it. So nothing here may be called in a process in which the flow runs. A reader that may not
write neither moves the write-ahead log into the database nor removes it; where there is no log nobody
writes, and the database is read as if it lay on a disk that cannot be written to.

A folder that was made from a savepoint has a seed, which counts for what the engine has no row of yet.
"""

from __future__ import annotations

import io
import pickle
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from connectors.kafka_options import is_of_topics
from connectors.kafka_part import MEMORY, TAKEN
from connectors.kafka_sink import floors_of
from pipeline import resolver_snapshot
from pipeline.group_snapshot import read_snapshot
from pipeline.manifest import STEPS, Manifest, brokers_of, packed, read_manifest, unpacked
from pipeline.recovery import ENGINE_FILES, SEED_FILE, RecoveryFacts, RunError, facts_of
from pipeline.steps import lane_snapshots

FLOW: Final = "nextmove."
"""What the engine has in front of a step's name."""

FIRST_EPOCH: Final = 1

Snapshots = Mapping[str, Mapping[str, Any]]
"""By step and key, what the step gave the engine."""


class Saved(NamedTuple):
    """What the engine would resume from: the epoch after the last complete one, and when that was saved (ms)."""

    epoch: int
    saved_at: int
    snapshots: Snapshots


def read_checkpoint(folder: Path) -> Manifest:
    """Return what the last complete checkpoint of a recovery folder holds.

    Raises:
        RunError: the folder is none, or holds no checkpoint yet, or is damaged.
    """
    facts = facts_of(folder)
    if facts is None:
        raise RunError(f"{folder} is no recovery folder: there is no nextmove.json in it; check the name")
    seed = read_manifest(folder / SEED_FILE) if facts.savepoint else None
    files = sorted(folder.glob(ENGINE_FILES))
    if not files:
        raise RunError(f"{folder} has lost its part-0.sqlite3; restore the folder whole")
    try:
        saved = _resumable([_read(path) for path in files])
    except (sqlite3.Error, pickle.UnpicklingError, ValueError) as error:
        raise RunError(f"{files[0]}: {error}; it is damaged: restore the folder from a copy") from None
    if not saved.snapshots and seed is None:
        raise RunError(f"{folder} holds no checkpoint yet: no run has lived long enough for its first")
    return manifest_of(facts, saved, seed)


def manifest_of(facts: RecoveryFacts, saved: Saved, seed: Manifest | None = None) -> Manifest:
    """Return the list of contents of what the engine has saved, over the `seed` that the folder was made from."""
    found = saved.snapshots
    sources, parts = found.get("source", {}), found.get("sink", {})
    places = dict(seed.places) if seed else {}
    brokers = seed.brokers if seed else None
    read: dict[str, Any] = {}
    memories: list[tuple[int, int]] = []
    for part, told in sources.items():
        if isinstance(told, dict) and is_of_topics(part):
            read |= {name: place for name, place in told.items() if name not in (MEMORY, TAKEN)}
            memories.append(told[MEMORY])
        else:
            places[part] = told
    if memories:
        places, brokers = read, brokers_of(memories)
    is_published = bool(facts.trigger_ends)
    lengths = {} if is_published else (dict(seed.lengths) if seed else {}) | dict(parts)
    resolver = [unpacked(raw) for raw in found.get("resolve", {}).values()] or [seed.resolver if seed else []]
    calls = [unpacked(raw) for raw in found.get("calls", {}).values()] or [seed.calls if seed else []]
    shard, _, shards = facts.shard.partition("-of-")
    told = resolver_snapshot.read_snapshot(packed(resolver[0])) if resolver[0] else None
    return Manifest(
        nextmove=facts.nextmove,
        shard=int(shard),
        shards=int(shards),
        slots=facts.slots,
        timeline=facts.timeline,
        lives=facts.lives,
        taken=told.taken if told else 0,
        epoch=saved.epoch,
        saved_at=max(saved.saved_at, seed.saved_at if seed else 0),
        key_groups=facts.key_groups,
        inputs=facts.inputs,
        out=facts.out,
        identity=facts.identity,
        store_id=facts.store_id,
        places=places,
        brokers=brokers,
        lengths=lengths,
        floors=floors_of(facts.out, facts.trigger_ends, parts) if is_published else {},
        resolver=resolver[0],
        calls=calls[0],
        groups={step: _rows(found.get(step, {}).values(), {} if seed is None else seed.rows(step)) for step in STEPS},
    )


def _rows(lanes: Iterable[bytes], seeds: dict[int, list[Any]]) -> list[list[Any]]:
    """Return the rows of a step's key groups, in order; a seed counts for a group that no lane has."""
    raws = [raw for lane in lanes for raw in lane_snapshots(lane)]
    rows = seeds | {read_snapshot(raw).group: unpacked(raw) for raw in raws}
    return [rows[group] for group in sorted(rows)]


class _Tables(NamedTuple):
    """What one of the engine's files holds: executions, frontiers and snapshots."""

    executions: list[tuple[int, int, int]]
    frontiers: list[tuple[int, int, int]]
    snapshots: list[tuple[str, str, int, str, bytes | None]]


def _read(path: Path) -> _Tables:
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)) as base:
        base.execute("BEGIN")  # all that follows is of one instant
        return _Tables(
            base.execute("SELECT ex_num, worker_count, resume_epoch FROM exs").fetchall(),
            base.execute("SELECT ex_num, worker_index, worker_frontier FROM fronts").fetchall(),
            base.execute("SELECT step_id, state_key, snap_epoch, created_at, ser_change FROM snaps").fetchall(),
        )


def _resumable(files: list[_Tables]) -> Saved:
    """Return what the engine would resume from: what its own queries say, in recovery.rs of 0.21."""
    epoch = FIRST_EPOCH
    executions = [row for file in files for row in file.executions]
    if executions:
        last, workers, resumed = max(executions)
        frontiers = dict.fromkeys(range(workers), resumed)
        for execution, worker, frontier in (row for file in files for row in file.frontiers):
            if execution == last:
                frontiers[worker] = max(frontiers[worker], frontier)
        epoch = min(frontiers.values())
    chosen: dict[tuple[str, str], tuple[int, str, bytes | None]] = {}
    for step, key, at, created, raw in (row for file in files for row in file.snapshots):
        if at < epoch and at >= chosen.get((step, key), (0,))[0]:
            chosen[step, key] = at, created, raw
    snapshots: dict[str, dict[str, Any]] = {}
    for (step, key), (_, _, raw) in chosen.items():
        if raw is not None:
            snapshots.setdefault(step.removeprefix(FLOW), {})[key] = plain(raw)
    saved_at = max((_instant(created) for _, created, _ in chosen.values()), default=0)
    return Saved(epoch, saved_at, snapshots)


def _instant(created: str) -> int:
    """Return what SQLite's CURRENT_TIMESTAMP says as ms."""
    return int(datetime.fromisoformat(created).replace(tzinfo=UTC).timestamp() * 1000)


class _Plain(pickle.Unpickler):
    """Reads pickles of plain values: numbers, text, bytes, and what holds those."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 -- the library's signature
        """Refuse: whoever names a class, or a function, would have it called."""
        raise pickle.UnpicklingError(f"a snapshot that names {module}.{name}")


def plain(raw: bytes) -> Any:  # noqa: ANN401 -- whatever a step gave the engine
    """Read a pickle of plain values.

    Raises:
        pickle.UnpicklingError: it would be anything else.
    """
    return _Plain(io.BytesIO(raw)).load()
