"""Arbitration: of all that could be said, what is worth most. Contracts section 4, 3 and 4; mission row 20."""

import pytest

from operators.trigger import Factors
from tests.stories.rules import Yaml, last, rule, sent, shop_of
from tests.story import Held, Story


def decided(*rules: Yaml, **policy: Yaml) -> Story:
    """A shop whose rules have decided on one page view."""
    shop = shop_of(*rules, **policy)
    shop.at("10:00").reads("/cups")
    return shop


def lost(action: str, reason: str = "outranked") -> Held:
    """A candidate that has lost."""
    return Held("mara", action, "10:00", reason)


def test_what_is_worth_more_wins() -> None:
    """
    40 against 25, all else equal: one a slot, and the loser says by what.
    """
    shop = decided(rule("story", value=25), rule("offer", value=40))
    assert shop.news() == [lost("story"), sent("10:00", "offer")]
    assert shop.suppressed()[0].detail == "outranked by offer (40 to 25)"
    assert shop.suppressed()[0].priority == Factors(p=1.0, c=1.0, v=25.0, l=1.0, score=25.0)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_what_is_worth_the_same_goes_by_name(order: tuple[str, str]) -> None:
    """
    Whatever their order in the file.
    """
    assert decided(*[rule(name, value=7) for name in order]).news() == [lost("b"), sent("10:00", "a")]


def test_all_factors_count() -> None:
    """
    Half as likely and worth 60 is less than sure and worth 40; levers and context turn it: a lever of 55 is 1.55.
    """
    sure, likely = rule("sure", value=40), rule("likely", value=60, propensity=0.5)
    assert decided(sure, likely).news() == [lost("likely"), sent("10:00", "sure")]
    levers: Yaml = {"weights": {"issue": 20, "group": 25, "action": 10}}
    shop = decided(sure, likely | levers)
    assert shop.news() == [lost("sure"), sent("10:00", "likely")]
    assert last(shop).priority == Factors(p=0.5, c=1.0, v=60.0, l=1.55, score=46.5)
    weights: Yaml = {
        "context_weights": [
            {"if": 'event.url == "/cups"', "weight": 50},
            {"if": "profile.visits > 100", "weight": 1000},
            {"if": 'event.query == "cups"', "weight": 1000},
        ]
    }
    shop = decided(sure, likely | weights)
    assert shop.news() == [lost("sure"), sent("10:00", "likely")]
    assert last(shop).priority == Factors(p=0.5, c=1.5, v=60.0, l=1.0, score=45.0)
    assert shop.faults() == [("likely", "weight")]


def test_a_propensity_may_be_counted() -> None:
    """
    Two of forty have accepted: 0.05.
    """
    shop = decided(rule(propensity={"prior": [2, 38]}, value=60))
    assert last(shop).priority == Factors(p=0.05, c=1.0, v=60.0, l=1.0, score=3.0)


def test_a_value_may_be_reckoned() -> None:
    """
    A tenth of the cart; of who has none it cannot be told, and the other rule wins.
    """
    rules = rule("share", "searched", value="profile.cart.value / 10.0"), rule("fixed", "searched", value=3)
    shop = shop_of(*rules)
    shop.at("10:00").searches("sofa")
    assert shop.news() == [lost("share", "not_applicable"), sent("10:00", "fixed")]
    assert shop.suppressed()[0].detail == "its value cannot be told"
    assert shop.faults() == [("share", "value")]
    shop.at("10:01").adds("sofa", price=30.01)
    shop.at("10:01").searches("sofa")
    assert shop.news()[1] == sent("10:01", "share")
    assert last(shop).priority.v == pytest.approx(3.001)


def test_a_value_below_nothing_is_a_fault() -> None:
    """
    A priority is of numbers from 0 on.
    """
    shop = decided(rule(value="-1.0 * double(size(event.url))"))
    assert shop.news() == [lost("hello", "not_applicable")]
    assert shop.suppressed()[0].detail == "value is -5.0 but must be a number from 0 on"
    assert shop.faults() == [("hello", "value")]


def test_two_slots_have_two_winners() -> None:
    """
    Each its own; a family is a slot where none is named.
    """
    a, b = rule("a", value=1), rule("b", value=2)
    assert decided(a, b | {"slot": "banner"}).news() == [sent("10:00", "b"), sent("10:00", "a")]
    assert decided(a, b | {"family": "offer"}).news() == [sent("10:00", "b"), sent("10:00", "a")]
    assert decided(a | {"slot": "banner"}, b | {"slot": "banner", "family": "offer"}).news() == [
        lost("a"),
        sent("10:00", "b"),
    ]


def test_what_excludes_each_other_does_so_in_all_slots() -> None:
    """
    Two slots and one exclusion group: one of them, and the loser says it was excluded.
    """
    a, b = rule("a", value=1, slot="one", exclusion_group="g"), rule("b", value=2, slot="two", exclusion_group="g")
    shop = decided(a, b)
    assert shop.news() == [lost("a", "excluded"), sent("10:00", "b")]
    assert shop.suppressed()[0].detail == "excluded by b (2 to 1)"
    shop = decided(a, b | {"exclusion_group": "h"})
    assert shop.news() == [sent("10:00", "b"), sent("10:00", "a")]


def test_what_excludes_each_other_shares_a_slot_key() -> None:
    """
    So a consumer can drop a second, different winner after a replay; of other groups and other causes keys differ.
    """
    shop = decided(rule("a", slot="one", exclusion_group="g"), rule("b", slot="two", exclusion_group="g"))
    shop.at("10:01").reads()
    first, second = [one.slot_key for one in shop.triggers()]
    again = decided(rule("b", slot="two", exclusion_group="g"), rule("c", slot="one"))
    keys = {one.action: one.slot_key for one in again.triggers()}
    assert keys["b"] == first
    assert len({first, second, keys["c"]}) == 3


def test_who_has_lost_keeps_nobody_out() -> None:
    """
    The best excludes the second, whose slot is then the third's.
    """
    best = rule("best", value=3, slot="one", exclusion_group="g")
    second = rule("second", value=2, slot="two", exclusion_group="g")
    assert decided(best, second, rule("third", value=1, slot="two")).news() == [
        lost("second", "excluded"),
        sent("10:00", "best"),
        sent("10:00", "third"),
    ]


def test_what_cannot_be_sent_does_not_compete() -> None:
    """
    The most valuable without a channel, consent, room or reason leaves the slot to the next.
    """
    second = rule("second", value=1)
    for keys, reason in (
        ({"channels": ["chat"]}, "no_channel"),
        ({"channels": ["whatsapp"]}, "consent"),
        ({"unless": "profile.known"}, "not_applicable"),
        ({"not_while": ["onsite"]}, "unsuitable"),
        ({"quiet": {"from": "08:00", "to": "12:00", "on": "drop"}}, "quiet_hours"),
    ):
        shop = decided(rule("first", value=100) | keys, second, time_zones={"+49": "UTC"})
        assert shop.news() == [lost("first", reason), sent("10:00", "second")], reason


def test_who_is_held_out_keeps_the_slot() -> None:
    """
    Else the control group would be sent what it would not have been: nothing.
    """
    shop = decided(rule("first", value=100, holdout=1.0), rule("second", value=1))
    assert shop.news() == [lost("second"), lost("first", "holdout")]


def test_two_rules_of_one_action_are_one_trigger() -> None:
    """
    In two slots even: the better one is sent, with its own channel.
    """
    a = rule("a", action="hi", slot="one", value=1)
    b = rule("b", action="hi", slot="two", value=2, channels=["sms"])
    shop = decided(a, b)
    assert shop.news() == [lost("hi", "excluded"), sent("10:00", "hi", "sms")]
    assert shop.suppressed()[0].trigger_id == last(shop).trigger_id
    assert (shop.suppressed()[0].rule.id, last(shop).rule.id) == ("a", "b")


def test_sent_and_suppressed_are_all_candidates() -> None:
    """
    Eleven rules fire and one does not: eleven decisions, each of one rule.
    """
    rules = [rule(f"r{number:02d}", value=number, slot=f"s{number % 3}") for number in range(11)]
    shop = decided(*rules, rule("not", when='event.url == "/pots"'))
    ids = [*[one.rule.id for one in shop.triggers()], *[one.rule.id for one in shop.suppressed()]]
    assert sorted(ids) == [f"r{number:02d}" for number in range(11)]
    assert [one.rule.id for one in shop.triggers()] == ["r10", "r09", "r08"]
