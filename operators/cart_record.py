"""Carts as they are published."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from operators.wire import Count, Instant, Name, Ordinal

Intent = Literal["browse", "cart", "checkout"]
State = Literal["open", "abandoned", "recovered", "purchased", "emptied", "expired"]


class CartLine(msgspec.Struct, gc=False):
    """One product in a published cart."""

    product_id: str
    """The shop's id of the product."""
    quantity: float
    """How many pieces, or how much of it."""
    price: float
    """For one piece, in the cart's currency."""
    name: str
    """What the shop calls it, "" where it did not say."""


class CartRecord(msgspec.Struct, gc=False):
    """A cart as published at each change of its state. The highest revision of a `cart_id` counts."""

    stream: ClassVar[str] = "carts"

    cart_id: Name
    """The shop's id of the cart, or one made of the visitor's and the time where the shop has none."""
    visitor_id: Name
    """On whose device it is: the anonymous id, or what stands for one."""
    profile_id: Name
    """Whose it is by now."""
    intent: Intent
    """How far they came: products viewed only, products in a cart, a checkout begun."""
    state: State
    """What became of it. "recovered" was bought after it had been abandoned, "expired" is too old to remind of."""
    value: float
    """What it is worth in `currency`: as the shop says, else the sum of its lines."""
    currency: str
    """ISO 4217 code as the shop told it, "" where it did not."""
    lines: tuple[CartLine, ...]
    """What is in it."""
    opened_at: Instant
    """When the first product came into it."""
    last_activity_at: Instant
    """When it was last changed, or its owner last active, whichever restarts its delay."""
    changed_at: Instant
    """When it came into this state."""
    resume_url: str
    """Where it can be taken up again, as the shop or the client told; "" where nobody did."""
    order_id: str
    """The order that bought it, "" where none did or it has no id."""
    trigger_id: str
    """The trigger that its abandonment led to, "" for none."""
    abandonments: Count
    """How often it has been abandoned."""
    revision: Ordinal
    """Counts the changes that were published."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"cart/{self.visitor_id}/{self.cart_id}/{self.revision}",
            f"io.nextmove.cart.{self.state}.v1",
            self.profile_id,
            self.changed_at,
        )


class Abandoned(msgspec.Struct, gc=False):
    """A cart or browse intent left for its delay: the cause of a trigger, and the record to publish."""

    record: CartRecord
    cause_key: str
    due_at: int
    active_at: int
