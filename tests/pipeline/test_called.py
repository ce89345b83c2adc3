"""
A call from the telephone system's records to the record of the call, with all that the pipeline knows of its caller.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from config.settings import Settings, SourceSettings
from connectors.batches import RawBatch
from operators.event import FOREVER, rfc3339
from tests.pipeline.helpers import Chain, Told
from tests.pipeline.phone import ANN, BEGAN_AT, SECOND

WEB: Final = "shop/0"
PBX: Final = "pbx/0"
BY_FORMAT: Final = Settings(key_groups=3, source=SourceSettings(formats={"pbx": "telephony"}))


def on_site(second: float, kind: str, **more: Any) -> bytes:  # noqa: ANN401 -- any field
    """
    What Ann's browser sends.
    """
    at = rfc3339(BEGAN_AT + round(second * SECOND))
    return msgspec.json.encode({"kind": kind, "occurred_at": at, "anonymous_id": "ann-7"} | more)


def by_phone(second: float, state: str, leg: str = "ann", **more: Any) -> bytes:  # noqa: ANN401 -- any field
    """
    What the telephone system sends.
    """
    at = rfc3339(BEGAN_AT + round(second * SECOND))
    said = {"type": f"call_{state}", "state": state, "occurred_at": at, "provider": "pbx", "call_id": "c-1"}
    said |= {"leg_id": leg, "direction": "inbound", "event_id": f"{leg}-{state}-{second}"}
    party = {"party": "customer", "from_e164": ANN} if leg == "ann" else {"party": "agent", "agent_id": leg}
    return msgspec.json.encode(said | party | more)


VISIT: Final = [
    on_site(-120, "identified", user_id="ann", phone=ANN),
    on_site(-60, "page_viewed", url="https://shop.example/sofa"),
]
CALL: Final = [
    by_phone(0, "offered"),
    by_phone(5, "queued", queue="support"),
    by_phone(9, "answered", leg="2001"),
    by_phone(40, "ended", leg="2001", reason="completed"),
    by_phone(41, "ended", reason="completed"),
]


def batch(partition: str, lines: Sequence[bytes], first: int = 0, *, is_last: bool = False) -> RawBatch:
    return RawBatch(partition, list(lines), first, complete=FOREVER if is_last else None, is_marked=True)


def of(told: Sequence[Told], stream: str) -> list[dict[str, Any]]:
    return [event["data"] for name, event in told if name == stream]


def check(told: Sequence[Told]) -> None:
    """
    The call is the lead's, and names the visit that was open when it began.
    """
    (call,) = of(told, "calls")
    (lead,) = {record["profile_id"] for record in of(told, "identity") if record["what"] == "created"}
    sessions = {session["session_id"]: session for session in of(told, "sessions")}
    assert call["profile_id"] == lead
    assert sessions[call["session_id"]]["visitor_id"] == "ann-7"
    assert (call["wait_ms"], call["talk_ms"], call["reason"], call["agents"]) == (4_000, 31_000, "completed", ["2001"])
    assert ANN not in str(call)


def test_a_lead_who_calls_while_on_the_site() -> None:
    chain = Chain(BY_FORMAT, [WEB, PBX])
    told = chain.take([batch(WEB, VISIT), batch(PBX, CALL)])
    told += chain.take([batch(WEB, [], 2, is_last=True), batch(PBX, [], 5, is_last=True)]) + chain.end()
    check(told)
    assert chain.tally.calls_closed == {"completed": 1}


@pytest.mark.parametrize("cut", range(len(CALL) + 1))
def test_a_process_that_is_killed_in_the_midst_of_a_call(tmp_path: Path, cut: int) -> None:
    """
    The next one goes on from the checkpoint and tells the rest, once.
    """
    first = Chain(BY_FORMAT, [WEB, PBX], tmp_path)
    told = first.take([batch(WEB, VISIT), batch(PBX, CALL[:cut])])
    saved = first.snapshot()
    first.take([batch(PBX, CALL[cut:], cut)])  # is lost with the process
    second = Chain(BY_FORMAT, [WEB, PBX], tmp_path, saved)
    told += second.take([batch(PBX, CALL[cut:], cut)])
    told += second.take([batch(WEB, [], 2, is_last=True), batch(PBX, [], 5, is_last=True)]) + second.end()
    check(told)


def test_a_call_that_a_shop_s_own_events_tell_of() -> None:
    """
    Segment's or our own call events pass as they are, and the call has a record.
    """
    lines = [
        on_site(-60, "page_viewed", url="https://shop.example/sofa"),
        on_site(0, "call_ringing", call_id="k-1", channel="phone", phone=ANN),
        on_site(4, "call_answered", call_id="k-1", channel="phone", phone=ANN),
        on_site(30, "call_ended", call_id="k-1", channel="phone", phone=ANN),
    ]
    chain = Chain(Settings(key_groups=3), [WEB])
    told = chain.take([batch(WEB, lines)]) + chain.take([batch(WEB, [], 4, is_last=True)]) + chain.end()
    (call,) = of(told, "calls")
    assert (call["call_id"], call["profile_id"], call["wait_ms"], call["talk_ms"]) == ("k-1", "ann-7", 4_000, 26_000)
    assert call["session_id"] == of(told, "sessions")[0]["session_id"]


def test_agents_are_nobody_s_visitors() -> None:
    """
    Only the caller has a profile; the agent's leg makes none.
    """
    chain = Chain(BY_FORMAT, [PBX])
    chain.take([batch(PBX, CALL)])
    told = chain.take([batch(PBX, [], 5, is_last=True)]) + chain.end()
    assert chain.tally.visitors == 1
    (call,) = of(told, "calls")
    assert call["profile_id"].startswith("caller-")


def test_a_call_of_legs_is_in_no_visit() -> None:
    """
    It has a record of its own; what tells of a call without legs makes a session by inactivity, as any channel does.
    """
    chain = Chain(BY_FORMAT, [PBX])
    told = chain.take([batch(PBX, CALL)])
    told += chain.take([batch(PBX, [], 5, is_last=True)]) + chain.end()
    assert (len(of(told, "calls")), of(told, "sessions")) == (1, [])
