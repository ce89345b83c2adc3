"""Carts: what a person has picked and not yet bought, and when that counts as abandoned.

Theory of operation
-------------------
Cart events are applied strictly in event-time order, once the watermark has passed them (the
profile holds them until then), so that nothing here depends on the order of arrival. `apply` is
the one place where a cart changes:

    none ──added, checkout with a value──▶ open ──────delay without activity──▶ abandoned
    open ──last line removed──▶ emptied            abandoned ──changed again──▶ open
    open ──order──▶ purchased                      abandoned ──order──▶ recovered
    open ──delay reached, but too old──▶ expired   emptied, purchased, recovered ──added──▶ open

An intent is the furthest step taken: browse (products seen, nothing picked), cart, checkout. It decides
the delay. A cart suppresses the browse intent, a checkout the cart's: one cart has one intent.

The timer of a cart starts at its last change and, with `restart_on: activity`, again at each
activity of the person on any channel within the delay: someone who still browses has not left.
Activities are kept as instants, thinned so that none that could matter is lost: of three within
the shortest delay the middle one is. Activity after the due instant never undoes it.

An order closes the cart it names; failing that, the cart of its checkout id; failing that, every cart
of the person. It also closes each parallel cart whose products were all bought: shops give a
guest's cart a new id at registration (woocommerce-abandoned-cart #166), and the old one
must not send a reminder of what has just been paid. Of two who turn out to be one person, the latest order of either
closes the other's carts, too, that it names or covers, or all where it says no products; save those changed since.
"""

from __future__ import annotations

from typing import Any, Final

from operators import browse as browsing
from operators.activity import active_until, forget, has_settled, note
from operators.cart_lines import changed
from operators.cart_record import Abandoned, CartLine, CartRecord
from operators.cart_state import LIVE, Cart, Carts, Order, merge
from operators.event import FOREVER, Commerce, Event, rfc3339
from operators.ids import digest
from operators.rules import CartRules

CART_KINDS: Final = frozenset(
    {
        "product_added",
        "product_removed",
        "cart_viewed",
        "cart_updated",
        "checkout_started",
        "checkout_progressed",
        "order_completed",
    }
)
"""The kinds that change a cart; `product_viewed` feeds the browse intent only."""


class CartTracker:
    """The rules at work on the carts of one profile."""

    def __init__(self, rules: CartRules) -> None:
        """Keep `rules`; the tracker itself has no state."""
        self._browse_delay_ms = rules.browse_delay_ms
        self._cart_delay_ms = rules.cart_delay_ms
        self._checkout_delay_ms = rules.checkout_delay_ms
        self._browse_views_min = rules.browse_views_min
        self._restart_on_activity = rules.restart_on_activity
        self._thin_ms = rules.delay_ms_min
        self._age_ms_max = rules.age_ms_max
        self._carts_max = rules.carts_max
        self._lines_max = rules.lines_max

    def touch(self, carts: Carts, at: int) -> None:
        """Take in an activity of the person at `at`, in any order."""
        if self._restart_on_activity:
            note(carts.ticks, at, self._thin_ms)

    def settle(self, carts: Carts, now: int) -> None:
        """Forget activities up to `now`, having noted which carts they kept alive."""
        if not has_settled(carts.ticks, now):
            return
        past = [tick for tick in carts.ticks if tick <= now]  # what follows may come after a change of the delay
        for cart in carts.carts:
            if cart.state == "open":
                since = max(cart.changed_at, cart.active_at)
                cart.active_at = active_until(past, since, self._delay_ms(cart))
        if carts.browse is not None:
            carts.browse.active_at = browsing.active_at(carts.browse, carts.ticks, self._browse_delay_ms)
        forget(carts.ticks, now)

    def apply(self, carts: Carts, event: Event, profile_id: str, out: list[Any]) -> None:
        """Change the carts as `event` says; events come in event-time order, late ones excepted."""
        kind, commerce = event.kind, event.commerce
        if carts.carts:
            self._forget(carts, event.at)
        if kind == "order_completed":
            self._order(carts, event, profile_id, out)
        elif commerce is not None:
            cart = self._cart_of(carts, event, commerce)
            if cart is not None and (event.at > cart.closed_at or cart.state == "emptied"):
                self._change(cart, event, commerce, profile_id, out)
                carts.browse = None
                self._limit(carts)

    def view(self, carts: Carts, event: Event) -> None:
        """Take in a product view: it counts for the browse intent while nothing is in a cart."""
        if not self._has_open(carts):
            carts.browse = browsing.seen(carts.browse, event, carts.ticks, self._browse_delay_ms)

    def goes_on(self, carts: Carts, event: Event) -> bool:
        """Whether `event` only adds to a cart that is open already: then nothing is to be said of it yet."""
        kind, commerce = event.kind, event.commerce
        if commerce is None or kind not in ("product_added", "checkout_started", "checkout_progressed"):
            return False
        cart = _named(carts, commerce)
        if cart is None and not commerce.cart_id:
            cart = _latest(carts, event, is_checkout=kind != "product_added")
        is_filled = commerce.cart_value is None or commerce.cart_value > 0
        return cart is not None and cart.state == "open" and event.at > cart.changed_at and is_filled

    def due_at(self, carts: Carts) -> int:
        """The instant at which the next cart or browse intent is abandoned, or FOREVER."""
        due = FOREVER
        for cart in carts.carts:
            if cart.state == "open":
                due_at = self._cart_due_at(carts, cart)
                due = min(due, due_at)
        browse = carts.browse
        if browse is not None and browse.views >= self._browse_views_min:
            due = min(due, browsing.due_at(browse, carts.ticks, self._browse_delay_ms))
        return due

    def fire(self, carts: Carts, profile_id: str, now: int) -> list[Abandoned]:
        """Abandon what is due at `now`, that instant included, in the order of the due instants."""
        fired = []
        for cart in carts.carts:
            if cart.state == "open":
                due_at = self._cart_due_at(carts, cart)
                if due_at <= now:
                    fired.append(self._abandon(cart, profile_id, due_at))
        browse = carts.browse
        if browse is not None and browse.views >= self._browse_views_min:
            due_at = browsing.due_at(browse, carts.ticks, self._browse_delay_ms)
            if due_at <= now:
                carts.browse = None
                if not self._has_open(carts):
                    fired.append(browsing.abandoned(browse, profile_id, due_at, self._browse_delay_ms))
        fired.sort(key=lambda a: (a.due_at, a.cause_key))
        return fired

    def union(self, carts: Carts, others: Carts, profile_id: str, now: int, out: list[Any]) -> None:
        """Join the carts of a profile that turned out to be the same person into `carts`.

        Both sides are settled up to `now`. The same named cart on both sides becomes
        one: what was bought on either side stays bought, lines changed after that add up.
        """
        orders = [one for one in (carts.order, others.order) if one is not None]
        for other in others.carts:
            for cart in carts.carts:
                if cart.cart_id == other.cart_id:
                    merge(cart, other)
                    break
            else:
                carts.carts.append(other)
        carts.carts.sort(key=lambda c: (c.opened_at, c.cart_id))
        is_open = self._has_open(carts)
        carts.browse = None if is_open else browsing.union(carts.browse, others.browse, self._browse_delay_ms)
        for tick in others.ticks:
            self.touch(carts, tick)
        for order in sorted(orders, key=_order_key):
            self._buy(carts, order, profile_id, now, out)
            carts.order = order
        self._limit(carts)

    def _has_open(self, carts: Carts) -> bool:
        return bool(carts.carts) and any(cart.state == "open" for cart in carts.carts)

    def _delay_ms(self, cart: Cart) -> int:
        return self._checkout_delay_ms if cart.is_checkout else self._cart_delay_ms

    def _active_at(self, carts: Carts, cart: Cart) -> int:
        return active_until(carts.ticks, max(cart.changed_at, cart.active_at), self._delay_ms(cart))

    def _cart_due_at(self, carts: Carts, cart: Cart) -> int:
        return self._active_at(carts, cart) + self._delay_ms(cart)

    def _cart_of(self, carts: Carts, event: Event, commerce: Commerce) -> Cart | None:
        """The cart that `event` is about; a new one where the event can open one."""
        kind = event.kind
        is_checkout = kind == "checkout_started" or kind == "checkout_progressed"
        cart = _named(carts, commerce) or (None if commerce.cart_id else _latest(carts, event, is_checkout=is_checkout))
        if cart is not None and (cart.state in LIVE or cart.is_named):
            return cart
        if is_checkout and not (commerce.items or commerce.value):
            return None  # a checkout page opened on nothing is no cart
        if kind == "product_removed" or (not is_checkout and not commerce.items):
            return None
        cart_id = commerce.cart_id or digest("cart", event.visitor_id, event.at)[:16]
        cart = Cart(cart_id, event.visitor_id, bool(commerce.cart_id), event.at, "emptied")
        carts.carts.append(cart)
        return cart

    def _change(self, cart: Cart, event: Event, commerce: Commerce, profile_id: str, out: list[Any]) -> None:
        kind, was = event.kind, cart.state
        if was not in LIVE:
            if kind == "product_removed":
                return
            cart.opened_at, cart.lines, cart.stated_value = event.at, [], None
            cart.is_checkout, cart.checkout_id, cart.trigger_id = False, "", ""
            cart.was_abandoned = False
        if kind == "cart_viewed" and cart.lines:
            return  # looking at one's cart is an activity, not a change
        cart.lines = changed(cart.lines, kind, commerce, self._lines_max)
        if commerce.cart_value is not None:
            cart.stated_value = commerce.cart_value
        elif kind.startswith("checkout"):
            if not cart.lines and commerce.value is not None:
                cart.stated_value = commerce.value
        else:
            cart.stated_value = None
        if kind.startswith("checkout"):
            cart.is_checkout = True
            cart.checkout_id = commerce.checkout_id or cart.checkout_id
        cart.currency = commerce.currency or cart.currency
        cart.url = commerce.url or event.url or cart.url
        cart.changed_at = max(cart.changed_at, event.at)
        if not (cart.lines if cart.stated_value is None else cart.stated_value > 0):
            cart.state, cart.lines, cart.closed_at = "emptied", [], event.at
            cart.stated_value = None
            if was in LIVE:
                out.append(_record(cart, profile_id, event.at))
            return
        cart.state = "open"
        if was != "open":
            out.append(_record(cart, profile_id, event.at))

    def _order(self, carts: Carts, event: Event, profile_id: str, out: list[Any]) -> None:
        carts.browse = None
        commerce = event.commerce or Commerce()
        live = [cart for cart in carts.carts if cart.state in LIVE]
        named = _named(carts, commerce)
        bought = {item.product_id for item in commerce.items}
        if named is not None:
            bought.update(line.product_id for line in named.lines)
        for cart in live:
            covered = bool(cart.lines) and all(line.product_id in bought for line in cart.lines)
            if named is not None and cart is not named and cart.is_named and not covered:
                continue
            if event.at < cart.opened_at:
                continue  # a late order, older than this cart: it bought an earlier one
            _close(cart, profile_id, event.at, event.at, commerce.order_id, out)
        if carts.order is None or carts.order.at <= event.at:
            what = commerce.order_id, commerce.cart_id, commerce.checkout_id, sorted(bought)
            carts.order = Order(event.at, *what, named is None)

    def _buy(self, carts: Carts, order: Order, profile_id: str, now: int, out: list[Any]) -> None:
        """Close the carts that an order has bought, as turns out now."""
        if now - order.at > self._age_ms_max:
            return
        named = _named(carts, Commerce(cart_id=order.cart_id, checkout_id=order.checkout_id))
        bought = {*order.products}
        if named is not None and named.changed_at <= order.at:
            bought.update(line.product_id for line in named.lines)
        for cart in carts.carts:
            covered = bool(cart.lines) and all(line.product_id in bought for line in cart.lines)
            is_meant = cart is named or covered or (order.is_for_all and named is None and not order.products)
            if cart.state in LIVE and cart.changed_at <= order.at and is_meant:
                _close(cart, profile_id, order.at, now, order.order_id, out)

    def _abandon(self, cart: Cart, profile_id: str, due_at: int) -> Abandoned:
        delay_ms = self._delay_ms(cart)
        if due_at - cart.changed_at > self._age_ms_max:
            cart.state = "expired"
        else:
            cart.state = "abandoned"
            cart.was_abandoned = True
            cart.abandonments += 1
        key = digest("abandoned", cart.visitor_id, cart.cart_id, cart.abandonments)
        active_at = due_at - delay_ms
        record = _record(cart, profile_id, due_at, active_at=active_at)
        record.trigger_id = ""  # this abandonment's, if it gets one; an earlier one's stays with the cart
        return Abandoned(record, key, due_at, active_at)

    def _forget(self, carts: Carts, now: int) -> None:
        """Drop closed and abandoned carts that have not changed for the maximum age."""
        horizon = now - self._age_ms_max
        if any(c.state != "open" and c.changed_at < horizon for c in carts.carts):
            carts.carts = [c for c in carts.carts if c.state == "open" or c.changed_at >= horizon]

    def _limit(self, carts: Carts) -> None:
        """Forget closed carts first, then the ones unchanged for longest."""
        if len(carts.carts) > self._carts_max:
            keep = sorted(carts.carts, key=lambda c: (c.state == "open", c.changed_at, c.cart_id))
            carts.carts = sorted(keep[-self._carts_max :], key=lambda c: (c.opened_at, c.cart_id))


def _order_key(order: Order) -> tuple[int, str]:
    return order.at, order.order_id


def _close(cart: Cart, profile_id: str, bought_at: int, now: int, order_id: str, out: list[Any]) -> None:
    """Note and tell that a cart has been bought."""
    cart.state = "recovered" if cart.was_abandoned else "purchased"
    out.append(_record(cart, profile_id, now, order_id))
    cart.lines, cart.stated_value = [], None
    cart.closed_at = max(cart.closed_at, bought_at)


def _named(carts: Carts, commerce: Commerce) -> Cart | None:
    for cart in carts.carts:
        if commerce.cart_id and cart.is_named and cart.cart_id == commerce.cart_id:
            return cart
    for cart in carts.carts:
        if commerce.checkout_id and cart.checkout_id == commerce.checkout_id:
            return cart
    return None


def _latest(carts: Carts, event: Event, *, is_checkout: bool) -> Cart | None:
    """The live cart changed last: of the person for a checkout, of the device (unnamed) for the rest."""
    live = [
        cart
        for cart in carts.carts
        if cart.state in LIVE and (is_checkout or (cart.visitor_id == event.visitor_id and not cart.is_named))
    ]
    return max(live, key=lambda c: (c.changed_at, c.cart_id)) if live else None


def _record(cart: Cart, profile_id: str, now: int, order_id: str = "", active_at: int | None = None) -> CartRecord:
    cart.revision += 1
    return CartRecord(
        cart.cart_id,
        cart.visitor_id,
        profile_id,
        "checkout" if cart.is_checkout else "cart",
        cart.state,
        cart.value,
        cart.currency,
        tuple(CartLine(line.product_id, line.quantity, line.price, line.name) for line in cart.lines),
        rfc3339(cart.opened_at),
        rfc3339(cart.changed_at if active_at is None else active_at),
        rfc3339(now),
        cart.url,
        order_id,
        cart.trigger_id,
        cart.abandonments,
        cart.revision,
    )
