"""
Who turns out to be who: the shapes in which identifiers meet, and what keeps them apart. Domain rows 17 to 32.

Devices and numbers that several use: test_shared_devices.py. What moves when leads become one: test_merged_people.py.
Spellings, and what names nobody: test_names.py.
"""

import pytest

from config.identity import IdentitySettings
from config.settings import Settings
from operators.identity import alias_key
from operators.ids import digest
from tests.stories.people import MARA, PHONE, limited_shop, people, told
from tests.story import ANON, Held, Nudge, Story, Visit

# --- shapes ---------------------------------------------------------------------------------------------------


def test_a_chain_is_one_person(shop: Story) -> None:
    """
    The device names the user, the user the address, the address the number: a call from it is that person's.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:01").identifies("", as_="mara", email=MARA)
    shop.at("10:02").identifies("", email=MARA, phone=PHONE)
    shop.at("10:03").calls(PHONE)
    assert people(shop) == [{"a:laptop-1", "u:mara", f"e:{MARA}", f"p:{PHONE}"}]
    assert told(shop, "created", "merged", "refused", "moved") == [("created", "mara", "user_id", "")]
    assert shop.profile("mara").last_at - shop.profile("mara").first_at == 3 * 60_000


def test_a_chain_told_from_its_end_is_the_same_person(shop: Story) -> None:
    """
    Number and address first, then the address with the user, then the user with the device.
    """
    shop.at("10:00").identifies("", email=MARA, phone=PHONE)
    shop.at("10:01").identifies("", as_="mara", email=MARA)
    shop.at("10:02").identifies("laptop-1", as_="mara")
    shop.at("10:03").calls(PHONE)
    assert people(shop) == [{"a:laptop-1", "u:mara", f"e:{MARA}", f"p:{PHONE}"}]
    assert told(shop, "created", "merged", "refused", "moved") == [("created", "mara", "email", "")]
    assert shop.profile("mara").last_at - shop.profile("mara").first_at == 3 * 60_000


def test_a_chain_whose_middle_comes_last_joins_both_ends(shop: Story) -> None:
    """
    Device with user, address with number: two leads, until the user names the address. The call before it is theirs.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:01").identifies("", email=MARA, phone=PHONE)
    shop.at("10:02").calls(PHONE)
    assert len(people(shop)) == 2
    shop.at("10:03").identifies("", as_="mara", email=MARA)
    assert people(shop) == [{"a:laptop-1", "u:mara", f"e:{MARA}", f"p:{PHONE}"}]
    shop.ends()
    assert [visit for visit in shop.sessions() if visit.channel == "phone"] == [
        Visit(PHONE, "10:02", "10:02", channel="phone", of="mara")
    ]
    assert {visit.of for visit in shop.sessions()} == {"mara"}


def test_a_diamond_is_one_person(shop: Story) -> None:
    """
    Two devices, an address on each, and one user who names both: three leads become the oldest, and the last record
    lists all who ever did.
    """
    shop.at("10:00").identifies("laptop-1", email=MARA)
    shop.at("10:01").identifies("phone-1", email="work@example.org")
    shop.at("10:02").identifies("", as_="mara")
    first, second, third = (record.profile_id for record in shop.identity() if record.what == "created")
    shop.at("10:03").identifies("", as_="mara", email="work@example.org")
    shop.at("10:04").identifies("", as_="mara", email=MARA)
    assert people(shop) == [{"e:" + MARA, "a:laptop-1", "e:work@example.org", "a:phone-1", "u:mara"}]
    merges = [(r.profile_id, r.other_profile_id, r.leads) for r in shop.identity() if r.what == "merged"]
    assert merges == [(second, third, [third]), (first, second, [second, third])]


def test_a_chain_of_aliases_resolves_in_one_look_up(shop: Story) -> None:
    """
    The user became the second lead, which became the first: each identifier names that one, not its way there.
    """
    shop.at("10:00").identifies("laptop-1", email=MARA)
    shop.at("10:01").identifies("phone-1", email="work@example.org")
    shop.at("10:02").identifies("tablet-1", as_="mara")
    shop.at("10:03").identifies("", as_="mara", email="work@example.org")
    shop.at("10:04").identifies("", as_="mara", email=MARA)
    first, second, third = (record.profile_id for record in shop.identity() if record.what == "created")
    links = shop.loop.links
    assert [links[alias_key(lead)] for lead in (third, second)] == [second, first]
    assert links["u:mara"] == links["a:tablet-1"] == links["a:phone-1"] == links["a:laptop-1"] == first
    shop.at("10:05").reads(by="tablet-1")
    shop.ends()
    assert {visit.of for visit in shop.sessions()} == {"mara"}
    assert [key for key, _ in shop.loop.leads.profiles()] == [first]


def test_an_event_that_names_what_is_one_already_says_nothing(shop: Story) -> None:
    """
    A bridge from a lead to itself: no record, no link, no visit of anybody else.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA, phone=PHONE)
    before, records = dict(shop.loop.links), len(shop.identity())
    shop.at("10:01").identifies(as_="mara", email=MARA, phone=PHONE)
    shop.at("10:02").identifies("", email=MARA, phone=PHONE)
    assert (dict(shop.loop.links), len(shop.identity())) == (before, records)
    shop.ends()
    assert shop.sessions()[0] == Visit(ANON, "10:00", "10:01", events=2, of="mara")
    assert {visit.of for visit in shop.sessions()} == {"mara"}


def test_two_leads_who_turn_out_to_be_one_after_days(shop: Story) -> None:
    """
    What each of them did for days is one person's: visits, pages and views add up; what was published stays.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara").reads("/sofas", by="laptop-1").views("kettle", by="laptop-1")
    shop.at("day 2 10:00").identifies("phone-1", email=MARA).reads("/lamps", by="phone-1").views("kettle", by="phone-1")
    shop.at("day 3 10:00").reads("/beds", by="laptop-1")
    shop.at("day 4 10:00").reads("/tables", by="phone-1")
    shop.time("day 5 09:00")
    assert [visit.of for visit in shop.sessions()] == ["mara", MARA, "mara", MARA]
    shop.at("day 5 10:00").identifies("laptop-1", as_="mara", email=MARA)
    shop.time("day 5 10:01")
    mara = shop.profile("mara")
    assert set(mara.footprint.pages) == {"/sofas", "/lamps", "/beds", "/tables"}
    assert mara.visits == 5
    shop.news()
    shop.at("day 5 10:02").views("kettle", by="phone-1")
    shop.at("day 5 10:02").expects(Nudge("mara", "offer_prompt", "day 5 10:02", "onsite"))


def test_a_user_id_that_only_the_server_knows_joins_in_by_address(shop: Story) -> None:
    """
    The browser knows the address, the server the user id: an order that names both buys the cart in the browser.
    """
    shop.at("10:00").identifies(email=MARA).adds("kettle")
    shop.at("10:10").orders("kettle", by="", user_id="mara", email=MARA, channel="server")
    shop.ends()
    assert people(shop) == [{f"e:{MARA}", f"a:{ANON}", "u:mara"}]
    assert [news.state for news in shop.carts()] == ["open", "purchased"]
    assert shop.triggers() == []


def test_an_address_that_is_changed_in_the_account_is_one_more(shop: Story) -> None:
    """
    The reminder goes to the new one; who comes by the old one is still the same person.
    """
    shop.at("10:00").identifies(as_="mara", email="old@example.org")
    shop.at("10:01").identifies(as_="mara", email=MARA).adds("kettle")
    shop.at("10:31").expects(Nudge("mara", "cart_abandoned", "10:31"))
    assert [trigger.address_ref for trigger in shop.triggers()] == [f"email:{digest('email', MARA)}"]
    shop.at("10:35").identifies("phone-1", email="old@example.org")
    assert people(shop) == [{"u:mara", "e:old@example.org", f"a:{ANON}", f"e:{MARA}", "a:phone-1"}]


# --- late, and out of order -----------------------------------------------------------------------------------


def test_a_link_may_be_told_before_what_it_joins(shop: Story) -> None:
    """
    The event that names both comes before those that named each: nobody is merged, and it is the same person.
    """
    shop.at("10:00:20").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:00:10").identifies("phone-1", email=MARA).adds("kettle", by="phone-1")
    assert people(shop) == [{"u:mara", f"e:{MARA}", "a:laptop-1", "a:phone-1"}]
    assert told(shop, "merged") == []
    shop.at("10:15").orders(by="laptop-1")
    shop.ends()
    assert [news.state for news in shop.carts()] == ["open", "purchased"]


def test_a_link_that_comes_long_after_its_time_finds_what_was_decided(shop: Story) -> None:
    """
    Logged in at 10:05, told at 10:40: the cart was due at 10:30 and nobody's to remind, which stays so until more is
    put into it. The visit is published again as the lead's, and goes on.
    """
    shop.at("10:00").adds("kettle")
    shop.at("10:40").expects(Held(ANON, "cart_abandoned", "10:30", "no_channel"))
    shop.at("10:05").identifies(as_="mara", email=MARA)
    shop.at("10:20").reads()
    shop.at("10:41").adds("lamp")
    shop.at("11:10:59.999").expects_nothing()
    shop.at("11:11").expects(Nudge("mara", "cart_abandoned", "11:11"))
    shop.ends()
    assert people(shop) == [{"u:mara", f"e:{MARA}", f"a:{ANON}"}]
    assert shop.sessions() == [
        Visit(ANON, "10:00", "10:00"),
        Visit(ANON, "10:00", "10:00", revision=2, of="mara"),
        Visit(ANON, "10:00", "10:05", events=2, revision=3, of="mara"),
        Visit(ANON, "10:00", "10:41", events=4, revision=4, of="mara"),
    ]


# --- limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "whose"), [("day 8 09:59:59.999", "laptop-6"), ("day 8 10:00", "mara")])
def test_the_sixth_device_of_a_week_is_a_visitors_when_it_is_alone(shop: Story, at: str, whose: str) -> None:
    """
    The login on it is the person's all the same; what it does without a name is not, until the first is a week old. The
    week is told to the hour: that device was linked at 10:55.
    """
    for number in range(1, 6):
        shop.at(f"10:5{number + 4}").identifies(f"laptop-{number}", as_="mara")
    shop.at(at).identifies("laptop-6", as_="mara", email=MARA).reads(by="laptop-6")
    refused = told(shop, "refused")
    assert refused == ([("refused", "mara", "anonymous_id", "identifier_limit")] if whose != "mara" else [])
    shop.ends()
    visits = [visit for visit in shop.sessions() if visit.by == "laptop-6"]
    assert {visit.of for visit in visits} == {"mara", whose}
    assert sum(visit.events for visit in visits) == 2


def test_the_sixth_address_is_somebody_elses(shop: Story) -> None:
    """
    Five are one person's for ever; with the sixth the event is still the person's, and the address is free.
    """
    for number in range(1, 7):
        shop.at(f"day {number * 60} 10:00").identifies(as_="mara", email=f"mara{number}@example.org")
    assert told(shop, "refused") == [("refused", "mara", "email", "identifier_limit")]
    shop.at("day 361 10:00").identifies("phone-1", email="mara6@example.org")
    assert [len(one) for one in people(shop)] == [7, 2]


def test_at_the_ceiling_of_merges_everybody_is_still_resolved() -> None:
    """
    Two leads may become one with a third, once: the next one stays another, and its events are its own.
    """
    shop = limited_shop(merges_max=1)
    shop.at("10:00").identifies("laptop-1", email=MARA)
    shop.at("10:01").identifies("phone-1", email="work@example.org")
    shop.at("10:02").identifies("", as_="mara")
    shop.at("10:03").identifies("", as_="mara", email=MARA)
    shop.at("10:04").identifies("", as_="mara", email="work@example.org")
    assert told(shop, "merged", "refused") == [
        ("merged", "mara", "user_id", ""),
        ("refused", "mara", "email", "merge_limit"),
    ]
    shop.at("10:05").reads(by="laptop-1").reads(by="phone-1")
    shop.ends()
    assert {(visit.by, visit.of) for visit in shop.sessions() if visit.by.endswith("-1")} == {
        ("laptop-1", "mara"),
        ("phone-1", "work@example.org"),
    }


def test_a_source_that_anybody_can_write_to_joins_nobody_until_a_trusted_one_does() -> None:
    """
    It may link a device. The refusal names the rule, both leads and the event; the cart of the other one stays there.
    """
    shop = Story(Settings(identity=IdentitySettings(untrusted=("form",))))
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:01").identifies("phone-1", email=MARA).adds("kettle", by="phone-1")
    shop.at("10:02").identifies("tablet-1", as_="mara", email=MARA, partition="form")
    mara, other = (shop.loop.links[name] for name in ("u:mara", f"e:{MARA}"))
    (refused,) = (record for record in shop.identity() if record.what == "refused")
    assert (refused.rule, refused.profile_id, refused.other_profile_id, refused.event_id) == (
        "source_may_not_merge",
        mara,
        other,
        "e0004",
    )
    assert people(shop) == [{"u:mara", "a:laptop-1", "a:tablet-1"}, {f"e:{MARA}", "a:phone-1"}]
    shop.at("10:05").orders(by="laptop-1")
    shop.at("10:31").expects(Nudge(MARA, "cart_abandoned", "10:31"))
    shop.at("10:32").identifies("tablet-1", as_="mara", email=MARA, partition="shop")
    assert len(people(shop)) == 1
