"""
What `make fuzz` has found: the least record of each bug, and what becomes of it now.
"""

from __future__ import annotations

from typing import Any

import pytest

from operators.event import Event
from tests.connectors.telephones import TEN, decode, event_of, reason_of
from tests.fuzz.hostile import CANARY

HUGE = 10**300
LONG = "x" * 256


def steps(record: dict[str, Any]) -> list[tuple[str, int]]:
    leg = event_of(record, TEN).leg
    assert leg is not None
    return [(state, at - TEN) for state, at in leg.steps]


@pytest.mark.parametrize(
    "record",
    [
        {"Event": "Hold", "Timestamp": HUGE, "Uniqueid": "1.1"},
        {"event_name": "scroll", "event_timestamp": HUGE, "user_pseudo_id": "c.1"},
        {"sender_id": "c", "event": "bot", "timestamp": HUGE},
    ],
)
def test_an_integer_that_no_float_holds_is_no_time(record: dict[str, Any]) -> None:
    """
    Compiled code made a float of it, and that raised.
    """
    assert reason_of(record, TEN) == "bad_time"


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (
            {"Event-Name": "CHANNEL_HANGUP", "Caller-Channel-Created-Time": f"{TEN + 9_000}000"},
            [("offered", 0), ("ended", 0)],
        ),
        (
            {"Event-Name": "CHANNEL_BRIDGE", "Caller-Transfer-Source": f"{TEN // 1000 + 9}:x:bl_xfer:2002/default"},
            [("answered", 0), ("transferring", 0)],
        ),
        (
            {"Event-Name": "CHANNEL_HANGUP", "Caller-Channel-Created-Time": f"{TEN - 9_000}000"},
            [("offered", -9_000), ("ended", 0)],
        ),
    ],
)
def test_no_step_of_a_leg_is_later_than_its_record(record: dict[str, Any], told: list[tuple[str, int]]) -> None:
    """
    FreeSWITCH's times of a leg were believed however far ahead its clock was.
    """
    assert steps({**record, "Core-UUID": "c", "Unique-ID": "a"}) == told


@pytest.mark.parametrize(
    "record",
    [
        b'"HANGUP","1795255200"' + b',""' * 12 + b',"' + LONG.encode() + b'x","1","","","","{}"',
        b'"HANGUP","1795255200"' + b',""' * 12 + b',"1","' + LONG.encode() + b'x","","","","{}"',
        {"events": [{"user_alias": {"alias_name": LONG, "alias_label": "web"}, "name": "a", "time": 1795255200}]},
        {
            "event_name": "scroll",
            "event_timestamp": TEN * 1000,
            "user_pseudo_id": LONG,
            "event_params": [{"key": "ga_session_id", "value": {"int_value": "1"}}],
        },
    ],
)
def test_an_identifier_that_is_too_long_is_refused(record: object) -> None:
    """
    Also one that is made of two, each as long as it may be.
    """
    assert reason_of(record, TEN) == "wrong_type"


@pytest.mark.parametrize(
    "record",
    [
        {"event": "n" * 2000, "distinct_id": "u1", "timestamp": "2026-11-21T10:00:00Z", "properties": {}},
        {
            "contactId": "c",
            "channel": "V" * 2000,
            "eventType": "DISCONNECTED",
            "eventTimestamp": "2026-11-21T10:00:00Z",
        },
    ],
)
def test_a_name_is_cut(record: dict[str, Any]) -> None:
    """
    As every text that is too long, and whatever it is made of.
    """
    assert len(event_of(record, TEN).name) == 1024


@pytest.mark.parametrize(
    "record",
    [
        {"method": "INVITE", "callid": "c", "time": 1795255200, "sip_code": "200", "src_user": HUGE},
        {"Event-Name": "CHANNEL_CREATE", "Core-UUID": "c", "Unique-ID": "b", "Caller-Caller-ID-Number": "9" * 300},
    ],
)
def test_hundreds_of_digits_are_no_telephone_number(record: dict[str, Any]) -> None:
    """
    The leg is read, its customer unknown.
    """
    found: list[Event] = decode(record, read_at=TEN).events
    assert [(event.phone, event.leg and event.leg.customer) for event in found] == [("", "")] * len(found)
    assert found


@pytest.mark.parametrize(
    "record",
    [
        {"Event": CANARY, "Timestamp": 1795255200, "Uniqueid": 7.5},
        {"Event-Name": CANARY, "Core-UUID": "c"},
    ],
)
def test_a_dead_letter_does_not_repeat_the_name_of_an_event(record: dict[str, Any]) -> None:
    """
    It may be anything, as every value.
    """
    (bad,) = decode(record, read_at=TEN).rejected
    assert bad.reason == "missing_field"
    assert CANARY not in bad.detail
    assert CANARY.encode() in bad.payload
