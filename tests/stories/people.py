"""
Who is who, as the stories of identity ask for it.
"""

from config.identity import IdentitySettings, LimitSettings
from config.settings import Settings
from operators.identity import TYPES
from tests.story import Story

MARA = "mara@example.org"
JOE = "joe@example.org"
PHONE = "+4915112345678"


def people(shop: Story) -> list[set[str]]:
    """Who is who: the identifiers of each lead, in the order in which the leads were first heard of."""
    made = [record.profile_id for record in shop.identity() if record.what == "created"]
    names = [(name, lead) for name, lead in shop.loop.links.items() if name[0] in TYPES]
    found = [{name for name, owner in names if owner == lead} for lead in made]
    return [one for one in found if one]


def told(shop: Story, *whats: str) -> list[tuple[str, str, str, str]]:
    """What happened, to whom, to what type of identifier, and the rule if it was refused; of all, or of some."""
    return [
        (r.what, shop.name(r.profile_id), r.identifier_type, r.rule)
        for r in shop.identity()
        if not whats or r.what in whats
    ]


def limited_shop(**limits: int) -> Story:
    """A shop where a lead is given so much."""
    return Story(Settings(identity=IdentitySettings(limits=LimitSettings(**limits))))
