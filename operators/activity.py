"""When a person did anything at all: instants, thinned so that none that could matter is lost.

A timer that starts again with each activity asks one thing: until when did activities follow each other
without a pause longer than its delay? Of three instants within the shortest delay the middle one
cannot change the answer, so it is dropped.
"""

from __future__ import annotations


def note(ticks: list[int], at: int, thin_ms: int) -> None:
    """Note an activity at `at` in the sorted `ticks`, in whatever order activities come."""
    if not ticks:
        ticks.append(at)
    elif at >= ticks[-1]:
        if len(ticks) > 1 and at - ticks[-2] <= thin_ms:
            ticks[-1] = at
        else:
            ticks.append(at)
    elif at not in ticks:
        ticks.append(at)
        ticks.sort()


def active_until(ticks: list[int], since: int, delay_ms: int) -> int:
    """Return the last of the activities that follow `since` without a pause of more than `delay_ms`."""
    active_at = since
    for tick in ticks:
        if tick > active_at + delay_ms:
            break
        active_at = max(active_at, tick)
    return active_at


def has_settled(ticks: list[int], now: int) -> bool:
    """Whether `forget` would drop any."""
    return len(ticks) > 1 and ticks[1] <= now


def forget(ticks: list[int], now: int) -> None:
    """Drop the activities that a later one, itself at or before `now`, has outlived."""
    while has_settled(ticks, now):
        del ticks[0]
