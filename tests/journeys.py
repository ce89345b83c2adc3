"""Books of rules for tests: those that ship, with some of what they say changed."""

from __future__ import annotations

import atexit
import os
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import yaml

from config.durations import DAY, SECOND, format_duration
from config.journeys import SHIPPED, read_book, texts_of
from config.marked import Source
from operators.rule_book import Book

LATENESS_MS: Final = 30 * SECOND
RETENTION_MS: Final = 30 * DAY

Span = str | int
"""A duration as YAML has it, or in ms."""

ABANDONED: Final = ("cart_abandoned", "checkout_abandoned", "browse_abandoned")


@cache
def book(*, lateness_ms: int = LATENESS_MS, retention_ms: int = RETENTION_MS, **changes: Any) -> Book:  # noqa: ANN401 -- see `texts`
    """Return the shipped rules with the changes that `texts` knows."""
    return read_book(texts(**changes), lateness_ms=lateness_ms, retention_ms=retention_ms)


def write(folder: Path, **changes: Any) -> Path:  # noqa: ANN401 -- as above
    """Write the same as files, for the program to read; return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts(**changes).items():
        (folder / name).write_text(text)
        os.utime(folder / name, (0, 0))  # as if it had lain there for long: what was just saved is waited for
    return folder


@cache
def folder(**changes: Any) -> str:  # noqa: ANN401 -- as above
    """Return the folder of files of the same, which are there as long as this process is."""
    home = mkdtemp(prefix="journeys-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return str(write(Path(home), **changes))


def texts(  # noqa: PLR0913 -- one a change
    *,
    offer_views: int = 3,
    offer_cooldown: Span = "1d",
    abandonment_cooldown: Span = "7d",
    returning_cooldown: Span = "12h",
    declined: Span = "30d",
    expires: Span = "12h",
    windows: Span = "",
    policy: str = "",
    extra: str = "",
) -> dict[str, str]:
    """Return the shipped rules with changes, by the names of their files.

    `declined` 0 is no pause. `windows` are those of all attribution, where profiles are not kept for the usual ones.
    `policy` are keys of the policy in YAML that replace those of the same name, `extra` another file.
    """
    [text] = texts_of(SHIPPED).values()
    source = Source("core.yaml", text).read()
    assert source is not None
    said = source.plain
    actions = {action["id"]: action for action in said["actions"]}
    for name in ABANDONED:
        actions[name]["cooldown"] = _span(abandonment_cooldown)
    actions["returning_visitor"]["cooldown"] = _span(returning_cooldown)
    actions["offer_prompt"]["cooldown"] = _span(offer_cooldown)
    actions["offer_prompt"]["when"] = f"event.product.views >= {offer_views}"
    for action in actions.values():
        action["expires_after"] = _span(expires)
    said["policy"]["pauses"][0]["pause"] = _span(declined)
    if _span(declined) == "0s":
        del said["policy"]["pauses"]
    if windows:
        said["policy"]["attribution"] = {"email": {"opened": _span(windows), "clicked": _span(windows)}}
    if policy:
        own = Source("policy", policy).read()
        assert own is not None
        said["policy"] |= own.plain
    changed = {"core.yaml": yaml.safe_dump(said, sort_keys=False)}
    return changed | {"extra.yaml": extra} if extra else changed


def _span(span: Span) -> str:
    return span if isinstance(span, str) else format_duration(span)
