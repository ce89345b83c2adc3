"""Undoing: what makes a trigger moot after it was sent, and what ends a wait.

| sent about | is undone by |
|---|---|
| an abandoned cart or checkout | the cart is bought, emptied or taken up again |
| a browse intent | something is ordered or put into a cart |
| anything | a word of the person that forbids the channel or purpose, or that declines this trigger |
| what a rule says | an event of its `undone_by` or `without`, of the same cart, product, order, call, visit or person |
"""

from __future__ import annotations

from operators.cart import CART_KINDS
from operators.case import Case
from operators.event import Commerce, Event
from operators.memory import OUTCOMES, Memory, outcome_of
from operators.moment import Moment
from operators.plans import Sent
from operators.rule_book import BROWSE_TIMER, CART_TIMERS, Book, Rule
from operators.session import Session

_BOUGHT = frozenset({"purchased", "recovered"})
_OF_CARTS = {"purchased": "purchased", "recovered": "purchased", "emptied": "emptied", "open": "changed"}


def scope_of(per: str, moment: Moment, case: Case) -> str:
    """Return what a rule that acts once `per` something takes a moment to be about; "" where it names none."""
    if moment.cart is not None:
        return moment.cart.cart_id
    if moment.is_wait:  # as it was when it began: by now the visit may be forgotten
        return moment.scope
    event = moment.event
    if event is None or per == "profile":
        return ""
    commerce = event.commerce or Commerce()
    if per == "product":
        return commerce.items[0].product_id if commerce.items else ""
    if per == "order":
        return commerce.order_id or event.event_id
    if per == "cart":
        return commerce.cart_id or commerce.checkout_id
    if per == "call":
        return event.call_id
    if per == "session":
        visit = case.visit(event)
        return "" if visit is None else _visit_name(visit)
    return event.event_id


def is_same(per: str, scope: str, since: int, event: Event, case: Case) -> bool:
    """Whether an event is of what a rule's moment of `since` was about.

    One that names no cart, product or order is of any.
    """
    commerce = event.commerce or Commerce()
    if per == "product":
        return not commerce.items or any(item.product_id == scope for item in commerce.items)
    if per == "order":
        return not commerce.order_id or commerce.order_id == scope
    if per == "cart":
        named = [one for one in (commerce.cart_id, commerce.checkout_id) if one]
        return not named or scope in named or not scope or _is_of_cart(case, scope, event, commerce)
    if per == "call":
        return not event.call_id or event.call_id == scope
    if per == "session":
        visit = case.visit(event)
        # Where it began may have turned out to be earlier since.
        return (
            visit is not None
            and visit.started_at <= since <= visit.ended_at
            and scope.startswith(f"{visit.visitor_id}|{visit.channel}|")
        )
    return True


def undone(case: Case, sent: Sent, event: Event, *, is_link: bool = False) -> str:
    """Say why a trigger is moot, now that `event` has been taken in; "" where it is not.

    A link is that of somebody who turned out to be the same: what both have said is known now.
    """
    word = _is_off(case, sent.kind, sent.scope, sent.at, event)
    if word:
        return word
    if event.kind in OUTCOMES and OUTCOMES[event.kind] == "declined" and outcome_of(event) == sent.trigger_id:
        return "declined"
    if event.consents or is_link or event.kind == "email_complained":
        # What was sent at once was sent by words whose turn has not come yet: these count, those from after it do not.
        at = max(event.at, sent.at)
        if not case.book.policy.consent.may(case.said(at), sent.channel, sent.purpose, at):
            return "consent"
    rule = case.book.rules.get(sent.rule_id)
    if rule is not None and not is_link and ends(rule, sent.kind, sent.scope, sent.at, event, case):
        return word_of(event.kind)
    return ""


def word_of(kind: str) -> str:
    """Return the word for what an event of that kind has undone, where a rule says that it does."""
    return "purchased" if kind == "order_completed" else "cancelled"


def ends(rule: Rule, kind: str, scope: str, since: int, event: Event, case: Case) -> bool:
    """Whether an event is one that must not come, from `since` on, for a rule's moment of that kind to stand."""
    if event.kind not in rule.without and event.kind not in rule.undone_by:
        return False
    if event.at < since or (event.at == since and event.kind == kind):  # not the one that it is about
        return False
    return is_same(rule.per, scope, since, event, case)


def overtaken(case: Case, memory: Memory, rule: Rule, kind: str, scope: str, since: int) -> str:
    """Return what has come for a rule's moment, "" for nothing, where it came to somebody who is the same person.

    Of that is known when which kind came last, and what has become of carts: so this is for what a rule acts on once a
    person or event, and for bought carts.
    """
    if rule.per == "cart" and "order_completed" in rule.without | rule.undone_by:
        cart = case.cart(scope)
        return "order_completed" if cart is not None and cart.state in _BOUGHT and cart.closed_at >= since else ""
    if rule.per not in ("profile", "event"):
        return ""
    for one in sorted(rule.without | rule.undone_by):
        at = memory.came.get(one, -1)
        if at > since or (at == since and one != kind):
            return one
    return ""


def is_moot(case: Case, moment: Moment) -> str:
    """Say why a moment has been overtaken by what has happened to its cart since, "" where it has not."""
    if moment.cart is None:
        return ""
    return _of_cart(case, moment.kind, moment.cart.cart_id, moment.at)


def can_undo(book: Book, event: Event) -> bool:
    """Whether it is worth asking what `event` undoes."""
    kind = event.kind
    return kind in CART_KINDS or kind in book.undoes or kind in OUTCOMES or bool(event.consents)


def _is_off(case: Case, kind: str, cart_id: str, at: int, event: Event) -> str:
    if kind not in CART_TIMERS:
        return ""
    if kind == BROWSE_TIMER and event.kind == "order_completed":
        return "purchased"
    return _of_cart(case, kind, cart_id, at)


def _is_of_cart(case: Case, cart_id: str, event: Event, commerce: Commerce) -> bool:
    """Whether an event that does not name a cart is about it: it names its checkout, or has bought what was in it."""
    cart = case.cart(cart_id)
    if cart is None:
        return False
    if commerce.checkout_id and commerce.checkout_id == cart.checkout_id:
        return True
    return event.kind == "order_completed" and cart.state in _BOUGHT and cart.closed_at == event.at


def _of_cart(case: Case, kind: str, cart_id: str, at: int) -> str:
    """Say what has become of an abandoned cart, "" where it still is."""
    if kind == BROWSE_TIMER:
        order = case.carts().order
        if order is not None and order.at > at:
            return "purchased"
        return "changed" if any(one.state == "open" for one in case.carts().carts) else ""
    cart = case.cart(cart_id)
    return "" if cart is None else _OF_CARTS.get(cart.state, "")


def _visit_name(visit: Session) -> str:
    return f"{visit.visitor_id}|{visit.channel}|{visit.started_at}"
