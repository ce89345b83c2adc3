"""Key groups and their changelogs by themselves: a million profiles, epochs in which one in a hundred changes.

Without the engine around them, so that what a checkpoint costs and how a recovery folder grows can be seen
over hundreds of epochs. Two processes, one after the other: `fill` makes the profiles and changes some of
them in each epoch; `resume` starts from what the first one left, and lets nearly all profiles expire.
`bench_state` asks the same of a whole run.
"""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from benchmarks.measure import CACHE, SEED, BenchmarkError, environment, folder_bytes, memory_mb
from config.journeys import book_of
from config.settings import Settings
from connectors.changelog import Changelog, Rewrites
from operators.decision import Decider
from operators.event import Event
from operators.ids import murmur2
from operators.profile import ProfileOperator
from pipeline.key_groups import KeyGroup
from pipeline.messages import GroupBatch, Marker

FOLDER: Final = CACHE / "groups"
CHECKPOINTS: Final = "checkpoints.msgpack"
START_AT: Final = 1_795_132_800_000  # 2026-11-20T00:00:00Z
DAY_MS: Final = 86_400_000
EPOCH_MS: Final = 2_000
LATENESS_MS: Final = 30_000
BATCH: Final = 5_000
# Weighing a million profiles takes longer than changing one in a hundred of them.
WEIGHED_EVERY: Final = 10
# Of the profiles, how many change in an epoch, and how many are still active when the others expire.
CHANGED_SHARE: Final = 0.01
ACTIVE_SHARE: Final = 0.02


class Filled(msgspec.Struct, kw_only=True):
    """What the first process found; a figure an epoch in the lists."""

    profiles: int
    live_bytes: int
    """Keys and states of all profiles, as bytes."""
    snapshot_ms: list[float]
    """How long the checkpoints of all key groups took together."""
    folder_ratio: list[float]
    """The recovery folder's bytes over the live ones, in every tenth epoch."""


class Resumed(msgspec.Struct, kw_only=True):
    """What the second process found."""

    seconds: float
    """From the checkpoints to key groups that can work."""
    rss_bytes: float
    """Memory taken for it, a profile."""
    expired: int
    active: int
    folder_ratio: list[float]
    """The folder's bytes over the live ones, in every tenth epoch after the others had expired."""
    folder_bytes: int


class _Host:
    """The key groups of a step, fed as the flow feeds them."""

    def __init__(self, folder: Path, checkpoints: list[bytes] | None = None) -> None:
        settings, rewrites = Settings(), Rewrites()
        operator = ProfileOperator(settings.visitor_rules(), Decider(book_of(settings)))
        self.batch, self.at = 0, START_AT

        def changelog(group: int) -> Changelog:
            return Changelog(folder, f"visitors-{group:04d}", rewrites, fsync=False)

        resumes: Iterable[bytes | None] = checkpoints or [None] * settings.key_groups
        self.groups = [KeyGroup(number, operator, changelog(number), resume) for number, resume in enumerate(resumes)]
        self.group_of: dict[int, int] = {}

    def feed(self, visitors: Iterable[int], *, kind: str, step_ms: float) -> None:
        """Give each of `visitors` an event, `step_ms` of event time after each other."""
        shares: list[list[Any]] = [[] for _ in self.groups]
        began_at = self.at
        for count, visitor in enumerate(visitors, 1):
            key = f"{visitor:016x}"
            group = self.group_of.get(visitor)
            if group is None:
                group = self.group_of[visitor] = murmur2(key.encode()) % len(self.groups)
            shares[group].append(_event(key, self.at, kind))
            self.at = began_at + int(count * step_ms)
            if count % BATCH == 0:
                self.take(shares)
                shares = [[] for _ in self.groups]
        self.take(shares)

    def take(self, shares: list[list[Any]]) -> None:
        """Let each group work through its share, then hear how late it is."""
        self.batch += 1
        marker = Marker(self.at - LATENESS_MS, self.at, self.at)
        for group, (host, items) in enumerate(zip(self.groups, shares, strict=True)):
            host.take(GroupBatch(group, self.batch, len(shares), items, [], marker))

    def snapshot(self) -> list[bytes]:
        """Checkpoint all groups."""
        return [host.snapshot() for host in self.groups]

    def live(self) -> tuple[int, int]:
        """Return how many profiles there are, all at rest, and the bytes of their keys and states."""
        profiles = sum(len(host.states.rest) for host in self.groups)
        states = sum(len(key) + len(state) for host in self.groups for key, state in host.states.rest.items())
        return profiles, states


def fill(folder: Path, profiles: int, epochs: int) -> Filled:
    """Make the profiles, two events each, then let one in a hundred change in each epoch."""
    host, draw = _Host(folder), Random(SEED)
    for first in range(0, profiles, 10 * BATCH):
        some = range(first, min(profiles, first + 10 * BATCH))
        for kind in ("page_viewed", "product_viewed"):
            host.feed(some, kind=kind, step_ms=DAY_MS / 4 / profiles)
        host.snapshot()
    host.at += DAY_MS
    host.take([[] for _ in host.groups])
    host.snapshot()
    snapshot_ms, folder_ratio, checkpoints = [], [], host.snapshot()
    changed = max(1, int(profiles * CHANGED_SHARE))
    for epoch in range(epochs):
        host.feed(draw.sample(range(profiles), changed), kind="page_viewed", step_ms=EPOCH_MS / changed)
        began_s = time.perf_counter()
        checkpoints = host.snapshot()
        snapshot_ms.append((time.perf_counter() - began_s) * 1000)
        if epoch % WEIGHED_EVERY == 0:
            folder_ratio.append(folder_bytes(folder) / host.live()[1])
    (folder / CHECKPOINTS).write_bytes(msgspec.msgpack.encode(checkpoints))
    count, live_bytes = host.live()
    return Filled(profiles=count, live_bytes=live_bytes, snapshot_ms=snapshot_ms, folder_ratio=folder_ratio)


def resume(folder: Path, epochs: int) -> Resumed:
    """Start from the checkpoints; then let all but a few profiles be silent until they expire."""
    checkpoints = msgspec.msgpack.decode((folder / CHECKPOINTS).read_bytes(), type=list[bytes])
    (folder / CHECKPOINTS).unlink()
    before_mb, began_s = memory_mb("self", "VmRSS"), time.perf_counter()
    host = _Host(folder, checkpoints)
    seconds = time.perf_counter() - began_s
    profiles = host.live()[0]
    rss_bytes = (memory_mb("self", "VmRSS") - before_mb) * 1e6 / profiles
    active = max(1, int(profiles * ACTIVE_SHARE))
    host.at = START_AT + 2 * DAY_MS
    days = Settings().profile.anonymous_retention_ms // DAY_MS + 3
    for _ in range(days):
        host.feed(range(active), kind="page_viewed", step_ms=DAY_MS / active)
        host.snapshot()
    folder_ratio, draw = [], Random(SEED)
    changed = max(1, int(active * CHANGED_SHARE))
    for epoch in range(epochs):
        host.feed(draw.sample(range(active), changed), kind="page_viewed", step_ms=EPOCH_MS / changed)
        host.snapshot()
        if epoch % WEIGHED_EVERY == 0:
            folder_ratio.append(folder_bytes(folder) / host.live()[1])
    left = host.live()[0]
    return Resumed(
        seconds=seconds,
        rss_bytes=rss_bytes,
        expired=profiles - left,
        active=left,
        folder_ratio=folder_ratio,
        folder_bytes=folder_bytes(folder),
    )


def run(profiles: int, epochs: int, tell: Callable[[str], None]) -> tuple[Filled, Resumed]:
    """Do both, each in a process of its own."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    filled = msgspec.json.decode(_in_own_process("fill", profiles, epochs), type=Filled)
    tell(f"key groups: {filled.profiles:,} profiles, {filled.live_bytes / 1e6:,.0f} MB live")
    resumed = msgspec.json.decode(_in_own_process("resume", profiles, epochs), type=Resumed)
    tell(f"key groups: {resumed.expired:,} profiles expired, {resumed.active:,} active")
    shutil.rmtree(FOLDER)
    return filled, resumed


def _in_own_process(part: str, profiles: int, epochs: int) -> bytes:
    command = [sys.executable, "-m", "benchmarks.bench_groups", part, str(profiles), str(epochs)]
    told = subprocess.run(command, capture_output=True, env=environment(), check=False)
    if told.returncode:
        raise BenchmarkError(f"key groups, {part}: {told.stderr.decode(errors='replace').strip()[-500:]}")
    return told.stdout.splitlines()[-1]


def _event(key: str, at: int, kind: Any) -> Event:  # noqa: ANN401 - one of `Kind`, from two literals of ours
    url = f"https://shop.example.com/shoes/{at % 997}"
    return Event(kind, at, f"m-{key}-{at}", "web", key, key, profile_id=key, mark=at - LATENESS_MS, url=url)


if __name__ == "__main__":
    gc.set_threshold(100_000, 50, 1_000)  # as `pipeline.run` sets it
    what, count, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    found = fill(FOLDER, count, times) if what == "fill" else resume(FOLDER, times)
    print(msgspec.json.encode(found).decode())
