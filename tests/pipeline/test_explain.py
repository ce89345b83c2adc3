"""
`nextmove explain`: of what runs have published, why this was sent and why that was not.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from confluent_kafka import Producer

from benchmarks.traffic import TrafficPlan, generate
from config.settings import Settings
from connectors.cloudevents import Encoder, MessageEncoder
from connectors.kafka_topics import output_topics
from connectors.published import PublishedFolder
from operators.explanation import CHECKS
from operators.identity_record import IdentityRecord
from operators.trigger import Factors, cause
from pipeline.cli import main
from pipeline.explain_command import window_of
from pipeline.explaining import Explainer, Window
from tests.pipeline.decisions import AT, AT_MS, credit, retraction, suppressed, trigger
from tests.pipeline.kafka_job import WAIT_S, Job
from tests.pipeline.test_cli import nextmove
from tests.services.kafka import KafkaServer

VIEW: Final = cause("product_viewed", "kettle", AT_MS + 1, "e9")
LATER: Final = cause("cart.timer", "cart-2", AT_MS + 60_000)
DECISIONS: Final = [
    trigger(variant="story"),
    suppressed(
        "browse",
        trigger_id="t2",
        action="browse_abandoned",
        reason="outranked",
        detail="outranked by cart_abandoned (3 to 1.2)",
        priority=Factors(0.5, 1.0, 2.4, 1.0, 1.2),
        channels={"email": "consent", "onsite": ""},
    ),
    suppressed("offer", trigger_id="t3", action="offer_prompt", family="offer", cause=VIEW, reason="unsuitable"),
    suppressed("offer", trigger_id="t4", action="offer_prompt", cause=LATER, profile_id="lead-1"),
    suppressed(trigger_id="t5", profile_id="p2"),
    retraction(),
    credit(),
    IdentityRecord("linked", "lead-1", "anonymous_id", "p1", "", "", "e", AT),
]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return written(tmp_path / "out", DECISIONS)


def written(folder: Path, records: Iterable[Any]) -> Path:
    """A folder as a run leaves it."""
    folder.mkdir(exist_ok=True)
    for stream, lines in Encoder("/test", lambda: AT_MS).encode([(-1, list(records))]).items():
        with (folder / f"{stream}.jsonl").open("ab") as file:
            file.write(lines)
    return folder


def explained(
    out: Path,
    *,
    profile: str = "",
    trigger: str = "",
    since: str | None = None,
    until: str | None = None,
    limit: int = 20,
) -> dict[str, Any]:
    """What the command tells programs, without a process of its own."""
    explainer = Explainer(PublishedFolder(out), window_of(since, until), limit)
    why: dict[str, Any] = msgspec.to_builtins(
        explainer.of_profile(profile) if profile else explainer.of_trigger(trigger)
    )
    return why


def printed(cwd: Path, *options: str | Path) -> dict[str, Any]:
    result = nextmove("explain", "--json", *options, cwd=cwd)
    assert (result.returncode, result.stderr) == (0, b"")
    why: dict[str, Any] = json.loads(result.stdout)
    return why


def inside(monkeypatch: pytest.MonkeyPatch, cwd: Path, *arguments: str) -> int:
    """Run a command in this process, which is quicker; return its exit code."""
    monkeypatch.chdir(cwd)
    monkeypatch.setattr(sys, "argv", ["nextmove", *arguments])
    with pytest.raises(SystemExit) as ending:
        main()
    return int(ending.value.code or 0)


def ids(why: dict[str, Any]) -> list[str]:
    """The triggers that are told of, in their order."""
    return [one["trigger_id"] for occasion in why["occasions"] for one in occasion["candidates"]]


SHOWN: Final = """\
p1
2 candidates on 1 occasion: 1 sent, 1 outranked

2026-11-21T10:00:00.000Z  cart.timer cart-1
├── cart_abandoned: sent by email, taken back
│   ├── rule cart_email, version 1, of the rules 0f
│   ├── passed every check
│   ├── channels: email free
│   ├── priority 1 = P 1 x C 1 x V 1 x L 1
│   ├── trigger t1
│   ├── won the slot s1
│   ├── for p1 at email:1, from 2026-11-21T10:00:00.000Z until 2026-11-21T22:00:00.000Z
│   ├── variant story, assigned by d1
│   ├── taken back 2026-11-21T10:01:00.000Z: purchased, by order_completed order-1
│   └── credited with order order-1, 39.9 EUR, of 2026-11-21T10:00:00.000Z: clicked 2026-11-21T10:00:00.000Z
└── browse_abandoned: not sent, outranked
    ├── rule browse, version 1, of the rules 0f
    ├── passed expiry, cause, eligibility, applicability, suitability, cooldown, declines, value, channel,
    │   exclusion
    ├── failed slot: outranked by cart_abandoned (3 to 1.2)
    ├── not asked holdout
    ├── channels: email consent, onsite free
    ├── priority 1.2 = P 0.5 x C 1 x V 2.4 x L 1
    └── trigger t2
"""


def test_people_see_a_tree(tmp_path: Path) -> None:
    """
    Of each occasion the candidates, of each what was asked, what it was worth, and what became of it.
    """
    written(tmp_path, [*DECISIONS[:2], *DECISIONS[5:7]])
    result = nextmove("explain", "--profile", "p1", "--out", tmp_path, cwd=tmp_path)
    assert (result.returncode, result.stderr, result.stdout.decode()) == (0, b"", SHOWN)


@pytest.mark.parametrize("asked", ["p1", "lead-1"])
def test_somebody_is_told_of_by_all_their_ids(out: Path, asked: str) -> None:
    """
    What was decided for the visitor and for the lead, whichever is asked for; nothing of anybody else.
    """
    why = explained(out, profile=asked)
    assert (why["profile_id"], why["ids"]) == ("lead-1", ["lead-1", "p1"])
    assert ids(why) == ["t1", "t2", "t3", "t4"]


def test_a_trigger_is_told_of_with_those_it_was_weighed_against(out: Path) -> None:
    """
    Sent or not; other occasions of the same person are left out.
    """
    assert ids(explained(out, trigger="t2")) == ["t1", "t2"]
    assert ids(explained(out, trigger="t1")) == ["t1", "t2"]
    assert ids(explained(out, trigger="t5")) == ["t5"]


def test_repeats_are_shown_once(tmp_path: Path) -> None:
    """
    Streams are told at least once.
    """
    once, twice = written(tmp_path / "a", DECISIONS), written(tmp_path / "b", DECISIONS * 2)
    assert explained(twice, profile="p1") == explained(once, profile="p1")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"since": AT}, ["t1", "t2", "t3", "t4"]),
        ({"since": "2026-11-21T10:00:00.001Z"}, ["t3", "t4"]),
        ({"since": "2026-11-21T10:00:00.002Z"}, ["t4"]),
        ({"until": "2026-11-21T10:00:00.001Z"}, ["t1", "t2"]),
        ({"until": AT}, []),
        ({"since": "2026-11-21T11:00:00.001+01:00", "until": "2026-11-21T10:01:00Z"}, ["t3"]),
        ({"limit": 1}, ["t4"]),
        ({"limit": 3}, ["t1", "t2", "t3", "t4"]),
    ],
)
def test_time_and_number_narrow(out: Path, options: dict[str, Any], told: list[str]) -> None:
    """
    From an instant on, that instant included, and up to another one, excluded; of more than the limit the latest.
    """
    why = explained(out, profile="p1", **options)
    assert ids(why) == told
    assert why["is_cut"] == (options == {"limit": 1})


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--profile", "p9", "--out", "."], 1, "nobody is known as p9 in .; check the id"),
        (["--trigger", "t9", "--out", "."], 1, "no decision has the id t9 in .; check the id"),
        (["--trigger", "p1", "--out", "."], 1, "no decision has the id p1 in .; check the id"),
        (["--profile", "p1", "--out", "nowhere"], 1, "nowhere: no file of a run is there; name the folder"),
        (["--out", "."], 2, "name --profile or --trigger"),
        (["--profile", "p1", "--trigger", "t1", "--out", "."], 2, "name --profile or --trigger"),
        (["--profile", "p1"], 2, "name --out, or set kafka.servers in the settings"),
        (["--profile", "p1", "--out", ".", "--from", "noon"], 2, "--from is noon but must be an instant"),
        (["--profile", "p1", "--out", ".", "--from", "1h", "--to", "1h"], 2, "--to is 1h but must be after --from, 1h"),
    ],
)
def test_what_cannot_be_told_is_said_in_a_line(
    out: Path,
    options: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """
    With the exit code of what went wrong.
    """
    assert inside(monkeypatch, out, "explain", *options) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1


def test_who_is_known_and_was_never_decided_for_is_told_so(out: Path) -> None:
    """
    That is no mistake of whoever asks.
    """
    written(out, [IdentityRecord("linked", "lead-7", "anonymous_id", "d7", "", "", "e", AT)])
    result = nextmove("explain", "--profile", "d7", "--out", ".", cwd=out)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode() == "lead-7, also known as d7\nnothing was decided for them\n"


def test_records_of_other_versions_are_left_out_and_told(out: Path) -> None:
    """
    A trigger of an earlier version names no rule; half of a line is one that is being written.
    """
    old = '{"type":"io.nextmove.nba.x.v1","data":{"trigger_id":"t0","profile_id":"p1"}}\n{"type":"io.nextmove'
    with (out / "triggers.jsonl").open("a") as file:
        file.write(old)
    result = nextmove("explain", "--profile", "p1", "--out", ".", "--json", cwd=out)
    assert result.stderr.decode() == "nextmove: .: 1 records are of another version; they are left out\n"
    assert ids(json.loads(result.stdout)) == ["t1", "t2", "t3", "t4"]


def test_nothing_that_others_wrote_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    """
    Ids and details are written out.
    """
    written(tmp_path, [suppressed(detail="\x1b[2J[bold]", cause=cause("cart.timer", "\x07cart", AT_MS))])
    result = nextmove("explain", "--profile", "p1", "--out", tmp_path, cwd=tmp_path)
    assert "failed cooldown: \\x1b[2J[bold]" in result.stdout.decode()
    assert "cart.timer \\x07cart" in result.stdout.decode()
    assert b"\x1b" not in result.stdout


# --- of a run -------------------------------------------------------------------------------------------------

RULES: Final = """\
actions:
- {id: sent, family: offer, on: product_viewed, channels: [onsite], value: 9, exclusion_group: g, cooldown: 1h}
- {id: excluded, family: offer, on: product_viewed, channels: [onsite], value: 5, exclusion_group: g}
- {id: outranked, family: offer, on: product_viewed, channels: [onsite], value: 2}
- {id: holdout, family: lead, on: product_viewed, channels: [onsite], holdout: 1.0}
- {id: channel, family: cart, on: product_viewed, channels: [email]}
- {id: value, family: cart, on: product_viewed, channels: [onsite], value: 'double(profile.visits) - 9.0'}
- {id: suitability, family: cart, on: product_viewed, channels: [onsite], suitability: 'profile.visits > 9'}
- {id: applicability, family: cart, on: product_viewed, channels: [onsite], applicability: 'profile.visits > 9'}
- {id: eligibility, family: cart, on: product_viewed, channels: [onsite], eligibility: profile.known}
- {id: cause, family: cart, on: product_viewed, channels: [onsite], unless: '!profile.known'}
"""


def view(number: int) -> bytes:
    at = f"2026-11-20T10:00:{number:02}Z"
    item = {"product_id": "kettle"}
    told = {
        "kind": "product_viewed",
        "event_id": f"e{number}",
        "occurred_at": at,
        "anonymous_id": "d1",
        "items": [item],
    }
    return json.dumps(told).encode()


def test_each_check_that_the_engine_makes_is_told_by_its_name(tmp_path: Path) -> None:
    """
    Rules that are named after the check that they fail: the engine's own words are understood.
    """
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "shop.yaml").write_text("decision: {journeys: rules.yaml}\n")
    (tmp_path / "day.jsonl").write_bytes(view(1) + b"\n" + view(2) + b"\n")
    run = nextmove("run", "day.jsonl", "--out", "out", "--config", "shop.yaml", cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, b"")

    first, second = explained(tmp_path / "out", profile="d1")["occasions"]

    failed = {
        one["rule"]["id"]: [check["check"] for check in one["checks"] if check["verdict"] == "failed"]
        for one in first["candidates"]
    }
    names = {"excluded": "exclusion", "outranked": "slot"}
    assert failed.pop("sent") == []
    assert failed == {rule: [names.get(rule, rule)] for rule in failed}
    assert set(failed) | {"sent"} == {line.split(", ")[0][len("- {id: ") :] for line in RULES.splitlines()[1:]}
    (again,) = [one for one in second["candidates"] if one["rule"]["id"] == "sent"]
    assert again["reason"] == "cooldown"
    assert {check for check, *_ in [list(one.values()) for one in again["checks"]]} == set(CHECKS)


def test_all_that_a_day_has_decided_is_explained(tmp_path: Path) -> None:
    """
    Person by person: no decision is missing, and none is told of two people.
    """
    plan = TrafficPlan(events=1_500, visitors=60, seed=5)
    (tmp_path / "day.jsonl").write_bytes(b"".join(generate(plan)))
    assert nextmove("run", "day.jsonl", "--out", "out", cwd=tmp_path).returncode == 0
    outputs = PublishedFolder(tmp_path / "out")
    told = Counter[str]()
    lines = [
        json.loads(line)
        for stream in ("triggers", "suppressed")
        for line in (tmp_path / "out" / f"{stream}.jsonl").read_bytes().splitlines()
    ]
    decided = Counter(line["data"]["trigger_id"] for line in lines if ".retracted." not in line["type"])
    people = {line["data"]["profile_id"] for line in lines}
    seen = set[str]()
    for person in sorted(people):
        why = Explainer(outputs, Window(), 10_000).of_profile(person)
        assert why is not None
        if not seen & set(why.ids):
            seen |= set(why.ids)
            told.update(one.trigger_id for occasion in why.occasions for one in occasion.candidates)
    assert told == decided


# --- of topics ------------------------------------------------------------------------------------------------


def test_topics_are_told_of_as_files_are(tmp_path: Path, out: Path, kafka: KafkaServer) -> None:
    """
    Triggers of all families, each once however often they were published; no group is left behind.
    """
    job = Job(tmp_path, kafka, Settings())
    topics = output_topics(job.prefix)
    decisions: Any = DECISIONS
    encoder = MessageEncoder("/test", lambda: AT_MS, dict.fromkeys(("cart", "offer"), 3))
    producer = Producer({"bootstrap.servers": job.servers})
    for part, messages in [*encoder.encode([(3, decisions)]).items()] * 2:
        for message in messages:
            headers: Any = message.headers
            producer.produce(topics[part.partition("/")[0]].name, message.value, message.key, headers=headers)
    assert producer.flush(WAIT_S) == 0

    for asked in (["--profile", "p1"], ["--trigger", "t2"], ["--profile", "lead-1", "--from", LATER.time]):
        assert printed(tmp_path, *asked, "--config", job.config) == printed(tmp_path, *asked, "--out", out)
    missing = nextmove("explain", "--profile", "p9", "--config", job.config, cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert f"nobody is known as p9 in {job.prefix}*.v1".encode() in missing.stderr
    assert "nextmove-explain" not in kafka.consumer_groups("--list")
