"""Each kind of fault once, on real servers under load: `make chaos` in small."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.faults import KINDS
from tests.chaos.report import table
from tests.chaos.rules import SHORT
from tests.chaos.run import Plan, play
from tests.services.kafka import java, kafka_jars
from tests.services.process import NotOursError
from tests.services.redis import redis_program


@pytest.mark.timeout(600)
def test_whatever_fails_each_trigger_comes_once(tmp_path: Path, say: Callable[[str], None]) -> None:
    """
    nextmove, the broker and Redis are killed and paused under load, and nextmove while one of the others is away: a
    plain consumer sees each trigger once, no bought cart called abandoned, and every session and cart as it was.
    """
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL"):
        if os.environ.get(name):
            raise NotOursError(f"the servers of {name} are not ours to kill and pause")
    java()
    kafka_jars(say)
    redis_program(say)
    seed = int(os.environ.get("SEED", "1"))
    plan = Plan(SHORT, len(KINDS), seed, rate=200, is_measured=False)
    result = play(plan, tmp_path, lambda _: None)
    assert not result.verdict.faults, table(result)
    assert {done.kind for done in result.happened} == set(KINDS)
    assert sum(len(found) for found in result.recoveries.values()) == len(KINDS), "triggers came after each fault"
