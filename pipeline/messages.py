"""What the steps hand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mypy_extensions import mypyc_attr

from connectors.batches import RawBatch
from operators.event import Event
from operators.profile import Output
from operators.profile_state import HandOver, Profile
from operators.rejected import Rejected
from operators.request import Request


@mypyc_attr(acyclic=True)
class Decoded:
    """A raw batch with its records decoded; `parcels` are what other shards have sent, `requests` those of people."""

    def __init__(
        self,
        raw: RawBatch,
        events: list[Event],
        rejected: list[Rejected],
        parcels: Sequence[Parcel] = (),
        requests: Sequence[Request] = (),
    ) -> None:
        self.raw = raw
        self.events = events
        self.rejected = rejected
        self.parcels = parcels
        self.requests = requests

    @property
    def is_live(self) -> bool:
        """Whether there are records, read as they came."""
        return self.raw.read_at is not None and bool(self.events or self.rejected)


@mypyc_attr(acyclic=True)
class Resolved:
    """A batch with each event's profile known: its share for each key group, and records to publish."""

    def __init__(self, groups: list[GroupBatch], records: list[Any]) -> None:
        self.groups = groups
        self.records = records


@mypyc_attr(acyclic=True)
class Absorb:
    """A visitor's whole state on its way to a lead."""

    def __init__(self, handover: HandOver, state: Profile | None) -> None:
        self.handover = handover
        self.state = state


@mypyc_attr(acyclic=True)
class Await:
    """Tells the lead `handover.to` that the state of another one, who has become this one, is on its way."""

    def __init__(self, handover: HandOver) -> None:
        self.handover = handover


@mypyc_attr(acyclic=True)
class Marker:
    """What is known of time: complete up to `watermark`, for the next step up to `next_watermark`.

    The latest event of all was seen at `top_at`. What comes from here on is of people of whom the store was asked when
    its clock stood at `clock` or later, in the next step at `next_clock`.
    """

    def __init__(self, watermark: int, next_watermark: int, top_at: int, clock: int = 0, next_clock: int = 0) -> None:
        self.watermark = watermark
        self.next_watermark = next_watermark
        self.top_at = top_at
        self.clock = clock
        self.next_clock = next_clock


@mypyc_attr(acyclic=True)
class Parcel:
    """What a shard sends to those who own the groups of `slot`, for their step `visitors` or `profiles`.

    `timeline` says to which life of which deployment it belongs, `sender` which shard of it sent it, and `number` of
    which of the batches that the shard has taken in it comes. Where it is large it travels in several messages, of
    which this is the `part`-th.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- as it travels
        self,
        timeline: str,
        sender: int,
        slot: int,
        step: str,
        number: int,
        items: list[Any],
        marker: Marker | None = None,
        part: int = 0,
    ) -> None:
        self.timeline = timeline
        self.sender = sender
        self.slot = slot
        self.step = step
        self.number = number
        self.items = items
        self.marker = marker
        self.part = part

    @property
    def way(self) -> str:
        """The way that it takes: on one way, number and part only grow."""
        return f"{self.timeline}/{self.sender}/{self.slot}/{self.step}"


@mypyc_attr(acyclic=True)
class GroupBatch:
    """What one batch of the source has for the key group `group`, or for all groups of a slot that live elsewhere.

    `items` are events, and hand-overs on either side of their way. `passing` are the events for the same group
    of the next step; they travel through this one, so that no marker overtakes them. `batch` numbers the source
    batch, `groups` says for how many groups it has items: whoever gathers knows when it has them all. `number` counts
    the source's batches since its recovery folder was made.
    """

    def __init__(
        self,
        group: int,
        batch: int,
        groups: int,
        items: list[Any],
        passing: list[Any],
        marker: Marker | None = None,
        number: int = 0,
    ) -> None:
        self.group = group
        self.batch = batch
        self.groups = groups
        self.items = items
        self.passing = passing
        self.marker = marker
        self.number = number


@mypyc_attr(acyclic=True)
class GroupOutput:
    """What a key group made of `batch`.

    `created` counts the profiles seen for the first time; `awake` says by how much those with a timer, that is
    with an open session or cart, have become more, `held` the same of all profiles that the group holds, and `waiting`
    of leads who wait for the state of another one. `parcel` is for those who live elsewhere; `forwarded` are events of
    visitors who are leads by now. `erased` counts events of somebody who had been erased by then.
    """

    parcel: Parcel | None = None
    waiting: int = 0
    erased: int = 0

    def __init__(
        self,
        batch: GroupBatch,
        records: list[Output],
        absorbed: list[Absorb],
        created: int = 0,
        awake: int = 0,
        held: int = 0,
        forwarded: Sequence[Event] = (),
    ) -> None:
        self.batch = batch
        self.records = records
        self.absorbed = absorbed
        self.forwarded = forwarded
        self.created = created
        self.awake = awake
        self.held = held
