"""
The cap: when a source is given up for what is rejected of it.
"""

from typing import Any

import pytest

from operators.rejected import Rejected
from pipeline.cap import RECENT_MIN, Cap


def bad(count: int, reason: Any = "not_json", replays: int = 0) -> list[Rejected]:  # noqa: ANN401 -- one of the reasons
    return [Rejected(reason, "", "shop/0", number, replays=replays) for number in range(count)]


def test_a_topic_that_turns_bad_after_a_good_month_is_noticed() -> None:
    """
    What counts are its last records, not those of all the time before.
    """
    cap = Cap(0.5)
    for _ in range(10_000):
        cap.judge("shop", 1_000, [])
    cap.judge("shop", 0, bad(500))
    assert cap.verdict == ""
    cap.judge("shop", 0, bad(501))
    assert cap.verdict.startswith(
        "shop: 1,001 of its last 1,001 records were rejected, 1,001 as not_json; that is 100%,"
    )
    assert "dead_letters.ratio_max is 0.5" in cap.verdict
    assert "\n" not in cap.verdict


def test_a_small_source_is_not_lost_among_large_ones() -> None:
    """
    Each is judged by itself.
    """
    cap = Cap(0.5)
    for _ in range(100):
        cap.judge("web", 5_000, [])
        cap.judge("calls", 0, bad(10, "unknown_format"))
    assert cap.verdict.startswith("calls: 1,000 of its last 1,000 records were rejected, 1,000 as unknown_format;")


def test_exactly_the_ratio_is_allowed() -> None:
    """
    Above it the run stops; of fewer than a thousand records no share is told.
    """
    cap = Cap(0.25)
    cap.judge("shop", 0, bad(RECENT_MIN - 1))
    assert cap.verdict == ""
    cap = Cap(0.25)
    for _ in range(100):
        cap.judge("shop", 30, bad(10))
    assert cap.verdict == ""
    cap.judge("shop", 29, bad(11))
    assert "251 of its last 1,000 records" in cap.verdict


def test_the_most_frequent_reason_is_named() -> None:
    """
    And how often it was that.
    """
    cap = Cap(0.5)
    cap.judge("shop", 200, [*bad(300), *bad(500, "missing_field")])
    assert cap.verdict.startswith(
        "shop: 800 of its last 1,000 records were rejected, 500 as missing_field; that is 80%,"
    )


def test_the_first_verdict_stays() -> None:
    """
    What is still on its way when it falls does not change it.
    """
    cap = Cap(0.5)
    cap.judge("shop", 0, bad(1_000))
    first = cap.verdict
    cap.judge("shop", 10_000, [])
    cap.judge("shop", 0, bad(5_000, "bad_time"))
    assert cap.verdict == first != ""


def test_what_was_fed_back_does_not_count() -> None:
    """
    A replay of what is still broken stops no run.
    """
    cap = Cap(0.5)
    cap.judge("shop", 0, bad(5_000, replays=1))
    cap.judge("shop", 600, bad(400))
    assert cap.verdict == ""
    cap.judge("shop", 0, bad(5_000, replays=1))
    cap.judge("shop", 0, bad(500))
    assert "900 of its last 1,500 records" in cap.verdict


@pytest.mark.parametrize(("ratio_max", "is_stopped"), [(1.0, False), (0.999, True), (0.0, True)])
def test_one_is_no_cap(ratio_max: float, is_stopped: bool) -> None:  # noqa: FBT001 -- as above
    """
    Not even where all is rejected; 0 stops at the first one.
    """
    cap = Cap(ratio_max)
    cap.judge("shop", 0, bad(2_000))
    assert bool(cap.verdict) == is_stopped
    one = Cap(ratio_max)
    one.judge("shop", 1_999, bad(1))
    assert bool(one.verdict) == (ratio_max == 0)
