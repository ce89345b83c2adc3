"""What the engine's cluster mode costs: two members, beside one process, and beside two that know nothing of another.

All read the same events from two files, which have each visitor in one of them, and make checkpoints. The variants are
run in turn; CPU is that of all processes of a variant, and its end is that of the last. What one process and two
members publish must be the same.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from benchmarks.measure import CACHE, Usage, events_file, measured_together, missing_shared, spread
from config.load import describe
from config.settings import Settings, SourceSettings

PROCESSES: Final = 2
ONE: Final = "one process"
MEMBERS: Final = "two members of a cluster"
APART: Final = "two processes, half of the events each"
# What they say of persons; decisions bear the instant at which they were published.
STREAMS: Final = ("sessions", "carts")
SETTINGS: Final = Settings(source=SourceSettings(file_watermark="lateness"))


class ClusterRow(msgspec.Struct, kw_only=True):
    """One variant's figures, a value a round."""

    name: str
    cpu_us: list[float]
    """CPU an event of all processes, in microseconds."""
    events_a_second: list[float]
    rss_mb: list[float]
    """Of the largest process."""


class ClusterFound(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    events: int
    rows: list[ClusterRow]
    is_equal: bool
    """Whether the members published what one process did."""


class _Visitor(msgspec.Struct):
    anonymousId: str = ""  # noqa: N815 -- as the record has it


def run(events: int, rounds: int, tell: Callable[[str], None]) -> ClusterFound | None:
    """Measure all variants `rounds` times; None where the input cannot be made. `tell` hears of progress."""
    if gone := missing_shared():
        tell(f"LEFT OUT: {gone}")
        return None
    inputs = _halves(events_file(events))
    used: dict[str, list[list[Usage]]] = {ONE: [], MEMBERS: [], APART: []}
    for number in range(rounds):
        for name, usages in used.items():
            usages.append(_measured(name, inputs))
            cpu_s = sum(usage.cpu_s for usage in usages[-1])
            tell(f"round {number + 1} of {rounds}: {name}, {cpu_s:.2f} CPU s")
    return ClusterFound(
        events=events,
        rows=[_row(name, usages, events) for name, usages in used.items()],
        is_equal=_digest(ONE) == _digest(MEMBERS),
    )


def table(found: ClusterFound) -> list[list[str]]:
    """Return the rows to print, the first with the headings."""
    base = spread(found.rows[0].cpu_us).middle
    rows = [["variant", "CPU µs an event", "of one process", "events a second", "peak MB of a process"]]
    for row in found.rows:
        cpu_us, pace = spread(row.cpu_us), spread(row.events_a_second)
        ratio = f"{cpu_us.middle / base:.2f}"
        rows.append([row.name, cpu_us.told(), ratio, pace.told(",.0f"), f"{max(row.rss_mb):,.0f}"])
    return rows


def told(found: ClusterFound) -> str:
    """Say whether it is right."""
    return f"Sessions and carts of the members are {'' if found.is_equal else 'NOT '}those of one process"


def _halves(source: Path) -> list[str]:
    """Deal the events out to two files by visitor, if that is not done yet."""
    paths = [source.with_suffix(f".{number}-of-{PROCESSES}.jsonl") for number in range(PROCESSES)]
    if not all(path.exists() for path in paths):
        decode = msgspec.json.Decoder(_Visitor).decode
        with ExitStack() as stack:
            files = [stack.enter_context(path.with_suffix(".part").open("wb")) for path in paths]
            for line in stack.enter_context(source.open("rb")):
                files[crc32(decode(line).anonymousId.encode()) % PROCESSES].write(line)
        for path in paths:
            path.with_suffix(".part").rename(path)
    return [str(path) for path in paths]


def _measured(name: str, inputs: Sequence[str]) -> list[Usage]:
    """Run a variant once; return what each process took."""
    folder = _folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = folder / "settings.yaml"
    config.write_text(describe(SETTINGS), encoding="utf-8")
    own: list[str | Path] = [sys.executable, "-m", "pipeline.cli", "run", "--config", config]
    kept = "--recovery", folder / "state"
    commands: list[list[str | Path]] = [[*own, *inputs, "--out", folder / "out", *kept]]
    if name == MEMBERS:
        known = [word for port in _free_ports() for word in ("--address", f"127.0.0.1:{port}")]
        commands = [[*commands[0], "--process", str(number), *known] for number in range(PROCESSES)]
    elif name == APART:
        commands = [
            [*own, path, "--out", folder / str(number), "--recovery", folder / f"state-{number}"]
            for number, path in enumerate(inputs)
        ]
    return measured_together(commands)


def _free_ports() -> list[int]:
    """Find ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(PROCESSES)]
        return [one.getsockname()[1] for one in sockets]


def _row(name: str, rounds: list[list[Usage]], events: int) -> ClusterRow:
    return ClusterRow(
        name=name,
        cpu_us=[sum(one.cpu_s for one in usages) / events * 1e6 for usages in rounds],
        events_a_second=[events / max(one.wall_s for one in usages) for usages in rounds],
        rss_mb=[max(one.rss_mb for one in usages) for usages in rounds],
    )


def _digest(name: str) -> str:
    lines = [line for stream in STREAMS for line in (_folder(name) / "out" / f"{stream}.jsonl").open("rb")]
    return sha256(b"".join(sorted(lines))).hexdigest()


def _folder(name: str) -> Path:
    return CACHE / "cluster" / name.replace(", ", "-").replace(" ", "-")
