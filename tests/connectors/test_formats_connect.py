"""Amazon Connect's contacts: events and records as legs, in any order, in any case."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import Format
from operators.event import rfc3339
from operators.leg import Leg
from tests.connectors.telephones import (
    TEN,
    Steps,
    check_is_told_or_refused,
    decode,
    in_any_order,
    legs_of,
    reason_of,
    sample,
    seconds,
    spoilt,
)

ANN = "+4915112345678"
SHOP = "+18005550100"

Record = dict[str, Any]


def at(second: float) -> str:
    return rfc3339(TEN + int(second * 1000))


def contact(type_: str, second: float, contact_id: str = "c-1", **more: object) -> Record:
    told = {"eventType": type_, "contactId": contact_id, "channel": "VOICE", "initiationMethod": "INBOUND", **more}
    envelope = {"id": f"{type_} {contact_id}", "detail-type": "Amazon Connect Contact Event", "source": "aws.connect"}
    return {**envelope, "time": at(second), "detail": {"initiationTimestamp": at(0), **told}}


QUEUED: Record = {"queueInfo": {"queueArn": "arn:q", "enqueueTimestamp": at(3)}}
BOB: Record = {"agentInfo": {"agentArn": "arn:bob", "connectedToAgentTimestamp": at(10)}}
CAT: Record = {"agentInfo": {"agentArn": "arn:cat", "connectedToAgentTimestamp": at(30)}}
OF_C1: Record = {"initialContactId": "c-1", "previousContactId": "c-1", "initiationMethod": "TRANSFER"}
BY_US: Record = {"initiationMethod": "OUTBOUND"}

PATHS: dict[str, tuple[list[Record], dict[str, Steps]]] = {
    "answered": (
        [
            contact("INITIATED", 0),
            contact("QUEUED", 3, **QUEUED),
            contact("CONNECTED_TO_AGENT", 10, **QUEUED, **BOB),
            contact("DISCONNECTED", 42, **QUEUED, **BOB, disconnectTimestamp=at(42)),
        ],
        {
            "connect:c-1": [("offered", 0), ("queued", 3), ("answered", 10), ("ended", 42)],
            "connect:c-1/agent": [("answered", 10), ("ended", 42)],
        },
    ),
    "abandoned in a queue": (
        [contact("QUEUED", 3, **QUEUED), contact("DISCONNECTED", 20, **QUEUED, disconnectTimestamp=at(20))],
        {"connect:c-1": [("offered", 0), ("queued", 3), ("ended", 20)]},
    ),
    "transferred": (
        [
            contact("CONNECTED_TO_AGENT", 10, **BOB),
            contact("INITIATED", 20, "c-2", **OF_C1 | {"initiationTimestamp": at(20)}),
            contact("CONNECTED_TO_AGENT", 30, "c-2", **OF_C1 | CAT | {"initiationTimestamp": at(20)}),
            contact("DISCONNECTED", 31, **BOB, disconnectTimestamp=at(31)),
            contact(
                "DISCONNECTED",
                42,
                "c-2",
                **OF_C1 | CAT | {"disconnectTimestamp": at(42), "initiationTimestamp": at(20)},
            ),
        ],
        {
            "connect:c-1": [("offered", 0), ("answered", 10), ("ended", 31)],
            "connect:c-1/agent": [("answered", 10), ("ended", 31)],
            "connect:c-2": [("offered", 20), ("answered", 30), ("ended", 42)],
            "connect:c-2/agent": [("answered", 30), ("ended", 42)],
        },
    ),
    "no answer": (
        [contact("INITIATED", 0, **BY_US), contact("DISCONNECTED", 30, **BY_US, disconnectTimestamp=at(30))],
        {"connect:c-1": [("offered", 0), ("ended", 30)]},
    ),
    "outbound": (
        [
            contact("CONNECTED_TO_SYSTEM", 5, **BY_US, connectedToSystemTimestamp=at(5)),
            contact("DISCONNECTED", 9, **BY_US, connectedToSystemTimestamp=at(5), disconnectTimestamp=at(9)),
        ],
        {"connect:c-1": [("offered", 0), ("answered", 5), ("ended", 9)]},
    ),
    "for the menu alone": (
        [contact("DISCONNECTED", 9, connectedToSystemTimestamp=at(1), disconnectTimestamp=at(9))],
        {"connect:c-1": [("offered", 0), ("answered", 1), ("ended", 9)]},
    ),
    "held": (
        [contact("PAUSED", 12), contact("RESUMED", 20)],
        {"connect:c-1": [("offered", 0), ("held", 12), ("resumed", 20)]},
    ),
}


def legs_told(record: object) -> list[Leg]:
    decoded = decode(record)
    assert decoded.rejected == []
    return [event.leg for event in decoded.events if event.leg is not None]


@pytest.mark.parametrize("path", PATHS)
def test_each_path_gives_its_legs_in_any_order(path: str) -> None:
    """
    Events are not ordered: the legs are the same in order, backwards, and shuffled with repeats.
    """
    records, expected = PATHS[path]
    for told in in_any_order(records):
        assert legs_of(told) == expected


def test_the_last_event_alone_tells_the_whole_contact() -> None:
    """
    It has all times that the others had.
    """
    records, expected = PATHS["answered"]
    assert legs_of(records[-1:]) == expected


def test_a_contact_is_of_the_call_that_the_first_one_began() -> None:
    """
    It names the contacts around it, too.
    """
    told = contact("INITIATED", 0, "c-3", **OF_C1 | {"previousContactId": "c-2", "relatedContactId": "c-9"})
    (leg,) = legs_told(told)
    assert leg.calls == ("connect:c-1", "connect:c-3", "connect:c-2", "connect:c-9")
    (first,) = legs_told(contact("INITIATED", 0))
    assert (first.calls, first.party, first.direction) == (("connect:c-1",), "customer", "inbound")


def test_the_sample_is_a_transferred_contact_with_its_agent() -> None:
    """
    EventBridge's id is that of the contact's event; the agent's has its own, the same for each repeat.
    """
    name = "amazon_connect_contact_event.json"
    events = decode(sample(name)).events
    assert [event.event_id for event in events] == [event.event_id for event in decode(sample(name)).events]
    assert events[0].event_id == "ev-1" != events[1].event_id
    assert [event.at - TEN for event in events] == [42_000, 42_000]
    theirs, ours = legs_told(sample(name))
    assert (theirs.queue, theirs.reason, theirs.calls) == ("arn:q", "completed", ("connect:c-1", "connect:c-2"))
    assert seconds(theirs) == [("offered", 0), ("queued", 3), ("answered", 10), ("ended", 42)]
    assert (ours.party, ours.agent, ours.calls) == ("agent", "arn:a", theirs.calls)
    assert events[0].told()["queue"] == {"queuetype": "STANDARD"}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "completed"),
        (QUEUED, "abandoned"),
        ({**QUEUED, "disconnectReason": "CUSTOMER_DISCONNECT"}, "abandoned"),
        ({**QUEUED, "disconnectReason": "CONTACT_FLOW_DISCONNECT"}, "completed"),
        ({**QUEUED, **BOB}, "completed"),
        ({"disconnectReason": "TELECOM_PROBLEM"}, "failed"),
        ({**BY_US, "disconnectReason": {"code": "OUTBOUND_ATTEMPT_FAILED"}}, "failed"),
        ({**BY_US, "answeringMachineDetectionStatus": "VOICEMAIL_BEEP"}, "voicemail"),
        ({**BY_US, "answeringMachineDetectionStatus": "SIT_TONE_BUSY"}, "busy"),
        ({**BY_US, "answeringMachineDetectionStatus": "AMD_UNANSWERED"}, "no_answer"),
        (BY_US, "no_answer"),
        ({**BY_US, "connectedToSystemTimestamp": at(3)}, "completed"),
    ],
)
def test_the_end_of_a_contact_says_why(more: Record, reason: str) -> None:
    """
    Who waited for an agent and hung up has abandoned the call; whom the flow sent away has not.
    """
    assert legs_told(contact("DISCONNECTED", 42, **{"disconnectTimestamp": at(42), **more}))[0].reason == reason


RECORD: Record = {
    "AWSContactTraceRecordFormatVersion": "2017-03-10",
    "ContactId": "c-1",
    "InitialContactId": None,
    "Channel": "VOICE",
    "InitiationMethod": "INBOUND",
    "InitiationTimestamp": at(0),
    "ConnectedToSystemTimestamp": at(1),
    "DisconnectTimestamp": at(42),
    "LastUpdateTimestamp": at(60),
    "DisconnectReason": "AGENT_DISCONNECT",
    "CustomerEndpoint": {"Type": "TELEPHONE_NUMBER", "Address": ANN},
    "SystemEndpoint": {"Type": "TELEPHONE_NUMBER", "Address": SHOP},
    "Queue": {"ARN": "arn:q", "Name": "Support", "EnqueueTimestamp": at(3), "Duration": 7},
    "Agent": {
        "ARN": "arn:bob",
        "ConnectedToAgentTimestamp": at(10),
        "AgentInteractionDuration": 27,
        "CustomerHoldDuration": 5,
        "NumberOfHolds": 2,
    },
    "Attributes": {"language": "de"},
}


def test_a_contact_record_tells_the_same_and_more() -> None:
    """
    It has the customer's number, and how long what took; what it has beyond that is in the properties.
    """
    assert legs_of([RECORD]) == PATHS["answered"][1]
    event = decode(RECORD).events[0]
    assert (event.phone, event.at - TEN) == (ANN, 42_000)
    theirs, ours = legs_told(RECORD)
    assert (theirs.called, theirs.wait_ms) == (SHOP, 7000)
    assert (ours.agent, ours.talk_ms, ours.hold_ms) == ("arn:bob", 27_000, 5000)
    assert event.told()["attributes"] == {"language": "de"}
    assert event.told()["agent"]["numberofholds"] == 2


def test_a_number_outside_to_which_an_agent_hands_a_call_is_a_transfer() -> None:
    """
    No other contact tells of that; a contact with somebody outside is not with the customer.
    """
    moved = {"TransferredToEndpoint": {"Address": "+4930123456"}, "TransferCompletedTimestamp": at(40)}
    ours = legs_told({**RECORD, **moved})[1]
    assert (ours.transfer_kind, ours.transfer_to) == ("attended", "+4930123456")
    assert seconds(ours) == [("answered", 10), ("transferring", 40), ("ended", 42)]
    outside = {"InitiationMethod": "EXTERNAL_OUTBOUND", "CustomerEndpoint": {"Address": "+4930123456"}, "Agent": None}
    (theirs,) = legs_told({**RECORD, **outside})
    assert (theirs.party, theirs.customer, theirs.agent) == ("agent", "", "+4930123456")


@pytest.mark.parametrize("write", [str.upper, str.lower, str.title])
def test_names_and_values_are_read_in_any_case(write: Callable[[str], str]) -> None:
    """
    Samples differ in both.
    """
    told = contact("CONNECTED_TO_AGENT", 10, **BOB)
    detail: Record = {}
    for name, value in told["detail"].items():
        if isinstance(value, dict):
            detail[write(name)] = {write(inside): one for inside, one in value.items()}
        else:
            detail[write(name)] = write(value) if name in ("channel", "eventType") else value
    assert legs_of([{**told, "detail": detail}]) == legs_of([told])


@pytest.mark.parametrize(
    ("channel", "type_", "kind", "by"),
    [
        ("CHAT", "INITIATED", "chat_started", "chat"),
        ("Chat", "DISCONNECTED", "chat_ended", "chat"),
        ("CHAT", "QUEUED", "other", "chat"),
        ("TASK", "INITIATED", "other", "server"),
        ("EMAIL", "INITIATED", "other", "email"),
    ],
)
def test_a_contact_that_is_no_call_is_no_leg(channel: str, type_: str, kind: str, by: str) -> None:
    """
    Who it is with is known by the first contact, and by the address where there is one.
    """
    told = contact(type_, 5, channel=channel, customerEndpoint={"address": "ann@example.org"})
    (event,) = decode(told).events
    assert (event.kind, event.channel, event.leg) == (kind, by, None)
    assert (event.anonymous_id, event.email) == ("connect:c-1", "ann@example.org")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (contact("INITIATED", 0, contactId=""), "missing_field"),
        (contact("INITIATED", 0, contactId="c" * 300), "wrong_type"),
        ({"ContactId": "c-1", "InitiationMethod": "INBOUND"}, "bad_time"),
        ({"ContactId": "c-1"}, "unknown_format"),
    ],
)
def test_what_cannot_be_a_leg_says_why(record: Record, reason: str) -> None:
    """
    A contact without its id, or without any time.
    """
    assert reason_of(record) == reason


def test_an_event_without_the_time_of_its_type_happened_when_it_was_sent() -> None:
    """
    As those of types that are yet to come.
    """
    (event,) = decode(contact("CONTACT_DATA_UPDATED", 15)).events
    assert event.at == TEN + 15_000


GOOD = [
    *[record for records, _ in PATHS.values() for record in records],
    RECORD,
    contact("INITIATED", 0, channel="CHAT"),
]


@settings(max_examples=300)
@given(record=spoilt(GOOD), read_at=st.sampled_from([None, TEN]), format_=st.sampled_from(["auto", "connect"]))
def test_no_value_of_any_field_is_too_much(record: object, read_at: int | None, format_: Format) -> None:
    """
    Whatever a field holds, there is an event or a reason.
    """
    check_is_told_or_refused(record, read_at, format_)
