"""The recovery folder: its lock, and what it was made with and must be used with."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec
from bytewax.recovery import RecoveryConfig, init_db_dir

STATE_FILE: Final = "nextmove.json"


class RunError(Exception):
    """Why a run cannot start or go on: one line with cause and cure."""


class RecoveryFacts(msgspec.Struct, kw_only=True):
    """What a recovery folder was made with.

    `inputs` are files, or what names the topics; `out` is a folder, or what the topics' names begin with.
    `starts` says where reading each partition of a topic began,
    `trigger_ends` says where the partitions of triggers ended when the folder was made, `store_id` which
    shared store of identities its states go with, `shard` whose they are, and `slots` how many partitions the internal
    topic had.
    """

    version: int = 1
    key_groups: int
    inputs: list[str]
    out: str
    identity: Literal["embedded", "redis"] = "embedded"
    starts: dict[str, int] = {}
    trigger_ends: dict[str, int] = {}
    store_id: str = ""
    shard: str = "0-of-1"
    slots: int = 1


class Recovery:
    """A recovery folder that this process has locked."""

    def __init__(self, folder: Path) -> None:
        """Read what is known of it.

        Raises:
            RunError: what is there cannot be read.
        """
        self.folder = folder
        self.known = _known_facts(folder)
        """What it was made with; None where it is new."""

    def begin(self, facts: RecoveryFacts) -> RecoveryConfig:
        """Return the engine's handle on the folder, made with `facts` if it is new.

        Raises:
            RunError: it was made with others that these cannot follow.
        """
        if self.known is None:
            init_db_dir(self.folder, 1)  # type: ignore[no-untyped-call]  # bytewax has no types here
        else:
            _check_facts(self.folder, self.known, facts)
        new = self.folder / f"{STATE_FILE}.new"
        new.write_bytes(msgspec.json.encode(facts))
        new.replace(self.folder / STATE_FILE)
        return RecoveryConfig(self.folder)  # type: ignore[no-untyped-call]  # bytewax has no types here

    @property
    def starts(self) -> Mapping[str, int]:
        """Where reading each partition began when the folder was made; nothing where it is made now."""
        return {} if self.known is None else self.known.starts

    @property
    def trigger_ends(self) -> Mapping[str, int] | None:
        """Where the partitions of triggers ended when the folder was made; None where it is made now."""
        return None if self.known is None else self.known.trigger_ends


@contextmanager
def locked(folder: Path) -> Iterator[Recovery]:
    """Make the folder if need be, and hold its lock.

    Raises:
        RunError: another process holds it, or it cannot be made or read.
    """
    make_folder(folder)
    try:
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}; name a folder that can be written") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{folder} is in use by another run; wait for it to end or name another folder") from None
        yield Recovery(folder)


def make_folder(folder: Path) -> None:
    """Make a folder.

    Raises:
        RunError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}; name a folder that can be written") from None


def _known_facts(folder: Path) -> RecoveryFacts | None:
    try:
        return msgspec.json.decode((folder / STATE_FILE).read_bytes(), type=RecoveryFacts)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise RunError(f"{folder / STATE_FILE}: {error}; restore it, or start with an empty folder") from None


def _check_facts(folder: Path, known: RecoveryFacts, facts: RecoveryFacts) -> None:
    if known.key_groups != facts.key_groups:
        raise RunError(
            f"{folder} was made with key_groups: {known.key_groups}, not {facts.key_groups};"
            " the number is fixed for the life of the state: set it back, or start with an empty folder"
        )
    if known.shard != facts.shard:
        raise RunError(
            f"{folder} was made by shard {known.shard}, not {facts.shard}: another number of shards needs a savepoint;"
            " set the shard back, or start with an empty folder"
        )
    if known.out != facts.out:
        raise RunError(f"{folder} belongs to the output {known.out}; name that, or start with an empty folder")
    if known.identity != facts.identity:
        raise RunError(
            f"{folder} was made with the {known.identity} store of identities, not the {facts.identity} one:"
            " who is who is in the other; set identity.redis_url as it was, or start with an empty folder"
        )
    gone = [name for name in known.inputs if name not in facts.inputs]
    if gone:
        raise RunError(
            f"{folder} was made with the input {gone[0]}; name it too, as it was, or start with an empty folder"
        )
