"""
One seeded run, from the first event to the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from operators.ids import digest
from tests.chaos.lives import Sent
from tests.chaos.rules import ms
from tests.simulation.affairs import answered
from tests.simulation.faults import plan
from tests.simulation.people import in_order, town
from tests.simulation.requests import Wishes, wishes
from tests.simulation.rules import KEY_GROUPS, PACES_S, RULES, varied
from tests.simulation.verdict import judged
from tests.simulation.world import World

MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- where there is one, a folder of its own is made in it
BEGIN_S: Final = 2.0
QUIET_S_MAX: Final = 120.0


class Outcome(NamedTuple):
    """How a run ended: what is wrong, what went wrong on the way, and how much there was."""

    seed: int
    wrong: list[str]
    counts: dict[str, int]
    events: int
    triggers: int
    diary: list[str]
    fingerprint: str
    """Of all that lies in topics, and when it came there: a replay has the same."""


def play(seed: int) -> Outcome:
    """Play one seed."""
    random = Random(seed)
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        is_shared = random.random() < 0.5
        shards = random.choice((1, 1, 2, 3)) if is_shared else 1
        partitions = max(shards, random.choice((1, 2, 4)))
        settings = partial(varied, random, shards, random.choice(KEY_GROUPS))
        world = World(random, settings, partitions, is_shared=is_shared)
        begin_at = world.clock.true_ms + ms(BEGIN_S)
        wished = wishes(Random(f"requests of {seed}"), RULES, begin_at)  # its own: the rest of a run does not change
        log = sorted(town(random, RULES, begin_at) + wished.log, key=in_order)
        with world.inhabited():
            for index in range(shards):
                world.add_process(Path(folder, str(index)), random.choice(PACES_S), f"{index}/{shards}")
            try:
                _live(random, world, log, wished)
                told = _told(world)
                _resume(world)
                wrong = judged(world, log, wished, told).faults
            except Exception as error:  # noqa: BLE001 -- whatever the product raises is a finding
                wrong = [" ".join(f"{type(error).__name__}: {error}".split())]
    return _outcome(seed, world, log, wrong)


def _outcome(seed: int, world: World, log: Sequence[Sent], wrong: list[str]) -> Outcome:
    logs = world.broker.logs
    triggers = sum(len(records) for (topic, _), records in logs.items() if "triggers." in topic)
    return Outcome(seed, wrong, world.around.counts, len(log), triggers, world.around.diary, digest(logs))


def _live(random: Random, world: World, log: Sequence[Sent], wished: Wishes) -> None:
    """Let everything happen, wait until all that follows from it is told, and stop."""
    clock = world.clock
    world.around.count("requests", len(wished.asked))
    if wished.asked:
        world.listen()
    every = [(sent, "") for sent in log] + [(sent, world.control) for sent in wished.records]
    for sent, topic in every:
        sent_s = (sent.sent_at - clock.true_ms) / 1000
        clock.after(sent_s, partial(world.send, sent, topic))
    last_at = max(sent.at for sent, _ in every)
    last_s = (max(sent.sent_at for sent, _ in every) - clock.true_ms) / 1000
    plan(random, world, 0.0, last_s + RULES.settled)
    clock.run(last_s + RULES.settled)
    world.around.are_safe = True  # else one may die when all is told, and tell some of it again
    end_s = clock.now + QUIET_S_MAX
    while clock.now < end_s and not _is_settled(world, last_at, wished):
        clock.run(clock.now + 1.0)
    clock.run(clock.now + RULES.settled / 10)  # for the last markers
    if wished.asked:  # key groups answer later than all else
        clock.run(clock.now + RULES.settled)
    _stop(world)


def _is_settled(world: World, last_at: int, wished: Wishes) -> bool:
    """Whether everything is told, and answered."""
    return world.watermark > last_at + ms(RULES.settled) and {one.id for one in wished.asked} <= answered(world)


def _resume(world: World) -> None:
    """Start everybody once more, with nothing to read, and stop again."""
    for process in world.processes:
        process.is_held = False
    world.clock.run(world.clock.now + RULES.lateness)
    _stop(world)


def _stop(world: World) -> None:
    """Have all processes end well, and nobody start them."""
    clock = world.clock
    for process in world.processes:
        process.is_held = True
        process.stop()
    clock.run(clock.now + QUIET_S_MAX, lambda: not any(process.is_alive for process in world.processes))


def _told(world: World) -> dict[tuple[str, int], int]:
    return {where: len(records) for where, records in world.broker.logs.items()}
