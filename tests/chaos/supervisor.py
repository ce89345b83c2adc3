"""Keeps one nextmove running, as an operator's supervisor would, and writes down how each process of it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.pipeline.helpers import ROOT

STOP_S_MAX: Final = 10.0
"""A stop must not take longer: the promise of issue 3."""
# A process that cannot start is not tried in a tight loop.
AGAIN_S: Final = 1.0


class Exit(NamedTuple):
    """How a process ended: when it began and ended (s since the epoch), its code, and the last it said."""

    began_at: float
    ended_at: float
    code: int
    is_ours: bool
    """Whether we had killed or stopped it."""
    words: str

    @property
    def is_clean(self) -> bool:
        """Whether it ended as it was told to: killed by SIGKILL, or with 0 after SIGTERM."""
        return self.is_ours and self.code in (0, -signal.SIGKILL)


class Supervisor:
    """Starts nextmove again whenever it ends."""

    def __init__(self, config: Path, folder: Path, shard: str, arguments: Sequence[str]) -> None:
        """Logs go to `folder`, two files a process; `shard` says which of how many it is, `arguments` are more."""
        self._folder = folder
        self._command = [sys.executable, "-m", "pipeline.cli", "run", "--config", str(config), *arguments]
        ours = {"PYTHONPATH": str(ROOT), "COLUMNS": "110", "NEXTMOVE_SHARD": shard}
        self._environment = {**os.environ, **ours}
        self._process: subprocess.Popen[bytes] | None = None
        self._is_told, self._is_over = False, False
        self._may_run = threading.Event()
        self._may_run.set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.exits: list[Exit] = []
        self.stops_s: list[float] = []
        """How long each stop by SIGTERM took."""

    def start(self) -> None:
        """Start one, and watch; also again, when all was over."""
        assert not self._is_watching, "one at a time"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._is_over = False
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """End it by SIGKILL; the next one is started at once."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """End it by SIGTERM; the next one is started when it has stopped."""
        began_at, count = time.monotonic(), len(self.exits)
        while len(self.exits) == count and self._is_watching:
            self._end(signal.SIGTERM)  # one that was just being started is told, too
            time.sleep(0.02)
        self.stops_s.append(time.monotonic() - began_at)

    def pause(self) -> None:
        """Let it hang."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after a pause."""
        self._signal(signal.SIGCONT)

    def hold(self) -> None:
        """Start none from now on, however the one that runs may end."""
        self._may_run.clear()

    def release(self) -> None:
        """Start one again."""
        self._may_run.set()

    def retire(self) -> None:
        """Start none any more; the one that runs may be ended by others, as we want it to be."""
        with self._lock:
            self._is_over = self._is_told = True
        self.release()

    def join(self) -> None:
        """Wait until all is over."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """End it by SIGTERM, for good."""
        self._is_over = True
        self.release()
        self.terminate()
        self.join()

    def abandon(self) -> None:
        """Leave no process behind, whatever has happened."""
        self._is_over = True
        self.release()
        self._end(signal.SIGKILL)
        self.join()

    def outputs(self) -> list[str]:
        """Return what each process has printed on stdout."""
        return [path.read_text(encoding="utf-8") for path in sorted(self._folder.glob("*.out"))]

    def warnings(self) -> list[str]:
        """Return what each process has said on stderr."""
        return [path.read_text(encoding="utf-8", errors="replace") for path in sorted(self._folder.glob("*.err"))]

    @property
    def _is_watching(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _end(self, number: signal.Signals) -> None:
        with self._lock:
            is_told_so = self._is_told and number == signal.SIGTERM
            if self._process is not None and self._process.poll() is None and not is_told_so:
                self._is_told = True
                self._process.send_signal(number)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(number)

    def _loop(self) -> None:
        while True:
            name = f"{len(self.exits):04d}"
            out, err = self._folder / f"{name}.out", self._folder / f"{name}.err"
            began_at = time.time()
            with self._lock:
                if self._is_over:
                    return
                self._is_told = False
                with out.open("wb") as told, err.open("wb") as warned:
                    self._process = subprocess.Popen(
                        self._command, cwd=self._folder, env=self._environment, stdout=told, stderr=warned
                    )
            code = self._process.wait()
            words = (err.read_text(errors="replace").strip().splitlines() or [""])[-1]
            self.exits.append(Exit(began_at, time.time(), code, self._is_told, words))
            if not self._is_told:
                time.sleep(AGAIN_S)
            self._may_run.wait()
