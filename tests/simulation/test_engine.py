"""
The simulated engine does what bytewax does: the same flow on both, call by call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from tests.simulation.engine import Engine, Host, Recovery

Calls = list[tuple[Any, ...]]
BATCHES = [["b1", "a1", "b2"], [], ["c1"], ["a2", "a3"], [], ["b3", "d1"], ["a4"]]


class DiesError(Exception):
    """The process dies."""


class Source(FixedPartitionedSource[str, int]):
    """Gives a list's batches, from where it was left; dies before one of them."""

    def __init__(self, calls: Calls, dies_at: int) -> None:
        self.calls, self.dies_at = calls, dies_at

    def list_parts(self) -> list[str]:
        return ["part"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> SourcePart:
        self.calls.append(("source built", step_id, for_part, resume_state))
        return SourcePart(self.calls, self.dies_at, resume_state or 0)


class SourcePart(StatefulSourcePartition[str, int]):
    def __init__(self, calls: Calls, dies_at: int, place: int) -> None:
        self.calls, self.dies_at, self.place = calls, dies_at, place

    def next_batch(self) -> list[str]:
        self.calls.append(("asked", self.place))
        if self.place == self.dies_at:
            raise DiesError
        if self.place == len(BATCHES):
            raise StopIteration
        self.place += 1
        return BATCHES[self.place - 1]

    def snapshot(self) -> int:
        self.calls.append(("source saved", self.place))
        return self.place

    def close(self) -> None:
        self.calls.append(("source closed",))


class Logic(StatefulBatchLogic[str, str, list[str]]):
    """Remembers what it saw, and says how much that is; the last one in the flow also at the end."""

    def __init__(self, calls: Calls, name: str, resume: list[str] | None) -> None:
        self.calls, self.name, self.seen = calls, name, list(resume or [])
        calls.append((name, "built", resume))

    def on_batch(self, values: list[str]) -> tuple[Iterable[str], bool]:
        self.calls.append((self.name, "got", list(values)))
        self.seen += values
        return [f"{value}.{len(self.seen)}" for value in values], StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[Iterable[str], bool]:
        self.calls.append((self.name, "told of the end", tuple(self.seen)))
        return [f"end.{len(self.seen)}"] if self.name == "second" else [], StatefulBatchLogic.RETAIN

    def snapshot(self) -> list[str]:
        self.calls.append((self.name, "saved", tuple(self.seen)))
        return list(self.seen)


class Sink(FixedPartitionedSink[str, int]):
    """Keeps what it is given, in two parts."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def list_parts(self) -> list[str]:
        return ["even", "odd"]

    def part_fn(self, item_key: str) -> int:
        return ord(item_key[0])

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> SinkPart:
        self.calls.append(("sink built", step_id, for_part, resume_state))
        return SinkPart(self.calls, for_part, resume_state or 0)


class SinkPart(StatefulSinkPartition[str, int]):
    def __init__(self, calls: Calls, name: str, count: int) -> None:
        self.calls, self.name, self.count = calls, name, count

    def write_batch(self, items: list[str]) -> None:
        self.calls.append((self.name, "written", list(items)))
        self.count += len(items)

    def snapshot(self) -> int:
        self.calls.append((self.name, "saved", self.count))
        return self.count

    def close(self) -> None:
        self.calls.append((self.name, "closed"))


def flow(calls: Calls, dies_at: int) -> Dataflow:
    """A flow of all the kinds of operators that nextmove's has."""
    built = Dataflow("nextmove")
    read = op.input("source", built, Source(calls, dies_at))
    keyed = op.map("key", read, lambda text: (text[0], text))
    first = op.stateful_batch("first", keyed, lambda resume: Logic(calls, "first", resume))
    copied = op.flat_map("copy", first, lambda item: [item, (chr(ord(item[0]) + 1), item[1])])
    second = op.stateful_batch("second", copied, lambda resume: Logic(calls, "second", resume))
    merged = op.merge("merge", first, second)
    written = op.flat_map_batch("write", merged, list)
    op.output("sink", written, Sink(calls))
    return built


class WholePieces(Random):
    """Chance that never cuts."""

    def randint(self, _least: int, most: int) -> int:
        return most


def _cause(error: BaseException) -> BaseException:
    return error if error.__cause__ is None else _cause(error.__cause__)


def on_bytewax(folder: Path, interval_s: float, deaths: list[int]) -> Iterator[Calls]:
    """Run the flow on the real engine, from death to death."""
    init_db_dir(folder, 1)  # type: ignore[no-untyped-call]  # bytewax has no types here
    for dies_at in [*deaths, -1]:
        calls: Calls = []
        try:
            cli_main(  # type: ignore[no-untyped-call]  # as above
                flow(calls, dies_at),
                workers_per_process=1,
                epoch_interval=timedelta(seconds=interval_s),
                recovery_config=RecoveryConfig(folder),  # type: ignore[no-untyped-call]  # as above
            )
        except Exception as error:
            if not isinstance(_cause(error), DiesError):  # the engine wraps ours in its own
                raise
        yield calls


def on_ours(interval_s: float, deaths: list[int]) -> Iterator[Calls]:
    """Run the flow on the simulated one."""
    recovery = Recovery()
    now = count(1)  # always later
    host = Host(WholePieces(), lambda: next(now) / 1000, lambda: None, lambda: None)
    for dies_at in [*deaths, -1]:
        calls: Calls = []
        engine = Engine(flow(calls, dies_at), recovery, interval_s, host)
        try:
            while not engine.is_over:
                engine.turn()
        except DiesError:
            engine.close()
        yield calls


@pytest.mark.parametrize("interval_s", [0.0, 3_600.0])
@pytest.mark.parametrize("deaths", [[], [4], [3, 6]])
def test_the_simulated_engine_makes_the_calls_of_bytewax(tmp_path: Path, interval_s: float, deaths: list[int]) -> None:
    """
    Whether every asking closes an epoch or only the end, and whether the process dies and goes on or not.
    """
    for real, ours in zip(on_bytewax(tmp_path, interval_s, deaths), on_ours(interval_s, deaths), strict=True):
        assert ours == real
