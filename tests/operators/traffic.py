"""
Invented days for the laws: what people do, in which order it arrives, in which batches.

Pauses are drawn from both sides of each boundary there is, so that small days meet them often.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from hypothesis import strategies as st

from config.settings import CartSettings, Settings
from config.visits import GapSettings, SessionSettings
from operators.event import FOREVER, Commerce, Event, Item
from operators.session_record import SessionRecord
from operators.trigger import Suppressed, Trigger
from tests import journeys
from tests.story import DAY_1, Loop, replaced

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
LATENESS: Final = 30 * SECOND

# fmt: off
PAUSES: Final = (
    1, SECOND, 9_999, 10 * SECOND, LATENESS - 1, LATENESS, LATENESS + 1,
    10 * MINUTE, 20 * MINUTE - 1, 20 * MINUTE, 29 * MINUTE + 50 * SECOND,
    30 * MINUTE - 1, 30 * MINUTE, 30 * MINUTE + 1, 30 * MINUTE + LATENESS, 30 * MINUTE + LATENESS + 1,
    45 * MINUTE, 60 * MINUTE, 60 * MINUTE + 1, 3 * HOUR,
)
# fmt: on

USERS: Final = {"d1": "mara", "d2": "mara", "d3": "joe"}
"""Whose each device is; that of nobody, d4, never says."""

BOOK: Final = journeys.book(abandonment_cooldown="0s")
"""Nothing is held back but by a decline, so that there is something to mix up."""

ABANDONMENTS: Final = frozenset({"cart_abandoned", "checkout_abandoned", "browse_abandoned"})


def settings(restart_on: str = "activity", *, browse_views: int = 3, **session: int) -> Settings:
    """Shipped settings, but for a shorter checkout delay and app gap, so that there is something to mix up."""
    cart: dict[str, Any] = {"restart_on": restart_on}
    return Settings(
        cart=CartSettings(checkout_delay_ms=20 * MINUTE, browse_views_min=browse_views, **cart),
        session=SessionSettings(gap=GapSettings(app_ms=20 * MINUTE), **session),
    )


@st.composite
def days(
    draw: st.DrawFn,
    devices: Sequence[str] = ("d1", "d2", "d3", "d4"),
    *,
    are_carts_named: bool = True,
    has_logins: bool = True,
    has_accounts: bool = False,
    count_max: int = 16,
) -> list[Event]:
    """A log in the order of time, no two events at one instant, of one device or of several.

    With accounts, each device begins with what its user says there first: half of a login.
    """
    devices = draw(st.sampled_from([devices, devices, devices[:2], devices[:1], devices[-1:]]))
    kinds = ["read", "view", "add", "add", "empty", "checkout", "order", "remove"]
    if has_logins:
        kinds.append("login")
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(PAUSES),
                st.sampled_from(devices),
                st.sampled_from(kinds),
                st.integers(0, 2),
            ),
            min_size=1,
            max_size=count_max,
        )
    )
    if has_accounts:
        steps = [(1, device, "half a login", 0) for device in devices] + steps
    at, log = DAY_1 + 10 * HOUR, []
    for number, (pause_ms, device, kind, choice) in enumerate(steps):
        at += pause_ms
        log.append(event_of(number, at, device, kind, choice, are_carts_named))
    return log


def event_of(
    number: int,
    at: int,
    device: str,
    kind: str,
    choice: int,
    is_named: bool,  # noqa: FBT001
) -> Event:
    """What a device does, by the words of `days`; of what it does not know, it reads a page."""
    cart_id = f"{device}-c{choice % 2}" if is_named else ""
    item = Item(f"p{choice}", price=10.0 + choice)
    told: dict[str, Any] = {"event_id": f"e{number:03d}", "visitor_id": device, "anonymous_id": device}
    told["channel"] = "app" if device == "d2" else "web"
    if kind == "view":
        return Event("product_viewed", at, commerce=Commerce((item,)), **told)
    if kind == "add":
        return Event("product_added", at, commerce=Commerce((item,), cart_id=cart_id), **told)
    if kind == "remove" and not is_named:
        return Event("product_removed", at, commerce=Commerce((item,), cart_id=cart_id), **told)
    if kind == "empty":
        return Event("cart_updated", at, commerce=Commerce(cart_id=cart_id), **told)
    if kind == "checkout":
        return Event("checkout_started", at, commerce=Commerce(cart_id=cart_id), **told)
    if kind == "order":
        named = cart_id if choice else ""
        return Event("order_completed", at, commerce=Commerce(cart_id=named, order_id=f"o{number}"), **told)
    user = USERS.get(device, "")
    if kind in ("login", "half a login") and user:
        # On the first device by address alone, on others by name alone.
        told["user_id"] = "" if kind == "half a login" and device == "d1" else user
        told["email"] = "" if kind == "half a login" and device != "d1" else f"{user}@example.org"
        return Event("identified", at, **told)
    return Event("page_viewed", at, url=f"/{choice}", **told)


@st.composite
def arrivals(draw: st.DrawFn, log: Sequence[Event], delay_ms_max: int = LATENESS) -> list[Event]:
    """The log as it may arrive: each event up to `delay_ms_max` after its time.

    The first event of each device comes at its time. (A visitor of whom nothing is heard before the login:
    `tests/stories/test_identity.py`, the two stories of stragglers.)
    """
    seen: set[str] = set()
    keyed = []
    for event in log:
        delay_ms = draw(st.integers(0, delay_ms_max)) if event.visitor_id in seen else 0
        seen.add(event.visitor_id)
        keyed.append((event.at + delay_ms, event.at, event))
    return [replaced(event) for _, _, event in sorted(keyed, key=lambda item: item[:2])]


@st.composite
def batchings(draw: st.DrawFn, count: int) -> list[tuple[int, bool]]:
    """Where to cut so many events, and after which batches a marker comes."""
    cuts = draw(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=count))
    return [*cuts, (count, True)]


def run(log: Sequence[Event], rules: Settings, batching: Sequence[tuple[int, bool]] | None = None) -> Loop:
    """Carry a log, in the order given, through visitors and leads to the end of time."""
    loop = Loop(rules, BOOK)
    events = [replaced(event) for event in log]
    for size, is_marked in batching or [(1, True)] * len(events):
        loop.take(events[:size])
        events = events[size:]
        if is_marked:
            loop.advance()
    loop.advance(FOREVER)
    return loop


def last_sessions(loop: Loop) -> list[SessionRecord]:
    """The last revision of each session; what was merged into another is none."""
    last: dict[str, SessionRecord] = {}
    for record in loop.records:
        if isinstance(record, SessionRecord):
            known = last.get(record.session_id)
            if known is None or record.revision > known.revision:
                last[record.session_id] = record
    return sorted(
        (record for record in last.values() if record.state == "closed"),
        key=lambda record: (record.visitor_id, record.channel, record.started_at),
    )


def timer_decisions(loop: Loop) -> list[Trigger | Suppressed]:
    """What was decided because of a timer."""
    found = [r for r in loop.records if isinstance(r, Trigger | Suppressed) and r.action in ABANDONMENTS]
    return sorted(found, key=lambda record: (record.cause.time, record.trigger_id))


def ms(text: str) -> int:
    """Read an instant as records have it."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
