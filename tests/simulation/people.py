"""
Who lives in a run: the households of `make chaos`, and others that have one way to the brokers for all they do.

Left out is what the documents give up (tests/chaos/lives.py tells): on a device nothing arrives late around a login
on it. And what links identifiers across devices comes through one partition, but for the pairs of lives.py: what
another partition has linked counts from when it is there, so which of two is first is anybody's guess (0008).

Left out too are two users of one device: the model knows one, and what the second is told on a visit or an offer may
bear the id of what the first was told.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from tests.chaos import lives as chaos
from tests.chaos.lives import Diary, Sent, broken, browse, pair, product, shop
from tests.chaos.rules import Rules
from tests.simulation.rules import LATE_MAX

PHONE: Final = "+4930%07d"
HOUSEHOLDS_MAX: Final = 6
# Within so many seconds everybody moves in, and the first may be gone by then.
ARRIVAL_S: Final = 15.0


def town(random: Random, rules: Rules, begin_at: int) -> list[Sent]:
    """Return what all households of a run send, and some broken lines, in the order of sending."""
    log: list[Sent] = []
    for number in range(random.randint(1, HOUSEHOLDS_MAX)):
        log += life(random, rules, f"h{number}", begin_at + random.randint(0, int(ARRIVAL_S * 1000)))
    for number in range(random.choice((0, 0, 1, 2))):
        at = begin_at + random.randint(0, int(2 * ARRIVAL_S * 1000))
        log.append(Sent(at, at, f"broken.{number}", broken(number)))
    return sorted(log, key=in_order)


def in_order(sent: Sent) -> tuple[int, int, str, bool]:
    """Return the place of a record among all that are sent."""
    return sent.sent_at, sent.at, sent.key, sent.is_resent


def life(random: Random, rules: Rules, name: str, begin_at: int) -> list[Sent]:
    """Invent the life of a household."""
    diary = Diary(random, rules, name, begin_at)
    lived = random.choice(LIVES)
    lived(diary)
    sent = [one if one.is_resent else _sooner(one) for one in diary.sent()]
    return [one._replace(key=name) for one in sent] if lived in TOGETHER else sent


def _sooner(sent: Sent) -> Sent:
    """Have a record that is late be less so."""
    return sent._replace(sent_at=sent.at + int((sent.sent_at - sent.at) * LATE_MAX / chaos.LATE_MAX))


def call(diary: Diary, pause_s: float, line: int = 0) -> None:
    """Call up from a telephone that says no more than its number."""
    number = PHONE % (int(diary.user.removeprefix("h").split("-")[0]) * 10 + line)
    diary.do(pause_s, "a", "call_answered", anonymous_id=None, channel="phone", phone=number, url=None)


def named(diary: Diary, pause_s: float, device: str, user: str, *, line: int | None = None) -> None:
    """Sign in on a device, with or without a telephone number."""
    told = {"user_id": user, "email": f"{user}@example.com"}
    if line is not None:
        told["phone"] = PHONE % (int(diary.user.removeprefix("h").split("-")[0]) * 10 + line)
    diary.do(pause_s, device, "identified", **told)


def caller(diary: Diary) -> None:
    """Call now and then; perhaps say at last who that is, and call again."""
    random, rules = diary.random, diary.rules
    for _ in range(random.randint(1, 4)):
        call(diary, random.choice((1.0, rules.gap, 1.5 * rules.gap)) * random.uniform(0.3, 1.0))
    if random.random() < 0.7:
        for _ in range(random.randint(0, 2)):
            diary.do(random.uniform(0.2, 3), "a", "product_viewed", items=product(random.randrange(2)))
        named(diary, random.uniform(0.2, 5), "a", diary.user, line=0)
        for _ in range(random.randint(0, 3)):
            call(diary, random.uniform(0.2, 1.5) * rules.gap)


def neighbours(diary: Diary) -> None:
    """Two people, each with a device, who share a telephone: once both have named it, it says nobody.

    The next call is then another visit: the one before is a lead's. A cart comes last, for the model takes no call for
    an activity of the person.
    """
    random, rules = diary.random, diary.rules
    call(diary, 0)
    named_by = set[str]()
    for step in random.sample(("a", "b", "call", "call", "view"), 5):
        pause_s = random.uniform(0.3, 0.9) * rules.gap
        if step == "call":
            call(diary, pause_s + rules.gap * (len(named_by) > 1))
        elif step == "view":
            diary.do(pause_s, "b", "product_viewed", items=product(1))
        else:
            line = random.choice((0, 0, None))
            named_by |= {step} if line is not None else set()
            named(diary, pause_s, step, f"{diary.user}-{step}", line=line)
    if random.random() < 0.5:
        diary.do(random.uniform(0.2, 2), "a", "product_added", cart_id=f"{diary.user}-cart", items=product(2))
        if random.random() < 0.7:
            order_s = rules.cart - random.choice((0, 0.001, 2))
            diary.do(order_s, "a", "order_completed", order_id=f"{diary.user}-order")


def devices(diary: Diary) -> None:
    """Fill a cart on one device and buy it on the other, signed in on both before, with or after the cart."""
    random, rules = diary.random, diary.rules
    cart, delay_s = f"{diary.user}-cart", rules.cart
    logins = random.sample(("a", "b"), 2)
    early = random.randint(0, 2)
    for device in logins[:early]:
        named(diary, random.uniform(0, 0.5) * rules.gap, device, diary.user)
    for _ in range(random.randint(1, 3)):
        diary.do(random.uniform(0.2, 2), "a", "product_added", cart_id=cart, items=product(random.randrange(3)))
    for device in logins[early:]:
        named(diary, random.uniform(0.1, 0.9), device, diary.user)
    # What comes after the last login is counted from there: an activity of the person.
    pause_s = delay_s + random.choice((-2.0, -0.001, 0.0, 0.001, 2.0, 3 * rules.lateness))
    if random.random() < 0.8:
        diary.do(pause_s, "b", "order_completed", order_id=f"{cart}-order", cart_id=cart)


def accounts(diary: Diary) -> None:
    """Be two leads, by address on one device and by name on the other, until both are told together: a cart each.

    The order comes from either device, before or after that, on either side of the instant at which a cart is due.
    """
    random, rules = diary.random, diary.rules
    user, email = diary.user, f"{diary.user}@example.com"
    halves: list[tuple[str, dict[str, str]]] = [("a", {"email": email}), ("b", {"user_id": user})]
    for device, told in random.sample(halves, 2):
        if random.random() < 0.3:
            diary.do(random.uniform(0.2, 2), device, "product_viewed", items=product(0))
        diary.do(random.uniform(0.2, 0.5) * rules.gap, device, "identified", **told)
    steps = ["join", *random.sample(("fill a", "fill b", "fill a", "page", "call"), random.randint(1, 4))]
    for step in random.sample(steps, len(steps)):
        pause_s = random.uniform(0.1, 0.4) * rules.cart
        if step == "join":
            diary.do(pause_s, random.choice(("a", "b")), "identified", user_id=user, email=email)
        elif step == "page":
            diary.do(pause_s, random.choice(("a", "b")), "page_viewed")
        elif step == "call":
            call(diary, pause_s)
        else:
            diary.do(pause_s, step[-1], "product_added", cart_id=f"{user}-{step[-1]}", items=product(1))
    if random.random() < 0.7:
        pause_s = rules.cart + random.choice((-2.0, -0.001, 0.0, 0.001, 2.0))
        diary.do(pause_s, random.choice(("a", "b")), "order_completed", order_id=f"{user}-order")


LIVES: Final[tuple[Callable[[Diary], None], ...]] = (
    browse,
    shop,
    shop,
    pair,
    caller,
    neighbours,
    devices,
    accounts,
    accounts,
)
TOGETHER: Final = frozenset({caller, neighbours, devices, accounts})
"""Those who send all they do under one key."""
