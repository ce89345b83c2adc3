"""Savepoints: whole states in a folder of their own, for another machine, another number of processes, a later version.

Theory of operation
-------------------
A savepoint is a folder with one part for each process, `0-of-1` where there is one. A part holds a list of contents
(`savepoint.json`, see `pipeline/manifest.py`) and the states in changelogs of live entries only. It is made under
another name, brought to the disk and then renamed: it is whole, or it is not there.

A folder made from one gets the states of the key groups that it owns, from whichever part, as the first generation of
its changelogs, and a *seed*: a list of contents again. Whatever the engine has no snapshot of yet starts from
the seed. So a crash before the first checkpoint starts from the savepoint once more.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec

from connectors import changelog, journal
from connectors.changelog import ChangelogError
from connectors.cloudevents import STREAMS
from operators.ids import digest
from pipeline import calls, group_snapshot, resolver_snapshot
from pipeline.manifest import (
    CALLS,
    GIVEN,
    IDENTITY,
    STEPS,
    Manifest,
    brokers_of,
    changelog_name,
    packed,
    read_manifest,
    unpacked,
    write_manifest,
)
from pipeline.recovery import SEED_FILE, Origin, Recovery, RecoveryFacts, RunError
from pipeline.version import own_version

CONTENTS: Final = "savepoint.json"
PART: Final = re.compile(r"(\d+)-of-(\d+)")


class Part(NamedTuple):
    """A folder with states in changelogs, and the list of its contents."""

    folder: Path
    manifest: Manifest


def save(checkpoint: Part, folder: Path) -> Path:
    """Write the states of a checkpoint into the savepoint `folder`; return where they are.

    The checkpoint's folder is locked, or nobody writes to it.

    Raises:
        RunError: the folder has something else in it, or cannot be written, or the checkpoint is damaged.
    """
    manifest = checkpoint.manifest
    unsaved = journal.entries_after(checkpoint.folder, manifest.taken) if manifest.shards > 1 else 0
    if unsaved:
        raise RunError(
            f"{checkpoint.folder}: its process was killed, and {unsaved} batches of which other shards have heard are"
            " in no checkpoint; start it once more, and stop it then"
        )
    name = manifest.name
    target, new = folder / name, folder / f".{name}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(folder, name, manifest.shards)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        saved = _gather([checkpoint], new, _all)
        saved.id, saved.made_at, saved.nextmove = uuid4().hex, time.time_ns() // 1_000_000, own_version()
        saved.shard, saved.shards = manifest.shard, manifest.shards
        write_manifest(new / CONTENTS, saved)
        _to_disk(new / CONTENTS)
        _to_disk(new)
        new.rename(target)
        _to_disk(folder)
    except OSError as error:
        raise RunError(f"{error.filename or folder}: {error.strerror}; name a folder that can be written") from None
    except ChangelogError as error:
        raise RunError(str(error)) from None
    return target


def read_parts(folder: Path) -> list[Part]:
    """Return the parts of a savepoint, all of them.

    Raises:
        RunError: it is none, or a part is missing or does not go with the others.
    """
    found = {path.name: path for path in _parts_in(folder)}
    if not found:
        raise RunError(f"{folder} is no savepoint: there is no 0-of-1 or the like in it; check the name")
    counts = sorted({int(name.partition("-of-")[2]) for name in found})
    if len(counts) > 1:
        raise RunError(
            f"{folder} has parts of savepoints of {counts[0]} and {counts[1]} processes; take one of the two"
        )
    missing = missing_in(folder)
    if missing:
        raise RunError(f"{folder} lacks {', '.join(missing)}; stop every process with --savepoint {folder}")
    parts = [Part(found[name], read_manifest(found[name] / CONTENTS)) for name in sorted(found)]
    first = _deployment(parts[0].manifest)
    for part in parts[1:]:
        if _deployment(part.manifest) != first:
            raise RunError(f"{part.folder} is of another deployment than {parts[0].folder}; take parts of one")
    return parts


def missing_in(folder: Path) -> list[str]:
    """Return the names of the parts that a savepoint lacks: other processes have yet to save them."""
    found = {path.name for path in _parts_in(folder)}
    count = max((int(name.partition("-of-")[2]) for name in found), default=0)
    return [name for i in range(count) if (name := f"{i}-of-{count}") not in found]


def is_savepoint(folder: Path) -> bool:
    """Tell whether a folder has parts of a savepoint in it."""
    return bool(_parts_in(folder))


def take_up(state: Recovery, folder: Path, out: Path | None, shard: str) -> Manifest | None:
    """Let a new recovery folder come from the savepoint `folder`; return None where it has come from there before.

    `out` is where files go, `shard` the name of the one that goes on there.

    Raises:
        RunError: the savepoint cannot be read, or the recovery folder has a past of its own.
    """
    if not state.is_new:
        _check_past(state, folder)
        return None
    parts = read_parts(folder)
    facts = _facts(parts, shard)
    lengths = parts[0].manifest.lengths
    is_cut = out is not None and not facts.trigger_ends
    if out is not None and is_cut:
        lengths = _lengths(folder, out, facts.out, lengths)
        facts = msgspec.structs.replace(facts, out=str(out.resolve()))

    def unpack(target: Path, owns: Callable[[int], bool]) -> None:
        try:
            seed = _gather(parts, target, owns)
        except ChangelogError as error:
            raise RunError(str(error)) from None
        seed.id, seed.lengths = facts.savepoint, lengths
        write_manifest(target / SEED_FILE, seed)
        _to_disk(target / SEED_FILE)
        _to_disk(target)
        if out is not None and is_cut:
            _cut(out, lengths)

    state.come_from(Origin(folder, facts, unpack))
    return parts[0].manifest


def told_of(manifest: Manifest) -> str:
    """Say in half a line what a savepoint is."""
    made_at = datetime.fromtimestamp(manifest.made_at / 1000, UTC)
    return f"made {made_at:%Y-%m-%d %H:%M:%S}Z by nextmove {manifest.nextmove}"


def identity_of(parts: Iterable[Part]) -> str:
    """Return the id of a savepoint: that of its one part, or what follows from those of all."""
    ids = sorted(part.manifest.id for part in parts)
    return ids[0] if len(ids) == 1 else digest(*ids)


def _facts(parts: list[Part], shard: str) -> RecoveryFacts:
    """Return what a folder of a shard that comes from these parts is made with."""
    facts = parts[0].manifest.facts
    slots = 0 if len(parts) == 1 else facts.slots  # one process had no need of any: it is asked how many there are
    starts = {name: offset for name, (offset, _) in _places(parts).items()} if facts.starts else {}
    ends: dict[str, int] = {}
    for part in parts:
        for name, offset in part.manifest.floors.items():
            ends[name] = min(offset, ends.get(name, offset))
    lives: dict[str, dict[str, int]] = {}
    for part in parts:
        for timeline, taken in part.manifest.facts.lives.items():
            lives[timeline] = lives.get(timeline, {}) | taken
    return msgspec.structs.replace(
        facts, shard=shard, slots=slots, starts=starts, trigger_ends=ends, lives=lives, savepoint=identity_of(parts)
    )


def _places(parts: list[Part]) -> dict[str, tuple[int, int]]:
    """Return how far each partition is read: as far as by whoever reads it.

    A shard that had no checkpoint yet since it was made from a savepoint still has the places of all in its seed.
    """
    found: dict[str, tuple[int, int]] = {}
    for part in parts:
        for name, place in part.manifest.places.items():
            found[name] = max(place, found.get(name, place))
    return found


def _check_past(state: Recovery, folder: Path) -> None:
    """Refuse a savepoint that is not the one that a folder was made from. One that is gone has done its work."""
    assert state.known is not None, "a folder that is not new has a past"
    if state.known.savepoint and not folder.exists():
        return
    if not state.known.savepoint:
        raise RunError(f"{state.folder} has a past of its own; name an empty --recovery, or leave out --from-savepoint")
    if state.known.savepoint != identity_of(read_parts(folder)):
        raise RunError(f"{state.folder} was made from another savepoint than {folder}; name an empty --recovery")


def _lengths(folder: Path, out: Path, before: str, lengths: dict[str, int]) -> dict[str, int]:
    """Return at which length each output file goes on: at that of the savepoint, or at none in a folder without any.

    What a run wrote after its savepoint is cut off, as after a crash, where that is the folder it wrote to. Elsewhere
    nobody knows whose the rest is.
    """
    sizes = {name: path.stat().st_size for name in STREAMS if (path := out / f"{name}.jsonl").exists()}
    if not sizes:
        return {}
    is_same = str(out.resolve()) == before
    for name in STREAMS:
        length, size = lengths.get(name, 0), sizes.get(name, 0)
        if size < length or (size > length and not is_same):
            raise RunError(
                f"{out / name}.jsonl has {size} bytes where the savepoint {folder} has {length};"
                f" bring the files as they were in {before}, or name an --out without any"
            )
    return lengths


def _cut(out: Path, lengths: dict[str, int]) -> None:
    """Take back what was written after the savepoint, of streams too that write nothing for a while."""
    for name in STREAMS:
        path = out / f"{name}.jsonl"
        if path.exists():
            os.truncate(path, lengths.get(name, 0))


def _gather(parts: list[Part], target: Path, owns: Callable[[int], bool]) -> Manifest:
    """Write what `parts` hold of the groups that are owned as changelogs into `target`; return their contents.

    What leads have left to each other is for whoever waits for it.
    """
    manifests = [part.manifest for part in parts]
    merged = msgspec.structs.replace(
        manifests[0],
        epoch=max(manifest.epoch for manifest in manifests),
        saved_at=max(manifest.saved_at for manifest in manifests),
        places=_places(parts),
        groups={step: [] for step in STEPS},
    )
    memories = [manifest.brokers for manifest in manifests if manifest.brokers is not None]
    if memories:
        merged.brokers = brokers_of(memories)
    resolvers = [
        (told, _live(part.folder, IDENTITY, told.generation, told.length))
        for part in parts
        if (told := part.manifest.resolved()) is not None
    ]
    if resolvers:
        told, entries = resolver_snapshot.merged(resolvers)
        length = changelog.write(target, IDENTITY, entries)
        merged.resolver = unpacked(resolver_snapshot.write_snapshot(told._replace(generation=0, length=length)))
    merged.calls = _carry_calls(parts, target)
    for step in STEPS:
        for group, holders in _by_group(parts, step):
            if owns(group):
                merged.groups[step].append(_carry(step, holders, target))
    for part in parts:
        if (part.folder / GIVEN).is_dir():
            shutil.copytree(part.folder / GIVEN, target / GIVEN, dirs_exist_ok=True)
    return merged


def _carry_calls(parts: list[Part], target: Path) -> list[object]:
    """Write the calls of all parts into `target`; return their row. Whoever reads their partitions takes them up."""
    marks: dict[str, int] = {}
    tops: dict[str, int] = {}
    live: dict[str, tuple[int, bytes]] = {}
    for part in parts:
        if part.manifest.calls:
            generation, length, theirs, their_tops = calls.read_snapshot(packed(part.manifest.calls))
            marks |= {name: max(mark, marks.get(name, mark)) for name, mark in theirs.items()}
            tops |= {name: max(top, tops.get(name, top)) for name, top in their_tops.items()}
            live |= _live(part.folder, CALLS, generation, length)
    if not any(part.manifest.calls for part in parts):
        return []
    length = changelog.write(target, CALLS, ((key, due_at, raw) for key, (due_at, raw) in live.items()))
    return unpacked(calls.write_snapshot(0, length, marks, tops))


def _by_group(parts: list[Part], step: str) -> Iterator[tuple[int, list[tuple[Path, group_snapshot.GroupSnapshot]]]]:
    """Give the key groups of a step in order, each with where it lies."""
    found: dict[int, list[tuple[Path, group_snapshot.GroupSnapshot]]] = {}
    for part in parts:
        for row in part.manifest.held(step):
            found.setdefault(row.group, []).append((part.folder, row))
    yield from sorted(found.items())


def _carry(step: str, holders: list[tuple[Path, group_snapshot.GroupSnapshot]], target: Path) -> list[object]:
    """Write a key group's live states into `target`; return its row. Of several holders one has any."""
    row = holders[0][1]
    name = changelog_name(step, row.group)
    live: dict[str, tuple[int, bytes]] = {}
    for folder, other in holders:
        found = _live(folder, name, other.generation, other.length)
        if found and live:
            raise RunError(
                f"{folder} holds key group {row.group} of {step}, as another part does; take parts of one stop"
            )
        if found:
            live, row = found, other
    length = changelog.write(target, name, ((key, due_at, state) for key, (due_at, state) in live.items()))
    return unpacked(group_snapshot.write_snapshot(row._replace(generation=0, length=length)))


def _live(folder: Path, name: str, generation: int, length: int) -> dict[str, tuple[int, bytes]]:
    return changelog.live(changelog.path_of(folder, name, generation), length)


def _parts_in(folder: Path) -> list[Path]:
    try:
        return [path for path in sorted(folder.iterdir()) if PART.fullmatch(path.name) and path.is_dir()]
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}; name a savepoint") from None


def _check_room(folder: Path, name: str, shards: int) -> None:
    """Refuse a folder with anything in it but other parts of the same savepoint, or what a crash left of this one."""
    for path in folder.iterdir():
        told = PART.fullmatch(path.name.removeprefix(".").removesuffix(".new"))
        if told is None or int(told[2]) != shards or path.name == name:
            raise RunError(f"{folder} is not empty: it has {path.name}; name a new folder for the savepoint")


def _deployment(manifest: Manifest) -> tuple[object, ...]:
    return manifest.key_groups, manifest.inputs, manifest.out, manifest.identity, manifest.slots


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _all(_group: int) -> bool:
    return True
