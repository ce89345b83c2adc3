"""The cap on dead letters: where too much of a source is rejected, something is wrong with the source.

Each source is judged by itself, and by its last records only: of a topic that turns bad after a good month the share
since the start would say nothing for a fortnight, nor would that of all sources while a small one among them is lost
whole. What is counted are events and dead letters of records as they are read; an envelope counts by its parts. Not
counted are:

* events that came too late: whoever feeds in old data has a source that is sound;
* records that were fed back and are rejected again: they say nothing new of the source.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from operators.rejected import Rejected

# Of fewer records no share is told: one bad line among the first ten says nothing. Of more, a source that is lost
# would be told later.
RECENT_MIN: Final = 1_000


class _Recent:
    """The last batches of a source that hold `RECENT_MIN` together."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, Counter[str]]] = deque()
        self.count = 0
        self.reasons: Counter[str] = Counter()

    def add(self, count: int, reasons: Counter[str]) -> None:
        self._batches.append((count, reasons))
        self.count += count
        self.reasons += reasons
        while self.count - self._batches[0][0] >= RECENT_MIN:
            gone, theirs = self._batches.popleft()
            self.count -= gone
            self.reasons -= theirs


class Cap:
    """Watches what share of each source is rejected."""

    def __init__(self, ratio_max: float = 1.0) -> None:
        """Allow `ratio_max` of a source's last records; 1 is no cap."""
        self._ratio_max = ratio_max
        self._recent: dict[str, _Recent] = {}
        self.verdict = ""
        """Why the run has to stop, in one line; "" while it need not."""

    def judge(self, source: str, events: int, rejected: Sequence[Rejected]) -> None:
        """Hear how many events a batch of `source` gave, and what of it was rejected."""
        if self._ratio_max >= 1:
            return
        recent = self._recent.get(source)
        if recent is None:
            recent = self._recent[source] = _Recent()
        reasons = Counter[str](one.reason for one in rejected if not one.replays)
        bad = reasons.total()
        if events + bad:
            recent.add(events + bad, reasons)
        bad = recent.reasons.total()
        if recent.count >= RECENT_MIN and bad > self._ratio_max * recent.count and not self.verdict:
            reason, most = recent.reasons.most_common(1)[0]
            self.verdict = (
                f"{source}: {bad:,} of its last {recent.count:,} records were rejected, {most:,} as {reason}; that is"
                f" {bad / recent.count:.0%}, and dead_letters.ratio_max is {self._ratio_max:g};"
                " `nextmove deadletters show` says more; mend the source or its settings, start again, and feed them"
                " back by `nextmove deadletters replay`"
            )
