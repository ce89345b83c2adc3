"""What a person sees of a run: progress on stderr, the summary on stdout, and none of the engine's panics.

Progress is drawn from another thread than the run's. What it reads of a `Tally` are numbers, and copies that
C code makes of a counter or a queue in one go, so the run needs no lock.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connectors.cloudevents import STREAMS
from pipeline.run import Outcome
from pipeline.tally import Tally

# The rate is that of the last so many looks, two a second: steady enough to read, quick to show a change.
LOOKS: Final = 10
# Between two plain lines: a log of a day stays under 20,000 lines, and nobody waits long for a sign of life.
LINE_INTERVAL_S: Final = 5.0
# An input clock at most this far behind ours is that of live traffic, and the distance is its lag.
LIVE_WITHIN_MS: Final = 3_600_000
# The summary's width where there is no terminal to ask.
PLAIN_WIDTH: Final = 110


class Progress:
    """Shows how a run goes on: live lines on a terminal, else a plain line every few seconds."""

    def __init__(self, waiting_for: str, line_interval_s: float = LINE_INTERVAL_S) -> None:
        """Take stderr as it is; `waiting_for` says what is under way until the first record."""
        self._console = Console(stderr=True, highlight=False)
        self._waiting_for, self._line_interval_s = waiting_for, line_interval_s
        self._looks: deque[tuple[float, int]] = deque(maxlen=LOOKS)
        self._lined_at = time.monotonic()
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the block runs; on a terminal it is gone afterwards."""
        if not self._console.is_terminal:
            yield
            return
        live = Live(console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)
        with live as self._live:
            yield
        self._live = None

    def watch(self, tally: Tally) -> None:
        """Take a look at the counts (`run` calls this twice a second)."""
        now = time.monotonic()
        self._looks.append((now, tally.read))
        if self._live is not None:
            shown = Text("\n".join(self._lines(tally)), no_wrap=True, overflow="ellipsis")
            self._live.update(shown)
        elif now - self._lined_at >= self._line_interval_s:
            self._lined_at = now
            self._console.print(Text("nextmove: " + ", ".join(self._lines(tally))), soft_wrap=True)

    def _lines(self, tally: Tally) -> list[str]:
        if not tally.read:
            return [self._waiting_for]
        carts, dead = tally.carts["abandoned"], tally.rejected.total()
        return [
            f"{tally.read:,} records, {self.rate():,.0f}/s, {clock(tally.top_at)}",
            f"{tally.awake:,} open profiles, {tally.sessions:,} sessions, {carts:,} carts abandoned",
            f"{tally.triggers.total():,} triggers, {dead:,} dead letters",
        ]

    def rate(self) -> float:
        """Return the records a second of late."""
        if len(self._looks) < 2:
            return 0.0
        (began_at, before), (ended_at, now) = self._looks[0], self._looks[-1]
        return (now - before) / (ended_at - began_at)


def clock(at: int) -> str:
    """Say where the input's clock stands: as its lag where it is live, else as an instant."""
    if at < 0:
        return "no event time yet"
    lag_ms = time.time_ns() // 1_000_000 - at
    if 0 <= lag_ms < LIVE_WITHIN_MS:
        return f"lag {lag_ms / 1000:,.1f} s"
    return f"input clock {datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def ranked(counts: Counter[str]) -> str:
    """Write counts by name, the largest first: `2,952 offer prompt, 95 cart abandoned`."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.most_common() if count)


def summarize(outcome: Outcome, place: str, ending: str, delays: str = "") -> None:
    """Print on stdout what a run came to.

    `place` says where its records are, `ending` how it ended, `delays` how late triggers were.
    """
    tally, carts = outcome.tally, outcome.tally.carts
    leads, dead = tally.identity["created"], tally.rejected.total()
    states = [
        f"{carts['open']:,} opened",
        *(f"{carts[state]:,} {state}" for state in ("abandoned", "recovered", "purchased", "emptied")),
        *([f"{carts['expired']:,} expired"] if carts["expired"] else []),
    ]
    rows = {
        "Records": f"{tally.read:,} read: {tally.accepted:,} accepted, {tally.duplicates:,} duplicates,"
        f" {dead:,} dead letters",
        "Screened": told(tally.screened) if tally.screened else "",
        "People": f"{tally.visitors:,} visitors; {leads:,} leads: visitors known by user id, e-mail or phone",
        "Identities": identities(tally),
        "Sessions": f"{tally.sessions:,}, with {tally.orders:,} orders",
        "Calls": told(tally.calls_closed),
        "Late": late(tally),
        "Carts": ", ".join(states),
        "Triggers": told(tally.triggers),
        "Suppressed": told(tally.suppressed),
        "Retracted": retracted(tally),
        "Credits": credited(tally),
        "Rule errors": ", ".join(f"{count:,} {rule}" for rule, count in tally.faults.most_common() if count),
        "Delay": delays,
        "Dead letters": told(tally.rejected) if dead else "none",
        "Forgotten": forgotten(tally),
        "Written to": place,
    }
    print_table(ending, rows)


def print_table(title: str, rows: Mapping[str, str]) -> None:
    """Print on stdout a line and, below it, those of `rows` that have something to say."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            grid.add_row(name, Text(value))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    with console.capture() as capture:
        console.print(Text(title, style="bold"), soft_wrap=True)
        console.print("", grid, sep="\n")
    print_console(capture.get())


def print_console(text: str) -> None:
    """Print on stdout what a console has drawn, without the blanks that it fills lines up with."""
    print(*(line.rstrip() for line in text.splitlines()), sep="\n", flush=True)  # noqa: T201 - our output


def printable(text: str) -> str:
    """Write out what a terminal would obey: much of a record was written by others."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def identities(tally: Tally) -> str:
    """Say how many visitors became part of a lead, and what was not linked; nothing where there is nothing."""
    merges, refused = tally.merges.total(), tally.conflicts.total()
    return "; ".join(
        [f"{merges:,} visitors joined to leads"] * bool(merges)
        + [f"{refused:,} identifiers refused: {ranked(tally.conflicts)}"] * bool(refused)
    )


def retracted(tally: Tally) -> str:
    """Say which triggers were taken back, by reason; nothing where none was."""
    reasons = Counter[str]()
    for (_, reason), count in tally.retracted.items():
        reasons[reason] += count
    return told(reasons) if reasons else ""


def credited(tally: Tally) -> str:
    """Say how many orders which actions have brought; nothing where none has."""
    return "; ".join(
        [told(tally.credits)] * bool(tally.credits.total())
        + [f"{tally.withdrawn:,} withdrawn: the order was cancelled"] * bool(tally.withdrawn)
    )


def late(tally: Tally) -> str:
    """Say what came out of order, and what had to be said anew; nothing where there is nothing."""
    return "; ".join(
        [f"{tally.late:,} events came after the watermark"] * bool(tally.late)
        + [f"{tally.session_revisions:,} sessions were revised"] * bool(tally.session_revisions)
    )


def forgotten(tally: Tally) -> str:
    """Say what was let go: profiles in time, ids before theirs; nothing where there is nothing."""
    return "; ".join(
        [f"{tally.profiles_expired:,} profiles expired"] * bool(tally.profiles_expired)
        + [f"{tally.forgotten_early:,} event ids early, more than duplicates.ids_max"] * bool(tally.forgotten_early)
    )


def told(counts: Counter[str]) -> str:
    """Write the sum of counts and what it is made of."""
    return f"{counts.total():,}: {ranked(counts)}" if counts else "none"


def written(out: Path) -> list[str]:
    """Name the streams' files that have something in them."""
    return [path.name for name in STREAMS if (path := out / f"{name}.jsonl").is_file() and path.stat().st_size]


@contextmanager
def engine_muted() -> Iterator[None]:
    """Keep the engine's panics off the screen: who runs nextmove gets our one line instead.

    When our code raises, the engine writes a panic and its backtrace straight to file descriptor 2. Here that
    descriptor is a pipe whose reader passes everything on up to the first panic, so that the words
    of other libraries still come through. Python's own `sys.stderr` goes to the screen as ever. A panic
    may hold the lock that the reader needs; a pipe takes 64 KiB, four times the longest backtrace.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    readable, writable = os.pipe()
    reader = threading.Thread(target=_pass_on, args=(readable, screen), name="engine's stderr", daemon=True)
    before, hook = sys.stderr, sys.unraisablehook
    with open(screen, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as ours:  # noqa: PTH123 - a descriptor
        sys.stderr, sys.unraisablehook = ours, _unless_the_disk_is_full
        os.dup2(writable, 2)
        os.close(writable)
        reader.start()
        try:
            yield
        finally:
            os.dup2(screen, 2)  # the pipe has no writer any more, so its reader ends
            reader.join()
            sys.stderr, sys.unraisablehook = before, hook


def _unless_the_disk_is_full(fault: sys.UnraisableHookArgs) -> None:
    """Leave out what files of a failed run say when they are let go: why it failed has been told."""
    if not isinstance(fault.exc_value, OSError):
        sys.__unraisablehook__(fault)


def _pass_on(readable: int, screen: int) -> None:
    with open(readable, "rb") as words:
        for line in words:
            if line.startswith(b"thread '") and b"' panicked at " in line:
                break
            os.write(screen, line)
        for _ in words:  # the rest of the panic, lest it block the engine
            pass
