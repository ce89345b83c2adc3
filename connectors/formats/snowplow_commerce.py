"""Products, carts and orders of Snowplow's e-commerce events: of its plugin's entities, or of the older events.

Sources: Iglu Central's schemas of `com.snowplowanalytics.snowplow.ecommerce`, `add_to_cart` and `remove_from_cart`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from connectors.formats.common import ITEMS_MAX
from connectors.formats.fields import Product, amount, converter, identifier_text, text
from connectors.formats.identifiers import identifier
from connectors.formats.products import items_of
from connectors.formats.snowplow_entities import entities, entity
from operators.event import Commerce, Kind

Told = dict[str, Any]

_PLUGIN: Final = "contexts_com_snowplowanalytics_snowplow_ecommerce"
CHECKOUT_STEP: Final = f"{_PLUGIN}_checkout_step_1"
_PRODUCT: Final = f"{_PLUGIN}_product_1"
_CART: Final = f"{_PLUGIN}_cart_1"
_TRANSACTION: Final = f"{_PLUGIN}_transaction_1"
_REFUND: Final = f"{_PLUGIN}_refund_1"

KIND_OF_ACTION: Final[dict[str, Kind]] = {
    "product_view": "product_viewed",
    "list_view": "product_list_viewed",
    "list_click": "product_clicked",
    "add_to_cart": "product_added",
    "remove_from_cart": "product_removed",
    "checkout_step": "checkout_started",
    "transaction": "order_completed",
    "refund": "order_refunded",
}
"""The plugin's actions; a checkout step after the first is progress. Promotions and failed payments are "other"."""

_lenient: Final = converter(Product)


def commerce_of(told: Told, body: Told) -> Commerce:
    """Gather what an event says of products, a cart or an order; `body` is what it is about if it is an older one.

    Raises:
        Unusable: `wrong_type`, for an identifier that is too long.
    """
    products = entities(told, _PRODUCT)[:ITEMS_MAX] or ([{**body, "price": body.get("unitPrice")}] if body else [])
    cart, order, refund = entity(told, _CART), entity(told, _TRANSACTION), entity(told, _REFUND)
    currencies = [one.get("currency") for one in (order, refund, cart, *products[:1])] + [told.get("tr_currency")]
    revenue = [refund.get("refund_amount"), order.get("revenue"), told.get("tr_total")]
    orders = [refund.get("transaction_id"), order.get("transaction_id"), told.get("tr_orderid")]
    return Commerce(
        items_of(map(_product, products)),
        identifier(identifier_text(cart.get("cart_id"))),
        "",
        next((known for known in map(identifier, map(identifier_text, orders)) if known), ""),
        next((known for known in map(text, currencies) if known), ""),
        next((known for known in map(amount, revenue) if known is not None), None),
        amount(cart.get("total_value")),
    )


def _product(told: Told) -> Product:
    """Read a product, fast where its fields are of the right types."""
    try:
        return msgspec.convert(told, Product)
    except msgspec.ValidationError:
        return _lenient(told)
