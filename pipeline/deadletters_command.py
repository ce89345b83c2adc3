"""The commands that look at dead letters and feed them back: `nextmove deadletters show` and `replay`."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, get_args

import click

from operators.rejected import Reason
from pipeline.faults import say
from pipeline.state_command import FILE

if TYPE_CHECKING:
    from config.settings import Settings
    from connectors.dead_letter import Letter
    from connectors.dead_letter_files import LetterFile
    from connectors.kafka_client import Brokers
    from connectors.kafka_dead_letters import LetterTopic
    from pipeline.replaying import Report, Survey, Wanted, Way

SHOWN: Final = 10
# Of a record, for people: enough to recognise it; --json has all.
PAYLOAD_CHARS_MAX: Final = 400
# How a file is told from a topic, whose name has no slash and, we take it, does not end so.
FILE_NAME: Final = re.compile(r".*/.*|.*\.jsonl")

_OPTIONS: Final = (
    click.option("--config", type=FILE, help="Settings in YAML: kafka.servers and kafka.prefix."),
    click.option(
        "--input",
        "path",
        type=click.Path(path_type=Path),
        help="Folder that a run on files has written, or its dead_letters.jsonl; without: the topic.",
    ),
    click.option("--reason", type=click.Choice(sorted(get_args(Reason))), help="Only those with this reason."),
    click.option("--source", metavar="NAME", help="Only those of this topic or file."),
    click.option(
        "--since", metavar="T", help="Only those since then: 2026-11-20T08:00:00Z, or 2h for the last two hours."
    ),
)


@click.group(
    epilog="""\b
Examples:
  nextmove deadletters show --config prod.yaml --since 1h
  nextmove deadletters replay --config prod.yaml --reason unknown_format --dry-run
  nextmove deadletters replay --input out --to mended.jsonl

\b
First see what was rejected and why, then mend the source, the settings or nextmove, then
feed the records back. One that is rejected again is a new dead letter, which says how often
it has been fed back."""
)
def deadletters() -> None:
    """Look at what was rejected, and feed it back."""


@deadletters.command()
@click.option("--limit", type=click.IntRange(0), default=SHOWN, show_default=True, help="Show the latest so many.")
@click.option("--json", "is_json", is_flag=True, help="For programs: an object with counts and letters.")
def show(*, limit: int, is_json: bool, **given: Any) -> None:  # noqa: ANN401 -- the options that both share
    """Count dead letters by source, stage and reason, and show the latest.

    They hold records as they came, with all that these say of people.
    """
    from pipeline.replaying import survey

    with _opened(**given) as opened:
        found = survey(opened.store, opened.wanted, limit)
        _warn(opened.store)
        if is_json:
            _print_json(found)
        else:
            _print(found, opened.store.name)


@deadletters.command()
@click.option("--limit", type=click.IntRange(1), help="Feed back so many at most; without: all.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--again", "is_again", is_flag=True, help="Also those that were fed back before.")
@click.option(
    "--to",
    metavar="TOPIC|FILE",
    default="",
    help="Another topic, or a new file, with a / in its name or .jsonl at its end, for `nextmove run`.",
)
def replay(*, limit: int | None, is_dry: bool, is_again: bool, to: str, **given: Any) -> None:  # noqa: ANN401 -- as above
    """Feed records back to where they came from, with key and headers.

    Each once: a letter that was fed back is left out the next time. A header, nextmove-replayed, says which letter a
    record is of.
    """
    from connectors.kafka_dead_letters import Originals
    from pipeline.connect import now
    from pipeline.replaying import Replay

    with _opened(**given) as opened:
        way = _way(opened, to, is_dry=is_dry)
        originals = None
        if opened.brokers is not None:
            originals = Originals(opened.brokers, opened.settings.kafka.for_librdkafka())
            opened.stack.callback(originals.close)
        report = Replay(way, originals, now).run(opened.store, opened.wanted, limit=limit, is_again=is_again)
        _warn(opened.store)
        _report(report, is_dry=is_dry)


for _command in (show, replay):
    for _option in reversed(_OPTIONS):
        _option(_command)


class _Opened(NamedTuple):
    """Where letters are read, and where they may go."""

    settings: Settings
    store: LetterFile | LetterTopic
    wanted: Wanted
    brokers: Brokers | None
    stack: ExitStack

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stack.close()


def _opened(
    *, config: Path | None, path: Path | None, reason: Reason | None, source: str | None, since: str | None
) -> _Opened:
    from connectors.cloudevents import Encoder
    from connectors.dead_letter_files import LetterFile
    from connectors.kafka_client import Brokers
    from connectors.kafka_dead_letters import LetterTopic
    from operators.event import rfc3339
    from pipeline.connect import now
    from pipeline.instants import instant
    from pipeline.loading import load
    from pipeline.replaying import Wanted

    settings = load(config, os.environ)
    kafka = settings.kafka
    since_at = None if since is None else instant("--since", since, now())
    wanted = Wanted(reason, source, "" if since_at is None else rfc3339(since_at))
    brokers = Brokers(kafka.servers, kafka.for_librdkafka()) if kafka.servers else None
    store: LetterFile | LetterTopic
    if path is not None:
        store = LetterFile(path, Encoder(settings.output.source, now))
    elif brokers is not None:
        store = LetterTopic(brokers, kafka.for_librdkafka(), kafka.prefix, since_at)
    else:
        raise click.UsageError("name --input, or set kafka.servers in the settings")
    return _Opened(settings, store, wanted, brokers, ExitStack())


def _way(opened: _Opened, to: str, *, is_dry: bool) -> Way:
    """Return how records go back, ready to go."""
    from connectors.cloudevents import MessageEncoder
    from connectors.dead_letter_files import LetterFile, LineFile
    from connectors.kafka_dead_letters import Feed
    from connectors.kafka_topics import exchange_topic
    from pipeline.connect import now
    from pipeline.replaying import DryWay, FileWay, TopicWay, own_topic, unfit_for_lines

    settings, store, brokers = opened.settings, opened.store, opened.brokers
    kafka, is_file = settings.kafka, FILE_NAME.fullmatch(to) is not None
    if brokers is None and not is_file:
        raise click.UsageError("name a new file with --to, as mended.jsonl, or set kafka.servers in the settings")
    if is_dry and is_file:
        return DryWay(lambda _: to, unfit_for_lines)
    if is_dry:
        assert brokers is not None, "asked above"
        return DryWay(own_topic(_topics(brokers, to), exchange_topic(kafka.prefix).name, to))
    feed = None
    if brokers is not None and not (is_file and isinstance(store, LetterFile)):
        encoder = MessageEncoder(settings.output.source, now, {})
        feed = Feed(brokers, kafka.for_librdkafka(), kafka.prefix, encoder)
    note = store.note if isinstance(store, LetterFile) else None
    if is_file:
        assert note is not None or feed is not None, "letters of a topic have brokers"
        file = LineFile(Path(to))
        opened.stack.callback(file.drop)
        return FileWay(to, file, note or (lambda notes: feed.send([], notes) if feed is not None else None))
    assert brokers is not None, "asked above"
    assert feed is not None, "made above"
    return TopicWay(feed, own_topic(_topics(brokers, to), exchange_topic(kafka.prefix).name, to), note)


def _topics(brokers: Brokers, to: str) -> dict[str, int]:
    there = brokers.topics()
    if to and to not in there:
        raise click.UsageError(f"there is no topic {to}; a file has a / in its name, or .jsonl at its end")
    return there


def _warn(store: LetterFile | LetterTopic) -> None:
    if store.unreadable:
        say(f"{store.name}: {store.unreadable:,} records are no dead letters, or of a later version; they are left out")


def _report(report: Report, *, is_dry: bool) -> None:
    places = ", ".join(f"{count:,} to {place}" for place, count in sorted(report.fed.items()))
    again = f"; {report.again:,} of them not for the first time" if report.again else ""
    verb = "would be fed back" if is_dry else "fed back"
    click.echo(f"{report.fed.total():,} {verb}{': ' if places else ''}{places}{again}")
    if report.before:
        click.echo(f"{report.before:,} were fed back before; --again does so once more")
    for why, count in report.left.most_common():
        click.echo(f"{count:,} cannot be fed back: {why}")


def _print_json(found: Survey) -> None:
    import msgspec

    from connectors.dead_letter import fixed

    counts = [
        {
            **group._asdict(),
            "letters": count,
            "fed_back": found.fed_back[group],
            "rejected_again": found.rejected_again[group],
        }
        for group, count in found.letters.most_common()
    ]
    letters = [
        {"id": id_, "fed_back": found.times[id_], "cannot": fixed(told), **msgspec.to_builtins(told)}
        for id_, told in found.latest
    ]
    click.echo(msgspec.json.format(msgspec.json.encode({"counts": counts, "letters": letters}), indent=2))


def _print(found: Survey, place: str) -> None:
    from pipeline.terminal import print_table, printable

    rows = {}
    for group, count in found.letters.most_common():
        told = [f"{count:,}"]
        told += [f"{found.fed_back[group]:,} fed back"] * bool(found.fed_back[group])
        told += [f"{found.rejected_again[group]:,} rejected again"] * bool(found.rejected_again[group])
        rows[printable(f"{group.source} {group.stage} {group.reason}")] = ", ".join(told)
    print_table(f"{found.letters.total():,} dead letters in {place}", rows)
    for letter in found.latest:
        click.echo()
        print_table(printable(letter.told.cloud_event[2]), rows_of(letter, found.times[letter.id]))


def rows_of(letter: Letter, times: int) -> dict[str, str]:
    """Write a letter, for people: by the name of the line. `times` is how often it was fed back."""
    from connectors.dead_letter import fixed
    from pipeline.terminal import printable

    told = letter.told
    headers = [
        one.name if one.value is None else f"{one.name}: {one.value}{_coded(one.encoding)}" for one in told.headers
    ]
    record = told.payload[:PAYLOAD_CHARS_MAX] + ("..." if told.is_cut or len(told.payload) > PAYLOAD_CHARS_MAX else "")
    rows = {
        "Reason": f"{told.reason}: {told.detail}",
        "Rejected": f"{told.rejected_at}, stage {told.stage}",
        "Came": told.came_at,
        "Id": letter.id,
        "Key": "" if told.key is None else told.key + _coded(told.key_encoding),
        "Headers": "\n".join(printable(header) for header in headers),
        "Record": record + _coded(told.payload_encoding),
        "Before": f"it had been fed back, {told.replays} times so far" if told.replays else "",
        "Fed back": f"{times} times" if times else "",
        "Stays": fixed(told),
    }
    return {name: value if name == "Headers" else printable(value) for name, value in rows.items()}


def _coded(encoding: str) -> str:
    return "" if encoding == "utf-8" else f" ({encoding})"
