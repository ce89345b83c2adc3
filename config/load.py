"""Reading settings from YAML: what is wrong is told in one line, with its cause and its cure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml
from msgspec import inspect

from config.document import DocumentError, Loader, document, line_of, syntax
from config.durations import format_duration, parse_duration
from config.mapping import MappingError, rules_of
from config.section import Section, is_duration
from config.settings import Settings
from config.shown import MASK, has_login, is_masked, is_secret, masked, shown
from config.visits import GapSettings

ENVIRONMENT: Final = "NEXTMOVE_"
FILE: Final = "_FILE"
S = TypeVar("S", bound=Section)


class ConfigError(ValueError):
    """Settings that cannot be used. The message is one line: file, key, cause and cure."""


def load(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings in `path`; without a file, and for what a file does not name, the defaults hold.

    `environ` outranks the file.

    Raises:
        ConfigError: There is no such file, it is not YAML, or a setting in it is unknown, of the wrong type,
            out of bounds or at odds with another.
    """
    try:
        settings = Settings() if path is None else _section(Settings, document(path), "")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; without one, the defaults hold") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    settings = _with_mappings(_overridden(settings, environ or {}), path, environ or {})
    settings = _with_journeys(settings, path, environ or {})
    _refuse_masks(settings, path, environ or {})
    try:
        _ = settings.identity.secrets
    except ValueError as error:
        raise ConfigError(f"{path or 'the environment'}: {error}") from None
    return settings


def _with_mappings(settings: Settings, path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Put what mappings are in place of the names of their files, after a look at whether they can be used.

    A file is looked for beside the settings that name it, of the environment in the folder that the process runs in.
    """
    name = _variable("source.mappings")
    said = next((one for one in (name + FILE, name) if one in environ), None)
    whole: dict[str, str | dict[Any, Any] | list[Any]] = {}
    for mapping, raw in settings.source.mappings.items():
        file, inside = (path, ("source", "mappings", mapping)) if said is None else (None, ())
        if isinstance(raw, str):
            file, inside = (Path() if said is not None or path is None else path.parent) / raw, ()
        try:
            content = document(file) if isinstance(raw, str) and file is not None else raw
            rules_of(content)
        except FileNotFoundError:
            raise ConfigError(f"{path or said}: source.mappings.{mapping}: there is no file {file}") from None
        except MappingError as error:
            where = said if file is None else f"{file}: line {line_of(file, (*inside, *error.keys))}"
            raise ConfigError(f"{where}: {error}") from None
        except DocumentError as error:
            raise ConfigError(f"{file}: {error}") from None
        whole[mapping] = content if isinstance(content, list) else [content]
    if not whole:
        return settings
    return msgspec.structs.replace(settings, source=msgspec.structs.replace(settings.source, mappings=whole))


def _with_journeys(settings: Settings, path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Put the whole path of the journeys in place of one that begins where the settings are, or the process runs."""
    if not settings.decision.journeys:
        return settings
    name = _variable("decision.journeys")
    folder = Path() if path is None or name in environ or name + FILE in environ else path.parent
    journeys = str((folder / settings.decision.journeys).absolute())
    return msgspec.structs.replace(settings, decision=msgspec.structs.replace(settings.decision, journeys=journeys))


def describe(settings: Settings) -> str:
    """Write the settings in force as YAML that `load` reads back to the same.

    Secrets and logins are masked, and a mask is refused when it is read.
    """
    return msgspec.yaml.encode(_plain(settings)).decode()


def _overridden(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Let the environment outrank a file: NEXTMOVE_CART_CART_DELAY=45m is `cart.cart_delay`.

    NEXTMOVE_..._FILE names a file that holds the value, as secrets are mounted. A list or a mapping replaces the
    file's, nothing of which stays.
    """
    keys = _keys(Settings)
    known = {_variable(key): key for key in keys if not any(other.startswith(f"{key}.") for other in keys)}
    sections = tuple(f"{ENVIRONMENT}{field.encode_name.upper()}_" for field in msgspec.structs.fields(Settings))
    changes: dict[str, object] = {}
    for name in sorted(environ):
        if name in known:
            changes[known[name]] = _from_text(name, known[name], environ[name])
        elif name.removesuffix(FILE) in known:
            key = known[name.removesuffix(FILE)]
            changes[key] = _from_text(name, key, _content(name, Path(environ[name])))
        elif name.startswith(sections):
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(
                f"{name} in the environment: no such setting{f'; did you mean {near[0]}?' if near else ''}"
            )
    try:
        return _replaced(settings, changes)
    except ValueError as error:
        raise ConfigError(f"the environment: {' '.join(str(error).split())}") from error


def _variable(key: str) -> str:
    """Name the variable of a setting."""
    return ENVIRONMENT + key.upper().replace(".", "_")


def _refuse_masks(section: Section, path: Path | None, environ: Mapping[str, str], prefix: str = "") -> None:
    """Refuse what `describe` prints instead of a secret: it would be taken for the secret."""
    for field in msgspec.structs.fields(section):
        key = prefix + field.encode_name
        value = getattr(section, field.name)
        if isinstance(value, Section):
            _refuse_masks(value, path, environ, f"{key}.")
        elif is_masked(key, value):
            name = _variable(key)
            said = [f"{one} in the environment" for one in (name + FILE, name) if one in environ]
            raise ConfigError(
                f"{said[0] if said else path}: {key} holds {MASK}, which stands for a secret where settings are"
                f" printed; put the secret there, or into {name}, or into a file that {name}{FILE} names"
            )


def _replaced(section: S, changes: Mapping[str, object]) -> S:
    """Return `section` with some settings, by their dotted keys, changed."""
    fields: dict[str, object] = {}
    for field in msgspec.structs.fields(type(section)):
        name = field.encode_name
        value = getattr(section, field.name)
        if isinstance(value, Section):
            below = {key.removeprefix(f"{name}."): changes[key] for key in changes if key.startswith(f"{name}.")}
            fields[field.name] = _replaced(value, below) if below else value
        elif name in changes:
            fields[field.name] = changes[name]
    return msgspec.structs.replace(section, **fields)


def _from_text(name: str, key: str, text: str) -> object:
    """Make the value of a setting of what the environment says."""
    section: type[Section] = Settings
    *path, last = key.split(".")
    for step in path:
        section = next(f.type for f in msgspec.structs.fields(section) if f.encode_name == step)
    field = next(f for f in msgspec.structs.fields(section) if f.encode_name == last)
    return _value(section, field, _raw(name, inspect.type_info(field.type), text), name)


def _raw(name: str, kind: inspect.Type, text: str) -> object:
    """Read a variable as its setting wants it: text as it stands, a list as a,b or as YAML, all else as YAML."""
    match kind:
        case inspect.Metadata(type=inspect.StrType()) | inspect.StrType():
            return text
        case inspect.VarTupleType() if not text.lstrip().startswith("["):
            return [part.strip() for part in text.split(",")]
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} in the environment: {syntax(error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{name} in the environment: nested too deeply") from error


def _content(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{name} in the environment: {path}: {reason}") from error


def _section(section: type[S], raw: object, path: str) -> S:
    """Make a section of a mapping as YAML gives it; `path` is its own key, "" for the whole document."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(section)}
    if raw is None:  # nothing under the key, as where all lines of a section are commented out
        return section()
    if not isinstance(raw, dict):
        expected = f"a mapping of {_listed(fields)}"
        raise ConfigError(f"{path or 'the document'} is {shown(raw)} but must be {expected}")
    values = {}
    for key, value in raw.items():
        field = fields.get(key)
        if field is None:
            raise ConfigError(_unknown(str(key), path, list(fields)))
        values[field.name] = _value(section, field, value, f"{path}.{key}".lstrip("."))
    return section(**values)


def _value(section: type[Section], field: msgspec.structs.FieldInfo, raw: object, path: str) -> object:
    if isinstance(field.type, type) and issubclass(field.type, Section):
        return _section(field.type, raw, path)
    if raw is None and isinstance(inspect.type_info(field.type), inspect.DictType):
        return {}  # as a section
    try:
        return msgspec.convert(_number(section, field, raw), field.type)
    except (msgspec.ValidationError, ValueError):
        raise ConfigError(f"{path} {_fault(field, raw)} but must be {_expected(field)}") from None


def _fault(field: msgspec.structs.FieldInfo, raw: object) -> str:
    """Say what a setting is, or what is wrong in it; of what may be secret only that it is wrong."""

    def fits(part: object) -> bool:
        try:
            msgspec.convert(part, field.type)
        except msgspec.ValidationError:
            return False
        return True

    match inspect.type_info(field.type), raw:
        case inspect.VarTupleType(), list() if wrong := [one for one in raw if not fits([one])]:
            return f"has {shown(wrong[0])}"
        case inspect.DictType(), dict() if wrong := [key for key in raw if not fits({key: ""})]:
            return f"has the key {shown(wrong[0])}"
        case inspect.DictType(), dict():
            key = next(key for key in raw if not fits({key: raw[key]}))
            return f"has {key}: {shown(raw[key]) if raw[key] is None else 'no such value'}"
        case inspect.DictType(), str():
            return "is text"
    may_be_secret = is_secret(field.encode_name) or has_login(field.encode_name)
    return f"is {'another' if may_be_secret and raw is not None else shown(raw)}"


def _number(section: type[Section], field: msgspec.structs.FieldInfo, raw: object) -> object:
    """Turn a duration into milliseconds; of numbers only 0 needs no unit, of channels null is off."""
    if not is_duration(field.name) or (raw == 0 and type(raw) is int):
        return raw
    if raw is None and section is GapSettings:
        return 0
    if not isinstance(raw, str):
        raise ConfigError("a number without its unit")
    return parse_duration(raw)


def _expected(field: msgspec.structs.FieldInfo) -> str:
    """Say what a setting may be."""
    kind = inspect.type_info(field.type)
    if isinstance(kind, inspect.IntType) and is_duration(field.name):
        assert isinstance(kind.ge, int), "durations are bounded"
        assert isinstance(kind.le, int), "durations are bounded"
        bounds = f"{format_duration(kind.ge)} to {format_duration(kind.le)}"
        return f"a duration from {bounds}, written as 500ms, 30m or 1h30m"
    return _words(kind)


def _words(kind: inspect.Type) -> str:
    """Say what a value of a type may be."""
    match kind:
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case inspect.FloatType(ge=float(low), le=float(high)):
            return f"a number from {low:g} to {high:g}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return f"one of {_listed(values)}"
        case inspect.Metadata(type=inspect.StrType(max_length=None), extra_json_schema={"description": str(words)}):
            return words
        case inspect.Metadata(
            type=inspect.StrType(min_length=low, max_length=high), extra_json_schema={"description": str(words)}
        ):
            return f"{low} to {high} {words}"
        case inspect.StrType(min_length=low, max_length=high, pattern=None):
            return f"text of {low} to {high} characters"
        case inspect.StrType(min_length=low, max_length=high):
            return f"{low} to {high} ASCII characters without spaces"
        case inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            return f"a list of {low} to {high}, each {_words(item)}"
        case inspect.DictType(key_type=key, value_type=inspect.UnionType(types=types)):
            return f"a mapping whose keys are {_words(key)}, each to {_any_of(types)}"
        case inspect.DictType(key_type=key, value_type=value):
            return f"a mapping whose keys are {_words(key)}, each to {_words(value)}"
        case other:
            raise AssertionError(f"no words yet for {other}")


def _any_of(types: tuple[inspect.Type, ...]) -> str:
    """Say what one of several types may be: the two unions that there are."""
    if any(isinstance(one, inspect.ListType) for one in types):
        return "a table, a list of tables or the name of a file"
    return "text, a number, true or false"


def _unknown(key: str, path: str, keys: list[str]) -> str:
    """Name an unknown key and what was probably meant: a neighbour, else the same key elsewhere."""
    name = shown(f"{path}.{key}".lstrip("."))
    near = difflib.get_close_matches(key, keys, n=1)
    elsewhere = [known for known in _keys(Settings) if known.rpartition(".")[2] == key]
    if near or elsewhere:
        return f"unknown key {name}; did you mean {' or '.join(near or elsewhere)}?"
    return f"unknown key {name}; known here: {_listed(keys)}"


def _keys(section: type[Section], prefix: str = "") -> list[str]:
    """List every key below a section, as `session.gap.web`, sections included."""
    keys = []
    for field in msgspec.structs.fields(section):
        keys.append(prefix + field.encode_name)
        if isinstance(field.type, type) and issubclass(field.type, Section):
            keys += _keys(field.type, f"{prefix}{field.encode_name}.")
    return keys


def _plain(section: Section) -> dict[str, object]:
    """Turn a section into what YAML knows, durations as people write them."""
    plain: dict[str, object] = {}
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        if isinstance(value, Section):
            value = _plain(value)
        elif is_duration(field.name):
            value = format_duration(value)
        else:
            value = masked(field.encode_name, value)
        plain[field.encode_name] = value
    return plain


def _listed(names: object) -> str:
    assert isinstance(names, dict | list | tuple), "what has an order"
    return ", ".join(str(name) for name in names)
