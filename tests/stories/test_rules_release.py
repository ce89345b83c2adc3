"""What is held for the night is decided once more in the morning, as things stand then."""

import pytest

from operators.decision import HELD_MAX
from tests.stories.rules import JOE, MARA, Yaml, book_of, rule, sent, shop_of, strict
from tests.story import ANON, Held, Nudge, Story, Taken

NIGHT: Yaml = {"from": "21:00", "to": "08:00"}


def night(*rules: Yaml, **policy: Yaml) -> Story:
    """A shop that holds what is due at night, by the clock of UTC."""
    return shop_of(*(rules or (rule(),)), quiet=NIGHT, time_zones={"+49": "UTC"}, **policy)


def held(at: str, reason: str, action: str = "hello", to: str = "mara") -> Held:
    """What comes of it in the morning."""
    return Held(to, action, at, reason)


@pytest.mark.parametrize("said", ["day 2 07:59:59.999", "day 2 08:00"])
def test_consent_is_asked_in_the_morning(said: str) -> None:
    """
    Taken back during the night, or at its very end.
    """
    shop = night()
    shop.at("21:00").reads()
    shop.at(said).opts_out()
    shop.at("day 2 08:00").expects(held("21:00", "consent"))


def test_consent_taken_back_after_it_was_sent_takes_it_back() -> None:
    """
    A millisecond after the morning's letter.
    """
    shop = night()
    shop.at("21:00").reads()
    shop.at("day 2 08:00:00.001").opts_out()
    shop.time("day 2 08:01")
    assert shop.news() == [sent("21:00"), Taken("mara", "hello", "day 2 08:00:00.001", "consent")]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"unless": "profile.has_phone && profile.order.at > event.at"}, "not_applicable"),
        ({"eligibility": "profile.order.at < event.at"}, "ineligible"),
        ({"applicability": "profile.order.at < event.at"}, "not_applicable"),
        ({"suitability": "profile.order.at < event.at"}, "unsuitable"),
    ],
)
@pytest.mark.parametrize("ordered", ["21:00:00.001", "day 2 08:00", "day 2 08:00:00.001"])
def test_filters_are_asked_in_the_morning(keys: Yaml, reason: str, ordered: str) -> None:
    """
    What they found free in the evening they may not in the morning, by what has come up to its instant.
    """
    shop = night(rule(**keys))
    shop.at("20:00").orders("cup", order="o0")
    shop.at("21:00").reads()
    shop.at(ordered).orders("sofa")
    shop.time("day 2 08:00:01")
    assert shop.news() == [sent("21:00") if ordered == "day 2 08:00:00.001" else held("21:00", reason)]


def test_when_is_not_asked_again() -> None:
    """
    It picks the cause, and that is as it was.
    """
    shop = night(rule(when="profile.local_hour == 21"))
    shop.at("21:00").reads()
    shop.at("day 2 08:00").expects(sent("21:00"))


@pytest.mark.parametrize("what", ["bought", "emptied", "changed"])
def test_a_cart_taken_up_again_is_not_left(what: str) -> None:
    """
    Bought, emptied or changed during the night: it is said when its turn has come, and nothing in the morning.
    """
    shop = night(rule(on="cart.timer"), settings=strict())
    shop.at("20:45").adds("sofa", cart="c1")
    shop.time("22:00")
    at = shop.at("22:30")
    if what == "bought":
        at.orders("sofa", cart="c1")
    elif what == "emptied":
        at.empties("c1")
    else:
        at.adds("lamp", cart="c1")
    shop.time("22:30")
    assert shop.news() == [held("21:15", "not_applicable")]
    assert shop.suppressed()[0].detail == {"bought": "purchased"}.get(what, what)
    shop.at("22:59").expects_nothing()


def test_what_a_rule_says_undoes_what_is_held() -> None:
    """
    Ordered at night, `undone_by` an order.
    """
    shop = night(rule(on="searched", undone_by="order_completed"))
    shop.at("21:00").searches("sofa")
    shop.at("23:00").orders("sofa")
    shop.at("23:00").expects(held("21:00", "not_applicable"))
    assert shop.suppressed()[0].detail == "cancelled by order_completed"
    shop.at("day 2 09:00").expects_nothing()


def test_a_cap_is_asked_in_the_morning() -> None:
    """
    What was sent by another channel's hours during the night counts.
    """
    rules = rule(), rule("alert", "searched", channels=["sms"], quiet="off", slot="other")
    shop = night(*rules, caps=[{"scope": "all", "limit": 1, "per": "1d"}])
    shop.at("21:00").reads()
    shop.at("22:00").searches("sofa")
    shop.at("day 2 08:00").expects(sent("22:00", "alert", "sms"), held("21:00", "cap"))


def test_a_cooldown_and_a_pause_are_asked_in_the_morning() -> None:
    """
    By the instant of the morning: an hour after 07:00:00.001 is not over, an hour after 07:00 is.
    """
    for before, told in (("day 2 07:00:00.001", "cooldown"), ("day 2 07:00", "")):
        hourly = rule("day", "searched", action="hello", cooldown="1h", quiet="off")
        shop = night(rule(cooldown="1h"), hourly)
        shop.at("21:00").reads()
        shop.at(before).searches("sofa")
        shop.time("day 2 08:00")
        assert [one.reason for one in shop.suppressed()] == ([told] if told else []), before
    shop = night(pauses=[{"scope": "all", "negatives": 1, "within": "1d", "pause": "1d"}])
    shop.at("21:00").reads()
    shop.at("day 2 08:00").declines()
    shop.at("day 2 08:00").expects(held("21:00", "declined"))


def test_several_that_are_held_compete_in_the_morning() -> None:
    """
    Held one after the other, one slot: what is worth most is sent, the others say by what they were outranked.
    """
    shop = night(rule("story", value=25), rule("offer", "searched", value=40))
    shop.at("21:00").reads()
    shop.at("22:00").searches("sofa")
    shop.at("day 2 08:00").expects(held("21:00", "outranked", "story"), sent("22:00", "offer"))
    assert shop.suppressed()[0].detail == "outranked by offer (40 to 25)"


def test_of_two_that_are_held_the_first_counts_for_the_second() -> None:
    """
    Two slots, one letter left: the one of more value goes, though it was held later.
    """
    rules = rule("story", value=25), rule("offer", "searched", value=40, slot="other")
    shop = night(*rules, caps=[{"scope": "all", "limit": 1, "per": "1d"}])
    shop.at("21:00").reads()
    shop.at("22:00").searches("sofa")
    shop.at("day 2 08:00").expects(sent("22:00", "offer"), held("21:00", "cap", "story"))


def test_one_occasion_is_held_once() -> None:
    """
    An order told twice at night is confirmed once in the morning.
    """
    shop = night(rule(on="order_completed"))
    shop.at("21:00").orders("sofa", order="o1")
    shop.at("22:00").orders("sofa", order="o1", event_id="again")
    shop.at("day 2 08:00").expects(held("22:00", "excluded"), sent("21:00"))


def test_whoever_is_held_out_is_so_in_the_morning() -> None:
    """
    The control group hears nothing, and it is said when it would have been sent.
    """
    shop = night(rule(holdout=1.0))
    shop.at("21:00").reads()
    assert shop.news() == []
    shop.at("day 2 08:00").expects(held("21:00", "holdout"))


def test_a_visitor_who_becomes_known_at_night_is_written_to_in_the_morning() -> None:
    """
    Held for who is a visitor, sent to the customer.
    """
    shop = Story(book=book_of(rule(channels=["push"]), quiet=NIGHT))
    shop.at("21:00").reads()
    shop.at("23:00").identifies(as_="mara", email=MARA)
    shop.at("day 2 08:00").expects(Nudge("mara", "hello", "21:00", "push"))


@pytest.mark.parametrize(
    ("linked", "to"), [("day 2 07:59:59.999", "mara"), ("day 2 08:00", "mara"), ("day 2 08:00:00.001", ANON)]
)
def test_it_is_sent_to_who_they_are_in_the_morning(linked: str, to: str) -> None:
    """
    Known before its end or at it: the customer; a millisecond later it was still a visitor's.
    """
    shop = Story(book=book_of(rule(channels=["push"]), quiet=NIGHT))
    shop.at("21:00").reads()
    shop.at(linked).identifies(as_="mara", email=MARA)
    shop.time("day 2 09:00")
    (trigger,) = shop.triggers()
    assert shop.name(trigger.profile_id) == to


def test_two_customers_who_are_one_are_written_to_once() -> None:
    """
    Both have something held; in the morning they are one, with one slot.
    """
    shop = night(rule(on="searched"))
    shop.at("20:00").identifies("tablet-1", email=JOE)
    shop.at("21:00").searches("sofa", by="tablet-1").searches("lamp")
    shop.at("22:00").identifies("tablet-1", as_="mara", email=JOE)
    shop.time("day 2 08:00")
    assert sorted(type(one).__name__ for one in shop.news()) == ["Held", "Nudge"]
    assert {one.profile_id for one in shop.triggers()} == {one.profile_id for one in shop.suppressed()}


def test_what_the_person_does_elsewhere_ends_what_is_held_when_they_meet() -> None:
    """
    A visitor's question is held, the customer has ordered, and they turn out to be one at night.
    """
    rules = rule(on="searched", undone_by="order_completed", channels=["push"], per="profile")
    shop = night(rules)
    shop.at("21:00").searches("sofa", by="phone-1")
    shop.at("22:00").orders("sofa")
    shop.at("23:00").identifies("phone-1", as_="mara")
    shop.at("day 2 09:00").expects(held("21:00", "not_applicable"))


def test_more_than_can_be_held_is_told() -> None:
    """
    Of fifty-one the last is given up, and says so.
    """
    shop = night(rule(on="searched"))
    for second in range(HELD_MAX + 1):
        shop.at(f"21:{second}").searches("sofa")
    assert shop.news() == [held("21:50", "quiet_hours")]
    assert shop.suppressed()[0].detail == "more than 50 are held"


def test_a_rule_that_is_gone_in_the_morning_sends_nothing() -> None:
    """
    And says so; one that has changed decides as it is then.
    """
    shop = night()
    shop.at("21:00").reads()
    shop.loop.decider.book = book_of(rule("another"))
    shop.at("day 2 08:00").expects(held("21:00", "not_applicable"))
    shop = night()
    shop.at("21:00").reads()
    shop.loop.decider.book = book_of(rule(version=2, channels=["sms"]))
    shop.at("day 2 08:00").expects(sent("21:00", channel="sms"))
    assert shop.triggers()[0].rule.version == 2
