"""
bytewax for one worker, as far as the flow uses it, in steps at each of which the process may die.

The dataflow itself is interpreted: the operators that `pipeline.flow.build` returns, down to those that the engine
knows. What holds of bytewax 0.21 holds here (test_engine.py plays the same flow on both):

* a source's part is asked, and closes an epoch when the interval is over, with a snapshot at once; it is asked again
  when that is committed, once every operator has handed in its own, and the wall clock says that it wants to be;
* what one asking brings goes through all operators before the next; a stateful operator gets the values of a key at a
  time, keys in order, and hands in a snapshot of each key that was awake in the epoch;
* a sink's part is built on resume from its last snapshot, else when the first item for it is there; it hands a snapshot
  in only in epochs in which it was written to;
* at the end of the input every key is told, also where that is a stop; what the keys of the flow's last stateful
  operator say then is carried on, in the last epoch; parts are closed at the end, whatever it is,
  save a kill.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random
from typing import Any, Final, NamedTuple

from bytewax.dataflow import Dataflow, Operator

STEPS: Final = frozenset({"input", "flat_map_batch", "stateful_batch", "merge", "output"})

Streams = defaultdict[str, list[Any]]
"""What is between operators."""
Snapshots = dict[tuple[str, str], bytes]
"""What the engine stores: by operator and key, pickled."""


class Recovery:
    """The engine's own store: the snapshots of all epochs that are committed, the latest of each key."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.snapshots: Snapshots = {}
        self.epochs = 0

    def commit(self, snapshots: Snapshots) -> None:
        """Take an epoch in, all of it; what resumes is built in the order of the last snapshots."""
        for name in snapshots:
            self.snapshots.pop(name, None)
        self.snapshots |= snapshots
        self.epochs += 1

    def of(self, operator: str) -> dict[str, Any]:
        """Return what an operator resumes from, by key."""
        return {key: pickle.loads(raw) for (name, key), raw in self.snapshots.items() if name == operator}  # noqa: S301 -- our own


class Host(NamedTuple):
    """What the engine runs on."""

    random: Random
    wall: Callable[[], float]
    """The wall clock (s): the engine goes by nothing else."""
    step: Callable[[], None]
    committed: Callable[[], None]


class Engine:
    """One run of a dataflow, from its last committed epoch."""

    def __init__(self, flow: Dataflow, recovery: Recovery, interval_s: float, host: Host) -> None:
        """Build the parts that resume, in the order of the flow."""
        self._recovery, self._interval_s, self._host = recovery, interval_s, host
        self._operators: list[Any] = [operator for step in flow.substeps for operator in _core(step)]
        self._logics: dict[str, dict[str, Any]] = {}
        self._awake: set[tuple[str, str]] = set()
        self._source: Any = None
        self.is_over = False
        for operator in self._operators:
            host.step()
            self._begin(operator)
        self._epoch_at = self._awake_at = host.wall()

    def turn(self) -> None:
        """Ask the source if it is time to, carry what it has through the flow, and close the epoch if it is time to."""
        items = self._ask() if self._host.wall() >= self._awake_at else []
        now = self._host.wall()
        saved: Snapshots = {}
        if is_closing := self.is_over or now - self._epoch_at >= self._interval_s:
            self._epoch_at = now
            self._save(self._operators[0].step_id, saved)
        if self.is_over:
            self._close_source()
        if items:
            self._carry(items)
        if is_closing:
            self._close_epoch(saved)
        if self.is_over:
            self._close_sink()

    def _ask(self) -> list[Any]:
        self._host.step()
        try:
            items: list[Any] = self._source.next_batch()
        except StopIteration:
            self.is_over = True
            return []
        awake_at: datetime | None = self._source.next_awake()
        self._awake_at = 0.0 if awake_at is None else awake_at.timestamp()
        return items

    @property
    def logics(self) -> list[Any]:
        """What it drives by keys, operator by operator."""
        return [logic for logics in self._logics.values() for logic in logics.values()]

    def close(self) -> None:
        """Close all parts, where the flow has raised."""
        self._close_source()
        self._close_sink()

    def _close_source(self) -> None:
        self._host.step()
        self._source.close()

    def _close_sink(self) -> None:
        for part in self._logics[self._operators[-1].step_id].values():
            self._host.step()
            part.close()

    def _begin(self, operator: Any) -> None:  # noqa: ANN401 -- operators have no public classes
        resumed = self._recovery.of(operator.step_id)
        kind, logics = type(operator).__name__, self._logics.setdefault(operator.step_id, {})
        if kind == "input":
            (part,) = operator.source.list_parts()
            self._source = operator.source.build_part(operator.step_id, part, resumed.get(part))
            self._awake.add((operator.step_id, part))
            logics[part] = self._source
        elif kind == "stateful_batch":
            for key, state in resumed.items():
                self._host.step()
                logics[key] = operator.builder(state)
        elif kind == "output":
            self._parts = operator.sink.list_parts()
            for part, state in resumed.items():
                self._host.step()
                logics[part] = operator.sink.build_part(operator.step_id, part, state)

    def _carry(self, items: Sequence[Any]) -> None:
        """Carry items through all operators; each takes what is in its input at once, or stream by stream."""
        source, *others = self._operators
        streams: Streams = defaultdict(list, {source.down.stream_id: list(items)})
        for operator in others:
            self._pass(operator, streams)

    def _pass(self, operator: Any, streams: Streams) -> None:  # noqa: ANN401 -- as above
        """Have one operator take what has come to it."""
        match type(operator).__name__:
            case "flat_map_batch":
                streams[operator.down.stream_id] += self._map(operator, streams[operator.up.stream_id])
            case "stateful_batch":
                streams[operator.down.stream_id] += self._keyed(operator, streams[operator.up.stream_id])
            case "merge":
                for up in operator.ups.stream_ids.values():
                    streams[operator.down.stream_id] += streams[up]
            case "output":
                self._write(operator, streams[operator.up.stream_id])

    def _map(self, operator: Any, items: list[Any]) -> list[Any]:  # noqa: ANN401 -- as above
        found: list[Any] = []
        # The engine promises no sizes: what is in the input may come in several pieces.
        cut = self._host.random.randint(1, len(items)) if len(items) > 1 else len(items)
        for piece in (items[:cut], items[cut:]):
            if piece:
                self._host.step()
                found += operator.mapper(piece)
        return found

    def _keyed(self, operator: Any, items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:  # noqa: ANN401 -- as above
        by_key: defaultdict[str, list[Any]] = defaultdict(list)
        for key, value in items:
            by_key[key].append(value)
        found: list[tuple[str, Any]] = []
        logics = self._logics[operator.step_id]
        for key, values in sorted(by_key.items()):
            self._host.step()
            if key not in logics:
                logics[key] = operator.builder(None)
            self._awake.add((operator.step_id, key))
            told, is_complete = logics[key].on_batch(values)
            assert not is_complete, f"{operator.step_id} gives up {key}, which is not interpreted"
            found += [(key, value) for value in told]
        return found

    def _write(self, operator: Any, items: list[tuple[str, Any]]) -> None:  # noqa: ANN401 -- as above
        by_part: defaultdict[str, list[Any]] = defaultdict(list)
        for key, value in items:
            by_part[self._parts[operator.sink.part_fn(key) % len(self._parts)]].append(value)
        logics = self._logics[operator.step_id]
        for part, values in sorted(by_part.items()):
            self._host.step()
            if part not in logics:
                logics[part] = operator.sink.build_part(operator.step_id, part, None)
            self._awake.add((operator.step_id, part))
            logics[part].write_batch(values)

    def _tell_end(self, operator: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 -- as above
        found: list[tuple[str, Any]] = []
        for key, logic in sorted(self._logics[operator.step_id].items()):
            self._host.step()
            found += [(key, value) for value in logic.on_eof()[0]]
            self._awake.add((operator.step_id, key))
        return found

    def _save(self, name: str, saved: Snapshots) -> None:
        """Take the snapshots of one operator's keys that were awake."""
        for key in sorted(key for step, key in self._awake if step == name):
            self._host.step()
            saved[name, key] = pickle.dumps(self._logics[name][key].snapshot())

    def _close_epoch(self, saved: Snapshots) -> None:
        """Collect the other snapshots in the order of the flow, and commit all together; at the end all are told so."""
        source, *others = self._operators
        streams: Streams = defaultdict(list)
        for operator in others:
            if self.is_over:
                self._pass(operator, streams)
                if type(operator).__name__ == "stateful_batch":
                    streams[operator.down.stream_id] += self._tell_end(operator)
            self._save(operator.step_id, saved)
        self._host.step()
        self._recovery.commit(saved)
        self._host.committed()
        self._host.step()
        self._awake = {(name, key) for name, key in self._awake if name == source.step_id}


def _core(operator: Operator) -> list[Operator]:
    """Return the operators that the engine knows, of which one is built."""
    if not operator.substeps:
        assert type(operator).__name__ in STEPS, f"{operator.step_id}: {type(operator).__name__} is not interpreted"
        return [operator]
    return [core for step in operator.substeps for core in _core(step)]
