"""
Requests where there are several shards: what one has read, another one keeps, and a third one is asked to forget.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from config.durations import MINUTE
from connectors.batches import RawBatch
from connectors.journal import Journal
from connectors.kafka_topics import EXCHANGE
from operators.event import FOREVER, Event
from pipeline.deal import Dealer
from pipeline.shards import Shard
from tests.pipeline.helpers import BEGIN_AT, Chain
from tests.pipeline.test_shards import GROUPS, KEYED, ROUNDS
from tests.simulation.store import SharedStore, SimulatedIdentity

CONTROL: Final = "cx.control.v1"
ASKED, READS = 0, 1
"""The shard that has the requests, and the one that has the events."""


class Interrupted(SimulatedIdentity):
    """A store between whose answers others have their turn."""

    def __init__(self, store: SharedStore, interrupt: Callable[[], None]) -> None:
        super().__init__(store)
        self._interrupt = interrupt

    def link(self, links: Mapping[str, str], event: Event, known: Mapping[str, str]) -> dict[str, str]:
        self._interrupt()
        return super().link(links, event, known)


class Shards:
    """Two shards, and what is on its way between them until it is delivered."""

    def __init__(self, folder: Path) -> None:
        self.store, journals = SharedStore(), []
        self.between: Callable[[], None] = lambda: None
        """What happens once before a link."""
        for index in range(2):
            own = folder / str(index)
            own.mkdir(parents=True)
            journals.append(Journal(own, fsync=False))
            journals[-1].resume(0)
        shards = [Shard(index, 2, 2, "now") for index in range(2)]
        self._dealers = [Dealer(GROUPS, shard) for shard in shards]
        self.chains = []
        for index, shard in enumerate(shards):
            known = Interrupted(self.store, self._interrupt), shard, journals[index]
            self.chains.append(Chain(KEYED, [f"shop/{index}"], None, None, *known, control=CONTROL))
        self._way: list[list[bytes]] = [[], []]
        self._heard = [0, 0]
        self._lines = 0
        self.told: list[tuple[str, dict[str, Any]]] = []
        for index in range(2):
            self._take(index, RawBatch(f"shop/{index}", [], 0, is_marked=True))

    def _interrupt(self) -> None:
        between, self.between = self.between, lambda: None
        between()

    def _take(self, index: int, raw: RawBatch) -> None:
        self.told += self.chains[index].take([raw])
        for slot, message in self.chains[index].sent:
            self._way[slot].append(message)
        self.chains[index].sent.clear()

    def visitor_of(self, index: int) -> str:
        """Return a visitor that a shard keeps."""
        return next(name for n in range(99) if self._dealers[index].place_of(name := f"device-{n}") < GROUPS)

    def event(self, minute: float, kind: str = "page_viewed", **told: object) -> None:
        """Something happens, and is read."""
        self._lines += 1
        line = {"kind": kind, "occurred_at": BEGIN_AT + round(minute * MINUTE), "event_id": f"e{self._lines}", **told}
        self._take(READS, RawBatch(f"shop/{READS}", [json.dumps(line).encode()], self._lines, is_marked=True))

    def ask(self, minute: float, request: str, **identifiers: str) -> None:
        """Something is requested, and read."""
        self._lines += 1
        whose = {type_: [value] for type_, value in identifiers.items()}
        line = {"request": request, "id": f"r{self._lines}", "identifiers": whose}
        raws, came_at = [json.dumps(line).encode()], [BEGIN_AT + round(minute * MINUTE)]
        self._take(ASKED, RawBatch(f"{CONTROL}/0", raws, self._lines, came_at=came_at, is_sent=True))

    def deliver(self, complete: int | None = None) -> None:
        """All that is on its way arrives, and all hear how far the others are."""
        for _ in range(ROUNDS):
            for index in range(2):
                self._take(index, RawBatch(f"shop/{index}", [], self._lines + 1, complete=complete, is_marked=True))
                messages = self._way[index][self._heard[index] :]
                raw = RawBatch(f"{EXCHANGE}/{index}", messages, self._heard[index], is_marked=True, is_sent=True)
                self._heard[index] += len(messages)
                self._take(index, raw)

    def end(self) -> None:
        """All that is due comes about."""
        self.deliver()
        self.deliver(FOREVER)
        assert sum(chain.tally.imbalance for chain in self.chains) == 0

    def of(self, stream: str) -> list[dict[str, Any]]:
        return [event["data"] for name, event in self.told if name == stream]

    @property
    def visits(self) -> list[tuple[str, int]]:
        """Whose visits there were, with how many events."""
        return [(one["profile_id"], one["events"]) for one in self.of("sessions")]


def fills_a_cart(shards: Shards, minute: float, device: str) -> None:
    items = [{"product_id": "p1", "price": 5}]
    shards.event(minute, "product_added", anonymous_id=device, items=items, cart_id="cart")


def test_who_is_erased_is_gone_wherever_it_is_kept(tmp_path: Path) -> None:
    """
    Also what was on its way when the request was read.
    """
    for owner in (ASKED, READS):
        shards = Shards(tmp_path / str(owner))
        device = shards.visitor_of(owner)
        shards.event(0, "identified", anonymous_id=device, user_id="mara")
        fills_a_cart(shards, 1, device)
        shards.deliver()
        fills_a_cart(shards, 2, device)
        shards.ask(3, "erase", user_id="mara")
        shards.end()
        assert shards.visits == []
        assert [one["outcome"] for one in shards.of("answers")] == ["done"]
        assert [data for data in shards.of("triggers") if data["action"] == "cart_abandoned"] == []


def test_a_visitor_who_comes_back_brings_nothing_along(tmp_path: Path) -> None:
    """
    Though its shard hears of the login before it hears of the request.
    """
    shards = Shards(tmp_path)
    device = shards.visitor_of(READS)
    shards.event(0, anonymous_id=device)
    shards.deliver()
    shards.ask(1, "erase", anonymous_id=device)
    shards.event(2, "identified", anonymous_id=device, user_id="mara")
    shards.end()
    ((who, events),) = shards.visits
    assert (who.startswith("lead-"), events) == (True, 1)


def test_a_device_that_comes_back_does_not_follow_who_was_erased(tmp_path: Path) -> None:
    """
    Its shard has just sent it to the lead that it was, and has not heard that all know of that.
    """
    shards = Shards(tmp_path)
    device = shards.visitor_of(READS)
    shards.event(0, "identified", anonymous_id=device, user_id="mara")
    shards.ask(1, "erase", user_id="mara")
    shards.event(2, anonymous_id=device)
    shards.end()
    assert shards.visits == [(device, 1)]


@pytest.mark.parametrize("user", ["mara", "joe", "ann", "eve"])
def test_what_was_on_its_way_when_a_lead_was_split_goes_along(tmp_path: Path, user: str) -> None:
    """
    Whichever shard keeps it. The cart is one, and is bought: it was filled before the split and while that was read.
    """
    shards = Shards(tmp_path)
    shards.event(0, "identified", anonymous_id="mine", user_id=user, email="mara@example.org")
    shards.event(1, "identified", anonymous_id="theirs", user_id=user, email="kim@example.org")
    fills_a_cart(shards, 2, "theirs")
    shards.deliver()
    shards.event(3, "order_completed", anonymous_id="theirs", order_id="o1", cart_id="cart")
    shards.ask(4, "unmerge", email="kim@example.org", anonymous_id="theirs")
    shards.end()
    (answer,) = shards.of("answers")
    assert answer["moved"]["sessions"] == 1
    assert {one["state"] for one in shards.of("carts")} == {"open", "purchased"}
    assert (answer["other_profile_id"], 3) in shards.visits


def test_who_was_split_off_is_not_erased_with_the_other(tmp_path: Path) -> None:
    """
    Nor waits for what that one has left.
    """
    shards = Shards(tmp_path)
    shards.event(0, "identified", anonymous_id="mine", user_id="mara", email="mara@example.org")
    shards.event(1, "identified", anonymous_id="theirs", user_id="mara", email="kim@example.org")
    shards.deliver()
    shards.ask(2, "unmerge", email="kim@example.org", anonymous_id="theirs")
    shards.ask(3, "erase", user_id="mara")
    shards.event(4, anonymous_id="theirs")
    shards.end()
    assert [events for _, events in shards.visits] == [2]


@pytest.mark.parametrize("user", ["mara", "joe", "ann", "eve"])
def test_a_request_is_answered_though_its_lead_is_erased_meanwhile(tmp_path: Path, user: str) -> None:
    """
    While it waits for the state of another lead, who has just become it.
    """
    shards = Shards(tmp_path)
    shards.event(0, "identified", anonymous_id="one", email=f"{user}@example.org")
    shards.event(1, "identified", anonymous_id="two", user_id=user)
    shards.deliver()
    shards.event(2, "identified", anonymous_id="two", user_id=user, email=f"{user}@example.org")
    shards.ask(3, "show", user_id=user)
    shards.ask(4, "erase", user_id=user)
    shards.end()
    assert sorted(one["request"] for one in shards.of("answers")) == ["erase", "show"]
    assert shards.visits == []


def test_a_request_is_taken_again_as_of_when_it_was_read(tmp_path: Path) -> None:
    """
    By a process that has asked nobody since: what others have linked was known.
    """
    shards = Shards(tmp_path)
    shards.event(0, "identified", anonymous_id="mine", user_id="mara")
    known = shards.store.clock
    shards.ask(1, "unmerge", user_id="mara")
    taken = Journal(tmp_path / str(ASKED), fsync=False).resume(0)
    assert [one.as_of for one in taken if one.partition.startswith(CONTROL)] == [known]
    assert known < shards.store.clock


def test_who_is_erased_while_an_event_is_read_is_not_linked_by_it(tmp_path: Path) -> None:
    """
    Between the look-up of its batch and its link; what happened later makes somebody new.
    """
    for minute, count in ((1, 0), (3, 1)):
        shards = Shards(tmp_path / str(minute))
        shards.between = partial(shards.ask, 2, "erase", user_id="mara")
        shards.event(minute, "identified", anonymous_id="mine", user_id="mara")
        shards.end()
        assert [one["outcome"] for one in shards.of("answers")] == ["unknown"]
        assert len(shards.visits) == count
        assert shards.chains[READS].tally.erased == 1 - count
        assert [one for one in shards.of("identity") if one["what"] == "created"] == shards.of("identity")[:count]
