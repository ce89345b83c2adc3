"""What a folder that was made from a savepoint starts from, step by step, until its own first checkpoint.

A snapshot of the engine's own always outranks a seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.batches import RawBatch
from connectors.kafka_part import MEMORY
from connectors.kafka_source import KafkaSource
from pipeline.manifest import Manifest, packed, read_manifest
from pipeline.recovery import SEED_FILE


class Seeds:
    """The seeds in a recovery folder; there are none where it was not made from a savepoint."""

    def __init__(self, folder: Path | None) -> None:
        """Read the list of contents; the states themselves are read with the first batch for their key group."""
        path = None if folder is None else folder / SEED_FILE
        self._manifest: Manifest | None = read_manifest(path) if path is not None and path.exists() else None

    @property
    def resolve(self) -> bytes | None:
        """The resolver's snapshot."""
        return packed(self._manifest.resolver) if self._manifest is not None and self._manifest.resolver else None

    @property
    def calls(self) -> bytes | None:
        """The snapshot of calls."""
        return packed(self._manifest.calls) if self._manifest is not None and self._manifest.calls else None

    def groups(self, step: str) -> dict[int, bytes]:
        """Return the snapshots of a step's key groups by their numbers."""
        if self._manifest is None:
            return {}
        return {group: packed(row) for group, row in self._manifest.rows(step).items()}

    def source(self, source: FixedPartitionedSource[RawBatch, Any]) -> FixedPartitionedSource[RawBatch, Any]:
        """Let a source begin where the savepoint left it; what other shards read now is none of its business."""
        if self._manifest is None:
            return source
        places: dict[str, Any] = self._manifest.places
        if self._manifest.brokers is not None and isinstance(source, KafkaSource):
            own = {name: place for name, place in places.items() if name in source.partitions}
            memory = {MEMORY: self._manifest.brokers}
            places = {
                part: {name: place for name, place in own.items() if source.options.of(part).owns(name)} | memory
                for part in source.list_parts()
            }
        return _Source(source, places)

    def sink(self, sink: FixedPartitionedSink[Any, Any]) -> FixedPartitionedSink[Any, Any]:
        """Let a sink go on where the savepoint left it; where triggers ended is in the folder's facts."""
        return sink if self._manifest is None else _Sink(sink, self._manifest.lengths)


class _Source(FixedPartitionedSource[Any, Any]):
    """A source whose parts start from seeds."""

    def __init__(self, source: FixedPartitionedSource[Any, Any], seeds: Mapping[str, Any]) -> None:
        self._source, self._seeds = source, seeds

    def list_parts(self) -> list[str]:
        """Return the parts (bytewax calls this)."""
        return self._source.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> StatefulSourcePartition[Any, Any]:  # noqa: ANN401 -- the engine's
        """Start one where the engine left it, else from its seed (bytewax calls this)."""
        return self._source.build_part(
            step_id, for_part, self._seeds.get(for_part) if resume_state is None else resume_state
        )


class _Sink(FixedPartitionedSink[Any, Any]):
    """A sink whose parts start from seeds."""

    def __init__(self, sink: FixedPartitionedSink[Any, Any], seeds: Mapping[str, int]) -> None:
        self._sink, self._seeds = sink, seeds

    def list_parts(self) -> list[str]:
        """Return the parts (bytewax calls this)."""
        return self._sink.list_parts()

    def part_fn(self, item_key: str) -> int:
        """Return the index of the part for a key (bytewax calls this)."""
        return self._sink.part_fn(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> StatefulSinkPartition[Any, Any]:  # noqa: ANN401 -- the engine's
        """Open one where the engine left it, else at its seed (bytewax calls this)."""
        return self._sink.build_part(
            step_id, for_part, self._seeds.get(for_part) if resume_state is None else resume_state
        )
