"""What a mapping says: which parts of a record of any source become which fields of an event (mission row 44).

Settings are read into these rules, and records by them. Paths are JMESPath expressions (docs/decisions/0017).
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from operators.event import KINDS

Unit: TypeAlias = Literal["", "text", "s", "ms", "us"]
Scalar: TypeAlias = str | int | float | bool | None

WORDS: Final = ("kind", "channel")
"""Fields whose values are words of ours."""
INSTANTS: Final = ("at", "received_at")
"""When it happened, and when the first server had it."""
IDENTIFIERS: Final = (
    *("event_id", "anonymous_id", "user_id", "email", "phone"),
    *("session_id", "call_id", "cart_id", "checkout_id", "order_id"),
)
TEXTS: Final = ("name", "url", "referrer", "campaign", "query", "currency", "cart_url")
AMOUNTS: Final = ("value", "cart_value", "dwell_ms")
FIELDS: Final = (*WORDS, *INSTANTS, *IDENTIFIERS, *TEXTS, *AMOUNTS)
"""Every field that one value of a record can become."""

WHO: Final = ("anonymous_id", "user_id", "email", "phone")
"""The fields of which a mapping has one at least: an event is somebody's."""

ITEM_FIELDS: Final = ("product_id", "quantity", "price", "name", "category")

MAPPED_KINDS: Final = KINDS - {"call_leg", "call_closed"}
"""What a mapping can make: legs of calls need a format that knows the system, and a closed call is found out here."""


class Field(msgspec.Struct, frozen=True):
    """Where one field of an event comes from: a path, or a constant.

    `table` translates what is found, by its text; what it does not name counts as absent. `default` stands in for what
    is absent. `unit` says what the number of an instant means, "text" that it is none. An amount is multiplied by
    `scale`.
    """

    path: str = ""
    constant: Scalar = None
    table: dict[str, Scalar] | None = None
    default: Scalar = None
    unit: Unit = ""
    scale: float = 1.0


class Condition(msgspec.Struct, frozen=True):
    """What must be at a path for a mapping to be the record's: one of these values; None is nothing at all."""

    path: str
    values: tuple[Scalar, ...]


class MappingRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the records of one type become events.

    `items` are the fields of each element of the list at `items_path`, "" for none. `properties` is "rest" for all that
    no field has taken, "none", or what each property is.
    """

    fields: dict[str, Field]
    when: tuple[Condition, ...] = ()
    items_path: str = ""
    items: dict[str, Field] = {}
    consents: dict[str, Field] = {}
    properties: Literal["rest", "none"] | dict[str, Field] = "rest"
