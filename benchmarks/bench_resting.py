"""What a profile costs in memory while nothing happens to it.

A profile at rest is a key and the state's msgpack bytes in the dictionary of its key group. So its bytes are
`sys.getsizeof` of the key, of the bytes and, shared evenly, of the dictionary (its table of hashes, keys
and values). Not in it: timers, of which a profile at rest has none, and what all profiles share.
`bench_state` has the other view, the memory that a million of them take from the operating system.

The bare loop forgets a visitor when the last session is over, so it has none at rest. What it holds of a
visitor with an open session is shown beside ours: the object, its lists, numbers and the key.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from benchmarks.measure import CACHE, PEERS, BenchmarkError, environment
from config.load import load
from pipeline.key_groups import KeyGroup
from pipeline.run import run
from pipeline.steps import LaneStep

# When the bare loop's visitors are weighed: late enough that the shop is busy, as its evening is.
SHARE_READ: Final = 0.8


class Resting(msgspec.Struct, kw_only=True):
    """Bytes a profile, on average over all of a run; for the bare loop, over those it held at the moment."""

    profiles: int
    state_bytes: float
    key_bytes: float
    table_bytes: float
    bare_visitors: int
    bare_bytes: float

    @property
    def total_bytes(self) -> float:
        """State, key and its share of the table."""
        return self.state_bytes + self.key_bytes + self.table_bytes

    def told(self) -> str:
        """Say it in a line."""
        return (
            f"{self.total_bytes:,.0f} bytes a resting profile ({self.state_bytes:,.0f} state, {self.key_bytes:,.0f}"
            f" key, {self.table_bytes:,.0f} table; {self.profiles:,} profiles); the bare loop keeps none at rest,"
            f" and {self.bare_bytes:,.0f} bytes a visitor with an open session ({self.bare_visitors:,} visitors)"
        )


def in_own_process(source: Path, config: Path) -> Resting:
    """Weigh the profiles that a run over `source` leaves, in a process of its own."""
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.bench_resting", source, config]
    told = subprocess.run(command, capture_output=True, env=environment(), check=False)
    if told.returncode:
        raise BenchmarkError(f"weighing profiles failed: {told.stderr.decode(errors='replace').strip()[-500:]}")
    return msgspec.json.decode(told.stdout.splitlines()[-1], type=Resting)


def weigh(source: Path, config: Path) -> Resting:
    """Run `source` through the flow, lay every profile to rest, and weigh them."""
    groups: set[KeyGroup] = set()
    name, snapshot = "snapshot", LaneStep.snapshot

    def remembered(self: LaneStep) -> bytes:
        groups.update(group for group in self.groups.values() if isinstance(group, KeyGroup))
        return snapshot(self)

    setattr(LaneStep, name, remembered)
    run(load(config), [str(source)], CACHE / "throughput" / "resting")
    for group in groups:
        group.snapshot()
        group.states.lay_to_rest()
    tables = [group.states.rest for group in groups]
    profiles = sum(map(len, tables))
    bare_visitors, bare_bytes = _bare(source)
    return Resting(
        profiles=profiles,
        state_bytes=sum(sys.getsizeof(state) for table in tables for state in table.values()) / profiles,
        key_bytes=sum(sys.getsizeof(key) for table in tables for key in table) / profiles,
        table_bytes=sum(map(sys.getsizeof, tables)) / profiles,
        bare_visitors=bare_visitors,
        bare_bytes=bare_bytes,
    )


def _bare(source: Path) -> tuple[int, float]:
    """Return how many visitors the bare loop holds after most of the input, and the bytes of each."""
    sys.path.insert(0, str(PEERS))
    job = importlib.import_module("bare.bare_orjson").Job(lambda _line: None)
    common = importlib.import_module("common")
    size, read = source.stat().st_size, 0
    with source.open("rb") as lines:
        for line in lines:
            event = orjson.loads(line)
            job.event(common.key_of(event), common.facts(event))
            read += len(line)
            if read > size * SHARE_READ:
                break
    visitors: dict[str, Any] = job.visitors
    weighed = sys.getsizeof(visitors) + sum(_weight(key) + _weight(visitor) for key, visitor in visitors.items())
    return len(visitors), weighed / max(1, len(visitors))


def _weight(value: Any) -> int:  # noqa: ANN401 - whatever a visitor is made of
    size = sys.getsizeof(value)
    if isinstance(value, list | tuple):
        return size + sum(map(_weight, value))
    return size + sum(_weight(getattr(value, name)) for name in getattr(value, "__slots__", ()))


if __name__ == "__main__":
    found = weigh(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps(msgspec.to_builtins(found)))
