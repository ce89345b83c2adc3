"""
Several shards, each with its own partitions and key groups, are together what one process is.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.durations import DAY, HOUR, MINUTE, SECOND
from config.settings import Settings
from operators.ids import murmur2
from pipeline.shards import Shard, ShardError, shard_of
from tests.pipeline.helpers import (
    PAUSES,
    SMALL,
    Act,
    Action,
    Epoch,
    Line,
    Player,
    Read,
    Told,
    acts,
    as_arrived,
    lines_of,
    reference,
    scripts,
    without_coordinates,
)
from tests.pipeline.test_acceptance import ordered, split_by_person, traffic_lines
from tests.simulation.store import SharedStore, SimulatedIdentity

GROUPS: Final = 12
KEYED: Final = msgspec.structs.replace(SMALL, key_groups=GROUPS)
ROUNDS: Final = 4
"""After which everything has arrived: the end of one's own, by way of the visitors' step, and what that closes."""
ON_THE_EVENT: Final = ("journey", "offer")
"""Families of triggers that an event causes itself."""


def keyed(lines: Sequence[Line], count: int) -> dict[str, list[bytes]]:
    """
    Put lines where a producer puts them that has the visitor for a key.
    """
    partitions: dict[str, list[bytes]] = {f"events/{number}": [] for number in range(count)}
    for line in lines:
        try:
            told = msgspec.json.decode(line.raw)
        except msgspec.MsgspecError:
            told = {}
        key = told.get("anonymous_id") or told.get("email") or told.get("phone") or ""
        partitions[f"events/{murmur2(key.encode()) % count}"].append(line.raw)
    return partitions


def spread(lines: Sequence[Line], count: int) -> dict[str, list[bytes]]:
    """
    Put all lines of a household into one partition, wherever its visitors belong.
    """
    partitions: dict[str, list[bytes]] = {f"events/{number}": [] for number in range(count)}
    for line in lines:
        partitions[f"events/{line.household % count}"].append(line.raw)
    return partitions


def played(settings: Settings, partitions: dict[str, list[bytes]], count: int, script: Sequence[Action]) -> list[Told]:
    """
    Let `count` shards work through the partitions; each action of the script is the next one's.
    """
    slots: list[list[bytes]] = [[] for _ in partitions]
    store = SharedStore()
    with TemporaryDirectory() as folder:
        players = []
        for index in range(count):
            own = Path(folder, str(index))
            own.mkdir()
            shard = Shard(index, count, len(slots), "now")
            players.append(Player(settings, partitions, own, lambda: SimulatedIdentity(store), shard, slots))
        for turn, action in enumerate(script):
            player = players[turn % count]
            player.do(action)
            if isinstance(action, Epoch):
                player.receive()
        for player in players:
            player.read_all()
        for _ in range(ROUNDS):
            for player in players:
                player.receive()
        assert sum(player.chain.tally.imbalance for player in players) == 0
        return [told for player in players for told in player.told]


def act(what: str, after_ms: int = 0, device: int = 0, delay_ms: int = 0) -> Act:
    """
    Write what one household does, for examples.
    """
    return PAUSES.index(after_ms), 0, device, what, 0, delay_ms


def alone(done: Sequence[Act]) -> list[Act]:
    """
    Leave everybody one device and nothing without it: what is made of two keys depends on which is read first.
    """
    return [
        (pause, household, 0, "page" if what in ("mail", "call") else what, which, delay)
        for pause, household, _, what, which, delay in done
    ]


def settled(told: Sequence[Told]) -> list[Told]:
    """
    Leave out what an event decides as it comes, and what that has made of later decisions.
    """
    kept = []
    for stream, event in told:
        data: dict[str, Any] = event["data"]
        if stream not in ("triggers", "suppressed") or data["family"] not in ON_THE_EVENT:
            kept.append((stream, event))
    return kept


@given(done=acts(households=4), script=scripts(with_crashes=True), count=st.integers(2, 3))
@example(done=[act("add"), act("identify", 10 * MINUTE), act("page", 3 * HOUR)], script=[], count=2)
@example(done=[act("identify"), *[act("view", SECOND)] * 3], script=[Read(((0, 2, True),)), Epoch()], count=3)
def test_shards_together_do_what_one_process_does(done: list[Act], script: list[Action], count: int) -> None:
    """
    A log keyed by visitor over six partitions and two or three shards, read in any turns and with any crashes, yields
    what it yields as one file in one process.
    """
    lines = as_arrived(lines_of(alone(done)))

    told = played(KEYED, keyed(lines, 6), count, script)

    assert without_coordinates(told) == without_coordinates(reference(KEYED, lines))


MERGED: Final = [
    act("subscribe", device=1),
    act("named", SECOND, device=1),
    act("sign in", SECOND),
    act("identify", SECOND),
    act("order", 10 * MINUTE),
    act("page", 3 * HOUR, device=1),
]
"""A cart of a lead known by address, bought by one known by user id, once both turn out to be one."""
STRAGGLER: Final = [act("view"), act("add", device=1, delay_ms=11_000), act("sign in", SECOND, device=1)]
"""What fills a cart comes after the login that it was before; its visitor lives in another shard."""


@given(done=acts(pause_max=DAY), script=scripts(with_crashes=True), count=st.integers(2, 3))
@example(done=MERGED, script=[], count=2)
@example(done=MERGED, script=[Read(((0, 2, True),)), Epoch()] * 2, count=3)
@example(done=STRAGGLER, script=[], count=3)
def test_events_in_wrong_partitions_are_sent_where_they_belong(
    done: list[Act], script: list[Action], count: int
) -> None:
    """
    A log spread by household yields the same sessions, carts and decisions of timers, though most visitors live in
    another shard than the one that reads them. (Nobody is gone for longer than a profile is kept: then a lead may be
    over before a visitor's state has found the way to it.)
    """
    lines = as_arrived(lines_of(done))

    told = played(KEYED, spread(lines, 6), count, script)

    assert without_coordinates(settled(told)) == without_coordinates(settled(reference(KEYED, lines)))


def test_a_day_over_two_shards_is_that_of_one() -> None:
    """
    A made-up day, spread by person, in turns of two hundred lines: every session and cart is that of one process. Two
    hand-overs by way of one key group, of which the later came first, once cost a visitor's state.
    """
    parts = {f"events/{number}": lines for number, lines in enumerate(split_by_person(traffic_lines(), 4).values())}
    source = msgspec.structs.replace(Settings().source, file_watermark="lateness")
    settings = Settings(key_groups=GROUPS, source=source)

    turn = Read(((0, 100, False), (1, 100, True)))
    told = played(settings, parts, 2, [action for _ in range(120) for action in (turn, turn, Epoch(), Epoch())])

    expected = Player(settings, parts).play([])
    for stream in ("sessions", "carts"):
        assert ordered(e["data"] for s, e in told if s == stream) == ordered(
            e["data"] for s, e in expected if s == stream
        )


def test_a_backlog_of_a_shard_abandons_no_cart_that_was_bought() -> None:
    """
    While a shard is away the other one reads of a hundred visitors who fill a cart, sign in and buy it, one after the
    other. All of it comes at once then, from several key groups to those of the leads: nobody's timer fires before
    what is known of the visitor is there, neither that of the cart nor that of a session without its beginning.
    """
    shopping = ((HOUR, "add"), (10 * MINUTE, "identify"), (20 * SECOND, "order"))
    visits = [(PAUSES.index(pause), 4 * number, 0, what, 0, 0) for number in range(100) for pause, what in shopping]
    lines = as_arrived(lines_of(visits))
    nothing, all_empty, one_visit = Read(()), Read(((0, 0, True), (1, 0, True))), Read(((0, len(shopping), True),))

    script: list[Action] = [all_empty, all_empty, Epoch(), nothing, *[one_visit, nothing] * 100]
    told = played(KEYED, spread(lines, 4), 2, script)

    assert without_coordinates(settled(told)) == without_coordinates(settled(reference(KEYED, lines)))
    assert {e["data"]["state"] for s, e in told if s == "carts"} == {"open", "purchased"}


def test_a_shard_is_named_or_takes_its_host_s_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    ordinal/3 is 2/3 in the third pod of a StatefulSet, and refused where the host's name says nothing of the kind.
    """
    monkeypatch.setattr("socket.gethostname", lambda: "nextmove-2.shop.example.com")
    assert (shard_of("1/2"), shard_of("ordinal/3")) == ((1, 2), (2, 3))

    monkeypatch.setattr("socket.gethostname", lambda: "nextmove-2")
    with pytest.raises(ShardError, match="does not end in a number below 2"):
        shard_of("ordinal/2")


@given(count=st.integers(1, 8), slots=st.integers(1, 64), groups=st.integers(1, 256))
def test_each_key_group_has_one_owner(count: int, slots: int, groups: int) -> None:
    """
    Whatever the numbers are, one shard owns a group, and the others send to the slot that this one reads.
    """
    shards = [Shard(index, count, max(slots, count)) for index in range(count)]

    for group in range(groups):
        places = [shard.places(groups)[group] for shard in shards]
        assert places.count(group) == 1
        owner = shards[places.index(group)]
        assert all(owner.owns_number(place - groups) for place in places if place != group)
