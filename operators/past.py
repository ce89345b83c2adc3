"""What a profile keeps of sessions that it remembers no longer, for a lead that it may turn out to be.

No event comes for them any more, so of each there is left what its record says: a row of msgpack, made once. What
sessions of one person have in common, names and origins of pages, is kept once; a row has its number.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from mypy_extensions import mypyc_attr

from operators.packing import Row, long_id, padded, short_id, short_number, trim
from operators.session import Session, shared

# Beyond it, texts of rows that are gone are looked for: twenty sessions with a campaign and a referrer each, and more.
TEXTS_MAX: Final = 64
# Nobody has so many; a lead becomes one with others a hundred times at most.
ALIASES_MAX: Final = 100

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode
# The first fields alone, which rows are sorted by.
_Header: Final[Any] = msgspec.defstruct("_Header", [("ended_at", int), ("duration_ms", int)], array_like=True, gc=False)
_decode_header: Final = msgspec.msgpack.Decoder(_Header).decode


@mypyc_attr(acyclic=True)
class Past:
    """Closed sessions by their end, the earliest first.

    `left` counts those that were given up, `aliases` has the ids of profiles that are part of this one and that its
    anonymous ids do not name. Tuples of texts and bytes, for the collector of garbage does not look at them.
    """

    left: int = 0

    def __init__(self) -> None:
        self.texts: tuple[str, ...] = ()
        self.rows: tuple[bytes, ...] = ()
        self.aliases: tuple[str, ...] = ()

    def pack(self) -> Row:
        """Return it as a row."""
        return trim([self.texts, self.rows, self.left, self.aliases], _NOTHING)

    def add(self, session: Session) -> None:
        """Keep a session."""
        rows = self.rows
        self.rows = (*rows, self._row(session))
        if rows and _ended_at(rows[-1]) >= session.ended_at:
            self.rows = tuple(sorted(self.rows, key=_order))

    def shorten(self, count_max: int, since: int) -> None:
        """Give up what ended before `since`, and the earliest of what is too much."""
        rows, count = self.rows, 0
        while count < len(rows) and (len(rows) - count > count_max or _ended_at(rows[count]) < since):
            count += 1
        if count:
            self.left += count
            self.rows = rows[count:]
            if len(self.texts) > TEXTS_MAX:
                sessions = self.sessions()
                self.texts = ()
                self.rows = tuple([self._row(session) for session in sessions])

    @property
    def latest_at(self) -> int:
        """When the last of them ended."""
        return _ended_at(self.rows[-1]) if self.rows else 0

    def sessions(self) -> list[Session]:
        """Return what is kept."""
        return [self._session(row) for row in self.rows]

    def alias(self, profile_id: str) -> None:
        """Note a profile that is part of this one."""
        if profile_id not in self.aliases and len(self.aliases) < ALIASES_MAX:
            self.aliases = (*self.aliases, profile_id)

    def _row(self, session: Session) -> bytes:
        entry_url, exit_url = session.entry_url, session.exit_url
        in_common = shared(entry_url, exit_url)
        path_at = max(entry_url.find("/", 8), 0)
        row: Row = [
            session.ended_at,
            session.ended_at - session.started_at,
            short_id(session.session_id),
            session.revision,
            self._number(session.visitor_id),
            self._number(session.channel),
            session.events,
            session.pages,
            self._number(entry_url[:path_at]),
            entry_url[path_at:],
            in_common,
            exit_url[in_common:],
            session.products,
            self._number(session.referrer),
            self._number(session.campaign),
            session.orders,
            short_number(session.order_value),
            self._number(session.currency),
            session.client_session_id,
        ]
        raw: bytes = _encode(trim(row, _NO_SESSION))
        return raw

    def _session(self, raw: bytes) -> Session:
        row: Any = _decode(raw)
        told = padded(row, _NO_SESSION)
        ended_at: int = told[0]
        session = Session(self._text(told[4]), self._text(told[5]), told[18], ended_at - told[1], ended_at)
        session.closed = True
        session.session_id = long_id(told[2])
        session.revision = told[3]
        session.events = told[6]
        session.pages = told[7]
        session.entry_url = self._text(told[8]) + told[9]
        session.exit_url = session.entry_url[: told[10]] + told[11]
        session.products = told[12]
        session.referrer = self._text(told[13])
        session.campaign = self._text(told[14])
        session.orders = told[15]
        session.order_value = float(told[16])
        session.currency = self._text(told[17])
        return session

    def _number(self, text: str) -> int:
        """Return the number of a text, 0 for none."""
        if not text:
            return 0
        number = 0
        for known in self.texts:
            number += 1
            if known == text:
                return number
        self.texts = (*self.texts, text)
        return number + 1

    def _text(self, number: int) -> str:
        return self.texts[number - 1] if number else ""


_NOTHING: Final[Row] = [(), (), 0, ()]
_NO_SESSION: Final[Row] = [0, 0, "", 0, 0, 0, 0, 0, 0, "", 0, "", 0, 0, 0, 0, 0, 0, ""]


def unpack(row: Row) -> Past:
    """Make it of the row that its `pack` gave."""
    texts, rows, left, aliases = padded(row, _NOTHING)
    past = Past()
    past.texts = tuple(texts)
    past.rows = tuple(rows)
    past.left = left
    past.aliases = tuple(aliases)
    return past


def _order(row: bytes) -> tuple[int, int]:
    header = _decode_header(row)
    return header.ended_at, header.duration_ms


def _ended_at(row: bytes) -> int:
    at: int = _decode_header(row).ended_at
    return at
