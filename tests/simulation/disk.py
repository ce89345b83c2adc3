"""
The disk of a process: real files, whose tails are torn when it dies.

What a checkpoint counts on stays. Beyond it a file may end anywhere, and in anything: what was in the process's own
buffer is gone, or in part, and after a power cut what the file system had not written yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import SEEK_END, SEEK_SET, FileIO
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final, Self

BUFFER_BYTES: Final = 8_192
GARBAGE_BYTES_MAX: Final = 200


class Disk:
    """The files of one process's folder."""

    def __init__(self, root: Path, random: Random, step: Callable[[], None]) -> None:
        """Keep the files below `root`; `step` is called at each instruction at which the process may die."""
        self.root = DiskPath(root)
        self.random, self.step = random, step
        self._open: list[DiskFile] = []
        self._kept: dict[str, int] = {}
        """How much of each changelog a committed epoch counts on."""
        root.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Have paths mean this disk: one process is at work at a time."""
        before, DiskPath.disk = DiskPath.disk, self
        try:
            yield
        finally:
            DiskPath.disk = before

    def opened(self, file: DiskFile) -> None:
        """Hear of an open file."""
        self._open.append(file)

    def committed(self) -> None:
        """Hear that an epoch is committed: what its snapshots name was flushed."""
        self._kept |= {file.name: file.size for file in self._open}

    def die(self) -> int:
        """Close all files as a kill does, and tear what nothing counts on; return how many were torn."""
        for file in self._open:
            file.die()
        self._open.clear()
        return sum(self._tear(path) for path in sorted(Path(self.root).glob("*.log")))

    def _tear(self, path: Path) -> bool:
        size, kept = path.stat().st_size, self._kept.get(path.name, 0)
        match self.random.choice(("whole", "whole", "cut", "garbage")):
            case "cut" if size > kept:
                with path.open("r+b") as file:
                    file.truncate(self.random.randint(kept, size))
            case "garbage":
                with path.open("r+b") as file:
                    file.seek(self.random.randint(kept, size) if size > kept else size)
                    file.write(self.random.randbytes(self.random.randint(1, GARBAGE_BYTES_MAX)))
            case _:
                return False
        return True


class DiskPath(type(Path())):  # type: ignore[misc]  # the class for this system's paths, which only a call names
    """A path on the disk of the process that is at work."""

    disk: ClassVar[Disk | None] = None

    def open(self, mode: str = "r", *_: object, **__: object) -> Any:  # noqa: ANN401 -- as its base has it
        """Open a file, in bytes."""
        disk = DiskPath.disk
        assert disk is not None, f"nobody is at work, and opens {self}"
        disk.step()
        return DiskFile(disk, str(self), mode.replace("b", ""))

    def unlink(self, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 -- as its base has it
        """Remove a file."""
        disk = DiskPath.disk
        assert disk is not None, f"nobody is at work, and removes {self}"
        disk.step()
        super().unlink(missing_ok=missing_ok)


class DiskFile:
    """An open file of a process that may die; what it has not flushed is its own."""

    def __init__(self, disk: Disk, path: str, mode: str) -> None:
        """Open it."""
        self._disk, self._file, self._buffer = disk, FileIO(path, mode), bytearray()
        self.name, self.size = Path(path).name, self._file.seek(0, SEEK_END if "a" in mode else SEEK_SET)
        self._is_dead = False
        disk.opened(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> int:
        """Append."""
        self._disk.step()
        self._buffer += data
        if len(self._buffer) > BUFFER_BYTES:
            self._drain()
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Read."""
        return self._file.read(size) or b""

    def truncate(self, size: int) -> int:
        """Cut off what follows."""
        self._disk.step()
        return self._file.truncate(size)

    def flush(self) -> None:
        """Hand all that is written to the system."""
        if not self._is_dead:
            self._disk.step()
            self._drain()

    def fileno(self) -> int:
        """Return the system's number of it."""
        return self._file.fileno()

    def close(self) -> None:
        """Flush and let go; nothing where the process is dead."""
        if not self._is_dead:
            self._drain()
            self._file.close()

    def die(self) -> None:
        """Be closed by the system; some of what was not flushed may have been on its way."""
        if not self._is_dead and not self._file.closed:
            some = self._disk.random.randint(0, len(self._buffer)) if self._disk.random.random() < 0.3 else 0
            self._file.write(self._buffer[:some])
            self._file.close()
        self._is_dead = True

    def _drain(self) -> None:
        if self._buffer and not self._file.closed:
            self.size += self._file.write(self._buffer)
            self._buffer.clear()
