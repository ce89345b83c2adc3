"""What keeps a lead one person: limits on what it is given, and on how often it becomes one with others."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.memory import MemoryIdentity
from operators.event import Event
from operators.identity import candidates, lead_of
from operators.lead import HOUR_MS, Lead, unpack
from operators.planning import Plan, plan
from operators.rules import IdentifierLimit, IdentityRules
from tests.story import DAY_1, DAY_MS

RULES = IdentityRules(
    limits={
        "a": IdentifierLimit(count=5, window_ms=7 * DAY_MS),
        "e": IdentifierLimit(count=5, window_ms=0),
        "p": IdentifierLimit(count=5, window_ms=7 * DAY_MS),
    },
    merges_max=100,
    identifiers_max=1_000,
    sharers_max=10,
)


class Store:
    """Who is who after some events, each planned and stored as it comes."""

    def __init__(self, rules: IdentityRules = RULES) -> None:
        self._rules, self._store = rules, MemoryIdentity()
        self.known = self._store.look_up([])

    def trust(self, *, may_merge: bool = True, may_ask: bool = False) -> None:
        """Take the next events from another source: one that may join leads, if no more is said."""
        self._rules = replace(self._rules, may_merge=may_merge, may_ask=may_ask)

    def take(self, event: Event) -> Plan:
        """Plan an event, and store its links."""
        found = plan(event, self.known, self._rules)
        self._store.link(found.links, event, self.known)
        return found


def says(at: int = 0, *, device: str = "", user: str = "", email: str = "", phone: str = "") -> Event:
    """An event that names somebody, so long (ms) after midnight."""
    return Event("identified", DAY_1 + at, f"e{at}", "web", device or user or email, device, user, email, phone)


def refused(found: Plan) -> list[tuple[str, str, str]]:
    """Type, identifier and rule of each that was not linked."""
    return [(one.identifier_type, one.identifier, one.rule) for one in found.records if one.what == "refused"]


def test_the_sixth_device_of_a_week_is_not_linked_and_its_event_is_the_persons() -> None:
    """
    It is when the first is a week old, to the millisecond on the hour; what it does without a name is a visitor's.
    """
    store = Store()
    for number in range(5):
        assert store.take(says(number * HOUR_MS, device=f"d{number}", user="mara")).links
    lead = store.known["u:mara"]
    for at in (5 * HOUR_MS, 7 * DAY_MS - 1):
        sixth = store.take(says(at, device="d5", user="mara"))
        assert (sixth.profile_id, sixth.links, sixth.handed_over) == (lead, {}, [])
        assert refused(sixth) == [("anonymous_id", "d5", "identifier_limit")]
        browsing = Event("page_viewed", DAY_1 + at, "e", "web", "d5", "d5")
        assert (store.take(browsing).profile_id, store.take(browsing).is_lead) == ("d5", False)
    assert "a:d5" in store.take(says(7 * DAY_MS, device="d5", user="mara")).links
    assert refused(store.take(says(7 * DAY_MS + 1, device="d6", user="mara"))) != []


def test_the_sixth_address_is_never_linked() -> None:
    """
    A window of 0 has no end; whoever comes with that address alone is somebody else.
    """
    store = Store()
    for number in range(5):
        store.take(says(number, user="mara", email=f"m{number}@x"))
    assert len(refused(store.take(says(400 * DAY_MS, user="mara", email="m5@x")))) == 1
    assert store.take(says(400 * DAY_MS, email="m5@x")).profile_id != store.known["u:mara"]


def test_a_device_that_moves_counts_for_whom_it_moves_to() -> None:
    """
    A till at which everybody signs in is linked to each of them, and fills up nobody's share but by one; that of whom
    it was before has room again.
    """
    store = Store()
    for number in range(20):
        before = store.known.get("a:till")
        moved = store.take(says(number, device="till", user=f"user-{number}"))
        assert moved.links["a:till"] == moved.profile_id
        assert lead_of(store.known, moved.profile_id).count == 2
        assert before is None or lead_of(store.known, before).count == 1


def test_a_device_that_two_use_in_turn_follows_each_login() -> None:
    """
    A tablet in a household, thirty logins in a week: it is one device of each, and whoever has logged in last has it.
    """
    store = Store()
    for number in range(30):
        login = store.take(says(number * 5 * HOUR_MS, device="tablet", user=("mara", "joe")[number % 2]))
        assert (refused(login), store.known["a:tablet"]) == ([], login.profile_id)
    counts = [lead_of(store.known, store.known[name]).count for name in ("u:mara", "u:joe")]
    assert counts == [1, 2]


def test_leads_with_too_many_addresses_together_do_not_become_one() -> None:
    """
    Five and one are too many, four and one are not. The event is the lead's of higher priority, the user's, though it
    is the younger; the refusal names the other one.
    """
    for many, is_one in ((4, True), (5, False)):
        store = Store()
        other = store.take(says(0, email="m@x")).profile_id
        for number in range(many):
            store.take(says(1 + number, user="mara", email=f"m{number}@x"))
        both = store.take(says(DAY_MS, user="mara", email="m@x"))
        if is_one:
            assert (both.profile_id, refused(both)) == (other, [])
        else:
            assert both.profile_id == store.known["u:mara"] != other
            assert [(one.rule, one.other_profile_id) for one in both.records] == [("merge_limit", other)]
            assert both.links == {}


def test_a_lead_becomes_one_with_others_only_so_often() -> None:
    """
    The ceiling counts those of both; after it identifiers still say who it is.
    """
    store = Store(replace(RULES, merges_max=2))
    for number in range(4):
        store.take(says(number, email=f"m{number}@x"))
    store.take(says(10, user="mara"))
    merged = [store.take(says(11 + number, user="mara", email=f"m{number}@x")).merged for number in range(4)]
    assert [len(one) for one in merged] == [1, 1, 0, 0]
    assert store.take(says(20, user="mara")).profile_id == store.known["e:m0@x"] == store.known["e:m1@x"]
    assert store.known["e:m2@x"] != store.known["e:m0@x"]


def test_a_source_that_anybody_can_write_to_joins_nobody() -> None:
    """
    Its events link devices, and make leads; whom they name by user id and by address stays two, until a source that is
    trusted says so.
    """
    store = Store(replace(RULES, may_merge=False))
    by_email = store.take(says(0, email="m@x", device="d1")).profile_id
    by_user = store.take(says(1, user="mara")).profile_id
    both = store.take(says(2, user="mara", email="m@x", device="d2"))
    assert (both.profile_id, both.merged, store.known["a:d2"]) == (by_user, [], by_user)
    assert [(one.rule, one.other_profile_id) for one in both.records if one.rule] == [
        ("source_may_not_merge", by_email)
    ]
    store.trust()
    assert store.take(says(3, user="mara", email="m@x")).merged == [by_user]


def test_a_lead_is_given_only_so_much() -> None:
    """
    The last that there is room for is linked, the next is not.
    """
    store = Store(replace(RULES, identifiers_max=3))
    found = [store.take(says(number, user="mara", device=f"d{number}")) for number in range(4)]
    assert [refused(one) != [] for one in found] == [False, False, True, True]


EVENTS = st.lists(
    st.builds(
        says,
        st.integers(0, 20 * 24).map(lambda hours: hours * HOUR_MS),
        device=st.sampled_from(["", "d1", "d2", "d3", "d4"]),
        user=st.sampled_from(["", "mara", "joe"]),
        email=st.sampled_from(["m1@x", "m2@x", "m3@x"]),
        phone=st.sampled_from(["", "+1", "+2", "+3"]),
    ),
    max_size=25,
)
TIGHT = IdentityRules(
    limits={type_: IdentifierLimit(count=2, window_ms=window) for type_, window in (("a", DAY_MS), ("e", 0), ("p", 0))},
    merges_max=1,
    identifiers_max=6,
    sharers_max=2,
)


@settings(max_examples=500)
@given(EVENTS)
def test_nobody_is_given_more_than_the_limits_say(events: list[Event]) -> None:
    """
    Whatever comes, in whatever order; each event has a lead all the same, and what is not linked is told. A device that
    has moved on does not count.
    """
    store = Store(TIGHT)
    linked: dict[str, list[tuple[str, int]]] = {}
    merges = Counter[str]()
    for event in events:
        before = dict(store.known)
        found = store.take(event)
        assert found.is_lead
        assert found.profile_id.startswith("lead-")
        merges[found.profile_id] += len(found.merged) + sum(merges.pop(loser, 0) for loser in found.merged)
        mine = linked.setdefault(found.profile_id, [])
        for loser in found.merged:
            mine += linked.pop(loser, [])
        for moved in (one for one in found.records if one.what == "moved"):
            theirs = linked[moved.other_profile_id]
            theirs.remove(max(one for one in theirs if one[0] == "a"))
        mine += [
            (name[0], event.at)
            for name, lead in found.links.items()
            if name[0] in "uaep" and is_new(name, before, found)
        ]
        assert merges[found.profile_id] <= 1
        assert len(mine) <= 6
        assert sum(type_ == "e" for type_, _ in mine) <= 2
        told = {(one.identifier_type, one.what) for one in found.records}
        for type_, value in (("anonymous_id", event.anonymous_id), ("email", event.email), ("phone", event.phone)):
            name = f"{type_[0]}:{value}"
            is_shared = type_ == "phone" and found.profile_id in candidates(value, store.known)
            assert not value or is_shared or store.known.get(name) == found.profile_id or (type_, "refused") in told
    for mine in linked.values():
        for type_, at in mine:
            within = [one for one in mine if one[0] == type_ and at - DAY_MS < one[1] <= at]
            assert type_ != "a" or len(within) <= 2 or is_out_of_order(mine)


def is_new(name: str, before: dict[str, str], found: Plan) -> bool:
    """Whether an identifier was not that lead's, nor of one of those who became it."""
    return before.get(name) not in {found.profile_id, *found.merged}


def is_out_of_order(mine: list[tuple[str, int]]) -> bool:
    """Whether links were made for events that came late: they look back from when they were."""
    times = [at for _, at in mine]
    return times != sorted(times)


LEADS = st.builds(
    lambda born_at, users, merged, count, linked: (born_at, users, merged, count, linked),
    st.integers(0, 2**45),
    st.lists(st.text(), max_size=3),
    st.lists(st.text(), max_size=3),
    st.integers(0, 1_000),
    st.dictionaries(st.sampled_from("aep"), st.lists(st.integers(0, 2**22), max_size=5).map(sorted)),
)


@given(LEADS)
def test_what_is_kept_of_a_lead_comes_back_as_it_was(
    told: tuple[int, list[str], list[str], int, dict[str, list[int]]],
) -> None:
    """
    As a text in the store.
    """
    lead = Lead(told[0])
    _, lead.users, lead.merged, lead.count, lead.linked = told
    found = unpack(lead.pack())
    assert (found.born_at, found.users, found.merged, found.count, found.linked) == told
