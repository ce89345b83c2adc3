"""Stopping the run on a recovery folder, wherever on this machine it runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from pipeline.processes import Holder, Process, read_holder
from pipeline.recovery import LOCK_FILE, MEMBER_LOCKS, InUseError, RunError, facts_of, locked

POLL_S: Final = 0.05


@contextmanager
def stopped(folder: Path, timeout_s: float) -> Iterator[bool]:
    """Stop the run that holds the folder, and hold it for the block; tell whether there was one.

    Raises:
        RunError: the folder is none, its run cannot be told to stop, or does not end in time.
    """
    if facts_of(folder) is None:
        raise RunError(f"{folder} is no recovery folder: there is no nextmove.json in it; check the name")
    deadline = time.monotonic() + timeout_s
    before = _holders(folder)
    told: dict[str, Process] = {}
    with ExitStack() as stack:
        while not _is_held(stack, folder):
            for name, holder in _holders(folder).items():
                if name not in told:
                    told[name] = _told_to_end(folder, holder)
            if time.monotonic() > deadline:
                who = f"process {' or '.join(str(one.pid) for one in told.values())}" if told else "the process"
                raise RunError(
                    f"{who} on {folder} has not ended within {timeout_s:g} s; see what it waits for,"
                    " or wait longer with --timeout"
                )
            time.sleep(POLL_S)
        for holder in () if told else before.values():
            if holder.supervisor is not None:
                _end_pause(folder, holder.supervisor, deadline)
        yield bool(told)


def _holders(folder: Path) -> dict[str, Holder]:
    """Return who holds a folder, by the lock: one process, or the members of a cluster that run on this machine."""
    locks = [folder / LOCK_FILE, *sorted(folder.glob(MEMBER_LOCKS))]
    return {path.name: holder for path in locks if (holder := read_holder(path)) is not None}


def _is_held(stack: ExitStack, folder: Path) -> bool:
    try:
        stack.enter_context(locked(folder))
    except InUseError:
        return False
    return True


def _told_to_end(folder: Path, holder: Holder) -> Process:
    """Tell who holds the folder to end, or who would start that again."""
    process = holder.to_signal
    try:
        if process.is_alive and holder.process.is_alive:
            os.kill(process.pid, signal.SIGTERM)
            return process
    except ProcessLookupError:
        pass
    except PermissionError:
        raise RunError(f"process {process.pid} on {folder} is another user's; run this as that user") from None
    if not _is_free(folder):  # else it has just ended by itself
        raise RunError(
            f"{folder} is in use by process {holder.process.pid}, which is not one of this machine or container;"
            " run this where it runs, or stop it there first"
        )
    return process


def _is_free(folder: Path) -> bool:
    with ExitStack() as stack:
        return _is_held(stack, folder)


def _end_pause(folder: Path, supervisor: Process, deadline: float) -> None:
    """Tell a supervisor to end that would start a run again which has crashed: the lock is free meanwhile."""
    with suppress(ProcessLookupError):
        if supervisor.is_alive:
            os.kill(supervisor.pid, signal.SIGTERM)
    while supervisor.is_alive:
        if time.monotonic() > deadline:
            raise RunError(f"process {supervisor.pid}, which would start the run on {folder} again, does not end")
        time.sleep(POLL_S)
