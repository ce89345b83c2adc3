"""
How long everything takes in a simulated run, and all that is set.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Final

import msgspec

from config.identity import IdentitySettings
from config.kafka import KafkaSettings
from config.settings import DecisionSettings, Settings
from config.visits import GapSettings, SessionSettings
from tests import journeys
from tests.chaos.rules import Rules, ms


class SimulatedRules(Rules):
    """The delays of `make chaos` where it is short: what is simulated is paid for by the second too."""

    @property
    def settings(self) -> Settings:
        """The settings of the flow: few key groups, so that profiles share them, and Kafka."""
        return _settings(self)


# The lateness is a budget, of which no run may spend more: a quarter for what people send late, a third and two turns
# for an outage that nobody notices, then the producers' pauses, the brokers' slowness and a clock that is ahead.
LATE_MAX: Final = 0.25
PACES_S: Final = (0.3, 0.6, 1.0)
"""How often a process is looked at: up to twice as long may lie between two turns."""
PAUSE_SHARE: Final = 0.1
"""Of a short outage, how much longer a shop's producer may take to notice that it is over."""
SLOW_S: Final = (0.05, 0.1, 0.3)
"""How long a word to a slow broker takes, up to twice."""
AHEAD_S_MAX: Final = 0.5

RULES: Final = SimulatedRules(
    "simulated", lateness=9, gap=10, cart=10, checkout=8, browse=11, checkpoint=1, pause=0, down=(0, 0), rest=(0, 0)
)


KEY_GROUPS: Final = (4, 12)
"""Few, so that people share them; or several for each partition of the internal topic."""


def varied(random: Random, shards: int, key_groups: int) -> Settings:
    """Draw settings that make no difference to what is told; an operator may change all but the last at any start.

    What shards say to each other of time would not be read as fast as it is said, one at a time.
    """
    settings = RULES.settings
    replace = msgspec.structs.replace
    return replace(
        settings,
        key_groups=key_groups,
        source=replace(
            settings.source,
            batch_records=random.choice((1, 3, 5_000) if shards == 1 else (50, 5_000)),
            live_within_ms=random.choice((12_000, 3_600_000)),
            patience_ms=3_600_000,  # what lies in the wrong partition is then never too late
        ),
        checkpoint=replace(settings.checkpoint, interval_ms=random.choice((100, 1_000, 6_000))),
        kafka=replace(settings.kafka, queue_max=random.choice((3, 1_000))),
    )


@cache
def _settings(rules: SimulatedRules) -> Settings:
    base, gap_ms = super(SimulatedRules, rules).settings, ms(rules.gap)
    return msgspec.structs.replace(
        base,
        session=SessionSettings(gap=GapSettings(web_ms=gap_ms, app_ms=gap_ms, phone_ms=gap_ms)),
        decision=DecisionSettings(
            journeys=journeys.folder(
                abandonment_cooldown=ms(rules.cart), returning_cooldown=0, offer_cooldown=gap_ms, offer_views=1
            )
        ),
        identity=IdentitySettings(redis_url="redis://simulated"),
        kafka=KafkaSettings(servers="simulated:9092", topics=("in",), prefix="out."),
    )
