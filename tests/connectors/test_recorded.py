"""
Recordings of topics: kept byte for byte, and read once more as they came.
"""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import recorded
from connectors.batches import RawBatch
from connectors.recorded import SLICE_MS, Recorded, RecordedSource, Recording

AT: Final = 1_790_000_000_000
IDLE_MS: Final = 1_000


class Flag:
    """Set by whoever wants the end."""

    def __init__(self) -> None:
        self.is_told = False

    def is_set(self) -> bool:
        return self.is_told


def came(offset: int, at: int, value: bytes = b"{}") -> Recorded:
    return Recorded(offset, AT + at if at >= 0 else -1, None, [], value)


def recording(folder: Path, made: dict[str, list[Recorded]], made_at: int = 60_000) -> Recording:
    told = Recording(folder, list(made), AT + made_at)
    for name, records in made.items():
        for record in records:
            told.add(name, record)
    told.finish()
    return told


def played(told: Recording, batch_records: int = 100) -> list[list[RawBatch]]:
    """What each activation hands on."""
    part = RecordedSource(told, batch_records, IDLE_MS, Flag()).build_part("s", "recorded", None)
    found = []
    while True:
        try:
            found.append(part.next_batch())
        except StopIteration:
            return found


RECORDS: Final = st.builds(
    Recorded,
    st.integers(0, 2**40),
    st.integers(-1, 2**41),
    st.none() | st.binary(max_size=5),
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3),
    st.binary(max_size=40),
)


@given(st.lists(RECORDS, max_size=20), st.integers(1, 60))
def test_records_are_kept_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, told: list[Recorded], chunk: int
) -> None:
    """
    Bytes, line breaks, keys and headers, however many fit into what is read at once.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "CHUNK_BYTES", chunk)
        kept = recording(tmp_path_factory.mktemp("r"), {"b/0": told, "a/1": told[::-1]})
        assert [*kept] == ["a/1", "b/0"]
        assert [*kept.records("b/0")] == told
        assert [*kept.records("a/1")] == told[::-1]
        assert kept.size == 2 * len(told)


def test_partitions_are_read_in_the_order_in_which_records_came(tmp_path: Path) -> None:
    """
    Not one after the other: who is in two of them is seen as when it happened.
    """
    told = recording(
        tmp_path,
        {
            "t/0": [came(5, 0, b"1"), came(6, 2 * SLICE_MS, b"3")],
            "t/1": [came(7, SLICE_MS, b"2"), came(8, 3 * SLICE_MS, b"4")],
        },
    )
    batches = [batch for some in played(told) for batch in some if batch.raws]
    assert [(one.partition, one.first_position, one.raws) for one in batches] == [
        ("t/0", 5, [b"1"]),
        ("t/1", 7, [b"2"]),
        ("t/0", 6, [b"3"]),
        ("t/1", 8, [b"4"]),
    ]
    assert [one.came_at for one in batches] == [[AT], [AT + SLICE_MS], [AT + 2 * SLICE_MS], [AT + 3 * SLICE_MS]]


@pytest.mark.parametrize(("gap_ms", "activations"), [(SLICE_MS - 1, 1), (SLICE_MS, 2)])
def test_what_came_within_a_slice_is_handed_on_at_once(tmp_path: Path, gap_ms: int, activations: int) -> None:
    """
    The slice's end belongs to the next one; the last activation tells the time of the recording.
    """
    told = recording(tmp_path, {"t/0": [came(0, 0), came(1, gap_ms)]})
    assert len(played(told)) == activations + 1


def test_a_batch_has_so_many_records_at_most(tmp_path: Path) -> None:
    """
    Of all partitions together.
    """
    told = recording(tmp_path, {f"t/{n}": [came(m, 0) for m in range(5)] for n in range(3)})
    assert [sum(len(batch.raws) for batch in some) for some in played(told, 4)] == [4, 4, 4, 3, 0]


def test_offsets_that_are_missing_begin_another_batch(tmp_path: Path) -> None:
    """
    What was compacted away, or was the mark of a transaction: positions stay those of the topic.
    """
    told = recording(tmp_path, {"t/0": [came(3, 0), came(4, 0), came(6, 0)]})
    assert [(one.first_position, len(one.raws)) for one in played(told)[0]] == [(3, 2), (6, 1)]


def test_time_goes_on_for_who_is_silent(tmp_path: Path) -> None:
    """
    By what comes elsewhere, once they have been silent for long enough, and to the instant of the recording at the end;
    never to the end of time.
    """
    told = recording(tmp_path, {"t/0": [came(0, 0), came(1, SLICE_MS + 1_000)], "t/1": [came(4, SLICE_MS)], "t/2": []})
    first, second, end = played(told)
    assert [(one.partition, len(one.raws), one.read_at, one.idle_ms) for one in first] == [("t/0", 1, AT, 0)]
    assert [(one.partition, len(one.raws), one.idle_ms) for one in second] == [
        ("t/1", 1, 0),
        ("t/0", 1, 0),
        ("t/2", 0, SLICE_MS + 1_000),
    ]
    assert {one.read_at for one in second} == {AT + SLICE_MS + 1_000}
    assert [(one.partition, one.first_position, one.read_at, one.idle_ms) for one in end] == [
        ("t/0", 2, AT + 60_000, 49_000),
        ("t/1", 5, AT + 60_000, 50_000),
        ("t/2", 0, AT + 60_000, 60_000),
    ]
    assert {one.complete for some in (first, second, end) for one in some} == {None}
    assert [some[-1].is_marked for some in (first, second, end)] == [True, True, True]


def test_clocks_of_producers_do_not_turn_the_order_round(tmp_path: Path) -> None:
    """
    A record after another one came after it, whatever its time says; decoded it is by its own.
    """
    told = recording(tmp_path, {"t/0": [came(0, 9_000), came(1, 1_000), came(2, -1)]})
    (batch,), _ = played(told)
    assert batch.came_at == [AT + 9_000, AT + 1_000, AT + 9_000]


def test_who_is_told_to_stop_stops(tmp_path: Path) -> None:
    """
    In the middle of it.
    """
    flag = Flag()
    told = recording(tmp_path, {"t/0": [came(0, 0), came(1, 2 * SLICE_MS)]})
    part = RecordedSource(told, 10, IDLE_MS, flag).build_part("s", "recorded", None)
    part.next_batch()
    flag.is_told = True
    with pytest.raises(StopIteration):
        part.next_batch()
