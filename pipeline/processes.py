"""Who holds a recovery folder: written into its lock, so that it can be told to stop.

A number alone says little: it is given to another process later, and to another one in each container. With the
instant at which a process began it is one process. The lock itself is what counts; this only finds its holder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

SUPERVISOR: Final = "NEXTMOVE_SUPERVISOR"
"""The variable by which `--restart` tells its child who it is."""


GONE: Final = ("Z", "X")
"""How the kernel calls a process that has ended and whose parent has not asked for its exit code yet."""


class Process(msgspec.Struct, frozen=True):
    """A process of this machine; `began` is when, in the kernel's own unit, "" where it does not tell."""

    pid: int
    began: str

    @property
    def is_alive(self) -> bool:
        """Whether it runs, here."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it is somebody else's, but it is there
        return _began(self.pid) == self.began


class Holder(msgspec.Struct, frozen=True):
    """Who holds a folder, and who starts that again when it crashes."""

    process: Process
    supervisor: Process | None = None

    @property
    def to_signal(self) -> Process:
        """Whom a SIGTERM is for: a supervisor that is not told takes an end for a crash."""
        return self.supervisor if self.supervisor is not None and self.supervisor.is_alive else self.process


def this_holder() -> Holder:
    """Return this process as the holder of a folder."""
    told = os.environ.get(SUPERVISOR, "")
    above = os.getppid()
    return Holder(_process(os.getpid()), _process(above) if told == str(above) else None)


def read_holder(path: Path) -> Holder | None:
    """Read who holds a folder; None where nobody does, or where that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _process(pid: int) -> Process:
    return Process(pid, _began(pid))


def _began(pid: int) -> str:
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = told.rpartition(")")[2].split()  # its name, in brackets, may hold anything
    state, began = fields[0], fields[19]  # proc(5): the 3rd and the 22nd of all fields
    return "" if state in GONE else began
