"""The commands that look after state: `nextmove stop`, `nextmove state inspect`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from pipeline.faults import say

FILE: Final = click.Path(path_type=Path, dir_okay=False)
FOLDER: Final = click.Path(path_type=Path, file_okay=False)


@click.command(
    epilog="""\b
Examples:
  nextmove stop --recovery state
  nextmove stop --config prod.yaml --savepoint saved
  nextmove run --config prod.yaml --recovery new --from-savepoint saved

\b
A savepoint holds whole states: `nextmove run --from-savepoint` goes on from it, in another
folder, on another machine, with a later version. Where nobody runs, it is made of the last
checkpoint. Run this on the machine, and in the container, where the run is."""
)
@click.option("--config", type=FILE, help="Settings in YAML: checkpoint.folder.")
@click.option("--recovery", type=FOLDER, help="Folder with the state of the run; outranks the settings.")
@click.option("--savepoint", type=FOLDER, help="New folder for a savepoint, made when the run has ended.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the run to end.",
)
def stop(config: Path | None, recovery: Path | None, savepoint: Path | None, timeout: float) -> None:
    """Stop the run on a recovery folder, and save its state.

    The run ends as it does by SIGTERM: with a checkpoint. A supervisor (--restart) ends too. Of
    several shards all end whose folders are on this machine, each a part of the savepoint.
    """
    from contextlib import ExitStack

    from pipeline.checkpoint import read_checkpoint
    from pipeline.loading import load
    from pipeline.recovery import folders_in
    from pipeline.savepoint import Part, missing_in, save
    from pipeline.stop import stopped

    root = recovery or Path(load(config, os.environ).checkpoint.folder or ".")
    if recovery is None and root == Path():
        raise click.UsageError("name --recovery, or set checkpoint.folder in the settings")
    with ExitStack() as stack:
        folders = folders_in(root)
        for folder in folders:
            was_running = stack.enter_context(stopped(folder, timeout))
            say(f"the run on {folder} has ended" if was_running else f"nobody runs on {folder}")
        for folder in folders if savepoint is not None else []:
            assert savepoint is not None, "asked above"
            say(f"its state is saved in {save(Part(folder, read_checkpoint(folder)), savepoint)}")
    if savepoint is not None:
        missing = missing_in(savepoint)
        if missing:
            say(f"{savepoint} still lacks {', '.join(missing)}: stop those too, each with --savepoint {savepoint}")
            return
        say(f"to go on from there: nextmove run --from-savepoint {savepoint}, with a new --recovery")


@click.group()
def state() -> None:
    """Look into state: checkpoints and savepoints."""


@state.command(
    epilog="""\b
Examples:
  nextmove state inspect state
  nextmove state inspect saved --json"""
)
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--json", "is_json", is_flag=True, help="For programs: an array with an object for each part.")
def inspect(folder: Path, *, is_json: bool) -> None:
    """Say what a checkpoint or a savepoint holds.

    DIR is a recovery folder, also one whose run goes on, or a savepoint. Nothing is written to it.
    """
    import msgspec

    from pipeline.inspection import inspect as look
    from pipeline.inspection import rows_of
    from pipeline.terminal import print_table

    found = look(folder)
    if is_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    for number, one in enumerate(found):
        if number:
            click.echo()
        print_table(one.place, rows_of(one))
