"""The schemas of what is published, as JSON Schema 2020-12, made of the records themselves.

`python -m connectors.asyncapi` writes them to config/schemas. For subscribers: what a record has may grow by fields, so
more fields than are named here are no fault.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, Final, get_args, get_type_hints

import msgspec

from connectors.contracts import CONTRACTS, Contract

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """Return all schemas by their name, which is the type of the CloudEvent without `io.nextmove.` as a rule.

    Raises:
        LookupError: a field is not described where it is declared.
    """
    return {contract.name: _schema(contract) for contract in CONTRACTS}


def _schema(contract: Contract) -> dict[str, Any]:
    """Return the schema of one kind of record."""
    record = contract.record
    _, components = msgspec.json.schema_components([record])
    for struct in _structs(record):
        _describe(components[struct.__name__], struct)
    described = components.pop(record.__name__)
    properties = described["properties"]
    for name, word in contract.told.items():
        _narrow(properties[name], {"const": word})
    for name in contract.filled:
        if "enum" in properties[name]:
            _narrow(properties[name], {"enum": [word for word in properties[name]["enum"] if word]})
        else:
            properties[name] |= {"minItems": 1} if properties[name].get("type") == "array" else {"minLength": 1}
    schema: dict[str, Any] = {"$schema": DIALECT, "$id": f"urn:nextmove:{contract.name}", "title": contract.name}
    return {**schema, **described, **({"$defs": components} if components else {})}


def _narrow(schema: dict[str, Any], to: dict[str, Any]) -> None:
    for name in ("enum", "anyOf"):
        schema.pop(name, None)
    schema |= to


def _describe(schema: dict[str, Any], struct: type[msgspec.Struct]) -> None:
    """Put in what the source says of each field, and which are always there: all, where empty ones are written."""
    del schema["title"]  # the name of a class of ours
    schema["description"] = _line(struct.__doc__ or "")
    told, properties = descriptions(struct), schema["properties"]
    for name in properties:
        if name not in told:
            raise LookupError(f"{struct.__name__}.{name} is published but not described: put a docstring below it")
        properties[name] = {"description": told[name]} | properties[name]
        if not struct.__struct_config__.omit_defaults:
            properties[name].pop("default", None)
    if not struct.__struct_config__.omit_defaults:
        schema["required"] = list(properties)


@cache
def descriptions(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstrings of a struct's fields, of those that it inherits too."""
    found: dict[str, str] = {}
    for class_ in reversed(struct.__mro__):
        if class_ is not msgspec.Struct and issubclass(class_, msgspec.Struct):
            source = ast.parse(textwrap.dedent(inspect.getsource(class_))).body[0]
            assert isinstance(source, ast.ClassDef)
            found |= dict(_described(source.body))
    return found


def _described(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, said in pairwise(body):
        match field, said:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, _line(text)
            case _:
                continue


def _line(text: str) -> str:
    return " ".join(text.split())


def _structs(record: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """Return a record's struct and those within."""
    found: list[type[msgspec.Struct]] = []
    pending: list[Any] = [record]
    while pending:
        told = pending.pop()
        if isinstance(told, type) and issubclass(told, msgspec.Struct):
            if told not in found:
                found.append(told)
                hints = get_type_hints(told)
                pending += [hints[name] for name in told.__struct_fields__]
        else:
            pending += get_args(told)
    return found


def encoded(schema: dict[str, Any]) -> bytes:
    """Return a document as it is written to a file."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
