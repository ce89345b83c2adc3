"""Our own events of legs and of messages."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import Format, decode_batch
from operators.event import rfc3339
from tests.connectors.telephones import (
    TEN,
    check_is_told_or_refused,
    decode,
    event_of,
    in_any_order,
    leg_of,
    legs_of,
    reason_of,
    sample,
    seconds,
    spoilt,
)

ANN = "+4915112345678"
SHOP = "+18005550100"

Record = dict[str, Any]


def told(type_: str, second: int, **more: object) -> Record:
    who = {
        "provider": "pbx",
        "call_id": "c1",
        "leg_id": "l1",
        "direction": "inbound",
        "from_e164": ANN,
        "to_e164": SHOP,
    }
    return {"type": type_, "occurred_at": rfc3339(TEN + second * 1000), **who, **more}


def message(type_: str, **more: object) -> Record:
    who = {"conversation_id": "m1", "from": ANN, "to": SHOP, "occurred_at": rfc3339(TEN)}
    return {"type": type_, **who, **more}


CALL = [
    told("call_offered", 0),
    told("call_ringing", 1, seq=1),
    told("call_queued", 2, queue="support"),
    told("call_answered", 3),
    told("call_held", 4),
    told("call_unheld", 5),
    told("call_transferred", 6, transfer={"kind": "blind", "to": "desk"}),
    told("call_ended", 9, reason="completed"),
]
STATES = ("offered", "ringing", "queued", "answered", "held", "resumed", "transferring", "ended")


def test_each_state_is_a_step_in_any_order() -> None:
    """
    The type names the state where `state` does not; other words for it are known.
    """
    for records in in_any_order(CALL):
        assert legs_of(records) == {"pbx:l1": list(zip(STATES, [0, 1, 2, 3, 4, 5, 6, 9], strict=True))}
    assert seconds(leg_of(told("call_event", 1, state="answered"))) == [("answered", 1)]
    assert seconds(leg_of(told("call_rated", 1))) == []


def test_the_sample_is_the_end_of_a_leg() -> None:
    """
    Spans are in seconds; what the event has no place for stays.
    """
    event = event_of(sample("canonical_telephony_event.json"))
    assert event.leg is not None
    assert (event.event_id, event.phone, event.at) == ("b0b6f2b4c4f54b6cb3b9c1d6a5d9b1c7", ANN, TEN + 42_000)
    assert event.leg.pack() == [
        "genesys",
        "genesys:s-1",
        ["genesys:conv-1"],
        [["ended", TEN + 42_000]],
        "inbound",
        "customer",
        ANN,
        SHOP,
        "",
        "q-1",
        "completed",
        "",
        "",
        -1,
        10_000,
        39_000,
        5000,
        False,
    ]
    assert event.told() == {"raw_ref": "tel.raw.genesys/3/991"}


def test_a_leg_says_what_is_known_of_it() -> None:
    """
    Parent, agent, number and transfer.
    """
    leg = leg_of(
        told(
            "call_transferring",
            6,
            seq="3",
            parent_leg_id="l0",
            agent_id="bob",
            transfer={"kind": "attended", "to": "7"},
        )
    )
    assert (leg.calls, leg.seq, leg.agent) == (("pbx:c1", "pbx:l0"), 3, "bob")
    assert (leg.transfer_kind, leg.transfer_to) == ("attended", "7")
    outbound = leg_of(told("call_ringing", 1, direction="outbound", from_e164=SHOP, to_e164=ANN))
    assert (outbound.customer, outbound.called) == (ANN, "")


@pytest.mark.parametrize(
    ("why", "reason"),
    [("no-answer", "no_answer"), ("canceled", "abandoned"), ("Busy", "busy"), ("bored", ""), (None, ""), ([], "")],
)
def test_reasons_are_of_a_closed_set(why: object, reason: str) -> None:
    """
    Other spellings are known; other words are none.
    """
    assert leg_of(told("call_ended", 9, reason=why)).reason == reason


def test_without_an_id_a_repeat_is_known_by_leg_number_and_state() -> None:
    """
    By its time, where it has no number.
    """
    first = event_of(told("call_ended", 9, seq=4))
    assert event_of(told("call_ended", 10, seq=4, note="again")).event_id == first.event_id
    assert event_of(told("call_ended", 9)).event_id != event_of(told("call_ended", 10)).event_id


@pytest.mark.parametrize(
    ("record", "kind", "channel", "phone"),
    [
        (message("message_received"), "message_received", "sms", ANN),
        (message("message_received", channel="chat"), "message_received", "chat", ANN),
        (message("message_received", direction="outbound", to=ANN), "message_sent", "sms", ANN),
        (message("message_sent", to=ANN), "message_sent", "sms", ANN),
        (message("message_status", to=ANN, status="delivered"), "message_delivered", "sms", ANN),
        (message("message_status", to=ANN, status="undelivered"), "message_failed", "sms", ANN),
        (message("message_status", to=ANN, status="queued"), "other", "sms", ANN),
        (message("message_received", **{"from": "ann@example.org"}), "message_received", "email", ""),
        (message("message_received", **{"from": "ann"}), "message_received", "chat", ""),
    ],
)
def test_a_message_is_from_or_to_the_customer(record: Record, kind: str, channel: str, phone: str) -> None:
    """
    Who has no number and no address is known by name.
    """
    event = event_of(record)
    assert (event.kind, event.channel, event.phone) == (kind, channel, phone)
    assert event.visitor_id == (phone or event.email or "ann")


def test_what_a_message_says_beyond_that_is_kept() -> None:
    """
    Intent, authentication and hand-over are for later steps to read.
    """
    more = {"intent": {"name": "invoice", "confidence": 0.9}, "auth": {"state": "none"}, "handoff": True}
    assert event_of(message("message_received", **more)).told() == {**more, "conversation_id": "m1"}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (told("call_ended", 9, occurred_at="noon"), "bad_time"),
        (told("call_ended", 9, occurred_at=None), "bad_time"),
        (told("call_ended", 9, call_id="", leg_id=None), "missing_field"),
        (told("call_ended", 9, leg_id="l" * 300), "wrong_type"),
        (message("message_received", **{"from": ""}), "no_identity"),
        ({"type": "call_ended"}, "unknown_format"),
    ],
)
def test_what_cannot_be_an_event_says_why(record: Record, reason: str) -> None:
    """
    A leg without ids or time, a message of nobody.
    """
    assert reason_of(record) == reason


def test_a_topic_set_to_it_refuses_what_is_none() -> None:
    """
    Neither a leg nor a message.
    """
    assert reason_of({"type": "track"}, format="telephony") == "missing_field"


def test_a_record_nested_deeper_than_the_encoder_goes_is_refused() -> None:
    """
    The parser goes a little deeper than the encoder: nowhere between them is an exception.
    """
    head = b'{"type":"call_ended","call_id":"c","leg_id":"l","occurred_at":"2026-11-21T10:00:00Z","x":'
    reasons = set()
    for depth in range(600, 1400):
        raw = head + b"[" * depth + b"]" * depth + b"}"
        decoded = decode_batch([raw], partition="p", first_position=0, read_at=None)
        assert len(decoded.events) + len(decoded.rejected) == 1
        reasons |= {bad.reason for bad in decoded.rejected}
    assert reasons == {"not_json"}


def test_a_list_of_records_is_read_one_by_one() -> None:
    """
    As a batch may come.
    """
    assert len(decode(CALL).events) == len(CALL)


GOOD = [*CALL, message("message_received"), message("message_status", status="sent")]


@settings(max_examples=200)
@given(record=spoilt(GOOD), read_at=st.sampled_from([None, TEN]), format_=st.sampled_from(["auto", "telephony"]))
def test_no_value_of_any_field_is_too_much(record: object, read_at: int | None, format_: Format) -> None:
    """
    Whatever a field holds, there is an event or a reason.
    """
    check_is_told_or_refused(record, read_at, format_)
