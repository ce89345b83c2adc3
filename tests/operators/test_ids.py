"""Ids that depend on their cause only, and the hash that Kafka's producers use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.ids import digest, murmur2
from operators.trigger import slot_key, trigger_id


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: str, hashed: int) -> None:
    """
    The vectors of Kafka's UtilsTest, made positive as its partitioner makes them.
    """
    assert murmur2(key.encode()) == hashed & 0x7FFFFFFF


@given(st.binary(max_size=40))
def test_murmur2_is_a_partition_number(data: bytes) -> None:
    """
    Of any bytes, also none: 31 bits, never negative.
    """
    assert 0 <= murmur2(data) < 2**31


def test_an_id_is_of_its_parts() -> None:
    """
    128 bits in hexadecimal; "a|b" is not "a" and "b", and numbers count as they are written.
    """
    assert len(digest("cart", "c1")) == 32
    assert digest("a", "b") != digest("a|b") != digest("ab")
    assert digest("a", 1) == digest("a", "1")


@given(st.text(), st.text(), st.text(), st.text())
def test_different_parts_have_different_ids(a: str, b: str, c: str, d: str) -> None:
    """
    No two ways to cut a text into parts meet, as long as it holds no unit separator.
    """
    parts = [text.replace("\x1f", "") for text in (a, b, c, d)]
    first, second = (parts[0], parts[1]), (parts[2], parts[3])
    assert (digest(*first) == digest(*second)) == (first == second)


def test_a_lone_surrogate_has_an_id() -> None:
    """
    Broken text from a broken client is text.
    """
    assert len(digest("\ud800")) == 32


def test_a_trigger_id_is_of_action_and_cause() -> None:
    """
    The same cause is another trigger for another action and another occurrence; the slot is the family's.
    """
    ids = {
        trigger_id("cart_abandoned", "c1"),
        trigger_id("cart_abandoned", "c1", 2),
        trigger_id("checkout_abandoned", "c1"),
        trigger_id("cart_abandoned", "c2"),
        slot_key("cart", "c1"),
    }
    assert len(ids) == 5
    assert trigger_id("cart_abandoned", "c1") == trigger_id("cart_abandoned", "c1", 1)
