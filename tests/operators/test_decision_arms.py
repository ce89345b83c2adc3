"""Arms of experiments as the engine gives them: how many are held out, and that they know nothing of each other.

That nobody changes sides through a login or a merge is told in tests/stories/test_nightmares_of_no.py; how an arm is
drawn is tested in tests/operators/test_experiment.py.
"""

from collections import Counter
from collections.abc import Iterable
from functools import cache

import pytest

from config.settings import Settings
from operators.decision import Decider
from operators.event import Event
from operators.profile import ProfileOperator
from operators.profile_state import pack, unpack
from operators.trigger import Suppressed, Trigger
from tests.operators import decided
from tests.story import DAY_1

PROFILES = 100_000

# Chi-square with one degree of freedom is above this once in a thousand times by chance. What is held against it is
# always the same, as ids of profiles and names of experiments are.
ONE_IN_1000 = 10.828


def rule(name: str) -> decided.Said:
    """A task for the shop's own people, once a search, for all but who is held out."""
    said = {"id": name, "family": "service", "slot": name, "on": "searched", "channels": ["crm"], "purpose": "service"}
    return said | {"holdout": 0.05, "variants": {"a": 50, "b": 50}}


BOOK = decided.book({"actions": [rule("one"), rule("other")]})


def search(number: int, at: int = DAY_1) -> Event:
    return Event("searched", at, f"e{number}-{at}", "web", f"visitor-{number}", f"visitor-{number}")


@cache
def arms() -> tuple[Counter[tuple[str, str]], int]:
    """In how many profiles which arms of both came together, and how many changed theirs by a rest in between."""
    operator = ProfileOperator(Settings().visitor_rules(), Decider(BOOK))
    found: Counter[tuple[str, str]] = Counter()
    changed = 0
    for number in range(PROFILES):
        key = f"visitor-{number}"
        profile, out = operator.on_event(key, None, search(number), -1)
        mine = told(out)
        found[mine["one"], mine["other"]] += 1
        if number % 50 == 0:
            assert profile is not None
            _, out = operator.on_event(key, unpack(key, pack(key, profile)), search(number, DAY_1 + 1), -1)
            changed += told(out) != mine
    return found, changed


def told(out: Iterable[object]) -> dict[str, str]:
    """The arm in each experiment: a variant, or "holdout"."""
    mine = {}
    for one in out:
        if isinstance(one, Trigger):
            mine[one.rule.id] = one.variant
        elif isinstance(one, Suppressed):
            mine[one.rule.id] = one.reason
    return mine


@pytest.mark.parametrize("place", [0, 1])
def test_five_percent_are_five_percent(place: int) -> None:
    """
    Of 100,000 profiles 4.8 to 5.2 % are sent nothing for being held out, and of the others half get each variant.
    """
    found: Counter[str] = Counter()
    for pair, count in arms()[0].items():
        found[pair[place]] += count
    assert found.total() == PROFILES
    assert set(found) == {"holdout", "a", "b"}
    assert 0.048 <= found["holdout"] / PROFILES <= 0.052
    assert 0.49 <= found["a"] / (found["a"] + found["b"]) <= 0.51


@pytest.mark.parametrize("arm", ["holdout", "a"])
def test_an_arm_says_nothing_of_another_experiment_s(arm: str) -> None:
    """
    Who is in it in one experiment is in it in the other as often as anybody: chi-square of the four counts.
    """
    counts: Counter[tuple[bool, bool]] = Counter()
    for (one, other), count in arms()[0].items():
        if arm == "holdout" or "holdout" not in (one, other):
            counts[one == arm, other == arm] += count
    total, chi_square = counts.total(), 0.0
    for mine in (False, True):
        for its in (False, True):
            row, column = counts[mine, False] + counts[mine, True], counts[False, its] + counts[True, its]
            expected = row * column / total
            chi_square += (counts[mine, its] - expected) ** 2 / expected
    assert chi_square < ONE_IN_1000


def test_nobody_changes_sides_by_a_rest() -> None:
    """
    Of two thousand who rest as bytes between two searches, all are in the arms where they were.
    """
    assert arms()[1] == 0
