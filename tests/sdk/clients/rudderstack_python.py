"""RudderStack's library for Python: every call that it has."""

import sys
from datetime import UTC, datetime

from rudderstack.analytics.client import Client  # type: ignore[import-untyped]  # it ships no types

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KETTLE = {"product_id": "k1", "name": "Kettle", "price": 18.99, "quantity": 2, "cart_id": "c1", "gift_wrap": "red"}

client = Client("key", host=sys.argv[1])
when = {"timestamp": NOON}
client.identify("u1", {"email": "ann@example.org", "phone": None, "tier": "gold"}, anonymous_id="ann", **when)
client.track("u1", "Product Added", KETTLE, anonymous_id="ann", **when)
client.track(None, "Wheel Spun", {"prize": None, "spins": 3}, anonymous_id="ann", **when)
client.page("u1", "shop", "Home", {"url": "https://shop.example/", "theme": "dark"}, **when)
client.screen("u1", "shop", "Cart", {"items": 2}, **when)
client.group("u1", "g1", {"plan": "trial"}, **when)
client.alias("old", "u1", **when)
client.shutdown()
