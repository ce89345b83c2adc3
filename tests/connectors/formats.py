"""
What tests of formats share: records to events, and values of any kind in the place of any field.
"""

from typing import Any

import msgspec
from hypothesis import strategies as st

from connectors.formats import Decoded, Format, decode_batch
from connectors.formats.common import DEFAULT_RULES, SourceRules
from operators.event import Event

NOON = 1_795_255_200_000  # 2026-11-21T10:00:00Z

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["null", "+4915112345678", "2026-11-21T10:00:00Z", "1795255200", "9" * 300, "users.x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def decoded(
    *records: object,
    format: Format = "auto",  # noqa: A002 - the word of decode_batch
    read_at: int | None = None,
    rules: SourceRules = DEFAULT_RULES,
) -> Decoded:
    raws = [record if isinstance(record, bytes) else msgspec.json.encode(record) for record in records]
    return decode_batch(raws, partition="p", first_position=1, read_at=read_at, format=format, rules=rules)


def events_of(*records: object, format: Format = "auto", read_at: int | None = None) -> list[Event]:  # noqa: A002 - as above
    """
    The events of records that are all accepted.
    """
    outcome = decoded(*records, format=format, read_at=read_at)
    assert outcome.rejected == []
    return outcome.events


def event_of(record: object, format: Format = "auto", read_at: int | None = None) -> Event:  # noqa: A002 - as above
    """
    The one event of a record.
    """
    (event,) = events_of(record, format=format, read_at=read_at)
    return event


def reasons(*records: object, format: Format = "auto") -> list[str]:  # noqa: A002 - as above
    """
    Why records are rejected, where they all are.
    """
    outcome = decoded(*records, format=format)
    assert outcome.events == []
    return [rejected.reason for rejected in outcome.rejected]


def ways(value: object, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """
    The way to each value in a record, its own parts included.
    """
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for key, one in inner for way in ((*before, key), *ways(one, (*before, key)))]


def replaced(value: object, way: tuple[str | int, ...], by: object) -> object:
    """
    A record with another value at the end of a way.
    """
    if not way:
        return by
    if isinstance(value, dict):
        return {key: replaced(one, way[1:], by) if key == way[0] else one for key, one in value.items()}
    assert isinstance(value, list)
    return [replaced(one, way[1:], by) if number == way[0] else one for number, one in enumerate(value)]


def mutated(records: list[Any]) -> st.SearchStrategy[Any]:
    """
    A record of these with anything in up to three places.
    """

    @st.composite
    def draw_one(draw: st.DrawFn) -> object:
        record = draw(st.sampled_from(records))
        for _ in range(draw(st.integers(1, 3))):
            places = ways(record)
            if places:
                record = replaced(record, draw(st.sampled_from(places)), draw(ANYTHING))
        return record

    return draw_one()
