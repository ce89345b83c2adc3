"""Moments: what rules may fire on. An event, an abandoned cart, another visit, or what has not come."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import astuple
from mypy_extensions import mypyc_attr

from operators import event as events
from operators.cart_record import CartLine, CartRecord
from operators.event import Event
from operators.packing import Row


@mypyc_attr(acyclic=True)
class Moment:
    """What has happened at `at`, of the kind that rules name.

    An event's moment has the `event`, a cart's the record of its abandonment, and what has not come in time the event
    since which that was waited for, `waited_ms` ago, and the `scope` as it was then, of what the rule acts on once.
    `key` names the occasion where the kind alone does not say it: of carts and waits. `count` is the how-many-th view
    of the product or visit of the person it is.
    """

    event: Event | None = None
    cart: CartRecord | None = None
    count: int = 0
    waited_ms: int = -1
    scope: str = ""

    def __init__(self, kind: str, at: int, visitor_id: str, key: str = "") -> None:
        self.kind = kind
        self.at = at
        self.visitor_id = visitor_id
        self.key = key

    @property
    def is_wait(self) -> bool:
        """Whether it is that something has not come."""
        return self.waited_ms >= 0

    def pack(self) -> Row:
        """Return the moment as a row."""
        event, cart = self.event, self.cart
        told = None
        if cart is not None:
            told = list(astuple(cart))
            told[_LINES] = [list(astuple(line)) for line in cart.lines]
        row: Row = [self.kind, self.at, self.visitor_id, self.key, self.count, self.waited_ms, self.scope]
        row += [None if event is None else event.pack(), told]
        return row


_LINES: Final = CartRecord.__struct_fields__.index("lines")
"""Where the lines lie in the record of a cart."""


def unpack(row: Row) -> Moment:
    """Make a moment of the row that its `pack` gave."""
    kind, at, visitor_id, key, count, waited_ms, scope, event, cart = row
    moment = Moment(kind, at, visitor_id, key)
    moment.count, moment.waited_ms, moment.scope = count, waited_ms, scope
    if event is not None:
        moment.event = events.unpack(event)
    if cart is not None:
        told: list[Any] = list(cart)
        told[_LINES] = tuple([CartLine(*line) for line in told[_LINES]])
        moment.cart = CartRecord(*told)
    return moment
