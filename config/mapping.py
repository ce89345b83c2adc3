"""Mappings as settings name them, into rules: what is wrong in one is told by where it stands and what it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import jmespath
from jmespath.exceptions import JMESPathError, LexerError
from jmespath.functions import Functions

from config.shown import shown, unknown
from operators.event import CHANNELS
from operators.mapping import (
    AMOUNTS,
    FIELDS,
    IDENTIFIERS,
    INSTANTS,
    ITEM_FIELDS,
    MAPPED_KINDS,
    TEXTS,
    WHO,
    Condition,
    Field,
    MappingRules,
    Scalar,
)

Keys: TypeAlias = tuple[str | int, ...]
"""Where something stands in a document."""

MAPPINGS_MAX: Final = 100
"""Types of records in one topic: each record is held against the conditions of all until one fits."""

PROPERTIES: Final = ("rest", "none")
_WORDS: Final = {"kind": MAPPED_KINDS, "channel": CHANNELS}
_OWN: Final = ("when", "items", "consents", "properties")
_FIELD_KEYS: Final = ("path", "constant", "table", "default", "unit", "scale")
_UNITS: Final = ("text", "s", "ms", "us")
_NUMBERS: Final = (*AMOUNTS, "quantity", "price")
_TEXTS: Final = (*IDENTIFIERS, *TEXTS, "product_id", "category")


class MappingError(ValueError):
    """A mapping that cannot be used: the message says why, `keys` where."""

    def __init__(self, keys: Keys, message: str) -> None:
        super().__init__(message)
        self.keys = keys


def rules_of(raw: object) -> tuple[MappingRules, ...]:
    """Make the rules of one mapping, or of a list of them that are tried in order.

    Raises:
        MappingError: something in it is unknown, missing, or not what it must be.
    """
    if isinstance(raw, list):
        if not 0 < len(raw) <= MAPPINGS_MAX:
            raise MappingError((), f"a list of {len(raw)} mappings; 1 to {MAPPINGS_MAX} are possible")
        return tuple([_rules(one, (number,)) for number, one in enumerate(raw)])
    return (_rules(raw, ()),)


def _rules(raw: object, keys: Keys) -> MappingRules:
    table = _table(raw, keys, "a mapping", (*FIELDS, *_OWN))
    fields: dict[str, Field] = {name: _field(table[name], (*keys, name), name) for name in FIELDS if name in table}
    for name in ("kind", "at"):
        if name not in fields:
            raise MappingError(keys, f"a mapping without `{name}`, which each event has")
    if not any(name in fields for name in WHO):
        raise MappingError(keys, f"a mapping without any of {', '.join(WHO)}: an event is somebody's")
    items = _table(table.get("items") or {}, (*keys, "items"), "items", ("path", *ITEM_FIELDS))
    if items and not ("path" in items and "product_id" in items):
        raise MappingError((*keys, "items"), "items need the `path` to their list, and `product_id` in each of them")
    consents = _table(table.get("consents") or {}, (*keys, "consents"), "consents", None)
    return MappingRules(
        fields=fields,
        when=_conditions(table.get("when") or {}, (*keys, "when")),
        items_path=_path(items["path"], (*keys, "items", "path")) if items else "",
        items={n: _field(items[n], (*keys, "items", n), n) for n in ITEM_FIELDS if n in items},
        consents={n: _field(one, (*keys, "consents", n), "consent") for n, one in consents.items()},
        properties=_properties(table.get("properties", "rest"), (*keys, "properties")),
    )


def _table(raw: object, keys: Keys, what: str, known: tuple[str, ...] | None) -> dict[str, Any]:
    """Return a table whose keys are texts, and known where not all are."""
    if not isinstance(raw, dict):
        expected = "a table" if known is None else f"a table of {', '.join(known)}"
        raise MappingError(keys, f"{what} is {shown(raw)} but must be {expected}")
    for key in raw:
        if not isinstance(key, str):
            raise MappingError((*keys, str(key)), f"the key {shown(key)} must be text; quote it")
        if known is not None and key not in known:
            raise MappingError((*keys, key), unknown("key", key, known))
    return raw


def _field(raw: object, keys: Keys, name: str) -> Field:
    """Make a field: a path, for a word of ours the word itself, or a table that says more."""
    if isinstance(raw, str):
        if name in _WORDS:
            return Field(constant=_constant(raw, keys, name))
        return Field(path=_path(raw, keys))
    if not isinstance(raw, dict):
        word = "a word" if name in _WORDS else "a path"
        raise MappingError(keys, f"{name} is {shown(raw)} but must be {word}, or a table of {', '.join(_FIELD_KEYS)}")
    table = _table(raw, keys, name, _FIELD_KEYS)
    if ("path" in table) == ("constant" in table):
        raise MappingError(keys, f"{name} needs either a `path` or a `constant`")
    default = table.get("default")
    return Field(
        path=_path(table["path"], (*keys, "path")) if "path" in table else "",
        constant=_constant(table["constant"], (*keys, "constant"), name) if "constant" in table else None,
        table=_translations(table["table"], (*keys, "table"), name) if "table" in table else None,
        default=None if default is None else _constant(default, (*keys, "default"), name),
        unit=_unit(table["unit"], (*keys, "unit"), name) if "unit" in table else "",
        scale=_scale(table["scale"], (*keys, "scale"), name) if "scale" in table else 1.0,
    )


def _path(raw: object, keys: Keys) -> str:
    """Check a path."""
    if not isinstance(raw, str) or not raw.strip():
        raise MappingError(keys, f"a path is {shown(raw)} but must be a JMESPath expression, such as customer.email")
    try:
        tree = jmespath.compile(raw).parsed
    except JMESPathError as error:
        raise MappingError(keys, f"{shown(raw)} is no JMESPath expression: {_why(error)}") from None
    except RecursionError:
        raise MappingError(keys, "a path that is nested too deeply") from None
    for function in _functions(tree):
        if function not in Functions.FUNCTION_TABLE:
            raise MappingError(keys, unknown("function", function, Functions.FUNCTION_TABLE))
    return raw


def _why(error: JMESPathError) -> str:
    """Say in some words of the library's what it does not understand; it draws arrows under them."""
    if isinstance(error, LexerError):
        return f"{error.message} at character {error.lexer_position + 1}"
    at: object = getattr(error, "lex_position", None)
    token: object = getattr(error, "token_value", None)
    if not token:
        return "it ends too soon"
    return f"{shown(token)} at character {at + 1 if isinstance(at, int) else '?'} does not fit there"


def _functions(tree: Any) -> list[str]:  # noqa: ANN401 -- a tree of the library's
    """Name the functions that an expression calls: the library looks for them only when it comes to them."""
    found = [tree["value"]] if tree["type"] == "function_expression" else []
    for child in tree.get("children", ()):
        if isinstance(child, dict) and "type" in child:
            found += _functions(child)
    return found


def _constant(raw: object, keys: Keys, name: str) -> Scalar:
    """Check a value that stands in the mapping itself."""
    if name in _WORDS:
        if not isinstance(raw, str) or raw not in _WORDS[name]:
            raise MappingError(keys, unknown(name, raw, _WORDS[name]))
        return raw
    is_flag, is_number = isinstance(raw, bool), isinstance(raw, int | float)
    if name == "consent":
        fits, words = is_flag, "true or false"
    elif name in _NUMBERS:
        fits, words = is_number and not is_flag, "a number"
    elif name in _TEXTS:
        fits, words = isinstance(raw, str | int) and not is_flag, "text"
    elif name in INSTANTS:
        fits, words = isinstance(raw, str | int) and not is_flag, "an instant"
    else:
        fits, words = isinstance(raw, str) or is_number, "text, a number, true or false"
    if not fits or not isinstance(raw, str | int | float):
        raise MappingError(keys, f"{name} is {shown(raw)} but must be {words}")
    return raw


def _translations(raw: object, keys: Keys, name: str) -> dict[str, Scalar]:
    """Make the table that translates values; its keys are the texts of what is found."""
    if not isinstance(raw, dict) or not raw:
        raise MappingError(keys, f"a table is {shown(raw)} but must name values and what each of them means")
    return {_text(key): _constant(one, (*keys, key), name) for key, one in raw.items()}


def _text(key: object) -> str:
    """Return the text by which a table knows a value: as JSON shows it."""
    return ("true" if key else "false") if isinstance(key, bool) else str(key)


def _unit(raw: object, keys: Keys, name: str) -> Literal["text", "s", "ms", "us"]:
    if name not in INSTANTS:
        raise MappingError(keys, f"{name} has no unit; only {' and '.join(INSTANTS)} have")
    for unit in _UNITS:
        if raw == unit:
            return unit
    raise MappingError(keys, unknown("unit", raw, _UNITS))


def _scale(raw: object, keys: Keys, name: str) -> float:
    if name not in _NUMBERS:
        raise MappingError(keys, f"{name} has no scale; only {', '.join(_NUMBERS)} have")
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 1e-6 <= raw <= 1e6:
        raise MappingError(keys, f"scale is {shown(raw)} but must be a number from 0.000001 to 1000000")
    return float(raw)


def _conditions(raw: object, keys: Keys) -> tuple[Condition, ...]:
    table = _table(raw, keys, "when", None)
    return tuple([Condition(_path(path, (*keys, path)), _values(one, (*keys, path))) for path, one in table.items()])


def _values(raw: object, keys: Keys) -> tuple[Scalar, ...]:
    """Return the values of which one must be at a path; a list of them, or a single one."""
    values = raw if isinstance(raw, list) else [raw]
    for value in values:
        if value is not None and not isinstance(value, str | int | float):
            raise MappingError(
                keys, f"a condition has {shown(value)} but must have text, a number, true, false or null"
            )
    if not values:
        raise MappingError(keys, "a condition without values, which is never met")
    return tuple(values)


def _properties(raw: object, keys: Keys) -> Literal["rest", "none"] | dict[str, Field]:
    if raw == "rest" or raw == "none":
        return "rest" if raw == "rest" else "none"
    if isinstance(raw, str):
        raise MappingError(keys, unknown("word", raw, PROPERTIES))
    table: Mapping[str, object] = _table(raw, keys, "properties", None)
    return {name: _field(one, (*keys, name), "property") for name, one in table.items()}
