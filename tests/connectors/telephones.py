"""What the tests of telephone formats share: reading records, and what is told of each leg, whatever the order."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
from hypothesis import strategies as st

from connectors.formats import Decoded, Format, decode_batch
from operators.event import Event, unpack
from operators.leg import Leg, LegState
from operators.rejected import REASONS

TEN = 1_795_255_200_000  # 2026-11-21T10:00:00Z
SAMPLES = Path(__file__).parent / "samples"

T = TypeVar("T")

Steps = list[tuple[str, float]]
"""States of a leg, each with the seconds since TEN."""


def decode(*records: object, read_at: int | None = None, format: Format = "auto") -> Decoded:  # noqa: A002 - the word of decode_batch
    raws = [record if isinstance(record, bytes) else msgspec.json.encode(record) for record in records]
    return decode_batch(raws, partition="p", first_position=0, read_at=read_at, format=format)


def event_of(record: object, read_at: int | None = None) -> Event:
    decoded = decode(record, read_at=read_at)
    assert decoded.rejected == []
    (event,) = decoded.events
    return event


def leg_of(record: object, read_at: int | None = None) -> Leg:
    leg = event_of(record, read_at).leg
    assert leg is not None
    return leg


def reason_of(record: object, read_at: int | None = None, format: Format = "auto") -> str:  # noqa: A002 - as above
    (bad,) = decode(record, read_at=read_at, format=format).rejected
    return bad.reason


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def seconds(leg: Leg) -> Steps:
    return [(state, (at - TEN) / 1000) for state, at in leg.steps]


def legs_of(records: Sequence[object]) -> dict[str, Steps]:
    """Say what the records tell of each leg, each event once: its steps in the order of time."""
    order = get_args(LegState)
    decoded = decode(*records)
    assert decoded.rejected == []
    found: dict[str, set[tuple[float, int]]] = {}
    for event in {event.event_id: event for event in decoded.events}.values():
        assert event.leg is not None
        steps = found.setdefault(event.leg.leg_id, set())
        steps |= {(second, order.index(state)) for state, second in seconds(event.leg)}
    return {leg_id: [(order[state], second) for second, state in sorted(steps)] for leg_id, steps in found.items()}


def in_any_order(records: Sequence[T]) -> list[list[T]]:
    """Return the records in order, backwards, and shuffled with repeats."""
    twice = [*records, *records]
    random.Random(6).shuffle(twice)
    return [list(records), list(records)[::-1], twice]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["9" * 40, "x" * 300, "1e999", "9999-12-31T23:59:59-14:00", "Sat, 21 Nov 99999 10:00:42 +9999", "sip:"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
"""Any JSON value, and texts that come near to what fields hold."""


def paths(told: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to each field of an object and of the objects in it."""
    inside = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    return [way for name, value in inside for way in [(*path, name), *paths(value, (*path, name))]]


@st.composite
def spoilt(draw: st.DrawFn, records: Sequence[object]) -> object:
    """Return one of the records with up to three of its fields set to anything."""
    told: Any = msgspec.json.decode(msgspec.json.encode(draw(st.sampled_from(records))))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(paths(told) or [("CallSid",)]))
        target = told
        for name in way:
            target = target[name]
        target[last] = draw(anything)
    return told


def check_is_told_or_refused(record: object, read_at: int | None, format_: Format) -> None:
    """Check that a record gives events that can be sent on, or a reason, and that no leg's step is out of its time."""
    decoded = decode(record, read_at=read_at, format=format_)
    assert decoded.events or decoded.rejected
    assert {bad.reason for bad in decoded.rejected} <= REASONS
    sent = msgspec.msgpack.encode([event.pack() for event in decoded.events])
    assert [unpack(row) for row in msgspec.msgpack.decode(sent)] == decoded.events
    for event in decoded.events:
        event.told()
        if event.leg is not None:
            instants = [at for _, at in event.leg.steps]
            assert instants == sorted(instants)
            assert all(at <= event.at for at in instants)
            assert event.leg.calls
