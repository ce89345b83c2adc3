"""One chaos run from its first server to its verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple

from tests.chaos import faults
from tests.chaos.aftermath import processes, timing
from tests.chaos.audit import Verdict, audit
from tests.chaos.edits import Editor
from tests.chaos.evidence import collect
from tests.chaos.faults import Happened
from tests.chaos.load import Counts
from tests.chaos.rules import Rules
from tests.chaos.stage import Job, Stage

BURST_RATE: Final = 1_000.0
RECORDS_MAX: Final = 8_000_000
"""Of a run: the state grows with each household, and the audit holds all of them in memory."""
BEHIND_MAX: Final = 2
"""After so many faults in a row without catching up a run is given up: what comes later shows nothing."""
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
    kinds: Collection[str] = ()
    """Of faults; none named: all that there are for so many shards."""
    edits: int = 0
    """How often somebody edits the rules meanwhile."""


class Result(NamedTuple):
    """How it went."""

    plan: Plan
    verdict: Verdict
    happened: list[Happened]
    counts: Counts
    capacity: float
    rate: float
    reason: str
    """What decided the rate."""
    seconds: float
    recoveries: dict[str, list[float]]
    """By kind of fault, the seconds from its end to the next trigger on something later."""


def play(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Play it all."""
    stage = Stage(folder.resolve(), plan.rules, plan.seed)
    happened: list[Happened] = []
    evidence, is_drained = None, False
    with stage.open():
        capacity = measured(stage, plan.shards, tell) if plan.is_measured else 0.0
        rate, reason = paced(plan, capacity)
        tell(f"chaos: {rate:,.0f} records a second ({reason}), {plan.faults} faults, seed {plan.seed}")
        editor = Editor(stage.folder / "journeys", plan.rules, plan.edits, plan.faults * plan.rules.fault)
        job = stage.job("chaos", plan.shards, editor.journeys)
        try:
            began_at = time.monotonic()
            job.nextmove.start()
            job.start_load(rate)
            with editor.editing():
                complaint = suffered(job, plan, happened, tell)
            counts = job.end_load()
            is_drained = not complaint and drained(job, counts, plan.rules)
            job.nextmove.stop()
            seconds = time.monotonic() - began_at
            tell(f"chaos: {counts.sent:,} records in {seconds:,.0f} s; {complaint or 'auditing'}")
            if not complaint:
                evidence = collect(job, plan.rules)
        finally:
            job.abandon()
    verdict = Verdict() if evidence is None else audit(evidence, plan.rules)
    if evidence is not None:
        editor.judge(verdict, evidence.seen, [text for one in job.deployments for text in one.warnings()])
    if evidence is not None and evidence.entered.sent != counts.sent:
        verdict.faults.append(f"the log has {evidence.entered.sent} of {counts.sent} records sent")
    if complaint:
        verdict.faults.append(f"not audited: {complaint}")
    elif not is_drained:
        verdict.faults.append(f"nextmove had not caught up {DRAIN_S_MAX:.0f} s after the load had ended")
    processes(verdict, job.deployments, happened, editor.broken)
    recoveries = {} if evidence is None else timing(verdict, evidence.seen.triggers, happened)
    return Result(plan, verdict, happened, counts, capacity, rate, reason, seconds, recoveries)


def paced(plan: Plan, capacity: float) -> tuple[float, str]:
    """Return how many records a second are sent, and what decides that."""
    limits = [(RECORDS_MAX / (plan.faults * plan.rules.fault), f"{RECORDS_MAX:,} records in all are the most")]
    if capacity:
        limits.append((capacity / 2, "half of what the machine carries"))
    if plan.rate:
        limits.append((plan.rate, "as asked for"))
    return min(limits)


def measured(stage: Stage, shards: int, tell: Tell) -> float:
    """Return how many records a second all of it carries when households come and go, the load included."""
    job = stage.job("capacity", shards)
    looks: list[tuple[float, int]] = []
    try:
        job.nextmove.start()
        job.start_load(BURST_RATE, is_burst=True)
        end_at = time.monotonic() + faults.RECOVERY_S_MAX
        while time.monotonic() < end_at:
            done = job.done()
            if done and not looks:
                end_at = time.monotonic() + stage.rules.measure
            if done and (not looks or done > looks[-1][1]):
                looks.append((time.monotonic(), done))
            time.sleep(0.1)
    finally:
        job.abandon()
    assert len(looks) > 2, "nothing was read while the capacity was measured"
    ended_at, last = looks[-1]
    began_at, first = next(look for look in looks if look[0] >= ended_at - stage.rules.measure / 2)
    capacity = (last - first) / (ended_at - began_at)
    tell(f"chaos: {capacity:,.0f} records a second is what this machine carries, load and servers included")
    return capacity


def suffered(job: Job, plan: Plan, happened: list[Happened], tell: Tell) -> str:
    """Let all faults happen; return why no more do, if they do not."""
    if not job.wait_until_committed(faults.RECOVERY_S_MAX):
        return f"nextmove does not keep up without any fault; it is {job.lag():,} records behind; set RATE lower"
    behind, known = 0, plan.kinds or faults.kinds(plan.shards)
    for number, fault in enumerate(faults.schedule(plan.seed, plan.faults, plan.rules, known), 1):
        done = faults.happen(fault, job, plan.rules)
        happened.append(done)
        away_s, caught_s = done.ended_at - done.began_at, time.time() - done.ended_at
        how = "caught up" if done.has_recovered else f"{job.lag():,} records behind"
        tell(f"chaos: {number:3} {done.kind}: {away_s:.1f} s, {how} {caught_s:.1f} s later")
        behind = 0 if done.has_recovered else behind + 1
        if behind == BEHIND_MAX:
            return f"given up after {number} faults: nextmove is {job.lag():,} records behind; set RATE lower"
    return ""


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
