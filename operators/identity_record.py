"""What happens to identifiers, as it is published."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

What = Literal["created", "linked", "moved", "merged", "refused"]
Rule = Literal["", "one_user_id_per_lead", "identifier_of_another_lead"]


class IdentityRecord(msgspec.Struct, gc=False):
    """What happened to an identifier. E-mail addresses and phone numbers appear as a hash only."""

    stream: ClassVar[str] = "identity"

    what: What
    profile_id: str
    identifier_type: str
    identifier: str
    rule: Rule
    other_profile_id: str
    event_id: str
    at: str

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"{self.event_id}/{self.what}/{self.identifier_type}",
            f"io.nextmove.identity.{self.what}.v1",
            self.profile_id,
            self.at,
        )
