"""
What is seen of a run from outside: metrics that agree with what it published, and answers on its health.
"""

import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.traffic import TrafficPlan, generate
from config.durations import SECOND
from config.identity import IdentitySettings
from config.settings import DuplicatesSettings, Settings, SourceSettings
from connectors.batches import RawBatch
from connectors.cloudevents import MessageEncoder
from operators.cart_record import CartRecord
from operators.event import FOREVER
from operators.identity_record import Rule
from operators.trigger import cause
from pipeline.health import STALLED_S, STUCK_S, ServeError, serve
from pipeline.key_groups import KeyGroup
from pipeline.messages import Resolved
from pipeline.meter import Meter
from pipeline.meters import METERS
from pipeline.run import Outcome
from pipeline.steps import LaneStep, publish
from pipeline.tally import StepTally, Tally, source_of
from pipeline.telemetry import Telemetry
from pipeline.terminal import summarize
from tests.pipeline.decisions import trigger
from tests.pipeline.helpers import (
    BEGIN_AT,
    ROOT,
    SMALL,
    Act,
    Action,
    Chain,
    Crash,
    Epoch,
    Player,
    Read,
    Told,
    acts,
    as_arrived,
    lines_of,
    scripts,
    split,
)

DAY: Final = TrafficPlan(events=3_000, visitors=150, seed=7, malformed_share=0.02)
LATENESS_MS: Final = 5 * SECOND
LIVE: Final = Settings(key_groups=3, source=SourceSettings(lateness_ms=LATENESS_MS))

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Fake:
    """A source, sink and store in one, as a connector would show itself."""

    is_away: bool = False
    errors: int = 0
    queued: int = 0
    resets: int = 0
    partitions: dict[str, int] = field(default_factory=dict)

    def lags(self) -> Mapping[str, int]:
        return self.partitions

    def lag_seconds(self) -> Mapping[str, float]:
        return {source_of(partition): 1.5 for partition in self.partitions}


def scraped(telemetry: Telemetry) -> Samples:
    """Everything that a scrape over HTTP gives, read by Prometheus' own parser."""
    with serve(telemetry, "127.0.0.1", 0) as port:
        _, text = asked(port, "/metrics")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def counts(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    """The values of one metric that are not 0, by the values of its labels in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(labels)): value
        for (found, labels), value in samples.items()
        if found == f"nextmove_{name}" and value
    }


def play(chain: Chain, lines: Sequence[bytes], *, read_at: int | None = None) -> list[Told]:
    """Let two partitions of a topic, each with every other batch of the lines, go through a chain to their end."""
    told: list[Told] = []
    at = dict.fromkeys(("shop/0", "shop/1"), 0)
    for number in range(0, len(lines), 100):
        name = f"shop/{number // 100 % 2}"
        raws = list(lines[number : number + 100])
        told += chain.take([RawBatch(name, raws, at[name], read_at=read_at, is_marked=True)])
        at[name] += len(raws)
    for name, position in at.items():
        told += chain.take([RawBatch(name, [], position, complete=FOREVER, is_marked=True)])
    return told


def event(number: int, at: int) -> bytes:
    told = {"kind": "page_viewed", "event_id": f"e{number}", "occurred_at": at, "anonymous_id": "a", "channel": "web"}
    return json.dumps(told).encode()


# --- metrics and what was published --------------------------------------------------------------------------


def test_a_scrape_agrees_with_what_was_published() -> None:
    """
    A day with duplicates, late events, broken lines and logins: every count is that of the records published.
    """
    lines = [line.rstrip() for line in generate(DAY)]
    chain = Chain(LIVE, ["shop/0", "shop/1"])
    told = play(chain, lines)

    samples = scraped(Telemetry(chain.tally))

    def data(stream: str) -> list[dict[str, Any]]:
        return [record["data"] for found, record in told if found == stream]

    letters = data("dead_letters")
    identity = Counter(record["what"] for record in data("identity"))
    dropped = counts(samples, "events_dropped_total")
    assert counts(samples, "events_ingested_total") == {("shop",): 3_000}
    assert dropped.pop(("duplicate",)) == 30 == counts(samples, "events_duplicate_total")["shop",]
    assert dropped == Counter((letter["reason"],) for letter in letters)
    assert counts(samples, "dlq_records_total") == Counter(
        (letter["reason"], "shop", letter["stage"]) for letter in letters
    )
    triggers = [one for one in data("triggers") if "context" in one]
    assert counts(samples, "triggers_total") == Counter((t["action"], t["channel"], t["family"]) for t in triggers)
    assert counts(samples, "triggers_retracted_total") == Counter(
        (one["family"], one["reason"]) for one in data("triggers") if "reason" in one
    )
    assert counts(samples, "rule_matches_total") == Counter(
        (decision["rule"]["id"],) for decision in (*triggers, *data("suppressed"))
    )
    assert counts(samples, "triggers_suppressed_total") == Counter(
        (decision["family"], decision["reason"]) for decision in data("suppressed")
    )
    assert counts(samples, "identity_records_total") == {(what,): count for what, count in identity.items()}
    assert counts(samples, "identity_merges_total") == Counter(
        (record["identifier_type"],)
        for record in data("identity")
        if record["what"] == "linked" and record["identifier_type"] in ("anonymous_id", "phone")
    )
    assert counts(samples, "cart_changes_total") == Counter(
        (cart["state"],) for cart in data("carts") if cart["intent"] != "browse"
    )
    sessions = Counter(s["revision"] > 1 or s["state"] == "merged" for s in data("sessions"))
    assert counts(samples, "sessions_total") == {(): sessions[False]}
    assert counts(samples, "session_revisions_total") == ({(): sessions[True]} if sessions[True] else {})
    assert counts(samples, "pending_timers") == {}, "after the end of time"


def test_what_no_topic_takes_is_counted_by_its_stream() -> None:
    """
    It is a dead letter, though no record that was read.
    """
    tally = Tally()
    told = dict.fromkeys(CartRecord.__struct_fields__, "") | {"resume_url": "x" * 1_000_000}
    large = CartRecord(**told)  # type: ignore[arg-type]  # but for its size nothing of it counts here
    step = publish(MessageEncoder("/test", lambda: 0, {}), tally)
    for _ in range(2):
        step([("resolve", Resolved([], [large]))])
    assert counts(scraped(Telemetry(tally)), "dlq_records_total") == {("too_large", "carts", "publish"): 2}
    assert tally.imbalance == 0


def test_what_is_counted_later_is_there_from_the_start() -> None:
    """
    Prometheus sees no increase in what was not there before: each label from a closed set is there at 0.
    """
    tally = Tally()
    tally.source("shop/0")
    samples = scraped(Telemetry(tally))

    families = Counter(name for name, _ in samples)
    assert families["nextmove_triggers_suppressed_total"] == 9 * 13
    assert families["nextmove_triggers_retracted_total"] == 9 * 6
    assert families["nextmove_dlq_records_total"] == 9, "of the one source that has been heard of"
    assert families["nextmove_events_dropped_total"] == 9 + 3
    assert families["nextmove_identity_conflicts_total"] == len(get_args(Rule)) - 1
    assert families["nextmove_trigger_latency_seconds_count"] == 9
    assert not any(name.endswith("_created") for name in families)


def test_an_event_is_late_when_the_watermark_has_reached_it() -> None:
    """
    With 5 s of lateness: 5,000 ms behind the latest event of its partition is in time, 5,001 ms is late; what another
    partition has seen makes no difference, and a duplicate is not late as well.
    """
    chain = Chain(LIVE, ["shop/0", "shop/1"])
    lines = [event(1, BEGIN_AT), event(2, BEGIN_AT - 5_000), event(3, BEGIN_AT - 5_001), event(3, BEGIN_AT - 5_001)]
    chain.take([RawBatch("shop/0", lines), RawBatch("shop/1", [event(4, BEGIN_AT - 5_001)])])

    samples = scraped(Telemetry(chain.tally))

    assert counts(samples, "events_late_total") == {("shop",): 1}
    assert counts(samples, "events_duplicate_total") == {("shop",): 1}


def test_what_names_nobody_is_counted_and_numbers_are_read_by_their_source() -> None:
    """
    Identifiers left out are counted by type, from the start at 0. The same digits are one telephone in one source and
    another one in a source of another country, where they are who calls from there.
    """
    assert scraped(Telemetry(Tally()))["nextmove_identifiers_blocked_total", frozenset({("type", "phone")})] == 0
    identity = IdentitySettings(phone_region="DE", phone_regions={"wien": "AT"}, blocked=("kiosk",))
    chain = Chain(msgspec.structs.replace(LIVE, identity=identity), ["shop/0", "wien/0"])

    def identified(number: int, **ids: str) -> bytes:
        told = {"kind": "identified", "event_id": f"i{number}", "occurred_at": BEGIN_AT + number, "channel": "web"}
        return json.dumps(told | ids).encode()

    shop = [
        identified(1, anonymous_id="a", phone="01512 3456789"),
        identified(2, anonymous_id="b", phone="+49 1512 3456789"),
        identified(3, anonymous_id="c", phone="+43 1512 3456789", user_id="null"),
        identified(4, anonymous_id="KIOSK", email="none"),
    ]
    wien = [identified(5, anonymous_id="d", phone="01512 3456789")]
    told = chain.take([RawBatch("shop/0", shop), RawBatch("wien/0", wien)])

    lead_of = {
        record["data"]["identifier"]: record["data"]["profile_id"]
        for stream, record in told
        if stream == "identity" and record["data"]["identifier_type"] == "anonymous_id"
    }
    assert lead_of["a"] == lead_of["b"] != lead_of["c"] == lead_of["d"]
    blocked = counts(scraped(Telemetry(chain.tally)), "identifiers_blocked_total")
    assert blocked == {("anonymous_id",): 1, ("user_id",): 1, ("email",): 1}
    assert chain.tally.rejected == {"no_identity": 1}


def test_the_watermark_of_a_topic_is_that_of_its_slowest_partition() -> None:
    """
    Of those that go on; a partition that says nothing holds time, and then there is no watermark to show.
    """
    chain = Chain(LIVE, ["shop/0", "shop/1"])
    telemetry = Telemetry(chain.tally, source=Fake(partitions={"shop/0": 0, "shop/1": 7}))

    def shown() -> tuple[float | None, ...]:
        samples = scraped(telemetry)
        names = ("watermark_timestamp_seconds", "last_event_timestamp_seconds")
        return tuple(counts(samples, name).get(("shop",)) for name in names)

    first, second = BEGIN_AT + 60_000, BEGIN_AT + 90_000
    assert shown() == (None, None)
    chain.take([RawBatch("shop/0", [event(1, first)])])
    assert shown() == (None, first / 1000)
    chain.take([RawBatch("shop/1", [event(2, second)])])
    assert shown() == ((first - LATENESS_MS - 1) / 1000, second / 1000)
    chain.take([RawBatch("shop/0", [], complete=FOREVER, is_marked=True)])
    assert shown() == ((second - LATENESS_MS - 1) / 1000, second / 1000)
    chain.take([RawBatch("shop/1", [], complete=FOREVER, is_marked=True)])
    assert shown() == (second / 1000, second / 1000)


def test_the_age_of_events_is_that_of_live_ones() -> None:
    """
    Two events of 2 s and 4 s ago are two with 6 s together; those of a file have no age.
    """
    chain = Chain(LIVE, ["shop/0", "old.jsonl"])
    live = [event(1, BEGIN_AT - 4_000), event(2, BEGIN_AT - 2_000)]
    chain.take([RawBatch("shop/0", live, read_at=BEGIN_AT), RawBatch("old.jsonl", [event(3, BEGIN_AT)])])

    samples = scraped(Telemetry(chain.tally))

    assert counts(samples, "event_age_seconds_count") == {("shop",): 2}
    assert counts(samples, "event_age_seconds_sum") == {("shop",): 6}


@given(done=acts(), script=scripts(with_crashes=True), partitions=st.integers(1, 2))
def test_profiles_and_timers_are_those_held(done: list[Act], script: list[Action], partitions: int) -> None:
    """
    Whatever came, expired, was handed over, or was lost in a crash and read again: once every group has heard a mark.
    """
    with TemporaryDirectory() as folder:
        player = Player(SMALL, split(as_arrived(lines_of(done)), partitions), Path(folder))
        names = list(player.at)
        for action in [*script, Epoch(), Crash(), Read(tuple((p, 1, True) for p in range(partitions)))]:
            if isinstance(action, Read):
                player.read([(names[p % len(names)], n, m) for p, n, m in action.batches])
            elif isinstance(action, Epoch):
                player.checkpoint()
            else:
                player.crash()
                player.read([(name, 0, True) for name in names])
            tally = player.chain.tally
            assert (tally.profiles, tally.awake) == held(player.chain)


def held(chain: Chain) -> tuple[int, int]:
    """How many profiles the groups of a chain hold, and how many of these have a timer."""
    groups: list[KeyGroup] = [
        group
        for name in ("visitors", "profiles")
        for lane in chain.steps[name].values()
        for group in lane.groups.values()
    ]
    profiles = timers = 0
    for group in groups:
        gone = {key for key, state in group.states.hot.items() if state is None}
        profiles += len((group.states.hot.keys() | group.states.warm.keys() | group.states.rest.keys()) - gone)
        timers += len(group.states.due)
    return profiles, timers


def test_the_age_of_the_checkpoint_is_told_where_there_is_one(tmp_path: Path) -> None:
    """
    Seconds since the last; nothing before the first, and nothing where the state is not kept.
    """
    kept, lost = Chain(LIVE, ["shop/0"], tmp_path), Chain(LIVE, ["shop/0"])
    for chain in (kept, lost):
        chain.take([RawBatch("shop/0", [event(1, BEGIN_AT)])])
    assert (kept.tally.snapshot_at, lost.tally.snapshot_at) == (None, None)

    began = time.monotonic()
    for chain in (kept, lost):
        chain.snapshot()

    assert lost.tally.snapshot_at is None
    assert kept.tally.snapshot_at is not None
    assert began <= kept.tally.snapshot_at <= time.monotonic()
    telemetry = Telemetry(kept.tally, clock=lambda: 12.5)
    kept.tally.snapshot_at = 10.0
    assert counts(scraped(telemetry), "snapshot_age_seconds") == {(): 2.5}


def test_the_time_of_each_step_is_taken_by_the_batch() -> None:
    """
    Three batches in two activations: decode is called for each batch, the others for each activation.
    """
    chain = Chain(LIVE, ["shop/0"])
    timing = StepTally()
    chain.take([RawBatch("shop/0", [event(1, BEGIN_AT)]), RawBatch("shop/0", [event(2, BEGIN_AT)], 1)])
    chain.take([RawBatch("shop/0", [event(3, BEGIN_AT)], 2)])
    LaneStep(lambda _number, _resume: pytest.fail("no group is asked for"), None, timing).on_batch([[], []])

    calls = {name: step.calls for name, step in chain.tally.steps.items()}

    assert (calls["decode"], calls["resolve"], calls["publish"]) == (3, 2, 2)
    assert timing.calls == 1
    seconds = counts(scraped(Telemetry(chain.tally)), "step_duration_seconds_sum")
    assert {("decode",), ("resolve",), ("publish",)} <= seconds.keys()


def test_the_delay_of_a_timer_is_observed_when_it_fires_live() -> None:
    """
    A cart due at 12:00:00 whose trigger leaves at 12:00:31 was 31 s late, and so is what has not come after an
    event. What a file holds is not observed, nor what no timer caused.
    """
    tally = Tally()
    telemetry = Telemetry(tally)

    def publish(type_: str) -> None:
        why, told_at = cause(type_, "c1", BEGIN_AT), cause(type_, "c1", BEGIN_AT + 31_000).time
        tally.record(trigger(cause=why, not_before=why.time, emitted_at=told_at))

    publish("cart.timer")
    tally.heard_at = 0.0
    publish("cart.timer")
    publish("visit.returned")
    publish("visit.returned.timer")

    samples = scraped(telemetry)
    assert counts(samples, "timer_delay_seconds_count") == {("cart",): 1, ("visit.returned",): 1}
    assert counts(samples, "timer_delay_seconds_sum") == {("cart",): 31, ("visit.returned",): 31}


def test_dependencies_are_read_when_asked_for() -> None:
    """
    Lag by partition, errors, queue and resets are those of that instant; without a dependency there is no such metric.
    """
    one = Fake(is_away=True, errors=2, queued=5, resets=1, partitions={"shop/0": 3, "shop.eu/11": 4})
    telemetry = Telemetry(Tally(), config_hash="c0ffee", source=one, sink=Fake(errors=9), store=one)
    telemetry.trigger_delivered("cart", 0.25)
    telemetry.store_asked("mget", 0.001)

    samples = scraped(telemetry)

    assert counts(samples, "source_lag_records") == {("0", "shop"): 3, ("11", "shop.eu"): 4}
    assert counts(samples, "source_lag_seconds") == {("shop",): 1.5, ("shop.eu",): 1.5}
    assert counts(samples, "source_errors_total") == {(): 2}
    assert counts(samples, "produce_errors_total") == {(): 9}
    assert counts(samples, "redis_errors_total") == {(): 2}
    assert counts(samples, "redis_resets_total") == {(): 1}
    assert counts(samples, "dependency_up") == {("sink",): 1}
    assert counts(samples, "config_info") == {("c0ffee",): 1}
    latency = {
        key: value for key, value in counts(samples, "trigger_latency_seconds_bucket").items() if key[0] == "cart"
    }
    assert min(float(bound) for _, bound in latency) == 0.25, "an objective is the bound of a bucket"
    assert counts(samples, "redis_command_duration_seconds_sum") == {("mget",): 0.001}
    assert not [
        name for name, _ in scraped(Telemetry(Tally())) if "lag" in name or "redis_e" in name or "produce" in name
    ]


@pytest.mark.parametrize(
    ("partition", "source"),
    [("shop/0", "shop"), ("shop.eu-1_x/12", "shop.eu-1_x"), ("-", "stdin"), ("data/day.jsonl", "data/day.jsonl")],
)
def test_a_source_is_a_topic_or_a_file(partition: str, source: str) -> None:
    """
    Partitions of a topic are one source; a file is one, and so is standard input.
    """
    assert source_of(partition) == source


# --- names and meanings -------------------------------------------------------------------------------------


def faults(name: str, kind: str, labels: Sequence[str], meaning: str) -> list[str]:
    """What is wrong with a metric by Prometheus' rules for names, and by ours for labels."""
    rules = {
        "no prefix": re.fullmatch(r"nextmove(_[a-z]+)+", name) is None,
        "a counter ends in _total": (kind == "counter") != name.endswith("_total"),
        "a suffix that the format keeps for itself": name.endswith(("_sum", "_count", "_bucket", "_created")),
        "no base unit": re.search(r"_(ms|millis|milliseconds|minutes|hours|kilobytes|percent)(_|$)", name) is not None,
        "a distribution of something without a unit": kind in ("histogram", "summary")
        and not name.endswith("_seconds"),
        "an id as a label": any(re.search(r"(^|_)(id|ids|email|phone|user|profile|key)$", label) for label in labels),
        "a label that the format keeps for itself": bool({"le", "quantile", "job", "instance"} & set(labels)),
        "says nothing": not (meaning.endswith(".") and len(meaning) > 10),
    }
    return [rule for rule, is_broken in rules.items() if is_broken]


@pytest.mark.parametrize("meter", METERS, ids=lambda meter: meter.name)
def test_names_follow_the_conventions(meter: Meter) -> None:
    """
    Prefix, base unit, `_total` on counters and nowhere else, no id among the labels, and a sentence of meaning.
    """
    assert faults(*meter[:4]) == []


def test_a_name_against_the_conventions_is_found() -> None:
    """
    The check above can fail, in each of its rules.
    """
    found = faults("redis_delay_ms_count", "counter", ("user_id", "le"), "Delay")
    assert len(found) == 7
    assert faults("nextmove_delay", "histogram", (), "A delay of something.") == [
        "a distribution of something without a unit"
    ]


def test_the_registry_holds_what_the_table_names_and_no_more() -> None:
    """
    Type, meaning and labels of what a scrape gives are those of the table; beside it there is only the library's own.
    """
    chain = Chain(LIVE, ["shop/0"])
    play(chain, [line.rstrip() for line in generate(DAY)][:300], read_at=BEGIN_AT)
    one = Fake(partitions={"shop/0": 1})
    telemetry = Telemetry(chain.tally, config_hash="c", source=one, sink=one, store=one)
    chain.tally.snapshot_at, chain.tally.leads_reached = 0.0, BEGIN_AT
    chain.tally.steps["visitors"].calls = chain.tally.steps["profiles"].calls = 1
    telemetry.store_asked("mget", 0.1)
    chain.tally.exposures["a rule", "a variant"] = chain.tally.matches["a rule"] = chain.tally.faults["a rule"] = 1
    chain.tally.credits["an action"], chain.tally.book = 1, "0f"
    chain.tally.timer_fired("cart", 0.1) if chain.tally.timer_fired else None

    shown = {
        family.name: (family.type, family.documentation, {frozenset(s.labels) - {"le"} for s in family.samples})
        for family in telemetry.registry.collect()
        if not family.name.startswith(("python_", "process_"))
    }

    assert shown == {
        meter.name.removesuffix("_total"): (meter.kind, meter.meaning, {frozenset(meter.labels)}) for meter in METERS
    }


def test_the_reference_shows_the_metrics_as_they_are() -> None:
    """
    The table in docs/reference/metrics.md has a row for each metric, in their order, and no other.
    """
    lines = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8").splitlines()

    def unit(name: str) -> str:
        if name.endswith("_timestamp_seconds"):
            return "s since 1970"
        return "s" if name.endswith("_seconds") else ""

    assert [line for line in lines if line.startswith("| `nextmove_")] == [
        f"| `{m.name}` | {m.kind} | {', '.join(f'`{label}`' for label in m.labels)} | {unit(m.name)} | {m.meaning} |"
        for m in METERS
    ]


# --- health -------------------------------------------------------------------------------------------------


@pytest.fixture
def telemetry() -> Telemetry:
    """Of a run that began at 1000 s of a clock that stands there."""
    return Telemetry(Tally(), clock=lambda: 1_000.0)


def answers(telemetry: Telemetry) -> dict[str, tuple[int, str]]:
    with serve(telemetry, "127.0.0.1", 0) as port:
        return {path: asked(port, path) for path in ("/healthz", "/readyz")}


def test_a_run_is_alive_at_once_and_ready_when_its_state_is_loaded(telemetry: Telemetry) -> None:
    """
    Before that it is not to be killed, and not to be counted on.
    """
    assert answers(telemetry) == {
        "/healthz": (200, "ok\n"),
        "/readyz": (503, "starting: the state is not loaded yet\n"),
    }
    telemetry.is_ready = True
    telemetry.beat()
    assert answers(telemetry) == {"/healthz": (200, "ok\n"), "/readyz": (200, "ok\n")}


@pytest.mark.parametrize(
    ("silence", "is_away", "answer"),
    [
        (STUCK_S, False, (200, "ok\n")),
        (STUCK_S + 1, False, (503, "stuck: the flow has not moved for 61 s\n")),
        (STUCK_S + 1, True, (200, "ok\n")),
    ],
)
def test_a_flow_that_does_not_move_is_stuck(
    telemetry: Telemetry, silence: float, *, is_away: bool, answer: tuple[int, str]
) -> None:
    """
    After more than a minute; unless it waits for a dependency, which a restart would not bring back.
    """
    telemetry.sink = Fake(is_away=is_away)
    telemetry.beat_at = 1_000.0 - silence

    assert answers(telemetry)["/healthz"] == answer


@pytest.mark.parametrize(
    ("heard", "still", "code"),
    [
        (0.0, STALLED_S + 1, 503),
        (0.0, STALLED_S, 200),
        (STALLED_S, STALLED_S + 1, 503),
        (STALLED_S + 1, STALLED_S + 1, 200),
        (0.0, None, 200),
        (None, None, 200),
    ],
)
def test_a_watermark_that_stands_still_while_records_come_is_a_fault(
    telemetry: Telemetry, heard: float | None, still: float | None, code: int
) -> None:
    """
    After more than five minutes of reading live, with a record in the last five; in silence it is none.
    """
    telemetry.beat()
    telemetry.tally.heard_at = None if heard is None else 1_000 - heard
    telemetry.tally.still_since = None if still is None else 1_000 - still

    found, words = answers(telemetry)["/healthz"]

    assert found == code
    assert words.startswith("watermark stalled") == (code == 503)


def test_the_watermark_stands_still_from_the_first_record_that_does_not_move_it() -> None:
    """
    A live event that is older than the latest moves nothing, a later one ends that; what a file holds is not looked at.
    """
    chain = Chain(LIVE, ["shop/0", "old.jsonl"])
    tally = chain.tally
    chain.take([RawBatch("old.jsonl", [event(0, BEGIN_AT)])])
    assert (tally.heard_at, tally.still_since) == (None, None)

    chain.take([RawBatch("shop/0", [event(1, BEGIN_AT)], read_at=BEGIN_AT)])
    assert tally.heard_at is not None
    assert not tally.still_since
    chain.take([RawBatch("shop/0", [event(2, BEGIN_AT)], read_at=BEGIN_AT)])
    since = tally.still_since
    assert since is not None
    chain.take([RawBatch("shop/0", [event(3, BEGIN_AT - 1)], read_at=BEGIN_AT)])
    assert tally.still_since == since
    chain.take([RawBatch("shop/0", [event(4, BEGIN_AT + 1)], read_at=BEGIN_AT)])
    assert tally.still_since is None


def test_who_is_away_makes_a_run_unready(telemetry: Telemetry) -> None:
    """
    The line names all that it waits for.
    """
    telemetry.is_ready = True
    telemetry.source, telemetry.sink, telemetry.store = Fake(is_away=True), Fake(), Fake(is_away=True)

    assert answers(telemetry)["/readyz"] == (503, "waiting for the source and the store\n")


# --- the server ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/metrics/x"), ("HEAD", "/metrics"), ("POST", "/healthz")]
)
def test_nothing_else_is_answered(telemetry: Telemetry, method: str, path: str) -> None:
    """
    Only GET, and only the three paths; and no line of it on stderr.
    """
    with serve(telemetry, "127.0.0.1", 0) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (404, method != "HEAD")
        connection.close()


def test_requests_leave_no_log(telemetry: Telemetry, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Neither those that are answered nor one that hangs up half-way.
    """
    with serve(telemetry, "127.0.0.1", 0) as port:
        asked(port, "/metrics")
        asked(port, "/nothing")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(b"GET /metr")
        asked(port, "/healthz")

    assert capfd.readouterr() == ("", "")


def test_a_port_in_use_is_told_in_one_line(telemetry: Telemetry) -> None:
    """
    With the address, and what to do about it; a second run on the same machine is the usual cause.
    """
    with serve(telemetry, "127.0.0.1", 0) as port, pytest.raises(ServeError) as raised:
        serve(telemetry, "127.0.0.1", port).__enter__()
    assert str(raised.value) == f"127.0.0.1:{port}: Address already in use; name another address for the metrics"


def test_the_port_is_free_again_afterwards(telemetry: Telemetry) -> None:
    """
    A run that ends lets the next one have it at once.
    """
    with serve(telemetry, "127.0.0.1", 0) as port:
        assert asked(port, "/healthz")[0] == 200
    with serve(telemetry, "127.0.0.1", port) as again:
        assert (again, asked(again, "/healthz")[0]) == (port, 200)


# --- the summary --------------------------------------------------------------------------------------------


def test_the_summary_says_what_is_out_of_the_ordinary(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Merges, refusals, late events, revisions and what was forgotten have a row where there are any, and none otherwise.
    """
    tally = Tally()
    summarize(Outcome(tally, is_stopped=False, seconds=1.0), "out", "Done.")
    plain = capsys.readouterr().out
    assert not any(row in plain for row in ("Identities", "Late", "Forgotten"))

    tally.merges["anonymous_id"], tally.conflicts["one_user_id_per_lead"] = 1_234, 2
    tally.source("shop/0").late, tally.session_revisions = 3, 4
    tally.profiles_expired, tally.forgotten_early = 5, 6
    summarize(Outcome(tally, is_stopped=False, seconds=1.0), "out", "Done.")
    rows = dict(re.split(r" {2,}", line, maxsplit=1) for line in capsys.readouterr().out.splitlines() if "  " in line)

    assert rows["Identities"] == "1,234 visitors joined to leads; 2 identifiers refused: 2 one user id per lead"
    assert rows["Late"] == "3 events came after the watermark; 4 sessions were revised"
    assert rows["Forgotten"] == "5 profiles expired; 6 event ids early, more than duplicates.ids_max"


def test_ids_that_go_before_their_time_are_counted(tmp_path: Path) -> None:
    """
    1,001 events in two half-windows, where 1,000 ids may be kept: the older half goes at the checkpoint.
    """
    window_ms = 3_600_000
    rules = DuplicatesSettings(window_ms=window_ms, ids_max=1_000)
    chain = Chain(Settings(key_groups=3, duplicates=rules), ["shop/0"], tmp_path)
    first = BEGIN_AT - BEGIN_AT % window_ms
    older = [event(n, first + n) for n in range(600)]
    newer = [event(n, first + window_ms // 2 + n) for n in range(600, 1_001)]
    chain.take([RawBatch("shop/0", older + newer)])
    chain.snapshot()

    assert chain.tally.forgotten_early == 600
    assert counts(scraped(Telemetry(chain.tally)), "duplicate_ids_forgotten_total") == {(): 600}
