"""Dead letters: what was rejected, why, and where it lies, so that it can be found, mended and fed back.

A letter holds the record as it came: value, key and headers, byte for byte, each as text or, where it is none, in
base64. Beyond what a topic takes of it the letter `is_cut`: it holds the head of the value, and the record itself has
to be had from where it lay. That a letter was fed back is a record of its own beside it, `ReplayedLetter`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final, Literal, NamedTuple, TypeAlias

import msgspec

from connectors.formats.common import EPOCH, PAYLOAD_BYTES_MAX, milliseconds
from connectors.formats.rejecting import REPLAYED, Replayed
from operators.event import rfc3339
from operators.ids import digest
from operators.rejected import Reason, Rejected, Stage
from operators.wire import Count, Instant, MaybeInstant, Name, Ordinal

Encoding: TypeAlias = Literal["utf-8", "base64"]

LETTER: Final = "io.nextmove.dead_letter."
REPLAYED_TYPE: Final = "io.nextmove.dead_letter_replayed.v1"
"""The types of the CloudEvents that they are."""

# Of a record with its key and headers a topic takes 950,000 bytes (connectors/cloudevents.py); what is left is for the
# letter's other fields, and for its coordinates, which are its key as well.
LETTER_BYTES_MAX: Final = 900_000
# Key and headers are a record's label. Where they are as large as a record, they go before it does.
LABEL_BYTES_MAX: Final = 200_000

_encode: Final = msgspec.json.Encoder().encode


class Header(msgspec.Struct):
    """A header of the record; several may have one name."""

    name: str
    """Its name."""
    value: str | None
    """As text or, where it is none, in base64; null where it has no value."""
    encoding: Encoding
    """Which of them."""


class DeadLetter(msgspec.Struct):
    """A rejected record as published; the fields are those of `Rejected`.

    A letter of a version before this one does not say whether it is cut, and most are.
    """

    stream: ClassVar[str] = "dead_letters"

    reason: Reason
    """Why, in one word."""
    detail: str
    """What is wrong, in words, without values of the record: they may be personal."""
    stage: Stage
    """Where: a record as it was read, an event by its profile, a record of ours as it was sent."""
    partition: str
    """Where the record lies: topic/partition, or a file."""
    position: Count
    """Its offset there, or its line from 1."""
    event_id: str
    """The id of the event, where it came to be one; else ""."""
    payload: str
    """The record, as text or, where it is none, in base64."""
    payload_encoding: Encoding
    """Which of them."""
    rejected_at: Instant
    """When, by the wall clock."""
    part: str = ""
    """Of several things in one record the one that is rejected: "2", or "2.0" where envelopes lie in each other."""
    is_cut: bool = True
    """Whether `payload` is only the head of it."""
    key: str | None = None
    """The record's key as `payload` is written, null where it had none."""
    key_encoding: Encoding = "utf-8"
    """How the key is written."""
    headers: list[Header] = []
    """The record's headers, in their order."""
    came_at: MaybeInstant = ""
    """When the record came, "" where it is not known."""
    replays: Count = 0
    """How often it has been fed back."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent.

        What it holds is part of the id: a topic or file that was made anew has other records at the same coordinates.
        """
        where = self.partition, self.position, self.part
        return (
            digest("dead", *where, self.stage, self.event_id, self.key, self.payload),
            f"{LETTER}{self.reason}.v1",
            f"{self.partition}:{self.position}",
            self.rejected_at,
        )


class ReplayedLetter(msgspec.Struct):
    """Says that a dead letter was fed back."""

    stream: ClassVar[str] = "dead_letters"

    letter_id: Name
    """The letter."""
    subject: Name
    """The letter's subject: where its record lay."""
    to: Name
    """The topic or file that it was fed back to."""
    count: Ordinal
    """For the how-many-th time."""
    replayed_at: Instant
    """When, by the wall clock."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent; it lies in the partition of its letter."""
        id_ = digest("replayed", self.letter_id, self.count, self.replayed_at)
        return id_, REPLAYED_TYPE, self.subject, self.replayed_at


class Original(NamedTuple):
    """A record as it was read."""

    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes | None]]


class Letter(NamedTuple):
    """A dead letter with its id."""

    id: str
    told: DeadLetter


def dead_letter(rejected: Rejected, rejected_at: str) -> DeadLetter:
    """Return `rejected` as published at the wall-clock time `rejected_at`."""
    key, key_encoding = (None, _UTF_8) if rejected.key is None else _written(rejected.key)
    headers = [Header(name, *_header(value)) for name, value in rejected.headers]
    room = LETTER_BYTES_MAX - len(_encode([key, headers]))
    is_cut = rejected.is_cut
    if room < LETTER_BYTES_MAX - LABEL_BYTES_MAX:
        key, key_encoding, headers, room, is_cut = None, _UTF_8, [], LETTER_BYTES_MAX, True
    payload, encoding = _written(rejected.payload)
    size = len(_encode(payload))
    if size > room and encoding == "utf-8":  # text that is mostly quotes and controls takes less in base64
        payload, encoding = b64encode(rejected.payload).decode(), "base64"
        size = len(payload)
    if is_cut or size > room:
        payload, encoding = _written(rejected.payload[:PAYLOAD_BYTES_MAX])
        is_cut = True
    return DeadLetter(
        rejected.reason,
        rejected.detail,
        rejected.stage,
        rejected.partition,
        rejected.position,
        rejected.event_id,
        payload,
        encoding,
        rejected_at,
        part=rejected.part,
        is_cut=is_cut,
        key=key,
        key_encoding=key_encoding,
        headers=headers,
        came_at="" if rejected.came_at is None else rfc3339(rejected.came_at),
        replays=rejected.replays,
    )


def original(letter: DeadLetter) -> Original:
    """Return the record that a letter holds; of one that is cut the head of the value, and what else is there."""
    headers = [(one.name, None if one.value is None else _read(one.value, one.encoding)) for one in letter.headers]
    key = None if letter.key is None else _read(letter.key, letter.key_encoding)
    return Original(key, _read(letter.payload, letter.payload_encoding), headers)


def fed_back(letter: Letter, whole: Original, count: int) -> Original:
    """Return the record to feed back: as it came, with the header that says so in place of a former one."""
    told = Replayed(letter.id, count, _instant(letter.told.came_at))
    headers = [(name, value) for name, value in whole.headers if name != REPLAYED]
    return whole._replace(headers=[*headers, (REPLAYED, _encode(told))])


def understood(id_: str, type_: str, data: bytes | msgspec.Raw) -> Letter | ReplayedLetter | None:
    """Return what a record of the dead letters' topic or file is; None for what is neither, as of a later version."""
    try:
        if type_ == REPLAYED_TYPE:
            return _decode_replayed(data)
        if not type_.startswith(LETTER):
            return None
        letter = Letter(id_, _decode_letter(data))
        fed_back(letter, original(letter.told), 1)
    except (msgspec.DecodeError, ValueError, TypeError):
        return None
    return letter


def fixed(letter: DeadLetter) -> str:
    """Say why a letter cannot be fed back, whatever has been mended; "" where it can."""
    if letter.stage == "profile":
        return "an event that came too late, as it was understood, and not the record"
    if letter.stage == "publish":
        return "a record of ours that no topic takes"
    if letter.is_cut and letter.part:
        return "a part of a record, too large to be kept whole"
    return ""


_UTF_8: Final[Encoding] = "utf-8"
_decode_letter: Final = msgspec.json.Decoder(DeadLetter).decode
_decode_replayed: Final = msgspec.json.Decoder(ReplayedLetter).decode


def _written(raw: bytes) -> tuple[str, Encoding]:
    try:
        return raw.decode(), "utf-8"
    except UnicodeDecodeError:
        return b64encode(raw).decode(), "base64"


def _header(value: bytes | None) -> tuple[str | None, Encoding]:
    return (None, "utf-8") if value is None else _written(value)


def _read(text: str, encoding: Encoding) -> bytes:
    return text.encode() if encoding == "utf-8" else b64decode(text, validate=True)


def _instant(text: str) -> int | None:
    return milliseconds(datetime.fromisoformat(text) - EPOCH) if text else None
