"""
Segment's and RudderStack's libraries, whose calls are alike: what they send becomes the right events.
"""

import msgspec
import pytest

from connectors.formats import decode_batch
from operators.event import Event, Item
from tests.sdk.conftest import SentBy
from tests.sdk.decoded import NOON, events_of, rows, told

pytestmark = pytest.mark.xdist_group("sdk")

SEGMENT = ["segment_python.py", "segment_node.cjs"]
RUDDERSTACK = ["rudderstack_python.py", "rudderstack_node.cjs"]
KETTLE = {"product_id": "k1", "name": "Kettle", "price": 18.99, "quantity": 2, "cart_id": "c1", "gift_wrap": "red"}


def check(events: list[Event], channels: tuple[str, str, str]) -> None:
    """Hold the events of the seven calls against what each has to become; channels of browser, app and server calls."""
    web, app, server = channels
    assert rows(events) == [
        ("identified", "", web, "u1", "ann", "ann@example.org"),
        ("product_added", "Product Added", web, "u1", "ann", ""),
        ("other", "Wheel Spun", web, "", "ann", ""),
        ("page_viewed", "Home", server, "u1", "", ""),
        ("screen_viewed", "Cart", app, "u1", "", ""),
        ("other", "", server, "u1", "", ""),
        ("identified", "", server, "u1", "", "", "u:old", "a:old"),
    ]
    assert {one.at for one in events} == {NOON}
    identify, added, spun, page, screen, group, _ = events
    assert identify.told() == {"email": "ann@example.org", "phone": None, "tier": "gold"}
    assert added.told() == KETTLE
    assert added.commerce is not None
    assert (added.commerce.cart_id, added.commerce.items) == ("c1", (Item("k1", 2.0, 18.99, "Kettle"),))
    assert spun.told() == {"prize": None, "spins": 3}
    assert page.told() == {"url": "https://shop.example/", "theme": "dark", "category": "shop"}
    assert page.url == "https://shop.example/"
    assert screen.told() == {"items": 2, "category": "shop"}
    assert group.told() == {"plan": "trial", "groupId": "g1"}


@pytest.mark.parametrize("format_", ["auto", "segment"])
@pytest.mark.parametrize("script", SEGMENT)
def test_segments_batches_become_events(script: str, format_: str, sent_by: SentBy) -> None:
    """
    Each call of the library becomes its event, and what we have no field for is among its properties.
    """
    check(events_of(sent_by(script), format_), ("web", "app", "server"))


@pytest.mark.parametrize("format_", ["auto", "rudderstack", "segment"])
@pytest.mark.parametrize("script", RUDDERSTACK)
def test_rudderstacks_batches_become_events(script: str, format_: str, sent_by: SentBy) -> None:
    """
    The same of RudderStack's, which say of every call that a server made it, though a screen is an app's.
    """
    check(events_of(sent_by(script), format_), ("server", "app", "server"))


@pytest.mark.parametrize("script", [*SEGMENT, *RUDDERSTACK])
def test_a_call_alone_says_what_it_says_in_its_batch(script: str, sent_by: SentBy) -> None:
    """
    Who puts each call of a batch into a topic as a record of its own gets the same events.
    """
    sent = sent_by(script)
    alone = [msgspec.json.encode(call) for one in sent for call in one.json()["batch"]]
    decoded = decode_batch(alone, partition="sdk", first_position=0, read_at=None)
    assert decoded.rejected == []
    assert rows(decoded.events) == rows(events_of(sent, "auto"))
    assert [one.told() for one in decoded.events] == [one.told() for one in events_of(sent, "auto")]


@pytest.mark.parametrize("script", [*SEGMENT, *RUDDERSTACK])
def test_a_repeated_request_has_the_same_ids(script: str, sent_by: SentBy) -> None:
    """
    A library that sends again after a fault sends the same message ids, by which duplicates are known.
    """
    sent = sent_by(script)
    ids = [one.event_id for one in events_of(sent, "auto")]
    assert ids == [one.event_id for one in events_of(sent, "auto")]
    assert ids == [call["messageId"] for one in sent for call in one.json()["batch"]]
    assert told(events_of(sent, "auto"), "Product Added") == KETTLE
