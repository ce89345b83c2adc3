"""What is waited for when people become known, meet, or the rules change meanwhile."""

import pytest

from tests.stories.rules import JOE, MARA, book_of, rule, sent, shop_of, strict
from tests.story import ANON, Held, Nudge, Story

SEARCHED = rule(on="searched", after="30m", without="order_completed", per="profile")


def known_at(at: str, *rules: dict[str, object]) -> Story:
    """A visitor searches at 10:00 and says who they are."""
    shop = Story(book=book_of(*rules))
    shop.at("10:00").searches("sofa")
    shop.at(at).identifies(as_="mara", email=MARA)
    return shop


@pytest.mark.parametrize("at", ["10:00:00.001", "10:29:59.999", "10:30"])
def test_a_wait_goes_along_with_who_becomes_known(at: str) -> None:
    """
    Known before it is due, or at that very instant: the lead is written to.
    """
    shop = known_at(at, SEARCHED)
    shop.at("11:00").expects(sent("10:30"))


def test_who_becomes_known_after_it_was_due_was_nobody_then() -> None:
    """
    A millisecond later: the visitor had no address, and nothing is decided twice.
    """
    shop = known_at("10:30:00.001", SEARCHED)
    shop.at("11:00").expects(Held(ANON, "hello", "10:30", "no_channel"))


def test_what_ends_it_may_come_before_or_after_the_link() -> None:
    """
    From another device of the same person, after the link; or as a visitor's, before.
    """
    shop = known_at("10:05", SEARCHED)
    shop.at("10:10").identifies("phone-1", as_="mara").orders("sofa", by="phone-1")
    shop.at("11:00").expects_nothing()
    shop = Story(book=book_of(SEARCHED))
    shop.at("10:00").searches("sofa")
    shop.at("10:00:01").orders("sofa")
    shop.at("10:05").identifies(as_="mara", email=MARA)
    shop.at("11:00").expects_nothing()


def test_what_the_person_had_done_elsewhere_ends_it_when_they_meet() -> None:
    """
    Searched on the phone at 10:00, ordered on the laptop at 10:05, known to be one at 10:10: nothing is asked at 10:30.
    """
    shop = shop_of(SEARCHED)
    shop.at("10:00").searches("sofa", by="phone-1")
    shop.at("10:05").orders("sofa")
    shop.at("10:10").identifies("phone-1", as_="mara")
    shop.at("11:00").expects_nothing()


def test_what_the_person_had_done_before_does_not() -> None:
    """
    Ordered on the laptop before the search on the phone: that is still waited for.
    """
    shop = shop_of(SEARCHED)
    shop.at("09:59:59.999").orders("sofa")
    shop.at("10:00").searches("sofa", by="phone-1")
    shop.at("10:10").identifies("phone-1", as_="mara")
    shop.at("11:00").expects(sent("10:30"))


def test_the_waits_of_two_devices_become_one() -> None:
    """
    Of one rule for the same the later counts, as where one person begins it anew.
    """
    shop = shop_of(SEARCHED)
    shop.at("10:00").searches("sofa", by="phone-1")
    shop.at("10:10").searches("lamp")
    shop.at("10:20").identifies("phone-1", as_="mara")
    shop.at("10:39:59.999").expects_nothing()
    shop.at("10:40").expects(sent("10:40"))


def test_two_leads_who_turn_out_to_be_one_are_asked_once() -> None:
    """
    The wait of the one goes on as the other's.
    """
    shop = shop_of(SEARCHED)
    shop.at("09:00").identifies("tablet-1", email=JOE)
    shop.at("10:00").searches("sofa", by="tablet-1")
    shop.at("10:10").identifies("tablet-1", as_="mara", email=JOE)
    shop.at("10:40").expects(sent("10:30"))


def begun(shop: Story) -> None:
    """Let somebody search at 10:00 and read on, so that their wait has surely begun."""
    shop.at("10:00").searches("sofa")
    shop.time("10:10")
    shop.at("10:10").reads()


def swap(shop: Story, *rules: dict[str, object]) -> None:
    """Put other rules in force."""
    shop.loop.decider.book = book_of(*rules)


def test_a_rule_that_is_gone_decides_nothing() -> None:
    """
    Removed while it waits: what it would have said is held back, and why.
    """
    shop = shop_of(SEARCHED)
    begun(shop)
    swap(shop, rule("another"))
    shop.at("10:30").expects(Held("mara", "hello", "10:30", "not_applicable"))
    assert shop.suppressed()[0].detail == "there is no such rule any more"
    assert shop.suppressed()[0].rule.id == "hello"


def test_a_rule_that_has_changed_decides_as_it_is_now() -> None:
    """
    The instant stays that of its beginning; conditions, payload and version are those in force when it is due.
    """
    shop = shop_of(SEARCHED)
    begun(shop)
    swap(shop, SEARCHED | {"version": 2, "after": "2h", "payload": {"two": "2"}})
    shop.at("10:30").expects(sent("10:30"))
    (trigger,) = shop.triggers()
    assert (trigger.rule.version, trigger.context) == (2, {"two": 2})
    assert trigger.rule.book == shop.loop.decider.book.id
    shop.at("11:00").searches("lamp")
    shop.at("12:59:59.999").expects_nothing()
    shop.at("13:00").expects(sent("13:00"))


def test_what_a_changed_rule_no_longer_minds_does_not_end_its_wait() -> None:
    """
    `without` is that of the rules in force when the event comes.
    """
    shop = shop_of(SEARCHED)
    shop.at("10:00").searches("sofa")
    shop.time("10:10")
    swap(shop, SEARCHED | {"without": "product_added"})
    shop.at("10:20").orders("sofa")
    shop.at("10:30").expects(sent("10:30"))


def test_other_rules_leave_a_wait_alone() -> None:
    """
    A file with a rule more: what waits is decided as if nothing had happened, by the new book.
    """
    shop = shop_of(SEARCHED)
    shop.at("10:00").searches("sofa")
    shop.time("10:10")
    swap(shop, SEARCHED, rule("another", "chat_started"))
    shop.at("10:30").expects(sent("10:30"))
    assert shop.triggers()[0].rule.book == shop.loop.decider.book.id


def test_the_same_ids_before_and_after_a_reload() -> None:
    """
    An id is of action and cause, never of a version: what is decided again after a restart is the same trigger.
    """
    ids = []
    for version in (1, 2):
        shop = shop_of(SEARCHED | {"version": version})
        shop.at("10:00").searches("sofa")
        shop.time("11:00")
        ids += [trigger.trigger_id for trigger in shop.triggers()]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_more_waits_than_are_remembered_are_told() -> None:
    """
    Fifty things are waited for at most; of one more, what would be over last is given up, and said so.
    """
    shop = shop_of(SEARCHED | {"per": "event", "cooldown": "1d"}, settings=strict())
    for second in range(51):
        shop.at(f"10:00:{second}").searches(f"sofa {second}")
    shop.time("11:00")
    news = shop.news()
    assert news[:2] == [Held("mara", "hello", "10:30:50", "not_applicable"), Nudge("mara", "hello", "10:30")]
    assert [one for one in news if one == Held("mara", "hello", one.at, "cooldown")] == news[2:]
    assert len(news) == 51
