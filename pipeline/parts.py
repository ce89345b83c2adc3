"""From settings to the steps of the flow: the one place where rules, stores and engine meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from config.settings import Settings
from connectors.changelog import Changelog, Rewrites
from connectors.cloudevents import Encoder, MessageEncoder
from connectors.memory import MemoryIdentity
from operators.profile import ProfileOperator
from operators.rules import DuplicateRules, ProfileRules, TimeRules
from pipeline.key_groups import KeyGroup
from pipeline.ports import IdentityStore
from pipeline.resolve import Resolver
from pipeline.steps import LaneStep, ResolveStep, deal, decode, gather, publish
from pipeline.telemetry import Tally
from pipeline.watermark import Watermark


class Parts:
    """The steps, by the names that `flow.py` calls them."""

    def __init__(
        self,
        settings: Settings,
        partitions: Sequence[str],
        recovery: Path | None,
        tally: Tally,
        now: Callable[[], int],
        store: IdentityStore | None = None,
        encoder: Encoder | MessageEncoder | None = None,
    ) -> None:
        """Make the steps; with a `recovery` folder their states are kept in changelogs there.

        Without a `store` of identities they have an embedded one of their own; without an `encoder` they publish lines.
        """
        rewrites = Rewrites()
        fsync = settings.checkpoint.fsync

        def changelog(name: str) -> Changelog | None:
            return None if recovery is None else Changelog(recovery, name, rewrites, fsync=fsync)

        def resolve(resume: bytes | None) -> ResolveStep:
            time = TimeRules(lateness_ms=settings.source.lateness_ms, live_within_ms=settings.source.live_within_ms)
            duplicates = DuplicateRules(**msgspec.structs.asdict(settings.duplicates))
            identity = changelog("identity")
            mine = MemoryIdentity() if store is None else store
            watermark = Watermark(partitions, time)
            return ResolveStep(Resolver(watermark, duplicates, settings.key_groups, identity, tally, mine, resume))

        def key_groups(name: str, rules: ProfileRules) -> Callable[[bytes | None], LaneStep]:
            operator = ProfileOperator(rules)

            def changelog_of(group: int) -> Changelog | None:
                return changelog(f"{name}-{group:04d}")

            def key_group(resume: bytes | None) -> KeyGroup:
                return KeyGroup(operator, changelog_of, resume)

            return lambda resume: LaneStep(key_group, resume, tally.steps[name])

        self.decode = decode(settings.source.format, settings.source.record_bytes_max, tally)
        self.resolve = resolve
        self.deal = deal
        self.visitors = key_groups("visitors", settings.visitor_rules())
        self.gather = gather(settings.key_groups, tally)
        self.profiles = key_groups("profiles", settings.lead_rules())
        self.publish = publish(encoder or Encoder(settings.output.source, now), tally)
