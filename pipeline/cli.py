"""The command line: `nextmove run`, `demo`, `generate`, `check`. What goes wrong is told in one line.

Each command imports what it needs when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import gzip
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

import click

from pipeline.check_command import check
from pipeline.deadletters_command import deadletters
from pipeline.dry_run_command import dry_run
from pipeline.explain_command import explain
from pipeline.faults import DONE, INTERRUPTED, WRONG_USAGE, clause, failed, is_debugging, say
from pipeline.identity_command import identity
from pipeline.state_command import FILE, FOLDER, state, stop
from pipeline.topics_command import topics
from pipeline.version import own_version

if TYPE_CHECKING:
    from benchmarks.traffic import TrafficPlan
    from pipeline.run import Outcome

EXIT_CODES: Final = """\b
Exit codes:
  0    done, or stopped cleanly by Ctrl-C or SIGTERM
  1    a run could not start or go on; stderr says why
  2    wrong usage or settings
  3    more of a source was rejected than dead_letters.ratio_max allows
  130  interrupted before there was anything to stop cleanly"""

DEMO_OUT: Final = Path("out/demo")
DEMO_EVENTS: Final = 60_000
DEMO_SECONDS: Final = 15.0
# Lines of a visitor and day, on average: two or three visits, of which most are short.
EVENTS_A_VISITOR: Final = 24
DUPLICATE_SHARE: Final = 0.01
DEMO_MALFORMED_SHARE: Final = 0.002

Writable = BinaryIO | gzip.GzipFile

SHARE = click.FloatRange(0, 0.25)


def _finite(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter("must be a finite number")
    return value


@click.group(
    name="nextmove",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"""\b
Examples:
  nextmove demo
  nextmove run events.jsonl --out out
  tail -f live.jsonl | nextmove run - --out out --recovery state
  nextmove COMMAND --help

{EXIT_CODES}

NEXTMOVE_DEBUG=1 in the environment shows tracebacks.""",
)
@click.version_option(own_version(), message="%(prog)s %(version)s")
@click.pass_context
def command(context: click.Context) -> None:
    """Watch every touchpoint of a shop's customers and say within seconds what to do next."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(WRONG_USAGE)


@command.command(
    epilog="""\b
Examples:
  nextmove run events.jsonl --out out
  nextmove run shop.jsonl.gz calls.jsonl --out out --config shop.yaml
  tail -f live.jsonl | nextmove run - --out out --recovery state
  nextmove run --config prod.yaml

\b
Without INPUT it reads the Kafka topics that the settings name, without --out it
publishes to topics. Ctrl-C or SIGTERM stops cleanly. With --recovery the same command
goes on from there, also after a crash; without, it starts anew and replaces its outputs.
Progress goes to stderr, the summary at the end to stdout.""",
)
@click.argument("inputs", metavar="[INPUT...]", nargs=-1)
@click.option("--out", type=FOLDER, help="Folder for the outputs, one .jsonl file a stream; without: Kafka topics.")
@click.option("--config", type=FILE, help="Settings in YAML; without, the defaults hold.")
@click.option("--recovery", type=FOLDER, help="Folder in which the state survives this process.")
@click.option("--from-savepoint", type=FOLDER, help="Savepoint from which a new recovery folder goes on.")
@click.option(
    "--requests", type=FILE, help="File of requests to show, export, erase or split what is known: `identity`."
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=0.0,
    callback=_finite,
    help="Replay files at so many seconds of event time a second; 0 (default): as fast as it goes.",
)
@click.option(
    "--shard", metavar="I/N", help="Be the I-th of N processes, from 0 on; ordinal/N: as the host's name ends."
)
@click.option("--process", type=click.IntRange(0), metavar="I", help="Be the I-th member of a cluster, from 0 on.")
@click.option("--address", multiple=True, metavar="HOST:PORT", help="Of each member of the cluster, in their order.")
@click.option(
    "--restart",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Start again after a crash, with growing pauses, up to N times in a row; 0 (default): never. Linux.",
)
def run(  # noqa: PLR0913 -- one an option
    *,
    inputs: tuple[str, ...],
    out: Path | None,
    config: Path | None,
    recovery: Path | None,
    from_savepoint: Path | None,
    requests: Path | None,
    speed: float,
    shard: str | None,
    process: int | None,
    address: tuple[str, ...],
    restart: int,
) -> None:
    """Run events through the flow, from Kafka to Kafka or between files.

    INPUT is a file of JSON Lines, plain or gzip (.gz), or - for stdin. Each is a source partition.
    """
    if restart:
        from pipeline.supervisor import own_command, supervise

        sys.exit(supervise(own_command("--restart"), restart))
    from pipeline.loading import load
    from pipeline.run import run as run_flow
    from pipeline.terminal import Progress, summarize

    if speed and "-" in inputs:
        raise click.UsageError("--speed paces files, but stdin comes at its own speed; leave one of them out")
    told = {"SHARD": shard, "CLUSTER_PROCESS": process, "CLUSTER_ADDRESSES": [*address] or None}
    settings = load(config, os.environ | {f"NEXTMOVE_{k}": str(v) for k, v in told.items() if v is not None})
    if not settings.kafka.servers and (out is None or not inputs):
        raise click.UsageError("name INPUT and --out, or set kafka.servers to read and publish topics")
    if recovery is None and settings.checkpoint.folder:
        recovery = Path(settings.checkpoint.folder)
    if out is not None and from_savepoint is None:
        _tell_of_replacing(inputs, out, recovery)
    progress = Progress("looking through the input" if inputs and "-" not in inputs else "waiting for input")
    with _engine_muted(), progress.shown():
        outcome = run_flow(
            settings,
            inputs,
            out,
            recovery=recovery,
            savepoint=from_savepoint,
            requests=requests,
            speed=speed,
            watch=progress.watch,
        )
    place = _place(out) if out is not None else f"{settings.kafka.prefix}*.v1 at {settings.kafka.servers}"
    summarize(outcome, place, outcome.role + _ending(outcome, is_recoverable=recovery is not None))


@command.command(
    epilog="""\b
Examples:
  nextmove demo
  nextmove demo --events 1000000 --seconds 60
  nextmove demo --seconds 0 2>/dev/null""",
)
@click.option("--out", type=FOLDER, default=DEMO_OUT, show_default=True, help="Folder for the outputs.")
@click.option("--events", type=click.IntRange(1), default=DEMO_EVENTS, show_default=True, help="Lines to generate.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another number, another day.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=DEMO_SECONDS,
    callback=_finite,
    show_default=True,
    help="How long the day takes on the screen; 0: as long as the work takes.",
)
def demo(out: Path, events: int, seed: int, seconds: float) -> None:
    """Generate a shop's day, run it live and sum it up.

    The day is made up, the rest is real: the flow, the rules, the files.
    """
    from benchmarks.traffic import generate as generate_lines
    from pipeline import demo as show
    from pipeline.terminal import summarize

    plan = _plan(events=events, seed=seed, malformed=DEMO_MALFORMED_SHARE, duplicates=DUPLICATE_SHARE)
    day = out / "day.jsonl"
    if out != DEMO_OUT:
        _tell_of_replacing([], out, None)
    say(f"generating a day of {events:,} events in {day}")
    show.save(generate_lines(plan), day)
    with _engine_muted():
        outcome, delays = show.play(day, out, plan.start_at, seconds)
    summarize(outcome, _place(out), _ending(outcome, is_recoverable=False), delays)


@command.command(
    epilog="""\b
Examples:
  nextmove generate --out day.jsonl.gz --events 1000000
  nextmove generate --out - --events 1000 | nextmove run - --out out""",
)
@click.option("--out", required=True, metavar="FILE", help="File to write, gzip by the name .gz; - for stdout.")
@click.option("--events", type=click.IntRange(1), default=DEMO_EVENTS, show_default=True, help="Lines, exactly.")
@click.option("--visitors", type=click.IntRange(1), help=f"Shoppers; by default one for {EVENTS_A_VISITOR} events.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--days", type=click.IntRange(1, 400), default=1, show_default=True, help="Days that visits start in.")
@click.option("--malformed", type=SHARE, default=0.0, show_default=True, help="Share of broken lines.")
@click.option("--duplicates", type=SHARE, default=DUPLICATE_SHARE, show_default=True, help="Share of lines sent twice.")
def generate(
    *, out: str, events: int, visitors: int | None, seed: int, days: int, malformed: float, duplicates: float
) -> None:
    """Generate traffic of a shop and its call centre.

    Segment-style JSON Lines in order of arrival: visits, carts, orders, e-mails, calls; up to 30 s of
    disorder, repeated lines, clients whose clock is wrong.
    """
    from benchmarks.traffic import generate as generate_lines

    plan = _plan(events=events, seed=seed, visitors=visitors, days=days, malformed=malformed, duplicates=duplicates)
    began_s = time.monotonic()
    if out == "-":
        _write(sys.stdout.buffer, generate_lines(plan), events)
        return
    with _replacing(Path(out)) as file:
        _write(file, generate_lines(plan), events)
    size_mb = Path(out).stat().st_size / 1e6
    say(f"wrote {events:,} lines, {size_mb:,.1f} MB, to {out} in {time.monotonic() - began_s:.1f} s")


command.add_command(check)
command.add_command(stop)
command.add_command(state)
command.add_command(identity)
command.add_command(topics)
command.add_command(deadletters)
command.add_command(explain)
command.add_command(dry_run)


def main() -> NoReturn:
    """Run the command line and exit (the entry point)."""
    sys.exit(_main())


def _main() -> int:
    """Run the command line; return the exit code, with every fault told in one line."""
    try:
        result = command.main(prog_name="nextmove", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "nextmove"
        say(f"{clause(error.format_message())}; see {path} --help")
        return WRONG_USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - nothing is swallowed: each fault is told, with an exit code
        return failed(error)
    return result if isinstance(result, int) else DONE


@contextmanager
def _engine_muted() -> Iterator[None]:
    from pipeline.terminal import engine_muted

    if is_debugging():
        yield
        return
    with engine_muted():
        yield


def _tell_of_replacing(inputs: Iterable[str], out: Path, recovery: Path | None) -> None:
    """Say that the outputs of an earlier run go; refuse where one of them is to be read."""
    from connectors.cloudevents import STREAMS
    from pipeline.recovery import STATE_FILE

    if recovery is not None and (recovery / STATE_FILE).exists():
        return
    there = [path for name in STREAMS if (path := out / f"{name}.jsonl").is_file()]
    for name in inputs:
        if any(Path(name).resolve() == path.resolve() for path in there):
            raise click.UsageError(f"{name} is an input and would be replaced as an output; name another --out")
    if any(path.stat().st_size for path in there):
        say(f"will replace the outputs of an earlier run in {out}")


def _ending(outcome: Outcome, *, is_recoverable: bool) -> str:
    """Say how a run ended."""
    tally, seconds = outcome.tally, outcome.seconds
    if not tally.read and not outcome.is_stopped:
        return "Done: there was nothing to read that had not been read before."
    pace = f"{tally.read:,} records in {seconds:,.2f} s, {tally.read / seconds:,.0f} a second."
    if not outcome.is_stopped:
        return f"Done: {pace}"
    if is_recoverable:
        return f"Stopped: {pace} The same command goes on from here."
    return f"Stopped: {pace} {tally.awake:,} profiles were still open; with --recovery a run goes on instead."


def _place(out: Path) -> str:
    """Say which files there are."""
    from pipeline.terminal import written

    return f"{out}{os.sep}\n{' '.join(written(out))}"


def _plan(
    *, events: int, seed: int, visitors: int | None = None, days: int = 1, malformed: float, duplicates: float
) -> TrafficPlan:
    from functools import partial

    from benchmarks.traffic import TrafficPlan

    plan = partial(TrafficPlan, events=events, seed=seed, days=days)
    plan = partial(plan, malformed_share=malformed, duplicate_share=duplicates)
    try:
        return plan(visitors=visitors or max(1, min(events // EVENTS_A_VISITOR, plan(visitors=1).sound)))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def _replacing(path: Path) -> Iterator[Writable]:
    """Open a file that takes its name when it is whole, so that no run reads half a day."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            if path.suffix == ".gz":  # no name and no time in it: the same plan gives the same bytes
                with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                    yield packed
            else:
                yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write(file: Writable, lines: Iterable[bytes], count: int) -> None:
    """Write lines, with a progress bar on a terminal."""
    if not sys.stderr.isatty():
        file.writelines(lines)
        return
    steps = max(1, count // 200)
    with click.progressbar(lines, count, "generating", file=sys.stderr, update_min_steps=steps) as shown:
        file.writelines(shown)


if __name__ == "__main__":
    main()
