"""What is done to the processes: kinds of faults, a seeded schedule of them, and the doing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from random import Random
from typing import Final, NamedTuple

from tests.chaos.rules import Rules
from tests.chaos.stage import Job

# After a fault the flow has this long to catch up before that itself is a finding.
RECOVERY_S_MAX: Final = 180.0
# From two shards a run goes on with three, then one, then two. On four partitions the first of three does
# what each of two does: it reads two.
SHARDS_MAX: Final = 3


class Fault(NamedTuple):
    """A fault to come: what, how long after the recovery from the one before, two dice for its course, one for whom."""

    kind: str
    after_s: float
    dice: tuple[float, float]
    whom: float


class Happened(NamedTuple):
    """A fault that was: from when to when something was away (s since the epoch), and whether all caught up."""

    kind: str
    began_at: float
    ended_at: float
    has_recovered: bool
    shards: int = 1
    """How many there were when it was over."""


def kill(job: Job, _rules: Rules, _fault: Fault) -> None:
    """End nextmove by SIGKILL, all of its processes at once."""
    job.nextmove.kill()


def terminate(job: Job, _rules: Rules, _fault: Fault) -> None:
    """Stop nextmove by SIGTERM, all of its processes at once."""
    job.nextmove.terminate()


def kill_broker(job: Job, rules: Rules, fault: Fault) -> None:
    """Kill the broker, and start it again some time later."""
    job.stage.kafka.kill()
    time.sleep(_between(rules.down, fault.dice[0]))
    job.stage.kafka.start()


def pause_broker(job: Job, rules: Rules, _fault: Fault) -> None:
    """Let the broker hang."""
    job.stage.kafka.pause()
    time.sleep(rules.pause)
    job.stage.kafka.resume()


def kill_redis(job: Job, rules: Rules, fault: Fault) -> None:
    """Kill Redis, and start it again some time later."""
    job.stage.redis.kill()
    time.sleep(_between(rules.down, fault.dice[0]))
    job.stage.redis.start()


def pause_redis(job: Job, rules: Rules, _fault: Fault) -> None:
    """Let Redis hang."""
    job.stage.redis.pause()
    time.sleep(rules.pause)
    job.stage.redis.resume()


def kill_in_broker_pause(job: Job, rules: Rules, fault: Fault) -> None:
    """Kill nextmove while the broker hangs."""
    job.stage.kafka.pause()
    time.sleep(rules.pause * fault.dice[0])
    _kill_some(job, fault)
    time.sleep(rules.pause * (1 - fault.dice[0]))
    job.stage.kafka.resume()


def kill_without_broker(job: Job, rules: Rules, fault: Fault) -> None:
    """Kill nextmove while the broker is dead."""
    job.stage.kafka.kill()
    time.sleep(_between(rules.down, fault.dice[0]))
    _kill_some(job, fault)
    time.sleep(_between(rules.down, fault.dice[1]))
    job.stage.kafka.start()


def kill_without_redis(job: Job, rules: Rules, fault: Fault) -> None:
    """Kill nextmove while Redis is dead."""
    job.stage.redis.kill()
    time.sleep(_between(rules.down, fault.dice[0]))
    _kill_some(job, fault)
    time.sleep(_between(rules.down, fault.dice[1]))
    job.stage.redis.start()


def kill_one(job: Job, _rules: Rules, fault: Fault) -> None:
    """End one shard by SIGKILL."""
    job.nextmove.one(fault.whom).kill()


def stop_one(job: Job, rules: Rules, fault: Fault) -> None:
    """Stop one shard by either signal, and start it again when the others have gone on for a while."""
    shard = job.nextmove.one(fault.whom)
    shard.hold()
    (shard.kill if fault.dice[1] < 0.5 else shard.terminate)()
    time.sleep(_between(rules.away, fault.dice[0]))
    shard.release()


def pause_one(job: Job, rules: Rules, fault: Fault) -> None:
    """Let one shard hang."""
    shard = job.nextmove.one(fault.whom)
    shard.pause()
    time.sleep(_between(rules.away, fault.dice[0]))
    shard.resume()


def move(job: Job, _rules: Rules, fault: Fault) -> None:
    """
    Stop all with a savepoint, and let another number of processes go on from it.

    They are stopped by those who supervise them, or by the command that saves; or one of them is killed meanwhile. What
    others have heard of that one may be in no checkpoint: then there is no savepoint, and all run once more before.
    """
    old = job.nextmove
    if fault.dice[0] < 1 / 3:
        old.stop()
    else:
        old.retire()
    if fault.dice[0] > 2 / 3:
        old.one(fault.whom).kill()
    savepoint = job.saved()
    if savepoint is None:
        old.start()
        job.wait_until_committed(RECOVERY_S_MAX)
        old.stop()
        savepoint = job.saved()
    assert savepoint is not None, "where none was killed, all that was told is saved"
    job.deploy(following(len(old.shards)), "--from-savepoint", str(savepoint)).start()


def following(shards: int) -> int:
    """Return the number of shards that comes after a savepoint of so many."""
    return shards % SHARDS_MAX + 1


Doing = Callable[[Job, Rules, Fault], None]

KINDS: Final[Mapping[str, Doing]] = {
    "nextmove killed": kill,
    "nextmove stopped": terminate,
    "broker killed": kill_broker,
    "broker paused": pause_broker,
    "Redis killed": kill_redis,
    "Redis paused": pause_redis,
    "nextmove killed, broker paused": kill_in_broker_pause,
    "nextmove killed, broker dead": kill_without_broker,
    "nextmove killed, Redis dead": kill_without_redis,
}
"""Where there are several shards, a word on nextmove is on all of them at once, together with others on one or all."""
AMONG_SHARDS: Final[Mapping[str, Doing]] = {
    "one shard killed": kill_one,
    "one shard stopped": stop_one,
    "one shard paused": pause_one,
}
MOVES: Final[Mapping[str, Doing]] = {"savepoint, other number of shards": move}
"""Whatever else comes is done to as many shards as there are then; of one, what is done to one."""
ALL: Final = {**KINDS, **AMONG_SHARDS, **MOVES}


def kinds(shards: int) -> Mapping[str, Doing]:
    """Return what can be done to so many processes."""
    return ALL if shards > 1 else KINDS


def schedule(seed: int, count: int, rules: Rules, known: Collection[str] = tuple(KINDS)) -> list[Fault]:
    """Invent so many faults: each `known` kind as often as the others, but for one, in any order."""
    random, among = Random(f"faults {seed}"), Random(f"shards {seed}")
    chosen = list[str]()
    while len(chosen) < count:
        chosen += random.sample(list(known), len(known))
    return [
        Fault(kind, _between(rules.rest, random.random()), (random.random(), random.random()), among.random())
        for kind in chosen[:count]
    ]


def happen(fault: Fault, job: Job, rules: Rules) -> Happened:
    """Do one fault, and wait until nextmove has done all that had come by then."""
    time.sleep(fault.after_s)
    began_at = time.time()
    ALL[fault.kind](job, rules, fault)
    ended_at = time.time()
    has_recovered = job.wait_until_committed(RECOVERY_S_MAX)
    return Happened(fault.kind, began_at, ended_at, has_recovered, len(job.nextmove.shards))


def _kill_some(job: Job, fault: Fault) -> None:
    for shard in job.nextmove.some(fault.whom):
        shard.kill()


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + share * (ends[1] - ends[0])
