"""What an event says of its person beside the identifiers that it names: ids that are theirs too, and former spellings.

An explicit request, as Segment's `alias`, names a user id or an anonymous id. One whose kind the source does not tell
comes as both, and counts as what the store knows it as. What nobody knows is linked as a device; as a user, too, where
the source is trusted to ask, so that a chain of such requests gives one person in any order.

An address or number there is how the event's own was spelled before: under a former secret of pseudonyms. It leads to
whom it was given, and is never given to anybody itself.
"""

from __future__ import annotations

from operators.event import Event
from operators.rules import IdentityRules


def requested(event: Event, known: dict[str, str], rules: IdentityRules) -> list[str]:
    """Return the ids that are to be this person's too, as what they count."""
    also, found = event.also, []
    for name in also:
        user, device = "u:" + name[2:], "a:" + name[2:]
        if name == user:
            is_unknown = user not in known and (device in known or not (rules.may_ask and event.user_id))
            counts = device not in also or not is_unknown
        else:
            counts = name == device and (user not in also or device in known or user not in known)
        if counts:
            found.append(name)
    return found


def former(event: Event, name: str) -> list[str]:
    """Return how an address or number of the event, in its form as a name, was spelled before."""
    return [one for one in event.also if one[0] == name[0]] if name[0] in "ep" else []


def owner_of(event: Event, name: str, known: dict[str, str]) -> str | None:
    """Return the lead that an identifier of the event belongs to, as it is spelled or as it was."""
    owner = known.get(name)
    if owner is None and event.also:
        for one in former(event, name):
            owner = known.get(one)
            if owner is not None:
                break
    return owner
