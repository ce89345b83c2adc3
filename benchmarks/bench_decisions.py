"""What fifty rules cost an event, on top of what it costs anyway: all of them asked, or none for their kind.

One lead of a middling past views products, the same views with each book of rules, round by round in the same process:
a book without rules, one with fifty for other kinds, one with fifty for views of which none holds, and one of which one
holds, and is held back by its cool-down each time. The operator is the one of the flow; state stays an object, as it
does for somebody who is on the site. What is decided is counted, and must be what each book says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
import yaml

from config.journeys import read_book
from config.settings import Settings
from operators.decision import Decider
from operators.event import Commerce, Event, Item
from operators.profile import ProfileOperator
from operators.profile_state import Profile
from operators.rule_book import Book
from operators.trigger import Suppressed, Trigger

ASKED_US: Final = 25.0
"""For fifty rules that are all asked."""
INDEXED_US: Final = 2.0
"""For fifty rules of which the kind says that none need be asked."""
EVENTS: Final = 20_000

BEGIN_AT: Final = 1_795_255_200_000
STEP_MS: Final = 1_000
LATENESS_MS: Final = 30_000

# Ten conditions as people write them, five thresholds each; none of them holds for the views below.
CONDITIONS: Final = (
    'event.product.category == "kitchen" && event.product.price > {n}000.0',
    "profile.visits >= {n}0 && profile.known",
    'event.channel == "web" && event.product.views < 0 - {n}',
    'event.url.contains("/checkout/{n}") || profile.visits > {n}0',
    "size(profile.searches) > {n}",
    'profile.interest.top == "garden{n}" || profile.in_call',
    'now - profile.first_at > duration("{n}000h")',
    "!profile.known && profile.on_site && profile.visits >= {n}",
    "profile.cart.value >= {n}000.0 && profile.consent.email",
    'event.properties.colour == "red{n}" && profile.has_email',
)
THRESHOLDS: Final = (1, 2, 3, 5, 8)


class Cost(msgspec.Struct, kw_only=True):
    """What one view costs with one book, in µs of CPU, a value a round; and what was decided in a round."""

    name: str
    rules: int
    us: list[float] = []
    triggers: int = 0
    suppressed: int = 0


class Decisions(msgspec.Struct, kw_only=True):
    """What the benchmark found; the first cost is that of no rules."""

    events: int
    costs: list[Cost]

    def on_top(self, name: str) -> float:
        """Return what a book costs on top of none, the best round of each: noise only ever adds."""
        [cost] = [one for one in self.costs if one.name == name]
        return min(cost.us) - min(self.costs[0].us)

    @property
    def faults(self) -> list[str]:
        """What was decided otherwise than the books say."""
        wanted = {"no rules": (0, 0), "indexed out": (0, 0), "none holds": (0, 0), "one holds": (0, self.events)}
        return [
            f"{cost.name}: {cost.triggers} triggers and {cost.suppressed} suppressed, not {wanted[cost.name]}"
            for cost in self.costs
            if (cost.triggers, cost.suppressed) != wanted[cost.name]
        ]


def run(events: int, rounds: int, tell: Callable[[str], None]) -> Decisions:
    """View `events` products with each book in each round."""
    books = {
        "no rules": _book("product_viewed", 0),
        "indexed out": _book("product_clicked", 50),
        "none holds": _book("product_viewed", 50),
        "one holds": _book("product_viewed", 50, holds=True),
    }
    found = Decisions(events=events, costs=[Cost(name=name, rules=len(book.rules)) for name, book in books.items()])
    for _ in range(rounds):
        for cost, book in zip(found.costs, books.values(), strict=True):
            us, cost.triggers, cost.suppressed = _timed(book, events)
            cost.us.append(us)
    for cost in found.costs[1:]:
        tell(f"{cost.name}: {found.on_top(cost.name):.1f} µs an event on top of {min(found.costs[0].us):.1f}")
    return found


def title(found: Decisions) -> str:
    """Say what the table is of."""
    rounds = len(found.costs[0].us)
    return f"Fifty rules, {found.events:,} views of products by one lead, best (to worst) of {rounds} rounds"


def table(found: Decisions) -> list[list[str]]:
    """Lay the costs out: of each the best round and, behind it, the worst."""
    rows = [["rules", "µs an event", "on top, µs", "triggers", "suppressed"]]
    for cost in found.costs:
        us = f"{min(cost.us):.1f} (to {max(cost.us):.1f})"
        on_top = f"{found.on_top(cost.name):.1f}"
        rows.append([f"{cost.rules}, {cost.name}", us, on_top, f"{cost.triggers:,}", f"{cost.suppressed:,}"])
    return rows


def told(found: Decisions) -> list[str]:
    """Say whether the targets are held, and what is wrong."""
    asked, indexed = found.on_top("none holds"), found.on_top("indexed out")
    return [
        f"{asked:.1f} µs where all are asked, at most {ASKED_US:.0f} wanted",
        f"{indexed:.1f} µs where the kind rules them out, at most {INDEXED_US:.0f} wanted",
        *found.faults,
    ]


def _book(kind: str, rules: int, *, holds: bool = False) -> Book:
    texts = [text.replace("{n}", str(n)) for text in CONDITIONS for n in THRESHOLDS][:rules]
    if holds:
        texts[0] = "profile.known"
    common = {"family": "offer", "on": kind, "per": "profile", "channels": ["crm"], "cooldown": "20d"}
    actions = [{"id": f"rule_{place}", "when": text, **common} for place, text in enumerate(texts)]
    if not actions:
        actions = [{"id": "none", **common, "on": "order_refunded"}]
    said = yaml.safe_dump({"actions": actions, "policy": {"consent": {"defaults": {"crm": True, "email": True}}}})
    return read_book({"rules.yaml": said}, lateness_ms=LATENESS_MS, retention_ms=400 * 86_400_000)


def _timed(book: Book, events: int) -> tuple[float, int, int]:
    """Return what a view costs with these rules, and what was decided."""
    operator = ProfileOperator(Settings().lead_rules(), Decider(book))
    profile, at = _past(operator), BEGIN_AT
    views = [_view(number, at + number * STEP_MS) for number in range(events)]
    triggers = suppressed = 0
    began_s = time.process_time()
    for view in views:
        watermark = view.at - LATENESS_MS
        if profile.due_at <= watermark:
            state, _ = operator.on_timer("lead-1", profile, watermark)
            assert state is not None, "nobody is forgotten here"
            profile = state
        state, out = operator.on_event("lead-1", profile, view, watermark)
        assert state is not None, "nobody is forgotten here"
        profile = state
        for record in out:
            triggers += isinstance(record, Trigger)
            suppressed += isinstance(record, Suppressed)
    return (time.process_time() - began_s) * 1e6 / events, triggers, suppressed


def _past(operator: ProfileOperator) -> Profile:
    """Return a lead who has logged in, looked at twenty pages, and put something into a cart."""
    profile: Profile | None = None
    for number in range(20):
        at = BEGIN_AT - (60 - number) * 60_000
        events = [
            Event("page_viewed", at, f"p{number}", "web", "d1", "d1", url=f"https://shop.example/page/{number % 12}"),
            _view(number, at + 1),
        ]
        if not number:
            events.append(Event("identified", at + 2, "login", "web", "d1", "d1", "mara", "mara@example.org"))
            items = (Item("kettle", 1.0, 49.0),)
            commerce = Commerce(items, cart_id="c1", currency="EUR")
            events.append(Event("product_added", at + 3, "add", "web", "d1", "d1", commerce=commerce))
        for event in events:
            profile, _ = operator.on_event("lead-1", profile, event, at - LATENESS_MS)
    assert profile is not None, "events make a profile"
    profile, _ = operator.on_timer("lead-1", profile, BEGIN_AT - LATENESS_MS - 1)
    assert profile is not None, "and an hour does not end it"
    return profile


def _view(number: int, at: int) -> Event:
    item = Item(f"product-{number % 200}", 1.0, 49.9, "Kettle", "kitchen")
    commerce, url = Commerce((item,), currency="EUR"), f"https://shop.example/product/{number % 200}"
    view = Event("product_viewed", at, f"v{number}-{at}", "web", "d1", "d1", url=url, commerce=commerce)
    view.properties = b'{"colour": "red", "size": 3}'
    return view
