"""Calls as they are published."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class CallRecord(msgspec.Struct, gc=False):
    """A call as published once it is over. Of several revisions of one `call_id` the highest counts.

    `started_at` is when the first leg was offered, `answered_at` when an agent and the customer first talked, "" for
    never. `wait_ms` lies between both, or between start and end; `talk_ms` is how long they were connected, less
    `hold_ms`. `legs` are those of people, `agents` those who answered, `transfers` one text a hop: its kind and to
    whom. `reason` is why it ended, `ended_by` what told so: the system, or the limit on how long a call may last.
    A call that turned out to be part of another one has a last revision with the state "merged" that names it.
    `session_id` is the customer's visit of site or app during which they called.
    """

    stream: ClassVar[str] = "calls"

    call_id: str
    provider: str
    state: str
    direction: str
    customer_ref: str
    called: str
    started_at: str
    answered_at: str
    ended_at: str
    duration_ms: int
    wait_ms: int
    talk_ms: int
    hold_ms: int
    holds: int
    legs: int
    agents: list[str]
    queues: list[str]
    transfers: list[str]
    reason: str
    ended_by: str
    abandoned_in_queue: bool
    merged_into: str
    revision: int
    profile_id: str = ""
    session_id: str = ""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"{self.call_id}.{self.revision}",
            f"io.nextmove.call.{self.state}.v1",
            self.profile_id,
            self.ended_at,
        )
