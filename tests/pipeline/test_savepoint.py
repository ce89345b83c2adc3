"""Savepoints, as who stops a run and goes on elsewhere sees them: nothing is lost, nothing is said twice."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.traffic import TrafficPlan, generate
from connectors.cloudevents import STREAMS
from pipeline.checkpoint import read_checkpoint
from pipeline.manifest import read_manifest
from pipeline.savepoint import CONTENTS
from pipeline.stop import stopped as stop_run
from tests.pipeline.test_cli import ENVIRONMENT, NEXTMOVE, nextmove, records, running, until
from tests.pipeline.test_supervisor import children

DAY = TrafficPlan(events=4_000, visitors=120, days=2, seed=11)
PACE = ("--speed", "80000")
QUICK = "checkpoint: {interval: 100ms}\nkey_groups: 8\n"
SLOW = "checkpoint: {interval: 60s}\nkey_groups: 8\n"
"""No checkpoint but the last one, of a run that is stopped."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the input and, in `whole`, what one unbroken run makes of it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "day.jsonl").write_bytes(b"".join(generate(DAY)))
    (folder / "quick.yaml").write_text(QUICK)
    result = nextmove("run", "day.jsonl", "--out", "whole", "--config", "quick.yaml", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    """A folder with the same input, and the settings of runs with many checkpoints and with none."""
    shutil.copy(whole / "day.jsonl", tmp_path)
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "slow.yaml").write_text(SLOW)
    return tmp_path


def told(out: Path) -> dict[str, list[dict[str, Any]]]:
    return {stream: records(out / f"{stream}.jsonl") for stream in STREAMS}


def command(out: str, recovery: str, *more: str, config: str = "quick.yaml") -> list[str]:
    return ["run", "day.jsonl", "--out", out, "--recovery", recovery, "--config", config, *more]


def stopped(place: Path, *more: str, savepoint: str = "saved") -> list[str]:
    """Stop the run on the folder `state` midway, with a savepoint; return what is said."""
    with running(*command("out", "state", *PACE, *more), cwd=place) as process:
        until(lambda: len(records(place / "out" / "triggers.jsonl")) > 20)
        result = nextmove("stop", "--recovery", "state", "--savepoint", savepoint, cwd=place)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, result.returncode) == (0, 0), f"{err.decode()}{result.stderr.decode()}"
        assert b"Stopped" in out
    return result.stderr.decode().splitlines()


def ran(place: Path, *arguments: str) -> list[str]:
    """Run to the end; return what is said."""
    result = nextmove(*arguments, cwd=place)
    assert result.returncode == 0, result.stderr
    return result.stderr.decode().splitlines()


def refused(place: Path, *arguments: str) -> str:
    """The one line that a command that fails says."""
    result = nextmove(*arguments, cwd=place)
    (line,) = result.stderr.decode().splitlines()
    assert result.returncode == 1, line
    return line.removeprefix("nextmove: ")


@pytest.fixture(scope="module")
def saved(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run stopped midway: its input, outputs, recovery folder and savepoint."""
    folder = tmp_path_factory.mktemp("saved")
    shutil.copy(whole / "day.jsonl", folder)
    (folder / "quick.yaml").write_text(QUICK)
    stopped(folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A copy of that on another machine: nothing lies where it lay, and the old recovery folder has stayed behind."""
    shutil.copytree(saved, tmp_path / "moved", ignore=shutil.ignore_patterns("state"))
    (tmp_path / "moved" / "slow.yaml").write_text(SLOW)
    return tmp_path / "moved"


def test_a_stopped_run_goes_on_from_its_savepoint_in_another_folder(place: Path, whole: Path) -> None:
    """
    Stopped with a savepoint and gone on from it with a new recovery folder, a run writes what an unbroken one writes.
    """
    said = stopped(place)
    shutil.rmtree(place / "state")
    went_on = ran(place, *command("out", "new", "--from-savepoint", "saved"))

    assert said == [
        "nextmove: the run on state has ended",
        "nextmove: its state is saved in saved/0-of-1",
        "nextmove: to go on from there: nextmove run --from-savepoint saved, with a new --recovery",
    ]
    assert went_on[0].startswith("nextmove: going on from the savepoint saved, made 20")
    assert told(place / "out") == told(whole / "whole")


def test_a_savepoint_moves_to_another_machine(copy: Path, whole: Path) -> None:
    """
    Input, outputs and savepoint copied to another place are all that a run needs to go on there.
    """
    ran(copy, *command("out", "new", "--from-savepoint", "saved"))

    assert told(copy / "out") == told(whole / "whole")


def test_without_the_old_outputs_a_run_writes_what_comes_after(copy: Path, saved: Path, whole: Path) -> None:
    """
    With an empty folder for outputs, what comes after the savepoint is written there: with what was before, it is all.
    """
    ran(copy, *command("fresh", "new", "--from-savepoint", "saved"))

    before, after, both = told(saved / "out"), told(copy / "fresh"), told(whole / "whole")
    for stream in STREAMS:
        assert sorted(map(str, before[stream] + after[stream])) == sorted(map(str, both[stream]))
    assert before["triggers"]
    assert after["triggers"]


def test_a_kill_before_the_first_checkpoint_starts_from_the_savepoint_again(copy: Path, whole: Path) -> None:
    """
    A run from a savepoint that is killed before it has a checkpoint of its own starts from the savepoint once more, by
    the same command or without naming it.
    """
    arguments = command("out", "new", "--from-savepoint", "saved", config="slow.yaml")
    before = len(records(copy / "out" / "triggers.jsonl"))
    for more in (arguments, arguments, command("out", "new", config="slow.yaml")):
        with running(*more, *PACE, cwd=copy) as process:
            until(lambda: len(records(copy / "out" / "triggers.jsonl")) > before + 5)
            process.kill()
    found = read_checkpoint(copy / "new")
    ran(copy, *arguments)

    assert found.places == read_manifest(copy / "saved" / "0-of-1" / CONTENTS).places
    assert told(copy / "out") == told(whole / "whole")


def test_a_savepoint_can_be_gone_back_to(place: Path, whole: Path) -> None:
    """
    A second run from one savepoint, in the folder to which the first has written, takes back what that wrote.
    """
    stopped(place)
    ran(place, *command("out", "first", "--from-savepoint", "saved"))
    with (place / "out" / "triggers.jsonl").open("a") as file:
        file.write("what only the first run has said\n")
    ran(place, *command("out", "second", "--from-savepoint", "saved"))

    assert told(place / "out") == told(whole / "whole")


def test_a_savepoint_is_made_of_the_last_checkpoint_where_nobody_runs(place: Path, whole: Path) -> None:
    """
    After a kill the last checkpoint is what is saved, and the savepoint of a folder that has not run since it was made
    from one is that one's.
    """
    with running(*command("out", "state", *PACE), cwd=place) as process:
        until(lambda: len(records(place / "out" / "triggers.jsonl")) > 20)
        process.kill()
    said = ran(place, "stop", "--recovery", "state", "--savepoint", "saved")
    with running(*command("out", "new", "--from-savepoint", "saved", *PACE, config="slow.yaml"), cwd=place) as process:
        until((place / "new" / "nextmove.json").exists)
        process.kill()
    ran(place, "stop", "--recovery", "new", "--savepoint", "again")
    first, second = (read_manifest(place / name / "0-of-1" / CONTENTS) for name in ("saved", "again"))
    ran(place, *command("out", "third", "--from-savepoint", "again"))

    assert said[0] == "nextmove: nobody runs on state"
    assert (first.places, first.groups, first.lengths) == (second.places, second.groups, second.lengths)
    assert told(place / "out") == told(whole / "whole")


def test_a_supervisor_ends_with_its_run(place: Path) -> None:
    """
    `stop` ends a run under --restart and what would start it again, also in the pause after a crash.
    """
    with running(*command("out", "state", *PACE, "--restart", "5"), cwd=place) as process:
        until(lambda: len(records(place / "out" / "triggers.jsonl")) > 5)
        ran(place, "stop", "--recovery", "state")
        assert process.wait(20) == 0

    with running(*command("out", "state", "--speed", "3000", "--restart", "5"), cwd=place) as process:
        until(lambda: (place / "state" / "lock").stat().st_size > 0)
        until(lambda: len(children(process.pid)) == 1)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        until(lambda: not children(process.pid))
        with stop_run(place / "state", 20) as was_running:  # in this process: the pause is half a second at least
            assert not was_running
        assert process.wait(20) == 0


def test_looking_at_a_running_checkpoint_changes_nothing(place: Path, whole: Path) -> None:
    """
    A run that is looked at over and over, and then killed, goes on as if nobody had looked.
    """
    for _ in range(3):
        with running(*command("out", "state", "--speed", "3000"), cwd=place) as process:
            before = len(records(place / "out" / "triggers.jsonl"))
            until(lambda before=before: len(records(place / "out" / "triggers.jsonl")) > before + 5)  # type: ignore[misc]
            looks = [json.loads(nextmove("state", "inspect", "state", "--json", cwd=place).stdout)[0] for _ in range(3)]
            assert {look["pid"] for look in looks} == {process.pid}
            process.kill()
        assert json.loads(nextmove("state", "inspect", "state", "--json", cwd=place).stdout)[0]["pid"] is None
        assert [look["epoch"] for look in looks] == sorted(look["epoch"] for look in looks)
    ran(place, *command("out", "state"))

    assert told(place / "out") == told(whole / "whole")


# --- what is refused ----------------------------------------------------------------------------------------


def test_a_crash_while_saving_leaves_no_savepoint(saved: Path, tmp_path: Path) -> None:
    """
    What a crash left of a savepoint is not taken for one, and is no obstacle to the next.
    """
    shutil.copytree(saved / "state", tmp_path / "state")
    shutil.copytree(saved / "saved" / "0-of-1", tmp_path / "half" / ".0-of-1.new")
    (tmp_path / "half" / ".0-of-1.new" / CONTENTS).unlink()
    shutil.copy(saved / "day.jsonl", tmp_path)

    line = refused(tmp_path, "run", "day.jsonl", "--out", "out", "--recovery", "new", "--from-savepoint", "half")
    assert line == "half is no savepoint: there is no 0-of-1 or the like in it; check the name"

    ran(tmp_path, "stop", "--recovery", "state", "--savepoint", "half")
    assert [path.name for path in (tmp_path / "half").iterdir()] == ["0-of-1"]


def test_a_savepoint_is_not_written_over_anything(saved: Path, tmp_path: Path) -> None:
    """
    A folder with something in it, a savepoint too, is refused.
    """
    shutil.copytree(saved / "state", tmp_path / "state")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    (tmp_path / "other" / "0-of-2").mkdir(parents=True)
    (tmp_path / "done" / "0-of-1").mkdir(parents=True)

    for name, first in (("full", "notes.txt"), ("other", "0-of-2"), ("done", "0-of-1")):
        result = nextmove("stop", "--recovery", "state", "--savepoint", name, cwd=tmp_path)
        assert result.returncode == 1
        assert result.stderr.decode().splitlines() == [
            "nextmove: nobody runs on state",
            f"nextmove: {name} is not empty: it has {first}; name a new folder for the savepoint",
        ]


def test_a_later_version_is_refused(copy: Path) -> None:
    """
    A savepoint in a format, or with states of a version, that this version does not know is refused, not guessed at.
    """
    contents = copy / "saved" / "0-of-1" / CONTENTS
    raw = contents.read_bytes()

    contents.write_bytes(raw.replace(b'{"format":1,', b'{"format":2,"new":[],'))
    later = refused(copy, *command("out", "new", "--from-savepoint", "saved"))
    manifest = msgspec.json.decode(raw)
    manifest["groups"]["visitors"][0][0] = 99
    contents.write_bytes(msgspec.json.encode(manifest))
    states = refused(copy, *command("out", "new", "--from-savepoint", "saved"))

    assert later == (
        "saved/0-of-1/savepoint.json: a savepoint of format 2, of which this nextmove knows 1;"
        " use the later one that made it"
    )
    assert states == "a state of version 99, of which this nextmove knows 6; use the later one that made it"


def test_a_damaged_savepoint_is_refused(copy: Path) -> None:
    """
    A list of contents that cannot be read, a file that is missing, short or changed: one line says which.
    """
    part = copy / "saved" / "0-of-1"
    run = command("out", "new", "--from-savepoint", "saved")
    whole = (part / CONTENTS).read_bytes()
    (part / CONTENTS).write_bytes(whole[:100])
    assert "savepoint.json: Input data was truncated; it is damaged" in refused(copy, *run)
    (part / CONTENTS).write_bytes(whole)

    log = part / "visitors-0003.0.log"
    raw = log.read_bytes()
    log.write_bytes(raw[:-1])
    assert refused(copy, *run) == (
        f"saved/0-of-1/visitors-0003.0.log: {len(raw) - 1} bytes where the checkpoint has {len(raw)};"
        " restore its folder"
    )
    log.write_bytes(raw[:-1] + b"?")
    assert refused(copy, *run) == (
        "saved/0-of-1/visitors-0003.0.log: damaged at byte 21; restore its folder from a copy"
    )
    log.unlink()
    assert refused(copy, *run).startswith("saved/0-of-1/visitors-0003.0.log: No such file or directory")
    log.write_bytes(raw)
    ran(copy, *run)


def test_what_does_not_go_with_the_savepoint_is_refused(copy: Path, saved: Path) -> None:
    """
    Another number of key groups, another input, a file that is shorter than what was read of it, outputs that
    are not those of the savepoint, a recovery folder with a past of its own or from another savepoint: a line each.
    """
    old = saved / "out"
    (copy / "more.yaml").write_text("key_groups: 16\n")
    run = command("out", "new", "--from-savepoint", "saved")
    assert refused(copy, *command("out", "new", "--from-savepoint", "saved", config="more.yaml")) == (
        "saved was made with key_groups: 8, not 16; the number is fixed for the life of the state: set it back,"
        " or start with an empty folder"
    )
    assert refused(copy, *("other.jsonl" if word == "day.jsonl" else word for word in run)).startswith("other.jsonl: ")
    shutil.copy(copy / "day.jsonl", copy / "other.jsonl")
    assert refused(copy, *("other.jsonl" if word == "day.jsonl" else word for word in run)).startswith(
        "saved was made with the input day.jsonl; name it too"
    )

    triggers = copy / "out" / "triggers.jsonl"
    raw = triggers.read_bytes()
    for other in (raw + b"\n", raw[:-1]):
        triggers.write_bytes(other)
        assert refused(copy, *run) == (
            f"out/triggers.jsonl has {len(other)} bytes where the savepoint saved has {len(raw)};"
            f" bring the files as they were in {old}, or name an --out without any"
        )
    triggers.write_bytes(raw)

    day = (copy / "day.jsonl").read_bytes()
    (copy / "day.jsonl").write_bytes(day[:100])
    assert b"nextmove: day.jsonl ends at byte 100, but " in nextmove(*run, cwd=copy).stderr
    (copy / "day.jsonl").write_bytes(day)
    ran(copy, *run)

    ran(copy, *command("alone", "own"))
    assert refused(copy, *command("alone", "own", "--from-savepoint", "saved")) == (
        "own has a past of its own; name an empty --recovery, or leave out --from-savepoint"
    )
    ran(copy, "stop", "--recovery", "own", "--savepoint", "another")
    assert refused(copy, *command("out", "new", "--from-savepoint", "another")) == (
        "new was made from another savepoint than another; name an empty --recovery"
    )
    assert refused(copy, "run", "day.jsonl", "--out", "out", "--from-savepoint", "saved") == (
        "--from-savepoint needs checkpoint.folder or --recovery: the state goes on there"
    )


def test_the_same_command_goes_on_when_the_savepoint_is_gone(copy: Path) -> None:
    """
    A restart policy repeats its command line: once the folder has come from the savepoint, that may be removed.
    """
    run = command("out", "new", "--from-savepoint", "saved")
    ran(copy, *run)
    shutil.rmtree(copy / "saved")

    assert ran(copy, *run) == []


def test_parts_of_a_savepoint_belong_together(copy: Path) -> None:
    """
    Of several processes' parts each is wanted, none of another savepoint or deployment.
    """
    run = command("out", "new", "--from-savepoint", "saved")
    (copy / "saved" / "0-of-1").rename(copy / "saved" / "1-of-3")
    assert refused(copy, *run) == "saved lacks 0-of-3, 2-of-3; stop every process with --savepoint saved"
    for name in ("0-of-3", "2-of-3"):
        shutil.copytree(copy / "saved" / "1-of-3", copy / "saved" / name)
    assert "as another part does; take parts of one stop" in refused(copy, *run)
    contents = copy / "saved" / "2-of-3" / CONTENTS
    contents.write_bytes(contents.read_bytes().replace(b'"key_groups":8', b'"key_groups":9'))
    assert refused(copy, *run) == "saved/2-of-3 is of another deployment than saved/0-of-3; take parts of one"
    shutil.copytree(copy / "saved" / "1-of-3", copy / "saved" / "0-of-1")
    assert refused(copy, *run) == "saved has parts of savepoints of 1 and 3 processes; take one of the two"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("stop --recovery none", "none is no recovery folder: there is no nextmove.json in it; check the name"),
        ("state inspect none", "none is no folder; name a recovery folder or a savepoint"),
        ("state inspect empty", "empty is neither a recovery folder nor a savepoint; check the name"),
        ("state inspect new", "new holds no checkpoint yet: no run has lived long enough for its first"),
        ("stop --recovery new --savepoint saved", "new holds no checkpoint yet"),
        ("state inspect lost", "lost has lost its part-0.sqlite3; restore the folder whole"),
        ("state inspect broken", "broken/part-0.sqlite3: file is not a database; it is damaged"),
        ("state inspect later", "later is of format 9, of which this nextmove knows 1"),
    ],
)
def test_a_folder_that_is_none_is_told_in_one_line(arguments: str, words: str, saved: Path, tmp_path: Path) -> None:
    """
    Foreign, new, damaged and later folders: one line with cause and cure, exit code 1.
    """
    facts = (saved / "state" / "nextmove.json").read_bytes()
    for name in ("empty", "new", "lost", "broken", "later"):
        (tmp_path / name).mkdir()
    for name in ("new", "lost", "broken"):
        (tmp_path / name / "nextmove.json").write_bytes(facts)
    (tmp_path / "later" / "nextmove.json").write_bytes(facts.replace(b'"version":1', b'"version":9'))
    (tmp_path / "broken" / "part-0.sqlite3").write_bytes(b"x" * 5_000)
    init = "import sys; from bytewax.recovery import init_db_dir; from pathlib import Path; init_db_dir(Path('new'), 1)"
    subprocess.run([NEXTMOVE[0], "-c", init], cwd=tmp_path, env=ENVIRONMENT, check=True)

    result = nextmove(*arguments.split(), cwd=tmp_path)

    assert result.returncode == 1
    assert words in result.stderr.decode().splitlines()[-1]
    assert "Traceback" not in result.stderr.decode()


def test_a_run_that_cannot_be_found_or_does_not_end_is_told(saved: Path, tmp_path: Path) -> None:
    """
    In place of a process that is not of this machine nobody is told to stop; one that does not end in time is named.
    """
    shutil.copytree(saved / "state", tmp_path / "state")
    holds = (
        "import fcntl, msgspec, signal, time; from pipeline.processes import *\n"
        "signal.signal(signal.SIGTERM, lambda *_: open('told', 'w').close())\n"
        "file = open('state/lock', 'ab'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "file.write(msgspec.json.encode({})); file.flush(); open('ready', 'w').close(); time.sleep(60)"
    )
    elsewhere, here = "Holder(Process(1, '-1'))", "this_holder()"
    for says, words in ((elsewhere, "which is not one of this machine"), (here, "has not ended within 0.3 s")):
        with subprocess.Popen([NEXTMOVE[0], "-c", holds.format(says)], cwd=tmp_path, env=ENVIRONMENT) as process:
            try:
                until((tmp_path / "ready").exists)
                assert words in refused(tmp_path, "stop", "--recovery", "state", "--timeout", "0.3")
                assert (tmp_path / "told").exists() == (says == here)
            finally:
                process.kill()
        (tmp_path / "ready").unlink()
        (tmp_path / "state" / "lock").write_bytes(b"")
