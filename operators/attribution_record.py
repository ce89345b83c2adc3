"""Credits as they are published: which trigger has brought an order."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from operators.trigger import Family
from operators.wire import Instant, MaybeInstant, Name, one_of


class AttributionRecord(msgspec.Struct, gc=False):
    """An order is credited to the last touch that was recent enough for its channel.

    Of the records of one order the one with the latest `touched_at` counts, and none once one is "withdrawn".
    """

    stream: ClassVar[str] = "attribution"

    order_id: Name
    """The shop's id of the order, or of the event that told of it."""
    profile_id: Name
    """Who has ordered."""
    state: Literal["credited", "withdrawn"]
    """"withdrawn" where the order was cancelled after it had been credited."""
    value: float
    """What the order is worth, in `currency`."""
    currency: str
    """ISO 4217 code as the shop told it, "" where it did not."""
    ordered_at: Instant
    """When it was ordered."""
    trigger_id: str
    """The trigger, "" of what is withdrawn."""
    action: str
    """Its action."""
    family: Annotated[str, one_of(Literal["", Family])]
    """Its family."""
    channel: str
    """Its channel."""
    touch: Annotated[str, one_of(Literal["", "delivered", "shown", "opened", "clicked", "accepted", "declined"])]
    """What the person did with it."""
    touched_at: MaybeInstant
    """When."""

    @property
    def cloud_event(self) -> tuple[str, str, str, str]:
        """Id, type, subject and time of this record as a CloudEvent."""
        return (
            f"attribution/{self.order_id}/{self.trigger_id}/{self.touch}/{self.touched_at}",
            f"io.nextmove.attribution.{self.state}.v1",
            self.profile_id,
            self.ordered_at,
        )
