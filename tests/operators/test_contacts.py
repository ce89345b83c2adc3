"""What is remembered of contacts: bounded, packed, and the same however the memories of one person come together."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.attribution import Attribution, Credit, Orders
from operators.attribution import unpack as unpack_orders
from operators.consent import ConsentRules, Consents
from operators.consent import unpack as unpack_consents
from operators.contacts import KEPT_MIN, TOUCHES, Book, Contacts, Send, unpack
from operators.ids import digest
from operators.recent import Recent
from operators.recent import unpack as unpack_recent
from tests.story import DAY_1, DAY_MS

BOOK = Book(30 * DAY_MS, 3)
SALES = Attribution({("email", "clicked"): 5 * DAY_MS, ("email", "opened"): 2 * DAY_MS})
CONSENT = ConsentRules({}, frozenset())

Act = tuple[str, Any]

instants = st.integers(DAY_1, DAY_1 + 60 * DAY_MS) | st.integers(DAY_1, DAY_1 + 9)
ids = st.sampled_from([digest("t", n) for n in range(6)] + ["from outside", "A" * 32, "x" * 32])
acts = st.one_of(
    st.tuples(
        st.just("send"), st.tuples(instants, ids, st.sampled_from(["email", "sms"]), st.sampled_from(["cart", "offer"]))
    ),
    st.tuples(st.just("fail"), st.tuples(instants, ids)),
    st.tuples(st.just("touch"), st.tuples(instants, ids, st.sampled_from(TOUCHES))),
    st.tuples(st.just("fire"), st.tuples(instants, st.sampled_from(["", "p1", "p2"]))),
)
many = st.lists(acts, max_size=12)


def memory(told: Sequence[Act]) -> Contacts:
    contacts = Contacts()
    for what, args in told:
        match what, args:
            case "send", (at, id_, channel, family):
                BOOK.send(contacts, Send(at, id_, channel, family, family + "_mail"))
            case "fail", (at, id_):
                BOOK.forget(contacts, id_, at)
            case "touch", (at, id_, kind):
                BOOK.touch(contacts, kind, id_, at)
            case "fire", (at, about):
                BOOK.fire(contacts, "offer", about, at)
    return contacts


def seen(contacts: Contacts) -> dict[Any, Any]:
    return {key: (line.entries, line.dropped_at) for key, line in contacts.lines.items()}


def united(*parts: Contacts) -> Contacts:
    whole = Contacts()
    for part in parts:
        BOOK.union(whole, part)
    return whole


def at_rest(row: object) -> Any:  # noqa: ANN401 -- what msgpack gives back
    """A row as it comes back from a changelog."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(row))


@given(many, many, many)
def test_memories_of_one_person_unite_to_the_same(a: list[Act], b: list[Act], c: list[Act]) -> None:
    """
    In any order, any grouping, any number of times; and as if one profile had seen it all.
    """
    whole = seen(united(memory(a), memory(b), memory(c)))
    assert seen(united(memory(c), memory(a), memory(b))) == whole
    assert seen(united(memory(a), united(memory(b), memory(c)))) == whole
    assert seen(united(memory(a), memory(b), memory(c), memory(b), memory(a))) == whole
    assert seen(memory(a + b + c)) == whole


@given(many, st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(told: list[Act], chance: Any) -> None:  # noqa: ANN401 -- Hypothesis' own
    """
    What is dropped for being too much or too old is the same too.
    """
    shuffled = list(told)
    chance.shuffle(shuffled)
    assert seen(memory(shuffled)) == seen(memory(told))


@given(many, st.integers(DAY_1 - DAY_MS, DAY_1 + 90 * DAY_MS))
def test_a_memory_comes_back_from_rest_as_it_was(told: list[Act], base: int) -> None:
    """
    Whatever the base, ids that are digests, that look like some and that come from outside.
    """
    contacts = memory(told)
    assert seen(unpack(at_rest(contacts.pack(base)), base)) == seen(contacts)


@given(st.lists(st.tuples(instants, ids), max_size=20), instants)
def test_of_too_much_the_oldest_goes_and_how_old_is_told(told: list[tuple[int, str]], since: int) -> None:
    """
    What is left are the newest that are not too old; `dropped_at` is the latest of the others that were not.
    """
    recent = Recent()
    for at, text in told:
        recent.add(at, text)
        recent.shorten(4, since)
    young = sorted({one for one in told if one[0] >= since})
    assert recent.entries == young[-4:]
    assert recent.dropped_at == max([at for at, _ in young[:-4]], default=-1)
    halves = Recent(), Recent()
    for n, (at, text) in enumerate(told):
        halves[n % 2].add(at, text)
    whole = Recent()
    for half in halves:
        whole.union(half)
    whole.shorten(4, since)
    back = unpack_recent(at_rest(recent.pack(since)), since)
    assert whole.entries == back.entries == recent.entries
    assert whole.dropped_at == back.dropped_at == recent.dropped_at


def test_a_memory_is_bounded() -> None:
    """
    Of a line the newest fifty, and nothing that is older than is asked for; an empty line is not there.
    """
    contacts = Contacts()
    book = Book(BOOK.keep_ms, KEPT_MIN)
    for n in range(200):
        book.touch(contacts, "opened", str(n), DAY_1 + n)
    assert len(contacts.of("opened")) == KEPT_MIN
    BOOK.touch(contacts, "clicked", "t", DAY_1 + 30 * DAY_MS + 199)
    assert contacts.of("opened") == [(DAY_1 + 199, "199")]
    BOOK.touch(contacts, "clicked", "t", DAY_1 + 30 * DAY_MS + 200)
    assert set(contacts.lines) == {("clicked", "", "", "")}


def test_what_happens_to_a_letter_takes_27_bytes() -> None:
    """
    One a week of two actions, all delivered and opened, remembered for 30 days and for a year.
    """
    sizes = []
    for keep_ms in (30 * DAY_MS, 400 * DAY_MS):
        book, contacts = Book(keep_ms, 50), Contacts()
        for week in range(52):
            at, id_ = DAY_1 + week * 7 * DAY_MS, digest("t", week)
            book.send(contacts, Send(at, id_, "email", "news", f"news_{week % 2}"))
            book.touch(contacts, "delivered", id_, at + 5_000)
            book.touch(contacts, "opened", id_, at + 3_600_000)
        sizes.append(len(msgspec.msgpack.encode(contacts.pack(contacts.latest_at))))
    assert sizes[0] < 5 * 3 * 27 + 50
    assert sizes[1] < 52 * 3 * 27


def test_what_is_no_outcome_is_a_bug() -> None:
    """
    Kinds are ours: who enters another has mistyped one.
    """
    with pytest.raises(AssertionError, match="bounced is no outcome"):
        BOOK.touch(Contacts(), "bounced", "t", DAY_1)


words = st.lists(
    st.tuples(
        st.sampled_from(["email", "sms", "marketing", "email:marketing", "all", "all:service", "whatever", "x:y"]),
        instants,
        st.booleans(),
    ),
    max_size=10,
)


@given(words, words, words)
def test_consents_of_one_person_unite_to_the_same(
    a: list[tuple[str, int, bool]], b: list[tuple[str, int, bool]], c: list[tuple[str, int, bool]]
) -> None:
    """
    In any order, any grouping and any number of times, at rest or not.
    """

    def said(*lists: list[tuple[str, int, bool]]) -> Consents:
        consents = Consents()
        for told in lists:
            for name, at, given_ in told:
                CONSENT.learn(consents, name, at, given_)
        return unpack_consents(at_rest(consents.pack(DAY_1)), DAY_1)

    def both(one: Consents, other: Consents) -> Consents:
        CONSENT.union(one, other)
        return one

    whole = said(a, b, c).words
    assert both(said(a), both(said(b), said(c))).words == whole
    assert both(both(said(c), said(a)), both(said(b), said(c))).words == whole
    assert said(list(reversed(c)), b, a).words == whole


near = st.integers(DAY_1 + 24 * DAY_MS, DAY_1 + 31 * DAY_MS) | st.integers(DAY_1 + 30 * DAY_MS - 2, DAY_1 + 30 * DAY_MS)
few = st.sampled_from(["t1", "t2", "t3"])
sales = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.tuples(near, st.sampled_from(["o1", "o2"]))),
        st.tuples(st.just("cancel"), st.tuples(near, st.sampled_from(["o1", "o2", "o3"]))),
        st.tuples(st.just("touch"), st.tuples(near, few, st.sampled_from(["opened", "clicked"]))),
        st.tuples(st.just("send"), st.tuples(near, few, st.just("email"), st.just("cart"))),
    ),
    max_size=12,
)


class Ledger:
    """Who reads credits: for each order the one with the latest touch, none once it is taken back."""

    def __init__(self) -> None:
        self.credits: dict[str, tuple[int, str, str]] = {}
        self.taken_back: set[str] = set()

    def read(self, told: list[Credit]) -> None:
        for one in told:
            if not one.trigger_id:
                self.taken_back.add(one.order_id)
            else:
                new = (one.touched_at, one.touch, one.trigger_id)
                rank = (one.touched_at, TOUCHES.index(one.touch), one.trigger_id)
                old = self.credits.get(one.order_id)
                if old is None or rank > (old[0], TOUCHES.index(old[1]), old[2]):
                    self.credits[one.order_id] = new

    def standing(self) -> dict[str, tuple[int, str, str]]:
        return {id_: told for id_, told in self.credits.items() if id_ not in self.taken_back}


def sold(told: Sequence[Act], ledger: Ledger) -> tuple[Orders, Contacts]:
    """Live through it, telling credits as they come to be. An order is at one instant, however often it is told."""
    orders, contacts, book = Orders(), Contacts(), Book(400 * DAY_MS, 50)
    for what, args in told:
        match what, args:
            case "order", (at, id_):
                SALES.order(orders, id_, DAY_1 + 30 * DAY_MS - int(id_ == "o1"), 9.5, "EUR")
            case "cancel", (at, id_):
                SALES.cancel(orders, id_, at)
            case "touch", (at, id_, kind):
                book.touch(contacts, kind, id_, at)
            case "send", (at, id_, channel, family):
                book.send(contacts, Send(at, id_, channel, family, "cart_mail"))
        ledger.read(SALES.settle(orders, contacts))
        orders = unpack_orders(at_rest(orders.pack(DAY_1)), DAY_1)
    return orders, contacts


@given(sales, sales, st.randoms(use_true_random=False))
def test_credits_do_not_depend_on_what_is_known_first(a: list[Act], b: list[Act], chance: Any) -> None:  # noqa: ANN401
    """
    Lived through by one profile in any order, or by two that turn out to be one: the same credits stand.
    """
    told = a + b
    whole = Ledger()
    sold(told, whole)
    shuffled = list(told)
    chance.shuffle(shuffled)
    again = Ledger()
    sold(shuffled, again)
    assert again.standing() == whole.standing()

    half, parted = len(told) // 2, Ledger()
    (orders, contacts), (others, known) = sold(told[:half], parted), sold(told[half:], parted)
    rest = others.pack(DAY_1)
    SALES.union(others, orders)
    SALES.union(orders, unpack_orders(at_rest(rest), DAY_1))
    assert others.pack(DAY_1) == orders.pack(DAY_1)
    Book(400 * DAY_MS, 50).union(contacts, known)
    parted.read(SALES.settle(orders, contacts))
    assert parted.standing() == whole.standing()
