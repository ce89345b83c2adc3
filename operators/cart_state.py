"""Carts as state: what is kept of them, and how they are packed and joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

from mypy_extensions import mypyc_attr

from operators import browse as browsing
from operators.browse import Browse
from operators.cart_lines import Line
from operators.cart_record import State
from operators.packing import Row, instant, long_id, long_name, padded, short_id, short_name, trim

LIVE: Final[frozenset[State]] = frozenset({"open", "abandoned", "expired"})
"""The states in which a cart still has its lines, and may be changed or bought."""


STATES: Final[tuple[State, ...]] = get_args(State)


@mypyc_attr(acyclic=True)
class Cart:
    """One cart as state. `cart_id` is the shop's, or derived from the visitor and the opening instant.

    `active_at` is the last activity that is known to have kept the cart alive; at least its last change.
    """

    stated_value: float | None = None
    currency: str = ""
    url: str = ""
    checkout_id: str = ""
    is_checkout: bool = False
    closed_at: int = 0
    was_abandoned: bool = False
    abandonments: int = 0
    trigger_id: str = ""
    revision: int = 0

    def __init__(self, cart_id: str, visitor_id: str, is_named: bool, opened_at: int, state: State) -> None:  # noqa: FBT001
        self.cart_id = cart_id
        self.visitor_id = visitor_id
        self.is_named = is_named
        self.opened_at = opened_at
        self.changed_at = opened_at
        self.active_at = opened_at
        self.state = state
        self.lines: list[Line] = []

    @property
    def value(self) -> float:
        """The cart's worth: as the shop states it, else the sum of its lines."""
        if self.stated_value is not None:
            return self.stated_value
        return round(sum([line.quantity * line.price for line in self.lines], 0.0), 2)

    def pack(self, base: int, names: dict[str, int]) -> Row:
        """Return the cart as a row; instants count back from `base`, a visitor among `names` is a number."""
        return trim(
            [
                self.cart_id,
                short_name(self.visitor_id, names),
                base - self.opened_at,
                self.changed_at - self.opened_at,
                self.active_at - self.changed_at,
                STATES.index(self.state),
                self.revision,
                self.is_named,
                base - self.closed_at if self.closed_at else None,
                self.is_checkout,
                self.url,
                self.currency,
                self.was_abandoned,
                self.abandonments,
                short_id(self.trigger_id),
                self.checkout_id,
                [line.pack() for line in self.lines],
                self.stated_value,
            ],
            _EMPTY,
        )


_EMPTY: Final[Row] = ["", 0, 0, 0, 0, 0, 0, False, None, False, "", "", False, 0, "", "", [], None]


def _unpack_cart(row: Row, base: int, names: Sequence[str]) -> Cart:
    """Make a cart of the row that its `pack` gave."""
    told = padded(row, _EMPTY)
    cart = Cart(told[0], long_name(told[1], names), bool(told[7]), base - told[2], STATES[told[5]])
    cart.changed_at += told[3]
    cart.active_at = cart.changed_at + told[4]
    cart.revision = told[6]
    cart.closed_at = instant(base, told[8], 0)
    cart.is_checkout = bool(told[9])
    cart.url = told[10]
    cart.currency = told[11]
    cart.was_abandoned = bool(told[12])
    cart.abandonments = told[13]
    cart.trigger_id = long_id(told[14])
    cart.checkout_id = told[15]
    cart.lines = [Line(line[0], float(line[1]), float(line[2]), line[3]) for line in told[16]]
    cart.stated_value = told[17]
    return cart


@mypyc_attr(acyclic=True)
class Order:
    """The latest order: what it named, the products that it bought, and whether it was for all carts there were."""

    def __init__(
        self,
        at: int,
        order_id: str,
        cart_id: str,
        checkout_id: str,
        products: list[str],
        is_for_all: bool,  # noqa: FBT001 -- by position where it is unpacked
    ) -> None:
        self.at = at
        self.order_id = order_id
        self.cart_id = cart_id
        self.checkout_id = checkout_id
        self.products = products
        self.is_for_all = is_for_all

    def pack(self, base: int) -> Row:
        """Return it as a row; its instant counts back from `base`."""
        return [base - self.at, self.order_id, self.cart_id, self.checkout_id, self.products, self.is_for_all]


@mypyc_attr(acyclic=True)
class Carts:
    """The carts of one profile: open ones, and closed ones for as long as an id may come back.

    `order` is for carts that turn out to be the same person's: what has been paid is not to be reminded of.
    """

    order: Order | None = None

    def __init__(self) -> None:
        self.carts: list[Cart] = []
        self.browse: Browse | None = None
        self.ticks: list[int] = []

    def pack(self, base: int, names: dict[str, int]) -> Row:
        """Return the carts as a row; instants count back from `base`, a visitor among `names` is a number."""
        browse = self.browse
        return trim(
            [
                [cart.pack(base, names) for cart in self.carts],
                [base - tick for tick in self.ticks],
                None if browse is None else browse.pack(base, names),
                None if self.order is None else self.order.pack(base),
            ],
            _NO_CARTS,
        )


_NO_CARTS: Final[Row] = [[], [], None, None]


def unpack(row: Row, base: int, names: Sequence[str]) -> Carts:
    """Make carts of the row that their `pack` gave."""
    told, ticks, browse, order = padded(row, _NO_CARTS)
    carts = Carts()
    for cart in told:
        carts.carts.append(_unpack_cart(cart, base, names))
    for tick in ticks:
        carts.ticks.append(base - tick)
    if browse is not None:
        carts.browse = browsing.unpack(browse, base, names)
    if order is not None:
        carts.order = Order(base - order[0], order[1], order[2], order[3], [*order[4]], bool(order[5]))
    return carts


def merge(cart: Cart, other: Cart) -> None:
    """Make `cart` the union of two views of one shop's cart, whichever of them is called `cart`."""
    closed_at = max(cart.closed_at, other.closed_at)
    both = sorted((cart, other), key=lambda c: (c.changed_at, c.revision, c.visitor_id))
    live = [c for c in both if c.state in LIVE and c.changed_at > closed_at]
    newest = (live or both)[-1]
    lines: dict[str, Line] = {}
    for part in live:
        for line in part.lines:
            lines[line.product_id] = line
    cart.lines = [lines[product_id] for product_id in sorted(lines)]
    cart.state, cart.stated_value = newest.state, newest.stated_value if len(live) < 2 else None
    cart.currency, cart.url = newest.currency, newest.url
    cart.is_checkout = any(c.is_checkout for c in live)
    cart.checkout_id = newest.checkout_id
    cart.trigger_id = newest.trigger_id or max(cart.trigger_id, other.trigger_id)
    cart.visitor_id = min((cart.opened_at, cart.visitor_id), (other.opened_at, other.visitor_id))[1]
    cart.opened_at = min(cart.opened_at, other.opened_at)
    cart.changed_at = max(cart.changed_at, other.changed_at)
    cart.active_at = max(cart.active_at, other.active_at)
    cart.closed_at = closed_at
    cart.was_abandoned = any(c.was_abandoned for c in live)
    cart.abandonments = max(cart.abandonments, other.abandonments)
    cart.revision = max(cart.revision, other.revision)
