"""
Reading the engine's store by the engine's rules, and nothing but plain values out of it.
"""

import pickle
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bytewax.recovery import init_db_dir
from hypothesis import given
from hypothesis import strategies as st

from pipeline import group_snapshot
from pipeline.checkpoint import plain, read_checkpoint
from pipeline.group_snapshot import GroupSnapshot
from pipeline.recovery import RecoveryFacts, RunError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=5,
)


class Touch:
    """What a pickle can do to whoever reads it: here, make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@given(value=PLAIN)
def test_plain_values_are_read(value: object) -> None:
    """
    What a step gives the engine is read as it was.
    """
    assert plain(pickle.dumps(value)) == value


def test_nothing_else_is_read(tmp_path: Path) -> None:
    """
    A pickle that names a class or a function is refused, and what it would have called is not called.
    """
    for value in (date(2026, 1, 1), Touch(tmp_path / "touched"), Path("a"), len):
        with pytest.raises(pickle.UnpicklingError, match="a snapshot that names "):
            plain(pickle.dumps([1, {"a": value}]))

    assert list(tmp_path.iterdir()) == []


def lane(*groups: int, generation: int = 0) -> bytes:
    """What a lane gives the engine; the generation tells one epoch's from another's."""
    snapshots = [group_snapshot.write_snapshot(GroupSnapshot(group, generation, 21, 5, 6, 7)) for group in groups]
    return msgspec.msgpack.encode(snapshots)


def folder(
    path: Path,
    executions: list[tuple[int, int]],
    frontiers: list[tuple[int, int]],
    snapshots: list[tuple[str, str, int, Any]],
) -> Path:
    """A recovery folder in whose store the engine has written this: (execution, epoch it began at), and so on."""
    path.mkdir()
    init_db_dir(path, 1)  # type: ignore[no-untyped-call]  # bytewax has no types here
    facts = RecoveryFacts(key_groups=8, inputs=["day.jsonl"], out="out", nextmove="0.1.0")
    (path / "nextmove.json").write_bytes(msgspec.json.encode(facts))
    with closing(sqlite3.connect(path / "part-0.sqlite3")) as base, base:
        base.executemany("INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (?, 1, ?)", executions)
        base.executemany("INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (?, 0, ?)", frontiers)
        rows = [(f"nextmove.{step}", key, epoch, pickle.dumps(value)) for step, key, epoch, value in snapshots]
        base.executemany("INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, ?, ?)", rows)
    return path


@pytest.mark.parametrize(
    ("executions", "frontiers", "epoch", "place", "generation"),
    [
        pytest.param([(0, 1)], [(0, 3)], 3, (20, 2), 2, id="epoch 3 was cut off"),
        pytest.param([(0, 1)], [(0, 4)], 4, (30, 3), 2, id="epoch 3 is whole"),
        pytest.param([(0, 1), (1, 3)], [(0, 4)], 3, (20, 2), 2, id="a second run began at 3, and has saved nothing"),
        pytest.param([(0, 1), (1, 3)], [(0, 3), (1, 4)], 4, (30, 3), 2, id="a second run began at 3, and saved it"),
        pytest.param([(0, 1)], [(0, 2)], 2, (10, 1), 1, id="epoch 2 was cut off"),
    ],
)
def test_the_last_whole_epoch_counts(
    executions: list[tuple[int, int]],
    frontiers: list[tuple[int, int]],
    epoch: int,
    place: tuple[int, int],
    generation: int,
    tmp_path: Path,
) -> None:
    """
    Of each key the last row before the epoch that the engine would resume from: rows of an epoch that was cut off are
    there too, and a key that slept has an older one.
    """
    written: list[tuple[str, str, int, Any]] = [
        ("source", "day.jsonl", number, (number * 10, number)) for number in (1, 2, 3)
    ]
    written += [("visitors", "0", number, lane(0, 1, generation=number)) for number in (1, 2)]
    made = folder(tmp_path / "state", executions, frontiers, [*written, ("sink", "carts", 1, 77)])

    found = read_checkpoint(made)

    assert (found.epoch, found.places, found.lengths) == (epoch, {"day.jsonl": place}, {"carts": 77})
    assert [(row.group, row.generation) for row in found.held("visitors")] == [(0, generation), (1, generation)]
    assert found.held("profiles") == []


def test_nothing_is_written_where_nobody_runs(tmp_path: Path) -> None:
    """
    Not even the two files with which SQLite prepares to write.
    """
    made = folder(tmp_path / "state", [(0, 1)], [(0, 2)], [("source", "day.jsonl", 1, (10, 1))])
    before = {path.name: path.read_bytes() for path in made.iterdir()}

    read_checkpoint(made)

    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def test_a_store_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    """
    One line, and nothing of it is called.
    """
    touch = Touch(tmp_path / "touched")
    made = folder(tmp_path / "state", [(0, 1)], [(0, 2)], [("source", "day.jsonl", 1, touch)])

    with pytest.raises(RunError, match=r"part-0\.sqlite3: a snapshot that names .*; it is damaged: restore the folder"):
        read_checkpoint(made)

    assert not touch.path.exists()
