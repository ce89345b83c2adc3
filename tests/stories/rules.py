"""
Shops with rules of their own, as the stories of decisions ask for them.
"""

from functools import cache
from typing import Any, Final

import msgspec
import yaml

from config.journeys import read_book
from config.settings import CartSettings, Settings
from operators.rule_book import Book
from operators.trigger import Trigger
from tests.journeys import LATENESS_MS, RETENTION_MS
from tests.story import Nudge, Story

MARA: Final = "mara@example.org"
JOE: Final = "joe@example.org"
PHONE: Final = "+4915112345678"

Yaml = Any
"""What can stand in a file of rules."""

OPEN: Final = {"defaults": dict.fromkeys(("email", "sms", "push", "onsite", "chat", "agent", "crm"), True)}
"""A policy of consent by which everybody may be written to who has not said no."""


def rule(id_: str = "hello", on: str | list[str] = "page_viewed", **keys: Yaml) -> dict[str, Any]:
    """
    A rule with the keys of a file: by e-mail, of the family nurture, once an event, where nothing else is said.
    """
    return {"id": id_, "on": on, "family": "nurture", "channels": ["email"]} | keys


def book_of(*rules: dict[str, Any], **policy: Yaml) -> Book:
    """
    The book of these rules alone, with this policy; all may be written to.
    """
    said = {"policy": {"consent": OPEN} | policy, "actions": list(rules)}
    return _read(yaml.safe_dump(msgspec.to_builtins(said), sort_keys=False))


def shop_of(*rules: dict[str, Any], settings: Settings | None = None, **policy: Yaml) -> Story:
    """
    A shop with these rules alone, where mara is a known customer since 08:00, by e-mail and on the phone.
    """
    shop = Story(settings, book_of(*rules, **policy))
    shop.at("08:00").happens("identified", "anon-7", user_id="mara", email=MARA, phone=PHONE, channel="server")
    return shop


def strict() -> Settings:
    """
    Carts that only a change of the cart keeps alive.
    """
    return Settings(cart=CartSettings(restart_on="cart_change"))


def sent(at: str, action: str = "hello", channel: str = "email", to: str = "mara") -> Nudge:
    """
    A trigger for mara.
    """
    return Nudge(to, action, at, channel)


def last(shop: Story) -> Trigger:
    """
    The newest trigger of all.
    """
    return shop.triggers()[-1]


@cache
def _read(text: str) -> Book:
    return read_book({"rules.yaml": text}, lateness_ms=LATENESS_MS, retention_ms=RETENTION_MS)
