"""PostHog's captures as browsers, apps and servers send them, each beside the event that it must become."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.formats import Decoded, decode_batch, event_times
from operators.event import Commerce, Event, Item, Kind
from operators.rejected import REASONS

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
DEVICE = "0195a3c0-1111-7000-8000-00000000000a"
KETTLE = {"product_id": "k1", "name": "Kettle", "price": 18.99}


def decode(*records: object, read_at: int | None = None, format_: str = "auto") -> Decoded:
    raws = [msgspec.json.encode(record) for record in records]
    return decode_batch(raws, partition="p", first_position=3, read_at=read_at, format=format_)


def only(decoded: Decoded) -> Event:
    assert decoded.rejected == []
    (found,) = decoded.events
    return found


def capture(event: str, properties: dict[str, Any] | None = None, **fields: object) -> dict[str, Any]:
    """A capture of a server about Ann, at noon."""
    told = {"event": event, "distinct_id": "u1", "uuid": "id-1", "timestamp": "2026-03-01T12:00:00Z"}
    return told | {"properties": properties or {}} | fields


def browser(
    event: str, properties: dict[str, Any] | None = None, *, user: str = "", **fields: object
) -> dict[str, Any]:
    """A capture as posthog-js sends it: its ids lie among the properties."""
    own = {"distinct_id": user or DEVICE, "token": "phc_x", "$device_id": DEVICE, "$is_identified": bool(user)}
    own |= {"$lib": "web", "$session_id": "s-1", "$current_url": "https://shop.example/a", "$referrer": "$direct"}
    own |= {"$user_id": user} if user else {}
    told = {"event": event, "uuid": "id-1", "timestamp": "2026-03-01T12:00:00Z"}
    return told | {"properties": own | (properties or {})} | fields


def reason(decoded: Decoded) -> str:
    assert decoded.events == []
    return decoded.rejected[0].reason


# --- what happened ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Product Added", "product_added"),
        ("product_added", "product_added"),
        ("productAdded", "product_added"),
        ("order_completed", "order_completed"),
        ("checkout_started", "checkout_started"),
        ("Live Chat Message Sent", "message_received"),
        ("$pageview", "page_viewed"),
        ("$pageleave", "page_left"),
        ("$screen", "screen_viewed"),
        ("$identify", "identified"),
        ("$set", "identified"),
        ("$set_once", "identified"),
        ("$create_alias", "identified"),
        ("$merge_dangerously", "identified"),
        ("$autocapture", "other"),
        ("$feature_flag_called", "other"),
        ("Wheel Spun", "other"),
    ],
)
def test_a_capture_tells_by_its_name_what_happened(name: str, kind: Kind) -> None:
    """
    Names of the e-commerce spec in any spelling, and PostHog's own; the name stays as it came.
    """
    found = only(decode(capture(name)))
    assert (found.kind, found.name, found.at, found.event_id) == (kind, name, NOON, "id-1")


def test_a_page_view_of_a_browser() -> None:
    """
    Where, from where, by which campaign, in which session; a visit that came from nowhere has no referrer.
    """
    found = only(decode(browser("$pageview", {"title": "Kettles", "utm_campaign": "spring", "utm_source": "mail"})))
    expected = Event("page_viewed", NOON, "id-1", "web", DEVICE, DEVICE, url="https://shop.example/a")
    expected.campaign, expected.client_session_id, expected.name = "spring", "s-1", "Kettles"
    expected.partition, expected.position, expected.properties = "p", 3, found.properties
    assert found == expected
    assert found.told()["$referrer"] == "$direct"


def test_leaving_a_page_tells_how_long_it_was_looked_at() -> None:
    """
    $prev_pageview_duration is in seconds.
    """
    assert only(decode(browser("$pageleave", {"$prev_pageview_duration": 2.5}))).dwell_ms == 2500


def test_a_product_is_put_into_the_cart() -> None:
    """
    Properties are those of Segment's spec.
    """
    found = only(decode(browser("product_added", KETTLE | {"cart_id": "c1", "gift_wrap": "red"})))
    assert found.commerce == Commerce((Item("k1", 1.0, 18.99, "Kettle"),), cart_id="c1")
    assert found.told()["gift_wrap"] == "red"


def test_a_flag_of_an_experiment_is_an_experiment_seen() -> None:
    """
    PostHog tells of experiments by their flags; a flag without one is only a switch.
    """
    told = {"$feature_flag": "cta", "$feature_flag_response": "b", "$feature_flag_has_experiment": True}
    found = only(decode(browser("$feature_flag_called", told)))
    assert (found.kind, found.told()["$feature_flag_response"]) == ("experiment_viewed", "b")
    assert only(decode(browser("$feature_flag_called", told | {"$feature_flag_has_experiment": False}))).kind == "other"


# --- who and where ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "user_id", "anonymous_id"),
    [
        (browser("$pageview"), "", DEVICE),
        (browser("$pageview", user="u1"), "u1", ""),
        # After reset the device keeps its id, and the next visitor is somebody else.
        (browser("$pageview", {"distinct_id": "fresh"}), "", "fresh"),
        (capture("$pageview"), "u1", ""),
        (capture("$pageview", {"$process_person_profile": False}), "", "u1"),
        (capture("$pageview", {"$device_id": "u1"}), "", "u1"),
        (capture("$pageview", {"$device_id": "other"}), "u1", ""),
        (capture("$pageview", {"$device_id": "u1", "$user_id": "u1"}), "u1", ""),
        (capture("$pageview", {"$is_identified": False, "$user_id": "u1"}), "", "u1"),
        (capture("$identify", {"$anon_distinct_id": "ann", "$is_identified": False}), "u1", "ann"),
        (capture("$pageview", {"$anon_distinct_id": "ann"}), "u1", ""),
        (capture("$pageview", distinct_id=17), "17", ""),
    ],
)
def test_a_distinct_id_is_a_users_or_a_devices(told: dict[str, Any], user_id: str, anonymous_id: str) -> None:
    """
    The library says which, or PostHog's rule does; a device's own id names nobody.
    """
    found = only(decode(told))
    assert (found.user_id, found.anonymous_id) == (user_id, anonymous_id)


@pytest.mark.parametrize(
    "told",
    [
        capture("$pageview", distinct_id="anonymous"),
        capture("$pageview", distinct_id="$posthog_cookieless"),
        capture("$groupidentify", {"$group_type": "company", "$group_key": "g1"}, distinct_id="$company_g1"),
    ],
)
def test_what_everybody_shares_names_nobody(told: dict[str, Any]) -> None:
    """
    A word for nobody, the id of all browsers without cookies, and the id that libraries make of a group.
    """
    assert reason(decode(told)) == "no_identity"


def test_identify_tells_who_someone_is_and_what_they_allow() -> None:
    """
    Person properties lie beside the properties or among them; what is set now outranks what was set once.
    """
    told = {"email": "Ann@Example.org", "phone": "+4915123456789", "email_opt_in": True}
    once = {"$set_once": {"email": "old@example.org", "sms_opt_in": False}}
    for record in (capture("$identify", {"$set": told} | once), capture("$identify", once, **{"$set": told})):
        found = only(decode(record))
        assert (found.email, found.phone) == ("ann@example.org", "+4915123456789")
        assert found.consents == {"email": True, "sms": False}
        assert found.told() == {"$set": told} | once


@pytest.mark.parametrize(
    ("name", "distinct_id", "alias", "user_id", "also"),
    [
        ("$create_alias", "old", "u1", "u1", ("u:old", "a:old")),
        ("$create_alias", DEVICE, "u1", "u1", (f"u:{DEVICE}", f"a:{DEVICE}")),
        ("$create_alias", "u1", DEVICE, "u1", (f"u:{DEVICE}", f"a:{DEVICE}")),
        ("$create_alias", "u1", "u1", "u1", ()),
        ("$create_alias", "u1", None, "", ()),
        ("$merge_dangerously", "u1", "old", "u1", ("u:old", "a:old")),
        ("$merge_dangerously", "u1", None, "u1", ()),
    ],
)
def test_an_alias_asks_that_two_ids_be_one_persons(
    name: str, distinct_id: str, alias: object, user_id: str, also: tuple[str, ...]
) -> None:
    """
    Whose event it is and who is asked for; an id that a library made up is nobody's name.
    """
    found = only(decode(capture(name, {"alias": alias}, distinct_id=distinct_id)))
    assert (found.user_id, found.also) == (user_id, also)


@pytest.mark.parametrize(
    ("name", "properties", "channel"),
    [
        ("$pageview", {"$lib": "web"}, "web"),
        ("Product Added", {"$lib": "posthog-ios"}, "app"),
        ("Product Added", {"$lib": "posthog-react-native"}, "app"),
        ("Product Added", {"$lib": "posthog-go"}, "server"),
        ("Product Added", {"$is_server": True}, "server"),
        ("Product Added", {}, "server"),
        ("Product Added", {"$process_person_profile": False}, "web"),
        ("Email Opened", {"$lib": "posthog-python"}, "email"),
        ("Application Opened", {"$lib": "posthog-python"}, "app"),
        ("$screen", {}, "app"),
    ],
)
def test_the_channel_is_where_the_library_runs(name: str, properties: dict[str, Any], channel: str) -> None:
    """
    Unless the event itself tells where it was.
    """
    assert only(decode(capture(name, properties))).channel == channel


# --- when ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clocks", "at"),
    [
        ({}, 0),
        ({"sent_at": "2026-03-01T12:00:09Z"}, 0),
        # The client is an hour fast: two seconds before it sent.
        ({"timestamp": "2026-03-01T13:00:00Z", "sent_at": "2026-03-01T13:00:02Z", "now": "2026-03-01T12:00:05Z"}, 3000),
        ({"timestamp": None, "offset": 1500, "now": "2026-03-01T12:00:05Z"}, 3500),
        ({"timestamp": None, "offset": 1500, "sent_at": "2026-03-01T12:00:05Z"}, 3500),
        ({"timestamp": None, "offset": 1500}, 8500),
        ({"timestamp": "soon"}, 10_000),
    ],
)
def test_the_time_is_the_best_that_the_clocks_tell(clocks: dict[str, object], at: int) -> None:
    """
    timestamp, corrected where both ends tell their clocks; else how long before its sending or receipt it was.
    """
    record = capture("$pageview") | clocks
    assert only(decode(record, read_at=NOON + 10_000)).at == NOON + at
    assert event_times([msgspec.json.encode(record)], read_at=NOON + 10_000) == [NOON + at]


def test_a_clock_that_asks_not_to_be_corrected_is_not() -> None:
    """
    $ignore_sent_at is what importers of the past send.
    """
    told = capture("$pageview", {"$ignore_sent_at": True}, sent_at="2026-03-01T13:00:00Z", now="2026-03-01T12:30:00Z")
    assert only(decode(told)).at == NOON


@pytest.mark.parametrize("offset", [None, 0, 1e15, -1])
def test_without_any_clock_a_capture_is_refused(offset: float | None) -> None:
    """
    An archive does not know when its records came.
    """
    assert reason(decode(capture("$pageview", timestamp=None, offset=offset))) == "bad_time"


def test_an_offset_of_ages_is_no_time() -> None:
    """
    Before the year 2000 nothing happened here.
    """
    assert reason(decode(capture("$pageview", timestamp=None, offset=1e15), read_at=NOON)) == "bad_time"


def test_without_an_id_a_capture_is_named_by_what_it_says() -> None:
    """
    Whenever it comes again, so that a duplicate is known though it has no time of its own.
    """
    told = capture("$pageview", uuid=None, timestamp=None)
    first, second = (only(decode(told, read_at=at)) for at in (NOON, NOON + 5))
    assert first.event_id == second.event_id != ""
    assert first.event_id != only(decode(told | {"event": "$screen"}, read_at=NOON)).event_id


# --- how it comes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["auto", "posthog"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: {"api_key": "k", "batch": [one], "sent_at": "2026-03-01T12:00:09Z"},
        lambda one: {"api_key": "k"} | one,
        lambda one: [one],
        lambda one: {"uuid": "id-1", "distinct_id": "u1", "now": "2026-03-01T12:00:09Z", "data": text_of(one)},
        lambda one: one | {"type": "identify", "library": "posthog-node"},
    ],
)
def test_a_capture_comes_in_many_covers(wrap: Any, format_: str) -> None:  # noqa: ANN401 -- any of the functions
    """
    A batch, an API call, a browser's list, PostHog's own topic, and with the `type` that some libraries send.
    """
    told = capture("$identify", {"$anon_distinct_id": "ann", "$set": {"email": "ann@example.org"}})
    found = only(decode(wrap(told), format_=format_))
    assert (found.kind, found.user_id, found.anonymous_id, found.at) == ("identified", "u1", "ann", NOON)
    assert (found.email, found.event_id) == ("ann@example.org", "id-1")


def text_of(record: object) -> str:
    return msgspec.json.encode(record).decode()


def test_a_broken_part_is_rejected_alone() -> None:
    """
    Its neighbours in the batch become events.
    """
    batch = [capture("$pageview"), capture(""), 7, capture("Product Added", uuid="id-2")]
    decoded = decode({"api_key": "k", "batch": batch})
    assert [found.event_id for found in decoded.events] == ["id-1", "id-2"]
    assert [(bad.reason, bad.detail[:6]) for bad in decoded.rejected] == [
        ("missing_field", "part 1"),
        ("not_an_object", "part 2"),
    ]
    assert reason(decode({"distinct_id": "u1", "now": "", "data": "{"})) == "not_json"


def test_a_segment_call_with_a_distinct_id_stays_segments() -> None:
    """
    Shops pass PostHog's id on in the properties of their calls.
    """
    told: dict[str, Any] = {"type": "track", "event": "Product Added", "timestamp": "2026-03-01T12:00:00Z"}
    told |= {"anonymousId": "ann", "properties": KETTLE | {"distinct_id": "u9"}}
    for record in (told, {"batch": [told], "writeKey": "k"}):
        found = only(decode(record))
        assert (found.anonymous_id, found.user_id) == ("ann", "")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.sampled_from(["u1", DEVICE, "2026-03-01T12:00:00Z", "$set", "x" * 300, 1e300, 2**70]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "$anon_distinct_id",
    "$is_identified",
    "$user_id",
    "$device_id",
    "$set",
    "$set_once",
    "alias",
    "$lib",
    "$screen",
]
NAMES += [
    "$current_url",
    "$referrer",
    "$session_id",
    "utm_campaign",
    "$prev_pageview_duration",
    "products",
    "distinct_id",
]
FIELDS = [
    "event",
    "distinct_id",
    "uuid",
    "timestamp",
    "offset",
    "sent_at",
    "now",
    "properties",
    "$set",
    "data",
    "batch",
]


@given(
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=5),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=6),
    st.sampled_from(["$identify", "$create_alias", "$pageview", "$pageleave", "$screen", "Product Added", "$set"]),
    st.sampled_from(["auto", "posthog"]),
)
def test_whatever_the_fields_hold_it_is_an_event_or_a_rejection(
    fields: dict[str, Any], properties: dict[str, Any], name: str, format_: str
) -> None:
    """
    Never an exception, and both readings of one record agree.
    """
    record = capture(name, properties) | fields
    decoded = decode(record, read_at=NOON, format_=format_)
    assert decoded.events or decoded.rejected
    assert {bad.reason for bad in decoded.rejected} <= set(REASONS)
    again = decode(record, read_at=NOON, format_=format_)
    assert (again.events, again.rejected) == (decoded.events, decoded.rejected)
    for event in decoded.events:
        event.told()
