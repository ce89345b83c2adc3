"""Carts as they are published."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

Intent = Literal["browse", "cart", "checkout"]
State = Literal["open", "abandoned", "recovered", "purchased", "emptied", "expired"]


class CartLine(msgspec.Struct, gc=False):
    """One product in a published cart; `price` is for one piece, in the cart's currency."""

    product_id: str
    quantity: float
    price: float
    name: str


class CartRecord(msgspec.Struct, gc=False):
    """A cart as published at each change of its state. The highest revision of a `cart_id` counts."""

    stream: ClassVar[str] = "carts"

    cart_id: str
    visitor_id: str
    profile_id: str
    intent: Intent
    state: State
    value: float
    currency: str
    lines: tuple[CartLine, ...]
    opened_at: str
    last_activity_at: str
    changed_at: str
    resume_url: str
    order_id: str
    trigger_id: str
    abandonments: int
    revision: int

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
