"""What is kept of sessions that no late event can revise any more."""

from itertools import pairwise

from operators.event import FOREVER
from operators.ids import digest
from operators.past import TEXTS_MAX, Past, unpack
from operators.profile_state import Profile, pack
from operators.session import Session, record_of
from tests.story import DAY_1, DAY_MS

VISITOR = "0d9c2b5e-6f0e-4c55-9a57-5f9a3f6a1b22"


def visit(day: int, **more: object) -> Session:
    """A visit with everything that its record tells."""
    at = DAY_1 + day * DAY_MS
    session = Session(VISITOR, "web", "", at, at + 312_345)
    told = {
        "session_id": digest(VISITOR, "web", at),
        "revision": 2,
        "events": 14,
        "pages": 6,
        "products": 3,
        "entry_url": f"https://shop.example.com/outdoor/tents-and-tarps?page={day}",
        "exit_url": f"https://shop.example.com/checkout/thank-you-{day}",
        "referrer": "https://www.search.example/",
        "campaign": "autumn-sale",
        "orders": 1,
        "order_value": 129.9,
        "currency": "EUR",
    }
    for name, value in (told | more).items():
        setattr(session, name, value)
    return session


def test_a_session_takes_less_than_120_bytes() -> None:
    """
    With long URLs, an order and a campaign; the first takes as much again for what it has in common with others.
    """
    profile = Profile(DAY_1)
    profile.track.past = Past()
    sizes = [len(pack(VISITOR, profile))]
    for day in range(20):
        profile.track.past.add(visit(day))
        sizes.append(len(pack(VISITOR, profile)))
    taken = [after - before for before, after in pairwise(sizes)]
    assert max(taken[1:]) < 120
    assert taken[0] < 240


def test_what_is_told_of_a_session_is_what_was_told() -> None:
    """
    Kept, packed and unpacked, with URLs of one page, of two sites, of none, and an id of the client's: the same record.
    """
    cases = [
        visit(0),
        visit(1, exit_url="https://shop.example.com/outdoor/tents-and-tarps?page=1"),
        visit(2, exit_url="https://pay.example.com/done"),
        visit(3, entry_url="", exit_url="", referrer="", campaign="", currency="", orders=0, order_value=0.0),
        visit(4, entry_url="/a", exit_url="nowhere", order_value=12.0, client_session_id="1795255200"),
    ]
    past = Past()
    for session in reversed(cases):
        past.add(session)
    kept = unpack(past.pack()).sessions()
    assert [record_of(one, "lead") for one in kept] == [record_of(one, "lead") for one in cases]


def test_texts_of_what_was_given_up_go_too() -> None:
    """
    Each visit by a campaign of its own, a hundred of them, twenty kept: what is kept is whole, and of texts not much
    more than these need.
    """
    past = Past()
    for day in range(100):
        past.add(visit(day, campaign=f"campaign-{day}", referrer=f"https://site-{day}.example/"))
        past.shorten(20, -FOREVER)
    assert past.left == 80
    assert [session.campaign for session in past.sessions()] == [f"campaign-{day}" for day in range(80, 100)]
    assert len(past.texts) <= TEXTS_MAX + 2
