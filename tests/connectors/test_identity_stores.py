"""
Identity stores: what each of them promises, and what only the shared one does.
"""

import threading
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import pytest
import redis

from connectors.memory import MemoryIdentity
from connectors.redis_client import shown
from connectors.redis_identity import VERSIONS_MAX, RedisIdentity, RedisRules, StoreError
from operators.event import Event
from pipeline.ports import IdentityStore
from tests.services.redis import RedisServer
from tests.services.redis_kinds import Watched, address

DAY_MS: Final = 86_400_000
# Longer than the library's own attempts take together.
OUTAGE_S: Final = 0.6


def event(position: int, partition: str = "p0", *, user_id: str = "", email: str = "") -> Event:
    """An event of a device that may say who uses it."""
    made = Event("identified", DAY_MS, f"e{position}", "web", "d1", "d1", user_id, email)
    made.partition, made.position = partition, position
    return made


class Told:
    """A stop that can be set, and the lines that were told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stop = threading.Event()


@pytest.fixture
def told() -> Told:
    return Told()


def rules_for(url: str, timeout_ms: int = 1_000) -> RedisRules:
    """A corner of its own, so that tests can share a server."""
    prefix = f"{{test-{uuid4().hex[:12]}}}:"
    return RedisRules(url=url, prefix=prefix, ttl_ms=DAY_MS, timeout_ms=timeout_ms)


@pytest.fixture
def rules(redis_server: RedisServer) -> RedisRules:
    """A corner of the server for one test."""
    return rules_for(redis_server.url)


@pytest.fixture
def connect(rules: RedisRules, told: Told) -> Callable[[], RedisIdentity]:
    """Connect as one more process would."""
    return lambda: RedisIdentity(rules, told.stop, told.lines.append)


@pytest.fixture(params=["embedded", "redis", "over TLS", "with a login", "socket", "watched", "cluster"])
def store(request: pytest.FixtureRequest, told: Told) -> IdentityStore:
    """Each of the stores, and the shared one at each kind of address."""
    if request.param == "embedded":
        return MemoryIdentity()
    return RedisIdentity(rules_for(address_of(request.param, request)), told.stop, told.lines.append)


def address_of(kind: str, request: pytest.FixtureRequest) -> str:
    """Start what the address needs."""
    if kind == "cluster":
        nodes: list[RedisServer] = request.getfixturevalue("redis_cluster")
        return f"redis+cluster://{','.join(':'.join(address(node)) for node in nodes[:2])}"
    name = {"redis": "redis_server"}.get(kind, f"redis_{kind.replace(' a ', ' ').replace(' ', '_').lower()}")
    server: RedisServer | Watched = request.getfixturevalue(name)
    return server.url


# --- what each promises ---------------------------------------------------------------------------------------


def test_what_is_linked_is_known_from_the_next_batch_on(store: IdentityStore) -> None:
    """
    A login links the device and the user; both are known to whatever comes after it, and nothing else is.
    """
    login = event(1, user_id="mara")
    assert dict(store.look_up([login])) == {}

    links = {"u:mara": "lead-1", "a:d1": "lead-1", "l:lead-1": "mara"}
    assert store.link(links, login, {}) == {}

    known = store.look_up([event(2, user_id="mara"), event(3, email="m@x")])
    assert {name: known.get(name) for name in ("u:mara", "a:d1", "l:lead-1", "e:m@x")} == links | {"e:m@x": None}


def test_linking_again_changes_nothing(store: IdentityStore) -> None:
    """
    The same link by the same event, as after a crash, leaves what was there.
    """
    login = event(1, user_id="mara")
    for _ in range(3):
        assert store.link({"a:d1": "lead-1"}, login, {}) == {}
    assert store.look_up([event(2)])["a:d1"] == "lead-1"


def test_a_device_follows_its_latest_login(store: IdentityStore) -> None:
    """
    A link replaces the one before it.
    """
    store.link({"a:d1": "lead-1"}, event(1), {})
    assert store.link({"a:d1": "lead-2"}, event(2), {"a:d1": "lead-1"}) == {}
    assert store.look_up([event(3)])["a:d1"] == "lead-2"


def test_any_text_can_be_an_identifier(store: IdentityStore) -> None:
    """
    Braces, blanks, line ends, other scripts, and what is long.
    """
    names = ["a:{x}", "a: b\n", "e:zoë@x", "u:" + "9" * 256, "p:+4930"]
    store.link(dict.fromkeys(names, "lead-é"), event(1), {})
    after = Event("identified", DAY_MS, "e", "web", " b\n", "{x}", "9" * 256, "zoë@x", "+4930", partition="p1")
    known = store.look_up([after])
    assert {name: known.get(name) for name in names if name != "a: b\n"} == {
        name: "lead-é" for name in names if name != "a: b\n"
    }


# --- what the shared one promises -----------------------------------------------------------------------------


def test_a_replay_does_not_see_what_it_is_about_to_link(connect: Callable[[], RedisIdentity]) -> None:
    """
    After a crash the events from before the login find nobody, as they did the first time; those after it, and those
    of other partitions, find the lead.
    """
    connect().link({"a:d1": "lead-1"}, event(10), {})
    resumed = connect()
    assert resumed.look_up([event(5), event(10), event(11)]) == {}
    assert resumed.look_up([event(10)]) == {}
    assert resumed.look_up([event(11)]) == {"a:d1": "lead-1"}
    assert resumed.look_up([event(5, "p1")]) == {"a:d1": "lead-1"}


def test_a_replay_links_again_though_what_comes_later_is_there(connect: Callable[[], RedisIdentity]) -> None:
    """
    A device logged in as Mara, then as Joe, then the process died. The replay of Mara's login is no conflict and
    changes nothing: after both, the device is Joe's.
    """
    store = connect()
    store.link({"a:d1": "mara"}, event(10), {})
    store.link({"a:d1": "joe"}, event(20), {"a:d1": "mara"})

    resumed = connect()
    assert resumed.look_up([event(5)]) == {}
    assert resumed.link({"a:d1": "mara"}, event(10), {}) == {}
    assert resumed.look_up([event(15)]) == {"a:d1": "mara"}
    assert resumed.link({"a:d1": "joe"}, event(20), {"a:d1": "mara"}) == {}
    assert resumed.look_up([event(21)]) == {"a:d1": "joe"}


def test_two_processes_do_not_link_past_each_other(connect: Callable[[], RedisIdentity]) -> None:
    """
    Both have seen that nobody has the address; the second is told who has it by now, and none of its links is made.
    """
    first, second = connect(), connect()
    assert first.link({"e:m@x": "lead-1"}, event(1, "p0"), {}) == {}
    assert second.link({"e:m@x": "lead-2", "a:d2": "lead-2"}, event(1, "p1"), {}) == {"e:m@x": "lead-1"}
    assert "a:d2" not in second.look_up([Event("page_viewed", DAY_MS, "e", "web", "d2", "d2", partition="p2")])


def test_the_oldest_versions_go(connect: Callable[[], RedisIdentity]) -> None:
    """
    Of a device that changes hands often, the last few versions are kept; an older replay finds nobody.
    """
    store, known = connect(), dict[str, str]()
    for position in range(1, VERSIONS_MAX + 3):
        store.link({"a:d1": f"lead-{position}"}, event(position), known)
        known = {"a:d1": f"lead-{position}"}
    assert store.look_up([event(4)]) == {"a:d1": "lead-3"}
    assert store.look_up([event(3)]) == {}


def test_identifiers_expire_and_are_renewed(
    connect: Callable[[], RedisIdentity], rules: RedisRules, redis_server: RedisServer
) -> None:
    """
    A key lives for the time that is set, from its link or from when it was asked for again.
    """
    client = redis.Redis.from_url(redis_server.url)
    connect().link({"a:d1": "lead-1"}, event(1), {})
    key = f"{rules.prefix}a:d1"
    assert DAY_MS - 10_000 < client.pttl(key) <= DAY_MS
    client.pexpire(key, 5_000)
    connect().look_up([event(2)])
    assert client.pttl(key) > DAY_MS - 10_000
    client.close()


def test_an_outage_is_waited_for(connect: Callable[[], RedisIdentity], told: Told, redis_server: RedisServer) -> None:
    """
    Redis is killed and comes back empty: the store waits, says so once, and finds nobody; what it links is kept.
    """
    store = connect()
    store.link({"a:d1": "lead-1"}, event(1), {})
    redis_server.kill()
    back = threading.Timer(OUTAGE_S, redis_server.start)
    back.start()

    assert store.look_up([event(2)]) == {}
    assert store.link({"a:d1": "lead-1"}, event(2), {}) == {}
    assert store.look_up([event(3)]) == {"a:d1": "lead-1"}
    back.join()
    assert [line.rpartition(": ")[2].split(";")[-1].strip() for line in told.lines] == [
        "waiting for Redis",
        "Redis is back",
        "who is who is learnt anew as events come",
    ]
    assert store.errors >= 1


def test_a_stop_ends_the_wait(connect: Callable[[], RedisIdentity], told: Told, redis_server: RedisServer) -> None:
    """
    Who wants to stop while Redis is away need not wait for it.
    """
    store = connect()
    redis_server.kill()
    try:
        told.stop.set()
        with pytest.raises(StoreError, match="stopped while Redis was away"):
            store.look_up([event(2)])
    finally:
        redis_server.start()


def test_a_password_is_in_no_message(told: Told) -> None:
    """
    An address that does not answer is named without the login.
    """
    rules = RedisRules(url="redis://mara:secret@127.0.0.1:1/0", prefix="{x}:", ttl_ms=DAY_MS, timeout_ms=200)
    with pytest.raises(StoreError) as caught:
        RedisIdentity(rules, told.stop, told.lines.append)
    assert str(caught.value).startswith("redis://127.0.0.1:1/0: ")
    assert "secret" not in str(caught.value)
    assert shown("rediss+sentinel://u:p@a:1,b:2/main/3") == "rediss+sentinel://a:1,b:2/main/3"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://x", "must specify one of the following schemes"),
        ("redis+sentinel://a:1", "names no master"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, complaint: str, told: Told) -> None:
    """
    One line, with what is wrong.
    """
    rules = RedisRules(url=url, prefix="{x}:", ttl_ms=DAY_MS, timeout_ms=200)
    with pytest.raises(StoreError, match=complaint):
        RedisIdentity(rules, told.stop, told.lines.append)
