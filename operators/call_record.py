"""Calls as they are published."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from operators.leg import Direction, Reason
from operators.wire import Count, Instant, MaybeInstant, Name, Ordinal, one_of

EndedBy = Literal["", "system", "limit"]


class CallRecord(msgspec.Struct, gc=False):
    """A call as published once it is over. Of several revisions of one `call_id` the highest counts."""

    stream: ClassVar[str] = "calls"

    call_id: Name
    """Names the call through all its revisions."""
    provider: str
    """The system that told of it: twilio, genesys, asterisk, ...; "" of events that name a call themselves."""
    state: Literal["closed", "merged"]
    """"closed", or "merged": the last revision of a call that turned out to be part of another one."""
    direction: Annotated[str, one_of(Direction)]
    """As the company sees it: a customer's call is inbound; "" where nobody said."""
    customer_ref: str
    """The hash of the customer's number, "" where it was withheld."""
    called: str
    """The number of the company that was called, "" of an outbound call or where nobody said."""
    started_at: Instant
    """When the first leg was offered."""
    answered_at: MaybeInstant
    """When an agent and the customer first talked, "" for never."""
    ended_at: Instant
    """When it was over."""
    duration_ms: Count
    """From start to end, in milliseconds."""
    wait_ms: Count
    """From the start to the answer, or to the end where nobody answered, in milliseconds."""
    talk_ms: Count
    """How long agents and the customer were connected, less `hold_ms`, in milliseconds."""
    hold_ms: Count
    """How long the customer was on hold, in milliseconds."""
    holds: Count
    """How often they were put on hold."""
    legs: Count
    """How many legs of people it had: the customer's, and one for each agent who was rung."""
    agents: list[str]
    """Agents who answered, in that order: ids, numbers or devices, as the system has them."""
    queues: list[str]
    """Queues in which the customer has waited, in that order."""
    transfers: list[str]
    """One text a hop: its kind (blind, attended, conference) and to whom."""
    reason: Annotated[str, one_of(Reason)]
    """Why it ended; "" of a merged one."""
    ended_by: Annotated[str, one_of(EndedBy)]
    """What told that it is over: the system, or the limit on how long a call may last; "" of a merged one."""
    abandoned_in_queue: bool
    """Whether the customer gave up waiting in a queue."""
    merged_into: str
    """The `call_id` of the call that it is part of, of a merged one; else ""."""
    revision: Ordinal
    """Counts how often it was published."""
    profile_id: str = ""
    """Who the customer is, "" where they could not be told: a number withheld."""
    session_id: str = ""
    """The customer's visit of site or app during which they called, "" for none."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"{self.call_id}.{self.revision}",
            f"io.nextmove.call.{self.state}.v1",
            self.profile_id,
            self.ended_at,
        )
