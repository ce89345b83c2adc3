"""By which ids somebody was decided for: a profile's own, and those that it was known by before.

A decision is published under the id that its person had then: a visitor's, which is that of the device, or a lead's
which has become another lead since. The identity records say which of these are one person:

- leads that were `merged`, whichever of them is asked for;
- a profile that was `stitched` to a lead, with all that it had been known by;
- a device that was `linked` to a lead, unless it is another's by now: a device follows the latest login.

Somebody may be asked for by the id of a profile or device, or by a user id: then who has it now is meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from operators.identity_record import IdentityRecord

_LEAD = "lead-"
_LINKS = ("linked", "moved", "unmerged")


class KnownAs:
    """What is found out about one person; `take` it all that names any of `ids`, again until there are no more."""

    def __init__(self, asked: str) -> None:
        """Ask for the id of a profile, of a device or of a user."""
        self.asked = asked
        self._leads = {asked} if asked.startswith(_LEAD) else set[str]()
        self._merged: dict[str, tuple[str, str]] = {}
        self._stitched: dict[str, set[str]] = {}
        self._owners: dict[tuple[str, str], tuple[str, str]] = {}
        self.erased_at = ""
        """When they were erased, "" where nothing is known of that."""
        self.is_known = False
        """Whether any record has told of the id that was asked for."""

    @property
    def ids(self) -> list[str]:
        """All that they are known by, with what was asked for."""
        devices = {id_ for id_, leads in self._stitched.items() if leads & self._leads}
        for (type_, id_), (_, lead) in self._owners.items():
            if type_ == "anonymous_id" and lead in self._leads and id_ not in self._stitched:
                devices.add(id_)
        return sorted({self.asked} | self._leads | devices)

    @property
    def profile_id(self) -> str:
        """The profile that they are now, as far as is known."""
        last = max((one for one in self._merged.items() if one[0] in self._leads), key=_told_at, default=None)
        if last is not None:
            return last[1][1]
        return min(self._leads) if self._leads else self.asked

    def take(self, records: Iterable[IdentityRecord]) -> None:
        """Learn from identity records, in the order in which they were published."""
        for one in records:
            self.is_known |= self.asked in (one.profile_id, one.other_profile_id, one.identifier, *one.leads)
            if one.what == "merged":
                self._merge(one)
            elif one.what == "stitched":
                self._stitch(one)
            elif one.what in _LINKS:
                key = one.identifier_type, one.identifier
                self._owners[key] = max(self._owners.get(key, ("", "")), (one.at, one.profile_id))
            if one.what == "erased" and one.profile_id in self.ids:
                self.erased_at = max(self.erased_at, one.at)
        if not self.asked.startswith(_LEAD):
            self._leads |= self._who()

    def _who(self) -> set[str]:
        """Return the lead that a device or user is now."""
        told = [owner for (_, id_), owner in self._owners.items() if id_ == self.asked and owner[1]]
        return {max(told)[1]} if told else self._stitched.get(self.asked, set())

    def _merge(self, one: IdentityRecord) -> None:
        leads = {one.profile_id, one.other_profile_id, *one.leads}
        self._merged[one.other_profile_id] = max(
            self._merged.get(one.other_profile_id, ("", "")), (one.at, one.profile_id)
        )
        if leads & self._leads:
            self._leads |= leads

    def _stitch(self, one: IdentityRecord) -> None:
        if one.other_profile_id.startswith(_LEAD):  # its devices are told when they become its own
            if {one.profile_id, one.other_profile_id} & self._leads:
                self._leads |= {one.profile_id, one.other_profile_id}
        else:
            self._stitched.setdefault(one.other_profile_id, set()).add(one.profile_id)


def _told_at(one: tuple[str, tuple[str, str]]) -> str:
    return one[1][0]
