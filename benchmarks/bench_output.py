"""Whether what was measured is right: our sessions and abandoned carts against those of the bare loop.

Both split a visitor's events at pauses of more than 30 minutes, and both call a cart abandoned when no change
of it comes within 30 minutes; with `cart.restart_on: cart_change` these rules are the same, so the sets must be.
A session is compared as (visitor, start, end, events), a cart as (visitor, instant of its last change).

What an abandoned cart is *worth* follows different rules. The bare loop adds up the additions since the last
order or abandonment: it forgets a cart that it has reported. We keep it, lines and all, until it is
bought or emptied; a product added twice is one line, at its latest price; and a checkout of nothing
known is worth what the checkout says. So the value is compared where the rules agree: at the first
abandonment since an order, of products that were each added once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import orjson

EXAMPLES: Final = 3
_INTENTS: Final = frozenset({"cart", "checkout"})

Session = tuple[str, int, int, int]
"""Visitor, start and end (ms), events."""
Carts = dict[tuple[str, int], float]
"""What was abandoned, by visitor and instant of the last change (ms), with its value."""


class Output(NamedTuple):
    """What a run made of the input, as far as it can be compared."""

    sessions: list[Session]
    carts: Carts

    @property
    def digest(self) -> str:
        """The first digits of a hash of all that is compared as a set."""
        rows = sorted(map(repr, self.sessions)) + sorted(map(repr, self.carts))
        return sha256("\n".join(rows).encode()).hexdigest()[:12]


class Comparison(msgspec.Struct, kw_only=True):
    """How two outputs differ; `ours_only` and `theirs_only` show a few of what one side alone has."""

    sessions: int
    carts: int
    sessions_ours_only: int
    sessions_theirs_only: int
    carts_ours_only: int
    carts_theirs_only: int
    values_compared: int
    values_different: int
    digest: str
    examples: list[str]

    @property
    def is_equal(self) -> bool:
        """Whether there is no difference at all."""
        return not self.examples

    def told(self) -> str:
        """Say it in a line."""
        if self.is_equal:
            return (
                f"{self.sessions:,} sessions and {self.carts:,} abandoned carts equal the bare loop's, and so do"
                f" {self.values_compared:,} values under the same rule ({self.digest})"
            )
        return (
            f"DIFFERENT: sessions only ours {self.sessions_ours_only:,}, only theirs {self.sessions_theirs_only:,};"
            f" carts only ours {self.carts_ours_only:,}, only theirs {self.carts_theirs_only:,};"
            f" values {self.values_different:,} of {self.values_compared:,}; e.g. {'; '.join(self.examples)}"
        )


class _SessionData(msgspec.Struct):
    session_id: str
    visitor_id: str
    state: str
    started_at: datetime
    ended_at: datetime
    events: int
    revision: int


class _CartData(msgspec.Struct):
    visitor_id: str
    intent: str
    state: str
    value: float
    last_activity_at: datetime


class _SessionLine(msgspec.Struct):
    data: _SessionData


class _CartLine(msgspec.Struct):
    data: _CartData


def bare_output(path: Path) -> Output:
    """Read what a bare loop wrote."""
    sessions: list[Session] = []
    carts: Carts = {}
    for line in _lines(path):
        row: dict[str, Any] = orjson.loads(line)
        if row["kind"] == "session":
            sessions.append((row["visitor"], row["start"], row["end"], row["events"]))
        else:
            carts[row["visitor"], row["at"]] = row["value"]
    return Output(sessions, carts)


def our_output(folder: Path) -> Output:
    """Read what a run wrote to `folder`: of each session the highest revision, and every abandonment."""
    latest: dict[str, _SessionData] = {}
    decode_session = msgspec.json.Decoder(_SessionLine).decode
    for line in _lines(folder / "sessions.jsonl"):
        data = decode_session(line).data
        before = latest.get(data.session_id)
        if before is None or data.revision > before.revision:
            latest[data.session_id] = data
    carts: Carts = {}
    decode_cart = msgspec.json.Decoder(_CartLine).decode
    for line in _lines(folder / "carts.jsonl"):
        cart = decode_cart(line).data
        if cart.state == "abandoned" and cart.intent in _INTENTS:
            carts[cart.visitor_id, _ms(cart.last_activity_at)] = cart.value
    sessions = [
        (data.visitor_id, _ms(data.started_at), _ms(data.ended_at), data.events)
        for data in latest.values()
        if data.state == "closed"
    ]
    return Output(sessions, carts)


def same_rule(events: Path, carts: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return those of `carts` whose value both sides reckon by the same rule; see the module."""
    added: dict[str, list[tuple[int, str]]] = defaultdict(list)
    ordered_at: dict[str, list[int]] = defaultdict(list)
    for line in _lines(events):
        if b'"Product Added"' in line or b'"Order Completed"' in line:
            event: dict[str, Any] = orjson.loads(line)
            at = _ms(datetime.fromisoformat(event["timestamp"]))
            if event["event"] == "Product Added":
                added[event["anonymousId"]].append((at, event["properties"]["product_id"]))
            else:
                ordered_at[event["anonymousId"]].append(at)
    left_at: dict[str, list[int]] = defaultdict(list)
    for visitor, at in carts:
        left_at[visitor].append(at)
    found = set()
    for visitor, instants in left_at.items():
        for at in instants:
            since = max((order for order in ordered_at[visitor] if order < at), default=-1)
            products = [product for added_at, product in added[visitor] if since < added_at <= at]
            is_first = not any(since < other < at for other in instants)
            if is_first and products and len(set(products)) == len(products):
                found.add((visitor, at))
    return found


def compared(ours: Output, theirs: Output, comparable: set[tuple[str, int]]) -> Comparison:
    """Compare both as sets, and the values of the carts in `comparable`."""
    sessions_ours = set(ours.sessions) - set(theirs.sessions)
    sessions_theirs = set(theirs.sessions) - set(ours.sessions)
    carts_ours, carts_theirs = ours.carts.keys() - theirs.carts.keys(), theirs.carts.keys() - ours.carts.keys()
    both = comparable & ours.carts.keys() & theirs.carts.keys()
    values = sorted(cart for cart in both if round(ours.carts[cart] - theirs.carts[cart], 2))
    twice = len(ours.sessions) - len(set(ours.sessions))
    examples = [f"{twice} sessions of ours are there twice"] if twice else []
    for what, rows in (
        ("session ours", sorted(sessions_ours)),
        ("session theirs", sorted(sessions_theirs)),
        ("cart ours", sorted(carts_ours)),
        ("cart theirs", sorted(carts_theirs)),
        ("value", [(*cart, ours.carts[cart], theirs.carts[cart]) for cart in values]),
    ):
        examples += [f"{what} {row}" for row in rows[:EXAMPLES]]
    return Comparison(
        sessions=len(ours.sessions),
        carts=len(ours.carts),
        sessions_ours_only=len(sessions_ours),
        sessions_theirs_only=len(sessions_theirs),
        carts_ours_only=len(carts_ours),
        carts_theirs_only=len(carts_theirs),
        values_compared=len(both),
        values_different=len(values),
        digest=ours.digest,
        examples=examples,
    )


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
