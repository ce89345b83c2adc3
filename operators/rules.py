"""The rules of the operators: what can be set of sessions, carts, footprints and profiles.

`config/settings.py` makes them of a configuration and bounds them. All spans are in ms.
"""

from __future__ import annotations

from typing import Final

import msgspec

# Half of an interest is gone after a week: long enough to span a weekend between two visits,
# short enough that last month's gift for somebody else does not lead (a judgement; configurable).
INTEREST_HALF_LIFE_MS: Final = 7 * 86_400_000


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a visit ends, by channel. A channel that is not named makes no sessions."""

    gap_ms: dict[str, int]
    length_ms_max: int
    memory_ms: int
    remembered_max: int = 8
    stitch_ms: int = 0
    """How long before a link a session may have ended to become the lead's; 0: none does."""
    stitched_max: int = 20


class CartRules(msgspec.Struct, frozen=True, kw_only=True):
    """Delays of the three intents in ms, and what restarts them. `browse_views_min` 0: no browse intent."""

    browse_delay_ms: int
    cart_delay_ms: int
    checkout_delay_ms: int
    browse_views_min: int
    restart_on_activity: bool
    age_ms_max: int
    carts_max: int = 20
    lines_max: int = 100

    @property
    def delay_ms_min(self) -> int:
        """The shortest of the delays: activities closer together than this may be thinned."""
        return min(self.browse_delay_ms, self.cart_delay_ms, self.checkout_delay_ms)


class CallRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long after its end a call closes, how long one can last, and how long it can be revised after that, in ms."""

    grace_ms: int
    length_ms_max: int
    memory_ms: int


class FootprintRules(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a footprint is kept. Ten pages are what an agent's screen shows (mission row 12)."""

    enabled: bool = True
    pages_max: int = 10
    products_max: int = 10
    categories_max: int = 5
    searches_max: int = 5
    interest_half_life_ms: int = INTEREST_HALF_LIFE_MS


class ProfileRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of all parts, and how long a profile without events is kept (ms)."""

    sessions: SessionRules
    carts: CartRules
    footprint: FootprintRules
    retention_ms: int
    lateness_ms: int
    is_lead: bool = False
    """Whether these are the rules of known persons."""
    rate_max: int = 0
    """How many events of one profile a minute are a person's, 0: any number; else it is a bot's for `rate_ban_ms`."""
    rate_ban_ms: int = 0
    late_ms_max: int
    """How far behind the watermark an event may come that belongs to no remembered session."""


class IdentifierLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How many identifiers of a type a lead is given within `window_ms`; 0 is for ever."""

    count: int
    window_ms: int


class IdentityRules(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a lead one person.

    `limits` by type of identifier, by its letter; how often it may become one with others; how much it may ever be
    given; how many leads may give one telephone number. The events of a source that is trusted less may not make one
    lead of two; those of one that is trusted more may ask that two users be one.
    """

    limits: dict[str, IdentifierLimit]
    merges_max: int
    identifiers_max: int
    sharers_max: int
    may_merge: bool = True
    may_ask: bool = False


class DuplicateRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long an id is remembered, in ms of event time, how many at most, and whether sources share theirs."""

    enabled: bool = True
    across_sources: bool = False
    window_ms: int
    ids_max: int


class TimeRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the watermark of a partition follows its events, in ms; see `config/settings.py`, source."""

    lateness_ms: int
    live_within_ms: int
