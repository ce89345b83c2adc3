"""Footprints add up, in any order, within their limits."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.event import Commerce, Event, Item
from operators.footprint import Footprint, FootprintTracker, unpack
from operators.rules import FootprintRules
from tests.story import DAY_1

HOUR = 3_600_000
DAY = 24 * HOUR
RULES = FootprintRules(pages_max=3, products_max=3, categories_max=3, searches_max=3)

acts = st.lists(
    st.tuples(st.integers(0, 60 * DAY), st.sampled_from(["page", "product", "search"]), st.integers(0, 6)),
    max_size=15,
)


def footprint_of(told: list[tuple[int, str, int]], rules: FootprintRules = RULES) -> Footprint:
    tracker, footprint = FootprintTracker(rules), Footprint()
    for at, kind, number in sorted(told):
        event = Event("page_viewed", DAY_1 + at, "e", "web", "a", url=f"/{number}")
        if kind == "product":
            item = Item(f"p{number}", category=f"c{number}")
            event = Event("product_viewed", DAY_1 + at, "e", "web", "a", commerce=Commerce((item,)))
        elif kind == "search":
            event = Event("searched", DAY_1 + at, "e", "web", "a", query=f"q{number}")
        tracker.add(footprint, event)
    return footprint


def union(a: Footprint, b: Footprint, rules: FootprintRules = RULES) -> Footprint:
    whole = unpack(a.pack(DAY_1), DAY_1)
    FootprintTracker(rules).union(whole, unpack(b.pack(DAY_1), DAY_1))
    return whole


def products(footprint: Footprint) -> dict[str, tuple[int, int]]:
    """How often each product was viewed, and when last."""
    return {product_id: (product.views, product.last_at) for product_id, product in footprint.products.items()}


def assert_alike(a: Footprint, b: Footprint) -> None:
    """Equal up to the rounding of scores and the order of entries."""
    assert {path: (p.visits, p.dwell_ms, p.last_at) for path, p in a.pages.items()} == {
        path: (p.visits, p.dwell_ms, p.last_at) for path, p in b.pages.items()
    }
    assert (products(a), a.searches) == (products(b), b.searches)
    assert (a.open and a.open.path, a.open_at) == (b.open and b.open.path, b.open_at)
    assert a.categories.keys() == b.categories.keys()
    for category, interest in a.categories.items():
        other = b.categories[category]
        assert interest.at == other.at
        assert math.isclose(interest.score, other.score, rel_tol=1e-9, abs_tol=1e-12)


@settings(max_examples=300)
@given(acts, acts)
def test_footprints_of_two_devices_add_up_either_way(
    a: list[tuple[int, str, int]], b: list[tuple[int, str, int]]
) -> None:
    """
    Which of the two is added to the other makes no difference, also where both are full.
    """
    one, other = footprint_of(a), footprint_of(b)
    assert_alike(union(one, other), union(other, one))


@settings(max_examples=300)
@given(acts, acts)
def test_within_the_limits_footprints_add_up_to_those_of_one_device(
    a: list[tuple[int, str, int]], b: list[tuple[int, str, int]]
) -> None:
    """
    Two devices, one after the other, have seen what one device would have. (Dwell is each device's own.)
    """
    wide = FootprintRules()
    whole = union(footprint_of(a, wide), footprint_of(b, wide), wide)
    one = footprint_of(a + b, FootprintRules(categories_max=100))
    assert {p: (v.visits, v.last_at) for p, v in whole.pages.items()} == {
        p: (v.visits, v.last_at) for p, v in one.pages.items()
    }
    assert products(whole) == products(one)
    assert whole.searches.items() <= one.searches.items() or len(one.searches) == wide.searches_max


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_interest_halves_every_week(order: tuple[int, int]) -> None:
    """
    A view a week ago weighs half of one today, whichever is told first.
    """
    events = [
        Event("product_viewed", DAY_1 + at, "e", "web", "a", commerce=Commerce((Item("p", category="c"),)))
        for at in (0, 7 * DAY)
    ]
    tracker, footprint = FootprintTracker(RULES), Footprint()
    for number in order:
        tracker.add(footprint, events[number])
    assert footprint.categories["c"].score == pytest.approx(1.5)
    assert footprint.categories["c"].at == DAY_1 + 7 * DAY


def test_the_unseen_for_longest_goes_first() -> None:
    """
    Three pages fit; a fourth pushes out the one last seen before all others.
    """
    footprint = footprint_of([(0, "page", 0), (1, "page", 1), (2, "page", 2), (3, "page", 0), (4, "page", 3)])
    assert sorted(footprint.pages) == ["/0", "/2", "/3"]


def test_the_third_view_is_the_third() -> None:
    """
    Views are counted by product.
    """
    tracker, footprint = FootprintTracker(RULES), Footprint()
    events = [
        Event("product_viewed", DAY_1 + n, "e", "web", "a", commerce=Commerce((Item(p),)))
        for n, p in enumerate(["p1", "p1", "p2", "p1"])
    ]
    assert [tracker.add(footprint, event) for event in events] == [1, 2, 1, 3]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://shop.example/a/b?x=1#top", "/a/b"),
        ("https://shop.example", "/"),
        ("https://shop.example?x=/y", "/"),
        ("/a#top", "/a"),
        ("/a?x=http://other/b", "/a"),
    ],
)
def test_a_page_is_its_path(url: str, path: str) -> None:
    """
    Host, query and fragment do not make another page.
    """
    tracker, footprint = FootprintTracker(RULES), Footprint()
    tracker.add(footprint, Event("page_viewed", DAY_1, "e", "web", "a", url=url))
    assert list(footprint.pages) == [path]
