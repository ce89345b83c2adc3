"""
The Kafka sink against a real broker: what a consumer sees of records and triggers, after crashes too.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]  # it has them

from connectors import kafka_outbox
from connectors.cloudevents import Message, MessageEncoder
from connectors.kafka_client import Brokers, KafkaFault
from connectors.kafka_outbox import SinkOptions
from connectors.kafka_sink import KafkaSink, header
from connectors.kafka_topics import create, output_topics
from operators.ids import murmur2
from operators.trigger import Factors, Retraction, RuleRef, Trigger, cause
from tests.services.kafka import KafkaServer

WAIT_S: Final = 30.0
NOW_MS: Final = 1_795_381_000_000
GROUP: Final = 7
RULE: Final = RuleRef("cart_email", 1, "0f")


@pytest.fixture
def options(kafka: KafkaServer) -> SinkOptions:
    """A sink with topics of its own."""
    options = SinkOptions(
        servers=kafka.bootstrap_servers,
        prefix=f"{uuid4().hex[:12]}.",
        compression="lz4",
        linger_ms=0,
        queue_max=10_000,
        client={},
    )
    create(Brokers(options.servers, {}), list(output_topics(options.prefix).values()), 3, 1)
    return options


def opened(
    options: SinkOptions,
    known: Mapping[str, int] | None = None,
    told: list[str] | None = None,
    owns: Callable[[bytes, bytes], bool] = lambda _group, _key: True,
) -> KafkaSink:
    return KafkaSink(options, known, threading.Event(), print if told is None else told.append, owns=owns)


def trigger(number: int, profile: str = "mara") -> Trigger:
    return Trigger(
        trigger_id=f"trigger-{number}",
        slot_key="slot",
        profile_id=profile,
        anonymous_ids=["a1"],
        action="cart_abandoned",
        family="cart",
        channel="email",
        address_ref="email:1",
        cause=cause("cart.timer", "cart-1", NOW_MS),
        context={"value": 10},
        priority=Factors(1.0, 1.0, 1.0, 1.0, 1.0),
        rule=RULE,
        assignment="a1",
        variant="",
        channels={"email": ""},
        not_before="2026-11-22T20:56:40.000Z",
        expires_at="2026-11-23T00:00:00.000Z",
    )


def retraction(number: int) -> Retraction:
    return Retraction(
        trigger_id=f"trigger-{number}",
        slot_key="slot",
        profile_id="mara",
        action="cart_abandoned",
        family="cart",
        channel="email",
        reason="purchased",
        cause=cause("order_completed", "order-1", NOW_MS + 1_000, "e1"),
        expires_at="2026-11-23T00:00:00.000Z",
        rule=RULE,
    )


def encoded(sink: KafkaSink, *records: Any) -> dict[str, list[Message]]:  # noqa: ANN401 -- records of any stream
    return MessageEncoder("/test", lambda: NOW_MS, sink.partitions).encode([(GROUP, list(records))])


def publish(sink: KafkaSink, *triggers: Trigger | Retraction, resume: int | None = None) -> int:
    """Publish triggers, all of one profile, through one part; return its snapshot."""
    parts = encoded(sink, *triggers)
    (name,) = parts
    part = sink.build_part("sink", name, resume)
    part.write_batch([parts[name]])
    return part.snapshot()


def consumed(options: SinkOptions, stream: str) -> list[KafkaMessage]:
    """All that a plain consumer finds in a topic."""
    topic = output_topics(options.prefix)[stream].name
    consumer = Consumer({"bootstrap.servers": options.servers, "group.id": uuid4().hex})
    found: list[KafkaMessage] = []
    for partition in range(Brokers(options.servers, {}).topics()[topic]):
        high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=WAIT_S)[1]
        consumer.assign([TopicPartition(topic, partition, 0)])
        mine: list[KafkaMessage] = []
        deadline = time.monotonic() + WAIT_S
        while len(mine) < high:
            assert time.monotonic() < deadline
            mine += [message for message in consumer.consume(1_000, 0.1) if message.error() is None]
        found += mine
    consumer.close()
    return found


def ids(options: SinkOptions) -> list[str]:
    return [header(message, "ce_id").decode() for message in consumed(options, "triggers.cart")]


def test_a_trigger_is_a_cloudevent_in_binary_mode_where_its_profile_belongs(options: SinkOptions) -> None:
    """
    Attributes are headers, data is the value, the key is the profile, and the partition is Kafka's own hash of it.
    """
    publish(opened(options), trigger(1))
    (message,) = consumed(options, "triggers.cart")
    assert message.key() == b"mara"
    assert message.partition() == murmur2(b"mara") % 3
    assert {name: header(message, name).decode() for name in (*dict(message.headers() or []),)} == {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_source": "/test",
        "ce_id": "trigger-1",
        "ce_type": "io.nextmove.nba.cart_abandoned.v1",
        "ce_dataschema": "urn:nextmove:trigger.v1",
        "ce_subject": "mara",
        "ce_partitionkey": "mara",
        "ce_time": "2026-11-22T20:56:40.000Z",
        "ce_expirytime": "2026-11-23T00:00:00.000Z",
        "nextmove-group": "7",
    }
    value = message.value()
    assert value is not None
    assert b'"trigger_id":"trigger-1"' in value


def test_other_records_are_put_where_java_would_put_them(options: SinkOptions) -> None:
    """
    A consumer that joins carts with triggers by profile finds both in partitions of one number.
    """
    sink = opened(options)
    messages = [Message(key, b"{}", [], key.decode()) for key in (b"mara", b"jonas", b"lead-18cc54cc")]
    part = sink.build_part("sink", "carts", None)
    part.write_batch([messages])
    part.snapshot()
    found = {message.key(): message.partition() for message in consumed(options, "carts")}
    assert found == {key: murmur2(key) % 3 for key in (b"mara", b"jonas", b"lead-18cc54cc")}


def test_what_a_dead_run_has_published_is_left_out(options: SinkOptions) -> None:
    """
    Killed after publishing and before its checkpoint: the replay's triggers are published once in all.
    """
    first = opened(options)
    saved = publish(first, trigger(1))
    publish(first, trigger(2), trigger(3), resume=saved)
    publish(opened(options, first.ends), trigger(2), trigger(3), trigger(4), resume=saved)
    assert ids(options) == ["trigger-1", "trigger-2", "trigger-3", "trigger-4"]


def test_what_takes_a_trigger_back_is_there_once_behind_it(options: SinkOptions) -> None:
    """
    In its family's topic, in its profile's partition, with a crash in between; of the two only the trigger has a
    latency.
    """
    observed: list[str] = []
    sink = KafkaSink(options, None, threading.Event(), print, lambda family, _seconds: observed.append(family))
    saved = publish(sink, trigger(1))
    publish(sink, retraction(1), resume=saved)
    publish(opened(options, sink.ends), retraction(1), trigger(2), resume=saved)
    assert ids(options) == ["trigger-1", "trigger-1/retracted", "trigger-2"]
    _, message, _ = consumed(options, "triggers.cart")
    names = ("ce_type", "ce_dataschema", "ce_time", "ce_expirytime", "nextmove-group")
    assert [header(message, name).decode() for name in names] == [
        "io.nextmove.trigger.retracted.v1",
        "urn:nextmove:trigger.retracted.v1",
        "2026-11-22T20:56:41.000Z",
        "2026-11-23T00:00:00.000Z",
        "7",
    ]
    assert (message.key(), message.partition()) == (b"mara", murmur2(b"mara") % 3)
    assert observed == ["cart"]


@pytest.mark.parametrize(("mine", "published"), [(GROUP, 1), (8, 2)])
def test_who_decided_a_trigger_knows_it_again(options: SinkOptions, mine: int, published: int) -> None:
    """
    Of several shards that one leaves out what a dead run has published whose key group decided it, whoever has that
    of its key: a visitor's trigger is decided by the lead's group once the visitor is one. No other waits for it.
    """
    sink = opened(options)
    publish(sink, trigger(1))
    again = opened(options, dict.fromkeys(sink.ends, 0), owns=lambda group, _key: group == b"%d" % mine)
    assert publish(again, trigger(1)) == published
    assert ids(options) == ["trigger-1"] * published


def test_without_a_checkpoint_the_folders_beginning_counts(options: SinkOptions) -> None:
    """
    Killed before its first checkpoint: what is older than the recovery folder is not this run's.
    """
    publish(opened(options), trigger(1))
    first = opened(options)
    publish(first, trigger(2))
    publish(opened(options, first.ends), trigger(2), trigger(1))
    assert ids(options) == ["trigger-1", "trigger-2", "trigger-1"]


def test_a_second_crash_within_the_replay_is_survived(options: SinkOptions) -> None:
    """
    As long as the replay has not come upon all, the snapshot stays before the first that is missing.
    """
    first = opened(options)
    publish(first, trigger(1), trigger(2), trigger(3))
    saved = publish(opened(options, first.ends), trigger(1))
    publish(opened(options, first.ends), trigger(2), trigger(3), trigger(4), resume=saved)
    assert ids(options) == ["trigger-1", "trigger-2", "trigger-3", "trigger-4"]


def test_a_topic_that_lost_what_was_published_is_refused(options: SinkOptions) -> None:
    """
    Deleted and made anew, or cut: nobody can tell any more what has been sent.
    """
    sink = opened(options)
    with pytest.raises(KafkaFault, match="7 triggers were published to it, but it has 0; restore the topic"):
        publish(sink, trigger(1), resume=7)


def test_added_partitions_wait_for_a_new_folder(options: SinkOptions, kafka: KafkaServer) -> None:
    """
    A profile keeps its partition, for there its triggers of the lost epoch are looked for.
    """
    first = opened(options)
    topic = output_topics(options.prefix)["triggers.cart"].name
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for made in admin.create_partitions([NewPartitions(topic, 7)]).values():
        made.result(WAIT_S)
    told: list[str] = []
    deadline = time.monotonic() + WAIT_S
    while not told:
        assert time.monotonic() < deadline
        again = opened(options, first.ends, told)
        assert again.partitions["cart"] == 3
    assert told == [f"{topic} has 4 new partitions; they are used from a new recovery folder on"]


def test_a_missing_topic_is_named_with_its_cure(options: SinkOptions) -> None:
    with pytest.raises(KafkaFault, match=r"there is no topic none\..*; create what is missing with `nextmove topics"):
        opened(SinkOptions(**{**_fields(options), "prefix": "none."}))


@pytest.mark.parametrize(("stream", "policy"), [("profiles", "delete"), ("triggers.cart", "compact")])
def test_a_topic_that_is_cleaned_up_wrongly_is_refused(
    options: SinkOptions, kafka: KafkaServer, stream: str, policy: str
) -> None:
    """
    Profiles must be compacted, triggers must not: later ones would wipe out earlier ones.
    """
    prefix = f"{uuid4().hex[:12]}."
    topics = output_topics(prefix)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    wrong = NewTopic(topics[stream].name, 1, 1, config={"cleanup.policy": policy})
    for made in admin.create_topics([wrong]).values():
        made.result(WAIT_S)
    create(Brokers(options.servers, {}), list(topics.values()), 1, 1)
    with pytest.raises(KafkaFault, match=f"{topics[stream].name} has cleanup.policy={policy}, but "):
        opened(SinkOptions(**{**_fields(options), "prefix": prefix}))


def test_a_record_that_no_topic_takes_is_a_dead_letter(options: SinkOptions) -> None:
    """
    Otherwise the flow would stop at it for ever.
    """
    sink = opened(options)
    large = trigger(1)
    large.context["lines"] = "x" * 1_000_000
    parts = encoded(sink, large, trigger(2))
    assert sorted(parts) == ["dead_letters", f"triggers.cart/{murmur2(b'mara') % 3}"]
    part = sink.build_part("sink", "dead_letters", None)
    part.write_batch([parts["dead_letters"]])
    part.snapshot()
    (message,) = consumed(options, "dead_letters")
    assert header(message, "ce_type") == b"io.nextmove.dead_letter.too_large.v1"


def test_records_wait_for_a_broker_that_is_away(
    options: SinkOptions, kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Killed with records on their way: they are there once when it is back, and both are told.
    """
    monkeypatch.setattr(kafka_outbox, "LONG_S", 0.5)
    told: list[str] = []
    sink = opened(options, told=told)
    (first,) = encoded(sink, trigger(1)).items()
    part = sink.build_part("sink", first[0], None)  # now: it asks the broker what is there, and would wait for it
    part.write_batch([first[1]])
    part.snapshot()
    told.clear()  # on a busy machine the first acknowledgement takes long too
    kafka.kill()
    threading.Timer(2.0, kafka.start).start()
    part.write_batch(list(encoded(sink, trigger(2)).values()))
    part.snapshot()
    assert ids(options) == ["trigger-1", "trigger-2"]
    assert [line.partition(": ")[2] for line in told] == [
        "no broker takes records; waiting for Kafka",
        "Kafka takes records again",
    ]


def test_a_run_that_is_told_to_stop_does_not_wait_for_ever(options: SinkOptions, kafka: KafkaServer) -> None:
    """
    It ends within ten seconds, without a checkpoint, and says so.
    """
    stop = threading.Event()
    sink = KafkaSink(options, None, stop, print)
    ((name, messages),) = encoded(sink, trigger(1)).items()
    part = sink.build_part("sink", name, None)
    kafka.pause()
    part.write_batch([messages])
    stop.set()
    began_at = time.monotonic()
    with pytest.raises(KafkaFault, match="stopped while no broker took records; the next run goes on"):
        part.snapshot()
    assert time.monotonic() - began_at < 10


def _fields(options: SinkOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__struct_fields__}
