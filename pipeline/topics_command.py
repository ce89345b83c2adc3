"""The command that looks after Kafka topics: `nextmove topics create`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pipeline.state_command import FILE


@click.group()
def topics() -> None:
    """Look after the Kafka topics that are read and published to."""


@topics.command(
    epilog="""\b
Examples:
  nextmove topics create --config prod.yaml
  nextmove topics create --config prod.yaml --partitions 12 --replication 3"""
)
@click.option("--config", type=FILE, help="Settings in YAML: kafka.servers and kafka.prefix.")
@click.option("--partitions", type=click.IntRange(1, 10_000), default=8, show_default=True, help="Of each new topic.")
@click.option(
    "--replication", type=click.IntRange(-1, 100), default=-1, show_default=True, help="Copies; -1: as the brokers say."
)
def create(config: Path | None, partitions: int, replication: int) -> None:
    """Create what is missing, and check what is there."""
    from connectors import kafka_topics
    from connectors.kafka_client import Brokers
    from pipeline.loading import load

    settings = load(config, os.environ)
    if not settings.kafka.servers:
        raise click.UsageError("set kafka.servers in the settings, or NEXTMOVE_KAFKA_SERVERS")
    wanted = kafka_topics.output_topics(settings.kafka.prefix)
    wanted |= {kafka_topics.EXCHANGE: kafka_topics.exchange_topic(settings.kafka.prefix)}
    control = kafka_topics.control_topic(settings.kafka.prefix)
    read = [kafka_topics.Topic(name, is_compacted=False) for name in settings.kafka.topics if not name.startswith("^")]
    brokers = Brokers(settings.kafka.servers, settings.kafka.for_librdkafka())
    made = kafka_topics.create(brokers, [*read, *wanted.values()], partitions, replication)
    made += kafka_topics.create(brokers, [control], 1, replication)
    kafka_topics.checked(brokers, wanted)
    for topic in [*read, control, *wanted.values()]:
        click.echo(f"{topic.name}  {'created' if topic.name in made else 'was there'}")
