"""The steps of the flow: how batches are carried from one operator to the next. No rules here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from bytewax.operators import StatefulBatchLogic

from connectors.batches import RawBatch
from connectors.cloudevents import Encoder, MessageEncoder, Record
from connectors.formats import Format, decode_batch
from pipeline.gather import Gather
from pipeline.key_groups import KeyGroup
from pipeline.messages import Decoded, GroupBatch, GroupOutput, Resolved
from pipeline.resolve import Resolver
from pipeline.telemetry import Tally

ONE: Final = "resolve"
"""The one key of the resolve step: the embedded identity store is one, in one process."""

LANES: Final = 8
"""What the engine has as keys of the key groups' steps: it pays by the key and batch, so many groups share one."""

_decode_lane: Final = msgspec.msgpack.Decoder(list[bytes]).decode


def decode(format_: Format, tally: Tally) -> Callable[[RawBatch], tuple[str, Decoded]]:
    """Return the step that turns raw records into events, or rejects them; it never raises."""

    def step(raw: RawBatch) -> tuple[str, Decoded]:
        result = decode_batch(
            raw.raws,
            partition=raw.partition,
            first_position=raw.first_position,
            read_at=raw.read_at,
            format=format_,
        )
        tally.read += len(raw.raws)
        tally.decoded += len(result.events)
        tally.clamped += result.clamped
        return ONE, Decoded(raw, result.events, result.rejected)

    return step


class ResolveStep(StatefulBatchLogic[Decoded, Resolved, bytes]):
    """Lets the engine drive a `Resolver`."""

    def __init__(self, resolver: Resolver) -> None:
        """Drive `resolver`."""
        self.resolver = resolver

    def on_batch(self, values: list[Decoded]) -> tuple[Iterable[Resolved], bool]:
        """Work through the batches (bytewax calls this)."""
        return [self.resolver.take(decoded) for decoded in values], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Checkpoint new links and ids (bytewax calls this at the end of an epoch)."""
        return self.resolver.snapshot()


Shares = list[GroupBatch]
Outputs = list[GroupOutput]


def by_lane(shares: Shares) -> list[tuple[str, Shares]]:
    """Put the shares of one batch together by the lane in which their groups are."""
    lanes: list[Shares] = [[] for _ in range(LANES)]
    for share in shares:
        lanes[share.group % LANES].append(share)
    return [(str(lane), mine) for lane, mine in enumerate(lanes) if mine]


def deal(resolved: tuple[str, Resolved]) -> list[tuple[str, Shares]]:
    """Give each key group its share of a batch."""
    return by_lane(resolved[1].groups)


class LaneStep(StatefulBatchLogic[Shares, Outputs, bytes]):
    """Lets the engine drive the `KeyGroup`s of one lane, each made when first heard of."""

    def __init__(self, key_group: Callable[[bytes | None], KeyGroup], resume: bytes | None) -> None:
        """Start with none, or with those of the snapshot `resume`; `key_group` makes one."""
        self._key_group = key_group
        self.groups: dict[int, KeyGroup] = {}
        for snapshot in [] if resume is None else _decode_lane(resume):
            group = key_group(snapshot)
            self.groups[group.number] = group

    def on_batch(self, values: list[Shares]) -> tuple[Iterable[Outputs], bool]:
        """Work through the batches (bytewax calls this)."""
        return [
            [self._group(share.group).take(share) for share in shares] for shares in values
        ], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Checkpoint what has changed (bytewax calls this at the end of an epoch)."""
        return msgspec.msgpack.encode([group.snapshot() for group in self.groups.values()])

    def _group(self, number: int) -> KeyGroup:
        group = self.groups.get(number)
        if group is None:
            group = self.groups[number] = self._key_group(None)
        return group


def gather(key_groups: int, tally: Tally) -> Callable[[list[tuple[str, Outputs]]], list[tuple[str, Shares]]]:
    """Return the step that brings the first half's outputs together for the second."""
    gathering = Gather(key_groups)

    def step(lanes: list[tuple[str, Outputs]]) -> list[tuple[str, Shares]]:
        batches = gathering.take([output for _, outputs in lanes for output in outputs])
        tally.visitors = gathering.created
        return [lane for shares in batches for lane in by_lane(shares)]

    return step


def publish(
    encoder: Encoder | MessageEncoder, tally: Tally
) -> Callable[[Sequence[tuple[str, Resolved] | tuple[str, Outputs]]], list[tuple[str, Any]]]:
    """Return the step that counts records and encodes them, by the part of the sink that they go to."""

    def step(outputs: Sequence[tuple[str, Resolved] | tuple[str, Outputs]]) -> list[tuple[str, Any]]:
        records: list[Record] = []
        for _, told in outputs:
            if isinstance(told, Resolved):
                records += told.records
                continue
            for output in told:
                records += output.records
                tally.awake += output.awake
        for record in records:
            tally.record(record)
        return list(encoder.encode(records).items()) if records else []

    return step
