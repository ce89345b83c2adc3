"""Acts on each trigger of nextmove once: subscriber.py BROKERS TOPIC,TOPIC DATABASE GROUP NAME.

Needs confluent-kafka. What is to be done lies in the table `tasks` of an SQLite database, for whoever does it.
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
    trigger_id TEXT, profile_id TEXT, action TEXT, channel TEXT, address_ref TEXT, context TEXT
);
"""
# An expired trigger is not acted upon, so its id may go. A day more, for clocks that differ.
KEPT = timedelta(days=1)


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
            if message.value() is None:
                self._forget(message)
            elif (trigger := read(message)) is not None:
                self._handle(trigger, now)
        self._database.execute("DELETE FROM handled WHERE expires_at < ?", [(now - KEPT).isoformat()])
        self._database.execute("COMMIT")

    def _handle(self, trigger: dict[str, Any], now: datetime) -> None:
        if now >= trigger["expires_at"]:
            return
        # Neither the same once more, nor another one for the same slot: that was decided anew after a crash.
        known = (trigger["trigger_id"], trigger["slot_key"], trigger["expires_at"].isoformat())
        if self._database.execute("INSERT OR IGNORE INTO handled VALUES (?, ?, ?)", known).rowcount == 0:
            return
        names = ("trigger_id", "profile_id", "action", "channel", "address_ref")
        task = [*(trigger[name] for name in names), json.dumps(trigger["context"])]
        self._database.execute("INSERT INTO tasks VALUES (NULL, ?, ?, ?, ?, ?, ?)", task)

    def _forget(self, message: Message) -> None:
        """Forget somebody who was erased: a tombstone of the topic of profiles."""
        key = message.key() or b""
        self._database.execute("DELETE FROM tasks WHERE profile_id = ?", [key.decode(errors="replace")])


def read(message: Message) -> dict[str, Any] | None:
    """Return the trigger that a message is; None for whatever else is on the topic. Fields not known are let be."""
    headers: Any = dict(message.headers() or [])
    type_ = (headers.get("ce_type") or b"").decode(errors="replace")
    if not (type_.startswith("io.nextmove.nba.") and type_.endswith(".v1")):
        return None
    try:
        trigger = json.loads(message.value() or b"")
        for name in ("trigger_id", "slot_key", "profile_id", "action", "channel", "address_ref"):
            trigger[name].encode()  # a text, and one that a database takes
        trigger["context"].keys()
        return {**trigger, "expires_at": instant(trigger["expires_at"])}
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        place = f"{message.topic()}/{message.partition()} at {message.offset()}"
        log.warning("%s is no trigger: %s: %s", place, type(error).__name__, error)
        return None


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
