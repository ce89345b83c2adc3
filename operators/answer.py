"""Answers to requests, as they are published: what is known of somebody, or what was done about it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from operators.request import What
from operators.wire import Instant, Name

Outcome = Literal["done", "unknown", "several", "ambiguous"]


class Answer(msgspec.Struct, omit_defaults=True):
    """The answer to the request of that id.

    A request may have several answers, one for each profile that it is about. What is empty is left out.
    """

    stream: ClassVar[str] = "answers"

    request_id: Name
    """The request that is answered."""
    request: What
    """What was asked for."""
    outcome: Outcome
    """Whether it was done; else that nobody is known by that, that the identifiers are of several leads, or that a
    number alone says nobody, for several leads have given it."""
    at: Instant
    """When it was asked."""
    profile_id: str = ""
    """Whom it was about."""
    other_profile_id: str = ""
    """Of a split, the lead that the identifiers are by now."""
    identity: dict[str, Any] = {}
    """What the store knew: since when it is a lead, its identifiers (where only digests are kept, those), and the
    leads who have become it."""
    state: dict[str, Any] = {}
    """What was kept of visits, carts and footprints: for "show" in numbers, for "export" in full."""
    moved: dict[str, int] = {}
    """Of a split, how many visits, carts and visitors go along."""
    stayed: list[str] = []
    """Of a split, what cannot be taken apart."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        id_ = "/".join(part for part in (self.request_id, self.profile_id) if part)
        return id_, f"io.nextmove.answer.{self.request}.v1", self.profile_id or self.request_id, self.at
