"""
What metrics and the summary of a run say of decisions: each is counted once, under names that rules give.
"""

from collections import Counter
from typing import get_args

import pytest

from config.zones import zones
from operators.attribution import WINDOWS, Attribution
from operators.consent import ConsentRules
from operators.rule_book import Book, Policy, Rule
from operators.trigger import FAMILIES, RuleFault, Suppression, Undone
from pipeline.run import Outcome
from pipeline.tally import Tally
from pipeline.telemetry import Telemetry
from pipeline.terminal import summarize
from tests.pipeline.decisions import AT, AT_MS, credit, retraction, suppressed, trigger, withdrawal

Counts = dict[tuple[str, ...], float]


def read(tally: Tally, name: str) -> Counts:
    """What a metric says, by the values of its labels in the order of the labels' names, 0 included."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for found in Telemetry(tally).registry.collect()
        for sample in found.samples
        if sample.name in (f"nextmove_{name}", f"nextmove_{name}_total")
    }


def book(*rules: Rule, id_: str = "0f") -> Book:
    policy = Policy(ConsentRules({"all": True}, frozenset()), zones("UTC", {}), Attribution(WINDOWS))
    return Book(id_, list(rules), policy, 30_000)


def rule(id_: str, action: str, *channels: str, family: str = "cart") -> Rule:
    made = Rule(id_, 1, action, family, ("cart.timer",))
    made.channels = channels
    return made


def test_what_a_rule_may_bring_is_there_when_it_is_in_force() -> None:
    """
    At 0, with each of its channels; Prometheus sees no increase in what was not there before.
    """
    tally = Tally()
    tally.rules(book(rule("mail", "cart_abandoned", "email", "sms"), rule("hello", "welcome", "onsite")))
    assert read(tally, "triggers") == {
        ("cart_abandoned", "email", "cart"): 0,
        ("cart_abandoned", "sms", "cart"): 0,
        ("welcome", "onsite", "cart"): 0,
    }
    assert read(tally, "rule_matches") == read(tally, "rule_errors") == {("mail",): 0, ("hello",): 0}
    assert read(tally, "conversions") == {("cart_abandoned",): 0, ("welcome",): 0}
    assert read(tally, "experiment_exposures") == {}
    assert read(tally, "triggers_suppressed").keys() == {(f, r) for f in FAMILIES for r in get_args(Suppression)}
    assert read(tally, "triggers_retracted").keys() == {(f, r) for f in FAMILIES for r in get_args(Undone)}


def test_other_rules_leave_the_counts_of_those_before() -> None:
    """
    A rule that is gone keeps its counts, one that is still there goes on counting, a new one begins at 0.
    """
    tally = Tally()
    tally.rules(book(rule("mail", "cart_abandoned", "email"), rule("hello", "welcome", "onsite")))
    tally.record(trigger("mail"))
    tally.record(trigger("hello", action="welcome", channel="onsite"))
    tally.rules(book(rule("mail", "cart_abandoned", "email"), rule("bye", "farewell", "sms")))
    tally.record(trigger("mail"))
    assert read(tally, "rule_matches") == {("mail",): 2, ("hello",): 1, ("bye",): 0}
    assert read(tally, "triggers") == {
        ("cart_abandoned", "email", "cart"): 2,
        ("welcome", "onsite", "cart"): 1,
        ("farewell", "sms", "cart"): 0,
    }


def test_a_scrape_says_which_rules_are_in_force() -> None:
    """
    One book at a time; whether the files of today are in it, and how often they were read anew, from the start.
    """
    tally = Tally()
    assert read(tally, "rules_info") == {}
    assert read(tally, "config_last_reload_success") == {(): 1}
    assert read(tally, "rule_reloads") == {("taken",): 0, ("refused",): 0}
    tally.rules(book(rule("mail", "cart_abandoned", "email")))
    tally.rules(book(rule("mail", "cart_abandoned", "sms"), id_="1f"))
    tally.reloads["refused"], tally.is_reloaded = 2, False
    assert read(tally, "rules_info") == {("1f",): 1}
    assert read(tally, "config_last_reload_success") == {(): 0}
    assert read(tally, "rule_reloads") == {("taken",): 0, ("refused",): 2}


def test_each_record_of_a_decision_is_counted() -> None:
    """
    Triggers and what was held back by their rule, what was taken back by its reason and under no rule.
    """
    tally = Tally()
    for record in (
        trigger("mail"),
        trigger("call", channel="phone"),
        suppressed("mail", reason="cap"),
        suppressed("mail", reason="cap"),
        suppressed("hello", action="welcome", family="journey", reason="quiet_hours"),
        retraction("mail"),
        retraction("mail", reason="consent", family="journey"),
    ):
        tally.record(record)
    assert read(tally, "triggers") == {("cart_abandoned", "email", "cart"): 1, ("cart_abandoned", "phone", "cart"): 1}
    assert positive(read(tally, "triggers_suppressed")) == {("cart", "cap"): 2, ("journey", "quiet_hours"): 1}
    assert positive(read(tally, "triggers_retracted")) == {("cart", "purchased"): 1, ("journey", "consent"): 1}
    assert read(tally, "rule_matches") == {("mail",): 3, ("call",): 1, ("hello",): 1}


def positive(counts: Counts) -> Counts:
    return {labels: count for labels, count in counts.items() if count}


def test_who_is_in_an_experiment_is_counted_by_their_arm() -> None:
    """
    A trigger with a variant, and who was held out; nobody else, whatever held them back.
    """
    tally = Tally()
    for record in (
        trigger("mail", variant="story"),
        trigger("mail", variant="story"),
        trigger("mail", variant="promo"),
        trigger("call"),
        suppressed("mail", reason="holdout"),
        suppressed("call", reason="holdout"),
        suppressed("mail", reason="cap"),
    ):
        tally.record(record)
    assert read(tally, "experiment_exposures") == {
        ("mail", "story"): 2,
        ("mail", "promo"): 1,
        ("mail", "holdout"): 1,
        ("call", "holdout"): 1,
    }


def test_orders_are_counted_by_what_has_brought_them() -> None:
    """
    Each credit by its action; those taken back apart, for these name none.
    """
    tally = Tally()
    for record in (credit(), credit(action="welcome"), credit(action="welcome"), withdrawal()):
        tally.record(record)
    assert read(tally, "conversions") == {("cart_abandoned",): 1, ("welcome",): 2}
    assert read(tally, "conversions_withdrawn") == {(): 1}


def test_a_fault_of_a_rule_is_counted_and_not_published() -> None:
    """
    Among the records of a batch, whose order stays.
    """
    tally = Tally()
    first, second = trigger(), suppressed()
    fault = RuleFault("mail", "when", "no such key: profile.traits.age")
    assert tally.published([fault, first, fault, second]) == [first, second]
    assert read(tally, "rule_errors") == {("mail",): 2}


@pytest.mark.parametrize(
    ("not_before", "step"), [(AT, 20), ("2026-11-21T10:00:01.500Z", 5), ("2026-11-21T10:00:02.100Z", 0)]
)
def test_a_delay_begins_when_a_trigger_was_due(not_before: str, step: int) -> None:
    """
    What was held for quiet hours is not late when these end, however long ago its cause is. In steps of 100 ms, by the
    input's clock, which stands 2 s after the cause.
    """
    tally = Tally(top_at=AT_MS + 2_000)
    tally.record(trigger(not_before=not_before))
    assert tally.delays == Counter({step: 1})


def test_the_summary_says_what_was_taken_back_and_what_was_brought(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Where there is something to say.
    """
    tally = Tally()
    tally.rules(book(rule("mail", "cart_abandoned", "email")))
    summarize(Outcome(tally, is_stopped=False, seconds=1.0), "out", "Done.")
    plain = capsys.readouterr().out
    assert "Triggers      none" in plain
    assert not any(word in plain for word in ("Retracted", "Credits", "Rule errors"))
    for record in (trigger(), retraction(), retraction(reason="consent"), retraction(), credit(), withdrawal()):
        tally.record(record)
    tally.published([RuleFault("big_spender", "value", "division by zero")])
    summarize(Outcome(tally, is_stopped=False, seconds=1.0), "out", "Done.")
    assert [line for line in capsys.readouterr().out.splitlines() if line not in plain.splitlines()] == [
        "Triggers      1: 1 cart abandoned",
        "Retracted     3: 2 purchased, 1 consent",
        "Credits       1: 1 cart abandoned; 1 withdrawn: the order was cancelled",
        "Rule errors   1 big_spender",
    ]
