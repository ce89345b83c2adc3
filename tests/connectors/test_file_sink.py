"""
Files as a sink: what a checkpoint did not count is cut off, so that a replay does not write it twice.
"""

from pathlib import Path

import pytest

from connectors.file_sink import FilePart, FileSink, SinkError


def test_a_stream_is_a_file_of_its_name(tmp_path: Path) -> None:
    """
    Parts are in alphabetical order, as the engine counts them, and each is written to its own file.
    """
    sink = FileSink(tmp_path, ["sessions", "carts"], fsync=True)
    parts = sink.list_parts()
    for stream in ("sessions", "carts"):
        part = sink.build_part("sink", parts[sink.part_fn(stream)], None)
        part.write_batch([stream.encode() + b" 1\n", stream.encode() + b" 2\n"])
        part.close()

    assert parts == ["carts", "sessions"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "carts.jsonl": "carts 1\ncarts 2\n",
        "sessions.jsonl": "sessions 1\nsessions 2\n",
    }


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    """
    Resumed at the length of the first epoch, the lines of the second are gone, and writing goes on from there.
    """
    path = tmp_path / "sessions.jsonl"
    part = FilePart(path, 0, fsync=False)
    part.write_batch([b"first\n", b"second\n"])
    length = part.snapshot()
    part.write_batch([b"third\nfou"])
    part.close()

    resumed = FilePart(path, length, fsync=False)
    cut = path.read_bytes()
    resumed.write_batch([b"third\n"])
    lengths = length, resumed.snapshot()
    resumed.close()

    assert cut == b"first\nsecond\n"
    assert path.read_bytes() == b"first\nsecond\nthird\n"
    assert lengths == (13, 19)


def test_a_file_that_no_checkpoint_knows_begins_anew(tmp_path: Path) -> None:
    """
    Without a checkpoint, what an earlier run left is not part of this one.
    """
    path = tmp_path / "sessions.jsonl"
    path.write_bytes(b"of another run\n")
    FilePart(path, 0, fsync=False).close()

    assert path.read_bytes() == b""


def test_each_write_can_be_read_at_once(tmp_path: Path) -> None:
    """
    Who follows the file sees a record when it is written, not at the next checkpoint.
    """
    part = FilePart(tmp_path / "sessions.jsonl", 0, fsync=False)
    part.write_batch([b"line\n"])
    seen = (tmp_path / "sessions.jsonl").read_bytes()
    part.close()

    assert seen == b"line\n"


def test_a_file_shorter_than_its_checkpoint_is_refused(tmp_path: Path) -> None:
    """
    Something else has written to it: one line says so, and nothing is touched.
    """
    path = tmp_path / "sessions.jsonl"
    path.write_bytes(b"short\n")

    with pytest.raises(SinkError) as caught:
        FilePart(path, 7, fsync=False)

    assert str(caught.value) == f"{path} has 6 bytes where the checkpoint has 7; restore it or start anew"
    assert path.read_bytes() == b"short\n"


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    """
    A checkpoint that counted lines, and no file: they are lost, which must not pass in silence.
    """
    path = tmp_path / "sessions.jsonl"

    with pytest.raises(SinkError) as caught:
        FilePart(path, 7, fsync=False)

    assert str(caught.value) == f"{path} has 0 bytes where the checkpoint has 7; restore it or start anew"
    assert not path.exists()
