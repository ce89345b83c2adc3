"""
Every record that a test has encoded in its process is held against its schema, as those that subscribers are given.

`Encoder` and `MessageEncoder` are the doors to all that is published. This plugin stands in both for the whole run:
what they return is read back and validated, and a record that is not as its schema says fails the test at that place.
Stories come by no encoder; `told` notes what they say, and it is encoded when their test ends. What other processes
have published, tests hand to `check` when they read it.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
import pytest
from jsonschema_rs import Draft202012Validator

from connectors import cloudevents
from connectors.asyncapi import document
from connectors.cloudevents import Encoder, Made, Message, MessageEncoder
from connectors.schemas import schemas
from operators.screened import ScreenedEvent
from operators.trigger import RuleFault

R = TypeVar("R")

_noted: Final[list[list[Any]]] = []


class RecordError(AssertionError):
    """A record is not as its schema says."""


def check(type_: str, schema: str, data: Any) -> None:  # noqa: ANN401 -- whatever was read
    """
    Hold the data of a CloudEvent of a type against the schema that the event names.

    Raises:
        RecordError: it names another than its type's, or one that nobody has written, or differs from it.
    """
    if schema != cloudevents.dataschema(type_):
        raise RecordError(f"{type_} names the schema {schema}")
    validator = _validators().get(schema)
    if validator is None:
        raise RecordError(f"{type_} has no schema: {schema} is not made of connectors/contracts.py")
    if not validator.is_valid(data):
        error = next(iter(validator.iter_errors(data)))
        where = "/".join(map(str, error.instance_path)) or "the record"
        raise RecordError(f"{type_}: {where}: {error.message}; {data}")


def told(records: list[R]) -> list[R]:
    """Note a list of what operators say, which a test is about to fill, to be looked at when it ends."""
    _noted.append(records)
    return records


@cache
def _validators() -> dict[str, Draft202012Validator]:
    return {schema["$id"]: Draft202012Validator(schema, validate_formats=True) for schema in schemas().values()}


def check_lines(lines: Iterable[bytes | str]) -> None:
    """Look at CloudEvents as files have them."""
    for line in lines:
        event = msgspec.json.decode(line)
        check(event["type"], event["dataschema"], event["data"])


@cache
def _header_validators() -> dict[str, Draft202012Validator]:
    components = document()["components"]
    return {
        message["headers"]["properties"]["ce_dataschema"]["const"]: Draft202012Validator(
            message["headers"] | {"components": components}, validate_formats=True
        )
        for message in components["messages"].values()
    }


def check_message(key: bytes, value: bytes | None, headers: Mapping[str, bytes]) -> None:
    """Look at a CloudEvent as topics have them, headers included; of a tombstone at what it says beside the data."""
    type_ = headers["ce_type"].decode()
    validator = _header_validators().get(headers["ce_dataschema"].decode())
    texts = {name: raw.decode(errors="replace") for name, raw in headers.items()}
    if validator is not None and not validator.is_valid(texts):
        raise RecordError(f"{type_}: headers: {next(iter(validator.iter_errors(texts))).message}")
    if value:
        check(type_, headers["ce_dataschema"].decode(), msgspec.json.decode(value))
    elif type_ != "io.nextmove.profile.erased.v1" or headers["ce_subject"] != key:
        raise RecordError(f"{type_}: a tombstone of something else than an erased profile")


def encode_lines(encoder: Encoder, made: Iterable[Made]) -> dict[str, bytes]:
    """Do what `Encoder.encode` does, and look at what comes out."""
    lines = _encode_lines(encoder, made)
    for part in lines.values():
        check_lines(part.splitlines())
    return lines


def encode_messages(encoder: MessageEncoder, made: Iterable[Made]) -> dict[str, list[Message]]:
    """Do what `MessageEncoder.encode` does, and look at what comes out."""
    parts = _encode_messages(encoder, made)
    for messages in parts.values():
        for message in messages:
            headers = {name: raw for name, raw in message.headers if isinstance(raw, bytes)}
            check_message(message.key, message.value, headers)
    return parts


_encode_lines: Final = Encoder.encode
_encode_messages: Final = MessageEncoder.encode


def pytest_configure() -> None:
    """Stand in the doors."""
    Encoder.encode = encode_lines  # type: ignore[method-assign, assignment]  # mypy names the first argument
    MessageEncoder.encode = encode_messages  # type: ignore[method-assign, assignment]


@pytest.fixture(autouse=True)
def _as_their_schemas_say() -> Iterator[None]:
    """Encode what stories have said."""
    _noted.clear()
    yield
    encoder = Encoder("/story", lambda: 0)
    for said in _noted:
        published = [one for one in said if not isinstance(one, ScreenedEvent | RuleFault)]
        encoder.encode([(-1, [copy(one) for one in published])])  # a trigger is written into
