"""The states of one key group's profiles: in use as objects, at rest as bytes, and what a checkpoint keeps of them.

`hot` has the states touched since the last checkpoint, `warm` a limited number of those touched last before it; `rest`
has all others as msgpack bytes. In quiet times, that is live, states are packed already at the end of the batch
that touched them, so that the flow hardly stops for a checkpoint. In a replay a state is touched many times an epoch,
and packed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from connectors.changelog import ENTRY_OVERHEAD, Changelog
from operators.event import FOREVER
from operators.profile_state import Profile, last_at, pack, unpack

# States a group keeps as objects though nothing has changed in them: who clicks every half minute is then not
# unpacked and packed anew for each click. A limit on memory.
WARM_MAX: Final = 256
# The same with those who have a timer: an open session, a cart. Beyond it they rest as bytes until it fires.
AWAKE_MAX: Final = 1_024
# How many of them a group looks at, at a marker.
RESTED_MAX: Final = 64
# Batches an epoch, on average, in which a state may be touched for it to be packed each time.
TOUCHES_MAX: Final = 2


class States:
    """All states of a group, by the profile's id, and when each is to be woken."""

    def __init__(self, changelog: Changelog | None) -> None:
        """Start with none; without a `changelog` nothing survives the process."""
        self._changelog = changelog
        self.hot: dict[str, Profile | None] = {}
        """None for what is no more."""
        self.touched: dict[str, Profile | None] = {}
        """Those of `hot` that this batch has touched."""
        self.warm: dict[str, Profile] = {}
        self.rest: dict[str, bytes] = {}
        self.due: dict[str, int] = {}
        """When the host is to wake those that have a timer."""
        self.is_purge = False
        """Whether something was erased: the changelog is rewritten soon."""
        self._touches = 0
        self._is_calm = True
        self._live_bytes = 0

    def load(self, key: str) -> Profile | None:
        """Return a state, None where there is none; whoever changes it puts it back."""
        return self.hot[key] if key in self.hot else self.wake(key)

    def wake(self, key: str) -> Profile | None:
        """Return a state that is not hot; whoever asks makes it hot."""
        if key in self.warm:
            return self.warm.pop(key)
        raw = self.rest.get(key)
        if raw is None:
            return None
        state = unpack(key, raw)
        state.timer_at = self.due.get(key, FOREVER)
        return state

    def put(self, key: str, state: Profile | None) -> None:
        """Keep a state that has changed; None forgets it."""
        self.hot[key] = self.touched[key] = state

    def pack_touched(self) -> None:
        """Pack what a batch has touched, unless it pays to wait for the checkpoint."""
        is_now = self._is_calm and self._changelog is not None
        for key, state in self.touched.items():
            if is_now or state is None:
                self._pack(key, state)
        self._touches += len(self.touched)
        self.touched.clear()

    def tidy(self) -> None:
        """Let go of what need not be kept: dead entries of the changelog, objects that have not been used for long."""
        if self._changelog is not None and not self.is_purge:
            self._changelog.compact(self._live(), self._live_bytes)
        self.lay_to_rest(max(WARM_MAX, len(self.warm) - RESTED_MAX))

    def lay_to_rest(self, warm_max: int = 0) -> None:
        """Let go of the objects that have been warm for longest, down to `warm_max`: their bytes are enough.

        Who has a timer will be needed soon, and stays while there are not too many of them.
        """
        warm = self.warm
        keeps = warm_max > 0 and len(warm) < AWAKE_MAX
        for key in list(islice(warm, max(len(warm) - warm_max, 0))):
            state = warm.pop(key)
            if keeps and state.timer_at < FOREVER:
                warm[key] = state
            elif self._changelog is None:
                self._pack(key, state)

    def idle_since(self, instant: int) -> list[str]:
        """Return the profiles that have had no event after that instant."""
        awake: dict[str, Profile | None] = {**self.warm, **self.hot}
        idle = [key for key, state in awake.items() if state is not None and state.last_at <= instant]
        return idle + [key for key, raw in self.rest.items() if key not in awake and last_at(raw) <= instant]

    def checkpoint(self) -> tuple[int, int]:
        """Append what has changed to the changelog, and cool it; return that log's generation and length."""
        generation = length = 0
        rest, due = self.rest, self.due
        if self._changelog is not None:
            if self.hot:
                if not self._is_calm:
                    for key, state in self.hot.items():
                        self._pack(key, state)
                self._is_calm = self._touches <= TOUCHES_MAX * len(self.hot)
                self._touches = 0
                entries = [(key, due.get(key, FOREVER), rest.get(key, b"")) for key in self.hot]
                self._changelog.append(entries)
            if self.is_purge:
                self._changelog.compact(self._live(), self._live_bytes, is_purge=True)
                self.is_purge = False
            generation, length = self._changelog.checkpoint()
        for key, state in self.hot.items():
            if state is not None:
                self.warm[key] = state
        self.hot.clear()
        return generation, length

    def resume(self, generation: int, length: int) -> None:
        """Take back what the changelog holds up to there."""
        assert self._changelog is not None, "a snapshot without a recovery folder"
        rest, due = self.rest, self.due
        for block in self._changelog.load(generation, length):
            for key, due_at, raw in block:
                rest[key] = raw
                due[key] = due_at
        for key in [key for key, raw in rest.items() if not raw]:
            del rest[key], due[key]
        for key in [key for key, due_at in due.items() if due_at == FOREVER]:
            del due[key]
        self._live_bytes = sum(map(len, rest.values())) + sum(map(len, rest)) + ENTRY_OVERHEAD * len(rest)

    def _pack(self, key: str, state: Profile | None) -> None:
        old = self.rest.get(key)
        if old is not None:
            self._live_bytes -= len(old) + len(key) + ENTRY_OVERHEAD
        if state is None:
            self.rest.pop(key, None)
        else:
            raw = self.rest[key] = pack(key, state)
            self._live_bytes += len(raw) + len(key) + ENTRY_OVERHEAD

    def _live(self) -> Iterator[tuple[str, int, bytes]]:
        for key, raw in self.rest.items():
            yield key, self.due.get(key, FOREVER), raw
