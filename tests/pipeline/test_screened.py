"""What is told twice, and what bots and our own people do: counted by source and rule, and nowhere else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import DuplicatesSettings
from config.traffic import InternalSettings, TrafficSettings
from connectors.batches import RawBatch
from operators.duplicates import ANY
from operators.event import FOREVER
from pipeline.resolver_snapshot import ResolverSnapshot, ids_key, merged, place_of, read_snapshot, write_snapshot
from pipeline.run import Outcome
from pipeline.telemetry import Telemetry
from pipeline.terminal import summarize
from tests.pipeline.helpers import BEGIN_AT, SMALL, Chain
from tests.pipeline.test_telemetry import counts, scraped

GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
RULES = msgspec.structs.replace(
    SMALL,
    traffic=TrafficSettings(rate_max=3, internal=InternalSettings(email_domains=("shop.example",))),
)


def view(number: int, at: int = BEGIN_AT, by: str = "a", **more: object) -> bytes:
    told = {"kind": "product_viewed", "event_id": f"e{number}", "occurred_at": at, "anonymous_id": by}
    return msgspec.json.encode(told | {"items": [{"product_id": "kettle"}]} | more)


DAY: Sequence[bytes] = (
    *(view(number, by="robot") for number in range(9)),
    view(10, user_agent=GOOGLE),
    view(11, user_agent=GOOGLE, by="b"),
    view(12, email="ann@shop.example", by="ann"),
    view(13),
    view(13),
    b"{",
)
"""A robot's nine views, two of one that says so, one of our own, and a visitor's: once, once more, and broken."""


def ended(chain: Chain) -> list[tuple[str, Any]]:
    return chain.take([RawBatch("shop/0", [], len(DAY), complete=FOREVER, is_marked=True)])


def test_what_does_not_count_is_counted_and_published_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    """
    By source and rule; the books balance, and the run's summary tells of it. The one session is the visitor's.
    """
    chain = Chain(RULES, ["shop/0"])
    told = chain.take([RawBatch("shop/0", list(DAY))]) + ended(chain)

    tally = chain.tally
    assert [record["data"]["visitor_id"] for stream, record in told if stream == "sessions"] == ["a"]
    assert {record["data"]["profile_id"] for stream, record in told if stream == "triggers"} == {"robot"}
    assert (tally.read, tally.accepted, tally.duplicates, tally.imbalance) == (15, 4, 1, 0)
    samples = scraped(Telemetry(tally))
    assert counts(samples, "events_screened_total") == {
        ("bot", "shop"): 2,
        ("internal_email", "shop"): 1,
        ("rate", "shop"): 6,
    }
    assert counts(samples, "events_dropped_total") == {("duplicate",): 1, ("screened",): 9, ("not_json",): 1}
    summarize(Outcome(tally, is_stopped=False, seconds=1.0), "out", "Done.")
    shown = capsys.readouterr().out
    assert "15 read: 4 accepted, 1 duplicates, 1 dead letters" in shown
    assert "Screened      9: 6 rate, 2 bot, 1 internal email\n" in shown


@given(st.lists(st.integers(0, len(DAY)), max_size=5))
def test_any_batching_screens_the_same(cuts: list[int]) -> None:
    """
    And publishes the same.
    """
    whole, parts = Chain(RULES, ["shop/0"]), Chain(RULES, ["shop/0"])
    expected = whole.take([RawBatch("shop/0", list(DAY))]) + ended(whole)
    told = []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(DAY)], strict=True):
        told += parts.take([RawBatch("shop/0", list(DAY[begin:end]), begin)])
    told += ended(parts)

    def by_id(records: list[tuple[str, Any]]) -> list[str]:
        return sorted(f"{stream} {record['id']}" for stream, record in records)

    assert by_id(told) == by_id(expected)
    assert parts.tally.screened == whole.tally.screened


@pytest.mark.parametrize("cut", range(len(DAY) + 1))
def test_a_run_that_goes_on_screens_as_one_that_did_not_stop(tmp_path: Path, cut: int) -> None:
    """
    Wherever a checkpoint lies: how fast somebody was, and who is a robot, is part of the state.
    """
    first = Chain(RULES, ["shop/0"], tmp_path)
    first.take([RawBatch("shop/0", list(DAY[:cut]))])
    second = Chain(RULES, ["shop/0"], tmp_path, first.snapshot())
    second.take([RawBatch("shop/0", list(DAY[cut:]), cut)])
    ended(second)

    assert first.tally.screened + second.tally.screened == {"rate": 6, "bot": 2, "internal_email": 1}
    assert first.tally.duplicates + second.tally.duplicates == 1


# --- duplicates by source ---------------------------------------------------------------------------------------


def take(chain: Chain, *partitions: str) -> int:
    """Read one event from each of these; return how many duplicates there have been by then."""
    for partition in partitions:
        chain.take([RawBatch(partition, [view(1)])])
    return chain.tally.duplicates


def test_an_id_is_one_event_of_its_topic(tmp_path: Path) -> None:
    """
    Whatever the partition; of another topic or file it is another one. So also after a checkpoint.
    """
    names = ["shop/0", "shop/1", "crm/0", "day.jsonl"]
    chain = Chain(SMALL, names, tmp_path)
    assert take(chain, "shop/0", "crm/0", "day.jsonl") == 0
    assert take(chain, "shop/1", "crm/0", "day.jsonl") == 3
    again = Chain(SMALL, [*names, "new/0"], tmp_path, chain.snapshot())
    assert take(again, "shop/0", "crm/0", "day.jsonl", "new/0") == 3


def test_ids_may_be_shared(tmp_path: Path) -> None:
    """
    With `across_sources` an id is one event wherever it comes from, also what a run without it has noted.
    """
    shared = msgspec.structs.replace(SMALL, duplicates=DuplicatesSettings(across_sources=True, window_ms=21_600_000))
    names = ["one.jsonl", "two.jsonl"]
    chain = Chain(SMALL, names, tmp_path)
    assert take(chain, "one.jsonl") == 0
    again = Chain(shared, names, tmp_path, chain.snapshot())
    assert take(again, "two.jsonl") == 1


PLACES = [(ANY, 7), ("shop", 7), ("/var/in/a day/1.jsonl", -3)]


def test_ids_of_several_resolvers_become_one_s() -> None:
    """
    Each with its source; those of a version before sources were stay anybody's.
    """
    entries = {ids_key(place, number): place for number, place in enumerate(PLACES)}
    assert [place_of(key) for key in entries] == PLACES
    live = [
        {key: (0, msgspec.msgpack.encode([f"r{resolver}", "both"])) for key in entries} | {"a:x": (0, b"lead")}
        for resolver in range(2)
    ]
    _, found = merged((ResolverSnapshot(1, 2, {}, {}), one) for one in live)
    assert {key: raw for key, _, raw in found} == {"a:x": b"lead"} | {
        ids_key(place, 0): msgspec.msgpack.encode(["both", "r0", "r1"]) for place in PLACES
    }


def test_a_snapshot_of_before_sources_were_is_read() -> None:
    """
    Its row is the same: what differs are the keys of ids.
    """
    told = ResolverSnapshot(3, 21, {"shop/0": 5}, {"shop/0": 6}, 7)
    row = msgspec.msgpack.decode(write_snapshot(told))
    assert row[0] == 4
    assert read_snapshot(msgspec.msgpack.encode([3, *row[1:]])) == told
