"""The browse intent: products looked at and none picked."""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from operators.activity import active_until
from operators.cart_record import Abandoned, CartLine, CartRecord
from operators.event import Event, rfc3339
from operators.ids import digest
from operators.packing import Row, long_name, short_name


@mypyc_attr(acyclic=True)
class Browse:
    """Products seen since the last cart, order or abandonment, as state; it shows the one seen last."""

    views: int = 0
    product_id: str = ""
    name: str = ""
    price: float = 0.0
    currency: str = ""
    url: str = ""

    def __init__(self, visitor_id: str, since: int) -> None:
        self.visitor_id = visitor_id
        self.since = since
        self.changed_at = since
        self.active_at = since

    def pack(self, base: int, names: dict[str, int]) -> Row:
        """Return the intent as a row; instants count back from `base`, a visitor among `names` is a number."""
        return [
            short_name(self.visitor_id, names),
            base - self.since,
            self.changed_at - self.since,
            self.active_at - self.since,
            self.views,
            self.product_id,
            self.name,
            self.price,
            self.currency,
            self.url,
        ]


def unpack(row: Row, base: int, names: Sequence[str]) -> Browse:
    """Make an intent of the row that its `pack` gave."""
    browse = Browse(long_name(row[0], names), base - row[1])
    browse.changed_at += row[2]
    browse.active_at += row[3]
    browse.views, browse.product_id, browse.name = row[4], row[5], row[6]
    browse.price, browse.currency, browse.url = float(row[7]), row[8], row[9]
    return browse


def seen(browse: Browse | None, event: Event, ticks: list[int], delay_ms: int) -> Browse | None:
    """Return the intent after a product view; one left for its delay before that begins anew."""
    commerce, at = event.commerce, event.at
    if commerce is None or not commerce.items:
        return browse
    item = commerce.items[0]
    if browse is None or at > due_at(browse, ticks, delay_ms):
        browse = Browse(event.visitor_id, at)
    browse.views += 1
    if at >= browse.changed_at:
        browse.changed_at = at
        browse.product_id, browse.name, browse.price = item.product_id, item.name, item.price
        browse.currency, browse.url = commerce.currency, event.url
    return browse


def active_at(browse: Browse, ticks: list[int], delay_ms: int) -> int:
    """Return the last activity that kept the intent alive."""
    return active_until(ticks, max(browse.changed_at, browse.active_at), delay_ms)


def due_at(browse: Browse, ticks: list[int], delay_ms: int) -> int:
    """Return the instant at which the intent counts as abandoned."""
    return active_at(browse, ticks, delay_ms) + delay_ms


def union(a: Browse | None, b: Browse | None, delay_ms: int) -> Browse | None:
    """Return the intent of two profiles that turned out to be one person; one left before the other began is over."""
    if a is None or b is None:
        return a or b
    newer, older = (a, b) if (a.changed_at, a.product_id) > (b.changed_at, b.product_id) else (b, a)
    if newer.since > max(older.changed_at, older.active_at) + delay_ms:
        return newer
    newer.views += older.views
    newer.since, newer.visitor_id = min((a.since, a.visitor_id), (b.since, b.visitor_id))
    newer.active_at = max(a.active_at, b.active_at)
    return newer


def abandoned(browse: Browse, profile_id: str, due_at: int, delay_ms: int) -> Abandoned:
    """Return what a browse intent left for its delay is published as."""
    key = digest("browse", browse.visitor_id, browse.since)
    line = CartLine(browse.product_id, 1.0, browse.price, browse.name)
    record = CartRecord(
        key[:16],
        browse.visitor_id,
        profile_id,
        "browse",
        "abandoned",
        browse.price,
        browse.currency,
        (line,),
        rfc3339(browse.since),
        rfc3339(due_at - delay_ms),
        rfc3339(due_at),
        browse.url,
        "",
        "",
        1,
        1,
    )
    return Abandoned(record, key, due_at, due_at - delay_ms)
