"""Looking through dead letters, and feeding back what they hold.

Both read all that there is: a note that a letter was fed back comes after the letter. Of what is read only ids stay in
memory, so there may be as many letters as a topic holds. After a crash a run publishes letters again, with the same
id: each counts once.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from connectors.dead_letter import Letter, Original, ReplayedLetter, fed_back, fixed, original
from connectors.dead_letter_files import LineFile, is_line, line_of
from connectors.kafka_client import split
from connectors.kafka_dead_letters import Feed, Originals, Outgoing, RefusedError
from operators.event import rfc3339
from operators.rejected import Reason
from pipeline.tally import TOPIC_PARTITION, source_of

# What goes out together: little enough that readers do not wait for it.
CHUNK_LETTERS: Final = 500
CHUNK_BYTES: Final = 8 << 20


class Store(Protocol):
    """Where letters are."""

    name: str
    unreadable: int

    def told(self) -> Iterator[Letter | ReplayedLetter]:
        """Return letters, and notes of those that were fed back."""


class NotedStore(Store, Protocol):
    """One whose notes do not go out with the records."""

    def note(self, replayed: Sequence[ReplayedLetter]) -> None:
        """Note that letters were fed back."""


class Wanted(NamedTuple):
    """Which letters are meant: by reason, by source, and those rejected at `since` (RFC 3339) or later."""

    reason: Reason | None = None
    source: str | None = None
    since: str = ""

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is one of them."""
        told = letter.told
        return (
            (self.reason is None or told.reason == self.reason)
            and (self.source is None or source_of(told.partition) == self.source)
            and told.rejected_at >= self.since
        )


class Group(NamedTuple):
    """What letters are counted by."""

    source: str
    stage: str
    reason: str


@dataclass
class Survey:
    """What there is: letters by group, how many of these were fed back, and how many had been fed back before."""

    letters: Counter[Group] = field(default_factory=Counter)
    fed_back: Counter[Group] = field(default_factory=Counter)
    rejected_again: Counter[Group] = field(default_factory=Counter)
    latest: list[Letter] = field(default_factory=list)
    """The latest, in the order in which they were rejected."""
    times: Counter[str] = field(default_factory=Counter)
    """How often a letter was fed back, by its id."""


def survey(store: Store, wanted: Wanted, limit: int) -> Survey:
    """Look through all letters, and keep the latest `limit`."""
    found, groups = Survey(), dict[str, Group]()
    known: dict[Group, Group] = {}
    latest: list[tuple[str, int, Letter]] = []
    for one in store.told():
        if isinstance(one, ReplayedLetter):
            found.times[one.letter_id] += 1
        elif wanted.takes(one) and one.id not in groups:
            told = one.told
            group = Group(source_of(told.partition), told.stage, told.reason)
            groups[one.id] = group = known.setdefault(group, group)
            found.letters[group] += 1
            found.rejected_again[group] += told.replays > 0
            heapq.heappush(latest, (told.rejected_at, len(groups), one))
            if len(latest) > limit:
                heapq.heappop(latest)
    for id_ in found.times.keys() & groups.keys():
        found.fed_back[groups[id_]] += 1
    found.latest = [letter for _, _, letter in sorted(latest)]
    return found


class Way(Protocol):
    """How records go back."""

    def place(self, letter: Letter) -> str:
        """Name where the record of a letter goes; "" where it cannot go this way."""

    def unfit(self, record: Original) -> str:
        """Say why a record cannot go this way; "" where it can."""

    def take(self, chunk: Sequence[tuple[str, Letter, Original, ReplayedLetter]]) -> dict[str, str]:
        """Send records, each with its place; return why some were refused, by the ids of their letters."""

    def finish(self) -> None:
        """End well."""


class DryWay:
    """Goes nowhere, by the rules of another way."""

    def __init__(self, place: Callable[[Letter], str], unfit: Callable[[Original], str] = lambda _: "") -> None:
        """Take those rules."""
        self.place, self.unfit = place, unfit

    def take(self, chunk: Sequence[tuple[str, Letter, Original, ReplayedLetter]]) -> dict[str, str]:  # noqa: ARG002 -- as a way has it
        """Send nothing."""
        return {}

    def finish(self) -> None:
        """Do nothing."""


class FileWay:
    """Writes records to a new file; they are noted when that is whole."""

    def __init__(self, name: str, file: LineFile, note: Callable[[Sequence[ReplayedLetter]], None]) -> None:
        """Write to `file`, which is to be called `name`."""
        self._name, self._file, self._note = name, file, note
        self._notes: list[ReplayedLetter] = []

    def place(self, letter: Letter) -> str:  # noqa: ARG002 -- as a way has it
        """Return the file."""
        return self._name

    def unfit(self, record: Original) -> str:
        """Say that a record is no line."""
        return unfit_for_lines(record)

    def take(self, chunk: Sequence[tuple[str, Letter, Original, ReplayedLetter]]) -> dict[str, str]:
        """Write records."""
        for _, _, record, note in chunk:
            self._file.add(record.value)
            self._notes.append(note)
        return {}

    def finish(self) -> None:
        """Give the file its name, then note what is in it: who is killed in between finds the file in the way."""
        if not self._notes:
            return
        self._file.finish()
        for start in range(0, len(self._notes), CHUNK_LETTERS):
            self._note(self._notes[start : start + CHUNK_LETTERS])


class TopicWay:
    """Sends records to topics: to the partition that they came from, or by key to another topic."""

    def __init__(
        self,
        feed: Feed,
        place: Callable[[Letter], str],
        note: Callable[[Sequence[ReplayedLetter]], None] | None = None,
    ) -> None:
        """Send by `feed`, with the notes, or where they have a place of their own by `note`."""
        self._feed, self.place, self._note = feed, place, note

    def unfit(self, record: Original) -> str:  # noqa: ARG002 -- as a way has it
        """Take all."""
        return ""

    def take(self, chunk: Sequence[tuple[str, Letter, Original, ReplayedLetter]]) -> dict[str, str]:
        """Send records; where one is refused find out which."""
        records = [self._outgoing(topic, letter, record, note) for topic, letter, record, note in chunk]
        notes = [one.note for one in records]
        try:
            self._feed.send(records, [] if self._note else notes)
        except RefusedError as error:
            if len(chunk) == 1:
                return {chunk[0][1].id: f"refused by the brokers: {error}"}
            half = len(chunk) // 2
            return self.take(chunk[:half]) | self.take(chunk[half:])
        if self._note:
            self._note(notes)
        return {}

    def finish(self) -> None:
        """Do nothing: each chunk is sent when it is taken."""

    def _outgoing(self, topic: str, letter: Letter, record: Original, note: ReplayedLetter) -> Outgoing:
        partition = -1
        if TOPIC_PARTITION.fullmatch(letter.told.partition):
            source, number = split(letter.told.partition)
            if source == topic and number < self._feed.partitions[topic]:
                partition = number
        return Outgoing(record, topic, partition, note)


def own_topic(there: Mapping[str, int], internal: str, to: str = "") -> Callable[[Letter], str]:
    """Return what names the topic that a letter's record goes back to: the one that it is from, or `to`.

    What lies between shards, in the topic `internal`, is no record of a source: nobody would take it in again.
    """

    def place(letter: Letter) -> str:
        source = source_of(letter.told.partition) if TOPIC_PARTITION.fullmatch(letter.told.partition) else ""
        topic = "" if source == internal else to or source
        return topic if topic in there else ""

    return place


def unfit_for_lines(record: Original) -> str:
    """Say why a record cannot be a line of a file; "" where it can."""
    return "" if is_line(record) else "blank or of several lines, which a line of a file cannot be"


@dataclass
class Report:
    """What became of the letters that were meant."""

    fed: Counter[str] = field(default_factory=Counter)
    """Those that were fed back, by where to."""
    again: int = 0
    """Those of them that had been fed back before."""
    before: int = 0
    """Those that were left out, for they had been fed back before."""
    left: Counter[str] = field(default_factory=Counter)
    """Those that cannot be fed back, by why."""


class Replay:
    """One replay."""

    def __init__(self, way: Way, originals: Originals | None, now: Callable[[], int]) -> None:
        """Send by `way`; what a letter holds the head of only is in the topics of `originals`."""
        self._way, self._originals, self._now = way, originals, now
        self._chunk: list[tuple[str, Letter, Original, ReplayedLetter]] = []
        self._bytes = 0
        self.report = Report()

    def run(self, store: Store, wanted: Wanted, *, limit: int | None = None, is_again: bool = False) -> Report:
        """Feed back the letters that are meant, the first `limit` of them; `is_again`: also those that were before."""
        times = Counter(one.letter_id for one in store.told() if isinstance(one, ReplayedLetter))
        seen = set[str]()
        for one in store.told():
            if isinstance(one, ReplayedLetter) or one.id in seen or not wanted.takes(one):
                continue
            seen.add(one.id)
            if times[one.id] and not is_again:
                self.report.before += 1
                continue
            self._add(one, times[one.id])
            if self.report.fed.total() + len(self._chunk) == limit:
                break
            if len(self._chunk) == CHUNK_LETTERS or self._bytes > CHUNK_BYTES:
                self._send()
        self._send()
        self._way.finish()
        return self.report

    def _add(self, letter: Letter, times: int) -> None:
        told = letter.told
        why = fixed(told)
        place = "" if why else self._way.place(letter)
        record = None if why else original(told)
        if record is not None and told.is_cut:
            record = self._whole(letter, record.value)
        if not why and not place:
            why = f"{source_of(told.partition)} is no topic to feed back to; name another one, or a file, by --to"
        elif not why and record is None:
            why = "too large to be kept whole, and no longer to be found where it came from"
        elif record is not None and not why:
            why = self._way.unfit(record)
        if why or record is None:
            self.report.left[why] += 1
            return
        count = told.replays + times + 1
        note = ReplayedLetter(letter.id, told.cloud_event[2], place, count, rfc3339(self._now()))
        self._chunk.append((place, letter, fed_back(letter, record, count), note))
        self._bytes += len(record.value)
        self.report.again += times > 0

    def _whole(self, letter: Letter, head: bytes) -> Original | None:
        """Return the record itself, from where it was read."""
        told = letter.told
        if TOPIC_PARTITION.fullmatch(told.partition):
            originals = self._originals
            return None if originals is None else originals.record_of(told.partition, told.position, head)
        return line_of(told.partition, told.position, head)

    def _send(self) -> None:
        """Send what has come together, in the order in which it was read first."""
        chunk = sorted(self._chunk, key=lambda one: (one[1].told.partition, one[1].told.position))
        refused = self._way.take(chunk) if chunk else {}
        for place, letter, _, _ in chunk:
            why = refused.get(letter.id)
            if why is None:
                self.report.fed[place] += 1
            else:
                self.report.left[why] += 1
        self._chunk, self._bytes = [], 0
