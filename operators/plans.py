"""What is still to come of decisions: what is waited for, what is held, and what has been sent and can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mypy_extensions import mypyc_attr

from operators import moment as moments
from operators.event import FOREVER
from operators.moment import Moment
from operators.packing import Row, long_id, short_id

Named = tuple[str, int, str, str]
"""A rule's id, version, action and family: what can still be said of it when there is no such rule any more."""


@mypyc_attr(acyclic=True)
class Wait:
    """Since `since` something is waited for not to come, until `due_at`; `scope` is for what, as the rule's `per` says.

    `moment` is what began it.
    """

    def __init__(self, rule: Named, scope: str, since: int, due_at: int, moment: Moment) -> None:
        self.rule = rule
        self.scope = scope
        self.since = since
        self.due_at = due_at
        self.moment = moment


@mypyc_attr(acyclic=True)
class Held:
    """A trigger that is held until `due_at`, the end of quiet hours, to be decided once more then."""

    def __init__(self, rule: Named, due_at: int, moment: Moment) -> None:
        self.rule = rule
        self.due_at = due_at
        self.moment = moment


@mypyc_attr(acyclic=True)
class Sent:
    """A trigger that was sent and can be undone until it expires.

    `kind` and `scope` say what it was about, `at` when that came about.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- a retraction says so much
        self,
        trigger_id: str,
        slot_key: str,
        action: str,
        family: str,
        channel: str,
        purpose: str,
        kind: str,
        scope: str,
        at: int,
        expires_at: int,
        rule_id: str,
        version: int,
        book: str,
    ) -> None:
        self.trigger_id = trigger_id
        self.slot_key = slot_key
        self.action = action
        self.family = family
        self.channel = channel
        self.purpose = purpose
        self.kind = kind
        self.scope = scope
        self.at = at
        self.expires_at = expires_at
        self.rule_id = rule_id
        self.version = version
        self.book = book

    def pack(self, base: int) -> Row:
        """Return it as a row; instants count back from `base`. Everybody who was sent something has one of these."""
        row: Row = [short_id(self.trigger_id), short_id(self.slot_key), self.family, self.channel, self.purpose]
        row += [self.kind, self.scope, base - self.at, base - self.expires_at, self.rule_id, self.version]
        row += [short_id(self.book), "" if self.action == self.rule_id else self.action]
        return row


@mypyc_attr(acyclic=True)
class Plans:
    """All of it, of one profile."""

    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self.held: list[Held] = []
        self.sent: list[Sent] = []

    @property
    def due_at(self) -> int:
        """When the next of it is due, FOREVER where nothing is."""
        due_at = FOREVER
        for wait in self.waits:
            due_at = min(due_at, wait.due_at)
        for held in self.held:
            due_at = min(due_at, held.due_at)
        return due_at

    @property
    def can_change(self) -> bool:
        """Whether there is anything that can be undone."""
        return bool(self.sent or self.held)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to keep."""
        return not (self.waits or self.held or self.sent)

    def add(self, other: Plans) -> None:
        """Add those of a profile that turned out to be the same person.

        Of two waits of one rule for the same the later counts, as where the second begins anew.
        """
        for wait in other.waits:
            self.wait(wait)
        for held in other.held:
            self.hold(held)
        mine = {one.trigger_id for one in self.sent}
        self.sent += [one for one in other.sent if one.trigger_id not in mine]
        self.sent.sort(key=_sent_order)

    def wait(self, wait: Wait) -> None:
        """Wait, in place of an earlier wait of the same rule for the same."""
        for mine in self.waits:
            if mine.rule[0] == wait.rule[0] and mine.scope == wait.scope:
                if wait.since < mine.since:
                    return
                self.waits.remove(mine)
                break
        self.waits.append(wait)
        self.waits.sort(key=_wait_order)

    def hold(self, held: Held) -> None:
        """Hold a trigger, once for each cause."""
        for mine in self.held:
            if mine.rule[0] == held.rule[0] and _same(mine.moment, held.moment):
                return
        self.held.append(held)
        self.held.sort(key=_held_order)

    def forget(self, now: int) -> None:
        """Forget what has expired: it can be undone no longer."""
        if self.sent:
            self.sent = [one for one in self.sent if one.expires_at > now]

    def pack(self, base: int) -> Row:
        """Return the plans as a row; of what was sent instants count back from `base`."""
        return [
            [[one.rule, one.scope, one.since, one.due_at, one.moment.pack()] for one in self.waits],
            [[one.rule, one.due_at, one.moment.pack()] for one in self.held],
            [one.pack(base) for one in self.sent],
        ]


def unpack(row: Sequence[Any], base: int) -> Plans:
    """Make plans of the row that their `pack` gave."""
    waits, held, sent = row
    plans = Plans()
    for rule, scope, since, due_at, moment in waits:
        plans.waits.append(Wait(_named(rule), scope, since, due_at, moments.unpack(moment)))
    for rule, due_at, moment in held:
        plans.held.append(Held(_named(rule), due_at, moments.unpack(moment)))
    for told in sent:
        plans.sent.append(_unpack_sent(told, base))
    return plans


def _unpack_sent(row: Sequence[Any], base: int) -> Sent:
    id_, slot, family, channel, purpose, kind, scope, at, expires_at, rule_id, version, book, action = row
    names = long_id(id_), long_id(slot), action or rule_id, family, channel, purpose, kind, scope
    return Sent(*names, base - at, base - expires_at, rule_id, version, long_id(book))


def _named(row: Sequence[Any]) -> Named:
    return row[0], row[1], row[2], row[3]


def _same(one: Moment, other: Moment) -> bool:
    """Whether both are one cause."""
    if (one.kind, one.key, one.at) != (other.kind, other.key, other.at):
        return False
    mine = "" if one.event is None else one.event.event_id
    return mine == ("" if other.event is None else other.event.event_id)


def _wait_order(wait: Wait) -> tuple[int, str, str]:
    return wait.due_at, wait.rule[0], wait.scope


def _held_order(held: Held) -> tuple[int, int, str, str]:
    return held.due_at, held.moment.at, held.rule[0], held.moment.key


def _sent_order(sent: Sent) -> tuple[int, str]:
    return sent.at, sent.trigger_id
