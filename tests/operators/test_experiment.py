"""Experiments: shares, weights, and that an arm stays what it was."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.experiment import BUCKETS, Experiment

IDS = [f"anon-{n}" for n in range(100_000)]
ARMS = {"story": 50.0, "promo": 30.0, "plain": 20.0}

ids = st.text(max_size=40)
weights = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.floats(0.01, 1_000), min_size=1, max_size=6)


def chi_square(counts: list[float], expected: list[float]) -> float:
    return sum((count - share) ** 2 / share for count, share in zip(counts, expected, strict=True))


def test_a_holdout_of_five_percent_holds_out_five_percent() -> None:
    """
    Of 100,000 people between 4.8 and 5.2 %.
    """
    held_out = sum(Experiment("cart", 0.05, {}).holds_out(one) for one in IDS)
    assert 4_800 <= held_out <= 5_200


def test_buckets_are_even() -> None:
    """
    Of 10,000 buckets in a hundred groups none is fuller than chance makes it (chi-square, one in a million).
    """
    experiment = Experiment("cart", 0.05, {})
    groups = Counter(experiment.bucket(one) // 100 for one in IDS)
    assert set(groups) == set(range(100))
    assert chi_square([groups[n] for n in range(100)], [1_000] * 100) < 178


def test_experiments_are_independent() -> None:
    """
    Who is held out of one, and gets which variant there, says nothing about another (chi-square, one in a million).
    """
    one, two = Experiment("cart", 0.5, ARMS), Experiment("browse", 0.5, ARMS)
    pairs = Counter((one.holds_out(id_), two.holds_out(id_)) for id_ in IDS)
    assert chi_square([pairs[a, b] for a in (True, False) for b in (True, False)], [25_000] * 4) < 31
    arms = Counter((one.variant(id_), two.variant(id_)) for id_ in IDS)
    expected = [10 * first * second for first in ARMS.values() for second in ARMS.values()]
    assert chi_square([arms[a, b] for a in ARMS for b in ARMS], expected) < 43


def test_variants_do_not_depend_on_who_is_held_out() -> None:
    """
    In one experiment too: each arm loses as much of it to the control group.
    """
    experiment = Experiment("cart", 0.2, ARMS)
    counts = Counter((experiment.holds_out(one), experiment.variant(one)) for one in IDS)
    expected = [1_000 * weight * share for share in (0.2, 0.8) for weight in ARMS.values()]
    assert chi_square([counts[out, arm] for out in (True, False) for arm in ARMS], expected) < 36


def test_an_arm_stays_what_it_was() -> None:
    """
    On any machine and in any later version: nobody who has seen the story is shown the promotion.
    """
    experiment = Experiment("cart_email", 0.05, {"story": 50, "promo": 50})
    assert [experiment.bucket(one) for one in ("anon-1", "", "ключ")] == [2819, 1265, 8597]
    assert "".join((experiment.arm(f"anon-{n}") or "-")[0] for n in range(60)) == (
        "pspp-spspspspsssssspppppsppspspssp-pppsssssppspppppp-ppssspp"
    )


def test_who_is_held_out_stays_so_when_the_share_grows() -> None:
    """
    And a share of 0 holds out nobody, of 1 everybody.
    """
    shares = [0.0, 0.0001, 0.05, 0.1, 0.9999, 1.0]
    held_out = [{one for one in IDS[:20_000] if Experiment("cart", share, {}).holds_out(one)} for share in shares]
    assert all(small <= large for small, large in pairwise(held_out))
    assert held_out[0] == set()
    assert held_out[-1] == set(IDS[:20_000])


def test_a_bucket_below_the_share_is_out_and_the_one_at_it_is_not() -> None:
    """
    Of a share of 5 % bucket 499 is the last.
    """
    experiment = Experiment("cart", 0.05, {})
    by_bucket = {experiment.bucket(one): one for one in IDS}
    assert experiment.holds_out(by_bucket[499])
    assert not experiment.holds_out(by_bucket[500])


@given(ids, weights, st.floats(0.01, 1_000))
def test_another_weight_moves_people_to_or_from_that_variant_only(
    assignment_id: str, told: dict[str, float], weight: float
) -> None:
    """
    More weight never takes anybody away from it, less never brings anybody to it.
    """
    before = Experiment("cart", 0, told).variant(assignment_id)
    for name, weight_before in told.items():
        after = Experiment("cart", 0, told | {name: weight}).variant(assignment_id)
        if after != before:
            assert (after if weight > weight_before else before) == name


@given(ids, weights)
def test_a_variant_that_goes_takes_only_its_own_people_along(assignment_id: str, told: dict[str, float]) -> None:
    """
    A weight of 0 is the same as none, and so is the order they are written in.
    """
    before = Experiment("cart", 0, told).variant(assignment_id)
    for name in told:
        rest = {one: weight for one, weight in told.items() if one != name}
        after = Experiment("cart", 0, rest).variant(assignment_id)
        if before != name:
            assert after == before
        if rest:
            assert Experiment("cart", 0, {name: 0.0} | rest).variant(assignment_id) == after
    assert Experiment("cart", 0, dict(reversed(told.items()))).variant(assignment_id) == before


@given(ids, st.text(min_size=1, max_size=60), weights)
def test_an_arm_is_a_variant_or_none_for_who_is_held_out(assignment_id: str, name: str, told: dict[str, float]) -> None:
    """
    Whatever the ids and names, and without variants too.
    """
    experiment = Experiment(name, 0.5, told)
    assert 0 <= experiment.bucket(assignment_id) < BUCKETS
    expected = None if experiment.bucket(assignment_id) < 5_000 else experiment.variant(assignment_id)
    assert experiment.arm(assignment_id) == expected
    assert experiment.variant(assignment_id) in told
    assert Experiment(name, 0, {}).arm(assignment_id) == ""


@pytest.mark.parametrize(
    ("name", "share", "told", "complaint"),
    [
        ("", 0.05, {}, "has no name"),
        ("cart", 0.05, {"": 1.0}, "has no name"),
        ("cart", -0.01, {}, "the holdout of cart is -0.01 but must be 0 to 1"),
        ("cart", 5.0, {}, "the holdout of cart is 5.0 but must be 0 to 1"),
        ("cart", float("nan"), {}, "the holdout of cart is nan"),
        ("cart", 0.00005, {}, "steps of 0.01 %"),
        ("cart", 0, {"a": -1.0}, "the weight of a in cart is -1.0"),
        ("cart", 0, {"a": float("inf")}, "the weight of a in cart is inf"),
        ("cart", 0, {"a": 0.0}, "all variants of cart have the weight 0"),
        ("cart", 0, {str(n): 1.0 for n in range(21)}, "cart has 21 variants but may have 20"),
    ],
)
def test_what_is_no_experiment_is_said(name: str, share: float, told: dict[str, float], complaint: str) -> None:
    """
    By its name, with the number that is wrong.
    """
    with pytest.raises(ValueError, match=complaint.replace("(", "[(]")):
        Experiment(name, share, told)


def test_every_step_of_a_share_is_one() -> None:
    """
    From 0.0001 to 1, however a float spells it.
    """
    for n in range(BUCKETS + 1):
        assert Experiment("cart", n / BUCKETS, {}).name == "cart"
