"""Who is addressed, where, how often, and who is not. Mission table, rows 3, 4, 6 and 20."""

import pytest

from operators.contacts import KEPT_MIN
from operators.ids import digest
from tests.journeys import book
from tests.story import ANON, Held, Nudge, Story, Taken

MARA = "mara@example.org"


def test_the_third_view_of_a_product_is_worth_one_offer(shop: Story) -> None:
    """
    Two views are none; the third has one, at once; the fourth is held back by the cool-down.
    """
    shop.at("10:00").views("kettle").views("pot")
    shop.at("10:01").views("kettle")
    shop.at("10:01").expects_nothing()
    shop.at("10:02").views("kettle")
    shop.at("10:02").expects(Nudge(ANON, "offer_prompt", "10:02", "onsite"))
    shop.at("10:03").views("kettle")
    shop.at("10:03").expects(Held(ANON, "offer_prompt", "10:03", "cooldown"))


def test_an_offer_says_what_it_is_about(shop: Story) -> None:
    """
    The product and its views are in the trigger, the visitor is its address, and the event is its cause.
    """
    shop.at("10:00").views("kettle", category="kitchen").views("kettle").views("kettle", category="kitchen")
    (trigger,) = shop.triggers()
    assert trigger.context == {
        "product_id": "kettle",
        "name": "",
        "category": "kitchen",
        "price": 0.0,
        "currency": "",
        "views": 3,
        "url": "",
    }
    assert (trigger.cause.type, trigger.cause.id, trigger.cause.event_id) == ("product_viewed", "kettle", "e0003")
    assert trigger.address_ref == f"profile:{ANON}"


def test_the_next_offer_comes_a_day_later(shop: Story) -> None:
    """
    The cool-down is a product's own and ends at its instant; the next offer has its own id.
    """
    shop.at("10:00").views("kettle").views("kettle").views("kettle")
    shop.at("10:05").views("pot").views("pot").views("pot")
    shop.at("10:05").expects(
        Nudge(ANON, "offer_prompt", "10:00", "onsite"), Nudge(ANON, "offer_prompt", "10:05", "onsite")
    )
    shop.at("day 2 10:00").views("kettle").views("pot")
    shop.at("day 2 10:00").expects(
        Nudge(ANON, "returning_visitor", "day 2 10:00", "onsite"),
        Nudge(ANON, "offer_prompt", "day 2 10:00", "onsite"),
        Held(ANON, "browse_abandoned", "11:05", "no_channel"),
        Held(ANON, "offer_prompt", "day 2 10:00", "cooldown"),
    )
    assert len({trigger.trigger_id for trigger in shop.triggers()}) == 4


def test_no_is_remembered(shop: Story) -> None:
    """
    Who declined is offered nothing for thirty days, and from then on again.
    """
    shop.at("10:00").declines()
    shop.at("10:05").views("kettle").views("kettle").views("kettle")
    shop.at("10:05").expects(Held(ANON, "offer_prompt", "10:05", "declined"))
    shop.at("day 20 10:00").reads()
    shop.at("day 31 09:59:59.999").views("kettle")
    shop.at("day 31 10:00").views("kettle")
    shop.at("day 31 10:00").expects(
        Held(ANON, "returning_visitor", "day 20 10:00", "declined"),
        Held(ANON, "browse_abandoned", "11:05", "declined"),
        Held(ANON, "returning_visitor", "day 31 09:59:59.999", "declined"),
        Held(ANON, "offer_prompt", "day 31 09:59:59.999", "declined"),
        Nudge(ANON, "offer_prompt", "day 31 10:00", "onsite"),
    )


def test_no_is_heard_at_once(shop: Story) -> None:
    """
    Who declined ten seconds ago is not offered the next thing, although the watermark is not there yet.
    """
    shop.at("10:00").views("kettle").views("kettle")
    shop.at("10:00:10").declines()
    shop.at("10:00:20").views("kettle")
    shop.at("10:05").expects(Held(ANON, "offer_prompt", "10:00:20", "declined"))


def test_no_is_heard_by_reminders(shop: Story) -> None:
    """
    Who declined is not reminded by e-mail either.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle").declines()
    shop.at("10:30").expects(Held("mara", "cart_abandoned", "10:30", "declined"))


def test_no_said_on_the_phone_counts_on_the_web(shop: Story) -> None:
    """
    One person, one memory: declined on one channel, not shown on another (mission row 35).
    """
    shop.at("10:00").identifies(as_="mara", email=MARA, phone="+49151")
    shop.at("10:01").declines("", phone="+49151", channel="phone")
    shop.at("10:05").views("kettle").views("kettle").views("kettle")
    shop.at("10:05").expects(Held("mara", "offer_prompt", "10:05", "declined"))


def test_who_comes_back_is_welcomed(shop: Story) -> None:
    """
    Visits on day 1 and day 3: two sessions, one profile, one welcome.
    """
    shop.at("10:00").reads()
    shop.at("10:20").reads()
    shop.at("10:20").expects_nothing()
    shop.at("day 3 10:00").reads()
    shop.at("day 3 10:00").expects(Nudge(ANON, "returning_visitor", "day 3 10:00", "onsite"))
    shop.ends()
    assert len(shop.sessions()) == 2
    assert shop.profile(ANON).visits == 2


@pytest.mark.parametrize(("back", "visits"), [("10:30:30", 1), ("10:30:30.001", 2)])
def test_a_visit_is_new_once_no_straggler_can_bridge_it(shop: Story, back: str, visits: int) -> None:
    """
    Gap and allowed lateness together: exactly that is no new visit yet, a millisecond more is.
    """
    shop.at("10:00").reads()
    shop.at(back).reads()
    assert shop.profile(ANON).visits == visits
    assert len(shop.triggers()) == visits - 1


def test_one_welcome_a_day(shop: Story) -> None:
    """
    Who comes back twice within the cool-down is welcomed once, and the second welcome is accounted for.
    """
    shop.at("08:00").reads()
    shop.at("10:00").reads()
    shop.at("21:59:59.999").reads()
    shop.at("day 2 10:00").reads()
    shop.at("day 2 10:00").expects(
        Nudge(ANON, "returning_visitor", "10:00", "onsite"),
        Held(ANON, "returning_visitor", "21:59:59.999", "cooldown"),
        Nudge(ANON, "returning_visitor", "day 2 10:00", "onsite"),
    )


def test_a_reminder_goes_to_an_address_by_reference(shop: Story) -> None:
    """
    By e-mail, to whom is known by a hash only: no address is in any record.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle")
    shop.at("10:30").expects(Nudge("mara", "cart_abandoned", "10:30"))
    (trigger,) = shop.triggers()
    assert trigger.address_ref == f"email:{digest('email', MARA)}"
    assert MARA not in repr(shop.loop.records)


def test_no_e_mail_to_who_opted_out(shop: Story) -> None:
    """
    An address is no consent: opted out is held back, for that reason.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle")
    shop.at("10:05").opts_out()
    shop.at("11:00").expects(Held("mara", "cart_abandoned", "10:35", "consent"))


def test_the_last_word_on_consent_counts(shop: Story) -> None:
    """
    By event time: in again after out, whichever word came in first.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle")
    shop.at("10:05:10").opts_in()
    shop.at("10:05").opts_out()
    shop.at("11:00").expects(Nudge("mara", "cart_abandoned", "10:35:10"))


def test_consent_is_checked_when_the_reminder_is_due(shop: Story) -> None:
    """
    An opt-out at the reminder's very instant holds it back, one after it left takes it back.
    """
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle")
    shop.at("10:00").identifies("anon-8", as_="joe", email="joe@example.org").adds("kettle", cart="c2", by="anon-8")
    shop.at("10:30").opts_out(channel="email", by="", user_id="mara")
    shop.at("10:30:00.001").opts_out(channel="email", by="", user_id="joe")
    shop.time("12:00")
    assert sorted(map(repr, shop.news())) == sorted(
        map(
            repr,
            [
                Nudge("joe", "cart_abandoned", "10:30"),
                Taken("joe", "cart_abandoned", "10:30:00.001", "consent"),
                # What happens at the instant is activity too: the delay starts again, and consent is gone.
                Held("mara", "cart_abandoned", "11:00", "consent"),
            ],
        )
    )


def test_who_has_no_address_and_is_gone_cannot_be_reached(shop: Story) -> None:
    """
    An anonymous shopper who left: the cart is abandoned, and the reminder held back for want of a channel.
    """
    shop.at("10:00").adds("kettle")
    shop.at("10:30").expects(Held(ANON, "cart_abandoned", "10:30", "no_channel"))


def test_who_has_no_address_and_is_there_is_met_on_the_site(strict_shop: Story) -> None:
    """
    Still reading when the cart's delay is over: on the site, where else.
    """
    shop = strict_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:20").reads()
    shop.at("10:30").expects(Nudge(ANON, "cart_abandoned", "10:30", "onsite"))


def test_who_opted_out_and_is_there_is_met_on_the_site(strict_shop: Story) -> None:
    """
    Consent is a channel's: no e-mail, but the page that is open.
    """
    shop = strict_shop
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle")
    shop.at("10:20").opts_out()
    shop.at("10:30").expects(Nudge("mara", "cart_abandoned", "10:30", "onsite"))


def test_a_visitor_is_there_until_the_gap_has_passed(strict_shop: Story) -> None:
    """
    At the instant the visit ends, nobody is there; and who comes a moment later was not there either.
    """
    shop = strict_shop
    shop.at("10:00").adds("kettle")
    shop.at("10:30:00.001").reads()
    shop.at("10:31").expects(Held(ANON, "cart_abandoned", "10:30", "no_channel"))


def test_two_shops_settings_are_two_policies() -> None:
    """
    The view from which an offer is made is a setting.
    """
    shop = Story(book=book(offer_views=1))
    shop.at("10:00").views("kettle")
    shop.at("10:00").expects(Nudge(ANON, "offer_prompt", "10:00", "onsite"))


@pytest.fixture
def eager_shop() -> Story:
    """A shop that makes an offer at the first view of a product."""
    return Story(book=book(offer_views=1))


def test_many_offers_do_not_make_a_reminder_forgotten(eager_shop: Story) -> None:
    """
    One reminder a week, whatever else was said in between.
    """
    shop = eager_shop
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("kettle", cart="c1")
    for number in range(60):
        shop.at("day 2 10:00").views(f"p{number}")
    shop.at("day 3 10:00").adds("sofa", cart="c2")
    shop.ends()
    abandoned = [decision for decision in shop.news() if decision.action == "cart_abandoned"]
    assert abandoned == [
        Nudge("mara", "cart_abandoned", "10:30"),
        Held("mara", "cart_abandoned", "day 3 10:30", "cooldown"),
    ]


def test_no_two_offers_have_one_id(eager_shop: Story) -> None:
    """
    However much was offered in between: the second offer of a product is not taken for a repeat of the first. Who
    looks at more than is remembered of a day is left alone.
    """
    shop = eager_shop
    shop.at("10:00").views("kettle")
    for number in range(60):
        shop.at("day 2 11:00").views(f"p{number}")
    shop.at("day 3 12:00").views("kettle")
    offers = [trigger.trigger_id for trigger in shop.triggers() if trigger.action == "offer_prompt"]
    assert len(offers) == len(set(offers)) == 2 + KEPT_MIN + 1
