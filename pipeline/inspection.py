"""What a checkpoint or a savepoint holds, counted. Nothing is written, and no lock is taken: a run may go on there."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from connectors import changelog
from connectors.changelog import ENTRY_OVERHEAD, ChangelogError
from operators.event import FOREVER
from operators.profile_state import last_at
from pipeline import resolver_snapshot
from pipeline.checkpoint import read_checkpoint
from pipeline.manifest import IDENTITY, STEPS, Manifest, changelog_name
from pipeline.processes import read_holder
from pipeline.recovery import LOCK_FILE, OWN_FILES, STATE_FILE, RunError, folders_in
from pipeline.savepoint import is_savepoint, read_parts

# A run that is looked at may remove a file, rewritten, three checkpoints after the one that named it.
LOOKS_MAX: Final = 5


class Held(msgspec.Struct, kw_only=True):
    """What the key groups of a step hold. Instants are in ms, None where there is none."""

    groups: int = 0
    profiles: int = 0
    timers: int = 0
    due_at: int | None = None
    """When the next timer is due; it may be past."""
    oldest_at: int | None = None
    newest_at: int | None = None
    """The last event of whoever has been silent for longest, and of whoever was last."""
    bytes_live: int = 0


class Inspection(msgspec.Struct, kw_only=True):
    """What a checkpoint or one part of a savepoint holds; instants are in ms, -1 or None where there is none."""

    kind: Literal["checkpoint", "savepoint"]
    place: str
    pid: int | None = None
    """Which process runs on it, on this machine."""
    nextmove: str
    format: int
    state_versions: list[int]
    id: str
    made_at: int
    saved_at: int
    epoch: int
    shard: int
    shards: int
    key_groups: int
    inputs: list[str]
    out: str
    identity: str
    places: dict[str, tuple[int, int]]
    is_of_topics: bool
    watermark: int
    steps: dict[str, Held]
    identifiers: int = 0
    event_ids: int = 0
    bytes_live: int = 0
    bytes_on_disk: int = 0


def inspect(folder: Path) -> list[Inspection]:
    """Return what a recovery folder, that of each shard, or each part of a savepoint holds.

    Raises:
        RunError: it is neither, or it is damaged.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder; name a recovery folder or a savepoint")
    try:
        if any((one / STATE_FILE).exists() for one in folders_in(folder)):
            return [_checkpoint(one) for one in folders_in(folder)]
        if not is_savepoint(folder):
            raise RunError(f"{folder} is neither a recovery folder nor a savepoint; check the name")
        return [_inspected("savepoint", part.folder, part.manifest) for part in read_parts(folder)]
    except ChangelogError as error:
        raise RunError(str(error)) from None


def _checkpoint(folder: Path) -> Inspection:
    """Look at a recovery folder; again where its run has removed what the checkpoint named meanwhile."""
    manifest = read_checkpoint(folder)
    for _ in range(LOOKS_MAX):
        try:
            return _inspected("checkpoint", folder, manifest)
        except ChangelogError:
            epoch, manifest = manifest.epoch, read_checkpoint(folder)
            if manifest.epoch == epoch:
                raise
    raise RunError(f"{folder} changes faster than it can be read; set checkpoint.interval higher, or stop the run")


def _inspected(kind: Literal["checkpoint", "savepoint"], folder: Path, manifest: Manifest) -> Inspection:
    holder = read_holder(folder / LOCK_FILE)
    told = manifest.resolved()
    found = Inspection(
        kind=kind,
        place=str(folder),
        pid=holder.process.pid if holder is not None and holder.process.is_alive else None,
        nextmove=manifest.nextmove,
        format=manifest.format,
        state_versions=sorted({row[0] for rows in manifest.groups.values() for row in rows}),
        id=manifest.id,
        made_at=manifest.made_at,
        saved_at=manifest.saved_at,
        epoch=manifest.epoch,
        shard=manifest.shard,
        shards=manifest.shards,
        key_groups=manifest.key_groups,
        inputs=manifest.inputs,
        out=manifest.out,
        identity=manifest.identity,
        places=manifest.places,
        is_of_topics=manifest.is_of_topics,
        watermark=-1 if told is None else min(told.marks.values(), default=-1),
        steps={step: _held(folder, step, manifest) for step in STEPS},
        bytes_on_disk=_size_on_disk(folder),
    )
    if told is not None:
        live = changelog.live(changelog.path_of(folder, IDENTITY, told.generation), told.length)
        found.identifiers, found.event_ids = resolver_snapshot.counted(live)
        found.bytes_live = _size(live)
    found.bytes_live += sum(held.bytes_live for held in found.steps.values())
    return found


def _held(folder: Path, step: str, manifest: Manifest) -> Held:
    held = Held()
    for row in manifest.held(step):
        path = changelog.path_of(folder, changelog_name(step, row.group), row.generation)
        live = changelog.live(path, row.length)
        held.groups += 1
        held.profiles += len(live)
        held.bytes_live += _size(live)
        dues = [due_at for due_at, _ in live.values() if due_at < FOREVER]
        lasts = [last_at(state) for _, state in live.values()]
        held.timers += len(dues)
        held.due_at = _least(held.due_at, dues)
        held.oldest_at = _least(held.oldest_at, lasts)
        held.newest_at = max([*lasts, *([] if held.newest_at is None else [held.newest_at])], default=None)
    return held


def _least(known: int | None, others: list[int]) -> int | None:
    return min([*others, *([] if known is None else [known])], default=None)


def _size(live: dict[str, tuple[int, bytes]]) -> int:
    return sum(
        len(key.encode(errors="surrogatepass")) + len(state) + ENTRY_OVERHEAD for key, (_, state) in live.items()
    )


def _size_on_disk(folder: Path) -> int:
    size = 0
    for pattern in (*OWN_FILES, "*.json"):
        for path in folder.glob(pattern):
            with suppress(FileNotFoundError):  # its run has just removed it
                size += path.stat().st_size
    return size


def rows_of(found: Inspection) -> dict[str, str]:
    """Write what was found, for people: by the name of the line."""
    run = f"process {found.pid} goes on from it" if found.pid is not None else "no process of this machine runs on it"
    size = f"{_bytes(found.bytes_live)} of live states and ids, {_bytes(found.bytes_on_disk)} on the disk"
    versions = f"format {found.format}, states of version {_listed(map(str, found.state_versions)) or 'none'}"
    shard = "" if found.shards == 1 else f", part {found.shard} of {found.shards}"
    unit = "offset {:,}" if found.is_of_topics else "byte {:,}, line {:,}"
    known = f"{found.identifiers:,} identifiers of leads" if found.identity == "embedded" else "in Redis"
    return {
        "Kind": f"last {found.kind} of a recovery folder" if found.kind == "checkpoint" else "savepoint",
        "Run": run if found.kind == "checkpoint" else "",
        "Made": f"{instant(found.made_at)}, id {found.id}" if found.kind == "savepoint" else "",
        "Checkpoint": f"{instant(found.saved_at)}, epoch {found.epoch}",
        "Version": f"nextmove {found.nextmove}, {versions}",
        "Key groups": f"{found.key_groups}{shard}",
        "Read": "\n".join(f"{name}: {unit.format(*place)}" for name, place in sorted(found.places.items())),
        "Written to": found.out,
        "Watermark": instant(found.watermark),
        "Visitors": _profiles(found.steps["visitors"]),
        "Leads": _profiles(found.steps["profiles"]),
        "Identities": known,
        "Event ids": f"{found.event_ids:,} remembered, to know duplicates by",
        "Size": size,
    }


def _profiles(held: Held) -> str:
    if not held.profiles:
        return "none"
    due = "" if held.due_at is None else f", the next due {instant(held.due_at)}"
    assert held.oldest_at is not None, "a profile has had an event"
    assert held.newest_at is not None, "a profile has had an event"
    lasts = f"last events from {instant(held.oldest_at)} to {instant(held.newest_at)}"
    return f"{held.profiles:,}, {held.timers:,} with a timer{due}; {lasts}"


def instant(at: int) -> str:
    """Write an instant in ms for people; the flow has none before its first event."""
    return "none yet" if at < 0 else f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def _listed(names: Iterable[str]) -> str:
    return " and ".join(names)
