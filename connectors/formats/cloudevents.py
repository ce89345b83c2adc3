"""CloudEvents 1.0 as an envelope around a record of any other format, structured or in Kafka's binary mode.

Sources: the specification's Kafka protocol binding and JSON event format (reference/domain.md part C). Producers label
structured events wrongly, so they are known by their `specversion` whatever their content type says.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from connectors.formats import twilio, twilio_messages
from connectors.formats.common import Unusable
from connectors.formats.fields import json_value

WHOLE: Final[tuple[str, ...]] = (*twilio.TYPES, *twilio_messages.TYPES)
"""The types of events that their format reads whole, by how they begin: their ids and times lie in the envelope."""

_PREFIX: Final = "ce_"
_DATA: Final = ("data", "data_base64")


def claims(told: dict[str, Any]) -> bool:
    """Tell whether an object is a structured CloudEvent with something in it, and to be unwrapped."""
    if not isinstance(told.get("specversion"), str) or not any(name in told for name in _DATA):
        return False
    type_ = told.get("type")
    return not (isinstance(type_, str) and type_.startswith(WHOLE))


def parts(told: dict[str, Any], format_: str) -> tuple[str, list[Any]]:
    """Return the format of what is in the envelope, and that.

    Raises:
        Unusable: `not_json`, where what is in it is no base64, or no JSON; `missing_field`, where it is null.
    """
    data = told.get("data")
    if data is None:
        coded = told.get("data_base64")
        if coded is None:
            raise Unusable("missing_field", "a CloudEvent with nothing in it")
        try:
            data = json_value(b64decode(coded, validate=True))
        except (ValueError, TypeError):
            raise Unusable("not_json", "`data_base64` is not base64") from None
    return ("auto" if format_ == "cloudevents" else format_), data if isinstance(data, list) else [data]


def is_binary(headers: Mapping[str, bytes]) -> bool:
    """Tell whether a record is a CloudEvent in Kafka's binary mode: its attributes are headers."""
    return "ce_specversion" in headers


def structured(headers: Mapping[str, bytes], data: Any) -> dict[str, Any]:  # noqa: ANN401 -- JSON of any kind
    """Return the structured form of a CloudEvent in binary mode."""
    attributes = {
        name[len(_PREFIX) :]: value.decode(errors="replace")
        for name, value in headers.items()
        if name.startswith(_PREFIX) and isinstance(value, bytes)
    }
    return {**attributes, "data": data}
