"""A dry run: recorded events under the rules in force and under others, and what of it differs.

Both runs go through the flow as it is, with the same settings, and publish to folders of their own. They differ in the
rules only, and a run depends on nothing but its input: so what differs comes of the rules. Of what they have published
only hashes stay in memory.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from config.journeys import book_of
from config.settings import ClusterSettings, Settings
from connectors.published import PublishedFolder
from operators.ids import digest
from operators.trigger import Retraction, Suppressed, Trigger
from pipeline.explaining import RETRACTED, Window
from pipeline.run import Outcome, run
from pipeline.tally import Tally

T = TypeVar("T")


class Example(msgspec.Struct):
    """A trigger that only one of both runs has sent."""

    trigger_id: str
    profile_id: str
    action: str
    channel: str
    cause: str
    """What it is about, and when that came about."""
    otherwise: str = ""
    """What became of it in the other run: why it was held back; "" where no rule fired on its cause."""


class Difference(msgspec.Struct):
    """What the new rules change for an action."""

    action: str
    sent_before: int = 0
    sent_now: int = 0
    gained: int = 0
    """Sent now and not before."""
    lost: int = 0
    """Sent before and not now."""
    rerouted: int = 0
    """Sent by both, on another channel."""
    retracted_before: int = 0
    retracted_now: int = 0
    suppressed: dict[str, tuple[int, int]] = {}
    """By reason, before and now."""


class Comparison(msgspec.Struct):
    """What new rules would have changed."""

    since: str
    until: str
    events: int
    """Events that were replayed, those from before `since` too."""
    rejected: int
    rules_before: str
    rules_now: str
    actions: list[Difference]
    gained: list[Example]
    lost: list[Example]


def dry_settings(settings: Settings, journeys: str) -> Settings:
    """Return settings under which a run decides as those say and touches nothing that others see.

    Identities are embedded, for those in the store are of today; nothing is served, nothing survives, and whatever
    share of the records is rejected, the run goes on.
    """
    return replace(
        settings,
        shard="0/1",
        cluster=ClusterSettings(),
        identity=replace(settings.identity, redis_url=""),
        checkpoint=replace(settings.checkpoint, folder="", fsync=False),
        telemetry=replace(settings.telemetry, port=0),
        decision=replace(settings.decision, journeys=journeys, reload_ms=0),
        dead_letters=replace(settings.dead_letters, ratio_max=1.0),
    )


class _Sent(NamedTuple):
    action: str
    channel: str


class _Side:
    """What one run has published."""

    def __init__(self, folder: Path, window: Window) -> None:
        self._outputs, self._window = PublishedFolder(folder), window
        self.sent: dict[str, _Sent] = {}
        """By what they are, as `same` says it."""
        self.retracted = Counter[str]()
        self.suppressed = Counter[tuple[str, str]]()
        undone = {one.trigger_id for one in self._told("triggers", Retraction)}
        for one in self.triggers():
            self.sent[same(one)] = _Sent(one.action, one.channel)
            self.retracted[one.action] += one.trigger_id in undone
        for held in self.held_back():
            self.suppressed[held.action, held.reason] += 1

    def triggers(self) -> Iterator[Trigger]:
        """Return those of the window, without what was taken back."""
        return (one for one in self._told("triggers", Trigger) if self._window.takes(one.cause.time))

    def held_back(self, ids: Collection[str] | None = None) -> Iterator[Suppressed]:
        """Return those of the window, all or those of some people."""
        return (one for one in self._told("suppressed", Suppressed, ids) if self._window.takes(one.cause.time))

    def _told(self, stream: str, kind: type[T], ids: Collection[str] | None = None) -> Iterator[T]:
        for one in self._outputs.told(stream, ids):
            if (one.type == RETRACTED) == (kind is Retraction):
                yield msgspec.json.decode(one.data, type=kind)


def same(record: Trigger | Suppressed) -> str:
    """Return what two runs have in common that did the same: one action for one person and cause.

    A trigger's id does not say it: that of what is acted upon once per product or person depends on the cool-down.
    """
    cause = record.cause
    return digest(record.action, record.profile_id, cause.type, cause.id, cause.time)


class Folders(NamedTuple):
    """Where both runs publish."""

    before: Path
    now: Path


def replay(
    settings: Settings, journeys: Path, inputs: Sequence[str], folders: Folders, watch: Callable[[Tally], None]
) -> list[Outcome]:
    """Run the inputs under the rules in force, then under those of `journeys`; one outcome only where it was stopped.

    Raises:
        JourneyError: one of them has rules that cannot be used; nothing is run then.
        RunError: a run could not go on.
    """
    both = [dry_settings(settings, rules) for rules in (settings.decision.journeys, str(journeys.absolute()))]
    for one in both:
        book_of(one)
    outcomes: list[Outcome] = []
    for one, folder in zip(both, folders, strict=True):
        outcomes.append(run(one, inputs, folder, watch=watch))
        if outcomes[-1].is_stopped:
            break
    return outcomes


def compare(folders: Folders, window: Window, limit: int) -> tuple[list[Difference], list[Example], list[Example]]:
    """Return what differs by action, and up to `limit` triggers each that were gained and lost, the earliest first."""
    before, now = _Side(folders.before, window), _Side(folders.now, window)
    found: dict[str, Difference] = {}

    def of(action: str) -> Difference:
        return found.setdefault(action, Difference(action, suppressed={}))

    for id_, sent in before.sent.items():
        of(sent.action).sent_before += 1
        of(sent.action).lost += id_ not in now.sent
    for id_, sent in now.sent.items():
        of(sent.action).sent_now += 1
        of(sent.action).gained += id_ not in before.sent
        of(sent.action).rerouted += id_ in before.sent and before.sent[id_].channel != sent.channel
    for action in before.retracted | now.retracted:
        of(action).retracted_before, of(action).retracted_now = before.retracted[action], now.retracted[action]
    for action, reason in sorted(before.suppressed.keys() | now.suppressed.keys()):
        counts = before.suppressed[action, reason], now.suppressed[action, reason]
        of(action).suppressed[reason] = counts
    gained, lost = _examples(now, before, limit), _examples(before, now, limit)
    return [found[action] for action in sorted(found)], gained, lost


def _examples(side: _Side, other: _Side, limit: int) -> list[Example]:
    """Return triggers that only one side has, with what became of them on the other."""
    only = (one for one in side.triggers() if same(one) not in other.sent)
    earliest = heapq.nsmallest(limit, only, key=lambda one: (one.cause.time, one.trigger_id))
    whys = {}
    for held in other.held_back({one.profile_id for one in earliest}):
        whys[same(held)] = f"{held.reason}{': ' if held.detail else ''}{held.detail}"
    return [
        Example(
            one.trigger_id,
            one.profile_id,
            one.action,
            one.channel,
            f"{one.cause.type} {one.cause.id} {one.cause.time}",
            whys.get(same(one), ""),
        )
        for one in earliest
    ]
