"""Footprints: what a profile has looked at, within limits, whatever the order of its events.

Visits, views and dwell are sums, "last" instants are maxima and interest is a decayed sum, so that
footprints of two devices add up in any order. Each list is in the order in which its entries were last
seen; where it is full, the first goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from operators.event import Event

# Half of an interest is gone after a week: long enough to span a weekend between two visits,
# short enough that last month's gift for somebody else does not lead (a judgement; configurable).
INTEREST_HALF_LIFE_MS: Final = 7 * 86_400_000

# A page left open over lunch was not read for an hour: longer stays count as the inactivity gap.
DWELL_MS_MAX: Final = 30 * 60_000

# Longer searches are sentences; what they were about shows in the beginning.
QUERY_CHARS_MAX: Final = 80

V = TypeVar("V")


class FootprintRules(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a footprint is kept. Ten pages are what an agent's screen shows (mission row 12)."""

    enabled: bool = True
    pages_max: int = 10
    products_max: int = 10
    categories_max: int = 5
    searches_max: int = 5
    interest_half_life_ms: int = INTEREST_HALF_LIFE_MS


class Page(msgspec.Struct, array_like=True, gc=False):
    """A page by its path: number of visits, milliseconds spent, instant of the last visit."""

    visits: int
    dwell_ms: int
    last_at: int


class Product(msgspec.Struct, array_like=True, gc=False):
    """A product by its id: number of views, instant of the last one."""

    views: int
    last_at: int


class Interest(msgspec.Struct, array_like=True, gc=False):
    """A category's score as it stood at `at`; it halves every half-life from there."""

    score: float
    at: int


class Footprint(msgspec.Struct, array_like=True, gc=False):
    """All of it. `open_page` and `open_at` name the page whose dwell is still running."""

    pages: dict[str, Page] = {}
    products: dict[str, Product] = {}
    categories: dict[str, Interest] = {}
    searches: dict[str, int] = {}
    open_page: str = ""
    open_at: int = 0


class FootprintTracker:
    """The rules at work on one profile's footprint."""

    def __init__(self, rules: FootprintRules) -> None:
        """Keep `rules`; the tracker itself has no state."""
        self._rules = rules

    def add(self, footprint: Footprint, event: Event) -> int:
        """Add `event`; return how often the product it shows has been viewed, 0 if it shows none."""
        kind = event.kind
        if kind == "page_viewed" or kind == "screen_viewed":
            self._visit(footprint, event)
        elif kind == "product_viewed":
            return self._view(footprint, event)
        elif kind == "searched":
            self._search(footprint, event)
        elif kind == "page_left":
            self._leave(footprint, event)
        return 0

    def union(self, footprint: Footprint, other: Footprint) -> None:
        """Add the footprint of a profile that turned out to be the same person."""
        rules = self._rules
        for path, page in other.pages.items():
            mine = footprint.pages.get(path)
            if mine is None:
                footprint.pages[path] = page
            else:
                mine.visits += page.visits
                mine.dwell_ms += page.dwell_ms
                mine.last_at = max(mine.last_at, page.last_at)
        for product_id, product in other.products.items():
            seen = footprint.products.get(product_id)
            if seen is None:
                footprint.products[product_id] = product
            else:
                seen.views += product.views
                seen.last_at = max(seen.last_at, product.last_at)
        for category, interest in other.categories.items():
            self._interest(footprint.categories, category, interest.score, interest.at)
        self._keep_strongest(footprint.categories)
        for query, at in other.searches.items():
            footprint.searches[query] = max(at, footprint.searches.get(query, 0))
        footprint.pages = _newest(footprint.pages, lambda page: page.last_at, rules.pages_max)
        footprint.products = _newest(footprint.products, lambda product: product.last_at, rules.products_max)
        footprint.searches = _newest(footprint.searches, lambda at: at, rules.searches_max)
        if (other.open_at, other.open_page) > (footprint.open_at, footprint.open_page):
            footprint.open_page, footprint.open_at = other.open_page, other.open_at

    def top_category(self, footprint: Footprint) -> str:
        """Return the category of the strongest interest, "" where there is none."""
        categories = footprint.categories
        if not categories:
            return ""
        strength = self._strength(categories)
        return max(categories, key=lambda c: (strength(c), c))

    def _visit(self, footprint: Footprint, event: Event) -> None:
        at, pages, url = event.at, footprint.pages, event.url
        path = _path(url)
        if at >= footprint.open_at:
            self._close_page(footprint, at)
            footprint.open_page, footprint.open_at = path, at
        page = pages.pop(path, None)
        if page is None:
            page = Page(1, event.dwell_ms, at)
            if len(pages) >= self._rules.pages_max:
                del pages[next(iter(pages))]
        else:
            page.visits += 1
            page.dwell_ms += event.dwell_ms
            page.last_at = max(page.last_at, at)
        pages[path] = page

    def _leave(self, footprint: Footprint, event: Event) -> None:
        """Credit the page that was left: with the time the client measured, else with the time since its view."""
        if event.url and _path(event.url) != footprint.open_page:
            return  # another page was opened since: that has credited this one
        page = footprint.pages.get(footprint.open_page)
        if page is not None and event.dwell_ms:
            page.dwell_ms += event.dwell_ms
        elif event.at > footprint.open_at:
            self._close_page(footprint, event.at)
        footprint.open_page = ""

    def _close_page(self, footprint: Footprint, at: int) -> None:
        page = footprint.pages.get(footprint.open_page)
        if page is not None and at - footprint.open_at <= DWELL_MS_MAX:
            page.dwell_ms += at - footprint.open_at

    def _search(self, footprint: Footprint, event: Event) -> None:
        query, searches = event.query[:QUERY_CHARS_MAX].lower(), footprint.searches
        if query:
            searches[query] = max(event.at, searches.pop(query, 0))
            if len(searches) > self._rules.searches_max:
                del searches[next(iter(searches))]

    def _view(self, footprint: Footprint, event: Event) -> int:
        commerce = event.commerce
        if commerce is None or not commerce.items:
            return 0
        item, at, products = commerce.items[0], event.at, footprint.products
        if item.category:
            self._interest(footprint.categories, item.category, 1.0, at)
            if len(footprint.categories) > self._rules.categories_max:
                self._keep_strongest(footprint.categories)
        product = products.pop(item.product_id, None)
        if product is None:
            product = Product(1, at)
            if len(products) >= self._rules.products_max:
                del products[next(iter(products))]
        else:
            product.views += 1
            product.last_at = max(product.last_at, at)
        products[item.product_id] = product
        return product.views

    def _keep_strongest(self, categories: dict[str, Interest]) -> None:
        """Drop the weakest interests, as they stand at the latest instant, down to the limit."""
        while len(categories) > self._rules.categories_max:
            strength = self._strength(categories)
            del categories[min(categories, key=lambda c: (strength(c), c))]

    def _strength(self, categories: dict[str, Interest]) -> Callable[[str], float]:
        now, half_life_ms = max(i.at for i in categories.values()), self._rules.interest_half_life_ms
        return lambda c: categories[c].score * 0.5 ** ((now - categories[c].at) / half_life_ms)

    def _interest(self, categories: dict[str, Interest], category: str, score: float, at: int) -> None:
        half_life_ms = self._rules.interest_half_life_ms
        interest = categories.get(category)
        if interest is None:
            categories[category] = Interest(score, at)
        elif at >= interest.at:
            interest.score = interest.score * 0.5 ** ((at - interest.at) / half_life_ms) + score
            interest.at = at
        else:
            interest.score += score * 0.5 ** ((interest.at - at) / half_life_ms)


def _path(url: str) -> str:
    """The path of `url` without host, query and fragment: what pages of one shop differ in."""
    if "?" in url or "#" in url:
        url = url.partition("#")[0].partition("?")[0]
    if not url.startswith("http"):
        return url
    start = url.find("/", 8)
    return url[start:] if start >= 0 else "/"


def _newest(entries: dict[str, V], at: Callable[[V], int], count: int) -> dict[str, V]:
    """The `count` entries last seen, in that order."""
    order = sorted(entries.items(), key=lambda entry: (at(entry[1]), entry[0]))
    return dict(order[-count:])
