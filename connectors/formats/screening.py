"""Screening: events of bots and of the shop's own people are counted, and go nowhere.

A format tells of each record the user agent and the address that it came from (`screened`); what else says whose an
event is stands in the event itself (`Screening.rule_of`). The rule of rates knows visitors, so it is with their
profiles (`operators/rate.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, Literal

from operators.event import Event
from operators.screened import Rule

KEPT_MAX: Final = 16_384
"""User agents, addresses and hosts whose verdicts are remembered, of each: finding one takes longer than a look-up."""

AGENT_CHARS_MAX: Final = 1_024
"""What is looked at of a user agent; a field of text is cut there too."""

ADDRESS_CHARS_MAX: Final = 64
"""What is longer is no address."""

Verdict = Rule | Literal[""]
"""The rule that screens, "" for none."""

Network = IPv4Network | IPv6Network


class Screened(Exception):  # noqa: N818 - a verdict on a record of others, no error of ours
    """An event that does not count. It never leaves this package: `decode_batch` counts it by its rule."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self.rule: Rule = rule


class Screening:
    """The rules of whose events do not count."""

    def __init__(
        self,
        *,
        bots: Iterable[re.Pattern[str]] = (),
        people: Iterable[re.Pattern[str]] = (),
        agents: Iterable[re.Pattern[str]] = (),
        networks: Iterable[Network] = (),
        email_domains: Iterable[str] = (),
        user_ids: Iterable[str] = (),
        urls: Iterable[str] = (),
    ) -> None:
        """Take what a user agent has in it that is a bot's, unless `people` match, or ours (`agents`).

        Then what else is ours: addresses in `networks`, e-mail domains with those below them, user ids, and `urls`:
        hosts with those below them, or hosts and the beginnings of paths, without a scheme.
        """
        self._bots, self._people, self._agents = tuple(bots), tuple(people), tuple(agents)
        self._networks = tuple(networks)
        self._email_domains = tuple(f".{domain.lower()}" for domain in email_domains)
        self._user_ids = frozenset(user_ids)
        places = [_place(url) for url in urls if "/" in url]
        self._hosts = tuple(f".{url.lower()}" for url in urls if "/" not in url)
        self._paths = {host: [path for one, path in places if one == host] for host, _ in places}
        self.asks_clients = bool(self._bots or self._agents or self._networks)
        """Whether user agents and addresses are looked at, then events."""
        self.asks_events = bool(self._email_domains or self._user_ids or self._hosts or places)
        self._asks_urls = bool(self._hosts or places)
        self._of_origins: dict[str, list[str]] = {}
        self._of_agents: dict[str, Verdict] = {}
        self._of_addresses: dict[str, bool] = {}

    def of_agent(self, agent: str) -> Verdict:
        """Return the rule that screens a user agent, "" for none."""
        found = self._of_agents.get(agent)
        if found is None:
            if len(self._of_agents) >= KEPT_MAX:
                self._of_agents.clear()
            found = self._of_agents[agent] = self._judged(agent[:AGENT_CHARS_MAX])
        return found

    def has_address(self, told: str) -> bool:
        """Tell whether an address is one of ours; what is no address is nobody's."""
        if not self._networks or len(told) > ADDRESS_CHARS_MAX:
            return False
        found = self._of_addresses.get(told)
        if found is None:
            if len(self._of_addresses) >= KEPT_MAX:
                self._of_addresses.clear()
            found = self._of_addresses[told] = self._is_ours(told)
        return found

    def rule_of(self, event: Event) -> Rule | None:
        """Return the rule that screens an event by what it says of itself, its address not yet a pseudonym."""
        if self._user_ids and event.user_id in self._user_ids:
            return "internal_user"
        if self._email_domains and event.email:
            domain = "." + event.email.rpartition("@")[2].lower()
            if domain.endswith(self._email_domains):
                return "internal_email"
        if self._asks_urls and event.url and self.has_page(event.url):
            return "internal_url"
        return None

    def has_page(self, url: str) -> bool:
        """Tell whether a page is one that customers do not see."""
        end = url.find("/", url.find("://") + 3)
        origin = url if end < 0 else url[:end]  # it has the host in it, and differs little
        paths = self._of_origins.get(origin)
        if paths is None:
            if len(self._of_origins) >= KEPT_MAX:
                self._of_origins.clear()
            host = _place(origin)[0]
            is_ours = f".{host}".endswith(self._hosts)
            paths = self._of_origins[origin] = [""] if is_ours else self._paths.get(host, [])
        if not paths:
            return False
        path = _place(url)[1]
        return any(_is_below(path, own) for own in paths)

    def screen(self, event: Event) -> None:
        """Let pass an event that counts by what it says of itself.

        Raises:
            Screened: it does not.
        """
        rule = self.rule_of(event)
        if rule is not None:
            raise Screened(rule)

    def left(self, events: list[Event], counts: Counter[str]) -> list[Event]:
        """Return the events that count by what they say of themselves; `counts` are told of the others."""
        left: list[Event] = []
        for event in events:
            rule = self.rule_of(event)
            if rule is None:
                left.append(event)
            else:
                counts[rule] += 1
        return left

    def _judged(self, agent: str) -> Verdict:
        if any(pattern.search(agent) for pattern in self._agents):
            return "internal_agent"
        if any(pattern.search(agent) for pattern in self._people):
            return ""
        return "bot" if any(pattern.search(agent) for pattern in self._bots) else ""

    def _is_ours(self, told: str) -> bool:
        try:
            address = ip_address(told.strip())
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


def screened(user_agent: object, ip: object, screening: Screening | None) -> None:
    """Let pass what counts: `user_agent` and `ip` are as a record tells them, whatever they are, None for nothing.

    Of an event that a server tells by itself they are that server's, not a visitor's: the format leaves them out.

    Raises:
        Screened: the event is a bot's, or of our own people.
    """
    if screening is None or not screening.asks_clients:
        return
    if isinstance(user_agent, str) and user_agent:
        rule = screening.of_agent(user_agent)
        if rule:
            raise Screened(rule)
    if isinstance(ip, str) and ip and screening.has_address(ip):
        raise Screened("internal_network")


def _place(url: str) -> tuple[str, str]:
    """Return the host of a URL, in lower case, without user and port, and its path; the scheme may be left out."""
    scheme, colon, rest = url.partition("://")
    if not colon or any(mark in scheme for mark in "/?#"):
        rest = url
    ends = [at for mark in "/?#" if (at := rest.find(mark)) >= 0]
    end = min(ends, default=len(rest))
    host = rest[:end].rpartition("@")[2]
    if ":" in host and not host.endswith("]"):
        host = host.rpartition(":")[0]
    path = rest[end:].partition("#")[0].partition("?")[0]
    return host.lower().rstrip("."), path or "/"


def _is_below(path: str, own: str) -> bool:
    """Tell whether a path is another one, or below it."""
    own = own.rstrip("/")
    return path == own or path.startswith(own + "/")
