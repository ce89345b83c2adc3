"""Who an event belongs to, in its plain form: deterministic links of identifiers to leads.

An identifier is written "a:ID" (anonymous id), "u:ID" (user id), "e:ADDRESS" or "p:NUMBER". User id, e-mail and
the phone number of an identify call *name* a person and make a lead; an anonymous id or a caller's number
alone is a visitor until a naming identifier comes with it.

Guards (domain rows 17-25): an identifier once given to a lead stays there, save the anonymous id,
which follows the latest login; a lead has one user id; two leads are never merged. What is
not linked is published with the rule that forbade it.

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

    `handed_over` has the profile id and the visitor id of each visitor.
    """

    def __init__(self, profile_id: str, *, is_lead: bool) -> None:
        self.profile_id = profile_id
        self.is_lead = is_lead
        self.links: dict[str, str] = {}
        self.handed_over: list[tuple[str, str]] = []
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

    `known` maps identifiers to leads, and `user_key(lead)` to the lead's user id. The result
    depends on nothing else, and planning the same event again links nothing new.
    """
    names = identifiers(event)
    if not names_person(event):
        for name in reversed(names):  # the device before the number it calls from
            lead = known.get(name)
            if lead is not None:
                return Plan(lead, is_lead=True)
        return Plan(visitor_key(event), is_lead=False)
    naming = [n for n in names if n[0] != "a"]
    found = _lead(event, naming, known)
    lead = found or "lead-" + digest("lead", naming[0])[:20]
    result = Plan(lead, is_lead=True)
    if found is None:
        _record(result, event, "created", naming[0])
    if event.user_id and known.get(user_key(lead)) is None:
        result.links[user_key(lead)] = event.user_id
    for name in names:
        owner = known.get(name)
        if owner == lead:
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
    return result


def _lead(event: Event, naming: list[str], known: dict[str, str]) -> str | None:
    """Return the known lead that the naming identifiers mean together: the first who is no other user.

    A telephone is shared by households: beside a user id or an e-mail it does not say who it is.
    """
    for name in naming if naming[0][0] == "p" else [n for n in naming if n[0] != "p"]:
        lead = known.get(name)
        if lead is not None and not _is_other_user(event, lead, known):
            return lead
    return None


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
