"""
Bugs to be found: each breaks one promise of the product, at a place where Python may be patched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import connectors.kafka_outbox
import connectors.kafka_sink
import connectors.memory
import pipeline.connect
import pipeline.parts
import pipeline.waiting
import tests.simulation.store
from connectors.changelog import Changelog, Entry
from connectors.journal import Journal, Taken
from operators.lead import unpack
from operators.request import Request
from pipeline.key_groups import KeyGroup
from pipeline.messages import Absorb, Decoded, GroupBatch, Resolved
from pipeline.steps import GatherStep, LaneStep, Outputs, ResolveStep, Shares
from pipeline.waiting import rows_of as real_rows

Bug = Callable[[], AbstractContextManager[object]]


def _gathering(change: Callable[[GroupBatch], None]) -> AbstractContextManager[object]:
    """Change what the second half is dealt."""

    class Changed(GatherStep):
        def on_batch(self, values: list[Outputs]) -> tuple[Iterable[Resolved], bool]:
            dealt, stays = super().on_batch(values)
            for resolved in dealt:
                for share in resolved.groups:
                    change(share)
            return dealt, stays

    return patch.object(pipeline.parts, "GatherStep", Changed)


def drop_markers() -> AbstractContextManager[object]:
    """One key group of leads hears of time from its own events only."""

    def change(share: GroupBatch) -> None:
        if share.group == 1:
            share.marker = None

    return _gathering(change)


def absorb_twice() -> AbstractContextManager[object]:
    """A lead takes in a visitor's state twice."""

    def change(share: GroupBatch) -> None:
        share.items = [one for item in share.items for one in ((item, item) if isinstance(item, Absorb) else (item,))]

    return _gathering(change)


def leave_behind() -> AbstractContextManager[object]:
    """A visitor's state comes to its lead without the sessions that have been published."""

    def change(share: GroupBatch) -> None:
        for item in share.items:
            if isinstance(item, Absorb) and item.state is not None:
                track = item.state.track
                track.sessions = [session for session in track.sessions if not session.session_id]

    return _gathering(change)


def keep_tails() -> AbstractContextManager[object]:
    """A changelog that resumes leaves what was written after the checkpoint where it is."""

    class Careless(Changelog):
        def load(self, generation: int, length: int) -> Iterable[list[Entry]]:
            path = Path(self._path(generation))
            tail = path.read_bytes()[length:] if path.exists() else b""
            blocks = list(super().load(generation, length))
            with path.open("ab") as file:
                file.write(tail)
            return blocks

    return patch.object(pipeline.parts, "Changelog", Careless)


def forget_tombstones() -> AbstractContextManager[object]:
    """A changelog does not say who is gone."""

    class Careless(Changelog):
        def append(self, entries: list[Entry]) -> None:
            super().append([entry for entry in entries if entry[2]])

    return patch.object(pipeline.parts, "Changelog", Careless)


def ignore_refusals() -> AbstractContextManager[object]:
    """The sink does not hear that a record was refused."""
    real = connectors.kafka_outbox.Outbox.published

    def published(self: connectors.kafka_outbox.Outbox, _error: object, message: Any) -> None:  # noqa: ANN401 -- handed on
        real(self, None, message)

    return patch.object(connectors.kafka_outbox.Outbox, "published", published)


def skip_tails_of_triggers() -> AbstractContextManager[object]:
    """The sink does not look for what a dead run has published."""
    return patch.object(connectors.kafka_sink.Tails, "_ids", lambda *_: {})


def commit_unacknowledged() -> AbstractContextManager[object]:
    """The sink lets a checkpoint pass before the brokers have its records."""
    return patch.object(connectors.kafka_outbox.Outbox, "flush", lambda self: self.poll())


def retire_at_once() -> AbstractContextManager[object]:
    """A changelog that is rewritten removes the old file before a checkpoint names the new one."""

    class Careless(Changelog):
        def checkpoint(self) -> tuple[int, int]:
            self._retired = [(0, path) for _, path in self._retired]
            return super().checkpoint()

    return patch.object(pipeline.parts, "Changelog", Careless)


def forget_the_journal() -> AbstractContextManager[object]:
    """A process that goes on takes in what comes, not what its former life had taken in."""

    class Careless(Journal):
        def resume(self, number: int) -> list[Taken]:
            super().resume(number)
            return []

    return patch.object(pipeline.connect, "Journal", Careless)


def forget_what_waits() -> AbstractContextManager[object]:
    """What queues up for a lead who waits for another one's state is lost in a checkpoint."""
    return patch.object(pipeline.waiting, "rows_of", lambda queue: real_rows(queue[:1]))


def forget_erasures() -> AbstractContextManager[object]:
    """A store does not remember who was erased."""
    stack = ExitStack()
    for module in (connectors.memory, tests.simulation.store):
        stack.enter_context(patch.object(module, "marked", lambda _erased: {}))
    return stack


def erase_here_only() -> AbstractContextManager[object]:
    """What is requested does not reach the key groups of other shards."""

    class Careless(ResolveStep):
        def on_batch(self, values: list[Decoded]) -> tuple[Iterable[Resolved], bool]:
            dealt, stays = super().on_batch(values)
            here = self.resolver._dealer._key_groups  # noqa: SLF001 -- places behind those are elsewhere
            for share in [share for resolved in dealt for share in resolved.groups if share.group >= here]:
                share.items = [item for item in share.items if not isinstance(item, Request)]
                share.passing = [item for item in share.passing if not isinstance(item, Request)]
            return dealt, stays

    return patch.object(pipeline.parts, "ResolveStep", Careless)


def welcome_the_erased() -> AbstractContextManager[object]:
    """Key groups take what other shards had sent of somebody before they could know of the erasure."""

    class Careless(LaneStep):
        def on_batch(self, values: list[Shares]) -> tuple[Iterable[Outputs], bool]:
            told = super().on_batch(values)
            for group in self.groups.values():
                if isinstance(group, KeyGroup):
                    group._away.erased.clear()  # noqa: SLF001 -- it has no other way
            return told

    return patch.object(pipeline.parts, "LaneStep", Careless)


def forget_splits() -> AbstractContextManager[object]:
    """A store does not remember what was split: stragglers put it together again."""

    def forgetful(real: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
        def link(store: object, links: dict[str, str], event: object, known: object) -> dict[str, str]:
            for name in [name for name in links if name.startswith("r:")]:
                told = unpack(links[name])
                told.parted = {}
                links[name] = told.pack()
            return real(store, links, event, known)

        return link

    stack = ExitStack()
    for store in (connectors.memory.MemoryIdentity, tests.simulation.store.SimulatedIdentity):
        stack.enter_context(patch.object(store, "link", forgetful(store.link)))
    return stack


PLANTED: Final[dict[str, Bug]] = {
    "a marker dropped": drop_markers,
    "a tail not cut off on resume": keep_tails,
    "a tombstone forgotten": forget_tombstones,
    "a delivery error ignored": ignore_refusals,
    "a hand-over applied twice": absorb_twice,
    "a visitor's sessions left behind": leave_behind,
    "a journal not gone by": forget_the_journal,
    "what waits for another lead's state lost": forget_what_waits,
    "an old changelog removed too soon": retire_at_once,
    "published triggers not looked for": skip_tails_of_triggers,
    "a checkpoint before its records": commit_unacknowledged,
    "an erasure not remembered": forget_erasures,
    "a request that stays in its shard": erase_here_only,
    "what was on its way when somebody was erased": welcome_the_erased,
    "a split not remembered": forget_splits,
}
