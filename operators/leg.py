"""What one record of a telephone system says of one leg of a call: the raw material of `operators/call.py`.

A call has legs: the caller's, and one for each agent, queue or announcement that it was connected to. Systems tell of
legs; which of them are one call is found out by the ids that they share. Instants are ms since the epoch.
Source of the words: reference/contracts.md section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

from mypy_extensions import mypyc_attr

LegState = Literal["offered", "ringing", "queued", "answered", "held", "resumed", "transferring", "ended"]
LEG_STATES: Final = frozenset(get_args(LegState))

Party = Literal["", "customer", "agent", "system"]
"""Who is at the end of a leg; "" where the record does not tell. A queue or an announcement is "system"."""

Direction = Literal["", "inbound", "outbound"]
"""As the company sees it: a customer's call is inbound."""

Reason = Literal["", "completed", "abandoned", "busy", "no_answer", "failed", "voicemail"]
REASONS: Final[frozenset[str]] = frozenset(get_args(Reason))

TransferKind = Literal["", "blind", "attended", "conference"]


@mypyc_attr(acyclic=True)
class Leg:  # noqa: PLW1641 -- it may change
    """One record's word on one leg.

    `leg_id` names the leg and `calls` the calls that it is part of, both with a prefix that keeps systems apart
    ("twilio:CA1"); legs that share an id in `calls`, or are each named there by `leg_id`, are one call.
    `steps` are the states that the record tells of, each with its instant: the one that it is about, and those that a
    summary has times for. `seq` orders the records of one leg where the system numbers them, else -1.
    `customer` is the customer's number and `agent` the agent's id, number or device; "" where unsaid. `wait_ms`,
    `talk_ms` and `hold_ms` are totals that the system has worked out itself, else -1. `ends_call` says that with this
    leg's end the whole call is over.
    """

    direction: str = ""
    party: str = ""
    customer: str = ""
    called: str = ""
    agent: str = ""
    queue: str = ""
    reason: str = ""
    transfer_kind: str = ""
    transfer_to: str = ""
    seq: int = -1
    wait_ms: int = -1
    talk_ms: int = -1
    hold_ms: int = -1
    ends_call: bool = False

    def __init__(
        self, provider: str, leg_id: str, calls: tuple[str, ...], steps: tuple[tuple[str, int], ...] = ()
    ) -> None:
        self.provider = provider
        self.leg_id = leg_id
        self.calls = calls
        self.steps = steps

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leg) and self.pack() == other.pack()

    def __repr__(self) -> str:
        return f"Leg{self.pack()}"

    def pack(self) -> list[Any]:
        """Return the fields as a row, in their order."""
        return [
            self.provider,
            self.leg_id,
            list(self.calls),
            [list(step) for step in self.steps],
            self.direction,
            self.party,
            self.customer,
            self.called,
            self.agent,
            self.queue,
            self.reason,
            self.transfer_kind,
            self.transfer_to,
            self.seq,
            self.wait_ms,
            self.talk_ms,
            self.hold_ms,
            self.ends_call,
        ]


def unpack(row: Sequence[Any]) -> Leg:
    """Make a leg of the row that its `pack` gave."""
    leg = Leg(row[0], row[1], tuple(row[2]), tuple([(str(step[0]), int(step[1])) for step in row[3]]))
    leg.direction, leg.party, leg.customer, leg.called, leg.agent, leg.queue = row[4:10]
    leg.reason, leg.transfer_kind, leg.transfer_to = row[10:13]
    leg.seq, leg.wait_ms, leg.talk_ms, leg.hold_ms, leg.ends_call = row[13:18]
    return leg
