"""What the steps hand to each other."""

from __future__ import annotations

from typing import Any

from mypy_extensions import mypyc_attr

from connectors.batches import RawBatch
from operators.event import Event
from operators.profile import Output
from operators.profile_state import HandOver, Profile
from operators.rejected import Rejected


@mypyc_attr(acyclic=True)
class Decoded:
    """A raw batch with its records decoded."""

    def __init__(self, raw: RawBatch, events: list[Event], rejected: list[Rejected]) -> None:
        self.raw = raw
        self.events = events
        self.rejected = rejected


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
class Marker:
    """What is known of time: complete up to `watermark`, the latest event of all seen at `top_at`."""

    def __init__(self, watermark: int, top_at: int) -> None:
        self.watermark = watermark
        self.top_at = top_at


@mypyc_attr(acyclic=True)
class GroupBatch:
    """What one batch of the source has for the key group `group`.

    `items` are events, and hand-overs on either side of their way. `passing` are the events for the same group
    of the next step; they travel through this one, so that no marker overtakes them. `batch` numbers the source
    batch, `groups` says for how many groups it has items: whoever gathers knows when it has them all.
    """

    def __init__(
        self,
        group: int,
        batch: int,
        groups: int,
        items: list[Any],
        passing: list[Any],
        marker: Marker | None = None,
    ) -> None:
        self.group = group
        self.batch = batch
        self.groups = groups
        self.items = items
        self.passing = passing
        self.marker = marker


@mypyc_attr(acyclic=True)
class GroupOutput:
    """What a key group made of `batch`.

    `created` counts the profiles seen for the first time; `awake` says by how much those with a timer, that is
    with an open session or cart, have become more, and `held` the same of all profiles that the group holds.
    """

    def __init__(
        self, batch: GroupBatch, records: list[Output], absorbed: list[Absorb], created: int, awake: int, held: int
    ) -> None:
        self.batch = batch
        self.records = records
        self.absorbed = absorbed
        self.created = created
        self.awake = awake
        self.held = held
