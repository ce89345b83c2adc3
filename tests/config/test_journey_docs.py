"""
What people read about rules is what the program takes.
"""

import re
from pathlib import Path

import pytest

from config.durations import DAY, SECOND, parse_duration
from config.journey_policy import POLICY_KEYS
from config.journey_rules import KEYS
from config.journeys import SHIPPED, read_book
from operators.attribution import WINDOWS
from operators.facts import FACTS

DOCS = SHIPPED.parents[1] / "docs" / "reference"
JOURNEYS = (DOCS / "journeys.md").read_text()
CONDITIONS = (DOCS / "conditions.md").read_text()
HOW_TO = (DOCS.parent / "how-to" / "journeys.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", JOURNEYS + HOW_TO, re.DOTALL | re.MULTILINE)


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the tables below a heading."""
    section = text.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| key |")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_every_fact_is_listed() -> None:
    """
    The table of facts says what the code says, in its order.
    """
    wanted = [[f"`{path}`", str(fact.type), fact.said] for path, fact in FACTS.items()]
    assert rows(CONDITIONS, "## All facts")[1:] == wanted


def test_every_key_is_listed() -> None:
    """
    Each key of a rule and of the policy has its line, and each line its key.
    """
    assert sorted(row[0] for row in rows(JOURNEYS, "## A rule")) == sorted(f"`{key}`" for key in KEYS)
    listed = [row[0].strip("`").partition(".")[0] for row in rows(JOURNEYS, "## The policy")]
    assert listed[: listed.index("attribution") + 1] == ["consent"] * 2 + list(POLICY_KEYS)


def test_windows_of_attribution_are_listed() -> None:
    """
    The table has the windows that hold where the policy gives none.
    """
    head, *lines = [row for row in rows(JOURNEYS, "## The policy") if not row[0].startswith("`")]
    told = {
        (line[0], touch): parse_duration(span)
        for line in lines
        for touch, span in zip(head[1:], line[1:], strict=True)
        if span
    }
    assert told == WINDOWS


@pytest.mark.parametrize("number", range(4))
def test_the_examples_are_rules(number: int) -> None:
    """
    Each can be copied as it stands.
    """
    assert len(EXAMPLES) == 4
    [rule] = read_book({"a.yaml": EXAMPLES[number]}, lateness_ms=30 * SECOND, retention_ms=30 * DAY).rules.values()
    assert rule.id == ["cart_rescue", "first_steps", "goes_with_it", "cart_abandoned"][number]


def test_the_shipped_rules_are_files_of_the_package() -> None:
    """
    They are installed with the code: below config, as YAML.
    """
    assert [file.relative_to(SHIPPED.parent) for file in SHIPPED.iterdir()] == [Path("journeys/core.yaml")]
