"""What it costs to make an event of a record, in each format: by itself, without a source before it or a flow behind.

Records lie in `benchmarks/records/`, a file a format; Segment's calls are those of `benchmarks/traffic.py` and of the
shared generator. They are repeated until there are enough, with another telephone number every few records, for a
number is parsed once and then remembered. Each format is read twice: as its topic is set to, and found out (`auto`).

The bare loop makes objects of the same bytes and no event: msgspec of JSON, the standard library of other texts. It
runs in the same process, round by round between ours, so that the ratio holds where the machine has other work too.
CPU is that of this process, the garbage collector off as in a run of the product.
"""

from __future__ import annotations

import csv
import gc
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from benchmarks.measure import ROOT, SEED, events_file, missing_shared
from benchmarks.traffic import TrafficPlan, generate
from config.document import document
from config.mapping import rules_of
from connectors.formats import Format, decode_batch
from connectors.formats.mapping import way

SEGMENT_US_MAX: Final = 2.0
"""What an event of Segment's may cost."""

RECORDS: Final = 20_000
"""Of a format, in each round."""
BATCH: Final = 1_000
"""As many as a source hands on at a time."""
READ_AT: Final = 1_795_300_000_000
"""When they were read: later than all of them."""
SAME_NUMBER: Final = 8
"""Records in a row with one number: a call has about as many."""

FOLDER: Final = ROOT / "benchmarks" / "records"
NUMBER: Final = b"15112345678"

TRAFFIC: Final = "segment, ./benchmarks/traffic.py"
SHOP: Final = "segment, the shared generator"

Bare = Callable[[bytes], object]


def _row(raw: bytes) -> list[list[str]]:
    return list(csv.reader([raw.decode()]))


def _columns(raw: bytes) -> list[str]:
    return raw.decode().split("\t")


def _form(raw: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw.decode(), keep_blank_values=True))


JSON: Final = msgspec.json.Decoder().decode
TEXTS: Final[dict[str, Bare]] = {"asterisk_cel": _row, "snowplow_tsv": _columns, "twilio_form": _form}
"""What makes something of records that are no JSON."""

FORMATS: Final[dict[str, tuple[str, int]]] = {
    "rudderstack": ("rudderstack", 5),
    "cloudevents": ("segment", 5),
    "canonical": ("canonical", 12),
    "snowplow_tsv": ("snowplow", 3),
    "snowplow_json": ("snowplow", 3),
    "snowplow_payload": ("snowplow_payload", 4),
    "posthog": ("posthog", 5),
    "ga4": ("ga4", 5),
    "ga4_request": ("ga4", 2),
    "braze": ("braze", 4),
    "braze_request": ("braze", 4),
    "rasa": ("rasa", 2),
    "twilio_form": ("twilio", 12),
    "twilio_json": ("twilio", 12),
    "twilio_events": ("twilio", 2),
    "twilio_messages": ("twilio_messages", 5),
    "genesys": ("genesys", 12),
    "connect": ("connect", 18),
    "asterisk_cel": ("asterisk_cel", 12),
    "asterisk_ami": ("asterisk_ami", 12),
    "asterisk_ari": ("asterisk_ari", 12),
    "freeswitch": ("freeswitch", 13),
    "kamailio": ("kamailio", 19),
    "baresip": ("baresip", 3),
    "telephony": ("telephony", 11),
}
"""The files of records: the format that their topic is set to, and how many events they make."""

MAPPING: Final = "mapping"
"""A file of orders that only a mapping reads, which lies beside it."""


class Cost(msgspec.Struct, kw_only=True):
    """What the records of one kind cost, a value a round: µs of CPU an event."""

    name: str
    format: str
    records: int
    events: int
    bytes_each: float
    """Of a record."""
    bare_us: list[float] = []
    set_us: list[float] = []
    """Where the format is set."""
    auto_us: list[float] = []
    """Where it is found out; none of a mapping, which is never found out."""
    fault: str = ""

    @property
    def ratio(self) -> float:
        """How often the bare loop's cost goes into ours, the best round of each: noise only ever adds."""
        return min(self.set_us) / min(self.bare_us)


class Decode(msgspec.Struct, kw_only=True):
    """What the benchmark found."""

    costs: list[Cost]

    @property
    def faults(self) -> list[str]:
        """What came out that should not have, or did not that should have."""
        return [f"{cost.name}: {cost.fault}" for cost in self.costs if cost.fault]


class Kind(msgspec.Struct, kw_only=True):
    """Records to be decoded, and how many events they make."""

    name: str
    format: Format
    raws: list[bytes]
    events: int
    bare: Bare


def run(records: int, rounds: int, tell: Callable[[str], None]) -> Decode:
    """Decode so many records of each kind so often. `tell` hears of progress."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        costs = []
        for kind in _kinds(records, tell):
            costs.append(_cost(kind, rounds))
            found = costs[-1]
            tell(f"decode: {found.name}, {min(found.set_us):.2f} µs an event, {found.ratio:.1f} times the bare loop")
        return Decode(costs=costs)
    finally:
        if was_enabled:
            gc.enable()


def title(found: Decode) -> str:
    """Say what the table is of."""
    first = found.costs[0]
    return f"{first.records:,} records of each format to events, best (to worst) of {len(first.set_us)} rounds"


def table(found: Decode) -> list[list[str]]:
    """Lay the costs out: of each the best round and, behind it, the worst."""
    rows = [["records", "bytes", "bare loop, µs an event", "format set", "times the bare loop", "found out (auto)"]]
    for cost in found.costs:
        auto = _best(cost.auto_us) if cost.auto_us else "-"
        ratio = f"{cost.ratio:.1f}"
        rows.append([cost.name, f"{cost.bytes_each:,.0f}", _best(cost.bare_us), _best(cost.set_us), ratio, auto])
    return rows


def told(found: Decode) -> list[str]:
    """Say whether Segment's target is held, and what is wrong."""
    segment = [cost for cost in found.costs if cost.name in (TRAFFIC, SHOP)]
    said = [
        f"{cost.name}: {min(cost.set_us):.2f} µs an event, where {SEGMENT_US_MAX} is the most it may cost"
        for cost in segment
    ]
    return [*said, *found.faults]


def _best(values: list[float]) -> str:
    return f"{min(values):.2f} (to {max(values):.2f})"


def _kinds(records: int, tell: Callable[[str], None]) -> Iterator[Kind]:
    """Yield the kinds, Segment's first."""
    lines = [line.rstrip() for line in generate(TrafficPlan(events=records, visitors=max(1, records // 20), seed=SEED))]
    yield Kind(name=TRAFFIC, format="segment", raws=lines, events=len(lines), bare=JSON)
    if gone := missing_shared():
        tell(f"LEFT OUT: {gone}")
    else:
        with events_file(records).open("rb") as file:
            lines = [line.rstrip() for line in file]
        yield Kind(name=SHOP, format="segment", raws=lines, events=len(lines), bare=JSON)
    for name, (format_, events) in FORMATS.items():
        raws, copies = _repeated(name, records)
        yield Kind(name=name, format=format_, raws=raws, events=events * copies, bare=TEXTS.get(name, JSON))
    raws, copies = _repeated(MAPPING, records)
    rules = way(rules_of(document(FOLDER / f"{MAPPING}.yaml")))
    yield Kind(name=MAPPING, format=rules, raws=raws, events=copies, bare=JSON)


def _repeated(name: str, records: int) -> tuple[list[bytes], int]:
    """Return the records of a file, each so often, with another number every few of them."""
    lines = (FOLDER / f"{name}.txt").read_bytes().splitlines()
    copies = max(1, records // len(lines))
    made = islice(cycle(lines), copies * len(lines))
    return [raw.replace(NUMBER, b"151%08d" % (n // SAME_NUMBER)) for n, raw in enumerate(made)], copies


def _cost(kind: Kind, rounds: int) -> Cost:
    name = kind.format if isinstance(kind.format, str) else MAPPING
    cost = Cost(
        name=kind.name,
        format=name,
        records=len(kind.raws),
        events=kind.events,
        bytes_each=sum(map(len, kind.raws)) / len(kind.raws),
    )
    bare = kind.bare

    def make() -> int:
        for raw in kind.raws:
            bare(raw)
        return kind.events

    for _ in range(rounds):
        cost.bare_us.append(_timed(make, cost))
        cost.set_us.append(_timed(lambda: _decoded(kind.raws, kind.format, cost), cost))
        if isinstance(kind.format, str):
            cost.auto_us.append(_timed(lambda: _decoded(kind.raws, "auto", cost), cost))
    return cost


def _timed(work: Callable[[], int], cost: Cost) -> float:
    """Return the µs of CPU an event that some work took, which returns how many events it made."""
    began_s = time.process_time()
    events = work()
    took_s = time.process_time() - began_s
    if events != cost.events:
        cost.fault = cost.fault or f"{events:,} events where {cost.events:,} were to be made"
    return took_s * 1e6 / cost.events


def _decoded(raws: list[bytes], format_: Format, cost: Cost) -> int:
    events = 0
    for first in range(0, len(raws), BATCH):
        batch = raws[first : first + BATCH]
        found = decode_batch(batch, partition="bench", first_position=first, read_at=READ_AT, format=format_)
        events += len(found.events)
        if found.rejected:
            cost.fault = cost.fault or f"refused: {found.rejected[0].detail}"
    return events
