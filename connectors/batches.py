"""What all sources share: what they hand on, how often they tell the time, and what tells them to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

MARKER_INTERVAL_S: Final = 0.1
"""Markers wake every key group, so they come at most this often; a timer is late by as much at most."""


class Stop(Protocol):
    """Tells sources and stores to end: cleanly, which is not the end of the input."""

    def is_set(self) -> bool:
        """Return whether to stop now."""


class Origin(Protocol):
    """What a record came with beside its value. A message of the Kafka client's is one."""

    def key(self) -> bytes | str | None:
        """Return the key it was produced with, None for none."""

    def headers(self) -> Sequence[tuple[str, bytes]] | None:
        """Return its headers in their order."""


class RawBatch(msgspec.Struct, gc=False):
    """Records read from one partition, in order; the i-th lies at `first_position + i`.

    A source that knows how far back later records reach says so: `complete_before` is the instant up to
    which event time was complete before this batch, `complete` after it (FOREVER at the true
    end). A source that cannot know leaves them None, and the latest event less the allowed
    lateness is taken.

    `read_at` is the wall-clock instant of a live read, None in a replay. `came_at` says when each record came to
    where it is read from, the same each time that it is read; empty where that is not known. `idle_ms` is how long a
    live source has been silent, 0 where it is not. `is_marked` asks for a marker to every key group. `is_sent` says
    that another process of ours has sent it, by the internal topic, `is_first` that nothing was read before it since
    the process started. `as_of` is set where a former life of this process has taken it in before: how many links the
    shared store had seen then. `origins` has for each record what else it came with; empty where there is nothing.
    """

    partition: str
    raws: list[bytes]
    first_position: int = 0
    complete_before: int | None = None
    complete: int | None = None
    read_at: int | None = None
    came_at: list[int] = []
    idle_ms: int = 0
    is_marked: bool = False
    is_sent: bool = False
    is_first: bool = False
    as_of: int | None = None
    origins: Any = ()
