"""What becomes of each field of a sample of records, found out by changing one field at a time.

No format says what it reads. So each value of a record is left out, and changed a little, and the record is decoded
again: what is different then is what the value was for. That holds for every format and mapping alike, and it tells

* a value that nothing depends on, also where another one outranks it (an address told twice is taken once);
* one that the record cannot be without, by the reason for which it is refused then;
* one whose field stays empty, because the value means nothing there or names nobody.

What it cannot tell: what a value would do that only counts beside others that the sample does not have, and what a
change shows that is too small for the field, such as a word for which another one stands in. Of such a value it is said
at least where an equal text lies in the event. A record of more than `VALUES_MAX` values is looked at as far as these.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from connectors.formats import Format, decode_batch
from connectors.formats.common import Reading, SourceRules, Unusable
from connectors.formats.fields import moment
from connectors.formats.others import TEXTS, names_of, outcome_of, told_of
from connectors.formats.paths import Steps, without
from operators.event import Event, rfc3339

VALUES_MAX: Final = 400
"""Values of one record: each is decoded twice, so a batch of a thousand events would take minutes."""

FILE_BYTES_MAX: Final = 64 * 1_024 * 1_024
"""A sample is a few records; a file of more than this is read as lines only."""

NOTHING: Final = "ignored"
_FIELDS: Final = (
    *("kind", "at", "event_id", "channel", "anonymous_id", "user_id", "email", "phone", "url", "referrer", "campaign"),
    *("client_session_id", "query", "dwell_ms", "consents", "call_id", "name", "also"),
)
_OF_COMMERCE: Final = ("cart_id", "checkout_id", "order_id", "currency", "value", "cart_value", "url")
_OF_ITEM: Final = ("product_id", "quantity", "price", "name", "category")
_OF_LEG: Final = (
    *("provider", "leg_id", "calls", "steps", "direction", "party", "customer", "called", "agent", "queue", "reason"),
    *("transfer_kind", "transfer_to", "seq", "wait_ms", "talk_ms", "hold_ms", "ends_call"),
)
_OF_KIND: Final = ("kind", "name", "channel")
_EMPTY: Final[tuple[object, ...]] = ("", None, (), [], {})
_MATCHED_CHARS_MIN: Final = 2
_HASH: Final = re.compile("[0-9a-f]{32}")
"""The id of a record without one. A source's own that looks alike is not told as what it is, but not wrongly either."""


class Fate(NamedTuple):
    """What becomes of one value: the fields of the event that it makes, "properties", or nothing with the reason."""

    path: str
    value: Any
    becomes: tuple[str, ...]
    note: str = ""


class Shown(NamedTuple):
    """What becomes of one record."""

    number: int
    formats: tuple[str, ...]
    events: tuple[Event, ...]
    rejected: tuple[tuple[str, str], ...]
    fates: tuple[Fate, ...]
    left_out: int = 0


def records(path: Path) -> Iterator[bytes]:
    """Read the records of a file: the elements of a JSON array, one JSON document over several lines, or lines.

    Raises:
        OSError: it cannot be read.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
        if len(content) <= FILE_BYTES_MAX:
            try:
                whole = json.loads(content)
            except (ValueError, RecursionError):
                whole = None
            if isinstance(whole, dict):
                yield content
                return
            if isinstance(whole, list):
                yield from (json.dumps(one).encode() for one in whole)
                return
        for line in content.splitlines():
            if line.strip():
                yield line


def look(raw: bytes, number: int, format_: Format, rules: SourceRules, read_at: int) -> Shown:
    """Find out what becomes of a record that is read at an instant (ms)."""
    result = decode_batch(
        [raw], partition="sample", first_position=number, read_at=read_at, rules=rules, format=format_
    )
    rejected = tuple([(one.reason, one.detail) for one in result.rejected])
    try:
        told = told_of(raw, format_)
    except Unusable:
        return Shown(number, (), tuple(result.events), rejected, ())
    texts = [name for name, text in TEXTS.items() if format_ in ("auto", name) and text.claims(raw)]
    formats = tuple(dict.fromkeys([*texts, *names_of(told, format_)]))
    if not result.events:
        return Shown(number, formats, (), rejected, ())
    values = list(_values(told))
    trial = _Trial(told, format_, rules, read_at)
    fates = tuple([trial.fate(steps, value) for steps, value in values[:VALUES_MAX]])
    return Shown(number, formats, tuple(result.events), rejected, fates, max(0, len(values) - VALUES_MAX))


def described(event: Event) -> dict[str, Any]:
    """Return the fields of an event that have something in them, by their names; its properties among them."""
    row = {name: one for name, one in _row(event).items() if one not in ("", None, (), {}, b"", 0.0, -1)}
    return row | {"at": rfc3339(event.at)}


class _Trial:
    """One record, decoded again and again."""

    def __init__(self, told: Any, format_: Format, rules: SourceRules, read_at: int) -> None:  # noqa: ANN401 -- JSON
        self._told, self._format, self._rules, self._read_at = told, format_, rules, read_at
        self._before, _ = self._rows(told)

    def fate(self, steps: Steps, value: Any) -> Fate:  # noqa: ANN401 -- JSON of any kind
        """Find out what becomes of the value at the end of a way: of another one in its place, then of none."""
        becomes, empty, reason = (
            ([], [], "") if value in _EMPTY else self._differs(_with(self._told, steps, _altered(value)))
        )
        if becomes in ([], ["properties"]):
            more, _, why = self._differs(without(self._told, [steps]))
            becomes += [name for name in more if name not in becomes]
            reason = reason or why
        path, same = shown_path(steps), _matches(self._before, steps[-1], value)
        if becomes:
            return Fate(path, value, tuple(becomes))
        if reason:
            return Fate(path, value, same, f"needed: {reason} without it")
        if value in _EMPTY:
            return Fate(path, value, (), "empty")
        if empty:
            return Fate(path, value, (), f"{empty[0]} takes no such value")
        return Fate(path, value, same, "as it would be without it" if same else "nothing depends on it")

    def _differs(self, told: Any) -> tuple[list[str], list[str], str]:  # noqa: ANN401 -- JSON of any kind
        """Name the fields that are others in another record: those that had something in them, and the empty ones.

        Where there are more events or fewer, the third is why.
        """
        rows, why = self._rows(told)
        if len(rows) != len(self._before):
            return [], [], why or "another number of events"
        becomes: list[str] = []
        empty: list[str] = []
        for before, after in zip(self._before, rows, strict=True):
            for name in _changed(before, after):
                (empty if before.get(name) in _EMPTY else becomes).append(name)
        return list(dict.fromkeys(becomes)), empty, ""

    def _rows(self, told: Any) -> tuple[list[dict[str, Any]], str]:  # noqa: ANN401 -- JSON of any kind
        outcome = outcome_of(told, 0, Reading("sample", self._read_at, self._rules), self._format)
        return [_row(event) for event in outcome.events], outcome.rejected[0].reason if outcome.rejected else ""


def _row(event: Event) -> dict[str, Any]:
    """Return the fields of an event, those of its parts included, by names that say where they are."""
    row: dict[str, Any] = {name: getattr(event, name) for name in _FIELDS}
    if (commerce := event.commerce) is not None:
        row |= {f"commerce.{name}": getattr(commerce, name) for name in _OF_COMMERCE}
        for number, item in enumerate(commerce.items):
            row |= {f"items[{number}].{name}": getattr(item, name) for name in _OF_ITEM}
    if (leg := event.leg) is not None:
        row |= {f"leg.{name}": getattr(leg, name) for name in _OF_LEG}
    return row | {"properties": event.told()}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Name the fields that differ; where the kind does, not what only one of both kinds has.

    The id counts where it is not made of the whole record: then it differs with everything else.
    """
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    if "event_id" in names and _HASH.fullmatch(str(before["event_id"])):
        names.remove("event_id")
    return [name for name in names if name in _OF_KIND] if "kind" in names else names


def _matches(rows: Sequence[Mapping[str, Any]], key: str | int, value: object) -> tuple[str, ...]:
    """Name the fields whose text is the value's, and the properties where it stands there under its name."""
    if not isinstance(value, str) or len(value) < _MATCHED_CHARS_MIN:
        return ()
    names = [name for row in rows for name, one in row.items() if one == value]
    kept = any(way[-1] == key and one == value for row in rows for way, one in _values(row["properties"]))
    return tuple(dict.fromkeys([*names, *(["properties"] if kept else [])]))


def _values(told: Any, before: Steps = ()) -> Iterator[tuple[Steps, Any]]:  # noqa: ANN401 -- JSON of any kind
    """Give the values of a record that have no others in them, each with the way to it."""
    inner = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for key, one in inner:
        if isinstance(one, dict | list) and one:
            yield from _values(one, (*before, key))
        else:
            yield (*before, key), one


def shown_path(steps: Steps) -> str:
    """Write a way as JMESPath has it, which a mapping could take as its path."""
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{_name(step)}" for step in steps)
    return shown.removeprefix(".")


def _name(step: str) -> str:
    return step if step.isidentifier() and step.isascii() else json.dumps(step)


def _with(told: Any, steps: Steps, value: Any) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Return a record with another value at the end of a way."""
    if not steps:
        return value
    copy: Any = dict(told) if isinstance(told, dict) else list(told)
    copy[steps[0]] = _with(told[steps[0]], steps[1:], value)
    return copy


def _altered(value: Any) -> Any:  # noqa: ANN401 -- JSON of any kind
    """Change a value a little: into one of the same kind, so that what it is for changes and nothing breaks."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value - value // 1_000 if value >= 1_000 else value + 1  # an instant into the past: it is not clamped
    if isinstance(value, float):
        return value * 0.999 - 1.0 if value >= 1_000.0 else value + 1.0
    if not isinstance(value, str):
        return "x"
    at = moment(value)
    if at is not None:
        return (at - timedelta(seconds=1)).isoformat()
    if value.isascii() and value.isdigit() and len(value) <= 18 and not value.startswith("0"):
        return str(_altered(int(value)))
    if value[-1:].isascii() and value[-1:].isdigit():
        return value[:-1] + str((int(value[-1]) + 1) % 10)
    return value + "x"
