"""Requests by way of the control topic, and the answers that a running pipeline gives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer

from connectors.cloudevents import STREAMS
from connectors.formats.requests import RequestRecord
from connectors.kafka_client import Brokers, KafkaFault, assigned, made, settings
from connectors.kafka_topics import control_topic, output_topics
from operators.answer import Answer

ANSWERS: Final = "answers"
assert ANSWERS in STREAMS
# A request may have several answers, from several key groups: they come within a moment of each other.
MORE_S: Final = 1.0

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Answer).decode


def ask(servers: str, client: Mapping[str, str], prefix: str, request: RequestRecord, timeout_s: float) -> list[Answer]:
    """Send a request, and return its answers; none where nobody has answered in time.

    Raises:
        KafkaFault: no broker answers, or a topic is missing.
    """
    brokers = Brokers(servers, client)
    control, answers = control_topic(prefix).name, output_topics(prefix)[ANSWERS].name
    there = brokers.topics()
    missing = [topic for topic in (control, answers) if topic not in there]
    if missing:
        raise KafkaFault(f"{servers}: there is no topic {missing[0]}; create it with `nextmove topics create`")
    ends = brokers.ends(f"{answers}/{number}" for number in range(there[answers]))
    reading = {"group.id": f"{prefix}requests", "enable.auto.commit": False}
    consumer: Consumer = made(Consumer, settings(servers, client, brokers.on_error, **reading))
    try:
        consumer.assign([assigned(name, end) for name, end in ends.items()])
        _send(made(Producer, settings(servers, client, brokers.on_error)), control, _encode(request), timeout_s)
        return _answers(consumer, str(request.id), timeout_s)
    finally:
        consumer.close()


def _send(producer: Producer, topic: str, value: bytes, timeout_s: float) -> None:
    faults: list[str] = []
    producer.produce(topic, value, on_delivery=lambda error, _: faults.append(str(error)) if error else None)
    if producer.flush(timeout_s) or faults:
        raise KafkaFault(f"{topic}: {faults[0] if faults else 'no answer'}; the request was not sent")


def _answers(consumer: Consumer, request_id: str, timeout_s: float) -> list[Answer]:
    found: list[Answer] = []
    end_at = time.monotonic() + timeout_s
    while (left := end_at - time.monotonic()) > 0:
        message = consumer.poll(min(left, MORE_S))
        if message is None or message.error() is not None:
            continue
        try:
            answer = _decode(message.value() or b"")
        except (msgspec.DecodeError, KafkaException):
            continue  # of a later version
        if answer.request_id == request_id:
            found.append(answer)
            end_at = min(end_at, time.monotonic() + MORE_S)
    return found
