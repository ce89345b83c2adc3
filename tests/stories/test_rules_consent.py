"""Consent, per channel and purpose, asked when it fires. Issue of the nightmare: who has unsubscribed is written to."""

import pytest

from tests.stories.rules import MARA, Yaml, book_of, last, rule, sent, shop_of
from tests.story import Held, Story, Taken


def no(at: str, action: str = "hello") -> Held:
    """A decision for want of consent."""
    return Held("mara", action, at, "consent")


def decided(shop: Story, at: str = "10:00") -> list[object]:
    """What is said to who reads."""
    shop.at(at).reads()
    return list(shop.news())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("10:29:59.999", [no("10:30")]),
        ("10:30", [no("10:30")]),
        ("10:30:00.001", [sent("10:30"), Taken("mara", "hello", "10:30:00.001", "consent")]),
    ],
)
def test_a_refusal_counts_up_to_the_instant(said: str, told: list[object]) -> None:
    """
    Of a wait that is over at 10:30: one millisecond before, at that instant; after it the letter is taken back.
    """
    shop = shop_of(rule(on="searched", after="30m"))
    shop.at("10:00").searches("sofa")
    shop.at(said).opts_out()
    shop.time("11:00")
    assert shop.news() == told


@pytest.mark.parametrize(
    ("said", "told"),
    [("09:59:59.999", [no("10:00")]), ("10:00", [no("10:00")])],
)
def test_a_refusal_is_heard_at_once(said: str, told: list[object]) -> None:
    """
    Of an event too, although time has not come to the refusal yet.
    """
    shop = shop_of(rule())
    shop.at(said).opts_out()
    assert decided(shop) == told


def test_a_refusal_is_heard_whatever_it_was_said_after() -> None:
    """
    Said at 10:00:20 and told before the page of 10:00:10: who has said no by now is not written to.
    """
    shop = shop_of(rule())
    shop.at("10:00:20").opts_out()
    assert decided(shop, "10:00:10") == [no("10:00:10")]
    assert shop.suppressed()[0].detail == "email: refused email 2026-11-21T10:00:20.000Z"


def asked(*words: tuple[str, str], purpose: str = "marketing", channel: str = "email", **consent: Yaml) -> str:
    """Why somebody is not written to who has said these words, a minute apart; "" if they are."""
    policy: Yaml = {"consent": consent} if consent else {}
    shop = shop_of(rule(channels=[channel], purpose=purpose), **policy)
    for minute, (what, name) in enumerate(words):
        at = shop.at(f"09:{minute:02d}")
        at.opts_in(channel=name) if what == "yes" else at.opts_out(channel=name)
    shop.at("10:00").reads()
    return "" if shop.triggers() else str(shop.suppressed()[0].reason)


def test_consent_is_of_a_channel() -> None:
    """
    No to e-mail is none to messages.
    """
    assert asked(("no", "email")) == "consent"
    assert asked(("no", "email"), channel="sms") == ""
    assert asked(("no", "all"), channel="sms") == "consent"


def test_consent_is_of_a_purpose() -> None:
    """
    No to marketing is none to research, on whatever channel.
    """
    assert asked(("no", "marketing")) == "consent"
    assert asked(("no", "marketing"), channel="sms") == "consent"
    assert asked(("no", "marketing"), purpose="research") == ""
    assert asked(("no", "email:marketing"), channel="sms") == ""
    assert asked(("no", "email:research"), purpose="marketing") == ""


def test_the_newest_word_counts_wide_or_narrow() -> None:
    """
    No to letters, then yes to e-mail: yes; and the other way round.
    """
    assert asked(("no", "email:marketing"), ("yes", "email")) == ""
    assert asked(("yes", "email:marketing"), ("no", "all")) == "consent"
    assert asked(("no", "all"), ("yes", "marketing")) == ""


def test_opt_in_is_for_who_has_said_yes() -> None:
    """
    Where the default is no, who has said nothing is not written to; the default of a purpose is its own.
    """
    opt_in: Yaml = {"defaults": {"email": False}}
    assert asked(**opt_in) == "consent"
    assert asked(("yes", "email"), **opt_in) == ""
    assert asked(("yes", "sms"), **opt_in) == "consent"
    assert asked(purpose="research", defaults={"email": False, "email:research": True}) == ""
    assert asked(defaults={"email": False, "email:research": True}) == "consent"
    assert asked(defaults={"all": True}) == ""
    assert asked(defaults={}) == "consent"


def test_what_is_due_needs_no_consent() -> None:
    """
    A confirmation goes to who has unsubscribed from e-mail, and not to who has said that they want none.
    """
    assert asked(("no", "email"), purpose="transactional") == ""
    assert asked(("no", "all"), purpose="service") == ""
    assert asked(("no", "transactional"), purpose="transactional") == "consent"
    assert asked(("no", "email:transactional"), purpose="transactional") == "consent"
    assert asked(purpose="transactional", defaults={"email": False}) == ""


def test_what_is_exempt_is_the_policys() -> None:
    """
    Without exempt purposes a confirmation asks as all others do.
    """
    assert asked(("no", "email"), purpose="transactional", defaults={"email": True}, exempt=[]) == "consent"
    assert asked(("no", "email"), purpose="research", defaults={"email": True}, exempt=["research"]) == ""


def test_a_yes_may_be_for_a_time() -> None:
    """
    Valid for a day: 23:59:59.999 later it holds, a day later it does not.
    """
    shop = shop_of(rule(), consent={"defaults": {"email": False}, "valid": "1d"})
    shop.at("10:00").opts_in()
    assert decided(shop, "day 2 09:59:59.999") == [sent("day 2 09:59:59.999")]
    assert decided(shop, "day 2 10:00") == [no("day 2 10:00")]
    detail = "email: agreed to email 2026-11-21T10:00:00.000Z, which holds no longer"
    assert shop.suppressed()[0].detail == detail


@pytest.mark.parametrize("asked_at", ["10:02", "10:05"])
def test_a_no_of_the_visitor_is_the_customers(asked_at: str) -> None:
    """
    Said before the link, heard by the customer's rules at once; the newest word of both counts.
    """
    for first, second, is_told in (("phone-1", "anon-7", True), ("anon-7", "phone-1", False)):
        shop = shop_of(rule(on="chat_started"))
        shop.at("10:00").opts_out(first)
        shop.at("10:00:30").opts_in(first)
        shop.at("10:01").opts_in(second) if is_told else shop.at("10:01").opts_out(second)
        shop.at("10:02").identifies("phone-1", as_="mara")
        shop.at(asked_at).happens("chat_started", "anon-7")
        assert shop.news() == [sent(asked_at) if is_told else no(asked_at)]


def test_a_complaint_is_a_no_to_all_letters() -> None:
    """
    Whoever the letter was from, and whatever it was for.
    """
    shop = shop_of(rule(), rule("study", "searched", purpose="research"))
    shop.at("10:00").reads()
    shop.at("10:01").complains(last(shop).trigger_id)
    shop.at("10:02").searches("sofa").reads()
    assert shop.news()[2:] == [no("10:02", "study"), no("10:02")]


def test_consent_that_is_still_to_be_put_in_order_takes_nothing_back() -> None:
    """
    Who has agreed to e-mail ten seconds ago is written to at once. That they have said a word on messages before that
    does not take the letter back when its turn comes.
    """
    shop = shop_of(rule(), consent={"defaults": {"email": False}})
    shop.at("10:00:05").opts_in(channel="sms")
    shop.at("10:00:10").opts_in()
    shop.at("10:00:20").reads()
    shop.at("10:05").expects(sent("10:00:20"))
    shop.at("10:06").leaves()
    shop.at("10:07").expects_nothing()


def test_an_address_is_no_consent() -> None:
    """
    Nor is consent an address: each has its reason, and who has an address and has refused is no one without.
    """
    shop = Story(book=book_of(rule(channels=["email"])))
    shop.at("10:00").opts_in().reads()
    assert [one.reason for one in shop.suppressed()] == ["no_channel"]
    shop.at("10:01").identifies(as_="mara", email=MARA).opts_out().reads()
    assert [one.reason for one in shop.suppressed()] == ["no_channel", "consent"]
