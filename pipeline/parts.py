"""From settings to the steps of the flow: the one place where rules, stores and engine meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from config.settings import Settings
from connectors.changelog import Changelog, Rewrites
from connectors.cloudevents import Encoder, MessageEncoder
from connectors.given_folder import GivenFolder
from connectors.journal import Journal
from connectors.memory import MemoryIdentity
from operators.profile import ProfileOperator
from operators.rules import DuplicateRules, ProfileRules, TimeRules
from pipeline.deal import Dealer
from pipeline.exchange import Elsewhere, Former
from pipeline.key_groups import KeyGroup
from pipeline.manifest import GIVEN, IDENTITY, changelog_name
from pipeline.ports import HandOvers, IdentityStore
from pipeline.resolve import Resolver
from pipeline.seeds import Seeds
from pipeline.shards import ALONE, Shard
from pipeline.steps import GatherStep, LaneStep, ResolveStep, collect, deal, decode, publish
from pipeline.telemetry import Tally
from pipeline.watermark import Watermark, channel


class Parts:
    """The steps, by the names that `flow.py` calls them."""

    def __init__(  # noqa: PLR0913, PLR0917 -- all that steps need is brought here
        self,
        settings: Settings,
        partitions: Sequence[str],
        recovery: Path | None,
        tally: Tally,
        now: Callable[[], int],
        store: IdentityStore | None = None,
        encoder: Encoder | MessageEncoder | None = None,
        shard: Shard = ALONE,
        former: Former | None = None,
        journal: Journal | None = None,
    ) -> None:
        """Make the steps; with a `recovery` folder their states are kept in changelogs there, and begin from its seeds.

        Without a `store` of identities they have an embedded one of their own; without an `encoder` they publish
        lines. One `shard` of several hands on what is not for its own key groups, and notes in the `journal` what it
        takes in; `former` says what of that which lies between shards counts.
        """
        former = former or Former(shard.timeline, {}, {})
        rewrites, self.seeds = Rewrites(), Seeds(recovery)
        fsync = settings.checkpoint.fsync
        people, given = _stores(store, recovery, fsync=fsync)

        def changelog(name: str) -> Changelog | None:
            return None if recovery is None else Changelog(recovery, name, rewrites, fsync=fsync)

        def resolve(resume: bytes | None) -> ResolveStep:
            duplicates = DuplicateRules(**msgspec.structs.asdict(settings.duplicates))
            dealer, identity = Dealer(settings.key_groups, shard), changelog(IDENTITY)
            time = _watermark(settings, partitions, shard, former.ends)
            told = self.seeds.resolve if resume is None else resume
            return ResolveStep(Resolver(time, duplicates, dealer, identity, tally, people, told, journal))

        def key_groups(name: str, rules: ProfileRules) -> Callable[[bytes | None], LaneStep]:
            operator, seeds, lanes = ProfileOperator(rules), self.seeds.groups(name), list[LaneStep]()

            def key_group(number: int, resume: bytes | None) -> KeyGroup | Elsewhere:
                if number >= settings.key_groups:
                    return Elsewhere(shard.timeline, shard.index, number - settings.key_groups, name)
                log, is_first = changelog(changelog_name(name, number)), name == "visitors"
                forwards, by = is_first and shard.count > 1, None if is_first else given
                return KeyGroup(number, operator, log, resume, forwards=forwards, store=by)

            return lambda resume: LaneStep(key_group, resume, tally.steps[name], seeds, lanes)

        self.decode = decode(settings.source.format, settings.source.record_bytes_max, tally, former)
        self.resolve = resolve
        self.deal = deal
        self.visitors = key_groups("visitors", settings.visitor_rules())
        self.collect = collect
        self.gather: Callable[[bytes | None], GatherStep] = lambda _: GatherStep(
            Dealer(settings.key_groups, shard), tally
        )
        self.profiles = key_groups("profiles", settings.lead_rules())
        self.publish = publish(encoder or Encoder(settings.output.source, now), tally)


def _stores(store: IdentityStore | None, recovery: Path | None, *, fsync: bool) -> tuple[IdentityStore, HandOvers]:
    """Return who knows identities, and by whom leads hand over what they are: Redis does both."""
    if store is not None:
        return store, store
    embedded = MemoryIdentity()
    return embedded, embedded if recovery is None else GivenFolder(recovery / GIVEN, fsync=fsync)


def _watermark(settings: Settings, partitions: Sequence[str], shard: Shard, leftovers: Mapping[str, int]) -> Watermark:
    """Return what keeps the time: of the partitions read here, of the other shards, and of those of a former life."""
    rules = TimeRules(lateness_ms=settings.source.lateness_ms, live_within_ms=settings.source.live_within_ms)
    mine = [slot for slot in range(shard.slots) if shard.owns_number(slot)]
    others = [sender for sender in range(shard.count) if sender != shard.index]
    channels = [channel(sender, slot) for sender in others for slot in mine]
    readers = max(1, len(settings.cluster.addresses))
    return Watermark(partitions, rules, channels, settings.source.patience_ms, leftovers, readers)
