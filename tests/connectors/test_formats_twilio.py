"""Twilio's callbacks: each state path as legs, whatever the order and however often they come."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import Format, decode_batch
from connectors.formats.phones import instant, is_device, number
from operators.leg import Leg
from tests.connectors.telephones import (
    TEN,
    Steps,
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
TO_US = {"Direction": "inbound", "From": ANN, "To": SHOP}
BY_US = {"Direction": "outbound-api", "From": SHOP, "To": ANN}
TO_BOB = {"ParentCallSid": "CA1", "Direction": "outbound-dial", "From": ANN, "To": "client:bob"}

Record = dict[str, Any]


def stamp(second: float) -> str:
    return format_datetime(datetime(2026, 11, 21, 10, tzinfo=UTC) + timedelta(seconds=second))


def call(status: str, second: float, seq: int, sid: str = "CA1", **more: str) -> Record:
    return {
        "CallSid": sid,
        "CallStatus": status,
        "Timestamp": stamp(second),
        "SequenceNumber": str(seq),
        **(more or TO_US),
    }


def room(what: str, second: float, seq: int, sid: str = "", **more: str) -> Record:
    who = {"CallSid": sid} if sid else {}
    told = {"ConferenceSid": "CF1", "StatusCallbackEvent": what, "SequenceNumber": str(seq), **who, **more}
    return {**told, "Timestamp": stamp(second)}


BOB_ANSWERS = [
    call("initiated", 2, 0, "CA2", **TO_BOB),
    call("ringing", 3, 1, "CA2", **TO_BOB),
    call("in-progress", 5, 2, "CA2", **TO_BOB),
    call("completed", 40, 3, "CA2", CallDuration="35", **TO_BOB),
]
BOB: Steps = [("offered", 2), ("ringing", 3), ("answered", 5), ("ended", 40)]
ANN_CALLS = [call("ringing", 0, 0), call("in-progress", 1, 1), call("completed", 42, 2, CallDuration="41", **TO_US)]
ANN_TALKS: Steps = [("ringing", 0), ("answered", 1), ("ended", 42)]

PATHS: dict[str, tuple[list[Record], dict[str, Steps]]] = {
    "answered": ([*ANN_CALLS, *BOB_ANSWERS], {"twilio:CA1": ANN_TALKS, "twilio:CA2": BOB}),
    "busy": (
        [call("initiated", 0, 0, **BY_US), call("busy", 2, 1, CallDuration="0", **BY_US)],
        {"twilio:CA1": [("offered", 0), ("ended", 2)]},
    ),
    "no answer": (
        [call("queued", 0, 0, **BY_US), call("ringing", 1, 1, **BY_US), call("no-answer", 31, 2, **BY_US)],
        {"twilio:CA1": [("offered", 0), ("ringing", 1), ("ended", 31)]},
    ),
    "failed": ([call("failed", 1, 0, **BY_US)], {"twilio:CA1": [("ended", 1)]}),
    "canceled": (
        [call("ringing", 3, 0, "CA2", **TO_BOB), call("canceled", 9, 1, "CA2", **TO_BOB)],
        {"twilio:CA2": [("ringing", 3), ("ended", 9)]},
    ),
    "held": (
        [
            room("conference-start", 4, 1),
            room("participant-join", 4, 2, "CA1"),
            room("participant-hold", 10, 3, "CA1"),
            room("participant-unhold", 20, 4, "CA1"),
            room("participant-hold", 22, 5, "CA1"),
            room("participant-unhold", 25, 6, "CA1"),
            room("participant-mute", 26, 7, "CA1"),
            room("participant-leave", 42, 8, "CA1", ReasonParticipantLeft="participant_hung_up"),
            room("conference-end", 42, 9),
        ],
        {
            "twilio:CF1": [("offered", 4), ("ended", 42)],
            "twilio:CA1": [
                ("answered", 4),
                ("held", 10),
                ("resumed", 20),
                ("held", 22),
                ("resumed", 25),
                ("ended", 42),
            ],
        },
    ),
    "blind transfer by REFER": (
        [call("in-progress", 1, 1), call("in-progress", 9, 2, ReferTransferTarget="sip:desk@shop.example", **TO_US)],
        {"twilio:CA1": [("answered", 1), ("answered", 9), ("transferring", 9)]},
    ),
    "attended transfer in a conference": (
        [
            room("participant-join", 5, 1, "CA2"),
            room("participant-join", 20, 2, "CA3"),
            room("participant-leave", 30, 3, "CA2", ParticipantCallStatus="completed"),
            room("participant-leave", 42, 4, "CA3", ParticipantCallStatus="completed"),
        ],
        {"twilio:CA2": [("answered", 5), ("ended", 30)], "twilio:CA3": [("answered", 20), ("ended", 42)]},
    ),
    "led out of a conference": (
        [
            room("participant-join", 5, 1, "CA1"),
            room("participant-leave", 9, 2, "CA1", ReasonParticipantLeft="participant_updated_via_api"),
        ],
        {"twilio:CA1": [("answered", 5)]},
    ),
    "abandoned in a queue": (
        [
            {"CallSid": "CA1", "QueueSid": "QU1", "QueueTime": "4", "Timestamp": stamp(7), **TO_US},
            {"CallSid": "CA1", "QueueSid": "QU1", "QueueResult": "hangup", "QueueTime": "30", "Timestamp": stamp(33)},
            call("completed", 33, 2),
        ],
        {"twilio:CA1/QU1": [("queued", 3), ("ended", 33)], "twilio:CA1": [("ended", 33)]},
    ),
}


@pytest.mark.parametrize("path", PATHS)
def test_each_path_gives_its_legs_in_any_order(path: str) -> None:
    """
    The steps of each leg are the same for callbacks in order, backwards, and shuffled with repeats; as forms, too.
    """
    records, expected = PATHS[path]
    for told in in_any_order(records):
        assert legs_of(told) == expected
        assert legs_of([urlencode(record).encode() for record in told]) == expected


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("completed", "completed"),
        ("busy", "busy"),
        ("no-answer", "no_answer"),
        ("failed", "failed"),
        ("canceled", "abandoned"),
        ("ringing", ""),
    ],
)
def test_a_status_says_why_the_leg_ended(status: str, reason: str) -> None:
    """
    What ends a leg is its reason; a leg that goes on has none.
    """
    assert leg_of(call(status, 9, 4)).reason == reason


@pytest.mark.parametrize("who", ["machine_start", "machine_end_beep", "machine_end_silence"])
def test_a_machine_that_answers_is_a_mailbox(who: str) -> None:
    """
    It is told with the status, or by a callback of its own that has no status.
    """
    assert leg_of(call("completed", 9, 4, AnsweredBy=who, **BY_US)).reason == "voicemail"
    assert leg_of({"CallSid": "CA1", "AnsweredBy": who}, read_at=TEN).reason == "voicemail"
    assert leg_of(call("completed", 9, 4, AnsweredBy="human", **BY_US)).reason == "completed"


def parties(leg: Leg) -> tuple[str, str, str, str, str]:
    return leg.direction, leg.party, leg.customer, leg.called, leg.agent


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (TO_US, ("inbound", "customer", ANN, SHOP, "")),
        (BY_US, ("outbound", "customer", ANN, "", "")),
        (TO_BOB, ("", "agent", "", "", "client:bob")),
        ({**TO_BOB, "To": "+4930123456"}, ("", "agent", "", "", "+4930123456")),
        ({**TO_US, "From": "client:bob7", "To": ANN}, ("outbound", "agent", ANN, "", "client:bob7")),
        ({**TO_US, "From": "sip:bob@shop.example", "To": ANN}, ("outbound", "agent", ANN, "", "sip:bob@shop.example")),
        ({**TO_US, "From": f"sip:{ANN}@carrier.example"}, ("inbound", "customer", ANN, SHOP, "")),
        ({**BY_US, "To": "client:bob"}, ("", "agent", "", "", "client:bob")),
        ({"From": ANN, "To": SHOP}, ("", "", "", "", "")),
        ({**TO_US, "From": "+266696687"}, ("inbound", "customer", "", SHOP, "")),
        ({**TO_US, "From": "anonymous"}, ("inbound", "customer", "", SHOP, "")),
        ({**TO_US, "From": ""}, ("inbound", "customer", "", SHOP, "")),
    ],
)
def test_whose_leg_it_is_shows_in_its_direction(told: Record, expected: tuple[str, ...]) -> None:
    """
    A number withheld, or a device, names no customer; a dialled leg shows somebody's number, which names nobody.
    """
    event = event_of(call("ringing", 0, 0, **told))
    assert event.leg is not None
    assert parties(event.leg) == expected
    assert (event.phone, event.visitor_id) == (expected[2], expected[2] or "twilio:CA1")


def test_a_dialled_leg_is_of_the_call_of_its_parent() -> None:
    """
    Parent and child share the parent's id; those in a conference its id, too.
    """
    assert leg_of(ANN_CALLS[0]).calls == ("twilio:CA1",)
    assert leg_of(BOB_ANSWERS[0]).calls == ("twilio:CA1",)
    assert leg_of(room("participant-join", 1, 1, "CA2")).calls == ("twilio:CA2", "twilio:CF1")
    assert leg_of(room("conference-end", 1, 9, CallSidEndingConference="CA2")).calls == ("twilio:CF1", "twilio:CA2")


def test_numbers_of_a_conference_do_not_order_the_records_of_a_leg() -> None:
    """
    They count what happens in the conference, whoever it happens to; those of a call count its own callbacks.
    """
    assert leg_of(room("participant-hold", 1, 7, "CA1")).seq == -1
    assert leg_of(call("ringing", 0, 3)).seq == 3
    assert leg_of({**call("ringing", 0, 3), "SequenceNumber": "first"}).seq == -1


def test_an_agent_has_talked_as_long_as_their_leg_lasted() -> None:
    """
    The customer's own leg is longer: it waited, too.
    """
    assert leg_of(BOB_ANSWERS[-1]).talk_ms == 35_000
    assert leg_of(ANN_CALLS[-1]).talk_ms == -1


def test_a_call_of_which_only_the_end_is_told_was_answered_before_that() -> None:
    """
    Without other callbacks its duration tells when; with them, they do.
    """
    assert seconds(leg_of(call("completed", 42, 0, CallDuration="40", **TO_US))) == [("answered", 2), ("ended", 42)]
    assert seconds(leg_of(call("completed", 42, 2, CallDuration="40", **TO_US))) == [("ended", 42)]
    assert seconds(leg_of(call("completed", 42, 0, CallDuration="0", **TO_US))) == [("ended", 42)]
    assert seconds(leg_of(call("completed", 42, 0, CallDuration="1e12", **TO_US))) == [("ended", 42)]


@pytest.mark.parametrize(
    ("told", "steps", "reason", "waited_ms"),
    [
        ({"QueueTime": "5"}, [("queued", 45)], "", 5000),
        ({}, [("queued", 50)], "", -1),
        ({"QueueResult": "hangup", "QueueTime": "30"}, [("queued", 20), ("ended", 50)], "abandoned", 30_000),
        ({"QueueResult": "leave", "QueueTime": "30"}, [("queued", 20), ("ended", 50)], "", 30_000),
        ({"QueueResult": "redirected", "QueueTime": "30"}, [("queued", 20), ("ended", 50)], "", 30_000),
        ({"QueueResult": "bridged", "QueueTime": "30"}, [], "", 30_000),
        ({"QueueResult": "queue-full"}, [], "", -1),
    ],
)
def test_a_queue_is_a_leg_of_its_own(told: Record, steps: Steps, reason: str, waited_ms: int) -> None:
    """
    It begins as long ago as the caller has waited; of one who was put through, only the wait is told.
    """
    record = {"CallSid": "CA1", "QueueSid": "QU1", "Timestamp": stamp(50), **TO_US, **told}
    leg = leg_of(record)
    assert (leg.leg_id, leg.calls, leg.party, leg.queue) == ("twilio:CA1/QU1", ("twilio:CA1",), "system", "QU1")
    assert (seconds(leg), leg.reason, leg.wait_ms) == (steps, reason, waited_ms)
    assert leg.customer == ANN


def test_who_takes_a_caller_from_the_queue_is_of_their_call() -> None:
    """
    The agent's leg that fetches a caller is named as the queue's end is told.
    """
    leg = leg_of({"CallSid": "CA1", "QueueSid": "QU1", "DequeingCallSid": "CA2"}, read_at=TEN)
    assert leg.calls == ("twilio:CA1", "twilio:CA2")


def test_the_end_of_dialling_ends_the_leg_that_was_dialled() -> None:
    """
    One request tells of two legs; it has no time, so it happened when it came.
    """
    told = {"CallSid": "CA1", "CallStatus": "in-progress", "DialCallSid": "CA2", **TO_US}
    decoded = decode({**told, "DialCallStatus": "no-answer", "DialCallDuration": "0"}, read_at=TEN)
    (_, child) = decoded.events
    assert child.leg is not None
    assert (child.leg.leg_id, child.leg.calls, child.leg.reason) == ("twilio:CA2", ("twilio:CA1",), "no_answer")
    assert seconds(child.leg) == [("ended", 0)]
    assert len({event.event_id for event in decoded.events}) == 2


def test_a_request_without_a_time_happened_when_it_came() -> None:
    """
    Where nobody knows that, as in a file, it has no time.
    """
    told = {"CallSid": "CA1", "CallStatus": "ringing", **TO_US}
    assert seconds(leg_of(told, read_at=TEN + 5000)) == [("ringing", 5)]
    assert reason_of(told) == "bad_time"
    assert reason_of({**told, "Timestamp": "yesterday"}, read_at=TEN) == "bad_time"


def test_repeats_have_one_id_and_others_their_own() -> None:
    """
    The id is of leg, number and status; a field that only the repeat has changes nothing.
    """
    first = event_of(ANN_CALLS[0])
    assert event_of({**ANN_CALLS[0], "CallbackSource": "call-progress-events"}).event_id == first.event_id
    records = [record for path in ("answered", "held") for record in PATHS[path][0]]
    assert len({event.event_id for event in decode(*records).events}) == len({str(record) for record in records})


def test_the_samples_of_callbacks_are_read() -> None:
    """
    A status callback, and a hold in a conference.
    """
    ended = event_of(sample("twilio_status_callback.form.json"))
    assert ended.leg is not None
    assert ended.leg.calls == ("twilio:CA0000000000000000000000000000a000",)
    assert (ended.phone, ended.leg.seq, seconds(ended.leg)) == (ANN, 3, [("ended", 42)])
    assert ended.told()["CallbackSource"] == "call-progress-events"
    held = event_of(sample("twilio_conference_hold.form.json"))
    assert held.leg is not None
    assert seconds(held.leg) == [("held", 20)]
    assert held.told()["FriendlyName"] == "support-1"


def test_an_event_of_event_streams_is_its_callback() -> None:
    """
    Its id is that of the event, not a hash; times and status come from the envelope where the callback has none.
    """
    event = event_of(sample("twilio_event_streams.json"))
    assert event.event_id == "VW0000000000000000000000000000001"
    assert event.leg is not None
    assert seconds(event.leg) == [("answered", 0), ("ended", 42)]
    bare: Record = {"specversion": "1.0", "type": "com.twilio.voice.status-callback.call.answered", "id": "NO1"}
    bare |= {"time": "2026-11-21T10:00:05Z", "data": {"sid": "CA1", "request": {"parameters": {}}}}
    answered = event_of(bare)
    assert answered.event_id == "NO1"
    assert answered.leg is not None
    assert (answered.leg.leg_id, seconds(answered.leg)) == ("twilio:CA1", [("answered", 5)])
    assert event_of(bare["data"] | {"request": {"parameters": call("ringing", 0, 0)}}).kind == "call_leg"


class Message:
    """A message with headers, as the Kafka client gives them."""

    def __init__(self, **headers: str) -> None:
        self._headers = [(f"ce_{name}", value.encode()) for name, value in headers.items()]

    def key(self) -> None:
        return None

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers


def test_an_event_whose_attributes_are_headers_is_read_alike() -> None:
    """
    In Kafka's binary mode the record is what is in the envelope.
    """
    (whole,) = msgspec.json.decode(sample("twilio_event_streams.json"))
    attributes = {name: whole[name] for name in ("specversion", "type", "id", "time")}
    raw = msgspec.json.encode(whole["data"])
    decoded = decode_batch([raw], partition="p", first_position=0, read_at=None, origins=[Message(**attributes)])
    assert decoded.events == [event_of(whole)]


@pytest.mark.parametrize("format_", ["auto", "twilio", "cloudevents"])
def test_events_and_forms_are_read_as_their_topic_is_set(format_: Format) -> None:
    """
    The topic may name the format, or the envelope.
    """
    assert len(decode(sample("twilio_event_streams.json"), format=format_).events) == 1
    form = urlencode(ANN_CALLS[0]).encode()
    assert len(decode(form, format=format_).events) == (format_ != "cloudevents")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"CallSid=CA1&CallStatus=ringing", "bad_time"),
        (b"CallSid=&CallStatus=ringing", "missing_field"),
        (b"CallSid=CA1&" + b"&".join(b"x%d=1" % number for number in range(600)), "too_large"),
        (b"Sid=CA1&Status=ringing", "not_json"),
        (b"CallSid=CA1 and more words", "not_json"),
        (b"CallStatus=ringing&CallSid=" + b"C" * 300, "wrong_type"),
        (b'{"ConferenceSid":"CF1","StatusCallbackEvent":"participant-join"}', "missing_field"),
    ],
)
def test_what_cannot_be_a_leg_says_why(raw: bytes, reason: str) -> None:
    """
    A form that is none of Twilio's is no JSON either.
    """
    read_at = TEN if reason in ("missing_field", "wrong_type") else None
    assert reason_of(raw, read_at=read_at) == reason


@pytest.mark.parametrize(
    ("address", "dialled", "device"),
    [
        (ANN, ANN, False),
        ("tel:+4915112345678", ANN, False),
        ("tel:+4915112345678;ext=3", ANN, False),
        ("sip:+4915112345678@host", ANN, False),
        ("sip:%2B4915112345678@host", ANN, False),
        ("sip:bob@host", "", True),
        ("client:1234567", "", True),
        ("Restricted", "", False),
        ("", "", False),
    ],
)
def test_a_number_is_told_from_a_name(address: str, dialled: str, device: bool) -> None:  # noqa: FBT001
    """
    What can be dialled from outside is a number, whatever stands before it.
    """
    assert (number(address), is_device(address)) == (dialled, device)


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("Sat, 21 Nov 2026 10:00:00 +0000", TEN),
        ("Sat, 21 Nov 2026 11:00:00 +0100", TEN),
        ("21 Nov 2026 10:00:00 -0000", TEN),
        ("2026-11-21T10:00:00Z", TEN),
        (TEN, TEN),
        ("Sat, 21 Nov 1926 10:00:00 +0000", None),
        ("Sat, 21 Nov 2026 10:00:00 +9999", None),
        (-1, None),
        (True, None),
    ],
)
def test_a_time_is_mail_s_or_the_internet_s(told: object, at: int | None) -> None:
    """
    RFC 2822 and RFC 3339 are both read, and ms; what no event can have is no time.
    """
    assert instant(told) == at


GOOD = [
    *[record for records, _ in PATHS.values() for record in records],
    call("completed", 9, 0, CallDuration="4", AnsweredBy="human", DialCallSid="CA3", DialCallStatus="busy", **BY_US),
    {
        "specversion": "1.0",
        "type": "com.twilio.voice.status-callback.call.completed",
        "id": "NO1",
        "data": {"sid": "CA1", "timestamp": "2026-11-21T10:00:42Z", "request": {"parameters": ANN_CALLS[0]}},
    },
]


@settings(max_examples=300)
@given(
    record=spoilt(GOOD),
    read_at=st.sampled_from([None, TEN]),
    format_=st.sampled_from(["auto", "twilio", "cloudevents"]),
)
def test_no_value_of_any_field_is_too_much(record: object, read_at: int | None, format_: Format) -> None:
    """
    Whatever a field holds, there is a leg or a reason.
    """
    check_is_told_or_refused(record, read_at, format_)
