"""The desk at which requests are performed, as far as the store of identities goes; key groups do the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from operators.event import Event, rfc3339
from operators.identity import TYPES, alias_key, caller_key, candidates, lead_of, record_key, sharers_key
from operators.identity_record import FurtherRecord, IdentityRecord, What
from operators.ids import digest
from operators.planning import Plan
from operators.profile_state import HandOver
from operators.request import Request
from operators.unmerge import unmerged
from pipeline.answering import said
from pipeline.deal import Dealer
from pipeline.messages import Await
from pipeline.ports import IdentityStore

PROFILE: Final = "l:"
"""What a name begins with that is the id of a profile."""


class Desk:
    """Finds out whom requests are about, does what they say in the store, and deals them out to key groups."""

    def __init__(self, store: IdentityStore, dealer: Dealer, life: str) -> None:
        """Ask the `store`; hand-overs are of this `life`, where a later one would not read as this one does."""
        self._store, self._dealer, self._life = store, dealer, life

    def perform(self, request: Request, as_of: int | None) -> list[Any]:
        """Do what is requested; return what is to be published. `as_of` is the store's clock where it is done again."""
        event = Event("other", request.at, request.request_id, "server", "")
        event.partition, event.position = request.partition, request.position
        known = self._known(request, event, as_of)
        leads = _leads(request, known)
        if len(leads) > 1:
            return [said(request, "several")]
        lead = leads[0] if leads else ""
        if (
            not lead
            and max([len(candidates(name[2:], known)) for name in request.names if name[0] == "p"], default=0) > 1
        ):
            return [said(request, "ambiguous")]
        if lead:
            known.update(self._store.find([record_key(lead)], event, as_of))
        if request.what == "erase":
            return self._erase(request, lead, known, event)
        if request.what == "unmerge":
            return self._unmerge(request, known, event)
        facts = self._facts(lead, known)
        whose = [lead] if lead else _visitors(request)
        for profile_id in whose:
            by_place = self._dealer.leads if lead else self._dealer.visitors
            by_place[self._dealer.place_of(profile_id)].append(request.to(profile_id, 0, facts))
        return [] if whose else [said(request, "unknown")]

    def _known(self, request: Request, event: Event, as_of: int | None) -> dict[str, str]:
        """Ask the store of what a request names; of the id of a lead who has become another one, of that one."""
        names = [name for name in request.names if name[0] in TYPES]
        names += [sharers_key(name[2:]) for name in names if name[0] == "p"]
        known = self._store.find(names, event, as_of)
        for name in request.names:
            if name.startswith(PROFILE):
                lead = name[2:]
                while other := self._store.find([alias_key(lead)], event, as_of).get(alias_key(lead)):
                    lead = other
                about = record_key(lead)
                if about in self._store.find([about], event, as_of):
                    known[name] = lead
        return known

    def _facts(self, lead: str, known: dict[str, str]) -> str:
        if not lead:
            return "{}"
        told = lead_of(known, lead)
        facts = {
            "lead_since": rfc3339(told.born_at),
            "users": len(told.users),
            "identifiers": self._store.identifiers_of(lead),
            "merged": told.merged,
        }
        return msgspec.json.encode(facts).decode()

    def _erase(self, request: Request, lead: str, known: Mapping[str, str], event: Event) -> list[Any]:
        """Have the store forget, and each key group that has or is to get something of it."""
        dealer = self._dealer
        names = [name for name in request.names if name[0] in TYPES]
        leads = self._store.erase(names, known, lead, event)
        if leads is None:  # another process has changed the lead since it was read
            return self.perform(request, None)
        visitors, clock = _visitors(request), self._store.linked_at
        for profile_id in leads:
            dealer.leads[dealer.place_of(profile_id)].append(request.to(profile_id, clock, "{}"))
        for profile_id in visitors:
            dealer.visitors[dealer.place_of(profile_id)].append(request.to(profile_id, clock, "{}"))
        whose = leads[0] if leads else next(iter(visitors), "")
        answer = said(request, "done" if whose else "unknown", whose)
        return [_record(request, "erased", whose, "", "", leads[1:]), answer] if whose else [answer]

    def _unmerge(self, request: Request, known: dict[str, str], event: Event) -> list[Any]:
        """Link the identifiers anew, and have the lead that they leave give what they have brought."""
        parting = unmerged(request, known)
        while parting is not None and (changed := self._store.link(parting[1].links, event, known)):
            known.update(changed)
            for name in [name for name, lead in changed.items() if not lead]:
                known.pop(name, None)
            parting = unmerged(request, known)
        if parting is None:
            return [said(request, "unknown")]
        owner, plan = parting
        if plan.profile_id:
            self._move(request, owner, plan)
            answers = []
        else:
            answers = [said(request, "done", owner)]
        names = [name for name in plan.links if name[0] in TYPES]
        return [_record(request, "unmerged", owner, name, plan.profile_id, []) for name in names] + answers

    def _move(self, request: Request, owner: str, plan: Plan) -> None:
        lead, dealer = plan.profile_id, self._dealer
        handover = HandOver(owner, "", lead, request.at, request.request_id, 0, self._store.linked_at, life=self._life)
        handover.part, handover.names = request.request_id, [name for name in plan.links if name[0] in TYPES]
        dealer.leads[dealer.place_of(owner)].append(handover)
        dealer.leads[dealer.place_of(lead)].append(Await(handover))


def _leads(request: Request, known: dict[str, str]) -> list[str]:
    """Return whose the identifiers of a request are; a number that several have given says nobody."""
    found: dict[str, None] = {}
    for name in request.names:
        lead = known.get(name)
        if lead is not None and (name[0] != "p" or len(candidates(name[2:], known)) == 1):
            found[lead] = None
    return list(found)


def _visitors(request: Request) -> list[str]:
    """Return the profiles that a request may be about where there is no lead."""
    found = [name[2:] for name in request.names if name[0] in "al"]
    found += [caller_key(name[2:]) for name in request.names if name[0] == "p"]
    return list(dict.fromkeys(found))


def _record(request: Request, what: What, profile_id: str, name: str, other: str, leads: list[str]) -> IdentityRecord:
    type_, value = (TYPES[name[0]], name[2:]) if name else ("", "")
    if type_ in ("email", "phone"):
        value = digest(type_, value)
    whose = request.request_id, rfc3339(request.at), leads
    kind = IdentityRecord if what == "erased" else FurtherRecord
    return kind(what, profile_id, type_, value, "", other, *whose)
