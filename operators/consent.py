"""Consent: whether somebody may be written to on a channel for a purpose, by their newest word.

What is said names a channel, a purpose or both:

| said of | means |
|---|---|
| `email` | e-mail, for all purposes |
| `email:marketing` | marketing by e-mail |
| `marketing`, `all:marketing` | marketing on all channels |
| `all` | everything |

Of all that is said of a channel and purpose the newest counts, the wider as well as the narrower: who unsubscribes from
newsletters and takes up e-mail anew a year later has agreed to all of it. At one instant the refusal counts: nobody
complains of a letter that did not come. Where nothing was said, the rules say what holds: opt-in or opt-out.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from operators.event import FOREVER, rfc3339
from operators.packing import Row

PURPOSES: Final = frozenset({"marketing", "transactional", "service", "advertising", "analytics", "research"})
"""What a word without a colon is taken for a purpose by, not a channel."""

ALL: Final = "all"

CHANNELS: Final = frozenset(
    {"email", "sms", "push", "onsite", "web", "app", "phone", "chat", "whatsapp", "social", "post"}
)
"""Channels that anything of ours goes by; sources name others too, and may name anything."""

CONSENTS_MAX: Final = 100
"""What is kept of one person: more than all of these channels, and all together, have with all of the purposes."""

Word = tuple[int, bool]
"""Since when (ms), and whether it is a refusal: the greater of two counts."""


@mypyc_attr(acyclic=True)
class Consents:
    """The newest word by what it is said of: channel and purpose with a colon, "" for all of them."""

    def __init__(self) -> None:
        self.words: dict[str, Word] = {}

    def pack(self, base: int) -> Row:
        """Return the consents as a flat row; instants count back from `base`."""
        row: Row = []
        for key, (since, is_refused) in sorted(self.words.items()):
            row += (key, base - since, is_refused)
        return row


def unpack(row: Row, base: int) -> Consents:
    """Make consents of the row that their `pack` gave."""
    consents = Consents()
    for i in range(0, len(row), 3):
        consents.words[row[i]] = base - row[i + 1], bool(row[i + 2])
    return consents


def meaning(name: str) -> tuple[str, str]:
    """Return the channel and the purpose that a consent's name means, "" for all."""
    first, colon, second = name.strip().lower().partition(":")
    if not colon and first in PURPOSES:
        first, second = "", first
    return ("" if first == ALL else first.strip(), "" if second == ALL else second.strip())


class ConsentRules:
    """What holds where nothing was said, and which words count."""

    def __init__(self, defaults: dict[str, bool], exempt: frozenset[str], valid_ms: int = 0) -> None:
        """Know the rules.

        Args:
            defaults: Whether one may (opt-out) or may not (opt-in) where nothing was said, by names as in the table
                above, the narrowest first: both, channel, purpose, all. Without any, one may not.
            exempt: Purposes that need no consent, and that only a word or default which names them forbids: an order's
                confirmation is still due to who has unsubscribed from letters.
            valid_ms: For how long an agreement holds; 0: until it is taken back. A refusal always does.
        """
        self._defaults = {_key(*meaning(name)): given for name, given in defaults.items()}
        self._exempt = exempt
        self._valid_ms = valid_ms

    def learn(self, consents: Consents, name: str, at: int, given: bool) -> None:  # noqa: FBT001 -- as it is told
        """Take in what is said of `name` at `at`."""
        key, word = _key(*meaning(name)), (at, not given)
        if word > consents.words.get(key, _NOTHING):
            consents.words[key] = word
            self._shorten(consents)

    def union(self, consents: Consents, other: Consents) -> None:
        """Add what is known of a profile that turned out to be the same person."""
        words = consents.words
        for key, word in other.words.items():
            words[key] = max(word, words.get(key, _NOTHING))
        self._shorten(consents)

    def may(self, consents: Consents, channel: str, purpose: str, at: int) -> bool:
        """Whether one may write to this person on a channel for a purpose at `at`.

        What they say is respected once it is known, even if `at` lies before it.
        """
        word, key = self._newest(consents, channel, purpose)
        return self._default(channel, purpose) if not key else self._holds(word, at)

    def refusal(self, consents: Consents, channel: str, purpose: str, at: int) -> str:
        """Say why one may not, "" where one may."""
        if self.may(consents, channel, purpose, at):
            return ""
        word, key = self._newest(consents, channel, purpose)
        if not key:
            return f"no consent to {_said(channel, purpose)}"
        about = _said(*key.split(":", 1))
        if word[1]:
            return f"refused {about} {rfc3339(word[0])}"
        return f"agreed to {about} {rfc3339(word[0])}, which holds no longer"

    def _holds(self, word: Word, at: int) -> bool:
        since, is_refused = word
        return not is_refused and (not self._valid_ms or at - since < self._valid_ms)

    def _newest(self, consents: Consents, channel: str, purpose: str) -> tuple[Word, str]:
        """Return the word that counts and what it is said of, "" where there is none."""
        newest, found = _NOTHING, ""
        words = consents.words
        if words:
            for key in _keys(channel, purpose, is_exempt=purpose in self._exempt):
                word = words.get(key)
                if word is not None and word > newest:
                    newest, found = word, key
        return newest, found

    def _default(self, channel: str, purpose: str) -> bool:
        is_exempt = purpose in self._exempt
        for key in _keys(channel, purpose, is_exempt=is_exempt):
            given = self._defaults.get(key)
            if given is not None:
                return given
        return is_exempt

    def _shorten(self, consents: Consents) -> None:
        """Keep all that is said of our channels and purposes, and of what else is said the newest."""
        words = consents.words
        if len(words) > CONSENTS_MAX:
            over = sorted(words, key=lambda key: (_is_ours(key), words[key], key))[:-CONSENTS_MAX]
            for key in over:
                del words[key]


_NOTHING: Final[Word] = (-FOREVER, False)


def _is_ours(key: str) -> bool:
    channel, _, purpose = key.partition(":")
    return (not channel or channel in CHANNELS) and (not purpose or purpose in PURPOSES)


def _key(channel: str, purpose: str) -> str:
    return f"{channel}:{purpose}"


def _keys(channel: str, purpose: str, *, is_exempt: bool) -> tuple[str, ...]:
    """Return what a word must be said of to count, the narrowest first."""
    both, purpose_alone = f"{channel}:{purpose}", f":{purpose}"
    return (both, purpose_alone) if is_exempt else (both, f"{channel}:", purpose_alone, ":")


def _said(channel: str, purpose: str) -> str:
    """Write what a word is said of as in the table above."""
    if channel and purpose:
        return f"{channel}:{purpose}"
    return channel or purpose or ALL
