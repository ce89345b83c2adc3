"""Planning who is who: pure, idempotent, and the same by the short way as by the long."""

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Settings
from connectors.memory import MemoryIdentity
from operators import planning
from operators.event import Event
from operators.identity import (
    TYPES,
    all_asked,
    caller_key,
    candidates,
    lead_of,
    settled,
    to_be_known,
    user_digest,
    visitor_key,
)
from operators.identity_record import Rule
from operators.planning import Plan
from tests.story import DAY_1

events = st.builds(
    lambda kind, user, email, phone, device: Event(
        kind,
        DAY_1,
        "e1",
        "web",
        device or phone or user or email or "somebody",
        anonymous_id=device,
        user_id=user,
        email=email,
        phone=phone,
    ),
    st.sampled_from(["identified", "page_viewed", "call_ringing"]),
    st.sampled_from(["", "", "mara", "joe"]),
    st.sampled_from(["", "", "m@x", "j@x"]),
    st.sampled_from(["", "", "+1", "+2"]),
    st.sampled_from(["", "d1", "d2", "d3"]),
)


RULES = Settings().identity.rules("")


def plan(event: Event, known: dict[str, str]) -> Plan:
    """Plan by the rules that nobody has changed."""
    return planning.plan(event, known, RULES)


def links_after(log: list[Event]) -> dict[str, str]:
    """What a store knows after these events."""
    store = MemoryIdentity()
    known = store.look_up([])
    for event in log:
        store.link(plan(event, known).links, event, known)
    return dict(known)


def stored(links: dict[str, str], event: Event, known: dict[str, str]) -> dict[str, str]:
    """What a store that knew that much knows after these links."""
    store = MemoryIdentity()
    for name, lead in known.items():
        store.restore(name, lead)
    store.link(links, event, known)
    return dict(store.live())


@settings(max_examples=500)
@given(st.lists(events, max_size=12), events)
def test_planning_again_links_nothing_new(log: list[Event], event: Event) -> None:
    """
    After its links are stored, the same event has the same profile, no links and no visitors to hand over; it is
    refused what it was refused, and nothing else is told, save that a number does not say who calls.
    """
    known = links_after(log)
    first = plan(event, known)
    second = plan(event, stored(first.links, event, known))
    assert (second.profile_id, second.is_lead) == (first.profile_id, first.is_lead)
    assert (second.links, second.handed_over, second.merged) == ({}, [], [])
    again = [record.identifier for record in first.records if record.what == "refused" or not first.is_lead]
    assert [record.identifier for record in second.records] == again


def test_what_is_refused_again_is_refused_by_the_same_rule() -> None:
    """
    Joe gives Mara's address, and does so again at the next login: the reason has not changed.
    """
    mara = Event("identified", DAY_1, "e1", "web", "d1", user_id="mara", email="m@x")
    joe = Event("identified", DAY_1, "e2", "web", "d2", user_id="joe", email="m@x")
    known = links_after([mara])
    rules = []
    for _ in range(2):
        found = plan(joe, known)
        known |= found.links
        rules += [record.rule for record in found.records if record.what == "refused"]
    assert rules == ["one_user_id_per_lead", "one_user_id_per_lead"]


@settings(max_examples=500)
@given(st.lists(events, max_size=12), events)
def test_the_short_way_agrees_with_the_long(log: list[Event], event: Event) -> None:
    """
    Where everything is settled there is nothing to plan, and the profile is the plan's.
    """
    known = links_after(log)
    lead = settled(event, known)
    if lead is not None:
        found = plan(event, known)
        assert (found.profile_id, found.is_lead) == (lead, True)
        assert (found.links, found.handed_over, found.records) == ({}, [], [])


def meant(batch: list[Event], known: dict[str, str]) -> list[tuple[str, dict[str, str]]]:
    """Whose each event of a batch is and what it links, on what is known of it; of numbers that are shared, nothing."""
    found = []
    for event in batch:
        lead = settled(event, known)
        result = Plan(lead, is_lead=True) if lead else plan(event, known)
        planning.learn(known, result)
        found.append((result.profile_id, {name: one for name, one in result.links.items() if name[0] != "q"}))
    return found


@settings(max_examples=500)
@given(st.lists(events, max_size=12), st.lists(events, max_size=6))
def test_what_a_store_is_asked_of_leads_is_enough_for_a_batch(log: list[Event], batch: list[Event]) -> None:
    """
    A batch means the same whether all that is stored is at hand or only what was asked for.
    """
    links = links_after(log)
    known = {name: links[name] for name in all_asked(batch) if name in links}
    known |= {name: links[name] for name in to_be_known(batch, known) if name in links}
    assert meant(batch, known) == meant(batch, dict(links))


def test_nothing_is_asked_of_a_lead_whose_event_is_settled() -> None:
    """
    Nor of one who is only near: of those for whom something is to be planned all that it needs is.
    """
    device = Event("page_viewed", DAY_1, "e1", "web", "d1", "d1", "mara")
    known = {"u:mara": "lead-1", "a:d1": "lead-1", "u:joe": "lead-2", "e:j@x": "lead-2"}
    assert to_be_known([device], known) == []
    moved = Event("page_viewed", DAY_1, "e2", "web", "d1", "d1", "joe")
    assert set(to_be_known([moved, device], known)) == {"r:lead-1", "r:lead-2"}


@settings(max_examples=500)
@given(st.lists(events, max_size=12), events)
def test_what_is_settled_once_is_settled(log: list[Event], event: Event) -> None:
    """
    An event of a known person whose links are stored, with nothing refused, goes the short way from then on.
    """
    known = links_after(log)
    found = plan(event, known)
    known = stored(found.links, event, known)
    names = {"u": event.user_id, "e": event.email, "p": event.phone, "a": event.anonymous_id}
    if found.is_lead and all(known.get(f"{t}:{v}") == found.profile_id for t, v in names.items() if v):
        assert settled(event, known) == found.profile_id


@settings(max_examples=500)
@given(st.lists(events, max_size=15))
def test_a_lead_has_one_user_and_a_user_one_lead(log: list[Event]) -> None:
    """
    Whatever comes, in whatever order.
    """
    known = links_after(log)
    for name, lead in known.items():
        if name.startswith("u:"):
            assert lead_of(known, lead).users == [user_digest(name[2:])]


@settings(max_examples=500)
@given(st.lists(events, max_size=15), events)
def test_only_a_device_changes_hands(log: list[Event], event: Event) -> None:
    """
    User id, address and number stay with the lead they were given to, and go with it where it becomes another one; what
    is not linked is told with its rule.
    """
    known = links_after(log)
    found = plan(event, known)
    for name, lead in found.links.items():
        assert name[0] not in "uep" or known.get(name, lead) in (lead, *found.merged)
    for record in found.records:
        assert (record.what == "refused") == (record.rule != "")
        assert record.rule in get_args(Rule)


@settings(max_examples=300)
@given(st.lists(events, max_size=12), events)
def test_a_visitor_is_handed_over_once(log: list[Event], event: Event) -> None:
    """
    When its identifier is first linked: a device that moves on to another lead takes nothing along.
    """
    known = links_after(log)
    visitors = {visitor for visitor, _ in plan(event, known).handed_over}
    assert event.anonymous_id not in visitors or "a:" + event.anonymous_id not in known
    assert not event.phone or caller_key(event.phone) not in visitors or "p:" + event.phone not in known


@settings(max_examples=500)
@given(st.lists(events, max_size=15), events)
def test_two_users_never_become_one(log: list[Event], event: Event) -> None:
    """
    Whoever is merged has no user of its own, or the same; nothing is left of the lead who is no more.
    """
    known = links_after(log)
    found = plan(event, known)
    users = [user for lead in (found.profile_id, *found.merged) for user in lead_of(known, lead).users]
    assert not found.merged or set(users) <= {user_digest(event.user_id)}
    after = stored(found.links, event, known)
    assert not set(found.merged) & {lead for name, lead in after.items() if name[0] in TYPES}


def test_the_older_of_two_leads_survives() -> None:
    """
    Known by address at ten, by user id at eleven: who names both is the lead of ten, with all that either was called.
    """
    hour = 3_600_000
    for first, second in ((0, hour), (hour, 0)):
        by_email = Event("identified", DAY_1 + first, "e1", "web", "d1", anonymous_id="d1", email="m@x")
        by_user = Event("identified", DAY_1 + second, "e2", "app", "d2", anonymous_id="d2", user_id="mara", phone="+1")
        both = Event("identified", DAY_1 + 2 * hour, "e3", "web", "d3", anonymous_id="d3", user_id="mara", email="m@x")
        known = links_after([by_email, by_user])
        leads = {"e:m@x": known["e:m@x"], "u:mara": known["u:mara"]}
        oldest = leads["e:m@x" if first < second else "u:mara"]
        after = links_after([by_email, by_user, both])
        names = {name: lead for name, lead in after.items() if name[0] in TYPES}
        assert names == dict.fromkeys(("e:m@x", "a:d1", "u:mara", "a:d2", "p:+1", "a:d3"), oldest)
        assert lead_of(after, oldest).users == [user_digest("mara")]


def test_names_of_visitors() -> None:
    """
    A browser is its anonymous id, a caller a hash of the number, anything else a hash of what it is told as.
    """
    browser = Event("page_viewed", DAY_1, "e1", "web", "d1", anonymous_id="d1", phone="+1")
    caller = Event("call_ringing", DAY_1, "e1", "phone", "+1", phone="+1")
    other = Event("page_viewed", DAY_1, "e1", "server", "somebody")
    assert visitor_key(browser) == "d1"
    assert visitor_key(caller) == caller_key("+1") == "caller-" + caller_key("+1")[-20:]
    assert visitor_key(other).startswith("visitor-")


def test_the_order_of_events_does_not_change_who_is_one() -> None:
    """
    a1 with an address, a2 with the same: one lead with both devices, whichever came first.
    """
    first = Event("identified", DAY_1, "e1", "web", "d1", anonymous_id="d1", email="m@x")
    second = Event("identified", DAY_1, "e2", "web", "d2", anonymous_id="d2", email="m@x")
    assert links_after([first, second]) == links_after([second, first])


def test_who_has_become_another_lead_is_no_candidate_any_more() -> None:
    """
    Mara and Joe share a number; the event by which Joe's address turns out to be Joe's names the number again.
    """
    mara = Event("identified", DAY_1 + 1, "e1", "web", "mara", user_id="mara", phone="+1")
    joe = Event("identified", DAY_1 + 2, "e2", "web", "joe", user_id="joe", phone="+1")
    address = Event("identified", DAY_1, "e3", "web", "j@x", email="j@x")
    known = links_after([mara, joe, address])
    both = Event("identified", DAY_1 + 3, "e4", "web", "joe", user_id="joe", email="j@x", phone="+1")
    found = plan(both, known)
    assert [record.what for record in found.records] == ["merged"]
    after = stored(found.links, both, known)
    assert candidates("+1", after) == [after["u:mara"], after["u:joe"]]


def test_a_number_that_is_one_persons_after_all_is_known_the_short_way() -> None:
    """
    Given as two leads, who then become one.
    """
    address = Event("identified", DAY_1, "e1", "web", "m@x", email="m@x", phone="+1")
    user = Event("identified", DAY_1, "e2", "web", "mara", user_id="mara", phone="+1")
    both = Event("identified", DAY_1, "e3", "web", "mara", user_id="mara", email="m@x")
    call = Event("call_ringing", DAY_1, "e4", "phone", "+1", phone="+1")
    assert settled(call, links_after([address, user])) is None
    known = links_after([address, user, both])
    assert settled(call, known) == known["u:mara"]
