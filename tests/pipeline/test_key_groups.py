"""
The host of the operator: whatever the batches, partitions, checkpoints and crashes, the outputs are the same.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.durations import DAY, HOUR, MINUTE, SECOND
from config.settings import ProfileSettings, Settings
from config.visits import SessionSettings
from connectors.changelog import Changelog, Rewrites
from connectors.memory import MemoryIdentity
from operators.decision import Decider
from operators.event import FOREVER, Commerce, Event, Item, Kind, rfc3339
from operators.profile import ProfileOperator
from operators.profile_state import HandOver
from operators.rejected import Rejected
from operators.screened import ScreenedEvent
from operators.trigger import RuleFault
from pipeline.key_groups import KeyGroup
from pipeline.lead_groups import LeadGroup
from pipeline.messages import Absorb, GroupBatch, GroupOutput, Marker
from tests.journeys import book
from tests.pipeline.helpers import (
    BEGIN_AT,
    LATENESS_MS,
    PAUSES,
    SMALL,
    Act,
    Action,
    Crash,
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
    split,
    without_coordinates,
)
from tests.story import replaced

STREAMED: Final = msgspec.structs.replace(
    SMALL, source=msgspec.structs.replace(SMALL.source, file_watermark="lateness")
)

GAP_MS: Final = 30 * MINUTE
"""Both of a session on the web and of a cart."""


# --- the whole chain ----------------------------------------------------------------------------------------


def act(what: str, after_ms: int = 0, *, device: int = 0, delay_ms: int = 0) -> Act:
    """Write what one household does, for examples."""
    return PAUSES.index(after_ms), 0, device, what, 0, delay_ms


def played(settings: Settings, lines: Sequence[Line], script: Sequence[Action], partitions: int) -> list[Told]:
    """Play a log as a script says, with changelogs in a folder of its own."""
    with TemporaryDirectory() as folder:
        return Player(settings, split(lines, partitions), Path(folder)).play(script)


EARLY: Final = Read(((0, 2, True),))

# What once made a difference that it must not make.
JUDGED_BEFORE_THE_DECLINE_WAS_KNOWN: Final = [
    act("view"),
    act("decline", GAP_MS - 1),
    act("view", 10 * MINUTE),
    act("view", 31 * MINUTE),
]
ABSORBED_BEFORE_WHAT_THE_LEAD_DID_FIRST: Final = [
    act("identify", device=1),
    act("view"),
    act("identify", 31 * MINUTE),
]
FOUR_VIEWS_OF_A_LEAD: Final = [act("identify"), *[act("view")] * 4]
ANOTHER_DEVICE_AFTER_THE_TIMER: Final = [
    act("view"),
    act("identify"),
    act("view"),
    act("view"),
    act("identify", 3 * HOUR, device=1),
]
A_GUEST_BETWEEN_TWO_SESSIONS: Final = [
    act("view"),
    act("identify", delay_ms=LATENESS_MS),
    act("view", SECOND),
    act("view", GAP_MS - 1),
]
LONG_GONE: Final = [act("page"), act("page", 5 * DAY, device=1)]
COMES_BACK_AS_A_LEAD_LATER: Final = [act("view"), act("page", 5 * DAY, device=1), act("identify")]
DECLINED_BEFORE_THE_LOGIN: Final = [act("decline"), act("identify"), act("view", SECOND), act("view")]
LONG_GONE_LEAD_IS_JOINED: Final = [act("mail"), act("view", 5 * DAY), act("view"), act("view"), act("identify")]
A_CART_TOUCHED_AGAIN_AFTER_A_DAY: Final = [
    act("add"),
    act("page", DAY, device=1),
    act("view", SECOND),
    act("add"),
]


@pytest.mark.parametrize("settings", [SMALL, STREAMED], ids=["exact", "lateness"])
@given(done=acts(), script=scripts(with_crashes=False), partitions=st.integers(1, 3))
@example(done=JUDGED_BEFORE_THE_DECLINE_WAS_KNOWN, script=[], partitions=2)
@example(done=JUDGED_BEFORE_THE_DECLINE_WAS_KNOWN, script=[Read(((0, 3, True),))], partitions=1)
@example(done=ABSORBED_BEFORE_WHAT_THE_LEAD_DID_FIRST, script=[EARLY], partitions=1)
@example(done=FOUR_VIEWS_OF_A_LEAD, script=[Read(((0, 2, True), (0, 2, False)))], partitions=1)
@example(done=ANOTHER_DEVICE_AFTER_THE_TIMER, script=[Read(((0, 4, True),))], partitions=1)
@example(done=A_GUEST_BETWEEN_TWO_SESSIONS, script=[Read(((0, 3, True),))], partitions=1)
@example(done=LONG_GONE, script=[Read(((0, 1, True),)), Read(((0, 0, True),))], partitions=1)
@example(done=COMES_BACK_AS_A_LEAD_LATER, script=[Read(((0, 2, True),)), Read(((0, 0, True),))], partitions=1)
@example(done=A_CART_TOUCHED_AGAIN_AFTER_A_DAY, script=[Read(((0, 3, False),))], partitions=1)
@example(done=DECLINED_BEFORE_THE_LOGIN, script=[EARLY], partitions=1)
@example(done=LONG_GONE_LEAD_IS_JOINED, script=[Read(((0, 4, True),))], partitions=1)
def test_batches_and_partitions_make_no_difference(
    settings: Settings, done: list[Act], script: list[Action], partitions: int
) -> None:
    """
    A log split by household over up to three files, read in batches of any size in any turns, several an
    activation, yields what it yields as one file in one batch.
    """
    lines = as_arrived(lines_of(done))

    told = played(settings, lines, script, partitions)

    assert without_coordinates(told) == without_coordinates(reference(settings, lines))


@pytest.mark.parametrize("settings", [SMALL, STREAMED], ids=["exact", "lateness"])
@given(done=acts(), script=scripts(with_crashes=True), partitions=st.integers(1, 3))
@example(
    done=[act("add"), act("identify", 10 * MINUTE), act("page", 3 * HOUR)],
    script=[EARLY, Epoch(), Read(((0, 1, True),)), Crash()],
    partitions=1,
)
def test_crashes_make_no_difference(settings: Settings, done: list[Act], script: list[Action], partitions: int) -> None:
    """
    Cut anywhere, as often as you like, and resumed from the last checkpoint with what came after it lost:
    outputs as of one run without a fault.
    """
    lines = as_arrived(lines_of(done))

    told = played(settings, lines, script, partitions)

    assert without_coordinates(told) == without_coordinates(reference(settings, lines))


CALM: Final = ("page", "view", "add", "named", "remove", "cart", "checkout", "order", "identify", "refuse", "allow")


@given(done=acts())
@example(done=A_GUEST_BETWEEN_TWO_SESSIONS)
def test_disorder_within_the_lateness_changes_no_session_cart_or_timer(done: list[Act]) -> None:
    """
    A stream whose records come up to 30 s late yields the sessions, carts and decisions on timers that it yields
    in order. Whose they are may show earlier: an event that comes after the link may be the lead's at once.
    """
    lines = lines_of([one for one in done if one[3] in CALM])

    in_order = reference(STREAMED, [line._replace(arrived_at=line.at) for line in lines]) if lines else []
    disordered = reference(STREAMED, as_arrived(lines)) if lines else []

    assert without_event_triggers(disordered) == without_event_triggers(in_order)


@given(done=acts(households=1))
def test_disorder_within_the_lateness_keeps_offers(done: list[Act]) -> None:
    """
    Up to 30 s of disorder makes a visitor's offers neither more nor fewer nor others: which of the views in
    disorder is the one that counts may differ.
    """
    lines = lines_of([one for one in done if one[3] in ("view", "page", "add") and one[0] != PAUSES.index(HOUR)])

    in_order = reference(STREAMED, [line._replace(arrived_at=line.at) for line in lines]) if lines else []
    disordered = reference(STREAMED, as_arrived(lines)) if lines else []

    assert offers(disordered) == offers(in_order)


def without_event_triggers(told: Iterable[Told]) -> list[tuple[str, dict[str, Any]]]:
    """Keep sessions, carts and what timers decided, all but whose they are."""
    kept = []
    for stream, event in told:
        data = event["data"]
        if stream in ("sessions", "carts") or data.get("cause", {}).get("type", "").endswith(".timer"):
            kept.append((stream, {k: v for k, v in data.items() if k not in ("profile_id", "anonymous_ids")}))
    return sorted(kept, key=lambda one: (one[0], msgspec.json.encode(one[1])))


def offers(told: Iterable[Told]) -> list[tuple[str, str, str]]:
    """Give action, profile and occasion of each offer."""
    return sorted(
        (event["data"]["action"], event["data"]["profile_id"], event["data"]["trigger_id"])
        for stream, event in told
        if stream == "triggers" and event["data"]["action"] == "offer_prompt"
    )


def test_a_busy_profile_is_treated_alike_in_any_batch() -> None:
    """
    Six hundred additions in six hundred hours by one visitor are six hundred abandonments, whether they come
    one by one or all in one batch.
    """
    lines = lines_of([act("add", HOUR)] * 600)

    told = played(SMALL, lines, [Read(((0, 1, False),))] * 600, 1)

    assert told == reference(SMALL, lines)
    assert sum(stream == "carts" and event["data"]["state"] == "abandoned" for stream, event in told) == 600


def test_a_duplicate_is_known_again_after_a_crash_whatever_its_id() -> None:
    """
    Event ids are kept as they are, line ends included.
    """
    record = {"event_id": "two\nlines", "occurred_at": BEGIN_AT, "anonymous_id": "a", "kind": "page_viewed"}
    line = Line(0, BEGIN_AT, BEGIN_AT, msgspec.json.encode(record))

    told = played(SMALL, [line, line], [Read(((0, 1, True),)), Epoch(), Crash()], 1)

    assert [event["data"]["events"] for stream, event in told if stream == "sessions"] == [1]


def test_the_identity_changelog_holds_what_is_remembered_not_all_that_ever_was(tmp_path: Path) -> None:
    """
    Over 300 epochs of new event ids, forgotten after six hours, the file stays below twice what is live.
    """
    settings = msgspec.structs.replace(SMALL, key_groups=1)
    raws = [
        msgspec.json.encode(
            {"event_id": f"event-{i:030}", "occurred_at": BEGIN_AT + i * 10 * MINUTE, "anonymous_id": "a"}
            | {"kind": "page_viewed"}
        )
        for i in range(6_000)
    ]
    player = Player(settings, {"part": raws}, tmp_path)
    sizes = []
    for _ in range(300):
        player.read([("part", 20, True)])
        player.checkpoint()
        sizes.append(sum(path.stat().st_size for path in tmp_path.glob("identity.*.log")))

    live_bytes = 36 * 10 * HOUR // (10 * MINUTE)  # at most ten hours: the window and a generation each side
    assert max(sizes) <= 2 * (2 * live_bytes + 4_096 + 2_000)


# --- one group ----------------------------------------------------------------------------------------------

OPERATOR: Final = ProfileOperator(SMALL.visitor_rules(), Decider(book()))
KEPT: Final = ProfileOperator(
    msgspec.structs.replace(SMALL, profile=ProfileSettings(late_ms_max=12 * HOUR)).visitor_rules(),
    Decider(book()),
)


def event(at: int, key: str = "anna", kind: Kind = "page_viewed", **more: object) -> Event:
    """Make an event of a visitor that has been resolved."""
    known = Event(
        kind=kind,
        at=at,
        event_id=f"{key}-{kind}-{at}",
        channel="web",
        visitor_id=key,
        anonymous_id=key,
        profile_id=key,
        mark=-1,
        partition="part",
        commerce=Commerce((Item("kettle", 1.0, 40.0),)) if kind == "product_added" else None,
    )
    return replaced(known, **more)


def share(items: Iterable[Any] = (), mark: int | None = None, top_at: int = -1, clock: int = FOREVER) -> GroupBatch:
    """Make a batch for group 0, with a marker if there is a mark."""
    marker = None if mark is None else Marker(mark, mark, max(mark if mark < FOREVER else -1, top_at), clock)
    return GroupBatch(group=0, batch=1, groups=1, items=list(items), passing=[], marker=marker)


def group(
    operator: ProfileOperator = OPERATOR,
    *,
    folder: Path | None = None,
    resume: bytes | None = None,
    forwards: bool = False,
) -> KeyGroup:
    """Make a key group, with a changelog where there is a folder."""

    changelog = None if folder is None else Changelog(folder, "group-0", Rewrites(), fsync=False)
    return KeyGroup(0, operator, changelog, resume, forwards=forwards)


def told_by(*outputs: GroupOutput) -> list[tuple[str, str]]:
    """Name the records of outputs: what and when."""
    told = []
    for record in (record for output in outputs for record in output.records):
        assert not isinstance(record, Rejected | ScreenedEvent | RuleFault)
        told.append((f"{record.stream} {getattr(record, 'state', '')}".strip(), record.cloud_event[3]))
    return told


def test_a_timer_fires_at_its_instant_that_instant_included() -> None:
    """
    A millisecond before, a cart and a session are still open; at the instant itself they are over, once.
    """
    host = group()
    due_at = BEGIN_AT + GAP_MS

    early = host.take(share([event(BEGIN_AT, kind="product_added")], due_at - 1))
    due = host.take(share(mark=due_at))
    later = host.take(share(mark=due_at + DAY))

    assert told_by(early) == [("carts open", rfc3339(BEGIN_AT))]
    assert told_by(due) == [
        ("carts abandoned", rfc3339(due_at)),
        ("suppressed", rfc3339(due_at)),
        ("sessions closed", rfc3339(BEGIN_AT)),
    ]
    assert told_by(later) == []
    assert (early.awake, due.awake, later.awake) == (1, -1, 0)


def test_timers_fire_in_order_of_their_instants() -> None:
    """
    However the profiles came, the first due is the first told.
    """
    host = group()
    offsets_ms = [5 * MINUTE, 2 * MINUTE, 9 * MINUTE, 0, 7 * MINUTE]
    host.take(share(event(BEGIN_AT + ms, f"visitor-{ms}") for ms in offsets_ms))

    told = told_by(host.take(share(mark=BEGIN_AT + HOUR)))

    assert told == [("sessions closed", rfc3339(BEGIN_AT + ms)) for ms in sorted(offsets_ms)]


def test_what_an_event_finds_done_is_what_its_mark_let_fire() -> None:
    """
    Timers due by an event's mark fire before it, though no marker has come.
    """
    host = group()
    first, second = event(BEGIN_AT), event(BEGIN_AT + 2 * HOUR, mark=BEGIN_AT + GAP_MS)

    told = told_by(host.take(share([first, second])))

    assert told[0] == ("sessions closed", rfc3339(BEGIN_AT))


@pytest.mark.parametrize("is_first", [True, False])
def test_a_hand_over_may_come_before_or_after_what_the_lead_does(is_first: bool) -> None:  # noqa: FBT001
    """
    A visitor fills a cart, is named and buys as a lead elsewhere: the cart is bought, once, in either order.
    """
    visitors, leads = group(), LeadGroup(0, KEPT, None, None, MemoryIdentity())
    linked_at, bought_at = BEGIN_AT + MINUTE, BEGIN_AT + 2 * MINUTE
    handover = HandOver("anna", "anna", "lead-1", linked_at)
    filled = visitors.take(share([event(BEGIN_AT, kind="product_added"), handover]))
    order = event(
        bought_at,
        "phone",
        "order_completed",
        profile_id="lead-1",
        commerce=Commerce((Item("kettle", 1.0, 40.0),), order_id="o-1", value=40.0),
    )
    items = [*filled.absorbed, order] if is_first else [order, *filled.absorbed]

    told = told_by(*(leads.take(share([item])) for item in items), leads.take(share(mark=BEGIN_AT + HOUR)))

    assert [absorb.handover for absorb in filled.absorbed] == [handover]
    assert told == [
        ("carts open", rfc3339(BEGIN_AT)),
        ("identity", rfc3339(linked_at)),
        ("carts purchased", rfc3339(bought_at)),
        ("sessions closed", rfc3339(BEGIN_AT)),
        ("sessions closed", rfc3339(bought_at)),
    ]


def test_a_visitor_handed_over_is_gone(tmp_path: Path) -> None:
    """
    Its timers do not fire where it was, and neither state nor changelog has it after a resume.
    """
    host = group(folder=tmp_path)
    host.take(share([event(BEGIN_AT)]))
    host.snapshot()
    output = host.take(share([HandOver("anna", "anna", "lead-1", BEGIN_AT)]))
    resumed = group(folder=tmp_path, resume=host.snapshot())

    assert [type(absorb) for absorb in output.absorbed] == [Absorb]
    assert told_by(resumed.take(share(mark=BEGIN_AT + DAY))) == []
    assert (resumed.states.hot, resumed.states.rest) == ({}, {})


def test_a_visitor_made_known_by_its_first_event_hands_over_nothing_but_its_name() -> None:
    """
    It counts as a visitor all the same, and the lead hears of it, for the stragglers from before the link.
    """
    handover = HandOver("anna", "anna", "lead-1", BEGIN_AT)
    output = group().take(share([handover]))

    assert [(absorb.handover, absorb.state) for absorb in output.absorbed] == [(handover, None)]
    assert output.created == 1


def test_what_comes_too_late_for_a_visitor_is_forwarded(tmp_path: Path) -> None:
    """
    Another shard read it before it could know: it goes on to the lead, after a resume too, until every shard has asked
    the store since the link. Nobody but shards can come so late.
    """
    late = event(BEGIN_AT + SECOND)
    alone, host = group(), group(folder=tmp_path, forwards=True)
    for one in (alone, host):
        one.take(share([event(BEGIN_AT), HandOver("anna", "anna", "lead-1", BEGIN_AT, linked_at=7)]))
    host.take(share(mark=BEGIN_AT, clock=6))
    resumed = group(folder=tmp_path, resume=host.snapshot(), forwards=True)

    output = resumed.take(share([replaced(late)]))
    assert [(one.event_id, one.profile_id, one.mark) for one in output.forwarded] == [(late.event_id, "lead-1", -1)]
    assert output.created == 0
    resumed.take(share(mark=BEGIN_AT, clock=7))
    assert [one.take(share([replaced(late)])).created for one in (alone, resumed)] == [1, 1]


def test_a_visitor_who_expired_just_before_the_login_stays_gone(tmp_path: Path) -> None:
    """
    That the state is gone is still to be written when the hand-over asks for it (simulation, seed 10).
    """
    host = group(folder=tmp_path)
    host.take(share([event(BEGIN_AT)], BEGIN_AT + HOUR))
    host.take(share(mark=BEGIN_AT + HOUR))
    later = BEGIN_AT + 4 * DAY
    expired = host.take(share(mark=later, top_at=later))
    asked = host.take(share([HandOver("anna", "anna", "lead-1", later)]))

    assert "profiles expired" in [stream for stream, _ in told_by(expired)]
    assert [absorb.state for absorb in asked.absorbed] == [None]
    assert resumed_elsewhere(tmp_path, host.snapshot()) == {}


def test_a_profile_is_over_after_its_retention_and_told_so_once(tmp_path: Path) -> None:
    """
    Two days after the last event, at the turn of a day, it is swept; a day before it is still there.
    """
    host = group(folder=tmp_path)
    midnight = BEGIN_AT - BEGIN_AT % DAY + DAY
    host.take(share([event(midnight), event(midnight + 1, "ben")], midnight + DAY))
    host.snapshot()

    kept = host.take(share(mark=midnight + 2 * DAY - 1))
    swept = host.take(share(mark=midnight + 2 * DAY))
    again = host.take(share(mark=midnight + 3 * DAY - 1))
    host.snapshot()
    last = host.take(share(mark=midnight + 3 * DAY))
    checkpoint = host.snapshot()

    assert told_by(kept, again) == []
    assert told_by(swept) == [("profiles expired", rfc3339(midnight))]
    assert told_by(last) == [("profiles expired", rfc3339(midnight + 1))]
    assert (host.states.hot, host.states.rest) == ({}, {})
    assert group(folder=tmp_path, resume=checkpoint).states.rest == {}


def test_the_end_of_the_input_is_not_a_time_to_forget() -> None:
    """
    All timers fire at the end of the input, but profiles expire by the latest event only.
    """
    host = group()

    told = told_by(host.take(share([event(BEGIN_AT)], FOREVER, top_at=BEGIN_AT)))

    assert told == [("sessions closed", rfc3339(BEGIN_AT))]
    assert list(host.states.hot) == ["anna"]


# --- checkpoints --------------------------------------------------------------------------------------------


def test_a_checkpoint_holds_what_was_at_rest_and_what_was_hot(tmp_path: Path) -> None:
    """
    A group resumed from its checkpoint has the same states, and goes on to tell the same.
    """
    host = group(KEPT, folder=tmp_path)
    host.take(share([event(BEGIN_AT, key, kind="product_added") for key in ("anna", "ben")]))
    host.snapshot()
    host.take(share([event(BEGIN_AT + MINUTE, "ben"), event(BEGIN_AT, "cleo")]))
    checkpoint = host.snapshot()
    resumed = group(KEPT, folder=tmp_path, resume=checkpoint)

    assert resumed.states.rest == host.states.rest
    assert sorted(resumed.states.rest) == ["anna", "ben", "cleo"]
    expected = host.take(share(mark=BEGIN_AT + DAY)).records
    assert resumed.take(share(mark=BEGIN_AT + DAY)).records == expected
    assert len(expected) == 9


def test_a_folder_stays_below_twice_its_live_states(tmp_path: Path) -> None:
    """
    After each of 200 epochs in which a tenth of 300 profiles change; and each checkpoint of the last two, one of
    which an engine has committed, can be resumed from.
    """
    session = SessionSettings(length_ms_max=3 * HOUR, stitch_ms=0)  # else states grow with each visit
    rules = msgspec.structs.replace(SMALL, session=session, profile=ProfileSettings(late_ms_max=12 * HOUR))
    operator = ProfileOperator(rules.visitor_rules(), Decider(book()))
    host = group(operator, folder=tmp_path)
    host.take(share(event(BEGIN_AT, f"visitor-{i}") for i in range(300)))
    before: tuple[bytes, dict[str, bytes]] | None = None
    generations = set()
    for epoch in range(200):
        at = BEGIN_AT + epoch * HOUR
        for batch in range(0, 30, 5):  # each lets a little be rewritten
            host.take(share((event(at, f"visitor-{(epoch * 7 + batch + i) % 300}") for i in range(5)), at - 1))
        checkpoint, rest = host.snapshot(), dict(host.states.rest)
        live_bytes = sum(len(key) + len(raw) + 16 for key, raw in rest.items())
        sizes = [path.stat().st_size for path in tmp_path.glob("*.log")]
        # The file that has just been rewritten stays for two checkpoints, to which an epoch adds what it has changed.
        added_bytes = 30 * max(len(key) + len(raw) + 16 for key, raw in rest.items())
        assert max(sizes) <= 2 * (live_bytes + added_bytes)
        assert len(sizes) <= 3
        generations.add(msgspec.msgpack.decode(checkpoint)[2])
        for resume, states in [(checkpoint, rest), *([before] if before else [])]:
            assert resumed_elsewhere(tmp_path, resume) == states
        before = checkpoint, rest
    assert len(generations) > 5


def test_forgotten_profiles_leave_the_folder(tmp_path: Path) -> None:
    """
    Ten thousand visitors who come once and expire leave no more behind than a hundred do.
    """
    host = group(folder=tmp_path)
    for day in range(100):
        at = BEGIN_AT + day * DAY
        host.take(share((event(at, f"visitor-{day}-{i}") for i in range(100)), at - 1))
        host.snapshot()
    for day in range(100, 110):
        host.take(share([event(BEGIN_AT + day * DAY, f"last-{day}")], BEGIN_AT + day * DAY))
        host.snapshot()

    assert sum(path.stat().st_size for path in tmp_path.glob("*.log")) < 12_000
    assert sorted(host.states.rest) == ["last-107", "last-108", "last-109"]


def resumed_elsewhere(folder: Path, checkpoint: bytes) -> dict[str, bytes]:
    """Resume a group from a copy of its folder; return its states."""
    with TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        return group(KEPT, folder=Path(copy), resume=checkpoint).states.rest
