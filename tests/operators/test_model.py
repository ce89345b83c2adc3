"""The operators beside the slow, obvious model of `tests/model.py`."""

from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.cart_record import CartRecord
from operators.identity import lead_of, user_digest
from operators.identity_record import IdentityRecord
from operators.ids import digest
from operators.session_record import SessionRecord
from tests import model
from tests.operators import traffic
from tests.story import Loop

Row = TypeVar("Row", model.ModelSession, model.ModelNews)


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def names(loop: Loop) -> dict[str, str]:
    """Leads by what they were made of: the user, or the user's address."""
    hashes = {digest("email", email): email for email in (f"{user}@example.org" for user in traffic.USERS.values())}
    made = [record for record in loop.records if isinstance(record, IdentityRecord) and record.what == "created"]
    found = {record.profile_id: hashes.get(record.identifier, record.identifier) for record in made}
    leads = {lead: lead_of(loop.links, lead).users for lead in loop.links.values() if lead.startswith("lead-")}
    of_digest = {user_digest(user): user for user in traffic.USERS.values()}
    return found | {lead: of_digest[users[0]] for lead, users in leads.items() if users}


def by_person(rows: list[Row]) -> list[Row]:
    """The same, whether a person was known by name or by address alone."""
    return sorted(replace(row, of=row.of.partition("@")[0]) for row in rows)


def sessions_of(loop: Loop, *, is_last_only: bool = False) -> list[model.ModelSession]:
    known = names(loop)
    every = [record for record in loop.records if isinstance(record, SessionRecord)]
    return sorted(
        model.ModelSession(
            record.visitor_id,
            record.channel,
            instant(record.started_at),
            instant(record.ended_at),
            record.events,
            known.get(record.profile_id, record.profile_id),
            1 if is_last_only else record.revision,
        )
        for record in (traffic.last_sessions(loop) if is_last_only else every)
    )


def carts_of(loop: Loop) -> list[model.ModelNews]:
    known = names(loop)
    return sorted(
        model.ModelNews(
            record.cart_id,
            instant(record.changed_at),
            record.state,
            record.intent,
            record.value,
            known.get(record.profile_id, record.profile_id),
        )
        for record in loop.records
        if isinstance(record, CartRecord)
    )


@settings(max_examples=200)
@given(st.data())
@pytest.mark.parametrize("memory_ms", [2 * traffic.HOUR, 31 * traffic.MINUTE])
def test_sessions_are_those_of_the_model(memory_ms: int, data: st.DataObject) -> None:
    """
    In any order that lateness allows, in any batches, known or not: each session once, and once more as the lead's that
    its visitor becomes, whether or not it is still remembered.
    """
    rules = traffic.settings(memory_ms=memory_ms)
    log = data.draw(traffic.days())
    loop = traffic.run(data.draw(traffic.arrivals(log)), rules, data.draw(traffic.batchings(len(log))))
    assert sessions_of(loop) == model.sessions(log, rules.lead_rules().sessions)


@settings(max_examples=200)
@given(st.data(), st.sampled_from([0, 45 * traffic.MINUTE, traffic.HOUR, 3 * traffic.HOUR]), st.booleans())
def test_sessions_that_ended_too_long_before_a_link_stay_behind(
    data: st.DataObject,
    stitch_ms: int,
    has_accounts: bool,  # noqa: FBT001
) -> None:
    """
    With spans that pauses have to the millisecond, in the order of time: those are published again that the model says.
    """
    rules = traffic.settings(memory_ms=31 * traffic.MINUTE, stitch_ms=stitch_ms)
    devices = ("d1", "d2") if has_accounts else ("d1", "d2", "d3", "d4")
    log = data.draw(traffic.days(devices, has_accounts=has_accounts))
    loop = traffic.run(log, rules, data.draw(traffic.batchings(len(log))))
    assert by_person(sessions_of(loop)) == by_person(model.sessions(log, rules.lead_rules().sessions))


@settings(max_examples=200)
@given(st.data())
def test_sessions_have_the_length_of_the_model(data: st.DataObject) -> None:
    """
    With a maximum length of two hours, in the order of time and without a login: where a cut meets either, it may lie
    elsewhere (the corner that `operators/session.py` gives up).
    """
    shipped = traffic.settings()
    session = type(shipped.session)(gap=shipped.session.gap, length_ms_max=2 * traffic.HOUR)
    rules = type(shipped)(session=session)
    log = data.draw(traffic.days(["d1", "d4"], has_logins=False, count_max=30))
    loop = traffic.run(log, rules, data.draw(traffic.batchings(len(log))))
    assert sessions_of(loop) == model.sessions(log, rules.lead_rules().sessions)


@settings(max_examples=200)
@given(st.data())
def test_late_events_mend_sessions_to_those_of_the_model(data: st.DataObject) -> None:
    """
    An hour and a half late is within the memory: the last revisions are the sessions of the whole log, and
    each event counts in one of them.
    """
    rules = traffic.settings()
    log = data.draw(traffic.days(["d2", "d4"], has_logins=False))
    arrived = data.draw(traffic.arrivals(log, delay_ms_max=90 * traffic.MINUTE))
    loop = traffic.run(arrived, rules, data.draw(traffic.batchings(len(log))))
    assert sessions_of(loop, is_last_only=True) == model.sessions(log, rules.lead_rules().sessions)


@settings(max_examples=200)
@given(st.data(), st.sampled_from(["activity", "cart_change"]))
@pytest.mark.parametrize("has_logins", [False, True])
def test_carts_are_those_of_the_model(has_logins: bool, data: st.DataObject, restart_on: str) -> None:  # noqa: FBT001
    """
    Opened, abandoned, recovered, purchased and emptied at the same instants, worth the same, of the same person.
    """
    rules = traffic.settings(restart_on, browse_views=1_000)
    log = data.draw(traffic.days(has_logins=has_logins))
    loop = traffic.run(data.draw(traffic.arrivals(log)), rules, data.draw(traffic.batchings(len(log))))
    assert carts_of(loop) == model.carts(log, rules.lead_rules().carts)


@settings(max_examples=200)
@given(st.data(), st.sampled_from(["activity", "cart_change"]))
def test_leads_who_become_one_have_the_carts_and_sessions_of_the_model(data: st.DataObject, restart_on: str) -> None:
    """
    Known by name on one device and by address on the other, in any order, until both are told together: what follows is
    one person's. (In the order of time: who is one is known from when it is told.)
    """
    rules = traffic.settings(restart_on, browse_views=1_000)
    log = data.draw(traffic.days(("d1", "d2"), has_accounts=True, count_max=20))
    loop = traffic.run(log, rules, data.draw(traffic.batchings(len(log))))
    assert by_person(carts_of(loop)) == by_person(model.carts(log, rules.lead_rules().carts))
    assert by_person(sessions_of(loop)) == by_person(model.sessions(log, rules.lead_rules().sessions))
