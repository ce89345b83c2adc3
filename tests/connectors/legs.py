"""What tests of telephone formats share: records to legs, and a leg in one line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from connectors.formats import Format, decode_batch
from operators.event import Event
from operators.leg import LEG_STATES, REASONS, Leg

NOON = 1_795_262_400_000  # 2026-11-21T12:00:00Z


def events_of(
    records: Iterable[dict[str, Any] | bytes],
    format: Format = "auto",  # noqa: A002 - the word of decode_batch
    read_at: int | None = None,
) -> list[Event]:
    """Decode records; none may be refused."""
    raws = [record if isinstance(record, bytes) else msgspec.json.encode(record) for record in records]
    decoded = decode_batch(raws, partition="p", first_position=0, read_at=read_at, format=format)
    assert not decoded.rejected, decoded.rejected
    return decoded.events


def legs_of(
    records: Iterable[dict[str, Any] | bytes],
    format: Format = "auto",  # noqa: A002 - as above
    read_at: int | None = None,
) -> list[Leg]:
    """Decode records to legs; every state and reason must be one that there is."""
    legs = []
    for event in events_of(records, format, read_at):
        assert event.kind == "call_leg"
        assert event.channel == "phone"
        assert event.leg is not None
        assert {state for state, _ in event.leg.steps} <= LEG_STATES
        assert event.leg.reason in REASONS
        legs.append(event.leg)
    return legs


def short(leg: Leg) -> str:
    """Say a leg in one line: its id, whose it is, its states with their seconds since noon, and why."""
    states = " ".join(f"{state}@{(at - NOON) / 1000:g}" for state, at in leg.steps)
    hop = f"{leg.transfer_kind}:{leg.transfer_to}" if leg.transfer_kind else ""
    return " ".join(filter(None, [leg.leg_id.partition(":")[2], leg.party or "?", states, leg.reason, hop]))


def calls_of(legs: Iterable[Leg]) -> list[set[str]]:
    """Join legs by the ids that they share; return the ids of each call's legs."""
    groups: list[tuple[set[str], set[str]]] = []
    for leg in legs:
        ids, members = {leg.leg_id, *leg.calls}, {leg.leg_id}
        for group in [group for group in groups if group[0] & ids]:
            groups.remove(group)
            ids, members = ids | group[0], members | group[1]
        groups.append((ids, members))
    return [members for _, members in groups]
