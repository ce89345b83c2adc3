"""Benchmarks that nobody runs stop working; these are the real ones, in small."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.bench_output import Comparison, Output, compared
from benchmarks.measure import ROOT, missing_shared
from benchmarks.run import Findings


def benchmarks(folder: Path, *options: str) -> Findings:
    """Run the benchmarks as `make bench` does, with a cache and results of their own."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.run",
        "--record",
        "--results",
        folder / "results",
        *options,
    ]
    environment = os.environ | {"BENCH_FOLDER": str(folder), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    recorded = next((folder / "results").glob("*.json"))
    assert recorded.with_suffix(".md").read_text(encoding="utf-8").startswith("# Measured on ")
    return msgspec.json.decode(recorded.read_bytes(), type=Findings)


def test_every_variant_finds_what_the_bare_loop_finds(tmp_path: Path) -> None:
    """
    On the shared generator's events all of our variants agree with the bare loop in every session and cart.
    """
    if gone := missing_shared():
        pytest.skip(gone)
    found = benchmarks(tmp_path, "--only", "throughput", "--events", "4000", "--rounds", "1").throughput
    assert found is not None
    same = {(c.is_equal, c.sessions, c.carts, c.digest) for c in found.comparisons.values()}
    assert len(same) == 1, [c.told() for c in found.comparisons.values()]
    [(is_equal, sessions, carts, _)] = same
    assert is_equal
    assert sessions > 400
    assert carts > 40
    assert [row.name for row in found.rows[:2]] == ["bare loop, orjson", "bare loop, msgspec"]
    assert len(found.rows) == 6
    assert all(row.cpu_us[0] > 0 and 0 < row.rss_mb[0] < 1_000 for row in found.rows)
    assert 100 < found.resting.total_bytes < 10_000


def test_state_is_measured_while_it_changes_and_after_it_is_gone(tmp_path: Path) -> None:
    """
    Profiles are loaded, changed in live epochs, resumed from, and expire; each leaves its figures.
    """
    small = ("--profiles", "300", "--live-epochs", "5", "--live-epoch-ms", "200", "--group-epochs", "20")
    found = benchmarks(tmp_path, "--only", "state", *small)
    assert found.throughput is None
    assert found.state is not None
    assert found.filled is not None
    assert found.resumed is not None
    assert found.state.profiles >= 300
    assert all(epoch.stood_still_ms > 0 and epoch.snapshot_ms > 0 for epoch in found.state.epochs)
    assert 0 < found.state.restart_s < 60
    assert 0 < found.state.live_bytes < found.state.folder_bytes
    assert (found.filled.profiles, len(found.filled.snapshot_ms)) == (300, 20)
    assert (found.resumed.expired, found.resumed.active) == (294, 6)


def test_a_difference_is_told_with_examples() -> None:
    """
    What only one side has, and values that differ where they are comparable, are counted and shown.
    """
    ours = Output([("ann", 0, 9, 3), ("bob", 5, 5, 1)], {("ann", 4): 10.0, ("bob", 5): 1.0})
    theirs = Output([("ann", 0, 9, 3), ("bob", 5, 6, 2)], {("ann", 4): 12.0, ("cid", 7): 1.0})
    assert compared(ours, theirs, {("ann", 4), ("bob", 5)}) == Comparison(
        sessions=2,
        carts=2,
        sessions_ours_only=1,
        sessions_theirs_only=1,
        carts_ours_only=1,
        carts_theirs_only=1,
        values_compared=1,
        values_different=1,
        digest=ours.digest,
        examples=[
            "session ours ('bob', 5, 5, 1)",
            "session theirs ('bob', 5, 6, 2)",
            "cart ours ('bob', 5)",
            "cart theirs ('cid', 7)",
            "value ('ann', 4, 10.0, 12.0)",
        ],
    )


def test_a_session_published_twice_is_a_difference() -> None:
    """
    Sets would hide a session that is there twice under two ids.
    """
    once = Output([("ann", 0, 9, 3)], {})
    twice = Output([("ann", 0, 9, 3), ("ann", 0, 9, 3)], {})
    assert compared(once, once, set()).is_equal
    assert compared(twice, once, set()).examples == ["1 sessions of ours are there twice"]
