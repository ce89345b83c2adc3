"""Facts: what conditions of rules may ask about, each with its type and where it comes from.

`Facts` is the mapping that conditions read. It looks up what is asked for, once, and raises KeyError for what is absent
in this case: then what asks has no value. `SCHEMA` is what rules are checked against as they are loaded.

What events add up in any order (visits, views, footprint) is as it is known when the decision is taken, also where that
is for an instant that lies up to the allowed lateness back. All else is as it stood at that instant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from operators.call_record import CallRecord
from operators.case import Case
from operators.event import Commerce, Event, Item
from operators.expression_types import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Schema,
    Type,
    list_of,
    map_of,
)
from operators.local_time import DAY_MS, HOUR_MS
from operators.moment import Moment


class Fact(NamedTuple):
    """A fact: its type, what it means, and how it is found; `find` raises KeyError where it is absent."""

    type: Type
    said: str
    find: Callable[[Case, Moment], Any]


class Facts(dict[str, Any]):
    """The facts of a case and one of its moments."""

    __slots__ = ("_case", "_moment")

    def __init__(self, case: Case, moment: Moment) -> None:
        super().__init__()
        self._case, self._moment = case, moment

    def __missing__(self, path: str) -> Any:  # noqa: ANN401 -- of the type that the schema says
        value = self[path] = FACTS[path].find(self._case, self._moment)
        return value


def _there(value: Any, name: str) -> Any:  # noqa: ANN401 -- as above
    """Return a value, or raise KeyError where it is empty: then it was not told."""
    if value is None or value == "":
        raise KeyError(name)
    return value


def _event(moment: Moment) -> Event:
    if moment.event is None:
        raise KeyError("event")
    return moment.event


def _commerce(moment: Moment) -> Commerce:
    return _there(_event(moment).commerce, "event.cart")  # type: ignore[no-any-return]  # as it was


def _item(moment: Moment) -> Item:
    items = _commerce(moment).items
    if not items:
        raise KeyError("event.product")
    return items[0]


def _call(moment: Moment) -> CallRecord:
    return _there(_event(moment).call, "event.call")  # type: ignore[no-any-return]  # as above


def _stage(_: Case, moment: Moment) -> str:
    if moment.cart is None:
        raise KeyError("event.stage")
    return moment.cart.intent


def _cart_value(_: Case, moment: Moment) -> float:
    if moment.cart is not None:
        return float(moment.cart.value)
    return float(_there(_commerce(moment).cart_value, "event.cart.value"))


def _cart_id(_: Case, moment: Moment) -> str:
    if moment.cart is not None:
        return moment.cart.cart_id
    return _there(_commerce(moment).cart_id, "event.cart.id")  # type: ignore[no-any-return]  # as above


def _currency(_: Case, moment: Moment) -> str:
    told = moment.cart.currency if moment.cart is not None else _commerce(moment).currency
    return _there(told, "event.currency")  # type: ignore[no-any-return]  # as above


def _products(_: Case, moment: Moment) -> list[str]:
    if moment.cart is not None:
        return [line.product_id for line in moment.cart.lines]
    return [item.product_id for item in _commerce(moment).items]


def _channel(_: Case, moment: Moment) -> str:
    return _event(moment).channel


def _count(what: str) -> Callable[[Case, Moment], int]:
    def find(_: Case, moment: Moment) -> int:
        if not moment.count:
            raise KeyError(what)
        return moment.count

    return find


def _order_id(_: Case, moment: Moment) -> str:
    return _there(_commerce(moment).order_id, "event.order.id")  # type: ignore[no-any-return]  # as above


def _waited(_: Case, moment: Moment) -> int:
    if not moment.is_wait:
        raise KeyError("event.waited")
    return moment.waited_ms


def _cart(case: Case) -> Any:  # noqa: ANN401 -- a cart
    return _there(case.live_cart(), "profile.cart")


def _lines(case: Case, _: Moment) -> list[dict[str, Any]]:
    return [
        {"product_id": line.product_id, "quantity": line.quantity, "price": line.price, "name": line.name}
        for line in _cart(case).lines
    ]


def _top(case: Case, _: Moment) -> str:
    return _there(case.top_interest(), "profile.interest.top")  # type: ignore[no-any-return]  # as above


def _ordered_at(case: Case, _: Moment) -> int:
    order = case.carts().order
    if order is None:
        raise KeyError("profile.order.at")
    return int(order.at)


def _declined_at(case: Case, _: Moment) -> int:
    declined = case.memory().contacts.of("declined")
    if not declined:
        raise KeyError("profile.declined_at")
    return declined[-1][0]


def _local(case: Case) -> int:
    return case.now + case.zone().offset_at(case.now)


def _may(channel: str) -> Callable[[Case, Moment], bool]:
    def find(case: Case, _: Moment) -> bool:
        return case.book.policy.consent.may(case.memory().consents, channel, "marketing", case.now)

    return find


# 1 January 1970 was a Thursday.
_THURSDAY: Final = 3

FACTS: Final[dict[str, Fact]] = {
    "now": Fact(TIMESTAMP, "the instant that is decided for", lambda c, _: c.now),
    "event.kind": Fact(STRING, "the kind of event or moment", lambda _, m: m.kind),
    "event.at": Fact(TIMESTAMP, "when it happened", lambda _, m: m.at if m.event is None else m.event.at),
    "event.id": Fact(STRING, "its id", lambda _, m: _event(m).event_id),
    "event.channel": Fact(STRING, "where: web, app, phone, sms, chat, email, social, server", _channel),
    "event.url": Fact(STRING, "the page", lambda _, m: _there(_event(m).url, "event.url")),
    "event.referrer": Fact(STRING, "the page before", lambda _, m: _there(_event(m).referrer, "event.referrer")),
    "event.campaign": Fact(STRING, "the campaign", lambda _, m: _there(_event(m).campaign, "event.campaign")),
    "event.query": Fact(STRING, "what was searched for", lambda _, m: _there(_event(m).query, "event.query")),
    "event.name": Fact(STRING, "the source's own name of it", lambda _, m: _there(_event(m).name, "event.name")),
    "event.properties": Fact(map_of(DYN), "what else the source told", lambda _, m: _event(m).told()),
    "event.product.id": Fact(STRING, "the first product that it names", lambda _, m: _item(m).product_id),
    "event.product.name": Fact(STRING, "", lambda _, m: _there(_item(m).name, "event.product.name")),
    "event.product.category": Fact(STRING, "", lambda _, m: _there(_item(m).category, "event.product.category")),
    "event.product.price": Fact(DOUBLE, "for one piece", lambda _, m: float(_item(m).price)),
    "event.product.quantity": Fact(DOUBLE, "how many pieces", lambda _, m: float(_item(m).quantity)),
    "event.product.views": Fact(INT, "the how-many-th view of it this is", _count("event.product.views")),
    "event.products": Fact(list_of(STRING), "all products that it names", _products),
    "event.currency": Fact(STRING, "ISO 4217 code", _currency),
    "event.order.id": Fact(STRING, "the order", _order_id),
    "event.order.value": Fact(
        DOUBLE, "what it is worth", lambda _, m: float(_there(_commerce(m).value, "event.order.value"))
    ),
    "event.cart.id": Fact(STRING, "the cart", _cart_id),
    "event.cart.value": Fact(DOUBLE, "what the whole cart is worth, where that was told", _cart_value),
    "event.stage": Fact(STRING, "how far an abandoned cart came: browse, cart, checkout", _stage),
    "event.visit": Fact(INT, "the how-many-th visit this is", _count("event.visit")),
    "event.waited": Fact(DURATION, "for how long something has not come", _waited),
    "event.call.id": Fact(STRING, "the call", lambda _, m: _there(_event(m).call_id, "event.call.id")),
    "event.call.reason": Fact(STRING, "why it ended", lambda _, m: _call(m).reason),
    "event.call.direction": Fact(STRING, "inbound or outbound", lambda _, m: _call(m).direction),
    "event.call.wait": Fact(DURATION, "until somebody answered", lambda _, m: int(_call(m).wait_ms)),
    "event.call.talk": Fact(DURATION, "how long was talked", lambda _, m: int(_call(m).talk_ms)),
    "event.call.abandoned": Fact(BOOL, "given up in a queue", lambda _, m: _call(m).abandoned_in_queue),
    "profile.known": Fact(BOOL, "whether an identifier names them: a lead", lambda c, _: c.is_known),
    "profile.visits": Fact(INT, "visits so far", lambda c, _: c.profile.visits),
    "profile.first_at": Fact(TIMESTAMP, "first event", lambda c, _: c.profile.first_at),
    "profile.last_at": Fact(TIMESTAMP, "latest event", lambda c, _: c.profile.last_at),
    "profile.on_site": Fact(BOOL, "in an open visit of site or app", lambda c, _: c.is_onsite()),
    "profile.in_call": Fact(BOOL, "on the telephone with us", lambda c, _: c.is_in_call()),
    "profile.has_email": Fact(BOOL, "an address is known", lambda c, _: bool(c.memory().email)),
    "profile.has_phone": Fact(BOOL, "a number is known", lambda c, _: bool(c.memory().phone)),
    "profile.consent.email": Fact(BOOL, "may be written to for marketing", _may("email")),
    "profile.consent.sms": Fact(BOOL, "", _may("sms")),
    "profile.consent.push": Fact(BOOL, "", _may("push")),
    "profile.consent.phone": Fact(BOOL, "", _may("phone")),
    "profile.declined_at": Fact(TIMESTAMP, "when an offer was declined last", _declined_at),
    "profile.order.at": Fact(TIMESTAMP, "when something was ordered last", _ordered_at),
    "profile.cart.value": Fact(DOUBLE, "of the cart changed last, not bought", lambda c, _: float(_cart(c).value)),
    "profile.cart.currency": Fact(STRING, "", lambda c, _: _there(_cart(c).currency, "profile.cart.currency")),
    "profile.cart.stage": Fact(STRING, "cart or checkout", lambda c, _: "checkout" if _cart(c).is_checkout else "cart"),
    "profile.cart.state": Fact(STRING, "open, abandoned or expired", lambda c, _: _cart(c).state),
    "profile.cart.changed_at": Fact(TIMESTAMP, "", lambda c, _: int(_cart(c).changed_at)),
    "profile.cart.lines": Fact(list_of(map_of(DYN)), "each with product_id, quantity, price and name", _lines),
    "profile.interest.top": Fact(STRING, "the category of most interest", _top),
    "profile.interest.scores": Fact(map_of(DOUBLE), "by category", lambda c, _: c.interests()),
    "profile.products": Fact(
        map_of(INT), "views by product", lambda c, _: {k: int(p.views) for k, p in c.profile.footprint.products.items()}
    ),
    "profile.pages": Fact(
        map_of(INT), "visits by path", lambda c, _: {k: int(p.visits) for k, p in c.profile.footprint.pages.items()}
    ),
    "profile.searches": Fact(list_of(STRING), "latest last", lambda c, _: list(c.profile.footprint.searches)),
    "profile.zone": Fact(STRING, "time zone by its IANA name", lambda c, _: c.zone().name),
    "profile.local_hour": Fact(INT, "0 to 23, as their clock reads", lambda c, _: _local(c) % DAY_MS // HOUR_MS),
    "profile.local_weekday": Fact(INT, "1 is Monday, 7 Sunday", lambda c, _: (_local(c) // DAY_MS + _THURSDAY) % 7 + 1),
}

SCHEMA: Final[Schema] = {path: fact.type for path, fact in FACTS.items()}
