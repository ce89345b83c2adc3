"""What `nextmove run --restart` promises: a crashed run comes back, a stopped one ends, nothing is left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.traffic import generate
from pipeline.supervisor import PAUSE_S_MAX, backoff_s
from tests.pipeline.test_cli import DAY, ENVIRONMENT, NEXTMOVE, nextmove, records, running, until

# Each start of the child appends its process id to `starts`, and says there which start it is.
CHILD = """
import os, signal, sys, time
with open('starts', 'a+') as file:
    file.write(f'{os.getpid()}\\n'); file.flush(); file.seek(0)
    start = len(file.readlines())
"""
# It stops cleanly when told to, with a code to be told by. Short naps: a signal that comes between Python's last look
# for one and the call to sleep is seen when that sleep is over.
WAITS = f"""{CHILD}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
open('ready', 'w').close()
while True: time.sleep(0.05)
"""


def supervisor(child: str, restarts: int, *, pauses: str = "lambda tries: 0", clock: str = "lambda: 0") -> list[str]:
    """The command of a supervisor whose child is a program in a line, and whose time is made up."""
    code = (
        "import itertools, sys; from pipeline.supervisor import supervise\n"
        f"sys.exit(supervise([sys.executable, '-c', {child!r}], {restarts}, pause_s={pauses}, clock={clock}))"
    )
    return [sys.executable, "-c", code]


def ended(command: list[str], cwd: Path) -> tuple[int, list[str]]:
    """How a supervisor ends that nobody stops: its exit code and what it says."""
    result = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, timeout=60, check=False)
    assert result.stdout == b""
    return result.returncode, result.stderr.decode().splitlines()


@contextmanager
def under_way(command: list[str], cwd: Path, file: str) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process group of its own, once its child has written `file`."""
    with subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            until((cwd / file).exists)
            yield process
        finally:
            process.kill()


def starts(folder: Path) -> list[int]:
    """The process ids of the children so far."""
    path = folder / "starts"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_crash_is_followed_by_another_start(tmp_path: Path) -> None:
    """
    A run that is killed, then fails, is started a third time, ends well, and so does the supervisor. Each restart
    is one line with the reason, the pause and the count.
    """
    child = f"{CHILD}\nif start == 1: os.kill(os.getpid(), signal.SIGKILL)\nsys.exit(start == 2)"

    code, lines = ended(supervisor(child, 5, pauses="lambda tries: tries / 100"), tmp_path)

    assert (code, len(starts(tmp_path))) == (0, 3)
    assert lines == [
        "nextmove: run ended by SIGKILL; starting again in 0.01 s (1 of 5)",
        "nextmove: run ended with exit code 1; starting again in 0.02 s (2 of 5)",
    ]


@pytest.mark.parametrize("final", [0, 2, 3, 130])
def test_an_end_that_would_repeat_itself_is_final(final: int, tmp_path: Path) -> None:
    """
    Done, wrong usage, too much rejected and interrupted are passed on as they are: no second start, no word.
    """
    assert ended(supervisor(f"{CHILD}\nsys.exit({final})", 5), tmp_path) == (final, [])
    assert len(starts(tmp_path)) == 1


@pytest.mark.parametrize(
    ("crash", "code", "reason"),
    [
        ("sys.exit(1)", 1, "run ended with exit code 1"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 139, "run ended by SIGSEGV"),
        ("os.kill(os.getpid(), 40)", 168, "run ended by signal 40"),
    ],
)
def test_it_gives_up_loudly(crash: str, code: int, reason: str, tmp_path: Path) -> None:
    """
    After so many restarts in a row one line says how often and why, and the exit code is what a shell makes of
    the last crash.
    """
    result, lines = ended(supervisor(f"{CHILD}\n{crash}", 2), tmp_path)

    assert (result, len(starts(tmp_path))) == (code, 3)
    assert lines[2:] == [f"nextmove: gave up after 2 restarts in a row; {reason}"]


@pytest.mark.parametrize(("lasted_s", "count"), [(599, 2), (600, 3)])
def test_a_run_that_went_well_begins_a_new_row(lasted_s: int, count: int, tmp_path: Path) -> None:
    """
    A second run of ten minutes makes its crash the first of a new row; one second less does not.
    """
    clock = f"itertools.chain([0, 0, 0, {lasted_s}], itertools.repeat(0)).__next__"

    _, lines = ended(supervisor(f"{CHILD}\nsys.exit(1)", 1, clock=clock), tmp_path)

    assert len(starts(tmp_path)) == count
    assert [line.rpartition(" (")[2] for line in lines[:-1]] == ["1 of 1)"] * (count - 1)


def test_pauses_double_up_to_a_minute() -> None:
    """
    1 s, 2 s, 4 s and so on up to 60 s, each shortened by up to a half so that no two processes keep step.
    """
    for tries, longest_s in enumerate([1, 2, 4, 8, 16, 32, 60, 60], start=1):
        drawn = [backoff_s(tries) for _ in range(200)]
        assert longest_s / 2 <= min(drawn) < longest_s * 0.6
        assert longest_s * 0.9 < max(drawn) <= longest_s
    assert backoff_s(10_000) <= PAUSE_S_MAX


def test_sigterm_goes_to_the_run_and_ends_both(tmp_path: Path) -> None:
    """
    The child is told to stop, its exit code is the result though it is none of a clean end, and nothing restarts.
    """
    with under_way(supervisor(WAITS, 5), tmp_path, "ready") as process:
        process.terminate()
        _, stderr = process.communicate(timeout=20)

    assert (process.returncode, stderr) == (7, b"")
    assert [is_gone(pid) for pid in starts(tmp_path)] == [True]


def test_a_run_that_dies_when_told_to_stop_is_not_started_again(tmp_path: Path) -> None:
    """
    A child that knows no clean stop dies of the signal: 128 + 15, and that is all.
    """
    waits = WAITS.replace("lambda *_: sys.exit(7)", "signal.SIG_DFL")
    with under_way(supervisor(waits, 5), tmp_path, "ready") as process:
        process.terminate()
        _, stderr = process.communicate(timeout=20)

    assert (process.returncode, stderr, len(starts(tmp_path))) == (143, b"", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_pause_at_once(number: signal.Signals, tmp_path: Path) -> None:
    """
    Between two starts nothing runs and everything is saved: exit code 0, long before the pause is over.
    """
    crash = f"{CHILD}\nsys.exit(1)"
    with subprocess.Popen(
        supervisor(crash, 5, pauses="lambda tries: 3600"), cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert b"starting again in 3.6e+03 s" in process.stderr.readline()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)

    assert (process.returncode, stderr, len(starts(tmp_path))) == (0, b"", 1)


def test_no_run_outlives_its_supervisor(tmp_path: Path) -> None:
    """
    When the supervisor is killed the kernel tells the child to stop: it would keep the recovery folder locked.
    """
    told = WAITS.replace("sys.exit(7)", "open('told', 'w').close() or sys.exit(0)")
    with under_way(supervisor(told, 5), tmp_path, "ready") as process:
        process.kill()
        until(lambda: is_gone(starts(tmp_path)[0]))

    assert (tmp_path / "told").exists()


# --- through the command line -------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_killed_run_goes_on_and_writes_what_a_quiet_one_writes(tmp_path: Path) -> None:
    """
    `nextmove run --restart` brings back a run that was killed midway, under the same arguments without the
    option, and the outputs are those of a run that nobody touched.
    """
    day = tmp_path / "day.jsonl"
    day.write_bytes(b"".join(generate(DAY)))
    nextmove("run", day, "--out", "whole", cwd=tmp_path)
    triggers = tmp_path / "out" / "triggers.jsonl"
    arguments = ("run", str(day), "--out", "out", "--recovery", "state", "--speed", "60000")

    with running(*arguments, "--restart", "3", cwd=tmp_path) as process:
        until(lambda: len(records(triggers)) > 5)
        (first,) = children(process.pid)
        own = Path(f"/proc/{first}/cmdline").read_bytes().split(b"\0")[1:-1]
        os.kill(first, signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=60)

    assert own == [os.fsencode(argument) for argument in (*NEXTMOVE[1:], *arguments)]
    assert process.returncode == 0
    assert stderr.startswith(b"nextmove: run ended by SIGKILL; starting again in ")
    assert len(stderr.splitlines()) == 1
    assert stdout.startswith(b"Done: ")
    for stream in ("sessions", "carts", "triggers", "suppressed", "identity"):
        assert records(tmp_path / "out" / f"{stream}.jsonl") == records(tmp_path / "whole" / f"{stream}.jsonl"), stream


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_stops_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """
    Ctrl-C on a terminal and many service managers tell every process: the run is told twice, and stops cleanly.
    """
    command = [*NEXTMOVE, "run", "-", "--out", "out", "--recovery", "state", "--restart=3"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(b"".join(generate(DAY)))
            process.stdin.flush()
            until(lambda: records(tmp_path / "out" / "triggers.jsonl"))
            os.killpg(process.pid, number)
            stdout, stderr = process.communicate(timeout=20)
        finally:
            process.kill()

    assert (process.returncode, stderr) == (0, b"")
    assert stdout.startswith(b"Stopped: ")
