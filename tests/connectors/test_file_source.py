"""
Files and pipes as a source: every line once, where it lies, and never a watermark that a later line belies.
"""

import gzip
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event as Flag
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.batches import RawBatch
from connectors.file_source import (
    STRETCH_LINES,
    FilePartition,
    FileSource,
    PipePartition,
    Position,
    SourceError,
    SourceOptions,
)
from operators.event import FOREVER

OPTIONS: Final = SourceOptions(batch_records=3, is_exact=True, idle_after_ms=100, record_bytes_max=20)
STREAMED: Final = msgspec.structs.replace(OPTIONS, is_exact=False)


def times(raws: Sequence[bytes], _path: str = "") -> list[int | None]:
    """A record here is its own event time; other lines have none."""
    return [int(raw) if raw.strip().isdigit() else None for raw in raws]


def partition(
    path: Path, options: SourceOptions = OPTIONS, position: Position = (0, 0), stop: Flag | None = None
) -> FilePartition:
    """Open a file."""
    return FilePartition(str(path), options, times, stop or Flag(), position)


def drain(part: FilePartition | PipePartition) -> Iterator[list[RawBatch]]:
    """Read to the end; what each call hands on."""
    while True:
        try:
            batches = part.next_batch()
        except StopIteration:
            return
        if batches:
            yield batches


def told(path: Path, options: SourceOptions = OPTIONS, position: Position = (0, 0)) -> list[RawBatch]:
    """Read a file to its end."""
    part = partition(path, options, position)
    batches = [batch for batches in drain(part) for batch in batches]
    part.close()
    return batches


def lines_of(batches: Sequence[RawBatch]) -> list[tuple[int, bytes]]:
    """Give each record with its position."""
    return [(batch.first_position + i, raw) for batch in batches for i, raw in enumerate(batch.raws)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"1\n2\n", [(1, b"1"), (2, b"2")]),
        (b"1\n2", [(1, b"1"), (2, b"2")]),
        (b"1\r\n2\r\n", [(1, b"1\r"), (2, b"2\r")]),
        (b"\n\n1\n\r\n \n2\n\n", [(3, b"1"), (6, b"2")]),
        (b"1\n" + b"9" * 50 + b"\n2\n", [(1, b"1"), (2, b"9" * 21), (3, b"2")]),
    ],
    ids=["empty", "plain", "no last line end", "CRLF", "blank lines", "too long"],
)
@pytest.mark.parametrize("name", ["input.jsonl", "input.jsonl.gz"])
def test_every_line_comes_once_with_its_number(
    tmp_path: Path, name: str, content: bytes, expected: list[tuple[int, bytes]]
) -> None:
    """
    Blank lines count but do not come; a line too long comes cut, so that it is seen to be; the last batch says
    that this was the end.
    """
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    batches = told(path)

    assert lines_of(batches) == expected
    assert (batches[-1].complete, batches[-1].is_marked) == (FOREVER, True)
    assert [batch.complete for batch in batches[:-1]].count(FOREVER) == 0


CONTENTS: Final = st.lists(st.sampled_from([b"", b"\r", b"1", b"12", b"7" * 19, b"8" * 20, b"9" * 40])).map(b"\n".join)


@given(content=CONTENTS, reads=st.integers(0, 6), size=st.integers(1, 4), is_gzip=st.booleans())
def test_reading_goes_on_with_the_next_line(content: bytes, reads: int, size: int, is_gzip: bool) -> None:  # noqa: FBT001
    """
    What came before a checkpoint and what comes after it, at whatever line and batch size, are all the lines.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / ("input.gz" if is_gzip else "input")
        path.write_bytes(gzip.compress(content) if is_gzip else content)
        first = partition(path, msgspec.structs.replace(OPTIONS, batch_records=size))
        before = [batch for _, batches in zip(range(reads), drain(first), strict=False) for batch in batches]
        position = first.snapshot()
        first.close()

        assert lines_of(before) + lines_of(told(path, position=position)) == lines_of(told(path))


def test_a_file_that_grew_goes_on_where_it_ended(tmp_path: Path) -> None:
    """
    A checkpoint taken at the end is good for a file that has got longer since.
    """
    path = tmp_path / "input"
    path.write_bytes(b"1\n2\n")
    part = partition(path)
    list(drain(part))
    position = part.snapshot()
    part.close()
    with path.open("ab") as file:
        file.write(b"3\n")

    assert lines_of(told(path, position=position)) == [(3, b"3")]


@pytest.mark.parametrize("name", ["input", "input.gz"])
def test_a_file_that_is_shorter_than_what_was_read_is_refused(name: str, tmp_path: Path) -> None:
    """
    Behind the end of a file there is not its end, but something that is missing. A last line without an end counts as
    one with: from behind it reading goes on.
    """
    path, content = tmp_path / name, b"1\n2\n3"
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    assert lines_of(told(path, position=(6, 3))) == []
    with pytest.raises(SourceError) as caught:
        told(path, position=(7, 3))

    assert str(caught.value) == f"{path} ends at byte 5, but 7 bytes of it have been read; restore it whole"


INSTANTS: Final = st.lists(st.integers(0, 50).map(lambda at: b"%d" % at) | st.sampled_from([b"broken", b""]))


@given(lines=INSTANTS, size=st.integers(1, 7), position=st.integers(0, 5))
def test_no_later_line_is_earlier_than_what_was_said_to_be_complete(
    lines: list[bytes], size: int, position: int
) -> None:
    """
    In whatever order the lines are: `complete_before` holds for the batch and all after it, `complete` for all
    after it; only at the end is everything complete. So also after a resume.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        resume = sum(len(line) + 1 for line in lines[:position]), min(position, len(lines))
        batches = told(path, msgspec.structs.replace(OPTIONS, batch_records=size), resume)

    for i, batch in enumerate(batches):
        later = [at for other in batches[i + 1 :] for at in times(other.raws) if at is not None]
        own = [at for at in times(batch.raws) if at is not None]
        assert batch.complete_before is not None
        assert batch.complete is not None
        assert all(at > batch.complete_before for at in own + later)
        assert all(at > batch.complete for at in later)
        assert (batch.complete == FOREVER) == (i == len(batches) - 1)


def test_the_watermark_of_a_file_moves_by_stretches(tmp_path: Path) -> None:
    """
    In a file in order, what is complete follows the lines, a stretch at a time.
    """
    path = tmp_path / "input"
    path.write_bytes(b"".join(b"%d\n" % at for at in range(3 * STRETCH_LINES)))

    batches = told(path, msgspec.structs.replace(OPTIONS, batch_records=STRETCH_LINES))

    assert [(batch.complete_before, batch.complete) for batch in batches] == [
        (-1, STRETCH_LINES - 1),
        (STRETCH_LINES - 1, 2 * STRETCH_LINES - 1),
        (2 * STRETCH_LINES - 1, -1),  # nothing follows, but only the next look will tell that this is the end
        (-1, FOREVER),
    ]


def test_a_file_read_as_a_stream_says_nothing_of_time_before_its_end(tmp_path: Path) -> None:
    """
    Without the first pass the source does not know how far back later lines reach.
    """
    path = tmp_path / "input"
    path.write_bytes(b"1\n2\n3\n4\n")

    assert [(b.complete_before, b.complete) for b in told(path, STREAMED)] == [(None, None), (None, FOREVER)]


def test_a_stop_is_not_the_end(tmp_path: Path) -> None:
    """
    Told to stop, a file ends without saying that time is over, and is taken up at the next line.
    """
    path = tmp_path / "input"
    path.write_bytes(b"1\n2\n3\n4\n5\n")
    stop = Flag()
    part = partition(path, stop=stop)
    first = part.next_batch()
    stop.set()

    assert list(drain(part)) == []
    assert [batch.complete for batch in first] == [0]  # the file is one stretch, and that begins at 1
    assert lines_of(told(path, position=part.snapshot())) == [(4, b"4"), (5, b"5")]
    part.close()


def test_a_replay_is_paced(tmp_path: Path) -> None:
    """
    At a speed of one second a second, a line of a minute later is not yet there.
    """
    path = tmp_path / "input"
    path.write_bytes(b"1000\n1001\n61000\n")
    part = partition(path, msgspec.structs.replace(OPTIONS, speed=1.0))
    lines: list[tuple[int, bytes]] = []
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        lines += lines_of(part.next_batch())
        assert part.next_awake() is not None
    part.close()

    assert lines == [(1, b"1000"), (2, b"1001")]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("missing", "{path}: No such file or directory; check the name"),
        ("folder", "{path} is a folder; name the files in it, as in {path}/*.jsonl"),
        ("text.gz", "{path}: Not a gzipped file (b'te'); check the name"),
    ],
)
def test_an_input_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, name: str, complaint: str) -> None:
    """
    Cause and cure, before anything is read.
    """
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.gz").write_bytes(b"text")
    path = tmp_path / name

    with pytest.raises(SourceError) as caught:
        FileSource([str(path)], OPTIONS, times, Flag())

    assert str(caught.value) == complaint.format(path=path)


def test_an_input_named_twice_is_refused(tmp_path: Path) -> None:
    """
    A file is one partition; read twice, its events would all be duplicates.
    """
    path = tmp_path / "input"
    path.write_bytes(b"")

    with pytest.raises(SourceError, match="an input is named twice; name each file once"):
        FileSource([str(path), str(path)], OPTIONS, times, Flag())


def test_each_path_is_a_partition(tmp_path: Path) -> None:
    """
    A regular file and a named pipe are opened as what they are.
    """
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(b"1\n")
    os.mkfifo(pipe)
    source = FileSource([str(file), str(pipe)], OPTIONS, times, Flag())
    with open_to_write(pipe):
        parts: list[Any] = [source.build_part("source", name, None) for name in source.list_parts()]
    os.close(parts[1]._fd)  # noqa: SLF001 - an engine lets the process's end close it
    parts[0].close()

    assert source.list_parts() == [str(file), str(pipe)]
    assert [type(part) for part in parts] == [FilePartition, PipePartition]


# --- pipes --------------------------------------------------------------------------------------------------


@contextmanager
def open_to_write(path: Path) -> Iterator[int]:
    """Hold a pipe open for writing, so that opening it for reading does not wait."""
    fd = os.open(path, os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def piped(tmp_path: Path, position: Position = (0, 0), stop: Flag | None = None) -> Iterator[tuple[PipePartition, int]]:
    """Open a named pipe; give the partition that reads it, and what to write to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with open_to_write(path):
        part = PipePartition(str(path), STREAMED, stop or Flag(), position)
        writer = os.open(path, os.O_WRONLY)
    try:
        yield part, writer
    finally:
        os.close(part._fd)  # noqa: SLF001 - an engine lets the process's end close it


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    """
    Whole lines come at once, half of one when its rest has come, and its end is the end.
    """
    with piped(tmp_path, (10, 2)) as (part, writer):
        os.write(writer, b"1\n2\n3")
        first = part.next_batch()
        os.write(writer, b"4\n\n5")
        os.close(writer)
        rest = [batch for batches in drain(part) for batch in batches]
        snapshot = part.snapshot()

    assert lines_of(first) == [(3, b"1"), (4, b"2")]
    assert lines_of(rest) == [(5, b"34"), (7, b"5")]
    assert [batch.complete for batch in [*first, *rest]][-1] == FOREVER
    assert {batch.complete_before for batch in [*first, *rest]} == {None}
    assert all(batch.read_at is not None for batch in [*first, *rest])
    assert snapshot[1] == 7


def test_a_silent_pipe_says_how_long_it_has_been_silent(tmp_path: Path) -> None:
    """
    Nothing at first, and after `idle_after` a marker now and then, so that timers go on.
    """
    with piped(tmp_path) as (part, writer):
        os.write(writer, b"1\n")
        part.next_batch()
        at_once = part.next_batch()
        time.sleep(0.12)
        silent = part.next_batch()
        next_awake = part.next_awake()
        os.close(writer)

    assert at_once == []
    assert [(batch.raws, batch.is_marked, batch.complete) for batch in silent] == [([], True, None)]
    assert silent[0].idle_ms >= 100
    assert next_awake is not None


def test_a_pipe_told_to_stop_is_not_at_its_end(tmp_path: Path) -> None:
    """
    It ends without a word on time.
    """
    stop = Flag()
    with piped(tmp_path, stop=stop) as (part, writer):
        os.write(writer, b"1\n")
        stop.set()
        batches = list(drain(part))
        os.close(writer)

    assert batches == []
