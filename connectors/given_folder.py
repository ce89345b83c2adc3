"""What leads leave to each other, in the recovery folder, which the members of a cluster share."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

KEPT_S: Final = 7 * 86_400
"""How long a state is kept for whoever may have to take it again (design section 5)."""


class GivenFolder:
    """A file for each state, by its tag."""

    def __init__(self, folder: Path, *, fsync: bool) -> None:
        """Make the folder, and remove from it what nobody can want any more."""
        self._folder, self._fsync = folder, fsync
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # another member does so too
                if path.stat().st_mtime < time.time() - KEPT_S:
                    path.unlink()

    def give(self, tag: str, state: bytes) -> None:
        """Keep a state: whoever looks finds all of it, or nothing."""
        new = self._path(tag).with_suffix(".new")
        try:
            with new.open("wb") as file:
                file.write(state)
                if self._fsync:
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:  # which names no file where a disk is full
            raise OSError(error.errno, error.strerror, str(new)) from None
        new.replace(self._path(tag))

    def take(self, tags: Sequence[str]) -> dict[str, bytes]:
        """Return which of the states are there."""
        found = {}
        for tag in tags:
            with suppress(FileNotFoundError):  # not yet
                found[tag] = self._path(tag).read_bytes()
        return found

    def forget(self, lead: str) -> None:
        """Let go of what a lead has left to others."""
        for path in self._folder.glob(f"{quote(lead, safe='-')}@*"):
            path.unlink(missing_ok=True)

    def _path(self, tag: str) -> Path:
        return self._folder / f"{quote(tag, safe='@-')}.state"
