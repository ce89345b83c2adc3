"""
The files that people copy from say what the program does.
"""

from pathlib import Path
from typing import Final

import msgspec
import yaml

import config
from config.durations import format_duration
from config.load import describe, load
from config.section import Section, is_duration
from config.settings import Settings

CONFIG: Final = Path(config.__file__).parent
REFERENCE: Final = CONFIG / "reference.yaml"


def leaves(section: type[Section], prefix: str = "") -> dict[str, msgspec.structs.FieldInfo]:
    """
    Every setting by its dotted key, in the order of the structs.
    """
    found: dict[str, msgspec.structs.FieldInfo] = {}
    for field in msgspec.structs.fields(section):
        key = prefix + field.encode_name
        if isinstance(field.type, type) and issubclass(field.type, Section):
            found |= leaves(field.type, f"{key}.")
        else:
            found[key] = field
    return found


def places(node: yaml.Node, prefix: str = "") -> dict[str, int]:
    """
    Every leaf of a YAML document by its dotted key, with its line counted from 0, in the document's order.
    """
    found: dict[str, int] = {}
    for key, value in node.value:
        dotted = prefix + key.value
        if isinstance(value, yaml.MappingNode) and dotted not in leaves(Settings):
            found |= places(value, f"{dotted}.")
        else:
            found[dotted] = key.start_mark.line
    return found


def comment(lines: list[str], line: int) -> str:
    """
    The comment beside a line, and those right above it.
    """
    parts = [lines[line].partition("#")[2]]
    while line and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        parts.insert(0, lines[line].lstrip(" #"))
    return " ".join(" ".join(parts).split())


def range_of(field: msgspec.structs.FieldInfo) -> list[str]:
    """
    What a comment must say of the values that a setting can have.
    """
    kind = msgspec.inspect.type_info(field.type)
    if isinstance(kind, msgspec.inspect.IntType) and is_duration(field.name):
        assert kind.ge is not None
        assert kind.le is not None
        return [f"{format_duration(int(kind.ge))} to {format_duration(int(kind.le))}"]
    return range_in(kind)


def range_in(kind: msgspec.inspect.Type) -> list[str]:
    """
    The same of a type, and of what is in a list or a mapping.
    """
    match kind:
        case msgspec.inspect.Metadata(type=inner, extra_json_schema={"description": str(words)}):
            return [words, *range_in(inner)]
        case msgspec.inspect.StrType(min_length=None, max_length=None):
            return []
        case msgspec.inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            return [f"{low} to {high}", *range_in(item)]
        case msgspec.inspect.DictType(key_type=key):
            return range_in(key)
        case msgspec.inspect.IntType(ge=low, le=high) | msgspec.inspect.StrType(min_length=low, max_length=high):
            return [f"{low} to {high}"]
        case msgspec.inspect.FloatType(ge=float(low), le=float(high)):
            return [f"{low:g} to {high:g}"]
        case msgspec.inspect.LiteralType(values=values):
            return [str(value) for value in values]
        case msgspec.inspect.BoolType():
            return ["true or false"]
        case other:
            raise AssertionError(other)


def test_the_minimal_file_is_valid() -> None:
    """
    Nothing needs to be set.
    """
    assert load(CONFIG / "minimal.yaml") == Settings()


def test_the_example_for_production_is_valid() -> None:
    """
    What compose.yaml runs with loads as it is; where Kafka is comes from the environment.
    """
    settings = load(CONFIG / "prod.yaml", {"NEXTMOVE_KAFKA_SERVERS": "kafka:9092"})
    assert (settings.kafka.servers, settings.telemetry.port) == ("kafka:9092", 9464)


def test_the_reference_is_the_defaults() -> None:
    """
    What reference.yaml says holds without it.
    """
    assert load(REFERENCE) == Settings()


def test_the_reference_names_every_setting_in_order() -> None:
    """
    No setting is secret, and `describe` shows the same ones.
    """
    for text in (REFERENCE.read_text(), describe(Settings())):
        document = yaml.compose(text, yaml.SafeLoader)
        assert document is not None
        assert list(places(document)) == list(leaves(Settings))


def test_the_reference_explains_every_setting_with_its_range() -> None:
    """
    Each setting has a comment, and the range in it is the one that `load` enforces.
    """
    text = REFERENCE.read_text()
    document = yaml.compose(text, yaml.SafeLoader)
    assert document is not None
    comments = {key: comment(text.splitlines(), line) for key, line in places(document).items()}
    unsaid = {
        key: missing
        for key, field in leaves(Settings).items()
        if (missing := [words for words in range_of(field) if words not in comments[key]])
    }
    assert unsaid == {}


def test_every_duration_is_named_by_its_unit() -> None:
    """
    Only whole numbers hold milliseconds, and the key leaves the unit to the value.
    """
    for key, field in leaves(Settings).items():
        assert is_duration(field.name) == ("_ms" in field.name), key
        assert not is_duration(field.name) or isinstance(
            msgspec.inspect.type_info(field.type), msgspec.inspect.IntType
        ), key
        assert "ms" not in key.replace(".", "_").split("_")
