"""Rules on an event: what is a candidate, and which filter speaks against it. Contracts section 4, 1 and 2."""

import pytest

from operators.event import Commerce, Item
from tests.stories.rules import Yaml, book_of, rule, sent, shop_of
from tests.story import ANON, Held, Story


def hello_shop(**keys: Yaml) -> Story:
    """A shop with one rule, on page views."""
    return shop_of(rule(**keys))


def test_an_event_is_answered_as_it_comes() -> None:
    """
    Before time is complete, once for each event, and by the kind that the rule names only.
    """
    shop = hello_shop(on=["page_viewed", "searched"])
    shop.at("10:00").reads().searches("sofa").views("sofa")
    assert shop.news() == [sent("10:00"), sent("10:00")]
    shop.at("10:00:00.001").reads()
    assert shop.news() == [sent("10:00:00.001")]
    assert len({trigger.trigger_id for trigger in shop.triggers()}) == 3


def test_a_condition_picks_the_causes() -> None:
    """
    Where `when` does not hold there is no candidate, so nothing is said.
    """
    shop = hello_shop(when='event.url.startsWith("/cups")')
    shop.at("10:00").reads("/cups").reads("/cup").reads("/cups/red")
    assert shop.news() == [sent("10:00"), sent("10:00")]
    assert shop.faults() == []


def test_a_condition_without_a_value_picks_nothing() -> None:
    """
    A page without an address has no `event.url`: no candidate, and the fault is counted.
    """
    shop = hello_shop(when='event.url == "/cups"')
    shop.at("10:00").reads()
    assert shop.news() == []
    assert shop.faults() == [("hello", "when")]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("unless", "not_applicable"),
        ("eligibility", "ineligible"),
        ("applicability", "not_applicable"),
        ("suitability", "unsuitable"),
    ],
)
@pytest.mark.parametrize("held", ["no", "yes", "unknown"])
def test_each_filter_has_its_reason(key: str, reason: str, held: str) -> None:
    """
    A candidate that a filter holds back says which and why; one that a filter has no value for is held back, too.
    """
    condition = 'event.campaign == "spring"'
    shop = hello_shop(**{key: condition if key == "unless" else [condition]})
    campaign = {"unknown": "", "yes": "autumn", "no": "spring"}[held]
    if key == "unless":
        campaign = {"yes": "spring", "no": "autumn"}.get(held, "")
    shop.at("10:00").reads(campaign=campaign)
    assert shop.news() == [sent("10:00") if held == "no" else Held("mara", "hello", "10:00", reason)]
    assert shop.faults() == ([("hello", key)] if held == "unknown" else [])
    if held != "no":
        (one,) = shop.suppressed()
        assert one.detail == ("unless " if key == "unless" else "") + condition + (
            " (no value)" if held == "unknown" else ""
        )


def test_one_reason_and_the_first() -> None:
    """
    What several filters speak against says the first: unless, eligibility, applicability, suitability.
    """
    never = "profile.visits > 1000"
    keys: Yaml = {"unless": "profile.known", "eligibility": never, "applicability": never, "suitability": never}
    for name in ("not_applicable", "ineligible", "not_applicable", "unsuitable"):
        shop = hello_shop(**keys)
        shop.at("10:00").reads()
        assert shop.news() == [Held("mara", "hello", "10:00", name)]
        del keys[next(iter(keys))]
    assert keys == {}


@pytest.mark.parametrize(("views", "told"), [(2, []), (3, [sent("10:00")])])
def test_a_condition_has_both_sides(views: int, told: list[object]) -> None:
    """
    The third view of a product is `>= 3`, the second is not.
    """
    shop = hello_shop(on="product_viewed", when="event.product.views >= 3")
    for _ in range(views):
        shop.at("10:00").views("kettle")
    assert shop.news() == told


@pytest.mark.parametrize(
    ("age", "told"),
    [("10:59:59.999", Held("mara", "hello", "10:59:59.999", "not_applicable")), ("11:00", sent("11:00"))],
)
def test_a_duration_has_both_sides(age: str, told: object) -> None:
    """
    An hour since the order of 10:00 is not over at 10:59:59.999, and is at 11:00.
    """
    shop = hello_shop(applicability='now - profile.order.at >= duration("1h")')
    shop.at("10:00").orders("kettle")
    shop.at(age).reads()
    assert shop.news() == [told]


def test_a_rule_on_several_kinds_tells_them_apart() -> None:
    """
    By `event.kind`, in conditions and payload.
    """
    shop = hello_shop(on=["page_viewed", "searched"], unless='event.kind == "searched"', payload={"by": "event.kind"})
    shop.at("10:00").reads().searches("sofa")
    assert shop.news() == [sent("10:00"), Held("mara", "hello", "10:00", "not_applicable")]
    assert [trigger.context for trigger in shop.triggers()] == [{"by": "page_viewed"}]


def test_two_rules_of_one_event_are_two_candidates() -> None:
    """
    In slots of their own, both win.
    """
    shop = shop_of(rule("a", slot="one"), rule("b", slot="two"))
    shop.at("10:00").reads()
    assert shop.news() == [sent("10:00", "a"), sent("10:00", "b")]


def test_an_order_is_confirmed_once() -> None:
    """
    However often, and however much later, it is told; another order is another occasion (mission row 23).
    """
    shop = shop_of(rule(on="order_completed", purpose="transactional"))
    shop.at("10:00").orders("kettle", order="o1")
    shop.at("10:01").orders("kettle", order="o1", event_id="again")
    shop.at("day 4 10:00").orders("kettle", order="o1", event_id="and again")
    shop.at("day 4 10:01").orders("kettle", order="o2")
    assert shop.news() == [
        sent("10:00"),
        Held("mara", "hello", "10:01", "cooldown"),
        Held("mara", "hello", "day 4 10:00", "cooldown"),
        sent("day 4 10:01"),
    ]
    same = {one.trigger_id for one in shop.suppressed()}
    assert same == {shop.triggers()[0].trigger_id} != {shop.triggers()[1].trigger_id}


def test_a_call_is_an_occasion_of_its_own() -> None:
    """
    Two callbacks of one call are one screen pop, the next call is another.
    """
    shop = shop_of(rule(on="call_ringing", family="cti", channels=["agent"]))
    shop.at("10:00").calls("+4915112345678", "call-1")
    shop.at("10:00:01").calls("+4915112345678", "call-1")
    shop.at("10:05").calls("+4915112345678", "call-2")
    assert shop.news() == [
        sent("10:00", channel="agent"),
        Held("mara", "hello", "10:00:01", "cooldown"),
        sent("10:05", channel="agent"),
    ]


def test_a_cart_is_an_occasion_of_its_own() -> None:
    """
    The first product of each cart is greeted.
    """
    shop = shop_of(rule(on="product_added", per="cart"))
    shop.at("10:00").adds("kettle", cart="c1")
    shop.at("10:01").adds("cup", cart="c1")
    shop.at("10:02").adds("pot", cart="c2")
    assert shop.news() == [sent("10:00"), Held("mara", "hello", "10:01", "cooldown"), sent("10:02")]


def test_a_visit_is_an_occasion_of_its_own() -> None:
    """
    The first page of each visit is greeted: at 29:59.999 after the last it is still the visit, and so at 30:00.
    """
    shop = shop_of(rule(per="session"))
    shop.at("10:00").reads()
    shop.at("10:29:59.999").reads()
    shop.at("10:59:59.999").reads()
    shop.at("11:30").reads()
    assert shop.news() == [
        sent("10:00"),
        Held("mara", "hello", "10:29:59.999", "cooldown"),
        Held("mara", "hello", "10:59:59.999", "cooldown"),
        sent("11:30"),
    ]


def test_a_person_is_an_occasion_for_a_cooldown() -> None:
    """
    Once in its span: exactly so much later is the next.
    """
    shop = shop_of(rule(per="profile", cooldown="1h"))
    shop.at("10:00").reads()
    shop.at("10:59:59.999").reads()
    shop.at("11:00").reads()
    assert shop.news() == [sent("10:00"), Held("mara", "hello", "10:59:59.999", "cooldown"), sent("11:00")]


def test_who_comes_back_is_a_moment() -> None:
    """
    A visit more than gap and lateness after the last; its number is a fact.
    """
    visits: Yaml = {"when": "event.visit == 3", "payload": {"visit": "event.visit"}}
    shop = Story(book=book_of(rule(on="visit.returned", channels=["onsite"], **visits)))
    for day in ("", "day 2 ", "day 3 ", "day 4 "):
        shop.at(f"{day}10:00").reads()
    assert shop.news() == [sent("day 3 10:00", channel="onsite", to=ANON)]
    assert shop.triggers()[0].context == {"visit": 3}


def test_abandoned_carts_are_moments() -> None:
    """
    Browsing, a cart and a checkout have timers of their own, each its rule.
    """
    timers = ["browse.timer", "cart.timer", "checkout.timer"]
    shop = shop_of(*[rule(name.partition(".")[0], name, payload={"stage": "event.stage"}) for name in timers])
    shop.at("10:00").views("kettle")
    shop.at("10:00:01").views("kettle")
    shop.at("10:00:02").views("kettle")
    shop.time("11:30")
    shop.at("12:00").adds("kettle")
    shop.time("12:30")
    shop.at("13:00").checks_out()
    shop.time("14:00")
    assert [(t.action, t.context["stage"]) for t in shop.triggers()] == [
        ("browse", "browse"),
        ("cart", "cart"),
        ("checkout", "checkout"),
    ]


def test_what_comes_too_late_to_be_of_use_is_not_sent() -> None:
    """
    An event of 10:00 told when time is at 10:30 is expired for a rule of 30 minutes, and not for one that is a
    millisecond longer.
    """
    for expires, told in ((1_800_000, Held("mara", "hello", "10:00", "expired")), (1_800_001, sent("10:00"))):
        shop = hello_shop(expires_after=f"{expires}ms")
        shop.time("10:30")
        shop.at("10:00").reads()
        assert shop.news() == [told]


def test_an_event_that_names_no_product_is_no_fault() -> None:
    """
    Nor is it a candidate of a rule that asks for one.
    """
    shop = hello_shop(on="product_viewed", when='event.product.category == "kitchen"')
    shop.at("10:00").happens("product_viewed", "anon-7", commerce=Commerce())
    shop.at("10:00").happens("product_viewed", "anon-7", commerce=Commerce((Item("sofa", category="living"),)))
    assert shop.news() == []
    assert shop.faults() == [("hello", "when")]
