"""Deciding: which cause becomes a trigger, on which channel, and why another does not.

Each cause has one action, so at most one trigger a cause; what is held back has one reason. The order of
the checks is that of contracts section 4: contact policy (cooldown, after a decline), then channel
(consent, address, presence).

Channels: `onsite` reaches whoever is in an open session of web or app at the instant of the cause; `email`
reaches a lead with an address who has not withdrawn consent. Abandonments of leads go by e-mail,
since who abandons has left; whoever is still there can be met on the site.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import mypyc_attr

from operators.cart_record import Abandoned
from operators.event import Commerce, Event, rfc3339
from operators.ids import digest
from operators.packing import Row, ago, instant, padded, trim
from operators.rules import DecisionRules
from operators.trigger import (
    FAMILIES,
    Action,
    Cause,
    Outlet,
    Suppressed,
    Suppression,
    Trigger,
    cause,
    slot_key,
    trigger_id,
)

ONSITE_CHANNELS: Final = frozenset({"web", "app"})

# Actions and products whose last trigger a profile remembers, for the cool-down; the one fired longest ago goes.
FIRED_MAX: Final = 50


@mypyc_attr(acyclic=True)
class Memory:
    """What deciding must remember of a profile; all of it merges by maximum or by the newest.

    `fired` has the instant of the last trigger by action (and product), `consents`
    by channel [since, given]. E-mail addresses stay here, in state; records refer to them by hash.
    """

    declined_at: int = -1
    email: str = ""
    email_at: int = -1

    def __init__(self) -> None:
        self.fired: dict[str, int] = {}
        self.consents: dict[str, tuple[int, bool]] = {}

    def pack(self, base: int) -> Row:
        """Return the memory as a row; instants count back from `base`."""
        return trim(
            [
                {key: base - at for key, at in self.fired.items()},
                self.email,
                ago(base, self.email_at),
                {channel: (base - at, given) for channel, (at, given) in self.consents.items()},
                ago(base, self.declined_at),
            ],
            _EMPTY,
        )


_EMPTY: Final[Row] = [{}, "", None, {}, None]


def unpack(row: Row, base: int) -> Memory:
    """Make a memory of the row that its `pack` gave."""
    fired, email, email_at, consents, declined_at = padded(row, _EMPTY)
    memory = Memory()
    for key in fired:
        memory.fired[key] = base - fired[key]
    for channel in consents:
        since, given = consents[channel]
        memory.consents[channel] = base - since, bool(given)
    memory.email = email
    memory.email_at = instant(base, email_at, -1)
    memory.declined_at = instant(base, declined_at, -1)
    return memory


class Person:
    """Who a decision is for: `assignment_id` is the first anonymous id, kept through merges."""

    def __init__(self, profile_id: str, anonymous_ids: list[str], assignment_id: str) -> None:
        self.profile_id = profile_id
        self.anonymous_ids = anonymous_ids
        self.assignment_id = assignment_id


class _Candidate:
    """An action that could be taken: `fired_key` is what its cool-down is remembered by."""

    def __init__(
        self,
        action: Action,
        fired_key: str,
        cooldown_ms: int,
        cause: Cause,
        occurrence_key: str,
        context: dict[str, Any],
    ) -> None:
        self.action = action
        self.fired_key = fired_key
        self.cooldown_ms = cooldown_ms
        self.cause = cause
        self.occurrence_key = occurrence_key
        self.context = context


class Decider:
    """The contact policy at work on one profile's memory."""

    def __init__(self, rules: DecisionRules) -> None:
        """Keep `rules`; the decider itself has no state."""
        self._rules = rules

    def learn(self, memory: Memory, event: Event) -> None:
        """Take in what `event` says of address and consent; the newest word counts."""
        if event.email and event.at >= memory.email_at:
            memory.email, memory.email_at = event.email, event.at
        if event.consents:
            for channel, given in event.consents.items():
                known = memory.consents.get(channel)
                # At one instant the refusal counts: nobody complains of a mail that did not come.
                if known is None or (event.at, not given) >= (known[0], not known[1]):
                    memory.consents[channel] = event.at, given
        if event.kind == "offer_declined":
            memory.declined_at = max(memory.declined_at, event.at)

    def abandonment(self, memory: Memory, person: Person, fact: Abandoned, *, is_onsite: bool) -> Trigger | Suppressed:
        """Decide on an abandoned cart, checkout or browse intent, at its due instant.

        `is_onsite` says whether the person was in an open web or app session at that instant.
        """
        record = fact.record
        action: Action = (
            "checkout_abandoned"
            if record.intent == "checkout"
            else "cart_abandoned"
            if record.intent == "cart"
            else "browse_abandoned"
        )
        why = cause(f"{record.intent}.timer", record.cart_id, fact.due_at)
        held = self._held([memory], action, fact.due_at, self._rules.abandonment_cooldown_ms)
        outlet = _outlet(memory, is_onsite=is_onsite)
        if held is None and outlet is None:
            held = (
                ("consent", "e-mail refused, not on the site")
                if memory.email
                else ("no_channel", "no e-mail address, not on the site")
            )
        if held is not None or outlet is None:
            reason, detail = held or ("no_channel", "")
            id_ = trigger_id(action, fact.cause_key)
            return Suppressed(id_, person.profile_id, action, reason, detail, why)
        self._remember(memory, action, fact.due_at)
        context = {
            "cart_id": record.cart_id,
            "intent": record.intent,
            "value": record.value,
            "currency": record.currency,
            "lines": record.lines,
            "resume_url": record.resume_url,
            "last_activity_at": record.last_activity_at,
        }
        candidate = _Candidate(action, action, 0, why, fact.cause_key, context)
        return self._trigger(memory, person, outlet, fact.due_at, candidate)

    def returning(self, memories: list[Memory], person: Person, event: Event, visit: int) -> Trigger | Suppressed:
        """Decide on the n-th visit of a profile, at its first event."""
        why = cause("visit", f"{person.assignment_id}/{visit}", event.at, event.event_id)
        candidate = _Candidate(
            "returning_visitor",
            "returning_visitor",
            self._rules.returning_cooldown_ms,
            why,
            f"{person.assignment_id}|visit|{visit}",
            {"visits": visit},
        )
        return self._on_event(memories, person, event, candidate)

    def viewed(self, memories: list[Memory], person: Person, event: Event, views: int) -> Trigger | Suppressed:
        """Decide on the view of a product that has been viewed often enough to be worth an offer."""
        commerce = event.commerce or Commerce()
        item = commerce.items[0]
        key = f"offer_prompt|{item.product_id}"
        why = cause("product", item.product_id, event.at, event.event_id)
        context = {
            "product_id": item.product_id,
            "name": item.name,
            "category": item.category,
            "price": item.price,
            "currency": commerce.currency,
            "views": views,
            "url": event.url,
        }
        # Two offers of one product lie at least a cool-down apart, so in different ones of these spans; and
        # whichever view of an occasion comes first, nearly always in the same.
        span = event.at // max(self._rules.offer_cooldown_ms, 1)
        occurrence_key = f"{person.assignment_id}|{item.product_id}|{span}"
        candidate = _Candidate("offer_prompt", key, self._rules.offer_cooldown_ms, why, occurrence_key, context)
        return self._on_event(memories, person, event, candidate)

    def union(self, memory: Memory, other: Memory) -> None:
        """Add what is remembered of a profile that turned out to be the same person."""
        for key, at in other.fired.items():
            memory.fired[key] = max(at, memory.fired.get(key, -1))
        memory.declined_at = max(memory.declined_at, other.declined_at)
        if (other.email_at, other.email) > (memory.email_at, memory.email):
            memory.email, memory.email_at = other.email, other.email_at
        for channel, (at, given) in other.consents.items():
            known = memory.consents.get(channel)
            if known is None or (at, not given) > (known[0], not known[1]):
                memory.consents[channel] = at, given

    def _remember(self, memory: Memory, key: str, at: int) -> None:
        fired = memory.fired
        fired[key] = max(at, fired.pop(key, -1))
        if len(fired) > FIRED_MAX:  # an offer goes: of the other actions there are few
            del fired[next(key for key in fired if "|" in key)]

    def _on_event(
        self, memories: list[Memory], person: Person, event: Event, candidate: _Candidate
    ) -> Trigger | Suppressed:
        id_ = trigger_id(candidate.action, candidate.occurrence_key)
        held = self._held(memories, candidate.fired_key, event.at, candidate.cooldown_ms)
        if held is None and event.channel not in ONSITE_CHANNELS:
            held = "no_channel", "not on the site"
        if held is not None:
            return Suppressed(id_, person.profile_id, candidate.action, held[0], held[1], candidate.cause)
        mine, key = memories[0], candidate.fired_key
        self._remember(mine, key, event.at)
        return self._trigger(mine, person, "onsite", event.at, candidate)

    def _held(
        self, memories: list[Memory], fired_key: str, at: int, cooldown_ms: int
    ) -> tuple[Suppression, str] | None:
        fired_at = max(memory.fired.get(fired_key, -1) for memory in memories)
        # An event up to the cooldown before the last trigger is disorder, and as close to it.
        if fired_at >= 0 and abs(at - fired_at) < cooldown_ms:
            return "cooldown", f"last sent {rfc3339(fired_at)}"
        declined_at = max(memory.declined_at for memory in memories)
        if declined_at >= 0 and 0 <= at - declined_at < self._rules.declined_ms:
            return "declined", f"declined {rfc3339(declined_at)}"
        return None

    def _trigger(self, memory: Memory, person: Person, outlet: Outlet, at: int, candidate: _Candidate) -> Trigger:
        action, family = candidate.action, FAMILIES[candidate.action]
        is_email = outlet == "email"
        return Trigger(
            trigger_id(action, candidate.occurrence_key),
            slot_key(family, candidate.occurrence_key),
            person.profile_id,
            person.anonymous_ids,
            action,
            family,
            outlet,
            f"email:{digest('email', memory.email)}" if is_email else f"profile:{person.profile_id}",
            candidate.cause,
            candidate.context,
            rfc3339(at + self._rules.expires_ms),
        )


def _outlet(memory: Memory, *, is_onsite: bool) -> Outlet | None:
    """Return the first channel that may be used, e-mail before the site."""
    if memory.email and memory.consents.get("email", (0, True))[1]:
        return "email"
    return "onsite" if is_onsite else None
