"""The canonical event and how its instants are written."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.event import INSTANT_MAX, INSTANT_MIN, Commerce, Event, Item, rfc3339, unpack

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (INSTANT_MIN, "2000-01-01T00:00:00.000Z"),
        (INSTANT_MAX - 1, "2099-12-31T23:59:59.999Z"),
        (1_709_164_800_000 + 86_399_999, "2024-02-29T23:59:59.999Z"),
    ],
)
def test_an_instant_on_the_wire(instant: int, text: str) -> None:
    """
    RFC 3339 in UTC with milliseconds, across years, leap days and the epoch.
    """
    assert rfc3339(instant) == text


@given(st.integers(INSTANT_MIN, INSTANT_MAX))
def test_an_instant_on_the_wire_is_what_datetime_writes(instant: int) -> None:
    """
    For every instant an event may have; and texts sort as their instants do.
    """
    moment = EPOCH + timedelta(milliseconds=instant)
    assert rfc3339(instant) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert rfc3339(instant) < rfc3339(instant + 1)


def test_an_event_survives_a_checkpoint() -> None:
    """
    What is held back in a state comes back from msgpack as it was.
    """
    commerce = Commerce((Item("p1", 2.0, 9.99, "Kettle", "kitchen"),), "c1", "k1", "o1", "EUR", 19.98, 0.0, "/c")
    event = Event("order_completed", INSTANT_MIN, "e1", "web", "a", commerce=commerce, consents={"email": False})
    assert unpack(msgspec.msgpack.decode(msgspec.msgpack.encode(event.pack()))) == event
