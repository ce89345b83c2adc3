"""Where a visit begins and ends, and what is told of it."""

import pytest

from config.settings import Settings
from config.visits import GapSettings, SessionSettings
from operators.session_record import SessionRecord
from tests.story import ANON, Story, Visit

MINUTE = 60_000
HOUR = 60 * MINUTE


def test_a_pause_of_exactly_the_gap_stays_in_the_visit(shop: Story) -> None:
    """
    Thirty minutes to the millisecond are no new visit; it closes another thirty after the last event.
    """
    shop.at("10:00").reads()
    shop.at("10:30").reads()
    shop.time("10:59:59.999")
    assert shop.sessions() == []

    shop.time("11:00")
    assert shop.sessions() == [Visit(ANON, "10:00", "10:30", events=2)]


def test_a_pause_a_millisecond_longer_is_a_new_visit(shop: Story) -> None:
    """
    One millisecond past the gap the visit is over, and the next begins.
    """
    shop.at("10:00").reads()
    shop.at("10:30:00.001").reads()
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:00"), Visit(ANON, "10:30:00.001", "10:30:00.001")]


def test_each_channel_has_its_own_gap() -> None:
    """
    With ten minutes for the app and thirty for the web, the same pause splits one and not the other.
    """
    shop = Story(Settings(session=SessionSettings(gap=GapSettings(app_ms=10 * MINUTE))))
    shop.at("10:00").reads().reads(channel="app")
    shop.at("10:10").reads(channel="app")
    shop.at("10:20:00.001").reads().reads(channel="app")
    shop.ends()
    assert sorted(shop.sessions(), key=lambda visit: (visit.channel, visit.start)) == [
        Visit(ANON, "10:00", "10:10", events=2, channel="app"),
        Visit(ANON, "10:20:00.001", "10:20:00.001", channel="app"),
        Visit(ANON, "10:00", "10:20:00.001", events=2),
    ]


def test_a_channel_that_nobody_visits_makes_no_session(shop: Story) -> None:
    """
    An opened e-mail neither is a visit nor prolongs one.
    """
    shop.at("10:00").reads()
    shop.at("10:20").happens("email_opened", ANON, channel="email")
    shop.at("10:40").reads()
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:00"), Visit(ANON, "10:40", "10:40")]


def test_two_visitors_never_share_a_visit(shop: Story) -> None:
    """
    What two browsers do at the same time is two visits.
    """
    shop.at("10:00").reads().reads(by="anon-8")
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "10:00", "10:00"),
        Visit("anon-8", "10:00", "10:00", of="anon-8"),
    ]


def test_a_visit_across_midnight_is_one(shop: Story) -> None:
    """
    The date does not end a visit.
    """
    shop.at("23:50").reads()
    shop.at("day 2 00:10").reads()
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "23:50", "day 2 00:10", events=2)]


def test_different_client_session_ids_are_different_visits(shop: Story) -> None:
    """
    A client that says a new session has begun is believed, however short the pause.
    """
    shop.at("10:00").reads(session="s1")
    shop.at("10:01").reads(session="s2")
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:00"), Visit(ANON, "10:01", "10:01")]


def test_the_same_client_session_id_goes_on_after_a_pause(shop: Story) -> None:
    """
    What the pause had closed is published again, whole, as the same session's second revision.
    """
    shop.at("10:00").reads(session="s1")
    shop.at("10:45").reads(session="s1")
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "10:00", "10:00"),
        Visit(ANON, "10:00", "10:45", events=2, revision=2),
    ]
    assert len({record.session_id for record in shop.of(SessionRecord)}) == 1


def test_a_client_session_id_is_honoured_whatever_else_the_visitor_does(shop: Story) -> None:
    """
    Three hours' pause give one session id on a device that does nothing else; a glance at the app in
    between changes nothing of that.
    """
    shop.at("10:00").reads(session="s1")
    shop.at("12:25").reads(channel="app")
    shop.at("13:00").reads(session="s1")
    shop.ends()
    web = [record for record in shop.of(SessionRecord) if record.channel == "web"]
    assert len({record.session_id for record in web}) == 1


def test_a_client_session_id_counts_with_its_visitor_only(shop: Story) -> None:
    """
    Two browsers whose clients number sessions alike keep their own.
    """
    shop.at("10:00").reads(session="1").reads(by="anon-8", session="1")
    shop.ends()
    assert len({record.session_id for record in shop.of(SessionRecord)}) == 2


@pytest.mark.parametrize(
    ("last", "visits"),
    [
        ("day 2 00:00", [Visit(ANON, "00:00", "day 2 00:00", events=97)]),
        (
            "day 2 00:00:00.001",
            [
                Visit(ANON, "00:00", "23:45", events=96),
                Visit(ANON, "day 2 00:00:00.001", "day 2 00:00:00.001"),
            ],
        ),
    ],
)
def test_no_visit_is_longer_than_a_day(shop: Story, last: str, visits: list[Visit]) -> None:
    """
    A tab that refreshes itself every quarter of an hour: exactly 24 hours are one visit, what is later is
    the next.
    """
    for quarter in range(96):
        shop.at(f"{quarter // 4:02d}:{quarter % 4 * 15:02d}").reads()
    shop.at(last).reads()
    shop.ends()
    assert shop.sessions() == visits


def test_a_visit_is_told_whole(shop: Story) -> None:
    """
    Entry, exit, campaign, pages, products, duration, conversion and order value are all in the record.
    """
    shop.at("10:00").reads("/sofas", referrer="https://search", campaign="autumn")
    shop.at("10:02").views("sofa", url="/sofas/1", campaign="winter")
    shop.at("10:05").orders("sofa", value=499.90, url="/thanks")
    shop.ends()
    (record,) = shop.of(SessionRecord)
    assert record == SessionRecord(
        session_id=record.session_id,
        visitor_id=ANON,
        profile_id=ANON,
        channel="web",
        state="closed",
        started_at="2026-11-21T10:00:00.000Z",
        ended_at="2026-11-21T10:05:00.000Z",
        duration_ms=5 * MINUTE,
        events=3,
        pages=1,
        products=1,
        entry_url="/sofas",
        exit_url="/thanks",
        referrer="https://search",
        campaign="autumn",
        bounced=False,
        converted=True,
        orders=1,
        order_value=499.90,
        currency="EUR",
        client_session_id="",
        merged_into="",
        revision=1,
    )


@pytest.mark.parametrize(
    ("second", "is_bounced"),
    [("10:00:09.999", True), ("10:00:10", False)],
)
def test_a_visit_of_ten_seconds_is_no_bounce(shop: Story, second: str, is_bounced: bool) -> None:  # noqa: FBT001
    """
    One page and less than ten seconds is a bounce; ten seconds are engaged. All events count, not pages only.
    """
    shop.at("10:00").reads()
    shop.at(second).searches("sofa")
    shop.ends()
    assert [record.bounced for record in shop.of(SessionRecord)] == [is_bounced]


def test_two_pages_or_an_order_are_no_bounce(shop: Story) -> None:
    """
    However short the visit.
    """
    shop.at("10:00").reads().reads()
    shop.at("10:00").orders("sofa", by="anon-8", value=1.0)
    shop.ends()
    assert [record.bounced for record in shop.of(SessionRecord)] == [False, False]


def test_disorder_within_the_lateness_makes_one_visit(shop: Story) -> None:
    """
    An event that bridges two open runs makes one visit of them: one close, and no trace of two.
    """
    shop.at("10:00").reads()
    shop.at("10:30:20").reads()
    shop.at("10:29:50").reads()
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:30:20", events=3)]
