"""How fast events go through, beside bare loops that do a part of the work on the same input in the same run.

The variants are run in turn (A B C A B C ...), each in a process of its own: other work on the machine slows
all of them alike, so the *ratio* to the bare orjson loop is what compares between two runs, not the
events a second. CPU is that of the process, user and system, start-up included.

The bare loops are those of `../shared/bench`. "Sessions and carts alone" is what they do; "everything" adds
footprints, browse intents, decisions and duplicates. What all of them found is compared, see `bench_output`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks import bench_resting
from benchmarks.bench_output import Comparison, bare_output, compared, our_output, same_rule
from benchmarks.measure import CACHE, PEERS, Usage, events_file, measured, missing_shared, sha256, spread
from config.load import describe
from config.settings import (
    CartSettings,
    DecisionSettings,
    DuplicatesSettings,
    FootprintSettings,
    Settings,
    SourceSettings,
)

BASE: Final = "bare loop, orjson"
ALONE: Final = "sessions and carts alone"
EVERYTHING: Final = "everything"
# What the bare loops know as an abandoned cart; our default lets any activity start the delay again.
_BY_CART: Final = CartSettings(restart_on="cart_change")
_STREAM: Final = SourceSettings(file_watermark="lateness")

SETTINGS: Final[dict[str, Settings]] = {
    ALONE: Settings(
        source=_STREAM,
        cart=CartSettings(restart_on="cart_change", browse_views_min=0),
        footprint=FootprintSettings(enabled=False),
        decision=DecisionSettings(enabled=False),
        duplicates=DuplicatesSettings(enabled=False),
    ),
    EVERYTHING: Settings(source=_STREAM, cart=_BY_CART),
    f"{EVERYTHING}, recovery": Settings(source=_STREAM, cart=_BY_CART),
    f"{EVERYTHING}, file read twice": Settings(cart=_BY_CART),
}


class Row(msgspec.Struct, kw_only=True):
    """One variant's figures, a value a round."""

    name: str
    cpu_us: list[float]
    """CPU an event, in microseconds."""
    events_a_second: list[float]
    rss_mb: list[float]
    ratio: list[float]
    """CPU over that of the bare orjson loop of the same round; empty without one."""


class Throughput(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    events: int
    input_sha256: str
    rows: list[Row]
    comparisons: dict[str, Comparison]
    """By the name of the variant of ours."""
    resting: bench_resting.Resting


class _Variant(NamedTuple):
    name: str
    command: list[str | Path]
    output: Path


def run(events: int, rounds: int, tell: Callable[[str], None]) -> Throughput | None:
    """Measure all variants `rounds` times; None where the input cannot be made. `tell` hears of progress."""
    if gone := missing_shared():
        tell(f"LEFT OUT: {gone}")
        return None
    source = events_file(events)
    variants = _variants(source)
    usages: dict[str, list[Usage]] = {variant.name: [] for variant in variants}
    for number in range(rounds):
        for variant in variants:
            shutil.rmtree(variant.output.parent, ignore_errors=True)
            variant.output.parent.mkdir(parents=True)
            usage = measured(variant.command)
            usages[variant.name].append(usage)
            tell(f"round {number + 1} of {rounds}: {variant.name}, {usage.cpu_s:.2f} CPU s")
    base = bare_output(variants[0].output)
    comparable = same_rule(source, base.carts)
    comparisons = {name: compared(our_output(_folder(name)), base, comparable) for name in SETTINGS}
    for name, comparison in comparisons.items():
        tell(f"{name}: {comparison.told()}")
    return Throughput(
        events=events,
        input_sha256=sha256(source),
        rows=[_row(name, of, usages[BASE], events) for name, of in usages.items()],
        comparisons=comparisons,
        resting=bench_resting.in_own_process(source, _config(EVERYTHING)),
    )


def _variants(source: Path) -> list[_Variant]:
    variants = []
    for name, script in ((BASE, "bare_orjson"), ("bare loop, msgspec", "bare_msgspec")):
        output = CACHE / "throughput" / script / "out.jsonl"
        variants.append(_Variant(name, [sys.executable, PEERS / "bare" / f"{script}.py", source, output], output))
    for name, rules in SETTINGS.items():
        folder, config = _folder(name), _config(name)
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(describe(rules), encoding="utf-8")
        command: list[str | Path] = [sys.executable, "-m", "pipeline.cli", "run", source]
        command += ["--out", folder, "--config", config]
        if "recovery" in name:
            command += ["--recovery", folder / "state"]
        variants.append(_Variant(name, command, folder / "sessions.jsonl"))
    return variants


def _folder(name: str) -> Path:
    return CACHE / "throughput" / name.replace(", ", "-").replace(" ", "-")


def _config(name: str) -> Path:
    return CACHE / "throughput" / "settings" / f"{_folder(name).name}.yaml"


def _row(name: str, usages: list[Usage], bases: list[Usage], events: int) -> Row:
    return Row(
        name=name,
        cpu_us=[usage.cpu_s / events * 1e6 for usage in usages],
        events_a_second=[events / usage.wall_s for usage in usages],
        rss_mb=[usage.rss_mb for usage in usages],
        ratio=[usage.cpu_s / base.cpu_s for usage, base in zip(usages, bases, strict=True)],
    )


def table(found: Throughput) -> list[list[str]]:
    """Return the rows to print, the first with the headings."""
    rows = [["variant", "CPU µs an event", "of bare orjson", "events a second", "peak MB"]]
    for row in found.rows:
        ratio, cpu_us, pace = spread(row.ratio), spread(row.cpu_us), spread(row.events_a_second)
        cells = [cpu_us.told(), ratio.told(), pace.told(",.0f"), f"{max(row.rss_mb):,.0f}"]
        rows.append([row.name, *cells])
    return rows
