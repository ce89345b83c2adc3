"""Snowplow's tracker for Python: every kind of event, in the plugin's words for shops and in the older ones."""

import sys
import warnings
from typing import Any, Final
from urllib.parse import urlsplit

from snowplow_tracker.emitters import Emitter
from snowplow_tracker.events.page_ping import PagePing
from snowplow_tracker.events.page_view import PageView
from snowplow_tracker.events.screen_view import ScreenView
from snowplow_tracker.events.self_describing import SelfDescribing
from snowplow_tracker.events.structured_event import StructuredEvent
from snowplow_tracker.self_describing_json import SelfDescribingJson
from snowplow_tracker.subject import Subject
from snowplow_tracker.tracker import Tracker

NOON: Final = 1_772_366_400_000
SHOP: Final = "iglu:com.snowplowanalytics.snowplow.ecommerce"
KETTLE: Final = {"id": "k1", "name": "Kettle", "category": "Kitchen", "price": 18.99, "quantity": 2, "currency": "EUR"}
MUG: Final = {"id": "m1", "category": "Kitchen", "price": 4.5, "currency": "EUR", "brand": "Clay"}
URL: Final = "https://shop.example/?utm_source=letter&utm_campaign=spring"

at = urlsplit(sys.argv[1])
person = Subject()
person.set_platform("web").set_user_id("u1").set_domain_user_id("ann").set_domain_session_id("s1")
tracker = Tracker(
    "shop", Emitter(at.hostname or "", protocol="http", port=at.port, batch_size=50), person, app_id="shop"
)


def entity(name: str, data: dict[str, Any]) -> SelfDescribingJson:
    return SelfDescribingJson(f"{SHOP}/{name}/jsonschema/1-0-0", data)


def act(type_: str, *entities: SelfDescribingJson) -> None:
    action = SelfDescribingJson(f"{SHOP}/snowplow_ecommerce_action/jsonschema/1-0-2", {"type": type_})
    tracker.track(SelfDescribing(action, context=list(entities), true_timestamp=NOON))


warnings.simplefilter("ignore", DeprecationWarning)  # of the older calls, which shops still make
who = [entity("user", {"id": "u1", "email": "ann@example.org"})]
tracker.track(PageView(URL, "Home", "https://search.example/", context=who, true_timestamp=NOON))
tracker.track(PagePing(URL, "Home", min_x=0, max_x=0, min_y=0, max_y=900, true_timestamp=NOON))
tracker.track(StructuredEvent("offers", "spin", "wheel", "red", 3.5, true_timestamp=NOON))
spun = SelfDescribingJson("iglu:org.example/wheelSpun/jsonschema/2-0-1", {"prize": "mug", "spins": 3, "odds": [1, 2]})
tracker.track(SelfDescribing(spun, true_timestamp=NOON))
act("product_view", entity("product", KETTLE))
cart = entity("cart", {"cart_id": "c1", "total_value": 42.48, "currency": "EUR"})
act("add_to_cart", entity("product", KETTLE), entity("product", MUG), cart)
act("checkout_step", entity("checkout_step", {"step": 1}))
act("checkout_step", entity("checkout_step", {"step": 2, "payment_method": "card"}))
order = {"transaction_id": "o1", "revenue": 42.48, "currency": "EUR", "payment_method": "card", "total_quantity": 3}
act("transaction", entity("product", KETTLE), entity("product", MUG), entity("transaction", order))
act("refund", entity("refund", {"transaction_id": "o1", "currency": "EUR", "refund_amount": 4.5}))
act("promo_view", entity("promotion", {"id": "p1", "slot": "top"}))
tracker.track(ScreenView(id_="1", name="Basket", true_timestamp=NOON))
tracker.track_site_search(["red", "kettle"], total_results=7, tstamp=NOON)
tracker.track_link_click("https://shop.example/help", tstamp=NOON)
tracker.track_add_to_cart("k2", 1, "Pot", "Kitchen", 30.0, "EUR", tstamp=NOON)
tracker.track_remove_from_cart("k2", 1, "Pot", "Kitchen", 30.0, "EUR", tstamp=NOON)
pot: dict[str, Any] = {"sku": "k2", "price": 30.0, "quantity": 1}
tracker.track_ecommerce_transaction("o2", 30.0, currency="EUR", items=[pot], tstamp=NOON)
tracker.flush()
