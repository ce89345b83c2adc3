"""
Two leads who turn out to be one: how the state of the younger comes to the older.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.durations import DAY, HOUR, MINUTE, SECOND
from connectors.changelog import Changelog, Rewrites
from connectors.given_folder import GivenFolder
from connectors.memory import MemoryIdentity
from operators.decision import Decider
from operators.event import FOREVER, Commerce, Event, Item, Kind
from operators.profile import ProfileOperator
from operators.profile_state import HandOver
from pipeline.key_groups import KeyGroup
from pipeline.lead_groups import LeadGroup
from pipeline.messages import Await, GroupBatch, GroupOutput, Marker
from pipeline.ports import HandOvers
from pipeline.steps import LaneStep
from tests.journeys import book
from tests.pipeline.helpers import BEGIN_AT, SMALL
from tests.pipeline.test_key_groups import told_by
from tests.story import replaced

OPERATOR: Final = ProfileOperator(SMALL.lead_rules(), Decider(book()))
GAP_MS: Final = 30 * MINUTE
LINKED_AT: Final = 7
"""What the store's clock was with the link."""


def leads(store: HandOvers, folder: Path | None = None, resume: bytes | None = None, number: int = 0) -> LeadGroup:
    """
    A key group of leads.
    """
    changelog = None if folder is None else Changelog(folder, f"group-{number}", Rewrites(), fsync=False)
    return LeadGroup(number, OPERATOR, changelog, resume, store)


def event(after_ms: int, key: str, kind: Kind = "page_viewed", mark: int = -1) -> Event:
    """
    Something that a lead does on a device of its own.
    """
    items = (Item("kettle", 1.0, 40.0),) if kind in ("product_added", "order_completed") else ()
    made = Event(kind, BEGIN_AT + after_ms, f"{key}-{kind}-{after_ms}", "web", key, key)
    commerce = Commerce(items, order_id="o-1" if kind == "order_completed" else "") if items else None
    return replaced(made, profile_id=key, commerce=commerce, mark=mark)


def share(items: Iterable[Any] = (), mark: int | None = None, clock: int = FOREVER) -> GroupBatch:
    """
    A batch, with a marker if there is a mark.
    """
    marker = None if mark is None else Marker(mark, mark, mark if mark < FOREVER else -1, clock)
    return GroupBatch(0, 1, 1, list(items), [], marker)


def merging(after_ms: int, loser: str = "younger", lead: str = "older") -> HandOver:
    """
    One lead becomes another.
    """
    return HandOver(loser, "", lead, BEGIN_AT + after_ms, "merge", 0, LINKED_AT)


def states(host: KeyGroup) -> set[str]:
    """
    Of whom a group has a state.
    """
    gone = {key for key, state in host.states.hot.items() if state is None}
    return {*host.states.hot, *host.states.warm, *host.states.rest} - gone


def test_the_younger_lead_stays_until_nothing_can_come_for_it_any_more() -> None:
    """
    Another shard may have read an event of it before it could know; that is taken in, and goes along.
    """
    store = MemoryIdentity()
    here, there = leads(store), leads(store)
    here.take(share([event(0, "younger"), merging(SECOND)], BEGIN_AT, clock=LINKED_AT - 1))
    there.take(share([event(SECOND, "older"), Await(merging(SECOND))], BEGIN_AT, clock=LINKED_AT - 1))
    assert states(here) == {"younger"}

    here.take(share([event(500, "younger", "product_added")], BEGIN_AT, clock=LINKED_AT))
    assert states(here) == set()

    told = told_by(there.take(share([event(MINUTE, "older", "order_completed")], BEGIN_AT + DAY)))
    assert [what for what, _ in told if what.startswith("carts")] == ["carts open", "carts purchased"]


def test_nothing_is_decided_while_two_leads_become_one() -> None:
    """
    Both carts are due while the state is on its way; the order that came before that buys them.
    """
    store = MemoryIdentity()
    here, there = leads(store), leads(store)
    due_at, early = BEGIN_AT + GAP_MS, LINKED_AT - 1
    first = [event(0, "younger", "product_added"), merging(SECOND)]
    second = [event(0, "older", "product_added"), Await(merging(SECOND))]
    second.append(event(GAP_MS - 1, "older", "order_completed"))

    outputs = [here.take(share(first, BEGIN_AT, early)), there.take(share(second, BEGIN_AT, early))]
    assert [output.waiting for output in outputs] == [0, 1]
    outputs += [
        host.take(share(mark=due_at + HOUR, clock=clock)) for clock in (early, LINKED_AT) for host in (here, there)
    ]

    assert sum(output.waiting for output in outputs) == 0
    told = [what for what, _ in told_by(*outputs) if what.startswith(("carts", "suppressed"))]
    assert sorted(told) == ["carts open", "carts open", "carts purchased", "carts purchased"]


@given(pauses=st.lists(st.integers(0, 45), min_size=1, max_size=6), kept=st.integers(0, 6))
def test_it_makes_no_difference_how_long_the_state_takes(pauses: list[int], kept: int) -> None:
    """
    What comes for the lead meanwhile is worked off as it would have been at once: timers at their instants, each event
    after those that its mark lets fire.
    """
    told: list[list[tuple[str, str]]] = []
    for is_late in (False, True):
        store = MemoryIdentity()
        here, there = leads(store), leads(store)
        handover, at = merging(SECOND), 2 * SECOND
        here.take(share([event(0, "younger", "product_added"), handover], BEGIN_AT, LINKED_AT - 1))
        outputs: list[GroupOutput] = [there.take(share([event(0, "older"), Await(handover)]))]
        for number, pause in enumerate(pauses):
            if number == (kept if is_late else 0):
                here.take(share(mark=BEGIN_AT, clock=LINKED_AT))
            kind: Kind = "product_added" if number % 2 else "page_viewed"
            at += pause * MINUTE
            outputs.append(there.take(share([event(at, "older", kind, mark=BEGIN_AT + at - SECOND)])))
        here.take(share(mark=BEGIN_AT, clock=LINKED_AT))
        outputs.append(there.take(share(mark=BEGIN_AT + DAY)))
        told.append(told_by(*outputs))
    assert told[0] == told[1]


def test_a_state_that_has_been_given_can_be_taken_after_a_crash(tmp_path: Path) -> None:
    """
    The younger lead's group has let it go, the older one's dies before it has kept it.
    """
    store = GivenFolder(tmp_path / "given", fsync=False)
    here, there = leads(store, tmp_path, number=1), leads(store, tmp_path, number=2)
    there.take(share([event(0, "older", "product_viewed"), Await(merging(SECOND))], BEGIN_AT))
    checkpoint = there.snapshot()
    here.take(share([event(0, "younger", "product_added"), merging(SECOND)], BEGIN_AT))
    there.take(share(mark=BEGIN_AT + MINUTE))
    assert (states(here), states(there)) == (set(), {"older"})

    resumed = leads(GivenFolder(tmp_path / "given", fsync=False), tmp_path, checkpoint, number=2)
    told = told_by(resumed.take(share(mark=BEGIN_AT + DAY)))
    assert [what for what, _ in told if what.startswith("carts")] == ["carts open", "carts abandoned"]


def test_what_is_put_aside_and_who_is_leaving_is_in_the_checkpoint(tmp_path: Path) -> None:
    """
    A crash while both wait changes nothing of what becomes of them.
    """
    told = []
    for is_cut in (False, True):
        store, folder = MemoryIdentity(), tmp_path / str(is_cut)
        folder.mkdir()
        hosts = [leads(store, folder, number=number) for number in (1, 2)]
        outputs = [hosts[0].take(share([event(0, "younger", "product_added"), merging(SECOND)], BEGIN_AT, 0))]
        waiting = [Await(merging(SECOND)), event(MINUTE, "older"), event(HOUR, "older", "order_completed")]
        outputs.append(hosts[1].take(share(waiting, BEGIN_AT, 0)))
        if is_cut:
            hosts = [leads(store, folder, host.snapshot(), number=host.number) for host in hosts]
        outputs += [host.take(share(mark=BEGIN_AT + DAY)) for host in hosts]
        told.append(told_by(*outputs))
    assert told[0] == told[1]
    assert "carts recovered" in [what for what, _ in told[0]]


def test_a_lead_who_waits_may_become_another_one() -> None:
    """
    First what has queued up for it is worked off, as it would have been at once; then it goes: three are one at last.
    """
    store = MemoryIdentity()
    first, second, third = (leads(store) for _ in range(3))
    one, other = merging(SECOND, "first", "second"), merging(2 * HOUR, "second", "third")
    outputs = [third.take(share([Await(other), event(2 * HOUR, "third", "order_completed")], BEGIN_AT))]
    outputs.append(second.take(share([Await(one), event(HOUR, "second", "product_added"), other], BEGIN_AT)))
    assert (states(second), [output.waiting for output in outputs]) == (set(), [1, 1])

    outputs = [host.take(share([], BEGIN_AT + DAY)) for host in (third, second)]
    first.take(share([event(0, "first", "product_added"), one], BEGIN_AT))
    outputs += [host.take(share([], BEGIN_AT + DAY)) for host in (second, third)]

    assert (states(first), states(second), states(third)) == (set(), set(), {"third"})
    carts = [(what, at) for what, at in told_by(*outputs) if what.startswith("carts")]
    assert [what for what, _ in carts] == ["carts open", "carts abandoned", "carts open", "carts abandoned"] + [
        "carts recovered"
    ] * 2


def test_at_the_end_of_the_input_nobody_is_left_waiting() -> None:
    """
    In whatever order the groups are told the end of time, and though one lead waits for another one that waits itself:
    what is due is told at the end.
    """
    store, lanes = MemoryIdentity(), list[LaneStep]()
    steps = [LaneStep(lambda number, _: leads(store, number=number), None, lanes=lanes) for _ in range(3)]
    one, other = merging(SECOND, "first", "second"), merging(2 * SECOND, "second", "third")
    steps[0].on_batch([[share([event(0, "third"), Await(other)], FOREVER)]])
    steps[1].on_batch([[share([event(0, "second"), Await(one), other], FOREVER)]])
    steps[2].on_batch([[share([event(0, "first", "product_added"), one], FOREVER)]])

    told = told_by(*(output for step in steps for outputs in step.on_eof()[0] for output in outputs))

    assert [what for what, _ in told if what.startswith("carts")] == ["carts open", "carts abandoned"]


def test_what_never_comes_is_waited_for_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Another process has not given it when the input has ended: after a while the run ends, and the next one waits on.
    """
    monkeypatch.setattr("pipeline.steps.GIVEN_S_MAX", 0.1)
    store = MemoryIdentity()
    step = LaneStep(lambda number, resume: leads(store, tmp_path, resume, number), None)
    step.on_batch([[share([event(0, "older", "product_added"), Await(merging(SECOND))], FOREVER)]])
    outputs = [output for outputs in step.on_eof()[0] for output in outputs]
    assert told_by(*outputs) == []

    resumed = LaneStep(lambda number, resume: leads(store, tmp_path, resume, number), step.snapshot())
    leads(store).take(share([merging(SECOND)], BEGIN_AT))
    told = told_by(*next(iter(resumed.on_batch([[share(mark=BEGIN_AT + DAY)]])[0])))
    assert "carts abandoned" in [what for what, _ in told]
