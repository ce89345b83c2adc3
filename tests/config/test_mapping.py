"""Mappings in settings: where a mistake stands, and what was probably meant."""

import os
from pathlib import Path

import pytest

from config.load import ConfigError, describe, load
from config.mapping import MappingError, rules_of
from config.settings import Settings
from operators.mapping import Condition, Field, MappingRules

GOOD = "kind: searched\nat: {path: ts, unit: s}\nuser_id: customer.id\nwhen: {topic: [a, b], gone: null}\n"
TABLE = "kind: {path: t, table: {2: searched, true: page_viewed, 1.5: other}}\nat: a\nuser_id: u\n"
RULES = MappingRules(
    fields={"kind": Field(constant="searched"), "at": Field(path="ts", unit="s"), "user_id": Field(path="customer.id")},
    when=(Condition("topic", ("a", "b")), Condition("gone", (None,))),
)


def settings(folder: Path, mappings: str, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    path = folder / "shop.yaml"
    path.write_text(f"source:\n  mappings:\n{mappings}\n")
    return path


def fault(folder: Path, mappings: str, **files: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(settings(folder, mappings, **files))
    return str(caught.value).replace(f"{folder}{os.sep}", "")


def test_a_mapping_lies_in_a_file_or_in_the_settings(tmp_path: Path) -> None:
    """
    It means the same in both; a file is looked for beside the settings.
    """
    inline = "{kind: searched, at: {path: ts, unit: s}, user_id: customer.id, when: {topic: [a, b], gone: null}}"
    path = settings(tmp_path, f"    one: one.yaml\n    two: {inline}", one=GOOD)
    assert load(path).source.mapping_rules() == {"one": (RULES,), "two": (RULES,)}


def test_what_is_in_force_is_printed_whole(tmp_path: Path) -> None:
    """
    With the tables in place of their files, so that it needs none.
    """
    loaded = load(settings(tmp_path, "    one: one.yaml\n    two: two.yaml", one=GOOD, two=TABLE))
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    (alone / "effective.yaml").write_text(describe(loaded))
    assert load(alone / "effective.yaml") == loaded


def test_the_environment_names_mappings_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Their files are looked for where the process runs.
    """
    (tmp_path / "one.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    assert load(None, {"NEXTMOVE_SOURCE_MAPPINGS": "{m: one.yaml}"}).source.mapping_rules() == {"m": (RULES,)}
    with pytest.raises(ConfigError, match=r"^NEXTMOVE_SOURCE_MAPPINGS: source.mappings.m: there is no file no.yaml$"):
        load(None, {"NEXTMOVE_SOURCE_MAPPINGS": "{m: no.yaml}"})
    with pytest.raises(ConfigError, match=r"^NEXTMOVE_SOURCE_MAPPINGS: unknown key kynd; did you mean kind\?$"):
        load(None, {"NEXTMOVE_SOURCE_MAPPINGS": "{m: {kynd: other}}"})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kind: serched\nat: a\nuser_id: u", "line 1: unknown kind serched; did you mean searched?"),
        ("kind: call_leg\nat: a\nuser_id: u", "line 1: unknown kind call_leg; did you mean call_held?"),
        ("kind: other\nat: a\nuser_id: u\ncurency: c", "line 4: unknown key curency; did you mean currency?"),
        ("kind: other\nat: a\nuser_id: u\nchannel: webb", "line 4: unknown channel webb; did you mean web?"),
        ("kind: other\nat: a.\nuser_id: u", "line 2: a. is no JMESPath expression: it ends too soon"),
        (
            "kind: other\nat: a b\nuser_id: u",
            "line 2: a b is no JMESPath expression: b at character 3 does not fit there",
        ),
        ("kind: other\nat: a\nuser_id: lenght(u)", "line 3: unknown function lenght; did you mean length?"),
        ("kind: other\nat: {path: a, unit: sec}\nuser_id: u", "line 2: unknown unit sec; known: text, s, ms, us"),
        ("kind: other\nat: a\nuser_id:\n  pth: u", "line 4: unknown key pth; did you mean path?"),
        ("kind: other\nat: a\nuser_id: {default: u}", "line 3: user_id needs either a `path` or a `constant`"),
        ("kind: other\nat: a\nuser_id: 7", "line 3: user_id is 7 but must be a path, or a table of path, constant,"),
        ("kind: other\nat: a\nuser_id: u\nvalue: {constant: much}", "line 4: value is much but must be a number"),
        ("kind: other\nat: a\nuser_id: u\nurl: {path: a, scale: 2}", "line 4: url has no scale; only value,"),
        ("kind: other\nat: a\nuser_id: u\nurl: {path: a, unit: s}", "line 4: url has no unit; only at and received_at"),
        (
            "kind: other\nat: a\nuser_id: u\nitems: {path: l}",
            "line 4: items need the `path` to their list, and `product_id`",
        ),
        (
            "kind: other\nat: a\nuser_id: u\nitems: {path: l, product_id: p, sku: s}",
            "line 4: unknown key sku; known: path,",
        ),
        (
            "kind: other\nat: a\nuser_id: u\nconsents: {email: {constant: 'yes'}}",
            "line 4: consent is yes but must be true",
        ),
        ("kind: other\nat: a\nuser_id: u\nproperties: al", "line 4: unknown word al; known: rest, none"),
        (
            "kind: other\nat: a\nuser_id: u\nwhen: {a: [{b: 1}]}",
            "line 4: a condition has a mapping but must have text,",
        ),
        ("kind: other\nat: a\nuser_id: u\nwhen: {a: []}", "line 4: a condition without values, which is never met"),
        ("kind: other\nat: a", "line 1: a mapping without any of anonymous_id, user_id, email, phone: an event is"),
        ("kind: other\nuser_id: u", "line 1: a mapping without `at`, which each event has"),
        ("[]", "line 1: a list of 0 mappings; 1 to 100 are possible"),
        ("7", "line 1: a mapping is 7 but must be a table of kind, channel,"),
        ("- kind: other\n  at: a\n  user_id: u\n- kind: x", "line 4: unknown kind x; known: "),
        (
            "kind: {path: t, table: {1: serched}}\nat: a\nuser_id: u",
            "line 1: unknown kind serched; did you mean searched?",
        ),
        ("kind: [", "line 1, column 8: "),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    """
    In one line: file, line, cause, and what was probably meant.
    """
    told = fault(tmp_path, "    one: one.yaml", one=text)
    assert told.startswith(f"one.yaml: {complaint}")
    assert "\n" not in told


def test_a_mistake_in_the_settings_themselves_has_their_line(tmp_path: Path) -> None:
    """
    Also where a list of tables stands there.
    """
    inline = "    one:\n    - kind: other\n      at: a\n      user_id: u\n      nmae: x"
    assert fault(tmp_path, inline) == "shop.yaml: line 7: unknown key nmae; did you mean name?"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """
    With the setting that names it.
    """
    assert fault(tmp_path, "    one: no.yaml") == "shop.yaml: source.mappings.one: there is no file no.yaml"


def test_a_mapping_is_a_table_a_list_or_a_file(tmp_path: Path) -> None:
    """
    And nothing else.
    """
    assert fault(tmp_path, "    one: 7") == (
        "shop.yaml: source.mappings has one: no such value but must be a mapping whose keys are text of 1 to 4096"
        " characters, each to a table, a list of tables or the name of a file"
    )


def test_deep_paths_are_refused_and_not_followed() -> None:
    """
    A path that nobody wrote by hand.
    """
    with pytest.raises(MappingError, match="nested too deeply"):
        rules_of({"kind": "other", "at": "a", "user_id": "(" * 5_000 + "u" + ")" * 5_000})


def test_settings_have_no_mappings_by_themselves() -> None:
    """
    Nobody needs one.
    """
    assert Settings().source.mapping_rules() == {}
