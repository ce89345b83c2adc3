"""A record of nextmove's own format as it lies on the wire. Source of the names: `operators/event.py`."""

from __future__ import annotations

import msgspec

from connectors.formats.fields import (
    Amount,
    Consents,
    Identifier,
    Identifiers,
    MessageId,
    MomentOrMs,
    Products,
    SessionId,
    Text,
)
from operators.event import Channel, Kind


class Also(msgspec.Struct, gc=False):
    """`also`: ids that are this person's too."""

    user_id: Identifiers = None
    anonymous_id: Identifiers = None


class Record(msgspec.Struct, gc=False):
    """The object on the wire."""

    kind: Kind | None = None
    occurred_at: MomentOrMs = None
    received_at: MomentOrMs = None
    event_id: MessageId = None
    channel: Channel | None = None
    anonymous_id: Identifier = None
    user_id: Identifier = None
    email: Identifier = None
    phone: Identifier = None
    also: Also | None = None
    url: Text = None
    referrer: Text = None
    campaign: Text = None
    session_id: SessionId = None
    client_session_id: SessionId = None
    items: Products = None
    cart_id: Identifier = None
    checkout_id: Identifier = None
    order_id: Identifier = None
    currency: Text = None
    value: Amount = None
    cart_value: Amount = None
    cart_url: Text = None
    query: Text = None
    dwell_ms: Amount = None
    consents: Consents = None
    call_id: Identifier = None
    name: Text = None
    user_agent: Text = None
    ip: Text = None
