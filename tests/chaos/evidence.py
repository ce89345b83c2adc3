"""
What the auditor goes by: the log of what was sent, the topics as a plain consumer reads them, and a quiet run.

Of millions of records it keeps what is audited and no more: a hash of each line that came in, and of each record that
was published the fields that a consumer goes by.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from config.load import describe
from connectors.formats import decode_batch
from connectors.kafka_sink import header
from operators.ids import murmur2
from tests.chaos.rules import Rules
from tests.chaos.stage import PARTITIONS, Job, run_ours

READ_S_MAX: Final = 900.0
ALIASES: Final = {"dlq": "dead_letters"}


class Seen(msgspec.Struct, kw_only=True, gc=False):
    """A published record: its id, and when it was there (s since the epoch)."""

    id: str = msgspec.field(default="", name="ce_id")
    seen_at: float = 0.0


class Session(Seen, gc=False):
    """A visit, in one of its revisions."""

    session_id: str
    visitor_id: str
    profile_id: str
    channel: str
    state: str
    started_at: str
    ended_at: str
    events: int
    revision: int


class Cart(Seen, gc=False):
    """A change of a cart."""

    cart_id: str
    visitor_id: str
    changed_at: str
    state: str
    intent: str
    value: float


class Cause(msgspec.Struct, gc=False, frozen=True):
    """What a trigger is about."""

    type: str
    id: str
    time: str
    event_id: str


class By(msgspec.Struct, gc=False, frozen=True):
    """The rule that it was decided by, and the book that all rules made then."""

    id: str
    version: int
    book: str


class Trigger(Seen, gc=False):
    """What is to be done next for somebody, or is to be done no more: that has a reason and no devices."""

    action: str
    profile_id: str
    cause: Cause
    rule: By
    anonymous_ids: list[str] = []
    reason: str = ""


class Suppressed(Seen, gc=False):
    """What is not to be done."""

    rule: By


class Link(Seen, gc=False):
    """What became known of who is who."""

    what: str
    profile_id: str
    identifier_type: str
    identifier: str
    other_profile_id: str
    aliases: list[str] = []
    sessions: list[str] = []
    left_behind: int = 0

    @property
    def link(self) -> tuple[str, str, str, str]:
        """What it says, whichever event it was learnt from."""
        if self.what == "stitched":
            brought = f"{self.aliases} {sorted(self.sessions)} {self.left_behind}"
            return self.what, self.profile_id, self.other_profile_id, brought
        return self.what, self.profile_id, self.identifier_type, self.identifier


class Letter(Seen, gc=False):
    """A record that was rejected, by where it lies."""

    partition: str
    position: int


TYPES: Final[dict[str, type[Seen]]] = {
    "triggers": Trigger,
    "sessions": Session,
    "carts": Cart,
    "suppressed": Suppressed,
    "identity": Link,
    "dead_letters": Letter,
}
_DECODERS: Final = {stream: msgspec.json.Decoder(type_) for stream, type_ in TYPES.items()}


@dataclass
class Told:
    """What was published."""

    triggers: list[Trigger] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    carts: list[Cart] = field(default_factory=list)
    suppressed: list[Suppressed] = field(default_factory=list)
    identity: list[Link] = field(default_factory=list)
    dead_letters: list[Letter] = field(default_factory=list)

    def take(self, stream: str, id_: str, data: bytes | msgspec.Raw, seen_at: float = 0.0) -> None:
        """Keep a record of a stream, if it is audited."""
        if stream in _DECODERS:
            record = _DECODERS[stream].decode(data)
            record.id, record.seen_at = id_, seen_at
            getattr(self, stream).append(record)


@dataclass
class Expected:
    """What a run from file to file says of the log."""

    triggers: dict[str, Trigger] = field(default_factory=dict)
    """By id."""
    links: set[tuple[str, str, str, str]] = field(default_factory=set)
    ids: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Of the other streams, the ids."""

    def take(self, stream: str, id_: str, data: bytes | msgspec.Raw) -> None:
        """Keep what a record says that another run must say too."""
        if stream == "triggers":
            self.triggers[id_] = msgspec.json.decode(data, type=Trigger)
        elif stream == "identity":
            self.links.add(msgspec.json.decode(data, type=Link).link)
        else:
            self.ids[stream].add(id_)


class Log:
    """The lines of a file, as often as they are asked for."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        """Go through them."""
        with self._path.open("rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")


class Entered:
    """What came in, held against the log of what was sent."""

    def __init__(self, log: Iterable[bytes]) -> None:
        """Expect each line of the log."""
        self._log = log
        self._awaited = Counter(map(hash, log))
        self.sent = self._awaited.total()
        self.count = 0
        self.rejected: set[tuple[str, int]] = set()
        """Where the records lie that nobody can read."""
        self.strangers: list[bytes] = []
        """Records that nobody sent."""
        self.strays: list[str] = []
        """Visitors in another partition than the one that Kafka's hash of their id says."""

    def add(self, partition: str, first: int, entered: Sequence[bytes], partitions: int = 0) -> None:
        """Take in what follows one another in a partition, one of so many."""
        self.count += len(entered)
        for line in entered:
            known = hash(line)
            count = self._awaited.get(known, 0)
            if count > 1:
                self._awaited[known] = count - 1
            elif count:
                del self._awaited[known]
            else:
                self.strangers.append(line)
        decoded = decode_batch(entered, partition=partition, first_position=first, read_at=None)
        self.rejected.update((rejected.partition, rejected.position) for rejected in decoded.rejected)
        if partitions:
            number = int(partition.rpartition("/")[2])
            visitors = (event.anonymous_id for event in decoded.events)
            self.strays += [name for name in visitors if murmur2(name.encode()) % partitions != number]

    def missing(self) -> list[bytes]:
        """Return the lines of the log that did not come in."""
        if not self._awaited:
            return []
        return [line for line in self._log if hash(line) in self._awaited]


@dataclass
class Evidence:
    """All of it; the log can be gone through again and again."""

    log: Iterable[bytes]
    entered: Entered
    seen: Told
    expected: Expected


def collect(job: Job, rules: Rules) -> Evidence:
    """Read everything there is to read."""
    out = job.stage.folder / "quiet"
    config = job.stage.folder / "quiet.yaml"
    config.write_text(describe(rules.settings), encoding="utf-8")
    quietly = [sys.executable, "-m", "pipeline.cli", "run", str(job.log), "--out", str(out), "--config", str(config)]
    with ThreadPoolExecutor(1) as meanwhile:
        run = meanwhile.submit(run_ours, quietly)
        entered, seen = consumed(job)
        run.result()
    return Evidence(Log(job.log), entered, seen, written(out, Expected()))


def consumed(job: Job) -> tuple[Entered, Told]:
    """Read the topics from end to end."""
    entered, seen = Entered(Log(job.log)), Told()
    for (topic, number), messages in read(job.servers, job.ends()):
        if topic == job.topic:
            first, last = messages[0].offset() or 0, messages[-1].offset() or 0
            assert last - first + 1 == len(messages), "nothing of a topic without transactions is left out"
            values = [message.value() or b"" for message in messages]
            entered.add(f"{topic}/{number}", first, values, PARTITIONS)
            continue
        name = topic.removeprefix(f"{job.name}.").split(".")[0]
        for message in messages:
            id_, seen_at = header(message, "ce_id").decode(), message.timestamp()[1] / 1000
            seen.take(ALIASES.get(name, name), id_, message.value() or b"", seen_at)
    return entered, seen


def read(servers: str, ends: dict[str, int]) -> Iterator[tuple[tuple[str, int], list[Message]]]:
    """Yield every message of partitions, as any consumer reads them: runs of one partition."""
    ours = {"group.id": "audit", "enable.auto.commit": False, "isolation.level": "read_uncommitted"}
    consumer = Consumer({"bootstrap.servers": servers} | ours)
    left = {}
    for name, end in ends.items():
        topic, _, number = name.rpartition("/")
        if end:
            left[topic, int(number)] = end
    consumer.assign([TopicPartition(topic, number, 0) for topic, number in left])
    end_at = time.monotonic() + READ_S_MAX
    while left:
        assert time.monotonic() < end_at, f"not read to their end: {left}"
        runs: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in consumer.consume(10_000, 0.5):
            assert message.error() is None, message.error()
            runs[str(message.topic()), int(message.partition() or 0)].append(message)
        for where, messages in runs.items():
            if (messages[-1].offset() or 0) + 1 >= left.get(where, sys.maxsize):
                del left[where]
        yield from runs.items()
    consumer.close()


class _Envelope(msgspec.Struct, gc=False):
    id: str
    data: msgspec.Raw


TakerT = TypeVar("TakerT", Told, Expected)


def written(folder: Path, taker: TakerT) -> TakerT:
    """Take in what a run has written to files, and return what that makes."""
    envelope = msgspec.json.Decoder(_Envelope)
    for stream in TYPES:
        path = folder / f"{stream}.jsonl"
        for line in Log(path) if path.exists() else ():
            one = envelope.decode(line)
            taker.take(stream, one.id, one.data)
    return taker
