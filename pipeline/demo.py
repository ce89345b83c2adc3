"""The demo: a made-up day through the real dataflow, live on the screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from config.durations import format_duration
from config.settings import Settings
from operators.trigger import Trigger
from pipeline.run import Outcome, run
from pipeline.tally import Tally
from pipeline.terminal import Progress

DAY_MS: Final = 86_400_000
REFRESHES_A_SECOND: Final = 8
LINE_INTERVAL_S: Final = 2.0
# Records a batch: small, as of live traffic, so that counts tick instead of jumping.
BATCH_RECORDS: Final = 250
# The last triggers' columns, their styles and least widths: they should not move as rows come and go.
COLUMNS: Final = (
    ("due", "cyan", 5),
    ("trigger", "bold", 18),
    ("for", "", 13),
    ("by", "", 6),
    ("about", "", 26),
)
# With the rows above them they fit a terminal of 24 lines.
TRIGGER_ROWS: Final = 10


def settings() -> Settings:
    """Return the settings of the demo: the defaults, read as live traffic would be."""
    defaults = Settings()
    source = replace(defaults.source, batch_records=BATCH_RECORDS, file_watermark="lateness")
    return replace(defaults, source=source)


def save(lines: Iterable[bytes], path: Path) -> None:
    """Write the day's lines, so that they can be looked at and run again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(lines)


def play(day: Path, out: Path, starts_at: int, seconds: float) -> tuple[Outcome, str]:
    """Run the day so that it passes in `seconds`, 0 as fast as it goes; return the outcome and its delays."""
    speed = DAY_MS / 1000 / seconds if seconds else 0.0
    rules, began_s = settings(), time.process_time()
    with _shown(starts_at, speed) as watch:
        outcome = run(rules, [str(day)], out, speed=speed, watch=watch)
    share = (time.process_time() - began_s) / outcome.seconds
    p50_ms, p99_ms = outcome.tally.delay_ms(0.5), outcome.tally.delay_ms(0.99)
    if not speed or p50_ms is None or p99_ms is None:
        return outcome, ""
    return outcome, (
        f"p50 {p50_ms / speed / 1000:.2f} s, p99 {p99_ms / speed / 1000:.2f} s from the instant a trigger is due"
        f" until it is written, by the wall clock. By the day's, {speed:,.0f} times as fast, that is"
        f" {p50_ms / 1000:,.0f} s and {p99_ms / 1000:,.0f} s, of which timers wait"
        f" {format_duration(rules.source.lateness_ms)} for stragglers. The run took {share:.0%} of one core."
    )


@contextmanager
def _shown(starts_at: int, speed: float) -> Iterator[Callable[[Tally], None]]:
    """Show the run: the live screen on a terminal, else plain lines."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress("starting", LINE_INTERVAL_S).watch
        return
    screen = _Screen(starts_at, speed)
    with Live(
        console=console,
        get_renderable=screen.render,
        refresh_per_second=REFRESHES_A_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield screen.watch


class _Screen:
    """The live screen: where the day stands, what has been counted, the last triggers."""

    def __init__(self, starts_at: int, speed: float) -> None:
        self._starts_at, self._speed = starts_at, speed
        self._tally = Tally()
        self._began_s = time.monotonic()

    def watch(self, tally: Tally) -> None:
        """Learn which counts to show; they are read as often as the screen is drawn."""
        self._tally = tally

    def render(self) -> RenderableType:
        """Draw the screen as things stand."""
        pace = f"{self._speed:,.0f} times as fast" if self._speed else "as fast as it goes"
        title = Text.assemble(("nextmove", "bold"), f"  a shop's day, {pace}")
        return Group(title, "", self._day(), "", self._counts(), "", self._triggers(), "")

    def _day(self) -> RenderableType:
        at = max(self._tally.top_at, self._starts_at)
        done = min(at - self._starts_at, DAY_MS)
        rate = self._tally.read / max(time.monotonic() - self._began_s, 0.1)
        row = Table.grid(padding=(0, 2))
        row.add_row(
            Text(_day_time(at) + (" next day" if at - self._starts_at >= DAY_MS else ""), "bold cyan"),
            ProgressBar(total=DAY_MS, completed=done, width=40),
            f"{rate:,.0f} events/s",
        )
        return row

    def _counts(self) -> RenderableType:
        tally, carts = self._tally, self._tally.carts
        figures = (
            ("visitors", tally.visitors),
            ("carts opened", carts["open"]),
            ("triggers", tally.triggers.total()),
            ("leads", tally.identity["created"]),
            ("abandoned", carts["abandoned"]),
            ("suppressed", tally.suppressed.total()),
            ("sessions", tally.sessions),
            ("recovered", carts["recovered"]),
            ("duplicates", tally.duplicates),
            ("open profiles", tally.awake),
            ("purchased", carts["purchased"]),
            ("dead letters", tally.rejected.total()),
            ("rule errors", tally.faults.total()),
            ("retracted", tally.retracted.total()),
            ("orders credited", tally.credits.total()),
        )
        grid = Table.grid(padding=(0, 2))
        for _ in range(3):
            grid.add_column(justify="right", style="bold", min_width=6)
            grid.add_column(min_width=14)
        for first in range(0, len(figures), 3):
            grid.add_row(*(cell for name, n in figures[first : first + 3] for cell in (f"{n:,}", name)))
        return grid

    def _triggers(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.show_header = True
        for heading, style, width in COLUMNS:
            table.add_column(heading, "dim", style=style, min_width=width, no_wrap=True, overflow="ellipsis")
        recent = list(self._tally.recent)[-TRIGGER_ROWS:]
        for trigger in recent:
            table.add_row(*_row(trigger))
        for _ in range(TRIGGER_ROWS - len(recent)):
            table.add_row("")
        return table


def _row(trigger: Trigger) -> tuple[str, ...]:
    at = round(datetime.fromisoformat(trigger.cause.time).timestamp() * 1000)
    who = trigger.profile_id if trigger.profile_id.startswith("lead-") else f"visitor-{trigger.profile_id}"
    return _day_time(at), trigger.action.replace("_", " "), who[:13], trigger.channel, _about(trigger)


def _about(trigger: Trigger) -> str:
    context = trigger.context
    if {"cart_id", "value", "currency", "lines"} <= context.keys():
        lines = len(context["lines"])
        return f"{context['value']:,.2f} {context['currency']} in {lines} line{'s' * (lines != 1)}"
    if "visits" in context:
        return f"visit {context['visits']}"
    return str(context.get("name") or context.get("product_id") or "")


def _day_time(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%H:%M}"
