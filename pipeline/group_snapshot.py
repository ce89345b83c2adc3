"""What a checkpoint has of a key group beside its changelog, in this version and those before."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from connectors.changelog import check_version

STATE_VERSION: Final = 6
"""The version of the layout of what a snapshot and the changelog hold."""

_Gone: Final[Any] = dict[str, tuple[str, int]]
_Erased: Final[Any] = dict[str, tuple[int, int]]
_Row: Final[Any] = tuple[int, int, int, int, int, int, int, _Gone, list[Any], dict[str, list[Any]], _Erased]
# Nobody could be erased.
_Row4: Final[Any] = tuple[int, int, int, int, int, int, int, _Gone, list[Any], dict[str, list[Any]]]
# No lead could become another.
_Row3: Final[Any] = tuple[int, int, int, int, int, int, int, _Gone]
# A group knew how far what other shards send had come, by the way that it took.
_Row2: Final[Any] = tuple[int, int, int, int, int, int, int, Any]
# It knew the marks of partitions in place of their minimum, the watermark, and of no other shards.
_Row1: Final[Any] = tuple[int, int, int, int, dict[str, int], int, int]


class GroupSnapshot(NamedTuple):
    """What a checkpoint has of a key group, beside its changelog."""

    group: int
    generation: int
    """Of the changelog, and its length."""
    length: int
    watermark: int
    top_at: int
    swept_at: int
    gone: dict[str, tuple[str, int]] = {}  # noqa: RUF012 -- never changed
    """Visitors that have been handed over, each with the lead and the store's clock with the link."""
    leaving: list[Any] = []  # noqa: RUF012 -- never changed
    """Leads who have become another one, and whose state is still here: rows of their hand-overs."""
    queues: dict[str, list[Any]] = {}  # noqa: RUF012 -- never changed
    """Leads who wait for the state of another one, each with a queue as `pipeline/waiting.py` writes it."""
    erased: dict[str, tuple[int, int]] = {}  # noqa: RUF012 -- never changed
    """Profiles that were erased, each with up to when (ms), and the store's clock then."""


def read_snapshot(raw: bytes) -> GroupSnapshot:
    """Return what a `KeyGroup.snapshot` says, of this version or an older one.

    Raises:
        ChangelogError: a later version wrote it.
    """
    version = check_version(raw, STATE_VERSION)
    if version == 1:
        _, group, generation, length, marks, top_at, swept_at = msgspec.msgpack.decode(raw, type=_Row1)
        return GroupSnapshot(group, generation, length, min(marks.values(), default=-1), top_at, swept_at)
    if version == 2:
        return GroupSnapshot(*msgspec.msgpack.decode(raw, type=_Row2)[1:-1])
    if version == 3:
        return GroupSnapshot(*msgspec.msgpack.decode(raw, type=_Row3)[1:])
    if version == 4:
        return GroupSnapshot(*msgspec.msgpack.decode(raw, type=_Row4)[1:])
    # Version 5 differs in the profiles alone, which had no rate.
    return GroupSnapshot(*msgspec.msgpack.decode(raw, type=_Row)[1:])


def write_snapshot(snapshot: GroupSnapshot) -> bytes:
    """Return what `read_snapshot` reads."""
    return msgspec.msgpack.encode([STATE_VERSION, *snapshot])
