"""Quiet hours: when nobody is to be disturbed, by their own clock. Contracts section 4, Quiet hours."""

import pytest

from operators.local_time import HOUR_MS
from tests.stories.rules import MARA, PHONE, Yaml, book_of, rule, sent, shop_of
from tests.story import Held, Nudge, Story, clock, instant

NIGHT: Yaml = {"from": "21:00", "to": "08:00"}


def night(on: str = "hold", *, hours: Yaml = None, channels: list[str] | None = None, zones: Yaml = None) -> Story:
    """A shop that is quiet at night, by the clock of UTC where nothing else is said."""
    quiet = NIGHT | (hours or {}) | {"on": on}
    told = rule(channels=channels or ["email"], expires_after="13h")
    return shop_of(told, quiet=quiet, time_zones=zones or {"+49": "UTC"})


def quiet(at: str) -> Held:
    """What is not sent for it is quiet."""
    return Held("mara", "hello", at, "quiet_hours")


def decisions(shop: Story, *times: str) -> list[object]:
    """What is said at once to who reads at these times."""
    for time in times:
        shop.at(time).reads()
    return list(shop.news())


@pytest.mark.parametrize("on", ["drop", "fallback"])
def test_the_night_has_its_first_and_its_last_millisecond(on: str) -> None:
    """
    20:59:59.999 is day, 21:00 is night; 07:59:59.999 is night, 08:00 is day.
    """
    times = ("20:59:59.999", "21:00", "day 2 07:59:59.999", "day 2 08:00")
    assert decisions(night(on), *times) == [sent(times[0]), quiet(times[1]), quiet(times[2]), sent(times[3])]


def test_what_is_held_is_said_in_the_morning() -> None:
    """
    Not at 07:59:59.999, at 08:00; by its own cause, and not to be acted upon before.
    """
    shop = night()
    assert decisions(shop, "20:59:59.999", "21:00") == [sent("20:59:59.999")]
    shop.at("day 2 07:59:59.999").expects_nothing()
    shop.at("day 2 08:00").expects(sent("21:00"))
    trigger = shop.triggers()[1]
    assert trigger.not_before == "2026-11-22T08:00:00.000Z"
    assert trigger.expires_at == "2026-11-22T10:00:00.000Z"
    assert trigger.cause.time == "2026-11-21T21:00:00.000Z"


def test_by_day_the_hours_are_not_over_midnight() -> None:
    """
    From 12:00 to 14:00 it is quiet then, and not at night.
    """
    times = ("11:59:59.999", "12:00", "13:59:59.999", "14:00", "23:30")
    shop = night("drop", hours={"from": "12:00", "to": "14:00"})
    assert decisions(shop, *times) == [sent(times[0]), quiet(times[1]), quiet(times[2]), sent(times[3]), sent(times[4])]


SPRING = [  # 28 March 2027: 02:00 is 03:00
    ("day 127 19:59:59.999", "day 127 20:00", "day 128 05:59:59.999", "day 128 06:00"),
]
AUTUMN = [  # 31 October 2027: 03:00 is 02:00
    ("day 344 18:59:59.999", "day 344 19:00", "day 345 06:59:59.999", "day 345 07:00"),
]


@pytest.mark.parametrize(("day", "begins", "night_ends", "ends"), SPRING + AUTUMN)
def test_the_night_in_which_the_clocks_are_changed(day: str, begins: str, night_ends: str, ends: str) -> None:
    """
    Still from 21:00 to 08:00 by the clock on the wall: an hour shorter in spring, an hour longer in autumn.
    """
    shop = night("drop", zones={"+49": "Europe/Berlin"})
    assert decisions(shop, day, begins, night_ends, ends) == [sent(day), quiet(begins), quiet(night_ends), sent(ends)]
    shop = night(zones={"+49": "Europe/Berlin"})
    assert decisions(shop, begins) == []
    shop.at(night_ends).expects_nothing()
    shop.at(ends).expects(sent(begins))
    assert (instant(ends) - instant(begins)) / HOUR_MS == (10 if "128" in ends else 12)


def test_an_end_that_the_clock_leaves_out() -> None:
    """
    Quiet until 02:30 of a night in which 02:00 is 03:00: it ends with the hour that is left out, at 01:00 UTC.
    """
    times = ("day 128 00:59:59.999", "day 128 01:00")
    shop = night(hours={"from": "22:00", "to": "02:30"}, zones={"+49": "Europe/Berlin"})
    assert decisions(shop, times[0]) == []
    shop.at(times[0]).expects_nothing()
    shop.at(times[1]).expects(sent(times[0]))
    assert decisions(shop, times[1]) == [sent(times[1])]


def test_quiet_hours_that_the_clock_leaves_out() -> None:
    """
    From 02:15 to 02:45 there is no such time that night: nothing is held.
    """
    times = ("day 128 00:59:59.999", "day 128 01:00", "day 128 01:15")
    shop = night("drop", hours={"from": "02:15", "to": "02:45"}, zones={"+49": "Europe/Berlin"})
    assert decisions(shop, *times) == [*map(sent, times)]


def test_quiet_hours_that_are_there_twice() -> None:
    """
    From 02:15 to 02:45 in the night that has 02:15 twice: quiet both times, and not between.
    """
    shop = night("drop", hours={"from": "02:15", "to": "02:45"}, zones={"+49": "Europe/Berlin"})
    found = decisions(
        shop, *[f"day 345 {time}" for time in ("00:14:59.999", "00:15", "00:45", "01:15", "01:44:59.999", "01:45")]
    )
    assert [type(one) for one in found] == [Nudge, Held, Nudge, Held, Held, Nudge]


def reader(zone: object = None, phone: str = "", **policy: Yaml) -> Story:
    """A shop in Tokyo that drops what is due at night, and a customer of whom so much is known."""
    shop = Story(book=book_of(rule(), quiet=NIGHT | {"on": "drop"}, time_zone="Asia/Tokyo", **policy))
    told = {} if zone is None else {"properties": {"timezone": zone}}
    shop.at("06:00").happens("identified", "anon-7", user_id="mara", email=MARA, phone=phone, channel="server", **told)
    return shop


def test_whose_zone_is_known() -> None:
    """
    By what they say themselves, before the country of their number, before the shop's own.
    """
    tokyo = ("11:59:59.999", "12:00")  # 20:59:59.999 and 21:00 there
    berlin = ("19:59:59.999", "20:00")
    chicago = ("day 2 02:59:59.999", "day 2 03:00")
    for shop, (day, night_) in (
        (reader(), tokyo),
        (reader(phone=PHONE), berlin),
        (reader("America/Chicago", PHONE), chicago),
        (reader("America/Chicago"), chicago),
        (reader("Mars/Olympus", PHONE), berlin),
        (reader(7, PHONE), berlin),
        (reader("", ""), tokyo),
        (reader(phone="+1310555", time_zones={"+1310": "America/Los_Angeles"}), ("day 2 04:59:59.999", "day 2 05:00")),
    ):
        assert decisions(shop, day, night_) == [sent(day), quiet(night_)]


def test_who_moves_takes_the_night_along() -> None:
    """
    The newest word on a zone counts, from the instant that it is said.
    """
    shop = reader("Europe/Berlin")
    assert decisions(shop, "20:00") == [quiet("20:00")]
    shop.at("20:01").happens("identified", "anon-7", user_id="mara", properties={"timezone": "America/Chicago"})
    assert decisions(shop, "20:01", "day 2 03:00") == [sent("20:01"), quiet("day 2 03:00")]


def test_only_some_channels_are_quiet() -> None:
    """
    Messages are, letters are not.
    """
    shop = night("drop", hours={"channels": ["sms"]})
    assert decisions(shop, "22:00") == [sent("22:00")]
    shop = night("drop", hours={"channels": ["sms"]}, channels=["sms", "email"])
    assert decisions(shop, "22:00") == [quiet("22:00")]


def test_at_night_another_channel_may_do() -> None:
    """
    `fallback` goes on to the next that is not quiet; `hold` and `drop` stay with the first that could be used.
    """
    keys: Yaml = {"hours": {"channels": ["sms"]}, "channels": ["sms", "email"]}
    assert decisions(night("fallback", **keys), "21:00") == [sent("21:00")]
    assert decisions(night("drop", **keys), "21:00") == [quiet("21:00")]
    shop = night("hold", **keys)
    assert decisions(shop, "21:00") == []
    shop.at("day 2 08:00").expects(sent("21:00", channel="sms"))


def test_a_rule_may_have_hours_of_its_own() -> None:
    """
    Or none: `off` is for what is to be said at any hour.
    """
    own = rule(quiet={"from": "12:00", "to": "13:00", "on": "drop"})
    shop = shop_of(own, quiet=NIGHT | {"on": "drop"}, time_zones={"+49": "UTC"})
    assert decisions(shop, "12:59:59.999", "13:00", "22:00") == [quiet("12:59:59.999"), sent("13:00"), sent("22:00")]
    shop = shop_of(rule(quiet="off"), quiet=NIGHT | {"on": "drop"}, time_zones={"+49": "UTC"})
    assert decisions(shop, "22:00") == [sent("22:00")]


def test_what_cannot_wait_that_long_is_not_held() -> None:
    """
    A trigger that expires at 08:00 sharp is dropped at once, one a millisecond later is held and sent.
    """
    shop = shop_of(rule(expires_after="39600000ms"), quiet=NIGHT, time_zones={"+49": "UTC"})
    assert decisions(shop, "21:00") == [quiet("21:00")]
    shop.at("day 2 09:00").expects_nothing()
    shop = shop_of(rule(expires_after="39600001ms"), quiet=NIGHT, time_zones={"+49": "UTC"})
    assert decisions(shop, "21:00") == []
    shop.at("day 2 09:00").expects(sent("21:00"))
    assert clock(shop.triggers()[0].expires_at) == "day 2 08:00:00.001"


def test_what_is_due_by_a_timer_is_held_too() -> None:
    """
    A cart that is left at 20:30 is due at 21:00, at night.
    """
    shop = shop_of(rule(on="cart.timer"), quiet=NIGHT, time_zones={"+49": "UTC"})
    shop.at("20:29:59.999").adds("sofa", cart="c1")
    shop.at("20:59:59.999").expects(sent("20:59:59.999"))
    shop = shop_of(rule(on="cart.timer"), quiet=NIGHT, time_zones={"+49": "UTC"})
    shop.at("20:30").adds("sofa", cart="c1")
    shop.at("21:00").expects_nothing()
    shop.at("day 2 07:59:59.999").expects_nothing()
    shop.at("day 2 08:00").expects(sent("21:00"))
