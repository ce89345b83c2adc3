"""What can be set of Kafka: where it is, what is read, how it is written to."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from config.durations import HOUR, SECOND
from config.section import Section
from config.shown import shown

EPOCH: Final = datetime.fromtimestamp(0, UTC)
START: Final = "earliest, latest or an instant from 1970 on with its offset, such as 2026-11-20T08:00:00Z"

_EXACTNESS: Final = "exactness depends on it; leave it out"
REFUSED: Final = {
    "bootstrap.servers": "use kafka.servers",
    "metadata.broker.list": "use kafka.servers",  # librdkafka's other name for it
    "group.id": "use kafka.group",
    "enable.auto.commit": _EXACTNESS,
    "auto.commit.enable": _EXACTNESS,  # as above
    "enable.auto.offset.store": _EXACTNESS,
    "auto.offset.reset": f"{_EXACTNESS}: kafka.start says where to begin",
    "enable.idempotence": _EXACTNESS,
    "enable.partition.eof": _EXACTNESS,
    "transactional.id": _EXACTNESS,
    "partitioner": "records are put where Kafka's own hash of the profile id puts them",
    "sasl.username": "use kafka.username",
    "sasl.password": "use kafka.password",
}
"""Settings of librdkafka that are not `client`'s to say, and what to do instead."""

Topic = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"^[!-~]+\Z")]
ClientKey = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=r"^[a-z0-9.]+\Z", description="of a-z, 0-9 and .")
]


class KafkaSettings(Section, frozen=True, kw_only=True):
    """Where Kafka is, which topics are read, and how what is published is sent."""

    servers: Annotated[str, Meta(min_length=0, max_length=4_096, pattern=r"^[!-~]*\Z")] = ""
    """Brokers to begin with, host:port,host:port; the others are learnt from them. Empty: no Kafka."""
    topics: Annotated[tuple[Topic, ...], Meta(min_length=1, max_length=1_000)] = ("cx.events.v1",)
    """Topics to read; one that begins with ^ is a regular expression."""
    group: Annotated[str, Meta(min_length=1, max_length=249, pattern=r"^[!-~]+\Z")] = "nextmove"
    """Consumer group to which offsets are committed, for tools that show lag; nothing is read from it."""
    start: Annotated[str, Meta(description=START)] = "earliest"
    """Where a partition without a checkpoint begins; `start_at` is the same for programs."""
    discover_ms: Annotated[int, Meta(ge=SECOND, le=HOUR)] = 30 * SECOND
    """How often new topics and partitions are looked for: each time costs the broker an answer on all topics."""
    prefix: Annotated[
        str,
        Meta(min_length=0, max_length=200, pattern=r"^[A-Za-z0-9._-]*\Z", description="letters, digits, dots, _ and -"),
    ] = "cx."
    """What names of output topics begin with: cx.sessions.v1. Kafka allows 249 characters for the whole."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "zstd"
    """How what is published is packed."""
    linger_ms: Annotated[int, Meta(ge=0, le=SECOND)] = 1
    """How long the producer waits for more to send together: librdkafka's default."""
    queue_max: Annotated[int, Meta(ge=1_000, le=10_000_000)] = 100_000
    """Messages that wait for the broker at most; beyond it the flow waits. librdkafka's default."""
    username: Annotated[str, Meta(min_length=0, max_length=1_024)] = ""
    """SASL login; which mechanism is `client`'s to say."""
    password: Annotated[str, Meta(min_length=0, max_length=4_096)] = ""
    """Its secret, shown to nobody. Some brokers take a token of some kilobytes."""
    client: dict[ClientKey, str | int | float | bool] = msgspec.field(default_factory=dict)
    """Any of librdkafka's settings, for consumer and producer alike, save those in `REFUSED`."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, with the reason."""
        for topic in self.topics:
            if topic.startswith("^"):
                try:
                    re.compile(topic)
                except (re.error, OverflowError, RecursionError) as error:
                    raise ValueError(
                        f"kafka.topics has {shown(topic)} but what begins with ^ must be a regular expression: {error}"
                    ) from None
        _ = self.start_at
        for key in self.client:
            if key in REFUSED:
                raise ValueError(f"kafka.client has {key}: {REFUSED[key]}")
        if self.password and not self.username:
            raise ValueError("kafka.password is set but kafka.username is not: a login needs both")

    @property
    def start_at(self) -> Literal["earliest", "latest"] | int:
        """Where a partition without a checkpoint begins; an instant is in ms."""
        match self.start:
            case "earliest" | "latest" as word:
                return word
        at: datetime | None = None
        with contextlib.suppress(msgspec.ValidationError):
            at = msgspec.convert(self.start, Annotated[datetime, Meta(tz=True)])
        if at is None or at < EPOCH:  # to Kafka negative instants mean something else
            raise ValueError(f"kafka.start is {shown(self.start)} but must be {START}")
        return (at - EPOCH) // timedelta(milliseconds=1)

    def for_librdkafka(self) -> dict[str, str]:
        """Return `client` and the login as librdkafka takes them: all of it text, true and false in small letters."""
        login = {"sasl.username": self.username, "sasl.password": self.password} if self.username else {}
        texts = {
            key: ("true" if value else "false") if isinstance(value, bool) else str(value)
            for key, value in self.client.items()
        }
        return texts | login
