"""What is remembered of identifiers that were erased: up to when, by digests."""

from __future__ import annotations

from typing import Final

from operators.ids import digest

ERASED_KEPT_MS: Final = 7 * 86_400_000
"""For how long an erasure is remembered: what was sent before it and comes later than that, finds a person anew."""
ERASED: Final = "x:"
"""What a store has the latest erasure (ms) by, if there is any; before a digest that of one identifier."""


def erased_key(name: str) -> str:
    """Return the key under which a store says up to when (ms) an identifier was erased."""
    return ERASED + digest("erased", name)


def marked(erased: dict[str, int]) -> dict[str, str]:
    """Return what a store has to tell of identifiers that were erased: up to when (ms), by their names."""
    if not erased:
        return {}
    told = {erased_key(name): str(at) for name, at in erased.items()}
    told[ERASED] = str(max(erased.values()))
    return told


def erased_at(name: str, known: dict[str, str]) -> int:
    """Return up to when (ms) an identifier was erased, -1 where it was not, or too long ago."""
    return int(known.get(erased_key(name), -1)) if ERASED in known else -1


def unheard(erased: dict[str, int], known: dict[str, str]) -> dict[str, str]:
    """Return what a store has to tell of erasures (ms, by names) to who does not know of them, as `marked` does."""
    news = {name: at for name, at in erased.items() if at > erased_at(name, known)}
    told = marked(news)
    if told:
        told[ERASED] = str(max(int(told[ERASED]), int(known.get(ERASED, -1))))
    return told
