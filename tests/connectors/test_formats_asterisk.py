"""Asterisk's three ways of telling: every path that a call can take, as records and the legs that they give."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from connectors.formats import decode_batch
from connectors.formats.asterisk_cel import COLUMNS
from tests.connectors.legs import NOON, calls_of, events_of, legs_of, short

ANN = "+4915112345678"
TRUNK, DESK, OTHER = "PJSIP/trunk-00000001", "PJSIP/2001-00000002", "PJSIP/2002-00000003"

SAMPLE = b'''
"CHAN_START","1795255200.513823","Ann","+4915112345678","+4915112345678","","18005550100","18005550100","from-pstn",\
"PJSIP/trunk-00000001","","","3","","1795255200.1","1795255200.1","","","",""
"ANSWER","1795255203.1","Ann","+4915112345678","+4915112345678","","18005550100","s","queue","PJSIP/trunk-00000001",\
"Queue","support","3","","1795255200.1","1795255200.1","","","",""
"CHAN_START","1795255204.0","","2001","","","","2001","agents","PJSIP/2001-00000002","","","3","","1795255204.2",\
"1795255200.1","","","",""
"BRIDGE_ENTER","1795255210.0","","2001","","","","s","queue","PJSIP/2001-00000002","AppQueue","","3","","1795255204.2",\
"1795255200.1","PJSIP/trunk-00000001","","","{""bridge_id"":""b-1""}"
"BLINDTRANSFER","1795255220.0","","2001","","","","s","queue","PJSIP/2001-00000002","","","3","","1795255204.2",\
"1795255200.1","","","","{""extension"":""3000"",""context"":""agents"",""bridge_id"":""b-1""}"
"HANGUP","1795255242.0","Ann","+4915112345678","+4915112345678","","","s","queue","PJSIP/trunk-00000001","","","3","",\
"1795255200.1","1795255200.1","","","","{""hangupcause"":16,""dialstatus"":""ANSWER"",""hangupsource"":""""}"
"LINKEDID_END","1795255242.2","Ann","+4915112345678","+4915112345678","","","s","queue","PJSIP/trunk-00000001","","",\
"3","","1795255200.1","1795255200.1","","","",""
'''


def row(name: str, second: float, channel: str, ids: str, **more: object) -> bytes:
    """A row of the log: `ids` are the unique and the linked id."""
    unique, linked = ids.split()
    number = ANN if channel == TRUNK else channel.partition("/")[2].partition("-")[0]
    told: dict[str, object] = {
        "eventname": name,
        "eventtime": f"{NOON / 1000 + second:.3f}",
        "channel": channel,
        "calleridnum": number,
    }
    told |= {"uniqueid": unique, "linkedid": linked} | more
    told["extra"] = json.dumps(more.get("extra", {}))
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow([told.get(column, "") for column in COLUMNS])
    return out.getvalue().encode()


def ami(name: str, second: float, channel: str = "", ids: str = "", **more: str) -> dict[str, Any]:
    """A manager event as an object."""
    unique, linked = ids.split() if ids else ("", "")
    number = ANN if channel == TRUNK else channel.partition("/")[2].partition("-")[0]
    about = {"Channel": channel, "CallerIDNum": number, "Uniqueid": unique, "Linkedid": linked} if channel else {}
    return {"Event": name, "Timestamp": f"{NOON / 1000 + second:.6f}"} | about | more


def dest(channel: str, unique: str) -> dict[str, str]:
    number = channel.partition("/")[2].partition("-")[0]
    return {"DestChannel": channel, "DestUniqueid": unique, "DestCallerIDNum": number}


def ari(name: str, second: float, about: dict[str, Any], **more: object) -> dict[str, Any]:
    """An event of the REST interface."""
    at = f"2026-11-21T12:00:{second:06.3f}+0000"
    return {"type": name, "application": "cx", "asterisk_id": "a", "timestamp": at, "channel": about} | more


def channel(id_: str, name: str, state: str = "Up", exten: str = "s") -> dict[str, Any]:
    number = ANN if name == TRUNK else name.partition("/")[2].partition("-")[0]
    plan = {"context": "in", "exten": exten, "priority": 1}
    return {
        "id": id_,
        "name": name,
        "state": state,
        "caller": {"name": "", "number": number},
        "dialplan": plan,
        "protocol_id": f"{id_}@pbx",
    }


def test_the_sample_of_the_log() -> None:
    """
    A caller waits in a queue, talks to 2001, is transferred and hangs up; all legs are one call.
    """
    lines = [line for line in SAMPLE.strip().splitlines() if line]
    legs = legs_of(lines)
    start = 1_795_255_200_000 - NOON
    assert [(leg.leg_id, leg.party, [(s, at - NOON - start) for s, at in leg.steps]) for leg in legs] == [
        ("asterisk:1795255200.1", "customer", [("offered", 513)]),
        ("asterisk:1795255200.1", "customer", [("queued", 3_100)]),
        ("asterisk:1795255204.2", "agent", [("ringing", 4_000)]),
        ("asterisk:1795255204.2", "agent", [("answered", 10_000)]),
        ("asterisk:1795255204.2", "agent", [("transferring", 20_000)]),
        ("asterisk:1795255200.1", "customer", [("ended", 42_000)]),
        ("asterisk:1795255200.1", "customer", [("ended", 42_200)]),
    ]
    assert (legs[0].direction, legs[0].customer, legs[0].called) == ("inbound", ANN, "18005550100")
    assert (legs[1].queue, legs[3].agent, legs[4].transfer_kind, legs[4].transfer_to) == (
        "support",
        "2001",
        "blind",
        "3000",
    )
    assert (legs[5].reason, legs[5].ends_call, legs[6].ends_call) == ("", False, True)
    assert len(calls_of(legs)) == 1
    assert events_of(lines)[4].told()["context"] == "agents"


QUEUE = {"application": "Queue", "appdata": "support,tT,,,60"}
BEGIN = [
    row("CHAN_START", 0, TRUNK, "1.1 1.1", context="from-pstn", exten="100"),
    row("APP_START", 1, TRUNK, "1.1 1.1", **QUEUE),
    row("CHAN_START", 2, DESK, "1.2 1.1", context="agents"),
]
BEGUN = ["1.1 customer offered@0", "1.1 customer queued@1", "1.2 agent ringing@2"]
JOINED = [
    row("BRIDGE_ENTER", 5, DESK, "1.2 1.1", extra={"bridge_id": "b", "bridge_technology": "simple_bridge"}),
    row("BRIDGE_ENTER", 5, TRUNK, "1.1 1.1", peer=DESK, extra={"bridge_id": "b", "bridge_technology": "simple_bridge"}),
]
JOINED_TOLD = ["1.2 agent answered@5", "1.1 customer answered@5"]
CEL_PATHS: dict[str, tuple[list[bytes], list[str]]] = {
    "answered": (
        [
            *BEGIN,
            row("ANSWER", 5, DESK, "1.2 1.1"),
            *JOINED,
            row("HANGUP", 9, DESK, "1.2 1.1", extra={"hangupcause": 16}),
        ],
        [*BEGUN, "1.2 agent", *JOINED_TOLD, "1.2 agent ended@9 completed"],
    ),
    "busy": (
        [
            *BEGIN,
            row("HANGUP", 3, DESK, "1.2 1.1", extra={"hangupcause": "17"}),
            row("HANGUP", 3, TRUNK, "1.1 1.1", extra={"hangupcause": 17, "dialstatus": "BUSY"}),
        ],
        [*BEGUN, "1.2 agent ended@3 busy", "1.1 customer ended@3 busy"],
    ),
    "no answer": (
        [
            *BEGIN,
            row("HANGUP", 20, DESK, "1.2 1.1", extra={"hangupcause": 19}),
            row("HANGUP", 21, TRUNK, "1.1 1.1", extra={"hangupcause": 16, "dialstatus": "NOANSWER"}),
        ],
        [*BEGUN, "1.2 agent ended@20 no_answer", "1.1 customer ended@21 no_answer"],
    ),
    "failed": (
        [*BEGIN, row("HANGUP", 3, TRUNK, "1.1 1.1", extra={"hangupcause": 38})],
        [*BEGUN, "1.1 customer ended@3 failed"],
    ),
    "given up while ringing": (
        [*BEGIN, row("HANGUP", 8, TRUNK, "1.1 1.1", extra={"hangupcause": 16, "dialstatus": "CANCEL"})],
        [*BEGUN, "1.1 customer ended@8 abandoned"],
    ),
    "given up in the queue": (
        [*BEGIN, row("HANGUP", 8, TRUNK, "1.1 1.1", extra={"hangupcause": 16, "hangupsource": TRUNK})],
        [*BEGUN, "1.1 customer ended@8 abandoned"],
    ),
    "one takes the place of another": (
        [
            *BEGIN,
            *JOINED,
            row(
                "BRIDGE_ENTER",
                8,
                OTHER,
                "1.5 1.1",
                peer=f"{TRUNK},{DESK}",
                extra={"bridge_id": "b", "bridge_technology": "simple_bridge"},
            ),
        ],
        [*BEGUN, *JOINED_TOLD, "1.5 agent answered@8"],
    ),
    "parked": (
        [
            *BEGIN,
            *JOINED,
            row("PARK_START", 7, TRUNK, "1.1 1.1", extra={"parking_lot": "default"}),
            row("BRIDGE_ENTER", 7, TRUNK, "1.1 1.1", extra={"bridge_id": "lot", "bridge_technology": "holding_bridge"}),
            row("PARK_END", 9, TRUNK, "1.1 1.1", extra={"reason": "PARKED_CALL_UNPARKED"}),
        ],
        [*BEGUN, *JOINED_TOLD, "1.1 customer held@7", "1.1 customer", "1.1 customer resumed@9"],
    ),
    "parking given up": (
        [*BEGIN, row("PARK_END", 9, TRUNK, "1.1 1.1", extra={"reason": "PARKED_CALL_GIVEUP"})],
        [*BEGUN, "1.1 customer"],
    ),
    "attended transfer": (
        [
            *BEGIN,
            *JOINED,
            row("CHAN_START", 6, "PJSIP/2001-00000004", "1.3 1.3", exten="2002"),
            row("CHAN_START", 6, OTHER, "1.4 1.3"),
            row(
                "ATTENDEDTRANSFER",
                9,
                DESK,
                "1.2 1.1",
                extra={
                    "bridge1_id": "b",
                    "channel2_uniqueid": "1.3",
                    "bridge2_id": "b2",
                    "transferee_channel_uniqueid": "1.1",
                    "transfer_target_channel_name": OTHER,
                    "transfer_target_channel_uniqueid": "1.4",
                },
            ),
            row("LINKEDID_END", 9, "PJSIP/2001-00000004", "1.3 1.3"),
        ],
        [
            *BEGUN,
            *JOINED_TOLD,
            "1.3 agent offered@6",
            "1.4 agent ringing@6",
            "1.2 agent transferring@9 attended:2002",
            "1.3 agent",
        ],
    ),
    "conference": (
        [
            *BEGIN,
            *JOINED,
            row(
                "BRIDGE_ENTER",
                8,
                OTHER,
                "1.5 1.1",
                peer=f"{TRUNK},{DESK}",
                extra={"bridge_id": "b", "bridge_technology": "softmix"},
            ),
        ],
        [*BEGUN, *JOINED_TOLD, "1.5 agent answered@8 conference:2002"],
    ),
    "voicemail": (
        [
            BEGIN[0],
            row("APP_START", 3, TRUNK, "1.1 1.1", application="VoiceMail", appdata="2001@default"),
            row("HANGUP", 9, TRUNK, "1.1 1.1", application="VoiceMail", extra={"hangupcause": 16}),
        ],
        [BEGUN[0], "1.1 customer voicemail", "1.1 customer ended@9 voicemail"],
    ),
}


@pytest.mark.parametrize("path", CEL_PATHS)
def test_each_path_of_a_call_in_the_log(path: str) -> None:
    """
    Rows of the log, and the legs that they give: one call in the end.
    """
    rows, told = CEL_PATHS[path]
    legs = legs_of(rows)
    assert [short(leg) for leg in legs] == told
    assert len(calls_of(legs)) == 1
    assert legs_of(rows, "asterisk_cel") == legs


def test_no_value_is_no_id() -> None:
    """
    Asterisk writes N/A for a channel that it does not know: that joins nothing.
    """
    extra = {"extension": "300", "transferee_channel_name": "N/A", "transferee_channel_uniqueid": "N/A"}
    rows = [row("BLINDTRANSFER", 7, DESK, f"{n}.2 {n}.1", extra=extra) for n in (1, 2)]
    rows += [row("ATTENDEDTRANSFER", 7, DESK, "3.2 3.1", extra={"transfer_target_channel_name": "N/A", "app": "Queue"})]
    legs = legs_of(rows)
    assert len(calls_of(legs)) == 3
    assert legs[2].transfer_to == "Queue"
    (unknown,) = legs_of(
        [ami("Newchannel", 0, TRUNK, "1 1", Context="from-pstn", Exten="100") | {"CallerIDNum": "<unknown>"}]
    )
    assert (unknown.party, unknown.customer) == ("customer", "")


def test_a_dialplan_has_events_of_its_own() -> None:
    """
    They stand under their own names in the log.
    """
    (event,) = events_of([row("MENU_CHOSEN", 2, TRUNK, "1.1 1.1")])
    assert event.leg is not None
    assert (event.leg.steps, event.told()["userdeftype"]) == ((), "MENU_CHOSEN")


def test_a_parking_lot_does_not_join_its_calls() -> None:
    """
    Two calls in one holding bridge stay two.
    """
    lot = {"bridge_id": "lot", "bridge_technology": "holding_bridge"}
    legs = legs_of([row("BRIDGE_ENTER", 7, TRUNK, f"{n}.1 {n}.1", extra=lot) for n in (1, 2)])
    assert calls_of(legs) == [{"asterisk:1.1"}, {"asterisk:2.1"}]


@pytest.mark.parametrize(
    ("name", "number", "context", "ids", "party"),
    [
        ("PJSIP/trunk-00000001", "+4930123456", "in", "1 1", "customer"),
        ("PJSIP/trunk-00000001", "030123456", "in", "1 1", "customer"),
        ("PJSIP/trunk-00000001", "anonymous", "from-pstn", "1 1", "customer"),
        ("PJSIP/trunk-00000001", "anonymous", "from-pstn", "2 1", ""),
        ("PJSIP/trunk-00000001", "", "agents", "1 1", ""),
        ("PJSIP/2001-00000001", "+4930123456", "agents", "1 1", "agent"),
        ("PJSIP/ann-00000001", "2001", "agents", "2 1", "agent"),
        ("SIP/2001-0000abcd", "", "agents", "2 1", "agent"),
        ("Local/2001@agents-00000001;1", "2001", "agents", "2 1", "system"),
        ("Announcer/ARI-00000001;2", ANN, "", "2 1", "system"),
        ("", "", "", "1 1", ""),
    ],
)
def test_whose_leg_a_channel_is(name: str, number: str, context: str, ids: str, party: str) -> None:
    """
    By its technology, its device, its number and where it came in.
    """
    (leg,) = legs_of([row("CHAN_START", 0, name, ids, calleridnum=number, context=context)])
    assert leg.party == party


def test_a_call_of_an_agent_is_outbound() -> None:
    """
    Who dials a number of the public network calls a customer: both legs say so.
    """
    legs = legs_of(
        [
            row("CHAN_START", 0, DESK, "1 1", exten=ANN, context="agents"),
            row("CHAN_START", 1, "PJSIP/trunk-00000009", "2 1", calleridnum=ANN, context="from-pstn"),
        ]
    )
    assert [(leg.party, leg.direction, leg.customer, leg.called, leg.agent) for leg in legs] == [
        ("agent", "outbound", ANN, ANN, "2001"),
        ("customer", "outbound", ANN, ANN, ""),
    ]
    assert [short(leg) for leg in legs] == ["1 agent offered@0", "2 customer ringing@1"]


def test_the_log_as_objects() -> None:
    """
    AMI's CEL events and the rows of a database have the same fields under other names.
    """
    manager = {
        "Event": "CEL",
        "EventName": "HANGUP",
        "EventTime": "2026-11-21 12:00:09",
        "CallerIDnum": ANN,
        "Channel": TRUNK,
        "UniqueID": "1.1",
        "LinkedID": "1.1",
        "Extra": '{"hangupcause":16}',
    }
    database = {
        "eventtype": "HANGUP",
        "eventtime": "2026-11-21T12:00:09Z",
        "cid_num": ANN,
        "channame": TRUNK,
        "uniqueid": "1.1",
        "linkedid": "1.1",
        "extra": {"hangupcause": 16},
    }
    expected = ["1.1 customer ended@9"]
    for told in (manager, database, {key: value for key, value in manager.items() if key != "Event"}):
        assert [short(leg) for leg in legs_of([told])] == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'"HANGUP","1795255242.0"', "missing_field"),
        (b'"HANGUP","1795255242.0"\n"HANGUP","1795255242.0"', "not_json"),
        (b'"HANGUP","yesterday"' + b',"x"' * 18, "bad_time"),
        (b'"HANGUP","' + b"9" * 200_000 + b'"', "not_json"),
        (b'"HANGUP","1795255242.0"' + b',""' * 18, "missing_field"),
        (b'{"Event":"PeerStatus","Peer":"PJSIP/2001"}', "unknown_format"),
        (b'{"Event":"Hold","Uniqueid":"","Timestamp":"1795255242"}', "missing_field"),
        (b'{"Event":"Hold","Uniqueid":"1"}', "bad_time"),
        (b'{"Event":"Hold","Uniqueid":"' + b"1" * 300 + b'","Timestamp":"1795255242"}', "wrong_type"),
        (b"Event: Hold\r\nUniqueid: 1\r\nTimestamp: 1795255242\r\n\r\nEvent: Unhold\r\nUniqueid: 1", "not_json"),
        (b"Event: Hold\n" * 1_001, "too_large"),
        (b'{"type":"ChannelHold","application":"cx","channel":{"id":null}}', "missing_field"),
    ],
)
def test_what_is_no_record_of_a_leg(raw: bytes, reason: str) -> None:
    """
    Each fault has its reason.
    """
    decoded = decode_batch([raw], partition="p", first_position=0, read_at=None)
    assert [bad.reason for bad in decoded.rejected] == [reason]


# --- AMI ---------------------------------------------------------------------------------------------------------

AMI_BEGIN = [
    ami("Newchannel", 0, TRUNK, "1.1 1.1", Context="from-pstn", Exten="100"),
    ami("QueueCallerJoin", 1, TRUNK, "1.1 1.1", Queue="support", Position="1"),
    ami("Newchannel", 2, DESK, "1.2 1.1"),
    ami("AgentCalled", 2, TRUNK, "1.1 1.1", Queue="support", Interface="PJSIP/2001", **dest(DESK, "1.2")),
    ami("DialBegin", 2, TRUNK, "1.1 1.1", DialString="2001", **dest(DESK, "1.2")),
    ami("Newstate", 3, DESK, "1.2 1.1", ChannelState="5", ChannelStateDesc="Ringing"),
]
AMI_BEGUN = [
    "1.1 customer offered@0",
    "1.1 customer queued@1",
    "1.2 agent offered@2",
    "1.2 agent ringing@2",
    "1.2 agent ringing@2",
    "1.2 agent ringing@3",
]
AMI_JOINED = [
    ami("DialEnd", 5, TRUNK, "1.1 1.1", DialStatus="ANSWER", **dest(DESK, "1.2")),
    ami("BridgeEnter", 5, DESK, "1.2 1.1", BridgeUniqueid="b", BridgeNumChannels="1"),
    ami("BridgeEnter", 5, TRUNK, "1.1 1.1", BridgeUniqueid="b", BridgeNumChannels="2"),
    ami("AgentConnect", 5, TRUNK, "1.1 1.1", Queue="support", HoldTime="4", RingTime="3", **dest(DESK, "1.2")),
]
AMI_JOINED_TOLD = ["1.2 agent", "1.2 agent answered@5", "1.1 customer answered@5", "1.2 agent answered@5"]
AMI_PATHS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "answered and held": (
        [
            *AMI_BEGIN,
            *AMI_JOINED,
            ami("Hold", 6, DESK, "1.2 1.1", MusicClass="default"),
            ami("Unhold", 8, DESK, "1.2 1.1"),
            ami("BridgeLeave", 9, TRUNK, "1.1 1.1", BridgeUniqueid="b", BridgeNumChannels="1"),
            ami("AgentComplete", 9, TRUNK, "1.1 1.1", TalkTime="4", HoldTime="4", Reason="caller", **dest(DESK, "1.2")),
            ami("Hangup", 9, TRUNK, "1.1 1.1", Cause="16"),
        ],
        [
            *AMI_BEGUN,
            *AMI_JOINED_TOLD,
            "1.2 agent held@6",
            "1.2 agent resumed@8",
            "1.1 customer",
            "1.2 agent",
            "1.1 customer ended@9",
        ],
    ),
    "busy": (
        [*AMI_BEGIN, ami("DialEnd", 3, TRUNK, "1.1 1.1", DialStatus="BUSY", **dest(DESK, "1.2"))],
        [*AMI_BEGUN, "1.2 agent ended@3 busy"],
    ),
    "no answer": (
        [*AMI_BEGIN, ami("AgentRingNoAnswer", 9, TRUNK, "1.1 1.1", RingTime="6000", **dest(DESK, "1.2"))],
        [*AMI_BEGUN, "1.2 agent ended@9 no_answer"],
    ),
    "failed": (
        [AMI_BEGIN[0], ami("Hangup", 2, TRUNK, "1.1 1.1", Cause="34")],
        [AMI_BEGUN[0], "1.1 customer ended@2 failed"],
    ),
    "abandoned in the queue": (
        [
            *AMI_BEGIN,
            ami("QueueCallerAbandon", 36, TRUNK, "1.1 1.1", Queue="support", HoldTime="35"),
            ami("QueueCallerLeave", 36, TRUNK, "1.1 1.1", Queue="support"),
        ],
        [*AMI_BEGUN, "1.1 customer ended@36 abandoned", "1.1 customer"],
    ),
    "blind transfer": (
        [
            *AMI_BEGIN,
            ami(
                "BlindTransfer",
                9,
                Result="Success",
                TransfererChannel=DESK,
                TransfererUniqueid="1.2",
                TransfererLinkedid="1.1",
                TransfereeUniqueid="1.1",
                Extension="2002",
            ),
        ],
        [*AMI_BEGUN, "1.2 agent transferring@9 blind:2002"],
    ),
    "blind transfer that fails": (
        [*AMI_BEGIN, ami("BlindTransfer", 9, Result="Fail", TransfererUniqueid="1.2", TransfereeUniqueid="1.1")],
        [*AMI_BEGUN, "1.2 ?"],
    ),
    "attended transfer": (
        [
            *AMI_BEGIN,
            ami("Newchannel", 6, "PJSIP/2001-00000004", "1.3 1.3", Exten="2002"),
            ami("Newchannel", 6, OTHER, "1.4 1.3"),
            ami(
                "AttendedTransfer",
                9,
                Result="Success",
                OrigTransfererChannel=DESK,
                OrigTransfererUniqueid="1.2",
                SecondTransfererUniqueid="1.3",
                TransfereeUniqueid="1.1",
                TransferTargetChannel=OTHER,
                TransferTargetUniqueid="1.4",
            ),
        ],
        [*AMI_BEGUN, "1.3 agent offered@6", "1.4 agent offered@6", "1.2 agent transferring@9 attended:2002"],
    ),
    "conference": (
        [*AMI_BEGIN, ami("BridgeEnter", 9, OTHER, "1.5 1.1", BridgeUniqueid="b", BridgeNumChannels="3")],
        [*AMI_BEGUN, "1.5 agent answered@9 conference:2002"],
    ),
    "one takes the place of another": (
        [
            *AMI_BEGIN,
            ami("BridgeEnter", 9, OTHER, "1.5 1.1", BridgeUniqueid="b", BridgeNumChannels="3", SwapUniqueid="1.2"),
        ],
        [*AMI_BEGUN, "1.5 agent answered@9"],
    ),
    "parked": (
        [
            *AMI_BEGIN,
            ami("ParkedCall", 6, ParkeeChannel=TRUNK, ParkeeUniqueid="1.1", ParkeeCallerIDNum=ANN),
            ami("UnParkedCall", 8, ParkeeChannel=TRUNK, ParkeeUniqueid="1.1", ParkeeCallerIDNum=ANN),
        ],
        [*AMI_BEGUN, "1.1 customer held@6", "1.1 customer resumed@8"],
    ),
}


@pytest.mark.parametrize("path", AMI_PATHS)
def test_each_path_of_a_call_by_manager_events(path: str) -> None:
    """
    The same as objects and as blocks of lines.
    """
    told, expected = AMI_PATHS[path]
    legs = legs_of(told)
    assert [short(leg) for leg in legs] == expected
    assert len(calls_of(legs)) == 1
    blocks = ["".join(f"{key}: {value}\r\n" for key, value in one.items()).encode() + b"\r\n" for one in told]
    assert legs_of(blocks) == legs


def test_what_the_queue_has_worked_out() -> None:
    """
    Waiting and talking come in seconds; the sample has no time of its own.
    """
    sample = {
        "Event": "QueueCallerAbandon",
        "Channel": TRUNK,
        "CallerIDNum": ANN,
        "Uniqueid": "1795255200.1",
        "Linkedid": "1795255200.1",
        "Queue": "support",
        "HoldTime": "35",
    }
    (leg,) = legs_of([sample], read_at=NOON)
    assert (leg.wait_ms, leg.queue, leg.direction, leg.steps) == (35_000, "support", "inbound", (("ended", NOON),))
    connect, complete = AMI_JOINED[3], AMI_PATHS["answered and held"][0][-2]
    assert [(leg.agent, leg.wait_ms, leg.talk_ms) for leg in legs_of([connect, complete])] == [
        ("2001", 4_000, -1),
        ("2001", 4_000, 4_000),
    ]


# --- ARI ---------------------------------------------------------------------------------------------------------

ARI_BEGIN = [
    ari("StasisStart", 0, channel("1.1", TRUNK, "Ring", "100"), args=[]),
    ari("ChannelCreated", 1, channel("1.2", DESK, "Down")),
    ari("Dial", 1, {}, peer=channel("1.2", DESK, "Down"), caller=channel("1.1", TRUNK), dialstatus=""),
    ari("ChannelStateChange", 2, channel("1.2", DESK, "Ringing")),
]
ARI_BEGUN = ["1.1 customer offered@0", "1.2 agent offered@1", "1.2 agent ringing@1", "1.2 agent ringing@2"]
ARI_PATHS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "answered and held": (
        [
            *ARI_BEGIN,
            ari("ChannelEnteredBridge", 5, channel("1.1", TRUNK), bridge={"id": "b", "channels": ["1.1"]}),
            ari("ChannelEnteredBridge", 5, channel("1.2", DESK), bridge={"id": "b", "channels": ["1.1", "1.2"]}),
            ari("ChannelHold", 6, channel("1.2", DESK), musicclass="default"),
            ari("ChannelUnhold", 8, channel("1.2", DESK)),
            ari("ChannelHangupRequest", 9, channel("1.1", TRUNK), cause=16),
            ari("ChannelLeftBridge", 9, channel("1.1", TRUNK), bridge={"id": "b", "channels": ["1.2"]}),
            ari("StasisEnd", 9, channel("1.1", TRUNK)),
            ari("ChannelDestroyed", 9, channel("1.1", TRUNK), cause=16, cause_txt="Normal Clearing"),
        ],
        [
            *ARI_BEGUN,
            "1.1 customer answered@5",
            "1.2 agent answered@5",
            "1.2 agent held@6",
            "1.2 agent resumed@8",
            *["1.1 customer"] * 3,
            "1.1 customer ended@9",
        ],
    ),
    "waiting in a holding bridge": (
        [
            *ARI_BEGIN,
            ari("ChannelEnteredBridge", 5, channel("1.1", TRUNK), bridge={"id": "lot", "bridge_type": "holding"}),
        ],
        [*ARI_BEGUN, "1.1 customer"],
    ),
    "busy": (
        [
            *ARI_BEGIN,
            ari("Dial", 3, {}, peer=channel("1.2", DESK), caller=channel("1.1", TRUNK), dialstatus="BUSY"),
            ari("ChannelDestroyed", 3, channel("1.2", DESK), cause=17),
        ],
        [*ARI_BEGUN, "1.2 agent ended@3 busy", "1.2 agent ended@3 busy"],
    ),
    "no answer": (
        [*ARI_BEGIN, ari("ChannelDestroyed", 9, channel("1.2", DESK), cause=19)],
        [*ARI_BEGUN, "1.2 agent ended@9 no_answer"],
    ),
    "blind transfer": (
        [
            *ARI_BEGIN,
            ari(
                "BridgeBlindTransfer",
                9,
                channel("1.2", DESK),
                transferee=channel("1.1", TRUNK),
                exten="2002",
                result="Success",
                bridge={"id": "b"},
            ),
        ],
        [*ARI_BEGUN, "1.2 agent transferring@9 blind:2002"],
    ),
    "attended transfer": (
        [
            *ARI_BEGIN,
            ari(
                "BridgeAttendedTransfer",
                9,
                {},
                transferer_first_leg=channel("1.2", DESK),
                transferer_second_leg=channel("1.3", "PJSIP/2001-00000004"),
                transferee=channel("1.1", TRUNK),
                transfer_target=channel("1.4", OTHER),
                result="Success",
                destination_type="bridge",
            ),
        ],
        [*ARI_BEGUN, "1.2 agent transferring@9 attended:2002"],
    ),
    "conference": (
        [
            *ARI_BEGIN,
            ari("ChannelEnteredBridge", 5, channel("1.2", DESK), bridge={"id": "b", "channels": ["1.1", "1.2"]}),
            ari("ChannelEnteredBridge", 9, channel("1.5", OTHER), bridge={"id": "b", "channels": ["a", "b", "c"]}),
        ],
        [*ARI_BEGUN, "1.2 agent answered@5", "1.5 agent answered@9 conference:2002"],
    ),
}


@pytest.mark.parametrize("path", ARI_PATHS)
def test_each_path_of_a_call_by_the_rest_interface(path: str) -> None:
    """
    Who dials whom, bridges and transfers join the legs, for there is no linked id.
    """
    told, expected = ARI_PATHS[path]
    legs = legs_of(told)
    assert [short(leg) for leg in legs] == expected
    assert len(calls_of(legs)) == 1


def test_a_channel_is_joined_by_its_sip_call_id() -> None:
    """
    Another system on the way knows the same SIP call id.
    """
    (held,) = legs_of([ari("ChannelHold", 15, channel("1.1", TRUNK))])
    assert (held.calls, held.customer) == (("asterisk:1.1", "sip:1.1@pbx"), ANN)
    proxied = {"time": NOON // 1000, "method": "BYE", "callid": "1.1@pbx", "sip_code": "200"}
    assert len(calls_of([held, *legs_of([proxied])])) == 1


def test_two_applications_are_told_the_same() -> None:
    """
    An event that comes for each application that watches has one id.
    """
    one = ari("ChannelHold", 15, channel("1.1", TRUNK))
    ids = {event.event_id for event in events_of([one, one | {"application": "other"}])}
    assert len(ids) == 1


def test_a_repeat_has_the_same_id_and_another_time_another() -> None:
    """
    What tells records apart is what they say; the order of an object's fields says nothing.
    """
    hold = ami("Hold", 6, DESK, "1.2 1.1")
    again, later = dict(reversed(hold.items())), ami("Hold", 7, DESK, "1.2 1.1")
    ids = [event.event_id for event in events_of([hold, again, later])]
    assert ids[0] == ids[1] != ids[2]


def test_the_customers_number_stays_out_of_the_properties() -> None:
    """
    It has a field of its own, under a pseudonym where that is asked for.
    """
    raw = row("APP_START", 1, TRUNK, "1.1 1.1", application="Dial", appdata=f"PJSIP/{ANN}@trunk", userfield="vip")
    (event,) = events_of([raw])
    assert event.phone == ANN
    assert event.told()["userfield"] == "vip"
    assert ANN[1:] not in event.properties.decode()
