"""When a visit ends, and when a telephone call does."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from config.durations import DAY, HOUR, MINUTE, SECOND
from config.section import Delay, Instantly, Section


class GapSettings(Section, frozen=True, kw_only=True):
    """The inactivity that ends a visit, by channel; a gap of exactly this long stays in it.

    30 minutes is the default of Google Analytics and Snowplow. 0: the channel makes no sessions,
    as for messages and servers, which nobody visits. A call whose legs a telephone system tells of is in no visit.
    """

    web_ms: Instantly = 30 * MINUTE
    app_ms: Instantly = 30 * MINUTE
    chat_ms: Instantly = 30 * MINUTE
    phone_ms: Instantly = 30 * MINUTE
    sms_ms: Instantly = 0
    email_ms: Instantly = 0
    social_ms: Instantly = 0
    server_ms: Instantly = 0


class SessionSettings(Section, frozen=True, kw_only=True):
    """When a visit ends."""

    gap: GapSettings = GapSettings()
    length_ms_max: Annotated[int, Meta(ge=MINUTE, le=30 * DAY)] = DAY
    """No session grows longer: 24 h, so that a tab that refreshes itself is not one visit for ever."""
    memory_ms: Delay = 2 * HOUR
    """How long after its last event a session can still be revised by a late one. Costs state."""
    stitch_ms: Annotated[int, Meta(ge=0, le=400 * DAY)] = 30 * DAY
    """How long before a visitor became known a session may have ended that is published again as the lead's: as long as
    an anonymous profile without events is kept. 0: none is. Costs state, of the last 20 sessions."""


class CallSettings(Section, frozen=True, kw_only=True):
    """When a telephone call is over."""

    grace_ms: Instantly = 30 * SECOND
    """From a call's end to its record: systems tell of one leg's end before the next leg's beginning, and late."""
    length_ms_max: Annotated[int, Meta(ge=MINUTE, le=DAY)] = 4 * HOUR
    """A call of which no end was heard is over after this: longer than any real one."""
    memory_ms: Delay = HOUR
    """How long after its end a call can still be revised by a late record."""
