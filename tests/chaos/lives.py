"""
What the households of a chaos run do, each from its first page to its last, with what arrives late or twice.

Left out is what the documents give up: on a device nothing arrives late around a login on it; and a person with
two devices is there once, for all that a trigger on the event itself makes of two devices depends on which is read
first.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from operators.event import rfc3339
from tests.chaos.rules import Rules, ms

RESENT_SHARE: Final = 0.03
LATE_SHARE: Final = 0.15
# Of the lateness; the rest is for what the way through Kafka takes, and for a broker that has just gone away.
LATE_MAX: Final = 0.5

_encode: Final = msgspec.json.Encoder().encode


class Sent(NamedTuple):
    """A record on its way: when it is sent and when it happened (ms), its key, and its bytes."""

    sent_at: int
    at: int
    key: str
    line: bytes
    is_resent: bool = False


class Diary:
    """What one household does; time goes on from entry to entry."""

    def __init__(self, random: Random, rules: Rules, name: str, begin_at: int) -> None:
        """Begin at `begin_at` (ms)."""
        self.random, self.rules = random, rules
        self._name, self._at = name, begin_at
        self._is_segment = random.random() < 0.3
        self._done: list[tuple[int, str, dict[str, Any]]] = []
        self.user = f"{name}-user"

    def do(self, pause_s: float, device: str, kind: str, **told: Any) -> None:  # noqa: ANN401 -- as the format has it
        """Note that after a pause something is done on a device."""
        self._at += max(1, ms(pause_s))  # no two things at one instant
        self._done.append((self._at, device, {"kind": kind} | told))

    @property
    def now(self) -> int:
        """The instant (ms) of the last entry."""
        return self._at

    def sent(self) -> list[Sent]:
        """Return all of it as it is sent: some a little late, some twice."""
        random, lateness_ms = self.random, ms(self.rules.lateness)
        logins = [(at, device) for at, device, told in self._done if told["kind"] == "identified"]
        found = []
        for number, (at, device, told) in enumerate(self._done):
            near = any(device == where and abs(at - when) <= 2 * lateness_ms for when, where in logins)
            is_late = not near and random.random() < LATE_SHARE
            sent_at = at + (int(random.random() * LATE_MAX * lateness_ms) if is_late else 0)
            key = f"{self._name}.{device}"
            line = _encode(self._record(number, at, key, device, told))
            found.append(Sent(sent_at, at, key, line))
            if random.random() < RESENT_SHARE:
                again_at = sent_at + 1 + int(random.random() * 2 * lateness_ms)
                found.append(Sent(again_at, at, key, line, is_resent=True))
        return found

    def _record(self, number: int, at: int, key: str, device: str, told: dict[str, Any]) -> dict[str, Any]:
        event_id = f"{self._name}-{number}"
        if self._is_segment and told["kind"] in TRACKED:
            return _segment(event_id, at, key, device, told)
        channel = "app" if device == "b" else "web"
        url = "https://shop.example.com/"
        common = {"event_id": event_id, "occurred_at": at, "anonymous_id": key, "channel": channel, "url": url}
        return common | told


TRACKED: Final = {
    "product_viewed": "Product Viewed",
    "product_added": "Product Added",
    "checkout_started": "Checkout Started",
    "order_completed": "Order Completed",
}


def _segment(event_id: str, at: int, key: str, device: str, told: dict[str, Any]) -> dict[str, Any]:
    """Write the same as a Segment call."""
    properties = {name: told[name] for name in ("cart_id", "order_id") if name in told}
    if "items" in told:
        properties |= told["items"][0]
    return {
        "type": "track",
        "event": TRACKED[told["kind"]],
        "messageId": event_id,
        "anonymousId": key,
        "channel": "mobile" if device == "b" else "web",
        "timestamp": rfc3339(at),
        "properties": properties,
    }


def product(number: int) -> list[dict[str, Any]]:
    """Return one piece of a product."""
    return [{"product_id": f"p{number}", "quantity": 1, "price": 10.0 + number}]


def browse(diary: Diary) -> None:
    """Look at things, on some days often enough for an offer, and come back or not."""
    random, rules = diary.random, diary.rules
    for visit in range(random.randint(1, 3)):
        pause_s = random.uniform(0.3, 1.8) * (rules.gap + rules.lateness) if visit else 0
        diary.do(pause_s, "a", "page_viewed")
        for _ in range(random.randint(1, 6)):
            diary.do(random.uniform(0.2, 1.5), "a", "product_viewed", items=product(random.randrange(2)))


def shop(diary: Diary) -> None:
    """Fill carts, known or not, and buy them or not."""
    random, rules = diary.random, diary.rules
    when = random.choice(("never", "first", "with the cart", "after"))
    if when == "first":
        _login(diary, "a", 0)
    for number in range(random.randint(1, 2)):
        diary.do(random.uniform(0.5, 1.5) * rules.gap, "a", "product_viewed", items=product(random.randrange(3)))
        _fill(diary, f"{diary.user}-cart-{number}", login=when == "with the cart" and not number)
    if when == "after":
        _login(diary, "a", random.uniform(0.1, 2.0) * rules.cart)


def _fill(diary: Diary, cart: str, *, login: bool) -> None:
    random = diary.random
    for _ in range(random.randint(1, 3)):
        diary.do(random.uniform(0.2, 2), "a", "product_added", cart_id=cart, items=product(random.randrange(3)))
    if login:
        _login(diary, "a", random.uniform(0.2, 2))
    delay_s = diary.rules.cart
    if random.random() < 0.4:
        diary.do(random.uniform(0.2, 2), "a", "checkout_started", cart_id=cart)
        delay_s = diary.rules.checkout
    _finish(diary, "a", cart, delay_s)


def _finish(diary: Diary, device: str, cart: str, delay_s: float) -> None:
    """End a cart: what counts is on which side of its due time the order lies."""
    random = diary.random
    match random.choice(("abandon", "abandon", "soon", "before", "before", "after", "browse on", "empty")):
        case "soon":
            pause_s = random.uniform(0.2, 2)
        case "before":
            pause_s = delay_s - random.choice((0, 0.001, random.uniform(0, 2)))
        case "after":
            pause_s = delay_s + random.choice((0.001, random.uniform(0, diary.rules.lateness)))
        case "browse on":
            diary.do(delay_s * random.uniform(0.2, 0.9), device, "page_viewed")
            return
        case "empty":
            diary.do(random.uniform(0.2, 2), device, "cart_updated", cart_id=cart, items=[])
            return
        case _:
            return
    named = {"cart_id": cart} if random.random() < 0.7 else {}
    diary.do(pause_s, device, "order_completed", order_id=f"{cart}-order", **named)


def pair(diary: Diary) -> None:
    """Fill a cart on one device and buy it on another, as the same person."""
    random = diary.random
    cart = f"{diary.user}-cart"
    user = f"{diary.user}@example.com"
    if random.random() < 0.5:
        diary.do(0, "a", "identified", user_id=diary.user, email=user)
    diary.do(random.uniform(0.1, 0.5), "a", "product_added", cart_id=cart, items=product(1))
    diary.do(random.uniform(0.1, 0.5), "a", "product_added", cart_id=cart, items=product(2))
    diary.do(random.uniform(0.1, 0.5), "a", "identified", user_id=diary.user, email=user)
    delay_s = diary.rules.cart
    if random.random() < 0.5:
        diary.do(random.uniform(0.1, 0.5), "a", "checkout_started", cart_id=cart)
        delay_s = diary.rules.checkout
    diary.do(random.uniform(0.1, 0.5), "b", "identified", user_id=diary.user, email=user)
    _finish(diary, "b", cart, delay_s)


def _login(diary: Diary, device: str, pause_s: float) -> None:
    told = {"email": f"{diary.user}@example.com"}
    if diary.random.random() < 0.6:
        told["user_id"] = diary.user
    diary.do(pause_s, device, "identified", **told)


LIVES: Final[tuple[Callable[[Diary], None], ...]] = (browse, shop, shop, pair)


def life(random: Random, rules: Rules, name: str, begin_at: int) -> list[Sent]:
    """Invent the life of a household that begins at an instant (ms)."""
    diary = Diary(random, rules, name, begin_at)
    random.choice(LIVES)(diary)
    return diary.sent()


def household(key: str) -> str:
    """Return whose a key is."""
    return key.rpartition(".")[0]


def broken(number: int) -> bytes:
    """Return a line that nobody can read, unlike any other."""
    kinds = (
        b'{"broken":%d',
        b"[%d]",
        b'{"kind":"page_viewed","occurred_at":"never","anonymous_id":"broken-%d"}',
        b'{"kind":"page_viewed","occurred_at":1700000000000,"broken":%d}',
    )
    return kinds[number % len(kinds)] % number
