"""Addresses and numbers under pseudonyms: what comes behind decoding never sees the real ones.

A pseudonym is the HMAC-SHA-256 of an address or number in its one spelling (`contacts.py`), its first 16 bytes as 32
hexadecimal digits: of equal texts equal, and nobody without the secret can try numbers until one fits. Under a new
secret everybody has another one, so the event says as well what it was under the former ones (`Event.also`).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from operators.event import Event

PSEUDONYMS_KEPT: Final = 16_384
"""Addresses and numbers whose pseudonyms are remembered: to make one takes longer than to look it up."""

_DIGITS: Final = 32
_CONTACT_NAMES: Final = re.compile("mail|phone|mobile|tel|fax|msisdn|^ani$|^dnis$|caller|^from$|^to$", re.IGNORECASE)
"""Names of properties whose values are contacts: rather one too many than one that says who it was."""
_encode: Final = msgspec.json.Encoder().encode


class Pseudonyms:
    """The pseudonyms that one secret makes, and what they were under `former` ones."""

    def __init__(self, secret: str, former: Sequence[str] = ()) -> None:
        """Make the keys ready; a secret is text."""
        self._keys = [hmac.new(one.encode(), digestmod="sha256") for one in (secret, *former)]
        self._kept: dict[str, list[str]] = {}

    def of(self, text: str) -> list[str]:
        """Return the pseudonym of an address or number, then what it was under each former secret, newest first."""
        found = self._kept.get(text)
        if found is None:
            if len(self._kept) >= PSEUDONYMS_KEPT:
                self._kept.clear()
            raw, found = text.encode(errors="surrogatepass"), []
            for key in self._keys:
                mine = key.copy()
                mine.update(raw)
                found.append(mine.hexdigest()[:_DIGITS])
            self._kept[text] = found
        return found

    def hide(self, event: Event) -> None:
        """Put pseudonyms in place of the address and the number of an event, also where they stand for its visitor."""
        stand_in = "" if event.anonymous_id or event.visitor_id == event.user_id else event.visitor_id
        before: list[str] = []
        if event.email:
            names = self.of(event.email)
            if stand_in == event.email:
                event.visitor_id = names[0]
            event.email = names[0]
            before += ["e:" + name for name in names[1:]]
        if event.phone:
            names = self.of(event.phone)
            if stand_in == event.phone:
                event.visitor_id = names[0]
            event.phone = names[0]
            before += ["p:" + name for name in names[1:]]
        if before:
            event.also += tuple(before)
        if event.leg is not None:
            leg = event.leg
            leg.customer = event.phone if leg.customer else ""
            leg.called = self.of(leg.called)[0] if leg.called else ""
        if event.record or event.properties:
            told = _without_contacts(event.told())
            event.properties = _encode(told) if told else b""


def _without_contacts(told: dict[str, Any]) -> dict[str, Any]:
    """Return properties without what is, or may be, an address or number: no pseudonym of it is of use there."""
    return {
        name: _cleaned(value)
        for name, value in told.items()
        if _CONTACT_NAMES.search(name) is None and not (isinstance(value, str) and "@" in value)
    }


def _cleaned(value: Any) -> Any:  # noqa: ANN401 -- JSON of any kind
    if isinstance(value, dict):
        return _without_contacts(value)
    if isinstance(value, list):
        return [_cleaned(one) for one in value if not (isinstance(one, str) and "@" in one)]
    return value
