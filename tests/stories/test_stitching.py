"""What was published of a visitor before anybody knew who it was becomes the lead's. Rows 26 and 27, complaint 5."""

from itertools import permutations

import msgspec
import pytest

from config.settings import Settings
from config.visits import SessionSettings
from operators.identity import caller_key
from operators.identity_record import StitchedRecord
from operators.session_record import SessionRecord
from tests.story import ANON, DAY_MS, Story, Visit, instant

MARA = "mara@example.org"
PHONE = "+4915112345678"
TWO_DAYS = Settings(session=SessionSettings(stitch_ms=2 * DAY_MS))


def brought(shop: Story) -> list[tuple[str, list[str], list[str], int]]:
    """Of each link: who is part of whom, known by what, how many sessions that brings by their start, what stays."""
    starts = {record.session_id: record.started_at for record in shop.of(SessionRecord)}
    return [
        (
            shop.name(record.profile_id),
            [shop.name(alias) for alias in record.aliases],
            [starts[session_id][8:16] for session_id in record.sessions],
            record.left_behind,
        )
        for record in shop.of(StitchedRecord)
    ]


def last(shop: Story) -> list[Visit]:
    """Of each session the highest revision, as who upserts has them."""
    found: dict[tuple[str, str, str], Visit] = {}
    for visit in shop.sessions():
        known = found.setdefault((visit.by, visit.channel, visit.start), visit)
        if visit.revision > known.revision:
            found[visit.by, visit.channel, visit.start] = visit
    return list(found.values())


def test_a_visit_closed_before_becomes_the_leads(shop: Story) -> None:
    """
    Published of the visitor, it is published again when she is known: under its id, a revision higher, and the same in
    all else; and a record says what the lead has been known by and which sessions that brings.
    """
    shop.at("09:00").reads("https://shop.example/sofas?x", referrer="https://search.example/", campaign="autumn")
    shop.at("09:01").orders("s1", value=30.5, session="")
    shop.at("10:05").identifies(as_="mara")
    shop.ends()
    before, after, login = shop.of(SessionRecord)
    lead = shop.identity()[0].profile_id
    assert shop.sessions() == [
        Visit(ANON, "09:00", "09:01", events=2),
        Visit(ANON, "09:00", "09:01", events=2, revision=2, of="mara"),
        Visit(ANON, "10:05", "10:05", of="mara"),
    ]
    assert after == msgspec.structs.replace(before, profile_id=lead, revision=2)
    assert shop.of(StitchedRecord) == [
        StitchedRecord(
            what="stitched",
            profile_id=lead,
            identifier_type="",
            identifier="",
            rule="",
            other_profile_id=ANON,
            event_id="e0003",
            at="2026-11-21T10:05:00.000Z",
            aliases=[ANON],
            sessions=[before.session_id],
            left_behind=0,
        )
    ]
    assert shop.of(StitchedRecord)[0].cloud_event[:2] == (
        f"e0003/stitched/{ANON}",
        "io.nextmove.identity.stitched.v1",
    )
    assert login.profile_id == lead


def test_a_visit_that_is_open_is_not_published_twice(shop: Story) -> None:
    """
    Known in the midst of the first visit, as most people are: the record has the alias and no session.
    """
    shop.at("10:00").reads()
    shop.at("10:05").identifies(as_="mara")
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:05", events=2, of="mara")]
    assert brought(shop) == [("mara", [ANON], [], 0)]


def test_a_visit_that_ends_as_its_visitor_becomes_known_is_the_leads_at_once(shop: Story) -> None:
    """
    Due at the very instant of the link, it is published once; due a millisecond before it, twice.
    """
    shop.at("10:00").reads(by="a1")
    shop.at("10:00:00.001").reads(by="a2")
    shop.at("10:30:00.001").identifies("a1", as_="mara", channel="app").identifies("a2", as_="mara", channel="app")
    shop.ends()
    assert [visit for visit in shop.sessions() if visit.channel == "web"] == [
        Visit("a1", "10:00", "10:00", of="a1"),
        Visit("a1", "10:00", "10:00", revision=2, of="mara"),
        Visit("a2", "10:00:00.001", "10:00:00.001", of="mara"),
    ]


def test_nothing_is_said_where_nothing_was_known(shop: Story) -> None:
    """
    Known by its first event: no visitor was there to become part of anybody.
    """
    shop.at("10:00").identifies(as_="mara")
    shop.ends()
    assert brought(shop) == []
    assert shop.sessions() == [Visit(ANON, "10:00", "10:00", of="mara")]


def test_a_visit_longer_ago_than_is_set_stays_behind() -> None:
    """
    It ended two days before the link, and becomes the lead's; a millisecond more, and it stays the visitor's, and the
    record says so. That is so whether it is still remembered or has been forgotten for late events.
    """
    for later, sessions, left in (("day 3 09:00", ["21T09:00"], 0), ("day 3 09:00:00.001", [], 1)):
        for forgets in (False, True):
            shop = Story(TWO_DAYS)
            shop.at("09:00").reads()
            if forgets:
                shop.at("day 2 23:00").reads()
            shop.at(later).identifies(as_="mara")
            shop.ends()
            last_visit = ["22T23:00"] if forgets else []
            assert brought(shop) == [("mara", [ANON], sessions + last_visit, left)]
            assert [visit.of for visit in last(shop)][:1] == ["mara" if sessions else ANON]


def test_visits_of_days_before_come_along_too(shop: Story) -> None:
    """
    Of each visit that can be revised no more is told again what was told: pages, links, orders, whatever it was.
    """
    shop.at("09:00").reads("/a", referrer="https://search.example/", session="s1").orders("s1", value=0.1, session="s1")
    shop.at("day 2 09:00").reads("https://shop.example/b", campaign="autumn").views("k1", url="https://shop.example/c")
    shop.at("day 3 09:00").reads("https://shop.example/b", channel="app").reads("https://other.example/", channel="app")
    shop.at("day 5 09:00").reads()
    shop.at("day 6 09:00").reads()
    shop.at("day 8 09:00").identifies(as_="mara")
    assert shop.profile("mara").guests[0].track.past is not None
    shop.ends()
    records = shop.of(SessionRecord)
    lead = records[-1].profile_id
    first = {record.session_id: record for record in records if record.revision == 1 and record.profile_id == ANON}
    again = {record.session_id: record for record in records if record.revision == 2}
    assert len(first) == 5
    assert again == {id_: msgspec.structs.replace(record, profile_id=lead, revision=2) for id_, record in first.items()}


def test_of_many_visits_the_last_twenty_come_along(shop: Story) -> None:
    """
    The first of twenty-one stays behind, and the record says that one did.
    """
    for day in range(1, 22):
        shop.at(f"day {day} 09:00").reads()
    shop.at("day 22 09:00").identifies(as_="mara")
    shop.ends()
    ((_, _, sessions, left),) = brought(shop)
    assert (sessions[0], len(sessions), left) == ("22T09:00", 20, 1)
    assert [visit.of for visit in last(shop)] == [ANON, *["mara"] * 21]


def test_two_browsers_bring_each_its_own(shop: Story) -> None:
    """
    One after the other: each link says what it brings, and nothing is told for another's link.
    """
    shop.at("08:00").reads(by="laptop-1")
    shop.at("08:00").reads(by="phone-1")
    shop.at("09:00").identifies("laptop-1", as_="mara")
    shop.at("10:00").identifies("phone-1", as_="mara")
    shop.ends()
    assert brought(shop) == [("mara", ["laptop-1"], ["21T08:00"], 0), ("mara", ["phone-1"], ["21T08:00"], 0)]
    assert sorted((visit.by, visit.start, visit.revision) for visit in shop.sessions()) == [
        ("laptop-1", "08:00", 1),
        ("laptop-1", "08:00", 2),
        ("laptop-1", "09:00", 1),
        ("phone-1", "08:00", 1),
        ("phone-1", "08:00", 2),
        ("phone-1", "10:00", 1),
    ]
    assert {visit.of for visit in last(shop)} == {"mara"}


def test_leads_who_become_one_bring_all_that_became_theirs(shop: Story) -> None:
    """
    A caller and a laptop of the younger lead are the older one's in the end, revision by revision, what has been
    forgotten for late events too; the older one's own visits are told once.
    """
    shop.at("06:00").reads(by="laptop-1")
    shop.at("08:00").identifies("phone-1", email=MARA)
    shop.at("09:00").calls(PHONE)
    shop.at("09:00").reads(by="laptop-1")
    shop.at("10:00").identifies("laptop-1", as_="mara", phone=PHONE)
    shop.at("day 2 10:00").reads(by="laptop-1")
    younger = shop.of(StitchedRecord)[0].profile_id
    older = next(record.profile_id for record in shop.identity() if record.what == "created")
    shop.at("day 3 10:00").identifies("laptop-1", as_="mara", email=MARA)
    shop.ends()
    caller = caller_key(PHONE)
    told = [(record.profile_id, record.aliases, len(record.sessions)) for record in shop.of(StitchedRecord)]
    assert told == [
        (younger, [caller], 1),
        (younger, ["laptop-1"], 2),
        (older, sorted([younger, caller, "laptop-1"]), 5),
    ]
    records = shop.of(SessionRecord)
    history = [(r.revision, r.profile_id) for r in records if r.channel == "phone"]
    assert history == [(1, caller), (2, younger), (3, older)]
    assert [r.revision for r in records if r.visitor_id == "phone-1"] == [1]
    assert {visit.of for visit in last(shop)} == {"mara"}


def test_a_visitor_known_late_to_a_lead_who_is_another_one_by_then_is_told_for_each_link(shop: Story) -> None:
    """
    The watermark reaches both links at once: the visit is told as the younger lead's, then as the older one's.
    """
    shop.at("08:00").identifies("phone-1", email=MARA)
    shop.at("08:00").reads(by="laptop-1")
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:00:10").identifies("laptop-1", as_="mara", email=MARA)
    assert [visit.revision for visit in shop.sessions()] == [1, 1]
    shop.ends()
    (older,) = {record.profile_id for record in shop.identity() if record.what == "merged"}
    visits = [r for r in shop.of(SessionRecord) if (r.visitor_id, r.started_at[11:16]) == ("laptop-1", "08:00")]
    younger = visits[1].profile_id
    assert [(r.revision, r.profile_id) for r in visits] == [(1, "laptop-1"), (2, younger), (3, older)]
    assert younger not in ("laptop-1", older)


def test_a_late_event_mends_a_visit_that_was_told_again(shop: Story) -> None:
    """
    Its revision is the next, and what was the visitor's is the lead's.
    """
    shop.at("09:00").reads()
    shop.at("10:05").identifies(as_="mara")
    shop.time("10:06")
    shop.at("09:10").reads()
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "09:00", "09:00"),
        Visit(ANON, "09:00", "09:00", revision=2, of="mara"),
        Visit(ANON, "09:00", "09:10", events=2, revision=3, of="mara"),
        Visit(ANON, "10:05", "10:05", of="mara"),
    ]


def test_what_comes_along_is_not_remembered_for_longer(shop: Story) -> None:
    """
    A late event still finds no visit of the day before: it is too late, before the link and after it.
    """
    shop.at("09:00").reads()
    shop.at("day 2 09:00").reads()
    shop.at("day 2 12:00").identifies(as_="mara")
    shop.time("day 2 12:01")
    shop.at("09:10").reads()
    shop.ends()
    assert [record.reason for record in shop.rejected()] == ["too_late"]
    assert [(visit.start, visit.revision) for visit in last(shop)][:1] == [("09:00", 2)]


def test_what_is_too_old_to_come_along_is_given_up() -> None:
    """
    Forty visits, one a day: at any time the profile keeps those of the last two days, and the number of the others.
    """
    shop = Story(TWO_DAYS)
    for day in range(1, 41):
        shop.at(f"day {day} 09:00").identifies(as_="mara")
    shop.time("day 40 10:00")
    past = shop.profile("mara").track.past
    assert past is not None
    assert past.left == 38
    assert [session.ended_at for session in past.sessions()] == [instant("day 39 09:00")]


def test_no_visit_comes_along_where_none_is_to() -> None:
    """
    With `session.stitch: 0` nothing is kept, nothing told again, and no record of it.
    """
    shop = Story(Settings(session=SessionSettings(stitch_ms=0)))
    shop.at("09:00").reads()
    shop.at("day 2 09:00").reads()
    shop.at("day 3 09:00").identifies(as_="mara")
    assert shop.profile("mara").guests[0].track.past is None
    shop.ends()
    assert brought(shop) == []
    assert [(visit.of, visit.revision) for visit in shop.sessions()] == [(ANON, 1), (ANON, 1), ("mara", 1)]


@pytest.mark.parametrize("arrival", [*permutations(("signs in", "adds", "signs in again"))])
def test_a_visitor_is_known_from_the_first_word_on_whichever_comes_first(shop: Story, arrival: tuple[str, ...]) -> None:
    """
    Two logins and a cart between them, sent off within milliseconds, come in any order: the cart is the lead's.
    """
    happens = {
        "signs in": lambda: shop.at("10:00:00.001").identifies(as_="mara", email=MARA),
        "adds": lambda: shop.at("10:00:00.002").adds("kettle"),
        "signs in again": lambda: shop.at("10:00:00.003").identifies(as_="mara", email=MARA),
    }
    shop.at("10:00").reads()
    for what in arrival:
        happens[what]()
    shop.ends()
    assert [(news.state, news.of) for news in shop.carts()] == [("open", "mara"), ("abandoned", "mara")]
