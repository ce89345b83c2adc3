"""A made-up day of a shop and its call centre: seeded, Segment-style JSON Lines in order of arrival.

Plan (`_Planner`): visits, e-mails, calls are cut from each visitor's number of lines, so the total is exact.
Play (`_Player`, `_Session`): visits become scripts, a letter a step, and steps become lines.
Arrive (`generate`): lines come in order of arrival, each less than `delay_ms_max` after what it tells of.
The same plan gives the same bytes everywhere: traits are hashes, chance is `Random.random`, logarithms come
from tables of whole numbers. Memory grows with visits, some 150 bytes each, not with lines.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from random import Random
from statistics import NormalDist
from typing import Literal, NamedTuple

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
Line = tuple[int, int, bytes]  # when it happened, when it arrived, its text


@dataclass(frozen=True, kw_only=True)
class TrafficPlan:
    """What to generate. Shares are fractions from 0 to 1; instants and durations are milliseconds."""

    events: int  # lines, exactly, repeated and malformed ones included
    visitors: int  # shoppers, each with a line at least; the second devices of some come on top
    seed: int
    start_at: int = 1_795_132_800_000  # 2026-11-20T00:00:00Z; visits start within `days` of it
    days: int = 1
    known_share: float = 0.20  # of visitors: they identify, one in four on two devices
    duplicate_share: float = 0.01  # of lines: sent again within five seconds
    skewed_share: float = 0.03  # of clients: their clock is wrong by minutes or hours
    delay_ms_max: int = 30_000  # every line arrives sooner than this after its event
    malformed_share: float = 0.0  # of lines: for the dead letters

    def __post_init__(self) -> None:
        limits: dict[str, tuple[int, float]] = {"events": (1, 10**9), "days": (1, 400)}
        limits |= {"delay_ms_max": (1, DAY_MS), "known_share": (0, 1), "skewed_share": (0, 1)}
        # Each repeated and each malformed line is made from a sound one of its own, and each visitor has one.
        limits |= {"duplicate_share": (0, 0.25), "malformed_share": (0, 0.25), "visitors": (1, self.sound)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)} but must lie between {low} and {high}")

    @property
    def sound(self) -> int:
        """Well-formed lines, each counted once."""
        return self.events - sum(round(self.events * x) for x in (self.duplicate_share, self.malformed_share))


# The shop, its people and their habits.
SHOP = "https://shop.example.com"
CATEGORIES = ("shoes", "outdoor", "kitchen", "garden", "audio", "lighting", "travel", "office")
PER_CATEGORY = 60  # products
BRANDS, COLOURS = ("Fjordline", "Alba", "Kessel", "Nordmark"), ("black", "white", "moss", "brick", "sand")
NAMES = ("Mara", "Jonas", "Zoë", "Emil", "Aylin", "Jörg", "Nina", "Tomasz", "Léa", "Sven")
PAGES = ("", "", "new", "sale", "help/delivery", "help/returns")
AGENT = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
SYSTEMS = ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
# Source, medium and name of what leads to a visit; the last is clicked in an e-mail about a cart left behind.
CAMPAIGNS = ("direct - -", "google cpc autumn", "instagram social cosy", "newsletter email reminder")
# Share of the visits that start in each hour: asleep at four, busiest after supper.
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 3, 5, 6, 6, 6, 6, 7, 7, 6, 6, 6, 7, 8, 9, 10, 8, 5, 3)
HOURS = tuple(hour for hour, weight in enumerate(HOUR_WEIGHTS) for _ in range(weight))
# Quantiles to draw from by index; rounded, so that the last bit of some machine's logarithm cannot matter.
MIDDLES = tuple((i + 0.5) / 4096 for i in range(4096))
GAPS_MS = tuple(min(round(math.exp(NormalDist(10.24, 1.1).inv_cdf(p))), 25 * MINUTE_MS - 1) for p in MIDDLES)
DELAYS_MS = tuple(round(-2_000 * math.log1p(-p)) for p in MIDDLES)
LENGTHS = tuple(1 + int(math.log1p(-p) / math.log1p(-1 / 15)) for p in MIDDLES)  # mean 15, before cuts
# What a visit is for, and how it can end, after browsing: one letter a step (see `_Session.step`).
Intent = Literal["browse", "buy", "leave", "return", "empty", "mail", "call"]
ENDS: dict[Intent, tuple[str, ...]] = {
    "buy": ("ako", "vakyo", "vackyo", "vavackyo", "vavacktyo"),
    "leave": ("a", "vac", "vavac", "vackv", "vacktp", "vavackty"),
    "return": ("ko", "cko", "ckyo", "pckyo", "cktyo"),
    "empty": ("vac",),  # then as many removals as the cart has lines
}
BROWSING = "vvvvvvpplls"
CART_STEPS = {  # path, event and what is special about it
    "c": ("/cart", "Cart Viewed", ""),
    "k": ("/checkout", "Checkout Started", ""),
    "t": ("/checkout", "Checkout Step Viewed", ',"step":2,"shipping_method":"parcel"'),
    "y": ("/checkout", "Payment Info Entered", ',"step":3,"payment_method":"card"'),
}
MAIL, CALL = ("Email Opened", "Email Link Clicked"), ("call_started", "call_answered", "call_ended")


def _bits(*words: object) -> int:
    """Sixty-four bits that only depend on the words: traits, so that none has to be stored."""
    return int.from_bytes(blake2b(repr(words).encode(), digest_size=8).digest(), "big")


def _product(number: int) -> tuple[int, str, str, str]:
    """An article: price in cents, path, JSON members in a line of a cart and in an event of its own."""
    category, bits = CATEGORIES[number // PER_CATEGORY], _bits("product", number)
    sku, brand, cents = f"{category[:3]}-{number:04d}", BRANDS[bits % 4], 490 + 5 * ((bits >> 8) % 97) ** 2
    brief = f'"product_id":"{sku}","name":"{brand} {category} {number}","price":{cents / 100:.2f}'
    full = f'{brief},"category":"{category}","currency":"EUR","url":"{SHOP}/{category}/{sku}"'
    return cents, f"/{category}/{sku}", brief, full


PRODUCTS = tuple(_product(number) for number in range(len(CATEGORIES) * PER_CATEGORY))


class _Person:
    """The traits of one visitor."""

    def __init__(self, plan: TrafficPlan, visitor: int) -> None:
        self.bits = bits = _bits(plan.seed, visitor)
        place = (bits & 0xFFFFF) / 0x100000  # leads stand first: so most callers are leads
        self.lead, self.caller = place < plan.known_share, place < 0.02 or place >= 0.99
        self.two_devices = self.lead and bits >> 20 & 3 == 0
        self.opted_in = self.lead and bits >> 22 & 15 < 10  # wants the shop's e-mail
        self.email = f"shopper{visitor}@example.com"
        self.phone = f"+49151{(visitor * 61_803_399 + plan.seed) % 10**8:08d}"

    def traits(self) -> str:
        """Members of an identify call's traits; consent is given, refused or not asked for."""
        email = f',"email_opt_in":{str(self.opted_in).lower()}' * (self.opted_in or self.bits >> 26 & 1)
        sms = ("", "", ',"sms_opt_in":false', ',"sms_opt_in":true')[self.bits >> 27 & 3]
        name = NAMES[(self.bits >> 30) % len(NAMES)]
        return f'"email":"{self.email}","phone":"{self.phone}","firstName":"{name}"{email}{sms}'


def _client(plan: TrafficPlan, visitor: int, device: int) -> tuple[str, str, int, bool]:
    """A browser or an app: ids, context, what its clock is ahead in ms, whether it sends all four times."""
    anonymous, bits = _bits(plan.seed, visitor, device), _bits(plan.seed, visitor, device, "traits")
    channel, library = ("mobile", "analytics-ios") if device else ("web", "analytics.js")
    ahead_ms = (2 * MINUTE_MS + (bits >> 24) % (5 * HOUR_MS)) * (1 if bits >> 20 & 1 else -1)
    skew_ms = ahead_ms if (bits & 0xFFFFF) < plan.skewed_share * 0x100000 else 0
    agent = "ExampleShop/5.2 (iPhone; iOS 18.1)" if device else AGENT.format(SYSTEMS[(bits >> 21) % 3])
    context = f'"userAgent":"{agent}","library":{{"name":"{library}","version":"4.1.8"}}'
    ids = f'"anonymousId":"{anonymous:016x}","channel":"{channel}"'
    return ids, context, skew_ms, skew_ms != 0 or bits >> 62 == 0


class _Visit(NamedTuple):
    """One visit, mailing or call; the order of the fields is the order of play."""

    start_at: int
    visitor: int
    length: int  # lines, exactly
    intent: Intent
    device: int = 0
    campaign: int = 0  # index in CAMPAIGNS


def _activity(lines: int, visitors: int) -> Iterator[int]:
    """Lines of each visitor: one, and of the rest by Zipf's law, its head cut to some 22 times the mean."""
    weights = [10**12 // (rank + visitors // 100 + 1) for rank in range(visitors)]
    total, passed, given = sum(weights), 0, 0
    for weight in weights:
        passed += weight
        due = passed * (lines - visitors) // total
        yield 1 + due - given
        given = due


class _Planner:
    """Cuts every visitor's lines into visits and gives each visit an hour and an intent."""

    def __init__(self, plan: TrafficPlan) -> None:
        self.plan, self.draw = plan, Random(f"plan {plan.seed}").random

    def visits(self) -> list[_Visit]:
        """All visits in order of their start; their lengths sum up to the sound lines of the plan."""
        counts = enumerate(_activity(self.plan.sound, self.plan.visitors))
        return sorted(visit for visitor, count in counts for visit in self._visits_of(visitor, count))

    def _moment(self) -> int:
        day, hour = int(self.draw() * self.plan.days), HOURS[int(self.draw() * len(HOURS))]
        return self.plan.start_at + day * DAY_MS + hour * HOUR_MS + int(self.draw() * HOUR_MS)

    def _visits_of(self, visitor: int, count: int) -> Iterator[_Visit]:
        """Visits of one visitor, and e-mails about carts left; a click in one leads to the next visit."""
        person, draw, lengths = _Person(self.plan, visitor), self.draw, list[int]()
        if person.caller and count > 1 + 3 * person.lead:  # one in five hangs up before an agent answers
            length = 2 if draw() < 0.2 else min(count, 3)
            count -= length
            yield _Visit(self._moment(), visitor, length, "call")
        while count > 0:
            lengths.append(min(count, LENGTHS[int(draw() * 4096)]))
            count -= lengths[-1]
        starts, cart_left, reminded = [*sorted(self._moment() for _ in lengths), 0], False, False
        for i, length in enumerate(lengths):
            intent = self._intent(length, cart_left=cart_left, reminded=reminded)
            cart_left = intent == "leave" or (cart_left and intent == "browse")
            # Of two devices, the first is for filling carts, the second for buying, any for looking round.
            device = int(draw() * 2) if intent == "browse" else int(intent in ("buy", "return"))
            campaign = -1 if reminded else int(draw() * (len(CAMPAIGNS) - 1))
            mailed = intent == "leave" and person.opted_in and length > 3 and draw() < 0.5
            mails = 1 + int(draw() * 2) if mailed else 0
            yield _Visit(starts[i], visitor, length - mails, intent, device * person.two_devices, campaign)
            reminded = mails == 2  # the first is opened, the second clicked within a minute
            if mails:
                mailed_at = starts[i] + HOUR_MS + int(draw() * 4 * HOUR_MS)
                starts[i + 1] = mailed_at + MINUTE_MS if reminded else starts[i + 1]
                yield _Visit(mailed_at, visitor, mails, "mail")

    def _intent(self, length: int, *, cart_left: bool, reminded: bool) -> Intent:
        chance = self.draw()
        if cart_left and length >= 3 and chance < (0.6 if reminded else 0.3):
            return "return"
        if chance < 0.26:
            return "buy" if chance < 0.08 and length >= 4 else "leave" if length >= 2 else "browse"
        return "empty" if chance < 0.29 and length >= 6 else "browse"


def _stamp(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def _track(event: str, properties: str) -> str:
    return f'"type":"track","event":"{event}","properties":{{{properties}}}'


class _Cart:
    """What somebody has in the cart, across visits and devices."""

    def __init__(self, number: str) -> None:
        self.id, self.quantities = f'"cart_id":"cart-{number}"', dict[int, int]()
        # Segment's specification has no cart id in checkouts and orders; half of the clients send it anyway.
        self.named = f'"checkout_id":"chk-{number}"' + (f",{self.id}" if _bits(number) & 1 else "")

    def content(self, total: str) -> str:
        """Members with the lines and their sum, under the name the event has for it."""
        items = [(*PRODUCTS[product], quantity) for product, quantity in self.quantities.items()]
        cents = sum(item[0] * item[4] for item in items)
        lines = ",".join(f'{{{brief},"quantity":{quantity}}}' for _, _, brief, _, quantity in items)
        return f'"{total}":{cents / 100:.2f},"currency":"EUR","products":[{lines}]'


class _Session:
    """One visit under way: where it is, what it looks at, what it does next."""

    def __init__(self, player: "_Player", visit: _Visit, person: _Person) -> None:
        self.player, self.visit, self.person, self.draw, self.path = player, visit, person, player.draw, "/"
        self.section = int(self.draw() * len(CATEGORIES))
        # It circles round eight articles, the popular more often, so that some pages are seen three times.
        self.choice = tuple(int((self.section + self.draw() * self.draw()) * PER_CATEGORY) for _ in range(8))
        self.product = self.choice[0]
        self.cart = player.carts.get(visit.visitor) or _Cart(f"{visit.visitor}-{player.number}")

    def script(self, *, identifies: bool) -> str:
        """As many steps as the visit has lines."""
        draw, intent, held = self.draw, self.visit.intent, len(self.cart.quantities)
        length = self.visit.length - identifies
        if intent == "return" and not held:
            intent = "buy"
        elif intent == "leave" and held > 5:  # a full cart is bought at last
            intent = "return"
        ends = [end for end in ENDS.get(intent, ()) if len(end) <= length] or [""]
        end = ends[int(draw() * len(ends))] + "r" * (held + 1 if intent == "empty" else 0)
        if intent == "browse" and length and self.visit.visitor in self.player.orders and draw() < 0.3:
            end = "f"
        browsing = "".join(BROWSING[int(draw() * len(BROWSING))] for _ in range(length - len(end)))
        steps = (browsing + end)[:length]
        # One signs in to an app first of all; in a browser early, or as a guest at the checkout.
        where = steps.find("k") if "k" in steps and draw() < 0.5 else int(draw() * min(4, length + 1))
        where = 0 if self.visit.device else where
        return f"{steps[:where]}i{steps[where:]}" if identifies else steps

    def step(self, letter: str) -> str:
        """Members that say what was done."""
        cart, category, visitor = self.cart, CATEGORIES[self.section], self.visit.visitor
        carts, orders = self.player.carts, self.player.orders
        match letter:
            case "i":
                return f'"type":"identify","traits":{{{self.person.traits()}}}'
            case "p":
                page = PAGES[int(self.draw() * len(PAGES))] if self.draw() < 0.5 else category
                self.path, title = f"/{page}", f"{page or 'home'} | Example Shop"
                return f'"type":"page","properties":{{"title":"{title}","path":"{self.path}"}}'
            case "l":
                self.path, shown = f"/{category}", ",".join(f"{{{PRODUCTS[p][2]}}}" for p in self.choice[:2])
                return _track("Product List Viewed", f'"list_id":"{category}","products":[{shown}]')
            case "s":
                self.path = "/search"
                return _track("Products Searched", f'"query":"{COLOURS[int(self.draw() * 5)]} {category}"')
            case "a":
                carts[visitor], product, quantity = cart, self.product, 1 + int(self.draw() * 1.3)
                cart.quantities[product] = cart.quantities.get(product, 0) + quantity
                return _track("Product Added", f'{cart.id},{PRODUCTS[product][3]},"quantity":{quantity}')
            case "r" if cart.quantities:
                product, quantity = cart.quantities.popitem()
                return _track("Product Removed", f'{cart.id},{PRODUCTS[product][3]},"quantity":{quantity}')
            case "c" | "k" | "t" | "y":
                self.path, event, special = CART_STEPS[letter]
                cart_id = cart.id if letter == "c" else cart.named
                return _track(event, f"{cart_id},{cart.content('value')}{special}")
            case "o":
                self.path, bought = "/thanks", carts.pop(visitor).content("total")
                orders[visitor] = f'"order_id":"order-{self.player.number}",{bought}'
                return _track("Order Completed", f"{orders[visitor]},{cart.named}")
            case "f":
                return _track("Order Refunded", orders.pop(visitor))
        self.product = self.choice[int(self.draw() * 8)]
        _, self.path, _, members = PRODUCTS[self.product]
        return _track("Product Viewed", f'{members},"position":{1 + int(self.draw() * 20)}')


class _Player:
    """Turns visits into lines; holds what outlives a visit."""

    def __init__(self, plan: TrafficPlan) -> None:
        self.plan, self.draw, self.number = plan, Random(f"play {plan.seed}").random, 0
        self.carts, self.orders = dict[int, _Cart](), dict[int, str]()  # by visitor
        self.identified = bytearray(plan.visitors * 2)  # by client

    def play(self, visit: _Visit) -> Iterator[Line]:
        """The lines of a visit to the shop, of an e-mail opened and clicked, or of a call."""
        person, at, talk_s = _Person(self.plan, visit.visitor), visit.start_at, 0
        if visit.intent not in ("mail", "call"):
            yield from self._browse(visit, person)
            return
        if visit.intent == "mail":
            channel, library, events = "email", "mailer", MAIL[: visit.length]
            what = f'"email_id":"mail-{self.number}","campaign_id":"cart-reminder","email":"{person.email}"'
        else:
            channel, library, events = "phone", "pbx-bridge", CALL[:: 4 - visit.length]
            what = f'"callId":"c-{self.number}","phone":"{person.phone}","direction":"inbound","queue":"de"'
        for event in events:
            body = _track(event, f'{what},"duration":{talk_s}' if event == "call_ended" else what)
            yield self._sent(at, f'"channel":"{channel}",{body}', f'"library":{{"name":"{library}"}}')
            talk_s = 20 + int(self.draw() * self.draw() * 1_200) if event == "call_answered" else 0
            at += talk_s * 1_000 or 4_000 + int(self.draw() * 46_000)

    def _browse(self, visit: _Visit, person: _Person) -> Iterator[Line]:
        session, at, place = _Session(self, visit, person), visit.start_at, visit.visitor * 2 + visit.device
        ids, client, skew_ms, four_times = _client(self.plan, visit.visitor, visit.device)
        source, medium, name = CAMPAIGNS[visit.campaign].split()
        utm = f'"campaign":{{"source":"{source}","medium":"{medium}","name":"{name}"}},' * (name != "-")
        referrer = f"https://www.{source}.com/" if medium in ("cpc", "social") else ""
        for letter in session.script(identifies=person.lead and not self.identified[place]):
            self.identified[place] |= letter == "i"
            user = f',"userId":"user-{visit.visitor}"' if self.identified[place] else ""
            body = f"{ids}{user},{session.step(letter)}"
            page = f'"page":{{"url":"{SHOP}{session.path}","path":"{session.path}","referrer":"{referrer}"}}'
            yield self._sent(at, body, f"{page},{utm}{client}", skew_ms, four_times=four_times)
            at += GAPS_MS[int(self.draw() * 4096)]
            utm, referrer = "", SHOP + session.path

    def _sent(self, at: int, body: str, context: str, skew_ms: int = 0, *, four_times: bool = False) -> Line:
        limit_ms, delay_ms = self.plan.delay_ms_max, DELAYS_MS[int(self.draw() * 4096)]
        delay_ms = min(int(self.draw() * limit_ms) if self.draw() < 0.01 else delay_ms, limit_ms - 1)
        self.number += 1
        times = f'"timestamp":"{_stamp(at + skew_ms)}","receivedAt":"{_stamp(at + delay_ms)}"'
        if four_times:  # received less the way from original to sent is the truth, whatever the clock says
            sent = _stamp(at + skew_ms + delay_ms)
            times += f',"originalTimestamp":"{_stamp(at + skew_ms)}","sentAt":"{sent}"'
        head = f'{{"messageId":"m-{self.plan.seed}-{self.number:08d}",{body},{times}'
        return at, at + delay_ms, f'{head},"context":{{{context}}}}}\n'.encode()


def _marks(share: float, plan: TrafficPlan, draw: Callable[[], float]) -> list[int]:
    """Numbers of as many sound lines as the share comes to: one by chance out of each of equal slices."""
    count = round(plan.events * share)
    return [1 + plan.sound * i // count + int(draw() * (plan.sound // count)) for i in range(count)]


def _spoil(number: int, line: bytes, arrived_at: int) -> bytes:
    """A line to reject: broken, no object, no UTF-8, without ids, of wrong types, or at an absurd time."""
    head, absurd = f'{{"messageId":"bad-{number}","type":"track","event":"view"', "9999-12-31T23:59:59.999Z"
    kinds = (
        line[: len(line) // 2],
        line[:-1].replace(b'"messageId":"', b'"messageId":"bad-\xff\xfe', 1),
        b'["Product Viewed"]',
        f'{head},"timestamp":"{_stamp(arrived_at)}","properties":{{}}}}'.encode(),
        f'{head},"anonymousId":{{"id":7}},"timestamp":true,"properties":"none"}}'.encode(),
        f'{head},"anonymousId":"a-{number}","timestamp":"2026-13-45T25:61:00.000Z"}}'.encode(),
        f'{head},"anonymousId":"a-{number}","timestamp":"{absurd}","receivedAt":"{absurd}"}}'.encode(),
    )
    return kinds[number % len(kinds)] + b"\n"


def generate(plan: TrafficPlan) -> Iterator[bytes]:
    """Exactly `plan.events` lines in order of arrival, each with its line end, made as they are read."""
    player, minute, draw = _Player(plan), plan.start_at // MINUTE_MS, Random(f"faults {plan.seed}").random
    repeated = frozenset(_marks(plan.duplicate_share, plan, draw))
    spoilt = {mark: number for number, mark in enumerate(_marks(plan.malformed_share, plan, draw))}
    # By minute; in each, the instant of arrival, a number that settles ties, and the text.
    arrivals: defaultdict[int, list[Line]] = defaultdict(list)
    for visit in _Planner(plan).visits():
        while minute < visit.start_at // MINUTE_MS:  # no visit to come can add to this minute any more
            yield from (text for _, _, text in sorted(arrivals.pop(minute, [])))
            minute += 1
        for at, arrived_at, text in player.play(visit):
            number = player.number
            arrivals[arrived_at // MINUTE_MS].append((arrived_at, number, text))
            if number in repeated:
                again_at = arrived_at + int(draw() * min(5_000, at + plan.delay_ms_max - arrived_at))
                arrivals[again_at // MINUTE_MS].append((again_at, number + plan.sound, text))
            if number in spoilt:
                bad = _spoil(spoilt[number], text, arrived_at)
                arrivals[arrived_at // MINUTE_MS].append((arrived_at, number + 2 * plan.sound, bad))
    for rest in sorted(arrivals):
        yield from (text for _, _, text in sorted(arrivals[rest]))
