"""Snowplow's self-describing JSON: what an event is about, and the entities that belong to it, by their schemas.

An enriched event has it as texts in three columns. Its entities get the names that Snowplow's analytics SDKs and
warehouses give them: `contexts_<vendor>_<name>_<major version>`, a list, and `unstruct_event_...`, an object.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from connectors.formats.common import Unusable
from connectors.formats.fields import json_value

Told = dict[str, Any]

SCHEMAS_KEPT: Final = 1_024
"""Schemas whose names are remembered: more than one shop has."""

BODY: Final = "unstruct_event"
_ENTITIES: Final = ("contexts", "derived_contexts")
_TEXTS: Final = frozenset({BODY, *_ENTITIES})

_SCHEMA: Final = re.compile(r"iglu:([a-zA-Z0-9-_.]+)/([a-zA-Z0-9-_]+)/([a-zA-Z0-9-_]+)/([1-9][0-9]*)(-[0-9]+-[0-9]+)")
_CAPITAL: Final = re.compile(r"([^A-Z_])([A-Z])")


class Schema:
    """What an Iglu URI says."""

    def __init__(self, vendor: str, name: str, format_: str, major: str, minor: str) -> None:
        self.vendor = vendor
        self.name = name
        self.format = format_
        self.version = major + minor
        snake = _CAPITAL.sub(r"\1_\2", name).lower()
        self.column = f"{vendor.replace('.', '_').lower()}_{snake}_{major}"


def spread(told: Told) -> Told:
    """Return an event with its self-describing JSON under the names of the schemas; nothing else changes.

    What an event is about also tells its vendor, name, format and version, where no column does.

    Raises:
        Unusable: `wrong_type`, for a column that holds something else: it would be another event without.
    """
    if _TEXTS.isdisjoint(told):
        return told
    found = told.copy()
    for column in _ENTITIES:
        if texts := found.pop(column, None):
            entities = _data(texts, column)
            if not isinstance(entities, list):
                raise _unusable(column)
            for entity in entities:
                schema, data = _self_describing(entity, column)
                held = found.setdefault(f"contexts_{schema.column}", [])
                if isinstance(held, list):
                    held.append(data)
    if body := found.pop(BODY, None):
        schema, data = _self_describing(_data(body, BODY), BODY)
        found[f"{BODY}_{schema.column}"] = data
        parts = (schema.vendor, schema.name, schema.format, schema.version)
        for name, part in zip(("event_vendor", "event_name", "event_format", "event_version"), parts, strict=True):
            found.setdefault(name, part)
    return found


def entity(told: Told, name: str) -> Told:
    """Return the first entity of a name; an empty one where there is none."""
    found = entities(told, name)
    return found[0] if found else {}


def entities(told: Told, name: str) -> list[Told]:
    """Return all entities of a name."""
    held = told.get(name)
    if isinstance(held, dict):
        return [held]
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def _data(value: object, column: str) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Return what is in the envelope that a column holds, as text or as an object."""
    if isinstance(value, str):
        try:
            value = json_value(value.encode())
        except Unusable:
            raise _unusable(column) from None
    if not isinstance(value, dict) or "data" not in value:
        raise _unusable(column)
    return value["data"]


def _self_describing(value: object, column: str) -> tuple[Schema, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("schema"), str) or "data" not in value:
        raise _unusable(column)
    schema = _schema(value["schema"])
    if schema is None:
        raise _unusable(column)
    return schema, value["data"]


@lru_cache(maxsize=SCHEMAS_KEPT)
def _schema(uri: str) -> Schema | None:
    found = _SCHEMA.fullmatch(uri)
    return None if found is None else Schema(*found.groups())


def _unusable(column: str) -> Unusable:
    return Unusable("wrong_type", f"`{column}` holds no self-describing JSON")
