"""
By which ids somebody was decided for, as the identity records tell.
"""

import pytest

from operators.identity_record import IdentityRecord, StitchedRecord, What
from operators.known_as import KnownAs


def told(
    what: What, profile: str, type_: str = "", identifier: str = "", other: str = "", at: int = 0
) -> IdentityRecord:
    return IdentityRecord(what, profile, type_, identifier, "", other, "e", f"2026-11-21T10:00:{at:02}.000Z")


def stitched(profile: str, other: str, at: int = 0) -> StitchedRecord:
    return StitchedRecord(
        "stitched", profile, "", "", "", other, "e", f"2026-11-21T10:00:{at:02}.000Z", aliases=[other]
    )


def merged(profile: str, other: str, at: int = 0, *leads: str) -> IdentityRecord:
    record = told("merged", profile, "email", "h", other, at)
    record.leads = list(leads) or [other]
    return record


def known(asked: str, *records: IdentityRecord) -> KnownAs:
    """Read all records as often as there is something new, as whoever reads them does."""
    found, ids = KnownAs(asked), list[str]()
    while ids != found.ids:
        ids = found.ids
        found.take(records)
    return found


@pytest.mark.parametrize("asked", ["lead-a", "lead-b", "lead-c"])
def test_leads_who_became_one_are_one_whichever_is_asked_for(asked: str) -> None:
    """
    Also by way of a third one; who remains is who they are now.
    """
    found = known(asked, merged("lead-b", "lead-c", 1), merged("lead-a", "lead-b", 2, "lead-c", "lead-b"))
    assert (found.profile_id, found.ids) == ("lead-a", ["lead-a", "lead-b", "lead-c"])


def test_a_chain_of_mergers_is_followed_to_its_beginning() -> None:
    """
    Records of one merger name two; the latest says who remains.
    """
    chain = [merged(f"lead-{n + 1}", f"lead-{n}", n) for n in range(5)]
    assert known("lead-5", *chain).ids == [f"lead-{n}" for n in range(6)]
    assert known("lead-0", *chain).profile_id == "lead-5"


def test_a_lead_was_the_visitor_who_joined_it() -> None:
    """
    Asked for either of them.
    """
    records = [told("linked", "lead-a", "anonymous_id", "d1"), stitched("lead-a", "d1")]
    assert known("lead-a", *records).ids == known("d1", *records).ids == ["d1", "lead-a"]
    assert known("d1", *records).profile_id == "lead-a"


def test_others_are_none_of_them() -> None:
    """
    Neither who was refused, nor who shares a number, nor somebody else's device.
    """
    records = [
        told("refused", "lead-a", "email", "h", "lead-b"),
        told("ambiguous", "lead-a", "phone", "h", "lead-b"),
        told("linked", "lead-b", "anonymous_id", "d2"),
        merged("lead-x", "lead-y"),
    ]
    found = known("lead-a", *records)
    assert (found.profile_id, found.ids) == ("lead-a", ["lead-a"])


def test_a_shared_device_is_whose_it_was_then() -> None:
    """
    It follows the latest login, and what it did before the first one is the first one's.
    """
    records = [
        told("linked", "lead-a", "anonymous_id", "d1", at=1),
        stitched("lead-a", "d1", 1),
        told("moved", "lead-b", "anonymous_id", "d1", "lead-a", at=2),
    ]
    assert known("lead-a", *records).ids == ["d1", "lead-a"]
    assert known("lead-b", *records).ids == ["lead-b"]
    assert known("d1", *records).profile_id == "lead-b"


def test_a_device_that_was_not_stitched_is_its_owner_s() -> None:
    """
    Where sessions are not stitched nothing but the link tells.
    """
    linked = told("linked", "lead-a", "anonymous_id", "d1", at=1)
    moved = told("moved", "lead-b", "anonymous_id", "d1", "lead-a", at=2)
    assert known("lead-a", linked).ids == ["d1", "lead-a"]
    assert known("lead-a", linked, moved).ids == ["lead-a"]


def test_a_user_is_the_lead_who_has_that_id_now() -> None:
    """
    Split off a lead they are another one.
    """
    linked = told("linked", "lead-a", "user_id", "u1", at=1)
    split = told("unmerged", "lead-b", "user_id", "u1", "lead-a", at=2)
    assert known("u1", linked).profile_id == "lead-a"
    assert known("u1", linked, split).profile_id == "lead-b"


def test_who_was_erased_says_so() -> None:
    """
    When that was; another's erasure is not theirs.
    """
    assert known("lead-a", told("erased", "lead-a", at=7)).erased_at == "2026-11-21T10:00:07.000Z"
    assert known("lead-a", told("erased", "lead-b")).erased_at == ""


def test_nobody_is_not_known() -> None:
    """
    An id of which no record tells; that of an event is nobody's.
    """
    assert not known("d1").is_known
    assert not known("e", told("linked", "lead-a", "anonymous_id", "d1")).is_known
    assert known("lead-a", told("created", "lead-a", "user_id", "u1")).is_known
    assert known("d1", told("linked", "lead-a", "anonymous_id", "d1")).is_known
