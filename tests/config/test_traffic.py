"""Whose events count: what can be set of bots and of our own people."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from config.load import ConfigError, describe, load
from config.settings import Settings
from config.traffic import InternalSettings, TrafficSettings

RULES = """
traffic:
  bots: false
  bot_agents: ['(?i)pricehawk']
  people_agents: [ShopMonitor/]
  rate_max: 120
  rate_ban: 2h
  internal:
    networks: [203.0.113.0/24, '2001:db8::/32', 198.51.100.7]
    email_domains: [shop.example]
    user_ids: [u-test]
    urls: [staging.shop.example, shop.example/admin]
    agents: [SmokeTest]
"""


def loaded(folder: Path, content: str) -> Settings:
    path = folder / "prod.yaml"
    path.write_text(content)
    return load(path)


def test_rules_are_read_and_shown(tmp_path: Path) -> None:
    """
    As they stand there; what is shown of them reads as the same again.
    """
    settings = loaded(tmp_path, RULES)
    assert settings.traffic == TrafficSettings(
        bots=False,
        bot_agents=("(?i)pricehawk",),
        people_agents=("ShopMonitor/",),
        rate_max=120,
        rate_ban_ms=7_200_000,
        internal=InternalSettings(
            networks=("203.0.113.0/24", "2001:db8::/32", "198.51.100.7"),
            email_domains=("shop.example",),
            user_ids=("u-test",),
            urls=("staging.shop.example", "shop.example/admin"),
            agents=("SmokeTest",),
        ),
    )
    assert settings.traffic.internal.subnets[2] == ip_network("198.51.100.7/32")
    assert loaded(tmp_path, describe(settings)) == settings


def test_a_list_can_come_from_the_environment() -> None:
    """
    As the addresses of an office do, which nobody wants in a repository.
    """
    settings = load(None, {"NEXTMOVE_TRAFFIC_INTERNAL_NETWORKS": "203.0.113.0/24,198.51.100.7"})
    assert settings.traffic.internal.networks == ("203.0.113.0/24", "198.51.100.7")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            "{internal: {networks: [10.0.0.1/8]}}",
            (
                "traffic.internal.networks has 10.0.0.1/8 but each must be a network, as 203.0.113.0/24, or an address:"
                " 10.0.0.1/8 has host bits set"
            ),
        ),
        (
            "{internal: {networks: [office]}}",
            (
                "traffic.internal.networks has office but each must be a network, as 203.0.113.0/24, or an address:"
                " 'office' does not appear to be an IPv4 or IPv6 network"
            ),
        ),
        (
            "{internal: {networks: 10.0.0.0/8}}",
            "traffic.internal.networks is 10.0.0.0/8 but must be a list of 0 to 1000, each text of 1 to 256 characters",
        ),
        (
            "{internal: {email_domains: [ann@shop.example]}}",
            "traffic.internal.email_domains has ann@shop.example but each must be a domain, as shop.example",
        ),
        (
            "{internal: {email_domains: [.example]}}",
            "traffic.internal.email_domains has .example but each must be a domain, as shop.example",
        ),
        (
            "{internal: {urls: ['https://staging.shop.example']}}",
            (
                "traffic.internal.urls has https://staging.shop.example but each must be a host or a host and the"
                " beginning of a path, without scheme and query, as staging.shop.example or shop.example/admin"
            ),
        ),
        (
            "{internal: {urls: [/admin]}}",
            (
                "traffic.internal.urls has /admin but each must be a host or a host and the beginning of a path,"
                " without scheme and query, as staging.shop.example or shop.example/admin"
            ),
        ),
        ("{rate_max: -1}", "traffic.rate_max is -1 but must be a whole number from 0 to 1000000"),
        (
            "{rate_ban: 59s}",
            "traffic.rate_ban is 59s but must be a duration from 1m to 30d, written as 500ms, 30m or 1h30m",
        ),
        ("{bot: true}", "unknown key traffic.bot; did you mean bots?"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    """
    In one line, with the key, what stands there, and what may stand there.
    """
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, f"traffic: {content}")
    assert str(raised.value).replace(f"{tmp_path}/prod.yaml: ", "") == complaint


@pytest.mark.parametrize("key", ["bot_agents", "people_agents", "internal.agents"])
@pytest.mark.parametrize("pattern", ["(a", "a{99999999999}"])
def test_a_pattern_that_is_none_is_refused(tmp_path: Path, key: str, pattern: str) -> None:
    """
    Named with its key, and by what is wrong with it.
    """
    *section, name = key.split(".")
    content = f"{{{name}: ['{pattern}']}}"
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, f"traffic: {{internal: {content}}}" if section else f"traffic: {content}")
    said = f"traffic.{key} has {pattern} but each must be a regular expression: "
    assert str(raised.value).startswith(f"{tmp_path}/prod.yaml: {said}")
