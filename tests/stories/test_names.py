"""
One person in several spellings, and names that name nobody: records as they come, decoded as they are.
"""

import msgspec
import pytest

from connectors.formats import decode_batch
from connectors.formats.common import SourceRules
from tests.stories.people import MARA, PHONE, people, told
from tests.story import CartNews, Held, Nudge, Story, instant

GERMAN = SourceRules(region="DE")


def hears(shop: Story, time: str, kind: str = "identified", **told: object) -> None:
    """Let a record come, as a German shop sends it; what names nobody is no event."""
    raw = msgspec.json.encode({"kind": kind, "occurred_at": instant(time)} | told)
    for event in decode_batch([raw], partition="p", first_position=0, read_at=None, rules=GERMAN).events:
        shop.tell(event)


@pytest.mark.parametrize(
    "word", ["null", "undefined", "[object Object]", "00000000-0000-0000-0000-000000000000", "-1", "guest", "NaN", "0"]
)
def test_a_name_for_nobody_makes_no_giant(shop: Story, word: str) -> None:
    """
    Two people whose tracker sends it, as whichever identifier, are two; and who has no other name is nobody at all.
    """
    hears(shop, "10:00", anonymous_id="laptop-1", user_id=word, email=MARA)
    hears(shop, "10:01", anonymous_id="laptop-2", user_id=word, email="joe@example.org")
    hears(shop, "10:02", anonymous_id=word, user_id="mara")
    hears(shop, "10:03", anonymous_id=word, user_id="joe")
    hears(shop, "10:04", anonymous_id="laptop-3", email=word, user_id="zoe")
    hears(shop, "10:05", anonymous_id="laptop-4", email=word, user_id="tom")
    hears(shop, "10:06", "page_viewed", anonymous_id="laptop-5", user_id=word)
    hears(shop, "10:07", "page_viewed", anonymous_id=word)
    assert people(shop) == [
        {"a:laptop-1", f"e:{MARA}"},
        {"a:laptop-2", "e:joe@example.org"},
        {"u:mara"},
        {"u:joe"},
        {"a:laptop-3", "u:zoe"},
        {"a:laptop-4", "u:tom"},
    ]
    assert [key for key, _ in shop.loop.visitors.profiles()] == ["laptop-5"]
    assert told(shop, "refused", "moved", "merged") == []


@pytest.mark.parametrize("word", ["nullable", "1", "00000000-0000-0000-0000-000000000001", "guest-7"])
def test_what_only_looks_like_a_name_for_nobody_names_somebody(shop: Story, word: str) -> None:
    """
    The other side of the boundary: it joins, as any identifier does.
    """
    hears(shop, "10:00", anonymous_id="laptop-1", user_id=word)
    hears(shop, "10:01", anonymous_id="laptop-2", user_id=word)
    assert people(shop) == [{f"u:{word}", "a:laptop-1", "a:laptop-2"}]


def test_an_address_is_one_in_any_case_and_any_spelling_of_its_domain(shop: Story) -> None:
    """
    Capitals, a display name, a domain in its own script or as the DNS writes it.
    """
    hears(shop, "10:00", anonymous_id="laptop-1", email="Mara@Example.ORG")
    hears(shop, "10:01", anonymous_id="laptop-2", email="  mara@example.org ")
    hears(shop, "10:02", anonymous_id="laptop-3", email="Mara M. <MARA@example.org>")
    hears(shop, "10:03", anonymous_id="phone-1", email="zoe@bücher.example")
    hears(shop, "10:04", anonymous_id="phone-2", email="ZOE@xn--bcher-kva.example")
    assert people(shop) == [
        {f"e:{MARA}", "a:laptop-1", "a:laptop-2", "a:laptop-3"},
        {"e:zoe@xn--bcher-kva.example", "a:phone-1", "a:phone-2"},
    ]


def test_a_tag_in_an_address_makes_another_address(shop: Story) -> None:
    """
    Whether a provider ignores what is after the plus is not known: two, unless a user id says that they are one.
    """
    hears(shop, "10:00", anonymous_id="laptop-1", email="mara@example.org")
    hears(shop, "10:01", anonymous_id="laptop-2", email="mara+shop@example.org")
    assert len(people(shop)) == 2
    hears(shop, "10:02", user_id="mara", email="mara@example.org")
    hears(shop, "10:03", user_id="mara", email="mara+shop@example.org")
    assert len(people(shop)) == 1


def test_a_number_is_one_in_three_spellings(shop: Story) -> None:
    """
    As people write it, as systems do, as a telephone exchange tells it: the call is the lead's.
    """
    hears(shop, "10:00", user_id="mara", phone="0151 / 123 456 78")
    hears(shop, "10:01", user_id="mara", phone="+49 (0)151 12345678")
    hears(shop, "10:02", "call_ringing", phone="sip:+4915112345678@10.0.0.5", call_id="call-1")
    assert people(shop) == [{"u:mara", f"p:{PHONE}"}]
    shop.ends()
    assert [(visit.by, visit.of) for visit in shop.sessions() if visit.channel == "phone"] == [(PHONE, "mara")]


def test_the_same_address_in_two_browsers_loses_the_cart_of_neither(shop: Story) -> None:
    """
    A cart in each, filled before either said whose it is; both are the person's, and one reminder is sent.
    """
    shop.at("10:00").adds("kettle", cart="c1", by="laptop-1")
    shop.at("10:01").adds("lamp", cart="c2", by="laptop-2")
    hears(shop, "10:02", anonymous_id="laptop-1", email="Mara@example.org")
    hears(shop, "10:03", anonymous_id="laptop-2", email="mara@EXAMPLE.org")
    assert people(shop) == [{f"e:{MARA}", "a:laptop-1", "a:laptop-2"}]
    shop.time("10:33")
    abandoned = [news for news in shop.carts() if news.state == "abandoned"]
    assert sorted(abandoned, key=lambda news: news.cart) == [
        CartNews("c1", "abandoned", "10:33", 30.0, of=MARA),
        CartNews("c2", "abandoned", "10:33", 30.0, of=MARA),
    ]
    shop.at("10:33").expects(Nudge(MARA, "cart_abandoned", "10:33"), Held(MARA, "cart_abandoned", "10:33", "cooldown"))
