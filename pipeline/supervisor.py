"""Starting a run again after a crash: `nextmove run --restart N`, where nothing else on the machine would.

The parent waits for signals and does nothing else: it takes them one at a time with sigwait, so that there is no
handler that a signal could find half-way. Linux only, for the kernel's word to the child when its parent is gone.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from pipeline.processes import SUPERVISOR

PAUSE_S_MIN: Final = 1.0
PAUSE_S_MAX: Final = 60.0
WELL_S: Final = 600.0
"""A run that lasted this long had recovered from what came before; its crash is the first of a new row."""

FINAL: Final = frozenset({0, 2, 3, 130})
"""Exit codes after which the same command would end in the same way; pipeline/cli.py tells what they mean."""

ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
PASSED: Final = ENDING | {signal.SIGHUP}
"""Signals that are the child's."""
PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def backoff_s(tries: int) -> float:
    """Double the pause with each try, and spread it: what failed together should not come back together."""
    longest_s = min(PAUSE_S_MAX, PAUSE_S_MIN * 2.0 ** min(tries - 1, 10))
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 -- no secret


def supervise(
    command: Sequence[str],
    restarts: int,
    *,
    pause_s: Callable[[int], float] = backoff_s,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Run `command` and start it again when it crashes; return its exit code, 128 + n for signal n.

    A crash is an end by a signal, or by an exit code that is not in `FINAL`. After `restarts` of them in a row it
    gives up. SIGTERM and SIGINT go to the child, whose exit code is then the result, or end a pause: 0, for what
    is to be kept is in the recovery folder. SIGHUP goes to the child, in a pause to the next one. `pause_s` is how long
    to wait before the n-th restart in a row.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED | {signal.SIGCHLD})
    try:
        tries = 0
        while True:
            began_at = clock()
            code, is_told = _run(command, before)
            if is_told or code in FINAL:
                return code if code >= 0 else 128 - code
            if clock() - began_at >= WELL_S:
                tries = 0
            if tries == restarts:
                _say(f"gave up after {restarts} restart{'s' if restarts > 1 else ''} in a row; {_reason(code)}")
                return code if code >= 0 else 128 - code
            tries += 1
            pause = pause_s(tries)
            _say(f"{_reason(code)}; starting again in {pause:.2g} s ({tries} of {restarts})")
            if signal.sigtimedwait(ENDING, pause) is not None:
                return 0
    finally:
        while signal.sigtimedwait(PASSED, 0) is not None:
            pass  # said too late: it has ended, and the exit code is told
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def own_command(option: str) -> list[str]:
    """Return the command that started this process, without `option` and its value."""
    command = [sys.executable]
    arguments = iter(sys.orig_argv[1:])
    for argument in arguments:
        if argument == option:
            next(arguments, None)
        elif not argument.startswith(f"{option}="):
            command.append(argument)
    return command


def _run(command: Sequence[str], mask: set[int | signal.Signals]) -> tuple[int, bool]:
    """Run the child to its end; return its code, -n for signal n, and whether it was told to end."""
    parent = os.getpid()
    libc = ctypes.CDLL(None)  # before the fork, after which little may be done
    environment = os.environ | {SUPERVISOR: str(parent)}

    def prepare() -> None:
        """Ask the kernel for a SIGTERM when the parent dies, lest the child keep the recovery folder's lock."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it listens: what this asks for, it does at its start
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was asked
            os.kill(os.getpid(), signal.SIGTERM)

    is_told = False
    # This process has one thread, so that nothing can be locked in the fork.
    with subprocess.Popen(command, env=environment, preexec_fn=prepare) as child:  # noqa: PLW1509, S603 -- see above; our own command
        while child.poll() is None:
            number = signal.sigwait(PASSED | {signal.SIGCHLD})
            if number in PASSED:
                is_told = is_told or number in ENDING
                child.send_signal(number)
    return child.returncode, is_told


def _reason(code: int) -> str:
    if code >= 0:
        return f"run ended with exit code {code}"
    try:
        return f"run ended by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"run ended by signal {-code}"


def _say(line: str) -> None:
    print(f"nextmove: {line}", file=sys.stderr, flush=True)  # noqa: T201 -- a word to whoever operates it
