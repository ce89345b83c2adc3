"""
What conditions say of facts, operator by operator, and both sides of every boundary.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.expressions import compile_condition
from operators.expression import Expression
from operators.expression_syntax import ELEMENTS_MAX
from operators.expression_types import BOOL, DOUBLE, DYN, INT, STRING
from operators.expression_values import EvaluationError
from tests.expressions.generate import NOW, SCHEMA

HOUR: Final = 3_600_000
FACTS: Final[dict[str, Any]] = {
    "event.kind": "order_completed",
    "event.at": NOW - HOUR,
    "event.order.count": 2,
    "event.properties": {
        "n": 3,
        "x": 1.0,
        "flag": True,
        "text": "7",
        "items": [1, "a"],
        "inner": {"a": None},
        "for": 1,
    },
    "event.tags": ["a", "b"],
    "profile.visits": 5,
    "profile.risk": 0.5,
    "profile.known": True,
    "profile.cart.lines": [{"id": "p1", "price": 5.0}, {"id": "p2", "price": 7}],
    "profile.counts": [1, 2, 3],
    "profile.consents": {"email": True},
    "now": NOW,
}
"""All but `event.order.value`, `profile.scores`, `profile.anything` and `profile.idle`."""


def expression(text: str) -> Expression:
    """Make an expression of any type."""
    return compile_condition(text, SCHEMA, result=None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # Numbers: 64 bits, division cuts, the rest has the sign of what is divided.
        ("profile.visits + 9223372036854775802", 2**63 - 1),
        ("-(profile.visits) - 9223372036854775803", -(2**63)),
        ("-9223372036854775808", -(2**63)),
        ("(profile.visits - 12) / 2", -3),
        ("(profile.visits - 12) % 2", -1),
        ("profile.visits * -2", -10),
        ("profile.risk / 0.0", float("inf")),
        ("0x1F - profile.visits", 26),
        ("int(profile.risk * -3.0)", -1),
        ('int("12") + int(event.properties.text)', 19),
        ("double(profile.visits) + .5", 5.5),
        ("string(profile.visits) + string(profile.known)", "5true"),
        # Texts: by code point, with CEL's escapes.
        ("size('é😀')", 2),
        ("'￿' < '😀'", True),
        ("\"\\x41\\u00e9\\101\\n\" == '''AéA\n'''", True),
        (r"r'\d' == '\\d'", True),
        ('event.kind.startsWith("order") && event.kind.endsWith("ed") && event.kind.contains("_")', True),
        # A bool is no number; where the type is not known numbers compare as numbers.
        ("event.properties.flag == 1", False),
        ("1 in [event.properties.flag]", False),
        ("event.properties.x == 1", True),
        ("event.properties.n == 3.0 && event.properties.n > 2.5", True),
        ("event.properties.inner.a == null", True),
        ("event.properties.inner == {'a': null}", True),
        ("event.properties.items == [1.0, 'a']", True),
        ("false < profile.known", True),
        ("0.0 / (profile.risk - 0.5) == 0.0 / (profile.risk - 0.5)", False),
        # What is in what.
        ('event.kind in ["order_completed", "a"]', True),
        ('"email" in profile.consents && !("sms" in profile.consents)', True),
        ("event.properties.n in {'a': 1}", False),
        ('{"order_completed": 3, "a": profile.visits}[event.kind]', 3),
        ("profile.counts[2]", 3),
        ("[profile.visits, 2.5, 'a']", [5, 2.5, "a"]),
        ("event.properties.for", 1),
        # Loops.
        ("profile.cart.lines.exists(line, line.price > 6)", True),
        ("profile.cart.lines.all(line, line.price > 5)", False),
        ("profile.cart.lines.exists_one(line, line.price > 5)", True),
        ("profile.cart.lines.filter(line, line.price > 5).map(line, line.id)", ["p2"]),
        ("profile.consents.exists(purpose, purpose == 'email')", True),
        ("profile.cart.lines.exists(line, line.name == 'x' || line.id == 'p2')", True),
        # Time.
        ('now - event.at == duration("60m")', True),
        ('event.at + duration("1h") == now', True),
        ('duration("1h30m") == duration("1.5h")', True),
        ('timestamp("2026-11-21T11:00:00.500+01:00") - now', 500),
        ("int(now)", NOW // 1000),
        # Choices and what stands first.
        ("profile.known ? 'a' : 'b'", "a"),
        ("1 + 2 * 3 == 7 && !false || false", True),
        ("!!profile.known", True),
    ],
)
def test_an_expression_comes_to_its_value(text: str, value: object) -> None:
    """
    The same as in every implementation of CEL, its type too.
    """
    found = expression(text)(FACTS)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("event.order.value > 3.0", "no such key: event.order.value"),
        ("profile.visits + 9223372036854775803", "integer overflow"),
        ("-(profile.visits) - 9223372036854775804", "integer overflow"),
        ("profile.visits / (profile.visits - 5)", "division by zero"),
        ("profile.visits % (profile.visits - 5)", "modulus by zero"),
        ("profile.counts[3]", "no element 3 in a list of 3"),
        ("profile.counts[-1]", "no element -1 in a list of 3"),
        ("event.properties.none", "no such key: none"),
        ("event.properties.n.a", "no field a for int"),
        ("event.properties.flag > 0", "no order for bool, int"),
        ("event.properties.n + 1.0", "no + for int, double"),
        ("event.properties.n && true", "no truth for int"),
        ("int(event.kind)", "this string is no int"),
        ("timestamp(event.kind)", "this string is no timestamp such as 2026-01-31T12:00:00Z"),
        ('event.at + duration("2562047h") + duration("2562047h") + duration("876000000h")', None),
        ("profile.cart.lines.exists_one(line, line.name == 'x')", "no such key: name"),
    ],
)
def test_what_has_no_value_says_why(text: str, why: str | None) -> None:
    """
    It is an error where a value is wanted, and None where it is asked whether something is true.
    """
    if why is None:
        with pytest.raises(ValueError, match="duration overflow"):
            expression(text)
        return
    with pytest.raises(EvaluationError) as raised:
        expression(text)(FACTS)
    assert str(raised.value) == why


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("event.order.value >= 3.0 && event.kind == 'x'", False),
        ("event.kind == 'x' && event.order.value >= 3.0", False),
        ("event.order.value >= 3.0 && event.kind != 'x'", None),
        ("event.order.value >= 3.0 || event.kind != 'x'", True),
        ("event.order.value >= 3.0 || event.kind == 'x'", None),
        ("!(event.order.value >= 3.0 && event.kind == 'x')", True),
        ("(event.order.value >= 3.0 && event.kind == 'x') == profile.known", False),
        ("(event.order.value >= 3.0 || profile.known) && (profile.known || event.order.value > 1.0)", True),
        ("event.order.value >= 3.0 ? true : profile.known", None),
        ("profile.cart.lines.all(line, line.name == 'x' && line.id == 'p3')", False),
        ("profile.cart.lines.exists(line, line.name == 'x' && line.id == 'p2')", None),
        ("has(event.order.value) && event.order.value > 3.0", False),
        ("!has(event.order.value) || event.order.value > 3.0", True),
        ("event.properties.flag", True),
        ("has(event.properties.none)", False),
        ("has(event.properties.inner.a)", True),
        ("has(event.properties.n.a)", None),
        ("event.properties.n", None),
        ("'a'.size() == 1", True),
    ],
)
def test_what_is_missing_decides_only_where_nothing_else_does(text: str, answer: bool | None) -> None:  # noqa: FBT001
    """
    One false makes `&&` false and one true makes `||` true, whatever the rest is; on either side.
    """
    assert compile_condition(text, SCHEMA).matches(FACTS) is answer


class Filled(dict[str, Any]):
    """Facts that are looked up when they are asked for."""

    asked: tuple[str, ...] = ()

    def __missing__(self, path: str) -> Any:  # noqa: ANN401
        self.asked = (*self.asked, path)
        value = self[path] = FACTS[path]
        return value


def test_only_facts_that_are_named_are_asked_for() -> None:
    """
    By their whole path, once; has() asks, too; and what is never reached is not asked for.
    """
    condition = compile_condition(
        "profile.visits > 3 && profile.visits < 9 && has(event.kind) && !has(event.order.value)"
        " && (profile.known || profile.risk > 0.5)",
        SCHEMA,
    )
    facts = Filled()
    assert condition.matches(facts) is True
    assert facts.asked == ("profile.visits", "event.kind", "event.order.value", "profile.known")
    named = {"profile.visits", "event.kind", "event.order.value", "profile.known", "profile.risk"}
    assert condition.paths == named
    assert (condition.type, condition.source[:14], repr(condition)[:12]) == (BOOL, "profile.visits", "Expression('")


def test_a_list_is_looked_through_to_its_thousandth_element() -> None:
    """
    A longer one is an error, which is cheap, and no answer, which would not be.
    """
    condition = compile_condition("profile.counts.exists(n, n == 7)", SCHEMA)
    assert condition.matches({"profile.counts": [1] * (ELEMENTS_MAX - 1) + [7]}) is True
    assert condition.matches({"profile.counts": [1] * ELEMENTS_MAX + [7]}) is None


def test_a_formula_comes_to_what_is_wanted() -> None:
    """
    What is not known before is looked at; a condition alone answers whether it is true.
    """
    value = compile_condition("profile.visits * 2", SCHEMA, result=INT)
    assert (value(FACTS), value.matches(FACTS)) == (10, None)
    assert compile_condition("event.properties.text", SCHEMA, result=STRING)(FACTS) == "7"
    assert compile_condition("event.properties.n", SCHEMA, result=DOUBLE)(FACTS) == 3
    with pytest.raises(EvaluationError, match="no int for double"):
        compile_condition("event.properties.x", SCHEMA, result=INT)(FACTS)
    assert compile_condition("event.properties", SCHEMA, result=None).type.of == DYN


@given(
    st.sampled_from(["&&", "||"]),
    st.lists(st.sampled_from(["profile.known", "!profile.known", "event.order.value > 1.0"]), min_size=2, max_size=6),
    st.randoms(use_true_random=False),
)
def test_order_and_brackets_do_not_matter(sign: str, parts: list[str], random: Any) -> None:  # noqa: ANN401
    """
    `&&` and `||` say the same however their sides are ordered and bracketed, missing facts included.
    """
    text = f" {sign} ".join(parts)
    random.shuffle(parts)
    other = parts[0]
    for part in parts[1:]:
        other = f"{part} {sign} ({other})"
    one, two = (compile_condition(one, SCHEMA, reachable=False) for one in (text, other))
    assert one.matches(FACTS) is two.matches(FACTS)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_division_and_rest_belong_together(one: int, other: int) -> None:
    """
    What is divided is the quotient times the divisor, and the rest, which is the smaller and has its sign.
    """
    facts = {"profile.visits": one, "event.order.count": other}
    try:
        quotient = DIVIDED(facts)
    except EvaluationError:
        assert other == 0 or (one, other) == (-(2**63), -1)
        return
    rest = REST(facts)
    assert quotient * other + rest == one
    assert abs(rest) < abs(other)
    assert rest == 0 or (rest < 0) == (one < 0)


DIVIDED: Final = expression("profile.visits / event.order.count")
REST: Final = expression("profile.visits % event.order.count")
