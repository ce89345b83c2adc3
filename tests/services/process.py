"""
A server that is a process of ours: started, paused, killed and stopped by its id, and never left behind.

Four things end a server that its test did not: `heal` and the fixtures of plugin.py put right what a failed test
left; a run that ends calls `atexit`; one that is killed takes the server along, for the kernel sends the server
SIGKILL when the thread that started it is gone (`setpriv --pdeathsig`, where there is one: Linux); and a session of
its own keeps the Ctrl-C of the terminal away from it until then.
"""

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
STATE: Final = ROOT / ".services"
"""What is fetched, and what `make services` keeps; git ignores it."""

HOST: Final = "127.0.0.1"
START_S_MAX: Final = 60  # a JVM takes four seconds on two idle cores, and tests share theirs
STOP_S_MAX: Final = 15  # a broker writes out what it holds, which takes two
POLL_S: Final = 0.05

# The kernel takes a thread's end for the parent's: one that lives as long as the run starts every server, so that a
# test may restart one from a thread of its own.
_STARTER: Final = ThreadPoolExecutor(1, thread_name_prefix="services")


class UnavailableError(RuntimeError):
    """The machine has not what a server needs, and it cannot be fetched."""


class NotOursError(RuntimeError):
    """The server was named by an environment variable: it is not ours to kill, pause or start."""


class Server(ABC):
    """One server on loopback. Sub-classes say how it is started and when it answers."""

    name: str

    def __init__(self, folder: Path | None, *, is_kept: bool = False) -> None:
        """`folder` is for all that it writes; None is somebody else's server. `is_kept`: it outlives this process."""
        self._folder = folder
        self._is_kept = is_kept
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def answers(self) -> bool:
        """Ask it once, without waiting for long."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return what starts it in the foreground; called before each start, so it may prepare the folder."""

    def _environment(self) -> Mapping[str, str]:
        return os.environ

    @property
    def folder(self) -> Path:
        """Where it keeps its data and its log."""
        self.needs_control()
        assert self._folder is not None
        return self._folder

    @property
    def log(self) -> Path:
        """What it prints, of all its starts."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        """Process id of the latest start."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    def needs_control(self) -> None:
        """Raise NotOursError unless it can be killed and paused; under pytest that skips the test (plugin.py)."""
        if self._folder is None:
            raise NotOursError(f"this {self.name} is not ours to start, kill or pause")

    def start(self) -> None:
        """Start it where its data is, and wait until it answers."""
        assert not self.is_running, "it runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = _STARTER.submit(self._spawn).result()
        if not self._is_kept:
            atexit.register(self.kill)
        try:
            self.wait_until_answering()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Let it end in order; kill it when that takes too long."""
        self.resume()
        self._signal(signal.SIGTERM)
        self._end()

    def kill(self) -> None:
        """Kill it with SIGKILL: nothing is written out, no client is told."""
        self._signal(signal.SIGKILL)
        self._end()

    def restart(self) -> None:
        """Kill it if it runs, and start it on the same address with the data that is left."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Stop it from running but keep its connections: to a client, a server that hangs. Returns once it does."""
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on after a pause."""
        self._signal(signal.SIGCONT)

    def heal(self) -> None:
        """Bring it back to running, whatever a test has left."""
        if self._folder is None or self._process is None:
            return
        self.resume()
        if self.is_running:
            self.wait_until_answering()
        else:
            self.start()

    def wait_until_answering(self) -> None:
        """Return when it answers; fail with the end of its log when it has ended or takes too long."""
        end_at = time.monotonic() + START_S_MAX
        while not self.answers():
            if not self.is_running:
                raise RuntimeError(f"{self.name} has ended; its log ends with:\n{self._log_end()}")
            if time.monotonic() > end_at:
                raise RuntimeError(f"{self.name}: no answer in {START_S_MAX} s; its log ends with:\n{self._log_end()}")
            time.sleep(POLL_S)

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = self._command()
        if not self._is_kept and (setpriv := shutil.which("setpriv")):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _signal(self, number: signal.Signals) -> None:
        # To the group, for Redis forks to write its file. Asking first keeps us from a number that is someone else's.
        self.needs_control()
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _end(self) -> None:
        if self._process is not None:
            try:
                self._process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(STOP_S_MAX)
        atexit.unregister(self.kill)

    def _log_end(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


def free_ports(count: int) -> list[int]:
    """
    Find ports that nobody listens on.

    They lie below those that the kernel gives to outgoing connections (32768 and up, on Linux). Else a client that
    tries to reach a killed server again and again is, some day, given the server's own port to call from; TCP then
    connects it to itself, and the server cannot come back.
    """
    dice = random.SystemRandom()  # a seed that a test sets must not give two runs the same ports
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            attempt = held.enter_context(socket.socket())
            try:
                attempt.bind((HOST, dice.randint(20_000, 32_000)))
            except OSError:
                continue
            ports.append(attempt.getsockname()[1])
        return ports
