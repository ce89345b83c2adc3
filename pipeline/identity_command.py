"""The commands that ask a running pipeline what it knows of somebody, and have it forget or split that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import click

from pipeline.faults import say
from pipeline.state_command import FILE

if TYPE_CHECKING:
    from config.settings import Settings
    from connectors.formats.requests import RequestRecord
    from operators.answer import Answer
    from operators.request import What

TYPES: Final = {
    "user": "user_id",
    "email": "email",
    "phone": "phone",
    "device": "anonymous_id",
    "profile": "profile_id",
}
WAIT_S: Final = 30.0

_OPTIONS: Final = (
    click.argument("ids", metavar="ID...", nargs=-1, required=True),
    click.option("--config", type=FILE, help="Settings in YAML: kafka.servers and kafka.prefix."),
    click.option("--to", "file", type=FILE, help="Add the request to a file, for `nextmove run --requests FILE`."),
    click.option("--timeout", type=click.FloatRange(min=1), default=WAIT_S, show_default=True, metavar="SECONDS"),
    click.option("--json", "is_json", is_flag=True, help="For programs: an array with an object for each answer."),
)


@click.group(
    epilog="""\b
Examples:
  nextmove identity show mara@example.org --config prod.yaml
  nextmove identity unmerge email:kim@example.org device:d-17 --config prod.yaml
  nextmove identity erase user:4711 --config prod.yaml

\b
ID is TYPE:VALUE, with user, email, phone, device or profile as TYPE. Without one, what has
an @ is an e-mail address, +49... a telephone number, lead-... a profile, and all else a user id.
The running pipeline does what is asked, by way of the control topic, and answers."""
)
def identity() -> None:
    """Show, export, erase or split what a running pipeline knows of somebody."""


@identity.command()
def show(**given: Any) -> None:  # noqa: ANN401 -- the options that all four share
    """Say what is known of somebody, in numbers."""
    _ask("show", **given)


@identity.command()
def export(**given: Any) -> None:  # noqa: ANN401 -- as above
    """Say all that is known of somebody, as JSON."""
    _ask("export", **given | {"is_json": True})


@identity.command()
def erase(**given: Any) -> None:  # noqa: ANN401 -- as above
    """Forget somebody: state, timers, identifiers; compacted topics get tombstones.

    Any identifier of a lead erases all of it. What happened before and comes later is dropped for 7 days.
    """
    _ask("erase", **given)


@identity.command()
def unmerge(**given: Any) -> None:  # noqa: ANN401 -- as above
    """Split identifiers off the lead that they belong to.

    They become a lead of their own, and devices alone visitors again. What they brought goes along as far as it is
    still known; the answer says what could not be split. An event that names both makes them one again.
    """
    _ask("unmerge", **given)


for _command in (show, export, erase, unmerge):
    for _option in reversed(_OPTIONS):
        _option(_command)


def _ask(
    what: What, *, ids: tuple[str, ...], config: Path | None, file: Path | None, timeout: float, is_json: bool
) -> None:
    from pipeline.loading import load

    request = request_of(what, ids)
    settings = load(config, os.environ)
    if file is not None:
        _add(request, file)
        return
    if not settings.kafka.servers:
        raise click.UsageError("set kafka.servers in the settings, or name a file with --to")
    _show(_answers(settings, request, timeout), is_json=is_json)


def request_of(what: What, ids: tuple[str, ...]) -> RequestRecord:
    """Make a request about whoever is named.

    Raises:
        click.UsageError: one of `ids` has no value.
    """
    import msgspec

    from connectors.formats.requests import RequestRecord

    named: dict[str, list[str]] = {}
    for one in ids:
        kind, _, value = one.partition(":")
        if kind not in TYPES:
            kind, value = _guessed(one), one
        if not value.strip():
            raise click.UsageError(f"{one} names nobody; write TYPE:VALUE with {', '.join(TYPES)} as TYPE")
        named.setdefault(TYPES[kind], []).append(value)
    told = {"request": what, "id": uuid4().hex, "identifiers": named}
    try:
        return msgspec.convert(told, RequestRecord)
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from None


def _guessed(text: str) -> str:
    if "@" in text:
        return "email"
    if text.startswith("lead-"):
        return "profile"
    return "phone" if text.startswith("+") and any(map(str.isdigit, text)) else "user"


def _add(request: RequestRecord, file: Path) -> None:
    import msgspec

    with file.open("ab") as lines:
        lines.write(msgspec.json.encode(request) + b"\n")
    say(f"added to {file}: `nextmove run --requests {file}` performs it, and answers in answers.jsonl")


def _answers(settings: Settings, request: RequestRecord, timeout: float) -> list[Answer]:
    from connectors.kafka_requests import ask
    from pipeline.recovery import RunError

    kafka = settings.kafka
    answers = ask(kafka.servers, kafka.for_librdkafka(), kafka.prefix, request, timeout)
    if not answers:
        raise RunError(
            f"no answer within {timeout:g} s; the request {request.id} lies in the control topic and is performed when"
            " the pipeline reads it: check that it runs, and reads that topic"
        )
    return answers


def _show(answers: list[Answer], *, is_json: bool) -> None:
    import msgspec

    from pipeline.terminal import print_table

    if is_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answers), indent=2))
        return
    for number, answer in enumerate(answers):
        if number:
            click.echo()
        print_table(f"{answer.request} {answer.profile_id}".strip(), rows_of(answer))


OUTCOMES: Final = {
    "done": "done",
    "unknown": "nothing is known by that",
    "several": "these are of several people; ask for one of them",
    "ambiguous": "several people have given this number; name somebody otherwise",
}


def rows_of(answer: Answer) -> dict[str, str]:
    """Write an answer, for people: by the name of the line."""
    outcome = "found" if answer.request == "show" and answer.outcome == "done" else OUTCOMES[answer.outcome]
    rows = {"Outcome": outcome, "Split off as": answer.other_profile_id}
    rows |= {_title(key): _written(value) for key, value in {**answer.identity, **answer.state}.items()}
    rows["Moved"] = ", ".join(f"{count} {what}" for what, count in answer.moved.items())
    rows["Not split"] = ", ".join(answer.stayed)
    return {key: value for key, value in rows.items() if value}


def _title(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _written(value: Any) -> str:  # noqa: ANN401 -- as JSON has it
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
