"""What happens to identifiers, as it is published."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from operators.ids import digest
from operators.wire import Count, Instant

What = Literal["created", "linked", "moved", "merged", "refused", "ambiguous", "erased", "unmerged", "stitched"]
Rule = Literal[
    "",
    "one_user_id_per_lead",
    "identifier_of_another_lead",
    "identifier_limit",
    "merge_limit",
    "source_may_not_merge",
    "unmerged",
    "source_may_not_ask",
    "nobody_named",
]


class IdentityRecord(msgspec.Struct, gc=False):
    """What happened to an identifier. E-mail addresses and phone numbers appear as a hash only."""

    stream: ClassVar[str] = "identity"

    what: What
    """What happened."""
    profile_id: str
    """Whose identifier it is from now on; of what was refused, who the event counts for."""
    identifier_type: str
    """Of what type the identifier is: user_id, email, phone, anonymous_id or lead; "" where it is about none."""
    identifier: str
    """The identifier itself, of e-mail addresses and phone numbers a hash; "" where it is about none."""
    rule: Rule
    """The rule by which it was refused; "" of what was not."""
    other_profile_id: str
    """Whose it was before, who has become this lead, or whose identifier was not given away; "" for nobody."""
    event_id: str
    """The event, or the request, by which it happened."""
    at: Instant
    """When that was."""
    leads: list[str] = []
    """Of what is ambiguous, the leads who have given it; of a merge, all who have ever become this one: in the order in
    which they did."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"{self.event_id}/{self.what}/{self.identifier_type}",
            f"io.nextmove.identity.{self.what}.v1",
            self.profile_id,
            self.at,
        )


class FurtherRecord(IdentityRecord, gc=False):
    """The same of one more identifier of its type, for the same event."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"{self.event_id}/{self.what}/{self.identifier_type}/{digest(self.identifier)[:16]}",
            f"io.nextmove.identity.{self.what}.v1",
            self.profile_id,
            self.at,
        )


class StitchedRecord(IdentityRecord, gc=False):
    """That the profile `other_profile_id` is part of a lead now, by the event `event_id`, and what it brings."""

    aliases: list[str] = []
    """All that it was known by: its own id, its anonymous ids, and the profiles that had become part of it."""
    sessions: list[str] = []
    """Its sessions that are published once more, as the lead's; by their end."""
    left_behind: Count = 0
    """How many are not: they ended too long before the link, or are too many."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"{self.event_id or self.at}/{self.what}/{self.other_profile_id}",
            f"io.nextmove.identity.{self.what}.v1",
            self.profile_id,
            self.at,
        )
