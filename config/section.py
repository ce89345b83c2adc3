"""What all sections of the settings are made of, and how their fields are named."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from config.durations import DAY, SECOND

Instantly = Annotated[int, Meta(ge=0, le=DAY)]
Delay = Annotated[int, Meta(ge=SECOND, le=30 * DAY)]


def is_duration(field: str) -> bool:
    """Tell whether a field holds milliseconds, by the unit in its name."""
    return "ms" in field.split("_")


def key_of(field: str) -> str:
    """Name a field as YAML does, where the value itself shows its unit."""
    return "_".join(part for part in field.split("_") if part != "ms")


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=key_of):
    """One mapping of the settings file. Every field has a default, so that an empty file is valid."""
