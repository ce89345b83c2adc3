"""
What tests of identity stores share.
"""

import re
import threading
from typing import Final
from uuid import uuid4

from connectors.redis_identity import RedisIdentity
from connectors.redis_names import digest
from connectors.redis_patience import RedisRules
from operators.event import Event
from tests.services.process import ROOT

DAY_MS: Final = 86_400_000

KINDS: Final = {
    "one server": "redis_server",
    "over TLS": "redis_over_tls",
    "with a login": "redis_with_login",
    "socket": "redis_socket",
    "sentinel": "redis_watched",
    "cluster": "redis_cluster",
}
"""The fixture of each kind of address, which has a `url`."""


HOW_TO: Final = (ROOT / "docs/how-to/redis.md").read_text(encoding="utf-8")


def rights(pattern: str) -> list[str]:
    """Return what docs/how-to/redis.md tells operators to allow, for the prefixes of tests."""
    told = re.search(pattern, HOW_TO)
    assert told, pattern
    return told[1].replace("{nextmove}", "{*}").split()


ACL_RULES: Final = rights("ACL SETUSER nextmove on >PASSWORD (.*)")
CLUSTER_RULES: Final = rights("In a cluster also `(.*?)`")


def event(
    position: int, partition: str = "p0", *, device: str = "d1", user_id: str = "", email: str = "", phone: str = ""
) -> Event:
    """An event of a device that may say who uses it."""
    made = Event("identified", DAY_MS, f"e{position}", "web", device, device, user_id, email, phone)
    made.partition, made.position = partition, position
    return made


class Told:
    """A stop that can be set, and what was told and observed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.observed: list[tuple[str, float]] = []
        self.stop = threading.Event()
        self._stores: list[RedisIdentity] = []

    def connect(self, rules: RedisRules) -> RedisIdentity:
        """Connect as one more process would."""
        store = RedisIdentity(rules, self.stop, self.lines.append, lambda *seen: self.observed.append(seen))
        self._stores.append(store)
        return store

    def close(self) -> None:
        """Close the stores that were told with it."""
        for store in self._stores:
            store.close()


def rules_for(url: str, timeout_ms: int = 1_000) -> RedisRules:
    """A corner of its own, so that tests can share a server."""
    prefix = f"{{test-{uuid4().hex[:12]}}}:"
    return RedisRules(url=url, prefix=prefix, ttl_ms=DAY_MS, timeout_ms=timeout_ms)


def hash_of(prefix: str, name: str) -> str:
    """Return the key of the hash that has a name among its fields."""
    return f"{prefix}#{int.from_bytes(digest(name)[:3], 'big') >> 6}"
