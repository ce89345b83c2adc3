"""The schemas of what is published, as JSON Schema 2020-12, made of the records themselves.

`python -m connectors.schemas` writes them to config/schemas. For subscribers: what a record has may grow by fields, so
more fields than are named here are no fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from connectors.dead_letter import DeadLetter, ReplayedLetter
from operators.answer import Answer
from operators.call_record import CallRecord
from operators.identity_record import IdentityRecord, StitchedRecord, What
from operators.profile_record import ProfileRecord
from operators.rejected import REASONS

FOLDER: Final = Path(__file__).resolve().parents[1] / "config" / "schemas"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_ALWAYS: Final = ("what", "profile_id", "identifier_type", "identifier", "other_profile_id", "event_id", "at")
_FILLED: Final[dict[str, tuple[str, ...]]] = {
    "created": ("identifier_type", "identifier"),
    "linked": ("identifier_type", "identifier"),
    "moved": ("identifier_type", "identifier", "other_profile_id"),
    "merged": ("identifier_type", "identifier", "other_profile_id", "leads"),
    "refused": ("identifier_type", "identifier", "rule"),
    "ambiguous": ("identifier_type", "identifier", "leads"),
    "erased": (),
    "unmerged": ("identifier_type", "identifier"),
    "stitched": ("other_profile_id", "aliases"),
}
"""What is never empty in a record of the identity topic, by what it says."""


def schemas() -> dict[str, dict[str, Any]]:
    """Return all schemas, by the type of the CloudEvent without `io.nextmove.`."""
    found = {f"identity.{what}.v1": _identity(what) for what in get_args(What)}
    found["profile.expired.v1"] = _made(ProfileRecord, "profile.expired.v1")
    for state in ("closed", "merged"):
        name = f"call.{state}.v1"
        found[name] = _made(CallRecord, name)
        found[name]["properties"]["state"] = {"const": state}
    for reason in sorted(REASONS):
        found[f"dead_letter.{reason}.v1"] = _dead_letter(reason)
    found["dead_letter_replayed.v1"] = _made(ReplayedLetter, "dead_letter_replayed.v1")
    found["dead_letter_replayed.v1"]["properties"]["replayed_at"]["format"] = "date-time"
    for request in ("show", "export", "erase", "unmerge"):
        name = f"answer.{request}.v1"
        found[name] = _made(Answer, name)
        found[name]["properties"]["request"] = {"const": request}
    return found


def _identity(what: str) -> dict[str, Any]:
    """Return the schema of the identity records that say one thing."""
    schema = _made(StitchedRecord if what == "stitched" else IdentityRecord, f"identity.{what}.v1")
    properties, filled = schema["properties"], _FILLED[what]
    properties["what"] = {"const": what}
    properties["at"]["format"] = "date-time"
    if what != "refused":
        properties["rule"] = {"const": ""}
    for name in filled:
        if "enum" in properties[name]:
            properties[name] = {"enum": [value for value in properties[name]["enum"] if value]}
        else:
            properties[name] |= {"minItems": 1} if properties[name].get("type") == "array" else {"minLength": 1}
    schema["required"] = sorted({*_ALWAYS, *filled})
    return schema


def _dead_letter(reason: str) -> dict[str, Any]:
    """Return the schema of the dead letters with one reason."""
    schema = _made(DeadLetter, f"dead_letter.{reason}.v1")
    properties = schema["properties"]
    properties["reason"] = {"const": reason}
    properties["rejected_at"]["format"] = "date-time"
    schema["required"] = sorted(properties)  # those of an earlier version, read here, lack some
    return schema


def _made(record: type[msgspec.Struct], name: str) -> dict[str, Any]:
    (_,), components = msgspec.json.schema_components([record])
    head = {"$schema": DIALECT, "$id": f"urn:nextmove:{name}", "title": f"io.nextmove.{name}"}
    others = {key: value for key, value in components.items() if key != record.__name__}
    schema = head | {key: value for key, value in components[record.__name__].items() if key != "title"}
    return schema | ({"$defs": others} if others else {})


def _write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (FOLDER / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n")


if __name__ == "__main__":
    _write()
