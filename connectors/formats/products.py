"""The products of a record as the items of an event."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.formats.fields import Product
from operators.event import Item


def item_of(product: Product) -> Item | None:
    """Make an item of a product; None without an identifier, for it could not be recognised again.

    A quantity that is not told is 1, a price that is not told 0.
    """
    product_id = product.product_id or product.sku or product.id
    if not product_id:
        return None
    quantity = product.quantity
    return Item(
        product_id,
        1.0 if quantity is None else quantity,
        product.price or 0.0,
        product.name or "",
        product.category or "",
    )


def items_of(products: Iterable[Product]) -> tuple[Item, ...]:
    """Make an item of each product that can be recognised."""
    return tuple([item for product in products if (item := item_of(product)) is not None])
