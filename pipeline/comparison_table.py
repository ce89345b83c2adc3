"""A dry run's comparison for people: a table of actions, one of what was held back, and examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.dry_running import Comparison, Difference, Example
from pipeline.terminal import PLAIN_WIDTH, print_console, printable


def print_comparison(found: Comparison) -> None:
    """Print it on stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    until = f" to {found.until}" if found.until else ""
    with console.capture() as capture:
        rules = f"Rules {found.rules_now} in place of {found.rules_before}"
        console.print(Text(f"{rules}, from {found.since}{until}"), soft_wrap=True)
        console.print(Text(f"{found.events:,} events replayed, {found.rejected:,} rejected; nothing was published"))
        if found.rules_now == found.rules_before:
            console.print(Text("both are the same rules"))
        console.print("", _sent(found.actions), sep="\n")
        reasons = [(one.action, reason, *counts) for one in found.actions for reason, counts in one.suppressed.items()]
        if reasons:
            console.print("", _table(("suppressed", "", "before", "now"), reasons), sep="\n")
        for title, examples in (("gained", found.gained), ("lost", found.lost)):
            for line in _examples(title, examples):
                console.print(line)
    print_console(capture.get())


def _sent(actions: Sequence[Difference]) -> Table:
    names = ["sent", "before", "now", "gained", "lost"]
    has_rerouted = any(one.rerouted for one in actions)
    has_retracted = any(one.retracted_before or one.retracted_now for one in actions)
    names += ["other channel"] * has_rerouted + ["taken back", "now taken back"] * has_retracted
    rows = [
        (
            one.action,
            *(one.sent_before, one.sent_now, one.gained, one.lost),
            *([one.rerouted] * has_rerouted),
            *([one.retracted_before, one.retracted_now] if has_retracted else ()),
        )
        for one in actions
    ]
    return _table(names, rows)


def _table(names: Sequence[str], rows: Iterable[Sequence[str | int]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    every = list(rows)
    for place, name in enumerate(names):
        is_number = bool(every) and isinstance(every[0][place], int)
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in every:
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else printable(cell)) for cell in row))
    return table


def _examples(title: str, examples: Sequence[Example]) -> list[Text]:
    lines = []
    for one in examples:
        otherwise = f"otherwise {one.otherwise}" if one.otherwise else "otherwise no rule fired"
        lines += [
            Text(""),
            Text(printable(f"{title}: {one.action} by {one.channel} for {one.profile_id}")),
            Text(printable(f"  {one.cause}, trigger {one.trigger_id}")),
            Text(printable(f"  {otherwise}")),
        ]
    return lines
