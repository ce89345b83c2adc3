"""Ids that a source says are one person's too, and former spellings: who may ask, what is one, and what is not."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.memory import MemoryIdentity
from operators.event import Event, Kind, unpack
from operators.identity import (
    TYPES,
    asked,
    caller_key,
    lead_of,
    record_key,
    settled,
    sharers_key,
    to_be_known,
    user_digest,
)
from operators.planning import plan
from operators.rules import IdentityRules
from tests.operators.test_identity_limits import RULES, Store, refused
from tests.story import DAY_1

TRUSTED = replace(RULES, may_ask=True)


def says(
    at: int = 0,
    *also: str,
    user: str = "",
    device: str = "",
    email: str = "",
    phone: str = "",
    kind: Kind = "identified",
) -> Event:
    """An event of so long (ms) after midnight, and the ids that are its person's too."""
    visitor = device or user or email or phone
    return Event(kind, DAY_1 + at, f"e{at}", "web", visitor, device, user, email, phone, also=also)


def alias(at: int, previous: str, user: str) -> Event:
    """An alias as Segment has it: nobody says of which kind the previous id is."""
    return says(at, f"u:{previous}", f"a:{previous}", user=user)


def parts(known: dict[str, str]) -> set[frozenset[str]]:
    """Which identifiers are one person's."""
    leads: dict[str, set[str]] = {}
    for name, lead in known.items():
        if name[0] in TYPES:
            leads.setdefault(lead, set()).add(name)
    return {frozenset(names) for names in leads.values()}


def users_by_lead(known: dict[str, str]) -> list[list[str]]:
    """The user ids that are one person's, where they are several."""
    found = [sorted(name for name in part if name[0] == "u") for part in parts(known)]
    return sorted(names for names in found if len(names) > 1)


# --- who may ask ------------------------------------------------------------------------------------------------


def test_two_users_become_one_where_a_trusted_source_asks() -> None:
    """
    The older lead survives, whoever asks; both ids lead to it, and it is known as both users from then on.
    """
    for first, second in (("mara", "m.muster"), ("m.muster", "mara")):
        store = Store(TRUSTED)
        oldest = store.take(says(0, user=first, device="d1")).profile_id
        younger = store.take(says(1, user=second, device="d2")).profile_id
        found = store.take(alias(2, "mara", "m.muster"))
        assert (found.profile_id, found.merged, refused(found)) == (oldest, [younger], [])
        assert [(one.what, one.identifier_type, one.other_profile_id) for one in found.records] == [
            ("merged", "user_id", younger)
        ]
        assert parts(store.known) == {frozenset({"u:mara", "a:d1", "u:m.muster", "a:d2"})}
        assert sorted(lead_of(store.known, oldest).users) == sorted(map(user_digest, ("mara", "m.muster")))


def test_any_other_source_is_refused_and_its_event_is_the_naming_users() -> None:
    """
    With a rule of its own, and the lead that was meant.
    """
    store = Store()
    mara = store.take(says(0, user="mara")).profile_id
    other = store.take(says(1, user="m.muster")).profile_id
    found = store.take(alias(2, "mara", "m.muster"))
    assert (found.profile_id, found.merged, found.links) == (other, [], {})
    assert [(one.rule, one.identifier_type, one.other_profile_id) for one in found.records] == [
        ("source_may_not_ask", "user_id", mara)
    ]


def test_an_unknown_user_is_no_second_one_either() -> None:
    """
    From a source that may not ask; from one that may, the lead is known as both.
    """
    for rules, users in ((RULES, ["mara"]), (TRUSTED, ["mara", "m.muster"])):
        store = Store(rules)
        found = store.take(says(0, "u:m.muster", user="mara"))
        assert lead_of(store.known, found.profile_id).users == list(map(user_digest, users))
        assert (refused(found) != []) == (rules is RULES)
        assert ("u:m.muster" in store.known) == (rules is TRUSTED)


def test_a_user_beside_an_address_of_nobodys_needs_no_trust() -> None:
    """
    It is what naming both says anyway: the address has no user yet.
    """
    store = Store()
    mara, by_email = store.take(says(0, user="mara")).profile_id, says(1, email="m@x")
    store.take(by_email)
    assert store.take(says(2, "u:mara", email="m@x")).profile_id == mara
    assert store.known["e:m@x"] == mara


def test_limits_hold_for_who_may_ask_too() -> None:
    """
    Leads that were given too much together stay two; the event is the naming one's.
    """
    store = Store(replace(TRUSTED, merges_max=0))
    store.take(says(0, user="mara"))
    other = store.take(says(1, user="m.muster")).profile_id
    found = store.take(alias(2, "mara", "m.muster"))
    assert (found.profile_id, found.merged) == (other, [])
    assert [one.rule for one in found.records] == ["merge_limit"]


def test_an_untrusted_source_joins_nobody_whoever_it_names() -> None:
    """
    Neither two users nor an address and a user.
    """
    store = Store()
    leads = [
        store.take(event).profile_id for event in (says(0, user="mara"), says(1, user="joe"), says(2, email="m@x"))
    ]
    store.trust(may_merge=False)
    for event, lead, rule in (
        (alias(3, "mara", "joe"), leads[1], "source_may_not_ask"),
        (says(4, "u:mara", email="m@x"), leads[2], "source_may_not_merge"),
    ):
        found = store.take(event)
        assert (found.profile_id, found.merged) == (lead, [])
        assert [one.rule for one in found.records] == [rule]


def test_who_was_made_one_stays_one() -> None:
    """
    Logins of either are that lead's, and what only one of them is known by is both's: an address that Mara gave is no
    other user's when it comes with her other id.
    """
    store = Store(TRUSTED)
    lead = store.take(says(0, user="mara", email="m@x")).profile_id
    store.take(alias(1, "mara", "m.muster"))
    store.trust()
    assert store.take(says(2, user="m.muster", device="d2")).profile_id == lead
    assert store.take(says(3, user="mara", device="d3")).profile_id == lead
    found = store.take(says(4, user="m.muster", email="m@x"))
    assert (found.profile_id, refused(found)) == (lead, [])
    joe = store.take(says(5, user="joe", email="m@x"))
    assert [one.rule for one in joe.records if one.rule] == ["one_user_id_per_lead"]


# --- what an id of unknown kind is ------------------------------------------------------------------------------


def test_a_previous_id_that_nobody_knows_is_a_device() -> None:
    """
    Its visitor is handed over, after the device of the event itself.
    """
    for rules in (RULES, TRUSTED):
        store = Store(rules)
        found = store.take(says(0, "u:old", "a:old", user="mara", device="d1"))
        assert found.handed_over == [("d1", "d1"), ("old", "old")]
        assert store.known["a:old"] == found.profile_id
        assert ("u:old" in store.known) == rules.may_ask
        assert refused(found) == []


def test_a_previous_id_is_what_it_is_known_as() -> None:
    """
    A user's id becomes no device, a device no user; a device moves to who logs in, whoever had it.
    """
    for rules in (RULES, TRUSTED):
        store = Store(rules)
        store.take(says(0, user="joe"))
        store.take(says(1, user="mara", device="d1"))
        store.take(alias(2, "joe", "mara"))
        assert "a:joe" not in store.known
        found = store.take(alias(3, "d1", "joe"))
        assert "u:d1" not in store.known
        assert store.known["a:d1"] == found.profile_id == store.known["u:joe"]


def test_no_device_joins_two_leads() -> None:
    """
    That two people used one is no wish to be one, also where the source may ask.
    """
    store = Store(TRUSTED)
    store.take(says(0, user="mara", device="d1"))
    store.take(says(1, "a:d1", user="joe"))
    assert parts(store.known) == {frozenset({"u:mara"}), frozenset({"u:joe", "a:d1"})}


def test_a_request_that_names_nobody_is_told() -> None:
    """
    Two devices are no person; who it is must be said by a user id, an address or, at a login, a number.
    """
    store = Store(TRUSTED)
    found = store.take(says(0, "a:d2", device="d1", kind="page_viewed"))
    assert (found.profile_id, found.is_lead, found.links) == ("d1", False, {})
    assert refused(found) == [("anonymous_id", "d2", "nobody_named")]


# --- laws -------------------------------------------------------------------------------------------------------

NAMES = ("ann", "bea", "cleo", "dora", "eve")
aliases = st.lists(st.builds(lambda p, u: (p, u), st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=6)


@settings(max_examples=300)
@given(aliases, st.data())
def test_a_chain_of_requests_is_one_person_in_any_order(told: list[tuple[str, str]], data: st.DataObject) -> None:
    """
    Also where some of the ids log in in between, and whoever comes again changes nothing.
    """
    pairs = [(previous, user) for previous, user in told if previous != user]
    events = [alias(at, *pair) for at, pair in enumerate(pairs)]
    events += [says(100 + at, user=user) for at, user in enumerate(NAMES) if data.draw(st.booleans())]
    shuffled = data.draw(st.permutations(events))
    found = []
    for log in (events, shuffled, [*shuffled, *events]):
        store = Store(TRUSTED)
        for event in log:
            store.take(event)
        found.append({frozenset(name for name in part if name[0] == "u") for part in parts(store.known)})
    assert found[0] == found[1] == found[2]
    for previous, user in pairs:
        assert any({f"u:{previous}", f"u:{user}"} <= part for part in found[0])


def sayable(also: Sequence[str], email: str, phone: str) -> list[str]:
    """What an event can say so: former spellings are of its own address and number."""
    of = {"e": email, "p": phone}
    return [name for name in dict.fromkeys(also) if name[0] in "ua" or of[name[0]] not in {"", name[2:]}]


ids = st.sampled_from(["u:mara", "u:joe", "u:eve", "a:d1", "a:d2", "a:mara", "u:d1", "e:j@x", "e:old", "p:+2", "p:old"])
events = st.builds(
    lambda at, also, user, device, email, phone, kind: says(
        at, *sayable(also, email, phone), user=user, device=device, email=email, phone=phone, kind=kind
    ),
    st.integers(0, 10**6),
    st.lists(ids, max_size=3),
    st.sampled_from(["", "mara", "joe"]),
    st.sampled_from(["", "d1", "d2"]),
    st.sampled_from(["", "m@x", "j@x"]),
    st.sampled_from(["", "+1", "+2"]),
    st.sampled_from(["identified", "page_viewed", "call_ringing"]),
).filter(lambda event: bool(event.visitor_id))


@settings(max_examples=500)
@given(st.lists(events, max_size=20))
def test_two_users_are_never_one_unless_who_may_has_asked(log: list[Event]) -> None:
    """
    Whatever is asked for, in whatever order, by sources that may not.
    """
    store = Store()
    for event in log:
        store.take(event)
        assert users_by_lead(store.known) == []


@settings(max_examples=500)
@given(st.lists(st.tuples(events, st.sampled_from([RULES, TRUSTED])), max_size=15))
def test_only_users_that_were_asked_for_together_are_one(log: list[tuple[Event, IdentityRules]]) -> None:
    """
    Each two of a lead's users are joined by requests of sources that may.
    """
    store, joined = Store(), list[set[str]]()
    for event, rules in log:
        store.trust(may_ask=rules.may_ask)
        store.take(event)
        asked_for = {name for name in event.also if name[0] == "u"} | (
            {f"u:{event.user_id}"} if event.user_id else set()
        )
        asked_for |= {name for part in parts(store.known) for name in part if name[0] == "u" and shares(event, part)}
        if rules.may_ask and any(name[0] == "u" for name in event.also):
            others = [one for one in joined if one & asked_for]
            joined = [one for one in joined if not one & asked_for] + [asked_for.union(*others)]
        for users in users_by_lead(store.known):
            assert any(set(users) <= one for one in joined)


def shares(event: Event, part: frozenset[str]) -> bool:
    """Whether the event's own address, number or user is that person's."""
    return bool(part & {f"u:{event.user_id}", f"e:{event.email}", f"p:{event.phone}", *event.also})


@settings(max_examples=500)
@given(
    st.lists(st.tuples(events, st.sampled_from([RULES, TRUSTED])), max_size=15),
    events,
    st.sampled_from([RULES, TRUSTED]),
)
def test_planning_again_changes_nothing(
    log: Sequence[tuple[Event, IdentityRules]], event: Event, rules: IdentityRules
) -> None:
    """
    And the short way agrees with the long one.
    """
    store = MemoryIdentity()
    known = store.look_up([])
    for one, by in log:
        store.link(plan(one, known, by).links, one, known)
    first = plan(event, known, rules)
    lead = settled(event, known)
    assert lead in {None, first.profile_id}
    assert lead is None or not first.links
    store.link(first.links, event, known)
    second = plan(event, known, rules)
    assert (second.profile_id, second.links, second.handed_over, second.merged) == (first.profile_id, {}, [], [])


@settings(max_examples=500)
@given(st.lists(events, max_size=15), events, st.sampled_from([RULES, TRUSTED]))
def test_a_plan_asks_for_all_that_it_depends_on(log: list[Event], event: Event, rules: IdentityRules) -> None:
    """
    A store that tells only that gives the same plan; of the numbers that leads share who become one it is told when it
    links.
    """
    store = Store(TRUSTED)
    for one in log:
        store.take(one)
    told = {name: store.known[name] for name in asked(event) if name in store.known}
    assert settled(event, told) == settled(event, store.known)
    told |= {name: store.known[name] for name in to_be_known([event], told) if name in store.known}
    mine, full = plan(event, told, rules), plan(event, store.known, rules)
    assert (mine.profile_id, mine.merged, mine.handed_over) == (full.profile_id, full.merged, full.handed_over)
    assert mine.records == full.records
    assert {name: lead for name, lead in full.links.items() if name[0] != "q"}.items() <= mine.links.items()
    assert full.merged or mine.links == full.links


def test_a_row_of_before_has_none() -> None:
    """
    What lies in an older checkpoint comes back; an event without any is as long as it was.
    """
    plain, asking = says(0, user="mara"), alias(0, "d1", "mara")
    assert unpack(plain.pack()) == plain
    assert len(plain.pack()) == 24
    assert unpack(asking.pack()).also == ("u:d1", "a:d1")
    assert unpack(asking.pack()) == asking


# --- former spellings -------------------------------------------------------------------------------------------


def test_who_is_known_by_a_former_spelling_is_found_and_linked_by_the_new_one() -> None:
    """
    That is no further address: it counts for no limit, also where the lead has as many as it may have. Then the
    short way is gone, and the former one is needed no more.
    """
    store = Store()
    (lead,) = {store.take(says(number, user="mara", email=f"old{number}")).profile_id for number in range(5)}
    count = lead_of(store.known, lead).count
    for number in range(5):
        event = says(10 + number, f"e:old{number}", email=f"new{number}")
        assert settled(event, store.known) is None
        found = store.take(event)
        assert (found.profile_id, found.links) == (lead, {f"e:new{number}": lead})
        assert [(one.what, one.identifier_type) for one in found.records] == [("linked", "email")]
        assert settled(event, store.known) == lead
        assert settled(says(20, email=f"new{number}"), store.known) == lead
    assert lead_of(store.known, lead).count == count


def test_a_former_spelling_that_nobody_knows_is_given_to_nobody() -> None:
    """
    Neither with a new person nor with one who is known.
    """
    store = Store()
    for event in (
        says(0, "e:old", email="new", phone="p", device="d1"),
        says(1, "e:old2", "p:old", user="mara", email="new2"),
    ):
        assert settled(event, store.known) is None
        lead = store.take(event).profile_id
        assert settled(event, store.known) == lead
        assert not {"e:old", "e:old2", "p:old"} & set(store.known)


def test_a_former_spelling_of_another_user_is_refused_as_the_spelling_is() -> None:
    """
    Joe gives Mara's address after the change: it stays hers.
    """
    store = Store()
    mara = store.take(says(0, user="mara", email="old")).profile_id
    found = store.take(says(1, "e:old", user="joe", email="new"))
    assert [one.rule for one in found.records if one.rule] == ["one_user_id_per_lead"]
    assert "e:new" not in store.known
    assert store.take(says(2, "e:old", email="new")).profile_id == mara
    assert store.known["e:new"] == mara


def test_who_became_two_under_two_spellings_becomes_one() -> None:
    """
    A former secret was left out for a while: once it is back, the address joins both leads; two users it does not. What
    is kept of either is part of what is stored, so that a store refuses where another process has made it a user since.
    """
    for user, is_one in (("", True), ("joe", False)):
        store = Store()
        old = store.take(says(0, user="mara", email="old")).profile_id
        new = store.take(says(1, user=user, email="new")).profile_id
        found = store.take(says(2, "e:old", email="new"))
        assert (found.profile_id, found.merged) == ((old, [new]) if is_one else (new, []))
        assert refused(found) == []
        assert not is_one or {record_key(old), record_key(new)} <= set(found.links)


def test_a_caller_is_found_by_a_former_spelling() -> None:
    """
    By the number alone, which names nobody new but is the lead's already: it is linked, so that the former secret can
    go. Of an unknown caller the visits under both are handed over with the name.
    """
    store = Store()
    lead = store.take(says(0, email="m@x", phone="old")).profile_id
    call = says(1, "p:old", phone="new", kind="call_ringing")
    found = store.take(call)
    assert (found.profile_id, found.is_lead, found.links) == (lead, True, {"p:new": lead})
    assert store.take(says(2, phone="new", kind="call_ringing")).profile_id == lead
    unknown = Store().take(says(3, "p:old", email="j@x", phone="new"))
    assert unknown.handed_over == [(caller_key("new"), "new"), (caller_key("old"), "old")]


def test_a_number_that_several_have_given_says_nobody_by_its_new_spelling_either() -> None:
    """
    Those who gave the former one are named; who gives the new one shares that.
    """
    store = Store()
    first = store.take(says(0, email="m@x", phone="old")).profile_id
    second = store.take(says(1, email="j@x", phone="old")).profile_id
    call = says(2, "p:old", phone="new", kind="call_ringing")
    assert {sharers_key("new"), sharers_key("old")} <= set(asked(call))
    found = store.take(call)
    assert (found.is_lead, found.links, found.records[0].leads) == (False, {}, [first, second])
    assert store.take(says(3, "p:old", email="j@x", phone="new")).profile_id == second
    assert [one.leads for one in store.take(call).records] == [[first, second]]
    other = Store()
    leads = [other.take(says(at, email=email, phone="old")).profile_id for at, email in enumerate(("m@x", "j@x"))]
    other.take(says(2, "p:old", email="m@x", phone="new"))
    assert other.known["p:new"] == leads[0]
    assert settled(call, other.known) is None
    assert [one.leads for one in other.take(call).records] == [leads]
    without_former = store.take(says(4, phone="new", kind="call_ringing"))
    assert [one.leads for one in without_former.records] == [[first, second]]
