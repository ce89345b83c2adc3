"""One chaos run from its first server to its verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tests.chaos import faults
from tests.chaos.aftermath import processes, timing
from tests.chaos.audit import Verdict, audit
from tests.chaos.evidence import collect
from tests.chaos.faults import Happened
from tests.chaos.load import Counts
from tests.chaos.rules import Rules
from tests.chaos.stage import Job, Stage

CAPACITY_S: Final = 60.0
BURST: Final = 600_000
QUIET_S: Final = 3.0
DRAIN_S_MAX: Final = 300.0

Tell = Callable[[str], None]


class Plan(NamedTuple):
    """What is to be played; `rate` 0 is half of the capacity, which is measured first, else at most that."""

    rules: Rules
    faults: int
    seed: int
    rate: float
    is_measured: bool = True
    shards: int = 1


class Result(NamedTuple):
    """How it went."""

    plan: Plan
    verdict: Verdict
    happened: list[Happened]
    counts: Counts
    capacity: float
    rate: float
    seconds: float
    recoveries: dict[str, list[float]]
    """By kind of fault, the seconds from its end to the next trigger on something later."""


def play(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Play it all."""
    stage = Stage(folder.resolve(), plan.rules, plan.seed)
    with stage.open():
        capacity = measured(stage, plan.shards, tell) if plan.is_measured else 0.0
        rate = min(filter(None, (capacity / 2, plan.rate)))
        tell(f"chaos: {rate:,.0f} records a second, {plan.faults} faults, seed {plan.seed}")
        job = stage.job("chaos", plan.shards)
        try:
            began_at = time.monotonic()
            job.nextmove.start()
            job.start_load(rate)
            happened = _suffered(job, plan, tell)
            counts = job.end_load()
            is_drained = drained(job, counts, plan.rules)
            job.nextmove.stop()
            seconds = time.monotonic() - began_at
            tell(f"chaos: {counts.sent:,} records in {seconds:,.0f} s; auditing")
            evidence = collect(job, plan.rules)
        finally:
            job.abandon()
    verdict = audit(evidence, plan.rules)
    if counts.broken != len([line for line in evidence.log if b"broken" in line or line.startswith(b"[")]):
        verdict.faults.append("the log does not have every broken record")
    if not is_drained:
        verdict.faults.append(f"nextmove had not caught up {DRAIN_S_MAX:.0f} s after the load had ended")
    processes(verdict, job.deployments, happened)
    recoveries = timing(verdict, evidence.seen["triggers"], happened)
    return Result(plan, verdict, happened, counts, capacity, rate, seconds, recoveries)


def measured(stage: Stage, shards: int, tell: Tell) -> float:
    """Return how many records a second all of it carries, the load included."""
    job = stage.job("capacity", shards)
    try:
        job.nextmove.start()
        job.start_load(2_000, burst=BURST)
        looks: list[tuple[float, int]] = []
        end_at = time.monotonic() + CAPACITY_S
        while time.monotonic() < end_at:
            done = job.done()
            if done and (not looks or done > looks[-1][1]):
                looks.append((time.monotonic(), done))
            if done >= BURST:
                break
            time.sleep(0.1)
    finally:
        job.abandon()
    assert len(looks) > 1, "nothing was read while the capacity was measured"
    (began_at, first), (ended_at, last) = looks[0], looks[-1]
    capacity = (last - first) / (ended_at - began_at)
    tell(f"chaos: {capacity:,.0f} records a second is what this machine carries, load and servers included")
    return capacity


def _suffered(job: Job, plan: Plan, tell: Tell) -> list[Happened]:
    assert job.wait_until_committed(faults.RECOVERY_S_MAX), "nextmove does not keep up without any fault"
    happened = []
    for number, fault in enumerate(faults.schedule(plan.seed, plan.faults, plan.rules, plan.shards), 1):
        done = faults.happen(fault, job, plan.rules)
        happened.append(done)
        away_s, caught_s = done.ended_at - done.began_at, time.time() - done.ended_at
        tell(f"chaos: {number:3} {done.kind}: {away_s:.1f} s, caught up {caught_s:.1f} s later")
    return happened


def drained(job: Job, counts: Counts, rules: Rules) -> bool:
    """Wait until all that is due has been told; whether it came to that."""
    time.sleep(max(0.0, counts.last_at / 1000 + rules.settled - time.time()))
    end_at = time.monotonic() + DRAIN_S_MAX
    entered = job.entered()
    before, since = job.ends(), time.monotonic()
    while time.monotonic() < end_at:
        time.sleep(0.25)
        ends = job.ends()
        if ends != before:
            before, since = ends, time.monotonic()
        if time.monotonic() - since >= QUIET_S and job.has_committed(entered):
            return True
    return False
