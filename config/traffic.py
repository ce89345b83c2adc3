"""What can be set of whose events do not count: bots, and the shop's own people."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from msgspec import Meta

from config.durations import DAY, MINUTE
from config.patterns import compiled
from config.section import Section
from config.shown import shown

Pattern = Annotated[str, Meta(min_length=1, max_length=1_000)]
Patterns = Annotated[tuple[Pattern, ...], Meta(min_length=0, max_length=100)]
Value = Annotated[str, Meta(min_length=1, max_length=256)]
Values = Annotated[tuple[Value, ...], Meta(min_length=0, max_length=1_000)]
Place = Annotated[str, Meta(min_length=1, max_length=1_000)]


class InternalSettings(Section, frozen=True, kw_only=True):
    """Our own people. An event that matches any of it is left out; other events of the same person stay."""

    networks: Values = ()
    """Addresses that our people and tests come from, as networks: 203.0.113.0/24, 2001:db8::/32, 198.51.100.7."""
    email_domains: Values = ()
    """Domains of our people's addresses, with those below them."""
    user_ids: Values = ()
    """Users who are ours, test accounts too."""
    urls: Annotated[tuple[Place, ...], Meta(min_length=0, max_length=1_000)] = ()
    """Hosts that customers do not see, with those below them, and beginnings of paths: shop.example/admin."""
    agents: Patterns = ()
    """Regular expressions for what the user agents of our own tools have in them."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, with the reason."""
        _ = self.subnets
        compiled("traffic.internal.agents", self.agents)
        for domain in self.email_domains:
            if "@" in domain or domain.startswith("."):
                raise ValueError(
                    f"traffic.internal.email_domains has {shown(domain)} but each must be a domain, as shop.example"
                )
        for url in self.urls:
            if "://" in url or not url.split("/", 1)[0] or any(mark in url for mark in "?#@ "):
                raise ValueError(
                    f"traffic.internal.urls has {shown(url)} but each must be a host or a host and the beginning of a"
                    " path, without scheme and query, as staging.shop.example or shop.example/admin"
                )

    @property
    def subnets(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`networks`, read."""
        return tuple(_network(told) for told in self.networks)


class TrafficSettings(Section, frozen=True, kw_only=True):
    """Whose events count. What does not is counted by its rule, and is in no session and causes no trigger."""

    bots: bool = True
    """Whether events with the user agent of a known bot are left out."""
    bot_agents: Patterns = ()
    """Regular expressions for what the user agents of more bots have in them."""
    people_agents: Patterns = ()
    """The same for user agents that count all the same, as those of a monitor that plays a customer."""
    rate_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 600
    """Events of one visitor or lead within a minute; who does more is a bot. Ten a second are more than a person does,
    a page that tells of each scroll and a retry after a tunnel included. 0: any number is a person's."""
    rate_ban_ms: Annotated[int, Meta(ge=MINUTE, le=30 * DAY)] = DAY
    """For how long who was too fast counts as a bot; one that goes on at that rate stays one."""
    internal: InternalSettings = InternalSettings()

    def __post_init__(self) -> None:
        """Refuse patterns that are none."""
        compiled("traffic.bot_agents", self.bot_agents)
        compiled("traffic.people_agents", self.people_agents)


def _network(told: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(told)
    except ValueError as error:
        raise ValueError(
            f"traffic.internal.networks has {shown(told)} but each must be a network, as 203.0.113.0/24, or an address:"
            f" {error}"
        ) from None
