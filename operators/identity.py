"""Who an event belongs to, in its plain form: deterministic links of identifiers to leads.

An identifier is written "a:ID" (anonymous id), "u:ID" (user id), "e:ADDRESS" or "p:NUMBER". User id, e-mail and
the phone number of an identify call *name* a person and make a lead; an anonymous id or a caller's number
alone is a visitor until a naming identifier comes with it.

Guards (domain rows 17-31): an identifier once given to a lead stays there, save the anonymous id,
which follows the latest login; a lead has one user id, so two known users are never merged, save where a source
asks for it that may (`operators/also.py`). Two leads become one where an event names both, by user id and e-mail; the
older one survives. A lead is given no more identifiers of a type than the limit says, and becomes one with others only
so often: what exceeds that does not make an event lose its person, only the identifier of lower priority is left out.
What is not linked is published with the rule that forbade it.

`operators/planning.py` says what an event links; here is what a store is asked for, and how its answers are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from operators.also import former
from operators.erasure import erased_at
from operators.event import Event
from operators.ids import digest
from operators.lead import Lead, unpack

TYPES: Final = {"a": "anonymous_id", "u": "user_id", "e": "email", "p": "phone"}


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


def asked(event: Event) -> list[str]:
    """Return the names that a store is asked for before `event` is planned."""
    names = identifiers(event)
    if event.also:
        names += event.also
        return [*names, *[sharers_key(name[2:]) for name in names if name[0] == "p"]]
    return [*names, sharers_key(event.phone)] if event.phone else names


def all_asked(events: Iterable[Event]) -> dict[str, None]:
    """Return those names of several events, each once."""
    names = dict[str, None]()
    for event in events:
        if event.user_id or event.email or event.phone:
            for name in asked(event):
                names[name] = None
        elif event.anonymous_id:
            names["a:" + event.anonymous_id] = None
    return names


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


def record_key(lead: str) -> str:
    """Return the key under which a store keeps what is known of a lead itself."""
    return "r:" + lead


def lead_of(known: dict[str, str], lead: str) -> Lead:
    """Return what is known of a lead itself, also as checkpoints of 0.1.0 have it."""
    text = known.get(record_key(lead))
    if text is not None:
        return unpack(text)
    found = Lead(int(known.get("b:" + lead, 0)))
    user = known.get("l:" + lead)
    if user is not None:
        found.users.append(user_digest(user))
    return found


def user_digest(user_id: str) -> str:
    """Return what a user is called in what is kept of a lead."""
    return digest("user", user_id)[:16]


def name_digest(name: str) -> str:
    """Return what an identifier is called in what is kept of a lead it was split off."""
    return digest("name", name)[:20]


def is_erased(event: Event, known: dict[str, str]) -> bool:
    """Whether `event` happened before somebody was erased whom it names: then it is nobody's any more."""
    return event.at <= max([erased_at(name, known) for name in [*identifiers(event), *event.also]], default=-1)


def sharers_key(phone: str) -> str:
    """Return the key under which a store keeps who has given a telephone number beside the lead that had it first."""
    return "q:" + digest("phone", phone)[:20]


def candidates(phone: str, known: dict[str, str]) -> list[str]:
    """Return the leads who have given a telephone number: with several, it does not say who calls."""
    first = known.get("p:" + phone)
    return list(dict.fromkeys([first, *known.get(sharers_key(phone), "").split()])) if first else []


def callers(event: Event, known: dict[str, str]) -> list[str]:
    """Return the leads who have given the telephone number of `event`, as it is spelled or as it was."""
    found = candidates(event.phone, known)
    for name in former(event, "p:") if event.also else ():
        found += [lead for lead in candidates(name[2:], known) if lead not in found]
    return found


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
        if lead is None and (event.also or len(candidates(event.phone, known)) > 1):
            return None
        lead = owner
    for name in event.also:
        owner = get(name)
        if owner != lead and (owner is not None or name[0] in "ua"):
            return None
    if event.user_id and (lead is None or get("u:" + event.user_id) != lead):
        return None
    return lead


def to_be_known(events: Iterable[Event], known: dict[str, str]) -> list[str]:
    """Return what a store is to be asked of leads, beside their identifiers, for these events to be planned.

    Of what is settled nothing is planned, save where an event before it has linked one of its identifiers or made its
    lead another one; but then that event says to ask for the same lead.
    """
    leads: dict[str, None] = {}
    for event in events:
        if names_person(event) and settled(event, known) is None:
            for name in [*identifiers(event), *event.also]:
                lead = known.get(name)
                if lead is not None:
                    leads[lead] = None
    return [record_key(lead) for lead in leads]


def shared_keys(about: dict[str, str]) -> list[str]:
    """Return what a store is to be asked of the numbers that leads share, by what is known `about` them."""
    texts = [text for name, text in about.items() if name.startswith("r:") and '"q:' in text]  # nearly never
    return [key for text in texts for key in unpack(text).shared]
