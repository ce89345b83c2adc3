"""Footprints: what a profile has looked at, within limits, whatever the order of its events.

Visits, views and dwell are sums, "last" instants are maxima and interest is a decayed sum, so that
footprints of two devices add up in any order. Each list is in the order in which its entries were last
seen; where it is full, the first goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from mypy_extensions import mypyc_attr

from operators.event import Event
from operators.packing import Row, instant, padded, short_number, trim
from operators.rules import FootprintRules

# A page left open over lunch was not read for an hour: longer stays count as the inactivity gap.
DWELL_MS_MAX: Final = 30 * 60_000

# Longer searches are sentences; what they were about shows in the beginning.
QUERY_CHARS_MAX: Final = 80

V = TypeVar("V")


@mypyc_attr(acyclic=True)
class Page:
    """A page by its path: number of visits, milliseconds spent, instant of the last visit."""

    def __init__(self, path: str, visits: int, dwell_ms: int, last_at: int) -> None:
        self.path = path
        self.visits = visits
        self.dwell_ms = dwell_ms
        self.last_at = last_at


@mypyc_attr(acyclic=True)
class Product:
    """A product by its id: number of views, instant of the last one."""

    def __init__(self, views: int, last_at: int) -> None:
        self.views = views
        self.last_at = last_at


@mypyc_attr(acyclic=True)
class Interest:
    """A category's score as it stood at `at`; it halves every half-life from there."""

    def __init__(self, score: float, at: int) -> None:
        self.score = score
        self.at = at


@mypyc_attr(acyclic=True)
class Footprint:
    """All of it. `open` is the page whose dwell is still running, since `open_at`."""

    open_at: int = 0

    def __init__(self) -> None:
        self.open: Page | None = None
        self.pages: dict[str, Page] = {}
        self.products: dict[str, Product] = {}
        self.categories: dict[str, Interest] = {}
        self.searches: dict[str, int] = {}

    def pack(self, base: int) -> Row:
        """Return the footprint as a row of flat lists; instants count back from `base`."""
        pages: Row = []
        still_open = None if self.open is None else self.pages.get(self.open.path)
        for page in self.pages.values():
            if page is not still_open:
                pages += (page.path, page.visits, page.dwell_ms, base - page.last_at)
        if still_open is not None:  # comes last
            pages += (still_open.path, still_open.visits, still_open.dwell_ms, base - still_open.last_at)
        products: Row = []
        for product_id, product in self.products.items():
            products += (product_id, product.views, base - product.last_at)
        categories: Row = []
        for category, interest in self.categories.items():
            categories += (category, short_number(interest.score), base - interest.at)
        searches: Row = []
        for query, at in self.searches.items():
            searches += (query, base - at)
        open_at = base - self.open_at if self.open_at else None
        return trim([pages, open_at, still_open is not None, products, categories, searches], _EMPTY)


_EMPTY: Final[Row] = [[], None, False, [], [], []]


def unpack(row: Row, base: int) -> Footprint:
    """Make a footprint of the row that its `pack` gave."""
    pages, open_at, is_open, products, categories, searches = padded(row, _EMPTY)
    footprint = Footprint()
    for i in range(0, len(pages), 4):
        path: str = pages[i]
        footprint.pages[path] = Page(path, pages[i + 1], pages[i + 2], base - pages[i + 3])
    for i in range(0, len(products), 3):
        footprint.products[products[i]] = Product(products[i + 1], base - products[i + 2])
    for i in range(0, len(categories), 3):
        footprint.categories[categories[i]] = Interest(float(categories[i + 1]), base - categories[i + 2])
    for i in range(0, len(searches), 2):
        footprint.searches[searches[i]] = base - searches[i + 1]
    footprint.open_at = instant(base, open_at, 0)
    if is_open:
        footprint.open = footprint.pages[pages[-4]]
    return footprint


class FootprintTracker:
    """The rules at work on one profile's footprint."""

    def __init__(self, rules: FootprintRules) -> None:
        """Keep `rules`; the tracker itself has no state."""
        self._pages_max = rules.pages_max
        self._products_max = rules.products_max
        self._categories_max = rules.categories_max
        self._searches_max = rules.searches_max
        self._half_life_ms = rules.interest_half_life_ms

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
        footprint.pages = _newest(footprint.pages, lambda page: page.last_at, self._pages_max)
        footprint.products = _newest(footprint.products, lambda product: product.last_at, self._products_max)
        footprint.searches = _newest(footprint.searches, lambda at: at, self._searches_max)
        if (other.open_at, _path_of(other.open)) > (footprint.open_at, _path_of(footprint.open)):
            footprint.open, footprint.open_at = other.open, other.open_at
        if footprint.open is not None:  # as it is in the whole, where it still is
            footprint.open = footprint.pages.get(footprint.open.path)

    def top_category(self, footprint: Footprint) -> str:
        """Return the category of the strongest interest, "" where there is none."""
        categories = footprint.categories
        if not categories:
            return ""
        strength = self._strength(categories)
        return max(categories, key=lambda c: (strength(c), c))

    def interests(self, footprint: Footprint, now: int) -> dict[str, float]:
        """Return the interest in each category as it stands at `now`."""
        half_life_ms = self._half_life_ms
        return {
            category: interest.score * 0.5 ** ((now - interest.at) / half_life_ms)
            for category, interest in footprint.categories.items()
        }

    def _visit(self, footprint: Footprint, event: Event) -> None:
        at, pages = event.at, footprint.pages
        path = _path(event.url)
        page = pages.pop(path, None)
        if page is None:
            if len(pages) >= self._pages_max:
                del pages[next(iter(pages))]
            page = Page(path, 0, 0, at)
        pages[path] = page
        if at >= footprint.open_at:
            _close(footprint, at)
            footprint.open, footprint.open_at = page, at
        page.visits += 1
        page.dwell_ms += event.dwell_ms
        page.last_at = max(page.last_at, at)

    @staticmethod
    def _leave(footprint: Footprint, event: Event) -> None:
        """Credit the page that was left: with the time the client measured, else with the time since its view."""
        page = footprint.open
        if page is None or (event.url and _path(event.url) != page.path):
            return  # another page was opened since: that has credited this one
        if event.dwell_ms:
            page.dwell_ms += event.dwell_ms
        elif event.at > footprint.open_at:
            _close(footprint, event.at)
        footprint.open = None

    def _search(self, footprint: Footprint, event: Event) -> None:
        query, searches = event.query[:QUERY_CHARS_MAX].lower(), footprint.searches
        if query:
            searches[query] = max(event.at, searches.pop(query, 0))
            if len(searches) > self._searches_max:
                del searches[next(iter(searches))]

    def _view(self, footprint: Footprint, event: Event) -> int:
        commerce = event.commerce
        if commerce is None or not commerce.items:
            return 0
        item, at, products = commerce.items[0], event.at, footprint.products
        if item.category:
            self._interest(footprint.categories, item.category, 1.0, at)
            if len(footprint.categories) > self._categories_max:
                self._keep_strongest(footprint.categories)
        product = products.pop(item.product_id, None)
        if product is None:
            if len(products) >= self._products_max:
                del products[next(iter(products))]
            product = Product(0, at)
        products[item.product_id] = product
        product.views += 1
        product.last_at = max(product.last_at, at)
        return product.views

    def _keep_strongest(self, categories: dict[str, Interest]) -> None:
        """Drop the weakest interests, as they stand at the latest instant, down to the limit."""
        while len(categories) > self._categories_max:
            strength = self._strength(categories)
            del categories[min(categories, key=lambda c: (strength(c), c))]

    def _strength(self, categories: dict[str, Interest]) -> Callable[[str], float]:
        now, half_life_ms = max(i.at for i in categories.values()), self._half_life_ms
        return lambda c: categories[c].score * 0.5 ** ((now - categories[c].at) / half_life_ms)

    def _interest(self, categories: dict[str, Interest], category: str, score: float, at: int) -> None:
        half_life_ms = self._half_life_ms
        interest = categories.get(category)
        if interest is None:
            categories[category] = Interest(score, at)
        elif at >= interest.at:
            interest.score = interest.score * 0.5 ** ((at - interest.at) / half_life_ms) + score
            interest.at = at
        else:
            interest.score += score * 0.5 ** ((interest.at - at) / half_life_ms)


def _close(footprint: Footprint, at: int) -> None:
    """Credit the open page with the time until `at`."""
    page = footprint.open
    if page is not None and at - footprint.open_at <= DWELL_MS_MAX:
        page.dwell_ms += at - footprint.open_at


def _path_of(page: Page | None) -> str:
    return "" if page is None else page.path


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
