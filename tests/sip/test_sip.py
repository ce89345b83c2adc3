"""
What a real Kamailio said of real calls (`make sip` again: `python -m tests.sip --lines tests/sip/captured.txt`).
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sip.plays import PLAYS, complaints
from tests.sip.records import Record, assembled, legs_of

CAPTURED = Path(__file__).with_name("captured.txt")


def lines() -> list[tuple[int, bytes]]:
    """Each line, with the instant at which it came."""
    split = [line.split(b" ", 1) for line in CAPTURED.read_bytes().splitlines()]
    return [(int(at), line) for at, line in split]


LINES = lines()


def faults(records: list[Record]) -> list[str]:
    """What is wrong with the records of the calls, in the order in which they were placed."""
    assert len(records) == len(PLAYS)
    return [fault for play, record in zip(PLAYS, records, strict=True) for fault in complaints(play, record)]


def test_the_legs_tell_how_each_call_went() -> None:
    """
    Answered, busy, not answered, given up, held, transferred: six calls of one customer, each as it was.
    """
    assert faults(assembled(legs_of(LINES))) == []


@given(st.permutations(LINES), st.integers(0, 10))
def test_order_and_repeats_change_nothing(shuffled: list[tuple[int, bytes]], repeats: int) -> None:
    """
    Every record tells its own time, and a repeat has the id of what it repeats.
    """
    assert assembled(legs_of(shuffled + shuffled[:repeats])) == assembled(legs_of(LINES))


@pytest.mark.parametrize("wanted", [b'"method"', b'"event"'])
def test_either_kind_of_record_is_enough(wanted: bytes) -> None:
    """
    Accounting alone and dialogs alone give the same reasons and agents; accounting knows no holds and no transfers.
    """
    told = faults(assembled(legs_of([line for line in LINES if wanted in line[1]])))
    if wanted == b'"event"':
        assert told == []
    assert not [fault for fault in told if "reason" in fault or "agents" in fault or "customer" in fault]


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (b'"sip_code": "486"', b'"sip_code": "503"', "busy: reason is"),
        (b"dialog_hold", b"dialog_resume", "held: holds is 0, not 1"),
        (b'"dst_user":"2004"', b'"dst_user":"2009"', "held: agents is"),
        (b"sip:2006", b"sip:2007", "transferred: transfers is"),
    ],
)
def test_what_is_wrong_is_seen(before: bytes, after: bytes, fault: str) -> None:
    """
    A record that says something else is complained of.
    """
    changed = [(at, line.replace(before, after)) for at, line in LINES]
    changed = [line for line in changed if not (fault.startswith("busy") and b"dialog_failed" in line[1])]
    assert any(one.startswith(fault) for one in faults(assembled(legs_of(changed))))
