"""The recovery folder: its lock, and what it was made with and must be used with."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple
from uuid import uuid4

import msgspec
from bytewax.recovery import RecoveryConfig, init_db_dir

from connectors import journal
from pipeline.processes import this_holder
from pipeline.version import own_version

STATE_FILE: Final = "nextmove.json"
SEED_FILE: Final = "seed.json"
"""What a folder that was made from a savepoint starts from until its own first checkpoint."""
LOCK_FILE: Final = "lock"
ENGINE_FILES: Final = "part-*.sqlite3"
TOKEN_FILE: Final = "life"  # noqa: S105 -- no secret
"""Tells this folder from another one of the same shard: it is made once, and outlives a start that was cut off."""
OWN_FILES: Final = (
    "identity.*.log",
    "visitors-*.*.log",
    "profiles-*.*.log",
    journal.PATTERN,
    f"{ENGINE_FILES}*",
    SEED_FILE,
)
"""All that a run makes beside its facts; whoever names a folder that is not empty keeps the rest of it."""
FACTS_VERSION: Final = 1
MEMBER_LOCKS: Final = "lock-*"
"""Those that members of a cluster have each."""
# How long another member of a cluster may take to make the folder, or to find its brokers.
GATE_S_MAX: Final = 60.0
GATE_POLL_S: Final = 0.05


class RunError(Exception):
    """Why a run cannot start or go on: one line with cause and cure."""


class RecoveryFacts(msgspec.Struct, kw_only=True):
    """What a recovery folder was made with.

    `inputs` are files, or what names the topics; `out` is a folder, or what the topics' names begin with.
    `starts` says where reading each partition of a topic began, `trigger_ends` where the partitions of triggers ended
    when the folder was made, `store_id` which shared store of identities its states go with, `shard` whose they are,
    `slots` how many partitions the internal topic had, `timeline` the life that these shards share, and `readers` in
    how many parts topics are read. Where the folder was made from a savepoint, `savepoint` says from which, `leftovers`
    where the internal topic ended then, and `lives` how many batches the shards of former lives had taken in, by their
    timelines. `nextmove` is which version was the last to run on it.
    """

    version: int = FACTS_VERSION
    key_groups: int
    inputs: list[str]
    out: str
    identity: Literal["embedded", "redis"] = "embedded"
    starts: dict[str, int] = {}
    trigger_ends: dict[str, int] = {}
    store_id: str = ""
    shard: str = "0-of-1"
    slots: int = 1
    timeline: str = ""
    lives: dict[str, dict[str, int]] = {}
    leftovers: dict[str, int] = {}
    readers: int = 1
    savepoint: str = ""
    nextmove: str = ""


class Origin(NamedTuple):
    """The savepoint that a new folder is made from.

    `unpack` puts its states and seed into the folder: those of the key groups that it says yes to.
    """

    place: Path
    facts: RecoveryFacts
    unpack: Callable[[Path, Callable[[int], bool]], None]


class InUseError(RunError):
    """Another process holds the folder's lock."""


class Recovery:
    """A recovery folder that this process has locked."""

    def __init__(self, folder: Path, gate: IO[bytes] | None = None) -> None:
        """Read what is known of it; `gate` keeps other members of a cluster waiting until it is ready.

        Raises:
            RunError: what is there cannot be read.
        """
        self.folder, self._gate = folder, gate
        self.known = facts_of(folder)
        """What it was made with, or what the savepoint was that it comes from; None where it is quite new."""
        self.is_new = self.known is None
        self._origin: Origin | None = None

    def come_from(self, origin: Origin) -> None:
        """Make the folder from a savepoint, once it begins; it is new."""
        assert self.is_new, "a folder that has a past comes from there"
        self._origin, self.known = origin, origin.facts

    def begin(self, facts: RecoveryFacts, owns: Callable[[int], bool]) -> RecoveryConfig:
        """Return the engine's handle on the folder, made with `facts` if it is new; of a savepoint it `owns` groups.

        Raises:
            RunError: it was made with others that these cannot follow.
        """
        if self.known is not None:
            place = self.folder if self._origin is None else self._origin.place
            readers = self.known.readers if self._origin is None else facts.readers
            _check_facts(place, msgspec.structs.replace(self.known, readers=readers), facts)
            facts = msgspec.structs.replace(facts, savepoint=self.known.savepoint)
        if self.is_new:
            _clear(self.folder)
            if self._origin is not None:
                self._origin.unpack(self.folder, owns)
            init_db_dir(self.folder, 1)  # type: ignore[no-untyped-call]  # bytewax has no types here
        self.known = facts = msgspec.structs.replace(facts, nextmove=own_version())
        new = self.folder / f"{STATE_FILE}.new"
        new.write_bytes(msgspec.json.encode(facts))
        new.replace(self.folder / STATE_FILE)
        if self._gate is not None:
            self._gate.close()
        return RecoveryConfig(self.folder)  # type: ignore[no-untyped-call]  # bytewax has no types here

    def token(self) -> str:
        """Return what tells this folder from any other."""
        path = self.folder / TOKEN_FILE
        if not path.exists():
            new = self.folder / f"{TOKEN_FILE}.new"
            new.write_bytes(uuid4().hex.encode())
            new.replace(path)
        return path.read_bytes().decode()

    @property
    def starts(self) -> Mapping[str, int]:
        """Where reading each partition began when the folder was made; nothing where it is made now."""
        return {} if self.known is None else self.known.starts

    @property
    def trigger_ends(self) -> Mapping[str, int] | None:
        """Where the partitions of triggers ended when the folder was made; None where it is made now."""
        return None if self.known is None else self.known.trigger_ends


@contextmanager
def locked(folder: Path, member: int = 0, addresses: Sequence[str] = ()) -> Iterator[Recovery]:
    """Make the folder if need be, and hold its lock.

    The members of one cluster, that is of the same `addresses`, hold it together; each has a lock of its own too.

    Raises:
        RunError: another process holds it, or it cannot be made or read.
    """
    make_folder(folder)
    with ExitStack() as stack:
        try:
            lock = stack.enter_context((folder / LOCK_FILE).open("a+b"))
            gate = stack.enter_context((folder / "gate").open("ab")) if addresses else None
            mine = stack.enter_context((folder / f"lock-{member}").open("a+b")) if addresses else lock
        except OSError as error:
            raise RunError(f"{folder}: {error.strerror}; name a folder that can be written") from None
        since = time.monotonic()
        while gate is not None and not _holds(gate, fcntl.LOCK_EX):
            if time.monotonic() - since > GATE_S_MAX:
                raise RunError(f"{folder} is held by another member that does not start; see what hinders it")
            time.sleep(GATE_POLL_S)
        if not _holds(mine, fcntl.LOCK_EX) or (gate is not None and not _joins(lock, ",".join(addresses).encode())):
            raise InUseError(f"{folder} is in use by another run; wait for it to end or name another folder")
        mine.truncate(0)
        mine.write(msgspec.json.encode(this_holder()))
        mine.flush()
        try:
            yield Recovery(folder, gate)
        finally:
            mine.truncate(0)


def _holds(lock: IO[bytes], how: int) -> bool:
    """Take a lock, if that can be done at once."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _joins(lock: IO[bytes], cluster: bytes) -> bool:
    """Take a folder's lock together with the others of `cluster`, whose name the first of them writes into it."""
    if _holds(lock, fcntl.LOCK_EX):
        lock.truncate(0)
        lock.write(cluster)
        lock.flush()
    lock.seek(0)
    return _holds(lock, fcntl.LOCK_SH) and lock.read() == cluster


def make_folder(folder: Path) -> None:
    """Make a folder.

    Raises:
        RunError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}; name a folder that can be written") from None


def facts_of(folder: Path) -> RecoveryFacts | None:
    """Return what a recovery folder was made with, None for a folder that is none.

    Raises:
        RunError: that cannot be read.
    """
    try:
        facts = msgspec.json.decode((folder / STATE_FILE).read_bytes(), type=RecoveryFacts)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise RunError(f"{folder / STATE_FILE}: {error}; restore it, or start with an empty folder") from None
    if facts.version > FACTS_VERSION:
        raise RunError(
            f"{folder} is of format {facts.version}, of which this nextmove knows {FACTS_VERSION};"
            " use the later one that made it"
        )
    return facts


def folders_in(root: Path) -> list[Path]:
    """Return `root` itself, or where it has the folders of shards, those."""
    if (root / STATE_FILE).exists():
        return [root]
    return sorted(path.parent for path in root.glob(f"*-of-*/{STATE_FILE}")) or [root]


def _clear(folder: Path) -> None:
    """Remove what a start that was cut off has left: it had nothing to lose yet.

    Raises:
        RunError: what is there is more than that.
    """
    own = [path for pattern in OWN_FILES for path in folder.glob(pattern)]
    has_states = any(path.suffix == ".log" for path in own)
    if has_states and any(folder.glob(ENGINE_FILES)) and not (folder / SEED_FILE).exists():
        raise RunError(f"{folder} has states but no {STATE_FILE}; restore it, or start with an empty folder")
    for path in own:
        path.unlink()


def _check_facts(place: Path, known: RecoveryFacts, facts: RecoveryFacts) -> None:
    if known.key_groups != facts.key_groups:
        raise RunError(
            f"{place} was made with key_groups: {known.key_groups}, not {facts.key_groups};"
            " the number is fixed for the life of the state: set it back, or start with an empty folder"
        )
    if known.shard != facts.shard:
        raise RunError(
            f"{place} was made by shard {known.shard}, not {facts.shard}: another number of shards needs a savepoint;"
            " set the shard back, or start with an empty folder"
        )
    if known.readers != facts.readers:
        raise RunError(
            f"{place} was made by a cluster of {known.readers}, which share out the partitions, not of"
            f" {facts.readers}; name as many addresses as then, or start with an empty folder"
        )
    if known.out != facts.out:
        raise RunError(f"{place} belongs to the output {known.out}; name that, or start with an empty folder")
    if known.identity != facts.identity:
        raise RunError(
            f"{place} was made with the {known.identity} store of identities, not the {facts.identity} one:"
            " who is who is in the other; set identity.redis_url as it was, or start with an empty folder"
        )
    gone = [name for name in known.inputs if name not in facts.inputs]
    if gone:
        raise RunError(
            f"{place} was made with the input {gone[0]}; name it too, as it was, or start with an empty folder"
        )
