"""Control groups and variants: by the first device, kept through merges. Contracts section 4, 6 and Buckets."""

import pytest

from operators.experiment import Experiment
from tests.stories.rules import JOE, MARA, Yaml, book_of, last, rule, sent, shop_of
from tests.story import Held, Nudge, Story

HALF: Yaml = {"holdout": 0.5}
ARMS: Yaml = {"variants": {"story": 50, "promo": 50}}


def named(out: bool, experiment: str = "hello", share: float = 0.5, beside: str = "") -> str:  # noqa: FBT001
    """The first device's name of which this is so: it is held out of the experiment or not; not as another one."""
    drawn = Experiment(experiment, share, {"a": 1.0})
    return next(name for name in (f"dev-{n}" for n in range(1000)) if drawn.holds_out(name) == out and name != beside)


def push(**keys: Yaml) -> Story:
    """A shop whose rule reaches visitors."""
    return Story(book=book_of(rule(channels=["push"], **keys)))


@pytest.mark.parametrize("out", [True, False])
def test_a_device_is_in_one_group_for_good(*, out: bool) -> None:
    """
    Whatever happens: as a visitor, as a customer, on another device; held out says in which group.
    """
    device = named(out)
    other = named(not out)
    shop = push(**HALF)
    shop.at("10:00").reads(by=device)
    shop.at("10:05").identifies(device, as_="mara", email=MARA)
    shop.at("10:10").reads(by=device)
    shop.at("10:15").identifies(other, as_="mara")
    shop.at("10:15:10").reads(by=other)
    shop.at("10:20").reads(by=other)
    shop.at("day 9 10:20").reads(by=other)
    assert len(shop.triggers()) == (0 if out else 5)
    assert [one.reason for one in shop.suppressed()] == ["holdout"] * (5 if out else 0)
    assert {one.assignment for one in shop.triggers()} == (set() if out else {device})
    assert {one.detail for one in shop.suppressed()} == ({"in the control group of hello"} if out else set())


@pytest.mark.parametrize("first", [True, False])
def test_of_two_customers_who_are_one_the_older_decides(*, first: bool) -> None:
    """
    The device that was seen first, whichever of both it was.
    """
    old, new = named(out=first), named(out=not first)
    shop = push(**HALF)
    shop.at("09:00").identifies(old, as_="mara")
    shop.at("10:00").identifies(new, email=JOE)
    shop.at("10:05").identifies(new, as_="mara", email=JOE)
    shop.at("10:10").reads(by=new)
    shop.time("10:11")
    assert len(shop.triggers()) == (0 if first else 1)


def test_a_timer_and_an_event_see_one_group() -> None:
    """
    What is decided at once and what waits go by the same device.
    """
    for out in (True, False):
        device = named(out)
        shop = Story(book=book_of(rule(channels=["push"], on="searched", after="10m", **HALF)))
        shop.at("10:00").searches("sofa", by=device)
        shop.at("10:05").identifies(device, as_="mara")
        shop.at("10:06").identifies(named(not out), as_="mara")
        shop.time("10:10")
        assert len(shop.triggers()) == (0 if out else 1)


def test_a_variant_stays_too() -> None:
    """
    Through link and merge; both are drawn.
    """
    found = set()
    for number in range(8):
        shop = push(**ARMS)
        shop.at("10:00").reads(by=f"dev-{number}")
        shop.at("10:05").identifies(f"dev-{number}", as_="mara")
        shop.at("10:10").identifies("other", as_="mara").reads(by="other")
        variants = [one.variant for one in shop.triggers()]
        assert len(variants) == 2
        assert len(set(variants)) == 1
        found.add(variants[0])
    assert found == {"story", "promo"}


def test_rules_of_one_experiment_have_one_group() -> None:
    """
    By its name; where none is given each rule draws for itself.
    """
    both: Yaml = {"channels": ["push"], "holdout": 0.5, "experiment": "spring"}
    for number in range(8):
        shop = Story(book=book_of(rule("a", slot="one", **both), rule("b", slot="two", **both)))
        shop.at("10:00").reads(by=f"dev-{number}")
        assert len(shop.triggers()) in (0, 2)
    del both["experiment"]
    counts = set()
    for number in range(16):
        shop = Story(book=book_of(rule("a", slot="one", **both), rule("b", slot="two", **both)))
        shop.at("10:00").reads(by=f"dev-{number}")
        counts.add(len(shop.triggers()))
    assert counts == {0, 1, 2}


def test_a_control_group_of_all_hears_of_nothing() -> None:
    """
    Of no rule at all, its own experiment or not.
    """
    device = named(out=True, experiment="all", share=0.05)
    other = named(out=False, experiment="all", share=0.05)
    shop = Story(book=book_of(rule(channels=["push"]), rule("b", channels=["push"], slot="two"), holdout=0.05))
    shop.at("10:00").reads(by=device).reads(by=other)
    assert shop.news() == [
        Held(device, "b", "10:00", "holdout"),
        Held(device, "hello", "10:00", "holdout"),
        Nudge(other, "b", "10:00", "push"),
        Nudge(other, "hello", "10:00", "push"),
    ]
    assert shop.suppressed()[0].detail == "in the control group of all"


def test_who_is_held_out_uses_up_nothing() -> None:
    """
    No cap, no cool-down: they would say what is not so.
    """
    rules = rule("a", holdout=1.0, cooldown="1d"), rule("b", "searched")
    shop = shop_of(*rules, caps=[{"scope": "all", "limit": 1, "per": "1d"}])
    shop.at("10:00").reads()
    shop.at("10:01").reads().searches("sofa")
    assert shop.news() == [
        Held("mara", "a", "10:00", "holdout"),
        Held("mara", "a", "10:01", "holdout"),
        sent("10:01", "b"),
    ]


def test_who_has_no_device_goes_by_their_profile() -> None:
    """
    A caller is in a group, too.
    """
    shop = shop_of(rule(on="call_ringing", channels=["crm"], **ARMS))
    shop.at("10:00").calls("+4930123456")
    assert last(shop).assignment == last(shop).profile_id
    assert last(shop).variant in ("story", "promo")
