"""
What is wrong with a condition is said at load, and where; hostile text is refused as clearly as a slip.
"""

from __future__ import annotations

import pytest

from config.expressions import compile_condition
from operators.expression_syntax import DEPTH_MAX, ELEMENTS_MAX, TEXT_MAX, ExpressionError
from tests.expressions.generate import SCHEMA


def refusal(text: str) -> ExpressionError:
    """Return what is said of a text."""
    with pytest.raises(ExpressionError) as raised:
        compile_condition(text, SCHEMA)
    return raised.value


def test_an_error_shows_where() -> None:
    """
    Line, column, the line itself and carets below the part it is about.
    """
    error = refusal('profile.known\n  && event.knd == "a"')
    assert str(error) == (
        "line 2, column 6: unknown field `event.knd`; did you mean event.kind?\n"
        '      && event.knd == "a"\n'
        "         ^^^^^^^^^"
    )
    assert (error.line, error.column, error.offset, error.end) == (2, 6, 19, 28)


def test_carets_stand_right_behind_tabs_and_far_to_the_right() -> None:
    """
    A tab stays a tab, and of a long line the part that matters is shown.
    """
    assert refusal("\tevent.knd").excerpt == "    \tevent.knd\n    \t^^^^^^^^^"
    excerpt = refusal(f"profile.known{' ' * 200}&& event.knd").excerpt
    assert excerpt.splitlines()[0].endswith("&& event.knd")
    assert len(excerpt.splitlines()[0]) < 120
    assert excerpt.splitlines()[0][len(excerpt.splitlines()[1]) - 9 :] == "event.knd"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("kind == 'a'", 1, "unknown name `kind`; did you mean event.kind?"),
        ("event.oder.value > 1.0", 1, "unknown field `event.oder.value`; did you mean event.order.value?"),
        (
            "event.__class__ == 'a'",
            1,
            "unknown field `event.__class__`; known in event: at, kind, order, properties, tags",
        ),
        ("event == 'a'", 1, "`event` is no fact but a group of them: at, kind, order, properties, tags"),
        ("has(event.order)", 1, "event.order is always there; ask for one of its fields: count, value"),
        ("has(event)", 1, "has() asks for a field: has(event.order.value)"),
        ("event.kind.length == 1", 11, "string has no fields, so no `length`"),
        ("event.kind > 3", 12, "`>` is not for string and int"),
        (
            "profile.risk > 3",
            14,
            "`>` is not for double and int; nothing is converted by itself: write 3.0 for 3, or double(...)",
        ),
        (
            "now > '2026-01-01T00:00:00Z'",
            5,
            "`>` is not for timestamp and string; make it a timestamp first: timestamp(...)",
        ),
        ("now - 5 == now", 5, '`-` is not for timestamp and int; write a span of time as duration("30m")'),
        ("event.kind == null", 12, "`==` is not for string and null; whether there is a fact says has(...)"),
        (
            "event.properties.n == now",
            20,
            "`==` is not for dyn and timestamp; make it a timestamp first: timestamp(...)",
        ),
        ("profile.visits", 1, "must be true or false, and is int"),
        ("profile.visits && true", 1, "must be true or false, and is int"),
        ("profile.known ? 1 : 'a'", 17, "one type must come of both, not int and string"),
        ("event.kind.startWith('a')", 12, "unknown function `startWith`; did you mean startsWith?"),
        ("startsWith(event.kind, 'a')", 1, "write it behind what it is said of: x.startsWith(...)"),
        ("'1'.int() == 1", 5, "write it before what it is said of: int(x)"),
        ("event.kind.startsWith()", 12, "startsWith() takes 1 argument, not 0"),
        ("size() == 1", 1, "size() takes 1 argument, not 0"),
        ("size(profile.visits) == 1", 1, "`size` is not for int"),
        ("dyn(1) == 1", 1, "dyn() is CEL's, but conditions have it not"),
        ("eval('1')", 1, "unknown function `eval`; known: double, duration, has, int, size, string, timestamp"),
        ("1u == 1", 1, "unsigned ints are CEL's, but conditions have them not"),
        ("b'a' == 'a'", 1, "bytes are CEL's, but conditions have them not"),
        ("event.kind = 'a'", 12, "`=` does not fit here; did you mean ==?"),
        ("profile.known & profile.known", 15, "`&` does not fit here; did you mean &&?"),
        ("profile.known and profile.known", 15, "`and` does not fit here"),
        ("event.kind == 'abc", 15, "a text without its end, or with an unknown escape (write \\\\ for a backslash)"),
        ("'a\\qb' == 'a'", 3, "an unknown escape; write \\\\ for a backslash"),
        ("'\\ud800' == 'a'", 2, "an unknown escape; write \\\\ for a backslash"),
        ("profile.known &&", 17, "something is missing at the end"),
        ("", 1, "nothing is said"),
        ("// later", 9, "something is missing at the end"),
        ("event.in == 1", 7, '`in` is a reserved word; write ["in"]'),
        ("while == 1", 1, "`while` is a reserved word"),
        ("9223372036854775808 == 1", 1, "an int of more than 64 bits"),
        ("-(9223372036854775808) == 1", 3, "an int of more than 64 bits"),
        ("1e999 == 1.0", 1, "a double that is too large"),
        ("1 / 0 == 1", 1, "this always fails: division by zero"),
        (
            "duration('7d') == duration('1h')",
            10,
            "this string is no duration such as 1h30m; CEL has no days: 7d is 168h",
        ),
        ("duration('1us') < now - now", 10, "finer than a millisecond"),
        ("timestamp('2026-01-01T00:00:00.0001Z') < now", 11, "finer than a millisecond"),
        ("timestamp('2026-13-01T00:00:00Z') < now", 1, "this always fails: month must be in 1..12"),
        ("true ? profile.known : false", 1, "this is always the same choice"),
        ("{'a': 1, 'a': 2}.a == 1", 1, "a map with the same key twice"),
        ("{1: 2}[1] == 2", 1, "the keys of a map must be texts in quotes"),
        ("[1, now] == []", 5, "timestamp among int: null, timestamps and durations are among their own only"),
        (
            "profile.counts.exists(n, profile.counts.all(m, m == n))",
            41,
            "all() inside another one: one loop, no loops of loops",
        ),
        ("profile.counts.exists(event, event == 1)", 23, "`event` means something already"),
        ("profile.counts.exists(n)", 16, "exists() takes a name and what is said of it: lines.exists(line, ...)"),
        (
            "profile.consents.map(k, k) == ['a']",
            18,
            "map() goes through a list that is not empty, not map(string, bool)",
        ),
        (
            "[].exists(n, n == 1)",
            4,
            "exists() goes through a list that is not empty, or a map's keys, not list(nothing)",
        ),
    ],
)
def test_a_slip_is_told(text: str, column: int, message: str) -> None:
    """
    In words that say what to do, at the place where it is.
    """
    error = refusal(text)
    assert (error.column, error.message) == (column, message)


def test_no_pattern_is_matched() -> None:
    """
    matches() is CEL's, and left out on purpose: the message says what to use instead.
    """
    assert "startsWith, endsWith, contains or `in`" in refusal("event.kind.matches('a+')").message


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("false", 1, "never true"),
        ("event.order.value > 1.0 && false", 1, "never true"),
        (
            "event.kind == 'a' && event.kind == 'b'",
            22,
            "never true: `event.kind == 'b'` contradicts `event.kind == 'a'`",
        ),
        (
            "'a' == event.kind && event.kind != 'a'",
            22,
            "never true: `event.kind != 'a'` contradicts `'a' == event.kind`",
        ),
        ("event.kind in ['a', 'b'] && event.kind == 'c'", 29, None),
        ("event.kind in ['a'] && !(event.kind in ['a', 'b'])", 24, None),
        ("event.kind == 'a' && (event.kind == 'b' || event.kind == 'c')", 23, None),
        ("profile.known && (event.kind == 'a' && event.kind == 'b' || false)", None, None),
        ("profile.visits > 5 && profile.visits < 6", 23, None),
        ("5 < profile.visits && 6 > profile.visits", 23, None),
        ("profile.visits >= 5 && profile.visits < 5", 24, None),
        ("profile.risk > 0.5 && profile.risk < 0.5", 23, None),
        ("event.properties.n > 5 && event.properties.n < 3", 27, None),
        ("event.properties.n == 5 && event.properties.n == 'a'", 28, None),
        ("size(event.tags) > 3 && size(event.tags) < 2", 25, None),
        ("profile.known && !profile.known", 18, "never true: `!profile.known` contradicts `profile.known`"),
        ("!has(event.order.value) && event.order.value > 3.0", 28, None),
        ("now > timestamp('2026-01-01T00:00:00Z') && now < timestamp('2025-01-01T00:00:00Z')", 44, None),
        ("event.tags.exists(t, t == 'a' && t == 'b')", 34, None),
    ],
)
def test_a_rule_that_can_never_fire_is_refused(text: str, column: int | None, message: str | None) -> None:
    """
    Two parts that exclude each other are found; the carets stand below the second.
    """
    error = refusal(text)
    assert error.message.startswith("never true")
    assert column in (None, error.column)
    assert message in (None, error.message)
    assert compile_condition(text, SCHEMA, reachable=False).matches({}) in (False, None)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("profile.visits > 5 && profile.visits < 7", {"profile.visits": 6}),
        ("profile.visits >= 5 && profile.visits <= 5", {"profile.visits": 5}),
        ("profile.risk > 0.5 && profile.risk < 0.6", {"profile.risk": 0.55}),
        ("event.kind in ['a', 'b'] && event.kind != 'a'", {"event.kind": "b"}),
        ("event.kind == 'a' && (event.kind == 'b' || event.kind == 'a')", {"event.kind": "a"}),
        ("!has(event.order.value) && profile.known", {"profile.known": True}),
        ("!(profile.known && profile.risk > 0.5) && profile.known", {"profile.known": True, "profile.risk": 0.1}),
        ("event.properties.n == 1 && event.properties.n == 1.0", {"event.properties": {"n": 1}}),
        ("true", {}),
    ],
)
def test_what_can_be_true_is_not_refused(text: str, facts: dict[str, object]) -> None:
    """
    The other side of each boundary: facts for which it is true.
    """
    assert compile_condition(text, SCHEMA).matches(facts) is True


def test_brackets_and_operators_nest_to_a_limit() -> None:
    """
    At the limit they pass, one more is told; rows of && and || do not nest.
    """
    deep = DEPTH_MAX - 2  # a field of a name is two
    assert compile_condition("(" * deep + "profile.known" + ")" * deep, SCHEMA, reachable=False).matches({}) is None
    assert "nested more than 32 deep" in refusal("(" * 32 + "profile.visits" + ")" * 32 + " == 1").message
    assert "nested more than 32 deep" in refusal("(" * 500 + "1" + ")" * 500).message
    assert "nested more than 32 deep" in refusal("profile.visits" + " + 1" * 40 + " == 1").message
    assert compile_condition(" || ".join(["profile.known"] * 200), SCHEMA).matches({"profile.known": True}) is True


@pytest.mark.parametrize(
    "wrap", ["-(%s)", "[%s][0]", "(profile.known ? %s : 1)", '{"a": %s}["a"]', "(1 + %s)", "int(%s)", "size([%s])"]
)
def test_whatever_nests_compiles_up_to_the_limit(wrap: str) -> None:
    """
    Python, which has limits of its own, takes what we take.
    """
    text, levels, why = "profile.visits", 0, ""
    while levels < DEPTH_MAX:
        try:
            made = compile_condition(text, SCHEMA, result=None)
        except ExpressionError as error:
            why = error.message
            break
        made({"profile.visits": 1, "profile.known": True})
        text, levels = wrap % text, levels + 1
    assert "nested more than" in why


def test_long_texts_and_lists_are_refused() -> None:
    """
    A text is read to its limit; ten megabytes are refused before they are looked at.
    """
    assert refusal("'" + "a" * 10_000_000 + "'").message == "10,000,002 characters; 4,000 are possible"
    text = "profile.known" + " " * (TEXT_MAX - 13)
    assert compile_condition(text, SCHEMA).matches({"profile.known": True}) is True
    assert "are possible" in refusal(text + " ").message
    many = f"profile.visits in [{','.join(['1'] * ELEMENTS_MAX)}]"
    assert compile_condition(many, SCHEMA).matches({"profile.visits": 1}) is True
    assert "a list of 1,001; 1,000 are possible" in refusal(many.replace("[", "[1,")).message


@pytest.mark.parametrize(
    "text", ["profile.known.__init__", "now.__class__", "event.tags[0].__len__()", "__import__('os')"]
)
def test_nothing_of_python_is_reached(text: str) -> None:
    """
    Names are facts, fields of maps, or functions that are listed.
    """
    refusal(text)


@pytest.mark.parametrize(
    "text", ['\'"""\'', "'{}'", "'{0}'", "'%s'", "'\\\\'", "r'\\'", "'\\n'", '"it\'s"', "'\\u0000'"]
)
def test_texts_are_values_and_never_code(text: str) -> None:
    """
    Whatever stands in quotes, also what means something in a template, comes out again.
    """
    value = compile_condition(text, SCHEMA, result=None)({})
    condition = compile_condition(f"event.kind == {text} || {{'a': event.kind}} == {{'a': {text}}}", SCHEMA)
    assert condition.matches({"event.kind": value}) is True
    assert condition.matches({"event.kind": f"{value}x"}) is False
