"""Caps: the last contact that is allowed and the next, and that in no order of decisions there is one too many."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.zones import rules_of
from operators.caps import Cap, exceeded, kept
from operators.contacts import Book, Contacts, Send
from operators.local_time import DAY_MS, HOUR_MS, MINUTE_MS, Zone, local_day, local_week

BERLIN = Zone("Europe/Berlin", rules_of("Europe/Berlin"))
APIA = Zone("Pacific/Apia", rules_of("Pacific/Apia"))
MONDAY = round(datetime(2026, 11, 23, tzinfo=UTC).timestamp() * 1_000)
HALF_AN_HOUR = 30 * MINUTE_MS

ONE_LETTER = Cap("channel", "email", 1, per_ms=HALF_AN_HOUR)
TWO_A_DAY = Cap("all", "", 2, "local_day")
THREE_A_WEEK = Cap("all", "", 3, "local_week")


def send(at: int, id_: str = "new", channel: str = "email", family: str = "cart", action: str = "") -> Send:
    return Send(at, id_, channel, family, action or f"{family}_{channel}")


class Person:
    """Somebody who is contacted, under caps that hold for every send."""

    def __init__(self, *caps: Cap, zone: Zone = BERLIN, keep_ms: int = 60 * DAY_MS) -> None:
        self.caps = caps
        self.book = Book(keep_ms, kept(caps))
        self.contacts = Contacts()
        self.zone = zone

    def gets(self, *sends: Send) -> "Person":
        for one in sends:
            self.book.send(self.contacts, one)
        return self

    def held(self, one: Send) -> Cap | None:
        return exceeded(self.contacts, self.caps, one, self.zone, self.book.keep_ms)


def test_half_an_hour_is_over_after_half_an_hour() -> None:
    """
    29:59.999 after a letter the next one is held, 30:00 after it not.
    """
    mara = Person(ONE_LETTER).gets(send(MONDAY, "t1"))
    assert mara.held(send(MONDAY + HALF_AN_HOUR - 1)) is ONE_LETTER
    assert mara.held(send(MONDAY + HALF_AN_HOUR)) is None


def test_the_last_of_a_cap_goes_and_the_next_is_held() -> None:
    """
    Three within a week of rolling days: the third goes, the fourth goes when the first is a week ago.
    """
    cap = Cap("all", "", 3, per_ms=7 * DAY_MS)
    mara = Person(cap).gets(send(MONDAY, "t1"), send(MONDAY + DAY_MS, "t2"))
    assert mara.held(send(MONDAY + 2 * DAY_MS)) is None
    mara.gets(send(MONDAY + 2 * DAY_MS, "t3"))
    assert mara.held(send(MONDAY + 7 * DAY_MS - 1)) is cap
    assert mara.held(send(MONDAY + 7 * DAY_MS)) is None


def test_what_is_decided_late_counts_what_was_sent_since() -> None:
    """
    A letter whose cause is from 10:00 comes to be decided after that of 10:20: it is one too many; of 09:50 it is not.
    """
    mara = Person(ONE_LETTER).gets(send(MONDAY + 20 * MINUTE_MS, "t1"))
    assert mara.held(send(MONDAY)) is ONE_LETTER
    assert mara.held(send(MONDAY - 10 * MINUTE_MS)) is None


def test_a_late_decision_between_two_letters_makes_three() -> None:
    """
    Two in any half an hour: with letters at 10:00 and 10:30 one of 10:20 goes, for no span of less has all three; with
    the second a millisecond earlier it is held.
    """
    cap = Cap("all", "", 2, per_ms=HALF_AN_HOUR)
    for second, reason in ((HALF_AN_HOUR, None), (HALF_AN_HOUR - 1, cap)):
        mara = Person(cap).gets(send(MONDAY, "t1"), send(MONDAY + second, "t2"))
        assert mara.held(send(MONDAY + 20 * MINUTE_MS)) is reason


def test_a_day_is_that_of_the_person() -> None:
    """
    Two a day: the third is held until 23:59:59.999 in Berlin, and goes at midnight there, an hour before UTC's.
    """
    noon = MONDAY + 12 * HOUR_MS
    mara = Person(TWO_A_DAY).gets(send(noon, "t1"), send(noon + 1, "t2"))
    midnight = MONDAY + 23 * HOUR_MS
    assert mara.held(send(midnight - 1)) is TWO_A_DAY
    assert mara.held(send(midnight)) is None
    # Berlin's day began an hour before UTC's, and with it the count.
    assert mara.held(send(MONDAY - HOUR_MS)) is TWO_A_DAY
    assert mara.held(send(MONDAY - HOUR_MS - 1)) is None
    # What was sent at midnight is of the next day, for a late decision of this one too.
    night = Person(TWO_A_DAY).gets(send(midnight, "t1"), send(midnight, "t2"))
    assert night.held(send(midnight - 1)) is None
    assert night.held(send(midnight)) is TWO_A_DAY


def test_a_day_of_25_hours_has_one_cap() -> None:
    """
    The last Sunday of October: 23:59:59.999 is 25 hours after its beginning less a millisecond.
    """
    sunday = round(datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp() * 1_000)
    mara = Person(TWO_A_DAY).gets(send(sunday, "t1"), send(sunday, "t2"))
    assert mara.held(send(sunday + 25 * HOUR_MS - 1)) is TWO_A_DAY
    assert mara.held(send(sunday + 25 * HOUR_MS)) is None


def test_a_week_is_from_monday_to_sunday() -> None:
    """
    Three a week: the fourth is held on Sunday at 23:59:59.999, and goes on Monday at midnight.
    """
    monday = MONDAY - HOUR_MS
    mara = Person(THREE_A_WEEK).gets(*[send(monday + n * DAY_MS, f"t{n}") for n in range(3)])
    assert mara.held(send(monday + 7 * DAY_MS - 1)) is THREE_A_WEEK
    assert mara.held(send(monday + 7 * DAY_MS)) is None


def test_a_scope_counts_its_own() -> None:
    """
    A letter counts against caps on e-mail, its action, its family and all; an SMS of another family against the last.
    """
    letter = send(MONDAY, "t1", "email", "cart", "cart_mail")
    sms = send(MONDAY, "t2", "sms", "offer", "offer_sms")
    cases = [
        (Cap("channel", "email", 1, per_ms=DAY_MS), True, False),
        (Cap("action", "cart_mail", 1, per_ms=DAY_MS), True, False),
        (Cap("family", "cart", 1, per_ms=DAY_MS), True, False),
        (Cap("channel", "", 1, per_ms=DAY_MS), True, False),
        (Cap("action", "", 1, per_ms=DAY_MS), True, False),
        (Cap("family", "", 1, per_ms=DAY_MS), True, False),
        (Cap("all", "", 1, per_ms=DAY_MS), True, True),
    ]
    again = send(MONDAY + 1, "new", "email", "cart", "cart_mail")
    for cap, by_letter, by_sms in cases:
        assert (Person(cap).gets(letter).held(again) is cap) == by_letter
        assert (Person(cap).gets(sms).held(again) is cap) == by_sms


def test_a_cap_on_sms_does_not_hold_a_letter() -> None:
    """
    Though it is reached: it is not about letters.
    """
    cap = Cap("channel", "sms", 1, per_ms=DAY_MS)
    mara = Person(cap).gets(send(MONDAY, "t1", "sms"))
    assert mara.held(send(MONDAY + 1, channel="sms")) is cap
    assert mara.held(send(MONDAY + 1, channel="email")) is None


def test_what_is_transactional_neither_counts_nor_is_held() -> None:
    """
    An order is confirmed whatever else was sent, and a reminder goes whatever was confirmed.
    """
    mara = Person(ONE_LETTER).gets(Send(MONDAY, "c1", "email", "order", "confirmation", exempt=True))
    assert mara.held(send(MONDAY + 1)) is None
    mara.gets(send(MONDAY + 1, "t1"))
    assert mara.held(Send(MONDAY + 2, "c2", "email", "order", "confirmation", exempt=True)) is None


def test_what_failed_does_not_count() -> None:
    """
    The letter bounced: the next one may go; so it may if the bounce was known before the letter, or on the other half
    of the person.
    """
    mara = Person(ONE_LETTER).gets(send(MONDAY, "t1"))
    mara.book.forget(mara.contacts, "t1", MONDAY + 9_000)
    assert mara.held(send(MONDAY + 10_000)) is None

    late = Person(ONE_LETTER)
    late.book.forget(late.contacts, "t1", MONDAY + 9_000)
    assert late.gets(send(MONDAY, "t1")).held(send(MONDAY + 10_000)) is None

    half, other = Person(ONE_LETTER).gets(send(MONDAY, "t1")), Person(ONE_LETTER)
    other.book.forget(other.contacts, "t1", MONDAY + 9_000)
    half.book.union(half.contacts, other.contacts)
    assert half.held(send(MONDAY + 10_000)) is None
    half.book.union(half.contacts, Person(ONE_LETTER).gets(send(MONDAY, "t1")).contacts)
    assert half.held(send(MONDAY + 10_000)) is None


def test_nobody_is_counted_twice() -> None:
    """
    Both halves of a person know of a letter: it is one. And a trigger that is decided anew is not in its own way.
    """
    cap = Cap("all", "", 2, per_ms=DAY_MS)
    mara, half = Person(cap).gets(send(MONDAY, "t1")), Person(cap).gets(send(MONDAY, "t1"))
    mara.book.union(mara.contacts, half.contacts)
    assert mara.held(send(MONDAY + 1)) is None
    mara.gets(send(MONDAY + 1, "t2"))
    assert mara.held(send(MONDAY + 2, "t2")) is None
    assert mara.held(send(MONDAY + 2, "t3")) is cap


def test_two_halves_of_a_person_count_together() -> None:
    """
    One letter as a visitor's lead of old, one since: with both known the cap of two is reached.
    """
    cap = Cap("all", "", 2, per_ms=DAY_MS)
    mara, half = Person(cap).gets(send(MONDAY, "t1")), Person(cap).gets(send(MONDAY + 1, "t2", "sms"))
    assert mara.held(send(MONDAY + 2)) is None
    mara.book.union(mara.contacts, half.contacts)
    assert mara.held(send(MONDAY + 2)) is cap


def test_the_first_cap_in_the_list_is_the_reason() -> None:
    """
    Of two that hold.
    """
    mara = Person(TWO_A_DAY, ONE_LETTER).gets(send(MONDAY, "t1"))
    assert mara.held(send(MONDAY + 1)) is ONE_LETTER
    mara.gets(send(MONDAY + 1, "t2"))
    assert mara.held(send(MONDAY + 2)) is TWO_A_DAY


def test_where_memory_ends_a_cap_holds() -> None:
    """
    More prompts than are remembered, then a letter whose cap of a month would have to count them: held until the last
    that was dropped is a month ago. A cap that reaches less far back, or is not about prompts, does not care.
    """
    month, day = Cap("all", "", 100, per_ms=30 * DAY_MS), Cap("all", "", 100, per_ms=DAY_MS)
    letters = Cap("channel", "email", 100, per_ms=30 * DAY_MS)
    count = kept([month]) + 1
    mara = Person(month).gets(*[send(MONDAY + n * HOUR_MS, f"t{n}", "onsite", "offer") for n in range(count)])
    two_days = MONDAY + count * HOUR_MS + 2 * DAY_MS
    assert exceeded(mara.contacts, [month], send(two_days), BERLIN, mara.book.keep_ms) is month
    assert exceeded(mara.contacts, [day], send(two_days), BERLIN, mara.book.keep_ms) is None
    assert exceeded(mara.contacts, [letters], send(two_days), BERLIN, mara.book.keep_ms) is None

    dropped = Cap("all", "", 100, per_ms=30 * DAY_MS)
    few = Person(dropped).gets(*[send(MONDAY, f"t{n}", "onsite", "offer") for n in range(3)])
    next(iter(few.contacts.lines.values())).dropped_at = MONDAY - 1
    assert few.held(send(MONDAY + 30 * DAY_MS - 2)) is dropped
    assert few.held(send(MONDAY + 30 * DAY_MS - 1)) is None


def test_a_decision_from_before_memory_is_held() -> None:
    """
    What is decided so late that its contacts are forgotten; the instant that is just remembered is not.
    """
    mara = Person(ONE_LETTER, keep_ms=DAY_MS).gets(send(MONDAY, "t1", "sms"))
    oldest = MONDAY - DAY_MS + HALF_AN_HOUR - 1
    assert mara.held(send(oldest)) is None
    assert mara.held(send(oldest - 1)) is ONE_LETTER


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("profile", "", 1, "rolling", 1), "scope is 'profile' but must be one of channel, action, family, all"),
        (("all", "email", 1, "rolling", 1), "a cap on all has the name 'email'"),
        (("all", "", 1, "day", 0), "period is 'day' but must be one of rolling, local_day, local_week"),
        (("all", "", 0, "rolling", 1), "limit is 0 but must be 1 to 100"),
        (("all", "", 101, "rolling", 1), "limit is 101 but must be 1 to 100"),
        (("all", "", 1, "rolling", 0), "duration is 0 ms"),
        (("all", "", 1, "local_day", 1), "duration is 1 ms"),
    ],
)
def test_what_is_no_cap_is_said(args: tuple[str, str, int, str, int], complaint: str) -> None:
    """
    With what was told and what it should be.
    """
    with pytest.raises(ValueError, match=complaint):
        Cap(*args)


caps = st.lists(
    st.one_of(
        st.builds(
            lambda scope, name, limit, per: Cap(scope, name, limit, per_ms=per),
            st.sampled_from(["channel", "family"]),
            st.just(""),
            st.integers(1, 3),
            st.integers(1, 20),
        ),
        st.builds(lambda limit, per: Cap("all", "", limit, per_ms=per), st.integers(1, 3), st.integers(1, 20)),
        st.sampled_from([Cap("all", "", 2, "local_day"), Cap("channel", "sms", 1, "local_week")]),
    ),
    min_size=1,
    max_size=4,
)
# Within some ms, and round the midnight in which a day of Samoa was left out.
LEFT_OUT = round(datetime(2011, 12, 30, 10, tzinfo=UTC).timestamp() * 1_000)
wanted = st.lists(
    st.builds(
        send,
        st.integers(LEFT_OUT - 25, LEFT_OUT + 25) | st.integers(LEFT_OUT - 9 * DAY_MS, LEFT_OUT + 9 * DAY_MS),
        st.integers(0, 40).map(str),
        st.sampled_from(["email", "sms"]),
        st.sampled_from(["cart", "offer"]),
    ),
    max_size=25,
    unique_by=lambda one: one.trigger_id,
)


def matching(cap: Cap, mine: Send, sent: Sequence[Send]) -> list[int]:
    """When contacts were that a cap counts for one of them, in order."""

    def counted(one: Send) -> str:
        return one.channel if cap.scope == "channel" else one.family if cap.scope == "family" else ""

    return sorted(one.at for one in sent if counted(one) == (cap.name or counted(mine)))


@given(caps, wanted, st.booleans())
def test_no_cap_is_ever_exceeded(told: list[Cap], wishes: list[Send], is_halved: bool) -> None:  # noqa: FBT001
    """
    Whatever is wanted in whatever order of instants, and with the memory in two halves, united for each decision: no
    span of a cap's length holds more than its limit, and no local day or week.
    """
    person, other = Person(*told, zone=APIA), Person(*told, zone=APIA)
    sent: list[Send] = []
    for n, one in enumerate(wishes):
        whole = Person(*told, zone=APIA)
        whole.book.union(whole.contacts, person.contacts)
        whole.book.union(whole.contacts, other.contacts)
        if whole.held(one) is None:
            (other if is_halved and n % 2 else person).gets(one)
            sent.append(one)
    for cap in told:
        for one in sent:
            if cap.name and one.channel != cap.name:
                continue
            instants = matching(cap, one, sent)
            if cap.period == "rolling":
                assert len([at for at in instants if one.at <= at < one.at + cap.per_ms]) <= cap.limit
            else:
                start, end = (local_day if cap.period == "local_day" else local_week)(one.at, APIA)
                assert len([at for at in instants if start <= at < end]) <= cap.limit


@given(caps, wanted)
def test_nothing_is_held_that_would_exceed_no_cap(told: list[Cap], wishes: list[Send]) -> None:
    """
    The other half: with what was held sent all the same, some span or day would hold one too many.
    """
    person, sent = Person(*told, zone=APIA), []
    for one in wishes:
        cap = person.held(one)
        if cap is None:
            person.gets(one)
            sent.append(one)
            continue
        instants = matching(cap, one, [*sent, one])
        if cap.period == "rolling":
            spans = [(at, at + cap.per_ms) for at in instants]
        else:
            spans = [(local_day if cap.period == "local_day" else local_week)(one.at, APIA)]
        assert max(len([at for at in instants if start <= at < end]) for start, end in spans) > cap.limit
