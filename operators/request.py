"""Requests of people who look after data: to show, export, erase or split what is known of somebody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

from mypy_extensions import mypyc_attr

What = Literal["show", "export", "erase", "unmerge"]
WHATS: Final = frozenset(get_args(What))


@mypyc_attr(acyclic=True)
class Request:
    """What is asked, of whom: identifiers as `operators/identity.py` writes them, or "l:PROFILE".

    `at` (ms) is when it was asked, and with an erasure or a split up to when it counts: what happened before and
    comes later does not undo it. `request_id` names it in the answer. `partition` and `position` say where it lies.
    Whoever knows finds `profile_id`, the store's `clock` with what it has done, and the `facts` that it knows (JSON).
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- as it travels
        self,
        what: What,
        request_id: str,
        at: int,
        names: list[str],
        partition: str = "",
        position: int = 0,
        profile_id: str = "",
        clock: int = 0,
        facts: str = "{}",
    ) -> None:
        self.what = what
        self.request_id = request_id
        self.at = at
        self.names = names
        self.partition = partition
        self.position = position
        self.profile_id = profile_id
        self.clock = clock
        self.facts = facts

    def to(self, profile_id: str, clock: int, facts: str) -> Request:
        """Return it with whom it is about."""
        place = self.partition, self.position
        return Request(self.what, self.request_id, self.at, self.names, *place, profile_id, clock, facts)

    def pack(self) -> list[Any]:
        """Return the fields as a row, in their order."""
        place = [self.partition, self.position]
        return [self.what, self.request_id, self.at, self.names, *place, self.profile_id, self.clock, self.facts]


def unpack(row: Sequence[Any]) -> Request:
    """Make a request of the row that its `pack` gave."""
    return Request(*row)
