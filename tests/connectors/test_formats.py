"""Whatever the bytes are: an event or a rejection with its reason, and never an exception."""

import os
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.formats import Decoded, Format, decode_batch, event_times, fields, segment_call
from connectors.formats.canonical_record import Record
from connectors.formats.common import RECORD_BYTES_MAX
from connectors.formats.segment_names import KIND_OF
from operators.event import KINDS, unpack
from operators.rejected import REASONS, Rejected

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
FUZZ_EXAMPLES = int(os.environ.get("NEXTMOVE_FUZZ_EXAMPLES", "2000"))
GOOD = b'{"type":"page","messageId":"m","anonymousId":"ann","timestamp":"2026-03-01T12:00:00Z"}'


def decode(*raws: bytes, format: Format = "auto") -> Decoded:  # noqa: A002 - the word of decode_batch
    return decode_batch(raws, partition="p", first_position=5, read_at=None, format=format)


def padded(size: int) -> bytes:
    return GOOD + b" " * (size - len(GOOD))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"  \n", "not_json"),
        (b"{", "not_json"),
        (GOOD + b"}", "not_json"),
        (b"\xff\xfe", "not_json"),
        (GOOD.replace(b"ann", b"\xff"), "not_json"),
        (GOOD.replace(b'"type"', b'"skipped":"\xff","type"'), "not_json"),
        (GOOD.replace(b"ann", b"\\ud800"), "not_json"),
        (GOOD.replace(b'"type"', b'"deep":' + b"[" * 100_000 + b"]" * 100_000 + b',"type"'), "not_json"),
        (b"[1]", "not_an_object"),
        (b"12", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "unknown_format"),
        (b'{"type":"com.example.event"}', "unknown_format"),
        (GOOD.replace(b'"ann"', b"9" * 5000), "wrong_type"),
        (GOOD.replace(b"ann", b"a" * 257), "wrong_type"),
        (GOOD.replace(b"page", b"track"), "missing_field"),
        (GOOD.replace(b"ann", b"null"), "no_identity"),
        (GOOD.replace(b"2026", b"1926"), "bad_time"),
        (padded(RECORD_BYTES_MAX + 1), "too_large"),
    ],
)
def test_each_fault_has_its_reason_and_its_coordinates(raw: bytes, reason: str) -> None:
    """
    A rejection names the record's place, keeps all of it, and does not disturb its neighbours. What is over the limit
    a file's source has cut.
    """
    decoded = decode(GOOD, raw, GOOD)
    assert [event.position for event in decoded.events] == [5, 7]
    (bad,) = decoded.rejected
    assert bad == Rejected(bad.reason, bad.detail, "p", 6, raw, is_cut=reason == "too_large")
    assert bad.reason == reason
    assert bad.detail


def test_a_record_of_exactly_the_limit_passes() -> None:
    """
    1 MiB is let in, one byte more is not.
    """
    assert len(decode(padded(RECORD_BYTES_MAX)).events) == 1


@pytest.mark.parametrize(
    ("format_", "raw", "reason"),
    [
        ("segment", b'{"kind":"page_viewed"}', "missing_field"),
        ("canonical", GOOD, "missing_field"),
        ("auto", b'{"type":null,"kind":null}', "unknown_format"),
    ],
)
def test_a_told_format_is_the_only_one_tried(format_: Format, raw: bytes, reason: str) -> None:
    """
    A record in another format lacks what tells the told one.
    """
    assert [bad.reason for bad in decode(raw, format=format_).rejected] == [reason]


def test_a_mixed_stream_keeps_its_order() -> None:
    """
    With "auto" each record is read in its own format.
    """
    ours = b'{"kind":"searched","occurred_at":1772366400000,"anonymous_id":"ben"}'
    found = decode(ours, GOOD, ours).events
    assert [(event.kind, event.position) for event in found] == [
        ("searched", 5),
        ("page_viewed", 6),
        ("searched", 7),
    ]
    assert event_times([ours, GOOD, b"", ours]) == [NOON, NOON, None, NOON]


# --- anything at all ----------------------------------------------------------------------------------------

names = st.sampled_from([*sorted(KIND_OF)[::3], "Wheel Spun", ""])
short = st.text(max_size=12)
identifiers = short | st.sampled_from(["ann", "null", "0", "00-00", " u1 ", "a@b.example", "+49 151"])
amounts = st.floats(0, 1e6) | st.integers(0, 10**6)
sane = st.datetimes(datetime(2019, 1, 1), datetime(2029, 1, 1))  # noqa: DTZ001 - the Z is added to the text
moments = (sane | sane | st.datetimes()).map(lambda when: f"{when.isoformat()}Z") | st.sampled_from(
    ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00.123456789Z", "2026-03-01T12:06:00.5+02:00"]
)


def value_of(field_type: object) -> st.SearchStrategy[Any]:
    """Values that a field of the type takes without being put right, null among them."""
    if field_type in VALUES:
        return VALUES[field_type]
    words_or_struct = field_type.__args__[0]  # type: ignore[attr-defined]
    if isinstance(words_or_struct, type) and issubclass(words_or_struct, msgspec.Struct):
        return st.none() | object_of(words_or_struct)
    return st.sampled_from(words_or_struct.__args__)


def object_of(struct: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of the fields of `struct`."""
    optional = {field.encode_name: value_of(field.type) for field in msgspec.structs.fields(struct)}
    return st.fixed_dictionaries({}, optional=optional)


VALUES: dict[Any, st.SearchStrategy[Any]] = {
    fields.Text: st.none() | short,
    fields.Identifier: st.none() | identifiers,
    fields.Identifiers: st.none() | st.lists(identifiers, max_size=3),
    fields.MessageId: st.none() | st.text(min_size=1, max_size=12),
    fields.SessionId: st.none() | st.integers(0, 1 << 62) | short,
    fields.Amount: st.none() | amounts,
    fields.Flag: st.none() | st.booleans(),
    fields.Moment: st.none() | moments,
    fields.MomentOrMs: st.none() | moments | st.integers(0, 1 << 62),
    fields.Consents: st.none() | st.dictionaries(short, st.booleans(), max_size=3),
}
VALUES[fields.Products] = st.none() | st.lists(object_of(fields.Product), max_size=3)

calls = st.builds(
    dict.__or__,
    object_of(segment_call.ClientCall),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["track", "page", "identify"]), "event": names, "timestamp": moments},
        optional={"anonymousId": st.just("ann"), "context": object_of(segment_call.ClientContext)},
    ),
)
records = st.builds(
    dict.__or__,
    object_of(Record),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(sorted(KINDS)), "occurred_at": moments}, optional={"user_id": st.just("u1")}
    ),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | moments,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(short, inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    [field.encode_name for struct in (segment_call.Call, Record) for field in msgspec.structs.fields(struct)]
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A good record with fields of any type, then bytes cut out, put in or changed."""
    told = draw(calls | records)
    inside = [value for value in told.values() if isinstance(value, dict) and value]
    for target in [told, *inside]:
        for key in draw(st.lists(st.sampled_from(sorted(target)) | keys, max_size=2)):
            target[key] = draw(anything)
    raw = msgspec.json.encode(told)
    if draw(st.booleans()):
        start = draw(st.integers(0, len(raw)))
        raw = raw[:start] + draw(st.binary(max_size=4)) + raw[start + draw(st.integers(0, 4)) :]
    return raw


records_of_any_kind = st.binary(max_size=60) | anything.map(msgspec.json.encode) | spoilt()


@settings(max_examples=FUZZ_EXAMPLES)
@pytest.mark.timeout(0)  # a long run is asked for with NEXTMOVE_FUZZ_EXAMPLES
@given(
    raws=st.lists(records_of_any_kind, min_size=1, max_size=3),
    read_at=st.none() | st.integers(NOON - 400_000, NOON + 400_000),
    format_=st.sampled_from(["auto", "auto", "segment", "canonical"]),
)
@example(
    raws=[b'{"type":"page"', b'{"type":"page","timestamp":"9999-12-31T23:59:59Z"}'],
    read_at=None,
    format_="auto",
)
def test_every_record_comes_out_once_whatever_it_is(raws: list[bytes], read_at: int | None, format_: Format) -> None:
    """
    No exception; each record is events or rejections, in order; the quick look at the time agrees.
    """
    decoded = decode_batch(raws, partition="p", first_position=5, read_at=read_at, format=format_)
    accepted = [event.position for event in decoded.events]
    refused = [bad.position for bad in decoded.rejected]
    assert accepted == sorted(accepted)
    assert {*accepted, *refused} == set(range(5, 5 + len(raws)))
    assert {bad.reason for bad in decoded.rejected} <= REASONS
    times = event_times(raws, read_at=read_at, format=format_)
    earliest: dict[int, int] = {}
    for event in decoded.events:
        earliest[event.position] = min(event.at, earliest.get(event.position, event.at))
    assert {position: times[position - 5] for position in accepted} == earliest
    # What is accepted can be sent on: no number beyond 64 bits, no text that is no text.
    sent = msgspec.msgpack.encode([event.pack() for event in decoded.events])
    assert [unpack(row) for row in msgspec.msgpack.decode(sent)] == decoded.events


@settings(max_examples=FUZZ_EXAMPLES // 4)
@given(told=calls)
def test_both_readings_of_a_good_call_are_the_same(told: dict[str, Any]) -> None:
    """
    What the typed decoder takes, the lenient one reads field by field as the same call.
    """
    raw = msgspec.json.encode(told)
    typed = msgspec.json.decode(raw, type=segment_call.ClientCall)
    assert fields.converter(segment_call.ClientCall)(fields.json_object(raw)) == typed


@settings(max_examples=FUZZ_EXAMPLES // 4)
@given(told=records)
def test_both_readings_of_a_good_record_are_the_same(told: dict[str, Any]) -> None:
    """
    The same for our own format.
    """
    raw = msgspec.json.encode(told)
    typed = msgspec.json.decode(raw, type=Record)
    assert fields.converter(Record)(fields.json_object(raw)) == typed
