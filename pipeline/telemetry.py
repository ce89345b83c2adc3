"""What a run counts, and the books that must balance at its end."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from connectors.cloudevents import Record
from operators.cart_record import CartRecord
from operators.identity_record import IdentityRecord
from operators.rejected import Rejected
from operators.session_record import SessionRecord
from operators.trigger import Suppressed, Trigger

RECENT_TRIGGERS: Final = 12
# Delays are counted in steps of this many ms: fine beside the seconds that they are made of.
DELAY_STEP_MS: Final = 100


@dataclass
class Tally:
    """Counts of one process since it started.

    Every record read is accepted, rejected or a duplicate; `imbalance` says by how much it is not.
    """

    read: int = 0
    decoded: int = 0
    duplicates: int = 0
    clamped: int = 0
    visitors: int = 0
    awake: int = 0
    top_at: int = -1
    """The latest event time read: the clock that the input runs by, in ms."""
    rejected: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    sessions: int = 0
    session_revisions: int = 0
    orders: int = 0
    carts: Counter[str] = field(default_factory=Counter)
    browses: int = 0
    triggers: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    identity: Counter[str] = field(default_factory=Counter)
    profiles_expired: int = 0
    recent: deque[Trigger] = field(default_factory=lambda: deque(maxlen=RECENT_TRIGGERS))
    delays: Counter[int] = field(default_factory=Counter)
    """Triggers by delay from cause to emission on the input's clock, in steps of DELAY_STEP_MS."""

    @property
    def accepted(self) -> int:
        """Records that became events and counted."""
        return self.decoded - self.duplicates - self.too_late

    @property
    def imbalance(self) -> int:
        """Records read that are neither accepted nor rejected nor duplicates: 0, or something was lost."""
        return self.read - self.accepted - self.rejected.total() - self.duplicates

    def record(self, record: Record) -> None:
        """Count one published record."""
        if isinstance(record, SessionRecord):
            self._session(record)
        elif isinstance(record, CartRecord):
            if record.intent == "browse":
                self.browses += 1
            else:
                self.carts[record.state] += 1
        elif isinstance(record, Suppressed):
            self.suppressed[record.reason] += 1
        elif isinstance(record, Trigger):
            self._trigger(record)
        elif isinstance(record, IdentityRecord):
            self.identity[record.what] += 1
        elif isinstance(record, Rejected):
            self.rejected[record.reason] += 1
            self.too_late += record.stage == "profile"
        else:
            self.profiles_expired += 1

    def delay_ms(self, share: float) -> int | None:
        """Return the delay (ms) that `share` of all triggers stayed below, None without triggers."""
        wanted, seen = share * self.delays.total(), 0
        for step, count in sorted(self.delays.items()):
            seen += count
            if seen >= wanted:
                return step * DELAY_STEP_MS
        return None

    def _session(self, record: SessionRecord) -> None:
        if record.revision > 1 or record.state == "merged":
            self.session_revisions += 1
        else:
            self.sessions += 1
            self.orders += record.orders

    def _trigger(self, record: Trigger) -> None:
        self.triggers[record.action] += 1
        self.recent.append(record)
        caused_at = round(datetime.fromisoformat(record.cause.time).timestamp() * 1000)
        self.delays[max(0, self.top_at - caused_at) // DELAY_STEP_MS] += 1
