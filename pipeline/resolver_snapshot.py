"""What a checkpoint has of the resolver, in this version and those before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from connectors.changelog import Entry, check_version
from operators.duplicates import ANY, Place
from operators.identity import TYPES
from pipeline.watermark import NOTHING_HEARD, Heard

VERSION: Final = 4

IDS: Final = "#"
"""What an entry of the changelog that holds ids has as key: this, their generation, a number and their source.

Before version 4 nobody asked for the source, and there is none.
"""


class ResolverSnapshot(NamedTuple):
    """What the resolver's snapshot says.

    That is where its changelog ends, marks and latest event times by partition, how many batches it has taken in, what
    the last parcel was by the way that it came (its number and part), and what other shards have said of time.
    """

    generation: int
    length: int
    marks: dict[str, int]
    tops: dict[str, int]
    taken: int = 0
    last: dict[str, tuple[int, int]] = {}  # noqa: RUF012 -- never changed
    heard: Heard = NOTHING_HEARD


_Heard: Final[Any] = tuple[
    list[tuple[int, int, int, int, int, int]], list[int], list[int], dict[str, int], int, int, int, int
]
_Row: Final[Any] = tuple[int, int, int, dict[str, int], dict[str, int], int, dict[str, tuple[int, int]], _Heard]
# Of a shard's channels the store's clock was known for the first step alone.
_Heard2: Final[Any] = tuple[
    list[tuple[int, int, int, int, int]], list[int], list[int], dict[str, int], int, int, int, int
]
_Row2: Final[Any] = tuple[int, int, int, dict[str, int], dict[str, int], int, dict[str, tuple[int, int]], _Heard2]
# Of one process: there was nobody else to be heard of.
_Row1: Final[Any] = tuple[int, int, int, dict[str, int], dict[str, int]]


def read_snapshot(raw: bytes) -> ResolverSnapshot:
    """Read what `write_snapshot` wrote, in this version or one before.

    Raises:
        ChangelogError: a later version wrote it.
    """
    version = check_version(raw, VERSION)
    if version == 1:
        return ResolverSnapshot(*msgspec.msgpack.decode(raw, type=_Row1)[1:])
    if version == 2:
        _, *row, (channels, *heard) = msgspec.msgpack.decode(raw, type=_Row2)
        known = Heard([(*channel, 0) for channel in channels], *heard)
    else:
        _, *row, heard = msgspec.msgpack.decode(raw, type=_Row)
        known = Heard(*heard)
    generation, length, marks, tops, taken, last = row
    return ResolverSnapshot(generation, length, marks, tops, taken, last, known)


def write_snapshot(told: ResolverSnapshot) -> bytes:
    """Return a snapshot: a row whose first number is its version."""
    return msgspec.msgpack.encode([VERSION, *told])


def merged(
    resolvers: Iterable[tuple[ResolverSnapshot, dict[str, tuple[int, bytes]]]],
) -> tuple[ResolverSnapshot, list[Entry]]:
    """Make one of several resolvers, each a snapshot and its live entries: all that they know, of all partitions.

    It begins a life of its own: with its first batch, and with nothing heard of others.
    """
    marks: dict[str, int] = {}
    tops: dict[str, int] = {}
    links: dict[str, bytes] = {}
    ids: dict[Place, set[str]] = {}
    last: dict[str, tuple[int, int]] = {}
    for told, live in resolvers:
        for way, place in told.last.items():
            last[way] = max(place, last.get(way, place))
        for partition, mark in told.marks.items():
            marks[partition] = max(mark, marks.get(partition, -1))
        for partition, top in told.tops.items():
            tops[partition] = max(top, tops.get(partition, -1))
        for key, (_, raw) in live.items():
            if key.startswith(IDS):
                ids.setdefault(place_of(key), set()).update(ids_of(raw))
            else:
                links[key] = raw
    entries: list[Entry] = [(name, 0, lead) for name, lead in links.items()]
    entries += [(ids_key(place, 0), 0, msgspec.msgpack.encode(sorted(ids[place]))) for place in ids]
    return ResolverSnapshot(0, 0, marks, tops, 0, last), entries


def counted(live: dict[str, tuple[int, bytes]]) -> tuple[int, int]:
    """Count the identifiers and the ids of events in the live entries of a resolver's changelog."""
    lists = [len(ids_of(raw)) for key, (_, raw) in live.items() if key.startswith(IDS)]
    return sum(1 for key in live if key[0] in TYPES), sum(lists)


def ids_key(place: Place, number: int) -> str:
    """Return the key of the `number`-th entry that holds ids of that source and generation."""
    source, generation = place
    return f"{IDS}{generation}/{number}/{source}" if source != ANY else f"{IDS}{generation}/{number}"


def place_of(key: str) -> Place:
    """Return of which source and generation the ids are that an entry of that key holds."""
    generation, _, *source = key[len(IDS) :].split("/", 2)
    return source[0] if source else ANY, int(generation)


def ids_of(raw: bytes) -> list[str]:
    """Return the ids in an entry."""
    found: list[str] = msgspec.msgpack.decode(raw, type=list[str])
    return found
