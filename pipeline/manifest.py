"""What a checkpoint or a savepoint holds, apart from the states themselves: a list of contents.

The states lie beside it, in changelogs that its rows name and measure. It is the same for the two of them, and for the
seed of a folder that was made from a savepoint: so whoever reads one reads all.

Rows are the snapshots of key groups and of the resolver, each with a version of its own in front;
`pipeline/key_groups.py` and `pipeline/resolve.py` know them, this module does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from pipeline import resolver_snapshot
from pipeline.group_snapshot import GroupSnapshot, read_snapshot
from pipeline.recovery import RecoveryFacts, RunError

FORMAT: Final = 1
"""The version of this layout. Later ones are refused, and every earlier one is read."""

STEPS: Final = ("visitors", "profiles")
"""The steps that hold states in key groups; they are the first half of their changelogs' names."""

IDENTITY: Final = "identity"
"""The changelog of identifiers and of the ids of events."""

CALLS: Final = "calls"
"""The changelog of calls under way."""

GIVEN: Final = "given"
"""The folder of what leads leave to each other."""


class Manifest(msgspec.Struct, kw_only=True):
    """A list of contents.

    `made_at` and `saved_at` (ms) say when it was written and when the checkpoint was. `places` is how far each
    partition is read: bytes and lines of a file, next offset and the last record's instant of a topic. `brokers` is
    what the source remembers of them. `lengths` are those of output files, `floors` the offsets of partitions of
    triggers before which each is in the checkpoint. `timeline` and `lives` are those of the recovery folder;
    `taken` is how many batches had been taken in there. `resolver` and `calls` are empty where nothing has
    been resolved yet.
    """

    format: int = FORMAT
    nextmove: str
    id: str = ""
    made_at: int = 0
    saved_at: int = 0
    epoch: int
    shard: int = 0
    shards: int = 1
    slots: int = 1
    timeline: str = ""
    lives: dict[str, dict[str, int]] = {}
    taken: int = 0
    key_groups: int
    inputs: list[str]
    out: str
    identity: Literal["embedded", "redis"]
    store_id: str = ""
    places: dict[str, tuple[int, int]] = {}
    brokers: tuple[int, int] | None = None
    lengths: dict[str, int] = {}
    floors: dict[str, int] = {}
    resolver: list[Any] = []
    calls: list[Any] = []
    groups: dict[str, list[list[Any]]] = {}

    @property
    def is_of_topics(self) -> bool:
        """Whether it was read from topics: then the source had something to remember."""
        return self.brokers is not None

    @property
    def name(self) -> str:
        """What the shard is called whose it is, and its part of a savepoint."""
        return f"{self.shard}-of-{self.shards}"

    @property
    def facts(self) -> RecoveryFacts:
        """What a recovery folder that goes on from it is made with."""
        return RecoveryFacts(
            key_groups=self.key_groups,
            inputs=self.inputs,
            out=self.out,
            identity=self.identity,
            starts={name: place[0] for name, place in self.places.items()} if self.is_of_topics else {},
            trigger_ends=self.floors,
            store_id=self.store_id,
            shard=self.name,
            slots=self.slots,
            lives=self.lives | ({self.timeline: {str(self.shard): self.taken}} if self.timeline else {}),
            savepoint=self.id,
        )

    def resolved(self) -> resolver_snapshot.ResolverSnapshot | None:
        """Read the resolver's row."""
        return resolver_snapshot.read_snapshot(packed(self.resolver)) if self.resolver else None

    def held(self, step: str) -> list[GroupSnapshot]:
        """Read the rows of a step's key groups."""
        return [read_snapshot(packed(row)) for row in self.groups.get(step, [])]

    def rows(self, step: str) -> dict[int, list[Any]]:
        """Return the rows themselves, by the numbers of the groups."""
        return {told.group: row for told, row in zip(self.held(step), self.groups.get(step, []), strict=True)}


def brokers_of(memories: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return what several sources remember of the brokers: an outage that one of them had to wait for is waited for."""
    return min(answered for answered, _ in memories), max(held for _, held in memories)


def packed(row: list[Any]) -> bytes:
    """Return a row as the snapshot that it was."""
    return msgspec.msgpack.encode(row)


def unpacked(snapshot: bytes) -> list[Any]:
    """Return a snapshot as the row that it is."""
    row: list[Any] = msgspec.msgpack.decode(snapshot)
    return row


def changelog_name(step: str, group: int) -> str:
    """Name the changelog of a key group."""
    return f"{step}-{group:04d}"


def read_manifest(path: Path) -> Manifest:
    """Read a list of contents.

    Raises:
        RunError: it is not there, damaged, or made by a later version.
    """
    try:
        raw = path.read_bytes()
        version = msgspec.json.decode(raw, type=_Version).format
        if version > FORMAT:
            raise RunError(
                f"{path}: a savepoint of format {version}, of which this nextmove knows {FORMAT};"
                " use the later one that made it"
            )
        return msgspec.json.decode(raw, type=Manifest)
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}; name a savepoint that is whole") from None
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise RunError(
            f"{path}: {error}; it is damaged, or none of nextmove's; name a savepoint that is whole"
        ) from None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a list of contents."""
    path.write_bytes(msgspec.json.encode(manifest))


class _Version(msgspec.Struct):
    format: int
