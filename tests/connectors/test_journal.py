"""
The journal of what a process has taken in: found again whole after a kill, wherever that came.
"""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from connectors.batches import RawBatch
from connectors.journal import PATTERN, Journal, Taken, entries_after


def batch(number: int) -> RawBatch:
    """
    Make the batch of that number, unlike all others.
    """
    return RawBatch(f"events/{number % 3}", [b"x"] * (number % 4), number, read_at=1_000 + number, idle_ms=number % 2)


def taken(number: int) -> Taken:
    """
    Say what its entry says.
    """
    return Taken(
        f"events/{number % 3}", number, number % 4, None, None, 1_000 + number, number % 2, False, False, 10 * number
    )


def note(journal: Journal, numbers: range) -> None:
    """
    Note batches.
    """
    for number in numbers:
        journal.note(batch(number), 10 * number)


@given(
    epochs=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    back=st.integers(0, 2),
    torn=st.binary(max_size=20),
)
def test_what_came_after_a_checkpoint_is_found_again(
    tmp_path_factory: object, epochs: list[int], back: int, torn: bytes
) -> None:
    """
    From each of the last checkpoints on, with whatever a kill has left at the end of the file; and again after that.
    """
    folder: Path = tmp_path_factory.mktemp("journal")  # type: ignore[attr-defined]  # pytest's
    journal = Journal(folder, fsync=False)
    assert journal.resume(0) == []
    ends = [0]
    for count in epochs:
        note(journal, range(ends[-1], ends[-1] + count))
        ends.append(ends[-1] + count)
        journal.checkpoint(ends[-1])
    note(journal, range(ends[-1], ends[-1] + 3))
    end = ends[-1] + 3
    journal.close()
    last = max(folder.glob(PATTERN), key=lambda path: int(path.suffix[1:]))
    with last.open("ab") as file:
        file.write(torn)
    start = ends[max(0, len(ends) - 1 - back)]

    assert entries_after(folder, start) == end - start
    again = Journal(folder, fsync=True)
    assert again.resume(start) == [taken(number) for number in range(start, end)]
    note(again, range(end, end + 2))
    again.close()
    assert Journal(folder, fsync=False).resume(start) == [taken(number) for number in range(start, end + 2)]


def test_files_that_no_checkpoint_needs_are_removed(tmp_path: Path) -> None:
    """
    A checkpoint every other batch: the folder has the files of the last three, however long it goes on.
    """
    journal = Journal(tmp_path, fsync=False)
    journal.resume(0)
    for number in range(0, 40, 2):
        note(journal, range(number, number + 2))
        journal.checkpoint(number + 2)
        assert len(list(tmp_path.glob(PATTERN))) <= 4


def test_a_batch_comes_again_as_it_was(tmp_path: Path) -> None:
    """
    All that says when it was read and what was known then comes with it.
    """
    journal = Journal(tmp_path, fsync=False)
    journal.resume(0)
    raw = RawBatch("events/1", [b"a", b"b"], 7, 5, 6, 8, [3, 4], 9, is_marked=True, is_first=True)
    journal.note(raw, 12)
    journal.close()

    (entry,) = Journal(tmp_path, fsync=False).resume(0)

    raw.as_of = 12
    assert entry.batch([b"a", b"b"], [3, 4], is_sent=False) == raw
