"""
Requests to show, export, erase and split what is known of somebody, performed by the running pipeline: on the
embedded store and on Redis.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from config.durations import DAY, HOUR, MINUTE
from connectors.batches import RawBatch
from operators.event import FOREVER
from pipeline.ports import IdentityStore
from tests.connectors.identity import Told, rules_for
from tests.pipeline.helpers import BEGIN_AT, SMALL, Chain
from tests.services.redis import RedisServer

CONTROL: Final = "cx.control.v1"
MAIL: Final = "mara@example.org"


class Desk:
    """A pipeline, what is sent to it, and what it says."""

    def __init__(self, connect: Callable[[], IdentityStore | None], folder: Path) -> None:
        self._connect, self._folder = connect, folder
        self._lines = self._requests = 0
        self._saved: dict[str, dict[str, bytes]] = {}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.chain = self._started()

    def _started(self) -> Chain:
        return Chain(SMALL, ["shop/0"], self._folder, self._saved, self._connect(), control=CONTROL)

    def event(self, minute: float, kind: str = "page_viewed", **told: object) -> None:
        """Something happens, so many minutes after the beginning."""
        self._lines += 1
        line = {"kind": kind, "occurred_at": BEGIN_AT + round(minute * MINUTE), "event_id": f"e{self._lines}", **told}
        self.told += self.chain.take([RawBatch("shop/0", [json.dumps(line).encode()], self._lines, is_marked=True)])

    def asks(self, minute: float, request: str, **identifiers: object) -> list[dict[str, Any]]:
        """Somebody requests something; return the answers, as they come with time."""
        self._requests += 1
        whose = {type_: value if isinstance(value, list) else [value] for type_, value in identifiers.items()}
        line = {"request": request, "id": f"r{self._requests}", "identifiers": whose}
        came_at, place = [BEGIN_AT + round(minute * MINUTE)], f"{CONTROL}/0"
        raw = RawBatch(place, [json.dumps(line).encode()], self._requests, came_at=came_at, is_sent=True)
        told = self.chain.take([raw])
        told += self.chain.take([RawBatch("shop/0", [], self._lines + 1, is_marked=True)])
        self.told += told
        return [event["data"] for stream, event in told if stream == "answers"]

    def ask(self, minute: float, request: str, **identifiers: object) -> dict[str, Any]:
        """The same, with the only answer."""
        (answer,) = self.asks(minute, request, **identifiers)
        return answer

    def end(self) -> None:
        """All that is due comes about."""
        self.told += self.chain.take([RawBatch("shop/0", [], self._lines + 1, complete=FOREVER, is_marked=True)])
        self.told += self.chain.end()

    def checkpoint(self) -> None:
        for name, keys in self.chain.snapshot().items():
            self._saved.setdefault(name, {}).update(keys)

    def restarts(self) -> None:
        """The process stops and goes on from its last checkpoint."""
        self.checkpoint()
        del self.chain
        self.chain = self._started()

    def of(self, stream: str) -> list[dict[str, Any]]:
        return [event["data"] for name, event in self.told if name == stream]

    def whose(self, **told: object) -> str:
        """Return the profile that an identifier leads to."""
        answer = self.ask(10_000, "show", **told)
        profile_id: str = answer["profile_id"]
        return profile_id

    def abandoned(self) -> list[str]:
        """Return who is told that they have forgotten something."""
        return [data["profile_id"] for data in self.of("triggers") if data["action"] == "cart_abandoned"]

    def kept(self) -> bytes:
        """Return all that lies in the folder."""
        return b"".join(path.read_bytes() for path in sorted(self._folder.rglob("*")) if path.is_file())


@pytest.fixture(params=["embedded", "redis"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """A pipeline on each kind of store."""
    if request.param == "embedded":
        made = Desk(lambda: None, tmp_path)
        yield made
        have_ids_of_their_own(made.told)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    told, rules = Told(), rules_for(server.url)
    made = Desk(lambda: told.connect(rules), tmp_path)
    yield made
    told.close()
    have_ids_of_their_own(made.told)


def have_ids_of_their_own(told: list[tuple[str, dict[str, Any]]]) -> None:
    """
    No two records of the identity topic are one to a subscriber.
    """
    ids = [event["id"] for stream, event in told if stream == "identity"]
    assert len(ids) == len(set(ids))


def fills_a_cart(desk: Desk, minute: float, device: str = "d1", **told: object) -> None:
    desk.event(minute, "product_added", anonymous_id=device, items=[{"product_id": "p1", "price": 5}], **told)


def test_who_is_unknown_is_said_so(desk: Desk) -> None:
    """
    By any kind of identifier.
    """
    assert desk.ask(1, "show", email=MAIL)["outcome"] == "unknown"
    assert desk.ask(1, "export", profile_id="lead-0123")["outcome"] == "unknown"
    assert desk.ask(1, "erase", user_id="mara")["outcome"] == "unknown"
    assert desk.ask(1, "unmerge", user_id="mara")["outcome"] == "unknown"


def test_a_lead_is_shown_by_each_of_its_names(desk: Desk) -> None:
    """
    What the store and the state know, in numbers; exported, in full.
    """
    desk.event(0, "identified", anonymous_id="d1", user_id="mara", email=MAIL, phone="+4915112345678")
    fills_a_cart(desk, 1)
    names = {"user_id": "mara", "email": MAIL.upper(), "phone": "+49 151 12345678", "anonymous_id": "d1"}
    found = [desk.ask(2, "show", **{type_: value}) for type_, value in names.items()]
    assert len({answer["profile_id"] for answer in found}) == 1
    assert desk.ask(2, "show", profile_id=found[0]["profile_id"])["state"] == found[0]["state"]
    assert found[0]["outcome"] == "done"
    assert len(found[0]["identity"]["identifiers"]) == 4
    assert found[0]["state"]["anonymous_ids"] == ["d1"]
    assert found[0]["state"]["emails"] == [MAIL]
    assert found[0]["state"]["events_held"] + found[0]["state"]["carts"] >= 1
    desk.event(5, anonymous_id="d9")
    desk.event(30, anonymous_id="d9")
    exported = desk.ask(31, "export", email=MAIL)["state"]
    assert exported["carts"][0]["lines"] == [{"product_id": "p1", "quantity": 1.0, "price": 5.0, "name": ""}]


def test_a_visitor_is_shown_by_its_device(desk: Desk) -> None:
    """
    Of whom no name is known.
    """
    desk.event(0, anonymous_id="d1")
    answer = desk.ask(1, "show", anonymous_id="d1")
    assert (answer["outcome"], answer["profile_id"], answer["state"]["visits"]) == ("done", "d1", 1)


def test_identifiers_of_two_people_are_a_mistake(desk: Desk) -> None:
    """
    Nothing is done: each is to be asked for alone. A number that both have given says neither.
    """
    desk.event(0, "identified", anonymous_id="d1", user_id="mara", phone="+4915112345678")
    desk.event(1, "identified", anonymous_id="d2", user_id="joe", phone="+4915112345678")
    for request in ("show", "erase", "unmerge"):
        assert desk.ask(2, request, user_id=["mara", "joe"])["outcome"] in {"several", "unknown"}
    assert desk.ask(2, "erase", phone="+4915112345678")["outcome"] == "ambiguous"
    assert desk.whose(user_id="mara") != desk.whose(user_id="joe")


@pytest.mark.parametrize("name", ["user_id", "email", "phone", "anonymous_id", "profile_id"])
def test_who_is_erased_is_gone(desk: Desk, name: str) -> None:
    """
    By any of its names: nothing is found, nothing is due any more, topics that are compacted get a tombstone for each
    profile that it was, and neither Redis nor a checkpoint has any of its names.
    """
    desk.event(0, anonymous_id="device-one")
    desk.event(1, "identified", anonymous_id="device-one", email=MAIL)
    desk.event(2, "identified", anonymous_id="device-two", user_id="user-mara")
    desk.event(3, "identified", anonymous_id="device-two", user_id="user-mara", email=MAIL, phone="+4915112345678")
    fills_a_cart(desk, 4, "device-two")
    desk.checkpoint()
    lead = desk.whose(user_id="user-mara")
    names = {
        "user_id": "user-mara",
        "email": MAIL,
        "phone": "+4915112345678",
        "anonymous_id": "device-one",
        "profile_id": lead,
    }
    before = len(desk.told)
    answer = desk.ask(5, "erase", **{name: names[name]})

    assert (answer["outcome"], answer["profile_id"]) == ("done", lead)
    (erased,) = [data for data in desk.of("identity") if data["what"] == "erased"]
    assert erased["profile_id"] == lead
    assert len(erased["leads"]) == 1
    gone = {data["profile_id"] for data in desk.of("profiles") if data["state"] == "erased"}
    assert gone >= {lead, *erased["leads"], "device-one", "device-two"}
    for type_, value in [*names.items(), ("profile_id", erased["leads"][0])]:
        assert desk.ask(6, "show", **{type_: value})["outcome"] == "unknown"
    desk.checkpoint()
    desk.event(7, anonymous_id="somebody-else")
    for _ in range(4):  # an old file is kept until no checkpoint names it any more
        desk.event(8, anonymous_id="somebody-else")
        desk.checkpoint()
    for text in ("device-one", "device-two", "user-mara", MAIL, "15112345678", lead):
        assert text.encode() not in desk.kept(), text
    desk.end()
    published = {stream for stream, event in desk.told[before:] if lead in json.dumps(event)}
    assert published <= {"answers", "identity", "profiles"}
    assert desk.abandoned() == []
    assert desk.chain.tally.imbalance == 0


def test_who_was_erased_may_come_back(desk: Desk) -> None:
    """
    As somebody new, of whom nothing is known: what happens after the erasure is not lost, what happened before it and
    comes later is dropped and counted.
    """
    desk.event(0, "identified", anonymous_id="d1", user_id="mara", email=MAIL)
    fills_a_cart(desk, 1)
    first = desk.whose(user_id="mara")
    assert desk.ask(10, "erase", email=MAIL)["outcome"] == "done"
    fills_a_cart(desk, 9)
    desk.event(10, "identified", anonymous_id="d3", email=MAIL)
    assert desk.chain.tally.erased == 2
    assert desk.ask(11, "show", anonymous_id="d1")["outcome"] == "unknown"
    desk.event(10.0001, "identified", anonymous_id="d1", user_id="mara", email=MAIL)
    fills_a_cart(desk, 9.5)
    assert desk.chain.tally.erased == 3
    again = desk.ask(12, "show", user_id="mara")
    assert again["profile_id"] != first
    assert again["state"]["carts"] + again["state"]["events_held"] == 1  # the identify
    fills_a_cart(desk, 12)
    desk.end()
    assert desk.abandoned() == [again["profile_id"]]
    assert desk.chain.tally.imbalance == 0


def test_an_erasure_outlives_the_process(desk: Desk) -> None:
    """
    Also one after which nothing else came.
    """
    desk.event(0, "identified", anonymous_id="d1", user_id="mara", email=MAIL)
    desk.ask(1, "erase", user_id="mara")
    desk.restarts()
    desk.event(0.5, anonymous_id="d1")
    assert desk.chain.tally.erased == 1
    assert desk.ask(2, "show", email=MAIL)["outcome"] == "unknown"
    desk.event(3, anonymous_id="d1")
    assert desk.ask(4, "show", anonymous_id="d1")["profile_id"] == "d1"


def test_after_a_week_an_erasure_is_not_remembered(desk: Desk) -> None:
    """
    By the next one: what is sent so late makes a visitor as any other.
    """
    desk.ask(1, "erase", anonymous_id=["d1", "d2"])
    desk.ask(1 + 7 * DAY / MINUTE, "erase", anonymous_id="d3")
    desk.event(1, anonymous_id="d1")
    assert desk.chain.tally.erased == 1
    desk.ask(1.001 + 7 * DAY / MINUTE, "erase", anonymous_id="d4")
    desk.event(1, anonymous_id="d2")
    assert desk.chain.tally.erased == 1


def test_a_visitor_is_erased_too(desk: Desk) -> None:
    """
    With its cart.
    """
    desk.event(0, anonymous_id="d1")
    fills_a_cart(desk, 1)
    assert desk.ask(2, "erase", anonymous_id="d1")["profile_id"] == "d1"
    assert desk.ask(3, "show", anonymous_id="d1")["outcome"] == "unknown"
    desk.event(4, anonymous_id="d1")
    desk.end()
    (session,) = desk.of("sessions")
    assert (session["visitor_id"], session["events"]) == ("d1", 1)
    assert desk.of("carts") == []


def family(desk: Desk) -> str:
    """Mara and Kim share a laptop, and Kim's address has become one of Mara's."""
    desk.event(0, "identified", anonymous_id="laptop", user_id="mara", email=MAIL)
    desk.event(1, "identified", anonymous_id="kims", user_id="mara", email="kim@example.org")
    fills_a_cart(desk, 2, "kims")
    desk.event(3, anonymous_id="laptop")
    return desk.whose(user_id="mara")


def test_what_was_put_together_can_be_split(desk: Desk) -> None:
    """
    Kim's address and device leave Mara, with the visit and the cart: it is Kim who is reminded of it.
    """
    mara = family(desk)
    answer = desk.ask(4, "unmerge", email="kim@example.org", anonymous_id="kims")
    kim = answer["other_profile_id"]
    assert (answer["outcome"], answer["profile_id"]) == ("done", mara)
    assert answer["moved"]["sessions"] == 1
    assert answer["stayed"] == ["footprint", "visits"]
    assert kim == desk.whose(email="kim@example.org") == desk.whose(anonymous_id="kims") != mara
    assert desk.whose(user_id="mara") == desk.whose(email=MAIL) == desk.whose(anonymous_id="laptop") == mara
    told = [data for data in desk.of("identity") if data["what"] == "unmerged"]
    assert [(data["profile_id"], data["other_profile_id"]) for data in told] == [(mara, kim)] * 2
    desk.end()
    assert desk.abandoned() == [kim]
    assert {data["profile_id"]: data["visitor_id"] for data in desk.of("sessions")} == {mara: "laptop", kim: "kims"}


def test_a_split_lasts_until_both_are_named_again(desk: Desk) -> None:
    """
    What happened before it and comes later does not undo it, to the millisecond; a later word does.
    """
    mara = family(desk)
    desk.ask(4, "unmerge", email="kim@example.org", anonymous_id="kims")
    kim = desk.whose(anonymous_id="kims")
    desk.event(4, "identified", anonymous_id="kims", user_id="mara", email="kim@example.org")
    assert desk.whose(email="kim@example.org") == desk.whose(anonymous_id="kims") == kim
    rules = {data["rule"] for data in desk.of("identity") if data["what"] == "refused"}
    assert rules == {"unmerged"}
    desk.event(4.0001, "identified", anonymous_id="kims", user_id="mara", email="kim@example.org")
    assert desk.whose(email="kim@example.org") == desk.whose(anonymous_id="kims") == mara
    desk.end()
    assert desk.abandoned() == [mara]


def test_a_device_that_is_split_off_is_a_visitor_again(desk: Desk) -> None:
    """
    What it has done stays, and is said to.
    """
    mara = family(desk)
    answer = desk.ask(4, "unmerge", anonymous_id="kims")
    assert (answer["outcome"], answer["profile_id"]) == ("done", mara)
    desk.event(5, anonymous_id="kims")
    assert desk.whose(anonymous_id="kims") == "kims"
    desk.event(3.5, "identified", anonymous_id="kims", user_id="mara")
    assert desk.whose(anonymous_id="kims") == "kims"
    desk.event(6, "identified", anonymous_id="kims", user_id="mara")
    assert desk.whose(anonymous_id="kims") == mara


def test_leads_who_were_merged_can_be_split(desk: Desk) -> None:
    """
    By a user id, an address and the devices that are the other's; who has been split keeps what protects a person.
    """
    desk.event(0, "identified", anonymous_id="d1", email=MAIL)
    desk.event(1, "identified", anonymous_id="d2", user_id="joe")
    desk.event(2, "consent_withdrawn", anonymous_id="d1", email=MAIL, consents={"email": False})
    desk.event(3, "identified", anonymous_id="d2", user_id="joe", email=MAIL)
    both = desk.whose(user_id="joe")
    assert both == desk.whose(email=MAIL)
    desk.event(40, anonymous_id="d1")
    joe = desk.ask(41, "unmerge", user_id="joe", anonymous_id="d2")["other_profile_id"]
    assert joe not in {"", both}
    fills_a_cart(desk, 42, "d2", user_id="joe", email="joe@example.org")
    assert desk.whose(email="joe@example.org") == joe
    desk.end()
    assert desk.abandoned() == []  # who did not want to be written to


def test_a_request_that_comes_twice_is_done_once(desk: Desk) -> None:
    """
    Whoever sends it may not know whether it arrived.
    """
    family(desk)
    line = {
        "request": "unmerge",
        "id": "twice",
        "identifiers": {"anonymous_id": ["kims"], "email": ["kim@example.org"]},
    }
    raws = [json.dumps(line).encode()] * 2
    raw = RawBatch(f"{CONTROL}/0", raws, 90, came_at=[BEGIN_AT + 5 * MINUTE] * 2, is_sent=True)
    told = desk.chain.take([raw])
    assert [event["data"]["outcome"] for stream, event in told if stream == "answers"] == ["done"]
    assert desk.chain.tally.imbalance == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not_json"),
        (b"[]", "not_an_object"),
        (b"{}", "missing_field"),
        (b'{"request": "show"}', "missing_field"),
        (b'{"request": "destroy", "identifiers": {"email": ["m@x"]}}', "wrong_type"),
        (b'{"request": "show", "identifiers": {"mail": ["m@x"]}}', "wrong_type"),
        (b'{"request": "show", "identifiers": {"email": ["null"]}}', "no_identity"),
        (b'{"request": "show", "identifiers": {}}', "no_identity"),
    ],
)
def test_a_request_that_cannot_be_read_is_a_dead_letter(desk: Desk, line: bytes, reason: str) -> None:
    """
    With its reason, as an event is.
    """
    told = desk.chain.take([RawBatch(f"{CONTROL}/0", [line], 1, came_at=[BEGIN_AT], is_sent=True)])
    assert [(stream, event["data"]["reason"]) for stream, event in told] == [("dead_letters", reason)]
    assert desk.chain.tally.imbalance == 0


def test_what_looks_like_a_request_is_none_among_events(desk: Desk) -> None:
    """
    Whoever can send events cannot erase people.
    """
    desk.event(0, "identified", anonymous_id="d1", user_id="mara")
    line = {"request": "erase", "id": uuid4().hex, "identifiers": {"user_id": ["mara"]}}
    told = desk.chain.take([RawBatch("shop/0", [json.dumps(line).encode()], 50)])
    assert [stream for stream, _ in told] == ["dead_letters"]
    assert desk.ask(2, "show", user_id="mara")["outcome"] == "done"


def test_a_request_is_not_from_the_future(desk: Desk) -> None:
    """
    It would erase what is still to come.
    """
    line = {"request": "erase", "requested_at": BEGIN_AT + HOUR, "identifiers": {"anonymous_id": ["d1"]}}
    raw = RawBatch(f"{CONTROL}/0", [json.dumps(line).encode()], 1, came_at=[BEGIN_AT], is_sent=True)
    desk.told += desk.chain.take([raw])
    desk.event(0.0001, anonymous_id="d1")
    assert desk.chain.tally.erased == 0
    desk.event(0, anonymous_id="d1")
    assert desk.chain.tally.erased == 1
