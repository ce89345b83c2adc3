"""Rules of what to do next, ready to be asked: `config/journeys.py` makes a book of them of YAML.

A book never changes. A new one takes its place as a whole, so a decision is taken by one book, which it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mypy_extensions import mypyc_attr

from operators.attribution import Attribution
from operators.caps import Cap, kept
from operators.consent import ConsentRules
from operators.contacts import Book as ContactBook
from operators.event import FOREVER
from operators.experiment import Experiment
from operators.expression import Expression
from operators.local_time import Zones
from operators.refractory import Refractory

CART_TIMER: Final = "cart.timer"
CHECKOUT_TIMER: Final = "checkout.timer"
BROWSE_TIMER: Final = "browse.timer"
RETURNED: Final = "visit.returned"

CART_TIMERS: Final = frozenset({CART_TIMER, CHECKOUT_TIMER, BROWSE_TIMER})
MOMENTS: Final = CART_TIMERS | {RETURNED}
"""What rules may fire on beside kinds of events: a cart, checkout or browse intent is abandoned (the delays are those
of the settings `cart`), or somebody comes back for another visit."""

PER: Final = ("event", "product", "order", "cart", "call", "session", "profile")
"""What a rule acts on once: two causes of one of these are one occasion."""

CHANNELS: Final = ("email", "sms", "whatsapp", "push", "phone", "onsite", "chat", "agent", "crm")
"""Where a trigger can ask somebody to act; `operators/reach.py` says whom each reaches."""

ONCE: Final = frozenset({"order", "cart", "call"})
"""Of these there is one occasion, ever; as far as it is remembered."""
ONCE_MS: Final = 30 * 86_400_000

BUSY: Final = ("call", "onsite")
"""What a person may be at, while a rule is not to disturb."""

ON_QUIET: Final = ("hold", "drop", "fallback")

AT_ONCE: Final = -1
"""The `after_ms` of a rule that decides as the event comes, before time is complete."""


@mypyc_attr(acyclic=True)
class Quiet:
    """Local hours, in minutes of the day, in which a channel is not used; `channels` empty are all.

    `on` is what becomes of a trigger then: `hold` it to the end, `drop` it, or `fallback` to the next channel.
    """

    def __init__(self, from_minute: int, to_minute: int, on: str, channels: frozenset[str]) -> None:
        self.from_minute = from_minute
        self.to_minute = to_minute
        self.on = on
        self.channels = channels


@mypyc_attr(acyclic=True)
class Weight:
    """Percent that are added to the context's factor where the condition holds."""

    def __init__(self, condition: Expression, weight: float) -> None:
        self.condition = condition
        self.weight = weight


@mypyc_attr(acyclic=True)
class Rule:
    """One rule. All spans are in ms.

    `on` are kinds of events or `MOMENTS`. `after_ms` is `AT_ONCE`, or how long after the event it fires, unless an
    event of `without` comes before for the same (`per`); 0 is as soon as time is complete. `when` is asked of the cause
    at its time; the other conditions as things stand when it is decided, and again where it was held.
    `undone_by` are kinds of events that undo its cause within its life. `all_caps` are its own and the
    policy's, which a book adds.
    """

    after_ms: int = AT_ONCE
    per: str = "event"
    when: Expression | None = None
    unless: Expression | None = None
    not_while: tuple[str, ...] = ()
    purpose: str = "marketing"
    is_exempt: bool = False
    propensity: float = 1.0
    value: float = 1.0
    value_of: Expression | None = None
    issue: float = 0.0
    group: float = 0.0
    lever: float = 0.0
    cooldown_ms: int = 0
    expires_ms: int = 43_200_000
    exclusion_group: str = ""
    quiet: Quiet | None = None
    experiment: Experiment | None = None

    def __init__(self, id_: str, version: int, action: str, family: str, on: tuple[str, ...]) -> None:
        self.id = id_
        self.version = version
        self.action = action
        self.family = family
        self.on = on
        self.without: frozenset[str] = frozenset()
        self.undone_by: frozenset[str] = frozenset()
        self.slot = family
        self.channels: tuple[str, ...] = ()
        self.eligibility: list[Expression] = []
        self.applicability: list[Expression] = []
        self.suitability: list[Expression] = []
        self.weights: list[Weight] = []
        self.caps: list[Cap] = []
        self.all_caps: list[Cap] = []
        self.payload: dict[str, Expression] | None = None


@mypyc_attr(acyclic=True)
class Policy:
    """What holds for all rules: caps, pauses, quiet hours, consents, zones, credits, and a control group of all."""

    quiet: Quiet | None = None
    experiment: Experiment | None = None

    def __init__(self, consent: ConsentRules, zones: Zones, attribution: Attribution) -> None:
        self.consent = consent
        self.zones = zones
        self.attribution = attribution
        self.caps: list[Cap] = []
        self.pauses: list[Refractory] = []


@mypyc_attr(acyclic=True)
class Book:
    """All rules and the policy; `id` is a digest of all that the files say.

    `at_once` has by kind or moment the rules that decide as it comes, `starts` those that wait for something not to
    come, `ends` those whose wait it ends, and `undoes` those whose trigger it undoes. `heard` are the kinds that matter
    only in their order.
    """

    def __init__(self, id_: str, rules: Sequence[Rule], policy: Policy, lateness_ms: int) -> None:
        """Index the rules.

        `lateness_ms` is by how much events may come out of order: contacts are kept for so much longer.
        """
        self.id = id_
        self.policy = policy
        self.rules = {rule.id: rule for rule in rules}
        self.at_once: dict[str, list[Rule]] = {}
        self.starts: dict[str, list[Rule]] = {}
        self.ends: dict[str, list[Rule]] = {}
        self.undoes: dict[str, list[Rule]] = {}
        for rule in rules:
            rule.all_caps = [*policy.caps, *rule.caps]
            for kind in rule.on:
                (self.at_once if rule.after_ms < 0 else self.starts).setdefault(kind, []).append(rule)
            for kind in sorted(rule.without):
                self.ends.setdefault(kind, []).append(rule)
            for kind in sorted(rule.undone_by | rule.without):
                self.undoes.setdefault(kind, []).append(rule)
        self.asked = frozenset(kind for kind in self.starts if any(rule.when is not None for rule in self.starts[kind]))
        """Kinds of which something is asked as a wait begins."""
        self.heard = frozenset(self.starts) | frozenset(self.ends) | frozenset(self.undoes)
        after = [rule.after_ms for rule in rules if rule.after_ms >= 0]
        self.after_ms_min = min(after, default=FOREVER)
        """The shortest time that anything waits."""
        caps = [*policy.caps, *[cap for rule in rules for cap in rule.caps]]
        expires = max([rule.expires_ms for rule in rules], default=0)
        credit_ms = policy.attribution.reach_ms + expires
        rest_ms = max([pause.reach_ms for pause in policy.pauses], default=0)
        named_ms = max([pause.reach_ms for pause in policy.pauses if pause.scope != "all"], default=0)
        cap_ms = max([cap.reach_ms for cap in caps], default=0)
        cooldowns = [rule.cooldown_ms for rule in rules] + [ONCE_MS for rule in rules if _is_once(rule)]
        self.once_ms = max(cooldowns, default=0)
        """How long it is remembered that an action was taken."""
        spans = {
            "sent": max(cap_ms, credit_ms, named_ms) + lateness_ms,
            "failed": max(cap_ms, credit_ms, named_ms) + lateness_ms,
            "fired": self.once_ms + lateness_ms,
        }
        self.keep_ms = max(cap_ms, credit_ms, rest_ms, self.once_ms) + lateness_ms
        """How long contacts must be remembered."""
        self.contacts = ContactBook(self.keep_ms, kept(caps), spans)
        self.families = sorted({rule.family for rule in rules})

    def describe(self) -> dict[str, Any]:
        """Return what operators ask first: how many rules, and which versions."""
        return {"book": self.id, "rules": {rule.id: rule.version for rule in self.rules.values()}}


def _is_once(rule: Rule) -> bool:
    """Whether a rule decides as events come, once for what they name."""
    return rule.per in ONCE and rule.after_ms < 0 and not CART_TIMERS.issuperset(rule.on)
