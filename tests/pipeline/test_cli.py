"""What the command line promises: to whoever types it, and to whatever supervises it."""

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.traffic import TrafficPlan, generate
from pipeline import cli, faults
from pipeline.telemetry import Tally
from pipeline.terminal import Progress
from tests.records import check_lines

ROOT = Path(__file__).resolve().parents[2]
NEXTMOVE = [sys.executable, "-m", "pipeline.cli"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "RUST_BACKTRACE": "1", "NEXTMOVE_DEBUG": ""}
DAY = TrafficPlan(events=3_000, visitors=120, seed=5, malformed_share=0.01)


def nextmove(
    *arguments: str | Path, cwd: Path, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*NEXTMOVE, *arguments],
        cwd=cwd,
        input=stdin,
        env=ENVIRONMENT | environment,
        capture_output=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(*arguments: str | Path, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run under way, with a pipe as its stdin."""
    with subprocess.Popen(
        [*NEXTMOVE, *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def records(file: Path) -> list[dict[str, Any]]:
    """The data of a stream's records, wall-clock fields left out, in an order of their own."""
    lines = file.read_bytes().splitlines() if file.exists() else []
    check_lines(lines)
    data = [json.loads(line)["data"] for line in lines]
    for record in data:
        record.pop("emitted_at", None)
    return sorted(data, key=lambda record: json.dumps(record, sort_keys=True))


@pytest.fixture
def day(tmp_path: Path) -> Path:
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"".join(generate(DAY)))
    return path


# --- help and wrong usage -----------------------------------------------------------------------------------


def test_help_names_commands_examples_and_exit_codes(tmp_path: Path) -> None:
    """
    Whoever asks gets the whole picture on stdout; whoever types nothing gets it on stderr, as wrong usage.
    """
    asked, nothing = nextmove("--help", cwd=tmp_path), nextmove(cwd=tmp_path)

    assert (asked.returncode, asked.stderr) == (0, b"")
    assert (nothing.returncode, nothing.stdout) == (2, b"")
    assert asked.stdout == nothing.stderr
    for word in ("run", "demo", "generate", "check", "Examples:", "Exit codes:", "NEXTMOVE_DEBUG"):
        assert word in asked.stdout.decode()


@pytest.mark.parametrize("command", ["run", "demo", "generate", "check", "stop", "state inspect"])
def test_each_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    """
    Every command shows how it is called, in lines that fit a terminal.
    """
    result = nextmove(*command.split(), "--help", cwd=tmp_path)

    assert (result.returncode, result.stderr) == (0, b"")
    assert f"  nextmove {command}" in result.stdout.decode().partition("Example")[2]
    assert max(map(len, result.stdout.decode().splitlines())) <= 100


def test_the_version_is_told(tmp_path: Path) -> None:
    """
    --version answers with the name and the version.
    """
    result = nextmove("--version", cwd=tmp_path)

    assert result.returncode == 0
    assert result.stdout.startswith(b"nextmove ")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("rum", 2, "no such command 'rum', did you mean 'run'; see nextmove --help"),
        ("run", 2, "name INPUT and --out, or set kafka.servers to read and publish topics; see nextmove run --help"),
        (
            "run day.jsonl",
            2,
            "name INPUT and --out, or set kafka.servers to read and publish topics; see nextmove run --help",
        ),
        ("stop --savepoint saved", 2, "name --recovery, or set checkpoint.folder in the settings"),
        ("run - --out out --speed 2", 2, "--speed paces files"),
        ("run day.jsonl --out out --speed nan", 2, "must be a finite number"),
        ("run out/carts.jsonl --out out", 2, "would be replaced as an output; name another --out"),
        ("run day.jsonl --out out --config no.yaml", 2, "no.yaml: no such file"),
        ("run day.jsonl --out out --config wrong.yaml", 2, "unknown key sorce; did you mean source?"),
        ("run no.jsonl --out new", 1, "no.jsonl: No such file or directory; check the name"),
        ("run . --out new", 1, ". is a folder; name the files in it"),
        ("run day.jsonl --out /proc/none", 1, "/proc/none: No such file or directory; name a folder"),
        ("run no.gz --out new", 1, "no.gz: Not a gzipped file"),
        ("check wrong.yaml", 2, "unknown key sorce; did you mean source?"),
        ("check no.yaml", 2, "no.yaml: no such file"),
        ("generate --out - --events 10 --visitors 20", 2, "visitors is 20 but must lie between 1 and 10"),
        ("generate --out none/day.jsonl", 1, "none/day.jsonl.part: No such file or directory"),
    ],
)
def test_a_fault_is_one_line_and_an_exit_code(arguments: str, code: int, words: str, tmp_path: Path) -> None:
    """
    Cause and cure in one line on stderr: 2 where the command or the settings are wrong, 1 where the world is.
    """
    (tmp_path / "day.jsonl").write_bytes(b"")
    (tmp_path / "wrong.yaml").write_text("sorce: 1\n")
    (tmp_path / "no.gz").write_text("plain")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "carts.jsonl").write_bytes(b"")

    result = nextmove(*arguments.split(), cwd=tmp_path)

    assert (result.returncode, result.stdout) == (code, b"")
    assert re.fullmatch(r"nextmove: [^\n]+\n", result.stderr.decode())
    assert words in result.stderr.decode()


# --- faults on the way --------------------------------------------------------------------------------------


def test_an_input_that_breaks_off_is_named_in_one_line(tmp_path: Path) -> None:
    """
    A gzip file cut short is found midway, inside the engine. Its panic does not bury our line, unless asked for.
    """
    whole = gzip.compress(b"".join(generate(DAY)))
    (tmp_path / "torn.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "live.yaml").write_text("source: {file_watermark: lateness}\n")
    arguments = ("run", "torn.jsonl.gz", "--out", "out", "--config", "live.yaml")

    result = nextmove(*arguments, cwd=tmp_path)
    debugged = nextmove(*arguments, cwd=tmp_path, NEXTMOVE_DEBUG="1")

    assert (result.returncode, result.stdout) == (1, b"")
    assert re.fullmatch(r"nextmove: torn\.jsonl\.gz is damaged: [^\n]+; restore it[^\n]*\n", result.stderr.decode())
    assert b"panicked" in debugged.stderr
    assert b"Traceback" in debugged.stderr
    assert debugged.stderr.splitlines()[-1] == result.stderr.rstrip()


def test_a_full_disk_is_told_in_one_line(day: Path, tmp_path: Path) -> None:
    """
    When nothing more can be written the run fails with the reason.
    """
    limited = f"ulimit -f 64; exec {sys.executable} -m pipeline.cli run {day} --out out"
    result = subprocess.run(
        ["bash", "-c", limited], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, timeout=60, check=False
    )

    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr == b"nextmove: out/carts.jsonl: File too large; make room and run again\n"


def test_a_damaged_recovery_folder_is_told_in_one_line(day: Path, tmp_path: Path) -> None:
    """
    What the engine says of its own database is put in our words.
    """
    arguments = ("run", day, "--out", "out", "--recovery", "state")
    nextmove(*arguments, cwd=tmp_path)
    for database in (tmp_path / "state").glob("*.sqlite3"):
        database.write_bytes(b"no database")

    result = nextmove(*arguments, cwd=tmp_path)

    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == (
        "nextmove: the recovery folder cannot be used: file is not a database; restore it, or start with an empty one\n"
    )


def test_a_bug_is_one_line_with_the_place(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What nobody foresaw names its innermost cause and where to look; the traceback comes on request.
    """

    def broken(**_: object) -> None:
        try:
            dict[str, int]().pop("cart")
        except KeyError as error:
            raise RuntimeError("the engine's own words") from error

    monkeypatch.setattr(cli.command, "main", broken)
    monkeypatch.delenv("NEXTMOVE_DEBUG", raising=False)
    assert cli._main() == faults.FAILED  # noqa: SLF001 - the entry point would end the test
    terse = capsys.readouterr().err
    monkeypatch.setenv("NEXTMOVE_DEBUG", "1")
    assert cli._main() == faults.FAILED  # noqa: SLF001 - as above
    full = capsys.readouterr().err

    assert re.fullmatch(r"nextmove: a bug: KeyError: 'cart' at \S+test_cli\.py:\d+; set NEXTMOVE_DEBUG=1 .*\n", terse)
    assert full.startswith("Traceback")
    assert full.endswith(terse)


def test_only_panics_are_kept_off_the_screen(tmp_path: Path) -> None:
    """
    What other libraries write to stderr comes through, and so does Python's own.
    """
    code = (
        "import os, sys\n"
        "from pipeline.terminal import engine_muted\n"
        "with engine_muted():\n"
        "    os.write(2, b'a driver speaks\\n')\n"
        "    os.write(2, b\"thread '<unnamed>' panicked at src/inputs.rs:1:2:\\nBox<dyn Any>\\n\" + b'x' * 9999)\n"
        "print('after', file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert result.stderr == b"a driver speaks\nafter\n"


def test_too_many_rejected_records_stop_the_run(day: Path, tmp_path: Path) -> None:
    """
    Above the ratio the run ends with a code of its own; what was rejected is there to be looked at.
    """
    (tmp_path / "strict.yaml").write_text("dead_letters: {ratio_max: 0.001}\nsource: {batch_records: 500}\n")

    result = nextmove("run", day, "--out", "out", "--config", "strict.yaml", cwd=tmp_path)

    assert (result.returncode, result.stdout) == (3, b"")
    assert re.fullmatch(
        rf"nextmove: {day}: \d+ of its last 1,\d\d\d records were rejected, \d+ as \w+; that is \d%,"
        r" and dead_letters\.ratio_max is 0\.001; .*\n",
        result.stderr.decode(),
    )
    assert records(tmp_path / "out" / "dead_letters.jsonl") != []


# --- running ------------------------------------------------------------------------------------------------


def test_the_summary_adds_up_on_stdout(day: Path, tmp_path: Path) -> None:
    """
    The summary is all that is on stdout, and it counts what is in the files.
    """
    result = nextmove("run", day, "--out", "out", cwd=tmp_path)

    summary = result.stdout.decode()
    triggers = records(tmp_path / "out" / "triggers.jsonl")
    retracted = sum("reason" in record for record in triggers)
    sessions = len({record["session_id"] for record in records(tmp_path / "out" / "sessions.jsonl")})
    assert (result.returncode, result.stderr) == (0, b"")
    assert summary.startswith("Done: 3,000 records in ")
    assert "3,000 read: 2,940 accepted, 30 duplicates, 30 dead letters\n" in summary
    assert f"Sessions      {sessions}, with" in summary
    assert f"Triggers      {len(triggers) - retracted}:" in summary
    assert retracted
    assert f"Retracted     {retracted}:" in summary
    assert "Dead letters  30:" in summary
    assert "out/\n              sessions.jsonl calls.jsonl carts.jsonl triggers.jsonl" in summary


def test_outputs_of_an_earlier_run_are_replaced_with_a_word(day: Path, tmp_path: Path) -> None:
    """
    A second run into the same folder says so, and leaves what one run writes.
    """
    nextmove("run", day, "--out", "out", cwd=tmp_path)
    before = records(tmp_path / "out" / "sessions.jsonl")

    result = nextmove("run", day, "--out", "out", cwd=tmp_path)

    assert result.stderr == b"nextmove: will replace the outputs of an earlier run in out\n"
    assert records(tmp_path / "out" / "sessions.jsonl") == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [(), ("--recovery", "state")])
def test_a_signal_stops_a_silent_run_cleanly(number: signal.Signals, options: tuple[str, ...], tmp_path: Path) -> None:
    """
    Ctrl-C and SIGTERM end a run whose stdin is open and silent, at once and with exit code 0. What was open
    is kept with a recovery folder: when the input ends, later, its sessions are there.
    """
    arguments = ("run", "-", "--out", "out", *options)
    with running(*arguments, cwd=tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(b"".join(generate(replace(DAY, malformed_share=0.0))))
        process.stdin.flush()
        until(lambda: records(tmp_path / "out" / "triggers.jsonl"))
        time.sleep(0.5)  # for the rest of it to be read
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)
    sessions = len(records(tmp_path / "out" / "sessions.jsonl"))

    assert (process.returncode, stderr) == (0, b"")
    assert stdout.startswith(b"Stopped: 3,000 records")
    if options:
        assert b"The same command goes on from here." in stdout
        later = nextmove(*arguments, cwd=tmp_path)
        assert (later.returncode, later.stderr) == (0, b"")
        assert len(records(tmp_path / "out" / "sessions.jsonl")) > sessions
    else:
        assert b"with --recovery a run goes on instead" in stdout


def test_a_stopped_replay_goes_on_where_it_was(day: Path, tmp_path: Path) -> None:
    """
    A paced replay that is stopped midway and started again has written, at the end, what one run writes.
    """
    nextmove("run", day, "--out", "whole", cwd=tmp_path)
    halves = ("run", day, "--out", "halves", "--recovery", "state")
    with running(*halves, "--speed", "20000", cwd=tmp_path) as process:
        until(lambda: len(records(tmp_path / "halves" / "triggers.jsonl")) > 5)
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=20)
    stopped = re.match(rb"Stopped: ([\d,]+) records", stdout)
    assert stopped is not None
    assert 0 < int(stopped[1].replace(b",", b"")) < DAY.events

    later = nextmove(*halves, cwd=tmp_path)

    assert (later.returncode, later.stderr) == (0, b"")
    for stream in ("sessions", "carts", "triggers", "suppressed", "identity"):
        whole = records(tmp_path / "whole" / f"{stream}.jsonl")
        assert records(tmp_path / "halves" / f"{stream}.jsonl") == whole, stream


def test_a_due_timer_fires_while_the_input_is_silent(tmp_path: Path) -> None:
    """
    A cart left on a live input makes its trigger within 1.5 s of the due instant, though nothing more is read.
    """
    (tmp_path / "live.yaml").write_text("source: {lateness: 0s}\ncart: {cart_delay: 2s}\n")
    now = datetime.now(UTC)
    calls: list[dict[str, Any]] = [
        {"type": "identify", "traits": {"email": "mara@example.com"}},
        {
            "type": "track",
            "event": "Product Added",
            "properties": {"product_id": "kettle", "cart_id": "c-1", "price": 30, "quantity": 1},
        },
    ]
    lines = [
        json.dumps(
            {
                "messageId": f"m{i}",
                "anonymousId": "a-7",
                "userId": "mara",
                "timestamp": now.isoformat(),
                **call,
            }
        )
        for i, call in enumerate(calls)
    ]
    with running("run", "-", "--out", "out", "--config", "live.yaml", cwd=tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        process.stdin.flush()
        triggers = tmp_path / "out" / "triggers.jsonl"
        until(lambda: triggers.exists() and triggers.stat().st_size, seconds=10)
        seen_at = datetime.now(UTC)
    (trigger,) = (json.loads(line)["data"] for line in triggers.read_bytes().splitlines())

    due_at = datetime.fromisoformat(trigger["cause"]["time"])
    assert trigger["action"] == "cart_abandoned"
    assert timedelta(seconds=2) - timedelta(milliseconds=1) <= due_at - now <= timedelta(seconds=2)
    assert due_at <= datetime.fromisoformat(trigger["emitted_at"]) <= seen_at
    assert seen_at - due_at < timedelta(seconds=1.5)


def test_a_long_run_tells_how_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Without a terminal there is a plain line every few seconds: what was read, how fast, and what came of it.
    """
    tally = Tally(awake=7, sessions=40, top_at=1_795_176_480_000)
    tally.carts["abandoned"], tally.triggers["cart_abandoned"], tally.rejected["bad_time"] = 3, 2, 1
    progress = Progress("waiting for input", line_interval_s=0.0)
    with progress.shown():
        progress.watch(tally)
        tally.read = 1_200
        progress.watch(tally)

    first, second = capsys.readouterr().err.splitlines()
    assert first == "nextmove: waiting for input"
    assert re.fullmatch(
        r"nextmove: 1,200 records, [\d,]+/s, input clock 2026-11-20 12:08:00Z, 7 open profiles, 40 sessions,"
        r" 3 carts abandoned, 2 triggers, 1 dead letters",
        second,
    )


def test_a_live_input_is_told_by_its_lag(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Where the latest event is of just now, its distance says more than its instant.
    """
    progress = Progress("waiting for input", line_interval_s=0.0)
    progress.watch(Tally(read=1, top_at=time.time_ns() // 1_000_000 - 2_000))

    assert re.search(r", lag 2\.\d s, ", capsys.readouterr().err)


# --- demo, generate, check ----------------------------------------------------------------------------------


def test_the_demo_ends_with_a_summary(tmp_path: Path) -> None:
    """
    In a pipe: plain lines, no escape sequences, the day in the time asked for, delays on both clocks, the files.
    """
    began_at = time.monotonic()
    result = nextmove("demo", "--events", "2000", "--seconds", "3", cwd=tmp_path)

    summary, out = result.stdout.decode(), tmp_path / "out" / "demo"
    assert result.returncode == 0
    assert 2.5 < time.monotonic() - began_at < 15
    assert "\x1b" not in summary + result.stderr.decode()
    assert result.stderr.startswith(b"nextmove: generating a day of 2,000 events in out/demo/day.jsonl\nnextmove: ")
    assert summary.startswith("Done: 2,000 records in ")
    delays = re.search(r"Delay +p50 (\d+\.\d\d) s, p99 (\d+\.\d\d) s from the instant", summary)
    assert delays is not None
    assert float(delays[1]) <= float(delays[2]) < 3
    for row in ("People", "Sessions", "Carts", "Triggers", "Suppressed", "Dead letters", "Written to"):
        assert re.search(rf"^{row}  ", summary, re.MULTILINE), row
    assert {"day.jsonl", "sessions.jsonl", "carts.jsonl", "triggers.jsonl", "dead_letters.jsonl"} <= {
        path.name for path in out.iterdir()
    }


def test_the_demo_is_live_on_a_terminal(tmp_path: Path) -> None:
    """
    On a terminal the counts tick and the last triggers scroll by, before the summary.
    """
    terminal, end = pty.openpty()
    shown = bytearray()

    def read() -> None:
        try:
            while piece := os.read(terminal, 65_536):
                shown.extend(piece)
        except OSError:  # Linux says so when the last writer is gone
            pass

    reader = threading.Thread(target=read)
    with subprocess.Popen(
        [*NEXTMOVE, "demo", "--events", "2000", "--seconds", "2"],
        cwd=tmp_path,
        env=ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        stdin=end,
        stdout=end,
        stderr=end,
    ) as process:
        os.close(end)
        reader.start()
        assert process.wait(timeout=60) == 0
    reader.join()
    os.close(terminal)

    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    live, _, summary = text.rpartition("Done: 2,000 records")
    counts = [int(count.replace(",", "")) for count in re.findall(r"([\d,]+)  visitors", live)]
    assert len(counts) > 8
    assert counts == sorted(counts)
    assert len(set(counts)) > 5
    assert "offer prompt" in live
    assert "Triggers" in summary


def test_generated_traffic_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    """
    To a file, to a gzip file and to stdout go the same lines, exactly as many as asked for.
    """
    options = ("--events", "1000", "--seed", "9", "--malformed", "0.01")
    piped = nextmove("generate", "--out", "-", *options, cwd=tmp_path)
    results = [
        nextmove("generate", "--out", name, *options, cwd=tmp_path) for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.gz")
    ]

    assert [result.returncode for result in (piped, *results)] == [0, 0, 0, 0]
    assert piped.stdout.count(b"\n") == 1_000
    assert (tmp_path / "a.jsonl").read_bytes() == piped.stdout
    assert gzip.decompress((tmp_path / "b.jsonl.gz").read_bytes()) == piped.stdout
    assert (tmp_path / "b.jsonl.gz").read_bytes() == (tmp_path / "c.jsonl.gz").read_bytes()
    assert re.fullmatch(rb"nextmove: wrote 1,000 lines, 0\.\d MB, to a\.jsonl in \d+\.\d s\n", results[0].stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl.gz", "c.jsonl.gz"]


def test_a_reader_who_has_seen_enough_is_no_fault(tmp_path: Path) -> None:
    """
    `nextmove generate --out - | head` leaves no message.
    """
    piped = f"{sys.executable} -m pipeline.cli generate --out - --events 20000 | head -1"
    result = subprocess.run(
        ["bash", "-c", piped], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, timeout=60, check=False
    )

    assert (result.stdout.count(b"\n"), result.stderr) == (1, b"")


def test_check_prints_settings_that_run_takes(tmp_path: Path) -> None:
    """
    What check prints is the settings in force, defaults included, and checks to the same.
    """
    (tmp_path / "shop.yaml").write_text("cart: {cart_delay: 45m}\n")

    first = nextmove("check", "shop.yaml", cwd=tmp_path)
    (tmp_path / "effective.yaml").write_bytes(first.stdout)
    second = nextmove("check", "effective.yaml", cwd=tmp_path)

    assert (first.returncode, first.stderr) == (0, b"")
    assert b"cart_delay: 45m\n" in first.stdout
    assert b"checkout_delay: 30m\n" in first.stdout
    assert (second.returncode, second.stdout) == (0, first.stdout)
