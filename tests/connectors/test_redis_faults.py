"""
Redis that refuses, hangs, dies, is full, changes its master or comes back empty: what the store makes of it.
"""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import pytest
import trustme
from redis.exceptions import RedisError

from connectors.redis_client import shown
from connectors.redis_identity import MARKER, RedisIdentity
from connectors.redis_patience import PAUSE_S_MAX, StoreError, pauses
from tests.connectors.identity import ACL_RULES, CLUSTER_RULES, DAY_MS, KINDS, Told, event, hash_of, rules_for
from tests.services.redis import RedisServer
from tests.services.redis_kinds import MASTER, Clustered, Start, Watched, ask, until

T = TypeVar("T")

TIMEOUT_MS: Final = 300


@pytest.fixture
def server(start_redis: Start) -> RedisServer:
    """A server that one test may do anything to."""
    return start_redis()


@pytest.fixture
def store(server: RedisServer, told: Told) -> RedisIdentity:
    """A store that has linked Mara."""
    store = told.connect(rules_for(server.url, TIMEOUT_MS))
    assert store.link({"u:mara": "lead-1", "a:d1": "lead-1", "r:lead-1": "mara"}, event(1, user_id="mara"), {}) == {}
    return store


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], T]], Future[T]]]:
    """Does something in a thread of its own."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit


def short(line: str) -> str:
    """What was told, without the address and the library's words."""
    return line.rpartition("; ")[2].rpartition(": ")[2]


OUTAGE: Final = ["waiting for Redis", "Redis is back"]
EMPTY: Final = "who is who is learnt anew as events come"


# --- away -----------------------------------------------------------------------------------------------------


def test_an_outage_is_waited_for(
    server: RedisServer, store: RedisIdentity, told: Told, meanwhile: Callable[..., Future[dict[str, str]]]
) -> None:
    """
    Redis is killed and comes back empty: the store waits, says so once, and finds nobody; what it links is kept.
    """
    server.kill()
    known = meanwhile(lambda: store.look_up([event(2)]))
    until(lambda: store.errors >= 3)
    was_away = store.is_away
    server.start()

    assert known.result() == {}
    assert store.link({"a:d1": "lead-1"}, event(2), {}) == {}
    assert store.look_up([event(3)]) == {"a:d1": "lead-1"}
    assert [short(line) for line in told.lines] == [*OUTAGE, EMPTY]
    assert (was_away, store.is_away) == (True, False)
    assert store.resets == 1


def test_a_redis_that_hangs_is_waited_for(
    server: RedisServer, store: RedisIdentity, told: Told, meanwhile: Callable[..., Future[dict[str, str]]]
) -> None:
    """
    One that keeps its connections and does not answer: nothing is decided, and nothing is forgotten.
    """
    server.pause()
    known = meanwhile(lambda: store.look_up([event(2)]))
    until(lambda: store.errors >= 2)
    was_away = store.is_away
    server.resume()

    assert known.result() == {"a:d1": "lead-1"}
    assert [short(line) for line in told.lines] == OUTAGE
    assert (was_away, store.is_away) == (True, False)
    assert store.resets == 0


def test_a_stop_is_heard_while_redis_hangs(
    server: RedisServer, store: RedisIdentity, told: Told, meanwhile: Callable[..., Future[dict[str, str]]]
) -> None:
    """
    At the worst moment, as an attempt begins: within two time-outs, to connect and to be greeted, and a pause. With the
    time-out as shipped, 2 s, that is half of the 10 s that a stop may take.
    """
    server.pause()
    known = meanwhile(lambda: store.look_up([event(2)]))
    until(lambda: store.errors)
    time.sleep(0.1)  # the first pause is half of this: an attempt has begun
    asked_at = time.monotonic()
    told.stop.set()
    with pytest.raises(StoreError, match="stopped while Redis was away; the next run goes on from the checkpoint"):
        known.result()
    assert time.monotonic() - asked_at < 2 * TIMEOUT_MS / 1000 + PAUSE_S_MAX
    server.resume()


def test_pauses_grow_with_jitter_however_long_it_takes() -> None:
    """
    An outage of hours is thousands of attempts, never more than the longest pause apart, never all at one beat.
    """
    back_off = pauses()
    found = [back_off.compute(failures) for failures in range(1, 5_000)]
    assert min(found) > 0
    assert max(found) == PAUSE_S_MAX
    assert found[0] < 0.1
    assert len(set(found)) > 1_000


def test_a_redis_that_reads_its_file_is_waited_for(
    start_redis: Start, told: Told, meanwhile: Callable[..., Future[object]]
) -> None:
    """
    By a process that runs, and by one that starts with it; what was kept is there afterwards.
    """
    slow = [
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
        "--rdbcompression",
        "no",
    ]  # µs a key
    server = start_redis(*slow)
    rules = rules_for(server.url, TIMEOUT_MS)
    running, later = told.connect(rules), Told()
    running.link({"a:d1": "lead-1"}, event(1), {})
    ask(server, "MSET", *(text for number in range(400) for text in (f"other-{number}", "x" * 200)))
    ask(server, "SAVE")
    server.kill()
    started = meanwhile(server.start)
    until(lambda: is_loading(server))

    starting = later.connect(rules)
    assert starting.store_id == running.store_id
    assert starting.look_up([event(2)]) == running.look_up([event(2)]) == {"a:d1": "lead-1"}
    assert [short(line) for line in later.lines] == OUTAGE
    assert "loading" in later.lines[0]
    assert running.resets == 0
    started.result()
    later.close()


def is_loading(server: RedisServer) -> bool:
    """Whether it is there and still reads its file."""
    try:
        ask(server, "PING")
    except RedisError as error:
        return "loading" in str(error)
    raise AssertionError("it is ready already")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "read only"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "; give it more memory (maxmemory) or free some; waiting"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
    ],
    ids=["a replica", "full", "without its replicas"],
)
def test_a_redis_that_takes_no_writes_is_waited_for(
    before: str,
    after: str,
    said: str,
    server: RedisServer,
    store: RedisIdentity,
    told: Told,
    meanwhile: Callable[..., Future[dict[str, str]]],
) -> None:
    """
    Whoever operates it can cure that, and is told what it is; the link is made then.
    """
    ask(server, *before.split())
    linked = meanwhile(lambda: store.link({"e:m@x": "lead-1"}, event(2), {}))
    until(lambda: store.errors >= 2)
    ask(server, *after.split())

    assert linked.result() == {}
    assert store.look_up([event(3, email="m@x")])["e:m@x"] == "lead-1"
    assert [short(line) for line in told.lines] == OUTAGE
    assert said in told.lines[0]


def test_no_identifier_is_in_a_message(
    server: RedisServer,
    store: RedisIdentity,
    told: Told,
    meanwhile: Callable[..., Future[dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    What fails in a script is told without the script; keys are digests.
    """
    store.link({"e:m@x": "lead-1"}, event(2), {})
    later_s = time.time() + DAY_MS / 2000
    monkeypatch.setattr(time, "time", lambda: later_s)
    ask(server, "CONFIG", "SET", "min-replicas-to-write", "1")
    known = meanwhile(lambda: store.look_up([event(3, email="m@x")]))
    until(lambda: known.done() or store.errors)
    ask(server, "CONFIG", "SET", "min-replicas-to-write", "0")

    assert known.result() == {"e:m@x": "lead-1", "a:d1": "lead-1"}
    assert "NOREPLICAS" in told.lines[0]
    assert not any("m@x" in line or "d1" in line for line in told.lines)


def test_a_master_that_became_a_replica_is_left(start_redis: Start, tmp_path: Path, told: Told) -> None:
    """
    Where a name leads to the master, as managed ones have it, the connection from before does not hold the store back.
    """
    name, old, new = tmp_path / "name", tmp_path / "old", tmp_path / "new"
    first = start_redis("--unixsocket", str(old))
    second = start_redis("--unixsocket", str(new))
    name.symlink_to(old)
    rules = rules_for(f"unix://{name}", TIMEOUT_MS)
    store = told.connect(rules)

    ask(first, "REPLICAOF", "127.0.0.1", 1)
    name.unlink()
    name.symlink_to(new)
    assert store.link({"a:d1": "lead-1"}, event(1), {}) == {}
    assert ask(second, "EXISTS", hash_of(rules.prefix, "a:d1")) == 1
    assert store.errors == 1


def test_a_fail_over_is_followed(redis_watched: Watched, told: Told) -> None:
    """
    Sentinels make the replica the master: the store goes on there, with all that was linked, and nothing was reset.
    """
    store = told.connect(rules_for(redis_watched.url, TIMEOUT_MS))
    store.link({"a:d1": "lead-1"}, event(1), {})
    until(lambda: re.search("master-link-status'[:, b]+'ok'", str(redis_watched.ask("REPLICAS", MASTER))))
    master, replica = redis_watched.nodes
    assert ask(master, "SET", "last", "x")
    until(lambda: ask(replica, "EXISTS", "last"))

    redis_watched.ask("FAILOVER", MASTER)
    master.kill()
    assert store.link({"e:m@x": "lead-1"}, event(2), {}) == {}
    assert store.look_up([event(3, email="m@x")]) == {"a:d1": "lead-1", "e:m@x": "lead-1"}
    assert "master" in str(ask(replica, "ROLE"))
    assert store.resets == 0
    master.start()


def test_a_node_of_a_cluster_may_come_back(
    redis_cluster: Clustered, told: Told, meanwhile: Callable[..., Future[dict[str, str]]]
) -> None:
    """
    The node that has the identifiers is killed and comes back empty: waited for, as a single server.
    """
    rules = rules_for(redis_cluster.url, TIMEOUT_MS)
    store = told.connect(rules)
    store.link({"a:d1": "lead-1"}, event(1), {})
    node = redis_cluster.of(rules.prefix)
    node.kill()
    known = meanwhile(lambda: store.look_up([event(2)]))
    until(lambda: store.errors >= 2)
    node.start()

    assert known.result() == {}
    assert store.link({"a:d1": "lead-1"}, event(2), {}) == {}
    assert [short(line) for line in told.lines] == [*OUTAGE, EMPTY]


# --- empty ----------------------------------------------------------------------------------------------------


def test_an_emptied_redis_is_noticed(server: RedisServer, store: RedisIdentity, told: Told) -> None:
    """
    Counted and told once; what this process remembered of it is forgotten, so that links are made again and live.
    """
    assert store.look_up([event(2, user_id="mara")]) == {"u:mara": "lead-1", "a:d1": "lead-1"}
    before = store.store_id
    ask(server, "FLUSHALL")

    login = event(3, user_id="mara")
    assert store.look_up([login]) == {}
    assert store.link({"u:mara": "lead-1", "a:d1": "lead-1"}, login, {}) == {}
    assert store.look_up([event(4, user_id="mara")]) == {"u:mara": "lead-1", "a:d1": "lead-1"}
    assert [short(line) for line in told.lines] == [EMPTY]
    assert store.resets == 1
    assert store.store_id != before


def test_who_starts_later_can_tell_by_the_id(server: RedisServer, told: Told) -> None:
    """
    The id stays as long as the identifiers do, whoever asks, and does not expire; an emptied store has another.
    """
    rules = rules_for(server.url)
    first = told.connect(rules)
    assert told.connect(rules).store_id == first.store_id
    assert ask(server, "PTTL", rules.prefix + MARKER) == -1
    ask(server, "FLUSHALL")
    second = told.connect(rules)
    assert second.store_id != first.store_id

    first.look_up([event(1)])
    second.look_up([event(1)])
    assert (first.store_id, first.resets, second.resets) == (second.store_id, 1, 0)


# --- refused --------------------------------------------------------------------------------------------------


def test_a_password_is_in_no_message(redis_with_login: RedisServer, told: Told) -> None:
    """
    A login that is refused is one line, with the address and what to check.
    """
    for login in ("mara:secret", "joe:secret", ":secret"):
        url = redis_with_login.url.replace("mara:p%40ss%2Fword", login)
        with pytest.raises(StoreError) as caught:
            told.connect(rules_for(url))
        line = str(caught.value)
        assert line.startswith(f"{shown(url)}: invalid username-password pair")
        assert line.endswith("check the address, the user and the password")
        assert "secret" not in line
        assert "\n" not in line


COMMANDS: Final = (
    "get",
    "set",
    "exists",
    "del",
    "zadd",
    "zscore",
    "zremrangebyscore",
    "hget",
    "hset",
    "hdel",
    "hrandfield",
    "rpush",
    "ltrim",
    "lrange",
    "pexpire",
    "evalsha",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_right_that_is_missing_is_said_at_the_start(command: str, server: RedisServer, told: Told) -> None:
    """
    Not when the first customer signs in. The rights in docs/how-to/redis.md are the least that do.
    """
    ask(server, "ACL", "SETUSER", "joe", "on", ">secret", *ACL_RULES, f"-{command}")
    url = server.url.replace("//", "//joe:secret@")
    with pytest.raises(StoreError, match=rf"'{command}' command; give the user the rights in docs/how-to/"):
        told.connect(rules_for(url))


def test_the_rights_for_a_cluster_suffice(redis_cluster: Clustered, told: Told) -> None:
    """
    The library asks for the slots and for what commands there are; docs/how-to/redis.md allows it.
    """
    for node in redis_cluster.nodes:
        ask(node, "ACL", "SETUSER", "joe", "on", ">secret", *ACL_RULES, *CLUSTER_RULES)
    store = told.connect(rules_for(redis_cluster.url.replace("//", "//joe:secret@")))
    assert store.link({"a:d1": "lead-1"}, event(1), {}) == {}
    assert store.look_up([event(2)]) == {"a:d1": "lead-1"}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("REPLICAOF 127.0.0.1 1", "read only replica; it is a replica: name the master"),
        ("CONFIG SET maxmemory 1", "give it more memory"),
    ],
)
def test_a_redis_that_takes_no_writes_is_said_at_the_start(
    state: str, said: str, server: RedisServer, told: Told
) -> None:
    """
    Nobody waits yet: whoever starts it had better know at once.
    """
    ask(server, *state.split())
    with pytest.raises(StoreError, match=said):
        told.connect(rules_for(server.url))


def test_a_right_that_is_taken_away_ends_the_run(server: RedisServer, told: Told) -> None:
    """
    Waiting would not bring it back.
    """
    ask(server, "ACL", "SETUSER", "joe", "on", ">secret", *ACL_RULES)
    store = told.connect(rules_for(server.url.replace("//", "//joe:secret@")))
    ask(server, "ACL", "SETUSER", "joe", "-hget")
    with pytest.raises(StoreError, match="can't run this command or subcommand; give the user the rights"):
        store.look_up([event(1)])
    assert store.errors == 0


def test_a_certificate_of_nobody_we_know_is_refused(redis_over_tls: RedisServer, tmp_path: Path, told: Told) -> None:
    """
    One line that says so.
    """
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    url = f"{redis_over_tls.url.partition('?')[0]}?ssl_ca_certs={tmp_path}/other.pem"
    with pytest.raises(StoreError, match=r"^rediss://127\.0\.0\.1:\d+/0: .*certificate verify failed"):
        told.connect(rules_for(url))


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://x", "must specify one of the following schemes"),
        ("redis+sentinel://a:1", "names no master"),
        ("redis+sentinel:///people", "names no host"),
        ("redis+cluster://", "names no host"),
        ("redis://a:one", "Port could not be cast"),
        ("redis://127.0.0.1:1/0?colour=red", "unexpected keyword argument 'colour'"),
        ("redis://mara:s/ecret@a:1", "percent-encoded, as %2F for /"),
        ("redis://mara:s?ecret@a:1", "percent-encoded, as %2F for /"),
        ("redis://mara:secret@127.0.0.1:1/0", "Connection refused; check the address"),
        ("redis+sentinel://mara:secret@127.0.0.1:1/people", "No master found for 'people'"),
        ("redis+cluster://mara:secret@127.0.0.1:1", "Connection refused; check the address"),
        ("unix://mara:secret@/nowhere/redis.sock", "check the address"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, complaint: str, told: Told) -> None:
    """
    One line, with what is wrong and without the login.
    """
    with pytest.raises(StoreError) as caught:
        told.connect(rules_for(url, TIMEOUT_MS))
    assert complaint in str(caught.value)
    assert "ecret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rediss+sentinel://u:p@a:1,b:2/main/3", "rediss+sentinel://a:1,b:2/main/3"),
        ("redis://a/0?ssl_keyfile=x", "redis://a/0"),
        ("redis://u:p@a/0?sentinel_password=x", "redis://a/0"),
        ("redis://u:p?w@a/0", "identity.redis_url"),
        ("u:p@a", "identity.redis_url"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url: str, expected: str) -> None:
    """
    Neither login nor options; and nothing of what cannot be told apart.
    """
    assert shown(url) == expected


# --- told ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru", "volatile-ttl"])
def test_an_eviction_policy_that_forgets_people_is_told(policy: str, server: RedisServer, told: Told) -> None:
    """
    At the start, once; nothing is told of one that does not.
    """
    ask(server, "CONFIG", "SET", "maxmemory-policy", policy)
    told.connect(rules_for(server.url))
    expected = f"maxmemory-policy is {policy}: where memory is full, people are forgotten without a word"
    assert [line for line in told.lines if expected in line] == told.lines
    assert len(told.lines) == (policy != "noeviction")


def test_a_redis_that_does_not_tell_its_policy_is_trusted(server: RedisServer, told: Told) -> None:
    """
    Managed ones may refuse to say.
    """
    ask(server, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    ask(server, "ACL", "SETUSER", "joe", "on", ">secret", *ACL_RULES, "-info")
    told.connect(rules_for(server.url.replace("//", "//joe:secret@")))
    assert told.lines == []


def test_each_round_trip_is_observed(store: RedisIdentity, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What it was for and how long it took: one for a batch that is settled, one more where something is to be planned for
    a lead, where a name was linked that is remembered, and to renew.
    """
    told.observed.clear()
    for position in (2, 3):
        store.look_up([event(position, user_id="mara")])
    assert store.look_up([event(4, user_id="mara", email="m@x")])["r:lead-1"] == "mara"
    store.link({"e:m@x": "lead-1"}, event(5), {})
    assert [command for command, _ in told.observed] == ["look_up", "look_up", "look_up", "look_up", "link"]
    assert all(0 < seconds < 1 for _, seconds in told.observed)
    told.observed.clear()
    later_s = time.time() + DAY_MS / 2000
    monkeypatch.setattr(time, "time", lambda: later_s)
    store.look_up([event(6, email="m@x")])
    assert [command for command, _ in told.observed] == ["look_up", "look_up", "renew"]


@pytest.mark.parametrize("kind", ["one server", "sentinel", "cluster"])
def test_a_script_that_is_gone_is_loaded_again(kind: str, request: pytest.FixtureRequest, told: Told) -> None:
    """
    SCRIPT FLUSH, or a server that is another one by now: no link fails for it.
    """
    subject: RedisServer | Watched | Clustered = request.getfixturevalue(KINDS[kind])
    store = told.connect(rules_for(subject.url))
    for server in [subject] if isinstance(subject, RedisServer) else subject.nodes:
        ask(server, "SCRIPT", "FLUSH")
    assert store.link({"a:d1": "lead-1"}, event(1), {}) == {}
    assert store.look_up([event(2)]) == {"a:d1": "lead-1"}
    assert (store.errors, told.lines) == (0, [])
