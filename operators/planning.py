"""What an event means for identity, in its plain form: pure, it reads what is known and says what to link.

A store performs it. Planning the same event again links nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence

from operators.also import former, owner_of, requested
from operators.erasure import erased_at
from operators.event import Event, rfc3339
from operators.identity import (
    TYPES,
    alias_key,
    caller_key,
    callers,
    candidates,
    identifiers,
    lead_of,
    name_digest,
    names_person,
    record_key,
    sharers_key,
    user_digest,
    visitor_key,
)
from operators.identity_record import FurtherRecord, IdentityRecord, Rule, What
from operators.ids import digest
from operators.lead import Lead
from operators.rules import IdentityRules


class Plan:
    """What an event means for identity: its profile, links to store, visitors to hand over, records.

    `handed_over` has the profile id and the visitor id of each visitor, `merged` the leads that become this one.
    """

    def __init__(self, profile_id: str, *, is_lead: bool) -> None:
        self.profile_id = profile_id
        self.is_lead = is_lead
        self.links: dict[str, str] = {}
        self.handed_over: list[tuple[str, str]] = []
        self.merged: list[str] = []
        self.records: list[IdentityRecord] = []


def plan(event: Event, known: dict[str, str], rules: IdentityRules) -> Plan:
    """Say which profile `event` belongs to and what it links.

    `known` maps identifiers to leads, and `record_key(lead)` to what is known of the lead itself.
    The result depends on nothing else, and planning the same event again links nothing new.
    """
    who_calls = callers(event, known) if event.phone else []
    if event.user_id or event.email or (names_person(event) and len(who_calls) < 2):
        return _Planner(event, known, rules).plan()
    lead = known.get("a:" + event.anonymous_id) if event.anonymous_id else None  # the device before the number
    if lead is None and len(who_calls) == 1:
        lead = who_calls[0]
    found = Plan(visitor_key(event) if lead is None else lead, is_lead=lead is not None)
    if who_calls and lead is None:
        _record(found, event, "ambiguous", "p:" + event.phone, leads=who_calls)
    for name in requested(event, known, rules) if event.also else ():
        _record(found, event, "refused", name, "nobody_named", known.get(name, ""))
    if who_calls == [lead] and "p:" + event.phone not in known:  # it was found by a former spelling
        found.links["p:" + event.phone] = who_calls[0]
        _record(found, event, "linked", "p:" + event.phone)
    return found


def learn(known: dict[str, str], found: Plan) -> None:
    """Bring what was `known` up to date with a plan that has been stored."""
    known.update(found.links)
    if found.merged:
        known.update(
            {name: found.profile_id for name, lead in known.items() if name[0] in TYPES and lead in found.merged}
        )


class _Planner:
    """What is planned for one event that names a person."""

    def __init__(self, event: Event, known: dict[str, str], rules: IdentityRules) -> None:
        self._event, self._known, self._rules = event, known, rules
        self._names = identifiers(event)
        self._naming = [name for name in self._names if name[0] != "a"]
        self._requested = requested(event, known, rules) if event.also else []
        names = [*self._names, *event.also]
        self._leads = {owner: lead_of(known, owner) for name in names if (owner := known.get(name))}
        self._kept_apart: list[str] = []
        self._objected: Rule = ""
        self._result = Plan("", is_lead=True)

    def plan(self) -> Plan:
        """Say whose the event is, and what follows from it."""
        event, result, leads = self._event, self._result, self._leads
        found = self._meant()
        if len(found) > 1 and (why := self._objection(found)):
            found, self._kept_apart, self._objected = found[:1], found[1:], why
        lead = min(found, key=lambda one: (leads[one].born_at, one), default="")
        result.profile_id = lead = lead or self._new_lead()
        if not found:
            leads[lead] = Lead(event.at)
            _record(result, event, "created", self._naming[0])
        for loser in found:
            if loser != lead:
                self._merge(loser)
        for one in (lead, *result.merged):  # each is given the user: a store refuses where one has got another since
            if event.user_id and not leads[one].users:
                leads[one].users.append(user_digest(event.user_id))
        for name in self._names:
            self._link(name, owner_of(event, name, self._known))
        for name in self._requested:
            self._link(name, self._known.get(name))
        for one, its in leads.items():
            text = its.pack()
            if result.links and (one in result.merged or text != self._known.get(record_key(one))):
                result.links[record_key(one)] = text
        return result

    def _meant(self) -> list[str]:
        """Return the known leads that the naming identifiers mean together: those who are no other user.

        They are one person. A telephone is shared by households: beside a user id or an e-mail it does not say who
        it is. Another user is the same person only where that is asked for by who may.
        """
        event, naming, found = self._event, self._naming, dict[str, None]()
        users = {user_digest(event.user_id)} if event.user_id else set[str]()
        names = naming if naming[0][0] == "p" else [n for n in naming if n[0] != "p"]
        if event.also:
            names = [*names, *[one for name in names for one in former(event, name)], *self._requested]
        for name in names:
            lead = self._known.get(name)
            if lead is None or name[0] == "a":
                continue
            its = self._leads[lead].users
            if users and its and users.isdisjoint(its) and not (self._rules.may_ask and name in self._requested):
                continue
            found[lead] = None
            users.update(its)
        return list(found)

    def _new_lead(self) -> str:
        """Return the id of a lead who is made; who was erased comes back as another one."""
        first = self._naming[0]
        since = erased_at(first, self._known)
        return "lead-" + (digest("lead", first) if since < 0 else digest("lead", first, since))[:20]

    def _is_parted(self, lead: str, other: str) -> bool:
        """Whether one was split off the other since the event: leads, or a lead and an identifier by its digest."""
        return self._event.at <= self._leads[lead].parted.get(other, -1)

    def _merge(self, loser: str) -> None:
        """Plan that a lead becomes the one whose the event is."""
        names = [name for name in (*self._naming, *self._event.also) if name[0] != "a"]
        lead, named = self._result.profile_id, [name for name in names if self._known.get(name) == loser]
        self._result.merged.append(loser)
        self._result.links[alias_key(loser)] = lead
        for key in self._leads[loser].shared:
            sharers = [lead if one == loser else one for one in self._known.get(key, "").split()]
            self._result.links[key] = " ".join(dict.fromkeys(sharers))
        self._leads[lead].add(loser, self._leads[loser])
        _record(self._result, self._event, "merged", named[0], "", loser, self._leads[lead].merged)

    def _link(self, name: str, owner: str | None) -> None:
        """Plan that an identifier becomes the lead's, unless a rule forbids it."""
        event, result = self._event, self._result
        if owner == result.profile_id or owner in result.merged:
            if self._known.get(name) != result.profile_id:
                result.links[name] = result.profile_id
            if name not in self._known:  # it is spelled otherwise than before, and counts no second time
                _record(result, event, "linked", name)
            return
        if owner is not None and name[0] == "p":
            self._share(name, owner)
            return
        rule = self._refusal(name, owner)
        if rule:
            _record(result, event, "refused", name, rule, owner or "")
            return
        result.links[name] = result.profile_id
        limit = self._rules.limits.get(name[0])
        lead = self._leads[result.profile_id]
        lead.link(name[0], event.at, 0 if limit is None else limit.count)
        if owner is not None:
            self._leads[owner].let_go(name[0])
        _record(result, event, "linked" if owner is None else "moved", name, "", owner or "")
        if name[0] == "u":
            lead.know(user_digest(name[2:]))
        elif owner is None and name[0] == "a":  # the event's own before all others: it is that visit that goes on
            at = 0 if name[2:] == event.anonymous_id else len(result.handed_over)
            result.handed_over.insert(at, (name[2:], name[2:]))
        elif owner is None and name[0] == "p":
            result.handed_over += [(caller_key(one[2:]), one[2:]) for one in (name, *former(event, name))]

    def _share(self, name: str, owner: str) -> None:
        """Plan that a telephone number that another lead has given is this one's too: from then on it says nobody."""
        phone, lead = self._event.phone, self._result.profile_id
        # With whom has just become this one as this one.
        given = candidates(phone, self._known | self._result.links) or [owner]
        if lead in given:
            return
        if len(given) >= self._rules.sharers_max:
            _record(self._result, self._event, "refused", name, "identifier_limit", given[0])
            return
        self._result.links[sharers_key(phone)] = " ".join([*given[1:], lead])
        if name not in self._known:
            self._result.links[name] = owner
        self._leads[lead].shared.append(sharers_key(phone))
        _record(self._result, self._event, "ambiguous", name, "", given[0], [*given, lead])

    def _refusal(self, name: str, owner: str | None) -> Rule:
        """Return the rule by which an identifier does not become the lead's; of what has an owner a device may."""
        if owner is not None and name[0] != "a":
            if owner in self._kept_apart:
                return self._objected
            if name[0] == "u":
                return "source_may_not_ask"
            return "one_user_id_per_lead" if self._is_other_user(owner) else "identifier_of_another_lead"
        if self._is_parted(self._result.profile_id, name_digest(name)):
            return "unmerged"
        lead, limit = self._leads[self._result.profile_id], self._rules.limits.get(name[0])
        if name[0] == "u" and lead.users and user_digest(name[2:]) not in lead.users and not self._rules.may_ask:
            return "source_may_not_ask"
        if lead.count >= self._rules.identifiers_max:
            return "identifier_limit"
        if limit is None:
            return ""
        since = self._event.at - limit.window_ms if limit.window_ms else -1
        return "identifier_limit" if lead.since(name[0], since) >= limit.count else ""

    def _objection(self, found: list[str]) -> Rule:
        """Return the rule by which leads do not become one, "" where none forbids it."""
        if not self._rules.may_merge:
            return "source_may_not_merge"
        if True in [self._is_parted(one, other) for one in found for other in found]:
            return "unmerged"
        return "merge_limit" if self._is_too_much(found) else ""

    def _is_too_much(self, found: list[str]) -> bool:
        """Whether leads must not become one, for what they were given together or for how often that happened."""
        leads, rules = [self._leads[one] for one in found], self._rules
        if sum([1 + len(lead.merged) for lead in leads]) - 1 > rules.merges_max:
            return True
        if sum([lead.count for lead in leads]) > rules.identifiers_max:
            return True
        for type_, limit in rules.limits.items():
            given = sum([len(lead.linked.get(type_, [])) for lead in leads])
            if not limit.window_ms and given > limit.count:
                return True
        return False

    def _is_other_user(self, lead: str) -> bool:
        """Whether the event names a user and a lead is known as another one."""
        user, users = self._event.user_id, self._leads[lead].users
        return bool(user and users) and user_digest(user) not in users


def _record(
    result: Plan,
    event: Event,
    what: What,
    name: str,
    rule: Rule = "",
    other_profile_id: str = "",
    leads: Sequence[str] = (),
) -> None:
    type_, value = TYPES[name[0]], name[2:]
    if name[0] in "ep":
        value = digest(type_, value)
    about = type_, value, rule, other_profile_id
    is_further = (what, type_) in [(one.what, one.identifier_type) for one in result.records]
    kind = FurtherRecord if is_further else IdentityRecord
    result.records.append(kind(what, result.profile_id, *about, event.event_id, rfc3339(event.at), list(leads)))
