"""
What is held against a run: all that `make chaos` holds against its own, and what only a simulation can see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tests.chaos.audit import Verdict, audit
from tests.chaos.evidence import Entered, Evidence, Expected, Told
from tests.chaos.lives import Sent
from tests.pipeline.helpers import Line, reference
from tests.simulation.affairs import published, whose
from tests.simulation.broker import Where
from tests.simulation.requested import judge_requests
from tests.simulation.requests import Wishes
from tests.simulation.rules import RULES
from tests.simulation.world import World

TOLD_AT: Final = frozenset({"emitted_at", "rejected_at", "identity"})
"""What differs where a record is told again: when that was, and what a store that does not roll back knew then."""
ON_THE_EVENT: Final = ("journey", "offer")
"""Families of triggers that an event causes itself."""
MAY_BE_SAID: Final = re.compile(
    r"no broker answers; waiting for Kafka|Kafka is back|no broker takes records; waiting|Kafka takes records again"
    r"|waiting for it, to take it in again"
)


def judged(world: World, log: Sequence[Sent], wished: Wishes, told_before: dict[Where, int]) -> Verdict:
    """Return what is wrong; `told_before` is how long the logs were when the processes were stopped first."""
    verdict = audit(evidence(world, log, wished), RULES)
    if wished.asked:
        judge_requests(verdict, world, wished)
    verdict.none_of("records with one id that say different things", _ambiguous(world, wished))
    grown = [
        where
        for where, length in told_before.items()
        if len(world.broker.logs[where]) != length and where[0] != world.internal
    ]
    verdict.none_of("topics that a quiet resume adds to", grown)
    verdict.none_of("strange words", [line for line in world.said if not MAY_BE_SAID.search(line)])
    return verdict


def evidence(world: World, log: Sequence[Sent], wished: Wishes) -> Evidence:
    """
    Read everything there is to read; a quiet run from one file says what is expected.

    Of all but those whom requests are about: of them it does not know.
    """
    sent, apart = [one.line for one in log], {one.line for one in wished.log}
    log = [one for one in log if one.line not in apart]
    is_apart = whose(world, wished)
    is_keyed = world.settings.key_groups % world.broker.topics[world.topic] == 0
    misplaced = {one.key.partition(".")[0] for one in log if not is_keyed or "." not in one.key}
    misplaced = misplaced if len(world.processes) > 1 else set()
    entered, seen, expected = Entered(sent), Told(), Expected()
    for (topic, number), records in world.broker.logs.items():
        if topic == world.topic:
            entered.add(f"{topic}/{number}", 0, [one.value for one in records])
            entered.count -= sum(one.value in apart for one in records)
    for stream, id_, record in published(world):
        if record.value and not is_apart(record) and not _depends(stream, msgspec.json.decode(record.value), misplaced):
            seen.take(stream, id_, record.value, record.came_at / 1000)
    for stream, event in reference(world.settings, [Line(0, one.at, one.sent_at, one.line) for one in log]):
        if not _depends(stream, event["data"], misplaced):
            expected.take(stream, event["id"], msgspec.json.encode(event["data"]))
    return Evidence([one.line for one in log], entered, seen, expected)


def _depends(stream: str, data: dict[str, Any], households: set[str]) -> bool:
    """
    Tell whether a decision depends on which shard is faster: one that an event causes itself, where the household's
    events lie in wrong partitions (docs/how-to/scaling.md).
    """
    if stream not in ("triggers", "suppressed") or data["family"] not in ON_THE_EVENT:
        return False
    return data["cause"]["event_id"].partition("-")[0] in households


def _again(stream: str, data: dict[str, Any]) -> str:
    """Return what differs where somebody of whom all was forgotten, or a device that leaves it behind, begins anew."""
    field = {"carts": "opened_at", "identity": "profile_id"}.get(stream)
    return str(data["cause"]["time"] if stream == "triggers" else data[field] if field else "")


def _ambiguous(world: World, wished: Wishes) -> list[str]:
    first: dict[tuple[str, ...], dict[str, Any]] = {}
    is_apart, found = whose(world, wished), []
    for stream, id_, record in published(world):
        told = msgspec.json.decode(record.value or b"{}")
        data = {name: value for name, value in told.items() if name not in TOLD_AT}
        again = _again(stream, data) if record.value and is_apart(record) else ""
        other = first.setdefault((stream, id_, again), data)
        if other != data:
            differing = sorted(name for name in data if data[name] != other.get(name))
            found.append(f"{stream} {id_}: {', '.join(differing)}")
    return found
