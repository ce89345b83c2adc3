"""How long everything takes in a chaos run: settings so short that all that is begun comes due within it."""

from __future__ import annotations

from typing import Final, NamedTuple

from config.settings import CartSettings, CheckpointSettings, DecisionSettings, Settings, SourceSettings
from config.visits import GapSettings, SessionSettings
from tests import journeys


class Rules(NamedTuple):
    """The delays of the flow and those of the faults, in seconds."""

    name: str
    lateness: float
    gap: float
    cart: float
    checkout: float
    browse: float
    checkpoint: float
    pause: float
    """How long a paused server hangs."""
    down: tuple[float, float]
    """How long a killed server stays down before it is started, at least and at most."""
    rest: tuple[float, float]
    """Between a recovery and the next fault, at least and at most."""
    fault: float = 10.0
    """How long a fault takes with the rest before it and the recovery after, on the average."""
    measure: float = 30.0
    """How long it is measured what the machine carries: the second half counts, when the first lives are over."""
    away: tuple[float, float] = (2.0, 6.0)
    """How long one shard is away while the others go on, at least and at most."""
    patience: float = 3.0
    """How long visitors wait for a silent shard: some of those outages are longer, some are not."""
    reload: float = 1.0
    """How often it is looked whether somebody has edited the rules."""

    @property
    def settled(self) -> float:
        """So long after the last event everything that follows from it has been told."""
        return max(self.gap, self.cart, self.checkout, self.browse) + self.lateness + 2.0

    @property
    def settings(self) -> Settings:
        """The settings of the flow, but for where the servers are."""
        gap_ms = ms(self.gap)
        return Settings(
            key_groups=16,
            source=SourceSettings(lateness_ms=ms(self.lateness), patience_ms=ms(self.patience)),
            session=SessionSettings(gap=GapSettings(web_ms=gap_ms, app_ms=gap_ms)),
            cart=CartSettings(
                browse_delay_ms=ms(self.browse), cart_delay_ms=ms(self.cart), checkout_delay_ms=ms(self.checkout)
            ),
            decision=DecisionSettings(
                journeys=journeys.folder(
                    abandonment_cooldown=ms(self.cart), returning_cooldown=0, offer_cooldown=gap_ms
                ),
                reload_ms=ms(self.reload),
            ),
            checkpoint=CheckpointSettings(interval_ms=ms(self.checkpoint)),
        )


def ms(seconds: float) -> int:
    """Return seconds as milliseconds."""
    return round(seconds * 1000)


# The lateness exceeds what a producer with librdkafka's settings takes to come back after an outage: its pauses
# between attempts double up to 10 s.
FULL: Final = Rules(
    "full",
    lateness=15,
    gap=25,
    cart=25,
    checkout=20,
    browse=30,
    checkpoint=1,
    pause=60,
    down=(0, 10),
    rest=(3, 15),
    fault=45,
    measure=90,
    away=(5, 40),
    patience=20,
    reload=2,
)
# In an outage of some 10 s they come to 3 s.
SHORT: Final = Rules(
    "short",
    lateness=8,
    gap=10,
    cart=10,
    checkout=8,
    browse=11,
    checkpoint=0.5,
    pause=6,
    down=(0, 1),
    rest=(0.2, 1),
)
RULES: Final = {rules.name: rules for rules in (FULL, SHORT)}
