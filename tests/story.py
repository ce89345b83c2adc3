"""
A shop's day told as a story: what people do, at what time, and what nextmove makes of it.

`Loop` carries events through the rules as the flow does, without an engine: resolve by
`operators/identity.py`, then visitors, then leads, each a `Half` that does what `pipeline/key_groups.py` does
for one key group. A state lies as msgpack bytes between any two calls, so what does not survive a checkpoint
does not survive here.

`Story` is the language on top. Times are of 21 November 2026, "10:00" or "10:00:00.001"; "day 3 10:00" is two
days later. An event moves the watermark to its own time less the allowed lateness; `time`, and every
expectation, moves it to the instant named, that instant included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final, TypeVar

import msgspec

from config.settings import Settings
from connectors.memory import MemoryIdentity
from operators.attribution_record import AttributionRecord
from operators.call_record import CallRecord
from operators.cart_record import CartRecord
from operators.decision import Decider
from operators.event import FOREVER, Commerce, Event, Item, Kind, rfc3339
from operators.event import unpack as unpack_event
from operators.identity import caller_key, settled
from operators.identity_record import IdentityRecord
from operators.planning import plan
from operators.profile import Output, ProfileOperator
from operators.profile_record import ProfileRecord
from operators.profile_state import HandOver, Profile, pack, unpack
from operators.rejected import Rejected
from operators.rule_book import Book
from operators.session_record import SessionRecord
from operators.trigger import Retraction, RuleFault, Suppressed, Trigger
from tests import journeys
from tests.records import told

DAY_1: Final = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp()) * 1000
DAY_MS: Final = 86_400_000
ANON: Final = "anon-7"
"""Who acts where nobody is named."""

# A timer that fires and is due again at once, this often, would hang the flow.
FIRED_MAX: Final = 1_000

Record = Output | IdentityRecord
R = TypeVar("R", bound=Record)


def instant(text: str) -> int:
    """Read "10:00", "10:00:30", "10:00:00.001" or "day 3 10:00"."""
    day = 1
    if text.startswith("day "):
        _, number, text = text.split()
        day = int(number)
    hours, minutes, *rest = text.split(":")
    seconds_ms = round(float(rest[0]) * 1000) if rest else 0
    return DAY_1 + (day - 1) * DAY_MS + (int(hours) * 60 + int(minutes)) * 60_000 + seconds_ms


def clock(at: int | str) -> str:
    """Write an instant, or its form on the wire, as `instant` reads it."""
    if isinstance(at, str):
        at = round(datetime.fromisoformat(at).timestamp() * 1000)
    day, of_day_ms = divmod(at - DAY_1, DAY_MS)
    text = rfc3339(at)[11:-1].removesuffix(".000")
    if of_day_ms % 60_000 == 0:
        text = text[:5]
    return text if day == 0 else f"day {day + 1} {text}"


def replaced(event: Event, **more: object) -> Event:
    """Copy `event`, some of its fields changed."""
    copy = unpack_event(event.pack())
    for name, value in more.items():
        assert hasattr(copy, name), f"an event has no {name}"
        setattr(copy, name, value)
    return copy


class Half:
    """Visitors or leads: what one key group does for one operator."""

    def __init__(self, operator: ProfileOperator) -> None:
        self.operator = operator
        self.watermark = -1
        self._rest: dict[str, bytes] = {}
        self._due: dict[str, int] = {}

    def state(self, key: str) -> Profile | None:
        raw = self._rest.get(key)
        return None if raw is None else unpack(key, raw)

    def profiles(self) -> list[tuple[str, Profile]]:
        """List all states with their keys."""
        return [(key, unpack(key, raw)) for key, raw in sorted(self._rest.items())]

    def take(self, event: Event) -> list[Output]:
        """Let fire what the event's mark allows, then take the event in."""
        out = self.advance(event.mark)
        key = event.profile_id
        state, more = self.operator.on_event(key, self.state(key), event, self.watermark)
        self._put(key, state)
        return out + more

    def advance(self, watermark: int) -> list[Output]:
        """Fire what is due. The end of the input is the end of time for timers, but not a mark to keep."""
        out: list[Output] = []
        if self.watermark < watermark < FOREVER:
            self.watermark = watermark
        for fired in range(FIRED_MAX):
            due = [(due_at, key) for key, due_at in self._due.items() if due_at <= watermark]
            if not due:
                break
            assert fired < FIRED_MAX - 1, f"the timer of {min(due)[1]!r} is due again and again"
            key = min(due)[1]
            state = self.state(key)
            assert state is not None, f"a timer of {key!r}, which has no state"
            state, more = self.operator.on_timer(key, state, watermark)
            self._put(key, state)
            out += more
        return out

    def let_go(self, key: str) -> Profile | None:
        state = self.state(key)
        self._put(key, None)
        return state

    def take_in(self, visitor: Profile | None, handover: HandOver) -> None:
        self._put(handover.to, self.operator.absorb(self.state(handover.to), visitor, handover))

    def sweep(self, now: int) -> list[Output]:
        """Expire what is over."""
        out: list[Output] = []
        for key, state in self.profiles():
            if state.last_at + self.operator.retention_ms <= now:
                out += self.operator.expire(key, state)
                self._put(key, None)
        return out

    def _put(self, key: str, state: Profile | None) -> None:
        self._rest.pop(key, None)
        self._due.pop(key, None)
        if state is not None:
            self._rest[key] = pack(key, state)
            due_at = state.due_at
            if due_at < FOREVER:
                self._due[key] = due_at


class Loop:
    """The flow from resolved events to records, for one source partition."""

    def __init__(self, settings: Settings, book: Book) -> None:
        self.decider = Decider(book)
        self.visitors = Half(ProfileOperator(settings.visitor_rules(), self.decider))
        self.leads = Half(ProfileOperator(settings.lead_rules(), self.decider))
        self._rules_of = cache(settings.identity.rules)
        self._store = MemoryIdentity()
        self.links = self._store.look_up([])
        self.records: list[Record] = told([])
        self.mark = -1
        self.top_at = -1
        self._lateness_ms = settings.source.lateness_ms

    def take(self, events: Sequence[Event]) -> None:
        """Work through one batch: visitors and hand-overs as they come, then leads, absorptions in their place."""
        passing: list[Event | HandOver | tuple[HandOver, Profile | None]] = []
        for event in events:
            event.mark = self.mark
            self.top_at = max(self.top_at, event.at)
            self.mark = max(self.mark, self.top_at - self._lateness_ms - 1)
            is_lead, handovers, merged = self._resolve(event)
            for handover in handovers:
                self.records += self.visitors.advance(event.mark)
                passing.append((handover, self.visitors.let_go(handover.profile_id)))
            passing += merged
            if is_lead:
                passing.append(event)
            else:
                self.records += self.visitors.take(event)
        for item in passing:
            if isinstance(item, Event):
                self.records += self.leads.take(item)
            elif isinstance(item, HandOver):
                self.records += self.leads.advance(item.mark)
                self.leads.take_in(self.leads.let_go(item.profile_id), item)
            else:
                self.records += self.leads.advance(item[0].mark)
                self.leads.take_in(item[1], item[0])

    def advance(self, watermark: int | None = None) -> None:
        """Bring a marker to both halves: of the instant given, else of the events so far."""
        if watermark is None:
            watermark = self.mark
        elif watermark < FOREVER:
            self.mark = max(self.mark, watermark)
        for half in (self.visitors, self.leads):
            self.records += half.advance(watermark)
            self.records += half.sweep(min(watermark, self.top_at))

    def _resolve(self, event: Event) -> tuple[bool, list[HandOver], list[HandOver]]:
        """Return whether the event is a lead's, which visitors have become that one, and which leads."""
        lead = settled(event, self.links)
        if lead is not None:
            event.profile_id = lead
            return True, [], []
        found = plan(event, self.links, self._rules_of(event.partition))
        event.profile_id = found.profile_id
        self._store.link(found.links, event, self.links)
        self.records += found.records
        hand_over = partial(HandOver, to=found.profile_id, at=event.at, event_id=event.event_id, mark=event.mark)
        visitors = [hand_over(key, visitor) for key, visitor in found.handed_over]
        return found.is_lead, visitors, [hand_over(loser, "") for loser in found.merged]


@dataclass(frozen=True)
class Nudge:
    """A trigger: to whom, what, for a cause of what instant, by which channel."""

    to: str
    action: str
    at: str
    channel: str = "email"


@dataclass(frozen=True)
class Held:
    """A trigger that was not sent, and why."""

    to: str
    action: str
    at: str
    reason: str


@dataclass(frozen=True)
class Taken:
    """A trigger taken back: from whom, what, why, and at what instant of what undid it."""

    to: str
    action: str
    at: str
    reason: str


@dataclass(frozen=True)
class Credit:
    """An order credited to an action by a touch of what instant; taken back if there is no action."""

    order: str
    action: str = ""
    touch: str = ""
    at: str = ""


@dataclass(frozen=True)
class Visit:
    """A session as published; `of` is the profile."""

    by: str
    start: str
    end: str
    events: int = 1
    revision: int = 1
    channel: str = "web"
    state: str = "closed"
    of: str = ANON


@dataclass(frozen=True)
class CartNews:
    """A cart as published when its state changed; that of a browse intent is named after its product."""

    cart: str
    state: str
    at: str
    value: float
    intent: str = "cart"
    of: str = ANON


class Story:
    """A shop, its people and what nextmove has said so far."""

    def __init__(self, settings: Settings | None = None, book: Book | None = None) -> None:
        self.loop = Loop(settings or Settings(), book or journeys.book())
        self._told = 0
        self._events = 0
        self._callers: dict[str, str] = {}

    def at(self, time: str) -> "Moment":
        return Moment(self, time)

    def time(self, time: str) -> None:
        """Let event time be complete up to this instant."""
        self.loop.advance(instant(time))

    def ends(self) -> None:
        """Read the input to its end: whatever is due will be."""
        self.loop.advance(FOREVER)

    def tell(self, event: Event) -> None:
        """Let an event happen; a marker follows each."""
        self._events += 1
        event.event_id = event.event_id or f"e{self._events:04d}"
        event.position = self._events
        if event.phone:
            self._callers[caller_key(event.phone)] = event.phone
        self.loop.take([event])
        self.loop.advance()

    def name(self, profile_id: str) -> str:
        """Name a profile as the story does: leads by user id or e-mail, callers by number."""
        known = sorted(name for name, lead in self.loop.links.items() if lead == profile_id)
        named = [name[2:] for type_ in "ue" for name in known if name.startswith(type_ + ":")]
        return named[0] if named else self._callers.get(profile_id, profile_id)

    def news(self) -> list[Nudge | Held | Taken]:
        """Tell what was decided since the last time this was asked."""
        since, self._told = self._told, len(self.loop.records)
        decisions = [r for r in self.loop.records[since:] if isinstance(r, Trigger | Suppressed | Retraction)]
        return [self._decision(record) for record in decisions]

    def faults(self) -> list[tuple[str, str]]:
        """Tell which part of which rule has had no value for somebody."""
        return [(fault.rule, fault.part) for fault in self.of(RuleFault)]

    def credits(self) -> list[Credit]:
        """Tell all that was said of who has brought orders."""
        return [
            Credit(r.order_id, r.action, r.touch, clock(r.touched_at) if r.touched_at else "")
            for r in self.of(AttributionRecord)
        ]

    def triggers(self) -> list[Trigger]:
        return self.of(Trigger)

    def suppressed(self) -> list[Suppressed]:
        return self.of(Suppressed)

    def rejected(self) -> list[Rejected]:
        return self.of(Rejected)

    def identity(self) -> list[IdentityRecord]:
        return self.of(IdentityRecord)

    def profiles(self) -> list[ProfileRecord]:
        return self.of(ProfileRecord)

    def sessions(self) -> list[Visit]:
        """All sessions published, all revisions, in the order of publication."""
        return [
            Visit(
                s.visitor_id,
                clock(s.started_at),
                clock(s.ended_at),
                s.events,
                s.revision,
                s.channel,
                s.state,
                self.name(s.profile_id),
            )
            for s in self.of(SessionRecord)
        ]

    def carts(self) -> list[CartNews]:
        """All news of carts, in the order of publication."""
        return [
            CartNews(
                c.lines[0].product_id if c.intent == "browse" else c.cart_id,
                c.state,
                clock(c.changed_at),
                c.value,
                c.intent,
                self.name(c.profile_id),
            )
            for c in self.of(CartRecord)
        ]

    def of(self, type_: type[R]) -> list[R]:
        return [record for record in self.loop.records if isinstance(record, type_)]

    def profile(self, name: str) -> Profile:
        """Look into the state of a profile by the name the story gives it."""
        for half in (self.loop.visitors, self.loop.leads):
            for key, state in half.profiles():
                if self.name(key) == name:
                    return state
        raise AssertionError(f"nobody is called {name!r}")

    def _decision(self, record: Trigger | Suppressed | Retraction) -> Nudge | Held | Taken:
        to, at = self.name(record.profile_id), clock(record.cause.time)
        if isinstance(record, Trigger):
            return Nudge(to, record.action, at, record.channel)
        if isinstance(record, Retraction):
            return Taken(to, record.action, at, record.reason)
        return Held(to, record.action, at, record.reason)


class Moment:
    """An instant of a story, at which people do things and nextmove is expected to have spoken."""

    def __init__(self, story: Story, time: str) -> None:
        self._story = story
        self._at = instant(time)

    def expects(self, *decisions: Nudge | Held | Taken) -> None:
        """By this instant exactly these decisions were taken since the last time; each person's in order."""
        self._story.loop.advance(self._at)
        told = self._story.news()
        expected = sorted(decisions, key=lambda decision: decision.to)
        decided = sorted(told, key=lambda decision: decision.to)
        assert decided == expected, f"by {clock(self._at)} was decided: {told}"

    def expects_nothing(self) -> None:
        self.expects()

    def reads(self, url: str = "", by: str = ANON, **more: object) -> "Moment":
        """View a page."""
        return self.happens("page_viewed", by, url=url, **more)

    def leaves(self, by: str = ANON, **more: object) -> "Moment":
        return self.happens("page_left", by, **more)

    def searches(self, query: str, by: str = ANON, **more: object) -> "Moment":
        return self.happens("searched", by, query=query, **more)

    def views(self, product: str, by: str = ANON, *, category: str = "", **more: object) -> "Moment":
        """View a product."""
        item = Item(product, category=category)
        return self.happens("product_viewed", by, commerce=Commerce((item,)), **more)

    def adds(self, product: str, price: float = 30.0, cart: str = "c1", by: str = ANON, **more: object) -> "Moment":
        commerce = Commerce((Item(product, price=price),), cart_id=cart, currency="EUR")
        return self.happens("product_added", by, commerce=commerce, **more)

    def removes(self, product: str, cart: str = "c1", by: str = ANON, **more: object) -> "Moment":
        commerce = Commerce((Item(product),), cart_id=cart)
        return self.happens("product_removed", by, commerce=commerce, **more)

    def empties(self, cart: str = "c1", by: str = ANON, **more: object) -> "Moment":
        """Update a cart to hold nothing."""
        return self.happens("cart_updated", by, commerce=Commerce(cart_id=cart), **more)

    def updates(self, cart: str = "c1", total: float | None = None, by: str = ANON, **more: object) -> "Moment":
        """Have the shop say what the whole cart is worth."""
        items = () if total == 0 else (Item("kettle", price=total or 0.0),)
        commerce = Commerce(items, cart_id=cart, cart_value=total)
        return self.happens("cart_updated", by, commerce=commerce, **more)

    def checks_out(self, cart: str = "c1", by: str = ANON, *, checkout: str = "", **more: object) -> "Moment":
        commerce = Commerce(cart_id=cart, checkout_id=checkout)
        return self.happens("checkout_started", by, commerce=commerce, **more)

    def orders(self, *products: str, cart: str = "", by: str = ANON, order: str = "o1", **more: object) -> "Moment":
        """Buy; `value=` and `checkout=` as the shop says them."""
        value, checkout = more.pop("value", None), more.pop("checkout", "")
        told: dict[str, Any] = {"value": value, "checkout_id": checkout, "currency": "EUR"}
        commerce = Commerce(tuple(map(Item, products)), cart_id=cart, order_id=order, **told)
        return self.happens("order_completed", by, commerce=commerce, **more)

    def identifies(self, by: str = ANON, *, as_: str = "", email: str = "", **more: object) -> "Moment":
        """Log in, register or subscribe: the device says who its user is."""
        return self.happens("identified", by, user_id=as_, email=email, **more)

    def calls(self, phone: str, call: str = "call-1", **more: object) -> "Moment":
        """Ring; a caller has no device."""
        return self.happens("call_ringing", "", phone=phone, channel="phone", call_id=call, **more)

    def hangs_up(self, phone: str, call: str = "call-1", **more: object) -> "Moment":
        """End a call."""
        return self.happens("call_ended", "", phone=phone, channel="phone", call_id=call, **more)

    def declines(self, by: str = ANON, **more: object) -> "Moment":
        """Say no, to a trigger if one is named by `to=`."""
        return self._answers("offer_declined", by, more)

    def accepts(self, to: str, by: str = ANON, **more: object) -> "Moment":
        """Say yes to a trigger."""
        return self._answers("offer_accepted", by, {"to": to} | more)

    def is_shown(self, to: str, by: str = ANON, **more: object) -> "Moment":
        """See what a trigger has asked for."""
        return self._answers("offer_shown", by, {"to": to} | more)

    def receives(self, to: str, by: str = ANON, **more: object) -> "Moment":
        """Have the letter of a trigger in one's box."""
        return self._answers("email_delivered", by, {"to": to, "channel": "email"} | more)

    def opens(self, to: str, by: str = ANON, **more: object) -> "Moment":
        """Open the letter of a trigger."""
        return self._answers("email_opened", by, {"to": to, "channel": "email"} | more)

    def clicks(self, to: str, by: str = ANON, **more: object) -> "Moment":
        """Click on a link in the letter of a trigger."""
        return self._answers("email_clicked", by, {"to": to, "channel": "email"} | more)

    def bounces(self, to: str, by: str = ANON, **more: object) -> "Moment":
        """Have the letter of a trigger come back."""
        return self._answers("email_bounced", by, {"to": to, "channel": "email"} | more)

    def complains(self, to: str, by: str = ANON, **more: object) -> "Moment":
        """Call the letter of a trigger spam."""
        return self._answers("email_complained", by, {"to": to, "channel": "email"} | more)

    def opts_out(self, by: str = ANON, channel: str = "email", **more: object) -> "Moment":
        return self.happens("consent_withdrawn", by, consents={channel: False}, **more)

    def opts_in(self, by: str = ANON, channel: str = "email", **more: object) -> "Moment":
        return self.happens("consent_given", by, consents={channel: True}, **more)

    def happens(self, kind: Kind, by: str, **more: object) -> "Moment":
        """Let an event of any kind happen.

        `session=` is the client's own session id, `properties=` what else the source tells, `call=` the record of a
        call that is over.
        """
        properties, call = more.pop("properties", None), more.pop("call", None)
        told: dict[str, Any] = {"channel": "web", "client_session_id": more.pop("session", "")} | more
        visitor = by or next(str(told[name]) for name in ("phone", "user_id", "email") if told.get(name))
        told = {"event_id": "", "visitor_id": visitor, "anonymous_id": by} | told
        event = Event(kind, self._at, **told)
        if properties is not None:
            event.properties = msgspec.json.encode(properties)
        if isinstance(call, CallRecord):
            event.call, event.is_moment = call, True
        self._story.tell(event)
        return self

    def _answers(self, kind: Kind, by: str, more: dict[str, Any]) -> "Moment":
        to = more.pop("to", "")
        return self.happens(kind, by, **({"properties": {"trigger_id": to}} if to else {}), **more)
