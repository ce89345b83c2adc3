"""
Logs of who said what they are called, for the laws of identity, and a desk that takes them on any store.
"""

from collections.abc import Callable, Sequence
from typing import Final

from hypothesis import strategies as st

from operators.event import Event
from operators.identity import candidates, settled
from operators.identity_record import IdentityRecord
from operators.planning import Plan, learn, plan
from operators.rules import IdentityRules
from pipeline.ports import IdentityStore
from tests.story import DAY_1, replaced

OPEN: Final = IdentityRules(limits={}, merges_max=1_000, identifiers_max=1_000, sharers_max=100)
"""Rules without a limit that so small a log could reach."""

DEVICES: Final = ("d1", "d2", "d3")
PHONES: Final = ("+1", "+2")
USERS: Final = ("mara", "joe")
ADDRESSES: Final = {"m1@x": "mara", "m2@x": "mara", "j1@x": "joe", "j2@x": "joe", "z@x": ""}
"""Whose each address is; that of nobody is never told with a user id."""

Connect = Callable[[], IdentityStore]


def says(at: int, *, device: str = "", user: str = "", email: str = "", phone: str = "") -> Event:
    """An event that names somebody, so long (ms) after midnight."""
    return Event("identified", DAY_1 + at, "", "web", device or user or email or phone, device, user, email, phone)


def numbered(log: Sequence[Event], partition: str = "p0") -> list[Event]:
    """Copy a log as it lies in a partition."""
    return [replaced(one, partition=partition, position=at, event_id=f"e{at}") for at, one in enumerate(log, 1)]


class Desk:
    """Takes events on a store, as `pipeline/resolve.py` does, and says who is who by then."""

    def __init__(self, store: IdentityStore, rules: IdentityRules = OPEN) -> None:
        self.store = store
        self.profiles: list[str] = []
        self.records: list[IdentityRecord] = []
        self._rules = rules

    def take(self, batch: Sequence[Event]) -> "Desk":
        """Take a batch, all of one partition."""
        known = self.store.look_up(batch)
        for event in batch:
            self.take_one(event, known)
        return self

    def take_one(self, event: Event, known: dict[str, str]) -> None:
        """Take an event, on what was known before its batch and has been learnt since."""
        lead = settled(event, known)
        if lead is None:
            found = self._planned(event, known)
            self.records += found.records
            lead = found.profile_id
        self.profiles.append(lead)

    def _planned(self, event: Event, known: dict[str, str]) -> Plan:
        while True:
            found = plan(event, known, self._rules)
            changed = self.store.link(found.links, event, known) if found.links else {}
            if not changed:
                if not self.store.is_private:
                    learn(known, found)
                return found
            for name, owner in changed.items():
                known.pop(name, None)
                if owner:
                    known[name] = owner

    def known(self) -> dict[str, str]:
        """Whose each identifier of these logs is, as a partition is told of which nothing has been read."""
        probes = [
            *[says(0, device=device) for device in (*DEVICES, *map(_own_device, (*USERS, *ADDRESSES)))],
            *[says(0, user=user) for user in USERS],
            *[says(0, email=email) for email in ADDRESSES],
            *[says(0, phone=phone) for phone in PHONES],
        ]
        return dict(self.store.look_up([replaced(one, partition="nothing read") for one in probes]))

    def leads(self) -> dict[str, str]:
        """Whose each identifier is but numbers, which several may share."""
        return {name: lead for name, lead in self.known().items() if name[0] in "uea"}

    def parts(self) -> set[frozenset[str]]:
        """Who is who, whatever leads are called: the identifiers of each, and who has given each number."""
        leads = self.leads()
        found = {frozenset(name for name in leads if leads[name] == lead) for lead in leads.values()}
        return found | {frozenset([f"p:{phone}", *self.sharers(phone)]) for phone in PHONES}

    def sharers(self, phone: str) -> set[str]:
        """Who has given a number, by what names each."""
        leads, given = self.leads(), set(candidates(phone, self.known()))
        return {
            " ".join(sorted(name for name in leads if leads[name] == lead and name[0] in "ue")) or "nobody"
            for lead in given
        }


TIMES: Final = st.integers(0, 20).map(lambda minutes: minutes * 60_000)

ANYTHING: Final = st.lists(
    st.builds(
        lambda kind, event: replaced(event, kind=kind),
        st.sampled_from(["identified", "page_viewed", "call_ringing"]),
        st.builds(
            lambda at, device, user, email, phone: says(
                at, device=device or ("" if user or email or phone else "d1"), user=user, email=email, phone=phone
            ),
            TIMES,
            st.sampled_from(["", *DEVICES]),
            st.sampled_from(["", "", "mara", "joe"]),
            st.sampled_from(["", "", *ADDRESSES]),
            st.sampled_from(["", "", *PHONES]),
        ),
    ),
    max_size=12,
)
"""Whatever may come, contradictions and all."""


def _own_device(name: str) -> str:
    """Name the device on which nobody says anything without saying this."""
    return f"device of {name}"


@st.composite
def _agreeing(draw: st.DrawFn) -> Event:
    email = draw(st.sampled_from(["", *ADDRESSES]))
    user = draw(st.sampled_from(["", ADDRESSES[email]])) if email else draw(st.sampled_from(USERS))
    device = draw(st.sampled_from(["", *[_own_device(name) for name in (user, email) if name]]))
    return says(draw(TIMES), device=device, user=user, email=email, phone=draw(st.sampled_from(["", *PHONES])))


AGREEING: Final = st.lists(_agreeing(), max_size=12)
"""What nobody contradicts: an address has one user, a device one person, and a number comes with a name. These are the
first three guards of `tests/operators/test_identity_laws.py`."""


def is_number_alone(event: Event) -> bool:
    """Whether an event makes a lead of a number, or would have."""
    return event.kind == "identified" and not event.user_id and not event.email and bool(event.phone)


@st.composite
def pieces(draw: st.DrawFn, log: Sequence[Event]) -> list[list[Event]]:
    """A log, cut into batches."""
    cuts = sorted(draw(st.sets(st.integers(1, max(len(log) - 1, 1)))))
    return [list(log[start:end]) for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True) if start < end]
