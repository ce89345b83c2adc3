"""
Rules that somebody edits while a chaos run is under way, and whether each decision was taken under a whole set of them.

Every edit gives all rules its number as their version and changes nothing else, so whoever decides is to decide as
before. It goes over several files, each written in two halves with a pause between them; a half can be read and used
by itself, and is no whole set. Now and then an edit is broken until the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from config.journeys import read_book, texts_of
from tests.chaos.audit import Verdict
from tests.chaos.evidence import Told
from tests.chaos.rules import Rules, ms
from tests.journeys import RETENTION_MS

BROKEN_EVERY: Final = 3
"""Of so many edits the last is broken."""
APART: Final = 4.0
"""Edits are at least so many looks of nextmove apart: it takes two to see one, and some are for deciding by it."""
PAUSE: Final = 0.1
"""Of the time between two looks, while an edit is being written."""
SEEN_MIN: Final = 0.25
"""Of all edits at least this share must have decided something; of the others some are broken, some fall in outages."""


class Editor:
    """Whoever edits the rules in `folder`.

    Attributes:
        books: the version that all rules of a book have, by the book's digest; of each that was ever whole.
        broken: from when to when (s since the epoch) the files could not be used.
        made: how many edits there were.
        pause_s: the longest pause within one that happened.
    """

    def __init__(self, folder: Path, rules: Rules, count: int, seconds: float) -> None:
        """Write the rules as they are at first; edit them so often within so many seconds, or in more.

        Without edits nothing is written.
        """
        self._folder, self._rules, self._count = folder, rules, count
        self._every_s = max(APART * rules.reload, seconds / count if count else 0.0)
        [text] = texts_of(Path(rules.settings.decision.journeys)).values()
        self._said: dict[str, Any] = yaml.safe_load(text)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="editor", daemon=True)
        self.books: dict[str, int] = {}
        self.broken: list[tuple[float, float]] = []
        self.made = 0
        self.pause_s = 0.0
        if count:
            folder.mkdir()
            texts = self._texts(1)
            self._know(texts, 1)
            self._save(texts)

    @property
    def journeys(self) -> str:
        """The rules for those who are to see the edits."""
        return str(self._folder) if self._count else self._rules.settings.decision.journeys

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Edit meanwhile; at the end the rules are whole."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def judge(self, verdict: Verdict, seen: Told, said: Iterable[str]) -> None:
        """Each decision names a book that was whole, and its version; by enough of them something was decided.

        `said` is what the processes have said on stderr.
        """
        if not self._count:
            return
        decided = [("trigger", record.id, record.rule) for record in seen.triggers]
        decided += [("suppressed", record.id, record.rule) for record in seen.suppressed]
        half = [
            f"{what} {id_} by {rule.id} {rule.version} of {rule.book}"
            for what, id_, rule in decided
            if self.books.get(rule.book) != rule.version
        ]
        lines = [line for text in said for line in text.splitlines()]
        refused = sum(f"{self._folder}/" in line for line in lines)  # at a look, or at a start
        books = {rule.book for _, _, rule in decided}
        told = f"{self.made}, {len(self.broken)} of them broken; {self.pause_s:.2f} s the longest pause in one"
        verdict.count("edits of rules", f"{told}, {self._rules.reload:g} s between looks")
        verdict.count("faults of rules that processes told of", str(refused))
        verdict.count("books decided by", f"{len(books & self.books.keys())} of {len(self.books)} that were whole")
        bad = verdict.none_of("decisions under rules that were never whole", half)
        verdict.count("decisions under whole / other rules", f"{len(decided) - bad:,} / {bad}")
        if len(books) < max(2.0, SEEN_MIN * self.made):
            verdict.faults.append(f"only {len(books)} books have decided anything, of {self.made} edits")
        if self.broken and not refused:
            verdict.faults.append(f"no process has told of any of {len(self.broken)} broken edits")

    def _loop(self) -> None:
        broken_at = 0.0
        while (self.made < self._count and not self._ended.wait(self._every_s)) or broken_at:
            self.made += 1
            texts = self._texts(self.made + 1)
            is_broken = self.made % BROKEN_EVERY == 0 and not self._ended.is_set() and self.made < self._count
            if is_broken:
                broken_at = time.time()
                name = sorted(texts)[self.made // BROKEN_EVERY % len(texts)]
                torn, misspelt = texts[name] + "- {id: 1\n", texts[name].replace("family", "famly")
                texts[name] = torn if self.made // BROKEN_EVERY % 2 else misspelt
            else:
                self._know(texts, self.made + 1)
            self._save(texts)
            if broken_at and not is_broken:
                self.broken.append((broken_at, time.time()))
                broken_at = 0.0

    def _know(self, texts: dict[str, str], version: int) -> None:
        """Know the book that these texts make: they are about to be written as a whole."""
        book = read_book(texts, lateness_ms=ms(self._rules.lateness), retention_ms=RETENTION_MS)
        self.books[book.id] = version

    def _texts(self, version: int) -> dict[str, str]:
        """Return the texts of the files with this version in all rules."""
        actions = [action | {"version": version} for action in self._said["actions"]]
        parts: Sequence[dict[str, Any]] = (
            {"policy": self._said["policy"], "actions": actions[:2]},
            {"actions": actions[2:4]},
            {"actions": actions[4:]},
        )
        return {f"{number}.yaml": yaml.safe_dump(part, sort_keys=False) for number, part in enumerate(parts)}

    def _save(self, texts: dict[str, str]) -> None:
        """Write the files one by one, each in two halves: the last rule of a file comes after a pause."""
        changed_at = 0.0
        for name, text in texts.items():
            middle = text.rindex("\n- ") + 1
            for mode, half in (("w", text[:middle]), ("a", text[middle:])):
                before, changed_at = changed_at, time.monotonic()
                if before:
                    self.pause_s = max(self.pause_s, changed_at - before)
                with (self._folder / name).open(mode, encoding="utf-8") as file:
                    file.write(half)
                time.sleep(PAUSE * self._rules.reload)
