"""Visitors' key groups whose files are to be rewritten: somebody was erased who has been a visitor there."""

from __future__ import annotations

from collections.abc import Iterable

from operators.ids import murmur2


class Purges:
    """The groups of this process that are to be rewritten with their next checkpoint.

    A visitor's state leaves its group when it becomes a lead's; the group's file has it as a dead entry until then.
    Groups of other shards are rewritten when enough of their files is dead.
    """

    def __init__(self, key_groups: int) -> None:
        """Start with none; there are that many key groups."""
        self._key_groups = key_groups
        self._groups: set[int] = set()

    def add(self, visitors: Iterable[str]) -> None:
        """Have the groups of these visitors rewritten."""
        for visitor in visitors:
            self._groups.add(murmur2(visitor.encode(errors="surrogatepass")) % self._key_groups)

    def take(self, group: int) -> bool:
        """Whether that group is to be rewritten now."""
        is_due = group in self._groups
        self._groups.discard(group)
        return is_due
