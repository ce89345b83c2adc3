"""
What is held against a run: all that `make chaos` holds against its own, and what only a simulation can see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from connectors.cloudevents import STREAMS
from connectors.kafka_sink import header
from tests.chaos.audit import Verdict, audit
from tests.chaos.evidence import ALIASES, Evidence, Input, Seen
from tests.chaos.lives import Sent
from tests.pipeline.helpers import Line, reference
from tests.simulation.broker import Heard, Where
from tests.simulation.rules import RULES
from tests.simulation.world import World

TOLD_AT: Final = frozenset({"emitted_at", "rejected_at"})
"""What differs where a record is told again: when that was."""
MAY_BE_SAID: Final = re.compile(
    r"no broker answers; waiting for Kafka|Kafka is back|no broker takes records; waiting|Kafka takes records again"
)


def judged(world: World, log: Sequence[Sent], told_before: dict[Where, int]) -> Verdict:
    """Return what is wrong; `told_before` is how long the logs were when the processes were stopped first."""
    found = evidence(world, log)
    verdict = audit(found, RULES)
    verdict.none_of("records with one id that say different things", _ambiguous(found.seen))
    grown = [
        where
        for where, length in told_before.items()
        if len(world.broker.logs[where]) != length and where[0] != world.internal
    ]
    verdict.none_of("topics that a quiet resume adds to", grown)
    verdict.none_of("strange words", [line for line in world.said if not MAY_BE_SAID.search(line)])
    return verdict


def evidence(world: World, log: Sequence[Sent]) -> Evidence:
    """Read everything there is to read; a quiet run from one file says what is expected."""
    entered: list[Input] = []
    seen: dict[str, list[Seen]] = {stream: [] for stream in STREAMS}
    for (topic, number), records in world.broker.logs.items():
        if topic == world.topic:
            entered += [Input(f"{topic}/{number}", offset, one.value) for offset, one in enumerate(records)]
            continue
        if topic == world.internal:
            continue  # what processes say to each other, of time too
        name = topic.removeprefix(world.settings.kafka.prefix).split(".")[0]
        for offset, one in enumerate(records):
            told: Any = Heard((topic, number), offset, one)
            id_ = header(told, "ce_id").decode()
            seen[ALIASES.get(name, name)].append(Seen(id_, one.came_at / 1000, msgspec.json.decode(one.value)))
    lines = [Line(0, sent.at, sent.sent_at, sent.line) for sent in log]
    expected: dict[str, list[Seen]] = {stream: [] for stream in STREAMS}
    for stream, event in reference(world.settings, lines):
        expected[stream].append(Seen(event["id"], 0.0, event["data"]))
    return Evidence([sent.line for sent in log], entered, seen, expected)


def _ambiguous(seen: dict[str, list[Seen]]) -> list[str]:
    first: dict[tuple[str, str], dict[str, Any]] = {}
    found = []
    for stream, records in seen.items():
        for record in records:
            data = {name: value for name, value in record.data.items() if name not in TOLD_AT}
            other = first.setdefault((stream, record.id), data)
            if other != data:
                differing = sorted(name for name in data if data[name] != other.get(name))
                found.append(f"{stream} {record.id}: {', '.join(differing)}")
    return found
