"""The way of an event through nextmove: start reading here.

    source ─ decode ─ calls ─ resolve ─┬─ visitors ─┐
                                       └────────────┴─ profiles
                            every step ─ publish ─ sink

Everything for profiles travels through the visitors' step, so that neither a lead's event nor a
watermark overtakes a visitor who is being handed over.
"""

from __future__ import annotations

from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource
from bytewax.outputs import FixedPartitionedSink

from connectors.batches import RawBatch
from pipeline.parts import Parts


def build(
    source: FixedPartitionedSource[RawBatch, Any],
    parts: Parts,
    sink: FixedPartitionedSink[Any, int],
) -> Dataflow:
    """Return the dataflow from `source` to `sink`; `parts` are its steps, made from the settings."""
    flow = Dataflow("nextmove")
    raw = op.input("source", flow, source)
    decoded = op.map("decode", raw, parts.decode)
    called = op.stateful_batch("calls", decoded, parts.calls)
    resolved = op.stateful_batch("resolve", called, parts.resolve)
    shares = op.flat_map("deal", resolved, parts.deal)
    visited = op.stateful_batch("visitors", shares, parts.visitors)
    gathered = op.stateful_batch("gather", op.flat_map_batch("collect", visited, parts.collect), parts.gather)
    leads = op.flat_map("deal_again", gathered, parts.deal)
    decided = op.stateful_batch("profiles", leads, parts.profiles)
    published = op.flat_map_batch("publish", op.merge("records", resolved, visited, decided), parts.publish)
    op.output("sink", published, sink)
    return flow
