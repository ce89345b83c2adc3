"""Snowplow's trackers: what they post becomes the right events."""

from typing import Any

import pytest

from connectors.formats import decode_batch
from operators.event import Commerce, Event, Item
from tests.sdk.conftest import SentBy

pytestmark = pytest.mark.xdist_group("sdk")

NOON = 1_772_366_400_000
SHOP = "com_snowplowanalytics_snowplow_ecommerce"
KETTLE, MUG = Item("k1", 2.0, 18.99, "Kettle", "Kitchen"), Item("m1", 1.0, 4.5, "", "Kitchen")
POT = Item("k2", 1.0, 30.0, "Pot", "Kitchen")

EXPECTED = [
    ("page_viewed", "Home", None),
    ("other", "page_ping", None),
    ("other", "spin", None),
    ("other", "wheelSpun", None),
    ("product_viewed", "product_view", Commerce((KETTLE,), currency="EUR")),
    ("product_added", "add_to_cart", Commerce((KETTLE, MUG), "c1", currency="EUR", cart_value=42.48)),
    ("checkout_started", "checkout_step", Commerce()),
    ("checkout_progressed", "checkout_step", Commerce()),
    ("order_completed", "transaction", Commerce((KETTLE, MUG), order_id="o1", currency="EUR", value=42.48)),
    ("order_refunded", "refund", Commerce(order_id="o1", currency="EUR", value=4.5)),
    ("other", "promo_view", None),
    ("screen_viewed", "Basket", None),
    ("searched", "site_search", None),
    ("other", "link_click", None),
    ("product_added", "add_to_cart", Commerce((POT,), currency="EUR")),
    ("product_removed", "remove_from_cart", Commerce((POT,), currency="EUR")),
    ("order_completed", "transaction", Commerce(order_id="o2", currency="EUR", value=30.0)),
    ("other", "transaction_item", None),
]
TOLD: dict[int, dict[str, Any]] = {
    1: {"pp_yoffset_max": 900},
    2: {"se_category": "offers", "se_label": "wheel", "se_property": "red"},
    3: {
        "unstruct_event_org_example_wheel_spun_2": {"prize": "mug", "spins": 3, "odds": [1, 2]},
        "event_version": "2-0-1",
    },
    7: {f"contexts_{SHOP}_checkout_step_1": [{"step": 2, "payment_method": "card"}]},
    10: {f"contexts_{SHOP}_promotion_1": [{"id": "p1", "slot": "top"}]},
    12: {
        "unstruct_event_com_snowplowanalytics_snowplow_site_search_1": {"terms": ["red", "kettle"], "totalResults": 7}
    },
    17: {"ti_orderid": "o2", "ti_sku": "k2", "ti_price": 30.0, "ti_quantity": 1},
}
"""What must have survived, by the number of the event."""

SCRIPTS = pytest.mark.parametrize("script", ["snowplow_python.py", "snowplow_node.cjs"])


def events_of(script: str, sent_by: SentBy) -> list[Event]:
    sent = sent_by(script)
    paths = {(one.method, one.url.path) for one in sent}
    assert paths == {("POST", "/com.snowplowanalytics.snowplow/tp2")}
    decoded = decode_batch([one.body for one in sent], partition="p", first_position=0, read_at=None)
    assert decoded.rejected == []
    return decoded.events


@SCRIPTS
def test_every_call_becomes_the_right_event(script: str, sent_by: SentBy) -> None:
    """
    Each event with its kind, its name, and what it says of products, carts and orders.
    """
    found = events_of(script, sent_by)
    assert [(event.kind, event.name, event.commerce) for event in found] == EXPECTED
    assert found[12].query == "red kettle"


@SCRIPTS
def test_each_event_knows_whose_it_is_and_when(script: str, sent_by: SentBy) -> None:
    """
    The browser's id, the user's, the session's and an id of its own; the true time outranks the device's clock.
    """
    found = events_of(script, sent_by)
    whose = {(event.anonymous_id, event.user_id, event.client_session_id, event.channel) for event in found}
    assert whose == {("ann", "u1", "s1", "web")}
    assert {event.at for event in found} == {NOON}
    assert len({event.event_id for event in found}) == len(found)
    home = found[0]
    assert (home.email, home.campaign, home.referrer) == ("ann@example.org", "spring", "https://search.example/")
    assert home.url.startswith("https://shop.example/")


@SCRIPTS
def test_what_an_event_has_no_field_for_survives(script: str, sent_by: SentBy) -> None:
    """
    Custom events, their entities and every other field are among the properties, as an enriched event names them.
    """
    found = events_of(script, sent_by)
    told = {number: found[number].told() for number in TOLD}
    assert {number: {name: told[number].get(name) for name in names} for number, names in TOLD.items()} == TOLD
    assert {event.told()["app_id"] for event in found} == {"shop"}
