"""FreeSWITCH: every path that a call can take, as events and as records of whole legs."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import pytest

from connectors.formats import decode_batch
from tests.connectors.legs import NOON, calls_of, events_of, legs_of, short

ANN = "+4915112345678"
SAMPLE = {
    "Event-Name": "CHANNEL_HANGUP_COMPLETE",
    "Core-UUID": "c-1",
    "FreeSWITCH-Hostname": "fs1",
    "Event-Date-Timestamp": "1795255242000000",
    "Event-Sequence": "9001",
    "Channel-State": "CS_REPORTING",
    "Channel-Call-State": "HANGUP",
    "Channel-Name": "sofia/external/+4915112345678",
    "Unique-ID": "leg-a",
    "Channel-Call-UUID": "leg-a",
    "Call-Direction": "inbound",
    "Answer-State": "hangup",
    "Hangup-Cause": "NORMAL_CLEARING",
    "Caller-Caller-ID-Number": "+4915112345678",
    "Caller-ANI": "+4915112345678",
    "Caller-Destination-Number": "18005550100",
    "Caller-Channel-Created-Time": "1795255200000000",
    "Caller-Channel-Answered-Time": "1795255203000000",
    "Caller-Channel-Hangup-Time": "1795255242000000",
    "Caller-Channel-Hold-Accum": "5000000",
    "Other-Type": "originatee",
    "Other-Leg-Unique-ID": "leg-b",
    "variable_duration": "42",
    "variable_billsec": "39",
}
numbers = count(1)


def micros(second: float) -> str:
    return str(int((NOON / 1000 + second) * 1_000_000))


def event(name: str, second: float, **more: str) -> dict[str, Any]:
    """An event of no leg; names have _ for -."""
    told = {"Event-Name": name, "Core-UUID": "c", "Event-Date-Timestamp": micros(second)}
    told |= {"Event-Sequence": str(next(numbers))}
    return told | {key if key.startswith("variable_") else key.replace("_", "-"): value for key, value in more.items()}


def a_leg(name: str, second: float, **more: str) -> dict[str, Any]:
    """An event of the leg on which Ann calls in."""
    about = {"Unique_ID": "a", "Channel_Call_UUID": "a", "Call_Direction": "inbound"}
    about |= {"Caller_Caller_ID_Number": ANN, "Caller_Destination_Number": "100"}
    return event(name, second, **about | more)


def b_leg(name: str, second: float, id_: str = "b", number: str = "2001", **more: str) -> dict[str, Any]:
    """An event of a leg that goes out to an extension."""
    about = {"Unique_ID": id_, "Channel_Call_UUID": "a", "Call_Direction": "outbound", "Other_Leg_Unique_ID": "a"}
    about |= {"Caller_Caller_ID_Number": ANN, "Caller_Destination_Number": number}
    return event(name, second, **about | more)


def queue(action: str, second: float, **more: str) -> dict[str, Any]:
    about = {"Event_Subclass": "callcenter::info", "CC_Action": action, "CC_Queue": "support@default"}
    about |= {"CC_Member_UUID": "m", "CC_Member_Session_UUID": "a", "CC_Member_CID_Number": ANN}
    return event("CUSTOM", second, **about | more)


def test_the_sample() -> None:
    """
    The end of a leg tells all of it: begun, answered, ended, and how long it was held.
    """
    (leg,) = legs_of([SAMPLE])
    start = 1_795_255_200_000
    assert leg.steps == (("offered", start), ("answered", start + 3_000), ("ended", start + 42_000))
    assert (leg.leg_id, leg.calls) == ("freeswitch:leg-a", ("freeswitch:leg-a", "freeswitch:leg-b"))
    assert (leg.party, leg.direction, leg.customer, leg.called) == ("customer", "inbound", ANN, "18005550100")
    assert (leg.reason, leg.hold_ms, leg.seq) == ("completed", 5_000, 9001)
    assert events_of([SAMPLE])[0].told()["variable_billsec"] == "39"


BEGIN = [a_leg("CHANNEL_CREATE", 0), b_leg("CHANNEL_CREATE", 1), b_leg("CHANNEL_PROGRESS", 2)]
BEGUN = ["a customer offered@0", "b agent offered@1", "b agent ringing@2"]
BRIDGE = a_leg(
    "CHANNEL_BRIDGE",
    5,
    Bridge_A_Unique_ID="a",
    Bridge_B_Unique_ID="b",
    Other_Leg_Unique_ID="b",
    Other_Leg_Direction="outbound",
    Other_Leg_Destination_Number="2001",
)
BRIDGED = ["a customer answered@5", "b agent answered@5"]
TIMES = {"Caller_Channel_Created_Time": micros(0), "Caller_Channel_Hold_Accum": "2000000"}
PATHS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "answered and held": (
        [
            *BEGIN,
            b_leg("CHANNEL_ANSWER", 5),
            BRIDGE,
            b_leg("CHANNEL_HOLD", 6),
            b_leg("CHANNEL_CALLSTATE", 6, Channel_Call_State="HELD"),
            b_leg("CHANNEL_UNHOLD", 8),
            a_leg("CHANNEL_UNBRIDGE", 9),
            a_leg(
                "CHANNEL_HANGUP_COMPLETE",
                9,
                Hangup_Cause="NORMAL_CLEARING",
                Caller_Channel_Answered_Time=micros(1),
                Caller_Channel_Bridged_Time=micros(5),
                Caller_Channel_Hangup_Time=micros(9),
                **TIMES,
            ),
        ],
        [
            *BEGUN,
            "b agent",
            *BRIDGED,
            "b agent held@6",
            "b agent held@6",
            "b agent resumed@8",
            "a customer",
            "a customer offered@0 answered@5 ended@9 completed",
        ],
    ),
    "an announcement is no answer": (
        [
            a_leg("CHANNEL_CREATE", 0),
            a_leg("CHANNEL_ANSWER", 1),
            a_leg(
                "CHANNEL_HANGUP",
                9,
                Hangup_Cause="NORMAL_CLEARING",
                Caller_Channel_Answered_Time=micros(1),
                Caller_Channel_Bridged_Time="0",
                **TIMES,
            ),
            a_leg(
                "CHANNEL_HANGUP",
                9,
                Hangup_Cause="NORMAL_CLEARING",
                Caller_Channel_Answered_Time=micros(1),
            ),
        ],
        [
            "a customer offered@0",
            "a customer",
            "a customer offered@0 ended@9",
            "a customer ended@9",
        ],
    ),
    "given up while an announcement plays": (
        [
            a_leg(
                "CHANNEL_HANGUP",
                9,
                Hangup_Cause="NORMAL_CLEARING",
                Caller_Channel_Bridged_Time="0",
                variable_sip_hangup_disposition="recv_bye",
            )
        ],
        ["a customer ended@9 abandoned"],
    ),
    "busy": (
        [*BEGIN, b_leg("CHANNEL_HANGUP", 3, Hangup_Cause="USER_BUSY")],
        [*BEGUN, "b agent ended@3 busy"],
    ),
    "rejected": (
        [*BEGIN, b_leg("CHANNEL_HANGUP", 3, Hangup_Cause="CALL_REJECTED")],
        [*BEGUN, "b agent ended@3 busy"],
    ),
    "no answer": (
        [*BEGIN, b_leg("CHANNEL_HANGUP", 30, Hangup_Cause="NO_ANSWER")],
        [*BEGUN, "b agent ended@30 no_answer"],
    ),
    "given up": (
        [
            *BEGIN,
            a_leg("CHANNEL_HANGUP", 4, Hangup_Cause="ORIGINATOR_CANCEL"),
            b_leg("CHANNEL_HANGUP", 4, Hangup_Cause="ORIGINATOR_CANCEL"),
        ],
        [*BEGUN, "a customer ended@4 abandoned", "b agent ended@4 no_answer"],
    ),
    "failed": (
        [*BEGIN, b_leg("CHANNEL_HANGUP", 3, Hangup_Cause="DESTINATION_OUT_OF_ORDER")],
        [*BEGUN, "b agent ended@3 failed"],
    ),
    "voicemail": (
        [
            a_leg("CHANNEL_CREATE", 0),
            a_leg("CHANNEL_HANGUP", 9, Hangup_Cause="NORMAL_CLEARING", variable_current_application="voicemail"),
        ],
        ["a customer offered@0", "a customer ended@9 voicemail"],
    ),
    "blind transfer": (
        [
            *BEGIN,
            BRIDGE,
            a_leg(
                "CHANNEL_BRIDGE",
                9,
                Bridge_A_Unique_ID="a",
                Bridge_B_Unique_ID="b2",
                Other_Leg_Destination_Number="2002",
                Caller_Transfer_Source=f"{NOON // 1000 + 7}:x:bl_xfer:2002/default/XML",
            ),
        ],
        [
            *BEGUN,
            *BRIDGED,
            "a customer answered@9 transferring@7 blind:2002",
            "b2 agent answered@9",
        ],
    ),
    "attended transfer": (
        [
            *BEGIN,
            BRIDGE,
            a_leg("CHANNEL_UNBRIDGE", 9, Caller_Transfer_Source=f"{NOON // 1000 + 9}:x:att_xfer:2002@10.0.0.1/b2"),
        ],
        [*BEGUN, *BRIDGED, "a customer transferring@9 attended:2002"],
    ),
    "queued and answered": (
        [
            a_leg("CHANNEL_CREATE", 0),
            queue("member-queue-start", 1),
            queue("agent-offering", 2, CC_Agent="ann@cc"),
            queue("bridge-agent-start", 5, CC_Agent="ann@cc", CC_Agent_UUID="b"),
            queue("bridge-agent-end", 9, CC_Agent="ann@cc", CC_Agent_UUID="b"),
            queue("member-queue-end", 9, CC_Cause="Terminated"),
        ],
        [
            "a customer offered@0",
            "a customer queued@1",
            "a customer",
            "b agent answered@5",
            "b agent",
            "a customer",
        ],
    ),
    "abandoned in the queue": (
        [
            queue("member-queue-start", 1),
            queue("bridge-agent-fail", 9, CC_Agent="ann@cc", CC_Agent_UUID="b", CC_Hangup_Cause="NO_ANSWER"),
            queue("member-queue-end", 20, CC_Cause="Cancel", CC_Cancel_Reason="BREAK_OUT"),
        ],
        ["a customer queued@1", "b agent ended@9 no_answer", "a customer ended@20 abandoned"],
    ),
    "out of the queue by time": (
        [queue("member-queue-start", 1), queue("member-queue-end", 20, CC_Cause="Cancel", CC_Cancel_Reason="TIMEOUT")],
        ["a customer queued@1", "a customer"],
    ),
    "conference": (
        [
            *BEGIN,
            BRIDGE,
            b_leg(
                "CUSTOM",
                9,
                "b3",
                "2003",
                Event_Subclass="conference::maintenance",
                Action="add-member",
                Conference_Size="3",
            ),
        ],
        [*BEGUN, *BRIDGED, "b3 agent answered@9 conference:2003"],
    ),
    "parked": (
        [
            *BEGIN,
            a_leg("CHANNEL_PARK", 6),
            a_leg("CUSTOM", 6, Event_Subclass="valet_parking::info", Action="hold"),
            a_leg("CUSTOM", 8, Event_Subclass="valet_parking::info", Action="bridge"),
        ],
        [*BEGUN, "a customer", "a customer held@6", "a customer resumed@8"],
    ),
}


@pytest.mark.parametrize("path", PATHS)
def test_each_path_of_a_call(path: str) -> None:
    """
    Events, and the legs that they give: one call in the end.
    """
    told, expected = PATHS[path]
    legs = legs_of(told)
    assert [short(leg) for leg in legs] == expected
    assert len(calls_of(legs)) == 1
    assert legs_of(told, "freeswitch") == legs


def test_what_the_queue_has_worked_out() -> None:
    """
    The wait lies between joining and an agent's answer, or leaving; the agent has the queue's name.
    """
    joined = {"CC_Member_Joined_Time": str(NOON // 1000)}
    start = queue("bridge-agent-start", 5, CC_Agent="ann@cc", CC_Agent_UUID="b", **joined)
    start |= {"CC-Agent-Answered-Time": str(NOON // 1000 + 4)}
    end = queue("member-queue-end", 9, CC_Cause="Cancel", CC_Member_Leaving_Time=str(NOON // 1000 + 9), **joined)
    legs = legs_of([start, end])
    assert [(leg.agent, leg.queue, leg.wait_ms) for leg in legs] == [
        ("ann@cc", "support", 4_000),
        ("", "support", 9_000),
    ]


@pytest.mark.parametrize(
    ("direction", "caller", "callee", "more", "said"),
    [
        ("inbound", ANN, "100", {}, ("customer", "inbound", ANN, "")),
        ("inbound", "2001", ANN, {}, ("agent", "outbound", ANN, "2001")),
        ("outbound", "2001", ANN, {}, ("customer", "outbound", ANN, "")),
        ("outbound", ANN, "2001", {}, ("agent", "", ANN, "2001")),
        (
            "outbound",
            "+4930111111",
            ANN,
            {"variable_cc_side": "agent", "variable_cc_agent": "ann"},
            ("agent", "", "+4930111111", "ann"),
        ),
        ("inbound", "2001", "2002", {}, ("agent", "", "", "2001")),
        ("inbound", "anonymous", "100", {}, ("", "", "", "")),
        ("inbound", "anonymous", "100", {"variable_cc_side": "member"}, ("customer", "inbound", "", "")),
    ],
)
def test_whose_leg_it_is(
    direction: str, caller: str, callee: str, more: dict[str, str], said: tuple[str, str, str, str]
) -> None:
    """
    By the number at its end, unless the queue says.
    """
    told = event(
        "CHANNEL_CREATE",
        0,
        Unique_ID="a",
        Call_Direction=direction,
        Caller_Caller_ID_Number=caller,
        Caller_Destination_Number=callee,
        **more,
    )
    (leg,) = legs_of([told])
    assert (leg.party, leg.direction, leg.customer, leg.agent) == said


CDR = {
    "core-uuid": "c",
    "switchname": "fs1",
    "channel_data": {"state": "CS_REPORTING", "direction": "inbound"},
    "variables": {
        "uuid": "a",
        "call_uuid": "a",
        "bridge_uuid": "b",
        "direction": "inbound",
        "sip_call_id": "abc%40pbx",
        "hangup_cause": "NORMAL_CLEARING",
        "start_uepoch": micros(0),
        "answer_uepoch": micros(1),
        "bridge_uepoch": micros(5),
        "end_uepoch": micros(9),
        "progress_uepoch": "0",
        "hold_accum_useconds": "1500000",
        "shop": "b%C3%BCcher",
    },
    "callflow": [
        {
            "profile_index": "1",
            "caller_profile": {"uuid": "a", "caller_id_number": "%2B4915112345678", "destination_number": "100"},
            "times": {"created_time": micros(0), "progress_time": micros(2)},
        }
    ],
}


def test_the_record_of_a_whole_leg() -> None:
    """
    Its variables, percent-encoded, and the times of its call flow say what the last event says.
    """
    (leg,) = legs_of([CDR])
    assert short(leg) == "a customer offered@0 ringing@2 answered@5 ended@9 completed"
    assert (leg.customer, leg.called, leg.hold_ms, leg.seq) == (ANN, "100", 1_500, -1)
    assert leg.calls == ("freeswitch:a", "freeswitch:b", "sip:abc@pbx")
    assert events_of([CDR])[0].told()["variable_shop"] == "bücher"
    single = CDR | {"callflow": CDR["callflow"][0]}  # type: ignore[index]
    assert legs_of([single]) == [leg]


def test_a_leg_that_was_transferred_first_talked_before() -> None:
    """
    Its variables have the last bridge, the parts of its call flow all of them.
    """
    parts = [
        {"times": {"bridged_time": micros(7)}},
        {"times": {"bridged_time": "0"}},
        {"times": {"bridged_time": micros(3)}},
    ]
    (leg,) = legs_of([CDR | {"callflow": parts}])
    assert leg.steps[1] == ("answered", NOON + 3_000)


@pytest.mark.parametrize(
    ("answered", "source", "is_told"),
    [
        (micros(5), f"{NOON // 1000 + 5}:x:bl_xfer:2002/default/XML", True),
        (micros(5), f"{NOON // 1000 + 7}%3Ax%3Abl_xfer%3A2002/default/XML", True),
        (micros(5), f"{NOON // 1000 + 4}:x:bl_xfer:2002/default/XML", False),
        ("0", f"{NOON // 1000 + 4}:x:bl_xfer:2002/default/XML", False),
        (micros(5), f"{NOON // 1000 + 7}:x:set:2002", False),
        (micros(5), "x:y:bl_xfer:2002", False),
        (micros(5), "9:y:bl_xfer:2002", False),
        (micros(5), "_undef_", False),
    ],
)
def test_a_dialplan_that_sends_a_call_on_transfers_nothing(answered: str, source: str, is_told: bool) -> None:  # noqa: FBT001 -- an expectation
    """
    Only who has picked up can be transferred.
    """
    told = a_leg("CHANNEL_CREATE", 9, Caller_Channel_Answered_Time=answered, Caller_Transfer_Source=source)
    (leg,) = legs_of([told])
    assert [state for state, _ in leg.steps] == ["offered", *["transferring"] * is_told]


def test_a_repeat_has_the_same_id() -> None:
    """
    The number that the core gives an event is enough, for the two legs of a bridge too.
    """
    ids = [one.event_id for one in events_of([BRIDGE, dict(reversed(BRIDGE.items())), CDR, CDR])]
    assert ids[:2] == ids[2:4]
    assert ids[4] == ids[5]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (event("HEARTBEAT", 0), "missing_field"),
        (queue("members-count", 0, CC_Member_Session_UUID=""), "missing_field"),
        (a_leg("CHANNEL_CREATE", 0) | {"Event-Date-Timestamp": "soon"}, "bad_time"),
        (a_leg("CHANNEL_CREATE", 0) | {"Event-Date-Timestamp": "1"}, "bad_time"),
        (a_leg("CHANNEL_CREATE", 0) | {"Unique-ID": "x" * 300}, "wrong_type"),
        ({"core-uuid": "c", "variables": {}}, "bad_time"),
    ],
)
def test_what_is_no_event_of_a_leg(told: dict[str, Any], reason: str) -> None:
    """
    Each fault has its reason.
    """
    decoded = decode_batch([msgspec.json.encode(told)], partition="p", first_position=0, read_at=None)
    assert [bad.reason for bad in decoded.rejected] == [reason]
