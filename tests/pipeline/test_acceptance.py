"""
What is promised of a whole run: real events in, files out, whatever the batches, the partitions and the crashes.

The real shop's events are `../shared/data/snowplow-ecommerce`, seen from the repository.
"""

import csv
import gc
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final
from zlib import crc32

import msgspec
import pytest

from benchmarks.traffic import DAY_MS, TrafficPlan, generate
from config.load import describe
from config.settings import CheckpointSettings, Settings, SourceSettings
from config.visits import GapSettings, SessionSettings
from connectors.cloudevents import STREAMS
from connectors.formats import decode_batch, event_times
from pipeline.run import run
from tests.pipeline.helpers import ROOT, SHARED

Streams = dict[str, list[Any]]
"""What a run has published: by stream the CloudEvents, sorted, without what the wall clock said."""

SHOP: Final = SHARED / "data" / "snowplow-ecommerce"
needs_shop: Final = pytest.mark.skipif(
    not SHOP.is_dir(), reason="../shared/data/snowplow-ecommerce IS NOT THERE: Shows 2 and 3 of issue 2 are NOT tested"
)

PLAN: Final = TrafficPlan(events=20_000, visitors=1_500, seed=7, malformed_share=0.005)
DELAY_MS_MAX: Final = 30_000


@cache
def shop_lines() -> tuple[bytes, ...]:
    """The shop's 832 events as they came."""
    return tuple((SHOP / "segment_events.jsonl").read_bytes().splitlines())


@cache
def traffic_lines() -> tuple[bytes, ...]:
    """A made-up day with duplicates and malformed lines, in order of arrival."""
    return tuple(line.rstrip(b"\n") for line in generate(PLAN))


LOGS: Final = [pytest.param(shop_lines, marks=needs_shop, id="shop"), pytest.param(traffic_lines, id="traffic")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], tuple[bytes, ...]]], Streams]:
    """What a log yields in one file, at default settings: read once for all tests."""
    known: dict[Any, Streams] = {}

    def yielded(log: Callable[[], tuple[bytes, ...]]) -> Streams:
        if log not in known:
            known[log] = outcome(tmp_path_factory.mktemp("whole"), {"input": log()})
        return known[log]

    return yielded


# --- a real shop --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(whole: Callable[[Callable[[], tuple[bytes, ...]]], Streams]) -> Streams:
    """What the real shop's events yield."""
    return whole(shop_lines)


def expected_sessions() -> list[dict[str, str]]:
    """The rows of the file with what must come out."""
    with (SHOP / "expected_sessions_and_carts.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def ms(instant: str) -> int:
    """Read an instant as ms."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def highest(events: Iterable[Any], key: str) -> dict[str, Any]:
    """Give the data that counts: of each id the highest revision."""
    last: dict[str, Any] = {}
    for event in events:
        data = event["data"]
        if data["revision"] >= last.get(data[key], data)["revision"]:
            last[data[key]] = data
    return last


@needs_shop
def test_every_session_of_the_shop_is_found(shop: Streams) -> None:
    """
    63 sessions of 60 visitors with 14 orders; visitor, start, end and events as in the file, row by row.
    """
    rows = expected_sessions()
    expected = sorted(
        (
            row["anonymousId"],
            ms(row["start_event_time"]),
            ms(row["end_event_time"]),
            int(row["events"]),
            int(row["orders"]),
        )
        for row in rows
    )
    sessions = list(highest(shop["sessions"], "session_id").values())
    found = sorted(
        (s["visitor_id"], ms(s["started_at"]), ms(s["ended_at"]), s["events"], s["orders"]) for s in sessions
    )

    assert found == expected
    assert len(found) == 63
    assert len({s["visitor_id"] for s in sessions}) == 60
    assert sum(s["orders"] for s in sessions) == 14
    assert {(s["state"], s["revision"]) for s in sessions} == {("closed", 1)}


@needs_shop
def test_exactly_the_open_carts_of_the_shop_are_abandoned(shop: Streams) -> None:
    """
    8 carts by visitor and value, and no other, whatever became of them; each with one decision on its timer.
    """
    expected = sorted(
        (row["anonymousId"], float(row["open_cart_value_at_session_end"]))
        for row in expected_sessions()
        if row["open_cart_at_session_end"] == "True"
    )
    last = [c for c in highest(shop["carts"], "cart_id").values() if c["intent"] in ("cart", "checkout")]
    abandoned = [cart for cart in last if cart["state"] == "abandoned"]
    decided = Counter(
        event["data"]["cause"]["id"]
        for event in (*shop["triggers"], *shop["suppressed"])
        if event["data"]["cause"]["type"] in ("cart.timer", "checkout.timer")
    )

    assert sorted((cart["visitor_id"], cart["value"]) for cart in abandoned) == expected
    assert len(expected) == 8
    assert decided == {cart["cart_id"]: cart["abandonments"] for cart in last if cart["abandonments"]}
    assert {cart["cart_id"]: decided[cart["cart_id"]] for cart in abandoned} == {
        cart["cart_id"]: 1 for cart in abandoned
    }


@needs_shop
def test_clocks_of_the_shop_are_corrected() -> None:
    """
    For 832 of 832 events the time is receivedAt - (sentAt - originalTimestamp), to the millisecond.
    """
    decoded = decode_batch(shop_lines(), partition="", first_position=1, read_at=None)
    told = [msgspec.json.decode(line) for line in shop_lines()]

    assert decoded.rejected == []
    assert [event.at for event in decoded.events] == [
        ms(t["receivedAt"]) - (ms(t["sentAt"]) - ms(t["originalTimestamp"])) for t in told
    ]
    assert [event.at for event in decoded.events] == [ms(t["timestamp"]) for t in told]
    assert len(told) == 832


# --- the same, however it is read ---------------------------------------------------------------------------


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("batch_records", [1, 7, 5_000])
def test_batches_make_no_difference(
    tmp_path: Path,
    whole: Callable[[Callable[[], tuple[bytes, ...]]], Streams],
    log: Callable[[], tuple[bytes, ...]],
    batch_records: int,
) -> None:
    """
    Read by one, by seven and by five thousand, a log yields the same records and triggers.
    """
    settings = Settings(source=SourceSettings(batch_records=batch_records))

    assert_same(outcome(tmp_path, {"input": log()}, settings), whole(log))


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("count", [1, 3, 8])
def test_partitions_make_no_difference(
    tmp_path: Path,
    whole: Callable[[Callable[[], tuple[bytes, ...]]], Streams],
    log: Callable[[], tuple[bytes, ...]],
    count: int,
) -> None:
    """
    Split by person over one, three and eight files, a log yields the same, save where a dead letter lay.
    """
    found = outcome(tmp_path, split_by_person(log(), count), Settings(source=SourceSettings(batch_records=200)))

    assert_same(without_coordinates(found), without_coordinates(whole(log)))


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("log", "batch_records", "kills"),
    [
        pytest.param(shop_lines, 4, 20, marks=needs_shop, id="shop"),
        pytest.param(traffic_lines, 300, 6, id="traffic"),
    ],
)
def test_kills_make_no_difference(
    tmp_path: Path,
    whole: Callable[[Callable[[], tuple[bytes, ...]]], Streams],
    log: Callable[[], tuple[bytes, ...]],
    batch_records: int,
    kills: int,
) -> None:
    """
    Killed by SIGKILL time and again at random moments and resumed each time, a run over three files yields what an
    undisturbed one does: nothing is lost, nothing is there twice.
    """
    settings = Settings(
        source=SourceSettings(batch_records=batch_records), checkpoint=CheckpointSettings(interval_ms=100)
    )
    inputs = write_inputs(tmp_path, split_by_person(log(), 3))
    random = Random(f"kills {kills}")
    # Enough batches for a checkpoint, however slow the machine is, and in all too few to come to the end.
    ends = [run_and_kill(tmp_path, settings, inputs, kill_after=6 + 3 * random.random()) for _ in range(kills)]
    last, read = run_and_kill(tmp_path, settings, inputs, kill_after=None)

    assert ends == [(-signal.SIGKILL, "")] * kills, "each was killed before its end"
    assert last == 0
    assert 0 < int(read) < len(log()), "the killed ones did part of the work"
    assert_same(without_coordinates(published(tmp_path / "out")), without_coordinates(whole(log)))


def test_disorder_within_the_lateness_makes_no_difference(tmp_path: Path) -> None:
    """
    A stream whose records come up to 30 s after they happened, in any order, yields the same sessions, carts and
    decisions on timers as one in order; triggers on an event itself are the same by action, person and occasion.
    """
    settings = Settings(source=SourceSettings(batch_records=100, file_watermark="lateness"))
    random = Random("disorder")
    dated = [(at, line) for at, line in zip(event_times(traffic_lines()), traffic_lines(), strict=True) if at]
    in_order = [line for _, line in sorted(dated)]
    disordered = [line for _, line in sorted((at + random.random() * DELAY_MS_MAX, line) for at, line in dated)]

    found = outcome(tmp_path / "found", {"input": disordered}, settings)
    expected = outcome(tmp_path / "expected", {"input": in_order}, settings)

    for kind in (sessions_and_carts, decisions_on_timers, triggers_on_events):
        assert_same({kind.__name__: kind(found)}, {kind.__name__: kind(expected)})
    assert len(triggers_on_events(found)) > 100


def test_the_books_balance(tmp_path: Path) -> None:
    """
    Every record read is accepted, rejected or a duplicate; each rejected one is a dead letter with its reason,
    its place and its head.
    """
    path = tmp_path / "input"
    path.write_bytes(b"\n".join(traffic_lines()))

    tally = run(Settings(), [str(path)], tmp_path / "out").tally
    letters = [event["data"] for event in published(tmp_path / "out")["dead_letters"]]

    assert (tally.read, tally.duplicates, tally.rejected.total()) == (20_000, 200, 100)
    assert tally.accepted == 20_000 - 200 - 100
    assert Counter(letter["reason"] for letter in letters) == tally.rejected
    assert len({letter["position"] for letter in letters}) == 100
    for letter in letters:
        line = traffic_lines()[letter["position"] - 1]
        assert letter["partition"] == str(path)
        assert letter["payload_encoding"] == "base64" or line.decode().startswith(letter["payload"])


def test_a_run_leaves_no_cycles_to_be_collected(tmp_path: Path) -> None:
    """
    What it makes is freed as it goes: twenty times the events leave no more garbage, so none is looked for meanwhile.
    """
    found = []
    for count in (1_000, 20_000):
        path = tmp_path / f"input-{count}"
        path.write_bytes(b"\n".join(traffic_lines()[:count]))
        gc.collect()
        gc.disable()
        run(Settings(), [str(path)], tmp_path / f"out-{count}", recovery=tmp_path / f"state-{count}")
        found.append(gc.collect())
        gc.enable()
    assert found[1] <= found[0] + 10


def test_a_month_is_replayed_in_seconds(tmp_path: Path) -> None:
    """
    Thirty days of few events close their sessions and fire their timers by event time, without waiting for any.
    """
    plan = TrafficPlan(events=3_000, visitors=200, seed=3, days=30, duplicate_share=0.0)
    path = tmp_path / "input"
    path.write_bytes(b"".join(generate(plan)))

    result = run(Settings(), [str(path)], tmp_path / "out")
    sessions = highest(published(tmp_path / "out")["sessions"], "session_id").values()
    days = {ms(session["started_at"]) // DAY_MS for session in sessions}

    assert result.seconds < 5
    assert len(days) == 30
    lines = path.read_bytes().splitlines()
    assert len(lines) == 3_000
    assert sum(session["events"] for session in sessions) == sum(b'"channel":"email"' not in line for line in lines)


def test_a_silent_pipe_lets_a_due_timer_fire(tmp_path: Path) -> None:
    """
    One event, then silence: the session of one second is closed within 1.5 s of its instant, while the pipe is open.
    """
    settings = Settings(source=SourceSettings(lateness_ms=0), session=SessionSettings(gap=GapSettings(web_ms=1_000)))
    pipe, sessions = tmp_path / "pipe", tmp_path / "out" / "sessions.jsonl"
    os.mkfifo(pipe)
    with started(tmp_path, settings, [str(pipe)]) as process, pipe.open("wb", buffering=0) as writer:
        at = time.time()
        record = {"kind": "page_viewed", "anonymous_id": "anna", "occurred_at": round(at * 1000)}
        writer.write(msgspec.json.encode(record) + b"\n")
        while time.time() < at + 10 and not (sessions.exists() and sessions.stat().st_size):
            time.sleep(0.01)
        closed_after_s = time.time() - at
        is_running = process.poll() is None

    assert 1.0 <= closed_after_s <= 2.5
    assert is_running
    assert process.returncode == 0
    assert [event["data"]["events"] for event in published(tmp_path / "out")["sessions"]] == [1]


# --- running ------------------------------------------------------------------------------------------------


RUNNER: Final = """
import os, signal, sys, threading, time
from pathlib import Path
from config.load import load
from connectors.file_source import FilePartition
from pipeline.run import run

config, out, recovery, kill_after, *inputs = sys.argv[1:]
read = FilePartition.next_batch
left = float(kill_after or "inf")


def read_slowly(part):
    global left
    if 0 <= left < 1:
        timer = threading.Timer(left * 0.025, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    left -= 1
    time.sleep(0.025 if kill_after else 0)
    return read(part)


FilePartition.next_batch = read_slowly
print(run(load(Path(config)), inputs, Path(out), recovery=Path(recovery)).tally.read)
"""


@contextmanager
def started(
    tmp_path: Path, settings: Settings, inputs: Sequence[str], kill_after: float | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run in a process of its own, and wait for its end; it may kill itself after so many batches, of 25 ms or more."""
    config = tmp_path / "config.yaml"
    config.write_text(describe(settings))
    folders = str(config), str(tmp_path / "out"), str(tmp_path / "recovery")
    command = [sys.executable, "-c", RUNNER, *folders, str(kill_after or ""), *inputs]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
            process.wait(60)
        finally:
            process.kill()


def run_and_kill(
    tmp_path: Path, settings: Settings, inputs: Sequence[str], kill_after: float | None
) -> tuple[int, str]:
    """Run to the end or the kill; return the exit code and how many records it says it read."""
    with started(tmp_path, settings, inputs, kill_after) as process:
        told, complaint = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), complaint
    return process.returncode, told.strip()


def write_inputs(folder: Path, partitions: Mapping[str, Sequence[bytes]]) -> list[str]:
    """Write each partition to a file; return their paths."""
    folder.mkdir(exist_ok=True)
    for name, lines in partitions.items():
        (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))
    return [str(folder / name) for name in partitions]


def outcome(folder: Path, partitions: Mapping[str, Sequence[bytes]], settings: Settings | None = None) -> Streams:
    """Run a log in this process; return what it yields."""
    inputs = write_inputs(folder, partitions)
    run(settings or Settings(), inputs, folder / "out")
    return without_partition(published(folder / "out"))


def published(out: Path) -> Streams:
    """Read what was published, without what the wall clock said."""
    streams: Streams = {}
    for stream in STREAMS:
        path = out / f"{stream}.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        streams[stream] = ordered(timeless(msgspec.json.decode(line)) for line in lines)
    return streams


def timeless(event: dict[str, Any]) -> dict[str, Any]:
    """Leave out when a record was emitted or rejected."""
    if "rejected_at" in event["data"]:
        event["time"] = ""
    event["data"] = {k: v for k, v in event["data"].items() if k not in ("emitted_at", "rejected_at")}
    return event


def without_partition(streams: Streams) -> Streams:
    """Leave out of dead letters the name of the folder that the test ran in."""
    for event in streams["dead_letters"]:
        event["id"], event["subject"] = "", ""
        event["data"]["partition"] = Path(event["data"]["partition"]).name
    return streams | {"dead_letters": ordered(streams["dead_letters"])}


def without_coordinates(streams: Streams) -> Streams:
    """Leave out of dead letters where they lay: in another file, where a log is split.

    And of retractions for which event: of several the one that came first after what was sent (decision 0026).
    """
    letters = [
        {**event, "id": "", "subject": "", "data": {**event["data"], "partition": "", "position": 0}}
        for event in streams["dead_letters"]
    ]
    triggers = [without_cause(event) if "retracted" in event["type"] else event for event in streams["triggers"]]
    return streams | {"dead_letters": ordered(letters), "triggers": ordered(triggers)}


def without_cause(retraction: dict[str, Any]) -> dict[str, Any]:
    """Leave out what it was for."""
    return {**retraction, "time": "", "data": {**retraction["data"], "cause": None, "reason": ""}}


def ordered(events: Iterable[Any]) -> list[Any]:
    """Sort by what is in them."""
    return sorted(events, key=msgspec.json.encode)


def assert_same(found: Streams, expected: Streams) -> None:
    """Compare whole values; where they differ, show the few that do."""
    for stream, events in expected.items():
        if found[stream] != events:
            counted = [Counter(msgspec.json.encode(event) for event in side) for side in (found[stream], events)]
            extra, missing = counted[0] - counted[1], counted[1] - counted[0]
            pytest.fail(
                f"{stream}: {extra.total()} too many, {missing.total()} missing of {len(events)}\n"
                f"too many: {[*extra][:3]}\nmissing: {[*missing][:3]}"
            )


def split_by_person(lines: Iterable[bytes], count: int) -> dict[str, list[bytes]]:
    """Deal a log out to files, so that all that any of a person's identifiers names lies in one file, in order."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    named = [(line, identifiers(line)) for line in lines]
    for _, names in named:
        for name in names[1:]:
            parent[root(name)] = root(names[0])
    files: dict[str, list[bytes]] = {f"part-{i}": [] for i in range(count)}
    for line, names in named:
        person = root(names[0]).encode() if names else line
        files[f"part-{crc32(person) % count}"].append(line)
    return files


def identifiers(line: bytes) -> list[str]:
    """Name whom a Segment record is about."""
    events = decode_batch([line], partition="", first_position=0, read_at=None).events
    return [
        f"{kind}:{name}"
        for event in events
        for kind, name in (("a", event.anonymous_id), ("u", event.user_id), ("e", event.email), ("p", event.phone))
        if name
    ]


def sessions_and_carts(streams: Streams) -> list[Any]:
    """Every revision of every session and cart."""
    return ordered(event["data"] for stream in ("sessions", "carts") for event in streams[stream])


def decisions_on_timers(streams: Streams) -> list[Any]:
    """Triggers and suppressed decisions that a timer caused."""
    return ordered(
        event["data"]
        for stream in ("triggers", "suppressed")
        for event in streams[stream]
        if event["data"]["cause"]["type"].endswith(".timer")
    )


def triggers_on_events(streams: Streams) -> list[Any]:
    """Action, person and occasion of each trigger that an event caused itself."""
    lead_of = {
        event["data"]["identifier"]: event["data"]["profile_id"]
        for event in streams["identity"]
        if (event["data"]["what"], event["data"]["identifier_type"]) == ("linked", "anonymous_id")
    }
    return ordered(
        (data["action"], lead_of.get(data["profile_id"], data["profile_id"]), data["trigger_id"])
        for data in (event["data"] for event in streams["triggers"])
        if not data["cause"]["type"].endswith(".timer")
    )
