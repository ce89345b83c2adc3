"""Whatever stands in the fields of an exchange's records: legs, or a rejection with its reason, never an exception."""

from __future__ import annotations

import copy
import os
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.formats import decode_batch
from connectors.formats.common import SourceRules
from connectors.formats.pbx import is_extension, is_external, micros_ms, party_at, seconds_ms, user_of
from connectors.formats.pseudonyms import Pseudonyms
from operators.event import INSTANT_MAX, INSTANT_MIN, unpack
from operators.leg import LEG_STATES, REASONS
from operators.rejected import REASONS as REJECTIONS
from tests.connectors import test_formats_asterisk as asterisk
from tests.connectors import test_formats_freeswitch as freeswitch
from tests.connectors import test_formats_kamailio as kamailio
from tests.connectors.legs import NOON

FUZZ_EXAMPLES = int(os.environ.get("NEXTMOVE_FUZZ_EXAMPLES", "2000"))

OBJECTS: list[dict[str, Any]] = [
    *[one for told, _ in asterisk.AMI_PATHS.values() for one in told],
    *[one for told, _ in asterisk.ARI_PATHS.values() for one in told],
    *[one for told, _ in freeswitch.PATHS.values() for one in told],
    *[one for told, _ in kamailio.PATHS.values() for one in told],
    freeswitch.SAMPLE,
    freeswitch.CDR,
    kamailio.SAMPLE,
    kamailio.phone("CALL_CLOSED", "486 Busy Here"),
    {"EventName": "HANGUP", "EventTime": "1795262400", "UniqueID": "1", "LinkedID": "1", "Extra": '{"hangupcause":16}'},
]
TEXTS: list[bytes] = [
    *[raw for rows, _ in asterisk.CEL_PATHS.values() for raw in rows],
    b"Event: Hold\r\nUniqueid: 1\r\nTimestamp: 1795262400\r\n\r\n",
]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["", "0", "16", "²", "+49151", "1795262400", "9" * 30, "x" * 300, "sip:a@b", "{", "٣"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A record with values of any kind in some of its fields, and in those of objects in it."""
    told = copy.deepcopy(draw(st.sampled_from(OBJECTS)))
    inside = [told, *(value for value in told.values() if isinstance(value, dict))]
    for target in inside:
        for name in draw(st.lists(st.sampled_from(sorted(target) or [""]), max_size=3)):
            target[name] = draw(anything)
    return msgspec.json.encode(told)


@st.composite
def cut(draw: st.DrawFn) -> bytes:
    """A record of text with bytes cut out, put in or changed."""
    raw = draw(st.sampled_from(TEXTS))
    start = draw(st.integers(0, len(raw)))
    return raw[:start] + draw(st.binary(max_size=6)) + raw[start + draw(st.integers(0, 9)) :]


@settings(max_examples=FUZZ_EXAMPLES)
@pytest.mark.timeout(0)  # a long run is asked for with NEXTMOVE_FUZZ_EXAMPLES
@given(
    raw=spoilt() | cut() | anything.map(msgspec.json.encode),
    read_at=st.none() | st.just(NOON),
    format_=st.sampled_from(
        ["auto", "auto", "asterisk_cel", "asterisk_ami", "asterisk_ari", "freeswitch", "kamailio", "baresip"]
    ),
    hides=st.booleans(),
)
@example(raw=b'"HANGUP","1","\x00"' + b',"1"' * 18, read_at=None, format_="auto", hides=False)
@example(raw=b'{"Event":"CEL","Event ":1}', read_at=NOON, format_="asterisk_ami", hides=False)
@example(
    raw=b'{"callid":"c","event":"dialog_end","x":' + b"[" * 500 + b"]" * 500 + b"}",
    read_at=NOON,
    format_="auto",
    hides=True,
)
def test_any_value_in_any_field(raw: bytes, read_at: int | None, format_: str, hides: bool) -> None:  # noqa: FBT001 -- drawn
    """
    No exception; legs with states and reasons that there are, at instants that there are; what is accepted can be sent.
    """
    rules = SourceRules(pseudonyms=Pseudonyms("secret") if hides else None)
    decoded = decode_batch([raw], partition="p", first_position=5, read_at=read_at, format=format_, rules=rules)
    assert bool(decoded.events) != bool(decoded.rejected)
    assert {bad.reason for bad in decoded.rejected} <= REJECTIONS
    for event in decoded.events:
        leg = event.leg
        if leg is None:
            continue
        assert {state for state, _ in leg.steps} <= LEG_STATES
        assert leg.reason in REASONS
        assert all(INSTANT_MIN <= at <= INSTANT_MAX for at in (event.at, *(at for _, at in leg.steps)))
        assert leg.leg_id.partition(":")[2]
        assert all(one.partition(":")[2] for one in leg.calls)
    sent = msgspec.msgpack.encode([event.pack() for event in decoded.events])
    assert [unpack(row) for row in msgspec.msgpack.decode(sent)] == decoded.events


@pytest.mark.parametrize("told", OBJECTS[:: len(OBJECTS) // 9])
def test_no_depth_is_too_deep(told: dict[str, Any]) -> None:
    """
    Where the parser still goes, writing what it has read may not.
    """
    for depth in range(900, 1100, 5):
        raw = msgspec.json.encode(told | {"deep": 0}).replace(b'"deep":0', b'"deep":' + b"[" * depth + b"]" * depth)
        decoded = decode_batch([raw], partition="p", first_position=5, read_at=NOON)
        assert bool(decoded.events) != bool(decoded.rejected)


@given(st.permutations(OBJECTS[:12] + OBJECTS[-5:]))
def test_the_order_of_records_is_nothing_to_their_legs(records: list[dict[str, Any]]) -> None:
    """
    A record is read by itself: whatever came before, and however often it comes, it gives the same events.
    """
    raws = [msgspec.json.encode(told) for told in records]

    def decode(raws: list[bytes]) -> dict[str, list[Any]]:
        decoded = decode_batch(raws, partition="p", first_position=0, read_at=NOON)
        return {event.event_id: event.leg.pack() for event in decoded.events if event.leg is not None}

    assert decode(raws) == decode(sorted(raws)) == decode(raws + raws)


@given(st.text(max_size=24) | st.from_regex(r"\+?[0-9 ()-]{1,12}", fullmatch=True))
def test_a_number_is_an_extension_or_external_or_neither(number: str) -> None:
    """
    Never both; and the party follows from it.
    """
    assert not (is_extension(number) and is_external(number))
    assert party_at(number) == ("customer" if is_external(number) else "agent" if is_extension(number) else "")


@pytest.mark.parametrize(
    ("number", "party"),
    [
        ("1", ""),
        ("12", "agent"),
        ("123456", "agent"),
        ("1234567", "customer"),
        ("+12", "customer"),
        ("tel:+4915112345678", "customer"),
        ("030 / 123 45 67", "customer"),
        ("anonymous", ""),
        ("", ""),
        ("١٢٣٤٥٦٧٨", ""),
    ],
)
def test_where_extensions_end(number: str, party: str) -> None:
    """
    Two to six digits are an extension, seven a number of the public network.
    """
    assert party_at(number) == party


@pytest.mark.parametrize(
    ("address", "user"),
    [
        ("sip:2001@pbx", "2001"),
        ("<sips:2001@pbx;transport=tls>", "2001"),
        ('"Ann" <sip:+49151@pbx>;tag=1', "+49151"),
        ("tel:+49151;phone-context=x", "+49151"),
        ("2001", "2001"),
        ("sip:pbx", "pbx"),
        ("", ""),
    ],
)
def test_the_user_of_an_address(address: str, user: str) -> None:
    """
    With and without a name and brackets.
    """
    assert user_of(address) == user


@pytest.mark.parametrize(
    ("told", "ms"),
    [
        ("1795262400000000", NOON),
        (1795262400000999, NOON),
        ("0", None),
        ("1795262400", None),
        ("-1795262400000000", None),
        ("1" * 21, None),
        (True, None),
        (1.5, None),
        (None, None),
        ("²", None),
    ],
)
def test_microseconds(told: object, ms: int | None) -> None:
    """
    Whole ones, of an instant that there is.
    """
    assert micros_ms(told) == ms


def test_spans_in_seconds() -> None:
    """
    A number or the text of one; -1 is none.
    """
    spans: list[object] = ["35", 1.5, "", None, "-1", []]
    assert [seconds_ms(told) for told in spans] == [35_000, 1_500, -1, -1, -1, -1]
