"""Regular expressions in settings."""

from __future__ import annotations

import re

from config.shown import shown


def compiled(key: str, patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Compile the regular expressions of a setting.

    Raises:
        ValueError: One is none.
    """
    found = []
    for pattern in patterns:
        try:
            found.append(re.compile(pattern))
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{key} has {shown(pattern)} but each must be a regular expression: {error}") from None
    return tuple(found)
