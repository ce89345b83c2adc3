"""What is known of who is not known yet, and how it ends. Mission table, rows 1 and 2."""

import pytest

from operators.contacts import KEPT_MIN
from operators.profile_record import ProfileRecord
from tests.journeys import book
from tests.story import ANON, DAY_1, Story, Visit

DAY = 86_400_000


def test_an_anonymous_visitor_leaves_footprints(shop: Story) -> None:
    """
    Page A for 40 s, B for 5 s, A again, a search for "sofa": one profile, nobody known, all of it kept.
    """
    shop.at("10:00").reads("https://shop.example/a?utm=1")
    shop.at("10:00:40").reads("https://shop.example/b")
    shop.at("10:00:45").reads("https://shop.example/a#top")
    shop.at("10:01").searches("sofa").leaves()
    footprint = shop.profile(ANON).footprint
    ten = DAY_1 + 10 * 3_600_000
    assert [(path, page.visits, page.dwell_ms, page.last_at - ten) for path, page in footprint.pages.items()] == [
        ("/b", 1, 5_000, 40_000),
        ("/a", 2, 55_000, 45_000),
    ]
    assert list(footprint.searches) == ["sofa"]
    assert len(shop.loop.visitors.profiles()) == 1
    assert shop.loop.leads.profiles() == []


def test_leaving_a_page_ends_its_dwell(shop: Story) -> None:
    """
    What comes after the page was left does not count for it.
    """
    shop.at("10:00").reads("/a")
    shop.at("10:00:40").leaves()
    shop.at("10:20").searches("sofa")
    assert shop.profile(ANON).footprint.pages["/a"].dwell_ms == 40_000


def test_leaving_one_page_does_not_end_the_next(shop: Story) -> None:
    """
    A browser tells that it left A when B is already there; B's time runs on.
    """
    shop.at("10:00").reads("/a")
    shop.at("10:00:40").reads("/b")
    shop.at("10:00:39").leaves(url="/a")
    shop.at("10:00:50").reads("/c")
    assert shop.profile(ANON).footprint.pages["/b"].dwell_ms == 10_000


@pytest.mark.parametrize(("back", "dwell_ms"), [("10:30", 1_800_000), ("10:30:00.001", 0)])
def test_a_page_left_open_over_lunch_was_not_read(shop: Story, back: str, dwell_ms: int) -> None:
    """
    Half an hour is believed, more is not.
    """
    shop.at("10:00").reads("/a")
    shop.at(back).reads("/b")
    assert shop.profile(ANON).footprint.pages["/a"].dwell_ms == dwell_ms


def test_interest_follows_what_is_looked_at(shop: Story) -> None:
    """
    Four sofas and a lamp: sofas lead.
    """
    shop.at("10:00").views("s1", category="sofa").views("l1", category="lamp")
    shop.at("10:01").views("s2", category="sofa").views("s1", category="sofa").views("s3", category="sofa")
    categories = shop.profile(ANON).footprint.categories
    assert max(categories, key=lambda name: categories[name].score) == "sofa"


def test_a_profile_that_is_over_says_so(shop: Story) -> None:
    """
    Thirty days after the last event of an anonymous visitor: one last record, and nothing is left.
    """
    shop.at("10:00").views("s1", category="sofa")
    shop.at("day 2 10:00").views("s1", category="sofa")
    shop.at("day 31 09:00").reads(by="anon-8")
    shop.at("day 32 09:59:59.999").reads(by="anon-8")
    shop.time("day 32 09:59:59.999")
    assert shop.profiles() == []
    shop.at("day 32 10:00").reads(by="anon-8")
    shop.time("day 32 10:00")
    assert shop.profiles() == [
        ProfileRecord(
            profile_id=ANON,
            state="expired",
            anonymous_ids=[ANON],
            known=False,
            first_seen_at="2026-11-21T10:00:00.000Z",
            last_seen_at="2026-11-22T10:00:00.000Z",
            visits=2,
            top_category="sofa",
        )
    ]
    assert [key for key, _ in shop.loop.visitors.profiles()] == ["anon-8"]


@pytest.mark.parametrize(("back", "visits"), [("day 31 10:00", 2), ("day 31 10:00:00.001", 1)])
def test_who_comes_back_after_the_end_is_new(shop: Story, back: str, visits: int) -> None:
    """
    Exactly at the end of the retention the profile goes on; a millisecond later another begins, whether or
    not a sweep came by in between.
    """
    shop.at("10:00").reads()
    shop.at(back).reads()
    assert shop.profile(ANON).visits == visits
    assert len(shop.profiles()) == 2 - visits


def test_a_profile_ends_with_all_its_last_words(shop: Story) -> None:
    """
    The visit that was open is published before the profile's last record.
    """
    shop.at("10:00").reads()
    shop.at("day 40 10:00").reads()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:00")]
    assert [type(record).__name__ for record in shop.loop.records] == ["SessionRecord", "ProfileRecord"]


def test_a_lead_is_kept_longer(shop: Story) -> None:
    """
    Four hundred days for who is known, by whatever name.
    """
    shop.at("10:00").identifies(as_="mara")
    shop.at("day 401 09:00").reads(by="anon-8")
    assert shop.profiles() == []
    shop.at("day 401 10:00:31").reads(by="anon-8")
    (record,) = [record for record in shop.profiles() if record.profile_id != "anon-8"]
    assert (record.known, record.anonymous_ids) == (True, [ANON])


def test_an_interest_of_long_ago_does_not_lead(shop: Story) -> None:
    """
    Four sofas four weeks ago weigh a quarter of a view; three lamps of today lead.
    """
    for product in ("s1", "s2", "s3", "s4"):
        shop.at("10:00").views(product, category="sofa")
    for product in ("l1", "l2", "l3"):
        shop.at("day 29 10:00").views(product, category="lamp")
    shop.at("day 90 10:00").reads()
    assert [record.top_category for record in shop.profiles()] == ["lamp"]


def test_memory_of_offers_is_bounded() -> None:
    """
    Whoever looks at everything, again and again, does not make a state that grows for ever: the offers of
    longest ago are forgotten.
    """
    shop = Story(book=book(offer_views=1, offer_cooldown="1d", abandonment_cooldown="1d", returning_cooldown="1d"))
    for day in range(2, 42):
        shop.at(f"day {day} 10:00").views(f"p{day}").views(f"q{day}")
    memory = shop.profile(ANON).track.memory
    lines = memory.contacts.lines
    assert max(len(line.entries) for line in lines.values()) <= KEPT_MIN


def test_carts_that_are_over_are_forgotten(shop: Story) -> None:
    """
    A cart bought a year ago is not carried along for ever.
    """
    shop.at("10:00").identifies(as_="mara")
    shop.at("10:00").adds("kettle", cart="old").orders(cart="old")
    for month in range(1, 13):
        shop.at(f"day {1 + 30 * month} 10:00").adds("kettle", cart="new").empties("new")
    assert [cart.cart_id for cart in shop.profile("mara").track.carts.carts] == ["new"]
