"""Recording what topics hold: each partition as it is now, up to its end as it was when that began.

No consumer group is joined and no offset committed; nothing is published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.kafka_client import Brokers
from connectors.kafka_range import between
from connectors.recorded import Recorded, Recording


def record(
    brokers: Brokers,
    client: Mapping[str, str],
    partitions: Sequence[str],
    folder: Path,
    now: int,
    tell: Callable[[int, int], None],
) -> Recording:
    """Copy partitions to a folder; `tell` hears of how many records of how many, now and then.

    Raises:
        KafkaFault: the brokers do not answer, or refuse.
    """
    starts, ends = brokers.firsts(partitions), brokers.ends(partitions)
    total = sum(ends[name] - starts[name] for name in partitions)
    recording = Recording(folder, partitions, now)
    for message in between(starts, ends, brokers, client, "nextmove-dry-run"):
        value = message.value()
        if value is None:
            continue  # a tombstone of a compacted topic says nothing of what happened
        key: Any = message.key()
        told: Any = message.headers() or []  # typed as a mapping too, which it never is when read
        offset = message.offset() or 0
        name = f"{message.topic()}/{message.partition()}"
        recording.add(name, Recorded(offset, message.timestamp()[1], key, told, value))
        tell(recording.size, total)
    recording.finish()
    return recording
