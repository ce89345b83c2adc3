"""
Why something was sent or not, made of what was published about it.
"""

from typing import Any, Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.attribution_record import AttributionRecord
from operators.explanation import CHECKS, Explanation, Occasion, Told, checks_of
from operators.priority import Priority
from operators.trigger import Factors, Suppression, cause
from operators.undoing import _OF_CARTS
from tests.pipeline.decisions import AT, AT_MS, credit, retraction, suppressed, trigger, withdrawal

LIMIT: Final = 10


def explained(*records: Any, limit: int = LIMIT) -> list[Occasion]:  # noqa: ANN401 -- what was published
    explanation = Explanation(limit)
    for record in records:
        explanation.take(record)
    return explanation.occasions()


def only(occasions: list[Occasion]) -> Told:
    ((told,),) = [occasion.candidates for occasion in occasions]
    return told


def failed(reason: Suppression, detail: str) -> str:
    (check,) = [one.check for one in checks_of(reason, detail) if one.verdict == "failed"]
    return check


# --- verdicts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "detail", "check"),
    [
        ("expired", "expired 2026-11-21T22:00:00.000Z", "expiry"),
        ("not_applicable", "the cart is purchased", "cause"),
        ("not_applicable", "unless profile.known", "cause"),
        ("not_applicable", "unless profile.known (no value)", "cause"),
        ("ineligible", "profile.known", "eligibility"),
        ("not_applicable", "profile.visits > 3", "applicability"),
        ("unsuitable", "on the telephone", "suitability"),
        ("cooldown", "last sent 2026-11-21T22:00:00.000Z", "cooldown"),
        ("declined", "declined 2026-11-21T22:00:00.000Z", "declines"),
        ("not_applicable", "its value cannot be told", "value"),
        ("quiet_hours", "sms: quiet until 2026-11-21T22:00:00.000Z", "channel"),
        ("cap", "email: 1 per 960 min of channel", "channel"),
        ("consent", "email: withdrawn", "channel"),
        ("no_channel", "email: no address", "channel"),
        ("excluded", "excluded by a (3 to 1)", "exclusion"),
        ("outranked", "outranked by a (3 to 1)", "slot"),
        ("holdout", "in the control group of all", "holdout"),
    ],
)
def test_what_comes_before_the_reason_was_passed_and_what_comes_after_not_asked(
    reason: Suppression, detail: str, check: str
) -> None:
    """
    In the order of the engine; of the check that failed the detail is told.
    """
    place = CHECKS.index(check)
    told = checks_of(reason, detail)
    assert [one.check for one in told] == list(CHECKS)
    assert [one.verdict for one in told[:place]] == ["passed"] * place
    assert (told[place].verdict, told[place].detail) == ("failed", detail)
    assert {one.verdict for one in told[place + 1 :]} <= {"not_asked"}


@pytest.mark.parametrize("detail", ["cancelled by order_completed", "more than 50 waits", "purchased", "changed"])
def test_what_was_given_up_while_it_waited_was_asked_nothing_else(detail: str) -> None:
    """
    Its cause has gone before anything was looked at.
    """
    told = {one.check: one.verdict for one in checks_of("not_applicable", detail)}
    assert told.pop("cause") == "failed"
    assert set(told.values()) == {"not_asked"}


def test_what_was_sent_has_passed_everything() -> None:
    """
    Nothing spoke against it.
    """
    assert [(one.check, one.verdict) for one in checks_of("")] == [(check, "passed") for check in CHECKS]


@given(reason=st.sampled_from(get_args(Suppression)), detail=st.text(max_size=30))
def test_each_reason_fails_exactly_one_check(reason: Suppression, detail: str) -> None:
    """
    Whatever the words are, of this version or another.
    """
    assert failed(reason, detail) in CHECKS
    assert len(checks_of(reason, detail)) == len(CHECKS)


@pytest.mark.parametrize(
    "factors", [(1.5, 1, 1, 1), (-1, 1, 1, 1), (1, -1, 1, 1), (1, 1, -3, 1), (1, 1, 1, float("nan"))]
)
def test_words_of_a_priority_that_is_none_are_known(factors: tuple[float, float, float, float]) -> None:
    """
    What the engine says where a rule's value cannot be told is no condition.
    """
    with pytest.raises(ValueError, match=r"must be|too large") as error:
        Priority(*factors)
    assert failed("not_applicable", str(error.value)) == "value"


def test_a_product_without_end_is_known_too() -> None:
    """
    The factors are numbers, what comes of them is none.
    """
    with pytest.raises(ValueError, match="too large") as error:
        Priority(1, 1e200, 1e200, 1)
    assert failed("not_applicable", str(error.value)) == "value"


def test_words_of_carts_are_known() -> None:
    """
    All that can become of a cart, as what is held is told and as what is decided is.
    """
    for word in _OF_CARTS.values():
        assert failed("not_applicable", word) == "cause"
        assert failed("not_applicable", f"the cart is {word}") == "cause"


# --- occasions ------------------------------------------------------------------------------------------------


def test_candidates_of_one_cause_stand_together_the_winner_first() -> None:
    """
    Then by what they were worth; who was not asked for that comes last.
    """
    cheap, dear = Factors(1, 1, 1, 1, 1), Factors(1, 1, 2, 1, 2)
    (occasion,) = explained(
        suppressed("c", trigger_id="t4", action="d"),
        suppressed("b", trigger_id="t2", action="b", reason="outranked", priority=cheap),
        suppressed("a", trigger_id="t3", action="c", reason="excluded", priority=dear),
        trigger(),
    )
    assert (occasion.type, occasion.id, occasion.time) == ("cart.timer", "cart-1", AT)
    assert [(one.action, one.outcome, one.reason) for one in occasion.candidates] == [
        ("cart_abandoned", "sent", ""),
        ("c", "suppressed", "excluded"),
        ("b", "suppressed", "outranked"),
        ("d", "suppressed", "cooldown"),
    ]


def test_rules_on_one_event_are_one_occasion_whatever_they_are_about() -> None:
    """
    One acts per product, one per event: they were weighed against each other.
    """
    product, event = cause("product_viewed", "kettle", AT_MS, "e1"), cause("product_viewed", "e1", AT_MS, "e1")
    (occasion,) = explained(trigger(cause=product), suppressed("b", trigger_id="t2", cause=event))
    assert (occasion.id, [one.cause.id for one in occasion.candidates]) == ("e1", ["kettle", "e1"])


def test_another_time_or_type_or_id_is_another_occasion() -> None:
    """
    In the order in which they came about.
    """
    causes = [
        cause("cart.timer", "cart-1", AT_MS + 1),
        cause("cart.timer", "cart-2", AT_MS),
        cause("checkout.timer", "cart-1", AT_MS),
        cause("cart.timer", "cart-1", AT_MS),
    ]
    found = explained(*(suppressed(trigger_id=f"t{n}", cause=one) for n, one in enumerate(causes)))
    assert [(one.type, one.id, one.candidates[0].trigger_id) for one in found] == [
        ("cart.timer", "cart-1", "t3"),
        ("cart.timer", "cart-2", "t1"),
        ("checkout.timer", "cart-1", "t2"),
        ("cart.timer", "cart-1", "t0"),
    ]


RECORDS: Final = [
    trigger(),
    suppressed("b", trigger_id="t2", action="b"),
    suppressed("b", trigger_id="t2", action="b", cause=cause("cart.timer", "cart-1", AT_MS + 5)),
    retraction(),
    credit(),
    credit(trigger_id="t9", touched_at="2026-11-21T11:00:00.000Z"),
    withdrawal(),
]


@given(st.permutations(RECORDS * 2))
def test_order_and_repeats_of_records_change_nothing(records: list[Any]) -> None:
    """
    Streams are told at least once, and one before the other.
    """
    assert explained(*records) == explained(*RECORDS)
    assert sum(len(one.candidates) for one in explained(*records)) == 3


@given(st.permutations(range(20)), st.integers(1, 20))
def test_of_too_many_occasions_the_latest_stay(order: list[int], limit: int) -> None:
    """
    Whatever order they are read in; that there were more is told.
    """
    explanation = Explanation(limit)
    for n in order:
        explanation.take(suppressed(trigger_id=f"t{n}", cause=cause("cart.timer", "c", AT_MS + n)))
    found = explanation.occasions()
    assert [one.candidates[0].trigger_id for one in found] == [f"t{n}" for n in range(20 - limit, 20)]
    assert explanation.is_cut == (limit < 20)


# --- what became of it ----------------------------------------------------------------------------------------


def test_a_trigger_says_why_it_was_taken_back() -> None:
    """
    By what; another trigger's retraction says nothing of it.
    """
    told = only(explained(trigger(), retraction()))
    assert told.retracted is not None
    assert (told.retracted.reason, told.retracted.cause.id) == ("purchased", "order-1")
    assert only(explained(trigger(), retraction(trigger_id="t2"))).retracted is None


def states(*credits_: AttributionRecord) -> list[tuple[str, str]]:
    return [(one.order_id, one.state) for one in only(explained(trigger(), *credits_)).orders]


def test_an_order_is_credited_to_the_latest_touch() -> None:
    """
    Until another trigger has one, or the order is cancelled; another order is none of its business.
    """
    later = credit(trigger_id="t2", touched_at="2026-11-21T10:00:00.001Z")
    earlier = credit(trigger_id="t2", touched_at="2026-11-21T09:59:59.999Z")
    assert states(credit()) == [("order-1", "credited")]
    assert states(earlier, credit()) == [("order-1", "credited")]
    assert states(credit(), later) == [("order-1", "passed_on")]
    assert states(credit(), withdrawal()) == [("order-1", "withdrawn")]
    assert states(credit(order_id="order-2", trigger_id="t2")) == []


def test_an_order_counts_once_by_its_last_touch() -> None:
    """
    Opened, then clicked: both were told.
    """
    told = only(explained(trigger(), credit(), credit(touch="opened", touched_at="2026-11-21T09:00:00.000Z")))
    assert [(one.order_id, one.state, one.touch) for one in told.orders] == [("order-1", "credited", "clicked")]
