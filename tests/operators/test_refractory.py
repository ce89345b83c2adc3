"""How long an action rests: after it was taken, after somebody has said no, and after nobody has answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.contacts import Book, Contacts, Send
from operators.refractory import Refractory, cooling_until, paused
from tests.story import DAY_1, DAY_MS

WEEK_MS = 7 * DAY_MS
BOOK = Book(400 * DAY_MS, 50)

AFTER_A_NO = Refractory("action", 1, DAY_MS, 30 * DAY_MS)
# Pega's example: two ignored within 30 days, 60 days off (domain row 52).
AFTER_TWO_IGNORED = Refractory("family", 2, 30 * DAY_MS, 60 * DAY_MS, ("declined", "ignored"), 3 * DAY_MS)


class Person:
    """Somebody to whom something is sent and who does something about it, by the day."""

    def __init__(self) -> None:
        self.contacts = Contacts()

    def gets(self, day: float, id_: str, family: str = "offer", action: str = "offer_mail") -> "Person":
        at = DAY_1 + round(day * DAY_MS)
        BOOK.send(self.contacts, Send(at, id_, "email", family, action))
        BOOK.touch(self.contacts, "delivered", id_, at)
        return self

    def does(self, day: float, what: str, id_: str) -> "Person":
        BOOK.touch(self.contacts, what, id_, DAY_1 + round(day * DAY_MS))
        return self

    def rests(self, rule: Refractory, at: int, family: str = "offer", action: str = "offer_mail") -> int | None:
        """Until when (ms after the first day) the action rests."""
        pause = paused(self.contacts, rule, action, family, at)
        return None if pause is None else pause.until - DAY_1


def test_after_a_no_there_are_thirty_days_of_rest() -> None:
    """
    From the very instant on, to the last millisecond of the 30th day and no longer.
    """
    mara = Person().gets(0, "t1").does(1, "declined", "t1")
    no = DAY_1 + DAY_MS
    assert mara.rests(AFTER_A_NO, no - 1) is None
    assert mara.rests(AFTER_A_NO, no) == 31 * DAY_MS
    assert mara.rests(AFTER_A_NO, no + 30 * DAY_MS - 1) == 31 * DAY_MS
    assert mara.rests(AFTER_A_NO, no + 30 * DAY_MS) is None


def test_one_ignored_is_none_and_two_are_enough() -> None:
    """
    Delivered on the first and the tenth day, each ignored three days later: from the 13th on 60 days of rest.
    """
    mara = Person().gets(0, "t1")
    assert mara.rests(AFTER_TWO_IGNORED, DAY_1 + 20 * DAY_MS) is None
    mara.gets(10, "t2")
    assert mara.rests(AFTER_TWO_IGNORED, DAY_1 + 13 * DAY_MS - 1) is None
    assert mara.rests(AFTER_TWO_IGNORED, DAY_1 + 13 * DAY_MS) == 73 * DAY_MS
    assert mara.rests(AFTER_TWO_IGNORED, DAY_1 + 73 * DAY_MS - 1) == 73 * DAY_MS
    assert mara.rests(AFTER_TWO_IGNORED, DAY_1 + 73 * DAY_MS) is None


@pytest.mark.parametrize("answer", ["opened", "clicked", "accepted"])
def test_an_answer_in_time_is_none(answer: str) -> None:
    """
    Up to the last millisecond of the three days; at their end it is too late.
    """
    both = Person().gets(0, "t1").gets(10, "t2")
    BOOK.touch(both.contacts, answer, "t2", DAY_1 + 13 * DAY_MS - 1)
    assert both.rests(AFTER_TWO_IGNORED, DAY_1 + 20 * DAY_MS) is None
    late = Person().gets(0, "t1").gets(10, "t2").does(13, answer, "t2").does(15, answer, "t1")
    assert late.rests(AFTER_TWO_IGNORED, DAY_1 + 20 * DAY_MS) == 73 * DAY_MS


def test_a_second_opening_does_not_make_the_first_late() -> None:
    """
    Opened at once, and again a week later: answered.
    """
    silence = Refractory("action", 1, WEEK_MS, WEEK_MS, ("ignored",), DAY_MS)
    mara = Person().gets(0, "t1").does(0.1, "opened", "t1").does(7, "opened", "t1")
    assert mara.rests(silence, DAY_1 + 8 * DAY_MS - 1) is None


def test_what_is_shown_can_be_ignored_too() -> None:
    """
    A prompt that nobody clicks; of one delivered and shown, or delivered twice, the first time counts.
    """
    silence = Refractory("all", 1, WEEK_MS, WEEK_MS, ("ignored",), DAY_MS)
    prompt = Person().does(0, "shown", "p1")
    assert prompt.rests(silence, DAY_1 + DAY_MS - 1) is None
    assert prompt.rests(silence, DAY_1 + DAY_MS) == 8 * DAY_MS
    twice = Person().gets(0, "t1").does(2, "delivered", "t1").does(3, "shown", "t1")
    assert twice.rests(silence, DAY_1 + 5 * DAY_MS) == 8 * DAY_MS


def test_negatives_count_together_within_their_span_only() -> None:
    """
    Thirty days less a millisecond apart they do, thirty days apart they do not.
    """
    for apart, until in ((30 * DAY_MS - 1, 93 * DAY_MS - 1), (30 * DAY_MS, None)):
        mara = Person().gets(0, "t1").gets(apart / DAY_MS, "t2")
        assert mara.rests(AFTER_TWO_IGNORED, DAY_1 + 40 * DAY_MS) == until


def test_a_no_and_a_silence_are_two_negatives() -> None:
    """
    Of two letters; a letter that is ignored and then declined is one, from when it was declined.
    """
    mara = Person().gets(0, "t1").gets(5, "t2").does(5, "declined", "t2")
    assert mara.rests(AFTER_TWO_IGNORED, DAY_1 + 5 * DAY_MS) == 65 * DAY_MS
    once = Person().gets(0, "t1").does(9, "declined", "t1")
    assert once.rests(AFTER_TWO_IGNORED, DAY_1 + 9 * DAY_MS) is None


def test_a_rule_for_silence_does_not_count_a_no() -> None:
    """
    Nor what was declined as ignored; and the other way round.
    """
    silence = Refractory("all", 1, WEEK_MS, WEEK_MS, ("ignored",), DAY_MS)
    mara = Person().gets(0, "t1").does(0.5, "declined", "t1")
    assert mara.rests(silence, DAY_1 + 2 * DAY_MS) is None
    assert Person().gets(0, "t1").rests(silence, DAY_1 + 2 * DAY_MS) == 8 * DAY_MS
    assert Person().gets(0, "t1").rests(AFTER_A_NO, DAY_1 + 2 * DAY_MS) is None


def test_what_rests_is_what_the_rule_says() -> None:
    """
    The action, its family, or all; what came of a trigger that is not known here counts for all only.
    """
    mara = Person().gets(0, "t1", "offer", "offer_mail").does(1, "declined", "t1")
    stranger = Person().does(1, "declined", "t9")
    day_2 = DAY_1 + 2 * DAY_MS
    rests = {
        scope: [
            mara.rests(Refractory(scope, 1, DAY_MS, WEEK_MS), day_2, family, action) is not None
            for family, action in (("offer", "offer_mail"), ("offer", "offer_sms"), ("cart", "cart_mail"))
        ]
        + [stranger.rests(Refractory(scope, 1, DAY_MS, WEEK_MS), day_2) is not None]
        for scope in ("action", "family", "all")
    }
    assert rests == {
        "action": [True, False, False, False],
        "family": [True, True, False, False],
        "all": [True, True, True, True],
    }


def test_a_pause_says_what_it_is_for() -> None:
    """
    The rule, and when the negatives were that made it.
    """
    mara = Person().gets(0, "t1").gets(10, "t2")
    pause = paused(mara.contacts, AFTER_TWO_IGNORED, "offer_mail", "offer", DAY_1 + 20 * DAY_MS)
    assert pause is not None
    assert pause.rule is AFTER_TWO_IGNORED
    assert [at - DAY_1 for at in pause.negatives] == [3 * DAY_MS, 13 * DAY_MS]


def test_a_cooldown_is_over_at_its_end() -> None:
    """
    Seven days less a millisecond after it the action rests, seven days after it not; before it, in disorder, as long.
    """
    contacts = Contacts()
    BOOK.fire(contacts, "cart_mail", "", DAY_1 + WEEK_MS)
    rests = [
        cooling_until(contacts, "cart_mail", "", WEEK_MS, DAY_1 + WEEK_MS + by) is not None
        for by in (-WEEK_MS, 1 - WEEK_MS, 0, WEEK_MS - 1, WEEK_MS)
    ]
    assert rests == [False, True, True, True, False]
    assert cooling_until(contacts, "cart_mail", "", WEEK_MS, DAY_1 + WEEK_MS) == DAY_1 + 2 * WEEK_MS
    assert cooling_until(contacts, "cart_sms", "", WEEK_MS, DAY_1 + WEEK_MS) is None
    assert cooling_until(contacts, "cart_mail", "", 0, DAY_1 + WEEK_MS) is None


def test_a_cooldown_is_for_what_it_was_about() -> None:
    """
    The kettle was offered: not again, but the toaster may be.
    """
    contacts = Contacts()
    BOOK.fire(contacts, "offer", "kettle", DAY_1)
    assert cooling_until(contacts, "offer", "kettle", WEEK_MS, DAY_1 + 1) == DAY_1 + WEEK_MS
    assert cooling_until(contacts, "offer", "toaster", WEEK_MS, DAY_1 + 1) is None


def test_where_memory_ends_a_cooldown_holds() -> None:
    """
    Fifty-one products offered, fifty remembered: the first is not offered again before its week is over, nor is one
    that was never offered, for it might be it.
    """
    contacts = Contacts()
    for n in range(51):
        BOOK.fire(contacts, "offer", f"p{n}", DAY_1 + n)
    assert cooling_until(contacts, "offer", "p0", WEEK_MS, DAY_1 + WEEK_MS - 1) == DAY_1 + WEEK_MS
    assert cooling_until(contacts, "offer", "p99", WEEK_MS, DAY_1 + WEEK_MS - 1) == DAY_1 + WEEK_MS
    assert cooling_until(contacts, "offer", "p0", WEEK_MS, DAY_1 + WEEK_MS) is None


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("channel", 1, 1, 1), "scope is 'channel' but must be one of action, family, all"),
        (("all", 0, 1, 1), "after 0 negatives but must be after 1 to 20"),
        (("all", 21, 1, 1), "after 21 negatives"),
        (("all", 1, 0, 1), "counts within 0 ms"),
        (("all", 1, 1, 0), "a pause of 0 ms"),
        (("all", 1, 1, 1, ()), "counts nothing but must count declined or ignored"),
        (("all", 1, 1, 1, ("bounced",)), "counts bounced but must count declined or ignored"),
        (("all", 1, 1, 1, ("ignored",)), "ignored after 0 ms"),
        (("all", 1, 1, 1, ("declined",), 5), "ignored after 5 ms"),
    ],
)
def test_what_is_no_pause_is_said(args: tuple[str, int, int, int], complaint: str) -> None:
    """
    With what was told and what it should be.
    """
    with pytest.raises(ValueError, match=complaint):
        Refractory(*args)


letters = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["silent", "opened", "declined"]), st.integers(0, 6)), max_size=6
)


@given(letters, st.integers(1, 3), st.integers(1, 20), st.integers(1, 20), st.integers(1, 5), st.integers(0, 60))
def test_a_pause_is_what_a_simple_count_says(
    told: list[tuple[int, str, int]], negatives: int, within: int, pause: int, ignored: int, at: int
) -> None:
    """
    Of letters on days, each left unanswered, opened or declined some days later, on any day.
    """
    rule = Refractory("all", negatives, within, pause, ("declined", "ignored"), ignored)
    contacts, instants = Contacts(), []
    for n, (sent, what, later) in enumerate(told):
        BOOK.send(contacts, Send(sent, str(n), "email", "offer", "offer_mail"))
        BOOK.touch(contacts, "delivered", str(n), sent)
        if what != "silent":
            BOOK.touch(contacts, what, str(n), sent + later)
        if what == "declined" and sent + later <= at:
            instants.append(sent + later)
        elif sent + ignored <= at and not (what == "opened" and later < ignored):
            instants.append(sent + ignored)
    expected = any(
        len([one for one in instants if last - within < one <= last]) >= negatives and last <= at < last + pause
        for last in instants
    )
    found = paused(contacts, rule, "offer_mail", "offer", at)
    assert (found is not None) == expected
