"""The steps of the flow: how batches are carried from one operator to the next. No rules here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from bytewax.operators import StatefulBatchLogic

from connectors.batches import RawBatch
from connectors.cloudevents import Encoder, Made, Message, MessageEncoder
from connectors.formats import Decoded as Found
from connectors.formats import Format, decode_batch
from connectors.formats.common import PAYLOAD_BYTES_MAX, SourceRules
from connectors.formats.requests import decode_requests
from connectors.kafka_topics import EXCHANGE
from operators.rejected import Rejected
from pipeline.calls import Calls
from pipeline.deal import Dealer
from pipeline.exchange import Elsewhere, Former, packed, unpacked
from pipeline.gather import Gather
from pipeline.group_snapshot import read_snapshot
from pipeline.key_groups import KeyGroup
from pipeline.lead_groups import LeadGroup
from pipeline.messages import Decoded, GroupBatch, GroupOutput, Parcel, Resolved
from pipeline.resolve import Resolver
from pipeline.tally import StepTally, Tally, source_of

ONE: Final = "resolve"
"""The one key of the resolve step, for the embedded identity store is one, and of gathering, which is to be with it."""

LANES: Final = 8
"""What the engine has as keys of the key groups' steps: it pays by the key and batch, so many groups share one."""

# How long one process waits for another one at the end of the input; what is not there by then is waited for by the
# next run.
GIVEN_S_MAX: Final = 30.0
GIVEN_POLL_S: Final = 0.05

lane_snapshots: Final = msgspec.msgpack.Decoder(list[bytes]).decode
"""Takes a lane's snapshot apart into those of its key groups."""


def decode(
    format_of: Callable[[str], Format],
    rules_of: Callable[[str], SourceRules],
    tally: Tally,
    former: Former,
    now: Callable[[], int],
    control: str = "",
) -> Callable[[RawBatch], tuple[str, Decoded]]:
    """Return the step that turns raw records into events by format and rules of their partition, or rejects them.

    What the source `control` holds are requests. It never raises.
    """
    timing = tally.steps["decode"]

    def step(raw: RawBatch) -> tuple[str, Decoded]:
        began = time.perf_counter()
        if control and source_of(raw.partition) == control:
            decoded = asked(raw, rules_of(raw.partition), now)
            tally.arrived(raw.partition, len(decoded.rejected), is_live=False)
            tally.unreadable += len(decoded.rejected)
            timing.took(began)
            return ONE, decoded
        if raw.is_sent:
            decoded = unpack(raw, former)
            tally.arrived(raw.partition, len(decoded.rejected), is_live=False)
            timing.took(began)
            return ONE, decoded
        result = decode_batch(
            raw.raws,
            partition=raw.partition,
            first_position=raw.first_position,
            read_at=raw.read_at,
            came_at=raw.came_at or None,
            rules=rules_of(raw.partition),
            format=format_of(raw.partition),
            origins=raw.origins,
        )
        tally.arrived(raw.partition, len(raw.raws), is_live=raw.read_at is not None)
        tally.decoded += len(result.events)
        tally.more += beyond_one_each(result, len(raw.raws))
        tally.cap.judge(source_of(raw.partition), len(result.events), result.rejected)
        tally.unreadable += len(result.rejected)
        tally.clamped += result.clamped
        tally.blocked.update(result.blocked)
        if result.screened:
            tally.source(raw.partition).screened.update(result.screened)
        timing.took(began)
        return ONE, Decoded(raw, result.events, result.rejected)

    return step


def beyond_one_each(found: Found, records: int) -> int:
    """Count what was found in records beyond one thing each, that is the parts of envelopes after their first."""
    count, screened = len(found.events) + len(found.rejected), sum(found.screened.values())
    if count + screened == records:
        return 0
    if screened:  # nobody knows any more in which records
        return max(0, count + screened - records)
    return count - len({event.position for event in found.events} | {one.position for one in found.rejected})


def asked(raw: RawBatch, rules: SourceRules, now: Callable[[], int]) -> Decoded:
    """Read requests; those of a file are from now, where they do not say."""
    came_at = raw.came_at or [raw.read_at or now()] * len(raw.raws)
    requests, rejected = decode_requests(
        raw.raws,
        partition=raw.partition,
        first_position=raw.first_position,
        came_at=came_at,
        rules=rules,
        origins=raw.origins,
    )
    return Decoded(raw, [], rejected, (), requests)


def unpack(raw: RawBatch, former: Former) -> Decoded:
    """Take apart what other shards have sent, those of a `former` life too."""
    parcels: list[Parcel] = []
    rejected: list[Rejected] = []
    for position, message in enumerate(raw.raws, raw.first_position):
        try:
            parcels.append(former.kept(unpacked(message)))
        except ValueError as error:
            rejected.append(
                Rejected(
                    "unknown_format", str(error), raw.partition, position, message[:PAYLOAD_BYTES_MAX], is_cut=True
                )
            )
    return Decoded(raw, [], rejected, parcels)


class CallsStep(StatefulBatchLogic[Decoded, Decoded, bytes]):
    """Lets the engine drive `Calls`."""

    def __init__(self, calls: Calls, timing: StepTally) -> None:
        """Drive `calls`."""
        self._calls, self._timing = calls, timing

    def on_batch(self, values: list[Decoded]) -> tuple[Iterable[Decoded], bool]:
        """Work through the batches (bytewax calls this)."""
        began = time.perf_counter()
        taken = [self._calls.take(decoded) for decoded in values]
        self._timing.took(began)
        return taken, StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Checkpoint the calls that have changed (bytewax calls this at the end of an epoch)."""
        return self._calls.snapshot()


class ResolveStep(StatefulBatchLogic[Decoded, Resolved, bytes]):
    """Lets the engine drive a `Resolver`."""

    def __init__(self, resolver: Resolver) -> None:
        """Drive `resolver`."""
        self.resolver = resolver
        self._tally = resolver.tally
        self._watermarks: dict[str, int] = {}

    def on_batch(self, values: list[Decoded]) -> tuple[Iterable[Resolved], bool]:
        """Work through the batches (bytewax calls this)."""
        began = time.perf_counter()
        resolved = [self.resolver.take(decoded) for decoded in values]
        watermarks = {name: source.watermark for name, source in self._tally.sources.items()}
        if watermarks != self._watermarks:
            self._watermarks, self._tally.still_since = watermarks, None
        elif self._tally.still_since is None and any(decoded.is_live for decoded in values):
            self._tally.still_since = time.monotonic()
        self._tally.steps["resolve"].took(began)
        return resolved, StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Checkpoint new links and ids (bytewax calls this at the end of an epoch)."""
        if self.resolver.is_kept:
            self._tally.snapshot_at = time.monotonic()
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

    def __init__(
        self,
        key_group: Callable[[int, bytes | None], KeyGroup | Elsewhere],
        resume: bytes | None,
        timing: StepTally | None = None,
        seeds: Mapping[int, bytes] | None = None,
        lanes: list[LaneStep] | None = None,
    ) -> None:
        """Start with none, or with those of the snapshot `resume`; `key_group` makes one by its number.

        A group that is not in the snapshot has not been heard of since the folder was made: it starts from its seed.
        The step's `lanes` in this process become one more.
        """
        self._key_group, self._timing, self._seeds = key_group, timing or StepTally(), seeds or {}
        self._lanes = [] if lanes is None else lanes
        self._lanes.append(self)
        self.groups: dict[int, KeyGroup | Elsewhere] = {}
        for snapshot in [] if resume is None else lane_snapshots(resume):
            number = read_snapshot(snapshot).group
            self.groups[number] = key_group(number, snapshot)

    def on_batch(self, values: list[Shares]) -> tuple[Iterable[Outputs], bool]:
        """Work through the batches (bytewax calls this)."""
        began = time.perf_counter()
        outputs = [[self._group(share.group).take(share) for share in shares] for shares in values]
        self._timing.took(began)
        return outputs, StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[Iterable[Outputs], bool]:
        """Have leads take in what others have left to them (bytewax calls this at the end, also for a stop).

        One lane does so for all of this process, for one lead may wait for another one that waits itself. Where the
        input has ended for good, what another process is still to give is waited for, a while.
        """
        outputs: list[GroupOutput] = []
        until = time.monotonic() + GIVEN_S_MAX
        groups = [group for lane in self._lanes for group in lane.groups.values() if isinstance(group, LeadGroup)]
        before = -1
        while waiting := [group for group in groups if group.pending]:
            pending = sum(group.pending for group in waiting)
            if pending == before:
                if time.monotonic() > until or not all(group.is_at_end for group in waiting):
                    break
                time.sleep(GIVEN_POLL_S)
            before = pending
            outputs += [group.finish() for group in waiting]
        return [outputs] if outputs else [], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Checkpoint what has changed (bytewax calls this at the end of an epoch)."""
        snapshots = [group.snapshot() for group in self.groups.values()]
        return msgspec.msgpack.encode([snapshot for snapshot in snapshots if snapshot])

    def _group(self, number: int) -> KeyGroup | Elsewhere:
        group = self.groups.get(number)
        if group is None:
            group = self.groups[number] = self._key_group(number, self._seeds.get(number))
        return group


def collect(lanes: list[tuple[str, Outputs]]) -> list[tuple[str, Outputs]]:
    """Bring the first half's outputs to where they are gathered."""
    return [(ONE, [output for _, outputs in lanes for output in outputs])]


class GatherStep(StatefulBatchLogic[Outputs, Resolved, bytes]):
    """Lets the engine drive a `Gather`."""

    def __init__(self, dealer: Dealer, tally: Tally) -> None:
        """Deal on by `dealer`."""
        self._gathering, self._tally = Gather(dealer), tally

    def on_batch(self, values: list[Outputs]) -> tuple[Iterable[Resolved], bool]:
        """Take in outputs, and hand on the batches that are whole now (bytewax calls this)."""
        batches = self._gathering.take([output for outputs in values for output in outputs])
        self._tally.visitors = self._gathering.created
        return [Resolved(shares, []) for shares in batches], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Keep nothing (bytewax calls this at the end of an epoch)."""
        return b""


def publish(
    encoder: Encoder | MessageEncoder, tally: Tally
) -> Callable[[Sequence[tuple[str, Resolved] | tuple[str, Outputs]]], list[tuple[str, Any]]]:
    """Return the step that counts records and encodes them, by the part of the sink that they go to."""
    timing = tally.steps["publish"]

    def step(outputs: Sequence[tuple[str, Resolved] | tuple[str, Outputs]]) -> list[tuple[str, Any]]:
        began = time.perf_counter()
        made: list[Made] = []
        parcels: list[Parcel] = []
        for _, told in outputs:
            if isinstance(told, Resolved):
                made.append((-1, told.records))
                continue
            for output in told:
                made.append((output.batch.group, tally.published(output.records)))
                tally.awake += output.awake
                tally.profiles += output.held
                tally.waiting += output.waiting
                tally.erased_since += output.erased
                if output.parcel is not None:
                    parcels.append(output.parcel)
        lines: list[tuple[str, Any]] = list(encoder.encode(made).items())
        for parcel in parcels:
            tally.sent[parcel.step] += len(parcel.items)
            lines.append((f"{EXCHANGE}/{parcel.slot}", [Message(b"", raw, [], "") for raw in packed(parcel)]))
        for _, records in made:
            for record in records:
                tally.record(record)
        if isinstance(encoder, MessageEncoder):
            for stream, count in encoder.too_large.items():
                tally.letters[stream, "publish", "too_large"] += count
            encoder.too_large.clear()
        timing.took(began)
        return lines

    return step
