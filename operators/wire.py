"""How values of published records are written: the same words in each record, so that their schemas say the same.

Python checks nothing of it; `connectors/schemas.py` puts it into the schemas, and the tests hold every record to these.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias, get_args

from msgspec import Meta

INSTANT: Final = Meta(extra_json_schema={"format": "date-time"})
MAYBE_INSTANT: Final = Meta(extra_json_schema={"anyOf": [{"const": ""}, {"format": "date-time"}]})
AT_LEAST_0: Final = Meta(extra_json_schema={"minimum": 0})
AT_LEAST_1: Final = Meta(extra_json_schema={"minimum": 1})
FILLED: Final = Meta(extra_json_schema={"minLength": 1})

Instant: TypeAlias = Annotated[str, INSTANT]
"""RFC 3339 in UTC with milliseconds, as `rfc3339` of operators/event.py writes it."""
MaybeInstant: TypeAlias = Annotated[str, MAYBE_INSTANT]
"""The same, or "" for never or not known."""
Count: TypeAlias = Annotated[int, AT_LEAST_0]
"""How many, or how many milliseconds."""
Ordinal: TypeAlias = Annotated[int, AT_LEAST_1]
"""The how-many-th."""
Name: TypeAlias = Annotated[str, FILLED]
"""An id or a word that is never empty."""


def one_of(words: object) -> Meta:
    """Say that a text is one of a Literal's words, of a field that the code has as a plain text."""
    return Meta(extra_json_schema={"enum": [*get_args(words)]})
