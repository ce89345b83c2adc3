"""What becomes of a sample, as tables: one for each kind of record in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.sample import NOTHING, Fate, Shown
from pipeline.terminal import PLAIN_WIDTH, print_console

VALUE_CHARS_MAX: Final = 40
_PLACE: Final = re.compile(r"\[\d+\]")


class _Line(NamedTuple):
    """What a line of a table says, the places in lists left out: lines that say the same are one."""

    path: str
    becomes: str


def print_sample(found: Sequence[Shown], name: str, *, is_all: bool) -> None:
    """Print on stdout what becomes of the records of a file."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    events = sum(len(one.events) for one in found)
    rejected = [(one.number, *fault) for one in found for fault in one.rejected]
    groups: dict[str, list[Shown]] = {}
    for one in found:
        if one.events:
            groups.setdefault(_title(one), []).append(one)
    with console.capture() as capture:
        read = f"{'' if is_all else 'the first '}{len(found):,} records"
        title = f"{name}: {read}, {events:,} events, {len(rejected):,} dead letters"
        console.print(Text(title, style="bold"), soft_wrap=True)
        for title, members in groups.items():
            console.print("", Text(f"{title} ({len(members):,} records)", style="bold"), _table(members), sep="\n")
            left_out = sum(one.left_out for one in members)
            if left_out:
                console.print(Text(f"and {left_out:,} more values, which were not looked at"))
        if rejected:
            console.print("", Text("Dead letters", style="bold"), _dead_letters(rejected), sep="\n")
    print_console(capture.get())


def _title(one: Shown) -> str:
    """Name a kind of record: its format, and what its events are."""
    kinds = Counter(f"{event.kind} ({event.name})" if event.name else event.kind for event in one.events)
    names = [f"{count} {kind}" if count > 1 else kind for kind, count in kinds.items()]
    return f"{' > '.join(one.formats) or 'mapping'}: {', '.join(names)}"


def _table(members: Sequence[Shown]) -> Table:
    lines: dict[_Line, tuple[Fate, int]] = {}
    for one in members:
        seen: set[_Line] = set()
        for fate in one.fates:
            line = _Line(_PLACE.sub("[]", fate.path), _becomes(fate))
            if line not in seen:
                seen.add(line)
                first, count = lines.get(line, (fate, 0))
                lines[line] = first, count + 1
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("field", "becomes", "as in", "records"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "records" else "left")
    for line, (fate, count) in lines.items():
        style = "dim" if line.becomes.startswith(NOTHING) else ""
        table.add_row(Text(line.path), Text(line.becomes, style=style), Text(_short(fate.value)), f"{count:,}")
    return table


def _becomes(fate: Fate) -> str:
    """Say what becomes of a value, its reason behind it."""
    fields = ", ".join(dict.fromkeys(_PLACE.sub("[]", name) for name in fate.becomes))
    if fate.note.startswith("needed"):
        return f"{fields} ({fate.note})" if fields else fate.note
    if not fields:
        return f"{NOTHING}: {fate.note}"
    return f"{fields} ({fate.note})" if fate.note else fields


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = " ".join(text.split())
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 1]}…"


def _dead_letters(rejected: Sequence[tuple[int, str, str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("record", "reason", "detail"):
        table.add_column(heading, overflow="fold")
    for number, reason, detail in rejected:
        table.add_row(f"{number:,}", reason, Text(detail))
    return table
