"""One event told twice is one event, within the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.duplicates import Duplicates
from operators.rules import DuplicateRules

DAY = 86_400_000
RULES = DuplicateRules(window_ms=DAY, ids_max=1_000)


def test_an_id_is_new_once() -> None:
    """
    Another id is another event, at whatever time.
    """
    duplicates = Duplicates(RULES)
    assert [duplicates.is_new(id_, 10) for id_ in ("a", "a", "b", "a")] == [True, False, True, False]


@pytest.mark.parametrize("apart_ms", [0, 1, DAY // 2 - 1, DAY // 2])
@pytest.mark.parametrize("first", [0, DAY // 2 - 1, DAY // 2, 10 * DAY + 17])
def test_a_repeat_with_another_time_is_found(first: int, apart_ms: int) -> None:
    """
    A retry that was corrected by another receive time, up to half the window apart, before or after.
    """
    later, earlier = Duplicates(RULES), Duplicates(RULES)
    assert [later.is_new("a", first), later.is_new("a", first + apart_ms)] == [True, False]
    assert [earlier.is_new("a", first + apart_ms), earlier.is_new("a", first)] == [True, False]


def test_an_id_is_remembered_for_the_window_and_not_much_longer() -> None:
    """
    Until the watermark is a window past it, it is known; half a window later it is gone.
    """
    duplicates = Duplicates(RULES)
    at = 10 * DAY + 5
    duplicates.is_new("a", at)
    assert duplicates.forget(at + DAY) == []
    assert duplicates.is_new("a", at) is False
    assert duplicates.forget(at + DAY + DAY // 2) == [20]
    assert duplicates.is_new("a", at) is True


def test_memory_is_bounded() -> None:
    """
    Over the limit the oldest go early, and are counted; the newest generation is kept whatever its size.
    """
    duplicates = Duplicates(DuplicateRules(window_ms=DAY, ids_max=10))
    for number in range(8):
        duplicates.is_new(f"old-{number}", 0)
    for number in range(12):
        duplicates.is_new(f"new-{number}", DAY)
    assert duplicates.forget(0) == [0]
    assert duplicates.forgotten_early == 8
    assert duplicates.is_new("new-0", DAY) is False


def test_ids_come_back_from_a_checkpoint() -> None:
    """
    What is fresh is what the next checkpoint must add; taken back, it is known and no longer fresh.
    """
    before = Duplicates(RULES)
    before.is_new("a", 5)
    before.is_new("b", DAY)
    assert before.fresh == {0: ["a"], 2: ["b"]}
    after = Duplicates(RULES)
    for generation, ids in before.fresh.items():
        after.restore(generation, ids)
    assert [after.is_new("a", 5), after.is_new("b", DAY), after.is_new("c", 5)] == [False, False, True]
    assert after.fresh == {0: ["c"], 2: []}


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-DAY // 4, DAY // 4), st.booleans()), max_size=60))
def test_duplicates_are_what_a_set_says(told: list[tuple[int, int, bool]]) -> None:
    """
    As long as repeats are within half a window of each other and the watermark within the window, an id is new
    exactly the first time, also through forgetting in between.
    """
    duplicates = Duplicates(RULES)
    seen: set[int] = set()
    for number, apart_ms, is_forgetting in told:
        at = 100 * DAY + number * DAY // 40 + apart_ms
        assert duplicates.is_new(str(number), at) == (number not in seen)
        seen.add(number)
        if is_forgetting:
            duplicates.forget(100 * DAY)
