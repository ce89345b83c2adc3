"""
Spoilt records of every format: each is an event or a dead letter with its reason, and what is planted is found.

`make fuzz` plays more of these batches, or one of them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Any

import pytest

from connectors.formats import decode_batch
from connectors.formats.common import Reading, Unusable
from connectors.formats.others import ENVELOPES, TEXTS, WAYS, Way
from operators.event import INSTANT_MAX, Event
from operators.rejected import REASONS
from tests.fuzz.corpus import READ_AT, corpus
from tests.fuzz.hostile import CANARY, RAW
from tests.fuzz.laws import Batch, Reader, broken
from tests.fuzz.plan import RECORDS, batch_of
from tests.fuzz.runs import fuzz
from tests.fuzz.shrink import smallest
from tests.fuzz.spoil import Spoiler

FEW = 5_000
PLANTED_RECORDS_MAX = 5_000
"""By then a planted bug must have been found."""

Make = Callable[[dict[str, Any], int, Reading], list[Event]]


def test_whatever_the_bytes_each_record_has_its_fate() -> None:
    """
    No exception, every record an event or a dead letter with a reason, whatever it came with and is read as; and both
    happen often, in every format.
    """
    summary = fuzz(1, FEW, workers=1)
    assert summary.complaint == ""
    counts = summary.counts
    assert FEW - counts["screened"] <= counts["accepted"] + counts["rejected"] < FEW == summary.records
    assert min(counts["accepted"], counts["rejected"]) > FEW / 4
    for name in corpus().formats:
        assert counts[f"of {name}"], name
        assert counts[f"accepted of {name}"], name
    assert [reason for reason in sorted(REASONS - {"too_late"}) if not counts[f"for {reason}"]] == []
    assert counts["with headers"]
    assert counts["under pseudonyms"]


def test_there_are_good_records_of_every_format() -> None:
    """
    Of each format and envelope, of each that is text some that are text; each is accepted as it is.
    """
    samples = corpus().samples
    assert {*WAYS, *ENVELOPES} - set(samples) == set()
    for name, text in TEXTS.items():
        assert any(text.claims(sample.raw) for some in samples.values() for sample in some), name
    for name, some in samples.items():
        for sample in some:
            ways: list[Any] = [*corpus().ways.values()] if name == "mapping" else ["auto", *TEXTS]
            assert any(
                decode_batch([sample.raw], partition="p", first_position=0, read_at=READ_AT, format=way).events
                for way in ways
            ), sample


def test_a_seed_is_the_same_batch_again() -> None:
    """
    To the byte, whatever was spoilt before it.
    """
    first = batch_of(7)[1]
    for seed in range(8, 40):
        batch_of(seed)
    again = batch_of(7)[1]
    assert (first.raws, first.came_at, first.reader.told) == (again.raws, again.came_at, again.reader.told)
    assert len(first.raws) == RECORDS


def test_what_no_encoder_writes_is_written() -> None:
    """
    Numbers without bounds, broken texts and names that stand twice come to the decoders as bytes.
    """
    held = corpus()
    spoiler = Spoiler(Random(5), held)
    raw = b"\n".join(spoiler.spoilt(sample.raw) for _ in range(40) for sample in held.samples["segment"])
    missing = [name for name, written in RAW.items() if written not in raw]
    assert missing == []
    assert b"{twice}" not in raw
    assert CANARY.encode() in raw


def _raising(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    if isinstance(told.get("timestamp"), list | str):
        raise KeyError("timestamp")
    return WELL(told, position, reading)


def _repeating(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
    try:
        return WELL(told, position, reading)
    except Unusable as fault:
        raise Unusable(fault.reason, f"{fault.detail}: {told}") from None


def _changed(change: Callable[[Event], None]) -> Make:
    def events(told: dict[str, Any], position: int, reading: Reading) -> list[Event]:
        made = WELL(told, position, reading)
        for event in made:
            change(event)
        return made

    return events


def _unlike(event: Event, numbers: Iterator[int] = count()) -> None:  # noqa: B008 -- the same for all, which is the bug
    event.event_id += str(next(numbers))


def _late(event: Event) -> None:
    event.at = INSTANT_MAX + 1 if "utter" in repr(event.told()) else event.at


WELL: Make = WAYS["rasa"].events
BUGS: dict[str, Make] = {
    "raised": _raising,
    "neither an event nor a rejection": lambda told, position, reading: (
        WELL(told, position, reading) if told.get("text") else []
    ),
    "no reason, stage": lambda told, position, reading: _refused() if "data" in told else WELL(told, position, reading),
    "repeated": _repeating,
    "read twice": _changed(_unlike),
    "out of time": _changed(_late),
    "too many characters": _changed(lambda event: setattr(event, "url", event.name * 100 or "x" * 2000)),
    "no id, no visitor": _changed(lambda event: setattr(event, "visitor_id", event.anonymous_id)),
    "in told": _changed(lambda event: setattr(event, "properties", b"[1]")),
    "a dwell time": _changed(lambda event: setattr(event, "dwell_ms", -event.at)),
}


def _refused() -> list[Event]:
    raise Unusable("somehow", "said")  # type: ignore[arg-type]


@pytest.mark.parametrize("bug", sorted(BUGS))
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In one format of twenty, within as many records as every run of the tests plays; and its seed finds it again.
    """
    monkeypatch.setitem(WAYS, "rasa", Way(WAYS["rasa"].claims, BUGS[bug]))
    summary = fuzz(1, PLANTED_RECORDS_MAX, workers=1)
    assert bug in summary.complaint
    seed = int(summary.complaint.removeprefix("make fuzz SEED=").partition(":")[0])
    assert bug in fuzz(seed, RECORDS, workers=1).complaint
    monkeypatch.undo()
    assert fuzz(seed, RECORDS, workers=1).complaint == ""


def test_a_record_is_made_small_while_it_breaks_the_same_law(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of a long record what breaks is left, JSON or not.
    """
    monkeypatch.setitem(WAYS, "rasa", Way(WAYS["rasa"].claims, _raising))
    batch = Batch(Reader("rasa", READ_AT), [b""], [], [])

    def wrong_of(raw: bytes) -> str:
        return broken(batch._replace(raws=[raw]))[1]

    raw = b'{"sender_id":"c","event":"user","timestamp":[1,{"a":2}],"text":"Hello","metadata":{"a":[1,2,3]}}'
    assert smallest(raw, wrong_of) == b'{"timestamp":[]}'
    assert smallest(raw.replace(b"[1,2,3]", b"1e999"), wrong_of) == b'{"timestamp":[]}'
