"""Settings name only formats that there are."""

import ast
from pathlib import Path

import pytest

from config.load import ConfigError
from connectors.formats.others import FORMATS
from pipeline.loading import load

PIPELINE = Path(__file__).resolve().parents[2] / "pipeline"
MAPPING = "  mappings:\n    orders: {kind: other, at: at, user_id: who}\n"


def settings(folder: Path, text: str) -> Path:
    path = folder / "shop.yaml"
    path.write_text(f"source:\n{text}")
    return path


@pytest.mark.parametrize("name", [*FORMATS, "orders"])
def test_a_format_is_one_of_ours_or_a_mapping(tmp_path: Path, name: str) -> None:
    """
    For all topics or for one.
    """
    assert load(settings(tmp_path, f"  format: {name}\n{MAPPING}")).source.format == name
    assert load(settings(tmp_path, f"  formats: {{t: {name}}}\n{MAPPING}")).source.formats == {"t": name}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("  format: segmnt\n", "source.format: unknown format segmnt; did you mean segment?"),
        ("  formats: {web: rasaa}\n", "source.formats.web: unknown format rasaa; did you mean rasa?"),
        ("  formats: {web: order}\n" + MAPPING, "source.formats.web: unknown format order; did you mean orders?"),
        ("  format: zzz\n", f"source.format: unknown format zzz; known: {', '.join(FORMATS)}"),
        (MAPPING.replace("orders", "braze"), "source.mappings.braze has the name of a format; give it another"),
    ],
)
def test_any_other_name_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """
    With the one that was probably meant.
    """
    path = settings(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {complaint}"


def test_the_environment_is_named_where_it_says_so(tmp_path: Path) -> None:
    """
    It outranks the file, so the mistake is not there.
    """
    with pytest.raises(
        ConfigError, match=r"^NEXTMOVE_SOURCE_FORMAT in the environment: source.format: unknown format x"
    ):
        load(settings(tmp_path, "  format: rasa\n"), {"NEXTMOVE_SOURCE_FORMAT": "x"})


def test_every_command_loads_settings_this_way() -> None:
    """
    None of them reads settings without the check.
    """
    loaders = [
        path.name
        for path in PIPELINE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "config.load"
        if any(alias.name == "load" for alias in node.names)
    ]
    assert loaders == ["loading.py"]
