"""
What becomes of captured lines: the calls that nextmove publishes of them, or what their legs say without it.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from connectors.formats import decode_batch
from operators.event import Event
from operators.ids import digest
from operators.leg import Leg
from tests.services.process import ROOT

CUSTOMER: Final = "+4915112345678"
RUN_S_MAX: Final = 120


class Record(NamedTuple):
    """What is compared of a call. Times are ms; `transfers` are kind and target of each hop."""

    started_at: int
    customer: str
    direction: str
    called: str
    reason: str
    agents: tuple[str, ...]
    transfers: tuple[str, ...]
    holds: int
    wait_ms: int
    talk_ms: int
    hold_ms: int


def legs_of(lines: Sequence[tuple[int, bytes]]) -> list[Leg]:
    """Decode lines, each with the instant at which it came; every one must give legs. Repeats count once."""
    decoded = decode_batch(
        [line for _, line in lines],
        partition="kamailio",
        first_position=0,
        read_at=None,
        came_at=[at for at, _ in lines],
        format="kamailio",
    )
    assert not decoded.rejected, decoded.rejected[0]
    return records_once(decoded.events)


def records_once(events: Iterable[Event]) -> list[Leg]:
    """Return the legs of events, of those with one id the first."""
    once = {event.event_id: event.leg for event in events}
    return [leg for leg in once.values() if leg is not None]


def published(lines: Sequence[tuple[int, bytes]], folder: Path) -> list[Record] | None:
    """Run nextmove on lines; None where it publishes no calls."""
    source, out = folder / "lines.jsonl", folder / "out"
    source.write_bytes(b"".join(line + b"\n" for _, line in lines))
    command = [sys.executable, "-m", "pipeline.cli", "run", str(source), "--out", str(out)]
    done = subprocess.run(command, check=False, cwd=ROOT, timeout=RUN_S_MAX, capture_output=True)
    if not (out / "calls.jsonl").exists():
        return None
    assert done.returncode == 0, done.stderr.decode()
    latest: dict[str, dict[str, Any]] = {}
    for line in (out / "calls.jsonl").read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        told = told.get("data", told)
        latest[told["call_id"]] = told
    return sorted(_told(told) for told in latest.values() if told["state"] != "merged")


def _told(told: dict[str, Any]) -> Record:
    """Read a published call."""
    is_hers = told["customer_ref"] == digest("phone", CUSTOMER)
    return Record(
        int(datetime.fromisoformat(told["started_at"]).timestamp() * 1000),
        CUSTOMER if is_hers else told["customer_ref"],
        told["direction"],
        told["called"],
        told["reason"],
        tuple(told["agents"]),
        tuple(hop.replace(" ", ":") for hop in told["transfers"]),
        told["holds"],
        told["wait_ms"],
        told["talk_ms"],
        told["hold_ms"],
    )


def assembled(legs: Sequence[Leg]) -> list[Record]:
    """Put calls together from legs as simply as can be: an oracle, with none of the care that a pipeline needs."""
    return sorted(_record(call) for call in _calls(legs))


def _calls(legs: Sequence[Leg]) -> list[list[Leg]]:
    groups: list[tuple[set[str], list[Leg]]] = []
    for leg in legs:
        ids, members = {leg.leg_id, *leg.calls}, [leg]
        for group in [group for group in groups if group[0] & ids]:
            groups.remove(group)
            ids, members = ids | group[0], group[1] + members
        groups.append((ids, members))
    return [members for _, members in groups]


def _record(legs: Sequence[Leg]) -> Record:
    steps = sorted({(at, state, leg.leg_id, leg.party) for leg in legs for state, at in leg.steps})
    party = {leg.leg_id: leg.party for leg in legs if leg.party}
    started, ended = steps[0][0], steps[-1][0]
    answers = [at for at, state, leg_id, _ in steps if state == "answered" and party.get(leg_id) == "agent"]
    agents = {leg.agent: at for leg in reversed(legs) for state, at in leg.steps if state == "answered" and leg.agent}
    holds = [at for at, state, *_ in steps if state == "held"]
    back = [at for at, state, *_ in steps if state == "resumed"]
    held_ms = sum(until - since for since, until in zip(holds, [*back, ended], strict=False))
    first = min((leg for leg in legs if leg.steps), key=lambda leg: leg.steps[0][1])
    hops = {at: f"{leg.transfer_kind}:{leg.transfer_to}" for leg in legs for s, at in leg.steps if s == "transferring"}
    failed = next((leg.reason for leg in legs if leg.party == "customer" and leg.reason), "")
    return Record(
        started,
        next((leg.customer for leg in legs if leg.customer), ""),
        first.direction,
        first.called,
        "completed" if answers else failed,
        tuple(sorted(agents, key=lambda agent: agents[agent])),
        tuple(hops[at] for at in sorted(hops)),
        len(holds),
        (answers[0] if answers else ended) - started,
        ended - answers[0] - held_ms if answers else 0,
        held_ms,
    )
