"""`nextmove check`: whether settings and rules can be used, and what becomes of each field of a sample of records."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.state_command import FILE

if TYPE_CHECKING:
    from config.settings import Settings
    from connectors.formats import Format
    from pipeline.sample import Shown

PATH: Final = click.Path(path_type=Path)
REJECTED: Final = 1
RECORDS: Final = 100


@click.command(
    epilog="""\b
Examples:
  nextmove check shop.yaml > effective.yaml
  nextmove check shop.yaml --rules journeys
  nextmove check --sample events.jsonl
  nextmove check shop.yaml --sample orders.json --topic shop.orders.v1
  nextmove check shop.yaml --sample orders.json --format orders --json

\b
With --sample: exit code 1 where a record, or a part of one, would be a dead letter."""
)
@click.argument("config", type=FILE, required=False)
@click.option("--config", "config_option", type=FILE, help="The same as CONFIG, as other commands have it.")
@click.option("--rules", type=PATH, help="Rules to check in place of those that the settings name: a file or folder.")
@click.option("--sample", type=FILE, help="Records to look at: JSON Lines, one JSON document, or an array; .gz too.")
@click.option("--topic", help="The topic, or input file, as whose records the sample is read.")
@click.option("--format", "format_", metavar="NAME", help="The format of the sample, or a mapping; outranks --topic.")
@click.option("--limit", type=click.IntRange(1), default=RECORDS, show_default=True, help="Records looked at, at most.")
@click.option("--json", "is_json", is_flag=True, help="For programs: an array with an object for each record.")
@click.pass_context
def check(  # noqa: PLR0913 -- one an option
    context: click.Context,
    *,
    config: Path | None,
    config_option: Path | None,
    rules: Path | None,
    sample: Path | None,
    topic: str | None,
    format_: str | None,
    limit: int,
    is_json: bool,
) -> None:
    """Check settings and rules and print those in force, or show what becomes of each field of a sample.

    Prints every setting, defaults included, as YAML that --config takes; or one line on stderr that says
    which key is wrong and what it may be, with exit code 2. So it does of all that is wrong with the rules
    (decision.journeys), by file, line and column. With --rules it prints the digest and the versions of those instead.
    With --sample it shows, for each kind of record, which field of the event each value of it becomes, what stays in
    its properties, and what is ignored or rejected.
    """
    from pipeline.loading import load

    if config is not None and config_option is not None:
        raise click.UsageError("name the settings once: CONFIG, or --config")
    path = config or config_option
    if sample is None:
        if path is None and rules is None:
            raise click.UsageError("name settings to check, rules with --rules, or records with --sample")
        if topic is not None or format_ is not None or is_json:
            raise click.UsageError("--topic, --format and --json are for --sample; name it, or leave them out")
        click.echo(_checked(load(path, os.environ), rules), nl=False)
        return
    if rules is not None:
        raise click.UsageError("--rules and --sample are checked one by one; leave one of them out")
    found, is_all = _looked_at(sample, load(path, os.environ), topic or str(sample), format_, limit)
    if is_json:
        _print_json(found)
    else:
        from pipeline.sample_tables import print_sample

        print_sample(found, str(sample), is_all=is_all)
    if any(one.rejected for one in found):
        context.exit(REJECTED)


def _checked(settings: Settings, rules: Path | None) -> str:
    """Read the rules, these or those that settings name; return what is in force, as YAML."""
    import msgspec

    from config.journeys import book_of
    from config.load import describe

    if rules is None:
        book_of(settings)
        return describe(settings)
    decision = msgspec.structs.replace(settings.decision, enabled=True, journeys=str(rules))
    book = book_of(msgspec.structs.replace(settings, decision=decision))
    return msgspec.yaml.encode(book.describe()).decode()


def _looked_at(
    sample: Path, settings: Settings, topic: str, format_: str | None, limit: int
) -> tuple[list[Shown], bool]:
    """Look at the records of a file as those of a topic; tell whether these are all."""
    from itertools import islice

    from pipeline.parts import source_rules
    from pipeline.sample import look, records

    of, rules, read_at = _format(settings, topic, format_), source_rules(settings)(topic), time.time_ns() // 1_000_000
    told = records(sample)
    found = [look(raw, number, of, rules, read_at) for number, raw in enumerate(islice(told, limit), 1)]
    return found, next(told, None) is None


def _format(settings: Settings, topic: str, name: str | None) -> Format:
    """Return the format of a sample: the one that is named, else its topic's."""
    import msgspec

    from connectors.formats.others import FORMATS
    from pipeline.loading import unknown_format
    from pipeline.parts import format_of

    if name is None:
        return format_of(settings)(topic)
    if name not in FORMATS and name not in settings.source.mappings:
        raise click.UsageError(f"--format: {unknown_format(name, settings)}")
    source = msgspec.structs.replace(settings.source, format=name, formats={})
    return format_of(msgspec.structs.replace(settings, source=source))(topic)


def _print_json(found: Sequence[Shown]) -> None:
    import msgspec

    from pipeline.sample import described

    told: list[dict[str, Any]] = [
        {
            "record": one.number,
            "formats": one.formats,
            "events": [described(event) for event in one.events],
            "fields": [fate._asdict() for fate in one.fates],
            "values_left_out": one.left_out,
            "rejected": [{"reason": reason, "detail": detail} for reason, detail in one.rejected],
        }
        for one in found
    ]
    click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
