"""The list of known bots: what their user agents have in them, as patterns that find one fast.

The list is that of the package crawler-user-agents (docs/decisions/0020-traffic.md). Its own look-up takes 224 µs; here
the plain texts, nearly all of its entries, are one regular expression that shares their beginnings: 46 µs.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

TOLERATED: Final = frozenset({"http-library"})
"""Entries with such a tag are left out: of an app, or of a server that tells what people do, they are what it is made
with (okhttp, axios, python-requests), and what fetches pages with them plays no script that would tell of it."""

_ESCAPED: Final = re.compile(r"\\([^a-zA-Z0-9])")
_SPECIAL: Final = re.compile(r"[\\\[\](){}?*+.^$|]")


class Entry(msgspec.Struct):
    """An entry of the list."""

    pattern: str
    tags: list[str] = []
    instances: list[str] = []


_Node = dict[str, "_Node"]


@cache
def crawlers() -> tuple[Entry, ...]:
    """Read the entries that count as bots."""
    raw = files("crawleruseragents").joinpath("crawler-user-agents.json").read_bytes()
    return tuple(one for one in msgspec.json.decode(raw, type=list[Entry]) if not TOLERATED.intersection(one.tags))


@cache
def known_bots() -> tuple[re.Pattern[str], ...]:
    """Return what finds a known bot in a user agent."""
    texts, others = [], []
    for entry in crawlers():
        if _SPECIAL.search(_ESCAPED.sub("", entry.pattern)):
            others.append(f"(?:{entry.pattern})")
        else:
            texts.append(_ESCAPED.sub(r"\1", entry.pattern))
    return re.compile(_any_of(texts)), re.compile("|".join(others))


def _any_of(texts: list[str]) -> str:
    """Write the regular expression of any of these texts, those that begin alike together."""
    root: _Node = {}
    for text in texts:
        node = root
        for char in text:
            node = node.setdefault(char, {})
        node[""] = {}  # it ends here: what goes on from here is found with it
    return _written(root)


def _written(node: _Node) -> str:
    if "" in node:
        return ""
    parts = [re.escape(char) + _written(below) for char, below in node.items()]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"
