"""The types of fields on the wire, and the second reading for records that are not quite of these types.

A record is first decoded straight into a struct of these types: fast, and all or nothing. When that fails,
its JSON is decoded without types and `converter` fills the same struct field by field: numbers sent as texts,
identifiers sent as numbers and texts over their length are put right; a value that makes no sense counts as
absent. Both readings give the same struct for a record that the first one accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import NoneType
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from connectors.formats.common import (
    ALSO_MAX,
    AMOUNT_MAX,
    CONSENTS_MAX,
    IDENTIFIER_CHARS_MAX,
    ITEMS_MAX,
    TEXT_CHARS_MAX,
    Unusable,
)

_INT64_MAX: Final = (1 << 63) - 1

Text: TypeAlias = Annotated[str, Meta(max_length=TEXT_CHARS_MAX)] | None
Identifier: TypeAlias = Annotated[str, Meta(max_length=IDENTIFIER_CHARS_MAX)] | None
Identifiers: TypeAlias = (
    Annotated[list[Annotated[str, Meta(max_length=IDENTIFIER_CHARS_MAX)]], Meta(max_length=ALSO_MAX)] | None
)
MessageId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=IDENTIFIER_CHARS_MAX)] | None
Number: TypeAlias = Annotated[int, Meta(ge=0, le=_INT64_MAX)]
SessionId: TypeAlias = Number | Identifier
Amount: TypeAlias = Annotated[float, Meta(ge=0, le=AMOUNT_MAX)] | None
Flag: TypeAlias = bool | None
ZonedMoment: TypeAlias = Annotated[datetime, Meta(tz=True)]
Moment: TypeAlias = ZonedMoment | None
MomentOrMs: TypeAlias = Number | ZonedMoment | None
"""RFC 3339 text, or ms since the epoch."""
Consents: TypeAlias = (
    Annotated[dict[Annotated[str, Meta(max_length=IDENTIFIER_CHARS_MAX)], bool], Meta(max_length=CONSENTS_MAX)] | None
)

Convert: TypeAlias = Callable[[Any], Any]
StructT = TypeVar("StructT", bound=msgspec.Struct)

# Floats as Python reads them: 1e999 is an infinity, to be ignored by the field it stands in, and not an error
# of the whole record.
_ANY: Final = msgspec.json.Decoder(float_hook=float)

TYPED_FAULTS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding into a struct raises: the record is broken, or just not quite of the struct's types."""
_AMOUNT_CHARS_MAX: Final = 40  # a float's longest decimal form has 24


class Product(msgspec.Struct, gc=False):
    """A product in a record; which of the three identifiers is given differs between shops."""

    product_id: Identifier = None
    sku: Identifier = None
    name: Text = None
    category: Text = None
    price: Amount = None
    quantity: Amount = None
    id: Identifier = None


Products: TypeAlias = Annotated[list[Product], Meta(max_length=ITEMS_MAX)] | None


def json_value(raw: bytes) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Decode a record without types.

    Raises:
        Unusable: `not_json`; `wrong_type` for an integer of thousands of digits.
    """
    try:
        return _ANY.decode(raw)
    except msgspec.ValidationError:
        raise Unusable("wrong_type", "a number has more digits than any field takes") from None
    except msgspec.DecodeError as error:
        raise Unusable("not_json", str(error)) from None
    except UnicodeDecodeError:
        raise Unusable("not_json", "the bytes are not valid UTF-8") from None
    except RecursionError:
        raise Unusable("not_json", "arrays or objects are nested deeper than the parser goes") from None


def json_object(raw: bytes) -> dict[str, Any]:
    """Decode a record that is an object, without types.

    Raises:
        Unusable: as `json_value` does; `not_an_object`.
    """
    value = json_value(raw)
    if not isinstance(value, dict):
        raise Unusable("not_an_object", "the record is JSON, but not an object")
    return value


def text(value: object) -> str | None:
    """Take a text, cut to its limit, or the digits of an integer."""
    if isinstance(value, str):
        return value[:TEXT_CHARS_MAX]
    return str(value)[:TEXT_CHARS_MAX] if _is_int(value) else None


def identifier_text(value: object) -> str | None:
    """Take an identifier: a text, or the digits of an integer.

    Raises:
        Unusable: `wrong_type`, where it is too long. Cut, it could be someone else's.
    """
    name = str(value) if _is_int(value) else value
    if not isinstance(name, str):
        return None
    if len(name) > IDENTIFIER_CHARS_MAX:
        raise Unusable("wrong_type", f"an identifier has more than {IDENTIFIER_CHARS_MAX} characters")
    return name


def identifier_texts(value: object) -> list[str] | None:
    """Take identifiers, as many as are allowed, or a single one.

    Raises:
        Unusable: `wrong_type`, where one is too long.
    """
    told = value if isinstance(value, list) else [value]
    names = [name for name in map(identifier_text, told) if name is not None]
    return names[:ALSO_MAX] if names or value == [] else None


def message_id(value: object) -> str | None:
    """Take a message id; one that is empty or too long counts as absent, for a hash stands in for it."""
    name = str(value) if _is_int(value) else value
    return name if isinstance(name, str) and 0 < len(name) <= IDENTIFIER_CHARS_MAX else None


def session_id(value: object) -> int | str | None:
    """Take a session's number, as RudderStack counts them, or an identifier."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _INT64_MAX:
        return value
    return identifier_text(value)


def amount(value: object) -> float | None:
    """Take a number or the text of one, where it is finite, not negative and not absurdly large."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= _AMOUNT_CHARS_MAX and "_" not in value else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= AMOUNT_MAX else None


def flag(value: object) -> bool | None:
    """Take a boolean, also as 0 and 1 or as a text."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, int) and value in (0, 1) else None


def moment(value: object) -> datetime | None:
    """Take a timestamp in any ISO 8601 form; without an offset it is UTC."""
    if not isinstance(value, str):
        return None
    try:
        # The fast reading's parser first: beyond microseconds it rounds where the other one cuts.
        return msgspec.convert(value, ZonedMoment)
    except msgspec.ValidationError:
        pass
    try:
        parsed = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def moment_or_ms(value: object) -> datetime | int | None:
    """Take a timestamp as `moment` does, or ms since the epoch."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value <= _INT64_MAX else None
    return moment(value)


def consents(value: object) -> dict[str, bool] | None:
    """Take the flags of an object, as many as are allowed."""
    if not isinstance(value, dict):
        return None
    flags = {name: flag(said) for name, said in value.items() if len(name) <= IDENTIFIER_CHARS_MAX}
    told = [(name, said) for name, said in flags.items() if said is not None]
    return dict(told[:CONSENTS_MAX])


def converter(struct: type[StructT]) -> Callable[[dict[str, Any]], StructT]:
    """Make the second reading of `struct`, from an object of untyped JSON."""
    fields = [(field.encode_name, field.name, _convert(field.type)) for field in msgspec.structs.fields(struct)]

    def convert(told: dict[str, Any]) -> StructT:
        return struct(**{name: to(told[key]) for key, name, to in fields if key in told})

    return convert


def _convert(field_type: object) -> Convert:
    if field_type in _CONVERTERS:
        return _CONVERTERS[field_type]
    told, nothing = get_args(field_type)
    assert nothing is NoneType, f"no second reading of {field_type}"
    return _one_of(get_args(told)) if get_origin(told) is Literal else _object(converter(told))


def _object(convert: Convert) -> Convert:
    return lambda value: convert(value) if isinstance(value, dict) else None


def _one_of(words: tuple[str, ...]) -> Convert:
    known = {word: word for word in words}
    return lambda value: known.get(value.strip().lower()) if isinstance(value, str) else None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _products(value: object) -> list[Product] | None:
    if not isinstance(value, list):
        return None
    return [_product(line) for line in value[:ITEMS_MAX] if isinstance(line, dict)]


_CONVERTERS: Final[dict[Any, Convert]] = {
    Text: text,
    Identifier: identifier_text,
    Identifiers: identifier_texts,
    MessageId: message_id,
    SessionId: session_id,
    Amount: amount,
    Flag: flag,
    Moment: moment,
    MomentOrMs: moment_or_ms,
    Consents: consents,
    Products: _products,
}
_product: Final = converter(Product)
