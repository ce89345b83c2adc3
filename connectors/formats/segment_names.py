"""The names of Segment's `track` calls and what they mean here.

Sources: Segment's specs of e-commerce (v2 with the names of v1), e-mail, live chat, A/B testing and mobile; Braze's
e-commerce events; the calls of the telephone bridge that the benchmarks' traffic imitates. What of these specs is not
here is of kind "other" and keeps its name: coupons, promotions, wishlists, reviews, Order Updated.
"""

from __future__ import annotations

import re
from typing import Final

from connectors.formats.common import Unusable
from operators.event import Channel, Kind

_NAMES: Final[dict[Kind, tuple[str, ...]]] = {
    "searched": ("Products Searched", "Searched Products"),
    "product_list_viewed": ("Product List Viewed", "Product List Filtered", "Viewed Product Category"),
    "product_clicked": ("Product Clicked", "Clicked Product"),
    "product_viewed": ("Product Viewed", "Viewed Product"),
    # From a wishlist into the cart, which the spec's other events of a wishlist do not touch.
    "product_added": ("Product Added", "Added Product", "Wishlist Product Added to Cart"),
    "product_removed": ("Product Removed", "Removed Product"),
    "cart_viewed": ("Cart Viewed", "Viewed Cart"),
    "cart_updated": ("Cart Updated", "ecommerce.cart_updated"),
    "checkout_started": ("Checkout Started", "Started Checkout", "Started Order", "ecommerce.checkout_started"),
    "checkout_progressed": (
        "Checkout Step Viewed",
        "Checkout Step Completed",
        "Viewed Checkout Step",
        "Completed Checkout Step",
        "Payment Info Entered",
        "Entered Payment Info",
    ),
    "order_completed": ("Order Completed", "Completed Order", "ecommerce.order_placed"),
    "order_cancelled": ("Order Cancelled", "Order Canceled", "Cancelled Order", "ecommerce.order_cancelled"),
    "order_refunded": ("Order Refunded", "Refunded Order"),
    "page_left": ("Page Left", "page_left"),
    "email_delivered": ("Email Delivered",),
    "email_opened": ("Email Opened",),
    "email_clicked": ("Email Link Clicked",),
    "email_bounced": ("Email Bounced",),
    "email_complained": ("Email Marked as Spam",),
    "call_ringing": ("Call Ringing", "call_ringing", "Call Started", "call_started"),
    "call_answered": ("Call Answered", "call_answered"),
    "call_ended": ("Call Ended", "call_ended"),
    "chat_started": ("Live Chat Conversation Started",),
    "chat_ended": ("Live Chat Conversation Ended",),
    # The spec speaks as the customer, who sends what we receive; our kinds speak as the shop, on every channel.
    "message_received": ("Live Chat Message Sent",),
    "message_sent": ("Live Chat Message Received",),
    "experiment_viewed": ("Experiment Viewed",),
    "consent_given": ("Subscribed",),
    "consent_withdrawn": ("Unsubscribed",),
    "offer_shown": ("Offer Shown",),
    "offer_clicked": ("Offer Clicked",),
    "offer_accepted": ("Offer Accepted",),
    "offer_declined": ("Offer Declined",),
}
_NEITHER_LETTER_NOR_DIGIT: Final = re.compile(r"[\W_]+")


def _bare(name: str) -> str:
    return _NEITHER_LETTER_NOR_DIGIT.sub("", name.lower())


KIND_OF: Final[dict[str, Kind]] = {
    spelling: kind for kind, names in _NAMES.items() for name in names for spelling in (name, _bare(name))
}
"""Each name as it is usually spelt, so that most events need one look-up; and bare, for other spellings."""

CHANNEL_OF: Final[dict[str | None, Channel]] = {
    "web": "web",
    "browser": "web",
    "mobile": "app",
    "app": "app",
    "phone": "phone",
    "email": "email",
    "sms": "sms",
    "chat": "chat",
    "social": "social",
}
"""A call's `channel`: our words, and those of Segment's and RudderStack's libraries.

"server" is not here: RudderStack's libraries say by it where they run, not where the customer was.
"""

_APP_NAMES: Final = (
    "Application Installed",
    "Application Opened",
    "Application Backgrounded",
    "Application Foregrounded",
    "Application Updated",
    "Application Uninstalled",
    "Application Crashed",
    "Install Attributed",
    "Push Notification Received",
    "Push Notification Tapped",
    "Push Notification Bounced",
    "Deep Link Opened",
    "Deep Link Clicked",
)
_APP: Final = frozenset(map(_bare, _APP_NAMES))


def kind_of(name: str) -> Kind:
    """Tell what a `track` call means; case and separators do not matter, an unknown name is "other".

    Raises:
        Unusable: `missing_field`, where there is no name.
    """
    if not name:
        raise Unusable("missing_field", "a track call without the name of its event")
    return KIND_OF.get(name) or KIND_OF.get(_bare(name), "other")


def is_of_app(name: str) -> bool:
    """Tell whether a `track` call of kind "other" is one that only an app makes, by Segment's mobile spec."""
    return _bare(name) in _APP
