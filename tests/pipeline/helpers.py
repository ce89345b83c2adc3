"""
The whole chain of steps in this process, without an engine, and made-up event logs to drive it with.

`Chain` hands items from step to step as bytewax does: what comes in one activation is grouped by key, keys in
order. `play` reads a log's partitions as a script says, with checkpoints and crashes in between, and returns
what a consumer sees at the end.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from hypothesis import strategies as st

from config.durations import DAY, HOUR, MINUTE, SECOND
from config.settings import (
    CartSettings,
    DecisionSettings,
    DuplicatesSettings,
    ProfileSettings,
    Settings,
    SourceSettings,
)
from config.visits import SessionSettings
from connectors.batches import RawBatch
from connectors.formats import event_times
from connectors.journal import Journal, Taken
from connectors.kafka_topics import EXCHANGE
from operators.event import FOREVER
from pipeline.parts import Parts
from pipeline.ports import IdentityStore
from pipeline.shards import ALONE, Shard
from pipeline.tally import Tally
from tests import journeys

ROOT: Final = Path(__file__).resolve().parents[2]
SHARED: Final = ROOT.parent / "shared"

BEGIN_AT: Final = 1_700_000_000_000
LATENESS_MS: Final = 30 * SECOND

SMALL: Final = Settings(
    key_groups=3,
    source=SourceSettings(lateness_ms=LATENESS_MS),
    session=SessionSettings(length_ms_max=3 * HOUR),
    cart=CartSettings(browse_views_min=2, age_ms_max=DAY),
    decision=DecisionSettings(
        journeys=journeys.folder(
            abandonment_cooldown="2h",
            returning_cooldown="2h",
            offer_cooldown="1h",
            declined="2h",
            offer_views=2,
            expires="1h",
            windows="2h",
        )
    ),
    profile=ProfileSettings(anonymous_retention_ms=2 * DAY, lead_retention_ms=4 * DAY, late_ms_max=12 * HOUR),
    duplicates=DuplicatesSettings(window_ms=6 * HOUR),
)
"""Few groups, so that profiles share them, and short memories, so that short logs outlive them."""

Snapshots = dict[str, dict[str, bytes]]
"""What an engine would keep: by step and key, the latest snapshot."""

Told = tuple[str, Any]
"""A published record: its stream and its CloudEvent."""


class Chain:
    """The steps of `pipeline/flow.py`, called one after the other."""

    now_at = 0
    """What the wall clock says (ms)."""

    def __init__(  # noqa: PLR0913, PLR0917 -- as the parts have it
        self,
        settings: Settings,
        partitions: Sequence[str],
        folder: Path | None = None,
        snapshots: Snapshots | None = None,
        store: IdentityStore | None = None,
        shard: Shard = ALONE,
        journal: Journal | None = None,
        control: str = "",
    ) -> None:
        """Start anew, or from `snapshots` and the changelogs in `folder`; `store` is the embedded one if none."""
        self.tally = Tally()
        self.sent: list[tuple[int, bytes]] = []
        """What has been sent to other shards, by slot."""
        here = settings, partitions, folder, self.tally, lambda: self.now_at, store
        parts = Parts(*here, shard=shard, journal=journal, control=control)
        self._parts = parts
        self._builders = {
            "calls": parts.calls,
            "resolve": parts.resolve,
            "visitors": parts.visitors,
            "gather": parts.gather,
            "profiles": parts.profiles,
        }
        self.steps: dict[str, dict[str, Any]] = {name: {} for name in self._builders}
        self._awake: set[tuple[str, str]] = set()
        for name, keys in (snapshots or {}).items():
            for key, snapshot in keys.items():
                self.steps[name][key] = self._builders[name](snapshot)

    def take(self, raws: list[RawBatch]) -> list[Told]:
        """Carry batches that come in one activation through all steps; return what is published."""
        resolved = self._step("resolve", self._step("calls", [self._parts.decode(raw) for raw in raws]))
        visited = self._step("visitors", [share for item in resolved for share in self._parts.deal(item)])
        gathered = self._step("gather", self._parts.collect(visited))
        decided = self._step("profiles", [share for item in gathered for share in self._parts.deal(item)])
        return self._published([*resolved, *visited, *decided])

    def end(self) -> list[Told]:
        """Tell all keys that the input is at its end; return what is published."""
        outputs: list[Any] = []
        for name, logics in self.steps.items():
            for key, logic in sorted(logics.items()):
                self._awake.add((name, key))
                outputs += [(key, output) for output in logic.on_eof()[0]]
        return self._published(outputs)

    def _published(self, outputs: list[Any]) -> list[Told]:
        told: list[Told] = []
        for part, published in self._parts.publish(outputs):
            if part.startswith(f"{EXCHANGE}/"):
                self.sent += [(int(part.partition("/")[2]), message.value) for message in published]
            else:
                told += [(part, msgspec.json.decode(line)) for line in published.splitlines()]
        return told

    def snapshot(self) -> Snapshots:
        """Return the snapshots of the keys that were awake since the last time."""
        found: Snapshots = {name: {} for name in self.steps}
        for name, key in sorted(self._awake):
            found[name][key] = self.steps[name][key].snapshot()
        self._awake.clear()
        return found

    def _step(self, name: str, items: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
        by_key: defaultdict[str, list[Any]] = defaultdict(list)
        for key, item in items:
            by_key[key].append(item)
        outputs: list[tuple[str, Any]] = []
        logics = self.steps[name]
        for key, values in sorted(by_key.items()):
            if key not in logics:
                logics[key] = self._builders[name](None)
            self._awake.add((name, key))
            outputs += [(key, output) for output in logics[key].on_batch(values)[0]]
        return outputs


class Read(NamedTuple):
    """One activation: (partition, lines, marked) of each batch that comes in it."""

    batches: tuple[tuple[int, int, bool], ...]


class Epoch(NamedTuple):
    """A checkpoint."""


class Crash(NamedTuple):
    """The process dies; another one goes on from the last checkpoint."""


Action = Read | Epoch | Crash


class Player:
    """Plays a log through a chain, as a script says."""

    chain_type: type[Chain] = Chain

    def __init__(
        self,
        settings: Settings,
        partitions: Mapping[str, Sequence[bytes]],
        folder: Path | None = None,
        connect: Callable[[], IdentityStore] | None = None,
        shard: Shard = ALONE,
        slots: Sequence[list[bytes]] = (),
    ) -> None:
        """`partitions` are the log's lines by the name of the file they are in; `connect` makes a process's store.

        One `shard` of several reads its partitions only; by `slots` they send each other what is the other's.
        """
        self._connect = connect
        self._settings, self._folder, self._shard, self._slots = settings, folder, shard, slots
        self._received = {slot: 0 for slot in range(len(slots)) if shard.owns_number(slot)}
        self._names = [name for name in partitions if shard.count == 1 or shard.owns_partition(name)]
        self._lines = {name: list(lines) for name, lines in partitions.items()}
        self._complete = {name: _complete(lines) for name, lines in self._lines.items()}
        self.told: list[Told] = []
        self.at = dict.fromkeys(self._names, 0)
        self._is_ended: set[str] = set()
        self._taken = 0
        self.chain = self._started({})
        self._saved: Snapshots = {name: {} for name in self.chain.steps}
        self._committed = dict(self.at), dict(self._received), 0, 0

    def play(self, script: Iterable[Action]) -> list[Told]:
        """Do what the script says, read what is left, and return all that was told, sorted."""
        for action in script:
            self.do(action)
        self.read_all()
        self.end()
        self.checkpoint()
        return sorted(self.told, key=_order)

    def do(self, action: Action) -> None:
        """Do one thing of a script."""
        if isinstance(action, Epoch):
            self.checkpoint()
        elif isinstance(action, Crash):
            self.crash()
        elif self._names:
            self.read([(self._names[p % len(self._names)], n, m) for p, n, m in action.batches])

    def read_all(self) -> None:
        """Read what is left of each partition."""
        for name in self._names:
            self.read([(name, len(self._lines[name]), True)])

    def end(self) -> None:
        """Come to the end of the input."""
        self.told += self.chain.end()

    def receive(self) -> bool:
        """Take in what other shards have sent since the last time; whether there was anything."""
        raws = []
        for slot, first in self._received.items():
            messages = self._slots[slot][first:]
            if messages:
                raws.append(RawBatch(f"{EXCHANGE}/{slot}", messages, first, is_marked=True, is_sent=True))
                self._received[slot] += len(messages)
        if raws:
            self._take(raws)
        return bool(raws)

    def read(self, batches: list[tuple[str, int, bool]]) -> None:
        """Read so many lines of each partition, all in one activation."""
        raws = [self._batch(*batch) for batch in batches if batch[0] not in self._is_ended]
        if raws:
            self._take(raws)

    def checkpoint(self) -> None:
        """End an epoch."""
        for name, keys in self.chain.snapshot().items():
            self._saved[name].update(keys)
        self._committed = dict(self.at), dict(self._received), len(self.told), self._taken

    def crash(self) -> None:
        """Lose what came after the last checkpoint, and go on from it: one of several shards just as it did before."""
        at, received, length, self._taken = self._committed
        self.at, self._received = dict(at), dict(received)
        del self.told[length:]
        self._is_ended.clear()
        del self.chain  # the dead close their files before the living open them
        self.chain = self._started(self._saved)

    def _started(self, snapshots: Snapshots) -> Chain:
        store, journal, taken = self._connect and self._connect(), None, list[Taken]()
        if self._shard.count > 1 and self._folder is not None:
            journal = Journal(self._folder, fsync=False)
            taken = journal.resume(self._taken)
        chain = self.chain_type(self._settings, self._names, self._folder, snapshots, store, self._shard, journal)
        for one in taken:
            self._again(chain, one)
        return chain

    def _again(self, chain: Chain, one: Taken) -> None:
        """Take in a batch as before."""
        name, end = one.partition, one.first_position + one.count
        if name.startswith(EXCHANGE):
            slot = int(name.partition("/")[2])
            raws, self._received[slot] = self._slots[slot][one.first_position : end], end
        else:
            raws, self.at[name] = self._lines[name][one.first_position - 1 : end - 1], end - 1
        if one.complete == FOREVER:
            self._is_ended.add(name)
        self._pass(chain, [one.batch(raws, [], is_sent=name.startswith(EXCHANGE))])

    def _take(self, raws: list[RawBatch]) -> None:
        self._pass(self.chain, raws)

    def _pass(self, chain: Chain, raws: list[RawBatch]) -> None:
        self._taken += len(raws)
        self.told += chain.take(raws)
        for slot, message in chain.sent:
            self._slots[slot].append(message)
        chain.sent.clear()

    def _batch(self, name: str, count: int, is_marked: bool) -> RawBatch:  # noqa: FBT001
        first, lines = self.at[name], self._lines[name]
        raws = lines[first : first + count]
        self.at[name] = first + len(raws)
        is_ended = self.at[name] == len(lines)
        raw = RawBatch(name, raws, first + 1, is_marked=is_marked or is_ended)
        if self._settings.source.file_watermark == "exact":
            raw.complete_before, raw.complete = self._complete[name][first], self._complete[name][self.at[name]]
        if is_ended:
            raw.complete = FOREVER
            self._is_ended.add(name)
        return raw


def _complete(lines: Sequence[bytes]) -> list[int]:
    """For each position, the instant up to which no line from there on lies; -1 where none has a time."""
    earliest = FOREVER
    complete = [-1]
    for at in reversed(event_times(lines)):
        earliest = earliest if at is None else min(earliest, at)
        complete.append(earliest - 1 if earliest < FOREVER else -1)
    return complete[::-1]


def _order(told: Told) -> tuple[str, str, bytes]:
    stream, event = told
    return stream, event["id"], msgspec.json.encode(event)


def without_coordinates(told: Iterable[Told]) -> list[Told]:
    """Leave out of dead letters where the record lay: another split into files puts it elsewhere.

    And of retractions for which event: of several the one that came first after what was sent (decision 0026).
    """
    kept = []
    for stream, event in told:
        if stream == "dead_letters":
            data = {k: v for k, v in event["data"].items() if k not in ("partition", "position")}
            kept.append((stream, {**event, "id": "", "subject": "", "data": data}))
        elif stream == "triggers" and "retracted" in event["type"]:
            kept.append((stream, {**event, "time": "", "data": {**event["data"], "cause": None, "reason": ""}}))
        else:
            kept.append((stream, event))
    return sorted(kept, key=_order)


# --- logs ---------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """A line of a log: whose it is, when it happened and when it arrived."""

    household: int
    at: int
    arrived_at: int
    raw: bytes


PAUSES: Final = (
    0,
    SECOND,
    20 * SECOND,
    30 * SECOND,
    10 * MINUTE,
    30 * MINUTE - 1,
    30 * MINUTE,
    30 * MINUTE + 1,
    31 * MINUTE,
    HOUR,
    3 * HOUR,
    DAY,
    2 * DAY + 1,
    5 * DAY,
)
ACTS: Final = (
    "view",
    "page",
    "add",
    "order",
    "identify",
    "checkout",
    "remove",
    "cart",
    "decline",
    "refuse",
    "allow",
    "mail",
    "call",
    "named",
    "sign in",
    "subscribe",
    "again",
    "broken",
)
Act = tuple[int, int, int, str, int, int]
"""Index of the pause before it, household, device, what, which of two things, index of the delay."""


def acts(*, households: int = 2, size_max: int = 30, pause_max: int = PAUSES[-1]) -> st.SearchStrategy[list[Act]]:
    """Draw what some households do."""
    return st.lists(
        st.tuples(
            st.sampled_from([index for index, pause in enumerate(PAUSES) if pause <= pause_max]),
            st.integers(0, households - 1),
            st.integers(0, 1),
            st.sampled_from(ACTS),
            st.integers(0, 1),
            st.sampled_from((0, 0, 0, SECOND, 11 * SECOND, LATENESS_MS)),
        ),
        min_size=1,
        max_size=size_max,
    )


def lines_of(done: Sequence[Act]) -> list[Line]:
    """Write down what was done, in order of happening."""
    lines: list[Line] = []
    at = BEGIN_AT
    for number, (pause, household, device, what, which, delay_ms) in enumerate(done):
        at += PAUSES[pause]
        if what == "again":
            own = [line for line in lines if line.household == household and at - line.at < HOUR]
            if own:
                lines.append(Line(household, at, at + delay_ms, own[-1].raw))
            continue
        raw = (
            b'{"broken'
            if what == "broken"
            else msgspec.json.encode(_record(number, at, household, device, what, which))
        )
        lines.append(Line(household, at, at + delay_ms, raw))
    return lines


def _record(number: int, at: int, household: int, device: int, what: str, which: int) -> dict[str, Any]:
    name = f"h{household}"
    items = [{"product_id": f"p{which}", "quantity": 1, "price": 10.0 + which, "category": f"c{which}"}]
    email, phone = f"{name}-{which}@example.com", f"+4915100000{household}{which}"
    told: dict[str, dict[str, Any]] = {
        "view": {"kind": "product_viewed", "items": items},
        "page": {"kind": "page_viewed"},
        "add": {"kind": "product_added", "items": items},
        "named": {"kind": "product_added", "items": items, "cart_id": f"{name}-cart"},
        "remove": {"kind": "product_removed", "items": items},
        "cart": {"kind": "cart_viewed", "items": items},
        "checkout": {"kind": "checkout_started", "items": items, "checkout_id": f"{name}-checkout"},
        "order": {"kind": "order_completed", "items": items, "order_id": f"o{number}", "value": 20.0},
        "identify": {"kind": "identified", "user_id": f"{name}-user", "email": email}
        | ({"phone": phone} if which else {}),
        "sign in": {"kind": "identified", "user_id": f"{name}-user"},
        "subscribe": {"kind": "identified", "email": email},
        "decline": {"kind": "offer_declined"},
        "refuse": {"kind": "consent_withdrawn", "consents": {"email": False}},
        "allow": {"kind": "consent_given", "consents": {"email": True}},
        "mail": {"kind": "email_clicked", "channel": "email", "email": email},
        "call": {"kind": "call_answered", "channel": "phone", "phone": phone},
    }
    common = {"event_id": f"e{number}", "occurred_at": at}
    if what not in ("mail", "call"):
        common |= {
            "anonymous_id": f"{name}-device-{device}",
            "channel": "app" if device else "web",
            "url": f"https://shop.example.com/{which}",
        }
    return common | told[what]


def as_arrived(lines: Sequence[Line]) -> list[Line]:
    """Sort by arrival; what arrives together keeps its order."""
    return sorted(lines, key=lambda line: line.arrived_at)


def split(lines: Sequence[Line], count: int) -> dict[str, list[bytes]]:
    """Put each household's lines into one of `count` files."""
    partitions: dict[str, list[bytes]] = {f"part-{i}": [] for i in range(count)}
    for line in lines:
        partitions[f"part-{line.household % count}"].append(line.raw)
    return partitions


def scripts(*, with_crashes: bool) -> st.SearchStrategy[list[Action]]:
    """Draw how a log is read: by batches of several sizes, several an activation, with cuts in between."""
    batch = st.tuples(st.integers(0, 2), st.integers(0, 4), st.booleans())
    read = st.lists(batch, min_size=1, max_size=3).map(lambda batches: Read(tuple(batches)))
    if not with_crashes:
        return st.lists(read, max_size=20)
    cut = st.sampled_from((Epoch(), Crash()))
    return st.lists(st.one_of(read, read, cut), max_size=25)


def reference(settings: Settings, lines: Sequence[Line]) -> list[Told]:
    """What a log yields that is one file and read in one batch."""
    return Player(settings, split(lines, 1)).play([])
