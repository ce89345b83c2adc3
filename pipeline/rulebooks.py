"""The rules in force: read at the start, and again while running, when their files change or on SIGHUP.

Files are looked at by a thread of its own, and read when they have not changed between two looks: whoever saves several
is not read halfway. What is read takes the old rules' place in one step, so each decision is taken under one whole set;
what cannot be read changes nothing, and is said. Every process of a deployment looks for itself.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from config.journeys import JourneyError
from operators.decision import Decider
from operators.rule_book import Book
from pipeline.tally import Tally

_NEVER: Final = ()

Stamp = tuple[tuple[str, int, int], ...]
"""What files look like from outside: name, size and when they were changed, in ns."""


class RuleBooks:
    """Keeps a decider's rules those of the files."""

    def __init__(
        self, decider: Decider, folder: Path, load: Callable[[], Book], tally: Tally, warn: Callable[[str], None]
    ) -> None:
        """Look after the rules of `decider`, which come from `folder`, or a file, by `load`."""
        self._decider, self._folder, self._load = decider, folder, load
        self._tally, self._warn = tally, warn
        self._stamp = self._seen = stamp_of(folder)
        tally.rules(decider.book)

    def look(self, *, is_asked: bool = False) -> None:
        """Read the rules anew if their files have changed, or if somebody asks."""
        stamp, seen = stamp_of(self._folder), self._seen
        self._seen = stamp
        if not is_asked and (stamp == self._stamp or stamp != seen):
            return
        self._stamp = stamp
        try:
            book = self._load()
        except JourneyError as error:
            self._tally.reloads["refused"] += 1
            self._tally.is_reloaded = False
            self._warn(f"the rules stay as they are: {error}")
            return
        before, self._decider.book = self._decider.book, book
        self._tally.reloads["taken"] += 1
        self._tally.is_reloaded = True
        self._tally.rules(book)
        if book.id != before.id:
            self._warn(f"rules {book.id} in force, of {len(book.rules)}; before, {before.id}")


@contextmanager
def watched(books: RuleBooks, interval_ms: int) -> Iterator[None]:
    """Look at the files every `interval_ms`, 0 for never, and on SIGHUP, while something runs."""
    asked, ended = threading.Event(), threading.Event()

    def loop() -> None:
        while not ended.is_set():
            is_asked = asked.wait(interval_ms / 1000 if interval_ms else None)
            asked.clear()
            if not ended.is_set():
                books.look(is_asked=is_asked)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGHUP, on_signal) if is_main else None
    thread = threading.Thread(target=loop, name="rules", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        asked.set()
        thread.join()
        if is_main:
            signal.signal(signal.SIGHUP, before)


def stamp_of(folder: Path) -> Stamp:
    """Return what the files of rules look like from outside; nothing where there are none."""
    try:
        files = sorted(folder.glob("*.yaml")) if folder.is_dir() else [folder]
        return tuple((one.name, (stat := one.stat()).st_size, stat.st_mtime_ns) for one in files)
    except OSError:  # gone while it was looked at
        return _NEVER
