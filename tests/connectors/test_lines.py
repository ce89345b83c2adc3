"""
A stream of bytes becomes the same lines however it is cut, and the sizes say where each line ends.
"""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.lines import LineSplitter, Taken

LIMIT: Final = 5
STREAMS: Final = st.lists(st.sampled_from([b"", b"\r", b"ab", b"abcde", b"abcdef", b"abcdefg", b"x" * 20])).map(
    b"\n".join
)


def lines_in(stream: bytes) -> list[bytes]:
    """The plain way: split the whole stream; a line that is too long is cut to one byte over the limit."""
    lines = stream.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line[: LIMIT + 1] for line in lines]


@given(stream=STREAMS | st.binary(max_size=40), cuts=st.lists(st.integers(1, 9)), counts=st.lists(st.integers(0, 4)))
def test_chunks_make_no_difference(stream: bytes, cuts: list[int], counts: list[int]) -> None:
    """
    Fed in pieces of any size and taken by any numbers in between, a stream gives the lines it has, and the
    sizes sum up to the offset at which the next line begins.
    """
    splitter = LineSplitter(LIMIT)
    lines: list[bytes] = []
    offset, fed = 0, 0
    while fed < len(stream):
        size = cuts.pop() if cuts else len(stream)
        splitter.feed(stream[fed : fed + size])
        fed += size
        taken = splitter.take(counts.pop() if counts else 1)
        lines += taken.lines
        offset += taken.size
        assert offset == sum(len(line) + 1 for line in stream.split(b"\n")[: len(lines)])
    splitter.end()
    lines += (rest := splitter.take(len(stream) + 1)).lines

    assert lines == lines_in(stream)
    assert offset + rest.size == len(stream) + (bool(stream) and not stream.endswith(b"\n"))
    assert len(splitter) == 0


@given(stream=STREAMS, at=st.integers(0, 60))
def test_a_stream_can_be_taken_up_where_the_sizes_say(stream: bytes, at: int) -> None:
    """
    What was taken and what a second splitter takes from the offset on are all the lines, none twice.
    """
    first, second = LineSplitter(LIMIT), LineSplitter(LIMIT)
    first.feed(stream)
    first.end()
    taken = first.take(at)
    second.feed(stream[taken.size :])
    second.end()

    assert taken.lines + second.take(len(stream) + 1).lines == lines_in(stream)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"abcde\n", Taken([b"abcde"], 6)),
        (b"abcdef\n", Taken([b"abcdef"], 7)),
        (b"abcdefg\n", Taken([b"abcdef"], 8)),
        (b"abcdefghijk\nx\n", Taken([b"abcdef", b"x"], 14)),
        (b"abcdefghijk", Taken([b"abcdef"], 12)),
    ],
)
def test_a_line_over_the_limit_shows_that_it_is(stream: bytes, expected: Taken) -> None:
    """
    A line at the limit is whole, one of a byte more too; a longer one is cut to that, and its size is the true one.
    """
    splitter = LineSplitter(LIMIT)
    splitter.feed(stream)
    splitter.end()

    assert splitter.take(9) == expected


def test_a_line_without_end_takes_no_memory() -> None:
    """
    Of a gigabyte without a line end, only the head is kept while the rest goes by.
    """
    splitter = LineSplitter(LIMIT)
    for _ in range(1_024):
        splitter.feed(b"x" * 1_048_576)
    splitter.feed(b"\nnext\n")

    assert splitter.take(1) == Taken([b"xxxxxx"], (1 << 30) + 1)
    assert splitter.take(1) == Taken([b"next"], 5)


def test_looking_takes_nothing() -> None:
    """
    What was looked at can still be taken.
    """
    splitter = LineSplitter(LIMIT)
    splitter.feed(b"a\nb\nc\n")
    splitter.take(1)

    assert (splitter.peek(1), splitter.peek(9), len(splitter)) == ([b"b"], [b"b", b"c"], 2)
    assert splitter.take(9) == Taken([b"b", b"c"], 4)
