"""
Good records, spoilt: values, names and envelopes of what is JSON, pieces of what is text, and bytes of either.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Final, TypeVar

import msgspec

from connectors.formats.common import Unusable
from connectors.formats.fields import json_value
from tests.fuzz.corpus import Corpus
from tests.fuzz.hostile import CANARY, DEEP, NUMBERS, PIECES, RAW, TEXTS, Json

T = TypeVar("T")
Place = tuple[Json, Json]
"""An object or list, and the name or number of one of its values."""

TWICE: Final = "{twice}"
"""Ends a name that stands twice in its object."""

BYTES_ONLY: Final = 0.2
BYTES_TOO: Final = 0.08
PLACES_MAX: Final = 2_000
SPOILT_TIMES: Final = (1, 1, 1, 2, 2, 3, 5, 8)
NEAR: Final = 0.3
"""How often a text or number is changed a little instead of replaced."""

_RAW: Final = re.compile(rb'"(\{\d+\})"')
_PIECES: Final = re.compile(rb"([\t&=,;|\"]|\r?\n)")


class Spoiler:
    """Spoils records; what it makes depends on the chances it is given, and nothing else."""

    def __init__(self, chance: Random, corpus: Corpus) -> None:
        self._chance, self._corpus = chance, corpus
        self._all = [sample for samples in corpus.samples.values() for sample in samples]

    def spoilt(self, raw: bytes) -> bytes:
        """Return what has become of a record."""
        chance = self._chance
        if chance.random() < BYTES_ONLY:
            return self._bytes(raw)
        try:
            told = json_value(raw)
        except Unusable:
            raw = self._text(raw)
        else:
            raw = self._written(self._told(told))
        return self._bytes(raw) if chance.random() < BYTES_TOO else raw

    def _pick(self, some: Sequence[T]) -> T:
        return some[int(self._chance.random() * len(some))]

    # --- JSON -----------------------------------------------------------------------------------------------

    def _told(self, told: Json) -> Json:
        for _ in range(self._pick(SPOILT_TIMES)):
            told = self._pick(CHANGES)(self, told)
        return told

    def _written(self, told: Json) -> bytes:
        """Encode with what no encoder writes; half of the time with letters beyond ASCII as they are."""
        try:
            text = json.dumps(told, ensure_ascii=self._chance.random() < 0.5)
        except (RecursionError, ValueError):  # deeper than the encoder goes, or an integer with too many digits
            return self._other()
        raw = text.encode(errors="surrogatepass")
        raw = raw.replace(TWICE.encode(), b"")
        return _RAW.sub(lambda found: RAW.get(found[1].decode(), found[0]), raw)

    def _other(self) -> bytes:
        return self._pick(self._all).raw

    def _value(self) -> Json:
        """Return a value for a field that expects another one."""
        chance = self._chance.random()
        if chance < 0.06:
            return CANARY
        if chance < 0.35:
            return self._pick(TEXTS)
        if chance < 0.5:
            return self._pick(NUMBERS)
        if chance < 0.6:
            return self._pick((None, None, True, False))
        if chance < 0.7:
            return self._pick(tuple(RAW))
        if chance < 0.8:
            return deepcopy(self._pick(DEEP))  # what is spoilt again is spoilt in place
        return msgspec.json.decode(msgspec.json.encode(self._pick(self._corpus.values)))

    def _name(self) -> str:
        return self._pick(self._corpus.names) if self._chance.random() < 0.8 else self._pick(TEXTS)

    def _place(self, told: Json) -> Place | None:
        """Choose a field, or an item of a list, however deep."""
        places: list[Place] = []
        left = [told]
        while left and len(places) < PLACES_MAX:
            one = left.pop()
            keys = one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
            for key in keys:
                places.append((one, key))
                left.append(one[key])
        return self._pick(places) if places else None

    def replace(self, told: Json) -> Json:
        """Put another value in the place of one."""
        place = self._place(told)
        if place is None:
            return self._value()
        inside, key = place
        near = self._chance.random() < NEAR
        inside[key] = self._near(inside[key]) if near else self._value()
        return told

    def _near(self, value: Json) -> Json:
        """Change a value a little, or put it otherwise."""
        chance = self._chance
        if isinstance(value, bool) or value is None:
            return self._pick((not value, str(value).lower(), int(value or 0), [value]))
        if isinstance(value, int | float):
            if not -1e300 < value < 1e300:
                return str(value)
            return self._pick((value + 1, -value, value * 1000, value / 1000, str(value), float(value), [value]))
        if isinstance(value, str):
            if value[:1] in ("{", "[") and chance.random() < 0.7:  # JSON in a text, as some providers send it
                try:
                    return self._written(self._told(json_value(value.encode()))).decode()
                except (Unusable, UnicodeError):
                    return value[:-1]
            cut = int(chance.random() * (len(value) + 1))
            changes = (value[:cut], value[cut:], value + value, value.upper(), value.lower(), f" {value} ", [value])
            more = (value[:cut] + self._pick(TEXTS) + value[cut:], value[::-1], {"value": value})
            return self._pick((*changes, *more))
        if isinstance(value, list):
            return self._pick((value + value, value[:1], {str(n): one for n, one in enumerate(value)}, [value]))
        return self._pick((list(value), list(value.values()), [value], json.dumps(list(value))))

    def delete(self, told: Json) -> Json:
        """Leave out a field or an item."""
        place = self._place(told)
        if place is not None:
            del place[0][place[1]]
        return told

    def double(self, told: Json) -> Json:
        """Put an item twice into its list, or a name twice into its object with another value."""
        place = self._place(told)
        if place is None:
            return [told, told]
        inside, key = place
        if isinstance(inside, list):
            inside.append(inside[key])
        else:
            inside[f"{key}{TWICE}"] = self._value()
        return told

    def rename(self, told: Json) -> Json:
        """Give a value the name of another field, or nearly its own."""
        place = self._place(told)
        if place is None or isinstance(place[0], list):
            return told
        inside, key = place
        name = self._pick((self._name(), self._name(), key.upper(), key.lower(), f"{key} ", key[:-1], f"${key}"))
        inside[name] = inside.pop(key)
        return told

    def add(self, told: Json) -> Json:
        """Put a field or an item beside others."""
        place = self._place(told)
        inside = told if place is None else place[0]
        if isinstance(inside, dict):
            inside[self._name()] = self._value()
        elif isinstance(inside, list):
            inside.append(self._value())
        return told

    def _else(self) -> Json:
        """Return another record, {} for one that is text."""
        try:
            return json_value(self._other())
        except Unusable:
            return {}

    def swap(self, told: Json) -> Json:
        """Put a value of another record in the place of one of this."""
        here, there = self._place(told), self._place(self._else())
        if here is not None and there is not None:
            here[0][here[1]] = there[0][there[1]]
        return told

    def merge(self, told: Json) -> Json:
        """Make one object of two records, which may be of two formats."""
        other = self._else()
        if not isinstance(told, dict) or not isinstance(other, dict):
            return [told, other]
        return told | other if self._chance.random() < 0.5 else other | told

    def wrap(self, told: Json) -> Json:
        """Put it into an envelope, beside another record or alone; some into a dozen."""
        chance = self._chance
        parts = [told, self._else()] if chance.random() < 0.4 else [told]
        for _ in range(12 if chance.random() < 0.03 else 1):
            told = self._pick(WRAPS)(parts)
            parts = [told]
        return told

    # --- texts and bytes ------------------------------------------------------------------------------------

    def _text(self, raw: bytes) -> bytes:
        """Spoil a text that is no JSON: its fields, as lines, tabs, commas, quotes, `&` and `=` part them."""
        pieces = _PIECES.split(raw)
        for _ in range(self._pick(SPOILT_TIMES)):
            here, there = (int(self._chance.random() * len(pieces)) for _ in range(2))
            deed = self._chance.random()
            if deed < 0.45:
                value = self._value()
                written = value if isinstance(value, str) else json.dumps(value) if _is_short(value) else ""
                pieces[here] = written.encode(errors="surrogatepass")
            elif deed < 0.6:
                pieces[here] = self._pick(PIECES)
            elif deed < 0.75:
                pieces[here], pieces[there] = pieces[there], pieces[here]
            elif deed < 0.9:
                pieces[here] = b""
            else:
                pieces.insert(here, pieces[there])
        return b"".join(pieces)

    def _bytes(self, raw: bytes) -> bytes:
        """Flip, cut, insert, repeat, splice."""
        chance = self._chance
        for _ in range(self._pick(SPOILT_TIMES)):
            start = int(chance.random() * (len(raw) + 1))
            end = min(len(raw), start + int(chance.random() ** 3 * 60))
            deed = int(chance.random() * 7)
            if deed == 0 and start < len(raw):
                raw = raw[:start] + bytes([raw[start] ^ 1 << int(chance.random() * 8)]) + raw[start + 1 :]
            elif deed == 1:
                raw = raw[:start] if chance.random() < 0.3 else raw[:start] + raw[end:]
            elif deed == 2:
                raw = raw[:start] + self._pick(PIECES) + raw[start:]
            elif deed == 3:
                raw = raw[:end] + raw[start:]
            elif deed == 4:
                other = self._other()
                raw = raw[:start] + other[int(chance.random() * len(other)) :]
            elif deed == 5:
                raw = raw[:start] + self._pick(PIECES) + raw[end:]
            else:
                raw = raw[:start] + chance.randbytes(1 + int(chance.random() * 4)) + raw[end:]
        return raw


def _is_short(value: Json) -> bool:
    return not isinstance(value, int) or abs(value) < 10**300


CHANGES: Final[tuple[Callable[[Spoiler, Json], Json], ...]] = (
    *[Spoiler.replace] * 8,
    *[Spoiler.delete] * 2,
    *[Spoiler.rename, Spoiler.add, Spoiler.swap] * 2,
    *(Spoiler.double, Spoiler.merge, Spoiler.wrap),
)


def _event(**more: Json) -> dict[str, Json]:
    return {"specversion": "1.0", "id": "1", "source": "s", "type": "t", **more}


def _coded(parts: list[Json]) -> str:
    """Return parts as base64 of JSON; of what no JSON encoder takes, of something else."""
    try:
        return b64encode(json.dumps(parts).encode()).decode()
    except (RecursionError, ValueError):
        return "e30="


WRAPS: Final[tuple[Callable[[list[Json]], Json], ...]] = (
    lambda parts: parts,
    lambda parts: {"batch": parts, "sentAt": "2026-11-21T10:00:00Z", "context": {"traits": {"email": "a@b.example"}}},
    lambda parts: {"api_key": "k", "historical_migration": False, "batch": parts},
    lambda parts: _event(data=parts[0]),
    lambda parts: _event(data=parts),
    lambda parts: _event(data_base64=_coded(parts)),
    lambda parts: _event(data=parts[-1], type="com.twilio.voice.status-callback.call.completed"),
    lambda parts: {"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": parts},
    lambda parts: {"client_id": "c.1", "timestamp_micros": 1795255200000000, "events": parts},
    lambda parts: {"events": parts, "purchases": parts, "attributes": parts},
    lambda parts: {"version": "0", "id": "1", "detail-type": "x", "source": "aws.connect", "detail": parts[0]},
    lambda parts: {"topicName": "v2.users.x", "eventBody": parts[0]},
)
"""Envelopes of every kind around one record or some."""
