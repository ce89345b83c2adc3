"""Instants as people write them on the command line."""

from __future__ import annotations

from datetime import datetime

import click

from config.durations import parse_duration
from connectors.formats.common import EPOCH, milliseconds


def instant(option: str, text: str, now: int) -> int:
    """Read what an option says: an instant (ms), or how long ago it was.

    Raises:
        click.UsageError: it is neither.
    """
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        return max(0, milliseconds(datetime.fromisoformat(text) - EPOCH))
    except (ValueError, TypeError):
        raise click.UsageError(
            f"{option} is {text} but must be an instant with its offset, as 2026-11-20T08:00:00Z, or a duration, as 2h"
        ) from None
