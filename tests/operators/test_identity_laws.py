"""
Laws of who is who, on the embedded store; `tests/connectors/test_identity_laws.py` has them on Redis.

Taking events is idempotent and associative whatever they are. It is commutative up to five guards, each of which has a
test below that shows what it is for:

1. two users never become one, so who names an address first has it;
2. a device that several use follows the latest login;
3. a number does not join two people, so by itself it is a person only to whoever hears it first;
4. limits keep what came first;
5. a lead is called by what it was first heard of as: which leads there are to survive depends on the order, which of
   them does not.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.memory import MemoryIdentity
from operators.event import Event
from operators.ids import digest
from operators.rules import IdentifierLimit, IdentityRules
from tests.operators.identity_log import (
    ADDRESSES,
    AGREEING,
    ANYTHING,
    OPEN,
    Desk,
    is_number_alone,
    numbered,
    pieces,
    says,
)

TIGHT = IdentityRules(
    limits={
        type_: IdentifierLimit(count=2, window_ms=window) for type_, window in (("a", 600_000), ("e", 0), ("p", 0))
    },
    merges_max=1,
    identifiers_max=6,
    sharers_max=2,
)


def after(log: list[Event], rules: IdentityRules = OPEN) -> Desk:
    """Who is who after a log, each event a batch."""
    desk = Desk(MemoryIdentity(), rules)
    for event in numbered(log):
        desk.take([event])
    return desk


@settings(max_examples=500)
@given(ANYTHING, st.sampled_from([OPEN, TIGHT]))
def test_telling_it_all_again_changes_nothing(log: list[Event], rules: IdentityRules) -> None:
    """
    Whatever was told, limits and contradictions included: an event right after itself is the same person's and changes
    nothing. Without limits, which make room with time, a whole log may be told again after itself.
    """
    once = after(log, rules)
    twice = after([event for event in log for _ in range(2)], rules)
    assert (twice.profiles[1::2], twice.leads(), twice.parts()) == (once.profiles, once.leads(), once.parts())
    if rules is OPEN and not any(map(is_number_alone, log)):
        assert after([*log, *log]).known() == once.known()


@settings(max_examples=500)
@given(st.data(), ANYTHING, st.sampled_from([OPEN, TIGHT]))
def test_batches_may_be_cut_anywhere(data: st.DataObject, log: list[Event], rules: IdentityRules) -> None:
    """
    The same person for each event, and the same records.
    """
    whole, cut = Desk(MemoryIdentity(), rules), Desk(MemoryIdentity(), rules)
    whole.take(numbered(log))
    for batch in data.draw(pieces(numbered(log))):
        cut.take(batch)
    assert (cut.profiles, cut.records, cut.known()) == (whole.profiles, whole.records, whole.known())


@settings(max_examples=500)
@given(st.data(), AGREEING)
def test_any_order_of_what_nobody_contradicts_gives_the_same_people(data: st.DataObject, log: list[Event]) -> None:
    """
    The same identifiers are one person's, and the same people have given each number.
    """
    assert after(data.draw(st.permutations(log))).parts() == after(log).parts()


@settings(max_examples=500)
@given(AGREEING)
def test_one_person_is_whoever_is_told_together(log: list[Event]) -> None:
    """
    A user with all addresses ever told beside the user id, whether they were known before or not; and all devices.
    """
    told = {event.email for event in log if event.user_id and event.email}
    person = {email: ADDRESSES[email] if email in told else email for email in ADDRESSES}
    whose = dict[str, str]()
    for event in log:
        who = event.user_id or person[event.email]
        names = [f"u:{event.user_id}", f"e:{event.email}", f"a:{event.anonymous_id}"]
        whose |= {name: who for name in names if len(name) > 2}
    leads = after(log).leads()
    assert leads.keys() == whose.keys()
    for one, lead in leads.items():
        if one[0] != "a":
            assert all((whose[one] == whose[other]) == (lead == leads[other]) for other in leads if other[0] != "a")


@settings(max_examples=500)
@given(st.data(), AGREEING, st.permutations([*[f"e:{email}" for email in ADDRESSES], "u:mara", "u:joe"]))
def test_the_oldest_survives_in_any_order(data: st.DataObject, log: list[Event], names: list[str]) -> None:
    """
    Where each was first heard of by itself: the one of the earliest event, though that came last of them.
    """
    firsts = [says(at, user=name[2:]) if name[0] == "u" else says(at, email=name[2:]) for at, name in enumerate(names)]
    desk = after([*data.draw(st.permutations(firsts)), *data.draw(st.permutations(log))])
    leads = desk.leads()
    for lead in set(leads.values()):
        oldest = next(name for name in names if leads[name] == lead)
        assert lead == "lead-" + digest("lead", oldest)[:20]


@settings(max_examples=500)
@given(ANYTHING)
def test_of_all_leads_that_became_one_the_oldest_is_left(log: list[Event]) -> None:
    """
    Whatever comes, in whatever order: by the times of the events that made them, and where those are equal by id.
    """
    desk = after(log)
    born = {one.profile_id: (one.at, one.profile_id) for one in desk.records if one.what == "created"}
    became = {one.other_profile_id: one.profile_id for one in desk.records if one.what == "merged"}
    assert all(born[survivor] < born[loser] for loser, survivor in became.items())
    assert not became.keys() & set(desk.leads().values())


@settings(max_examples=500)
@given(ANYTHING, st.sampled_from([OPEN, TIGHT, replace(OPEN, may_merge=False)]))
def test_no_sequence_merges_two_users(log: list[Event], rules: IdentityRules) -> None:
    """
    Each user has a lead of their own, and each event that names a user is that one's.
    """
    desk = after(log, rules)
    users = {name: lead for name, lead in desk.leads().items() if name[0] == "u"}
    assert len(set(users.values())) == len(users)
    became = {one.other_profile_id: one.profile_id for one in desk.records if one.what == "merged"}
    for event, profile_id in zip(log, desk.profiles, strict=True):
        lead = profile_id
        while lead in became:
            lead = became[lead]
        assert not event.user_id or lead == users[f"u:{event.user_id}"]


# --- the guards: what each is for, and that order matters with it -------------------------------------------------


BOTH_WAYS = pytest.mark.parametrize("way", [1, -1])


@BOTH_WAYS
def test_guard_1_who_names_an_address_first_has_it(way: int) -> None:
    """
    Mara and Joe both give one address: the first of them to be heard keeps it, the other is refused it.
    """
    log = [says(0, user="mara", email="m1@x"), says(1, user="joe", email="m1@x")][::way]
    desk = after(log)
    assert desk.leads()["e:m1@x"] == desk.leads()[f"u:{log[0].user_id}"]
    assert [(one.rule, one.profile_id) for one in desk.records if one.what == "refused"] == [
        ("one_user_id_per_lead", desk.leads()[f"u:{log[1].user_id}"])
    ]


@BOTH_WAYS
def test_guard_2_a_device_is_whoevers_logged_in_last(way: int) -> None:
    """
    Of two people at one device, the one who is heard last.
    """
    log = [says(0, user="mara", device="d1"), says(1, email="z@x", device="d1")][::way]
    desk = after(log)
    assert desk.leads()["a:d1"] == desk.profiles[-1] != desk.profiles[0]


def test_guard_3_a_number_alone_is_a_person_to_who_hears_it_first() -> None:
    """
    A number that is given by itself, then with an address: two who share it. The other way round: one person.
    """
    alone, named = says(0, phone="+1"), says(1, phone="+1", email="z@x")
    assert after([alone, named]).sharers("+1") == {"nobody", "e:z@x"}
    assert after([named, alone]).sharers("+1") == {"e:z@x"}


@BOTH_WAYS
def test_guard_4_a_limit_keeps_what_came_first(way: int) -> None:
    """
    Of three addresses where two are allowed, the one that is heard last is not linked.
    """
    log = [says(at, user="mara", email=email) for at, email in enumerate(["m1@x", "m2@x", "z@x"])][::way]
    assert f"e:{log[-1].email}" not in after(log, TIGHT).leads()


def test_guard_5_a_lead_is_called_by_what_it_was_heard_of_first() -> None:
    """
    An address at ten, the same with a user id at eleven: one person in either order, called after the address or after
    the user. Who comes late does not rename a lead: its state would have to move for nothing else.
    """
    alone, both = says(0, email="m1@x"), says(1, email="m1@x", user="mara")
    first, second = after([alone, both]), after([both, alone])
    assert first.parts() == second.parts()
    assert set(first.leads().values()) == {"lead-" + digest("lead", "e:m1@x")[:20]}
    assert set(second.leads().values()) == {"lead-" + digest("lead", "u:mara")[:20]}
