"""A whole run with a million profiles in its recovery folder: filled from a file, then live, then restarted.

`load` fills the folder. `live` goes on from it: events come through a pipe at an even pace, so that in each
epoch one profile in a hundred changes; seen from inside is how long checkpoints take (all key groups and
resolve), and how long the flow stood still: the longest that the source, which asks to be called again at
once, was not called. That is work on a batch, the checkpoints, and the engine's own commit. `restart`
starts the same command once more and waits for the first byte of output.

Event times of the live part follow the clock, an hour after the last of the file: each event is a visitor's
return, and is answered at once by a trigger or by the reason for none.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.measure import (
    CACHE,
    SEED,
    BenchmarkError,
    Usage,
    cpu_seconds,
    environment,
    folder_bytes,
    measured,
    memory_mb,
)
from benchmarks.traffic import HOUR_MS, TrafficPlan, generate
from config.load import describe, load
from config.settings import CheckpointSettings, Settings, SourceSettings
from connectors.changelog import Changelog, Rewrites
from connectors.file_source import PipePartition
from pipeline.run import run as run_flow
from pipeline.steps import LaneStep, ResolveStep

FOLDER: Final = CACHE / "state"
EVENTS_A_VISITOR: Final = 1.5
CHANGED_SHARE: Final = 0.01
TICK_MS: Final = 50
RETURNED: Final = 1_000
"""Events that a restarted run finds waiting."""
FIRST_OUTPUT_S_MAX: Final = 120.0
_ANONYMOUS_ID: Final = re.compile(rb'"anonymousId":"([0-9a-f]{16})"')


class Epoch(msgspec.Struct):
    """One epoch of the live part, in ms: all checkpoints together, and the longest that the flow stood still."""

    snapshot_ms: float
    stood_still_ms: float


class State(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    profiles: int
    load_cpu_us: float
    """CPU of filling the folder, an event, in microseconds."""
    load_rss_mb: float
    live_rss_mb: float
    epochs: list[Epoch]
    changed: int
    """Profiles that changed in an epoch."""
    restart_s: float
    """From starting the command to the first byte of output, on the clock."""
    restart_cpu_s: float
    live_bytes: int
    folder_bytes: int


def run(profiles: int, epochs: int, epoch_ms: int, tell: Callable[[str], None]) -> State:
    """Fill, run live for so many epochs of so many ms, and restart."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    config = FOLDER / "settings.yaml"
    checkpoint, stream = CheckpointSettings(interval_ms=epoch_ms), SourceSettings(file_watermark="lateness")
    config.write_text(describe(Settings(source=stream, checkpoint=checkpoint)), encoding="utf-8")
    source, events = _source(profiles, tell), int(profiles * EVENTS_A_VISITOR)
    command: list[str | Path] = [sys.executable, "-m", "pipeline.cli", "run", "-", "--out", FOLDER / "out"]
    command += ["--recovery", FOLDER / "recovery", "--config", config]
    loaded = measured(command, stdin=source)
    tell(f"state: folder filled, {loaded.cpu_s:.1f} CPU s")
    changed = max(1, int(profiles * CHANGED_SHARE))
    visitors = _visitors(source, changed * (epochs + 2))
    at = TrafficPlan(events=1, visitors=1, seed=SEED).start_at + 30 * HOUR_MS
    found, live_rss_mb = _live(config, visitors, changed * TICK_MS / epoch_ms, epochs * epoch_ms // TICK_MS, at)
    tell(f"state: {len(found)} epochs live")
    restart = _restart(command, visitors, at + 2 * HOUR_MS)
    tell(f"state: first output {restart.wall_s:.2f} s after the restart")
    size = folder_bytes(FOLDER / "recovery")
    live_bytes, count = _live_state(FOLDER / "recovery")
    shutil.rmtree(FOLDER)
    return State(
        profiles=count,
        load_cpu_us=loaded.cpu_s / events * 1e6,
        load_rss_mb=loaded.rss_mb,
        live_rss_mb=live_rss_mb,
        epochs=found,
        changed=changed,
        restart_s=restart.wall_s,
        restart_cpu_s=restart.cpu_s,
        live_bytes=live_bytes,
        folder_bytes=size,
    )


def _source(profiles: int, tell: Callable[[str], None]) -> Path:
    path = CACHE / f"visitors-{profiles}.jsonl"
    if not path.exists():
        tell(f"state: generating traffic of {profiles:,} visitors")
        part = path.with_suffix(".part")
        plan = TrafficPlan(events=int(profiles * EVENTS_A_VISITOR), visitors=profiles, seed=SEED)
        with part.open("wb") as file:
            file.writelines(generate(plan))
        part.rename(path)
    return path


def _visitors(source: Path, wanted: int) -> list[str]:
    """Return the anonymous ids of up to `wanted` visitors."""
    found: dict[str, None] = {}
    with source.open("rb") as lines:
        for line in lines:
            match = _ANONYMOUS_ID.search(line)
            if match:
                found[match[1].decode()] = None
                if len(found) == wanted:
                    break
    return list(found)


def _line(number: int, visitor: str, at: int) -> bytes:
    stamp = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:23]
    url = f"https://shop.example.com/shoes/{number % 997}"
    return (
        f'{{"messageId":"live-{at}-{number}","type":"page","anonymousId":"{visitor}","channel":"web","timestamp":'
        f'"{stamp}Z","receivedAt":"{stamp}Z","properties":{{}},"context":{{"page":{{"url":"{url}"}}}}}}\n'
    ).encode()


def _live(config: Path, visitors: list[str], a_tick: float, ticks: int, at: int) -> tuple[list[Epoch], float]:
    """Feed a run so many events a tick; return what it saw, and its memory."""
    report = FOLDER / "live.json"
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.bench_state", config, report]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment())
    assert child.stdin is not None, "it was asked for"
    began_s = time.monotonic()
    for tick in range(ticks):
        numbers, now = range(round(tick * a_tick), round((tick + 1) * a_tick)), at + tick * TICK_MS
        child.stdin.write(b"".join(_line(number, visitors[number % len(visitors)], now) for number in numbers))
        child.stdin.flush()
        time.sleep(max(0.0, began_s + (tick + 1) * TICK_MS / 1000 - time.monotonic()))
    rss_mb = memory_mb(child.pid)
    child.stdin.close()
    if child.wait():
        raise BenchmarkError(f"the live run ended with {child.returncode}")
    return msgspec.json.decode(report.read_bytes(), type=list[Epoch]), rss_mb


def _restart(command: list[str | Path], visitors: list[str], at: int) -> Usage:
    """Start the run anew with events waiting; return what passed until its first output."""
    size = folder_bytes(FOLDER / "out")
    began_s = time.perf_counter()
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    assert child.stdin is not None, "it was asked for"
    child.stdin.write(b"".join(_line(n, visitor, at) for n, visitor in enumerate(visitors[:RETURNED])))
    child.stdin.flush()
    while folder_bytes(FOLDER / "out") == size:
        time.sleep(0.005)
        if child.poll() is not None or time.perf_counter() - began_s > FIRST_OUTPUT_S_MAX:
            child.kill()
            raise BenchmarkError("the restarted run gave no output")
    usage = Usage(time.perf_counter() - began_s, cpu_seconds(child.pid), memory_mb(child.pid))
    child.stdin.close()
    child.wait()
    return usage


def _live_state(folder: Path) -> tuple[int, int]:
    """Return the bytes of all keys and states in a recovery folder, and its profiles. Spoils the folder."""
    newest: dict[str, int] = {}
    for path in folder.glob("*.log"):
        name, told, _ = path.name.rsplit(".", 2)
        newest[name] = max(newest.get(name, 0), int(told))
    live_bytes = profiles = 0
    for name, generation in newest.items():
        length = (folder / f"{name}.{generation}.log").stat().st_size
        changelog = Changelog(folder, name, Rewrites(), fsync=False)
        entries = (entry for block in changelog.load(generation, length) for entry in block)
        sizes = {key: len(key) + len(state) if state else 0 for key, _, state in entries}
        changelog.close()
        live_bytes += sum(sizes.values())
        profiles += sum(map(bool, sizes.values())) if name != "identity" else 0
    return live_bytes, profiles


class Watch:
    """Sees, from inside a run, when the source is called and how long checkpoints take."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self._epoch = Epoch(0.0, 0.0)
        self._returned_s = time.perf_counter()

    def install(self) -> None:
        """Stand in the way of the methods that tell it."""
        around(LaneStep, "snapshot", self._snapshot)
        around(ResolveStep, "snapshot", self._snapshot)
        around(PipePartition, "next_batch", self._next_batch)
        around(PipePartition, "next_awake", lambda _: datetime.now(UTC))
        around(PipePartition, "snapshot", self._source_snapshot)

    def _snapshot(self, method: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the method returns
        began_s = time.perf_counter()
        result = method()
        self._epoch.snapshot_ms += (time.perf_counter() - began_s) * 1000
        return result

    def _next_batch(self, method: Callable[[], Any]) -> Any:  # noqa: ANN401 - as above
        still_ms = (time.perf_counter() - self._returned_s) * 1000
        self._epoch.stood_still_ms = max(self._epoch.stood_still_ms, still_ms)
        result = method()
        self._returned_s = time.perf_counter()
        return result

    def _source_snapshot(self, method: Callable[[], Any]) -> Any:  # noqa: ANN401 - as above
        # The source's own checkpoint comes first: what follows until the next one is this epoch's end.
        self.epochs.append(self._epoch)
        self._epoch = Epoch(0.0, 0.0)
        return method()


def around(owner: type, name: str, told: Callable[[Callable[[], Any]], Any]) -> None:
    """Put `told` in the place of a method of `owner`; it is given what calls that."""
    inner = getattr(owner, name)

    def outer(self: Any) -> Any:  # noqa: ANN401 - whatever the method belongs to and returns
        return told(lambda: inner(self))

    setattr(owner, name, outer)


def _run_live(config: Path, report: Path) -> None:
    watch = Watch()
    watch.install()
    run_flow(load(config), ["-"], FOLDER / "out", recovery=FOLDER / "recovery")
    # The first epoch has the start in it, and the last one the end.
    report.write_bytes(msgspec.json.encode(watch.epochs[2:-1]))


def table(found: State) -> Iterator[list[str]]:
    """Yield what was wanted and what was found."""
    snapshots = sorted(epoch.snapshot_ms for epoch in found.epochs)
    still = sorted(epoch.stood_still_ms for epoch in found.epochs)
    yield [
        f"{found.changed:,} profiles change in an epoch: flow stands still",
        "50 ms",
        f"{median(still):.0f} ms, at worst {still[-1]:.0f}; checkpoints {median(snapshots):.0f}, {snapshots[-1]:.0f}",
    ]
    yield ["restart to first output", "3 s", f"{found.restart_s:.2f} s ({found.restart_cpu_s:.2f} CPU s)"]
    yield [
        "recovery folder over live state",
        "under 2",
        f"{found.folder_bytes / found.live_bytes:.2f} ({found.folder_bytes / 1e6:,.0f} MB)",
    ]


if __name__ == "__main__":
    _run_live(Path(sys.argv[1]), Path(sys.argv[2]))
