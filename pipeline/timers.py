"""The timers of a key group: one heap of (due, key), and for each key when it is really due."""

from __future__ import annotations

from heapq import heappop, heappush

from operators.event import FOREVER
from operators.profile_state import Profile


class Timers:
    """When profiles are to be woken. An entry whose key has since been given another instant is stale, and skipped."""

    def __init__(self, due: dict[str, int]) -> None:
        """Go on from what is `due`, by key; it is kept up to date."""
        self._due = due
        self._heap: list[tuple[int, str]] = []

    def resume(self) -> None:
        """Take up what is due by now."""
        self._heap = sorted([(due_at, key) for key, due_at in self._due.items()])

    @property
    def next_at(self) -> int:
        """The instant before which nothing is due."""
        return self._heap[0][0] if self._heap else FOREVER

    def schedule(self, key: str, state: Profile) -> None:
        """See to it that `state` is woken no later than it is due."""
        due_at = state.due_at
        if due_at < state.timer_at:
            state.timer_at = self._due[key] = due_at
            heappush(self._heap, (due_at, key))

    def cancel(self, key: str) -> None:
        """Forget a timer."""
        self._due.pop(key, None)

    def pop(self, watermark: int) -> str | None:
        """Return the next profile that is due by then, and forget its timer; None where there is none."""
        heap, due = self._heap, self._due
        while heap and heap[0][0] <= watermark:
            due_at, key = heappop(heap)
            if due.get(key) == due_at:
                del due[key]
                return key
        return None
