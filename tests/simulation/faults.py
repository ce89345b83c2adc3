"""
What goes wrong in a run: each kind of fault, when and how often.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from tests.simulation.broker import LATENCY_S
from tests.simulation.process import STORE_LATENCY_S, Process
from tests.simulation.rules import AHEAD_S_MAX, SLOW_S
from tests.simulation.world import World

FAULTS_MAX: Final = 8
# A process comes to some twenty instructions a turn, ten times as many where it starts or closes an epoch.
STEPS_MAX: Final = (1, 5, 20, 60, 200)
BEHIND_S_MAX: Final = 20.0


def plan(random: Random, world: World, begin_s: float, end_s: float) -> None:
    """Draw what goes wrong between two instants; some runs are quiet, some have one kind of trouble only."""
    kinds = random.sample(sorted(FAULTS), random.choice((1, 2, len(FAULTS))))
    if random.random() < 0.5:
        kinds.append("kill")  # what all else is worst together with
    for _ in range(random.randint(0, FAULTS_MAX)):
        kind = random.choice(kinds)
        world.clock.at(random.uniform(begin_s, end_s), partial(strike, random, world, kind))
    world.clock.at(end_s, lambda: mend(world))


def strike(random: Random, world: World, kind: str) -> None:
    """Let a fault happen."""
    world.around.count(kind)
    world.around.note(f"fault: {kind}")
    FAULTS[kind](random, world)


def mend(world: World) -> None:
    """End what does not end by itself."""
    world.broker.refuses.clear()
    world.broker.once_written = None
    for process in world.processes:
        process.steps_left = process.steps_after_commit = 0
    world.broker.latency_s = LATENCY_S
    world.around.store_latency_s = STORE_LATENCY_S


def _span(random: Random) -> float:
    """Draw how long something lasts: mostly short, some longer than it takes to be noticed."""
    return random.choice((0.5, 2.0, 6.0, 20.0)) * random.uniform(0.5, 1.5)


def _some(random: Random, world: World) -> Process:
    return random.choice(world.processes)


def _kill(random: Random, world: World) -> None:
    process = _some(random, world)
    if process.is_alive:
        process.steps_left = random.randint(1, random.choice(STEPS_MAX))


def _kill_publishing(random: Random, world: World) -> None:
    """Kill the process soon after something was published, which is what must not be published again."""
    process = _some(random, world)
    last = random.choice((1, 3, 10, 30))

    def hear() -> None:
        if process.is_alive:
            process.steps_left = random.randint(1, last)

    world.broker.once_written = hear


def _kill_committed(random: Random, world: World) -> None:
    """Kill the process soon after its next checkpoint, when the next epoch has hardly begun."""
    _some(random, world).steps_after_commit = random.randint(2, random.choice((3, 10, 30)))


def _kills(random: Random, world: World) -> None:
    """Kill it again and again, when it has hardly begun to do again what was lost."""
    for number in range(random.randint(2, 5)):
        kill = random.choice((_kill, _kill_publishing, _kill_committed))
        world.clock.after(number * random.uniform(0.5, 3.0), partial(kill, random, world))


def _stop(random: Random, world: World) -> None:
    _some(random, world).stop()


def _pause(random: Random, world: World) -> None:
    _some(random, world).paused_until = world.clock.now + _span(random)


def _outage(random: Random, world: World) -> None:
    world.broker.leave(None, _span(random), is_killed=random.random() < 0.5)


def _leader(random: Random, world: World) -> None:
    inputs = [where for where in world.broker.logs if where[0] == world.topic]
    where = random.choice(inputs if random.random() < 0.7 else sorted(world.broker.logs))
    world.broker.leave(where, _span(random), is_killed=random.random() < 0.5)


def _slow_broker(random: Random, world: World) -> None:
    world.broker.latency_s = random.choice(SLOW_S)
    world.clock.after(_span(random), lambda: setattr(world.broker, "latency_s", LATENCY_S))


def _refusal(random: Random, world: World) -> None:
    topics = sorted(world.broker.topics.keys() - {world.topic})
    refused = set(topics if random.random() < 0.5 else random.sample(topics, 3))
    world.broker.refuses |= refused
    world.clock.after(_span(random), lambda: world.broker.refuses.difference_update(refused))


def _store_away(random: Random, world: World) -> None:
    world.around.store_back_at = world.clock.now + _span(random)


def _slow_store(random: Random, world: World) -> None:
    world.around.store_latency_s = random.choice((0.05, 0.3))
    world.clock.after(_span(random), lambda: setattr(world.around, "store_latency_s", STORE_LATENCY_S))


def _clock_step(random: Random, world: World) -> None:
    world.clock.skew_s = random.choice((0.0, random.uniform(0, AHEAD_S_MAX), -random.uniform(0, BEHIND_S_MAX)))


FAULTS: Final[dict[str, Callable[[Random, World], None]]] = {
    "kill": _kill,
    "kill when publishing": _kill_publishing,
    "kill after a checkpoint": _kill_committed,
    "kills in a row": _kills,
    "stop": _stop,
    "pause": _pause,
    "outage": _outage,
    "leader away": _leader,
    "slow broker": _slow_broker,
    "refusal": _refusal,
    "store away": _store_away,
    "slow store": _slow_store,
    "clock step": _clock_step,
}
