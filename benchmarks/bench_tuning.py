"""What defaults are chosen by: how the length of an epoch, packing and linger change latency, CPU and disk.

Each choice is one run of `bench_latency` at the same load; only the setting differs. Epochs are tried with many
profiles in state, and each run is killed in its middle to see how long the next trigger takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from benchmarks.bench_latency import HEADINGS, Latency, Plan, row
from benchmarks.bench_latency import run as run_plan
from benchmarks.brokers import Lent
from config.kafka import KafkaSettings
from config.settings import CheckpointSettings, Settings

EPOCHS_MS: Final = (500, 1_000, 2_000, 5_000)
PACKINGS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
LINGERS_MS: Final = (0, 1, 5, 20, 50)


class Tuning(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    profiles: int
    epochs: list[Latency]
    kills: list[Latency]
    packings: list[Latency]
    lingers: list[Latency]


def run(servers: Lent, rate: float, seconds: float, profiles: int, tell: Callable[[str], None]) -> Tuning:
    """Try every choice at `rate` events a second."""

    def tried(name: str, settings: Settings, *, before: int = 0, is_killed: bool = False) -> Latency:
        return run_plan(servers, Plan(name, settings, rate, seconds, before, is_killed), tell)

    epochs = {f"epoch-{ms}": Settings(checkpoint=CheckpointSettings(interval_ms=ms)) for ms in EPOCHS_MS}
    packings = {f"packing-{one}": Settings(kafka=KafkaSettings(compression=one)) for one in PACKINGS}
    lingers = {f"linger-{ms}": Settings(kafka=KafkaSettings(linger_ms=ms)) for ms in LINGERS_MS}
    return Tuning(
        profiles=profiles,
        epochs=[tried(name, settings, before=profiles) for name, settings in epochs.items()],
        kills=[tried(f"{name}-kill", one, before=profiles, is_killed=True) for name, one in epochs.items()],
        packings=[tried(name, settings) for name, settings in packings.items()],
        lingers=[tried(name, settings) for name, settings in lingers.items()],
    )


def table(found: Tuning) -> list[list[str]]:
    """Return the rows to print, the first with the headings."""
    rows = [[*HEADINGS, "bytes a record on disk", "after a kill"]]
    for one in found.epochs + found.packings + found.lingers:
        killed = next((other for other in found.kills if other.name == f"{one.name}-kill"), None)
        size = f"{one.bytes_a_record:,.0f}" if one.bytes_a_record else "not seen"
        rows.append([*row(one), size, f"{killed.recovery_s:.1f} s" if killed else "not tried"])
    return rows


def faults(found: Tuning) -> list[str]:
    """Return what was wrong with the output of any run."""
    runs = found.epochs + found.kills + found.packings + found.lingers
    return [f"{one.name}: {fault}" for one in runs for fault in one.faults]
