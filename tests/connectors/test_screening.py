"""Events of bots and of our own people are counted by their rule, and go nowhere."""

import re
from collections import Counter
from importlib.resources import files
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.crawlers import TOLERATED, Entry, crawlers, known_bots
from connectors.formats import Decoded, decode_batch
from connectors.formats.common import SourceRules
from connectors.formats.pseudonyms import Pseudonyms
from connectors.formats.screening import KEPT_MAX, Screened, Screening, screened

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
MONITOR = "Mozilla/5.0 (X11) HeadlessChrome/131.0 ShopMonitor/3"
PEOPLE = (
    CHROME,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18 Safari",
    "Mozilla/5.0 (Linux; Android 12; CUBOT P60) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 [FBAN/FBIOS;FBAV/396]",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Instagram 260.0",
    "okhttp/4.12.0",
    "Dart/3.5 (dart:io)",
    "ExampleShop/5.2 (iPhone; iOS 18.1)",
    "python-requests/2.32.3",
    "",
)
"""Browsers, also with bot in the name of the telephone, pages inside apps, apps, and a server that tells."""


def ours(**more: object) -> bytes:
    return msgspec.json.encode({"kind": "page_viewed", "occurred_at": NOON, "anonymous_id": "a-1"} | more)


def segments(**more: Any) -> bytes:  # noqa: ANN401 - JSON of any kind
    """The same as a page call."""
    names = {"user_agent": "userAgent", "ip": "ip"}
    context: dict[str, Any] = {names[name]: more.pop(name) for name in list(more) if name in names}
    if "url" in more:
        context["page"] = {"url": more.pop("url")}
    if "email" in more:
        context["traits"] = {"email": more.pop("email")}
    told = {"type": "page", "timestamp": "2026-03-01T12:00:00Z", "anonymousId": "a-1", "context": context}
    return msgspec.json.encode(told | ({"userId": more["user_id"]} if "user_id" in more else {}))


def enveloped(**more: object) -> bytes:
    """The same in an envelope, where the slower way is taken."""
    data = msgspec.json.decode(ours(**more))
    return msgspec.json.encode({"specversion": "1.0", "type": "t", "source": "s", "id": "1", "data": data})


def decode(raws: list[bytes], screening: Screening | None, **more: Any) -> Decoded:  # noqa: ANN401 - of the rules
    rules = SourceRules(screening=screening, **more)
    return decode_batch(raws, partition="p", first_position=0, read_at=None, rules=rules)


def outcome(raw: bytes, screening: Screening) -> str:
    """Tell by what rule a record is screened, "" where it counts."""
    decoded = decode([raw], screening)
    assert decoded.rejected == []
    assert len(decoded.events) + sum(decoded.screened.values()) == 1
    return next(iter(decoded.screened), "")


everywhere = pytest.mark.parametrize("record", [ours, segments, enveloped])


# --- bots -----------------------------------------------------------------------------------------------------


@everywhere
def test_a_known_bot_is_screened_and_people_are_not(record: Any) -> None:  # noqa: ANN401 - a maker of records
    """
    By its user agent, in each format that tells it.
    """
    screening = Screening(bots=known_bots())
    assert outcome(record(user_agent=GOOGLE), screening) == "bot"
    assert [agent for agent in PEOPLE if outcome(record(user_agent=agent), screening)] == []
    assert outcome(record(), screening) == ""


@everywhere
def test_more_bots_and_fewer(record: Any) -> None:  # noqa: ANN401 - a maker of records
    """
    Patterns of one's own come to the list, and what is to count counts whatever else it matches.
    """
    screening = Screening(bots=[*known_bots(), re.compile("^Price")], people=[re.compile("ShopMonitor/")])
    told = {GOOGLE: "bot", "PriceHawk/1": "bot", "MyPriceHawk/1": "", MONITOR: ""}
    assert {agent: outcome(record(user_agent=agent), screening) for agent in told} == told


def test_the_list_is_found_as_its_own_package_finds_it() -> None:
    """
    Whatever user agent the list knows as an example: found where one of its patterns is, by whatever way.
    """
    path = files("crawleruseragents").joinpath("crawler-user-agents.json")
    everything = msgspec.json.decode(path.read_bytes(), type=list[Entry])
    patterns = [re.compile(entry.pattern) for entry in crawlers()]
    agents = [agent for entry in everything for agent in entry.instances][::7]
    assert len(agents) > 300

    def is_listed(agent: str) -> bool:
        return any(pattern.search(agent) for pattern in patterns)

    screening = Screening(bots=known_bots())
    assert [agent for agent in agents if (screening.of_agent(agent) == "bot") != is_listed(agent[:1_024])] == []


@given(st.text(max_size=80))
def test_any_text_is_judged_as_by_the_list(text: str) -> None:
    """
    Entries that begin alike are written together, which changes nothing.
    """
    found = any(pattern.search(text) for pattern in known_bots())
    assert found == any(re.search(entry.pattern, text) for entry in crawlers())


def test_what_apps_and_servers_are_made_with_is_no_bot() -> None:
    """
    The list has them under a tag of their own, or else a whole app would be left out with okhttp.
    """
    assert {"http-library"} == TOLERATED
    assert not any("okhttp" in entry.pattern for entry in crawlers())


def test_verdicts_are_remembered_and_memory_is_bounded() -> None:
    """
    Each is found once, as long as there are not too many.
    """
    asked: list[str] = []

    class Spy:
        def search(self, text: str) -> None:
            asked.append(text)

    screening = Screening(bots=[Spy()])  # type: ignore[list-item]
    for number in [*range(KEPT_MAX), 0, 1]:
        screening.of_agent(f"agent {number}")
    assert len(asked) == KEPT_MAX
    for number in (KEPT_MAX, 0):
        screening.of_agent(f"agent {number}")
    assert len(asked) == KEPT_MAX + 2


# --- our own people -------------------------------------------------------------------------------------------

OURS = Screening(
    agents=[re.compile("SmokeTest")],
    networks=[ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"), ip_network("198.51.100.7")],
    email_domains=["Shop.example"],
    user_ids=["u-test"],
    urls=["staging.shop.example", "shop.example/admin", "shop.example/intern/"],
)


@everywhere
@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"user_agent": "SmokeTest/1"}, "internal_agent"),
        ({"user_agent": "smoketest/1"}, ""),
        ({"ip": "203.0.113.0"}, "internal_network"),
        ({"ip": "203.0.113.255"}, "internal_network"),
        ({"ip": "203.0.112.255"}, ""),
        ({"ip": "203.0.114.0"}, ""),
        ({"ip": " 198.51.100.7 "}, "internal_network"),
        ({"ip": "198.51.100.8"}, ""),
        ({"ip": "2001:DB8::1"}, "internal_network"),
        ({"ip": "2001:db9::1"}, ""),
        ({"ip": "::ffff:203.0.113.9"}, "internal_network"),
        ({"ip": "203.0.113.9, 10.0.0.1"}, ""),
        ({"ip": "0" * 200}, ""),
        ({"email": "ann@shop.example"}, "internal_email"),
        ({"email": "ann@mail.SHOP.example"}, "internal_email"),
        ({"email": "ann@myshop.example"}, ""),
        ({"email": "shop.example@elsewhere.example"}, ""),
        ({"user_id": "u-test"}, "internal_user"),
        ({"user_id": "u-test2"}, ""),
        ({"url": "https://staging.shop.example/p/1"}, "internal_url"),
        ({"url": "https://b2.STAGING.shop.example:8443"}, "internal_url"),
        ({"url": "https://user@staging.shop.example?x=1"}, "internal_url"),
        ({"url": "staging.shop.example./p"}, "internal_url"),
        ({"url": "https://notstaging.shop.example/"}, ""),
        ({"url": "https://shop.example/?from=staging.shop.example"}, ""),
        ({"url": "https://shop.example/admin"}, "internal_url"),
        ({"url": "https://shop.example/admin/orders?x#y"}, "internal_url"),
        ({"url": "https://shop.example/administration"}, ""),
        ({"url": "https://shop.example/intern/"}, "internal_url"),
        ({"url": "https://shop.example/#/admin"}, ""),
        ({"url": "https://www.shop.example/admin"}, ""),
        ({"url": "capacitor://staging.shop.example/p"}, "internal_url"),
        ({"url": "shop.example/admin?to=https://elsewhere.example/"}, "internal_url"),
        ({"url": "elsewhere.example/?to=https://staging.shop.example/"}, ""),
        ({"url": "///"}, ""),
        ({}, ""),
    ],
)
def test_our_own_people_are_told_by_rule(record: Any, told: dict[str, str], rule: str) -> None:  # noqa: ANN401 - as above
    """
    Both sides of each boundary; no rule takes what only looks like it.
    """
    assert outcome(record(**told), OURS) == rule


@everywhere
@pytest.mark.parametrize("told", [{"ip": "1" * 2_000}, {"user_agent": "x" * 5_000}, {"ip": ["203.0.113.1"]}, {"ip": 7}])
def test_a_client_that_makes_no_sense_is_nobody_s(record: Any, told: dict[str, Any]) -> None:  # noqa: ANN401 - as above
    """
    A field that nothing but these rules look at costs no event its life.
    """
    assert outcome(record(**told), OURS) == ""


def test_only_events_that_match_themselves_are_left_out() -> None:
    """
    The same device without an address of ours counts: nothing is remembered of whose it is.
    """
    decoded = decode([ours(email="ann@shop.example"), ours()], OURS)
    assert ([event.position for event in decoded.events], decoded.screened) == ([1], {"internal_email": 1})


def test_addresses_are_looked_at_before_they_are_hidden() -> None:
    """
    A pseudonym has no domain.
    """
    pseudonyms = Pseudonyms("x" * 32)
    decoded = decode([ours(email="ann@shop.example"), enveloped(email="ann@shop.example")], OURS, pseudonyms=pseudonyms)
    assert (decoded.events, decoded.screened) == ([], {"internal_email": 2})


def test_without_rules_everything_counts() -> None:
    """
    Nothing is asked where nothing is set.
    """
    for screening in (None, Screening()):
        decoded = decode([ours(user_agent=GOOGLE, ip="203.0.113.1", email="ann@shop.example")], screening)
        assert (len(decoded.events), decoded.screened) == (1, {})


@given(st.lists(st.sampled_from([GOOGLE, CHROME, MONITOR, ""]), max_size=12), st.integers(0, 12))
def test_any_batching_counts_the_same(agents: list[str], cut: int) -> None:
    """
    What is remembered of user agents makes no difference.
    """
    raws = [ours(user_agent=agent, event_id=str(number)) for number, agent in enumerate(agents)]
    screening = Screening(bots=known_bots())
    whole, first, second = (decode(part, screening) for part in (raws, raws[:cut], raws[cut:]))
    ids = [event.event_id for event in whole.events]
    assert ids == [event.event_id for event in [*first.events, *second.events]]
    assert whole.screened == Counter(first.screened) + Counter(second.screened)


@given(
    st.none() | st.text() | st.integers() | st.floats() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()),
    st.none() | st.text(alphabet="0123456789abcdef.:%/[] ") | st.ip_addresses().map(str) | st.lists(st.integers()),
)
def test_whatever_a_record_tells_it_passes_or_is_screened(user_agent: object, ip: object) -> None:
    """
    Formats hand on what stands in the field, and nothing else is ever raised.
    """
    try:
        screened(user_agent, ip, OURS)
    except Screened as found:
        assert found.rule in ("internal_agent", "internal_network")  # noqa: PT017 - which of the two is chance


HOSTS = st.sampled_from(["staging.shop.example", "shop.example", "b.staging.shop.example", "elsewhere.example"])


@given(st.lists(st.tuples(HOSTS, st.text(alphabet="/?#:@.admin%", max_size=12)), min_size=1, max_size=6))
def test_a_page_is_told_by_its_url_alone(told: list[tuple[str, str]]) -> None:
    """
    What is remembered of hosts makes no difference.
    """
    urls = ["staging.shop.example", "shop.example/admin"]
    screening = Screening(urls=urls)
    for host, rest in told:
        for url in (f"https://{host}{rest}", f"{host}{rest}", f"{host}/?to=https://{rest}"):
            assert screening.has_page(url) == Screening(urls=urls).has_page(url)
