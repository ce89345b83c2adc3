"""One event told twice is one event, within the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.duplicates import ANY, Duplicates
from operators.rules import DuplicateRules

DAY = 86_400_000
SHOP, CRM = "shop.events", "crm.events"
RULES = DuplicateRules(window_ms=DAY, ids_max=1_000)


def test_an_id_is_new_once() -> None:
    """
    Another id is another event, at whatever time.
    """
    shop = Duplicates(RULES).of(SHOP)
    assert [shop.is_new(id_, 10) for id_ in ("a", "a", "b", "a")] == [True, False, True, False]


@pytest.mark.parametrize("apart_ms", [0, 1, DAY // 2 - 1, DAY // 2])
@pytest.mark.parametrize("first", [0, DAY // 2 - 1, DAY // 2, 10 * DAY + 17])
def test_a_repeat_with_another_time_is_found(first: int, apart_ms: int) -> None:
    """
    A retry that was corrected by another receive time, up to half the window apart, before or after.
    """
    later, earlier = Duplicates(RULES).of(SHOP), Duplicates(RULES).of(SHOP)
    assert [later.is_new("a", first), later.is_new("a", first + apart_ms)] == [True, False]
    assert [earlier.is_new("a", first + apart_ms), earlier.is_new("a", first)] == [True, False]


def test_an_id_is_remembered_for_the_window_and_not_much_longer() -> None:
    """
    Until the watermark is a window past it, it is known; half a window later it is gone.
    """
    duplicates = Duplicates(RULES)
    at = 10 * DAY + 5
    duplicates.of(SHOP).is_new("a", at)
    assert duplicates.forget(at + DAY) == []
    assert duplicates.of(SHOP).is_new("a", at) is False
    assert duplicates.forget(at + DAY + DAY // 2) == [(SHOP, 20)]
    assert duplicates.of(SHOP).is_new("a", at) is True


@pytest.mark.parametrize("other", [SHOP, CRM])
def test_memory_is_bounded(other: str) -> None:
    """
    Over the limit, which is that of all sources together, the oldest go early, and are counted; the newest generation
    is kept whatever its size.
    """
    duplicates = Duplicates(DuplicateRules(window_ms=DAY, ids_max=10))
    for number in range(8):
        duplicates.of(SHOP).is_new(f"old-{number}", 0)
    assert duplicates.forget(0) == []
    for number in range(12):
        duplicates.of(other).is_new(f"new-{number}", DAY)
    assert duplicates.forget(0) == [(SHOP, 0)]
    assert duplicates.forgotten_early == 8
    assert duplicates.of(other).is_new("new-0", DAY) is False
    assert duplicates.of(SHOP).is_new("old-0", 0) is True


def test_each_source_has_ids_of_its_own() -> None:
    """
    What one topic calls 4711 is not what another one calls so.
    """
    duplicates = Duplicates(RULES)
    told = [SHOP, CRM, SHOP, CRM]
    assert [duplicates.of(source).is_new("4711", 10) for source in told] == [True, True, False, False]


def test_sources_may_share_their_ids() -> None:
    """
    With `across_sources` an id is one event wherever it comes from, also what was noted by source before.
    """
    duplicates = Duplicates(DuplicateRules(window_ms=DAY, ids_max=1_000, across_sources=True))
    assert duplicates.restore((SHOP, 0), ["earlier"]) == (ANY, 0)
    told = [(SHOP, "4711"), (CRM, "4711"), (CRM, "earlier")]
    assert [duplicates.of(source).is_new(id_, 10) for source, id_ in told] == [True, False, False]


def test_a_source_without_ids_is_forgotten() -> None:
    """
    Whoever reads a new file every hour does not remember the names of all of them.
    """
    duplicates = Duplicates(RULES)
    for hour in range(100):
        duplicates.of(f"{hour}.jsonl").is_new("a", hour * DAY)
        duplicates.forget(hour * DAY)
    assert sorted(duplicates.sources) == [ANY, "98.jsonl", "99.jsonl"]


@pytest.mark.parametrize("at", [0, DAY // 2 - 1, DAY // 2, DAY])
def test_ids_of_a_version_that_knew_no_sources_are_any_source_s(at: int) -> None:
    """
    They are found for every source, until the window is over for them.
    """
    duplicates = Duplicates(RULES)
    duplicates.restore((ANY, 1), ["a"])
    assert [duplicates.of(source).is_new("a", at) for source in (SHOP, CRM)] == [False, False]
    assert duplicates.of(SHOP).is_new("b", at) is True
    assert (ANY, 1) in duplicates.forget(2 * DAY)
    assert duplicates.of(CRM).is_new("a", at) is True


def test_ids_come_back_from_a_checkpoint() -> None:
    """
    What is fresh is what the next checkpoint must add; taken back, it is known and no longer fresh.
    """
    before = Duplicates(RULES)
    shop = before.of(SHOP)
    shop.is_new("a", 5)
    shop.is_new("b", DAY)
    assert shop.fresh == {0: ["a"], 2: ["b"]}
    after = Duplicates(RULES)
    for generation, ids in shop.fresh.items():
        after.restore((SHOP, generation), ids)
    shop = after.of(SHOP)
    assert [shop.is_new("a", 5), shop.is_new("b", DAY), shop.is_new("c", 5)] == [False, False, True]
    assert shop.fresh == {0: ["c"], 2: []}


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(-DAY // 4, DAY // 4), st.booleans(), st.sampled_from((SHOP, CRM))),
        max_size=60,
    )
)
def test_duplicates_are_what_a_set_says(told: list[tuple[int, int, bool, str]]) -> None:
    """
    As long as repeats are within half a window of each other and the watermark within the window, an id of
    a source is new exactly the first time, also through forgetting in between.
    """
    duplicates = Duplicates(RULES)
    seen: set[tuple[str, int]] = set()
    for number, apart_ms, is_forgetting, source in told:
        at = 100 * DAY + number * DAY // 40 + apart_ms
        assert duplicates.of(source).is_new(str(number), at) == ((source, number) not in seen)
        seen.add((source, number))
        if is_forgetting:
            duplicates.forget(100 * DAY)
