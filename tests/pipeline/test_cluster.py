"""
Two members of a cluster are together what one process is, and live and die together.

Each member is a process of its own, as the engine's cluster leaves a process in disorder when it fails.
"""

import os
import pickle
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given

from config.load import describe
from config.settings import CheckpointSettings, ClusterSettings, DeadLettersSettings, Settings, SourceSettings
from connectors.batches import RawBatch
from connectors.formats import event_times
from operators.event import Commerce, Event, Item
from operators.profile_state import HandOver, Profile, pack
from operators.rejected import Rejected
from pipeline import crossing
from pipeline.checkpoint import read_checkpoint
from pipeline.cluster import GONE, LATE, which_cluster
from pipeline.manifest import read_manifest
from pipeline.messages import Absorb, Await, Decoded, GroupBatch, GroupOutput, Marker, Parcel
from pipeline.recovery import RecoveryFacts, RunError, locked
from pipeline.run import run
from pipeline.savepoint import CONTENTS, Part, save
from pipeline.version import own_version
from tests.pipeline.helpers import (
    ROOT,
    SMALL,
    Act,
    Action,
    Chain,
    Player,
    acts,
    as_arrived,
    lines_of,
    reference,
    scripts,
    without_coordinates,
)
from tests.pipeline.kafka_job import Job, until
from tests.pipeline.test_acceptance import (
    Streams,
    assert_same,
    decisions_on_timers,
    outcome,
    published,
    sessions_and_carts,
    split_by_person,
    traffic_lines,
    write_inputs,
)
from tests.pipeline.test_acceptance import without_coordinates as without_places
from tests.pipeline.test_kafka_run import DAY_MS, event, streams, trigger_ids, without_the_last
from tests.services.kafka import KafkaServer

_NAMED: Final = ("profile_id", "visitor_id", "to", "at", "event_id", "order", "linked_at")
HAND_OVER: Final = (*_NAMED, "mark", "lead_mark", "life")
ADDRESSES: Final = ("one:1", "two:2")
PROGRESS: Final = re.compile(r" records, .*/s, |: (waiting for|looking through the) input$")
END_S: Final = 10.0
"""How long a member may take to end, by whatever."""

MEMBER: Final = """
import os, time
from pathlib import Path
from connectors.file_sink import FilePart
from connectors.file_source import FilePartition
from pipeline import cli, cluster

cluster.LEAVE_S_MAX = float(os.environ["LEAVE_S"])
read = FilePartition.next_batch


def read_slowly(part):
    Path(os.environ["BEGUN"]).touch()
    time.sleep(float(os.environ["PAUSE_S"]))
    return read(part)


def fail(part, items):
    raise OSError(28, "No space left on device", "the disk")


FilePartition.next_batch = read_slowly
if os.environ["FAILS"]:
    FilePart.write_batch = fail
cli.main()
"""


class Members:
    """The members of a cluster that reads files and writes files."""

    def __init__(self, folder: Path, inputs: Sequence[str], **sections: Any) -> None:  # noqa: ANN401 -- of several types
        """Keep what to run; `sections` are settings other than the usual."""
        checkpoint = CheckpointSettings(interval_ms=100)
        settings = Settings(**({"source": SourceSettings(batch_records=300), "checkpoint": checkpoint} | sections))
        self.folder, self.inputs = folder, inputs
        self._config = folder / "config.yaml"
        self._config.write_text(describe(settings))

    @contextmanager
    def running(
        self,
        count: int,
        *,
        only: Iterable[int] | None = None,
        pause_s: float = 0.0,
        leave_s: float = END_S,
        fails: int = -1,
        options: Sequence[str | Path] = (),
    ) -> Iterator[list[subprocess.Popen[str]]]:
        """Start `count` members, or `only` some of them; whoever is left at the end is killed.

        Each pauses for `pause_s` before each batch, and takes `leave_s` to give up; one `fails` to write. `options`
        are those of the command on top.
        """
        addresses = [f"127.0.0.1:{port}" for port in free_ports(count)] if count > 1 else []
        told = [word for address in addresses for word in ("--address", address)]
        with ExitStack() as stack:
            processes = []
            for number in range(count) if only is None else only:
                begun = self.begun(number)
                begun.unlink(missing_ok=True)
                environment = {"BEGUN": str(begun), "PAUSE_S": str(pause_s), "LEAVE_S": str(leave_s)}
                environment["FAILS"] = "yes" if number == fails else ""
                command: list[str | Path] = ["-c", MEMBER, "run", *self.inputs, "--config", self._config]
                command += ["--out", self.folder / "out", "--recovery", self.folder / "state", *options]
                process = subprocess.Popen(
                    [sys.executable, *command, *(("--process", str(number)) if told else ()), *told],
                    cwd=ROOT,
                    env=os.environ | {"NEXTMOVE_DEBUG": ""} | environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                stack.callback(process.communicate)
                stack.callback(process.kill)
                processes.append(process)
            yield processes

    def begun(self, number: int) -> Path:
        """Name the file that is there once a member reads."""
        return self.folder / f"begun-{number}"

    def published(self) -> Streams:
        """Read what they have published."""
        return without_places(published(self.folder / "out"))


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


ENGINE = re.compile(r"^RuntimeError: \(src/run\.rs:\d+:\d+\) panicked at .*timely.*:\n.*poisoned\.\n", re.MULTILINE)


def ends(processes: Sequence[subprocess.Popen[str]], wait_s: float) -> list[tuple[int, str]]:
    """
    Wait until all have ended; return their exit codes and what they said on stderr, without their progress.

    A thread of the engine that loses its partner may have a word of its own in front, or not: it is no traceback.
    """
    deadline = time.monotonic() + wait_s
    said = [one.communicate(timeout=deadline - time.monotonic())[1] for one in processes]
    kept = [ENGINE.sub("", told) for told in said]
    words = ["\n".join(line for line in told.splitlines() if not PROGRESS.search(line)) for told in kept]
    return [(one.returncode, line) for one, line in zip(processes, words, strict=True)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Streams:
    """What one process makes of the made-up day."""
    return without_places(outcome(tmp_path_factory.mktemp("whole"), split_by_person(traffic_lines(), 3)))


@pytest.fixture
def members(tmp_path: Path) -> Members:
    """A cluster to read the made-up day, which three files hold."""
    return Members(tmp_path, write_inputs(tmp_path / "in", split_by_person(traffic_lines(), 3)))


# --- the same -----------------------------------------------------------------------------------------------


def test_two_members_yield_what_one_process_does(members: Members, whole: Streams) -> None:
    """
    Every record of every stream is there, once; each member has read something.
    """
    with members.running(2) as processes:
        assert ends(processes, 60) == [(0, ""), (0, "")]

    assert all(members.begun(number).exists() for number in range(2))
    assert_same(members.published(), whole)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_killed_member_takes_the_others_along_and_all_go_on(members: Members, whole: Streams, last: int) -> None:
    """
    One member is killed by SIGKILL, now this, now that: the other ends by itself within ten seconds, with exit code 1
    and one line. Started again, by as many as before or more or one alone, they yield what an undisturbed run does.
    """
    chance = random.Random(f"cluster {last}")
    for number in range(2):
        killed, other = number % 2, 1 - number % 2
        with members.running(2, pause_s=0.05) as processes:
            until(lambda: all(members.begun(one).exists() for one in range(2)))
            time.sleep(0.1 + 0.4 * chance.random())
            processes[killed].kill()
            assert ends([processes[other]], END_S) == [(1, f"nextmove: {GONE}")]
            assert processes[killed].wait() == -signal.SIGKILL
    with members.running(last) as processes:
        assert [code for code, _ in ends(processes, 60)] == [0] * last

    assert_same(members.published(), whole)


def test_members_that_are_all_told_to_end_go_on_where_they_were(members: Members, whole: Streams) -> None:
    """
    SIGTERM to each: exit code 0 within ten seconds, with a checkpoint; the next run reads the rest.
    """
    with members.running(2, pause_s=0.05) as processes:
        until(lambda: all(members.begun(number).exists() for number in range(2)))
        time.sleep(0.4)
        for process in processes:
            process.terminate()
        outs = [process.communicate(timeout=END_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all("Stopped: " in out for out in outs)
    with members.running(2) as processes:
        ended = [process.communicate(timeout=60)[0] for process in processes]
    assert sum(records(out) for out in (*outs, *ended)) == len(traffic_lines())
    assert 0 < sum(map(records, outs)) < len(traffic_lines())

    assert_same(members.published(), whole)


def test_stop_ends_all_members_and_a_savepoint_goes_on_as_a_cluster(members: Members, whole: Streams) -> None:
    """
    `nextmove stop --savepoint` on the folder tells each member that holds it; another two go on in a new folder.
    """
    saved, state = members.folder / "saved", members.folder / "state"
    with members.running(2, pause_s=0.05) as processes:
        until(lambda: all(members.begun(number).exists() for number in range(2)))
        time.sleep(0.4)
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "pipeline.cli",
            "stop",
            "--recovery",
            state,
            "--savepoint",
            saved,
        ]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
        assert ends(processes, 1.0) == [(0, ""), (0, "")]
    state.rename(members.folder / "before")
    with members.running(2, options=["--from-savepoint", saved]) as processes:
        assert [code for code, _ in ends(processes, 60)] == [0, 0]

    assert_same(members.published(), whole)


def records(out: str) -> int:
    """Find in what a member says at its end how many records it has read."""
    words = out.partition(" records in ")[0].split()
    return int(words[-1].replace(",", "")) if " records in " in out else 0


def test_two_members_read_kafka_as_one_process_does(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    Each reads some partitions; sessions, carts and decisions of timers are those of the run from files, each trigger
    is there once, though a member is killed and both start again. Three cannot go on, for they share otherwise. A
    savepoint knows where each partition was.
    """
    parts = split_by_person(traffic_lines(), 4)
    over_at = max(at for at in event_times(traffic_lines()) if at) + DAY_MS
    for number, lines in enumerate(parts.values()):
        lines.append(event("page_viewed", over_at, f"last-{number}"))
    settings = Settings(source=SourceSettings(batch_records=500), checkpoint=CheckpointSettings(interval_ms=300))
    run(settings, write_inputs(tmp_path / "in", parts), tmp_path / "out")
    expected = without_the_last(published(tmp_path / "out"))
    job = Job(tmp_path, kafka, settings, partitions=4)
    job.produce((number, line) for number, lines in enumerate(parts.values()) for line in lines)
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(3))

    def started(count: int) -> list[subprocess.Popen[str]]:
        known = ",".join(addresses.split(",")[:count])
        return [
            job.start(NEXTMOVE_CLUSTER_PROCESS=str(number), NEXTMOVE_CLUSTER_ADDRESSES=known) for number in range(count)
        ]

    processes = started(2)
    try:
        until(lambda: len(streams(job)["sessions"]) > 0)
        processes[1].kill()
        left, killed = ends(processes, END_S)
        assert (left[0], left[1].splitlines()[-1], killed[0]) == (1, f"nextmove: {GONE}", -signal.SIGKILL)
        processes = started(2)
        until(lambda: len(without_the_last(streams(job))["sessions"]) >= len(expected["sessions"]))
        for process in processes:
            process.terminate()
        assert [code for code, _ in ends(processes, END_S)] == [0, 0]
        processes = started(3)
        for code, said in ends(processes, 60):
            assert code == 1
            assert "was made by a cluster of 2, which share out the partitions, not of 3" in said
        state = Path(job.settings.checkpoint.folder)
        saved = save(Part(state, read_checkpoint(state)), tmp_path / "saved")
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    places = read_manifest(saved / CONTENTS).places
    assert {name: place[0] for name, place in places.items()} == {
        f"{job.topic}/{number}": len(lines) for number, lines in enumerate(parts.values())
    }
    found = without_the_last(streams(job))
    for kind in (sessions_and_carts, decisions_on_timers):
        assert kind(found) == kind(expected), kind.__name__
    ids = trigger_ids(job)
    assert len(ids) == len(set(ids)) > 100


# --- what goes wrong ----------------------------------------------------------------------------------------


def test_a_member_says_what_went_wrong_in_it(members: Members) -> None:
    """
    A full disk is told by the member that writes to it, though the engine says nothing of it; the other one says that
    it is left alone.
    """
    with members.running(2, fails=1) as processes:
        found = ends(processes, 60)

    assert found == [
        (1, f"nextmove: {GONE}"),
        (1, "nextmove: the disk: No space left on device; see to that and run again"),
    ]


def test_a_member_that_waits_for_others_in_vain_can_be_told_to_end(members: Members) -> None:
    """
    The other member is never started: SIGTERM ends the one that waits for it, with exit code 1 and one line.
    """
    with members.running(2, only=[1], leave_s=0.2) as (process,):
        until((members.folder / "state" / "nextmove.json").exists)
        process.terminate()
        assert ends([process], END_S) == [(1, f"nextmove: {LATE}")]


def test_a_member_told_to_end_alone_leaves_the_others_no_choice(members: Members) -> None:
    """
    It serves them for a while, as they go on; then it ends with a line that says so, and they with theirs.
    """
    with members.running(2, pause_s=0.3, leave_s=0.2) as processes:
        until(lambda: all(members.begun(number).exists() for number in range(2)))
        processes[0].terminate()
        assert ends(processes, END_S) == [(1, f"nextmove: {LATE}"), (1, f"nextmove: {GONE}")]


@pytest.mark.parametrize(("names", "codes"), [("ab", [0, 3]), ("ba", [3, 0])])
def test_a_member_stops_at_too_many_rejected_records_of_its_own(tmp_path: Path, names: str, codes: list[int]) -> None:
    """
    What cannot be read is judged where it is read, whoever publishes it: exit code 3 there, 0 at the other. Inputs
    are dealt out by name.
    """
    good, bad = [event("page_viewed", DAY_MS * 20_000, f"v{i}") for i in range(1_500)], [b"{"] * 1_500
    inputs = write_inputs(tmp_path / "in", dict(zip(names, (good, bad), strict=True)))

    with Members(tmp_path, inputs, dead_letters=DeadLettersSettings(ratio_max=0.5)).running(2) as processes:
        found = ends(processes, 60)

    assert [code for code, _ in found] == codes
    assert " records were rejected, 1,200 as not_json; that is 100%," in "".join(said for _, said in found)


@pytest.mark.parametrize(
    ("settings", "inputs", "speed", "complaint"),
    [
        (Settings(shard="0/2", cluster=ClusterSettings(addresses=ADDRESSES)), [], 0.0, "two ways to share the work"),
        (Settings(cluster=ClusterSettings(addresses=ADDRESSES)), ["-"], 0.0, "a stdin of its own"),
        (Settings(cluster=ClusterSettings(addresses=ADDRESSES)), ["a"], 2.0, "--speed paces the files of one process"),
    ],
)
def test_what_members_cannot_do_together_is_refused(
    settings: Settings, inputs: list[str], speed: float, complaint: str
) -> None:
    """
    Shards, standard input and pacing are for processes of their own.
    """
    with pytest.raises(RunError, match=complaint):
        which_cluster(settings, inputs, speed)


@pytest.mark.parametrize("address", ["203.0.113.5:2101", "nobody.invalid:2101"])
def test_a_member_listens_at_its_own_address(address: str) -> None:
    """
    One that is another machine's, or that nobody knows, is told of before anything else.
    """
    with pytest.raises(RunError, match=f"^{address}: .*; name an address of this machine"):
        which_cluster(Settings(cluster=ClusterSettings(addresses=(address,))), [], 0.0)


@pytest.mark.parametrize(
    ("process", "addresses"), [(1, ()), (2, ADDRESSES), (0, ("one:1", "one:1")), (0, ("one:65536",))]
)
def test_a_member_has_an_address_and_nobody_else_has_it(process: int, addresses: tuple[str, ...]) -> None:
    """
    A number beyond the list, an address that is there twice and a port that there is not are refused.
    """
    with pytest.raises(ValueError, match=r"cluster\.addresses names"):
        ClusterSettings(process=process, addresses=addresses)


def test_the_members_of_one_cluster_hold_a_folder_together(tmp_path: Path) -> None:
    """
    Its second member comes in once the first has made the folder; nobody else does: not the same member twice, not
    one of another cluster, not a process alone. A process alone lets no member in either.
    """
    facts = RecoveryFacts(key_groups=12, inputs=["a"], out="b")

    def is_let_in(process: int, addresses: tuple[str, ...]) -> bool:
        try:
            with locked(tmp_path, process, addresses) as recovery:
                recovery.begin(facts, lambda _: True)
        except RunError as error:
            return "is in use by another run" not in str(error)
        return True

    with locked(tmp_path, 0, ADDRESSES) as recovery:
        recovery.begin(facts, lambda _: True)
        with locked(tmp_path, 1, ADDRESSES) as second:
            assert second.known == msgspec.structs.replace(facts, nextmove=own_version())
            second.begin(facts, lambda _: True)
        tries = [(1, ADDRESSES), (0, ADDRESSES), (1, ("one:1", "three:3")), (0, ())]
        assert [is_let_in(*one) for one in tries] == [True, False, False, False]
    with locked(tmp_path) as recovery:
        recovery.begin(facts, lambda _: True)
        assert not is_let_in(0, ADDRESSES)
    assert is_let_in(0, ("one:1", "three:3"))


# --- what crosses -------------------------------------------------------------------------------------------


class Crossing(Chain):
    """
    Steps of which each is in another process.
    """

    def _step(self, name: str, items: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
        crossing.prepare()
        return super()._step(name, pickle.loads(pickle.dumps(list(items))))  # noqa: S301 -- our own


class CrossingPlayer(Player):
    """
    A player of such steps.
    """

    chain_type = Crossing


@given(done=acts(), script=scripts(with_crashes=False))
def test_what_crosses_is_what_was_sent(done: list[Act], script: list[Action]) -> None:
    """
    Any log yields the same records though every batch, every share and every output is carried as bytes between steps.
    """
    lines = as_arrived(lines_of(done))
    partitions = {"part-0": [line.raw for line in lines]}

    told = CrossingPlayer(SMALL, partitions).play(script)

    assert without_coordinates(told) == without_coordinates(reference(SMALL, lines))


def test_each_thing_that_crosses_keeps_what_the_next_step_looks_at() -> None:
    """
    A share its items, with the marks that a hand-over has, and its marker; an output all but the records, which are
    published where they are; a batch all but the raw records.
    """
    crossing.prepare()
    seen = Event("page_viewed", 1, "e1", "web", "ann", mark=7, commerce=Commerce((Item("p", 2.0),), cart_id="c"))
    going = HandOver("ann", "ann", "lead", 5, "e2", 1, 3, 8, 9, "life")
    share = GroupBatch(4, 17, 2, [seen, going], [Absorb(going, Profile(5)), Await(going)], Marker(1, 2, 3, 4, 5), 18)
    output = GroupOutput(
        share, [Rejected("too_late", "", "file", 1)], [Absorb(going, None)], created=6, forwarded=[seen]
    )
    raw = RawBatch(
        "file",
        [b"1"],
        2,
        complete_before=3,
        complete=4,
        read_at=5,
        came_at=[6],
        idle_ms=7,
        is_marked=True,
        is_first=True,
    )
    parcel = Parcel("life", 1, 2, "visitors", 3, [seen], Marker(1, 2, 3, 4), part=5)
    headers = (("trace", b"\xff"), ("trace", None))
    rejected = Rejected("not_json", "", "file", 1, b"\xff{", part="2.0", key=b"\x00", headers=headers, replays=3)
    decoded = Decoded(raw, [seen], [rejected], [parcel])

    [got_share, got_output, got_decoded] = pickle.loads(pickle.dumps([share, output, decoded]))  # noqa: S301 -- our own

    assert told_of(got_share) == told_of(share)
    assert told_of(got_output.batch) == (*told_of(share)[:3], [], *told_of(share)[4:])
    assert (got_output.records, got_output.created, got_output.forwarded) == ([], 6, [seen])
    assert [told_of_item(item) for item in got_output.absorbed] == [told_of_item(item) for item in output.absorbed]
    assert got_decoded.raw == msgspec.structs.replace(raw, raws=[b""], came_at=[], origins=[])
    assert (got_decoded.events, got_decoded.rejected) == ([seen], decoded.rejected)
    [got_parcel] = got_decoded.parcels
    assert (got_parcel.way, got_parcel.number, got_parcel.part) == (parcel.way, 3, 5)
    assert (got_parcel.items, got_parcel.marker.clock) == ([seen], 4)


def told_of(share: GroupBatch) -> tuple[Any, ...]:
    """Name all that a share has."""
    marker = share.marker
    assert marker is not None
    items, passing = ([told_of_item(item) for item in items] for items in (share.items, share.passing))
    marks = marker.watermark, marker.next_watermark, marker.top_at, marker.clock, marker.next_clock
    return share.group, share.batch, share.groups, items, passing, marks, share.number


def told_of_item(item: Event | HandOver | Absorb | Await) -> list[Any]:
    """Name all that an item has."""
    if isinstance(item, Event):
        return item.pack()
    if isinstance(item, HandOver):
        return [getattr(item, name) for name in HAND_OVER]
    if isinstance(item, Await):
        return [told_of_item(item.handover)]
    state = item.state and pack(item.handover.profile_id, item.state)
    return [told_of_item(item.handover), state]
