"""What names stood for when Redis was last asked, for as long as nobody has changed it.

Most events come from devices that others came from a moment ago. Redis tells with each answer which names have been
linked since the last one; all others still stand for what they did, and need not be asked for again.

What is remembered lies all over memory, and to look at it is most of what it costs: so each name is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from connectors.redis_names import DIGEST_BYTES, Answer, Newest

_NOBODY: Final = Newest("", b"", -1, 0, 0)

Known = tuple[dict[str, str], list[str], list[str]]
"""What names stand for; those whose newest version is hidden from who asks; those that are not remembered."""


class Recent:
    """The newest version of each name that was asked for of late; at most `most` of them."""

    def __init__(self, most: int) -> None:
        """Know nothing yet."""
        self._most = most
        self._newest: dict[str, Newest] = {}
        self._names: dict[bytes, str] = {}
        self._erased: dict[str, int] = {}
        self.clock = -1
        """What the store's clock was when all of this was so."""

    def known(self, names: Iterable[str], partition: bytes, position: int) -> Known:
        """Return what an event there sees each name stand for."""
        found: dict[str, str] = {}
        hidden: list[str] = []
        missing: list[str] = []
        all_newest = self._newest
        for name in names:
            newest = all_newest.get(name)
            if newest is None:
                missing.append(name)
            elif newest.value:
                if newest.partition == partition and newest.position >= position:
                    hidden.append(name)
                else:
                    found[name] = newest.value
        return found, hidden, missing

    def learn(self, clock: int, changed: bytes | None, found: Iterable[Answer]) -> list[str] | None:
        """Take in an answer: the digests of the names that were changed since the last one, and what was asked for.

        Returns the names that have been changed and so are no longer remembered; None where none is: where `changed` is
        None, for the store cannot say, and where they became too many.
        """
        gone: list[str] | None = None
        if changed is None or len(self._newest) > self._most:
            self.forget()
        else:
            gone = []
            for at in range(0, len(changed), DIGEST_BYTES):
                name = self._names.pop(changed[at : at + DIGEST_BYTES], None)
                if name is not None:
                    del self._newest[name]
                    self._erased.pop(name, None)
                    gone.append(name)
        self.clock = clock
        self.add(found)
        return gone

    def add(self, found: Iterable[Answer]) -> None:
        """Remember more names, save those that have been linked since."""
        all_newest, all_names, clock = self._newest, self._names, self.clock
        for name, its_digest, newest in found:
            if newest is None or newest.clock <= clock:
                all_newest[name] = newest or _NOBODY
                all_names[its_digest] = name

    def mark(self, names: Sequence[str], erased: Sequence[int | None]) -> None:
        """Remember up to when (ms) names were erased, None for those that were not."""
        for name, at in zip(names, erased, strict=True):
            if at is not None:
                self._erased[name] = at

    def erased(self, names: Iterable[str]) -> dict[str, int]:
        """Return those that were erased, and up to when (ms)."""
        marks = self._erased
        return {name: marks[name] for name in names if name in marks} if marks else {}

    def forget(self) -> None:
        """Know nothing again."""
        self._newest.clear()
        self._names.clear()
        self._erased.clear()
        self.clock = -1
