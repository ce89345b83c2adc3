"""Events that do not count, for they are a bot's or of the shop's own people: the closed set of rules."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from operators.rejected import Rejected

Rule = Literal[
    "bot",  # its user agent is that of a known bot
    "rate",  # its visitor does more within a minute than a person does
    "internal_agent",  # its user agent is one of our own tools
    "internal_network",  # it came from an address of our own
    "internal_email",  # its person has an e-mail address of our own
    "internal_user",  # its user is one of our own people
    "internal_url",  # it happened on a host or below a path that customers do not see
]
RULES: Final = tuple(get_args(Rule))


class ScreenedEvent(msgspec.Struct, gc=False):
    """An event that did not count, and the partition that it came from. It is counted and not published."""

    rule: Rule
    partition: str


LeftOut = Rejected | ScreenedEvent
"""An event that does not count: it could not, or is nobody's that is to count."""
