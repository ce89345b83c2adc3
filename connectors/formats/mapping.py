"""Records of any source, by a mapping: a table of paths instead of code (mission row 44).

Of several mappings the first whose conditions hold makes the event. What no field has taken stays in the event's
properties, each value where it was. A value that means nothing for its field counts as absent and stays there, too; so
does one that a table has translated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from connectors.formats.common import (
    CHANNEL_OF_KIND,
    COMMERCE_KINDS,
    DWELL_MS_MAX,
    ITEMS_MAX,
    Reading,
    Unusable,
    encoded,
    settled,
)
from connectors.formats.fields import Product, amount, flag, identifier_text, moment, text
from connectors.formats.identifiers import identifier
from connectors.formats.made import id_of, made, milliseconds_in
from connectors.formats.others import Way
from connectors.formats.paths import Path, Steps, without
from connectors.formats.products import items_of
from operators.event import CHANNELS, Channel, Commerce, Event, Kind
from operators.mapping import AMOUNTS, IDENTIFIERS, MAPPED_KINDS, TEXTS, WHO, Condition, Field, MappingRules, Scalar

Told = dict[str, Any]
Convert = Callable[[object], Any]
Found = dict[str, Any]
"""What the fields are, by their names; None for one that is absent."""


class _Part:
    """One field, made ready: where it is found and what it must be."""

    def __init__(self, name: str, field: Field, convert: Convert) -> None:
        self.name, self._field, self._convert = name, field, convert
        self._path = Path(field.path) if field.path else None

    def find(self, told: object) -> tuple[Any, Steps | None]:
        """Return the value of the field, None where it is absent, and the way to it where it was taken as it is."""
        field = self._field
        if self._path is None:
            return self._convert(field.constant), None
        raw, way = self._path.find(told)
        if field.table is not None:
            raw, way = field.table.get(shown(raw)), None
        value = self._convert(raw)
        if value is None:
            return self._convert(field.default), None
        return (value if field.scale == 1.0 else round(value * field.scale, _DIGITS)), way


_DIGITS: Final = 6
"""Digits that an amount keeps behind its point: 1999 cents are 19.99, and not 19.990000000000002."""


def _word(words: frozenset[str]) -> Convert:
    return lambda value: value if isinstance(value, str) and value in words else None


_CONVERT: Final[dict[str, Convert]] = {
    "kind": _word(MAPPED_KINDS),
    "channel": _word(CHANNELS),
    **dict.fromkeys(IDENTIFIERS, identifier_text),
    **dict.fromkeys(TEXTS, text),
    **dict.fromkeys(AMOUNTS, amount),
}
_ITEM: Final[dict[str, Convert]] = {
    "product_id": identifier_text,
    "name": text,
    "category": text,
    "price": amount,
    "quantity": amount,
}
_OF_COMMERCE: Final = ("cart_id", "checkout_id", "order_id", "currency", "value", "cart_value", "cart_url")


class Mapping:
    """One table of paths, made ready."""

    def __init__(self, rules: MappingRules) -> None:
        """Make the paths ready.

        Raises:
            jmespath.exceptions.JMESPathError: one of them is no path. Settings are refused before that.
        """
        self._conditions = [(Path(one.path), one) for one in rules.when]
        self._fields = [
            _Part(name, field, _instant(field) if name in ("at", "received_at") else _CONVERT[name])
            for name, field in rules.fields.items()
        ]
        self._items_path = Path(rules.items_path) if rules.items_path else None
        self._items = [_Part(name, field, _ITEM[name]) for name, field in rules.items.items()]
        self._consents = [_Part(name, field, flag) for name, field in rules.consents.items()]
        self._keeps_rest = rules.properties == "rest"
        chosen = rules.properties if isinstance(rules.properties, dict) else {}
        self._properties = [_Part(name, field, lambda value: value) for name, field in chosen.items()]

    def holds(self, told: Told) -> bool:
        """Tell whether a record is of this type."""
        return all(_is_met(path.find(told)[0], condition) for path, condition in self._conditions)

    def event(self, told: Told, position: int, reading: Reading) -> Event:
        """Make the event of a record.

        Raises:
            Unusable: `missing_field`, `unknown_format`, `bad_time`, `no_identity`, `wrong_type`.
        """
        found, ways = _find(self._fields, told)
        kind = found.get("kind")
        if kind is None:
            raise Unusable("unknown_format", "the mapping has no kind for the record, and no default")
        anonymous_id = found.get("anonymous_id")
        channel = found.get("channel") or CHANNEL_OF_KIND.get(kind) or ("web" if anonymous_id else "server")
        event = made(
            cast("Kind", kind),
            _time(found, reading),
            id_of(found.get("event_id"), told),
            cast("Channel", channel),
            reading,
            position,
            anonymous_id=anonymous_id,
            user_id=found.get("user_id"),
            email=found.get("email"),
            phone=found.get("phone"),
            name=found.get("name") or "",
        )
        _add(event, found)
        consents, their_ways = _find(self._consents, told)
        event.consents = {name: said for name, said in consents.items() if said is not None} or None
        unused = {name for name in WHO if not getattr(event, name)}  # what names nobody stays where it was
        taken = list(their_ways.values())
        if kind in COMMERCE_KINDS:
            event.commerce = self._commerce(told, found, taken)
        else:
            unused.update(_OF_COMMERCE)
        taken += [way for name, way in ways.items() if name not in unused]
        properties = self._told_properties(told, taken)
        event.properties = encoded(properties) if properties else b""
        return event

    def _commerce(self, told: Told, found: Found, taken: list[Steps]) -> Commerce:
        """Gather what a record says of products, a cart or an order; add the ways to what was taken of products."""
        lines, way = (None, None) if self._items_path is None else self._items_path.find(told)
        products: list[Product] = []
        for number, line in enumerate(lines[:ITEMS_MAX] if isinstance(lines, list) else [lines]):
            if not isinstance(line, dict):
                continue
            values, ways = _find(self._items, line)
            products.append(Product(**values))
            if way is not None and values.get("product_id"):
                here = (*way, number) if isinstance(lines, list) else way
                taken += [(*here, *steps) for steps in ways.values()]
        return Commerce(
            items_of(products),
            identifier(found.get("cart_id")),
            identifier(found.get("checkout_id")),
            identifier(found.get("order_id")),
            found.get("currency") or "",
            found.get("value"),
            found.get("cart_value"),
            found.get("cart_url") or "",
        )

    def _told_properties(self, told: Told, taken: list[Steps]) -> Told:
        if self._keeps_rest:
            left = without(told, taken)
            return left if isinstance(left, dict) else {}
        values, _ = _find(self._properties, told)
        return {name: value for name, value in values.items() if value is not None}


def way(mappings: Sequence[MappingRules]) -> Way:
    """Return how records are read by mappings that are tried in order."""
    ready = [Mapping(rules) for rules in mappings]

    def events(told: Told, position: int, reading: Reading) -> list[Event]:
        for mapping in ready:
            if mapping.holds(told):
                return [mapping.event(told, position, reading)]
        raise Unusable("unknown_format", "the conditions of none of the mappings hold")

    return Way(lambda told: any(mapping.holds(told) for mapping in ready), events)


def shown(value: object) -> str:
    """Return what a table calls a value: its text; "" for what is none, which no table names."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def _find(parts: Sequence[_Part], told: object) -> tuple[Found, dict[str, Steps]]:
    """Return the fields of a record, and the ways to those that were taken as they are."""
    found: Found = {}
    ways: dict[str, Steps] = {}
    for part in parts:
        found[part.name], way_there = part.find(told)
        if way_there is not None:
            ways[part.name] = way_there
    return found, ways


def _instant(field: Field) -> Convert:
    """Return what reads an instant in its unit, as ms; -1 for one that is none."""
    if field.unit in ("", "text"):
        return lambda value: None if value is None else _or_none(moment(value), "ms")
    return lambda value: None if value is None else _or_none(value, field.unit)


def _or_none(value: object, unit: str) -> int:
    at = milliseconds_in(value, unit)
    return -1 if at is None else at


def _time(found: Found, reading: Reading) -> int:
    at = found.get("at")
    if at is None:
        raise Unusable("missing_field", "there is nothing at the path of `at`")
    if at < 0:
        raise Unusable("bad_time", "what is at the path of `at` is no instant in its unit")
    received_at = found.get("received_at")
    return settled(at, reading.read_at if received_at is None or received_at < 0 else received_at, reading)


def _add(event: Event, found: Found) -> None:
    event.url, event.referrer = found.get("url") or "", found.get("referrer") or ""
    event.campaign, event.query = found.get("campaign") or "", found.get("query") or ""
    event.client_session_id = identifier(found.get("session_id"))
    event.call_id = identifier(found.get("call_id"))
    event.dwell_ms = min(int(found.get("dwell_ms") or 0), DWELL_MS_MAX)


def _is_met(value: object, condition: Condition) -> bool:
    return any(_is_same(value, wanted) for wanted in condition.values)


def _is_same(value: object, wanted: Scalar) -> bool:
    """Tell whether a value is the one that a condition names: true is no 1."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
