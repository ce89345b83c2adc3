"""Whoever does more within a minute than a person does is a bot for a while: in no session, and no trigger's cause."""

import pytest

from config.settings import Settings
from config.traffic import TrafficSettings
from operators.profile_state import pack, unpack
from operators.screened import ScreenedEvent
from tests.story import ANON, Held, Story, Visit

HOUR = 3_600_000


@pytest.fixture
def shop() -> Story:
    """A shop where three events a minute are a person's, and who is faster is a bot for an hour."""
    return Story(Settings(traffic=TrafficSettings(rate_max=3, rate_ban_ms=HOUR)))


def screened(shop: Story) -> int:
    return len(shop.of(ScreenedEvent))


def test_as_many_as_a_person_does_are_a_person_s(shop: Story) -> None:
    """
    Three in each of two minutes that follow each other, though six lie within seconds: minutes are those of the clock.
    """
    for time in ("10:00:57", "10:00:58", "10:00:59", "10:01", "10:01:01", "10:01:02"):
        shop.at(time).reads()
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00:57", "10:01:02", events=6)]
    assert screened(shop) == 0


def test_one_more_is_a_bot_s(shop: Story) -> None:
    """
    Its visit and its cart go without a word, and nothing is decided any more; the events before did count.
    """
    shop.at("10:00").adds("kettle").reads().reads().reads()
    shop.at("10:01").orders("kettle").views("p1").views("p1").views("p1")
    shop.ends()
    assert shop.sessions() == []
    assert shop.carts() == []
    assert shop.news() == []
    assert shop.profiles() == []
    assert shop.of(ScreenedEvent) == [ScreenedEvent("rate", "")] * 5


def test_a_visit_of_before_stays(shop: Story) -> None:
    """
    What was over by then has been told, and stands.
    """
    shop.at("08:00").reads()
    shop.at("10:00").reads().reads().reads().reads()
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "08:00", "08:00")]


@pytest.mark.parametrize(("time", "visits"), [("10:59:59.999", 0), ("11:00", 1)])
def test_a_bot_is_one_for_an_hour(shop: Story, time: str, visits: int) -> None:
    """
    From the beginning of the minute in which it was too fast; then it is somebody new, whom nobody welcomes back.
    """
    shop.at("10:00:30").reads().reads().reads().reads()
    shop.at(time).reads()
    shop.ends()
    assert [visit.start for visit in shop.sessions()] == [time] * visits
    assert shop.news() == []


def test_a_bot_that_goes_on_stays_one(shop: Story) -> None:
    """
    While it is one it is counted on, so the hour begins anew; at a person's pace it does not.
    """
    shop.at("10:00").reads().reads().reads().reads()
    shop.at("10:30").reads().reads().reads().reads()
    shop.at("10:50").reads().reads().reads()
    shop.at("11:29:59").reads()
    shop.at("11:30").reads()
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "11:30", "11:30")]
    assert screened(shop) == 1 + 4 + 3 + 1


def test_the_minute_before_is_counted_too(shop: Story) -> None:
    """
    What comes out of order within the lateness counts in the minute in which it happened.
    """
    shop.at("10:00:58").reads().reads().reads()
    shop.at("10:01:10").reads()
    shop.at("10:00:59").reads()
    shop.ends()
    assert shop.sessions() == []
    assert screened(shop) == 1


def test_what_is_older_is_not(shop: Story) -> None:
    """
    A phone that was off sends all at once what happened over hours: that is nobody's hurry.
    """
    shop.at("10:00").reads().reads().reads()
    shop.at("10:02").reads()
    shop.at("10:00:01").reads()
    shop.ends()
    assert screened(shop) == 0
    assert sum(visit.events for visit in shop.sessions()) == 5


def test_people_are_counted_each_by_themselves(shop: Story) -> None:
    """
    Two visitors at a person's pace are two people.
    """
    for by in ("a1", "a2"):
        shop.at("10:00").reads(by=by).reads(by=by).reads(by=by)
    shop.ends()
    assert [(visit.by, visit.events) for visit in shop.sessions()] == [("a1", 3), ("a2", 3)]


def test_a_lead_does_not_inherit_a_bot(shop: Story) -> None:
    """
    Who logs in on the bot's device is a person, whose own events count; what the bot did is nobody's.
    """
    shop.at("10:00").adds("kettle").reads().reads().reads()
    shop.at("10:05").identifies(as_="mara").reads().reads()
    shop.ends()
    assert [(visit.of, visit.start, visit.events) for visit in shop.sessions()] == [("mara", "10:05", 3)]
    assert shop.carts() == []


def test_a_lead_is_counted_by_its_own_events(shop: Story) -> None:
    """
    Three as a visitor and three as a lead within a minute are a person's; a fourth of the lead's is not.
    """
    shop.at("10:00").reads().reads().reads()
    shop.at("10:00:10").identifies(as_="mara").reads().reads()
    assert screened(shop) == 0
    shop.at("10:00:11").reads()
    assert screened(shop) == 1


def test_what_a_lead_has_said_stays(shop: Story) -> None:
    """
    The rule may be wrong about somebody: who refused e-mail before, or while a bot, is not written to afterwards.
    """
    shop.at("09:00").identifies(as_="mara", email="mara@example.org")
    shop.at("09:01").opts_out(channel="sms")
    shop.at("09:02").reads().reads().reads().reads()
    shop.at("09:10").opts_out(channel="email")
    shop.at("12:00").adds("kettle")
    shop.ends()
    assert [(cart.state, cart.at) for cart in shop.carts()] == [("open", "12:00"), ("abandoned", "12:30")]
    assert shop.news() == [Held("mara", "cart_abandoned", "12:30", "consent")]
    consents = shop.profile("mara").track.memory.consents
    assert {name: refused for name, (_, refused) in consents.words.items()} == {"sms:": True, "email:": True}


def test_the_rule_can_be_off() -> None:
    """
    With `rate_max: 0` any number is a person's.
    """
    shop = Story(Settings(traffic=TrafficSettings(rate_max=0)))
    for _ in range(1_000):
        shop.at("10:00").reads()
    shop.ends()
    assert [visit.events for visit in shop.sessions()] == [1_000]


def test_a_person_at_rest_costs_nothing_for_it(shop: Story) -> None:
    """
    Whose last minute had one event has not a byte for the rule; what is kept of others comes back as it was.
    """
    shop.at("10:00:30").reads()
    profile = shop.profile(ANON)
    raw = pack(ANON, profile)
    profile.count = 0
    assert len(raw) < len(pack(ANON, profile))
    shop.at("10:00:31").reads()
    shop.at("10:01").reads().reads().reads().reads()
    profile = unpack(ANON, pack(ANON, shop.profile(ANON)))
    until = profile.last_at + HOUR
    assert (profile.count, profile.count_before, profile.bot_until) == (4, 2, until)
    assert profile.minute * 60_000 == profile.last_at
