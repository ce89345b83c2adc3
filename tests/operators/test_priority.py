"""Priority and arbitration: the formula, who wins, and what each of the others is told."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.priority import Candidate, Loss, Priority, arbitrate, context_factor, lever_factor


def worth(value: float) -> Priority:
    return Priority(1.0, 1.0, value, 1.0)


def candidate(action: str, value: float, group: str = "", slot: str = "s") -> Candidate:
    return Candidate(f"t-{action}", action, group, slot, worth(value))


def told(losses: list[Loss]) -> list[tuple[str, str, str]]:
    return [(loss.candidate.action, loss.reason, loss.winner.action) for loss in losses]


def won(winners: list[Candidate]) -> list[str]:
    return [one.action for one in winners]


actions = st.sampled_from(["cart", "checkout", "browse", "offer", "survey", "story"])
candidates = st.lists(
    st.builds(
        Candidate,
        st.integers(0, 10_000).map(str),
        actions,
        st.sampled_from(["", "cart", "offer"]),
        st.sampled_from(["mail", "site"]),
        st.builds(Priority, st.floats(0, 1), st.floats(0, 3), st.floats(0, 1e6), st.floats(0, 3)),
    ),
    max_size=12,
    unique_by=lambda one: one.trigger_id,
)


def test_all_factors_are_told() -> None:
    """
    Pega's formula with a propensity of 0.05, a context of 50, a value of 40 and no levers: 3.
    """
    priority = Priority(0.05, context_factor([50]), 40.0, lever_factor(0, 0, 0))
    assert priority.factors() == {"p": 0.05, "c": 1.5, "v": 40.0, "l": 1.0, "score": pytest.approx(3.0)}


def test_weights_are_hundredths() -> None:
    """
    55 makes 1.55, as Pega documents; several add up, and no sum makes it less than nothing.
    """
    assert lever_factor(0, 0, 55) == 1.55
    assert context_factor([50, -20, 5]) == 1.35
    assert context_factor([]) == 1.0
    assert context_factor([-100]) == context_factor([-60, -90]) == 0.0
    assert context_factor([-99]) == pytest.approx(0.01)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -0.01])
@pytest.mark.parametrize("place", range(4))
def test_what_cannot_be_compared_is_refused(number: float, place: int) -> None:
    """
    No number, an infinite one, one below 0, in each of the factors, by its name.
    """
    factors = [1.0, 1.0, 1.0, 1.0]
    factors[place] = number
    with pytest.raises(ValueError, match=f"{['propensity', 'context', 'value', 'levers'][place]} is {number}"):
        Priority(*factors)


def test_a_propensity_is_at_most_one_and_a_product_a_number() -> None:
    """
    1 is certain; 1e300 times itself is nothing to compare.
    """
    assert Priority(1.0, 1.0, 1.0, 1.0).score == 1.0
    with pytest.raises(ValueError, match=r"propensity is 1\.0000001 but must be 0 to 1"):
        Priority(1.0000001, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="too large to compare"):
        Priority(1.0, 1e300, 1e300, 1.0)


def test_more_value_wins_where_the_rest_is_equal() -> None:
    """
    40 against 25 (mission row 20); the other is told by whom it was outranked, and by how much.
    """
    winners, losses = arbitrate([candidate("story", 25), candidate("incentive", 40)])
    assert won(winners) == ["incentive"]
    assert told(losses) == [("story", "outranked", "incentive")]
    assert losses[0].detail == "outranked by incentive (40 to 25)"


def test_equal_scores_go_by_name() -> None:
    """
    Of two actions the first in the alphabet, of two triggers of one action the lower id.
    """
    winners, losses = arbitrate([candidate("b", 1), candidate("a", 1)])
    assert (won(winners), told(losses)) == (["a"], [("b", "outranked", "a")])
    twice = [Candidate("t2", "a", "", "s", worth(1)), Candidate("t1", "a", "", "s", worth(1))]
    assert [one.trigger_id for one in arbitrate(twice)[0]] == ["t1"]


def test_of_a_group_one_is_taken_in_whatever_slots() -> None:
    """
    Cart and checkout exclude each other though one would be a letter and one a prompt.
    """
    winners, losses = arbitrate([candidate("cart", 5, "cart", "mail"), candidate("checkout", 9, "cart", "site")])
    assert (won(winners), told(losses)) == (["checkout"], [("cart", "excluded", "checkout")])


def test_who_has_lost_keeps_nobody_out() -> None:
    """
    The checkout's letter is outranked; so the cart's prompt, which it would have excluded, is taken.
    """
    winners, losses = arbitrate(
        [
            candidate("news", 10, "", "mail"),
            candidate("checkout", 9, "cart", "mail"),
            candidate("cart", 5, "cart", "site"),
        ]
    )
    assert (won(winners), told(losses)) == (["news", "cart"], [("checkout", "outranked", "news")])


def test_a_slot_may_take_more_than_one() -> None:
    """
    Three for two places: the third is outranked by the last that got one.
    """
    winners, losses = arbitrate([candidate("a", 3), candidate("b", 2), candidate("c", 1)], per_slot=2)
    assert (won(winners), told(losses)) == (["a", "b"], [("c", "outranked", "b")])


def test_nobody_wins_where_nobody_runs() -> None:
    """
    And a candidate worth nothing wins where it is the only one.
    """
    assert arbitrate([]) == ([], [])
    assert won(arbitrate([candidate("a", 0)])[0]) == ["a"]


@given(candidates, st.integers(1, 3))
def test_each_candidate_wins_or_has_one_reason(told_of: list[Candidate], per_slot: int) -> None:
    """
    Never more winners than a slot takes nor two of a group; every reason names a winner of that slot or group that goes
    before.
    """
    winners, losses = arbitrate(told_of, per_slot)
    assert sorted([*winners, *(loss.candidate for loss in losses)], key=id) == sorted(told_of, key=id)
    slots = [one.slot for one in winners]
    groups = [one.group for one in winners if one.group]
    assert all(slots.count(slot) <= per_slot for slot in slots)
    assert len(groups) == len(set(groups))
    for loss in losses:
        mine, its = loss.candidate, loss.winner
        assert its in winners
        assert its.priority.score >= mine.priority.score
        assert loss.reason in {"excluded", "outranked"}
        assert mine.group == its.group != "" if loss.reason == "excluded" else mine.slot == its.slot
        if loss.reason == "outranked":
            assert slots.count(mine.slot) == per_slot
    for first, second in pairwise(winners):
        assert (-first.priority.score, first.action) <= (-second.priority.score, second.action)


@given(candidates, st.randoms(use_true_random=False))
def test_the_order_they_are_told_in_does_not_matter(told_of: list[Candidate], chance: Random) -> None:
    """
    Shuffled: the same winners in the same order, the same losses.
    """
    winners, losses = arbitrate(told_of)
    shuffled = list(told_of)
    chance.shuffle(shuffled)
    again, lost = arbitrate(shuffled)
    assert again == winners
    assert [(loss.candidate, loss.reason, loss.winner) for loss in lost] == [
        (loss.candidate, loss.reason, loss.winner) for loss in losses
    ]
