"""Any other source, by a table of paths: orders, customers, visits to a store and devices."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from config.mapping import rules_of
from connectors.formats import Decoded, event_times
from connectors.formats.common import SourceRules
from connectors.formats.mapping import way
from connectors.formats.others import Way
from connectors.formats.paths import Path as RecordPath
from connectors.formats.paths import without
from connectors.formats.pseudonyms import Pseudonyms
from operators.event import Commerce, Event, Item
from operators.rejected import REASONS
from tests.connectors.formats import NOON, decoded, event_of, mutated, reasons

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "mapping.md"


def mapped(text: str) -> Way:
    return way(rules_of(yaml.safe_load(text)))


def outcome_of(text: str, *records: object) -> Decoded:
    return decoded(*records, format=mapped(text))


def mapped_event(text: str, record: object) -> Event:
    return event_of(record, format=mapped(text))


PLAIN = "{kind: other, at: at, user_id: who, %s}"
RECORD: dict[str, Any] = {"at": "2026-11-21T10:00:00Z", "who": "u1"}


def example(name: str) -> tuple[str, Any]:
    """
    A mapping of the guide, and the record that it shows below.
    """
    section = GUIDE.read_text().split(f"\n## {name}\n")[1].split("\n## ")[0]
    blocks = [block.split("```")[0] for block in section.split("```")[1::2]]
    table = next(block.removeprefix("yaml\n") for block in blocks if block.startswith("yaml\n"))
    record = next(block.removeprefix("json\n") for block in blocks if block.startswith("json\n"))
    return table, yaml.safe_load(record)


def test_an_order_of_a_shop_needs_no_code() -> None:
    """
    The guide's example: the order's lines, sum and customer, and what the event has no field for.
    """
    event = mapped_event(*example("Orders"))
    assert (event.kind, event.channel, event.event_id) == ("order_completed", "web", "450789469")
    assert (event.user_id, event.email, event.phone) == ("115310627314", "mara@example.org", "+4915112345678")
    assert event.commerce == Commerce(
        (Item("lamp-1", 2.0, 49.0, "Lamp"), Item("sofa-7", 1.0, 499.5, "Sofa")),
        "68778783ad298f1c80c3bafcddeea02f",
        "37754619723",
        "450789469",
        "EUR",
        597.5,
    )
    assert event.told() == {
        "topic": "orders/create",
        "customer": {"tags": "vip"},
        "line_items": [{"vendor": "Nordmark"}, {"vendor": "Fjell"}],
        "shipping_lines": [{"code": "Standard"}],
    }


def test_a_cancelled_order_has_a_mapping_of_its_own() -> None:
    """
    The first whose conditions hold makes the event.
    """
    table, record = example("Orders")
    event = mapped_event(table, record | {"topic": "orders/cancelled", "cancelled_at": "2026-11-22T10:00:00Z"})
    assert (event.kind, event.at) == ("order_cancelled", NOON + 86_400_000)
    assert reasons({**record, "topic": "orders/archived"}, format=mapped(table)) == ["unknown_format"]


def test_a_contact_of_a_crm_is_somebody_who_is_known() -> None:
    """
    With address, number and what they have agreed to, in the words of the source.
    """
    event = mapped_event(*example("Customers"))
    assert (event.kind, event.user_id, event.email, event.phone) == (
        "identified",
        "crm-881",
        "mara@example.org",
        "+4915112345678",
    )
    assert event.consents == {"email": True, "sms": False}
    assert event.told()["segment"] == "gold"


def test_a_visit_to_a_store_is_an_event() -> None:
    """
    What comes of the till and of the door counter: not a kind of ours, but of this person.
    """
    event = mapped_event(*example("Visits to a store"))
    assert (event.kind, event.name, event.user_id) == ("other", "store_visit", "card-4711")
    assert event.told() == {"store": {"id": "berlin-3", "department": "lamps"}, "minutes": 14}


def test_a_device_is_its_owners() -> None:
    """
    Seconds since the epoch, and the ids that a device has.
    """
    event = mapped_event(*example("Devices"))
    assert (event.kind, event.name, event.anonymous_id, event.user_id) == ("other", "filter_low", "kettle-00af", "u-17")
    assert event.at == NOON
    assert event.told() == {"reading": {"filter": 0.08}, "firmware": "2.1"}


@pytest.mark.parametrize(
    ("at", "value", "expected"),
    [
        ("at", "2026-11-21T10:00:00Z", NOON),
        ("at", "2026-11-21T11:00:00+01:00", NOON),
        ("at", "2026-11-21 10:00:00", NOON),
        ("{path: at, unit: s}", 1795255200, NOON),
        ("{path: at, unit: s}", "1795255200.25", NOON + 250),
        ("{path: at, unit: ms}", NOON, NOON),
        ("{path: at, unit: us}", f"{NOON}999", NOON),
    ],
)
def test_an_instant_is_told_in_its_unit(at: str, value: object, expected: int) -> None:
    """
    Without one it is text; a number is then no instant, for it could be of any unit.
    """
    table = f"{{kind: other, at: {at}, user_id: who}}"
    assert mapped_event(table, RECORD | {"at": value}).at == expected
    assert event_times([b'{"at": "%s", "who": "u"}' % str(value).encode()], format=mapped(table)) == [expected]


@pytest.mark.parametrize("value", [1795255200, "1795255200", "soon", True, [], {}])
def test_a_number_without_a_unit_is_no_instant(value: object) -> None:
    """
    Seconds taken for milliseconds would be January 1970.
    """
    assert reasons(RECORD | {"at": value}, format=mapped(PLAIN % "name: n")) == ["bad_time"]


def test_an_event_from_the_future_is_moved_back_to_when_it_was_received() -> None:
    """
    As in every format.
    """
    table = "{kind: other, at: at, received_at: {path: got, unit: ms}, user_id: who}"
    outcome = outcome_of(table, RECORD | {"at": "2026-11-21T12:00:00Z", "got": NOON})
    assert [(event.at, event.is_clamped) for event in outcome.events] == [(NOON, True)]


def test_a_table_translates_and_a_default_stands_in() -> None:
    """
    Values are known by what JSON shows of them; what was translated stays in the properties in its own words.
    """
    table = "{kind: {path: t, table: {'1': searched, true: page_viewed}, default: other}, at: at, user_id: who}"
    kinds = [mapped_event(table, RECORD | {"t": value}).kind for value in (1, "1", True, "x", None)]
    assert kinds == ["searched", "searched", "page_viewed", "other", "other"]
    assert mapped_event(table, RECORD | {"t": 1}).told() == {"t": 1}


def test_a_kind_that_no_table_names_is_no_event() -> None:
    """
    Nothing is guessed.
    """
    assert reasons({**RECORD, "t": "x"}, format=mapped("{kind: {path: t}, at: at, user_id: who}")) == ["unknown_format"]
    assert mapped_event("{kind: {path: t}, at: at, user_id: who}", RECORD | {"t": "searched"}).kind == "searched"


def test_constants_hold_for_every_record() -> None:
    """
    What the source need not say.
    """
    event = mapped_event(
        "{kind: order_completed, at: at, user_id: who, currency: {constant: EUR}, value: {path: cents, scale: 0.01}}",
        RECORD | {"cents": 1999},
    )
    assert event.commerce == Commerce((), currency="EUR", value=19.99)


def test_what_means_nothing_stays_where_it_was() -> None:
    """
    An address that is none, a sum that is none, and what the event's kind has no place for.
    """
    table = PLAIN % "email: mail, phone: tel, value: sum, order_id: o"
    told = {"mail": "ann@@shop", "tel": "none", "sum": "a lot", "o": "o1"}
    event = mapped_event(table, RECORD | told)
    assert event.told() == told


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ("rest", {"a": {"b": 1}, "c": 2}),
        ("none", {}),
        ("{size: a.b, from: {constant: till}}", {"size": 1, "from": "till"}),
    ],
)
def test_properties_are_the_rest_or_chosen(properties: str, told: dict[str, Any]) -> None:
    """
    The rest is the default.
    """
    assert mapped_event(PLAIN % f"properties: {properties}", RECORD | {"a": {"b": 1}, "c": 2}).told() == told


def test_paths_can_do_more_than_names() -> None:
    """
    JMESPath: alternatives, filters, functions. What a function cannot do with a record is absent.
    """
    table = PLAIN % "url: 'notes[?name==''cart''].value | [0]', name: \"join('/', tags)\", phone: mobile || phone"
    notes = [{"name": "gift", "value": "yes"}, {"name": "cart", "value": "https://s/c"}]
    event = mapped_event(table, RECORD | {"tags": ["a", "b"], "mobile": "", "phone": "+4915112345678", "notes": notes})
    assert (event.url, event.name, event.phone) == ("https://s/c", "a/b", "+4915112345678")
    assert mapped_event(table, RECORD | {"tags": 7}).name == ""


def test_a_condition_can_ask_for_nothing() -> None:
    """
    null is an absent value, and true is no 1.
    """
    table = mapped("[{when: {gone: null, live: true}, kind: other, at: at, user_id: who}]")
    assert decoded(RECORD | {"live": True}, format=table).rejected == []
    for wrong in ({"live": 1}, {"live": True, "gone": "yes"}, {}):
        assert reasons(RECORD | wrong, format=table) == ["unknown_format"]


def test_a_cloud_event_carries_what_a_mapping_reads() -> None:
    """
    And a list of records is each of them; nothing else is taken for an envelope.
    """
    table = mapped(PLAIN % "name: 'events[0].name'")
    envelope = {"specversion": "1.0", "id": "1", "type": "t", "source": "s", "data": RECORD}
    assert event_of(envelope, format=table).user_id == "u1"
    assert len(decoded([RECORD, RECORD | {"who": "u2"}], format=table).events) == 2
    assert event_of(RECORD | {"events": [{"name": "n", "email": "a@b.example"}]}, format=table).name == "n"


def test_a_pseudonym_stands_for_an_address_wherever_it_is() -> None:
    """
    The rest of a record may have it a second time.
    """
    rules = SourceRules(pseudonyms=Pseudonyms("x" * 32))
    record = RECORD | {"email": "ann@shop.example", "contact": {"mail": "ann@shop.example", "size": 4}}
    (event,) = decoded(record, format=mapped(PLAIN % "email: email"), rules=rules).events
    assert event.email != "ann@shop.example"
    assert event.told() == {"contact": {"size": 4}}


@pytest.mark.parametrize(
    ("expression", "value", "steps"),
    [
        ("a.b", 1, ("a", "b")),
        ("a.x || a.b", 1, ("a", "b")),
        ("l[0].c", 3, ("l", 0, "c")),
        ("l[-1].c", 4, ("l", -1, "c")),
        ("@.a.b", 1, ("a", "b")),
        ("l[*].c", [3, 4], None),
        ("length(l)", 2, None),
        ("ceil(`1`)", 1, None),
        ("abs(a)", None, None),
        ('"a".b', 1, ("a", "b")),
    ],
)
def test_a_chain_of_names_is_walked_and_all_else_is_the_librarys(
    expression: str, value: object, steps: tuple[str | int, ...] | None
) -> None:
    """
    Only of a chain is it known which value was taken.
    """
    assert RecordPath(expression).find({"a": {"b": 1, "x": ""}, "l": [{"c": 3}, {"c": 4}]}) == (value, steps)


NAMES = st.sampled_from(["a", "b", "c"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(JSON, st.lists(st.lists(NAMES | st.integers(0, 2).map(str), min_size=1, max_size=3), min_size=1, max_size=3))
def test_chains_mean_what_the_library_says(told: object, chains: list[list[str]]) -> None:
    """
    Walked here or there, an expression has the same value.
    """
    expression = " || ".join(
        "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in chain).removeprefix(".") for chain in chains
    )
    path = RecordPath(expression)
    value, steps = path.find(told)
    assert steps is not None
    assert value == path.compiled.search(told)


def test_what_is_taken_is_gone_and_no_more() -> None:
    """
    With what has nothing left in it; a list keeps the places of its elements.
    """
    told = {"a": {"b": 1}, "c": {"d": 2, "e": {}}, "l": [{"x": 1, "y": 2}, {"x": 3}], "m": [{"x": 1}]}
    taken: list[tuple[str | int, ...]] = [("a", "b"), ("c", "d"), ("l", 0, "x"), ("l", 1, "x"), ("m", 0, "x")]
    assert without(told, taken) == {"c": {"e": {}}, "l": [{"y": 2}, {}]}
    assert without(told, []) == told


@settings(max_examples=400, deadline=None)
@given(mutated([example(name)[1] for name in ("Orders", "Customers", "Visits to a store", "Devices")]))
def test_whatever_stands_in_a_field_there_is_an_outcome(record: object) -> None:
    """
    An event or a rejection with its reason, and never an exception.
    """
    for name in ("Orders", "Customers", "Visits to a store", "Devices"):
        outcome = decoded(record, format=mapped(example(name)[0]), read_at=NOON)
        assert {rejected.reason for rejected in outcome.rejected} <= REASONS
        for event in outcome.events:
            assert event.visitor_id
            event.told()
