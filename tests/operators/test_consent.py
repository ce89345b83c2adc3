"""Consent: whose word counts, for which channel and purpose, and what holds where nothing was said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.consent import CHANNELS, CONSENTS_MAX, PURPOSES, ConsentRules, Consents, meaning
from tests.story import DAY_1, DAY_MS

OPT_OUT = ConsentRules({"all": True}, frozenset({"transactional"}))
OPT_IN = ConsentRules({}, frozenset({"transactional"}))


def said(*words: tuple[str, int, bool]) -> Consents:
    """What somebody has said of something so many ms after the first day."""
    consents = Consents()
    for name, at, given_ in words:
        OPT_OUT.learn(consents, name, DAY_1 + at, given_)
    return consents


def may(consents: Consents, channel: str = "email", purpose: str = "marketing", rules: ConsentRules = OPT_OUT) -> bool:
    return rules.may(consents, channel, purpose, DAY_1 + DAY_MS)


@pytest.mark.parametrize(
    ("name", "channel", "purpose"),
    [
        ("email", "email", ""),
        (" Email:Marketing ", "email", "marketing"),
        ("marketing", "", "marketing"),
        ("all:service", "", "service"),
        ("sms:all", "sms", ""),
        ("all", "", ""),
        ("carrier pigeon", "carrier pigeon", ""),
    ],
)
def test_a_name_means_a_channel_a_purpose_or_both(name: str, channel: str, purpose: str) -> None:
    """
    However it is spelled.
    """
    assert meaning(name) == (channel, purpose)


def test_a_channel_alone_is_all_its_purposes() -> None:
    """
    Who refuses e-mail refuses marketing and service by e-mail, and neither by SMS.
    """
    mara = said(("email", 0, False))
    assert not may(mara)
    assert not may(mara, purpose="service")
    assert may(mara, "sms")


def test_a_purpose_alone_is_all_its_channels() -> None:
    """
    Who wants no marketing wants none by any channel, but is told about a repair.
    """
    mara = said(("marketing", 0, False))
    assert [may(mara, channel) for channel in ("email", "sms")] == [False, False]
    assert may(mara, purpose="service")


def test_a_word_on_both_is_of_both_only() -> None:
    """
    No marketing by e-mail: marketing by SMS goes, and service by e-mail.
    """
    mara = said(("email:marketing", 0, False))
    assert [may(mara), may(mara, "sms"), may(mara, purpose="service")] == [False, True, True]


def test_the_newest_word_counts_the_wide_as_well_as_the_narrow() -> None:
    """
    In whatever order they come to be known.
    """
    for words, allowed in (
        ([("email:marketing", 0, False), ("email", 1, True)], True),
        ([("email", 0, False), ("email:marketing", 1, True)], True),
        ([("email", 1, False), ("email:marketing", 0, True)], False),
        ([("all", 1, False), ("email:marketing", 0, True)], False),
        ([("marketing", 0, True), ("all", 1, False)], False),
    ):
        assert may(said(*words)) == may(said(*reversed(words))) == allowed


def test_at_one_instant_the_refusal_counts() -> None:
    """
    Of one name and of two; a millisecond later the agreement does.
    """
    for first, second in (("email", "email"), ("email", "email:marketing"), ("all", "marketing")):
        for words in ([(first, 5, False), (second, 5, True)], [(second, 5, True), (first, 5, False)]):
            assert not may(said(*words))
        assert may(said((first, 5, False), (second, 6, True)))
        assert not may(said((first, 6, False), (second, 5, True)))


def test_where_nothing_is_said_the_rules_hold() -> None:
    """
    The narrowest of them: both, channel, purpose, all; without any, one may not.
    """
    rules = ConsentRules({"all": True, "service": False, "sms": True, "sms:service": False}, frozenset())
    nobody = Consents()
    assert may(nobody, "email", "marketing", rules)
    assert not may(nobody, "email", "service", rules)
    assert may(nobody, "sms", "marketing", rules)
    assert not may(nobody, "sms", "service", rules)
    assert not may(nobody, rules=ConsentRules({}, frozenset()))
    assert may(nobody, rules=ConsentRules({"email": True}, frozenset()))


def test_an_order_is_confirmed_to_who_has_unsubscribed() -> None:
    """
    An exempt purpose needs no consent, and only a word that names it forbids it; what is not exempt is refused as all.
    """
    mara = said(("email", 0, False), ("all", 0, False))
    for rules in (OPT_IN, OPT_OUT):
        assert may(mara, purpose="transactional", rules=rules)
        assert may(Consents(), purpose="transactional", rules=rules)
        assert not may(said(("email:transactional", 0, False)), purpose="transactional", rules=rules)
        assert not may(said(("transactional", 0, False)), purpose="transactional", rules=rules)
    strict = ConsentRules({"all": True}, frozenset())
    assert not may(mara, purpose="transactional", rules=strict)
    forbidden = ConsentRules({"sms:transactional": False}, frozenset({"transactional"}))
    assert not may(Consents(), "sms", "transactional", forbidden)


def test_an_agreement_may_hold_for_so_long() -> None:
    """
    Two years less a millisecond, and no longer; a refusal holds for ever.
    """
    rules = ConsentRules({"all": True}, frozenset(), valid_ms=730 * DAY_MS)
    mara = said(("email", 0, True))
    assert rules.may(mara, "email", "marketing", DAY_1 + 730 * DAY_MS - 1)
    assert not rules.may(mara, "email", "marketing", DAY_1 + 730 * DAY_MS)
    assert not rules.may(said(("email", 0, False)), "email", "marketing", DAY_1 + 7_300 * DAY_MS)
    assert rules.refusal(mara, "email", "marketing", DAY_1 + 730 * DAY_MS) == (
        "agreed to email 2026-11-21T00:00:00.000Z, which holds no longer"
    )


def test_a_refusal_is_explained() -> None:
    """
    By the word that counts, or by there being none; nothing is said where one may.
    """
    at = DAY_1 + DAY_MS
    assert (
        OPT_OUT.refusal(said(("email", 0, False)), "email", "marketing", at) == "refused email 2026-11-21T00:00:00.000Z"
    )
    assert OPT_OUT.refusal(said(("marketing", 0, False)), "sms", "marketing", at).startswith("refused marketing ")
    assert OPT_OUT.refusal(said(("all", 0, False)), "sms", "marketing", at).startswith("refused all ")
    assert OPT_IN.refusal(Consents(), "sms", "marketing", at) == "no consent to sms:marketing"
    assert OPT_OUT.refusal(said(("email", 0, True)), "email", "marketing", at) == ""


def test_a_flood_of_words_does_not_wash_away_a_refusal() -> None:
    """
    Whatever names a source invents, the oldest word on a channel of ours stays.
    """
    mara = said(("email:marketing", 0, False), *[(f"topic-{n}", n, True) for n in range(500)])
    assert len(mara.words) == CONSENTS_MAX
    assert not may(mara)
    assert (len(CHANNELS) + 1) * (len(PURPOSES) + 1) <= CONSENTS_MAX


names = st.sampled_from(["email", "sms", "email:marketing", "marketing", "all", "email:service", "service"])


@given(st.lists(st.tuples(names, st.integers(0, 5), st.booleans()), max_size=8), st.booleans())
def test_nobody_is_written_to_who_has_said_no_last(told: list[tuple[str, int, bool]], is_opt_in: bool) -> None:  # noqa: FBT001
    """
    For each channel and purpose: by the newest of all words that are about it, read one by one.
    """
    rules = OPT_IN if is_opt_in else OPT_OUT
    consents = said(*told)
    for channel in ("email", "sms"):
        for purpose in ("marketing", "service"):
            about = {channel, purpose, f"{channel}:{purpose}", "all"}
            words = [(at, not given_) for name, at, given_ in told if name in about]
            expected = not max(words)[1] if words else not is_opt_in
            assert rules.may(consents, channel, purpose, DAY_1 + 9) == expected
            assert (rules.refusal(consents, channel, purpose, DAY_1 + 9) == "") == expected
