"""A source says that two ids are one person's: what both did comes together, where it may ask for that. Row 33."""

from config.identity import IdentitySettings
from config.settings import Settings
from operators.identity_record import IdentityRecord
from tests.story import Nudge, Story, Visit

MARA = "mara@example.org"


def trusting() -> Story:
    """A shop whose only source may ask that users be one."""
    return Story(Settings(identity=IdentitySettings(merging=("",))))


def told(records: list[IdentityRecord], shop: Story) -> list[tuple[str, str, str, str]]:
    """What happened, to whom, to what type of identifier, and the rule if it was refused."""
    return [(r.what, shop.name(r.profile_id), r.identifier_type, r.rule) for r in records]


def aliases(shop: Story, time: str, previous: str, user: str) -> None:
    """Segment's alias, as a server sends it."""
    names = (f"u:{previous}", f"a:{previous}")
    shop.at(time).identifies("", as_=user, visitor_id=user, channel="server", also=names)


def test_a_cart_filled_under_the_old_customer_number_is_ordered_under_the_new_one() -> None:
    """
    The shop gives Mara another id in between: no reminder.
    """
    shop = trusting()
    shop.at("10:00").identifies("laptop", as_="c-1", email=MARA).adds("kettle", by="laptop")
    shop.at("10:05").identifies("phone", as_="c-2")
    aliases(shop, "10:10", previous="c-1", user="c-2")
    shop.at("10:20").orders("kettle", by="phone")
    shop.ends()
    assert shop.triggers() == []
    assert [(news.state, news.of) for news in shop.carts()] == [("open", "c-1"), ("purchased", "c-1")]
    assert ("merged", "c-1", "user_id", "") in told(shop.identity(), shop)


def test_from_a_source_that_may_not_ask_they_stay_two(shop: Story) -> None:
    """
    Each with their own cart; the request is told.
    """
    shop.at("10:00").identifies("laptop", as_="c-1", email=MARA).adds("kettle", by="laptop")
    shop.at("10:05").identifies("phone", as_="c-2")
    aliases(shop, "10:10", previous="c-1", user="c-2")
    shop.at("10:20").orders("kettle", by="phone")
    shop.at("10:30").expects(Nudge("c-1", "cart_abandoned", "10:30"))
    assert told(shop.identity(), shop)[-1] == ("refused", "c-2", "user_id", "source_may_not_ask")


def test_the_visit_of_a_device_that_an_alias_names_comes_along(shop: Story) -> None:
    """
    Which any source may say: the id is no user's.
    """
    shop.at("10:00").adds("kettle", by="old-browser")
    aliases(shop, "10:05", previous="old-browser", user="mara")
    shop.at("10:10").identifies("phone", as_="mara", email=MARA)
    shop.at("10:40").expects(Nudge("mara", "cart_abandoned", "10:40"))
    shop.ends()
    assert Visit("old-browser", "10:00", "10:00", of="mara") in shop.sessions()


def test_a_chain_of_aliases_is_one_person_from_either_end() -> None:
    """
    c-1 became c-2, c-2 became c-3, told in the wrong order: what each did is one person's.
    """
    for order in (("c-1", "c-2"), ("c-2", "c-3")), (("c-2", "c-3"), ("c-1", "c-2")):
        shop = trusting()
        for minute, user in enumerate(("c-1", "c-2", "c-3")):
            shop.at(f"10:0{minute}").identifies(f"device-{minute}", as_=user)
            shop.at(f"10:0{minute}").searches(user, by=f"device-{minute}")
        for minute, (previous, user) in enumerate(order, 5):
            aliases(shop, f"10:0{minute}", previous, user)
        shop.ends()
        assert {lead for name, lead in shop.loop.links.items() if name[0] in "ua"} == {shop.loop.links["u:c-1"]}
        assert sorted(shop.profile("c-1").footprint.searches) == ["c-1", "c-2", "c-3"]
        assert len(shop.loop.leads.profiles()) == 1
