"""
Laws of who is who, on Redis; `tests/operators/test_identity_laws.py` has them on the embedded store, with the guards.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryIdentity
from connectors.redis_identity import VERSIONS_MAX, RedisIdentity
from operators.event import Event
from operators.ids import digest
from tests.connectors.identity import Told, rules_for
from tests.operators.identity_log import ADDRESSES, AGREEING, ANYTHING, Desk, numbered, pieces, says
from tests.services.redis import RedisServer

# Each example takes its logs several times, and each event several calls.
EXAMPLES = settings(max_examples=100)


class Corner:
    """A prefix of its own in Redis, to which processes connect."""

    def __init__(self, server: RedisServer, told: Told) -> None:
        self._rules, self._told = rules_for(server.url), told

    def connect(self) -> RedisIdentity:
        return self._told.connect(self._rules)


@pytest.fixture(scope="module")
def corner(redis_server: RedisServer) -> Iterator[Callable[[], Corner]]:
    """Find one more corner where nobody is known; an example needs several."""
    told = Told()
    yield lambda: Corner(redis_server, told)
    told.close()


def after(log: list[Event], corner: Corner) -> Desk:
    """Who is who after a log, each event a batch."""
    desk = Desk(corner.connect())
    for event in numbered(log):
        desk.take([event])
    return desk


@EXAMPLES
@given(log=ANYTHING)
def test_telling_an_event_again_changes_nothing(corner: Callable[[], Corner], log: list[Event]) -> None:
    """
    An event right after itself is the same person's, and changes nothing that is kept.
    """
    once, twice = after(log, corner()), after([event for event in log for _ in range(2)], corner())
    assert (twice.profiles[1::2], twice.known()) == (once.profiles, once.known())


@EXAMPLES
@given(data=st.data(), log=ANYTHING)
def test_a_replay_changes_nothing(corner: Callable[[], Corner], data: st.DataObject, log: list[Event]) -> None:
    """
    A process dies after any event, and another one reads again from any event before it: the same people, then and
    after all that was still to come. (Of as many events as a name has versions: a device that changes hands more often
    within what is read again is a till.)
    """
    place, log = corner(), log[:VERSIONS_MAX]
    whole = after(log, corner())
    died_at = data.draw(st.integers(0, len(log)))
    resumed_at = data.draw(st.integers(0, died_at))
    first, second = Desk(place.connect()), Desk(place.connect())
    for event in numbered(log)[:died_at]:
        first.take([event])
    for event in numbered(log)[resumed_at:]:
        second.take([event])
    assert first.profiles == whole.profiles[:died_at]
    assert second.profiles == whole.profiles[resumed_at:]
    assert second.known() == whole.known()


@pytest.mark.parametrize("resumed_at", range(4))
def test_a_replay_of_much_joins_no_users(corner: Callable[[], Corner], resumed_at: int) -> None:
    """
    Mara gives Joe's address and is refused it; then he logs in on more devices than there are versions of what is kept
    of him, and the process dies. Read again, she is refused it again, and each event is whose it was.
    """
    log = [says(0, user="mara"), says(1, user="joe", email="j1@x"), says(2, user="mara", email="j1@x")]
    log += [says(3 + number, user="joe", device=f"d{number}") for number in range(2 * VERSIONS_MAX)]
    place = corner()
    first, again = Desk(place.connect()), Desk(place.connect())
    for event in numbered(log):
        first.take([event])
    for event in numbered(log)[resumed_at:]:
        again.take([event])
    assert again.profiles == first.profiles[resumed_at:]
    assert again.leads() == first.leads()
    assert [one.what for one in again.records if one.what in {"merged", "refused"}] == ["refused"] * (resumed_at < 3)


@EXAMPLES
@given(data=st.data(), log=ANYTHING)
def test_batches_may_be_cut_anywhere(corner: Callable[[], Corner], data: st.DataObject, log: list[Event]) -> None:
    """
    The same person for each event, and the same records, as from the embedded store in one batch.
    """
    whole, cut = Desk(MemoryIdentity()).take(numbered(log)), Desk(corner().connect())
    for batch in data.draw(pieces(numbered(log))):
        cut.take(batch)
    assert (cut.profiles, cut.records, cut.known()) == (whole.profiles, whole.records, known_to(whole, cut))


def known_to(whole: Desk, cut: Desk) -> dict[str, str]:
    """What a desk knows of the names that another one was told of: a store in this process tells all it has."""
    return {name: whole.known()[name] for name in cut.known()}


@EXAMPLES
@given(data=st.data(), log=AGREEING)
def test_any_order_gives_the_same_people_whoever_reads_it(
    corner: Callable[[], Corner], data: st.DataObject, log: list[Event]
) -> None:
    """
    Of what nobody contradicts, shared out to the partitions of two processes that take turns in any way.
    """
    place = corner()
    desks = {"p0": Desk(place.connect()), "p1": Desk(place.connect())}
    for at, event in enumerate(data.draw(st.permutations(log)), 1):
        partition = data.draw(st.sampled_from(sorted(desks)))
        event.partition, event.position, event.event_id = partition, at, f"e{at}"
        desks[partition].take([event])
    whole = after(log, corner())
    assert desks["p0"].parts() == desks["p1"].parts() == whole.parts()


@EXAMPLES
@given(data=st.data(), log=AGREEING, names=st.permutations([*[f"e:{email}" for email in ADDRESSES], "u:mara", "u:joe"]))
def test_the_oldest_survives_in_any_order(
    corner: Callable[[], Corner], data: st.DataObject, log: list[Event], names: list[str]
) -> None:
    """
    Where each was first heard of by itself: the one of the earliest event, though that came last of them.
    """
    firsts = [says(at, user=name[2:]) if name[0] == "u" else says(at, email=name[2:]) for at, name in enumerate(names)]
    leads = after([*data.draw(st.permutations(firsts)), *data.draw(st.permutations(log))], corner()).leads()
    for lead in set(leads.values()):
        oldest = next(name for name in names if leads[name] == lead)
        assert lead == "lead-" + digest("lead", oldest)[:20]


@EXAMPLES
@given(data=st.data(), log=ANYTHING)
def test_no_sequence_merges_two_users(corner: Callable[[], Corner], data: st.DataObject, log: list[Event]) -> None:
    """
    Whichever of two processes reads what, in batches of which neither sees the other's.
    """
    place = corner()
    halves = data.draw(st.integers(0, len(log)))
    desks = [Desk(place.connect()), Desk(place.connect())]
    batches = [numbered(log[:halves], "p0"), numbered(log[halves:], "p1")]
    known = [desk.store.look_up(batch) for desk, batch in zip(desks, batches, strict=True)]
    for at in range(max(map(len, batches))):
        for desk, batch, seen in zip(desks, batches, known, strict=True):
            if at < len(batch):
                desk.take_one(batch[at], seen)
    leads = desks[0].leads()
    users = [leads[name] for name in leads if name[0] == "u"]
    assert len(set(users)) == len(users)


@EXAMPLES
@given(data=st.data(), log=ANYTHING)
def test_no_replay_merges_two_users(corner: Callable[[], Corner], data: st.DataObject, log: list[Event]) -> None:
    """
    However often what was read is read again, from wherever, and however many versions are gone by then.
    """
    place = corner()
    for resumed_at in [0, *data.draw(st.lists(st.integers(0, len(log)), min_size=1, max_size=3))]:
        desk = Desk(place.connect())
        for event in numbered(log)[resumed_at:]:
            desk.take([event])
        leads = desk.leads()
        users = [leads[name] for name in leads if name[0] == "u"]
        assert len(set(users)) == len(users)
