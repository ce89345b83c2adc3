"""From settings to what a run reads from, publishes to and asks: each made, and found fit, before anything flows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from config.journeys import JourneyError, book_of
from config.settings import Settings
from connectors.batches import Stop
from connectors.cloudevents import STREAMS, Encoder, MessageEncoder
from connectors.file_sink import FileSink
from connectors.file_source import FileSource, SourceOptions
from connectors.formats import event_times
from connectors.formats.others import TELEPHONES
from connectors.journal import Journal
from connectors.kafka_client import Brokers, split
from connectors.kafka_options import KafkaOptions
from connectors.kafka_outbox import SinkOptions
from connectors.kafka_part import KafkaPart
from connectors.kafka_sink import KafkaSink
from connectors.kafka_source import KafkaSource
from connectors.kafka_topics import control_topic, exchange_topic, output_topics
from connectors.recorded import RecordedSource, Recording
from connectors.redis_identity import RedisIdentity
from connectors.redis_patience import RedisRules
from operators.decision import Decider
from operators.ids import digest, murmur2
from pipeline.exchange import Former
from pipeline.parts import format_of
from pipeline.recovery import Recovery, RunError, make_folder
from pipeline.shards import ALONE, Shard, ShardError, shard_of
from pipeline.telemetry import Telemetry

Source = FileSource | RecordedSource | KafkaSource
"""What is read."""


def which_shard(settings: Settings, inputs: Sequence[str], out: Path | None) -> Shard:
    """Return which shard this is; how many slots there are is for `slots` to say.

    Raises:
        RunError: it cannot be told, or several cannot work together so.
    """
    try:
        index, count = shard_of(settings.shard)
    except ShardError as error:
        raise RunError(str(error)) from None
    if count > 1 and (inputs or out is not None):
        raise RunError(f"shard: {settings.shard}: shards read from Kafka and publish to it; leave INPUT and --out out")
    if count > 1 and not settings.identity.redis_url:
        raise RunError(f"shard: {settings.shard}: shards must know the same people; set identity.redis_url")
    return Shard(index, count, count)


def with_slots(settings: Settings, shard: Shard, state: Recovery | None, stop: Stop) -> Shard:
    """Return `shard` with as many slots as the internal topic had when the recovery folder was made, else has now.

    Raises:
        KafkaFault: no broker answers.
        RunError: there is no such topic, or it has too few partitions.
    """
    if shard.count == 1:
        return ALONE
    if state is not None and state.known is not None and state.known.slots:
        return replace(shard, slots=state.known.slots)
    topic, kafka = exchange_topic(settings.kafka.prefix).name, settings.kafka
    slots = Brokers(kafka.servers, kafka.for_librdkafka(), stop).topics_with([topic]).get(topic, 0)
    if slots < shard.count:
        raise RunError(
            f"{kafka.servers}: {topic} has {slots} partitions, but {shard.count} shards need one each at least;"
            " create it with `nextmove topics create --partitions`, as many as the topics have that are read"
        )
    return replace(shard, slots=slots)


def on_timeline(settings: Settings, shard: Shard, state: Recovery | None, store: RedisIdentity | None) -> Shard:
    """Return `shard` as one of those that share a life: it joins one once, when its recovery folder is made."""
    if shard.count == 1 or store is None or state is None:
        return shard
    if state.known is not None and not state.is_new:
        return replace(shard, timeline=state.known.timeline)
    deployment = digest(settings.kafka.prefix, shard.count, shard.slots)
    number = store.life(deployment, shard.name, state.token(), shard.count)
    return replace(shard, timeline=digest(store.store_id, deployment, number))


def journal(settings: Settings, inputs: Sequence[str], state: Recovery | None, members: int = 1) -> Journal | None:
    """Return the journal of a run that reads topics: files are read as before without one.

    Several members of a cluster have none: they go back to a checkpoint together, and nobody else has heard of them.
    """
    if inputs or state is None or members > 1:
        return None
    return Journal(state.folder, fsync=settings.checkpoint.fsync)


def former(shard: Shard, state: Recovery | None) -> Former:
    """Return what counts of that which lies between shards."""
    known = None if state is None else state.known
    return Former(shard.timeline, known.lives if known else {}, known.leftovers if known else {}, warn)


def store(settings: Settings, stop: Stop, telemetry: Telemetry) -> RedisIdentity | None:
    """Connect to the shared store of identities, where one is set."""
    identity = settings.identity
    if not identity.redis_url:
        return None
    rules = RedisRules(
        url=identity.redis_url, prefix=identity.redis_prefix, ttl_ms=identity.ttl_ms, timeout_ms=identity.timeout_ms
    )
    return RedisIdentity(rules, stop, warn, telemetry.store_asked)


def file_source(settings: Settings, inputs: Sequence[str], speed: float, stop: Stop) -> FileSource | RecordedSource:
    """Look through the files to read, or take those of a recording."""
    if isinstance(inputs, Recording):
        return RecordedSource(inputs, settings.source.batch_records, settings.source.idle_after_ms, stop)
    options = SourceOptions(
        batch_records=settings.source.batch_records,
        is_exact=settings.source.file_watermark == "exact",
        idle_after_ms=settings.source.idle_after_ms,
        record_bytes_max=settings.source.record_bytes_max,
        speed=speed,
    )
    of = format_of(settings)
    return FileSource(inputs, options, lambda raws, path: event_times(raws, format=of(path)), stop)


def _owner(settings: Settings, shard: Shard) -> Callable[[str], bool]:
    """Return whether a partition is this shard's; topics of telephone systems are read whole, for legs make calls."""
    formats, otherwise = settings.source.formats, settings.source.format

    def owns(name: str) -> bool:
        topic, _ = split(name)
        if formats.get(topic, otherwise) in TELEPHONES:
            return shard.owns_number(murmur2(topic.encode()))
        return shard.owns_partition(name)

    return owns


def kafka_source(
    settings: Settings,
    shard: Shard,
    state: Recovery | None,
    stop: Stop,
    beat: Callable[[KafkaPart], None],
    journal: Journal | None = None,
    readers: int = 1,
) -> KafkaSource:
    """Find the partitions that `shard` reads, in as many parts as there are `readers`.

    With a `journal` it begins with what that tells of.

    Where its `state` comes from several shards, one process too reads what was on its way between them.

    Raises:
        KafkaFault: no broker answers, or a topic is not there.
        RunError: what is published would be read.
    """
    kafka, exchange = settings.kafka, exchange_topic(settings.kafka.prefix).name
    is_shared = shard.count > 1 or any(split(name)[0] == exchange for name in (state.starts if state else ()))
    options = KafkaOptions(
        servers=kafka.servers,
        topics=kafka.topics,
        group=kafka.group,
        start=kafka.start_at,
        batch_records=settings.source.batch_records,
        idle_after_ms=settings.source.idle_after_ms,
        lateness_ms=settings.source.lateness_ms,
        discover_s=kafka.discover_ms / 1000,
        client=kafka.for_librdkafka(),
        internal=exchange if is_shared else "",
        control=control_topic(kafka.prefix).name,
        owns=_owner(settings, shard),
        readers=readers,
    )
    source = KafkaSource(options, stop, warn, beat, journal)
    refuse_echoes(kafka.prefix, source.partitions)
    return source


def refuse_echoes(prefix: str, partitions: Sequence[str]) -> None:
    """Look whether what is to be read is published by us.

    Raises:
        RunError: it is.
    """
    ours = {exchange_topic(prefix).name, *(topic.name for topic in output_topics(prefix).values())}
    echoes = sorted(ours & {split(name)[0] for name in partitions})
    if echoes:
        raise RunError(f"kafka.topics would read {echoes[0]}, which is published to; narrow the pattern")


def decider(settings: Settings) -> Decider:
    """Return what decides, by the rules of the settings.

    Raises:
        RunError: they cannot be used.
    """
    try:
        return Decider(book_of(settings))
    except JourneyError as error:
        raise RunError(str(error)) from None


def control(settings: Settings, requests: Path | None) -> str:
    """Return the source that has requests: a file of them, else the topic."""
    return control_topic(settings.kafka.prefix).name if requests is None else str(requests)


def outputs(
    settings: Settings, out: Path | None, state: Recovery | None, shard: Shard, stop: Stop, telemetry: Telemetry
) -> tuple[FileSink, Encoder] | tuple[KafkaSink, MessageEncoder]:
    """Return where records go, and what makes them what goes there."""
    name = settings.output.source
    if out is not None:
        make_folder(out)
        return FileSink(out, STREAMS, fsync=settings.checkpoint.fsync), Encoder(name, now)
    kafka = settings.kafka
    options = SinkOptions(
        servers=kafka.servers,
        prefix=kafka.prefix,
        compression=kafka.compression,
        linger_ms=kafka.linger_ms,
        queue_max=kafka.queue_max,
        client=kafka.for_librdkafka(),
        slots=shard.slots if shard.count > 1 else 0,
    )
    known = None if state is None else state.trigger_ends

    def owns(group: bytes, key: bytes) -> bool:
        # A visitor's trigger is a lead's business once the visitor is known. Earlier versions did not tell whose.
        return shard.owns_group(int(group) if group.isdigit() else murmur2(key) % settings.key_groups)

    sink = KafkaSink(options, known, stop, warn, telemetry.trigger_delivered, owns)
    return sink, MessageEncoder(name, now, sink.partitions)


def warn(line: str) -> None:
    """Say something to whoever operates this."""
    print(f"nextmove: {line}", file=sys.stderr, flush=True)  # noqa: T201 -- a word to whoever operates it


def now() -> int:
    """Return the instant (ms) by the wall clock."""
    return time.time_ns() // 1_000_000
