"""Attribution: which trigger an order is credited to. The last touch counts, if it was recent enough for its channel.

A credit depends on the order and on the touches up to it, not on which of them is known first. So where a later touch
comes to be known after the order, or the order turns out to be of somebody else's too, the credit is told again.
Whoever reads credits keeps, for each order, the one with the latest touch; and none once it is taken back, as it is
when the order is cancelled. What has been credited stays so when its touches are forgotten.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from operators import recent
from operators.contacts import TOUCHES, Contacts
from operators.packing import Row, short_number
from operators.recent import Recent

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

ORDERS_MAX: Final = 20
"""Orders of one person that can still be credited or cancelled; the oldest goes."""

WINDOWS: Final[dict[tuple[str, str], int]] = {
    # Klaviyo's defaults (contracts section 4).
    ("email", "opened"): 5 * DAY_MS,
    ("email", "clicked"): 5 * DAY_MS,
    ("sms", "delivered"): 12 * HOUR_MS,
    ("sms", "clicked"): 5 * DAY_MS,
    ("push", "opened"): DAY_MS,
    # A click on a notification is what opens it.
    ("push", "clicked"): DAY_MS,
    # Who is on the site already needs no link to get there: their click counts for the visit, and one slept over.
    ("onsite", "clicked"): DAY_MS,
    # To accept an offer is to say that one will buy, wherever: as a click.
    ("email", "accepted"): 5 * DAY_MS,
    ("sms", "accepted"): 5 * DAY_MS,
    ("push", "accepted"): 5 * DAY_MS,
    ("onsite", "accepted"): 5 * DAY_MS,
    ("phone", "accepted"): 5 * DAY_MS,
}
"""For how long (ms) after a touch an order is credited to it, by channel and touch, end excluded. Others earn none."""

Claim = tuple[int, int, str, str, str, str]
"""When a touch was, which (its place in `TOUCHES`), its trigger's id, channel, family and action; the last counts."""


@mypyc_attr(acyclic=True)
class Credit:
    """An order, and the trigger that has brought it; none has if its id is "": what was told before is taken back."""

    def __init__(self, order_id: str, value: float, currency: str, claim: Claim | None) -> None:
        self.order_id = order_id
        self.value = value
        self.currency = currency
        at, place, trigger_id, channel, family, action = claim or _NOBODY
        self.trigger_id = trigger_id
        self.channel = channel
        self.family = family
        self.action = action
        self.touch = "" if claim is None else TOUCHES[place]
        self.touched_at = at


_NOBODY: Final[Claim] = (-1, 0, "", "", "", "")


@mypyc_attr(acyclic=True)
class Orders:
    """The orders of a profile that matter for credits.

    `made` has instant, value and currency by id, `told` the claim that was credited last, `cancelled` which were.
    """

    def __init__(self) -> None:
        self.made: dict[str, tuple[int, float, str]] = {}
        self.told: dict[str, Claim] = {}
        self.cancelled = Recent()

    def pack(self, base: int) -> Row:
        """Return the orders as a row; instants count back from `base`."""
        made: Row = []
        for id_, (at, value, currency) in sorted(self.made.items()):
            made += (id_, base - at, short_number(value), currency)
        told: Row = []
        for id_, (at, *more) in sorted(self.told.items()):
            told += (id_, base - at, *more)
        return [made, told, self.cancelled.pack(base)]


def unpack(row: Row, base: int) -> Orders:
    """Make orders of the row that their `pack` gave."""
    made, told, cancelled = row
    orders = Orders()
    for i in range(0, len(made), 4):
        orders.made[made[i]] = base - made[i + 1], float(made[i + 2]), made[i + 3]
    for i in range(0, len(told), 7):
        place, trigger_id, channel, family, action = told[i + 2 : i + 7]
        orders.told[told[i]] = base - told[i + 1], place, trigger_id, channel, family, action
    orders.cancelled = recent.unpack(cancelled, base)
    return orders


class Attribution:
    """The rules at work on one profile's orders."""

    def __init__(self, windows: dict[tuple[str, str], int]) -> None:
        """Credit by these windows (ms), as `WINDOWS` has them.

        Raises:
            ValueError: There is no such touch, or a window has no length.
        """
        for (channel, touch), window_ms in windows.items():
            if touch not in TOUCHES:
                raise ValueError(f"{channel}/{touch} has a window but a touch is one of {', '.join(TOUCHES)}")
            if window_ms <= 0:
                raise ValueError(f"{channel}/{touch} has a window of {window_ms} ms but it must be above 0")
        self._windows = windows
        self._touches = [kind for kind in TOUCHES if any(touch == kind for _, touch in windows)]

    @property
    def reach_ms(self) -> int:
        """How long contacts must be kept for an order to find its touch."""
        return max(self._windows.values(), default=0)

    def order(self, orders: Orders, order_id: str, at: int, value: float, currency: str) -> None:
        """Take in an order; of one that is told twice the latest counts."""
        made = (at, value, currency)
        orders.made[order_id] = max(made, orders.made.get(order_id, made))
        _shorten(orders)

    def cancel(self, orders: Orders, order_id: str, at: int) -> None:
        """Take in that an order was cancelled, which may be known before the order is."""
        orders.cancelled.add(at, order_id)
        _shorten(orders)

    def union(self, orders: Orders, other: Orders) -> None:
        """Add the orders of a profile that turned out to be the same person."""
        for id_, made in other.made.items():
            orders.made[id_] = max(made, orders.made.get(id_, made))
        for id_, claim in other.told.items():
            orders.told[id_] = max(claim, orders.told.get(id_, claim))
        orders.cancelled.union(other.cancelled)
        _shorten(orders)

    def settle(self, orders: Orders, contacts: Contacts) -> list[Credit]:
        """Return the credits that are other than told before; call it after an order, a touch or a union."""
        if not orders.made:
            return []
        cancelled = {id_ for _, id_ in orders.cancelled.entries}
        claims = self._claims(contacts)
        changed = []
        for order_id in sorted(orders.made):
            at, value, currency = orders.made[order_id]
            told = orders.told.get(order_id)
            if order_id in cancelled:
                if told is not None and told != _NOBODY:
                    changed.append(Credit(order_id, value, currency, None))
                    orders.told[order_id] = _NOBODY
                continue
            best = told
            for claim in claims:
                if 0 <= at - claim[0] < self._window(claim) and (best is None or claim > best):
                    best = claim
            if best is not None and best != told:
                changed.append(Credit(order_id, value, currency, best))
                orders.told[order_id] = best
        return changed

    def _window(self, claim: Claim) -> int:
        return self._windows.get((claim[3], TOUCHES[claim[1]]), 0)

    def _claims(self, contacts: Contacts) -> list[Claim]:
        """Return the touches of triggers that are known."""
        names = contacts.names()
        claims: list[Claim] = []
        for place, kind in enumerate(TOUCHES):
            if kind not in self._touches:
                continue
            for at, id_ in contacts.of(kind):
                key = names.get(id_)
                if key is not None:
                    claims.append((at, place, id_, key[1], key[2], key[3]))
        return claims


def _shorten(orders: Orders) -> None:
    """Keep the newest orders, and what is said of these."""
    made = orders.made
    if len(made) > ORDERS_MAX:
        over = sorted(made, key=lambda id_: (made[id_][0], id_))[:-ORDERS_MAX]
        for id_ in over:
            del made[id_]
    orders.cancelled.shorten(ORDERS_MAX, 0)
    for id_ in [id_ for id_ in orders.told if id_ not in made]:
        del orders.told[id_]
