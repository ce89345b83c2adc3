"""Records as CloudEvents 1.0 (contracts section 5): in structured mode for files, in binary mode for Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from connectors.dead_letter import DeadLetter, ReplayedLetter, dead_letter
from connectors.formats.common import PAYLOAD_BYTES_MAX
from operators.answer import Answer
from operators.attribution_record import AttributionRecord
from operators.call_record import CallRecord
from operators.cart_record import CartRecord
from operators.event import rfc3339
from operators.identity_record import IdentityRecord
from operators.ids import digest, murmur2
from operators.profile_record import ProfileRecord, Tombstone
from operators.rejected import Rejected
from operators.session_record import SessionRecord
from operators.trigger import FAMILIES, Retraction, Suppressed, Trigger

Record = (
    SessionRecord
    | CallRecord
    | CartRecord
    | Trigger
    | Retraction
    | Suppressed
    | AttributionRecord
    | IdentityRecord
    | ProfileRecord
    | Tombstone
    | Answer
    | Rejected
    | ReplayedLetter
)

Made = tuple[int, Sequence[Record]]
"""Records, and the number of the key group that has made them, -1 where none has."""

STREAMS: Final = (
    "sessions",
    "calls",
    "carts",
    "triggers",
    "suppressed",
    "attribution",
    "identity",
    "profiles",
    "answers",
    "dead_letters",
)
"""What is published, in the order of the journey: one file or topic each."""

TRIGGER_FAMILIES: Final = FAMILIES
"""Triggers of each family have a topic of their own, where a trigger that is taken back is too."""

Headers = list[tuple[str, str | bytes | None]]
"""What confluent-kafka takes; ours are bytes."""

NAMESPACE: Final = "io.nextmove."
"""What the type of every CloudEvent begins with."""
SHARED_SCHEMAS: Final[Mapping[str, str]] = {"nba": "trigger", "suppressed": "suppressed"}
"""Where many types have one schema: its name, by the type's first word. Actions are configured, records are not."""


def schema_name(type_: str) -> str:
    """Return the name of the schema of a CloudEvent's type, as its file in config/schemas has it without .json."""
    name = type_.removeprefix(NAMESPACE)
    shared = SHARED_SCHEMAS.get(name.partition(".")[0])
    return f"{shared}.{name.rpartition('.')[2]}" if shared else name


@cache
def dataschema(type_: str) -> str:
    """Return the attribute `dataschema`, which is the schema's `$id`; there are as many types as kinds of records."""
    return f"urn:nextmove:{schema_name(type_)}"


@cache
def _typed(type_: str) -> Headers:
    return [("ce_type", type_.encode()), ("ce_dataschema", dataschema(type_).encode())]


class CloudEvent(msgspec.Struct, gc=False):
    """The attributes of contracts section 5 around a record's data."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    dataschema: str
    data: Any


GROUP_HEADER: Final = "nextmove-group"
"""By which a trigger's message says in which key group it was decided: a visitor's, or that of a lead by now."""

# Of a record with its key and headers a broker takes 1 MiB by default, and librdkafka a little less.
MESSAGE_BYTES_MAX: Final = 950_000


class Message(NamedTuple):
    """A record as Kafka has it, in binary mode: attributes in headers, data as value; an empty one is a tombstone."""

    key: bytes
    value: bytes
    headers: Headers
    id: str
    caused_at: str = ""
    """From when on a trigger was to be acted upon; "" for other records."""
    family: str = ""


class _Stamp:
    """Makes of records what is published: with the instant at which they are told, where they bear it.

    `now` gives the wall-clock instant (ms).
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now

    def told(self, record: Record, at: str) -> tuple[Any, str]:
        """Return a record's data, and the instant of this batch once one has been asked for."""
        if type(record) is Trigger or type(record) is Retraction:
            at = at or rfc3339(self._now())
            record.emitted_at = at
        elif type(record) is Rejected:
            at = at or rfc3339(self._now())
            return dead_letter(record, at), at
        return record, at

    def too_large(self, data: Any, message: Message) -> DeadLetter:  # noqa: ANN401 -- a record, or a dead letter
        """Return the dead letter of a record that no topic takes: better than to stop at it for ever."""
        size = len(message.value) + len(message.key)
        detail = f"a record of {data.stream} of {size} bytes"
        id_ = digest(message.id)
        head = message.value[:PAYLOAD_BYTES_MAX]
        rejected = Rejected("too_large", detail, data.stream, 0, head, "publish", id_, is_cut=True)
        return dead_letter(rejected, rfc3339(self._now()))


class Encoder:
    """Encodes records as JSON Lines for one dataflow, whose `source` attribute they all bear."""

    def __init__(self, source: str, now: Callable[[], int]) -> None:
        """Keep the source and the clock."""
        self._source, self._stamp = source, _Stamp(now)
        self._encode = msgspec.json.Encoder().encode

    def encode(self, made: Iterable[Made]) -> dict[str, bytes]:
        """Return the lines of records by stream, in their order."""
        lines: dict[str, list[bytes]] = {}
        at = ""
        for _, records in made:
            for record in records:
                data, at = self._stamp.told(record, at)
                id_, type_, subject, time = data.cloud_event
                schema = dataschema(type_)
                event = CloudEvent("1.0", id_, self._source, type_, subject, time, "application/json", schema, data)
                lines.setdefault(data.stream, []).append(self._encode(event))
        return {stream: b"\n".join(parts) + b"\n" for stream, parts in lines.items()}


class MessageEncoder:
    """Encodes records as messages for one dataflow; they go to the parts of a `KafkaSink`.

    `partitions` says how many partitions the topic of each family of triggers has: theirs is chosen here, by Kafka's
    own hash of the key, for the sink has a part for each (design section 6).
    """

    def __init__(self, source: str, now: Callable[[], int], partitions: Mapping[str, int]) -> None:
        """Keep the source, the clock and the partitions."""
        self._stamp, self._partitions = _Stamp(now), partitions
        self.too_large: Counter[str] = Counter()
        """Records that no topic takes, by their stream: each is a dead letter instead."""
        self._encode = msgspec.json.Encoder().encode
        self._constant: Headers = [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_source", source.encode()),
        ]

    def encode(self, made: Iterable[Made]) -> dict[str, list[Message]]:
        """Return the messages of records by the sink's part, in their order."""
        parts: dict[str, list[Message]] = {}
        at = ""
        for group, records in made:
            for record in records:
                data, at = self._stamp.told(record, at)
                message = self._message(data)
                if len(message.value) + 3 * len(message.key) > MESSAGE_BYTES_MAX:
                    self.too_large[data.stream] += 1
                    data = self._stamp.too_large(data, message)
                    message = self._message(data)
                part = data.stream
                if type(data) is Trigger or type(data) is Retraction:
                    part, message = self._trigger(data, message, group)
                parts.setdefault(part, []).append(message)
        return parts

    def _trigger(self, data: Trigger | Retraction, message: Message, group: int) -> tuple[str, Message]:
        """Return the part that a trigger goes to, and its message with what a trigger's has more than others.

        What takes a trigger back goes the same way: by its key behind it, and exactly once too.
        """
        family = data.family
        message.headers.append(("ce_expirytime", data.expires_at.encode()))
        message.headers.append((GROUP_HEADER, b"%d" % group))
        part = f"{data.stream}.{family}/{murmur2(message.key) % self._partitions[family]}"
        caused_at = data.not_before if type(data) is Trigger else ""
        return part, message._replace(family=family, caused_at=caused_at)

    def _message(self, data: Any) -> Message:  # noqa: ANN401 -- a record, or the dead letter made of one
        id_, type_, subject, time = data.cloud_event
        key = subject.encode(errors="surrogatepass")
        headers: Headers = [
            *self._constant,
            ("ce_id", id_.encode(errors="surrogatepass")),
            *_typed(type_),
            ("ce_subject", key),
            ("ce_partitionkey", key),
            ("ce_time", time.encode()),
        ]
        return Message(key, b"" if type(data) is Tombstone else self._encode(data), headers, id_)


__all__ = ["STREAMS", "CloudEvent", "DeadLetter", "Encoder", "Message", "MessageEncoder", "Record"]
