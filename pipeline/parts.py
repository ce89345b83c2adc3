"""From settings to the steps of the flow: the one place where rules, stores and engine meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from config.settings import Settings
from connectors.changelog import Changelog, Rewrites
from connectors.cloudevents import Encoder
from operators.duplicates import DuplicateRules
from operators.profile import ProfileOperator
from pipeline.key_groups import key_groups
from pipeline.steps import Gather, Resolve, TimeRules, deal, decode, publish
from pipeline.telemetry import Tally


class Parts:
    """The steps, by the names that `flow.py` calls them."""

    def __init__(
        self,
        settings: Settings,
        partitions: Sequence[str],
        recovery: Path | None,
        tally: Tally,
        now: Callable[[], int],
    ) -> None:
        """Make the steps; with a `recovery` folder their states are kept in changelogs there."""
        rewrites = Rewrites()
        fsync = settings.checkpoint.fsync

        def changelog(name: str) -> Changelog | None:
            return None if recovery is None else Changelog(recovery, name, rewrites, fsync=fsync)

        self.decode = decode(settings.source.format, tally)
        self.resolve = lambda resume: Resolve(
            TimeRules(lateness_ms=settings.source.lateness_ms, live_within_ms=settings.source.live_within_ms),
            DuplicateRules(**msgspec.structs.asdict(settings.duplicates)),
            settings.key_groups,
            changelog("identity"),
            tally,
            resume,
        )
        self.deal = deal
        self.visitors = key_groups(
            ProfileOperator(settings.visitor_rules()), partitions, lambda g: changelog(f"visitors-{g:04d}")
        )
        self.gather = Gather(settings.key_groups, tally)
        self.profiles = key_groups(
            ProfileOperator(settings.lead_rules()), partitions, lambda g: changelog(f"profiles-{g:04d}")
        )
        self.publish = publish(Encoder(settings.output.source, now), tally)
