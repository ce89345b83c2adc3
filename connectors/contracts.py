"""What is published: for each kind of record its struct, and what is always so of it. Schemas are made of this.

A new kind of record is a struct with `stream` and `cloud_event`, its fields described where they are declared, and one
line in `CONTRACTS`. A new field of a struct is described there and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, get_args, get_type_hints

import msgspec

from connectors.cloudevents import NAMESPACE, SHARED_SCHEMAS
from connectors.dead_letter import DeadLetter, ReplayedLetter
from operators.answer import Answer
from operators.attribution_record import AttributionRecord
from operators.call_record import CallRecord
from operators.cart_record import CartRecord
from operators.identity_record import IdentityRecord, StitchedRecord
from operators.profile_record import ProfileRecord, Tombstone
from operators.session_record import SessionRecord
from operators.trigger import Retraction, Suppressed, Trigger

VERSION: Final = "v1"
"""Of all contracts so far. Fields may be added; any other change is a `v2` on a topic of its own, beside this one."""


class Contract(NamedTuple):
    """One kind of record, named as its schema is.

    `told` has the fields whose value makes it this kind, `filled` those that are never empty.
    """

    name: str
    record: type[msgspec.Struct]
    told: Mapping[str, str] = {}
    filled: tuple[str, ...] = ()

    @property
    def stream(self) -> str:
        """Return the stream that it is published on."""
        stream: str = self.record.stream  # type: ignore[attr-defined]  # each has it
        return stream

    @property
    def type(self) -> str:
        """Return the CloudEvent's type; `{action}` stands for any."""
        name, _, version = self.name.rpartition(".")
        first = _SHARING.get(name)
        return f"{NAMESPACE}{first}.{{action}}.{version}" if first else f"{NAMESPACE}{self.name}"

    @property
    def is_tombstone(self) -> bool:
        """Whether Kafka has it as an empty value, all of it being in key and headers."""
        return self.record is Tombstone


_SHARING: Final = {name: first for first, name in SHARED_SCHEMAS.items()}

_FILLED: Final[dict[str, tuple[str, ...]]] = {
    "created": ("identifier_type", "identifier"),
    "linked": ("identifier_type", "identifier"),
    "moved": ("identifier_type", "identifier", "other_profile_id"),
    "merged": ("identifier_type", "identifier", "other_profile_id", "leads"),
    "refused": ("identifier_type", "identifier", "rule"),
    "ambiguous": ("identifier_type", "identifier", "leads"),
    "erased": (),
    "unmerged": ("identifier_type", "identifier"),
    "stitched": ("other_profile_id", "aliases"),
}
"""What is never empty in a record of the identity topic, by what it says."""


def _each(name: str, record: type[msgspec.Struct], field: str) -> Iterator[Contract]:
    """Give a contract for each word of a field."""
    for word in get_args(get_type_hints(record)[field]):
        yield Contract(f"{name}.{word}.{VERSION}", record, {field: word})


def _identity() -> Iterator[Contract]:
    """Give a contract for each thing that is said on the identity topic; only a refusal is by a rule."""
    for what, filled in _FILLED.items():
        told = {"what": what} if what == "refused" else {"what": what, "rule": ""}
        record = StitchedRecord if what == "stitched" else IdentityRecord
        yield Contract(f"identity.{what}.{VERSION}", record, told, filled)


def _attribution() -> Iterator[Contract]:
    """Give what is said of an order: of what is withdrawn no trigger is named."""
    touch = ("trigger_id", "action", "family", "channel", "touch", "touched_at")
    yield Contract(f"attribution.credited.{VERSION}", AttributionRecord, {"state": "credited"}, touch)
    nobodys = {"state": "withdrawn", **dict.fromkeys(touch, "")}
    yield Contract(f"attribution.withdrawn.{VERSION}", AttributionRecord, nobodys)


CONTRACTS: Final = (
    *_each("session", SessionRecord, "state"),
    *_each("call", CallRecord, "state"),
    *_each("cart", CartRecord, "state"),
    Contract(f"trigger.{VERSION}", Trigger),
    Contract(f"trigger.retracted.{VERSION}", Retraction),
    Contract(f"suppressed.{VERSION}", Suppressed),
    *_attribution(),
    *_identity(),
    *_each("profile", ProfileRecord, "state"),
    *_each("profile", Tombstone, "state"),
    *_each("answer", Answer, "request"),
    *_each("dead_letter", DeadLetter, "reason"),
    Contract(f"dead_letter_replayed.{VERSION}", ReplayedLetter),
)
"""Everything that is published, in the order of the journey."""
