"""
One occasion, several rules or several events: one trigger. What the laws of decisions have found.
"""

import pytest

from operators.trigger import Retraction
from tests.journeys import book
from tests.story import ANON, Story

RULE = "channels: [crm]"


def shop_of(*rules: str) -> Story:
    return Story(book=book(extra=f"actions: [{', '.join(f'{{{rule}, {RULE}}}' for rule in rules)}]"))


def ends(shop: Story, *actions: str) -> list[tuple[str, str]]:
    """What became of each, by rule."""
    records = [one for one in shop.triggers() + shop.suppressed() if one.action in actions]
    return sorted((one.rule.id, getattr(one, "reason", "sent")) for one in records)


def test_one_view_told_twice_in_one_millisecond() -> None:
    """
    By two snippets on one page, each with an id of its own: one trigger, though the rule has no cool-down.
    """
    shop = shop_of("id: look, family: service, on: product_viewed")
    shop.at("10:00").views("kettle").views("kettle")
    shop.at("10:00:00.001").views("kettle")
    assert ends(shop, "look") == [("look", "cooldown"), ("look", "sent"), ("look", "sent")]
    assert len({one.trigger_id for one in shop.triggers() if one.action == "look"}) == 2


def test_two_rules_of_one_action_in_other_groups_and_slots() -> None:
    """
    They are one trigger for one cause; the second has its reason.
    """
    shop = shop_of(
        "id: r1, action: hint, family: service, on: searched, slot: s1",
        "id: r2, action: hint, family: offer, on: searched, slot: s2, exclusion_group: g",
    )
    shop.at("10:00").searches("sofa")
    assert sorted(reason for _, reason in ends(shop, "hint")) == ["excluded", "sent"]


@pytest.mark.parametrize(("group", "reason"), [("", "outranked"), (", exclusion_group: g", "excluded")])
def test_a_slot_of_a_visit_is_taken_by_the_first_event(group: str, reason: str) -> None:
    """
    What lost at the first search of a visit does not win at the second, because the winner rests; in another visit, or
    once the winner has expired, the slot is free.
    """
    shop = shop_of(
        f"id: r1, family: service, on: searched, per: session, slot: s, value: 2, expires_after: 5m{group}",
        f"id: r2, family: service, on: searched, per: session, slot: s, expires_after: 5m{group}",
    )
    shop.at("10:00").searches("sofa")
    shop.at("10:04:59.999").searches("lamp")
    assert ends(shop, "r1", "r2") == [("r1", "cooldown"), ("r1", "sent"), ("r2", reason), ("r2", reason)]
    shop.at("10:05").searches("pot")
    assert ends(shop, "r2") == [("r2", reason), ("r2", reason), ("r2", "sent")]


def test_what_is_waited_for_is_of_the_visit_that_it_began_in() -> None:
    """
    When the wait is over the visit is long closed; its id in the record is the one of its beginning, and what would
    undo it in another visit does not.
    """
    shop = shop_of("id: later, family: service, on: searched, per: session, after: 2h, undone_by: [page_viewed]")
    shop.at("10:00").searches("sofa")
    shop.time("12:00")
    (sent,) = shop.triggers()
    assert sent.cause.id.startswith(f"{ANON}|web|")
    shop.at("12:30").reads()
    assert shop.of(Retraction) == []


def test_what_won_first_counts_for_what_won_with_it() -> None:
    """
    Two slots of one event, one cap: the more valuable is sent, and the other is over the cap by then.
    """
    shop = shop_of(
        "id: r1, family: offer, on: searched, slot: s1, caps: [{scope: all, limit: 1, per: 1h}]",
        "id: r2, family: offer, on: searched, slot: s2, value: 2",
    )
    shop.at("10:00").searches("sofa")
    assert ends(shop, "r1", "r2") == [("r1", "cap"), ("r2", "sent")]
