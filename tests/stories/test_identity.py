"""Who is who: an anonymous visitor becomes a lead, and what they did comes along. Mission rows 7, 8 and 12."""

from operators.identity_record import IdentityRecord
from operators.ids import digest
from operators.session_record import SessionRecord
from tests.story import ANON, CartNews, Held, Nudge, Story, Visit

MARA = "mara@example.org"
PHONE = "+4915112345678"


def told(records: list[IdentityRecord], shop: Story) -> list[tuple[str, str, str, str]]:
    """What happened, to whom, to what type of identifier, and the rule if it was refused."""
    return [(r.what, shop.name(r.profile_id), r.identifier_type, r.rule) for r in records]


def test_the_open_visit_comes_along(shop: Story) -> None:
    """
    Anonymous at 10:00, known at 10:05: one visit, and it is the lead's.
    """
    shop.at("10:00").reads("/sofas")
    shop.at("10:05").identifies(as_="mara", email=MARA)
    shop.at("10:10").reads("/cart")
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:10", events=3, of="mara")]
    assert [record.entry_url for record in shop.of(SessionRecord)] == ["/sofas"]


def test_a_late_event_finds_a_visit_that_came_along(shop: Story) -> None:
    """
    A visit published of the visitor is mended as the lead's, under the id that it was published with.
    """
    shop.at("09:00").reads()
    shop.at("10:05").identifies(as_="mara")
    shop.time("10:06")
    shop.at("09:10").reads()
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "09:00", "09:00"),
        Visit(ANON, "09:00", "09:00", revision=2, of="mara"),
        Visit(ANON, "09:00", "09:10", events=2, revision=3, of="mara"),
        Visit(ANON, "10:05", "10:05", of="mara"),
    ]


def test_the_open_cart_comes_along(shop: Story) -> None:
    """
    Filled anonymously, reminded by name.
    """
    shop.at("10:00").adds("kettle")
    shop.at("10:05").identifies(as_="mara", email=MARA)
    shop.at("10:35").expects(Nudge("mara", "cart_abandoned", "10:35"))
    assert shop.carts() == [
        CartNews("c1", "open", "10:00", 30.0),
        CartNews("c1", "abandoned", "10:35", 30.0, of="mara"),
    ]


def test_footprints_come_along(shop: Story) -> None:
    """
    Pages, searches and interest of the visitor are the lead's, and the visitor is no more.
    """
    shop.at("10:00").reads("/sofas").searches("sofa").views("s1", category="sofa")
    shop.at("10:05").identifies(as_="mara")
    footprint = shop.profile("mara").footprint
    assert list(footprint.pages) == ["/sofas"]
    assert list(footprint.searches) == ["sofa"]
    assert list(footprint.categories) == ["sofa"]
    assert shop.loop.visitors.profiles() == []


def test_views_count_across_the_login(shop: Story) -> None:
    """
    Twice anonymous and once by name is the third view.
    """
    shop.at("10:00").views("kettle").views("kettle")
    shop.at("10:05").identifies(as_="mara")
    shop.at("10:06").views("kettle")
    shop.at("10:06").expects(Nudge("mara", "offer_prompt", "10:06", "onsite"))


def test_what_was_offered_anonymously_is_not_offered_again_by_name(shop: Story) -> None:
    """
    The cool-down comes along.
    """
    shop.at("10:00").views("kettle").views("kettle").views("kettle")
    shop.at("10:05").identifies(as_="mara")
    shop.at("10:06").views("kettle")
    assert [(decision.to, type(decision).__name__) for decision in shop.news()] == [
        (ANON, "Nudge"),
        ("mara", "Held"),
    ]


def test_two_devices_of_one_person_are_one_profile(shop: Story) -> None:
    """
    Cross-device: the same user id on laptop and phone; the visits stay the devices' own.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:05").identifies("phone-1", email=MARA, channel="app")
    shop.ends()
    assert shop.sessions() == [
        Visit("laptop-1", "10:00", "10:00", of="mara"),
        Visit("phone-1", "10:05", "10:05", channel="app", of="mara"),
    ]
    assert told(shop.identity(), shop) == [
        ("created", "mara", "user_id", ""),
        ("linked", "mara", "user_id", ""),
        ("linked", "mara", "email", ""),
        ("linked", "mara", "anonymous_id", ""),
        ("linked", "mara", "anonymous_id", ""),
    ]


def test_two_users_on_one_device_are_never_one(shop: Story) -> None:
    """
    The device follows the latest login; each keeps their own cart, visit and address.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle", cart="c1")
    shop.at("10:05").identifies(as_="joe", email="joe@example.org").adds("sofa", cart="c2")
    shop.at("10:35").expects(Nudge("mara", "cart_abandoned", "10:30"), Nudge("joe", "cart_abandoned", "10:35"))
    shop.ends()
    assert sorted(shop.sessions(), key=lambda visit: visit.start) == [
        Visit(ANON, "10:00", "10:00", events=2, of="mara"),
        Visit(ANON, "10:05", "10:05", events=2, of="joe"),
    ]
    assert told(shop.identity(), shop)[-1] == ("moved", "joe", "anonymous_id", "")
    assert len(shop.loop.leads.profiles()) == 2


def test_an_address_of_another_lead_is_refused(shop: Story) -> None:
    """
    With a record that names the rule, both leads and the event; what else the event does is not lost.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:01").identifies("phone-1", as_="joe", email=MARA)
    shop.at("10:02").reads(by="phone-1")
    mara, joe = (shop.loop.links[name] for name in ("u:mara", "u:joe"))
    refused = [record for record in shop.identity() if record.what == "refused"]
    assert refused == [
        IdentityRecord(
            what="refused",
            profile_id=joe,
            identifier_type="email",
            identifier=digest("email", MARA),
            rule="one_user_id_per_lead",
            other_profile_id=mara,
            event_id="e0002",
            at="2026-11-21T10:01:00.000Z",
        )
    ]
    assert shop.profile("joe").last_at > shop.profile("mara").last_at


def test_two_leads_who_turn_out_to_be_one(shop: Story) -> None:
    """
    Known by user id on the laptop, by address on the phone: who names both is the older of the two, with all devices.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:01").identifies("phone-1", email=MARA)
    shop.at("10:02").identifies("laptop-1", as_="mara", email=MARA)
    younger = shop.identity()[-1].other_profile_id
    assert shop.identity()[-1] == IdentityRecord(
        what="merged",
        profile_id=shop.identity()[0].profile_id,
        identifier_type="email",
        identifier=digest("email", MARA),
        rule="",
        other_profile_id=younger,
        event_id="e0003",
        at="2026-11-21T10:02:00.000Z",
        leads=[younger],
    )
    shop.at("10:03").reads("/sofas", by="phone-1")
    shop.ends()
    assert {visit.of for visit in shop.sessions()} == {"mara"}
    assert [key for key, _ in shop.loop.leads.profiles()] == [shop.identity()[0].profile_id]


def test_an_order_buys_the_cart_of_the_lead_who_turned_out_to_be_the_same(shop: Story) -> None:
    """
    A cart on the phone, known by address; the order on the laptop, known by user id: nobody is reminded.
    """
    shop.at("10:00").identifies("phone-1", email=MARA)
    shop.at("10:01").adds("kettle", by="phone-1")
    shop.at("10:05").identifies("laptop-1", as_="mara")
    shop.at("10:10").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:15").orders(by="laptop-1")
    shop.time("12:00")
    assert [(news.state, news.of) for news in shop.carts()] == [("open", "mara"), ("purchased", "mara")]
    shop.at("12:00").expects_nothing()


def test_what_the_younger_lead_was_told_is_not_told_again(shop: Story) -> None:
    """
    Cool-downs, consents and the address come along with the cart.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:01").identifies("phone-1", email=MARA)
    shop.at("10:02").adds("kettle", by="phone-1")
    shop.at("10:32").expects(Nudge("mara@example.org", "cart_abandoned", "10:32"))
    shop.at("10:40").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:41").adds("lamp", cart="c2", by="laptop-1")
    shop.at("11:11").expects(
        Nudge("mara", "returning_visitor", "10:40", "onsite"), Held("mara", "cart_abandoned", "11:11", "cooldown")
    )


def test_an_order_that_arrives_late_buys_the_cart_of_the_lead_it_was_of(shop: Story) -> None:
    """
    The order of the younger lead, before both turn out to be one, comes after that; the cart was due in between.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:01").identifies("phone-1", email=MARA)
    shop.at("10:02").adds("kettle", by="phone-1")
    shop.at("10:20").reads(by="laptop-1")
    shop.at("10:32:10").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:31:55").orders(by="web-shop", email=MARA)
    shop.at("12:00").expects_nothing()
    assert [news.state for news in shop.carts()] == ["open", "purchased"]


def test_a_visitor_known_late_to_the_younger_lead_comes_along(shop: Story) -> None:
    """
    Guests of a guest: a login as the younger lead just before both turn out to be one takes its visit all the way.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("10:01").identifies("phone-1", email=MARA)
    shop.at("10:02").adds("kettle", by="tablet-1")
    shop.at("10:02:10").identifies("tablet-1", email=MARA)
    shop.at("10:02:20").identifies("laptop-1", as_="mara", email=MARA)
    shop.at("10:10").orders(by="laptop-1")
    shop.ends()
    assert [(news.state, news.of) for news in shop.carts()] == [("open", "tablet-1"), ("purchased", "mara")]
    assert sorted(visit.by for visit in shop.sessions()) == ["laptop-1", "phone-1", "tablet-1"]


def test_an_unknown_caller_becomes_known(shop: Story) -> None:
    """
    The number is a visitor until somebody names it; then the call is the lead's.
    """
    shop.at("10:00").calls(PHONE)
    shop.at("10:05").identifies(as_="mara", phone=PHONE)
    shop.at("10:06").calls(PHONE)
    shop.ends()
    assert shop.sessions() == [
        Visit(ANON, "10:05", "10:05", of="mara"),
        Visit(PHONE, "10:00", "10:06", events=2, channel="phone", of="mara"),
    ]
    assert shop.loop.visitors.profiles() == []


def test_a_known_caller_is_known_when_the_phone_rings(shop: Story) -> None:
    """
    No session of an unknown caller is begun.
    """
    shop.at("10:00").identifies(as_="mara", phone=PHONE)
    shop.at("10:05").calls(PHONE)
    assert shop.profile("mara").last_at == shop.profile("mara").first_at + 5 * 60_000


def test_two_numbers_are_two_callers(shop: Story) -> None:
    """
    And neither number is in any record's profile id.
    """
    shop.at("10:00").calls(PHONE).calls("+492221")
    shop.ends()
    profile_ids = {record.profile_id for record in shop.of(SessionRecord)}
    assert len(profile_ids) == 2
    assert not any(PHONE in profile_id for profile_id in profile_ids)


def test_a_lead_needs_no_device(shop: Story) -> None:
    """
    An order that a server tells of by user id is the person's, and buys the cart on the device.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle")
    shop.at("10:10").orders("kettle", by="", user_id="mara", channel="server")
    shop.ends()
    shop.at("10:10").expects_nothing()
    assert [news.state for news in shop.carts()] == ["open", "purchased"]


def test_a_straggler_from_before_the_login_is_the_visitors(shop: Story) -> None:
    """
    Filled at 10:04:50, logged in at 10:05, told in the wrong order: as if told in the right one.
    """
    shop.at("10:00").reads()
    shop.at("10:05").identifies(as_="mara", email=MARA)
    shop.at("10:04:50").adds("kettle")
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:05", events=3, of="mara")]
    assert shop.carts() == [
        CartNews("c1", "open", "10:04:50", 30.0),
        CartNews("c1", "abandoned", "10:35", 30.0, of="mara"),
    ]


def test_a_visitors_visit_may_bridge_two_runs_of_the_lead(shop: Story) -> None:
    """
    The login at 10:00:05 is told after what the visitor did at 10:00:10, and the next event comes before the watermark
    reaches the login: still one visit, as no pause in it is longer than the gap.
    """
    shop.at("10:00").reads()
    shop.at("10:00:10").reads()
    shop.at("10:00:05").identifies(as_="mara")
    shop.at("10:30:08").reads()
    shop.ends()
    assert shop.sessions() == [Visit(ANON, "10:00", "10:30:08", events=4, of="mara")]


def test_a_straggler_may_be_the_first_that_is_heard_of_its_visitor(shop: Story) -> None:
    """
    The same where nothing of the visitor had come before the login.
    """
    shop.at("10:05").identifies(as_="mara", email=MARA)
    shop.at("10:04:50").adds("kettle")
    shop.ends()
    assert shop.carts() == [
        CartNews("c1", "open", "10:04:50", 30.0),
        CartNews("c1", "abandoned", "10:35", 30.0, of="mara"),
    ]


def test_an_order_before_the_login_is_not_the_visitors() -> None:
    """
    What the lead bought elsewhere before the cart was theirs did not buy it, whichever was told first.
    """
    outcomes = []
    for is_in_order in (True, False):
        told_shop = Story()
        told_shop.at("09:59").identifies("laptop-1", as_="mara", email=MARA)
        if is_in_order:
            told_shop.at("10:04:50").adds("kettle")
        told_shop.at("10:04:55").orders("sofa", by="laptop-1")
        told_shop.at("10:05").identifies(as_="mara")
        if not is_in_order:
            told_shop.at("10:04:50").adds("kettle")
        told_shop.ends()
        outcomes.append([(news.state, news.at) for news in told_shop.carts()])
    assert outcomes[0] == outcomes[1] == [("open", "10:04:50"), ("abandoned", "10:35")]


def test_a_visit_that_goes_on_through_a_login_is_one_visit(shop: Story) -> None:
    """
    Mara on day 1 by laptop, on day 3 by phone, anonymous at first: two visits.
    """
    shop.at("10:00").identifies("laptop-1", as_="mara")
    shop.at("day 3 10:00").reads(by="phone-1")
    shop.at("day 3 10:05").identifies("phone-1", as_="mara")
    assert shop.profile("mara").visits == 2
