"""From settings to the steps of the flow: the one place where rules, stores and engine meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec

from config.journeys import book_of
from config.patterns import compiled
from config.settings import Settings
from config.traffic import TrafficSettings
from connectors.changelog import Changelog, Rewrites
from connectors.cloudevents import Encoder, MessageEncoder
from connectors.crawlers import known_bots
from connectors.formats import Format
from connectors.formats.common import SourceRules
from connectors.formats.mapping import way
from connectors.formats.pseudonyms import Pseudonyms
from connectors.formats.screening import Screening
from connectors.given_folder import GivenFolder
from connectors.journal import Journal
from connectors.memory import MemoryIdentity
from operators.decision import Decider
from operators.profile import ProfileOperator
from operators.rules import DuplicateRules, IdentityRules, ProfileRules, TimeRules
from pipeline.calls import Calls
from pipeline.deal import Dealer
from pipeline.exchange import Elsewhere, Former
from pipeline.key_groups import KeyGroup
from pipeline.lead_groups import LeadGroup
from pipeline.manifest import CALLS, GIVEN, IDENTITY, changelog_name
from pipeline.ports import HandOvers, IdentityStore
from pipeline.purges import Purges
from pipeline.resolve import Resolver
from pipeline.seeds import Seeds
from pipeline.shards import ALONE, Shard
from pipeline.steps import CallsStep, GatherStep, LaneStep, ResolveStep, collect, deal, decode, publish
from pipeline.tally import Tally, source_of
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
        control: str = "",
        decider: Decider | None = None,
    ) -> None:
        """Make the steps; with a `recovery` folder their states are kept in changelogs there, and begin from its seeds.

        Without a `store` of identities they have an embedded one of their own; without an `encoder` they publish
        lines, without a `decider` the rules are the settings' as they are now. One `shard` of several hands on what is
        not for its own key groups, and notes in the `journal` what it takes in; `former` says what of that which lies
        between shards counts. The source `control` has requests.
        """
        former, decides = former or Former(shard.timeline, {}, {}), decider or Decider(book_of(settings))
        rewrites, purges, self.seeds = Rewrites(), Purges(settings.key_groups), Seeds(recovery)
        people, given = _stores(store, recovery, fsync=settings.checkpoint.fsync)

        def changelog(name: str) -> Changelog | None:
            return None if recovery is None else Changelog(recovery, name, rewrites, fsync=settings.checkpoint.fsync)

        def resolve(resume: bytes | None) -> ResolveStep:
            duplicates = DuplicateRules(**msgspec.structs.asdict(settings.duplicates))
            dealer, identity = Dealer(settings.key_groups, shard), changelog(IDENTITY)
            time, rules = _watermark(settings, partitions, shard, former.ends), _identity_rules(settings)
            told = self.seeds.resolve if resume is None else resume
            return ResolveStep(Resolver(time, duplicates, rules, dealer, identity, tally, people, told, journal))

        def key_groups(name: str, rules: ProfileRules) -> Callable[[bytes | None], LaneStep]:
            operator, seeds, lanes = ProfileOperator(rules, decides), self.seeds.groups(name), list[LaneStep]()

            def key_group(number: int, resume: bytes | None) -> KeyGroup | Elsewhere:
                if number >= settings.key_groups:
                    return Elsewhere(shard.timeline, shard.index, number - settings.key_groups, name)
                log = changelog(changelog_name(name, number))
                if name == "profiles":
                    return LeadGroup(number, operator, log, resume, given, purges)
                return KeyGroup(number, operator, log, resume, forwards=shard.count > 1, purges=purges)

            return lambda resume: LaneStep(key_group, resume, tally.steps[name], seeds, lanes)

        self.decode = decode(format_of(settings), source_rules(settings), tally, former, now, control)
        self.calls = lambda told: _calls(settings, partitions, changelog(CALLS), told or self.seeds.calls, tally)
        self.resolve = resolve
        self.visitors = key_groups("visitors", settings.visitor_rules())
        self.deal, self.collect = deal, collect
        self.gather = lambda _: GatherStep(Dealer(settings.key_groups, shard), tally)
        self.profiles = key_groups("profiles", settings.lead_rules())
        self.publish = publish(encoder or Encoder(settings.output.source, now), tally)


def _calls(
    settings: Settings, partitions: Sequence[str], log: Changelog | None, told: bytes | None, tally: Tally
) -> CallsStep:
    """Return the step that makes calls of their legs, of the partitions that are read here."""
    calls = Calls(settings.call_rules(), _time_rules(settings), log, told, frozenset(partitions), tally)
    return CallsStep(calls, tally.steps["calls"])


def format_of(settings: Settings) -> Callable[[str], Format]:
    """Return what gives the format of a partition's records: its topic's, where one is set."""
    mappings = {name: way(rules) for name, rules in settings.source.mapping_rules().items()}

    @cache
    def of(partition: str) -> Format:
        name = settings.source.formats.get(source_of(partition), settings.source.format)
        return mappings.get(name, name)

    return of


def source_rules(settings: Settings) -> Callable[[str], SourceRules]:
    """Return what gives the rules by which a partition's records are read: they differ by the region of its source."""
    identity = settings.identity
    made: dict[str, SourceRules] = {}
    pseudonyms = None if identity.secrets is None else Pseudonyms(*identity.secrets)
    screening = _screening(settings.traffic)

    def rules_of(partition: str) -> SourceRules:
        region = identity.phone_regions.get(source_of(partition), identity.phone_region)
        rules = made.get(region)
        if rules is None:
            bytes_max = settings.source.record_bytes_max
            rules = made[region] = SourceRules(
                bytes_max, region, identity.blocked, identity.patterns, pseudonyms, screening
            )
        return rules

    return rules_of


def _identity_rules(settings: Settings) -> Callable[[str], IdentityRules]:
    """Return what gives the rules by which events of a partition are who they are: they differ by what is trusted."""

    @cache
    def rules_of(partition: str) -> IdentityRules:
        return settings.identity.rules(source_of(partition))

    return rules_of


def _stores(store: IdentityStore | None, recovery: Path | None, *, fsync: bool) -> tuple[IdentityStore, HandOvers]:
    """Return who knows identities, and by whom leads hand over what they are: Redis does both."""
    if store is not None:
        return store, store
    embedded = MemoryIdentity()
    return embedded, embedded if recovery is None else GivenFolder(recovery / GIVEN, fsync=fsync)


def _time_rules(settings: Settings) -> TimeRules:
    return TimeRules(lateness_ms=settings.source.lateness_ms, live_within_ms=settings.source.live_within_ms)


def _screening(traffic: TrafficSettings) -> Screening:
    """Return what tells whose events do not count."""
    ours = traffic.internal
    return Screening(
        bots=[*(known_bots() if traffic.bots else ()), *compiled("traffic.bot_agents", traffic.bot_agents)],
        people=compiled("traffic.people_agents", traffic.people_agents),
        agents=compiled("traffic.internal.agents", ours.agents),
        networks=ours.subnets,
        email_domains=ours.email_domains,
        user_ids=ours.user_ids,
        urls=ours.urls,
    )


def _watermark(settings: Settings, partitions: Sequence[str], shard: Shard, leftovers: Mapping[str, int]) -> Watermark:
    """Return what keeps the time: of the partitions read here, of the other shards, and of those of a former life."""
    rules = _time_rules(settings)
    mine = [slot for slot in range(shard.slots) if shard.owns_number(slot)]
    others = [sender for sender in range(shard.count) if sender != shard.index]
    channels = [channel(sender, slot) for sender in others for slot in mine]
    readers = max(1, len(settings.cluster.addresses))
    return Watermark(partitions, rules, channels, settings.source.patience_ms, leftovers, readers)
