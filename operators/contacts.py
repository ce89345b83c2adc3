"""What was sent to a person and what came of it: the memory that caps, cool-downs, pauses and attribution ask.

Theory of operation
-------------------
All of it are instants of something with an id, in lines:

| kind | channel, family, action | id | who asks |
|---|---|---|---|
| sent | of the trigger | trigger id | caps; the names of an outcome's trigger |
| failed | | trigger id | caps: what bounced has not reached anybody |
| delivered, shown, opened, clicked, accepted, declined | | trigger id | pauses, attribution |
| fired | the action's | what it was about, "" for nothing | cool-downs |

Outcomes come with the id of their trigger only. The names are looked up when they are asked for, so an outcome that
comes before what was sent is known here, or for a visitor who turns out to be a lead, finds its trigger later.

Lines are sets that only grow, shortened to the newest `kept` and to what is not older than `keep_ms` before the instant
that is `reached`: up to which all is known in its order, for a timer before what is entered now may still have to be
decided. Without one it is the newest of all. So memories of one person unite in any order, any grouping and any number
of times to the same.
Lines are as many as the rules have actions and channels.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from operators import recent
from operators.event import FOREVER
from operators.packing import Row
from operators.recent import Recent

Key = tuple[str, str, str, str]
"""Kind, channel, family and action of a line."""

TOUCHES: Final = ("delivered", "shown", "opened", "clicked", "accepted", "declined")
"""What can come of a trigger, what tells more of the person's mind later."""

KEPT_MIN: Final = 50
"""Outcomes of a kind: a letter a day for seven weeks, each opened once."""


@mypyc_attr(acyclic=True)
class Send:
    """A trigger that is sent, or may be: `exempt` of caps where it is transactional.

    Channel, family and action are names that rules have.
    """

    def __init__(
        self,
        at: int,
        trigger_id: str,
        channel: str,
        family: str,
        action: str,
        exempt: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        self.at = at
        self.trigger_id = trigger_id
        self.channel = channel
        self.family = family
        self.action = action
        self.exempt = exempt


@mypyc_attr(acyclic=True)
class Contacts:
    """The memory of one profile."""

    def __init__(self) -> None:
        self.lines: dict[Key, Recent] = {}

    @property
    def latest_at(self) -> int:
        """The newest instant of all, -1 for none."""
        latest_at = -1
        for line in self.lines.values():
            if line.latest_at > latest_at:
                latest_at = line.latest_at
        return latest_at

    def of(self, kind: str) -> list[tuple[int, str]]:
        """Return instants and trigger ids of what came of triggers, in order."""
        line = self.lines.get((kind, "", "", ""))
        return [] if line is None else line.entries

    def names(self) -> dict[str, Key]:
        """Return the line of each trigger that was sent and is remembered."""
        return {id_: key for key, line in self.lines.items() if key[0] == "sent" for _, id_ in line.entries}

    def pack(self, base: int) -> Row:
        """Return the memory as a row; instants count back from `base`."""
        row: Row = []
        for key in sorted(self.lines):
            row += (*key, self.lines[key].pack(base))
        return row


def unpack(row: Row, base: int) -> Contacts:
    """Make a memory of the row that its `pack` gave."""
    contacts = Contacts()
    for i in range(0, len(row), 5):
        key: Key = (row[i], row[i + 1], row[i + 2], row[i + 3])
        contacts.lines[key] = recent.unpack(row[i + 4], base)
    return contacts


class Book:
    """How contacts are entered and how long they are kept."""

    def __init__(self, keep_ms: int, kept: int, spans: dict[str, int] | None = None) -> None:
        """Keep each line for `keep_ms`, the longest span that anybody asks about, and its newest `kept`.

        These are the greatest `reach_ms` of all rules and cool-downs, with the allowed lateness on top, and what
        `caps.kept` says of the caps. By `spans` lines of a kind are kept for less, where nobody asks for more.
        """
        self.keep_ms = keep_ms
        self._kept = kept
        self._spans = {} if spans is None else spans

    def span_of(self, kind: str) -> int:
        """Return for how long lines of a kind are kept."""
        return self._spans.get(kind, self.keep_ms)

    def send(self, contacts: Contacts, send: Send, reached: int = FOREVER) -> None:
        """Enter what was sent; what is exempt is never counted and earns nothing, so it is not entered."""
        if not send.exempt:
            self._enter(contacts, ("sent", send.channel, send.family, send.action), send.at, send.trigger_id, reached)

    def forget(self, contacts: Contacts, trigger_id: str, at: int, reached: int = FOREVER) -> None:
        """Enter that a trigger failed (bounced, undelivered) at `at`: it does not count, known here yet or not."""
        self._enter(contacts, ("failed", "", "", ""), at, trigger_id, reached)

    def touch(self, contacts: Contacts, kind: str, trigger_id: str, at: int, reached: int = FOREVER) -> None:
        """Enter what came of a trigger; what is told without one has the event's id for it."""
        assert kind in TOUCHES, f"{kind} is no outcome"
        self._enter(contacts, (kind, "", "", ""), at, trigger_id, reached)

    def fire(self, contacts: Contacts, action: str, about: str, at: int, reached: int = FOREVER) -> None:
        """Enter that an action was taken, for its cool-down; `about` names the product, "" where it is for any."""
        self._enter(contacts, ("fired", "", "", action), at, about, reached)

    def union(self, contacts: Contacts, other: Contacts, reached: int = FOREVER) -> None:
        """Add what is remembered of a profile that turned out to be the same person."""
        for key, line in other.lines.items():
            own = contacts.lines.get(key)
            if own is None:
                own = contacts.lines[key] = Recent()
            own.union(line)
        self._shorten(contacts, reached)

    def _enter(self, contacts: Contacts, key: Key, at: int, text: str, reached: int) -> None:
        line = contacts.lines.get(key)
        if line is None:
            line = contacts.lines[key] = Recent()
        line.add(at, text)
        self._shorten(contacts, reached)

    def _shorten(self, contacts: Contacts, reached: int) -> None:
        over, now = [], min(reached, contacts.latest_at)
        for key, line in contacts.lines.items():
            # Of what was taken for anything, one more than the last time says all that a cool-down asks.
            kept = 2 if key[0] == "fired" and line.entries[-1][1] == "" else self._kept
            line.shorten(kept, now - self.span_of(key[0]))
            if not line.entries:
                over.append(key)
        for key in over:
            del contacts.lines[key]
