"""
PostHog's libraries: what they send becomes the right events.
"""

import msgspec
import pytest

from connectors.formats import decode_batch
from operators.event import Item
from tests.sdk.conftest import SentBy
from tests.sdk.decoded import NOON, events_of, rows, told

pytestmark = pytest.mark.xdist_group("sdk")

SCRIPTS = ["posthog_python.py", "posthog_node.cjs"]
KETTLE = {"product_id": "k1", "name": "Kettle", "price": 18.99, "quantity": 2, "cart_id": "c1", "gift_wrap": "red"}
SESSION = "0195a3c0-0000-7000-8000-000000000001"


def user(kind: str, name: str, email: str = "", *also: str) -> tuple[str, ...]:
    """A row of what a server tells of the user u1."""
    return (kind, name, "server", "u1", "", email, *also)


@pytest.mark.parametrize("format_", ["auto", "posthog"])
def test_each_call_of_the_library_for_python_becomes_its_event(format_: str, sent_by: SentBy) -> None:
    """
    On a server a distinct id is a user's, except where the library had none and made one up.
    """
    events = events_of(sent_by("posthog_python.py"), format_)
    unknown = events[2].anonymous_id
    assert len(unknown) == 36
    assert rows(events) == [
        user("product_added", "Product Added"),
        user("other", "wheel_spun"),
        ("order_completed", "order_completed", "server", "", unknown, ""),
        user("page_viewed", "$pageview"),
        user("identified", "$set", "ann@example.org"),
        user("identified", "$set_once"),
        user("other", "$groupidentify"),
        user("identified", "$create_alias", "", "u:old", "a:old"),
        user("other", "$exception"),
        user("checkout_started", "Checkout Started"),
    ]
    assert {one.at for one in events} == {NOON}
    assert events[2].commerce is not None
    assert (events[2].commerce.order_id, events[2].commerce.value) == ("o1", 20.0)
    assert told(events, "$set_once")["$set_once"] == {"first_seen": "spring"}


@pytest.mark.parametrize("format_", ["auto", "posthog"])
def test_each_call_of_the_library_for_node_becomes_its_event(format_: str, sent_by: SentBy) -> None:
    """
    identify links the anonymous id that the browser had to the user's.
    """
    events = events_of(sent_by("posthog_node.cjs"), format_)
    assert sorted(rows(events)) == sorted(
        [
            user("product_added", "Product Added"),
            user("other", "wheel_spun"),
            user("page_viewed", "$pageview"),
            ("identified", "$identify", "server", "u1", "ann", "ann@example.org"),
            user("identified", "$set"),
            user("identified", "$set"),
            user("other", "$groupidentify"),
            user("identified", "$create_alias", "", "u:old", "a:old"),
            user("other", "$exception"),
            user("checkout_started", "Checkout Started"),
        ]
    )
    assert told(events, "$identify")["$set"] == {"email": "ann@example.org", "phone": None, "tier": "gold"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_we_have_no_field_for_stays_in_the_properties(script: str, sent_by: SentBy) -> None:
    """
    Nulls and fields of the shop's own are told as they came, and those that we know are known.
    """
    events = events_of(sent_by(script), "auto")
    added = told(events, "Product Added")
    assert {name: added[name] for name in KETTLE} == KETTLE
    assert str(added["$lib"]).startswith("posthog-")
    spun = told(events, "wheel_spun")
    assert (spun["prize"], spun["spins"]) == (None, 3)
    assert told(events, "$groupidentify")["$group_set"] == {"plan": "trial"}
    by_name = {one.name: one for one in events}
    assert by_name["$pageview"].url == "https://shop.example/"
    assert by_name["Checkout Started"].client_session_id == SESSION
    commerce = by_name["Product Added"].commerce
    assert commerce is not None
    assert (commerce.cart_id, commerce.items) == ("c1", (Item("k1", 2.0, 18.99, "Kettle"),))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_capture_alone_says_what_it_says_in_its_batch(script: str, sent_by: SentBy) -> None:
    """
    Who puts each capture into a topic as a record of its own gets the same events, with the same ids.
    """
    sent = sent_by(script)
    captures = [capture for one in sent for capture in one.json()["batch"]]
    decoded = decode_batch(
        [msgspec.json.encode(one) for one in captures], partition="sdk", first_position=0, read_at=None
    )
    assert decoded.rejected == []
    batch = events_of(sent, "auto")
    assert rows(decoded.events) == rows(batch)
    assert [one.event_id for one in decoded.events] == [one["uuid"] for one in captures]
    assert [one.event_id for one in batch] == [one["uuid"] for one in captures]
