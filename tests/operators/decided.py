"""
Invented books of rules and invented lives for the laws of decisions, and runs of them that can be looked into.

Books are written as YAML and read as those of a shop are. Lives are days of `tests/operators/traffic.py` in which
people also say yes and no, telephone, buy by any way, and answer what they were sent.
"""

from collections.abc import Sequence
from typing import Any, Final

import yaml
from hypothesis import strategies as st

from config.durations import DAY
from config.journeys import read_book
from operators.event import FOREVER, Event
from operators.profile import ProfileOperator
from operators.profile_state import HandOver, Profile
from operators.rule_book import Book
from operators.trigger import Retraction, Suppressed, Trigger
from tests.operators import traffic
from tests.operators.traffic import HOUR, LATENESS, MINUTE, SECOND
from tests.story import DAY_1, Half, Loop, replaced

Said = dict[str, Any]
"""What YAML says."""

RULES: Final = traffic.settings()

PAUSES: Final = (0, 1, SECOND, LATENESS, LATENESS + 1, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR, 5 * HOUR, 12 * HOUR)
"""Between what people do: some of them span a night, so that it is quiet in between."""

SPANS: Final = ("10s", "20m", "30m", "1h", "12h", "1d")
CHANNELS: Final = ("email", "sms", "onsite", "crm", "push", "agent")
PURPOSES: Final = ("marketing", "marketing", "transactional", "service")
ZONES: Final = ("UTC", "America/New_York", "Asia/Kolkata")

WAITED_FOR: Final = ("product_viewed", "order_completed", "consent_given", "identified", "call_ringing", "page_viewed")
ENDING: Final = ("order_completed", "consent_withdrawn", "page_viewed", "product_added", "call_ended")
TIMERS: Final = ("cart.timer", "checkout.timer", "browse.timer")
PER: Final = {"product_viewed": "product", "order_completed": "order", "call_ringing": "call"}
"""What kinds of events name one of; of each there can be one event, profile and visit as well."""

CAPS: Final = (
    {"scope": "all", "limit": 1, "per": "1h"},
    {"scope": "all", "limit": 2, "per": "local_day"},
    {"scope": "channel", "limit": 1, "per": "12h"},
    {"scope": "channel", "name": "email", "limit": 2, "per": "1d"},
    {"scope": "family", "limit": 1, "per": "local_day"},
    {"scope": "action", "limit": 2, "per": "30m"},
)
QUIETS: Final = (
    {"from": "21:00", "to": "08:00", "channels": ["email", "sms"], "on": "hold"},
    {"from": "12:00", "to": "14:30", "on": "hold"},
    {"from": "10:00", "to": "11:00", "on": "fallback"},
    {"from": "13:00", "to": "13:30", "channels": ["email"], "on": "drop"},
)


# --- books -----------------------------------------------------------------------------------------------------


@st.composite
def policies(draw: st.DrawFn, *, has_limits: bool = True) -> Said:
    """What holds for all rules."""
    channels = {name: draw(st.sampled_from([True, True, True, False])) for name in CHANNELS}
    said: Said = {"consent": {"defaults": channels}, "time_zone": draw(st.sampled_from(ZONES))}
    if draw(st.booleans()):
        said["consent"]["exempt"] = draw(st.sampled_from([["transactional"], [], ["transactional", "service"]]))
    if draw(st.booleans()):
        said["consent"]["valid"] = draw(st.sampled_from(["1h", "1d"]))
    if draw(st.booleans()):
        said["quiet"] = draw(st.sampled_from(QUIETS))
    if draw(st.booleans()):
        said["holdout"] = draw(st.sampled_from([0.0, 0.5]))
    if has_limits and draw(st.booleans()):
        said["caps"] = draw(st.lists(st.sampled_from(CAPS), min_size=1, max_size=2))
    if has_limits and draw(st.booleans()):
        said["pauses"] = [{"scope": "all", "negatives": 1, "within": "1d", "pause": "1d", "counts": ["declined"]}]
    return said


@st.composite
def actions(draw: st.DrawFn, number: int, on: Sequence[str]) -> Said:
    """A rule that fires on one of `on`; to what is no timer, it may be that something is waited for not to come."""
    kind = draw(st.sampled_from(on))
    said: Said = {"id": f"r{number}", "on": kind, "family": draw(st.sampled_from(["cart", "offer"]))}
    said["channels"] = draw(st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3, unique=True))
    said["purpose"] = draw(st.sampled_from(PURPOSES))
    said["value"] = draw(st.sampled_from([1, 2, "double(profile.visits)"]))
    said["expires_after"] = draw(st.sampled_from(["20m", "12h", "2d"]))
    if kind not in TIMERS:
        said["per"] = draw(st.sampled_from([PER.get(kind, "event"), "event", "profile", "session"]))
    if draw(st.booleans()):
        said["slot"] = draw(st.sampled_from(["s1", "s2"]))
    if draw(st.booleans()):
        said["exclusion_group"] = draw(st.sampled_from(["g1", "g2"]))
    if draw(st.integers(0, 3)) == 0:
        said["action"] = "shared"
    if draw(st.booleans()):
        said["undone_by"] = draw(st.lists(st.sampled_from(ENDING), min_size=1, max_size=2, unique=True))
    for key, values in _EXTRAS.items():
        if draw(st.integers(0, 7)) == 7:
            said[key] = draw(st.sampled_from(values))
    return said


_EXTRAS: Final[dict[str, list[Any]]] = {
    "not_while": [["call"], ["onsite"]],
    "unless": ["profile.has_phone", "profile.visits > 2"],
    "eligibility": [["profile.known"]],
    "suitability": [["!profile.in_call"]],
    "quiet": [*QUIETS, "off"],
    "holdout": [0.5],
}


@st.composite
def limited(draw: st.DrawFn, said: Said) -> Said:
    """A rule with limits of its own, perhaps."""
    limits: Said = {}
    if draw(st.booleans()):
        limits["cooldown"] = draw(st.sampled_from(SPANS))
    if draw(st.booleans()):
        limits["caps"] = [draw(st.sampled_from(CAPS))]
    return said | limits


@st.composite
def books(draw: st.DrawFn) -> Said:
    """Any rules."""
    found = []
    for number in range(draw(st.integers(2, 5))):
        said = draw(actions(number, [*TIMERS, *WAITED_FOR, "visit.returned"]))
        if draw(st.booleans()):
            said |= draw(waits())
        found.append(draw(limited(said)))
    return {"policy": draw(policies()), "actions": found}


@st.composite
def ordered_books(draw: st.DrawFn) -> Said:
    """Rules that are decided in order: those of carts, and those that wait, if only until time is complete."""
    found = []
    for number in range(draw(st.integers(2, 5))):
        said = draw(actions(number, [*TIMERS, *WAITED_FOR]))
        if said["on"] not in TIMERS:
            said |= draw(waits())
        found.append(draw(limited(said)))
    # What events add up in any order is as it is known when the decision is taken: visits and footprint.
    found = [said | {"value": 1, "unless": "profile.has_phone"} for said in found]
    return {"policy": draw(policies()), "actions": found}


@st.composite
def free_books(draw: st.DrawFn) -> Said:
    """Rules that decide at once, each for itself, by nothing but their event."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(WAITED_FOR))
        per = draw(st.sampled_from([PER[kind] if kind in ("order_completed", "call_ringing") else "event", "event"]))
        said = {
            "id": f"r{number}",
            "on": kind,
            "per": per,
            "family": "order",
            "slot": f"s{number}",
            "channels": ["crm"],
        }
        found.append(said | ({"undone_by": ["call_ended"]} if draw(st.booleans()) else {}))
    return {"policy": {}, "actions": found}


@st.composite
def waits(draw: st.DrawFn) -> Said:
    """For how long is waited, and for what not to come."""
    said: Said = {"after": draw(st.sampled_from(["0s", *SPANS]))}
    if draw(st.booleans()):
        said["without"] = draw(st.lists(st.sampled_from(ENDING), min_size=1, max_size=2, unique=True))
    return said


def book(said: Said) -> Book:
    """Read a book of what YAML says, as a shop's is."""
    return read_book({"rules.yaml": yaml.safe_dump(said, sort_keys=False)}, lateness_ms=LATENESS, retention_ms=30 * DAY)


# --- lives -----------------------------------------------------------------------------------------------------

DONE: Final = ("read", "view", "view", "add", "add", "empty", "checkout", "order", "login", "login")
SAID: Final = ("yes", "no", "zone", "number", "ring", "hang up", "decline", "complain", "bounce")


@st.composite
def lives(draw: st.DrawFn, *, count_max: int = 18, pauses: Sequence[int] = PAUSES) -> list[Event]:
    """A log in the order of time; several things may happen at one instant."""
    devices = draw(st.sampled_from([("d1", "d2", "d3", "d4"), ("d1", "d2"), ("d1", "d2"), ("d1",)]))
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(pauses), st.sampled_from(devices), st.sampled_from(DONE + SAID), st.integers(0, 2)
            ),
            min_size=count_max // 2,
            max_size=count_max,
        )
    )
    at, log = DAY_1 + 10 * HOUR, []
    for number, (pause_ms, device, kind, choice) in enumerate(steps):
        at += pause_ms
        event = said_of(number, at, device, kind, choice)
        log.append(event or traffic.event_of(number, at, device, kind, choice, True))
    return log


def said_of(number: int, at: int, device: str, kind: str, choice: int) -> Event | None:
    """What somebody says by a device, or by the telephone number of its user."""
    told: dict[str, Any] = {"event_id": f"e{number:03d}", "visitor_id": device, "anonymous_id": device}
    user = traffic.USERS.get(device, "")
    if kind == "login" and device == "d2":  # by address alone: until the other device tells both, another lead
        return Event("identified", at, channel="app", email=f"{user}@example.org", **told)
    if kind in ("yes", "no"):
        name = ("email", "sms", "marketing", "all", "email:marketing", "push")[choice + 3 * (number % 2)]
        what = "consent_given" if kind == "yes" else "consent_withdrawn"
        return Event(what, at, channel="web", consents={name: kind == "yes"}, **told)  # type: ignore[arg-type]
    if kind in ("zone", "number") and user and device != "d2":
        told |= {"user_id": user, "phone": f"+49{user}" if kind == "number" else ""}
        event = Event("identified", at, channel="web", **told)
        if kind == "zone":
            event.properties = f'{{"timezone":"{ZONES[choice]}"}}'.encode()
        return event
    if kind in ("ring", "hang up"):
        what = "call_ringing" if kind == "ring" else "call_ended"
        event = Event(what, at, channel="phone", call_id=f"{device}-k{choice % 2}", **told)  # type: ignore[arg-type]
        event.is_moment = True
        return event
    outcomes = {"decline": "offer_declined", "complain": "email_complained", "bounce": "email_bounced"}
    if kind in outcomes:
        return Event(outcomes[kind], at, channel="server", **told)  # type: ignore[arg-type]
    return None


def answered(log: Sequence[Event], sent: Sequence[Trigger]) -> list[Event]:
    """The same life, where outcomes are of triggers that were sent before them, the latest first."""
    found = []
    for event in log:
        copy = replaced(event)
        if event.kind in ("offer_declined", "email_complained", "email_bounced"):
            before = [one.trigger_id for one in sent if traffic.ms(one.not_before) < event.at]
            if before:
                copy.properties = f'{{"trigger_id":"{before[-1]}"}}'.encode()
        found.append(copy)
    return found


# --- runs ------------------------------------------------------------------------------------------------------


class Watched(Loop):
    """A run of which is known what came of each event, and whose each profile was from when on."""

    def __init__(self, rules: Book) -> None:
        super().__init__(RULES, rules)
        self.handed: list[tuple[int, HandOver]] = []
        self.taken: list[tuple[int, Event]] = []

    def _resolve(self, event: Event) -> tuple[bool, list[HandOver], list[HandOver]]:
        is_lead, visitors, merged = super()._resolve(event)
        self.handed += [(len(self.records), one) for one in [*visitors, *merged]]
        self.taken.append((len(self.records), event))
        return is_lead, visitors, merged

    def persons(self, profile_id: str, by: int, upto: int) -> set[str]:
        """All profiles that are one at the instant `by`, as known when so many records were told."""
        found = {profile_id}
        while True:
            more = {h.profile_id for told, h in self.handed if h.to in found and h.at <= by and told <= upto}
            if more <= found:
                return found
            found |= more


class Awake(Half):
    """What one key group does, without ever putting a state to rest."""

    def __init__(self, operator: ProfileOperator) -> None:
        super().__init__(operator)
        self._awake: dict[str, Profile] = {}

    def state(self, key: str) -> Profile | None:
        return self._awake.get(key)

    def profiles(self) -> list[tuple[str, Profile]]:
        return sorted(self._awake.items())

    def _put(self, key: str, state: Profile | None) -> None:
        self._awake.pop(key, None)
        self._due.pop(key, None)
        if state is not None:
            self._awake[key] = state
            if state.due_at < FOREVER:
                self._due[key] = state.due_at


def run(
    log: Sequence[Event],
    rules: Book,
    batching: Sequence[tuple[int, bool]] | None = None,
    *,
    is_awake: bool = False,
) -> Watched:
    """Carry a log, in the order given, through visitors and leads to the end of time."""
    loop = Watched(rules)
    if is_awake:
        loop.visitors, loop.leads = Awake(loop.visitors.operator), Awake(loop.leads.operator)
    events = [replaced(event) for event in log]
    for size, is_marked in batching or [(1, True)] * len(events):
        loop.take(events[:size])
        events = events[size:]
        if is_marked:
            loop.advance()
    loop.advance(FOREVER)
    return loop


def decisions(loop: Loop) -> list[Trigger | Suppressed]:
    """All that was decided, in its order."""
    return [one for one in loop.records if isinstance(one, Trigger | Suppressed)]


def triggers(loop: Loop) -> list[Trigger]:
    return [one for one in loop.records if isinstance(one, Trigger)]


def retractions(loop: Loop) -> list[Retraction]:
    return [one for one in loop.records if isinstance(one, Retraction)]
