"""PostHog's library for Python: every call of it that sends an event."""

import sys
from datetime import UTC, datetime

from posthog import Posthog, identify_context, new_context, set_context_session

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KETTLE = {"product_id": "k1", "name": "Kettle", "price": 18.99, "quantity": 2, "cart_id": "c1", "gift_wrap": "red"}

client = Posthog("key", host=sys.argv[1])
client.capture("Product Added", distinct_id="u1", properties=KETTLE, timestamp=NOON)
client.capture("wheel_spun", distinct_id="u1", properties={"prize": None, "spins": 3}, timestamp=NOON)
client.capture("order_completed", properties={"order_id": "o1", "revenue": 20}, timestamp=NOON)
client.capture("$pageview", distinct_id="u1", properties={"$current_url": "https://shop.example/"}, timestamp=NOON)
client.set(distinct_id="u1", properties={"email": "ann@example.org", "phone": None, "tier": "gold"}, timestamp=NOON)
client.set_once(distinct_id="u1", properties={"first_seen": "spring"}, timestamp=NOON)
client.group_identify("company", "g1", {"plan": "trial"}, distinct_id="u1", timestamp=NOON)
client.alias("old", "u1", timestamp=NOON)
client.capture_exception(ValueError("the kettle is cold"), distinct_id="u1", timestamp=NOON)
with new_context(client=client):
    identify_context("u1")
    set_context_session("0195a3c0-0000-7000-8000-000000000001")
    client.capture("Checkout Started", timestamp=NOON)
client.shutdown()
