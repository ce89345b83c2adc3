"""Acts on each trigger of nextmove once: subscriber.py BROKERS TOPIC,TOPIC DATABASE GROUP NAME.

Needs confluent-kafka. What is to be done lies in the table `tasks` of an SQLite database, for whoever does it: they
take from the view `due` what may be done now, and note in `done_at` that it is done.
"""

import json
import logging
import signal
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message

log = logging.getLogger("subscriber")

TABLES = """
CREATE TABLE IF NOT EXISTS handled (trigger_id TEXT PRIMARY KEY, slot_key TEXT UNIQUE, expires_at TEXT);
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY,
    trigger_id TEXT, profile_id TEXT, action TEXT, channel TEXT, address_ref TEXT, context TEXT,
    not_before TEXT, expires_at TEXT, done_at TEXT
);
CREATE VIEW IF NOT EXISTS due AS SELECT tasks.* FROM tasks, (SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') AS now)
    WHERE done_at IS NULL AND not_before <= now AND now < expires_at;
"""
# An expired trigger is not acted upon, so its id may go. A day more, for clocks that differ.
KEPT = timedelta(days=1)

RETRACTED = "io.nextmove.trigger.retracted.v1"
OF_BOTH = ("trigger_id", "slot_key")
OF_TRIGGERS = ("profile_id", "action", "channel", "address_ref")


class Subscriber:
    """Remembers in one database, and in one transaction, what was handled and what is to be done."""

    def __init__(self, path: str) -> None:
        """Open or make the database."""
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + TABLES)

    def take(self, messages: Iterable[Message]) -> None:
        """Handle messages: all or, if the process dies, none of them."""
        now = datetime.now(UTC)
        self._database.execute("BEGIN IMMEDIATE")
        for message in messages:
            type_ = type_of(message)
            if message.value() is None:
                self._forget(message)
            elif type_.startswith("io.nextmove.nba.") and type_.endswith(".v1"):
                if (trigger := read(message, OF_TRIGGERS)) is not None:
                    self._handle(trigger, now)
            elif type_ == RETRACTED and (retraction := read(message, ())) is not None:
                self._retract(retraction)
        self._database.execute("DELETE FROM handled WHERE expires_at < ?", [text(now - KEPT)])
        self._database.execute("COMMIT")

    def _handle(self, trigger: dict[str, Any], now: datetime) -> None:
        if now >= trigger["expires_at"]:
            return
        # Neither the same once more, nor another one for the same slot: that was decided anew after a crash.
        if not self._is_new(trigger):
            return
        task = [trigger["trigger_id"], *(trigger[name] for name in OF_TRIGGERS), json.dumps(trigger["context"])]
        task += [text(instant(trigger["not_before"])), text(trigger["expires_at"])]
        self._database.execute("INSERT INTO tasks VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", task)

    def _retract(self, retraction: dict[str, Any]) -> None:
        """Take a trigger back, if it is not done; one that is yet to come is known then, and no task is made of it."""
        self._is_new(retraction)
        task = [retraction["trigger_id"]]
        self._database.execute("DELETE FROM tasks WHERE trigger_id = ? AND done_at IS NULL", task)

    def _is_new(self, told: dict[str, Any]) -> bool:
        known = (told["trigger_id"], told["slot_key"], text(told["expires_at"]))
        return self._database.execute("INSERT OR IGNORE INTO handled VALUES (?, ?, ?)", known).rowcount > 0

    def _forget(self, message: Message) -> None:
        """Forget somebody who was erased: a tombstone of the topic of profiles."""
        key = message.key() or b""
        self._database.execute("DELETE FROM tasks WHERE profile_id = ?", [key.decode(errors="replace")])


def type_of(message: Message) -> str:
    """Return the CloudEvent's type, "" where there is none."""
    headers: Any = dict(message.headers() or [])
    return (headers.get("ce_type") or b"").decode(errors="replace")


def read(message: Message, names: Iterable[str]) -> dict[str, Any] | None:
    """Return what a message says, None where that is not whole. Fields not known are let be."""
    try:
        told = json.loads(message.value() or b"")
        for name in (*OF_BOTH, *names):
            told[name].encode()  # a text, and one that a database takes
        if names:
            told["context"].keys()
            instant(told["not_before"])
        return {**told, "expires_at": instant(told["expires_at"])}
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        place = f"{message.topic()}/{message.partition()} at {message.offset()}"
        log.warning("%s is no trigger: %s: %s", place, type(error).__name__, error)
        return None


def text(at: datetime) -> str:
    """Write an instant so that the earlier one is the lesser text."""
    return at.isoformat(timespec="milliseconds")


def instant(text: str) -> datetime:
    """Read an instant; without an offset it would be none."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return found.astimezone(UTC)


def batches(consumer: Consumer) -> Iterator[list[Message]]:
    """Give messages as they come, until SIGTERM or SIGINT."""
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopped.append(number))
    while not stopped:
        messages = consumer.consume(500, timeout=0.5)
        for message in messages:
            error = message.error()
            if error is not None and not error.retriable():
                raise KafkaException(error)
        yield [message for message in messages if message.error() is None]


def main(brokers: str, topics: str, database: str, group: str, name: str) -> None:
    """Run until told to stop; of several in a group each has a name, by which it gets its partitions back."""
    subscriber = Subscriber(database)
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group,
            "group.instance.id": name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(topics.split(","))
    try:
        for messages in batches(consumer):
            if messages:
                subscriber.take(messages)
                consumer.commit(asynchronous=False)  # after, so that whoever dies in between takes them again
    finally:
        consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
