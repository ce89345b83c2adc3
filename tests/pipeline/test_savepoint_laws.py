"""
Savepoints as a law: whatever is saved and gone on from, in however many parts, the records are those of one run.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from config.durations import HOUR, MINUTE, SECOND
from pipeline.checkpoint import Saved, manifest_of
from pipeline.manifest import Manifest, read_manifest
from pipeline.recovery import SEED_FILE, RecoveryFacts, locked
from pipeline.savepoint import Part, save, take_up
from pipeline.shards import ALONE
from tests.pipeline.helpers import (
    SMALL,
    Act,
    Action,
    Crash,
    Player,
    Read,
    acts,
    as_arrived,
    lines_of,
    reference,
    scripts,
    split,
    without_coordinates,
)
from tests.pipeline.test_key_groups import act

OUT: Final = "out"

# What a savepoint must not forget: whose a device is, and which events were told before.
KNOWN_BEFORE: Final = [act("view"), act("identify"), act("view", 10 * MINUTE), act("add"), act("page", 3 * HOUR)]
TOLD_TWICE: Final = [act("view"), act("view", SECOND), act("again", 20 * SECOND), act("page", 3 * HOUR)]
EARLY: Final = Read(((0, 2, True),))


class Mover(Player):
    """Plays a log; where the script has a crash, it may go on from a savepoint instead."""

    def __init__(self, partitions: dict[str, list[bytes]], folder: Path, moves: Sequence[int]) -> None:
        """`moves` says for one crash after the other through how many parts it moves; 0: it is a crash.

        Below 0 it moves after a checkpoint, as a run that is stopped does, else from the last one there is.
        """
        (folder / "0").mkdir()
        super().__init__(SMALL, partitions, folder / "0")
        self._root, self._moves, self._count = folder, list(moves), 0
        self._seed: Manifest | None = None
        self._facts = RecoveryFacts(key_groups=SMALL.key_groups, inputs=list(partitions), out=OUT)

    def crash(self) -> None:
        """Crash, or move."""
        parts = self._moves.pop(0) if self._moves else 0
        if parts < 0:
            self.checkpoint()
        if parts:
            self.move(abs(parts))
        super().crash()

    def move(self, count: int) -> None:
        """Save the last checkpoint; go on in a new folder, by way of `count` folders that own a share of the groups."""
        assert self._folder is not None
        manifest = manifest_of(self._facts, Saved(1, 0, self._saved), self._seed)
        saved = self._root / f"{self._count}.saved"
        save(Part(self._folder, manifest), saved)
        if count > 1:
            apart = self._root / f"{self._count}.apart"
            for shard in range(count):
                folder = self._made(saved, f"{self._count}.{shard}-of-{count}", partial(is_owned, shard, count))
                part = read_manifest(folder / SEED_FILE)
                part.shard, part.shards = shard, count
                save(Part(folder, part), apart)
            saved = apart
        self._count += 1
        self._folder = self._made(saved, str(self._count), lambda _: True)
        self._seed = read_manifest(self._folder / SEED_FILE)
        self._saved = {name: {} for name in self._saved}

    def _made(self, savepoint: Path, name: str, owns: Callable[[int], bool]) -> Path:
        folder = self._root / name
        with locked(folder) as state:
            take_up(state, savepoint, None, ALONE.name)
            state.begin(self._facts, owns)
        return folder


def is_owned(shard: int, shards: int, group: int) -> bool:
    return group % shards == shard


@given(
    done=acts(),
    script=scripts(with_crashes=True),
    partitions=st.integers(1, 3),
    moves=st.lists(st.sampled_from((-1, -3, -2, 2, 1, 0)), max_size=4),
)
@example(done=KNOWN_BEFORE, script=[EARLY, Crash()], partitions=1, moves=[-1])
@example(done=KNOWN_BEFORE, script=[EARLY, Crash(), Crash()], partitions=1, moves=[-1, 2])
@example(done=TOLD_TWICE, script=[EARLY, Crash()], partitions=1, moves=[-3])
def test_no_savepoint_changes_what_is_told(
    done: list[Act], script: list[Action], partitions: int, moves: list[int]
) -> None:
    """
    Batches, checkpoints, crashes, savepoints, parts of savepoints put together again: what is told is the same.
    """
    lines = as_arrived(lines_of(done))
    with TemporaryDirectory() as folder:
        told = Mover(split(lines, partitions), Path(folder), moves).play(script)

    whole = reference(SMALL, lines)
    assert without_coordinates(told) == without_coordinates(whole)
