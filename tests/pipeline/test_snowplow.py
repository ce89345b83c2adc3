"""
The real shop's events as Snowplow has them: enriched lines, and the JSON that Snowplow's own SDK makes of these, give
the sessions and carts that the same events give as Segment's calls (test_acceptance.py).

Ten of the 832 events came from an app, whose entity `client_session` said which device and which session they are of.
enriched.tsv has lost it, expected_sessions_and_carts.csv has what it said. `enriched_lines` puts it back; what becomes
of the file as it is, has a test of its own.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from connectors.formats import decode_batch
from operators.event import Event
from tests.pipeline.test_acceptance import (
    SHOP,
    Streams,
    expected_sessions,
    highest,
    ms,
    needs_shop,
    outcome,
    shop_lines,
)

PLATFORM: Final = 1
CONTEXTS: Final = 52
DEVICE: Final = "a16349a5-b57e-4afe-9737-87cd074b9edd"
"""The device that the app ran on."""

Session = tuple[str, str, int, int, int, int]
"""Visitor, Snowplow's own id of the session, start and end in ms, events, orders."""


def lines_as_they_are() -> tuple[bytes, ...]:
    """enriched.tsv."""
    return tuple((SHOP / "enriched.tsv").read_bytes().splitlines())


@cache
def enriched_lines() -> tuple[bytes, ...]:
    """The shop's events as enriched lines, each with the entity that says which device it is of."""
    (session,) = [row["session"] for row in expected_sessions() if row["anonymousId"] == DEVICE]
    lost = {
        "schema": "iglu:com.snowplowanalytics.snowplow/client_session/jsonschema/1-0-2",
        "data": {"userId": DEVICE, "sessionId": session, "sessionIndex": 1, "storageMechanism": "SQLITE"},
    }
    return tuple(with_entity(line, lost) for line in lines_as_they_are())


def with_entity(line: bytes, entity: dict[str, Any]) -> bytes:
    """Put an entity into an event of an app."""
    fields = line.split(b"\t")
    if fields[PLATFORM] != b"mob":
        return line
    empty = b'{"schema":"iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0","data":[]}'
    contexts = msgspec.json.decode(fields[CONTEXTS] or empty)
    contexts["data"].append(entity)
    fields[CONTEXTS] = msgspec.json.encode(contexts)
    return b"\t".join(fields)


@cache
def enriched_json() -> tuple[bytes, ...]:
    """What Snowplow's SDK for Python makes of these lines."""
    return as_json(enriched_lines())


def as_json(lines: Sequence[bytes]) -> tuple[bytes, ...]:
    """What it makes of any lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its strings have escapes that Python has come to frown upon
        transform = import_module("snowplow_analytics_sdk.event_transformer").transform
    return tuple(msgspec.json.encode(transform(line.decode())) for line in lines)


@pytest.fixture(scope="module", params=["tsv", "json"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Streams:
    """What the shop's events yield at default settings, which find out what format they have."""
    lines = enriched_lines() if request.param == "tsv" else enriched_json()
    return outcome(tmp_path_factory.mktemp("shop"), {"input": lines})


def decoded(lines: Sequence[bytes]) -> list[Event]:
    """All events of a log, of which nothing is rejected."""
    found = decode_batch(lines, partition="", first_position=1, read_at=None)
    assert found.rejected == []
    return found.events


def found_sessions(streams: Streams) -> list[Session]:
    """The sessions of a run, sorted."""
    return sorted(
        (s["visitor_id"], s["client_session_id"], ms(s["started_at"]), ms(s["ended_at"]), s["events"], s["orders"])
        for s in highest(streams["sessions"], "session_id").values()
    )


def sessions_of_the_file() -> list[Session]:
    """The sessions that there must be, sorted."""
    return sorted(
        (
            row["anonymousId"],
            row["session"],
            ms(row["start_event_time"]),
            ms(row["end_event_time"]),
            int(row["events"]),
            int(row["orders"]),
        )
        for row in expected_sessions()
    )


def abandoned_carts(streams: Streams) -> list[tuple[str, float]]:
    """Visitor and value of each cart that was left, sorted."""
    last = highest(streams["carts"], "cart_id").values()
    left = [cart for cart in last if cart["state"] == "abandoned" and cart["intent"] in ("cart", "checkout")]
    return sorted((cart["visitor_id"], cart["value"]) for cart in left)


def open_carts_of_the_file() -> list[tuple[str, float]]:
    """Visitor and value of each cart that must be left, sorted."""
    rows = [row for row in expected_sessions() if row["open_cart_at_session_end"] == "True"]
    return sorted((row["anonymousId"], float(row["open_cart_value_at_session_end"])) for row in rows)


@needs_shop
def test_every_session_is_found(shop: Streams) -> None:
    """
    63 sessions of 60 visitors with 14 orders, row by row as in the file, under Snowplow's own ids.
    """
    found = found_sessions(shop)
    assert found == sessions_of_the_file()
    assert (len(found), len({visitor for visitor, *_ in found}), sum(orders for *_, orders in found)) == (63, 60, 14)
    assert {(s["data"]["state"], s["data"]["revision"]) for s in shop["sessions"]} == {("closed", 1)}


@needs_shop
def test_exactly_the_open_carts_are_abandoned(shop: Streams) -> None:
    """
    8 carts by visitor and value, and no other.
    """
    assert abandoned_carts(shop) == open_carts_of_the_file()
    assert len(abandoned_carts(shop)) == 8


@needs_shop
@pytest.mark.parametrize("form", ["tsv", "json"])
def test_the_file_as_it_is(tmp_path: Path, form: str) -> None:
    """
    enriched.tsv without the entity by which its app names the device: 63 sessions of 60 visitors and 8 carts as well.

    The app sent in two requests, before it had a cookie from either: its network address stands for the device.
    """
    lines = lines_as_they_are() if form == "tsv" else as_json(lines_as_they_are())
    found = outcome(tmp_path, {"input": lines})
    sessions, expected = found_sessions(found), sessions_of_the_file()
    stand_in = {visitor for visitor, *_ in sessions} - {visitor for visitor, *_ in expected}
    assert len(stand_in) == 1
    named = {DEVICE: stand_in.pop()}
    assert sessions == sorted(
        (named.get(visitor, visitor), "" if visitor in named else own, *rest) for visitor, own, *rest in expected
    )
    assert (len(sessions), len({visitor for visitor, *_ in sessions})) == (63, 60)
    assert abandoned_carts(found) == open_carts_of_the_file()
    assert len(abandoned_carts(found)) == 8


@needs_shop
def test_the_sdks_json_says_what_the_lines_say() -> None:
    """
    The same 832 events, and the same of every field that an event has none for; the SDK adds `geo_location`.
    """
    lines, objects = decoded(enriched_lines()), decoded(enriched_json())
    told = [event.told() for event in objects]
    for properties in told:
        properties.pop("geo_location", None)

    assert objects == lines
    assert told == [event.told() for event in lines]
    assert len(lines) == 832


@needs_shop
def test_the_events_are_those_that_segments_calls_are() -> None:
    """
    By event id: the same visitor, time and page; where the shop's plugin spoke, the same kind, products and order.

    Of 410 events enriched.tsv does not say what they are, for it has lost that, too; Segment's calls are page views.
    """
    calls = {event.event_id: event for event in decoded(shop_lines())}
    found = decoded(enriched_lines())
    for event in found:
        call = calls[event.event_id]
        assert (event.at, event.anonymous_id, event.channel) == (call.at, call.anonymous_id, call.channel)
        assert (event.url, event.referrer) == (call.url, call.referrer)
    spoken = [event for event in found if event.kind != "other"]
    assert len(found) - len(spoken) == 410 + 2  # promotions
    for event in spoken:
        call, commerce = calls[event.event_id], event.commerce
        assert event.kind == call.kind
        assert commerce is not None
        assert call.commerce is not None
        assert commerce.items == call.commerce.items
        assert commerce.cart_value == call.commerce.cart_value
        assert (commerce.order_id, commerce.value) == (call.commerce.order_id, call.commerce.value)
