"""Deciding: which moment becomes a trigger, on which channel, and why another does not.

Theory of operation
-------------------
A moment is something that rules fire on. Those whose `when` holds are its candidates, and each candidate comes to one
end: a trigger, a suppressed decision with its one reason, or it is held for the end of quiet hours and decided once
more then, as things stand. The checks are those of contracts section 4, in this order:

    expired · not_applicable (its cause is undone, `unless`) · ineligible · not_applicable · unsuitable
    cooldown · declined                                              how often, and what the person has answered
    quiet_hours · cap · consent · no_channel                         on which channel (operators/reach.py)
    excluded · outranked                                             by what is worth more (operators/priority.py)
    holdout                                                          whoever is in the control group

What an event causes is decided as it comes, for it must leave within seconds; by all that is known then. What waits
for something not to come, for a timer or for the end of quiet hours is decided when the watermark has passed its
instant, in event-time order with all else that depends on order: so it is the same in whatever order the events came.
`after: 0s` has what an event causes wait for that, too.

A trigger that was sent is remembered while it can be undone (operators/undoing.py).
"""

from __future__ import annotations

from typing import Any, Final

from operators import memory as memories
from operators.case import Case
from operators.claim import Claim, factors, suppressed
from operators.contacts import Send
from operators.crediting import credit, settle
from operators.event import FOREVER, Event, rfc3339
from operators.facts import Facts
from operators.memory import Memory
from operators.moment import Moment
from operators.payload import payload_of
from operators.plans import Held, Named, Plans, Sent, Wait
from operators.policy import refusal_of, refused_by_now
from operators.priority import Candidate, arbitrate
from operators.reach import FREE, address_ref
from operators.rule_book import Book, Rule
from operators.trigger import Cause, Retraction, RuleFault, RuleRef, Suppressed, Suppression, Trigger, cause
from operators.undoing import can_undo, ends, is_moot, overtaken, scope_of, undone, word_of

WAITS_MAX: Final = 50
"""What one person is waited for at most; beyond it the wait that would end last is given up, and told."""
HELD_MAX: Final = 50
"""What is held for one person at most, likewise."""
SENT_MAX: Final = 50
"""How many triggers of one person can be undone at a time, the newest."""


class Decider:
    """The rules at work. `book` is those in force; it is replaced as a whole, and read once for each decision."""

    def __init__(self, book: Book) -> None:
        """Decide by `book`."""
        self.book = book

    def decide(self, case: Case, moment: Moment, out: list[Any]) -> None:
        """Decide on what has come about."""
        rules = case.book.at_once.get(moment.kind)
        if rules is not None:
            claims = _claims(case, moment, rules, out)
            if claims:
                _decide(case, claims, out)

    def begin(self, case: Case, moment: Moment, out: list[Any]) -> None:
        """Begin to wait for what rules want not to come after `moment`."""
        if moment.kind in case.book.starts:
            _begin(case, moment, out)

    def take_in(self, case: Case, event: Event, out: list[Any]) -> None:
        """Take in, in its order, what an event ends, undoes and earns, and begin the waits that it begins.

        What it says of its person has been learnt, and its cart changed.
        """
        memory = case.own
        if memory.plans is not None:
            _end_waits(case, memory.plans, event)
            self.undo(case, memory, event, out)
            self.drop(case, memory, event, out)
        credit(case, memory, event, out)
        if event.kind in case.book.starts:
            _begin(case, event_moment(event), out)

    def undo(self, case: Case, memory: Memory, event: Event, out: list[Any], *, is_link: bool = False) -> None:
        """Take back what `event`, or a link, has undone of what was sent and is alive."""
        plans = memory.plans
        if plans is None or not plans.sent or not (is_link or can_undo(case.book, event)):
            return
        for sent in [one for one in plans.sent if event.at < one.expires_at]:
            why = undone(case, sent, event, is_link=is_link)
            if why:
                plans.sent.remove(sent)
                out.append(_retraction(case, sent, why, _cause(event)))

    def drop(self, case: Case, memory: Memory, event: Event, out: list[Any], *, is_link: bool = False) -> None:
        """Drop what `event` has undone of what is held, in its order: what was due before it is not held any more."""
        plans = memory.plans
        if plans is None or not plans.held or not (is_link or can_undo(case.book, event)):
            return
        for held in list(plans.held):
            rule = case.book.rules.get(held.rule[0])
            if rule is None:
                continue
            why = is_moot(case, held.moment)
            scope = scope_of(rule.per, held.moment, case)
            if why or (not is_link and ends(rule, held.moment.kind, scope, held.moment.at, event, case)):
                plans.held.remove(held)
                out.append(_cancelled(case, rule, held.moment, why or f"cancelled by {event.kind}"))

    def fire(self, case: Case, out: list[Any]) -> None:
        """Decide on what has not come by `case.now`, that instant included, and on what is held until then."""
        plans, now, book = case.own.plans, case.now, case.book
        if plans is None:
            return
        due: list[tuple[Named, Moment]] = []
        for wait in [one for one in plans.waits if one.due_at <= now]:
            plans.waits.remove(wait)
            due.append((wait.rule, wait.moment))
        for held in [one for one in plans.held if one.due_at <= now]:
            plans.held.remove(held)
            due.append((held.rule, held.moment))
        claims: list[Claim] = []
        for named, moment in due:
            rule = book.rules.get(named[0])
            if rule is None:
                _give_up(case, named, moment, "not_applicable", "there is no such rule any more", out)
            else:
                claims.append(Claim(rule, moment, Facts(case, moment), case))
        if claims:
            _decide(case, claims, out)
        plans.forget(now)
        if plans.is_empty:
            case.own.plans = None

    def union(self, case: Case, memory: Memory, other: Memory, link: Event, out: list[Any]) -> None:
        """Add what is remembered of a profile that turned out to be the same person by `link`, carts joined.

        What either waits for may have come to the other, or undone what was sent; orders are credited anew.
        """
        memories.union(memory, other, case.book, case.now)
        if memory.orders is not None:
            settle(case, memory, out)
        plans, rules = memory.plans, case.book.rules
        if plans is None:
            return
        for wait in list(plans.waits):
            rule = rules.get(wait.rule[0])
            if rule is not None and overtaken(case, memory, rule, wait.moment.kind, wait.scope, wait.since):
                plans.waits.remove(wait)
        for sent in [one for one in plans.sent if link.at < one.expires_at]:
            rule = rules.get(sent.rule_id)
            what = "" if rule is None else overtaken(case, memory, rule, sent.kind, sent.scope, sent.at)
            if what:
                plans.sent.remove(sent)
                out.append(_retraction(case, sent, word_of(what), _cause(link)))
        for held in list(plans.held):
            rule, moment = rules.get(held.rule[0]), held.moment
            if rule is None:
                continue
            what = overtaken(case, memory, rule, moment.kind, scope_of(rule.per, moment, case), moment.at)
            if what:
                plans.held.remove(held)
                out.append(_cancelled(case, rule, moment, f"cancelled by {what}"))
        self.undo(case, memory, link, out, is_link=True)
        self.drop(case, memory, link, out, is_link=True)


def event_moment(event: Event, count: int = 0) -> Moment:
    """Return the moment that an event is."""
    moment = Moment(event.kind, event.at, event.visitor_id)
    moment.event, moment.count = event, count
    return moment


def due_at(memory: Memory) -> int:
    """Return when something is due that is waited for or held, FOREVER for nothing."""
    return FOREVER if memory.plans is None else memory.plans.due_at


def _claims(case: Case, moment: Moment, rules: list[Rule], out: list[Any]) -> list[Claim]:
    """Return the candidates: rules whose `when` holds."""
    facts, claims = Facts(case, moment), []
    for rule in rules:
        if rule.when is not None:
            holds = rule.when.matches(facts)
            if holds is None:
                out.append(RuleFault(rule.id, "when", ""))
            if not holds:
                continue
        claims.append(Claim(rule, moment, facts, case))
    return claims


def _decide(case: Case, claims: list[Claim], out: list[Any]) -> None:
    """Bring each candidate to its one end."""
    ranked: dict[str, Claim] = {}
    candidates: list[Candidate] = []
    for claim in claims:
        refusal = refusal_of(case, claim, out)
        if refusal is not None:
            out.append(suppressed(case, claim, refusal[0], refusal[1]))
            continue
        rule, priority = claim.rule, claim.priority
        assert priority is not None, "what is not refused has a priority"
        alive = case.sent_in(claim.slot_key)
        if alive is not None:  # for an earlier event of the same order, visit, product, ...
            reason: Suppression = "excluded" if rule.exclusion_group else "outranked"
            out.append(suppressed(case, claim, reason, f"{reason} by {alive.action}, sent for the same before"))
            continue
        # Two rules of one action on one cause are one trigger.
        group = rule.exclusion_group or f"={rule.action}"
        name = f"{claim.trigger_id}/{rule.id}/{len(ranked)}"
        ranked[name] = claim
        candidates.append(Candidate(name, rule.action, group, rule.slot, priority))
    winners, losses = arbitrate(candidates)
    for loss in losses:
        reason = "excluded" if loss.reason == "excluded" else "outranked"
        out.append(suppressed(case, ranked[loss.candidate.trigger_id], reason, loss.detail))
    taken: dict[str, str] = {}
    for place, winner in enumerate(winners):
        claim = ranked[winner.trigger_id]
        if claim.trigger_id in taken:  # of one action, but of other groups and slots
            by = f"excluded by {taken[claim.trigger_id]}, which is of the same action"
            out.append(suppressed(case, claim, "excluded", by))
            continue
        taken[claim.trigger_id] = claim.rule.id
        if place:  # what was sent before it counts by now
            again = refused_by_now(case, claim)
            if again is not None:
                out.append(suppressed(case, claim, again[0], again[1]))
                continue
        _finish(case, claim, out)


def _finish(case: Case, claim: Claim, out: list[Any]) -> None:
    """Hold a winner, keep it from the control group, or send it."""
    rule, found, person = claim.rule, claim.found, case.person
    assert found is not None, "a winner has a channel"
    if found.held_until >= 0:
        plans = case.own.plans
        if plans is None:
            plans = case.own.plans = Plans()
        plans.hold(Held(_named(rule), found.held_until, claim.moment))
        if len(plans.held) > HELD_MAX:
            last = plans.held.pop()
            _give_up(case, last.rule, last.moment, "quiet_hours", f"more than {HELD_MAX} are held", out)
        return
    for name, experiment in (("all", case.book.policy.experiment), (rule.id, rule.experiment)):
        if experiment is not None and experiment.holds_out(person.assignment_id):
            out.append(suppressed(case, claim, "holdout", f"in the control group of {name}"))
            return
    _send(case, claim, found.channel, out)


def _send(case: Case, claim: Claim, channel: str, out: list[Any]) -> None:
    rule, person, now, book, priority = claim.rule, case.person, case.now, case.book, claim.priority
    assert priority is not None, "a winner has a priority"
    send = Send(now, claim.trigger_id, channel, rule.family, rule.action, rule.is_exempt)
    for memory in [case.own] if case.memory() is case.own else [case.own, case.memory()]:
        book.contacts.send(memory.contacts, send, case.watermark)
        book.contacts.fire(memory.contacts, rule.action, claim.about, now, case.watermark)
    variant = "" if rule.experiment is None else rule.experiment.variant(person.assignment_id)
    found = claim.found
    out.append(
        Trigger(
            claim.trigger_id,
            claim.slot_key,
            person.profile_id,
            person.anonymous_ids,
            rule.action,
            rule.family,
            channel,
            address_ref(case.memory(), channel, person.profile_id),
            claim.cause,
            payload_of(rule, claim.moment, claim.facts, out),
            factors(priority),
            RuleRef(rule.id, rule.version, book.id),
            person.assignment_id,
            variant,
            {channel: FREE} if found is None else found.channels,
            rfc3339(now),
            rfc3339(claim.expires_at),
        )
    )
    _remember(case, claim, channel)


def _remember(case: Case, claim: Claim, channel: str) -> None:
    """Remember what was sent for as long as it can be undone."""
    rule, moment = claim.rule, claim.moment
    plans = case.own.plans
    if plans is None:
        plans = case.own.plans = Plans()
    plans.forget(min(case.now, case.watermark))  # what is held back from before may undo it yet
    # An event is the same as no other, so its id is not asked for again.
    scope = "" if rule.per == "event" and moment.cart is None else scope_of(rule.per, moment, case)
    names = claim.trigger_id, claim.slot_key, rule.action, rule.family, channel, rule.purpose
    book = case.book
    since = moment.at if moment.cart is not None else moment.at - max(moment.waited_ms, 0)
    plans.sent.append(Sent(*names, moment.kind, scope, since, claim.expires_at, rule.id, rule.version, book.id))
    if len(plans.sent) > SENT_MAX:
        del plans.sent[0]


def _begin(case: Case, moment: Moment, out: list[Any]) -> None:
    """Begin to wait for what rules want not to come after `moment`."""
    facts = Facts(case, moment)
    for rule in case.book.starts[moment.kind]:
        if rule.when is not None:
            holds = rule.when.matches(facts)
            if holds is None:
                out.append(RuleFault(rule.id, "when", ""))
            if not holds:
                continue
        plans = case.own.plans
        if plans is None:
            plans = case.own.plans = Plans()
        scope, due = scope_of(rule.per, moment, case), moment.at + rule.after_ms
        then = Moment(moment.kind, due, moment.visitor_id, f"{moment.kind}|{moment.visitor_id}|{scope}|{due}")
        then.event, then.cart, then.count, then.waited_ms = moment.event, moment.cart, moment.count, rule.after_ms
        then.scope = scope
        plans.wait(Wait(_named(rule), scope, moment.at, due, then))
        if len(plans.waits) > WAITS_MAX:
            last = plans.waits.pop()
            _give_up(case, last.rule, last.moment, "not_applicable", f"more than {WAITS_MAX} waits", out)


def _give_up(case: Case, named: Named, moment: Moment, reason: Suppression, detail: str, out: list[Any]) -> None:
    """Tell that something will not come to be decided."""
    rule = Rule(*named, ())
    out.append(suppressed(case, Claim(rule, moment, Facts(case, moment), case), reason, detail))


def _named(rule: Rule) -> Named:
    return rule.id, rule.version, rule.action, rule.family


def _end_waits(case: Case, plans: Plans, event: Event) -> None:
    """End the waits for what has come."""
    if not plans.waits or event.kind not in case.book.ends:
        return
    for wait in list(plans.waits):
        rule, kind = case.book.rules.get(wait.rule[0]), wait.moment.kind
        if rule is None or event.kind not in rule.without:
            continue
        if ends(rule, kind, wait.scope, wait.since, event, case):
            plans.waits.remove(wait)


def _cancelled(case: Case, rule: Rule, moment: Moment, detail: str) -> Suppressed:
    """Return that what was held has become moot."""
    return suppressed(case, Claim(rule, moment, Facts(case, moment), case), "not_applicable", detail)


def _cause(event: Event) -> Cause:
    return cause(event.kind, event.event_id or event.visitor_id or "?", event.at, event.event_id)


def _retraction(case: Case, sent: Sent, why: Any, what: Cause) -> Retraction:  # noqa: ANN401 -- a word of `Undone`
    return Retraction(
        sent.trigger_id,
        sent.slot_key,
        case.person.profile_id,
        sent.action,
        sent.family,
        sent.channel,
        why,
        what,
        rfc3339(sent.expires_at),
        RuleRef(sent.rule_id, sent.version, sent.book),
    )
