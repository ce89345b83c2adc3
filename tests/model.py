"""
What sessions and carts are, as slowly and obviously as they can be told.

From the complete log of events, sorted by time, each question is answered from the beginning: nothing is kept
from one event to the next but what has been answered already. The operators must come to the same answers from
the same events in any order that lateness allows, in any batches, with state at rest between any two.

Whoever logs in on a device takes over what the device is and has at that instant; a device has one user here. A user
may be known by address alone on one device and by name alone on another: both are one from when they are told together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from operators.event import FOREVER, Event
from operators.rules import CartRules, SessionRules


@dataclass(frozen=True, order=True)
class ModelSession:
    """
    A visit as it is told; `of` is the user, or the visitor as long as nobody logs in before it closes. For who logs in
    then, or turns out to be another user, it is told once more, a `revision` higher.
    """

    visitor: str
    channel: str
    started_at: int
    ended_at: int
    events: int
    of: str
    revision: int = 1


@dataclass(frozen=True, order=True)
class ModelNews:
    """A cart whose state became `state` at `at`."""

    cart: str
    at: int
    state: str
    intent: str
    value: float
    of: str


def in_order(log: Sequence[Event]) -> list[Event]:
    """Sort by time; of one instant an order comes last."""
    return sorted(log, key=lambda event: (event.at, event.kind == "order_completed", event.event_id))


def logins(log: Sequence[Event]) -> dict[str, tuple[int, str]]:
    """When each device was first told whose it is, and whose; and each address the same."""
    found: dict[str, tuple[int, str]] = {}
    for event in in_order(log):
        if (event.user_id or event.email) and event.visitor_id not in found:
            found[event.visitor_id] = event.at, event.user_id or event.email
        if event.user_id and event.email and event.email not in found:
            found[event.email] = event.at, event.user_id
    return found


def owner(device: str, at: int, known: Mapping[str, tuple[int, str]]) -> str:
    """Whose a device is at an instant: its user's from the login on, that instant included; and whose an address is."""
    since, user = known.get(device, (FOREVER, ""))
    return owner(user, at, known) if since <= at else device


def links(log: Sequence[Event], device: str) -> list[int]:
    """
    When what a device did became another profile's: when it was first told whose it is, and when that one turned out to
    be somebody who had been told of before. Of two leads the elder stays who it is.
    """
    known, born = logins(log), dict[str, int]()
    for event in in_order(log):
        for name in (event.user_id, event.email):
            if name:
                born.setdefault(name, event.at)
    since, _ = known.get(device, (FOREVER, ""))
    found = [since]
    for email, (at, user) in known.items():
        is_of = since < at and owner(device, at, known) == user
        if email in born and is_of and born[email] < at and born[user] < at:
            younger = max(email, user, key=lambda name: born[name])
            if owner(device, at - 1, known) == younger:
                found.append(at)
    return found


def sessions(log: Sequence[Event], rules: SessionRules) -> list[ModelSession]:
    """All visits of a log, each as often as it is told."""
    known = logins(log)
    found: list[ModelSession] = []
    events = sorted(in_order(log), key=lambda event: (event.visitor_id, event.channel))
    for (visitor, channel), group in groupby(events, key=lambda event: (event.visitor_id, event.channel)):
        gap_ms = rules.gap_ms.get(channel)
        if gap_ms is None:
            continue
        instants = [event.at for event in group]
        while instants:
            length = 1
            while (
                length < len(instants)
                and instants[length] - instants[length - 1] <= gap_ms
                and instants[length] - instants[0] <= rules.length_ms_max
            ):
                length += 1
            start, end = instants[0], instants[length - 1]
            again = [at for at in links(log, visitor) if end + gap_ms < at <= end + rules.stitch_ms]
            for number, at in enumerate([end + gap_ms, *again]):
                of = owner(visitor, at, known)
                found.append(ModelSession(visitor, channel, start, end, length, of, number + 1))
            instants = instants[length:]
    return sorted(found)


def carts(log: Sequence[Event], rules: CartRules) -> list[ModelNews]:
    """All news of carts, each named and filled on one device; browse intents are not modelled."""
    ordered = in_order(log)
    news: list[ModelNews] = []
    for number in range(len(ordered) + 1):
        now = ordered[number].at if number < len(ordered) else FOREVER
        news += _abandonments(ordered[:number], ordered, news, rules, now - 1)
        if number < len(ordered):
            news += _turns_out(ordered[:number], now, news, logins(ordered))
            news += _changes(ordered[:number], ordered[number], news, logins(ordered))
    return sorted(news)


def _order_key(event: Event) -> tuple[int, str, str]:
    assert event.commerce is not None
    return event.at, event.commerce.order_id, event.commerce.cart_id


def _turns_out(
    past: Sequence[Event], now: int, news: Sequence[ModelNews], known: Mapping[str, tuple[int, str]]
) -> list[ModelNews]:
    """What the latest orders of those who turn out to be one have bought of each other's, unchanged since."""
    before = {event.visitor_id: owner(event.visitor_id, now - 1, known) for event in past}
    after = {device: owner(device, now, known) for device in before}
    if before == after:
        return []
    orders = {before[event.visitor_id]: event for event in past if event.kind == "order_completed" and event.at < now}
    found: list[ModelNews] = []
    for order in sorted(orders.values(), key=_order_key):
        of = after[order.visitor_id]
        if len({side for device, side in before.items() if after[device] == of}) < 2:
            continue
        mine = sorted(_carts([event for event in past if after[event.visitor_id] == of]))
        then = [event for event in past if event.at <= order.at]
        named = _order_key(order)[2]
        bought = set(_contents(named, then, [item for item in news if item.at < order.at])[1])
        for cart in mine:
            _, lines, is_checkout, changed_at = _contents(cart, past, [*news, *found])
            if _state(cart, [*news, *found]) not in ("open", "abandoned") or changed_at > order.at:
                continue
            if cart == named or named not in mine or bought >= set(lines):
                state = "recovered" if _since_opened(cart, news, "abandoned") else "purchased"
                intent = "checkout" if is_checkout else "cart"
                found.append(ModelNews(cart, now, state, intent, round(sum(lines.values()), 2), of))
    return found


def _abandonments(
    past: Sequence[Event], log: Sequence[Event], news: Sequence[ModelNews], rules: CartRules, until: int
) -> list[ModelNews]:
    """The open carts whose delay is over by `until`."""
    known = logins(log)
    found = []
    for cart in sorted(_carts(past)):
        if _state(cart, news) != "open":
            continue
        device, lines, is_checkout, changed_at = _contents(cart, past, news)
        delay_ms = rules.checkout_delay_ms if is_checkout else rules.cart_delay_ms
        due_at = changed_at + delay_ms
        if rules.restart_on_activity:
            of = owner(device, until, known)
            activities = [event.at for event in past if owner(event.visitor_id, until, known) == of]
            for at in sorted(activities):
                if changed_at <= at <= due_at:
                    due_at = at + delay_ms
        if due_at <= until:
            intent = "checkout" if is_checkout else "cart"
            value = round(sum(lines.values()), 2)
            found.append(ModelNews(cart, due_at, "abandoned", intent, value, owner(device, due_at, known)))
    return found


def _changes(
    past: Sequence[Event], event: Event, news: Sequence[ModelNews], known: Mapping[str, tuple[int, str]]
) -> list[ModelNews]:
    """What one event makes of the carts of its person."""
    commerce, of = event.commerce, owner(event.visitor_id, event.at, known)
    if commerce is None or event.kind == "product_viewed":
        return []
    if event.kind == "order_completed":
        return _purchases(past, event, news, known)
    was = _state(commerce.cart_id, news)
    _, lines, is_checkout, _ = _contents(commerce.cart_id, [*past, event], news)
    intent = "checkout" if is_checkout else "cart"
    if lines and was != "open":
        return [ModelNews(commerce.cart_id, event.at, "open", intent, round(sum(lines.values()), 2), of)]
    if not lines and was in ("open", "abandoned"):
        return [ModelNews(commerce.cart_id, event.at, "emptied", intent, 0.0, of)]
    return []


def _purchases(
    past: Sequence[Event], event: Event, news: Sequence[ModelNews], known: Mapping[str, tuple[int, str]]
) -> list[ModelNews]:
    """The carts that an order buys: the one it names and what that covers, or all of the person."""
    assert event.commerce is not None
    of = owner(event.visitor_id, event.at, known)
    mine = sorted(_carts([e for e in past if owner(e.visitor_id, event.at, known) == of]))
    named = event.commerce.cart_id
    bought = set(_contents(named, past, news)[1]) if _state(named, news) in ("open", "abandoned") else set()
    found = []
    for cart in mine:
        if _state(cart, news) not in ("open", "abandoned"):
            continue
        _, lines, is_checkout, _ = _contents(cart, past, news)
        if cart == named or named not in mine or bought >= set(lines):
            was_abandoned = _since_opened(cart, news, "abandoned")
            state = "recovered" if was_abandoned else "purchased"
            intent = "checkout" if is_checkout else "cart"
            found.append(ModelNews(cart, event.at, state, intent, round(sum(lines.values()), 2), of))
    return found


def _carts(past: Sequence[Event]) -> set[str]:
    """The carts that anything was ever put into."""
    return {event.commerce.cart_id for event in past if event.commerce and event.kind == "product_added"}


def _state(cart: str, news: Sequence[ModelNews]) -> str:
    """The last that was told of a cart."""
    return next((item.state for item in reversed(news) if item.cart == cart), "")


def _since_opened(cart: str, news: Sequence[ModelNews], state: str) -> bool:
    """Whether a cart has been in that state since it was last empty or bought."""
    for item in reversed(news):
        if item.cart == cart and item.state in ("purchased", "recovered", "emptied"):
            return False
        if item.cart == cart and item.state == state:
            return True
    return False


def _contents(cart: str, past: Sequence[Event], news: Sequence[ModelNews]) -> tuple[str, dict[str, float], bool, int]:
    """Device, worth by product, whether checkout has begun, and instant of the last change of a cart."""
    device, lines, is_checkout, changed_at = "", dict[str, float](), False, -1
    ends = [item.at for item in news if item.cart == cart and item.state in ("purchased", "recovered")]
    began_at = max(ends, default=-1)
    for event in past:
        commerce = event.commerce
        if commerce is None or commerce.cart_id != cart or event.kind == "order_completed":
            continue
        if event.at <= began_at:
            continue
        if event.kind == "product_added":
            is_checkout = is_checkout and bool(lines)
            item = commerce.items[0]
            lines[item.product_id] = lines.get(item.product_id, 0.0) + item.quantity * item.price
        elif event.kind == "cart_updated":
            lines = {}
        elif lines:
            is_checkout = True
        device, changed_at = event.visitor_id, event.at
    return device, lines, is_checkout, changed_at
