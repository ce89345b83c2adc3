"""Cool-downs, and pauses after somebody has said no or nothing. Contracts section 4, Cooldown and Refractory."""

import pytest

from tests.stories.rules import Yaml, last, rule, sent, shop_of
from tests.story import Held, Nudge, Story, Taken

READ, SEARCH = rule("read", "page_viewed"), rule("search", "searched", slot="other")


def held(at: str, action: str = "hello", reason: str = "cooldown", to: str = "mara") -> Held:
    """A decision that a cool-down has held back, or a pause."""
    return Held(to, action, at, reason)


def test_an_action_rests_after_it_was_taken() -> None:
    """
    An hour: 59:59.999 later it rests, at 60:00 it does not; what was held back does not make it longer.
    """
    shop = shop_of(rule(cooldown="1h"))
    for time in ("10:00", "10:59:59.999", "11:00"):
        shop.at(time).reads()
    assert shop.news() == [sent("10:00"), held("10:59:59.999"), sent("11:00")]
    assert shop.suppressed()[0].detail == "last sent 2026-11-21T10:00:00.000Z"


def test_it_rests_before_it_was_taken_too() -> None:
    """
    As events may come in any order: 9.999 s before is too close, 10 s is not.
    """
    for early, told in (("10:00:00.001", held("10:00:00.001")), ("10:00", sent("10:00"))):
        shop = shop_of(rule(cooldown="10s"))
        shop.at("10:00:10").reads()
        shop.at(early).reads()
        assert shop.news() == [sent("10:00:10"), told]


def test_each_action_rests_for_itself() -> None:
    """
    Two rules of one action rest together, two actions apart.
    """
    shop = shop_of(READ | {"cooldown": "1h"}, SEARCH | {"cooldown": "1h"})
    shop.at("10:00").reads().searches("sofa")
    assert shop.news() == [sent("10:00", "read"), sent("10:00", "search")]
    shop = shop_of(READ | {"cooldown": "1h", "action": "hi"}, SEARCH | {"cooldown": "1h", "action": "hi"})
    shop.at("10:00").reads().searches("sofa")
    assert shop.news() == [sent("10:00", "hi"), held("10:00", "hi")]


def test_each_product_rests_for_itself() -> None:
    """
    Per product: the sofa rests, the lamp does not.
    """
    shop = shop_of(rule(on="product_viewed", cooldown="1d", per="product"))
    shop.at("10:00").views("sofa").views("lamp")
    shop.at("day 2 09:59:59.999").views("sofa")
    shop.at("day 2 10:00").views("lamp").views("sofa")
    assert shop.news() == [
        sent("10:00"),
        sent("10:00"),
        held("day 2 09:59:59.999"),
        sent("day 2 10:00"),
        sent("day 2 10:00"),
    ]
    assert len({trigger.trigger_id for trigger in shop.triggers()}) == 4


def test_what_is_due_by_contract_rests_if_its_rule_says_so() -> None:
    """
    A cool-down is the rule's own, for transactional letters too; pauses are not for them.
    """
    shop = shop_of(rule(purpose="transactional", cooldown="1h"), pauses=[PAUSE])
    shop.at("09:00").declines()
    shop.at("10:00").reads()
    shop.at("10:30").reads()
    assert shop.news() == [sent("10:00"), held("10:30")]


@pytest.mark.parametrize("asked", ["10:02", "10:02:10", "10:04", "10:59:59.999"])
def test_a_cooldown_holds_through_a_link(asked: str) -> None:
    """
    What the visitor was shown rests for the customer that they turn out to be, to the millisecond.
    """
    shop = shop_of(rule(channels=["onsite"], cooldown="1h"))
    shop.at("10:00").reads(by="phone-1")
    shop.at("10:02").identifies("phone-1", as_="mara")
    shop.at(asked).reads()
    shop.at("11:00").reads()
    assert shop.news() == [
        Nudge("phone-1", "hello", "10:00", "onsite"),
        held(asked),
        sent("11:00", channel="onsite"),
    ]


def test_an_abandoned_cart_rests_a_week() -> None:
    """
    The next reminder 6 days 23:59:59.999 after the first is held back, one exactly seven days after is not.
    """
    for added, told in (("day 8 09:59:59.999", "cooldown"), ("day 8 10:00", "")):
        shop = shop_of(rule(on="cart.timer", cooldown="7d"))
        shop.at("10:00").adds("sofa", cart="c1")
        shop.time("10:30")
        shop.at(added).adds("lamp", cart="c2")
        shop.time("day 8 11:00")
        assert [one.reason for one in shop.suppressed()] == ([told] if told else []), added
        assert len(shop.triggers()) == (1 if told else 2), added


PAUSE: Yaml = {"scope": "all", "negatives": 1, "within": "30d", "pause": "7d", "counts": ["declined"]}


def paused(*rules: Yaml, **pause: Yaml) -> Story:
    """A shop that leaves alone who has said no."""
    return shop_of(*(rules or (rule(),)), pauses=[PAUSE | pause])


def test_no_is_respected_for_its_pause() -> None:
    """
    From its instant on until a millisecond before the pause is over; not before it was said.
    """
    shop = paused()
    shop.at("09:59:59.999").reads()
    shop.at("10:00").declines().reads()
    shop.at("day 8 09:59:59.999").reads()
    shop.at("day 8 10:00").reads()
    assert shop.news() == [
        sent("09:59:59.999"),
        held("10:00", reason="declined"),
        held("day 8 09:59:59.999", reason="declined"),
        sent("day 8 10:00"),
    ]
    assert shop.suppressed()[0].detail == "declined 2026-11-21T10:00:00.000Z"


def test_two_must_lie_close_to_each_other() -> None:
    """
    Two within an hour: 59:59.999 apart they pause, 60:00 apart they do not.
    """
    for second, told in (("10:59:59.999", "declined"), ("11:00", "")):
        shop = paused(negatives=2, within="1h")
        shop.at("10:00").declines()
        shop.at("10:01").reads()
        shop.at(second).declines()
        shop.at("12:00").reads()
        assert len(shop.triggers()) == (1 if told else 2), second
        assert [one.reason for one in shop.suppressed()] == ([told] if told else []), second


def declined(scope: str, *, named: bool) -> list[Nudge | Held | Taken]:
    """What is said on a page view and on two searches, once the action of the page view was declined."""
    shop = paused(READ, SEARCH, rule("chat", "chat_started", family="service"), scope=scope)
    shop.at("10:00").reads()
    shop.at("10:01").declines(to=last(shop).trigger_id if named else "")
    shop.at("10:02").reads().searches("sofa").happens("chat_started", "anon-7")
    return list(shop.news())[1:]


def test_no_is_said_to_an_action_a_family_or_all() -> None:
    """
    As the pause's scope says; what names no trigger is said to all or to nothing.
    """
    read, search, chat = sent("10:02", "read"), sent("10:02", "search"), sent("10:02", "chat")
    no_read = held("10:02", "read", "declined")
    no_search, no_chat = held("10:02", "search", "declined"), held("10:02", "chat", "declined")
    taken = 1  # the trigger that was declined is taken back
    assert declined("action", named=True)[taken:] == [no_read, search, chat]
    assert declined("family", named=True)[taken:] == [no_read, no_search, chat]
    assert declined("all", named=True)[taken:] == [no_read, no_search, no_chat]
    assert declined("action", named=False) == [read, search, chat]
    assert declined("family", named=False) == [read, search, chat]
    assert declined("all", named=False) == [no_read, no_search, no_chat]


IGNORED: Yaml = {"counts": ["ignored"], "ignored_after": "1d"}


@pytest.mark.parametrize(
    ("answered", "told"), [("day 2 10:00:59.999", []), ("day 2 10:01", ["declined"]), ("", ["declined"])]
)
def test_what_is_ignored_is_a_no(answered: str, told: list[str]) -> None:
    """
    Delivered at 10:01 and not opened within a day: opened 23:59:59.999 later it was not ignored, a day later it was.
    """
    shop = paused(**IGNORED)
    shop.at("10:00").reads()
    trigger_id = last(shop).trigger_id
    shop.at("10:01").receives(trigger_id)
    if answered:
        shop.at(answered).opens(trigger_id)
    shop.at("day 2 10:02").reads()
    assert [one.reason for one in shop.suppressed()] == told


def test_silence_is_none_before_it_has_lasted() -> None:
    """
    A day after it was delivered, not a millisecond sooner; and what was never delivered was not ignored.
    """
    shop = paused(**IGNORED)
    shop.at("10:00").reads()
    shop.at("10:01").receives(last(shop).trigger_id)
    shop.at("day 2 10:00:59.999").reads()
    shop.at("day 2 10:01").reads()
    shop.at("day 9 10:00:59.999").reads()
    shop.at("day 9 10:01").reads()
    assert shop.news() == [
        sent("10:00"),
        sent("day 2 10:00:59.999"),
        held("day 2 10:01", reason="declined"),
        held("day 9 10:00:59.999", reason="declined"),
        sent("day 9 10:01"),
    ]


@pytest.mark.parametrize("answer", ["opens", "clicks", "accepts"])
def test_any_answer_is_one(answer: str) -> None:
    """
    Opened, clicked or accepted: not ignored.
    """
    shop = paused(**IGNORED)
    shop.at("10:00").reads()
    trigger_id = last(shop).trigger_id
    shop.at("10:01").is_shown(trigger_id)
    getattr(shop.at("10:02"), answer)(trigger_id)
    shop.at("day 3 10:00").reads()
    assert shop.suppressed() == []


def test_a_complaint_is_a_no() -> None:
    """
    Who calls a letter spam is left alone, and by mail for good.
    """
    shop = paused(rule(channels=["email", "sms"]))
    shop.at("10:00").reads()
    shop.at("10:01").complains(last(shop).trigger_id)
    shop.at("10:02").reads()
    shop.at("day 8 10:01").reads()
    assert shop.news()[-2:] == [
        held("10:02", reason="declined"),
        sent("day 8 10:01", channel="sms"),
    ]


def test_a_no_goes_along_through_a_link() -> None:
    """
    Said as a visitor, heard by the customer's rules, while the link waits and after.
    """
    shop = paused()
    shop.at("10:00").declines("phone-1")
    shop.at("10:01").identifies("phone-1", as_="mara")
    shop.at("10:01:10").reads()
    shop.at("10:05").reads()
    assert shop.news() == [held("10:01:10", reason="declined"), held("10:05", reason="declined")]


def test_a_no_to_what_the_visitor_was_shown_counts_for_its_action() -> None:
    """
    Declined by the customer from another device: its action is known by the visitor's trigger.
    """
    shop = paused(READ | {"channels": ["onsite"]}, SEARCH, scope="action")
    shop.at("10:00").reads(by="phone-1")
    trigger_id = last(shop).trigger_id
    shop.at("10:01").identifies("phone-1", as_="mara")
    shop.time("10:02")
    shop.at("10:05").declines(to=trigger_id)
    shop.at("10:06").reads().searches("sofa")
    assert shop.news()[-2:] == [held("10:06", "read", "declined"), sent("10:06", "search")]
