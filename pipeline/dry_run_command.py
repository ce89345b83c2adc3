"""`nextmove dry-run`: what other rules would have sent, of recorded events."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from pipeline.faults import INTERRUPTED, WRONG_USAGE, is_debugging, say
from pipeline.state_command import FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.settings import Settings
    from connectors.recorded import Recording
    from pipeline.dry_running import Comparison, Folders
    from pipeline.explaining import Window
    from pipeline.run import Outcome

EXAMPLES: Final = 5
# Records that are copied between two words on it.
TOLD: Final = 1_000_000


@click.command(
    name="dry-run",
    epilog="""\b
Examples:
  nextmove dry-run new.yaml --from 2026-11-01T00:00:00Z october.jsonl.gz november.jsonl
  nextmove dry-run config/journeys --from 7d --config prod.yaml --show 20
  nextmove dry-run new.yaml --from 1d --config prod.yaml --json

\b
Exit code 2 where the rules cannot be used, with what is wrong in them. Copies and outputs
lie in a temporary folder (TMPDIR) and are gone afterwards.""",
)
@click.argument("rules", metavar="NEW_RULES", type=click.Path(path_type=Path))
@click.argument("inputs", metavar="[INPUT...]", nargs=-1)
@click.option(
    "--from",
    "since",
    required=True,
    metavar="TIME",
    help="Count what came about from then on: an instant, or 7d for so long ago.",
)
@click.option("--to", "until", metavar="TIME", help="Count what came about before then; for topics: now.")
@click.option("--config", type=FILE, help="Settings in YAML, with the rules in force: decision.journeys.")
@click.option(
    "--show",
    type=click.IntRange(0),
    default=EXAMPLES,
    show_default=True,
    help="Show so many triggers that only one has.",
)
@click.option("--json", "is_json", is_flag=True, help="For programs: an object with actions and examples.")
@click.pass_context
def dry_run(  # noqa: PLR0913 -- one an option
    context: click.Context,
    *,
    rules: Path,
    inputs: tuple[str, ...],
    since: str,
    until: str | None,
    config: Path | None,
    show: int,
    is_json: bool,
) -> None:
    """Replay recorded events under NEW_RULES and under those in force, and say what would change.

    NEW_RULES is a file of rules, or a folder of them. INPUT is a file of events, as `nextmove run` takes it; without,
    the topics of the settings are copied as they are now. Events from before --from are replayed too, as far as they
    are recorded, so that carts, caps and cool-downs are what they were. Nothing is published. Identities are learnt
    anew of the events, whatever store the settings name.
    """
    from config.journeys import JourneyError
    from pipeline.dry_running import Folders, replay
    from pipeline.explain_command import window_of
    from pipeline.loading import load
    from pipeline.terminal import Progress, engine_muted

    settings = load(config, os.environ)
    if not inputs and not settings.kafka.servers:
        raise click.UsageError("name INPUT, or set kafka.servers in the settings")
    if "-" in inputs:
        raise click.UsageError("the events are read twice, and standard input cannot be; save it to a file")
    window = window_of(since, until, is_past=not inputs)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="nextmove-dry-run-")))
        folders = Folders(folder / "before", folder / "now")
        try:
            _look(settings, rules)
            if settings.identity.redis_url:
                say("identities are learnt anew of the events; those in Redis are of today, and are not asked")
            events = inputs or _recorded(settings, folder)
            progress = Progress("looking through the input")
            if not is_debugging():
                stack.enter_context(engine_muted())
            with progress.shown():
                outcomes = replay(settings, rules, events, folders, progress.watch)
        except JourneyError as error:
            say(str(error))
            context.exit(WRONG_USAGE)
        if any(one.is_stopped for one in outcomes):
            context.exit(INTERRUPTED)
        found = _compared(settings, rules, outcomes, folders, window, show)
    if is_json:
        _print_json(found)
    else:
        from pipeline.comparison_table import print_comparison

        print_comparison(found)


def _look(settings: Settings, rules: Path) -> None:
    """Look at the rules before all else: to copy topics takes a while."""
    from config.journeys import book_of
    from pipeline.dry_running import dry_settings

    book_of(dry_settings(settings, str(rules.absolute())))


def _recorded(settings: Settings, folder: Path) -> Recording:
    """Copy what the topics hold."""
    from connectors.kafka_client import Brokers, KafkaFault
    from connectors.kafka_recording import record
    from connectors.kafka_topics import partitions_of
    from pipeline.connect import now, refuse_echoes

    kafka = settings.kafka
    client = kafka.for_librdkafka()
    brokers = Brokers(kafka.servers, client)
    partitions = partitions_of(brokers.topics(), kafka.topics)
    if not partitions:
        raise KafkaFault(f"{kafka.servers}: there is no topic {', '.join(kafka.topics)}; mend kafka.topics")
    refuse_echoes(kafka.prefix, partitions)

    def tell(count: int, total: int) -> None:
        if count % TOLD == 0:
            say(f"copied {count:,} records of {total:,}")

    recording = record(brokers, client, partitions, folder, now(), tell)
    say(f"copied {recording.size:,} records of {len(partitions):,} partitions; replaying them twice")
    return recording


def _compared(
    settings: Settings, rules: Path, outcomes: Sequence[Outcome], folders: Folders, window: Window, show: int
) -> Comparison:
    from config.journeys import book_of
    from pipeline.dry_running import Comparison, compare, dry_settings

    actions, gained, lost = compare(folders, window, show)
    tally = outcomes[0].tally
    return Comparison(
        since=window.since,
        until=window.until,
        events=tally.accepted,
        rejected=tally.rejected.total(),
        rules_before=book_of(settings).id,
        rules_now=book_of(dry_settings(settings, str(rules.absolute()))).id,
        actions=actions,
        gained=gained,
        lost=lost,
    )


def _print_json(found: Comparison) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
