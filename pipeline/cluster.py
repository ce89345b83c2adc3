"""The engine's own cluster mode: several processes, its members, that run one flow together.

Each member has all steps, and of each step some keys: the engine says which, by the number of members, and carries
items to where their key is (`crossing.py` says as what). They live and die together: an epoch is that of all, and when
one member goes the engine ends the others.

Two things it does not do. It says nothing of what a step raised, only that a thread panicked, so `Fault` listens to
all that it calls. And it has no way to stop: each member must be told, and one that is told alone would serve the
others for ever, or wait for ever for others that are not there, so it is given `LEAVE_S_MAX`.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from config.settings import Settings
from pipeline import crossing
from pipeline.faults import FAILED, failed
from pipeline.recovery import RunError

LEAVE_S_MAX: Final = 10.0
"""How long a member that is to end may wait for the others: what Kubernetes gives a pod is three times that."""
POLL_S: Final = 0.5

GONE: Final = (
    "another member of the cluster has gone, so this one ends too; start all of them again, and they go on from the"
    " last checkpoint"
)
LATE: Final = (
    f"told to end, but {LEAVE_S_MAX:.0f} s later other members of the cluster go on, or are not there; tell all of"
    " them; the next run goes on from the last checkpoint"
)

# What the engine calls of a part or a step once it is built.
CALLS: Final = ("next_batch", "next_awake", "on_batch", "write_batch", "snapshot")


class Cluster(NamedTuple):
    """The `process`-th of the members that reach each other at `addresses`."""

    process: int = 0
    addresses: tuple[str, ...] = ()

    @property
    def is_alone(self) -> bool:
        """Whether there is no cluster."""
        return not self.addresses

    @property
    def members(self) -> int:
        """How many there are."""
        return max(1, len(self.addresses))


ALONE: Final = Cluster()
"""The one process that runs a flow by itself."""


def which_cluster(settings: Settings, inputs: Sequence[str], speed: float) -> Cluster:
    """Return which member of a cluster this is.

    Raises:
        RunError: what is to be done cannot be done together.
    """
    cluster = Cluster(settings.cluster.process, settings.cluster.addresses)
    if cluster.is_alone:
        return cluster
    if int(settings.shard.partition("/")[2]) > 1:
        raise RunError("cluster.addresses and shard are two ways to share the work; leave one of them out")
    if "-" in inputs:
        raise RunError("each member of a cluster has a stdin of its own; name files that all of them can read")
    if speed:
        raise RunError("--speed paces the files of one process; leave it out in a cluster")
    address = cluster.addresses[cluster.process]
    host, _, port = address.rpartition(":")
    try:  # the engine would panic without a word
        family, kind, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as mine:
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the engine does
            mine.bind(place)
    except OSError as error:
        raise RunError(
            f"{address}: {error.strerror}; name an address of this machine with a port that is free"
        ) from None
    return cluster


class Told(Protocol):
    """What a run is told to end by."""

    is_told: bool
    """Whether by a signal."""

    def is_set(self) -> bool:
        """Return whether to end."""

    def check(self) -> None:
        """Raise the reason to end, where there is one other than a signal."""


@contextmanager
def member(cluster: Cluster, stop: Told, source: object, steps: object, sink: object) -> Iterator[None]:
    """Let the engine run the flow of these parts as a member of `cluster`; without one nothing is done.

    Raises:
        RunError: another member has gone.
    """
    if cluster.is_alone:
        yield
        return
    crossing.prepare()
    fault = Fault()
    for end in (source, sink):
        vars(end)["build_part"] = fault.heard(end.build_part)  # type: ignore[attr-defined]  # both have it
    for name, step in vars(steps).items():
        if callable(step):
            vars(steps)[name] = fault.heard(step)
    with _leaving(stop):
        try:
            yield
        except BaseException as error:
            if type(error).__name__ != "PanicException" and not isinstance(error, Exception):
                raise
            # Threads of the engine wait for Python, which when it ends ends them, at which they abort the process.
            atexit.register(_end)
            raise (fault.first or RunError(GONE)) from None


class Fault:
    """The first thing that went wrong in what the engine calls."""

    def __init__(self) -> None:
        """Know of nothing yet."""
        self.first: Exception | None = None

    def heard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, listened to, and so is what it builds."""

        def listening(*arguments: Any) -> Any:  # noqa: ANN401 -- whatever the engine hands over
            try:
                result = call(*arguments)
            except StopIteration:
                raise
            except Exception as error:
                self.first = self.first or error
                raise
            for name in CALLS:
                if hasattr(result, name):
                    setattr(result, name, self.heard(getattr(result, name)))
            return result

        return listening


@contextmanager
def _leaving(stop: Told) -> Iterator[None]:
    """End the process if the block has not ended `LEAVE_S_MAX` after the run was told to.

    Signals are heard by a thread: while the engine connects, Python's own handlers have to wait.
    """
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    before = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    is_over = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            heard = os.read(readable, 64) if select.select([readable], [], [], POLL_S)[0] else b""
            if is_over.is_set():
                return
            stop.is_told = stop.is_told or bool({signal.SIGTERM, signal.SIGINT} & {*heard})
        if not is_over.wait(LEAVE_S_MAX):
            _give_up(stop)

    thread = threading.Thread(target=watch, name="leaving the cluster", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        signal.set_wakeup_fd(before)
        os.write(writable, b"\0")
        thread.join()
        os.close(readable)
        os.close(writable)


def _give_up(stop: Told) -> NoReturn:
    fault = RunError(LATE)
    try:
        stop.check()
    except RunError as reason:
        fault = reason
    code = FAILED
    with suppress(OSError):  # whoever reads what we say may have gone
        code = failed(fault)
        time.sleep(0.1)  # for whoever passes on what was said
    os._exit(code)


def _end() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(FAILED)
