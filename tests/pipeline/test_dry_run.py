"""
`nextmove dry-run`: what other rules would have sent, of recorded events; nothing is published.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Producer

from benchmarks.traffic import TrafficPlan, generate
from config.settings import CheckpointSettings, DecisionSettings, Settings
from pipeline.dry_running import Difference, Folders, compare, replay
from pipeline.explaining import Window
from pipeline.loading import load
from tests.pipeline.kafka_job import WAIT_S, Job, until
from tests.pipeline.test_cli import nextmove
from tests.pipeline.test_explain import inside
from tests.services.kafka import KafkaServer

EVER: Final = Window()
RULE: Final = "- {{id: offer, family: offer, on: product_viewed, channels: [{channels}]{more}}}\n"


def rules(folder: Path, name: str, channels: str = "onsite", more: str = "") -> Path:
    """A file with a rule that makes an offer at each view."""
    (folder / name).write_text("actions:\n" + RULE.format(channels=channels, more=more and f", {more}"))
    return folder / name


def view(number: int, product: str = "kettle", who: str = "d1") -> bytes:
    at = f"2023-11-20T10:{number:02}:00Z"
    told = {"kind": "product_viewed", "event_id": f"e{number}", "occurred_at": at, "anonymous_id": who}
    return json.dumps(told | {"items": [{"product_id": product}]}).encode()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A day of ten views, one a minute, with the rules in force: an offer at each of them."""
    rules(tmp_path, "old.yaml")
    (tmp_path / "shop.yaml").write_text("decision: {journeys: old.yaml}\n")
    (tmp_path / "day.jsonl").write_bytes(b"\n".join(view(n) for n in range(10)) + b"\n")
    return tmp_path


def compared(shop: Path, *options: str | Path, inputs: tuple[str, ...] = ("day.jsonl",)) -> dict[str, Any]:
    temporary = shop / "tmp"
    temporary.mkdir(exist_ok=True)
    arguments = ["new.yaml", *inputs, "--config", "shop.yaml", "--json", *options]
    result = nextmove("dry-run", *arguments, cwd=shop, TMPDIR=str(temporary))
    assert (result.returncode, result.stderr.decode()) == (0, "")
    assert list(temporary.iterdir()) == [], "nothing is left of it"
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def difference(shop: Path, window: Window = EVER) -> Difference:
    """What the new rules change for the one action, without a process of its own."""
    folders = Folders(shop / "before", shop / "now")
    settings = load(shop / "shop.yaml")
    replay(settings, shop / "new.yaml", [str(shop / "day.jsonl")], folders, lambda _: None)
    (found,), _, _ = compare(folders, window, 0)
    return found


def test_what_would_change_is_told_by_action(shop: Path) -> None:
    """
    The new rule rests for five minutes: of ten offers two are left, and eight are suppressed.
    """
    rules(shop, "new.yaml", more="cooldown: 5m")
    before = {path.name: path.read_bytes() for path in shop.iterdir()}

    found = compared(shop, "--from", "2023-11-20T00:00:00Z", "--show", "2")

    assert {path.name: path.read_bytes() for path in shop.iterdir() if path.is_file()} == before
    (offer,) = found["actions"]
    assert offer == {
        "action": "offer",
        "sent_before": 10,
        "sent_now": 2,
        "gained": 0,
        "lost": 8,
        "rerouted": 0,
        "retracted_before": 0,
        "retracted_now": 0,
        "suppressed": {"cooldown": [0, 8]},
    }
    assert (found["events"], found["rejected"]) == (10, 0)
    assert found["rules_before"] != found["rules_now"]
    assert found["gained"] == []
    assert [(one["cause"], one["otherwise"]) for one in found["lost"]] == [
        (f"product_viewed kettle 2023-11-20T10:0{n}:00.000Z", "cooldown: last sent 2023-11-20T10:00:00.000Z")
        for n in (1, 2)
    ]


@pytest.mark.parametrize(
    ("since", "until", "before", "now"),
    [
        ("2023-11-20T10:05:00.000Z", "", 5, 1),
        ("2023-11-20T10:05:00.001Z", "", 4, 0),
        ("2023-11-20T10:00:00.000Z", "2023-11-20T10:05:00.000Z", 5, 1),
        ("2023-11-20T10:00:00.000Z", "2023-11-20T10:05:00.001Z", 6, 2),
    ],
)
def test_what_came_before_counts_for_state_only(shop: Path, since: str, until: str, before: int, now: int) -> None:
    """
    From an instant on, that instant included: the cool-down that began before it is remembered.
    """
    rules(shop, "new.yaml", more="cooldown: 5m")
    offer = difference(shop, Window(since, until))
    assert (offer.sent_before, offer.sent_now) == (before, now)


def test_another_channel_is_no_loss(shop: Path) -> None:
    """
    The same action for the same cause: it is told as such.
    """
    rules(shop, "new.yaml", channels="crm")
    offer = difference(shop)
    assert (offer.gained, offer.lost, offer.rerouted) == (0, 0, 10)


def test_another_cool_down_alone_loses_nothing_that_is_sent_by_both(shop: Path) -> None:
    """
    Though ids of triggers depend on it, of what is acted upon once per product.
    """
    rules(shop, "old.yaml", more="per: product, cooldown: 7m")
    rules(shop, "new.yaml", more="per: product, cooldown: 9m")
    offer = difference(shop)
    assert (offer.sent_before, offer.sent_now, offer.gained, offer.lost) == (2, 2, 1, 1)


def test_the_same_rules_change_nothing(tmp_path: Path) -> None:
    """
    Of a whole day, with broken records in it: both send each action as often, and so does a run on the same file.
    """
    plan = TrafficPlan(events=1_500, visitors=60, seed=5, malformed_share=0.01)
    (tmp_path / "day.jsonl").write_bytes(b"".join(generate(plan)))
    (tmp_path / "shop.yaml").write_text("{}\n")
    (tmp_path / "new.yaml").write_text((Path(__file__).parents[2] / "config/journeys/core.yaml").read_text())
    assert nextmove("run", "day.jsonl", "--out", "out", cwd=tmp_path).returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "out/triggers.jsonl").read_bytes().splitlines()]
    sent = Counter(line["data"]["action"] for line in lines if ".retracted." not in line["type"])
    held = Counter(
        json.loads(line)["data"]["reason"] for line in (tmp_path / "out/suppressed.jsonl").read_bytes().splitlines()
    )

    found = compared(tmp_path, "--from", "2020-01-01T00:00:00Z")

    assert found["rules_before"] == found["rules_now"]
    assert found["rejected"] > 0
    assert {one["action"]: one["sent_before"] for one in found["actions"] if one["sent_before"]} == sent
    assert {one["action"]: one["sent_now"] for one in found["actions"] if one["sent_now"]} == sent
    assert sum(one["gained"] + one["lost"] for one in found["actions"]) == 0
    now = Counter[str]()
    for one in found["actions"]:
        now.update({reason: counts[1] for reason, counts in one["suppressed"].items()})
    assert now == held


def test_people_see_a_table(shop: Path) -> None:
    """
    Counts by action and by reason, and what one of both alone has sent.
    """
    rules(shop, "new.yaml", more="cooldown: 5m")
    result = nextmove(
        "dry-run",
        "new.yaml",
        "day.jsonl",
        "--config",
        "shop.yaml",
        "--from",
        "2023-11-20T00:00:00Z",
        "--show",
        "1",
        cwd=shop,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    head, *rest = result.stdout.decode().split("\n\n")
    assert head.endswith("10 events replayed, 0 rejected; nothing was published")
    assert rest[:2] == [
        "sent   before  now  gained  lost\noffer      10    2       0     8",
        "suppressed            before  now\noffer       cooldown       0    8",
    ]
    assert rest[2].splitlines()[0] == "lost: offer by onsite for d1"
    assert rest[2].splitlines()[2] == "  otherwise cooldown: last sent 2023-11-20T10:00:00.000Z"


def test_a_shared_store_of_identities_is_not_asked(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    It knows who people are today. Nobody listens where the settings say that it is, and that is said, not noticed.
    """
    rules(shop, "new.yaml")
    with (shop / "shop.yaml").open("a") as file:
        file.write("identity: {redis_url: 'redis://127.0.0.1:1/0'}\n")
    options = ["new.yaml", "day.jsonl", "--config", "shop.yaml", "--from", "2023-11-20T00:00:00Z"]
    assert inside(monkeypatch, shop, "dry-run", *options) == 0
    told = capfd.readouterr()
    assert told.err.startswith("nextmove: identities are learnt anew of the events; those in Redis are of today")
    assert "10 events replayed" in told.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["bad.yaml", "day.jsonl", "--from", "1d"], 2, "bad.yaml:2:61: unknown channel pigeon"),
        (["none.yaml", "day.jsonl", "--from", "1d"], 2, "none.yaml: no such file or folder"),
        (["old.yaml", "day.jsonl"], 2, "missing option '--from'"),
        (["old.yaml", "day.jsonl", "--from", "noon"], 2, "--from is noon but must be an instant"),
        (["old.yaml", "--from", "1d"], 2, "name INPUT, or set kafka.servers in the settings"),
        (["old.yaml", "-", "--from", "1d"], 2, "standard input cannot be; save it to a file"),
        (["old.yaml", "gone.jsonl", "--from", "1d"], 1, "gone.jsonl: No such file or directory; check the name"),
    ],
)
def test_what_cannot_be_done_is_told(
    shop: Path,
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """
    Rules that cannot be used are told as the loader does, before anything is read.
    """
    (shop / "bad.yaml").write_text("actions:\n- {id: offer, family: offer, on: product_viewed, channels: [pigeon]}\n")
    assert inside(monkeypatch, shop, "dry-run", *arguments) == code
    told = capfd.readouterr()
    assert told.out == ""
    assert said in told.err


def test_topics_are_copied_as_they_are_and_left_alone(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    What is told to have been sent is what the run has sent, of records with line breaks and of events whose attributes
    are headers too; the output topics stay as they were, and no group is left behind.
    """
    old = rules(tmp_path, "old.yaml", more="cooldown: 3m")
    settings = Settings(checkpoint=CheckpointSettings(interval_ms=200), decision=DecisionSettings(journeys=str(old)))
    job = Job(tmp_path, kafka, settings)
    producer = Producer({"bootstrap.servers": job.servers})
    for n in range(10):
        raw, who = view(n, who=f"d{n % 3}"), n % 3
        headers: Any = [("ce_specversion", b"1.0"), ("ce_id", b"%d" % n), ("none", None)]
        value = json.dumps(json.loads(raw), indent=1).encode() if n % 2 else raw
        producer.produce(job.topic, value, b"k", who, headers=headers if n % 4 == 0 else None)
    producer.produce(job.topic, None, b"k", 0)
    assert producer.flush(WAIT_S) == 0
    with job.running():
        until(lambda: job.lag() == 0)
        until(lambda: bool(job.consumed()["triggers"]))
    sent = sorted(one["data"]["cause"]["time"] for one in job.consumed()["triggers"])
    before = job.consumed()

    new = rules(tmp_path, "new.yaml", more="cooldown: 10m")
    options = ["--from", "2023-11-20T00:00:00Z", "--show", "10", "--json"]
    result = nextmove("dry-run", new, "--config", job.config, *options, cwd=tmp_path)

    assert result.returncode == 0
    assert result.stderr.decode() == "nextmove: copied 10 records of 3 partitions; replaying them twice\n"
    found = json.loads(result.stdout)
    (offer,) = found["actions"]
    assert (offer["sent_before"], found["events"], found["rejected"]) == (len(sent), 10, 0)
    assert (offer["sent_now"], offer["lost"]) == (3, 7), "of each visitor's the first"
    assert [one["cause"].split()[2] for one in found["lost"]] == sent[3:]
    assert job.consumed() == before
    assert "nextmove-dry-run" not in kafka.consumer_groups("--list")
