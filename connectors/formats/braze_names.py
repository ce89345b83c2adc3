"""The names of Braze's events and records, and what they mean here."""

from __future__ import annotations

from typing import Final

from operators.event import Channel, Kind

KIND_OF_WORD: Final[dict[str, Kind]] = {
    "ecommerce.product_viewed": "product_viewed",
    "ecommerce.checkout_started": "checkout_started",
    "ecommerce.order_placed": "order_completed",
    "ecommerce.order_cancelled": "order_cancelled",
    "ecommerce.order_refunded": "order_refunded",
}
"""Braze's recommended events, whose names are exact, but `ecommerce.cart_updated`, which says more than one thing."""

KIND_OF_RECORD: Final[dict[str, tuple[Kind, Channel]]] = {
    "users.messages.email.Delivery": ("email_delivered", "email"),
    "users.messages.email.Open": ("email_opened", "email"),
    "users.messages.email.Click": ("email_clicked", "email"),
    "users.messages.email.Bounce": ("email_bounced", "email"),
    "users.messages.email.SoftBounce": ("other", "email"),  # Braze tries again: the address is no bad one yet
    "users.messages.email.MarkAsSpam": ("email_complained", "email"),
    "users.messages.email.Unsubscribe": ("consent_withdrawn", "email"),
    "users.messages.sms.Send": ("message_sent", "sms"),
    "users.messages.sms.Delivery": ("message_delivered", "sms"),
    "users.messages.sms.DeliveryFailure": ("message_failed", "sms"),
    "users.messages.sms.Rejection": ("message_failed", "sms"),
    "users.messages.sms.InboundReceive": ("message_received", "sms"),
    "users.messages.whatsapp.Send": ("message_sent", "chat"),
    "users.messages.whatsapp.Delivery": ("message_delivered", "chat"),
    "users.messages.whatsapp.Failure": ("message_failed", "chat"),
    "users.messages.whatsapp.InboundReceive": ("message_received", "chat"),
    "users.behaviors.Purchase": ("order_completed", "server"),
}
"""The records of Currents, with their channels; any other is "other"."""

CONSENT_OF: Final = {"users.messages.email.Unsubscribe": "email"}
"""The channel that a record says somebody wants nothing more by."""

OPTED: Final = {"opted_in": True, "subscribed": True, "unsubscribed": False}
"""What the states of a subscription mean; to who is subscribed Braze sends, asked or not."""
