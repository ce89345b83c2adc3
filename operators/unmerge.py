"""Splitting a lead: identifiers leave it with what they brought, where that is still known.

What a request names of one lead becomes a lead of its own, if a user id, an address or a number is among it; a device
alone is a visitor again. What the devices did that leave goes along: visits, carts, what is still held back. What has
been counted up for the whole person cannot be taken apart and stays: footprint, number of visits. What protects a
person is kept on both sides: withdrawn consent, cool-downs.

What happened before the split and comes later does not undo it; what happens after it may: who names both is one again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from operators import memory as memories
from operators.event import Event
from operators.identity import lead_of, name_digest, record_key, user_digest
from operators.ids import digest
from operators.lead import Lead
from operators.planning import Plan
from operators.plans import Plans
from operators.profile_state import Profile, Track
from operators.request import Request

STAYED: Final = ["footprint", "visits"]
"""What cannot be split."""


def unmerged(request: Request, known: dict[str, str]) -> tuple[str, Plan] | None:
    """Say how those identifiers of a request that are known leave their lead; None where they are not of one lead.

    Returns that lead, and a plan whose profile is the one that they become, "" for visitors; what it links to "" is a
    visitor's again.
    """
    names = [name for name in request.names if name in known]
    owners = {known[name] for name in names}
    if len(owners) != 1:
        return None
    owner = owners.pop()
    naming = [name for name in names if name[0] != "a"]
    lead = "lead-" + digest("unmerged", owner, request.request_id)[:20] if naming else ""
    kept = lead_of(known, owner)
    left = Lead(request.at)
    plan = Plan(lead, is_lead=bool(lead))
    for name in names:
        plan.links[name] = lead
        kept.parted[name_digest(name)] = request.at
        kept.let_go(name[0])
        left.link(name[0], request.at, 1)
    users = [user for user in kept.users if user in _user_digests(naming)]
    left.users, kept.users = users, [user for user in kept.users if user not in users]
    if lead:
        kept.parted[lead] = left.parted[owner] = request.at
        plan.links[record_key(lead)] = left.pack()
    plan.links[record_key(owner)] = kept.pack()
    return owner, plan


def split(profile: Profile, names: Iterable[str]) -> tuple[Profile, dict[str, int]]:
    """Take off a profile what identifiers have brought; return that as one of its own, and count it."""
    names = list(names)
    devices = {name[2:] for name in names if name[0] in "ap"}
    emails = {name[2:] for name in names if name[0] == "e"}
    other = Profile(profile.last_at)
    other.first_at, other.visited_at, other.visits = profile.first_at, profile.visited_at, 0
    mine, theirs = profile.track, other.track
    theirs.sessions = [one for one in mine.sessions if one.visitor_id in devices]
    mine.sessions = [one for one in mine.sessions if one.visitor_id not in devices]
    carts = [one for one in mine.carts.carts if one.visitor_id in devices]
    mine.carts.carts = [one for one in mine.carts.carts if one.visitor_id not in devices]
    theirs.carts.carts = carts
    if mine.carts.browse is not None and mine.carts.browse.visitor_id in devices:
        theirs.carts.browse, mine.carts.browse = mine.carts.browse, None
    theirs.pending = [one for one in mine.pending if _is_of(one, devices, emails)]
    mine.pending = [one for one in mine.pending if not _is_of(one, devices, emails)]
    other.guests = [one for one in profile.guests if one.visitor_id in devices]
    profile.guests = [one for one in profile.guests if one.visitor_id not in devices]
    for device in devices & profile.anonymous_ids.keys():
        other.anonymous_ids[device] = profile.anonymous_ids.pop(device)
    _share_memory(mine, theirs, devices, emails, {name[2:] for name in names if name[0] == "p"})
    other.due_at = profile.due_at
    moved = {"sessions": len(theirs.sessions), "carts": len(carts), "visitors": len(other.guests)}
    return other, moved


def _is_of(event: Event, devices: set[str], emails: set[str]) -> bool:
    return event.visitor_id in devices or event.email in emails


def _share_memory(mine: Track, theirs: Track, devices: set[str], emails: set[str], phones: set[str]) -> None:
    """Give both what was promised to the person; an address that leaves is not written to from here any more."""
    memory, copy = mine.memory, memories.unpack(mine.memory.pack(0), 0)
    plans, copy.plans, copy.orders = memory.plans, None, None
    if plans is not None:
        copy.plans = Plans()
        copy.plans.waits = [one for one in plans.waits if one.moment.visitor_id in devices]
        copy.plans.held = [one for one in plans.held if one.moment.visitor_id in devices]
        plans.waits = [one for one in plans.waits if one.moment.visitor_id not in devices]
        plans.held = [one for one in plans.held if one.moment.visitor_id not in devices]
    one = memory if memory.email in emails else copy
    one.email, one.email_at = "", -1
    one = memory if memory.phone in phones else copy
    one.phone, one.phone_at = "", -1
    theirs.memory = copy


def _user_digests(names: Iterable[str]) -> set[str]:
    return {user_digest(name[2:]) for name in names if name[0] == "u"}
