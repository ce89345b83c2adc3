"""What comes after its time: a session is mended or the event is put aside, and no other session is touched."""

import pytest

from config.settings import Settings
from operators.session_record import SessionRecord
from tests.story import ANON, Story, Visit


def test_a_late_event_mends_its_published_visit(shop: Story) -> None:
    """
    The visit is published again with the next revision and the same id.
    """
    shop.at("10:00").reads()
    shop.time("10:45")
    shop.at("10:10").reads()
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "10:00", "10:00"),
        Visit(ANON, "10:00", "10:10", events=2, revision=2),
    ]
    first, second = shop.of(SessionRecord)
    assert first.session_id == second.session_id


def test_a_late_event_is_never_folded_into_the_next_visit(shop: Story) -> None:
    """
    With the next visit already open, the late event still counts in the one it belongs to.
    """
    shop.at("10:00").reads()
    shop.at("11:00").reads()
    shop.at("10:10").reads()
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "10:00", "10:00"),
        Visit(ANON, "10:00", "10:10", events=2, revision=2),
        Visit(ANON, "11:00", "11:00"),
    ]


def test_a_late_event_may_be_a_visit_of_its_own(shop: Story) -> None:
    """
    Far enough from every other event it is neither of the visits beside it.
    """
    shop.at("09:00").reads()
    shop.at("11:00").reads()
    shop.at("10:00").reads()
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "09:00", "09:00"),
        Visit(ANON, "10:00", "10:00"),
        Visit(ANON, "11:00", "11:00"),
    ]


def test_a_late_event_that_bridges_a_published_and_an_open_visit_makes_one(shop: Story) -> None:
    """
    The open one was never published, so the published one goes on as if it had been one all the time.
    """
    shop.at("10:00").reads()
    shop.at("10:50").reads()
    shop.at("10:25").reads()
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "10:00", "10:00"),
        Visit(ANON, "10:00", "10:50", events=3, revision=2),
    ]


def test_a_late_event_that_bridges_two_published_visits_merges_them(shop: Story) -> None:
    """
    The later one's last word is that it was merged, with no events; the earlier one has them all. The
    highest revisions alone therefore count each event once.
    """
    shop.at("10:00").reads()
    shop.at("10:50").reads()
    shop.time("11:30")
    shop.at("10:25").reads()
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "10:00", "10:00"),
        Visit(ANON, "10:50", "10:50"),
        Visit(ANON, "10:50", "10:50", events=0, revision=2, state="merged"),
        Visit(ANON, "10:00", "10:50", events=3, revision=2),
    ]
    first, second, merged, whole = shop.of(SessionRecord)
    assert (first.session_id, second.session_id) == (whole.session_id, merged.session_id)
    assert merged.merged_into == whole.session_id


@pytest.mark.parametrize(
    ("at", "is_rejected"),
    [("day 2 10:00", False), ("day 2 09:59:59.999", True)],
)
def test_an_event_a_day_late_is_too_late(shop: Story, at: str, is_rejected: bool) -> None:  # noqa: FBT001
    """
    Exactly a day behind is still somebody's first visit; a millisecond more goes to the dead letters, with
    where it came from and what it was.
    """
    shop.at("day 3 10:00").reads(by="anon-8")
    shop.time("day 3 10:00")
    shop.at(at).reads(partition="shop", event_id="late-1")
    shop.ends()
    visits = [visit for visit in shop.sessions() if visit.by == ANON]
    assert visits == ([] if is_rejected else [Visit(ANON, at, at)])
    rejected = [(r.reason, r.stage, r.partition, r.position, r.event_id) for r in shop.rejected()]
    assert rejected == ([("too_late", "profile", "shop", 2, "late-1")] if is_rejected else [])


def test_an_event_of_a_visit_that_is_forgotten_is_too_late(shop: Story) -> None:
    """
    Two hours after its end a visit can no longer be mended, so what belongs to it is put aside instead of being
    published as a second visit over the first.
    """
    shop.at("10:00").reads()
    shop.at("10:20").reads()
    shop.at("15:00").reads()
    shop.time("16:00")
    shop.at("10:10").reads()
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:20", events=2), Visit(ANON, "15:00", "15:00")]
    assert [rejected.reason for rejected in shop.rejected()] == ["too_late"]


def test_a_visit_is_remembered_for_as_long_as_an_event_may_still_join_it(shop: Story) -> None:
    """
    What is late by less than a session's memory finds the session within whose gap it lies: no two published
    visits of one visitor are nearer than the gap.
    """
    shop.at("10:00").reads()
    shop.at("11:35").reads(channel="app")
    shop.time("12:10")
    shop.at("10:20").reads()
    shop.ends()
    assert [visit for visit in shop.sessions() if visit.channel == "web"] == [
        Visit(ANON, "10:00", "10:00"),
        Visit(ANON, "10:00", "10:20", events=2, revision=2),
    ]


def test_what_is_late_for_others_is_in_time_for_the_allowed_lateness(shop: Story) -> None:
    """
    An event exactly as late as is allowed is not late: nothing had been closed without it.
    """
    assert Settings().source.lateness_ms == 30_000
    shop.at("10:00").reads()
    shop.at("10:30:30").reads(by="anon-8")
    shop.at("10:30").reads()
    shop.ends()
    assert [visit for visit in shop.sessions() if visit.by == ANON] == [Visit(ANON, "10:00", "10:30", events=2)]


def test_a_late_order_takes_back_the_reminder(shop: Story) -> None:
    """
    The order was in time and its record was not: the cart is recovered, by the record that names the reminder.
    """
    shop.at("10:00").identifies(as_="mara", email="mara@example.org").adds("kettle")
    shop.time("10:45")
    shop.at("10:20").orders("kettle", cart="c1")
    shop.ends()
    states = [(news.state, news.at) for news in shop.carts()]
    assert states == [("open", "10:00"), ("abandoned", "10:30"), ("recovered", "10:20")]


def test_a_late_addition_to_a_bought_cart_opens_nothing(shop: Story) -> None:
    """
    What was put into the cart before the order was bought with it, whenever that is told.
    """
    shop.at("10:00").adds("kettle")
    shop.at("10:20").orders(cart="c1")
    shop.time("10:45")
    shop.at("10:10").adds("cup")
    shop.ends()
    assert [(news.state, news.at) for news in shop.carts()] == [("open", "10:00"), ("purchased", "10:20")]
