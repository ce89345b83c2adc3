"""Who an event belongs to, in its plain form: deterministic links of identifiers to leads.

An identifier is written "a:ID" (anonymous id), "u:ID" (user id), "e:ADDRESS" or "p:NUMBER". User id, e-mail and
the phone number of an identify call *name* a person and make a lead; an anonymous id or a caller's number
alone is a visitor until a naming identifier comes with it.

Guards (domain rows 17-25): an identifier once given to a lead stays there, save the anonymous id,
which follows the latest login; a lead has one user id, so two known users are never merged. Two leads become one
where an event names both, by user id and e-mail; the older one survives. What is not linked is published with
the rule that forbade it.

`plan` is pure: it reads what is known and says what to link. A store performs it.
"""

from __future__ import annotations

from typing import Final

from operators.event import Event, rfc3339
from operators.identity_record import IdentityRecord, Rule, What
from operators.ids import digest

TYPES: Final = {"a": "anonymous_id", "u": "user_id", "e": "email", "p": "phone"}


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


def names_person(event: Event) -> bool:
    """Whether `event` carries an identifier that makes its person a lead."""
    return bool(event.user_id or event.email or (event.phone and event.kind == "identified"))


def identifiers(event: Event) -> list[str]:
    """Return the identifiers of `event`, those that name a person first, in order of priority."""
    found = []
    if event.user_id:
        found.append("u:" + event.user_id)
    if event.email:
        found.append("e:" + event.email)
    if event.phone:
        found.append("p:" + event.phone)
    if event.anonymous_id:
        found.append("a:" + event.anonymous_id)
    return found


def visitor_key(event: Event) -> str:
    """Return the profile id of the anonymous visitor that `event` comes from.

    That of a browser is its anonymous id, which is also the key it is produced with; a caller's
    is a hash, since profile ids appear in every record.
    """
    if event.anonymous_id:
        return event.anonymous_id
    return caller_key(event.phone) if event.phone else "visitor-" + digest(event.visitor_id)[:20]


def caller_key(phone: str) -> str:
    """Return the profile id of an unknown caller."""
    return "caller-" + digest("phone", phone)[:20]


def user_key(lead: str) -> str:
    """Return the key under which a store keeps the user id of a lead."""
    return "l:" + lead


def born_key(lead: str) -> str:
    """Return the key under which a store keeps the instant (ms) of the event that made a lead."""
    return "b:" + lead


def index_key(lead: str) -> str:
    """Return the key under which a store that others share keeps the names of a lead's identifiers."""
    return "i:" + lead


def alias_key(lead: str) -> str:
    """Return the key under which a store keeps whom a lead has become: then all its identifiers are that one's."""
    return "m:" + lead


def merged_lead(name: str) -> str:
    """Return the lead of which the key `name` says whom it has become, "" where it says something else."""
    return name[2:] if name.startswith("m:") else ""


def settled(event: Event, known: dict[str, str]) -> str | None:
    """Return the lead of `event` if all its identifiers are that lead's already: then there is nothing to plan.

    This is the way of nearly every event of a known person, so it asks no more than it must.
    """
    get = known.get
    lead = get("u:" + event.user_id) if event.user_id else None
    if event.email:
        owner = get("e:" + event.email)
        if owner is None or (lead is not None and owner != lead):
            return None
        lead = owner
    if event.anonymous_id:
        owner = get("a:" + event.anonymous_id)
        if owner is None or (lead is not None and owner != lead):
            return None
        lead = owner
    if event.phone:
        owner = get("p:" + event.phone)
        if owner is None or (lead is not None and owner != lead):
            return None
        lead = owner
    if event.user_id and (lead is None or get("u:" + event.user_id) != lead):
        return None
    return lead


def plan(event: Event, known: dict[str, str]) -> Plan:
    """Say which profile `event` belongs to and what it links.

    `known` maps identifiers to leads, `user_key(lead)` to the lead's user id, and `born_key(lead)` to when it began.
    The result depends on nothing else, and planning the same event again links nothing new.
    """
    names = identifiers(event)
    if not names_person(event):
        for name in reversed(names):  # the device before the number it calls from
            lead = known.get(name)
            if lead is not None:
                return Plan(lead, is_lead=True)
        return Plan(visitor_key(event), is_lead=False)
    naming = [n for n in names if n[0] != "a"]
    found = _leads(event, naming, known)
    lead = min(found, key=lambda lead: (int(known.get(born_key(lead), 0)), lead), default="")
    lead = lead or "lead-" + digest("lead", naming[0])[:20]
    result = Plan(lead, is_lead=True)
    if not found:
        result.links[born_key(lead)] = str(event.at)
        _record(result, event, "created", naming[0])
    result.merged = [other for other in found if other != lead]
    for loser in result.merged:
        result.links[alias_key(loser)] = lead
        _record(result, event, "merged", next(n for n in naming if known.get(n) == loser), "", loser)
    if event.user_id:  # of those who become one each is given the user: a store refuses where one has got another since
        result.links |= {user_key(one): event.user_id for one in (lead, *result.merged) if user_key(one) not in known}
    _link(result, event, names, known)
    return result


def learn(known: dict[str, str], found: Plan) -> None:
    """Bring what was `known` up to date with a plan that has been stored."""
    known.update(found.links)
    if found.merged:
        known.update(
            {name: found.profile_id for name, lead in known.items() if name[0] in TYPES and lead in found.merged}
        )


def _link(result: Plan, event: Event, names: list[str], known: dict[str, str]) -> None:
    """Plan which of an event's identifiers become its lead's."""
    lead = result.profile_id
    for name in names:
        owner = known.get(name)
        if owner == lead:
            continue
        if owner in result.merged:
            result.links[name] = lead
            continue
        if owner is not None and name[0] != "a":
            rule: Rule = "one_user_id_per_lead" if _is_other_user(event, owner, known) else "identifier_of_another_lead"
            _record(result, event, "refused", name, rule, owner)
            continue
        result.links[name] = lead
        _record(result, event, "linked" if owner is None else "moved", name, "", owner or "")
        if owner is None and name[0] in "ap":
            if name[0] == "a":  # before the caller: it is the device's visit that goes on
                result.handed_over.insert(0, (event.anonymous_id, event.anonymous_id))
            else:
                result.handed_over.append((caller_key(event.phone), event.phone))


def _leads(event: Event, naming: list[str], known: dict[str, str]) -> list[str]:
    """Return the known leads that the naming identifiers mean together: those who are no other user.

    They are one person. A telephone is shared by households: beside a user id or an e-mail it does not say who it is.
    """
    found: list[str] = []
    for name in naming if naming[0][0] == "p" else [n for n in naming if n[0] != "p"]:
        lead = known.get(name)
        if lead is not None and lead not in found and not _is_other_user(event, lead, known):
            found.append(lead)
    return found


def _is_other_user(event: Event, lead: str, known: dict[str, str]) -> bool:
    """Whether `event` names a user and `lead` is known as another one."""
    return bool(event.user_id) and known.get(user_key(lead), event.user_id) != event.user_id


def _record(result: Plan, event: Event, what: What, name: str, rule: Rule = "", other_profile_id: str = "") -> None:
    type_, value = TYPES[name[0]], name[2:]
    if name[0] in "ep":
        value = digest(type_, value)
    result.records.append(
        IdentityRecord(what, result.profile_id, type_, value, rule, other_profile_id, event.event_id, rfc3339(event.at))
    )
