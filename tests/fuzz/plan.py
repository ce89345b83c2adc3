"""
What a seed stands for: a batch of spoilt records, the source that they come from, and what they come with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from ipaddress import ip_network
from random import Random
from typing import Final, TypeVar

from connectors.crawlers import known_bots
from connectors.formats import Format
from connectors.formats.common import DEFAULT_RULES, SourceRules
from connectors.formats.others import FORMATS, Way
from connectors.formats.pseudonyms import Pseudonyms
from connectors.formats.rejecting import REPLAYED
from connectors.formats.screening import Screening
from tests.fuzz.corpus import READ_AT, Corpus, corpus
from tests.fuzz.hostile import TEXTS
from tests.fuzz.laws import Batch, Came, Reader
from tests.fuzz.spoil import Spoiler

T = TypeVar("T")

RECORDS: Final = 50
"""Of one batch."""

GOOD: Final = 0.02
"""How many records stay as they are: what follows a broken one must be read as ever."""

AUTO, OWN, ANY = 0.5, 0.4, 0.05
"""How often the format is found out, is that of most of the records, is any other; else it is a mapping."""

WEIGHTS: Final = (0.5, 0.25, 0.1, 0.1, 0.05)
"""How often the source has no rules, pseudonyms, blocked values, screening, a limit that many records break."""

CAME_WITH: Final = 0.25
"""How often records have keys, headers and times of their own, as those of Kafka have."""

_HEADERS: Final[tuple[tuple[str, bytes | None], ...]] = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_type", b"com.twilio.voice.status-callback.call.completed"),
    ("ce_type", b"com.shop.order"),
    ("ce_time", b"2026-11-21T10:00:00Z"),
    ("ce_source", b"\xff\xfe"),
    ("ce_specversion", None),
    ("ce_", b"x"),
    ("ce_data", b"{}"),
    ("content-type", b"application/cloudevents+json"),
    (REPLAYED, b'{"id":"1","count":2,"came_at":1795255100000}'),
    (REPLAYED, b'{"id":"1","count":1}'),
    (REPLAYED, b'{"id":1}'),
    (REPLAYED, b"\xff"),
    (REPLAYED, None),
    ("", b""),
    ("x", b"\x00" * 40),
)


@cache
def _rules() -> dict[str, SourceRules]:
    return {
        "": DEFAULT_RULES,
        "pseudonyms": SourceRules(pseudonyms=Pseudonyms("a secret", ["a former one"])),
        "blocked": SourceRules(region="DE", blocked=["ann", "u1", "+4915112345678"], patterns=[re.compile(r"0+|.*@b")]),
        "screening": SourceRules(screening=_screening()),
        "bytes_max": SourceRules(bytes_max=200),
    }


def _screening() -> Screening:
    """Screen some of all that there is: agents, addresses, people and places."""
    return Screening(
        bots=known_bots(),
        agents=[re.compile("iPhone")],
        networks=[ip_network("127.0.0.0/8"), ip_network("2001:db8::/32")],
        email_domains=["b.example"],
        user_ids=["u1"],
        urls=["shop.example/a", "localhost"],
    )


def batch_of(seed: int) -> tuple[list[str], Batch]:
    """Return the batch of a seed, and of each record the format that it was of before it was spoilt."""
    chance, held = Random(seed), corpus()
    name, format_, family = _format(chance, held)
    (rules,) = chance.choices(list(_rules()), WEIGHTS)
    read_at = READ_AT if chance.random() < 0.7 else None
    told = f"format {name}, read_at {read_at}{', ' if rules else ''}{rules}"
    reader = Reader(format_, read_at, _rules()[rules], told)
    spoiler = Spoiler(chance, held)
    families: list[str] = []
    raws: list[bytes] = []
    for _ in range(RECORDS):
        of = family if family and chance.random() < 0.85 else _pick(chance, held.formats)
        raw = _pick(chance, held.samples[of]).raw
        families.append(of)
        raws.append(raw if chance.random() < GOOD else spoiler.spoilt(raw))
    came_at: list[int] = []
    origins: list[Came] = []
    if chance.random() < CAME_WITH:
        came_at = [READ_AT + int(chance.random() * 1000) for _ in raws]
        origins = [_came(chance) for _ in raws]
    return families, Batch(reader, raws, came_at, origins)


def _pick(chance: Random, some: Sequence[T]) -> T:
    return some[int(chance.random() * len(some))]


def _format(chance: Random, held: Corpus) -> tuple[str, Format, str]:
    """Choose how records are read, and of which format most are; "" for of all."""
    deed = chance.random()
    if deed < AUTO:
        return "auto", "auto", ""
    if deed < AUTO + OWN:
        family = _pick(chance, [one for one in held.formats if one in FORMATS])
        return family, family, family
    if deed < AUTO + OWN + ANY:
        name = _pick(chance, FORMATS)
        return name, name, ""
    way: Way
    name, way = _pick(chance, list(held.ways.items()))
    return f"mapping {name!r}", way, "mapping"


def _came(chance: Random) -> Came:
    key = _pick(chance, (None, b"k", b"\xff", "k", b""))
    if chance.random() < 0.5:
        return Came(key, None)
    headers = [_pick(chance, _HEADERS) for _ in range(int(chance.random() * 5))]
    if chance.random() < 0.2:
        headers.append(("ce_subject", _pick(chance, TEXTS).encode(errors="replace")))
    return Came(key, [("ce_specversion", b"1.0"), *headers] if chance.random() < 0.5 else headers)
