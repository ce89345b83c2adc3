"""What every benchmark shares: processes and what they cost, folders, the machine, and how figures are told.

The work of the bare loops and their input come from `../shared/bench`, beside this repository. A checkout
without it still measures state; what is left out is said aloud (`missing_shared`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
CACHE: Final = Path(os.environ.get("BENCH_FOLDER") or ROOT / ".bench")
"""Inputs, outputs and states of benchmarks; ignored by git, and all of it can be made again."""
SHARED: Final = ROOT.parent / "shared" / "bench"
GENERATOR: Final = SHARED / "generate_events.py"
PEERS: Final = SHARED / "peers"
SEED: Final = 7
# The generator's own proportion: 50,000 visitors to a million events.
EVENTS_A_VISITOR: Final = 20
# How often a child's memory is looked at; what it takes only in its last moments may be missed.
POLL_S: Final = 0.02
LIBRARIES: Final = ("bytewax", "confluent-kafka", "msgspec", "orjson", "numpy", "redis", "hiredis")


class BenchmarkError(Exception):
    """A benchmark that cannot go on: one line with the cause."""


class Usage(NamedTuple):
    """What a process took: seconds on the clock, seconds of CPU (user and system), most memory."""

    wall_s: float
    cpu_s: float
    rss_mb: float


class Spread(NamedTuple):
    """Of several measurements the middle one and both ends."""

    middle: float
    low: float
    high: float

    def told(self, form: str = ",.2f") -> str:
        """Write it as "middle (low-high)"."""
        return f"{self.middle:{form}} ({self.low:{form}}-{self.high:{form}})"


def spread(values: Sequence[float]) -> Spread:
    """Sum up several measurements."""
    return Spread(median(values), min(values), max(values))


def missing_shared() -> str:
    """Say in one line what of `../shared/bench` is not there; "" when all is."""
    wanted = (GENERATOR, PEERS / "bare" / "bare_orjson.py", PEERS / "bare" / "bare_msgspec.py")
    gone = [os.path.relpath(path, ROOT) for path in wanted if not path.is_file()]
    return f"{', '.join(gone)} not found: no comparison with the bare loops" if gone else ""


def environment() -> dict[str, str]:
    """Return the environment in which a child finds our packages, installed or not."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}


def measured(
    command: Sequence[str | Path], *, stdin: Path | None = None, is_done: Callable[[], bool] | None = None
) -> Usage:
    """Run `command` to its end and tell what it took; what has no end of its own is told to stop once `is_done`.

    Raises:
        BenchmarkError: it failed; the message ends with the last line it wrote.
    """
    return measured_together([command], stdin=stdin, is_done=is_done)[0]


def measured_together(
    commands: Sequence[Sequence[str | Path]], *, stdin: Path | None = None, is_done: Callable[[], bool] | None = None
) -> list[Usage]:
    """Run several commands beside each other to their ends, as `measured` does one; when one fails, all are ended.

    Raises:
        BenchmarkError: one failed; the message ends with the last line it wrote.
    """
    children: list[_Child] = []
    try:
        for number, command in enumerate(commands):
            children.append(_Child(command, stdin, CACHE / f"last-{number}.log"))
        left = list(children)
        while left:
            time.sleep(POLL_S)
            left = [child for child in left if not child.has_ended()]
            if is_done is not None and left and is_done():
                for child in left:
                    child.process.send_signal(signal.SIGTERM)
                is_done = None
    finally:
        for child in children:
            child.process.kill()  # nothing to a child that has ended
            child.process.wait()
    return [child.usage for child in children]


class _Child:
    """A process that is measured."""

    def __init__(self, command: Sequence[str | Path], stdin: Path | None, log: Path) -> None:
        self._command, self._log = command, log
        log.parent.mkdir(exist_ok=True)
        self._began_s = time.perf_counter()
        with log.open("wb") as told, (stdin or Path(os.devnull)).open("rb") as fed:
            self.process = subprocess.Popen(command, stdin=fed, stdout=told, stderr=told, env=environment())
        self.usage = Usage(0.0, 0.0, 0.0)

    def has_ended(self) -> bool:
        """Look at it; tell whether it has ended, and well."""
        rss_mb = max(self.usage.rss_mb, memory_mb(self.process.pid))
        ended, status, used = os.wait4(self.process.pid, os.WNOHANG)
        self.usage = Usage(time.perf_counter() - self._began_s, used.ru_utime + used.ru_stime, rss_mb)
        if not ended:
            return False
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            last = (self._log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
            command = " ".join(map(str, self._command))
            raise BenchmarkError(f"{command} ended with {self.process.returncode} and said: {last}")
        return True


def memory_mb(pid: int | str, field: str = "VmHWM") -> float:
    """Return what Linux tells of a process's memory: `VmHWM`, the most so far, or `VmRSS`, that of now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds, user and system, that a living process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def folder_bytes(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def events_file(events: int, visitors: int = 0) -> Path:
    """Return the shared generator's file of so many events, made if it is not there yet; 0 visitors: its usual few."""
    path = CACHE / (f"events-{events}-{visitors}.jsonl" if visitors else f"events-{events}.jsonl")
    if not path.exists():
        part = path.with_suffix(".part")
        visitors = visitors or max(1, events // EVENTS_A_VISITOR)
        command: list[str | Path] = [sys.executable, GENERATOR, "--out", part, "--seed", str(SEED)]
        measured([*command, "--events", str(events), "--visitors", str(visitors)])
        part.rename(path)
    return path


def sha256(path: Path) -> str:
    """Return the first twelve digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def facts(command: str) -> dict[str, str]:
    """Return what a recorded figure is worth nothing without: machine, versions, commit, command."""
    cpu = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "command": command,
        "commit": commit(),
        "machine": f"{cpu}, {os.cpu_count()} cores, {memory_bytes / 2**30:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
    }


def commit() -> str:
    """Return the short name of the commit, with a + where files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=False
    )
    return f"{head.stdout.strip() or 'unknown'}{'+' * bool(changed.stdout.strip())}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
