"""Some kinds of faults once, on real servers under load: `make chaos` in small, which has them all."""

import os
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from tests.chaos.faults import MOVES
from tests.chaos.report import table
from tests.chaos.rules import SHORT
from tests.chaos.run import Plan, play
from tests.services.kafka import java, kafka_jars
from tests.services.process import NotOursError
from tests.services.redis import redis_program

# Each has servers and a load of its own: more than the machine should do at a time.
pytestmark = pytest.mark.xdist_group("chaos")


@pytest.fixture
def servers(say: Callable[[str], None]) -> None:
    """Have what servers of our own are made of."""
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL"):
        if os.environ.get(name):
            raise NotOursError(f"the servers of {name} are not ours to kill and pause")
    java()
    kafka_jars(say)
    redis_program(say)


def suffer(folder: Path, kinds: Collection[str], shards: int, edits: int = 0) -> None:
    """Have each of these faults once; each was suffered, nothing is wrong, and triggers came after each."""
    seed = int(os.environ.get("SEED", "1"))
    plan = Plan(SHORT, len(kinds), seed, rate=200, is_measured=False, shards=shards, kinds=kinds, edits=edits)
    result = play(plan, folder, lambda _: None)
    assert not result.verdict.faults, table(result)
    assert {done.kind for done in result.happened} == set(kinds)
    assert sum(len(found) for found in result.recoveries.values()) == len(kinds), "triggers came after each fault"


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("servers")
def test_whatever_fails_each_trigger_comes_once(tmp_path: Path) -> None:
    """
    The broker is killed and Redis paused under load, and nextmove is killed while one of the two is away: a plain
    consumer sees each trigger once, no bought cart called abandoned, and every session and cart as it was. Meanwhile
    somebody edits the rules, some of it broken: each decision was taken under a set that was whole.
    """
    kinds = ("broker killed", "Redis paused", "nextmove killed, broker paused", "nextmove killed, Redis dead")
    suffer(tmp_path, kinds, 1, edits=12)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("servers")
def test_whichever_shard_fails_each_trigger_comes_once(tmp_path: Path) -> None:
    """
    Of two shards one is killed and one hangs; they are stopped with a savepoint from which three go on: the same holds.
    """
    suffer(tmp_path, ("one shard killed", "one shard paused", *MOVES), 2)
