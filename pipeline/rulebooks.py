"""The rules in force: read at the start, and again while running, when their files change or on SIGHUP.

Files are looked at by a thread of its own. They are read when they have not changed between two looks, and what was
read counts only if they have not changed meanwhile either: whoever saves one bit by bit, or several, is not read
halfway, as long as no pause of theirs is longer than the time between two looks. What is read takes the old rules'
place in one step, so each decision is taken under one whole set; what cannot be read changes nothing, and is said.
Every process of a deployment looks for itself.
"""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

from config.journeys import JourneyError, book_of, journeys_of
from config.settings import Settings
from operators.decision import Decider
from operators.rule_book import Book
from pipeline.tally import Tally

SETTLED_MS_MAX: Final = 2_000
"""Files that were written to less than this, or than the time between two looks, before the start are waited for."""
SETTLING_TRIES: Final = 30
"""Whoever writes all the time is not waited for any longer than so many times."""
AGAIN_S: Final = 0.2
"""Files that change while SIGHUP has them read are read again so much later."""
FAULTS_MAX: Final = 10
"""So many of the faults of files are said; `nextmove check` says all."""


class Look(NamedTuple):
    """What a file looks like from outside: instants in ns. A time of writing can be set, the one of changes cannot."""

    name: str
    inode: int
    size: int
    written_at: int
    changed_at: int


class RuleBooks:
    """Keeps a decider's rules those of the files.

    Attributes:
        decider: decides by them.
    """

    def __init__(self, folder: Path, load: Callable[[], Book], tally: Tally, warn: Callable[[str], None]) -> None:
        """Read the rules for the first time, by `load`, from `folder` or a file; `warn` takes a line each time.

        Raises:
            JourneyError: they cannot be used.
        """
        self._folder, self._load = folder, load
        self._tally, self._warn = tally, warn
        self._stamp = self._seen = stamp_of(folder)  # before they are read: what changes meanwhile is seen
        self.decider = Decider(load())
        tally.rules(self.decider.book)

    def look(self, *, is_asked: bool = False) -> bool:
        """Read the rules anew if their files have changed, or if somebody asks.

        Returns:
            Whether that came to an end: False where files changed while they were read, which counts for nothing.
        """
        stamp, seen = stamp_of(self._folder), self._seen
        self._seen = stamp
        if not is_asked and (stamp == self._stamp or stamp != seen):
            return True
        book, error = self._read()
        if stamp_of(self._folder) != stamp:
            return False
        self._stamp = stamp
        if book is None:
            self._refuse(error)
        else:
            self._take(book)
        return True

    def _read(self) -> tuple[Book | None, str]:
        """Return the book that files make, or why they make none."""
        with _tidied():
            try:
                return self._load(), ""
            except (JourneyError, OSError) as error:
                return None, str(error)

    def _refuse(self, error: str) -> None:
        self._tally.reloads["refused"] += 1
        self._tally.is_reloaded = False
        self._warn(f"the rules stay as they are, {self.decider.book.id}, for their files cannot be used:")
        lines = error.splitlines()
        for line in lines[:FAULTS_MAX]:
            self._warn(line)
        if len(lines) > FAULTS_MAX:
            self._warn(f"and {len(lines) - FAULTS_MAX} lines more, which nextmove check says")

    def _take(self, book: Book) -> None:
        before, was_refused = self.decider.book, not self._tally.is_reloaded
        self._tally.rules(book)  # first, for Prometheus sees no increase in what was not there before
        self.decider.book = book
        self._tally.reloads["taken"] += 1
        self._tally.is_reloaded = True
        if book.id != before.id:
            self._warn(f"rules {book.id} in force, of {len(book.rules)}; before, {before.id}")
        elif was_refused:
            self._warn(f"the files of rules can be used again; rules {book.id} stay in force")


def rules_of(settings: Settings, tally: Tally, warn: Callable[[str], None]) -> RuleBooks:
    """Read the rules that settings name, when nobody is just saving them.

    Raises:
        JourneyError: they cannot be used.
    """
    settle(journeys_of(settings), settings.decision.reload_ms)
    return RuleBooks(journeys_of(settings), partial(book_of, settings), tally, warn)


@contextmanager
def watched(books: RuleBooks, interval_ms: int) -> Iterator[None]:
    """Look at the files every `interval_ms`, 0 for never, and on SIGHUP, which ends nothing, while something runs.

    It is entered before servers and members of a cluster are waited for.
    """
    asked, ended = threading.Event(), threading.Event()

    def loop() -> None:
        is_asked = False
        interval_s = interval_ms / 1000 if interval_ms else None
        while not ended.is_set():
            is_asked = asked.wait(AGAIN_S if is_asked else interval_s) or is_asked
            asked.clear()
            if not ended.is_set():
                is_asked = not books.look(is_asked=is_asked) and is_asked

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


def stamp_of(folder: Path) -> tuple[Look, ...]:
    """Return what the files of rules look like from outside; nothing of those that are gone.

    What is misnamed counts, for it is refused; what begins with a dot does not, as in `config.journeys`.
    """
    try:
        files = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    except OSError:  # gone while it was looked at, or not to be read
        return ()
    found = []
    for file in files:
        if file == folder or (file.suffix in (".yaml", ".yml") and not file.name.startswith(".")):
            try:
                stat = file.stat()
            except OSError:  # as above, or a link to nothing
                continue
            found.append(Look(file.name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(found)


def settle(folder: Path, interval_ms: int) -> None:
    """Wait until nobody has written to the files of rules for `interval_ms`, or `SETTLED_MS_MAX` if that is less.

    A process may start just when somebody saves: it has no old rules to go on with.
    """
    quiet_s = min(interval_ms, SETTLED_MS_MAX) / 1000
    stamp = stamp_of(folder)
    for _ in range(SETTLING_TRIES):
        age_s = time.time() - max((look.written_at for look in stamp), default=0) / 1e9
        if age_s >= quiet_s:
            return
        time.sleep(quiet_s - max(age_s, 0.0))
        before, stamp = stamp, stamp_of(folder)
        if stamp == before:  # of which the clock of another machine may have said that it is yet to come
            return


@contextmanager
def _tidied() -> Iterator[None]:
    """Collect the cycles that reading YAML leaves behind, if nobody does: a run has no collector.

    What was there before is not walked, as it is many people's state.
    """
    is_needed = not gc.isenabled()
    if is_needed:
        gc.freeze()
    try:
        yield
    finally:
        if is_needed:
            gc.collect()
