"""
Identity stores: what each of them promises, and what only the shared one does.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from connectors.given_folder import KEPT_S, GivenFolder
from connectors.memory import MemoryIdentity
from connectors.redis_identity import RENEWALS, VERSIONS_MAX, RedisIdentity
from connectors.redis_names import digest, packed, place_of, unpacked
from connectors.redis_patience import RedisRules
from operators.erasure import ERASED, erased_key
from operators.event import Event
from operators.planning import learn, plan
from pipeline.ports import HandOvers, IdentityStore
from tests.connectors.identity import DAY_MS, KINDS, Told, event, hash_of, rules_for
from tests.services.redis import RedisServer
from tests.simulation.store import SharedStore, SimulatedIdentity


@pytest.fixture
def rules(redis_server: RedisServer) -> RedisRules:
    """A corner of the server for one test."""
    return rules_for(redis_server.url)


@pytest.fixture(params=["Redis", "simulated"])
def connect(request: pytest.FixtureRequest, told: Told) -> Callable[[], IdentityStore]:
    """Connect as one more process would, to Redis or to what stands for it in tests/simulation."""
    if request.param == "simulated":
        shared = SharedStore()
        return lambda: SimulatedIdentity(shared)
    rules: RedisRules = request.getfixturevalue("rules")
    return lambda: told.connect(rules)


@pytest.fixture(params=["embedded", "simulated", *KINDS])
def store(request: pytest.FixtureRequest, told: Told) -> IdentityStore:
    """Each of the stores, and the shared one at each kind of address."""
    if request.param == "embedded":
        return MemoryIdentity()
    if request.param == "simulated":
        return SimulatedIdentity(SharedStore())
    return told.connect(rules_for(request.getfixturevalue(KINDS[request.param]).url))


# --- what each promises ---------------------------------------------------------------------------------------


def test_what_is_linked_is_known_from_the_next_batch_on(store: IdentityStore) -> None:
    """
    A login links the device and the user; both are known to whatever comes after it, and nothing else is.
    """
    login = event(1, user_id="mara")
    assert dict(store.look_up([login])) == {}

    links = {"u:mara": "lead-1", "a:d1": "lead-1", "r:lead-1": "mara"}
    assert store.link(links, login, {}) == {}

    known = store.look_up([event(2, user_id="mara"), event(3, email="m@x")])
    assert {name: known.get(name) for name in ("u:mara", "a:d1", "r:lead-1", "e:m@x")} == links | {"e:m@x": None}


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


def says(device: str, user_id: str, email: str, phone: str) -> Event:
    """An event with any of the identifiers."""
    return Event("identified", DAY_MS, "e", "web", "d1", device, user_id, email, phone)


RULES = Settings().identity.rules("")
BATCHES = st.lists(
    st.tuples(
        st.sampled_from(["p0", "p1"]),
        st.lists(
            st.builds(
                says,
                st.sampled_from(["", "d1", "d2"]),
                st.sampled_from(["", "mara", "joe"]),
                st.sampled_from(["", "m@x", "j@x"]),
                st.sampled_from(["", "+4930"]),
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    max_size=6,
)


@given(batches=BATCHES)
def test_all_stores_decide_alike(redis_server: RedisServer, batches: list[tuple[str, list[Event]]]) -> None:
    """
    Whatever one process asks and links, in whatever batches and partitions, is planned the same on each.
    """
    told = Told()
    shared = told.connect(rules_for(redis_server.url))
    stores: list[IdentityStore] = [MemoryIdentity(), shared, SimulatedIdentity(SharedStore())]
    for number, (partition, batch) in enumerate(batches):
        for place, one in enumerate(batch):
            one.partition, one.position = partition, 10 * number + place
        known = [dict(store.look_up(batch)) for store in stores]
        for one in batch:
            first, *others = (plan(one, of_store, RULES) for of_store in known)
            assert [(other.profile_id, other.links) for other in others] == [(first.profile_id, first.links)] * 2
            for store, of_store in zip(stores, known, strict=True):
                assert store.link(first.links, one, of_store) == {}
                learn(of_store, first)
    told.close()


MERGE: dict[str, str] = {"m:lead-2": "lead-1", "r:lead-1": "mara"}


def test_who_has_become_another_lead_is_that_one(store: IdentityStore) -> None:
    """
    All that the younger lead was called is the older one's, also where that one turns out to be a third.
    """
    store.link({"e:m@x": "lead-2", "a:d1": "lead-2", "p:+1": "lead-2", "r:lead-2": "5"}, event(1, email="m@x"), {})
    store.link({"u:mara": "lead-1", "a:d2": "lead-1"}, event(2, user_id="mara"), {})
    assert store.link(MERGE, event(3, user_id="mara", email="m@x"), {}) == {}
    names = ("e:m@x", "a:d1", "p:+1", "u:mara")
    for position, lead, links in ((3, "lead-1", MERGE), (5, "lead-0", {"m:lead-1": "lead-0"})):
        assert store.link(links, event(position, user_id="mara", email="m@x"), {}) == {}
        known = store.look_up([event(position + 1, user_id="mara", email="m@x", phone="+1")])
        assert [known.get(name) for name in names] == [lead] * 4


def test_a_device_that_has_moved_on_stays_where_it_is(store: IdentityStore) -> None:
    """
    What another lead has been given since is none of the one who is no more.
    """
    store.link({"a:d1": "lead-2"}, event(1), {})
    store.link({"a:d1": "lead-3"}, event(2), {"a:d1": "lead-2"})
    store.link(MERGE, event(3, user_id="mara"), {})
    assert store.look_up([event(4)])["a:d1"] == "lead-3"


def gives_and_takes(given: HandOvers) -> None:
    """Bytes by their tags, and nothing that was not given, or of a lead who was forgotten."""
    states = {"lead-2@7": b"\x00\xff", "lead-3@8": b"", "ä/ö@9": b"state"}
    for tag, state in states.items():
        given.give(tag, state)
    given.give("lead-2@8", b"more")
    given.give("lead-22@8", b"another one's")
    assert given.take([*states, "lead-4@7"]) == states
    given.forget("lead-2")
    given.forget("lead-5")
    assert given.take(["lead-2@7", "lead-2@8", "lead-22@8"]) == {"lead-22@8": b"another one's"}


def test_what_is_given_can_be_taken(store: IdentityStore) -> None:
    """
    By whoever knows its tag.
    """
    gives_and_takes(store)


def test_what_is_given_to_a_folder_can_be_taken(tmp_path: Path) -> None:
    """
    The same, without a store that processes share.
    """
    gives_and_takes(GivenFolder(tmp_path / "given", fsync=True))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """
    With the file that could not be written; nobody finds half a state.
    """
    folder = GivenFolder(tmp_path, fsync=True)
    (tmp_path / "lead-2@7.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '.*/lead-2@7\.new'"):
        folder.give("lead-2@7", b"state")
    assert folder.take(["lead-2@7"]) == {}


def test_a_folder_keeps_what_is_given_for_a_week(tmp_path: Path) -> None:
    """
    For whoever has taken it and died; what is older goes when a process begins.
    """
    folder = tmp_path / "given"
    for tag, age_s in (("old@1", KEPT_S + 60), ("new@1", KEPT_S - 60)):
        GivenFolder(folder, fsync=False).give(tag, b"state")
        at = time.time() - age_s
        os.utime(next(folder.glob(f"{tag}*")), (at, at))
    assert GivenFolder(folder, fsync=False).take(["old@1", "new@1"]) == {"new@1": b"state"}
    assert GivenFolder(folder, fsync=False).take(["old@1", "new@1"]) == {"new@1": b"state"}


# --- what the shared one promises -----------------------------------------------------------------------------


def test_who_is_linked_to_a_lead_that_is_no_more_is_the_other_one(connect: Callable[[], IdentityStore]) -> None:
    """
    A process that has not heard of it links a device to the younger lead: it is the older one's.
    """
    here, there = connect(), connect()
    here.link({"u:joe": "lead-2"}, event(1, user_id="joe"), {})
    known = there.look_up([event(5, "p1", user_id="joe")])
    here.link(MERGE, event(3, user_id="mara"), {})
    assert there.link({"a:d5": known["u:joe"]}, event(5, "p1", device="d5"), {}) == {}
    assert here.look_up([event(6, device="d5")])["a:d5"] == "lead-1"


def test_a_merge_counts_from_when_it_was(connect: Callable[[], IdentityStore]) -> None:
    """
    A run that goes on asks as of then: before it, the younger lead's device is that lead's, and also once it is merged
    again and what was linked before is linked again.
    """
    store = connect()
    login, merging = event(1, user_id="joe"), event(3, user_id="mara")
    store.link({"a:d1": "lead-2"}, login, {})
    before = store.read_clock()
    store.link(MERGE, merging, {})
    after = store.read_clock()
    for _ in range(2):
        asked = event(4, "p1")
        assert [store.look_up([asked], as_of)["a:d1"] for as_of in (before, after)] == ["lead-2", "lead-1"]
        again = connect()
        assert again.link({"a:d1": "lead-2"}, login, {}) == {}
        assert again.link(MERGE, merging, {}) == {}
        assert again.linked_at == after


def test_what_was_given_can_be_taken_again(connect: Callable[[], IdentityStore]) -> None:
    """
    Whoever has taken it may die before it is kept.
    """
    connect().give("lead-2@7", b"state")
    assert [connect().take(["lead-2@7"]) for _ in range(2)] == [{"lead-2@7": b"state"}] * 2


def test_a_replay_does_not_see_what_it_is_about_to_link(connect: Callable[[], IdentityStore]) -> None:
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


def test_a_replay_links_again_though_what_comes_later_is_there(connect: Callable[[], IdentityStore]) -> None:
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


def test_a_replay_is_told_what_was_known_then(connect: Callable[[], IdentityStore]) -> None:
    """
    An event of another partition saw nobody, then the device logged in, then the process died: asked as of the clock
    that it had noted it sees nobody again, and a process that asks now sees the lead.
    """
    first, second = connect(), connect()
    assert first.look_up([event(5, "p1")]) == {}
    noted = first.clock
    second.link({"a:d1": "lead-1"}, event(10), {})
    assert second.linked_at == noted + 1

    resumed = connect()
    assert resumed.look_up([event(5, "p1")], noted) == {}
    assert resumed.look_up([event(6, "p1")], noted + 1) == {"a:d1": "lead-1"}
    assert resumed.look_up([event(7, "p1")]) == {"a:d1": "lead-1"}
    assert resumed.clock == resumed.read_clock() == noted + 1


def test_a_replay_links_as_it_did_though_others_have_gone_on(connect: Callable[[], IdentityStore]) -> None:
    """
    Mara's login on the device, then Joe's, read by another process, then the first died. The replay of Mara's finds
    what it found then, so it is no conflict: its clock is that of then, and the device stays Joe's.
    """
    first, second = connect(), connect()
    first.link({"a:d1": "mara"}, event(10), {})
    linked_at = first.linked_at
    second.link({"a:d1": "joe"}, event(3, "p1"), {"a:d1": "mara"})

    resumed = connect()
    assert resumed.link({"a:d1": "mara"}, event(10), {}) == {}
    assert resumed.linked_at == linked_at
    assert resumed.look_up([event(11)]) == {"a:d1": "joe"}
    assert resumed.look_up([event(11)], linked_at) == {"a:d1": "mara"}


def test_a_replay_loses_to_whom_it_lost(connect: Callable[[], IdentityStore]) -> None:
    """
    Where another process was faster the first time, it is again.
    """
    first, second = connect(), connect()
    first.link({"e:m@x": "lead-1"}, event(1, "p1"), {})
    assert second.link({"e:m@x": "lead-2", "a:d1": "lead-2"}, event(10), {}) == {"e:m@x": "lead-1"}
    assert second.link({"a:d1": "lead-1"}, event(10), {"e:m@x": "lead-1"}) == {}
    linked_at = second.linked_at

    resumed = connect()
    assert resumed.link({"e:m@x": "lead-2", "a:d1": "lead-2"}, event(10), {}) == {"e:m@x": "lead-1"}
    assert resumed.link({"a:d1": "lead-1"}, event(10), {"e:m@x": "lead-1"}) == {}
    assert resumed.linked_at == linked_at


def test_shards_that_begin_together_share_a_life(connect: Callable[[], IdentityStore]) -> None:
    """
    Each of them once, however often it starts on its folder; whoever comes with a new folder begins the next one.
    """
    store = connect()
    assert isinstance(store, RedisIdentity | SimulatedIdentity)
    joined = [
        store.life("shop", member, token, 2) for member, token in (("0", "a"), ("1", "b"), ("0", "a"), ("1", "b"))
    ]
    assert joined == [1, 1, 1, 1]
    assert [store.life("shop", "1", "c", 2), store.life("shop", "0", "d", 2)] == [2, 2]
    assert [store.life("shop", "0", "e", 2), store.life("shop", "0", "f", 2)] == [3, 4]
    assert store.life("another", "0", "a", 2) == 1


def test_two_processes_do_not_link_past_each_other(connect: Callable[[], IdentityStore]) -> None:
    """
    Both have seen that nobody has the address; the second is told who has it by now, and none of its links is made.
    """
    first, second = connect(), connect()
    assert first.link({"e:m@x": "lead-1"}, event(1, "p0"), {}) == {}
    assert second.link({"e:m@x": "lead-2", "a:d2": "lead-2"}, event(1, "p1"), {}) == {"e:m@x": "lead-1"}
    assert "a:d2" not in second.look_up([Event("page_viewed", DAY_MS, "e", "web", "d2", "d2", partition="p2")])


def test_what_another_process_erases_is_not_linked_by_who_has_not_heard_of_it(
    connect: Callable[[], IdentityStore],
) -> None:
    """
    It is told up to when it was erased, and may link what happened after that.
    """
    one, other = connect(), connect()
    login = event(1, user_id="mara")
    known = one.look_up([login])
    assert other.erase(["u:mara"], {}, "", event(9, "control/0")) == []
    told = one.link({"u:mara": "lead-1", "a:d1": "lead-1"}, login, known)
    assert told == {erased_key("u:mara"): str(DAY_MS), ERASED: str(DAY_MS)}
    assert one.look_up([login]) == told
    assert one.link({"u:mara": "lead-2", "a:d1": "lead-2"}, login, told) == {}


def test_what_others_link_is_known_from_the_next_batch_on(connect: Callable[[], IdentityStore]) -> None:
    """
    Also of a device that a process has asked for before, and found with nobody or with somebody else.
    """
    first, second = connect(), connect()
    assert first.look_up([event(1)]) == {}
    second.link({"a:d1": "lead-1"}, event(1, "p1"), {})
    assert first.look_up([event(2)]) == {"a:d1": "lead-1"}
    second.link({"a:d1": "lead-2"}, event(2, "p1"), {"a:d1": "lead-1"})
    assert first.look_up([event(3)]) == {"a:d1": "lead-2"}
    second.link({"m:lead-2": "lead-3"}, event(3, "p1"), {})
    assert first.look_up([event(4)]) == {"a:d1": "lead-3"}


def test_more_links_than_are_told_of_are_known(connect: Callable[[], IdentityStore]) -> None:
    """
    Who has not asked for long, while others have linked a lot, knows it all.
    """
    first, second = connect(), connect()
    assert first.look_up([event(1)]) == {}
    assert second.link({"a:d1": "lead-0"}, event(0, "p1"), {}) == {}
    known = dict[str, str]()
    for position in range(1, 4_100):
        links = {"a:d2": f"lead-{position}"}
        assert second.link(links, event(position, "p1"), known) == {}
        known = links
    assert first.look_up([event(2)]) == {"a:d1": "lead-0"}


def test_a_later_link_of_its_own_partition_is_hidden_from_who_knows_it(connect: Callable[[], IdentityStore]) -> None:
    """
    Of a process that reads a part of the input again.
    """
    store = connect()
    store.link({"a:d1": "lead-1"}, event(1, "p1"), {})
    store.link({"a:d1": "lead-2"}, event(10), {"a:d1": "lead-1"})
    assert store.look_up([event(11)]) == {"a:d1": "lead-2"}
    assert store.look_up([event(10)]) == {"a:d1": "lead-1"}
    assert store.look_up([event(5, "p2")]) == {"a:d1": "lead-2"}


def test_the_oldest_versions_go(connect: Callable[[], IdentityStore]) -> None:
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
    told: Told, rules: RedisRules, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A hash lives for the time that is set, from the last link or from when one of its names was asked for a tenth of
    that time later, also by a process that had it in mind before.
    """
    wall, steady, span_s = int(time.time()), time.monotonic(), DAY_MS / 1000 / RENEWALS

    def lies_back(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: wall + seconds)
        monkeypatch.setattr(time, "monotonic", lambda: steady + seconds)

    lies_back(0)
    client, store = redis.Redis.from_url(redis_server.url), told.connect(rules)
    store.link({"a:d1": "lead-1", "r:lead-1": "x"}, event(1), {})
    keys = [
        hash_of(rules.prefix, "a:d1"),
        hash_of(rules.prefix, "r:lead-1"),
        f"{rules.prefix}#{place_of(packed('lead-1'))}",
    ]
    assert all(DAY_MS - 10_000 < client.pttl(key) <= DAY_MS for key in keys)
    for key in keys:
        client.pexpire(key, 5_000)
    lies_back(span_s)
    store.look_up([event(2)])
    assert all(client.pttl(key) <= 5_000 for key in keys)
    lies_back(span_s + 1)
    store.look_up([event(3)])
    assert all(client.pttl(key) > DAY_MS - 10_000 for key in keys)
    told.observed.clear()
    told.connect(rules).look_up([event(4)])
    assert "renew" not in [command for command, _ in told.observed]
    client.close()


def test_nobody_is_found_who_has_not_been_asked_for_in_time(
    told: Told, rules: RedisRules, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Though others keep the hash alive; and sooner or later what links them takes the dead out of it.
    """
    store, now = told.connect(rules), time.time()
    store.link({"a:d1": "lead-1"}, event(1), {})
    ours = hash_of(rules.prefix, "a:d1")
    other = next(name for name in (f"a:d{n}" for n in range(2, 10_000_000)) if hash_of(rules.prefix, name) == ours)
    monkeypatch.setattr(time, "time", lambda: now + DAY_MS / 1000 - 2)
    assert store.look_up([event(2)]) == {"a:d1": "lead-1"}
    monkeypatch.setattr(time, "time", lambda: now + 2 * DAY_MS / 1000)
    assert told.connect(rules).look_up([event(3)]) == {}
    assert store.link({"a:d1": "lead-2"}, event(4, "p1"), {}) == {}
    monkeypatch.setattr(time, "time", lambda: now + 4 * DAY_MS / 1000)
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.hlen(ours) == 1
        assert store.link({other: "lead-3"}, event(5), {}) == {}
        assert store.link({other: "lead-4"}, event(6), {other: "lead-3"}) == {}
        assert client.hlen(ours) == 1


def test_identifiers_stay_packed(told: Told, rules: RedisRules, redis_server: RedisServer) -> None:
    """
    However much is kept of their leads: that lies in hashes of its own.
    """
    store, names = told.connect(rules), [f"a:d{n}" for n in range(100)]
    for position, name in enumerate(names):
        assert store.link({name: f"lead-{'1b' * 10}", f"r:lead-{position}": "x" * 100}, event(position), {}) == {}
    with redis.Redis.from_url(redis_server.url) as client:
        assert {client.object("encoding", hash_of(rules.prefix, name)) for name in names} == {b"listpack"}
    assert (
        {digest(f"r:lead-{n}")[0] // 128 for n in range(100)} == {digest(f"q:{n}")[0] // 128 for n in range(100)} == {1}
    )
    assert {digest(name)[0] // 128 for name in names} == {0}


@given(value=st.text() | st.from_regex(r"lead-[0-9a-fA-F ]{18,21}", fullmatch=True))
def test_what_names_stand_for_comes_back_as_it_was(value: str) -> None:
    """
    Whatever it is, though most are packed.
    """
    assert unpacked(packed(value)) == value


def test_leads_are_packed() -> None:
    """
    To less than half.
    """
    assert len(packed("lead-1b16b11b718a5db87162")) == 11
