"""
Nightmares 21 to 40: who has said no is written to, who is on the telephone, asleep, or somebody else. As in
`tests/stories/test_nightmares_of_buyers.py`, the stories say where that has happened.
"""

import pytest

from config.settings import CartSettings, Settings
from config.traffic import TrafficSettings
from connectors.formats.canonical import decode
from connectors.formats.common import Reading
from operators.event import Event
from tests.journeys import book
from tests.stories.test_nightmares_of_buyers import MARA, NIGHT, PHONE, known, mailed, taken_back
from tests.story import ANON, Story, instant

EVERY_CART = {"abandonment_cooldown": "0s"}
ONE_A_DAY = "caps: [{scope: channel, name: email, limit: 1, per: local_day}]"


def reasons(shop: Story, action: str = "cart_abandoned") -> list[str]:
    """Why that was not sent, in order."""
    return [one.reason for one in shop.suppressed() if one.action == action]


def outcome(shop: Story, kind: str, time: str, trigger_id: str) -> None:
    """Let the sender of letters say what came of one."""
    event = Event(kind, instant(time), "", "email", "mara", user_id="mara")  # type: ignore[arg-type]
    event.properties = f'{{"trigger_id":"{trigger_id}"}}'.encode()
    shop.tell(event)


# --- who has unsubscribed --------------------------------------------------------------------------------------------


def test_21_unsubscribed_on_another_device(shop: Story) -> None:
    """
    By the link in a letter, on a phone that nobody had seen before; the cart is on the laptop.
    """
    known(shop).at("10:00").adds("kettle")
    shop.at("10:10").opts_out(by="phone-1", email=MARA)
    shop.ends()
    assert mailed(shop) == []
    assert reasons(shop) == ["consent"]


def test_22_unsubscribed_under_another_spelling() -> None:
    """
    In capitals and with blanks, as forms send it. (justingit/dada-mail#787)
    """
    shop = Story()
    reading = Reading("")
    for number, (time, told) in enumerate(
        (
            ("09:50", '"kind":"identified","anonymous_id":"anon-7","email":"mara@example.org"'),
            ("10:10", '"kind":"consent_withdrawn","email":"  MARA@Example.ORG ","consents":{"email":false}'),
        )
    ):
        at = f'"event_id":"x{number}","occurred_at":"2026-11-21T{time}:00Z","channel":"web"'
        event = decode(f"{{{at},{told}}}".encode(), number, reading)
        assert event is not None
        shop.tell(event)
        if number == 0:
            shop.at("10:00").adds("kettle")
    shop.ends()
    assert mailed(shop) == []
    assert reasons(shop) == ["consent"]


def test_23_unsubscribed_while_the_letter_waited() -> None:
    """
    Held for the night, refused in the night: consent is that of the morning.
    """
    shop = known(Story(book=book(policy=NIGHT)), "20:30")
    shop.at("21:00").adds("kettle")
    told = {"user_id": "mara", "channel": "server", "consents": {"email": False}}
    shop.at("day 2 07:59:59.999").happens("consent_withdrawn", "", **told)
    shop.ends()
    assert mailed(shop) == []
    assert reasons(shop) == ["consent"]


def test_24_unsubscribed_after_it_had_left(shop: Story) -> None:
    """
    The letter is in the sender's queue: it is taken back, so that who has not sent it yet need not.
    """
    known(shop).at("10:00").adds("kettle")
    shop.time("10:30")
    shop.at("10:31").opts_out()
    assert taken_back(shop) == [("cart_abandoned", "consent")]


def test_25_who_has_unsubscribed_before_a_merge_has_after_it(shop: Story) -> None:
    """
    The refusal is one account's, the cart another's, and both turn out to be one. (Tracardi/tracardi#784, #892)
    """
    shop.at("09:00").identifies("phone-1", email=MARA).opts_out(by="phone-1")
    shop.at("09:30").identifies(as_="mara")
    shop.at("10:00").adds("kettle")
    shop.at("10:10").identifies(as_="mara", email=MARA)
    shop.ends()
    assert mailed(shop) == []
    assert reasons(shop) == ["consent"]


def test_26_who_has_complained_is_a_spammer_s_victim_only_once(shop: Story) -> None:
    """
    A complaint is a refusal of the channel, for whatever comes next, although nobody has said "unsubscribe".
    """
    shop = Story(book=book(declined="0s", **EVERY_CART))
    known(shop).at("10:00").adds("kettle", cart="c1")
    shop.time("10:30")
    outcome(shop, "email_complained", "10:40", shop.triggers()[0].trigger_id)
    shop.at("day 5 10:00").adds("sofa", cart="c2")
    shop.ends()
    assert len(mailed(shop)) == 1
    assert reasons(shop) == ["consent"]


def test_27_a_receipt_is_no_letter() -> None:
    """
    Who has unsubscribed is told that their order has come in, and nothing else; who has refused that too is not.
    (mautic/mautic#15154)
    """
    receipts = "{id: receipt, family: order, on: order_completed, purpose: transactional, channels: [email]}"
    letters = "{id: thanks, family: offer, on: order_completed, channels: [email]}"
    for word, sent in (("email", ["receipt"]), ("transactional", ["thanks"]), ("email:transactional", ["thanks"])):
        shop = known(Story(book=book(extra=f"actions: [{receipts}, {letters}]")))
        shop.at("10:00").opts_out(channel=word).orders("kettle")
        assert [action for _, action in mailed(shop)] == sent


# --- who has declined ------------------------------------------------------------------------------------------------


def test_28_declined_on_the_telephone(shop: Story) -> None:
    """
    An agent has heard the no; neither the site nor a letter asks again.
    """
    shop.at("09:50").identifies(as_="mara", email=MARA, phone=PHONE)
    shop.at("10:00").adds("kettle").calls(PHONE)
    shop.at("10:01").declines("", phone=PHONE, channel="phone")
    shop.at("10:05").views("pot").views("pot").views("pot")
    shop.ends()
    assert mailed(shop) == []
    assert reasons(shop) + reasons(shop, "offer_prompt") == ["declined", "declined"]


def test_29_declined_before_anybody_knew_who_it_was(shop: Story) -> None:
    """
    An anonymous visitor declines, logs in, and is asked nothing on the other device either.
    """
    known(shop).at("10:00").declines(by="phone-1")
    shop.at("10:05").identifies("phone-1", as_="mara", email=MARA)
    shop.at("10:06").views("pot").views("pot").views("pot")
    assert reasons(shop, "offer_prompt") == ["declined"]


# --- how often -------------------------------------------------------------------------------------------------------


def test_30_a_cap_split_over_two_profiles() -> None:
    """
    One letter a day, and two accounts of one person: what either had counts for both, once they are one.
    """
    shop = Story(book=book(policy=ONE_A_DAY, **EVERY_CART))
    shop.at("09:00").identifies("phone-1", email=MARA).adds("kettle", cart="c1", by="phone-1")
    shop.at("09:30").identifies(as_="mara")
    shop.at("10:00").identifies(as_="mara", email=MARA).adds("sofa", cart="c2")
    shop.ends()
    assert [one.cause.id for one in shop.triggers() if one.channel == "email"] == ["c1"]
    assert reasons(shop) == ["cap"]


def test_31_two_carts_of_one_instant() -> None:
    """
    Left on two devices in the same millisecond: the one counts when the other is decided.
    """
    shop = Story(book=book(policy=ONE_A_DAY, **EVERY_CART))
    known(shop, "09:40").at("09:50").identifies("anon-8", as_="mara")
    shop.at("10:00").adds("kettle", cart="c1").adds("sofa", cart="c2", by="anon-8")
    shop.ends()
    assert len(mailed(shop)) == 1
    assert reasons(shop) == ["cap"]


def test_32_a_limit_that_campaigns_do_not_know() -> None:
    """
    Two letters a week from whoever: rules of other families, timers and waits count together. (mautic/mautic#6729)
    """
    extra = """
actions:
- {id: flight, family: nurture, on: consent_given, after: 24h, channels: [email]}
- {id: thanks, family: offer, on: order_completed, channels: [email]}
"""
    week = "caps: [{scope: channel, name: email, limit: 2, per: 7d}]"
    shop = known(Story(book=book(policy=week, extra=extra, **EVERY_CART)))
    shop.at("10:00").opts_in().adds("kettle", cart="c1")
    shop.time("10:30")
    shop.at("12:00").orders("pot", order="o1")
    shop.at("day 8 10:29:59.999").orders("pot", order="o2")
    shop.at("day 8 10:30").orders("pot", order="o3")
    shop.ends()
    assert [action for _, action in mailed(shop)] == ["cart_abandoned", "thanks", "thanks"]
    assert reasons(shop, "flight") == reasons(shop, "thanks") == ["cap"]


def test_33_a_receipt_uses_up_the_limit() -> None:
    """
    What is transactional neither counts nor is counted: the reminder still comes, and so does the next receipt.
    (Klaviyo's users: a cart flow killed by the receipts before it.)
    """
    extra = "actions: [{id: receipt, family: order, on: order_completed, purpose: transactional, channels: [email]}]"
    shop = known(Story(book=book(policy=ONE_A_DAY, extra=extra)))
    shop.at("09:59").orders("pot", order="o1")
    shop.at("10:00").adds("kettle")
    shop.time("10:30")
    shop.at("10:40").orders("pan", order="o2", cart="another")
    shop.ends()
    assert [action for _, action in mailed(shop)] == ["receipt", "cart_abandoned", "receipt"]


def test_34_what_bounced_has_reached_nobody() -> None:
    """
    It leaves the day's one letter free: else who mistyped an address is not written to under the right one. Under the
    wrong one they are not again.
    """
    shop = Story(book=book(policy=ONE_A_DAY, **EVERY_CART))
    known(shop, "08:30").at("09:00").adds("kettle", cart="c1")
    shop.time("09:30")
    outcome(shop, "email_bounced", "09:40", shop.triggers()[0].trigger_id)
    shop.at("10:00").adds("sofa", cart="c2")
    shop.at("10:40").identifies(as_="mara", email="mara.right@shop.example")
    shop.at("11:00").adds("lamp", cart="c3")
    shop.at("12:00").adds("pan", cart="c4")
    shop.ends()
    assert [one.cause.id for one in shop.triggers() if one.channel == "email"] == ["c1", "c3"]
    assert reasons(shop) == ["no_channel", "cap"]


# --- not now ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "released"), [("day 127 21:00", "day 128 06:00"), ("day 128 21:00", "day 129 06:00")])
def test_35_the_night_in_which_the_clock_changes(at: str, released: str) -> None:
    """
    Quiet until eight in Berlin: on 28 March 2027 that is an hour less to wait than the night before it would say, and
    neither seven nor nine by the clock on the wall. (mautic/mautic#2824)
    """
    shop = known(Story(book=book(policy=f"time_zone: Europe/Berlin\n{NIGHT}")), at)
    shop.at(at).adds("kettle")
    for time, letters in ((f"{released[:8]}05:59:59.999", 0), (released, 1)):
        shop.time(time)
        assert len(mailed(shop)) == letters


def test_36_night_where_they_are_and_day_in_the_shop() -> None:
    """
    The shop goes by UTC, the person by Los Angeles, as they have said: no letter at three in the morning.
    (mautic/mautic#539)
    """
    shop = Story(book=book(policy=NIGHT))
    person = Event("identified", instant("10:00"), "", "web", ANON, ANON, user_id="mara", email=MARA)
    person.properties = b'{"timezone":"America/Los_Angeles"}'
    shop.tell(person)
    shop.at("10:30").adds("kettle")  # due at 11:00, when it is three there
    shop.time("15:59:59.999")
    assert mailed(shop) == []
    shop.time("16:00")
    assert mailed(shop) == [("mara", "cart_abandoned")]


def test_37_on_the_telephone_with_us() -> None:
    """
    Who is being talked to gets no letter on the cart, that might be sold this minute; a minute later they would.
    """
    rule = "{id: left, family: offer, slot: left, on: cart.timer, channels: [email], not_while: [call]}"
    for hangs_up, sent in (("10:29:59.999", 1), ("10:30:00.001", 0)):
        settings = Settings(cart=CartSettings(restart_on="cart_change"))
        shop = Story(settings, book(extra=f"actions: [{rule}]"))
        shop.at("09:50").identifies(as_="mara", email=MARA, phone=PHONE)
        shop.at("10:00").adds("kettle")
        _moment(shop, "call_ringing", "10:20")
        _moment(shop, "call_ended", hangs_up)
        shop.ends()
        assert sum(action == "left" for _, action in mailed(shop)) == sent


# --- somebody else ---------------------------------------------------------------------------------------------------


def test_38_an_arm_that_flips_at_the_login() -> None:
    """
    The arm is that of the first device, before and after the login and on any other device.
    (PostHog/posthog-js#1756, #2623)
    """
    rule = "{id: hint, family: service, on: searched, channels: [crm], variants: {a: 50, b: 50}}"
    rules = book(extra=f"actions: [{rule}]")
    arms = set()
    for number in range(12):
        shop, first, second = Story(book=rules), f"first-{number}", f"second-{number}"
        shop.at("10:00").searches("sofa", by=first)
        shop.at("10:10").identifies(first, as_="mara").searches("sofa", by=first)
        shop.at("10:20").identifies(second, as_="mara").searches("sofa", by=second)
        shop.at("10:30").searches("sofa", by="", user_id="mara", channel="server")
        assert len(shop.triggers()) == 4
        assert len({one.variant for one in shop.triggers()}) == 1
        arms.add(shop.triggers()[0].variant)
    assert arms == {"a", "b"}


def test_39_a_control_group_that_leaks_at_the_login() -> None:
    """
    Who is held out as a visitor is as a lead, on every device; or else the control group is treated.
    (PostHog/posthog#9547)
    """
    rule = "{id: hint, family: service, on: searched, channels: [crm], holdout: 0.5}"
    rules = book(extra=f"actions: [{rule}]")
    counts = set()
    for number in range(12):
        shop, first, second = Story(book=rules), f"first-{number}", f"second-{number}"
        shop.at("10:00").searches("sofa", by=first)
        shop.at("10:10").identifies(first, as_="mara").searches("sofa", by=first)
        shop.at("10:20").identifies(second, as_="mara").searches("sofa", by=second)
        counts.add((len(shop.triggers()), reasons(shop, "hint").count("holdout")))
    assert counts == {(3, 0), (0, 3)}


def test_40_a_robot_s_cart() -> None:
    """
    What fills carts faster than a person can is no lead: nobody is reminded, whatever address it has given.
    """
    shop = known(Story(Settings(traffic=TrafficSettings(rate_max=3, rate_ban_ms=3_600_000))))
    shop.at("10:00").adds("kettle").reads().reads().reads().reads()
    shop.ends()
    assert shop.triggers() == []


def _moment(shop: Story, kind: str, time: str) -> None:
    """Let the step of calls tell of a call of Mara's."""
    event = Event(kind, instant(time), "", "phone", PHONE, phone=PHONE, call_id="k1")  # type: ignore[arg-type]
    event.is_moment = True
    shop.tell(event)
