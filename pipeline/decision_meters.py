"""Metrics of decisions: what was triggered, held back and taken back, by which rules, and what it has brought.

Actions, rules, channels and variants are named by the rules. There are as many as these name, each from 0 on as soon as
the rule is in force (`Tally.rules`), and variants once somebody is in one; what a rule brought stays when it is gone.
"""

from __future__ import annotations

from typing import Final

from pipeline import readings
from pipeline.meter import Meter

DECISION_METERS: Final = (
    Meter(
        "nextmove_triggers_total", "counter", ("family", "action", "channel"), "Triggers published.", readings.triggers
    ),
    Meter(
        "nextmove_triggers_suppressed_total",
        "counter",
        ("family", "reason"),
        "Decisions not to act.",
        readings.suppressed,
    ),
    Meter(
        "nextmove_triggers_retracted_total",
        "counter",
        ("family", "reason"),
        "Triggers taken back within their life, for what they were about has been undone.",
        readings.retracted,
    ),
    Meter(
        "nextmove_rule_matches_total",
        "counter",
        ("rule",),
        "Decisions by a rule: to act (triggers) or not to (suppressed).",
        readings.by((), lambda t: t.matches),
    ),
    Meter(
        "nextmove_rule_errors_total",
        "counter",
        ("rule",),
        "Times that a part of a rule had no value for somebody, which counts as not matched.",
        readings.by((), lambda t: t.faults),
    ),
    Meter(
        "nextmove_experiment_exposures_total",
        "counter",
        ("experiment", "variant"),
        "Triggers to people of an experiment by their variant, and as holdout decisions not to act for the control"
        " group; an experiment is named as its rule.",
        readings.exposures,
    ),
    Meter(
        "nextmove_conversions_total",
        "counter",
        ("action",),
        "Orders credited to a trigger; one that is credited anew, for a later touch came to be known, counts again.",
        readings.by((), lambda t: t.credits),
    ),
    Meter(
        "nextmove_conversions_withdrawn_total",
        "counter",
        (),
        "Credits taken back, for the order was cancelled.",
        readings.one(lambda t: t.withdrawn),
    ),
    Meter(
        "nextmove_rules_info",
        "gauge",
        ("book",),
        "Always 1; tells which rules are in force, by a digest.",
        readings.book,
    ),
    Meter(
        "nextmove_rule_reloads_total",
        "counter",
        ("outcome",),
        "Times that the files of rules were read anew: they are in force (taken), or those before still are (refused).",
        readings.by(("refused", "taken"), lambda t: t.reloads),
    ),
    Meter(
        "nextmove_config_last_reload_success",
        "gauge",
        (),
        "1 where the files of rules are in force as they were read last, 0 where they were refused.",
        readings.one(lambda t: t.is_reloaded),
    ),
)
"""In the order of `pipeline/meters.py`."""
