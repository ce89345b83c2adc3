"""Kamailio's accounting and dialogs, and baresip's events: every path of a call, as records and the legs they give."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.formats import decode_batch
from tests.connectors.legs import NOON, calls_of, events_of, legs_of, short

ANN = "+4915112345678"
SAMPLE = {
    "time": 1795322870,
    "method": "INVITE",
    "from_tag": "23384T1",
    "to_tag": "23373U1",
    "callid": "1-23384@127.0.0.1",
    "sip_code": "200",
    "sip_reason": "OK",
    "src_user": "+4915112345678",
    "dst_user": "18005550100",
    "src_ip": "127.0.0.1",
}
USERS = {"src_user": ANN, "dst_ouser": "18005550100", "dst_user": "2001"}


def acc(method: str, second: int, code: int, **more: object) -> dict[str, Any]:
    """A record of a transaction."""
    told = {"time": NOON // 1000 + second, "method": method, "callid": "c@pbx", "from_tag": "f", "to_tag": "t"}
    return told | {"sip_code": str(code), "sip_reason": ""} | USERS | more


def dialog(name: str, second: float, **more: object) -> dict[str, Any]:
    """An event of a dialog."""
    return {"event": name, "time": f"{NOON / 1000 + second:.6f}", "callid": "c@pbx"} | USERS | more


def test_the_sample() -> None:
    """
    An answered INVITE: both ends, one call.
    """
    caller, callee = legs_of([SAMPLE])
    at = 1_795_322_870_000
    assert (caller.party, caller.direction, caller.customer, caller.steps) == (
        "customer",
        "inbound",
        ANN,
        (("answered", at),),
    )
    assert (callee.party, callee.called, callee.agent, callee.steps) == (
        "agent",
        "18005550100",
        "",
        (("answered", at),),
    )
    assert caller.calls == callee.calls == ("sip:1-23384@127.0.0.1",)
    assert events_of([SAMPLE])[0].told()["sip_reason"] == "OK"


BEGIN = [dialog("dialog_created", 0), dialog("dialog_ringing", 1)]
BEGUN = ["c@pbx:caller customer offered@0", "c@pbx:callee agent ringing@1"]
TALK = [dialog("dialog_start", 5)]
TALKED = ["c@pbx:caller customer answered@5", "c@pbx:callee agent answered@5"]
PATHS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "answered": (
        [*BEGIN, *TALK, dialog("dialog_end", 9)],
        [*BEGUN, *TALKED, "c@pbx:caller customer ended@9 completed", "c@pbx:callee agent ended@9 completed"],
    ),
    "held by the agent": (
        [
            *BEGIN,
            *TALK,
            dialog("dialog_hold", 6, side="callee"),
            dialog("dialog_resume", 8, side="callee"),
        ],
        [*BEGUN, *TALKED, "c@pbx:callee agent held@6", "c@pbx:callee agent resumed@8"],
    ),
    "held by the customer": (
        [*BEGIN, *TALK, dialog("dialog_hold", 6, side="caller")],
        [*BEGUN, *TALKED, "c@pbx:caller customer held@6"],
    ),
    "given up": (
        [*BEGIN, dialog("dialog_failed", 4, sip_code="487")],
        [*BEGUN, "c@pbx:caller customer ended@4 abandoned", "c@pbx:callee agent ended@4 no_answer"],
    ),
    "blind transfer": (
        [
            *BEGIN,
            *TALK,
            dialog("dialog_transfer", 6, side="callee", refer_to="<sip:2002@pbx>"),
            dialog("dialog_created", 7, callid="d@pbx", session_id=f"{'a' * 32};remote={'0' * 32}"),
        ],
        [*BEGUN, *TALKED, "c@pbx:callee agent transferring@6 blind:2002", "d@pbx:caller customer offered@7"],
    ),
    "attended transfer": (
        [
            *BEGIN,
            *TALK,
            dialog(
                "dialog_transfer",
                6,
                side="callee",
                refer_to="<sip:2002@pbx?Replaces=d%40pbx%3Bto-tag%3D1%3Bfrom-tag%3D2>",
            ),
            dialog("dialog_created", 7, callid="e@pbx", replaces="d@pbx;to-tag=1;from-tag=2"),
        ],
        [*BEGUN, *TALKED, "c@pbx:callee agent transferring@6 attended:2002", "e@pbx:caller customer offered@7"],
    ),
    "accounted": (
        [acc("INVITE", 5, 200), acc("ACK", 5, 200), acc("BYE", 9, 200, src_user="18005550100", dst_ouser=ANN)],
        [*TALKED, "c@pbx:caller ?", "c@pbx:caller ? ended@9 completed", "c@pbx:callee ? ended@9 completed"],
    ),
    "busy": (
        [acc("INVITE", 5, 486)],
        ["c@pbx:caller customer ended@5 busy", "c@pbx:callee agent ended@5 busy"],
    ),
    "declined": (
        [acc("INVITE", 5, 603)],
        ["c@pbx:caller customer ended@5 busy", "c@pbx:callee agent ended@5 busy"],
    ),
    "no answer": (
        [acc("INVITE", 5, 408)],
        ["c@pbx:caller customer ended@5 no_answer", "c@pbx:callee agent ended@5 no_answer"],
    ),
    "cancelled": (
        [acc("CANCEL", 5, 200), acc("INVITE", 5, 487)],
        ["c@pbx:caller ?", "c@pbx:caller customer ended@5 abandoned", "c@pbx:callee agent ended@5 no_answer"],
    ),
    "failed": (
        [acc("INVITE", 5, 503)],
        ["c@pbx:caller customer ended@5 failed", "c@pbx:callee agent ended@5 failed"],
    ),
    "asked for a password": ([acc("INVITE", 5, 407)], ["c@pbx:caller customer"]),
    "accounted transfer": (
        [acc("INVITE", 5, 200), acc("REFER", 7, 202, refer_to="sip:2002@pbx")],
        [*TALKED, "c@pbx:callee ? transferring@7 blind:2002"],
    ),
}


@pytest.mark.parametrize("path", PATHS)
def test_each_path_of_a_call(path: str) -> None:
    """
    Records, and the legs that they give.
    """
    told, expected = PATHS[path]
    legs = legs_of(told)
    assert [short(leg) for leg in legs] == expected
    assert legs_of(told, "kamailio") == legs


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"session_id": f"{'a' * 32};remote={'0' * 32}"}, {"session_id": f"{'A' * 32};remote={'b' * 32}"}),
        ({}, {"replaces": "c@pbx;to-tag=1;from-tag=2"}),
        ({"refer_to": "<sip:2002@pbx?Replaces=d%40pbx%3Bto-tag%3D1>"}, {}),
    ],
)
def test_a_dialog_that_follows_another_is_the_same_call(first: dict[str, str], then: dict[str, str]) -> None:
    """
    By the Session-ID that the customer's phone keeps, or by what replaces what.
    """
    one, other = dialog("dialog_created", 0, **first), dialog("dialog_created", 5, callid="d@pbx", **then)
    assert len(calls_of(legs_of([one, other]))) == 1
    assert len(calls_of(legs_of([dialog("dialog_created", 0), dialog("dialog_created", 5, callid="d@pbx")]))) == 2


def test_two_callers_without_a_session_are_two_calls() -> None:
    """
    A Session-ID of zeros is nobody's.
    """
    nil = {"session_id": f"{'0' * 32};remote={'0' * 32}"}
    legs = legs_of([dialog("dialog_created", 0, **nil), dialog("dialog_created", 1, callid="d@pbx", **nil)])
    assert len(calls_of(legs)) == 2


@pytest.mark.parametrize(
    ("caller", "called", "target", "said"),
    [
        (ANN, "18005550100", "2001", [("customer", "inbound", ANN, ""), ("agent", "inbound", ANN, "2001")]),
        ("2001", ANN, ANN, [("agent", "outbound", ANN, "2001"), ("customer", "outbound", ANN, "")]),
        ("2001", "2002", "2002", [("", "", "", ""), ("", "", "", "")]),
        ("", "2002", "2002", [("", "", "", ""), ("", "", "", "")]),
        (f"sip:{ANN}@trunk", "sip:100@pbx", "", [("customer", "inbound", ANN, ""), ("agent", "inbound", ANN, "100")]),
    ],
)
def test_whose_end_it_is(caller: str, called: str, target: str, said: list[tuple[str, ...]]) -> None:
    """
    The customer's is the one with a number of the public network.
    """
    legs = legs_of([dialog("dialog_start", 0, src_user=caller, dst_ouser=called, dst_user=target)])
    assert [(leg.party, leg.direction, leg.customer, leg.agent) for leg in legs] == said


def test_exact_time_outranks_whole_seconds() -> None:
    """
    Among other records of the call whole seconds would come too early.
    """
    legs = legs_of([acc("INVITE", 5, 200, time_exact=f"{NOON / 1000 + 5.25:.6f}")])
    assert [leg.steps for leg in legs] == [(("answered", NOON + 5_250),)] * 2


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (acc("REGISTER", 0, 200), "unknown_format"),
        (acc("BYE", 0, 200, callid=""), "missing_field"),
        (acc("BYE", 0, 200, callid="c" * 300), "wrong_type"),
        (acc("BYE", 0, 200, time="soon"), "bad_time"),
        (acc("BYE", 0, 200, time=None), "bad_time"),
        ({"event": True, "class": "call", "type": "CALL_CLOSED", "id": "x"}, "bad_time"),
        ({"event": True, "class": "call", "type": "CALL_CLOSED"}, "missing_field"),
    ],
)
def test_what_is_no_record_of_a_call(told: dict[str, Any], reason: str) -> None:
    """
    Each fault has its reason.
    """
    decoded = decode_batch([msgspec.json.encode(told)], partition="p", first_position=0, read_at=None)
    assert [bad.reason for bad in decoded.rejected] == [reason]


# --- baresip -----------------------------------------------------------------------------------------------------

PHONE = {
    "event": True,
    "class": "call",
    "accountaor": "sip:bob@127.0.0.1:5171",
    "direction": "incoming",
    "peeruri": "sip:alice@127.0.0.1:5161",
    "id": "be728fe5e60a7814",
}


def phone(type_: str, param: str = "", **more: str) -> dict[str, Any]:
    return PHONE | {"type": type_, "param": param} | more


@pytest.mark.parametrize(
    ("type_", "param", "told"),
    [
        ("CALL_INCOMING", "", "agent ringing@0"),
        ("CALL_OUTGOING", "", "agent offered@0"),
        ("CALL_RINGING", "", "agent ringing@0"),
        ("CALL_ESTABLISHED", "", "agent answered@0"),
        ("CALL_HOLD", "", "agent held@0"),
        ("CALL_RESUME", "", "agent resumed@0"),
        ("CALL_TRANSFER", "sip:2002@pbx", "agent transferring@0 blind:2002"),
        ("CALL_CLOSED", "Connection reset by peer", "agent ended@0"),
        ("CALL_CLOSED", "486 Busy Here", "agent ended@0 busy"),
        ("CALL_CLOSED", "480 Temporarily Unavailable", "agent ended@0 no_answer"),
        ("CALL_CLOSED", "503 Service Unavailable", "agent ended@0 failed"),
        ("CALL_REMOTE_SDP", "offer", "agent"),
    ],
)
def test_each_event_of_a_phone(type_: str, param: str, told: str) -> None:
    """
    It has the time of its coming, for it tells none.
    """
    (leg,) = legs_of([phone(type_, param)], read_at=NOON)
    assert short(leg) == f"be728fe5e60a7814:sip:bob@127.0.0.1:5171 {told}"
    assert (leg.agent, leg.calls) == ("bob", ("sip:be728fe5e60a7814",))


def test_two_phones_and_a_proxy_share_the_sip_call_id() -> None:
    """
    The same id at both ends names two legs of one call.
    """
    other = phone("CALL_OUTGOING", accountaor="sip:alice@127.0.0.1:5161", direction="outgoing", peeruri=f"sip:{ANN}@gw")
    legs = legs_of([phone("CALL_INCOMING"), other, acc("BYE", 0, 200, callid=PHONE["id"])], read_at=NOON)
    assert len({leg.leg_id for leg in legs}) == 4
    assert len(calls_of(legs)) == 1
    assert (legs[1].customer, legs[1].direction) == (ANN, "outbound")
