"""Seeded runs of the whole chain with crashes, each compared with one quiet run of the same log.

`make simulate` plays RUNS of them (200 by default) from SEED on (1 by default); a failure names the seed that
replays it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Event
from uuid import uuid4

import pytest

from config.durations import SECOND
from config.settings import Settings
from connectors.redis_identity import RedisIdentity
from connectors.redis_patience import RedisRules
from pipeline.ports import IdentityStore
from tests.pipeline.helpers import (
    ACTS,
    LATENESS_MS,
    PAUSES,
    SMALL,
    Act,
    Action,
    Crash,
    Epoch,
    Player,
    Read,
    as_arrived,
    lines_of,
    reference,
    split,
    without_coordinates,
)
from tests.pipeline.test_key_groups import STREAMED
from tests.services.redis import RedisServer

SEED = int(os.environ.get("SEED", "1"))
RUNS = int(os.environ.get("RUNS", "1" if "SEED" in os.environ else "200"))
# A store beside the process takes longer: fewer, unless RUNS says how many.
SHARED_RUNS = RUNS if "RUNS" in os.environ else min(RUNS, 60)
DELAYS = (0, 0, 0, SECOND, 11 * SECOND, LATENESS_MS)


def invented(random: Random) -> list[Act]:
    """Invent what up to three households do, on two devices each."""
    return [
        (
            random.randrange(len(PAUSES)) if random.random() < 0.5 else 1,
            random.randrange(3),
            random.randrange(2),
            random.choice(ACTS),
            random.randrange(2),
            random.choice(DELAYS),
        )
        for _ in range(random.randint(1, 60))
    ]


def schedule(random: Random) -> list[Action]:
    """Invent how the log is read: by batches, with checkpoints and crashes in between."""
    actions: list[Action] = []
    for _ in range(random.randint(0, 30)):
        dice = random.random()
        if dice < 0.15:
            actions.append(Crash())
        elif dice < 0.35:
            actions.append(Epoch())
        else:
            batches = [
                (random.randrange(3), random.randint(0, 6), random.random() < 0.5) for _ in range(random.randint(1, 3))
            ]
            actions.append(Read(tuple(batches)))
    return actions


def simulate(seed: int, connect: Callable[[], IdentityStore] | None = None) -> None:
    """Play one seeded log crash by crash, and once in peace; both must tell the same.

    With a shared store the log is one partition: what others link counts from when it is there, also in a replay.
    """
    random = Random(seed)
    settings: Settings = random.choice((SMALL, STREAMED))
    lines, script = as_arrived(lines_of(invented(random))), schedule(random)
    with TemporaryDirectory() as folder:
        player = Player(settings, split(lines, 1 if connect else random.randint(1, 3)), Path(folder), connect)
        told = player.play(script)
    if without_coordinates(told) != without_coordinates(reference(settings, lines)):
        pytest.fail(f"seed {seed} makes a difference; replay it with: make simulate SEED={seed}")


@pytest.mark.timeout(3600)
def test_crashes_batches_and_partitions_make_no_difference() -> None:
    """
    Whatever the households do, whenever the process dies, the records are those of a quiet run.
    """
    for seed in range(SEED, SEED + RUNS):
        simulate(seed)


def test_with_the_shared_store_crashes_make_no_difference(redis_server: RedisServer) -> None:
    """
    Redis does not roll back with a checkpoint; what is decided after a crash is what was decided before it.
    """
    for seed in range(SEED, SEED + SHARED_RUNS):
        prefix = f"{{simulation-{uuid4().hex[:12]}}}:"
        rules = RedisRules(url=redis_server.url, prefix=prefix, ttl_ms=3_600_000, timeout_ms=5_000)
        simulate(seed, partial(RedisIdentity, rules, Event(), print))
