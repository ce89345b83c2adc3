"""Benchmarks that nobody runs stop working; these are the real ones, in small."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from redis import Redis

from benchmarks import bench_decisions, bench_decode, bench_expressions, cores
from benchmarks.bench_decode import MAPPING, TRAFFIC
from benchmarks.bench_identity import MIXES, RENEWED, check, link_all
from benchmarks.bench_latency import Heard, Plan, Traffic, reckoned
from benchmarks.bench_output import Comparison, Output, compared
from benchmarks.bench_shards import SHARE
from benchmarks.brokers import Lent
from benchmarks.cores import NoSharesError, shares
from benchmarks.crowd import Crowd
from benchmarks.deployed import Checked
from benchmarks.measure import ROOT, missing_shared
from benchmarks.plot import draw
from benchmarks.run import Findings
from config.settings import Settings
from connectors.formats.others import WAYS
from tests.services.kafka import KafkaServer
from tests.services.redis import RedisServer

# What a benchmark leaves on servers of others, all of `bench.`, it takes away at its end: one at a time.
pytestmark = pytest.mark.xdist_group("benchmarks")


def served(kafka: KafkaServer, redis_server: RedisServer) -> dict[str, str]:
    """Name the servers of the tests as the benchmarks take them."""
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "REDIS_URL": redis_server.url}


def benchmarks(folder: Path, *options: str, **named: str) -> Findings:
    """Run the benchmarks as `make bench` does, with a cache and results of their own."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.run",
        "--record",
        "--results",
        folder / "results",
        *options,
    ]
    environment = os.environ | {"BENCH_FOLDER": str(folder), "PYTHONPATH": str(ROOT)} | named
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    recorded = next((folder / "results").glob("*.json"))
    assert recorded.with_suffix(".md").read_text(encoding="utf-8").startswith("# Measured on ")
    return msgspec.json.decode(recorded.read_bytes(), type=Findings)


def test_every_variant_finds_what_the_bare_loop_finds(tmp_path: Path) -> None:
    """
    On the shared generator's events all of our variants agree with the bare loop in every session and cart.
    """
    if gone := missing_shared():
        pytest.skip(gone)
    found = benchmarks(tmp_path, "--only", "throughput", "--events", "4000", "--rounds", "1").throughput
    assert found is not None
    same = {(c.is_equal, c.sessions, c.carts, c.digest) for c in found.comparisons.values()}
    assert len(same) == 1, [c.told() for c in found.comparisons.values()]
    [(is_equal, sessions, carts, _)] = same
    assert is_equal
    assert sessions > 400
    assert carts > 40
    assert [row.name for row in found.rows[:2]] == ["bare loop, orjson", "bare loop, msgspec"]
    assert len(found.rows) == 6
    assert all(row.cpu_us[0] > 0 and 0 < row.rss_mb[0] < 1_000 for row in found.rows)
    assert 100 < found.resting.total_bytes < 10_000


def test_two_members_of_a_cluster_find_what_one_process_finds(tmp_path: Path) -> None:
    """
    One process, two members and two processes apart each leave their figures; members publish what one process does.
    """
    if gone := missing_shared():
        pytest.skip(gone)
    found = benchmarks(tmp_path, "--only", "cluster", "--events", "4000", "--rounds", "1").cluster
    assert found is not None
    assert found.is_equal
    assert [len(row.cpu_us) for row in found.rows] == [1, 1, 1]
    assert all(row.cpu_us[0] > 0 and row.events_a_second[0] > 0 and row.rss_mb[0] > 0 for row in found.rows)


def test_state_is_measured_while_it_changes_and_after_it_is_gone(tmp_path: Path) -> None:
    """
    Profiles are loaded, changed in live epochs, resumed from, and expire; each leaves its figures.
    """
    small = ("--profiles", "300", "--live-epochs", "20", "--live-epoch-ms", "200", "--group-epochs", "20")
    found = benchmarks(tmp_path, "--only", "state", *small)
    assert found.throughput is None
    assert found.state is not None
    assert found.filled is not None
    assert found.resumed is not None
    assert found.state.profiles >= 300
    assert all(epoch.stood_still_ms > 0 and epoch.snapshot_ms > 0 for epoch in found.state.epochs)
    assert 0 < found.state.restart_s < 60
    assert 0 < found.state.live_bytes < found.state.folder_bytes
    assert (found.filled.profiles, len(found.filled.snapshot_ms)) == (300, 20)
    assert (found.resumed.expired, found.resumed.active) == (294, 6)


def test_kafka_to_kafka_finds_what_the_bare_loop_and_a_file_run_find(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    """
    Through Kafka and Redis come the bare loop's sessions and carts, with the ids of a file run; nothing is left behind.
    """
    if gone := missing_shared():
        pytest.skip(gone)
    small = ("--only", "kafka", "--events", "4000", "--rounds", "1")
    found = benchmarks(tmp_path, *small, **served(kafka, redis_server)).kafka
    assert found is not None
    assert found.is_equal
    assert found.comparison.sessions > 400
    assert found.same_ids["triggers"] > 20
    assert len(found.rows) == 5
    assert all(row.cpu_us[0] > 0 and row.events_a_second[0] > 0 for row in found.rows)
    assert 0 <= found.idle_cpu < 1
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    assert [name for name in admin.list_topics(timeout=10).topics if name.startswith("bench.")] == []


def test_shards_find_what_a_file_run_finds_and_tell_what_they_cost(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    """
    One process and two shards publish the sessions, carts and timers' triggers of a file run, each trigger once; only
    of the shards something crosses. Where control groups can be made, so it is with half a core for each process.
    """
    if gone := missing_shared():
        pytest.skip(gone)
    small = ("--only", "shards", "--events", "4000", "--rounds", "1")
    found = benchmarks(tmp_path, *small, **served(kafka, redis_server)).shards
    assert found is not None
    assert found.is_equal
    one, two = found.rows
    assert one.checked.comparison.sessions == two.checked.comparison.sessions > 400
    assert two.checked.on_timers > 20
    assert one.crossed == {}
    assert two.crossed["events"] > two.crossed["states"] > 10
    assert 0.1 < found.known_share < 0.3
    assert all(row.costs[0].ours_s > 0 and row.costs[0].redis_s > 0 and row.costs[0].busy > 0 for row in found.rows)
    try:
        with shares(1, SHARE):
            assert [bool(row.crossed) for row in found.halved] == [False, True]
    except NoSharesError:
        assert found.halved == []


def test_a_process_has_no_more_than_its_share_of_a_core() -> None:
    """What goes before a command leaves it as it is, and holds it back."""
    busy = "import time; end = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    try:
        with shares(1, 0.2) as [before]:
            told = subprocess.run([*before, sys.executable, "-c", busy], capture_output=True, text=True, check=True)
    except NoSharesError as error:
        pytest.skip(str(error))
    assert float(told.stdout) < 0.35


def test_without_control_groups_there_are_no_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be made is told, with the reason."""
    monkeypatch.setattr(cores, "ROOT", tmp_path)
    with pytest.raises(NoSharesError, match="No such file"), shares(1, SHARE):
        pass


def test_growth_is_measured_with_the_same_events_and_drawn(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    """
    The same live events meet more profiles, and the same topic has more partitions; the page shows a picture of it.
    """
    if gone := missing_shared():
        pytest.skip(gone)
    small = ("--only", "growth", "--sizes", "200", "2000", "--partitions", "1", "3", "--events", "2000")
    found = benchmarks(tmp_path, *small, "--rounds", "1", **served(kafka, redis_server)).growth
    assert found is not None
    assert found.is_equal
    few, many = found.sizes
    assert few.live[0].events == many.live[0].events > 9_000
    assert 150 < few.profiles < 250
    assert 1_900 < many.profiles < 2_100
    assert [one.partitions for one in found.parted] == [1, 3]
    assert all(one.costs[0].events_a_second > 0 for one in found.parted)
    picture = next((tmp_path / "results").glob("*.svg"))
    assert f"({picture.name})" in picture.with_suffix(".md").read_text(encoding="utf-8")
    again = tmp_path / "again.svg"
    draw(found, again)
    assert again.read_bytes() == picture.read_bytes()
    assert len(picture.read_bytes()) < 100_000


def test_what_crosses_or_comes_twice_is_no_small_matter() -> None:
    """
    A trigger of a timer that only one side has, and any trigger that is there twice, make an output wrong; what events
    cause in another order does not.
    """
    same = compared(Output([], {}), Output([], {}), set())
    right = Checked(comparison=same, on_timers=3, on_timers_other=0, triggers=9, twice=0, others=2)
    assert right.is_right
    assert not msgspec.structs.replace(right, on_timers_other=1).is_right
    assert not msgspec.structs.replace(right, twice=1).is_right
    other = compared(Output([("ann", 0, 9, 3)], {}), Output([], {}), set())
    assert not msgspec.structs.replace(right, comparison=other).is_right


def test_latency_is_measured_of_every_probe_and_every_timer(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    """
    At a small load each probe gets its two triggers and each cart its one, and each is timed.
    """
    if gone := missing_shared():
        pytest.skip(gone)
    small = ("--only", "latency", "--rate", "400", "--seconds", "7")
    found = benchmarks(tmp_path, *small, **served(kafka, redis_server)).latency
    assert found is not None
    assert found.faults == []
    assert found.on_event_count >= 300
    assert found.on_timer_count >= 20
    assert 0 < found.on_event[0] <= found.on_event[2] <= found.on_event[3]
    assert 0 < found.on_timer[0] <= found.on_timer[3]


def test_each_format_is_timed(tmp_path: Path) -> None:
    """
    Set and found out, beside the bare loop; each makes the events that its records tell of, and none is left out.
    """
    found = benchmarks(tmp_path, "--only", "decode", "--records", "60", "--rounds", "2").decode
    assert found is not None
    assert found.faults == []
    assert {cost.format for cost in found.costs} == {*WAYS, "snowplow_payload", MAPPING}
    assert {TRAFFIC, "cloudevents", "rudderstack"} <= {cost.name for cost in found.costs}
    assert all(len(cost.set_us) == len(cost.bare_us) == 2 and min(cost.set_us) > 0 for cost in found.costs)
    assert [cost.name for cost in found.costs if not cost.auto_us] == [MAPPING]


def test_a_format_that_makes_other_events_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One too few, and one that is refused.
    """
    monkeypatch.setattr(bench_decode, "FORMATS", {"rasa": ("rasa", 3), "telephony": ("rasa", 11)})
    few, refused = bench_decode.run(40, 1, lambda _: None).faults
    assert few == "rasa: 40 events where 60 were to be made"
    assert refused.startswith("telephony: refused: ")


def test_conditions_say_what_python_by_hand_says() -> None:
    """
    Of an event with all facts and of one without some: the same answers, and only there rules without a value.
    """
    found = bench_expressions.run(20, 1, lambda _: None)
    assert found.faults == []
    assert [asked.without for asked in found.asked] == [0, 3]
    assert all(asked.rules == 50 and 10 < asked.true < 40 and asked.ratio > 0 for asked in found.asked)


def test_a_condition_that_says_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The benchmark compares answers, not only times.
    """
    monkeypatch.setattr(bench_expressions, "RULES", {"profile.visits > {n}": lambda _: lambda _: True})
    found = bench_expressions.run(1, 1, lambda _: None)
    assert found.faults[0] == "with all facts: not the same by hand: profile.visits > 5"


def test_fifty_rules_decide_what_their_books_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without rules, or with others, or with none that holds nothing is decided; and a book that says otherwise is found.
    """
    found = bench_decisions.run(40, 1, lambda _: None)
    assert found.faults == []
    assert [(cost.rules, cost.triggers, cost.suppressed) for cost in found.costs] == [
        (1, 0, 0), (50, 0, 0), (50, 0, 0), (50, 0, 40),
    ]  # fmt: skip
    monkeypatch.setattr(bench_decisions, "CONDITIONS", ("event.product.views >= {n}",) * 10)
    assert bench_decisions.run(1, 1, lambda _: None).faults[0].startswith("none holds: ")


def test_identities_are_linked_weighed_and_found_again(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    """
    Everybody who was linked is found by a new connection; each mix is timed, and only in the last are names renewed.
    """
    small = ("--only", "identity", "--identifiers", "6000", "--rounds", "1")
    found = benchmarks(tmp_path, *small, **served(kafka, redis_server)).identity
    assert found is not None
    assert found.is_equal
    assert found.checked == found.linked.identifiers > 5_500
    assert found.linked.links > found.linked.people > 1_900
    assert 0 < found.linked.link_us < found.linked.step_us
    assert found.linked.bytes_each > found.bare.bytes_each > 50
    assert [mix.name for mix in found.mixes] == [*MIXES, RENEWED]
    assert all(0 < mix.store_us[0] < mix.step_us[0] for mix in found.mixes)
    *others, renewed = [mix.renew_us[0] for mix in found.mixes]
    assert renewed > 10 * max(others)
    with Redis.from_url(redis_server.url) as redis:
        assert list(redis.scan_iter(match="{bench.*", count=10_000)) == []


def test_somebody_who_was_never_linked_is_a_fault(redis_server: RedisServer) -> None:
    """
    Of one person more than were linked, one is not found.
    """
    servers, crowd, wrong = Lent("", redis_server.url), Crowd(50), list[str]()
    with Redis.from_url(redis_server.url) as redis:
        linked, faults = link_all(servers, redis, crowd)
        assert (check(servers, crowd, faults), faults) == (linked.identifiers, [])
        crowd.people += 1
        assert check(servers, crowd, wrong) > linked.identifiers
        assert wrong == ["somebody, 50, is not who they are"]
        redis.unlink(*redis.scan_iter(match="{bench.identity}*"))


def test_a_trigger_that_is_missing_or_told_twice_is_a_fault() -> None:
    """
    What a consumer got is held against what was sent.
    """
    plan = Plan("test", Settings(), 10, 1)
    traffic = Traffic(plan, 0, [])
    traffic.carts = 1
    traffic.sent_ns.append(0)
    traffic.probes[0] = 0
    due = datetime.fromtimestamp(0, UTC)
    welcome = Heard("t1", "returning_visitor", "visit", "l0", due, 1)
    offer = Heard("t2", "offer_prompt", "sku", "l0", due, 1)
    cart = Heard("t3", "cart_abandoned", "cart", "", due, 1)
    unknown = Heard("t4", "offer_prompt", "sku", "l1", due, 1)
    assert reckoned(plan, traffic, [welcome, offer, cart]).faults == []
    assert reckoned(plan, traffic, [welcome, offer, cart, offer, unknown]).faults == [
        "t2 was told 2 times",
        "offer_prompt t4: its cause l1 is no event of the load",
    ]
    assert reckoned(plan, traffic, [welcome]).faults == [
        "offer_prompt of event 0 was not told",
        "0 carts were told, of 1",
    ]


def test_a_difference_is_told_with_examples() -> None:
    """
    What only one side has, and values that differ where they are comparable, are counted and shown.
    """
    ours = Output([("ann", 0, 9, 3), ("bob", 5, 5, 1)], {("ann", 4): 10.0, ("bob", 5): 1.0})
    theirs = Output([("ann", 0, 9, 3), ("bob", 5, 6, 2)], {("ann", 4): 12.0, ("cid", 7): 1.0})
    assert compared(ours, theirs, {("ann", 4), ("bob", 5)}) == Comparison(
        sessions=2,
        carts=2,
        sessions_ours_only=1,
        sessions_theirs_only=1,
        carts_ours_only=1,
        carts_theirs_only=1,
        values_compared=1,
        values_different=1,
        digest=ours.digest,
        examples=[
            "session ours ('bob', 5, 5, 1)",
            "session theirs ('bob', 5, 6, 2)",
            "cart ours ('bob', 5)",
            "cart theirs ('cid', 7)",
            "value ('ann', 4, 10.0, 12.0)",
        ],
    )


def test_a_session_published_twice_is_a_difference() -> None:
    """
    Sets would hide a session that is there twice under two ids.
    """
    once = Output([("ann", 0, 9, 3)], {})
    twice = Output([("ann", 0, 9, 3), ("ann", 0, 9, 3)], {})
    assert compared(once, once, set()).is_equal
    assert compared(twice, once, set()).examples == ["1 sessions of ours are there twice"]
