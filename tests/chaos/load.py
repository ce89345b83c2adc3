"""
The load of a chaos run, a process of its own: households live in real time and what they do goes to Kafka.

    python -m tests.chaos.load --servers HOST:PORT --topic T --rules full --rate 500 --seed 1 --log FILE
    python -m tests.chaos.load ... --burst GROUP            as fast as the group GROUP reads it, as if time flew; no log

It goes on until SIGTERM, then sends what had happened by then, and prints its counts. Every record is in the log in
the order of sending.
"""

from __future__ import annotations

import argparse
import heapq
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import BinaryIO, Final

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.chaos.lives import Sent, broken, life
from tests.chaos.rules import RULES, Rules, ms

BROKEN_SHARE: Final = 0.002
ANSWER_S: Final = 10.0
TICK_S: Final = 0.005
# A burst is at most so far ahead of its reader, who is never idle for that: it commits a second or two late.
AHEAD_MAX: Final = 100_000
BURST_STEP_MS: Final = 100


class Counts(msgspec.Struct):
    """What was sent; `last_at` is the instant of the latest event (ms)."""

    sent: int = 0
    resent: int = 0
    late: int = 0
    broken: int = 0
    last_at: int = 0


class Town:
    """Households that move in at a steady pace, and all that they have yet to send."""

    def __init__(self, seed: int, rules: Rules, rate: float, begin_at: int) -> None:
        """Send about `rate` records a second, once the first lives are over."""
        self._random, self._rules, self._seed = Random(f"town {seed}"), rules, seed
        sample = Random("sample")
        length = sum(len(life(sample, rules, "x", 0)) for _ in range(200)) / 200
        self._every_ms = 1000 * length / rate
        self._next_at, self._number = float(begin_at), 0
        self._waiting: list[tuple[int, int, Sent]] = []
        self._order = 0

    def until(self, now: int) -> Iterator[Sent]:
        """Yield what is sent up to an instant (ms), in order."""
        while self._next_at <= now:
            name = f"h{self._seed}x{self._number}"
            for sent in life(self._random, self._rules, name, int(self._next_at)):
                heapq.heappush(self._waiting, (sent.sent_at, self._order, sent))
                self._order += 1
            self._number += 1
            self._next_at += self._every_ms
            yield from self._sent(min(now, int(self._next_at)))
        yield from self._sent(now)

    def stop(self, now: int) -> int:
        """Let nothing more happen; return when the last is sent that has happened."""
        self._next_at = float("inf")
        self._waiting = [entry for entry in self._waiting if entry[2].at <= now and not entry[2].is_resent]
        heapq.heapify(self._waiting)
        return max((entry[0] for entry in self._waiting), default=now)

    def _sent(self, now: int) -> Iterator[Sent]:
        while self._waiting and self._waiting[0][0] <= now:
            yield heapq.heappop(self._waiting)[2]


class Post:
    """The producer and the log."""

    def __init__(self, servers: str, topic: str, seed: int, log: BinaryIO | None) -> None:
        """Begin to connect. Nothing is set but what a careful producer sets: idempotence, and Java's partitioner."""
        self._topic, self._log, self._random = topic, log, Random(f"broken {seed}")
        ours = {"enable.idempotence": True, "partitioner": "murmur2_random", "linger.ms": 5}
        room = {"queue.buffering.max.messages": 2_000_000, "queue.buffering.max.kbytes": 2_000_000}
        self._producer = Producer({"bootstrap.servers": servers, "log_level": 2} | ours | room)
        self.counts = Counts()

    def send(self, sent: Sent) -> None:
        """Send one record, and now and then a broken one before it."""
        counts = self.counts
        if self._random.random() < BROKEN_SHARE:
            self._put(sent.key, broken(counts.broken))
            counts.broken += 1
        self._put(sent.key, sent.line)
        counts.resent += sent.is_resent
        counts.late += sent.sent_at > sent.at and not sent.is_resent
        counts.last_at = max(counts.last_at, sent.at)

    def poll(self) -> None:
        """Let the producer work."""
        self._producer.poll(0)

    def close(self) -> None:
        """Wait until all is acknowledged."""
        left = self._producer.flush(120)
        assert not left, f"{left} records could not be sent"

    def _put(self, key: str, line: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, line, key)
                break
            except BufferError:
                self._producer.poll(0.1)
        if self._log is not None:
            self._log.write(line + b"\n")
        self.counts.sent += 1


class Told:
    """Whether SIGTERM has come."""

    def __init__(self) -> None:
        """Listen from now on."""
        self.is_over = False
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_over = True


class Reader:
    """Whoever reads a topic, as the broker knows of it."""

    def __init__(self, servers: str, topic: str, group: str) -> None:
        """Ask for the topic's partitions."""
        quiet = {"enable.auto.commit": False, "log_level": 0}
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": group} | quiet)
        partitions = self._consumer.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions
        self._places = [TopicPartition(topic, number) for number in partitions]

    def done(self) -> int:
        """Return how many records it has committed."""
        return sum(max(0, place.offset) for place in self._consumer.committed(self._places, timeout=ANSWER_S))


def live(town: Town, post: Post) -> None:
    """Send in real time until SIGTERM."""
    told = Told()
    until: float = float("inf")
    while (now := ms(time.time())) <= until:
        for sent in town.until(now):
            post.send(sent)
        post.poll()
        if told.is_over and until == float("inf"):
            until = town.stop(now) + 2 * ms(TICK_S)
        time.sleep(TICK_S)


def burst(town: Town, post: Post, reader: Reader, begin_at: int) -> None:
    """Send as fast as it is read, as if time flew, until SIGTERM."""
    told, now, done = Told(), begin_at, 0
    while not told.is_over:
        if post.counts.sent - done > AHEAD_MAX:
            time.sleep(0.1)
            done = reader.done()
        else:
            now += BURST_STEP_MS
            for sent in town.until(now):
                post.send(sent)
        post.poll()


def main(arguments: list[str]) -> int:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.load")
    for name in ("--servers", "--topic", "--rules"):
        parser.add_argument(name, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--burst", metavar="GROUP")
    options = parser.parse_args(arguments)
    begin_at = ms(time.time()) - (3_600_000 if options.burst else 0)
    town = Town(options.seed, RULES[options.rules], options.rate, begin_at)
    with (options.log or Path("/dev/null")).open("wb") as log:
        post = Post(options.servers, options.topic, options.seed, log if options.log else None)
        if options.burst:
            burst(town, post, Reader(options.servers, options.topic, options.burst), begin_at)
        else:
            live(town, post)
        post.close()
    sys.stdout.buffer.write(msgspec.json.encode(post.counts) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
