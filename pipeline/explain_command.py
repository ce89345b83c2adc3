"""`nextmove explain`: why this was sent to somebody, and why that was not."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pipeline.faults import FAILED, say
from pipeline.state_command import FILE, FOLDER

if TYPE_CHECKING:
    from pipeline.explaining import Outputs, Why, Window

OCCASIONS: Final = 20


@click.command(
    epilog="""\b
Examples:
  nextmove explain --profile lead-18cc54cc36669c167089 --out out
  nextmove explain --profile d95d6d55a2fb084d --config prod.yaml --from 2d
  nextmove explain --trigger 8fbf4728179f106cd686c5557a18d006 --config prod.yaml --json

\b
ID of a profile may be that of a device or user too, or one that has become another profile.
Exit code 1 where nobody, or no decision, has that id."""
)
@click.option("--profile", metavar="ID", help="Explain what was decided for somebody.")
@click.option(
    "--trigger", metavar="ID", help="Explain one trigger, sent or not, and those that it was weighed against."
)
@click.option("--out", type=FOLDER, help="Folder that a run on files has written; without: the topics.")
@click.option("--config", type=FILE, help="Settings in YAML: kafka.servers and kafka.prefix.")
@click.option(
    "--from", "since", metavar="TIME", help="Only what came about from then on: an instant, or 2h for so long ago."
)
@click.option("--to", "until", metavar="TIME", help="Only what came about before then.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=OCCASIONS,
    show_default=True,
    help="Explain the latest so many occasions.",
)
@click.option("--json", "is_json", is_flag=True, help="For programs: an object with ids and occasions.")
@click.pass_context
def explain(  # noqa: PLR0913 -- one an option
    context: click.Context,
    *,
    profile: str | None,
    trigger: str | None,
    out: Path | None,
    config: Path | None,
    since: str | None,
    until: str | None,
    limit: int,
    is_json: bool,
) -> None:
    """Say why this was sent, and why that was not.

    Reads what was published: triggers, taken back or not, suppressed decisions, credits, and who has become whom. For
    each occasion it shows the candidates, what each was asked and what spoke against it, its priority, and what became
    of it. What no rule fired on is not told: no record speaks of it.
    """
    from pipeline.explaining import Explainer

    if (profile is None) == (trigger is None):
        raise click.UsageError("name --profile or --trigger")
    window, outputs = window_of(since, until), _outputs(out, config)
    explainer = Explainer(outputs, window, limit)
    why = explainer.of_profile(profile) if profile is not None else explainer.of_trigger(trigger or "")
    if why is None:
        what = f"nobody is known as {profile}" if profile is not None else f"no decision has the id {trigger}"
        say(f"{what} in {outputs.name}; check the id, and how long that is kept")
        context.exit(FAILED)
    if why.unreadable:
        say(f"{outputs.name}: {why.unreadable:,} records are of another version; they are left out")
    if is_json:
        _print_json(why)
    else:
        from pipeline.explanation_tree import print_why

        print_why(why)


def window_of(since: str | None, until: str | None, *, is_past: bool = False) -> Window:
    """Read --from and --to; without the latter nothing ends it, or now does where only what `is_past` counts."""
    from operators.event import rfc3339
    from pipeline.explaining import Window
    from pipeline.instants import instant

    at = time.time_ns() // 1_000_000
    since_at = None if since is None else instant("--from", since, at)
    until_at = (at if is_past else None) if until is None else instant("--to", until, at)
    if since_at is not None and until_at is not None and until_at <= since_at:
        raise click.UsageError(f"--to is {until or 'now'} but must be after --from, {since}")
    return Window(
        "" if since_at is None else rfc3339(since_at), "" if until_at is None else rfc3339(until_at), since_at
    )


def _outputs(out: Path | None, config: Path | None) -> Outputs:
    from connectors.kafka_client import Brokers
    from connectors.kafka_published import PublishedTopics
    from connectors.published import PublishedFolder
    from pipeline.loading import load

    if out is not None:
        return PublishedFolder(out)
    kafka = load(config, os.environ).kafka
    if not kafka.servers:
        raise click.UsageError("name --out, or set kafka.servers in the settings")
    client = kafka.for_librdkafka()
    return PublishedTopics(Brokers(kafka.servers, client), client, kafka.prefix)


def _print_json(why: Why) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(why), indent=2).decode())
