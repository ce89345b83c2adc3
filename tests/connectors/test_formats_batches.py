"""Envelopes around Segment's and RudderStack's calls, and the call that only RudderStack has."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.formats import Decoded, decode_batch, event_times
from connectors.formats.common import SourceRules
from connectors.formats.pseudonyms import Pseudonyms
from operators.event import Event
from operators.rejected import REASONS

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
T = "2026-03-01T12:00:{}Z"


def decode(record: object, format_: str = "auto") -> Decoded:
    return decode_batch([msgspec.json.encode(record)], partition="p", first_position=3, read_at=None, format=format_)


def events(record: object, format_: str = "auto") -> list[Event]:
    decoded = decode(record, format_)
    assert decoded.rejected == []
    return decoded.events


def page(number: int, **fields: object) -> dict[str, Any]:
    """A page call of Ann's browser at noon, with nulls as libraries send them."""
    told = {"type": "page", "messageId": f"m-{number}", "anonymousId": "ann", "userId": None, "channel": None}
    return told | {"timestamp": T.format("00")} | fields


def merge(*properties: object, **fields: object) -> dict[str, Any]:
    """A merge of RudderStack's at noon."""
    return {
        "type": "merge",
        "messageId": "m",
        "timestamp": T.format("00"),
        "mergeProperties": list(properties),
    } | fields


# --- envelopes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["auto", "segment", "rudderstack"])
@pytest.mark.parametrize("beside", [{"writeKey": "k"}, {"sentAt": T.format("09")}, {}])
def test_each_call_of_a_batch_is_a_call(beside: dict[str, Any], format_: str) -> None:
    """
    In their order, at one position, each with its own id.
    """
    found = events({"batch": [page(1), page(2)]} | beside, format_)
    assert [(one.kind, one.event_id, one.at, one.position) for one in found] == [
        ("page_viewed", "m-1", NOON, 3),
        ("page_viewed", "m-2", NOON, 3),
    ]


@pytest.mark.parametrize(
    ("clocks", "own", "at"),
    [
        ({"sentAt": T.format("09")}, {}, 0),
        ({"sentAt": T.format("09")}, {"timestamp": None}, 9000),
        ({"sentAt": T.format("09")}, {"timestamp": None, "sentAt": T.format("04")}, 4000),
        # The client is an hour fast, and a server noted when it had the batch: 2 s before it was sent.
        (
            {"sentAt": "2026-03-01T13:00:02Z", "receivedAt": T.format("05")},
            {"timestamp": "2026-03-01T13:00:00Z"},
            3000,
        ),
        (
            {"sentAt": "2026-03-01T13:00:02Z", "receivedAt": T.format("05")},
            {"timestamp": T.format("00"), "originalTimestamp": "2026-03-01T13:00:01Z"},
            4000,
        ),
        # Segment itself has corrected it.
        ({"sentAt": "2026-03-01T13:00:02Z"}, {"receivedAt": T.format("05")}, 0),
        ({"timestamp": T.format("09"), "sentAt": T.format("09")}, {"timestamp": T.format("01")}, 1000),
    ],
)
def test_the_clocks_of_an_envelope_are_those_of_its_calls(
    clocks: dict[str, str], own: dict[str, object], at: int
) -> None:
    """
    When it was sent and received holds for each call that does not say it itself.
    """
    record = {"batch": [page(1, **own)]} | clocks
    assert [one.at for one in events(record)] == [NOON + at]
    assert event_times([msgspec.json.encode(record)]) == [NOON + at]


def test_the_context_of_an_envelope_is_that_of_its_calls() -> None:
    """
    What a call says in its own context outranks it, name by name.
    """
    shared = {"page": {"url": "https://a"}, "campaign": {"name": "spring"}}
    batch = [page(1), page(2, context={"page": {"url": "https://b"}}), page(3, context=None)]
    found = events({"batch": batch, "context": shared})
    assert [(one.url, one.campaign) for one in found] == [
        ("https://a", "spring"),
        ("https://b", "spring"),
        ("https://a", "spring"),
    ]


def test_a_broken_call_is_rejected_alone() -> None:
    """
    Its neighbours become events, and its dead letter names its place in the batch.
    """
    batch = [page(1), page(2, anonymousId=None), page(3, timestamp="soon"), 4, {"type": "x"}, page(6)]
    decoded = decode({"batch": batch, "writeKey": "k"})
    assert [one.event_id for one in decoded.events] == ["m-1", "m-6"]
    assert [(bad.reason, bad.detail.partition(":")[0]) for bad in decoded.rejected] == [
        ("no_identity", "part 1"),
        ("bad_time", "part 2"),
        ("not_an_object", "part 3"),
        ("unknown_format", "part 4"),
    ]


@pytest.mark.parametrize("batch", [[], "calls", None, {"type": "page"}])
def test_a_batch_of_nothing_is_refused(batch: object) -> None:
    """
    What cannot become an event is told, never lost.
    """
    decoded = decode({"batch": batch, "writeKey": "k"})
    assert (decoded.events, [bad.reason for bad in decoded.rejected]) == ([], ["unknown_format"])


# --- merge --------------------------------------------------------------------------------------------------

EMAIL = {"type": "email", "value": "Ann@Example.org"}
MOBILE = {"type": "mobile", "value": "+49 151 23456789"}


@pytest.mark.parametrize("format_", ["auto", "rudderstack"])
@pytest.mark.parametrize("in_batch", [False, True])
def test_a_merge_says_that_two_identifiers_are_one_persons(format_: str, *, in_batch: bool) -> None:
    """
    An address and a number in their one spelling; what it said stays with it.
    """
    told = merge(EMAIL, MOBILE)
    (found,) = events({"batch": [told], "sentAt": T.format("09")} if in_batch else told, format_)
    expected = Event("identified", NOON, "m", "server", "ann@example.org", email="ann@example.org")
    expected.phone, expected.partition, expected.position = "+4915123456789", "p", 3
    expected.properties = found.properties
    assert found == expected
    assert found.told() == {"mergeProperties": {"email": [EMAIL["value"]], "mobile": [MOBILE["value"]]}}


def test_a_merge_under_pseudonyms_tells_no_contact() -> None:
    """
    Neither the address nor the number is left anywhere in the event.
    """
    rules = SourceRules(pseudonyms=Pseudonyms("a secret of the shop"))
    raw = msgspec.json.encode(merge(EMAIL, MOBILE, {"type": "shoe", "value": "43"}))
    (found,) = decode_batch([raw], partition="p", first_position=3, read_at=None, rules=rules).events
    assert found.told() == {"mergeProperties": {"shoe": ["43"]}}
    assert "example.org" not in repr(found)
    assert "23456789" not in repr(found)


def test_a_merge_of_ids_asks_that_they_be_one_persons() -> None:
    """
    The first of each kind is the event's own; types in any spelling, those that are none of ours are passed over.
    """
    named = [("user_id", "u1"), ("userId", "u2"), ("anonymousId", "ann"), ("anonymous_id", "ben"), ("shoe", "43")]
    told = merge(*[{"type": type_, "value": value} for type_, value in named], {"type": "user_id", "value": "u1"})
    (found,) = events(told)
    assert (found.user_id, found.anonymous_id, found.also) == ("u1", "ann", ("u:u2", "a:ben"))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (merge(), "no_identity"),
        (merge({"type": "email", "value": "nobody"}), "no_identity"),
        (merge({"type": "user_id", "value": "guest"}), "no_identity"),
        (merge(7, {"type": 7, "value": "u1"}, {"value": "u1"}), "no_identity"),
        (merge({"type": "user_id", "value": "u" * 257}), "wrong_type"),
        (merge(EMAIL, timestamp="soon"), "bad_time"),
        (merge(EMAIL, timestamp=None), "bad_time"),
        ({"type": "merge", "timestamp": T.format("00"), "mergeProperties": {}}, "unknown_format"),
    ],
)
def test_a_merge_of_nobody_is_refused(told: dict[str, Any], reason: str) -> None:
    """
    With its reason, whatever its fields hold.
    """
    decoded = decode(told)
    assert (decoded.events, [bad.reason for bad in decoded.rejected]) == ([], [reason])


# --- anything at all ----------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["ann", T.format("05"), "merge"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
calls = st.dictionaries(
    st.sampled_from(["type", "context", "timestamp", "sentAt", "userId", "mergeProperties"]), values
)


@given(
    st.lists(calls.map(lambda fields: page(1) | fields) | values, max_size=4),
    st.dictionaries(st.sampled_from(["sentAt", "receivedAt", "context", "writeKey"]), values),
    st.sampled_from(["auto", "segment", "rudderstack", "canonical", "cloudevents"]),
)
def test_each_part_is_an_event_or_a_rejection(batch: list[Any], beside: dict[str, Any], format_: str) -> None:
    """
    One of either for each call at least, and never an exception.
    """
    decoded = decode({"batch": [*batch, page(9)]} | beside, format_)
    assert {bad.reason for bad in decoded.rejected} <= set(REASONS)
    assert len(decoded.events) + len(decoded.rejected) >= len(batch) + 1  # a part may be a list of calls itself
