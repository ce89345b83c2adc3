"""
What is wrong with rules is told by file, line and column, all of it at once, conditions with the place shown.
"""

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from config.journey_policy import NAME_WORDS
from config.marked import VALUES_MAX
from tests.config.test_journeys import LEAST, faults, made

ACTION = "actions:\n- {id: nudge, family: cart, on: cart.timer, channels: email}\n"
LINES = "actions:\n- id: nudge\n  family: cart\n  on: cart.timer\n  channels: email\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("chanels: email", "6:3: unknown key chanels; did you mean channels?"),
        ("version: 0", "6:12: version is 0 but must be a whole number from 1 to 1000000"),
        ("version: 1.5", "6:12: version is 1.5 but must be a whole number from 1 to 1000000"),
        ("version: true", "6:12: version is true but must be a whole number from 1 to 1000000"),
        ("action: Nudge", f"6:11: action is Nudge but must be {NAME_WORDS}"),
        ("action: on", f"6:11: action is true but must be {NAME_WORDS}; quote it"),
        ("after: 30", "6:10: after is 30 but must be a duration from 0s to 400d, written as 500ms, 30m or 1h30m"),
        ("after: 401d", "6:10: after is 401d but must be a duration from 0s to 400d, written as 500ms, 30m or 1h30m"),
        ("without: order_completed", "6:12: without needs after: how long it is waited for what must not come"),
        ("after: 1h\n  without: order_complete", "7:12: unknown kind order_complete; did you mean order_completed?"),
        (
            "after: 1h\n  without: []",
            "7:12: without is an empty list but must have at least one of",
        ),
        ("per: carts", "6:8: unknown per carts; did you mean cart?"),
        ("per: profile", "6:8: per profile does not go with cart.timer, which is about a cart"),
        ("when: true", "6:9: when is true but must be a condition in quotes; quote it"),
        ("when: [profile.known]", "6:9: when is a list but must be a condition in quotes"),
        ("when:", "6:8: when is empty but must be a condition in quotes; quote it"),
        ("when: ''", "6:10: nothing is said\n      when: ''\n             ^"),
        (
            "when: 'event.order.valu > 5.0'",
            (
                "6:10: unknown field `event.order.valu`; did you mean event.order.value?\n"
                "      when: 'event.order.valu > 5.0'\n"
                "             ^^^^^^^^^^^^^^^^"
            ),
        ),
        (
            "when: event.cart.value > 5",
            (
                "6:26: `>` is not for double and int; nothing is converted by itself: write 3.0 for 3, or"
                " double(...)\n"
                "      when: event.cart.value > 5\n"
                "                             ^"
            ),
        ),
        (
            "when: 'event.visit > 5 && event.visit < 5'",
            (
                "6:29: never true: `event.visit < 5` contradicts `event.visit > 5`\n"
                "      when: 'event.visit > 5 && event.visit < 5'\n"
                "                                ^^^^^^^^^^^^^^^"
            ),
        ),
        (
            "eligibility: ['profile.known', 'profile.visits']",
            (
                "6:35: must be true or false, and is int\n"
                "      eligibility: ['profile.known', 'profile.visits']\n"
                "                                      ^^^^^^^^^^^^^^"
            ),
        ),
        ("suitability: ['1 == 2']", "6:18: never true\n      suitability: ['1 == 2']\n                     ^^^^^^"),
        ("applicability: {a: b}", "6:18: applicability is a mapping but must be a condition in quotes"),
        (f"eligibility: [{', '.join(['profile.known'] * 21)}]", "6:16: eligibility has 21 but may have 20"),
        ("not_while: calls", "6:14: unknown not_while calls; did you mean call?"),
        ("purpose: markting", "6:12: unknown purpose markting; did you mean marketing?"),
        ("value: -1", "6:10: value is -1 but must be a number from 0 to 1e+12"),
        ("value: .nan", "6:10: value is nan but must be a number from 0 to 1e+12"),
        ("value: true", "6:10: value is true but must be a number from 0 to 1e+12"),
        (
            "value: profile.known",
            "6:10: must be double, and is bool\n      value: profile.known\n             ^^^^^^^^^^^^^",
        ),
        ("propensity: 1.01", "6:15: propensity is 1.01 but must be a number from 0 to 1"),
        (
            "propensity: high",
            "6:15: propensity is high but must be a number from 0 to 1, or {prior: [successes, failures]}",
        ),
        (
            "propensity: {prior: [2, 38], half_life: 14d}",
            "6:32: unknown key half_life; known: prior",
        ),
        (
            "propensity: {prior: [0, 0]}",
            "6:23: prior must be [successes, failures], one of them above 0, as in [2, 38]",
        ),
        ("context_weights: {if: a}", "6:20: context_weights is a mapping but must be a list"),
        ("context_weights: [{weight: 5}]", "6:21: context_weights lacks if"),
        (
            "context_weights: [{if: profile.known, weight: -101}]",
            "6:49: weight is -101 but must be a number from -100 to 10000",
        ),
        ("weights: {actions: 5}", "6:13: unknown key actions; did you mean action?"),
        ("weights: {group: 10001}", "6:20: group is 10001 but must be a number from -100 to 10000"),
        ("caps: [{scope: chanel, limit: 1, per: 1d}]", "6:18: unknown scope chanel; did you mean channel?"),
        ("caps: [{scope: channel, limit: 1}]", "6:10: caps lacks per"),
        ("caps: [{scope: all, name: email, limit: 1, per: 1d}]", "6:29: a cap on all has no name"),
        (
            "caps: [{scope: channel, name: mail, limit: 1, per: 1d}]",
            "6:33: unknown channel mail; did you mean email?",
        ),
        ("caps: [{scope: action, name: nudg, limit: 1, per: 1d}]", "6:32: unknown action nudg; did you mean nudge?"),
        ("caps: [{scope: all, limit: 101, per: 1d}]", "6:30: limit is 101 but must be a whole number from 1 to 100"),
        (
            "caps: [{scope: all, limit: 1, per: week}]",
            (
                "6:38: per is week but must be local_day, local_week or a duration from 1s to 400d, written as 500ms,"
                " 30m or 1h30m"
            ),
        ),
        ("quiet: night", "6:10: quiet is night but must be a mapping of from, to, channels, on"),
        ("quiet: {from: 9:05, to: 17:00}", "6:17: from is 9:05 but must be a time of day from 00:00 to 23:59"),
        ("quiet: {from: 21:00, to: 24:00}", "6:28: to is 24:00 but must be a time of day from 00:00 to 23:59"),
        (
            "quiet: {from: 21:00, to: 21:00}",
            "6:28: to is the same as from, so it would always be quiet; leave the channel out instead",
        ),
        ("quiet: {from: 21:00, to: 22:00, on: wait}", "6:39: unknown on wait; known: hold, drop, fallback"),
        (
            "expires_after: 999ms",
            "6:18: expires_after is 999ms but must be a duration from 1s to 30d, written as 500ms, 30m or 1h30m",
        ),
        ("holdout: 5%", "6:12: holdout is 5% but must be a number from 0 to 1"),
        ("holdout: 0.00001", "6:12: the holdout of nudge is 1e-05 but must go by steps of 0.01 %"),
        ("variants: {a: 0}", "6:13: all variants of nudge have the weight 0 but one must have more"),
        ("variants: {a: -1}", "6:17: a is -1 but must be a number from 0 on"),
        ("variants: {a b: 1}", "6:19: the variant a b must have a name of letters, digits, _, - and ."),
        ("experiment: spring", "6:15: an experiment without holdout and variants; give one of them"),
        ("undone_by: cart.timer", "6:14: unknown kind cart.timer; known: call_answered,"),
        ("payload: [event.url]", "6:12: payload is a list but must be a mapping"),
        (
            "payload: {my url: event.url}",
            "6:21: my url is no name for a payload: letters, digits and _, a letter or _ first",
        ),
        ("payload: {a: [1]}", "6:16: a is a list but must be a condition in quotes"),
        (
            "payload: {a: .inf}",
            "6:16: a is inf but must be a number of 64 bits, true, false, null, or a formula in quotes",
        ),
        ("payload: {a: event.ur}", "6:16: unknown field `event.ur`; did you mean event.url?\n"),
        ("id: other", "6:3: id is given twice; keep one"),
        ("when: !x y", "6:9: could not determine a constructor for the tag; quote text that begins with *, & or !"),
        ("when: *x", "6:9: found undefined alias; quote text that begins with *, & or !"),
        ("after: [", "7:1: expected the node content, but found '<stream end>'"),
        ("[a]: 1", "6:3: found unhashable key"),
    ],
)
def test_a_mistake_in_a_rule_is_told_with_its_place(line: str, told: str) -> None:
    """
    In one line: file, line, column, cause, and what was probably meant.
    """
    [fault] = faults(f"{LINES}  {line}\n")
    assert fault.startswith(f"a.yaml:{told}")


@pytest.mark.parametrize(
    ("least", "told"),
    [
        ("id: nudge, family: cart", "an action lacks on, channels"),
        ("id: nudge, family: carts, on: cart.timer, channels: email", "unknown family carts; did you mean cart?"),
        ("id: Nudge, family: cart, on: cart.timer, channels: email", "id is Nudge but must be a name of a to z,"),
        ("id: nudge, family: cart, on: cart.timr, channels: email", "unknown kind cart.timr; did you mean cart.timer?"),
        ("id: nudge, family: cti, on: call_leg, channels: agent", "unknown kind call_leg; did you mean call_closed?"),
        ("id: nudge, family: cart, on: [], channels: email", "on is an empty list but must have at least one of"),
        ("id: nudge, family: cart, on: cart.timer, channels: [email, email]", "email is given twice; keep one"),
        ("id: nudge, family: cart, on: cart.timer, channels: web", "unknown channel web; known: email, sms,"),
        (
            "id: nudge, family: cart, on: [cart.timer, product_viewed], channels: email",
            (
                "on has kinds that differ in what they are about (cart.timer per cart, product_viewed per product); say"
                " it by per"
            ),
        ),
        (
            "id: nudge, family: cart, on: page_viewed, channels: email, per: product",
            "per product does not go with page_viewed, which names none or several; it goes with product_added,",
        ),
        (
            "id: nudge, family: order, on: product_viewed, channels: email, per: order",
            "per order does not go with product_viewed, which names none or several; it goes with order_cancelled,",
        ),
        (
            "id: nudge, family: cart, on: visit.returned, channels: email, per: call",
            "per call does not go with visit.returned, which names none or several; it goes with call_answered,",
        ),
    ],
)
def test_what_a_rule_needs(least: str, told: str) -> None:
    """
    Id, family, occasion and channels, which go together.
    """
    [fault] = faults(f"actions:\n- {{{least}}}\n")
    assert fault.split(": ", 1)[1].startswith(told)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("consents: {}", "2:3: unknown key consents; did you mean consent?"),
        ("consent: {defaults: {emial: true}}", "2:31: unknown channel or purpose emial; did you mean email?"),
        ("consent: {defaults: {email:marketin: true}}", "2:40: unknown channel or purpose email:marketin;"),
        ("consent: {defaults: {email: maybe}}", "2:31: email is maybe but must be true or false"),
        ("consent: {exempt: [transactionel]}", "2:22: unknown purpose transactionel; did you mean transactional?"),
        ("consent: {valid: 3651d}", "2:20: valid is 3651d but must be a duration from 0s to 3650d,"),
        ("time_zone: Europe/Berln", "2:14: unknown time zone Europe/Berln; did you mean Europe/Berlin?"),
        ("time_zones: {+1808: Hawaii}", "2:23: unknown time zone Hawaii; did you mean US/Hawaii?"),
        ("time_zones: {1808: UTC}", "2:22: 1808 has a zone but must be the beginning of a number, as +49 or +1808"),
        ("caps: {scope: all}", "2:9: caps is a mapping but must be a list"),
        ("caps: [{scope: all, limit: 0, per: 1d}]", "2:30: limit is 0 but must be a whole number from 1 to 100"),
        ("caps: [{scope: action, name: nix, limit: 1, per: 1d}]", "2:32: unknown action nix; known: nudge"),
        (
            "pauses: [{scope: channel, negatives: 1, within: 1d, pause: 1d}]",
            "2:20: unknown scope channel; known:",
        ),
        (
            "pauses: [{scope: all, negatives: 21, within: 1d, pause: 1d}]",
            "2:36: negatives is 21 but must be a whole",
        ),
        (
            "pauses: [{scope: all, negatives: 1, within: 0s, pause: 1d}]",
            "2:47: within is 0s but must be a duration",
        ),
        ("pauses: [{scope: all, negatives: 1, within: 1d}]", "2:12: pauses lacks pause"),
        (
            "pauses: [{scope: all, negatives: 1, within: 1d, pause: 1d, counts: ignored}]",
            "2:12: a pause that counts what is ignored needs ignored_after above 0s: until when somebody can answer",
        ),
        (
            "pauses: [{scope: all, negatives: 1, within: 1d, pause: 1d, ignored_after: 1d}]",
            "2:77: ignored_after is given but counts has no ignored",
        ),
        ("quiet: {from: 21:00}", "2:10: quiet lacks to"),
        ("holdout: 1.1", "2:12: holdout is 1.1 but must be a number from 0 to 1"),
        ("holdout: 0.00001", "2:12: the holdout of all is 1e-05 but must go by steps of 0.01 %"),
        ("attribution: {mail: {opened: 1d}}", "2:17: unknown key mail; did you mean email?"),
        ("attribution: {email: {seen: 1d}}", "2:25: unknown key seen; known: delivered, shown, opened,"),
        ("attribution: {email: {opened: 0s}}", "2:33: opened is 0s but must be a duration from 1s to 400d,"),
    ],
)
def test_a_mistake_in_the_policy_is_told_with_its_place(line: str, told: str) -> None:
    """
    As of rules.
    """
    [fault] = faults(f"policy:\n  {line}\n{LEAST}")
    assert fault.startswith(f"a.yaml:{told}")


def test_all_that_is_wrong_is_told_at_once() -> None:
    """
    In the order of files and lines; a rule with a fault does not hide another's.
    """
    one = "policy: {holdout: 2, time_zone: Utopia}\n" + ACTION.replace("nudge", "A").replace("email", "fax") + "- 7\n"
    assert [fault.split(": ")[0] for fault in faults(one, b="actions: 7\n", c="acts: []\n", d="- 1\n")] == [
        "a.yaml:1:19",
        "a.yaml:1:33",
        "a.yaml:3:8",
        "a.yaml:3:51",
        "a.yaml:4:3",
        "b.yaml:1:10",
        "c.yaml:1:1",
        "d.yaml:1:1",
    ]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("policy: {}\n" + ACTION, "policy: {}\n", "b.yaml:1:9: policy is given in a.yaml too; keep one"),
        (ACTION, ACTION, "b.yaml:2:8: id nudge is taken in a.yaml, line 2; each action has its own"),
        (
            ACTION.replace("}", ", holdout: 0.05}"),
            ACTION.replace("id: nudge", "id: other, experiment: nudge, holdout: 0.1"),
            "b.yaml:2:27: another experiment nudge has other shares; give them the same or other names",
        ),
        (
            ACTION.replace("}", ", variants: {a: 1}}"),
            ACTION.replace("id: nudge", "id: other, experiment: nudge, variants: {a: 2}"),
            "b.yaml:2:27: another experiment nudge has other shares; give them the same or other names",
        ),
        (
            "policy: {holdout: 0.05}\n" + ACTION,
            ACTION.replace("id: nudge", "id: all, holdout: 0.05"),
            "b.yaml:2:8: another experiment all has other shares; give them the same or other names",
        ),
    ],
)
def test_what_does_not_go_together_is_told(one: str, other: str, told: str) -> None:
    """
    Of two files the second is told of, in the order of their names.
    """
    assert faults(one, b=other) == [told]


def test_rules_may_share_an_experiment() -> None:
    """
    With the same shares nobody is held out of one and not of the other.
    """
    line = ACTION.replace("}", ", experiment: spring, holdout: 0.5, variants: {a: 1, b: 1}}")
    rules = made(line, b=line.replace("id: nudge", "id: other").replace("{a: 1, b: 1}", "{b: 1, a: 1}")).rules
    arms = [{id_: one.experiment.arm(f"a{n}") for id_, one in rules.items() if one.experiment} for n in range(50)]
    assert all(one["nudge"] == one["other"] for one in arms)
    assert {one["nudge"] for one in arms} == {None, "a", "b"}


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("when: event.knd == 'a'", "2:9"),
        ("when: 'event.kind == ''it'' || event.knd == ''a'''", "2:34"),
        ('when: "event.kind == \\"it\\" ||\\tevent.knd == \\x27a\\x27"', "2:35"),
        ("when: profile.known\n    && event.knd == 'a'", "3:8"),
        ("when: |  # why\n    profile.known\n\n      && event.knd == 'a'", "5:10"),
        ("when: >-\n    profile.known\n    && event.knd == 'a'", "4:8"),
        ("when: \"profile.known\n\n    && \\\n    event.knd == 'a'\"", "5:5"),
        ("{when: 'profile.known\n    && event.knd == ''a'''}", "3:8"),
    ],
)
def test_the_place_in_a_condition_is_one_in_the_file(written: str, place: str) -> None:
    """
    However it is written: without quotes, in either, over several lines, folded or not.
    """
    rest = "family: cart\n  on: cart.timer\n  channels: email\n"
    text = f"actions:\n- {written}\n  id: nudge\n  {rest}"
    if written.startswith("{"):
        text = f"actions:\n- {written[:-1]}, id: nudge, family: cart, on: cart.timer, channels: email}}\n"
    [fault] = faults(text)
    told, excerpt, carets = fault.split("\n")
    assert told.startswith(f"a.yaml:{place}: unknown field `event.knd`")
    line, column = (int(one) for one in place.split(":"))
    written_line = text.splitlines()[line - 1]
    assert excerpt == f"    {written_line}"
    assert written_line[column - 1 :].startswith("event.knd")
    assert carets.strip() == "^" * len("event.knd")
    assert written_line[carets.index("^") - 4 :].startswith("event.knd")


@given(
    before=st.text(st.sampled_from("ab '\"\\\t:#é😀{}"), max_size=30),
    after=st.text(st.sampled_from("ab '\"\\:#\n"), max_size=30),
    style=st.sampled_from([None, "'", '"', "|", ">"]),
    width=st.integers(10, 80),
)
def test_every_place_is_found_however_yaml_writes_it(before: str, after: str, style: str | None, width: int) -> None:
    """
    Whatever stands before and after it in a condition, and however PyYAML quotes, folds and escapes that.
    """
    condition = f"profile.known || {_quoted(before)} ==\n event.knd || {_quoted(after)} == 'a'"
    rule = {"id": "nudge", "family": "cart", "on": "cart.timer", "channels": "email", "when": condition}

    class Dumper(yaml.SafeDumper):
        pass

    Dumper.add_representer(
        str,
        lambda dumper, value: dumper.represent_scalar(
            "tag:yaml.org,2002:str", value, style=style if value is condition else None
        ),
    )
    text = yaml.dump({"actions": [rule]}, Dumper=Dumper, width=width, allow_unicode=True)
    assume(yaml.safe_load(text)["actions"] == [rule])  # PyYAML folds some lines so that it reads another text itself
    [fault] = faults(text)
    name, line, column, message = fault.split(":", 3)
    assert (name, message.split(";")[0]) == ("a.yaml", " unknown field `event.knd`")
    assert text.split("\n")[int(line) - 1][int(column) - 1 :].startswith("event.knd")


def _quoted(text: str) -> str:
    """Write a text as CEL does."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("actions: &a [*a]", f"a.yaml:1:1: over {VALUES_MAX:,} values, or one that holds itself"),
        (
            "a0: &a0 [1, 1]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
            + "actions: []\n",
            f"a.yaml:1:1: over {VALUES_MAX:,} values, or one that holds itself",
        ),
        ("[" * 5_000, "a.yaml:1:1: nested too deeply"),
        ("actions: [\x07]", "a.yaml:1:1: character 11 is not allowed in YAML: special characters are not allowed"),
        ("---\nactions: []\n---\nactions: []\n", "a.yaml:3:1: but found another document"),
        ("? {a: b}\n: c", "a.yaml:1:3: found unhashable key"),
    ],
)
def test_what_is_no_sound_yaml_is_told(text: str, told: str) -> None:
    """
    What holds itself or unfolds to more than fits a machine, too.
    """
    assert faults(text) == [told]
