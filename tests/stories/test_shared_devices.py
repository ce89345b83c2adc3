"""
What several people use: a tablet, a till, a telephone. Nobody becomes somebody else by it. Domain rows 22, 23 and 34.
"""

from operators.identity import candidates
from operators.identity_record import IdentityRecord
from operators.ids import digest
from tests.stories.people import JOE, MARA, PHONE, limited_shop, people, told
from tests.story import ANON, Nudge, Story, Visit

OFFICE = "+4922112345"

# --- devices --------------------------------------------------------------------------------------------------


def test_a_device_that_moves_on_does_not_take_the_cart_along(shop: Story) -> None:
    """
    Joe logs in on Mara's laptop and orders what is his: her cart is abandoned, and his order did not buy it.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle", cart="c1")
    shop.at("10:05").identifies(as_="joe", email=JOE).adds("sofa", cart="c2")
    shop.at("10:10").orders("sofa")
    shop.at("10:29:59.999").expects_nothing()
    shop.at("10:30").expects(Nudge("mara", "cart_abandoned", "10:30"))
    shop.ends()
    assert [(news.cart, news.state, news.of) for news in shop.carts()] == [
        ("c1", "open", "mara"),
        ("c2", "open", "joe"),
        ("c2", "purchased", "joe"),
        ("c1", "abandoned", "mara"),
    ]


def test_a_device_that_comes_back_finds_the_cart_where_it_was(shop: Story) -> None:
    """
    The same, but Mara logs in again in time and orders: nobody is reminded.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle", cart="c1")
    shop.at("10:05").identifies(as_="joe", email=JOE).adds("sofa", cart="c2")
    shop.at("10:10").orders("sofa", order="o1")
    shop.at("10:20").identifies(as_="mara", email=MARA)
    shop.at("10:25").orders("kettle", order="o2")
    shop.ends()
    assert shop.triggers() == []
    assert [(news.cart, news.state) for news in shop.carts()][2:] == [("c2", "purchased"), ("c1", "purchased")]


def test_three_users_of_a_kiosk_are_three(shop: Story) -> None:
    """
    Each has the cart, the visit and the reminder of their own; what is done without a name is the last one's.
    """
    for number, user in enumerate(("mara", "joe", "zoe")):
        moment = shop.at(f"10:0{number}").identifies("kiosk", as_=user, email=f"{user}@example.org")
        moment.adds("kettle", cart=f"cart of {user}", by="kiosk")
    shop.at("10:03").reads(by="kiosk")
    assert people(shop) == [
        {"u:mara", "e:mara@example.org"},
        {"u:joe", "e:joe@example.org"},
        {"u:zoe", "e:zoe@example.org", "a:kiosk"},
    ]
    shop.at("10:33").expects(
        Nudge("mara", "cart_abandoned", "10:30"),
        Nudge("joe", "cart_abandoned", "10:31"),
        Nudge("zoe", "cart_abandoned", "10:33"),
    )
    assert sorted((visit.start, visit.events, visit.of) for visit in shop.sessions()) == [
        ("10:00", 2, "mara"),
        ("10:01", 2, "joe"),
        ("10:02", 3, "zoe"),
    ]


def test_a_tablet_that_two_use_in_turn_is_always_of_whom_logged_in_last(shop: Story) -> None:
    """
    Fourteen logins in a day, more than a lead is given devices in a week: it is one device of each.
    """
    for number in range(14):
        user = ("mara", "joe")[number % 2]
        shop.at(f"{8 + number}:00").identifies("tablet", as_=user)
        shop.at(f"{8 + number}:01").reads(by="tablet")
    assert told(shop, "refused") == []
    shop.ends()
    assert [visit.of for visit in sorted(shop.sessions(), key=lambda v: int(v.start[:2]))] == ["mara", "joe"] * 7


def test_two_who_come_back_to_one_tablet_are_two(shop: Story) -> None:
    """
    Each on their second visit: subscribers, who leave out what they have had, must not leave out the second person's.
    """
    for day in (1, 2):
        shop.at(f"day {day} 10:00").identifies("tablet", as_="mara", email=MARA).reads(by="tablet")
        shop.at(f"day {day} 12:00").identifies("tablet", as_="joe", email=JOE).reads(by="tablet")
    shop.ends()
    triggers = shop.triggers()
    assert [shop.name(one.profile_id) for one in triggers] == ["mara", "joe"]
    assert {one.action for one in triggers} == {"returning_visitor"}
    assert len({one.trigger_id for one in triggers}) == len({one.slot_key for one in triggers}) == 2


def test_after_a_logout_the_device_is_of_whom_it_was_until_another_login(shop: Story) -> None:
    """
    A logout says nothing; a browser that clears its id with it is another visitor, whom nobody knows.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:05").reads(by="laptop-1").reads(by="laptop-2")
    shop.at("10:10").identifies("laptop-1", as_="joe")
    shop.at("10:15").reads(by="laptop-1")
    shop.ends()
    assert sorted(shop.sessions(), key=lambda visit: (visit.by, visit.start)) == [
        Visit("laptop-1", "10:00", "10:05", events=2, of="mara"),
        Visit("laptop-1", "10:10", "10:15", events=2, of="joe"),
        Visit("laptop-2", "10:05", "10:05", of="laptop-2"),
    ]


# --- telephones -----------------------------------------------------------------------------------------------


def household(shop: Story) -> tuple[str, str]:
    """Mara and Joe give one number; return their leads."""
    shop.at("10:00").identifies("laptop-1", as_="mara", phone=PHONE)
    shop.at("10:01").identifies("laptop-2", email=JOE, phone=PHONE)
    return shop.loop.links["u:mara"], shop.loop.links[f"e:{JOE}"]


def test_who_calls_from_a_shared_number_is_not_guessed(shop: Story) -> None:
    """
    A record names both, who had it first in front; the call is a visitor's, and neither of them was there.
    """
    mara, joe = household(shop)
    assert told(shop, "ambiguous", "refused") == [("ambiguous", JOE, "phone", "")]
    shop.at("10:05").calls(PHONE)
    call = shop.identity()[-1]
    assert call == IdentityRecord(
        what="ambiguous",
        profile_id=call.profile_id,
        identifier_type="phone",
        identifier=digest("phone", PHONE),
        rule="",
        other_profile_id="",
        event_id="e0003",
        at="2026-11-21T10:05:00.000Z",
        leads=[mara, joe],
    )
    assert call.profile_id not in {mara, joe}
    shop.ends()
    assert [visit.of for visit in shop.sessions() if visit.channel == "phone"] == [PHONE]


def test_who_calls_from_a_shared_number_and_says_who_is_that_one(shop: Story) -> None:
    """
    Beside a name the number does not matter.
    """
    household(shop)
    shop.at("10:05").happens("call_answered", "", user_id="mara", phone=PHONE, channel="phone", call_id="call-1")
    shop.ends()
    assert [visit.of for visit in shop.sessions() if visit.channel == "phone"] == ["mara"]


def test_a_shared_number_says_who_calls_once_those_who_share_it_are_one(shop: Story) -> None:
    """
    What is ambiguous is not for ever: both turn out to be one, and the next call is theirs.
    """
    household(shop)
    shop.at("10:05").calls(PHONE)
    shop.at("10:10").identifies("laptop-1", as_="mara", email=JOE)
    shop.at("10:15").calls(PHONE)
    assert candidates(PHONE, dict(shop.loop.links)) == [shop.loop.links["u:mara"]]
    shop.ends()
    calls = [visit for visit in shop.sessions() if visit.channel == "phone"]
    assert sorted((visit.start, visit.of) for visit in calls) == [("10:05", PHONE), ("10:15", "mara")]


def test_a_device_says_more_than_a_shared_number(shop: Story) -> None:
    """
    Who asks on Joe's laptop to be called at the number is Joe; the number alone would not say.
    """
    household(shop)
    shop.at("10:05").happens("page_viewed", "laptop-2", phone=PHONE)
    shop.ends()
    assert Visit("laptop-2", "10:01", "10:05", events=2, of=JOE) in shop.sessions()


def test_more_who_give_a_number_than_a_household_is_a_switchboards() -> None:
    """
    The last within the limit is named as a candidate, the next one is refused with the rule; all keep their own.
    """
    shop = limited_shop(sharers_max=3)
    users = ["mara", "joe", "zoe", "tom"]
    for number, user in enumerate(users):
        shop.at(f"10:0{number}").identifies(f"laptop of {user}", as_=user, phone=OFFICE)
    assert told(shop, "ambiguous", "refused") == [
        ("ambiguous", "joe", "phone", ""),
        ("ambiguous", "zoe", "phone", ""),
        ("refused", "tom", "phone", "identifier_limit"),
    ]
    shop.at("10:05").calls(OFFICE)
    assert shop.identity()[-1].leads == [shop.loop.links[f"u:{user}"] for user in users[:3]]
    assert len(people(shop)) == 4


def test_a_caller_who_registers_on_the_site_brings_the_call(shop: Story) -> None:
    """
    Known by number when it rang, by name when the form with the number is sent: the call goes on as the lead's, and so
    does the visit on the device.
    """
    shop.at("10:00").calls(PHONE)
    shop.at("10:01").adds("kettle")
    shop.at("10:02").identifies(as_="mara", email=MARA, phone=PHONE)
    shop.at("10:03").calls(PHONE)
    shop.at("10:10").orders()
    shop.ends()
    assert shop.sessions() == [
        Visit(PHONE, "10:00", "10:03", events=2, channel="phone", of="mara"),
        Visit(ANON, "10:01", "10:10", events=3, of="mara"),
    ]
    assert [(news.state, news.of) for news in shop.carts()] == [("open", ANON), ("purchased", "mara")]
    assert shop.loop.visitors.profiles() == []
