"""A Segment call as it lies on the wire: only the fields that an event needs, everything else is skipped.

Sources: Segment's spec (common fields, identify, e-commerce v2); RudderStack's `context.traits`,
`context.sessionId` and `channel` (reference/domain.md part C). Real libraries send null for what they lack.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import field

from connectors.formats.fields import (
    Amount,
    Flag,
    Identifier,
    MessageId,
    Moment,
    Product,
    Products,
    SessionId,
    Text,
)

CallType: TypeAlias = Literal["track", "page", "screen", "identify", "group", "alias"]


class Clocks(msgspec.Struct, gc=False, rename="camel"):
    """What tells a call's time: all that a look at the time alone has to decode. No `type`, no call."""

    type: CallType | None = None
    timestamp: Moment = None
    received_at: Moment = None
    sent_at: Moment = None
    original_timestamp: Moment = None


class Page(msgspec.Struct, gc=False):
    """`context.page`."""

    url: Text = None
    referrer: Text = None


class Campaign(msgspec.Struct, gc=False):
    """`context.campaign`, from the utm parameters of the landing page."""

    name: Text = None
    source: Text = None


class Traits(msgspec.Struct, gc=False):
    """`traits` of an identify call, or `context.traits`."""

    email: Identifier = None
    phone: Identifier = None
    email_opt_in: Flag = None
    email_opt_out: Flag = None
    sms_opt_in: Flag = None
    sms_opt_out: Flag = None
    push_opt_in: Flag = None
    push_opt_out: Flag = None


class Present(msgspec.Struct, gc=False):
    """An object of which only the presence matters."""


class Context(msgspec.Struct, gc=False):
    """`context`."""

    page: Page | None = None
    campaign: Campaign | None = None
    traits: Traits | None = None
    session_id: SessionId = field(name="sessionId", default=None)
    device: Present | None = None
    app: Present | None = None


class ClientContext(Context, gc=False):
    """`context` with what tells of the client."""

    user_agent: Text = field(name="userAgent", default=None)
    ip: Text = None


class Properties(Product, gc=False):
    """`properties`, of all kinds of events together; an event about one product has its fields here."""

    products: Products = None
    cart_id: Identifier = None
    checkout_id: Identifier = None
    order_id: Identifier = None
    currency: Text = None
    total: Amount = None
    revenue: Amount = None
    value: Amount = None
    cart_total: Amount = None
    cart_value: Amount = None
    cart_url: Text = None
    checkout_url: Text = None
    url: Text = None
    query: Text = None
    email: Identifier = None
    phone: Identifier = None
    call_id: Identifier = None
    call_id_camel: Identifier = field(name="callId", default=None)
    channel: Text = None
    dwell_ms: Amount = None
    time_on_page: Amount = None


class Call(msgspec.Struct, gc=False, rename="camel"):
    """A call. `name` is that of a page or screen, `event` that of a `track` call.

    The fields stand in the order in which libraries send them, which is the order in which they are found
    fastest (8 % of decoding).
    """

    message_id: MessageId = None
    type: CallType | None = None
    timestamp: Moment = None
    received_at: Moment = None
    anonymous_id: Identifier = None
    channel: Text = None
    event: Text = None
    name: Text = None
    properties: Properties | None = None
    context: Context | None = None
    user_id: Identifier = None
    traits: Traits | None = None
    sent_at: Moment = None
    original_timestamp: Moment = None
    previous_id: Identifier = None


class ClientCall(Call, gc=False, rename="camel"):
    """A call with what tells of the client: two texts more, which only screening looks at."""

    context: ClientContext | None = None
