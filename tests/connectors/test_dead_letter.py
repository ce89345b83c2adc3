"""
What a dead letter keeps of a record: all that it takes to feed it back.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from connectors.cloudevents import MESSAGE_BYTES_MAX, MessageEncoder
from connectors.dead_letter import (
    DeadLetter,
    Letter,
    ReplayedLetter,
    dead_letter,
    fed_back,
    fixed,
    original,
    understood,
)
from connectors.formats import Format, decode_batch
from connectors.formats.common import SourceRules
from connectors.formats.rejecting import REPLAYED
from connectors.formats.requests import decode_requests
from connectors.schemas import schemas
from operators.rejected import REASONS, Rejected

AT = "2026-11-23T10:00:00.000Z"
PAGE = {"type": "page", "messageId": "m", "anonymousId": "ann", "timestamp": "2026-03-01T12:00:00Z"}


class Came:
    """What a record came with."""

    def __init__(self, key: bytes | None, headers: Sequence[tuple[str, Any]] | None) -> None:
        self._key, self._headers = key, headers

    def key(self) -> bytes | None:
        return self._key

    def headers(self) -> Sequence[tuple[str, Any]] | None:
        return self._headers


def rejected(
    raw: bytes,
    origin: Came | None = None,
    *,
    format_: Format = "auto",
    came_at: int | None = None,
    bytes_max: int = 1 << 20,
) -> list[Rejected]:
    return decode_batch(
        [raw],
        partition="shop/2",
        first_position=7,
        read_at=None,
        came_at=None if came_at is None else [came_at],
        rules=SourceRules(bytes_max),
        format=format_,
        origins=[] if origin is None else [origin],
    ).rejected


def published(letter: DeadLetter) -> Letter:
    """The letter as whoever reads the topic sees it."""
    id_, type_, _, _ = letter.cloud_event
    found = understood(id_, type_, msgspec.json.encode(letter))
    assert isinstance(found, Letter)
    return found


HEADERS = st.lists(st.tuples(st.text(max_size=10), st.none() | st.binary(max_size=20)), max_size=5)


@given(st.none() | st.binary(max_size=40), st.binary(max_size=200), HEADERS)
def test_what_goes_back_is_what_came(key: bytes | None, value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
    """
    Byte for byte, whatever the bytes: value, key, and headers in their order, several of one name and those without a
    value; only a former replay's header makes room for this one's.
    """
    told = Rejected(
        "not_json", "broken", "shop/2", 7, value, key=key, headers=tuple(headers), came_at=1_790_000_000_000
    )

    back = fed_back(letter := published(dead_letter(told, AT)), original(letter.told), 3)

    assert (back.key, back.value) == (key, value)
    *others, (name, header) = back.headers
    assert others == [(name, raw) for name, raw in headers if name != REPLAYED]
    assert name == REPLAYED
    assert msgspec.json.decode(header or b"") == {"id": letter.id, "count": 3, "came_at": 1_790_000_000_000}
    assert fixed(letter.told) == ""


def test_a_letter_has_what_its_record_came_with() -> None:
    """
    Coordinates, key, headers and when it came; without a source that knows them, none.
    """
    headers = [("trace", b"\xff"), ("trace", b"2"), ("empty", None)]

    (bad,) = rejected(b"\x80", Came(b"\x00k", headers), came_at=1_790_000_000_000)
    letter = dead_letter(bad, AT)

    assert msgspec.to_builtins(letter) == {
        "reason": "not_json",
        "detail": "JSON is malformed: invalid character (byte 0)",
        "stage": "decode",
        "partition": "shop/2",
        "position": 7,
        "part": "",
        "event_id": "",
        "payload": "gA==",
        "payload_encoding": "base64",
        "is_cut": False,
        "key": "\x00k",
        "key_encoding": "utf-8",
        "headers": [
            {"name": "trace", "value": "/w==", "encoding": "base64"},
            {"name": "trace", "value": "2", "encoding": "utf-8"},
            {"name": "empty", "value": None, "encoding": "utf-8"},
        ],
        "came_at": "2026-09-21T14:13:20.000Z",
        "rejected_at": AT,
        "replays": 0,
    }
    (bare,) = rejected(b"\x80")
    assert (bare.key, bare.headers, bare.came_at) == (None, (), None)


@pytest.mark.parametrize("came_at", [-1, 0, 1 << 62])
def test_a_time_that_is_none_is_not_told(came_at: int) -> None:
    """
    A producer may call any number its time; a letter of it is published all the same.
    """
    (bad,) = rejected(b"{", Came(None, None), came_at=came_at)
    assert dead_letter(bad, AT).came_at == ""


def test_each_part_of_a_record_has_a_letter_of_its_own() -> None:
    """
    Parts of lists in lists, the same in all but their place: by its id none is taken for another, and what goes back
    is the part.
    """
    raw = msgspec.json.encode([PAGE, {"x": 1}, [{"x": 1}, {"x": 1}], [{"x": 1}, PAGE]])

    found = rejected(raw, Came(b"k", [("h", b"v")]))

    letters = [published(dead_letter(one, AT)) for one in found]
    assert [one.told.part for one in letters] == ["1", "2.0", "2.1", "3.0"]
    assert {one.told.detail for one in letters} == {
        f"part {one.told.part}: no format claims its fields" for one in letters
    }
    assert len({one.id for one in letters}) == 4
    assert {original(one.told) for one in letters if not one.told.headers} == set()
    assert [original(one.told) for one in letters] == [(b"k", b'{"x":1}', [("h", b"v")])] * 4


@pytest.mark.parametrize(
    "raw",
    [
        b'[ {"x" : 1} ]',
        b'{"specversion": "1.0", "data": {"x" : 1}}',
        b'{"specversion": "1.0", "data": [[ {"x" : 1} ]]}',
    ],
)
def test_an_envelope_of_one_is_kept_as_it_came(raw: bytes) -> None:
    """
    Nothing else in it was accepted, so all of it goes back.
    """
    (bad,) = rejected(raw)
    assert (bad.part, bad.payload) == ("", raw)


def test_an_envelope_in_headers_is_kept_as_it_came() -> None:
    """
    Of a CloudEvent in binary mode the value is what lies in it: that goes back with its headers.
    """
    headers = [("ce_specversion", b"1.0"), ("ce_type", b"shop")]
    (bad,) = rejected(b'{"x" : 1}', Came(None, headers))
    assert (bad.part, bad.payload, [*bad.headers]) == ("", b'{"x" : 1}', headers)


def test_a_request_has_its_origin_too() -> None:
    """
    The control topic is a source as any other.
    """
    _, (bad,) = decode_requests(
        [b'{"request":"erase"}'],
        partition="cx.control.v1/0",
        first_position=3,
        came_at=[1_790_000_000_000],
        origins=[Came(b"k", [("h", b"v")])],
    )
    assert (bad.payload, bad.key, bad.headers) == (b'{"request":"erase"}', b"k", (("h", b"v"),))
    assert bad.came_at == 1_790_000_000_000


# --- limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_cut"),
    [
        (b"x" * 890_000, False),
        (b"x" * 900_000, True),
        (b"\xff" * 660_000, False),
        (b"\xff" * 680_000, True),
        (b'"' * 600_000, False),
        (b"\x01" * 600_000, False),
        (b"\x01" * 680_000, True),
    ],
)
def test_a_record_is_whole_as_long_as_a_topic_takes_its_letter(value: bytes, is_cut: bool) -> None:  # noqa: FBT001 -- as above
    """
    Near a megabyte of text, two thirds of that of anything else; beyond it the first 1,024 bytes are kept.
    """
    (bad,) = rejected(value, Came(b"k" * 100, [("h", b"v")]))
    letter = dead_letter(bad, AT)
    assert letter.is_cut == is_cut
    assert original(letter).value == (value[:1024] if is_cut else value)
    assert (original(letter).key, original(letter).headers) == (b"k" * 100, [("h", b"v")])


@given(
    st.integers(0, 1_100_000),
    st.integers(0, 1_100_000),
    st.integers(0, 1_100_000),
    st.sampled_from([b"a", b"\xff", b"\x01"]),
)
def test_a_topic_takes_every_letter(value: int, key: int, header: int, of: bytes) -> None:
    """
    However large value, key and headers are: else the letter would become one that says nothing of the record.
    """
    told = Rejected("not_json", "broken", "shop/2", 7, of * value, key=of * key, headers=(("h", of * header),))
    encoder = MessageEncoder("/test", lambda: 0, {})
    (message,) = encoder.encode([(-1, [told])])["dead_letters"]
    assert encoder.too_large.total() == 0
    assert len(message.value) + 3 * len(message.key) <= MESSAGE_BYTES_MAX
    letter = msgspec.json.decode(message.value, type=DeadLetter)
    whole = original(letter) == (of * key, of * value, [("h", of * header)])
    assert whole != letter.is_cut


@pytest.mark.parametrize("origin", [None, Came(None, None)])
def test_what_a_source_has_cut_is_told(origin: Came | None) -> None:
    """
    Of a line over the limit a file's source hands on a byte more than that; from Kafka a record comes whole.
    """
    (bad,) = rejected(b"x" * 1_025, origin, bytes_max=1_024)
    assert (bad.reason, bad.is_cut) == ("too_large", origin is None)


# --- ids ----------------------------------------------------------------------------------------------------


def test_the_same_rejection_has_the_same_id_and_others_have_others() -> None:
    """
    After a crash the same letter comes again; in a topic that was made anew another record has the coordinates.
    """
    told = Rejected("not_json", "broken", "shop/2", 7, b"{", key=b"k")
    others: list[dict[str, Any]] = [
        {"position": 8},
        {"payload": b"["},
        {"key": None},
        {"part": "0"},
        {"partition": "shop/1"},
        {"event_id": "e"},
    ]
    ids = [dead_letter(one, AT).cloud_event[0] for one in (told, *(msgspec.structs.replace(told, **o) for o in others))]
    assert dead_letter(told, "2027-01-01T00:00:00.000Z").cloud_event[0] == ids[0]
    assert len(set(ids)) == 7


# --- fed back before ----------------------------------------------------------------------------------------


def test_a_record_that_was_fed_back_says_so() -> None:
    """
    Rejected again, its letter counts the times, and when it first came; what the header does not say is not believed.
    """
    (bad,) = rejected(
        b"{", Came(None, [(REPLAYED, b'{"id":"a1","count":2,"came_at":1790000000000}')]), came_at=1_795_000_000_000
    )
    assert (bad.replays, bad.came_at) == (2, 1_790_000_000_000)
    for header in (b"", b"\xff", b"{}", b'{"id":"a1","count":0}', b'{"id":"a1","count":1,"came_at":-1}', None):
        (bad,) = rejected(b"{", Came(None, [(REPLAYED, header)]), came_at=1_795_000_000_000)
        assert (bad.replays, bad.came_at) == (0, 1_795_000_000_000)


def test_a_record_that_was_fed_back_came_when_it_first_did() -> None:
    """
    An event from the future is set to when its record was received, and that is not when it was fed back.
    """
    told = {"kind": "page_viewed", "event_id": "e", "anonymous_id": "a", "occurred_at": "2026-12-24T00:00:00Z"}
    header = b'{"id":"a1","count":1,"came_at":1790000000000}'

    def at(*headers: tuple[str, bytes]) -> int:
        (event,) = decode_batch(
            [msgspec.json.encode([told])],
            partition="shop/2",
            first_position=7,
            read_at=1_800_000_000_000,
            came_at=[1_795_000_000_000],
            origins=[Came(None, headers)],
        ).events
        return event.at

    assert at() == 1_795_000_000_000
    assert at((REPLAYED, header)) == 1_790_000_000_000


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"stage": "profile"}, "too late"), ({"stage": "publish"}, "no topic"), ({"part": "1", "is_cut": True}, "part")],
)
def test_what_is_no_record_stays(changed: dict[str, Any], word: str) -> None:
    """
    An event as it was understood, a record of ours, a part whose record would bring the others again.
    """
    letter = dead_letter(Rejected("too_late", "", "shop/2", 7, b"{}"), AT)
    assert word in fixed(msgspec.structs.replace(letter, **changed))


def test_letters_of_before_are_read() -> None:
    """
    They held the head of a record, and did not say whether that was all.
    """
    before = {
        "reason": "not_json",
        "detail": "broken",
        "stage": "decode",
        "partition": "shop/2",
        "position": 7,
        "event_id": "",
        "payload": "{",
        "payload_encoding": "utf-8",
        "rejected_at": AT,
    }
    found = understood("id", "io.nextmove.dead_letter.not_json.v1", msgspec.json.encode(before))
    assert isinstance(found, Letter)
    assert found.told.is_cut


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("io.nextmove.session.closed.v1", b"{}"),
        ("io.nextmove.dead_letter.not_json.v1", b"{}"),
        ("io.nextmove.dead_letter.not_json.v1", b"\xff"),
        ("io.nextmove.dead_letter_replayed.v1", b"[]"),
        ("", b""),
    ],
)
def test_what_is_no_letter_is_not_read_as_one(type_: str, data: bytes) -> None:
    """
    Others may write to a topic, too.
    """
    assert understood("id", type_, data) is None


@pytest.mark.parametrize(
    "changed", [{"payload_encoding": "base64", "payload": "?"}, {"came_at": "noon"}, {"came_at": "2026-11-23T10:00:00"}]
)
def test_a_letter_that_is_broken_itself_is_none(changed: dict[str, str]) -> None:
    """
    Else a replay would end at it.
    """
    letter = msgspec.to_builtins(dead_letter(Rejected("not_json", "", "shop/2", 7, b"{"), AT))
    data = msgspec.json.encode(letter | changed)
    assert understood("id", "io.nextmove.dead_letter.not_json.v1", data) is None


# --- schemas ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_each_letter_has_a_schema(reason: Any) -> None:  # noqa: ANN401 -- one of the reasons
    """
    By the type of its CloudEvent; one with another reason is not of it.
    """
    letter = dead_letter(Rejected(reason, "", "shop/2", 7, b"{", key=b"\xff", headers=(("h", None),)), AT)
    name = letter.cloud_event[1].removeprefix("io.nextmove.")
    validator = Draft202012Validator(schemas()[name])
    validator.validate(msgspec.to_builtins(letter))
    assert not validator.is_valid(msgspec.to_builtins(letter) | {"reason": "a whim"})


def test_a_note_has_a_schema() -> None:
    """
    That a letter was fed back is a record of the same topic.
    """
    note = ReplayedLetter("a1", "shop/2:7", "shop", 1, AT)
    id_, type_, subject, time = note.cloud_event
    assert (subject, time) == ("shop/2:7", AT)
    Draft202012Validator(schemas()[type_.removeprefix("io.nextmove.")]).validate(msgspec.to_builtins(note))
    assert understood(id_, type_, msgspec.json.encode(note)) == note
