"""
Partitions and the least of their marks.
"""

from typing import Any, Final

from config.durations import HOUR, MINUTE, SECOND
from connectors.batches import RawBatch
from operators.event import FOREVER
from operators.rules import TimeRules
from pipeline.messages import Marker
from pipeline.watermark import EMPTY, Watermark, channel

BEGIN_AT: Final = 1_700_000_000_000
RULES: Final = TimeRules(lateness_ms=30 * SECOND, live_within_ms=HOUR)


def told(time: Watermark, partition: str, mark: int, **more: Any) -> int:  # noqa: ANN401 -- what a batch has
    """Let a batch of a partition end at a mark, and return what is reached."""
    time.advance(RawBatch(partition, [], **more), mark, mark)
    return time.reached


def test_the_least_of_all_marks_is_reached() -> None:
    """
    Nothing is complete before each partition has been heard of; then as much as the slowest of them.
    """
    time = Watermark(["part", "other"], RULES)

    assert told(time, "part", BEGIN_AT + HOUR) == -1
    assert told(time, "other", BEGIN_AT) == BEGIN_AT
    assert told(time, "other", BEGIN_AT + MINUTE) == BEGIN_AT + MINUTE
    assert told(time, "other", BEGIN_AT + 2 * HOUR) == BEGIN_AT + HOUR


def test_a_partition_that_has_ended_holds_nobody_up() -> None:
    """
    The end of the last one is the end of time.
    """
    time = Watermark(["part", "other"], RULES)

    assert told(time, "part", BEGIN_AT, complete=FOREVER) == -1
    assert told(time, "other", BEGIN_AT) == BEGIN_AT
    assert told(time, "other", BEGIN_AT, complete=FOREVER) == FOREVER


def test_a_partition_that_is_added_is_waited_for_from_its_first_batch_on() -> None:
    """
    What had been reached before stays reached.
    """
    time = Watermark(["part"], RULES)

    assert told(time, "part", BEGIN_AT) == BEGIN_AT
    assert told(time, "added", BEGIN_AT - HOUR) == BEGIN_AT
    assert told(time, "part", BEGIN_AT + HOUR) == BEGIN_AT
    assert told(time, "added", BEGIN_AT + MINUTE) == BEGIN_AT + MINUTE


def test_a_partition_keeps_its_mark_through_a_resume() -> None:
    """
    What one had said before the checkpoint still holds, and what was not heard of yet is still waited for.
    """
    before = Watermark(["part", "other"], RULES)
    told(before, "part", BEGIN_AT + HOUR)
    time = Watermark(["part", "other"], RULES)
    time.resume(dict(before.marks), dict(before.tops))

    assert time.reached == -1
    assert told(time, "other", BEGIN_AT) == BEGIN_AT
    assert time.top_at == BEGIN_AT + HOUR


def test_a_partition_that_is_not_read_here_any_more_holds_nobody_up() -> None:
    """
    What a savepoint says of a partition that another shard goes on with, or that is gone, is forgotten.
    """
    time = Watermark(["part"], RULES)
    time.resume({"part": BEGIN_AT, "other": -1}, {"part": BEGIN_AT, "other": BEGIN_AT + HOUR})

    assert time.reached == BEGIN_AT
    assert (time.marks, time.tops) == ({"part": BEGIN_AT}, {"part": BEGIN_AT})


def test_what_shards_of_a_former_life_have_sent_is_waited_for() -> None:
    """
    Time stands still until the internal topic has been read up to where they had written; once, also after a crash.
    """
    time = Watermark(["part"], RULES, leftovers={"exchange/0": 7})
    time.resume({"part": BEGIN_AT}, {"part": BEGIN_AT})

    time.received("exchange/0", 6)
    assert told(time, "part", BEGIN_AT + MINUTE) == -1
    time.received("exchange/0", 7)
    assert time.reached == BEGIN_AT + MINUTE

    after = Watermark(["part"], RULES, leftovers={"exchange/0": 7})
    after.resume(dict(time.marks), dict(time.tops))
    assert after.reached == BEGIN_AT + MINUTE


def test_the_instant_of_an_event_takes_the_others_into_account() -> None:
    """
    Within a batch its own partition goes on, and all together do so as far as the others have come.
    """
    time = Watermark(["part", "other"], RULES)
    told(time, "part", BEGIN_AT)
    told(time, "other", BEGIN_AT + MINUTE)

    others = time.others("part")

    assert others == BEGIN_AT + MINUTE
    assert time.at(BEGIN_AT + SECOND, others) == BEGIN_AT + SECOND
    assert time.at(BEGIN_AT + HOUR, others) == BEGIN_AT + MINUTE
    assert time.at(-1, others) == BEGIN_AT


def test_a_shard_without_any_event_holds_nobody_up() -> None:
    """
    Nor does it outrun anybody: where nobody has any, time does not move.
    """
    time = Watermark(["part"], RULES, [channel(1, 0)], 10 * SECOND)
    idle = RawBatch("part", [], read_at=BEGIN_AT, idle_ms=SECOND)
    time.live(BEGIN_AT)
    time.advance(idle, -1, -1)

    assert (time.own_reached, time.reached) == (EMPTY, -1)
    time.hear(1, 0, Marker(EMPTY, EMPTY, -1), is_first=True)
    time.hear(1, 0, Marker(EMPTY, EMPTY, -1), is_first=False)
    assert (time.reached, time.leads_reached) == (-1, -1)
    time.hear(1, 0, Marker(BEGIN_AT, BEGIN_AT, BEGIN_AT), is_first=True)
    time.hear(1, 0, Marker(BEGIN_AT - SECOND, BEGIN_AT, BEGIN_AT), is_first=False)
    assert (time.reached, time.leads_reached, time.top_at) == (BEGIN_AT, BEGIN_AT - SECOND, BEGIN_AT)


def test_a_partition_without_any_event_whose_leader_goes_is_waited_for() -> None:
    """
    It holds nobody up while it is said to be empty; its first events are not late (simulation, seed 1539).
    """
    time = Watermark(["part", "other"], RULES)
    idle = RawBatch("other", [], read_at=BEGIN_AT, idle_ms=SECOND)
    told(time, "part", BEGIN_AT)
    for minutes in (1, 2):
        time.advance(idle, -1, -1)
        time.marked()
        assert told(time, "part", BEGIN_AT + minutes * MINUTE) == BEGIN_AT + minutes * MINUTE

    time.marked()
    assert told(time, "part", BEGIN_AT + HOUR) == BEGIN_AT + 2 * MINUTE
    time.advance(idle, -1, -1)
    assert time.reached == BEGIN_AT + HOUR


def test_empty_partitions_of_several_readers_hold_nobody_up() -> None:
    """
    Each reader gives markers of its own and speaks for its own partitions; one that falls silent is waited for.
    """
    time = Watermark(["part", "one", "two", "three"], RULES, readers=3)
    idles = [RawBatch(name, [], read_at=BEGIN_AT, idle_ms=SECOND) for name in ("one", "two", "three")]
    for idle in idles:
        time.advance(idle, -1, -1)
        time.marked()
    for minutes, idle in enumerate([*idles, *idles]):
        time.advance(idle, -1, -1)
        assert told(time, "part", BEGIN_AT + minutes * MINUTE) == BEGIN_AT + minutes * MINUTE
        time.marked()

    for _ in range(2):
        for idle in idles[:2]:
            time.advance(idle, -1, -1)
            time.marked()
    assert told(time, "part", BEGIN_AT + HOUR) == BEGIN_AT + 5 * MINUTE


def test_a_shard_that_has_gone_before_its_first_event_is_waited_for() -> None:
    """
    It said that it had none, so time went on to there; what it reads when it is back is not late (simulation, seed
    1016).
    """
    time = Watermark(["part"], RULES, [channel(1, 0), channel(1, 1)], 10 * SECOND)
    time.live(BEGIN_AT)
    told(time, "part", BEGIN_AT)
    for slot in (0, 1, 0, 1):
        time.hear(1, slot, Marker(EMPTY, EMPTY, -1), is_first=True)
        time.hear(1, slot, Marker(EMPTY, EMPTY, -1), is_first=False)
    assert time.leads_reached == BEGIN_AT

    told(time, "part", BEGIN_AT + MINUTE)
    assert time.leads_reached == BEGIN_AT
    time.hear(1, 0, Marker(EMPTY, EMPTY, -1), is_first=True)
    time.hear(1, 0, Marker(EMPTY, EMPTY, -1), is_first=False)
    assert time.leads_reached == BEGIN_AT
    time.hear(1, 1, Marker(EMPTY, EMPTY, -1), is_first=True)
    time.hear(1, 1, Marker(EMPTY, EMPTY, -1), is_first=False)
    assert time.leads_reached == BEGIN_AT + MINUTE


def test_visitors_do_not_wait_for_a_shard_that_is_silent() -> None:
    """
    Not after their patience has come to its end; leads do, and visitors again once it speaks.
    """
    time = Watermark(["part"], RULES, [channel(1, 0)], 10 * SECOND)
    time.live(BEGIN_AT)
    time.hear(1, 0, Marker(BEGIN_AT, BEGIN_AT, -1), is_first=True)
    time.hear(1, 0, Marker(BEGIN_AT, BEGIN_AT, -1), is_first=False)
    told(time, "part", BEGIN_AT + HOUR)

    time.live(BEGIN_AT + 10 * SECOND)
    assert time.reached == BEGIN_AT
    time.live(BEGIN_AT + 10 * SECOND + 1)
    assert (time.reached, time.leads_reached) == (BEGIN_AT + HOUR, BEGIN_AT)
    time.hear(1, 0, Marker(BEGIN_AT + MINUTE, BEGIN_AT, -1), is_first=True)
    assert (time.through, time.others("part")) == (BEGIN_AT + MINUTE, BEGIN_AT + MINUTE)
